//! How many pictures of faces are let in as faces, and how many faces are refused as pictures.
//!
//! In: a folder with films of visits, `live/*` and `attack/KIND/*`, and the configuration. Out: for each
//! kind how many visits end in a grant, in `not_live`, and otherwise, with intervals; what each visit
//! showed.
//! Whoever a film shows is enrolled from that very film, so that recognition stands in nobody's way:
//! what is measured is liveness alone, in the worst case that a picture is perfectly alike. So the
//! share of attacks that end in a grant is an upper bound of the door's (IAPAR), and the share of
//! live visits that end in none is the BPCER together with what else keeps a visit from a grant.
//! A photograph counts by its one look. A film with a NAME.json beside it hears what the door asks
//! (`answering`). Terms: ISO/IEC 30107-3.
//!
//! Deliberately absent: a threshold chosen on these films; it is the configuration's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Stage;
use super::answering::{Turns, Visitor};
use super::attempt::{Attempt, References, Vectors, attempt, empty_path};
use super::end_to_end::{EvaluateError, clip_vectors, play, still_clock};
use super::folder::{FolderError, entries};
use super::transcode::{RATE, Transcoder};
use crate::calibrate::Tally;
use crate::capture::picture::Picture;
use crate::clock::Clock;
use crate::config::Config;
use crate::decide::{Decision, Outcome};
use crate::door::Door;
use crate::equip::Networks;
use crate::liveness::{LivenessEvidence, Motion};

/// What films of living people are filed under.
const LIVE: &str = "live";
const ATTACK: &str = "attack";
/// What the folder holds.
const EXPECTED: &str = "films in live/ and in attack/KIND/";

/// A film and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Film {
    /// `live`, or the kind of attack.
    kind: String,
    path: PathBuf,
}

/// What came of one visit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LivenessVisit {
    /// `live`, or the kind of attack.
    pub kind: String,
    /// The film.
    pub film: String,
    /// Outcome and reason as on the wire; `None` where no face was good enough to be enrolled.
    pub reason: Option<String>,
    /// Whether it was granted.
    pub granted: bool,
    /// From the first frame with a face to the decision.
    pub time_to_decision_ms: Option<f64>,
    /// What was seen over the whole film.
    pub liveness: LivenessEvidence,
    /// How far the nose has moved against the eyes, in eye distances.
    pub depth: f32,
    /// How much of the surroundings has moved with the face, and how much has not, where the face has moved.
    pub motion: Option<Motion>,
}

/// How long visits took, from the first frame with a face to the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LivenessTimes {
    /// The middle one, in milliseconds.
    pub median: f64,
    /// That which one in twenty exceeds, in milliseconds.
    pub p95: f64,
}

/// What came of the visits of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LivenessRow {
    /// Visits that ended in a grant: for attacks the IAPAR.
    pub granted: Tally,
    /// Visits that ended with `not_live`.
    pub not_live: Tally,
    /// Visits that ended with `liveness_undecided`.
    pub undecided: Tally,
    /// How long those that were granted took; `None` where none was.
    pub time_to_grant_ms: Option<LivenessTimes>,
    /// Films in which no face could be enrolled; they count nowhere else.
    pub without_face: u64,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LivenessReport {
    /// Names this format.
    pub schema: &'static str,
    /// What the median must reach.
    pub median_min: f32,
    /// Live visits.
    pub live: LivenessRow,
    /// Attacks by kind.
    pub attacks: BTreeMap<String, LivenessRow>,
    /// All attacks.
    pub all_attacks: LivenessRow,
    /// Each visit.
    pub visits: Vec<LivenessVisit>,
}

