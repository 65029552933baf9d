//! TLS towards the broker: which authorities are believed, and with which certificate we come.
//!
//! Files → a rustls configuration, or what is wrong with which file. The ring provider is named
//! here and not left to a process-wide default, which a library may not install. Invariant: there
//! is no way to skip the check of the broker's certificate; it is rustls' own, and only its reasons
//! are said in our words. Deliberately absent: judging our own certificate by this machine's clock
//! before a connection; a board without a battery starts in 1970, and the broker judges it anyway.
//! Source: rustls' own documentation.

mod certificate;
mod file;
mod key;
mod verifier;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::{ClientConfig, RootCertStore};

pub use file::{TlsTrouble, Wanted};
pub use verifier::CertificateTrouble;

use super::BrokerError;
use crate::remedy::Advised;
use certificate::Certificate;
use verifier::Explaining;

/// Where Debian keeps the authorities that the system believes.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How the connection is secured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// PEM file of the authorities to believe; `None` means the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of our certificate and its key, for brokers that ask for one.
    pub client: Option<ClientCertificate>,
}

/// Our own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by its intermediates.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// The keys of the configuration that name the files.
const CA: &str = "mqtt.tls.ca";
const CERTIFICATE: &str = "mqtt.tls.cert";
const KEY: &str = "mqtt.tls.key";

