//! A visit to a door, rendered from photographs by a script, as a camera would have seen it.
//!
//! In: a [`Script`] and the photographs that it names. Out: RGB frames of a plain wall before
//! which people cut out of the photographs walk, lean, come nearer and cast shadows, under
//! changing light, with the noise of a small sensor. [`Scene::render`] is a function of the
//! frame's number alone: the same script and photographs give the same bytes, in any order.
//!
//! Deliberately absent: faces that were never photographed. The identity, the pose and the
//! expression of a face are the photograph's own; only its place, size, lean and light change. A
//! figure measured on such a scene says how the path works, not how well it recognises people.

mod cutout;
mod record;
mod script;

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};

use image::RgbImage;

pub use cutout::OutlineError;
pub use script::{
    Actor, Enrolment, Expectation, Fixture, Part, Picture, Pose, Script, ScriptError, Tablet, Walk,
    Wall,
};

use crate::geometry::{Point, Similarity};
use crate::remedy::Remedied;
use cutout::CutOut;

/// Why a scene cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// A photograph is absent or no picture.
    #[error(
        "photograph {path}: {source}; 'make' fetches the demo's photographs, or name their folder"
    )]
    Photograph {
        /// The file.
        path: PathBuf,
        /// What the file system or the decoder said.
        source: image::ImageError,
    },
    /// The script does not fit a photograph.
    #[error(transparent)]
    Outline(#[from] OutlineError),
}

impl Remedied for SceneError {}

/// A script with everything that it needs to be rendered.
#[derive(Debug, Clone)]
pub struct Scene {
    script: Script,
    actors: Vec<(String, CutOut)>,
    /// The empty wall, red, green and blue in 0 to 1.
    wall: Vec<f32>,
    /// Normally distributed numbers of variance 1.
    grain: Vec<f32>,
}

/// Numbers in the grain; a power of two above the longest row, so that rows start anywhere in it.
const GRAIN_LEN: usize = 1 << 16;

impl Scene {
    /// Loads the photographs of `script` from `folder` and cuts the actors out.
    ///
    /// # Errors
    /// [`SceneError`] when a photograph is absent, is no picture, or is smaller than its outline.
    pub fn load(script: Script, folder: &Path) -> Result<Self, SceneError> {
        let actors = script.actors.iter().map(|actor| {
            let photograph = photograph(&folder.join(&actor.photograph))?;
            Ok((actor.name.clone(), CutOut::new(actor, &photograph)?))
        });
        let actors = actors.collect::<Result<_, SceneError>>()?;
        let mut rng = fastrand::Rng::with_seed(script.picture.seed);
        let wall = paint(&script, &mut rng);
        let grain = (0..GRAIN_LEN).map(|_| normal(&mut rng)).collect();
        Ok(Self { script, actors, wall, grain })
    }

    /// The script.
    #[must_use]
    pub const fn script(&self) -> &Script {
        &self.script
    }

    /// Renders frame `index` (0 to [`Script::frames`]); an index beyond shows the empty wall.
    #[must_use]
    pub fn render(&self, index: u32) -> RgbImage {
        let Picture { width, height, rate, seed } = self.script.picture;
        let mut light = self.wall.clone();
        let mut brightness = 1.0;
        let mut noise = 1.0;
        if let Some((_, part, seconds)) = self.script.part_at(index) {
            brightness = part.light_at(seconds);
            noise = part.noise;
            for (number, (name, cut)) in self.actors.iter().enumerate() {
                let walks = part.walks.iter().filter(|walk| walk.actor == *name);
                for pose in walks.filter_map(|walk| walk.pose_at(seconds)) {
                    let time = index as f32 / rate as f32;
                    let moved = if cut.held() { hand } else { gait };
                    self.place(cut, moved(pose, time, number as f32), &mut light);
                }
            }
        }
        let mut rng = fastrand::Rng::with_seed(seed ^ (u64::from(index) << 32));
        let bytes = self.expose(&light, brightness, noise, &mut rng);
        RgbImage::from_raw(width, height, bytes).unwrap_or_default()
    }

