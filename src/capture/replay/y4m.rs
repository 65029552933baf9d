//! Y4M: uncompressed video with a line of text before each frame.
//!
//! In: any byte stream. Out: frames in a format that cameras give too: 4:2:0 becomes NV12, 4:2:2
//! becomes YUYV, mono becomes grey. Samples are kept as they are, unless the file's range is not
//! the one that [`PixelFormat`] promises (limited for colour, full for grey): then each is mapped.
//!
//! A stream that does not end, such as a program's pipe, goes on behind what was broken
//! ([`Y4mReader::resynchronise`]); a file does not. Also here, because their planes are the same:
//! frames without any line ([`Y4mReader::bare`]), which cannot be found again once they are broken.
//!
//! Invariants: header lines are bounded; sides are checked before memory is taken; a frame is
//! whole or an error. Deliberately absent: 4:4:4, alpha, more than 8 bits, interlacing, each
//! refused with the `ffmpeg` option that gives something that can be read.
//! Source: the file format's description in the mjpegtools manual, `yuv4mpeg(5)`, and the colour
//! range extension `XCOLORRANGE` of ffmpeg.

use std::borrow::Cow;
use std::io::{self, BufRead};

use super::y4m_header::{Header, MAGIC, Sampling, quoted};
use crate::capture::FrameRate;
use crate::frame::PixelFormat;
use crate::remedy::Remedied;

/// The longest header line, in bytes; real ones have less than 100.
const MAX_LINE_BYTES: usize = 1024;

/// How each frame begins.
const FRAME: &[u8] = b"FRAME";

/// What makes a stream not usable Y4M.
#[derive(Debug, thiserror::Error)]
pub enum Y4mError {
    /// It cannot be read.
    #[error("Y4M frame {frame}: cannot be read: {error}")]
    Io {
        /// Which frame, from 0.
        frame: u64,
        /// The system's words.
        error: io::Error,
    },
    /// The first line is wrong.
    #[error("Y4M header: {found}: {advice}", advice = self.advice())]
    Header {
        /// What stands there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A frame does not begin where it should.
    #[error("Y4M frame {frame}: begins with {found}, not FRAME: {advice}", advice = self.advice())]
    Frame {
        /// Which frame, from 0.
        frame: u64,
        /// What stands there.
        found: String,
    },
    /// The stream ends inside a frame.
    #[error(
        "Y4M frame {frame} is cut off, {missing} of {needed} bytes are missing: the recording was not finished; {advice}",
        advice = self.advice()
    )]
    Truncated {
        /// Which frame, from 0.
        frame: u64,
        /// Bytes that are not there.
        missing: usize,
        /// Bytes that a frame has.
        needed: usize,
    },
}

impl Remedied for Y4mError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Header { expected, .. } => format!("expected {expected}").into(),
            Self::Frame { .. } => "the file is damaged before it".into(),
            Self::Truncated { .. } => "all before it can be used".into(),
            Self::Io { .. } => return None,
        })
    }
}

/// How the samples of frames without lines are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareFormat {
    /// Three planes, colour at half the width and height.
    Yuv420,
    /// Two planes, the second with both colours in turn.
    Nv12,
}

/// Reads frames of a Y4M stream.
#[derive(Debug)]
pub struct Y4mReader<R> {
    input: R,
    header: Header,
    luma: Option<Box<[u8; 256]>>,
    chroma: Option<Box<[u8; 256]>>,
    planes: Vec<u8>,
    line: Vec<u8>,
    frame: u64,
    /// Frames have lines before them.
    lined: bool,
    /// The line of another frame stood in the samples that were read last.
    mixed: bool,
    /// How much of the next frame's line was read already.
    begun: Begun,
}

/// How much of a frame's line was read already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Nothing,
    Mark,
    Line,
}

impl<R: BufRead> Y4mReader<R> {
    /// Reads the first line of `input`.
    ///
    /// # Errors
    /// [`Y4mError`] when it is not Y4M or of a kind that is not read.
    pub fn new(mut input: R) -> Result<Self, Y4mError> {
        let mut line = Vec::new();
        read_line(&mut input, &mut line, 0)?;
        Self::with_header(input, line)
    }

