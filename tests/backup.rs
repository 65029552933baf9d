//! Backup and restore from outside: what comes back, what is refused, and that a refusal changes
//! nothing.
//!
//! The real binary in folders of its own, and, where many cases are tried, the library with a work
//! factor that costs no time. A refusal is always held against every byte of the folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::ModelKey;
use deepid_edge::policy::{Arming, RuleName};
use deepid_edge::sign::GrantKey;
use deepid_edge::store::backup::{ConfigFile, Occasion, Passphrase, Received};
use deepid_edge::store::{
    Administrative, BackupProblem, Body, Error, May, ReferenceSource, Role, RuleChange, Signature,
    Store, StoreSettings,
};
use serde_json::{Value as Json, json};
use support::answer::Answer;
use support::daemon::Home;
use support::fault_rows::shown;
use support::people::{People as _, key, shipped_key};
use support::scene::Recording;
use uuid::Uuid;

const WALL: WallClock =
    WallClock { unix_ms: 1_777_000_000_000, trust: ClockTrust::Trusted, synchronised: false };
const PASSPHRASE: &str = "correct horse battery staple";
/// No resistance to guessing at all, and no time either.
const CHEAP: u8 = 2;

struct Board {
    folder: tempfile::TempDir,
}

impl Board {
    /// A board with a passphrase file, and neither gallery nor configuration.
    fn bare() -> Self {
        let board = Self { folder: tempfile::tempdir().unwrap() };
        board.write("passphrase", format!("{PASSPHRASE}\n"));
        std::fs::set_permissions(board.path("passphrase"), PermissionsExt::from_mode(0o600))
            .unwrap();
        board
    }

    /// A board with Ada, who has two references, Bob, who is disabled, and a configuration.
    fn with_people() -> Self {
        let board = Self::bare();
        board.write("door.toml", "# mine\n[door]\nid = 'back'\n");
        let mut store = board.store();
        let ada = store.add_subject("Ada", WALL).unwrap();
        let bob = store.add_subject("Bob", WALL).unwrap();
        let (deepid2, another) = (shipped_key("deepid2"), key("another"));
        for (subject, key, value) in
            [(&ada, &deepid2, 0.25), (&ada, &deepid2, -1.5), (&bob, &another, 3.0)]
        {
            let vector = FeatureVector::new(key.clone(), vec![value; 160]).unwrap();
            store.add_reference(subject, &vector, 0.5, ReferenceSource::Image, WALL).unwrap();
        }
        store.enable_subject(&bob, false).unwrap();
        for at in 0..50 {
            record(&mut store, at);
        }
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn store(&self) -> Store {
        Store::open(&self.path("door.db"), StoreSettings::default()).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        let output = Command::new(env!("CARGO_BIN_EXE_deepid-edge"))
            .args(["--config", "door.toml", "--set"])
            .arg(format!("store.path={}", self.path("door.db").display()))
            .args(arguments)
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Answer::of(output)
    }

    /// Without a configuration file there is none to be named.
    fn backup(&self, file: &Path) -> Answer {
        self.run(&["backup", text(file), "--passphrase-file", "passphrase", "--json"])
    }

    fn restore(&self, file: &Path, flags: &[&str]) -> Answer {
        let mut arguments =
            vec!["restore", text(file), "--passphrase-file", "passphrase", "--json"];
        arguments.extend(flags);
        self.run(&arguments)
    }

    /// Every file with its content and rights; what a WAL connection leaves behind is no change.
    fn state(&self) -> BTreeMap<String, (Vec<u8>, u32)> {
        let mut state = BTreeMap::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with("-shm") || name.ends_with("-wal") {
                continue;
            }
            state.insert(name, (std::fs::read(entry.path()).unwrap(), mode));
        }
        state
    }

    fn names(&self) -> Vec<String> {
        self.state().into_keys().collect()
    }

