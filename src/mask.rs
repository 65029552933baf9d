//! Secrets that stand in a text where none belongs, masked before anybody sees them.
//!
//! In: a text that is about to be shown. Out: the same text with [`MASK`] in the place of
//! - what stands before the host of an address: `rtsp://user:password@camera` (a password may hold
//!   `@`, `/` and blanks, so everything up to the last `@` goes);
//! - values of parameters whose names say that they are secret: `?token=…`, `&password=…`;
//! - private keys in PEM.
//!
//! [`value`] is for one configured value, whose ends are known; [`text`] for sentences, which may
//! hold several; [`json`] for a serialised value. Every way out of the program goes through one of
//! them: results, errors, the log and the payloads of MQTT, so that a new key is covered by itself.
//! Invariants: what is masked once stays as it is; in doubt more is masked, never less; a text
//! without any of these shapes is not copied.
//! Deliberately absent: secrets without a shape, such as a password alone under a wrong name.
//! Source: RFC 3986, section 3.2.1 (userinfo) and its warning against `user:password`.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Parts of names of parameters and keys that hold secrets, in lower case.
const SECRET_NAMES: [&str; 8] = ["pas", "pwd", "psk", "secret", "token", "key", "auth", "cred"];
/// Names of the same kind that are parts of harmless words.
const SECRET_WORDS: [&str; 4] = ["pin", "sig", "signature", "code"];

/// What ends an address in a sentence.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

const KEY_BEGINS: &str = "-----BEGIN";
const KEY_OF: &str = "PRIVATE KEY";
const KEY_ENDS: &str = "-----END";

/// Whether what is called `name` holds a secret.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit(['.', '_', '-']).next().unwrap_or(&name);
    SECRET_NAMES.iter().any(|part| name.contains(part)) || SECRET_WORDS.contains(&last)
}

/// One configured value without its secrets.
///
/// More than in a sentence is certain here: `user:password@host` without a scheme, and
/// `scheme://user:password` whose host was forgotten.
#[must_use]
pub fn value(value: &str) -> Cow<'_, str> {
    let value = without_keys(value);
    let (scheme, rest) = match value.find("://") {
        Some(at) => value.split_at(at + 3),
        None => ("", value.as_ref()),
    };
    let secret = match rest.rfind('@') {
        Some(at) => {
            let before = rest.get(..at).unwrap_or_default();
            let has_no_scheme = scheme.is_empty();
            let is_path = has_no_scheme && (rest.starts_with('/') || !before.contains(':'));
            (!is_path && before != MASK).then_some(at)
        }
        None if scheme.is_empty() => None,
        None => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            is_userinfo(authority).then_some(authority.len())
        }
    };
    let Some(end) = secret else { return map(value, |value| without_parameters(value, &[])) };
    let kept = without_parameters(rest.get(end..).unwrap_or_default(), &[]);
    Cow::Owned(format!("{scheme}{MASK}{kept}"))
}

/// A sentence, or many lines, without the secrets in it.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    let text = without_keys(text);
    if !text.contains("://") && !text.contains('=') {
        return text;
    }
    map(text, by_line)
}

/// Serialised JSON whose texts hold no secrets; what is no JSON is masked as a sentence.
#[must_use]
pub fn json(serialised: &str) -> Cow<'_, str> {
    if matches!(text(serialised), Cow::Borrowed(_)) {
        return Cow::Borrowed(serialised);
    }
    let mut masked = String::with_capacity(serialised.len());
    let mut rest = serialised;
    while let Some(begin) = rest.find('"') {
        let (before, literal) = rest.split_at(begin);
        masked.push_str(before);
        let (literal, after) = literal.split_at(end_of_literal(literal));
        match serde_json::from_str::<String>(literal) {
            Ok(plain) => match text(&plain) {
                Cow::Borrowed(_) => masked.push_str(literal),
                Cow::Owned(plain) => masked.push_str(&serde_json::Value::from(plain).to_string()),
            },
            Err(_) => masked.push_str(&text(literal)),
        }
        rest = after;
    }
    masked.push_str(&text(rest));
    Cow::Owned(masked)
}

/// How many bytes of `literal`, which begins with a quotation mark, belong to it.
fn end_of_literal(literal: &str) -> usize {
    let mut escaped = false;
    let closing = literal.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    closing.map_or(literal.len(), |at| at + 2)
}

/// `change` over a text that may be borrowed; nothing is copied where nothing changes.
fn map(text: Cow<'_, str>, change: impl Fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => change(text),
        Cow::Owned(text) => Cow::Owned(change(&text).into_owned()),
    }
}

fn by_line(text: &str) -> Cow<'_, str> {
    fn changed(line: &str) -> Cow<'_, str> {
        map(without_userinfo(line), |line| without_parameters(line, &BLANKS))
    }
    if text.split_inclusive('\n').all(|line| matches!(changed(line), Cow::Borrowed(_))) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_inclusive('\n').map(|line| changed(line).into_owned()).collect())
}

