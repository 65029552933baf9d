//! The payloads of the contract, and how they are made from what was recorded.
//!
//! Records and states → serde values; pure. `access` and the decisions on `audit` are made from the same record
//! by the same code. Invariants: every payload names its schema; fields are only ever added within a version;
//! `access` exists only for a decision, and it alone can carry a name, which whoever makes it adds. Source:
//! `docs/wire/README.md`; a test holds these types to its JSON Schemas. Absent: pictures, feature vectors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::topic::{ACCESS_EXPIRY_MS, Payload, Topic};
pub use crate::capture::CameraState;
use crate::clock::{ClockTrust, WallClock, rfc3339};
use crate::compare::{Metric, SubjectId};
use crate::decide::{FramesCounted, Outcome};
use crate::door::Guidance;
use crate::inference::{ModelId, ProcedureHash};
use crate::liveness::LivenessEvidence;
use crate::policy::{Awaited, Doubt, FaceAlone, RuleName};
use crate::sign::{Jwk, PublicKey, SigningState, Thumbprint};
use crate::store::{Administrative, AuditRecord, Body, DecisionRecord};

/// The name of a payload's schema: a constant when written, a text when read.
pub type Schema = Cow<'static, str>;

/// What a decision says, on `access` and on `audit` alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// What a consumer acts on.
    pub outcome: Outcome,
    /// Why, from the closed list.
    pub reason: String,
    /// Who was recognised, if anybody; never a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// What beside the face did not come, where that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<Awaited>,
    /// Comparison score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// What it had to reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// How the two compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Distance to the second subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f32>,
    /// The false match rate that the calibration supports at the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_fmr: Option<f64>,
    /// The model that made the vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Most faces in one frame.
    pub faces: u32,
    /// Frames that agree, of those considered.
    pub frames: FramesCounted,
    /// How long it took.
    pub latency_ms: DecisionLatencyMs,
    /// What was seen of the visit's liveness; absent where nobody looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessEvidence>,
}

/// How long a decision took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecisionLatencyMs {
    /// From the capture of the visit's first frame with a face.
    pub first_frame_to_decision: f64,
    /// From the capture of the frame that tipped it.
    pub last_frame_to_decision: f64,
}

/// A decision made now. A consumer that opens something needs four facts: the outcome `granted`,
/// a `clock` that is trusted, `issued` within `expires_in_ms` of its own, and a `seq` that it has not seen in this
/// `boot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// `deepid-edge/access/1`.
    pub schema: Schema,
    /// `UUIDv7` of the record.
    pub id: Uuid,
    /// The door's id.
    pub door: String,
    /// Equal to the outcome; Home Assistant's event entity wants it under this name.
    pub event_type: Outcome,
    /// What was decided.
    #[serde(flatten)]
    pub statement: Statement,
    /// The name of who was recognised; only where the owner has said so (`mqtt.names`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The run of the program.
    pub boot: Uuid,
    /// Number of the record.
    pub seq: u64,
    /// When, on the machine's monotonic clock.
    pub monotonic_ms: u64,
    /// When, by the wall clock: RFC 3339, UTC, milliseconds.
    pub issued: String,
    /// Whether that wall clock could be believed.
    pub clock: ClockTrust,
    /// For how long after `issued` it may be acted upon.
    pub expires_in_ms: u32,
}

/// One record of the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// `deepid-edge/audit/1`.
    pub schema: Schema,
    /// `UUIDv7` of the record.
    pub id: Uuid,
    /// The door's id.
    pub door: String,
    /// The run of the program that made it.
    pub boot: Uuid,
    /// Number of the record.
    pub seq: u64,
    /// When, on that machine's monotonic clock.
    pub monotonic_ms: u64,
    /// When, by the wall clock: RFC 3339, UTC, milliseconds.
    pub issued: String,
    /// Whether that wall clock could be believed.
    pub clock: ClockTrust,
    /// True when it could not be sent when it was made. Nothing may be opened by it.
    pub late: bool,
    /// Whether whoever a decision is about acted under duress, or typed the PIN for it; `access` and `grant` never say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duress: bool,
    /// Whether whoever was granted went the same way a second time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passback: bool,
    /// The hash of the record in the door's chain, by which a chain that is made anew is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The account of the door's page that did it; absent for whatever else did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RuleName>,
    /// What happened.
    #[serde(flatten)]
    pub what: AuditWhat,
}

