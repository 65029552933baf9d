//! Camera or recording in, frames out.
//!
//! A [`FrameSource`] fills a [`CapturedFrame`], whose buffer is reused for ever; a [`Decoder`] turns
//! that into a [`Frame`](crate::frame::Frame): borrowed where the camera gives raw pixels, decoded
//! into scratch memory where it gives JPEG. The two are apart so that a frame that nobody has time
//! for is never decoded.
//!
//! # Layout
//! [`negotiate`] chooses format, size and rate from what a device offers; [`v4l2`] does so for real,
//! with [`device`] to find it, [`identity`] to tell which camera it is, `doubt` to notice another one,
//! [`control`] to set it up and [`stamp`] to doubt its time stamps; [`watch`] notices stalls and
//! frozen pictures; [`supervise`] opens a camera again after faults. [`program`] has another program
//! read a camera that V4L2 does not give. [`replay`] plays recordings, [`picture`] reads single ones, [`fault`] breaks any source on purpose. [`open`] opens whichever is
//! configured, and has its frames looked at as the camera hangs.
//!
//! **Invariant:** no call of [`FrameSource::next_frame`] takes much longer than
//! [`PATIENCE`], so that a thread that calls it can notice that it shall end.
//! Deliberately absent: threads, but those that listen to a program; and every use of the pixels.

pub mod control;
mod decode;
pub mod device;
mod doubt;
mod driver_controls;
mod error;
pub mod fault;
mod format;
pub mod identity;
mod jpeg;
pub mod negotiate;
pub mod picture;
mod png;
pub mod program;
pub mod replay;
mod source;
pub mod stamp;
mod state;
pub mod strobe;
pub mod supervise;
mod turned;
pub mod v4l2;
pub mod watch;

use std::time::Duration;

pub use decode::{Decoder, PictureError, Undecodable};
pub use doubt::{CameraDoubt, DoubtKind};
pub use error::{CaptureError, RecordingProblem};
pub use format::OtherFormat;
pub use identity::{CameraIdentity, Origin, ProgramKind};
pub use source::{CameraKind, Feed, SourceSettings, open};
pub use state::{CameraState, CameraStatus};
pub use watch::Readability;

use crate::clock::Monotonic;
use crate::frame::PixelFormat;
use crate::geometry::{Turn, View};

/// How long a source may keep its caller waiting before it answers [`Progress::Waiting`].
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The longest compressed picture that any source hands on, in bytes.
pub const MAX_JPEG_BYTES: usize = 16 << 20;

/// A camera or a recording.
pub trait FrameSource: Send {
    /// What delivers the frames, for messages and `info`.
    fn description(&self) -> &SourceDescription;

    /// Waits a little for a frame and puts it into `into`, whose buffer is reused.
    ///
    /// `into` holds a frame only after [`Progress::Frame`] and [`Progress::Repeat`].
    ///
    /// # Errors
    /// What went wrong with this frame or with the source. Where
    /// [`CaptureError::needs_reopening`] is false the next call may succeed.
    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError>;

    /// How the camera is, where the source knows; a recording has no state while its frames can be
    /// decoded.
    fn status(&self) -> Option<&CameraStatus> {
        None
    }

    /// What is doubtful about the camera that was opened or refused last; a source that is opened
    /// once has nothing to compare it with.
    fn doubt(&self) -> Option<&CameraDoubt> {
        None
    }

    /// What it means that no frame has come for `waited_ms`.
    fn silence(&self, waited_ms: u64) -> CaptureError {
        CaptureError::Stalled { device: self.description().location.clone(), waited_ms }
    }

    /// Hears how the frames that it gave last could be decoded. `true` when it closed the camera for
    /// it: the frames are then to be counted anew.
    fn note_readability(&mut self, _: Readability) -> bool {
        false
    }
}

impl<S: FrameSource + ?Sized> FrameSource for Box<S> {
    fn description(&self) -> &SourceDescription {
        (**self).description()
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        (**self).next_frame(into)
    }

