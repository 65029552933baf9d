//! A part of a frame as a small picture of its luminance: the mean of each square of pixels.
//!
//! In: a [`Frame`] and a [`Window`] of its stored pixels. Out: luminance 0 to 255, full range, a number for
//! each square, row after row. Rows of bytes are added up first, whatever they hold, in sums that
//! compilers vectorise; of an RGB frame green is taken for the luminance, which it is most of.
//!
//! Deliberately absent: how the frame is looked at. Windows and squares are of the stored picture.

use super::{Frame, PixelFormat};
use crate::geometry::Rect;

/// Squares of `side` stored pixels, in rows, within a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    left: usize,
    top: usize,
    side: usize,
    columns: usize,
    rows: usize,
}

/// Rows of pixels that are read of a square at most, evenly spread over it.
const ROWS_MAX: usize = 4;

impl Window {
    /// The longest side of a square, in pixels: its sums stay within 16 bits.
    pub const SIDE_MAX: usize = 64;

    /// The squares of `side` pixels that lie wholly within `region` and within a frame of
    /// `size`, both of stored pixels; `None` where that is no square, or `side` is not 1 to
    /// [`Self::SIDE_MAX`].
    #[must_use]
    pub fn within(region: Rect, (width, height): (u32, u32), side: usize) -> Option<Self> {
        if !(1..=Self::SIDE_MAX).contains(&side) {
            return None;
        }
        // The first whole pixel and the number of squares; a NaN becomes 0.
        let line = |start: f32, length: f32, available: u32| {
            let first = start.max(0.0).ceil().min(available as f32) as usize;
            let end = (start + length).max(0.0).min(available as f32) as usize;
            (first, end.saturating_sub(first) / side)
        };
        let (left, columns) = line(region.x, region.width, width);
        let (top, rows) = line(region.y, region.height, height);
        (columns > 0 && rows > 0).then_some(Self { left, top, side, columns, rows })
    }

    /// Squares across.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Squares down.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Pixels along a side of a square.
    #[must_use]
    pub const fn side(&self) -> usize {
        self.side
    }

    /// The upper left corner of the first square, in stored pixels.
    #[must_use]
    pub const fn corner(&self) -> (usize, usize) {
        (self.left, self.top)
    }
}

