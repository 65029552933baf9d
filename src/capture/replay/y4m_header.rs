//! The first line of a Y4M stream.
//!
//! In: its bytes. Out: size, rate, sampling and range, or what is not read and what to have instead.
//! Invariant: sides are within limits, and fit the sampling. Deliberately absent: frames, which are
//! [`y4m`](super::y4m)'s.

use super::y4m::Y4mError;
use crate::capture::{Decoder, FrameRate};
use crate::frame::Frame;

/// How the stream begins.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2";

/// How the file arranges its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampling {
    Planar420,
    Planar422,
    Mono,
    /// As NV12 has it; no Y4M.
    SemiPlanar420,
}

/// The facts of the file's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rate: Option<FrameRate>,
    pub(super) sampling: Sampling,
    /// `None` where the file does not say.
    pub(super) full_range: Option<bool>,
}

/// The first bytes of something, to be shown.
pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("'{}'", bytes.get(..24).unwrap_or(bytes).escape_ascii())
}

impl Header {
    /// Reads the first line.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        let wrong = |found: &[u8], expected| Y4mError::Header { found: quoted(found), expected };
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        if words.next() != Some(MAGIC) {
            return Err(wrong(line, "YUV4MPEG2"));
        }
        let (mut width, mut height, mut rate, mut full_range) = (None, None, None, None);
        let mut sampling = Sampling::Planar420;
        for word in words {
            let Some((tag, value)) = word.split_first() else { continue };
            match tag {
                b'W' => width = number(value),
                b'H' => height = number(value),
                b'F' => rate = fraction(value),
                b'I' if !matches!(value, b"p" | b"?") => {
                    return Err(wrong(word, "progressive frames: ffmpeg -vf yadif"));
                }
                b'C' => {
                    sampling = parse_sampling(value).ok_or_else(|| {
                        wrong(word, "C420, C422 or Cmono of 8 bits: ffmpeg -pix_fmt yuv420p")
                    })?;
                }
                b'X' => match value {
                    b"COLORRANGE=FULL" => full_range = Some(true),
                    b"COLORRANGE=LIMITED" => full_range = Some(false),
                    _ => {}
                },
                _ => {}
            }
        }
        let sides = 1..=Frame::MAX_SIDE;
        let fits = |side: &u32| sides.contains(side);
        let (Some(width), Some(height)) = (width.filter(fits), height.filter(fits)) else {
            return Err(wrong(line, "W and H, each 1 to 8192"));
        };
        if width as usize * height as usize > Decoder::MAX_PIXELS {
            return Err(wrong(line, "at most 4096×4096 pixels: ffmpeg -vf scale=640:-2"));
        }
        let even = match sampling {
            Sampling::Planar420 | Sampling::SemiPlanar420 => width % 2 == 0 && height % 2 == 0,
            Sampling::Planar422 => width % 2 == 0,
            Sampling::Mono => true,
        };
        if !even {
            return Err(wrong(line, "even sides: ffmpeg -vf 'crop=trunc(iw/2)*2:trunc(ih/2)*2'"));
        }
        Ok(Self { width, height, rate, sampling, full_range })
    }
}

fn parse_sampling(value: &[u8]) -> Option<Sampling> {
    match value {
        b"420" | b"420jpeg" | b"420mpeg2" | b"420paldv" => Some(Sampling::Planar420),
        b"422" => Some(Sampling::Planar422),
        b"mono" => Some(Sampling::Mono),
        _ => None,
    }
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn fraction(value: &[u8]) -> Option<FrameRate> {
    let (frames, seconds) = std::str::from_utf8(value).ok()?.split_once(':')?;
    FrameRate::new(frames.parse().ok()?, seconds.parse().ok()?)
}
