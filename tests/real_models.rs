//! The real library and the real models: what loads, what is refused, what they say of real
//! photographs.
//!
//! Needs the files that `make assets` fetches; says so and skips without them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::Path;

use deepid_edge::align::Aligner;
use deepid_edge::detect::{Detections, SsdDetector};
use deepid_edge::embed::Embedder;
use deepid_edge::inference::{
    Engine as _, InferenceError, ModelDirectory, Procedure, Runtime, Tensor,
};
use support::models::{card, models, photograph, rgb_frame, root, runtime};

fn detector(runtime: &Runtime, name: &str) -> SsdDetector {
    let card = card(name);
    let engine = runtime.load(&card, &models()).expect("the model loads");
    SsdDetector::new(&card, Box::new(engine), None).expect("the card is a detector's")
}

#[test]
fn both_detectors_find_the_faces_of_the_photographs() {
    let Some(runtime) = runtime() else { return };
    for model in ["blazeface-short-range", "blazeface-full-range"] {
        let mut detector = detector(&runtime, model);
        for name in ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg", "astronaut.png"] {
            let (pixels, size) = photograph(name);
            let frame = rgb_frame(&pixels, size);
            let mut faces = Detections::default();
            detector.detect(&frame, SsdDetector::whole(&frame), 20.0, &mut faces).unwrap();
            assert_eq!(faces.as_slice().len(), 1, "{model} on {name}: {faces:?}");
            let face = faces.as_slice()[0];
            let [right_eye, left_eye, nose, mouth] = *face.keypoints();
            assert!(
                right_eye.x < left_eye.x && nose.y > right_eye.y && mouth.y > nose.y,
                "{name}: {face:?}"
            );
            assert!(face.bounds().width > 3.0 * face.eye_distance() / 2.0, "{name}: {face:?}");
        }
    }
}

/// Cosine of the centred, mirrored-average features of the first faces of two photographs.
#[test]
fn the_shipped_model_tells_the_demo_photographs_apart() {
    let Some(runtime) = runtime() else { return };
    let mut detector = detector(&runtime, "blazeface-short-range");
    let card = card("deepid2");
    let mut aligner = Aligner::new(&card).unwrap();
    let engine = runtime.load(&card, &models()).unwrap();
    let procedure = Procedure { embedder: &card, landmarker: None, mirrored: true };
    let mut embedder = Embedder::new(&procedure, Box::new(engine)).unwrap();
    let mut embed = |name| {
        let (pixels, size) = photograph(name);
        let frame = rgb_frame(&pixels, size);
        let mut faces = Detections::default();
        detector.detect(&frame, SsdDetector::whole(&frame), 20.0, &mut faces).unwrap();
        let face = aligner.align(&frame, &faces.as_slice()[0]).unwrap();
        let mut features = embedder.blank();
        embedder.embed(face, &mut features).unwrap();
        let mean = &card.features.as_ref().unwrap().mean;
        features.values().iter().zip(mean).map(|(v, m)| v - m).collect::<Vec<f32>>()
    };
    let (enrolled, visit, stranger) = (embed("obama.jpg"), embed("obama3.jpg"), embed("biden.jpg"));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let cosine = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let (mated, non_mated) = (cosine(&enrolled, &visit), cosine(&enrolled, &stranger));
    eprintln!("obama-obama3 {mated:.3}, obama-biden {non_mated:.3}");
    assert!((mated - 0.493).abs() < 0.06, "the reference in Python finds 0.493: {mated}");
    assert!(non_mated < 0.2, "{non_mated}");
}

/// How many of the process's threads are called as this one is: those that it started.
fn threads_of_this_one() -> usize {
    let name = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let own = name(Path::new("/proc/thread-self/comm"));
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter(|task| name(&task.as_ref().unwrap().path().join("comm")) == own).count()
}

