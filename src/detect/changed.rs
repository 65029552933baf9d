//! Whether a frame of an empty room shows anything that the last searched one did not.
//!
//! In: a [`Glimpse`] of a frame, the smallest face that counts. Out: whether the frame is to be searched.
//! The means of small squares, a few to a face, are compared with those of the last frame in which the
//! detectors saw nobody: what looks as that frame did shows nobody either. So the background is never
//! older than the last search, and follows whatever the detectors have seen to be none.
//!
//! Three things are no change. What makes most of a row of squares lighter or darker by one factor
//! within [`LIGHT`] is light: exposure, a cloud, a lamp's flicker, which lies in bands along the rows of a
//! sensor. What differs everywhere alike is a sensor's noise; how much each square usually differs is
//! learnt over [`LEARNT_OVER`]: rain, leaves, a curtain, a screen. And some squares beside each other must
//! differ, as those of a face do.
//!
//! Invariants: squares over half of the smallest face that differ by [`NOTICED_MAX`] are noticed, whatever
//! was learnt, where that face takes no more than a quarter of the picture's width; doubt is a search: another size or format, no background, a time that does not
//! advance, a picture smaller than a square; without a change one is due after the time that is asked for.
//! Nothing allocates after the first look at a size.
//! Deliberately absent: zones; a change where no face is seen costs a search, and hides nobody.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::Monotonic;
use crate::frame::{Glimpse, PixelFormat, Window};
use crate::geometry::Rect;

/// Squares across the smallest face.
const SQUARES_PER_FACE: f32 = 4.0;
/// A block that is judged has at most so many squares across and down, all of which lie within any face.
const BLOCK_MAX: usize = 3;
/// A square differs beyond so many times its usual difference, a root mean square,
const TIMES_USUAL: f32 = 3.0;
/// never within the first and always beyond the second, in levels of 255.
const NOTICED_MIN: f32 = 3.0;
const NOTICED_MAX: f32 = 24.0;
/// A sensor's noise is everywhere: a square differs beyond so many times the median of all differences, as
/// long as that is no more than so many levels.
const TIMES_MEDIAN: f32 = 4.0;
const NOISE_MAX: f32 = 8.0;
/// One square in so many is taken for that median.
const MEDIAN_STRIDE: usize = 4;
/// What changes most of a row by no more than this factor is light.
const LIGHT: f32 = 1.18;
/// One square of a row in so many is asked for it.
const LIGHT_STRIDE: usize = 2;
/// Squares darker than this say nothing of the light's factor.
const DARK: f32 = 8.0;
/// How long it takes until what changes all the time is usual: longer than a visitor stands there unseen.
const LEARNT_OVER: Duration = Duration::from_secs(15);
/// The largest part of that which one look may be.
const LEARNT_MAX: f32 = 0.25;

/// The share of the time between two looks by which a search may come late.
const JITTER: u32 = 8;

/// Of what kind the pictures are that can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kind {
    stored: (u32, u32),
    format: PixelFormat,
    scale: u32,
    /// The smallest face, in pixels of the frame.
    face_px: f32,
}

/// How a picture is divided.
#[derive(Debug, Clone, Copy)]
struct Division {
    window: Window,
    /// Squares along a side of a block, and how many of a block must differ.
    side: usize,
    needed: usize,
}

impl Division {
    /// `None` where the picture is smaller than a square.
    fn of(kind: &Kind) -> Option<Self> {
        let Kind { stored: (width, height), scale, face_px, .. } = *kind;
        let face = face_px / scale.max(1) as f32;
        let square = (face / SQUARES_PER_FACE).round().clamp(1.0, Window::SIDE_MAX as f32) as usize;
        let whole = Rect::new(0.0, 0.0, width as f32, height as f32);
        let window = Window::within(whole, (width, height), square)?;
        // Wherever a face lies, so many whole squares lie within it: it may begin a pixel of the frame
        // behind a square's edge, and end where the squares do not reach.
        let pixels = square as f32 * scale.max(1) as f32;
        let beyond = (width as usize % square).max(height as usize % square) as f32;
        let inside = (face_px - beyond * scale.max(1) as f32 - (pixels - 1.0)) / pixels;
        let most = BLOCK_MAX.min(window.columns()).min(window.rows());
        let side = (inside as usize).clamp(1, most);
        Some(Self { window, side, needed: side * side / 2 + 1 })
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    kind: Option<Kind>,
    division: Option<Division>,
    /// The squares of the last look, and the frame that it was at and that is about to be searched.
    seen: Vec<f32>,
    due: Option<(u64, Monotonic)>,
    /// The squares of the last frame that was searched and showed nobody.
    known: Vec<f32>,
    known_at: Option<Monotonic>,
    looked_at: Option<Monotonic>,
    /// The square of the difference that each usually has.
    usual: Vec<f32>,
    /// By how much each differs now, and whether that is more than usual.
    differences: Vec<f32>,
    differs: Vec<u8>,
    /// Scratch memory of medians.
    sorted: Vec<f32>,
    sums: Vec<u16>,
}

impl Changed {
    /// Whether the frame of `glimpse` is to be searched for faces of at least `face_px` pixels: something
    /// has changed, or the next look would come later than `patience` after the last search.
    pub fn is_due(&mut self, glimpse: &Glimpse<'_>, face_px: f32, patience: Duration) -> bool {
        let frame = &glimpse.frame;
        let (sequence, at) = (frame.sequence(), frame.captured_at());
        if self.due.is_some_and(|(asked, _)| asked == sequence) {
            return true;
        }
        self.due = Some((sequence, at));
        let (stored, format) = (frame.stored_size(), frame.format());
        let kind = Kind { stored, format, scale: glimpse.scale, face_px };
        if self.kind != Some(kind) {
            self.begin(kind);
        }
        let Some(division) = self.division else { return true };
        frame.shrunk(&division.window, &mut self.sums, &mut self.seen);
        let before = self.looked_at.replace(at);
        let (Some(known_at), Some(before)) = (self.known_at, before) else { return true };
        if at <= before {
            return true;
        }
        let since = at.since(before);
        let changed = self.compare(division, since);
        let next = at.since(known_at) + since;
        // A camera's frames come a little early or late: that is no reason to search sooner.
        if changed || next > patience + since / JITTER {
            return true;
        }
        self.due = None;
        false
    }

