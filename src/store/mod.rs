//! What must survive a power cut: subjects, their references, the rules of who may pass, and the
//! records of what was decided.
//!
//! In: names, feature vectors, decisions, acknowledgements. Out: a gallery's content, and the
//! outbox of records that no broker has acknowledged yet.
//!
//! Invariants: whatever returned `Ok` from a write is on the disk (WAL with `synchronous=FULL`);
//! the order of `seq` is the order of writing; what an administrator changes is one transaction with
//! its record; no record can be changed, taken out or moved without a trace; references are only ever
//! handed out for the model file and the procedure that were asked for; a name or a reference lies on the
//! disk sealed and for its own row alone, and one that does not open is reported and never compared; a
//! file that is foreign or of a newer schema is refused and left as it was found, and so is a damaged one
//! by whoever looks for damage. Deliberately absent: pictures, names anywhere but in `subjects.name`, and
//! the key that all is sealed by.
//!
//! The way off the board and back is `backup`, encrypted.
//!
//! Source: SQLite's own documents on WAL, `synchronous`, `secure_delete` and `application_id`.

mod accounts;
mod administer;
mod administrators;
mod audit_state;
pub mod backup;
mod chain;
mod error;
mod index_file;
mod keys;
mod ledger;
mod names;
mod open;
mod people;
mod pins;
mod record;
mod references;
mod rules;
mod schema;
pub mod seal;
mod selection;
mod spreadsheet;
mod whereabouts;

pub use accounts::{Account, AccountProblem, Role, TOKENS_MAX};
pub use administer::{Change, Done, Enrolee, NewReference, Signature};
pub use administrators::{ADMINISTRATORS_MAX, Administrator, AdministratorProblem, May};
pub use backup::BackupProblem;
pub use chain::{BROKEN_MAX, Broken, CutState, Verified};
pub use error::{Condition, Error, ErrorKind, may_be_written};
pub use index_file::{IndexFile, IndexProblem};
pub use keys::{KnownKey, Rotation};
pub use ledger::{OutboxPage, Run, UnreadableRecord};
pub use names::{Likeness, LookAlike, Names};
pub use people::{NAME_SEALED, Subject};
pub use pins::{PinChange, PinHolder, Pins};
pub use record::{
    Administrative, AuditRecord, Body, ComparisonRecord, ConfigurationRefusal, DecisionRecord,
    RequestVerdict, TwinSign,
};
pub use references::{
    HeldReferences, ModelReferences, Reference, ReferenceSource, UnreadableReference, Usable,
};
pub use rules::{RuleChange, RuleProblem};
pub use seal::{Remains, SealName, SealPlace, SealTrouble, StoreKey};
pub use selection::{Selection, StoredRecord};
pub use spreadsheet::csv_row;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::policy::RuleName;
use crate::sign::GrantKey;

/// How much is kept, and how long a busy file is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Audit records kept; the oldest are erased beyond it, acknowledged or not. At least 1. Of
    /// clients' requests a tenth of it is kept beside them.
    pub records_max: u64,
    /// Milliseconds to wait for another process that is writing.
    pub busy_timeout_ms: u32,
    /// Where the key lies by which names and references are sealed; `None`: in the file `store.key`
    /// beside the database.
    pub key_place: Option<SealPlace>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { records_max: 100_000, busy_timeout_ms: 5_000, key_place: None }
    }
}

/// One open database. It belongs to one thread at a time (the desk thread in the daemon).
#[derive(Debug)]
pub struct Store {
    connection: rusqlite::Connection,
    path: PathBuf,
    settings: StoreSettings,
    /// By which names and references are sealed.
    vault: Arc<seal::Vault>,
    /// By which what is erased is vouched for.
    key: Option<Arc<GrantKey>>,
    /// The account of the page for which something is done.
    acting: Option<RuleName>,
}

/// How many records are kept, who does what they tell, and who vouches for those that are erased.
#[derive(Debug, Clone)]
struct Keeping {
    records_max: u64,
    key: Option<Arc<GrantKey>>,
    acting: Option<RuleName>,
}

impl Store {
    fn keeping(&self) -> Keeping {
        Keeping {
            records_max: self.settings.records_max,
            key: self.key.clone(),
            acting: self.acting.clone(),
        }
    }
}

/// The user to whom the database at `path` belongs, and everything beside it that has secrets in it.
fn owner_of(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|metadata| metadata.uid())
}
