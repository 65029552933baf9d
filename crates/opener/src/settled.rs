//! An input that bounces: it counts once it has kept its value for a while.
//!
//! In: readings with their times in milliseconds. Out: the value that has settled, when it changes.
//! Deliberately absent: the debouncing of the kernel, which not every chip's driver has.

/// One input.
#[derive(Debug, Clone)]
pub struct Settled {
    wait_ms: u64,
    value: Option<bool>,
    /// Another value, and since when it has been read.
    candidate: Option<(bool, u64)>,
}

impl Settled {
    /// An input of which nothing is known; a value counts after `wait_ms`.
    #[must_use]
    pub const fn new(wait_ms: u64) -> Self {
        Self { wait_ms, value: None, candidate: None }
    }

    /// The value that has settled; `None` before the first.
    #[must_use]
    pub const fn value(&self) -> Option<bool> {
        self.value
    }

    /// Takes a reading.
    pub fn read(&mut self, value: bool, now_ms: u64) {
        if self.value == Some(value) {
            self.candidate = None;
        } else if self.candidate.is_none_or(|(other, _)| other != value) {
            self.candidate = Some((value, now_ms));
        }
    }

    /// The value that settles by now, once.
    pub fn settle(&mut self, now_ms: u64) -> Option<bool> {
        if self.settles_at()? > now_ms {
            return None;
        }
        self.value = self.candidate.take().map(|(value, _)| value);
        self.value
    }

    /// When the next value settles, unless it changes before.
    #[must_use]
    pub fn settles_at(&self) -> Option<u64> {
        self.candidate.map(|(_, since)| since.saturating_add(self.wait_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_once_it_has_kept() {
        let mut input = Settled::new(50);
        input.read(true, 0);
        input.read(false, 10);
        input.read(true, 20);
        assert_eq!((input.settle(69), input.settles_at()), (None, Some(70)));
        assert_eq!((input.settle(70), input.settle(71)), (Some(true), None));
        input.read(false, 100);
        input.read(true, 120);
        assert_eq!((input.settles_at(), input.value()), (None, Some(true)));
    }
}
