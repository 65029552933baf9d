//! The least-squares similarity between two sets of points.
//!
//! In: points and where they should go. Out: the rotation, uniform scale and translation with the
//! least sum of squared distances. Reflections cannot be expressed, so mirrored points give a poor
//! fit, not a mirrored face. Source: Umeyama 1991; in two dimensions the solution is a ratio of sums.

use crate::geometry::{Point, Similarity};

/// Fits the similarity that takes `from` nearest to `to`; `None` when the points of `from`
/// coincide, when the fit has no extent, or when a coordinate is not finite.
#[must_use]
pub fn fit_similarity<const N: usize>(from: &[Point; N], to: &[Point; N]) -> Option<Similarity> {
    let centre_from = centroid(from);
    let centre_to = centroid(to);
    let (mut dot, mut cross, mut spread) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (p, q) in from.iter().zip(to) {
        let (px, py) = (p.x - centre_from.x, p.y - centre_from.y);
        let (qx, qy) = (q.x - centre_to.x, q.y - centre_to.y);
        dot += px * qx + py * qy;
        cross += px * qy - py * qx;
        spread += px * px + py * py;
    }
    let (a, b) = (dot / spread, cross / spread);
    let pose = Similarity {
        a,
        b,
        tx: centre_to.x - (a * centre_from.x - b * centre_from.y),
        ty: centre_to.y - (b * centre_from.x + a * centre_from.y),
    };
    (pose.tx.is_finite() && pose.ty.is_finite() && pose.inverse().is_some()).then_some(pose)
}

fn centroid<const N: usize>(points: &[Point; N]) -> Point {
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    Point::new(x / N as f32, y / N as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_known_pose_is_recovered(scale in 0.2f32..8.0, angle in -3.1f32..3.1,
                                     tx in -300.0f32..300.0, ty in -300.0f32..300.0) {
            let pose = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
            let template = [Point::new(15.5, 22.0), Point::new(31.5, 22.0), Point::new(23.5, 31.1),
                            Point::new(23.5, 40.5)];
            let fitted = fit_similarity(&template, &template.map(|p| pose.apply(p))).unwrap();
            for point in template {
                prop_assert!(fitted.apply(point).distance(pose.apply(point)) < 0.01);
            }
        }

        #[test]
        fn nothing_panics(values in proptest::array::uniform8(any::<f32>())) {
            let [a, b, c, d, e, f, g, h] = values;
            let from = [Point::new(a, b), Point::new(c, d)];
            let to = [Point::new(e, f), Point::new(g, h)];
            if let Some(pose) = fit_similarity(&from, &to) {
                prop_assert!(pose.scale().is_finite());
            }
        }
    }
}
