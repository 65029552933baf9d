//! The systemd unit, held against systemd's own check and against what the program promises.
//!
//! In: `systemd/deepid-edge.service`, the documented exit codes. Needs `systemd-analyze`, which
//! `make setup` installs; says so and skips without it.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in what its cases share")]

use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn setting<'a>(unit: &'a str, key: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn systemd_accepts_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    // The check wants the program to exist, which it does only once installed.
    let unit = read("systemd/deepid-edge.service").replace("/usr/bin/deepid-edge", "/bin/true");
    let path = folder.path().join("deepid-edge.service");
    std::fs::write(&path, unit).unwrap();
    let checked = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    let Ok(checked) = checked else {
        eprintln!("SKIPPED: systemd-analyze is missing; 'make setup' installs it");
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("deepid-edge")).collect();
    assert!(checked.status.success() && ours.is_empty(), "systemd-analyze verify: {said}");
}

#[test]
fn the_unit_waits_for_ready_and_watches_the_daemon() {
    let unit = read("systemd/deepid-edge.service");
    assert_eq!(setting(&unit, "Type"), Some("notify"));
    assert!(setting(&unit, "WatchdogSec").is_some());
    assert_eq!(setting(&unit, "SupplementaryGroups"), Some("video"), "cameras belong to it");
    assert_ne!(setting(&unit, "User"), None, "the service never runs as root");
}

#[test]
fn the_unit_does_not_restart_what_waiting_cannot_mend() {
    let unit = read("systemd/deepid-edge.service");
    let documented = read("docs/exit-codes.md");
    for code in setting(&unit, "RestartPreventExitStatus").unwrap().split(' ') {
        let row = documented.lines().find(|line| line.starts_with(&format!("| {code} |")));
        let row = row.unwrap_or_else(|| panic!("exit code {code} is not documented"));
        let lasting = ["command line", "configuration", "model", "database"];
        assert!(lasting.iter().any(|word| row.contains(word)), "waiting may mend this: {row}");
    }
}
