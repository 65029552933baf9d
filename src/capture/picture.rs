//! Single pictures from files: PNG and JPEG.
//!
//! In: a path or bytes. Out: a [`Picture`]: RGB pixels, turned upright as the file's EXIF
//! orientation says (telephones store portraits lying down). Pictures are for enrolment, tests and
//! replays of folders; a camera's frames take the way through [`Decoder`] alone.
//!
//! Invariants: what is larger than [`Decoder::MAX_PIXELS`] or [`MAX_FILE_BYTES`] is refused before
//! memory is taken for it; a file that is cut off is refused, not filled with grey.
//! Deliberately absent: other formats, whose decoders nobody here would look after; transparency,
//! which is dropped.

use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_jpeg::JpegDecoder;

use super::decode::first_bytes;
use super::error::RecordingProblem;
use super::{CaptureError, CapturedFrame, Decoder, PictureError};
use crate::clock::Monotonic;
use crate::frame::{Frame, PixelFormat};

/// The largest picture file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// One picture: RGB, upright.
///
/// Invariant: `rgb` holds `width · height · 3` bytes, and both sides are 1 to [`Frame::MAX_SIDE`].
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    /// Never shows pixels: what is debugged may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture {}×{}", self.width, self.height)
    }
}

impl Picture {
    /// Reads a PNG or JPEG file.
    ///
    /// # Errors
    /// [`CaptureError::Recording`] when it cannot be read or is no such picture.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let recording = |problem| CaptureError::Recording { path: path.to_owned(), problem };
        let bytes = read_bounded(path).map_err(recording)?;
        Self::decode(&bytes).map_err(|reason| {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            recording(RecordingProblem::Picture { name, reason })
        })
    }

    /// Decodes the bytes of a PNG or JPEG file.
    ///
    /// # Errors
    /// [`PictureError`] when they are damaged, too many, or something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        let (mut image, orientation) = if bytes.is_empty() {
            return Err(PictureError::Empty);
        } else if bytes.starts_with(&[0xFF, 0xD8]) {
            (decode_jpeg(bytes)?, jpeg_orientation(bytes))
        } else if bytes.starts_with(b"\x89PNG") {
            decode_png(bytes)?
        } else {
            let found = first_bytes(bytes);
            return Err(PictureError::WrongFormat { expected: "PNG or JPEG", found });
        };
        image.apply_orientation(orientation);
        let rgb = image.into_rgb8();
        let (width, height) = rgb.dimensions();
        Ok(Self { width, height, rgb: rgb.into_raw() })
    }

    /// Pixels across.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The pixels: rows from the top, each of `width` times `R G B`.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The picture as a frame.
    #[must_use]
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "invariant of the type")]
    pub fn frame(&self, sequence: u64, captured_at: Monotonic) -> Frame<'_> {
        let size = (self.width, self.height);
        let stride = PixelFormat::Rgb.min_stride(self.width);
        Frame::new(&self.rgb, PixelFormat::Rgb, size, stride, sequence, captured_at)
            .expect("sides and length were checked when the picture was decoded")
    }
}

pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, RecordingProblem> {
    regular_file(path)?;
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)? as u64;
    if read > MAX_FILE_BYTES {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let found = std::fs::metadata(path).map_or(read, |file| file.len());
        let reason = PictureError::TooLong { found, max: MAX_FILE_BYTES };
        return Err(RecordingProblem::Picture { name, reason });
    }
    Ok(bytes)
}

/// Refuses what is no regular file before it is opened: opening a pipe waits for somebody to write.
pub(super) fn regular_file(path: &Path) -> Result<(), RecordingProblem> {
    let kind = std::fs::metadata(path)?.file_type();
    let found = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(RecordingProblem::NotAFile { found })
}

fn decode_jpeg(bytes: &[u8]) -> Result<DynamicImage, PictureError> {
    let mut decoder = Decoder::new();
    let mut captured = CapturedFrame::new();
    // A photograph may carry previews and remarks behind its end marker; a camera's frame may not.
    let end = end_of_jpeg(bytes).ok_or(PictureError::Truncated { found: bytes.len() })?;
    captured
        .begin_jpeg(0, Monotonic::default())
        .extend_from_slice(bytes.get(..end).unwrap_or(bytes));
    let frame = decoder.decode(&captured)?;
    let (width, height) = (frame.width(), frame.height());
    let needed = frame.format().frame_len(frame.stride(), height);
    let pixels = frame.pixels().get(..needed).unwrap_or_default().to_vec();
    let image = if frame.format() == PixelFormat::Grey {
        image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    image.ok_or_else(|| PictureError::Corrupt("fewer pixels than its header says".to_owned()))
}

/// Where the first picture in `bytes` ends, found by walking its markers.
fn end_of_jpeg(bytes: &[u8]) -> Option<usize> {
    let mut reader = super::replay::mjpeg::MjpegReader::new(bytes);
    let mut first = Vec::new();
    matches!(reader.next_picture(&mut first), Ok(true)).then_some(first.len())
}

fn jpeg_orientation(bytes: &[u8]) -> Orientation {
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    // The pixels were decoded by now; a header that cannot be read twice only costs the turning.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        decoder.decode_headers().ok()?;
        Orientation::from_exif_chunk(decoder.exif()?)
    }));
    read.ok().flatten().unwrap_or(Orientation::NoTransforms)
}

