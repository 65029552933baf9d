//! How often a face is found, by which detector, looking where, on pictures of which size.
//!
//! In: a [`FaceFolder`] and the configuration. Out: a table over its parts: photographs at several
//! reductions, frames of clips at full and half size, each by the finding detector on the whole
//! picture, the following detector on the whole picture, and finding then following as the door
//! does. Every picture shows a person, so what is not found was missed.
//!
//! Deliberately absent: false alarms. A second box is counted as such, because nearly all pictures
//! show one person, but nobody has marked where the faces are.

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb, RgbImage};
use serde::Serialize;

use super::Stage;
use super::end_to_end::{EvaluateError, replay, still_clock};
use super::folder::FaceFolder;
use super::report::Spread;
use super::transcode::{RATE, Transcoder};
use crate::calibrate::{Interval, Tally};
use crate::capture::picture::Picture;
use crate::clock::{Clock, ClockRequirement, Floor, Monotonic, SystemClock};
use crate::config::Config;
use crate::detect::{Detections, Follower, FollowerSettings, Strategy};
use crate::equip::Networks;
use crate::frame::{Frame, PixelFormat, Sampler};
use crate::geometry::Similarity;
use crate::inference::ModelId;

/// By how much photographs are reduced.
const STILL_SCALES: [f32; 4] = [1.0, 0.5, 0.25, 0.125];

/// By how much frames of clips are reduced.
const CLIP_SCALES: [f32; 2] = [1.0, 0.5];

const STRATEGIES: [Strategy; 3] =
    [Strategy::Find, Strategy::FollowOnWhole, Strategy::FindThenFollow];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which pictures.
    pub part: &'static str,
    /// Their size as a share of the original's.
    pub scale: f32,
    /// Which detector looks where.
    pub strategy: Strategy,
    /// Share of pictures with at least one face found.
    pub detection_rate: Option<f64>,
    /// Behind that rate.
    #[serde(flatten)]
    pub found: Tally,
    /// Where the true rate lies.
    pub interval_95: Option<Interval>,
    /// Pictures with more than one face found.
    pub several: u64,
    /// Width of the largest face found, in pixels of the reduced picture.
    pub face_width_px: Option<Spread>,
    /// Time that a picture took, on this machine.
    pub ms: Option<Spread>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectionTable {
    /// Names this format.
    pub schema: &'static str,
    /// The detector that finds.
    pub find: ModelId,
    /// The detector that follows.
    pub follow: ModelId,
    /// Least score.
    pub score: f32,
    /// Least width of a face in pixels.
    pub min_face_px: u32,
    /// The lines.
    pub rows: Vec<Row>,
}

/// Runs all detectors over all pictures; `progress` hears how far it is.
///
/// # Errors
/// [`EvaluateError`]: the folder, ffmpeg, a picture or a model cannot be used.
pub fn detection(
    config: &Config,
    networks: &Networks,
    folder: &FaceFolder,
    progress: &mut dyn FnMut(Stage),
) -> Result<DetectionTable, EvaluateError> {
    let (sitters, portraits, clips) = (folder.sitters()?, folder.portraits()?, folder.clips()?);
    let london: Vec<_> = sitters.into_iter().flat_map(|s| [s.neutral, s.smiling]).collect();
    let mut rows = Vec::new();
    for (part, pictures) in [("london", &london), ("portraits", &portraits)] {
        let mut trials = Trials::new(config, networks, &STILL_SCALES)?;
        for (index, path) in pictures.iter().enumerate() {
            progress(Stage { name: part, done: index, of: pictures.len() });
            let picture = Picture::read(path)?;
            trials.forget();
            trials.see(&picture.frame(0, Monotonic::default()))?;
        }
        rows.extend(trials.rows(part));
    }
    let transcoder = Transcoder::new()?;
    let mut trials = Trials::new(config, networks, &CLIP_SCALES)?;
    for (index, clip) in clips.iter().enumerate() {
        progress(Stage { name: "visits", done: index, of: clips.len() });
        let recording = transcoder.recording(&clip.path)?;
        trials.forget();
        replay(&recording, RATE, &still_clock(), |frame, _| trials.see(frame))?;
    }
    rows.extend(trials.rows("visits"));
    Ok(DetectionTable {
        schema: "deepid-edge/evaluate-detection/1",
        find: config.models.find.clone(),
        follow: config.models.follow.clone(),
        score: config.detect.score,
        min_face_px: config.detect.min_face_px,
        rows,
    })
}

/// Every strategy at every scale, each with its own memory.
struct Trials {
    each: Vec<Trial>,
    clock: SystemClock,
    detections: Detections,
}

struct Trial {
    scale: f32,
    strategy: Strategy,
    follower: Follower,
    found: Tally,
    several: u64,
    widths: Vec<f64>,
    times: Vec<f64>,
}

