//! What can go wrong between a lens and a frame.
//!
//! In: errors of the system, of formats, of files. Out: one [`CaptureError`] that says what, where,
//! and what to do, and that knows which [`CameraState`] it means and whether opening the source
//! again can help. The mapping from system errors is a pure function, because no test machine has
//! every broken camera.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use super::negotiate::NegotiationError;
use super::program::problem::ProgramProblem;
use super::{CameraState, PictureError, Readability, Undecodable};
use crate::remedy::Remedied;

/// What can go wrong between a lens and a frame.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such device.
    #[error("camera {device}: there is no such device: {advice}", advice = self.advice())]
    Missing {
        /// What was asked for.
        device: String,
    },
    /// The device went away while in use.
    #[error("camera {device}: unplugged while in use: {advice}", advice = self.advice())]
    Unplugged {
        /// The device node.
        device: String,
    },
    /// Somebody else has it.
    #[error("camera {device}: busy: another program has it open; {advice}", advice = self.advice())]
    Busy {
        /// The device node.
        device: String,
    },
    /// No permission.
    #[error(
        "camera {device}: permission denied: the user that runs this must be in the group 'video': {advice}",
        advice = self.advice()
    )]
    Denied {
        /// The device node.
        device: String,
    },
    /// It is there, but it is not a camera that can be used.
    #[error("camera {device}: {reason}")]
    Unsupported {
        /// The device node.
        device: String,
        /// Why not, and what to do.
        reason: NegotiationError,
    },
    /// It can be used, and is not the one that the configuration names.
    #[error(
        "camera {device}: is {found}, and camera.identity names {wanted}: no picture of it is judged: {advice}",
        advice = self.advice()
    )]
    Foreign {
        /// The device node.
        device: String,
        /// What the configuration names.
        wanted: String,
        /// Which camera it is.
        found: String,
        /// The line of the configuration that would name it.
        line: String,
    },
    /// A control that the configuration asks for cannot be set.
    #[error("camera {device}: control '{control}': {problem}")]
    Control {
        /// The device node.
        device: String,
        /// The control's name or number, as configured.
        control: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// No frame for too long.
    #[error(
        "camera {device}: no frame for {waited_ms} ms: it is opened again; {advice}",
        advice = self.advice()
    )]
    Stalled {
        /// The device node.
        device: String,
        /// How long nothing came.
        waited_ms: u64,
    },
    /// Frames arrive, all equal.
    #[error(
        "camera {device}: shows the same picture, equal to the last bit, for {frozen_ms} ms: it is opened again; {advice}",
        advice = self.advice()
    )]
    Frozen {
        /// The device node.
        device: String,
        /// For how long.
        frozen_ms: u64,
    },
    /// The driver failed in another way.
    #[error("camera {device}: {operation} failed: {problem}: {advice}", advice = self.advice())]
    Driver {
        /// The device node.
        device: String,
        /// What was tried, as the name of the system call.
        operation: &'static str,
        /// What came back.
        problem: String,
    },
    /// The driver marked one buffer as spoiled.
    #[error("camera {device}: frame {sequence} arrived damaged: {advice}", advice = self.advice())]
    DamagedBuffer {
        /// The device node.
        device: String,
        /// The frame.
        sequence: u64,
    },
    /// Frames arrive, and none or too few can be decoded.
    #[error("{place}: {undecodable} of its last {frames} frames cannot be decoded{}", because(*.last))]
    Undecodable {
        /// The camera or recording, with that word.
        place: String,
        /// How many frames could not.
        undecodable: u32,
        /// Of how many.
        frames: u32,
        /// Why the last could not.
        last: Option<Undecodable>,
    },
    /// The program that reads the camera is missing, has ended, or is of no use.
    #[error("camera {device}: {problem}{}", problem.rest(said))]
    Program {
        /// As the configuration calls the camera.
        device: String,
        /// What is wrong with it.
        problem: ProgramProblem,
        /// Its last words.
        said: String,
    },
    /// A recording cannot be read.
    #[error("recording {}: {problem}", path.display())]
    Recording {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, where in the file, and what would be right.
        problem: RecordingProblem,
    },
}