fn decode_png(bytes: &[u8]) -> Result<(DynamicImage, Orientation), PictureError> {
    let corrupt = |error: image::ImageError| PictureError::Corrupt(error.to_string());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_alloc = Some(Decoder::MAX_PIXELS as u64 * 16);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    let fits = width as usize * height as usize <= Decoder::MAX_PIXELS
        && width.max(height) <= Frame::MAX_SIDE;
    if !fits {
        return Err(PictureError::TooLarge { width, height, max_pixels: Decoder::MAX_PIXELS });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(corrupt)?, orientation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut image = RgbImage::from_pixel(32, 16, Rgb([200, 30, 30]));
        for (x, _, pixel) in image.enumerate_pixels_mut() {
            if x >= 16 {
                *pixel = Rgb([20, 20, 220]);
            }
        }
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    /// An APP1 segment with nothing but an orientation, put behind the start marker.
    fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
        let mut out = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, u8::try_from(exif.len() + 2).unwrap()];
        out.extend_from_slice(&exif);
        out.extend_from_slice(&jpeg[2..]);
        out
    }

    #[test]
    fn png_and_jpeg_give_the_same_picture() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let picture = Picture::decode(&encoded(format)).unwrap();
            assert_eq!((picture.width(), picture.height()), (32, 16));
            assert!(picture.rgb()[0] > 180 && picture.rgb()[31 * 3 + 2] > 200, "{format:?}");
            assert_eq!(picture.frame(4, Monotonic::from_millis(1)).sequence(), 4);
        }
    }

    #[test]
    fn a_picture_lying_down_is_set_upright() {
        let lying = with_orientation(&encoded(ImageFormat::Jpeg), 6);
        let picture = Picture::decode(&lying).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 32));
        // Orientation 6 turns clockwise: what was left is then at the top.
        assert!(picture.rgb()[0] > 180, "{:?}", &picture.rgb()[..3]);
    }

    #[test]
    fn what_follows_a_photograph_is_ignored() {
        let mut bytes = encoded(ImageFormat::Jpeg);
        bytes.extend_from_slice(b"a maker's trailer");
        assert!(Picture::decode(&bytes).is_ok());
    }

    #[test]
    fn bad_files_are_refused_with_a_reason() {
        let png = encoded(ImageFormat::Png);
        let jpeg = encoded(ImageFormat::Jpeg);
        let folder = tempfile::tempdir().unwrap();
        let cases: [(&str, &[u8], &str); 5] = [
            ("empty.png", b"", "empty"),
            ("cut.png", &png[..png.len() / 2], "damaged"),
            ("cut.jpg", &jpeg[..jpeg.len() / 2], "cut off"),
            ("text.jpg", b"hello, this is no picture", "'hello, t'"),
            ("zeros.png", &[0; 64], "00 00"),
        ];
        for (name, bytes, expected) in cases {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let text = Picture::read(&path).unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains(name), "{text}");
        }
        for (path, expected) in [(folder.path(), "a folder"), (Path::new("/dev/zero"), "a device")]
        {
            let text = Picture::read(path).unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains("no regular file"), "{text}");
        }
        let missing = Picture::read(&folder.path().join("absent.png")).unwrap_err().to_string();
        assert!(missing.contains("absent.png") && missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn a_png_that_claims_to_be_huge_is_refused() {
        let mut png = encoded(ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0x7F, 0, 0, 0, 0x7F, 0]);
        let unmended = Picture::decode(&png).unwrap_err();
        assert!(matches!(unmended, PictureError::Corrupt(_)), "the checksum is wrong: {unmended}");
        let crc = crc_of(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = Picture::decode(&png).unwrap_err();
        let found = matches!(error, PictureError::TooLarge { width: 0x7F00, height: 0x7F00, .. });
        assert!(found, "{error}");
    }

    #[test]
    fn a_long_thin_png_is_refused_although_it_has_few_pixels() {
        let side = Frame::MAX_SIDE + 1;
        for (width, height) in [(side, 1), (1, side)] {
            let mut png = Cursor::new(Vec::new());
            RgbImage::new(width, height).write_to(&mut png, ImageFormat::Png).unwrap();
            let error = Picture::decode(png.get_ref()).unwrap_err();
            assert!(matches!(error, PictureError::TooLarge { .. }), "{width}×{height}: {error}");
        }
    }

    fn crc_of(bytes: &[u8]) -> u32 {
        bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            })
        }) ^ u32::MAX
    }

    proptest! {
        #[test]
        fn spoiled_files_never_panic(at: prop::sample::Index, value: u8, png: bool) {
            let mut bytes = encoded(if png { ImageFormat::Png } else { ImageFormat::Jpeg });
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = Picture::decode(&bytes).is_ok();
        }
    }
}
