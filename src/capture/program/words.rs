//! The last lines that a program wrote to its standard error: its own diagnosis.
//!
//! In: bytes. Out: at most [`LINES_MAX`] lines of at most [`LINE_CHARS_MAX`] characters, without
//! secrets and without control characters. A carriage return ends a line too: programs show progress
//! by it.
//! Invariants: memory is bounded whatever is written; what is hidden never gets into the memory of
//! lines. Deliberately absent: what the words mean, which [`problem`](super::problem) says.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::mask;

/// So many lines are kept.
const LINES_MAX: usize = 4;

/// So many characters of a line.
const LINE_CHARS_MAX: usize = 240;

/// A line is cut here, in bytes, before it is looked at.
const LINE_BYTES_MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Words {
    lines: Mutex<VecDeque<String>>,
    hidden: Vec<String>,
}

impl Words {
    /// Words in which none of `hidden` is shown.
    pub(super) fn hiding(mut hidden: Vec<String>) -> Self {
        hidden.retain(|text| !text.is_empty());
        // The longest first: one may be a part of another.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self { lines: Mutex::default(), hidden }
    }

    /// Takes in everything that `input` says, until it ends.
    pub(super) fn listen(&self, mut input: impl Read) {
        let (mut buffer, mut line) = ([0; 1024], Vec::new());
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            for byte in buffer.iter().take(count) {
                match byte {
                    b'\n' | b'\r' => self.note(&std::mem::take(&mut line)),
                    byte if line.len() < LINE_BYTES_MAX => line.push(*byte),
                    _ => {}
                }
            }
        }
        self.note(&line);
    }

    fn note(&self, line: &[u8]) {
        let mut text = String::from_utf8_lossy(line).into_owned();
        for hidden in &self.hidden {
            text = text.replace(hidden, mask::MASK);
        }
        let text: String = mask::text(&text)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LINE_CHARS_MAX)
            .collect();
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let mut lines = self.lock();
        if lines.back().is_some_and(|last| last == text) {
            return;
        }
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(text.to_owned());
    }

    /// The lines, the oldest first, in one.
    pub(super) fn text(&self) -> String {
        self.lock().iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8], hidden: &[&str]) -> String {
        let words = Words::hiding(hidden.iter().map(|&text| text.into()).collect());
        words.listen(bytes);
        words.text()
    }

    #[test]
    fn the_last_lines_are_kept_each_once_and_none_is_long() {
        assert_eq!(said(b"a\nb\r\n\nc\rc\nd\ne", &[]), "b | c | d | e");
        assert_eq!(said(b"\x1b[31mred\x07\n", &[]), "[31mred");
        let long = said(&vec![b'x'; 100_000], &[]);
        assert_eq!(long.chars().count(), LINE_CHARS_MAX);
        assert_eq!(said(b"\xff\xfe", &[]), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn no_secret_is_kept() {
        let line = b"cannot open 'rtsp://ada:Zq7%40x@cam/1?token=Zq7@x': Zq7@x, Zq7%40x";
        let shown = said(line, &["Zq7@x", "Zq7%40x", ""]);
        assert!(!shown.contains("Zq7") && shown.contains("@cam/1"), "{shown}");
        let shown = said(b"http://u:secret@cam: 401", &[]);
        assert_eq!(shown, "http://***@cam: 401");
    }
}
