//! Sections as the rooms' own settings.
//!
//! In: a checked [`Config`]. Out: each room's plain struct. Invariant: every key has an effect; a
//! setting that is mapped nowhere here is read by the daemon or a verb by its name. A room's
//! defaults and the table of keys agree, by test.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::capture::negotiate::Wish;
use crate::capture::program::{Program, ProgramSettings};
use crate::capture::replay::{self, ReplaySettings};
use crate::capture::v4l2::CameraSettings;
use crate::capture::{CameraKind, Encoding, Feed, FrameRate, SourceSettings};
use crate::clock::Monotonic;
use crate::config::{CameraFormat, Config, DeviceKind, Pace};
use crate::decide::{Gate, Gates, VisitPolicy};
use crate::detect::{FollowerSettings, Zones};
use crate::embed::QualityLimits;
use crate::frame::PixelFormat;
use crate::geometry::View;
use crate::liveness::Mode;
use crate::policy::{
    FaceAlone, LockoutPolicy, PassbackPolicy, RuleBook, Rules, SAME_PASSAGE, StrangersPolicy,
};
use crate::publish::tls::ClientCertificate;
use crate::publish::{Credentials, HomeAssistantSettings, SessionSettings, TlsSettings, Topics};
use crate::recognise::Tuning;
use crate::sign::{CREDENTIAL, KeyPlace, SignSettings};
use crate::store::{SealPlace, StoreSettings};

/// How long a visit may take in which the visitor is asked to turn the head.
const TURNING: Duration = Duration::from_secs(6);
/// The same where those are several turns, to sides that are told.
const CHALLENGE: Duration = Duration::from_secs(20);

impl Config {
    /// How many attempts a visit has at the comparison that decides: as many as frames must agree, where a
    /// second embedder confirms, which looks at each of them; otherwise one, whose claim is of a visit.
    #[must_use]
    pub fn deciding_tries(&self) -> f64 {
        match self.models.confirm {
            Some(_) => f64::from(self.visit.agreeing.max(1)),
            None => 1.0,
        }
    }

    /// The worst claim with which a face alone may open: what is asked of the threshold, unless another is
    /// named; never worse than what is accepted at all.
    #[must_use]
    pub fn required_fpir(&self) -> f64 {
        let required = self.policy.required_fpir.unwrap_or(self.recognise.target_fpir);
        required.min(self.recognise.accept_fpir)
    }

    /// Whether a face alone may open where this FPIR can be claimed of the gallery that decides (0 to 1;
    /// `None`: no claim). One of a try at the confirming embedder is made one of a visit, which has several.
    #[must_use]
    pub fn face_alone(&self, claimed_fpir: Option<f64>) -> FaceAlone {
        let tries = self.deciding_tries();
        FaceAlone {
            claimed_fpir: claimed_fpir.map(|fpir| f64::min(fpir * tries, 1.0)),
            required_fpir: self.required_fpir(),
            liveness: self.live.mode != Mode::Off,
            required_liveness: self.policy.required_liveness,
        }
    }

    /// What is written, as the rules of this door, where this FPIR can be claimed of the gallery that
    /// decides.
    #[must_use]
    pub fn rules(&self, book: RuleBook, claimed_fpir: Option<f64>) -> Rules {
        Rules::new(book, self.time_zone())
            .with_untrusted_clock(self.policy.untrusted_clock)
            .with_passback(self.passback_policy())
            .with_face_alone(self.face_alone(claimed_fpir))
    }

    /// What faces must be like to be compared.
    #[must_use]
    pub fn quality_limits(&self) -> QualityLimits {
        let quality = &self.quality;
        QualityLimits {
            eye_distance_min_px: quality.eye_distance_min_px,
            sharpness_min: quality.sharpness_min,
            exposure_min: quality.exposure_min,
            exposure_max: quality.exposure_max,
            yaw_max: quality.yaw_max,
            roll_max_degrees: quality.roll_max_degrees,
            outside_max: quality.outside_max,
            upright: true,
            free: true,
        }
    }

    /// How faces are found and followed.
    #[must_use]
    pub fn follower_settings(&self) -> FollowerSettings {
        let detect = &self.detect;
        FollowerSettings {
            strategy: detect.strategy,
            crop_in_faces: detect.crop_in_faces,
            refresh: detect.refresh_frames,
            min_face_px: detect.min_face_px as f32,
            search_every: Duration::from_millis(detect.search_ms),
        }
    }

