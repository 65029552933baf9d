//! A visit as a state machine.
//!
//! | state | event | next | actions |
//! |---|---|---|---|
//! | idle | a face | watching | presence |
//! | watching | `agreeing` of the last `window` frames name one enabled subject | decided | record and publish `granted` |
//! | watching | the same, but disabled, or the clock is untrusted | decided | record and publish `denied` |
//! | watching | the same within the subject's cooldown | decided | none |
//! | watching | `timeout` since the first face | decided | record and publish `denied` (several faces), `unknown` or `ambiguous` |
//! | watching | no face for `absence` | idle | record `ambiguous`, `insufficient_evidence`; presence |
//! | decided | no face for `absence` | idle | presence |
//!
//! A grant is given as soon as it is proven; everything else waits for the timeout, because the
//! next frame may still be the good one. Frames that name different subjects never add up: while
//! both stand in the window there is no agreement, so people who change places within a visit must
//! each be proven alone, and the first decision is the visit's only one. Where several faces are
//! refused, one such frame in the window withholds the grant: a second person is noticed while the
//! first is being proven. A frame counts once: its sequence and its capture time must both rise.
//! Poor, stale and faulty frames take a place in the window and prove nothing.

use std::time::Duration;

use super::tally::{Accepted, Agreement, Counts, MAX_WINDOW, Tally, Vote};
use super::{
    Action, AmbiguousReason, Decision, DecisionLatency, DeniedReason, Evidence, FaceSeen, Fault,
    FramesCounted, Observation, Seen, UnknownReason, Verdict,
};
use crate::clock::{ClockTrust, Monotonic, WallClock};
use crate::compare::{Match, SubjectId};

/// What to do when more than one face is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeveralFaces {
    /// No grant while several faces are seen.
    Refuse,
    /// Judge the principal face and ignore the others.
    Principal,
}

/// When a visit is decided, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisitPolicy {
    /// Frames of the window that must name the same subject, ≥ 1.
    pub agreeing: u32,
    /// Frames that are considered, `agreeing` to [`VisitPolicy::MAX_WINDOW`].
    pub window: u32,
    /// Sum of the quality weights that the agreeing frames must reach, ≥ 0.
    pub weight_min: f32,
    /// How much nearer the best subject must be than the second, in comparison score, ≥ 0.
    pub margin_min: f32,
    /// A visit ends when no face was seen for this long.
    pub absence: Duration,
    /// No second grant for the same subject within this time.
    pub cooldown: Duration,
    /// What to do with several faces.
    pub several_faces: SeveralFaces,
    /// A frame older than this proves nothing.
    pub stale: Duration,
    /// A visit that proves nothing is named after this long.
    pub timeout: Duration,
}

impl VisitPolicy {
    /// The longest window.
    pub const MAX_WINDOW: u32 = MAX_WINDOW as u32;
}

impl Default for VisitPolicy {
    fn default() -> Self {
        Self {
            agreeing: 3,
            window: 5,
            weight_min: 2.0,
            margin_min: 0.05,
            absence: Duration::from_millis(1500),
            cooldown: Duration::from_secs(5),
            several_faces: SeveralFaces::Refuse,
            stale: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
        }
    }
}

/// How many subjects the cooldown remembers; the oldest is forgotten first.
const REMEMBERED_GRANTS: usize = 64;

/// The pure core: what is known of the visitor before the door.
#[derive(Debug)]
pub struct Visit {
    policy: VisitPolicy,
    state: State,
    last_frame: Option<(u64, Monotonic)>,
    wall: Option<WallClock>,
    present: u32,
    grants: Vec<(SubjectId, Monotonic)>,
}

#[derive(Debug)]
enum State {
    Idle,
    Watching(Box<Watching>),
    Decided { last_face: Monotonic },
}

#[derive(Debug)]
struct Watching {
    first_captured: Monotonic,
    first_face: Monotonic,
    last_face: Monotonic,
    last_captured: Monotonic,
    tally: Tally,
    nearest: Option<Match>,
    most_faces: u32,
}

impl Visit {
    /// Nobody has been seen yet.
    #[must_use]
    pub fn new(policy: VisitPolicy) -> Self {
        Self {
            policy,
            state: State::Idle,
            last_frame: None,
            wall: None,
            present: 0,
            grants: Vec::with_capacity(REMEMBERED_GRANTS),
        }
    }

    /// Takes in one frame at the time `now` and appends what is to be done to `actions`.
    pub fn step(&mut self, observation: &Observation, now: Monotonic, actions: &mut Vec<Action>) {
        self.tick(now, actions);
        self.wall = Some(observation.wall);
        let fresh = self.is_fresh(observation, now);
        let rising = |&(sequence, captured): &(u64, Monotonic)| {
            observation.sequence > sequence && observation.captured_at > captured
        };
        if self.last_frame.as_ref().is_none_or(rising) {
            self.last_frame = Some((observation.sequence, observation.captured_at));
        }
        match &observation.seen {
            Seen::NoFace => {}
            Seen::Fault(fault) => {
                if let State::Watching(watching) = &mut self.state {
                    watching.tally.push(match fault {
                        Fault::Stale => Vote::Stale,
                        Fault::Unreadable | Fault::Engine | Fault::Store => Vote::Fault,
                    });
                }
            }
            Seen::Faces { count, principal } => {
                self.face(observation, *count, principal, fresh, now, actions);
            }
        }
        self.conclude(now, actions);
    }

