//! How a face stands in the picture: upright, on its side, upside down.
//!
//! A detector of upright faces lays upright keypoints on a head that stands on its head, and to an
//! embedder all such faces look alike. But the detector is surest of a face that stands as those stood
//! that it learnt from. So the face is cut out, levelled by its own keypoints, and shown to it in all
//! four orientations; what is compared is how sure it is of each.
//!
//! In: a frame and a face in it. Out: an [`Orientation`].
//! At first all four are shown at once, each in a quarter of the network's input: one run. Where that
//! is not clear, each alone and larger: four runs more.
//! Invariant: a face is upright only where the detector is surest of it so, and sure of it at all: of
//! what is no face it is surest in some orientation, too. Deliberately absent: when to look, which is
//! [`Belief`](super::Belief)'s; nothing here remembers an earlier face.
//! The limits are logits beyond the score from which the detector's card says that there is a face;
//! what they were measured on stands in `docs/limitations.md`.

use super::{DetectError, Detection, SsdDetector};
use crate::clock::Monotonic;
use crate::frame::{Frame, PixelFormat, Sampler};
use crate::geometry::{Point, Rect, Similarity, Turn};

/// How a face stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// As faces do, tilted by less than 45 degrees.
    Upright,
    /// Otherwise: the picture has to be turned so to set it upright.
    Turned(Turn),
    /// The detector is unsure of it in every orientation: hardly a face.
    Unclear,
}

/// Pixels across the levelled crop.
const SIDE: usize = 128;

/// Side of the crop, in widths of the face.
const CROP_IN_FACES: f32 = 2.5;

/// Side of what is shown alone, in widths of the face.
const CLOSE_IN_FACES: f32 = 2.0;

/// Most samples along each side of a pixel of the crop.
const MAX_SAMPLES: f32 = 2.0;

/// Shown with the others, upright is clear if the detector is so sure of it…
const CLEAR: f32 = 2.0;

/// …and so much surer than of every other orientation.
const CLEAR_LEAD: f32 = 0.5;

/// Shown alone, it must be so sure of the best orientation; and so sure must it have been where an
/// upright face was found.
const SURE: f32 = 1.0;

/// The memory of a look, reused from face to face.
#[derive(Debug, Default)]
pub(super) struct Orienter {
    crop: Vec<[u8; 3]>,
}

impl Orienter {
    /// How `face` stands in `frame`, as `detector` sees it.
    ///
    /// # Errors
    /// [`DetectError`] when the engine fails or gives numbers that are not finite.
    pub(super) fn look(
        &mut self,
        detector: &mut SsdDetector,
        frame: &Frame<'_>,
        face: &Detection,
    ) -> Result<Orientation, DetectError> {
        let roll = face.roll();
        self.level(frame, face.bounds(), roll);
        let size = (SIDE as u32, SIDE as u32);
        let (bytes, stride) = (self.crop.as_flattened(), SIDE * 3);
        let crop = Frame::new(bytes, PixelFormat::Rgb, size, stride, 0, Monotonic::default());
        let Ok(crop) = crop else { return Ok(Orientation::Unclear) };
        let pictures = Turn::ALL.map(|turn| crop.turned(turn));
        let together = detector.surest_of_four(pictures)?;
        let turn = if is_clear(together) {
            Some(Turn::None)
        } else {
            let side = SIDE as f32;
            let close = side * CLOSE_IN_FACES / CROP_IN_FACES;
            let region = Rect::square_around(Point::new(side / 2.0, side / 2.0), close);
            let mut alone = [0.0; 4];
            for (sure, picture) in alone.iter_mut().zip(pictures) {
                *sure = detector.surest(&picture, region)?;
            }
            best(alone)
        };
        let was_sure = detector.beyond_card(face.score()) >= SURE;
        Ok(match turn.map(|turn| oriented(turn, roll)) {
            Some(Orientation::Upright) if was_sure => Orientation::Upright,
            Some(turned @ Orientation::Turned(_)) => turned,
            _ => Orientation::Unclear,
        })
    }

    /// Cuts out what is around `bounds`, turned back by `roll` radians.
    fn level(&mut self, frame: &Frame<'_>, bounds: Rect, roll: f32) {
        let scale = bounds.width.max(bounds.height) * CROP_IN_FACES / SIDE as f32;
        let (sin, cos) = roll.sin_cos();
        let turned = Similarity { a: scale * cos, b: scale * sin, tx: 0.0, ty: 0.0 };
        let middle = turned.apply(Point::new(SIDE as f32 / 2.0, SIDE as f32 / 2.0));
        let centre = bounds.centre();
        let pose = Similarity { tx: centre.x - middle.x, ty: centre.y - middle.y, ..turned };
        self.crop.resize(SIDE * SIDE, [0; 3]);
        let samples = scale.round().clamp(1.0, MAX_SAMPLES) as usize;
        Sampler::new(*frame).fill(&mut self.crop, SIDE, pose, samples);
    }
}

