//! The files of TLS as people make them: PEM where it should be, and what it is where it is not.
//!
//! In: a path. Out: certificates or a private key, or [`TlsTrouble`], one for each way in which
//! such a file has been got wrong, with the command that mends it. Invariants: at most
//! [`BYTES_MAX`] bytes are read; nothing of a key is in an error. Source of PEM: RFC 7468.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;
use crate::publish::diagnosis::unreadable;
use crate::remedy::Advised;
use crate::secret::is_utf16;

/// More than all authorities that a system believes.
const BYTES_MAX: usize = 4 << 20;
const BEGIN: &str = "-----BEGIN ";

/// What a file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One or more certificates.
    Certificate,
    /// One private key.
    Key,
}

/// What is wrong with a file of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsTrouble {
    /// The system does not give it.
    Unreadable(Advised),
    /// No file of this kind is so large.
    TooLarge,
    /// Nothing is in it.
    Empty,
    /// Text of Windows.
    Utf16,
    /// In DER form, where PEM is read; what it holds.
    Der(Wanted),
    /// Certificate and key in one encrypted file.
    Pkcs12(Wanted),
    /// Neither PEM nor DER.
    NotPem(Wanted),
    /// PEM that is cut short or damaged.
    Damaged(Wanted, String),
    /// PEM of something else, by its label.
    Holds {
        /// What it should hold.
        wanted: Wanted,
        /// What it holds, such as `PRIVATE KEY`.
        label: String,
    },
    /// A key under a passphrase.
    Encrypted,
    /// A key of a kind that is not supported, by its name; `None` where it cannot be told.
    KeyKind(Option<String>),
    /// A certificate whose key is of a kind that is not supported.
    CertificateKind(String),
    /// The key of another certificate.
    KeyOfAnother {
        /// The certificate's file.
        certificate: PathBuf,
        /// The place in that file of the certificate to which it belongs, if there is one.
        place: Option<usize>,
    },
    /// A certificate without extensions.
    Version1,
    /// Not the certificate of an authority.
    NoAuthority {
        /// Whose it is.
        subject: String,
        /// Who issued it.
        issuer: String,
    },
    /// Out of its time since then (RFC 3339).
    Expired(String),
    /// Not in its time before then (RFC 3339).
    NotYet(String),
}

