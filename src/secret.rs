//! A secret in a file: a broker's password, the passphrase of a backup.
//!
//! In: a file as people make it, with a byte order mark, with line ends of Windows, with none at
//! all. Out: the text of its first line, or why it is none and the command that mends the file.
//! Rules: UTF-8, at most [`BYTES_MAX`] bytes; the first line is the secret, blanks at its ends
//! included; further lines are remarks. Invariant: no error and no `Debug` shows any part of it.
//! Deliberately absent: who may read the file, which callers judge, and secrets in variables or
//! arguments, which other users can see.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use crate::remedy::Remedied;

/// Bytes of a file that holds a secret.
pub const BYTES_MAX: usize = 4096;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file held.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    remarks: usize,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a file holds no secret. The texts stand after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The system does not give it.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// Too large.
    #[error(
        "larger than {BYTES_MAX} bytes: this is another kind of file; {advice}",
        advice = self.advice()
    )]
    TooLarge,
    /// No bytes, or no others than line ends.
    #[error("it is empty; {advice}", advice = self.advice())]
    Empty,
    /// The secret stands further down.
    #[error("its first line is empty, and line {0} is not; {advice}", advice = self.advice())]
    FirstLineEmpty(usize),
    /// As some editors of Windows write.
    #[error("it is UTF-16; {advice}", advice = self.advice())]
    Utf16,
    /// Latin-1, or no text at all.
    #[error("it is not UTF-8 text from byte {0} on; {advice}", advice = self.advice())]
    NotText(usize),
    /// A control character, which nobody types into a password.
    #[error("its first line has a control character (U+{0:04X}); {advice}", advice = self.advice())]
    Control(u32),
    /// A key, a certificate.
    #[error("it holds a key or a certificate (PEM), no password; {advice}", advice = self.advice())]
    Pem,
}

impl Remedied for SecretError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::TooLarge => "a secret is one line".into(),
            Self::Empty => "write the secret into it, as one line".into(),
            Self::FirstLineEmpty(_) => "the secret must be on the first line".into(),
            Self::Utf16 => "UTF-8 is needed: 'iconv -f UTF-16 -t UTF-8' makes it so".into(),
            Self::NotText(_) => "if it is Latin-1, 'iconv -f LATIN1 -t UTF-8' makes it so".into(),
            Self::Control(_) => "write it anew in a plain editor".into(),
            Self::Pem => "name another file".into(),
            Self::Unreadable(_) => return None,
        })
    }
}

impl Secret {
    /// Reads the file at `path`. Of what is no regular file (a terminal, a pipe) only the first
    /// line is read: the other end may stay open.
    ///
    /// # Errors
    /// [`SecretError`]: the file cannot be read, or its first line is no secret.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let file = File::open(path)?;
        let is_file = file.metadata()?.is_file();
        let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut reader = BufReader::new(file.take(limit));
        let mut content = Vec::new();
        if is_file {
            reader.read_to_end(&mut content)?;
        } else {
            reader.read_until(b'\n', &mut content)?;
        }
        Self::of(&content)
    }

    /// The secret in a file's bytes.
    ///
    /// # Errors
    /// [`SecretError`]: they hold none.
    pub fn of(content: &[u8]) -> Result<Self, SecretError> {
        if content.len() > BYTES_MAX {
            return Err(SecretError::TooLarge);
        }
        if is_utf16(content) {
            return Err(SecretError::Utf16);
        }
        let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
        let text = std::str::from_utf8(content)
            .map_err(|error| SecretError::NotText(error.valid_up_to()))?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let mut rest = (2..).zip(lines).filter(|(_, line)| !line.trim().is_empty());
        if first.trim().is_empty() {
            return Err(rest
                .next()
                .map_or(SecretError::Empty, |(number, _)| SecretError::FirstLineEmpty(number)));
        }
        if first.starts_with("-----BEGIN ") {
            return Err(SecretError::Pem);
        }
        if let Some(control) = first.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(SecretError::Control(control.into()));
        }
        Ok(Self { text: first.to_owned(), remarks: rest.count() })
    }

    /// The secret itself.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// What a person may not have meant, although it is a secret; a sentence to stand after the
    /// file's name.
    #[must_use]
    pub fn doubt(&self) -> Option<&'static str> {
        if self.text.trim() != self.text {
            return Some("its first line begins or ends with a blank, which is part of the secret");
        }
        (self.remarks > 0).then_some("it has further lines, and only the first is the secret")
    }
}

