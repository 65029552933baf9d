//! How a head is to stand for an enrolment, and how it stands.
//!
//! In: keypoints of a face, the step that is asked for. Out: whether it shows that. Pure. A head is told by
//! its keypoints: yaw as `Quality` has it, pitch by where the nose lies on the line from the eyes to the
//! mouth, both against the ones seen straight ahead.

use crate::detect::Detection;
use crate::enrol::UsableFace;

/// How far a head must be turned, in eye distances beyond straight ahead.
const TURNED: f32 = 0.12;
/// Within which it counts as straight ahead.
const STRAIGHT: f32 = 0.10;
/// By how much nearer to the eyes the nose must be, as a share of the way to the mouth.
const RAISED: f32 = 0.06;

/// What is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Straight,
    Left,
    Right,
    Up,
    /// Nothing more: somebody is to look at the warnings, and to finish.
    Ready,
}

impl Step {
    /// Those that are taken, in their order.
    pub(super) const POSES: [Self; 4] = [Self::Straight, Self::Left, Self::Right, Self::Up];

    /// Its word.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Left => "left",
            Self::Right => "right",
            Self::Up => "up",
            Self::Ready => "ready",
        }
    }

    /// How many faces of it are wanted.
    pub(super) const fn wanted(self) -> u32 {
        match self {
            Self::Straight => 3,
            Self::Left | Self::Right => 2,
            Self::Up => 1,
            Self::Ready => 0,
        }
    }

    /// What comes after it.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Straight => Self::Left,
            Self::Left => Self::Right,
            Self::Right => Self::Up,
            Self::Up | Self::Ready => Self::Ready,
        }
    }
}

/// How a head stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pose {
    pub yaw: f32,
    pub pitch: f32,
}

impl Pose {
    /// How the head of `face` stands.
    pub(super) fn of(face: &UsableFace, detection: &Detection) -> Self {
        let [right_eye, left_eye, nose, mouth] = detection.keypoints();
        let eyes = (right_eye.x.midpoint(left_eye.x), right_eye.y.midpoint(left_eye.y));
        let (down_x, down_y) = (mouth.x - eyes.0, mouth.y - eyes.1);
        let (nose_x, nose_y) = (nose.x - eyes.0, nose.y - eyes.1);
        let length = down_x * down_x + down_y * down_y;
        let pitch = (nose_x * down_x + nose_y * down_y) / length.max(f32::MIN_POSITIVE);
        Self { yaw: face.quality.yaw, pitch }
    }

    /// Whether this is what `step` asks for, of a head that was seen straight ahead as `ahead`.
    pub(super) fn shows(self, step: Step, ahead: Option<Self>) -> bool {
        let Some(ahead) = ahead else {
            return step == Step::Straight && self.yaw.abs() <= STRAIGHT;
        };
        let yaw = self.yaw - ahead.yaw;
        match step {
            Step::Straight => yaw.abs() <= STRAIGHT,
            // The visitor's left is the right of a picture that is not mirrored.
            Step::Left => yaw >= TURNED,
            Step::Right => yaw <= -TURNED,
            Step::Up => yaw.abs() <= 2.0 * STRAIGHT && self.pitch <= ahead.pitch - RAISED,
            Step::Ready => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_is_told_against_the_one_straight_ahead() {
        let pose = |yaw, pitch| Pose { yaw, pitch };
        let ahead = Some(pose(0.05, 0.5));
        for (step, yaw, pitch, shows) in [
            (Step::Straight, 0.10, 0.5, true),
            (Step::Straight, 0.30, 0.5, false),
            (Step::Left, 0.20, 0.5, true),
            (Step::Left, -0.20, 0.5, false),
            (Step::Right, -0.20, 0.5, true),
            (Step::Right, 0.0, 0.5, false),
            (Step::Up, 0.05, 0.42, true),
            (Step::Up, 0.05, 0.5, false),
            (Step::Up, 0.40, 0.4, false),
            (Step::Ready, 0.05, 0.5, false),
            (Step::Left, f32::NAN, 0.5, false),
        ] {
            assert_eq!(pose(yaw, pitch).shows(step, ahead), shows, "{step:?} {yaw} {pitch}");
        }
        assert!(pose(0.0, 0.5).shows(Step::Straight, None));
        assert!(!pose(0.2, 0.5).shows(Step::Left, None), "straight ahead comes first");
    }

    #[test]
    fn every_step_leads_to_the_end() {
        let mut step = Step::Straight;
        for _ in 0..4 {
            step = step.next();
        }
        assert_eq!((step, step.next()), (Step::Ready, Step::Ready));
    }
}
