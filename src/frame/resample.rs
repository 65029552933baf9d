//! A square region of a frame becomes the input picture of a network, in one pass over the bytes.
//!
//! In: a [`Frame`] in the camera's own format and the region that the network shall see, which may
//! reach beyond the frame. Out: `side × side` RGB values, 0 to 255, row after row, handed to a sink;
//! what lies outside the frame is black. Shrinking weighs each source pixel by the area of it that
//! the output pixel covers (a box filter, exact to 1/256); enlarging interpolates linearly.
//!
//! Rows are combined first, as bytes, whatever the format: eight-bit weights that add up to 256
//! keep the sums in 16 bits, which compilers vectorise. Colour is converted last, at the output's
//! resolution only, because the box filter and the conversion are both linear.
//! Deliberately absent: rotation; `align` does that, on far fewer pixels.

use super::{Frame, PixelFormat, colour};
use crate::geometry::Rect;

/// Scratch memory of the resampling; reused from frame to frame.
#[derive(Debug, Default)]
pub struct Resampler {
    rows: Taps,
    chroma_rows: Taps,
    columns: Taps,
    chroma_columns: Taps,
    luma: Vec<u16>,
    chroma: Vec<u16>,
}

/// For each output position: where its source run starts, how long it is, and its weights.
#[derive(Debug, Default)]
struct Taps {
    runs: Vec<Run>,
    weights: Vec<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    source: usize,
    length: usize,
    weight: usize,
    /// What the weights lack of 256, because part of the run lies outside the frame.
    missing: u16,
}

/// Black in BT.601 limited range: luma, and either chroma.
const BLACK_Y: u16 = 16;
const BLACK_C: u16 = 128;

/// Weights of one run add up to this, unless part of the run lies outside the frame.
const ONE: f32 = 256.0;

impl Taps {
    /// Fills the runs for `outputs` positions that cover `[start, start + extent)` of a line of
    /// `available` source samples.
    fn fill(&mut self, start: f32, extent: f32, outputs: usize, available: usize) {
        self.runs.clear();
        self.weights.clear();
        let step = extent / outputs as f32;
        for output in 0..outputs {
            let low = step * output as f32 + start;
            let weight = self.weights.len();
            let source = if step >= 1.0 {
                self.push_box(low, low + step, available)
            } else {
                self.push_linear(low + step / 2.0, available)
            };
            let weights = self.weights.get(weight..).unwrap_or_default();
            let missing = 256_u16.saturating_sub(weights.iter().sum());
            self.runs.push(Run { source, length: weights.len(), weight, missing });
        }
    }

    /// Adds the weights of one run and says where it starts.
    fn push_box(&mut self, low: f32, high: f32, available: usize) -> usize {
        let first = low.max(0.0);
        let last = high.min(available as f32);
        if last <= first {
            return 0;
        }
        let source = first as usize;
        let end = (last.ceil() as usize).min(available);
        // Cumulative rounding: the weights add up to 256 exactly where the run lies inside.
        let scale = ONE / (high - low);
        let mut spent = ((first - low) * scale).round() as u16;
        for position in source..end {
            let covered = ((position + 1) as f32).min(last);
            let total = ((covered - low) * scale).round() as u16;
            self.weights.push(total.saturating_sub(spent));
            spent = total;
        }
        source
    }

    /// Adds the weights of one run and says where it starts.
    fn push_linear(&mut self, centre: f32, available: usize) -> usize {
        if centre <= 0.0 || centre >= available as f32 {
            return 0;
        }
        let position = (centre - 0.5).clamp(0.0, (available - 1) as f32);
        let source = position as usize;
        let fraction = ((position - source as f32) * ONE).round() as u16;
        self.weights.push(256 - fraction);
        if source + 1 < available {
            self.weights.push(fraction);
        }
        source
    }

    fn weights_of(&self, run: Run) -> &[u16] {
        self.weights.get(run.weight..run.weight + run.length).unwrap_or_default()
    }

    /// The source samples that any run touches, as `[first, end)`.
    fn span(&self) -> (usize, usize) {
        let touched = || self.runs.iter().filter(|run| run.length > 0);
        let first = touched().map(|run| run.source).min().unwrap_or(0);
        let end = touched().map(|run| run.source + run.length).max().unwrap_or(0);
        (first, end)
    }
}

