//! What a network has said of the faces of a visit.
//!
//! In: a probability for each look. Out: their median. Pure; fixed size.

/// Looks that are remembered; the oldest is forgotten first.
const LOOKS_MAX: usize = 64;

/// The looks of one network in one visit.
#[derive(Debug, Clone)]
pub(super) struct Looks {
    probabilities: [f32; LOOKS_MAX],
    count: u32,
}

impl Default for Looks {
    fn default() -> Self {
        Self { probabilities: [0.0; LOOKS_MAX], count: 0 }
    }
}

impl Looks {
    /// The network has said how probably the face is live, 0 to 1.
    pub(super) fn note(&mut self, probability: f32) {
        let place = self.count as usize % LOOKS_MAX;
        if let Some(kept) = self.probabilities.get_mut(place) {
            *kept = probability;
        }
        self.count = self.count.saturating_add(1);
    }

    /// How many there were.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The median, 0 to 1; `None` before the first look. Of an even number of looks it is the lower of the
    /// two in the middle.
    pub(super) fn median(&self) -> Option<f32> {
        let mut sorted = self.probabilities;
        let count = (self.count as usize).min(LOOKS_MAX);
        let seen = sorted.get_mut(..count).filter(|seen| !seen.is_empty())?;
        seen.sort_unstable_by(f32::total_cmp);
        seen.get((count - 1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(probabilities: &[f32]) -> Looks {
        let mut looks = Looks::default();
        for &probability in probabilities {
            looks.note(probability);
        }
        looks
    }

    #[test]
    fn the_median_is_of_the_last_looks_and_the_lower_one_of_an_even_number() {
        assert_eq!(looks(&[]).median(), None);
        assert_eq!(looks(&[0.1, 0.9, 0.5]).median(), Some(0.5));
        assert_eq!(looks(&[0.9, 0.1, 0.9, 0.1]).median(), Some(0.1));
        let many = looks(&[[0.1; 64], [0.9; 64]].concat());
        assert_eq!((many.count(), many.median()), (128, Some(0.9)));
    }
}
