//! The Rust path against the reference implementation in Python, number by number.
//!
//! The golden files and the script that made them stand in `tests/golden/`. Needs the files that
//! `make assets` fetches; says so and skips without them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

mod support;

use deepid_edge::align::Aligner;
use deepid_edge::detect::{Detections, SsdDetector};
use deepid_edge::embed::Embedder;
use deepid_edge::frame::Frame;
use deepid_edge::geometry::Point;
use deepid_edge::inference::{Procedure, Tensor};
use serde_json::Value;
use support::models::{card, models, photograph, rgb_frame, runtime};
use support::path;

fn golden(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// The greatest difference of box edges and the keypoints that the path uses, in pixels.
fn difference(found: &deepid_edge::detect::Detection, wanted: &Value) -> f32 {
    let bounds = found.bounds();
    let edges = [bounds.x, bounds.y, bounds.x + bounds.width, bounds.y + bounds.height];
    let edges = edges.iter().zip(numbers(&wanted["box"])).map(|(a, b)| (a - b).abs());
    let points = wanted["keypoints"].as_array().unwrap();
    let points = found.keypoints().iter().zip(points).map(|(point, wanted)| {
        let wanted = numbers(wanted);
        point.distance(Point::new(wanted[0], wanted[1]))
    });
    edges.chain(points).fold(0.0, f32::max)
}

/// All that `detector` finds in the whole of `frame`.
fn found_in(detector: &mut SsdDetector, frame: &Frame<'_>) -> Detections {
    let mut faces = Detections::default();
    detector.detect(frame, SsdDetector::whole(frame), 1.0, &mut faces).unwrap();
    faces
}

#[test]
fn boxes_and_keypoints_are_within_half_a_pixel_of_the_reference() {
    let Some(runtime) = runtime() else { return };
    let golden = golden("blazeface.json");
    for (file, id) in [
        ("face_detection_short_range", "blazeface-short-range"),
        ("face_detection_full_range_sparse", "blazeface-full-range"),
    ] {
        let mut detector = path::detector(&runtime, id);
        let photographs = golden["models"][file]["faces"].as_object().unwrap();
        assert!(photographs.len() >= 5);
        for (name, wanted) in photographs {
            let (pixels, size) = photograph(name);
            let faces = found_in(&mut detector, &rgb_frame(&pixels, size));
            let wanted = wanted.as_array().unwrap();
            assert_eq!(faces.as_slice().len(), wanted.len(), "{id} on {name}");
            for (found, wanted) in faces.as_slice().iter().zip(wanted) {
                let difference = difference(found, wanted);
                eprintln!("{id} on {name}: {difference:.3} px");
                assert!(difference <= 0.5, "{id} on {name}: {difference} px, {found:?}, {wanted}");
                let score = wanted["score"].as_f64().unwrap() as f32;
                assert!(
                    (found.score() - score).abs() <= 0.01,
                    "{id} on {name}: {found:?}, {score}"
                );
                // The reference gives the ears as well, which nothing here uses.
                assert_eq!(
                    (found.keypoints().len(), wanted["keypoints"].as_array().unwrap().len()),
                    (4, 6)
                );
            }
        }
    }
}

#[test]
fn finer_keypoints_are_within_half_a_pixel_of_the_reference() {
    let Some(runtime) = runtime() else { return };
    let golden = golden("face-mesh.json");
    let mut detector = path::detector(&runtime, "blazeface-short-range");
    let mut landmarker = path::landmarker(&runtime);
    let photographs = golden["faces"].as_object().unwrap();
    assert!(photographs.len() >= 5);
    for (name, wanted) in photographs {
        let (pixels, size) = photograph(name);
        let frame: Frame<'_> = rgb_frame(&pixels, size);
        let faces = found_in(&mut detector, &frame);
        assert!(landmarker.keep(&frame, &faces.as_slice()[0]));
        let found = landmarker.keypoints().unwrap().expect("there is a face");
        let pose = landmarker.kept().pose();
        for (found, wanted) in found.iter().zip(wanted["keypoints"].as_array().unwrap()) {
            let wanted = numbers(wanted);
            let apart = pose.apply(*found).distance(Point::new(wanted[0], wanted[1]));
            eprintln!("face-mesh on {name}: {apart:.3} px");
            assert!(apart <= 0.5, "face-mesh on {name}: {apart} px");
        }
    }
}

/// What `model` makes of each crop, and what the Python interpreter makes of it; nothing without
/// the library.
fn outputs(model: &str) -> Vec<(String, Vec<i8>, Vec<i8>)> {
    let Some(runtime) = runtime() else { return vec![] };
    let golden = golden(&format!("{model}.json"));
    let card = card(model);
    let engine = runtime.load(&card, &models()).unwrap();
    let procedure = Procedure { embedder: &card, landmarker: None, mirrored: false };
    let mut embedder = Embedder::new(&procedure, Box::new(engine)).unwrap();
    let template = card.alignment.as_ref().unwrap();
    let (height, width) = card.input_size();
    let size = (u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
    let outputs = golden["output_int8"].as_object().unwrap();
    assert!(outputs.len() >= 3);
    let of_crop = |(name, wanted): (&String, &Value)| {
        let crop = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/crops/{name}.png"));
        let crop = image::open(crop).unwrap().to_rgb8();
        assert_eq!(crop.dimensions(), (47, 55));
        let times = size.0 / 47;
        let pixels =
            image::RgbImage::from_fn(size.0, size.1, |x, y| *crop.get_pixel(x / times, y / times))
                .into_raw();
        let frame = rgb_frame(&pixels, size);
        let mut aligner = Aligner::new(&card).unwrap();
        let face = aligner.align_points(&frame, &template.points()).unwrap();
        assert_eq!(face.pixels().as_flattened(), pixels, "a crop at the template is copied");
        let mut features = embedder.blank();
        embedder.embed(face, &mut features).unwrap();
        let wanted = wanted.as_array().unwrap().iter().map(|v| v.as_i64().unwrap() as i8).collect();
        let found = match embedder.raw_output() {
            Some(Tensor::Int8(found)) => found.clone(),
            _ => vec![],
        };
        (name.clone(), found, wanted)
    };
    outputs.iter().map(of_crop).collect()
}

#[test]
fn embeddings_are_bit_identical_to_the_python_interpreter() {
    for model in ["deepid2", "deepid2-plus"] {
        for (name, found, wanted) in outputs(model) {
            assert_eq!(found, wanted, "{model}: {name}");
        }
    }
}

/// On ARM the library rounds otherwise where the ensemble resizes the parts of a face.
#[test]
fn the_ensemble_is_bit_identical_on_the_same_processor_and_near_on_others() {
    let steps = u8::from(cfg!(not(target_arch = "x86_64")));
    for (name, found, wanted) in outputs("deepid2-ensemble") {
        assert_eq!(found.len(), wanted.len(), "{name}");
        let apart = |(a, b): (&i8, &i8)| a.abs_diff(*b);
        let differences: Vec<u8> = found.iter().zip(&wanted).map(apart).collect();
        let furthest = differences.iter().copied().max().unwrap();
        let count = differences.iter().filter(|steps| **steps > 0).count();
        eprintln!("{name}: {count} of {} numbers differ, by {furthest} at most", found.len());
        assert!(furthest <= steps, "{name}: {furthest} steps apart, {steps} allowed");
    }
}