impl TlsSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BrokerError::TlsFile`] names the file and what is wrong with it.
    pub(super) fn read(&self) -> Result<Arc<ClientConfig>, BrokerError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ca_file = self.ca_file();
        let other = |error: &dyn std::fmt::Display| {
            unusable(CA, ca_file, TlsTrouble::Damaged(Wanted::Certificate, error.to_string()))
        };
        let roots = Arc::new(self.authorities()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| other(&error))?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| other(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Explaining(verifier)));
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let (chain, key) = client.read(&provider)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let what = error.to_string();
                    let trouble = TlsTrouble::Damaged(Wanted::Certificate, what);
                    unusable(CERTIFICATE, &client.certificate_file, trouble)
                })?
            }
        };
        Ok(Arc::new(config))
    }

    /// Everything that is wrong with the files, `now_s` seconds after 1970: also what keeps nobody
    /// from trying to connect.
    pub(super) fn troubles(&self, now_s: u64) -> Vec<BrokerError> {
        let mut found: Vec<_> = self.doubtful_authority().into_iter().collect();
        if let Some(client) = &self.client {
            let provider = rustls::crypto::ring::default_provider();
            found.extend(client.troubles(&provider, now_s));
        }
        found
    }

    fn ca_file(&self) -> &Path {
        self.ca_file.as_deref().unwrap_or_else(|| Path::new(SYSTEM_AUTHORITIES))
    }

    /// Who is believed; at least one.
    fn authorities(&self) -> Result<RootCertStore, BrokerError> {
        let ca_file = self.ca_file();
        let found = file::certificates(ca_file).map_err(|what| unusable(CA, ca_file, what))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found);
        if roots.is_empty() {
            let what = "no certificate of an authority".to_owned();
            let trouble = TlsTrouble::Damaged(Wanted::Certificate, what);
            return Err(unusable(CA, ca_file, trouble));
        }
        Ok(roots)
    }

    /// What is wrong with the file of authorities, or makes it useless.
    fn doubtful_authority(&self) -> Option<BrokerError> {
        let ca_file = self.ca_file();
        if let Err(error) = self.authorities() {
            return Some(error);
        }
        // Among many of the system's one that cannot be used is no trouble.
        self.ca_file.as_ref()?;
        let all: Vec<Certificate> = file::certificates(ca_file)
            .ok()?
            .iter()
            .filter_map(|der| Certificate::look(der))
            .collect();
        let usable = |one: &&Certificate| one.may_issue() && one.unsupported_key.is_none();
        if all.iter().any(|one| usable(&one)) {
            return None;
        }
        let first = all.into_iter().next()?;
        let trouble = match first.unsupported_key {
            Some(kind) => TlsTrouble::CertificateKind(kind),
            None => TlsTrouble::NoAuthority { subject: first.subject, issuer: first.issuer },
        };
        Some(unusable(CA, ca_file, trouble))
    }
}

impl ClientCertificate {
    /// Certificate and key, which belong together.
    fn read(
        &self,
        provider: &CryptoProvider,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BrokerError> {
        let (chain, key) = self.files()?;
        let about_certificate = |what| unusable(CERTIFICATE, &self.certificate_file, what);
        let about_key = |what| unusable(KEY, &self.key_file, what);
        if let Some(own) = chain.first().and_then(|der| Certificate::look(der)) {
            if own.version_1 {
                return Err(about_certificate(TlsTrouble::Version1));
            }
            if let Some(kind) = own.unsupported_key {
                return Err(about_certificate(TlsTrouble::CertificateKind(kind)));
            }
        }
        let signing = provider
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|_| about_key(TlsTrouble::KeyKind(key::unsupported_private(&key))))?;
        match belongs_to(&*signing, &chain) {
            Some(1) => Ok((chain, key)),
            place => {
                let certificate = self.certificate_file.clone();
                Err(about_key(TlsTrouble::KeyOfAnother { certificate, place }))
            }
        }
    }

    /// Certificate and key, as they are; where both files are wrong, the certificate's trouble.
    fn files(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BrokerError> {
        let chain = file::certificates(&self.certificate_file)
            .map_err(|what| unusable(CERTIFICATE, &self.certificate_file, what))?;
        let key = file::private_key(&self.key_file)
            .map_err(|what| unusable(KEY, &self.key_file, what))?;
        Ok((chain, key))
    }

    fn troubles(&self, provider: &CryptoProvider, now_s: u64) -> Vec<BrokerError> {
        let chain = file::certificates(&self.certificate_file);
        let key = file::private_key(&self.key_file);
        let wrong_certificate = chain.as_ref().err().cloned();
        let mut found: Vec<_> = wrong_certificate
            .map(|what| unusable(CERTIFICATE, &self.certificate_file, what))
            .into_iter()
            .chain(key.as_ref().err().cloned().map(|what| unusable(KEY, &self.key_file, what)))
            .collect();
        if found.is_empty() {
            found.extend(self.read(provider).err());
        }
        let own = chain.ok().and_then(|chain| Certificate::look(chain.first()?));
        let time = own.and_then(|own| match own {
            own if own.until_s < now_s => Some(TlsTrouble::Expired(verifier::date(own.until_s))),
            own if own.from_s > now_s => Some(TlsTrouble::NotYet(verifier::date(own.from_s))),
            _ => None,
        });
        found.extend(time.map(|what| unusable(CERTIFICATE, &self.certificate_file, what)));
        found
    }
}

/// The place, from 1, of the certificate in `chain` to which `key` belongs; 1 where that cannot be
/// told.
fn belongs_to(key: &dyn SigningKey, chain: &[CertificateDer<'_>]) -> Option<usize> {
    let Some(public_key) = key.public_key() else { return Some(1) };
    let looked: Vec<_> = chain.iter().map(|der| Certificate::look(der)).collect();
    if looked.iter().any(Option::is_none) {
        // rustls compares them, too.
        return Some(1);
    }
    let mut found = (1..).zip(looked.iter().flatten());
    let same = |one: &Certificate| one.public_key == public_key.as_ref();
    found.find(|(_, one)| same(one)).map(|(place, _)| place)
}

/// The certificates and the private key in two files, for whoever serves by them.
///
/// # Errors
/// Which file, what is wrong with it, and what helps.
pub(crate) fn certificate_and_key(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), (PathBuf, Advised)> {
    let told = |path: &Path, trouble: &TlsTrouble| (path.to_owned(), trouble.told(path));
    let chain = file::certificates(certificate).map_err(|what| told(certificate, &what))?;
    let private = file::private_key(key).map_err(|what| told(key, &what))?;
    Ok((chain, private))
}

fn unusable(key: &'static str, file: &Path, trouble: TlsTrouble) -> BrokerError {
    BrokerError::TlsFile { key, file: file.to_owned(), trouble }
}