    /// Draws `cut` and its shadow in `pose` over `light`.
    fn place(&self, cut: &CutOut, pose: Pose, light: &mut [f32]) {
        let scale = pose.face_width_px / cut.face_width_px();
        let (a, b) = (scale * pose.lean.cos(), scale * pose.lean.sin());
        let turned = Similarity { a, b, tx: 0.0, ty: 0.0 }.apply(cut.face());
        let onto = Similarity { a, b, tx: pose.face.x - turned.x, ty: pose.face.y - turned.y };
        let Some(back) = onto.inverse() else { return };
        let [lamp_x, _] = self.script.wall.lamp;
        let away = (pose.face.x - lamp_x).clamp(-200.0, 200.0) / 200.0;
        let shadow = Point::new(away * pose.face_width_px * 0.5, pose.face_width_px * 0.2);

        let (width, height) = (self.script.picture.width, self.script.picture.height);
        let corners = cut.corners().map(|corner| onto.apply(corner));
        let reach = shadow.x.abs() + shadow.y + 2.0;
        let range = |values: [f32; 4], most: u32| {
            let least = values.into_iter().fold(f32::MAX, f32::min) - reach;
            let highest = values.into_iter().fold(f32::MIN, f32::max) + reach;
            let clip = |v: f32| v.clamp(0.0, most as f32) as usize;
            clip(least.floor())..clip(highest.ceil())
        };
        let columns = range(corners.map(|corner| corner.x), width);
        let rows = range(corners.map(|corner| corner.y), height);

        let footprint = 1.0 / scale;
        let stride = width as usize * 3;
        for (y, row) in light.chunks_exact_mut(stride).enumerate().take(rows.end).skip(rows.start) {
            let pixels = row.chunks_exact_mut(3).enumerate();
            for (x, pixel) in pixels.take(columns.end).skip(columns.start) {
                let at = Point::new(x as f32 + 0.5, y as f32 + 0.5);
                let behind = back.apply(Point::new(at.x - shadow.x, at.y - shadow.y));
                let [_, _, _, shade] = cut.sample(behind, SHADOW_BLUR);
                let colour = cut.sample(back.apply(at), footprint);
                let dimmed = 1.0 - SHADOW_DEPTH * shade;
                let [red, green, blue, alpha] = colour;
                for (channel, own) in pixel.iter_mut().zip([red, green, blue]) {
                    *channel = *channel * dimmed * (1.0 - alpha) + own;
                }
            }
        }
    }

    /// What the sensor makes of `light` at `brightness`, with `noise` times its usual noise.
    fn expose(
        &self,
        light: &[f32],
        brightness: f32,
        noise: f32,
        rng: &mut fastrand::Rng,
    ) -> Vec<u8> {
        // A camera stores about the 1/2.2th power of the light, so a factor on the light is its
        // 1/2.2th power on what is stored.
        let gain = brightness.powf(1.0 / 2.2) * 255.0;
        // Read noise does not depend on the light, shot noise grows with its square root.
        let deviation: Vec<f32> =
            (0_u8..=255).map(|v| noise * (1.4 + f32::from(v) * 0.025).sqrt()).collect();
        let stride = self.script.picture.width as usize * 3;
        let mut bytes = Vec::with_capacity(light.len());
        for row in light.chunks_exact(stride) {
            let start = rng.usize(..GRAIN_LEN);
            let grain = self.grain.iter().cycle().skip(start);
            for (channel, grain) in row.iter().zip(grain) {
                let value = channel * gain;
                let spread = deviation.get(value.clamp(0.0, 255.0) as usize).unwrap_or(&0.0);
                bytes.push((value + grain * spread).round().clamp(0.0, 255.0) as u8);
            }
        }
        bytes
    }
}

/// Footprint in pixels of the cut-out at which its shadow is sampled: soft, and cheap.
const SHADOW_BLUR: f32 = 8.0;

/// How much of the light a shadow takes.
const SHADOW_DEPTH: f32 = 0.28;

