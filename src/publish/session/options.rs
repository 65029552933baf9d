//! How to reach the broker, and as whom: settings → rumqttc's options.
//!
//! Invariants: the session is always a clean one; the will is `offline`, retained; a password is
//! read from its file at every attempt and is never in a setting, a log or an argument.

use std::path::PathBuf;
use std::time::Duration;

use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::LastWill;
use rumqttc::{NetworkOptions, TlsConfiguration, Transport};

use crate::publish::topic::{Message, Topics};
use crate::publish::{BrokerError, TlsSettings};

/// The largest packet that we accept; the broker keeps larger ones from us.
const PACKET_BYTES_MAX: u32 = 16 * 1024;
/// Seconds for name, connection, TLS and CONNACK together.
const CONNECT_TIMEOUT_S: u64 = 5;
/// Unacknowledged messages at once.
pub(super) const IN_FLIGHT_MAX: u16 = 16;
/// Bytes of a password file.
const PASSWORD_BYTES_MAX: usize = 4096;

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
            backoff_first: Duration::from_secs(1),
            backoff_most: Duration::from_secs(60),
            home_assistant: None,
        }
    }

    /// Host and port, for messages.
    pub(super) fn at(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn user(&self) -> Option<&str> {
        self.credentials.as_ref().map(|credentials| credentials.user.as_str())
    }

    /// Reads the files and makes rumqttc's options. `suffix` tells a passing client's id from the
    /// daemon's, so that it does not push the daemon out.
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
        let mut options = MqttOptions::new(id, self.host.clone(), self.port);
        // rumqttc panics below 5 s.
        options.set_keep_alive(Duration::from_secs(self.keep_alive_s.max(5).into()));
        options.set_clean_start(true);
        options.set_connection_timeout(CONNECT_TIMEOUT_S);
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
    fn password(&self) -> Result<String, BrokerError> {
        let Some(file) = &self.password_file else { return Ok(String::new()) };
        let unusable =
            |what: &str| BrokerError::PasswordFile { file: file.clone(), what: what.to_owned() };
        let content =
            std::fs::read(file).map_err(|error| unusable(&format!("cannot be read: {error}")))?;
        if content.len() > PASSWORD_BYTES_MAX {
            return Err(unusable("larger than any password"));
        }
        let text = String::from_utf8(content).map_err(|_| unusable("not UTF-8"))?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(line.to_owned()),
            _ => Err(unusable("its first line is empty")),
        }
    }
}
