//! One message of the table: a real grant, and what was done to it.
//!
//! In: the words of one message. Out: its bytes, and what they say about the listener.
//! Order: claims and header are edited as text, then encoded and spoilt as parts, then signed as they
//! then stand, unless the words ask for an old signature, and at last the whole message is spoilt.
//! Deliberately absent: JSON libraries: what is written here is wrong on purpose.

use base64ct::{Base64Url, Base64UrlUnpadded, Encoding};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use deepid_grant::Signer;
use sha2::{Digest, Sha256, Sha512};

use super::ISSUED;

const DOOR_SEED: [u8; 32] = [1; 32];
const OTHER_SEED: [u8; 32] = [2; 32];
/// A point of order 4, as it is written: y = 0.
const SMALL_ORDER: [u8; 32] = [0; 32];
/// The order of the group, little end first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The keys of the table; none is a secret.
pub struct Keys {
    door: Signer,
    other: Signer,
}

impl Keys {
    /// Always the same ones.
    pub fn fixed() -> Self {
        let from = |seed| Signer::from_seed(seed).expect("a seed");
        Self { door: from(&DOOR_SEED), other: from(&OTHER_SEED) }
    }

    /// The public key that listeners trust.
    pub fn door_public(&self) -> [u8; 32] {
        *self.door.public().bytes()
    }

    fn named(&self, name: &str) -> [u8; 32] {
        match name {
            "other" => *self.other.public().bytes(),
            "small" => SMALL_ORDER,
            "small8" => small("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            "small8-" => small("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            "identity" => small(&format!("01{}", "00".repeat(31))),
            "minus-one" => small(&format!("ec{}7f", "ff".repeat(30))),
            "large" => hex(&format!("ee{}7f", "ff".repeat(30))).try_into().expect("32 bytes"),
            _ => panic!("no key '{name}'"),
        }
    }

    fn id(&self, name: &str) -> String {
        match name {
            "other" => self.other.public().id().to_owned(),
            _ => thumbprint(&self.named(name)),
        }
    }
}

/// What is done to one grant, and how its listener stands.
pub struct Edits {
    pub again: bool,
    pub every_prefix: bool,
    pub nonce: Option<String>,
    pub now: Option<u64>,
    pub resume_after: Option<u64>,
    pub trusts: Vec<[u8; 32]>,
    header: Vec<(String, String)>,
    header_text: Option<String>,
    claims: Vec<(String, String)>,
    payload: Option<Vec<u8>>,
    between: &'static str,
    fill: Option<usize>,
    signing: Signing,
    parts: Vec<Vec<String>>,
    whole: Vec<Vec<String>>,
}

enum Signing {
    Door,
    Other,
    Small,
    Old,
    Mac(Vec<u8>),
    None,
    Spoilt(String),
}

impl Edits {
    /// Reads the words of one message; `number` is its place among those of its case.
    pub fn read(keys: &Keys, words: &str, number: u64) -> Self {
        let mut edits = Self::none(keys);
        for edit in words.split(" & ").map(str::trim) {
            let (verb, rest) = edit.split_once(' ').unwrap_or((edit, ""));
            edits.apply(keys, verb, rest, number);
        }
        edits
    }

    fn none(keys: &Keys) -> Self {
        let text = |name: &str, value: &str| (name.to_owned(), format!("\"{value}\""));
        let whole = |name: &str, value: i64| (name.to_owned(), value.to_string());
        Self {
            again: false,
            every_prefix: false,
            nonce: None,
            now: Some(ISSUED as u64 + 1),
            resume_after: None,
            trusts: Vec::new(),
            header: vec![
                text("alg", "EdDSA"),
                text("kid", keys.door.public().id()),
                text("typ", "deepid-grant+jwt"),
            ],
            header_text: None,
            claims: vec![
                text("iss", "front"),
                text("sub", "s-4f9a1c"),
                text("jti", "0196f3c2-0a0b-7c0d-8e0f-101112131415"),
                whole("iat", ISSUED),
                whole("exp", ISSUED + 5),
                whole("seq", 42),
                text("boot", "7c0d2f6a-1111-4222-8333-000000000001"),
            ],
            payload: None,
            between: "",
            fill: None,
            signing: Signing::Door,
            parts: Vec::new(),
            whole: Vec::new(),
        }
    }

