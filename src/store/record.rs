//! What an audit record holds: a decision, or something an administrator or a client did.
//!
//! Plain values with serde; the database keeps the body as JSON, and `publish` makes the wire's
//! messages from the same values, so that `access` and `audit` cannot disagree. Invariant: no
//! name and no picture has a field to be in; a score that is not finite becomes `None`.

use uuid::Uuid;

use super::administrators::May;
use super::{Role, SealName};
use crate::capture::DoubtKind;
use crate::clock::ClockTrust;
use crate::compare::{Metric, SubjectId};
use crate::decide::{Decision, FramesCounted, Outcome};
use crate::inference::{ModelId, ProcedureHash};
use crate::liveness::LivenessEvidence;
use crate::policy::{Awaited, RuleName};
use crate::sign::Thumbprint;

/// One line of the audit.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Its place: ever increasing over the life of the database, never given twice.
    pub seq: u64,
    /// `UUIDv7`, made from `issued_ms`.
    pub id: Uuid,
    /// The door's id.
    pub door: String,
    /// The run of the program that made it.
    pub boot: Uuid,
    /// When, on that machine's monotonic clock, in milliseconds.
    pub monotonic_ms: u64,
    /// When, by the wall clock, milliseconds since 1970.
    pub issued_ms: i64,
    /// Whether that wall clock could be believed.
    pub clock: ClockTrust,
    /// The hash by which the next record is bound to this one; `None` where the row has none.
    pub chain: Option<String>,
    /// The account of the page that did it; `None` for what a door, a client or the command line did.
    pub by: Option<RuleName>,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A visit was decided.
    Decision(DecisionRecord),
    /// Somebody administered, or asked.
    Administrative(Administrative),
}

/// A decision as it is recorded.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DecisionRecord {
    /// What a consumer acts on.
    pub outcome: Outcome,
    /// Why, from the closed list.
    pub reason: String,
    /// Who was recognised, if anybody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    /// What beside the face did not come, where that is the reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub awaited: Option<Awaited>,
    /// The comparison behind it; `None` when no face was compared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comparison: Option<ComparisonRecord>,
    /// Most faces in one frame.
    pub faces: u32,
    /// Frames that agree, of those considered.
    pub frames: FramesCounted,
    /// Microseconds from the capture of the visit's first frame with a face.
    pub first_frame_us: u64,
    /// Microseconds from the capture of the frame that tipped it.
    pub last_frame_us: u64,
    /// Whether whoever it is about acted under duress.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub duress: bool,
    /// Whether whoever was granted went the same way a second time.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub passback: bool,
    /// What was seen of the visit's liveness; `None` where nobody looks at it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub liveness: Option<LivenessEvidence>,
}

/// The comparison behind a decision.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ComparisonRecord {
    /// The model that made the vectors.
    pub model: ModelId,
    /// How they were compared.
    pub metric: Metric,
    /// Comparison score; `None` when nobody is enrolled.
    pub score: Option<f32>,
    /// What it had to reach.
    pub threshold: f32,
    /// Distance to the second subject.
    pub margin: Option<f32>,
    /// The false match rate supported at the threshold.
    pub claimed_fmr: Option<f64>,
}