/// A line without what stands before the host in its addresses.
fn without_userinfo(line: &str) -> Cow<'_, str> {
    let Some(first) = line.find("://") else { return Cow::Borrowed(line) };
    let mut masked = String::new();
    let (mut rest, mut shown) = (line, first + 3);
    loop {
        let (before, address) = rest.split_at(shown);
        let next = next_address(address);
        let region = address.get(..next.unwrap_or(address.len())).unwrap_or_default();
        let secret = region.rfind('@').filter(|at| region.get(..*at) != Some(MASK));
        masked.push_str(before);
        if let Some(at) = secret {
            masked.push_str(MASK);
            masked.push_str(region.get(at..).unwrap_or_default());
        } else {
            masked.push_str(region);
        }
        let Some(next) = next else { break };
        rest = address.get(next..).unwrap_or_default();
        let Some(at) = rest.find("://") else { break };
        shown = at + 3;
    }
    if masked == line { Cow::Borrowed(line) } else { Cow::Owned(masked) }
}

/// Where in `rest` another address begins: a scheme that follows something that ends a word. A
/// `://` within a word is a part of the password.
fn next_address(rest: &str) -> Option<usize> {
    rest.match_indices("://").find_map(|(at, _)| {
        let before = rest.get(..at)?;
        let scheme = before.len() - before.trim_end_matches(is_of_scheme).len();
        let begin = at - scheme;
        let ends_a_word = before.get(..begin)?.ends_with([' ', '\t', '"', '\'', '(', ',', '[']);
        (scheme > 0 && ends_a_word).then_some(begin)
    })
}

const fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// Whether an authority without `@` ends in something that is no port: a password whose host was
/// forgotten.
fn is_userinfo(authority: &str) -> bool {
    let outside_brackets = authority.rsplit(']').next().unwrap_or(authority);
    outside_brackets
        .split_once(':')
        .is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A line without the values of its secret parameters: of `name=value` behind `?`, `&` or `;`, or
/// anywhere in an address. A value ends at `&`, and at one of `ends`.
fn without_parameters<'a>(line: &'a str, ends: &[char]) -> Cow<'a, str> {
    let mut masked = String::new();
    let mut shown = 0;
    for (at, _) in line.match_indices('=') {
        if at < shown {
            continue;
        }
        let before = line.get(..at).unwrap_or_default();
        let value = line.get(at + 1..).unwrap_or_default();
        let (outside, name) = before.split_at(before.trim_end_matches(is_of_name).len());
        let word = outside.rsplit([' ', '\t', '"']).next().unwrap_or_default();
        let is_parameter = outside.ends_with(['?', '&', ';']) || word.contains("://");
        let end = value.find(|c| c == '&' || ends.contains(&c)).unwrap_or(value.len());
        if is_parameter && names_a_secret(name) && end > 0 && !value.starts_with(MASK) {
            masked.push_str(line.get(shown..=at).unwrap_or_default());
            masked.push_str(MASK);
            shown = at + 1 + end;
        }
    }
    if shown == 0 {
        return Cow::Borrowed(line);
    }
    masked.push_str(line.get(shown..).unwrap_or_default());
    Cow::Owned(masked)
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// `text` without private keys in PEM, from the first one's beginning to the last one's end.
fn without_keys(text: &str) -> Cow<'_, str> {
    let begins = text.find(KEY_BEGINS).filter(|_| text.contains(KEY_OF));
    let Some(begin) = begins else { return Cow::Borrowed(text) };
    let end = text.rfind(KEY_ENDS).filter(|end| *end > begin).map_or(text.len(), |end| {
        let line = text.get(end + KEY_ENDS.len()..).unwrap_or_default();
        line.find("-----").map_or(text.len(), |close| end + KEY_ENDS.len() + close + 5)
    });
    let (before, after) = (text.get(..begin), text.get(end..));
    Cow::Owned([before.unwrap_or_default(), MASK, after.unwrap_or_default()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is configured, and what may be shown of it.
    const VALUES: [(&str, &str); 28] = [
        ("rtsp://user:secret@cam.lan/stream", "rtsp://***@cam.lan/stream"),
        ("rtsp://user:se@cr@et@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://user:se%40cret@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://user:se/c?r#et@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://user:my secret@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://user:a://b@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://user@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://:secret@cam.lan/1", "rtsp://***@cam.lan/1"),
        ("rtsp://user:secret", "rtsp://***"),
        ("rtsp://user:secret/stream", "rtsp://***/stream"),
        ("rtsp://cam.lan:554/stream", "rtsp://cam.lan:554/stream"),
        ("rtsp://[fe80::1]:554/stream", "rtsp://[fe80::1]:554/stream"),
        ("http://cam/x.cgi?user=a&pwd=secret&n=1", "http://cam/x.cgi?user=a&pwd=***&n=1"),
        ("http://cam/x.cgi?loginuse=a&loginpas=secret", "http://cam/x.cgi?loginuse=a&loginpas=***"),
        ("http://cam/x?token=secret", "http://cam/x?token=***"),
        ("http://cam/x?access_token=se=cr=et", "http://cam/x?access_token=***"),
        (
            "rtsp://cam:554/user=admin&password=secret&channel=1",
            "rtsp://cam:554/user=admin&password=***&channel=1",
        ),
        (
            "rtsp://cam:554/user=admin_password=secret_channel=1",
            "rtsp://cam:554/user=admin_password=***",
        ),
        ("http://u:secret@cam/x?token=secret", "http://***@cam/x?token=***"),
        ("/dev/video0?token=secret", "/dev/video0?token=***"),
        ("admin:secret@192.168.1.5", "***@192.168.1.5"),
        ("/srv/a:b@c/visit.mjpeg", "/srv/a:b@c/visit.mjpeg"),
        ("me@broker", "me@broker"),
        (
            "platform-fd500000.pcie-usb-0:1.3:1.0-video-index0",
            "platform-fd500000.pcie-usb-0:1.3:1.0-video-index0",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "***\n"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "***"),
        ("http://cam/x?token=my secret", "http://cam/x?token=***"),
        ("auto", "auto"),
    ];

    #[test]
    fn configured_values_lose_their_secrets_and_nothing_else() {
        for (given, shown) in VALUES {
            assert_eq!(value(given), shown, "{given}");
            assert_eq!(value(shown), shown, "masked twice");
        }
    }

    #[test]
    fn sentences_lose_the_secrets_of_every_address_in_them() {
        for (given, shown) in [
            (
                "camera rtsp://user:se@cret@cam/1: there is no such device: plug it in",
                "camera rtsp://***@cam/1: there is no such device: plug it in",
            ),
            (
                "http://cam/1, rtsp://u:secret@a and \"rtsp://v:secret@b\"",
                "http://cam/1, rtsp://***@a and \"rtsp://***@b\"",
            ),
            (
                "one rtsp://u:secret@a\ntwo rtsp://v:secret@b\n",
                "one rtsp://***@a\ntwo rtsp://***@b\n",
            ),
            ("x='http://cam/?token=secret' y=1", "x='http://cam/?token=*** y=1"),
            ("url=\"http://x/?pwd=secret\" y=1", "url=\"http://x/?pwd=*** y=1"),
            ("device = \"rtsp://user:my secret@cam\"", "device = \"rtsp://***@cam\""),
        ] {
            assert_eq!(text(given), shown, "{given}");
            assert_eq!(text(shown), shown, "masked twice");
        }
        for harmless in [
            "decided seq=3 outcome=Granted key=\"x\"",
            "see https://example.org/a: reason",
            "write to me@example.org",
            "token = \"mine\"",
        ] {
            assert!(matches!(text(harmless), Cow::Borrowed(_)), "{harmless}");
        }
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({
            "device": "rtsp://user:se\"cr\\et@cam", "mail": "a@b", "list": ["http://x/?pwd=\"secret", 1]
        });
        let masked: serde_json::Value = serde_json::from_str(&json(&value.to_string())).unwrap();
        let wanted = serde_json::json!({
            "device": "rtsp://***@cam", "mail": "a@b", "list": ["http://x/?pwd=***", 1]
        });
        assert_eq!(masked, wanted);
        assert_eq!(json("no JSON: rtsp://u:secret@h"), "no JSON: rtsp://***@h");
        assert!(matches!(json(r#"{"a":"b","url":"http://x"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn names_of_secrets_are_known() {
        for name in ["mqtt.password", "pin", "mqtt.pin", "API-Key", "x.psk", "authorization", "sig"]
        {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["mqtt.ping", "camera.device", "design", "camera.fps", "encode"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_password_before_an_at_survives(
            user in "[a-z]{0,4}", password in "[ -~]{1,12}", path in "[a-z/]{0,6}",
        ) {
            let secret = format!("Zq7{password}7qZ");
            let url = format!("rtsp://{user}:{secret}@cam.lan/{path}");
            for shown in [value(&url), text(&url)] {
                prop_assert!(!shown.contains("Zq7") && !shown.contains("7qZ"), "{shown}");
            }
            let object = serde_json::json!({ "device": url }).to_string();
            let shown = json(&object).into_owned();
            prop_assert!(!shown.contains("Zq7") && !shown.contains("7qZ"), "{shown}");
            serde_json::from_str::<serde_json::Value>(&shown).unwrap();
        }

        #[test]
        fn no_text_panics_and_twice_is_once(given in "(\\PC|[:/@=?&\"\\n*]){0,60}") {
            for mask in [value, text, json] {
                let once = mask(&given).into_owned();
                prop_assert_eq!(&*mask(&once), &*once);
            }
        }
    }
}