    fn subjects(&self) -> Vec<(String, bool, u64)> {
        let subjects = self.store().subjects().unwrap();
        let mut subjects: Vec<_> =
            subjects.into_iter().map(|s| (s.name, s.enabled, s.references)).collect();
        // Those of the same millisecond come in the order of their random ids.
        subjects.sort();
        subjects
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn record(store: &mut Store, at_ms: u64) {
    let event = Administrative::Started {
        version: format!("0.0.{at_ms}"),
        recording: false,
        grant_key: None,
    };
    let at = Monotonic::from_millis(at_ms);
    store.record_admin(event, "back", Uuid::nil(), at, WALL).unwrap();
}

fn people() -> Vec<(String, bool, u64)> {
    vec![("Ada".to_owned(), true, 2), ("Bob".to_owned(), false, 1)]
}

/// A board with people, and its backup.
fn backed_up() -> (Board, PathBuf) {
    let board = Board::with_people();
    let file = board.path("door.age");
    let answer = board.backup(&file);
    assert_eq!(answer.code, 0, "{}", answer.err);
    (board, file)
}

#[test]
fn a_door_comes_back_on_another_board() {
    let (old, file) = backed_up();
    assert_eq!(
        old.names(),
        ["door.age", "door.db", "door.toml", "passphrase", "store.key"],
        "nothing is left over"
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    for secret in [&b"Ada"[..], b"SQLite format 3", b"deepid2", PASSPHRASE.as_bytes()] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "it is not encrypted");
    }

    let new = Board::bare();
    let answer = new.restore(&file, &[]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let told = answer.json();
    assert_eq!(told["restored"], true);
    assert_eq!(told["manifest"]["door"], "back");
    assert_eq!(told["kept"], json!([]));
    assert_eq!(told["models"][0]["model"], "another");
    assert_eq!(
        (told["models"][0]["installed"].clone(), told["models"][0]["references"].clone()),
        (false.into(), 1.into())
    );
    assert_eq!(told["models"][1]["in_use"], true);

    let names = ["door.db", "door.toml", "passphrase", "store.key"];
    assert_eq!(new.names(), names, "one file, no WAL beside it, and a key of this board's own");
    assert_ne!(new.state()["store.key"], old.state()["store.key"]);
    let mode = std::fs::metadata(new.path("door.db")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mode = std::fs::metadata(new.path("door.toml")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644, "the service's user must be able to read it, and it holds no secret");
    assert_eq!(new.state()["door.toml"].0, old.state()["door.toml"].0);
    assert_eq!(new.subjects(), people());
    let model: ModelKey = shipped_key("deepid2");
    let (mine, theirs) = (new.store(), old.store());
    assert_eq!(mine.references(&model).unwrap(), theirs.references(&model).unwrap());
    let (restored, before) = (mine.audit(0, 1000).unwrap(), theirs.audit(0, 1000).unwrap());
    assert_eq!(restored[..before.len()], before);
    assert_eq!(mine.outbox_depth().unwrap(), theirs.outbox_depth().unwrap() + 1);
    let last = restored.last().unwrap();
    assert_eq!(last.seq, before.len() as u64 + 1);
    let Body::Administrative(Administrative::GalleryRestored { subjects: 2, references: 3, made }) =
        &last.body
    else {
        panic!("{last:?}")
    };
    assert_eq!(told["manifest"]["made"].as_str(), Some(made.as_str()));
}

#[test]
fn a_backup_is_sealed_by_a_key_of_its_own_and_becomes_sealed_by_the_boards() {
    let (old, file) = backed_up();
    let board = Board::bare();
    board.store().add_subject("Carol", WALL).unwrap();
    let own = board.state()["store.key"].clone();
    let received = receive(&board, &file).unwrap();
    let of_backup = received.store().store_key().unwrap().unwrap();
    assert_ne!(&of_backup.to_text().as_bytes(), &old.state()["store.key"].0.as_slice());
    assert_eq!(received.store().subjects().unwrap().len(), 2, "it opens by what it brings");
    drop(received);
    assert_eq!(board.restore(&file, &["--replace"]).code, 0);
    assert_eq!(board.state()["store.key"], own, "the board's key stays");
    assert_eq!(board.subjects(), people());
    let (mine, theirs) = (board.store(), old.store());
    let model = shipped_key("deepid2");
    assert_eq!(mine.references(&model).unwrap(), theirs.references(&model).unwrap());
    drop((mine, theirs));

    // Without the key of the old gallery a restore makes one: what it brings can be opened.
    std::fs::remove_file(board.path("store.key")).unwrap();
    assert_eq!(board.restore(&file, &["--replace"]).code, 0);
    assert_ne!(board.state()["store.key"], own);
    assert_eq!(board.subjects(), people());
    // And no backup is made of what cannot be opened.
    std::fs::remove_file(board.path("store.key")).unwrap();
    let refused = board.backup(&board.path("none.age"));
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(refused.err.contains("store key"), "{}", refused.err);
    assert!(!board.path("none.age").exists());
}

#[test]
fn the_rules_of_who_may_pass_come_along() {
    let old = Board::with_people();
    for change in [
        &["schedules", "set", "office", "mon-fri 08:00-18:00"][..],
        &["schedules", "holidays", "add", "2026-12-25"],
        &["groups", "add", "staff", "--schedule", "office"],
        &["groups", "assign", "Ada", "staff"],
        &["subjects", "validity", "Ada", "--until", "2030-12-31"],
        &["arm", "off"],
    ] {
        let answer = old.run(change);
        assert_eq!(answer.code, 0, "{change:?}: {}", answer.err);
    }
    let file = old.path("door.age");
    assert_eq!(old.backup(&file).code, 0);
    let new = Board::bare();
    assert_eq!(new.restore(&file, &[]).code, 0);
    let book = new.store().rule_book().unwrap();
    assert_eq!(book, old.store().rule_book().unwrap());
    assert_eq!((book.subjects.len(), book.holidays.len()), (1, 1));
    assert_eq!(book.arming, Arming::Off);
}

#[test]
fn a_backup_is_of_one_moment_while_others_write() {
    let board = Board::with_people();
    let path = board.path("door.db");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut daemon = Store::open(&path, StoreSettings::default()).unwrap();
            let mut at = 100;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                record(&mut daemon, at);
                at += 1;
            }
        });
        let store = Store::open_read_only(&path, StoreSettings::default()).unwrap();
        for turn in 0..5 {
            let file = board.path(&format!("{turn}.age"));
            make(&store, &file);
            let received = receive(&board, &file).unwrap();
            received.store().check().unwrap();
            let records = received.store().audit(0, 1_000_000).unwrap();
            assert!(records.len() >= 50);
            assert_eq!(records.last().unwrap().seq, records.len() as u64, "without gaps");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// A backup that costs no time, by the library.
fn make(store: &Store, file: &Path) {
    let occasion = Occasion {
        software: "0.1.0".to_owned(),
        made: "2026-05-01T07:15:02Z".to_owned(),
        door: "back".to_owned(),
        config: Some(ConfigFile {
            path: "/etc/deepid-edge/config.toml".into(),
            text: "# x".into(),
        }),
    };
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    store.back_up(occasion, &passphrase, CHEAP, file, &mut |_, _| ()).unwrap();
}

/// Decrypts and checks it beside the board's gallery, without placing it.
fn receive(board: &Board, file: &Path) -> Result<Received, Error> {
    Received::read(
        file,
        &Passphrase::new(PASSPHRASE.to_owned()),
        StoreSettings::default(),
        |_, _| Ok(board.path("door.db")),
        &mut |_, _| (),
    )
}

fn problem(outcome: Result<Received, Error>) -> BackupProblem {
    match outcome.unwrap_err() {
        Error::Backup { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn a_byte_that_was_changed_or_cut_off_is_noticed_and_nothing_is_changed() {
    let board = Board::with_people();
    let file = board.path("door.age");
    make(&board.store(), &file);
    let whole = std::fs::read(&file).unwrap();
    let before = board.state();
    let head = whole.windows(4).position(|bytes| bytes == b"--- ").unwrap();
    // Every byte of the head, of the first bytes behind it and of the end; samples between.
    let places = || {
        (0..whole.len())
            .filter(|at| *at < head + 120 || *at + 40 > whole.len() || at % (whole.len() / 97) == 0)
    };
    let try_it = |bytes: &[u8], said: &str| {
        std::fs::write(&file, bytes).unwrap();
        let problem = problem(receive(&board, &file));
        let known = matches!(
            problem,
            BackupProblem::Damaged { .. }
                | BackupProblem::WrongPassphrase
                | BackupProblem::NotABackup { .. }
                | BackupProblem::NewerEncryption { .. }
                | BackupProblem::TooMuchWork { .. }
        );
        assert!(known, "{said}: {problem}");
        let text = problem.to_string();
        assert!(text.contains(';'), "{said}: no remedy in '{text}'");
        problem
    };
    for at in places() {
        let cut = try_it(&whole[..at], &format!("cut to {at}"));
        let expected = matches!(cut, BackupProblem::Damaged { .. })
            || at == 0 && matches!(cut, BackupProblem::NotABackup { .. });
        assert!(expected, "cut to {at}: {cut}");
        for bit in [0, 5] {
            let mut spoiled = whole.clone();
            spoiled[at] ^= 1 << bit;
            let found = try_it(&spoiled, &format!("bit {bit} of byte {at}"));
            if at > head {
                assert!(matches!(found, BackupProblem::Damaged { .. }), "byte {at}: {found}");
            }
        }
    }
    let longer = [&whole[..], b"x"].concat();
    assert!(matches!(try_it(&longer, "longer"), BackupProblem::Damaged { .. }));
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(board.state(), before, "a refused backup has changed something");
    receive(&board, &file).unwrap();
    shown("backup-damage", 3 * places().count() as u64);
}

#[test]
fn a_wrong_passphrase_has_an_exit_code_of_its_own() {
    let (board, file) = backed_up();
    board.write("passphrase", "another one altogether\n");
    let before = board.state();
    let answer = board.restore(&file, &["--replace"]);
    assert_eq!((answer.code, answer.error()["kind"].clone()), (12, "passphrase".into()));
    assert_eq!(board.state(), before);
}

#[test]
fn what_is_no_backup_is_refused_by_the_command_line_too() {
    let (board, file) = backed_up();
    let whole = std::fs::read(&file).unwrap();
    let mut spoiled = whole.clone();
    spoiled[whole.len() / 2] ^= 1;
    let before = board.state();
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, bytes, word) in [
        ("empty", &b""[..], "empty"),
        ("letter", b"Dear Sir or Madam, this is no backup", "no backup"),
        ("gallery", &before["door.db"].0, "no backup"),
        ("cut", &whole[..whole.len() - 1], "cut short"),
        ("spoiled", &spoiled, "changed"),
    ] {
        let path = elsewhere.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let answer = board.restore(&path, &["--replace"]);
        assert_eq!(answer.code, 4, "{name}: {}", answer.err);
        let what = answer.error()["what"].as_str().unwrap().to_owned();
        assert!(what.contains(word) && what.contains(text(&path)), "{what}");
    }
    assert_eq!(board.restore(&elsewhere.path().join("absent"), &[]).code, 4);
    assert_eq!(board.restore(elsewhere.path(), &[]).code, 4);
    assert_eq!(board.state(), before);
}

/// An age file by passphrase with `entries` as a tar archive.
fn sealed(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        // Written by hand: the library refuses the names that are to be refused here.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    encrypted(&archive.into_inner().unwrap(), CHEAP)
}

fn encrypted(plain: &[u8], work_factor: u8) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(PASSPHRASE.to_owned().into());
    recipient.set_work_factor(work_factor);
    sealed_to(plain, &recipient)
}

fn sealed_to(plain: &[u8], recipient: &dyn age::Recipient) -> Vec<u8> {
    let mut out = Vec::new();
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient)).unwrap();
    let mut writer = encryptor.wrap_output(&mut out).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap();
    out
}

fn manifest(database: &[u8]) -> Json {
    json!({
        "format": "deepid-edge/backup", "version": 1, "software": "9.9.9",
        "made": "2026-05-01T07:15:02Z", "door": "back",
        "database": { "schema": 2, "bytes": database.len(), "subjects": 2, "references": [] },
    })
}

#[test]
fn other_content_newer_formats_and_unsound_databases_each_say_what_they_are() {
    use BackupProblem as P;
    let board = Board::with_people();
    drop(board.store());
    let database = std::fs::read(board.path("door.db")).unwrap();
    let before = board.state();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("made");
    let tried = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        problem(receive(&board, &file))
    };
    let of = |manifest: &Json, database: &[u8]| {
        let manifest = manifest.to_string();
        tried(&sealed(&[("manifest.json", manifest.as_bytes()), ("deepid-edge.db", database)]))
    };
    let good = manifest(&database);
    let with = |pointer: &str, value: Json| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };

    // The same by hand is a backup: what is refused below is refused for what it is.
    let by_hand =
        sealed(&[("manifest.json", good.to_string().as_bytes()), ("deepid-edge.db", &database)]);
    std::fs::write(&file, by_hand).unwrap();
    receive(&board, &file).unwrap();

    assert!(
        matches!(of(&with("/version", 2.into()), &database), P::NewerFormat { found: 2, known: 1, software } if software == "9.9.9")
    );
    assert!(matches!(
        of(&with("/database/schema", 99.into()), &database),
        P::NewerSchema { found: 99, .. }
    ));
    assert!(matches!(of(&with("/format", "other".into()), &database), P::NotABackup { .. }));
    assert!(matches!(of(&with("/database/bytes", 5.into()), &database), P::NotABackup { .. }));
    assert!(matches!(
        of(&with("/database/bytes", 5_000_000_000_u64.into()), &database),
        P::TooLarge { .. }
    ));
    assert!(matches!(of(&json!([]), &database), P::NotABackup { .. }));

    // The database itself says that it is newer, whatever the manifest says.
    let newer = board.path("newer.db");
    std::fs::write(&newer, &database).unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = std::fs::read(newer).unwrap();
    std::fs::remove_file(board.path("newer.db")).unwrap();
    assert!(matches!(of(&manifest(&newer), &newer), P::NewerSchema { found: 99, .. }));
    let mut torn = database.clone();
    torn[8192..12288].fill(0xA5);
    assert!(matches!(of(&manifest(&torn), &torn), P::Unsound { .. }));
    let letter = b"a letter, not a database".repeat(200);
    assert!(matches!(of(&manifest(&letter), &letter), P::Unsound { .. }));

    let said = good.to_string();
    let entry = ("manifest.json", said.as_bytes());
    for (what, bytes) in [
        ("no database", sealed(&[entry])),
        ("another order", sealed(&[("deepid-edge.db", &database), entry])),
        ("a path of somebody else", sealed(&[entry, ("../deepid-edge.db", &database)])),
        ("more than a backup", sealed(&[entry, ("deepid-edge.db", &database), ("more", b"x")])),
        (
            "a configuration that was not announced",
            sealed(&[entry, ("config.toml", b""), ("deepid-edge.db", &database)]),
        ),
        ("no archive", encrypted(&b"just some text of nobody's".repeat(60), CHEAP)),
        ("nothing", encrypted(b"", CHEAP)),
        ("to a key", sealed_to(b"x", &age::x25519::Identity::generate().to_public())),
    ] {
        let problem = tried(&bytes);
        assert!(matches!(problem, P::NotABackup { .. }), "{what}: {problem}");
    }
    let huge = vec![b' '; 70_000];
    assert!(matches!(tried(&sealed(&[("manifest.json", &huge)])), P::TooLarge { .. }));

    // A head that asks for 1 GiB of memory is not obeyed: the number stands in its second line.
    let whole = encrypted(b"x", CHEAP);
    let line = whole.windows(3).position(|bytes| bytes == b" 2\n").unwrap();
    let greedy = [&whole[..line], b" 20\n", &whole[line + 3..]].concat();
    assert!(matches!(tried(&greedy), P::TooMuchWork { asked: 20, max: 18 }));
    assert!(tried(&greedy).to_string().contains("1024 MiB"));
    assert_eq!(board.state(), before);
}

