//! Reads one flat JSON object (RFC 8259) strictly, in place, without allocation.
//!
//! In: bytes. Out: an [`Object`] whose whole text is known to be JSON, and its members: texts, whole
//! numbers, arrays of texts; what else there is can be told apart but not read.
//! Always: names and texts are compared as what they mean, so that `"\u0065xp"` is `exp`; at most
//! [`DEPTH_MAX`] levels within a member, which bounds the stack; half a surrogate pair is no text.
//! Deliberately absent: fractions, exponents, negative numbers (they are valid, and no integer), and
//! any leniency. No small crate without an allocator tells that a name is there twice.

/// How deep arrays and objects may lie within a member's value.
pub(crate) const DEPTH_MAX: usize = 8;

/// A JSON object; its whole text has been read once and found valid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a>(&'a str);

/// What stands between two quotes; escapes in it are valid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a str);

/// What stands between two brackets, with them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'a>(&'a str);

/// The value of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// A string.
    Text(Text<'a>),
    /// A number as it is written.
    Number(&'a str),
    /// An array.
    Array(Array<'a>),
    /// An object, `true`, `false` or `null`.
    Other,
}

impl<'a> Object<'a> {
    /// `None` where the bytes are not exactly one JSON object in UTF-8, with or without space around.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let mut cursor = Cursor { text, at: 0 };
        cursor.space();
        if cursor.peek() != Some(b'{') {
            return None;
        }
        cursor.value(DEPTH_MAX + 1)?;
        cursor.space();
        cursor.peek().is_none().then_some(Self(text))
    }

    /// Its members in the order in which they stand, also those that are there twice.
    pub(crate) fn members(self) -> Members<'a> {
        let mut cursor = Cursor { text: self.0, at: 0 };
        cursor.space();
        cursor.eat(b'{');
        Members(cursor)
    }

    /// Whether two members have the same name, however it is written.
    pub(crate) fn repeats_a_name(self) -> bool {
        self.members().enumerate().any(|(place, (name, _))| {
            self.members().take(place).any(|(earlier, _)| earlier.chars().eq(name.chars()))
        })
    }
}

/// The members of an object.
pub(crate) struct Members<'a>(Cursor<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let cursor = &mut self.0;
        cursor.space();
        let name = cursor.string()?;
        cursor.space();
        cursor.eat(b':');
        cursor.space();
        let value = cursor.value(DEPTH_MAX)?;
        cursor.space();
        cursor.eat(b',');
        Some((name, value))
    }
}

impl<'a> Text<'a> {
    /// The characters that it means.
    pub(crate) fn chars(self) -> impl Iterator<Item = char> + 'a {
        let mut rest = self.0.chars();
        core::iter::from_fn(move || match rest.next()? {
            '\\' => escaped(&mut rest),
            plain => Some(plain),
        })
    }

    /// Whether it means the same as `other`.
    pub(crate) fn is(self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

/// What follows a backslash.
fn escaped(rest: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = four_digits(rest)?;
            if !(0xd800..0xdc00).contains(&first) {
                return char::from_u32(first);
            }
            if (rest.next()?, rest.next()?) != ('\\', 'u') {
                return None;
            }
            let second = four_digits(rest)?;
            if !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        }
        same @ ('"' | '\\' | '/') => same,
        _ => return None,
    })
}

fn four_digits(rest: &mut core::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |value, _| Some(value * 16 + rest.next()?.to_digit(16)?))
}

impl<'a> Value<'a> {
    /// The text, where it is one.
    pub(crate) fn text(self) -> Option<Text<'a>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The whole number, where it is one, written in digits alone, from 0 to 2^64 - 1.
    pub(crate) fn integer(self) -> Option<u64> {
        let Self::Number(digits) = self else { return None };
        // `parse` takes a '+', which JSON does not have.
        digits.parse().ok()
    }

    /// The array, where it is one.
    pub(crate) fn array(self) -> Option<Array<'a>> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }
}

impl<'a> Array<'a> {
    /// Its elements in their order.
    pub(crate) fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let mut cursor = Cursor { text: self.0, at: 0 };
        cursor.eat(b'[');
        core::iter::from_fn(move || {
            cursor.space();
            if cursor.peek() == Some(b']') {
                return None;
            }
            let element = cursor.value(DEPTH_MAX)?;
            cursor.space();
            cursor.eat(b',');
            Some(element)
        })
    }
}

