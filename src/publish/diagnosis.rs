//! Why there is no connection to the broker, and what to do about it.
//!
//! What rumqttc, rustls and the system report → one [`BrokerError`] that a person can act on; used
//! by the log and by `doctor`. TLS troubles arrive as a rustls error inside an I/O error inside
//! rumqttc's own, so the source chain is searched instead of one level being matched.
//! Deliberately absent: retrying, which is the session's business.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError};
use rustls::{AlertDescription, CertificateError};

use super::tls::{CertificateTrouble, TlsTrouble};
use crate::remedy::{Advised, Remedied};

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The name means nothing.
    #[error("broker {at}: the host name is not known; {advice}", advice = self.advice())]
    HostUnknown {
        /// Host and port.
        at: String,
    },
    /// Nobody listens.
    #[error("broker {at}: the connection was refused; {advice}", advice = self.advice())]
    Refused {
        /// Host and port.
        at: String,
    },
    /// There is no way to it.
    #[error("broker {at}: cannot be reached ({what}); {advice}", advice = self.advice())]
    Unreachable {
        /// Host and port.
        at: String,
        /// What the system said.
        what: String,
    },
    /// No answer in time.
    #[error("broker {at}: no answer in time; {advice}", advice = self.advice())]
    TimedOut {
        /// Host and port.
        at: String,
    },
    /// We spoke plainly, and were hung up on or answered by something that is not MQTT.
    #[error(
        "broker {at}: it ended the connection before it answered; {advice}",
        advice = self.advice()
    )]
    PlainRefused {
        /// Host and port.
        at: String,
    },
    /// We spoke TLS, and the answer was none.
    #[error("broker {at}: the answer is not TLS; {advice}", advice = self.advice())]
    NotTls {
        /// Host and port.
        at: String,
    },
    /// It is not who it should be, as far as we know.
    #[error("broker {at}: {trouble}")]
    Certificate {
        /// Host and port.
        at: String,
        /// Why its certificate is not believed.
        trouble: CertificateTrouble,
    },
    /// The broker does not believe us.
    #[error("broker {at}: {}", refused_certificate(what))]
    ClientCertificate {
        /// Host and port.
        at: String,
        /// The alert it sent.
        what: String,
    },
    /// No common way to speak or to sign.
    #[error(
        "broker {at}: no way of encrypting and signing that both sides know; {advice}",
        advice = self.advice()
    )]
    NothingInCommon {
        /// Host and port.
        at: String,
    },
    /// Any other trouble of TLS.
    #[error("broker {at}: TLS failed ({what}); {advice}", advice = self.advice())]
    Tls {
        /// Host and port.
        at: String,
        /// What rustls said.
        what: String,
    },
    /// A file of ours.
    #[error("TLS file {} ('{key}'): {}", file.display(), trouble.told(file))]
    TlsFile {
        /// The key of the configuration that names it.
        key: &'static str,
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        trouble: TlsTrouble,
    },
    /// The password's file.
    #[error("password file {} ('mqtt.password_file'): {what}", file.display())]
    PasswordFile {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        what: Advised,
    },
    /// User and password are not right, or were needed.
    #[error(
        "broker {at}: it refuses {}; {advice}",
        match user { Some(user) => format!("user '{user}' with this password"), None => "clients without user and password".to_owned() },
        advice = self.advice()
    )]
    WrongPassword {
        /// Host and port.
        at: String,
        /// As whom we came.
        user: Option<String>,
    },
    /// An old broker.
    #[error("broker {at}: it does not speak MQTT 5; {advice}", advice = self.advice())]
    NotMqtt5 {
        /// Host and port.
        at: String,
    },
    /// Two clients with one id.
    #[error("broker {at}: another client came with our id; {advice}", advice = self.advice())]
    TakenOver {
        /// Host and port.
        at: String,
    },
    /// Any other refusal.
    #[error("broker {at}: it refuses us ({what}); {advice}", advice = self.advice())]
    Rejected {
        /// Host and port.
        at: String,
        /// The code it gave.
        what: String,
    },
    /// Closed by the other side, without a word.
    #[error(
        "broker {at}: it closed the connection and gave no reason; {advice}",
        advice = self.advice()
    )]
    Closed {
        /// Host and port.
        at: String,
    },
    /// A connection that stood, and does not any more.
    #[error("broker {at}: the connection was lost ({what}); {advice}", advice = self.advice())]
    Lost {
        /// Host and port.
        at: String,
        /// What happened.
        what: String,
    },
    /// A connection on which nothing is acknowledged.
    #[error(
        "broker {at}: nothing was acknowledged for {waited_ms} ms; the network or the broker is stuck; {advice}",
        advice = self.advice()
    )]
    Silent {
        /// Host and port.
        at: String,
        /// For how long.
        waited_ms: u64,
    },
}

