//! PNG pictures, row by row, made smaller on the way.
//!
//! In: a PNG file as a stream. Out: RGB pixels of at most so many, each the mean of a square of the
//! file's, and what its EXIF data say of its orientation.
//! Invariant: the file is never held whole: nine bytes are taken for each pixel that comes out, and
//! a few rows of the file. Messages are ours.

use std::io::{BufRead, Seek};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodingError, Transformations};

use super::PictureError;
use super::picture::Pixels;

/// The most file pixels, across and down, that become one: sums of 256 bytes fit 16 bits.
const MAX_FACTOR: u32 = 16;

/// How the rows of an interlaced picture lie: columns begin at, step; rows begin at, step.
const PASSES: [(u32, u32, u32, u32); 7] = [
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
];

/// Decodes the picture so that at most `max_pixels` come of it, with sides of at most `max_side`;
/// it may have `most_pixels` itself.
pub(super) fn decode(
    input: impl BufRead + Seek,
    most_pixels: usize,
    max_pixels: usize,
    max_side: u32,
) -> Result<(Pixels, Orientation), PictureError> {
    let mut decoder = png::Decoder::new_with_limits(input, png::Limits { bytes: 16 << 20 });
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(told)?.size();
    let factor = factor(width, height, max_pixels, max_side)
        .filter(|_| width as usize * height as usize <= most_pixels);
    let Some(factor) = factor else {
        return Err(PictureError::TooLarge { width, height, max_pixels: most_pixels });
    };
    let mut reader = decoder.read_info().map_err(told)?;
    let (colour, depth) = reader.output_color_type();
    if depth != BitDepth::Eight {
        return Err(PictureError::Damaged("its samples are of no known size"));
    }
    let interlaced = reader.info().interlaced;
    let mut means = Means::new(width, height, factor);
    let mut rows = RowPlaces::new(width, height, interlaced);
    while let Some(row) = reader.next_interlaced_row().map_err(told)? {
        let Some(place) = rows.next() else { break };
        means.add(row.data(), colour, place);
    }
    // What the file says behind its pixels, such as EXIF data and its end.
    reader.finish().map_err(told)?;
    let exif = reader.info().exif_metadata.as_deref();
    let orientation = exif.and_then(Orientation::from_exif_chunk);
    Ok((means.finish(), orientation.unwrap_or(Orientation::NoTransforms)))
}

/// The smallest factor that makes the picture fit.
fn factor(width: u32, height: u32, max_pixels: usize, max_side: u32) -> Option<u32> {
    [1, 2, 4, 8, MAX_FACTOR].into_iter().find(|factor| {
        let (width, height) = (width.div_ceil(*factor), height.div_ceil(*factor));
        width as usize * height as usize <= max_pixels && width.max(height) <= max_side
    })
}

/// What went wrong, in our words.
fn told(error: DecodingError) -> PictureError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureError::Damaged("its end is missing")
        }
        DecodingError::IoError(_) => PictureError::Damaged("it cannot be read to its end"),
        DecodingError::LimitsExceeded => {
            PictureError::Damaged("its remarks are larger than those of any picture")
        }
        DecodingError::Format(_) | DecodingError::Parameter(_) => {
            PictureError::Damaged("its checksums or its data are wrong")
        }
    }
}

/// Where the next row of the file lies: the first column, from column to column, the row.
struct RowPlaces {
    width: u32,
    height: u32,
    interlaced: bool,
    pass: usize,
    line: u32,
}

impl RowPlaces {
    const fn new(width: u32, height: u32, interlaced: bool) -> Self {
        Self { width, height, interlaced, pass: 0, line: 0 }
    }
}

impl Iterator for RowPlaces {
    type Item = (u32, u32, u32);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (first, step, first_row, row_step) =
                if self.interlaced { *PASSES.get(self.pass)? } else { (0, 1, 0, 1) };
            let row = first_row + self.line * row_step;
            if row < self.height && first < self.width {
                self.line += 1;
                return Some((first, step, row));
            }
            if !self.interlaced {
                return None;
            }
            self.pass += 1;
            self.line = 0;
        }
    }
}

