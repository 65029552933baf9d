//! A JPEG picture at a half, a quarter or an eighth of its size, within bounded memory.
//!
//! In: a JPEG file's bytes and how many pixels may come of it. Out: RGB pixels of the largest of
//! these sizes that fits. Only the coefficients that such a picture has are kept: of each block the
//! first `n`×`n`, which an `n`-point transform turns into `n`×`n` pixels, as libjpeg does it; of
//! components with fewer samples as many more as make up for it.
//!
//! Invariant: besides the pixels, two bytes are taken for each sample that comes out, and eight for
//! each block of a progressive picture: for 2^23 pixels at most 50 MB and 38 MB.
//! Source: ITU-T T.81, annex A; JFIF and Adobe's technical note 5116 for colours.
//! Deliberately absent: smoothing between colour samples.

use super::{Component, JpegFault, Layout, Outline, Sink, Walker, ZIGZAG};
use crate::capture::picture::Pixels;

/// Decodes `bytes` at the largest size that has at most `max_pixels` and sides of `max_side`.
///
/// # Errors
/// [`JpegFault`]: not whole, of another kind, or of more than `most_pixels` to begin with.
pub(in crate::capture) fn decode(
    bytes: &[u8],
    most_pixels: usize,
    max_pixels: usize,
    max_side: u32,
) -> Result<(Pixels, Outline), JpegFault> {
    let mut kept = Kept { max_pixels, max_side, ..Kept::default() };
    let (outline, layout) = Walker::new().walk(bytes, most_pixels, &mut kept)?;
    let (width, height) = kept.size(&layout);
    let kept = kept;
    let mut rgb = vec![0; width as usize * height as usize * 3];
    let colours = Colours::of(&layout, &outline);
    let mut strip = Strip::new(&layout, &kept);
    let rows_each = layout.most_down as usize * kept.side;
    for (unit_row, rows) in rgb.chunks_mut(rows_each * width as usize * 3).enumerate() {
        strip.fill(&layout, &kept, unit_row);
        for (y, row) in rows.chunks_exact_mut(width as usize * 3).enumerate() {
            strip.write(&layout, colours, y, row);
        }
    }
    Ok((Pixels { width, height, rgb }, outline))
}

/// The first coefficients of all blocks.
#[derive(Default)]
struct Kept {
    max_pixels: usize,
    max_side: u32,
    /// Pixels of a block of the picture, across and down.
    side: usize,
    /// The same of each component's blocks, which may stand for more of the picture.
    sides: [(usize, usize); 4],
    /// Where each component's coefficients begin.
    starts: [usize; 4],
    coefficients: Vec<i16>,
}

impl Kept {
    fn size(&self, layout: &Layout) -> (u32, u32) {
        let of = |side: u32| (side * self.side as u32).div_ceil(8);
        (of(layout.width), of(layout.height))
    }

    /// Where a coefficient is kept, if it is.
    fn place(&mut self, component: usize, block: usize, k: u32) -> Option<&mut i16> {
        let (column, row) = ZIGZAG.get(k as usize).copied()?;
        let (column, row) = (usize::from(column), usize::from(row));
        let (wide, high) = self.sides.get(component).copied()?;
        if column >= wide || row >= high {
            return None;
        }
        let start = self.starts.get(component).copied()?;
        let at = start + (block * high + row) * wide + column;
        self.coefficients.get_mut(at)
    }
}

impl Sink for Kept {
    fn begin(&mut self, layout: &Layout) -> Result<(), JpegFault> {
        for side in [4, 2, 1] {
            self.side = side;
            let (width, height) = self.size(layout);
            let pixels = width as usize * height as usize;
            if pixels <= self.max_pixels && width.max(height) <= self.max_side {
                let mut total = 0;
                let places = self.starts.iter_mut().zip(&mut self.sides);
                for ((start, sides), one) in places.zip(layout.components()) {
                    let across = side * (layout.most_across / one.across) as usize;
                    let down = side * (layout.most_down / one.down) as usize;
                    (*start, *sides) = (total, (across.min(8), down.min(8)));
                    let blocks = one.blocks_wide as usize * one.blocks_high as usize;
                    total += blocks * sides.0 * sides.1;
                }
                self.coefficients.resize(total, 0);
                return Ok(());
            }
        }
        Err(JpegFault::TooLarge { width: layout.width, height: layout.height })
    }

