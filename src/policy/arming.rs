//! Whether the door may grant anything at all.
//!
//! In: what an administrator has said last. Out: whether it counts at a time. A door is armed unless
//! it was told otherwise: one without this rule is as it was before there was one.

/// What was said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arming {
    /// Whoever may pass is granted.
    #[default]
    On,
    /// Nobody is.
    Off,
    /// As `On` before this time, milliseconds since 1970, and as `Off` from then on.
    Until(i64),
}

impl Arming {
    /// Whether the door is armed at `unix_ms`.
    #[must_use]
    pub const fn is_armed(self, unix_ms: i64) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Until(end) => unix_ms < end,
        }
    }

    /// When that ends by itself, milliseconds since 1970.
    #[must_use]
    pub const fn until_ms(self) -> Option<i64> {
        match self {
            Self::Until(end) => Some(end),
            Self::On | Self::Off => None,
        }
    }
}
