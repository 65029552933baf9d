//! Photographs before the path, one after the other: nothing is remembered from one to the next.
//!
//! In: the path of a file. Out: what the daemon would have observed, on a clock that stands still.

use std::path::Path;

use super::end_to_end::EvaluateError;
use crate::capture::picture::Picture;
use crate::clock::{Clock, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use crate::decide::Observation;
use crate::recognise::Recogniser;

pub(super) struct Stills {
    pub recogniser: Recogniser,
    clock: ManualClock,
}

impl Stills {
    pub fn new(recogniser: Recogniser) -> Self {
        let clock = ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS);
        Self { recogniser, clock }
    }

    /// What is seen on the photograph at `path`; its features are the recogniser's then.
    pub fn observe(&mut self, path: &Path) -> Result<Observation, EvaluateError> {
        let picture = Picture::read(path)?;
        self.recogniser.forget();
        let frame = picture.frame(0, self.clock.now());
        Ok(self.recogniser.observe(&frame, &self.clock))
    }
}