/// What a record is about: exactly one of the two keys is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditWhat {
    /// A visit was decided.
    Decision(Statement),
    /// Somebody administered, or asked.
    Administrative(Administrative),
}

/// Whether anybody is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// `deepid-edge/presence/1`.
    pub schema: Schema,
    /// Whether a face is seen.
    pub present: bool,
    /// How many.
    pub faces: u32,
}

/// What the visitor should do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuidanceMessage {
    /// `deepid-edge/guidance/1`.
    pub schema: Schema,
    /// What; `none`: nothing.
    pub guidance: Cow<'static, str>,
}

/// How the camera is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// `deepid-edge/camera/1`.
    pub schema: Schema,
    /// Its state.
    pub state: CameraState,
    /// Since when: RFC 3339, UTC, milliseconds.
    pub since: String,
    /// What a person can do about it; while it streams only where what it shows can be better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Faces that have not moved for minutes: the rectangles `[x, y, width, height]` that
    /// `detect.ignore` would need, in fractions of the picture; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_faces: Vec<[f32; 4]>,
}

/// Who we are and what we can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// `deepid-edge/info/1`.
    pub schema: Schema,
    /// The door's id.
    pub door: String,
    /// Version of the software.
    pub version: String,
    /// This run of the program.
    pub boot: Uuid,
    /// The models in use.
    pub models: Vec<ModelInfo>,
    /// The camera; absent until one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraInfo>,
    /// Enrolled subjects.
    pub subjects: u64,
    /// References that can be compared.
    pub references: u64,
    /// References that are never compared: of another model, of another file or averaging of the one
    /// in use, or of an unknown file.
    pub references_of_other_models: u64,
    /// Those of them that are of an unknown file: an administrator may vouch for them.
    #[serde(default)]
    pub references_of_unknown_file: u64,
    /// References that do not open, and are never compared.
    #[serde(default)]
    pub references_unreadable: u64,
    /// The FPIR that the calibration supports for this gallery; absent where it supports none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_fpir: Option<f64>,
    /// Whether that is worse than what is accepted, so that nobody is granted.
    pub beyond_calibration: bool,
    /// Whether a face alone is enough; absent where a program says it that is older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_alone: Option<FaceAloneInfo>,
    /// The fingerprint of the key by which grants are signed; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_key: Option<Thumbprint>,
    /// Whether somebody watches the camera's picture at the page now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watched: bool,
    /// What a client may use.
    pub capabilities: Vec<Cow<'static, str>>,
}

/// Whether a face alone is enough; otherwise each grant needs a second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaceAloneInfo {
    /// Whether it is.
    pub enough: bool,
    /// Why not; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl From<&FaceAlone> for FaceAloneInfo {
    fn from(face: &FaceAlone) -> Self {
        let remedy = face.words().map(|(what, remedy)| format!("{what}: {remedy}"));
        Self { enough: face.is_enough(), doubts: face.doubts().collect(), remedy }
    }
}

/// What every version of this program can.
pub const CAPABILITIES: [&str; 10] = [
    "access/1",
    "audit/1",
    "grant/1",
    "keys/1",
    "armed/1",
    "challenge/1",
    "request/ping",
    "request/snapshot_health",
    "request/nonce",
    "request/signed",
];

/// A model in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// What it does: `detect`, `align`, `embed`, `liveness` or `quality`.
    pub role: String,
    /// Its id.
    pub id: ModelId,
    /// SHA-256 of its file, 64 hexadecimal digits.
    pub sha256: String,
    /// For an embedder, SHA-256 over everything that shapes its vectors: references of another one are
    /// never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub procedure: Option<ProcedureHash>,
}

