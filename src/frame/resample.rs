//! A square region of a frame becomes the input picture of a network, in one pass over the bytes.
//!
//! In: a [`Frame`] in the camera's own format and the region that the network shall see, which may
//! reach beyond the frame. Out: `side × side` RGB values, 0 to 255, row after row; what lies outside
//! the frame is black. Shrinking weighs each source pixel by the area of it that the output pixel
//! covers (a box filter, exact to 1/256); enlarging interpolates linearly.
//!
//! Rows are combined first, as bytes, whatever the format: eight-bit weights that add up to 256
//! keep the sums in 16 bits, which compilers vectorise. Then columns are combined, for [`LANES`]
//! output rows side by side: all rows of a column share position and weights, so what is done to
//! one number is done to a vector of them. Sums stay below 2²⁴, where `f32` is exact. Colour is
//! converted last, at the output's resolution only, because the box filter and the conversion are
//! both linear.
//! Deliberately absent: rotation; `align` does that, on far fewer pixels.

use std::ops::Range;

use super::taps::{ONE, Tap, Taps};
use super::{Frame, PixelFormat, colour};
use crate::geometry::{Rect, Turn, View};

/// Output rows that are worked on side by side.
const LANES: usize = 8;

/// Columns whose numbers are put side by side at once.
const AT_ONCE: usize = 8;

/// One number for each of these rows.
type Lanes = [f32; LANES];

/// Scratch memory of the resampling; reused from frame to frame.
#[derive(Debug, Default)]
pub struct Resampler {
    rows: Taps,
    shared_rows: Taps,
    columns: Taps,
    shared_columns: Taps,
    band: Band,
    shared_band: Band,
    channels: [Vec<Lanes>; 3],
}

/// Black in BT.601 limited range: luma, and either chroma.
const BLACK_Y: u16 = 16;
const BLACK_C: u16 = 128;

/// One plane of a frame, and which bytes of its rows matter.
#[derive(Debug)]
struct Plane<'a> {
    pixels: &'a [u8],
    stride: usize,
    low: usize,
    high: usize,
    /// The pair of bytes that, again and again, is a black row.
    black: [u16; 2],
}

/// Where the samples of channels lie in the rows of a plane: the first ones at `offsets`, one every
/// `step`.
#[derive(Debug, Clone, Copy)]
struct Samples<const CHANNELS: usize> {
    offsets: [usize; CHANNELS],
    step: usize,
    black: u16,
}

/// The bytes of a plane, combined down the rows for [`LANES`] output rows.
#[derive(Debug, Default)]
struct Band {
    low: usize,
    rows: [Vec<u16>; LANES],
    sums: Vec<Lanes>,
}

impl Band {
    /// Takes the next output rows' taps.
    fn combine<'a>(&mut self, plane: &Plane<'_>, mut taps: impl Iterator<Item = Tap<'a>>) {
        let length = plane.high.saturating_sub(plane.low).next_multiple_of(AT_ONCE);
        for sums in &mut self.rows {
            sums.resize(length, 0);
            if let Some(tap) = taps.next() {
                combine(plane, tap, sums);
            }
        }
        self.low = plane.low;
        self.sums.resize(length, [0.0; LANES]);
        spread(&self.rows, &mut self.sums);
    }

    /// The weighted means of channels' samples, 0 to 255, column after column.
    fn means<const CHANNELS: usize>(
        &self,
        samples: Samples<CHANNELS>,
        columns: &Taps,
        means: [&mut [Lanes]; CHANNELS],
    ) {
        // Of a number that compilers know, sums stay in registers.
        match columns.longest {
            2 => self.means_of(samples, columns, columns.weights.as_chunks::<2>().0, means),
            3 => self.means_of(samples, columns, columns.weights.as_chunks::<3>().0, means),
            4 => self.means_of(samples, columns, columns.weights.as_chunks::<4>().0, means),
            5 => self.means_of(samples, columns, columns.weights.as_chunks::<5>().0, means),
            longest => {
                let weights = columns.weights.chunks_exact(longest.max(1));
                self.means_of(samples, columns, weights, means);
            }
        }
    }

    #[inline]
    fn means_of<'a, const CHANNELS: usize, W: AsRef<[f32]> + 'a>(
        &self,
        samples: Samples<CHANNELS>,
        columns: &Taps,
        weights: impl IntoIterator<Item = W>,
        mut means: [&mut [Lanes]; CHANNELS],
    ) {
        let Samples { offsets, step, black } = samples;
        for (column, (run, weights)) in columns.runs.iter().zip(weights).enumerate() {
            let first = (run.source * step).wrapping_sub(self.low);
            let mut totals = [[f32::from(black) * run.missing * ONE; LANES]; CHANNELS];
            for (index, weight) in weights.as_ref().iter().enumerate() {
                // Runs without samples begin anywhere, and their weights are zero.
                let at = first.wrapping_add(index * step);
                for (total, offset) in totals.iter_mut().zip(offsets) {
                    if let Some(sample) = self.sums.get(at.wrapping_add(offset)) {
                        total
                            .iter_mut()
                            .zip(sample)
                            .for_each(|(total, sum)| *total += sum * weight);
                    }
                }
            }
            for (means, total) in means.iter_mut().zip(totals) {
                if let Some(mean) = means.get_mut(column) {
                    *mean = total.map(|v| v * (1.0 / (ONE * ONE)));
                }
            }
        }
    }
}

