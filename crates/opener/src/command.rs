//! A line that is two commands: one that unlocks and one that locks.
//!
//! In: lists of arguments, run as they are, without a shell. Out: processes, in groups of their own.
//! Always: the command that unlocks is ended with its children when the pulse is over, then the one that
//! locks is run and waited for, [`LOCKING_MAX`] at most. Both get no input, and write to the journal.
//! Deliberately absent: data of a grant in the arguments.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::output::Line;
use crate::time::instant;

/// How long locking may take.
pub const LOCKING_MAX: Duration = Duration::from_secs(5);
/// How often a command that runs is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The two commands.
#[derive(Debug)]
pub struct Commands {
    unlock: Vec<String>,
    lock: Vec<String>,
    running: Option<Child>,
}

impl Commands {
    /// Program and arguments of each; neither is empty.
    #[must_use]
    pub const fn new(unlock: Vec<String>, lock: Vec<String>) -> Self {
        Self { unlock, lock, running: None }
    }
}

fn start(words: &[String]) -> Result<Child, String> {
    let (program, arguments) = words.split_first().ok_or("a command without a program")?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))
}

/// Ends a command with all that it has started, unless it has ended.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // None left: it has ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    drop(child.wait());
}

fn wait(child: &mut Child, at_most: Duration) -> Option<ExitStatus> {
    let begun = instant();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if begun.elapsed() >= at_most {
            return None;
        }
        std::thread::park_timeout(LOOK);
    }
}

impl Line for Commands {
    fn unlock(&mut self) -> Result<(), String> {
        self.running = Some(start(&self.unlock)?);
        Ok(())
    }

    fn lock(&mut self) -> Result<(), String> {
        if let Some(mut running) = self.running.take() {
            end(&mut running);
        }
        let mut locking = start(&self.lock)?;
        let program = self.lock.first().map(String::as_str).unwrap_or_default();
        match wait(&mut locking, LOCKING_MAX) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("{program}: locking failed: {status}")),
            None => {
                end(&mut locking);
                Err(format!("{program}: locking took more than {} s", LOCKING_MAX.as_secs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_that_hangs_is_ended_when_the_line_locks() {
        let mut line = Commands::new(words("sleep 1000"), words("true"));
        line.unlock().unwrap();
        let id = line.running.as_ref().unwrap().id();
        line.lock().unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let mut line = Commands::new(words("/nonexistent/program"), words("false"));
        assert!(line.unlock().unwrap_err().contains("/nonexistent/program"));
        assert!(line.lock().unwrap_err().contains("locking failed"));
    }
}
