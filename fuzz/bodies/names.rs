//! Names that people type: of a person, and of what rules and accounts are called.
//!
//! In: text; behind the first line break that of a second person. Out: nothing. What must hold: a name
//! that is taken is shown in one line, finds its person however it is spelt, and looks like another's as
//! that one looks like it; a refusal can be told. Always: the same database, emptied after each input.

use std::cell::RefCell;
use std::path::PathBuf;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::inference::ModelId;
use deepid_edge::policy::RuleName;
use deepid_edge::store::{
    Change, Enrolee, Error, ReferenceSource, Signature, Store, StoreSettings,
};

use super::halves;

/// A database of people, of whom none outlives an input.
struct People {
    _folder: tempfile::TempDir,
    store: Store,
}

thread_local! {
    static PEOPLE: RefCell<People> = RefCell::new(People::new());
}

impl People {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
                .expect("a folder");
        let settings = StoreSettings { records_max: 1000, ..StoreSettings::default() };
        let store = Store::open(&folder.path().join("door.db"), settings).expect("a database");
        Self { _folder: folder, store }
    }

    fn change(&mut self, change: Change<'_>) -> Result<Option<SubjectId>, Error> {
        let boot = "7c0d2f6a-1111-4222-8333-000000000001".parse().expect("a run");
        let wall = WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false };
        let by = Signature { door: "front", boot, now: Monotonic::default(), wall };
        Ok(self.store.administer(change, by)?.subject)
    }

    /// Enrols somebody of that name, if it is one; the id and the name as it is kept.
    fn enrol(&mut self, name: &str) -> Option<(SubjectId, String)> {
        let change = Change::Enrol {
            who: Enrolee::New(name),
            references: &[],
            source: ReferenceSource::Image,
            model: &ModelId::new("none").expect("a model"),
        };
        match self.change(change) {
            Err(refusal) => {
                assert!(!refusal.to_string().is_empty());
                None
            }
            Ok(id) => {
                let id = id.expect("somebody was enrolled");
                let kept = self.store.subject(id.as_str()).expect("who was enrolled").name;
                assert!((1..=64).contains(&kept.chars().count()), "{kept:?}");
                assert!(!kept.contains(|c: char| c.is_control() || c == '\u{2028}'), "{kept:?}");
                for spelt in [name.trim(), &kept] {
                    let found = self.store.subject(spelt).expect("found by the name");
                    assert_eq!(found.id, id, "{spelt:?}");
                }
                Some((id, kept))
            }
        }
    }

    /// Whom the name looks like.
    fn alike(&self, name: &str) -> Vec<SubjectId> {
        let alike = self.store.look_alikes(name).expect("all names can be compared");
        alike.into_iter().map(|one| one.subject).collect()
    }
}

/// Any text as names.
pub fn names(bytes: &[u8]) {
    let (one, other) = halves(bytes);
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    for text in [&one, &other] {
        if let Ok(name) = RuleName::new(text) {
            assert!((1..=32).contains(&name.as_str().chars().count()), "{name:?}");
            assert_eq!(RuleName::new(name.as_str()).ok().as_ref(), Some(&name));
        }
        if let Ok(id) = SubjectId::new(text) {
            assert_eq!(id.as_str(), text.as_ref());
        }
    }
    PEOPLE.with_borrow_mut(|people| {
        let enrolled: Vec<_> = [one, other].iter().filter_map(|name| people.enrol(name)).collect();
        if let [(first, a), (second, b)] = enrolled.as_slice() {
            assert_ne!(first, second);
            assert_ne!(a, b, "a name is one person's");
            assert_eq!(people.alike(a).contains(second), people.alike(b).contains(first));
        }
        for (subject, _) in &enrolled {
            people.change(Change::Remove { subject }).expect("who was enrolled is removed");
        }
    });
}
