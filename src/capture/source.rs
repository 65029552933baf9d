//! Which source, opened: the camera or a recording in its place.
//!
//! In: [`SourceSettings`], a clock. Out: a source whose frames are looked at as the camera hangs; or
//! why it cannot be opened. A camera that is supervised never fails: it may come later, and is looked
//! for.

use std::path::Path;
use std::sync::Arc;

use super::replay::{Replay, ReplaySettings};
use super::supervise::{SuperviseSettings, Supervised};
use super::turned::Turned;
use super::v4l2::{CameraSettings, V4l2Camera};
use super::{CaptureError, FrameSource};
use crate::clock::Clock;
use crate::geometry::View;

/// Where frames come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Feed {
    /// A camera whose faults come through.
    Camera(CameraSettings),
    /// A camera that is opened again after each fault.
    Supervised(CameraSettings),
    /// A recording, which must be there.
    Recording(ReplaySettings),
}

/// Where frames come from, and how they are looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSettings {
    /// Camera or recording.
    pub feed: Feed,
    /// How the camera hangs, also the one that made the recording.
    pub view: View,
}

impl SourceSettings {
    /// The same with its camera supervised.
    #[must_use]
    pub fn supervised(self) -> Self {
        match self.feed {
            Feed::Camera(settings) => Self { feed: Feed::Supervised(settings), ..self },
            Feed::Supervised(_) | Feed::Recording(_) => self,
        }
    }

    /// The recording at `path`, made by this camera, played once and as fast as frames are asked for.
    #[must_use]
    pub fn recorded_at(&self, path: &Path) -> Self {
        Self { feed: Feed::Recording(ReplaySettings::once(path)), view: self.view }
    }
}

/// Opens it.
///
/// # Errors
/// [`CaptureError`]: the camera or the recording cannot be used.
pub fn open(
    SourceSettings { feed, view }: SourceSettings,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let source: Box<dyn FrameSource> = match feed {
        Feed::Camera(settings) => Box::new(V4l2Camera::open(&settings, clock)?),
        Feed::Supervised(settings) => supervised(settings, clock),
        Feed::Recording(settings) => Box::new(Replay::open(settings, clock)?),
    };
    Ok(Box::new(Turned::new(source, view)))
}

fn supervised(settings: CameraSettings, clock: Arc<dyn Clock>) -> Box<dyn FrameSource> {
    let (device, identity) = (settings.device.clone(), settings.identity.clone());
    let camera_clock = Arc::clone(&clock);
    let opener = Box::new(move || {
        let camera = V4l2Camera::open(&settings, Arc::clone(&camera_clock))?;
        Ok(Box::new(camera) as Box<dyn FrameSource>)
    });
    let supervised = Supervised::new(&device, opener, clock, SuperviseSettings::default());
    Box::new(supervised.wanting(identity))
}
