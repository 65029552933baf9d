//! The script of a scene: who walks where and when, under which light, and what must be decided.
//!
//! In: TOML text. Out: a [`Script`] whose numbers are finite and in range, whose actors exist and
//! whose paths go forward in time; nothing after parsing can fail on them.
//!
//! Deliberately absent: pictures. A script names photographs; [`super::Scene`] loads them.

use std::collections::HashSet;

use serde::Deserialize;

use crate::decide::Outcome;
use crate::geometry::Point;
use crate::remedy::Remedied;

/// What makes a text not a script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Not TOML, or not with these keys.
    #[error("scene script: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value that cannot be played.
    #[error("scene script: {place}: {found}; it must be {right}")]
    Value {
        /// Which table and key.
        place: String,
        /// What stands there.
        found: String,
        /// What would be right.
        right: &'static str,
    },
}

impl Remedied for ScriptError {}

/// A whole scene.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Size, rate and seed of the recording.
    pub picture: Picture,
    /// What stands behind everybody.
    pub wall: Wall,
    /// Who is enrolled before the scene begins, and from which photographs.
    #[serde(default, rename = "enroll")]
    pub enrolments: Vec<Enrolment>,
    /// The people who may walk on, back to front.
    #[serde(rename = "actor")]
    pub actors: Vec<Actor>,
    /// What happens, one part after the other.
    #[serde(rename = "part")]
    pub parts: Vec<Part>,
}

/// The recording.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Pixels across, even, 64 to 1920.
    pub width: u32,
    /// Pixels down, even, 64 to 1080.
    pub height: u32,
    /// Frames a second, 1 to 60.
    pub rate: u32,
    /// Seed of everything that looks random.
    pub seed: u64,
}

/// A painted wall.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wall {
    /// Its paint, R G B.
    pub colour: [u8; 3],
    /// How uneven the plaster is: grey levels, 0 to 32.
    pub plaster: f32,
    /// Where the lamp hangs, in pixels; it may hang outside the picture.
    pub lamp: [f32; 2],
    /// How much darker the farthest corner is than the spot under the lamp, 0 to 1.
    pub falloff: f32,
    /// What is mounted on it: door frames, switches.
    #[serde(default, rename = "fixture")]
    pub fixtures: Vec<Fixture>,
}

/// A flat thing on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Left, top, width, height in pixels.
    pub place: [f32; 4],
    /// Its paint, R G B.
    pub colour: [u8; 3],
}

/// A person to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Under which name.
    pub name: String,
    /// From which photographs.
    pub photographs: Vec<String>,
    /// Into which group of the door's rules.
    #[serde(default)]
    pub group: Option<String>,
}

/// A person cut out of a photograph.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// How walks name this actor.
    pub name: String,
    /// The file.
    pub photograph: String,
    /// Centre of the face and its width, in pixels of the photograph.
    pub face: [f32; 3],
    /// The silhouette: corners of a closed smooth curve, in pixels of the photograph.
    pub outline: Vec<[f32; 2]>,
    /// The photograph is shown on a tablet, and that is held before the camera: nobody is there. The
    /// picture on it is the rectangle around the outline.
    #[serde(default)]
    pub tablet: Option<Tablet>,
}

/// A tablet that shows a photograph.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tablet {
    /// Width of its bezel in pixels of the photograph, 1 to 1024.
    pub bezel_px: f32,
    /// The bezel, R G B.
    pub colour: [u8; 3],
    /// How bright its screen is against the photograph, 0.2 to 3: it lights itself.
    pub glow: f32,
}

impl Actor {
    /// The middle of the face, in pixels of the photograph.
    #[must_use]
    pub const fn face_centre(&self) -> Point {
        let [x, y, _] = self.face;
        Point::new(x, y)
    }

    /// The width of the face, in pixels of the photograph.
    #[must_use]
    pub const fn face_width_px(&self) -> f32 {
        let [_, _, width] = self.face;
        width
    }
}

/// A stretch of the scene that is judged as one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What a person calls it.
    pub name: String,
    /// How long it lasts.
    pub seconds: f32,
    /// The decision that must come of it; none when nothing may be decided.
    pub expect: Option<Expectation>,
    /// Light over time: pairs of seconds and brightness, 1 is full; empty is full light.
    #[serde(default)]
    pub light: Vec<[f32; 2]>,
    /// Sensor noise, as a multiple of a small camera's in a lit room, 0 to 8.
    #[serde(default = "one")]
    pub noise: f32,
    /// Who walks.
    #[serde(default, rename = "walk")]
    pub walks: Vec<Walk>,
}

