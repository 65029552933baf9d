//! `doctor`: is everything there that a door needs?
//!
//! In: the configuration. Out: for configuration, library, models, database, camera, broker and
//! clock a verdict (ok, warn, fail), what was found, and what to do. Invariants: nothing is changed
//! or made; one failed check keeps no other from running; warnings do not fail.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::exit::Kind;
use super::failure::Failure;
use super::findings::{CORRECT, Findings, Verdict};
use super::look;
use super::session::Session;
use super::usable::{self, Idle};
use crate::capture::v4l2::{Listing, list_cameras};
use crate::capture::{self, CaptureError, FrameSource};
use crate::clock::{Clock, Floor, Monotonic, SystemClock, utc};
use crate::compare::Operating;
use crate::config::Config;
use crate::detect::Detections;
use crate::enrol::{Bearing, Judge};
use crate::equip::{Cards, Networks};
use crate::frame::{Frame, PixelFormat};
use crate::inference::ModelKind;
use crate::liveness::Mode;
use crate::publish::message::rfc3339;
use crate::store::{Store, Usable};

/// The least patience with a camera that a program reads, in seconds.
const PROGRAM_PATIENCE_S: u32 = 15;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Seconds to wait for the first frame of the camera
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    patience: u32,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        let mut findings = Findings::default();
        let config = match session.config() {
            Err(failure) => {
                let (what, remedy) = failure.parts();
                let what = format!("{what}\nthe other checks leave out what is wrong here");
                let remedy = remedy.unwrap_or_else(|| CORRECT.to_owned());
                findings.fail("configuration", &Failure::new(failure.kind(), what, remedy));
                session.salvaged_config()
            }
            Ok(config) => {
                let place = config.file().map_or_else(
                    || "no file, defaults".to_owned(),
                    |path| path.display().to_string(),
                );
                findings.ok("configuration", place);
                Some(config)
            }
        };
        if let Some(config) = config {
            let opened = usable::opened(&config);
            // A database that cannot be read is told by the check of it.
            let store = opened.as_ref().ok().and_then(Option::as_ref);
            networks(&mut findings, &config, store);
            database(&mut findings, &config, opened.as_ref().map(Option::as_ref));
            camera(&mut findings, &config, self.patience);
            super::scene::check(&mut findings, &config);
            secrets(&mut findings, &config);
            broker(&mut findings, &config, store);
            clock(&mut findings, &config, store);
        }
        let worst = findings.worst();
        let value = serde_json::json!({ "verdict": worst, "checks": findings });
        session.tell(&findings, &value)?;
        Ok(if worst == Verdict::Fail { Kind::Negative } else { Kind::Done })
    }
}

fn networks(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let cards = match Cards::open(config) {
        Ok(cards) => cards,
        Err(error) => {
            let library = config.library_path().map(|path| path.display().to_string());
            match library {
                Ok(path) => findings.ok("library", format!("{path}; not opened without models")),
                Err(error) => findings.fail("library", &error.into()),
            }
            return findings.fail("model", &error.into());
        }
    };
    match Networks::open(config).and_then(|networks| Ok((networks, config.library_path()?))) {
        Err(error) => {
            findings.fail("library", &error.into());
            files(findings, config, &cards);
        }
        Ok((networks, path)) => {
            findings.ok("library", path.display().to_string());
            running(findings, config, &networks);
        }
    }
    threshold(findings, config, &cards, store);
    confirming(findings, config, &cards, store);
    liveness(findings, config, &cards);
}

/// What a visit must show to be of a face and not of a picture of one.
fn liveness(findings: &mut Findings, config: &Config, cards: &Cards) {
    let (mode, name) = (config.live.mode, &config.models.liveness);
    if mode == Mode::Off {
        return findings.warn(
            "liveness",
            "nothing is asked: a photograph of somebody enrolled opens this door".to_owned(),
            "set live.mode to 'deny' or 'confirm' (docs/liveness.md)",
        );
    }
    match cards.with_its_files(name).and_then(|_| cards.liveness_median(config)) {
        Ok(median) => findings.ok(
            "liveness",
            format!("{name}: mode '{}', a visit's median must reach {median:.3}", mode.name()),
        ),
        Err(error) => findings.fail("liveness", &error.into()),
    }
}