/// Puts numbers of the same column side by side.
fn spread(rows: &[Vec<u16>; LANES], into: &mut [Lanes]) {
    let [a, b, c, d, e, f, g, h] = rows.each_ref().map(|row| row.as_chunks::<AT_ONCE>().0);
    let rows = a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(g).zip(h);
    let (columns, _) = into.as_chunks_mut::<AT_ONCE>();
    for (columns, (((((((a, b), c), d), e), f), g), h)) in columns.iter_mut().zip(rows) {
        let rows = [*a, *b, *c, *d, *e, *f, *g, *h];
        #[expect(clippy::indexing_slicing, reason = "invariant: within arrays of that length")]
        let turned = std::array::from_fn(|x| std::array::from_fn(|y| f32::from(rows[y][x])));
        *columns = turned;
    }
}

/// Adds up the bytes of the rows that one output row covers.
fn combine(plane: &Plane<'_>, tap: Tap<'_>, sums: &mut [u16]) {
    sums.fill(0);
    if tap.missing > 0.0 {
        for pair in sums.as_chunks_mut().0 {
            *pair = plane.black.map(|byte| byte * tap.missing as u16);
        }
    }
    for (row, &weight) in (tap.source..).zip(tap.weights) {
        let start = row * plane.stride;
        let bytes = plane.pixels.get(start + plane.low..start + plane.high).unwrap_or_default();
        for (sum, &byte) in sums.iter_mut().zip(bytes) {
            *sum = sum.wrapping_add(u16::from(byte).wrapping_mul(weight as u16));
        }
    }
}

/// A square of `side` pixels within a larger picture, which is `stride` pixels wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// The index of its upper left pixel.
    pub first: usize,
    /// Pixels across and down.
    pub side: usize,
    /// Pixels from one row to the next.
    pub stride: usize,
}

/// Where the output's pixels are put, in the order in which they are worked out: rows of the stored
/// picture, each from its left.
#[derive(Debug, Clone, Copy)]
struct Walk {
    first: usize,
    row: isize,
    column: isize,
}

impl Walk {
    const fn of(view: View, tile: Tile) -> Self {
        let last = tile.side.saturating_sub(1);
        let (across, down) = (1_isize, tile.stride.cast_signed());
        // The seen column and row of the first stored pixel, and what a stored row and column add.
        let (x, y, row, column) = match view.turn {
            Turn::None => (0, 0, down, across),
            Turn::Quarter => (last, 0, -across, down),
            Turn::Half => (last, last, -down, -across),
            Turn::ThreeQuarters => (0, last, across, -down),
        };
        if !view.mirrored {
            return Self { first: tile.first + y * tile.stride + x, row, column };
        }
        let first = tile.first + y * tile.stride + (last - x);
        if view.turn.lays_down() {
            Self { first, row: -row, column }
        } else {
            Self { first, row, column: -column }
        }
    }

    /// The index of a stored row's and column's pixel.
    #[inline]
    const fn at(self, row: usize, column: usize) -> usize {
        self.first
            .wrapping_add_signed(self.row * row.cast_signed())
            .wrapping_add_signed(self.column * column.cast_signed())
    }
}

impl Resampler {
    /// Fills `pixels`, rows of `side`, with the RGB values of `region`, 0 to 255, each as `convert`
    /// makes it.
    ///
    /// `region` must have a positive, finite size; it is a square where the picture is not to be
    /// stretched.
    pub fn square<T>(
        &mut self,
        frame: &Frame<'_>,
        region: Rect,
        side: usize,
        pixels: &mut [[T; 3]],
        convert: impl Fn(f32) -> T,
    ) {
        self.tile(frame, region, Tile { first: 0, side, stride: side }, pixels, convert);
    }

