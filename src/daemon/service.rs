//! What is said to the service manager, by the protocol of `sd_notify(3)`.

use sd_notify::NotifyState;

/// Tells systemd; a machine without it is not worth a word.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not notified");
    }
}
