//! Usable faces for an enrolment, from files, a recording or the camera.
//!
//! In: where to look and how many to take. Out: faces with a name for where each came from, what was
//! refused, and a tally of all that was looked at. Invariants: from moving pictures, frames are taken
//! at least [`SPACING`] apart, so that references differ; the pictures of a folder are pictures, of
//! which each may be taken; a frame with several faces is never taken; every loop has a bound in
//! frames or time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::judge::{Judge, Unusable, UsableFace};
use super::{EnrolError, Tally};
use crate::capture::picture::Picture;
use crate::capture::replay::pictures_of;
use crate::capture::{
    self, CaptureError, CapturedFrame, Decoder, FrameSource, Progress, RecordingProblem,
    SourceDescription,
};
use crate::clock::{Clock, Monotonic};
use crate::config::Config;
use crate::recognise::FACE_SPACING;
use crate::store::ReferenceSource;

/// Least time between two frames that are taken.
pub const SPACING: Duration = FACE_SPACING;
/// A recording is looked at up to here.
const FRAMES_MAX: u32 = 20_000;

/// Where faces are taken from.
#[derive(Debug, Clone, Copy)]
pub enum Pictures<'a> {
    /// One face of each file.
    Files {
        /// The files.
        files: &'a [PathBuf],
        /// Whether one that cannot be read is refused like a poor one, and does not end it.
        skip_unreadable: bool,
    },
    /// A folder of pictures, an MJPEG or Y4M file that the configured camera made.
    Recording {
        /// Where it is.
        path: &'a Path,
        /// How many faces at most.
        count: u32,
    },
    /// The configured camera.
    Camera {
        /// How many faces at most.
        count: u32,
        /// For how long at most.
        seconds: u32,
    },
}

impl Pictures<'_> {
    /// How many steps [`Step::Done`] will be told of at most.
    #[must_use]
    pub const fn steps(&self) -> usize {
        match self {
            Self::Files { files, .. } => files.len(),
            Self::Recording { count, .. } | Self::Camera { count, .. } => *count as usize,
        }
    }
}

