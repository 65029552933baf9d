//! Visits that answer: somebody hears what the door asks, and turns the head, or a picture, as told.
//!
//! In: a recording NAME.mjpeg, JPEG pictures one after another, each of the visit in one pose, and beside
//! it NAME.json:
//! `{"poses": [DEGREES, …], "film": null}`, how far the head is turned in each picture, positive to the
//! visitor's left; `film` is null where the visitor hears, and for a film that was made before anybody asked
//! how far its person is turned at each fifteenth of a second. Out: the door's decisions, at 15 frames a second.
//!
//! Who hears reacts after [`REACTION_MS`] to a word, turns at [`SPEED`] to [`TURN`], and stays until told
//! otherwise; words other than turning and looking here change nothing. All of it is drawn from a seed.
//! Pictures of the same pose follow each other to and fro, as somebody sways.
//!
//! Deliberately absent: people who misunderstand, and attackers with a film for each side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::attempt::{Attempt, Vectors, attempt};
use super::end_to_end::{EvaluateError, concluded, still_clock};
use crate::capture::replay::mjpeg::MjpegReader;
use crate::capture::{CapturedFrame, Decoder};
use crate::clock::{Clock as _, ManualClock, Monotonic};
use crate::config::Config;
use crate::decide::{Decision, Effect, Seen};
use crate::door::{Door, Event, Guidance, Time};
use crate::frame::Frame;
use crate::recognise::Recogniser;

/// Frames a second.
const RATE: u32 = 15;
/// From a word to the beginning of the movement, in milliseconds.
const REACTION_MS: (f32, f32) = (400.0, 900.0);
/// How fast the head turns, in degrees a second.
const SPEED: (f32, f32) = (40.0, 90.0);
/// How far it turns, in degrees, where it is told nothing else before it is there.
const TURN: (f32, f32) = (36.0, 44.0);
/// No visit takes longer.
const LONGEST: Duration = Duration::from_secs(40);

/// Why a visit that answers cannot be played.
#[derive(Debug, thiserror::Error)]
#[error(
    "visit {path}: {problem}; expected is JSON with as many poses as {path} with the ending .mjpeg has pictures, and film: null or degrees at each fifteenth of a second"
)]
pub struct TurnsError {
    /// The file that says how far the head is turned.
    path: PathBuf,
    /// What is wrong with it.
    problem: String,
}

/// What lies beside the recording.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    /// Degrees, one for each picture.
    poses: Vec<f32>,
    /// Degrees at each fifteenth of a second.
    film: Option<Vec<f32>>,
}

/// A visit in all poses.
#[derive(Debug)]
pub(super) struct Turns {
    path: PathBuf,
    pictures: Vec<Vec<u8>>,
    told: Told,
}

impl Turns {
    /// Those of a recording; `None` where nothing beside it says how far the head is turned.
    ///
    /// # Errors
    /// [`TurnsError`] when the poses cannot be read, or are not as many as there are pictures.
    pub(super) fn beside(recording: &Path) -> Result<Option<Self>, TurnsError> {
        let path = recording.with_extension("json");
        if !path.exists() || path == recording {
            return Ok(None);
        }
        let wrong = |problem: String| TurnsError { path: path.clone(), problem };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let told: Told = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let bytes = std::fs::read(recording).map_err(|error| wrong(error.to_string()))?;
        let (mut reader, mut pictures) = (MjpegReader::new(bytes.as_slice()), Vec::new());
        let mut picture = Vec::new();
        while reader.next_picture(&mut picture).map_err(|error| wrong(error.to_string()))? {
            pictures.push(picture.clone());
        }
        let film = told.film.as_deref().unwrap_or(&[0.0]);
        if pictures.is_empty() || pictures.len() != told.poses.len() || film.is_empty() {
            let (pictures, poses) = (pictures.len(), told.poses.len());
            return Err(wrong(format!(
                "{pictures} pictures, {poses} poses, {} degrees",
                film.len()
            )));
        }
        let finite = told.poses.iter().chain(film).all(|degrees| degrees.is_finite());
        if !finite {
            return Err(wrong("degrees that are no numbers".to_owned()));
        }
        Ok(Some(Self { path: recording.to_owned(), pictures, told }))
    }

