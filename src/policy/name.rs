//! The name of a group or a schedule, as an administrator types it.
//!
//! Audit records carry it, and with them everybody on the broker who may read them: it is no
//! person's name.

/// 1 to 32 of `a-z 0-9 _ -`, such as `cleaners`.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(String);

/// A text that names no group and no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}': must be 1 to 32 characters of a-z, 0-9, '_' and '-'; records carry it, so it is no person's name"
)]
pub struct InvalidRuleName(pub String);

impl RuleName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`InvalidRuleName`] with the offending text.
    pub fn new(name: &str) -> Result<Self, InvalidRuleName> {
        let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let fits = (1..=32).contains(&name.len()) && name.bytes().all(plain);
        if fits { Ok(Self(name.to_owned())) } else { Err(InvalidRuleName(name.to_owned())) }
    }

    /// Who asks where the broker's word is enough; no administrator has this name.
    #[must_use]
    pub fn broker() -> Self {
        Self("broker".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RuleName {
    type Error = InvalidRuleName;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<RuleName> for String {
    fn from(name: RuleName) -> Self {
        name.0
    }
}
