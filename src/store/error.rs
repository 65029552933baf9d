//! What can go wrong with the database, each with what to do about it.
//!
//! SQLite's result codes enter here and nowhere else: [`Error::at`] gives every one of them a kind
//! that a person can act on. No variant's text carries a subject's name.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{AccountProblem, AdministratorProblem, BackupProblem, RuleProblem, SealTrouble};
use crate::compare::SubjectId;
use crate::inference::ModelId;
use crate::remedy::Remedied;
use crate::sign::Thumbprint;

/// Why the database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no SQLite database.
    #[error(
        "database {path}: the file is not a SQLite database; it was left untouched: {advice}",
        advice = self.advice()
    )]
    NotADatabase {
        /// Where.
        path: PathBuf,
    },
    /// A SQLite database of another program.
    #[error(
        "database {path}: it belongs to another program (application id {found:#010x}, ours is {wanted:#010x}); it was left untouched: {advice}",
        advice = self.advice()
    )]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What its header says.
        found: u32,
        /// What ours says.
        wanted: u32,
    },
    /// Written by a newer version.
    #[error(
        "database {path}: schema version {found}, this version knows up to {known}; it was left untouched: {advice}",
        advice = self.advice()
    )]
    Newer {
        /// Where.
        path: PathBuf,
        /// What it has.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// Written by an older version, and opened only to be read.
    #[error(
        "database {path}: schema version {found}, this version reads {wanted}, and a command that only reads may not change it; {advice}",
        advice = self.advice()
    )]
    Older {
        /// Where.
        path: PathBuf,
        /// What it has; 0 for a file in which nothing is yet.
        found: i64,
        /// What this program reads.
        wanted: i64,
    },
    /// Damaged.
    #[error(
        "database {path}: damaged ({what}); it was left as it is: {advice}",
        advice = self.advice()
    )]
    Corrupt {
        /// Where.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
    /// The tables are not those of its version.
    #[error(
        "database {path}: its tables differ from those of schema version {version} ({what}); somebody changed them by hand: {advice}",
        advice = self.advice()
    )]
    SchemaDiffers {
        /// Where.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The first difference.
        what: String,
    },
    /// May not be written.
    #[error("database {path}: may not be written ({what}); {advice}", advice = self.advice())]
    ReadOnly {
        /// Where.
        path: PathBuf,
        /// What SQLite said.
        what: String,
    },
    /// Another process holds it.
    #[error(
        "database {path}: another process has been writing to it for longer than {waited_ms} ms; {advice}",
        advice = self.advice()
    )]
    Busy {
        /// Where.
        path: PathBuf,
        /// How long was waited.
        waited_ms: u32,
    },
    /// No room.
    #[error("database {path}: the disk is full; {advice}", advice = self.advice())]
    DiskFull {
        /// Where.
        path: PathBuf,
    },
    /// Cannot be opened or made.
    #[error("database {path}: cannot be opened ({what}); {advice}", advice = self.advice())]
    CannotOpen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        what: String,
    },
    /// Any other refusal of SQLite.
    #[error("database {path}: {source}; {advice}", advice = self.advice())]
    Sqlite {
        /// Where.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A stored reference that cannot be one.
    #[error(
        "database {path}: reference {reference} of subject {subject} is damaged ({what}); {advice}",
        advice = self.advice()
    )]
    BadReference {
        /// Where.
        path: PathBuf,
        /// Which row.
        reference: i64,
        /// Whose.
        subject: String,
        /// What is wrong with it.
        what: String,
    },
    /// Names and references are sealed, and the key is not there.
    #[error("database {path}: {trouble}; {advice}", advice = self.advice())]
    Sealed {
        /// Where.
        path: PathBuf,
        /// Why.
        trouble: Box<SealTrouble>,
    },
    /// What a subject has, its data key or its name, does not open.
    #[error("database {path}: subject {subject}: {what}; {advice}", advice = self.advice())]
    Unopened {
        /// Where.
        path: PathBuf,
        /// Whose.
        subject: String,
        /// What, and why.
        what: String,
    },
    /// A stored record that cannot be read.
    #[error(
        "database {path}: audit record {seq} cannot be read ({what}); {advice}",
        advice = self.advice()
    )]
    BadRecord {
        /// Where.
        path: PathBuf,
        /// Which.
        seq: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Stored rules that cannot be read.
    #[error(
        "database {path}: the rules of who may pass cannot be read ({what}); nobody is granted until they can: {advice}",
        advice = self.advice()
    )]
    BadRules {
        /// Where.
        path: PathBuf,
        /// What is wrong with them.
        what: String,
    },
    /// Rules that cannot be changed so.
    #[error(transparent)]
    Rules(#[from] RuleProblem),
    /// An account of the page that cannot be made, changed or found.
    #[error(transparent)]
    Accounts(#[from] AccountProblem),
    /// A vector with no numbers, or of another length than its model's others.
    #[error(
        "reference for subject {subject}: {found} numbers, the model {model} gives {wanted}; {advice}",
        advice = self.advice()
    )]
    WrongLength {
        /// Whose.
        subject: SubjectId,
        /// Which model.
        model: ModelId,
        /// What was given.
        found: usize,
        /// What its other references have.
        wanted: usize,
    },
    /// A quality weight that is none.
    #[error("reference for subject {subject}: quality {found} is not between 0 and 1")]
    WrongQuality {
        /// Whose.
        subject: SubjectId,
        /// What was given.
        found: f32,
    },
    /// No such subject.
    #[error("subject '{asked}': nobody is enrolled under it; {advice}", advice = self.advice())]
    NoSuchSubject {
        /// What was asked for.
        asked: String,
    },
    /// The name is taken.
    #[error("the name is taken by subject {by}; {advice}", advice = self.advice())]
    NameTaken {
        /// By whom.
        by: SubjectId,
    },
    /// The key that is to be signed with is signed with already.
    #[error("grant key {key}: this door signs with it already; {advice}", advice = self.advice())]
    SameKey {
        /// Which.
        key: Thumbprint,
    },
    /// The list of administrators cannot be changed so.
    #[error(transparent)]
    Administrator(AdministratorProblem),
    /// A backup that was not made or not restored.
    #[error("{path}: {problem}")]
    Backup {
        /// The backup, or the gallery that it was to replace.
        path: PathBuf,
        /// Why.
        problem: BackupProblem,
    },
    /// Several subjects have the name, each spelt with other bytes for the same characters.
    #[error(
        "the name is that of several subjects, in other spellings of the same characters: {}; {advice}",
        listed(ids),
        advice = self.advice()
    )]
    AmbiguousName {
        /// Who.
        ids: Vec<SubjectId>,
    },
    /// No usable name.
    #[error("the name cannot be used: {what}; {advice}", advice = self.advice())]
    BadName {
        /// Why.
        what: String,
    },
}