    /// What may change of the path while it runs.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        Tuning {
            limits: self.quality_limits(),
            central: self.detect.central,
            follower: self.follower_settings(),
            min_score: self.detect.score,
            zones: self.zones(),
            recall: self.policy.recall_minutes > 0,
        }
    }

    /// Where in the camera's picture faces are seen. Not for photographs: their pictures are others.
    #[must_use]
    pub fn zones(&self) -> Zones {
        Zones::new(&self.detect.ignore, &self.detect.only)
    }

    /// How much is kept.
    #[must_use]
    pub fn store_settings(&self) -> StoreSettings {
        StoreSettings {
            records_max: self.store.records_max,
            key_place: Some(self.store_key_place()),
            ..StoreSettings::default()
        }
    }

    /// Where the key lies by which names and references are sealed: the service's credential, the file
    /// that is named, or one beside the database.
    #[must_use]
    pub fn store_key_place(&self) -> SealPlace {
        let beside = || SealPlace::beside_database(&self.store.path).path;
        let file = self.store.key_file.clone().unwrap_or_else(beside);
        SealPlace::of(file, self.credentials())
    }

    /// Where the key lies by which grants are signed: the service's credential, the file that is
    /// named, or one beside the database.
    #[must_use]
    pub fn grant_key_place(&self) -> KeyPlace {
        let beside = || self.store.path.with_file_name(CREDENTIAL);
        let file = self.sign.key_file.clone().unwrap_or_else(beside);
        KeyPlace::of(file, self.credentials())
    }

    /// Whether grants are signed, and by which key.
    #[must_use]
    pub fn sign_settings(&self) -> SignSettings {
        SignSettings { place: self.sign.grants.then(|| self.grant_key_place()) }
    }

    /// By which clocks the rules are meant. A system without a time zone has UTC.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        let named = self.policy.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(|| TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// How frames over time become one decision where a door is measured: a lockout would hide what
    /// comes after it.
    #[must_use]
    pub fn measured_visit_policy(&self) -> VisitPolicy {
        VisitPolicy { lockout: LockoutPolicy::OFF, ..self.visit_policy() }
    }

    /// How frames over time become one decision.
    #[must_use]
    pub fn visit_policy(&self) -> VisitPolicy {
        let visit = &self.visit;
        VisitPolicy {
            agreeing: visit.agreeing,
            window: visit.window,
            spacing: Duration::from_millis(visit.spacing_ms),
            weight_min: visit.weight_min,
            margin_min: self.recognise.margin,
            absence: Duration::from_millis(visit.absence_ms),
            cooldown: Duration::from_millis(visit.cooldown_ms),
            several_faces: visit.several_faces,
            stale: Duration::from_millis(visit.stale_ms),
            timeout: self.visit_timeout(),
            gates: Gates::NONE
                .with(Gate::Confirm, self.models.confirm.is_some())
                .with(Gate::Liveness, self.live.mode != Mode::Off),
            second: Duration::from_secs(self.policy.second_s),
            lockout: LockoutPolicy {
                visits: self.policy.lockout_visits,
                window: Duration::from_secs(self.policy.lockout_window_s),
                longest: Duration::from_secs(self.policy.lockout_max_s),
            },
        }
    }

    /// When somebody is told of strangers.
    #[must_use]
    pub fn strangers_policy(&self) -> StrangersPolicy {
        StrangersPolicy {
            visits: self.policy.strangers_visits,
            window: Duration::from_secs(self.policy.strangers_window_s),
        }
    }

    /// What is made of where people went last.
    #[must_use]
    pub fn passback_policy(&self) -> PassbackPolicy {
        PassbackPolicy {
            mode: self.passback.mode,
            direction: self.door.direction,
            forget: Duration::from_secs(3600 * self.passback.forget_h),
            same: Duration::from_millis(self.visit.cooldown_ms).max(SAME_PASSAGE),
            refuse_out: self.passback.refuse_out,
        }
    }

    /// How long after the end of their validity people are erased; `None`: never.
    #[must_use]
    pub fn erase_ended(&self) -> Option<Duration> {
        let days = self.policy.erase_ended_days;
        (days > 0).then(|| Duration::from_secs(24 * 3600 * days))
    }

    /// For how long the vectors of a stranger's visit are remembered; zero: not at all.
    #[must_use]
    pub fn recall(&self) -> Duration {
        Duration::from_secs(60 * self.policy.recall_minutes)
    }

    /// How long a visit may take; whoever is to turn the head needs more time than who is not.
    fn visit_timeout(&self) -> Duration {
        let timeout = Duration::from_millis(self.visit.timeout_ms);
        match self.live.mode {
            Mode::Confirm => timeout.max(TURNING),
            Mode::Challenge => timeout.max(CHALLENGE),
            Mode::Off | Mode::Deny => timeout,
        }
    }

    /// Which camera, and how.
    #[must_use]
    pub fn camera_settings(&self) -> CameraSettings {
        let camera = &self.camera;
        CameraSettings {
            device: camera.device.clone(),
            identity: camera.identity.clone(),
            wish: Wish {
                size: (camera.width, camera.height),
                rate: FrameRate::per_second(camera.fps),
                formats: camera.formats.iter().map(|format| encoding(*format)).collect(),
            },
            controls: camera.controls.clone(),
        }
    }

    /// The program that reads the camera, where it is none of V4L2's.
    #[must_use]
    pub fn camera_program(&self) -> Option<ProgramSettings> {
        let camera = &self.camera;
        let program = match DeviceKind::of(&camera.device) {
            DeviceKind::Libcamera => Program::Libcamera,
            DeviceKind::Command => Program::Command {
                arguments: camera.command.clone().unwrap_or_default(),
                output: camera.command_format,
            },
            DeviceKind::Address => Program::Address(camera.device.clone()),
            DeviceKind::Node => return None,
        };
        Some(ProgramSettings {
            program,
            size: (camera.width, camera.height),
            rate: FrameRate::per_second(camera.fps),
            username: camera.username.clone(),
            password_file: camera.password_file.clone(),
        })
    }

    /// How the camera is read.
    #[must_use]
    pub fn camera_kind(&self) -> CameraKind {
        self.camera_program()
            .map_or_else(|| CameraKind::Device(self.camera_settings()), CameraKind::Program)
    }

    /// Camera or recording; a recording's first frame is captured at `start`.
    #[must_use]
    pub fn source_settings(&self, start: Monotonic) -> SourceSettings {
        let replay = &self.camera.replay;
        let recording = |path: PathBuf| ReplaySettings {
            path,
            rate: None,
            pace: match replay.pace {
                Pace::RealTime => replay::Pace::RealTime,
                Pace::Fast => replay::Pace::AsFastAsPossible { start },
            },
            passes: if replay.repeat { None } else { Some(NonZeroU32::MIN) },
        };
        let feed = match replay.path.clone().map(recording) {
            Some(recording) => Feed::Recording(recording),
            None => Feed::Camera(self.camera_kind()),
        };
        SourceSettings { feed, view: self.camera_view() }
    }

    /// Whether a recording is played as fast as frames are judged, in its own time.
    #[must_use]
    pub fn replays_unpaced(&self) -> bool {
        self.camera.replay.path.is_some() && self.camera.replay.pace == Pace::Fast
    }

    /// How the pictures of the camera, or of the recording in its place, are looked at.
    #[must_use]
    pub fn camera_view(&self) -> View {
        View { turn: self.camera.rotate, mirrored: self.camera.mirror }
    }

    /// How to reach the broker; `None` when nobody is to be told.
    #[must_use]
    pub fn session_settings(&self) -> Option<SessionSettings> {
        let mqtt = &self.mqtt;
        if !mqtt.enabled {
            return None;
        }
        let client =
            mqtt.tls.cert.clone().zip(mqtt.tls.key.clone()).map(|(certificate_file, key_file)| {
                ClientCertificate { certificate_file, key_file }
            });
        // The rules of the two keys let nothing else through, by test.
        let topics = Topics::new(&mqtt.base, &self.door.id)
            .inspect_err(|error| tracing::error!(%error, "no topics; please report it"))
            .ok()?;
        let plain = SessionSettings::plain(mqtt.host.clone(), mqtt.port, topics);
        Some(SessionSettings {
            tls: mqtt.tls.enabled.then(|| TlsSettings { ca_file: mqtt.tls.ca.clone(), client }),
            credentials: mqtt
                .username
                .clone()
                .map(|user| Credentials { user, password_file: mqtt.password_file.clone() }),
            home_assistant: mqtt.home_assistant.discovery.then(|| HomeAssistantSettings {
                prefix: mqtt.home_assistant.prefix.clone(),
                retain: mqtt.home_assistant.retain,
            }),
            broker_may_arm: mqtt.broker_may_arm,
            follows: self.passback.door.clone(),
            ..plain
        })
    }
}