impl TlsTrouble {
    /// What is wrong, to stand after the name of `file`, and what helps.
    pub(crate) fn told(&self, file: &Path) -> Advised {
        let path = quoted(file);
        let plain = quoted(&beside(file, "plain"));
        match self {
            Self::Unreadable(what) => what.clone(),
            Self::TooLarge => {
                Advised::new(format!("larger than {BYTES_MAX} bytes"), "name another file")
            }
            Self::Empty => Advised::new("it is empty", "copy it again"),
            Self::Utf16 => Advised::new(
                "it is UTF-16 text",
                format!("make it plain with 'iconv -f UTF-16 -t UTF-8 {path} > {plain}'"),
            ),
            Self::Der(Wanted::Certificate) => Advised::new(
                "it is a certificate in DER form, and PEM is read",
                format!("convert it with 'openssl x509 -inform DER -in {path} -out {plain}'"),
            ),
            Self::Der(Wanted::Key) => Advised::new(
                "it is a key in DER form, and PEM is read",
                format!("convert it with 'openssl pkey -inform DER -in {path} -out {plain}'"),
            ),
            Self::Pkcs12(Wanted::Certificate) => Advised::new(
                "it is PKCS#12 (.p12, .pfx), and PEM is read",
                format!(
                    "take the certificate out with 'openssl pkcs12 -in {path} -nokeys -out {plain}'"
                ),
            ),
            Self::Pkcs12(Wanted::Key) => Advised::new(
                "it is PKCS#12 (.p12, .pfx), and PEM is read",
                format!(
                    "take the key out with 'openssl pkcs12 -in {path} -nocerts -nodes -out {plain}'"
                ),
            ),
            Self::NotPem(wanted) => Advised::new(
                format!("it is no {}", wanted.name()),
                format!("its first line should be '-----BEGIN {}-----'", wanted.label()),
            ),
            Self::Damaged(wanted, what) => Advised::new(
                format!("the {} in it is damaged ({what})", wanted.name()),
                "copy the file again, whole",
            ),
            Self::Holds { wanted, label } => holds(*wanted, label, &path, &plain),
            Self::Encrypted => Advised::new(
                "the key is encrypted, and nobody is there to type its passphrase",
                format!(
                    "take that off with 'openssl pkey -in {path} -out {plain}', then give that file to the service alone"
                ),
            ),
            Self::KeyKind(kind) => Advised::new(
                format!(
                    "the key is {}, which is not supported",
                    kind.as_deref().unwrap_or("of an unknown kind")
                ),
                format!(
                    "make one on P-256, and have a certificate issued for it, by 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=door -keyout {plain} -out door.csr'"
                ),
            ),
            Self::CertificateKind(kind) => Advised::new(
                format!("its key is {kind}, which is not supported"),
                "have one issued with a key on P-256, by 'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=door -keyout new.key -out new.csr'",
            ),
            Self::KeyOfAnother { certificate, place: Some(place) } => Advised::new(
                format!("it belongs to certificate {place} of {}", certificate.display()),
                "the door's own must stand first there, followed by those that issued it",
            ),
            Self::KeyOfAnother { certificate, place: None } => Advised::new(
                format!("it is the key of another certificate than {}", certificate.display()),
                format!(
                    "compare what these two print, 'openssl pkey -in {path} -pubout' and 'openssl x509 -in {} -noout -pubkey'",
                    quoted(certificate)
                ),
            ),
            Self::Version1 => Advised::new(
                "it is an X.509 version 1 certificate, which is not supported",
                format!(
                    "issue it again with extensions, by 'printf basicConstraints=CA:FALSE | openssl x509 -req -in door.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile /dev/stdin -out {plain}'"
                ),
            ),
            Self::NoAuthority { subject, issuer } => Advised::new(
                format!("it is the certificate of '{subject}', which is no authority"),
                format!("name the certificate of its issuer, '{issuer}'"),
            ),
            Self::Expired(until) => Advised::new(
                format!("it expired on {until}"),
                format!(
                    "have it issued again ('openssl x509 -in {path} -noout -dates' shows its dates)"
                ),
            ),
            Self::NotYet(from) => Advised::new(
                format!("it is not valid before {from}"),
                "check this machine's clock with 'timedatectl'",
            ),
        }
    }
}

/// PEM of another kind than is wanted.
fn holds(wanted: Wanted, label: &str, path: &str, plain: &str) -> Advised {
    let key = label.ends_with("PRIVATE KEY");
    match (wanted, label) {
        (Wanted::Key, "OPENSSH PRIVATE KEY") => Advised::new(
            "it is a key of SSH, and none of TLS",
            format!(
                "make one with 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {plain}'"
            ),
        ),
        (Wanted::Key, "CERTIFICATE") => Advised::new(
            "it holds a certificate where the private key should be",
            "name the key, and the certificate in 'mqtt.tls.cert'",
        ),
        (Wanted::Key, "PUBLIC KEY") => {
            Advised::new("it holds a public key", "name the private one")
        }
        (Wanted::Certificate, "TRUSTED CERTIFICATE" | "X509 CERTIFICATE") => Advised::new(
            format!("it holds a certificate in OpenSSL's own form ({label})"),
            format!("convert it with 'openssl x509 -in {path} -out {plain}'"),
        ),
        (Wanted::Certificate, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") => Advised::new(
            "it holds a request for a certificate, which an authority has to sign",
            format!(
                "let it, by 'openssl x509 -req -in {path} -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 825 -out {plain}'"
            ),
        ),
        (Wanted::Certificate, _) if key => Advised::new(
            "it holds a private key where a certificate should be",
            "name the certificate, and the key in 'mqtt.tls.key'",
        ),
        (Wanted::Certificate, "PKCS7") => Advised::new(
            "it holds PKCS#7",
            format!(
                "take the certificates out with 'openssl pkcs7 -in {path} -print_certs -out {plain}'"
            ),
        ),
        _ => Advised::new(
            format!("it holds '{label}'"),
            format!("name the file with '-----BEGIN {}-----'", wanted.label()),
        ),
    }
}

impl Wanted {
    const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "CERTIFICATE",
            Self::Key => "PRIVATE KEY",
        }
    }
}

