//! Why a command did not do what it was asked: for a person, and with `--json` for a machine.
//!
//! In: the errors of all rooms. Out: a kind, from which the exit code follows, and what, where and
//! remedy. Invariant: an error is one object on standard error; results alone go to standard
//! output. A room's error is one sentence for a person and two halves for `--json` and `doctor`
//! ([`Remedied`]). Deliberately absent: backtraces; room errors carry what a person needs in their text.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::enroll::refusals;
use super::exit::Kind;
use crate::capture::{CaptureError, RecordingProblem};
use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::enrol::{EnrolError, Unusable};
use crate::equip::EquipError;
use crate::remedy::Remedied;

/// What may stand in for a camera.
const RECORDINGS: &str = "name a folder of pictures (.jpg, .png, .webp), an MJPEG file or a Y4M file that this user can read";

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    what: String,
    place: Option<String>,
    remedy: Option<String>,
    /// What and remedy as the room says them in one sentence.
    sentence: Option<String>,
    problems: Option<Box<Json>>,
}

impl Failure {
    /// Something that this layer found itself.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            place: None,
            remedy: Some(remedy.into()),
            sentence: None,
            problems: None,
        }
    }

    /// Where it happened: a file, an address.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// An error of a room, with everything behind it.
    #[must_use]
    pub fn of(kind: Kind, error: &impl Remedied) -> Self {
        let sentence = error.to_string();
        let mut causes = String::new();
        let mut behind = error.source();
        while let Some(cause) = behind {
            let text = cause.to_string();
            if !sentence.contains(&text) && !causes.contains(&text) {
                causes.push_str(": ");
                causes.push_str(&text);
            }
            behind = cause.source();
        }
        Self {
            kind,
            what: error.finding() + &causes,
            place: None,
            remedy: error.remedy().map(Cow::into_owned),
            sentence: Some(sentence + &causes),
            problems: None,
        }
    }

    /// What to do, where the room's text does not say it for this verb.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.what = self.sentence.take().unwrap_or(self.what);
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
        self.sentence = self.sentence.map(|sentence| format!("{context}: {sentence}"));
        self
    }

    /// The single problems behind it, for machines.
    #[must_use]
    pub fn with_problems(mut self, problems: Json) -> Self {
        self.problems = Some(Box::new(problems));
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where and what, without the remedy.
    #[must_use]
    pub fn finding(&self) -> String {
        match &self.place {
            Some(place) => format!("{place}: {}", self.what),
            None => self.what.clone(),
        }
    }

    /// What to do, where somebody knows it; of several problems each says its own in the finding.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
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
                ("problems", self.problems.as_deref().cloned()),
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
        let text = self.sentence.as_ref().unwrap_or(&self.what);
        f.write_str(&text.replace('\n', "\n       "))?;
        match &self.remedy {
            Some(remedy) if self.sentence.is_none() => write!(f, "\n  try: {remedy}"),
            _ => Ok(()),
        }
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
            failure.problems = Some(Box::new(Json::Array(told)));
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
            EnrolError::Mixed { .. } => Self::new(Kind::Face, error.to_string(), remedy),
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
            DaemonError::Serve(_) | DaemonError::System { .. } | DaemonError::ThreadDied { .. } => {
                Self::of(Kind::Fault, &error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_error_is_one_sentence_for_people_and_two_halves_for_machines() {
        let busy = CaptureError::Busy { device: "/dev/video0".to_owned() };
        let failure = Failure::from(busy);
        let (what, remedy) = (
            "camera /dev/video0: busy: another program has it open",
            "'fuser -v /dev/video0' names it; stop that program",
        );
        assert_eq!(failure.to_string(), format!("error: {what}; {remedy}"));
        assert_eq!((failure.finding().as_str(), failure.remedy()), (what, Some(remedy)));
        let told = failure.to_json();
        assert_eq!(told.pointer("/error/what"), Some(&what.into()));
        assert_eq!(told.pointer("/error/remedy"), Some(&remedy.into()));

        let other = failure.with_remedy("ask");
        assert_eq!(other.to_string(), format!("error: {what}; {remedy}\n  try: ask"));
    }

    #[test]
    fn one_problem_of_a_configuration_has_its_remedy_and_several_say_each_their_own() {
        let problem = |key: &str| crate::config::Problem::Impossible {
            origin: crate::config::Origin::Default,
            key: key.to_owned(),
            found: "\"tall\"".to_owned(),
            expected: "a number".into(),
        };
        let one = Failure::from(ConfigError::Problems(vec![problem("camera.height")]));
        assert_eq!(one.finding(), "default: camera.height = \"tall\"");
        assert_eq!(one.remedy(), Some("must be a number"));
        let two =
            ConfigError::Problems(vec![problem("camera.height"), problem("camera.width")]).into();
        let two: Failure = two;
        assert_eq!(two.remedy(), None);
        assert_eq!(two.finding().matches("must be a number").count(), 2);
    }
}
