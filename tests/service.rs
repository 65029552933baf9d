//! The systemd units, held against systemd's own checks and against what the program promises.
//!
//! In: `systemd/`, `deploy/`, the documented exit codes. Needs `systemd-analyze`, which `make setup`
//! installs; says so and skips without it.
//! Deliberately absent: what only a running systemd shows; `tests/package` installs the package, and
//! a virtual machine runs it.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in what its cases share")]

#[path = "support/skip.rs"]
mod skip;

use std::path::Path;
use std::process::{Command, Output};

use skip::skip;

/// What `systemd-analyze security` may give the service at most, of 10.
const EXPOSURE_MAX: f64 = 1.5;
const SERVICE: &str = "systemd/deepid-edge.service";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn setting<'a>(unit: &'a str, key: &'a str) -> Option<&'a str> {
    settings(unit, key).next()
}

fn settings<'a>(unit: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// Runs `systemd-analyze` on the units, laid into a folder of their own; nothing when it is missing.
fn analyze(arguments: &[&str], units: &[&str]) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()));
    for unit in units {
        // The check wants the programs to exist, which ours does only once installed.
        let text = read(unit).replace("/usr/bin/deepid-edge", "/bin/true");
        let path = folder.path().join(Path::new(unit).file_name().unwrap());
        std::fs::write(&path, text).unwrap();
        command.arg(path);
    }
    let output = command.output().ok();
    if output.is_none() {
        skip("systemd-analyze is missing; 'make setup' installs it");
    }
    output
}

#[test]
fn a_missing_program_is_a_failure_where_nothing_may_be_skipped() {
    let passes = |all: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["systemd_accepts_the_units", "--exact"])
            .env("PATH", "/nonexistent")
            .env("DEEPID_EDGE_REQUIRE_ALL", all)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(passes("0") && !passes("1"));
}

#[test]
fn systemd_accepts_the_units() {
    let units = [SERVICE, "systemd/deepid-edge-retry.service", "systemd/deepid-edge-retry.timer"];
    let Some(checked) = analyze(&["verify", "--man=no"], &units) else { return };
    let said = String::from_utf8_lossy(&checked.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("deepid-edge")).collect();
    assert!(checked.status.success() && ours.is_empty(), "systemd-analyze verify: {said}");
}

#[test]
fn the_service_is_exposed_no_more_than_stated() {
    let Some(judged) = analyze(&["security", "--offline=true", "--no-pager"], &[SERVICE]) else {
        return;
    };
    let said = String::from_utf8_lossy(&judged.stdout);
    let last = said.lines().rev().find(|line| line.contains("Overall exposure level")).unwrap();
    let score = last.rsplit(": ").next().unwrap().split(' ').next().unwrap();
    println!("exposure {score}");
    assert!(score.parse::<f64>().unwrap() <= EXPOSURE_MAX, "{last}\n{said}");
}

#[test]
fn the_unit_waits_for_ready_and_watches_the_daemon() {
    let unit = read(SERVICE);
    assert_eq!(setting(&unit, "Type"), Some("notify"));
    assert!(setting(&unit, "WatchdogSec").is_some());
    assert_eq!(setting(&unit, "SupplementaryGroups"), Some("video"), "cameras belong to it");
    assert_ne!(setting(&unit, "User"), None, "the service never runs as root");
}

#[test]
fn the_page_may_listen() {
    let unit = read(SERVICE);
    let families = setting(&unit, "RestrictAddressFamilies").unwrap();
    assert!(["AF_INET", "AF_INET6"].iter().all(|family| families.split(' ').any(|f| f == *family)));
    for denied in ["IPAddressDeny", "SocketBindDeny", "PrivateNetwork"] {
        assert_eq!(setting(&unit, denied), None, "{denied} would keep browsers out");
    }
}

#[test]
fn the_unit_does_not_restart_what_waiting_cannot_mend() {
    let unit = read(SERVICE);
    let documented = read("docs/exit-codes.md");
    for code in setting(&unit, "RestartPreventExitStatus").unwrap().split(' ') {
        let row = documented.lines().find(|line| line.starts_with(&format!("| {code} |")));
        let row = row.unwrap_or_else(|| panic!("exit code {code} is not documented"));
        let lasting = ["command line", "configuration", "model", "database"];
        assert!(lasting.iter().any(|word| row.contains(word)), "waiting may mend this: {row}");
    }
}

#[test]
fn a_database_that_cannot_be_used_at_the_moment_is_tried_again() {
    let unit = read(SERVICE);
    let prevented = setting(&unit, "RestartPreventExitStatus").unwrap();
    assert!(
        !prevented.split(' ').any(|code| code == "13"),
        "a full disk locks nobody out for good"
    );
    assert_eq!(setting(&unit, "Restart"), Some("on-failure"));
    let retry = read("systemd/deepid-edge-retry.service");
    assert!(!retry.contains("1:13"), "the slow retry tries it as well");
}

#[test]
fn the_unit_checks_the_configuration_before_it_starts() {
    let unit = read(SERVICE);
    assert_eq!(setting(&unit, "ExecStartPre"), Some("/usr/bin/deepid-edge config check"));
}

