//! Every key there is, in one place.
//!
//! In: nothing. Out: [`KEYS`], from which the loader takes kinds, limits and defaults, and from
//! which `deploy/config.toml`, `config show --default` and the manual page are made.
//! Invariant: a key that is not in this table does not exist; a test loads the defaults into the
//! typed sections, so a key that no section takes, or a section's field without key, fails it.
//! Order is the order of the file; a section's keys stand together. A key needs a restart unless it
//! is made by `live` or `live_unset`; whoever makes one so brings its value to the thread that uses
//! it (`src/equip/live.rs`), and a test walks the table.

use super::kind::{Kind, Rule};

/// One key: its name, what it may hold, its default and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `section.key`, lower case, units last.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// The default, written as TOML; `None` when the key is unset unless somebody sets it.
    pub default: Option<&'static str>,
    /// A value to show where there is no default, written as TOML.
    pub example: &'static str,
    /// What it does, in sentences.
    pub help: &'static str,
    /// When a change of it takes effect in a running daemon.
    pub change: Change,
}

/// When a changed key takes effect in a running daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// As soon as the configuration is read again.
    Live,
    /// When the daemon is started anew; until then the old value stays in force.
    Restart,
}

impl Change {
    /// The same in words, as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Live => "Takes effect at a reload.",
            Self::Restart => "Needs a restart.",
        }
    }
}

/// One section: its name and what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name, without brackets.
    pub name: &'static str,
    /// What it is about.
    pub help: &'static str,
}

/// Every section, in the order of the file.
pub const SECTIONS: &[Section] = &[
    Section { name: "door", help: "Which door this is." },
    Section { name: "camera", help: "Where frames come from." },
    Section { name: "camera.replay", help: "A recording in place of the camera, for tests." },
    Section { name: "models", help: "Which networks, and where they and their library lie." },
    Section { name: "detect", help: "Which faces are looked at." },
    Section { name: "quality", help: "Faces beyond these limits are never compared." },
    Section {
        name: "recognise",
        help: "How faces are compared, and what counts as the same person.",
    },
    Section { name: "visit", help: "How frames over time become one decision." },
    Section { name: "store", help: "Enrolled subjects, references and audit records." },
    Section { name: "mqtt", help: "The broker that decisions go to." },
    Section { name: "mqtt.tls", help: "Encryption towards the broker." },
    Section { name: "mqtt.home_assistant", help: "Home Assistant." },
    Section {
        name: "clock",
        help: "What a wall clock must show before anything is granted on it.",
    },
    Section { name: "log", help: "What is logged. Names and pictures never are." },
];

const fn key(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { name, kind, default: Some(default), example: default, help, change: Change::Restart }
}

const fn unset(name: &'static str, kind: Kind, example: &'static str, help: &'static str) -> Key {
    Key { name, kind, default: None, example, help, change: Change::Restart }
}

/// As [`key`], and a change takes effect at a reload.
const fn live(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { change: Change::Live, ..key(name, kind, default, help) }
}

/// As [`unset`], and a change takes effect at a reload.
const fn live_unset(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    help: &'static str,
) -> Key {
    Key { change: Change::Live, ..unset(name, kind, example, help) }
}

const fn whole(min: i64, max: i64) -> Kind {
    Kind::Whole { min, max }
}

const fn real(min: f64, max: f64) -> Kind {
    Kind::Real { min, max }
}

