//! The closed list of outcomes and reasons: the same in code, on the wire and in the documents.
//!
//! A verdict is an outcome with one of *its* reasons; no other pairing can be written down.
//! Source: the access message of the MQTT contract, `docs/wire/README.md`.

use crate::compare::{Likeness, Match, SubjectId};
use crate::policy::{Awaited, Refusal};

/// What a consumer acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// An enabled subject, by enough agreeing frames, above threshold, with margin.
    Granted,
    /// Somebody was recognised, and policy says no.
    Denied,
    /// A face of sufficient quality, and nobody enrolled is near.
    Unknown,
    /// No statement can be made.
    Ambiguous,
}

/// Why a recognised visitor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeniedReason {
    /// The subject is disabled.
    SubjectDisabled,
    /// Outside the subject's validity, or the hours of its group.
    OutsideSchedule,
    /// More than one face, and the policy refuses that.
    SeveralFaces,
    /// The wall clock cannot be trusted.
    ClockUntrusted,
    /// Too many visits of people who were not let in, before.
    LockedOut,
    /// The subject goes the same way a second time, without having come back between.
    AntiPassback,
    /// A second factor, or a second person, was required and did not come.
    SecondFactorMissing(Awaited),
    /// The door is not armed.
    NotArmed,
    /// For this gallery the calibration supports no claim that is accepted.
    BeyondCalibration,
    /// Another client speaks to the broker as this door: who stands there would open here.
    DoorContested,
}

impl From<Refusal> for DeniedReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SubjectDisabled => Self::SubjectDisabled,
            Refusal::ClockUntrusted => Self::ClockUntrusted,
            Refusal::NotArmed => Self::NotArmed,
            Refusal::OutsideSchedule => Self::OutsideSchedule,
            Refusal::LockedOut => Self::LockedOut,
            Refusal::AntiPassback => Self::AntiPassback,
            Refusal::SecondFactorMissing(awaited) => Self::SecondFactorMissing(awaited),
        }
    }
}

/// Why nobody was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownReason {
    /// No enrolled subject reaches the threshold.
    NoMatch,
    /// Nobody is enrolled.
    EmptyGallery,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AmbiguousReason {
    /// A second subject is nearly as near.
    CloseSecond,
    /// Too few agreeing frames.
    InsufficientEvidence,
    /// No frame was good enough to compare.
    PoorQuality,
    /// Evidence of a picture or a screen instead of a face.
    NotLive,
    /// Not enough was seen to tell a face from a picture of one.
    LivenessUndecided,
    /// Frames were too old, repeated, or the camera stood still.
    StaleFrames,
    /// Frames could not be judged: a network, the database or the decoding failed.
    Fault,
}

/// Outcome, reason, and the subject where one was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The one verdict that may open a door.
    Granted {
        /// Who was recognised.
        subject: SubjectId,
    },
    /// Refused by policy.
    Denied {
        /// Why.
        reason: DeniedReason,
        /// Who, where somebody was recognised.
        subject: Option<SubjectId>,
    },
    /// A stranger.
    Unknown(UnknownReason),
    /// No statement.
    Ambiguous(AmbiguousReason),
}

impl DeniedReason {
    /// Why somebody who is recognised is refused whoever else stands there and whatever the time is;
    /// `beyond`: for this gallery the calibration supports no claim that is accepted.
    #[must_use]
    pub const fn of(enabled: bool, beyond: bool) -> Option<Self> {
        match (enabled, beyond) {
            (false, _) => Some(Self::SubjectDisabled),
            (true, true) => Some(Self::BeyondCalibration),
            (true, false) => None,
        }
    }
}

impl Verdict {
    /// What one comparison alone would lead to, where the nearest subject must be nearer than the
    /// second by `margin_min`; `beyond` as in [`DeniedReason::of`]. A visit asks more than that.
    #[must_use]
    pub fn of_one(found: &Match, margin_min: f32, beyond: bool) -> Self {
        match found.likeness(margin_min) {
            Likeness::Nobody => Self::Unknown(UnknownReason::EmptyGallery),
            Likeness::Stranger => Self::Unknown(UnknownReason::NoMatch),
            Likeness::Close => Self::Ambiguous(AmbiguousReason::CloseSecond),
            Likeness::Accepted(best) => {
                let subject = best.subject.clone();
                match DeniedReason::of(best.enabled, beyond) {
                    Some(reason) => Self::Denied { reason, subject: Some(subject) },
                    None => Self::Granted { subject },
                }
            }
        }
    }

    /// What beside the face was missing; `None` where it was something else.
    #[must_use]
    pub const fn awaited(&self) -> Option<Awaited> {
        match self {
            Self::Denied { reason: DeniedReason::SecondFactorMissing(awaited), .. } => {
                Some(*awaited)
            }
            _ => None,
        }
    }

    /// The outcome.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Granted { .. } => Outcome::Granted,
            Self::Denied { .. } => Outcome::Denied,
            Self::Unknown(_) => Outcome::Unknown,
            Self::Ambiguous(_) => Outcome::Ambiguous,
        }
    }

    /// The reason's name on the wire.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Granted { .. } => "matched",
            Self::Denied { reason, .. } => match reason {
                DeniedReason::SubjectDisabled => "subject_disabled",
                DeniedReason::OutsideSchedule => "outside_schedule",
                DeniedReason::SeveralFaces => "several_faces",
                DeniedReason::ClockUntrusted => "clock_untrusted",
                DeniedReason::LockedOut => "locked_out",
                DeniedReason::AntiPassback => "anti_passback",
                DeniedReason::SecondFactorMissing(_) => "second_factor_missing",
                DeniedReason::NotArmed => "not_armed",
                DeniedReason::BeyondCalibration => "beyond_calibration",
                DeniedReason::DoorContested => "door_contested",
            },
            Self::Unknown(reason) => match reason {
                UnknownReason::NoMatch => "no_match",
                UnknownReason::EmptyGallery => "empty_gallery",
            },
            Self::Ambiguous(reason) => match reason {
                AmbiguousReason::CloseSecond => "close_second",
                AmbiguousReason::InsufficientEvidence => "insufficient_evidence",
                AmbiguousReason::PoorQuality => "poor_quality",
                AmbiguousReason::NotLive => "not_live",
                AmbiguousReason::LivenessUndecided => "liveness_undecided",
                AmbiguousReason::StaleFrames => "stale_frames",
                AmbiguousReason::Fault => "fault",
            },
        }
    }

    /// Who was recognised, if anybody.
    #[must_use]
    pub const fn subject(&self) -> Option<&SubjectId> {
        match self {
            Self::Granted { subject } => Some(subject),
            Self::Denied { subject, .. } => subject.as_ref(),
            Self::Unknown(_) | Self::Ambiguous(_) => None,
        }
    }
}