#[test]
fn a_reload_tells_the_daemon_first_and_fails_where_the_configuration_is_wrong() {
    let unit = read(SERVICE);
    let commands: Vec<&str> = settings(&unit, "ExecReload").collect();
    // The daemon is told whatever the file says: it records what it refuses.
    let wanted = ["/bin/sh -c 'kill -HUP $MAINPID'", "/usr/bin/deepid-edge config check"];
    assert_eq!(commands, wanted);
    assert_eq!(setting(&unit, "Type"), Some("notify"), "systemd 252 has no notify-reload");
}

#[test]
fn quick_restarts_have_an_end_and_slow_ones_follow() {
    let unit = read(SERVICE);
    let number = |key: &str| setting(&unit, key).unwrap().parse::<u32>().unwrap();
    // Ten quick restarts must fit into the interval, or the limit is never reached and a fault that
    // stays is tried again for ever at the quick pace.
    let quickest_s = number("StartLimitBurst") * number("RestartSec");
    assert!(quickest_s < number("StartLimitIntervalSec"), "{quickest_s} s of quick restarts");
    assert_eq!(setting(&unit, "OnFailure"), Some("deepid-edge-retry.timer"));
}

#[test]
fn what_waiting_cannot_mend_is_not_tried_again_later_either() {
    let unit = read(SERVICE);
    let codes: Vec<String> = setting(&unit, "RestartPreventExitStatus")
        .unwrap()
        .split(' ')
        .map(|code| format!("1:{code}"))
        .collect();
    let retry = read("systemd/deepid-edge-retry.service");
    let wanted = format!(" in {}) exit 1 ", codes.join(" | "));
    assert!(
        settings(&retry, "ExecCondition").any(|condition| condition.contains(&wanted)),
        "{wanted}"
    );
    let check = settings(&retry, "ExecCondition").any(|c| c == "/usr/bin/deepid-edge config check");
    assert!(check, "a wrong configuration stays wrong");
}

#[test]
fn cameras_are_reached_and_no_other_device_is() {
    let unit = read(SERVICE);
    assert_eq!(setting(&unit, "DevicePolicy"), Some("closed"));
    assert_eq!(settings(&unit, "DeviceAllow").collect::<Vec<_>>(), ["char-video4linux rw"]);
    assert_eq!(setting(&unit, "PrivateDevices"), None, "it would hide the cameras");
    let accounts = read("deploy/sysusers.d/deepid-edge.conf");
    assert!(accounts.lines().any(|line| line == "m deepid-edge video"), "{accounts}");
}

#[test]
fn the_drop_ins_for_other_cameras_allow_what_they_say_and_no_more() {
    for (name, wanted) in [
        (
            "deploy/systemd/libcamera.conf",
            &[
                "DeviceAllow=char-media rw",
                "DeviceAllow=char-dma_heap rw",
                "RestrictAddressFamilies=AF_NETLINK",
                "MemoryMax=512M",
            ][..],
        ),
        ("deploy/systemd/network-camera.conf", &["MemoryMax=512M"]),
    ] {
        let drop_in = read(name);
        let set: Vec<&str> = drop_in
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
            .collect();
        assert_eq!(set, wanted, "{name}");
        // As systemd reads them together: a unit and what is added to it are one text.
        let folder = tempfile::tempdir().unwrap();
        let unit = read(SERVICE).replace("/usr/bin/deepid-edge", "/bin/true");
        let path = folder.path().join("deepid-edge.service");
        std::fs::write(&path, unit.replace("[Install]", &format!("{drop_in}\n[Install]"))).unwrap();
        let checked =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
        let Ok(checked) = checked else {
            return skip("systemd-analyze is missing; 'make setup' installs it");
        };
        let said = String::from_utf8_lossy(&checked.stderr);
        let ours = said.lines().filter(|line| line.contains("deepid-edge.service"));
        let ours: Vec<&str> = ours.filter(|line| !line.contains("OnFailure")).collect();
        assert!(ours.is_empty(), "{name}: {said}");
    }
}

#[test]
fn a_credential_that_is_not_there_does_not_keep_the_service_from_starting() {
    let unit = read(SERVICE);
    let credentials: Vec<&str> = settings(&unit, "LoadCredential").collect();
    assert!(credentials.contains(&"deepid-edge.mqtt-password"), "{credentials:?}");
    // systemd.exec(5): one with an absolute path must exist; one without is looked for.
    let fixed: Vec<_> = credentials.iter().filter(|name| name.contains([':', '/'])).collect();
    assert!(fixed.is_empty(), "{fixed:?}");
}

/// What kept the kiosk's unit from working until it was tried (`make page-kiosk`).
#[test]
fn nothing_keeps_the_kiosk_from_its_screen() {
    let unit = read("deploy/kiosk/deepid-kiosk.service");
    assert_eq!(setting(&unit, "PAMName"), Some("login"), "its screen comes by a session");
    assert_eq!(setting(&unit, "ProtectHome"), None, "it hides /run/user, where cage's socket lies");
    assert_eq!(setting(&unit, "Type"), Some("simple"), "before systemd 256 'exec' ends in 90 s");
    assert_eq!(setting(&unit, "MemoryMax"), None, "the session is in another control group");
    let before = setting(&unit, "ExecStartPre").unwrap_or_default();
    assert!(before.contains("set-property") && before.contains("MemoryMax=900M"), "{before}");
}

#[test]
fn the_service_waits_for_no_network() {
    let unit = read(SERVICE);
    for key in ["Wants", "Requires", "BindsTo", "After"] {
        for value in settings(&unit, key) {
            assert!(!value.contains("network-online"), "{key}={value}: decides without a network");
        }
    }
}
