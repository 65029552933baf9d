//! The configured camera or recording, for verbs that look through it.
//!
//! In: `[camera]`. Out: an opened source whose errors come through, in contrast to the daemon's,
//! which opens again and again.

use std::sync::Arc;

use crate::capture::replay::Replay;
use crate::capture::v4l2::Camera;
use crate::capture::{CaptureError, FrameSource};
use crate::clock::Clock;
use crate::config::Config;

/// Opens it.
pub(super) fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    if let Some(settings) = config.replay_settings(clock.now()) {
        return Ok(Box::new(Replay::open(settings, clock)?));
    }
    Ok(Box::new(Camera::open(&config.camera_settings(), clock)?))
}
