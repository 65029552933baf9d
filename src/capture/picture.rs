//! Single pictures from files: JPEG, PNG and WebP, told by their first bytes.
//!
//! In: a path or bytes. Out: a [`Picture`]: RGB pixels, turned upright as the file's EXIF
//! orientation says (telephones store portraits lying down). Pictures are for enrolment, tests and
//! replays of folders; a camera's frames take the way through [`Decoder`] alone.
//!
//! Photographs of telephones have more pixels than a face needs and a board has memory for: a JPEG or
//! PNG picture of more than [`MAX_PIXELS_KEPT`] is read at a half, a quarter or an eighth of its size,
//! and never exists whole.
//!
//! Invariants: what has more than [`MAX_PIXELS`] or [`MAX_FILE_BYTES`] is refused before memory is
//! taken for it; reading the largest takes less than 200 MB, the file included; a file that is cut
//! off is refused, not filled with grey; messages are ours, never a library's.
//! Deliberately absent: other formats, which are named with the command that converts them;
//! transparency, which is dropped.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek as _};
use std::os::unix::fs::FileTypeExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, RgbImage};

use super::decode::{Decoder, first_bytes, of_fault};
use super::error::RecordingProblem;
use super::format::{self, Format, HEAD_BYTES};
use super::jpeg;
use super::{CaptureError, PictureError, png};
use crate::clock::Monotonic;
use crate::frame::{Frame, PixelFormat};

/// The largest JPEG or WebP file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The largest PNG file, which is read row by row.
pub const MAX_PNG_BYTES: u64 = 512 << 20;

/// The most pixels that a JPEG or PNG file may have.
pub const MAX_PIXELS: usize = 100_000_000;

/// The most pixels that are made of a JPEG or PNG file; one of more is read at a smaller size.
pub const MAX_PIXELS_KEPT: usize = 1 << 23;

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
    /// Reads a JPEG, PNG or WebP file.
    ///
    /// # Errors
    /// [`CaptureError::Recording`] when it cannot be read or is no such picture.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let recording = |problem| CaptureError::Recording { path: path.to_owned(), problem };
        let named = |reason| {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            recording(RecordingProblem::Picture { name, reason })
        };
        let (mut file, head) = open(path).map_err(recording)?;
        if format::of(&head) == Some(Format::Png) {
            let found = file.get_ref().metadata().map_or(0, |file| file.len());
            if found > MAX_PNG_BYTES {
                return Err(named(PictureError::TooLong { found, max: MAX_PNG_BYTES }));
            }
            return from_png(file).map_err(named);
        }
        let mut bytes = Vec::new();
        let limited = file.by_ref().take(MAX_FILE_BYTES + 1);
        let io = |error| recording(RecordingProblem::Io(error));
        let read = { limited }.read_to_end(&mut bytes).map_err(io)? as u64;
        if read > MAX_FILE_BYTES {
            let found = file.get_ref().metadata().map_or(read, |file| file.len());
            return Err(named(PictureError::TooLong { found, max: MAX_FILE_BYTES }));
        }
        Self::decode(&bytes).map_err(named)
    }

    /// Decodes the bytes of a JPEG, PNG or WebP file.
    ///
    /// # Errors
    /// [`PictureError`] when they are damaged, too many, or something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        if bytes.is_empty() {
            return Err(PictureError::Empty);
        }
        match format::of(bytes) {
            Some(Format::Jpeg) => from_jpeg(bytes),
            Some(Format::Png) => from_png(Cursor::new(bytes)),
            Some(Format::WebP) => from_webp(bytes),
            Some(Format::Other(other)) => Err(PictureError::OtherFormat(other)),
            None => {
                let found = first_bytes(bytes);
                Err(PictureError::WrongFormat { expected: "JPEG, PNG or WebP", found })
            }
        }
    }

    /// Turns pixels upright; `None` where size and bytes do not fit each other.
    fn upright(pixels: Pixels, orientation: Orientation) -> Option<Self> {
        let image = RgbImage::from_raw(pixels.width, pixels.height, pixels.rgb)?;
        let mut image = DynamicImage::from(image);
        image.apply_orientation(orientation);
        let rgb = image.into_rgb8();
        let (width, height) = rgb.dimensions();
        Some(Self { width, height, rgb: rgb.into_raw() })
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

/// Pixels as a file has them: rows from the top, each of `width` times `R G B`.
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgb: Vec<u8>,
}

