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

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::camera;
use super::exit::Kind;
use super::faces::{Judge, Unusable, UsableFace};
use super::failure::Failure;
use super::session::Session;
use crate::capture::picture::Picture;
use crate::capture::replay::pictures_of;
use crate::capture::{
    CaptureError, CapturedFrame, Decoder, FrameSource, Progress, RecordingProblem,
};
use crate::clock::{Clock, Floor, Monotonic, SystemClock};
use crate::config::Config;
use crate::embed::QualityFault;

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
    /// What was looked at, for moving pictures and folders.
    pub(super) tally: Option<Tally>,
}

/// One face from each of `files`; one that cannot be read ends it, unless such are skipped.
pub(super) fn from_pictures(
    session: &Session,
    judge: &mut Judge,
    files: &[PathBuf],
    skip_unreadable: bool,
) -> Result<Gathered, Failure> {
    let bar = bar(session, files.len() as u64, "pictures");
    let mut gathered = Gathered::default();
    for path in files {
        let name = path.display().to_string();
        let judged = match Picture::read(path) {
            Ok(picture) => judge.picture(&picture).and_then(alone),
            Err(CaptureError::Recording { problem, .. }) if skip_unreadable => {
                Err(Unusable::Unreadable(without_name(&problem)))
            }
            Err(error) => return Err(error.into()),
        };
        match judged {
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
    let pictures = if path.is_dir() { pictures_of(path).map_or(0, |all| all.len()) } else { 0 };
    let from = Source { name: path.display().to_string(), pictures };
    take(judge, &mut *source, &from, count, &bar, |frames| frames < FRAMES_MAX)
}

/// What is wrong with a file that is named beside it.
fn without_name(problem: &RecordingProblem) -> String {
    match problem {
        RecordingProblem::Picture { reason, .. } => reason.to_string(),
        other => other.to_string(),
    }
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
    let from = Source { name: "camera".to_owned(), pictures: 0 };
    take(judge, &mut *source, &from, count, &bar, |_| clock.now() < until)
}

/// Where frames come from.
struct Source {
    name: String,
    /// How many pictures the folder has; 0 for moving pictures.
    pictures: usize,
}

/// Everything that was looked at, by what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many references were asked for.
    pub(super) wanted: u32,
    /// Frames or pictures that were looked at.
    pub(super) looked_at: u32,
    /// Those whose face was taken.
    pub(super) taken: u32,
    /// Usable ones that came too soon after one that was taken.
    pub(super) too_soon: u32,
    /// Pictures of a folder that were not looked at, because there were enough before them.
    pub(super) left: u32,
    is_folder: bool,
    refused: Vec<(Unusable, u32)>,
}

impl Tally {
    fn refuse(&mut self, why: Unusable) {
        // How many the several were, and what a text says, makes no reason of its own.
        let same =
            |known: &Unusable| (known.reason(), known.fault()) == (why.reason(), why.fault());
        match self.refused.iter_mut().find(|(known, _)| same(known)) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((why, 1)),
        }
    }

    /// Each reason with its count, the most frequent first.
    pub(super) fn reasons(&self) -> Vec<&(Unusable, u32)> {
        let mut reasons: Vec<_> = self.refused.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// Why nobody was taken: frames that cannot be decoded where they are more than half; else the
    /// most frequent reason that is no empty picture, because in between nobody may have been there. A
    /// camera that hangs otherwise is why faces are unclear, too.
    fn main_reason(&self) -> Unusable {
        let reasons = self.reasons();
        let broken =
            |why: &Unusable| matches!(why, Unusable::Undecodable(_) | Unusable::Unreadable(_));
        let undecodable =
            reasons.iter().find(|(why, count)| broken(why) && count * 2 > self.looked_at);
        let telling = reasons.iter().find(|(why, _)| !broken(why) && *why != Unusable::NoFace);
        let unclear = Unusable::Poor(QualityFault::Unclear);
        let turned = reasons.iter().find(|(why, _)| matches!(why, Unusable::CameraTurned { .. }));
        let telling = telling.filter(|(why, _)| *why != unclear).or(turned).or(telling);
        undecodable.or(telling).or(reasons.first()).map_or(Unusable::NoFace, |(why, _)| why.clone())
    }

    fn noun(&self) -> &'static str {
        if self.is_folder { "picture" } else { "frame" }
    }

    /// Whether fewer came than were asked for.
    pub(super) const fn is_short(&self) -> bool {
        self.taken < self.wanted
    }
}

