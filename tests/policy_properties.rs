//! What holds of the rules whatever is written and whenever: random rule books, times and events.
//!
//! In: books, questions and failed visits, drawn by proptest. Out: properties, judged by rules written
//! here a second time: hours are counted out minute by minute.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in what cases share")]

use std::collections::BTreeSet;
use std::time::Duration;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::policy::{
    Arming, Asked, Demand, Direction, FaceAlone, Lockout, LockoutPolicy, PassbackMode,
    PassbackPolicy, RuleBook, RuleName, Rules, Schedule, Side, Terms, UntrustedClock, Whereabouts,
    note_whereabouts,
};
use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use proptest::prelude::*;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Hours of a day as pairs of minutes, of which the second may be of the next day.
type Spans = Vec<(u16, u16)>;

/// A schedule, as it is written and as pairs.
#[derive(Debug, Clone)]
struct Written {
    week: Vec<Spans>,
    holiday: Spans,
    dates: Vec<(Date, Spans)>,
}

fn spans() -> impl Strategy<Value = Spans> {
    let span = (0_u16..1440, 1_u16..=1440).prop_filter("of some length", |(from, to)| from != to);
    prop::collection::vec(span, 0..4)
}

/// A day of the year in which the clock changes twice.
fn day() -> impl Strategy<Value = Date> {
    (0_i64..365).prop_map(|days| date(2026, 1, 1).checked_add(days.days()).unwrap())
}

fn written() -> impl Strategy<Value = Written> {
    let dates = prop::collection::btree_map(day(), spans(), 0..4);
    (prop::collection::vec(spans(), 7), spans(), dates).prop_map(|(week, holiday, dates)| Written {
        week,
        holiday,
        dates: dates.into_iter().collect(),
    })
}

fn text(spans: &Spans) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let spans: Vec<String> =
        spans.iter().map(|(from, to)| format!("{}-{}", clock(*from), clock(*to))).collect();
    if spans.is_empty() { "closed".to_owned() } else { spans.join(",") }
}

impl Written {
    fn text(&self) -> String {
        let week = DAYS.iter().zip(&self.week).map(|(day, spans)| format!("{day} {}", text(spans)));
        let holiday = std::iter::once(format!("holiday {}", text(&self.holiday)));
        let dates = self.dates.iter().map(|(date, spans)| format!("{date} {}", text(spans)));
        week.chain(holiday).chain(dates).collect::<Vec<_>>().join("; ")
    }

    fn of(&self, date: Date, holidays: &BTreeSet<Date>) -> &Spans {
        if let Some((_, spans)) = self.dates.iter().find(|(other, _)| *other == date) {
            return spans;
        }
        if holidays.contains(&date) {
            return &self.holiday;
        }
        let place = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap();
        self.week.get(place).unwrap()
    }

    /// Every minute that is open on the clock, counted out over a day and the one before it.
    fn is_open(&self, at: DateTime, holidays: &BTreeSet<Date>) -> bool {
        let yesterday = at.date().yesterday().unwrap();
        let now =
            1440 + u32::from(at.hour().unsigned_abs()) * 60 + u32::from(at.minute().unsigned_abs());
        [(yesterday, 0), (at.date(), 1440)].into_iter().any(|(date, begins)| {
            self.of(date, holidays).iter().any(|(from, to)| {
                let end = if to < from { to + 1440 } else { *to };
                (*from..end).any(|minute| begins + u32::from(minute) == now)
            })
        })
    }
}

/// Everything that can be written of somebody, and asked.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Debug, Clone)]
struct Question {
    written: Written,
    holidays: BTreeSet<Date>,
    grouped: bool,
    scheduled: bool,
    armed_by_hours: bool,
    timeless: bool,
    from: Option<DateTime>,
    until: Option<DateTime>,
    arming: Arming,
    enabled: bool,
    trusted: bool,
    locked_out: bool,
    needs_factor: bool,
    factor: bool,
    duress: bool,
    face: FaceAlone,
    unix_ms: i64,
}