    /// Which picture shows a head turned by so many degrees, in frame number `frame`.
    fn picture(&self, degrees: f32, frame: usize) -> &[u8] {
        let away = |pose: f32| (pose - degrees).abs();
        let nearest = self.told.poses.iter().copied().min_by(|a, b| away(*a).total_cmp(&away(*b)));
        let alike = || {
            self.pictures.iter().zip(&self.told.poses).filter(|(_, pose)| Some(**pose) == nearest)
        };
        let count = alike().count().max(1);
        // There and back: 0 1 2 3 2 1 0.
        let round = frame % (2 * count - 2).max(1);
        let at = if round < count { round } else { 2 * count - 2 - round };
        alike().nth(at).map_or(&[], |(picture, _)| picture)
    }

    /// Vectors of its person looking ahead, to enrol from.
    pub(super) fn vectors(
        &self,
        recogniser: &mut Recogniser,
    ) -> Result<Vec<Vectors>, EvaluateError> {
        let (clock, mut vectors) = (still_clock(), Vec::new());
        recogniser.forget();
        let ahead = self.told.poses.iter().fold(f32::INFINITY, |least, pose| least.min(pose.abs()));
        let mut projector = Projector::default();
        let poses = self.pictures.iter().zip(&self.told.poses);
        for (picture, _) in poses.filter(|(_, pose)| pose.abs() <= ahead) {
            let frame = projector.show(&self.path, picture, &clock)?;
            let observation = recogniser.observe(&frame, &*clock);
            let alone = matches!(&observation.seen, Seen::Faces { count: 1, .. });
            if let (true, Attempt::Compared { vectors: of_face, .. }) =
                (alone, attempt(recogniser, observation)?)
            {
                vectors.push(*of_face);
            }
        }
        Ok(vectors)
    }

    /// Plays the visit before `door`; `each` hears of every frame. Ends with the first decision, which is the
    /// visit's, or with the film. Gives what was decided, and whether it is announced.
    ///
    /// # Errors
    /// [`EvaluateError`] when a picture cannot be decoded, or `each` fails.
    pub(super) fn play(
        &self,
        config: &Config,
        door: &mut Door,
        visitor: &mut Visitor,
        mut each: impl FnMut(&mut Door) -> Result<(), EvaluateError>,
    ) -> Result<Vec<(Decision, bool)>, EvaluateError> {
        door.begin_anew(config.measured_visit_policy());
        door.sight_mut().forget();
        let (clock, mut effects, mut projector) = (still_clock(), Vec::new(), Projector::default());
        for frame in 0.. {
            let degrees = match &self.told.film {
                Some(film) => film.get(frame).copied(),
                None => Some(visitor.turned(clock.now(), door.guidance())),
            };
            let decided = effects.iter().any(|effect| matches!(effect, Effect::Decided { .. }));
            let over = decided || clock.now().since(Monotonic::default()) > LONGEST;
            let (Some(degrees), false) = (degrees, over) else { break };
            let shown = projector.show(&self.path, self.picture(degrees, frame), &clock)?;
            door.step(Event::Frame(&shown), Time::of(&*clock), &mut effects);
            each(door)?;
        }
        Ok(concluded(door, &clock, effects))
    }
}

/// Turns pictures into frames, a fifteenth of a second after each other.
#[derive(Default)]
struct Projector {
    captured: CapturedFrame,
    decoder: Decoder,
    sequence: u64,
}

impl Projector {
    fn show(
        &mut self,
        recording: &Path,
        picture: &[u8],
        clock: &Arc<ManualClock>,
    ) -> Result<Frame<'_>, EvaluateError> {
        self.sequence += 1;
        let at = Duration::from_secs(self.sequence) / RATE;
        let at = Monotonic::default().plus(at);
        self.captured.begin_jpeg(self.sequence, at).extend_from_slice(picture);
        clock.advance_to(at);
        self.decoder.decode(&self.captured).map_err(|source| EvaluateError::Frame {
            recording: recording.display().to_string(),
            source,
        })
    }
}

/// Somebody who hears what the door says, and turns.
#[derive(Debug)]
pub(super) struct Visitor {
    chance: fastrand::Rng,
    /// Degrees a second, and how far at most.
    speed: f32,
    most: f32,
    degrees: f32,
    /// Where the head goes, in degrees.
    wanted: f32,
    /// What was heard last, in degrees, and from when on it is done.
    heard: f32,
    due: Option<Monotonic>,
    last: Option<Monotonic>,
}

