//! What the demonstration ends with.
//!
//! In: what was heard from the daemon and what the script expects. Out: for a person a table, for a
//! machine one JSON value. Invariant: both say the same, and a part that did not go as expected is
//! never silent. Deliberately absent: colours; the table may end in a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::process::Memory;
use super::story::{Arrived, PartResult};
use crate::compare::Operating;

/// Milliseconds that a stage took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Percentiles {
    p50: f32,
    p95: f32,
}

/// Frames that the daemon counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frames {
    captured: u64,
    dropped: u64,
    processed: u64,
}

/// A `health` message, as far as the demonstration reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Health {
    frames: Frames,
    stages: BTreeMap<String, Percentiles>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Closing {
    /// Names this format.
    pub schema: &'static str,
    /// Whether everything came that the script expects, and nothing else.
    pub as_expected: bool,
    /// Who was enrolled.
    pub subject: String,
    /// The embedder.
    pub model: String,
    /// Threshold and claims in force.
    pub operating: Operating,
    /// Frames in the recording.
    pub frames_recorded: u32,
    /// The last health that the daemon told.
    pub health: Option<Health>,
    /// Faces in the visits that were decided: the most in one frame of each.
    pub faces: u32,
    /// Decisions that arrived.
    pub decisions: usize,
    /// Signed grants that a listener verified.
    pub grants_verified: usize,
    /// Why the opener refused what somebody else sent as a grant.
    pub grants_refused: Vec<&'static str>,
    /// Memory of the daemon's process.
    pub memory: Option<Memory>,
    /// Part by part.
    pub parts: Vec<PartResult>,
}

/// The stages in the order of the path.
const STAGES: [&str; 7] = ["decode", "detect", "align", "embed", "compare", "frame", "decision"];

impl std::fmt::Display for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\n  {:<40} {:<23} {:<23}", "part of the visit", "expected", "came")?;
        for part in &self.parts {
            let came: Vec<_> = part.decisions.iter().map(told).collect();
            let came = if came.is_empty() { "-".to_owned() } else { came.join(", ") };
            let verdict = if part.as_expected { "as expected" } else { "NOT AS EXPECTED" };
            let expected = part.expected.as_deref().unwrap_or("-");
            writeln!(f, "  {:<40} {expected:<23} {came:<23} {verdict}", cut(&part.part, 40))?;
        }
        writeln!(f)?;
        match &self.health {
            Some(Health { frames: Frames { captured, dropped, processed }, .. }) => writeln!(
                f,
                "frames     {} recorded, {captured} captured, {processed} processed, {dropped} dropped",
                self.frames_recorded
            )?,
            None => writeln!(f, "frames     {} recorded; no health arrived", self.frames_recorded)?,
        }
        let faces: Vec<String> = self
            .parts
            .iter()
            .flat_map(|part| &part.decisions)
            .map(|decision| decision.access.faces.map_or("?".to_owned(), |faces| faces.to_string()))
            .collect();
        let faces = if faces.is_empty() { "-".to_owned() } else { faces.join(", ") };
        let decided = self.decisions;
        writeln!(f, "visits     {decided} decided; most faces in one frame of each: {faces}")?;
        let verified = self.grants_verified;
        let refused = match self.grants_refused.as_slice() {
            [] => "none refused".to_owned(),
            refused => {
                format!("{} of somebody else refused: {}", refused.len(), refused.join(", "))
            }
        };
        writeln!(f, "grants     {verified} signed by the door and verified; {refused}")?;
        if let Some(Health { stages, .. }) = &self.health {
            let known = STAGES.iter().filter_map(|name| stages.get_key_value(*name));
            let others = stages.iter().filter(|(name, _)| !STAGES.contains(&name.as_str()));
            for (index, (name, Percentiles { p50, p95 })) in known.chain(others).enumerate() {
                let label = if index == 0 { "latency" } else { "" };
                let (p50, p95) = (duration(*p50), duration(*p95));
                writeln!(f, "{label:<10} {name:<9} p50 {p50:>11}   p95 {p95:>11}")?;
            }
        }
        if let Some(Memory { resident_bytes, peak_bytes }) = self.memory {
            let mib = |bytes| bytes as f64 / f64::from(1 << 20);
            writeln!(
                f,
                "memory     {:.1} MiB resident, {:.1} MiB at most (the daemon's process)",
                mib(resident_bytes),
                mib(peak_bytes)
            )?;
        }
        let verdict = if self.as_expected {
            "every decision came as expected"
        } else {
            "the decisions are NOT as expected"
        };
        writeln!(f, "\n{verdict}")
    }
}

/// Milliseconds in the unit that leaves digits to read.
fn duration(ms: f32) -> String {
    if ms < 0.1 { format!("{:.1} µs", ms * 1000.0) } else { format!("{ms:.2} ms") }
}

/// A decision as `outcome/reason`.
pub(super) fn told(decision: &Arrived) -> String {
    let outcome = super::story::outcome_name(decision.access.outcome);
    format!("{outcome}/{}", decision.access.reason)
}

/// The first `most` characters, ending in `..` where something was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(2)).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_was_expected_and_what_came() {
        let access = serde_json::from_str(
            r#"{"outcome": "unknown", "reason": "no_match", "faces": 1, "monotonic_ms": 9}"#,
        );
        let decision = Arrived { seconds: 4.7, access: access.expect("an access message") };
        let part = |name: &str, expected: Option<&str>, decisions: Vec<Arrived>, as_expected| {
            let (part, expected) = (name.to_owned(), expected.map(str::to_owned));
            PartResult { part, begins_s: 0.0, expected, decisions, as_expected }
        };
        let health = r#"{"frames": {"captured": 60, "dropped": 1, "processed": 59},
            "stages": {"detect": {"p50": 1.8, "p95": 2.25}, "decode": {"p50": 0.5, "p95": 0.75},
                "compare": {"p50": 0.0017, "p95": 0.25}}}"#;
        let closing = Closing {
            schema: "deepid-edge/demo/1",
            as_expected: false,
            subject: "s-4f9a1c".to_owned(),
            model: "deepid2".to_owned(),
            operating: Operating {
                threshold: 0.5,
                claimed_fmr: Some(1e-3),
                claimed_fpir: Some(1e-3),
                falls_short: false,
                other_averaging: false,
                beyond_accepted: false,
            },
            frames_recorded: 60,
            health: Some(serde_json::from_str(health).expect("a health message")),
            faces: 1,
            decisions: 1,
            grants_verified: 0,
            grants_refused: vec!["replayed", "unknown_key"],
            memory: Some(Memory { resident_bytes: 31 << 20, peak_bytes: 33 << 20 }),
            parts: vec![
                part("nobody", None, vec![], true),
                part("a stranger", Some("unknown/no_match"), vec![decision], true),
                part(
                    "a friend whose part has a name that is longer than a line has room for",
                    Some("granted/matched"),
                    vec![],
                    false,
                ),
            ],
        };
        insta::assert_snapshot!(closing);
        insta::assert_json_snapshot!(closing);
    }
}
