//! Whether what is around a face moves with it, as the edge of a telephone or of a sheet does.
//!
//! In: frames with a face. Out: whether the surroundings have moved with the face, once it has moved far
//! enough to tell. Points around the upper half of the face are read twice: where they would be if
//! they moved with the face, and where they would be if they stood still. Around a head that moves
//! the background stands still; around a picture that is swayed nothing does.
//! Source of the idea: Anjos, Chakka, Marcel 2014 (foreground and background motion).
//!
//! Invariant: without texture around the face, and without motion, nothing is said. Nothing allocates.

use crate::detect::Detection;
use crate::frame::{Frame, Sampler};
use crate::geometry::{Point, Similarity};

/// Points around the face: so many directions, at each of [`RADII`].
const DIRECTIONS: usize = 24;
/// How far from the centre, in longer sides of the box: outside of the head with its hair, where a
/// tablet or a sheet still is, and whatever fills the view.
const RADII: [f32; 4] = [1.3, 1.5, 1.7, 1.9];
const POINTS: usize = DIRECTIONS * RADII.len();
/// The face must have moved so far since the reference, in longer sides of its box.
const MOVED_MIN: f32 = 0.07;
/// Mean difference of luminance, 0 to 255, by which points tell: below it there is no texture.
const DIFFERENCE_MIN: f32 = 6.0;
/// The differences count together over a visit; so many comparisons are needed.
const COMPARISONS_MIN: u32 = 3;

/// What the motion so far says.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Motion {
    /// How much better the surroundings fit when they stand still than when they move with the face:
    /// the ratio of the mean differences; below 1 they move with it.
    pub ratio: f32,
    /// Over so many comparisons.
    pub comparisons: u32,
}

impl Motion {
    /// Whether the surroundings have moved with the face, by a ratio below `ratio_min`.
    #[must_use]
    pub fn is_with_the_face(&self, ratio_min: f32) -> bool {
        self.comparisons >= COMPARISONS_MIN && self.ratio < ratio_min
    }
}

/// The face and what was around it, to compare with.
#[derive(Debug, Clone, Copy)]
struct Reference {
    centre: Point,
    side: f32,
    seen: [u8; POINTS],
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    reference: Option<Reference>,
    still: f32,
    moving: f32,
    comparisons: u32,
}

impl Surroundings {
    /// Sees the face of a frame.
    pub fn see(&mut self, frame: &Frame<'_>, face: &Detection) {
        let bounds = face.bounds();
        let (centre, side) = (bounds.centre(), bounds.width.max(bounds.height));
        let moved = |before: &Reference| centre.distance(before.centre) / before.side.max(1.0);
        if self.reference.as_ref().is_some_and(|before| moved(before) < MOVED_MIN) {
            return;
        }
        let now = Reference { centre, side, seen: around(frame, centre, side) };
        let Some(before) = self.reference.replace(now) else { return };
        let still = difference(&around(frame, before.centre, before.side), &before.seen);
        let moving = difference(&now.seen, &before.seen);
        if still.max(moving) >= DIFFERENCE_MIN {
            self.still += still;
            self.moving += moving;
            self.comparisons = self.comparisons.saturating_add(1);
        }
    }

    /// What the motion so far says.
    #[must_use]
    pub fn motion(&self) -> Option<Motion> {
        let ratio = self.moving / self.still.max(f32::EPSILON);
        (self.comparisons > 0).then_some(Motion { ratio, comparisons: self.comparisons })
    }

    /// The next face is of another visit.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Luminance at the points around a face of `side` at `centre`; points outside of the frame are its edge.
fn around(frame: &Frame<'_>, centre: Point, side: f32) -> [u8; POINTS] {
    let sampler = Sampler::new(*frame);
    let mut seen = [0; POINTS];
    let places = RADII.iter().flat_map(|radius| (0..DIRECTIONS).map(move |step| (radius, step)));
    for (value, (radius, step)) in seen.iter_mut().zip(places) {
        // From a little below the left to a little below the right, over the top.
        let angle = (200.0 - 220.0 * step as f32 / (DIRECTIONS - 1) as f32).to_radians();
        let (x, y) =
            (centre.x + radius * side * angle.cos(), centre.y - radius * side * angle.sin());
        let mut pixel = [[0; 3]];
        // One pixel that is as wide as a sixteenth of the face, so that noise weighs little.
        let scale = (side / 16.0).max(1.0);
        let half = scale / 2.0;
        let pose = Similarity { a: scale, b: 0.0, tx: x - half, ty: y - half };
        sampler.fill(&mut pixel, 1, pose, 3);
        let [[red, green, blue]] = pixel.map(|pixel| pixel.map(f32::from));
        *value = (0.299 * red + 0.587 * green + 0.114 * blue) as u8;
    }
    seen
}

fn difference(one: &[u8; POINTS], other: &[u8; POINTS]) -> f32 {
    let sum: u32 = one.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    sum as f32 / POINTS as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;
    use crate::geometry::Rect;

    const SIZE: usize = 320;

    /// A texture with blobs of some pixels.
    fn texture(x: f32, y: f32) -> f32 {
        128.0 + 60.0 * (x / 9.0).sin() * (y / 7.0).cos() + 50.0 * (x / 23.0 + y / 31.0).sin()
    }

    /// A face of 60 at `x`: a disc of the head, in front of what stands still or moves with it.
    fn motion(with_the_face: bool, textured: bool) -> Option<Motion> {
        let mut surroundings = Surroundings::default();
        for step in 0..12 {
            let x = 100.0 + 10.0 * step as f32;
            let pixels: Vec<u8> = (0..SIZE * SIZE)
                .map(|index| {
                    let (px, py) = ((index % SIZE) as f32, (index / SIZE) as f32);
                    let shift = if with_the_face { x } else { 0.0 };
                    let on_head = (px - x).hypot(py - 160.0) < 45.0;
                    match (on_head, textured) {
                        (true, _) => texture(px - x + 500.0, py) as u8,
                        (false, true) => texture(px - shift, py) as u8,
                        (false, false) => 90,
                    }
                })
                .collect();
            let size = (SIZE as u32, SIZE as u32);
            let frame =
                Frame::new(&pixels, PixelFormat::Grey, size, SIZE, step, Monotonic::default());
            let face =
                Detection::made_up(Rect::new(x - 30.0, 130.0, 60.0, 60.0), [Point::default(); 4]);
            surroundings.see(&frame.unwrap(), &face);
        }
        surroundings.motion()
    }

    #[test]
    fn a_background_that_stands_still_is_told_from_one_that_moves_with_the_face() {
        let still = motion(false, true).unwrap();
        let moving = motion(true, true).unwrap();
        assert!(still.ratio > 2.0 && moving.ratio < 0.5, "{still:?} {moving:?}");
    }

    #[test]
    fn without_texture_and_without_motion_nothing_is_said() {
        assert_eq!(motion(false, false), None);
        let mut surroundings = Surroundings::default();
        let pixels = vec![90; SIZE * SIZE];
        let size = (SIZE as u32, SIZE as u32);
        for step in 0..20 {
            let frame =
                Frame::new(&pixels, PixelFormat::Grey, size, SIZE, step, Monotonic::default());
            let face =
                Detection::made_up(Rect::new(100.0, 100.0, 60.0, 60.0), [Point::default(); 4]);
            surroundings.see(&frame.unwrap(), &face);
            assert_eq!(surroundings.motion(), None);
        }
    }
}
