//! Which parts of the picture are looked at: rectangles in which no face is seen (a portrait on the
//! wall, a mirror), and rectangles in which alone one is.
//!
//! In: rectangles in fractions of the upright picture, a face's box in its pixels. Out: whether the
//! face is seen. A face lies in a rectangle when **more than half of the area of its box**, as far
//! as the box is within the picture, lies in that one rectangle. Not the box's centre: a visitor who
//! stands close before a small portrait has the centre there and most of the face elsewhere, and
//! must be seen; and a portrait's box that trembles stays mostly where it is. Not the union of
//! rectangles: each is to be drawn around one thing.
//! Invariants: a face that is not seen is nowhere: not followed, not counted among several, not
//! compared; without rectangles every face is seen.
//! What that costs: whoever stands with the face in an ignored rectangle is not seen either, neither
//! as a visitor nor as a second person. So the rectangles are the administrator's, and small.

use super::{Detection, Detections, StillFace};
use crate::geometry::Rect;

/// The most rectangles of one kind.
pub const RECTANGLES_MAX: usize = 16;

/// The share of a box's area that must lie in a rectangle, more than this.
const SHARE: f32 = 0.5;

/// Where faces are seen. Rectangles are in fractions of the picture's width and height, 0 to 1, from
/// its upper left corner.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zones {
    ignore: Vec<Rect>,
    only: Vec<Rect>,
}

impl Zones {
    /// Faces in a rectangle of `ignore` are not seen; where `only` is not empty, none outside of its
    /// rectangles is. Each rectangle is `[x, y, width, height]`.
    #[must_use]
    pub fn new(ignore: &[[f32; 4]], only: &[[f32; 4]]) -> Self {
        let rect = |&[x, y, width, height]: &[f32; 4]| Rect::new(x, y, width, height);
        Self { ignore: ignore.iter().map(rect).collect(), only: only.iter().map(rect).collect() }
    }

    /// Rectangles in which no face is seen.
    #[must_use]
    pub fn ignore(&self) -> &[Rect] {
        &self.ignore
    }

    /// Rectangles outside of which no face is seen; none: everywhere.
    #[must_use]
    pub fn only(&self) -> &[Rect] {
        &self.only
    }

    /// The key for which a face with these `bounds` (pixels) is not seen in a picture of `size`
    /// (pixels); `None` where it is.
    #[must_use]
    pub fn hidden_by(&self, bounds: Rect, size: (u32, u32)) -> Option<&'static str> {
        let (width, height) = (size.0 as f32, size.1 as f32);
        let within = bounds.intersection(Rect::new(0.0, 0.0, width, height));
        // A box that lies outside of the picture altogether lies in no rectangle.
        let area = within.area();
        let lies_in = |zone: &Rect| {
            let zone = Rect::new(
                zone.x * width,
                zone.y * height,
                zone.width * width,
                zone.height * height,
            );
            area > 0.0 && within.intersection(zone).area() > SHARE * area
        };
        if self.ignore.iter().any(lies_in) {
            return Some("detect.ignore");
        }
        let outside = !self.only.is_empty() && !self.only.iter().any(lies_in);
        outside.then_some("detect.only")
    }

    /// Leaves in `faces` those that are seen in a picture of `size` pixels.
    pub(super) fn keep_seen(&self, faces: &mut Detections, size: (u32, u32)) {
        if !(self.ignore.is_empty() && self.only.is_empty()) {
            faces.0.retain(|face: &Detection| self.hidden_by(face.bounds, size).is_none());
        }
    }

    /// The line of the configuration by which `faces` are ignored, and what is ignored already;
    /// `None` where nothing is left to add, or no rectangle is.
    #[must_use]
    pub fn line_to_ignore(&self, faces: &[StillFace]) -> Option<String> {
        let room = RECTANGLES_MAX.saturating_sub(self.ignore.len());
        if faces.is_empty() || room == 0 {
            return None;
        }
        let known = self.ignore.iter().map(|r| [r.x, r.y, r.width, r.height].map(shortest));
        let new = faces.iter().take(room).map(|face| face.rectangle().map(|n| format!("{n:.2}")));
        let listed: Vec<_> =
            known.chain(new).map(|numbers| format!("[{}]", numbers.join(", "))).collect();
        Some(format!("detect.ignore = [{}]", listed.join(", ")))
    }
}

