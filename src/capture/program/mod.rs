//! A camera that another program reads: libcamera's, a network camera by ffmpeg, or any command.
//!
//! In: [`ProgramSettings`]. Out: frames that the program writes to its standard output. What it is
//! told is decided in [`preset`], started and ended in `child`, read in `output` on a thread of its
//! own, handed over through `newest`; its last words on standard error are kept by `words`, and
//! [`problem`] makes of them what is wrong and what to do.
//!
//! Invariants: no shell; no secret in arguments or environment, where every user can read it; a frame
//! is as old as the arrival of its last byte, also where this process was slow; no program outlives
//! the [`ProgramCamera`] that started it, nor by much a daemon that was killed: its output is closed
//! then, and it ends at its next frame.
//! Deliberately absent: opening again, which is [`supervise`](super::supervise)'s; containers and
//! codecs, which are the program's; how old a picture was when the program got it.

mod child;
mod newest;
mod output;
pub mod preset;
pub mod problem;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use self::child::Running;
use self::newest::{Newest, Taken};
use self::output::{Ended, Reader};
use self::preset::Start;
use self::problem::ProgramProblem;
use super::identity::{Origin, ProgramKind};
use super::supervise::SuperviseSettings;
use super::{
    CaptureError, CapturedFrame, Encoding, FrameRate, FrameSource, PATIENCE, Progress,
    SourceDescription, jpeg,
};
use crate::clock::{Clock, Monotonic};
use crate::secret::Secret;

/// How a program writes its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// JPEG pictures one behind the other.
    Mjpeg,
    /// Uncompressed, with a line before each frame.
    Y4m,
    /// Three planes, of the size that is asked for.
    Yuv420,
    /// Two planes, likewise.
    Nv12,
}

/// Which program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Libcamera's own.
    Libcamera,
    /// ffmpeg, for this address.
    Address(String),
    /// What the administrator names.
    Command {
        /// The program and its arguments.
        arguments: Vec<String>,
        /// What it writes.
        output: Output,
    },
}

impl Program {
    const fn kind(&self) -> ProgramKind {
        match self {
            Self::Libcamera => ProgramKind::Libcamera,
            Self::Address(_) => ProgramKind::Network,
            Self::Command { .. } => ProgramKind::Command,
        }
    }

    /// How the camera is called in messages: as the configuration calls it.
    #[must_use]
    pub fn place(&self) -> &str {
        match self {
            Self::Libcamera => "libcamera",
            Self::Address(address) => address,
            Self::Command { .. } => "command",
        }
    }
}

/// Which program, and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSettings {
    /// The program.
    pub program: Program,
    /// Pixels across and down.
    pub size: (u32, u32),
    /// Frames a second.
    pub rate: FrameRate,
    /// Who asks, where the camera wants to know.
    pub username: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
}

impl ProgramSettings {
    /// For how long it may be silent, and show the same.
    #[must_use]
    pub fn patience(&self) -> SuperviseSettings {
        let usual = SuperviseSettings::default();
        // It looks for its camera, negotiates, waits for a picture that stands alone; less than the
        // bound of the capture thread all the same.
        let slow = SuperviseSettings { first_after: Duration::from_secs(12), ..usual };
        match self.program {
            // Where nothing moves, an encoder repeats what it said last until its next whole picture.
            Program::Address(_) => SuperviseSettings {
                frozen_after: Duration::from_secs(15),
                reopen_frozen_after: Duration::from_secs(30),
                ..slow
            },
            Program::Libcamera | Program::Command { .. } => slow,
        }
    }
}

/// A program that runs and writes frames.
pub struct ProgramCamera {
    description: SourceDescription,
    start: Start,
    running: Running,
    newest: Arc<Newest>,
    reader: Option<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
    started_at: Monotonic,
    seen: bool,
}

