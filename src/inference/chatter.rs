//! The TFLite library writes progress lines to standard error while it loads; they belong in the log.
//!
//! In: a closure that makes the library talk. Out: its result and what it wrote, every line of
//! which is logged at debug level. File descriptor 2 points at a memory file meanwhile, so a library
//! that writes much can neither block nor be lost. Should the redirection itself fail, the lines
//! stay on standard error: a loss of words, never a failure.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `work` with standard error captured, then logs what was written. Gives it, too: the reason
/// of a failure stands nowhere else.
pub(super) fn to_log<T>(work: impl FnOnce() -> T) -> (T, String) {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(capture) = Capture::start() else {
        return (work(), String::new());
    };
    let result = work();
    let said = capture.finish();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        tracing::debug!(target: "tflite", "{line}");
    }
    (result, said)
}

struct Capture {
    original: OwnedFd,
    memory: File,
}

impl Capture {
    #[expect(unsafe_code, reason = "file descriptors can only be redirected through libc")]
    fn start() -> Option<Self> {
        // SAFETY: plain system calls on descriptors; results are checked, and each new descriptor
        // is owned by exactly one value from here on.
        unsafe {
            let memory = libc::memfd_create(c"tflite-chatter".as_ptr(), libc::MFD_CLOEXEC);
            if memory < 0 {
                return None;
            }
            let memory = File::from_raw_fd(memory);
            let original = libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 3);
            if original < 0 {
                return None;
            }
            let original = OwnedFd::from_raw_fd(original);
            (libc::dup2(memory.as_raw_fd(), 2) == 2).then_some(Self { original, memory })
        }
    }

    #[expect(unsafe_code, reason = "file descriptors can only be redirected through libc")]
    fn finish(mut self) -> String {
        // SAFETY: `original` is an open descriptor that this value owns.
        unsafe {
            libc::dup2(self.original.as_raw_fd(), 2);
        }
        let mut text = Vec::new();
        let read =
            self.memory.seek(SeekFrom::Start(0)).and_then(|_| self.memory.read_to_end(&mut text));
        if read.is_err() {
            text.clear();
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
