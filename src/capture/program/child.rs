//! A program, started and ended in order.
//!
//! In: what is to be started, several where one of them will do. Out: a running program with its
//! output, the words that it says; how it ended. Every program gets a process group of its own, so
//! that what it starts is ended with it.
//!
//! Invariants: no shell; nothing secret in arguments or environment; whatever is started is signalled
//! (TERM, after [`GRACE`] KILL) and waited for, so that no zombie stays, at the latest where its
//! [`Running`] is dropped. The unit's control group ends what a killed daemon leaves; elsewhere its
//! closed output does, at the next frame.
//! Deliberately absent: a signal at the parent's death (`PR_SET_PDEATHSIG`), which would need code
//! between fork and exec.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::output::Pipe;
use super::preset::Start;
use super::problem::ProgramProblem;
use super::words::Words;
use crate::capture::identity::ProgramKind;
use crate::clock::{Clock, Monotonic};

/// So long a program may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether it has.
const TURN: Duration = Duration::from_millis(10);

/// What the service manager has for this process alone.
const OWN_VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "CREDENTIALS_DIRECTORY",
];

/// A program that was started, and is ended with this.
pub(super) struct Running {
    child: Option<Child>,
    stop: Arc<AtomicBool>,
    words: Arc<Words>,
    listener: Option<JoinHandle<()>>,
    clock: Arc<dyn Clock>,
    how: String,
}

/// Starts the first of `starts` that is installed.
pub(super) fn start(
    starts: Vec<Start>,
    clock: &Arc<dyn Clock>,
) -> Result<(Start, Running, ChildStdout), ProgramProblem> {
    let mut missing = Vec::new();
    let mut kind = ProgramKind::Command;
    for start in starts {
        match spawn(&start) {
            Ok(child) => return run(start, child, clock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                kind = start.kind;
                missing.push(start.program);
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(ProgramProblem::Refused { program: start.program });
            }
            Err(error) => return Err(ProgramProblem::NotStarted { program: start.program, error }),
        }
    }
    Err(ProgramProblem::Missing { programs: missing.join(" nor "), kind })
}

fn spawn(start: &Start) -> std::io::Result<Child> {
    let mut command = Command::new(&start.program);
    command.args(&start.arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.stdin(if start.script.is_some() { Stdio::piped() } else { Stdio::null() });
    // What it says is read here for words that are known.
    command.env("LC_ALL", "C");
    for name in OWN_VARIABLES {
        command.env_remove(name);
    }
    command.spawn()
}

fn run(
    mut start: Start,
    mut child: Child,
    clock: &Arc<dyn Clock>,
) -> Result<(Start, Running, ChildStdout), ProgramProblem> {
    let pid = child.id();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut running = Running {
        child: Some(child),
        stop: Arc::new(AtomicBool::new(false)),
        words: Arc::new(Words::hiding(std::mem::take(&mut start.hidden))),
        listener: None,
        clock: Arc::clone(clock),
        how: String::new(),
    };
    // The password may be in it: it is not kept.
    if let (Some(mut stdin), Some(script)) = (stdin, start.script.take()) {
        // A program that ends before it has read is told of by its end.
        let _closed = stdin.write_all(script.as_bytes());
    }
    let (words, stop, clock) = (Arc::clone(&running.words), running.stop(), Arc::clone(clock));
    let listener = std::thread::Builder::new().name("camera-words".to_owned()).spawn(move || {
        if let Some(stderr) = stderr {
            words.listen(Pipe::new(stderr, stop, clock));
        }
    });
    match (stdout, listener) {
        (Some(output), Ok(listener)) => {
            running.listener = Some(listener);
            tracing::debug!(program = %start.program, pid, "camera program started");
            Ok((start, running, output))
        }
        (_, listener) => {
            let error = listener.err().unwrap_or_else(|| std::io::ErrorKind::BrokenPipe.into());
            Err(ProgramProblem::NotStarted { program: start.program, error })
        }
    }
}

impl Running {
    /// Set as soon as nobody wants to hear more of it.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// What it says on standard error.
    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// Waits a little for a program that has closed its output, so that how it ended is its own
    /// doing, and hears it out.
    pub(super) fn hear_out(&mut self) -> String {
        if let Some(child) = &self.child {
            wait_for(&*self.clock, GRACE / 2, || has_exited(child));
        }
        let how = self.end_it();
        let is_heard = || self.listener.as_ref().is_none_or(JoinHandle::is_finished);
        wait_for(&*self.clock, GRACE / 4, is_heard);
        self.stop.store(true, Ordering::Relaxed);
        how
    }

    /// Ends it, and everything that it has started; says how it ended.
    pub(super) fn end(&mut self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        self.end_it()
    }

    fn end_it(&mut self) -> String {
        let Some(mut child) = self.child.take() else { return self.how.clone() };
        let group = Pid::from_child(&child);
        if !has_exited(&child) {
            // One that was stopped hears of it only when it goes on.
            for signal in [Signal::TERM, Signal::CONT] {
                let _gone = kill_process_group(group, signal);
            }
            wait_for(&*self.clock, GRACE, || has_exited(&child));
        }
        // As long as nobody has waited for it, its group is still its own.
        let _gone = kill_process_group(group, Signal::KILL);
        let mut status = None;
        wait_for(&*self.clock, GRACE, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        self.how = if let Some(status) = status {
            status.to_string()
        } else {
            tracing::warn!(pid = child.id(), "a camera program does not end, also when killed");
            // The kernel keeps it in a call; it is waited for as long as that takes.
            let _waits = std::thread::Builder::new().spawn(move || child.wait());
            "does not end".to_owned()
        };
        self.how.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _how = self.end();
    }
}

fn has_exited(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error says that there is nothing to wait for.
    !matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Ok(None))
}

/// Waits until `done`, at most for `most`.
fn wait_for(clock: &dyn Clock, most: Duration, mut done: impl FnMut() -> bool) {
    let until: Monotonic = clock.now().plus(most);
    while !done() && clock.now() < until {
        clock.sleep(TURN);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};

    use super::*;
    use crate::capture::program::Output;
    use crate::clock::{ClockRequirement, Floor, SystemClock};

    fn shell(script: &str) -> Start {
        Start {
            program: "sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            script: Some("secret".to_owned()),
            output: Output::Mjpeg,
            hidden: vec!["secret".to_owned()],
            kind: ProgramKind::Command,
        }
    }

    #[test]
    fn whoever_lets_go_of_a_program_ends_it_with_what_it_has_started() {
        let clock: Arc<dyn Clock> =
            Arc::new(SystemClock::new(ClockRequirement::Plausible, Floor::default()));
        let starts = vec![shell("(sleep 30; echo survived) & echo started; wait")];
        let (start, running, output) = start(starts, &clock).unwrap();
        assert!(start.script.is_none() && start.hidden.is_empty(), "what is secret is not kept");
        let (mut output, mut said) = (BufReader::new(output), String::new());
        output.read_line(&mut said).unwrap();
        assert_eq!(said, "started\n");
        drop(running);
        // This ends as soon as nobody has the other end open.
        said.clear();
        output.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }
}