    fn set(&mut self, component: usize, block: usize, k: u32, value: i32) {
        if let Some(place) = self.place(component, block, k) {
            *place = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }

    fn refine(&mut self, component: usize, block: usize, k: u32, bit: i32) {
        if let Some(place) = self.place(component, block, k) {
            let bit = bit as i16;
            // The average is in two's complement, the others are sign and magnitude.
            *place = match (k, *place < 0) {
                (0, _) => *place | bit,
                (_, true) => place.wrapping_sub(bit),
                (_, false) => place.wrapping_add(bit),
            };
        }
    }
}

/// What the components say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Grey,
    Rgb,
    YCbCr,
    /// Inks, of which the file says how much is left out, as Adobe's programs write them.
    Cmyk,
    Ycck,
}

impl Colours {
    fn of(layout: &Layout, outline: &Outline) -> Self {
        let named_rgb = layout.components().iter().map(|one| one.id).eq(*b"RGB");
        match (layout.components().len(), outline.adobe) {
            (1, _) => Self::Grey,
            (3, Some(0)) => Self::Rgb,
            (3, None) if named_rgb => Self::Rgb,
            (3, _) => Self::YCbCr,
            (_, Some(2)) => Self::Ycck,
            _ => Self::Cmyk,
        }
    }

    /// Red, green and blue of a pixel's samples.
    fn rgb(self, [a, b, c, d]: [u8; 4]) -> [u8; 3] {
        // How much of a colour an ink leaves, where 255 is no ink.
        let under = |colour: u8| (u16::from(colour) * u16::from(d) / 255) as u8;
        match self {
            Self::Grey => [a, a, a],
            Self::Rgb => [a, b, c],
            Self::YCbCr => from_ycbcr(a, b, c),
            Self::Cmyk => [under(a), under(b), under(c)],
            Self::Ycck => from_ycbcr(a, b, c).map(|colour| under(255 - colour)),
        }
    }
}

/// JFIF's conversion, in 16.16 fixed point.
fn from_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let y = (i32::from(y) << 16) + (1 << 15);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + 91_881 * cr;
    let green = y - 22_554 * cb - 46_802 * cr;
    let blue = y + 116_130 * cb;
    [red, green, blue].map(|value| (value >> 16).clamp(0, 255) as u8)
}

/// How much each coefficient counts at each pixel of a block: `[pixel][coefficient]`.
type Basis = [[f32; 8]; 8];

/// The basis of `n` pixels, for coefficients that were made of eight.
fn basis(n: usize) -> Basis {
    let mut basis = [[0.0; 8]; 8];
    let n = n as f32;
    for (i, row) in basis.iter_mut().enumerate() {
        for (u, weight) in row.iter_mut().enumerate() {
            let angle = (2.0 * i as f32 + 1.0) * u as f32 * std::f32::consts::PI / (2.0 * n);
            // An orthonormal transform of n points has the norm 1/n and 2/n.
            *weight = (if u == 0 { 1.0_f32 } else { 2.0 } / 8.0).sqrt() * angle.cos();
        }
    }
    basis
}

/// The samples of one row of units.
struct Strip {
    side: usize,
    sides: [(usize, usize); 4],
    /// For each component its rows of samples, one behind the other.
    samples: [Vec<u8>; 4],
    /// By the pixels of a block, from one.
    bases: [Basis; 8],
}

