//! How to reach the broker, and as whom: settings → rumqttc's options.
//!
//! Invariants: the session is always a clean one; the will is `offline`, retained; a password is
//! read from its file at every attempt and is never in a setting, a log or an argument.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rumqttc::{LastWill, MqttOptions, NetworkOptions, QoS, TlsConfiguration, Transport};

use crate::publish::diagnosis::unreadable;
use crate::publish::topic::{Message, Topics};
use crate::publish::{BrokerError, TlsSettings};
use crate::remedy::{Advised, Remedied as _};
use crate::secret::{Secret, SecretError};

/// The largest packet that we accept; the broker keeps larger ones from us.
const PACKET_BYTES_MAX: u32 = 16 * 1024;
/// For name, connection, TLS and CONNACK together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Unacknowledged messages at once.
pub(super) const IN_FLIGHT_MAX: u16 = 16;
/// The delays between attempts. The broker is in the house, and a door that nobody hears opens
/// for nobody: it must be back some seconds after the broker is, and one CONNECT in ten seconds is
/// no load.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(10);

/// How to reach the broker, and what to call ourselves there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Name or address; an IPv6 address without TLS goes in brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Base topic and door.
    pub topics: Topics,
    /// TLS, if spoken.
    pub tls: Option<TlsSettings>,
    /// User and password, if any.
    pub credentials: Option<Credentials>,
    /// Seconds of silence after which the connection is tested; at least 5.
    pub keep_alive_s: u16,
    /// The first delay between attempts.
    pub backoff_first: Duration,
    /// The longest delay between attempts.
    pub backoff_most: Duration,
    /// Home Assistant's discovery, if wanted.
    pub home_assistant: Option<HomeAssistantSettings>,
    /// Whether whoever may write to `armed/set` arms and disarms the door.
    pub broker_may_arm: bool,
    /// The door whose signed grants are heard.
    pub follows: Option<String>,
}

/// User and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The file that holds the password in its first line.
    pub password_file: Option<PathBuf>,
}

/// Home Assistant's discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistantSettings {
    /// Where it listens; `homeassistant` unless its owner has changed it.
    pub prefix: String,
    /// Whether the discovery message is retained.
    pub retain: bool,
}

impl SessionSettings {
    /// A plain connection with everything else as it is by default.
    #[must_use]
    pub const fn plain(host: String, port: u16, topics: Topics) -> Self {
        Self {
            host,
            port,
            topics,
            tls: None,
            credentials: None,
            keep_alive_s: 15,
            backoff_first: BACKOFF_FIRST,
            backoff_most: BACKOFF_MOST,
            home_assistant: None,
            broker_may_arm: false,
            follows: None,
        }
    }

    /// Host and port, for messages.
    pub(super) fn at(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.credentials.as_ref().map(|credentials| credentials.user.as_str())
    }

    /// Everything that is wrong with the files that are named here, `now_s` seconds after 1970:
    /// what keeps a connection from being made, and what the broker will probably refuse.
    #[must_use]
    pub fn troubles(&self, now_s: u64) -> Vec<BrokerError> {
        let password = self.credentials.as_ref().and_then(Credentials::trouble);
        let tls = self.tls.as_ref().map(|tls| tls.troubles(now_s)).unwrap_or_default();
        password.into_iter().chain(tls).collect()
    }

    /// Reads the files and makes rumqttc's options. `suffix` tells a passing client's id from the
    /// daemon's, so that it does not push the daemon out; in capital letters, which no door's id
    /// has, or the door `front-doctor` would be pushed out by the doctor of `front`.
    pub(super) fn options(
        &self,
        suffix: &str,
        will: Option<&Message>,
    ) -> Result<MqttOptions, BrokerError> {
        let door = self.topics.door();
        let id = match suffix {
            "" => format!("deepid-edge-{door}"),
            suffix => format!("deepid-edge-{door}-{suffix}"),
        };
        let mut options = MqttOptions::new(id, (self.host.clone(), self.port));
        // 0 would never test the connection.
        options.set_keep_alive(self.keep_alive_s.max(5));
        options.set_clean_start(true);
        options.set_connect_timeout(CONNECT_TIMEOUT);
        options.set_max_packet_size(Some(PACKET_BYTES_MAX));
        options.set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        if let Some(tls) = &self.tls {
            options
                .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.read()?)));
        }
        if let Some(credentials) = &self.credentials {
            options.set_credentials(credentials.user.clone(), credentials.password()?);
        }
        if let Some(will) = will {
            options.set_last_will(LastWill::new(
                will.topic.clone(),
                will.payload.clone(),
                QoS::AtLeastOnce,
                will.delivery.retained,
                None,
            ));
        }
        Ok(options)
    }
}

impl Credentials {
    /// The password as its file has it now; empty without a file.
    ///
    /// # Errors
    /// [`BrokerError::PasswordFile`] names the file and what is wrong with it.
    pub(super) fn password(&self) -> Result<String, BrokerError> {
        let Some(file) = &self.password_file else { return Ok(String::new()) };
        Secret::read(file).map(Secret::into_text).map_err(|error| unusable(file, &error))
    }

    /// Why the file holds no password, or perhaps another than was meant.
    fn trouble(&self) -> Option<BrokerError> {
        let file = self.password_file.as_ref()?;
        match Secret::read(file) {
            Err(error) => Some(unusable(file, &error)),
            Ok(secret) => secret.doubt().map(|doubt| BrokerError::PasswordFile {
                file: file.clone(),
                what: Advised::new(doubt, "change it, unless that is meant"),
            }),
        }
    }
}

fn unusable(file: &Path, error: &SecretError) -> BrokerError {
    let what = match error {
        SecretError::Unreadable(error) => unreadable(file, error),
        error => Advised::new(error.finding(), error.advice().into_owned()),
    };
    BrokerError::PasswordFile { file: file.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;

    /// A broker that was away for an hour is found again within ten seconds of its return.
    #[test]
    fn no_wait_between_attempts_is_longer_than_ten_seconds() {
        let topics = Topics::new("deepid-edge", "front").expect("names");
        let settings = SessionSettings::plain("broker.lan".to_owned(), 1883, topics);
        let mut backoff = Backoff::new(settings.backoff_first, settings.backoff_most);
        for attempt in 0..400 {
            let random = f64::from(attempt % 10) / 10.0;
            assert!(backoff.spread_delay(random) <= Duration::from_secs(10), "{attempt}");
        }
        assert!(backoff.spread_delay(0.0) >= Duration::from_secs(5), "spread, and no haste");
    }
}
