//! A door without a camera: store and broker session as the daemon joins them, decisions made up
//! by the test, and a clock that moves only when it is told to.
//!
//! [`Door::serve`] gives the daemon's own desk what the session asks it for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use deepid_edge::clock::{Clock, ClockTrust, ManualClock, Monotonic};
use deepid_edge::compare::{Metric, SubjectId};
use deepid_edge::daemon::desk::{Desk, Task};
use deepid_edge::daemon::signer::Signer;
use deepid_edge::decide::{Decision, DecisionLatency, Evidence, FramesCounted, Verdict};
use deepid_edge::inference::{ModelId, ProcedureHash};
use deepid_edge::policy::FaceAlone;
use deepid_edge::publish::message::{
    CAPABILITIES, CameraInfo, DatabaseState, FrameCounts, GalleryState, LatencyMs, ModelInfo,
};
use deepid_edge::publish::{
    Answered, Camera, CameraState, DeskRequest, Health, Info, Outgoing, Session, SessionEvent,
    SessionSettings, Topics,
};
use deepid_edge::sign::{KeyPlace, SignSettings, SigningState};
use deepid_edge::store::{Administrative, AuditRecord, Store, StoreSettings};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::mosquitto::PATIENCE;

pub const DOOR: &str = "front";
pub const BOOT: Uuid = Uuid::from_u128(0x7c0d_2f6a_1111_4222_8333_0000_0000_0001);
/// 2026-05-01T07:15:02.123Z.
pub const WALL_MS: i64 = 1_777_619_702_123;

pub fn settings(port: u16) -> SessionSettings {
    let topics = Topics::new("deepid-edge", DOOR).unwrap();
    SessionSettings {
        keep_alive_s: 5,
        backoff_first: Duration::from_millis(20),
        backoff_most: Duration::from_millis(100),
        ..SessionSettings::plain("127.0.0.1".to_owned(), port, topics)
    }
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Monotonic::from_millis(5_123_456), WALL_MS))
}

pub fn embedder() -> ModelId {
    ModelId::new("deepid2").unwrap()
}

pub fn info() -> Info {
    Info {
        schema: Info::schema(),
        door: DOOR.to_owned(),
        version: "0.1.0".to_owned(),
        boot: BOOT,
        models: vec![ModelInfo {
            role: "embed".to_owned(),
            id: embedder(),
            sha256: "0".repeat(64),
            procedure: Some(ProcedureHash::of_bytes([0x5a; 32])),
        }],
        camera: Some(CameraInfo {
            name: "A camera".to_owned(),
            origin: Some("device".to_owned()),
            identity: Some("usb:046d:0825:1A2B3C4D".to_owned()),
            recording: false,
            format: "YUYV".to_owned(),
            width: 640,
            height: 480,
            frames_per_s: 30.0,
        }),
        subjects: 2,
        references: 5,
        references_of_other_models: 0,
        references_of_unknown_file: 0,
        references_unreadable: 0,
        claimed_fpir: Some(2e-5),
        beyond_calibration: false,
        face_alone: Some((&FaceAlone { required_liveness: true, ..FaceAlone::ENOUGH }).into()),
        grant_key: None,
        watched: false,
        capabilities: CAPABILITIES.map(Into::into).to_vec(),
    }
}

pub fn health() -> Health {
    let latency = LatencyMs { p50: 8.5, p95: 12.0, p99: 20.25 };
    Health {
        schema: Health::schema(),
        uptime_s: 61,
        frames: FrameCounts {
            captured: 900,
            dropped: 3,
            undecodable: 1,
            processed: 897,
            passed_over: 240,
            per_s: 14.5,
        },
        stages: ["detect", "decision"].map(|stage| (stage.to_owned(), latency)).into(),
        rss_bytes: 31_457_280,
        temperature_c: Some(51.5),
        throttled: Some(false),
        clock: ClockTrust::Trusted,
        clock_remedy: None,
        outbox_depth: 0,
        unreadable_records: 0,
        database: DatabaseState::Ok,
        gallery: GalleryState::Ok,
        contested: false,
        locked_out_s: 0,
        signing: SigningState::Ok,
        signing_remedy: None,
        still_faces: 0,
    }
}

pub fn camera(clock: &ManualClock) -> Camera {
    Camera::new(CameraState::Streaming, clock.wall(), None)
}

/// A decision made now.
pub fn decision(clock: &ManualClock, verdict: Verdict) -> Decision {
    Decision {
        verdict,
        evidence: Some(Evidence {
            model: embedder(),
            metric: Metric::Cosine,
            score: Some(0.7312),
            threshold: 0.612,
            margin: Some(0.1841),
            claimed_fmr: Some(1e-5),
        }),
        faces: 1,
        frames: FramesCounted { agreeing: 3, considered: 4 },
        decided_at: clock.now(),
        wall: clock.wall(),
        latency: DecisionLatency { first_frame_us: 212_437, last_frame_us: 21_680 },
        duress: false,
        passback: false,
        passed: None,
        liveness: None,
    }
}

pub fn grant(clock: &ManualClock) -> Decision {
    let subject = SubjectId::new("s-4f9a1c").unwrap();
    decision(clock, Verdict::Granted { subject })
}

/// What comes from the session.
#[derive(Debug)]
enum Heard {
    Event(SessionEvent),
    Asked(DeskRequest),
}

pub struct Door {
    directory: tempfile::TempDir,
    pub desk: Desk,
    pub clock: Arc<ManualClock>,
    session: mpsc::Sender<Outgoing>,
    heard: Receiver<Heard>,
    /// How often the broker has accepted us.
    pub connections: u32,
    /// How often the session has asked for the outbox.
    outbox_asked: u32,
    /// Topics that the broker refused.
    pub forbidden: Vec<String>,
    runtime: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens a door that talks to the broker of `settings`.
    pub fn open(settings: SessionSettings) -> Self {
        Self::open_as(settings, BOOT)
    }

