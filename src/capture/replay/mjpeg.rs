//! Motion JPEG as a file: pictures one behind the other.
//!
//! In: any byte stream. Out: one whole JPEG picture after the other, undecoded. The pictures are
//! found by walking their markers, not by looking for the end marker's bytes, because a preview
//! inside a picture has an end marker too. A few bytes between pictures are skipped: the boundaries
//! of `multipart/x-mixed-replace` recordings; so is padding with zeros or fill bytes, as cameras add
//! it. A picture without an end marker ends where the next one begins, or with the stream; whether
//! it is whole then, is for the decoder to say.
//!
//! A stream that does not end, such as a program's pipe, goes on behind what was broken
//! ([`MjpegReader::resynchronise`]); a file does not.
//!
//! Invariant: no picture above [`MAX_JPEG_BYTES`] is gathered, whatever the stream says.
//! Also here: the writer, which makes such a file of RGB frames.
//! Source: ITU-T T.81, annex B. Deliberately absent: AVI and other containers.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::capture::MAX_JPEG_BYTES;
use crate::remedy::Remedied;

/// How many bytes between two pictures are skipped before the stream counts as something else.
const MAX_GAP_BYTES: usize = 4096;

/// How EXIF data begin, and how far from the picture's start they are looked for.
const EXIF: &[u8] = b"Exif\0\0";
const EXIF_WITHIN_BYTES: usize = 4096;

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// What makes a stream not Motion JPEG.
#[derive(Debug, thiserror::Error)]
pub enum MjpegError {
    /// It cannot be read.
    #[error("MJPEG picture {picture}: cannot be read: {error}")]
    Io {
        /// Which picture, from 0.
        picture: u64,
        /// The system's words.
        error: io::Error,
    },
    /// The stream ends inside a picture.
    #[error(
        "MJPEG picture {picture} is cut off at byte {offset}: the recording was not finished; {advice}",
        advice = self.advice()
    )]
    Truncated {
        /// Which picture, from 0.
        picture: u64,
        /// Where the stream ends.
        offset: u64,
    },
    /// There is something else where a picture or a marker should be.
    #[error("MJPEG picture {picture}: byte {offset}: {found}: {advice}", advice = self.advice())]
    Malformed {
        /// Which picture, from 0.
        picture: u64,
        /// Where.
        offset: u64,
        /// What is there.
        found: String,
    },
    /// A picture that never ends.
    #[error(
        "MJPEG picture {picture} has more than {MAX_JPEG_BYTES} bytes: {advice}",
        advice = self.advice()
    )]
    TooLong {
        /// Which picture, from 0.
        picture: u64,
    },
}

impl Remedied for MjpegError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Truncated { .. } => "all before it can be used".into(),
            Self::Malformed { .. } => {
                "expected JPEG pictures one behind the other, as 'ffmpeg -i FILE -c:v mjpeg OUT.mjpeg' writes them".into()
            }
            Self::TooLong { .. } => "record it smaller".into(),
            Self::Io { .. } => return None,
        })
    }
}

/// Cuts a stream into pictures.
#[derive(Debug)]
pub struct MjpegReader<R> {
    input: R,
    offset: u64,
    picture: u64,
    /// The start marker of the next picture was read already.
    started: bool,
    /// The next picture may stand behind anything.
    searching: bool,
}

impl<R: BufRead> MjpegReader<R> {
    /// Reads from `input`, which stands at the first picture.
    pub const fn new(input: R) -> Self {
        Self { input, offset: 0, picture: 0, started: false, searching: false }
    }

    /// Goes on behind what was broken: the next picture is looked for from here on, whatever stands
    /// before it.
    pub const fn resynchronise(&mut self) {
        self.searching = true;
    }

