//! Whether what is beside a face moves with it, as the edge of a telephone or of a sheet does.
//!
//! In: frames with a face. Out: how much to the left and to the right of the face has moved as the face
//! has, and how much has stood still ([`Motion`]). The motion of the face is measured on the face itself,
//! by patches of a small luminance picture, to a tenth of a cell; each patch beside it is then asked
//! which explains it better: to have stood still, or to have moved as one body with the face. Before a
//! background that stands still a head says nothing of it; of a picture that is swayed both sides move.
//! Source of the idea: Anjos, Chakka, Marcel 2014 (foreground and background motion).
//!
//! Invariants: a patch counts only where standing still leaves much unexplained and the face's motion
//! leaves little, so that noise, a bare wall and light that changes everywhere say nothing; both sides of
//! the face must say it, so that a shadow, which falls to one side, does not; what is nearer than
//! [`BESIDE`] is hair and shoulders, which move with any head, and is not asked. Nothing allocates after the
//! first frames.
//! Deliberately absent: a camera that is moved. It moves everything alike, as a picture before it does:
//! a door's camera is fixed. What moves once and then stays, as after a knock, counts once only.

use std::time::Duration;

use super::flow::{Patch, Plane, SIDE};
use crate::clock::Monotonic;
use crate::detect::Detection;
use crate::frame::{Frame, Window};
use crate::geometry::{Point, Rect, View};

/// Cells of the luminance picture across a face's box: a tenth of one is 0.3 pixels of a face of 70.
const CELLS: f32 = 26.0;
/// The smallest face of which motion is measured, in pixels across its box.
const FACE_MIN: f32 = 20.0;
/// How far the picture reaches from the middle of the box, in its sides: to both sides, up, down.
const REACH: (f32, f32, f32) = (2.6, 1.6, 0.7);
/// Surroundings begin so far to the side of the middle, and end so far below it: ears, hair and
/// shoulders are nearer.
const BESIDE: f32 = 0.95;
const BELOW: f32 = 0.4;
/// The face's own patches lie within this of the middle, across and down.
const FACE: (f32, f32) = (0.45, 0.5);
/// Patches lie so far apart, in sides of the box: a little less than they are wide.
const SPACING: f32 = 0.192;
/// More patches than these there are never.
const PATCHES_MAX: usize = 288;
/// Mean square of the gradient of a patch of the face, luminance per cell, and in its weakest direction.
const FACE_TEXTURE_MIN: (f32, f32) = (4.0, 0.5);
/// The face's motion needs so many patches that agree.
const FACE_PATCHES_MIN: usize = 6;
/// How far from the motion of the box a patch of the face is looked for, in cells.
const FACE_SEARCH: f32 = 4.0;
/// Share of a face's patch that its shift may leave unexplained.
const FACE_LEFT_MAX: f32 = 0.4;
/// The reference is taken anew when the face has moved by this, in sides of its box, has grown or
/// shrunk by this, or after this.
const MOVED_MAX: f32 = 0.5;
const GROWTH: (f32, f32) = (0.8, 1.25);
const REFERENCE_MAX: Duration = Duration::from_secs(2);
/// A patch tells only where the face's motion would move it so far, in cells,
const MOVED_MIN: f32 = 0.7;
/// and where standing still leaves this mean square of luminance unexplained: noise leaves 0.2 to 2;
const STILL_LEFT_MIN: f32 = 4.0;
/// it has followed when moving leaves less than this share of that,
const FOLLOWING_LEFT: f32 = 0.35;
/// by a shift that is so near the face's: cells, and share of the motion. A picture that tilts is not
/// wholly explained by the similarity that is measured on its middle.
const APART_MAX: (f32, f32) = (0.5, 0.2);
/// Each shift is refined by this many cells more than that, so that what moves otherwise is seen to.
const SEARCH_MORE: f32 = 0.3;
/// How much better than exactly still a patch may fit by standing nearly still, in cells.
const STILL_SEARCH: f32 = 0.4;
/// A comparison counts once the face's motion has changed by this since the last one that did, in cells.
const CHANGED_MIN: f32 = 0.3;
/// So many comparisons are needed, and so many patches on both sides together,
const COMPARISONS_MIN: u32 = 3;
const TOGETHER_MIN: u32 = 8;
/// and at most so many patches that stood still for one that followed: beside a sheet there is a room.
const STILL_MAX: u32 = 16;