const fn encoding(format: CameraFormat) -> Encoding {
    match format {
        CameraFormat::Yuyv => Encoding::Raw(PixelFormat::Yuyv),
        CameraFormat::Uyvy => Encoding::Raw(PixelFormat::Uyvy),
        CameraFormat::Nv12 => Encoding::Raw(PixelFormat::Nv12),
        CameraFormat::Grey => Encoding::Raw(PixelFormat::Grey),
        CameraFormat::Mjpg => Encoding::Jpeg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};
    use crate::sign::PlaceKind;

    fn config(flags: &[(&str, &str)]) -> Config {
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        Config::load(&Sources { flags, ..Sources::default() }).expect("right")
    }

    #[test]
    fn defaults_are_those_of_the_rooms() {
        let config = config(&[]);
        assert_eq!(config.quality_limits(), QualityLimits::default());
        assert_eq!(config.follower_settings(), FollowerSettings::default());
        // A door looks at liveness; a visit by itself asks nobody.
        let gates = Gates::NONE.with(Gate::Liveness, true);
        assert_eq!(config.visit_policy(), VisitPolicy { gates, ..VisitPolicy::default() });
        let key_place = Some(SealPlace {
            path: "/var/lib/deepid-edge/store.key".into(),
            kind: PlaceKind::File,
        });
        assert_eq!(
            config.store_settings(),
            StoreSettings { key_place, ..StoreSettings::default() }
        );
    }

    #[test]
    fn the_key_lies_beside_the_database_unless_another_place_is_named() {
        let path = |flags| config(flags).grant_key_place().path;
        assert_eq!(path(&[]), PathBuf::from("/var/lib/deepid-edge/grant.key"));
        assert_eq!(path(&[("store.path", "/a/b.db")]), PathBuf::from("/a/grant.key"));
        assert_eq!(path(&[("sign.key_file", "/c/d.key")]), PathBuf::from("/c/d.key"));
        assert_eq!(config(&[("sign.grants", "false")]).sign_settings().place, None);
        let path = |flags| config(flags).store_key_place().path;
        assert_eq!(path(&[]), PathBuf::from("/var/lib/deepid-edge/store.key"));
        assert_eq!(path(&[("store.path", "/a/b.db")]), PathBuf::from("/a/store.key"));
        assert_eq!(path(&[("store.key_file", "/c/d.key")]), PathBuf::from("/c/d.key"));
        let folder = tempfile::tempdir().expect("a folder");
        let credential = folder.path().join("grant.key");
        std::fs::write(&credential, "").expect("written");
        let given = ("CREDENTIALS_DIRECTORY".to_owned(), folder.path().display().to_string());
        let sources = Sources { environment: vec![given], ..Sources::default() };
        let given = Config::load(&sources).expect("right");
        assert_eq!(given.grant_key_place().path, credential);
        let reloaded = given.reloaded(&config(&[])).expect("fits");
        assert_eq!(reloaded.grant_key_place().path, credential);
    }

    #[test]
    fn a_visit_has_several_tries_where_a_second_embedder_confirms() {
        assert!((config(&[]).deciding_tries() - 1.0).abs() < 1e-9);
        let confirmed = config(&[("models.confirm", "any")]);
        assert!((confirmed.deciding_tries() - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_face_alone_is_enough_where_the_threshold_claims_what_it_is_made_for() {
        let enough = |flags: &[(&str, &str)], claim| config(flags).face_alone(claim).is_enough();
        assert!(enough(&[], Some(0.01)) && !enough(&[], Some(0.011)) && !enough(&[], None));
        // What is asked for is what is required, unless another claim is named.
        let lenient = [("recognise.target_fpir", "0.03")];
        assert!(enough(&lenient, Some(0.03)) && !enough(&lenient, Some(0.031)));
        let stricter = [lenient[0], ("policy.required_fpir", "0.001")];
        assert!(enough(&stricter, Some(0.001)) && !enough(&stricter, Some(0.03)));
        let any = [("recognise.accept_fpir", "1.0"), ("policy.required_fpir", "1.0")];
        assert!(enough(&any, None));
        // Never worse than what is accepted at all.
        let strict = [("recognise.threshold", "0.6"), ("recognise.accept_fpir", "0.001")];
        assert!(!enough(&strict, Some(0.005)));
        // Each try at the confirming embedder has its share.
        let confirmed = [("models.confirm", "any")];
        assert!(enough(&confirmed, Some(0.01 / 3.0)) && !enough(&confirmed, Some(0.01)));
        let off = ("live.mode", "off");
        assert!(!enough(&[off], Some(0.001)));
        assert!(enough(&[off, ("policy.required_liveness", "false")], Some(0.001)));
        let what = config(&[off]).face_alone(Some(0.02)).words().expect("two doubts");
        assert!(what.0.contains("2.00e-2") && what.0.contains("live.mode"), "{what:?}");
        assert!(
            what.1.contains("policy.required_fpir = 0.02") && what.1.contains("'deny'"),
            "{what:?}"
        );
    }

    #[test]
    fn whatever_base_and_door_the_keys_let_through_makes_topics() {
        let (base, door) = ("a/".repeat(31) + "!~", "_".repeat(32));
        for (base, door) in [("x", "-"), (base.as_str(), door.as_str())] {
            let config = config(&[("mqtt.base", base), ("door.id", door)]);
            assert!(config.session_settings().is_some(), "{base} {door}");
        }
    }
}
