//! How squares of a small picture have moved since an earlier one, to a fraction of its cells.
//!
//! In: two [`Plane`]s of luminance, smoothed. Out: for a [`Patch`] of the earlier one the shift by which the
//! later one shows it again, and how much of what it shows that shift leaves unexplained. Brightness
//! may have changed everywhere by a share and a difference.
//! Source: Lucas and Kanade 1981; the patch's own gradients serve every step, as in the inverse
//! compositional form of Baker and Matthews 2004.
//!
//! Invariants: a patch without texture along a motion says nothing against any shift in that
//! direction, so shifts are compared by what they leave unexplained, never believed alone. What
//! reaches beyond the picture is no fit. Nothing allocates once a plane has its size.

use crate::frame::{Frame, Window};

/// Cells along a side of a patch.
pub(super) const SIDE: usize = 8;
const AREA: f32 = (SIDE * SIDE) as f32;
/// Room that a plane keeps, so that it need not grow with a window.
const CELLS_MAX: usize = 24_000;
/// Steps of a refinement at most; it is mostly done after three.
const STEPS_MAX: usize = 5;
/// A step below this, in cells, is the last.
const STEP_MIN: f32 = 0.03;
/// By which factor the contrast may have changed: a camera's exposure follows the light.
const CONTRAST: (f32, f32) = (0.8, 1.25);

/// One number for each cell of a patch, in rows.
type Cells = [[f32; SIDE]; SIDE];

/// A small picture of luminance, 0 to 255.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    columns: usize,
    values: Vec<f32>,
    spare: Vec<f32>,
    sums: Vec<u16>,
}

impl Plane {
    /// Takes `window` of `frame`, smoothed by 1 2 1 along and across.
    pub(super) fn take(&mut self, frame: &Frame<'_>, window: &Window) {
        let cells = window.columns() * window.rows();
        for values in [&mut self.values, &mut self.spare] {
            values.clear();
            values.reserve(cells.max(CELLS_MAX));
        }
        frame.shrunk(window, &mut self.sums, &mut self.values);
        self.columns = window.columns();
        self.smooth();
    }

    fn smooth(&mut self) {
        let columns = self.columns.max(1);
        self.spare.resize(self.values.len(), 0.0);
        let rows = self.values.chunks_exact(columns).zip(self.spare.chunks_exact_mut(columns));
        for (row, into) in rows {
            // The first and the last cell of a row are their own neighbours.
            let [first, .., last] = row else {
                into.copy_from_slice(row);
                continue;
            };
            let (befores, owns) = (row, row.get(1..).unwrap_or_default());
            let behinds = row.get(2..).unwrap_or_default();
            let inner = into.get_mut(1..).unwrap_or_default().iter_mut();
            for (into, ((before, own), behind)) in inner.zip(befores.iter().zip(owns).zip(behinds))
            {
                *into = smoothed(*before, *own, *behind);
            }
            if let [into_first, .., into_last] = into {
                *into_first = smoothed(*first, *first, befores.get(1).copied().unwrap_or(*first));
                let before = row.iter().rev().nth(1).copied().unwrap_or(*last);
                *into_last = smoothed(before, *last, *last);
            }
        }
        let count = self.spare.len() / columns;
        let row = |index: usize| {
            let index = index.min(count.saturating_sub(1));
            self.spare.get(index * columns..(index + 1) * columns).unwrap_or_default()
        };
        for (index, into) in self.values.chunks_exact_mut(columns).enumerate() {
            let (above, own, below) = (row(index.saturating_sub(1)), row(index), row(index + 1));
            for (into, ((above, own), below)) in
                into.iter_mut().zip(above.iter().zip(own).zip(below))
            {
                *into = smoothed(*above, *own, *below);
            }
        }
    }

    /// Cells across and down.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.columns, self.values.len() / self.columns.max(1))
    }

    /// `LENGTH` cells of row `y` from `x` on.
    fn run<const LENGTH: usize>(&self, x: usize, y: usize) -> Option<&[f32; LENGTH]> {
        if x + LENGTH > self.columns {
            return None;
        }
        self.values.get(y * self.columns + x..)?.first_chunk()
    }
}

fn smoothed(before: f32, own: f32, behind: f32) -> f32 {
    0.25 * (before + behind) + 0.5 * own
}

