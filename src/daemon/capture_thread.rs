//! The capture thread: owns the source; frames into the slot.
//!
//! In: a [`FrameSource`], what the door thread could decode. Out: frames in the slot, the camera's state
//! in [`Shared`]. Ends when the source does, or when it is told to.

use std::sync::atomic::Ordering;

use super::pulse::Thread;
use super::shared::{Shared, TURN};
use crate::capture::{
    CameraState, CameraStatus, CaptureError, CapturedFrame, FrameSource, Progress, RecordingProblem,
};
use crate::clock::Clock;

/// The capture thread: frames into the slot until the source ends or the daemon stops.
pub(super) fn run(shared: &Shared, mut source: Box<dyn FrameSource>) {
    let mut frame = CapturedFrame::default();
    while !shared.stopping() {
        shared.beat(Thread::Capture);
        if source.note_readability(shared.decoding.report()) {
            shared.decoding.begin_anew();
        }
        let repeat = match source.next_frame(&mut frame) {
            Ok(Progress::Frame) => false,
            Ok(Progress::Repeat) => true,
            Ok(Progress::Waiting) => {
                note_camera(shared, &*source);
                continue;
            }
            Ok(Progress::End) => break,
            Err(error) => {
                tracing::warn!(%error, "frame lost");
                // A folder's picture that cannot be read was a frame all the same.
                if let CaptureError::Recording {
                    problem: RecordingProblem::Picture { reason, .. },
                    ..
                } = &error
                {
                    shared.meter.add_captured();
                    shared.meter.add_unreadable();
                    shared.decoding.failed(reason.cause());
                }
                note_camera(shared, &*source);
                if error.is_last() {
                    shared.lose(error);
                    break;
                }
                continue;
            }
        };
        shared.meter.add_captured();
        note_camera(shared, &*source);
        while !shared.slot.put(&mut frame, repeat, TURN) && !shared.stopping() {
            shared.beat(Thread::Capture);
        }
    }
    shared.slot.close();
    // A recording that is over is no hung thread: the daemon goes on and says goodbye in order.
    while !shared.stopping() {
        shared.beat(Thread::Capture);
        // Its last frames are decoded only now.
        source.note_readability(shared.decoding.report());
        note_camera(shared, &*source);
        shared.clock.sleep(TURN);
    }
}

fn note_camera(shared: &Shared, source: &dyn FrameSource) {
    let mut camera = shared.camera();
    if camera.status.as_ref() != source.status() {
        let streams = |status: Option<&CameraStatus>| {
            status.is_some_and(|status| status.state == CameraState::Streaming)
        };
        if streams(source.status()) && !streams(camera.status.as_ref()) {
            shared.opened_anew.store(true, Ordering::Relaxed);
        }
        camera.status = source.status().cloned();
    }
    if camera.doubt.as_ref() != source.doubt() {
        camera.doubt = source.doubt().cloned();
    }
    if camera.description != *source.description() {
        camera.description = source.description().clone();
    }
}
