//! What `doctor` looks at: whether a face alone opens, and why not.
//!
//! In: what can be claimed of whoever is enrolled, and what the configuration requires. Out: a warning where
//! each grant needs a second factor, and where a face alone opens because somebody has said that it may.
//! Nothing is changed.

use super::findings::Findings;
use crate::policy::FaceAlone;

const CHECK: &str = "face alone";

pub(super) fn check(findings: &mut Findings, face: &FaceAlone) {
    if let Some((what, remedy)) = face.words() {
        return findings.warn(CHECK, what, remedy);
    }
    let claim = face.claimed_fpir.map(|fpir| format!("{fpir:.1e} of strangers' attempts"));
    if !face.liveness {
        findings.warn(
            CHECK,
            "it opens without liveness, by policy.required_liveness: a photograph of somebody enrolled does"
                .to_owned(),
            "set live.mode to 'deny' or 'confirm', and policy.required_liveness to true",
        );
    } else if let Some(claim) = claim {
        let required = face.required_fpir;
        findings.ok(
            CHECK,
            format!(
                "it opens: liveness is looked at, and the claim ({claim}) is within {required:.1e}"
            ),
        );
    } else {
        findings.warn(
            CHECK,
            "it opens without a claim, by policy.required_fpir: nobody knows how often for a stranger"
                .to_owned(),
            "use a threshold that the model's calibration covers, and unset policy.required_fpir",
        );
    }
}