/// A square of the earlier picture.
#[derive(Debug, Clone)]
pub(super) struct Patch {
    /// The cell at its upper left.
    at: (usize, usize),
    /// What it shows, and the gradients of that, each less its mean.
    shown: Cells,
    across: Cells,
    down: Cells,
    /// Sums of products of the gradients: the structure tensor.
    xx: f32,
    xy: f32,
    yy: f32,
    /// Sums of squares of what it shows, and of products with the gradients.
    energy: f32,
    with_across: f32,
    with_down: f32,
}

/// How well a shift explains what a patch shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// Cells to the right and down.
    pub shift: (f32, f32),
    /// Mean square of the luminance that is left, per cell.
    pub left: f32,
}

/// Sums over a patch at one shift.
struct Sums {
    fit: f32,
    step: (f32, f32),
}

impl Patch {
    /// The patch whose upper left cell is `at`, where it and a cell around it lie in `plane`.
    pub(super) fn of(plane: &Plane, at: (usize, usize)) -> Option<Self> {
        let (x, y) = at;
        let (left, above) = (x.checked_sub(1)?, y.checked_sub(1)?);
        let [mut shown, mut across, mut down] = [[[0.0; SIDE]; SIDE]; 3];
        for (row, ((shown, across), down)) in
            shown.iter_mut().zip(&mut across).zip(&mut down).enumerate()
        {
            let own = plane.run::<{ SIDE + 2 }>(left, y + row)?;
            let upper = plane.run::<SIDE>(x, above + row)?;
            let lower = plane.run::<SIDE>(x, y + row + 1)?;
            let [_, middle @ .., _] = own;
            let [before @ .., _, _] = own;
            let [_, _, behind @ ..] = own;
            *shown = *middle;
            for (value, (behind, before)) in across.iter_mut().zip(behind.iter().zip(before)) {
                *value = 0.5 * (behind - before);
            }
            for (value, (lower, upper)) in down.iter_mut().zip(lower.iter().zip(upper)) {
                *value = 0.5 * (lower - upper);
            }
        }
        for cells in [&mut shown, &mut across, &mut down] {
            let mean = cells.as_flattened().iter().sum::<f32>() / AREA;
            cells.as_flattened_mut().iter_mut().for_each(|value| *value -= mean);
        }
        Some(Self {
            at,
            xx: dot(&across, &across),
            xy: dot(&across, &down),
            yy: dot(&down, &down),
            energy: dot(&shown, &shown),
            with_across: dot(&shown, &across),
            with_down: dot(&shown, &down),
            shown,
            across,
            down,
        })
    }

    /// Its middle, in cells.
    pub(super) fn middle(&self) -> (f32, f32) {
        let half = SIDE as f32 / 2.0;
        (self.at.0 as f32 + half, self.at.1 as f32 + half)
    }

    /// Mean square of the gradient, per cell: how much texture there is.
    pub(super) fn texture(&self) -> f32 {
        (self.xx + self.yy) / AREA
    }

    /// Variance of the luminance: what no shift at all would leave unexplained.
    pub(super) fn variance(&self) -> f32 {
        self.energy / AREA
    }

    /// What standing still would leave unexplained of a small `shift`, per cell.
    pub(super) fn told_by(&self, (x, y): (f32, f32)) -> f32 {
        (x * x * self.xx + 2.0 * x * y * self.xy + y * y * self.yy) / AREA
    }

    /// The lesser eigenvalue of the structure tensor, per cell: texture in every direction.
    pub(super) fn cornered(&self) -> f32 {
        let (half, apart) = (self.xx.midpoint(self.yy), (self.xx - self.yy) / 2.0);
        (half - apart.hypot(self.xy)) / AREA
    }

    /// How well `shift` explains what `plane` shows; `None` where that reaches beyond it.
    pub(super) fn fit(&self, plane: &Plane, shift: (f32, f32)) -> Option<Fit> {
        self.sums(plane, shift).map(|sums| Fit { shift, left: sums.fit })
    }

