//! What was seen of a visit that tells a face from a picture, and what follows from it.
//!
//! In: looks of the network, feature vectors, how far the head is turned, how the surroundings move. Out:
//! a [`LivenessVerdict`] by a [`LivenessPolicy`]. Pure; time is an argument; fixed size.

use std::time::Duration;

use super::looks::Looks;
use super::{Cue, Lacking, LivenessVerdict, Look};
use crate::clock::Monotonic;

/// Cosine of the feature vectors of neighbouring frames. A living face's are never so alike
/// throughout: people at a door 0.90 to 0.97, sitting still 0.98 to 0.995; a still on a stand before a
/// camera with noise 0.984 and more (2026-11). So this is for a still that is injected.
const FROZEN: f32 = 0.9995;
/// For so long, and so many frames.
const FROZEN_FOR: Duration = Duration::from_millis(600);
const FROZEN_FRAMES: u32 = 5;

/// No network is surer than this in the median of two: log-odds of 9.2 either way.
const CERTAIN: f32 = 1e-4;

/// What a visit must show to be of a live face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing: whoever is recognised is let in, also a picture.
    Off,
    /// No cue of an attack, and the network's median above its threshold.
    #[default]
    Deny,
    /// Besides, something that only a head shows: the nose moves against the eyes when it turns.
    Confirm,
    /// Besides what `Deny` asks: the head turns to sides chosen at random, when told to
    /// ([`Challenge`](super::Challenge)).
    Challenge,
}

impl Mode {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Deny => "deny",
            Self::Confirm => "confirm",
            Self::Challenge => "challenge",
        }
    }
}

/// By which the cues are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LivenessPolicy {
    /// What a visit must show.
    pub mode: Mode,
    /// What the median of the networks' live probability must reach, 0 to 1 ([`Evidence::median`]).
    pub median_min: f32,
    /// Whether two networks look in turn, of which each needs its looks.
    pub in_turn: bool,
    /// Looks that each median needs, ≥ 1; the cards' thresholds are of five, or of four of each of two.
    pub looks_min: u32,
    /// How often a network looks at most.
    pub spacing: Duration,
    /// The same once the visit was seen to be live: nobody waits any longer.
    pub spacing_when_live: Duration,
    /// So many patches on either side of the face, over a visit, tell that the surroundings move with it
    /// ([`Motion`](super::Motion)); 0 for never.
    pub motion_patches: u32,
    /// How far the nose must move against the eyes, in eye distances, for a head ([`Mode::Confirm`]).
    pub depth_min: f32,
}

impl Default for LivenessPolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Deny,
            median_min: 0.5,
            in_turn: false,
            looks_min: 5,
            spacing: Duration::from_millis(90),
            spacing_when_live: Duration::from_millis(250),
            motion_patches: 3,
            depth_min: 0.12,
        }
    }
}

impl LivenessPolicy {
    /// The same for two networks that look in turn: twice as often in all, so that a visit takes as long
    /// as with one.
    #[must_use]
    pub const fn in_turn(self) -> Self {
        Self { in_turn: true, looks_min: 4, spacing: Duration::from_millis(45), ..self }
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    around: Looks,
    closer: Looks,
    turn_of_closer: bool,
    /// Whether the last look could not see the surroundings.
    too_close: bool,
    looked_at: Option<Monotonic>,
    last_features: Vec<f32>,
    alike: Option<Alike>,
    /// The least and the greatest yaw, in eye distances.
    yaw: Option<(f32, f32)>,
    cue: Option<Cue>,
}

/// A row of frames whose neighbours have hardly different feature vectors.
#[derive(Debug, Clone, Copy)]
struct Alike {
    since: Monotonic,
    frames: u32,
}

impl Evidence {
    /// Forgets what was seen, and keeps its memory.
    pub fn clear(&mut self) {
        let mut last_features = std::mem::take(&mut self.last_features);
        last_features.clear();
        *self = Self { last_features, ..Self::default() };
    }