/// The confirming stage, where one is configured: its networks, and who can be confirmed.
fn confirming(findings: &mut Findings, config: &Config, cards: &Cards, store: Option<&Store>) {
    let fusion = match cards.fusion(config) {
        Ok(None) => return,
        Ok(Some(fusion)) => fusion,
        Err(error) => return findings.fail("confirm", &error.into()),
    };
    if let Err(error) = cards.with_its_files(&fusion.second.id) {
        return findings.fail("confirm", &error.into());
    }
    let (first, second) = (&fusion.first.id, &fusion.second.id);
    let references = |model| usable::references(store, config, cards, model).unwrap_or_default();
    let of = |model| references(model).into_iter().map(|reference| reference.subject);
    let (enrolled, known): (BTreeSet<_>, Vec<_>) = (of(first).collect(), of(second).collect());
    let operating = match cards.operating_fused(config, &fusion, known.len()) {
        Ok(operating) => operating,
        Err(error) => return findings.fail("confirm", &error.into()),
    };
    let lacking = enrolled.iter().filter(|subject| !known.contains(subject)).count();
    let what = format!(
        "{second} confirms each grant: fused score {:.3}, {} of {} people have its references",
        operating.threshold,
        enrolled.len() - lacking,
        enrolled.len()
    );
    if operating.beyond_accepted && !known.is_empty() {
        findings.fail("confirm", &beyond(config, &what, &operating));
    } else if lacking > 0 {
        findings.warn("confirm", what, "the others can never be granted: enrol them again");
    } else if operating.falls_short {
        findings.warn(
            "confirm",
            what,
            "the fusion's calibration supports no stricter claim: raise recognise.target_fpir to it, or enrol fewer people",
        );
    } else {
        findings.ok("confirm", what);
    }
}

/// What can be said of the models without the library: cards and files.
fn files(findings: &mut Findings, config: &Config, cards: &Cards) {
    let mut names = vec![&config.models.find, &config.models.follow, &config.models.embedder];
    names.dedup();
    for name in names {
        match cards.with_its_files(name) {
            Ok(_) => {
                findings.ok("model", format!("{name}: card and file belong together; not run"));
            }
            Err(error) => findings.fail("model", &error.into()),
        }
    }
}

/// The models on an empty picture.
fn running(findings: &mut Findings, config: &Config, networks: &Networks) {
    let blank = vec![128; 64 * 64 * 3];
    let size = (64, 64);
    let frame = Frame::new(&blank, PixelFormat::Rgb, size, 64 * 3, 0, Monotonic::default());
    let mut names = vec![&config.models.find];
    if config.models.follow != config.models.find {
        names.push(&config.models.follow);
    }
    for name in names {
        let looked =
            networks.detector(name, config).map_err(Failure::from).and_then(|mut found| {
                let Ok(frame) = &frame else { return Ok(()) };
                let whole = crate::detect::SsdDetector::whole(frame);
                found
                    .detect(frame, whole, 16.0, &mut Detections::default())
                    .map_err(|error| Failure::of(Kind::Model, &error))
            });
        match looked {
            Ok(()) => findings.ok("model", format!("{name}: loads and runs")),
            Err(failure) => findings.fail("model", &failure),
        }
    }
    embedder(findings, config, networks);
    match networks.liveness_network(config) {
        Ok(None) => {}
        Ok(Some(_)) => findings.ok("model", format!("{}: loads", config.models.liveness)),
        Err(error) => findings.fail("model", &error.into()),
    }
}

fn embedder(findings: &mut Findings, config: &Config, networks: &Networks) {
    let name = &config.models.embedder;
    let loads = || {
        networks.embedder(config)?;
        networks.cutter(config)?;
        networks.card(name)
    };
    let card = match loads() {
        Ok(card) => card,
        Err(error) => return findings.fail("model", &error.into()),
    };
    debug_assert_eq!(card.kind, ModelKind::Embedder, "Embedder::new refuses other kinds");
    findings.ok("model", format!("{name}: loads; {}", card.title));
}

/// Why nobody would be granted, whose threshold is said by `what`.
fn beyond(config: &Config, what: &str, operating: &Operating) -> Failure {
    let (why, remedy) = operating.beyond_words(config.accepted_fpir());
    Failure::new(Kind::Configuration, format!("{what}; {why}"), remedy)
}