/// Replays every film of `folder` through a door; `progress` hears how far it is. Motion JPEG has
/// `rate` frames a second; what the door and the visitors leave to chance comes from `seed`.
///
/// # Errors
/// [`EvaluateError`]: the folder, ffmpeg, a film or a model cannot be used.
pub fn liveness(
    config: &Config,
    networks: &Networks,
    folder: &Path,
    (rate, seed): (u32, u64),
    progress: &mut dyn FnMut(Stage),
) -> Result<LivenessReport, EvaluateError> {
    let films = films(folder)?;
    // The door's challenge takes its chance from the thread's.
    fastrand::seed(seed);
    let recogniser = empty_path(config, networks, config.quality_limits())?;
    let mut door = Door::new(recogniser, config.measured_visit_policy());
    let transcoder = Transcoder::new()?;
    let mut visits = Vec::new();
    for (index, film) in films.iter().enumerate() {
        progress(Stage { name: "visits", done: index, of: films.len() });
        if is_photograph(&film.path) {
            visits.push(still(config, networks, &mut door, film)?);
            continue;
        }
        if let Some(turns) = Turns::beside(&film.path)? {
            let mut visitor = Visitor::new(seed.wrapping_add(index as u64));
            visits.push(answers(config, networks, &mut door, film, (&turns, &mut visitor))?);
            continue;
        }
        let recording = transcoder.recording(&film.path)?;
        let rate = if recording == film.path { rate } else { RATE };
        visits.push(visit(config, networks, &mut door, film, (&recording, rate))?);
    }
    let median_min = door.sight().liveness().map_or(0.0, |cues| cues.policy().median_min);
    Ok(report(median_min, visits))
}

fn is_photograph(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["jpg", "jpeg", "png", "webp"].iter().any(|photograph| ending == *photograph)
}

fn visit(
    config: &Config,
    networks: &Networks,
    door: &mut Door,
    film: &Film,
    (recording, rate): (&Path, u32),
) -> Result<LivenessVisit, EvaluateError> {
    let mut found = LivenessVisit::of(film);
    let vectors = clip_vectors(door.sight_mut(), recording, rate)?;
    if enrol(config, networks, door, vectors)? {
        let decided = play(config, door, (recording, rate), |door| {
            found.saw(door);
            Ok(())
        })?;
        found.ended(&decided);
    }
    Ok(found)
}

/// A visit that hears what the door asks.
fn answers(
    config: &Config,
    networks: &Networks,
    door: &mut Door,
    film: &Film,
    (turns, visitor): (&Turns, &mut Visitor),
) -> Result<LivenessVisit, EvaluateError> {
    let mut found = LivenessVisit::of(film);
    let vectors = turns.vectors(door.sight_mut())?;
    if enrol(config, networks, door, vectors)? {
        let decided = turns.play(config, door, visitor, |door| {
            found.saw(door);
            Ok(())
        })?;
        found.ended(&decided);
    }
    Ok(found)
}

/// Enrols one person alone; whether there was a face to enrol.
fn enrol(
    config: &Config,
    networks: &Networks,
    door: &mut Door,
    vectors: Vec<Vectors>,
) -> Result<bool, EvaluateError> {
    let mut references = References::default();
    for vectors in vectors {
        references.add(0, vectors);
    }
    if references.first.is_empty() {
        return Ok(false);
    }
    door.sight_mut().set_galleries(references.galleries(config, networks)?);
    Ok(true)
}

/// One look at a photograph: live where it reaches the median that a visit must reach.
fn still(
    config: &Config,
    networks: &Networks,
    door: &mut Door,
    film: &Film,
) -> Result<LivenessVisit, EvaluateError> {
    let mut found = LivenessVisit::of(film);
    let (picture, clock) = (Picture::read(&film.path)?, still_clock());
    let frame = picture.frame(0, clock.now());
    let sight = door.sight_mut();
    sight.forget();
    let observation = sight.observe(&frame, &*clock);
    let Attempt::Compared { vectors, .. } = attempt(sight, observation)? else { return Ok(found) };
    let mut references = References::default();
    references.add(0, *vectors);
    sight.set_galleries(references.galleries(config, networks)?);
    sight.forget();
    sight.end_visit();
    sight.observe(&frame, &*clock);
    let Some(liveness) = sight.liveness() else { return Ok(found) };
    found.liveness = liveness.told();
    let median_min = liveness.policy().median_min;
    found.granted = found.liveness.median.is_some_and(|median| median >= median_min);
    let reason = match found.liveness.median {
        Some(_) if found.granted => "matched",
        Some(_) => "not_live",
        None => "liveness_undecided",
    };
    found.reason = Some(reason.to_owned());
    Ok(found)
}

fn report(median_min: f32, visits: Vec<LivenessVisit>) -> LivenessReport {
    let mut report = LivenessReport {
        schema: "deepid-edge/evaluate-liveness/1",
        median_min,
        live: LivenessRow::default(),
        attacks: BTreeMap::new(),
        all_attacks: LivenessRow::default(),
        visits,
    };
    for visit in &report.visits {
        if visit.kind == LIVE {
            report.live.count(visit);
        } else {
            report.attacks.entry(visit.kind.clone()).or_default().count(visit);
            report.all_attacks.count(visit);
        }
    }
    let times = |of: &dyn Fn(&str) -> bool| {
        LivenessTimes::of(report.visits.iter().filter(|visit| visit.granted && of(&visit.kind)))
    };
    report.live.time_to_grant_ms = times(&|kind| kind == LIVE);
    report.all_attacks.time_to_grant_ms = times(&|kind| kind != LIVE);
    for (kind, row) in &mut report.attacks {
        row.time_to_grant_ms = times(&|of| of == kind.as_str());
    }
    report
}

