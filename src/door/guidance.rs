//! What a visitor should do to be recognised: for a screen, a lamp or a voice at the door.
//!
//! In: what each frame showed, what liveness lacks, whether the visit is decided, the time. Out: one
//! word, which holds still long enough to be read. Pure; it decides nothing.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::decide::{Observation, Seen, SeveralFaces};
use crate::embed::QualityFault;
use crate::liveness::{Lacking, Side};

/// A fault must last so long before anybody is told what to do about it.
const LASTS: Duration = Duration::from_millis(250);
/// A word stands for at least so long before another one takes its place.
const STANDS: Duration = Duration::from_secs(1);

/// What a visitor should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guidance {
    /// The face is too small.
    ComeCloser,
    /// The face, or what is around it, does not fit into the picture.
    StepBack,
    /// It is too dark.
    MoreLight,
    /// The face is turned away.
    LookHere,
    /// Several faces.
    OneAtATime,
    /// Turn the head to the left.
    TurnLeft,
    /// Turn the head to the right.
    TurnRight,
    /// The face is blurred.
    HoldStill,
    /// The face is covered.
    Uncover,
    /// Show the second factor: a tag, a code.
    SecondFactor,
}

impl Guidance {
    /// All.
    pub const ALL: [Self; 10] = [
        Self::ComeCloser,
        Self::StepBack,
        Self::MoreLight,
        Self::LookHere,
        Self::OneAtATime,
        Self::TurnLeft,
        Self::TurnRight,
        Self::HoldStill,
        Self::Uncover,
        Self::SecondFactor,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ComeCloser => "come_closer",
            Self::StepBack => "step_back",
            Self::MoreLight => "more_light",
            Self::LookHere => "look_here",
            Self::OneAtATime => "one_at_a_time",
            Self::TurnLeft => "turn_left",
            Self::TurnRight => "turn_right",
            Self::HoldStill => "hold_still",
            Self::Uncover => "uncover",
            Self::SecondFactor => "second_factor",
        }
    }

    const fn of_quality(fault: QualityFault) -> Option<Self> {
        match fault {
            QualityFault::TooSmall => Some(Self::ComeCloser),
            QualityFault::Blurred => Some(Self::HoldStill),
            QualityFault::TooDark => Some(Self::MoreLight),
            QualityFault::Turned => Some(Self::LookHere),
            QualityFault::Cropped => Some(Self::StepBack),
            QualityFault::Unclear | QualityFault::Covered(_) => Some(Self::Uncover),
            // Nothing that the visitor could do about it.
            QualityFault::TooBright | QualityFault::NotUpright(_) => None,
        }
    }

    const fn of_liveness(lacking: Lacking) -> Option<Self> {
        match lacking {
            Lacking::Surroundings => Some(Self::StepBack),
            Lacking::Confirmation | Lacking::Turn(Side::Left) => Some(Self::TurnLeft),
            Lacking::Turn(Side::Right) => Some(Self::TurnRight),
            Lacking::Ahead => Some(Self::LookHere),
            // More looks come by themselves, and nobody can make a picture live.
            Lacking::Looks | Lacking::Median => None,
        }
    }
}

/// What a frame asks of the visitor.
fn wanted(
    observation: &Observation,
    several_faces: SeveralFaces,
    lacking: Option<Lacking>,
    factor: bool,
) -> Option<Guidance> {
    let Seen::Faces { count, principal } = &observation.seen else { return None };
    if several_faces == SeveralFaces::Refuse && *count > 1 {
        return Some(Guidance::OneAtATime);
    }
    match principal.quality.fault {
        // Whoever was told to turn is not told to look here for having turned far.
        Some(QualityFault::Turned) if matches!(lacking, Some(Lacking::Turn(_))) => {
            lacking.and_then(Guidance::of_liveness)
        }
        Some(fault) => Guidance::of_quality(fault),
        // A second factor is asked for when all else has been seen.
        None => lacking
            .and_then(Guidance::of_liveness)
            .or_else(|| factor.then_some(Guidance::SecondFactor)),
    }
}

/// Whether it is lacking for a challenge: what the visitor is to do now.
const fn is_of_a_challenge(lacking: Lacking) -> bool {
    matches!(lacking, Lacking::Turn(_) | Lacking::Ahead)
}

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Guide {
    said: Option<Guidance>,
    said_at: Option<Monotonic>,
    /// What the last frames ask, and since when.
    asked: Option<(Option<Guidance>, Monotonic)>,
}

impl Guide {
    /// Takes in a frame of a visit that is not decided yet; `factor` says that only a second factor is
    /// missing.
    pub(super) fn see(
        &mut self,
        observation: &Observation,
        several_faces: SeveralFaces,
        lacking: Option<Lacking>,
        factor: bool,
        now: Monotonic,
    ) {
        let wanted = wanted(observation, several_faces, lacking, factor);
        let since = match self.asked {
            Some((asked, since)) if asked == wanted => since,
            _ => now,
        };
        self.asked = Some((wanted, since));
        let stands = self.said_at.is_some_and(|at| now.since(at) < STANDS);
        // The visitor's time runs from here.
        let at_once = wanted.is_some() && lacking.is_some_and(is_of_a_challenge);
        if wanted != self.said && (at_once || (now.since(since) >= LASTS && !stands)) {
            self.said = wanted;
            self.said_at = wanted.map(|_| now);
        }
    }