    /// The best shift near `start`, at most `reach` cells from there.
    pub(super) fn refine(&self, plane: &Plane, start: (f32, f32), reach: f32) -> Option<Fit> {
        let mut shift = start;
        let mut best: Option<Fit> = None;
        for _ in 0..STEPS_MAX {
            let Some(sums) = self.sums(plane, shift) else { break };
            if best.is_none_or(|best| sums.fit < best.left) {
                best = Some(Fit { shift, left: sums.fit });
            }
            let (x, y) = (shift.0 + sums.step.0 - start.0, shift.1 + sums.step.1 - start.1);
            let far = (x.hypot(y) / reach).max(1.0);
            let next = (start.0 + x / far, start.1 + y / far);
            let moved = (next.0 - shift.0).hypot(next.1 - shift.1);
            shift = next;
            // Written so that NaN ends it.
            let goes_on = moved >= STEP_MIN;
            if !goes_on {
                break;
            }
        }
        let last = self.fit(plane, shift);
        match (best, last) {
            (Some(best), Some(last)) if last.left < best.left => Some(last),
            (best, last) => best.or(last),
        }
    }

    fn sums(&self, plane: &Plane, shift: (f32, f32)) -> Option<Sums> {
        let (x, y) = (self.at.0 as f32 + shift.0, self.at.1 as f32 + shift.1);
        // Written so that NaN is outside.
        let inside = (0.0..1e6).contains(&x) && (0.0..1e6).contains(&y);
        if !inside {
            return None;
        }
        let (left, top) = (x as usize, y as usize);
        let (right_share, lower_share) = (x - left as f32, y - top as f32);
        let mut upper = mixed(plane.run(left, top)?, right_share);
        let [mut total, mut squares, mut alike, mut across, mut down] = [[0.0; SIDE]; 5];
        for (row, ((shown, by_across), by_down)) in
            self.shown.iter().zip(&self.across).zip(&self.down).enumerate()
        {
            let lower = mixed(plane.run(left, top + row + 1)?, right_share);
            let mut seen = [0.0; SIDE];
            for (seen, (upper, lower)) in seen.iter_mut().zip(upper.iter().zip(&lower)) {
                *seen = upper + (lower - upper) * lower_share;
            }
            upper = lower;
            add(&mut total, &seen, &[1.0; SIDE]);
            add(&mut squares, &seen, &seen);
            add(&mut alike, &seen, shown);
            add(&mut across, &seen, by_across);
            add(&mut down, &seen, by_down);
        }
        let [total, squares, alike, across, down] =
            [total, squares, alike, across, down].map(|lanes| lanes.iter().sum::<f32>());
        let squares = (squares - total * total / AREA).max(0.0);
        let contrast = (alike / self.energy.max(f32::EPSILON)).clamp(CONTRAST.0, CONTRAST.1);
        let unexplained = squares - 2.0 * contrast * alike + contrast * contrast * self.energy;
        // The patch seen at the shift, less the patch, along each gradient.
        let (x, y) = (across / contrast - self.with_across, down / contrast - self.with_down);
        // So that nothing moves along an edge.
        let held = 0.02 * (self.xx + self.yy) + f32::EPSILON;
        let (xx, yy) = (self.xx + held, self.yy + held);
        let size = xx * yy - self.xy * self.xy;
        let step = ((self.xy * y - yy * x) / size, (self.xy * x - xx * y) / size);
        Some(Sums { fit: unexplained.max(0.0) / AREA, step })
    }
}

fn dot(one: &Cells, other: &Cells) -> f32 {
    let pairs = one.as_flattened().iter().zip(other.as_flattened());
    pairs.map(|(a, b)| a * b).sum()
}

/// Adds the products of a row to sums of their own.
#[inline]
fn add(sums: &mut [f32; SIDE], one: &[f32; SIDE], other: &[f32; SIDE]) {
    for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
        *sum += one * other;
    }
}

