//! Every key there is, in one place.
//!
//! In: nothing. Out: [`KEYS`] and [`SECTIONS`], from which the loader takes kinds, limits and
//! defaults, and from which `deploy/config.toml`, `config show --default` and the manual page are
//! made; and one struct for each section, with a field for each of its keys.
//! Invariants: a key that is not in this table does not exist; whoever holds a [`super::Config`]
//! holds values within the limits that stand here and that fit each other, so that nothing needs to
//! be checked again. Order is the order of the file.
//!
//! A row is `field: type = change(kind, default, help)`. Its change is `key` or `unset` where it
//! needs a restart, `live` or `live_unset` where a reload is enough: whoever makes one live brings
//! its value to the thread that uses it (`src/equip/live.rs`), and a test walks the table. An unset
//! key has an example in place of a default, and an `Option` for its type. A section within another
//! stands behind the rows of that as `[field] type`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::key::{Key, Section, key, live, live_unset, real, unset, whole};
use super::kind::{KeyKind, Rule};
use super::sections::{CameraFormat, Encryption, Language, LogFormat, LogLevel, ModelOrNone, Pace};
use crate::capture::program::Output;
use crate::clock::ClockRequirement;
use crate::compare::{Metric, Search};
use crate::decide::SeveralFaces;
use crate::detect::Strategy;
use crate::geometry::Turn;
use crate::inference::ModelId;
use crate::liveness::Mode;
use crate::policy::{Direction, PassbackMode, UntrustedClock};

/// Writes the two lists and the structs from the table below, and adds nothing to it.
macro_rules! table {
    ($(
        [$section:literal] $name:ident $about:literal {
            $($field:ident: $type:ty = $change:ident($kind:expr, $value:literal, $help:literal);)*
            $([$inner:ident] $inner_type:ident;)*
        }
    )*) => {
        /// Every section, in the order of the file.
        pub const SECTIONS: &[Section] = &[$(Section { name: $section, help: $about }),*];

        /// Every key, in the order of the file.
        pub const KEYS: &[Key] = &[$($(
            $change(concat!($section, ".", stringify!($field)), $kind, $value, $help),
        )*)*];

        $(
            #[doc = concat!("`[", $section, "]`: ", $about)]
            #[derive(Debug, Clone, PartialEq, Deserialize)]
            #[serde(deny_unknown_fields)]
            #[allow(
                clippy::doc_markdown,
                rustdoc::invalid_html_tags,
                reason = "the help is for people who read the file"
            )]
            pub struct $name {
                $(
                    #[doc = $help]
                    pub $field: $type,
                )*
                $(
                    #[doc = concat!("`[", $section, ".", stringify!($inner), "]`")]
                    pub $inner: $inner_type,
                )*
            }
        )*
    };
}

