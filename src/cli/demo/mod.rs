//! `demo`: a person is enrolled, a visit is replayed, decisions arrive over MQTT.
//!
//! In: photographs that `make assets` fetched, and the script of a visit. Out: every decision as it
//! arrives, a closing table, and an exit code that says whether all came as the script expects.
//!
//! Nothing here is staged but the visit itself: the broker is a real one in this process, the
//! enrolment and the daemon are this very program as processes of their own, and what is shown was
//! read from the broker by a client that knows only the contract of the messages.
//! Everything lies in a temporary folder and is gone afterwards.

mod broker;
mod closing;
mod grants;
mod listener;
mod prepare;
mod process;
mod rules;
mod sheet;
mod story;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::{Value as Json, json};

use super::context::{Context, write_out};
use super::exit::Kind;
use super::failure::Failure;
use crate::clock::{Clock, ClockRequirement, Floor, Monotonic, SystemClock};
use crate::config::checkout;
use crate::decide::Outcome;
use crate::lab::scene::Script;
use closing::{Closing, Health};
use deepid_grant::Refusal;
use grants::{Grants, REFUSED};
use listener::{ANSWERS, Listener, Message};
use prepare::{ACCOUNT, Workplace, account, enroll, grant_key, introduce, operating, record};
use process::{Daemon, Memory, Settings};
use rules::Hub;
use story::{Access, Arrived};

/// The visit that is replayed.
const VISIT: &str = concat!(
    include_str!("../../../tests/data/visit.toml"),
    "\n",
    include_str!("../../../tests/data/tablet.toml")
);
/// First part of the demonstration's topics, and its door.
const BASE: &str = "deepid-edge";
const DOOR: &str = "demo";
/// How long to wait for a message before looking at everything else.
const TURN: Duration = Duration::from_millis(100);
/// With `--keep`: how long after the first pass the answer with its health is waited for, in seconds.
const LAST_WORDS_S: f64 = 30.0;
/// Marks the one request that the demonstration makes.
const MARK: &[u8] = b"after-the-first-pass";
/// How long messages may still arrive after the daemon has ended.
const AFTERMATH: Duration = Duration::from_millis(500);
/// How much longer than the recording the daemon may take.
const OVERTIME: Duration = Duration::from_secs(60);

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder of the demo's photographs; assets/photographs of the source checkout by default
    #[arg(long, value_name = "DIR")]
    photographs: Option<PathBuf>,
    /// Write a contact sheet of the visit, with boxes, scores and outcomes
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Replay as fast as frames are judged, not in real time
    #[arg(long, conflicts_with = "keep")]
    fast: bool,
    /// Only write the visit to FILE (MJPEG), for camera.replay.path or a virtual camera
    #[arg(long, value_name = "FILE", conflicts_with_all = ["picture", "fast", "keep"])]
    recording: Option<PathBuf>,
    /// Leave broker and daemon running afterwards, with the visit over and over, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What was heard from the daemon.
#[derive(Debug, Default)]
struct Heard {
    started_ms: Option<u64>,
    decisions: Vec<Arrived>,
    health: Option<Health>,
    /// Whether that health is the answer to a request.
    answered: bool,
    memory: Option<Memory>,
    grants: Grants,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let script = Script::parse(VISIT).map_err(|error| Failure::of(Kind::Fault, &error))?;
        let photographs = self.photographs()?;
        if let Some(recording) = &self.recording {
            record(context, script, &photographs, recording)?;
            return Ok(Kind::Done);
        }
        let interrupted = interruption()?;
        let clock: Arc<dyn Clock> =
            Arc::new(SystemClock::new(ClockRequirement::Plausible, Floor::default()));
        let place = Workplace::new()?;

        say(context, "A person is enrolled, a visit is replayed, decisions arrive over MQTT.")?;
        let broker =
            broker::start(clock.as_ref()).map_err(|error| Failure::of(Kind::Broker, &error))?;
        say(context, &format!("\nbroker     {broker}, embedded (rumqttd)"))?;
        // Whoever looks at the page needs more time than a fast replay takes.
        let page = if self.fast { None } else { broker::free_port().ok() };
        let settings = Settings {
            file: place.configure(self.fast, self.keep, broker, page)?,
            overrides: context.overrides(),
        };
        let enrolled = enroll(&settings, &script, &photographs)?;
        let subject = enrolled.first().cloned().unwrap_or_default();
        let (model, operating) = operating(&settings)?;
        introduce(context, &script, &enrolled, &model, &operating)?;
        let groups = script.enrolments.iter().map(|enrolment| enrolment.group.clone());
        let members: Vec<_> = enrolled.into_iter().zip(groups).collect();
        // A fast replay leaves nobody the time to show a tag.
        let hours = rules::make(&settings, &members, clock.wall(), !self.fast)?;
        say(context, &format!("rules      the cleaner may come {hours}, and at no other time"))?;
        let mut hub = None;
        if !self.fast {
            hub = Some(Hub::new(&settings, place.folder(), &subject)?);
            say(context, &format!("           {subject} needs a tag beside the face"))?;
        }
        let x = grant_key(&settings)?;
        say(context, &format!("grants     signed by the key {x}"))?;

