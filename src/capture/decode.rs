//! A captured frame becomes pixels.
//!
//! In: a [`CapturedFrame`]. Out: a [`Frame`], looked at as the captured one asks: borrowed from it where it is raw, decoded into this
//! decoder's own memory where it is JPEG.
//!
//! A JPEG picture is walked to its last code ([`jpeg`]): one that lacks data is an error, and
//! whatever stands behind its last code (an end marker or none, padding, remarks) does not matter.
//! What cameras send is drawn meanwhile, as NV12 ([`Planes`]). Of any other kind a library makes RGB, or
//! luminance alone for a grey picture, and sees a picture that ends where it must.
//!
//! Invariants: nothing is allocated here after the largest picture was seen once (the JPEG library
//! has small tables of its own); size is bounded before memory is taken; a picture that lacks data is
//! an error, never filled up; messages are ours, never a library's.
//! Sources: ITU-T T.81; many UVC cameras leave out the Huffman tables, leave out the end marker, or
//! pad behind it: all are accepted.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::format::OtherFormat;
use super::jpeg::averages::Averages;
use super::jpeg::planes::Planes;
use super::jpeg::{self, JpegFault, Layout, Outline};
use super::picture::Pixels;
use super::{CapturedFrame, Encoding, MAX_JPEG_BYTES};
use crate::frame::{Frame, FrameError, Glimpse, PixelFormat};
use crate::remedy::Remedied;

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
    /// They are a picture in a format that is not read.
    #[error("{0}")]
    OtherFormat(OtherFormat),
    /// The end is missing.
    #[error(
        "cut off after {found} bytes: only {percent} % of the picture is there; {advice}",
        advice = self.advice()
    )]
    Truncated {
        /// How many bytes there are.
        found: usize,
        /// How much of it can be decoded.
        percent: u8,
    },
    /// Bytes within it are missing.
    #[error(
        "data were lost on the way: only {percent} % of the picture can be decoded; {advice}",
        advice = self.advice()
    )]
    Lost {
        /// How much of it can be decoded.
        percent: u8,
    },
    /// It is a kind of JPEG that is not read.
    #[error("a JPEG picture of an unusual kind: {0}; {advice}", advice = self.advice())]
    Unsupported(&'static str),
    /// It would take too much memory.
    #[error(
        "{width}×{height} pixels are more than are read (at most {max_pixels}; a frame or WebP picture {max_side} a side): {advice}",
        max_side = Frame::MAX_SIDE,
        advice = self.advice()
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
    #[error("{found} bytes are more than the {max} accepted: {advice}", advice = self.advice())]
    TooLong {
        /// How many there are.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// Its bytes contradict each other.
    #[error("damaged: {0}; {advice}", advice = self.advice())]
    Damaged(&'static str),
    /// Size, stride and bytes do not fit each other.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Remedied for PictureError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Truncated { .. } | Self::Damaged(_) => "capture or copy it again".into(),
            Self::Lost { .. } => "check cable and hub of a camera, copy a file again".into(),
            Self::Unsupported(_) => {
                "make an ordinary one of it ('jpegtran -outfile OUT.jpg FILE' of the Debian package libjpeg-turbo-progs does so for arithmetic codes), or choose another of camera.formats".into()
            }
            Self::TooLarge { .. } | Self::TooLong { .. } => "scale it down".into(),
            Self::OtherFormat(other) => other.remedy.into(),
            Self::Empty | Self::WrongFormat { .. } | Self::Frame(_) => return None,
        })
    }
}

/// Why a frame cannot be decoded, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Undecodable {
    /// Its end is missing.
    CutOff = 1,
    /// Data within it are missing.
    Lost,
    /// It is of a kind that is not read.
    Unsupported,
    /// It contradicts itself.
    Damaged,
    /// It is something else than its source says, or of another size.
    Other,
}

impl Undecodable {
    /// As a number from 1.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What [`Self::code`] gave; `None` for every other number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::CutOff,
            2 => Self::Lost,
            3 => Self::Unsupported,
            4 => Self::Damaged,
            5 => Self::Other,
            _ => return None,
        })
    }

    /// For a message, behind a noun.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::CutOff => "cut off",
            Self::Lost => "data were lost on the way",
            Self::Unsupported => "of a kind that is not read, such as JPEG with arithmetic codes",
            Self::Damaged => "damaged",
            Self::Other => "not what its source says that it is",
        }
    }
}

