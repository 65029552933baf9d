//! A source whose frames are looked at turned or mirrored, because its camera hangs so.
//!
//! In: any source, and how its pictures are to be looked at. Out: the same frames, each with that
//! [`View`]; the decoder hands it on, and whoever reads pixels follows it. No byte is moved.
//! Deliberately absent: the description, which stays the device's own: its size is what was agreed
//! on with the camera.

use super::{
    CameraDoubt, CameraStatus, CaptureError, CapturedFrame, FrameSource, Progress, Readability,
    SourceDescription,
};
use crate::geometry::View;

/// A source seen through a [`View`].
pub(super) struct Turned {
    source: Box<dyn FrameSource>,
    view: View,
}

impl Turned {
    /// The frames of `source`, looked at through `view`.
    pub(super) fn new(source: Box<dyn FrameSource>, view: View) -> Self {
        Self { source, view }
    }
}

impl FrameSource for Turned {
    fn description(&self) -> &SourceDescription {
        self.source.description()
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        let progress = self.source.next_frame(into)?;
        into.see_by(self.view);
        Ok(progress)
    }

    fn status(&self) -> Option<&CameraStatus> {
        self.source.status()
    }

    fn doubt(&self) -> Option<&CameraDoubt> {
        self.source.doubt()
    }

    fn note_readability(&mut self, readability: Readability) -> bool {
        self.source.note_readability(readability)
    }
}