        let recording = place.recording();
        record(context, script.clone(), &photographs, &recording)?;
        let topics = format!("{BASE}/{DOOR}/#");
        let watch = format!(
            "mosquitto_sub -V mqttv5 -h {} -p {} -v -t '{topics}'",
            broker.ip(),
            broker.port()
        );
        say(context, &format!("listening  {watch}"))?;
        if let Some(page) = page {
            let password = account(&settings, &place)?;
            say(
                context,
                &format!("page       http://{page}/, account '{ACCOUNT}', password '{password}'"),
            )?;
        }
        say(context, "\ndecisions as they arrive, in seconds of the visit:")?;
        let listener = Listener::start(broker, format!("{BASE}/{DOOR}/"), Arc::clone(&clock))
            .map_err(|error| system("a thread", &error))?;
        let mut daemon = Daemon::start(&settings, &place.log())
            .map_err(|error| system("the daemon's process", &error))?;
        let seconds = f64::from(script.frames()) / f64::from(script.picture.rate);
        let heard = self.watch(
            context,
            Grants::trusting(&x),
            hub.as_mut().map(|hub| (hub, &settings)),
            &script,
            &listener,
            &mut daemon,
            clock.as_ref(),
            &interrupted,
            seconds,
        )?;

        let parts = story::judge(&script, &subject, &heard.decisions);
        let granted = |one: &&Arrived| one.access.outcome == Outcome::Granted;
        let granted = heard.decisions.iter().filter(granted).count();
        let Grants { verified: grants_verified, refused, .. } = heard.grants;
        let safe = grants_verified == granted && refused == REFUSED;
        let closing = Closing {
            schema: "deepid-edge/demo/1",
            as_expected: parts.iter().all(|part| part.as_expected) && safe,
            subject,
            model,
            operating,
            frames_recorded: script.frames(),
            health: heard.health,
            faces: heard.decisions.iter().filter_map(|decision| decision.access.faces).sum(),
            decisions: heard.decisions.len(),
            grants_verified,
            grants_refused: refused.into_iter().map(Refusal::word).collect(),
            memory: heard.memory,
            parts,
        };
        context.tell(&closing, &closing)?;
        if let Some(picture) = &self.picture {
            let config = settings.config()?;
            let sheet = sheet::draw(&config, &recording, &script, &closing)?;
            sheet.save(picture).map_err(|error| Failure::of(Kind::Input, &error))?;
            say(context, &format!("contact sheet: {}", picture.display()))?;
        }
        if self.keep {
            stay(context, &watch, &listener, &mut daemon, &interrupted)?;
        }
        daemon.stop(clock.as_ref());
        Ok(if closing.as_expected { Kind::Done } else { Kind::Negative })
    }

    fn photographs(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.photographs {
            return Ok(folder.clone());
        }
        let folder = checkout().map(|checkout| checkout.join("assets/photographs"));
        folder.filter(|folder| folder.is_dir()).ok_or_else(|| {
            Failure::new(
                Kind::Input,
                "the demo's photographs are nowhere",
                "run 'make assets' in a source checkout, or name their folder with --photographs",
            )
        })
    }

    /// Listens until the recording is over.
    #[expect(clippy::too_many_arguments, reason = "one call, everything that it watches")]
    fn watch(
        &self,
        context: &Context,
        grants: Grants,
        mut hub: Option<(&mut Hub, &Settings)>,
        script: &Script,
        listener: &Listener,
        daemon: &mut Daemon,
        clock: &dyn Clock,
        interrupted: &AtomicBool,
        seconds: f64,
    ) -> Result<Heard, Failure> {
        let mut heard = Heard { grants, ..Heard::default() };
        let begun = clock.now();
        let (mut asked, mut ended): (bool, Option<Monotonic>) = (false, None);
        let mut attacked = false;
        loop {
            let message = listener.next(TURN);
            let quiet = message.is_none();
            if let Some(grant) = message.as_ref().filter(|message| message.topic == "grant") {
                say(context, &heard.grants.check(&grant.payload))?;
                if heard.grants.verified == 1 && !attacked {
                    attacked = true;
                    say(
                        context,
                        "         somebody else at the broker sends the grant twice more, and one of their own:",
                    )?;
                    for attack in grants::attacks(&grant.payload, clock.wall()) {
                        listener.pretend("grant", attack);
                    }
                }
            }
            let guidance =
                message.as_ref().filter(|message| message.topic == "guidance" && !message.retained);
            if let (Some((hub, settings)), Some(guidance)) = (&mut hub, guidance)
                && let Some(told) = hub.guided(settings, &guidance.payload)
            {
                say(context, &told)?;
            }
            let decision = message
                .filter(|message| !message.retained)
                .and_then(|message| heard.take(&message));
            if let Some(decision) = decision {
                say(context, &told(script, &decision))?;
            }
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::new(Kind::Declined, "interrupted", "start it again"));
            }
            heard.memory = daemon.memory().or(heard.memory);
            let now = clock.now();
            match (ended, daemon.ended().map_err(|error| system("the daemon's process", &error))?) {
                (Some(ended), _) if quiet && now.since(ended) >= AFTERMATH => return Ok(heard),
                (None, Some(status)) if !status.success() => return Err(died(daemon)),
                (None, Some(_)) => ended = Some(now),
                _ => {}
            }
            let late = now.since(begun).as_secs_f64() - seconds;
            // A daemon that ends tells its health by itself; one that goes on must be asked, when
            // by its own clock the first pass is over.
            let over = heard.started_ms.is_some_and(|started| {
                now.as_millis().saturating_sub(started) as f64 / 1000.0 > seconds
            });
            if self.keep && over && !asked {
                listener.request("snapshot_health", MARK);
                asked = true;
            }
            if self.keep && (heard.answered || late > LAST_WORDS_S) {
                return Ok(heard);
            }
            if late > OVERTIME.as_secs_f64() {
                let what = "the daemon does not come to the end of the recording".to_owned();
                return Err(Failure::new(Kind::Fault, what, daemon.last_words()));
            }
        }
    }
}

