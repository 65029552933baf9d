//! What holds of the policy whatever happens: random policies, random visits, random nonsense.
//!
//! In: traces of frames and ticks, drawn by proptest. Out: properties of the actions, judged by
//! rules written here a second time and looser, so that only a real breach fails them.
//! A test at the end makes sure that the traces are not so wild that nothing is ever granted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, also in what cases share")]

#[path = "support/visitor.rs"]
mod visitor;

use std::time::Duration;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::{Candidate, SubjectId};
use deepid_edge::decide::{
    Decision, Effect, FaceSeen, Fault, Gates, Observation, Seen, SeveralFaces, Verdict, Visit,
    VisitPolicy,
};
use deepid_edge::embed::QualityFault;
use deepid_edge::policy::LockoutPolicy;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// One thing that happens; `None` is a tick.
#[derive(Debug, Clone)]
struct Event {
    after_ms: u64,
    frame: Option<Frame>,
}

#[derive(Debug, Clone)]
struct Frame {
    /// How long ago it was captured; negative is the future.
    age_ms: i64,
    /// How far its number is from the one before.
    step: i64,
    trusted: bool,
    luminance: Option<f32>,
    seen: Seen,
}

/// An event as it was played.
struct Played {
    now: Monotonic,
    observation: Option<Observation>,
    actions: Vec<Effect>,
}

/// Numbers from `low` to `high`. A range of floats would do, but proptest 1.12 panics once in some
/// ten million draws from one.
fn between(low: f32, high: f32) -> impl Strategy<Value = f32> {
    (0_u16..=10_000).prop_map(move |step| low + (high - low) * f32::from(step) / 10_000.0)
}

fn any_number() -> impl Strategy<Value = f32> {
    prop_oneof![
        Just(f32::NAN),
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
        Just(f32::MAX),
        between(-2.0, 2.0),
    ]
}

fn face() -> impl Strategy<Value = Seen> {
    let count = prop_oneof![8 => Just(1_u32), 1 => 0_u32..4];
    let number = prop_oneof![6 => Just(1_usize), 1 => 1_usize..4];
    let enabled = prop::bool::weighted(0.95);
    let score = prop_oneof![8 => between(0.6, 1.0), 2 => between(-1.0, 0.6), 1 => any_number()];
    let margin = prop_oneof![8 => between(0.05, 0.5).prop_map(Some), 1 => Just(None), 1 => any_number().prop_map(Some)];
    let weight = prop_oneof![8 => between(0.5, 1.0), 1 => any_number()];
    let fault = prop_oneof![9 => Just(None), 1 => Just(Some(QualityFault::TooDark))];
    let kind = 0_u8..20;
    (count, number, enabled, score, margin, weight, fault, kind).prop_map(
        |(count, number, enabled, score, margin, weight, fault, kind)| {
            let best = Candidate { subject: visitor::subject(number), enabled, score };
            let found = match kind {
                0 => None,
                1 => Some(visitor::found(None, None)),
                _ => Some(visitor::found(Some(best), margin)),
            };
            let quality = visitor::quality(weight, fault);
            Seen::Faces { count, principal: FaceSeen { quality, found } }
        },
    )
}

fn seen() -> impl Strategy<Value = Seen> {
    let faults = [Fault::Stale, Fault::Unreadable, Fault::Engine, Fault::Store];
    prop_oneof![
        12 => face(),
        2 => Just(Seen::NoFace),
        1 => prop::sample::select(faults.to_vec()).prop_map(Seen::Fault),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let after = prop_oneof![12 => 1_u64..200, 1 => Just(0), 2 => 200_u64..4000];
    let age = prop_oneof![12 => 0_i64..80, 1 => -2000_i64..2000];
    let step = prop_oneof![12 => Just(1_i64), 1 => -3_i64..4];
    let light = prop_oneof![6 => Just(100.0_f32), 4 => Just(5.0), 1 => any_number()];
    let luminance = prop::option::weighted(0.9, light);
    let frame = (age, step, prop::bool::weighted(0.95), luminance, seen()).prop_map(
        |(age_ms, step, trusted, luminance, seen)| Frame { age_ms, step, trusted, luminance, seen },
    );
    (after, prop::option::weighted(0.9, frame))
        .prop_map(|(after_ms, frame)| Event { after_ms, frame })
}

fn trace() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..80)
}