impl Frame<'_> {
    /// The mean luminance of every square of `window`, 0 to 255. `sums` is scratch memory. Rows beyond
    /// the frame, of a window that was made for a larger one, are black.
    pub fn shrunk(&self, window: &Window, sums: &mut Vec<u16>, into: &mut Vec<f32>) {
        match self.format() {
            PixelFormat::Yuyv => self.shrunk_as::<2, 0>(window, sums, into),
            PixelFormat::Uyvy => self.shrunk_as::<2, 1>(window, sums, into),
            PixelFormat::Nv12 | PixelFormat::Grey => self.shrunk_as::<1, 0>(window, sums, into),
            PixelFormat::Rgb => self.shrunk_as::<3, 1>(window, sums, into),
        }
    }

    /// The same of pixels of `STEP` bytes, of which the one at `OFFSET` is the luminance.
    fn shrunk_as<const STEP: usize, const OFFSET: usize>(
        &self,
        window: &Window,
        sums: &mut Vec<u16>,
        into: &mut Vec<f32>,
    ) {
        let (scale, black) = match self.format() {
            PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 => (255.0 / 219.0, 16.0),
            PixelFormat::Grey | PixelFormat::Rgb => (1.0, 0.0),
        };
        let side = window.side;
        let every = side.div_ceil(ROWS_MAX);
        let taken = side.div_ceil(every);
        let share = scale / (side * taken) as f32;
        into.clear();
        sums.clear();
        sums.reserve(self.stride());
        sums.resize(window.columns * side * STEP, 0);
        for row in 0..window.rows {
            sums.fill(0);
            for line in (0..side).step_by(every) {
                let y = window.top + row * side + line;
                let start = y * self.stride() + window.left * STEP;
                let inside = y < self.stored_size().1 as usize;
                let end = if inside { start + sums.len() } else { start };
                let bytes = self.pixels().get(start..end).unwrap_or_default();
                for (sum, byte) in sums.iter_mut().zip(bytes) {
                    *sum = sum.wrapping_add(u16::from(*byte));
                }
            }
            into.extend(sums.chunks_exact(side * STEP).map(|square| {
                let pixels = square.as_chunks::<STEP>().0.iter();
                let total: u32 =
                    pixels.filter_map(|pixel| pixel.get(OFFSET)).copied().map(u32::from).sum();
                (total as f32 * share - black * scale).clamp(0.0, 255.0)
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;

    const SIZE: (u32, u32) = (64, 48);

    fn shrunk(format: PixelFormat, pixels: &[u8], window: &Window) -> Vec<f32> {
        let stride = format.min_stride(SIZE.0);
        let frame = Frame::new(pixels, format, SIZE, stride, 0, Monotonic::default()).unwrap();
        let (mut sums, mut into) = (Vec::new(), vec![7.0; 3]);
        frame.shrunk(window, &mut sums, &mut into);
        into
    }

    #[test]
    fn a_window_holds_whole_squares_within_the_frame() {
        let window = Window::within(Rect::new(-3.5, 10.2, 30.0, 100.0), SIZE, 4).unwrap();
        assert_eq!(window, Window { left: 0, top: 11, side: 4, columns: 6, rows: 9 });
        assert_eq!(Window::within(Rect::new(70.0, 0.0, 30.0, 30.0), SIZE, 4), None);
        assert_eq!(Window::within(Rect::new(0.0, 0.0, 3.0, 30.0), SIZE, 4), None);
        assert_eq!(Window::within(Rect::new(0.0, 0.0, 30.0, 30.0), SIZE, 0), None);
        assert_eq!(Window::within(Rect::new(f32::NAN, 0.0, f32::NAN, 9.0), SIZE, 2), None);
    }

    /// Of a column, by its number.
    type Luminance<'a> = &'a dyn Fn(usize) -> f32;

    #[test]
    fn squares_have_their_mean_luminance_in_every_format() {
        let window = Window::within(Rect::new(8.0, 4.0, 40.0, 40.0), SIZE, 8).unwrap();
        // Columns of 8 pixels, each lighter than the one before.
        let lines = |pixel: &dyn Fn(u8) -> Vec<u8>| -> Vec<u8> {
            let row: Vec<u8> = (0..SIZE.0 / 2).flat_map(|x| pixel((x / 4) as u8)).collect();
            row.repeat(SIZE.1 as usize)
        };
        let luma = |column: u8| 30 + 20 * column;
        let planar = [lines(&|c| vec![luma(c); 2]), vec![128; 64 * 24]].concat();
        let limited = |column: usize| (30.0 + 20.0 * column as f32 - 16.0) * 255.0 / 219.0;
        let full = |column: usize| 30.0 + 20.0 * column as f32;
        let cases: [(PixelFormat, Vec<u8>, Luminance<'_>); 5] = [
            (PixelFormat::Grey, lines(&|c| vec![luma(c); 2]), &full),
            (PixelFormat::Rgb, lines(&|c| [9, luma(c), 200].repeat(2)), &full),
            (PixelFormat::Yuyv, lines(&|c| [luma(c), 128].repeat(2)), &limited),
            (PixelFormat::Uyvy, lines(&|c| [128, luma(c)].repeat(2)), &limited),
            (PixelFormat::Nv12, planar, &limited),
        ];
        for (format, pixels, wanted) in cases {
            let found = shrunk(format, &pixels, &window);
            assert_eq!(found.len(), 25, "{format:?}");
            for (index, value) in found.iter().enumerate() {
                let wanted = wanted(1 + index % 5);
                assert!((value - wanted).abs() < 0.1, "{format:?} {index}: {value}, {wanted}");
            }
        }
    }

    #[test]
    fn a_window_of_a_larger_frame_is_black_where_this_one_ends() {
        let window = Window::within(Rect::new(0.0, 0.0, 64.0, 80.0), (64, 80), 16).unwrap();
        let found = shrunk(PixelFormat::Grey, &[200; 64 * 48], &window);
        assert_eq!(found.len(), 20);
        assert!(found.iter().take(12).all(|v| (v - 200.0).abs() < 0.1), "{found:?}");
        assert!(found.iter().skip(12).all(|v| *v == 0.0), "{found:?}");
    }
}
