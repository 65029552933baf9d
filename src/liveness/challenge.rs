//! A challenge: the visitor turns the head to a side chosen at random, when told to, and again.
//!
//! In: each face of the visit with its time, place and yaw, and a source of chance. Out: what the visitor
//! must do now ([`Ask`]). A photograph cannot turn; a film turns, but not to the side and not at the
//! moment that nobody knew when it was made.
//!
//! ```text
//! Ahead ──still for a random while──> Turning(side) ──turned──> Ahead … ──turned──> Passed
//!   ^──────── too slow, lost, jumped, a second face ───────┘ └─wrong side, too soon─> Failed
//! ```
//!
//! Invariants: only an unbroken row of sightings of one face passes, in which nobody else was recognised
//! looking ahead; a head that is still turned looks at nobody; a turn to the wrong side, or sooner than
//! anybody can react, fails for the rest of the visit. Pure; nothing allocates.
//! Source of the yaw: [`Quality`](crate::embed::Quality): the nose against the line of the eyes, which on a
//! plane moves a tenth as far as on a head (0.026 and 0.24 of the eye distance for each unit of the
//! turn's tangent), so that turning a picture is no turn.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::geometry::Point;

/// Turns that are asked for. Each side is a coin's throw: two leave a film that turns at the right
/// moments one chance in four.
const TURNS: u32 = 2;
/// How far the nose moves for a turn, in eye distances: about 30 degrees; 0.35 is too far to compare.
const TURN_MIN: f32 = 0.15;
/// How far it may move to the wrong side. People who stand still move it by 0.05.
const WRONG_MAX: f32 = 0.12;
/// How far from straight ahead a visitor may look before a turn, in eye distances.
const AHEAD_MAX: f32 = 0.2;
/// How far the nose may move while the visitor looks ahead.
const STILL_MAX: f32 = 0.1;
/// How long the visitor looks ahead before a turn is asked for, and how much longer at most, at random.
const STILL_FOR: Duration = Duration::from_millis(300);
const STILL_MORE: Duration = Duration::from_millis(700);
/// Nobody sees a word, understands it and has turned sooner.
const REACTION_MIN: Duration = Duration::from_millis(250);
/// How long a turn may take; then everything begins anew.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// A row of sightings is broken by a longer gap, by a jump of more sides of the face's box, by a face that
/// is so many times as large all at once, and by a head that has turned so far between two sightings:
/// another face, or a cut in a film.
const GAP_MAX: Duration = Duration::from_millis(300);
const JUMP_MAX: f32 = 0.7;
const GROWTH_MAX: f32 = 1.5;
const SWING_MAX: f32 = TURN_MIN;
/// So many sightings in a row of somebody else who looks ahead break it, too: of one who is enrolled a
/// frame in thirty is not recognised.
const STRANGERS_MAX: u32 = 3;

/// A side, as the visitor has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The visitor's left: the right of a picture that is not mirrored.
    Left,
    /// The visitor's right.
    Right,
}

impl Side {
    /// The direction of the yaw.
    const fn sign(self) -> f32 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }
}

/// What the visitor must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Look straight ahead and hold still.
    Ahead,
    /// Turn the head to this side.
    Turn(Side),
    /// Nothing more.
    Passed,
    /// Nothing helps in this visit.
    Failed,
}

/// A face of the visit.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// When it was captured.
    pub at: Monotonic,
    /// The centre of its box, in pixels.
    pub centre: Point,
    /// The longer side of its box, in pixels.
    pub side: f32,
    /// How far the nose is from the middle of the eyes, in eye distances; positive is the picture's right.
    pub yaw: f32,
    /// Whether it is the face that the visit is about; nothing where it could not be compared.
    pub known: Option<bool>,
}

/// A source of chance.
pub trait Chance {
    /// A side.
    fn side(&mut self) -> Side;

    /// A part, 0 to 1.
    fn part(&mut self) -> f32;
}

impl Chance for fastrand::Rng {
    fn side(&mut self) -> Side {
        if self.bool() { Side::Left } else { Side::Right }
    }

