//! When a face has to be looked at, so that none is compared which was not seen to be good, and few are
//! looked at twice: whether it stands upright, and whether something covers it.
//!
//! In: where the judged face is, when, and what was seen of it. Out: whether to look. A face that was
//! seen to be good is believed while it is followed without a gap, and for [`BELIEVED_FRAMES`]
//! at most. Pure; nothing allocates. Deliberately absent: the look itself.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::geometry::Rect;

/// After so many further frames a face is looked at again.
const BELIEVED_FRAMES: u32 = 8;

/// From one frame to the next no more time passes; after longer it may be another face.
const GAP: Duration = Duration::from_secs(1);

/// Boxes of one face in neighbouring frames overlap at least so much (intersection over union).
const SAME_FACE: f32 = 0.3;

/// What is known of the face that is judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Belief {
    believed: Option<Believed>,
    every: bool,
}

#[derive(Debug, Clone, Copy)]
struct Believed {
    bounds: Rect,
    at: Monotonic,
    frames: u32,
}

impl Belief {
    /// Looks at every face.
    pub const fn doubt_all(&mut self) {
        self.every = true;
    }

    /// Nothing is known of the next face.
    pub const fn forget(&mut self) {
        self.believed = None;
    }

    /// Whether the face at `bounds` in the frame of `at` has to be looked at before it is compared.
    #[must_use]
    pub fn is_due(&mut self, bounds: Rect, at: Monotonic) -> bool {
        let Some(believed) = self.believed.filter(|believed| believed.is_still(bounds, at)) else {
            self.believed = None;
            return true;
        };
        let frames = believed.frames + 1;
        self.believed = Some(Believed { bounds, at, frames });
        self.every || frames > BELIEVED_FRAMES
    }

    /// Takes in what was seen of it.
    pub fn note(&mut self, good: bool, bounds: Rect, at: Monotonic) {
        self.believed = good.then_some(Believed { bounds, at, frames: 0 });
    }
}

impl Believed {
    fn is_still(&self, bounds: Rect, at: Monotonic) -> bool {
        at >= self.at
            && at.since(self.at) <= GAP
            && self.bounds.intersection_over_union(bounds) >= SAME_FACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Point;

    fn bounds(x: f32) -> Rect {
        Rect::square_around(Point::new(x, 100.0), 60.0)
    }

    #[test]
    fn a_face_that_is_followed_is_looked_at_once_in_nine_frames() {
        let mut belief = Belief::default();
        let mut looks = Vec::new();
        for frame in 0..20_u64 {
            // It walks to the right by a tenth of its width from frame to frame.
            let (at, here) =
                (Monotonic::from_millis(66 * frame), bounds(100.0 + 6.0 * frame as f32));
            if belief.is_due(here, at) {
                looks.push(frame);
                belief.note(true, here, at);
            }
        }
        assert_eq!(looks, [0, 9, 18]);
    }

    #[test]
    fn another_face_or_one_after_a_gap_is_looked_at() {
        let known = || {
            let mut belief = Belief::default();
            belief.note(true, bounds(100.0), Monotonic::from_millis(5000));
            belief
        };
        for (x, at_ms, due, why) in [
            (100.0, 5066, false, "the same"),
            (150.0, 5066, true, "elsewhere"),
            (100.0, 6000, false, "a second later"),
            (100.0, 6001, true, "after a gap"),
            (100.0, 4999, true, "from the past"),
        ] {
            let (mut one, at) = (known(), Monotonic::from_millis(at_ms));
            assert_eq!(one.is_due(bounds(x), at), due, "{why}");
            if due {
                let (back, later) = (bounds(100.0), at.plus(Duration::from_millis(66)));
                assert!(one.is_due(back, later), "{why}: nothing is left of the belief");
            }
        }
        let mut forgotten = known();
        forgotten.forget();
        assert!(forgotten.is_due(bounds(100.0), Monotonic::from_millis(5066)));
        let mut doubtful = known();
        doubtful.doubt_all();
        assert!(doubtful.is_due(bounds(100.0), Monotonic::from_millis(5066)));
    }

    #[test]
    fn only_what_was_seen_to_be_good_is_believed() {
        let mut belief = Belief::default();
        let at = Monotonic::from_millis;
        belief.note(true, bounds(100.0), at(0));
        belief.note(false, bounds(100.0), at(66));
        assert!(belief.is_due(bounds(100.0), at(132)));
    }
}
