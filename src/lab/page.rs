//! A verification as a page to keep: Markdown beside its pictures.
//!
//! In: a [`Pairs`] report, what was verified and when. Out: `report.md`, which embeds the pictures
//! of `plots` that lie in the same folder.
//!
//! Invariant: no figure stands here without its counts or its interval, the list it was measured
//! on, and the command that measures it again.

use std::fmt::{Result, Write as _};
use std::path::Path;

use super::pairs::Pairs;
use super::verification::Verification;
use crate::calibrate::Interval;

/// What a reader needs to measure again.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The program, with its version.
    pub program: &'a str,
    /// What it was built from.
    pub commit: &'a str,
    /// The list of pairs.
    pub list: &'a Path,
    /// The folder of the photographs.
    pub images: &'a Path,
    /// When, as a date.
    pub date: &'a str,
}

/// The page of `report`.
#[must_use]
pub fn page(report: &Pairs, origin: &Origin<'_>) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _never = write(&mut page, report, origin);
    page
}

fn write(page: &mut String, report: &Pairs, origin: &Origin<'_>) -> Result {
    let Origin { program, commit, list, images, date } = *origin;
    writeln!(page, "# Verification of pairs: {}\n", report.embedder)?;
    writeln!(
        page,
        "{program} ({commit}), {date}: `deepid-edge evaluate pairs --pairs {} --images {} --model {}`\n",
        list.display(),
        images.display(),
        report.embedder
    )?;
    let averaged = if report.mirrored { "averaged with its mirror image" } else { "one crop" };
    writeln!(
        page,
        "{} mated and {} non-mated pairs in {} fold(s). {} finds; {}; it is {averaged}. No face in {} of the photographs, whose pairs are errors; the door would refuse {} for their quality, which are compared here.\n",
        report.mated,
        report.non_mated,
        report.folds,
        report.find,
        report.meant(),
        report.failures_to_acquire,
        report.below_quality,
    )?;
    writeln!(
        page,
        "| metric | accuracy | equal error | area under ROC | FNMR at FMR 1e-2 | at 1e-3 | at 1e-4 |\n|---|---|---|---|---|---|---|"
    )?;
    for verification in [&report.cosine, &report.euclidean, &report.euclidean_l2] {
        row(page, &verification.metric.to_string(), verification)?;
    }
    if let Some(fused) = &report.fused {
        row(page, &format!("fused by {}", fused.fusion), &fused.verification)?;
    }
    writeln!(
        page,
        "\nAccuracy: mean over the folds ± its standard error, the threshold of each chosen on the others. Brackets: 95 % intervals. A dash: too few pairs to tell.\n"
    )?;
    writeln!(page, "![DET](det.svg)\n![ROC](roc.svg)\n![Scores](scores.svg)")
}

fn row(page: &mut String, name: &str, verification: &Verification) -> Result {
    let percent = |value: Option<f64>| value.map(|value| format!("{:.2} %", value * 100.0));
    let accuracy = verification.accuracy_mean.zip(verification.accuracy_standard_error);
    let accuracy = accuracy.map(|(mean, e)| format!("{:.2} ± {:.2} %", mean * 100.0, e * 100.0));
    let auc = verification.auc.map(|auc| format!("{auc:.4}"));
    let missed = verification.fnmr_at.iter().map(|at| {
        let (rate, Interval { low, high, .. }) =
            at.and_then(|at| at.missed.rate().zip(at.interval_95))?;
        Some(format!("{:.1} % ({:.1} to {:.1})", rate * 100.0, low * 100.0, high * 100.0))
    });
    write!(page, "| {name} |")?;
    for cell in [accuracy, percent(verification.eer), auc].into_iter().chain(missed) {
        write!(page, " {} |", cell.as_deref().unwrap_or("–"))?;
    }
    writeln!(page)
}
