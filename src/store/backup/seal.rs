//! Encryption by a passphrase, in the age format.
//!
//! Plain bytes ↔ an age file with one scrypt recipient. All cryptography is the `age` crate's; here
//! stand the bounds that this program sets, and what its errors mean to a person.
//! Invariants: the head of a file is bounded before it is parsed, the work that a file may ask for
//! before it is done; a passphrase is wiped from memory and never shown.

use std::io::{BufRead, Cursor, Read, Write};

use age::secrecy::{ExposeSecret, SecretString};
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, scrypt};

use super::BackupProblem;

/// `log2 N` of scrypt (r = 8, p = 1): 128 MiB and about a second on a small board for each guess.
/// What OWASP's cheat sheet on password storage asks for at least.
pub const WORK_FACTOR: u8 = 17;
/// The most that a file may ask for: 256 MiB, which is what `age -p` takes.
const WORK_FACTOR_MAX: u8 = 18;

const MAGIC: &[u8] = b"age-encryption.org/";
const VERSION: &str = "v1";
/// With one passphrase a head has about 150 bytes.
const HEAD_BYTES_MAX: usize = 4096;

/// What a backup is encrypted with.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes `text` as it is.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// How many characters it has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.expose_secret().chars().count()
    }
}

impl PartialEq for Passphrase {
    /// Compares what was typed twice; nobody who measures the time can ask.
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(not shown)")
    }
}

/// What is written to the result is encrypted into `out`; `finish` must be called at the end.
pub(super) fn seal<W: Write>(
    out: W,
    passphrase: &Passphrase,
    work_factor: u8,
) -> std::io::Result<StreamWriter<W>> {
    let mut recipient = scrypt::Recipient::new(passphrase.0.clone());
    recipient.set_work_factor(work_factor.clamp(1, WORK_FACTOR_MAX));
    Encryptor::with_recipients(std::iter::once(&recipient as _))
        .map_err(std::io::Error::other)?
        .wrap_output(out)
}

/// The plain bytes of `from`.
pub(super) fn unseal<R: BufRead>(
    mut from: R,
    passphrase: &Passphrase,
) -> Result<StreamReader<impl BufRead + use<R>>, BackupProblem> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    from.by_ref()
        .take(HEAD_BYTES_MAX as u64)
        .read_to_end(&mut head)
        .map_err(|error| BackupProblem::io("cannot be read", &error))?;
    check_head(&head)?;
    let decryptor = Decryptor::new_buffered(Cursor::new(head).chain(from)).map_err(told)?;
    if !decryptor.is_scrypt() {
        return Err(BackupProblem::NotABackup {
            what: "it is encrypted to a key, not with a passphrase",
        });
    }
    let mut identity = scrypt::Identity::new(passphrase.0.clone());
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    decryptor.decrypt(std::iter::once(&identity as _)).map_err(told)
}

/// Says what a file is that does not begin as an age file does, and that its head ends.
fn check_head(head: &[u8]) -> Result<(), BackupProblem> {
    let not = |what| Err(BackupProblem::NotABackup { what });
    if head.is_empty() {
        return not("it is empty");
    }
    let Some(rest) = head.strip_prefix(MAGIC) else {
        if MAGIC.starts_with(head) {
            return Err(BackupProblem::Damaged { what: CUT_IN_THE_HEAD.to_owned() });
        }
        return not("it does not begin as an encrypted file does");
    };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Err(BackupProblem::Damaged { what: CUT_IN_THE_HEAD.to_owned() });
    };
    let version = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
    if version != VERSION {
        let found = version.chars().filter(|c| !c.is_control()).take(20).collect();
        return Err(BackupProblem::NewerEncryption { found, known: VERSION });
    }
    if head.windows(5).any(|bytes| bytes == b"\n--- ") {
        return Ok(());
    }
    Err(BackupProblem::Damaged { what: CUT_IN_THE_HEAD.to_owned() })
}

const CUT_IN_THE_HEAD: &str = "its head has no end";

fn told(error: DecryptError) -> BackupProblem {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            BackupProblem::WrongPassphrase
        }
        DecryptError::ExcessiveWork { required, .. } => {
            BackupProblem::TooMuchWork { asked: required, max: WORK_FACTOR_MAX }
        }
        // The first line was looked at already: 'unknown' is how the parser calls a head that is
        // no head of version 1.
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            BackupProblem::Damaged { what: "its head is malformed".to_owned() }
        }
        DecryptError::InvalidMac => {
            BackupProblem::Damaged { what: "its head was changed".to_owned() }
        }
        DecryptError::Io(error) => broken(&error),
        other => BackupProblem::Damaged { what: other.to_string().replace('\n', " ") },
    }
}

/// What an error while decrypting means: the file is not what was written, or cannot be read.
pub(super) fn broken(error: &std::io::Error) -> BackupProblem {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            BackupProblem::Damaged { what: "it is cut short".to_owned() }
        }
        std::io::ErrorKind::InvalidData => {
            BackupProblem::Damaged { what: "it was changed, or is cut short".to_owned() }
        }
        _ => BackupProblem::io("cannot be read", error),
    }
}