/// The keys by which grants are signed. A listener trusts none of them for standing here: it is told
/// by its owner which to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// `deepid-edge/keys/1`.
    pub schema: Schema,
    /// The current one first, then those before it, while they are still named.
    pub keys: Vec<Jwk>,
}

/// The camera in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// What it calls itself.
    pub name: String,
    /// What it is: `device`, `libcamera`, `network`, `command` or `recording`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Which one it is, as `camera.identity` names it; absent for what is no device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Whether it is none: a recording stands in for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recording: bool,
    /// Pixel format, such as `YUYV`.
    pub format: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Nominal frames per second.
    pub frames_per_s: f32,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `deepid-edge/health/1`.
    pub schema: Schema,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Frames so far.
    pub frames: FrameCounts,
    /// Latency of every stage of the last while, by the stage's name; `decision` is first frame to
    /// decision.
    pub stages: BTreeMap<String, LatencyMs>,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Temperature of the board, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// Whether the board slows itself down, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// Whether the wall clock can be believed.
    pub clock: ClockTrust,
    /// Why it cannot, and what a person can do about it; absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_remedy: Option<String>,
    /// Audit records that no broker has acknowledged.
    pub outbox_depth: u64,
    /// Audit records that this version cannot read, and so does not publish.
    #[serde(default)]
    pub unreadable_records: u64,
    /// How the database is.
    pub database: DatabaseState,
    /// Whether the enrolments can be read and compared.
    pub gallery: GalleryState,
    /// Whether another client speaks as this door: nothing is granted meanwhile.
    pub contested: bool,
    /// For how many seconds nobody is granted still, after too many failed visits; 0: not locked.
    #[serde(default)]
    pub locked_out_s: u32,
    /// Whether grants are signed.
    #[serde(default)]
    pub signing: SigningState,
    /// Why they are not although they should be, and what a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_remedy: Option<String>,
    /// How many faces have not moved for minutes; `camera` says where and what to do.
    #[serde(default)]
    pub still_faces: u32,
}

/// Frames since the daemon started, and how fast they come now.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FrameCounts {
    /// Given by the camera.
    pub captured: u64,
    /// Overwritten before anybody looked, or undecodable.
    pub dropped: u64,
    /// Those of them that could not be decoded.
    #[serde(default)]
    pub undecodable: u64,
    /// Judged or passed over.
    pub processed: u64,
    /// Those of them that were passed over: nobody is there, or nobody can be judged.
    #[serde(default)]
    pub passed_over: u64,
    /// Processed per second, over the last while.
    pub per_s: f32,
}

/// Latency in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencyMs {
    /// Median.
    pub p50: f32,
    /// 95th percentile.
    pub p95: f32,
    /// 99th percentile.
    pub p99: f32,
}

/// The states of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseState {
    /// Reads and writes.
    Ok,
    /// No room: decisions cannot be recorded, nothing is granted.
    Full,
    /// Cannot be written.
    ReadOnly,
    /// Cannot be read, or is slower than decisions come.
    Failed,
}

/// The states of the enrolled set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GalleryState {
    /// Everybody who is enrolled is compared.
    Ok,
    /// It cannot be read or compared: nobody is granted until it can.
    Unreadable,
}

macro_rules! payload {
    ($($kind:ident => $topic:ident),+ $(,)?) => { $(
        impl Payload for $kind {
            const TOPIC: Topic = Topic::$topic;
        }
        impl $kind {
            /// The schema that this payload names.
            #[must_use]
            pub const fn schema() -> Schema {
                match Topic::$topic.schema() {
                    Some(name) => Cow::Borrowed(name),
                    None => Cow::Borrowed(""),
                }
            }
        }
    )+ };
}
payload!(
    Access => Access, Audit => Audit, Presence => Presence, GuidanceMessage => Guidance, Camera => Camera, Info => Info,
    Health => Health, KeySet => Keys,
);
pub(super) use payload;

