//! A disk that is full or may not be written: the program says which, and what to do; the daemon
//! starts, denies, and comes back by itself.
//!
//! Each case mounts a small file system of its own in a private mount namespace, which needs root
//! and the program `unshare`; says aloud when it skips.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/fault_rows.rs"]
mod fault_rows;
#[path = "support/skip.rs"]
mod skip;

use std::process::{Command, Output};

use deepid_edge::store::{Store, StoreSettings};
use fault_rows::shown;
use skip::{skip, skip_here};

/// Runs `subjects list` on a file system of 1 MiB that holds a database, after `trouble`, or says
/// aloud that it cannot.
fn list_after(trouble: &str) -> Option<Output> {
    in_a_small_file_system(&format!(
        "{trouble}; exec \"$2\" --config /dev/null --set store.path=\"$1/door.db\" subjects list"
    ))
}

/// Runs `script` with a file system of 1 MiB at `$1` that holds the database `door.db`, and the
/// program at `$2`, or says aloud that it cannot.
fn in_a_small_file_system(script: &str) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.db");
    drop(Store::open(&made, StoreSettings::default()).unwrap());
    let mount_point = folder.path().join("disk");
    std::fs::create_dir(&mount_point).unwrap();
    let mounted = format!(
        "set -eu; mount -t tmpfs -o size=1m tmpfs \"$1\"; cp \"$3\" \"$1/door.db\"; {script}"
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &mounted, "sh"])
        .arg(mount_point)
        .arg(env!("CARGO_BIN_EXE_deepid-edge"))
        .arg(made)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let Ok(output) = output else {
        skip("unshare is not there");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // As nobody in particular, in a chroot, in some containers.
    if said.contains("unshare") || said.contains("mount:") {
        skip_here(format_args!("no file system can be mounted here: {said}"));
        return None;
    }
    Some(output)
}

#[test]
fn a_read_only_file_system_is_named() {
    let Some(output) = list_after("mount -o remount,ro \"$1\"") else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(13), "{said}");
    assert!(said.contains("may not be written") && said.contains("read-only"), "{said}");
    shown("disk-read-only", 1);
}

#[test]
fn a_full_disk_is_named() {
    let fill = "cat /dev/zero >\"$1/filler\" 2>/dev/null || true";
    let Some(output) = list_after(fill) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(13), "{said}");
    assert!(said.contains("disk is full"), "{said}");
}

/// Room for the index of the write-ahead log (32 KiB), which opening takes, and none for a record.
const ROOM: &str = "36K";

#[test]
fn a_daemon_that_finds_a_full_disk_starts_and_records_as_soon_as_there_is_room() {
    let library = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/lib");
    if !library.exists() {
        skip(format_args!("{} is absent; run 'make assets'", library.display()));
        return;
    }
    let script = format!(
        r#"cat /dev/zero >"$1/filler" 2>/dev/null || true
        truncate --size=-{ROOM} "$1/filler"
        said() {{ for _ in $(seq 600); do grep -q "$1" "$2" && return; sleep 0.1; done; cat "$2"; exit 99; }}
        log=$(mktemp)
        "$2" --config /dev/null --set store.path="$1/door.db" --set mqtt.enabled=false             --set camera.device=/dev/absent run 2>"$log" &
        daemon=$!
        trap 'kill -KILL $daemon 2>/dev/null || true' EXIT
        said "start cannot be recorded" "$log"
        said "ready" "$log"
        kill -0 $daemon
        rm "$1/filler"
        said "can be written again" "$log"
        kill -TERM $daemon
        wait $daemon
        cat "$log"
        "$2" --config /dev/null --set store.path="$1/door.db" records list --json"#
    );
    let Some(output) = in_a_small_file_system(&script) else { return };
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("the disk is full"), "{said}");
    let recorded: Vec<&str> = said.lines().filter(|line| line.contains("\"seq\"")).collect();
    assert!(recorded.iter().any(|line| line.contains("stopped")), "{recorded:?}");
    shown("disk-full-start", 1);
}