    /// The network has looked.
    pub fn note_look(&mut self, look: Look, at: Monotonic) {
        self.looked_at = Some(at);
        self.turn_of_closer = true;
        self.too_close = look == Look::TooClose;
        if let Look::Seen(probability) = look {
            self.around.note(probability);
        }
    }

    /// The network that looks closer has looked.
    pub fn note_closer(&mut self, look: Look, at: Monotonic) {
        self.looked_at = Some(at);
        self.turn_of_closer = false;
        self.too_close |= look == Look::TooClose;
        if let Look::Seen(probability) = look {
            self.closer.note(probability);
        }
    }

    /// A face was embedded: `features` at `at`.
    pub fn note_features(&mut self, features: &[f32], at: Monotonic) {
        let alike = cosine(&self.last_features, features).is_some_and(|cosine| cosine >= FROZEN);
        self.last_features.clear();
        self.last_features.extend_from_slice(features);
        self.alike = match self.alike {
            Some(Alike { since, frames }) if alike => Some(Alike { since, frames: frames + 1 }),
            _ => Some(Alike { since: at, frames: 1 }),
        };
        let frozen = |row: &Alike| row.frames >= FROZEN_FRAMES && at.since(row.since) >= FROZEN_FOR;
        if self.alike.as_ref().is_some_and(frozen) {
            self.latch(Cue::Frozen);
        }
    }

    /// How far the head is turned, in eye distances.
    pub fn note_yaw(&mut self, yaw: f32) {
        if yaw.is_finite() {
            let (least, most) = self.yaw.unwrap_or((yaw, yaw));
            self.yaw = Some((least.min(yaw), most.max(yaw)));
        }
    }

    /// `cue` says that it is an attack: for the rest of the visit.
    pub fn latch(&mut self, cue: Cue) {
        self.cue = self.cue.or(Some(cue));
    }

    /// How often the network has seen face and surroundings.
    #[must_use]
    pub const fn looks(&self) -> u32 {
        self.around.count()
    }

    /// Whether the network that looks closer is next, where there is one.
    #[must_use]
    pub const fn is_turn_of_closer(&self) -> bool {
        self.turn_of_closer
    }

    /// When one looked last.
    #[must_use]
    pub const fn looked_at(&self) -> Option<Monotonic> {
        self.looked_at
    }

    /// The median of the network's live probability, 0 to 1; `None` before the first look. Of an even
    /// number of looks it is the lower of the two in the middle. Where a second network has looked closer, it
    /// is what lies in the middle of both medians as log-odds: each outvotes the other as far as it is sure,
    /// but never by being certain.
    #[must_use]
    pub fn median(&self) -> Option<f32> {
        let around = self.around.median()?;
        let Some(closer) = self.closer.median() else { return Some(around) };
        Some(1.0 / (1.0 + (-0.5 * (log_odds(around) + log_odds(closer))).exp()))
    }

    /// How far the nose has moved against the eyes, in eye distances; always a number.
    #[must_use]
    pub fn depth(&self) -> f32 {
        self.yaw.map_or(0.0, |(least, most)| most - least)
    }

