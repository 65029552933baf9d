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

/// One number for each pixel that is worked on.
type Lanes = [f32; LANES];

/// How one format keeps its pixels; sums are in the format's own colour space.
trait Layout {
    /// The bytes around the place at `left`, `top`.
    fn read(frame: &Frame<'_>, left: usize, top: usize) -> Bytes;
    /// Adds to `sums` what was read around each of `places`.
    fn add(words: &Words, places: &Places, sums: &mut [Lanes; 3]);
    fn to_rgb(colour: [f32; 3]) -> [f32; 3];
}

/// Bytes that lie together, the first one lowest; what each is of is the layout's.
type Bytes = [u32; 4];

/// The same of each lane.
type Words = [[u32; LANES]; 4];

/// Where samples lie, worked out once for all channels: the nearest pixel centre above and to the
/// left of each, and how far it is from there to the next ones, 0 to 1.
#[derive(Default)]
struct Places {
    left: [u32; LANES],
    top: [u32; LANES],
    right: Lanes,
    down: Lanes,
}

/// Two or four bytes at `at`; those that lie beyond the frame are 0. Beyond the last row or column
/// the weight is 0, so what is read there does not matter.
#[inline]
fn bytes<const COUNT: usize>(pixels: &[u8], at: usize) -> u32 {
    match pixels.get(at..at.wrapping_add(COUNT)) {
        Some(found) => word(found),
        None => last_bytes(pixels, at),
    }
}

#[inline]
fn word(bytes: &[u8]) -> u32 {
    let mut four = [0; 4];
    four.iter_mut().zip(bytes).for_each(|(four, byte)| *four = *byte);
    u32::from_le_bytes(four)
}

#[cold]
#[inline(never)]
fn last_bytes(pixels: &[u8], at: usize) -> u32 {
    word(pixels.get(at..).unwrap_or_default())
}

/// Byte `index` of a word as a number.
#[inline]
fn byte(word: u32, index: u32) -> f32 {
    (word >> (8 * index) & 0xFF).cast_signed() as f32
}

/// Adds a channel's interpolated values: each corner is a byte of a word.
#[inline]
fn add_mixed(
    [left_word, right_word]: [u32; 2],
    upper: [&[u32; LANES]; 2],
    lower: [&[u32; LANES]; 2],
    places: &Places,
    sums: &mut Lanes,
) {
    let [[upper_left, upper_right], [lower_left, lower_right]] = [upper, lower];
    let corners = upper_left.iter().zip(upper_right).zip(lower_left.iter().zip(lower_right));
    let weights = places.right.iter().zip(&places.down);
    for ((sum, ((ul, ur), (ll, lr))), (right, down)) in sums.iter_mut().zip(corners).zip(weights) {
        let across = |left: f32, next: f32| left + (next - left) * right;
        let upper = across(byte(*ul, left_word), byte(*ur, right_word));
        let lower = across(byte(*ll, left_word), byte(*lr, right_word));
        *sum += upper + (lower - upper) * down;
    }
}

/// Adds byte `index` of each word.
#[inline]
fn add_byte(index: u32, words: &[u32; LANES], sums: &mut Lanes) {
    for (sum, word) in sums.iter_mut().zip(words) {
        *sum += byte(*word, index);
    }
}

struct Rgb;
struct Grey;
struct Yuyv;
struct Uyvy;
struct Nv12;

impl Layout for Rgb {
    #[inline]
    fn read(frame: &Frame<'_>, left: usize, top: usize) -> Bytes {
        let (pixels, stride) = (frame.pixels(), frame.stride());
        let at = top * stride + left * 3;
        // `R G B R` and `B R G B` of two pixels.
        [at, at + 2, at + stride, at + stride + 2].map(|at| bytes::<4>(pixels, at))
    }

    #[inline]
    fn add([ul, ur, ll, lr]: &Words, places: &Places, sums: &mut [Lanes; 3]) {
        for (channel, sums) in (0..).zip(sums) {
            add_mixed([channel, channel + 1], [ul, ur], [ll, lr], places, sums);
        }
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour
    }
}

impl Layout for Grey {
    #[inline]
    fn read(frame: &Frame<'_>, left: usize, top: usize) -> Bytes {
        let at = top * frame.stride() + left;
        [bytes::<2>(frame.pixels(), at), bytes::<2>(frame.pixels(), at + frame.stride()), 0, 0]
    }