    fn part(&mut self) -> f32 {
        self.f32()
    }
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The visitor looks ahead, once the head is back from the last turn: since when, for how much longer
    /// than [`STILL_FOR`], and between which yaws.
    Ahead {
        back_from: Option<Turned>,
        since: Option<Monotonic>,
        more: Duration,
        least: f32,
        most: f32,
    },
    /// The visitor was asked to turn.
    Turning {
        side: Side,
        asked: Monotonic,
    },
    Passed,
    Failed,
}

/// A turn, and where ahead was before it.
#[derive(Debug, Clone, Copy)]
struct Turned {
    side: Side,
    ahead: f32,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    turns_left: u32,
    stage: Stage,
    /// Where ahead is, as far as it is known.
    ahead: f32,
    /// Sightings in a row of somebody else who looks ahead.
    strangers: u32,
    last: Option<Sighting>,
}

impl Challenge {
    /// A challenge of which nothing was done yet.
    #[must_use]
    pub fn new(chance: &mut impl Chance) -> Self {
        Self {
            turns_left: TURNS,
            stage: Stage::ahead(None, chance),
            ahead: 0.0,
            strangers: 0,
            last: None,
        }
    }

    /// What the visitor must do now.
    #[must_use]
    pub const fn ask(&self) -> Ask {
        match self.stage {
            Stage::Ahead { .. } => Ask::Ahead,
            Stage::Turning { side, .. } => Ask::Turn(side),
            Stage::Passed => Ask::Passed,
            Stage::Failed => Ask::Failed,
        }
    }

    /// Sees the face of a frame.
    pub fn see(&mut self, seen: Sighting, chance: &mut impl Chance) {
        // A head that is really turned may not be recognised; one that looks ahead must be.
        match seen.known {
            Some(false) if (seen.yaw - self.ahead).abs() <= STILL_MAX => self.strangers += 1,
            Some(true) => self.strangers = 0,
            _ => {}
        }
        let other = self.strangers >= STRANGERS_MAX;
        if other || self.last.is_some_and(|last| !seen.follows(&last)) {
            self.interrupt(chance);
        }
        self.last = Some(seen);
        match &mut self.stage {
            Stage::Ahead { back_from: Some(turn), .. } if !turn.is_over(seen.yaw) => {}
            Stage::Ahead { since, more, least, most, .. } => {
                let (from, low, high) = match *since {
                    Some(from) => (from, least.min(seen.yaw), most.max(seen.yaw)),
                    None => (seen.at, seen.yaw, seen.yaw),
                };
                // Written so that NaN is no looking ahead.
                if !(high - low <= STILL_MAX && low.abs().max(high.abs()) <= AHEAD_MAX) {
                    *since = None;
                } else if seen.at.since(from) >= STILL_FOR + *more {
                    self.ahead = f32::midpoint(low, high);
                    self.stage = Stage::Turning { side: chance.side(), asked: seen.at };
                } else {
                    (*since, *least, *most) = (Some(from), low, high);
                }
            }
            Stage::Turning { side, asked } => {
                let turned = (seen.yaw - self.ahead) * side.sign();
                let took = seen.at.since(*asked);
                if turned <= -WRONG_MAX || (turned >= TURN_MIN && took < REACTION_MIN) {
                    self.stage = Stage::Failed;
                } else if took > ANSWER_MAX {
                    self.interrupt(chance);
                } else if turned >= TURN_MIN {
                    self.turns_left = self.turns_left.saturating_sub(1);
                    let turn = Turned { side: *side, ahead: self.ahead };
                    self.stage = match self.turns_left {
                        0 => Stage::Passed,
                        _ => Stage::ahead(Some(turn), chance),
                    };
                }
            }
            Stage::Passed | Stage::Failed => {}
        }
    }

    /// The row of sightings is broken: everything begins anew, but for what has failed.
    pub fn interrupt(&mut self, chance: &mut impl Chance) {
        if !matches!(self.stage, Stage::Failed) {
            *self = Self::new(chance);
        }
    }
}

impl Stage {
    fn ahead(back_from: Option<Turned>, chance: &mut impl Chance) -> Self {
        let more = STILL_MORE.mul_f32(chance.part().clamp(0.0, 1.0));
        Self::Ahead { back_from, since: None, more, least: 0.0, most: 0.0 }
    }
}