    fn apply(&mut self, keys: &Keys, verb: &str, rest: &str, number: u64) {
        let rest = &rest
            .replace("@kid", keys.door.public().id())
            .replace("@other-x", &base64(&keys.named("other")))
            .replace("@x", &base64(&keys.door_public()));
        let words = || std::iter::once(verb).chain(rest.split(' ')).map(str::to_owned).collect();
        match verb {
            "-" => {}
            "again" => self.again = true,
            "every" => self.every_prefix = true,
            "nonce" => self.nonce = Some(rest.clone()),
            "now" => self.now = rest.parse::<i64>().ok().map(|later| (ISSUED + later) as u64),
            "resume" => self.resume_after = rest.parse().ok(),
            "trusts" => self.trusts.push(keys.named(rest)),
            "claim" => set(&mut self.claims, rest),
            "add" => self.claims.push(pair(rest)),
            "drop" => self.claims.retain(|(name, _)| name != rest),
            "rename" => rename(&mut self.claims, rest),
            "payload" => self.payload = Some(rest.clone().into_bytes()),
            "payload-hex" => self.payload = Some(hex(rest)),
            "spaced" => self.between = " \t\r\n",
            "deep" => {
                let levels: usize = rest.parse().expect("a number");
                self.claims.push(("deep".into(), "[".repeat(levels) + &"]".repeat(levels)));
            }
            "fill" => self.fill = rest.parse().ok(),
            "next" => {
                set(&mut self.claims, &format!("seq = {}", 42 + number));
                let id = format!("jti = \"0196f3c2-0a0b-7c0d-8e0f-{number:012x}\"");
                set(&mut self.claims, &id);
            }
            "header" if rest.starts_with("kid = ") && !rest.contains(['"', '7']) => {
                let id = keys.id(rest.trim_start_matches("kid = "));
                set(&mut self.header, &format!("kid = \"{id}\""));
            }
            "header" => set(&mut self.header, rest),
            "header-add" => self.header.push(pair(rest)),
            "header-drop" => self.header.retain(|(name, _)| name != rest),
            "header-text" => self.header_text = Some(rest.clone()),
            "signed-by" if rest == "other" => self.signing = Signing::Other,
            "signed-by" => self.signing = Signing::Small,
            "old-signature" => self.signing = Signing::Old,
            "mac" => self.signing = Signing::Mac(keys.door_public().to_vec()),
            "mac-x" => self.signing = Signing::Mac(base64(&keys.door_public()).into_bytes()),
            "unsigned" => self.signing = Signing::None,
            "signature" => self.signing = Signing::Spoilt(rest.clone()),
            "bits" | "pad" | "alphabet" | "part" => self.parts.push(words()),
            "append" | "prepend" | "insert" | "more" | "fewer" | "json" => self.whole.push(words()),
            _ => panic!("no edit '{verb}'"),
        }
    }

    /// The bytes.
    pub fn message(&self, keys: &Keys) -> Vec<u8> {
        let Some(length) = self.fill else { return self.with_filling(keys, 0, 0) };
        // Some lengths cannot be had by a longer claim alone: three bytes are four characters.
        (0..length)
            .flat_map(|filling| (0..3).map(move |spaces| (filling, spaces)))
            .map(|(filling, spaces)| self.with_filling(keys, filling, spaces))
            .find(|message| message.len() == length)
            .unwrap_or_else(|| panic!("no message of exactly {length} bytes"))
    }

    fn with_filling(&self, keys: &Keys, filling: usize, spaces: usize) -> Vec<u8> {
        let mut claims = self.claims.clone();
        let mut header = self.header.clone();
        if self.fill.is_some() {
            claims.push(("fill".into(), format!("\"{}\"", "f".repeat(filling))));
            header[0].1 = format!("{}\"EdDSA\"", " ".repeat(spaces));
        }
        let header = self.header_text.clone().unwrap_or_else(|| object(&header, ""));
        let payload =
            self.payload.clone().unwrap_or_else(|| object(&claims, self.between).into_bytes());
        let mut parts = [base64(header.as_bytes()), base64(&payload), String::new()];
        self.spoil_parts(&mut parts[..2], 0);
        parts[2] = base64(&self.signature(keys, &format!("{}.{}", parts[0], parts[1])));
        self.spoil_parts(&mut parts[2..], 2);
        self.spoil_whole(&parts)
    }

    fn signature(&self, keys: &Keys, signed: &str) -> Vec<u8> {
        let by = |signer: &Signer, signed: &str| signer.sign_bytes(signed.as_bytes()).to_vec();
        let real = by(&keys.door, signed);
        match &self.signing {
            Signing::Door => real,
            Signing::Other => by(&keys.other, signed),
            Signing::Small => {
                // R is the base point times S: it fits wherever the key vanishes.
                let s = Scalar::from(7_u64);
                [(ED25519_BASEPOINT_POINT * s).compress().0, s.to_bytes()].concat()
            }
            Signing::Old => {
                let unchanged = Self::none(keys).message(keys);
                let text = std::str::from_utf8(&unchanged).expect("ASCII");
                let part = text.rsplit('.').next().expect("three parts");
                Base64UrlUnpadded::decode_vec(part).expect("a signature")
            }
            Signing::Mac(secret) => hmac_sha256(secret, signed.as_bytes()).to_vec(),
            Signing::None => Vec::new(),
            Signing::Spoilt(how) => spoil_signature(keys, signed, real, how),
        }
    }

    fn spoil_parts(&self, parts: &mut [String], first: usize) {
        for edit in &self.parts {
            let place: usize = edit[1].parse().expect("a part");
            let Some(part) = place.checked_sub(first).and_then(|place| parts.get_mut(place)) else {
                continue;
            };
            match edit[0].as_str() {
                "bits" => *part = with_unused_bits(part),
                "pad" => *part += ["", "", "==", "="][part.len() % 4],
                "alphabet" => *part = part.replace('-', "+").replace('_', "/"),
                _ => *part = edit.get(2).cloned().unwrap_or_default(),
            }
        }
    }