/// A number as somebody would write it, that reads as the same.
fn shortest(number: f32) -> String {
    format!("{number:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: (u32, u32) = (640, 480);

    fn sees(zones: &Zones, (x, y): (f32, f32), side: f32) -> bool {
        zones.hidden_by(Rect::new(x, y, side, side), SIZE).is_none()
    }

    #[test]
    fn a_face_lies_where_more_than_half_of_its_box_does() {
        // 64 to 192 across, 48 to 144 down.
        let ignoring = Zones::new(&[[0.1, 0.1, 0.2, 0.2]], &[]);
        let within = Zones::new(&[], &[[0.1, 0.1, 0.2, 0.2]]);
        for (at, side, inside, why) in [
            ((80.0, 60.0), 60.0, true, "all of it"),
            ((164.0, 60.0), 60.0, false, "less than half, to the right"),
            ((161.0, 60.0), 60.0, true, "a little more than half"),
            ((162.0, 60.0), 60.0, false, "half is not more than half"),
            ((400.0, 300.0), 60.0, false, "elsewhere"),
            ((60.0, 30.0), 140.0, true, "large, and most of it inside"),
            ((28.0, -4.0), 200.0, false, "its centre is inside, most of it is not"),
            ((164.0, 110.0), 60.0, false, "a corner"),
        ] {
            assert_eq!(sees(&within, at, side), inside, "{why}");
            assert_eq!(sees(&ignoring, at, side), !inside, "{why}");
        }
    }

    #[test]
    fn what_is_beyond_the_picture_does_not_count() {
        let corner = Zones::new(&[[0.0, 0.0, 0.1, 0.1]], &[]);
        assert!(!sees(&corner, (-60.0, -60.0), 100.0), "what is left of it lies in the corner");
        assert!(sees(&corner, (-300.0, -300.0), 100.0), "nothing is left of it");
    }

    #[test]
    fn without_rectangles_all_are_seen_and_both_kinds_count_together() {
        assert!(sees(&Zones::default(), (10.0, 10.0), 50.0));
        let both = Zones::new(&[[0.5, 0.0, 0.5, 1.0]], &[[0.25, 0.0, 0.5, 1.0]]);
        for (x, seen) in [(20.0, false), (200.0, true), (340.0, false), (560.0, false)] {
            assert_eq!(sees(&both, (x, 100.0), 50.0), seen, "{x}");
        }
    }

    #[test]
    fn the_line_keeps_what_is_ignored_already_and_adds_no_more_than_may_stand_there() {
        let face =
            StillFace::new(Rect::new(0.05, 0.1, 0.2, 0.25), crate::clock::Monotonic::default());
        let line = |zones: &Zones, faces: &[StillFace]| zones.line_to_ignore(faces);
        assert_eq!(line(&Zones::default(), &[]), None);
        assert_eq!(
            line(&Zones::default(), &[face]).unwrap(),
            "detect.ignore = [[0.03, 0.07, 0.24, 0.31]]"
        );
        assert_eq!(
            line(&Zones::new(&[[0.5, 0.25, 0.125, 1e-3]], &[]), &[face, face]).unwrap(),
            "detect.ignore = [[0.5, 0.25, 0.125, 0.001], [0.03, 0.07, 0.24, 0.31], [0.03, 0.07, 0.24, 0.31]]"
        );
        let full = Zones::new(&[[0.0, 0.0, 0.1, 0.1]; RECTANGLES_MAX], &[]);
        assert_eq!(line(&full, &[face]), None);
    }

    proptest! {
        #[test]
        fn the_suggested_rectangle_hides_the_face_however_it_lies(
            x in 0.0f32..0.9, y in 0.0f32..0.9, width in 0.02f32..0.6, height in 0.02f32..0.6,
        ) {
            let bounds = Rect::new(x, y, width, height);
            let rectangle = StillFace::new(bounds, crate::clock::Monotonic::default()).rectangle();
            let [left, top, wide, high] = rectangle;
            prop_assert!(left >= 0.0 && top >= 0.0 && wide > 0.0 && high > 0.0);
            prop_assert!(left + wide <= 1.0 + 1e-6 && top + high <= 1.0 + 1e-6, "{rectangle:?}");
            let pixels = Rect::new(x * 640.0, y * 480.0, width * 640.0, height * 480.0);
            let zones = Zones::new(&[rectangle], &[]);
            prop_assert_eq!(zones.hidden_by(pixels, SIZE), Some("detect.ignore"));
        }
    }
}
