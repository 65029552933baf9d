//! What can be wrong with a backup, or with the place where it is to go.
//!
//! Each problem says what to do; the file's path is added by [`Error::Backup`]. Invariant: in every
//! case but the last two gallery and configuration are as they were.

use std::borrow::Cow;
use std::path::Path;

use super::super::{Error, ErrorKind};
use crate::remedy::Remedied;

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupProblem {
    /// Another file.
    #[error("is no backup: {what}; {advice}", advice = self.advice())]
    NotABackup {
        /// How that is known.
        what: &'static str,
    },
    /// The key that the passphrase gives does not fit.
    #[error("wrong passphrase; {advice}", advice = self.advice())]
    WrongPassphrase,
    /// Not the bytes that were written.
    #[error("is damaged: {what}; {advice}", advice = self.advice())]
    Damaged {
        /// How that is known.
        what: String,
    },
    /// Encrypted in a way that came later.
    #[error(
        "is encrypted in version '{found}' of the age format, this program reads '{known}'; {advice}",
        advice = self.advice()
    )]
    NewerEncryption {
        /// What it says.
        found: String,
        /// What is read.
        known: &'static str,
    },
    /// Laid out in a way that came later.
    #[error(
        "is a backup of format {found}, this program reads up to {known}; {advice}",
        advice = self.advice()
    )]
    NewerFormat {
        /// What it says.
        found: u64,
        /// What is read.
        known: u32,
        /// What made it.
        software: String,
    },
    /// The database in it came later.
    #[error(
        "its database has schema version {found}, this program knows up to {known}; {advice}",
        advice = self.advice()
    )]
    NewerSchema {
        /// What it has.
        found: i64,
        /// What is known.
        known: i64,
        /// What made it.
        software: String,
    },
    /// The database in it cannot be used.
    #[error(
        "its database cannot be used: {what}; it was so when the backup was made: {advice}",
        advice = self.advice()
    )]
    Unsound {
        /// Why.
        what: String,
    },
    /// It asks for more memory than a board can spare.
    #[error(
        "its passphrase was set with a work factor of {asked}, at most {max} is done here: it would take {} MiB; {advice}",
        1_u64 << asked.saturating_sub(10).min(60),
        advice = self.advice()
    )]
    TooMuchWork {
        /// `log2 N` of the file.
        asked: u8,
        /// The most that is done.
        max: u8,
    },
    /// More than is taken.
    #[error("{what} has {found} bytes, at most {max} go into a backup; {remedy}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much.
        found: u64,
        /// The limit.
        max: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// There is a file of that name.
    #[error("is there already, and a backup replaces nothing; {advice}", advice = self.advice())]
    Exists,
    /// A path that ends in no name.
    #[error("names no file; {advice}", advice = self.advice())]
    NoName,
    /// There is a gallery where this one should go.
    #[error("there is a gallery already; {advice}", advice = self.advice())]
    GalleryThere,
    /// Somebody has the gallery open.
    #[error("in use by the daemon or by another command; {advice}", advice = self.advice())]
    InUse,
    /// Two commands at once.
    #[error(
        "another backup or restore is under way ({other} is locked); {advice}",
        advice = self.advice()
    )]
    UnderWay {
        /// The other's file.
        other: String,
    },
    /// The system refused.
    #[error("{doing}: {what}; {}", remedy(*kind))]
    Io {
        /// What could not be done.
        doing: &'static str,
        /// What the system said.
        what: String,
        /// Its kind.
        kind: std::io::ErrorKind,
    },
    /// The gallery is in place, the configuration is not.
    #[error(
        "the gallery is restored, and this file could not be replaced ({what}); {advice}",
        advice = self.advice()
    )]
    HalfDone {
        /// What the system said.
        what: String,
    },
    /// The last step failed when the old gallery had been moved.
    #[error(
        "the restored gallery could not be put in place ({what}); the old one is {kept}: {advice}",
        advice = self.advice()
    )]
    Unplaced {
        /// What the system said.
        what: String,
        /// Where the old one is.
        kept: String,
    },
}

impl Remedied for BackupProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::NotABackup { .. } => "name a file that 'deepid-edge backup' has made".into(),
            Self::WrongPassphrase => {
                "try again: without the right one nobody can read it. If you are sure of it, the file's first lines are damaged: take another copy".into()
            }
            Self::Damaged { .. } => {
                "take another copy, or an older backup. Nothing was changed".into()
            }
            Self::NewerEncryption { .. } => {
                "install the deepid-edge that made it, or take another copy: the first line may be damaged".into()
            }
            Self::NewerFormat { software, .. } | Self::NewerSchema { software, .. } => {
                format!("install deepid-edge {software} or newer. Nothing was changed").into()
            }
            Self::Unsound { .. } => "take an older backup. Nothing was changed".into(),
            Self::TooMuchWork { .. } => {
                "decrypt it elsewhere with 'age -d', and encrypt it again with 'age -p'".into()
            }
            Self::Exists => "choose another name".into(),
            Self::NoName => "give a name for the new file".into(),
            Self::GalleryThere => {
                "with --replace it is kept beside, under another name. Nothing was changed".into()
            }
            Self::InUse => {
                "stop it ('systemctl stop deepid-edge') and try again. Nothing was changed".into()
            }
            Self::UnderWay { .. } => "wait for it".into(),
            Self::HalfDone { .. } => {
                "see that it may be written, then take it from the backup with 'age -d FILE | tar x config.toml'".into()
            }
            Self::Unplaced { .. } => "move it back, or try again".into(),
            Self::TooLarge { remedy, .. } => (*remedy).into(),
            Self::Io { kind, .. } => remedy(*kind).into(),
        })
    }
}

fn remedy(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as K;
    match kind {
        K::NotFound => "correct the path: the folder must exist",
        K::PermissionDenied => "use sudo, or name a place that you may write to",
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => "make room, or name another place",
        K::ReadOnlyFilesystem => "name a place that is not mounted read-only",
        K::IsADirectory => "name a file, not a folder",
        K::AlreadyExists => "remove what an interrupted run has left there",
        _ => "check the medium",
    }
}

impl BackupProblem {
    pub(super) fn io(doing: &'static str, error: &std::io::Error) -> Self {
        Self::Io { doing, what: error.to_string(), kind: error.kind() }
    }

    pub(super) fn at(self, path: &Path) -> Error {
        Error::Backup { path: path.to_owned(), problem: self }
    }

    pub(in crate::store) const fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse | Self::UnderWay { .. } => ErrorKind::Busy,
            Self::NewerSchema { .. } | Self::Unsound { .. } => ErrorKind::Unusable,
            Self::Io { .. } | Self::HalfDone { .. } | Self::Unplaced { .. } => ErrorKind::Access,
            _ => ErrorKind::Request,
        }
    }
}
