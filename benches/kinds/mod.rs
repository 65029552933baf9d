//! Kinds of work that are measured: networks alone, stages, whole frames.
//!
//! In: the files that `make assets` fetches. Out: work that can be done again and again, for the
//! benchmarks beside this folder; none of it measures itself.
//! One face of about 70 pixels in 640×480; a gallery of 1,000 references.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first surprise, and none uses every kind"
)]

pub mod turns;

use std::hint::black_box;
use std::time::Duration;

use crate::support::models::{card, models};
use crate::support::{path, scene};
use deepid_edge::capture::{CapturedFrame, Decoder, Encoding};
use deepid_edge::clock::{Clock, Floor, ManualClock, Monotonic, SystemClock};
use deepid_edge::compare::SearchScratch;
use deepid_edge::decide::{Seen, Visit, VisitPolicy};
use deepid_edge::detect::{
    Detection, Detections, Follower, FollowerSettings, Orientation, SsdDetector, Strategy,
};
use deepid_edge::door::{Door, Event, Time};
use deepid_edge::embed::{FeatureVector, Quality, QualityLimits};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::geometry::{Rect, Turn, View};
use deepid_edge::inference::{Runtime, Tensor};

const SIZE: (u32, u32) = (scene::WIDTH, scene::HEIGHT);
const STRIDE: usize = scene::WIDTH as usize * 2;
const REFERENCES: usize = 1_000;
const MIN_FACE_PX: f32 = 40.0;
const CROP_IN_FACES: f32 = 3.5;
/// A refresh that never comes.
const ALWAYS: u32 = u32::MAX;
/// Frames until somebody is followed.
const UNTIL_FOLLOWED: usize = 3;
/// Frames until a room counts as empty, and was searched then.
const UNTIL_EMPTY: usize = 45;
/// Frames of an empty room from one search to the next.
pub const ROOM: usize = 15;
const SECOND: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_secs(1 << 20);
const FRAME: Duration = Duration::from_micros(66_667);

/// Frames from one look at how a followed face stands to the next.
const LOOK: usize = 9;

/// Does one piece of work.
pub type Work = Box<dyn FnMut()>;

/// Prepares a kind of work.
pub type Prepare = fn(&Runtime) -> Work;

/// Kinds, how many pieces make a cycle that repeats, and how one is prepared.
pub const KINDS: [(&str, usize, Prepare); 35] = [
    ("bare/full-range", 1, |r| bare(r, "blazeface-full-range")),
    ("bare/short-range", 1, |r| bare(r, "blazeface-short-range")),
    ("bare/deepid2", 1, |r| bare(r, path::EMBEDDER)),
    // The networks of a frame one after the other, as in a frame: none finds its weights and its memory
    // as near as when it runs again and again.
    ("bare/followed, one crop", 1, |r| bare_in_turn(r, &["blazeface-short-range", path::EMBEDDER])),
    ("bare/followed", 1, |r| {
        bare_in_turn(r, &["blazeface-short-range", path::EMBEDDER, path::EMBEDDER])
    }),
    ("bare/found", 1, |r| {
        let networks = ["blazeface-full-range", "blazeface-short-range", path::EMBEDDER];
        bare_in_turn(r, &[&networks[..], &[path::EMBEDDER]].concat())
    }),
    ("stage/decode MJPG", 1, |_| decode()),
    ("stage/detect whole frame", 1, |r| detect(r, "blazeface-full-range", false)),
    ("stage/detect crop", 1, |r| detect(r, "blazeface-short-range", true)),
    ("stage/align", 1, align),
    ("stage/quality", 1, quality),
    ("stage/orientation", 1, orientation),
    ("stage/embed", 1, |r| embed(r, false)),
    ("stage/embed mirrored", 1, |r| embed(r, true)),
    ("stage/compare", 1, |_| compare()),
    ("stage/decide", 1, decide),
    // Without the mirrored crop: one run of each of two networks, and what is around them. How the face
    // stands is looked at once in a cycle.
    ("frame/full range alone, one crop", LOOK, |r| {
        frame(r, full_range_alone(), false, &Picture::Yuyv(scene::one_face()))
    }),
    ("frame/full range alone MJPG, one crop", LOOK, |r| {
        frame(r, full_range_alone(), false, &Picture::Jpeg(scene::one_face()))
    }),
    ("frame/following, one crop", LOOK, |r| {
        frame(r, refreshed_after(ALWAYS), false, &Picture::Yuyv(scene::one_face()))
    }),
    ("frame/following turned, one crop", LOOK, |r| {
        frame(r, refreshed_after(ALWAYS), false, &Picture::Turned(scene::one_face()))
    }),
    ("frame/full range alone turned, one crop", LOOK, |r| {
        frame(r, full_range_alone(), false, &Picture::Turned(scene::one_face()))
    }),
    ("frame/following MJPG, one crop", LOOK, |r| {
        frame(r, refreshed_after(ALWAYS), false, &Picture::Jpeg(scene::one_face()))
    }),
    ("frame/following MJPG", LOOK, |r| {
        frame(r, refreshed_after(ALWAYS), true, &Picture::Jpeg(scene::one_face()))
    }),
    // As the daemon does by default: a found face is looked at by the following network too, and
    // the whole frame is looked at after every second followed one.
    ("frame/finding", LOOK, |r| {
        frame(r, refreshed_after(0), true, &Picture::Yuyv(scene::one_face()))
    }),
    ("frame/following", LOOK, |r| {
        frame(r, refreshed_after(ALWAYS), true, &Picture::Yuyv(scene::one_face()))
    }),
    ("frame/somebody", LOOK, |r| {
        frame(r, FollowerSettings::default(), true, &Picture::Yuyv(scene::one_face()))
    }),
    ("frame/somebody MJPG", LOOK, |r| {
        frame(r, FollowerSettings::default(), true, &Picture::Jpeg(scene::one_face()))
    }),
    // Who stands there is recognised, 15 frames a second: the network of liveness looks at every
    // second frame. The other stages are those of the frames above.
    ("frame/recognised", 6, |r| recognised(r, false)),
    ("frame/recognised, liveness", 6, |r| recognised(r, true)),
    // An empty room at 15 frames a second: as the daemon does by default, searched once a second; searched
    // once in three frames, whatever it shows; and never, which is the look at what has changed alone.
    ("frame/nobody", ROOM, |r| empty_room(r, SECOND, &Picture::Yuyv(scene::nobody()))),
    ("frame/nobody MJPG", ROOM, |r| empty_room(r, SECOND, &Picture::Jpeg(scene::nobody()))),
    ("frame/nobody, one in three searched", ROOM, |r| {
        empty_room(r, Duration::ZERO, &Picture::Yuyv(scene::nobody()))
    }),
    ("frame/nobody MJPG, one in three searched", ROOM, |r| {
        empty_room(r, Duration::ZERO, &Picture::Jpeg(scene::nobody()))
    }),
    ("frame/nobody, glimpses", ROOM, |r| empty_room(r, NEVER, &Picture::Yuyv(scene::nobody()))),
    ("frame/nobody MJPG, glimpses", ROOM, |r| {
        empty_room(r, NEVER, &Picture::Jpeg(scene::nobody()))
    }),
];