/// Sums of squares of pixels.
struct Means {
    width: u32,
    height: u32,
    factor: u32,
    /// Pixels across and down that come out.
    out: (u32, u32),
    sums: Vec<[u16; 3]>,
}

impl Means {
    fn new(width: u32, height: u32, factor: u32) -> Self {
        let out = (width.div_ceil(factor), height.div_ceil(factor));
        Self { width, height, factor, out, sums: vec![[0; 3]; out.0 as usize * out.1 as usize] }
    }

    fn add(&mut self, row: &[u8], colour: ColorType, (first, step, y): (u32, u32, u32)) {
        let (wide, factor) = (self.out.0 as usize, self.factor);
        let start = (y / factor) as usize * wide;
        let sums = self.sums.get_mut(start..start + wide).unwrap_or_default();
        let columns = (first..self.width).step_by(step as usize);
        for (x, pixel) in columns.zip(row.chunks_exact(colour.samples())) {
            let rgb = match *pixel {
                [grey] | [grey, _] => [grey; 3],
                [r, g, b] | [r, g, b, _] => [r, g, b],
                _ => [0; 3],
            };
            if let Some(sum) = sums.get_mut((x / factor) as usize) {
                for (sum, value) in sum.iter_mut().zip(rgb) {
                    *sum += u16::from(value);
                }
            }
        }
    }

    fn finish(self) -> Pixels {
        let Self { width, height, factor, out, sums } = self;
        let mut rgb = Vec::with_capacity(sums.len() * 3);
        for (index, sum) in sums.iter().enumerate() {
            let (x, y) = (index as u32 % out.0, index as u32 / out.0);
            // The last column and row may be of fewer pixels.
            let across = factor.min(width - x * factor);
            let down = factor.min(height - y * factor);
            let count = across * down;
            rgb.extend(sum.map(|sum| ((u32::from(sum) + count / 2) / count) as u8));
        }
        Pixels { width: out.0, height: out.1, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A picture whose pixel at x, y is (x, y, 7), as a PNG file.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let image = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x % 256) as u8, (y % 256) as u8, 7])
        });
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    fn decoded(bytes: &[u8], max_pixels: usize) -> Result<Pixels, PictureError> {
        decode(Cursor::new(bytes), 1 << 20, max_pixels, 64).map(|(pixels, _)| pixels)
    }

    #[test]
    fn a_picture_is_made_as_small_as_it_must_be_and_no_smaller() {
        let bytes = png(13, 6);
        for (max_pixels, expected) in [(78, (13, 6)), (77, (7, 3)), (20, (4, 2)), (3, (2, 1))] {
            let pixels = decoded(&bytes, max_pixels).unwrap();
            assert_eq!((pixels.width, pixels.height), expected);
        }
        let half = decoded(&bytes, 77).unwrap();
        // The mean of columns 2 and 3 and rows 0 and 1; the last column is of one pixel.
        assert_eq!(half.rgb[3..6], [3, 1, 7]);
        assert_eq!(half.rgb[6 * 3..7 * 3], [12, 1, 7]);
        let long = decoded(&png(200, 1), 1000).unwrap();
        assert_eq!((long.width, long.height), (50, 1), "a frame's sides are bounded too");
    }

    #[test]
    fn rows_of_an_interlaced_picture_find_their_places() {
        for (width, height) in [(1, 1), (3, 2), (5, 9), (16, 16)] {
            let mut seen = vec![0; (width * height) as usize];
            for (first, step, y) in RowPlaces::new(width, height, true) {
                for x in (first..width).step_by(step as usize) {
                    seen[(y * width + x) as usize] += 1;
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{width}×{height}: {seen:?}");
        }
    }

    #[test]
    fn what_is_too_large_or_cut_off_is_told() {
        let bytes = png(13, 6);
        let too_large = decode(Cursor::new(&bytes), 77, 77, 64).err();
        assert!(matches!(too_large, Some(PictureError::TooLarge { width: 13, .. })));
        for end in 8..bytes.len() {
            let error = decoded(&bytes[..end], 100).err();
            assert!(matches!(error, Some(PictureError::Damaged(_))), "cut at {end}: {error:?}");
        }
    }
}
