//! A camera's JPEG picture as NV12: a plane of luminance, and one of colour at half its size.
//!
//! In: what a [`Walker`](super::Walker) reads; so a picture is read once, and not a second time by a
//! library that makes pixels of it. Out: bytes in BT.601 limited range, as other cameras give them.
//! Colour that a picture has at a larger size is reduced by the transform itself: of an 8 × 8 block
//! 8 × 4 or 4 × 4 samples are made of its first coefficients, as libjpeg does it.
//!
//! Most coefficients are zero. So each that is not adds its own row of eight samples to those of the
//! block's rows that were met, and at the end of the block these make up the columns; what is done to
//! a row is done to a vector of numbers, and the range and the steps are in its weights.
//!
//! Invariants: nothing is allocated after the largest picture was seen once; all samples of a picture
//! that was walked to its end were written.
//! Source: ITU-T T.81, annex A; JFIF for the colours; ITU-R BT.601-7 for the range.
//! Deliberately absent: progressive pictures, other colours than `YCbCr`, odd sides: a library draws
//! those. Smoothing between colour samples; whoever reads NV12 takes the nearest.

use super::{JpegFault, Layout, Outline, Sink, ZIGZAG};

/// Samples of a row of a block.
type Row = [f32; 8];

/// What a coefficient of 1 adds to each of `n` samples; `[coefficient][sample]`.
type Basis = [Row; 8];

/// A picture that is being drawn; the memory is kept from picture to picture.
pub(in crate::capture) struct Planes {
    pixels: Vec<u8>,
    suits: bool,
    stride: usize,
    height: usize,
    components: [Drawn; 3],
    /// Blue and red, each a plane of its own until the picture is complete.
    colours: [Vec<u8>; 2],
    block: Block,
    /// Of transforms to eight samples, and to four.
    bases: [Basis; 2],
}

/// How blocks of one component become samples.
#[derive(Clone, Copy)]
struct Drawn {
    /// What a step of a block's average adds to each sample, in the range of the output.
    average: f32,
    /// What a step of each other coefficient adds to the samples of its row.
    weights: [Row; 64],
    /// A bit for each coefficient that counts.
    kept: u64,
    /// What is added to each sample.
    middle: f32,
    /// Samples across and down.
    wide: usize,
    high: usize,
    /// Bytes from one row of its plane to the next, and how many rows are kept.
    stride: usize,
    rows: usize,
}

/// One block while its coefficients come.
struct Block {
    average: f32,
    /// By row of the other coefficients: its samples across.
    rows: [Row; 8],
    /// A bit for each row that holds something; the others are zero.
    held: u8,
}

impl Default for Planes {
    fn default() -> Self {
        const NONE: Drawn = Drawn {
            average: 0.0,
            weights: [[0.0; 8]; 64],
            kept: 0,
            middle: 0.0,
            wide: 8,
            high: 8,
            stride: 0,
            rows: 0,
        };
        Self {
            pixels: Vec::new(),
            suits: false,
            stride: 0,
            height: 0,
            components: [NONE; 3],
            colours: [Vec::new(), Vec::new()],
            block: Block::EMPTY,
            bases: [basis(8), basis(4)],
        }
    }
}

impl Planes {
    /// Completes the picture that was walked; `false` where it is of a kind that is not drawn here.
    pub(in crate::capture) fn complete(&mut self, outline: &Outline) -> bool {
        if !self.suits || !matches!(outline.adobe, None | Some(1)) {
            return false;
        }
        let [blue, red] = &self.colours;
        let shared = self.pixels.get_mut(self.stride * self.height..).unwrap_or_default();
        let pairs = shared.as_chunks_mut().0.iter_mut();
        pairs.zip(blue.iter().zip(red)).for_each(|(pair, (blue, red))| *pair = [*blue, *red]);
        true
    }

    /// The picture that was completed: NV12, and the bytes from one row to the next.
    pub(in crate::capture) fn picture(&self) -> (&[u8], usize) {
        (&self.pixels, self.stride)
    }