    /// The same into one tile of `pixels`; a pixel that lies beyond their end is left out.
    pub fn tile<T>(
        &mut self,
        frame: &Frame<'_>,
        region: Rect,
        tile: Tile,
        pixels: &mut [[T; 3]],
        convert: impl Fn(f32) -> T,
    ) {
        let side = tile.side;
        let walk = Walk::of(frame.view(), tile);
        let (plane, shared_plane) = self.prepare(frame, region, side);
        let planar = frame.format() == PixelFormat::Nv12;
        for first in (0..side).step_by(LANES) {
            self.band.combine(&plane, self.rows.from(first));
            if planar {
                self.shared_band.combine(&shared_plane, self.shared_rows.from(first));
            }
            self.mix(frame.format());
            if walk.column == 1 {
                self.put_rows(walk, first..side, pixels, &convert);
            } else {
                self.put_anyhow(walk, first..side, pixels, &convert);
            }
        }
    }

    /// Makes RGB of the rows that were combined.
    fn mix(&mut self, format: PixelFormat) {
        let (columns, shared_columns) = (&self.columns, &self.shared_columns);
        let [r, g, b] = self.channels.each_mut().map(Vec::as_mut_slice);
        let rgb = |offsets, step| Samples { offsets, step, black: 0 };
        let luma = |offset, step| Samples { offsets: [offset], step, black: BLACK_Y };
        let chroma = |offsets, step| Samples { offsets, step, black: BLACK_C };
        let (luma, chroma, shared_band) = match format {
            PixelFormat::Grey => return self.band.means(rgb([0; 3], 1), columns, [r, g, b]),
            PixelFormat::Rgb => return self.band.means(rgb([0, 1, 2], 3), columns, [r, g, b]),
            PixelFormat::Yuyv => (luma(0, 2), chroma([1, 3], 4), &self.band),
            PixelFormat::Uyvy => (luma(1, 2), chroma([0, 2], 4), &self.band),
            PixelFormat::Nv12 => (luma(0, 1), chroma([0, 1], 2), &self.shared_band),
        };
        self.band.means(luma, columns, [&mut *r]);
        shared_band.means(chroma, shared_columns, [&mut *g, &mut *b]);
        let colours = r.as_flattened_mut().iter_mut().zip(g.as_flattened_mut());
        for ((r, g), b) in colours.zip(b.as_flattened_mut()) {
            [*r, *g, *b] = colour::bt601_to_rgb([*r, *g, *b]);
        }
    }

    /// Puts the rows that were worked out, the first of `rows`, where rows stay rows.
    fn put_rows<T>(
        &self,
        walk: Walk,
        rows: Range<usize>,
        pixels: &mut [[T; 3]],
        convert: &impl Fn(f32) -> T,
    ) {
        let [r, g, b] = &self.channels;
        for (lane, row) in (0..LANES).zip(rows) {
            let row = pixels.get_mut(walk.at(row, 0)..).unwrap_or_default();
            #[expect(clippy::indexing_slicing, reason = "invariant: lane is below LANES")]
            let value = |lanes: &Lanes| convert(lanes[lane]);
            for (pixel, ((r, g), b)) in row.iter_mut().zip(r.iter().zip(g).zip(b)) {
                *pixel = [value(r), value(g), value(b)];
            }
        }
    }

    /// The same wherever they come to lie: side by side in rows of the output where the picture is
    /// turned by a quarter.
    fn put_anyhow<T>(
        &self,
        walk: Walk,
        rows: Range<usize>,
        pixels: &mut [[T; 3]],
        convert: &impl Fn(f32) -> T,
    ) {
        let [r, g, b] = &self.channels;
        for (column, ((r, g), b)) in r.iter().zip(g).zip(b).enumerate() {
            for ((row, r), (g, b)) in rows.clone().zip(r).zip(g.iter().zip(b)) {
                if let Some(pixel) = pixels.get_mut(walk.at(row, column)) {
                    *pixel = [convert(*r), convert(*g), convert(*b)];
                }
            }
        }
    }

