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

    /// What this and `other` share; without area where they share nothing.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        Self::new(x, y, right - x, bottom - y)
    }

    /// The least rectangle that holds this and `other`.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.width).max(other.x + other.width);
        let bottom = (self.y + self.height).max(other.y + other.height);
        Self::new(x, y, right - x, bottom - y)
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

/// Any linear map and a shift: `x' = xx·x + xy·y + tx`, `y' = yx·x + yy·y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// How much of x goes into x.
    pub xx: f32,
    /// How much of y goes into x.
    pub xy: f32,
    /// How much of x goes into y.
    pub yx: f32,
    /// How much of y goes into y.
    pub yy: f32,
    /// Translation along x, pixels.
    pub tx: f32,
    /// Translation along y, pixels.
    pub ty: f32,
}

impl From<Similarity> for Affine {
    fn from(Similarity { a, b, tx, ty }: Similarity) -> Self {
        Self { xx: a, xy: -b, yx: b, yy: a, tx, ty }
    }
}

impl Affine {
    /// Maps `point`.
    #[inline]
    #[must_use]
    pub fn apply(self, point: Point) -> Point {
        Point::new(
            self.xx * point.x + self.xy * point.y + self.tx,
            self.yx * point.x + self.yy * point.y + self.ty,
        )
    }

    /// The map that does `first` and then this one.
    #[must_use]
    pub fn after(self, first: Self) -> Self {
        let shift = self.apply(Point::new(first.tx, first.ty));
        Self {
            xx: self.xx * first.xx + self.xy * first.yx,
            xy: self.xx * first.xy + self.xy * first.yy,
            yx: self.yx * first.xx + self.yy * first.yx,
            yy: self.yx * first.xy + self.yy * first.yy,
            tx: shift.x,
            ty: shift.y,
        }
    }
}

/// A turn by a multiple of 90 degrees, clockwise on a screen. Written as its degrees.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub enum Turn {
    /// None.
    #[default]
    None,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees, which are 90 the other way.
    ThreeQuarters,
}

impl Turn {
    /// All there are, by their degrees.
    pub const ALL: [Self; 4] = [Self::None, Self::Quarter, Self::Half, Self::ThreeQuarters];

    /// 0, 90, 180 or 270.
    #[must_use]
    pub const fn degrees(self) -> u16 {
        self as u16 * 90
    }

    const fn of_quarters(quarters: u16) -> Self {
        match quarters % 4 {
            0 => Self::None,
            1 => Self::Quarter,
            2 => Self::Half,
            _ => Self::ThreeQuarters,
        }
    }

    /// Both, one after the other.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self::of_quarters(self as u16 + other as u16)
    }

    /// The turn that undoes this one.
    #[must_use]
    pub const fn inverse(self) -> Self {
        Self::of_quarters(4 - self as u16)
    }

    /// Whether width and height change places.
    #[must_use]
    pub const fn lays_down(self) -> bool {
        matches!(self, Self::Quarter | Self::ThreeQuarters)
    }

    /// Where `rect` of a picture of `(width, height)` lies when the picture is turned.
    #[must_use]
    pub fn rect(self, rect: Rect, (width, height): (f32, f32)) -> Rect {
        let turned = if self.lays_down() { (height, width) } else { (width, height) };
        View { turn: self.inverse(), mirrored: false }.rect_to_stored(rect, turned)
    }
}

impl From<Turn> for u16 {
    fn from(turn: Turn) -> Self {
        turn.degrees()
    }
}

impl TryFrom<u16> for Turn {
    type Error = String;

    fn try_from(degrees: u16) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|turn| turn.degrees() == degrees);
        known.ok_or_else(|| format!("{degrees} is none of 0, 90, 180 and 270 degrees"))
    }
}

/// How a stored picture is looked at: turned, then mirrored.
///
/// Points of the stored picture are *stored* ones, those of the picture that is looked at *seen*
/// ones. No pixel moves: whoever reads seen points reads where they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct View {
    /// By how much the stored picture is turned.
    pub turn: Turn,
    /// Whether left and right change places after that.
    pub mirrored: bool,
}

impl View {
    /// The same view, turned further.
    #[must_use]
    pub const fn turned(self, turn: Turn) -> Self {
        // A turn after a mirror is the mirror after the opposite turn.
        let turn = if self.mirrored { turn.inverse() } else { turn };
        Self { turn: self.turn.plus(turn), mirrored: self.mirrored }
    }