impl std::fmt::Display for Tally {
    /// How many came of how many, and why the others did not, by reason.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wanted, looked_at, taken, too_soon, .. } = self;
        let noun = self.noun();
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{taken} of {wanted} reference{} from {looked_at} {noun}{}",
            plural(*wanted),
            plural(*looked_at)
        )?;
        for (why, count) in self.reasons() {
            write!(f, "; {count}: {}", why.finding())?;
        }
        if *too_soon > 0 {
            let ms = SPACING.as_millis();
            write!(f, "; {too_soon}: within {ms} ms of one that was taken")?;
        }
        Ok(())
    }
}

fn take(
    judge: &mut Judge,
    source: &mut dyn FrameSource,
    from: &Source,
    count: u32,
    bar: &ProgressBar,
    mut may_go_on: impl FnMut(u32) -> bool,
) -> Result<Gathered, Failure> {
    let mut gathered = Gathered::default();
    let mut tally = Tally { wanted: count, is_folder: from.pictures > 0, ..Tally::default() };
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
            Err(error) if error.needs_reopening() => return Err(error.into()),
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
                bar.inc(1);
            }
            Err(why @ Unusable::Fault) => {
                return Err(Failure::new(Kind::Model, why.finding(), why.remedy()));
            }
            Err(why) => {
                bar.set_message(why.to_string());
                tally.refuse(why);
            }
        }
    }
    bar.finish_and_clear();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Undecodable;
    use crate::geometry::Turn;

    #[test]
    fn a_tally_says_how_many_came_and_why_not_more() {
        let mut tally =
            Tally { wanted: 5, looked_at: 40, taken: 3, too_soon: 7, ..Tally::default() };
        assert!(tally.is_short());
        for _ in 0..20 {
            tally.refuse(Unusable::NoFace);
        }
        for faces in [2, 3] {
            tally.refuse(Unusable::Several(faces));
        }
        for _ in 0..8 {
            tally.refuse(Unusable::Undecodable(Undecodable::CutOff));
        }
        assert_eq!(
            tally.to_string(),
            "3 of 5 references from 40 frames; 20: no face was found; 8: it cannot be decoded (cut off); \
             2: 2 faces are in the picture, one is wanted; 7: within 300 ms of one that was taken"
        );
    }

    #[test]
    fn the_reason_that_is_told_is_the_most_telling() {
        let tally = |reasons: &[(Unusable, u32)]| {
            let mut tally = Tally::default();
            for (why, count) in reasons {
                for _ in 0..*count {
                    tally.looked_at += 1;
                    tally.refuse(why.clone());
                }
            }
            tally.main_reason()
        };
        let undecodable = Unusable::Undecodable(Undecodable::Unsupported);
        let poor = Unusable::Poor(QualityFault::Blurred);
        assert_eq!(tally(&[]), Unusable::NoFace);
        assert_eq!(tally(&[(Unusable::NoFace, 9), (poor.clone(), 1)]), poor);
        assert_eq!(tally(&[(Unusable::NoFace, 3), (undecodable.clone(), 57)]), undecodable);
        assert_eq!(tally(&[(poor.clone(), 30), (undecodable, 20)]), poor);
        let unclear = Unusable::Poor(QualityFault::Unclear);
        let fault = QualityFault::NotUpright(Turn::Half);
        let turned = Unusable::CameraTurned { fault, rotate: Turn::Half };
        assert_eq!(tally(&[(unclear.clone(), 4), (turned.clone(), 3)]), turned);
        assert_eq!(tally(&[(unclear.clone(), 4), (Unusable::NoFace, 9)]), unclear);
    }
}
