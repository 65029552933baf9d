//! What several black-box tests need; each test file uses a part of it.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test file is a crate of its own and uses a part of this"
)]

pub mod answer;
pub mod browser;
pub mod certificates;
pub mod command;
pub mod daemon;
pub mod door;
pub mod ended;
pub mod fault_rows;
pub mod models;
pub mod mosquitto;
pub mod network_camera;
pub mod older;
pub mod path;
pub mod people;
pub mod scene;
pub mod skip;
pub mod subscriber;

pub use ended::{Ended, EndedByFile};
pub use skip::{skip, skip_here};

/// Sends a process the signal called `name`, such as `-TERM`. By the shell's own kill: the program of
/// that name is in no minimal Debian.
pub fn signal(process: u32, name: &str) {
    let command = format!("kill {name} {process}");
    let sent = std::process::Command::new("sh").args(["-c", &command]).status();
    assert!(sent.is_ok_and(|status| status.success()), "{command}");
}
