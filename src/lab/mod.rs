//! Figures over the very code that the daemon runs, in builds with the feature `lab`.
//!
//! In: folders of photographs and clips, scripts of scenes. Out: rates with the counts and
//! intervals behind them, as text and as JSON; recordings that were rendered.
//!
//! Invariant: nothing here is a second implementation of the path. Whatever is measured went
//! through [`crate::recognise`] and [`crate::decide`]. No board needs any of it: the package is built
//! without.
//!
//! # Layout
//! [`scene`] renders a visit. [`FaceFolder`] lists real ones, which ffmpeg makes into recordings;
//! `attempt` takes one face through the path; `end_to_end` and `detection` measure on them; `liveness` measures visits and pictures of faces, and `answering` plays those that hear what the door asks; [`report`] says what was found. [`PairList`] lists
//! photographs in pairs, which `pairs` takes through the path, `verification` makes figures,
//! `plots` pictures and `page` a page of. `search` draws a large gallery and searches
//! it. `groups` measures photographs by groups of people, `vectors`
//! writes what became of them. `plots` also draws what [`crate::calibrate`] found.

mod answering;
mod attempt;
mod detection;
mod end_to_end;
mod folder;
mod groups;
mod liveness;
mod orientation;
mod page;
mod pair_list;
mod pairs;
mod plots;
pub mod report;
pub mod scene;
mod search;
mod stills;
mod transcode;
mod vectors;
mod verification;

pub use answering::TurnsError;
pub use detection::{DetectionTable, Row, detection};
pub use end_to_end::{EvaluateError, end_to_end, replay, still_clock};
pub use folder::{Clip, FaceFolder, FolderError, Sitter};
pub use groups::{GroupRow, Grouping, Groups, TableError, groups};
pub use liveness::{LivenessReport, LivenessRow, LivenessTimes, LivenessVisit, liveness};
pub use orientation::{OrientationRow, OrientationTable, orientation};
pub use page::{Origin, page};
pub use pair_list::{Pair, PairList, PairListError, Photograph};
pub use pairs::{Pairs, pairs};
pub use plots::{PlotError, plot_claim, plot_liveness, plots};
pub use search::{SearchRow, SearchTable, search};
pub use transcode::{TranscodeError, Transcoder};
pub use vectors::{VectorTable, vectors};
pub use verification::{AtFmr, Judged, Point, Trial, Verification};

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// What is being done.
    pub name: &'static str,
    /// How many are done.
    pub done: usize,
    /// Of how many.
    pub of: usize,
}
