//! A visit as a state machine.
//!
//! | state | event | next | effects |
//! |---|---|---|---|
//! | idle | a face | watching | presence |
//! | watching | a fresh frame that names a subject, as `agreeing` of the last `window` do, enabled | decided | record and publish `granted` |
//! | watching | the same, disabled or not, where there is a gate | asking | none |
//! | asking | all gates let the last frame pass | decided | as without them |
//! | asking | a gate does not, fails, or the next frame comes unanswered | watching | none: that frame counts no longer |
//! | asking | a gate does not for the `agreeing`th time | decided | record and publish `unknown` or `ambiguous` |
//! | asking | a gate has not seen enough yet | watching | none: that frame counts on |
//! | asking | a gate refuses the whole visit | decided | record and publish its reason |
//! | watching | the same, but the rules refuse (`policy`), the claim is not accepted, or the door is contested | decided | record and publish `denied` |
//! | watching | the same, where only the subject's second factor is missing | watching | none: it is waited for, until `second` after the first face |
//! | watching | somebody else has taken the place of whoever's second factor is waited for | watching, anew | record and publish `denied` of who has left |
//! | watching | the same within the subject's cooldown | decided | none |
//! | watching | a second factor that was waited for has not come in time, or nobody is there any more | decided, idle | record and publish `denied` |
//! | watching | `timeout` since the first face | decided | record and publish `denied` (several faces), `unknown` or `ambiguous` |
//! | watching | no face for `absence` | idle | record `ambiguous`, `insufficient_evidence` or `fault`; presence |
//! | decided | no face for `absence` | idle | presence |
//! | any | a frame for an enrolment | decided | none |
//!
//! A grant is given as soon as it is proven; everything else waits for the timeout, because the
//! next frame may still be the good one. Only a frame can prove, and only about whom it shows itself:
//! time that passes, a frame without a face, a fault and a frame of somebody else conclude nothing,
//! also where they push out of the window what withheld agreement. When both deadlines have passed, the earlier one counts, however late the machine asks.
//! Frames that name different subjects never add up: while both stand in the window there is no
//! agreement, so people who change places within a visit must each be proven alone, and the first
//! decision is the visit's only one. Where several faces are refused, one such frame in the window,
//! even a stale one, withholds the grant: a second person is noticed while the first is being
//! proven. A frame counts once: its sequence and its capture time must both rise, and a frame from
//! the future is not remembered, lest one wrong stamp make every later frame look old. Frames that
//! agree within `spacing` of each other count as one: at 30 frames/s three in a row span 67 ms and
//! are nearly the same picture. One that only repeats takes no place in the window; one that
//! contradicts, because it says disabled or another subject stands in the window, takes one. Poor,
//! stale and faulty frames, and frames without a face, take a place and prove nothing: what was seen
//! of somebody who has stepped aside does not count for whoever comes next.
//!
//! One exception: a lamp that strobes leaves frames dark. A frame with less than half the light of
//! the last one that showed a face well enough, in which nobody can be judged, takes no place, but
//! only for [`DARKNESS_MAX`] (or twice `spacing`, where that is less) after that one. So the window is
//! that of a camera with fewer frames, never below four a second, and whoever steps aside in the dark
//! is seen to be away as soon as it lasts.

use std::time::Duration;

use super::gate::Passed;
use super::naming::{Judged, Judgement, decision, is_failure, missing, too_short, unproven};
use super::proofs::Proofs;
use super::tally::{Agreement, Unconfirmed, Vote};
use super::watching::{Watching, vote};
use super::{
    Answer, Decision, DeniedReason, Effect, FaceSeen, Fault, Observation, Question, Refusal, Seen,
    Verdict, VisitPolicy,
};
use crate::clock::{Monotonic, WallClock};
use crate::compare::SubjectId;
use crate::policy::{Asked, Awaited, Lockout, PinResult, Refusal as Ruled, Rules, Whereabouts};

/// How many grants the cooldown remembers; the oldest is forgotten first. A visit ends
/// with its absence, so that an hour's cooldown fits in a place that is never empty for long.
const REMEMBERED_GRANTS: usize = 4096;