impl Remedied for CaptureError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Missing { .. } => {
                "plug the camera in, or set camera.device to one that 'deepid-edge doctor' lists".into()
            }
            Self::Unplugged { .. } => "plug it in again (check cable, hub and power)".into(),
            Self::Busy { device, .. } => {
                format!("'fuser -v {device}' names it; stop that program").into()
            }
            Self::Denied { .. } => {
                "'sudo usermod -aG video USER', then log in again or restart the service".into()
            }
            Self::Foreign { line, .. } => {
                format!("put the right camera back; where this one was put there on purpose, set {line} and restart the service").into()
            }
            Self::Stalled { .. } => {
                "if this repeats, check cable, hub and power supply, or ask for a smaller size or rate".into()
            }
            Self::Frozen { .. } => {
                "if this repeats, replug it and see whether its lens is covered".into()
            }
            Self::Driver { .. } => "see 'dmesg' for what the driver says".into(),
            Self::DamagedBuffer { .. } => "check cable and hub if this repeats".into(),
            Self::Unsupported { reason, .. } => return reason.remedy(),
            Self::Program { problem, said, .. } => return problem.remedy(said),
            Self::Recording { problem, .. } => return problem.remedy(),
            Self::Control { .. } | Self::Undecodable { .. } => return None,
        })
    }
}

/// What makes a file not a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingProblem {
    /// It cannot be opened, read or written.
    #[error("{0}: {advice}", advice = self.advice())]
    Io(#[from] io::Error),
    /// A pipe, a device or a socket, from which nobody knows how much will come and when.
    #[error("is {found}, no regular file: {advice}", advice = self.advice())]
    NotAFile {
        /// What it is.
        found: &'static str,
    },
    /// There is nothing in it.
    #[error("holds no frame: {advice}", advice = self.advice())]
    Empty,
    /// It is something else.
    #[error(
        "begins with {found}, which is neither Y4M nor MJPEG nor a JPEG, PNG or WebP picture: {advice}",
        advice = self.advice()
    )]
    WrongFormat {
        /// Its first bytes.
        found: String,
    },
    /// The Y4M container is broken or unusual.
    #[error(transparent)]
    Y4m(#[from] super::replay::y4m::Y4mError),
    /// The MJPEG stream is broken.
    #[error(transparent)]
    Mjpeg(#[from] super::replay::mjpeg::MjpegError),
    /// One picture is broken.
    #[error("picture {name}: {reason}")]
    Picture {
        /// The picture's file name.
        name: String,
        /// What is wrong with it.
        reason: PictureError,
    },
}

impl Remedied for RecordingProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Io(_) => "check the path and its permissions".into(),
            Self::NotAFile { .. } => "name a file with a picture or recording".into(),
            Self::Empty => {
                "expected a folder of JPEG, PNG or WebP pictures, an MJPEG or a Y4M file with at least one".into()
            }
            Self::WrongFormat { .. } => {
                "convert a film with 'ffmpeg -i FILE -an -c:v mjpeg -q:v 2 FILE.mjpeg'".into()
            }
            Self::Y4m(inner) => return inner.remedy(),
            Self::Mjpeg(inner) => return inner.remedy(),
            Self::Picture { reason, .. } => return reason.remedy(),
        })
    }
}

fn because(last: Option<Undecodable>) -> String {
    last.map_or_else(String::new, |last| format!(" (the last: {})", last.text()))
}

impl CaptureError {
    /// A problem with the program of the camera `device`, whose last words are `said`.
    #[must_use]
    pub fn program(device: &str, problem: ProgramProblem, said: String) -> Self {
        Self::Program { device: crate::mask::value(device).into_owned(), problem, said }
    }

    /// What `readability` means for `place`: a camera or recording, with that word.
    #[must_use]
    pub fn undecodable(place: String, readability: Readability) -> Self {
        let Readability { frames, undecodable, last, .. } = readability;
        Self::Undecodable { place, undecodable, frames, last }
    }