table! {
    ["door"] Door "Which door this is." {
        id: String = key(KeyKind::Text(Rule::DoorId), r#""front""#,
            "Name of this door in topics and records. It is public on the broker: no person's name.");
        direction: Direction = live(KeyKind::Choice(&["none", "in", "out"]), r#""none""#,
            "Where whoever passes this door goes, for passback.mode.");
    }

    ["camera"] Camera "Where frames come from." {
        device: String = key(KeyKind::Text(Rule::Device), r#""auto""#,
            "'auto' takes the first device that can capture; a path takes that one. Names under /dev/v4l/by-id and /dev/v4l/by-path stay the same when cameras are plugged in another order. 'libcamera' has rpicam-vid read a camera module; an address (rtsp://, rtsps://, http://, https://) has ffmpeg read a network camera; 'command' runs camera.command. What the service needs for these three: docs/install.md.");
        command: Option<Vec<String>> = unset(KeyKind::Arguments, r#"["/usr/local/bin/door-camera", "--fps", "15"]"#,
            "For camera.device = 'command': a program and its arguments, which writes frames to its standard output until it is ended. No shell looks at it. Every user of the machine can read the arguments: no secret in them. Whoever can set this runs programs as the service's user.");
        command_format: Output = key(KeyKind::Choice(&["mjpeg", "y4m", "yuv420", "nv12"]), r#""mjpeg""#,
            "What camera.command writes: JPEG pictures, Y4M, or raw frames of exactly camera.width and camera.height (limited range). Prefer the first two: after lost bytes a raw stream is not found again.");
        username: Option<String> = unset(KeyKind::Text(Rule::UserName), r#""door""#,
            "Who asks, where camera.device is an address and the camera wants to know; '{username}' in the address stands for it.");
        password_file: Option<PathBuf> = unset(KeyKind::Path, r#""/etc/deepid-edge/camera-password""#,
            "A file with the password on its first line, readable by the service's user alone. '{password}' in the address stands for it, such as '?token={password}'.");
        identity: Option<String> = unset(KeyKind::Text(Rule::CameraIdentity), r#""usb:046d:0825:1A2B3C4D""#,
            "Which camera it has to be, of V4L2 devices, as 'deepid-edge doctor' prints it: vendor, product and serial number of a USB camera, or its vendor and product alone, or the bus that it is at. No frame of another camera is judged, and with camera.device = 'auto' this one is looked for. Unset: another camera than at the start, and a virtual one, is told of and judged.");
        width: u32 = key(whole(32, 8192), "640",
            "Pixels across. The nearest size that the camera offers is taken, and logged. Pictures of a network camera are made smaller to fit.");
        height: u32 = key(whole(32, 8192), "480", "Pixels down.");
        fps: u32 = key(whole(1, 120), "15", "Frames a second.");
        formats: Vec<CameraFormat> = key(
            KeyKind::Choices(&["yuyv", "uyvy", "nv12", "grey", "mjpg"]),
            r#"["yuyv", "uyvy", "nv12", "mjpg", "grey"]"#,
            "Pixel formats that may be used, the most wanted first. Uncompressed ones cost less here; MJPG lets a USB 2 camera send large pictures fast enough.");
        controls: BTreeMap<String, i64> = key(KeyKind::Controls, "{}",
            "V4L2 controls to set when the camera is opened, by the names that 'v4l2-ctl --list-ctrls' shows, such as { auto_exposure = 3, backlight_compensation = 1 }.");
        rotate: Turn = key(KeyKind::OneOf(&[0, 90, 180, 270]), "0",
            "By how many degrees the camera's pictures are turned, clockwise, so that faces stand upright: 180 for a camera that hangs upside down. It counts for a recording as well (camera.replay, 'enroll --replay'), not for photographs. camera.width and camera.height are those of the camera before the turn. Changed after people were enrolled through the camera: enrol them again.");
        mirror: bool = key(KeyKind::Switch, "false",
            "Mirror the camera's pictures, left to right, after the turn: for a camera or a converter that mirrors them. People who were enrolled otherwise are not recognised as well: enrol them again.");
        [replay] Replay;
    }

    ["camera.replay"] Replay "A recording in place of the camera, for tests." {
        path: Option<PathBuf> = unset(KeyKind::Path, r#""/var/lib/deepid-edge/visit.mjpeg""#,
            "A folder of pictures, an MJPEG file or a Y4M file, used in place of the camera. Whoever can set this can show the door any face: leave it out of a door that opens.");
        repeat: bool = key(KeyKind::Switch, "false", "Begin again at the end of the recording.");
        pace: Pace = key(KeyKind::Choice(&["real-time", "fast"]), r#""real-time""#,
            "'real-time' waits as the recording did; 'fast' goes as fast as frames are judged.");
    }

    ["models"] Models "Which networks, and where they and their library lie." {
        directory: Option<PathBuf> = unset(KeyKind::Path, r#""/usr/share/deepid-edge/models""#,
            "Where model cards (.toml) and models (.tflite) lie. Unset: /usr/share/deepid-edge/models, then the models/ and assets/models/ folders of a source checkout.");
        library: Option<PathBuf> = unset(KeyKind::Path, r#""/usr/lib/deepid-edge/libLiteRt.so""#,
            "The LiteRT library. Unset: /usr/lib/deepid-edge/libLiteRt.so, then assets/lib/ of a source checkout.");
        find: ModelId = key(KeyKind::Text(Rule::ModelName), r#""blazeface-full-range""#,
            "The detector that searches the whole frame.");
        follow: ModelId = key(KeyKind::Text(Rule::ModelName), r#""blazeface-short-range""#,
            "The detector that follows a face once found, on a crop around it. The same name as models.find searches the whole frame every time.");
        embedder: ModelId = key(KeyKind::Text(Rule::ModelName), r#""deepid2""#,
            "The network that turns a face into a feature vector. References made by another one do not count: enrol again after a change.");
        confirm: Option<ModelId> = unset(KeyKind::Text(Rule::ModelName), r#""deepid2-pair""#,
            "The fusion card by which a second embedder must confirm each grant. Unset: none does. Enrol everybody again after setting it: both networks need references.");
        liveness: ModelId = key(KeyKind::Text(Rule::ModelName), r#""liveness""#,
            "The network that tells a face from a picture of one, where live.mode is not 'off'.");
        quality: ModelOrNone = key(KeyKind::Text(Rule::ModelNameOrNone), r#""covered""#,
            "The network that judges whether eyes, mouth, brows or cheeks are covered: nobody is enrolled or compared in sunglasses or a mask. \"\": none does.");
        threads: u8 = key(whole(1, 8), "1",
            "How many threads run a network. Two take about half the time of one where two cores are idle; a decision then comes hardly sooner, because it waits for frames that agree.");
    }

    ["detect"] Detect "Which faces are looked at." {
        min_face_px: u32 = live(whole(16, 4096), "40",
            "Faces narrower than this many pixels are ignored: people in the distance are no visitors.");
        score: f32 = live(real(0.05, 0.99), "0.5", "How sure the detector must be, 0.05 to 0.99.");
        strategy: Strategy = live(
            KeyKind::Choice(&["find-then-follow", "find", "follow-on-whole"]),
            r#""find-then-follow""#,
            "'find-then-follow': models.find on the whole frame, then models.follow on a crop around the face, which is cheaper and finer; 'find' and 'follow-on-whole': that one alone, on every whole frame.");
        refresh_frames: u32 = live(whole(1, 1000), "2",
            "After so many followed frames the whole one is looked at again, for a second person. Less than visit.agreeing, or a grant could rest on frames that were not looked at as a whole.");
        search_ms: u64 = live(whole(0, 1000), "1000",
            "While nobody is there the whole frame is searched at least every so many milliseconds, at most a second, and at once where something in it has changed. A longer time costs less. 0: one frame in three is searched, whatever it shows.");
        crop_in_faces: f32 = live(real(1.5, 10.0), "3.5",
            "Side of the crop that is followed, in widths of the last face.");
        central: f32 = live(real(0.1, 1.0), "0.7",
            "The visitor is the largest face whose middle lies in this share of the picture's width and height; the largest of all when none does.");
        ignore: Vec<[f32; 4]> = live(KeyKind::Rectangles, "[]",
            "Rectangles [x, y, width, height] in which no face is seen, such as [[0.02, 0.03, 0.24, 0.40]] around a portrait on the wall or a mirror: in fractions of the upright picture, from its upper left corner; 'deepid-edge detect PICTURE --out FILE' draws them. A face lies in one when more than half of its box does. Whoever puts the face there is not seen either, nor counted as a second person: draw them as small as the portrait. They do not count for photographs that are enrolled or compared.");
        only: Vec<[f32; 4]> = live(KeyKind::Rectangles, "[]",
            "Rectangles as in detect.ignore outside of which no face is seen; [] is the whole picture. Make them wide enough for somebody who stands close.");
    }

    ["quality"] Quality "Faces beyond these limits are never compared." {
        eye_distance_min_px: f32 = live(real(4.0, 1000.0), "16.0",
            "Least distance between the eyes, in pixels of the camera.");
        sharpness_min: f32 = live(real(0.0, 10_000.0), "30.0",
            "Least sharpness: variance of the Laplacian over the aligned face.");
        exposure_min: f32 = live(real(0.0, 255.0), "35.0", "Least mean luminance, 0 to 255.");
        exposure_max: f32 = live(real(0.0, 255.0), "225.0", "Greatest mean luminance, 0 to 255.");
        yaw_max: f32 = live(real(0.0, 2.0), "0.35",
            "How far the head may be turned: the nose's distance from the middle line, in eye distances.");
        roll_max_degrees: f32 = live(real(0.0, 180.0), "35.0",
            "How far the head may be tilted, either side.");
        outside_max: f32 = live(real(0.0, 1.0), "0.1",
            "Which share of the aligned face may lie outside the picture.");
        uncovered_refused: f64 = key(real(0.0, 0.5), "0.02",
            "Which share of uncovered faces models.quality may take for covered: the threshold is its card's for this share. A larger one finds more covered faces.");
    }

    ["recognise"] Recognise "How faces are compared, and what counts as the same person." {
        metric: Metric = live(KeyKind::Choice(&["cosine", "euclidean", "euclidean-l2"]), r#""cosine""#,
            "How feature vectors are compared. Larger is more alike for cosine, smaller for the others.");
        search: Search = live(KeyKind::Choice(&["exact", "approximate"]), r#""exact""#,
            "How a face is looked for among the references. 'exact': each one is compared. 'approximate': from 10,000 references on an index tells with which to compare; it is grown in the background and kept beside the database. Whoever would be granted is looked for exactly all the same, so that nobody is granted whom 'exact' would not grant; somebody may be overlooked in a frame (docs/scale.md).");
        mirrored: bool = key(KeyKind::Switch, "true",
            "Average the vector of a face with that of its mirror image: steadier, at twice the (small) cost.");
        target_fpir: f64 = live(real(1e-7, 0.5), "0.01",
            "Which share of attempts by strangers, of the group of people that fares worst, may be taken for somebody enrolled; the threshold follows from the model's calibration and the number of references. Smaller is stricter.");
        accept_fpir: f64 = live(real(1e-7, 1.0), "0.03",
            "The worst share of strangers' attempts that may be taken for somebody. A gallery too large for the model's calibration, or a lenient recognise.threshold, can claim no better: beyond this nobody is granted ('denied', 'beyond_calibration'), between recognise.target_fpir and this there is a warning, and each grant needs a second factor (policy.required_fpir). 1.0 accepts everything, also a threshold of which the calibration says nothing.");
        threshold: Option<f32> = live_unset(real(-1.0, 1000.0), "0.62",
            "A score to reach in place of recognise.target_fpir: at least this for cosine (-1 to 1), at most this for euclidean (0 or more) and euclidean-l2 (0 to 2).");
        margin: f32 = live(real(0.0, 100.0), "0.05",
            "How much nearer the best subject must be than the second one, in units of the metric. With less, the outcome is 'ambiguous'.");
    }

    ["visit"] Visit "How frames over time become one decision." {
        agreeing: u32 = live(whole(1, 32), "3", "How many frames must agree before a decision.");
        window: u32 = live(whole(1, 32), "5",
            "Among how many of the last frames with a face. At least visit.agreeing.");
        spacing_ms: u64 = live(whole(0, 2000), "100",
            "Frames that agree count once in so much time: neighbouring frames of a fast camera are nearly the same picture. visit.agreeing of them must fit into visit.timeout_ms.");
        weight_min: f32 = live(real(0.0, 32.0), "2.0",
            "Sum of the quality weights (0 to 1 a frame) that the agreeing frames must reach: poor frames count for less. Not above visit.agreeing.");
        absence_ms: u64 = live(whole(200, 60_000), "1500",
            "A visit ends when no face was seen for this long.");
        cooldown_ms: u64 = live(whole(0, 3_600_000), "5000",
            "After a grant, the same subject gets no other for this long.");
        several_faces: SeveralFaces = live(KeyKind::Choice(&["refuse", "principal"]), r#""refuse""#,
            "With several faces in view: 'refuse' denies, so that nobody walks in behind a friend's face; 'principal' judges the largest sufficiently central one and ignores the others.");
        stale_ms: u64 = live(whole(50, 10_000), "500", "Frames older than this are no evidence.");
        timeout_ms: u64 = live(whole(500, 120_000), "2000",
            "A visit without agreement is decided as it stands after this long.");
    }

    ["live"] Live "What a visit must show to be of a face and not of a picture of one (docs/liveness.md)." {
        mode: Mode = key(KeyKind::Choice(&["off", "deny", "confirm", "challenge"]), r#""deny""#,
            "'off': whoever is recognised passes for live, also a photograph, and needs a second factor (policy.required_liveness). 'deny': nothing of an attack was seen, and the network takes face and surroundings for live; who stands so close that the surroundings cannot be seen is not let in. 'confirm': besides, the nose moves against the eyes as on a head that turns, which no flat picture shows: visitors turn the head a little, are told so on the topic 'guidance', and have six seconds for it. 'challenge': in place of that, the head moves five times, each time to the left, to the right or ahead, as chosen at random and told on the topic 'guidance', which a screen or a voice at the door must say, and stays there until told the next; a wrong side ends the visit; there are 20 seconds.");
        bpcer: f64 = key(real(0.0, 0.5), "0.1",
            "Which share of live visits the network may refuse: the threshold is the card's for this share, of the data that the card names (drawn visits, which are harder than the ones of real cameras that were measured, docs/liveness.md). Larger refuses more attacks.");
        median: Option<f32> = unset(real(0.0, 1.0), "0.5",
            "What the median of the network's live probability over a visit must reach, 0 to 1, in place of the card's threshold: for a network whose card has none, and for a door that was measured by 'evaluate liveness'.");
    }

    ["policy"] PolicySection "Who may pass, and when (docs/policy.md); the rules themselves stand in the database." {
        time_zone: Option<String> = live_unset(KeyKind::Text(Rule::TimeZone), r#""Europe/Berlin""#,
            "By which clocks hours and dates of schedules are meant, as the time zone database names it. Unset: the system's, UTC where it has none.");
        untrusted_clock: UntrustedClock = live(KeyKind::Choice(&["deny", "timeless"]), r#""deny""#,
            "What comes of a clock that is not trusted (clock.require). 'deny': nobody is granted ('clock_untrusted'). 'timeless': only what has to do with time is refused (hours, validities, arming for a time or by a schedule, passback.mode 'hard'), and whoever none of that concerns may pass: for a door that must open to a household whose board has lost the time and the network.");
        required_fpir: Option<f64> = live_unset(real(1e-7, 1.0), "0.005",
            "The worst claimed share of strangers' attempts, of the gallery as it is, with which a face alone may open. With a worse claim, or none, each grant needs a second factor, as if everybody's group demanded one. At most recognise.accept_fpir, beyond which nobody is granted, second factor or not; 1.0 accepts any claim, and none. Unset: recognise.target_fpir, what the threshold is made for.");
        required_liveness: bool = live(KeyKind::Switch, "true",
            "Whether a face alone opens only where live.mode is not 'off'. false: it opens without, also for a photograph of somebody enrolled; 'deepid-edge doctor' then warns.");
        second_s: u64 = live(whole(5, 120), "30",
            "For how many seconds a second factor, or the first of two persons, counts ('deepid-edge groups demand'). The door waits for a second factor for as long.");
        lockout_visits: u32 = live(whole(0, 100), "5",
            "After so many visits of strangers or pictures within policy.lockout_window_s, without a grant between them, nobody is granted for 30 s ('denied', 'locked_out'), and twice as long each time that it happens again soon. 0: never.");
        lockout_window_s: u64 = live(whole(10, 86_400), "300",
            "Within how many seconds such visits add up.");
        lockout_max_s: u64 = live(whole(30, 3600), "900",
            "No lockout is longer than so many seconds. Anybody who may stand at the door can bring one about.");
        strangers_visits: u32 = live(whole(0, 100), "0",
            "After so many visits of strangers within policy.strangers_window_s somebody is told, once, on the topic 'strangers' and by a record; then they are counted anew. 0: never.");
        strangers_window_s: u64 = live(whole(10, 86_400), "600",
            "Within how many seconds such visits add up.");
        erase_ended_days: u64 = live(whole(0, 3650), "0",
            "Whoever's validity ('deepid-edge subjects validity --until') ended so many days ago is erased, as by 'deepid-edge subjects remove', by a clock that a time service keeps: for visitors. 0: nobody is.");
        recall_minutes: u64 = live(whole(0, 60), "10",
            "For how many minutes the feature vectors of the last strangers' visits stay in memory, so that somebody can be enrolled who has just been there ('deepid-edge enroll NAME --from-visit ID'); never a picture, nothing on the disk. 0: not at all.");
    }

    ["passback"] Passback "Nobody goes in twice without having come out between (docs/policy.md)." {
        mode: PassbackMode = live(KeyKind::Choice(&["off", "soft", "hard"]), r#""off""#,
            "What is made of somebody who goes the same way a second time. 'off': nobody keeps where people are. 'soft': the record says so. 'hard': they are denied ('anti_passback').");
        door: Option<String> = live_unset(KeyKind::Text(Rule::DoorId), r#""back""#,
            "The id of the door that leads the other way, under the same mqtt.base. It must know people by the same ids: set it up by a backup of this one.");
        keys: Option<PathBuf> = live_unset(KeyKind::Path, r#""/etc/deepid-edge/back.jwks.json""#,
            "The public key of that door, as its 'deepid-edge keys export' writes it (PEM, JWK or JWK set): only what it signs counts.");
        forget_h: u64 = live(whole(1, 168), "16",
            "After so many hours it is not known any more where somebody went.");
        refuse_out: bool = live(KeyKind::Switch, "false",
            "true: a door that leads out refuses as well ('hard'). Whoever is wrongly known to be outside cannot leave then: only where there is another way out.");
    }

    ["store"] Store "Enrolled subjects, references and audit records." {
        path: PathBuf = key(KeyKind::Path, r#""/var/lib/deepid-edge/deepid-edge.db""#,
            "The database. Its folder must be writable by the service's user.");
        records_max: u64 = live(whole(100, 100_000_000), "100000",
            "Audit records kept; the oldest are erased beyond it. Of clients' requests (the records 'requested', not 'asked') a tenth of it is kept beside them.");
        key_file: Option<PathBuf> = unset(KeyKind::Path, r#""/var/lib/deepid-edge/store.key""#,
            "The key by which names and references are sealed in the database (64 hexadecimal digits), readable by the service's user alone; made with the first enrolment. Unset: 'store.key' beside the database. The service's credential 'store.key' goes before both (docs/board.md).");
    }

    ["sign"] Sign "Grants that can be trusted wherever they are read (docs/wire/grant.md)." {
        grants: bool = key(KeyKind::Switch, "true",
            "Sign every grant, on the topic 'grant'. What opens something should take signed grants alone: then neither the broker nor whoever may write to it has to be trusted.");
        key_file: Option<PathBuf> = unset(KeyKind::Path, r#""/var/lib/deepid-edge/grant.key""#,
            "The door's private key (Ed25519, PKCS#8 in PEM), readable by the service's user alone; made at the first start. Unset: 'grant.key' beside the database. The service's credential 'grant.key' goes before both (docs/board.md).");
    }

    ["mqtt"] Mqtt "The broker that decisions go to." {
        enabled: bool = live(KeyKind::Switch, "true",
            "false: decisions are recorded, and nobody is told.");
        host: String = live(KeyKind::Text(Rule::Host), r#""localhost""#,
            "Name or address of the broker.");
        port: u16 = live(whole(1, 65535), "1883", "1883 is usual without TLS, 8883 with it.");
        base: String = live(KeyKind::Text(Rule::Topic), r#""deepid-edge""#,
            "First part of every topic: <base>/<door>/access and so on.");
        username: Option<String> = live_unset(KeyKind::Text(Rule::UserName), r#""door-front""#,
            "Who this door is to the broker.");
        password_file: Option<PathBuf> = live_unset(
            KeyKind::Path,
            r#""/etc/deepid-edge/mqtt-password""#,
            "A file with the password on its first line, readable by the service's user alone, or the service's credential (docs/board.md). There is no key for the password itself: configuration gets copied about.");
        names: bool = live(KeyKind::Switch, "false",
            "true: messages on 'access' carry the name of who was recognised, so that a hub can greet people. Whoever may read the broker then knows who comes and goes. Records, 'audit' and the log never carry a name.");
        broker_may_arm: bool = live(KeyKind::Switch, "false",
            "true: whoever the broker lets write to <base>/<door>/armed/set arms and disarms the door, such as Home Assistant's switch. Anybody else needs a key (docs/policy.md).");
        [tls] Tls;
        [home_assistant] HomeAssistant;
    }

    ["mqtt.tls"] Tls "Encryption towards the broker." {
        enabled: bool = live(KeyKind::Switch, "false",
            "Encrypt, and check who the broker is. Use it whenever the broker is another machine: a decision that opens a door should not be forgeable on the network.");
        ca: Option<PathBuf> = live_unset(KeyKind::Path, r#""/etc/deepid-edge/ca.pem""#,
            "The certificate authority (PEM) that must have signed the broker's certificate. Unset: those that the system believes. Your own is stricter.");
        cert: Option<PathBuf> = live_unset(KeyKind::Path, r#""/etc/deepid-edge/client.pem""#,
            "This door's own certificate (PEM), where the broker asks for one. Together with mqtt.tls.key.");
        key: Option<PathBuf> = live_unset(KeyKind::Path, r#""/etc/deepid-edge/client.key""#,
            "The private key (PEM) of mqtt.tls.cert.");
    }

    ["mqtt.home_assistant"] HomeAssistant "Home Assistant." {
        discovery: bool = live(KeyKind::Switch, "false", "Announce this door to Home Assistant.");
        prefix: String = live(KeyKind::Text(Rule::Topic), r#""homeassistant""#,
            "Home Assistant's discovery prefix.");
        retain: bool = live(KeyKind::Switch, "false",
            "Leave the announcement (never a decision) on the broker, for a Home Assistant that starts while the door is away.");
    }

    ["serve"] Serve "The door's page (docs/page.md): off unless serve.listen is set, and for accounts alone." {
        listen: Option<String> = unset(KeyKind::Text(Rule::Listen), r#""127.0.0.1:8480""#,
            "Where the page is served: an address of this machine and a port. Beyond this machine (127.0.0.1, ::1) with serve.tls alone.");
        tls: Encryption = key(KeyKind::Choice(&["off", "self-signed", "certificate"]), r#""off""#,
            "'self-signed': by a certificate that is made at the first start and kept beside the database as 'page.crt' and 'page.key'; browsers warn of it once, and 'deepid-edge doctor' tells the fingerprint to compare. 'certificate': by serve.certificate and serve.key. 'off': not at all, for a browser or a reverse proxy on this machine.");
        certificate: Option<PathBuf> = unset(KeyKind::Path, r#""/etc/deepid-edge/page.crt""#,
            "The page's certificate (PEM) with its intermediates, readable by the service's user.");
        key: Option<PathBuf> = unset(KeyKind::Path, r#""/etc/deepid-edge/page.key""#,
            "The private key (PEM) of serve.certificate.");
        names: Vec<String> = key(KeyKind::Hosts, "[]",
            "Names by which browsers reach the page, such as [\"door.lan\"]: requests by any other name than these, localhost and addresses are refused, because another site's name may have been pointed at this machine.");
        language: Language = key(KeyKind::Choice(&["en", "de", "es", "fr", "nl"]), r#""en""#,
            "The language of the kiosk's page. The other pages follow the browser.");
        kiosk_names: bool = key(KeyKind::Switch, "false",
            "Show the name of whoever is granted on the kiosk's page, to everybody who stands there.");
        kiosk_sound: bool = key(KeyKind::Switch, "false", "Let the kiosk's page give a sound with a decision.");
    }

    ["clock"] ClockSection "What a wall clock must show before anything is granted on it." {
        require: ClockRequirement = live(
            KeyKind::Choice(&["plausible", "synchronised"]),
            r#""plausible""#,
            "'plausible': later than this software was built and not behind the records, unless a time service keeps it and none vouched for them. 'synchronised': also kept by a time service; the service knows systemd-timesyncd, for others see docs/board.md. Otherwise decisions are denied with 'clock_untrusted'.");
    }

    ["log"] Log "What is logged. Names and pictures never are." {
        level: LogLevel = live(
            KeyKind::Choice(&["error", "warn", "info", "debug", "trace"]),
            r#""info""#,
            "How much is logged.");
        format: LogFormat = key(KeyKind::Choice(&["text", "json"]), r#""text""#,
            "'text' for people and the journal, 'json' for machines: one object a line.");
    }
}