    /// Width and height as seen of what is stored with `(width, height)`; and the other way round.
    #[must_use]
    pub const fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.turn.lays_down() { (height, width) } else { (width, height) }
    }

    /// The map from seen points to stored ones, of a picture stored with `(width, height)`.
    #[must_use]
    pub fn to_stored(self, (width, height): (f32, f32)) -> Affine {
        let (xx, xy, yx, yy, tx, ty) = match self.turn {
            Turn::None => (1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
            Turn::Quarter => (0.0, 1.0, -1.0, 0.0, 0.0, height),
            Turn::Half => (-1.0, 0.0, 0.0, -1.0, width, height),
            Turn::ThreeQuarters => (0.0, -1.0, 1.0, 0.0, width, 0.0),
        };
        let unmirrored = Affine { xx, xy, yx, yy, tx, ty };
        if !self.mirrored {
            return unmirrored;
        }
        let seen_width = if self.turn.lays_down() { height } else { width };
        unmirrored.after(Affine { xx: -1.0, xy: 0.0, yx: 0.0, yy: 1.0, tx: seen_width, ty: 0.0 })
    }

    /// Where the seen rectangle is stored, in a picture stored with `(width, height)`.
    #[must_use]
    pub fn rect_to_stored(self, seen: Rect, (width, height): (f32, f32)) -> Rect {
        let seen_width = if self.turn.lays_down() { height } else { width };
        let x = if self.mirrored { seen_width - seen.x - seen.width } else { seen.x };
        let Rect { y, width: across, height: down, .. } = seen;
        match self.turn {
            Turn::None => Rect { x, y, width: across, height: down },
            Turn::Quarter => Rect { x: y, y: height - x - across, width: down, height: across },
            Turn::Half => {
                Rect { x: width - x - across, y: height - y - down, width: across, height: down }
            }
            Turn::ThreeQuarters => Rect { x: width - y - down, y: x, width: down, height: across },
        }
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

    /// A view for each turn, mirrored or not.
    fn views() -> impl Iterator<Item = View> {
        let views = |turn| [false, true].map(|mirrored| View { turn, mirrored });
        Turn::ALL.into_iter().flat_map(views)
    }

    #[test]
    fn a_clockwise_quarter_brings_the_left_edge_to_the_top() {
        // Stored 40 wide and 30 high; its upper left pixel is seen at the upper right.
        let size = (40.0, 30.0);
        let view = View { turn: Turn::Quarter, mirrored: false };
        assert_eq!(view.size((40, 30)), (30, 40));
        assert_eq!(view.to_stored(size).apply(Point::new(29.5, 0.5)), Point::new(0.5, 0.5));
        let mirrored = View { mirrored: true, ..view };
        assert_eq!(mirrored.to_stored(size).apply(Point::new(0.5, 0.5)), Point::new(0.5, 0.5));
        let upside_down = View { turn: Turn::Half, mirrored: false };
        assert_eq!(upside_down.to_stored(size).apply(Point::new(1.0, 2.0)), Point::new(39.0, 28.0));
    }

    #[test]
    fn turns_are_counted_around_and_written_in_degrees() {
        for turn in Turn::ALL {
            assert_eq!(turn.plus(turn.inverse()), Turn::None);
            assert_eq!(Turn::try_from(turn.degrees()), Ok(turn));
            assert_eq!(serde_json::to_value(turn).unwrap(), turn.degrees());
        }
        assert_eq!(Turn::Half.plus(Turn::ThreeQuarters), Turn::Quarter);
        assert!(Turn::try_from(45).unwrap_err().contains("45"));
    }

    #[test]
    fn rectangles_and_points_are_stored_at_the_same_place_in_every_view() {
        let stored = (40.0, 30.0);
        let seen = Rect::new(3.0, 7.0, 5.0, 2.0);
        for view in views() {
            let map = view.to_stored(stored);
            let rect = view.rect_to_stored(seen, stored);
            assert_eq!(map.apply(seen.centre()), rect.centre(), "{view:?}");
            let corner = map.apply(Point::new(seen.x, seen.y));
            let on_edge = |at: f32, low: f32, length: f32| [low, low + length].contains(&at);
            assert!(
                on_edge(corner.x, rect.x, rect.width) && on_edge(corner.y, rect.y, rect.height)
            );
            for turn in Turn::ALL {
                // What is turned further is still stored where it was.
                let (width, height) = view.size((40, 30));
                let turned = turn.rect(seen, (width as f32, height as f32));
                let found = view.turned(turn).rect_to_stored(turned, stored);
                assert_eq!(found, rect, "{view:?} turned by {turn:?}");
            }
        }
    }

    #[test]
    fn what_two_share_and_what_holds_both() {
        let (one, other) = (Rect::new(0.0, 0.0, 4.0, 2.0), Rect::new(3.0, 1.0, 2.0, 5.0));
        assert_eq!(one.intersection(other), Rect::new(3.0, 1.0, 1.0, 1.0));
        assert_eq!(one.union(other), Rect::new(0.0, 0.0, 5.0, 6.0));
        assert!(one.intersection(Rect::new(9.0, 0.0, 1.0, 1.0)).area() <= 0.0);
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