#[test]
fn threads_are_as_many_as_asked_and_change_no_number() {
    if runtime().is_none() {
        return;
    }
    for model in ["blazeface-full-range", "blazeface-short-range", "deepid2"] {
        let card = card(model);
        let mut input = Tensor::zeros(&card.input);
        for (index, byte) in input.as_bytes_mut().iter_mut().enumerate() {
            // Small floats and small integers alike: of a float only the low bytes are set.
            *byte = if index % 4 < 2 { (index % 251) as u8 } else { 0 };
        }
        let mut answers = Vec::new();
        for threads in [1, 2, 3] {
            let before = threads_of_this_one();
            let runtime = runtime().unwrap().with_threads(threads);
            let mut engine = runtime.load(&card, &models()).unwrap();
            let mut outputs: Vec<_> =
                card.outputs.iter().map(|output| Tensor::zeros(&output.tensor)).collect();
            engine.run(&input, &mut outputs).unwrap();
            let helpers = threads_of_this_one() - before;
            assert_eq!(helpers, usize::from(threads) - 1, "{model}");
            answers.push(outputs);
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{model}: another answer");
    }
}

#[test]
fn a_damaged_model_is_refused_by_its_hash() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let card = card("deepid2");
    let whole = std::fs::read(root().join("models").join(&card.file)).unwrap();
    std::fs::write(folder.path().join(&card.file), &whole[..whole.len() / 2]).unwrap();
    let error = runtime.load(&card, &ModelDirectory::new(vec![folder.path().into()])).unwrap_err();
    assert!(matches!(error, InferenceError::ModelHash { .. }), "{error}");
    assert!(error.to_string().contains("make assets"));
}

/// What is said of a file with `bytes` whose hash is in its card.
fn refusal(runtime: &Runtime, bytes: &[u8]) -> InferenceError {
    let folder = tempfile::tempdir().unwrap();
    let mut card = card("deepid2");
    std::fs::write(folder.path().join(&card.file), bytes).unwrap();
    let directory = ModelDirectory::new(vec![folder.path().into()]);
    let error = runtime.load(&card, &directory).unwrap_err();
    let InferenceError::ModelHash { found, .. } = error else { unreachable!("{error}") };
    card.sha256 = found;
    runtime.load(&card, &directory).unwrap_err()
}

fn shipped_model() -> Vec<u8> {
    std::fs::read(root().join("models/deepid2.tflite")).unwrap()
}