impl Visitor {
    /// Somebody who looks ahead, drawn from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let (speed, most) = (between(&mut chance, SPEED), between(&mut chance, TURN));
        let (degrees, wanted, heard) = (0.0, 0.0, 0.0);
        Self { chance, speed, most, degrees, wanted, heard, due: None, last: None }
    }

    /// How far the head is turned at `now`, in degrees, having heard what is said.
    fn turned(&mut self, now: Monotonic, said: Option<Guidance>) -> f32 {
        let told = match said {
            Some(Guidance::TurnLeft) => self.most,
            Some(Guidance::TurnRight) => -self.most,
            Some(Guidance::LookHere) => 0.0,
            _ => self.heard,
        };
        // Written so that nobody reacts twice to a word that stands.
        if (told - self.heard).abs() > f32::EPSILON {
            let reaction = Duration::from_secs_f32(between(&mut self.chance, REACTION_MS) / 1000.0);
            (self.heard, self.due) = (told, Some(now.plus(reaction)));
        }
        if self.due.is_some_and(|due| now >= due) {
            (self.wanted, self.due) = (self.heard, None);
        }
        let passed = self.last.map_or(0.0, |last| now.since(last).as_secs_f32());
        self.last = Some(now);
        let step = self.speed * passed;
        self.degrees += (self.wanted - self.degrees).clamp(-step, step);
        self.degrees
    }
}

fn between(chance: &mut fastrand::Rng, (low, high): (f32, f32)) -> f32 {
    low + (high - low) * chance.f32()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::replay::mjpeg::MjpegWriter;

    /// A recording of pictures whose grey tells them apart, and what lies beside it.
    fn made(pictures: u8, told: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("visit.mjpeg");
        let mut writer = MjpegWriter::new(Vec::new(), 90);
        for number in 0..pictures {
            writer.write_rgb(&[20 * number; 3 * 16 * 16], 16, 16).unwrap();
        }
        std::fs::write(&path, writer.finish().unwrap()).unwrap();
        if !told.is_empty() {
            std::fs::write(path.with_extension("json"), told).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn the_picture_of_the_nearest_pose_is_shown_to_and_fro() {
        let (_folder, path) = made(5, r#"{"poses": [-8, 0, 0, 0, 8], "film": null}"#);
        let turns = Turns::beside(&path).unwrap().unwrap();
        let number = |degrees, frame| {
            let shown = turns.picture(degrees, frame);
            turns.pictures.iter().position(|picture| picture == shown).unwrap()
        };
        assert_eq!((0..6).map(|frame| number(1.0, frame)).collect::<Vec<_>>(), [1, 2, 3, 2, 1, 2]);
        assert_eq!([number(-90.0, 1), number(-5.0, 4), number(7.0, 3)], [0, 0, 4]);
    }

    #[test]
    fn what_is_no_visit_that_answers_is_told() {
        let (_folder, path) = made(2, "");
        assert!(Turns::beside(&path).unwrap().is_none());
        for (told, problem) in [
            (r#"{"poses": [1], "film": null}"#, "2 pictures, 1 poses"),
            (r#"{"poses": [1, 2], "film": []}"#, "0 degrees"),
            (r#"{"poses": [1, 2], "films": []}"#, "unknown field"),
            ("poses", "expected"),
        ] {
            let (_folder, path) = made(2, told);
            let said = Turns::beside(&path).unwrap_err().to_string();
            assert!(said.contains(problem) && said.contains("visit.json"), "{said}");
        }
    }

    #[test]
    fn a_visitor_reacts_once_turns_steadily_and_stays_until_told_otherwise() {
        for seed in 0..50 {
            let mut visitor = Visitor::new(seed);
            let mut hears = |from_ms: u64, said| -> Vec<f32> {
                let at = |frame: u64| Monotonic::from_millis(from_ms + 66 * frame);
                (0..60).map(|frame| visitor.turned(at(frame), said)).collect()
            };
            let left = hears(0, Some(Guidance::TurnLeft));
            let begun = left.iter().position(|degrees| *degrees > 0.0).unwrap();
            assert!((6..16).contains(&begun), "frame {begun}");
            assert!(
                left.windows(2).all(|pair| (0.0..6.1).contains(&(pair[1] - pair[0]))),
                "{left:?}"
            );
            let most = *left.last().unwrap();
            assert!((TURN.0..=TURN.1).contains(&most), "{most}");
            let is = |degrees: f32, wanted: f32| (degrees - wanted).abs() < 1e-3;
            assert!(hears(3960, None).iter().all(|degrees| is(*degrees, most)), "silence");
            let right = hears(7920, Some(Guidance::TurnRight));
            assert!(
                right.windows(2).all(|pair| pair[1] <= pair[0])
                    && is(*right.last().unwrap(), -most)
            );
            assert_eq!(hears(11_880, Some(Guidance::LookHere)).last(), Some(&0.0));
        }
    }
}
