//! The configured camera or recording, for verbs that look through it.
//!
//! In: `[camera]`. Out: an opened source whose errors come through, in contrast to the daemon's,
//! which opens again and again. Its frames are looked at as `camera.rotate` and `camera.mirror` say.

use std::path::Path;
use std::sync::Arc;

use crate::capture::replay::{Replay, ReplaySettings};
use crate::capture::v4l2::Camera;
use crate::capture::{CaptureError, FrameSource, Turned};
use crate::clock::Clock;
use crate::config::Config;

/// Opens it.
pub(super) fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let source: Box<dyn FrameSource> = match config.replay_settings(clock.now()) {
        Some(settings) => Box::new(Replay::open(settings, clock)?),
        None => Box::new(Camera::open(&config.camera_settings(), clock)?),
    };
    Ok(Box::new(Turned::new(source, config.camera_view())))
}

/// Opens the recording at `path`, made by that camera, to be played once.
pub(super) fn open_recording(
    config: &Config,
    path: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let source = Replay::open(ReplaySettings::once(path), clock)?;
    Ok(Box::new(Turned::new(Box::new(source), config.camera_view())))
}
