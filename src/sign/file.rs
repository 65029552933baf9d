//! The file that holds the door's key, or the service manager's credential in its place.
//!
//! In: a path, the owner of the database, and the fingerprint that the database has recorded. Out: the
//! key, or [`KeyTrouble`] with its remedy. Invariants: a key is made only where nothing was recorded
//! and no file is; what is there is never written over but by a rotation; a file that others may
//! read, that is not the database's owner's, a link or no file at all is refused; a new key is on the
//! disk, whole, before it has its name. Deliberately absent: the database.
//!
//! A rotation writes the new key beside the old one, is recorded, and only then takes its place.
//! Whoever finds the recorded key still beside finishes that, so that no power cut can lose it.

use std::borrow::Cow;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::guarded::{self, BYTES_MAX, Fault};
use super::{GrantKey, KeyProblem, SigningState, Thumbprint};
use crate::durable;
use crate::remedy::Remedied;

/// What the credential is called in the service manager's folder.
pub const CREDENTIAL: &str = "grant.key";

/// What kind of place holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A file of the door's own.
    File,
    /// A credential of the service manager, which may be sealed to this board's TPM.
    Credential,
}

/// Where the door's key lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// The file.
    pub path: PathBuf,
    /// What kind of file.
    pub kind: PlaceKind,
}

/// A key that was found.
#[derive(Debug)]
pub struct Loaded {
    /// The key.
    pub key: GrantKey,
    /// Whether it lies beside its place yet, because a rotation was broken off.
    pub beside: bool,
}

/// Why the door has no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyTrouble {
    /// It has signed, and the file is gone.
    #[error(
        "grant key {path}: it is not there, and this door has signed with it ({recorded}); {advice}", advice = self.advice()
    )]
    Missing {
        /// Where.
        path: PathBuf,
        /// The key that the database knows.
        recorded: Thumbprint,
    },
    /// There is another key.
    #[error(
        "grant key {path}: it holds another key ({found}) than this door has signed with ({recorded}); {advice}", advice = self.advice()
    )]
    Other {
        /// Where.
        path: PathBuf,
        /// The key in the file.
        found: Thumbprint,
        /// The key that the database knows.
        recorded: Thumbprint,
    },
    /// A symbolic link.
    #[error(
        "grant key {path}: it is a symbolic link, which somebody else could point elsewhere; {advice}", advice = self.advice()
    )]
    Link {
        /// Where.
        path: PathBuf,
    },
    /// A folder, a pipe, a device.
    #[error("grant key {path}: it is no regular file; {advice}", advice = self.advice())]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error(
        "grant key {path}: its mode is {mode:o}, so that others than its owner can reach it, and may have copied it; {advice}", advice = self.advice()
    )]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error(
        "grant key {path}: it belongs to user {found}, and the database to user {wanted}; {advice}", advice = self.advice()
    )]
    Owner {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Larger than any key.
    #[error("grant key {path}: larger than {BYTES_MAX} bytes: this is no key; {advice}", advice = self.advice())]
    TooLarge {
        /// Where.
        path: PathBuf,
    },
    /// What is in it is no key.
    #[error("grant key {path}: {problem}; {advice}", advice = self.advice())]
    NoKey {
        /// Where.
        path: PathBuf,
        /// What it is.
        problem: KeyProblem,
    },
    /// The system does not give it.
    #[error(
        "grant key {path}: cannot be read ({source}); {advice}", advice = self.advice()
    )]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It cannot be made.
    #[error(
        "grant key {path}: cannot be written ({source}); {advice}", advice = self.advice()
    )]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no random numbers.
    #[error(
        "grant key {path}: the system gives no random numbers ({what}); {advice}", advice = self.advice()
    )]
    NoRandomness {
        /// Where.
        path: PathBuf,
        /// What it says.
        what: String,
    },
    /// The database does not take its fingerprint.
    #[error("grant key: its fingerprint cannot be recorded: {0}")]
    Unrecorded(String),
}

/// What to do with a file that holds no key.
const REMEDY: &str = "bring the right file back, or make another key with 'deepid-edge keys rotate' and tell every listener";