    /// Whether a picture is of a kind that is drawn here.
    fn suits(layout: &Layout) -> bool {
        let [y, cb, cr] = layout.components() else { return false };
        let most = (layout.most_across, layout.most_down);
        let named_rgb = [y.id, cb.id, cr.id] == *b"RGB";
        !layout.progressive
            && !named_rgb
            && layout.width.is_multiple_of(2)
            && layout.height.is_multiple_of(2)
            && (y.across, y.down) == most
            && [cb, cr].iter().all(|colour| {
                (most.0 == colour.across || most.0 == 2 * colour.across)
                    && (most.1 == colour.down || most.1 == 2 * colour.down)
            })
    }
}

/// Weights of `n` samples for coefficients that were made of eight: an orthonormal transform of `n`
/// points, of a block that is as bright as the one of eight.
fn basis(n: usize) -> Basis {
    let mut basis = [[0.0; 8]; 8];
    for (u, weights) in basis.iter_mut().take(n).enumerate() {
        for (x, weight) in weights.iter_mut().take(n).enumerate() {
            let angle = (2 * x + 1) as f32 * u as f32 * std::f32::consts::PI / (2 * n) as f32;
            *weight = (if u == 0 { 1.0_f32 } else { 2.0 } / 8.0).sqrt() * angle.cos();
        }
    }
    basis
}

impl Sink for Planes {
    fn begin(&mut self, layout: &Layout) -> Result<(), JpegFault> {
        self.suits = Self::suits(layout);
        self.block = Block::EMPTY;
        if !self.suits {
            return Ok(());
        }
        self.stride = (layout.units_wide * layout.most_across) as usize * 8;
        self.height = layout.height as usize;
        self.pixels.resize(self.stride * self.height / 2 * 3, 0);
        let (half_stride, half_height) = (self.stride / 2, self.height / 2);
        for plane in &mut self.colours {
            plane.resize(half_stride * half_height, 0);
        }
        for (drawn, component) in self.components.iter_mut().zip(layout.components()) {
            // Colour has half as many samples as luminance.
            let samples = |most: u32, own: u32| (4 * most / own.max(1)) as usize;
            *drawn = Drawn {
                middle: 128.0,
                wide: samples(layout.most_across, component.across),
                high: samples(layout.most_down, component.down),
                stride: half_stride,
                rows: half_height,
                ..*drawn
            };
        }
        // Of 255 levels luminance takes 219 from 16 on, and colour 224 around 128.
        let [luma, ..] = &mut self.components;
        *luma = Drawn {
            middle: 16.0 + 128.0 * (219.0 / 255.0),
            wide: 8,
            high: 8,
            stride: self.stride,
            rows: self.height,
            ..*luma
        };
        Ok(())
    }

    fn scan(&mut self, layout: &Layout) {
        let [eight, four] = &self.bases;
        let each = self.components.iter_mut().zip(layout.components());
        for (index, (drawn, component)) in each.enumerate() {
            let range = if index == 0 { 219.0 / 255.0 } else { 224.0 / 255.0 };
            let basis = if drawn.wide == 8 { eight } else { four };
            let places = ZIGZAG.iter().zip(&component.steps).zip(&mut drawn.weights);
            let [step, ..] = component.steps;
            // Of an orthonormal transform of 8 × 8 the first coefficient is eight times the mean.
            drawn.average = f32::from(step) * range / 8.0;
            drawn.kept = 0;
            for (k, (((column, row), step), weights)) in places.enumerate() {
                let own = basis.get(usize::from(*column)).copied().unwrap_or_default();
                *weights = own.map(|weight| weight * f32::from(*step) * range);
                let counts = usize::from(*column) < drawn.wide && usize::from(*row) < drawn.high;
                drawn.kept |= u64::from(counts) << k;
            }
        }
    }

