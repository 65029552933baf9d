//! Recordings as a source: a folder of pictures, an MJPEG file, a Y4M file.
//!
//! In: a path. Out: frames, at the recording's rate or as fast as they are asked for. What the path
//! is, is told by its first bytes, never by its name.
//!
//! Invariant: the same recording gives the same frames. As fast as possible, frame `i` was captured
//! at `start + i / rate`, whatever the clock says; in real time, at the moment it is handed out,
//! which with a [`ManualClock`](crate::clock::ManualClock) is just as repeatable.
//! A broken picture in a folder costs that picture; a broken file ends the recording.
//! Deliberately absent: containers with compressed video, for which `ffmpeg` makes one of these.

pub mod mjpeg;
pub mod y4m;
mod y4m_header;

use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::mjpeg::MjpegReader;
use self::y4m::Y4mReader;
use super::decode::first_bytes;
use super::error::RecordingProblem;
use super::format::{self, Format};
use super::picture::{self, Picture};
use super::{
    CameraState, CameraStatus, CaptureError, CapturedFrame, Encoding, FrameRate, FrameSource,
    Origin, PATIENCE, Progress, Readability, SourceDescription,
};
use crate::clock::{Clock, Monotonic};
use crate::frame::PixelFormat;

/// The rate of recordings that do not state one, unless the settings do.
pub const DEFAULT_RATE: FrameRate = FrameRate::per_second(15);

/// The most pictures that a folder may hold.
pub const MAX_PICTURES: usize = 100_000;

/// How far a real-time replay may fall behind before it goes on from where it is.
const MAX_LAG: Duration = Duration::from_secs(1);

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At its rate, by the clock.
    RealTime,
    /// Whenever a frame is asked for; the first was captured at `start`.
    AsFastAsPossible {
        /// The capture time of frame 0.
        start: Monotonic,
    },
}

/// What is played, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySettings {
    /// A folder of pictures, an MJPEG or Y4M file, or one picture.
    pub path: PathBuf,
    /// The rate; `None` takes the recording's own or [`DEFAULT_RATE`].
    pub rate: Option<FrameRate>,
    /// How fast.
    pub pace: Pace,
    /// How many times over; `None` for ever.
    pub passes: Option<NonZeroU32>,
}

impl ReplaySettings {
    /// Once, as fast as possible, from instant 0, at the recording's own rate.
    #[must_use]
    pub fn once(path: impl Into<PathBuf>) -> Self {
        let pace = Pace::AsFastAsPossible { start: Monotonic::default() };
        Self { path: path.into(), rate: None, pace, passes: Some(NonZeroU32::MIN) }
    }
}

enum Reader {
    Folder { pictures: Vec<PathBuf>, next: usize },
    Mjpeg(MjpegReader<BufReader<File>>),
    Y4m(Y4mReader<BufReader<File>>),
}

impl Reader {
    /// A single picture, played as a folder of one.
    fn one(path: &Path) -> Self {
        Self::Folder { pictures: vec![path.to_owned()], next: 0 }
    }
}

/// Plays a recording.
pub struct Replay {
    settings: ReplaySettings,
    clock: Arc<dyn Clock>,
    description: SourceDescription,
    rate: FrameRate,
    reader: Reader,
    pass: u32,
    frames_of_pass: u64,
    sequence: u64,
    anchor: Monotonic,
    anchored_at: u64,
    over: bool,
    /// Set once too few of its frames can be decoded.
    status: Option<CameraStatus>,
}

impl Replay {
    /// Opens the recording; `clock` is asked only in [`Pace::RealTime`].
    ///
    /// # Errors
    /// [`CaptureError::Recording`] when it cannot be read, is empty or something else.
    pub fn open(settings: ReplaySettings, clock: Arc<dyn Clock>) -> Result<Self, CaptureError> {
        let reader = open_reader(&settings.path)
            .map_err(|problem| CaptureError::Recording { path: settings.path.clone(), problem })?;
        let own_rate = match &reader {
            Reader::Y4m(reader) => reader.rate(),
            Reader::Folder { .. } | Reader::Mjpeg(_) => None,
        };
        let rate = settings.rate.or(own_rate).unwrap_or(DEFAULT_RATE);
        let description = describe(&settings.path, &reader, rate);
        let anchor = match settings.pace {
            Pace::RealTime => clock.now(),
            Pace::AsFastAsPossible { start } => start,
        };
        Ok(Self {
            settings,
            clock,
            description,
            rate,
            reader,
            pass: 1,
            frames_of_pass: 0,
            sequence: 0,
            anchor,
            anchored_at: 0,
            over: false,
            status: None,
        })
    }