/// The certificates in `file`, at least one, each of them readable.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsTrouble> {
    let wanted = Wanted::Certificate;
    let (content, labels) = read(file, wanted)?;
    let found: Vec<_> = sections(&content, wanted)?
        .into_iter()
        .filter_map(|(kind, der)| {
            (kind == SectionKind::Certificate).then(|| CertificateDer::from(der))
        })
        .collect();
    if found.is_empty() {
        return Err(TlsTrouble::Holds { wanted, label: first(&labels, wanted) });
    }
    Ok(found)
}

/// The private key in `file`.
pub(super) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsTrouble> {
    let wanted = Wanted::Key;
    let (content, labels) = read(file, wanted)?;
    let headed = content.windows(b"Proc-Type: 4,ENCRYPTED".len());
    if labels.iter().any(|label| label == "ENCRYPTED PRIVATE KEY")
        || headed.into_iter().any(|text| text == b"Proc-Type: 4,ENCRYPTED")
    {
        return Err(TlsTrouble::Encrypted);
    }
    let key = sections(&content, wanted)?
        .into_iter()
        .find_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    key.ok_or_else(|| TlsTrouble::Holds { wanted, label: first(&labels, wanted) })
}

/// The bytes of `file` and the labels of its PEM sections, at least one.
fn read(file: &Path, wanted: Wanted) -> Result<(Vec<u8>, Vec<String>), TlsTrouble> {
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(limit).read_to_end(&mut content))
        .map_err(|error| TlsTrouble::Unreadable(unreadable(file, &error)))?;
    if content.len() > BYTES_MAX {
        return Err(TlsTrouble::TooLarge);
    }
    if content.trim_ascii().is_empty() {
        return Err(TlsTrouble::Empty);
    }
    if is_utf16(&content) {
        return Err(TlsTrouble::Utf16);
    }
    let content = content.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(content);
    let labels = labels(&content);
    if !labels.is_empty() {
        return Ok((content, labels));
    }
    Err(match content.as_slice() {
        der if is_pkcs12(der) => TlsTrouble::Pkcs12(wanted),
        der if Certificate::look(der).is_some() => match wanted {
            Wanted::Certificate => TlsTrouble::Der(wanted),
            Wanted::Key => TlsTrouble::Holds { wanted, label: "CERTIFICATE".to_owned() },
        },
        [0x30, ..] if PrivateKeyDer::try_from(content.as_slice()).is_ok() => match wanted {
            Wanted::Key => TlsTrouble::Der(wanted),
            Wanted::Certificate => TlsTrouble::Holds { wanted, label: "PRIVATE KEY".to_owned() },
        },
        _ => TlsTrouble::NotPem(wanted),
    })
}

/// `PFX ::= SEQUENCE { version INTEGER (3), … }`, RFC 7292.
fn is_pkcs12(der: &[u8]) -> bool {
    let ([0x30, 0x80, inside @ ..]
    | [0x30, 0x81, _, inside @ ..]
    | [0x30, 0x82, _, _, inside @ ..]) = der
    else {
        return false;
    };
    inside.starts_with(&[0x02, 0x01, 0x03])
}

fn labels(content: &[u8]) -> Vec<String> {
    content
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| {
            let line = String::from_utf8_lossy(line);
            let label = line.trim().strip_prefix(BEGIN)?.strip_suffix("-----")?;
            Some(label.chars().filter(|c| !c.is_control()).take(40).collect())
        })
        .collect()
}

/// The label that tells best what a file holds that is not what is wanted.
fn first(labels: &[String], wanted: Wanted) -> String {
    let telling = labels.iter().find(|label| !label.ends_with("PARAMETERS"));
    telling.or(labels.first()).cloned().unwrap_or_else(|| wanted.label().to_owned())
}

fn sections(content: &[u8], wanted: Wanted) -> Result<Vec<(SectionKind, Vec<u8>)>, TlsTrouble> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(content).collect::<Result<_, _>>().map_err(|error| {
        let what = match error {
            pem::Error::MissingSectionEnd { .. } => "its end is missing",
            pem::Error::IllegalSectionStart { .. } => "its first line is broken",
            _ => "it is no base64",
        };
        TlsTrouble::Damaged(wanted, what.to_owned())
    })
}

/// `file` with another ending.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let old = file.extension().map(|old| old.to_string_lossy().into_owned());
    file.with_extension(old.map_or_else(|| ending.to_owned(), |old| format!("{ending}.{old}")))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.chars().all(plain) { text } else { format!("\"{text}\"") }
}
