//! What stands before the camera while `doctor` looks: faces that do not move.
//!
//! In: the configured camera or recording, for a few seconds. Out: the faces that stayed where they
//! were. A person who stands before the camera may be among them: that is said by whoever tells it,
//! and the daemon, which looks for minutes, knows better.

use std::sync::Arc;
use std::time::Duration;

use super::findings::Findings;
use crate::capture::{self, CapturedFrame, Decoder, Progress};
use crate::clock::{Clock, Floor, SystemClock};
use crate::config::Config;
use crate::detect::{Detections, StillFace, StillFaces};
use crate::equip::Networks;

/// How long is looked, of which a face must stand still for [`STILL`].
const LOOK: Duration = Duration::from_secs(4);
const STILL: Duration = Duration::from_secs(2);

/// Tells of faces that do not move while this looks: a portrait makes every visitor one of several.
pub(super) fn check(findings: &mut Findings, config: &Config) {
    let faces = still_faces(config);
    if let Some(line) = config.zones().line_to_ignore(&faces) {
        findings.warn(
            "scene",
            format!("{} faces do not move while this looks", faces.len()),
            format!("nothing, if people stand there; if it is a portrait or a reflection: {line}"),
        );
    }
}

/// The faces that do not move for two seconds; none where camera or networks cannot be used, which
/// other checks tell.
fn still_faces(config: &Config) -> Vec<StillFace> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(config.clock.require, Floor::default()));
    let follower = Networks::open(config).and_then(|networks| networks.follower(config));
    let source = capture::open(config.source_settings(clock.now()), Arc::clone(&clock));
    let (Ok(mut follower), Ok(mut source)) = (follower, source) else {
        return Vec::new();
    };
    follower.set_zones(&config.zones());
    let (mut captured, mut decoder) = (CapturedFrame::new(), Decoder::new());
    let (mut detections, mut still) = (Detections::default(), StillFaces::after(STILL));
    let until = clock.now().plus(LOOK);
    while clock.now() < until && still.list().is_empty() {
        match source.next_frame(&mut captured) {
            Ok(Progress::Frame) => {}
            Ok(Progress::Repeat | Progress::Waiting) => continue,
            Ok(Progress::End) | Err(_) => break,
        }
        let Ok(frame) = decoder.decode(&captured) else { continue };
        if follower.detect(&frame, &mut detections).is_ok() {
            let size = (frame.width(), frame.height());
            still.observe(&detections, size, frame.captured_at());
        }
    }
    still.list()
}
