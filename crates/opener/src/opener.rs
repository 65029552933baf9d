//! Decides, purely: what comes in, and the time, give what is to be done.
//!
//! In: [`Event`]s with [`Now`]. Out: [`Effect`]s, to be done in their order; [`Opener::poll_at`] says
//! when to ask again though nothing has come. Nothing here waits, reads a clock or touches a line.
//!
//! Glossary: a *pulse* is the time for which the line is unlocked; a *grant*'s ends with the broker's
//! connection, the *button*'s does not: who is inside must get out. *Held open*: the contact has said for
//! too long that the door is open.
//! Always: one grant gives one pulse, of `pulse_ms` at most; where a number is to be kept, keeping it
//! comes before the pulse; a message that is refused changes the line never.
//! Deliberately absent: opening by anything but a grant and the button; a lock-out after refusals,
//! which would let anybody who can write to the broker lock the door.

use deepid_grant::{Refusal, Verifier};

use crate::settled::Settled;
use crate::state::{Contact, Report, State};

/// After this long a nonce is replaced; the door takes one for old after 60 s.
pub const NONCE_RENEWAL_MS: u64 = 20_000;
/// After a refusal a nonce is not replaced sooner than this after the last one, and refusals are not
/// told more often: the broker's other clients can cause both.
const AFTER_REFUSAL_MS: u64 = 1_000;

/// What shapes an opener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For how long the line is unlocked, in milliseconds.
    pub pulse_ms: u64,
    /// After how long an open door is held open, in milliseconds; `None`: never.
    pub held_open_ms: Option<u64>,
    /// For how long an input must keep its value, in milliseconds.
    pub debounce_ms: u64,
    /// Whether nonces are sent.
    pub nonce: bool,
    /// Whether the largest number taken is kept, before the line is unlocked.
    pub keep: bool,
}

/// The time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds that only grow.
    pub ms: u64,
    /// Seconds since 1970 by a clock that is known to be right.
    pub unix_s: Option<u64>,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The broker has accepted us and our subscription.
    Connected,
    /// There is no connection any more.
    Lost,
    /// A message on `grant`.
    Message(&'a [u8]),
    /// A reading of the contact.
    Contact {
        /// Whether the door is open.
        open: bool,
    },
    /// A reading of the exit button.
    Button {
        /// Whether it is pressed.
        pressed: bool,
    },
    /// A number could not be kept: its grant must not open.
    NotKept,
    /// Nothing, but [`Opener::poll_at`] has come.
    Tick,
}

/// What is to be done, in this order; what follows an [`Effect::Keep`] that fails is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep this number where it survives a restart.
    Keep(u64),
    /// Unlock for so many milliseconds from now.
    Unlock {
        /// How long.
        ms: u64,
    },
    /// Lock.
    Lock,
    /// Send this nonce.
    Challenge(String),
    /// Say how the opener stands.
    Report(Report),
    /// Write a line.
    Note(Note),
}

/// What the journal is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A grant was taken.
    Taken {
        /// For whom: a pseudonym.
        subject: String,
        /// The record's number.
        seq: u64,
    },
    /// A message was refused.
    Refused(Refusal),
    /// The button was pressed.
    Button,
    /// The door has stood open for too long.
    HeldOpen,
    /// It was closed after that.
    ClosedAgain,
    /// No nonce could be made.
    NoNonce,
}

/// Where nonces come from: `None` where the system gives no random bytes.
pub type Nonces = Box<dyn FnMut() -> Option<String> + Send>;

/// An opener.
pub struct Opener {
    settings: Settings,
    verifier: Verifier,
    nonces: Nonces,
    connected: bool,
    nonce_sent_at: Option<u64>,
    nonce_due_at: Option<u64>,
    grant_until: Option<u64>,
    button_until: Option<u64>,
    contact: Settled,
    button: Settled,
    open_since: Option<u64>,
    held_open: bool,
    last_refusal: Option<Refusal>,
    refusal_told_at: Option<u64>,
    reported: Option<Report>,
}

impl Opener {
    /// An opener that hears nothing yet. `nonces` must give texts that nobody can guess.
    #[must_use]
    pub fn new(settings: Settings, verifier: Verifier, nonces: Nonces) -> Self {
        let input = Settled::new(settings.debounce_ms);
        Self {
            settings,
            verifier,
            nonces,
            connected: false,
            nonce_sent_at: None,
            nonce_due_at: None,
            grant_until: None,
            button_until: None,
            contact: input.clone(),
            button: input,
            open_since: None,
            held_open: false,
            last_refusal: None,
            refusal_told_at: None,
            reported: None,
        }
    }

