//! What the main thread said last of each thing, so that it says what has changed.
//!
//! In and out: plain values, kept from turn to turn. Deliberately absent: when something is said.

use super::rate::Rate;
use crate::capture::{CameraDoubt, CameraState};
use crate::clock::{ClockDoubt, Monotonic};
use crate::detect::StillFace;
use crate::publish::Info;
use crate::sign::SigningState;
use crate::store::Condition;

/// What the main loop remembers from turn to turn.
pub(super) struct Published {
    pub health_at: Option<Monotonic>,
    /// The same, to the page.
    pub shown_at: Option<Monotonic>,
    pub rate: Rate,
    pub info: Option<Info>,
    /// A recording that nothing is wrong with counts as streaming.
    pub camera: Option<CameraState>,
    pub doubt: Option<CameraDoubt>,
    pub strobing: bool,
    pub still: Vec<StillFace>,
    pub presence_at: Option<Monotonic>,
    pub database: Option<Condition>,
    pub clock_doubt: Option<ClockDoubt>,
    pub contested: bool,
    pub locked: bool,
    pub signing: SigningState,
}

impl Published {
    /// Nothing yet.
    pub(super) const fn new(started: Monotonic) -> Self {
        Self {
            health_at: None,
            shown_at: None,
            rate: Rate::new(started),
            info: None,
            camera: None,
            doubt: None,
            strobing: false,
            still: Vec::new(),
            presence_at: None,
            database: None,
            clock_doubt: None,
            contested: false,
            locked: false,
            signing: SigningState::Off,
        }
    }
}