    /// As [`Self::new`] for a stream in which anything may stand before the first line; `None` where
    /// it ends before that.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn find(mut input: R) -> Result<Option<Self>, Y4mError> {
        if !skip_behind(&mut input, MAGIC, 0)? {
            return Ok(None);
        }
        let mut rest = Vec::new();
        read_line(&mut input, &mut rest, 0)?;
        Self::with_header(input, [MAGIC, &rest].concat()).map(Some)
    }

    /// Reads frames of `size` that have no line before them, of limited range.
    ///
    /// # Errors
    /// [`Y4mError::Header`] for sides that no such frame has.
    pub fn bare(input: R, size: (u32, u32), format: BareFormat) -> Result<Self, Y4mError> {
        let line = format!("YUV4MPEG2 W{} H{} C420", size.0, size.1).into_bytes();
        let mut reader = Self::with_header(input, line)?;
        reader.lined = false;
        if format == BareFormat::Nv12 {
            reader.header.sampling = Sampling::SemiPlanar420;
        }
        Ok(reader)
    }

    fn with_header(input: R, line: Vec<u8>) -> Result<Self, Y4mError> {
        let header = Header::parse(&line)?;
        let full = header.full_range;
        let (luma, chroma) = match header.sampling {
            Sampling::Mono => {
                ((full != Some(true)).then(|| map(|y| (y - 16.0) / 219.0 * 255.0)), None)
            }
            Sampling::Planar420 | Sampling::Planar422 if full == Some(true) => (
                Some(map(|y| 16.0 + y / 255.0 * 219.0)),
                Some(map(|c| 128.0 + (c - 128.0) / 255.0 * 224.0)),
            ),
            Sampling::Planar420 | Sampling::Planar422 | Sampling::SemiPlanar420 => (None, None),
        };
        let (planes, lined) = (Vec::new(), true);
        Ok(Self {
            input,
            header,
            luma,
            chroma,
            planes,
            line,
            frame: 0,
            lined,
            mixed: false,
            begun: Begun::Nothing,
        })
    }

    /// Goes on behind what was broken, at the beginning of the next frame; `false` where there is
    /// none any more.
    ///
    /// # Errors
    /// [`Y4mError::Io`].
    pub fn resynchronise(&mut self) -> Result<bool, Y4mError> {
        if !self.lined || self.begun == Begun::Line {
            return Ok(true);
        }
        let found = skip_behind(&mut self.input, FRAME, self.frame)?;
        self.begun = if found { Begun::Mark } else { Begun::Nothing };
        Ok(found)
    }

    /// Whether the line of another frame stands in the samples that were read last: bytes were lost,
    /// and they are of two frames. Samples that say so by chance are as rare as one in 10¹² of them.
    #[must_use]
    pub const fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Pixels across and down.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        (self.header.width, self.header.height)
    }

    /// The file's own rate, where it states one.
    #[must_use]
    pub const fn rate(&self) -> Option<FrameRate> {
        self.header.rate
    }

    /// The format that frames come in; rows have no gaps.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        match self.header.sampling {
            Sampling::Planar420 | Sampling::SemiPlanar420 => PixelFormat::Nv12,
            Sampling::Planar422 => PixelFormat::Yuyv,
            Sampling::Mono => PixelFormat::Grey,
        }
    }

    /// Puts the next frame's pixels into `into`, which is emptied first; `false` at the end.
    ///
    /// # Errors
    /// [`Y4mError`]; the stream cannot be read further then, unless by [`Self::resynchronise`].
    pub fn next_frame(&mut self, into: &mut Vec<u8>) -> Result<bool, Y4mError> {
        into.clear();
        let is_there = if self.lined { self.read_frame_line()? } else { self.is_more()? };
        if !is_there {
            return Ok(false);
        }
        self.read_planes()?;
        // As they were read: what is arranged may be mapped, and holds no line then.
        self.mixed = self.lined && holds_a_line(&self.planes);
        self.arrange(into);
        self.frame += 1;
        Ok(true)
    }

    fn is_more(&mut self) -> Result<bool, Y4mError> {
        let frame = self.frame;
        let buffer = self.input.fill_buf().map_err(|error| Y4mError::Io { frame, error })?;
        Ok(!buffer.is_empty())
    }

    /// The line before a frame; `false` at the end of the stream.
    fn read_frame_line(&mut self) -> Result<bool, Y4mError> {
        let frame = self.frame;
        let begun = std::mem::replace(&mut self.begun, Begun::Nothing);
        if begun == Begun::Line {
            return Ok(true);
        }
        let read = read_line(&mut self.input, &mut self.line, frame)?;
        if read == 0 {
            return Ok(false);
        }
        let rest = match begun {
            Begun::Mark => Some(self.line.as_slice()),
            _ => self.line.strip_prefix(FRAME),
        };
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b" ")) {
            return Ok(true);
        }
        // What was lost or added before a line ends within it.
        if read > self.line.len() && self.line.ends_with(FRAME) {
            self.begun = Begun::Line;
        }
        Err(Y4mError::Frame { frame, found: quoted(&self.line) })
    }

    fn read_planes(&mut self) -> Result<(), Y4mError> {
        let luma = self.header.width as usize * self.header.height as usize;
        let needed = match self.header.sampling {
            Sampling::Planar420 | Sampling::SemiPlanar420 => luma + luma / 2,
            Sampling::Planar422 => luma * 2,
            Sampling::Mono => luma,
        };
        self.planes.resize(needed, 0);
        let frame = self.frame;
        let mut rest = self.planes.as_mut_slice();
        while !rest.is_empty() {
            let missing = rest.len();
            match self.input.read(rest) {
                Ok(0) => return Err(Y4mError::Truncated { frame, missing, needed }),
                Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Y4mError::Io { frame, error }),
            }
        }
        Ok(())
    }

    fn arrange(&mut self, into: &mut Vec<u8>) {
        let luma_len = self.header.width as usize * self.header.height as usize;
        let (luma, chroma) = self.planes.split_at_mut(luma_len);
        remap(luma, self.luma.as_deref());
        remap(chroma, self.chroma.as_deref());
        let (blue, red) = chroma.split_at(chroma.len() / 2);
        let pairs = blue.iter().zip(red);
        match self.header.sampling {
            Sampling::Mono => into.extend_from_slice(luma),
            Sampling::SemiPlanar420 => {
                into.extend_from_slice(luma);
                into.extend_from_slice(chroma);
            }
            Sampling::Planar420 => {
                into.extend_from_slice(luma);
                into.extend(pairs.flat_map(|(blue, red)| [*blue, *red]));
            }
            Sampling::Planar422 => {
                let (two, _) = luma.as_chunks::<2>();
                into.extend(
                    two.iter().zip(pairs).flat_map(|([y0, y1], (b, r))| [*y0, *b, *y1, *r]),
                );
            }
        }
    }
}

