//! The certificate by which the page is encrypted: one that somebody else made, or the door's own.
//!
//! In: the configuration. Out: rustls' configuration and the certificate's SHA-256, by which a person
//! compares what the browser shows. The door's own is made at the first start, with a key on the curve
//! P-256, and lies beside the database, the key readable by its owner alone. It has no end: a board's
//! clock may be wrong, and a certificate that nobody signed is believed by its fingerprint alone.
//! Invariant: an own certificate that is there is used as it is, so that its fingerprint stays.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;

use super::ServeError;
use crate::config::{Config, Encryption};
use crate::durable;
use crate::inference::sha256_hex;
use crate::publish::tls;

/// Names of the door's own files.
const CERTIFICATE: &str = "page.crt";
const KEY: &str = "page.key";

/// How the page is encrypted.
pub(super) struct Encrypting {
    pub config: Arc<ServerConfig>,
    pub fingerprint: String,
}

/// Where certificate and key lie; `None` where the page is not encrypted.
#[must_use]
pub fn places(config: &Config) -> Option<(PathBuf, PathBuf)> {
    match config.serve.tls {
        Encryption::Off => None,
        Encryption::SelfSigned => {
            let beside = |name| config.store.path.with_file_name(name);
            Some((beside(CERTIFICATE), beside(KEY)))
        }
        Encryption::Certificate => config.serve.certificate.clone().zip(config.serve.key.clone()),
    }
}

/// The SHA-256 of the page's certificate in pairs of hexadecimal digits, as browsers show it; `None`
/// where the page is not encrypted, or its own certificate was not made yet.
///
/// # Errors
/// [`ServeError::Certificate`]: it cannot be read or used.
pub fn fingerprint(config: &Config) -> Result<Option<String>, ServeError> {
    let Some((certificate, key)) = places(config) else { return Ok(None) };
    if config.serve.tls == Encryption::SelfSigned && !certificate.exists() {
        return Ok(None);
    }
    Ok(Some(read(&certificate, &key)?.fingerprint))
}

/// What the page is encrypted with; makes the door's own where it is to have one and has none.
///
/// # Errors
/// [`ServeError::Certificate`]: a file cannot be read, written or used.
pub(super) fn open(config: &Config) -> Result<Option<Encrypting>, ServeError> {
    let Some((certificate, key)) = places(config) else { return Ok(None) };
    if config.serve.tls == Encryption::SelfSigned && !certificate.exists() {
        make(config, &certificate, &key)?;
    }
    read(&certificate, &key).map(Some)
}

fn wrong(file: &Path, what: impl std::fmt::Display, remedy: impl Into<String>) -> ServeError {
    let what = what.to_string();
    ServeError::Certificate { file: file.to_owned(), what, remedy: remedy.into() }
}

fn read(certificate: &Path, key: &Path) -> Result<Encrypting, ServeError> {
    let (chain, private) = tls::certificate_and_key(certificate, key)
        .map_err(|(file, advised)| wrong(&file, advised.what, advised.remedy))?;
    let fingerprint = chain.first().map(|der| spaced(&sha256_hex(der))).unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: rustls::Error| {
        wrong(certificate, error, "give a certificate and the private key that belongs to it")
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Encrypting { config: Arc::new(config), fingerprint })
}

/// `hex` in pairs with colons between them.
fn spaced(hex: &str) -> String {
    let pairs: Vec<&str> = (0..hex.len()).step_by(2).filter_map(|at| hex.get(at..at + 2)).collect();
    pairs.join(":").to_uppercase()
}

fn make(config: &Config, certificate: &Path, key: &Path) -> Result<(), ServeError> {
    let remedy = "its folder must belong to the user that runs deepid-edge";
    let own = |error: rcgen::Error| wrong(certificate, error, "check serve.names");
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(config.serve.names.iter().cloned());
    if let Some(address) = config.serve.listen.as_deref()
        && let Ok(address) = address.parse::<std::net::SocketAddr>()
        && !address.ip().is_unspecified()
    {
        names.push(address.ip().to_string());
    }
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names).map_err(own)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("deepid-edge {}", config.door.id));
    let pair = KeyPair::generate().map_err(own)?;
    let made = params.self_signed(&pair).map_err(own)?;
    // The key first: a certificate without its key would be used for ever.
    private(key, pair.serialize_pem().as_bytes()).map_err(|error| wrong(key, error, remedy))?;
    durable::write(certificate, made.pem().as_bytes())
        .map_err(|error| wrong(certificate, error, remedy))
}

/// Writes a file that its owner alone may read.
fn private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = durable::beside(path, ".new").ok_or(std::io::ErrorKind::InvalidInput)?;
    // Of a start that was cut short.
    let _absent = std::fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    durable::put(&file, &new, path)?;
    durable::sync_folder_of(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Flag, Sources};

    fn config(folder: &Path) -> Config {
        let path = folder.join("door.db").display().to_string();
        let flags = [("store.path", path.as_str()), ("serve.tls", "self-signed")];
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    #[test]
    fn an_own_certificate_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        assert_eq!(fingerprint(&config).unwrap(), None, "looking makes nothing");
        let first = open(&config).unwrap().unwrap().fingerprint;
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(open(&config).unwrap().unwrap().fingerprint, first);
        assert_eq!(fingerprint(&config).unwrap(), Some(first));
        let key = folder.path().join(KEY);
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&key, "nonsense").unwrap();
        let error = open(&config).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(KEY), "{error}");
    }
}