/// Every key, in the order of the file.
pub const KEYS: &[Key] = &[
    key(
        "door.id",
        Kind::Text(Rule::DoorId),
        r#""front""#,
        "Name of this door in topics and records. It is public on the broker: no person's name.",
    ),
    key(
        "camera.device",
        Kind::Text(Rule::Device),
        r#""auto""#,
        "'auto' takes the first device that can capture; otherwise a path. Names under /dev/v4l/by-id and /dev/v4l/by-path stay the same when cameras are plugged in another order.",
    ),
    key(
        "camera.width",
        whole(32, 8192),
        "640",
        "Pixels across. The nearest size that the camera offers is taken, and logged.",
    ),
    key("camera.height", whole(32, 8192), "480", "Pixels down."),
    key("camera.fps", whole(1, 120), "15", "Frames a second."),
    key(
        "camera.formats",
        Kind::Choices(&["yuyv", "uyvy", "nv12", "grey", "mjpg"]),
        r#"["yuyv", "uyvy", "nv12", "mjpg", "grey"]"#,
        "Pixel formats that may be used, the most wanted first. Uncompressed ones cost less here; MJPG lets a USB 2 camera send large pictures fast enough.",
    ),
    key(
        "camera.controls",
        Kind::Controls,
        "{}",
        "V4L2 controls to set when the camera is opened, by the names that 'v4l2-ctl --list-ctrls' shows, such as { auto_exposure = 3, backlight_compensation = 1 }.",
    ),
    key(
        "camera.rotate",
        Kind::OneOf(&[0, 90, 180, 270]),
        "0",
        "By how many degrees the camera's pictures are turned, clockwise, so that faces stand upright: 180 for a camera that hangs upside down. It counts for a recording as well (camera.replay, 'enroll --replay'), not for photographs. camera.width and camera.height are those of the camera before the turn. Changed after people were enrolled through the camera: enrol them again.",
    ),
    key(
        "camera.mirror",
        Kind::Switch,
        "false",
        "Mirror the camera's pictures, left to right, after the turn: for a camera or a converter that mirrors them. People who were enrolled otherwise are not recognised as well: enrol them again.",
    ),
    unset(
        "camera.replay.path",
        Kind::Path,
        r#""/var/lib/deepid-edge/visit.mjpeg""#,
        "A folder of pictures, an MJPEG file or a Y4M file, used in place of the camera. Whoever can set this can show the door any face: leave it out of a door that opens.",
    ),
    key("camera.replay.repeat", Kind::Switch, "false", "Begin again at the end of the recording."),
    key(
        "camera.replay.pace",
        Kind::Choice(&["real-time", "fast"]),
        r#""real-time""#,
        "'real-time' waits as the recording did; 'fast' goes as fast as frames are judged.",
    ),
    unset(
        "models.directory",
        Kind::Path,
        r#""/usr/share/deepid-edge/models""#,
        "Where model cards (.toml) and models (.tflite) lie. Unset: /usr/share/deepid-edge/models, then the models/ and assets/models/ folders of a source checkout.",
    ),
    unset(
        "models.library",
        Kind::Path,
        r#""/usr/lib/deepid-edge/libLiteRt.so""#,
        "The LiteRT library. Unset: /usr/lib/deepid-edge/libLiteRt.so, then assets/lib/ of a source checkout.",
    ),
    key(
        "models.find",
        Kind::Text(Rule::ModelName),
        r#""blazeface-full-range""#,
        "The detector that searches the whole frame.",
    ),
    key(
        "models.follow",
        Kind::Text(Rule::ModelName),
        r#""blazeface-short-range""#,
        "The detector that follows a face once found, on a crop around it. The same name as models.find searches the whole frame every time.",
    ),
    key(
        "models.embedder",
        Kind::Text(Rule::ModelName),
        r#""deepid2""#,
        "The network that turns a face into a feature vector. References made by another one do not count: enrol again after a change.",
    ),
    unset(
        "models.confirm",
        Kind::Text(Rule::ModelName),
        r#""deepid2-mobilefacenet""#,
        "The fusion card by which a second embedder must confirm each grant. Unset: none does. Enrol everybody again after setting it: both networks need references.",
    ),
    key(
        "models.threads",
        whole(1, 8),
        "1",
        "How many threads run a network. Two take about half the time of one where two cores are idle; a decision then comes hardly sooner, because it waits for frames that agree.",
    ),
    live(
        "detect.min_face_px",
        whole(16, 4096),
        "40",
        "Faces narrower than this many pixels are ignored: people in the distance are no visitors.",
    ),
    live("detect.score", real(0.05, 0.99), "0.5", "How sure the detector must be, 0.05 to 0.99."),
    live(
        "detect.strategy",
        Kind::Choice(&["find-then-follow", "find", "follow-on-whole"]),
        r#""find-then-follow""#,
        "'find-then-follow': models.find on the whole frame, then models.follow on a crop around the face, which is cheaper and finer; 'find' and 'follow-on-whole': that one alone, on every whole frame.",
    ),
    live(
        "detect.refresh_frames",
        whole(1, 1000),
        "2",
        "After so many followed frames the whole one is looked at again, for a second person. Less than visit.agreeing, or a grant could rest on frames that were not looked at as a whole.",
    ),
    live(
        "detect.crop_in_faces",
        real(1.5, 10.0),
        "3.5",
        "Side of the crop that is followed, in widths of the last face.",
    ),
    live(
        "detect.central",
        real(0.1, 1.0),
        "0.7",
        "The visitor is the largest face whose middle lies in this share of the picture's width and height; the largest of all when none does.",
    ),
    live(
        "detect.ignore",
        Kind::Rectangles,
        "[]",
        "Rectangles [x, y, width, height] in which no face is seen, such as [[0.02, 0.03, 0.24, 0.40]] around a portrait on the wall or a mirror: in fractions of the upright picture, from its upper left corner; 'deepid-edge detect PICTURE --out FILE' draws them. A face lies in one when more than half of its box does. Whoever puts the face there is not seen either, nor counted as a second person: draw them as small as the portrait. They do not count for photographs that are enrolled or compared.",
    ),
    live(
        "detect.only",
        Kind::Rectangles,
        "[]",
        "Rectangles as in detect.ignore outside of which no face is seen; [] is the whole picture. Make them wide enough for somebody who stands close.",
    ),
    live(
        "quality.eye_distance_min_px",
        real(4.0, 1000.0),
        "16.0",
        "Least distance between the eyes, in pixels of the camera.",
    ),
    live(
        "quality.sharpness_min",
        real(0.0, 10_000.0),
        "30.0",
        "Least sharpness: variance of the Laplacian over the aligned face.",
    ),
    live("quality.exposure_min", real(0.0, 255.0), "35.0", "Least mean luminance, 0 to 255."),
    live("quality.exposure_max", real(0.0, 255.0), "225.0", "Greatest mean luminance, 0 to 255."),
    live(
        "quality.yaw_max",
        real(0.0, 2.0),
        "0.35",
        "How far the head may be turned: the nose's distance from the middle line, in eye distances.",
    ),
    live(
        "quality.roll_max_degrees",
        real(0.0, 180.0),
        "35.0",
        "How far the head may be tilted, either side.",
    ),
    live(
        "quality.outside_max",
        real(0.0, 1.0),
        "0.1",
        "Which share of the aligned face may lie outside the picture.",
    ),
    live(
        "recognise.metric",
        Kind::Choice(&["cosine", "euclidean", "euclidean-l2"]),
        r#""cosine""#,
        "How feature vectors are compared. Larger is more alike for cosine, smaller for the others.",
    ),
    key(
        "recognise.mirrored",
        Kind::Switch,
        "true",
        "Average the vector of a face with that of its mirror image: steadier, at twice the (small) cost.",
    ),
    live(
        "recognise.target_fpir",
        real(1e-7, 0.5),
        "0.001",
        "Which share of strangers' attempts may be taken for somebody enrolled; the threshold follows from the model's calibration and the number of references. Smaller is stricter.",
    ),
    live(
        "recognise.accept_fpir",
        real(1e-7, 1.0),
        "0.01",
        "The worst share of strangers' attempts that may be taken for somebody. A gallery too large for the model's calibration, or a lenient recognise.threshold, can claim no better: beyond this nobody is granted ('denied', 'beyond_calibration'), between recognise.target_fpir and this there is a warning. 1.0 accepts everything, also a threshold of which the calibration says nothing.",
    ),
    live_unset(
        "recognise.threshold",
        real(-1.0, 1000.0),
        "0.62",
        "A score to reach in place of recognise.target_fpir: at least this for cosine (-1 to 1), at most this for euclidean (0 or more) and euclidean-l2 (0 to 2).",
    ),
    live(
        "recognise.margin",
        real(0.0, 100.0),
        "0.05",
        "How much nearer the best subject must be than the second one, in units of the metric. With less, the outcome is 'ambiguous'.",
    ),
    live("visit.agreeing", whole(1, 32), "3", "How many frames must agree before a decision."),
    live(
        "visit.window",
        whole(1, 32),
        "5",
        "Among how many of the last frames with a face. At least visit.agreeing.",
    ),
    live(
        "visit.spacing_ms",
        whole(0, 2000),
        "100",
        "Frames that agree count once in so much time: neighbouring frames of a fast camera are nearly the same picture. visit.agreeing of them must fit into visit.timeout_ms.",
    ),
    live(
        "visit.weight_min",
        real(0.0, 32.0),
        "2.0",
        "Sum of the quality weights (0 to 1 a frame) that the agreeing frames must reach: poor frames count for less. Not above visit.agreeing.",
    ),
    live(
        "visit.absence_ms",
        whole(200, 60_000),
        "1500",
        "A visit ends when no face was seen for this long.",
    ),
    live(
        "visit.cooldown_ms",
        whole(0, 3_600_000),
        "5000",
        "After a grant, the same subject gets no other for this long.",
    ),
    live(
        "visit.several_faces",
        Kind::Choice(&["refuse", "principal"]),
        r#""refuse""#,
        "With several faces in view: 'refuse' denies, so that nobody walks in behind a friend's face; 'principal' judges the largest sufficiently central one and ignores the others.",
    ),
    live("visit.stale_ms", whole(50, 10_000), "500", "Frames older than this are no evidence."),
    live(
        "visit.timeout_ms",
        whole(500, 120_000),
        "2000",
        "A visit without agreement is decided as it stands after this long.",
    ),
    key(
        "store.path",
        Kind::Path,
        r#""/var/lib/deepid-edge/deepid-edge.db""#,
        "The database. Its folder must be writable by the service's user.",
    ),
    live(
        "store.records_max",
        whole(100, 100_000_000),
        "100000",
        "Audit records kept; the oldest are erased beyond it. Of clients' requests a tenth of it is kept beside them.",
    ),
    live(
        "mqtt.enabled",
        Kind::Switch,
        "true",
        "false: decisions are recorded, and nobody is told.",
    ),
    live("mqtt.host", Kind::Text(Rule::Host), r#""localhost""#, "Name or address of the broker."),
    live("mqtt.port", whole(1, 65535), "1883", "1883 is usual without TLS, 8883 with it."),
    live(
        "mqtt.base",
        Kind::Text(Rule::Topic),
        r#""deepid-edge""#,
        "First part of every topic: <base>/<door>/access and so on.",
    ),
    live_unset(
        "mqtt.username",
        Kind::Text(Rule::UserName),
        r#""door-front""#,
        "Who this door is to the broker.",
    ),
    live_unset(
        "mqtt.password_file",
        Kind::Path,
        r#""/etc/deepid-edge/mqtt-password""#,
        "A file with the password on its first line, readable by the service's user alone, or the service's credential (docs/board.md). There is no key for the password itself: configuration gets copied about.",
    ),
    live(
        "mqtt.tls.enabled",
        Kind::Switch,
        "false",
        "Encrypt, and check who the broker is. Use it whenever the broker is another machine: a decision that opens a door should not be forgeable on the network.",
    ),
    live_unset(
        "mqtt.tls.ca",
        Kind::Path,
        r#""/etc/deepid-edge/ca.pem""#,
        "The certificate authority (PEM) that must have signed the broker's certificate. Unset: those that the system believes. Your own is stricter.",
    ),
    live_unset(
        "mqtt.tls.cert",
        Kind::Path,
        r#""/etc/deepid-edge/client.pem""#,
        "This door's own certificate (PEM), where the broker asks for one. Together with mqtt.tls.key.",
    ),
    live_unset(
        "mqtt.tls.key",
        Kind::Path,
        r#""/etc/deepid-edge/client.key""#,
        "The private key (PEM) of mqtt.tls.cert.",
    ),
    live(
        "mqtt.home_assistant.discovery",
        Kind::Switch,
        "false",
        "Announce this door to Home Assistant.",
    ),
    live(
        "mqtt.home_assistant.prefix",
        Kind::Text(Rule::Topic),
        r#""homeassistant""#,
        "Home Assistant's discovery prefix.",
    ),
    live(
        "mqtt.home_assistant.retain",
        Kind::Switch,
        "false",
        "Leave the announcement (never a decision) on the broker, for a Home Assistant that starts while the door is away.",
    ),
    live(
        "clock.require",
        Kind::Choice(&["plausible", "synchronised"]),
        r#""plausible""#,
        "'plausible': later than this software was built and not behind the records, unless a time service keeps it and none vouched for them. 'synchronised': also kept by a time service; the service knows systemd-timesyncd, for others see docs/board.md. Otherwise decisions are denied with 'clock_untrusted'.",
    ),
    live(
        "log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        r#""info""#,
        "How much is logged.",
    ),
    key(
        "log.format",
        Kind::Choice(&["text", "json"]),
        r#""text""#,
        "'text' for people and the journal, 'json' for machines: one object a line.",
    ),
];

/// The key called `name`; for a table of free names such as `camera.controls.brightness`, the
/// table's key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| {
        key.name == name
            || (matches!(key.kind, Kind::Controls)
                && name.strip_prefix(key.name).is_some_and(|rest| {
                    rest.strip_prefix('.')
                        .is_some_and(|free| !free.is_empty() && !free.contains('.'))
                }))
    })
}