/// A decision that must come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Its outcome.
    pub outcome: Outcome,
    /// Its reason, as on the wire; any when absent.
    pub reason: Option<String>,
}

/// One actor's way through a part.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    /// Who.
    pub actor: String,
    /// Seconds, x and y of the face's centre, width of the face (all in pixels of the recording),
    /// and the lean in degrees, clockwise. Before the first and after the last the actor is away.
    pub path: Vec<[f32; 5]>,
}

/// Where an actor stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Centre of the face in pixels of the recording.
    pub face: Point,
    /// Width of the face in pixels of the recording.
    pub face_width_px: f32,
    /// Lean in radians, clockwise.
    pub lean: f32,
}

const fn one() -> f32 {
    1.0
}

impl Script {
    /// Reads and checks a script.
    ///
    /// # Errors
    /// [`ScriptError`] naming the place, what was found and what would be right.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script: Self = toml::from_str(text)?;
        script.check()?;
        Ok(script)
    }

    /// Frames of the whole scene.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.parts.iter().map(|part| part.frames(self.picture.rate)).sum()
    }

    /// The part that shows at frame `index`, its number, and the seconds since it began.
    #[must_use]
    pub fn part_at(&self, index: u32) -> Option<(usize, &Part, f32)> {
        let mut first = 0;
        for (number, part) in self.parts.iter().enumerate() {
            let frames = part.frames(self.picture.rate);
            if index < first + frames {
                return Some((number, part, (index - first) as f32 / self.picture.rate as f32));
            }
            first += frames;
        }
        None
    }

    fn check(&self) -> Result<(), ScriptError> {
        let picture = &self.picture;
        let even = |v: u32| v.is_multiple_of(2);
        let (width, height) = (picture.width, picture.height);
        let fits = even(width) && even(height);
        let fits = fits && (64..=1920).contains(&width) && (64..=1080).contains(&height);
        demand(fits, "picture.width, picture.height", || format!("{width}×{height}"), SIZE)?;
        demand(
            (1..=60).contains(&picture.rate),
            "picture.rate",
            || picture.rate.to_string(),
            RATE,
        )?;
        within("wall.plaster", self.wall.plaster, 0.0, 32.0, "0 to 32 grey levels")?;
        within("wall.falloff", self.wall.falloff, 0.0, 1.0, "0 to 1")?;
        let fixtures = self.wall.fixtures.iter().flat_map(|fixture| fixture.place);
        for value in self.wall.lamp.into_iter().chain(fixtures) {
            within("wall.lamp, wall.fixture.place", value, -1e4, 1e4, "-10000 to 10000 pixels")?;
        }
        let mut names = HashSet::new();
        for actor in &self.actors {
            let fresh = names.insert(actor.name.as_str());
            demand(
                fresh,
                "actor.name",
                || format!("'{}' twice", actor.name),
                "different for each",
            )?;
            actor.check()?;
        }
        demand(!self.parts.is_empty(), "part", || "none".to_owned(), "at least one")?;
        self.parts.iter().try_for_each(|part| part.check(&names))
    }
}

const SIZE: &str = "even and 64×64 to 1920×1080";
const RATE: &str = "1 to 60 frames a second";

impl Actor {
    fn check(&self) -> Result<(), ScriptError> {
        let place = format!("actor '{}'", self.name);
        let [x, y, width] = self.face;
        within(&place, x, 0.0, 8192.0, "a face within the photograph")?;
        within(&place, y, 0.0, 8192.0, "a face within the photograph")?;
        within(&place, width, 16.0, 4096.0, "a face 16 to 4096 pixels wide")?;
        if let Some(Tablet { bezel_px, glow, .. }) = self.tablet {
            within(&place, bezel_px, 1.0, 1024.0, "a bezel of 1 to 1024 pixels")?;
            within(&place, glow, 0.2, 3.0, "a glow of 0.2 to 3")?;
        }
        let corners = self.outline.len();
        demand((3..=500).contains(&corners), &place, || format!("{corners} corners"), "3 to 500")?;
        self.outline
            .iter()
            .flatten()
            .try_for_each(|v| within(&place, *v, 0.0, 8192.0, "an outline within the photograph"))
    }
}