/// What an administrator or a client did. Never a name: a subject is its pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Administrative {
    /// The daemon began to work.
    Started {
        /// Its version.
        version: String,
        /// Whether a recording stood in for the camera (`camera.replay.path`): what was decided in
        /// this run was decided of that.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        recording: bool,
        /// The fingerprint of the key that signs this run's grants from its start; `None` where they
        /// are not signed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        grant_key: Option<Thumbprint>,
    },
    /// The daemon was told to stop.
    Stopped,
    /// A subject was enrolled, or got more references.
    SubjectEnrolled {
        /// Who.
        subject: SubjectId,
        /// The model that made the references.
        model: ModelId,
        /// How many were added.
        references: u32,
        /// How many, of any model, were erased in the same breath; `None` where they were to be
        /// added only.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        replaced: Option<u32>,
    },
    /// A subject has another name.
    SubjectRenamed {
        /// Who.
        subject: SubjectId,
    },
    /// A subject may be granted again.
    SubjectEnabled {
        /// Who.
        subject: SubjectId,
    },
    /// A subject is recognised and denied from now on.
    SubjectDisabled {
        /// Who.
        subject: SubjectId,
    },
    /// A subject and its references were erased.
    SubjectRemoved {
        /// Who.
        subject: SubjectId,
    },
    /// A subject has another PIN: which of the two is not said.
    PinSet {
        /// Who.
        subject: SubjectId,
    },
    /// A subject has one PIN less, or none any more.
    PinRemoved {
        /// Who.
        subject: SubjectId,
    },
    /// A PIN was typed at the door for whoever was waited for.
    PinEntered {
        /// Who.
        subject: SubjectId,
        /// Whether it was right.
        right: bool,
        /// Whether it was the one for duress.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        duress: bool,
    },
    /// A subject is marked, or no longer: what is decided about it is told as made under duress.
    SubjectMarked {
        /// Who.
        subject: SubjectId,
        /// Whether it is.
        duress: bool,
    },
    /// Where a subject is, or where everybody is, is not known any more: an administrator has said so.
    WhereaboutsForgotten {
        /// Who; `None`: everybody.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        subject: Option<SubjectId>,
    },
    /// A subject is in another group, or in none.
    SubjectAssigned {
        /// Who.
        subject: SubjectId,
        /// The group; `None`: in none, so that it may pass at any time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        group: Option<RuleName>,
    },
    /// A subject is valid for another time.
    ValiditySet {
        /// Who.
        subject: SubjectId,
        /// From when on, on the clock at the door; `None`: ever since.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        from: Option<String>,
        /// Until when; `None`: without end.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<String>,
    },
    /// There is another group.
    GroupAdded {
        /// Its name.
        group: RuleName,
        /// The schedule that it follows; `None`: any time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        schedule: Option<RuleName>,
    },
    /// A group follows another schedule.
    GroupScheduled {
        /// Its name.
        group: RuleName,
        /// The schedule; `None`: any time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        schedule: Option<RuleName>,
    },
    /// A group is no more.
    GroupRemoved {
        /// Its name.
        group: RuleName,
    },
    /// A group needs something else beside a face.
    GroupDemands {
        /// Its name.
        group: RuleName,
        /// Whether it needs a second factor.
        factor: bool,
        /// The group of which somebody must have been recognised shortly before.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        company: Option<RuleName>,
        /// The schedule while which it is so; absent: at any time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        during: Option<RuleName>,
    },
    /// A schedule has other hours.
    ScheduleSet {
        /// Its name.
        schedule: RuleName,
    },
    /// A schedule is no more.
    ScheduleRemoved {
        /// Its name.
        schedule: RuleName,
    },
    /// Other days are holidays.
    HolidaysChanged {
        /// How many more.
        added: u32,
        /// How many no longer.
        removed: u32,
    },
    /// The door was armed, or disarmed.
    ArmingChanged {
        /// Whether it is armed now.
        armed: bool,
        /// Until when, RFC 3339, where that ends by itself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<String>,
    },
    /// The door is armed only while another schedule is open than before, or whatever the hour is.
    ArmingScheduled {
        /// The schedule; absent where there is none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        schedule: Option<RuleName>,
    },
    /// Somebody may change something over MQTT from now on.
    AdministratorAdded {
        /// The name: no person's.
        administrator: RuleName,
        /// The fingerprint of the key that signs the requests.
        key: Thumbprint,
        /// What it may ask for.
        may: May,
    },
    /// Somebody may no longer.
    AdministratorRemoved {
        /// The name.
        administrator: RuleName,
    },
    /// An administrator asked for something over MQTT. What it changed has a record of its own, right
    /// before this one.
    Asked {
        /// Who, by the name that goes with the key.
        administrator: RuleName,
        /// What: the word in `do`.
        request: String,
        /// About whom.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        subject: Option<SubjectId>,
        /// Whether it was done.
        done: bool,
    },
    /// So many visits of strangers have come that somebody is told.
    StrangersNoticed {
        /// How many.
        visits: u32,
        /// Within how many seconds.
        within_s: u64,
    },
    /// An administrator vouched that references of an unknown file were made by this procedure.
    ReferencesAdopted {
        /// The model.
        model: ModelId,
        /// How it makes vectors: the file, its card and the averaging that are in use.
        procedure: ProcedureHash,
        /// How many references of it count from now on.
        references: u64,
    },
    /// Grants are signed by another key from now on.
    KeyRotated {
        /// The fingerprint of the key before, where there was one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        before: Option<Thumbprint>,
        /// The fingerprint of the key that signs now.
        after: Thumbprint,
        /// For how many seconds the key before is still named on `keys`.
        overlap_s: u64,
    },
    /// Names and references are sealed by another store key from now on.
    StoreKeyRotated {
        /// The name of the key before.
        before: SealName,
        /// The name of the key that they are sealed by now.
        after: SealName,
    },
    /// A backup took the gallery's place.
    GalleryRestored {
        /// When the backup was made, RFC 3339: what happened since is not in it.
        made: String,
        /// How many subjects are enrolled now.
        subjects: u64,
        /// How many references they have, of any model.
        references: u64,
    },
    /// An administrator said that the clock is right: no earlier record holds it any more.
    ClockSettled {
        /// The record with the latest time of those that held it.
        record: u64,
        /// That time, RFC 3339.
        record_issued: String,
    },
    /// The configuration was read again, and taken over as far as a running daemon can.
    ConfigurationReloaded {
        /// Names of the keys whose new values are in force; never the values.
        changed: Vec<String>,
        /// Names of the keys whose new values need a restart.
        restart: Vec<String>,
    },
    /// The configuration was read again and refused; nothing was changed.
    ConfigurationRefused {
        /// Why.
        reason: ConfigurationRefusal,
        /// Names of the keys that are wrong, as far as they are keys; never the values.
        keys: Vec<String>,
    },
    /// Another client spoke as this door; nothing is granted meanwhile.
    DoorContested {
        /// By what it was noticed.
        by: TwinSign,
    },
    /// The camera is another one than it was, has no lens, or was refused.
    CameraChanged {
        /// Which of that.
        doubt: DoubtKind,
        /// The camera that the run began with, where it is another one; of a refused one, what
        /// `camera.identity` names.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        before: Option<String>,
        /// The camera.
        after: String,
        /// How many changes this record stands for; it tells the newest.
        count: u32,
    },
    /// There is another account of the page.
    AccountAdded {
        /// Its name.
        account: RuleName,
        /// What it may do.
        role: Role,
    },
    /// An account of the page is no more, nor are its tokens.
    AccountRemoved {
        /// Its name.
        account: RuleName,
    },
    /// An account has another password.
    AccountPasswordSet {
        /// Its name.
        account: RuleName,
    },
    /// A machine may use the page as this account.
    AccountTokenMade {
        /// Its name.
        account: RuleName,
    },
    /// A screen at the door has logged out of this account, a kiosk's: its token is gone.
    AccountTokenRemoved {
        /// Its name.
        account: RuleName,
    },
    /// No machine may use the page as this account any more.
    AccountTokensRemoved {
        /// Its name.
        account: RuleName,
    },
    /// Somebody began to watch the camera's pictures on the page.
    LiveViewWatched,
    /// Somebody began to enrol at this door's camera by the page; nobody is granted meanwhile.
    EnrolmentBegun,
    /// A client of the broker asked for something.
    Requested {
        /// The request's topic below `request/`, cut to 64 characters.
        request: String,
        /// What became of it.
        verdict: RequestVerdict,
        /// How many alike this record stands for.
        count: u32,
    },
}

