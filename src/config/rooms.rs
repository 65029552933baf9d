//! Sections as the rooms' own settings.
//!
//! In: a checked [`Config`]. Out: each room's plain struct. Invariant: every key has an effect; a
//! setting that is mapped nowhere here is read by the daemon or a verb by its name. A room's
//! defaults and the table of keys agree, by test.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Config, Pace};
use crate::capture::FrameRate;
use crate::capture::negotiate::Wish;
use crate::capture::replay::{self, ReplaySettings};
use crate::capture::v4l2::CameraSettings;
use crate::clock::Monotonic;
use crate::decide::{Gate, Gates, VisitPolicy};
use crate::detect::{FollowerSettings, Zones};
use crate::embed::QualityLimits;
use crate::geometry::View;
use crate::liveness::LivenessPolicy;
use crate::publish::tls::ClientCertificate;
use crate::publish::{Credentials, HomeAssistantSettings, SessionSettings, TlsSettings, Topics};
use crate::recognize::Tuning;
use crate::store::StoreSettings;

impl Config {
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
            liveness: LivenessPolicy::default(),
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
        StoreSettings { records_max: self.store.records_max, ..StoreSettings::default() }
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
            timeout: Duration::from_millis(visit.timeout_ms),
            gates: Gates::NONE.with(Gate::Confirm, self.models.confirm.is_some()),
        }
    }

    /// Which camera, and how.
    #[must_use]
    pub fn camera_settings(&self) -> CameraSettings {
        let camera = &self.camera;
        CameraSettings {
            device: camera.device.clone(),
            wish: Wish {
                size: (camera.width, camera.height),
                rate: FrameRate::per_second(camera.fps),
                formats: camera.formats.iter().map(|format| format.encoding()).collect(),
            },
            controls: camera.controls.clone(),
        }
    }

    /// How the pictures of the camera, or of the recording in its place, are looked at.
    #[must_use]
    pub fn camera_view(&self) -> View {
        View { turn: self.camera.rotate, mirrored: self.camera.mirror }
    }

    /// The recording in place of the camera, if one is set; played as fast as frames are asked
    /// for, its first frame is captured at `start`.
    #[must_use]
    pub fn replay_settings(&self, start: Monotonic) -> Option<ReplaySettings> {
        let replay = &self.camera.replay;
        Some(ReplaySettings {
            path: replay.path.clone()?,
            rate: None,
            pace: match replay.pace {
                Pace::RealTime => replay::Pace::RealTime,
                Pace::Fast => replay::Pace::AsFastAsPossible { start },
            },
            passes: if replay.repeat { None } else { Some(NonZeroU32::MIN) },
        })
    }

    /// Base topic and door.
    #[must_use]
    pub const fn topics(&self) -> &Topics {
        &self.topics
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
        let plain = SessionSettings::plain(mqtt.host.clone(), mqtt.port, self.topics.clone());
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
            ..plain
        })
    }
}
