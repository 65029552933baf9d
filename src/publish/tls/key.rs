//! What a key is, where rustls cannot use it.
//!
//! In: the DER of a private key, or the algorithm of a public one. Out: the name of its kind, such
//! as `secp521r1`, or nothing where it is of a kind that ring supports: RSA of 2048 to 4096 bits,
//! ECDSA on P-256 and P-384, Ed25519. Invariant: nothing of the key itself is in the answer.
//! Sources: RFC 5958 (PKCS#8), RFC 5915 (SEC 1), RFC 8017 (PKCS#1), the documentation of ring.

use rustls::pki_types::PrivateKeyDer;
use x509_cert::der::asn1::{ContextSpecific, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{self, AnyRef, Decode as _, Reader, SliceReader, TagNumber};
use x509_cert::spki::AlgorithmIdentifierRef;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Bits of an RSA key that ring signs with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Object identifiers of curves that are supported.
const CURVES: [&str; 2] = ["1.2.840.10045.3.1.7", "1.3.132.0.34"];
/// What people have made keys of, by object identifier.
const NAMES: [(&str, &str); 12] = [
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10045.3.1.1", "prime192v1"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.132.0.33", "secp224r1"),
    ("1.3.132.0.35", "secp521r1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.156.10197.1.301", "SM2"),
];

/// What the private key is, where it is of no kind that is supported; `None` too where it cannot
/// be told.
pub(super) fn unsupported_private(key: &PrivateKeyDer<'_>) -> Option<String> {
    match key {
        PrivateKeyDer::Pkcs1(key) => rsa(rsa_bits_of_private(key.secret_pkcs1_der())),
        PrivateKeyDer::Sec1(key) => sec1_curve(key.secret_sec1_der()).ok().and_then(curve),
        PrivateKeyDer::Pkcs8(key) => {
            let (algorithm, inner) = pkcs8(key.secret_pkcs8_der()).ok()?;
            let parameters = algorithm.parameters.and_then(|any| any.decode_as().ok());
            unsupported(algorithm.oid, parameters, || rsa_bits_of_private(inner))
        }
        _ => None,
    }
}

/// What a key of `algorithm` is, where it is of no kind that is supported.
pub(super) fn unsupported(
    algorithm: ObjectIdentifier,
    parameters: Option<ObjectIdentifier>,
    rsa_bits: impl FnOnce() -> Option<usize>,
) -> Option<String> {
    match algorithm {
        RSA => rsa(rsa_bits()),
        EC => curve(parameters?),
        ED25519 => None,
        other => Some(name(other)),
    }
}

fn rsa(bits: Option<usize>) -> Option<String> {
    bits.filter(|bits| !RSA_BITS.contains(bits)).map(|bits| format!("RSA with {bits} bits"))
}

fn curve(curve: ObjectIdentifier) -> Option<String> {
    let known = CURVES.iter().any(|text| curve.to_string() == *text);
    (!known).then(|| name(curve))
}

fn name(identifier: ObjectIdentifier) -> String {
    let text = identifier.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == text);
    known.map_or(text, |(_, name)| (*name).to_owned())
}

/// Bits of the modulus of `RSAPublicKey`.
pub(super) fn rsa_bits_of_public(der: &[u8]) -> Option<usize> {
    sequence(der, |inside| bits(inside)).ok()
}

/// Bits of the modulus of `RSAPrivateKey`.
fn rsa_bits_of_private(der: &[u8]) -> Option<usize> {
    let modulus = |inside: &mut SliceReader<'_>| {
        let _version = u8::decode(inside)?;
        bits(inside)
    };
    sequence(der, modulus).ok()
}

fn bits(inside: &mut SliceReader<'_>) -> der::Result<usize> {
    let modulus = UintRef::decode(inside)?;
    let bytes = modulus.as_bytes();
    let unused = bytes.first().map_or(0, |first| first.leading_zeros() as usize);
    Ok((bytes.len() * 8).saturating_sub(unused))
}

/// The curve that `ECPrivateKey` names.
fn sec1_curve(der: &[u8]) -> der::Result<ObjectIdentifier> {
    sequence(der, |inside| {
        let _version = u8::decode(inside)?;
        let _secret = <&OctetStringRef>::decode(inside)?;
        let curve = ContextSpecific::<ObjectIdentifier>::decode_explicit(inside, TagNumber(0))?;
        curve.map(|curve| curve.value).ok_or_else(|| der::ErrorKind::Failed.into())
    })
}

/// The algorithm of `PrivateKeyInfo`, and the key inside.
fn pkcs8(der: &[u8]) -> der::Result<(AlgorithmIdentifierRef<'_>, &[u8])> {
    sequence(der, |inside| {
        let _version = u8::decode(inside)?;
        let algorithm = AlgorithmIdentifierRef::decode(inside)?;
        let key = <&OctetStringRef>::decode(inside)?;
        Ok((algorithm, key.as_bytes()))
    })
}

/// Reads the first fields of a sequence; those that follow are passed over.
fn sequence<'a, T>(
    der: &'a [u8],
    read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
) -> der::Result<T> {
    let whole = AnyRef::from_der(der)?;
    let mut inside = SliceReader::new(whole.value())?;
    let read = read(&mut inside)?;
    let _rest = inside.read_slice(inside.remaining_len())?;
    Ok(read)
}