/// How what is beside the face has moved in this visit so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Motion {
    /// Patches to the left of the face that have moved with it, over all comparisons.
    pub left: u32,
    /// The same to the right.
    pub right: u32,
    /// Patches that have stood still while the face moved, on both sides.
    pub still: u32,
    /// Comparisons in which some have moved with the face, each of another motion.
    pub comparisons: u32,
}

impl Motion {
    /// Whether the surroundings have plainly moved with the face: `patches_min` patches on either
    /// side or more; 0 for never.
    #[must_use]
    pub fn is_with_the_face(&self, patches_min: u32) -> bool {
        let together = self.left.saturating_add(self.right);
        patches_min > 0
            && self.left.min(self.right) >= patches_min
            && together >= TOGETHER_MIN
            && self.comparisons >= COMPARISONS_MIN
            && STILL_MAX.saturating_mul(together) >= self.still
    }
}

/// The frame that later ones are compared with.
#[derive(Debug, Clone, Copy)]
struct Reference {
    /// Middle of the face's box, in stored pixels.
    centre: Point,
    side: f32,
    window: Window,
    stored: (u32, u32),
    view: View,
    at: Monotonic,
    /// The motion that counted last.
    counted: Shift,
}

/// A patch beside the face.
#[derive(Debug, Clone)]
struct Beside {
    patch: Patch,
    /// Whether it is to the right as seen.
    right: bool,
}

/// A similarity about the middle of the face: what is `(x, y)` cells from there moves by
/// `(x + a·x − b·y, y + b·x + a·y)`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Shift {
    x: f32,
    y: f32,
    a: f32,
    b: f32,
}

/// Where a patch of the face was, from the middle, and by how much it has moved, in cells.
#[derive(Debug, Clone, Copy)]
struct Moved {
    from: (f32, f32),
    by: (f32, f32),
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    reference: Option<Reference>,
    plane: Plane,
    face: Vec<Patch>,
    beside: Vec<Beside>,
    moved: Vec<Moved>,
    motion: Motion,
}

impl Surroundings {
    /// Sees the face of a frame.
    pub fn see(&mut self, frame: &Frame<'_>, face: &Detection) {
        let bounds = face.bounds();
        let (width, height) = frame.stored_size();
        let centre = frame.view().to_stored((width as f32, height as f32)).apply(bounds.centre());
        let side = bounds.width.max(bounds.height);
        // Written so that NaN is too small.
        let usable = (FACE_MIN..=f32::from(u16::MAX)).contains(&side);
        if !usable || !centre.x.is_finite() || !centre.y.is_finite() {
            return;
        }
        match self.reference {
            Some(reference) if reference.serves(frame, centre, side) => {
                self.compare(frame, reference, centre);
            }
            _ => self.reference = self.refer_to(frame, bounds, centre, side),
        }
    }