/// Whether `content` is UTF-16: it says so, or every other byte of it is zero.
#[must_use]
pub fn is_utf16(content: &[u8]) -> bool {
    let zeros = |from: usize| {
        let half = content.iter().skip(from).step_by(2);
        content.len() >= 2 && half.clone().count() > 0 && half.copied().all(|byte| byte == 0)
    };
    content.starts_with(b"\xff\xfe")
        || content.starts_with(b"\xfe\xff")
        || (content.len().is_multiple_of(2) && (zeros(0) != zeros(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool, swap: bool) -> Vec<u8> {
        let mark = mark.then_some(0xfeff_u16);
        mark.into_iter()
            .chain(text.encode_utf16())
            .flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    /// What is in the file, and what it is taken for.
    #[test]
    fn a_file_is_read_as_people_write_it() {
        let takes = |content: &[u8]| Secret::of(content).map(Secret::into_text);
        for content in [
            &b"geheim"[..],
            b"geheim\n",
            b"geheim\r\n",
            b"\xef\xbb\xbfgeheim",
            b"\xef\xbb\xbfgeheim\r\n",
            b"geheim\n\n",
            b"geheim\nof the broker in the cellar\n",
        ] {
            assert_eq!(takes(content).expect("a secret"), "geheim", "{content:?}");
        }
        assert_eq!(takes(b" with blanks \n").expect("a secret"), " with blanks ");
        assert_eq!(takes("schlüssel\n".as_bytes()).expect("a secret"), "schlüssel");
    }

    #[test]
    fn what_is_no_secret_is_told_by_its_kind() {
        let why = |content: &[u8]| Secret::of(content).expect_err("no secret").to_string();
        for (content, word) in [
            (b"".to_vec(), "is empty"),
            (b"\n\r\n \n".to_vec(), "is empty"),
            (b"\xef\xbb\xbf\r\n".to_vec(), "is empty"),
            (b"\n\ngeheim\n".to_vec(), "line 3"),
            (utf16("geheim\r\n", true, false), "UTF-16"),
            (utf16("geheim", true, true), "UTF-16"),
            (utf16("geheim", false, false), "UTF-16"),
            (utf16("geheim", false, true), "UTF-16"),
            (b"schl\xfcssel\n".to_vec(), "from byte 4"),
            (b"ge\x00heim\n".to_vec(), "U+0000"),
            (b"ge\x1bheim\n".to_vec(), "U+001B"),
            (b"-----BEGIN PRIVATE KEY-----\nMIG\n".to_vec(), "PEM"),
            (vec![b'x'; BYTES_MAX + 1], "larger than 4096"),
        ] {
            let said = why(&content);
            assert!(said.contains(word), "{content:?}: {said}");
            assert!(!said.contains("geheim"), "{said}");
        }
        assert!(!is_utf16(b"\0\0\0\0") && !is_utf16(b"") && !is_utf16(b"ab"));
    }

    #[test]
    fn what_may_not_be_meant_is_told_and_the_secret_is_shown_nowhere() {
        let of = |content: &[u8]| Secret::of(content).expect("a secret");
        assert_eq!(of(b"geheim\n").doubt(), None);
        assert!(of(b"geheim \n").doubt().is_some_and(|said| said.contains("blank")));
        assert!(of(b"geheim\nmore\n").doubt().is_some_and(|said| said.contains("further lines")));
        assert!(!format!("{:?}", of(b"geheim\n")).contains("geheim"));
    }

    #[test]
    fn of_a_pipe_only_the_first_line_is_waited_for() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        io::Write::write_all(&mut writer, b"geheim\n").expect("written");
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        // The writer stays open: reading to the end would wait for ever.
        let secret = Secret::read(Path::new(&path)).expect("a secret");
        assert_eq!(secret.into_text(), "geheim");
        drop(writer);
    }

    #[test]
    fn a_file_that_is_not_there_and_a_folder_are_the_systems_to_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path().join("none"), folder.path().to_owned()] {
            assert!(matches!(Secret::read(&path), Err(SecretError::Unreadable(_))), "{path:?}");
        }
    }
}