fn threshold(findings: &mut Findings, config: &Config, cards: &Cards, store: Option<&Store>) {
    let references = usable::references(store, config, cards, &config.models.embedder);
    let references = references.map_or(1, |references| references.len().max(1));
    match cards.operating(config, config.recognise.metric, references) {
        Err(error) => findings.fail("threshold", &error.into()),
        Ok(operating) => {
            let claim = operating.claimed_fpir.map_or_else(
                || "no claim: the calibration does not cover it".to_owned(),
                |fpir| format!("{fpir:.1e} of strangers' attempts, by the model's calibration"),
            );
            let what = format!(
                "{} {:.3} for {references} references; {claim}",
                config.recognise.metric, operating.threshold
            );
            // Where a second embedder decides, its claim counts.
            if operating.beyond_accepted && config.models.confirm.is_none() {
                findings.fail("threshold", &beyond(config, &what, &operating));
            } else if operating.falls_short {
                findings.warn(
                    "threshold",
                    what,
                    "the model's calibration supports no stricter claim: raise recognise.target_fpir to it, enrol fewer people, or use a better model",
                );
            } else if operating.other_averaging {
                findings.warn(
                    "threshold",
                    what,
                    "the calibration was measured with the other setting of recognise.mirrored, so that the claim may be too good: change that setting, or use a model calibrated with it",
                );
            } else {
                findings.ok("threshold", what);
            }
        }
    }
}

fn database(findings: &mut Findings, config: &Config, opened: Result<Option<&Store>, &Failure>) {
    let path = &config.store.path;
    let store = match opened {
        Err(failure) => return findings.fail("database", failure),
        Ok(store) => store,
    };
    let Some(store) = store else {
        let what = format!("{}: not there yet", path.display());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let failure = Failure::new(
                Kind::Store,
                format!("{what}, nor is its folder"),
                "make the folder and give it to the user that runs deepid-edge, or name another file with '--database FILE' or store.path",
            );
            return findings.fail("database", &failure);
        }
        return findings.warn(
            "database",
            what,
            "enrol somebody: 'deepid-edge enroll NAME --image FILE'",
        );
    };
    unreadable(findings, store);
    match Database::look(store, config) {
        Err(failure) => findings.fail("database", &failure),
        Ok(database) => database.tell(findings, config),
    }
}

/// What a sound database holds.
struct Database {
    subjects: usize,
    outbox: u64,
    usable: Usable,
    idle: Vec<Idle>,
}

impl Database {
    fn look(store: &Store, config: &Config) -> Result<Self, Failure> {
        store.check()?;
        store.check_references(&config.models.embedder)?;
        let held = store.held()?;
        let cards = Cards::open(config).ok();
        // Without cards there is no procedure in use; the check of the models says so.
        let keys = cards.as_ref().and_then(|cards| cards.keys_in_use(config).ok());
        let usable = usable::usable(&held, keys.as_deref().unwrap_or_default());
        let idle = match &keys {
            Some(_) => usable::idle(&usable, cards.as_ref(), config),
            None => usable.unknown.iter().map(usable::of_unknown_file).collect(),
        };
        Ok(Self { subjects: store.subjects()?.len(), outbox: store.outbox_depth()?, usable, idle })
    }

    fn tell(self, findings: &mut Findings, config: &Config) {
        let Self { subjects, outbox, usable, idle } = self;
        let path = &config.store.path;
        let mut what = format!(
            "{}: sound; {subjects} subjects, {} references that count for {}, {outbox} records wait for the broker",
            path.display(),
            usable.compared,
            config.models.embedder
        );
        if usable.subjects_unreachable > 0 {
            let _infallible = write!(
                what,
                "; {} subjects cannot be recognised: they have no reference that counts",
                usable.subjects_unreachable
            );
        }
        for one in &idle {
            let _infallible = write!(what, "\n{}", one.what);
        }
        let remedies: Vec<&str> = idle.iter().map(|one| one.remedy.as_str()).collect();
        if let Err(error) = std::fs::OpenOptions::new().append(true).open(path) {
            findings.warn(
                "database",
                format!("{what}; it may not be written by this user ({error})"),
                "run this as the user of the service, or give that user the file",
            );
        } else if !idle.is_empty()
            && (usable.subjects_unreachable > 0 || !usable.unknown.is_empty())
        {
            findings.warn("database", what, remedies.join("; "));
        } else if usable.compared == 0 {
            findings.warn(
                "database",
                what,
                "nobody can be recognised: 'deepid-edge enroll NAME --image FILE'",
            );
        } else {
            findings.ok("database", what);
        }
    }
}

