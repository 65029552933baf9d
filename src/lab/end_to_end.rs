//! Enrol, identify, decide: real photographs and clips through the very path of the daemon.
//!
//! In: a [`FaceFolder`] and the configuration. Out: an [`EndToEnd`] report.
//! London: everybody is enrolled from one photograph and identified from another. Portraits:
//! strangers against that gallery. Visits: all people but the last (in the order of their names)
//! are enrolled from their first clip; all other clips are replayed, frame by frame, through
//! recognition and the decision core, on a clock that only the recording moves.
//!
//! Invariant: nothing here is tuned to the data; thresholds come from the configuration and the
//! model's own calibration. Deliberately absent: the database, the broker, real time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Stage;
use super::attempt::{Attempt, References, Vectors, attempt, empty_path, subject};
use super::folder::{Clip, FaceFolder, FolderError};
use super::report::{ClipDecision, EndToEnd, Mated, NonMated, Rates, Setup, Spread, Visits};
use super::stills::Stills;
use super::transcode::{RATE, TranscodeError, Transcoder};
use crate::calibrate::Tally;
use crate::capture::replay::{Replay, ReplaySettings};
use crate::capture::{
    CaptureError, CapturedFrame, Decoder, FrameRate, FrameSource, PictureError, Progress,
};
use crate::clock::{Clock, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use crate::compare::{Match, SubjectId};
use crate::config::Config;
use crate::decide::{Decision, Effect, Outcome, Seen, Verdict};
use crate::door::{Door, Event, Time};
use crate::equip::{EquipError, Networks};
use crate::recognise::Recogniser;
use crate::remedy::Remedied;

/// References taken from a clip.
const REFERENCES_PER_CLIP: usize = 5;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The folder is not as expected.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A clip could not be transcoded.
    #[error(transparent)]
    Transcode(#[from] TranscodeError),
    /// A photograph or recording cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A frame of a recording cannot be decoded.
    #[error("recording {recording}: {source}")]
    Frame {
        /// The recording.
        recording: String,
        /// What is wrong with the frame.
        source: PictureError,
    },
    /// A photograph of a list is absent.
    #[error(
        "photograph {0} is absent; expected is the folder that holds each one that the list names"
    )]
    Photograph(std::path::PathBuf),
    /// A table of photographs is not as expected.
    #[error(transparent)]
    Table(#[from] super::groups::TableError),
    /// A visit that answers cannot be played.
    #[error(transparent)]
    Turns(#[from] super::answering::TurnsError),
    /// The models cannot be used.
    #[error(transparent)]
    Equip(#[from] EquipError),
    /// There is no cohort to draw from.
    #[error(transparent)]
    Cohort(#[from] crate::calibrate::CohortError),
    /// A detector failed.
    #[error(transparent)]
    Detect(#[from] crate::detect::DetectError),
    /// A photograph could not be judged.
    #[error(
        "photograph {0}: the network or the library failed on it; 'deepid-edge doctor' checks both"
    )]
    Judged(std::path::PathBuf),
    /// Two vectors cannot be compared.
    #[error(transparent)]
    Compare(#[from] crate::compare::CompareError),
    /// Nobody can be left out as a stranger.
    #[error(
        "visits: clips of {0} person(s); at least two are needed, because the last one is the stranger"
    )]
    People(usize),
}

impl Remedied for EvaluateError {}

/// Runs the evaluation; `progress` hears how far it is.
///
/// # Errors
/// [`EvaluateError`]: the folder, ffmpeg, a picture or a model cannot be used.
pub fn end_to_end(
    config: &Config,
    networks: &Networks,
    folder: &FaceFolder,
    progress: &mut dyn FnMut(Stage),
) -> Result<EndToEnd, EvaluateError> {
    let (sitters, portraits, clips) = (folder.sitters()?, folder.portraits()?, folder.clips()?);
    let mut stills = Stills::new(empty_path(config, networks, config.quality_limits())?);

    let mut references = References::default();
    let mut not_enrolled = Vec::new();
    for (index, sitter) in sitters.iter().enumerate() {
        progress(Stage { name: "enrolling", done: index, of: sitters.len() });
        match attempt_still(&mut stills, &sitter.neutral)? {
            Attempt::Compared { vectors, .. } => references.add(index, *vectors),
            Attempt::NoFace | Attempt::Unusable => not_enrolled.push(sitter.id.clone()),
        }
    }
    let enrolled = references.first.len();
    let galleries = references.galleries(config, networks)?;
    let operating = galleries.deciding().operating();
    stills.recogniser.set_galleries(galleries);

    let (mut rates, mut scores) = (Rates::default(), Vec::new());
    for (index, sitter) in sitters.iter().enumerate() {
        progress(Stage { name: "identifying", done: index, of: sitters.len() });
        let attempt = attempt_still(&mut stills, &sitter.smiling)?;
        count(&mut rates, &attempt, Some(&subject(index)), &mut scores);
    }
    let london = Mated { rates, enrolled, not_enrolled, operating, scores: Spread::of(scores) };

    let (mut rates, mut scores) = (Rates::default(), Vec::new());
    for (index, portrait) in portraits.iter().enumerate() {
        progress(Stage { name: "strangers", done: index, of: portraits.len() });
        count(&mut rates, &attempt_still(&mut stills, portrait)?, None, &mut scores);
    }
    let portraits = NonMated { rates, scores: Spread::of(scores) };

    let visits = visits(config, networks, &clips, progress)?;
    Ok(EndToEnd {
        schema: "deepid-edge/evaluate-e2e/1",
        setup: Setup {
            find: config.models.find.clone(),
            follow: config.models.follow.clone(),
            embedder: config.models.embedder.clone(),
            metric: config.recognise.metric,
            mirrored: config.recognise.mirrored,
            target_fpir: config
                .recognise
                .threshold
                .is_none()
                .then_some(config.recognise.target_fpir),
        },
        london,
        portraits,
        visits,
    })
}

/// What came of one photograph.
fn attempt_still(stills: &mut Stills, path: &Path) -> Result<Attempt, EvaluateError> {
    let observation = stills.observe(path)?;
    Ok(attempt(&mut stills.recogniser, observation)?)
}

/// Counts one search by `who` (`None`: a stranger).
fn count(rates: &mut Rates, attempt: &Attempt, who: Option<&SubjectId>, scores: &mut Vec<f64>) {
    let tally = |rate: &mut Option<Tally>, hit| rate.get_or_insert_default().add(hit);
    tally(&mut rates.detection, !matches!(attempt, Attempt::NoFace));
    let found = match attempt {
        Attempt::Compared { found, .. } => Some(found),
        Attempt::NoFace | Attempt::Unusable => None,
    };
    let accepted = found.and_then(Match::accepted).map(|candidate| &candidate.subject);
    let nearest = found.and_then(|found| found.best.as_ref());
    let Some(who) = who else {
        tally(&mut rates.fpir, accepted.is_some());
        scores.extend(nearest.map(|nearest| f64::from(nearest.score)));
        return;
    };
    tally(&mut rates.fnir, accepted != Some(who));
    if let Some(nearest) = nearest {
        tally(&mut rates.rank1, nearest.subject == *who);
        scores.extend((nearest.subject == *who).then_some(f64::from(nearest.score)));
    }
}

fn visits(
    config: &Config,
    networks: &Networks,
    clips: &[Clip],
    progress: &mut dyn FnMut(Stage),
) -> Result<Visits, EvaluateError> {
    let transcoder = Transcoder::new()?;
    let mut first: BTreeMap<&str, &Clip> = BTreeMap::new();
    for clip in clips {
        first.entry(&clip.person).or_insert(clip);
    }
    if first.len() < 2 {
        return Err(EvaluateError::People(first.len()));
    }
    let mut recogniser = empty_path(config, networks, config.quality_limits())?;
    first.pop_last();
    let people: BTreeMap<&str, SubjectId> =
        first.keys().enumerate().map(|(index, person)| (*person, subject(index))).collect();
    let mut references = References::default();
    for (index, clip) in first.values().enumerate() {
        progress(Stage { name: "enrolling from clips", done: index, of: first.len() });
        let recording = transcoder.recording(&clip.path)?;
        for vectors in clip_vectors(&mut recogniser, &recording, RATE)? {
            references.add(index, vectors);
        }
    }
    let galleries = references.galleries(config, networks)?;
    let operating = galleries.deciding().operating();
    recogniser.set_galleries(galleries);
    let mut door = Door::new(recogniser, config.measured_visit_policy());

    let mut visits = Visits {
        rates: Rates::default(),
        enrolled_from: first.values().map(|clip| clip.name.clone()).collect(),
        operating,
        granted_rightly: Tally::default(),
        granted_wrongly: Tally::default(),
        time_to_decision_ms: None,
        decisions: Vec::new(),
    };
    let replayed: Vec<_> =
        clips.iter().filter(|clip| !visits.enrolled_from.contains(&clip.name)).collect();
    for (index, clip) in replayed.iter().enumerate() {
        progress(Stage { name: "replaying visits", done: index, of: replayed.len() });
        let who = people.get(clip.person.as_str());
        let recording = transcoder.recording(&clip.path)?;
        let decision = decide(config, &mut door, &recording, clip, who, &mut visits.rates)?;
        if who.is_some() {
            visits.granted_rightly.add(decision.right_subject == Some(true));
        }
        visits.granted_wrongly.add(decision.right_subject == Some(false));
        visits.decisions.push(decision);
    }
    visits.time_to_decision_ms = Spread::of(
        visits
            .decisions
            .iter()
            .filter(|decision| decision.published)
            .filter_map(|decision| decision.time_to_decision_ms)
            .collect(),
    );
    Ok(visits)
}

/// Vectors of usable single faces, evenly spread over a recording.
pub(super) fn clip_vectors(
    recogniser: &mut Recogniser,
    recording: &Path,
    rate: u32,
) -> Result<Vec<Vectors>, EvaluateError> {
    let mut vectors = Vec::new();
    let clock = still_clock();
    recogniser.forget();
    replay(recording, rate, &clock, |frame, clock| {
        let observation = recogniser.observe(frame, clock);
        let alone = matches!(&observation.seen, Seen::Faces { count: 1, .. });
        if let (true, Attempt::Compared { vectors: of_face, .. }) =
            (alone, attempt(recogniser, observation)?)
        {
            vectors.push(*of_face);
        }
        Ok(())
    })?;
    let step = vectors.len().div_ceil(REFERENCES_PER_CLIP).max(1);
    Ok(vectors.into_iter().skip(step / 2).step_by(step).collect())
}

/// Replays one clip through the decision core, as the visit of `who` (`None`: a stranger).
fn decide(
    config: &Config,
    door: &mut Door,
    recording: &Path,
    clip: &Clip,
    who: Option<&SubjectId>,
    rates: &mut Rates,
) -> Result<ClipDecision, EvaluateError> {
    let (mut frames, mut frames_with_face) = (0, 0);
    let decided = play(config, door, (recording, RATE), |door| {
        frames += 1;
        let Some(observation) = door.observed().cloned() else { return Ok(()) };
        frames_with_face += u64::from(matches!(observation.seen, Seen::Faces { .. }));
        count(rates, &attempt(door.sight_mut(), observation)?, who, &mut Vec::new());
        Ok(())
    })?;
    let first = |announced: bool| decided.iter().find(|(_, announce)| *announce == announced);
    let (published, quiet) = (first(true), first(false));
    let decision: Option<&Decision> = published.or(quiet).map(|(decision, _)| decision);
    Ok(ClipDecision {
        clip: clip.name.clone(),
        enrolled: who.is_some(),
        frames,
        frames_with_face,
        outcome: decision.map(|d| outcome_name(d.verdict.outcome()).to_owned()),
        reason: decision.map(|d| d.verdict.reason().to_owned()),
        published: published.is_some(),
        right_subject: decision.and_then(|d| match &d.verdict {
            Verdict::Granted { subject } => Some(Some(subject) == who),
            _ => None,
        }),
        score: decision.and_then(|d| d.evidence.as_ref()?.score).map(f64::from),
        time_to_decision_ms: decision.map(|d| d.latency.first_frame_us as f64 / 1000.0),
    })
}

/// Plays a recording of so many frames a second before `door`, until nobody is there any more; `each`
/// hears of every frame that was judged. Gives what was decided, and whether it is announced.
pub(super) fn play(
    config: &Config,
    door: &mut Door,
    (recording, rate): (&Path, u32),
    mut each: impl FnMut(&mut Door) -> Result<(), EvaluateError>,
) -> Result<Vec<(Decision, bool)>, EvaluateError> {
    door.begin_anew(config.measured_visit_policy());
    door.sight_mut().forget();
    let (clock, mut effects) = (still_clock(), Vec::new());
    replay(recording, rate, &clock, |frame, clock| {
        door.step(Event::Frame(frame), Time::of(clock), &mut effects);
        each(door)
    })?;
    Ok(concluded(door, &clock, effects))
}

/// What was decided, and whether it is announced, once nobody is there any more.
pub(super) fn concluded(
    door: &mut Door,
    clock: &ManualClock,
    mut effects: Vec<Effect>,
) -> Vec<(Decision, bool)> {
    while let Some(due) = door.poll_at() {
        clock.advance_to(due);
        door.step(Event::Tick, Time::of(clock), &mut effects);
    }
    let decided = effects.into_iter().filter_map(|effect| match effect {
        Effect::Decided { decision, announce } => Some((decision, announce)),
        Effect::Presence { .. } => None,
    });
    decided.collect()
}

/// Hands every frame of a recording of `rate` frames a second on, with the clock moved to its
/// capture.
///
/// # Errors
/// [`EvaluateError`] when the recording cannot be read, a frame cannot be decoded, or `each` fails.
pub fn replay(
    recording: &Path,
    rate: u32,
    clock: &Arc<ManualClock>,
    mut each: impl FnMut(&crate::frame::Frame<'_>, &ManualClock) -> Result<(), EvaluateError>,
) -> Result<(), EvaluateError> {
    let settings = ReplaySettings {
        rate: Some(FrameRate::per_second(rate)),
        ..ReplaySettings::once(recording)
    };
    let mut source = Replay::open(settings, Arc::clone(clock) as Arc<dyn Clock>)?;
    let (mut captured, mut decoder) = (CapturedFrame::new(), Decoder::new());
    loop {
        match source.next_frame(&mut captured)? {
            Progress::Frame | Progress::Repeat => {
                let frame = decoder.decode(&captured).map_err(|source| EvaluateError::Frame {
                    recording: recording.display().to_string(),
                    source,
                })?;
                clock.advance_to(frame.captured_at());
                each(&frame, clock)?;
            }
            Progress::Waiting => {}
            Progress::End => return Ok(()),
        }
    }
}

/// A clock that only a recording moves.
#[must_use]
pub fn still_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS))
}

/// The outcome as on the wire.
const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "granted",
        Outcome::Denied => "denied",
        Outcome::Unknown => "unknown",
        Outcome::Ambiguous => "ambiguous",
    }
}
