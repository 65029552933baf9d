//! A short look through a camera or recording: do frames come, and can they be decoded?
//!
//! In: an opened source. Out: a sentence that says so with counts, or what is wrong with its remedy.
//! Invariant: a frame that cannot be decoded is counted and does not end the look; the same share
//! counts as in the daemon ([`Readability::is_poor`]).

use crate::capture::watch::Decoded;
use crate::capture::{
    CameraState, CaptureError, CapturedFrame, Decoder, FrameSource, PictureError, Progress,
    Readability, RecordingProblem, SourceDescription,
};
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::frame::Frame;

/// What came of looking through a camera or recording.
#[derive(Debug, Default)]
pub(super) struct SeenFrames {
    decoded: Decoded,
    /// The size of one that could be decoded.
    size: Option<(u32, u32)>,
    /// Why one could not.
    reason: Option<String>,
}

/// Looks at as many frames as say how they can be decoded, or for as long as it may; `each` is shown
/// those that can.
pub(super) fn at(
    source: &mut dyn FrameSource,
    may_go_on: impl Fn() -> bool,
    mut each: impl FnMut(&Frame<'_>),
) -> Result<SeenFrames, CaptureError> {
    let mut seen = SeenFrames::default();
    let mut captured = CapturedFrame::new();
    let mut decoder = Decoder::new();
    while may_go_on() && seen.decoded.readability().frames < Readability::ENOUGH {
        match source.next_frame(&mut captured) {
            Ok(Progress::Frame | Progress::Repeat) => {
                let decoded = decoder.decode(&captured);
                seen.note(decoded.map(|frame| {
                    each(&frame);
                    (frame.width(), frame.height())
                }));
            }
            Err(CaptureError::Recording {
                problem: RecordingProblem::Picture { reason, .. },
                ..
            }) => seen.note(Err(reason)),
            // Of one that arrived damaged the next may be whole.
            Ok(Progress::Waiting) | Err(CaptureError::DamagedBuffer { .. }) => {}
            Err(error) => return Err(error),
            Ok(Progress::End) => break,
        }
    }
    Ok(seen)
}

impl SeenFrames {
    fn note(&mut self, frame: Result<(u32, u32), PictureError>) {
        match frame {
            Ok(size) => {
                self.decoded = self.decoded.with(None);
                self.size = Some(size);
            }
            Err(error) => {
                self.decoded = self.decoded.with(Some(error.cause()));
                self.reason = Some(error.to_string());
            }
        }
    }

    /// The finding, or what is wrong.
    pub(super) fn judged(self, told: &SourceDescription) -> Result<String, Failure> {
        let failed = |what: String, remedy: &str| {
            Err(Failure::new(Kind::Camera, what, remedy).at(told.location.clone()))
        };
        let Readability { frames, undecodable, .. } = self.decoded.readability();
        if frames == 0 {
            return failed(
                "no frame came".to_owned(),
                "check cable, hub and power; try a smaller size",
            );
        }
        let reason = self.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let Some((width, height)) = self.size.filter(|_| undecodable * 2 <= frames) else {
            let remedy = CameraState::Undecodable.remedy();
            let what =
                format!("undecodable: {undecodable} of {frames} frames cannot be decoded{reason}");
            return failed(what, remedy);
        };
        let rate = told.rate.map_or(String::new(), |rate| format!(" at {rate}"));
        let came = match undecodable {
            0 => "frames come".to_owned(),
            some => format!("frames come, {some} of {frames} cannot be decoded{reason}"),
        };
        let SourceDescription { location, name, encoding, .. } = told;
        Ok(format!("{location} ({name}): {encoding} {width}×{height}{rate}, {came}"))
    }
}
