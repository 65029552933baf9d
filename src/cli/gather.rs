//! Usable faces for an enrolment, from files, a recording or the camera.
//!
//! In: where to look and how many to take. Out: faces with a name for where each came from, and
//! what was refused. Invariants: from moving pictures, frames are taken at least
//! [`SPACING`] apart, so that references differ; a frame with several faces is never taken; every
//! loop has a bound in frames or time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::camera;
use super::exit::Kind;
use super::faces::{Judge, Unusable, UsableFace};
use super::failure::Failure;
use super::session::Session;
use crate::capture::picture::Picture;
use crate::capture::{CapturedFrame, Decoder, FrameSource, Progress};
use crate::clock::{Clock, Floor, Monotonic, SystemClock};
use crate::config::Config;

/// Least time between two frames that are taken.
pub(super) const SPACING: Duration = Duration::from_millis(300);
/// A recording is looked at up to here.
const FRAMES_MAX: u32 = 20_000;

/// What came together.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Where each usable face came from, and the face.
    pub(super) faces: Vec<(String, UsableFace)>,
    /// What was refused, and why; for moving pictures only when nothing was usable.
    pub(super) refused: Vec<(String, Unusable)>,
}

/// One face from each of `files`.
pub(super) fn from_pictures(
    session: &Session,
    judge: &mut Judge,
    files: &[PathBuf],
) -> Result<Gathered, Failure> {
    let bar = bar(session, files.len() as u64, "pictures");
    let mut gathered = Gathered::default();
    for path in files {
        let name = path.display().to_string();
        let picture = Picture::read(path)?;
        match judge.picture(&picture).and_then(alone) {
            Ok(face) => gathered.faces.push((name, face)),
            Err(why) => gathered.refused.push((name, why)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(gathered)
}

fn alone(face: UsableFace) -> Result<UsableFace, Unusable> {
    if face.faces > 1 { Err(Unusable::Several(face.faces)) } else { Ok(face) }
}

/// Up to `count` faces from the recording at `path`.
pub(super) fn from_recording(
    session: &Session,
    config: &Config,
    judge: &mut Judge,
    path: &Path,
    count: u32,
) -> Result<Gathered, Failure> {
    let clock =
        Arc::new(SystemClock::new(crate::clock::ClockRequirement::default(), Floor::default()));
    let mut source = camera::open_recording(config, path, clock)
        .map_err(|error| Failure::of_recording(&error))?;
    let bar = bar(session, u64::from(count), "references");
    let name = path.display().to_string();
    take(judge, &mut *source, &name, count, &bar, |frames| frames < FRAMES_MAX)
}

/// Up to `count` faces from the configured camera, for at most `seconds`.
pub(super) fn from_camera(
    session: &Session,
    config: &Config,
    judge: &mut Judge,
    count: u32,
    seconds: u32,
) -> Result<Gathered, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(config.clock.require, Floor::default()));
    let mut source =
        camera::open(config, Arc::clone(&clock)).map_err(|error| Failure::of_recording(&error))?;
    session.mention(format!(
        "look at the camera ({}), alone, and turn the head a little",
        source.description().name
    ));
    let bar = bar(session, u64::from(count), "references");
    let until = clock.now().plus(Duration::from_secs(seconds.into()));
    take(judge, &mut *source, "camera", count, &bar, |_| clock.now() < until)
}

fn take(
    judge: &mut Judge,
    source: &mut dyn FrameSource,
    name: &str,
    count: u32,
    bar: &ProgressBar,
    mut may_go_on: impl FnMut(u32) -> bool,
) -> Result<Gathered, Failure> {
    let mut gathered = Gathered::default();
    let mut captured = CapturedFrame::new();
    let mut decoder = Decoder::new();
    let mut frames = 0;
    let mut last_taken: Option<Monotonic> = None;
    let mut last_refusal = Unusable::NoFace;
    while gathered.faces.len() < count as usize && may_go_on(frames) {
        frames += 1;
        // A damaged frame costs itself alone; a source that gives nothing else meets its bound.
        match source.next_frame(&mut captured) {
            Ok(Progress::Frame) => {}
            Ok(Progress::End) => break,
            Err(error) if error.needs_reopening() => return Err(error.into()),
            Ok(Progress::Repeat | Progress::Waiting) | Err(_) => continue,
        }
        let Ok(frame) = decoder.decode(&captured) else { continue };
        match judge.frame(&frame).and_then(alone) {
            Ok(face) => {
                let spaced =
                    last_taken.is_none_or(|last| frame.captured_at().since(last) >= SPACING);
                if spaced {
                    last_taken = Some(frame.captured_at());
                    gathered.faces.push((format!("{name}, frame {}", frame.sequence()), face));
                    bar.inc(1);
                }
            }
            Err(Unusable::Fault) => {
                return Err(Failure::new(
                    Kind::Model,
                    Unusable::Fault.finding(),
                    Unusable::Fault.remedy(),
                ));
            }
            Err(why) => {
                // Why nobody was taken is more telling than that, in between, nobody was there.
                if why != Unusable::NoFace {
                    last_refusal = why;
                }
                bar.set_message(why.to_string());
            }
        }
    }
    bar.finish_and_clear();
    if gathered.faces.is_empty() {
        gathered.refused.push((name.to_owned(), last_refusal));
    }
    Ok(gathered)
}

fn bar(session: &Session, length: u64, unit: &str) -> ProgressBar {
    if !session.draws_progress() || length < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit} {{wide_msg}}");
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A bar over bytes, whose length is told later.
pub(super) fn bytes_bar(session: &Session) -> ProgressBar {
    if !session.draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