    #[expect(clippy::inline_always, reason = "measured: calls are 7 % of the walk")]
    #[inline(always)]
    fn set(&mut self, component: usize, _block: usize, k: u32, value: i32) {
        let Some(drawn) = self.components.get(component) else { return };
        if k == 0 {
            self.block.average = value as f32 * drawn.average;
            return;
        }
        if drawn.kept >> (k & 63) & 1 == 0 {
            return;
        }
        // Masked, so that compilers see that nothing lies outside.
        let row = ZIGZAG.get(k as usize & 63).map_or(0, |(_, row)| usize::from(row & 7));
        let (Some(weights), Some(sums)) =
            (drawn.weights.get(k as usize & 63), self.block.rows.get_mut(row))
        else {
            return;
        };
        let value = value as f32;
        self.block.held |= 1 << row;
        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * value);
    }

    #[inline]
    fn block(&mut self, component: usize, (x, y): (u32, u32)) {
        let Some(drawn) = self.components.get(component).filter(|_| self.suits) else { return };
        let ([eight, four], [blue, red]) = (&self.bases, &mut self.colours);
        let plane = match component {
            0 => &mut self.pixels,
            1 => blue,
            _ => red,
        };
        let top = y as usize * drawn.high;
        let at = top * drawn.stride + x as usize * drawn.wide;
        let rows = drawn.high.min(drawn.rows.saturating_sub(top));
        let middle = drawn.middle + self.block.average;
        let basis = if drawn.high == 8 { eight } else { four };
        let mut samples = [[0; 8]; 8];
        match (self.block.held, drawn.high) {
            (0, _) => {
                let row = [rounded(middle) as u8; 8];
                put(plane, at, drawn, std::iter::repeat_n(&row, rows));
            }
            (1, _) => {
                let row = self.block.only_row(middle, basis);
                put(plane, at, drawn, std::iter::repeat_n(&row, rows));
            }
            (_, 8) => {
                self.block.draw::<4>(middle, basis, &mut samples);
                put(plane, at, drawn, samples.iter().take(rows));
            }
            _ => {
                self.block.draw::<2>(middle, basis, &mut samples);
                put(plane, at, drawn, samples.iter().take(rows));
            }
        }
    }
}

/// Puts rows of samples where they belong, the first one at `at`.
#[inline]
fn put<'a>(
    plane: &mut [u8],
    mut at: usize,
    drawn: &Drawn,
    rows: impl Iterator<Item = &'a [u8; 8]>,
) {
    if drawn.wide == 8 {
        for row in rows {
            if let Some(into) = plane.get_mut(at..at.wrapping_add(8)) {
                into.copy_from_slice(row);
            }
            at += drawn.stride;
        }
        return;
    }
    for [a, b, c, d, ..] in rows {
        if let Some(into) = plane.get_mut(at..at.wrapping_add(4)) {
            into.copy_from_slice(&[*a, *b, *c, *d]);
        }
        at += drawn.stride;
    }
}

impl Block {
    const EMPTY: Self = Self { average: 0.0, rows: [[0.0; 8]; 8], held: 0 };

    /// The row that is like all others of a block that has no more than its first row of coefficients,
    /// around `middle`; then the block is empty.
    #[inline]
    fn only_row(&mut self, middle: f32, [[weight, ..], ..]: &Basis) -> [u8; 8] {
        let ([row, ..], mut wholes) = (&mut self.rows, [0; 8]);
        for (whole, value) in wholes.iter_mut().zip(&*row) {
            *whole = rounded(value * weight + middle);
        }
        *row = [0.0; 8];
        self.held = 0;
        let mut row = [0; 8];
        row.iter_mut().zip(wholes).for_each(|(sample, whole)| *sample = whole as u8);
        row
    }

    /// Puts the block's samples, twice `HALF` rows, into `samples`, around `middle`; then it is empty.
    #[inline(never)]
    fn draw<const HALF: usize>(&mut self, middle: f32, basis: &Basis, samples: &mut [[u8; 8]; 8]) {
        // The upper half of the rows by what is even in them and what is odd; the lower one mirrors it.
        let (mut even, mut odd) = ([[middle; 8]; HALF], [[0.0; 8]; HALF]);
        let (pairs, _) = self.rows.as_chunks_mut::<2>();
        let mut rest = std::mem::take(&mut self.held);
        for ([for_even, for_odd], [even_weights, odd_weights]) in
            pairs.iter_mut().zip(basis.as_chunks::<2>().0)
        {
            if rest & 1 != 0 {
                add(&mut even, for_even, even_weights);
            }
            if rest & 2 != 0 {
                add(&mut odd, for_odd, odd_weights);
            }
            rest >>= 2;
        }
        let (mut upper, mut lower) = ([[0; 8]; HALF], [[0; 8]; HALF]);
        let (even, odd) = (even.as_flattened(), odd.as_flattened());
        let into = upper.as_flattened_mut().iter_mut().zip(lower.as_flattened_mut());
        for ((upper, lower), (even, odd)) in into.zip(even.iter().zip(odd)) {
            (*upper, *lower) = (rounded(even + odd), rounded(even - odd));
        }
        let rows = samples.iter_mut().zip(upper.iter().chain(lower.iter().rev()));
        for (samples, wholes) in rows {
            samples.iter_mut().zip(wholes).for_each(|(sample, whole)| *sample = *whole as u8);
        }
    }
}