    /// Puts the next picture into `into`, which is emptied first; `false` at the end of the stream.
    ///
    /// # Errors
    /// [`MjpegError`]; the stream cannot be read further then, unless by [`Self::resynchronise`].
    pub fn next_picture(&mut self, into: &mut Vec<u8>) -> Result<bool, MjpegError> {
        into.clear();
        if !self.find_start(into)? {
            return Ok(false);
        }
        let mut code = self.marker(into)?;
        let mut has_scan = false;
        loop {
            let next = match code {
                END => break,
                START if has_scan => {
                    self.take_back_start(into);
                    break;
                }
                START_OF_SCAN => {
                    has_scan = true;
                    self.segment(into).and_then(|()| self.scan(into))
                }
                // These stand alone.
                0x01 | 0xD0..=0xD7 => self.marker(into),
                START => {
                    // The one before it was cut off: this one may be whole.
                    self.started = true;
                    return Err(self.malformed("a second start marker".to_owned()));
                }
                0x00 => return Err(self.malformed("ff 00 outside a scan".to_owned())),
                // Behind a scan there may be damage, over which the next marker is looked for.
                _ if has_scan => self.segment(into).and_then(|()| self.scan(into)),
                _ => self.segment(into).and_then(|()| self.marker(into)),
            };
            code = match next {
                Err(MjpegError::Truncated { .. }) if has_scan => break,
                next => next?,
            };
        }
        self.picture += 1;
        Ok(true)
    }

    /// The start marker at the end of `into` is the next picture's.
    fn take_back_start(&mut self, into: &mut Vec<u8>) {
        into.pop();
        while into.last() == Some(&0xFF) {
            into.pop();
        }
        self.started = true;
    }

    fn find_start(&mut self, into: &mut Vec<u8>) -> Result<bool, MjpegError> {
        let searching = std::mem::take(&mut self.searching);
        if std::mem::take(&mut self.started) {
            into.extend_from_slice(&[0xFF, START]);
            return Ok(true);
        }
        let (mut last, mut padding, mut gap) = (0, 0_usize, 0_usize);
        while searching || (gap < MAX_GAP_BYTES && padding < MAX_JPEG_BYTES) {
            let Some(byte) = self.byte()? else { return Ok(false) };
            if last == 0xFF && byte == START {
                into.extend_from_slice(&[0xFF, START]);
                return Ok(true);
            }
            if self.picture == 0 && padding + gap == 1 && !searching {
                return Err(self.malformed(format!("begins with {last:02x} {byte:02x}, not ff d8")));
            }
            if matches!(byte, 0 | 0xFF) {
                padding = padding.saturating_add(1);
            } else {
                gap = gap.saturating_add(1);
            }
            last = byte;
        }
        Err(self.malformed(format!("{gap} bytes without the start of a picture")))
    }

    /// One marker, of which padding may stand before the code.
    fn marker(&mut self, into: &mut Vec<u8>) -> Result<u8, MjpegError> {
        let first = self.needed(into)?;
        if first != 0xFF {
            return Err(self.malformed(format!("{first:02x} where a marker should begin")));
        }
        loop {
            let code = self.needed(into)?;
            if code != 0xFF {
                return Ok(code);
            }
        }
    }

    /// A segment behind its marker: two bytes of length, which count themselves, and the rest.
    fn segment(&mut self, into: &mut Vec<u8>) -> Result<(), MjpegError> {
        let length = u16::from_be_bytes([self.needed(into)?, self.needed(into)?]);
        let Some(mut left) = usize::from(length).checked_sub(2) else {
            return Err(self.malformed(format!("a segment of {length} bytes")));
        };
        while left > 0 {
            left -= self.copy(into, |buffer| buffer.len().min(left))?;
        }
        Ok(())
    }

