//! Picture files, read with limits.
//!
//! In: a path that anybody may have chosen. Out: an RGB picture within [`Frame::MAX_SIDE`], upright
//! as its EXIF orientation says, or why not. Invariant: sizes are checked before anything is
//! allocated for them; what a file claims to be decides nothing, its first bytes do.
//! Deliberately absent: formats other than JPEG and PNG.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, RgbImage};

use super::exit::Kind;
use super::failure::Failure;
use crate::clock::Monotonic;
use crate::frame::{Frame, FrameError, PixelFormat};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The most memory that decoding may take.
const DECODED_BYTES_MAX: u64 = 512 << 20;

/// Reads the picture at `path`.
///
/// # Errors
/// [`Kind::Input`] for anything that is no complete JPEG or PNG of reasonable size.
pub fn read(path: &Path) -> Result<RgbImage, Failure> {
    let refused = |what: String, remedy: &str| {
        Failure::new(Kind::Input, what, remedy).at(path.display().to_string())
    };
    let about = std::fs::metadata(path)
        .map_err(|e| refused(e.to_string(), "check the path and who may read it"))?;
    if !about.is_file() {
        return Err(refused("is no file".to_owned(), "name a JPEG or PNG file"));
    }
    if about.len() == 0 {
        return Err(refused("the file is empty".to_owned(), "copy or take the picture again"));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(refused(
            format!("{} bytes, at most {FILE_BYTES_MAX} are read", about.len()),
            "make the picture smaller",
        ));
    }
    let bytes = std::fs::read(path)
        .map_err(|e| refused(e.to_string(), "check the path and who may read it"))?;
    decode(&bytes).map_err(|problem| match problem {
        Unreadable::Format => refused(
            "the file is neither JPEG nor PNG".to_owned(),
            "convert it, for example with 'convert FILE picture.jpg'",
        ),
        Unreadable::Size { width, height } => refused(
            format!("the picture is {width}×{height}, at most {0}×{0} are read", Frame::MAX_SIDE),
            "make the picture smaller",
        ),
        Unreadable::Damaged(what) => refused(
            format!("the picture is damaged or cut short ({what})"),
            "copy or take the picture again",
        ),
    })
}

/// Why bytes are no picture.
enum Unreadable {
    Format,
    Size { width: u32, height: u32 },
    Damaged(String),
}

fn decode(bytes: &[u8]) -> Result<RgbImage, Unreadable> {
    let damaged = |error: ImageError| Unreadable::Damaged(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Unreadable::Damaged(error.to_string()))?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png)) {
        return Err(Unreadable::Format);
    }
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width > Frame::MAX_SIDE || height > Frame::MAX_SIDE {
        return Err(Unreadable::Size { width, height });
    }
    if cut_short(bytes) {
        return Err(Unreadable::Damaged("the end of the file is missing".to_owned()));
    }
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

/// Whether a JPEG has no end-of-image marker behind its last scan: decoders fill what is missing
/// with grey, and a grey half of a face would be enrolled. Earlier markers may be a thumbnail's.
fn cut_short(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    bytes.starts_with(&[0xff, 0xd8]) && last([0xff, 0xd9]) <= last([0xff, 0xda])
}

/// `picture` as a frame with `sequence`.
///
/// # Errors
/// [`FrameError`] for a picture without pixels; [`read`] gives none such.
pub fn as_frame(picture: &RgbImage, sequence: u64) -> Result<Frame<'_>, FrameError> {
    let stride = PixelFormat::Rgb.min_stride(picture.width());
    let size = picture.dimensions();
    Frame::new(picture.as_raw(), PixelFormat::Rgb, size, stride, sequence, Monotonic::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> Result<RgbImage, Failure> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("picture");
        std::fs::write(&path, bytes).expect("written");
        read(&path)
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("encoded");
        bytes.into_inner()
    }

    #[test]
    fn whole_pictures_are_read_and_cut_ones_are_refused() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = encoded(format);
            assert_eq!(written(&bytes).expect("whole").dimensions(), (64, 48));
            for length in [1, 8, 20, bytes.len() / 2, bytes.len() * 9 / 10] {
                let failure = written(&bytes[..length]).expect_err("cut short");
                assert_eq!(failure.kind(), Kind::Input, "{format:?} cut to {length}");
            }
        }
    }

    #[test]
    fn empty_strange_and_absent_files_are_refused() {
        for bytes in [b"".as_slice(), b"GIF89a\x01\x00\x01\x00", b"hello, this is no picture"] {
            assert_eq!(written(bytes).expect_err("refused").kind(), Kind::Input);
        }
        for path in ["/nonexistent/picture.jpg", "/tmp"] {
            assert_eq!(read(Path::new(path)).expect_err("refused").kind(), Kind::Input);
        }
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
        // A PNG header of 60000×60000 pixels, with its checksum.
        let mut bytes = encoded(ImageFormat::Png);
        bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let mut crc = 0xffff_ffff_u32;
        for byte in &bytes[12..29] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
        let text = written(&bytes).expect_err("refused").to_string();
        assert!(text.contains("60000×60000"), "{text}");
    }
}