/// Adds a row of coefficients to the upper half of the rows of samples, and empties it.
#[inline(never)]
fn add<const HALF: usize>(half: &mut [Row; HALF], sums: &mut Row, weights: &Row) {
    for (row, weight) in half.iter_mut().zip(weights) {
        for (value, sum) in row.iter_mut().zip(&*sums) {
            *value += sum * weight;
        }
    }
    *sums = [0.0; 8];
}

/// The nearest of 0 to 255 in the lowest bits, by an addition. Written so that compilers do it for many
/// numbers at once.
#[inline]
fn rounded(value: f32) -> u32 {
    const WHOLE: f32 = 8_388_608.0;
    let value = if value > 0.0 { value } else { 0.0 };
    (if value < 255.0 { value } else { 255.0 } + WHOLE).to_bits()
}

#[cfg(test)]
mod tests {
    use crate::capture::{CapturedFrame, Decoder};
    use crate::clock::Monotonic;
    use crate::frame::{Frame, PixelFormat};

    /// Two colour samples in a unit, for two and for four of luminance.
    const DRAWN: [(&str, &[u8]); 2] = [
        ("4:2:2", include_bytes!("../../../tests/data/pictures/restarts.jpg")),
        ("4:2:0", include_bytes!("../../../tests/data/pictures/subsampled.jpg")),
    ];

    /// The picture with an even height; its last row of blocks has room for either.
    fn even(jpeg: &[u8]) -> Vec<u8> {
        let mut jpeg = jpeg.to_vec();
        let at = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        assert_eq!(jpeg[at + 6], 61);
        jpeg[at + 6] = 60;
        jpeg
    }