    #[inline]
    fn add([upper, lower, ..]: &Words, places: &Places, [sums, ..]: &mut [Lanes; 3]) {
        add_mixed([0, 1], [upper; 2], [lower; 2], places, sums);
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        [colour[0]; 3]
    }
}

/// The two rows at a place of a packed frame, and the group of pixels that share its colour.
#[inline]
fn packed(frame: &Frame<'_>, left: usize, top: usize) -> Bytes {
    let (pixels, stride) = (frame.pixels(), frame.stride());
    let row = top * stride;
    let at = row + left * 2;
    let [upper, lower, shared] =
        [at, at + stride, row + left / 2 * 4].map(|at| bytes::<4>(pixels, at));
    [upper, lower, shared, 0]
}

impl Layout for Yuyv {
    #[inline]
    fn read(frame: &Frame<'_>, left: usize, top: usize) -> Bytes {
        packed(frame, left, top)
    }

    #[inline]
    fn add([upper, lower, shared, _]: &Words, places: &Places, [y, cb, cr]: &mut [Lanes; 3]) {
        add_mixed([0, 2], [upper; 2], [lower; 2], places, y);
        add_byte(1, shared, cb);
        add_byte(3, shared, cr);
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour::bt601_to_rgb(colour)
    }
}

impl Layout for Uyvy {
    #[inline]
    fn read(frame: &Frame<'_>, left: usize, top: usize) -> Bytes {
        packed(frame, left, top)
    }

    #[inline]
    fn add([upper, lower, shared, _]: &Words, places: &Places, [y, cb, cr]: &mut [Lanes; 3]) {
        add_mixed([1, 3], [upper; 2], [lower; 2], places, y);
        add_byte(0, shared, cb);
        add_byte(2, shared, cr);
    }

    fn to_rgb(colour: [f32; 3]) -> [f32; 3] {
        colour::bt601_to_rgb(colour)
    }
}

impl Layout for Nv12 {
    #[inline]
    fn read(frame: &Frame<'_>, left: usize, top: usize) -> Bytes {
        let (pixels, stride) = (frame.pixels(), frame.stride());
        let at = top * stride + left;
        let shared = (frame.height as usize + top / 2) * stride + left / 2 * 2;
        let [upper, lower, shared] = [at, at + stride, shared].map(|at| bytes::<2>(pixels, at));
        [upper, lower, shared, 0]
    }

    #[inline]
    fn add([upper, lower, shared, _]: &Words, places: &Places, [y, cb, cr]: &mut [Lanes; 3]) {
        add_mixed([0, 1], [upper; 2], [lower; 2], places, y);
        add_byte(0, shared, cb);
        add_byte(1, shared, cr);
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
                let mut sums = [[0.0; LANES]; 3];
                for down in 0..samples {
                    for across in 0..samples {
                        let first = Point::new(
                            (across as f32 + 0.5) * step + (chunk * LANES) as f32,
                            (down as f32 + 0.5) * step + y as f32,
                        );
                        let places = self.places(pose, first);
                        L::add(&self.words::<L>(&places), &places, &mut sums);
                    }
                }
                let [first, second, third] = sums;
                let mut colours = [[0; LANES]; 3];
                let [red, green, blue] = &mut colours;
                let each = first.iter().zip(&second).zip(&third);
                let into = red.iter_mut().zip(green).zip(blue);
                for (((r, g), b), ((first, second), third)) in into.zip(each) {
                    let rgb = L::to_rgb([*first, *second, *third].map(|v| v * mean));
                    [*r, *g, *b] = rgb.map(colour::rounded);
                }
                let [red, green, blue] = &colours;
                let colours = red.iter().zip(green).zip(blue);
                for (pixel, ((r, g), b)) in pixels.iter_mut().zip(colours) {
                    *pixel = [*r, *g, *b].map(|value| value as u8);
                }
            }
        }
    }

    /// Where the samples at `first` and at the [`LANES`] − 1 pixels to the right of it lie.
    #[inline]
    fn places(&self, pose: Affine, first: Point) -> Places {
        let mut places = Places::default();
        let Places { left, top, right, down } = &mut places;
        let lanes = left.iter_mut().zip(right).zip(top.iter_mut().zip(down));
        for (lane, ((left, right), (top, down))) in (0_i16..).zip(lanes) {
            let point = pose.apply(Point::new(first.x + f32::from(lane), first.y));
            // In this order a NaN becomes 0.
            let x = (point.x - 0.5).max(0.0).min(self.last.x);
            let y = (point.y - 0.5).max(0.0).min(self.last.y);
            (*left, *right) = split(x, self.inner.x);
            (*top, *down) = split(y, self.inner.y);
        }
        places
    }

    /// What lies around each of `places`.
    #[inline]
    fn words<L: Layout>(&self, places: &Places) -> Words {
        let mut words = Words::default();
        let [first, second, third, fourth] = &mut words;
        let into = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
        for (((a, b), (c, d)), (left, top)) in into.zip(places.left.iter().zip(&places.top)) {
            [*a, *b, *c, *d] = L::read(&self.frame, *left as usize, *top as usize);
        }
        words
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