/// The work called `name`, ready to be done.
pub fn prepared(runtime: &Runtime, name: &str) -> Work {
    let kind = KINDS.iter().find(|kind| kind.0 == name);
    let (_, _, prepare) = kind.unwrap_or_else(|| panic!("no kind of work is called {name}"));
    prepare(runtime)
}

enum Picture {
    Yuyv(image::RgbImage),
    /// In YUYV, from a camera that hangs on its side.
    Turned(image::RgbImage),
    Jpeg(image::RgbImage),
}

impl Picture {
    fn captured(&self) -> CapturedFrame {
        let mut captured = CapturedFrame::default();
        let now = Monotonic::from_millis(1);
        match self {
            Self::Yuyv(picture) => captured
                .begin_raw(PixelFormat::Yuyv, SIZE, STRIDE, 0, now)
                .extend_from_slice(&scene::yuyv(picture)),
            Self::Turned(picture) => {
                let lying = image::imageops::rotate270(picture);
                let (size, stride) = (lying.dimensions(), lying.width() as usize * 2);
                captured
                    .begin_raw(PixelFormat::Yuyv, size, stride, 0, now)
                    .extend_from_slice(&scene::yuyv(&lying));
                captured.see_by(View { turn: Turn::Quarter, mirrored: false });
            }
            Self::Jpeg(picture) => {
                let mut bytes = Vec::new();
                let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85);
                picture.write_with_encoder(encoder).unwrap();
                captured.begin_jpeg(0, now).extend_from_slice(&bytes);
            }
        }
        captured
    }
}

fn bare(runtime: &Runtime, model: &str) -> Work {
    use deepid_edge::inference::Engine as _;
    let card = card(model);
    let mut engine = runtime.load(&card, &models()).unwrap();
    let input = Tensor::zeros(&card.input);
    let mut outputs: Vec<_> = card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect();
    Box::new(move || engine.run(&input, &mut outputs).unwrap())
}

fn bare_in_turn(runtime: &Runtime, networks: &[&str]) -> Work {
    let mut works: Vec<Work> = networks.iter().map(|model| bare(runtime, model)).collect();
    Box::new(move || works.iter_mut().for_each(|work| work()))
}

fn decode() -> Work {
    let (mut decoder, captured) = (Decoder::default(), Picture::Jpeg(scene::one_face()).captured());
    Box::new(move || {
        black_box(decoder.decode(&captured).unwrap());
    })
}

