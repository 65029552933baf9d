//! The contract from outside: every message as it is written, against its snapshot, its JSON
//! Schema and the rules that a schema cannot say.
//!
//! Every payload that the program can make goes through its schema, every example of the contract
//! too; what the contract forbids must be refused by the same schemas. Needs no broker.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::BTreeSet;

use deepid_edge::capture::DoubtKind;
use deepid_edge::clock::{Clock as _, ClockTrust, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::decide::{AmbiguousReason, Decision, DeniedReason, UnknownReason, Verdict};
use deepid_edge::door::Guidance;
use deepid_edge::policy::{Arming, Awaited, FaceAlone, RuleBook, RuleName, Rules};
use deepid_edge::publish::challenge::Challenges;
use deepid_edge::publish::topic::Payload;
use deepid_edge::publish::{
    Access, Armed, Audit, Camera, CameraState, DuressMessage, GuidanceMessage, KeySet, Message,
    Presence, StrangersMessage, Topic, Topics,
};
use deepid_edge::sign::{PublicKey, SigningState, Thumbprint};
use deepid_edge::store::{
    Administrative, AuditRecord, Body, ConfigurationRefusal, DecisionRecord, May, RequestVerdict,
    Role, SealName, TwinSign,
};
use jsonschema::Validator;
use serde_json::{Value, json};
use support::door::{BOOT, DOOR, clock, decision, embedder, health, info};
use uuid::Uuid;

fn topics() -> Topics {
    Topics::new("deepid-edge", DOOR).unwrap()
}

fn schema_file(name: &str) -> Value {
    let path = format!("{}/docs/wire/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

fn validator(name: &str) -> Validator {
    jsonschema::draft202012::new(&schema_file(name)).unwrap()
}

fn json_of(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

fn written<P: Payload>(payload: &P) -> Value {
    json_of(&topics().message(payload))
}

fn subject() -> SubjectId {
    SubjectId::new("s-4f9a1c").unwrap()
}

fn rule(name: &str) -> RuleName {
    RuleName::new(name).unwrap()
}

fn record(body: Body) -> AuditRecord {
    let clock = clock();
    let wall = deepid_edge::clock::Clock::wall(&*clock);
    AuditRecord {
        seq: 42,
        id: Uuid::from_u128(0x0196_f3c2_0a0b_7c0d_8e0f_1011_1213_1415),
        door: DOOR.to_owned(),
        boot: BOOT,
        monotonic_ms: 5_123_456,
        issued_ms: wall.unix_ms,
        clock: wall.trust,
        chain: Some("5a".repeat(32)),
        by: None,
        body,
    }
}

fn decided(verdict: Verdict) -> AuditRecord {
    record(Body::Decision(DecisionRecord::from(&decision(&clock(), verdict))))
}

/// Every verdict that can be written down.
fn verdicts() -> Vec<Verdict> {
    use AmbiguousReason as A;
    use DeniedReason as D;
    let denied = [
        D::SubjectDisabled,
        D::OutsideSchedule,
        D::SeveralFaces,
        D::ClockUntrusted,
        D::LockedOut,
        D::SecondFactorMissing(Awaited::Factor),
        D::SecondFactorMissing(Awaited::Company),
        D::AntiPassback,
        D::NotArmed,
        D::BeyondCalibration,
        D::DoorContested,
    ];
    let ambiguous = [
        A::CloseSecond,
        A::InsufficientEvidence,
        A::PoorQuality,
        A::NotLive,
        A::StaleFrames,
        A::Fault,
    ];
    let mut all = vec![Verdict::Granted { subject: subject() }];
    all.extend(denied.map(|reason| Verdict::Denied { reason, subject: Some(subject()) }));
    all.push(Verdict::Denied { reason: D::SeveralFaces, subject: None });
    all.extend([UnknownReason::NoMatch, UnknownReason::EmptyGallery].map(Verdict::Unknown));
    all.extend(ambiguous.map(Verdict::Ambiguous));
    all
}

/// What administrators change of who may pass, and who may ask.
const fn noticed() -> Administrative {
    Administrative::StrangersNoticed { visits: 3, within_s: 600 }
}

fn rules() -> Vec<Administrative> {
    use Administrative as A;
    vec![
        A::SubjectAssigned { subject: subject(), group: Some(rule("staff")) },
        A::SubjectAssigned { subject: subject(), group: None },
        A::ValiditySet { subject: subject(), from: None, until: None },
        A::ValiditySet {
            subject: subject(),
            from: Some("2026-05-01T07:30:00".to_owned()),
            until: Some("2026-07-01T00:00:00".to_owned()),
        },
        A::GroupAdded { group: rule("staff"), schedule: None },
        A::GroupAdded { group: rule("staff"), schedule: Some(rule("office")) },
        A::GroupScheduled { group: rule("staff"), schedule: None },
        A::GroupScheduled { group: rule("staff"), schedule: Some(rule("office")) },
        A::GroupRemoved { group: rule("staff") },
        A::ScheduleSet { schedule: rule("office") },
        A::ScheduleRemoved { schedule: rule("office") },
        A::HolidaysChanged { added: 12, removed: 0 },
        noticed(),
        A::ArmingChanged { armed: false, until: None },
        A::ArmingScheduled { schedule: None },
        A::ArmingScheduled { schedule: Some(rule("office")) },
        A::ArmingChanged { armed: true, until: Some("2026-05-01T07:15:02Z".to_owned()) },
        A::GroupDemands {
            group: rule("vault"),
            factor: true,
            company: None,
            during: Some(rule("nights")),
        },
        A::GroupDemands {
            group: rule("vault"),
            factor: false,
            company: Some(rule("staff")),
            during: None,
        },
        A::AdministratorAdded {
            administrator: rule("hub"),
            key: fingerprint(),
            may: May::Everything,
        },
        A::AdministratorAdded {
            administrator: rule("reader"),
            key: fingerprint(),
            may: May::Factor,
        },
        A::AdministratorRemoved { administrator: rule("hub") },
        A::Asked {
            administrator: rule("hub"),
            request: "arm".to_owned(),
            subject: None,
            done: true,
        },
        A::Asked {
            administrator: rule("hub"),
            request: "remove".to_owned(),
            subject: Some(subject()),
            done: false,
        },
    ]
}

fn administrative() -> Vec<Administrative> {
    use Administrative as A;
    let requests = [
        RequestVerdict::Answered,
        RequestVerdict::RefusedRetained,
        RequestVerdict::RefusedTooLarge,
        RequestVerdict::RefusedTooMany,
        RequestVerdict::RefusedUnknown,
        RequestVerdict::RefusedResponseTopic,
        RequestVerdict::RefusedUnauthorised,
    ];
    let mut all = vec![
        A::Started { version: "0.1.0".to_owned(), recording: false, grant_key: None },
        A::Started { version: "0.1.0".to_owned(), recording: true, grant_key: None },
        A::Started {
            version: "0.1.0".to_owned(),
            recording: false,
            grant_key: Some(fingerprint()),
        },
        A::KeyRotated { before: None, after: fingerprint(), overlap_s: 0 },
        A::StoreKeyRotated { before: store_key("0"), after: store_key("f") },
        A::KeyRotated { before: Some(fingerprint()), after: fingerprint(), overlap_s: 86_400 },
        A::Stopped,
        A::SubjectEnrolled { subject: subject(), model: embedder(), references: 3, replaced: None },
        A::SubjectEnrolled {
            subject: subject(),
            model: embedder(),
            references: 3,
            replaced: Some(5),
        },
        A::SubjectRenamed { subject: subject() },
        A::SubjectEnabled { subject: subject() },
        A::SubjectDisabled { subject: subject() },
        A::SubjectRemoved { subject: subject() },
        A::WhereaboutsForgotten { subject: None },
        A::WhereaboutsForgotten { subject: Some(subject()) },
        A::PinSet { subject: subject() },
        A::PinRemoved { subject: subject() },
        A::PinEntered { subject: subject(), right: false, duress: false },
        A::PinEntered { subject: subject(), right: true, duress: true },
        A::SubjectMarked { subject: subject(), duress: true },
        A::ReferencesAdopted {
            model: embedder(),
            procedure: deepid_edge::inference::ProcedureHash::of_bytes([0x5a; 32]),
            references: 12,
        },
        A::GalleryRestored { made: "2026-05-01T07:15:02Z".to_owned(), subjects: 2, references: 5 },
        A::ClockSettled { record: 41, record_issued: "2036-02-07T06:28:15Z".to_owned() },
        A::AccountAdded { account: rule("anna"), role: Role::Administrator },
        A::AccountAdded { account: rule("hall"), role: Role::Kiosk },
        A::AccountRemoved { account: rule("anna") },
        A::AccountPasswordSet { account: rule("anna") },
        A::AccountTokenMade { account: rule("anna") },
        A::AccountTokenRemoved { account: rule("hall") },
        A::AccountTokensRemoved { account: rule("anna") },
        A::LiveViewWatched,
        A::EnrolmentBegun,
        A::DoorContested { by: TwinSign::TakenOver },
        A::DoorContested { by: TwinSign::InfoReplaced },
        A::DoorContested { by: TwinSign::Losses },
        A::DoorContested { by: TwinSign::Heard },
    ];
    all.extend(rules());
    let camera = |bus: &str| format!("usb:046d:0825:1A2B3C4D (HD Webcam, uvcvideo, {bus})");
    for doubt in [DoubtKind::Changed, DoubtKind::Virtual, DoubtKind::Foreign] {
        let (before, after) = (camera("usb-0000:01:00.0-1.2"), camera("usb-0000:01:00.0-1.3"));
        all.push(A::CameraChanged { doubt, before: Some(before), after, count: 2 });
    }
    let (doubt, after) = (DoubtKind::Virtual, camera("platform:v4l2loopback-000"));
    all.push(A::CameraChanged { doubt, before: None, after, count: 1 });
    let keys = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    let (changed, restart) = (keys(&["visit.agreeing", "log.level"]), keys(&["camera.width"]));
    all.push(A::ConfigurationReloaded { changed, restart });
    all.push(A::ConfigurationReloaded { changed: vec![], restart: vec![] });
    let refusals = [
        ConfigurationRefusal::Unreadable,
        ConfigurationRefusal::NotToml,
        ConfigurationRefusal::Wrong,
        ConfigurationRefusal::Unusable,
    ];
    all.extend(
        refusals
            .map(|reason| A::ConfigurationRefused { reason, keys: keys(&["mqtt.tls.enabled"]) }),
    );
    all.extend(requests.map(|verdict| A::Requested {
        request: "ping".to_owned(),
        verdict,
        count: 1,
    }));
    all
}

/// The key of RFC 8037.
fn key() -> PublicKey {
    PublicKey::from_x("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap()
}

fn store_key(digit: &str) -> SealName {
    SealName::try_from(digit.repeat(32)).unwrap()
}

fn fingerprint() -> Thumbprint {
    key().thumbprint().clone()
}

fn cameras() -> Vec<Camera> {
    use CameraState as S;
    let wall = WallClock { unix_ms: 0, trust: ClockTrust::Untrusted, synchronised: false };
    [
        S::Streaming,
        S::Searching,
        S::Stalled,
        S::Busy,
        S::Denied,
        S::Unsupported,
        S::Undecodable,
        S::Misoriented,
        S::Foreign,
    ]
    .map(|state| {
        let remedy = (state != S::Streaming).then(|| "what to do".to_owned());
        Camera::new(state, wall, remedy)
    })
    .into()
}

/// A camera that sees a face which does not move.
fn camera_before_a_portrait() -> Camera {
    let wall = WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: true };
    let remedy = "set detect.ignore = [[0.02, 0.03, 0.24, 0.40]]".to_owned();
    let camera = Camera::new(CameraState::Streaming, wall, Some(remedy));
    camera.with_still_faces(vec![[0.02, 0.03, 0.24, 0.4]])
}

/// Everything that is ever published, by the name of its topic.
fn everything() -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("info", written(&info())),
        ("health", written(&health())),
        ("presence", written(&Presence::new(false, 0))),
        ("guidance", written(&GuidanceMessage::new(None))),
        ("guidance", written(&GuidanceMessage::new(Some(Guidance::StepBack)))),
    ];
    all.push(("keys", written(&KeySet::of([&key(), &key()]))));
    let noticed = record(Body::Administrative(noticed()));
    all.push(("strangers", written(&StrangersMessage::of(&noticed).unwrap())));
    let forced =
        Decision { duress: true, passback: true, ..decision(&clock(), verdicts().remove(0)) };
    let forced = record(Body::Decision(DecisionRecord::from(&forced)));
    all.push(("duress", written(&DuressMessage::of(&forced).unwrap())));
    let entered = Administrative::PinEntered { subject: subject(), right: true, duress: true };
    let entered = record(Body::Administrative(entered));
    all.push(("duress", written(&DuressMessage::of(&entered).unwrap())));
    let nobody = Verdict::Ambiguous(AmbiguousReason::NotLive);
    let nobody = Decision { duress: true, ..decision(&clock(), nobody) };
    let nobody = record(Body::Decision(DecisionRecord::from(&nobody)));
    all.push(("duress", written(&DuressMessage::of(&nobody).unwrap())));
    all.push(("audit", written(&Audit::of(&forced, false))));
    all.push(("access", written(&Access::of(&forced).unwrap())));
    let follows = [None, Some(rule("office"))];
    for arming in [Arming::On, Arming::Off, Arming::Until(1_800_000_060_000), Arming::Until(0)] {
        for arming_follows in follows.clone() {
            let book = RuleBook { arming, arming_follows, ..RuleBook::default() };
            let rules = Rules::new(book, jiff::tz::TimeZone::UTC);
            all.push(("armed", written(&Armed::new(&rules, clock().wall()))));
        }
    }
    let signing = deepid_edge::publish::Info { grant_key: Some(fingerprint()), ..info() };
    assert!(written(&signing).get("watched").is_none(), "nobody watches");
    all.push(("info", written(&signing)));
    let watched = deepid_edge::publish::Info { watched: true, ..info() };
    assert_eq!(written(&watched)["watched"], true);
    all.push(("info", written(&watched)));
    for signing in
        [SigningState::Off, SigningState::Missing, SigningState::Other, SigningState::Unusable]
    {
        let signing_remedy = Some("why: what to do".to_owned());
        let health = deepid_edge::publish::Health { signing, signing_remedy, ..health() };
        assert_eq!(written(&health)["signing"], signing.name());
        all.push(("health", written(&health)));
    }
    let face_alone = Some((&FaceAlone::ENOUGH).into());
    let bare_info =
        deepid_edge::publish::Info { camera: None, models: vec![], face_alone, ..info() };
    all.push(("info", written(&bare_info)));
    let bare_health =
        deepid_edge::publish::Health { temperature_c: None, throttled: None, ..health() };
    all.push(("health", written(&bare_health)));
    let doubted = deepid_edge::publish::Health {
        clock: ClockTrust::Untrusted,
        clock_remedy: Some("why: what to do".to_owned()),
        unreadable_records: 1,
        ..health()
    };
    all.push(("health", written(&doubted)));
    all.extend(cameras().iter().map(|camera| ("camera", written(camera))));
    all.push(("camera", written(&camera_before_a_portrait())));
    for verdict in verdicts() {
        let mut without = decision(&clock(), verdict.clone());
        if !matches!(verdict, Verdict::Granted { .. }) {
            without.evidence = None;
        }
        let without = record(Body::Decision(DecisionRecord::from(&without)));
        for record in [decided(verdict), without] {
            let access = Access::of(&record).unwrap();
            all.push(("access", written(&access)));
            all.push(("access", written(&Access { name: Some("Ada".to_owned()), ..access })));
            all.push(("audit", written(&Audit::of(&record, false))));
        }
    }
    for event in administrative() {
        all.push(("audit", written(&Audit::of(&record(Body::Administrative(event)), true))));
    }
    all
}

#[test]
fn every_message_fits_its_schema() {
    for (name, message) in everything() {
        let errors: Vec<String> =
            validator(name).iter_errors(&message).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{message:#}");
    }
}

#[test]
fn every_key_that_is_written_is_described() {
    for (name, message) in everything() {
        let schema = schema_file(name);
        let keys = |schema: &Value| -> BTreeSet<String> {
            schema["properties"]
                .as_object()
                .map_or_else(BTreeSet::new, |p| p.keys().cloned().collect())
        };
        let mut described = keys(&schema);
        if name == "access" {
            described.extend(keys(&schema["$defs"]["statement"]));
        }
        for key in message.as_object().unwrap().keys() {
            assert!(described.contains(key), "{name}: '{key}' is not described");
        }
        let described = keys(&schema["$defs"]["statement"]);
        for key in message["decision"].as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(described.contains(key), "{name}.decision: '{key}' is not described");
        }
    }
}

#[test]
fn the_schemas_refuse_what_the_contract_forbids() {
    let good = written(&Access::of(&decided(Verdict::Granted { subject: subject() })).unwrap());
    let access = validator("access");
    assert!(access.is_valid(&good));
    for (key, value) in [
        ("schema", json!("deepid-edge/access/2")),
        ("outcome", json!("open")),
        ("outcome", json!("denied")),
        ("event_type", json!("unknown")),
        ("reason", json!("no_match")),
        ("subject", json!("Ada")),
        ("subject", Value::Null),
        ("seq", json!(0)),
        ("issued", json!("yesterday")),
        ("expires_in_ms", json!(60_000)),
        ("clock", json!("fine")),
    ] {
        let mut bad = good.clone();
        bad[key] = value.clone();
        assert!(!access.is_valid(&bad), "{key}: {value}");
    }
    for key in ["subject", "seq", "boot", "issued", "score", "threshold"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(key);
        assert!(!access.is_valid(&bad), "without {key}");
    }
    let mut both = written(&Audit::of(&decided(verdicts().remove(0)), false));
    both["administrative"] = json!({"event": "stopped"});
    assert!(!validator("audit").is_valid(&both));
}

#[test]
fn what_is_taken_for_a_challenge_is_what_its_schema_says() {
    let schema = validator("challenge");
    let good = json!({
        "schema": "deepid-edge/challenge/1", "listener": "garage", "nonce": "mYxq0p1bQkSg0H3yq7c2Xw",
    });
    let mut cases = vec![(good.clone(), true)];
    for (key, value, fits) in [
        ("listener", json!("g".repeat(32)), true),
        ("listener", json!("g".repeat(33)), false),
        ("listener", json!("Garage"), false),
        ("listener", json!(""), false),
        ("nonce", json!("n".repeat(16)), true),
        ("nonce", json!("n".repeat(15)), false),
        ("nonce", json!("n".repeat(43)), true),
        ("nonce", json!("n".repeat(44)), false),
        ("nonce", json!("n+n/n=n+n/n=n+n/n="), false),
        ("nonce", json!(7), false),
        ("schema", json!("deepid-edge/challenge/2"), false),
        ("more", json!(true), true),
    ] {
        let mut case = good.clone();
        case[key] = value;
        cases.push((case, fits));
    }
    for (case, fits) in cases {
        assert_eq!(schema.is_valid(&case), fits, "{case}");
        let now = deepid_edge::clock::Monotonic::default();
        let judged = Challenges::new(now).judge(false, case.to_string().as_bytes(), now);
        assert_eq!(judged.is_ok(), fits, "{case}: {judged:?}");
    }
}

#[test]
fn duress_is_told_on_audit_and_on_its_own_topic_and_nowhere_else() {
    let granted = decision(&clock(), Verdict::Granted { subject: subject() });
    let of = |duress| {
        let decision = Decision { duress, ..granted.clone() };
        record(Body::Decision(DecisionRecord::from(&decision)))
    };
    let (free, forced) = (of(false), of(true));
    assert_eq!(Access::of(&free), Access::of(&forced));
    assert_eq!(DuressMessage::of(&free), None);
    let told = written(&Audit::of(&forced, false));
    assert_eq!(told["duress"], true);
    let mut rest = told.clone();
    rest.as_object_mut().unwrap().remove("duress");
    assert_eq!(rest, written(&Audit::of(&free, false)));
    assert_eq!(DuressMessage::of(&forced).unwrap().subject, Some(subject()));
}

#[test]
fn both_schemas_say_the_same_of_a_decision() {
    let statement = |name: &str| schema_file(name)["$defs"]["statement"].clone();
    assert_eq!(statement("access"), statement("audit"));
}

#[test]
fn an_administrative_record_is_never_announced() {
    for event in administrative() {
        assert_eq!(Access::of(&record(Body::Administrative(event))), None);
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    for (name, message) in everything() {
        let text = message.to_string();
        match name {
            "access" => {
                let read: Access = serde_json::from_str(&text).unwrap();
                assert_eq!(written(&read), message);
            }
            "audit" => {
                let read: Audit = serde_json::from_str(&text).unwrap();
                assert_eq!(written(&read), message);
            }
            _ => {}
        }
    }
}

/// As text, because that is what travels: keys in order, numbers as they are written.
fn text_of<P: Payload>(payload: &P) -> String {
    let message = topics().message(payload);
    let text = String::from_utf8(message.payload).unwrap();
    format!("{} {:?}\n{}", message.topic, message.delivery, text.replace(",\"", ",\n\""))
}

#[test]
fn messages_are_written_as_agreed() {
    let granted = decided(Verdict::Granted { subject: subject() });
    insta::assert_snapshot!("access_granted", text_of(&Access::of(&granted).unwrap()));
    let mut empty = decision(&clock(), Verdict::Unknown(UnknownReason::EmptyGallery));
    empty.evidence = None;
    let empty = record(Body::Decision(DecisionRecord::from(&empty)));
    insta::assert_snapshot!("access_empty_gallery", text_of(&Access::of(&empty).unwrap()));
    insta::assert_snapshot!("audit_late", text_of(&Audit::of(&granted, true)));
    let removed = Administrative::SubjectRemoved { subject: subject() };
    let removed = record(Body::Administrative(removed));
    insta::assert_snapshot!("audit_administrative", text_of(&Audit::of(&removed, false)));
    insta::assert_snapshot!("presence", text_of(&Presence::new(true, 2)));
    insta::assert_snapshot!("camera_streaming", text_of(&cameras()[0]));
    insta::assert_snapshot!("camera_busy", text_of(&cameras()[3]));
    insta::assert_snapshot!("camera_still_face", text_of(&camera_before_a_portrait()));
    insta::assert_snapshot!("info", text_of(&info()));
    insta::assert_snapshot!("health", text_of(&health()));
    insta::assert_snapshot!("keys", text_of(&KeySet::of([&key()])));
    let status = topics().status(false);
    let text = String::from_utf8(status.payload.clone()).unwrap();
    insta::assert_snapshot!("status", format!("{} {:?}\n{text}", status.topic, status.delivery));
}

#[test]
fn the_document_names_every_topic_reason_and_state() {
    let path = format!("{}/docs/wire/README.md", env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(path).unwrap();
    let mut words: Vec<String> = Topic::ALL.iter().map(|t| t.name().to_owned()).collect();
    words.extend(verdicts().iter().map(|verdict| verdict.reason().to_owned()));
    words.extend(
        cameras().iter().map(|camera| written(camera)["state"].as_str().unwrap().to_owned()),
    );
    words.extend(["request/ping", "request/snapshot_health"].map(str::to_owned));
    for word in words {
        assert!(document.contains(&format!("`{word}`")), "docs/wire/README.md lacks `{word}`");
    }
}
