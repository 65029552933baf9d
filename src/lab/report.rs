//! What an evaluation found, as it is printed and as JSON.
//!
//! Invariant: every rate stands with its counts and its 95 % interval; a rate that was not
//! measured is `null`, never 0.
//! Terms of ISO/IEC 19795-1: a *mated* search is one by somebody enrolled, a *non-mated* one by a
//! stranger. FNIR: mated searches that did not return the right subject above the threshold, those
//! without a usable face included. FPIR: non-mated searches that returned anybody above it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::calibrate::{Interval, Tally};
use crate::compare::{Metric, Operating};
use crate::inference::ModelId;

/// The rates of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Pictures or frames with a face found, of all.
    pub detection: Option<Tally>,
    /// Mated searches whose nearest subject was the right one, whatever its score; of those with a
    /// usable face.
    pub rank1: Option<Tally>,
    /// False positive identifications.
    pub fpir: Option<Tally>,
    /// False negative identifications.
    pub fnir: Option<Tally>,
}

impl Rates {
    fn named(&self) -> [(&'static str, Option<Tally>); 4] {
        [
            ("detection_rate", self.detection),
            ("rank1_rate", self.rank1),
            ("fpir", self.fpir),
            ("fnir", self.fnir),
        ]
    }
}

impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Support {
            #[serde(flatten)]
            tally: Tally,
            interval_95: Option<Interval>,
        }
        let mut map = serializer.serialize_map(None)?;
        for (name, tally) in self.named() {
            map.serialize_entry(name, &tally.and_then(Tally::rate))?;
        }
        for (name, tally) in self.named() {
            if let Some(tally) = tally {
                let support = Support { tally, interval_95: tally.interval() };
                map.serialize_entry(&format!("{name}_support"), &support)?;
            }
        }
        map.end()
    }
}

impl std::fmt::Display for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, tally) in self.named() {
            if let Some(tally) = tally {
                writeln!(f, "  {name:<15} {tally}")?;
            }
        }
        Ok(())
    }
}

/// Lowest, middle and highest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The lowest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The highest.
    pub max: f64,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// Of `values`; `None` without any.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = *values.get(values.len() / 2)?;
        Some(Self { min, median, max, count: values.len() })
    }
}

/// With what the figures were made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setup {
    /// Detector that finds.
    pub find: ModelId,
    /// Detector that follows.
    pub follow: ModelId,
    /// Embedder.
    pub embedder: ModelId,
    /// How vectors are compared.
    pub metric: Metric,
    /// Whether each face is averaged with its mirror image.
    pub mirrored: bool,
    /// What was asked for; `None` with an explicit threshold.
    pub target_fpir: Option<f64>,
}

/// Photographs of people who are enrolled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mated {
    /// Rates.
    #[serde(flatten)]
    pub rates: Rates,
    /// People enrolled.
    pub enrolled: usize,
    /// People whose enrolment photograph could not be used.
    pub not_enrolled: Vec<String>,
    /// Threshold and claims for this gallery.
    pub operating: Operating,
    /// Scores of the right subjects.
    pub scores: Option<Spread>,
}

/// Photographs of strangers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NonMated {
    /// Rates.
    #[serde(flatten)]
    pub rates: Rates,
    /// Scores of each stranger's nearest subject.
    pub scores: Option<Spread>,
}

/// Clips.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Visits {
    /// Rates, over frames.
    #[serde(flatten)]
    pub rates: Rates,
    /// Which clips people were enrolled from.
    pub enrolled_from: Vec<String>,
    /// Threshold and claims for this gallery.
    pub operating: Operating,
    /// Clips of enrolled people that were granted to the right subject, of all such.
    pub granted_rightly: Tally,
    /// Clips that were granted to the wrong subject or to a stranger, of all.
    pub granted_wrongly: Tally,
    /// From the first frame with a face to the decision, in recording time, over all decisions
    /// that were published.
    pub time_to_decision_ms: Option<Spread>,
    /// Each clip's.
    pub decisions: Vec<ClipDecision>,
}

/// What was decided on one clip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClipDecision {
    /// The clip.
    pub clip: String,
    /// Whether its person is enrolled.
    pub enrolled: bool,
    /// Frames in it.
    pub frames: u64,
    /// Frames with a face.
    pub frames_with_face: u64,
    /// What was decided; `None` when nobody was seen.
    pub outcome: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether it was published, or kept for the audit only.
    pub published: bool,
    /// Whether a granted subject is the right one; `None` when nobody was granted.
    pub right_subject: Option<bool>,
    /// The score behind it.
    pub score: Option<f64>,
    /// From the first frame with a face to the decision, in recording time.
    pub time_to_decision_ms: Option<f64>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndToEnd {
    /// Names this format.
    pub schema: &'static str,
    /// With what.
    pub setup: Setup,
    /// Enrolled from one photograph, identified from another.
    pub london: Mated,
    /// Strangers against the same gallery.
    pub portraits: NonMated,
    /// Clips, through the decision core.
    pub visits: Visits,
}