impl ProgramCamera {
    /// Starts the program; its first frame may take a while.
    ///
    /// # Errors
    /// [`CaptureError::Program`]: it is not installed, may not be run, or a secret cannot be read.
    pub fn open(settings: &ProgramSettings, clock: Arc<dyn Clock>) -> Result<Self, CaptureError> {
        let place = settings.program.place();
        let wrong = |problem| CaptureError::program(place, problem, String::new());
        let password = match &settings.password_file {
            None => None,
            Some(file) => Some(Secret::read(file).map(Secret::into_text).map_err(|error| {
                wrong(ProgramProblem::Secret { file: file.clone(), what: error.to_string() })
            })?),
        };
        let starts = preset::starts(settings, password.as_deref());
        let (start, running, pipe) = child::start(starts, &clock).map_err(wrong)?;
        let newest = Arc::new(Newest::default());
        let reader = Reader {
            newest: Arc::clone(&newest),
            stop: running.stop(),
            clock: Arc::clone(&clock),
            output: start.output,
            size: settings.size,
        };
        let reader = std::thread::Builder::new()
            .name("camera-output".to_owned())
            .spawn(move || reader.run(pipe))
            .map_err(|error| {
                wrong(ProgramProblem::NotStarted { program: "a thread".to_owned(), error })
            })?;
        let encoding = match start.output {
            Output::Mjpeg => Encoding::Jpeg,
            Output::Y4m | Output::Yuv420 | Output::Nv12 => {
                Encoding::Raw(crate::frame::PixelFormat::Nv12)
            }
        };
        let description = SourceDescription {
            name: start.program.clone(),
            location: place.to_owned(),
            origin: Origin::Program(settings.program.kind()),
            encoding,
            width: 0,
            height: 0,
            rate: Some(settings.rate),
        };
        let (started_at, reader, seen) = (clock.now(), Some(reader), false);
        Ok(Self { description, start, running, newest, reader, clock, started_at, seen })
    }

    /// The size of frames, once the first has come.
    fn note_first(&mut self, frame: &CapturedFrame) {
        let size = match frame.encoding() {
            Encoding::Jpeg => jpeg::size(frame.bytes()).unwrap_or_default(),
            Encoding::Raw(_) => (frame.width(), frame.height()),
        };
        (self.description.width, self.description.height) = size;
        self.description.encoding = frame.encoding();
        self.seen = true;
    }

    fn error(&self, problem: ProgramProblem) -> CaptureError {
        CaptureError::program(&self.description.location, problem, self.running.words().text())
    }

    /// Why no frame will come any more.
    fn over(&mut self, ended: Ended) -> CaptureError {
        let program = self.start.program.clone();
        match ended {
            Ended::HeldUp { ms } => self.error(ProgramProblem::HeldUp { ms }),
            Ended::Unusable(found) => self.error(ProgramProblem::OtherFormat {
                program,
                output: self.start.output,
                found,
            }),
            Ended::Closed => {
                let ran_ms = self.clock.now().since(self.started_at).as_millis() as u64;
                let how = self.running.hear_out();
                self.error(ProgramProblem::Ended { program, how, ran_ms, kind: self.start.kind })
            }
        }
    }
}

impl FrameSource for ProgramCamera {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        match self.newest.take(into, PATIENCE) {
            Taken::Frame => {
                if !self.seen {
                    self.note_first(into);
                }
                Ok(Progress::Frame)
            }
            Taken::Damaged(sequence) => {
                let device = self.description.location.clone();
                Err(CaptureError::DamagedBuffer { device, sequence })
            }
            Taken::Nothing => Ok(Progress::Waiting),
            Taken::Ended(ended) => Err(self.over(ended)),
        }
    }

    fn silence(&self, waited_ms: u64) -> CaptureError {
        let program = self.start.program.clone();
        match self.newest.other_bytes() {
            Some(found) => self.error(ProgramProblem::OtherFormat {
                program,
                output: self.start.output,
                found,
            }),
            None => {
                self.error(ProgramProblem::Silent { program, waited_ms, kind: self.start.kind })
            }
        }
    }
}

impl Drop for ProgramCamera {
    fn drop(&mut self) {
        let _how = self.running.end();
        if let Some(reader) = self.reader.take() {
            // It was told to stop, looks for that all the time, and panics nowhere.
            let _panicked = reader.join();
        }
    }
}