    /// Entropy-coded bytes and the marker that ends them, whose code is returned.
    fn scan(&mut self, into: &mut Vec<u8>) -> Result<u8, MjpegError> {
        loop {
            self.copy(into, |buffer| {
                buffer.iter().position(|byte| *byte == 0xFF).unwrap_or(buffer.len())
            })?;
            if self.peek()? != Some(0xFF) {
                continue;
            }
            self.needed(into)?;
            let mut code = self.needed(into)?;
            while code == 0xFF {
                code = self.needed(into)?;
            }
            // A stuffed zero and a restart marker belong to the scan; what no picture has there is
            // damage, for the decoder to judge.
            if matches!(code, 0xC4 | START..=0xDD | 0xE0..=0xEF | 0xFE) {
                return Ok(code);
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, MjpegError> {
        let picture = self.picture;
        let buffer = self.input.fill_buf().map_err(|error| MjpegError::Io { picture, error })?;
        Ok(buffer.first().copied())
    }

    fn byte(&mut self) -> Result<Option<u8>, MjpegError> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.input.consume(1);
            self.offset += 1;
        }
        Ok(byte)
    }

    fn needed(&mut self, into: &mut Vec<u8>) -> Result<u8, MjpegError> {
        let Some(byte) = self.byte()? else { return Err(self.truncated()) };
        if into.len() >= MAX_JPEG_BYTES {
            return Err(MjpegError::TooLong { picture: self.picture });
        }
        into.push(byte);
        Ok(byte)
    }

    /// Copies as many of the buffered bytes as `how_many` says, which is at most their number.
    fn copy(
        &mut self,
        into: &mut Vec<u8>,
        how_many: impl Fn(&[u8]) -> usize,
    ) -> Result<usize, MjpegError> {
        let picture = self.picture;
        let buffer = self.input.fill_buf().map_err(|error| MjpegError::Io { picture, error })?;
        if buffer.is_empty() {
            return Err(self.truncated());
        }
        let taken = buffer.get(..how_many(buffer)).unwrap_or(buffer);
        if into.len() + taken.len() > MAX_JPEG_BYTES {
            return Err(MjpegError::TooLong { picture });
        }
        into.extend_from_slice(taken);
        let count = taken.len();
        self.input.consume(count);
        self.offset += count as u64;
        Ok(count)
    }

    fn malformed(&self, found: String) -> MjpegError {
        MjpegError::Malformed { picture: self.picture, offset: self.offset, found }
    }

    const fn truncated(&self) -> MjpegError {
        MjpegError::Truncated { picture: self.picture, offset: self.offset }
    }
}

/// Whether `input` is one photograph and no recording: its first picture has EXIF data, or no other
/// one follows it.
///
/// # Errors
/// What reading says.
pub(in crate::capture) fn is_photograph(input: impl BufRead) -> io::Result<bool> {
    let mut reader = MjpegReader::new(input);
    let mut picture = Vec::new();
    match reader.next_picture(&mut picture) {
        Ok(true) => {}
        // No recording has pictures of that many bytes.
        Err(MjpegError::TooLong { .. }) => return Ok(true),
        Err(MjpegError::Io { error, .. }) => return Err(error),
        Ok(false) | Err(_) => return Ok(false),
    }
    if picture.windows(EXIF.len()).take(EXIF_WITHIN_BYTES).any(|part| part == EXIF) {
        return Ok(true);
    }
    match reader.next_picture(&mut picture) {
        Err(MjpegError::Io { error, .. }) => Err(error),
        // A maker's trailer is no picture.
        Ok(false) | Err(MjpegError::Malformed { .. }) => Ok(true),
        Ok(true) | Err(_) => Ok(false),
    }
}

/// Writes RGB frames as Motion JPEG.
#[derive(Debug)]
pub struct MjpegWriter<W> {
    output: W,
    quality: u8,
    picture: Vec<u8>,
    frames: u64,
}

impl<W: Write> MjpegWriter<W> {
    /// Writes to `output`, with JPEG `quality` from 1 to 100.
    pub fn new(output: W, quality: u8) -> Self {
        Self { output, quality: quality.clamp(1, 100), picture: Vec::new(), frames: 0 }
    }