impl Part {
    /// How many frames the part takes at `rate` frames a second, at least one.
    #[must_use]
    pub fn frames(&self, rate: u32) -> u32 {
        ((self.seconds * rate as f32).round() as u32).max(1)
    }

    /// Brightness `seconds` into the part, 1 is full light; straight lines between the keys.
    #[must_use]
    pub fn light_at(&self, seconds: f32) -> f32 {
        let mut before = None;
        for &[time, light] in &self.light {
            if seconds < time {
                return before.map_or(light, |(earlier, from): (f32, f32)| {
                    from + (light - from) * (seconds - earlier) / (time - earlier)
                });
            }
            before = Some((time, light));
        }
        before.map_or(1.0, |(_, light)| light)
    }

    fn check(&self, actors: &HashSet<&str>) -> Result<(), ScriptError> {
        let place = format!("part '{}'", self.name);
        within(&place, self.seconds, 0.05, 600.0, "0.05 to 600 seconds long")?;
        within(&place, self.noise, 0.0, 8.0, "noise from 0 to 8")?;
        for [time, light] in &self.light {
            within(&place, *time, 0.0, 600.0, "light at 0 to 600 seconds")?;
            within(&place, *light, 0.0, 2.0, "light from 0 (dark) to 2")?;
        }
        forward(&place, self.light.iter().map(|[time, _]| *time))?;
        for walk in &self.walks {
            let place = format!("{place}: walk of '{}'", walk.actor);
            let known = actors.contains(walk.actor.as_str());
            demand(known, &place, || "no such actor".to_owned(), "the name of an [[actor]]")?;
            let keys = walk.path.len();
            demand(keys >= 2, &place, || format!("{keys} places on the path"), "2 or more")?;
            for [time, x, y, width, lean] in &walk.path {
                within(&place, *time, 0.0, 600.0, "at 0 to 600 seconds")?;
                within(&place, *x, -4096.0, 4096.0, "x from -4096 to 4096")?;
                within(&place, *y, -4096.0, 4096.0, "y from -4096 to 4096")?;
                within(&place, *width, 8.0, 1024.0, "a face 8 to 1024 pixels wide")?;
                within(&place, *lean, -90.0, 90.0, "a lean of -90 to 90 degrees")?;
            }
            forward(&place, walk.path.iter().map(|[time, ..]| *time))?;
        }
        Ok(())
    }
}

impl Walk {
    /// Where the actor stands `seconds` into the part; `None` while away.
    ///
    /// A cubic Hermite curve through the path's places with slopes from their neighbours (Catmull
    /// and Rom's choice), so that nobody stops at a place or turns a corner.
    #[must_use]
    pub fn pose_at(&self, seconds: f32) -> Option<Pose> {
        let next = self.path.iter().position(|[time, ..]| seconds < *time)?;
        let this = next.checked_sub(1)?;
        let (from, to) = (self.path.get(this)?, self.path.get(next)?);
        let before = this.checked_sub(1).and_then(|i| self.path.get(i)).unwrap_or(from);
        let after = self.path.get(next + 1).unwrap_or(to);
        let ([t0, p0 @ ..], [t1, p1 @ ..]) = (from, to);
        let ([tb, pb @ ..], [ta, pa @ ..]) = (before, after);
        let span = t1 - t0;
        let u = (seconds - t0) / span;
        let curve = |p0: f32, p1: f32, pb: f32, pa: f32| {
            let (m0, m1) = (span * (p1 - pb) / (t1 - tb), span * (pa - p0) / (ta - t0));
            let (u2, u3) = (u * u, u * u * u);
            (2.0 * u3 - 3.0 * u2 + 1.0) * p0
                + (u3 - 2.0 * u2 + u) * m0
                + (3.0 * u2 - 2.0 * u3) * p1
                + (u3 - u2) * m1
        };
        let ([x0, y0, w0, l0], [x1, y1, w1, l1]) = (p0, p1);
        let ([xb, yb, wb, lb], [xa, ya, wa, la]) = (pb, pa);
        Some(Pose {
            face: Point::new(curve(*x0, *x1, *xb, *xa), curve(*y0, *y1, *yb, *ya)),
            face_width_px: curve(*w0, *w1, *wb, *wa).max(4.0),
            lean: curve(*l0, *l1, *lb, *la).to_radians(),
        })
    }
}

