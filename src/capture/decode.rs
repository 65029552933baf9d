//! A captured frame becomes pixels.
//!
//! In: a [`CapturedFrame`]. Out: a [`Frame`], looked at as the captured one asks: borrowed from it where it is raw, decoded into this
//! decoder's own memory where it is JPEG (RGB, or luminance alone for a grey picture).
//!
//! Invariants: nothing is allocated here after the largest picture was seen once (the JPEG library
//! has small tables of its own); size is bounded before memory is taken; a damaged or cut-off
//! picture is an error. One exception is known: where a camera cuts the picture's data and still
//! puts an end marker behind, the library fills what is missing with a flat colour.
//! Sources: ITU-T T.81; many UVC cameras leave out the Huffman tables and pad with zeros behind
//! the end marker: both are accepted.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{CapturedFrame, Encoding, MAX_JPEG_BYTES};
use crate::frame::{Frame, FrameError, PixelFormat};

/// What makes bytes not a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// There are no bytes.
    #[error("empty: 0 bytes where a picture should be")]
    Empty,
    /// They are something else.
    #[error("not a {expected} picture: begins with {found}")]
    WrongFormat {
        /// What was expected.
        expected: &'static str,
        /// The first bytes.
        found: String,
    },
    /// The end is missing.
    #[error(
        "cut off after {found} bytes: the end of the picture is missing; capture or copy it again"
    )]
    Truncated {
        /// How many bytes there are.
        found: usize,
    },
    /// It would take too much memory.
    #[error(
        "{width}×{height} pixels: at most {max_pixels} are accepted, and {max_side} a side: scale it down",
        max_side = Frame::MAX_SIDE
    )]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The limit.
        max_pixels: usize,
    },
    /// Too many compressed bytes.
    #[error("{found} bytes are more than the {max} accepted: scale it down")]
    TooLong {
        /// How many there are.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// The decoder gave up.
    #[error("damaged, or of an unusual kind: {0}")]
    Corrupt(String),
    /// Size, stride and bytes do not fit each other.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Turns captured frames into pixels; keeps its memory from frame to frame.
pub struct Decoder {
    pixels: Vec<u8>,
    /// A picture without Huffman tables, dressed up as one that says so.
    dressed: Vec<u8>,
    max_pixels: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Decoder {
    /// Never shows pixels: what is debugged may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("max_pixels", &self.max_pixels)
            .field("scratch_bytes", &self.pixels.len())
            .finish_non_exhaustive()
    }
}

/// A JPEG picture's facts from its header.
struct Header {
    width: u32,
    height: u32,
    format: PixelFormat,
}

impl Decoder {
    /// The most pixels that a picture may have unless told otherwise: 4096 × 4096, 48 MiB of RGB.
    pub const MAX_PIXELS: usize = 1 << 24;

    /// A decoder for pictures of up to [`Self::MAX_PIXELS`].
    #[must_use]
    pub const fn new() -> Self {
        Self::with_max_pixels(Self::MAX_PIXELS)
    }

    /// A decoder for pictures of up to `max_pixels`.
    #[must_use]
    pub const fn with_max_pixels(max_pixels: usize) -> Self {
        Self { pixels: Vec::new(), dressed: Vec::new(), max_pixels }
    }

    /// The frame's pixels.
    ///
    /// # Errors
    /// [`PictureError`] when they are short, damaged, too many, or not what they claim to be.
    pub fn decode<'a>(
        &'a mut self,
        captured: &'a CapturedFrame,
    ) -> Result<Frame<'a>, PictureError> {
        let (sequence, captured_at) = (captured.sequence, captured.captured_at);
        let frame = match captured.encoding {
            Encoding::Raw(format) => {
                if captured.bytes.is_empty() {
                    return Err(PictureError::Empty);
                }
                let size = (captured.width, captured.height);
                let stride = captured.stride;
                Frame::new(&captured.bytes, format, size, stride, sequence, captured_at)?
            }
            Encoding::Jpeg => {
                let Header { width, height, format } = self.decode_jpeg(&captured.bytes)?;
                let stride = format.min_stride(width);
                let size = (width, height);
                Frame::new(&self.pixels, format, size, stride, sequence, captured_at)?
            }
        };
        Ok(frame.seen_by(captured.view))
    }

    fn decode_jpeg(&mut self, bytes: &[u8]) -> Result<Header, PictureError> {
        check_jpeg_frame(bytes)?;
        let bytes = if has_huffman_tables(bytes) {
            bytes
        } else {
            self.dressed.clear();
            self.dressed.extend_from_slice(&START_WITHOUT_TABLES);
            self.dressed.extend_from_slice(bytes.get(2..).unwrap_or_default());
            &self.dressed
        };
        let (pixels, max_pixels) = (&mut self.pixels, self.max_pixels);
        // The library has had panics on malformed input; one must cost a frame, not the daemon.
        catch_unwind(AssertUnwindSafe(|| decode_checked(bytes, pixels, max_pixels)))
            .unwrap_or_else(|_| Err(PictureError::Corrupt("the decoder panicked".to_owned())))
    }
}

