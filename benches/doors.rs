//! Many doors on one broker: how long they take to come, what a decision waits, what a restart costs.
//!
//! `cargo bench --bench doors`, or `make scale`; `DOORS=1000` says how many. Each door is the program's own
//! broker session with its own connection, all in this process; the broker is a real mosquitto on loopback,
//! and one client subscribes to all decisions as a hub does. Out: a table. Camera and networks are not part of
//! it: a door computes on its own board.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use deepid_edge::clock::{Clock, Monotonic, SystemClock};
use deepid_edge::daemon::desk::{Desk, Task};
use deepid_edge::decide::{UnknownReason, Verdict};
use deepid_edge::publish::{
    DeskRequest, Info, Outgoing, Session, SessionEvent, SessionSettings, Topics,
};
use deepid_edge::store::{AuditRecord, Store, StoreSettings};
use support::daemon::clock;
use support::door::{decision, info};
use support::mosquitto::{Broker, Mosquitto};
use support::subscriber::Subscriber;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Decisions a second, of all doors together, and for how long.
const RATES: [u32; 3] = [10, 100, 1_000];
const FOR: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(300);

/// One door: what is given to its session.
type ToSession = mpsc::Sender<Outgoing>;

struct Doors {
    each: Vec<ToSession>,
    /// Doors that were connected or lost, by number, and when.
    heard: Receiver<(usize, bool, Monotonic)>,
    clock: Arc<SystemClock>,
    began: Monotonic,
}

impl Doors {
    fn open(doors: usize, port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sessions = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let clock = Arc::new(clock());
        let began = clock.now();
        let (tell, heard) = channel();
        let each = (0..doors)
            .map(|number| {
                let topics = Topics::new("deepid-edge", &format!("door-{number:04}")).unwrap();
                // With the waits that a door has by itself: a storm is what these make of it.
                let settings = SessionSettings::plain("127.0.0.1".to_owned(), port, topics);
                let (session, outgoing) = mpsc::channel(64);
                let (events, mut happened) = mpsc::channel(64);
                let (tell, now, answer) = (tell.clone(), Arc::clone(&clock), session.clone());
                let desk = Box::new(move |request| {
                    // Nothing waits to be told: the outbox is empty.
                    if matches!(request, DeskRequest::Outbox { .. }) {
                        drop(answer.try_send(Outgoing::Audit(Vec::new())));
                    }
                    Ok(())
                });
                let info = Info { boot: boot(number), door: format!("door-{number:04}"), ..info() };
                let life = Session::new(settings, info, Arc::clone(&now) as Arc<dyn Clock>, desk);
                sessions.spawn(life.run(outgoing, events));
                sessions.spawn(async move {
                    while let Some(event) = happened.recv().await {
                        let connected = match event {
                            SessionEvent::Connected => true,
                            SessionEvent::Disconnected { .. } => false,
                            _ => continue,
                        };
                        let _nobody_waits = tell.send((number, connected, now.now()));
                    }
                });
                session
            })
            .collect();
        Self { each, heard, clock, began }
    }

    /// Waits until every door is connected; how long after `since` each one was.
    fn until_connected(&self, since: Monotonic) -> Vec<Duration> {
        let mut connected: HashMap<usize, Duration> = HashMap::new();
        while connected.len() < self.each.len() {
            let (door, is, at) = self.heard.recv_timeout(PATIENCE).unwrap();
            if is {
                connected.insert(door, at.since(since));
            } else {
                connected.remove(&door);
            }
        }
        let mut times: Vec<Duration> = connected.into_values().collect();
        times.sort_unstable();
        times
    }

    fn send(&self, door: usize, item: Outgoing) {
        self.each[door].blocking_send(item).unwrap();
    }

    /// Has doors in turn decide, `rate` times a second together; what each decision took to the hub.
    fn decide(&self, rate: u32, template: &AuditRecord, hub: &Hub) -> Vec<Duration> {
        let decisions = rate * FOR.as_secs() as u32;
        let (began, mut waiting, mut took) = (self.clock.now(), HashMap::new(), Vec::new());
        for number in 0..decisions {
            let due = began.plus(FOR * number / decisions);
            loop {
                let left = due.since(self.clock.now());
                hub.hear(left, &self.clock, &mut waiting, &mut took);
                if left.is_zero() {
                    break;
                }
            }
            let door = number as usize % self.each.len();
            let now = self.clock.now();
            let record = AuditRecord {
                boot: boot(door),
                seq: u64::from(number) + 1,
                monotonic_ms: now.as_millis(),
                ..template.clone()
            };
            waiting.entry(door).or_insert(now);
            self.send(door, Outgoing::Access { record, grant: None, name: None });
        }
        let until = self.clock.now().plus(Duration::from_secs(10));
        while !waiting.is_empty() && self.clock.now() < until {
            hub.hear(Duration::from_millis(20), &self.clock, &mut waiting, &mut took);
        }
        assert!(waiting.is_empty(), "{} decisions never came", waiting.len());
        took.sort_unstable();
        took
    }
}

