//! A person cut out of a photograph, ready to be drawn at any size.
//!
//! In: a photograph and an [`Actor`]'s face and outline. Out: a pyramid of premultiplied RGBA
//! pictures, each half as large as the one before, and a sampler that blends the two nearest
//! levels (trilinear filtering: L. Williams, Pyramidal parametrics, 1983), so that an actor who
//! walks towards the camera neither flickers nor jumps.
//!
//! Invariant: every sample is in 0 to 1, and colour never exceeds its alpha.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::script::{Actor, Tablet};
use crate::geometry::Point;

/// Width of the face in the largest level, in pixels: no recording shows faces larger than this
/// without blur.
const FACE_WIDTH_PX: f32 = 160.0;

/// How far the outline of a tablet stays within its picture, in pixels of the largest level.
const EDGE: f32 = 2.0;

/// Smallest number of pixels across that a level may have.
const LEVEL_WIDTH_MIN: usize = 16;

/// Premultiplied red, green, blue and alpha, 0 to 1.
pub(super) type Sample = [f32; 4];

/// A photograph that does not show what the script says.
#[derive(Debug, thiserror::Error)]
#[error(
    "actor '{actor}': the outline leaves the photograph '{photograph}' of {width}×{height} pixels; give corners inside it"
)]
pub struct OutlineError {
    actor: String,
    photograph: String,
    width: u32,
    height: u32,
}

#[derive(Debug, Clone)]
struct Level {
    width: usize,
    samples: Vec<Sample>,
}

/// A person without a background.
#[derive(Debug, Clone)]
pub(super) struct CutOut {
    levels: Vec<Level>,
    face: Point,
    face_width_px: f32,
    width: f32,
    height: f32,
    held: bool,
}

impl CutOut {
    /// Cuts `actor` out of `photograph`.
    pub(super) fn new(actor: &Actor, photograph: &RgbImage) -> Result<Self, OutlineError> {
        let (left, top, right, bottom) = bounds(&actor.outline);
        let (photo_width, photo_height) = photograph.dimensions();
        if right > photo_width as f32 || bottom > photo_height as f32 {
            return Err(OutlineError {
                actor: actor.name.clone(),
                photograph: actor.photograph.clone(),
                width: photo_width,
                height: photo_height,
            });
        }
        let scale = (FACE_WIDTH_PX / actor.face_width_px()).min(1.0);
        let view = imageops::crop_imm(
            photograph,
            left as u32,
            top as u32,
            ((right - left) as u32).max(1),
            ((bottom - top) as u32).max(1),
        )
        .to_image();
        let bezel = actor.tablet.map_or(0.0, |tablet| tablet.bezel_px.round());
        let view = actor.tablet.map_or(view.clone(), |tablet| mounted(&view, tablet));
        let size = |v: u32| ((v as f32 * scale).round() as u32).max(1);
        let (width, height) = (size(view.width()), size(view.height()));
        let view = imageops::resize(&view, width, height, FilterType::Triangle);
        let corner = |p: &[f32; 2]| {
            let [x, y] = p;
            Point::new((x - left.floor() + bezel) * scale, (y - top.floor() + bezel) * scale)
        };
        let curve = if actor.tablet.is_some() {
            // To the edges of the bezel, but for what the softening needs.
            let (right, bottom) = (width as f32 - EDGE, height as f32 - EDGE);
            [(EDGE, EDGE), (right, EDGE), (right, bottom), (EDGE, bottom)]
                .map(|(x, y)| Point::new(x, y))
                .to_vec()
        } else {
            smooth(&actor.outline.iter().map(corner).collect::<Vec<_>>())
        };
        let mask = soften(&coverage(&curve, width as usize, height as usize), width);
        let samples = view.pixels().zip(mask).map(|(pixel, alpha)| {
            let [r, g, b] = pixel.0.map(|v| f32::from(v) / 255.0 * alpha);
            [r, g, b, alpha]
        });
        let mut levels = vec![Level { width: width as usize, samples: samples.collect() }];
        while let Some(smaller) = levels.last().and_then(Level::halved) {
            levels.push(smaller);
        }
        let [face_x, face_y, _] = actor.face;
        Ok(Self {
            levels,
            face: corner(&[face_x, face_y]),
            face_width_px: actor.face_width_px() * scale,
            width: width as f32,
            height: height as f32,
            held: actor.tablet.is_some(),
        })
    }

    /// Whether it is a thing that somebody holds, not somebody on two feet.
    pub(super) const fn held(&self) -> bool {
        self.held
    }

    /// Centre of the face, in pixels of the largest level.
    pub(super) const fn face(&self) -> Point {
        self.face
    }

    /// Width of the face, in pixels of the largest level.
    pub(super) const fn face_width_px(&self) -> f32 {
        self.face_width_px
    }

    /// The corners of the picture, in pixels of the largest level.
    pub(super) const fn corners(&self) -> [Point; 4] {
        [
            Point::new(0.0, 0.0),
            Point::new(self.width, 0.0),
            Point::new(0.0, self.height),
            Point::new(self.width, self.height),
        ]
    }

