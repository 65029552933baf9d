//! What should have happened, and what did.
//!
//! In: the script of the visit and the decisions in the order of their arrival. Out: for each part
//! what came of it, and whether the whole went as the script expects.
//!
//! Invariant: a decision that no part expects is a failure, as much as one that does not come.
//! A decision belongs to the last part that had begun with somebody in view when it was made,
//! because a visit may end after its part: the door waits for the visitor to be gone.

use serde::{Deserialize, Serialize};

use crate::decide::Outcome;
use crate::lab::scene::{Expectation, Script};

/// An `access` message, as far as the demo reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Access {
    /// What to act on.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Who, as a pseudonym.
    #[serde(default)]
    pub subject: Option<String>,
    /// How alike.
    #[serde(default)]
    pub score: Option<f64>,
    /// What a score had to reach.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// In which metric.
    #[serde(default)]
    pub metric: Option<String>,
    /// What the calibration says of that threshold.
    #[serde(default)]
    pub claimed_fmr: Option<f64>,
    /// Most faces in one frame.
    #[serde(default)]
    pub faces: Option<u32>,
    /// How long it took.
    #[serde(default)]
    pub latency_ms: Option<Latency>,
    /// When it was decided, on the machine's monotonic clock.
    pub monotonic_ms: u64,
}

/// How long a decision took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Latency {
    /// Since the visit's first frame with a face was captured.
    #[serde(default)]
    pub first_frame_to_decision: Option<f64>,
    /// Since the last frame that counted was captured.
    #[serde(default)]
    pub last_frame_to_decision: Option<f64>,
}

/// A decision and when it arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Arrived {
    /// Seconds since the recording began.
    pub seconds: f64,
    /// What was decided.
    #[serde(flatten)]
    pub access: Access,
}

/// What came of one part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PartResult {
    /// The part's name.
    pub part: String,
    /// When it begins, in seconds since the recording began.
    pub begins_s: f64,
    /// What was expected, as `outcome/reason`.
    pub expected: Option<String>,
    /// What came.
    pub decisions: Vec<Arrived>,
    /// Whether that is the same.
    pub as_expected: bool,
}

/// Puts every decision to its part and compares; only `enrolled` may be granted.
pub(super) fn judge(script: &Script, enrolled: &str, decisions: &[Arrived]) -> Vec<PartResult> {
    let rate = script.picture.rate;
    let mut begins = 0.0;
    let mut results: Vec<PartResult> = Vec::with_capacity(script.parts.len());
    for part in &script.parts {
        results.push(PartResult {
            part: part.name.clone(),
            begins_s: begins,
            expected: part.expect.as_ref().map(told),
            decisions: Vec::new(),
            as_expected: false,
        });
        begins += f64::from(part.frames(rate)) / f64::from(rate);
    }
    for decision in decisions {
        let part = part_of(script, decision.seconds);
        results.iter_mut().skip(part).take(1).for_each(|r| r.decisions.push(decision.clone()));
    }
    for (result, part) in results.iter_mut().zip(&script.parts) {
        result.as_expected = match (&part.expect, result.decisions.as_slice()) {
            (None, []) => true,
            (Some(expected), [one]) => fits(expected, enrolled, &one.access),
            _ => false,
        };
    }
    results
}

/// The number of the part that a decision made `seconds` into the recording belongs to.
pub(super) fn part_of(script: &Script, seconds: f64) -> usize {
    let rate = script.picture.rate;
    let (mut begins, mut last) = (0.0, 0);
    for (number, part) in script.parts.iter().enumerate() {
        if begins <= seconds && !part.walks.is_empty() {
            last = number;
        }
        begins += f64::from(part.frames(rate)) / f64::from(rate);
    }
    last
}

fn fits(expected: &Expectation, enrolled: &str, access: &Access) -> bool {
    let granted = access.outcome == Outcome::Granted;
    expected.outcome == access.outcome
        && expected.reason.as_ref().is_none_or(|reason| *reason == access.reason)
        && (!granted || access.subject.as_deref() == Some(enrolled))
}