    /// Takes what has happened, and says what is to be done.
    pub fn step(&mut self, event: Event<'_>, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let was_unlocked = self.unlocked();
        match event {
            Event::Connected => {
                self.connected = true;
                self.reported = None;
                self.nonce_due_at = self.settings.nonce.then_some(now.ms);
            }
            Event::Lost => {
                self.connected = false;
                self.verifier.forget_nonce();
                self.nonce_due_at = None;
                self.grant_until = None;
            }
            Event::Message(message) if self.connected => self.hear(message, now, &mut effects),
            Event::Contact { open } => self.contact.read(open, now.ms),
            Event::Button { pressed } => self.button.read(pressed, now.ms),
            Event::NotKept => {
                self.grant_until = None;
                // What followed the number was left undone, also what the button asked for.
                if let Some(until) = self.button_until.filter(|&until| until > now.ms) {
                    effects.push(Effect::Unlock { ms: until - now.ms });
                }
            }
            Event::Message(_) | Event::Tick => {}
        }
        self.read_inputs(now.ms, &mut effects);
        for until in [&mut self.grant_until, &mut self.button_until] {
            *until = until.filter(|&until| until > now.ms);
        }
        if was_unlocked && !self.unlocked() {
            effects.push(Effect::Lock);
        }
        if self.nonce_due_at.is_some_and(|at| at <= now.ms) {
            self.renew_nonce(now.ms, &mut effects);
        }
        let report = self.report();
        if self.connected && self.reported != Some(report) {
            self.reported = Some(report);
            effects.push(Effect::Report(report));
        }
        effects
    }

    /// When to ask again at the latest, in milliseconds.
    #[must_use]
    pub fn poll_at(&self) -> Option<u64> {
        let held_open_at = self
            .open_since
            .filter(|_| !self.held_open)
            .and_then(|since| Some(since.saturating_add(self.settings.held_open_ms?)));
        [
            self.nonce_due_at,
            self.grant_until,
            self.button_until,
            self.contact.settles_at(),
            self.button.settles_at(),
            held_open_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How it stands.
    #[must_use]
    pub fn report(&self) -> Report {
        let open = self.contact.value();
        let state = if self.held_open {
            State::HeldOpen
        } else if self.unlocked() || open == Some(true) {
            State::Open
        } else {
            State::Ready
        };
        let contact = open.map(|open| if open { Contact::Open } else { Contact::Closed });
        Report { state, contact, last_refusal: self.last_refusal }
    }

    fn unlocked(&self) -> bool {
        self.grant_until.is_some() || self.button_until.is_some()
    }

    fn hear(&mut self, message: &[u8], now: Now, effects: &mut Vec<Effect>) {
        match self.verifier.verify(message, now.unix_s) {
            Ok(grant) => {
                let note = Note::Taken { subject: grant.subject.to_owned(), seq: grant.seq };
                if self.settings.keep {
                    effects.push(Effect::Keep(grant.seq));
                }
                effects.push(Effect::Unlock { ms: self.settings.pulse_ms });
                effects.push(Effect::Note(note));
                self.grant_until = Some(now.ms.saturating_add(self.settings.pulse_ms));
                self.last_refusal = None;
                self.nonce_due_at = self.nonce_due_at.map(|_| now.ms);
            }
            Err(refusal) => {
                // Refused after its signature was proved: the door has forgotten our nonce with it.
                if refusal as u8 > Refusal::BadSignature as u8 {
                    let soonest = self.nonce_sent_at.map_or(0, |at| at + AFTER_REFUSAL_MS);
                    self.nonce_due_at = self.nonce_due_at.map(|due| due.min(soonest.max(now.ms)));
                }
                if self.refusal_told_at.is_none_or(|at| now.ms >= at + AFTER_REFUSAL_MS) {
                    self.refusal_told_at = Some(now.ms);
                    self.last_refusal = Some(refusal);
                    effects.push(Effect::Note(Note::Refused(refusal)));
                }
            }
        }
    }

    fn read_inputs(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        if self.button.settle(now_ms) == Some(true) {
            self.button_until = Some(now_ms.saturating_add(self.settings.pulse_ms));
            effects.push(Effect::Unlock { ms: self.settings.pulse_ms });
            effects.push(Effect::Note(Note::Button));
        }
        match self.contact.settle(now_ms) {
            Some(true) => self.open_since = Some(now_ms),
            Some(false) => {
                self.open_since = None;
                if std::mem::take(&mut self.held_open) {
                    effects.push(Effect::Note(Note::ClosedAgain));
                }
            }
            None => {}
        }
        let stands_open_ms = self.open_since.map(|since| now_ms.saturating_sub(since));
        let too_long =
            stands_open_ms.zip(self.settings.held_open_ms).is_some_and(|(is, may)| is >= may);
        if too_long && !self.held_open {
            self.held_open = true;
            effects.push(Effect::Note(Note::HeldOpen));
        }
    }

    fn renew_nonce(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        self.nonce_due_at = Some(now_ms.saturating_add(NONCE_RENEWAL_MS));
        self.nonce_sent_at = Some(now_ms);
        match (self.nonces)() {
            Some(nonce) if self.verifier.set_nonce(&nonce).is_ok() => {
                effects.push(Effect::Challenge(nonce));
            }
            _ => {
                self.verifier.forget_nonce();
                effects.push(Effect::Note(Note::NoNonce));
            }
        }
    }
}