/// Who listens to all doors.
struct Hub(Subscriber);

impl Hub {
    /// Takes in what comes within `time`, at least what is there.
    fn hear(
        &self,
        time: Duration,
        clock: &SystemClock,
        waiting: &mut HashMap<usize, Monotonic>,
        took: &mut Vec<Duration>,
    ) {
        for message in self.0.all_within(time) {
            let Some(rest) = message.topic.strip_suffix("/access") else { continue };
            let Some((_, number)) = rest.rsplit_once("door-") else { continue };
            if let Some(sent) = waiting.remove(&number.parse().unwrap()) {
                took.push(clock.now().since(sent));
            }
        }
    }
}

const fn boot(door: usize) -> Uuid {
    Uuid::from_u128(door as u128 + 1)
}

/// A decision as a desk records it.
fn template() -> AuditRecord {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap();
    let mut desk = Desk::new(store, "front".to_owned(), boot(0));
    let (clock, mut outgoing) = (support::door::clock(), Vec::new());
    let decision = Box::new(decision(&clock, Verdict::Unknown(UnknownReason::NoMatch)));
    let task = Task::Decided { decision, announce: true };
    desk.handle(task, clock.now(), clock.wall(), &mut outgoing);
    match outgoing.pop() {
        Some(Outgoing::Access { record, .. }) => record,
        other => unreachable!("{other:?}"),
    }
}

/// Resident memory of a process in megabytes.
fn resident_mb(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Processor time of a process in seconds: user and system, in hundredths (`proc_pid_stat(5)`).
fn worked_s(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let behind_name = stat.rsplit_once(')').unwrap().1;
    let times = behind_name.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn share(sorted: &[Duration], of: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * of) as usize].as_secs_f64() * 1e3
}

fn main() {
    let doors: usize = std::env::var("DOORS").map_or(1_000, |doors| doors.parse().unwrap());
    let Some(mut broker) = Mosquitto::start(&Broker::default()) else { return };
    let before = resident_mb("self");
    let all = Doors::open(doors, broker.port());
    let came = all.until_connected(all.began);
    println!("{doors} doors, one broker, all on this machine\n");
    println!(
        "first connection      {:8.0} ms median, {:8.0} ms the last",
        share(&came, 0.5),
        share(&came, 1.0)
    );
    all.clock.sleep(Duration::from_secs(3));
    println!(
        "memory of a session   {:8.0} kB each",
        (resident_mb("self") - before) * 1e3 / doors as f64
    );
    println!("memory of the broker  {:8.1} MB", resident_mb(&broker.process()));

    let (template, hub) =
        (template(), Hub(Subscriber::connect(broker.port(), "deepid-edge/+/access")));
    for rate in RATES {
        let before = worked_s(&broker.process());
        let took = all.decide(rate, &template, &hub);
        let busy = (worked_s(&broker.process()) - before) / FOR.as_secs_f64();
        println!(
            "{rate:5} decisions/s     {:8.2} ms median, {:8.2} ms p95, {:8.2} ms p99, broker {:4.1} % of a core",
            share(&took, 0.5),
            share(&took, 0.95),
            share(&took, 0.99),
            busy * 100.0
        );
    }
    drop(hub);

    // What was heard of the first connections is old now.
    while all.heard.try_recv().is_ok() {}
    broker.stop();
    let lost = all.clock.now();
    all.clock.sleep(Duration::from_secs(5));
    broker.start_again();
    let back = all.clock.now();
    let came = all.until_connected(back);
    println!(
        "broker away for {:.0} s   {:8.0} ms median, {:8.0} ms p95, {:8.0} ms the last door is back",
        back.since(lost).as_secs_f64(),
        share(&came, 0.5),
        share(&came, 0.95),
        share(&came, 1.0)
    );
    println!("memory of the broker  {:8.1} MB", resident_mb(&broker.process()));
}