/// Leaves broker and daemon running until somebody wants the end; `watch` is the command that listens.
fn stay(
    context: &Context,
    watch: &str,
    listener: &Listener,
    daemon: &mut Daemon,
    interrupted: &AtomicBool,
) -> Result<(), Failure> {
    say(
        context,
        &format!(
            "\nThe visit goes on, at the page, too. Watch it in another terminal:\n  {watch}\nEnd it with Ctrl-C."
        ),
    )?;
    while !interrupted.load(Ordering::Relaxed) {
        // Whoever stays must listen, or messages would pile up.
        let _seen = listener.next(TURN);
        if !matches!(daemon.ended(), Ok(None)) {
            return Err(died(daemon));
        }
    }
    Ok(())
}

impl Heard {
    /// Takes a message in; a decision is given back.
    fn take(&mut self, message: &Message) -> Option<Arrived> {
        let payload = message.payload.as_slice();
        match message.topic.as_str() {
            "access" => {
                let access: Access = serde_json::from_slice(payload).ok()?;
                let whole: Json = serde_json::from_slice(payload).unwrap_or_default();
                let issued = whole.get("issued").and_then(Json::as_str);
                self.grants.issued(issued.unwrap_or_default());
                let since = access.monotonic_ms.saturating_sub(self.started_ms.unwrap_or(0));
                let decision = Arrived { seconds: since as f64 / 1000.0, access };
                self.decisions.push(decision.clone());
                return Some(decision);
            }
            "audit" => {
                let audit: Json = serde_json::from_slice(payload).ok()?;
                if audit.pointer("/administrative/event") == Some(&json!("started")) {
                    self.started_ms = audit.get("monotonic_ms").and_then(Json::as_u64);
                }
            }
            "health" if !self.answered => {
                self.health = serde_json::from_slice(payload).ok().or(self.health.take());
            }
            ANSWERS if message.correlation.as_deref() == Some(MARK) => {
                self.answered = true;
                self.health = serde_json::from_slice(payload).ok().or(self.health.take());
            }
            _ => {}
        }
        None
    }
}

/// One decision in one line.
fn told(script: &Script, decision: &Arrived) -> String {
    let access = &decision.access;
    let outcome = story::outcome_name(access.outcome);
    let score = match (access.score, access.threshold) {
        (Some(score), Some(threshold)) => format!("score {score:.3}, threshold {threshold:.3}"),
        _ => String::new(),
    };
    let who = match (&access.subject, access.outcome) {
        (Some(subject), Outcome::Granted | Outcome::Denied) => subject.as_str(),
        _ => "",
    };
    let part = script.parts.get(story::part_of(script, decision.seconds));
    let part = part.map_or("", |part| part.name.as_str());
    format!(
        "{:>6.1} s  {outcome:<10} {:<14} {who:<9} {score:<32} {}",
        decision.seconds,
        access.reason,
        closing::cut(part, 40)
    )
}

/// Becomes true when somebody wants the end: Ctrl-C, or a service manager's request.
fn interruption() -> Result<Arc<AtomicBool>, Failure> {
    let wanted = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&wanted);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| system("an event loop", &error))?;
    std::thread::Builder::new()
        .name("demo-signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                noted.store(true, Ordering::Relaxed);
            });
        })
        .map_err(|error| system("a thread", &error))?;
    Ok(wanted)
}

fn say(context: &Context, text: &str) -> Result<(), Failure> {
    if context.json() { Ok(()) } else { write_out(text) }
}

fn system(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        Kind::Fault,
        format!("the system refused {what}: {error}"),
        "look at the limits of this user ('ulimit -a')",
    )
}

fn died(daemon: &Daemon) -> Failure {
    let what = format!("the daemon ended by itself:\n{}", daemon.last_words());
    Failure::new(Kind::Fault, what, "what its log says; 'deepid-edge doctor' looks at everything")
}