impl Remedied for BrokerError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::HostUnknown { .. } => "check 'mqtt.host' and the network's name service".into(),
            Self::Refused { .. } => {
                "is the broker running, and does it listen on this port (usually 1883, with TLS 8883)?".into()
            }
            Self::Unreachable { .. } => "check the network and 'mqtt.host'".into(),
            Self::TimedOut { .. } => {
                "check the network, a firewall between, and that a broker listens on this port".into()
            }
            Self::PlainRefused { .. } => {
                "this port probably expects TLS (set 'mqtt.tls.enabled'), or it does not speak MQTT 5".into()
            }
            Self::NotTls { .. } => {
                "this port is probably a plain one: use the TLS port (usually 8883), or unset 'mqtt.tls.enabled' if the network is yours".into()
            }
            Self::NothingInCommon { .. } => {
                "its key is probably of a curve that is not supported (P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits are), or it speaks TLS 1.1 at most; 'openssl x509 -in broker.pem -noout -text' shows its key".into()
            }
            Self::Tls { .. } => "compare its TLS settings with 'mqtt.tls'".into(),
            Self::WrongPassword { .. } => {
                "check 'mqtt.username' and 'mqtt.password_file', and that the broker knows this user".into()
            }
            Self::NotMqtt5 { .. } => "use mosquitto 2 or newer, or another broker that does".into(),
            Self::TakenOver { .. } => {
                "every door needs an id of its own: check 'door.id' on both machines".into()
            }
            Self::Rejected { .. } => "its log says more".into(),
            Self::Closed { .. } => {
                "it is tried again. If this goes on, the broker restarts, or another board has our 'door.id'".into()
            }
            Self::Lost { .. } => "it is tried again".into(),
            Self::Silent { .. } => "a new connection is tried".into(),
            Self::Certificate { trouble, .. } => return trouble.remedy(),
            Self::ClientCertificate { what, .. } => refused_certificate(what).remedy,
            Self::TlsFile { file, trouble, .. } => trouble.told(file).remedy,
            Self::PasswordFile { what, .. } => (&*what.remedy).into(),
        })
    }
}

/// Why a broker does not take our certificate, by the name of its alert.
fn refused_certificate(alert: &str) -> Advised {
    match alert {
        "CertificateRequired" => Advised::new(
            "it wants a certificate of ours, and takes none but one that its authority has issued",
            "set 'mqtt.tls.cert' and 'mqtt.tls.key'",
        ),
        "CertificateExpired" => Advised::new(
            "it says that our certificate ('mqtt.tls.cert') has expired",
            "'openssl x509 -noout -dates -in' and its file shows when",
        ),
        "UnknownCA" => Advised::new(
            "it does not know the authority that issued our certificate",
            "set 'mqtt.tls.cert' and 'mqtt.tls.key' to one that its authority has issued, or give that authority to the broker ('cafile')",
        ),
        alert => Advised::new(
            format!("it refuses our certificate ({alert})"),
            "set 'mqtt.tls.cert' and 'mqtt.tls.key' to a certificate that its authority has issued",
        ),
    }
}

