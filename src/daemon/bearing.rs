//! Whether the camera hangs as `camera.rotate` says, by how the faces stand that it shows.
//!
//! In: an [`Orientation`] of each face that was looked at, and when it was captured. Out: the turn
//! that most of the last faces need. Faces of one moment are one person's, so that one in [`SPACING`]
//! counts; what is unclear does not count. Pure; nothing allocates.
//! Deliberately absent: what follows from it. Each face that does not stand upright is refused by
//! itself, whatever the others do.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::detect::Orientation;
use crate::geometry::Turn;

/// Faces that are remembered.
const REMEMBERED: usize = 8;

/// So many of them, and more than half, must need the same turn.
const ENOUGH: usize = 3;

/// Time of capture in which one face counts.
const SPACING: Duration = Duration::from_millis(500);

/// The last faces of a camera.
#[derive(Debug, Default)]
pub(super) struct Bearing {
    seen: [Option<Turn>; REMEMBERED],
    next: usize,
    last: Option<Monotonic>,
    turn: Turn,
}

impl Bearing {
    /// Takes in how a face stands. The turn that the camera's pictures need from now on, where that
    /// is news; [`Turn::None`] where most faces stand upright again.
    pub(super) fn see(&mut self, orientation: Orientation, at: Monotonic) -> Option<Turn> {
        let turn = match orientation {
            Orientation::Upright => Turn::None,
            Orientation::Turned(turn) => turn,
            Orientation::Unclear => return None,
        };
        if self.last.is_some_and(|last| at >= last && at.since(last) < SPACING) {
            return None;
        }
        self.last = Some(at);
        if let Some(place) = self.seen.get_mut(self.next) {
            *place = Some(turn);
        }
        self.next = (self.next + 1) % REMEMBERED;
        let most = self.most()?;
        (std::mem::replace(&mut self.turn, most) != most).then_some(most)
    }

    /// The turn that more than half of the faces need, and enough of them.
    fn most(&self) -> Option<Turn> {
        let all = self.seen.iter().flatten().count();
        let count = |turn: Turn| self.seen.iter().flatten().filter(|seen| **seen == turn).count();
        Turn::ALL.into_iter().find(|turn| count(*turn) >= ENOUGH && 2 * count(*turn) > all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of faces half a second apart: `^` upright, `>` to be turned by a quarter, `v` upside
    /// down, `?` unclear. The answer has a letter for each face; `.` where nothing is news.
    fn told(faces: &str) -> String {
        let mut bearing = Bearing::default();
        let each = faces.chars().zip(0_u64..).map(|(face, number)| {
            let orientation = match face {
                '^' => Orientation::Upright,
                '>' => Orientation::Turned(Turn::Quarter),
                'v' => Orientation::Turned(Turn::Half),
                _ => Orientation::Unclear,
            };
            match bearing.see(orientation, Monotonic::from_millis(500 * number)) {
                None => '.',
                Some(Turn::None) => '^',
                Some(Turn::Quarter) => '>',
                Some(Turn::Half) => 'v',
                Some(Turn::ThreeQuarters) => '<',
            }
        });
        each.collect()
    }

    #[test]
    fn most_faces_say_how_the_camera_hangs() {
        for (faces, wanted, why) in [
            ("^^^^", "....", "a camera that hangs upright is no news"),
            ("vvvv", "..v.", "three faces are enough"),
            (">>>>", "..>.", "in whatever turn"),
            ("v?v?v", "....v", "what is unclear does not count"),
            ("^v^v^v^v", "........", "half are not most"),
            ("^^^^^^^^vvvvv", "............v", "a camera that fell"),
            ("vvv^^^^", "..v...^", "set right, it is upright when most faces are"),
            ("v>^v>^", "......", "no turn has most"),
        ] {
            assert_eq!(told(faces), wanted, "{why}: {faces}");
        }
    }

    #[test]
    fn one_person_before_a_fast_camera_is_one_face() {
        let mut bearing = Bearing::default();
        let upside_down = Orientation::Turned(Turn::Half);
        for frame in 0..30_u64 {
            let at = Monotonic::from_millis(33 * frame);
            assert_eq!(bearing.see(upside_down, at), None, "frame {frame}");
        }
        assert_eq!(bearing.see(upside_down, Monotonic::from_millis(1100)), Some(Turn::Half));
    }
}
