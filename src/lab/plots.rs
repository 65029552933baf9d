//! Pictures of a verification, for whoever would rather look than read.
//!
//! In: a [`Pairs`] report and a folder. Out: `det.svg` (both errors as the threshold moves, both
//! axes logarithmic), `roc.svg`, and `scores.svg` (how the scores of mated and non-mated pairs lie,
//! by cosine). A door's claim gets such a picture of its own, and so do the errors of liveness.

use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::liveness::LivenessReport;
use super::pairs::Pairs;
use super::verification::{Point, Verification};
use crate::calibrate::{DoorClaim, Scores};
use crate::compare::Metric;
use crate::remedy::Remedied;

const SIZE: (u32, u32) = (760, 560);
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 3] = [RGBColor(0, 90, 181), RGBColor(220, 50, 32), RGBColor(0, 133, 90)];
/// Where the logarithmic axes begin: below it no LFW-sized list shows anything.
const LEAST: f64 = 1e-4;
/// The same for visits, of which there are some hundreds.
const LEAST_OF_VISITS: f64 = 1e-3;
const BINS: usize = 80;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// It cannot be drawn.
    #[error("plot {name}: {reason}")]
    Drawing {
        /// Which.
        name: &'static str,
        /// The library's words.
        reason: String,
    },
    /// It cannot be written.
    #[error("plot {path}: {source}; name a folder that this user can write to")]
    Unwritten {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl Remedied for PlotError {}

/// Draws all pictures of `report` into `folder`, which is made if it is absent; gives their paths.
///
/// # Errors
/// [`PlotError`].
pub fn plots(report: &Pairs, folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let unwritten = |path: &Path| {
        let path = path.to_owned();
        move |source| PlotError::Unwritten { path, source }
    };
    std::fs::create_dir_all(folder).map_err(unwritten(folder))?;
    let mut written = Vec::new();
    let pictures: [(&'static str, Draw); 3] =
        [("det.svg", det), ("roc.svg", roc), ("scores.svg", scores)];
    for (name, draw) in pictures {
        let mut svg = String::new();
        draw(report, &mut svg)
            .map_err(|error| PlotError::Drawing { name, reason: error.to_string() })?;
        let path = folder.join(name);
        std::fs::write(&path, svg).map_err(unwritten(&path))?;
        written.push(path);
    }
    Ok(written)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Draw = fn(&Pairs, &mut String) -> Drawn;

fn det(report: &Pairs, svg: &mut String) -> Drawn {
    let shown = |rate: f64| rate.max(LEAST);
    curves(
        svg,
        ("DET: false non-matches against false matches", "FMR", "FNMR"),
        ((LEAST..1.0).log_scale(), (LEAST..1.0).log_scale()),
        lines(report, |point| (shown(point.fmr), shown(point.fnmr))),
    )
}

fn roc(report: &Pairs, svg: &mut String) -> Drawn {
    curves(
        svg,
        ("ROC: mated pairs accepted against false matches", "FMR", "1 − FNMR"),
        (0.0..1.0, 0.0..1.0),
        lines(report, |point| (point.fmr, 1.0 - point.fnmr)),
    )
}

/// Draws how both errors of liveness go against each other into the file at `path`.
///
/// # Errors
/// [`PlotError`].
pub fn plot_liveness(report: &LivenessReport, path: &Path) -> Result<(), PlotError> {
    let shown = |rate: f64| rate.max(LEAST_OF_VISITS);
    let errors = report.errors().into_iter();
    let line = errors.map(|(apcer, bpcer)| (shown(apcer), shown(bpcer))).collect();
    let mut svg = String::new();
    let words =
        ("DET: live visits refused against attacks passed, by the median", "APCER", "BPCER");
    let axis = || (LEAST_OF_VISITS..1.0).log_scale();
    curves(&mut svg, words, (axis(), axis()), vec![("all attacks".to_owned(), line)])
        .map_err(|error| PlotError::Drawing { name: "det", reason: error.to_string() })?;
    std::fs::write(path, svg)
        .map_err(|source| PlotError::Unwritten { path: path.to_owned(), source })
}

/// One line for each metric, in the places that `place` gives.
fn lines(report: &Pairs, place: impl Fn(&Point) -> (f64, f64)) -> Vec<Line> {
    [&report.cosine, &report.euclidean, &report.euclidean_l2]
        .map(|one: &Verification| (one.metric.to_string(), one.curve.iter().map(&place).collect()))
        .into()
}

/// A name, and where its line goes.
type Line = (String, Vec<(f64, f64)>);

/// Lines in the same picture.
fn curves<X, Y>(
    svg: &mut String,
    (title, across, up): (&str, &str, &str),
    (x, y): (X, Y),
    lines: Vec<Line>,
) -> Drawn
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart.configure_mesh().x_desc(across).y_desc(up).draw()?;
    for ((name, line), colour) in lines.into_iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(line, &colour))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

fn scores(report: &Pairs, svg: &mut String) -> Drawn {
    let of = |mated| report.cosine.scores(mated).collect();
    let series = [("non-mated", of(false)), ("mated", of(true))];
    histogram(svg, ("Comparison scores", "cosine", "share of the pairs"), -1.0..1.0, &series, None)
}

/// Draws the scores behind `claim` into the file at `path`: strangers', own ones, the threshold.
///
/// # Errors
/// [`PlotError`].
pub fn plot_claim(claim: &DoorClaim, path: &Path) -> Result<(), PlotError> {
    let Scores { strangers, own } = &claim.scores;
    let series = [("strangers", strangers.clone()), ("a subject's own", own.clone())];
    let every = || strangers.iter().chain(own).map(|&score| f64::from(score));
    let range = match claim.metric {
        Metric::Cosine => -1.0..1.0,
        Metric::Euclidean | Metric::EuclideanL2 => 0.0..every().fold(0.1, f64::max) * 1.05,
    };
    let name = claim.metric.to_string();
    let words = ("Scores at this door", name.as_str(), "share of the comparisons");
    let mut svg = String::new();
    let threshold = f64::from(claim.operating.threshold);
    histogram(&mut svg, words, range, &series, Some(threshold))
        .map_err(|error| PlotError::Drawing { name: "scores", reason: error.to_string() })?;
    std::fs::write(path, svg)
        .map_err(|source| PlotError::Unwritten { path: path.to_owned(), source })
}

/// How the scores of two kinds lie in `range`, and a line at `threshold`.
fn histogram(
    svg: &mut String,
    (title, across, up): (&str, &str, &str),
    range: Range<f64>,
    series: &[(&str, Vec<f32>); 2],
    threshold: Option<f64>,
) -> Drawn {
    let kinds = series.each_ref().map(|(name, all)| (*name, shares(all.iter().copied(), &range)));
    let highest = kinds.iter().flat_map(|(_, bins)| bins).map(|(_, share)| *share);
    let highest = highest.fold(0.01, f64::max) * 1.05;
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(range, 0.0..highest)?;
    chart.configure_mesh().x_desc(across).y_desc(up).draw()?;
    for ((name, bins), colour) in kinds.into_iter().zip([COLOURS[1], COLOURS[0]]) {
        chart
            .draw_series(AreaSeries::new(bins, 0.0, colour.mix(0.3)).border_style(colour))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    if let Some(at) = threshold {
        chart
            .draw_series(LineSeries::new([(at, 0.0), (at, highest)], &BLACK))?
            .label("threshold")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLACK));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

/// The middle of each bin of `range`, and which share of the scores lies in it.
fn shares(scores: impl Iterator<Item = f32>, range: &Range<f64>) -> Vec<(f64, f64)> {
    let width = (range.end - range.start) / BINS as f64;
    let mut counts = [0_u32; BINS];
    let mut all = 0_u32;
    for score in scores {
        let bin = ((f64::from(score) - range.start) / width).clamp(0.0, (BINS - 1) as f64);
        if let Some(count) = counts.get_mut(bin as usize) {
            *count += 1;
        }
        all += 1;
    }
    let middle = |bin: usize| range.start + (bin as f64 + 0.5) * width;
    let share = |count: u32| f64::from(count) / f64::from(all.max(1));
    counts.iter().enumerate().map(|(bin, count)| (middle(bin), share(*count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_lies_in_a_bin() {
        let shares = shares([-1.0, 0.0, 0.999, 1.0].into_iter(), &(-1.0..1.0));
        assert_eq!(shares.len(), BINS);
        assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(shares.last().map(|(_, share)| *share), Some(0.5));
        assert_eq!(super::shares(std::iter::empty(), &(-1.0..1.0)).len(), BINS);
    }
}
