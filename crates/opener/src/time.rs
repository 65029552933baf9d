//! The only place that reads a clock.
//!
//! In: the kernel's clocks, and the mark that systemd-timesyncd leaves. Out: [`Now`], where the time of
//! day is there only if it may be believed.
//! Deliberately absent: the kernel's own word on whether a clock is synchronised: asking it takes unsafe
//! code. Other time services than timesyncd: `clock = "trusted"`.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::opener::Now;

/// timesyncd touches its mark at each synchronisation, at most 34 minutes after the last one. A board's
/// quartz that is off by 20 parts in a million loses the usual tolerance of 2 s in about this time.
const MARK_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const TIMESYNCD_MARK: &str = "/run/systemd/timesync/synchronized";

/// Whether the time of day is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    /// It is not asked for.
    Never,
    /// Where systemd-timesyncd says that it has synchronised it.
    IfSynchronised,
    /// Always: an administrator vouches for another time service.
    Always,
}

/// The clocks.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    belief: Belief,
    mark: PathBuf,
}

impl Clock {
    /// Clocks that count from now.
    #[must_use]
    pub fn start(belief: Belief) -> Self {
        Self { start: instant(), belief, mark: TIMESYNCD_MARK.into() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { ms: self.ms(), unix_s: self.unix_s() }
    }

    fn ms(&self) -> u64 {
        let ms = instant().duration_since(self.start).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    /// How long it is until `ms`; zero when that is past.
    #[must_use]
    pub fn until(&self, ms: u64) -> Duration {
        Duration::from_millis(ms.saturating_sub(self.ms()))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn unix_s(&self) -> Option<u64> {
        let now = SystemTime::now();
        let believed = match self.belief {
            Belief::Never => false,
            Belief::Always => true,
            Belief::IfSynchronised => std::fs::metadata(&self.mark)
                .and_then(|about| about.modified())
                .is_ok_and(|marked| now.duration_since(marked).is_ok_and(|age| age < MARK_LIFE)),
        };
        believed.then(|| now.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()))?
    }
}

/// A moment, for waiting.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_there_where_it_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("synchronized");
        let of = |belief| Clock { mark: mark.clone(), ..Clock::start(belief) }.now().unix_s;
        assert_eq!((of(Belief::Never), of(Belief::IfSynchronised)), (None, None));
        assert!(of(Belief::Always).is_some());
        let file = std::fs::File::create(&mark).unwrap();
        assert!(of(Belief::IfSynchronised).is_some());
        file.set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(of(Belief::IfSynchronised), None, "a mark of long ago vouches for nothing");
    }
}
