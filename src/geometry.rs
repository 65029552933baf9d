//! Points, rectangles and similarity transforms in pixel coordinates.
//!
//! Coordinates are continuous: pixel `(i, j)` covers the square from `(i, j)` to `(i+1, j+1)`, so
//! its centre is `(i+0.5, j+0.5)`; x grows to the right, y downwards. Everything here is pure
//! arithmetic on `f32`; nothing knows of images.

/// A point in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
}

impl Point {
    /// The point `(x, y)`.
    #[must_use]
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// Euclidean distance to `other`, in pixels.
    #[must_use]
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// An axis-aligned rectangle in pixels; `width` and `height` are never negative when built here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, ≥ 0.
    pub width: f32,
    /// Height, ≥ 0.
    pub height: f32,
}

impl Rect {
    /// A rectangle from its top left corner and its size; negative sizes become 0.
    #[must_use]
    pub fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width: width.max(0.0), height: height.max(0.0) }
    }

    /// The square of side `side` around `centre`.
    #[must_use]
    pub fn square_around(centre: Point, side: f32) -> Self {
        Self::new(centre.x - side / 2.0, centre.y - side / 2.0, side, side)
    }

    /// The middle of the rectangle.
    #[must_use]
    pub fn centre(self) -> Point {
        Point::new(self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Area in square pixels.
    #[must_use]
    pub fn area(self) -> f32 {
        self.width * self.height
    }

    /// Intersection over union with `other`, 0 (apart) to 1 (equal); 0 when both are empty.
    #[must_use]
    pub fn intersection_over_union(self, other: Self) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        intersection / (self.area() + other.area() - intersection)
    }
}

/// A rotation, uniform scaling and translation: `x' = a·x − b·y + tx`, `y' = b·x + a·y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// `scale · cos(angle)`.
    pub a: f32,
    /// `scale · sin(angle)`.
    pub b: f32,
    /// Translation along x, pixels.
    pub tx: f32,
    /// Translation along y, pixels.
    pub ty: f32,
}

impl Similarity {
    /// Maps `point`.
    #[must_use]
    pub fn apply(self, point: Point) -> Point {
        Point::new(
            self.a * point.x - self.b * point.y + self.tx,
            self.b * point.x + self.a * point.y + self.ty,
        )
    }

    /// The uniform scale factor, ≥ 0.
    #[must_use]
    pub fn scale(self) -> f32 {
        self.a.hypot(self.b)
    }

    /// The rotation in radians, −π to π, positive from x towards y (clockwise on a screen).
    #[must_use]
    pub fn angle(self) -> f32 {
        self.b.atan2(self.a)
    }

    /// The transform that does `first` and then this one.
    #[must_use]
    pub fn after(self, first: Self) -> Self {
        let shift = self.apply(Point::new(first.tx, first.ty));
        Self {
            a: self.a * first.a - self.b * first.b,
            b: self.b * first.a + self.a * first.b,
            tx: shift.x,
            ty: shift.y,
        }
    }

    /// The transform that undoes this one, or `None` when the scale is 0 or not finite.
    #[must_use]
    pub fn inverse(self) -> Option<Self> {
        let squared = self.a * self.a + self.b * self.b;
        if !(squared.is_finite() && squared > f32::MIN_POSITIVE) {
            return None;
        }
        let (a, b) = (self.a / squared, -self.b / squared);
        Some(Self { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn overlap_of_equal_half_and_apart() {
        let unit = Rect::new(0.0, 0.0, 2.0, 2.0);
        assert!((unit.intersection_over_union(unit) - 1.0).abs() < 1e-6);
        let half = Rect::new(1.0, 0.0, 2.0, 2.0);
        assert!((unit.intersection_over_union(half) - 1.0 / 3.0).abs() < 1e-6);
        assert!(unit.intersection_over_union(Rect::new(5.0, 5.0, 1.0, 1.0)) <= 0.0);
    }

    proptest! {
        #[test]
        fn one_after_another_is_both(first in proptest::array::uniform4(-3.0f32..3.0),
                                     second in proptest::array::uniform4(-3.0f32..3.0),
                                     x in -50.0f32..50.0, y in -50.0f32..50.0) {
            let [first, second] = [first, second].map(|[a, b, tx, ty]| Similarity { a, b, tx, ty });
            let wanted = second.apply(first.apply(Point::new(x, y)));
            prop_assert!(second.after(first).apply(Point::new(x, y)).distance(wanted) < 0.01);
        }

        #[test]
        fn inverse_undoes(a in -3.0f32..3.0, b in -3.0f32..3.0, tx in -500.0f32..500.0,
                          ty in -500.0f32..500.0, x in -500.0f32..500.0, y in -500.0f32..500.0) {
            let pose = Similarity { a, b, tx, ty };
            prop_assume!(pose.scale() > 0.05);
            let there = pose.apply(Point::new(x, y));
            let back = pose.inverse().expect("scale is above 0.05").apply(there);
            prop_assert!(back.distance(Point::new(x, y)) < 0.05);
        }
    }
}