impl Turned {
    /// Whether a head at `yaw` is back from it.
    fn is_over(self, yaw: f32) -> bool {
        (yaw - self.ahead) * self.side.sign() <= STILL_MAX
    }
}

impl Sighting {
    /// Whether this may be the same face as `last`, seen a little later.
    fn follows(&self, last: &Self) -> bool {
        let side = last.side.max(1.0);
        let growth = self.side.max(1.0) / side;
        self.at.since(last.at) <= GAP_MAX
            && self.centre.distance(last.centre) <= JUMP_MAX * side
            && growth.max(1.0 / growth) <= GROWTH_MAX
            && (self.yaw - last.yaw).abs() <= SWING_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sides in turn, and no random wait.
    struct Told(Vec<Side>);

    impl Chance for Told {
        fn side(&mut self) -> Side {
            self.0.pop().unwrap_or(Side::Left)
        }

        fn part(&mut self) -> f32 {
            0.0
        }
    }

    /// A visitor before a door that asks for the right, then the left; frames 100 ms apart.
    struct Visitor {
        chance: Told,
        challenge: Challenge,
        at_ms: u64,
        x: f32,
        yaw: f32,
        known: Option<bool>,
    }

    impl Visitor {
        fn new() -> Self {
            let mut chance = Told(vec![Side::Left, Side::Right]);
            let challenge = Challenge::new(&mut chance);
            Self { chance, challenge, at_ms: 1000, x: 100.0, yaw: 0.0, known: Some(true) }
        }

        fn looks(&mut self, yaws: &[f32]) -> Ask {
            for &yaw in yaws {
                self.at_ms += 100;
                let at = Monotonic::from_millis(self.at_ms);
                let centre = Point { x: self.x, y: 80.0 };
                let seen = Sighting { at, centre, side: 60.0, yaw, known: self.known };
                self.challenge.see(seen, &mut self.chance);
                self.yaw = yaw;
            }
            self.challenge.ask()
        }

        fn comes_back(&mut self) -> Ask {
            self.looks(&[self.yaw / 2.0, self.yaw / 4.0]);
            self.looks(&AHEAD);
            self.looks(&AHEAD)
        }
    }

    const AHEAD: [f32; 5] = [0.02, 0.0, -0.02, 0.01, 0.0];
    const TO_THE_RIGHT: [f32; 4] = [0.0, 0.0, -0.08, -0.18];
    const TO_THE_LEFT: [f32; 4] = [0.0, 0.02, 0.1, 0.2];

    #[test]
    fn who_turns_as_told_passes() {
        let mut visitor = Visitor::new();
        assert_eq!(visitor.looks(&AHEAD), Ask::Turn(Side::Right));
        assert_eq!(visitor.looks(&TO_THE_RIGHT), Ask::Ahead);
        assert_eq!(visitor.looks(&[-0.2, -0.1, 0.0]), Ask::Ahead);
        assert_eq!(visitor.looks(&AHEAD), Ask::Turn(Side::Left));
        assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Passed);
        assert_eq!(visitor.comes_back(), Ask::Passed);
    }

