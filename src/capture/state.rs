//! How the camera is, in the words of the topic `camera`.
//!
//! In: an error or a frame. Out: one of nine states, since when, and what a person can do about it.
//! Invariant: the remedy is never empty unless the state is `streaming`.
//! Deliberately absent: the wire message itself, which `publish` makes of this.

use super::CaptureError;
use crate::clock::Monotonic;
use crate::geometry::{Turn, View};

/// How the camera is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraState {
    /// Frames arrive, and they change.
    Streaming,
    /// There is no camera yet, or no longer.
    Searching,
    /// It is there, but no frame comes, or always the same one.
    Stalled,
    /// Frames come, and none or too few of them can be decoded.
    Undecodable,
    /// Another program has it.
    Busy,
    /// This user may not open it.
    Denied,
    /// It cannot give anything that can be used.
    Unsupported,
    /// Frames arrive, and most faces in them stand otherwise than upright.
    Misoriented,
    /// Another camera is in the place of the one that `camera.identity` names: nothing of it is judged.
    Foreign,
}

impl CameraState {
    /// The state's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Searching => "searching",
            Self::Stalled => "stalled",
            Self::Undecodable => "undecodable",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Misoriented => "misoriented",
            Self::Foreign => "foreign",
        }
    }

    /// What a person can do, in a sentence; empty while streaming.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Streaming => "",
            Self::Searching => "plug the camera in, or correct camera.device",
            Self::Stalled => "check cable, hub, power supply and lens cover; replug the camera",
            Self::Undecodable => {
                "check cable and hub of a camera, choose another of camera.formats or a smaller size; \
                 convert a recording again ('ffmpeg -i FILE -an -c:v mjpeg -q:v 2 OUT.mjpeg')"
            }
            Self::Busy => "stop the other program that uses the camera ('fuser -v /dev/video*')",
            Self::Denied => "add the service's user to the group 'video' and restart the service",
            Self::Unsupported => "use a UVC (USB) camera; 'deepid-edge doctor' says what is wrong",
            Self::Foreign => "'deepid-edge doctor' shows which cameras are there",
            Self::Misoriented => "whoever was enrolled through it so has to be enrolled again",
        }
    }
}

/// How the camera is, since when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraStatus {
    /// The state.
    pub state: CameraState,
    /// Since when.
    pub since: Monotonic,
    /// What was found, with the remedy for exactly that; empty while streaming.
    pub detail: String,
    /// The detail's own remedy is all there is to do: the state's is of cameras at this machine.
    pub detail_suffices: bool,
}

impl CameraStatus {
    /// A camera that is being looked for since `now`.
    #[must_use]
    pub fn searching(now: Monotonic) -> Self {
        let (state, detail) = (CameraState::Searching, "not opened yet".to_owned());
        Self { state, since: now, detail, detail_suffices: false }
    }

    /// Notes that frames arrive. `true` when that is news.
    pub fn streaming(&mut self, now: Monotonic) -> bool {
        self.change(CameraState::Streaming, now, String::new)
    }

    /// Notes an error. `true` when that is news.
    pub fn failed(&mut self, error: &CaptureError, now: Monotonic) -> bool {
        let is_news = self.change(error.state(), now, || error.to_string());
        self.detail_suffices = matches!(error, CaptureError::Program { .. });
        is_news
    }

    /// What was found and what to do; nothing while streaming.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let Self { state, detail, .. } = self;
        match state {
            CameraState::Streaming => None,
            _ if self.detail_suffices => Some(detail.clone()),
            state => Some(format!("{detail}: {}", state.remedy())),
        }
    }

    /// Notes that always the same picture comes. `true` when that is news.
    pub fn frozen(&mut self, now: Monotonic) -> bool {
        self.change(CameraState::Stalled, now, || {
            "frames arrive, but all show the same to the last bit: the camera or its driver is \
             frozen, or its lens is covered: replug it"
                .to_owned()
        })
    }

    /// A camera of which most faces need a further `turn`, looked at through `view`, since `now`.
    #[must_use]
    pub fn misoriented(turn: Turn, view: View, now: Monotonic) -> Self {
        let stand = if turn == Turn::Half { "are upside down" } else { "lie on their side" };
        let (is, right) = (view.turn.degrees(), view.turned(turn).turn.degrees());
        let detail = format!(
            "most faces in its pictures {stand}, and none of those is compared: set camera.rotate = {right} (it is {is}), or hang the camera upright"
        );
        Self { state: CameraState::Misoriented, since: now, detail, detail_suffices: false }
    }

    fn change(
        &mut self,
        state: CameraState,
        now: Monotonic,
        detail: impl FnOnce() -> String,
    ) -> bool {
        if self.state == state {
            if state != CameraState::Streaming {
                self.detail = detail();
            }
            return false;
        }
        *self = Self { state, since: now, detail: detail(), detail_suffices: false };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news_and_keeps_its_time() {
        let at = Monotonic::from_millis;
        let mut status = CameraStatus::searching(at(1));
        let missing = CaptureError::Missing { device: "/dev/video0".into() };
        assert!(!status.failed(&missing, at(2)));
        assert_eq!(status.since, at(1));
        assert!(status.detail.contains("/dev/video0"));
        assert!(status.streaming(at(3)));
        assert!(!status.streaming(at(4)));
        assert_eq!((status.since, status.detail.as_str()), (at(3), ""));
        assert!(status.frozen(at(9)));
        assert_eq!((status.state, status.since), (CameraState::Stalled, at(9)));
    }

    #[test]
    fn what_to_set_depends_on_what_is_set_already() {
        let detail =
            |turn, view| CameraStatus::misoriented(turn, view, Monotonic::default()).detail;
        let hung = |turn, mirrored| View { turn, mirrored };
        let upside_down = detail(Turn::Half, hung(Turn::None, false));
        assert!(upside_down.contains("upside down"), "{upside_down}");
        assert!(upside_down.contains("set camera.rotate = 180 (it is 0)"), "{upside_down}");
        let again = detail(Turn::Half, hung(Turn::Half, false));
        assert!(again.contains("set camera.rotate = 0 (it is 180)"), "{again}");
        let on_its_side = detail(Turn::Quarter, hung(Turn::Quarter, false));
        assert!(on_its_side.contains("on their side"), "{on_its_side}");
        assert!(on_its_side.contains("set camera.rotate = 180 (it is 90)"), "{on_its_side}");
        // Mirrored after the turn, so that a further turn goes the other way round.
        let mirrored = detail(Turn::Quarter, hung(Turn::None, true));
        assert!(mirrored.contains("set camera.rotate = 270 (it is 0)"), "{mirrored}");
    }

    #[test]
    fn names_are_those_of_the_wire_and_every_fault_has_a_remedy() {
        use CameraState::{
            Busy, Denied, Foreign, Misoriented, Searching, Stalled, Streaming, Undecodable,
            Unsupported,
        };
        for state in [
            Streaming,
            Searching,
            Stalled,
            Undecodable,
            Busy,
            Denied,
            Unsupported,
            Misoriented,
            Foreign,
        ] {
            let wire = serde_json::to_string(&state).unwrap();
            assert_eq!(wire, format!("\"{}\"", state.name()));
            assert_eq!(state.remedy().is_empty(), state == Streaming);
        }
    }
}