/// Reads a photograph as RGB.
///
/// # Errors
/// [`SceneError::Photograph`] when it is absent or no picture.
pub fn photograph(path: &Path) -> Result<RgbImage, SceneError> {
    let failed = |source| SceneError::Photograph { path: path.to_owned(), source };
    let reader = image::ImageReader::open(path).map_err(|error| failed(error.into()))?;
    let reader = reader.with_guessed_format().map_err(|error| failed(error.into()))?;
    Ok(reader.decode().map_err(failed)?.into_rgb8())
}

/// The small ups, downs and leans of somebody on two feet, a little different for each actor.
fn gait(pose: Pose, time: f32, number: f32) -> Pose {
    let step = (TAU * 1.7 * time + number).sin();
    let sway = (TAU * 0.85 * time + 2.0 * number).sin();
    Pose {
        face: Point::new(
            pose.face.x + sway * pose.face_width_px * 0.012,
            pose.face.y + step * pose.face_width_px * 0.015,
        ),
        face_width_px: pose.face_width_px,
        lean: pose.lean + sway * 0.012,
    }
}

/// The sway of an arm that holds something up, and the small tremor of its hand (8 to 12 a second).
fn hand(pose: Pose, time: f32, number: f32) -> Pose {
    let wave = |per_second: f32, phase: f32| (TAU * per_second * time + phase + number).sin();
    let width = pose.face_width_px;
    Pose {
        face: Point::new(
            pose.face.x + width * (0.05 * wave(0.43, 0.0) + 0.006 * wave(9.1, 1.0)),
            pose.face.y + width * (0.04 * wave(0.61, 2.0) + 0.006 * wave(8.3, 0.5)),
        ),
        face_width_px: width * (1.0 + 0.03 * wave(0.29, 1.3)),
        lean: pose.lean + 0.05 * wave(0.37, 0.7) + 0.003 * wave(9.7, 0.2),
    }
}

/// The empty wall: paint under a lamp, uneven plaster, fixtures with soft edges.
fn paint(script: &Script, rng: &mut fastrand::Rng) -> Vec<f32> {
    let (width, height) = (script.picture.width, script.picture.height);
    let wall = &script.wall;
    let [lamp_x, lamp_y] = wall.lamp;
    let far = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
        .map(|(x, y)| (x * width as f32 - lamp_x).hypot(y * height as f32 - lamp_y))
        .into_iter()
        .fold(1.0, f32::max);
    let plaster = [(48, 0.6), (17, 0.3), (5, 0.25)]
        .map(|(cell, share)| (Lattice::new(width, height, cell, rng), share));
    let mut light = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let (fx, fy) = (x as f32 + 0.5, y as f32 + 0.5);
            let near = 1.0 - wall.falloff * ((fx - lamp_x).hypot(fy - lamp_y) / far).powi(2);
            let bumps: f32 =
                plaster.iter().map(|(lattice, share)| lattice.at(fx, fy) * share).sum();
            let mut colour = wall.colour.map(f32::from);
            let mut relief = wall.plaster * bumps;
            for fixture in &wall.fixtures {
                let share = inside(fixture.place, fx, fy);
                for (channel, own) in colour.iter_mut().zip(fixture.colour) {
                    *channel += (f32::from(own) - *channel) * share;
                }
                relief *= 1.0 - share;
            }
            light.extend(colour.map(|channel| ((channel + relief) / 255.0 * near).max(0.0)));
        }
    }
    light
}

/// How much of the pixel at `(x, y)` lies in a rectangle whose edge is three pixels soft.
fn inside([left, top, width, height]: [f32; 4], x: f32, y: f32) -> f32 {
    let depth = (x - left).min(left + width - x).min(y - top).min(top + height - y);
    (depth / 3.0 + 0.5).clamp(0.0, 1.0)
}

/// Random numbers on a grid, blended smoothly between (value noise), −1 to 1.
struct Lattice {
    cell: f32,
    columns: usize,
    values: Vec<f32>,
}