impl Remedied for Error {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::SameKey { .. } => "name another one".into(),
            Self::BadRules { .. } => "write them anew, or restore a backup".into(),
            Self::Rules(problem) => return problem.remedy(),
            Self::Administrator(problem) => return problem.remedy(),
            Self::Accounts(problem) => return problem.remedy(),
            Self::NotADatabase { .. } => {
                "move it away, or point 'store.path' at the right file".into()
            }
            Self::Foreign { .. } => "point 'store.path' at another file".into(),
            Self::Newer { .. } => {
                "install the newer deepid-edge again, or restore the backup made before the upgrade".into()
            }
            Self::Older { .. } => {
                "bring it up to date, with everybody in it: 'systemctl restart deepid-edge', or any command that writes, such as 'deepid-edge enroll'".into()
            }
            Self::Corrupt { .. } => {
                "copy it away, then restore a backup, or start with a new file and enrol again".into()
            }
            Self::SchemaDiffers { .. } => "restore a backup".into(),
            Self::ReadOnly { .. } => {
                "give it and its directory to the user that runs deepid-edge, and check that the file system is not mounted read-only".into()
            }
            Self::Busy { path, .. } => {
                format!("try again, or find it with 'fuser {}'", path.display()).into()
            }
            Self::DiskFull { .. } => {
                "free some space: nothing is granted while decisions cannot be recorded".into()
            }
            Self::CannotOpen { .. } => {
                "its directory must exist and belong to the user that runs deepid-edge".into()
            }
            Self::Sqlite { .. } => "'deepid-edge doctor' checks it as a whole".into(),
            Self::BadReference { .. } => "remove the subject and enrol it again".into(),
            Self::Sealed { trouble, .. } => return trouble.remedy(),
            Self::Unopened { .. } => {
                "give it its name again with 'deepid-edge subjects rename', then enrol it again with 'deepid-edge enroll NAME --replace'".into()
            }
            Self::BadRecord { .. } => "'deepid-edge doctor' checks the file as a whole".into(),
            Self::WrongLength { .. } => "enrol with the model that the daemon runs".into(),
            Self::NoSuchSubject { .. } => "'deepid-edge subjects list' shows who is".into(),
            Self::NameTaken { .. } => "choose another, or add pictures to that subject".into(),
            Self::AmbiguousName { .. } => "name the one that is meant by its id".into(),
            Self::BadName { .. } => {
                "it must have 1 to 64 characters that can be seen, on one line, and may not look like a subject id".into()
            }
            Self::Backup { problem, .. } => return problem.remedy(),
            Self::WrongQuality { .. } => return None,
        })
    }
}