fn yuyv_frame(pixels: &[u8]) -> Frame<'_> {
    Frame::new(pixels, PixelFormat::Yuyv, SIZE, STRIDE, 0, Monotonic::default()).unwrap()
}

/// The scene and its face, as the finding detector sees it.
fn found(runtime: &Runtime) -> (Vec<u8>, Detection) {
    let pixels = scene::yuyv(&scene::one_face());
    let mut faces = Detections::default();
    let mut detector = path::detector(runtime, "blazeface-full-range");
    let frame = yuyv_frame(&pixels);
    detector.detect(&frame, SsdDetector::whole(&frame), MIN_FACE_PX, &mut faces).unwrap();
    let face = faces.as_slice()[0];
    (pixels, face)
}

fn detect(runtime: &Runtime, model: &str, crop: bool) -> Work {
    let (pixels, face) = found(runtime);
    let mut detector = path::detector(runtime, model);
    let mut faces = Detections::default();
    Box::new(move || {
        let frame = yuyv_frame(&pixels);
        let bounds = face.bounds();
        let region = if crop {
            Rect::square_around(bounds.centre(), bounds.width * CROP_IN_FACES)
        } else {
            SsdDetector::whole(&frame)
        };
        detector.detect(&frame, region, MIN_FACE_PX, &mut faces).unwrap();
        assert_eq!(faces.as_slice().len(), 1, "the scene has one face");
    })
}

fn align(runtime: &Runtime) -> Work {
    let (pixels, face) = found(runtime);
    let mut aligner = path::aligner();
    Box::new(move || assert!(aligner.align(&yuyv_frame(&pixels), &face).is_some()))
}

fn quality(runtime: &Runtime) -> Work {
    let (pixels, face) = found(runtime);
    let aligned = path::aligner().align(&yuyv_frame(&pixels), &face).unwrap().clone();
    let limits = QualityLimits::default();
    Box::new(move || {
        black_box(Quality::measure(&aligned, &face, &limits));
    })
}

/// How the face stands: a clear case, which is one run of the following network.
fn orientation(runtime: &Runtime) -> Work {
    let (pixels, face) = found(runtime);
    let (find, follow) = ("blazeface-full-range", "blazeface-short-range");
    let (find, follow) = (path::detector(runtime, find), path::detector(runtime, follow));
    let mut follower = Follower::new(find, follow, FollowerSettings::default());
    Box::new(move || {
        let seen = follower.orientation(&yuyv_frame(&pixels), &face).unwrap();
        assert_eq!(seen, Orientation::Upright);
    })
}

fn embed(runtime: &Runtime, mirrored: bool) -> Work {
    let (pixels, face) = found(runtime);
    let aligned = path::aligner().align(&yuyv_frame(&pixels), &face).unwrap().clone();
    let mut embedder = path::embedder(runtime, mirrored);
    let mut features = embedder.blank();
    Box::new(move || embedder.embed(&aligned, &mut features).unwrap())
}

/// Feature vectors that belong to nobody: DeepID2's numbers are never negative.
fn strangers(count: usize, mirrored: bool) -> Vec<FeatureVector> {
    let mut random = fastrand::Rng::with_seed(7);
    let key = path::key(mirrored);
    let length = card(path::EMBEDDER).features.unwrap().length;
    let mut vector = || (0..length).map(|_| random.f32() * 6.0).collect();
    (0..count).map(|_| FeatureVector::new(key.clone(), vector()).unwrap()).collect()
}

fn compare() -> Work {
    let gallery = path::gallery(strangers(REFERENCES, true));
    let probe = strangers(REFERENCES + 1, true).pop().unwrap();
    let mut scratch = SearchScratch::default();
    Box::new(move || {
        black_box(gallery.search(&probe, &mut scratch).unwrap());
    })
}

fn decide(runtime: &Runtime) -> Work {
    let (pixels, _) = found(runtime);
    let gallery = path::gallery(strangers(REFERENCES, true));
    let settings = FollowerSettings::default();
    let mut recogniser = path::recogniser(runtime, settings, true, gallery);
    let clock = SystemClock::new(deepid_edge::clock::ClockRequirement::Plausible, Floor::default());
    let observation = recogniser.observe(&yuyv_frame(&pixels), &clock);
    let mut visit = Visit::new(VisitPolicy::default());
    let mut actions = Vec::new();
    Box::new(move || {
        visit.step(&observation, clock.now(), &mut actions);
        actions.clear();
    })
}

fn full_range_alone() -> FollowerSettings {
    FollowerSettings { strategy: Strategy::Find, ..FollowerSettings::default() }
}

fn refreshed_after(refresh: u32) -> FollowerSettings {
    FollowerSettings { refresh, ..FollowerSettings::default() }
}

