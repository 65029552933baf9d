//! Reads the colour at any point of a frame, in the camera's own format.
//!
//! In: a [`Frame`] and a continuous point. Out: RGB, 0 to 255, interpolated linearly between the
//! four nearest pixel centres; beyond the frame the nearest edge pixel continues. Colour that
//! neighbouring pixels share (4:2:2, 4:2:0) is taken from the nearest sample. The format is chosen
//! once a picture, not once a sample: [`Sampler::fill`] is compiled for each. Where samples lie is
//! worked out for [`LANES`] pixels at once, in a form that compilers vectorise. How the frame is
//! looked at is part of one affine map, so that a turned or mirrored one costs what another does.

use super::{Frame, PixelFormat, colour};
use crate::geometry::{Affine, Point, Similarity};

/// Neighbouring pixels of the picture whose samples are placed at once.
const LANES: usize = 8;

/// Reads pixels of one frame.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    frame: Frame<'a>,
    /// The centre of the last pixel, counted from the first one's.
    last: Point,
    /// The same of the last pixel that has a right neighbour, and one below.
    inner: Point,
}

/// How one format keeps its pixels; sums are in the format's own colour space.
trait Layout {
    fn add(frame: &Frame<'_>, place: &Place, sum: &mut [f32; 3]);
    fn to_rgb(colour: [f32; 3]) -> [f32; 3];
}

/// Where a sample lies, worked out once for all channels: the nearest pixel centre above and to the
/// left of it, and how far it is from there to the next ones, 0 to 1.
#[derive(Clone, Copy, Default)]
struct Place {
    left: u32,
    top: u32,
    right: f32,
    down: f32,
}

impl Place {
    /// The interpolated value of a channel with one sample every `STEP` bytes. Beyond the last row
    /// or column the weight is 0, so what is read there does not matter.
    #[inline]
    fn mix<const STEP: usize>(&self, frame: &Frame<'_>, offset: usize) -> f32 {
        let (pixels, stride) = (frame.pixels(), frame.stride());
        let across = |at: usize| {
            let (left, right) = match pixels.get(at..).and_then(|row| row.get(..=STEP)) {
                Some([left, .., right]) => (*left, *right),
                _ => (pixels.get(at).copied().unwrap_or(0), 0),
            };
            f32::from(left) + (f32::from(right) - f32::from(left)) * self.right
        };
        let at = self.top as usize * stride + self.left as usize * STEP + offset;
        let (upper, lower) = (across(at), across(at + stride));
        upper + (lower - upper) * self.down
    }
}

struct Rgb;
struct Grey;
struct Yuyv;
struct Uyvy;
struct Nv12;

impl Layout for Rgb {
    #[inline]
    fn add(frame: &Frame<'_>, place: &Place, sum: &mut [f32; 3]) {
        for (channel, sum) in sum.iter_mut().enumerate() {
            *sum += place.mix::<3>(frame, channel);
        }
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour
    }
}

impl Layout for Grey {
    #[inline]
    fn add(frame: &Frame<'_>, place: &Place, sum: &mut [f32; 3]) {
        sum[0] += place.mix::<1>(frame, 0);
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        [colour[0]; 3]
    }
}

impl Layout for Yuyv {
    #[inline]
    fn add(frame: &Frame<'_>, place: &Place, sum: &mut [f32; 3]) {
        let shared = place.top as usize * frame.stride() + (place.left / 2) as usize * 4;
        sum[0] += place.mix::<2>(frame, 0);
        if let Some([_, cb, _, cr]) =
            frame.pixels().get(shared..).and_then(|p| p.first_chunk::<4>())
        {
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
    fn add(frame: &Frame<'_>, place: &Place, sum: &mut [f32; 3]) {
        let shared = place.top as usize * frame.stride() + (place.left / 2) as usize * 4;
        sum[0] += place.mix::<2>(frame, 1);
        if let Some([cb, _, cr, _]) =
            frame.pixels().get(shared..).and_then(|p| p.first_chunk::<4>())
        {
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
    fn add(frame: &Frame<'_>, place: &Place, sum: &mut [f32; 3]) {
        let row = frame.height as usize + (place.top / 2) as usize;
        let shared = row * frame.stride() + (place.left / 2) as usize * 2;
        sum[0] += place.mix::<1>(frame, 0);
        if let Some([cb, cr]) = frame.pixels().get(shared..).and_then(|p| p.first_chunk::<2>()) {
            sum[1] += f32::from(*cb);
            sum[2] += f32::from(*cr);
        }
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour::bt601_to_rgb(colour)
    }
}

impl<'a> Sampler<'a> {
    /// A reader of `frame`.
    #[must_use]
    pub fn new(frame: Frame<'a>) -> Self {
        let (width, height) = (frame.width as f32, frame.height as f32);
        Self {
            last: Point::new(width - 1.0, height - 1.0),
            inner: Point::new((width - 2.0).max(0.0), (height - 2.0).max(0.0)),
            frame,
        }
    }

    /// Fills `pixels`, rows of `width`, with what `pose` shows of the frame: the centre of pixel
    /// `(x, y)` is taken from `pose(x + 0.5, y + 0.5)`, each pixel the mean of `samples × samples`
    /// points spread evenly over it.
    pub fn fill(&self, pixels: &mut [[u8; 3]], width: usize, pose: Similarity, samples: usize) {
        let Frame { view, width: across, height: down, .. } = self.frame;
        let pose = view.to_stored((across as f32, down as f32)).after(pose.into());
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
        pose: Affine,
        samples: usize,
    ) {
        let step = 1.0 / samples.max(1) as f32;
        let mean = step * step;
        for (y, row) in pixels.chunks_exact_mut(width.max(1)).enumerate() {
            for (chunk, pixels) in row.chunks_mut(LANES).enumerate() {
                let mut sums = [[0.0; 3]; LANES];
                for down in 0..samples {
                    for across in 0..samples {
                        let places = self.places(
                            pose,
                            Point::new(
                                (across as f32 + 0.5) * step + (chunk * LANES) as f32,
                                (down as f32 + 0.5) * step + y as f32,
                            ),
                        );
                        for (sum, place) in sums.iter_mut().zip(&places).take(pixels.len()) {
                            L::add(&self.frame, place, sum);
                        }
                    }
                }
                for (pixel, sum) in pixels.iter_mut().zip(sums) {
                    *pixel = L::to_rgb(sum.map(|v| v * mean)).map(|v| (v + 0.5) as u8);
                }
            }
        }
    }

    /// Where the samples at `first` and at the [`LANES`] − 1 pixels to the right of it lie.
    #[inline]
    fn places(&self, pose: Affine, first: Point) -> [Place; LANES] {
        let mut places = [Place::default(); LANES];
        for (lane, place) in places.iter_mut().enumerate() {
            let point = pose.apply(Point::new(first.x + lane as f32, first.y));
            // In this order a NaN becomes 0.
            let x = (point.x - 0.5).max(0.0).min(self.last.x);
            let y = (point.y - 0.5).max(0.0).min(self.last.y);
            (place.left, place.right) = split(x, self.inner.x);
            (place.top, place.down) = split(y, self.inner.y);
        }
        places
    }
}

/// The pixel before `position`, at most `last`, and how far it is from there, 0 to 1.
///
/// Adding 2²³ rounds to a whole number and leaves it in the lowest bits, for many positions at once;
/// a cast, which looks for numbers out of range, takes them one by one. Ties go to the even pixel:
/// an odd one that is hit exactly is the even one before it at distance 1, which has the same value
/// and shares its colour.
#[inline]
fn split(position: f32, last: f32) -> (u32, f32) {
    const WHOLE: f32 = 8_388_608.0;
    let rounded = (position - 0.5).max(0.0).min(last) + WHOLE;
    (rounded.to_bits() - WHOLE.to_bits(), position - (rounded - WHOLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::geometry::{Turn, View};
    use proptest::prelude::*;

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
    fn a_view_reads_where_the_pixel_is_stored_in_every_layout() {
        // Luma rises along the stored rows; the left half is red, the right half is blue.
        let luma = |x: usize, y: usize| 60 + 20 * x as u8 + 5 * y as u8;
        let chroma = |x: usize| if x < 2 { [90, 240] } else { [240, 110] };
        let packed = |luma_first: bool| -> Vec<u8> {
            let pair = |x: usize, y: usize| {
                let ([cb, cr], first, second) = (chroma(x), luma(x, y), luma(x + 1, y));
                if luma_first { [first, cb, second, cr] } else { [cb, first, cr, second] }
            };
            (0..2).flat_map(|y| [0, 2].map(|x| pair(x, y))).flatten().collect()
        };
        let plane = (0..2).flat_map(|y| (0..4).map(move |x| luma(x, y)));
        let nv12: Vec<u8> = plane.chain([0, 2].into_iter().flat_map(chroma)).collect();
        for (format, stride, bytes) in [
            (PixelFormat::Yuyv, 8, packed(true)),
            (PixelFormat::Uyvy, 8, packed(false)),
            (PixelFormat::Nv12, 4, nv12),
        ] {
            let frame =
                Frame::new(&bytes, format, (4, 2), stride, 0, Monotonic::default()).unwrap();
            for (turn, mirrored) in
                Turn::ALL.map(|turn| [(turn, false), (turn, true)]).as_flattened()
            {
                let view = View { turn: *turn, mirrored: *mirrored };
                let seen = frame.seen_by(view);
                for y in 0..seen.height() {
                    for x in 0..seen.width() {
                        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
                        let stored = view.to_stored((4.0, 2.0)).apply(Point::new(x, y));
                        let wanted = read(frame, stored.x, stored.y);
                        assert_eq!(read(seen, x, y), wanted, "{format:?} {view:?} at {x}, {y}");
                    }
                }
            }
        }
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

    proptest! {
        #[test]
        fn every_pixel_is_interpolated_between_its_neighbours(
            a in -2.0f32..2.0, b in -2.0f32..2.0, tx in -20.0f32..30.0, ty in -20.0f32..30.0,
        ) {
            let (width, height) = (20_usize, 11_usize);
            let bytes: Vec<u8> = (0..width * height).map(|i| (i * 37 % 251) as u8).collect();
            let size = (width as u32, height as u32);
            let frame =
                Frame::new(&bytes, PixelFormat::Grey, size, width, 0, Monotonic::default()).unwrap();
            let pose = Similarity { a, b, tx, ty };
            // Neither side is a multiple of what is worked on at once.
            let mut pixels = [[0; 3]; 19 * 3];
            Sampler::new(frame).fill(&mut pixels, 19, pose, 1);
            for (index, pixel) in pixels.iter().enumerate() {
                let centre = Point::new((index % 19) as f32 + 0.5, (index / 19) as f32 + 0.5);
                let point = pose.apply(centre);
                let x = (point.x - 0.5).clamp(0.0, width as f32 - 1.0);
                let y = (point.y - 0.5).clamp(0.0, height as f32 - 1.0);
                let at = |x: f32, y: f32| f32::from(bytes[y as usize * width + x as usize]);
                let row = |y: f32| at(x.floor(), y) * (1.0 - x.fract()) + at(x.ceil(), y) * x.fract();
                let wanted = row(y.floor()) * (1.0 - y.fract()) + row(y.ceil()) * y.fract();
                prop_assert!((f32::from(pixel[0]) - wanted).abs() < 0.6, "{pixel:?} at {point:?}: {wanted}");
            }
        }
    }
}