/// What an error means to whoever acts on it; exit codes are made from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The file is not what it should be: foreign, damaged, newer.
    Unusable,
    /// Permissions or the medium.
    Access,
    /// Sound, and of an older version than this command may read.
    Older,
    /// Try again later.
    Busy,
    /// What was asked for cannot be.
    Request,
}

/// How a database is that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// It can be read and written.
    #[default]
    Usable,
    /// There is no room: it can be read.
    Full,
    /// It can be read.
    ReadOnly,
    /// Anything else: nothing that it says can be relied on.
    Failed,
}

impl Condition {
    /// How a database is that has given `error`.
    #[must_use]
    pub const fn after(error: &Error) -> Self {
        match error {
            Error::DiskFull { .. } => Self::Full,
            Error::ReadOnly { .. } => Self::ReadOnly,
            _ => Self::Failed,
        }
    }

    /// Whether nothing that it says can be relied on.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        matches!(self, Self::Failed)
    }
}

impl Error {
    /// What the error means to whoever acts on it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotADatabase { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::SchemaDiffers { .. }
            | Self::BadReference { .. }
            | Self::Sealed { .. }
            | Self::Unopened { .. }
            | Self::BadRecord { .. }
            | Self::BadRules { .. }
            | Self::Sqlite { .. } => ErrorKind::Unusable,
            Self::ReadOnly { .. } | Self::DiskFull { .. } | Self::CannotOpen { .. } => {
                ErrorKind::Access
            }
            Self::Older { .. } => ErrorKind::Older,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Backup { problem, .. } => problem.kind(),
            Self::WrongLength { .. }
            | Self::WrongQuality { .. }
            | Self::NoSuchSubject { .. }
            | Self::NameTaken { .. }
            | Self::AmbiguousName { .. }
            | Self::SameKey { .. }
            | Self::Rules(_)
            | Self::Administrator(_)
            | Self::Accounts(_)
            | Self::BadName { .. } => ErrorKind::Request,
        }
    }

    /// Whether the cause may pass without anybody touching the file: no room, a medium that fails or
    /// is read-only, rights, another process. The same call may then work later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::ReadOnly { .. } | Self::DiskFull { .. } | Self::Busy { .. } => true,
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(rusqlite::ErrorCode::SystemIoFailure | rusqlite::ErrorCode::OutOfMemory)
            ),
            _ => false,
        }
    }

    /// Gives SQLite's error at `path` its kind. `waited_ms` is the busy timeout that was in force.
    pub(super) fn at(path: &Path, waited_ms: u32, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        let what = source.to_string();
        // SQLite says "cannot open" for a WAL's index that it may not write, and "I/O error" for one
        // that the disk has no room for: the causes are named by what a person can mend.
        match source.sqlite_error().map(|error| error.extended_code) {
            Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => return Self::DiskFull { path },
            Some(rusqlite::ffi::SQLITE_CANTOPEN) if may_not_be_written(&path) => {
                return Self::ReadOnly { path, what };
            }
            _ => {}
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, what },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path, what }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { path, waited_ms }
            }
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::CannotOpen) => Self::CannotOpen { path, what },
            _ => Self::Sqlite { path, source },
        }
    }
}

fn listed(ids: &[SubjectId]) -> String {
    ids.iter().map(SubjectId::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether the file is there and the system, asked directly, refuses to let it be written.
fn may_not_be_written(path: &Path) -> bool {
    may_be_written(path).is_err_and(|error| is_refusal(&error))
}

/// Whether the system would let this user write the file. It is not opened: in a process that has it open
/// as a database, to close it again would take SQLite's locks away.
///
/// # Errors
/// Why not.
pub fn may_be_written(path: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?)
}

/// Whether permissions or the medium are the reason.
pub(super) fn is_refusal(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
    )
}
