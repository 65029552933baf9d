//! The pseudonym of an enrolled person: what logs and messages carry in place of a name.

use std::sync::Arc;

/// `s-` and 6 to 16 hexadecimal digits, such as `s-4f9a1c`. Cloning never allocates.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectId(Arc<str>);

/// A text that is no subject id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "subject id '{0}': must be 's-' and 6 to 16 hexadecimal digits, such as s-4f9a1c; 'deepid-edge subjects list' shows them"
)]
pub struct InvalidSubjectId(pub String);

impl SubjectId {
    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`InvalidSubjectId`] with the offending text.
    pub fn new(id: &str) -> Result<Self, InvalidSubjectId> {
        let digits = id.strip_prefix("s-").unwrap_or_default();
        let fits = (6..=16).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if fits { Ok(Self(id.into())) } else { Err(InvalidSubjectId(id.to_owned())) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SubjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SubjectId {
    type Error = InvalidSubjectId;
    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(&id)
    }
}

impl From<SubjectId> for String {
    fn from(id: SubjectId) -> Self {
        id.0.as_ref().to_owned()
    }
}