fn demand(
    fits: bool,
    place: &str,
    found: impl FnOnce() -> String,
    right: &'static str,
) -> Result<(), ScriptError> {
    if fits {
        return Ok(());
    }
    Err(ScriptError::Value { place: place.to_owned(), found: found(), right })
}

fn within(
    place: &str,
    value: f32,
    least: f32,
    most: f32,
    right: &'static str,
) -> Result<(), ScriptError> {
    demand((least..=most).contains(&value), place, || value.to_string(), right)
}

fn forward(place: &str, times: impl Iterator<Item = f32> + Clone) -> Result<(), ScriptError> {
    let back = times.clone().zip(times.skip(1)).find(|(earlier, later)| later <= earlier);
    demand(
        back.is_none(),
        place,
        || back.map_or_else(String::new, |(earlier, later)| format!("{later} s after {earlier} s")),
        "in the order of time",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        picture = { width = 64, height = 64, rate = 10, seed = 1 }
        wall = { colour = [9, 9, 9], plaster = 1.0, lamp = [0.0, 0.0], falloff = 0.1 }
        [[actor]]
        name = "a"
        photograph = "a.png"
        face = [50.0, 50.0, 30.0]
        outline = [[0.0, 0.0], [90.0, 0.0], [90.0, 90.0]]
        [[part]]
        name = "nobody"
        seconds = 1.0
        [[part]]
        name = "somebody"
        seconds = 2.0
        expect = { outcome = "unknown", reason = "no_match" }
        light = [[0.0, 1.0], [2.0, 0.5]]
        [[part.walk]]
        actor = "a"
        path = [[0.5, 0.0, 10.0, 40.0, 0.0], [1.0, 20.0, 10.0, 40.0, 0.0], [1.5, 40.0, 10.0, 40.0, 0.0]]
    "#;

    #[test]
    fn parts_follow_each_other_and_light_changes_within_them() {
        let script = Script::parse(SMALL).expect("a right script");
        assert_eq!(script.frames(), 30);
        let (number, part, seconds) = script.part_at(20).expect("frame 20 of 30");
        assert_eq!((number, part.name.as_str()), (1, "somebody"));
        assert!((seconds - 1.0).abs() < 1e-6);
        assert!((part.light_at(1.0) - 0.75).abs() < 1e-6);
        assert!((part.light_at(9.0) - 0.5).abs() < 1e-6);
        assert!(script.part_at(30).is_none());
    }

    #[test]
    fn an_actor_is_away_before_and_after_the_path_and_never_stops_on_it() {
        let script = Script::parse(SMALL).expect("a right script");
        let walk = &script.parts[1].walks[0];
        assert_eq!(walk.pose_at(0.4), None);
        assert_eq!(walk.pose_at(1.5), None);
        let xs: Vec<f32> = (0_u8..10)
            .map(|i| walk.pose_at(0.5 + f32::from(i) * 0.1).expect("on the path").face.x)
            .collect();
        for pair in xs.windows(2) {
            assert!((pair[1] - pair[0] - 4.0).abs() < 1e-3, "even steps along a line: {xs:?}");
        }
    }

    #[test]
    fn wrong_scripts_are_refused_with_the_place() {
        let cases = [
            ("width = 64", "width = 63", "picture.width"),
            ("rate = 10", "rate = 0", "picture.rate"),
            ("falloff = 0.1", "falloff = nan", "wall.falloff"),
            ("seconds = 2.0", "seconds = -2.0", "part 'somebody'"),
            ("actor = \"a\"", "actor = \"b\"", "no such actor"),
            ("[1.0, 20.0", "[0.5, 20.0", "in the order of time"),
            ("face = [50.0, 50.0, 30.0]", "face = [50.0, 50.0, 0.0]", "actor 'a'"),
            ("seed = 1", "sead = 1", "sead"),
        ];
        for (right, wrong, said) in cases {
            assert!(SMALL.contains(right), "{right}");
            let error = Script::parse(&SMALL.replace(right, wrong)).expect_err(wrong).to_string();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
