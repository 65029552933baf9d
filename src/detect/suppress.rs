//! Weighted suppression: overlapping candidates are averaged into one face by their scores.
//!
//! In: candidates of one frame. Out: one detection a face, best score first; box and keypoints are
//! the score-weighted means of all candidates that overlap the best one, which is what makes
//! BlazeFace's keypoints steady from frame to frame (Bazarevsky et al. 2019, section 3.4).

use super::Detection;
use crate::geometry::{Point, Rect};
use crate::inference::KEYPOINTS_OF_TEMPLATE;

/// A decoded anchor whose score is high enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub bounds: Rect,
    pub keypoints: [Point; KEYPOINTS_OF_TEMPLATE],
    pub score: f32,
}

/// The most candidates that are looked at, best first: bounds the quadratic step on pictures that
/// set off every anchor.
const MAX_CANDIDATES: usize = 512;

/// Suppression with its reused memory.
#[derive(Debug)]
pub(super) struct Suppression {
    overlap: f32,
    candidates: Vec<Candidate>,
}

impl Suppression {
    pub(super) const fn new(overlap: f32) -> Self {
        Self { overlap, candidates: Vec::new() }
    }

    /// Where the candidates of the next run are put.
    pub(super) const fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    /// Consumes the candidates and appends the faces to `faces`.
    pub(super) fn run(&mut self, faces: &mut Vec<Detection>) {
        // Ties are broken by place, so that equal input gives equal output whatever the sort does.
        self.candidates.sort_unstable_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then(a.bounds.y.total_cmp(&b.bounds.y))
                .then(a.bounds.x.total_cmp(&b.bounds.x))
        });
        self.candidates.truncate(MAX_CANDIDATES);
        while let Some(&best) = self.candidates.first() {
            let mut sum = Sum::default();
            let overlap = self.overlap;
            let before = self.candidates.len();
            self.candidates.retain(|candidate| {
                let same = candidate.bounds.intersection_over_union(best.bounds) > overlap;
                if same {
                    sum.add(candidate);
                }
                !same
            });
            if self.candidates.len() == before {
                // A box without area overlaps nothing, not even itself.
                self.candidates.remove(0);
                continue;
            }
            faces.push(sum.mean(best.score));
        }
    }
}

#[derive(Default)]
struct Sum {
    weight: f32,
    bounds: [f32; 4],
    keypoints: [Point; KEYPOINTS_OF_TEMPLATE],
}

impl Sum {
    fn add(&mut self, candidate: &Candidate) {
        let Rect { x, y, width, height } = candidate.bounds;
        self.weight += candidate.score;
        for (sum, value) in self.bounds.iter_mut().zip([x, y, width, height]) {
            *sum += value * candidate.score;
        }
        for (sum, point) in self.keypoints.iter_mut().zip(candidate.keypoints) {
            sum.x += point.x * candidate.score;
            sum.y += point.y * candidate.score;
        }
    }

    fn mean(&self, score: f32) -> Detection {
        let [x, y, width, height] = self.bounds.map(|v| v / self.weight);
        Detection {
            bounds: Rect::new(x, y, width, height),
            keypoints: self.keypoints.map(|p| Point::new(p.x / self.weight, p.y / self.weight)),
            score,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(x: f32, score: f32) -> Candidate {
        Candidate {
            bounds: Rect::new(x, 0.0, 10.0, 10.0),
            keypoints: [Point::new(x, 1.0); KEYPOINTS_OF_TEMPLATE],
            score,
        }
    }

    #[test]
    fn overlapping_candidates_become_their_weighted_mean() {
        let mut suppression = Suppression::new(0.3);
        suppression.candidates().extend([
            candidate(50.0, 0.6),
            candidate(0.0, 0.9),
            candidate(3.0, 0.3),
        ]);
        let mut faces = Vec::new();
        suppression.run(&mut faces);
        assert_eq!(faces.len(), 2);
        assert!((faces[0].bounds().x - 0.75).abs() < 1e-5, "(0·0.9 + 3·0.3) / 1.2");
        assert!((faces[0].keypoints()[0].x - 0.75).abs() < 1e-5);
        assert_eq!((faces[0].score(), faces[1].score()), (0.9, 0.6));
    }

    #[test]
    fn boxes_without_area_are_dropped() {
        let mut suppression = Suppression::new(0.3);
        let flat = Candidate { bounds: Rect::new(0.0, 0.0, 10.0, 0.0), ..candidate(0.0, 0.9) };
        suppression.candidates().extend([flat, candidate(20.0, 0.5)]);
        let mut faces = Vec::new();
        suppression.run(&mut faces);
        assert_eq!(faces.len(), 1);
    }
}