    /// The camera's state while this error stands.
    #[must_use]
    pub fn state(&self) -> CameraState {
        match self {
            Self::Program { problem, said, .. } => problem.state(said),
            Self::Missing { .. }
            | Self::Unplugged { .. }
            // Another program will make a camera of it, or has just stopped to.
            | Self::Unsupported {
                reason: NegotiationError::NotFed | NegotiationError::NothingOffered { .. },
                ..
            } => CameraState::Searching,
            Self::Busy { .. } => CameraState::Busy,
            Self::Denied { .. } => CameraState::Denied,
            Self::Foreign { .. } => CameraState::Foreign,
            Self::Unsupported { .. } | Self::Control { .. } | Self::Recording { .. } => {
                CameraState::Unsupported
            }
            Self::Undecodable { .. } => CameraState::Undecodable,
            Self::Stalled { .. }
            | Self::Frozen { .. }
            | Self::Driver { .. }
            | Self::DamagedBuffer { .. } => CameraState::Stalled,
        }
    }

    /// Whether the source must be opened again before another frame can come of it.
    #[must_use]
    pub const fn needs_reopening(&self) -> bool {
        !matches!(self, Self::DamagedBuffer { .. } | Self::Recording { .. })
    }

    /// Whether no other frame can come of a source that nobody opens again: of a recording after all but a
    /// picture that is broken.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        match self {
            Self::Recording { problem, .. } => !matches!(problem, RecordingProblem::Picture { .. }),
            _ => self.needs_reopening(),
        }
    }

    /// What a failed system call on `device` means.
    #[must_use]
    pub fn from_system(device: &str, operation: &'static str, error: &io::Error) -> Self {
        let device = device.to_owned();
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENXIO) => Self::Missing { device },
            // Opening says ENODEV for a node whose driver is gone, streaming for a pulled plug.
            Some(libc::ENODEV) if operation == "open" => Self::Missing { device },
            Some(libc::ENODEV) => Self::Unplugged { device },
            Some(libc::EACCES | libc::EPERM) => Self::Denied { device },
            Some(libc::EBUSY) => Self::Busy { device },
            Some(libc::ENOTTY) => {
                Self::Unsupported { device, reason: NegotiationError::NotACamera }
            }
            _ => Self::Driver { device, operation, problem: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_camera_that_nobody_feeds_is_searched_for() {
        let device = || "/dev/video10".to_owned();
        let driver = "v4l2 loopback".to_owned();
        for reason in [NegotiationError::NotFed, NegotiationError::NothingOffered { driver }] {
            let error = CaptureError::Unsupported { device: device(), reason };
            assert_eq!(error.state(), CameraState::Searching, "{error}");
        }
    }

    #[test]
    fn system_errors_become_states_with_remedies() {
        let cases = [
            (libc::ENOENT, "open", CameraState::Searching, "doctor"),
            (libc::ENXIO, "open", CameraState::Searching, "doctor"),
            (libc::ENODEV, "open", CameraState::Searching, "no such device"),
            (libc::ENODEV, "VIDIOC_DQBUF", CameraState::Searching, "unplugged"),
            (libc::EACCES, "open", CameraState::Denied, "usermod -aG video"),
            (libc::EBUSY, "VIDIOC_S_FMT", CameraState::Busy, "fuser -v /dev/video7"),
            (libc::ENOTTY, "VIDIOC_QUERYCAP", CameraState::Unsupported, "not a camera"),
            (libc::EIO, "VIDIOC_DQBUF", CameraState::Stalled, "dmesg"),
            (libc::ENOSPC, "VIDIOC_STREAMON", CameraState::Stalled, "VIDIOC_STREAMON"),
        ];
        for (code, operation, state, remedy) in cases {
            let system = io::Error::from_raw_os_error(code);
            let error = CaptureError::from_system("/dev/video7", operation, &system);
            let text = error.to_string();
            assert_eq!(error.state(), state, "{text}");
            assert!(text.contains("/dev/video7") && text.contains(remedy), "{text}");
            assert!(error.needs_reopening());
        }
    }
}