/// The start marker, and the segment by which an AVI file's pictures say that they leave out the
/// Huffman tables that all of them share. The JPEG library knows those tables, and takes them where
/// it sees this segment; UVC cameras leave out both.
const START_WITHOUT_TABLES: [u8; 12] = [0xFF, 0xD8, 0xFF, 0xE0, 0, 8, b'A', b'V', b'I', b'1', 0, 0];

/// Whether the picture brings Huffman tables before its first scan. What cannot be walked counts as
/// having them: the decoder will say what is wrong with it.
fn has_huffman_tables(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match rest {
            [0xFF, 0xFF, ..] => rest = rest.get(1..).unwrap_or_default(),
            [0xFF, 0xC4, ..] => return true,
            [0xFF, 0xDA, ..] => return false,
            [0xFF, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            _ => return true,
        }
    }
}

/// First and last marker, and length: what tells most bad frames without decoding them.
fn check_jpeg_frame(bytes: &[u8]) -> Result<(), PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    if bytes.len() > MAX_JPEG_BYTES {
        let (found, max) = (bytes.len() as u64, MAX_JPEG_BYTES as u64);
        return Err(PictureError::TooLong { found, max });
    }
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(PictureError::WrongFormat { expected: "JPEG", found: first_bytes(bytes) });
    }
    let padding = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let end = bytes.len() - padding;
    if !bytes.get(..end).is_some_and(|used| used.ends_with(&[0xFF, 0xD9])) {
        return Err(PictureError::Truncated { found: bytes.len() });
    }
    Ok(())
}

fn decode_checked(
    bytes: &[u8],
    pixels: &mut Vec<u8>,
    max_pixels: usize,
) -> Result<Header, PictureError> {
    let corrupt = |error: zune_jpeg::errors::DecodeErrors| PictureError::Corrupt(error.to_string());
    // Strict, because the lenient mode fills what is missing with grey and says all is well.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(Frame::MAX_SIDE as usize)
        .set_max_height(Frame::MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(corrupt)?;
    let Some(info) = decoder.info() else {
        return Err(PictureError::Corrupt("no header".to_owned()));
    };
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    if width as usize * height as usize > max_pixels {
        return Err(PictureError::TooLarge { width, height, max_pixels });
    }
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let format = if grey { PixelFormat::Grey } else { PixelFormat::Rgb };
    if grey {
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::Luma));
    }
    let needed = format.frame_len(format.min_stride(width), height);
    if pixels.len() < needed {
        pixels.resize(needed, 0);
    }
    let out = pixels.get_mut(..needed).unwrap_or_default();
    decoder.decode_into(out).map_err(corrupt)?;
    Ok(Header { width, height, format })
}

