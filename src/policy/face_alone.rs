//! Whether a face alone may open.
//!
//! In: what can be claimed of the gallery, what is required of that claim, whether visits are looked at for
//! liveness and whether they have to be. Out: the [`Doubt`]s that stand against a face alone; while there is
//! one, everybody needs a second factor, as if their group demanded it.
//!
//! Invariants: what cannot be claimed counts as the worst claim, and a number that is none (NaN) meets
//! nothing; a doubt more takes no other away. Pure. Deliberately absent: how a claim is made (`compare`), and
//! the claim beyond which nobody is granted, second factor or not (`recognise.accept_fpir`).

use crate::compare::rate_rounded_up;

/// By how much a claim may be above what is required and still be the same: a threshold that was made for a
/// rate claims that rate but for the last digits of the arithmetic.
const SAME: f64 = 1.0 + 1e-6;

/// What can be claimed of a face, and what is required for it to open alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceAlone {
    /// The share of strangers' attempts that may be taken for somebody of this gallery, 0 to 1; `None`: no
    /// claim can be made.
    pub claimed_fpir: Option<f64>,
    /// The worst claim that is enough, above 0, at most 1.
    pub required_fpir: f64,
    /// Whether visits are looked at for liveness.
    pub liveness: bool,
    /// Whether they have to be.
    pub required_liveness: bool,
}

/// Why a face alone is not enough: the names that stand on the wire.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The calibration supports no claim.
    NoClaim,
    /// The claim is worse than what is required.
    WeakClaim,
    /// Nothing is asked of liveness.
    NoLiveness,
}

impl Default for FaceAlone {
    fn default() -> Self {
        Self::ENOUGH
    }
}

impl FaceAlone {
    /// Nothing is required: a face alone is enough.
    pub const ENOUGH: Self =
        Self { claimed_fpir: None, required_fpir: 1.0, liveness: false, required_liveness: false };

    /// All that stands against a face alone; nothing where it is enough.
    pub fn doubts(&self) -> impl Iterator<Item = Doubt> + use<> {
        let Self { claimed_fpir, required_fpir, liveness, required_liveness } = *self;
        // Written so that NaN on either side is too weak.
        let meets = claimed_fpir.unwrap_or(1.0) <= required_fpir * SAME;
        let claim = match claimed_fpir {
            Some(_) => Doubt::WeakClaim,
            None => Doubt::NoClaim,
        };
        let unlooked = required_liveness && !liveness;
        let doubts = [(!meets).then_some(claim), unlooked.then_some(Doubt::NoLiveness)];
        doubts.into_iter().flatten()
    }

    /// Whether a face alone may open.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.doubts().next().is_none()
    }

    /// What is doubted, and what helps, for a person; `None` where a face alone is enough.
    #[must_use]
    pub fn words(&self) -> Option<(String, String)> {
        let doubts: Vec<Doubt> = self.doubts().collect();
        if doubts.is_empty() {
            return None;
        }
        let required = self.required_fpir;
        let what = |doubt: &Doubt| match doubt {
            Doubt::NoClaim => "the calibration supports no claim for this threshold".to_owned(),
            Doubt::WeakClaim => format!(
                "the calibration can claim no better FPIR than {:.2e}, and {required:.2e} is required",
                self.claimed_fpir.unwrap_or(1.0)
            ),
            Doubt::NoLiveness => {
                "live.mode is 'off', so that a picture passes for a face".to_owned()
            }
        };
        let enough = self.claimed_fpir.map_or(1.0, rate_rounded_up);
        let remedy = |doubt: &Doubt| {
            match doubt {
            Doubt::NoClaim | Doubt::WeakClaim => format!(
                "enrol fewer references, let a second network confirm (models.confirm), or state that this claim is enough (policy.required_fpir = {enough:?})"
            ),
            Doubt::NoLiveness => "set live.mode to 'deny', or state that a face alone opens without it (policy.required_liveness = false)".to_owned(),
        }
        };
        let all =
            |of: &dyn Fn(&Doubt) -> String| doubts.iter().map(of).collect::<Vec<_>>().join("; ");
        let (what, remedy) = (all(&what), all(&remedy));
        Some((
            format!("a face alone opens nothing, each grant needs a second factor: {what}"),
            format!("give people a second factor (docs/policy.md), or {remedy}"),
        ))
    }
}
