//! Reads the colour at any point of a frame, in the camera's own format.
//!
//! In: a [`Frame`] and a continuous point. Out: RGB, 0 to 255, interpolated linearly between the
//! four nearest pixel centres; beyond the frame the nearest edge pixel continues. Colour that
//! neighbouring pixels share (4:2:2, 4:2:0) is taken from the nearest sample. The format is chosen
//! once a picture, not once a sample: [`Sampler::fill`] is compiled for each.

use super::{Frame, PixelFormat, colour};
use crate::geometry::{Point, Similarity};

/// Reads pixels of one frame.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    frame: Frame<'a>,
    last: Point,
    /// The last pixel that has a right neighbour, and one below.
    inner: (usize, usize),
}

/// How one format keeps its pixels; sums are in the format's own colour space.
trait Layout {
    fn add(pixels: &[u8], place: &Place, sum: &mut [f32; 3]);
    fn to_rgb(colour: [f32; 3]) -> [f32; 3];
}

/// Where a sample lies, worked out once for all channels.
struct Place {
    left: usize,
    top: usize,
    height: usize,
    stride: usize,
    weights: [f32; 4],
}

impl Place {
    /// The interpolated value of a channel with one sample every `STEP` bytes. Beyond the last row
    /// or column the weight is 0, so what is read there does not matter.
    #[inline]
    fn mix<const STEP: usize>(&self, pixels: &[u8], offset: usize) -> f32 {
        let [a, b, c, d] = self.weights;
        let upper = self.top * self.stride + self.left * STEP + offset;
        let pair = |at: usize| match pixels.get(at..=at + STEP) {
            Some([left, .., right]) => (f32::from(*left), f32::from(*right)),
            _ => (pixels.get(at).copied().map_or(0.0, f32::from), 0.0),
        };
        let (upper, lower) = (pair(upper), pair(upper + self.stride));
        a * upper.0 + b * upper.1 + c * lower.0 + d * lower.1
    }
}

fn byte(pixels: &[u8], index: usize) -> f32 {
    pixels.get(index).copied().map_or(0.0, f32::from)
}

struct Rgb;
struct Grey;
struct Yuyv;
struct Uyvy;
struct Nv12;

impl Layout for Rgb {
    #[inline]
    fn add(pixels: &[u8], place: &Place, sum: &mut [f32; 3]) {
        for (channel, sum) in sum.iter_mut().enumerate() {
            *sum += place.mix::<3>(pixels, channel);
        }
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour
    }
}

impl Layout for Grey {
    #[inline]
    fn add(pixels: &[u8], place: &Place, sum: &mut [f32; 3]) {
        sum[0] += place.mix::<1>(pixels, 0);
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        [colour[0]; 3]
    }
}

impl Layout for Yuyv {
    #[inline]
    fn add(pixels: &[u8], place: &Place, sum: &mut [f32; 3]) {
        let shared = place.top * place.stride + (place.left / 2) * 4;
        sum[0] += place.mix::<2>(pixels, 0);
        if let Some([_, cb, _, cr]) = pixels.get(shared..shared + 4) {
            sum[1] += f32::from(*cb);
            sum[2] += f32::from(*cr);
        }
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour::bt601_to_rgb(colour)
    }
}

impl Layout for Uyvy {
    #[inline]
    fn add(pixels: &[u8], place: &Place, sum: &mut [f32; 3]) {
        let shared = place.top * place.stride + (place.left / 2) * 4;
        sum[0] += place.mix::<2>(pixels, 1);
        if let Some([cb, _, cr, _]) = pixels.get(shared..shared + 4) {
            sum[1] += f32::from(*cb);
            sum[2] += f32::from(*cr);
        }
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour::bt601_to_rgb(colour)
    }
}

impl Layout for Nv12 {
    #[inline]
    fn add(pixels: &[u8], place: &Place, sum: &mut [f32; 3]) {
        let plane = place.stride * place.height;
        let shared = plane + (place.top / 2) * place.stride + (place.left / 2) * 2;
        sum[0] += place.mix::<1>(pixels, 0);
        sum[1] += byte(pixels, shared);
        sum[2] += byte(pixels, shared + 1);
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour::bt601_to_rgb(colour)
    }
}