    /// The visit is decided, or over: there is nothing more to do.
    pub(super) const fn fall_silent(&mut self) {
        self.said = None;
        self.said_at = None;
        self.asked = None;
    }

    /// What the visitor should do now.
    pub(super) const fn said(&self) -> Option<Guidance> {
        self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, WallClock};
    use crate::decide::FaceSeen;
    use crate::embed::Quality;
    use crate::inference::FacePart;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(1000 + ms)
    }

    fn frame(count: u32, fault: Option<QualityFault>) -> Observation {
        let quality = Quality::made_up(1.0, fault);
        Observation {
            sequence: 1,
            captured_at: at(0),
            wall: WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false },
            luminance: None,
            seen: Seen::Faces { count, principal: FaceSeen { quality, found: None } },
        }
    }

    #[test]
    fn who_is_covered_is_asked_to_uncover() {
        for part in FacePart::ALL {
            let seen = frame(1, Some(QualityFault::Covered(part)));
            let said = wanted(&seen, SeveralFaces::Refuse, None, false);
            assert_eq!(said, Some(Guidance::Uncover), "{part:?}");
        }
    }

    #[test]
    fn a_word_comes_when_its_cause_lasts_and_stands_long_enough_to_be_read() {
        let mut guide = Guide::default();
        let mut see = |ms, fault| {
            guide.see(&frame(1, fault), SeveralFaces::Refuse, None, false, at(ms));
            guide.said()
        };
        let (small, blurred) = (Some(QualityFault::TooSmall), Some(QualityFault::Blurred));
        assert_eq!(see(0, small), None);
        assert_eq!(see(100, blurred), None);
        assert_eq!(see(200, small), None, "neither lasts");
        assert_eq!(see(450, small), Some(Guidance::ComeCloser));
        assert_eq!(see(600, None), Some(Guidance::ComeCloser));
        assert_eq!(see(1300, None), Some(Guidance::ComeCloser), "it stands");
        assert_eq!(see(1500, None), None);
        assert_eq!(see(1600, blurred), None);
        assert_eq!(see(1900, blurred), Some(Guidance::HoldStill));
    }

    #[test]
    fn what_a_challenge_asks_for_is_said_at_once() {
        let mut guide = Guide::default();
        let mut see = |ms, lacking| {
            let frame = frame(1, (ms == 500).then_some(QualityFault::Turned));
            guide.see(&frame, SeveralFaces::Refuse, Some(lacking), false, at(ms));
            guide.said()
        };
        assert_eq!(see(0, Lacking::Ahead), Some(Guidance::LookHere));
        let right = Lacking::Turn(Side::Right);
        assert_eq!(see(400, right), Some(Guidance::TurnRight));
        assert_eq!(see(500, right), Some(Guidance::TurnRight), "turned far, as told");
        assert_eq!(see(600, Lacking::Ahead), Some(Guidance::LookHere));
        assert_eq!(see(700, Lacking::Looks), Some(Guidance::LookHere), "it stands");
    }

    #[test]
    fn a_second_person_comes_before_quality_and_quality_before_liveness() {
        let asks =
            |count, fault, several, lacking| wanted(&frame(count, fault), several, lacking, false);
        let factor = |count, fault| wanted(&frame(count, fault), SeveralFaces::Refuse, None, true);
        assert_eq!(factor(1, None), Some(Guidance::SecondFactor));
        assert_eq!(factor(1, Some(QualityFault::TooDark)), Some(Guidance::MoreLight));
        assert_eq!(factor(2, None), Some(Guidance::OneAtATime));
        let turn = Some(Lacking::Turn(Side::Left));
        let both = wanted(&frame(1, None), SeveralFaces::Refuse, turn, true);
        assert_eq!(both, Some(Guidance::TurnLeft), "the factor is asked for last");
        let (refuse, principal) = (SeveralFaces::Refuse, SeveralFaces::Principal);
        let dark = Some(QualityFault::TooDark);
        let close = Some(Lacking::Surroundings);
        assert_eq!(asks(2, dark, refuse, close), Some(Guidance::OneAtATime));
        assert_eq!(asks(2, dark, principal, close), Some(Guidance::MoreLight));
        assert_eq!(asks(1, None, refuse, close), Some(Guidance::StepBack));
        for (side, word) in [(Side::Left, Guidance::TurnLeft), (Side::Right, Guidance::TurnRight)] {
            assert_eq!(asks(1, None, refuse, Some(Lacking::Turn(side))), Some(word));
        }
        assert_eq!(
            asks(1, None, refuse, Some(Lacking::Median)),
            None,
            "an attacker is told nothing"
        );
    }
}
