//! The file of the key that signs grants: gone, spoilt, swapped, open to others, of somebody else.
//!
//! In: a desk whose key file is replaced by something. Out: decisions are recorded and announced without
//! a grant, the state is named, no key is made anew, and with the right file grants are signed again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use deepid_edge::clock::{Monotonic, WallClock};
use deepid_edge::daemon::desk::{Desk, Task};
use deepid_edge::daemon::signer::Signer;
use deepid_edge::publish::Outgoing;
use deepid_edge::sign::{GrantKey, KeyPlace, SignSettings, SigningState};
use deepid_edge::store::{Store, StoreSettings};
use uuid::Uuid;

use super::desk::{WALL, decision, folder};
use crate::support::fault_rows::shown;
use crate::support::skip_here;

/// A desk that signs, and its key.
pub struct Bench {
    pub desk: Desk,
    pub key: GrantKey,
    pub file: PathBuf,
    number: u64,
}

impl Bench {
    pub fn at(folder: &Path) -> Self {
        let mut store = Store::open(&folder.join("door.db"), StoreSettings::default()).unwrap();
        let file = folder.join("grant.key");
        let place = Some(KeyPlace::of(file.clone(), None));
        let signer = Signer::new(SignSettings { place }, &mut store, WALL);
        let desk = Desk::new(store, "front".to_owned(), Uuid::nil()).with_signer(signer);
        let key = GrantKey::from_pem(&std::fs::read(&file).unwrap()).unwrap();
        Self { desk, key, file, number: 0 }
    }

    /// Has a person vouch for the clock; how many records that makes.
    pub fn settle(&self, now: Monotonic, wall: WallClock) -> u64 {
        let path = self.file.with_file_name("door.db");
        let mut beside = Store::open(&path, StoreSettings::default()).unwrap();
        let settled = beside.settle_clock("front", Uuid::nil(), now, wall).unwrap();
        u64::from(settled.is_some())
    }

    /// Looks at the key as once a second, decides, and says whether a grant was signed.
    fn signs(&mut self) -> bool {
        // Another program has changed something: the desk looks at the key again.
        let beside = Store::open(&self.file.with_file_name("door.db"), StoreSettings::default());
        let administered = deepid_edge::store::Administrative::Stopped;
        let now = Monotonic::default();
        beside.unwrap().record_admin(administered, "front", Uuid::nil(), now, WALL).unwrap();
        self.desk.look_at_keys(WALL, &mut Vec::new());
        self.number += 1;
        let (decision, mut outgoing) = (decision(3 * self.number, WALL), Vec::new());
        self.desk.handle(Task::Decided { decision, announce: true }, now, WALL, &mut outgoing);
        let [Outgoing::Access { record, grant, .. }] = outgoing.as_slice() else {
            panic!("a key keeps no decision back: {outgoing:?}")
        };
        assert_eq!(
            self.desk.store().audit(record.seq - 1, 1).unwrap(),
            std::slice::from_ref(record)
        );
        grant.is_some()
    }
}