/// Why the system does not give us `file`, to stand after its name.
pub(super) fn unreadable(file: &Path, error: &io::Error) -> Advised {
    match error.kind() {
        io::ErrorKind::NotFound if file.starts_with("/run/credentials") => Advised::new(
            error.to_string(),
            "it is there only while the service runs: ask again then",
        ),
        io::ErrorKind::NotFound => {
            Advised::new(error.to_string(), "correct the path, or make the file")
        }
        io::ErrorKind::PermissionDenied => Advised::new(
            format!("this user may not read it ({error})"),
            "give it to the user that runs deepid-edge ('chown deepid-edge'), or run this as that user ('sudo -u deepid-edge')",
        ),
        _ => Advised::new(error.to_string(), "name a file that can be read"),
    }
}

/// As whom and how a connection was tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// Host and port.
    pub at: &'a str,
    /// The user, if any.
    pub user: Option<&'a str>,
    /// Whether TLS was spoken.
    pub tls: bool,
    /// Whether the broker had accepted us before the trouble.
    pub connected: bool,
}

impl Attempt<'_> {
    /// What `error` means for this attempt.
    pub(super) fn diagnose(self, error: &ConnectionError) -> BrokerError {
        let at = self.at.to_owned();
        // rumqttc does not name this one as its source.
        let root: &(dyn StdError + 'static) = match error {
            ConnectionError::MqttState(StateError::Deserialization(inner)) => inner,
            error => error,
        };
        if let Some(tls) = find::<rustls::Error>(root) {
            return self.tls_trouble(tls);
        }
        match error {
            ConnectionError::ConnectionRefused(code) => return self.refused(*code),
            ConnectionError::Timeout(_) => return BrokerError::TimedOut { at },
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
                return match reason_code {
                    DisconnectReasonCode::SessionTakenOver => BrokerError::TakenOver { at },
                    code => BrokerError::Lost { at, what: format!("{code:?}") },
                };
            }
            _ => {}
        }
        if self.connected {
            return if closed(error, root) {
                BrokerError::Closed { at }
            } else {
                BrokerError::Lost { at, what: error.to_string() }
            };
        }
        match find::<io::Error>(root) {
            Some(trouble) => self.io_trouble(trouble),
            // Hung up on, or answered with bytes that are no CONNACK, such as a TLS alert.
            None if self.tls => BrokerError::Lost { at, what: error.to_string() },
            None => BrokerError::PlainRefused { at },
        }
    }

    fn refused(self, code: ConnectReturnCode) -> BrokerError {
        use ConnectReturnCode as Code;
        let at = self.at.to_owned();
        match code {
            Code::BadUserNamePassword | Code::NotAuthorized | Code::Banned => {
                BrokerError::WrongPassword { at, user: self.user.map(str::to_owned) }
            }
            Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
                BrokerError::NotMqtt5 { at }
            }
            code => BrokerError::Rejected { at, what: format!("{code:?}") },
        }
    }

    fn io_trouble(self, error: &io::Error) -> BrokerError {
        use io::ErrorKind as Kind;
        let (at, what) = (self.at.to_owned(), error.to_string());
        match error.kind() {
            Kind::ConnectionRefused => BrokerError::Refused { at },
            Kind::TimedOut => BrokerError::TimedOut { at },
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof => {
                if self.tls {
                    BrokerError::NotTls { at }
                } else {
                    BrokerError::PlainRefused { at }
                }
            }
            // The resolver's failures have no number of the system's.
            _ if error.raw_os_error().is_none() && what.contains("lookup") => {
                BrokerError::HostUnknown { at }
            }
            _ => BrokerError::Unreachable { at, what },
        }
    }

    fn tls_trouble(self, error: &rustls::Error) -> BrokerError {
        let at = self.at.to_owned();
        match error {
            rustls::Error::InvalidCertificate(reason) => {
                let trouble = match reason {
                    CertificateError::Other(other) => other.0.downcast_ref().cloned(),
                    _ => None,
                };
                let other = || CertificateTrouble::Other(reason.to_string());
                BrokerError::Certificate { at, trouble: trouble.unwrap_or_else(other) }
            }
            rustls::Error::InvalidMessage(_) => BrokerError::NotTls { at },
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied => {
                    BrokerError::ClientCertificate { at, what: format!("{alert:?}") }
                }
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity => BrokerError::NothingInCommon { at },
                alert => BrokerError::Tls { at, what: format!("{alert:?}") },
            },
            rustls::Error::PeerIncompatible(_) => BrokerError::NothingInCommon { at },
            other => BrokerError::Tls { at, what: other.to_string() },
        }
    }
}

