//! Lines of the kernel's GPIO character devices: the relay, the contact, the button.
//!
//! In: a chip, a line's number, which level means what. Out: a [`Line`] for the output; readings of an
//! input, at the start and at every edge, from a thread of its own.
//! Always: a relay's line is requested at its locked level, so that there is no moment of the other one;
//! an input that cannot be read any more is a fault, which ends the program with the line locked; nobody
//! waits in a read: Linux 6.1 then keeps the whole chip from being removed, and nobody learns that it is.
//! Deliberately absent: the kernel's debouncing, which is not the same on every chip; `settled` does it.

use std::fmt::Display;
use std::path::PathBuf;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, Offset, Value};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Deserialize;
use tokio::sync::mpsc::UnboundedSender;

use crate::output::Line;

/// The name under which `gpioinfo` shows our lines.
const CONSUMER: &str = "deepid-opener";
/// How long an edge is waited for before the input is read all the same: Linux 6.1 wakes nobody when a
/// chip is removed.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// 0 V.
    Low,
    /// The supply of the chip.
    High,
}

/// A resistor within the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// To the supply.
    Up,
    /// To 0 V.
    Down,
    /// None: there is one outside.
    None,
}

/// A line of a chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its device, such as `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// Its number there.
    pub line: Offset,
}

impl Place {
    fn failed(&self, what: &str, error: &dyn Display) -> String {
        format!("{} line {}: {what}: {error}", self.chip.display(), self.line)
    }
}

/// The relay's line.
pub struct Relay {
    place: Place,
    locked: Value,
    request: Request,
}

const fn value(level: Level) -> Value {
    match level {
        Level::Low => Value::Inactive,
        Level::High => Value::Active,
    }
}

impl Relay {
    /// Takes the line, at its locked level.
    ///
    /// # Errors
    /// Why it cannot be had: no such chip, not permitted, used by another program.
    pub fn open(place: Place, locked: Level) -> Result<Self, String> {
        let locked = value(locked);
        let request = Request::builder()
            .on_chip(&place.chip)
            .with_consumer(CONSUMER)
            .with_line(place.line)
            .as_output(locked)
            .request()
            .map_err(|error| place.failed("cannot be had for the output", &error))?;
        Ok(Self { place, locked, request })
    }

    fn set(&self, value: Value) -> Result<(), String> {
        self.request
            .set_value(self.place.line, value)
            .map_err(|error| self.place.failed("cannot be set", &error))
    }
}

impl Line for Relay {
    fn unlock(&mut self) -> Result<(), String> {
        self.set(self.locked.not())
    }

    fn lock(&mut self) -> Result<(), String> {
        self.set(self.locked)
    }

    // Not by reading it: a chip that has outputs alone cannot be read.
    fn hold(&mut self) -> Result<(), String> {
        self.lock()
    }
}

/// Which input a reading is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The door contact; active: the door is open.
    Contact,
    /// The exit button; active: it is pressed.
    Button,
}

/// One reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Whether an input is active.
    Is(Input, bool),
    /// An input cannot be read any more, and why.
    Fault(String),
}

/// Watches an input until the receiver is gone; the first reading is that of now.
///
/// # Errors
/// Why the line cannot be had, or that there is no thread.
pub fn watch(
    input: Input,
    place: Place,
    active: Level,
    pull: Pull,
    readings: UnboundedSender<Reading>,
) -> Result<(), String> {
    let bias = match pull {
        Pull::Up => Bias::PullUp,
        Pull::Down => Bias::PullDown,
        Pull::None => Bias::Disabled,
    };
    let request = Request::builder()
        .on_chip(&place.chip)
        .with_consumer(CONSUMER)
        .with_line(place.line)
        .with_bias(bias)
        .with_edge_detection(EdgeDetection::BothEdges)
        .request()
        .map_err(|error| place.failed("cannot be had for an input", &error))?;
    let watched = Watched { input, place, active: value(active), request };
    let look = move || {
        loop {
            // The level after an edge is what counts: edges of a bouncing contact may be lost.
            let reading = watched.read().unwrap_or_else(Reading::Fault);
            let over = matches!(reading, Reading::Fault(_));
            if readings.send(reading).is_err() || over {
                return;
            }
            if let Err(what) = watched.wait() {
                drop(readings.send(Reading::Fault(what)));
                return;
            }
        }
    };
    let name = format!("{input:?}").to_lowercase();
    let thread = std::thread::Builder::new().name(name).spawn(look);
    thread.map(drop).map_err(|error| format!("no thread for an input: {error}"))
}

/// An input that was requested.
struct Watched {
    input: Input,
    place: Place,
    active: Value,
    request: Request,
}

impl Watched {
    fn read(&self) -> Result<Reading, String> {
        let now = self.request.value(self.place.line);
        let now = now.map_err(|error| self.place.failed("cannot be read", &error))?;
        Ok(Reading::Is(self.input, now == self.active))
    }

    /// Waits for the next edge, for [`LOOK`] at most.
    fn wait(&self) -> Result<(), String> {
        let mut edges = [PollFd::new(&self.request, PollFlags::IN)];
        match poll(&mut edges, Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => Ok(()),
            Ok(_) => {
                let edge = self.request.read_edge_event();
                edge.map(drop).map_err(|error| self.place.failed("cannot be watched", &error))
            }
            Err(error) => Err(self.place.failed("cannot be watched", &error)),
        }
    }
}

/// The chips that this machine has, for messages.
#[must_use]
pub fn chips() -> String {
    let found = gpiocdev::chip::chips().unwrap_or_default();
    let names: Vec<String> = found.iter().map(|chip| chip.display().to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
