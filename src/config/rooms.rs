//! Sections as the rooms' own settings.
//!
//! In: a checked [`Config`]. Out: each room's plain struct. Invariant: every key has an effect; a
//! setting that is mapped nowhere here is read by the daemon or a verb by its name. A room's
//! defaults and the table of keys agree, by test.

use super::Config;
use crate::detect::FollowerSettings;
use crate::embed::QualityLimits;
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

    /// How much is kept.
    #[must_use]
    pub fn store_settings(&self) -> StoreSettings {
        StoreSettings { records_max: self.store.records_max, ..StoreSettings::default() }
    }
}
