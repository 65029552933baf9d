//! What `doctor` looks at: the database.
//!
//! In: the database, opened or not. Out: whether it is sound, how many people it holds, which references
//! count and which do not, which records cannot be read. Invariant: nothing is changed.

use std::fmt::Write as _;

use super::findings::Findings;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::cli::usable::{self, Idle};
use crate::clock::utc;
use crate::config::Config;
use crate::durable::folder_of;
use crate::equip::Cards;
use crate::store::{Store, Usable, may_be_written};

pub(super) fn check(
    findings: &mut Findings,
    config: &Config,
    opened: Result<Option<&Store>, &Failure>,
) {
    let path = &config.store.path;
    let store = match opened {
        Err(failure) => return findings.fail("database", failure),
        Ok(store) => store,
    };
    let Some(store) = store else {
        let what = format!("{}: not there yet", path.display());
        if !folder_of(path).is_dir() {
            let failure = Failure::new(
                Kind::Store,
                format!("{what}, nor is its folder"),
                "make the folder and give it to the user that runs deepid-edge, or name another file with '--database FILE' or store.path",
            );
            return findings.fail("database", &failure);
        }
        return findings.warn(
            "database",
            what,
            "enrol somebody: 'deepid-edge enroll NAME --image FILE'",
        );
    };
    unreadable(findings, store);
    match Database::look(store, config) {
        Err(failure) => findings.fail("database", &failure),
        Ok(database) => database.tell(findings, config),
    }
}

/// What a sound database holds.
struct Database {
    subjects: usize,
    outbox: u64,
    usable: Usable,
    idle: Vec<Idle>,
}

impl Database {
    fn look(store: &Store, config: &Config) -> Result<Self, Failure> {
        store.check()?;
        // Without the key, the check of it tells.
        if store.sealed().is_none() {
            store.check_references(&config.models.embedder)?;
        }
        let held = store.held()?;
        let cards = Cards::open(config).ok();
        // Without cards there is no procedure in use; the check of the models says so.
        let keys = cards.as_ref().and_then(|cards| cards.keys_in_use(config).ok());
        let usable = usable::usable(&held, keys.as_deref().unwrap_or_default());
        let idle = match &keys {
            Some(_) => usable::idle(&usable, cards.as_ref(), config),
            None => usable.unknown.iter().map(usable::of_unknown_file).collect(),
        };
        Ok(Self { subjects: store.subjects()?.len(), outbox: store.outbox_depth()?, usable, idle })
    }

    fn tell(self, findings: &mut Findings, config: &Config) {
        let Self { subjects, outbox, usable, idle } = self;
        let path = &config.store.path;
        let mut what = format!(
            "{}: sound; {subjects} subjects, {} references that count for {}, {outbox} records wait for the broker",
            path.display(),
            usable.compared,
            config.models.embedder
        );
        if usable.subjects_unreachable > 0 {
            let _infallible = write!(
                what,
                "; {} subjects cannot be recognised: they have no reference that counts",
                usable.subjects_unreachable
            );
        }
        for one in &idle {
            let _infallible = write!(what, "\n{}", one.what);
        }
        let remedies: Vec<&str> = idle.iter().map(|one| one.remedy.as_str()).collect();
        if let Err(error) = may_be_written(path) {
            findings.warn(
                "database",
                format!("{what}; it may not be written by this user ({error})"),
                "run this as the user of the service, or give that user the file",
            );
        } else if !idle.is_empty()
            && (usable.subjects_unreachable > 0 || !usable.unknown.is_empty())
        {
            findings.warn("database", what, remedies.join("; "));
        } else if usable.compared == 0 {
            findings.warn(
                "database",
                what,
                "nobody can be recognised: 'deepid-edge enroll NAME --image FILE'",
            );
        } else {
            findings.ok("database", what);
        }
    }
}

/// Records of the audit that this version cannot read. A database that is damaged is told by the
/// check of it.
fn unreadable(findings: &mut Findings, store: &Store) {
    if let Ok((count @ 1.., Some(first))) = store.unreadable_records() {
        findings.warn(
            "records",
            format!(
                "{count} audit records cannot be read, and are not published; the first is {} of {}: {}",
                first.seq,
                utc(first.issued_ms),
                first.what
            ),
            "install the version that wrote them; if none did, the file was changed by hand or is damaged: restore a backup",
        );
    }
}