impl PictureError {
    /// The error in a word.
    #[must_use]
    pub const fn cause(&self) -> Undecodable {
        match self {
            Self::Truncated { .. } => Undecodable::CutOff,
            Self::Lost { .. } => Undecodable::Lost,
            Self::Unsupported(_) | Self::OtherFormat(_) => Undecodable::Unsupported,
            Self::Damaged(_) => Undecodable::Damaged,
            Self::Empty
            | Self::WrongFormat { .. }
            | Self::TooLarge { .. }
            | Self::TooLong { .. }
            | Self::Frame(_) => Undecodable::Other,
        }
    }
}

/// Turns captured frames into pixels; keeps its memory from frame to frame.
pub struct Decoder {
    pixels: Vec<u8>,
    /// A picture that leaves out tables or end marker, as one that does not.
    dressed: Vec<u8>,
    walker: Box<jpeg::Walker>,
    planes: Box<Planes>,
    averages: Averages,
    /// Of the JPEG picture that the library decoded last.
    header: Header,
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
#[derive(Debug, Clone, Copy)]
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
    pub fn new() -> Self {
        Self::with_max_pixels(Self::MAX_PIXELS)
    }

    /// A decoder for pictures of up to `max_pixels`.
    #[must_use]
    pub fn with_max_pixels(max_pixels: usize) -> Self {
        let walker = Box::new(jpeg::Walker::new());
        let header = Header { width: 0, height: 0, format: PixelFormat::Grey };
        let (planes, averages) = (Box::default(), Averages::default());
        let (pixels, dressed) = (Vec::new(), Vec::new());
        Self { pixels, dressed, walker, planes, averages, header, max_pixels }
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
                let bytes = &captured.bytes;
                let (outline, layout) =
                    walk(&mut self.walker, bytes, self.max_pixels, &mut *self.planes)?;
                if self.planes.complete(&outline) {
                    let (pixels, stride) = self.planes.picture();
                    let (size, format) = ((layout.width, layout.height), PixelFormat::Nv12);
                    Frame::new(pixels, format, size, stride, sequence, captured_at)?
                } else {
                    self.draw_by_library(bytes, &outline)?;
                    let Header { width, height, format } = self.header;
                    let stride = format.min_stride(width);
                    let size = (width, height);
                    Frame::new(&self.pixels, format, size, stride, sequence, captured_at)?
                }
            }
        };
        Ok(frame.seen_by(captured.view))
    }

    /// What can be seen of the frame without decoding it: a raw one as it is, of a JPEG picture the
    /// averages of its blocks.
    ///
    /// # Errors
    /// [`PictureError`], as of [`Self::decode`]; a JPEG picture that the library alone would refuse is
    /// not noticed.
    pub fn glimpse<'a>(
        &'a mut self,
        captured: &'a CapturedFrame,
    ) -> Result<Glimpse<'a>, PictureError> {
        if captured.encoding != Encoding::Jpeg {
            return self.decode(captured).map(Glimpse::from);
        }
        let (_, layout) =
            walk(&mut self.walker, &captured.bytes, self.max_pixels, &mut self.averages)?;
        if !Averages::suits(&layout) {
            return self.decode(captured).map(Glimpse::from);
        }
        let (pixels, size, stride) = self.averages.picture(&layout);
        let (sequence, at) = (captured.sequence, captured.captured_at);
        let frame = Frame::new(pixels, PixelFormat::Grey, size, stride, sequence, at)?;
        Ok(Glimpse { frame: frame.seen_by(captured.view), scale: Averages::SCALE })
    }

    /// Decodes a JPEG picture as a file has it, into RGB or luminance alone.
    pub(super) fn decode_jpeg(&mut self, bytes: &[u8]) -> Result<Outline, PictureError> {
        let (outline, _) = walk(&mut self.walker, bytes, self.max_pixels, &mut ())?;
        self.draw_by_library(bytes, &outline)?;
        Ok(outline)
    }

    /// Has the library make pixels of a picture that was walked.
    fn draw_by_library(&mut self, bytes: &[u8], outline: &Outline) -> Result<(), PictureError> {
        let max_pixels = self.max_pixels;
        let ends = bytes.get(outline.end..).is_some_and(|rest| rest.starts_with(&END));
        let bytes = if outline.has_tables && ends {
            bytes.get(..outline.end + END.len()).unwrap_or(bytes)
        } else {
            let (start, own): (&[u8], _) =
                if outline.has_tables { (&[], 0) } else { (&START_WITHOUT_TABLES, 2) };
            self.dressed.clear();
            self.dressed.extend_from_slice(start);
            self.dressed.extend_from_slice(bytes.get(own..outline.end).unwrap_or_default());
            self.dressed.extend_from_slice(&END);
            &self.dressed
        };
        let pixels = &mut self.pixels;
        // The library has had panics on malformed input; one must cost a frame, not the daemon.
        self.header = catch_unwind(AssertUnwindSafe(|| decode_whole(bytes, pixels, max_pixels)))
            .unwrap_or(Err(UNREADABLE))?;
        Ok(())
    }

    /// The pixels of the last JPEG picture, as a file has them.
    pub(super) fn into_rgb(mut self) -> Pixels {
        let Header { width, height, format } = self.header;
        self.pixels.truncate(format.frame_len(format.min_stride(width), height));
        let rgb = match format {
            PixelFormat::Grey => self.pixels.iter().flat_map(|grey| [*grey; 3]).collect(),
            _ => self.pixels,
        };
        Pixels { width, height, rgb }
    }
}