/// Whether the other side ended the connection, as `root` behind `error` tells.
fn closed(error: &ConnectionError, root: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind as Kind;
    matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted))
        || find::<io::Error>(root).is_some_and(|trouble| {
            matches!(
                trouble.kind(),
                Kind::UnexpectedEof
                    | Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
            )
        })
}

/// The first error of type `T` in the chain. An I/O error's inner error is not its `source`, so it
/// is looked into by itself.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    // Chains are short; the bound is for one that bites its tail.
    for _ in 0..16 {
        let current = next?;
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Attempt<'_> =
        Attempt { at: "h:1883", user: Some("door"), tls: false, connected: false };

    fn io(kind: io::ErrorKind) -> ConnectionError {
        ConnectionError::Io(kind.into())
    }

    fn tls(error: rustls::Error) -> ConnectionError {
        ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn the_same_trouble_means_another_thing_with_and_without_tls() {
        let reset = io(io::ErrorKind::ConnectionReset);
        let at = || "h:1883".to_owned();
        assert_eq!(PLAIN.diagnose(&reset), BrokerError::PlainRefused { at: at() });
        let with_tls = Attempt { tls: true, ..PLAIN };
        assert_eq!(with_tls.diagnose(&reset), BrokerError::NotTls { at: at() });
        let later = Attempt { connected: true, ..PLAIN };
        assert_eq!(later.diagnose(&reset), BrokerError::Closed { at: at() });
        let aborted = ConnectionError::MqttState(StateError::ConnectionAborted);
        assert_eq!(later.diagnose(&aborted), BrokerError::Closed { at: at() });
        let stuck = ConnectionError::MqttState(StateError::AwaitPingResp);
        assert!(matches!(later.diagnose(&stuck), BrokerError::Lost { .. }));
    }

    #[test]
    fn certificates_are_told_apart() {
        let of = |error| PLAIN.diagnose(&tls(rustls::Error::InvalidCertificate(error)));
        let ours = CertificateTrouble::UnknownIssuer { issuer: "CN=house".to_owned() };
        let explained = rustls::OtherError(std::sync::Arc::new(ours.clone()));
        let said = of(CertificateError::Other(explained));
        assert_eq!(said, BrokerError::Certificate { at: "h:1883".to_owned(), trouble: ours });
        let said = of(CertificateError::Revoked);
        assert!(
            matches!(&said, BrokerError::Certificate { trouble: CertificateTrouble::Other(_), .. }),
            "{said:?}"
        );
        // With TLS 1.3 the refusal of our own comes only with the first read.
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let read = io::Error::new(io::ErrorKind::InvalidData, alert);
        let error = ConnectionError::MqttState(StateError::Deserialization(read.into()));
        assert!(matches!(PLAIN.diagnose(&error), BrokerError::ClientCertificate { .. }));
    }

    #[test]
    fn refusals_are_told_apart() {
        use ConnectReturnCode as Code;
        let of = |code| PLAIN.diagnose(&ConnectionError::ConnectionRefused(code));
        let said = of(Code::NotAuthorized).to_string();
        assert!(said.contains("user 'door'") && said.contains("password_file"), "{said}");
        assert!(matches!(of(Code::UnsupportedProtocolVersion), BrokerError::NotMqtt5 { .. }));
        assert!(matches!(of(Code::ServerBusy), BrokerError::Rejected { .. }));
        let nobody = Attempt { user: None, ..PLAIN };
        let said = nobody.diagnose(&ConnectionError::ConnectionRefused(Code::NotAuthorized));
        assert!(said.to_string().contains("without user"), "{said}");
    }
}