    /// Lets time pass without a frame.
    pub fn tick(&mut self, now: Monotonic, actions: &mut Vec<Action>) {
        self.conclude(now, actions);
        let last_face = match &self.state {
            State::Idle => return,
            State::Watching(watching) => watching.last_face,
            State::Decided { last_face } => *last_face,
        };
        if now.since(last_face) < self.policy.absence {
            return;
        }
        let ended = std::mem::replace(&mut self.state, State::Idle);
        if let State::Watching(watching) = ended {
            let verdict = Verdict::Ambiguous(AmbiguousReason::InsufficientEvidence);
            actions.push(Action::Record(self.decision(verdict, &watching, None, now)));
        }
        self.announce(0, actions);
    }

    /// When [`Self::tick`] is to be called if no frame comes before; `None` while nobody is there.
    #[must_use]
    pub fn poll_at(&self) -> Option<Monotonic> {
        match &self.state {
            State::Idle => None,
            State::Watching(watching) => {
                let timeout = watching.first_face.plus(self.policy.timeout);
                Some(timeout.min(watching.last_face.plus(self.policy.absence)))
            }
            State::Decided { last_face } => Some(last_face.plus(self.policy.absence)),
        }
    }

    /// Young enough, from the past, and not seen before.
    fn is_fresh(&self, observation: &Observation, now: Monotonic) -> bool {
        let new = self.last_frame.is_none_or(|(sequence, captured)| {
            observation.sequence > sequence && observation.captured_at > captured
        });
        new && observation.captured_at <= now
            && now.since(observation.captured_at) <= self.policy.stale
    }

    fn face(
        &mut self,
        observation: &Observation,
        count: u32,
        principal: &FaceSeen,
        fresh: bool,
        now: Monotonic,
        actions: &mut Vec<Action>,
    ) {
        self.announce(count.max(1), actions);
        let policy = self.policy;
        if let State::Idle = self.state {
            self.state = State::Watching(Box::new(Watching {
                first_captured: observation.captured_at.min(now),
                first_face: now,
                last_face: now,
                last_captured: observation.captured_at.min(now),
                tally: Tally::new(policy.window),
                nearest: None,
                most_faces: 0,
            }));
        }
        match &mut self.state {
            State::Idle => {}
            State::Decided { last_face } => *last_face = now,
            State::Watching(watching) => {
                watching.last_face = now;
                watching.most_faces = watching.most_faces.max(count);
                let vote = if fresh { vote(&policy, count, principal) } else { Vote::Stale };
                if fresh {
                    watching.last_captured = observation.captured_at;
                    if let Some(found) = &principal.found {
                        watching.compare(found);
                    }
                }
                watching.tally.push(vote);
            }
        }
    }

    fn announce(&mut self, faces: u32, actions: &mut Vec<Action>) {
        if self.present != faces {
            self.present = faces;
            actions.push(Action::Presence { present: faces > 0, faces });
        }
    }

    /// Decides if there is something to decide.
    fn conclude(&mut self, now: Monotonic, actions: &mut Vec<Action>) {
        let State::Watching(watching) = &self.state else { return };
        let last_face = watching.last_face;
        let proven = watching.tally.agreement().filter(|agreement| {
            agreement.frames >= self.policy.agreeing && agreement.weight >= self.policy.weight_min
        });
        let verdict = match &proven {
            Some(agreement) => self.judge(agreement, now),
            None if now.since(watching.first_face) >= self.policy.timeout => {
                Some(unproven(&watching.tally.counts, watching.tally.conflicts(), &self.policy))
            }
            None => return,
        };
        if let Some(verdict) = verdict {
            let decision = self.decision(verdict, watching, proven.as_ref(), now);
            if let Verdict::Granted { subject } = &decision.verdict {
                self.grants.retain(|(_, at)| now.since(*at) < self.policy.cooldown);
                if self.grants.len() >= REMEMBERED_GRANTS {
                    self.grants.remove(0);
                }
                self.grants.push((subject.clone(), now));
            }
            actions.push(Action::Record(decision.clone()));
            actions.push(Action::Publish(decision));
        }
        self.state = State::Decided { last_face };
    }