impl<'a> Sampler<'a> {
    /// A reader of `frame`.
    #[must_use]
    pub fn new(frame: Frame<'a>) -> Self {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        Self {
            last: Point::new((width - 1) as f32, (height - 1) as f32),
            inner: (width.saturating_sub(2), height.saturating_sub(2)),
            frame,
        }
    }

    /// Fills `pixels`, rows of `width`, with what `pose` shows of the frame: the centre of pixel
    /// `(x, y)` is taken from `pose(x + 0.5, y + 0.5)`, each pixel the mean of `samples × samples`
    /// points spread evenly over it.
    pub fn fill(&self, pixels: &mut [[u8; 3]], width: usize, pose: Similarity, samples: usize) {
        match self.frame.format() {
            PixelFormat::Rgb => self.fill_as::<Rgb>(pixels, width, pose, samples),
            PixelFormat::Grey => self.fill_as::<Grey>(pixels, width, pose, samples),
            PixelFormat::Yuyv => self.fill_as::<Yuyv>(pixels, width, pose, samples),
            PixelFormat::Uyvy => self.fill_as::<Uyvy>(pixels, width, pose, samples),
            PixelFormat::Nv12 => self.fill_as::<Nv12>(pixels, width, pose, samples),
        }
    }

    fn fill_as<L: Layout>(
        &self,
        pixels: &mut [[u8; 3]],
        width: usize,
        pose: Similarity,
        samples: usize,
    ) {
        let bytes = self.frame.pixels();
        let step = 1.0 / samples.max(1) as f32;
        let mean = step * step;
        for (y, row) in pixels.chunks_exact_mut(width.max(1)).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let mut sum = [0.0; 3];
                for down in 0..samples {
                    for across in 0..samples {
                        let point = pose.apply(Point::new(
                            (across as f32 + 0.5) * step + x as f32,
                            (down as f32 + 0.5) * step + y as f32,
                        ));
                        L::add(bytes, &self.place(point), &mut sum);
                    }
                }
                *pixel = L::to_rgb(sum.map(|v| v * mean)).map(|v| (v + 0.5) as u8);
            }
        }
    }

    #[inline]
    fn place(&self, point: Point) -> Place {
        // In this order a NaN becomes 0.
        let x = (point.x - 0.5).max(0.0).min(self.last.x);
        let y = (point.y - 0.5).max(0.0).min(self.last.y);
        let (left, top) = ((x as usize).min(self.inner.0), (y as usize).min(self.inner.1));
        let (fx, fy) = (x - left as f32, y - top as f32);
        Place {
            left,
            top,
            height: self.frame.height() as usize,
            stride: self.frame.stride(),
            weights: [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;

    /// The colour that a one-pixel crop at `(x, y)` shows.
    fn read(frame: Frame<'_>, x: f32, y: f32) -> [u8; 3] {
        let mut pixel = [[0; 3]];
        let pose = Similarity { a: 1.0, b: 0.0, tx: x - 0.5, ty: y - 0.5 };
        Sampler::new(frame).fill(&mut pixel, 1, pose, 1);
        pixel[0]
    }

    #[test]
    fn centres_are_exact_and_between_is_between() {
        let pixels = [10, 20, 30, 40];
        let frame =
            Frame::new(&pixels, PixelFormat::Grey, (2, 2), 2, 0, Monotonic::default()).unwrap();
        assert_eq!(read(frame, 0.5, 0.5), [10; 3]);
        assert_eq!(read(frame, 1.5, 1.5), [40; 3]);
        assert_eq!(read(frame, 1.0, 1.0), [25; 3]);
        assert_eq!(read(frame, -9.0, 0.5), [10; 3], "the edge continues");
        assert_eq!(read(frame, 9.0, 9.0), [40; 3], "the edge continues");
        assert_eq!(read(frame, f32::NAN, 0.5), [10; 3], "no point is out of bounds");
    }

    #[test]
    fn a_single_pixel_is_a_picture() {
        let frame =
            Frame::new(&[77], PixelFormat::Grey, (1, 1), 1, 0, Monotonic::default()).unwrap();
        assert_eq!(read(frame, 0.2, 0.9), [77; 3]);
    }

    #[test]
    fn colour_is_the_nearest_sample_in_every_layout() {
        // BT.601 limited range: Y 81, Cb 90, Cr 240 is saturated red.
        let yuyv = [81, 90, 81, 240].repeat(4);
        let uyvy = [90, 81, 240, 81].repeat(4);
        let nv12 = [[81; 8].to_vec(), [90, 240].repeat(2)].concat();
        for (format, stride, bytes) in [
            (PixelFormat::Yuyv, 8, yuyv),
            (PixelFormat::Uyvy, 8, uyvy),
            (PixelFormat::Nv12, 4, nv12),
        ] {
            let frame =
                Frame::new(&bytes, format, (4, 2), stride, 0, Monotonic::default()).unwrap();
            for (x, y) in [(0.5, 0.5), (1.3, 0.9), (3.9, 1.9)] {
                let [r, g, b] = read(frame, x, y);
                assert!(r > 252 && g < 3 && b < 3, "{format:?} at {x}, {y}: {r} {g} {b}");
            }
        }
    }
}
