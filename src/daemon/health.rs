//! What the daemon says of itself on `health`, `info` and `camera`.
//!
//! In: the meter, the camera as last seen, the board. Out: the payloads of the MQTT contract.
//! Pure but for reading the board's own files. Deliberately absent: names, pictures, scores.

use std::collections::BTreeMap;
use std::time::Duration;

use super::enrolments::Enrolled;
use super::meter::Stage;
use super::shared::{Camera, Shared};
use super::{Model, board};
use crate::capture::{CameraIdentity, Origin};
use crate::clock::{Clock, WallClock};
use crate::detect::{StillFace, Zones};
use crate::inference::ModelKind;
use crate::publish::message::{
    self, CAPABILITIES, CameraInfo, CameraState, DatabaseState, FrameCounts, GalleryState, Health,
    Info, ModelInfo,
};
use crate::store::Condition;
use uuid::Uuid;

/// `health` as it is now. `per_s` is the rate of processed frames.
pub(super) fn health(shared: &Shared, uptime: Duration, per_s: f32) -> Health {
    let (meter, clock, desk) = (&shared.meter, &shared.clock, &shared.desk);
    let still_faces = shared.camera().still.len();
    let signing = desk.signing();
    let (wall, doubt) = clock.wall_with_doubt();
    let stages: BTreeMap<String, _> = Stage::ALL
        .into_iter()
        .filter_map(|stage| Some((stage.name().to_owned(), meter.latency(stage)?)))
        .collect();
    Health {
        schema: Health::schema(),
        uptime_s: uptime.as_secs(),
        frames: FrameCounts {
            captured: meter.captured(),
            dropped: shared.slot.overwritten() + meter.unreadable(),
            undecodable: meter.unreadable(),
            processed: meter.processed(),
            passed_over: meter.passed_over(),
            per_s,
        },
        stages,
        rss_bytes: board::resident_bytes(),
        temperature_c: board::temperature_c(),
        throttled: board::throttled(),
        clock: wall.trust,
        clock_remedy: doubt.map(|doubt| format!("{doubt}: {}", doubt.remedy())),
        outbox_depth: desk.outbox_depth(),
        unreadable_records: desk.unreadable_records(),
        database: database(desk.condition()),
        gallery: if desk.is_withdrawn() { GalleryState::Unreadable } else { GalleryState::Ok },
        contested: meter.is_contested(clock.now()),
        locked_out_s: rounded_up(meter.locked_for(clock.now())),
        signing: signing.state,
        signing_remedy: signing.trouble,
        still_faces: u32::try_from(still_faces).unwrap_or(u32::MAX),
    }
}