    /// The verdict on a proven subject; none within its cooldown.
    fn judge(&self, agreement: &Agreement, now: Monotonic) -> Option<Verdict> {
        let subject = agreement.subject.clone();
        let denied = |reason| Some(Verdict::Denied { reason, subject: Some(subject.clone()) });
        if !agreement.enabled {
            return denied(DeniedReason::SubjectDisabled);
        }
        if self.wall.is_none_or(|wall| wall.trust == ClockTrust::Untrusted) {
            return denied(DeniedReason::ClockUntrusted);
        }
        let cooling = |(granted, at): &(SubjectId, Monotonic)| {
            *granted == subject && now.since(*at) < self.policy.cooldown
        };
        if self.grants.iter().any(cooling) {
            return None;
        }
        Some(Verdict::Granted { subject })
    }

    fn decision(
        &self,
        verdict: Verdict,
        watching: &Watching,
        proven: Option<&Agreement>,
        now: Monotonic,
    ) -> Decision {
        let found = proven.map(|agreement| &agreement.weakest).or(watching.nearest.as_ref());
        let counts = &watching.tally.counts;
        let agreeing = match &verdict {
            Verdict::Granted { .. } => proven.map_or(0, |agreement| agreement.frames),
            Verdict::Denied { reason: DeniedReason::SeveralFaces, .. } => counts.several,
            Verdict::Denied { .. } => proven.map_or(0, |agreement| agreement.frames),
            Verdict::Unknown(_) => counts.strangers.max(counts.nobody),
            Verdict::Ambiguous(_) => 0,
        };
        let considered = if proven.is_some() { watching.tally.considered() } else { counts.all() };
        Decision {
            evidence: found.map(evidence),
            faces: watching.most_faces,
            frames: FramesCounted { agreeing, considered },
            decided_at: now,
            wall: self.wall.unwrap_or(WallClock { unix_ms: 0, trust: ClockTrust::Untrusted }),
            latency: DecisionLatency {
                first_frame_us: micros(now.since(watching.first_captured)),
                last_frame_us: micros(now.since(watching.last_captured)),
            },
            verdict,
        }
    }
}

impl Watching {
    /// Keeps the comparison that came nearest to acceptance.
    fn compare(&mut self, found: &Match) {
        let score = |found: &Match| found.best.as_ref().map(|best| best.score);
        let nearer = match (self.nearest.as_ref().map(score), score(found)) {
            (None | Some(None), _) => true,
            (Some(Some(_)), None) => false,
            (Some(Some(old)), Some(new)) => found.metric.advantage(new, old) > 0.0,
        };
        if nearer {
            self.nearest = Some(found.clone());
        }
    }
}

impl Counts {
    fn all(&self) -> u32 {
        [
            self.accepted,
            self.close,
            self.strangers,
            self.nobody,
            self.poor,
            self.several,
            self.stale,
            self.faults,
        ]
        .into_iter()
        .fold(0, u32::saturating_add)
    }
}

/// What one fresh frame says.
fn vote(policy: &VisitPolicy, count: u32, principal: &FaceSeen) -> Vote {
    if count > 1 && policy.several_faces == SeveralFaces::Refuse {
        return Vote::Several;
    }
    let Some(found) = &principal.found else { return Vote::Poor };
    if found.best.is_none() {
        return Vote::Nobody;
    }
    let Some(accepted) = found.accepted() else { return Vote::Stranger };
    if found.margin.is_some_and(|margin| margin.is_nan() || margin < policy.margin_min) {
        return Vote::Close;
    }
    Vote::Accept(Accepted {
        subject: accepted.subject.clone(),
        enabled: accepted.enabled,
        weight: principal.quality.weight,
        found: found.clone(),
    })
}

/// Names a visit in which nothing was proven in time.
fn unproven(counts: &Counts, conflicts: bool, policy: &VisitPolicy) -> Verdict {
    let enough = |count: u32| count >= policy.agreeing;
    let recognised = counts.accepted + counts.close;
    let judged = recognised + counts.strangers + counts.nobody;
    if enough(counts.several) {
        Verdict::Denied { reason: DeniedReason::SeveralFaces, subject: None }
    } else if enough(counts.nobody) {
        Verdict::Unknown(UnknownReason::EmptyGallery)
    } else if enough(counts.strangers) && counts.strangers > recognised {
        Verdict::Unknown(UnknownReason::NoMatch)
    } else if conflicts || (counts.close > 0 && counts.close >= counts.accepted) {
        Verdict::Ambiguous(AmbiguousReason::CloseSecond)
    } else if counts.stale > judged && counts.stale >= counts.poor {
        Verdict::Ambiguous(AmbiguousReason::StaleFrames)
    } else if counts.poor > judged {
        Verdict::Ambiguous(AmbiguousReason::PoorQuality)
    } else {
        Verdict::Ambiguous(AmbiguousReason::InsufficientEvidence)
    }
}

fn evidence(found: &Match) -> Evidence {
    Evidence {
        model: found.model.clone(),
        metric: found.metric,
        score: found.best.as_ref().map(|best| best.score),
        threshold: found.threshold,
        margin: found.margin,
        claimed_fmr: found.claimed_fmr,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
