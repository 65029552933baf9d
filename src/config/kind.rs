//! What a key may hold: the one place that says which values make sense.
//!
//! In: a value as a file gives it (typed) or as environment and flags give it (text). Out: the same
//! value, checked, as JSON that the typed sections take; or what would have been right.
//! Invariant: a file must use TOML's own types (`"640"` is no number); text sources are read by the
//! key's kind. Deliberately absent: knowledge of single keys, and checks across keys.

use config::{File, FileFormat, Source as _, Value, ValueKind};
use serde_json::{Map, Value as Json};
use std::fmt;

use super::{address, host};
use crate::detect::RECTANGLES_MAX;

/// What a key may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyKind {
    /// Text that follows a rule.
    Text(Rule),
    /// The path of a file or folder.
    Path,
    /// A whole number, limits included.
    Whole {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// One of these whole numbers.
    OneOf(&'static [i64]),
    /// A number, limits included.
    Real {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of some of these words, none twice, at least one.
    Choices(&'static [&'static str]),
    /// A list of texts: a program and its arguments.
    Arguments,
    /// A table of free names, each with a whole number.
    Controls,
    /// A list of host names or addresses.
    Hosts,
    /// A list of rectangles `[x, y, width, height]` in fractions of the picture.
    Rectangles,
}

/// What a text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `[a-z0-9_-]{1,32}`, as the topics of the MQTT contract need it.
    DoorId,
    /// `auto`, a device node, a stable name, a network camera's address without a secret, `libcamera` or
    /// `command`.
    Device,
    /// What is known of a camera in one word.
    CameraIdentity,
    /// A model's name, as in its card.
    ModelName,
    /// The same, or nothing.
    ModelNameOrNone,
    /// A host name or an address.
    Host,
    /// Levels of an MQTT topic, without wildcards.
    Topic,
    /// What a broker takes for a user name.
    UserName,
    /// The name of a time zone.
    TimeZone,
    /// An address and a port.
    Listen,
}

impl Rule {
    fn accepts(self, text: &str) -> bool {
        let all = |allowed: fn(u8) -> bool| text.bytes().all(allowed);
        let long = |max: usize| (1..=max).contains(&text.len());
        match self {
            Self::DoorId => {
                long(32) && all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
            }
            Self::Device => {
                long(4095)
                    && !text.chars().any(char::is_control)
                    && (address::is_camera(text) || !is_no_device(text))
            }
            Self::CameraIdentity => {
                long(256)
                    && text.contains([':', '-'])
                    && !text.contains("//")
                    && all(|b| {
                        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/')
                    })
            }
            Self::ModelName => crate::inference::ModelId::new(text).is_ok(),
            Self::ModelNameOrNone => text.is_empty() || Self::ModelName.accepts(text),
            Self::Host => host::is_host(text),
            Self::Topic => {
                long(64)
                    && text.split('/').all(|level| !level.is_empty())
                    && !text.starts_with('$')
                    && all(|b| b.is_ascii_graphic() && b != b'+' && b != b'#')
            }
            Self::TimeZone => {
                long(64) && !is_address(text) && jiff::tz::TimeZone::get(text).is_ok()
            }
            Self::Listen => {
                text.parse::<std::net::SocketAddr>().is_ok_and(|address| address.port() > 0)
            }
            Self::UserName => long(256) && !text.chars().any(char::is_control) && !is_address(text),
        }
    }

    /// What somebody meant who wrote `text`, where that can be told.
    fn meant(self, text: &str) -> Option<String> {
        match self {
            Self::Host => Some(host::meant(text)),
            Self::Device => address::meant(text),
            _ => None,
        }
    }

    const fn wants(self) -> &'static str {
        match self {
            Self::DoorId => "1 to 32 characters of a-z, 0-9, '_' and '-'",
            Self::Device => {
                "\"auto\", a path such as \"/dev/video0\", a name under /dev/v4l/by-id or by-path, \"libcamera\", \"command\", or a network camera's address (rtsp://, rtsps://, http://, https://) without user and password"
            }
            Self::CameraIdentity => {
                "a camera as 'deepid-edge doctor' names it, such as \"usb:046d:0825:1A2B3C4D\" or \"platform:fe801000.csi\""
            }
            Self::ModelName => "a model's name: 1 to 64 characters of a-z, 0-9, '-' and '.'",
            Self::ModelNameOrNone => {
                "a model's name: 1 to 64 characters of a-z, 0-9, '-' and '.'; or \"\" for none"
            }
            Self::Host => "a host name or an address, without scheme and port",
            Self::Topic => {
                "topic levels such as \"deepid-edge\" or \"home/doors\": no '+', '#', blanks, empty levels or '$' at the start"
            }
            Self::TimeZone => "a time zone's name, such as \"Europe/Berlin\" or \"UTC\"",
            Self::Listen => {
                "an address and a port, such as \"127.0.0.1:8480\", \"0.0.0.0:8480\" or \"[::]:8480\""
            }
            Self::UserName => {
                "1 to 256 characters, none of them a control character, and no address: host, port and password have keys of their own"
            }
        }
    }
}