#[test]
fn an_older_database_is_brought_up_before_it_takes_its_place() {
    let board = Board::bare();
    let path = board.path("old.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/store/schema/step-1.sql")).unwrap();
    old.pragma_update(None, "application_id", 0x4450_4564).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch("INSERT INTO subjects VALUES ('s-4f9a1c', 'Ada', 1, 7)").unwrap();
    drop(old);
    let database = std::fs::read(&path).unwrap();
    let mut said = manifest(&database);
    said["database"]["schema"] = 1.into();
    let bytes =
        sealed(&[("manifest.json", said.to_string().as_bytes()), ("deepid-edge.db", &database)]);
    let file = board.write("old.age", bytes);
    let gallery = board.path("door.db");
    receive(&board, &file).unwrap().place(&gallery, None, ".aside", false).unwrap();
    assert_eq!(board.subjects(), [("Ada".to_owned(), true, 0)]);
    board.store().check().unwrap();
}

#[test]
fn a_gallery_that_is_there_is_never_overwritten() {
    let (_old, file) = backed_up();
    let board = Board::bare();
    board.store().add_subject("Carol", WALL).unwrap();
    let before = board.state();
    let refused = board.restore(&file, &[]);
    assert_eq!((refused.code, refused.error()["kind"].clone()), (11, "declined".into()));
    assert!(refused.err.contains("--replace"), "{}", refused.err);
    let after: Vec<_> = board.subjects();
    assert_eq!(after, [("Carol".to_owned(), true, 0)]);
    assert_eq!(before.keys().collect::<Vec<_>>(), board.state().keys().collect::<Vec<_>>());

    let answer = board.restore(&file, &["--replace"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(board.subjects(), people());
    let kept = answer.json()["kept"][0].as_str().unwrap().to_owned();
    assert!(kept.contains("door.db.before-restore-"), "{kept}");
    let kept = Store::open(Path::new(&kept), StoreSettings::default()).unwrap();
    assert_eq!(kept.subjects().unwrap()[0].name, "Carol", "the old one is whole");
    assert_eq!(answer.json()["not_in_backup"], 1);
}

#[test]
fn nothing_is_replaced_while_somebody_has_the_gallery_open() {
    let (board, file) = backed_up();
    let daemon = board.store();
    assert_eq!(daemon.subjects().unwrap().len(), 2);
    let refused = board.restore(&file, &["--replace"]);
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(refused.err.contains("systemctl stop deepid-edge"), "{}", refused.err);
    let checked = board.restore(&file, &["--check"]);
    assert_eq!(checked.code, 0, "looking is allowed: {}", checked.err);
    drop(daemon);
    assert!(board.names().iter().all(|name| !name.contains("restor")), "{:?}", board.names());
    assert_eq!(board.restore(&file, &["--replace"]).code, 0);
}

#[test]
fn a_damaged_gallery_is_put_aside_with_what_lay_beside_it() {
    let (_old, file) = backed_up();
    let board = Board::bare();
    let letter = b"what a dying card has left ".repeat(400);
    board.write("door.db", &letter);
    board.write("door.db-wal", b"a write-ahead log of another time");
    assert_eq!(board.restore(&file, &[]).code, 11);
    assert_eq!(board.state()["door.db"].0, letter);
    let answer = board.restore(&file, &["--replace"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let kept = PathBuf::from(answer.json()["kept"][0].as_str().unwrap());
    assert_eq!(std::fs::read(&kept).unwrap(), letter);
    let wal = PathBuf::from(format!("{}-wal", kept.display()));
    assert_eq!(std::fs::read(wal).unwrap(), b"a write-ahead log of another time");
    assert_eq!(board.subjects(), people());
}

#[test]
fn a_log_without_its_database_is_never_poured_into_the_restored_one() {
    let (_old, file) = backed_up();
    let board = Board::bare();
    // A WAL of the same program, of a database that is gone.
    let other = Board::with_people();
    let mut daemon = other.store();
    daemon.add_subject("Mallory", WALL).unwrap();
    std::fs::copy(other.path("door.db-wal"), board.path("door.db-wal")).unwrap();
    assert_eq!(board.restore(&file, &[]).code, 11);
    assert_eq!(board.restore(&file, &["--replace"]).code, 0);
    assert_eq!(board.subjects(), people());
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let (_old, file) = backed_up();
    let board = Board::bare();
    let other = rusqlite::Connection::open(board.path("door.db")).unwrap();
    other.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(other);
    let before = board.state();
    assert_eq!(board.restore(&file, &["--replace"]).code, 8);
    assert_eq!(board.state(), before);
}

#[test]
fn who_was_removed_or_disabled_since_is_named() {
    let (board, file) = backed_up();
    let mut store = board.store();
    let ada = store.subject("Ada").unwrap().id;
    let bob = store.subject("Bob").unwrap().id;
    store.remove_subject(&bob).unwrap();
    store.enable_subject(&ada, false).unwrap();
    store.add_subject("Carol", WALL).unwrap();
    drop(store);
    for flag in ["--check", "--replace"] {
        let told = board.restore(&file, &[flag]).json();
        assert_eq!(told["removed_here"], json!([bob.as_str()]));
        assert_eq!(told["disabled_here"], json!([ada.as_str()]));
        assert_eq!(told["not_in_backup"], 1);
    }
}

#[test]
fn keys_accounts_and_rules_that_come_back_are_named() {
    let board = Board::with_people();
    let by =
        Signature { door: "back", boot: Uuid::from_u128(7), now: Monotonic::default(), wall: WALL };
    let [hub, anna, old] = ["hub", "anna", "gone"].map(|name| RuleName::new(name).unwrap());
    let key = GrantKey::of_seed(&[3; 32]);
    let mut store = board.store();
    store.add_administrator(&hub, key.public(), May::Factor, by).unwrap();
    store.add_account(&anna, Role::Viewer, "$argon2id$first", by).unwrap();
    store.add_account(&old, Role::Administrator, "$argon2id$first", by).unwrap();
    drop(store);
    let file = board.path("front.age");
    assert_eq!(board.backup(&file).code, 0);
    let told = board.restore(&file, &["--check"]).json();
    for what in ["administrators_back", "accounts_back", "rules_back"] {
        assert_eq!(told[what], json!([]), "{told}");
    }
    let mut store = board.store();
    store.remove_administrator(&hub, by).unwrap();
    store.set_password(&anna, "$argon2id$second", by).unwrap();
    store.remove_account(&old, by).unwrap();
    store.change_rules(RuleChange::Arm(Arming::Off), by).unwrap();
    drop(store);
    for flag in ["--check", "--replace"] {
        let told = board.restore(&file, &[flag]).json();
        assert_eq!(told["administrators_back"], json!(["hub"]));
        assert_eq!(told["accounts_back"], json!(["anna", "gone"]));
        assert_eq!(told["rules_back"], json!(["the arming"]));
    }
}

#[test]
fn checking_changes_nothing_and_needs_no_gallery() {
    let (board, file) = backed_up();
    let before = board.state();
    let checked = board.restore(&file, &["--check"]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert_eq!(checked.json()["restored"], false);
    assert_eq!(board.state(), before);
    let elsewhere = Board::bare();
    let gallery = format!("store.path={}", elsewhere.path("nowhere/door.db").display());
    let checked = elsewhere.restore(&file, &["--check", "--set", &gallery]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert_eq!(elsewhere.names(), ["passphrase"]);
    assert_eq!(board.restore(&file, &["--check", "--replace"]).code, 2);
}

#[test]
fn a_configuration_that_somebody_wrote_is_kept_or_asked_about() {
    let (old, file) = backed_up();
    let theirs = old.state()["door.toml"].0.clone();
    let board = Board::bare();
    board.write("door.toml", "[door]\nid = 'garden'\n");
    let before = board.state();
    let refused = board.restore(&file, &[]);
    assert_eq!(refused.code, 11, "{}", refused.err);
    assert!(refused.err.contains("--keep-config"), "{}", refused.err);
    assert_eq!(board.state(), before);

    let answer = board.restore(&file, &["--keep-config"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(board.state()["door.toml"], before["door.toml"]);

    let answer = board.restore(&file, &["--replace"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(board.state()["door.toml"].0, theirs);
    let kept = answer.json()["kept"][1].as_str().unwrap().to_owned();
    assert_eq!(std::fs::read(board.path(&kept)).unwrap(), before["door.toml"].0);

    // What the package has put there is no loss, and its rights stay.
    let fresh = Board::bare();
    let path = fresh.write("door.toml", deepid_edge::config::default_file());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let answer = fresh.restore(&file, &[]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(fresh.state()["door.toml"], (theirs, 0o100_640));
    assert_eq!(answer.json()["kept"], json!([]));
}

#[test]
fn a_configuration_that_is_wrong_here_is_told_before_anything_is_done() {
    let board = Board::with_people();
    let database = std::fs::read(board.path("door.db")).unwrap();
    let mut said = manifest(&database);
    said["config"] = "/etc/deepid-edge/config.toml".into();
    let file = sealed(&[
        ("manifest.json", said.to_string().as_bytes()),
        ("config.toml", b"[camera]\nsees_in_the_dark = true\n"),
        ("deepid-edge.db", &database),
    ]);
    let new = Board::bare();
    let file = new.write("later.age", file);
    let before = new.state();
    let refused = new.restore(&file, &[]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    let what = refused.error()["what"].as_str().unwrap().to_owned();
    assert!(what.contains("9.9.9") && what.contains("--keep-config"), "{what}");
    assert!(what.contains("sees_in_the_dark"), "{what}");
    assert_eq!(new.state(), before);
}

#[test]
fn secrets_stay_here_and_are_named() {
    let board = Board::with_people();
    let secret = board.write("broker-password", "hunter2hunter2\n");
    board.write(
        "door.toml",
        format!("[mqtt]\nusername = 'door'\npassword_file = '{}'\n", secret.display()),
    );
    let file = board.path("door.age");
    let told = board.backup(&file).json();
    assert_eq!(told["not_included"][0]["key"], "mqtt.password_file");
    std::fs::remove_file(&secret).unwrap();
    let restored = board.restore(&file, &["--replace"]).json();
    assert_eq!(restored["missing"][0]["key"], "mqtt.password_file");
    assert!(!secret.exists(), "nothing is written where a configuration in a backup points");
}

#[test]
fn a_backup_replaces_nothing_and_leaves_nothing_half_done() {
    let board = Board::with_people();
    let file = board.write("door.age", "an older backup");
    let before = board.state();
    assert_eq!(board.backup(&file).error()["kind"], "input");
    assert_eq!(board.backup(&board.path("nowhere/door.age")).code, 4);
    assert_eq!(board.backup(board.folder.path()).code, 4);
    assert_eq!(board.state(), before);
    // What a killed run has left is in nobody's way.
    board.write("new.age.partial", "half");
    board.write("door.db.copy", "half");
    assert_eq!(board.backup(&board.path("new.age")).code, 0);
    let names = board.names();
    assert!(
        names.iter().all(|name| !name.ends_with("partial") && !name.ends_with("copy")),
        "{names:?}"
    );
    let none = Board::bare();
    assert_eq!(none.backup(&none.path("door.age")).code, 3, "it has no configuration file");
    none.write("door.toml", "");
    assert_eq!(none.backup(&none.path("door.age")).code, 8, "there is no gallery");
    assert_eq!(none.names(), ["door.toml", "passphrase"]);
}

#[test]
fn a_passphrase_is_asked_for_on_a_terminal_only_and_must_be_long() {
    let (board, file) = backed_up();
    let asked = board.run(&["restore", "--check", text(&file)]);
    assert_eq!(asked.code, 11, "{}", asked.err);
    assert!(asked.err.contains("--passphrase-file"), "{}", asked.err);
    for (content, code) in [("short\n", 2), ("\n", 4), ("", 4)] {
        board.write("passphrase", content);
        assert_eq!(board.backup(&board.path("another.age")).code, code, "{content:?}");
    }
    assert!(!board.path("another.age").exists());
    std::fs::remove_file(board.path("passphrase")).unwrap();
    assert_eq!(board.restore(&file, &["--check"]).code, 4);
    // The first line, whatever begins the file and whatever ends the line.
    for (before, after) in [("", "\r\nand a remark\n"), ("\u{feff}", "\r\n"), ("", "")] {
        board.write("passphrase", format!("{before}{PASSPHRASE}{after}"));
        assert_eq!(board.restore(&file, &["--check"]).code, 0, "{before:?} {after:?}");
    }
    std::fs::set_permissions(board.path("passphrase"), PermissionsExt::from_mode(0o644)).unwrap();
    let arguments = ["restore", "--check", text(&file), "--passphrase-file", "passphrase"];
    assert!(board.run(&arguments).err.contains("every user"));
}

#[test]
fn a_running_daemon_is_backed_up_and_never_restored_over() {
    if support::models::runtime().is_none() {
        return;
    }
    let home = Home::new()
        .enrol_obama()
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true);
    std::fs::write(home.path("passphrase"), PASSPHRASE).unwrap();
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(15).write(&recording, 2);
    let mut daemon = home.run(&recording);
    daemon.until_notified("READY=1");
    let (file, passphrase) = (home.path("door.age"), home.path("passphrase"));
    let run = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--passphrase-file", text(&passphrase)]);
        let output = home.command(&all).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["backup", text(&file)]);
    assert_eq!(code, 0, "{said}");
    let restore = ["restore", text(&file), "--replace", "--keep-config"];
    let (code, said) = run(&restore);
    assert_eq!(code, 8, "{said}");
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success());
    let (code, said) = run(&restore);
    assert_eq!(code, 0, "{said}");
    let events: Vec<_> = home.records().into_iter().map(|record| record.body).collect();
    let restored =
        |body: &Body| matches!(body, Body::Administrative(Administrative::GalleryRestored { .. }));
    assert!(events.last().is_some_and(restored), "{events:?}");
    // And the daemon takes it up.
    let daemon = home.run(&recording);
    daemon.until_notified("READY=1");
    assert!(!daemon.log().contains("nobody is enrolled"), "{}", daemon.log());
}

/// The format is the world's: another implementation opens it.
#[test]
fn age_and_tar_open_a_backup_without_this_program() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("age") || !there("script") {
        support::skip("needs 'age' and 'script' (Debian packages age and bsdutils)");
        return;
    }
    let (board, file) = backed_up();
    // age reads a passphrase from a terminal alone; script gives it one.
    let command = format!("age -d -o {} {}", text(&board.path("plain.tar")), text(&file));
    let terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut terminal = support::Ended::with(terminal);
    terminal.stdin.as_mut().unwrap().write_all(format!("{PASSPHRASE}\n").as_bytes()).unwrap();
    let output = terminal.output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let untarred = Command::new("tar")
        .args(["xf", "plain.tar", "--one-top-level=plain"])
        .current_dir(board.folder.path())
        .status()
        .unwrap();
    assert!(untarred.success());
    let database = board.path("plain/deepid-edge.db");
    let store = Store::open(&database, StoreSettings::default()).unwrap();
    assert_eq!(store.subjects().unwrap().len(), 2);
    assert_eq!(
        std::fs::read(board.path("plain/config.toml")).unwrap(),
        std::fs::read(board.path("door.toml")).unwrap()
    );
}
