//! How the door is, for whoever asks: its state, its health, its configuration, its counts.
//!
//! In: what the daemon's threads told last. Out: JSON, and Prometheus' text. Invariants: nothing here asks
//! a thread of the daemon for anything; secrets in a configured value are masked; counts carry no name
//! and no id of a person.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::app::App;
use super::feed::Told;
use super::problem::Problem;
use super::series::Day;
use crate::capture::CameraState;
use crate::clock::{Clock as _, ClockTrust, utc};
use crate::compare::Metric;
use crate::config::{Change, KEYS, Language, Origin};
use crate::liveness::Mode;
use crate::publish::message::{DatabaseState, GalleryState};
use crate::publish::{Health, Unarmed};
use crate::sign::SigningState;

/// Something that is wrong with the door.
struct Fault {
    code: &'static str,
    text: String,
    remedy: Option<String>,
    /// Whether nobody is granted because of it.
    grave: bool,
}

fn fault(code: &'static str, grave: bool, text: &str, remedy: Option<String>) -> Fault {
    Fault { code, text: text.to_owned(), remedy, grave }
}

/// All that is wrong, as it was told last.
fn faults(told: &Told) -> Vec<Fault> {
    let mut found = Vec::new();
    if let Some(camera) = told.camera.as_ref().filter(|c| c.state != CameraState::Streaming) {
        let grave = camera.state != CameraState::Misoriented;
        let text = format!("the camera is {}", camera.state.name());
        found.push(fault("camera", grave, &text, camera.remedy.clone()));
    }
    let Some(health) = &told.health else { return found };
    let database = match health.database {
        DatabaseState::Ok => None,
        DatabaseState::Full => Some("the disk is full: decisions cannot be recorded"),
        DatabaseState::ReadOnly => Some("the database cannot be written"),
        DatabaseState::Failed => Some("the database cannot be used"),
    };
    let doctor = || Some("'deepid-edge doctor' says what to do".to_owned());
    found.extend(database.map(|text| fault("database", true, text, doctor())));
    if health.gallery == GalleryState::Unreadable {
        found.push(fault("gallery", true, "the enrolled people cannot be read", doctor()));
    }
    if health.clock != ClockTrust::Trusted {
        let remedy = health.clock_remedy.clone();
        found.push(fault("clock", true, "the clock is not trusted", remedy));
    }
    if health.contested {
        let remedy = "every door needs a 'door.id' of its own".to_owned();
        let text = "another client speaks to the broker as this door";
        found.push(fault("contested", true, text, Some(remedy)));
    }
    if !matches!(health.signing, SigningState::Off | SigningState::Ok) {
        let remedy = health.signing_remedy.clone();
        found.push(fault("signing", false, "grants are not signed", remedy));
    }
    if health.unreadable_records > 0 {
        found.push(fault("records", false, "records cannot be read", doctor()));
    }
    if let Some(info) = told.info.as_ref().filter(|info| info.beyond_calibration) {
        let text = format!("{} references are more than the calibration covers", info.references);
        found.push(fault("calibration", true, &text, doctor()));
    }
    found
}

fn status(faults: &[Fault]) -> &'static str {
    if faults.iter().any(|fault| fault.grave) {
        "fault"
    } else if faults.is_empty() {
        "online"
    } else {
        "degraded"
    }
}

/// How the door is.
#[derive(Serialize, ToSchema)]
pub(super) struct DoorState {
    /// The door's id.
    door: String,
    version: &'static str,
    /// `online`, `degraded`, or `fault` where nobody is granted.
    status: &'static str,
    faults: Vec<FaultShown>,
    camera: CameraShown,
    enrolled: EnrolledShown,
    armed: ArmedShown,
    /// Until when nobody is granted, after too many failed visits.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_until: Option<String>,
    /// The embedder.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// What confirms each grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<String>,
    liveness: LivenessAsked,
    #[schema(value_type = String)]
    metric: Metric,
    /// What a score has to reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_fpir: Option<f64>,
    /// The fingerprint of the key that signs grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_key: Option<String>,
    started_at: String,
    /// How many see the camera's pictures.
    viewers: usize,
    /// Whether somebody is there.
    presence: bool,
    /// What the visitor should do.
    #[serde(skip_serializing_if = "Option::is_none")]
    guidance: Option<&'static str>,
    /// Whether somebody is enrolled at the camera, so that nobody is granted.
    enrolling: bool,
}