impl Remedied for KeyTrouble {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Missing { .. } => {
                "bring the file back, or make another key with 'deepid-edge keys rotate' and tell every listener".into()
            }
            Self::Other { .. } | Self::TooLarge { .. } | Self::NoKey { .. } => REMEDY.into(),
            Self::Link { .. } => "put the file itself there, or name it in 'sign.key_file'".into(),
            Self::NoFile { .. } => "name the key's file in 'sign.key_file'".into(),
            Self::Exposed { path, .. } => format!(
                "make another with 'deepid-edge keys rotate', or, if nobody else has been on this machine, 'chmod 600 {}'",
                path.display()
            )
            .into(),
            Self::Owner { path, .. } => format!(
                "'sudo chown --reference=DATABASE {}' gives it to the same user",
                path.display()
            )
            .into(),
            Self::Unreadable { .. } => {
                "run this as the user of the service, or give that user the file".into()
            }
            Self::Unwritable { .. } => {
                "its folder must belong to the user that runs deepid-edge and have room, or name another file in 'sign.key_file'".into()
            }
            Self::NoRandomness { .. } => {
                "start the service again, and if that stays, see 'dmesg'".into()
            }
            Self::Unrecorded(_) => return None,
        })
    }
}

impl KeyTrouble {
    /// What is said of it on the wire.
    #[must_use]
    pub const fn state(&self) -> SigningState {
        match self {
            Self::Missing { .. } => SigningState::Missing,
            Self::Other { .. } => SigningState::Other,
            _ => SigningState::Unusable,
        }
    }
}