    fn status(&self) -> Option<&CameraStatus> {
        (**self).status()
    }

    fn doubt(&self) -> Option<&CameraDoubt> {
        (**self).doubt()
    }

    fn silence(&self, waited_ms: u64) -> CaptureError {
        (**self).silence(waited_ms)
    }

    fn note_readability(&mut self, readability: Readability) -> bool {
        (**self).note_readability(readability)
    }
}

/// What came of waiting for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A new frame.
    Frame,
    /// A frame that shows exactly what the one before it showed: no new evidence of anything.
    Repeat,
    /// Nothing yet; call again.
    Waiting,
    /// The recording is over; it stays over.
    End,
}

/// How the bytes of a captured frame are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Pixels.
    Raw(PixelFormat),
    /// One JPEG picture.
    Jpeg,
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Raw(PixelFormat::Yuyv) => "YUYV",
            Self::Raw(PixelFormat::Uyvy) => "UYVY",
            Self::Raw(PixelFormat::Nv12) => "NV12",
            Self::Raw(PixelFormat::Grey) => "GREY",
            Self::Raw(PixelFormat::Rgb) => "RGB",
            Self::Jpeg => "MJPG",
        })
    }
}

/// What delivers frames.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceDescription {
    /// The camera's own name, or the recording's file name.
    pub name: String,
    /// The device node, or the recording's path.
    pub location: String,
    /// Which camera it is, or that it is none.
    pub origin: Origin,
    /// The format of its frames.
    pub encoding: Encoding,
    /// Pixels across; of the first picture where they differ, 0 where not known before decoding.
    pub width: u32,
    /// Pixels down, likewise.
    pub height: u32,
    /// The rate that was agreed on; `None` where the device does not tell.
    pub rate: Option<FrameRate>,
}

/// Frames in seconds, as an exact fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRate {
    frames: u32,
    seconds: u32,
}

impl FrameRate {
    /// `frames` in `seconds`; `None` where either is 0, or where that is less than one frame in
    /// ten minutes or more than a million a second.
    #[must_use]
    pub const fn new(frames: u32, seconds: u32) -> Option<Self> {
        let absurd = frames == 0
            || seconds == 0
            || (frames as u64) * 600 < seconds as u64
            || frames as u64 > 1_000_000 * seconds as u64;
        if absurd { None } else { Some(Self { frames, seconds }) }
    }

    /// `frames` each second; at least 1.
    #[must_use]
    pub const fn per_second(frames: u32) -> Self {
        let frames = if frames == 0 { 1 } else { frames };
        Self { frames, seconds: 1 }
    }

    /// Numerator and denominator: frames, seconds.
    #[must_use]
    pub const fn fraction(self) -> (u32, u32) {
        (self.frames, self.seconds)
    }

    /// Frames each second.
    #[must_use]
    pub fn hertz(self) -> f64 {
        f64::from(self.frames) / f64::from(self.seconds)
    }

    /// When frame `index` is due after frame 0, rounded down to a microsecond.
    #[must_use]
    pub fn due(self, index: u64) -> Duration {
        let micros =
            u128::from(index) * u128::from(self.seconds) * 1_000_000 / u128::from(self.frames);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for FrameRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.frames.is_multiple_of(self.seconds) {
            write!(f, "{}/s", self.frames / self.seconds)
        } else {
            write!(f, "{:.2}/s", self.hertz())
        }
    }
}

/// One frame as the source gave it, in a buffer that is used again for the next one.
#[derive(Clone)]
pub struct CapturedFrame {
    bytes: Vec<u8>,
    encoding: Encoding,
    width: u32,
    height: u32,
    stride: usize,
    sequence: u64,
    captured_at: Monotonic,
    view: View,
}