/// The key that somebody who wrote `name` probably meant, if one is near enough.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let moved: Vec<_> = KEYS.iter().filter(|key| last(key.name) == last(name)).collect();
    if let [only] = moved.as_slice() {
        return Some(only.name);
    }
    let longer: Vec<_> = KEYS.iter().filter(|key| key.name.starts_with(name)).collect();
    if let [only] = longer.as_slice() {
        return Some(only.name);
    }
    KEYS.iter()
        .map(|key| (strsim::damerau_levenshtein(key.name, name), key.name))
        .min()
        .filter(|(distance, near)| *distance <= 2.max(near.len() / 4))
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_key_has_its_section() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.name), "{} stands twice", key.name);
            let (section, _) = key.name.rsplit_once('.').expect("section.key");
            assert!(SECTIONS.iter().any(|s| s.name == section), "no section for {}", key.name);
        }
    }

    #[test]
    fn near_misses_are_understood_and_nonsense_is_not() {
        for (written, meant) in [
            ("camera.widht", Some("camera.width")),
            ("camera.min_face_px", Some("detect.min_face_px")),
            ("recognize.metric", Some("recognise.metric")),
            ("mqtt.hosts", Some("mqtt.host")),
            ("visit.absence", Some("visit.absence_ms")),
            ("mqtt.password", Some("mqtt.password_file")),
            ("colour.of.the.door", None),
        ] {
            assert_eq!(nearest(written), meant, "{written}");
        }
    }

    #[test]
    fn controls_take_free_names_of_one_part() {
        assert!(find("camera.controls.brightness").is_some());
        assert!(find("camera.controls.a.b").is_none());
        assert!(find("camera.controls.").is_none());
        assert!(find("camera.widths").is_none());
    }
}
