//! What a frame costs: each stage, the whole path, and both beside the bare networks.
//!
//! `cargo bench --bench frame`. Absolute times are Criterion's; the table at the end holds ratios,
//! measured in turns within one run, because machines are shared and drift. One face of about 70
//! pixels in 640×480; needs the files that `make assets` fetches.
#![allow(missing_docs, reason = "Criterion's macros make items without any")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use criterion::{Criterion, criterion_group};
use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::{Clock, Monotonic, SystemClock};
use deepid_edge::decide::{Visit, VisitPolicy};
use deepid_edge::detect::{Detections, FollowerSettings, SsdDetector, Strategy};
use deepid_edge::embed::{Quality, QualityLimits};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::geometry::Rect;
use deepid_edge::inference::{Engine, Runtime, Tensor};
use support::models::{card, models, runtime};
use support::{path, scene};

const ROUNDS: usize = 400;

/// One network alone, on its own buffers.
struct Bare {
    engine: Box<dyn Engine>,
    input: Tensor,
    outputs: Vec<Tensor>,
}

impl Bare {
    fn new(runtime: &Runtime, model: &str) -> Self {
        let card = card(model);
        Self {
            engine: Box::new(runtime.load(&card, &models()).unwrap()),
            input: Tensor::zeros(&card.input),
            outputs: card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect(),
        }
    }

    fn run(&mut self) {
        self.engine.run(&self.input, &mut self.outputs).unwrap();
    }
}

/// The path from frame to decision on one picture, again and again.
struct Whole {
    recognizer: deepid_edge::recognize::Recognizer,
    visit: Visit,
    decoder: Decoder,
    captured: CapturedFrame,
    clock: SystemClock,
    number: u64,
    actions: Vec<deepid_edge::decide::Action>,
}

impl Whole {
    fn new(
        runtime: &Runtime,
        settings: FollowerSettings,
        mirrored: bool,
        picture: &Picture,
    ) -> Self {
        let mut captured = CapturedFrame::default();
        let now = Monotonic::from_millis(1);
        match picture {
            Picture::Yuyv(bytes) => {
                let size = (scene::WIDTH, scene::HEIGHT);
                captured
                    .begin_raw(PixelFormat::Yuyv, size, scene::WIDTH as usize * 2, 0, now)
                    .extend_from_slice(bytes);
            }
            Picture::Jpeg(bytes) => captured.begin_jpeg(0, now).extend_from_slice(bytes),
        }
        let gallery = path::gallery(vec![]);
        Self {
            recognizer: path::recognizer(runtime, settings, mirrored, gallery),
            visit: Visit::new(VisitPolicy::default()),
            decoder: Decoder::default(),
            captured,
            clock: SystemClock::new(deepid_edge::clock::ClockRequirement::Plausible, i64::MIN),
            number: 0,
            actions: Vec::new(),
        }
    }

    fn run(&mut self) {
        let decoded = self.decoder.decode(&self.captured).unwrap();
        self.number += 1;
        let frame = Frame::new(
            decoded.pixels(),
            decoded.format(),
            (decoded.width(), decoded.height()),
            decoded.stride(),
            self.number,
            self.clock.now(),
        )
        .unwrap();
        let observation = self.recognizer.observe(&frame, &self.clock);
        self.visit.step(&observation, self.clock.now(), &mut self.actions);
        self.actions.clear();
    }
}

enum Picture {
    Yuyv(Vec<u8>),
    Jpeg(Vec<u8>),
}

fn jpeg(picture: &image::RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85);
    picture.write_with_encoder(encoder).unwrap();
    bytes
}

fn follow_only() -> FollowerSettings {
    FollowerSettings {
        strategy: Strategy::FindThenFollow,
        refresh: u32::MAX,
        ..FollowerSettings::default()
    }
}

fn find_only() -> FollowerSettings {
    FollowerSettings { strategy: Strategy::Find, ..FollowerSettings::default() }
}