/// What is told on the way.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// The camera is open: somebody is to stand before it.
    Looking(&'a SourceDescription),
    /// A file was judged, or a face of moving pictures taken.
    Done,
    /// A frame was refused.
    Refused(&'a Unusable),
}

/// What came together.
#[derive(Debug)]
pub struct Gathered {
    /// Where they came from, as a reference remembers it.
    pub source: ReferenceSource,
    /// Where each usable face came from, and the face.
    pub faces: Vec<(String, UsableFace)>,
    /// What was refused, and why; for moving pictures only when nothing was usable.
    pub refused: Vec<(String, Unusable)>,
    /// What was looked at, for moving pictures and folders.
    pub tally: Option<Tally>,
}

impl Gathered {
    const fn nothing(source: ReferenceSource) -> Self {
        Self { source, faces: Vec::new(), refused: Vec::new(), tally: None }
    }
}

/// Looks for faces in `pictures`.
///
/// # Errors
/// [`EnrolError`]: a picture or source cannot be read, or a network failed.
pub fn gather(
    pictures: Pictures<'_>,
    config: &Config,
    judge: &mut Judge,
    clock: Arc<dyn Clock>,
    tell: &mut dyn FnMut(Step<'_>),
) -> Result<Gathered, EnrolError> {
    let settings = config.source_settings(clock.now());
    match pictures {
        Pictures::Files { files, skip_unreadable } => {
            from_files(files, skip_unreadable, judge, tell)
        }
        Pictures::Recording { path, count } => {
            let mut source =
                capture::open(settings.recorded_at(path), clock).map_err(EnrolError::Source)?;
            let pictures =
                if path.is_dir() { pictures_of(path).map_or(0, |all| all.len()) } else { 0 };
            let from = From {
                source: ReferenceSource::Replay,
                name: path.display().to_string(),
                pictures,
            };
            take(judge, &mut *source, &from, count, tell, |frames| frames < FRAMES_MAX)
        }
        Pictures::Camera { count, seconds } => {
            let mut source =
                capture::open(settings, Arc::clone(&clock)).map_err(EnrolError::Source)?;
            tell(Step::Looking(source.description()));
            let until = clock.now().plus(Duration::from_secs(seconds.into()));
            let from =
                From { source: ReferenceSource::Camera, name: "camera".to_owned(), pictures: 0 };
            take(judge, &mut *source, &from, count, tell, |_| clock.now() < until)
        }
    }
}

fn from_files(
    files: &[PathBuf],
    skip_unreadable: bool,
    judge: &mut Judge,
    tell: &mut dyn FnMut(Step<'_>),
) -> Result<Gathered, EnrolError> {
    let mut gathered = Gathered::nothing(ReferenceSource::Image);
    for path in files {
        let name = path.display().to_string();
        let judged = match Picture::read(path) {
            Ok(picture) => judge.picture(&picture).and_then(alone),
            Err(CaptureError::Recording { problem, .. }) if skip_unreadable => {
                Err(Unusable::Unreadable(without_name(&problem)))
            }
            Err(error) => return Err(EnrolError::Picture(error)),
        };
        match judged {
            Ok(face) => gathered.faces.push((name, face)),
            Err(why) => gathered.refused.push((name, why)),
        }
        tell(Step::Done);
    }
    Ok(gathered)
}

fn alone(face: UsableFace) -> Result<UsableFace, Unusable> {
    if face.faces > 1 { Err(Unusable::Several(face.faces)) } else { Ok(face) }
}

/// What is wrong with a file that is named beside it.
fn without_name(problem: &RecordingProblem) -> String {
    match problem {
        RecordingProblem::Picture { reason, .. } => reason.to_string(),
        other => other.to_string(),
    }
}

/// Where frames come from.
struct From {
    source: ReferenceSource,
    name: String,
    /// How many pictures the folder has; 0 for moving pictures.
    pictures: usize,
}

fn take(
    judge: &mut Judge,
    source: &mut dyn FrameSource,
    from: &From,
    count: u32,
    tell: &mut dyn FnMut(Step<'_>),
    mut may_go_on: impl FnMut(u32) -> bool,
) -> Result<Gathered, EnrolError> {
    let mut gathered = Gathered::nothing(from.source);
    let mut tally = Tally::new(count, from.pictures > 0);
    let mut captured = CapturedFrame::new();
    let mut decoder = Decoder::new();
    let mut turns = 0;
    let mut last_taken: Option<Monotonic> = None;
    while tally.taken < count && may_go_on(turns) {
        turns += 1;
        // A damaged frame costs itself alone; a source that gives nothing else meets its bound.
        let judged = match source.next_frame(&mut captured) {
            Ok(Progress::Frame) => judged(judge, &mut decoder, &captured, &tally),
            Ok(Progress::End) => break,
            Err(error) if error.needs_reopening() => return Err(EnrolError::Source(error)),
            Err(CaptureError::Recording { problem, .. }) => {
                Err(Unusable::Unreadable(without_name(&problem)))
            }
            Ok(Progress::Repeat | Progress::Waiting) | Err(_) => continue,
        };
        tally.looked_at += 1;
        let at = captured.captured_at();
        let is_spaced = || last_taken.is_none_or(|last| at.since(last) >= SPACING);
        match judged {
            Ok(_) if !tally.is_folder && !is_spaced() => tally.too_soon += 1,
            Ok(face) => {
                last_taken = Some(at);
                let noun = tally.noun();
                gathered
                    .faces
                    .push((format!("{}, {noun} {}", from.name, captured.sequence()), face));
                tally.taken += 1;
                tell(Step::Done);
            }
            Err(Unusable::Fault) => return Err(EnrolError::NetworkFailed),
            Err(why) => {
                tell(Step::Refused(&why));
                tally.refuse(why);
            }
        }
    }
    tally.left = (from.pictures as u32).saturating_sub(tally.looked_at);
    if gathered.faces.is_empty() {
        gathered.refused.push((from.name.clone(), tally.main_reason()));
    }
    gathered.tally = Some(tally);
    Ok(gathered)
}

fn judged(
    judge: &mut Judge,
    decoder: &mut Decoder,
    captured: &CapturedFrame,
    tally: &Tally,
) -> Result<UsableFace, Unusable> {
    let frame = decoder.decode(captured).map_err(|error| Unusable::Undecodable(error.cause()))?;
    let face = if tally.is_folder { judge.still(&frame) } else { judge.frame(&frame) };
    face.and_then(alone).map_err(|why| why.through(frame.view()))
}