/// Below this share of the light by which a face was judged a frame is dark.
const DARK: f32 = 0.5;

/// How long after a face was judged dark frames take no place, at most.
const DARKNESS_MAX: Duration = Duration::from_millis(250);

/// The pure core: what is known of the visitor before the door.
#[derive(Debug)]
pub struct Visit {
    policy: VisitPolicy,
    state: State,
    /// How many visits have begun.
    begun: u64,
    last_frame: Option<(u64, Monotonic)>,
    wall: Option<WallClock>,
    present: u32,
    contested: bool,
    grants: Vec<(SubjectId, Monotonic)>,
    rules: Rules,
    lockout: Lockout,
    /// Whose second factor has come, and was not used yet.
    factors: Proofs,
    /// Who has said by a PIN to be under duress.
    duress: Proofs,
    /// Who was recognised and could have passed but for a second factor or a second person.
    before: Proofs,
}

#[derive(Debug)]
enum State {
    Idle,
    Watching(Box<Watching>),
    Decided { last_face: Monotonic },
}

impl Visit {
    /// Nobody has been seen yet, and there is no rule.
    #[must_use]
    pub fn new(policy: VisitPolicy) -> Self {
        Self {
            policy,
            state: State::Idle,
            begun: 0,
            last_frame: None,
            wall: None,
            present: 0,
            contested: false,
            grants: Vec::new(),
            rules: Rules::default(),
            lockout: Lockout::default(),
            factors: Proofs::default(),
            duress: Proofs::default(),
            before: Proofs::default(),
        }
    }

    /// Forgets everybody, and goes on by another policy and the same rules.
    pub fn begin_anew(&mut self, policy: VisitPolicy) {
        let rules = std::mem::take(&mut self.rules);
        *self = Self { rules, ..Self::new(policy) };
    }

    /// From now on these rules say who may pass. They count for whoever is there, too; who was found
    /// fit to be the first of two persons was so by the rules before.
    pub fn rule(&mut self, mut rules: Rules, now_ms: i64) {
        rules.keep_newer(&self.rules, now_ms);
        self.rules = rules;
        self.before.clear();
    }

    /// Until when nobody is granted, after too many failed visits; `None` where that is over.
    #[must_use]
    pub fn locked_until(&self, now: Monotonic) -> Option<Monotonic> {
        self.lockout.until(now)
    }

    /// Forgets the failed visits: a lockout is over.
    pub fn forget_failures(&mut self) {
        self.lockout.forget();
    }

    /// The second factor of `subject` has come: it counts for [`VisitPolicy::second`], for one grant.
    /// Alone it concludes nothing: a frame must show the subject.
    pub fn note_factor(&mut self, subject: SubjectId, now: Monotonic) {
        self.factors.remember(subject, self.policy.second, now);
    }

    /// Somebody went in or out, here or elsewhere, and it is recorded.
    pub fn note_passage(&mut self, subject: &SubjectId, at: Whereabouts, now_ms: i64) {
        self.rules.note_passage(subject, at, now_ms);
    }

    /// What came of a PIN that was typed for `subject`. The right one is its second factor while that is
    /// waited for, and so is the one for duress, which no later one takes back, and which whatever ends
    /// this visit tells; a wrong one is a failed visit.
    pub fn note_pin(&mut self, subject: SubjectId, result: PinResult, now: Monotonic) {
        let waits = self.awaited() == Some(&subject);
        match (result, &mut self.state) {
            (PinResult::Wrong, _) => {
                self.lockout.fail(&self.policy.lockout, now);
                return;
            }
            (PinResult::Duress, State::Watching(watching)) if waits => watching.duress = true,
            _ => {}
        }
        if result == PinResult::Duress {
            self.duress.remember(subject.clone(), self.policy.second, now);
        }
        if waits {
            self.note_factor(subject, now);
        }
    }