    /// The same as the run `boot`.
    pub fn open_as(settings: SessionSettings, boot: Uuid) -> Self {
        Self::open_with(settings, boot, None)
    }

    /// The same, whose grants are signed by the key `grant.key` beside its database.
    pub fn open_signing(settings: SessionSettings) -> Self {
        Self::open_with(settings, BOOT, Some("grant.key"))
    }

    fn open_with(settings: SessionSettings, boot: Uuid, key: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deepid-edge.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        let place = key.map(|name| KeyPlace::of(directory.path().join(name), None));
        let signer = Signer::new(SignSettings { place }, &mut store, clock().wall());
        let clock = clock();
        let (session, outgoing) = mpsc::channel(16);
        let (events_tx, mut events_rx) = mpsc::channel(16);
        let (forward, heard) = channel();
        let for_session: Arc<ManualClock> = Arc::clone(&clock);
        let runtime = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let asked = forward.clone();
                let desk = Box::new(move |request| {
                    drop(asked.send(Heard::Asked(request)));
                    Ok(())
                });
                let info = Info { boot, ..info() };
                let session = Session::new(settings, info, for_session, desk);
                let read = async {
                    while let Some(event) = events_rx.recv().await {
                        drop(forward.send(Heard::Event(event)));
                    }
                };
                tokio::join!(session.run(outgoing, events_tx), read);
            });
        });
        let desk = Desk::new(store, DOOR.to_owned(), boot).with_signer(signer);
        Self {
            directory,
            desk,
            clock,
            session,
            heard,
            connections: 0,
            outbox_asked: 0,
            forbidden: Vec::new(),
            runtime: Some(runtime),
        }
    }

    /// A file beside the database, or that itself (`deepid-edge.db`).
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Has the desk look at its keys, as it does once a second.
    pub fn look_at_keys(&mut self) {
        let mut outgoing = Vec::new();
        self.desk.look_at_keys(self.clock.wall(), &mut outgoing);
        for item in outgoing {
            self.send(item);
        }
    }

    pub fn send(&self, item: Outgoing) {
        self.session.blocking_send(item).unwrap();
    }

    /// Has the desk do `task`, and hands on what it hands out.
    fn handle(&mut self, task: Task) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        let (now, wall) = (self.clock.now(), self.clock.wall());
        self.desk.handle(task, now, wall, &mut outgoing);
        for item in &outgoing {
            self.send(item.clone());
        }
        outgoing
    }

    /// Decides: recorded, then announced.
    pub fn decide(&mut self, decision: &Decision) -> AuditRecord {
        let decision = Box::new(decision.clone());
        match self.handle(Task::Decided { decision, announce: true }).pop() {
            Some(Outgoing::Access { record, .. }) => record,
            other => panic!("not announced: {other:?}"),
        }
    }

    /// Does with what comes what the daemon does.
    fn serve(&mut self, heard: &Heard) {
        match heard {
            Heard::Asked(request) => {
                self.outbox_asked += u32::from(matches!(request, DeskRequest::Outbox { .. }));
                drop(self.handle(Task::Asked(request.clone())));
            }
            Heard::Event(SessionEvent::HealthWanted { reply }) => {
                let answer = Answered::Health(Box::new(health()));
                self.send(Outgoing::Answer { reply: reply.clone(), answer });
            }
            Heard::Event(SessionEvent::Connected) => self.connections += 1,
            Heard::Event(SessionEvent::NotAllowed { topic, .. }) => {
                self.forbidden.push(topic.clone());
            }
            Heard::Event(
                SessionEvent::Disconnected { .. }
                | SessionEvent::Contested(_)
                | SessionEvent::NotAnnounced { .. },
            ) => {}
        }
    }

    fn next(&mut self, what: &str) -> Heard {
        let Ok(heard) = self.heard.recv_timeout(PATIENCE) else { panic!("{what}: nothing came") };
        self.serve(&heard);
        heard
    }

    /// Serves until an event that `wanted` is true of, which is served, too.
    pub fn until(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&SessionEvent) -> bool,
    ) -> SessionEvent {
        loop {
            if let Heard::Event(event) = self.next(what)
                && wanted(&event)
            {
                return event;
            }
        }
    }

    /// Serves until the desk is asked what `wanted` is true of, which is served, too.
    pub fn until_asked(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&DeskRequest) -> bool,
    ) -> DeskRequest {
        loop {
            if let Heard::Asked(request) = self.next(what)
                && wanted(&request)
            {
                return request;
            }
        }
    }

    /// Serves until the outbox was asked for `times` times since the door was opened; a connection asks
    /// at once, and then for each record.
    pub fn until_outbox_asked(&mut self, times: u32) {
        while self.outbox_asked < times {
            self.next("asked for the outbox");
        }
    }

    /// Serves what has already come, and waits a moment for more.
    pub fn work(&mut self) {
        while let Ok(heard) = self.heard.recv_timeout(Duration::from_millis(50)) {
            self.serve(&heard);
        }
    }

    pub fn until_connected(&mut self) {
        self.until("connected", |event| *event == SessionEvent::Connected);
    }

    /// Serves until the broker has acknowledged all that was recorded.
    pub fn until_delivered(&mut self) {
        while self.desk.outbox_depth() > 0 {
            self.until_asked("acknowledged", |r| matches!(r, DeskRequest::Acknowledged { .. }));
        }
    }

    /// Says goodbye and waits for the end.
    pub fn close(mut self) {
        self.send(Outgoing::Stop);
        self.runtime.take().unwrap().join().unwrap();
    }
}