    #[test]
    fn the_wrong_side_and_a_turn_before_anybody_could_react_fail_for_the_visit() {
        let mut visitor = Visitor::new();
        visitor.looks(&AHEAD);
        assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Failed);
        visitor.at_ms += 5000;
        assert_eq!(visitor.looks(&AHEAD), Ask::Failed, "also after a gap");
        let mut visitor = Visitor::new();
        visitor.looks(&AHEAD);
        assert_eq!(visitor.looks(&[-TURN_MIN]), Ask::Failed, "200 ms");
    }

    #[test]
    fn a_head_that_stays_turned_is_not_asked_before_it_is_back() {
        let mut visitor = Visitor::new();
        visitor.looks(&AHEAD);
        assert_eq!(visitor.looks(&TO_THE_RIGHT), Ask::Ahead);
        assert_eq!(visitor.looks(&[-0.17; 20]), Ask::Ahead, "two seconds");
        assert_eq!(visitor.looks(&[-0.12, -0.05]), Ask::Ahead);
        assert_eq!(visitor.looks(&AHEAD), Ask::Turn(Side::Left));
        assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Passed);
    }

    #[test]
    fn somebody_else_who_looks_ahead_begins_everything_anew_and_a_turned_head_need_not_be_known() {
        for turns in [0, 1, 2] {
            let mut visitor = Visitor::new();
            visitor.looks(&AHEAD);
            for turn in [TO_THE_RIGHT, TO_THE_LEFT].iter().take(turns) {
                visitor.known = None;
                visitor.looks(&turn[..2]);
                visitor.known = Some(false);
                visitor.looks(&turn[2..]);
                visitor.known = Some(true);
                visitor.comes_back();
            }
            let before = visitor.challenge.ask();
            assert_eq!(before == Ask::Passed, turns == 2, "{before:?}");
            visitor.known = Some(false);
            visitor.looks(&[0.0, 0.0]);
            assert_eq!(visitor.challenge.ask(), before, "it happens");
            assert_eq!(visitor.looks(&[0.0]), Ask::Ahead, "{turns} turns");
            visitor.known = Some(true);
            visitor.looks(&AHEAD);
            assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Ahead, "one turn of two");
        }
    }

    #[test]
    fn a_picture_never_turns_and_is_asked_anew() {
        let mut visitor = Visitor::new();
        for _ in 0..20 {
            let ask = visitor.looks(&AHEAD);
            assert!(matches!(ask, Ask::Ahead | Ask::Turn(_)), "{ask:?}");
        }
    }

    #[test]
    fn who_never_looks_ahead_is_never_asked_to_turn() {
        for yaws in [[0.3, 0.3], [0.0, 0.15], [f32::NAN, f32::NAN], [f32::INFINITY, 0.0]] {
            let mut visitor = Visitor::new();
            for _ in 0..30 {
                assert_eq!(visitor.looks(&yaws), Ask::Ahead, "{yaws:?}");
            }
        }
    }

    #[test]
    fn a_cut_and_another_face_begin_everything_anew() {
        let gap = |visitor: &mut Visitor| visitor.at_ms += 300;
        let jump = |visitor: &mut Visitor| visitor.x += 50.0;
        let second = |visitor: &mut Visitor| visitor.challenge.interrupt(&mut visitor.chance);
        let swing = |visitor: &mut Visitor| {
            visitor.looks(&[0.2]);
        };
        let breaks: [&dyn Fn(&mut Visitor); 4] = [&gap, &jump, &second, &swing];
        for broken in breaks {
            let mut visitor = Visitor::new();
            visitor.looks(&AHEAD);
            visitor.looks(&TO_THE_RIGHT);
            visitor.comes_back();
            broken(&mut visitor);
            assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Ahead);
            visitor.looks(&AHEAD);
            assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Ahead, "one turn of two");
            visitor.comes_back();
            assert_eq!(visitor.looks(&TO_THE_LEFT), Ask::Passed);
            broken(&mut visitor);
            assert_eq!(visitor.looks(&[0.0]), Ask::Ahead, "also who has passed");
        }
    }

    #[test]
    fn the_sides_and_the_moments_are_not_always_the_same() {
        let mut chance = fastrand::Rng::with_seed(7);
        let asked: Vec<(usize, Side)> = (0..60)
            .map(|_| {
                let mut challenge = Challenge::new(&mut chance);
                for frame in 0.. {
                    let at = Monotonic::from_millis(1000 + 100 * frame as u64);
                    let centre = Point { x: 0.0, y: 0.0 };
                    let seen = Sighting { at, centre, side: 60.0, yaw: 0.0, known: None };
                    challenge.see(seen, &mut chance);
                    if let Ask::Turn(side) = challenge.ask() {
                        return (frame, side);
                    }
                }
                unreachable!()
            })
            .collect();
        let left = asked.iter().filter(|(_, side)| *side == Side::Left).count();
        assert!((15..45).contains(&left), "{left} of 60 to the left");
        let moments: std::collections::BTreeSet<usize> =
            asked.iter().map(|(frame, _)| *frame).collect();
        assert!(moments.len() >= 6, "{moments:?}");
    }
}