impl From<&DecisionRecord> for Statement {
    fn from(record: &DecisionRecord) -> Self {
        let comparison = record.comparison.as_ref();
        Self {
            outcome: record.outcome,
            reason: record.reason.clone(),
            subject: record.subject.clone(),
            awaited: record.awaited,
            score: comparison.and_then(|c| c.score),
            threshold: comparison.map(|c| c.threshold).filter(|t| t.is_finite()),
            metric: comparison.map(|c| c.metric),
            margin: comparison.and_then(|c| c.margin),
            claimed_fmr: comparison.and_then(|c| c.claimed_fmr),
            model: comparison.map(|c| c.model.clone()),
            faces: record.faces,
            frames: record.frames,
            latency_ms: DecisionLatencyMs {
                first_frame_to_decision: tenths_ms(record.first_frame_us),
                last_frame_to_decision: tenths_ms(record.last_frame_us),
            },
            liveness: record.liveness,
        }
    }
}

impl Access {
    /// The announcement of a recorded decision; `None` for an administrative record.
    #[must_use]
    pub fn of(record: &AuditRecord) -> Option<Self> {
        let Body::Decision(decision) = &record.body else { return None };
        Some(Self {
            schema: Self::schema(),
            id: record.id,
            door: record.door.clone(),
            event_type: decision.outcome,
            statement: decision.into(),
            name: None,
            boot: record.boot,
            seq: record.seq,
            monotonic_ms: record.monotonic_ms,
            issued: rfc3339(record.issued_ms),
            clock: record.clock,
            expires_in_ms: ACCESS_EXPIRY_MS,
        })
    }
}

impl Audit {
    /// The audit message of a record.
    #[must_use]
    pub fn of(record: &AuditRecord, late: bool) -> Self {
        Self {
            schema: Self::schema(),
            id: record.id,
            door: record.door.clone(),
            boot: record.boot,
            seq: record.seq,
            monotonic_ms: record.monotonic_ms,
            issued: rfc3339(record.issued_ms),
            clock: record.clock,
            late,
            duress: matches!(
                &record.body,
                Body::Decision(DecisionRecord { duress: true, .. })
                    | Body::Administrative(Administrative::PinEntered { duress: true, .. })
            ),
            passback: matches!(&record.body, Body::Decision(DecisionRecord { passback: true, .. })),
            chain: record.chain.clone(),
            by: record.by.clone(),
            what: match &record.body {
                Body::Decision(decision) => AuditWhat::Decision(decision.into()),
                Body::Administrative(event) => AuditWhat::Administrative(event.clone()),
            },
        }
    }
}

impl GuidanceMessage {
    /// What a visitor should do, if anything.
    #[must_use]
    pub fn new(guidance: Option<Guidance>) -> Self {
        let name = guidance.map_or("none", Guidance::name);
        Self { schema: Self::schema(), guidance: Cow::Borrowed(name) }
    }
}

impl KeySet {
    /// These keys, the current one first.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        Self { schema: Self::schema(), keys: keys.into_iter().map(PublicKey::jwk).collect() }
    }
}

impl Presence {
    /// Whether anybody is there, and how many.
    #[must_use]
    pub const fn new(present: bool, faces: u32) -> Self {
        Self { schema: Self::schema(), present, faces }
    }
}

impl Camera {
    /// The camera's state since `since`.
    #[must_use]
    pub fn new(state: CameraState, since: WallClock, remedy: Option<String>) -> Self {
        let since = rfc3339(since.unix_ms);
        Self { schema: Self::schema(), state, since, remedy, still_faces: Vec::new() }
    }

    /// The same with faces that do not move, by their rectangles.
    #[must_use]
    pub fn with_still_faces(self, still_faces: Vec<[f32; 4]>) -> Self {
        Self { still_faces, ..self }
    }
}

/// Microseconds as milliseconds with one decimal.
fn tenths_ms(micros: u64) -> f64 {
    (micros as f64 / 100.0).round() / 10.0
}