/// Records of the audit that this version cannot read. A database that is damaged is told by the
/// check of it.
fn unreadable(findings: &mut Findings, store: &Store) {
    if let Ok((count @ 1.., Some(first))) = store.unreadable_records() {
        findings.warn(
            "records",
            format!(
                "{count} audit records cannot be read, and are not published; the first is {} of {}: {}",
                first.seq,
                utc(first.issued_ms),
                first.what
            ),
            "install the version that wrote them; if none did, the file was changed by hand or is damaged: restore a backup",
        );
    }
}

fn camera(findings: &mut Findings, config: &Config, patience_s: u32) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(config.clock.require, Floor::default()));
    let opened = capture::open(config.source_settings(clock.now()), Arc::clone(&clock));
    let program = config.camera_program().filter(|_| config.camera.replay.path.is_none());
    if config.camera.replay.path.is_none() && program.is_none() {
        let listings = list_cameras(&config.camera_settings().wish);
        if listings.is_empty() {
            let remedy = "plug a camera in (a USB camera needs no driver of its own)";
            findings.warn("camera found", "none is plugged in", remedy);
        }
        for listing in listings {
            found(findings, &listing, config.camera.identity.as_deref());
        }
    }
    if let Err(error @ CaptureError::Busy { .. }) = &opened {
        // On a door that works, this is the daemon.
        return findings.warn(
            "camera",
            error.to_string(),
            "nothing, if it is this door's own daemon: its topic 'camera' says how the camera is, and names faces that do not move",
        );
    }
    // A program takes its time to find its camera.
    let patience_s =
        if program.is_some() { patience_s.max(PROGRAM_PATIENCE_S) } else { patience_s };
    let looked = || look_through(&mut *opened?, config, &*clock, patience_s);
    match looked() {
        Err(failure) => findings.fail("camera", &failure),
        Ok(what) if config.camera.replay.path.is_some() => findings.warn(
            "camera",
            format!("a recording stands in for the camera: {what}"),
            "unset camera.replay.path at a real door: whoever can change the recording can show any face",
        ),
        Ok(what) => findings.ok("camera", what),
    }
}

/// Looks through the camera: do frames come, and do the faces in them stand upright?
fn look_through(
    source: &mut dyn FrameSource,
    config: &Config,
    clock: &dyn Clock,
    patience_s: u32,
) -> Result<String, Failure> {
    let until = clock.now().plus(Duration::from_secs(patience_s.into()));
    // What is wrong with the networks, other checks say.
    let networks = Networks::open(config).ok();
    let mut judge = networks.and_then(|networks| Judge::new(config, &networks, Vec::new()).ok());
    let mut bearing = Bearing::Unknown;
    let seen = look::at(
        source,
        || clock.now() < until,
        |frame| {
            if let (Some(judge), Bearing::Unknown) = (&mut judge, &bearing) {
                bearing = judge.bearing(frame);
            }
        },
    )?;
    let what = seen.judged(source.description())?;
    match bearing {
        Bearing::Upright => Ok(format!("{what}; a face in them stands upright")),
        Bearing::Turned(why) => {
            let what = format!("{what}, but {}", why.finding());
            Err(Failure::new(Kind::Camera, what, why.remedy()))
        }
        Bearing::Unknown if judge.is_some() => Ok(format!(
            "{what}; whether faces stand upright is not known: stand before it and run this again"
        )),
        Bearing::Unknown => Ok(what),
    }
}

/// What is plugged in; that it is there is all right, whatever it can do, where it has a lens.
fn found(findings: &mut Findings, listing: &Listing, wanted: Option<&str>) {
    let what = listed(listing);
    match &listing.identity {
        Some(identity) if identity.is_virtual() && wanted.is_none() => findings.warn(
            "camera found",
            format!("{what}; it is virtual: whoever feeds it shows the door any face"),
            "name the camera of the door by camera.identity, so that this one never counts, and remove it",
        ),
        _ => findings.ok("camera found", what),
    }
}

/// One line of it.
fn listed(listing: &Listing) -> String {
    let name = listing.stable_name.as_ref().unwrap_or(&listing.node).display();
    let choice = match &listing.verdict {
        Ok(choice) => format!("would give {choice}"),
        Err(error) => error.to_string(),
    };
    let Some(identity) = &listing.identity else {
        return format!("{} ({name}): {choice}", listing.node.display());
    };
    let (node, card, line) = (listing.node.display(), identity.card(), identity.line());
    format!("{node} ({name}), {card}: {choice}; {line} lets no other count")
}

