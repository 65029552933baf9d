//! Joins the core with what is around it, until a signal ends it.
//!
//! In: a [`Config`], SIGTERM or SIGINT. Out: `Ok` when it was ended so, else the fault.
//! Order: what a step says is done in its order; a number that cannot be kept stops the rest of its step.
//! At the end, whatever the reason, the line is locked first, and then the broker is told.
//! Deliberately absent: a watchdog of its own; the output's thread ends a pulse without this loop.

use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, channel, unbounded_channel};

use crate::broker::{Heard, Link, Say};
use crate::command::Commands;
use crate::config::{Config, Output};
use crate::gpio::{Input, Reading, Relay, chips, watch};
use crate::kept::Kept;
use crate::opener::{Effect, Event, Note, Opener};
use crate::output::Keeper;
use crate::state::{Report, State, challenge};
use crate::time::Clock;

const QUEUE: usize = 32;
/// How long the goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(3);
/// Without anything to do, how long to wait; the loop then looks again, to no harm.
const IDLE: Duration = Duration::from_secs(3600);

/// What does what the core says.
struct Hands<'a> {
    keeper: Keeper,
    kept: Kept,
    say: Sender<Say>,
    listener: &'a str,
}

impl Hands<'_> {
    /// Does it all in order; `false` where a number could not be kept, and the rest was left undone.
    fn all_done(&self, effects: Vec<Effect>) -> bool {
        for effect in effects {
            match effect {
                Effect::Keep(seq) => {
                    if let Err(what) = self.kept.store(seq) {
                        tracing::error!("not opened: the number cannot be kept: {what}");
                        return false;
                    }
                }
                Effect::Unlock { ms } => self.keeper.unlock(ms),
                Effect::Lock => self.keeper.lock(),
                Effect::Challenge(nonce) => {
                    self.tell(Say::Challenge(challenge(self.listener, &nonce)));
                }
                Effect::Report(report) => self.tell(Say::State(report.to_json(self.listener))),
                Effect::Note(note) => write(&note),
            }
        }
        true
    }

    fn tell(&self, word: Say) {
        if self.say.try_send(word).is_err() {
            tracing::warn!("the connection is behind: something was not said");
        }
    }
}

fn write(note: &Note) {
    match note {
        Note::Taken { subject, seq } => tracing::info!(subject, seq, "opened by a grant"),
        Note::Refused(refusal) => tracing::warn!(reason = refusal.word(), "a message was refused"),
        Note::Button => tracing::info!("opened by the button"),
        Note::HeldOpen => tracing::warn!("the door is held open"),
        Note::ClosedAgain => tracing::info!("the door is closed again"),
        Note::NoNonce => tracing::error!("no nonce: the system gives no random bytes"),
    }
}

/// 16 bytes of the system's randomness, as 32 hexadecimal digits.
fn nonce() -> Option<String> {
    let mut bytes = [0_u8; 16];
    let given = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (given == bytes.len()).then(|| digits.concat())
}

/// Takes the lines, connects, and opens for grants and the button until it is ended.
///
/// # Errors
/// What cannot be had or has failed; the line is locked.
pub async fn run(config: Config) -> Result<(), String> {
    let (faults, mut failed) = unbounded_channel();
    let advice = |what| format!("{what} (chips here: {})", chips());
    let keeper = match config.output.clone() {
        Output::Gpio { place, locked } => {
            Keeper::start(Relay::open(place, locked).map_err(advice)?, faults)?
        }
        Output::Command { unlock, lock } => Keeper::start(Commands::new(unlock, lock), faults)?,
    };
    // Kept, so that the receiver does not end where there is no input.
    let (readings, mut read) = unbounded_channel();
    for (input, line) in [(Input::Contact, &config.contact), (Input::Button, &config.button)] {
        if let Some(line) = line.clone() {
            watch(input, line.place, line.active, line.pull, readings.clone()).map_err(advice)?;
        }
    }
    let kept = Kept::at(&config.state_directory);
    let mut verifier = config.verifier.clone();
    if config.settings.keep
        && let Some(seq) = kept.load()?
    {
        verifier.resume_after(seq);
    }
    let (say, words) = channel(QUEUE);
    let (heard, mut hear) = channel(QUEUE);
    let link = Link::new(&config).run(words, heard);
    tokio::pin!(link);
    let mut opener = Opener::new(config.settings.clone(), verifier, Box::new(nonce));
    let hands = Hands { keeper, kept, say, listener: &config.listener };
    let clock = Clock::start(config.belief);
    let failed_signal = |error: std::io::Error| format!("no signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed_signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed_signal)?;
    let mut told = String::new();
    tracing::info!(listener = config.listener, door = config.door, "locked, and listening");

    let end = loop {
        let wait = opener.poll_at().map_or(IDLE, |ms| clock.until(ms));
        let message;
        let event = tokio::select! {
            biased;
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            Some(what) = failed.recv() => break Err(what),
            reading = read.recv() => match reading {
                Some(Reading::Is(Input::Contact, open)) => Event::Contact { open },
                Some(Reading::Is(Input::Button, pressed)) => Event::Button { pressed },
                Some(Reading::Fault(what)) => break Err(what),
                None => break Err("the inputs' threads have ended".to_owned()),
            },
            next = hear.recv() => match next {
                Some(Heard::Connected) => {
                    told.clear();
                    tracing::info!("connected to the broker");
                    Event::Connected
                }
                Some(Heard::Lost(why)) => {
                    if told != why {
                        tracing::warn!("no broker: {why}");
                    }
                    told = why;
                    Event::Lost
                }
                Some(Heard::Message(bytes)) => {
                    message = bytes;
                    Event::Message(&message)
                }
                None => break Err("the connection's task has ended".to_owned()),
            },
            () = &mut link => break Err("the connection's task has ended".to_owned()),
            () = tokio::time::sleep(wait) => Event::Tick,
        };
        let effects = opener.step(event, clock.now());
        if !hands.all_done(effects) {
            let rest = opener.step(Event::NotKept, clock.now());
            hands.all_done(rest);
        }
    };
    let Hands { keeper, say, listener, .. } = hands;
    drop(keeper);
    let goodbye = Say::Stop(Report::only(State::Stopped).to_json(listener));
    if say.try_send(goodbye).is_ok() {
        drop(tokio::time::timeout(GOODBYE_MAX, &mut link).await);
    }
    end
}