    /// The rate at which frames are due.
    #[must_use]
    pub const fn rate(&self) -> FrameRate {
        self.rate
    }

    fn fault(&self, problem: RecordingProblem) -> CaptureError {
        CaptureError::Recording { path: self.settings.path.clone(), problem }
    }

    /// When the next frame is due, and whether that is now; waits a little for it otherwise.
    fn wait(&mut self) -> Option<Monotonic> {
        let due = self.anchor.plus(self.rate.due(self.sequence - self.anchored_at));
        if matches!(self.settings.pace, Pace::AsFastAsPossible { .. }) {
            return Some(due);
        }
        let now = self.clock.now();
        if now < due {
            self.clock.sleep(due.since(now).min(PATIENCE));
            let now = self.clock.now();
            return (now >= due).then_some(now);
        }
        if now.since(due) > MAX_LAG {
            (self.anchor, self.anchored_at) = (now, self.sequence);
        }
        Some(now)
    }

    /// Reads one frame; `false` at the end of this pass.
    fn read(&mut self, into: &mut CapturedFrame, at: Monotonic) -> Result<bool, RecordingProblem> {
        let sequence = self.sequence;
        match &mut self.reader {
            Reader::Folder { pictures, next } => {
                let Some(path) = pictures.get(*next) else { return Ok(false) };
                *next += 1;
                let picture = read_picture(path)?;
                let size = (picture.width(), picture.height());
                let stride = PixelFormat::Rgb.min_stride(picture.width());
                into.begin_raw(PixelFormat::Rgb, size, stride, sequence, at)
                    .extend_from_slice(picture.rgb());
                Ok(true)
            }
            Reader::Mjpeg(reader) => Ok(reader.next_picture(into.begin_jpeg(sequence, at))?),
            Reader::Y4m(reader) => {
                let (format, size) = (reader.format(), reader.size());
                let stride = format.min_stride(size.0);
                let buffer = into.begin_raw(format, size, stride, sequence, at);
                Ok(reader.next_frame(buffer)?)
            }
        }
    }

    /// Begins the next pass; `false` when there is none.
    fn rewind(&mut self) -> Result<bool, RecordingProblem> {
        if self.frames_of_pass == 0 {
            return Err(RecordingProblem::Empty);
        }
        if self.settings.passes.is_some_and(|passes| self.pass >= passes.get()) {
            return Ok(false);
        }
        self.reader = open_reader(&self.settings.path)?;
        self.pass = self.pass.saturating_add(1);
        self.frames_of_pass = 0;
        Ok(true)
    }

    fn advance(&mut self, into: &mut CapturedFrame) -> Result<Progress, RecordingProblem> {
        let Some(at) = self.wait() else { return Ok(Progress::Waiting) };
        while !self.read(into, at)? {
            if !self.rewind()? {
                self.over = true;
                return Ok(Progress::End);
            }
        }
        self.frames_of_pass += 1;
        self.sequence += 1;
        Ok(Progress::Frame)
    }
}

impl FrameSource for Replay {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        if self.over {
            return Ok(Progress::End);
        }
        self.advance(into).map_err(|problem| {
            if matches!(problem, RecordingProblem::Picture { .. }) {
                // Its place in time stays empty, and counts as a frame that was lost.
                self.sequence += 1;
                self.frames_of_pass += 1;
            } else {
                self.over = true;
            }
            self.fault(problem)
        })
    }

    fn status(&self) -> Option<&CameraStatus> {
        self.status.as_ref()
    }

    fn note_readability(&mut self, readability: Readability) -> bool {
        let was =
            self.status.as_ref().is_some_and(|status| status.state == CameraState::Undecodable);
        let now = self.clock.now();
        let status = if readability.is_poor(was) {
            self.status.get_or_insert_with(|| CameraStatus::searching(now))
        } else {
            // A recording streams, and has nothing to say of it before it did not.
            if let Some(status) = &mut self.status {
                status.streaming(now);
            }
            return false;
        };
        let place = format!("recording {}", self.settings.path.display());
        let error = CaptureError::undecodable(place, readability);
        if status.failed(&error, now) {
            tracing::warn!(state = status.state.name(), "{error}");
        }
        false
    }
}