    /// Takes in one frame at the time `now` and appends what is to be done to `effects`.
    pub fn step(&mut self, observation: &Observation, now: Monotonic, effects: &mut Vec<Effect>) {
        self.wall = Some(observation.wall);
        if let State::Watching(watching) = &mut self.state {
            watching.at_hand = None;
            // Unanswered is no pass.
            if let Some(subject) = watching.passage.abandon() {
                watching.tally.withdraw(&subject, Unconfirmed::Fault);
            }
        }
        self.tick(now, effects);
        let fresh = self.admit(observation, now);
        let dark = fresh && self.is_dark(observation);
        match &observation.seen {
            // A dark frame shows neither that somebody is there nor that nobody is.
            Seen::NoFace if dark => {}
            Seen::NoFace => self.vote(Vote::Absent),
            Seen::Fault(Fault::Stale) => self.vote(Vote::Stale { several: false }),
            Seen::Fault(Fault::Unreadable | Fault::Engine | Fault::Store) => self.vote(Vote::Fault),
            Seen::Faces { count, principal } => {
                let captured = fresh.then_some(observation.captured_at);
                self.face(captured, dark, (*count).max(1), principal, now, effects);
                if fresh {
                    self.note_light(observation, principal);
                }
            }
        }
        self.prove(now, effects);
    }

    /// Goes on by another policy. Of a visit under way nothing counts but that somebody is there, and has
    /// called for help or not; one that was decided stays so, cooldowns stay, and a frame that was seen is not seen again.
    pub fn restart(&mut self, policy: VisitPolicy, now: Monotonic) {
        self.policy = policy;
        if let State::Watching(watching) = &mut self.state {
            let Watching { last_face, duress, .. } = **watching;
            **watching = Watching { last_face, duress, ..Watching::begin(&policy, now) };
        }
    }

    /// What was seen so far may be of somebody else: nothing of a visit under way counts but that
    /// somebody is there.
    pub fn doubt(&mut self, now: Monotonic) {
        self.restart(self.policy, now);
    }

    /// Whoever is there poses for an enrolment: nothing is decided upon them, who are no visit until
    /// they have been away for the absence.
    pub fn set_aside(&mut self, now: Monotonic) {
        self.state = State::Decided { last_face: now };
    }

    /// From now on another client speaks as this door, or none does any more: while one does, who
    /// is recognised is denied.
    pub const fn contest(&mut self, contested: bool) {
        self.contested = contested;
    }

    /// What a gate is to be asked about the frame that was just taken in; `None` while nothing hangs
    /// on one.
    #[must_use]
    pub fn question(&self) -> Option<&Question> {
        match &self.state {
            State::Watching(watching) => watching.passage.question(),
            State::Idle | State::Decided { .. } => None,
        }
    }

    /// Takes in the answer to [`Self::question`], after which the next gate may ask. Anything but a
    /// pass of every gate for that very subject, while the frame is fresh, grants nothing; an answer
    /// that nobody asked for is ignored. As many refusals as a grant needs frames end the visit: each
    /// further try would be one more chance for a stranger. A fault is no try.
    pub fn answer(&mut self, answer: Answer, now: Monotonic, effects: &mut Vec<Effect>) {
        let VisitPolicy { gates, stale, agreeing, .. } = self.policy;
        let State::Watching(watching) = &mut self.state else { return };
        match watching.passage.answer(gates, answer, now, stale) {
            None | Some(Passed::NotYet) => {}
            Some(Passed::All(proven)) => return self.conclude(&proven, now, effects),
            Some(Passed::Never(refusal, proven)) => {
                return self.refuse(refusal, &proven, now, effects);
            }
            Some(Passed::Withdrawn(subject, why)) => watching.tally.withdraw(&subject, why),
        }
        if watching.passage.refused() >= agreeing.max(1) {
            // Whoever a gate refuses is not known to be the one whose second factor is waited for.
            watching.awaited = None;
            self.time_out(now, effects);
        }
    }

