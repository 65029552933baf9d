//! A process of a test, ended when the test is, also when it fails.
//!
//! In: a child that was started. Out: the same child, by way of this guard. Invariant: nothing of a test
//! goes on when the test is over: a daemon that does would hold ports, files and the processor.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Output};

/// Killed and waited for when it is dropped, unless it has ended before.
pub struct Ended(Option<Child>);

impl Ended {
    pub const fn with(child: Child) -> Self {
        Self(Some(child))
    }

    /// Waits for its end, with all that it says.
    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Deref for Ended {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Ended {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// The same for the program under test where it is the child of a child, which has written its number
/// into a file.
pub struct EndedByFile(pub PathBuf);

impl Drop for EndedByFile {
    fn drop(&mut self) {
        let Ok(number) = std::fs::read_to_string(&self.0) else { return };
        let number = number.trim();
        // The number may be another's by now.
        let program = std::fs::read_link(format!("/proc/{number}/exe")).unwrap_or_default();
        if program.file_name().is_some_and(|name| name == "deepid-edge") {
            let command = format!("kill -KILL {number}");
            std::process::Command::new("sh").args(["-c", &command]).status().ok();
        }
    }
}