impl LivenessTimes {
    /// Of `visits`; `None` without any.
    fn of<'a>(visits: impl Iterator<Item = &'a LivenessVisit>) -> Option<Self> {
        let mut times: Vec<f64> = visits.filter_map(|visit| visit.time_to_decision_ms).collect();
        times.sort_by(f64::total_cmp);
        let p95 = (times.len() * 95).div_ceil(100).saturating_sub(1);
        Some(Self { median: *times.get(times.len() / 2)?, p95: *times.get(p95)? })
    }
}

impl LivenessVisit {
    /// Nothing is known of it yet.
    fn of(film: &Film) -> Self {
        Self {
            kind: film.kind.clone(),
            film: film.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            reason: None,
            granted: false,
            time_to_decision_ms: None,
            liveness: LivenessEvidence::default(),
            depth: 0.0,
            motion: None,
        }
    }

    /// Takes in what is known after a frame.
    fn saw(&mut self, door: &Door) {
        if let Some(liveness) = door.sight().liveness() {
            self.liveness = liveness.told();
            self.depth = liveness.evidence().depth();
            self.motion = liveness.motion();
        }
    }

    /// Takes in what was decided. A grant at any time counts, also after another decision.
    fn ended(&mut self, decided: &[(Decision, bool)]) {
        let decisions = || decided.iter().map(|(decision, _)| decision);
        let granted = |decision: &&Decision| decision.verdict.outcome() == Outcome::Granted;
        let decision = decisions().find(granted).or_else(|| decisions().next());
        self.reason =
            Some(decision.map_or("none", |decision| decision.verdict.reason()).to_owned());
        self.granted = decision.as_ref().is_some_and(granted);
        self.time_to_decision_ms =
            decision.map(|decision| decision.latency.first_frame_us as f64 / 1000.0);
    }
}

impl LivenessReport {
    /// Both errors as the threshold of the median moves, the lowest first: the share of attacks that
    /// reach it (APCER), and of live visits that do not (BPCER). A visit without a look reaches none;
    /// the other cues are left out.
    #[must_use]
    pub fn errors(&self) -> Vec<(f64, f64)> {
        let medians = |live: bool| -> Vec<f32> {
            let seen = self.visits.iter().filter(|visit| visit.reason.is_some());
            seen.filter(|visit| (visit.kind == LIVE) == live)
                .map(|visit| visit.liveness.median.unwrap_or(f32::NEG_INFINITY))
                .collect()
        };
        let (live, attacks) = (medians(true), medians(false));
        let mut thresholds: Vec<f32> = live.iter().chain(&attacks).copied().collect();
        thresholds.push(f32::INFINITY);
        thresholds.sort_by(f32::total_cmp);
        thresholds.dedup();
        let share = |medians: &[f32], reached: bool, threshold: f32| {
            let count = medians.iter().filter(|median| (**median >= threshold) == reached).count();
            count as f64 / medians.len().max(1) as f64
        };
        let errors =
            |threshold: &f32| (share(&attacks, true, *threshold), share(&live, false, *threshold));
        thresholds.iter().map(errors).collect()
    }
}

impl LivenessRow {
    fn count(&mut self, visit: &LivenessVisit) {
        let Some(reason) = &visit.reason else {
            self.without_face += 1;
            return;
        };
        self.granted.add(visit.granted);
        self.not_live.add(!visit.granted && reason == "not_live");
        self.undecided.add(!visit.granted && reason == "liveness_undecided");
    }
}

/// The films of a folder, in the order of their names.
fn films(folder: &Path) -> Result<Vec<Film>, FolderError> {
    let mut films = Vec::new();
    let mut add = |kind: &str, path: &Path| -> Result<(), FolderError> {
        for path in entries(path, EXPECTED)? {
            // What lies beside a film that answers is no film.
            if path.is_file() && path.extension().is_none_or(|ending| ending != "json") {
                films.push(Film { kind: kind.to_owned(), path });
            }
        }
        Ok(())
    };
    add(LIVE, &folder.join(LIVE))?;
    for kind in entries(&folder.join(ATTACK), EXPECTED)? {
        let name = kind.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(&name, &kind)?;
    }
    Ok(films)
}