impl fmt::Display for KeyKind {
    /// What would be right, to stand after "must be".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(rule) => f.write_str(rule.wants()),
            Self::Path => f.write_str(
                "the path of a file or folder, as text: no address such as http://…, no line break",
            ),
            Self::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::OneOf(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
                write!(f, "one of {}", numbers.join(", "))
            }
            Self::Real { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Switch => f.write_str("true or false"),
            Self::Choice(words) => write!(f, "one of {}", quoted(words)),
            Self::Choices(words) => {
                write!(f, "a list of at least one and none twice of {}", quoted(words))
            }
            Self::Arguments => f.write_str(
                "a list of 1 to 64 texts, the first of them a program: [\"/usr/local/bin/door-camera\", \"--fps\", \"15\"], without line breaks, and without secrets: every user can read a program's arguments",
            ),
            Self::Controls => f.write_str(
                "a table of control names with whole numbers, such as { auto_exposure = 3 }",
            ),
            Self::Hosts => write!(
                f,
                "a list of at most {HOSTS_MAX} host names, without scheme and port, such as [\"door.lan\"]"
            ),
            Self::Rectangles => write!(
                f,
                "a list of at most {RECTANGLES_MAX} rectangles [x, y, width, height] in fractions of the picture, such as [[0.02, 0.03, 0.24, 0.40]]"
            ),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

impl KeyKind {
    /// Checks a value that has a type of its own, as a file's does. `None`: it is not of this kind.
    #[must_use]
    pub fn take(self, value: &Value) -> Option<Json> {
        match (self, &value.kind) {
            (Self::Text(rule), ValueKind::String(text)) => {
                rule.accepts(text).then(|| Json::from(text.as_str()))
            }
            (Self::Path, ValueKind::String(text)) => {
                let right =
                    !text.is_empty() && !text.chars().any(char::is_control) && !is_address(text);
                right.then(|| Json::from(text.as_str()))
            }
            (Self::Whole { min, max }, ValueKind::I64(number)) => {
                (min..=max).contains(number).then(|| Json::from(*number))
            }
            (Self::OneOf(numbers), ValueKind::I64(number)) => {
                numbers.contains(number).then(|| Json::from(*number))
            }
            (Self::Real { min, max }, ValueKind::Float(number)) => {
                (min..=max).contains(number).then(|| Json::from(*number))
            }
            (Self::Real { min, max }, ValueKind::I64(number)) => {
                let number = *number as f64;
                (min..=max).contains(&number).then(|| Json::from(number))
            }
            (Self::Switch, ValueKind::Boolean(on)) => Some(Json::from(*on)),
            (Self::Choice(words), ValueKind::String(text)) => {
                words.contains(&text.as_str()).then(|| Json::from(text.as_str()))
            }
            (Self::Choices(words), ValueKind::Array(list)) => {
                let mut taken: Vec<Json> = Vec::with_capacity(list.len());
                for entry in list {
                    let entry = Self::Choice(words).take(entry)?;
                    if taken.contains(&entry) {
                        return None;
                    }
                    taken.push(entry);
                }
                (!taken.is_empty()).then_some(Json::Array(taken))
            }
            (Self::Arguments, ValueKind::Array(list))
                if (1..=ARGUMENTS_MAX).contains(&list.len()) =>
            {
                let texts = list.iter().map(argument).collect::<Option<Vec<_>>>()?;
                let is_named = texts.first().is_some_and(|program| !program.is_empty());
                is_named.then(|| Json::from(texts))
            }
            (Self::Controls, ValueKind::Table(table)) => {
                let mut taken = Map::new();
                for (name, value) in table {
                    match value.kind {
                        ValueKind::I64(number) if control_name(name) => {
                            taken.insert(name.clone(), Json::from(number));
                        }
                        _ => return None,
                    }
                }
                Some(Json::Object(taken))
            }
            (Self::Hosts, ValueKind::Array(list)) if list.len() <= HOSTS_MAX => {
                let name = |value: &Value| match &value.kind {
                    ValueKind::String(text) if host::is_host(text) => {
                        Some(Json::from(text.to_ascii_lowercase()))
                    }
                    _ => None,
                };
                list.iter().map(name).collect::<Option<_>>().map(Json::Array)
            }
            (Self::Rectangles, ValueKind::Array(list)) if list.len() <= RECTANGLES_MAX => {
                let rectangle =
                    |value| rectangle(value).ok().map(|numbers| Json::from(&numbers[..]));
                list.iter().map(rectangle).collect::<Option<_>>().map(Json::Array)
            }
            _ => None,
        }
    }

    /// What would be right in place of `value`, which is not of this kind; to stand after "must be".
    #[must_use]
    pub fn wanted(self, value: &Value) -> String {
        let meant = match (self, &value.kind) {
            (Self::Text(rule), ValueKind::String(text)) => rule.meant(text),
            (Self::Rectangles, ValueKind::Array(list)) => wrong_rectangle(list),
            _ => None,
        };
        meant.map_or_else(|| self.to_string(), |meant| format!("{self}; {meant}"))
    }

    /// Gives text of the environment or a flag the type that this kind has in a file. Text that
    /// cannot have it stays text, and [`Self::take`] then refuses it.
    #[must_use]
    pub fn read(self, origin: &String, text: &str) -> Value {
        let value = match self {
            Self::Text(_) | Self::Path | Self::Choice(_) => None,
            Self::Whole { .. } | Self::OneOf(_) | Self::Controls => {
                text.trim().parse::<i64>().ok().map(ValueKind::I64)
            }
            Self::Real { .. } => text.trim().parse::<f64>().ok().map(ValueKind::Float),
            Self::Switch => text.trim().parse::<bool>().ok().map(ValueKind::Boolean),
            Self::Rectangles | Self::Arguments | Self::Hosts => as_in_a_file(text),
            Self::Choices(_) => Some(ValueKind::Array(
                text.split(',')
                    .map(|word| Value::new(Some(origin), word.trim().to_owned()))
                    .collect(),
            )),
        };
        Value::new(Some(origin), value.unwrap_or_else(|| ValueKind::String(text.to_owned())))
    }
}

/// The most texts of a program and its arguments.
const ARGUMENTS_MAX: usize = 64;
/// The most names of a list of hosts.
const HOSTS_MAX: usize = 16;

/// One of them, where it can be one and holds no secret that is known as such.
fn argument(value: &Value) -> Option<&str> {
    let ValueKind::String(text) = &value.kind else { return None };
    let right = text.len() <= 4096
        && !text.chars().any(char::is_control)
        && crate::mask::value(text) == *text
        && crate::mask::text(text) == *text;
    right.then_some(text)
}

/// What `text` would be behind a key's `=` in a file.
fn as_in_a_file(text: &str) -> Option<ValueKind> {
    let document = format!("value = {text}");
    let table = File::from_str(&document, FileFormat::Toml).collect().ok()?;
    table.get("value").map(|value| value.kind.clone())
}

/// What is wrong with a list that is none of rectangles.
fn wrong_rectangle(list: &[Value]) -> Option<String> {
    if list.len() > RECTANGLES_MAX {
        return Some(format!("these are {}", list.len()));
    }
    (1..).zip(list).find_map(|(number, value)| {
        Some(format!("rectangle {number}: {}", rectangle(value).err()?))
    })
}

/// The four numbers of a rectangle within the picture, or what is wrong with it.
fn rectangle(value: &Value) -> Result<[f64; 4], &'static str> {
    /// Fractions are written with few digits: their sum may be above 1 by a rounding.
    const ROUNDING: f64 = 1e-6;
    let number = |value: &Value| match value.kind {
        ValueKind::Float(number) => Some(number),
        ValueKind::I64(number) => Some(number as f64),
        _ => None,
    };
    let ValueKind::Array(list) = &value.kind else {
        return Err("it is to be four numbers in brackets of its own");
    };
    let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
    let numbers = numbers.and_then(|numbers| <[f64; 4]>::try_from(numbers).ok());
    let Some([x, y, width, height]) = numbers else { return Err("it is to be four numbers") };
    // Said so, a number that is none is refused too.
    if !(x >= 0.0 && y >= 0.0) {
        return Err("x and y are to be 0 or more");
    }
    if !(width > 0.0 && height > 0.0) {
        return Err("width and height are to be above 0");
    }
    if !(x + width <= 1.0 + ROUNDING && y + height <= 1.0 + ROUNDING) {
        return Err(
            "x + width and y + height are to be 1 at most: fractions of the picture, not pixels",
        );
    }
    Ok([x, y, width, height])
}

/// Whether `text` begins as `scheme://` does. No path does: the system takes `//` for `/`, so that
/// nobody needs to write one so.
fn is_address(text: &str) -> bool {
    let scheme = text.trim_start().split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

/// What people write who mean a camera and name none: an address, with or without scheme, or the
/// number that other programs take for one.
fn is_no_device(text: &str) -> bool {
    let relative = !text.starts_with('/');
    let host = text.split('/').next().unwrap_or_default();
    is_address(text)
        || (relative && (text.contains('@') || address::begins_like_one(text)))
        || text.bytes().all(|b| b.is_ascii_digit())
        || host.parse::<std::net::IpAddr>().is_ok()
        || host.parse::<std::net::SocketAddr>().is_ok()
}

/// Names of V4L2 controls, as their own tools print them.
fn control_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(kind: KeyKind, text: &str) -> Option<Json> {
        kind.take(&kind.read(&"test".to_owned(), text))
    }

    #[test]
    fn limits_are_included_and_nothing_beyond() {
        let kind = KeyKind::Whole { min: 1, max: 3 };
        for (text, right) in [("0", false), ("1", true), ("3", true), ("4", false), ("x", false)] {
            assert_eq!(taken(kind, text).is_some(), right, "{text}");
        }
        let kind = KeyKind::Real { min: 0.0, max: 1.0 };
        for (text, right) in
            [("0", true), ("1.0", true), ("1.01", false), ("nan", false), ("inf", false)]
        {
            assert_eq!(taken(kind, text).is_some(), right, "{text}");
        }
    }

    #[test]
    fn a_number_is_one_of_those_that_stand_there() {
        let kind = KeyKind::OneOf(&[0, 90]);
        for (text, right) in [("0", true), ("90", true), ("45", false), ("90.0", false)] {
            assert_eq!(taken(kind, text).is_some(), right, "{text}");
        }
        assert_eq!(kind.to_string(), "one of 0, 90");
    }

    #[test]
    fn a_number_in_quotes_is_no_number_in_a_file() {
        let quoted = Value::new(None, "640");
        assert_eq!(KeyKind::Whole { min: 1, max: 8192 }.take(&quoted), None);
    }

    #[test]
    fn lists_refuse_strange_repeated_and_no_words() {
        let kind = KeyKind::Choices(&["yuyv", "mjpg"]);
        assert!(taken(kind, "mjpg, yuyv").is_some());
        for text in ["", "mjpg,mjpg", "mjpg,h264"] {
            assert_eq!(taken(kind, text), None, "{text}");
        }
    }

    #[test]
    fn rectangles_lie_in_the_picture_and_what_is_wrong_is_named() {
        let right = [
            ("[]", "[]"),
            ("[[0.02, 0.03, 0.24, 0.40]]", "[[0.02,0.03,0.24,0.4]]"),
            (
                " [ [0, 0, 1, 1], [0.93, 0.5, 0.07, 0.5] ] ",
                "[[0.0,0.0,1.0,1.0],[0.93,0.5,0.07,0.5]]",
            ),
        ];
        for (text, wanted) in right {
            let found = taken(KeyKind::Rectangles, text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found.to_string(), wanted);
        }
        let seventeen = format!("[{}]", ["[0, 0, 1, 1]"; 17].join(", "));
        for (text, why) in [
            ("", "a list of at most 16"),
            ("0.1,0.1,0.2,0.2", "a list of at most 16"),
            (
                "[0.1, 0.1, 0.2, 0.2]",
                "rectangle 1: it is to be four numbers in brackets of its own",
            ),
            ("[[0.1, 0.1, 0.2]]", "rectangle 1: it is to be four numbers"),
            ("[[0.1, 0.1, 0.2, '0.2']]", "rectangle 1: it is to be four numbers"),
            ("[[0, 0, 1, 1], [-0.1, 0, 0.5, 0.5]]", "rectangle 2: x and y are to be 0 or more"),
            ("[[0.5, 0.5, 0, 0.5]]", "rectangle 1: width and height are to be above 0"),
            ("[[0.5, 0.5, 0.6, 0.5]]", "rectangle 1: x + width"),
            ("[[10, 20, 100, 120]]", "not pixels"),
            ("[[nan, 0, 0.5, 0.5]]", "x and y"),
            ("[[0, 0, inf, 0.5]]", "x + width"),
            (&seventeen, "these are 17"),
        ] {
            let value = KeyKind::Rectangles.read(&"test".to_owned(), text);
            assert_eq!(KeyKind::Rectangles.take(&value), None, "{text}");
            let wanted = KeyKind::Rectangles.wanted(&value);
            assert!(wanted.contains(why), "{text}: {wanted}");
        }
    }

    #[test]
    fn a_program_is_a_list_of_texts_without_secrets() {
        for right in [r#"["a"]"#, r#"["/bin/x", "", "--size=640x480", "rtsp://cam/1"]"#] {
            assert!(taken(KeyKind::Arguments, right).is_some(), "{right}");
        }
        let many = format!("[{}]", [r#""a""#; 65].join(", "));
        for wrong in [
            "",
            "a b",
            "[]",
            r#"[""]"#,
            r#"["a", 1]"#,
            r#"["a", "b\n"]"#,
            r#"["ffmpeg", "-i", "rtsp://u:secret@cam"]"#,
            r#"["a", "http://cam/?token=secret"]"#,
            &many,
        ] {
            assert_eq!(taken(KeyKind::Arguments, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hosts_are_a_list_of_names() {
        let names = taken(KeyKind::Hosts, r#"["Door.lan", "192.168.1.5"]"#);
        assert_eq!(names, Some(Json::from(vec!["door.lan", "192.168.1.5"])));
        assert!(taken(KeyKind::Hosts, "[]").is_some());
        for wrong in ["door.lan", r#"["https://door.lan"]"#, r#"["door.lan:8480"]"#, "[1]"] {
            assert_eq!(taken(KeyKind::Hosts, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_path_is_no_address_and_has_no_line_break() {
        for right in ["/var/lib/x.db", "visit.mjpeg", "/srv/a:b/c", "./a:/b"] {
            assert!(taken(KeyKind::Path, right).is_some(), "{right}");
        }
        let key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----";
        for wrong in ["rtsp://user:secret@cam/1", "file:///var/lib/x.db", key, "a\0b", ""] {
            assert_eq!(taken(KeyKind::Path, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_follow_their_rules() {
        for (rule, right, wrong) in [
            (Rule::DoorId, "back-door_2", "Back door"),
            (Rule::Device, "/dev/video0", "a\nb"),
            (Rule::Device, "auto", "rtsp://user:secret@cam/stream"),
            (Rule::Device, "libcamera", "rtsp://cam:secret"),
            (Rule::Device, "command", "http://cam/x?token=secret"),
            (Rule::Device, "rtsp://cam.lan:554/stream", "ftp://cam.lan/stream"),
            (Rule::Device, "http://[fe80::1]/x?user={username}&pwd={password}", "http:///x"),
            (Rule::Device, "usb-Maker_Cam_1234-video-index0", "user:secret@cam/stream"),
            (Rule::Device, "v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0", "0"),
            (Rule::Device, "video0", "192.168.1.5:554/stream"),
            (Rule::Device, "usb-http-cam", "rtsp:/user:secret@cam/stream"),
            (Rule::Device, "http", "http//cam/video.mjpg"),
            (Rule::Device, "/dev/rtsp:/cam", "RTSP:/cam/stream"),
            (Rule::Device, "/dev/odd@name", "rtsp://cam/1?pwd={password}&token=secret"),
            (Rule::Device, "https://cam/video.mjpg", "rtsp://"),
            (Rule::CameraIdentity, "usb:046d:0825:1A2B3C4D", "user:secret@cam"),
            (Rule::CameraIdentity, "usb:046d:0825/usb-0000:01:00.0-1.2", "http://cam"),
            (Rule::CameraIdentity, "platform:fe801000.csi", "HD Webcam"),
            (Rule::ModelName, "deepid2", "DeepID2"),
            (Rule::ModelName, "deepid2", ""),
            (Rule::ModelNameOrNone, "covered", "Covered"),
            (Rule::ModelNameOrNone, "", " "),
            (Rule::Host, "broker.lan", "mqtt://broker"),
            (Rule::Host, "fe80::1", ""),
            (Rule::Topic, "home/doors", "home/+/doors"),
            (Rule::Topic, "deepid-edge", "$SYS"),
            (Rule::Listen, "127.0.0.1:8480", "127.0.0.1"),
            (Rule::Listen, "[::]:8480", "0.0.0.0:0"),
            (Rule::Listen, "0.0.0.0:8480", "http://127.0.0.1:8480"),
            (Rule::UserName, "Ünal", "a\nb"),
            (Rule::UserName, "door@house", "mqtt://door:secret@broker"),
        ] {
            assert!(rule.accepts(right), "{rule:?} {right}");
            assert!(!rule.accepts(wrong), "{rule:?} {wrong}");
        }
    }
}
