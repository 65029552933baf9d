//! The enrolled set as each embedder of a door knows it.
//!
//! In: references as galleries. Out: who can be granted, by what. Plain values.

use super::confirm::Confirming;
use crate::compare::Gallery;
use crate::inference::{ModelId, ModelKey};

/// The enrolled set as each embedder knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Galleries {
    /// References of the embedder that looks at every frame.
    pub gallery: Gallery,
    /// What the confirming one knows, where there is one.
    pub confirming: Option<Confirming>,
}

impl From<Gallery> for Galleries {
    fn from(gallery: Gallery) -> Self {
        Self { gallery, confirming: None }
    }
}

impl Galleries {
    /// The gallery whose threshold a grant has to reach last.
    #[must_use]
    pub fn deciding(&self) -> &Gallery {
        self.confirming.as_ref().map_or(&self.gallery, |confirming| &confirming.gallery)
    }

    /// The confirming embedder, where there is one.
    #[must_use]
    pub fn confirming_model(&self) -> Option<&ModelId> {
        self.confirming.as_ref().map(|confirming| confirming.gallery.comparer().model())
    }

    /// The embedders in use, the one that looks at every face first.
    #[must_use]
    pub fn keys(&self) -> Vec<&ModelKey> {
        let confirming = self.confirming.as_ref().map(|confirming| &confirming.gallery);
        std::iter::once(&self.gallery)
            .chain(confirming)
            .map(|gallery| gallery.comparer().key())
            .collect()
    }

    /// Enrolled subjects who can never be granted: without a reference of the confirming embedder.
    #[must_use]
    pub fn unconfirmable(&self) -> usize {
        self.gallery.subjects_not_in(self.deciding())
    }
}