fn policy() -> impl Strategy<Value = VisitPolicy> {
    let frames = (1_u32..5, 0_u32..6);
    let evidence = (between(0.0, 3.0), between(0.0, 0.2));
    let times = (1_u64..3000, 0_u64..8000, 0_u64..800, 0_u64..5000, 0_u64..250);
    (frames, evidence, times, any::<bool>()).prop_map(
        |(
            (agreeing, more),
            (weight_min, margin_min),
            (absence, cooldown, stale, timeout, spacing),
            refuse,
        )| {
            VisitPolicy {
                agreeing,
                window: agreeing + more,
                spacing: Duration::from_millis(spacing),
                weight_min,
                margin_min,
                absence: Duration::from_millis(absence),
                cooldown: Duration::from_millis(cooldown),
                several_faces: if refuse { SeveralFaces::Refuse } else { SeveralFaces::Principal },
                stale: Duration::from_millis(stale),
                timeout: Duration::from_millis(timeout),
                gates: Gates::NONE,
                lockout: LockoutPolicy::OFF,
                second: Duration::from_secs(30),
            }
        },
    )
}

/// Plays a trace; with `punctual`, the visit is also asked whenever it wants to be.
fn play(policy: VisitPolicy, trace: &[Event], punctual: bool) -> Vec<Played> {
    let mut visit = Visit::new(policy);
    let (mut now_ms, mut sequence) = (1_000_000_u64, 1000_u64);
    let mut played = Vec::new();
    for event in trace {
        now_ms += event.after_ms;
        let now = Monotonic::from_millis(now_ms);
        while let Some(at) = visit.poll_at().filter(|at| punctual && *at < now) {
            let mut actions = Vec::new();
            visit.tick(at, &mut actions);
            assert!(visit.poll_at().is_none_or(|next| next > at), "asks again for what was done");
            played.push(Played { now: at, observation: None, actions });
        }
        let observation = event.frame.as_ref().map(|frame| {
            sequence = sequence.saturating_add_signed(frame.step);
            let trust = if frame.trusted { ClockTrust::Trusted } else { ClockTrust::Untrusted };
            Observation {
                sequence,
                captured_at: Monotonic::from_millis(now_ms.saturating_add_signed(-frame.age_ms)),
                wall: WallClock { unix_ms: 0, trust, synchronised: false },
                luminance: frame.luminance,
                seen: frame.seen.clone(),
            }
        });
        let mut actions = Vec::new();
        match &observation {
            Some(observation) => visit.step(observation, now, &mut actions),
            None => visit.tick(now, &mut actions),
        }
        assert!(visit.poll_at().is_none_or(|at| at >= now), "wants to be asked in the past");
        played.push(Played { now, observation, actions });
    }
    played
}

fn decisions(played: &[Played]) -> impl Iterator<Item = (usize, &Decision)> {
    played.iter().enumerate().flat_map(|(index, played)| {
        played.actions.iter().filter_map(move |action| match action {
            Effect::Decided { decision, .. } => Some((index, decision)),
            Effect::Presence { .. } => None,
        })
    })
}

fn grants(played: &[Played]) -> impl Iterator<Item = (usize, &SubjectId)> {
    decisions(played).filter_map(|(index, decision)| match &decision.verdict {
        Verdict::Granted { subject } => Some((index, subject)),
        _ => None,
    })
}

/// What a frame must at least be to count for a grant of `subject`.
fn speaks_for(played: &Played, subject: &SubjectId, policy: &VisitPolicy) -> bool {
    let Some(observation) = &played.observation else { return false };
    let Seen::Faces { count, principal } = &observation.seen else { return false };
    let Some(found) = &principal.found else { return false };
    let Some(best) = &found.best else { return false };
    let age = played.now.as_micros().checked_sub(observation.captured_at.as_micros());
    age.is_some_and(|age| Duration::from_micros(age) <= policy.stale)
        && principal.quality.fault.is_none()
        && (*count <= 1 || policy.several_faces == SeveralFaces::Principal)
        && best.subject == *subject
        && best.enabled
        && !found.beyond_accepted
        && best.score.is_finite()
        && best.score >= found.threshold
        && found.margin.is_none_or(|margin| margin >= policy.margin_min)
}

/// Whether the camera took two pictures so shortly one after the other that they are one piece of
/// evidence.
fn near(one: &Observation, other: &Observation, policy: &VisitPolicy) -> bool {
    let apart_us = one.captured_at.as_micros().abs_diff(other.captured_at.as_micros());
    Duration::from_micros(apart_us) < policy.spacing
}