    /// Works out the taps, and which bytes of the frame they need.
    fn prepare<'a>(
        &mut self,
        frame: &Frame<'a>,
        region: Rect,
        side: usize,
    ) -> (Plane<'a>, Plane<'a>) {
        let (width, height) = frame.stored_size();
        let region = frame.view().rect_to_stored(region, (width as f32, height as f32));
        let (width, height) = (width as usize, height as usize);
        self.columns.fill(region.x, region.width, side, width);
        self.rows.fill(region.y, region.height, side, height);
        self.shared_columns.fill(region.x / 2.0, region.width / 2.0, side, width / 2);
        if frame.format() == PixelFormat::Nv12 {
            self.shared_rows.fill(region.y / 2.0, region.height / 2.0, side, height / 2);
        }
        for channel in &mut self.channels {
            channel.resize(side, [0.0; LANES]);
        }
        let (first, end) = self.columns.span();
        let (shared_first, shared_end) = self.shared_columns.span();
        // Whole groups of pixels that share colour.
        let groups = ((first / 2).min(shared_first) * 4, end.div_ceil(2).max(shared_end) * 4);
        let ((low, high), black) = match frame.format() {
            PixelFormat::Yuyv => (groups, [BLACK_Y, BLACK_C]),
            PixelFormat::Uyvy => (groups, [BLACK_C, BLACK_Y]),
            PixelFormat::Nv12 => ((first, end), [BLACK_Y; 2]),
            PixelFormat::Grey => ((first, end), [0; 2]),
            PixelFormat::Rgb => ((first * 3, end * 3), [0; 2]),
        };
        let stride = frame.stride();
        let (luma, chroma) = frame.pixels().split_at((stride * height).min(frame.pixels().len()));
        let (shared_low, shared_high) = (shared_first * 2, shared_end * 2);
        (
            Plane { pixels: luma, stride, low, high, black },
            Plane {
                pixels: chroma,
                stride,
                low: shared_low,
                high: shared_high,
                black: [BLACK_C; 2],
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use proptest::prelude::*;

    fn picture(frame: &Frame<'_>, region: Rect, side: usize) -> Vec<[f32; 3]> {
        let mut out = vec![[-1.0; 3]; side * side];
        Resampler::default().square(frame, region, side, &mut out, |v| v);
        out
    }

    fn grey(pixels: &[u8], width: u32, height: u32) -> Frame<'_> {
        Frame::new(
            pixels,
            PixelFormat::Grey,
            (width, height),
            width as usize,
            0,
            Monotonic::default(),
        )
        .unwrap()
    }

    #[test]
    fn shrinking_averages_areas() {
        let pixels = [0, 0, 100, 200, 0, 0, 100, 200, 40, 40, 0, 0, 40, 40, 0, 8];
        let out = picture(&grey(&pixels, 4, 4), Rect::new(0.0, 0.0, 4.0, 4.0), 2);
        assert_eq!(out.iter().map(|p| p[0]).collect::<Vec<_>>(), [0.0, 150.0, 40.0, 2.0]);
    }

    #[test]
    fn beyond_the_frame_is_black() {
        let out = picture(&grey(&[255; 8], 4, 2), Rect::new(0.0, -1.0, 4.0, 4.0), 4);
        let rows: Vec<f32> = out.iter().step_by(4).map(|p| p[0]).collect();
        assert_eq!(rows, [0.0, 255.0, 255.0, 0.0]);
    }

    #[test]
    fn half_outside_is_half_as_bright_whatever_the_format() {
        // White: Y 235, Cb and Cr 128. The columns at the edges reach half beyond the frame.
        let white = [235, 128].repeat(16);
        let swapped = [128, 235].repeat(16);
        let nv12 = [[235; 16].to_vec(), [128; 8].to_vec()].concat();
        for (format, stride, bytes) in [
            (PixelFormat::Yuyv, 8, white),
            (PixelFormat::Uyvy, 8, swapped),
            (PixelFormat::Nv12, 4, nv12),
            (PixelFormat::Grey, 4, vec![255; 16]),
            (PixelFormat::Rgb, 12, vec![255; 48]),
        ] {
            let frame =
                Frame::new(&bytes, format, (4, 4), stride, 0, Monotonic::default()).unwrap();
            let out = picture(&frame, Rect::new(-1.0, -1.0, 6.0, 6.0), 3);
            let wanted = [0.25, 0.5, 0.25, 0.5, 1.0, 0.5, 0.25, 0.5, 0.25].map(|part| part * 255.0);
            for (pixel, wanted) in out.iter().zip(wanted) {
                assert!(pixel.iter().all(|v| (v - wanted).abs() < 1.0), "{format:?}: {out:?}");
            }
        }
    }

    #[test]
    fn all_formats_agree_on_a_flat_colour() {
        // BT.601 limited range: Y 81, Cb 90, Cr 240 is saturated red.
        let yuyv = [81, 90, 81, 240].repeat(8);
        let uyvy = [90, 81, 240, 81].repeat(8);
        let nv12 = [[81; 16].to_vec(), [90, 240].repeat(4)].concat();
        for (format, stride, bytes) in [
            (PixelFormat::Yuyv, 8, yuyv),
            (PixelFormat::Uyvy, 8, uyvy),
            (PixelFormat::Nv12, 4, nv12),
        ] {
            let frame =
                Frame::new(&bytes, format, (4, 4), stride, 0, Monotonic::default()).unwrap();
            for side in [2, 4, 7] {
                for [r, g, b] in picture(&frame, Rect::new(0.0, 0.0, 4.0, 4.0), side) {
                    assert!(r > 252.0 && g < 3.0 && b < 3.0, "{format:?} {side}: {r} {g} {b}");
                }
            }
        }
    }

    /// The bytes of `frame`, all `width × height` grey pixels, laid out as `view` shows them.
    fn laid_out(bytes: &[u8], (width, height): (u32, u32), view: View) -> Vec<u8> {
        let map = view.to_stored((width as f32, height as f32));
        let (across, down) = view.size((width, height));
        let seen = (0..down).flat_map(|y| (0..across).map(move |x| (x as f32, y as f32)));
        let stored = seen.map(|(x, y)| map.apply(crate::geometry::Point::new(x + 0.5, y + 0.5)));
        stored.map(|p| bytes[p.y as usize * width as usize + p.x as usize]).collect()
    }

    fn any_view() -> impl Strategy<Value = View> {
        (0_usize..4, any::<bool>())
            .prop_map(|(turn, mirrored)| View { turn: Turn::ALL[turn], mirrored })
    }

    proptest! {
        #[test]
        fn a_view_shows_what_the_turned_bytes_would(
            x in -20.0f32..20.0, y in -20.0f32..20.0, size in 4.0f32..60.0, side in 1usize..21,
            view in any_view(), seed in any::<u8>(),
        ) {
            let stored = (22, 14);
            let bytes: Vec<u8> =
                (0..22_usize * 14).map(|i| (i * 37 % 251) as u8 ^ seed).collect();
            let copied = laid_out(&bytes, stored, view);
            let (across, down) = view.size(stored);
            let frame = grey(&bytes, stored.0, stored.1).seen_by(view);
            prop_assert_eq!((frame.width(), frame.height()), (across, down));
            let region = Rect::new(x, y, size, size);
            let found = picture(&frame, region, side);
            let wanted = picture(&grey(&copied, across, down), region, side);
            for (found, wanted) in found.iter().zip(&wanted) {
                // Weights are rounded from the other end.
                prop_assert!((found[0] - wanted[0]).abs() < 3.0, "{found:?} {wanted:?}");
            }
        }

        #[test]
        fn a_tile_is_filled_and_nothing_beside_it(view in any_view(), side in 1usize..12) {
            let bytes: Vec<u8> = (0..16 * 16).map(|i| i as u8).collect();
            let frame = grey(&bytes, 16, 16).seen_by(view);
            let region = Rect::new(0.0, 0.0, 16.0, 16.0);
            let alone = picture(&frame, region, side);
            let stride = side + 7;
            let mut out = vec![[-1.0; 3]; stride * (side + 3)];
            let tile = Tile { first: 2 * stride + 5, side, stride };
            Resampler::default().tile(&frame, region, tile, &mut out, |v| v);
            for (index, pixel) in out.iter().enumerate() {
                let (x, y) = ((index % stride).wrapping_sub(5), (index / stride).wrapping_sub(2));
                let wanted = if x < side && y < side { alone[y * side + x] } else { [-1.0; 3] };
                prop_assert_eq!(pixel.map(f32::to_bits), wanted.map(f32::to_bits));
            }
        }

        #[test]
        fn any_region_stays_in_range(x in -50.0f32..50.0, y in -50.0f32..50.0, size in 0.5f32..120.0,
                                     side in 1usize..20, format in 0_usize..5, seed in any::<u8>(),
                                     view in any_view()) {
            let format = [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::Grey,
                          PixelFormat::Rgb][format];
            let stride = format.min_stride(16) + 3;
            let bytes: Vec<u8> = (0..format.frame_len(stride, 12)).map(|i| (i as u8).wrapping_mul(seed)).collect();
            let frame = Frame::new(&bytes, format, (16, 12), stride, 0, Monotonic::default()).unwrap();
            let out = picture(&frame.seen_by(view), Rect::new(x, y, size, size), side);
            prop_assert!(out.iter().flatten().all(|v| (0.0..=255.0).contains(v)));
        }
    }
}
