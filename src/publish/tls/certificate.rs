//! What is in a certificate: who it is for, who issued it, until when, and what its key is.
//!
//! In: DER. Out: [`Certificate`], for sentences to people; nothing is believed because of it, which
//! is rustls' business alone. Invariant: texts of a stranger's certificate are cut and carry no
//! control characters, because they go into logs. Source: RFC 5280.

use std::net::IpAddr;

use x509_cert::certificate::Version;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::key;

/// Characters of a name that are repeated.
const NAME_LENGTH_MAX: usize = 80;
/// Names that are repeated.
const NAMES_MAX: usize = 6;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Version 1 has no extensions, and with them no names.
    pub version_1: bool,
    /// Whom it is of.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Whether it says that it issued itself.
    pub own_issuer: bool,
    /// Whether it is an authority's: `None` where it does not say.
    pub authority: Option<bool>,
    /// The names and addresses that it is for, as `subjectAltName` lists them.
    pub names: Vec<String>,
    /// When its time begins, in seconds since 1970.
    pub from_s: u64,
    /// When its time ends, in seconds since 1970.
    pub until_s: u64,
    /// What its key is, where it is of no kind that is supported.
    pub unsupported_key: Option<String>,
    /// Its public key, as DER of `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

impl Certificate {
    /// Looks into `der`; `None` where it is no certificate.
    pub(super) fn look(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let told = certificate.tbs_certificate();
        let constraints = told.get_extension::<BasicConstraints>().ok().flatten();
        let names = told.get_extension::<SubjectAltName>().ok().flatten();
        let info = told.subject_public_key_info();
        let validity = told.validity();
        Some(Self {
            version_1: told.version() == Version::V1,
            subject: cleaned(&told.subject().to_string()),
            issuer: cleaned(&told.issuer().to_string()),
            own_issuer: told.subject() == told.issuer(),
            authority: constraints.map(|(_, constraints)| constraints.ca),
            names: names.map(|(_, SubjectAltName(names))| listed(&names)).unwrap_or_default(),
            from_s: validity.not_before.to_unix_duration().as_secs(),
            until_s: validity.not_after.to_unix_duration().as_secs(),
            unsupported_key: unsupported(&info.algorithm, info.subject_public_key.raw_bytes()),
            public_key: info.to_der().ok()?,
        })
    }

    /// Whether it is an authority's or may be taken for one: version 1 says nothing about it, and
    /// what issued itself is its own.
    pub(super) fn may_issue(&self) -> bool {
        self.own_issuer || self.version_1 || self.authority == Some(true)
    }
}

fn unsupported(algorithm: &AlgorithmIdentifierOwned, public_key: &[u8]) -> Option<String> {
    let parameters = algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
    key::unsupported(algorithm.oid, parameters, || key::rsa_bits_of_public(public_key))
}

fn listed(names: &[GeneralName]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(cleaned(name.as_str())),
            GeneralName::IpAddress(octets) => {
                let octets = octets.as_bytes();
                let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
                address.ok().map(|address| address.to_string())
            }
            _ => None,
        })
        .take(NAMES_MAX)
        .collect()
}

/// A stranger's text, fit for a log.
fn cleaned(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_LENGTH_MAX).collect()
}