/// Whether a face in this frame was good enough to be compared.
fn judges(observation: &Observation) -> bool {
    let Seen::Faces { principal, .. } = &observation.seen else { return false };
    principal.quality.fault.is_none() && principal.found.is_some()
}

/// Whether `observation` may be a dark frame of a lamp that strobes: nobody can be judged in it, and
/// one of those `before` it showed somebody by more than twice the light, at most a quarter of a
/// second and two spacings ago.
fn is_passed_over(before: &[Played], observation: &Observation, policy: &VisitPolicy) -> bool {
    let longest = Duration::from_millis(250).min(2 * policy.spacing);
    let lit = |earlier: &Observation| {
        let darker = observation.luminance < earlier.luminance.map(|light| light / 2.0);
        let recent = observation.captured_at.since(earlier.captured_at) <= longest;
        judges(earlier) && darker && recent
    };
    let several = matches!(observation.seen, Seen::Faces { count: 2.., .. });
    let shows_nobody = match &observation.seen {
        Seen::NoFace => true,
        Seen::Faces { .. } => !judges(observation),
        Seen::Fault(_) => false,
    };
    shows_nobody
        && !(several && policy.several_faces == SeveralFaces::Refuse)
        && observation.luminance.is_some()
        && before.iter().filter_map(|played| played.observation.as_ref()).any(lit)
}

/// The frames that speak for `subject` among the last `window` of `played`, the newest first; one
/// that is near another takes no place, nor does a dark one.
fn speaking_in_window<'a>(
    played: &'a [Played],
    subject: &SubjectId,
    policy: &VisitPolicy,
) -> Vec<&'a Observation> {
    let mut speaking: Vec<&Observation> = Vec::new();
    let mut places = 0;
    for (index, step) in played.iter().enumerate().rev() {
        let Some(observation) = &step.observation else { continue };
        let speaks = speaks_for(step, subject, policy);
        let repeats = speaks && speaking.iter().any(|other| near(observation, other, policy));
        let before = played.get(..index).unwrap_or_default();
        if !repeats && !is_passed_over(before, observation, policy) {
            places += 1;
        }
        if places > policy.window {
            break;
        }
        if speaks {
            speaking.push(observation);
        }
    }
    speaking
}

/// How many of `observations`, the oldest first, follow one another at the policy's spacing, each a
/// new frame: the most that can be chosen so.
fn one_after_the_other(observations: &[&Observation], policy: &VisitPolicy) -> usize {
    let mut chains: Vec<(&Observation, usize)> = Vec::new();
    for next in observations {
        let follows = |last: &Observation| {
            last.sequence < next.sequence
                && last.captured_at < next.captured_at
                && !near(last, next, policy)
        };
        let before = chains.iter().filter(|(last, _)| follows(last)).map(|(_, length)| *length);
        let length = 1 + before.max().unwrap_or(0);
        chains.push((next, length));
    }
    chains.iter().map(|(_, length)| *length).max().unwrap_or(0)
}

fn spoil(trace: &mut [Event], mut how: impl FnMut(&mut Frame)) {
    trace.iter_mut().filter_map(|event| event.frame.as_mut()).for_each(&mut how);
}

fn spoil_faces(trace: &mut [Event], mut how: impl FnMut(&mut u32, &mut FaceSeen)) {
    spoil(trace, |frame| {
        if let Seen::Faces { count, principal } = &mut frame.seen {
            how(count, principal);
        }
    });
}