/// Opens a file and tells how it begins; it is read from its beginning then.
pub(super) fn open(path: &Path) -> Result<(BufReader<File>, Vec<u8>), RecordingProblem> {
    regular_file(path)?;
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok((BufReader::with_capacity(1 << 16, file), head))
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

/// What is said where a library fails on a file without saying why.
const UNREADABLE: PictureError = PictureError::Damaged("its parts do not fit each other");

/// Runs a library's decoder; a panic in it costs the picture.
fn guarded<T>(decode: impl FnOnce() -> Result<T, PictureError>) -> Result<T, PictureError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(UNREADABLE))
}

fn from_jpeg(bytes: &[u8]) -> Result<Picture, PictureError> {
    let told = |fault| of_fault(fault, bytes, MAX_PIXELS);
    let fits = |(width, height): (u32, u32)| {
        width as usize * height as usize <= MAX_PIXELS_KEPT && width.max(height) <= Frame::MAX_SIDE
    };
    let (pixels, outline) = if jpeg::size(bytes).is_none_or(fits) {
        let mut decoder = Decoder::with_max_pixels(MAX_PIXELS_KEPT);
        let outline = decoder.decode_jpeg(bytes)?;
        (decoder.into_rgb(), outline)
    } else {
        jpeg::small::decode(bytes, MAX_PIXELS, MAX_PIXELS_KEPT, Frame::MAX_SIDE).map_err(told)?
    };
    let exif = outline.exif.and_then(|(from, to)| bytes.get(from..to));
    Picture::upright(pixels, orientation_of(exif)).ok_or(UNREADABLE)
}

fn from_png(input: impl std::io::BufRead + std::io::Seek) -> Result<Picture, PictureError> {
    let (pixels, orientation) =
        guarded(|| png::decode(input, MAX_PIXELS, MAX_PIXELS_KEPT, Frame::MAX_SIDE))?;
    Picture::upright(pixels, orientation).ok_or(UNREADABLE)
}

/// WebP is not read in parts, so that fewer pixels are accepted.
fn from_webp(bytes: &[u8]) -> Result<Picture, PictureError> {
    let refused = |_: image::ImageError| UNREADABLE;
    let (image, exif) = guarded(|| {
        let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refused)?;
        let (width, height) = decoder.dimensions();
        if width as usize * height as usize > Decoder::MAX_PIXELS
            || width.max(height) > Frame::MAX_SIDE
        {
            return Err(PictureError::TooLarge { width, height, max_pixels: Decoder::MAX_PIXELS });
        }
        let exif = decoder.exif_metadata().ok().flatten();
        Ok((DynamicImage::from_decoder(decoder).map_err(refused)?, exif))
    })?;
    let rgb = image.into_rgb8();
    let (width, height) = rgb.dimensions();
    let pixels = Pixels { width, height, rgb: rgb.into_raw() };
    // Some programs put the name of the JPEG segment before it.
    let exif = exif.as_deref().map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    Picture::upright(pixels, orientation_of(exif)).ok_or(UNREADABLE)
}

fn orientation_of(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgb};
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
    fn all_formats_give_the_same_picture() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
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
        assert!(matches!(unmended, PictureError::Damaged(_)), "the checksum is wrong: {unmended}");
        let crc = crc_of(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = Picture::decode(&png).unwrap_err();
        let found = matches!(error, PictureError::TooLarge { width: 0x7F00, height: 0x7F00, .. });
        assert!(found, "{error}");
    }

    #[test]
    fn a_long_thin_png_is_made_to_fit_a_frame() {
        let side = Frame::MAX_SIDE + 1;
        for (width, height) in [(side, 1), (1, side)] {
            let mut png = Cursor::new(Vec::new());
            RgbImage::new(width, height).write_to(&mut png, ImageFormat::Png).unwrap();
            let picture = Picture::decode(png.get_ref()).unwrap();
            assert_eq!(
                (picture.width(), picture.height()),
                (width.div_ceil(2), height.div_ceil(2))
            );
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
        fn spoiled_files_never_panic(at: prop::sample::Index, value: u8, kind in 0..3_usize) {
            let kinds = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];
            let mut bytes = encoded(kinds[kind]);
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = Picture::decode(&bytes).is_ok();
        }
    }
}