    /// Chooses the patches of a new reference; `None` where hardly anything of the frame is around the face.
    fn refer_to(
        &mut self,
        frame: &Frame<'_>,
        bounds: Rect,
        centre: Point,
        side: f32,
    ) -> Option<Reference> {
        let stored = frame.stored_size();
        let size = (stored.0 as f32, stored.1 as f32);
        let (across, above, below) = REACH;
        let middle = bounds.centre();
        let region = Rect::new(
            middle.x - across * side,
            middle.y - above * side,
            2.0 * across * side,
            (above + below) * side,
        );
        let region = frame.view().rect_to_stored(region, size);
        let cell = ((side / CELLS).round() as usize).clamp(1, Window::SIDE_MAX);
        let window = Window::within(region, stored, cell)?;
        self.plane.take(frame, &window);
        self.face.clear();
        self.face.reserve(PATCHES_MAX);
        self.beside.clear();
        self.beside.reserve(PATCHES_MAX);
        self.moved.reserve(PATCHES_MAX);
        let reference = Reference {
            centre,
            side,
            window,
            stored,
            view: frame.view(),
            at: frame.captured_at(),
            counted: Shift::default(),
        };
        let stored_axes = frame.view().to_stored(size);
        let spacing = ((SPACING * side / cell as f32).round() as usize).max(1);
        let (columns, rows) = self.plane.size();
        for y in (1..rows.saturating_sub(SIDE)).step_by(spacing) {
            for x in (1..columns.saturating_sub(SIDE)).step_by(spacing) {
                let half = SIDE as f32 / 2.0;
                let (across, down) = reference.offset((x as f32 + half, y as f32 + half));
                let (across, down) = (across * cell as f32 / side, down * cell as f32 / side);
                // As seen: the axes' map is a turn, whose inverse is its transpose.
                let u = stored_axes.xx * across + stored_axes.yx * down;
                let v = stored_axes.xy * across + stored_axes.yy * down;
                let (on_face, beside) =
                    (u.abs() <= FACE.0 && v.abs() <= FACE.1, u.abs() >= BESIDE && v <= BELOW);
                if !on_face && !beside {
                    continue;
                }
                let Some(patch) = Patch::of(&self.plane, (x, y)) else { continue };
                let (texture, weakest) = (patch.texture(), patch.cornered());
                if on_face && texture >= FACE_TEXTURE_MIN.0 && weakest >= FACE_TEXTURE_MIN.1 {
                    self.face.push(patch);
                } else if beside
                    && patch.variance() >= STILL_LEFT_MIN
                    && self.beside.len() < PATCHES_MAX
                {
                    self.beside.push(Beside { patch, right: u > 0.0 });
                }
            }
        }
        Some(reference)
    }

    /// Compares a frame with the reference, in which the face's box is now at `centre`.
    fn compare(&mut self, frame: &Frame<'_>, mut reference: Reference, centre: Point) {
        if self.beside.is_empty() || self.face.len() < FACE_PATCHES_MIN {
            return;
        }
        self.plane.take(frame, &reference.window);
        let cell = reference.window.side() as f32;
        let start =
            ((centre.x - reference.centre.x) / cell, (centre.y - reference.centre.y) / cell);
        let Some(shift) = self.face_shift(&reference, start) else { return };
        if shift.apart(&reference.counted) < CHANGED_MIN {
            return;
        }
        let [mut left, mut right, mut still] = [0; 3];
        for Beside { patch, right: is_right } in &self.beside {
            let moves = shift.of(reference.offset(patch.middle()));
            match told(patch, &self.plane, moves) {
                Some(true) if *is_right => right += 1,
                Some(true) => left += 1,
                Some(false) => still += 1,
                None => {}
            }
        }
        let motion = &mut self.motion;
        motion.still = motion.still.saturating_add(still);
        if left + right > 0 {
            motion.left = motion.left.saturating_add(left);
            motion.right = motion.right.saturating_add(right);
            motion.comparisons = motion.comparisons.saturating_add(1);
            reference.counted = shift;
            self.reference = Some(reference);
        }
    }

    /// How the face has moved since the reference, its box by `start` cells.
    fn face_shift(&mut self, reference: &Reference, start: (f32, f32)) -> Option<Shift> {
        self.moved.clear();
        for patch in &self.face {
            let Some(fit) = patch.refine(&self.plane, start, FACE_SEARCH) else { continue };
            if fit.left < FACE_LEFT_MAX * patch.variance() {
                let from = reference.offset(patch.middle());
                self.moved.push(Moved { from, by: fit.shift });
            }
        }
        agreed(&mut self.moved)
    }

    /// How the surroundings have moved, where the face has.
    #[must_use]
    pub fn motion(&self) -> Option<Motion> {
        (self.motion != Motion::default()).then_some(self.motion)
    }

    /// The next face is of another visit.
    pub fn forget(&mut self) {
        self.reference = None;
        self.motion = Motion::default();
    }
}

impl Reference {
    /// Whether a frame in which the face of `side` is at `centre` can be compared with it.
    fn serves(&self, frame: &Frame<'_>, centre: Point, side: f32) -> bool {
        self.stored == frame.stored_size()
            && self.view == frame.view()
            && centre.distance(self.centre) <= MOVED_MAX * self.side
            && (GROWTH.0..=GROWTH.1).contains(&(side / self.side))
            && frame.captured_at().since(self.at) <= REFERENCE_MAX
    }