fn granted(policy: VisitPolicy, trace: &[Event]) -> usize {
    grants(&play(policy, trace, false)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_grant_rests_on_enough_fresh_frames_that_agree(policy in policy(), trace in trace()) {
        let played = play(policy, &trace, false);
        for (index, subject) in grants(&played) {
            let before = played.get(..=index).unwrap();
            let mut speaking = speaking_in_window(before, subject, &policy);
            let weight: f32 = speaking
                .iter()
                .filter_map(|observation| match &observation.seen {
                    Seen::Faces { principal, .. } => Some(principal.quality.weight),
                    _ => None,
                })
                .filter(|weight| weight.is_finite())
                .map(|weight| weight.clamp(0.0, 1.0))
                .sum();
            speaking.reverse();
            let agreeing = one_after_the_other(&speaking, &policy);
            prop_assert!(agreeing >= policy.agreeing as usize, "{} frames", agreeing);
            prop_assert!(weight >= policy.weight_min - 1e-5, "weight {weight}");
            let last = played.get(index).unwrap();
            prop_assert!(speaks_for(last, subject, &policy), "the granting step's own frame speaks for the subject");
            let wall = last.observation.as_ref().map(|observation| observation.wall.trust);
            prop_assert_eq!(wall, Some(ClockTrust::Trusted), "a tick, or a doubtful clock, granted");
        }
    }

    #[test]
    fn doubt_that_lasts_never_grants(policy in policy(), trace in trace(), more in 1_i64..5000) {
        let mut doubtful = trace.clone();
        spoil(&mut doubtful, |frame| frame.trusted = false);
        prop_assert_eq!(granted(policy, &doubtful), 0, "clock untrusted");

        let mut doubtful = trace.clone();
        let stale = i64::try_from(policy.stale.as_millis()).unwrap();
        spoil(&mut doubtful, |frame| frame.age_ms = stale + more);
        prop_assert_eq!(granted(policy, &doubtful), 0, "stale");

        let mut doubtful = trace.clone();
        spoil(&mut doubtful, |frame| frame.age_ms = -more);
        prop_assert_eq!(granted(policy, &doubtful), 0, "from the future");

        let mut doubtful = trace.clone();
        spoil(&mut doubtful, |frame| frame.step = 0);
        let demanding = VisitPolicy { agreeing: policy.agreeing + 1, window: policy.window + 1, ..policy };
        prop_assert_eq!(granted(demanding, &doubtful), 0, "one frame, repeated");

        let mut doubtful = trace.clone();
        spoil_faces(&mut doubtful, |count, _| *count = 2);
        let refusing = VisitPolicy { several_faces: SeveralFaces::Refuse, ..policy };
        prop_assert_eq!(granted(refusing, &doubtful), 0, "several faces");

        let mut doubtful = trace.clone();
        spoil_faces(&mut doubtful, |_, principal| principal.quality.fault = Some(QualityFault::Blurred));
        prop_assert_eq!(granted(policy, &doubtful), 0, "poor");

        let mut doubtful = trace.clone();
        spoil_faces(&mut doubtful, |_, principal| {
            if let Some(best) = principal.found.as_mut().and_then(|found| found.best.as_mut()) {
                best.enabled = false;
            }
        });
        prop_assert_eq!(granted(policy, &doubtful), 0, "disabled");

        let mut doubtful = trace.clone();
        spoil_faces(&mut doubtful, |_, principal| {
            if let Some(found) = &mut principal.found {
                found.beyond_accepted = true;
            }
        });
        prop_assert_eq!(granted(policy, &doubtful), 0, "beyond what can be claimed");

        let mut doubtful = trace.clone();
        spoil_faces(&mut doubtful, |_, principal| {
            if let Some(found) = &mut principal.found {
                found.margin = Some(f32::NAN);
            }
        });
        prop_assert_eq!(granted(policy, &doubtful), 0, "no margin");

        for nonsense in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut doubtful = trace.clone();
            spoil_faces(&mut doubtful, |_, principal| {
                if let Some(best) = principal.found.as_mut().and_then(|found| found.best.as_mut()) {
                    best.score = nonsense;
                }
            });
            prop_assert_eq!(granted(policy, &doubtful), 0, "score {}", nonsense);
            let weighty = VisitPolicy { weight_min: policy.weight_min + 0.1, ..policy };
            let mut doubtful = trace.clone();
            spoil_faces(&mut doubtful, |_, principal| principal.quality.weight = nonsense);
            prop_assert_eq!(granted(weighty, &doubtful), 0, "weight {}", nonsense);
        }

        for fault in [Fault::Stale, Fault::Unreadable, Fault::Engine, Fault::Store] {
            let mut doubtful = trace.clone();
            spoil(&mut doubtful, |frame| frame.seen = Seen::Fault(fault));
            prop_assert_eq!(granted(policy, &doubtful), 0, "{:?}", fault);
        }
    }

    #[test]
    fn a_visit_is_decided_once(policy in policy(), trace in trace()) {
        let played = play(policy, &trace, false);
        let mut decided = 0;
        for action in played.iter().flat_map(|played| &played.actions) {
            match action {
                Effect::Decided { decision, announce } => {
                    decided += 1;
                    let quiet = matches!(decision.verdict, Verdict::Ambiguous(_));
                    prop_assert!(*announce || quiet, "nobody hears of {:?}", decision.verdict);
                }
                Effect::Presence { faces: 0 } => decided = 0,
                Effect::Presence { .. } => {}
            }
            prop_assert!(decided <= 1, "{} decisions", decided);
        }
    }

    #[test]
    fn the_same_trace_gives_the_same_actions(policy in policy(), trace in trace()) {
        let text = |played: Vec<Played>| {
            played.iter().map(|played| format!("{:?}", played.actions)).collect::<Vec<_>>()
        };
        prop_assert_eq!(text(play(policy, &trace, false)), text(play(policy, &trace, false)));
    }

    #[test]
    fn verdicts_do_not_depend_on_how_promptly_time_is_told(policy in policy(), trace in trace()) {
        let verdicts = |punctual: bool| {
            let mut trace = trace.clone();
            trace.push(Event { after_ms: 100_000, frame: None });
            play(policy, &trace, punctual)
                .into_iter()
                .flat_map(|played| played.actions)
                .filter_map(|action| match action {
                    Effect::Decided { decision, announce } => {
                        Some(format!("{announce} {:?}", decision.verdict))
                    }
                    Effect::Presence { .. } => None,
                })
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(verdicts(true), verdicts(false));
    }

    #[test]
    fn a_cooldown_lies_between_two_grants_of_one_subject(policy in policy(), trace in trace()) {
        let played = play(policy, &trace, false);
        let mut published: Vec<(SubjectId, Monotonic)> = Vec::new();
        for action in played.iter().flat_map(|played| &played.actions) {
            if let Effect::Decided { decision, announce: true } = action
                && let Verdict::Granted { subject } = &decision.verdict
            {
                let earlier = published.iter().rev().find(|(other, _)| other == subject);
                if let Some((_, at)) = earlier {
                    prop_assert!(decision.decided_at.since(*at) >= policy.cooldown);
                }
                published.push((subject.clone(), decision.decided_at));
            }
        }
    }

    #[test]
    fn good_frames_are_granted_at_once(
        agreeing in 1_u32..8, more in 0_u32..5, spacing in 0_u64..200, interval in 1_u64..60
    ) {
        let policy = VisitPolicy {
            agreeing,
            window: agreeing + more,
            spacing: Duration::from_millis(spacing),
            weight_min: agreeing as f32,
            ..visitor::policy()
        };
        let frame = Frame { age_ms: 0, step: 1, trusted: true, luminance: None, seen: visitor::good(2) };
        let frames_apart = spacing.div_ceil(interval).max(1) as usize;
        let last = (agreeing as usize - 1) * frames_apart;
        let trace = vec![Event { after_ms: interval, frame: Some(frame) }; last + 40];
        let played = play(policy, &trace, false);
        let indices: Vec<_> = grants(&played).map(|(index, _)| index).collect();
        prop_assert_eq!(indices, vec![last], "with that frame");
    }
}

/// More grants than the cooldown remembers, each to somebody else.
#[test]
fn the_cooldown_forgets_the_oldest_grant_first() {
    const PEOPLE: usize = 4097;
    let policy = VisitPolicy {
        agreeing: 1,
        window: 1,
        weight_min: 0.0,
        absence: Duration::from_millis(10),
        cooldown: Duration::from_secs(1_000_000),
        ..visitor::policy()
    };
    let visit_of = |number| {
        let frame = Frame {
            age_ms: 0,
            step: 1,
            trusted: true,
            luminance: None,
            seen: visitor::good(number),
        };
        Event { after_ms: 20, frame: Some(frame) }
    };
    let again = [2, PEOPLE, 1];
    let trace: Vec<_> = (1..=PEOPLE).chain(again).map(visit_of).collect();
    let granted: Vec<_> = grants(&play(policy, &trace, false))
        .filter(|(index, _)| *index >= PEOPLE)
        .map(|(_, subject)| subject.clone())
        .collect();
    assert_eq!(granted, [visitor::subject(1)], "for the first only");
}

#[test]
fn the_traces_are_tame_enough_to_be_granted_sometimes() {
    let mut runner = TestRunner::deterministic();
    let sample = |runner: &mut TestRunner| {
        let (policy, trace) = (policy(), trace()).new_tree(runner).unwrap().current();
        granted(policy, &trace) > 0
    };
    let granted = (0..300).filter(|_| sample(&mut runner)).count();
    assert!(granted > 60, "only {granted} of 300 traces");
}