impl Lattice {
    fn new(width: u32, height: u32, cell: u32, rng: &mut fastrand::Rng) -> Self {
        let (columns, rows) = ((width / cell + 2) as usize, (height / cell + 2) as usize);
        let values = (0..columns * rows).map(|_| rng.f32() * 2.0 - 1.0).collect();
        Self { cell: cell as f32, columns, values }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (u, v) = (x / self.cell, y / self.cell);
        let corner = v as usize * self.columns + u as usize;
        let value = |offset: usize| self.values.get(corner + offset).copied().unwrap_or(0.0);
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (u, v) = (ease(u.fract()), ease(v.fract()));
        let upper = value(0) + (value(1) - value(0)) * u;
        let (left, right) = (value(self.columns), value(self.columns + 1));
        upper + (left + (right - left) * u - upper) * v
    }
}

/// One number of the standard normal distribution (Box and Muller, 1958).
fn normal(rng: &mut fastrand::Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.f32()).max(f32::MIN_POSITIVE).ln()).sqrt();
    radius * (TAU * rng.f32()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene whose one actor is a red square, so that no photograph is needed.
    fn scene() -> (Scene, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let red = RgbImage::from_pixel(200, 200, image::Rgb([220, 20, 20]));
        red.save(folder.path().join("red.png")).expect("a picture is written");
        let text = r#"
            picture = { width = 160, height = 120, rate = 10, seed = 5 }
            wall = { colour = [180, 180, 180], plaster = 4.0, lamp = [40.0, -40.0], falloff = 0.3 }
            [[actor]]
            name = "red"
            photograph = "red.png"
            face = [100.0, 100.0, 100.0]
            outline = [[10.0, 10.0], [190.0, 10.0], [190.0, 190.0], [10.0, 190.0]]
            [[part]]
            name = "nobody"
            seconds = 0.5
            [[part]]
            name = "red walks by"
            seconds = 2.0
            light = [[0.0, 1.0], [1.0, 1.0], [1.1, 0.3]]
            [[part.walk]]
            actor = "red"
            path = [[0.0, 20.0, 60.0, 20.0, 0.0], [2.0, 140.0, 60.0, 30.0, 10.0]]
        "#;
        let script = Script::parse(text).expect("a right script");
        (Scene::load(script, folder.path()).expect("its photograph exists"), folder)
    }

    /// Where the red lies: number of pixels, and their mean place.
    fn red(picture: &RgbImage) -> (f32, Point) {
        let mut sum = (0.0, Point::default());
        for (x, y, pixel) in picture.enumerate_pixels() {
            let [r, g, _] = pixel.0.map(f32::from);
            if r > 2.0 * g + 20.0 {
                sum.0 += 1.0;
                sum.1 = Point::new(sum.1.x + x as f32, sum.1.y + y as f32);
            }
        }
        (sum.0, Point::new(sum.1.x / sum.0, sum.1.y / sum.0))
    }

    fn brightness(picture: &RgbImage) -> f64 {
        let sum: u64 = picture.as_raw().iter().map(|v| u64::from(*v)).sum();
        sum as f64 / picture.as_raw().len() as f64
    }

    #[test]
    fn a_frame_depends_on_its_number_alone() {
        let (scene, folder) = scene();
        let again = Scene::load(scene.script().clone(), folder.path()).expect("as before");
        for index in [17, 3, 8] {
            assert_eq!(scene.render(index), again.render(index));
        }
        assert_ne!(scene.render(0), scene.render(1), "noise is different in every frame");
    }

    #[test]
    fn the_actor_moves_smoothly_along_the_path_and_grows() {
        let (scene, _folder) = scene();
        assert!(red(&scene.render(2)).0 < 1.0, "nobody in the first part");
        let seen: Vec<(f32, Point)> = (5..25).map(|index| red(&scene.render(index))).collect();
        for pair in seen.windows(2) {
            let step = pair[1].1.x - pair[0].1.x;
            assert!((2.0..10.0).contains(&step), "steps of about 6 pixels, not {step}");
        }
        let (first, last) = (seen[0].0, seen[19].0);
        assert!(last > 1.6 * first, "from 20 to 30 pixels of face: {first} to {last} pixels");
    }

    #[test]
    fn a_tablet_with_a_photograph_is_drawn_in_its_bezel_and_swayed_by_a_hand() {
        let (walker, folder) = scene();
        let mut script = walker.script().clone();
        script.actors[0].tablet = Some(Tablet { bezel_px: 30.0, colour: [10, 10, 12], glow: 1.1 });
        script.parts[1].light.clear();
        // Held where it is: whatever moves is the hand.
        script.parts[1].walks[0].path =
            vec![[0.0, 80.0, 60.0, 30.0, 0.0], [2.0, 80.0, 60.0, 30.0, 0.0]];
        let tablet = Scene::load(script, folder.path()).expect("its photograph exists");
        let picture = tablet.render(10);
        let (area, middle) = red(&picture);
        assert!(area > 30.0 * 30.0, "the photograph's whole rectangle: {area}");
        let dark = |x: f32| picture.get_pixel(x as u32, middle.y as u32).0.iter().all(|v| *v < 60);
        let half = area.sqrt() / 2.0;
        for side in [middle.x - half - 4.0, middle.x + half + 4.0] {
            assert!(dark(side), "a bezel at {side} of {middle:?}");
        }
        let seen: Vec<Point> = (5..25).map(|index| red(&tablet.render(index)).1).collect();
        let spread =
            seen.iter().map(|at| at.x).fold(0.0_f32, |most, x| most.max((x - seen[0].x).abs()));
        assert!((0.5..6.0).contains(&spread), "a hand sways a little: {spread}");
    }

    #[test]
    fn the_act_with_the_tablet_goes_on_where_the_visit_ends() {
        let visit = include_str!("../../../tests/data/visit.toml");
        let story = Script::parse(visit).expect("a right script");
        let act = include_str!("../../../tests/data/tablet.toml");
        let longer = Script::parse(&format!("{visit}\n{act}")).expect("a right script");
        assert_eq!(longer.parts.len(), story.parts.len() + 2);
        let attack = &longer.parts[story.parts.len()];
        let expected = attack.expect.as_ref().and_then(|expected| expected.reason.as_deref());
        assert_eq!(expected, Some("not_live"));
        let shown = longer.actors.iter().find(|actor| actor.tablet.is_some()).expect("a tablet");
        let known = story.enrolments.iter().flat_map(|person| &person.photographs);
        assert!(known.into_iter().any(|photograph| *photograph == shown.photograph));
    }

    #[test]
    fn less_light_is_a_darker_picture() {
        let (scene, _folder) = scene();
        let (before, after) = (brightness(&scene.render(14)), brightness(&scene.render(17)));
        let expected = 0.3_f64.powf(1.0 / 2.2);
        assert!((after / before - expected).abs() < 0.05, "{before} to {after}");
    }

    #[test]
    fn a_recording_holds_every_frame_in_its_order() {
        use crate::capture::replay::mjpeg::MjpegReader;
        let (scene, _folder) = scene();
        let mut told = Vec::new();
        let bytes = scene.record(Vec::new(), &mut |done| told.push(done)).expect("memory");
        assert_eq!(told.last(), Some(&scene.script().frames()));
        let (mut reader, mut picture) = (MjpegReader::new(bytes.as_slice()), Vec::new());
        for index in 0..scene.script().frames() {
            assert!(reader.next_picture(&mut picture).expect("whole pictures"));
            let shown = image::load_from_memory(&picture).expect("a JPEG").into_rgb8();
            let apart = brightness(&shown) - brightness(&scene.render(index));
            assert!(apart.abs() < 1.0, "frame {index} is another one: {apart}");
        }
        assert!(!reader.next_picture(&mut picture).expect("the end"));
    }

    #[test]
    fn a_missing_photograph_is_named() {
        let (scene, _folder) = scene();
        let empty = tempfile::tempdir().expect("a temporary folder");
        let error = Scene::load(scene.script().clone(), empty.path()).expect_err("no photograph");
        assert!(error.to_string().contains("red.png"), "{error}");
    }
}