/// Between neighbouring cells of a row.
#[inline]
fn mixed(row: &[f32; SIDE + 1], share: f32) -> [f32; SIDE] {
    let [lefts @ .., _] = row;
    let [_, rights @ ..] = row;
    let mut mixed = [0.0; SIDE];
    for (mixed, (left, right)) in mixed.iter_mut().zip(lefts.iter().zip(rights)) {
        *mixed = left + (right - left) * share;
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;
    use crate::geometry::Rect;

    const SIDE_PIXELS: u32 = 64;

    /// The plane of a frame that shows `luminance`, a cell for each pixel.
    fn plane(luminance: impl Fn(f32, f32) -> f32) -> Plane {
        let pixels: Vec<u8> = (0..SIDE_PIXELS * SIDE_PIXELS)
            .map(|i| luminance((i % SIDE_PIXELS) as f32, (i / SIDE_PIXELS) as f32).round() as u8)
            .collect();
        let size = (SIDE_PIXELS, SIDE_PIXELS);
        let frame = Frame::new(&pixels, PixelFormat::Grey, size, 64, 0, Monotonic::default());
        let window = Window::within(Rect::new(0.0, 0.0, 64.0, 64.0), size, 1).unwrap();
        let mut plane = Plane::default();
        plane.take(&frame.unwrap(), &window);
        plane
    }

    fn blobs(x: f32, y: f32) -> f32 {
        120.0 + 50.0 * (x / 3.0).sin() * (y / 2.7).cos() + 20.0 * (x / 7.0 + y / 5.0).sin()
    }

    fn patch() -> Patch {
        Patch::of(&plane(blobs), (28, 28)).unwrap()
    }

    #[test]
    fn a_shift_is_found_to_a_tenth_of_a_cell_also_under_other_light() {
        for (x, y) in [(0.0, 0.0), (0.4, -0.3), (1.7, 1.2), (-2.3, 0.6)] {
            for (share, more) in [(1.0, 0.0), (0.85, 20.0), (1.2, -30.0)] {
                let moved = plane(|px, py| share * blobs(px - x, py - y) + more);
                let fit = patch().refine(&moved, (0.0, 0.0), 4.0).unwrap();
                let (apart_x, apart_y) = (fit.shift.0 - x, fit.shift.1 - y);
                assert!(apart_x.hypot(apart_y) < 0.1, "({x}, {y}) × {share}: {fit:?}");
                assert!(fit.left < 2.0, "({x}, {y}) × {share}: {fit:?}");
            }
        }
    }

    #[test]
    fn what_stands_still_is_explained_by_no_other_shift() {
        let patch = patch();
        let still = patch.fit(&plane(blobs), (0.0, 0.0)).unwrap();
        let moved = patch.fit(&plane(blobs), (1.5, 0.0)).unwrap();
        assert!(still.left < 0.1 && moved.left > 100.0, "{still:?} {moved:?}");
        assert!(patch.told_by((1.0, 0.0)) > 20.0 && patch.variance() > 150.0, "{patch:?}");
        assert!(patch.texture() > 40.0 && patch.cornered() > 10.0, "{patch:?}");
    }

    #[test]
    fn nothing_is_found_further_than_the_reach() {
        let moved = plane(|x, y| blobs(x - 3.0, y));
        let fit = patch().refine(&moved, (0.0, 0.0), 1.0).unwrap();
        assert!(fit.shift.0.hypot(fit.shift.1) <= 1.001, "{fit:?}");
    }

    #[test]
    fn along_an_edge_nothing_moves() {
        let edge = |at: f32| move |x: f32, _: f32| if x < at { 60.0 } else { 180.0 };
        let patch = Patch::of(&plane(edge(32.0)), (28, 28)).unwrap();
        assert!(patch.cornered() < 0.01 && patch.texture() > 50.0);
        let fit = patch.refine(&plane(edge(33.0)), (0.0, 0.4), 3.0).unwrap();
        assert!((fit.shift.0 - 1.0).abs() < 0.15 && (fit.shift.1 - 0.4).abs() < 0.01, "{fit:?}");
    }

    #[test]
    fn what_reaches_beyond_the_picture_is_no_fit() {
        let plane = plane(blobs);
        for at in [(0, 9), (9, 0), (56, 9), (9, 56), (500, 9), (9, 500)] {
            assert!(Patch::of(&plane, at).is_none(), "{at:?}");
        }
        let patch = Patch::of(&plane, (1, 1)).unwrap();
        assert!(
            patch.fit(&plane, (-1.5, 0.0)).is_none() && patch.fit(&plane, (60.0, 0.0)).is_none()
        );
        assert!(patch.fit(&plane, (f32::NAN, 0.0)).is_none());
        assert!(patch.refine(&plane, (f32::INFINITY, 0.0), 2.0).is_none());
        let bare = self::plane(|_, _| 90.0);
        let patch = Patch::of(&bare, (20, 20)).unwrap();
        let fit = patch.refine(&bare, (0.3, 0.0), 2.0).unwrap();
        assert!(fit.left < 0.1 && fit.shift == (0.3, 0.0), "a bare wall moves nothing: {fit:?}");
    }
}