/// Something that is wrong with the door.
#[derive(Serialize, ToSchema)]
pub(super) struct FaultShown {
    code: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// How the camera is.
#[derive(Serialize, ToSchema)]
pub(super) struct CameraShown {
    /// As on the topic `camera`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// Frames that are judged a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    fps: Option<f32>,
    /// Whether a recording stands in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// How many are compared.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolledShown {
    subjects: u64,
    references: u64,
}

/// Whether the door is armed.
#[derive(Serialize, ToSchema)]
pub(super) struct ArmedShown {
    armed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Why it is not, as on `armed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<Unarmed>,
    /// The schedule outside of which it is not armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

/// What a visit must show to be of a live face.
#[derive(Serialize, ToSchema)]
pub(super) struct LivenessAsked {
    /// `live.mode`.
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

/// What a screen at the door is told of how it is.
#[derive(Serialize, ToSchema)]
pub(super) struct ShortState {
    status: &'static str,
    presence: bool,
}

/// `GET /api/v1/state`
pub(super) async fn state(State(app): State<Arc<App>>) -> Answer<DoorState> {
    Answer(state_of(&app))
}

/// How the door is.
pub(super) fn state_of(app: &App) -> DoorState {
    let (told, config) = (app.feed.told(), app.feed.config());
    let faults = faults(&told);
    let status = status(&faults);
    let info = told.info.as_ref();
    let camera = told.camera.as_ref();
    let shown = info.and_then(|info| info.camera.as_ref());
    let armed = told.armed.as_ref();
    let wall_ms = app.clock.wall().unix_ms;
    let locked_s = told.health.as_ref().map_or(0, |health| health.locked_out_s);
    let model = |role: &str| {
        let of_role = |model: &&crate::publish::message::ModelInfo| model.role == role;
        info.and_then(|info| info.models.iter().find(of_role)).map(|model| model.id.to_string())
    };
    DoorState {
        door: app.door.clone(),
        version: env!("CARGO_PKG_VERSION"),
        status,
        faults: faults
            .into_iter()
            .map(|Fault { code, text, remedy, .. }| FaultShown { code, text, remedy })
            .collect(),
        camera: CameraShown {
            state: camera.map_or("searching", |camera| camera.state.name()),
            name: shown.map(|shown| shown.name.clone()),
            width: shown.map(|shown| shown.width),
            height: shown.map(|shown| shown.height),
            fps: told.health.as_ref().map(|health| health.frames.per_s),
            recording: shown.map(|shown| shown.recording),
            remedy: camera.and_then(|camera| camera.remedy.clone()),
        },
        enrolled: EnrolledShown {
            subjects: info.map_or(0, |info| info.subjects),
            references: info.map_or(0, |info| info.references),
        },
        armed: ArmedShown {
            armed: armed.is_none_or(|armed| armed.armed),
            until: armed.and_then(|armed| armed.until.clone()),
            reason: armed.and_then(|armed| armed.reason),
            schedule: armed.and_then(|armed| Some(armed.schedule.as_ref()?.to_string())),
        },
        locked_until: (locked_s > 0).then(|| utc(wall_ms + i64::from(locked_s) * 1000)),
        model: model("embed"),
        confirm: config.models.confirm.as_ref().map(ToString::to_string),
        liveness: LivenessAsked {
            mode: config.live.mode.name(),
            network: (config.live.mode != Mode::Off).then(|| model("liveness")).flatten(),
        },
        metric: config.recognise.metric,
        threshold: told.threshold,
        claimed_fpir: info.and_then(|info| info.claimed_fpir),
        grant_key: info.and_then(|info| info.grant_key.as_ref()).map(ToString::to_string),
        started_at: utc(app.started_ms),
        viewers: app.feed.viewers(),
        presence: told.present,
        guidance: told.guidance.map(crate::door::Guidance::name),
        enrolling: app.feed.is_enrolling(app.clock.now()),
    }
}

/// What a screen at the door is told of it.
pub(super) fn short_state(app: &App) -> ShortState {
    let told = app.feed.told();
    ShortState { status: status(&faults(&told)), presence: told.present }
}

/// How the daemon does, now and over the last day.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthShown {
    /// `null` before that is known.
    now: Option<HealthNow>,
    day: Day,
}

/// What the topic `health` says, and the figures of a day as they are now.
#[derive(Serialize, ToSchema)]
pub(super) struct HealthNow {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    health: Health,
    fps: f32,
    frame_ms: Option<f32>,
    frame_ms_p95: Option<f32>,
    memory_mib: f64,
}

/// `GET /api/v1/health`
pub(super) async fn health(State(app): State<Arc<App>>) -> Answer<HealthShown> {
    let series = app.series.lock().unwrap_or_else(PoisonError::into_inner);
    let day = series.day(app.clock.wall().unix_ms);
    drop(series);
    let now = app.feed.told().health.clone().map(|health| {
        let frame = health.stages.get("frame");
        HealthNow {
            fps: health.frames.per_s,
            frame_ms: frame.map(|latency| latency.p50),
            frame_ms_p95: frame.map(|latency| latency.p95),
            memory_mib: health.rss_bytes as f64 / f64::from(1_u32 << 20),
            health,
        }
    });
    Answer(HealthShown { now, day })
}

/// A key of the configuration, as it is in force.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingShown {
    key: &'static str,
    /// Its value, secrets masked; `null` where there is none.
    #[schema(value_type = Value)]
    value: Option<Json>,
    /// Where it comes from: `default`, a file, a variable, a flag.
    source: String,
    help: &'static str,
    /// Whether `systemctl reload` changes it.
    live: bool,
}

/// `GET /api/v1/config`
pub(super) async fn config(State(app): State<Arc<App>>) -> Answer<Vec<SettingShown>> {
    let config = app.feed.config();
    let of = |key: &crate::config::Key| {
        let setting = config.settings().iter().find(|setting| setting.key == key.name);
        let origin = setting.map_or(Origin::Default, |setting| setting.origin.clone());
        SettingShown {
            key: key.name,
            value: setting.and_then(crate::config::Setting::shown),
            source: origin.to_string(),
            help: key.help,
            live: key.change == Change::Live,
        }
    };
    Answer(KEYS.iter().map(of).collect())
}

/// What the kiosk's page needs to know.
#[derive(Serialize, ToSchema)]
pub(super) struct KioskShown {
    /// The door's id.
    door: String,
    /// `serve.language`.
    #[schema(value_type = String)]
    language: Language,
    /// `serve.kiosk_sound`.
    sound: bool,
    /// `serve.kiosk_names`.
    names: bool,
    /// Whether anybody has a PIN, so that there is something to type.
    keypad: bool,
    time_zone: String,
}

/// `GET /api/v1/kiosk`
pub(super) async fn kiosk(State(app): State<Arc<App>>) -> Result<Answer<KioskShown>, Problem> {
    let config = app.feed.config();
    let keypad = app.read(|store| Ok(!store.pin_holders()?.is_empty())).await?;
    Ok(Answer(KioskShown {
        door: app.door.clone(),
        language: config.serve.language,
        sound: config.serve.kiosk_sound,
        names: config.serve.kiosk_names,
        keypad,
        time_zone: config.time_zone().iana_name().unwrap_or("UTC").to_owned(),
    }))
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let told = app.feed.told();
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: f64| {
        let _infallible = writeln!(
            text,
            "# HELP deepid_edge_{name} {help}\n# TYPE deepid_edge_{name} {kind}\ndeepid_edge_{name} {value}"
        );
    };
    let up = status(&faults(&told));
    one(
        "online",
        "gauge",
        "1 while nothing keeps the door from granting",
        f64::from(up != "fault"),
    );
    one("present", "gauge", "1 while a face is seen", f64::from(told.present));
    if let Some(info) = &told.info {
        one("subjects", "gauge", "Enrolled subjects", info.subjects as f64);
        one("references", "gauge", "References that are compared", info.references as f64);
    }
    if let Some(armed) = &told.armed {
        one("armed", "gauge", "1 while the door is armed", f64::from(armed.armed));
    }
    if let Some(health) = &told.health {
        let Health { frames, uptime_s, rss_bytes, .. } = health;
        one("uptime_seconds", "gauge", "Since the daemon started", *uptime_s as f64);
        one(
            "frames_captured_total",
            "counter",
            "Frames that the camera gave",
            frames.captured as f64,
        );
        one(
            "frames_dropped_total",
            "counter",
            "Frames that nobody looked at",
            frames.dropped as f64,
        );
        one(
            "frames_processed_total",
            "counter",
            "Frames that were judged or passed over",
            frames.processed as f64,
        );
        one(
            "frames_passed_over_total",
            "counter",
            "Frames of those that were passed over, because nobody is there or nobody can be judged",
            frames.passed_over as f64,
        );
        one("frames_per_second", "gauge", "Frames judged a second", f64::from(frames.per_s));
        one("resident_bytes", "gauge", "Resident memory", *rss_bytes as f64);
        one("outbox_records", "gauge", "Records that no broker has", health.outbox_depth as f64);
        one(
            "locked_out_seconds",
            "gauge",
            "For how long nobody is granted still",
            f64::from(health.locked_out_s),
        );
        if let Some(temperature) = health.temperature_c {
            one("temperature_celsius", "gauge", "Of the board", f64::from(temperature));
        }
        let _infallible = writeln!(
            text,
            "# HELP deepid_edge_stage_seconds Latency of a stage over the last 512 values\n# TYPE deepid_edge_stage_seconds gauge"
        );
        for (stage, latency) in &health.stages {
            for (quantile, ms) in [("0.5", latency.p50), ("0.95", latency.p95)] {
                let seconds = f64::from(ms) / 1000.0;
                let _infallible = writeln!(
                    text,
                    "deepid_edge_stage_seconds{{stage=\"{stage}\",quantile=\"{quantile}\"}} {seconds}"
                );
            }
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