/// What is done to the file, by its name.
type Spoil = (&'static str, fn(&Path), SigningState);

fn write(file: &Path, content: &[u8], mode: u32) {
    std::fs::write(file, content).unwrap();
    std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn whatever_becomes_of_the_key_file_is_named_signs_nothing_and_passes() {
    const SPOILS: [Spoil; 12] = [
        ("gone", |_| {}, SigningState::Missing),
        ("empty", |file| write(file, b"", 0o600), SigningState::Unusable),
        ("garbage", |file| write(file, &[0xA5; 119], 0o600), SigningState::Unusable),
        (
            "text",
            |file| write(file, b"-----BEGIN PRIVATE KEY-----\n", 0o600),
            SigningState::Unusable,
        ),
        ("large", |file| write(file, &[b'x'; 100_000], 0o600), SigningState::Unusable),
        (
            "swapped",
            |file| write(file, GrantKey::generate().unwrap().to_pem().as_bytes(), 0o600),
            SigningState::Other,
        ),
        (
            "of a known seed",
            |file| write(file, GrantKey::of_seed(&[0; 32]).to_pem().as_bytes(), 0o600),
            SigningState::Other,
        ),
        ("a folder", |file| std::fs::create_dir(file).unwrap(), SigningState::Unusable),
        (
            "a link",
            |file| std::os::unix::fs::symlink("/dev/null", file).unwrap(),
            SigningState::Unusable,
        ),
        (
            "a link to nothing",
            |file| std::os::unix::fs::symlink("absent", file).unwrap(),
            SigningState::Unusable,
        ),
        (
            "a socket",
            |file| drop(std::os::unix::net::UnixListener::bind(file).unwrap()),
            SigningState::Unusable,
        ),
        ("half", |file| write(file, &[b'-'; 60], 0o600), SigningState::Unusable),
    ];
    let home = folder();
    let mut bench = Bench::at(home.path());
    let good = std::fs::read(&bench.file).unwrap();
    let mut cases = 0;
    let mut tried = |bench: &mut Bench, name: &str, wanted: SigningState| {
        // One that has the key in memory goes on with it until it looks again.
        assert!(!bench.signs(), "{name}: it signed");
        assert_eq!(bench.desk.signing().state, wanted, "{name}: {:?}", bench.desk.signing());
        assert!(bench.desk.signing().trouble.as_ref().is_some_and(|told| told.contains("grant")));
        if bench.file.is_dir() {
            std::fs::remove_dir(&bench.file).unwrap();
        } else {
            drop(std::fs::remove_file(&bench.file));
        }
        write(&bench.file, &good, 0o600);
        assert!(bench.signs(), "{name}: the right key is back");
        cases += 1;
    };
    for (name, spoil, wanted) in SPOILS {
        std::fs::remove_file(&bench.file).unwrap();
        spoil(&bench.file);
        tried(&mut bench, name, wanted);
    }
    for mode in [0o640, 0o604, 0o660, 0o666, 0o620] {
        std::fs::set_permissions(&bench.file, PermissionsExt::from_mode(mode)).unwrap();
        tried(&mut bench, &format!("mode {mode:o}"), SigningState::Unusable);
    }
    if std::os::unix::fs::chown(&bench.file, Some(12_345), None).is_ok() {
        tried(&mut bench, "of another user", SigningState::Unusable);
    } else {
        // Then the row is not shown.
        return skip_here("a file cannot be given away here: not root");
    }
    shown("key-file", cases);
}

#[test]
fn a_rotation_cut_anywhere_signs_with_the_recorded_key_or_not_at_all() {
    let [old, new] = [1, 2].map(|byte| GrantKey::of_seed(&[byte; 32]));
    let contents: [Option<Vec<u8>>; 4] = [
        Some(old.to_pem().as_bytes().to_vec()),
        Some(new.to_pem().as_bytes().to_vec()),
        Some(new.to_pem().as_bytes()[..50].to_vec()),
        None,
    ];
    let mut cases = 0;
    for recorded in [&old, &new] {
        for (at, content) in contents.iter().enumerate() {
            for (beside, other) in contents.iter().enumerate() {
                let home = folder();
                let path = home.path().join("grant.key");
                for (path, content) in [(&path, content), (&path.with_extension("key.new"), other)]
                {
                    if let Some(content) = content {
                        write(path, content, 0o600);
                    }
                }
                let place = KeyPlace::of(path.clone(), None);
                let loaded = place.load(Some(recorded.public().thumbprint()), None);
                let there = [content, other].into_iter().flatten().any(|pem| {
                    GrantKey::from_pem(pem).is_ok_and(|key| key.public() == recorded.public())
                });
                match loaded {
                    Ok(Some(loaded)) => {
                        assert!(there, "{at} {beside}: no other key");
                        assert_eq!(loaded.key.public(), recorded.public());
                    }
                    Ok(None) => panic!("{at} {beside}: a key would be made anew"),
                    Err(trouble) => {
                        assert!(!there, "{at} {beside}: {trouble}");
                        assert!(trouble.to_string().contains("grant.key"), "{trouble}");
                    }
                }
                cases += 1;
            }
        }
    }
    shown("key-rotation", cases);
}