    /// Appends one frame: rows from the top, without gaps, each of `width` times `R G B`.
    ///
    /// # Errors
    /// [`io::Error`]: invalid input when the sizes do not fit each other, or what the output says.
    pub fn write_rgb(&mut self, rgb: &[u8], width: u32, height: u32) -> io::Result<()> {
        let needed = width as usize * height as usize * 3;
        let sides = 1..=u32::from(u16::MAX);
        if rgb.len() != needed || !sides.contains(&width) || !sides.contains(&height) {
            let found = rgb.len();
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{found} bytes for {width}×{height} RGB, which needs {needed}, sides 1 to 65535"
                ),
            ));
        }
        self.picture.clear();
        JpegEncoder::new_with_quality(&mut self.picture, self.quality)
            .encode(rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)?;
        self.output.write_all(&self.picture)?;
        self.frames += 1;
        Ok(())
    }

    /// How many frames were written.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Flushes and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    fn recording(frames: u8) -> Vec<u8> {
        let mut writer = MjpegWriter::new(Vec::new(), 80);
        for frame in 0..frames {
            let rgb: Vec<u8> =
                (0..24 * 16 * 3).map(|i| (i % 256) as u8 ^ frame.wrapping_mul(31)).collect();
            writer.write_rgb(&rgb, 24, 16).unwrap();
        }
        assert_eq!(writer.frames(), u64::from(frames));
        writer.finish().unwrap()
    }

    fn pictures(input: impl BufRead) -> Result<Vec<Vec<u8>>, MjpegError> {
        let mut reader = MjpegReader::new(input);
        let mut all = Vec::new();
        let mut one = Vec::new();
        while reader.next_picture(&mut one)? {
            all.push(one.clone());
        }
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read_whatever_the_buffer() {
        let stream = recording(4);
        let whole = pictures(stream.as_slice()).unwrap();
        assert_eq!(whole.len(), 4);
        assert_eq!(whole.concat(), stream);
        for capacity in [1, 2, 3, 7, 64] {
            let reader = BufReader::with_capacity(capacity, stream.as_slice());
            assert_eq!(pictures(reader).unwrap(), whole, "buffer of {capacity}");
        }
    }

    #[test]
    fn previews_padding_and_boundaries_are_read_over() {
        let one = recording(1);
        let mut dressed = vec![0xFF, 0xD8, 0xFF, 0xE1];
        dressed.extend_from_slice(&u16::try_from(one.len() + 2).unwrap().to_be_bytes());
        // The whole picture again, as a preview with its own end marker, in an APP1 segment.
        dressed.extend_from_slice(&one);
        dressed.extend_from_slice(&one[2..]);
        let stream = [&dressed[..], b"\r\n--frame\r\n\r\n", &one, &[0; 9]].concat();
        let found = pictures(stream.as_slice()).unwrap();
        assert_eq!(found, vec![dressed, one]);
    }

    #[test]
    fn a_cut_in_the_headers_is_told_with_its_place_and_one_in_the_data_is_for_the_decoder() {
        let one = recording(1);
        let two = recording(2);
        let data = one.windows(2).position(|pair| pair == [0xFF, START_OF_SCAN]).unwrap() + 2;
        for end in one.len() + 2..two.len() {
            match pictures(&two[..end]) {
                Ok(found) if end >= one.len() + data => {
                    assert_eq!(found, [one.as_slice(), &two[one.len()..end]], "cut at {end}");
                }
                Err(MjpegError::Truncated { picture, offset }) if end < one.len() + data => {
                    assert_eq!((picture, offset), (1, end as u64));
                }
                other => panic!("cut at {end}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_picture_without_an_end_marker_ends_where_the_next_begins() {
        let one = recording(1);
        let bare = &one[..one.len() - 2];
        for between in [&[][..], &[0xFF; 3], &[0xFF; 9000]] {
            let stream = [bare, between, &one, bare].concat();
            let found = pictures(stream.as_slice()).unwrap();
            assert_eq!(found, [bare, &one, bare], "{} bytes between", between.len());
        }
        let padded = [&one[..], &vec![0; 300_000], &one, &[0; 20]].concat();
        assert_eq!(pictures(padded.as_slice()).unwrap(), [&one[..], &one]);
    }

    #[test]
    fn a_photograph_is_told_from_a_recording() {
        let one = recording(1);
        let mut with_exif = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 10];
        with_exif.extend_from_slice(b"Exif\0\0MM");
        with_exif.extend_from_slice(&one[2..]);
        let table = [
            (one.clone(), true),
            (recording(2), false),
            ([&with_exif[..], &one].concat(), true),
            ([&one[..], &[7; 2 * MAX_GAP_BYTES]].concat(), true),
            (b"\xFF\xD8abc".to_vec(), false),
        ];
        for (bytes, expected) in table {
            assert_eq!(is_photograph(bytes.as_slice()).unwrap(), expected, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn something_else_is_told() {
        let cases: [(&[u8], &str); 5] = [
            (b"RIFF....AVI LIST", "begins with 52 49"),
            (b"\xFF\xD8\xFF\xD8", "second start marker"),
            (b"\xFF\xD8\xFF\xE0\0\x01", "a segment of 1 bytes"),
            (b"\xFF\xD8abc", "61 where a marker should begin"),
            (b"\xFF\xD8\xFF\0", "ff 00 outside a scan"),
        ];
        for (bytes, expected) in cases {
            let text = pictures(bytes).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
        let gap = [recording(1), vec![7; MAX_GAP_BYTES + 1]].concat();
        let text = pictures(gap.as_slice()).unwrap_err().to_string();
        assert!(text.contains("without the start"), "{text}");
    }

    #[test]
    fn a_stream_goes_on_behind_what_was_broken() {
        let one = recording(1);
        let data = one.windows(2).position(|pair| pair == [0xFF, START_OF_SCAN]).unwrap() + 2;
        let cut = &one[..data - 20];
        let garbage = [b"camera started\n".as_slice(), &[7; 3 * MAX_GAP_BYTES]].concat();
        for (broken, errors) in [(garbage.as_slice(), 1), (cut, 1), (&one[..2], 1), (&[], 0)] {
            let stream = [&one[..], broken, &one, broken, &one].concat();
            let mut reader = MjpegReader::new(stream.as_slice());
            let (mut found, mut told, mut picture) = (0, 0, Vec::new());
            loop {
                match reader.next_picture(&mut picture) {
                    Ok(true) => {
                        assert_eq!(picture, one);
                        found += 1;
                    }
                    Ok(false) | Err(MjpegError::Truncated { .. }) => break,
                    Err(_) => {
                        told += 1;
                        reader.resynchronise();
                    }
                }
            }
            // What a cut swallowed of the picture behind it is lost with it.
            assert!(found >= 1 && told >= errors, "{} bytes: {found} {told}", broken.len());
            if broken.len() != cut.len() {
                assert_eq!(found, 3, "{} bytes", broken.len());
            }
        }
        // Garbage from the first byte on.
        let stream = [garbage.as_slice(), &one].concat();
        let mut reader = MjpegReader::new(stream.as_slice());
        reader.resynchronise();
        let mut picture = Vec::new();
        assert!(reader.next_picture(&mut picture).unwrap());
        assert_eq!(picture, one);
    }

    #[test]
    fn a_picture_without_an_end_is_bounded() {
        struct Endless(bool);
        impl io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let head = b"\xFF\xD8\xFF\xDA\0\x02";
                buffer.fill(0x55);
                if !std::mem::replace(&mut self.0, true) {
                    buffer[..head.len()].copy_from_slice(head);
                }
                Ok(buffer.len())
            }
        }
        let mut picture = Vec::new();
        let error = MjpegReader::new(BufReader::new(Endless(false)))
            .next_picture(&mut picture)
            .unwrap_err();
        assert!(matches!(error, MjpegError::TooLong { picture: 0 }), "{error}");
        assert!(picture.len() <= MAX_JPEG_BYTES);
    }

    #[test]
    fn frames_that_do_not_fit_are_refused() {
        let mut writer = MjpegWriter::new(Vec::new(), 80);
        for (length, width, height) in [(11, 2, 2), (0, 0, 0), (3 * 70_000, 70_000, 1)] {
            let error = writer.write_rgb(&vec![0; length], width, height).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let dressed = [b"\xFF\xD8".as_slice(), &bytes].concat();
            let _ = pictures(bytes.as_slice()).is_ok();
            let _ = pictures(dressed.as_slice()).is_ok();
        }

        #[test]
        fn spoiled_recordings_never_panic(at: prop::sample::Index, value: u8) {
            let mut stream = recording(2);
            let at = at.index(stream.len());
            stream[at] = value;
            if let Ok(found) = pictures(stream.as_slice()) {
                prop_assert!(found.concat().len() <= stream.len());
            }
        }
    }
}
