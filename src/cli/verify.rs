//! `verify`: do two pictures show the same person?
//!
//! In: two pictures. Out: the comparison score by all three metrics, each with the threshold that
//! the model's calibration gives it for one comparison, and the verdict by the configured metric.
//! Deliberately absent: a "confidence" in per cent; the score and the false match rate that the
//! calibration supports are what is known.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use crate::capture::picture::Picture;
use crate::compare::{Metric, Operating};
use crate::enrol::{Judge, UsableFace};
use crate::equip::{EquipError, Networks};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A JPEG, PNG or WebP file
    a: PathBuf,
    /// Another one
    b: PathBuf,
}

/// Why a metric has a score and no verdict.
const UNCALIBRATED: &str = "not calibrated: nobody measured which scores of strangers this model gives by that metric, so that no threshold follows\n";
/// Why a claim may be too good.
const OTHER_AVERAGING: &str = "the calibration was measured with the other setting of recognise.mirrored, so that the claimed FMR may be too good\n";

/// What a claim worse than is accepted means.
const BEYOND: &str = "beyond recognise.accept_fpir: with this threshold a door would grant nobody, even with one reference\n";

struct Compared {
    metric: Metric,
    score: f32,
    /// Nothing where the card has no calibration for the metric.
    operating: Option<Operating>,
}

impl Compared {
    fn verdict(&self) -> Option<bool> {
        Some(self.metric.accepts(self.score, self.operating?.threshold))
    }
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let (picture_a, picture_b) = (Picture::read(&self.a)?, Picture::read(&self.b)?);
        let networks = Networks::open(&config)?;
        let mut judge = Judge::new(&config, &networks, Vec::new())?;
        let a = judge.picture(&picture_a).map_err(|why| Failure::of_face(&self.a, &why))?;
        let b = judge.picture(&picture_b).map_err(|why| Failure::of_face(&self.b, &why))?;

        let mut rows = Vec::new();
        for metric in [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2] {
            let comparer = networks.comparer(&config, metric)?;
            let score = comparer.score(&a.vector, &b.vector).map_err(EquipError::from)?;
            let operating = networks.cards().operating(&config, metric, 1);
            if metric == config.recognise.metric {
                rows.push(Compared { metric, score, operating: Some(operating?) });
            } else {
                rows.push(Compared { metric, score, operating: operating.ok() });
            }
        }
        let same = rows
            .iter()
            .find(|row| row.metric == config.recognise.metric)
            .and_then(Compared::verdict)
            .unwrap_or(false);

        for (path, face) in [(&self.a, &a), (&self.b, &b)] {
            if face.faces > 1 {
                let faces = face.faces;
                let path = path.display();
                context.mention(format!(
                    "note: {path}: {faces} faces, the largest central one was taken"
                ));
            }
        }
        context.tell(
            as_text(&rows, config.recognise.metric, same),
            &json!({
                "same": same,
                "metric": config.recognise.metric,
                "model": a.vector.model(),
                "comparisons": rows.iter().map(as_json).collect::<Vec<_>>(),
                "a": picture_json(&self.a, &a),
                "b": picture_json(&self.b, &b),
            }),
        )?;
        Ok(if same { Kind::Done } else { Kind::Negative })
    }
}

fn picture_json(path: &std::path::Path, face: &UsableFace) -> Json {
    json!({ "picture": path, "faces": face.faces, "quality": face.quality })
}

fn as_json(row: &Compared) -> Json {
    json!({
        "metric": row.metric,
        "score": row.score,
        "threshold": row.operating.map(|operating| operating.threshold),
        "claimed_fmr": row.operating.and_then(|operating| operating.claimed_fmr),
        "other_averaging": row.operating.map(|operating| operating.other_averaging),
        "beyond_accepted": row.operating.map(|operating| operating.beyond_accepted),
        "same": row.verdict(),
    })
}

fn as_text(rows: &[Compared], metric: Metric, same: bool) -> String {
    let mut text = format!(
        "{:<14}{:>9}{:>11}{:>13}  verdict\n",
        "metric", "score", "threshold", "claimed FMR"
    );
    for row in rows {
        let threshold = row.operating.map_or("-".to_owned(), |o| format!("{:.3}", o.threshold));
        let fmr = row
            .operating
            .and_then(|o| o.claimed_fmr)
            .map_or("-".to_owned(), |fmr| format!("{fmr:.1e}"));
        let verdict = match row.verdict() {
            Some(true) => "same",
            Some(false) => "different",
            None => "not calibrated",
        };
        let mark = if row.metric == metric { " <- decides" } else { "" };
        let name = row.metric.to_string();
        let _infallible =
            writeln!(text, "{name:<14}{:>9.3}{threshold:>11}{fmr:>13}  {verdict}{mark}", row.score);
    }
    if rows.iter().any(|row| row.operating.is_none()) {
        text.push_str(UNCALIBRATED);
    }
    if rows.iter().any(|row| row.operating.is_some_and(|operating| operating.other_averaging)) {
        text.push_str(OTHER_AVERAGING);
    }
    let beyond = |row: &Compared| {
        row.metric == metric && row.operating.is_some_and(|operating| operating.beyond_accepted)
    };
    if rows.iter().any(beyond) {
        text.push_str(BEYOND);
    }
    text.push_str(if same { "the same person" } else { "different people" });
    text
}