/// The first bytes of something that was expected to be something else, for a message.
pub(super) fn first_bytes(bytes: &[u8]) -> String {
    let head = bytes.get(..8).unwrap_or(bytes);
    if !head.is_empty() && head.iter().all(|byte| (0x20..0x7F).contains(byte)) {
        return format!("'{}'", String::from_utf8_lossy(head));
    }
    let hex: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
    if hex.is_empty() { "nothing".to_owned() } else { hex.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder};
    use proptest::prelude::*;

    fn jpeg(width: u32, height: u32, grey: bool) -> Vec<u8> {
        let (kind, depth) =
            if grey { (ExtendedColorType::L8, 1) } else { (ExtendedColorType::Rgb8, 3) };
        let pixels: Vec<u8> = (0..width * height * depth).map(|i| ((i * 7) % 251) as u8).collect();
        let mut out = Vec::new();
        JpegEncoder::new_with_quality(&mut out, 90)
            .write_image(&pixels, width, height, kind)
            .unwrap();
        out
    }

    fn captured(bytes: &[u8]) -> CapturedFrame {
        let mut frame = CapturedFrame::new();
        frame.begin_jpeg(3, Monotonic::from_millis(9)).extend_from_slice(bytes);
        frame
    }

    #[test]
    fn colour_is_rgb_and_grey_is_grey() {
        let mut decoder = Decoder::new();
        for (grey, format) in [(false, PixelFormat::Rgb), (true, PixelFormat::Grey)] {
            let mut frame = captured(&jpeg(37, 21, grey));
            // Padding behind the end marker, as UVC cameras add it.
            frame.bytes_mut().extend_from_slice(&[0; 5]);
            let decoded = decoder.decode(&frame).unwrap();
            assert_eq!((decoded.format(), decoded.width(), decoded.height()), (format, 37, 21));
            assert_eq!((decoded.sequence(), decoded.captured_at()), (3, Monotonic::from_millis(9)));
        }
    }

    #[test]
    fn pictures_without_huffman_tables_are_those_with_the_usual_ones() {
        let mut decoder = Decoder::new();
        let whole = jpeg(48, 32, false);
        let mut bare = vec![0xFF, 0xD8];
        let mut rest = &whole[2..];
        while rest[1] != 0xDA {
            let length = 2 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            if rest[1] != 0xC4 {
                bare.extend_from_slice(&rest[..length]);
            }
            rest = &rest[length..];
        }
        bare.extend_from_slice(rest);
        assert!(bare.len() < whole.len() && has_huffman_tables(&whole));
        let expected = decoder.decode(&captured(&whole)).unwrap().pixels().to_vec();
        assert_eq!(decoder.decode(&captured(&bare)).unwrap().pixels(), expected);
    }

    #[test]
    fn raw_pixels_are_borrowed_not_copied() {
        let mut decoder = Decoder::new();
        let mut frame = CapturedFrame::new();
        let at = Monotonic::default();
        frame.begin_raw(PixelFormat::Yuyv, (4, 2), 8, 0, at).extend_from_slice(&[1; 16]);
        let address = frame.bytes().as_ptr();
        assert_eq!(decoder.decode(&frame).unwrap().pixels().as_ptr(), address);
        frame.bytes_mut().truncate(15);
        let error = decoder.decode(&frame).unwrap_err();
        assert_eq!(error, PictureError::Frame(FrameError::Short { found: 15, needed: 16 }));
        frame.bytes_mut().clear();
        assert_eq!(decoder.decode(&frame).unwrap_err(), PictureError::Empty);
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = jpeg(64, 48, false);
        let mut decoder = Decoder::new();
        for end in 0..whole.len() {
            let result = decoder.decode(&captured(&whole[..end])).map(|frame| frame.width());
            assert!(result.is_err(), "cut at {end} of {}", whole.len());
        }
    }

    #[test]
    fn size_is_bounded_before_memory_is_taken() {
        let mut decoder = Decoder::with_max_pixels(1000);
        let error = decoder.decode(&captured(&jpeg(64, 48, false))).unwrap_err();
        let expected = PictureError::TooLarge { width: 64, height: 48, max_pixels: 1000 };
        assert_eq!(error, expected);
        assert_eq!(decoder.pixels.capacity(), 0);
        let error = Decoder::new().decode(&captured(b"GIF89a,,,")).unwrap_err();
        assert!(error.to_string().contains("'GIF89a,,'"), "{error}");
    }

    #[test]
    fn memory_is_kept_from_frame_to_frame() {
        let mut decoder = Decoder::new();
        let (large, small) = (captured(&jpeg(64, 48, false)), captured(&jpeg(16, 16, false)));
        let first = decoder.decode(&large).unwrap().pixels().as_ptr();
        assert_eq!(decoder.decode(&small).unwrap().pixels().as_ptr(), first);
        assert_eq!(decoder.decode(&large).unwrap().pixels().as_ptr(), first);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut dressed = vec![0xFF, 0xD8];
            dressed.extend_from_slice(&bytes);
            dressed.extend_from_slice(&[0xFF, 0xD9]);
            let _ = Decoder::new().decode(&captured(&bytes)).is_ok();
            let _ = Decoder::new().decode(&captured(&dressed)).is_ok();
        }

        #[test]
        fn spoiled_pictures_never_panic(at in 2usize..600, value: u8, grey: bool) {
            let mut bytes = jpeg(40, 24, grey);
            let at = at % (bytes.len() - 2);
            bytes[at] = value;
            let mut decoder = Decoder::with_max_pixels(1 << 20);
            if let Ok(frame) = decoder.decode(&captured(&bytes)) {
                prop_assert!(frame.pixels().len() >= frame.stride() * frame.height() as usize);
            }
        }
    }
}