const END: [u8; 2] = [0xFF, 0xD9];

/// What is said of a picture that is whole by its codes, and that the library refuses.
const UNREADABLE: PictureError = PictureError::Damaged("its parts do not fit each other");

/// The start marker, and the segment by which an AVI file's pictures say that they leave out the
/// Huffman tables that all of them share. The JPEG library knows those tables, and takes them where
/// it sees this segment; UVC cameras leave out both.
const START_WITHOUT_TABLES: [u8; 12] = [0xFF, 0xD8, 0xFF, 0xE0, 0, 8, b'A', b'V', b'I', b'1', 0, 0];

/// Walks a JPEG picture to its last code.
fn walk(
    walker: &mut jpeg::Walker,
    bytes: &[u8],
    max_pixels: usize,
    sink: &mut impl jpeg::Sink,
) -> Result<(Outline, Layout), PictureError> {
    check_beginning(bytes)?;
    let walked = walker.walk(bytes, max_pixels, sink);
    let (outline, layout) = walked.map_err(|fault| of_fault(fault, bytes, max_pixels))?;
    let (width, height) = (layout.width, layout.height);
    if width.max(height) > Frame::MAX_SIDE {
        return Err(PictureError::TooLarge { width, height, max_pixels });
    }
    Ok((outline, layout))
}

/// What tells most bad frames without reading them.
fn check_beginning(bytes: &[u8]) -> Result<(), PictureError> {
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
    Ok(())
}

/// What a fault of `bytes` is called.
pub(super) fn of_fault(fault: JpegFault, bytes: &[u8], max_pixels: usize) -> PictureError {
    match fault {
        JpegFault::CutOff { percent } => PictureError::Truncated { found: bytes.len(), percent },
        JpegFault::Lost { percent } => PictureError::Lost { percent },
        JpegFault::Damaged(what) => PictureError::Damaged(what),
        JpegFault::Unsupported(what) => PictureError::Unsupported(what),
        JpegFault::TooLarge { width, height } => {
            PictureError::TooLarge { width, height, max_pixels }
        }
    }
}

/// Decodes a picture that was walked to its end.
fn decode_whole(
    bytes: &[u8],
    pixels: &mut Vec<u8>,
    max_pixels: usize,
) -> Result<Header, PictureError> {
    let refused = |error: zune_jpeg::errors::DecodeErrors| {
        tracing::debug!(%error, "the JPEG library refuses a picture that is whole");
        UNREADABLE
    };
    // Strict, because the lenient mode fills what it cannot read with grey and says all is well.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(Frame::MAX_SIDE as usize)
        .set_max_height(Frame::MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(refused)?;
    let Some(info) = decoder.info() else { return Err(UNREADABLE) };
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
    decoder.decode_into(out).map_err(refused)?;
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
        assert!(bare.len() < whole.len());
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
    fn every_cut_is_an_error_but_those_behind_the_data() {
        let whole = jpeg(64, 48, false);
        let mut decoder = Decoder::new();
        let expected = decoder.decode(&captured(&whole)).unwrap().pixels().to_vec();
        for end in 0..whole.len() {
            let result =
                decoder.decode(&captured(&whole[..end])).map(|frame| frame.pixels().to_vec());
            // The end marker has two bytes.
            match result {
                Ok(pixels) => assert!(end + 2 >= whole.len() && pixels == expected, "cut at {end}"),
                Err(error) => assert!(end + 2 < whole.len(), "cut at {end}: {error}"),
            }
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
            // A whole header before them, so that they are taken for data.
            let whole = jpeg(40, 24, bytes.len() % 2 == 0);
            let data = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
            let scan = [&whole[..data.min(whole.len())], &bytes].concat();
            let _ = Decoder::with_max_pixels(1 << 20).decode(&captured(&scan)).is_ok();
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
