//! How often somebody may come: some at once, then one in a while.
//!
//! In: the time. Out: whether one more may come. Pure. Source: the token bucket of RFC 2697, with
//! whole tokens.

use crate::clock::Monotonic;

/// Milliseconds after which one more may come.
const REFILL_MS: u64 = 1_000;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    burst: u32,
    tokens: u32,
    refilled_at: Monotonic,
}

impl Bucket {
    /// So many may come at once; none has by `now`.
    pub(super) const fn new(burst: u32, now: Monotonic) -> Self {
        Self { burst, tokens: burst, refilled_at: now }
    }

    /// Whether one more may come at `now`; it has come then.
    pub(super) fn take(&mut self, now: Monotonic) -> bool {
        let elapsed_ms = now.as_millis().saturating_sub(self.refilled_at.as_millis());
        let new = elapsed_ms / REFILL_MS;
        if new > 0 {
            let new = u32::try_from(new).unwrap_or(self.burst);
            self.tokens = self.burst.min(self.tokens.saturating_add(new));
            self.refilled_at = now;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}