/// Whether a frame's line stands in `samples`.
fn holds_a_line(samples: &[u8]) -> bool {
    const LINE: &[u8] = b"FRAME\n";
    let mut rest = samples;
    while let Some(at) = rest.iter().position(|sample| *sample == b'F') {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(LINE) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

fn map(of: impl Fn(f32) -> f32) -> Box<[u8; 256]> {
    let mut table = Box::new([0; 256]);
    for (value, entry) in (0u8..=255).zip(table.iter_mut()) {
        // `as` saturates, which is what a sample outside its range needs.
        *entry = of(f32::from(value)).round() as u8;
    }
    table
}

fn remap(samples: &mut [u8], table: Option<&[u8; 256]>) {
    let Some(table) = table else { return };
    for sample in samples {
        if let Some(mapped) = table.get(usize::from(*sample)) {
            *sample = *mapped;
        }
    }
}

/// Reads a line without its end into `line`; 0 only at the end of the stream.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, frame: u64) -> Result<usize, Y4mError> {
    line.clear();
    let mut bounded = io::Read::take(input, MAX_LINE_BYTES as u64);
    let read = bounded.read_until(b'\n', line).map_err(|error| Y4mError::Io { frame, error })?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(read)
}

/// Reads over everything up to `mark` and over that itself; `false` where the stream ends before it.
fn skip_behind(input: &mut impl BufRead, mark: &[u8], frame: u64) -> Result<bool, Y4mError> {
    let mut matched = 0;
    loop {
        let buffer = input.fill_buf().map_err(|error| Y4mError::Io { frame, error })?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let mut used = 0;
        for byte in buffer {
            used += 1;
            // Neither mark begins anew within itself.
            matched = match mark.get(matched) {
                Some(wanted) if wanted == byte => matched + 1,
                _ => usize::from(mark.first() == Some(byte)),
            };
            if matched == mark.len() {
                break;
            }
        }
        input.consume(used);
        if matched == mark.len() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Y4mError> {
        let mut reader = Y4mReader::new(bytes)?;
        let (mut all, mut one) = (Vec::new(), Vec::new());
        while reader.next_frame(&mut one)? {
            all.push(one.clone());
        }
        Ok(all)
    }

    #[test]
    fn planes_become_camera_formats() {
        let nv12 =
            b"YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG\nFRAME\nABCDurFRAME Ip\nEFGHvs";
        assert_eq!(frames(nv12).unwrap(), vec![b"ABCDur".to_vec(), b"EFGHvs".to_vec()]);
        let reader = Y4mReader::new(nv12.as_slice()).unwrap();
        assert_eq!((reader.format(), reader.size()), (PixelFormat::Nv12, (2, 2)));
        assert_eq!(reader.rate(), FrameRate::new(25, 1));

        let yuyv = b"YUV4MPEG2 W4 H1 C422\nFRAME\nABCDuvrs";
        assert_eq!(frames(yuyv).unwrap(), vec![b"AuBrCvDs".to_vec()]);

        let grey = b"YUV4MPEG2 W3 H1 Cmono\nFRAME\n\x10\xEB\xFF";
        assert_eq!(frames(grey).unwrap(), vec![vec![0, 255, 255]]);
    }

    #[test]
    fn full_range_colour_is_mapped_to_limited() {
        let full = b"YUV4MPEG2 W2 H2 C420 XCOLORRANGE=FULL\nFRAME\n\x00\xFF\x80\x00\x80\xFF";
        assert_eq!(frames(full).unwrap(), vec![vec![16, 235, 126, 16, 128, 240]]);
        let grey = b"YUV4MPEG2 W2 H1 Cmono XCOLORRANGE=FULL\nFRAME\n\x10\xEB";
        assert_eq!(frames(grey).unwrap(), vec![vec![16, 235]]);
    }

    #[test]
    fn bad_files_are_refused_with_what_would_be_right() {
        let cases: [(&[u8], &str); 11] = [
            (b"YUV4MPEG2 W8192 H8192\n", "at most"),
            (b"", "expected YUV4MPEG2"),
            (b"RIFF1234AVI ", "'RIFF1234AVI '"),
            (b"YUV4MPEG2 W640\n", "W and H"),
            (b"YUV4MPEG2 W9000 H2\n", "1 to 8192"),
            (b"YUV4MPEG2 W3 H2\n", "even sides"),
            (b"YUV4MPEG2 W2 H2 C444\n", "-pix_fmt yuv420p"),
            (b"YUV4MPEG2 W2 H2 C420p10\n", "8 bits"),
            (b"YUV4MPEG2 W2 H2 It\n", "progressive"),
            (b"YUV4MPEG2 W2 H2\nFRAME\nABCDu", "1 of 6 bytes are missing"),
            (b"YUV4MPEG2 W2 H2\nFRAME\nABCDuvFROME\n", "Y4M frame 1: begins with 'FROME'"),
        ];
        for (bytes, expected) in cases {
            let text = frames(bytes).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_stream_goes_on_behind_what_was_broken() {
        let head = b"YUV4MPEG2 W2 H2 C420\n".as_slice();
        let stream = [
            b"hello\nFRAME\n",
            head,
            b"FRAME\nABCDuvFRAME\nABgarbageFRAME\nEFGHwxFRAME Ip\nIJKLyz",
        ]
        .concat();
        for capacity in [1, 3, 64] {
            let input = io::BufReader::with_capacity(capacity, stream.as_slice());
            let mut reader = Y4mReader::find(input).unwrap().unwrap();
            let (mut found, mut errors, mut one) = (Vec::new(), 0, Vec::new());
            loop {
                match reader.next_frame(&mut one) {
                    Ok(true) => found.push(one.clone()),
                    Ok(false) => break,
                    Err(_) => {
                        errors += 1;
                        assert!(reader.resynchronise().unwrap());
                    }
                }
            }
            assert_eq!(errors, 1);
            let wanted: [&[u8]; 4] = [b"ABCDuv", b"ABgagr", b"EFGHwx", b"IJKLyz"];
            // Within the second frame, two samples were lost and others stand in their place.
            assert_eq!(found.len(), wanted.len());
            assert_eq!(
                (&found[0], &found[2], &found[3]),
                (&wanted[0].to_vec(), &wanted[2].to_vec(), &wanted[3].to_vec())
            );
        }
        assert!(Y4mReader::find(b"no such thing".as_slice()).unwrap().is_none());
    }

    #[test]
    fn a_frame_that_was_cut_is_known_by_the_line_within_it() {
        // Also where samples are mapped: of full range, and of grey that is not.
        for kind in ["W4 H2 C420", "W4 H2 C420 XCOLORRANGE=FULL", "W12 H1 Cmono"] {
            let stream =
                format!("YUV4MPEG2 {kind}\nFRAME\nABCDEFGHuvwxFRAME\nABFRAME\nABCDEFGHuvwx");
            let mut reader = Y4mReader::new(stream.as_bytes()).unwrap();
            let mut one = Vec::new();
            assert!(reader.next_frame(&mut one).unwrap() && !reader.is_mixed(), "{kind}");
            assert!(reader.next_frame(&mut one).unwrap() && reader.is_mixed(), "{kind}");
        }
    }

    #[test]
    fn frames_without_lines_are_read_by_their_size() {
        let mut one = Vec::new();
        let mut planar =
            Y4mReader::bare(b"ABCDurEFGHvsI".as_slice(), (2, 2), BareFormat::Yuv420).unwrap();
        assert!(planar.next_frame(&mut one).unwrap());
        assert_eq!((one.as_slice(), planar.format()), (b"ABCDur".as_slice(), PixelFormat::Nv12));
        assert!(planar.next_frame(&mut one).unwrap());
        assert!(matches!(planar.next_frame(&mut one), Err(Y4mError::Truncated { missing: 5, .. })));
        let stream = b"ABCDEFGHurvs".as_slice();
        let mut semi = Y4mReader::bare(stream, (4, 2), BareFormat::Nv12).unwrap();
        assert!(semi.next_frame(&mut one).unwrap());
        assert_eq!(one, stream);
        assert!(!semi.next_frame(&mut one).unwrap());
        assert!(Y4mReader::bare(stream, (3, 2), BareFormat::Nv12).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            words in "( [WHFICX][0-9a-zA-Z:=]{0,6}){0,6}",
        ) {
            let dressed = [b"YUV4MPEG2", words.as_bytes(), b"\nFRAME\n", &bytes].concat();
            let _ = frames(&bytes).is_ok();
            let _ = frames(&dressed).is_ok();
        }

        #[test]
        fn every_luma_sample_arrives(width in 1usize..9, height in 1usize..9, seed: u8) {
            let (width, height) = (width * 2, height * 2);
            let luma: Vec<u8> = (0..width * height).map(|i| (i as u8).wrapping_add(seed)).collect();
            let head = format!("YUV4MPEG2 W{width} H{height} C420\nFRAME\n");
            let chroma = vec![128; width * height / 2];
            let stream = [head.as_bytes(), &luma, &chroma].concat();
            let read = frames(&stream).unwrap();
            prop_assert_eq!(&read[0][..luma.len()], luma.as_slice());
        }
    }
}