/// Whole seconds, and 0 for nothing alone.
fn rounded_up(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// How a database is, as it is said on the wire.
const fn database(condition: Condition) -> DatabaseState {
    match condition {
        Condition::Usable => DatabaseState::Ok,
        Condition::Full => DatabaseState::Full,
        Condition::ReadOnly => DatabaseState::ReadOnly,
        Condition::Failed => DatabaseState::Failed,
    }
}

/// `info` as it is now, but for the key that signs grants.
pub(super) fn info(
    door: &str,
    boot: Uuid,
    models: &[Model],
    camera: &Camera,
    enrolled: Enrolled,
) -> Info {
    let description = &camera.description;
    Info {
        schema: Info::schema(),
        door: door.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot,
        models: models
            .iter()
            .map(|Model { card, procedure }| ModelInfo {
                role: match card.kind {
                    ModelKind::Detector => "detect".to_owned(),
                    ModelKind::Landmarker => "align".to_owned(),
                    ModelKind::Embedder => "embed".to_owned(),
                    ModelKind::Liveness => "liveness".to_owned(),
                    ModelKind::Quality => "quality".to_owned(),
                },
                id: card.id.clone(),
                sha256: card.sha256.clone(),
                procedure: *procedure,
            })
            .collect(),
        camera: (description.width > 0).then(|| CameraInfo {
            name: description.name.clone(),
            identity: description.origin.camera().map(CameraIdentity::text),
            origin: description.origin.name().map(str::to_owned),
            recording: description.origin == Origin::Recording,
            format: description.encoding.to_string(),
            width: description.width,
            height: description.height,
            frames_per_s: description.rate.map_or(0.0, |rate| rate.hertz() as f32),
        }),
        subjects: enrolled.subjects,
        references: enrolled.references,
        references_of_other_models: enrolled.never_compared,
        references_of_unknown_file: enrolled.of_unknown_file,
        references_unreadable: enrolled.unreadable,
        claimed_fpir: enrolled.claimed_fpir,
        beyond_calibration: enrolled.beyond_calibration,
        face_alone: Some((&enrolled.face_alone).into()),
        grant_key: None,
        watched: false,
        capabilities: CAPABILITIES.iter().map(|&text| text.into()).collect(),
    }
}

/// What helps where the light strobes.
pub(super) const STROBES: &str = "the light strobes: dark and lit frames alternate, so that fewer of them can be judged: use a lamp with steady light, or an infrared lamp that keeps step with the camera; or let the camera expose for a whole period of the lamp (camera.controls: auto_exposure, exposure_time_absolute, power_line_frequency)";

/// What is to be said of a recording in place of the camera.
pub(super) const RECORDING: &str = "a recording stands in for the camera: unset camera.replay.path at a real door: whoever can change the recording can show any face";

/// `camera` as it is now; a recording counts as streaming since the start. `strobing` says that the
/// light does. Faces that do not move are named with the line that lets them be ignored, on top of
/// what `zones` ignore.
pub(super) fn camera(
    camera: &Camera,
    strobing: bool,
    zones: &Zones,
    clock: &dyn Clock,
    started: WallClock,
) -> message::Camera {
    let recorded = camera.description.origin == Origin::Recording;
    let advice: Vec<_> = [
        camera.doubt.as_ref().map(|doubt| doubt.remedy.clone()),
        recorded.then(|| RECORDING.to_owned()),
        strobing.then(|| STROBES.to_owned()),
        still_remedy(&camera.still, zones),
    ]
    .into_iter()
    .flatten()
    .collect();
    let advice = (!advice.is_empty()).then(|| advice.join("; "));
    let rectangles = camera.still.iter().map(StillFace::rectangle).collect();
    state(camera, advice, clock, started).with_still_faces(rectangles)
}

/// The camera's state; `advice` is for a camera that streams.
fn state(
    camera: &Camera,
    advice: Option<String>,
    clock: &dyn Clock,
    started: WallClock,
) -> message::Camera {
    let Some(status) = camera.told() else {
        return message::Camera::new(CameraState::Streaming, started, advice);
    };
    let wall = clock.wall();
    let ago = i64::try_from(clock.now().since(status.since).as_millis()).unwrap_or(i64::MAX);
    let since = WallClock { unix_ms: wall.unix_ms.saturating_sub(ago), ..wall };
    message::Camera::new(status.state, since, status.advice().or(advice))
}

/// What to do about faces that do not move; `None` where there are none.
pub(super) fn still_remedy(faces: &[StillFace], zones: &Zones) -> Option<String> {
    let subject = match faces {
        [] => return None,
        [_] => "a face has not moved for minutes".to_owned(),
        more => format!("{} faces have not moved for minutes", more.len()),
    };
    let ignore = zones.line_to_ignore(faces).map_or_else(
        || "remove a rectangle from detect.ignore, which is full".to_owned(),
        |line| format!("set {line}"),
    );
    Some(format!(
        "{subject}: if that is a portrait, a poster or a reflection, take it out of the picture or {ignore}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CameraDoubt, CameraStatus, DoubtKind, Encoding, SourceDescription};
    use crate::clock::{ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};

    #[test]
    fn a_doubtful_camera_streams_with_a_remedy_and_so_does_a_recording() {
        let clock = ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS);
        let mut status = CameraStatus::searching(clock.now());
        status.streaming(clock.now());
        let doubt = CameraDoubt {
            kind: DoubtKind::Virtual,
            before: None,
            after: "platform:v4l2loopback-000".to_owned(),
            remedy: "what to do".to_owned(),
            since: clock.now(),
        };
        let (name, location) = ("a".to_owned(), "b".to_owned());
        let (origin, encoding) = (Origin::Unopened, Encoding::Jpeg);
        let description =
            SourceDescription { name, location, origin, encoding, width: 1, height: 1, rate: None };
        let (misoriented, still) = (None, Vec::new());
        let mut seen =
            Camera { description, status: Some(status), doubt: Some(doubt), misoriented, still };
        let told = |seen: &Camera| camera(seen, false, &Zones::default(), &clock, clock.wall());
        assert_eq!(told(&seen).state, CameraState::Streaming);
        assert_eq!(told(&seen).remedy.as_deref(), Some("what to do"));
        (seen.doubt, seen.status, seen.description.origin) = (None, None, Origin::Recording);
        assert_eq!(told(&seen).remedy.as_deref(), Some(RECORDING));
    }
}