    /// The colour at `at` (pixels of the largest level) where one pixel of the recording covers
    /// `footprint` of them; transparent outside.
    pub(super) fn sample(&self, at: Point, footprint: f32) -> Sample {
        let deepest = (self.levels.len() - 1) as f32;
        let depth = footprint.max(1.0).log2().min(deepest);
        let near = self.level_sample(depth.floor(), at);
        let share = depth.fract();
        if share < 0.02 {
            return near;
        }
        mix(near, self.level_sample(depth.ceil(), at), share)
    }

    fn level_sample(&self, depth: f32, at: Point) -> Sample {
        let shrink = (-depth).exp2();
        self.levels
            .get(depth as usize)
            .map_or([0.0; 4], |level| level.bilinear(at.x * shrink - 0.5, at.y * shrink - 0.5))
    }
}

impl Level {
    fn at(&self, x: usize, y: usize) -> Sample {
        if x >= self.width {
            return [0.0; 4];
        }
        self.samples.get(y * self.width + x).copied().unwrap_or_default()
    }

    fn at_or_outside(&self, x: i32, y: i32) -> Sample {
        match (usize::try_from(x), usize::try_from(y)) {
            (Ok(x), Ok(y)) => self.at(x, y),
            _ => [0.0; 4],
        }
    }

    fn bilinear(&self, x: f32, y: f32) -> Sample {
        let (x0, y0) = (x.floor(), y.floor());
        let (column, row) = (x0 as i32, y0 as i32);
        let upper =
            mix(self.at_or_outside(column, row), self.at_or_outside(column + 1, row), x - x0);
        let lower = mix(
            self.at_or_outside(column, row + 1),
            self.at_or_outside(column + 1, row + 1),
            x - x0,
        );
        mix(upper, lower, y - y0)
    }

    fn halved(&self) -> Option<Self> {
        let (width, height) = (self.width / 2, self.samples.len() / self.width / 2);
        if width < LEVEL_WIDTH_MIN || height == 0 {
            return None;
        }
        let mut samples = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (left, top) = (2 * x, 2 * y);
                let upper = mix(self.at(left, top), self.at(left + 1, top), 0.5);
                let lower = mix(self.at(left, top + 1), self.at(left + 1, top + 1), 0.5);
                samples.push(mix(upper, lower, 0.5));
            }
        }
        Some(Self { width, samples })
    }
}

/// `view` on the screen of a tablet, with its bezel around.
fn mounted(view: &RgbImage, Tablet { bezel_px, colour, glow }: Tablet) -> RgbImage {
    let bezel = bezel_px.round() as u32;
    let (width, height) = (view.width() + 2 * bezel, view.height() + 2 * bezel);
    let mut tablet = RgbImage::from_pixel(width, height, image::Rgb(colour));
    for (x, y, pixel) in view.enumerate_pixels() {
        let lit = pixel.0.map(|v| (f32::from(v) * glow).round().min(255.0) as u8);
        tablet.put_pixel(x + bezel, y + bezel, image::Rgb(lit));
    }
    tablet
}

fn mix(from: Sample, to: Sample, share: f32) -> Sample {
    let ([r0, g0, b0, a0], [r1, g1, b1, a1]) = (from, to);
    let between = |v0: f32, v1: f32| v0 + (v1 - v0) * share;
    [between(r0, r1), between(g0, g1), between(b0, b1), between(a0, a1)]
}

fn bounds(outline: &[[f32; 2]]) -> (f32, f32, f32, f32) {
    let start = (f32::MAX, f32::MAX, 0.0, 0.0);
    outline.iter().fold(start, |(left, top, right, bottom): (f32, f32, f32, f32), &[x, y]| {
        (left.min(x), top.min(y), right.max(x), bottom.max(y))
    })
}

/// A closed curve through `corners`, as many short straight pieces.
fn smooth(corners: &[Point]) -> Vec<Point> {
    /// Pieces between two corners.
    const PIECES: u8 = 6;
    let around = |offset: usize| corners.iter().cycle().skip(offset).take(corners.len());
    let neighbours = around(0).zip(around(1)).zip(around(2).zip(around(3)));
    let mut curve = Vec::with_capacity(corners.len() * usize::from(PIECES));
    for ((before, from), (to, after)) in neighbours {
        for piece in 0..PIECES {
            let u = f32::from(piece) / f32::from(PIECES);
            let (u2, u3) = (u * u, u * u * u);
            // Slopes at a third of the neighbours' distance keep tight corners from overshooting.
            let along = |p0: f32, p1: f32, pb: f32, pa: f32| {
                (2.0 * u3 - 3.0 * u2 + 1.0) * p0
                    + (u3 - 2.0 * u2 + u) * (p1 - pb) / 3.0
                    + (3.0 * u2 - 2.0 * u3) * p1
                    + (u3 - u2) * (pa - p0) / 3.0
            };
            curve.push(Point::new(
                along(from.x, to.x, before.x, after.x),
                along(from.y, to.y, before.y, after.y),
            ));
        }
    }
    curve
}