impl KeyPlace {
    /// The credential, where the service manager's folder has one, or else `file`.
    #[must_use]
    pub fn of(file: PathBuf, credentials: Option<&Path>) -> Self {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL));
        match credential.filter(|path| path.exists()) {
            Some(path) => Self { path, kind: PlaceKind::Credential },
            None => Self { path: file, kind: PlaceKind::File },
        }
    }

    /// The key of which the database has `recorded` the fingerprint. `None` where none was recorded and
    /// no file is: one may be made. `owner` is whose the file has to be, where that is known.
    ///
    /// # Errors
    /// [`KeyTrouble`]: the door has no key to sign with.
    pub fn load(
        &self,
        recorded: Option<&Thumbprint>,
        owner: Option<u32>,
    ) -> Result<Option<Loaded>, KeyTrouble> {
        let found = self.read(&self.path, owner);
        let Some(recorded) = recorded else {
            return Ok(found?.map(|key| Loaded { key, beside: false }));
        };
        let is_it = |key: &GrantKey| key.public().thumbprint() == recorded;
        match found {
            Ok(Some(key)) if is_it(&key) => return Ok(Some(Loaded { key, beside: false })),
            _ if self.kind == PlaceKind::Credential => {}
            _ => {
                if let Ok(Some(key)) = self.read(&self.beside(), owner)
                    && is_it(&key)
                {
                    return Ok(Some(Loaded { key, beside: true }));
                }
            }
        }
        let (path, recorded) = (self.path.clone(), recorded.clone());
        Err(match found? {
            None => KeyTrouble::Missing { path, recorded },
            Some(key) => {
                KeyTrouble::Other { path, found: key.public().thumbprint().clone(), recorded }
            }
        })
    }

    /// Makes a key where no file is.
    ///
    /// # Errors
    /// [`KeyTrouble`]: there is one now, or it cannot be written.
    pub fn make(&self) -> Result<GrantKey, KeyTrouble> {
        let key = self.make_beside()?;
        if self.path.symlink_metadata().is_ok() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(KeyTrouble::Unwritable { path: self.path.clone(), source });
        }
        self.settle()?;
        Ok(key)
    }

    /// Makes a key beside this place; [`Self::settle`] puts it there.
    ///
    /// # Errors
    /// [`KeyTrouble`]: it cannot be written.
    pub fn make_beside(&self) -> Result<GrantKey, KeyTrouble> {
        let key = GrantKey::generate().map_err(|error| KeyTrouble::NoRandomness {
            path: self.path.clone(),
            what: error.to_string(),
        })?;
        let beside = self.beside();
        // What a broken rotation has left was recorded nowhere.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.unwritable(error));
            }
            _ => {}
        }
        guarded::write_new(&beside, key.to_pem().as_bytes())
            .map_err(|error| self.unwritable(error))?;
        Ok(key)
    }

    /// Puts the key that lies beside this place there, in place of what is.
    ///
    /// # Errors
    /// [`KeyTrouble::Unwritable`].
    pub fn settle(&self) -> Result<(), KeyTrouble> {
        durable::settle(&self.beside(), &self.path).map_err(|error| self.unwritable(error))
    }

    /// Takes a key away that was made beside this place and recorded nowhere.
    pub fn forget_beside(&self) {
        // It is written over by the next one where it stays.
        drop(std::fs::remove_file(self.beside()));
    }

    /// Whose the key beside this place is.
    #[must_use]
    pub fn owner_beside(&self) -> Option<u32> {
        self.beside().symlink_metadata().ok().map(|metadata| metadata.uid())
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        name.into()
    }

    fn unwritable(&self, source: io::Error) -> KeyTrouble {
        KeyTrouble::Unwritable { path: self.path.clone(), source }
    }

    /// The key in the file at `path`; `None` where there is no file.
    fn read(&self, path: &Path, owner: Option<u32>) -> Result<Option<GrantKey>, KeyTrouble> {
        let at = || path.to_owned();
        let text = guarded::read(path, self.kind, owner).map_err(|fault| match fault {
            Fault::Link => KeyTrouble::Link { path: at() },
            Fault::NoFile => KeyTrouble::NoFile { path: at() },
            Fault::Exposed { mode } => KeyTrouble::Exposed { path: at(), mode },
            Fault::Owner { found, wanted } => KeyTrouble::Owner { path: at(), found, wanted },
            Fault::TooLarge => KeyTrouble::TooLarge { path: at() },
            Fault::Unreadable(source) => KeyTrouble::Unreadable { path: at(), source },
        })?;
        let Some(text) = text else { return Ok(None) };
        let key = GrantKey::from_pem(&text);
        key.map(Some).map_err(|problem| KeyTrouble::NoKey { path: at(), problem })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Bench {
        folder: tempfile::TempDir,
        place: KeyPlace,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let place = KeyPlace::of(folder.path().join("grant.key"), None);
            Self { folder, place }
        }

        fn owner(&self) -> u32 {
            self.folder.path().metadata().unwrap().uid()
        }

        fn write(&self, text: &str) {
            std::fs::write(&self.place.path, text).unwrap();
            self.mode(0o600);
        }

        fn mode(&self, mode: u32) {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&self.place.path, permissions).unwrap();
        }

        fn trouble(&self) -> KeyTrouble {
            self.place.load(None, Some(self.owner())).unwrap_err()
        }
    }

    fn name(key: &GrantKey) -> Thumbprint {
        key.public().thumbprint().clone()
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_found_again() {
        let bench = Bench::new();
        assert!(bench.place.load(None, None).unwrap().is_none());
        let made = bench.place.make().unwrap();
        let metadata = bench.place.path.metadata().unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 1, "nothing beside");
        let found = bench.place.load(Some(&name(&made)), Some(bench.owner())).unwrap().unwrap();
        assert_eq!(found.key.public(), made.public());
        assert!(!found.beside);
        assert!(matches!(bench.place.make(), Err(KeyTrouble::Unwritable { .. })), "there is one");
        let again = bench.place.load(None, None).unwrap().unwrap();
        assert_eq!(again.key.public(), made.public(), "and it is what it was");
    }

    #[test]
    fn a_key_that_was_used_and_is_gone_or_replaced_is_named_and_not_made_anew() {
        let bench = Bench::new();
        let used = name(&GrantKey::generate().unwrap());
        let load = || bench.place.load(Some(&used), None);
        let missing = load().unwrap_err();
        assert_eq!(missing.state(), SigningState::Missing);
        assert!(missing.to_string().contains("keys rotate"), "{missing}");
        assert!(!bench.place.path.exists());
        bench.place.make().unwrap();
        let other = load().unwrap_err();
        assert_eq!(other.state(), SigningState::Other);
        assert!(other.to_string().contains(used.as_str()), "{other}");
    }

    #[test]
    fn files_of_every_wrong_kind_are_refused_and_left_as_they_are() {
        let good = GrantKey::generate().unwrap();
        let pem = good.to_pem();
        for (text, word) in [
            ("", "is empty"),
            ("geheim\n", "no PEM"),
            (pem.get(..70).unwrap(), "damaged"),
            (&good.public().to_pem(), "no PRIVATE KEY"),
            (&"x".repeat(BYTES_MAX + 1), "larger than"),
        ] {
            let bench = Bench::new();
            bench.write(text);
            let trouble = bench.trouble();
            assert_eq!(trouble.state(), SigningState::Unusable);
            let said = trouble.to_string();
            assert!(said.contains(word) && said.contains("keys rotate"), "{said}");
            assert!(!said.contains("geheim"), "{said}");
            assert_eq!(std::fs::read_to_string(&bench.place.path).unwrap(), *text);
        }
    }

    #[test]
    fn a_file_that_others_can_reach_a_link_and_what_is_no_file_are_refused() {
        let bench = Bench::new();
        let key = bench.place.make().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
            bench.mode(mode);
            assert!(matches!(bench.trouble(), KeyTrouble::Exposed { mode: m, .. } if m == mode));
        }
        bench.mode(0o400);
        assert!(bench.place.load(None, None).unwrap().is_some(), "not even its owner may write it");
        let stranger = bench.place.load(None, Some(bench.owner() + 1)).unwrap_err();
        assert!(matches!(stranger, KeyTrouble::Owner { .. }), "{stranger}");
        let elsewhere = bench.folder.path().join("elsewhere");
        std::fs::rename(&bench.place.path, &elsewhere).unwrap();
        symlink(&elsewhere, &bench.place.path).unwrap();
        assert!(matches!(bench.trouble(), KeyTrouble::Link { .. }));
        std::fs::remove_file(&bench.place.path).unwrap();
        std::fs::create_dir(&bench.place.path).unwrap();
        assert!(matches!(bench.trouble(), KeyTrouble::NoFile { .. }));
        // The service manager's own file may be readable by a group, which has nobody else in it.
        let credentials = tempfile::tempdir().unwrap();
        let credential = credentials.path().join(CREDENTIAL);
        std::fs::write(&credential, key.to_pem().as_bytes()).unwrap();
        let place = KeyPlace::of(bench.place.path.clone(), Some(credentials.path()));
        assert_eq!((&place.path, place.kind), (&credential, PlaceKind::Credential));
        let found = place.load(Some(&name(&key)), Some(bench.owner() + 1)).unwrap().unwrap();
        assert_eq!(found.key.public(), key.public());
    }

    #[test]
    fn a_rotation_that_was_broken_off_is_finished_and_one_that_was_not_recorded_is_not() {
        let bench = Bench::new();
        let old = bench.place.make().unwrap();
        let new = bench.place.make_beside().unwrap();
        assert_eq!(bench.place.owner_beside(), Some(bench.owner()));
        let load = |key: &GrantKey| bench.place.load(Some(&name(key)), None).unwrap().unwrap();
        assert!(!load(&old).beside, "not recorded: the old one counts");
        let found = load(&new);
        assert!(found.beside && found.key.public() == new.public());
        bench.place.settle().unwrap();
        assert!(!load(&new).beside);
        let never = bench.place.make_beside().unwrap();
        bench.place.forget_beside();
        assert!(bench.place.load(Some(&name(&never)), None).is_err());
        assert!(!load(&new).beside);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let place = KeyPlace::of("/proc/nowhere/grant.key".into(), None);
        let trouble = place.make().unwrap_err();
        assert!(matches!(trouble, KeyTrouble::Unwritable { .. }), "{trouble}");
        assert!(trouble.to_string().contains("sign.key_file"), "{trouble}");
    }
}