    /// What is to be said by `policy`.
    #[must_use]
    pub fn verdict(&self, policy: &LivenessPolicy) -> LivenessVerdict {
        if policy.mode == Mode::Off {
            return LivenessVerdict::Live;
        }
        if let Some(cue) = self.cue {
            return LivenessVerdict::Attack(cue);
        }
        if self.too_close {
            return LivenessVerdict::Undecided(Lacking::Surroundings);
        }
        let few = |looks: &Looks| looks.count() < policy.looks_min.max(1);
        if few(&self.around) || policy.in_turn && few(&self.closer) {
            return LivenessVerdict::Undecided(Lacking::Looks);
        }
        // Written so that NaN on either side is too low.
        if !self.median().is_some_and(|median| median >= policy.median_min) {
            return LivenessVerdict::Undecided(Lacking::Median);
        }
        if policy.mode == Mode::Confirm && self.depth() < policy.depth_min {
            return LivenessVerdict::Undecided(Lacking::Confirmation);
        }
        LivenessVerdict::Live
    }
}

/// Log-odds of a probability, kept from 0 and 1 by [`CERTAIN`]; NaN of NaN.
fn log_odds(probability: f32) -> f32 {
    let kept = probability.clamp(CERTAIN, 1.0 - CERTAIN);
    (kept / (1.0 - kept)).ln()
}

/// The cosine of two vectors; `None` where they have not the same length or one is 0.
fn cosine(one: &[f32], other: &[f32]) -> Option<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let norms = (dot(one, one) * dot(other, other)).sqrt();
    (one.len() == other.len() && norms > 0.0).then(|| dot(one, other) / norms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(1000 + ms)
    }

    fn looked(probabilities: &[f32]) -> Evidence {
        let mut evidence = Evidence::default();
        for (&probability, index) in probabilities.iter().zip(0..) {
            evidence.note_look(Look::Seen(probability), at(100 * index));
        }
        evidence
    }

    fn policy(mode: Mode) -> LivenessPolicy {
        LivenessPolicy { mode, ..LivenessPolicy::default() }
    }

    #[test]
    fn the_median_decides_and_only_after_enough_looks() {
        let said = |probabilities: &[f32]| looked(probabilities).verdict(&policy(Mode::Deny));
        assert_eq!(said(&[]), LivenessVerdict::Undecided(Lacking::Looks));
        assert_eq!(said(&[0.9; 4]), LivenessVerdict::Undecided(Lacking::Looks));
        assert_eq!(said(&[0.9, 0.1, 0.9, 0.1, 0.9]), LivenessVerdict::Live);
        assert_eq!(said(&[0.9, 0.1, 0.9, 0.1, 0.1]), LivenessVerdict::Undecided(Lacking::Median));
        let even = [0.9, 0.1, 0.1, 0.9, 0.1, 0.9];
        assert_eq!(
            said(&even),
            LivenessVerdict::Undecided(Lacking::Median),
            "the lower of the two"
        );
        assert_eq!(said(&[0.1, 0.1, 0.9, 0.9, 0.9]), LivenessVerdict::Live, "it may rise");
        assert_eq!(said(&[f32::NAN; 5]), LivenessVerdict::Undecided(Lacking::Median));
        assert_eq!(looked(&[0.1; 9]).verdict(&policy(Mode::Off)), LivenessVerdict::Live);
    }

    #[test]
    fn two_networks_judge_by_the_middle_of_their_log_odds_and_only_after_enough_looks_of_each() {
        let policy = policy(Mode::Deny).in_turn();
        let seen = |around: &[f32], closer: &[f32]| {
            let mut evidence = looked(around);
            for (&probability, index) in closer.iter().zip(0..) {
                evidence.note_closer(Look::Seen(probability), at(45 + 100 * index));
            }
            evidence
        };
        let said = |around: &[f32], closer: &[f32]| seen(around, closer).verdict(&policy);
        let too_low = LivenessVerdict::Undecided(Lacking::Median);
        assert_eq!(said(&[0.9; 4], &[]), LivenessVerdict::Undecided(Lacking::Looks));
        assert_eq!(said(&[0.9; 4], &[0.4; 3]), LivenessVerdict::Undecided(Lacking::Looks));
        assert_eq!(said(&[0.9; 3], &[0.4; 4]), LivenessVerdict::Undecided(Lacking::Looks));
        assert_eq!(said(&[0.9; 4], &[0.11; 4]), LivenessVerdict::Live);
        assert_eq!(said(&[0.9; 4], &[0.09; 4]), too_low);
        assert_eq!(said(&[0.11; 4], &[0.9; 4]), LivenessVerdict::Live);
        assert_eq!(said(&[0.9; 4], &[f32::NAN; 4]), too_low);
        assert_eq!(said(&[0.9; 4], &[0.0; 4]), too_low);
        let sure = seen(&[1.0; 4], &[0.0; 4]).median().unwrap();
        assert!((sure - 0.5).abs() < 1e-3, "neither outvotes by being certain: {sure}");
        assert_eq!(seen(&[0.9; 4], &[]).median(), Some(0.9), "as one, until the other has looked");
    }