fn open_reader(path: &Path) -> Result<Reader, RecordingProblem> {
    if std::fs::metadata(path)?.is_dir() {
        let pictures = pictures_of(path)?;
        return Ok(Reader::Folder { pictures, next: 0 });
    }
    let (mut input, head) = picture::open(path)?;
    if head.is_empty() {
        return Err(RecordingProblem::Empty);
    }
    if head.starts_with(b"YUV4MPEG2") {
        return Ok(Reader::Y4m(Y4mReader::new(input)?));
    }
    match format::of(&head) {
        Some(Format::Jpeg) if mjpeg::is_photograph(&mut input)? => Ok(Reader::one(path)),
        Some(Format::Jpeg) => {
            input.rewind()?;
            Ok(Reader::Mjpeg(MjpegReader::new(input)))
        }
        Some(_) => Ok(Reader::one(path)),
        None => Err(RecordingProblem::WrongFormat { found: first_bytes(&head) }),
    }
}

/// The folder's pictures by name: what is called a picture, and what is one under another name.
/// Everything else in it is left alone.
///
/// # Errors
/// [`RecordingProblem`] where the folder cannot be read, or holds no picture.
pub fn pictures_of(folder: &Path) -> Result<Vec<PathBuf>, RecordingProblem> {
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MAX_PICTURES) {
        let path = entry?.path();
        let is_hidden =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && (format::is_picture_name(&path) || holds_a_picture(&path)) {
            pictures.push(path);
        }
    }
    if pictures.is_empty() {
        return Err(RecordingProblem::Empty);
    }
    pictures.sort();
    Ok(pictures)
}

fn holds_a_picture(path: &Path) -> bool {
    picture::open(path).is_ok_and(|(_, head)| format::of(&head).is_some())
}

fn read_picture(path: &Path) -> Result<Picture, RecordingProblem> {
    Picture::read(path).map_err(|error| match error {
        CaptureError::Recording { problem, .. } => problem,
        other => RecordingProblem::Io(std::io::Error::other(other.to_string())),
    })
}

