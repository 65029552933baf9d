//! A disk that is full or may not be written: the program says which, and what to do.
//!
//! Each case mounts a small file system of its own in a private mount namespace, which needs root
//! and the program `unshare`; says aloud when it skips.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::{Command, Output};

use deepid_edge::store::{Store, StoreSettings};

/// Runs `subjects list` on a file system of 1 MiB that holds a database, after `trouble`, or says
/// aloud that it cannot.
fn list_after(trouble: &str) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made.db");
    drop(Store::open(&made, StoreSettings::default()).unwrap());
    let mount_point = folder.path().join("disk");
    std::fs::create_dir(&mount_point).unwrap();
    let mounted = format!(
        "set -eu; mount -t tmpfs -o size=1m tmpfs \"$1\"; cp \"$3\" \"$1/door.db\"; {trouble}; \
         exec \"$2\" --config /dev/null --set store.path=\"$1/door.db\" subjects list"
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &mounted, "sh"])
        .arg(mount_point)
        .arg(env!("CARGO_BIN_EXE_deepid-edge"))
        .arg(made)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: unshare is not there");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // As nobody in particular, in a chroot, in some containers.
    if said.contains("unshare") || said.contains("mount:") {
        eprintln!("SKIPPED: no file system can be mounted here: {said}");
        return None;
    }
    Some(output)
}

#[test]
fn a_read_only_file_system_is_named() {
    let Some(output) = list_after("mount -o remount,ro \"$1\"") else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("may not be written") && said.contains("read-only"), "{said}");
}

#[test]
fn a_full_disk_is_named() {
    let fill = "cat /dev/zero >\"$1/filler\" 2>/dev/null || true";
    let Some(output) = list_after(fill) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(said.contains("disk is full"), "{said}");
}