    /// Lets time pass without a frame.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let (last_face, times_out_at) = match &self.state {
            State::Idle => return,
            State::Watching(watching) => {
                (watching.last_face, Some(watching.times_out_at(&self.policy)))
            }
            State::Decided { last_face } => (*last_face, None),
        };
        let ends_at = last_face.plus(self.policy.absence);
        let in_time = times_out_at.is_some_and(|at| at <= now && at <= ends_at);
        if in_time || (now >= ends_at && self.awaited().is_some()) {
            self.time_out(now, effects);
        }
        if now < ends_at {
            return;
        }
        let ended = std::mem::replace(&mut self.state, State::Idle);
        if let State::Watching(watching) = ended {
            let (counts, conflicts) = (&watching.tally.counts, watching.tally.conflicts());
            let waits_for = watching.passage.waits_for();
            // Whoever goes before the timeout has tried as well.
            self.note_failure(&unproven(counts, conflicts, waits_for, &self.policy), now);
            let reason = waits_for.unwrap_or_else(|| too_short(counts));
            let verdict = Verdict::Ambiguous(reason);
            let decision = self.decided(verdict, &watching, None, now);
            effects.push(Effect::Decided { decision, announce: false });
        }
        self.announce(0, effects);
    }

    /// Whose second factor is all that is missing.
    #[must_use]
    pub fn awaited(&self) -> Option<&SubjectId> {
        let State::Watching(watching) = &self.state else { return None };
        watching.awaited.as_ref().map(|awaited| &awaited.subject)
    }

    /// The number of the visit that is under way, decided or not; `None` while nobody is there.
    #[must_use]
    pub const fn under_way(&self) -> Option<u64> {
        if matches!(self.state, State::Idle) { None } else { Some(self.begun) }
    }

    /// Whether somebody is there who was decided upon.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        matches!(self.state, State::Decided { .. })
    }

    /// When [`Self::tick`] is to be called if no frame comes before; `None` while nobody is there.
    #[must_use]
    pub fn poll_at(&self) -> Option<Monotonic> {
        match &self.state {
            State::Idle => None,
            State::Watching(watching) => Some(
                watching
                    .times_out_at(&self.policy)
                    .min(watching.last_face.plus(self.policy.absence)),
            ),
            State::Decided { last_face } => Some(last_face.plus(self.policy.absence)),
        }
    }

    /// Whether a frame is young enough, from the past, and not seen before; it is remembered.
    fn admit(&mut self, observation: &Observation, now: Monotonic) -> bool {
        let (sequence, captured) = (observation.sequence, observation.captured_at);
        let new = self.last_frame.is_none_or(|last| sequence > last.0 && captured > last.1);
        let past = captured <= now;
        if new && past {
            self.last_frame = Some((sequence, captured));
        }
        new && past && now.since(captured) <= self.policy.stale
    }

    /// Whether a fresh frame has so much less light than the last one whose face was judged, and so
    /// soon after it, that a lamp strobes.
    fn is_dark(&self, observation: &Observation) -> bool {
        let State::Watching(watching) = &self.state else { return false };
        let Some((at, light)) = watching.lit else { return false };
        let longest = DARKNESS_MAX.min(2 * self.policy.spacing).min(self.policy.absence);
        observation.luminance.is_some_and(|luminance| luminance < DARK * light)
            && observation.captured_at.since(at) <= longest
    }

    /// Remembers by which light a face was judged.
    fn note_light(&mut self, observation: &Observation, principal: &FaceSeen) {
        if let State::Watching(watching) = &mut self.state
            && principal.found.is_some()
            && principal.quality.fault.is_none()
        {
            watching.lit = observation.luminance.map(|light| (observation.captured_at, light));
        }
    }

    fn vote(&mut self, vote: Vote) {
        if let State::Watching(watching) = &mut self.state {
            watching.tally.push(vote);
        }
    }

    /// A frame with `count` faces; `captured` is `None` when it is not fresh, `dark` says that a
    /// poor face in it counts, and takes no place.
    fn face(
        &mut self,
        captured: Option<Monotonic>,
        dark: bool,
        count: u32,
        principal: &FaceSeen,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        self.announce(count, effects);
        let policy = self.policy;
        if let State::Idle = self.state {
            self.begin(now);
        }
        match &mut self.state {
            State::Idle => {}
            State::Decided { last_face } => *last_face = now,
            State::Watching(watching) => {
                watching.last_face = now;
                watching.most_faces = watching.most_faces.max(count);
                if captured.is_some() {
                    watching.first_captured = watching.first_captured.or(captured);
                    watching.last_captured = captured;
                    watching.compare(principal);
                }
                let vote = vote(&policy, captured, count, principal);
                if let Vote::Accept(accepted) = &vote {
                    let best = accepted.found.best.as_ref();
                    watching.at_hand = best.map(|best| (best.subject.clone(), best.score));
                }
                if dark && vote == Vote::Poor {
                    watching.tally.count(&vote);
                } else {
                    watching.tally.push(vote);
                }
            }
        }
    }

    fn announce(&mut self, faces: u32, effects: &mut Vec<Effect>) {
        if self.present != faces {
            self.present = faces;
            effects.push(Effect::Presence { faces });
        }
    }

    /// Where others have taken the place of somebody whose second factor is waited for, that visit is
    /// over, and theirs begins with their next frame.
    fn part(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let State::Watching(watching) = &self.state else { return };
        let Some(awaited) = &watching.awaited else { return };
        if watching.tally.shows_others_than(&awaited.subject, self.policy.agreeing) {
            self.time_out(now, effects);
            self.begin(now);
        }
    }

    /// Somebody is there of whom nothing was seen yet.
    fn begin(&mut self, now: Monotonic) {
        self.begun += 1;
        self.state = State::Watching(Box::new(Watching::begin(&self.policy, now)));
    }

    /// Decides when the window agrees on whom the frame at hand shows.
    fn prove(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        self.part(now, effects);
        let State::Watching(watching) = &self.state else { return };
        let Some(at_hand) = &watching.at_hand else { return };
        let enough = |agreement: &Agreement| {
            agreement.subject == at_hand.0
                && agreement.frames >= self.policy.agreeing
                && agreement.weight >= self.policy.weight_min
        };
        let Some(proven) = watching.tally.agreement().filter(enough) else { return };
        // Also what would be denied passes the gates.
        let VisitPolicy { gates, spacing, .. } = self.policy;
        let State::Watching(watching) = &mut self.state else { return };
        let (Some(captured), Some((subject, score))) =
            (watching.last_captured, watching.at_hand.take())
        else {
            return;
        };
        let passage = &mut watching.passage;
        if let Some(proven) = passage.begin(gates, (&subject, score), proven, captured, spacing) {
            self.conclude(&proven, now, effects);
        }
    }

    /// Decides on a proven subject, or waits on where only its second factor is missing.
    fn conclude(&mut self, proven: &Agreement, now: Monotonic, effects: &mut Vec<Effect>) {
        let life = self.policy.second;
        self.factors.forget_old(life, now);
        self.before.forget_old(life, now);
        let Judged { judgement, company, passback } = self.judge(proven, now);
        if company {
            self.before.remember(proven.subject.clone(), life, now);
        }
        let State::Watching(watching) = &mut self.state else { return };
        if judgement == Judgement::Waits {
            watching.awaited = Some(proven.clone());
            return watching.passage.forgive();
        }
        let State::Watching(watching) = &self.state else { return };
        let last_face = watching.last_face;
        if let Judgement::Said(verdict) = judgement {
            let mut decision = self.decided(verdict, watching, Some(proven), now);
            if let Verdict::Granted { subject } = &decision.verdict {
                decision.passback = passback;
                decision.passed = self.rules.passes(subject, decision.wall);
                self.grants.retain(|(_, at)| now.since(*at) < self.policy.cooldown);
                if self.grants.len() >= REMEMBERED_GRANTS {
                    self.grants.remove(0);
                }
                self.grants.push((subject.clone(), now));
                self.factors.forget(subject);
                self.duress.forget(subject);
                self.lockout.forget();
            }
            effects.push(Effect::Decided { decision, announce: true });
        }
        self.state = State::Decided { last_face };
    }

    /// Ends the visit of a proven subject whom a gate never lets pass.
    fn refuse(
        &mut self,
        refusal: Refusal,
        proven: &Agreement,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let State::Watching(watching) = &self.state else { return };
        let last_face = watching.last_face;
        let verdict = match refusal {
            Refusal::Denied(reason) => {
                Verdict::Denied { reason, subject: Some(proven.subject.clone()) }
            }
            Refusal::Ambiguous(reason) => Verdict::Ambiguous(reason),
        };
        let decision = self.decided(verdict, watching, Some(proven), now);
        self.note_failure(&decision.verdict, now);
        effects.push(Effect::Decided { decision, announce: true });
        self.state = State::Decided { last_face };
    }

    /// Names a visit in which nothing was proven in time.
    fn time_out(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let State::Watching(watching) = &self.state else { return };
        let last_face = watching.last_face;
        let tally = &watching.tally;
        let decision = if let Some(proven) = &watching.awaited {
            self.decided(missing(proven, Awaited::Factor), watching, Some(proven), now)
        } else {
            let waits_for = watching.passage.waits_for();
            let verdict = unproven(&tally.counts, tally.conflicts(), waits_for, &self.policy);
            self.decided(verdict, watching, None, now)
        };
        self.note_failure(&decision.verdict, now);
        effects.push(Effect::Decided { decision, announce: true });
        self.state = State::Decided { last_face };
    }

    /// The decision that ends a visit so, with whether whoever it is about acts under duress, or somebody
    /// in that visit has said so.
    fn decided(
        &self,
        verdict: Verdict,
        watching: &Watching,
        proven: Option<&Agreement>,
        now: Monotonic,
    ) -> Decision {
        let said = |who| self.duress.has_within(who, self.policy.second, now);
        let duress = |who| said(who) || self.rules.is_under_duress(who);
        let duress = watching.duress || verdict.subject().is_some_and(duress);
        Decision { duress, ..decision(verdict, watching, proven, self.wall, now) }
    }

    /// Counts a visit that failed.
    fn note_failure(&mut self, verdict: &Verdict, now: Monotonic) {
        if is_failure(verdict) {
            self.lockout.fail(&self.policy.lockout, now);
        }
    }

    /// What is made of a proven subject.
    fn judge(&self, agreement: &Agreement, now: Monotonic) -> Judged {
        let subject = agreement.subject.clone();
        let denied = |reason| {
            let verdict = Verdict::Denied { reason, subject: Some(subject.clone()) };
            Judged { judgement: Judgement::Said(verdict), company: false, passback: false }
        };
        if let Some(reason) = DeniedReason::of(agreement.enabled, agreement.beyond) {
            return denied(reason);
        }
        let ruling = self.rules.judge(&Asked {
            subject: &subject,
            enabled: agreement.enabled,
            wall: self.wall,
            locked_out: self.lockout.until(now).is_some(),
            factor: self.factors.has(&subject),
            before: self.before.as_slice(),
        });
        let cooling = |(granted, at): &(SubjectId, Monotonic)| {
            *granted == subject && now.since(*at) < self.policy.cooldown
        };
        let cooling = self.grants.iter().any(cooling);
        if cooling && ruling.refusal == Some(Ruled::AntiPassback) {
            // Whoever was just granted and looks up again is told nothing.
            return Judged { judgement: Judgement::Silent, company: false, passback: false };
        }
        let lacks = match ruling.refusal {
            Some(Ruled::SecondFactorMissing(awaited)) => Some(awaited),
            Some(refusal) => return denied(refusal.into()),
            None => None,
        };
        if self.contested {
            return denied(DeniedReason::DoorContested);
        }
        if let Some(awaited) = lacks {
            let judgement = match awaited {
                Awaited::Factor => Judgement::Waits,
                // Who comes in a visit of their own.
                Awaited::Company => Judgement::Said(missing(agreement, awaited)),
            };
            return Judged { judgement, company: true, passback: false };
        }
        let judgement =
            if cooling { Judgement::Silent } else { Judgement::Said(Verdict::Granted { subject }) };
        Judged { judgement, company: true, passback: ruling.passback }
    }
}