    /// From the middle of the face to a point of the window, in cells.
    fn offset(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let (left, top) = self.window.corner();
        let cell = self.window.side() as f32;
        (x - (self.centre.x - left as f32) / cell, y - (self.centre.y - top as f32) / cell)
    }
}

impl Shift {
    /// By how much what is `(x, y)` from the middle moves.
    fn of(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (self.x + self.a * x - self.b * y, self.y + self.b * x + self.a * y)
    }

    /// How far two shifts move a point at the side of the face apart, in cells, at least.
    fn apart(&self, other: &Self) -> f32 {
        let turned = (self.a - other.a).hypot(self.b - other.b);
        (self.x - other.x).hypot(self.y - other.y).max(turned * CELLS * BESIDE)
    }

    /// The least-squares similarity of what has moved.
    fn fitted(moved: &[Moved]) -> Option<Self> {
        if moved.len() < FACE_PATCHES_MIN {
            return None;
        }
        let share = 1.0 / moved.len() as f32;
        let mean = |of: &dyn Fn(&Moved) -> f32| moved.iter().map(of).sum::<f32>() * share;
        let (x, y) = (mean(&|m| m.from.0), mean(&|m| m.from.1));
        let (by_x, by_y) = (mean(&|m| m.by.0), mean(&|m| m.by.1));
        let [mut along, mut around, mut spread] = [0.0; 3];
        for Moved { from, by } in moved {
            let (x, y, by_x, by_y) = (from.0 - x, from.1 - y, by.0 - by_x, by.1 - by_y);
            along += x * by_x + y * by_y;
            around += x * by_y - y * by_x;
            spread += x * x + y * y;
        }
        let (a, b) = (along / spread, around / spread);
        let shift = Self { x: by_x - a * x + b * y, y: by_y - b * x - a * y, a, b };
        (spread > 0.0).then_some(shift)
    }

    /// How far from this a patch has moved.
    fn misses(&self, moved: &Moved) -> f32 {
        let (x, y) = self.of(moved.from);
        (moved.by.0 - x).hypot(moved.by.1 - y)
    }
}

/// The motion on which most patches of the face agree; eyes and mouth move by themselves.
fn agreed(moved: &mut Vec<Moved>) -> Option<Shift> {
    let mut shift = Shift::fitted(moved)?;
    for _ in 0..2 {
        let squares: f32 = moved.iter().map(|moved| shift.misses(moved).powi(2)).sum();
        let limit = (2.0 * (squares / moved.len() as f32).sqrt()).max(0.3);
        moved.retain(|moved| shift.misses(moved) < limit);
        shift = Shift::fitted(moved)?;
    }
    Some(shift)
}