fn time() -> impl Strategy<Value = DateTime> {
    (day(), 0_i8..24, 0_i8..60).prop_map(|(date, hour, minute)| date.at(hour, minute, 0, 0))
}

/// A claim and what is required of it, in steps, so that they are often the same.
fn face() -> impl Strategy<Value = FaceAlone> {
    let rate = || (0_i32..5).prop_map(|step| 10_f64.powi(step - 4));
    let claimed = prop::option::weighted(0.8, rate());
    (claimed, rate(), any::<bool>(), any::<bool>()).prop_map(
        |(claimed_fpir, required_fpir, liveness, required_liveness)| FaceAlone {
            claimed_fpir,
            required_fpir,
            liveness,
            required_liveness,
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    let begin = date(2026, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp().as_millisecond();
    let unix_ms = (0_i64..365 * 86_400).prop_map(move |second| begin + second * 1000);
    let often = || prop::bool::weighted(0.9);
    let arming = (0_u8..8, 0_i64..365 * 86_400).prop_map(move |(kind, second)| match kind {
        0 => Arming::Off,
        1 => Arming::Until(begin + second * 1000),
        _ => Arming::On,
    });
    let hours = (often(), often(), prop::bool::weighted(0.2), any::<bool>());
    let book = (written(), prop::collection::btree_set(day(), 0..20), hours);
    let validity = (prop::option::weighted(0.3, time()), prop::option::weighted(0.3, time()));
    let second = (prop::bool::weighted(0.3), often(), any::<bool>(), face());
    (book, validity, arming, often(), often(), often(), second, unix_ms).prop_map(
        |(
            (written, holidays, (grouped, scheduled, armed_by_hours, timeless)),
            (from, until),
            arming,
            enabled,
            trusted,
            free,
            (needs_factor, factor, duress, face),
            unix_ms,
        )| {
            let locked_out = !free;
            Question {
                written,
                holidays,
                grouped,
                scheduled,
                armed_by_hours,
                timeless,
                from,
                until,
                arming,
                enabled,
                trusted,
                locked_out,
                needs_factor,
                factor,
                duress,
                face,
                unix_ms,
            }
        },
    )
}

fn subject() -> SubjectId {
    SubjectId::new("s-000001").unwrap()
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

impl Question {
    fn rules(&self) -> Rules {
        let (group, schedule) = (RuleName::new("group").unwrap(), RuleName::new("hours").unwrap());
        let mut book = RuleBook {
            arming: self.arming,
            arming_follows: self.armed_by_hours.then(|| schedule.clone()),
            holidays: self.holidays.clone(),
            ..RuleBook::default()
        };
        book.schedules.insert(schedule.clone(), Schedule::read(&self.written.text()).unwrap());
        book.groups.insert(group.clone(), self.scheduled.then_some(schedule));
        if self.needs_factor {
            book.demands.insert(group.clone(), Demand { factor: true, ..Demand::default() });
        }
        let group = self.grouped.then_some(group);
        book.subjects.insert(
            subject(),
            Terms { group, from: self.from, until: self.until, duress: self.duress },
        );
        let untrusted = if self.timeless { UntrustedClock::Timeless } else { UntrustedClock::Deny };
        Rules::new(book, zone()).with_face_alone(self.face).with_untrusted_clock(untrusted)
    }

    /// Whether any rule that concerns the subject hangs on the time.
    fn hangs_on_time(&self) -> bool {
        let timed_arming = matches!(self.arming, Arming::Until(_)) || self.armed_by_hours;
        let hours = self.grouped && self.scheduled;
        timed_arming || hours || self.from.or(self.until).is_some()
    }

    fn is_allowed(&self) -> bool {
        self.is_allowed_by(&self.rules())
    }

    fn is_allowed_by(&self, rules: &Rules) -> bool {
        let trust = if self.trusted { ClockTrust::Trusted } else { ClockTrust::Untrusted };
        let asked = Asked {
            subject: &subject(),
            enabled: self.enabled,
            wall: Some(WallClock { unix_ms: self.unix_ms, trust, synchronised: false }),
            locked_out: self.locked_out,
            factor: self.factor,
            before: &[],
        };
        rules.judge(&asked).refusal.is_none()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_schedule_is_open_in_the_minutes_that_are_written(written in written(), holidays in prop::collection::btree_set(day(), 0..20), at in time()) {
        let schedule = Schedule::read(&written.text()).unwrap();
        prop_assert_eq!(schedule.at(at, &holidays).1, written.is_open(at, &holidays));
        prop_assert_eq!(&Schedule::read(&schedule.to_string()).unwrap(), &schedule, "as it is shown");
    }

    #[test]
    fn every_rule_must_let_pass_by_itself(question in question()) {
        let moment = Timestamp::from_millisecond(question.unix_ms).unwrap();
        let zoned = moment.to_zoned(zone());
        let mut all = question.enabled && !question.locked_out;
        all &= question.trusted || (question.timeless && !question.hangs_on_time());
        all &= match question.arming {
            Arming::On => true,
            Arming::Off => false,
            Arming::Until(end) => question.unix_ms < end,
        };
        // Where a time comes twice, either is enough to refuse.
        let both = |time: DateTime| {
            let ambiguous = zone().to_ambiguous_timestamp(time);
            [ambiguous.earlier().unwrap(), ambiguous.later().unwrap()]
        };
        all &= question.from.is_none_or(|from| both(from).iter().all(|from| moment >= *from));
        all &= question.until.is_none_or(|until| both(until).iter().all(|until| moment < *until));
        if question.armed_by_hours || (question.grouped && question.scheduled) {
            all &= question.written.is_open(zoned.datetime(), &question.holidays);
        }
        all &= !question.grouped || !question.needs_factor || question.factor;
        let FaceAlone { claimed_fpir, required_fpir, liveness, required_liveness } = question.face;
        // The rates are a factor of ten apart, or the same.
        let claim = claimed_fpir.unwrap_or(1.0) < 2.0 * required_fpir;
        all &= question.factor || (claim && (liveness || !required_liveness));
        prop_assert_eq!(question.is_allowed(), all);
    }

    #[test]
    fn what_is_doubted_or_limited_further_never_lets_pass_who_did_not(question in question(), earlier in time()) {
        if !question.is_allowed() {
            let limit = |until: Option<DateTime>| Some(until.map_or(earlier, |until| until.min(earlier)));
            let stricter = [
                Question { enabled: false, ..question.clone() },
                Question { trusted: false, ..question.clone() },
                Question { timeless: false, ..question.clone() },
                Question { armed_by_hours: true, ..question.clone() },
                Question { locked_out: true, ..question.clone() },
                Question { arming: Arming::Off, ..question.clone() },
                Question { needs_factor: true, ..question.clone() },
                Question { factor: false, ..question.clone() },
                Question { duress: !question.duress, ..question.clone() },
                Question { face: FaceAlone { claimed_fpir: None, ..question.face }, ..question.clone() },
                Question { face: FaceAlone { claimed_fpir: Some(f64::NAN), ..question.face }, ..question.clone() },
                Question { face: FaceAlone { required_fpir: question.face.required_fpir / 10.0, ..question.face }, ..question.clone() },
                Question { face: FaceAlone { liveness: false, ..question.face }, ..question.clone() },
                Question { face: FaceAlone { required_liveness: true, ..question.face }, ..question.clone() },
                Question { until: limit(question.until), ..question.clone() },
            ];
            for question in stricter {
                prop_assert!(!question.is_allowed(), "{question:?}");
            }
        }
    }

    /// Whatever the clock shows, what it shows opens nothing where it is not trusted; and who passes then
    /// passes whatever it shows.
    #[test]
    fn without_a_trusted_clock_whatever_hangs_on_time_refuses(question in question(), other in any::<i64>()) {
        let doubted = Question { trusted: false, ..question };
        let elsewhen = Question { unix_ms: other, ..doubted.clone() };
        prop_assert_eq!(doubted.is_allowed(), elsewhen.is_allowed());
        prop_assert!(!doubted.is_allowed() || (doubted.timeless && !doubted.hangs_on_time()));
    }

    /// In whatever order news of passages comes, the last of them counts; and whatever is known of them,
    /// it lets nobody pass who could not, and keeps nobody from leaving.
    #[test]
    fn no_order_of_passages_makes_the_rules_more_lenient(
        question in question(), shuffle in any::<u64>(), hard in any::<bool>(), out in any::<bool>(),
        passages in prop::collection::vec((0_i64..400, prop::option::of(any::<bool>())), 0..6)
    ) {
        let minute = 60_000;
        let mut news: Vec<_> = (0..).zip(&passages).map(|(number, (ago, inside))| {
            // No two of them at once.
            let since_ms = question.unix_ms - ago * minute - number;
            let side = inside.map(|inside| if inside { Side::Inside } else { Side::Outside });
            Whereabouts { side, since_ms }
        }).collect();
        let last = news.iter().max_by_key(|at| at.since_ms).copied();
        let turn = usize::try_from(shuffle % 7).unwrap();
        let length = news.len().max(1);
        news.rotate_left(turn % length);
        if shuffle % 2 == 0 {
            news.reverse();
        }
        let mut known = std::collections::BTreeMap::new();
        for at in news {
            note_whereabouts(&mut known, &subject(), at, question.unix_ms);
        }
        prop_assert_eq!(known.get(&subject()).copied(), last);
        let policy = PassbackPolicy {
            mode: if hard { PassbackMode::Hard } else { PassbackMode::Soft },
            direction: if out { Direction::Out } else { Direction::In },
            forget: Duration::from_secs(3600),
            same: Duration::from_secs(60),
            refuse_out: false,
        };
        let mut rules = question.rules().with_passback(policy);
        for (who, at) in &known {
            rules.note_passage(who, *at, question.unix_ms);
        }
        let allowed = question.is_allowed_by(&rules);
        prop_assert!(question.is_allowed() || !allowed, "more lenient");
        let inside = last.is_some_and(|at| {
            let age_ms = question.unix_ms - at.since_ms;
            at.side == Some(Side::Inside) && (60_000..3_600_000).contains(&age_ms)
        });
        prop_assert_eq!(allowed, question.is_allowed() && !(hard && !out && inside));
    }

    #[test]
    fn text_that_is_no_schedule_never_panics(text in ".{0,60}", days in "[a-z0-9, -]{0,12}", hours in "[0-9:, -]{0,24}") {
        drop(Schedule::read(&text));
        drop(Schedule::read(&format!("{days} {hours}")));
    }

    #[test]
    fn a_lockout_is_earned_bounded_and_forgotten_by_a_grant(
        visits in 1_u32..6, window in 1_u64..400, longest in 30_u64..900,
        events in prop::collection::vec((0_u64..120, 0_u8..10), 0..200)
    ) {
        let policy = LockoutPolicy {
            visits,
            window: Duration::from_secs(window),
            longest: Duration::from_secs(longest),
        };
        let mut lockout = Lockout::default();
        let (mut second, mut counted) = (1000_u64, Vec::new());
        for (after, kind) in events {
            second += after;
            let now = Monotonic::from_millis(second * 1000);
            if kind == 0 {
                // Nobody is granted while the door is locked.
                if lockout.until(now).is_none() {
                    lockout.forget();
                    counted.clear();
                }
                continue;
            }
            let locked = lockout.until(now);
            if locked.is_none() {
                counted.push(second);
            }
            let begun = lockout.fail(&policy, now);
            prop_assert!(locked.is_none() || begun.is_none(), "a lockout is never made longer");
            let recent = counted.iter().filter(|at| second - **at < window).count();
            prop_assert_eq!(begun.is_some(), locked.is_none() && recent >= visits as usize);
            if let Some(end) = begun {
                counted.clear();
                prop_assert!(end.since(now) <= policy.longest);
                prop_assert!(end.since(now) >= Duration::from_secs(30));
            }
            let left = lockout.until(now).map_or(Duration::ZERO, |end| end.since(now));
            prop_assert!(left <= policy.longest);
        }
    }
}
