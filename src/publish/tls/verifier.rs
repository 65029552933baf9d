//! Why the broker's certificate is not believed, said by what is in it.
//!
//! In: what rustls' own verifier says, and the certificate. Out: the same verdict, and where it is
//! no, a [`CertificateTrouble`] in place of an error's name. Invariant: never a yes where rustls
//! says no: the verdict is passed on, and only its reason is replaced.

use std::borrow::Cow;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::certificate::Certificate;
use crate::clock::rfc3339;
use crate::remedy::Remedied;

/// Why the broker's certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateTrouble {
    /// Nobody we believe vouches for it.
    #[error(
        "its certificate is from an authority that is not known here (it was issued by '{issuer}'); {advice}",
        advice = self.advice()
    )]
    UnknownIssuer {
        /// Who issued it.
        issuer: String,
    },
    /// It vouches for itself.
    #[error(
        "its certificate signed itself and is not known here; {advice}",
        advice = self.advice()
    )]
    SignedItself {
        /// The broker.
        host: String,
    },
    /// An authority's certificate, where a server's should be.
    #[error(
        "its certificate is an authority's (CA:TRUE, as 'openssl req -x509' makes it), and no server's; {advice}",
        advice = self.advice()
    )]
    Authority {
        /// The broker.
        host: String,
        /// The broker as `subjectAltName` has it.
        name: String,
    },
    /// Out of its time.
    #[error(
        "its certificate has expired on {until}, or this machine's clock ({now}) is wrong; {advice}",
        advice = self.advice()
    )]
    Expired {
        /// Its end.
        until: String,
        /// This machine's time.
        now: String,
    },
    /// Not yet in its time.
    #[error(
        "its certificate is not valid yet (from {from}; this machine's clock shows {now}); {advice}",
        advice = self.advice()
    )]
    NotYetValid {
        /// Its beginning.
        from: String,
        /// This machine's time.
        now: String,
    },
    /// For somebody else.
    #[error(
        "its certificate is for another name than '{host}' ({}); {advice}",
        if names.is_empty() { "it carries none, and a common name alone does not count".to_owned() } else { format!("it carries {}", names.join(", ")) },
        advice = self.advice()
    )]
    WrongName {
        /// The broker.
        host: String,
        /// The broker as `subjectAltName` has it.
        name: String,
        /// What it carries.
        names: Vec<String>,
    },
    /// Of a form of 1988.
    #[error(
        "its certificate is X.509 version 1, which carries no names, as 'openssl x509 -req' makes it without extensions; {advice}",
        advice = self.advice()
    )]
    Version1 {
        /// The broker as `subjectAltName` has it.
        name: String,
    },
    /// Of a key or signature that is not supported.
    #[error(
        "its certificate rests on {what}, which is not supported; {advice}",
        advice = self.advice()
    )]
    Unsupported {
        /// A curve, or the name of an algorithm.
        what: String,
    },
    /// The right name, and another key.
    #[error(
        "its certificate was not signed by the key of '{issuer}' in 'mqtt.tls.ca', which was made anew, or is another of the same name; {advice}",
        advice = self.advice()
    )]
    BadSignature {
        /// Who should have signed it.
        issuer: String,
    },
    /// Otherwise not believed.
    #[error("its certificate is not accepted ({0}); {advice}", advice = self.advice())]
    Other(String),
}

impl Remedied for CertificateTrouble {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::UnknownIssuer { .. } => {
                "set 'mqtt.tls.ca' to that authority's certificate".into()
            }
            Self::SignedItself { host, .. } => {
                format!("if it is the broker's own, set 'mqtt.tls.ca' to a copy of it, by 'openssl s_client -connect {host}:8883 -showcerts </dev/null | openssl x509 -out broker.pem', and compare 'openssl x509 -noout -fingerprint' on both machines").into()
            }
            Self::Authority { host, name, .. } => {
                format!("make one for the broker with 'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj /CN={host} -addext subjectAltName={name} -addext basicConstraints=critical,CA:FALSE -keyout broker.key -out broker.pem', and copy broker.pem to where 'mqtt.tls.ca' points").into()
            }
            Self::Expired { .. } => {
                "have it issued again, and check the clock with 'timedatectl'".into()
            }
            Self::NotYetValid { .. } => {
                "set this machine's clock if it is behind ('timedatectl' shows it)".into()
            }
            Self::WrongName { name, .. } => {
                format!("set 'mqtt.host' to a name that it carries, or have it issued for this one, by 'printf subjectAltName={name} | openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile /dev/stdin -out broker.pem'").into()
            }
            Self::Version1 { name, .. } => {
                format!("issue it again, by 'printf subjectAltName={name} | openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile /dev/stdin -out broker.pem'").into()
            }
            Self::Unsupported { .. } => {
                "have it issued anew, by an authority with such a key too, by 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=broker -keyout broker.key -out broker.csr'".into()
            }
            Self::BadSignature { .. } => "copy its present certificate again".into(),
            Self::Other(_) => "have it issued again".into(),
        })
    }
}

/// rustls' verifier, with reasons for people.
#[derive(Debug)]
pub(super) struct Explaining(pub Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| explained(error, end_entity, server_name, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

/// The same error, with the trouble inside.
fn explained(
    error: Error,
    certificate: &CertificateDer<'_>,
    host: &ServerName<'_>,
    now: UnixTime,
) -> Error {
    let Error::InvalidCertificate(reason) = &error else { return error };
    let looked = Certificate::look(certificate);
    let trouble = trouble(reason, looked.as_ref(), host, now);
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(trouble))))
}

/// What `reason` means for a certificate that is as `looked` says.
fn trouble(
    reason: &CertificateError,
    looked: Option<&Certificate>,
    server: &ServerName<'_>,
    now: UnixTime,
) -> CertificateTrouble {
    use CertificateError as E;
    let host = server.to_str().into_owned();
    let kind = if matches!(server, ServerName::IpAddress(_)) { "IP" } else { "DNS" };
    let name = format!("{kind}:{host}");
    let other = || CertificateTrouble::Other(reason.to_string());
    let Some(looked) = looked else { return other() };
    let issuer = looked.issuer.clone();
    match reason {
        _ if looked.version_1 => CertificateTrouble::Version1 { name },
        E::UnknownIssuer if looked.own_issuer && looked.authority == Some(true) => {
            CertificateTrouble::Authority { host, name }
        }
        E::UnknownIssuer if looked.own_issuer => CertificateTrouble::SignedItself { host },
        E::UnknownIssuer => CertificateTrouble::UnknownIssuer { issuer },
        E::Expired | E::ExpiredContext { .. } => {
            CertificateTrouble::Expired { until: date(looked.until_s), now: date(now.as_secs()) }
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            CertificateTrouble::NotYetValid { from: date(looked.from_s), now: date(now.as_secs()) }
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            CertificateTrouble::WrongName { host, name, names: looked.names.clone() }
        }
        E::BadSignature => CertificateTrouble::BadSignature { issuer },
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            let what = looked.unsupported_key.clone();
            let what = what.unwrap_or_else(|| format!("the signature of '{issuer}'"));
            CertificateTrouble::Unsupported { what }
        }
        E::Other(_) if looked.authority == Some(true) => {
            CertificateTrouble::Authority { host, name }
        }
        _ => other(),
    }
}

/// Seconds since 1970 as a date, RFC 3339.
pub(super) fn date(unix_s: u64) -> String {
    rfc3339(i64::try_from(unix_s).unwrap_or(i64::MAX).saturating_mul(1000))
}