    /// As many colour samples as of luminance; something in each block.
    fn full(width: u32, height: u32) -> Vec<u8> {
        let rgb: Vec<u8> = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [x * 3, y * 4, (x * y) / 9 + x % 5 * 9]))
            .map(|value| value.min(255) as u8)
            .collect();
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 85)
            .encode(&rgb, width, height, image::ExtendedColorType::Rgb8)
            .unwrap();
        jpeg
    }

    fn captured(jpeg: &[u8]) -> CapturedFrame {
        let mut captured = CapturedFrame::default();
        captured.begin_jpeg(7, Monotonic::from_millis(9)).extend_from_slice(jpeg);
        captured
    }

    /// Full-range luminance and colour of two by two pixels, by a frame and by the library's pixels.
    fn pairs(frame: &Frame<'_>, jpeg: &[u8]) -> Vec<[(f32, f32); 3]> {
        let mut library = Decoder::new();
        library.decode_jpeg(jpeg).unwrap();
        let rgb = library.into_rgb();
        assert_eq!((frame.width(), frame.height()), (rgb.width, rgb.height));
        let (stride, width) = (frame.stride(), rgb.width as usize);
        let ycbcr = |x: usize, y: usize| {
            let [r, g, b] = [0, 1, 2].map(|c| f32::from(rgb.rgb[(y * width + x) * 3 + c]));
            let luma = 0.299 * r + 0.587 * g + 0.114 * b;
            [luma, 128.0 + (b - luma) / 1.772, 128.0 + (r - luma) / 1.402]
        };
        let mut found = Vec::new();
        for y in 0..rgb.height as usize / 2 {
            for x in 0..width / 2 {
                let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| (2 * x + i, 2 * y + j));
                let mean = |c: usize| four.iter().map(|(x, y)| ycbcr(*x, *y)[c]).sum::<f32>() / 4.0;
                let byte = |at: usize| f32::from(frame.pixels()[at]);
                let luma = four.iter().map(|(x, y)| byte(y * stride + x)).sum::<f32>() / 4.0;
                let shared = (frame.height() as usize + y) * stride + 2 * x;
                let colour = |at: usize| 128.0 + (byte(at) - 128.0) * 255.0 / 224.0;
                found.push([
                    ((luma - 16.0) * 255.0 / 219.0, mean(0)),
                    (colour(shared), mean(1)),
                    (colour(shared + 1), mean(2)),
                ]);
            }
        }
        found
    }

    #[test]
    fn a_picture_shows_what_the_library_shows() {
        let mut decoder = Decoder::new();
        let [half, quarter] = DRAWN.map(|(name, jpeg)| (name, even(jpeg)));
        // Its sides are no multiples of a block's.
        for (name, jpeg) in [("4:4:4", full(70, 44)), half, quarter] {
            let captured = captured(&jpeg);
            let frame = decoder.decode(&captured).unwrap();
            assert_eq!((frame.format(), frame.sequence()), (PixelFormat::Nv12, 7), "{name}");
            let pairs = pairs(&frame, &jpeg);
            for (channel, limit) in [(0, 1.0), (1, 2.5), (2, 2.5)] {
                let differences =
                    pairs.iter().map(|pair| (pair[channel].0 - pair[channel].1).abs());
                let mean = differences.sum::<f32>() / pairs.len() as f32;
                assert!(mean < limit, "{name}, {channel}: {mean}");
            }
        }
    }

    #[test]
    fn each_sample_of_luminance_is_that_of_the_library() {
        let (jpeg, mut library) = (full(64, 48), Decoder::new());
        library.decode_jpeg(&jpeg).unwrap();
        let rgb = library.into_rgb().rgb;
        let (captured, mut decoder) = (captured(&jpeg), Decoder::new());
        let frame = decoder.decode(&captured).unwrap();
        for (index, pixel) in rgb.as_chunks::<3>().0.iter().enumerate() {
            let [r, g, b] = pixel.map(f32::from);
            // Where the library had to clamp a colour it has another luminance.
            if pixel.iter().all(|value| (1..255).contains(value)) {
                let wanted = 16.0 + (0.299 * r + 0.587 * g + 0.114 * b) * 219.0 / 255.0;
                let found = f32::from(frame.pixels()[index / 64 * frame.stride() + index % 64]);
                assert!((found - wanted).abs() < 2.0, "{index}: {found}, {wanted}");
            }
        }
    }

    #[test]
    fn what_is_not_drawn_here_the_library_draws() {
        let progressive = include_bytes!("../../../tests/data/pictures/progressive.jpg");
        let grey = include_bytes!("../../../tests/data/pictures/grey-progressive.jpg");
        // Adobe's segment says that its colours are red, green and blue.
        let mut named = full(64, 48);
        let adobe = *b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";
        named.splice(2..2, adobe);
        let mut decoder = Decoder::new();
        for (name, jpeg, format) in [
            ("an odd height", DRAWN[1].1, PixelFormat::Rgb),
            ("an odd width", &full(33, 16), PixelFormat::Rgb),
            ("progressive", progressive, PixelFormat::Rgb),
            ("grey", grey, PixelFormat::Grey),
            ("red, green and blue", &named, PixelFormat::Rgb),
            ("the usual one behind them", &full(64, 48), PixelFormat::Nv12),
        ] {
            let captured = captured(jpeg);
            assert_eq!(decoder.decode(&captured).unwrap().format(), format, "{name}");
        }
    }

    #[test]
    fn coefficients_beyond_all_sense_make_black_and_white() {
        let mut jpeg = full(64, 48);
        // The steps of all coefficients are as large as a byte can say.
        let table = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap();
        jpeg[table + 5..table + 69].fill(255);
        let (captured, mut decoder) = (captured(&jpeg), Decoder::new());
        let frame = decoder.decode(&captured).unwrap();
        let luma = &frame.pixels()[..frame.stride() * 48];
        assert!(luma.contains(&0) && luma.contains(&255));
    }
}