impl Strip {
    fn new(layout: &Layout, kept: &Kept) -> Self {
        let mut samples: [Vec<u8>; 4] = Default::default();
        let each = samples.iter_mut().zip(layout.components()).zip(kept.sides);
        for ((samples, one), (wide, high)) in each {
            samples.resize(one.blocks_wide as usize * one.down as usize * wide * high, 0);
        }
        let mut bases = [[[0.0; 8]; 8]; 8];
        for (n, slot) in (1..).zip(&mut bases) {
            *slot = basis(n);
        }
        Self { side: kept.side, sides: kept.sides, samples, bases }
    }

    /// Transforms row `unit_row` of units.
    fn fill(&mut self, layout: &Layout, kept: &Kept, unit_row: usize) {
        let components = layout.components().iter().zip(kept.starts).zip(kept.sides);
        for (((component, start), (wide, high)), samples) in components.zip(&mut self.samples) {
            let bases = (self.bases.get(wide - 1), self.bases.get(high - 1));
            let (Some(across), Some(down)) = bases else { continue };
            let transform = Transform { wide, high, across, down, steps: steps_of(component) };
            let per_row = component.blocks_wide as usize;
            let stride = per_row * wide;
            for own_row in 0..component.down as usize {
                let first = (unit_row * component.down as usize + own_row) * per_row;
                let from = start + first * wide * high;
                let blocks = kept.coefficients.get(from..).unwrap_or_default();
                let rows = samples.get_mut(own_row * high * stride..).unwrap_or_default();
                for (x, block) in blocks.chunks_exact(wide * high).take(per_row).enumerate() {
                    let block = transform.apply(block);
                    for (row, line) in rows.chunks_mut(stride).zip(&block).take(high) {
                        let pixels = row.get_mut(x * wide..(x + 1) * wide).unwrap_or_default();
                        pixels.copy_from_slice(line.get(..wide).unwrap_or_default());
                    }
                }
            }
        }
    }

    /// Writes row `y` of the strip as RGB.
    fn write(&self, layout: &Layout, colours: Colours, y: usize, row: &mut [u8]) {
        // Of each component its row, and how many of its samples stand for how many pixels.
        let mut lines: [(&[u8], usize, usize); 4] = [(&[], 1, 1); 4];
        let each = lines.iter_mut().zip(layout.components()).zip(self.sides);
        for (((line, component), (wide, high)), samples) in each.zip(&self.samples) {
            let stride = component.blocks_wide as usize * wide;
            let own = y * component.down as usize * high / (layout.most_down as usize * self.side);
            let samples = samples.get(own * stride..).unwrap_or_default();
            let own = component.across as usize * wide;
            *line = (samples, own, layout.most_across as usize * self.side);
        }
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let at = |(line, own, all): (&[u8], usize, usize)| {
                line.get(x * own / all).copied().unwrap_or(128)
            };
            *pixel = colours.rgb(lines.map(at));
        }
    }
}

/// What one step of each coefficient is worth, by row and column.
fn steps_of(component: &Component) -> [[f32; 8]; 8] {
    let mut steps = [[0.0; 8]; 8];
    for (step, (column, row)) in component.steps.iter().zip(ZIGZAG) {
        let row = steps.get_mut(usize::from(row));
        if let Some(place) = row.and_then(|row| row.get_mut(usize::from(column))) {
            *place = f32::from(*step);
        }
    }
    steps
}

/// How a component's blocks become pixels.
struct Transform<'a> {
    wide: usize,
    high: usize,
    across: &'a Basis,
    down: &'a Basis,
    steps: [[f32; 8]; 8],
}