#[test]
fn a_file_that_is_no_model_is_refused_though_its_hash_fits() {
    let Some(runtime) = runtime() else { return };
    for (content, found) in [
        (&b"hello, not a model"[..], "'o, n'"),
        (b"\x7fELF\x02\x01\x01\0", "'\\x02\\x01\\x01\\x00'"),
        (b"TFL", "''"),
        (b"", "''"),
    ] {
        let error = refusal(&runtime, content);
        assert!(matches!(error, InferenceError::NoModel { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(found) && text.contains("no TFLite file"), "{text}");
        assert!(text.contains("deepid2.tflite") && text.contains("SHA-256"), "{text}");
    }
}

#[test]
fn a_model_that_is_cut_short_is_refused_though_its_hash_fits() {
    let Some(runtime) = runtime() else { return };
    let whole = shipped_model();
    for length in [8, 25, 1000, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&runtime, &whole[..length]);
        assert!(matches!(error, InferenceError::ModelDamaged { .. }), "{length}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("after {length} bytes")), "{text}");
        assert!(text.contains("take the whole file"), "{text}");
    }
}

/// Where field `index` of the first operator code stands, by the `FlatBuffers` layout of a TFLite
/// file: root table, field 1 the operator codes, each a table (`schema.fbs` of TFLite).
fn first_operator(file: &[u8], index: usize) -> usize {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap()) as usize;
    let field = |table: usize, index: usize| {
        let back = word(table) as u32 as i32;
        let layout = usize::try_from(i64::try_from(table).unwrap() - i64::from(back)).unwrap();
        table + half(layout + 4 + 2 * index)
    };
    let codes = field(word(0), 1);
    let first = codes + word(codes) + 4;
    field(first + word(first), index)
}

#[test]
fn a_model_with_an_operator_that_the_library_lacks_is_refused_by_its_name() {
    let Some(runtime) = runtime() else { return };
    // Fields of an operator code: 0 and 3 its number, before and after 127 of them; 2 its version.
    let mut newer = shipped_model();
    let version = first_operator(&newer, 2);
    assert_eq!(newer[version..version + 4], 3_i32.to_le_bytes(), "the layout is as described");
    newer[version..version + 4].copy_from_slice(&99_i32.to_le_bytes());
    let mut unknown = shipped_model();
    let (short, long) = (first_operator(&unknown, 0), first_operator(&unknown, 3));
    unknown[short] = 127;
    unknown[long..long + 4].copy_from_slice(&250_i32.to_le_bytes());
    let mut custom = shipped_model();
    custom[short] = 32;
    custom[long..long + 4].copy_from_slice(&32_i32.to_le_bytes());
    for (bytes, named) in
        [(newer, "'CONV_2D' version '99'"), (unknown, "250"), (custom, "CUSTOM builtin_code")]
    {
        let error = refusal(&runtime, &bytes);
        assert!(matches!(error, InferenceError::OperatorMissing { .. }), "{named}: {error}");
        let text = error.to_string();
        assert!(text.contains(named) && text.contains("built-in operators"), "{text}");
    }
}

#[test]
fn a_model_for_more_pictures_than_one_is_refused_by_its_batch() {
    let Some(runtime) = runtime() else { return };
    let shape = |batch: i32| -> Vec<u8> {
        [4, batch, 55, 47, 3].into_iter().flat_map(i32::to_le_bytes).collect()
    };
    let mut batched = shipped_model();
    let (one, two) = (shape(1), shape(2));
    let places: Vec<usize> =
        (0..batched.len() - one.len()).filter(|&at| batched[at..].starts_with(&one)).collect();
    assert!(!places.is_empty(), "the input's shape stands in the file");
    for at in places {
        batched[at..at + two.len()].copy_from_slice(&two);
    }
    let error = refusal(&runtime, &batched);
    assert!(matches!(error, InferenceError::Batch { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("[2, 55, 47, 3]") && text.contains("fixed batch of 1"), "{text}");
}

#[test]
fn a_card_that_contradicts_the_file_is_refused() {
    let Some(runtime) = runtime() else { return };
    let mut wrong_shape = card("deepid2");
    wrong_shape.input.shape = vec![1, 47, 55, 3];
    let mut wrong_type = card("deepid2");
    wrong_type.outputs[0].tensor.element_type = deepid_edge::inference::ElementType::Float32;
    let mut wrong_count = card("blazeface-short-range");
    wrong_count.outputs.pop();
    for (card, expected) in
        [(wrong_shape, "[1, 47, 55, 3]"), (wrong_type, "Float32"), (wrong_count, "2 output")]
    {
        let error = runtime.load(&card, &models()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn libraries_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Runtime::open(&folder.path().join("nothing.so")).unwrap_err();
    assert!(matches!(missing, InferenceError::LibraryMissing { .. }), "{missing}");

    let text = folder.path().join("text.so");
    std::fs::write(&text, "this is no library at all, only text").unwrap();
    let no_elf = Runtime::open(&text).unwrap_err();
    assert!(matches!(no_elf, InferenceError::LibraryUnusable { .. }), "{no_elf}");

    let foreign = folder.path().join("foreign.so");
    let mut header = vec![0_u8; 64];
    header[..4].copy_from_slice(b"\x7fELF");
    let other: u16 = if std::env::consts::ARCH == "aarch64" { 62 } else { 183 };
    header[18..20].copy_from_slice(&other.to_le_bytes());
    std::fs::write(&foreign, header).unwrap();
    let error = Runtime::open(&foreign).unwrap_err();
    assert!(matches!(error, InferenceError::LibraryArchitecture { .. }), "{error}");
}
