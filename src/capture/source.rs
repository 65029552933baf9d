//! Which source, opened: a camera, through V4L2 or another program, or a recording in its place.
//!
//! In: [`SourceSettings`], a clock. Out: a source whose frames are looked at as the camera hangs; or
//! why it cannot be opened. A camera that is supervised never fails: it may come later, and is looked
//! for.

use std::path::Path;
use std::sync::Arc;

use super::program::{ProgramCamera, ProgramSettings};
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
    Camera(CameraKind),
    /// A camera that is opened again after each fault.
    Supervised(CameraKind),
    /// A recording, which must be there.
    Recording(ReplaySettings),
}

/// How a camera is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraKind {
    /// Through V4L2.
    Device(CameraSettings),
    /// By another program.
    Program(ProgramSettings),
}

impl CameraKind {
    fn open(&self, clock: Arc<dyn Clock>) -> Result<Box<dyn FrameSource>, CaptureError> {
        Ok(match self {
            Self::Device(settings) => Box::new(V4l2Camera::open(settings, clock)?),
            Self::Program(settings) => Box::new(ProgramCamera::open(settings, clock)?),
        })
    }
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
            Feed::Camera(kind) => Self { feed: Feed::Supervised(kind), ..self },
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
        Feed::Camera(kind) => kind.open(clock)?,
        Feed::Supervised(kind) => supervised(kind, clock),
        Feed::Recording(settings) => Box::new(Replay::open(settings, clock)?),
    };
    Ok(Box::new(Turned::new(source, view)))
}

fn supervised(kind: CameraKind, clock: Arc<dyn Clock>) -> Box<dyn FrameSource> {
    let (device, identity, settings) = match &kind {
        CameraKind::Device(settings) => {
            (settings.device.clone(), settings.identity.clone(), SuperviseSettings::default())
        }
        CameraKind::Program(settings) => {
            (settings.program.place().to_owned(), None, settings.patience())
        }
    };
    let camera_clock = Arc::clone(&clock);
    let opener = Box::new(move || kind.open(Arc::clone(&camera_clock)));
    Box::new(Supervised::new(&device, opener, clock, settings).wanting(identity))
}