/// Whether the first of four, shown together, is clearly the one.
fn is_clear([upright, others @ ..]: [f32; 4]) -> bool {
    upright >= CLEAR && others.into_iter().all(|other| upright >= other + CLEAR_LEAD)
}

/// The turn by which the detector is surest, if it is sure of it.
fn best(alone: [f32; 4]) -> Option<Turn> {
    let each = alone.into_iter().zip(Turn::ALL);
    let (sure, turn) = each.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (sure >= SURE).then_some(turn)
}

/// How a face stands that `turn` sets upright after its `roll`, in radians, was taken back.
fn oriented(turn: Turn, roll: f32) -> Orientation {
    let quarters = (-roll / std::f32::consts::FRAC_PI_2).round();
    let levelled = match quarters as i32 {
        0 => Turn::None,
        1 => Turn::Quarter,
        -1 => Turn::ThreeQuarters,
        _ => Turn::Half,
    };
    match levelled.plus(turn) {
        Turn::None => Orientation::Upright,
        turn => Orientation::Turned(turn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_together_upright_must_be_sure_and_lead() {
        for (together, clear, why) in [
            ([2.5, 1.0, 0.5, 1.9], true, "sure, and ahead of all"),
            ([2.5, 1.0, 0.5, 2.1], false, "not enough ahead of one"),
            ([1.9, -1.0, -1.0, -1.0], false, "ahead, and unsure"),
            ([2.0, 1.5, 1.5, 1.5], true, "at the limits"),
            ([1.0, 3.0, 1.0, 1.0], false, "another one leads"),
        ] {
            assert_eq!(is_clear(together), clear, "{why}");
        }
    }

    #[test]
    fn shown_alone_the_surest_counts_if_it_is_sure() {
        assert_eq!(best([1.2, 0.3, -2.0, 1.1]), Some(Turn::None));
        assert_eq!(best([1.2, 0.3, 1.3, 1.1]), Some(Turn::Half));
        assert_eq!(best([0.9, 0.3, 0.8, 0.1]), None, "of what is no face it is unsure in each");
    }

    #[test]
    fn a_turn_and_a_tilt_add_up_to_the_nearest_quarter() {
        use Orientation::{Turned, Upright};
        for (turn, roll_degrees, wanted) in [
            (Turn::None, 0.0, Upright),
            (Turn::None, 44.0, Upright),
            (Turn::None, -44.0, Upright),
            // The keypoints themselves lie on their side: tilted clockwise by a quarter.
            (Turn::None, 88.0, Turned(Turn::ThreeQuarters)),
            (Turn::None, -88.0, Turned(Turn::Quarter)),
            (Turn::None, 179.0, Turned(Turn::Half)),
            (Turn::Half, 10.0, Turned(Turn::Half)),
            (Turn::Quarter, -170.0, Turned(Turn::ThreeQuarters)),
            // Keypoints that were laid the wrong way round.
            (Turn::Quarter, 92.0, Upright),
        ] {
            let roll = f32::to_radians(roll_degrees);
            assert_eq!(oriented(turn, roll), wanted, "{turn:?} and {roll_degrees}");
        }
    }

    #[test]
    fn a_levelled_crop_shows_the_face_as_its_keypoints_say() {
        // Red rises to the right. A face that is tilted clockwise by a quarter has that below it.
        let bytes: Vec<u8> = (0..200 * 200).flat_map(|i| [(i % 200) as u8, 0, 0]).collect();
        let at = Monotonic::default();
        let frame = Frame::new(&bytes, PixelFormat::Rgb, (200, 200), 600, 0, at).unwrap();
        let bounds = Rect::square_around(Point::new(100.0, 100.0), 40.0);
        let mut orienter = Orienter::default();
        let mut seen = |roll: f32| {
            orienter.level(&frame, bounds, roll);
            let red = |x: usize, y: usize| i32::from(orienter.crop[y * SIDE + x][0]);
            (red(120, 64) - red(8, 64), red(64, 120) - red(64, 8))
        };
        let (across, down) = seen(0.0);
        assert!(across > 80 && down == 0, "{across} {down}");
        let (across, down) = seen(std::f32::consts::FRAC_PI_2);
        assert!(across.abs() <= 1 && down < -80, "{across} {down}");
    }
}
