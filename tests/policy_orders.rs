//! No order of events makes a door more lenient than its rules read alone.
//!
//! In: faces, second factors, PINs, rules that change, claims that are lost, resets of a lockout and time, in
//! orders drawn by proptest, through the real visit. Out: each grant, judged by what must have come before
//! it, which is kept here a second time and by itself. Deliberately absent: what the rules say of a moment
//! (`policy_properties`), pictures and networks.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, also in what its cases share"
)]

#[path = "support/sight.rs"]
mod sight;
#[path = "support/visitor.rs"]
mod visitor;

use std::time::Duration;

use deepid_edge::clock::{Clock, ClockTrust, ManualClock, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::decide::{Effect, Observation, Seen, Verdict, VisitPolicy};
use deepid_edge::door::{Event, Time};
use deepid_edge::policy::{
    Arming, Demand, FaceAlone, LockoutPolicy, PinResult, RuleBook, RuleName, Rules, Schedule,
    Terms, UntrustedClock,
};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use sight::{Script, ScriptedDoor};

/// For how long a second factor and company count.
const SECOND: Duration = Duration::from_secs(5);
/// 2026-05-01T07:15:02Z.
const WALL_MS: i64 = 1_777_619_702_000;

/// Everything that the rules can say here. The first two people are in the vault, the third is in no group.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Debug, Clone, Copy)]
struct Written {
    armed: bool,
    /// Whether a face alone is enough.
    enough: bool,
    factor: bool,
    company: bool,
    /// Whether arming, the vault's hours and what it needs follow the schedule that opens and closes every
    /// minute.
    arms: bool,
    hours: bool,
    during: bool,
    /// Whether a clock that is not trusted closes only what hangs on the time.
    timeless: bool,
}

impl Written {
    const NOTHING: Self = Self {
        armed: true,
        enough: true,
        factor: false,
        company: false,
        arms: false,
        hours: false,
        during: false,
        timeless: false,
    };
}

#[derive(Debug, Clone)]
enum Step {
    /// So many frames of the person, a fifth of a second apart.
    Faces(usize, u8),
    /// So many frames of nobody.
    Nobody(u8),
    Stranger,
    Factor(usize),
    Pin(usize, PinResult),
    Ruled(Written),
    LockoutReset,
    Untrusted(bool),
    Contested(bool),
    Wait(u64),
}

fn written() -> impl Strategy<Value = Written> {
    let often = || prop::bool::weighted(0.8);
    let seldom = || prop::bool::weighted(0.3);
    let shown = (often(), any::<bool>(), any::<bool>(), any::<bool>());
    (shown, seldom(), seldom(), any::<bool>(), any::<bool>()).prop_map(
        |((armed, enough, factor, company), arms, hours, during, timeless)| Written {
            armed,
            enough,
            factor,
            company,
            arms,
            hours,
            during,
            timeless,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let pin = (0_u8..3).prop_map(|kind| match kind {
        0 => PinResult::Right,
        1 => PinResult::Duress,
        _ => PinResult::Wrong,
    });
    prop_oneof![
        8 => (1_usize..4, 1_u8..8).prop_map(|(who, count)| Step::Faces(who, count)),
        4 => (1_u8..12).prop_map(Step::Nobody),
        1 => Just(Step::Stranger),
        4 => (1_usize..4).prop_map(Step::Factor),
        2 => (1_usize..4, pin).prop_map(|(who, result)| Step::Pin(who, result)),
        2 => written().prop_map(Step::Ruled),
        1 => Just(Step::LockoutReset),
        1 => any::<bool>().prop_map(Step::Untrusted),
        1 => any::<bool>().prop_map(Step::Contested),
        2 => (0_u64..6000).prop_map(Step::Wait),
        1 => (0_u64..90_000).prop_map(Step::Wait),
    ]
}

/// A door, and what must hold of its grants.
struct Watched {
    door: ScriptedDoor,
    clock: ManualClock,
    sequence: u64,
    effects: Vec<Effect>,
    rules: Written,
    trusted: bool,
    contested: bool,
    /// When the person's last second factor came that no grant has used.
    factors: [Option<Monotonic>; 3],
    /// When the person was seen last, by the rules that are in force.
    seen: [Option<Monotonic>; 3],
    grants: usize,
}

fn vault() -> RuleName {
    RuleName::new("vault").unwrap()
}

fn rules(written: Written) -> Rules {
    let mut book = RuleBook {
        arming: if written.armed { Arming::On } else { Arming::Off },
        ..RuleBook::default()
    };
    let ticks = || RuleName::new("ticks").unwrap();
    let spans = (15..39).step_by(2).map(|minute| format!("07:{minute}-07:{}", minute + 1));
    let spans = format!("daily {}", spans.collect::<Vec<_>>().join(","));
    book.schedules.insert(ticks(), Schedule::read(&spans).unwrap());
    book.arming_follows = written.arms.then(ticks);
    book.groups.insert(vault(), written.hours.then(ticks));
    let (company, during) = (written.company.then(vault), written.during.then(ticks));
    book.demands.insert(vault(), Demand { factor: written.factor, company, during });
    for who in [1, 2] {
        let terms = Terms { group: Some(vault()), ..Terms::default() };
        book.subjects.insert(visitor::subject(who), terms);
    }
    let face = FaceAlone { required_liveness: !written.enough, ..FaceAlone::ENOUGH };
    let untrusted = if written.timeless { UntrustedClock::Timeless } else { UntrustedClock::Deny };
    Rules::new(book, TimeZone::UTC).with_face_alone(face).with_untrusted_clock(untrusted)
}

/// Whether the schedule is open that opens and closes every minute, for 24 minutes.
fn ticks_open(unix_ms: i64) -> bool {
    let minute = unix_ms / 60_000 % (24 * 60);
    (435..459).contains(&minute) && minute % 2 == 1
}

impl Watched {
    fn begin() -> Self {
        let policy = VisitPolicy {
            second: SECOND,
            cooldown: Duration::from_millis(400),
            lockout: LockoutPolicy { visits: 2, ..LockoutPolicy::default() },
            ..visitor::policy()
        };
        let mut watched = Self {
            door: ScriptedDoor::new(Script::default(), policy),
            clock: ManualClock::new(Monotonic::from_millis(1_000_000), WALL_MS),
            sequence: 0,
            effects: Vec::new(),
            rules: Written { enough: false, ..Written::NOTHING },
            trusted: true,
            contested: false,
            factors: [None; 3],
            seen: [None; 3],
            grants: 0,
        };
        watched.take(&Step::Ruled(watched.rules));
        watched
    }

    fn event(&mut self, event: Event<'_, Observation>) {
        self.door.step(event, Time::of(&self.clock), &mut self.effects);
    }

    fn frame(&mut self, seen: Seen) {
        self.sequence += 1;
        let trust = if self.trusted { ClockTrust::Trusted } else { ClockTrust::Untrusted };
        let wall = WallClock { trust, ..self.clock.wall() };
        let captured_at = self.clock.now();
        let observation =
            Observation { sequence: self.sequence, captured_at, wall, luminance: None, seen };
        self.event(Event::Frame(&observation));
        self.judge();
        self.clock.advance(Duration::from_millis(200));
    }

    fn take(&mut self, step: &Step) {
        let now = self.clock.now();
        match *step {
            Step::Faces(who, count) => {
                for _ in 0..count {
                    self.seen[who - 1] = Some(self.clock.now());
                    self.frame(visitor::good(who));
                }
            }
            Step::Nobody(count) => (0..count).for_each(|_| self.frame(Seen::NoFace)),
            Step::Stranger => {
                for _ in 0..14 {
                    let principal = visitor::face(1, true, 0.2, Some(0.3), 1.0);
                    self.frame(Seen::Faces { count: 1, principal });
                }
                (0..10).for_each(|_| self.frame(Seen::NoFace));
            }
            Step::Factor(who) => {
                self.factors[who - 1] = Some(now);
                self.event(Event::Factor(visitor::subject(who)));
            }
            Step::Pin(who, result) => {
                // A PIN counts only for whoever is waited for.
                let awaited = self.door.awaited() == Some(&visitor::subject(who));
                if awaited && result != PinResult::Wrong {
                    self.factors[who - 1] = Some(now);
                }
                self.event(Event::Pin { subject: visitor::subject(who), result });
            }
            Step::Ruled(written) => {
                self.rules = written;
                self.seen = [None; 3];
                self.event(Event::Ruled(Box::new(rules(written))));
            }
            Step::LockoutReset => self.event(Event::LockoutReset),
            Step::Untrusted(untrusted) => self.trusted = !untrusted,
            Step::Contested(contested) => {
                self.contested = contested;
                self.event(Event::Contested(contested));
            }
            Step::Wait(wait_ms) => {
                self.clock.advance(Duration::from_millis(wait_ms));
                self.event(Event::Tick);
            }
        }
        self.judge();
    }

    /// Holds every new grant to what the rules in force need.
    fn judge(&mut self) {
        let now = self.clock.now();
        let granted: Vec<SubjectId> = self
            .effects
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Decided { decision, .. } => match decision.verdict {
                    Verdict::Granted { subject } => Some(subject),
                    _ => None,
                },
                Effect::Presence { .. } => None,
            })
            .collect();
        for subject in granted {
            self.grants += 1;
            let who = (1..4).find(|who| visitor::subject(*who) == subject).unwrap();
            let fresh = |at: Option<Monotonic>| at.is_some_and(|at| now.since(at) < SECOND);
            let Written { armed, enough, factor, company, arms, hours, during, timeless } =
                self.rules;
            let grouped = who < 3;
            assert!(armed && !self.contested, "{who} at {now:?}");
            assert!(self.door.locked_until(now).is_none(), "{who} at {now:?}");
            let open = ticks_open(self.clock.wall().unix_ms);
            let timed = arms || (grouped && hours);
            if self.trusted {
                assert!(open || !timed, "{who} at {now:?} outside of the hours");
            } else {
                assert!(timeless && !timed, "{who} at {now:?} without a clock");
            }
            let needed = grouped && (!during || open || !self.trusted);
            if !enough || (needed && factor) {
                assert!(fresh(self.factors[who - 1]), "{who} at {now:?} without a factor");
            }
            if needed && company {
                assert!(fresh(self.seen[2 - who]), "{who} at {now:?} without company");
            }
            // A grant uses it up, needed or not.
            self.factors[who - 1] = None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_makes_a_door_more_lenient_than_its_rules(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut watched = Watched::begin();
        for step in &steps {
            watched.take(step);
        }
    }
}

/// The orders above are such that people are granted, with and without each of the rules.
#[test]
fn whoever_has_what_is_needed_is_granted() {
    let mut watched = Watched::begin();
    let come = |watched: &mut Watched, who| {
        watched.take(&Step::Faces(who, 4));
        watched.take(&Step::Nobody(12));
        watched.grants
    };
    assert_eq!(come(&mut watched, 3), 0, "a face alone is not enough");
    watched.take(&Step::Factor(3));
    assert_eq!(come(&mut watched, 3), 1);
    watched.take(&Step::Faces(1, 4));
    watched.take(&Step::Pin(1, PinResult::Right));
    watched.take(&Step::Faces(1, 1));
    assert_eq!(watched.grants, 2);
    watched.take(&Step::Nobody(12));
    watched.take(&Step::Ruled(Written { company: true, ..Written::NOTHING }));
    assert_eq!(come(&mut watched, 1), 2, "nobody else was there");
    assert_eq!(come(&mut watched, 2), 3);
    watched.take(&Step::Ruled(Written { arms: true, hours: true, ..Written::NOTHING }));
    let until = |watched: &mut Watched, open| {
        while ticks_open(watched.clock.wall().unix_ms) != open {
            watched.take(&Step::Wait(1000));
        }
    };
    until(&mut watched, false);
    assert_eq!(come(&mut watched, 1), 3, "closed");
    until(&mut watched, true);
    assert_eq!(come(&mut watched, 1), 4);
    watched.take(&Step::Ruled(Written { factor: true, during: true, ..Written::NOTHING }));
    until(&mut watched, false);
    assert_eq!(come(&mut watched, 2), 5, "what is not needed now");
    watched.take(&Step::Ruled(Written { timeless: true, ..Written::NOTHING }));
    watched.take(&Step::Untrusted(true));
    assert_eq!(come(&mut watched, 1), 6);
}
