//! Photographs before the path, one after the other: nothing is remembered from one to the next.
//!
//! In: the path of a file. Out: what the daemon would have observed, on a clock that stands still.

use std::path::Path;

use super::attempt::empty_path;
use super::end_to_end::EvaluateError;
use crate::capture::picture::Picture;
use crate::clock::{Clock, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use crate::config::Config;
use crate::decide::Observation;
use crate::embed::QualityLimits;
use crate::equip::Networks;
use crate::frame::Frame;
use crate::recognise::Recogniser;

/// The middle part of a photograph, of its width and height, in which the person whom it is named
/// after is looked for first. LFW's were cut around the face that is meant (Huang et al. 2007); who
/// stands beside it may be larger, and at a door would be the visitor.
const MEANT_CENTRAL: f32 = 0.3;

/// The part in which `config` has a photograph's person looked for first.
pub(super) fn meant_central(config: &Config) -> f32 {
    config.detect.central.min(MEANT_CENTRAL)
}

pub(super) struct Stills {
    pub recogniser: Recogniser,
    clock: ManualClock,
}

impl Stills {
    pub fn new(recogniser: Recogniser) -> Self {
        let clock = ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS);
        Self { recogniser, clock }
    }

    /// Looks at whom each photograph means, whatever its quality.
    pub fn of_whom_is_meant(config: &Config, networks: &Networks) -> Result<Self, EvaluateError> {
        let path = empty_path(config, networks, QualityLimits::NONE)?;
        Ok(Self::new(path.looking_first_within(meant_central(config))))
    }

    /// What is seen on the photograph at `path`; its features are the recogniser's then.
    pub fn observe(&mut self, path: &Path) -> Result<Observation, EvaluateError> {
        self.observe_and(path, |_, _, observation| Ok(observation))
    }

    /// The same, and what `then` makes of recogniser and frame.
    pub fn observe_and<Made>(
        &mut self,
        path: &Path,
        then: impl FnOnce(&mut Recogniser, &Frame<'_>, Observation) -> Result<Made, EvaluateError>,
    ) -> Result<Made, EvaluateError> {
        let picture = Picture::read(path)?;
        self.recogniser.forget();
        let frame = picture.frame(0, self.clock.now());
        let observation = self.recogniser.observe(&frame, &self.clock);
        then(&mut self.recogniser, &frame, observation)
    }
}