impl Trials {
    fn new(config: &Config, networks: &Networks, scales: &[f32]) -> Result<Self, EvaluateError> {
        let mut each = Vec::new();
        for (&scale, strategy) in
            scales.iter().flat_map(|scale| STRATEGIES.map(|strategy| (scale, strategy)))
        {
            // The least width is about what comes near a door; here the picture shrinks, not the
            // person, so the limit shrinks with it.
            let settings = config.follower_settings();
            let min_face_px = settings.min_face_px * scale;
            let settings = FollowerSettings { strategy, min_face_px, ..settings };
            each.push(Trial {
                scale,
                strategy,
                follower: Follower::new(
                    networks.detector(&config.models.find, config)?,
                    networks.detector(&config.models.follow, config)?,
                    settings,
                ),
                found: Tally::default(),
                several: 0,
                widths: Vec::new(),
                times: Vec::new(),
            });
        }
        let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
        Ok(Self { each, clock, detections: Detections::default() })
    }

    fn forget(&mut self) {
        for trial in &mut self.each {
            trial.follower.forget();
        }
    }

    /// Looks at one picture.
    fn see(&mut self, frame: &Frame<'_>) -> Result<(), EvaluateError> {
        let Self { each, clock, detections } = self;
        let mut reduced: Option<(f32, RgbImage)> = None;
        for trial in each {
            if trial.scale >= 1.0 {
                trial.look(frame, clock, detections)?;
                continue;
            }
            if reduced.as_ref().is_none_or(|(scale, _)| (scale - trial.scale).abs() > 1e-6) {
                reduced = reduce(frame, trial.scale).map(|picture| (trial.scale, picture));
            }
            let Some((_, picture)) = &reduced else { continue };
            let (width, height) = picture.dimensions();
            let stride = PixelFormat::Rgb.min_stride(width);
            let (sequence, at) = (frame.sequence(), frame.captured_at());
            let small =
                Frame::new(picture, PixelFormat::Rgb, (width, height), stride, sequence, at);
            if let Ok(small) = small {
                trial.look(&small, clock, detections)?;
            }
        }
        Ok(())
    }

    fn rows(self, part: &'static str) -> impl Iterator<Item = Row> {
        self.each.into_iter().map(move |trial| Row {
            part,
            scale: trial.scale,
            strategy: trial.strategy,
            detection_rate: trial.found.rate(),
            found: trial.found,
            interval_95: trial.found.interval(),
            several: trial.several,
            face_width_px: Spread::of(trial.widths),
            ms: Spread::of(trial.times),
        })
    }
}

impl Trial {
    fn look(
        &mut self,
        frame: &Frame<'_>,
        clock: &SystemClock,
        detections: &mut Detections,
    ) -> Result<(), EvaluateError> {
        let begun = clock.now();
        self.follower.detect(frame, detections)?;
        self.times.push(clock.now().since(begun).as_secs_f64() * 1000.0);
        let faces = detections.as_slice();
        self.found.add(!faces.is_empty());
        self.several += u64::from(faces.len() > 1);
        let widths = faces.iter().map(|face| f64::from(face.bounds().width));
        self.widths.extend(widths.max_by(f64::total_cmp));
        Ok(())
    }
}

/// The picture at `scale`.
fn reduce(frame: &Frame<'_>, scale: f32) -> Option<RgbImage> {
    let size = |v: u32| ((v as f32 * scale).round() as u32).max(1);
    let (width, height) = (frame.width(), frame.height());
    let rgb = if (frame.format(), frame.stride()) == (PixelFormat::Rgb, width as usize * 3) {
        frame.pixels().to_vec()
    } else {
        let mut rgb = vec![[0; 3]; width as usize * height as usize];
        let as_it_is = Similarity { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };
        Sampler::new(*frame).fill(&mut rgb, width as usize, as_it_is, 1);
        rgb.into_flattened()
    };
    let picture: ImageBuffer<Rgb<u8>, _> = ImageBuffer::from_raw(width, height, rgb)?;
    Some(resize(&picture, size(width), size(height), FilterType::Triangle))
}

impl std::fmt::Display for DetectionTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "find: {} (whole picture)", self.find)?;
        writeln!(f, "follow-on-whole: {} (whole picture)", self.follow)?;
        writeln!(f, "find-then-follow: the first finds, the second follows on a crop")?;
        writeln!(f, "score at least {}; intervals are 95 %\n", self.score)?;
        writeln!(
            f,
            "{:<10} {:>6}  {:<17} {:>9} {:>8} {:>7}  faces found",
            "pictures", "scale", "strategy", "face px", "ms", "several"
        )?;
        for row in &self.rows {
            let strategy = match row.strategy {
                Strategy::Find => "find",
                Strategy::FollowOnWhole => "follow-on-whole",
                Strategy::FindThenFollow => "find-then-follow",
            };
            let median = |spread: Option<Spread>| spread.map_or(f64::NAN, |s| s.median);
            writeln!(
                f,
                "{:<10} {:>6}  {strategy:<17} {:>9.0} {:>8.2} {:>7}  {}",
                row.part,
                row.scale,
                median(row.face_width_px),
                median(row.ms),
                row.several,
                row.found
            )?;
        }
        Ok(())
    }
}
