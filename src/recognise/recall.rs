//! What is kept of a visitor's face, should the visit turn out to be a stranger's and somebody wish to enrol
//! that one afterwards.
//!
//! In: faces that passed the quality limits, stood upright, were alone in their frame and nobody's who is
//! enrolled. Out: up to [`FACES_MAX`] feature vectors, [`FACE_SPACING`] apart, of the embedder and of the
//! confirming one. Invariants: no picture, nothing on a disk; nothing is kept beyond the visit but by
//! [`Recall::take`]; keeping allocates nothing. Deliberately absent: for how long a visit is remembered
//! (`daemon`), and whether those faces are one person's (`enrol`).

use std::time::Duration;

use crate::clock::Monotonic;
use crate::embed::{FeatureVector, Quality};

/// Faces of one visit that are kept.
pub const FACES_MAX: usize = 5;
/// Least time between two of them, so that references differ.
pub const FACE_SPACING: Duration = Duration::from_millis(300);

/// What is known of one face of a stranger's visit.
#[derive(Debug, Clone, PartialEq)]
pub struct RecalledFace {
    /// How good it was.
    pub quality: Quality,
    /// What the embedder says of it.
    pub vector: FeatureVector,
    /// What the confirming embedder says of it, where one confirms.
    pub confirming: Option<FeatureVector>,
}

/// The faces of a stranger's visit, at least one. Its `Debug` shows no number of them.
#[derive(Clone, PartialEq)]
pub struct Recalled(Vec<RecalledFace>);

impl Recalled {
    /// These; `None` where there is none.
    #[must_use]
    pub fn of(faces: Vec<RecalledFace>) -> Option<Self> {
        (!faces.is_empty()).then_some(Self(faces))
    }

    /// The faces.
    #[must_use]
    pub fn faces(&self) -> &[RecalledFace] {
        &self.0
    }
}

impl std::fmt::Debug for Recalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recalled({} faces)", self.0.len())
    }
}

/// The memory for one visit.
#[derive(Debug)]
pub(super) struct Recall {
    places: Vec<Place>,
    used: usize,
    last: Option<Monotonic>,
}

#[derive(Debug)]
struct Place {
    quality: Option<Quality>,
    vector: FeatureVector,
    confirming: Option<FeatureVector>,
}

impl Recall {
    /// Memory for vectors like these, empty.
    pub(super) fn new(vector: &FeatureVector, confirming: Option<&FeatureVector>) -> Self {
        let place =
            |_| Place { quality: None, vector: vector.clone(), confirming: confirming.cloned() };
        Self { places: (0..FACES_MAX).map(place).collect(), used: 0, last: None }
    }

    /// Whether a face captured at `at` would be kept.
    pub(super) fn is_due(&self, at: Monotonic) -> bool {
        self.used < self.places.len()
            && self.last.is_none_or(|last| at > last && at.since(last) >= FACE_SPACING)
    }

    /// Keeps a face. Where a confirming embedder's vector belongs to it, it is kept with that alone.
    pub(super) fn keep(
        &mut self,
        quality: Quality,
        vector: &FeatureVector,
        confirming: Option<&FeatureVector>,
        at: Monotonic,
    ) {
        let Some(place) = self.places.get_mut(self.used) else { return };
        match (&mut place.confirming, confirming) {
            (Some(kept), Some(confirming)) => kept.copy_from(confirming),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return,
        }
        place.vector.copy_from(vector);
        place.quality = Some(quality);
        self.used += 1;
        self.last = Some(at);
    }

    /// What was kept, which is forgotten here; `None` where nothing was.
    pub(super) fn take(&mut self) -> Option<Recalled> {
        let kept = self.places.iter().take(self.used).filter_map(|place| {
            Some(RecalledFace {
                quality: place.quality?,
                vector: place.vector.clone(),
                confirming: place.confirming.clone(),
            })
        });
        let recalled = Recalled::of(kept.collect());
        self.forget();
        recalled
    }

    /// Forgets what was kept.
    pub(super) const fn forget(&mut self) {
        self.used = 0;
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::ModelKey;

    fn vector(first: f32) -> FeatureVector {
        FeatureVector::new(ModelKey::made_up(), vec![first, 1.0]).unwrap()
    }

    fn quality() -> Quality {
        Quality::made_up(0.5, None)
    }

    const fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    #[test]
    fn a_few_faces_of_a_visit_are_kept_apart_from_each_other_and_taken_once() {
        let mut recall = Recall::new(&vector(0.0), None);
        for ms in (0..3000).step_by(100) {
            if recall.is_due(at(ms)) {
                recall.keep(quality(), &vector(ms as f32), None, at(ms));
            }
        }
        let recalled = recall.take().unwrap();
        let firsts: Vec<f32> = recalled.faces().iter().map(|f| f.vector.values()[0]).collect();
        assert_eq!(firsts, [0.0, 300.0, 600.0, 900.0, 1200.0]);
        assert_eq!(recall.take(), None, "it is forgotten here");
        assert!(recall.is_due(at(100)), "another visit begins anew");
        assert!(!format!("{recalled:?}").contains("300"), "{recalled:?}");
    }

    #[test]
    fn where_grants_are_confirmed_a_face_without_the_second_vector_is_not_kept() {
        let mut recall = Recall::new(&vector(0.0), Some(&vector(0.0)));
        recall.keep(quality(), &vector(1.0), None, at(0));
        assert_eq!(recall.take(), None);
        recall.keep(quality(), &vector(1.0), Some(&vector(2.0)), at(0));
        let confirming = recall.take().unwrap().faces()[0].confirming.clone();
        assert_eq!(confirming, Some(vector(2.0)));
        let mut alone = Recall::new(&vector(0.0), None);
        alone.keep(quality(), &vector(1.0), Some(&vector(2.0)), at(0));
        assert_eq!(alone.take(), None);
    }
}