fn describe(path: &Path, reader: &Reader, rate: FrameRate) -> SourceDescription {
    let (encoding, (width, height)) = match reader {
        Reader::Folder { .. } => (Encoding::Raw(PixelFormat::Rgb), (0, 0)),
        Reader::Mjpeg(_) => (Encoding::Jpeg, (0, 0)),
        Reader::Y4m(reader) => (Encoding::Raw(reader.format()), reader.size()),
    };
    SourceDescription {
        name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        location: path.display().to_string(),
        origin: Origin::Recording,
        encoding,
        width,
        height,
        rate: Some(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::mjpeg::MjpegWriter;
    use super::*;
    use crate::capture::Decoder;
    use crate::clock::{ManualClock, PLAUSIBLE_FROM_UNIX_MS};

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(Monotonic::from_millis(1000), PLAUSIBLE_FROM_UNIX_MS))
    }

    fn mjpeg(frames: u8) -> Vec<u8> {
        let mut writer = MjpegWriter::new(Vec::new(), 90);
        for frame in 0..frames {
            writer.write_rgb(&vec![frame * 40; 16 * 16 * 3], 16, 16).unwrap();
        }
        writer.finish().unwrap()
    }

    /// Everything a replay says, one line a call.
    fn trace(replay: &mut Replay) -> Vec<String> {
        let (mut frame, mut decoder, mut lines) = (CapturedFrame::new(), Decoder::new(), vec![]);
        for _ in 0..40 {
            match replay.next_frame(&mut frame) {
                Ok(Progress::Frame) => {
                    let decoded = decoder.decode(&frame).unwrap();
                    lines.push(format!(
                        "{} at {} ms: {}×{} {:?} {}",
                        decoded.sequence(),
                        decoded.captured_at().as_millis(),
                        decoded.width(),
                        decoded.height(),
                        decoded.format(),
                        decoded.pixels()[0]
                    ));
                }
                Ok(Progress::End) => {
                    lines.push("end".to_owned());
                    break;
                }
                Ok(other) => lines.push(format!("{other:?}")),
                Err(error) => lines.push(error.to_string()),
            }
        }
        lines
    }

    #[test]
    fn a_file_played_twice_goes_on_counting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visit");
        std::fs::write(&path, mjpeg(2)).unwrap();
        let mut settings = ReplaySettings::once(&path);
        settings.rate = FrameRate::new(10, 1);
        settings.passes = NonZeroU32::new(2);
        settings.pace = Pace::AsFastAsPossible { start: Monotonic::from_millis(500) };
        let mut replay = Replay::open(settings, clock()).unwrap();
        let expected = [
            "0 at 500 ms: 16×16 Nv12 16",
            "1 at 600 ms: 16×16 Nv12 50",
            "2 at 700 ms: 16×16 Nv12 16",
            "3 at 800 ms: 16×16 Nv12 50",
            "end",
        ];
        assert_eq!(trace(&mut replay), expected);
        assert_eq!(trace(&mut replay), ["end"]);
    }

    #[test]
    fn real_time_waits_in_short_steps_by_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visit.mjpeg");
        std::fs::write(&path, mjpeg(2)).unwrap();
        let mut settings = ReplaySettings::once(&path);
        (settings.rate, settings.pace) = (FrameRate::new(2, 1), Pace::RealTime);
        let mut replay = Replay::open(settings, clock()).unwrap();
        let expected = [
            "0 at 1000 ms: 16×16 Nv12 16",
            "Waiting",
            "Waiting",
            "1 at 1500 ms: 16×16 Nv12 50",
            "Waiting",
            "Waiting",
            "end",
        ];
        assert_eq!(trace(&mut replay), expected);
    }

    #[test]
    fn a_replay_that_was_held_up_does_not_race() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visit.mjpeg");
        std::fs::write(&path, mjpeg(3)).unwrap();
        let mut settings = ReplaySettings::once(&path);
        (settings.rate, settings.pace) = (FrameRate::new(10, 1), Pace::RealTime);
        let clock = clock();
        let mut replay = Replay::open(settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        clock.advance(Duration::from_secs(60));
        let at: Vec<String> = trace(&mut replay)
            .iter()
            .map(|line| line.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(at, ["0 at 61000 ms", "1 at 61100 ms", "2 at 61200 ms", "end"]);
    }

    #[test]
    fn a_folder_is_played_by_name_and_a_bad_picture_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, value: u8, width: u32| {
            image::RgbImage::from_pixel(width, 8, image::Rgb([value; 3]))
                .save(folder.path().join(name))
                .unwrap();
        };
        save("b.png", 20, 8);
        save("a.png", 10, 10);
        save("d.PNG", 40, 8);
        std::fs::write(folder.path().join("c.jpg"), b"not a picture").unwrap();
        std::fs::write(folder.path().join("notes.txt"), b"left alone").unwrap();
        let mut settings = ReplaySettings::once(folder.path());
        settings.rate = FrameRate::new(1, 1);
        let lines = trace(&mut Replay::open(settings, clock()).unwrap());
        assert_eq!(lines[0], "0 at 0 ms: 10×8 Rgb 10");
        assert_eq!(lines[1], "1 at 1000 ms: 8×8 Rgb 20");
        assert!(lines[2].contains("c.jpg") && lines[2].contains("'not a pi'"), "{}", lines[2]);
        assert_eq!(lines[3..], ["3 at 3000 ms: 8×8 Rgb 40", "end"]);
    }

    #[test]
    fn y4m_brings_its_own_rate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.y4m");
        std::fs::write(&path, b"YUV4MPEG2 W2 H2 F4:1 C420\nFRAME\nABCDuvFRAME\nEFGHuv").unwrap();
        let mut replay = Replay::open(ReplaySettings::once(&path), clock()).unwrap();
        assert_eq!(replay.description().rate, FrameRate::new(4, 1));
        assert_eq!(
            trace(&mut replay),
            ["0 at 0 ms: 2×2 Nv12 65", "1 at 250 ms: 2×2 Nv12 69", "end"]
        );
    }

    #[test]
    fn bad_recordings_are_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let empty_folder = folder.path().join("empty");
        std::fs::create_dir(&empty_folder).unwrap();
        let whole = mjpeg(1);
        let cases: [(&str, &[u8], &str); 5] = [
            ("nothing.mjpeg", b"", "holds no frame"),
            ("film.avi", b"RIFF\0\0\0\0AVI ", "ffmpeg -i FILE"),
            ("cut.mjpeg", &whole[..whole.len() - 9], "cut off after"),
            ("header.y4m", b"YUV4MPEG2 W2 H2 C420\n", "holds no frame"),
            ("kind.y4m", b"YUV4MPEG2 W2 H2 C444p12\n", "-pix_fmt yuv420p"),
        ];
        for (name, bytes, expected) in cases {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let text = match Replay::open(ReplaySettings::once(&path), clock()) {
                Ok(mut replay) => {
                    let lines = trace(&mut replay);
                    assert_eq!(lines.last().unwrap(), "end");
                    lines[0].clone()
                }
                Err(error) => error.to_string(),
            };
            assert!(text.contains(expected) && text.contains(name), "{text}");
        }
        for (path, expected) in
            [(empty_folder, "holds no frame"), (folder.path().join("absent"), "No such file")]
        {
            let Err(error) = Replay::open(ReplaySettings::once(&path), clock()) else {
                panic!("{} opened", path.display());
            };
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