/// Whether a patch that the face's motion would move by `moves` has moved so (`true`), has stood still
/// (`false`), or does not tell.
fn told(patch: &Patch, plane: &Plane, moves: (f32, f32)) -> Option<bool> {
    let far = moves.0.hypot(moves.1);
    // Written so that NaN does not tell.
    let moves_enough = far >= MOVED_MIN;
    if !moves_enough {
        return None;
    }
    let still = patch.fit(plane, (0.0, 0.0))?.left;
    if still < STILL_LEFT_MIN {
        // With that much texture along the motion it would be seen to have moved.
        let short = (1.0 / far).min(1.0);
        let tells = patch.told_by((moves.0 * short, moves.1 * short)) >= 2.0 * STILL_LEFT_MIN;
        return tells.then_some(false);
    }
    let apart = APART_MAX.0 + APART_MAX.1 * far;
    let moving = patch.refine(plane, moves, apart + SEARCH_MORE)?;
    // Of the patch itself, too: a bare wall is found again anywhere.
    if moving.left >= FOLLOWING_LEFT * still.min(patch.variance()) {
        return None;
    }
    let nearly_still = patch.refine(plane, (0.0, 0.0), STILL_SEARCH)?.left;
    let (x, y) = (moving.shift.0 - moves.0, moving.shift.1 - moves.1);
    (moving.left < FOLLOWING_LEFT * nearly_still && x.hypot(y) < apart).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use crate::geometry::Turn;
    use proptest::prelude::*;

    const SIZE: (u32, u32) = (320, 240);
    const FACE_SIDE: f32 = 60.0;

    /// A texture with blobs of some pixels, 18 to 238.
    fn texture(x: f32, y: f32) -> f32 {
        128.0 + 60.0 * (x / 9.0).sin() * (y / 7.0).cos() + 50.0 * (x / 23.0 + y / 31.0).sin()
    }

    /// Luminance of what is at `(x, y)` in frame `step` when the face is at `face`.
    type Around<'a> = dyn Fn(f32, f32, u64, f32) -> f32 + 'a;

    /// A head that goes to the right by 3 pixels a frame, before `around`, seen through `view`.
    fn seen_through(view: View, frames: u64, around: &Around<'_>) -> Option<Motion> {
        let mut surroundings = Surroundings::default();
        let stored = view.size(SIZE);
        let map = view.to_stored((stored.0 as f32, stored.1 as f32));
        for step in 0..frames {
            let face = 140.0 + 3.0 * step as f32;
            let mut pixels = vec![0; (SIZE.0 * SIZE.1) as usize];
            for index in 0..SIZE.0 * SIZE.1 {
                let (x, y) = ((index % SIZE.0) as f32 + 0.5, (index / SIZE.0) as f32 + 0.5);
                let on_head = (x - face).hypot(y - 130.0) < 0.75 * FACE_SIDE;
                let shown =
                    if on_head { texture(x - face + 500.0, y) } else { around(x, y, step, face) };
                let at = map.apply(Point::new(x, y));
                pixels[at.y as usize * stored.0 as usize + at.x as usize] =
                    shown.clamp(0.0, 255.0) as u8;
            }
            let at = Monotonic::from_millis(100 * step);
            let frame = Frame::new(&pixels, PixelFormat::Grey, stored, stored.0 as usize, step, at);
            // The box of a detector trembles.
            let tremble = [0.0, 1.4, -0.9, 0.6, -1.6][step as usize % 5];
            let bounds = Rect::new(face - 30.0 + tremble, 100.0 - tremble, FACE_SIDE, FACE_SIDE);
            let face = Detection::made_up(bounds, [Point::default(); 4]);
            surroundings.see(&frame.unwrap().seen_by(view), &face);
        }
        surroundings.motion()
    }

    fn motion(around: &Around<'_>) -> Option<Motion> {
        seen_through(View::default(), 7, around)
    }

    fn still(x: f32, y: f32, _: u64, _: f32) -> f32 {
        texture(x, y)
    }

    fn picture(x: f32, y: f32, _: u64, face: f32) -> f32 {
        texture(x - face, y)
    }

    #[test]
    fn a_background_that_stands_still_is_told_from_one_that_moves_with_the_face() {
        let still = motion(&still).unwrap();
        assert!(still.left + still.right == 0 && still.still > 20, "{still:?}");
        let moving = motion(&picture).unwrap();
        assert!(moving.left > 8 && moving.right > 8 && moving.still == 0, "{moving:?}");
        assert!(moving.is_with_the_face(3) && !moving.is_with_the_face(0), "0 for never");
    }

    #[test]
    fn a_sheet_with_an_edge_on_both_sides_is_told_before_a_room() {
        let sheet = |x: f32, y: f32, _: u64, face: f32| {
            if (x - face).abs() < 70.0 { 230.0 } else { texture(x, y) }
        };
        let told = motion(&sheet).unwrap();
        assert!(told.is_with_the_face(3) && told.still > 0, "{told:?}");
    }

    #[test]
    fn a_turned_or_mirrored_camera_tells_the_same() {
        for turn in [Turn::None, Turn::Quarter, Turn::Half, Turn::ThreeQuarters] {
            for mirrored in [false, true] {
                let view = View { turn, mirrored };
                let moving = seen_through(view, 7, &picture).unwrap();
                assert!(moving.is_with_the_face(3), "{view:?}: {moving:?}");
                let still = seen_through(view, 7, &still).unwrap();
                assert_eq!((still.left, still.right), (0, 0), "{view:?}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_not_taken_for_one() {
        let grain = |x: f32, y: f32, step: u64| {
            let index = x as u64 * 7919 + y as u64 * 104_729 + step * 1_299_709;
            (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as f32 - 7.5
        };
        // A shadow falls to one side of the visitor and goes along.
        let shade = |x: f32, y: f32, face: f32| {
            let away = ((x - face - 80.0) / 35.0).powi(2) + ((y - 120.0) / 50.0).powi(2);
            1.0 - 0.3 / (1.0 + away.powi(4))
        };
        let cases: [(&str, &Around<'_>); 6] = [
            ("a bare wall", &|_, _, _, _| 90.0),
            ("a bare wall and much noise", &|x, y, step, _| 90.0 + grain(x, y, step)),
            ("a shadow on a bare wall", &|x, y, step, face| {
                180.0 * shade(x, y, face) + grain(x, y, step) / 4.0
            }),
            ("a shadow on wallpaper", &|x, y, _, face| texture(x, y) * shade(x, y, face)),
            ("leaves that go another way", &|x, y, step, _| texture(x + 4.0 * step as f32, y)),
            ("light that goes up", &|x, y, step, _| texture(x, y) * (0.7 + 0.04 * step as f32)),
        ];
        for (what, around) in cases {
            let told = motion(around).unwrap_or_default();
            assert!(!told.is_with_the_face(1), "{what}: {told:?}");
            assert!(told.left.min(told.right) == 0, "{what}: {told:?}");
        }
    }

    #[test]
    fn a_knock_that_moves_the_camera_once_counts_once() {
        let mut surroundings = Surroundings::default();
        for step in 0..12_u64 {
            let by = if step < 3 { 0.0 } else { 6.0 };
            let pixels: Vec<u8> = (0..SIZE.0 * SIZE.1)
                .map(|i| texture((i % SIZE.0) as f32 - by, (i / SIZE.0) as f32) as u8)
                .collect();
            let at = Monotonic::from_millis(100 * step);
            let frame = Frame::new(&pixels, PixelFormat::Grey, SIZE, 320, step, at).unwrap();
            let bounds = Rect::new(110.0 + by, 100.0, FACE_SIDE, FACE_SIDE);
            surroundings.see(&frame, &Detection::made_up(bounds, [Point::default(); 4]));
        }
        let told = surroundings.motion().unwrap();
        assert!(told.comparisons == 1 && !told.is_with_the_face(1), "{told:?}");
        surroundings.forget();
        assert_eq!(surroundings.motion(), None);
    }

    #[test]
    fn without_motion_nothing_is_said() {
        assert_eq!(seen_through(View::default(), 1, &picture), None);
        let mut held = Surroundings::default();
        for step in 0..20 {
            let pixels = texture_of_a_frame();
            let at = Monotonic::from_millis(100 * step);
            let frame = Frame::new(&pixels, PixelFormat::Grey, SIZE, 320, step, at).unwrap();
            let bounds = Rect::new(110.0 + (step % 3) as f32, 100.0, FACE_SIDE, FACE_SIDE);
            held.see(&frame, &Detection::made_up(bounds, [Point::default(); 4]));
            assert_eq!(held.motion(), None, "only the box trembles");
        }
    }

    fn texture_of_a_frame() -> Vec<u8> {
        (0..SIZE.0 * SIZE.1)
            .map(|i| texture((i % SIZE.0) as f32, (i / SIZE.0) as f32) as u8)
            .collect()
    }

    proptest! {
        #[test]
        fn no_box_panics(boxes in proptest::collection::vec(proptest::array::uniform4(any::<f32>()), 3),
                         near in proptest::collection::vec((0.0f32..400.0, 0.0f32..300.0, 1.0f32..700.0), 3)) {
            let pixels = texture_of_a_frame();
            let mut surroundings = Surroundings::default();
            let near = near.into_iter().map(|(x, y, side)| [x, y, side, side]);
            for ([x, y, width, height], step) in boxes.into_iter().chain(near).zip(0..) {
                let at = Monotonic::from_millis(100 * step);
                let frame = Frame::new(&pixels, PixelFormat::Grey, SIZE, 320, step, at).unwrap();
                let bounds = Rect { x, y, width, height };
                surroundings.see(&frame, &Detection::made_up(bounds, [Point::default(); 4]));
            }
        }
    }
}