/// A place in a text; each function moves it past what it has read.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    fn value(&mut self, depth_left: usize) -> Option<Value<'a>> {
        let start = self.at;
        match self.peek()? {
            b'"' => return self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => return self.number().map(Value::Number),
            b'[' => {
                self.list(b']', depth_left.checked_sub(1)?, false)?;
                return self.since(start).map(|text| Value::Array(Array(text)));
            }
            b'{' => self.list(b'}', depth_left.checked_sub(1)?, true)?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            _ => self.word("null")?,
        }
        Some(Value::Other)
    }

    /// What stands between brackets or braces, from the opening one to the closing one.
    fn list(&mut self, end: u8, depth_left: usize, named: bool) -> Option<()> {
        self.next()?;
        self.space();
        if self.eat(end) {
            return Some(());
        }
        loop {
            self.space();
            if named {
                self.string()?;
                self.space();
                self.eat(b':').then_some(())?;
                self.space();
            }
            self.value(depth_left)?;
            self.space();
            if self.eat(end) {
                return Some(());
            }
            self.eat(b',').then_some(())?;
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn string(&mut self) -> Option<Text<'a>> {
        self.eat(b'"').then_some(())?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                0..=0x1f => return None,
                b'\\' => {
                    let mut rest = self.text.get(self.at + 1..)?.chars();
                    escaped(&mut rest)?;
                    self.at = self.text.len() - rest.as_str().len();
                }
                _ => self.at += 1,
            }
        }
        let text = self.since(start)?;
        self.at += 1;
        Some(Text(text))
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        self.since(start)
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::prelude::v1::*;
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;
    use serde_json::Value as Oracle;

    use super::*;

    fn depth(value: &Oracle) -> usize {
        match value {
            Oracle::Array(all) => 1 + all.iter().map(depth).max().unwrap_or(0),
            Oracle::Object(all) => 1 + all.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// What every reader must say of the same bytes: valid or not, and what texts and numbers mean.
    fn hold_to_the_oracle(bytes: &[u8]) {
        let ours = Object::parse(bytes);
        let theirs = serde_json::from_slice::<Oracle>(bytes).ok();
        let theirs = theirs.filter(|value| value.is_object() && depth(value) <= DEPTH_MAX + 1);
        if let Some(ours) = ours {
            // serde_json refuses numbers that no float holds; they are JSON all the same.
            let overflowing = ours.0.contains(['e', 'E']);
            assert!(theirs.is_some() || overflowing || repeats_within(ours.0), "{:?}", ours.0);
            let Some(theirs) = theirs else { return };
            for (name, value) in ours.members() {
                if ours.repeats_a_name() {
                    break;
                }
                let name: String = name.chars().collect();
                let same = &theirs[&name];
                match value {
                    Value::Text(text) => {
                        assert_eq!(same.as_str(), Some(&*text.chars().collect::<String>()));
                    }
                    Value::Number(_) => assert_eq!(same.as_u64(), value.integer(), "{same}"),
                    Value::Array(array) => {
                        assert_eq!(same.as_array().unwrap().len(), array.elements().count());
                    }
                    Value::Other => assert!(!same.is_string() && !same.is_number()),
                }
            }
        } else {
            assert!(theirs.is_none(), "{:?}", std::string::String::from_utf8_lossy(bytes));
        }
    }

    /// Depth is counted on what the oracle keeps, which of two members of one name is the last.
    fn repeats_within(text: &str) -> bool {
        text.matches(':').count() > 1
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            "\"(\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|[ -!#-\\[\\]-~])*\"",
        ];
        leaf.prop_recursive(10, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|all| std::format!("[{}]", all.join(" , "))),
                prop::collection::vec(("[a-c]{1,2}", inner), 0..4).prop_map(|all| {
                    let members: Vec<String> = all
                        .iter()
                        .map(|(name, value)| std::format!("\"{name}\":{value}"))
                        .collect();
                    std::format!("{{{}}}", members.join("\n,"))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_another_reader_on_what_is_nearly_json(
            text in json(),
            name in "[a-z\\\\u00465]{0,8}",
            cut in any::<prop::sample::Index>(),
            put in any::<u8>(),
        ) {
            let whole = std::format!(" {{\"{name}\": {text},\"other\":1}}\r\n");
            hold_to_the_oracle(whole.as_bytes());
            let mut spoilt = whole.into_bytes();
            let place = cut.index(spoilt.len());
            spoilt[place] = put;
            hold_to_the_oracle(&spoilt);
            spoilt.truncate(place);
            hold_to_the_oracle(&spoilt);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            hold_to_the_oracle(&bytes);
        }
    }

    #[test]
    fn names_are_compared_by_what_they_mean() {
        let object = Object::parse(br#"{"\u0065xp":1,"exp":2}"#).unwrap();
        assert!(object.repeats_a_name());
        assert!(object.members().all(|(name, _)| name.is("exp")));
        assert!(!Object::parse(br#"{"a":{"b":1,"b":2},"b":3}"#).unwrap().repeats_a_name());
    }

    #[test]
    fn depth_ends_at_the_limit() {
        let nested = |levels: usize| {
            let text = std::format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
            Object::parse(text.as_bytes()).is_some()
        };
        assert!(nested(DEPTH_MAX));
        assert!(!nested(DEPTH_MAX + 1));
        assert!(!nested(500));
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for text in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800x", r"\udc00\ud800"] {
            let whole = std::format!("{{\"a\":\"{text}\"}}");
            assert!(Object::parse(whole.as_bytes()).is_none(), "{text}");
        }
        let object = Object::parse(br#"{"a":"\ud83d\ude00"}"#).unwrap();
        assert!(object.members().next().unwrap().1.text().unwrap().is("\u{1f600}"));
    }
}
