//! A year of a door in a second: everybody comes and goes, clocks change, people leave for good, and
//! strangers try.
//!
//! In: a seed. Made-up faces go through the real visit with the real rules, on the clocks of Berlin. Out:
//! a table of each month, a snapshot; and for each grant whether it was lawful, judged by hours that are
//! written here a second time. Deliberately absent: pictures, networks, threads and files.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, also in what its cases share"
)]

#[path = "support/sight.rs"]
mod sight;
#[path = "support/visitor.rs"]
mod visitor;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use deepid_edge::clock::{Clock, ClockTrust, ManualClock, Monotonic, WallClock};
use deepid_edge::decide::{Decision, Effect, Observation, Seen, VisitPolicy};
use deepid_edge::door::{Event, Time};
use deepid_edge::policy::{Arming, LockoutPolicy, RuleBook, RuleName, Rules, Schedule, Terms};
use jiff::civil::{Date, DateTime, date, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use sight::{Script, ScriptedDoor};

const SEED: u64 = 20_260_101;
/// Visits of a day, on average a little less.
const VISITS: u64 = 24;
/// The door is not armed in these days, while everybody is away.
const AWAY: [Date; 2] = [date(2026, 8, 3), date(2026, 8, 17)];
const HOLIDAYS: [Date; 5] =
    [date(2026, 1, 1), date(2026, 4, 6), date(2026, 5, 1), date(2026, 12, 25), date(2026, 12, 26)];

/// `alice` lives here; `bob` works here on weekdays, and at night in July; `carol` cleans on Tuesdays, until the
/// end of September; the fourth is a stranger.
const WHO: [&str; 4] = ["alice", "bob", "carol", "stranger"];

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn book(arming: Arming) -> RuleBook {
    let name = |text: &str| RuleName::new(text).unwrap();
    let mut book = RuleBook { arming, holidays: HOLIDAYS.into(), ..RuleBook::default() };
    for (schedule, hours) in [
        ("office", "mon-thu 08:00-12:00,13:00-18:00; fri 08:00-14:00; 2026-12-24 08:00-12:00"),
        ("cleaning", "tue 08:00-12:00; holiday closed"),
    ] {
        book.schedules.insert(name(schedule), Schedule::read(hours).unwrap());
        book.groups.insert(name(schedule), Some(name(schedule)));
    }
    book.groups.insert(name("family"), None);
    let until = Some(date(2026, 10, 1).at(0, 0, 0, 0));
    for (number, group, until) in [(1, "family", None), (2, "office", None), (3, "cleaning", until)]
    {
        let terms = Terms { group: Some(name(group)), until, ..Terms::default() };
        book.subjects.insert(visitor::subject(number), terms);
    }
    book
}

/// The same again, in other words.
fn is_lawful(who: usize, at: DateTime) -> bool {
    let (day, clock) = (at.date(), at.time());
    if day >= AWAY[0] && day < AWAY[1] {
        return false;
    }
    let weekday = day.weekday().to_monday_one_offset();
    let morning = clock >= time(8, 0, 0, 0) && clock < time(12, 0, 0, 0);
    let afternoon = clock >= time(13, 0, 0, 0) && clock < time(18, 0, 0, 0);
    let holiday = HOLIDAYS.contains(&day);
    match who {
        0 => true,
        1 if day == date(2026, 12, 24) => morning,
        1 if weekday == 5 => !holiday && clock >= time(8, 0, 0, 0) && clock < time(14, 0, 0, 0),
        1 => !holiday && weekday < 5 && (morning || afternoon),
        2 => !holiday && weekday == 2 && morning && day < date(2026, 10, 1),
        _ => false,
    }
}

struct Year {
    door: ScriptedDoor,
    clock: ManualClock,
    sequence: u64,
    effects: Vec<Effect>,
    armed: bool,
}

impl Year {
    fn begin() -> Self {
        let begin = date(2026, 1, 1).to_zoned(zone()).unwrap().timestamp();
        let policy = VisitPolicy { lockout: LockoutPolicy::default(), ..visitor::policy() };
        Self {
            door: ScriptedDoor::new(Script::default(), policy),
            clock: ManualClock::new(Monotonic::from_millis(1_000_000), begin.as_millisecond()),
            sequence: 0,
            effects: Vec::new(),
            armed: false,
        }
    }

    fn local(&self) -> DateTime {
        let moment = Timestamp::from_millisecond(self.clock.wall().unix_ms).unwrap();
        zone().to_datetime(moment)
    }

    fn arm(&mut self, armed: bool) {
        if self.armed != armed {
            self.armed = armed;
            let rules = Rules::new(book(if armed { Arming::On } else { Arming::Off }), zone());
            self.step(Event::Ruled(Box::new(rules)));
        }
    }

    fn step(&mut self, event: Event<'_, Observation>) {
        self.door.step(event, Time::of(&self.clock), &mut self.effects);
    }

    fn frame(&mut self, seen: Seen) {
        self.sequence += 1;
        let (captured_at, wall) = (self.clock.now(), self.clock.wall());
        let observation =
            Observation { sequence: self.sequence, captured_at, wall, luminance: None, seen };
        self.step(Event::Frame(&observation));
        self.clock.advance(Duration::from_millis(200));
    }

    /// Somebody stands there for three seconds and goes; gives the visit's decision.
    fn visit(&mut self, who: usize) -> Option<Decision> {
        for _ in 0..15 {
            let seen = if who == 3 {
                let principal = visitor::face(1, true, 0.2, Some(0.3), 1.0);
                Seen::Faces { count: 1, principal }
            } else {
                visitor::good(who + 1)
            };
            self.frame(seen);
        }
        for _ in 0..10 {
            self.frame(Seen::NoFace);
        }
        let decided = self.effects.drain(..).filter_map(|effect| match effect {
            Effect::Decided { decision, .. } => Some(decision),
            Effect::Presence { .. } => None,
        });
        let mut decided: Vec<_> = decided.collect();
        assert!(decided.len() <= 1, "one visit, one decision");
        decided.pop()
    }
}

fn simulate(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut year = Year::begin();
    let mut table: BTreeMap<(i8, usize), BTreeMap<&'static str, u32>> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    let mut tries = 0;
    while year.local().date() < date(2027, 1, 1) {
        let day = year.local().date();
        year.arm(!(day >= AWAY[0] && day < AWAY[1]));
        // Now and then the board has lost its time, until a time service has set it.
        let doubted = random.u8(0..200) == 0;
        let wall = year.clock.wall();
        let trust = if doubted { ClockTrust::Untrusted } else { ClockTrust::Trusted };
        year.clock.set_wall(WallClock { trust, ..wall });
        // A stranger who tries comes again at once.
        tries = if tries > 0 {
            tries - 1
        } else if random.u8(0..100) == 0 {
            8
        } else {
            0
        };
        let who = if tries > 0 { 3 } else { [0, 0, 1, 1, 2, 3][random.usize(0..6)] };
        let before = year.local();
        if let Some(decision) = year.visit(who) {
            let granted = decision.verdict.reason() == "matched";
            if granted {
                assert!(is_lawful(who, before) || is_lawful(who, year.local()), "{who} {before}");
                assert!(!doubted, "{before}");
                assert_ne!(who, 3);
            }
            *table
                .entry((before.month(), who))
                .or_default()
                .entry(decision.verdict.reason())
                .or_default() += 1;
        }
        let now = year.clock.now();
        longest =
            longest.max(year.door.locked_until(now).map_or(Duration::ZERO, |end| end.since(now)));
        let pause = if who == 3 { 2 } else { random.u64(0..2 * 86_400 / VISITS) };
        year.clock.advance(Duration::from_secs(pause));
    }
    assert!(longest <= LockoutPolicy::default().longest);
    let mut text = String::new();
    for ((month, who), reasons) in &table {
        let name = WHO.get(*who).unwrap();
        write!(text, "{month:>2} {name:<9}").unwrap();
        for (reason, count) in reasons {
            write!(text, " {reason} {count}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_year_of_a_door() {
    let seed = std::env::var("DEEPID_EDGE_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("DEEPID_EDGE_SEED={seed}");
    let table = simulate(seed);
    if seed == SEED {
        insta::assert_snapshot!(table);
    }
}

#[test]
fn other_years_hold_too() {
    for seed in 1..=3 {
        println!("DEEPID_EDGE_SEED={seed}");
        simulate(seed);
    }
}

/// Whoever waits for the clock to change gets in no earlier and no later than the clock at the door says.
#[test]
fn hours_are_kept_on_the_days_on_which_the_clock_changes() {
    let rules = Rules::new(book(Arming::On), zone());
    for day in [date(2026, 3, 29), date(2026, 10, 25)] {
        let begin = day.to_zoned(zone()).unwrap().timestamp();
        for minute in 0..3 * 1440_i64 {
            let moment = begin.checked_add(minute.minutes()).unwrap();
            let at = zone().to_datetime(moment);
            for who in 0..3 {
                let wall = WallClock {
                    unix_ms: moment.as_millisecond(),
                    trust: ClockTrust::Trusted,
                    synchronised: true,
                };
                let subject = visitor::subject(who + 1);
                let asked = deepid_edge::policy::Asked {
                    subject: &subject,
                    enabled: true,
                    wall: Some(wall),
                    locked_out: false,
                    factor: false,
                    before: &[],
                };
                let allowed = rules.judge(&asked).refusal.is_none();
                assert_eq!(allowed, is_lawful(who, at), "{at} {who}");
            }
        }
    }
}