/// Whether the files for the broker are what they should be, and secrets kept from other users.
fn secrets(findings: &mut Findings, config: &Config) {
    let mqtt = &config.mqtt;
    let now_s = SystemClock::new(config.clock.require, Floor::default()).wall().unix_ms / 1000;
    let now_s = u64::try_from(now_s).unwrap_or_default();
    let troubles = config.session_settings().map(|settings| settings.troubles(now_s));
    for trouble in troubles.into_iter().flatten() {
        findings.fail("broker files", &Failure::of(Kind::Broker, &trouble));
    }
    let files = [&mqtt.password_file, &mqtt.tls.key, &config.camera.password_file];
    for path in files.into_iter().flatten() {
        let name = path.display().to_string();
        match std::fs::metadata(path) {
            // Told above, where the broker is in use.
            Err(_) => {}
            Ok(about) if about.permissions().mode() & 0o007 != 0 => findings.warn(
                "secrets",
                format!("{name}: every user of this machine can read it"),
                format!("'chmod o= {}', and give it to the user of the service", path.display()),
            ),
            Ok(_) => findings.ok("secrets", format!("{name}: kept from other users")),
        }
    }
}

fn broker(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let Some(settings) = config.session_settings() else {
        return findings.warn(
            "broker",
            "mqtt.enabled is false",
            "decisions are recorded and nobody is told; enable it, or leave it so",
        );
    };
    let at = format!("{}:{}", settings.host, settings.port);
    let probed = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Kind::Fault, &error))
        .and_then(|runtime| {
            let probe = crate::publish::probe(&settings);
            runtime.block_on(probe).map_err(|error| Failure::of(Kind::Broker, &error))
        });
    match probed {
        Err(failure) => findings.fail("broker", &failure),
        Ok(facts) if facts.tls || is_this_machine(&settings.host) => {
            let how = if facts.tls { "encrypted, its certificate is right" } else { "plain" };
            findings.ok("broker", format!("{at}: accepts this door; {how}"));
            door_id(findings, config, store, facts.speaks);
        }
        Ok(facts) => {
            findings.warn(
                "broker",
                format!("{at}: accepts this door; the connection is not encrypted"),
                "set mqtt.tls.enabled: on the network anybody could forge a decision",
            );
            door_id(findings, config, store, facts.speaks);
        }
    }
}

/// Whether another machine speaks to the broker as this door, by what this one has recorded and by
/// who `speaks` there.
fn door_id(findings: &mut Findings, config: &Config, store: Option<&Store>, speaks: Option<Uuid>) {
    let door = &config.door.id;
    let Some(run) = store.and_then(|store| store.newest_run().ok().flatten()) else { return };
    if let Some(contested_ms) = run.contested_ms {
        return findings.warn(
            "door id",
            format!(
                "{door}: another client spoke as this door at {}, or within the hour after it",
                rfc3339(contested_ms)
            ),
            "give every board a door.id of its own, or switch the old board off; then 'systemctl restart deepid-edge'",
        );
    }
    if speaks.is_some_and(|boot| boot != run.boot) {
        return findings.warn(
            "door id",
            format!("{door}: who spoke last as this door was another run than this machine's newest"),
            "nothing, if the service has not reached the broker since it was started; otherwise give every board a door.id of its own",
        );
    }
    findings.ok("door id", format!("{door}: no other client has spoken as this door"));
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn clock(findings: &mut Findings, config: &Config, store: Option<&Store>) {
    let floor = store.and_then(|store| store.clock_floor().ok()).unwrap_or_default();
    let (wall, doubt) = SystemClock::new(config.clock.require, floor).wall_with_doubt();
    let state = if wall.synchronised { "synchronised" } else { "not synchronised" };
    let what = format!("{}, {state}", utc(wall.unix_ms));
    match doubt {
        Some(doubt) => findings.fail(
            "clock",
            &Failure::new(
                Kind::Negative,
                format!("{what}: not trusted, so nothing would be granted: {doubt}"),
                doubt.remedy(),
            ),
        ),
        None if !wall.synchronised => findings.warn(
            "clock",
            what,
            "let a time service keep it right (systemd-timesyncd, chrony)",
        ),
        None => findings.ok("clock", what),
    }
}
