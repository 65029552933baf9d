//! A file that holds a key, read only where nobody else can reach it, and written whole.
//!
//! In: a path, what kind of place it is, whose it has to be. Out: its bytes, wiped when they are dropped,
//! or a [`Fault`]. Invariants: a link, a pipe, a folder, a file that others may read or that is somebody
//! else's is refused; a new file is on the disk, with its name, before it counts as written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::PlaceKind;
use crate::durable::sync_folder_of;

/// Many times what a key needs.
pub(super) const BYTES_MAX: usize = 16 * 1024;

/// Why a file is no place for a key. The texts stand after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A symbolic link.
    #[error("it is a symbolic link, which somebody else could point elsewhere")]
    Link,
    /// A folder, a pipe, a device.
    #[error("it is no regular file")]
    NoFile,
    /// Others may read or write it.
    #[error(
        "its mode is {mode:o}, so that others than its owner can reach it, and may have copied it"
    )]
    Exposed {
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("it belongs to user {found}, and the database to user {wanted}")]
    Owner {
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// Larger than any key.
    #[error("larger than {BYTES_MAX} bytes: this is no key")]
    TooLarge,
    /// The system does not give it.
    #[error("cannot be read ({0})")]
    Unreadable(#[from] io::Error),
}

/// What is in the file at `path`; `None` where there is no file. Who may read a credential is the service
/// manager's to say.
///
/// # Errors
/// [`Fault`].
pub fn read(
    path: &Path,
    kind: PlaceKind,
    owner: Option<u32>,
) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Err(Fault::Link),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Fault::NoFile);
    }
    if kind == PlaceKind::File {
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Fault::Exposed { mode });
        }
        if let Some(wanted) = owner.filter(|wanted| *wanted != metadata.uid()) {
            return Err(Fault::Owner { found: metadata.uid(), wanted });
        }
    }
    // Of the size that is needed from the beginning: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    Read::by_ref(&mut file).take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > BYTES_MAX { Err(Fault::TooLarge) } else { Ok(Some(bytes)) }
}

/// Writes a new file, which only its owner may read, and makes it durable with its name.
///
/// # Errors
/// What the system says, also where there is something already.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // Also its name: the database may record this key next.
    sync_folder_of(path)
}

/// Opens a file without following a link, and without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