/// Why a configuration that was read again is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigurationRefusal {
    /// The file cannot be read.
    Unreadable,
    /// The file is no TOML.
    NotToml,
    /// There are wrong keys or values.
    Wrong,
    /// It is right, and the running daemon cannot go on by it.
    Unusable,
}

/// By what another client that speaks as this door was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TwinSign {
    /// The broker said that another client took our id.
    TakenOver,
    /// The retained `info` was of another run, although ours had been there.
    InfoReplaced,
    /// Accepted connections were closed again and again, without a reason.
    Losses,
    /// Somebody else published on our topics.
    Heard,
}

/// What became of a client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestVerdict {
    /// It was answered.
    Answered,
    /// It was retained: a request is made now or not at all.
    RefusedRetained,
    /// It was larger than any request needs to be.
    RefusedTooLarge,
    /// There were too many.
    RefusedTooMany,
    /// There is no such request.
    RefusedUnknown,
    /// It named no topic for the answer, or one that this program will not write to.
    RefusedResponseTopic,
    /// It was not signed by a key that the door knows, for this door and a nonce of its own.
    RefusedUnauthorised,
}

impl From<&Decision> for DecisionRecord {
    fn from(decision: &Decision) -> Self {
        let finite = |value: Option<f32>| value.filter(|v| v.is_finite());
        Self {
            outcome: decision.verdict.outcome(),
            reason: decision.verdict.reason().to_owned(),
            subject: decision.verdict.subject().cloned(),
            awaited: decision.verdict.awaited(),
            comparison: decision.evidence.as_ref().map(|evidence| ComparisonRecord {
                model: evidence.model.clone(),
                metric: evidence.metric,
                score: finite(evidence.score),
                threshold: evidence.threshold,
                margin: finite(evidence.margin),
                claimed_fmr: evidence.claimed_fmr.filter(|v| v.is_finite()),
            }),
            faces: decision.faces,
            frames: decision.frames,
            first_frame_us: decision.latency.first_frame_us,
            last_frame_us: decision.latency.last_frame_us,
            duress: decision.duress,
            passback: decision.passback,
            liveness: decision
                .liveness
                .map(|told| LivenessEvidence { median: finite(told.median), ..told }),
        }
    }
}