impl Resampler {
    /// Hands the `side × side` RGB values of `region` to `sink`, in row-major order.
    ///
    /// `region` must have a positive, finite size; it is a square where the picture is not to be
    /// stretched.
    pub fn square(
        &mut self,
        frame: &Frame<'_>,
        region: Rect,
        side: usize,
        mut sink: impl FnMut(usize, [f32; 3]),
    ) {
        let (width, height, stride) =
            (frame.width() as usize, frame.height() as usize, frame.stride());
        self.columns.fill(region.x, region.width, side, width);
        self.rows.fill(region.y, region.height, side, height);
        self.chroma_columns.fill(region.x / 2.0, region.width / 2.0, side, width / 2);
        self.chroma_rows.fill(region.y / 2.0, region.height / 2.0, side, height / 2);
        let (plane, chroma_plane) =
            frame.pixels().split_at((stride * height).min(frame.pixels().len()));
        let (first, end) = self.columns.span();
        let (chroma_first, chroma_end) = self.chroma_columns.span();
        // Bytes of a row that matter, in whole groups of pixels that share colour.
        let (low, high) = match frame.format() {
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                ((first / 2).min(chroma_first) * 4, end.div_ceil(2).max(chroma_end) * 4)
            }
            PixelFormat::Nv12 | PixelFormat::Grey => (first, end),
            PixelFormat::Rgb => (first * 3, end * 3),
        };
        let black = match frame.format() {
            PixelFormat::Yuyv => [BLACK_Y, BLACK_C],
            PixelFormat::Uyvy => [BLACK_C, BLACK_Y],
            PixelFormat::Nv12 => [BLACK_Y; 2],
            PixelFormat::Grey | PixelFormat::Rgb => [0; 2],
        };
        let chroma_low = chroma_first * 2;
        for (y, start) in (0..side).map(|y| (y, y * side)) {
            combine(plane, stride, (low, high), &self.rows, y, black, &mut self.luma);
            if frame.format() == PixelFormat::Nv12 {
                let bytes = (chroma_low, chroma_end * 2);
                let (rows, black) = (&self.chroma_rows, [BLACK_C; 2]);
                combine(chroma_plane, stride, bytes, rows, y, black, &mut self.chroma);
            }
            let (columns, halved) = (&self.columns, &self.chroma_columns);
            let (luma, chroma) = (self.luma.as_slice(), self.chroma.as_slice());
            for x in 0..side {
                let rgb = match frame.format() {
                    PixelFormat::Grey => [gather::<1>(luma, 0, low, columns, x, 0); 3],
                    PixelFormat::Rgb => {
                        [0, 1, 2].map(|channel| gather::<3>(luma, channel, low, columns, x, 0))
                    }
                    PixelFormat::Yuyv => colour::bt601_to_rgb([
                        gather::<2>(luma, 0, low, columns, x, BLACK_Y),
                        gather::<4>(luma, 1, low, halved, x, BLACK_C),
                        gather::<4>(luma, 3, low, halved, x, BLACK_C),
                    ]),
                    PixelFormat::Uyvy => colour::bt601_to_rgb([
                        gather::<2>(luma, 1, low, columns, x, BLACK_Y),
                        gather::<4>(luma, 0, low, halved, x, BLACK_C),
                        gather::<4>(luma, 2, low, halved, x, BLACK_C),
                    ]),
                    PixelFormat::Nv12 => colour::bt601_to_rgb([
                        gather::<1>(luma, 0, low, columns, x, BLACK_Y),
                        gather::<2>(chroma, 0, chroma_low, halved, x, BLACK_C),
                        gather::<2>(chroma, 1, chroma_low, halved, x, BLACK_C),
                    ]),
                };
                sink(start + x, rgb);
            }
        }
    }
}

/// Adds the weighted bytes `[low, high)` of the rows of output row `y`; what lies outside is `black`,
/// a pair of bytes that repeats.
fn combine(
    plane: &[u8],
    stride: usize,
    (low, high): (usize, usize),
    rows: &Taps,
    y: usize,
    black: [u16; 2],
    sums: &mut Vec<u16>,
) {
    sums.clear();
    sums.resize(high.saturating_sub(low), 0);
    let Some(&run) = rows.runs.get(y) else { return };
    for pair in sums.as_chunks_mut().0 {
        *pair = black.map(|byte| byte * run.missing);
    }
    for (row, &weight) in (run.source..).zip(rows.weights_of(run)) {
        let bytes = plane.get(row * stride + low..row * stride + high).unwrap_or_default();
        for (sum, &byte) in sums.iter_mut().zip(bytes) {
            *sum = sum.wrapping_add(u16::from(byte).wrapping_mul(weight));
        }
    }
}

/// The weighted mean of one channel's samples for output column `x`, 0 to 255. Samples of the
/// channel stand every `STEP` sums, the first at `offset`; `sums` begin at byte `low` of the row.
#[inline]
fn gather<const STEP: usize>(
    sums: &[u16],
    offset: usize,
    low: usize,
    columns: &Taps,
    x: usize,
    black: u16,
) -> f32 {
    let Some(&run) = columns.runs.get(x) else { return 0.0 };
    let weights = columns.weights_of(run);
    let start = (run.source * STEP + offset).wrapping_sub(low);
    let samples = sums.get(start..).unwrap_or_default().chunks(STEP);
    let mut total = u32::from(black) * u32::from(run.missing) * 256;
    for (sample, &weight) in samples.zip(weights) {
        if let [sum, ..] = sample {
            total += u32::from(*sum) * u32::from(weight);
        }
    }
    total as f32 * (1.0 / 65536.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use proptest::prelude::*;

    fn picture(frame: &Frame<'_>, region: Rect, side: usize) -> Vec<[f32; 3]> {
        let mut out = vec![[-1.0; 3]; side * side];
        Resampler::default().square(frame, region, side, |i, rgb| out[i] = rgb);
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
        let white = [235, 128].repeat(8);
        let swapped = [128, 235].repeat(8);
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

    proptest! {
        #[test]
        fn any_region_stays_in_range(x in -50.0f32..50.0, y in -50.0f32..50.0, size in 0.5f32..120.0,
                                     side in 1usize..20, format in 0_usize..5, seed in any::<u8>()) {
            let format = [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12, PixelFormat::Grey,
                          PixelFormat::Rgb][format];
            let stride = format.min_stride(16) + 3;
            let bytes: Vec<u8> = (0..format.frame_len(stride, 12)).map(|i| (i as u8).wrapping_mul(seed)).collect();
            let frame = Frame::new(&bytes, format, (16, 12), stride, 0, Monotonic::default()).unwrap();
            let out = picture(&frame, Rect::new(x, y, size, size), side);
            prop_assert!(out.iter().flatten().all(|v| (0.0..=255.0).contains(v)));
        }
    }
}
