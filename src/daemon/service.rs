//! What is said to the service manager, by the protocol of `sd_notify(3)`.

use sd_notify::NotifyState;

/// Tells systemd; a machine without it is not worth a word.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not notified");
    }
}

/// What systemd shows of the daemon.
#[derive(Default)]
pub(super) struct Status {
    /// Whether the broker is there; `None` before that is known, and where there is none.
    pub connected: Option<bool>,
    /// What came of the last reload, where that is to be seen.
    pub reload: Option<String>,
}

impl Status {
    pub(super) fn text(&self) -> String {
        let broker = match self.connected {
            None => "",
            Some(true) => ", connected",
            Some(false) => ", no connection to the broker",
        };
        let reload = self.reload.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
        format!("deciding{broker}{reload}")
    }
}