/// How much of each pixel lies inside the closed `curve` (even-odd), 0 to 1.
fn coverage(curve: &[Point], width: usize, height: usize) -> Vec<f32> {
    /// Lines sampled in each row of pixels.
    const LINES: u16 = 4;
    let mut mask = vec![0.0_f32; width * height];
    let mut crossings: Vec<f32> = Vec::new();
    for (row, cells) in mask.chunks_exact_mut(width).enumerate() {
        for line in 0..LINES {
            let y = row as f32 + (f32::from(line) + 0.5) / f32::from(LINES);
            crossings.clear();
            for (from, to) in curve.iter().zip(curve.iter().cycle().skip(1)) {
                if (from.y <= y) != (to.y <= y) {
                    crossings.push(from.x + (to.x - from.x) * (y - from.y) / (to.y - from.y));
                }
            }
            crossings.sort_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let &[enter, leave] = pair else { continue };
                for (x, cell) in cells.iter_mut().enumerate() {
                    let inside = leave.min(x as f32 + 1.0) - enter.max(x as f32);
                    *cell += inside.max(0.0) / f32::from(LINES);
                }
            }
        }
    }
    mask
}

/// A box blur of 5×5, which hides the difference between the outline and the person.
fn soften(mask: &[f32], width: u32) -> Vec<f32> {
    let width = width as usize;
    let mean = |row: &[f32]| -> Vec<f32> {
        (0..row.len())
            .map(|x| {
                let window = row.iter().skip(x.saturating_sub(2)).take(5.min(x + 3));
                window.sum::<f32>() / 5.0
            })
            .collect()
    };
    let across: Vec<f32> = mask.chunks_exact(width).flat_map(mean).collect();
    let height = mask.len() / width;
    let columns: Vec<Vec<f32>> = (0..width)
        .map(|x| mean(&across.iter().skip(x).step_by(width).copied().collect::<Vec<_>>()))
        .collect();
    (0..height)
        .flat_map(|y| columns.iter().map(move |column| column.get(y).copied().unwrap_or(0.0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> (Actor, RgbImage) {
        let actor = Actor {
            name: "square".to_owned(),
            photograph: "square.png".to_owned(),
            face: [100.0, 100.0, 160.0],
            outline: vec![[20.0, 20.0], [180.0, 20.0], [180.0, 180.0], [20.0, 180.0]],
            tablet: None,
        };
        (actor, RgbImage::from_pixel(200, 200, image::Rgb([255, 128, 0])))
    }

    #[test]
    fn the_inside_is_opaque_and_the_outside_is_not_there() {
        let (actor, photograph) = square();
        let cut = CutOut::new(&actor, &photograph).expect("the outline fits");
        for footprint in [1.0, 1.5, 2.0, 3.7] {
            let [r, g, b, a] = cut.sample(cut.face(), footprint);
            assert!((r - 1.0).abs() < 1e-3 && (a - 1.0).abs() < 1e-3, "{footprint}: {r} {a}");
            assert!((g - 128.0 / 255.0).abs() < 1e-3 && b < 1e-6);
            let outside = cut.sample(Point::new(-40.0, 50.0), footprint);
            assert!(outside.iter().all(|v| v.abs() < 1e-9), "{outside:?}");
        }
    }

    #[test]
    fn colour_never_exceeds_alpha() {
        let (actor, photograph) = square();
        let cut = CutOut::new(&actor, &photograph).expect("the outline fits");
        for i in 0_u16..400 {
            let at = Point::new(f32::from(i % 20) * 9.0 - 5.0, f32::from(i / 20) * 9.0 - 5.0);
            let [r, g, b, a] = cut.sample(at, 1.0 + f32::from(i) / 100.0);
            assert!((0.0..=1.0 + 1e-5).contains(&a) && r.max(g).max(b) <= a + 1e-5);
        }
    }

    #[test]
    fn a_tablet_shows_the_photograph_within_its_bezel() {
        let (mut actor, photograph) = square();
        actor.tablet = Some(Tablet { bezel_px: 16.0, colour: [0, 0, 255], glow: 1.5 });
        let cut = CutOut::new(&actor, &photograph).expect("the outline fits");
        assert!(cut.held());
        // The face's middle lies where it did on the photograph, the bezel further in.
        let face = cut.face();
        assert!((face.x - 96.0).abs() < 1e-3 && (face.y - 96.0).abs() < 1e-3, "{face:?}");
        let at = |x: f32, y: f32| cut.sample(Point::new(x, y), 1.0);
        let [red, green, blue, alpha] = at(face.x, face.y);
        assert!(red > 0.99 && (green - 0.753).abs() < 0.01 && blue < 0.01 && alpha > 0.99);
        for (x, y) in [(8.0, 96.0), (184.0, 96.0), (96.0, 8.0), (96.0, 184.0)] {
            let [red, _, blue, alpha] = at(x, y);
            assert!(blue > 0.99 && red < 0.01 && alpha > 0.99, "the bezel at {x}, {y}");
        }
    }

    #[test]
    fn an_outline_outside_the_photograph_is_refused() {
        let (actor, _) = square();
        let error = CutOut::new(&actor, &RgbImage::new(100, 300)).expect_err("too narrow");
        assert!(error.to_string().contains("100×300"), "{error}");
    }
}