impl std::fmt::Debug for CapturedFrame {
    /// Never shows pixels: what is debugged may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "CapturedFrame {} of {} bytes, {} {}×{} at {} µs",
            self.sequence,
            self.bytes.len(),
            self.encoding,
            self.width,
            self.height,
            self.captured_at.as_micros()
        )
    }
}

impl Default for CapturedFrame {
    fn default() -> Self {
        Self::new()
    }
}

impl CapturedFrame {
    /// An empty frame, to be filled by a source.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            encoding: Encoding::Jpeg,
            width: 0,
            height: 0,
            stride: 0,
            sequence: 0,
            captured_at: Monotonic::from_micros(0),
            view: View { turn: Turn::None, mirrored: false },
        }
    }

    /// Begins a frame of raw pixels: the buffer is emptied, keeps its memory, and is handed out to
    /// be filled.
    pub fn begin_raw(
        &mut self,
        format: PixelFormat,
        (width, height): (u32, u32),
        stride: usize,
        sequence: u64,
        captured_at: Monotonic,
    ) -> &mut Vec<u8> {
        let encoding = Encoding::Raw(format);
        (self.encoding, self.width, self.height) = (encoding, width, height);
        (self.stride, self.sequence, self.captured_at) = (stride, sequence, captured_at);
        self.view = View::default();
        self.bytes.clear();
        &mut self.bytes
    }

    /// Begins a frame of one JPEG picture, likewise. Its size is in its own header.
    pub fn begin_jpeg(&mut self, sequence: u64, captured_at: Monotonic) -> &mut Vec<u8> {
        (self.encoding, self.width, self.height) = (Encoding::Jpeg, 0, 0);
        (self.stride, self.sequence, self.captured_at) = (0, sequence, captured_at);
        self.view = View::default();
        self.bytes.clear();
        &mut self.bytes
    }

    /// The bytes as they came; as many as really came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to be spoiled: [`fault`] does that.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How the bytes are to be read.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Pixels across; 0 for JPEG.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down; 0 for JPEG.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Bytes from one row to the next; 0 for JPEG.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The source's running number; a gap means frames that were lost on the way here.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When the frame was captured.
    #[must_use]
    pub const fn captured_at(&self) -> Monotonic {
        self.captured_at
    }

    /// How the decoded frame is to be looked at.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// Has the decoded frame looked at through `view`, until the next one is begun.
    pub const fn see_by(&mut self, view: View) {
        self.view = view;
    }

    /// Gives the frame another number and time: a recording played again, a fault injected.
    pub const fn restamp(&mut self, sequence: u64, captured_at: Monotonic) {
        self.sequence = sequence;
        self.captured_at = captured_at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_without_drift() {
        let ntsc = FrameRate::new(30_000, 1001).unwrap();
        assert_eq!(ntsc.due(30_000), Duration::from_secs(1001));
        assert_eq!(ntsc.to_string(), "29.97/s");
        assert_eq!(FrameRate::per_second(30).due(3), Duration::from_millis(100));
    }

    #[test]
    fn absurd_rates_are_none() {
        for (frames, seconds) in [(0, 1), (1, 0), (1, 601), (1_000_001, 1), (u32::MAX, 1)] {
            assert_eq!(FrameRate::new(frames, seconds), None, "{frames}/{seconds}");
        }
        assert!(FrameRate::new(u32::MAX, u32::MAX).is_some());
    }

    #[test]
    fn a_frame_keeps_its_memory() {
        let mut frame = CapturedFrame::new();
        frame.begin_jpeg(0, Monotonic::default()).resize(1000, 7);
        let before = frame.bytes().as_ptr();
        let size = (4, 2);
        let buffer = frame.begin_raw(PixelFormat::Yuyv, size, 8, 1, Monotonic::from_millis(5));
        buffer.resize(16, 0);
        assert_eq!(frame.bytes().as_ptr(), before);
        assert_eq!((frame.width(), frame.stride(), frame.sequence()), (4, 8, 1));
    }
}
