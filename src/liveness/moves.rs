//! The moves of a challenge: what a head does that was asked to stay or to move, and what follows from it.
//!
//! In: where the head is and where it was asked to be, sightings. Out: [`Next`]: it goes on, the next move may
//! be asked for, it has arrived, everything begins anew, or the visit has failed. Pure; nothing allocates.
//!
//! Deliberately absent: whether the sightings are of one face, how many moves there are, what is asked for.

use std::time::Duration;

use super::challenge::{Chance, Sighting};
use crate::clock::Monotonic;

/// How far the nose moves for a turn, in eye distances: about 30 degrees; 0.35 is too far to compare.
pub(super) const TURN_MIN: f32 = 0.15;
/// How far it stays while the turn is held.
const HELD_MIN: f32 = 0.1;
/// How far it may move to the wrong side. People who stand still move it by 0.05.
const WRONG_MAX: f32 = 0.12;
/// How far from straight ahead a visitor may look before the first turn, in eye distances.
const AHEAD_MAX: f32 = 0.2;
/// How far the nose may move while the visitor looks ahead.
pub(super) const STILL_MAX: f32 = 0.1;
/// How long the visitor looks ahead before a turn is asked for, and how much longer at most, at random.
const AHEAD_FOR: Duration = Duration::from_millis(500);
const AHEAD_MORE: Duration = Duration::from_millis(800);
/// The same of a turn that is held.
const HELD_FOR: Duration = Duration::from_millis(200);
const HELD_MORE: Duration = Duration::from_millis(400);
/// Nobody sees a word, understands it and has turned sooner.
const REACTION_MIN: Duration = Duration::from_millis(250);
/// How long a move may take; then everything begins anew. From one side to the other is twice as far.
const ANSWER_MAX: Duration = Duration::from_secs(4);
const ACROSS_MAX: Duration = Duration::from_secs(6);
/// Whoever is told to turn from one side to the other does not stay in between, so near to straight ahead
/// and so long: a film that stops there would answer both asks by one movement.
const NEAR_MAX: f32 = 0.05;
const NEAR_FOR: Duration = Duration::from_millis(900);

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
    pub(super) const fn sign(self) -> f32 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }
}

/// Where a head is that does as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Ahead,
    Turned(Side),
}

/// A head that stays where it is, until the next move is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Still {
    pub place: Place,
    since: Option<Monotonic>,
    /// How long, at random.
    wait: Duration,
    /// Between which yaws.
    least: f32,
    most: f32,
}

/// A head that was asked to move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    pub from: Place,
    pub to: Place,
    pub asked: Monotonic,
    /// Since when it is nearly ahead, on the way from one side to the other.
    pub near_since: Option<Monotonic>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    Still(Still),
    Moving(Moving),
    Passed,
    Failed,
}

/// What a sighting leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    GoOn(Stage),
    /// The head was still for long enough; where ahead is, if it looks there.
    AskFrom(Place, f32),
    Arrived(Place),
    Anew,
    Fail,
}

impl Stage {
    pub(super) fn still(place: Place, chance: &mut impl Chance) -> Self {
        let (least, more) = match place {
            Place::Ahead => (AHEAD_FOR, AHEAD_MORE),
            Place::Turned(_) => (HELD_FOR, HELD_MORE),
        };
        let wait = least + more.mul_f32(chance.part().clamp(0.0, 1.0));
        Self::Still(Still { place, since: None, wait, least: 0.0, most: 0.0 })
    }
}

impl Place {
    /// Where to go from here, by the throw of a coin.
    pub(super) fn next(self, coin: Side) -> Self {
        if self == Self::Turned(coin) { Self::Ahead } else { Self::Turned(coin) }
    }
}

impl Still {
    pub(super) fn see(mut self, seen: Sighting, ahead: f32, has_asked: bool) -> Next {
        let (from, low, high) = match self.since {
            Some(from) => (from, self.least.min(seen.yaw), self.most.max(seen.yaw)),
            None => (seen.at, seen.yaw, seen.yaw),
        };
        let offset = seen.yaw - ahead;
        // Written so that NaN is no looking ahead and no turn.
        let (stays, ahead) = match self.place {
            Place::Ahead => {
                let reach = if has_asked { STILL_MAX } else { AHEAD_MAX };
                let within = (low - ahead).abs().max((high - ahead).abs()) <= reach;
                (within && high - low <= STILL_MAX, f32::midpoint(low, high))
            }
            Place::Turned(side) => (offset * side.sign() >= HELD_MIN, ahead),
        };
        if !stays {
            let unasked = match self.place {
                Place::Ahead => has_asked && offset.abs() >= TURN_MIN,
                Place::Turned(_) => true,
            };
            self.since = None;
            return if unasked { Next::Anew } else { Next::GoOn(Stage::Still(self)) };
        }
        if seen.at.since(from) >= self.wait {
            return Next::AskFrom(self.place, ahead);
        }
        (self.since, self.least, self.most) = (Some(from), low, high);
        Next::GoOn(Stage::Still(self))
    }
}

impl Moving {
    pub(super) fn see(mut self, seen: Sighting, ahead: f32) -> Next {
        let offset = seen.yaw - ahead;
        let took = seen.at.since(self.asked);
        let too_soon = took < REACTION_MIN;
        if let Place::Turned(side) = self.from
            && too_soon
            && offset * side.sign() < HELD_MIN
        {
            // It would have gone without having been asked.
            return Next::Anew;
        }
        match self.to {
            Place::Ahead => {
                if took > ANSWER_MAX {
                    return Next::Anew;
                }
                if offset.abs() <= STILL_MAX {
                    return Next::Arrived(self.to);
                }
            }
            Place::Turned(side) => {
                let turned = offset * side.sign();
                let across = self.from != Place::Ahead;
                if !across && (turned <= -WRONG_MAX || (turned >= TURN_MIN && too_soon)) {
                    return Next::Fail;
                }
                let most = if across { ACROSS_MAX } else { ANSWER_MAX };
                let near = across && offset.abs() <= NEAR_MAX;
                let since = *self.near_since.get_or_insert(seen.at);
                if !near {
                    self.near_since = None;
                }
                if took > most || (near && seen.at.since(since) > NEAR_FOR) {
                    return Next::Anew;
                }
                if turned >= TURN_MIN {
                    return Next::Arrived(self.to);
                }
            }
        }
        Next::GoOn(Stage::Moving(self))
    }
}