fn stages(criterion: &mut Criterion) {
    let Some(runtime) = runtime() else { return };
    for model in ["blazeface-full-range", "blazeface-short-range", path::EMBEDDER] {
        let mut bare = Bare::new(&runtime, model);
        criterion.bench_function(&format!("bare/{model}"), |b| b.iter(|| bare.run()));
    }
    let pixels = scene::yuyv(&scene::one_face());
    let size = (scene::WIDTH, scene::HEIGHT);
    let frame = Frame::new(
        &pixels,
        PixelFormat::Yuyv,
        size,
        scene::WIDTH as usize * 2,
        0,
        Monotonic::default(),
    )
    .unwrap();
    let whole = SsdDetector::whole(&frame);
    let mut faces = Detections::default();
    let mut find = path::detector(&runtime, "blazeface-full-range");
    criterion.bench_function("stage/detect whole frame", |b| {
        b.iter(|| find.detect(&frame, whole, 20.0, &mut faces).unwrap());
    });
    // Once more, because a filter on the command line may have skipped the benchmark above.
    find.detect(&frame, whole, 20.0, &mut faces).unwrap();
    let face = faces.as_slice()[0];
    let crop = Rect::square_around(face.bounds().centre(), face.bounds().width * 3.5);
    let mut follow = path::detector(&runtime, "blazeface-short-range");
    criterion.bench_function("stage/detect crop", |b| {
        b.iter(|| follow.detect(&frame, crop, 20.0, &mut faces).unwrap());
    });
    follow.detect(&frame, crop, 20.0, &mut faces).unwrap();
    let face = faces.as_slice()[0];
    let mut aligner = path::aligner();
    criterion.bench_function("stage/align", |b| b.iter(|| aligner.align(&frame, &face).is_some()));
    let aligned = aligner.align(&frame, &face).unwrap().clone();
    criterion.bench_function("stage/quality", |b| {
        b.iter(|| Quality::measure(&aligned, &face, &QualityLimits::default()));
    });
    let mut embedder = path::embedder(&runtime, false);
    let mut features = embedder.blank();
    criterion.bench_function("stage/embed", |b| {
        b.iter(|| embedder.embed(&aligned, &mut features).unwrap());
    });
}

fn frames(criterion: &mut Criterion) {
    let Some(runtime) = runtime() else { return };
    let scene = scene::one_face();
    for (name, settings, picture) in [
        ("frame/YUYV follow", follow_only(), Picture::Yuyv(scene::yuyv(&scene))),
        ("frame/YUYV find", find_only(), Picture::Yuyv(scene::yuyv(&scene))),
        ("frame/MJPG follow", follow_only(), Picture::Jpeg(jpeg(&scene))),
        (
            "frame/YUYV default, nobody there",
            FollowerSettings::default(),
            Picture::Yuyv(scene::yuyv(&scene::nobody())),
        ),
    ] {
        let mut whole = Whole::new(&runtime, settings, false, &picture);
        criterion.bench_function(name, |b| b.iter(|| whole.run()));
    }
}

/// Median time of each of `works`, run in turns.
fn in_turns<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let clock = SystemClock::new(deepid_edge::clock::ClockRequirement::Plausible, i64::MIN);
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::with_capacity(ROUNDS));
    for round in 0..ROUNDS + 20 {
        for (work, times) in works.iter_mut().zip(&mut times) {
            // Several runs in one reading: the clock counts whole microseconds.
            let start = clock.now();
            for _ in 0..4 {
                work();
            }
            if round >= 20 {
                times.push(clock.now().since(start) / 4);
            }
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

fn ratios() {
    let Some(runtime) = runtime() else { return };
    let scene = scene::one_face();
    let yuyv = Picture::Yuyv(scene::yuyv(&scene));
    let mut find = Bare::new(&runtime, "blazeface-full-range");
    let mut follow = Bare::new(&runtime, "blazeface-short-range");
    let mut embed = Bare::new(&runtime, path::EMBEDDER);
    let mut finding = Whole::new(&runtime, find_only(), false, &yuyv);
    let mut following = Whole::new(&runtime, follow_only(), false, &yuyv);
    let mut mirrored = Whole::new(&runtime, follow_only(), true, &yuyv);
    let mut compressed = Whole::new(&runtime, follow_only(), false, &Picture::Jpeg(jpeg(&scene)));
    let mut busy = Whole::new(&runtime, FollowerSettings::default(), false, &yuyv);
    let nobody = Picture::Yuyv(scene::yuyv(&scene::nobody()));
    let mut idle = Whole::new(&runtime, FollowerSettings::default(), false, &nobody);
    let [find, follow, embed, finding, following, mirrored, compressed, busy, idle] = in_turns([
        &mut || find.run(),
        &mut || follow.run(),
        &mut || embed.run(),
        &mut || finding.run(),
        &mut || following.run(),
        &mut || mirrored.run(),
        &mut || compressed.run(),
        &mut || busy.run(),
        &mut || idle.run(),
    ]);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("\nmedians of {ROUNDS} turns, ratios within this run");
    for (name, time, bare) in [
        ("YUYV, following: whole frame / (short range + DeepID2)", following, follow + embed),
        ("YUYV, finding: whole frame / (full range + DeepID2)", finding, find + embed),
        (
            "YUYV, following, mirrored: whole frame / (short range + 2 DeepID2)",
            mirrored,
            follow + embed * 2,
        ),
        ("MJPG, following: whole frame / (short range + DeepID2)", compressed, follow + embed),
        ("YUYV, default strategy: nobody there / one face", idle, busy),
    ] {
        println!(
            "{name:68} {:7.3} ms / {:7.3} ms = {:5.2}",
            milliseconds(time),
            milliseconds(bare),
            time.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40).measurement_time(Duration::from_secs(2));
    targets = stages, frames
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    ratios();
}