    #[test]
    fn each_network_has_its_turn_whatever_the_other_could_see() {
        let policy = policy(Mode::Deny).in_turn();
        let mut evidence = Evidence::default();
        assert!(!evidence.is_turn_of_closer());
        evidence.note_look(Look::Seen(1.0), at(0));
        assert!(evidence.is_turn_of_closer());
        evidence.note_closer(Look::TooClose, at(45));
        assert!(!evidence.is_turn_of_closer(), "the other is asked again, not this one for ever");
        assert_eq!(
            evidence.verdict(&policy),
            LivenessVerdict::Undecided(Lacking::Surroundings),
            "step back"
        );
        evidence.note_look(Look::Seen(1.0), at(90));
        assert_eq!(evidence.verdict(&policy), LivenessVerdict::Undecided(Lacking::Looks));
    }

    #[test]
    fn a_cue_is_an_attack_for_the_rest_of_the_visit_whatever_the_network_says() {
        let mut evidence = looked(&[1.0; 20]);
        evidence.latch(Cue::Surroundings);
        evidence.latch(Cue::Frozen);
        assert_eq!(
            evidence.verdict(&policy(Mode::Deny)),
            LivenessVerdict::Attack(Cue::Surroundings)
        );
        evidence.clear();
        assert_eq!(
            evidence.verdict(&policy(Mode::Deny)),
            LivenessVerdict::Undecided(Lacking::Looks)
        );
    }

    #[test]
    fn who_stands_too_close_is_not_waved_through() {
        let mut evidence = looked(&[1.0; 5]);
        evidence.note_look(Look::TooClose, at(900));
        assert_eq!(
            evidence.verdict(&policy(Mode::Deny)),
            LivenessVerdict::Undecided(Lacking::Surroundings)
        );
        evidence.note_look(Look::Seen(1.0), at(1000));
        assert_eq!(evidence.verdict(&policy(Mode::Deny)), LivenessVerdict::Live);
    }

    #[test]
    fn a_face_that_never_changes_is_none() {
        let features = |index: u64| [1.0, 0.5, 0.0001 * index as f32];
        let seen = |ms_apart: u64, frames: u64, wobble: u64| {
            let mut evidence = looked(&[1.0; 5]);
            for index in 0..frames {
                evidence.note_features(&features(wobble * (index % 2)), at(ms_apart * index));
            }
            evidence.verdict(&policy(Mode::Deny))
        };
        assert_eq!(seen(33, 19, 1), LivenessVerdict::Live, "not long enough");
        assert_eq!(seen(33, 20, 1), LivenessVerdict::Attack(Cue::Frozen));
        assert_eq!(seen(300, 4, 1), LivenessVerdict::Live, "too few frames");
        assert_eq!(seen(33, 60, 700), LivenessVerdict::Live, "it changes");
    }

    #[test]
    fn a_head_has_depth_and_a_plane_has_none() {
        let mut evidence = looked(&[1.0; 5]);
        evidence.note_yaw(0.02);
        evidence.note_yaw(f32::MAX * 2.0);
        evidence.note_yaw(-0.03);
        assert_eq!(evidence.verdict(&policy(Mode::Deny)), LivenessVerdict::Live);
        let confirm = policy(Mode::Confirm);
        assert_eq!(evidence.verdict(&confirm), LivenessVerdict::Undecided(Lacking::Confirmation));
        evidence.note_yaw(0.12);
        assert!((evidence.depth() - 0.15).abs() < 1e-6);
        assert_eq!(evidence.verdict(&confirm), LivenessVerdict::Live);
    }
}