/// One frame of somebody who is enrolled, through the door that the daemon runs.
fn recognised(runtime: &Runtime, liveness: bool) -> Work {
    let machine =
        SystemClock::new(deepid_edge::clock::ClockRequirement::Plausible, Floor::default());
    let pixels = scene::yuyv(&scene::one_face());
    let settings = FollowerSettings::default();
    let mut before = path::recogniser(runtime, settings, true, path::gallery(vec![]));
    before.observe(&yuyv_frame(&pixels), &machine);
    let mut references = strangers(REFERENCES - 1, true);
    references.push(before.features().clone());
    let cues = liveness.then(|| path::liveness(runtime));
    let recogniser = path::recogniser(runtime, settings, true, path::gallery(references));
    let mut door = Door::new(recogniser.telling_liveness(cues), VisitPolicy::default());
    let frames = ManualClock::new(Monotonic::from_millis(1), 1_790_000_000_000);
    let (mut effects, mut number) = (Vec::new(), 0);
    Box::new(move || {
        number += 1;
        frames.advance(FRAME);
        let frame = Frame::new(&pixels, PixelFormat::Yuyv, SIZE, STRIDE, number, frames.now());
        let time = Time { machine: &machine, frames: &frames };
        door.step(Event::Frame(&frame.unwrap()), time, &mut effects);
        effects.clear();
    })
}

/// From the camera's bytes to the visit.
fn frame(runtime: &Runtime, settings: FollowerSettings, mirrored: bool, picture: &Picture) -> Work {
    let gallery = path::gallery(strangers(REFERENCES, mirrored));
    let mut recogniser = path::recogniser(runtime, settings, mirrored, gallery);
    let clock = SystemClock::new(deepid_edge::clock::ClockRequirement::Plausible, Floor::default());
    let frames = ManualClock::new(Monotonic::from_millis(1), 1_790_000_000_000);
    let (mut decoder, captured) = (Decoder::default(), picture.captured());
    let mut visit = Visit::new(VisitPolicy::default());
    let mut actions = Vec::new();
    let mut number = 0;
    let mut step = move || {
        let decoded = decoder.decode(&captured).unwrap();
        number += 1;
        frames.advance(FRAME);
        let (size, view) = (decoded.stored_size(), decoded.view());
        let (pixels, format, stride) = (decoded.pixels(), decoded.format(), decoded.stride());
        let frame = Frame::new(pixels, format, size, stride, number, frames.now()).unwrap();
        let frame = frame.seen_by(view);
        let observation = recogniser.observe(&frame, &clock);
        visit.step(&observation, frames.now(), &mut actions);
        actions.clear();
        observation.seen
    };
    for _ in 0..=UNTIL_FOLLOWED {
        assert!(matches!(step(), Seen::Faces { .. }), "the scene has one face");
    }
    Box::new(move || {
        black_box(step());
    })
}

/// One frame of an empty room, through the door as the daemon's thread asks it, with a search at least
/// `search_every`.
fn empty_room(runtime: &Runtime, search_every: Duration, picture: &Picture) -> Work {
    let machine =
        SystemClock::new(deepid_edge::clock::ClockRequirement::Plausible, Floor::default());
    let settings = FollowerSettings { search_every, ..FollowerSettings::default() };
    let gallery = path::gallery(strangers(REFERENCES, true));
    let mut door =
        Door::new(path::recogniser(runtime, settings, true, gallery), VisitPolicy::default());
    let clock = ManualClock::new(Monotonic::from_millis(1), 1_790_000_000_000);
    let (mut decoder, mut captured) = (Decoder::default(), picture.captured());
    let (mut effects, mut number) = (Vec::new(), 0);
    let mut step = move || {
        number += 1;
        clock.advance(FRAME);
        let captured_at = clock.now();
        let bytes = std::mem::take(captured.bytes_mut());
        *match captured.encoding() {
            Encoding::Jpeg => captured.begin_jpeg(number, captured_at),
            Encoding::Raw(format) => captured.begin_raw(format, SIZE, STRIDE, number, captured_at),
        } = bytes;
        let passes_over = !door.needs_frame()
            || door.glances() && door.is_unchanged(&decoder.glimpse(&captured).unwrap());
        let time = Time { machine: &machine, frames: &clock };
        if passes_over {
            door.step(Event::Skipped { sequence: number, captured_at }, time, &mut effects);
        } else {
            let frame = decoder.decode(&captured).unwrap();
            door.step(Event::Frame(&frame), time, &mut effects);
        }
        effects.clear();
        let seen = door.observed().map(|observed| observed.seen.clone());
        assert!(matches!(seen, Some(Seen::NoFace)), "nobody is there");
    };
    for _ in 0..UNTIL_EMPTY {
        step();
    }
    Box::new(step)
}
