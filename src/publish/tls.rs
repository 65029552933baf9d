//! TLS towards the broker: which authorities are believed, and with which certificate we come.
//!
//! Files → a rustls configuration. The ring provider is named here and not left to a process-wide
//! default, which a library may not install. Invariant: there is no way to skip the check of the
//! broker's certificate. Source: rustls' own documentation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::BrokerError;

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

impl TlsSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// [`BrokerError::TlsFile`] names the file and what is wrong with it.
    pub(super) fn read(&self) -> Result<Arc<ClientConfig>, BrokerError> {
        let ca_file = self.ca_file.as_deref().unwrap_or_else(|| Path::new(SYSTEM_AUTHORITIES));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(ca_file)?);
        if roots.is_empty() {
            return Err(unusable(ca_file, &"it holds no certificate of an authority"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(ca_file, &error))?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let key = PrivateKeyDer::from_pem_file(&client.key_file)
                    .map_err(|error| unusable(&client.key_file, &error))?;
                builder
                    .with_client_auth_cert(certificates(&client.certificate_file)?, key)
                    .map_err(|error| unusable(&client.certificate_file, &error))?
            }
        };
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(file, &error))?;
    if found.is_empty() {
        return Err(unusable(file, &"it holds no certificate in PEM form"));
    }
    Ok(found)
}

fn unusable(file: &Path, what: &dyn std::fmt::Display) -> BrokerError {
    BrokerError::TlsFile { file: file.to_owned(), what: what.to_string() }
}