impl Transform<'_> {
    /// The pixels of a block from its first coefficients.
    fn apply(&self, block: &[i16]) -> [[u8; 8]; 8] {
        // Across first: one row of pixels for each row of coefficients.
        let mut across = [[0.0_f32; 8]; 8];
        let lines = block.chunks_exact(self.wide).zip(&self.steps).zip(&mut across);
        for ((line, steps), pixels) in lines {
            for (pixel, weights) in pixels.iter_mut().zip(self.across).take(self.wide) {
                let terms = line.iter().zip(steps).zip(weights);
                *pixel =
                    terms.map(|((value, step), weight)| f32::from(*value) * step * weight).sum();
            }
        }
        let mut out = [[0_u8; 8]; 8];
        for (row, weights) in out.iter_mut().zip(self.down).take(self.high) {
            let mut sums = [128.0_f32; 8];
            for (line, weight) in across.iter().zip(weights).take(self.high) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += value * weight;
                }
            }
            for (pixel, sum) in row.iter_mut().zip(sums) {
                *pixel = sum.round().clamp(0.0, 255.0) as u8;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Decoder;

    const DRAWN: [(&str, &[u8]); 5] = [
        ("subsampled", include_bytes!("../../../tests/data/pictures/subsampled.jpg")),
        ("restarts", include_bytes!("../../../tests/data/pictures/restarts.jpg")),
        ("progressive", include_bytes!("../../../tests/data/pictures/progressive.jpg")),
        ("grey", include_bytes!("../../../tests/data/pictures/grey-progressive.jpg")),
        ("inks", include_bytes!("../../../tests/data/pictures/inks.jpg")),
    ];

    /// The picture at its own size, by the library.
    fn whole(bytes: &[u8]) -> Pixels {
        let mut decoder = Decoder::new();
        decoder.decode_jpeg(bytes).unwrap();
        decoder.into_rgb()
    }

    /// The mean of each square of `factor` pixels.
    fn means(of: &Pixels, factor: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for y in 0..of.height.div_ceil(factor) {
            for x in 0..of.width.div_ceil(factor) {
                let rows = y * factor..(y * factor + factor).min(of.height);
                let columns = x * factor..(x * factor + factor).min(of.width);
                let count = rows.len() * columns.len();
                for channel in 0..3 {
                    let at = |x, y| ((y * of.width + x) * 3 + channel) as usize;
                    let sum: usize = rows
                        .clone()
                        .flat_map(|y| columns.clone().map(move |x| (x, y)))
                        .map(|(x, y)| usize::from(of.rgb[at(x, y)]))
                        .sum();
                    out.push((sum / count) as u8);
                }
            }
        }
        out
    }

    #[test]
    fn a_reduced_picture_shows_what_the_whole_one_shows() {
        for (name, bytes) in DRAWN {
            let whole = whole(bytes);
            for (factor, max_pixels) in [(2, 45 * 31), (4, 23 * 16), (8, 12 * 8)] {
                let (small, _) = decode(bytes, 1 << 20, max_pixels, 8192).unwrap();
                let expected = means(&whole, factor);
                let size = (90_u32.div_ceil(factor), 61_u32.div_ceil(factor));
                assert_eq!((small.width, small.height), size, "{name}");
                let differences =
                    small.rgb.iter().zip(&expected).map(|(a, b)| u32::from(a.abs_diff(*b)));
                let mean = f64::from(differences.sum::<u32>()) / expected.len() as f64;
                assert!(mean < 5.0, "{name} at 1/{factor}: {mean:.2}");
            }
        }
    }

    #[test]
    fn sides_count_as_well_as_pixels_and_the_largest_is_refused() {
        let (_, bytes) = DRAWN[0];
        let width =
            |max_side| decode(bytes, 1 << 20, 1 << 20, max_side).map(|(small, _)| small.width);
        assert_eq!((width(45), width(44), width(12)), (Ok(45), Ok(23), Ok(12)));
        assert_eq!(width(11), Err(JpegFault::TooLarge { width: 90, height: 61 }));
        let refused = decode(bytes, 90 * 61 - 1, 1 << 20, 90).map(|(small, _)| small.width);
        assert_eq!(refused, Err(JpegFault::TooLarge { width: 90, height: 61 }));
    }
}
