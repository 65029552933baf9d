//! Why a command did not do what it was asked: for a person, and with `--json` for a machine.
//!
//! In: the errors of all rooms. Out: a kind, from which the exit code follows, and what, where and
//! remedy. Invariant: an error is one object on standard error; results alone go to standard
//! output. Deliberately absent: backtraces; room errors carry what a person needs in their text.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::enroll::refusals;
use super::exit::Kind;
use crate::capture::{CaptureError, RecordingProblem};
use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::enrol::{EnrolError, Unusable};
use crate::equip::EquipError;

/// What may stand in for a camera.
const RECORDINGS: &str = "name a folder of pictures (.jpg, .png, .webp), an MJPEG file or a Y4M file that this user can read";

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    what: String,
    place: Option<String>,
    remedy: Option<String>,
    problems: Option<Json>,
}

impl Failure {
    /// Something that this layer found itself.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, what: what.into(), place: None, remedy: Some(remedy.into()), problems: None }
    }

    /// Where it happened: a file, an address.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// An error of a room, whose text says what, where and remedy, with everything behind it.
    #[must_use]
    pub fn of(kind: Kind, error: &dyn std::error::Error) -> Self {
        let mut what = error.to_string();
        let mut behind = error.source();
        while let Some(cause) = behind {
            let text = cause.to_string();
            if !what.contains(&text) {
                what.push_str(": ");
                what.push_str(&text);
            }
            behind = cause.source();
        }
        Self { kind, what, place: None, remedy: None, problems: None }
    }

    /// What to do, where the room's text does not say it for this verb.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// An error of a recording, as a verb that was given one tells it.
    #[must_use]
    pub fn of_recording(error: &CaptureError) -> Self {
        match error {
            CaptureError::Recording { path, problem: RecordingProblem::Io(system) } => {
                Self::new(Kind::Input, system.to_string(), RECORDINGS)
                    .at(format!("recording {}", path.display()))
            }
            CaptureError::Recording { path, problem } => {
                Self::of(Kind::Input, problem).at(format!("recording {}", path.display()))
            }
            _ => Self::of(Kind::Camera, error),
        }
    }

    /// A picture in which no face can be used.
    #[must_use]
    pub fn of_face(picture: &Path, why: &Unusable) -> Self {
        Self::new(of_face(why), why.finding(), why.remedy()).at(picture.display().to_string())
    }

    /// The same, told as the cause of something else.
    #[must_use]
    pub fn within(mut self, context: &str) -> Self {
        self.what = format!("{context}: {}", self.what);
        self
    }

    /// The single problems behind it, for machines.
    #[must_use]
    pub fn with_problems(mut self, problems: Json) -> Self {
        self.problems = Some(problems);
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What and where, and the remedy, for a list of findings. The text of a room's error ends in
    /// its remedy, behind the last `; ` or `: `.
    #[must_use]
    pub fn parts(&self) -> (String, Option<String>) {
        let place = self.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let whole = |what: &str| format!("{place}{what}");
        // Of several problems each says its own remedy.
        if self.remedy.is_some() || self.what.contains('\n') {
            return (whole(&self.what), self.remedy.clone());
        }
        let ends = ["; ", ": "].iter().filter_map(|end| self.what.rfind(end)).max();
        match ends.and_then(|at| self.what.split_at_checked(at)) {
            Some((what, rest)) => (whole(what), rest.get(2..).map(str::to_owned)),
            _ => (whole(&self.what), None),
        }
    }

    /// As a machine reads it: one object with `error`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut error = json!({
            "kind": self.kind,
            "exit_code": self.kind.code(),
            "what": self.what,
        });
        if let Json::Object(fields) = &mut error {
            let rest = [
                ("where", self.place.clone().map(Json::from)),
                ("remedy", self.remedy.clone().map(Json::from)),
                ("problems", self.problems.clone()),
            ];
            fields.extend(rest.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v?))));
        }
        json!({ "error": error })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("error: ")?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what.replace('\n', "\n       "))?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  try: {remedy}")?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let kind = match &error {
            ConfigError::Nowhere { .. } => Kind::Model,
            _ => Kind::Configuration,
        };
        let mut failure = Self::of(kind, &error);
        if let ConfigError::Problems(problems) = &error {
            let told: Vec<Json> = problems
                .iter()
                .map(|problem| {
                    let mut told = serde_json::to_value(problem).unwrap_or_default();
                    if let Json::Object(fields) = &mut told {
                        fields.insert("text".to_owned(), problem.to_string().into());
                    }
                    told
                })
                .collect();
            failure.problems = Some(Json::Array(told));
        }
        failure
    }
}

impl From<EquipError> for Failure {
    fn from(error: EquipError) -> Self {
        match error {
            EquipError::Config(error) => error.into(),
            EquipError::Confirm { .. } | EquipError::LivenessThreshold { .. } => {
                Self::of(Kind::Configuration, &error)
            }
            EquipError::Threshold(error) => Self::of(Kind::Configuration, &error),
            EquipError::Compare(error) => Self::of(Kind::Store, &error),
            EquipError::Inference(error) => Self::of(Kind::Model, &error),
            EquipError::Keypoints { .. } => Self::of(Kind::Model, &error),
        }
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        let remedy = error.remedy().unwrap_or_default();
        match error {
            EnrolError::Equip(error) => error.into(),
            EnrolError::Store(error) => error.into(),
            EnrolError::Source(error) => Self::of_recording(&error),
            EnrolError::Picture(error) => error.into(),
            EnrolError::NetworkFailed => Self::new(Kind::Model, error.to_string(), remedy),
            EnrolError::Refused(ref gathered) => {
                let remedy = if gathered.faces.is_empty() {
                    remedy.to_owned()
                } else {
                    format!("{remedy}; or say --skip-poor to take the usable pictures alone")
                };
                let kind = gathered.refused.first().map_or(Kind::Face, |(_, why)| of_face(why));
                Self::new(kind, error.to_string(), remedy).with_problems(refusals(gathered))
            }
        }
    }
}

const fn of_face(why: &Unusable) -> Kind {
    match why {
        Unusable::Unreadable(_) | Unusable::Undecodable(_) => Kind::Input,
        Unusable::NoFace
        | Unusable::Several(_)
        | Unusable::Poor(_)
        | Unusable::CameraTurned { .. } => Kind::Face,
        Unusable::Fault => Kind::Model,
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        match &error {
            // A picture that was named by itself needs no recording around it in the text.
            CaptureError::Recording {
                path,
                problem: RecordingProblem::Picture { name, reason },
            } if path.ends_with(name) => {
                Self::of(Kind::Input, reason).at(path.display().to_string())
            }
            CaptureError::Recording { path, problem } => {
                Self::of(Kind::Input, problem).at(path.display().to_string())
            }
            _ => Self::of(Kind::Camera, &error),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Config(error) => error.into(),
            DaemonError::Equip(error) => error.into(),
            DaemonError::Store(error) => error.into(),
            DaemonError::Capture(error) => Self::of_recording(&error),
            DaemonError::System { .. } | DaemonError::ThreadDied { .. } => {
                Self::of(Kind::Fault, &error)
            }
        }
    }
}