fn told(expected: &Expectation) -> String {
    let outcome = outcome_name(expected.outcome);
    expected
        .reason
        .as_ref()
        .map_or_else(|| outcome.to_owned(), |reason| format!("{outcome}/{reason}"))
}

/// The outcome as on the wire.
pub(super) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Granted => "granted",
        Outcome::Denied => "denied",
        Outcome::Unknown => "unknown",
        Outcome::Ambiguous => "ambiguous",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Script {
        let text = r#"
            picture = { width = 64, height = 64, rate = 10, seed = 1 }
            wall = { colour = [9, 9, 9], plaster = 1.0, lamp = [0.0, 0.0], falloff = 0.1 }
            [[actor]]
            name = "a"
            photograph = "a.png"
            face = [50.0, 50.0, 30.0]
            outline = [[0.0, 0.0], [90.0, 0.0], [90.0, 90.0]]
            [[part]]
            name = "nobody"
            seconds = 2.0
            [[part]]
            name = "a stranger"
            seconds = 3.0
            expect = { outcome = "unknown", reason = "no_match" }
            [[part.walk]]
            actor = "a"
            path = [[0.0, 0.0, 10.0, 40.0, 0.0], [1.5, 40.0, 10.0, 40.0, 0.0]]
            [[part]]
            name = "nobody again"
            seconds = 2.0
            [[part]]
            name = "a friend"
            seconds = 3.0
            expect = { outcome = "granted" }
            [[part.walk]]
            actor = "a"
            path = [[0.0, 0.0, 10.0, 40.0, 0.0], [1.5, 40.0, 10.0, 40.0, 0.0]]
        "#;
        Script::parse(text).expect("a right script")
    }

    fn arrived(seconds: f64, text: &str) -> Arrived {
        let access = serde_json::from_str(text).expect("an access message");
        Arrived { seconds, access }
    }

    const STRANGER: &str =
        r#"{"outcome": "unknown", "reason": "no_match", "score": 0.1, "monotonic_ms": 7}"#;
    const FRIEND: &str = r#"{"outcome": "granted", "reason": "matched", "subject": "s-4f9a1c",
        "monotonic_ms": 8}"#;
    const OTHER: &str = r#"{"outcome": "granted", "reason": "matched", "subject": "s-000000",
        "monotonic_ms": 8}"#;

    #[test]
    fn a_visit_that_goes_as_expected() {
        // The first decision comes after its part, in the pause before the next one.
        let results = judge(&script(), "s-4f9a1c", &[arrived(5.9, STRANGER), arrived(8.1, FRIEND)]);
        assert!(results.iter().all(|r| r.as_expected), "{results:#?}");
        assert_eq!(results[1].expected.as_deref(), Some("unknown/no_match"));
    }

    #[test]
    fn whatever_else_happens_is_a_failure() {
        let (stranger, friend) = (|at| arrived(at, STRANGER), |at| arrived(at, FRIEND));
        let cases: [(&str, Vec<Arrived>, &[usize]); 7] = [
            ("nothing came", vec![], &[1, 3]),
            ("a stranger was granted", vec![friend(3.0), friend(8.1)], &[1]),
            ("the friend was not", vec![stranger(3.0), stranger(8.1)], &[3]),
            ("somebody else was", vec![stranger(3.0), arrived(8.1, OTHER)], &[3]),
            ("twice", vec![stranger(3.0), stranger(4.0), friend(8.1)], &[1]),
            ("somebody where nobody is", vec![friend(0.5), stranger(3.0), friend(8.1)], &[0]),
            ("too early", vec![stranger(0.5), friend(8.1)], &[0, 1]),
        ];
        for (what, decisions, wrong) in cases {
            let results = judge(&script(), "s-4f9a1c", &decisions);
            let found: Vec<usize> =
                (0..results.len()).filter(|i| !results[*i].as_expected).collect();
            assert_eq!(found, wrong, "{what}");
        }
    }
}
