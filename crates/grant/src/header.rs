//! The header of a grant: the algorithm, the type, and which key; nothing else may be in it.
//!
//! In: the decoded first part. Out: the `kid`, still as text, or why not.
//! Always: what the algorithm is, is decided here and never by the message (RFC 8725, section 3.1).
//! Deliberately absent: keys, links to keys and certificates in a header (`jwk`, `jku`, `x5c`), and
//! `crit`: a member that is not one of the three is a reason to refuse.

use crate::Refusal;
use crate::json::{Object, Text, Value};

/// `typ` of a grant.
pub(crate) const TYPE: &str = "deepid-grant+jwt";
/// `alg` of a grant: Ed25519 (RFC 8037).
pub(crate) const ALGORITHM: &str = "EdDSA";

/// Which key a message says that it was signed with.
///
/// # Errors
/// `Malformed`, `UnsupportedAlgorithm`, `UnsupportedHeader`, looked for in this order.
pub(crate) fn key_id(header: &[u8]) -> Result<Text<'_>, Refusal> {
    let object = Object::parse(header).ok_or(Refusal::Malformed)?;
    if object.repeats_a_name() {
        return Err(Refusal::UnsupportedHeader);
    }
    let member = |wanted: &str| object.members().find(|(name, _)| name.is(wanted)).map(|(_, v)| v);
    let is = |name: &str, wanted: &str| {
        member(name).and_then(Value::text).is_some_and(|text| text.is(wanted))
    };
    if !is("alg", ALGORITHM) {
        return Err(Refusal::UnsupportedAlgorithm);
    }
    let known = |name: Text<'_>| ["alg", "kid", "typ"].iter().any(|known| name.is(known));
    if !is("typ", TYPE) || !object.members().all(|(name, _)| known(name)) {
        return Err(Refusal::UnsupportedHeader);
    }
    member("kid").and_then(Value::text).ok_or(Refusal::UnsupportedHeader)
}