    /// Hears that the frame numbered `sequence` was searched, and whether `somebody` was found.
    pub fn searched(&mut self, sequence: u64, somebody: bool) {
        let due = self.due.take().filter(|(asked, _)| *asked == sequence);
        if somebody {
            self.forget();
        } else if let Some((_, at)) = due {
            std::mem::swap(&mut self.seen, &mut self.known);
            self.known_at = Some(at);
        }
    }

    /// The next frame comes from elsewhere, or what was known of the room is too old.
    pub const fn forget(&mut self) {
        self.known_at = None;
        self.due = None;
    }

    fn begin(&mut self, kind: Kind) {
        self.kind = Some(kind);
        self.division = Division::of(&kind);
        self.known_at = None;
        let squares = self.division.map_or(0, |d| d.window.columns() * d.window.rows());
        for of_squares in [&mut self.seen, &mut self.known, &mut self.usual, &mut self.differences]
        {
            of_squares.clear();
            of_squares.resize(squares, 0.0);
        }
        self.differs.clear();
        self.differs.resize(squares, 0);
        self.sorted.clear();
        self.sorted.reserve(squares);
    }

    /// Whether a block of squares differs from what is known, `since` after the last look.
    fn compare(&mut self, division: Division, since: Duration) -> bool {
        let Division { window, side, needed } = division;
        let columns = window.columns();
        let rate = (since.as_secs_f32() / LEARNT_OVER.as_secs_f32()).min(LEARNT_MAX);
        let rows = self.seen.chunks_exact(columns).zip(self.known.chunks_exact(columns));
        for ((seen, known), differences) in rows.zip(self.differences.chunks_exact_mut(columns)) {
            let light = light(seen, known, &mut self.sorted);
            for ((seen, known), difference) in seen.iter().zip(known).zip(differences) {
                *difference = (seen - (known * light).min(255.0)).abs();
            }
        }
        self.sorted.clear();
        self.sorted.extend(self.differences.iter().step_by(MEDIAN_STRIDE));
        let noise = (median(&mut self.sorted).unwrap_or(0.0) * TIMES_MEDIAN).min(NOISE_MAX);
        let least = noise.max(NOTICED_MIN);
        let mut differing = 0;
        let squares = self.differences.iter().zip(&mut self.usual).zip(&mut self.differs);
        for ((difference, usual), differs) in squares {
            let limit = (*usual * (TIMES_USUAL * TIMES_USUAL)).max(least * least);
            let squared = difference * difference;
            *differs = u8::from(squared > limit.min(NOTICED_MAX * NOTICED_MAX));
            differing += usize::from(*differs);
            *usual += (squared.min(NOTICED_MAX * NOTICED_MAX) - *usual) * rate;
        }
        differing >= needed && has_block(&self.differs, columns, side, needed)
    }
}

/// The factor by which most of a row has become lighter or darker, within [`LIGHT`].
fn light(seen: &[f32], known: &[f32], factors: &mut Vec<f32>) -> f32 {
    factors.clear();
    let some = seen.iter().zip(known).step_by(LIGHT_STRIDE);
    let asked = some.len();
    factors.extend(some.filter(|(_, known)| **known >= DARK).map(|(seen, known)| seen / known));
    let tells = 2 * factors.len() > asked;
    let factor = median(factors).filter(|_| tells);
    factor.map_or(1.0, |factor| factor.clamp(1.0 / LIGHT, LIGHT))
}

/// The middle of `values`, whose order is lost; `None` of none.
fn median(values: &mut [f32]) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// Whether `needed` squares differ of any block with `side` squares along a side.
fn has_block(differs: &[u8], columns: usize, side: usize, needed: usize) -> bool {
    let rows = differs.len() / columns.max(1);
    (0..=rows.saturating_sub(side)).any(|top| {
        (0..=columns.saturating_sub(side)).any(|left| {
            let line = |row: usize| {
                let start = (top + row) * columns + left;
                differs.get(start..start + side).unwrap_or_default()
            };
            let count =
                (0..side).flat_map(line).map(|differs| usize::from(*differs)).sum::<usize>();
            count >= needed
        })
    })
}