    fn spoil_whole(&self, parts: &[String; 3]) -> Vec<u8> {
        let mut message = parts.join(".").into_bytes();
        for edit in &self.whole {
            let bytes = || hex(edit.last().expect("bytes"));
            match edit[0].as_str() {
                "append" => message.extend(bytes()),
                "prepend" => message = [bytes(), message].concat(),
                "insert" => {
                    let place: usize = edit[1].parse().expect("a place");
                    message.splice(place..place, bytes());
                }
                "more" => message.extend(b".AAAA"),
                "fewer" => {
                    let dot = message.iter().rposition(|&byte| byte == b'.').expect("a dot");
                    message.truncate(dot);
                }
                _ => {
                    let [header, payload, signature] = parts;
                    message = format!(
                        r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#
                    )
                    .into_bytes();
                }
            }
        }
        message
    }
}

fn spoil_signature(keys: &Keys, signed: &str, real: Vec<u8>, how: &str) -> Vec<u8> {
    let mut spoilt = real;
    match how {
        "zero" => spoilt.fill(0),
        "flip" => spoilt[0] ^= 1,
        "short" => spoilt.truncate(63),
        "long" => spoilt.push(0),
        "plus-order" => {
            let mut carry = 0;
            for (byte, of_order) in spoilt[32..].iter_mut().zip(ORDER) {
                let sum = u16::from(*byte) + u16::from(of_order) + carry;
                *byte = sum as u8;
                carry = sum >> 8;
            }
            assert_eq!(carry, 0, "S + L has 32 bytes");
        }
        "small-r" => {
            // Whoever holds the key can sign with R = the identity: S = k a.
            let mut r = [0; 32];
            r[0] = 1;
            assert!(CompressedEdwardsY(r).decompress().is_some_and(|point| point.is_small_order()));
            let hash = Sha512::new().chain_update(r).chain_update(keys.door_public());
            let hash: [u8; 64] = hash.chain_update(signed).finalize().into();
            let s = Scalar::from_bytes_mod_order_wide(&hash) * secret(&DOOR_SEED);
            return [r, s.to_bytes()].concat();
        }
        _ => panic!("no signature '{how}'"),
    }
    spoilt
}

fn secret(seed: &[u8; 32]) -> Scalar {
    let hash: [u8; 64] = Sha512::digest(seed).into();
    let half = hash[..32].try_into().expect("32 bytes");
    Scalar::from_bytes_mod_order(clamp_integer(half))
}

fn hmac_sha256(secret: &[u8], message: &[u8]) -> [u8; 32] {
    // RFC 2104; the secret is shorter than a block of 64 bytes.
    let pad = |with: u8| -> Vec<u8> {
        (0..64).map(|place| secret.get(place).copied().unwrap_or(0) ^ with).collect()
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// The same bytes for a lenient reader: the unused bits of the last character are set.
fn with_unused_bits(part: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "this part has no unused bits");
    let (rest, last) = part.split_at(part.len() - 1);
    let place = ALPHABET.iter().position(|&letter| letter == last.as_bytes()[0]).expect("base64");
    format!("{rest}{}", ALPHABET[place | 1] as char)
}

/// Whether it is base64url without padding, each byte of one meaning: by encoding it again.
pub fn is_canonical(part: &[u8]) -> bool {
    let padded = [part, [&b""[..], b"===", b"==", b"="][part.len() % 4]].concat();
    let text = std::str::from_utf8(&padded).unwrap_or("!");
    Base64Url::decode_vec(text).is_ok_and(|bytes| base64(&bytes).as_bytes() == part)
}

/// Base64url without padding.
pub fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// A point whose order divides 8.
fn small(digits: &str) -> [u8; 32] {
    let bytes: [u8; 32] = hex(digits).try_into().expect("32 bytes");
    let point = CompressedEdwardsY(bytes).decompress();
    assert!(point.is_some_and(|point| point.is_small_order()), "{digits}");
    bytes
}

fn thumbprint(key: &[u8; 32]) -> String {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64(key));
    base64(&Sha256::digest(jwk))
}

fn object(members: &[(String, String)], between: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{between}\"{name}\"{between}:{between}{value}{between}"))
        .collect();
    format!("{between}{{{}}}{between}", members.join(","))
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once(" = ").unwrap_or_else(|| panic!("NAME = JSON: {text}"));
    (name.to_owned(), value.to_owned())
}

fn set(members: &mut Vec<(String, String)>, text: &str) {
    let (name, value) = pair(text);
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some(member) => member.1 = value,
        None => members.push((name, value)),
    }
}

fn rename(members: &mut [(String, String)], text: &str) {
    let (name, raw) = text.split_once(' ').unwrap_or_else(|| panic!("NAME RAW: {text}"));
    let member = members.iter_mut().find(|(known, _)| known == name).expect("a claim");
    raw.clone_into(&mut member.0);
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let text = pairs.map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    text.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}
