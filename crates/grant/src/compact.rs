//! Takes the compact form of a JSON Web Signature apart (RFC 7515, section 3.1).
//!
//! In: the bytes of a message. Out: its three parts, each known to be canonical base64url without
//! padding; what the signature covers; the signature's 64 bytes.
//! Always: one message has one writing: other letters, padding, space and unused bits that are not
//! zero are refused, so that a changed copy of a grant is not one.
//! Deliberately absent: the JSON serialisations of RFC 7515, and detached payloads (RFC 7797).

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::Refusal;

/// The longest message that is looked at, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// The longest part after decoding, in bytes.
pub(crate) const PART_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 4 * 3;

/// A message taken apart; all parts are canonical base64url.
pub(crate) struct Compact<'a> {
    /// The header, still encoded.
    pub(crate) header: &'a [u8],
    /// The claims, still encoded.
    pub(crate) payload: &'a [u8],
    /// What the signature covers: both, and the dot between them.
    pub(crate) signed: &'a [u8],
    /// The signature; `None` where its length is another one.
    pub(crate) signature: Option<[u8; 64]>,
}

impl<'a> Compact<'a> {
    /// Takes `message` apart; `part` is room to decode in.
    ///
    /// # Errors
    /// `Oversized`, `Malformed`.
    pub(crate) fn parse(
        message: &'a [u8],
        part: &mut [u8; PART_BYTES_MAX],
    ) -> Result<Self, Refusal> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Refusal::Oversized);
        }
        let mut parts = message.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Malformed);
        };
        decode(header, part)?;
        decode(payload, part)?;
        let signature = decode(signature, part)?.try_into().ok();
        let signed = message.get(..=header.len() + payload.len()).ok_or(Refusal::Malformed)?;
        Ok(Self { header, payload, signed, signature })
    }
}

/// The bytes that a part stands for.
///
/// # Errors
/// `Malformed` where it is not canonical base64url without padding.
pub(crate) fn decode<'p>(
    text: &[u8],
    part: &'p mut [u8; PART_BYTES_MAX],
) -> Result<&'p [u8], Refusal> {
    Base64UrlUnpadded::decode(text, part).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<usize> {
        decode(text.as_bytes(), &mut [0; PART_BYTES_MAX]).ok().map(<[u8]>::len)
    }

    #[test]
    fn only_canonical_base64url_is_decoded() {
        assert_eq!(decoded(""), Some(0));
        assert_eq!(decoded("AA"), Some(1));
        assert_eq!(decoded("_-8"), Some(2));
        for wrong in
            ["A", "AAAAA", "AB", "AAB", "AA==", "AA=", "+/8", " AA", "AA\n", "A A", "\u{e9}A"]
        {
            assert_eq!(decoded(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_longest_message_has_room() {
        let mut message = [b'A'; MESSAGE_BYTES_MAX];
        message[1020] = b'.';
        message[1021] = b'.';
        message[1023] = b'Q';
        let mut part = [0; PART_BYTES_MAX];
        message[1022] = b'A';
        let compact = Compact::parse(&message, &mut part).ok();
        assert_eq!(compact.map(|it| (it.header.len(), it.signed.len())), Some((1020, 1021)));
    }
}
