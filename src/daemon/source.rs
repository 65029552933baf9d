//! Which source the configuration names: the camera, supervised, or a recording.

use std::sync::Arc;

use crate::capture::replay::Replay;
use crate::capture::supervise::{SuperviseSettings, Supervised};
use crate::capture::v4l2::Camera;
use crate::capture::{CaptureError, FrameSource, Turned};
use crate::clock::{Clock, Monotonic, SystemClock};
use crate::config::{Config, Pace};

/// Whether a recording is played as fast as frames are judged, in its own time.
pub(super) fn replays_unpaced(config: &Config) -> bool {
    config.camera.replay.path.is_some() && config.camera.replay.pace == Pace::Fast
}

/// Opens the source, whose frames are looked at as the camera hangs. A recording must be there; a camera may come later and is looked for.
///
/// # Errors
/// [`CaptureError`] when the recording cannot be read.
pub(super) fn open(
    config: &Config,
    clock: &Arc<SystemClock>,
    start: Monotonic,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let source = match config.replay_settings(start) {
        Some(settings) => Box::new(Replay::open(settings, clock)?),
        None => supervised(config, clock),
    };
    Ok(Box::new(Turned::new(source, config.camera_view())))
}

fn supervised(config: &Config, clock: Arc<dyn Clock>) -> Box<dyn FrameSource> {
    let settings = config.camera_settings();
    let device = settings.device.clone();
    let camera_clock = Arc::clone(&clock);
    let opener = Box::new(move || {
        let camera = Camera::open(&settings, Arc::clone(&camera_clock))?;
        Ok(Box::new(camera) as Box<dyn FrameSource>)
    });
    Box::new(Supervised::new(&device, opener, clock, SuperviseSettings::default()))
}
