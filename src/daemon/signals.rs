//! What a signal means to the daemon.
//!
//! In: signals of the process. Out: [`Heard`].
//!
//! | signal | meaning |
//! |---|---|
//! | `SIGTERM`, `SIGINT` | end, in order |
//! | `SIGHUP` | read the configuration again; end, where the terminal is gone that the daemon was started at |
//! | `SIGUSR1`, `SIGUSR2`, `SIGALRM`, `SIGVTALRM`, `SIGPROF`, `SIGIO`, `SIGPWR`, `SIGXFSZ` | nothing: each would end the process by default, without a word; it is logged |
//! | `SIGPIPE` | nothing: Rust's runtime ignores it, and a write to a closed pipe fails |
//! | `SIGQUIT`, `SIGABRT` and faults of the processor | end at once, as the system does it: somebody asks for that, or nothing can be saved |
//!
//! A limit of the file size (`SIGXFSZ`) that is not a signal is an error of the write, which the
//! database has a state for. Deliberately absent: what follows from a signal.
//! Source: signal(7).

use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::task::{Context, Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// End, in order.
    End(&'static str),
    /// Read the configuration again.
    Reload,
    /// Nothing that has a meaning.
    Nothing(&'static str),
}

/// The signals that are listened to.
pub(super) struct Signals {
    all: Vec<(&'static str, Meaning, Signal)>,
    /// Whether the daemon was started at a terminal.
    at_terminal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    End,
    HangUp,
    Nothing,
}

impl Signals {
    /// Listens from now on; to be called within an event loop.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn listen() -> io::Result<Self> {
        let raw = SignalKind::from_raw;
        let kinds = [
            ("SIGTERM", Meaning::End, SignalKind::terminate()),
            ("SIGINT", Meaning::End, SignalKind::interrupt()),
            ("SIGHUP", Meaning::HangUp, SignalKind::hangup()),
            ("SIGUSR1", Meaning::Nothing, SignalKind::user_defined1()),
            ("SIGUSR2", Meaning::Nothing, SignalKind::user_defined2()),
            ("SIGALRM", Meaning::Nothing, SignalKind::alarm()),
            ("SIGVTALRM", Meaning::Nothing, raw(libc::SIGVTALRM)),
            ("SIGPROF", Meaning::Nothing, raw(libc::SIGPROF)),
            ("SIGIO", Meaning::Nothing, SignalKind::io()),
            ("SIGPWR", Meaning::Nothing, raw(libc::SIGPWR)),
            ("SIGXFSZ", Meaning::Nothing, raw(libc::SIGXFSZ)),
        ];
        let all = kinds.into_iter().map(|(name, meaning, kind)| Ok((name, meaning, signal(kind)?)));
        Ok(Self { all: all.collect::<io::Result<_>>()?, at_terminal: is_at_terminal() })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Heard {
        let (name, meaning) = poll_fn(|context| self.poll(context)).await;
        heard(name, meaning, self.at_terminal && !is_at_terminal())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(&'static str, Meaning)> {
        for (name, meaning, signal) in &mut self.all {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready((name, *meaning));
            }
        }
        Poll::Pending
    }
}

/// What a signal says where the terminal that the daemon was started at is gone, or is not.
const fn heard(name: &'static str, meaning: Meaning, terminal_is_gone: bool) -> Heard {
    match meaning {
        Meaning::End => Heard::End(name),
        Meaning::HangUp if terminal_is_gone => Heard::End("SIGHUP of a terminal that is gone"),
        Meaning::HangUp => Heard::Reload,
        Meaning::Nothing => Heard::Nothing(name),
    }
}

/// Whether a person sits before the daemon: its input or its log is a terminal that still answers.
fn is_at_terminal() -> bool {
    io::stdin().is_terminal() || io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_a_reload_unless_the_terminal_is_gone() {
        assert_eq!(heard("SIGHUP", Meaning::HangUp, false), Heard::Reload);
        assert!(matches!(heard("SIGHUP", Meaning::HangUp, true), Heard::End(_)));
        assert_eq!(heard("SIGTERM", Meaning::End, true), Heard::End("SIGTERM"));
        assert_eq!(heard("SIGUSR1", Meaning::Nothing, true), Heard::Nothing("SIGUSR1"));
    }
}
