//! What `doctor` finds: a list of verdicts, for a person and for a machine.
//!
//! In: one line for each thing that was looked at. Out: the list as text, its worst verdict; as JSON
//! by its fields; as checks for the door's page.

use std::fmt;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::serve::{Check, Verdict};

/// The remedy where every line of a finding says what would be right.
pub(in crate::cli) const CORRECT: &str = "correct it where the finding says";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Finding {
    check: &'static str,
    verdict: Grade,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Findings(Vec<Finding>);

impl Findings {
    pub(in crate::cli) fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.0.push(Finding { check, verdict: Grade::Ok, what: what.into(), remedy: None });
    }

    pub(in crate::cli) fn warn(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let remedy = Some(remedy.into());
        self.0.push(Finding { check, verdict: Grade::Warn, what: what.into(), remedy });
    }

    pub(in crate::cli) fn fail(&mut self, check: &'static str, failure: &Failure) {
        let what = failure.finding();
        let remedy = Some(failure.remedy().unwrap_or(CORRECT).to_owned());
        self.0.push(Finding { check, verdict: Grade::Fail, what, remedy });
    }

    /// The same as the page tells them.
    pub(in crate::cli) fn into_checks(self) -> Vec<Check> {
        let check = |Finding { check, verdict, what, remedy }| Check {
            check: str::to_owned(check),
            verdict: match verdict {
                Grade::Ok => Verdict::Ok,
                Grade::Warn => Verdict::Warning,
                Grade::Fail => Verdict::Problem,
            },
            text: what,
            remedy,
        };
        self.0.into_iter().map(check).collect()
    }

    pub(in crate::cli) fn worst(&self) -> Grade {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Grade::Ok)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            let verdict = match finding.verdict {
                Grade::Ok => "ok",
                Grade::Warn => "warn",
                Grade::Fail => "FAIL",
            };
            let what = finding.what.replace('\n', "\n                     ");
            writeln!(f, "{verdict:<5} {:<14} {what}", finding.check)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(f, "{:20} try: {remedy}", "")?;
            }
        }
        Ok(())
    }
}