impl std::fmt::Display for EndToEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Setup { find, follow, embedder, metric, mirrored, target_fpir } = &self.setup;
        let mirrored = if *mirrored { ", averaged with the mirror image" } else { "" };
        writeln!(f, "{find} finds, {follow} follows, {embedder}{mirrored}; {metric}")?;
        let target =
            target_fpir.map_or("explicit threshold".to_owned(), |v| format!("target FPIR {v}"));
        writeln!(f, "{target}; intervals are 95 %\n")?;
        let enrolled = self.london.enrolled;
        writeln!(
            f,
            "london: {enrolled} people enrolled from one photograph, identified from another"
        )?;
        writeln!(f, "  threshold       {}", Claim(&self.london.operating))?;
        write!(f, "{}", self.london.rates)?;
        writeln!(f, "  scores          {}\n", Told(self.london.scores))?;
        writeln!(f, "portraits: strangers against these {enrolled}")?;
        write!(f, "{}", self.portraits.rates)?;
        writeln!(f, "  scores          {}\n", Told(self.portraits.scores))?;
        let visits = &self.visits;
        writeln!(
            f,
            "visits: enrolled from {}; rates over frames",
            visits.enrolled_from.join(", ")
        )?;
        writeln!(f, "  threshold       {}", Claim(&visits.operating))?;
        write!(f, "{}", visits.rates)?;
        writeln!(f, "  granted rightly {}", visits.granted_rightly)?;
        writeln!(f, "  granted wrongly {}", visits.granted_wrongly)?;
        writeln!(f, "  ms to decision  {}", Told(visits.time_to_decision_ms))?;
        for decision in &visits.decisions {
            writeln!(f, "  {decision}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for ClipDecision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = if self.enrolled { "enrolled" } else { "stranger" };
        let frames = format!("{}/{} frames", self.frames_with_face, self.frames);
        write!(f, "{:<12} {who}  {frames:<15}", self.clip)?;
        let (Some(outcome), Some(reason)) = (&self.outcome, &self.reason) else {
            return f.write_str(" nobody was seen");
        };
        write!(f, " {outcome} ({reason})")?;
        if let Some(score) = self.score {
            write!(f, ", score {score:.3}")?;
        }
        if let Some(time) = self.time_to_decision_ms {
            write!(f, ", after {time:.0} ms")?;
        }
        if self.right_subject == Some(false) {
            f.write_str(", THE WRONG SUBJECT")?;
        }
        if !self.published {
            f.write_str(", for the audit only")?;
        }
        Ok(())
    }
}

struct Told(Option<Spread>);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(Spread { min, median, max, count }) if max.abs() >= 10.0 => {
                write!(f, "{min:.0} to {max:.0}, median {median:.0} (n = {count})")
            }
            Some(Spread { min, median, max, count }) => {
                write!(f, "{min:.3} to {max:.3}, median {median:.3} (n = {count})")
            }
            None => f.write_str("none"),
        }
    }
}

struct Claim<'a>(&'a Operating);

impl std::fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}", self.0.threshold)?;
        match (self.0.claimed_fmr, self.0.claimed_fpir) {
            (Some(fmr), Some(fpir)) => {
                write!(f, ", claimed FMR {fmr:.1e}, FPIR {fpir:.1e}")?;
            }
            _ => f.write_str(", no claim: the calibration does not cover it")?,
        }
        if self.0.falls_short {
            f.write_str(" (worse than the target: the calibration ends there)")?;
        }
        if self.0.beyond_accepted {
            f.write_str(" (beyond recognise.accept_fpir: such a door grants nobody)")?;
        }
        if self.0.other_averaging {
            f.write_str(" (measured with the other setting of mirrored averaging)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> ModelId {
        ModelId::new(name).expect("a model's name")
    }

    #[expect(clippy::unnecessary_wraps, reason = "the fields it fills are optional")]
    fn tally(count: u64, of: u64) -> Option<Tally> {
        Some(Tally { count, of })
    }

    /// Two people and a stranger, one of whom the door mistook.
    fn report() -> EndToEnd {
        let operating = Operating {
            threshold: 0.5,
            claimed_fmr: Some(1e-5),
            claimed_fpir: Some(2e-5),
            falls_short: true,
            other_averaging: false,
            beyond_accepted: false,
        };
        let decision = |clip: &str, enrolled, right_subject: Option<bool>| ClipDecision {
            clip: clip.to_owned(),
            enrolled,
            frames: 60,
            frames_with_face: 58,
            outcome: Some(if right_subject.is_some() { "granted" } else { "unknown" }.to_owned()),
            reason: Some(if right_subject.is_some() { "matched" } else { "no_match" }.to_owned()),
            published: true,
            right_subject,
            score: Some(0.625),
            time_to_decision_ms: Some(200.0),
        };
        EndToEnd {
            schema: "deepid-edge/evaluate-e2e/1",
            setup: Setup {
                find: model("a"),
                follow: model("b"),
                embedder: model("c"),
                metric: Metric::Cosine,
                mirrored: true,
                target_fpir: Some(0.001),
            },
            london: Mated {
                rates: Rates {
                    detection: tally(2, 2),
                    rank1: tally(1, 2),
                    fpir: None,
                    fnir: tally(1, 2),
                },
                enrolled: 2,
                not_enrolled: vec![],
                operating,
                scores: Spread::of(vec![0.75, 0.25]),
            },
            portraits: NonMated {
                rates: Rates { fpir: tally(0, 4), ..Rates::default() },
                scores: None,
            },
            visits: Visits {
                rates: Rates { detection: tally(116, 120), ..Rates::default() },
                enrolled_from: vec!["A-one".to_owned()],
                operating,
                granted_rightly: Tally { count: 1, of: 1 },
                granted_wrongly: Tally { count: 1, of: 2 },
                time_to_decision_ms: Spread::of(vec![200.0, 200.0]),
                decisions: vec![
                    decision("A-two", true, Some(true)),
                    decision("B-one", false, Some(false)),
                ],
            },
        }
    }

    #[test]
    fn every_rate_stands_with_its_counts_and_a_wrong_grant_is_loud() {
        insta::assert_snapshot!(report());
    }

    #[test]
    fn what_was_not_measured_is_null() {
        insta::assert_json_snapshot!(report());
    }
}
