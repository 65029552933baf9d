//! How many faces are taken for upright that are not, and how many upright ones are refused for it.
//!
//! In: a [`FaceFolder`] and the configuration. Out: a table over its photographs and clips, each in all
//! four orientations, through the very path of the daemon, with nobody enrolled: how many faces were
//! compared, how many refused because of how they stand, how many for something else.
//! Every picture is upright in the folder, so that whatever is compared in another orientation is a
//! mistake. Deliberately absent: what the comparison says.

use serde::Serialize;

use super::Stage;
use super::attempt::empty_path;
use super::end_to_end::{EvaluateError, replay, still_clock};
use super::folder::FaceFolder;
use super::transcode::{RATE, Transcoder};
use crate::calibrate::Tally;
use crate::capture::picture::Picture;
use crate::clock::{Clock, Monotonic};
use crate::config::Config;
use crate::decide::Seen;
use crate::embed::QualityFault;
use crate::equip::Networks;
use crate::frame::Frame;
use crate::geometry::Turn;
use crate::inference::ModelId;
use crate::recognise::Recogniser;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrientationRow {
    /// Which pictures.
    pub part: &'static str,
    /// By how many degrees they were turned, clockwise.
    pub turned_degrees: Turn,
    /// Pictures, or frames of clips.
    pub pictures: u64,
    /// Of them, with a face that was judged.
    pub faces: u64,
    /// Faces refused because they lie on their side or are upside down.
    pub not_upright: u64,
    /// Faces refused because the detector was unsure of them in every orientation.
    pub unclear: u64,
    /// Faces refused for something else.
    pub otherwise_poor: u64,
    /// Faces that were compared.
    pub compared: u64,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrientationTable {
    /// Names this format.
    pub schema: &'static str,
    /// The detector that finds.
    pub find: ModelId,
    /// The detector that follows, and says how faces stand.
    pub follow: ModelId,
    /// The lines.
    pub rows: Vec<OrientationRow>,
    /// Faces that do not stand upright and were compared all the same.
    pub wrongly_compared: Tally,
    /// Upright faces that were refused because of how they stand.
    pub wrongly_refused: Tally,
}

/// Looks at every picture in every orientation; `progress` hears how far it is.
///
/// # Errors
/// [`EvaluateError`]: the folder, ffmpeg, a picture or a model cannot be used.
pub fn orientation(
    config: &Config,
    networks: &Networks,
    folder: &FaceFolder,
    progress: &mut dyn FnMut(Stage),
) -> Result<OrientationTable, EvaluateError> {
    let (sitters, portraits, clips) = (folder.sitters()?, folder.portraits()?, folder.clips()?);
    let london: Vec<_> = sitters.into_iter().flat_map(|s| [s.neutral, s.smiling]).collect();
    let mut recogniser = empty_path(config, networks, config.quality_limits())?;
    let clock = still_clock();
    let mut rows = Vec::new();
    for (part, pictures) in [("london", &london), ("portraits", &portraits)] {
        let mut lines = Turn::ALL.map(|turn| OrientationRow::new(part, turn));
        for (index, path) in pictures.iter().enumerate() {
            progress(Stage { name: part, done: index, of: pictures.len() });
            let picture = Picture::read(path)?;
            for line in &mut lines {
                recogniser.forget();
                line.see(&mut recogniser, &picture.frame(0, Monotonic::default()), &*clock);
            }
        }
        rows.extend(lines);
    }
    let transcoder = Transcoder::new()?;
    let mut lines = Turn::ALL.map(|turn| OrientationRow::new("visits", turn));
    for (index, clip) in clips.iter().enumerate() {
        progress(Stage { name: "visits", done: index, of: clips.len() });
        let recording = transcoder.recording(&clip.path)?;
        for line in &mut lines {
            recogniser.forget();
            replay(&recording, RATE, &still_clock(), |frame, clock| {
                line.see(&mut recogniser, frame, clock);
                Ok(())
            })?;
        }
    }
    rows.extend(lines);
    Ok(table(config, rows))
}

fn table(config: &Config, rows: Vec<OrientationRow>) -> OrientationTable {
    let sum = |upright: bool, of: fn(&OrientationRow) -> u64| {
        let lines = rows.iter().filter(|row| (row.turned_degrees == Turn::None) == upright);
        lines.map(of).sum()
    };
    let tally = |upright, of| Tally { count: sum(upright, of), of: sum(upright, |row| row.faces) };
    OrientationTable {
        schema: "deepid-edge/evaluate-orientation/1",
        find: config.models.find.clone(),
        follow: config.models.follow.clone(),
        wrongly_compared: tally(false, |row| row.compared),
        wrongly_refused: tally(true, |row| row.not_upright + row.unclear),
        rows,
    }
}

impl OrientationRow {
    const fn new(part: &'static str, turned_degrees: Turn) -> Self {
        Self {
            part,
            turned_degrees,
            pictures: 0,
            faces: 0,
            not_upright: 0,
            unclear: 0,
            otherwise_poor: 0,
            compared: 0,
        }
    }

    fn see(&mut self, recogniser: &mut Recogniser, frame: &Frame<'_>, clock: &dyn Clock) {
        self.pictures += 1;
        let frame = frame.turned(self.turned_degrees);
        let Seen::Faces { principal, .. } = recogniser.observe(&frame, clock).seen else { return };
        self.faces += 1;
        let count = match principal.quality.fault {
            None => &mut self.compared,
            Some(QualityFault::NotUpright(_)) => &mut self.not_upright,
            Some(QualityFault::Unclear) => &mut self.unclear,
            Some(_) => &mut self.otherwise_poor,
        };
        *count += 1;
    }
}

impl std::fmt::Display for OrientationTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "find: {}, follow: {}\n", self.find, self.follow)?;
        writeln!(
            f,
            "{:<10} {:>6} {:>9} {:>7} {:>12} {:>8} {:>6} {:>9}",
            "pictures", "turned", "pictures", "faces", "not upright", "unclear", "poor", "compared"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<10} {:>5}° {:>9} {:>7} {:>12} {:>8} {:>6} {:>9}",
                row.part,
                row.turned_degrees.degrees(),
                row.pictures,
                row.faces,
                row.not_upright,
                row.unclear,
                row.otherwise_poor,
                row.compared
            )?;
        }
        writeln!(f, "\nnot upright and compared    {}", self.wrongly_compared)?;
        write!(f, "upright and refused for it  {}", self.wrongly_refused)
    }
}
