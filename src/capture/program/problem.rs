//! What can be wrong with a camera that a program reads, and what to do.
//!
//! In: what was found, and the program's own words. Out: a sentence that ends in its remedy, that
//! remedy by itself, and the [`CameraState`] that they mean. The words are looked through for what
//! programs are known to say: ffmpeg 5.1, rpicam-apps 1.5.
//! Invariant: what is not known is still told, by the words themselves.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use super::Output;
use crate::capture::CameraState;
use crate::capture::identity::ProgramKind;

impl ProgramKind {
    /// What to do where the program is not installed.
    const fn package(self) -> &'static str {
        match self {
            Self::Libcamera => {
                "'sudo apt install rpicam-apps-lite' on Raspberry Pi OS (before its version 12: libcamera-apps-lite); elsewhere set camera.device = \"command\" and camera.command"
            }
            Self::Network => "'sudo apt install ffmpeg'",
            Self::Command => {
                "correct camera.command: its first text is the program's name, or its path, and no shell looks at it"
            }
        }
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProgramProblem {
    /// It is not installed.
    #[error("{programs}: not installed")]
    Missing {
        /// Which would have done.
        programs: String,
        /// What they stand for.
        kind: ProgramKind,
    },
    /// It may not be run.
    #[error("{program}: may not be run by this user")]
    Refused {
        /// Which.
        program: String,
    },
    /// The system does not start it.
    #[error("{program}: cannot be started ({error})")]
    NotStarted {
        /// Which.
        program: String,
        /// The system's words.
        error: io::Error,
    },
    /// The file that `camera.password_file` names holds no secret.
    #[error("password file {} ('camera.password_file'): {what}", file.display())]
    Secret {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It has ended.
    #[error("{program} ended after {ran_ms} ms ({how}), and is started again")]
    Ended {
        /// Which.
        program: String,
        /// With what status.
        how: String,
        /// How long it ran.
        ran_ms: u64,
        /// What it stands for.
        kind: ProgramKind,
    },
    /// It writes nothing.
    #[error("{program} has given no frame for {waited_ms} ms, and is started again")]
    Silent {
        /// Which.
        program: String,
        /// How long it was silent.
        waited_ms: u64,
        /// What it stands for.
        kind: ProgramKind,
    },
    /// It writes something else.
    #[error("{program}: its output is no {}: {found}", output.name())]
    OtherFormat {
        /// Which.
        program: String,
        /// What was expected.
        output: Output,
        /// What came.
        found: String,
    },
    /// Its frames became old because this process did not run.
    #[error("nobody read for {ms} ms, so that what it shows may be old; it is started again")]
    HeldUp {
        /// For how long.
        ms: u64,
    },
}

impl Output {
    /// The format's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mjpeg => "MJPEG",
            Self::Y4m => "Y4M",
            Self::Yuv420 => "YUV420",
            Self::Nv12 => "NV12",
        }
    }
}

/// What programs are known to say, in lower case; what state that means and what to do. The first that
/// fits counts.
const KNOWN: [(&[&str], CameraState, &str); 7] = [
    (
        &["401 unauthorized", "403 forbidden", "authorization failed"],
        CameraState::Denied,
        "the camera refuses user and password: correct camera.username and the file that camera.password_file names",
    ),
    (
        &["404 not found", "404 stream not found"],
        CameraState::Unsupported,
        "the camera has no such stream: correct the path in camera.device (its manual has it)",
    ),
    (
        &[
            "connection refused",
            "no route to host",
            "failed to resolve",
            "name or service not known",
            "name resolution",
            "timed out",
            "network is unreachable",
            "host is unreachable",
        ],
        CameraState::Searching,
        "the camera does not answer: check its address, its power and the network",
    ),
    (
        &["no cameras available", "no camera detected"],
        CameraState::Searching,
        "libcamera finds no camera: check the ribbon cable, and what the service may reach (docs/install.md)",
    ),
    (
        &["in use by another process", "resource busy", "failed to acquire camera"],
        CameraState::Busy,
        "stop the other program that uses the camera",
    ),
    (
        &["permission denied", "operation not permitted"],
        CameraState::Denied,
        "it may not use something: docs/install.md has what the service must be allowed for such a camera",
    ),
    (
        &["protocol not found", "not on whitelist", "unrecognized option", "option not found"],
        CameraState::Unsupported,
        "this version of the program cannot do it: Debian 12 and newer have one that can",
    ),
];

fn known(said: &str) -> Option<(CameraState, &'static str)> {
    let said = said.to_lowercase();
    KNOWN.iter().find_map(|(signs, state, remedy)| {
        signs.iter().any(|sign| said.contains(sign)).then_some((*state, *remedy))
    })
}

impl ProgramProblem {
    /// The camera's state, by what the program `said`.
    #[must_use]
    pub fn state(&self, said: &str) -> CameraState {
        let by_words = |other| known(said).map_or(other, |(state, _)| state);
        match self {
            Self::Missing { .. } | Self::NotStarted { .. } | Self::OtherFormat { .. } => {
                CameraState::Unsupported
            }
            Self::Refused { .. } | Self::Secret { .. } => CameraState::Denied,
            Self::Ended { .. } => by_words(CameraState::Searching),
            Self::Silent { .. } => by_words(CameraState::Stalled),
            Self::HeldUp { .. } => CameraState::Stalled,
        }
    }

