//! A wall clock that is stepped forwards and back while the door decides.
//!
//! In: steps from seconds to decades, drawn from a seed, with and without a time service. Out: records
//! whose numbers only grow, each with the trust that its time deserves, and grants that are signed only
//! at a time that is believed, live five seconds and are never taken twice.

use deepid_edge::clock::{
    Clock as _, ClockRequirement, ClockTrust, ManualClock, Monotonic, WallClock, judge_wall,
};
use deepid_edge::daemon::desk::Task;
use deepid_edge::publish::Outgoing;
use deepid_grant::{Mode, PublicKey, Verifier};

use super::desk::{WALL, decision, folder};
use super::keys::Bench;
use crate::support::fault_rows::shown;

const STEPS: u64 = 2000;

#[test]
fn a_clock_that_is_stepped_both_ways_leads_to_no_second_grant_and_no_lost_record() {
    let home = folder();
    let mut bench = Bench::at(home.path());
    let x = bench.key.public().x();
    let key = PublicKey::from_x(&x).ok().unwrap();
    let mode = Mode::Clock { tolerance_s: 0 };
    let mut verifier = Verifier::new("front", &[key], mode).ok().unwrap();
    let clock = ManualClock::new(Monotonic::from_millis(1_000), WALL.unix_ms);
    let mut random = fastrand::Rng::with_seed(6);
    let (mut last, mut signed, mut untrusted) = (0, 0, 0);
    for number in 0..STEPS {
        clock.advance(std::time::Duration::from_secs(1));
        if number % 8 == 0 {
            // A person says what time it is, as after a clock that once stood ahead.
            let unix_ms = WALL.unix_ms + i64::try_from(number).unwrap() * 1000;
            clock.set_wall(WallClock { unix_ms, ..WALL });
            last += bench.settle(clock.now(), clock.wall());
        }
        let unit = [1_000, 60_000, 3_600_000, 86_400_000, 31_536_000_000][random.usize(0..5)];
        // Half of the time the clock goes as it should.
        let step = if random.bool() { random.i64(-5..=5) * unit } else { 0 };
        let unix_ms = if random.u8(0..4) == 0 {
            WALL.unix_ms + i64::try_from(number).unwrap() * 1000
        } else {
            clock.wall().unix_ms.saturating_add(step)
        };
        let synchronised = random.bool();
        let floor = bench.desk.store().clock_floor().unwrap();
        let doubt = judge_wall(unix_ms, synchronised, ClockRequirement::Plausible, floor);
        let trust = if doubt.is_some() { ClockTrust::Untrusted } else { ClockTrust::Trusted };
        let wall = WallClock { unix_ms, trust, synchronised };
        clock.set_wall(wall);
        let mut decided = decision(0, wall);
        decided.decided_at = clock.now();
        let mut outgoing = Vec::new();
        let task = Task::Decided { decision: decided, announce: true };
        bench.desk.handle(task, clock.now(), wall, &mut outgoing);
        let [Outgoing::Access { record, grant, .. }] = outgoing.as_slice() else {
            panic!("{outgoing:?}")
        };
        assert_eq!((record.seq, record.clock), (last + 1, trust));
        last = record.seq;
        match grant {
            None => {
                assert_eq!(trust, ClockTrust::Untrusted, "a trusted one is signed");
                untrusted += 1;
            }
            Some(grant) => {
                assert_eq!(trust, ClockTrust::Trusted);
                let at = unix_ms.unsigned_abs() / 1000;
                let mut other = verifier.clone();
                let late = other.verify(grant.as_str().as_bytes(), Some(at + 6)).is_err();
                assert!(late, "six seconds later it is worth nothing");
                // A listener that remembers takes no smaller number: nothing from before a step.
                verifier.verify(grant.as_str().as_bytes(), Some(at)).unwrap();
                assert!(verifier.verify(grant.as_str().as_bytes(), Some(at)).is_err());
                signed += 1;
            }
        }
    }
    assert!(bench.desk.store().verify_records().unwrap().broken.is_empty());
    println!("{signed} signed, {untrusted} not");
    assert!(signed > STEPS / 10 && untrusted > STEPS / 10, "{signed} signed, {untrusted} not");
    shown("clock-steps", STEPS);
}