impl std::fmt::Display for LivenessReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the median over a visit must reach {:.3}\n", self.median_min)?;
        writeln!(
            f,
            "{:<16} {:>6} {:>8} {:>9} {:>10} {:>8} {:>8}  granted",
            "kind", "visits", "granted", "not_live", "undecided", "other", "no face"
        )?;
        let kinds = self.attacks.iter().map(|(kind, row)| (kind.as_str(), row));
        for (kind, row) in std::iter::once((LIVE, &self.live)).chain(kinds) {
            let (granted, not_live, undecided) =
                (row.granted.count, row.not_live.count, row.undecided.count);
            let other = row.granted.of - granted - not_live - undecided;
            writeln!(
                f,
                "{kind:<16} {:>6} {granted:>8} {not_live:>9} {undecided:>10} {other:>8} {:>8}  {}",
                row.granted.of, row.without_face, row.granted
            )?;
        }
        writeln!(f, "\nattacks granted (IAPAR, at most)   {}", self.all_attacks.granted)?;
        let refused = |row: &LivenessRow| Tally {
            count: row.not_live.count + row.undecided.count,
            of: row.granted.of,
        };
        writeln!(f, "live visits refused (BPCER)        {}", refused(&self.live))?;
        match self.live.time_to_grant_ms {
            Some(LivenessTimes { median, p95 }) => write!(
                f,
                "time to a grant, live visits       {median:.0} ms (median), {p95:.0} ms (95th percentile)"
            ),
            None => write!(f, "time to a grant, live visits       no film of one was granted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(kind: &str, reason: Option<&str>) -> LivenessVisit {
        LivenessVisit {
            kind: kind.to_owned(),
            film: "a.mjpeg".to_owned(),
            reason: reason.map(str::to_owned),
            granted: reason == Some("matched"),
            time_to_decision_ms: Some(250.0),
            liveness: LivenessEvidence::default(),
            depth: 0.0,
            motion: None,
        }
    }

    #[test]
    fn each_visit_is_counted_once_under_its_kind() {
        let visits = vec![
            visit("live", Some("matched")),
            visit("live", Some("liveness_undecided")),
            visit("sheet", Some("not_live")),
            visit("sheet", Some("poor_quality")),
            visit("tablet", Some("matched")),
            visit("tablet", None),
        ];
        let report = report(0.5, visits);
        let counts = |row: &LivenessRow| {
            [row.granted.count, row.not_live.count, row.undecided.count, row.without_face]
        };
        assert_eq!(counts(&report.live), [1, 0, 1, 0]);
        assert_eq!(counts(&report.attacks["sheet"]), [0, 1, 0, 0]);
        assert_eq!(counts(&report.attacks["tablet"]), [1, 0, 0, 1]);
        assert_eq!(report.all_attacks.granted, Tally { count: 1, of: 3 });
        assert_eq!(report.live.time_to_grant_ms, Some(LivenessTimes { median: 250.0, p95: 250.0 }));
        assert_eq!(report.attacks["sheet"].time_to_grant_ms, None);
        let text = report.to_string();
        assert!(text.contains("tablet") && text.contains("250 ms"), "{text}");
    }

    #[test]
    fn the_errors_go_against_each_other_as_the_threshold_moves() {
        let of = |kind: &str, median: Option<f32>| {
            let mut visit = visit(kind, Some("matched"));
            visit.liveness.median = median;
            visit
        };
        let visits = vec![
            of("live", Some(0.9)),
            of("live", Some(0.4)),
            of("tablet", Some(0.4)),
            of("tablet", None),
        ];
        let errors = report(0.5, visits).errors();
        assert_eq!(errors, [(1.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.0, 1.0)]);
    }

    #[test]
    fn films_are_listed_in_order_and_what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = films(folder.path()).unwrap_err().to_string();
        assert!(said.contains("attack/KIND"), "{said}");
        for file in ["live/b.mkv", "live/a.mkv", "live/a.json", "attack/tablet/c.mjpeg"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let kinds: Vec<_> =
            films(folder.path()).unwrap().into_iter().map(|film| film.kind).collect();
        assert_eq!(kinds, ["live", "live", "tablet"]);
    }
}