    /// What to do, by what the program `said`; nothing where the problem says all there is.
    #[must_use]
    pub fn remedy(&self, said: &str) -> Option<Cow<'_, str>> {
        let remedy = match self {
            Self::Missing { kind, .. } => kind.package(),
            Self::Refused { .. } => "see its permissions ('ls -l')",
            Self::Ended { kind, .. } | Self::Silent { kind, .. } => {
                known(said).map_or_else(|| general(*kind), |(_, remedy)| remedy)
            }
            Self::OtherFormat { .. } => {
                "set camera.command_format to what it writes, or have it write that"
            }
            Self::HeldUp { .. } => "if this repeats, the board has too much to do",
            Self::NotStarted { .. } | Self::Secret { .. } => return None,
        };
        Some(remedy.into())
    }

    /// What follows the problem: the program's own words, and at the end what to do.
    #[must_use]
    pub fn rest(&self, said: &str) -> String {
        let words =
            if said.is_empty() { String::new() } else { format!("; its last words: {said}") };
        let remedy = self.remedy(said).map(|remedy| format!(": {remedy}"));
        words + &remedy.unwrap_or_default()
    }
}

const fn general(kind: ProgramKind) -> &'static str {
    match kind {
        ProgramKind::Libcamera => "see whether 'rpicam-hello --list-cameras' shows the camera",
        ProgramKind::Network => "check the camera's address, power and network",
        ProgramKind::Command => {
            "run camera.command by hand, as the service's user, and see what it writes"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CaptureError;
    use crate::remedy::Remedied as _;

    /// Every problem that something helps against.
    fn table() -> Vec<ProgramProblem> {
        let program = || "prog".to_owned();
        let kinds = [ProgramKind::Libcamera, ProgramKind::Network, ProgramKind::Command];
        let of_kinds = kinds.into_iter().flat_map(|kind| {
            [
                ProgramProblem::Missing { programs: program(), kind },
                ProgramProblem::Ended {
                    program: program(),
                    how: "exit status: 1".to_owned(),
                    ran_ms: 7,
                    kind,
                },
                ProgramProblem::Silent { program: program(), waited_ms: 7, kind },
            ]
        });
        let found = "'hello'".to_owned();
        of_kinds
            .chain([
                ProgramProblem::Refused { program: program() },
                ProgramProblem::OtherFormat { program: program(), output: Output::Mjpeg, found },
                ProgramProblem::HeldUp { ms: 7 },
            ])
            .collect()
    }

    #[test]
    fn every_problem_has_a_remedy_at_its_end_and_the_finding_holds_none_of_it() {
        let known = KNOWN.iter().flat_map(|(signs, ..)| signs.iter().copied());
        let said: Vec<&str> = known.chain(["", "something new: what helps"]).collect();
        for said in said {
            for problem in table() {
                let error = CaptureError::program("command", problem, said.to_owned());
                let (text, finding) = (error.to_string(), error.finding());
                let remedy = error.remedy().expect("one");
                assert!(!remedy.is_empty() && text.ends_with(&*remedy), "{text}");
                assert!(!finding.contains(&*remedy) && finding.contains(said), "{finding}");
                assert_eq!(text, format!("{finding}: {remedy}"));
            }
        }
        for text in ["apt install ffmpeg", "apt install rpicam-apps", "correct camera.command"] {
            let has = |problem: &ProgramProblem| {
                problem.remedy("").is_some_and(|remedy| remedy.contains(text))
            };
            assert!(table().iter().any(has), "{text}");
        }
    }

    #[test]
    fn what_programs_say_becomes_a_state_with_its_remedy() {
        let ended = ProgramProblem::Ended {
            program: "ffmpeg".to_owned(),
            how: "exit status: 1".to_owned(),
            ran_ms: 7,
            kind: ProgramKind::Network,
        };
        for (said, state, remedy) in [
            ("Server returned 401 Unauthorized", CameraState::Denied, "camera.password_file"),
            ("method DESCRIBE failed: 404 Not Found", CameraState::Unsupported, "path"),
            ("Connection to tcp://x failed: Connection refused", CameraState::Searching, "power"),
            ("*** no cameras available ***", CameraState::Searching, "ribbon"),
            ("Pipeline handler in use by another process", CameraState::Busy, "other program"),
            ("Could not open dma_heap: Permission denied", CameraState::Denied, "docs/install.md"),
            ("something new", CameraState::Searching, "address"),
            ("", CameraState::Searching, "address"),
        ] {
            assert_eq!(ended.state(said), state, "{said}");
            let rest = ended.rest(said);
            assert!(rest.contains(remedy) && rest.contains(said), "{rest}");
        }
        let missing =
            ProgramProblem::Missing { programs: "ffmpeg".to_owned(), kind: ProgramKind::Network };
        assert_eq!(missing.state(""), CameraState::Unsupported);
        let error = CaptureError::program("rtsp://cam", missing, String::new());
        let text = "camera rtsp://cam: ffmpeg: not installed: 'sudo apt install ffmpeg'";
        assert_eq!(error.to_string(), text);
    }
}
