//! The model card: what a `.tflite` file is, as TOML beside it.

use std::sync::Arc;

/// Names a model in feature vectors, references, records and messages: `[a-z0-9.-]{1,64}`.
///
/// Cloning shares the text; it never allocates.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(Arc<str>);

impl ModelId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// The offending text, when it is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, InvalidModelId> {
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
        if fits { Ok(Self(name.into())) } else { Err(InvalidModelId(name.to_owned())) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelId {
    type Error = InvalidModelId;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// A model name that breaks the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model id '{0}': must be 1 to 64 characters of a-z, 0-9, '-' and '.'")]
pub struct InvalidModelId(pub String);
