//! The store key from outside: the commands that change it and look for what stands readable, and what
//! the program says where it is missing.
//!
//! The real binary in folders of its own, with the service manager's folder of credentials as it would be
//! given.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deepid_edge::clock::{ClockTrust, WallClock};
use deepid_edge::store::{NAME_SEALED, Store, StoreKey, StoreSettings};
use serde_json::Value as Json;
use support::answer::Answer;
use support::daemon::Home;
use support::models::assets;
use support::older;
use support::people::People as _;
use support::scene::Recording;

const WALL: WallClock =
    WallClock { unix_ms: 1_777_000_000_000, trust: ClockTrust::Trusted, synchronised: false };

struct Board {
    folder: tempfile::TempDir,
}

impl Board {
    /// A board with somebody who has a long name.
    fn new() -> Self {
        let board = Self { folder: tempfile::tempdir().unwrap() };
        board.store().add_subject("Erasmus Unverwechselbar", WALL).unwrap();
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> Store {
        Store::open(&self.path("door.db"), StoreSettings::default()).unwrap()
    }

    /// With the credentials in a folder, where one is named.
    fn run(&self, credentials: Option<&Path>, arguments: &[&str]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepid-edge"));
        command.env_clear().envs(credentials.map(|folder| ("CREDENTIALS_DIRECTORY", folder)));
        let output = command
            .arg("--set")
            .arg(format!("store.path={}", self.path("door.db").display()))
            .args(["--config", "/dev/null", "--json"])
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Answer::of(output)
    }

    fn names(&self, credentials: Option<&Path>) -> Vec<Json> {
        let listed = self.run(credentials, &["subjects", "list"]).json();
        let subjects = listed["subjects"].as_array().unwrap();
        subjects.iter().map(|subject| subject["name"].clone()).collect()
    }

    fn check(&self, credentials: Option<&Path>) -> Json {
        let said = self.run(credentials, &["doctor", "--patience", "1"]).json();
        let checks = said["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == "store key").unwrap().clone()
    }
}

#[test]
fn what_stands_readable_is_named_and_rewritten() {
    let board = Board::new();
    let clean = board.run(None, &["erase", "--verify"]);
    assert_eq!((clean.code, &clean.json()["names"]), (0, &1.into()), "{}", clean.err);
    let other = rusqlite::Connection::open(board.path("door.db")).unwrap();
    other
        .execute_batch(
            "CREATE TABLE t (b BLOB);
             INSERT INTO t VALUES (CAST('Erasmus Unverwechselbar' AS BLOB) || zeroblob(9000));
             DROP TABLE t",
        )
        .unwrap();
    drop(other);
    let found = board.run(None, &["erase", "--verify"]);
    assert_eq!(found.code, 1, "{}", found.out);
    let said = found.json();
    assert_eq!(said["clean"], false);
    assert!(!found.out.contains("Unverwechselbar"), "{}", found.out);
    let swept = board.run(None, &["erase"]);
    assert_eq!((swept.code, &swept.json()["clean"]), (0, &true.into()), "{}", swept.out);
    assert!(!older::on_disk(board.folder.path(), b"Unverwechselbar"));
    assert_eq!(board.names(None), ["Erasmus Unverwechselbar"], "nobody was removed");
}

#[test]
fn another_key_in_the_file_is_one_command() {
    let board = Board::new();
    let before = std::fs::read(board.path("store.key")).unwrap();
    assert_eq!(board.run(None, &["keys", "rotate", "--store"]).code, 11, "it asks");
    let rotated = board.run(None, &["keys", "rotate", "--store", "--yes"]);
    assert_eq!(rotated.code, 0, "{}", rotated.err);
    let said = rotated.json();
    assert_ne!(said["before"], said["after"]);
    let after = std::fs::read(board.path("store.key")).unwrap();
    assert_ne!(after, before);
    assert!(!rotated.out.contains(std::str::from_utf8(&after).unwrap().trim()));
    assert!(!board.path("store.key.new").exists());
    assert_eq!(board.names(None), ["Erasmus Unverwechselbar"]);
    assert_eq!(board.check(None)["verdict"], "ok");
    let both = board.run(None, &["keys", "rotate", "--store", "--public", "x"]);
    assert_eq!(both.code, 2, "{}", both.err);
}

#[test]
fn a_key_becomes_the_services_credential_and_commands_without_it_say_so() {
    let board = Board::new();
    let credentials = tempfile::tempdir().unwrap();
    let key = StoreKey::generate().unwrap();
    std::fs::write(board.path("new.key"), key.to_text().as_bytes()).unwrap();
    let arguments = ["keys", "rotate", "--store", "--key", "new.key", "--yes"];
    let rotated = board.run(None, &arguments);
    assert_eq!(rotated.code, 0, "{}", rotated.err);
    assert_eq!(rotated.json()["after"], key.name().as_str());
    std::fs::rename(board.path("new.key"), credentials.path().join("store.key")).unwrap();
    std::fs::remove_file(board.path("store.key")).unwrap();

    assert_eq!(board.names(Some(credentials.path())), ["Erasmus Unverwechselbar"]);
    assert_eq!(board.check(Some(credentials.path()))["verdict"], "ok");
    assert_eq!(board.names(None), [NAME_SEALED]);
    let check = board.check(None);
    assert_eq!(check["verdict"], "warn", "{check}");
    assert!(check["remedy"].as_str().unwrap().contains("systemd-run"), "{check}");
    let refused = board.run(None, &["subjects", "rename", "Erasmus Unverwechselbar", "Erasmus"]);
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(!board.path("store.key").exists(), "no key is made");
    // The command cannot write a credential.
    let again = board.run(Some(credentials.path()), &["keys", "rotate", "--store", "--yes"]);
    assert_eq!(again.code, 2, "{}", again.err);
}

#[test]
fn a_daemon_without_its_store_key_does_not_start_and_makes_none() {
    if !assets() {
        return;
    }
    let home = Home::new().enrol_obama();
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).write(&recording, 2);
    std::fs::remove_file(home.path("store.key")).unwrap();
    let mut daemon = home.run(&recording);
    assert_eq!(daemon.until_ended().code(), Some(8), "{}", daemon.log());
    assert!(daemon.log().contains("store key"), "{}", daemon.log());
    assert!(daemon.log().contains("restore a backup"), "{}", daemon.log());
    assert!(!home.path("store.key").exists());
}
