//! Cards with one mistake each: which file, which key, what was found, what would be right.
//!
//! In: a card without fault and one change to its text. Out: the words of the error, read as the
//! program reads a card, from a folder. The shipped cards are held against the rules as well.

use super::super::{CardError, FusionCard, InferenceError, ModelDirectory, ModelId};
use super::*;

const DETECTOR: &str = r#"
id = "finder"
kind = "detector"
file = "finder.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "A detector"
[provenance]
licence = "MIT"
source = "made up"
[input]
name = "picture"
shape = [1, 64, 64, 3]
element_type = "float32"
[normalisation]
scale = 0.0078
offset = -1.0
[[output]]
role = "boxes"
name = "regressors"
shape = [1, 40, 16]
element_type = "float32"
[[output]]
role = "scores"
name = "classificators"
shape = [1, 40, 1]
element_type = "float32"
[ssd]
anchors = [{ grid = 4, per_cell = 2 }, { grid = 2, per_cell = 2 }]
box_scale = 64.0
keypoints = 6
score_clip = 100.0
min_score = 0.5
suppression_overlap = 0.3
"#;

const LANDMARKER: &str = r#"
id = "places"
kind = "landmarker"
file = "places.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "A landmarker"
[provenance]
licence = "MIT"
source = "made up"
[input]
name = "crop"
shape = [1, 64, 64, 3]
element_type = "float32"
[normalisation]
scale = 0.0039
offset = 0.0
[[output]]
role = "landmarks"
name = "places"
shape = [1, 15]
element_type = "float32"
[[output]]
role = "presence"
name = "there"
shape = [1, 1]
element_type = "float32"
[alignment]
right_eye = [23.0, 25.0]
left_eye = [41.0, 25.0]
nose_tip = [32.0, 35.0]
mouth_centre = [32.0, 45.0]
[landmarks]
values = 3
min_presence = 0.5
right_eye = [0]
left_eye = [1]
nose_tip = [2]
mouth_centre = [3, 4]
"#;

const EMBEDDER: &str = r#"
id = "embedder"
kind = "embedder"
file = "embedder.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "An embedder"
[provenance]
licence = "MIT"
source = "made up"
[input]
name = "crop"
shape = [1, 55, 47, 3]
element_type = "int8"
quantisation = { scale = 0.0078, zero_point = -1 }
[normalisation]
scale = 0.0078
offset = -1.0
[[output]]
role = "features"
name = "numbers"
shape = [1, 3]
element_type = "float32"
[alignment]
right_eye = [16.0, 22.5]
left_eye = [32.0, 22.5]
nose_tip = [24.0, 31.6]
mouth_centre = [24.0, 41.0]
[features]
length = 3
mean = [1.0, 2.0, 3.0]
[[calibration]]
metric = "cosine"
mirrored = true
source = "made up"
points = [[1e-2, 0.2], [1e-3, 0.3]]
[[calibration]]
metric = "euclidean"
mirrored = true
source = "made up"
points = [[1e-2, 9.0], [1e-3, 8.0]]
"#;

const TEMPLATE: &str = "[alignment]
right_eye = [16.0, 22.5]
left_eye = [32.0, 22.5]
nose_tip = [24.0, 31.6]
mouth_centre = [24.0, 41.0]
";

/// What is said of `card` with `old` replaced by `new`, read from a folder.
fn refusal(card: &str, old: &str, new: &str) -> String {
    assert!(card.contains(old), "the card has no {old:?}");
    let text = card.replacen(old, new, 1);
    let id = match card {
        DETECTOR => "finder",
        LANDMARKER => "places",
        _ => "embedder",
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{id}.toml"));
    std::fs::write(&path, text).unwrap();
    let error = ModelDirectory::new(vec![folder.path().into()])
        .card(&ModelId::new(id).unwrap())
        .unwrap_err();
    assert!(matches!(error, InferenceError::CardInvalid { .. }), "{old:?}: {error}");
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "which card? {text}");
    assert!(text.contains("correct the card"), "what to do? {text}");
    text
}

#[test]
fn cards_without_fault_are_taken() {
    for text in [DETECTOR, LANDMARKER, EMBEDDER] {
        ModelCard::parse(text).unwrap();
    }
    let shipped = ModelDirectory::new(vec![concat!(env!("CARGO_MANIFEST_DIR"), "/models").into()]);
    let cards: Vec<_> = shipped.cards().into_iter().map(Result::unwrap).collect();
    assert!(cards.iter().any(|card| card.id.as_str() == "deepid2"), "{cards:?}");
}

/// A fusion is of two very files: a network that is made anew takes its fusion cards with it.
#[test]
fn the_shipped_fusions_are_of_the_shipped_networks_and_hold_for_the_worst_group() {
    let shipped = ModelDirectory::new(vec![concat!(env!("CARGO_MANIFEST_DIR"), "/models").into()]);
    let fusions: Vec<_> = shipped.fusions().into_iter().map(Result::unwrap).collect();
    assert!(fusions.iter().any(|fusion| fusion.id.as_str() == "deepid2-pair"), "{fusions:?}");
    for fusion in fusions {
        for (part, key) in [(&fusion.first, "first"), (&fusion.second, "second")] {
            FusionCard::belongs(part, key, &shipped.card(&part.id).unwrap()).unwrap();
        }
        assert!(!fusion.calibrations.is_empty(), "{}", fusion.id);
        for table in &fusion.calibrations {
            assert!(table.worst_group.is_some(), "{}: {table:?}", fusion.id);
        }
    }
}

#[test]
fn keys_that_are_unknown_missing_or_of_another_type_are_refused_by_name() {
    for (card, old, new, found, right) in [
        (DETECTOR, "title =", "titel =", "unknown field `titel`", "`title`"),
        (DETECTOR, "licence =", "license =", "unknown field `license`", "`licence`"),
        (
            DETECTOR,
            "box_scale = 64.0",
            "box_scale = 64.0\nbox = 1",
            "unknown field `box`",
            "`box_scale`",
        ),
        (DETECTOR, "per_cell = 2", "per_cell = 2, size = 1", "unknown field `size`", "`per_cell`"),
        (
            EMBEDDER,
            "name = \"numbers\"",
            "name = \"numbers\"\nunit = 1",
            "unknown field `unit`",
            "",
        ),
        (EMBEDDER, "title = \"An embedder\"\n", "", "missing field `title`", ""),
        (EMBEDDER, "kind = \"embedder\"", "kind = \"encoder\"", "`encoder`", "`embedder`"),
        (EMBEDDER, "role = \"features\"", "role = \"vector\"", "`vector`", "`features`"),
        (EMBEDDER, "id = \"embedder\"", "id = \"The Embedder\"", "'The Embedder'", "a-z, 0-9"),
        (EMBEDDER, "length = 3", "length = \"three\"", "\"three\"", "usize"),
        (EMBEDDER, "zero_point = -1", "zero_point = 400", "400", "i8"),
    ] {
        let text = refusal(card, old, new);
        assert!(text.contains(found) && text.contains(right), "{new:?}: {text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one row a mistake")]
fn each_contradiction_names_its_key_what_was_found_and_what_would_be_right() {
    let hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (card, old, new, key, found, right) in [
        (EMBEDDER, "id = \"embedder\"", "id = \"other\"", "id", "'other'", "'embedder'"),
        (
            EMBEDDER,
            "file = \"embedder",
            "file = \"../embedder",
            "file",
            "'../embedder.tflite'",
            "without a folder",
        ),
        (EMBEDDER, "embedder.tflite", "embedder.onnx", "file", "'embedder.onnx'", ".tflite"),
        (EMBEDDER, hash, "abc", "sha256", "'abc'", "64 lower-case"),
        (
            EMBEDDER,
            "0123456789abcdef0",
            "0123456789ABCDEF0",
            "sha256",
            "'0123456789ABCDEF0",
            "64 lower-case",
        ),
        (
            EMBEDDER,
            "0123456789abcdef0",
            "0123456789abcdeg0",
            "sha256",
            "'0123456789abcdeg0",
            "64 lower-case",
        ),
        (
            EMBEDDER,
            "[1, 55, 47, 3]",
            "[2, 55, 47, 3]",
            "input.shape",
            "[2, 55, 47, 3]",
            "fixed batch of 1",
        ),
        (
            EMBEDDER,
            "[1, 55, 47, 3]",
            "[1, 55, 47, 1]",
            "input.shape",
            "[1, 55, 47, 1]",
            "[1, height, width, 3]",
        ),
        (EMBEDDER, "[1, 55, 47, 3]", "[1, 55, 9999, 3]", "input.shape", "9999", "4096"),
        (DETECTOR, "[1, 64, 64, 3]", "[1, 64, 48, 3]", "input.shape", "[1, 64, 48, 3]", "square"),
        (
            EMBEDDER,
            "scale = 0.0078\noffset",
            "scale = inf\noffset",
            "normalisation",
            "inf",
            "finite",
        ),
        (
            EMBEDDER,
            "quantisation = { scale = 0.0078, zero_point = -1 }\n",
            "",
            "input",
            "'crop' is int8",
            "'quantisation'",
        ),
        (EMBEDDER, "{ scale = 0.0078", "{ scale = 0.0", "input", "'crop' is int8", "scale above 0"),
        (
            EMBEDDER,
            "element_type = \"int8\"",
            "element_type = \"float32\"",
            "input",
            "'crop' is float32",
            "no 'quantisation'",
        ),
        (EMBEDDER, "[1, 3]", "[4, 3]", "output", "[4, 3]", "must be 1"),
        (EMBEDDER, "[1, 3]", "[1, 0]", "output", "[1, 0]", "none may be 0"),
        (EMBEDDER, "[1, 3]", "[1, 4294967296, 4294967296]", "output", "4294967296", "at most"),
        // A kind that does not fit the rest.
        (
            DETECTOR,
            "kind = \"detector\"",
            "kind = \"embedder\"",
            "kind",
            "'embedder', but the card has 'ssd'",
            "correct the kind",
        ),
        (
            DETECTOR,
            "[ssd]",
            "[features]\nlength = 3\n[ssd]",
            "kind",
            "'detector', but the card has 'features'",
            "correct the kind",
        ),
        (
            DETECTOR,
            "[ssd]",
            format!("{TEMPLATE}[ssd]").as_str(),
            "kind",
            "'detector', but the card has 'alignment'",
            "correct the kind",
        ),
        (
            LANDMARKER,
            "[alignment]",
            "[features]\nlength = 3\n[alignment]",
            "kind",
            "'landmarker', but the card has 'features'",
            "correct the kind",
        ),
        (
            DETECTOR,
            "title =",
            "keypoints_by = \"places\"\ntitle =",
            "kind",
            "'detector', but the card has 'keypoints_by'",
            "belongs to embedders",
        ),
        (
            EMBEDDER,
            "kind = \"embedder\"",
            "kind = \"landmarker\"",
            "kind",
            "'landmarker', but the card has 'features'",
            "correct the kind",
        ),
        // Landmarks and the tensors that they are read from.
        (LANDMARKER, "values = 3", "values = 4", "landmarks.values", "is 4", "divide the 15"),
        (LANDMARKER, "values = 3", "values = 1", "landmarks.values", "is 1", "at least 2"),
        (
            LANDMARKER,
            "nose_tip = [2]",
            "nose_tip = [5]",
            "landmarks",
            "nose_tip is [5]",
            "of the 5",
        ),
        (
            LANDMARKER,
            "nose_tip = [2]",
            "nose_tip = []",
            "landmarks",
            "nose_tip is []",
            "one or more",
        ),
        (
            LANDMARKER,
            "presence = 0.5",
            "presence = nan",
            "landmarks.min_presence",
            "is NaN",
            "0 to 1",
        ),
        (LANDMARKER, "[1, 1]", "[1, 2]", "output", "'there' has 2", "a presence is one"),
        (LANDMARKER, "[23.0, 25.0]", "[23.0, 65.0]", "alignment", "right_eye is [23, 65]", "64×64"),
        (
            LANDMARKER,
            "role = \"presence\"",
            "role = \"scores\"",
            "output",
            "none has the role 'presence'",
            "landmarkers need",
        ),
        // Anchors, keypoints and the tensors that follow from them.
        (
            DETECTOR,
            "per_cell = 2 }, {",
            "per_cell = 3 }, {",
            "output",
            "[1, 40, 16]",
            "[1, 56, 16]",
        ),
        (DETECTOR, "keypoints = 6", "keypoints = 5", "output", "[1, 40, 16]", "[1, 40, 14]"),
        (DETECTOR, "keypoints = 6", "keypoints = 3", "ssd.keypoints", "is 3", "at least 4"),
        (
            DETECTOR,
            "keypoints = 6",
            "keypoints = 9223372036854775807",
            "ssd.keypoints",
            "is 9223372036854775807",
            "at least 4",
        ),
        (
            DETECTOR,
            "grid = 4",
            "grid = 9223372036854775807",
            "ssd.anchors",
            "9223372036854775807",
            "one for each box",
        ),
        (
            DETECTOR,
            "[1, 40, 1]",
            "[1, 40, 2]",
            "output",
            "'classificators' has shape [1, 40, 2]",
            "[1, 40, 1]",
        ),
        (
            DETECTOR,
            "role = \"scores\"",
            "role = \"boxes\"",
            "output",
            "[\"boxes\", \"boxes\"]",
            "role 'scores'",
        ),
        (DETECTOR, "box_scale = 64.0", "box_scale = 0.0", "ssd.box_scale", "is 0", "above 0"),
        (DETECTOR, "score_clip = 100.0", "score_clip = inf", "ssd.score_clip", "is inf", "above 0"),
        (DETECTOR, "min_score = 0.5", "min_score = 1.5", "ssd.min_score", "is 1.5", "0 to 1"),
        (DETECTOR, "overlap = 0.3", "overlap = nan", "ssd.suppression_overlap", "is NaN", "0 to 1"),
        // Template and features.
        (EMBEDDER, TEMPLATE, "", "alignment", "is missing", "an embedder needs it"),
        (
            EMBEDDER,
            "right_eye = [16.0",
            "right_eye = [-1.0",
            "alignment",
            "right_eye is [-1, 22.5]",
            "inside the 47×55 input",
        ),
        (
            EMBEDDER,
            "mouth_centre = [24.0, 41.0]",
            "mouth_centre = [24.0, 55.0]",
            "alignment",
            "mouth_centre is [24, 55]",
            "inside the 47×55 input",
        ),
        (
            EMBEDDER,
            "nose_tip = [24.0",
            "nose_tip = [nan",
            "alignment",
            "nose_tip is [NaN, 31.6]",
            "inside the 47×55 input",
        ),
        (
            EMBEDDER,
            "[features]\nlength = 3\nmean = [1.0, 2.0, 3.0]\n",
            "",
            "features",
            "is missing",
            "an embedder needs it",
        ),
        (
            EMBEDDER,
            "role = \"features\"",
            "role = \"scores\"",
            "output",
            "[\"scores\"]",
            "role 'features'",
        ),
        (EMBEDDER, "length = 3", "length = 4", "features.length", "is 4", "has 3 numbers"),
        (
            EMBEDDER,
            "mean = [1.0, 2.0, 3.0]",
            "mean = [1.0, 2.0]",
            "features.mean",
            "has 2 numbers",
            "none or 3",
        ),
        (
            EMBEDDER,
            "mean = [1.0, 2.0, 3.0]",
            "mean = [1.0, nan, 3.0]",
            "features.mean",
            "number 1",
            "not finite",
        ),
        // Calibration.
        (
            EMBEDDER,
            "\"cosine\"",
            "\"cosin\"",
            "calibration",
            "'cosin'",
            "cosine, euclidean or euclidean-l2",
        ),
        (
            EMBEDDER,
            "[[1e-2, 0.2], [1e-3, 0.3]]",
            "[]",
            "calibration",
            "has no points",
            "one or more",
        ),
        (
            EMBEDDER,
            "[1e-3, 0.3]",
            "[1e-2, 0.3]",
            "calibration",
            "point [0.01, 0.3]",
            "a lower rate",
        ),
        (
            EMBEDDER,
            "[1e-3, 0.3]",
            "[1e-3, 0.2]",
            "calibration",
            "point [0.001, 0.2]",
            "a stricter score than [0.01, 0.2]",
        ),
        (
            EMBEDDER,
            "[1e-3, 8.0]",
            "[1e-3, 9.5]",
            "calibration",
            "for euclidean: point [0.001, 9.5]",
            "a stricter score",
        ),
        (EMBEDDER, "[1e-3, 0.3]", "[0.0, 0.3]", "calibration", "point [0, 0.3]", "a rate above 0"),
        (
            EMBEDDER,
            "[[1e-2, 0.2], [1e-3, 0.3]]",
            "[[1e-2, 0.2], [1e-3, 0.3]]\naverage = [[1e-3, 0.2]]",
            "calibration",
            "one of 'worst_group' and 'average'",
            "it needs both",
        ),
        (
            EMBEDDER,
            "[[1e-2, 0.2], [1e-3, 0.3]]",
            "[[1e-2, 0.2], [1e-3, 0.3]]\nworst_group = \"x\"\naverage = [[1e-3, 0.31]]",
            "calibration",
            "at 0.001 the worst group has 0.3",
            "as strict or stricter",
        ),
        (
            EMBEDDER,
            "[[1e-2, 9.0], [1e-3, 8.0]]",
            "[[1e-2, 9.0], [1e-3, 8.0]]\nworst_group = \"x\"\naverage = [[1e-2, 8.5]]",
            "calibration",
            "for euclidean: at 0.01 the worst group has 9",
            "as strict or stricter",
        ),
        (
            EMBEDDER,
            "[[1e-2, 9.0], [1e-3, 8.0]]",
            "[[1e-2, 9.0], [1e-3, 8.0]]\nworst_group = \"x\"\naverage = [[1e-2, 9.5], [1e-2, 9.0]]",
            "calibration",
            "for euclidean: point [0.01, 9]",
            "a lower rate",
        ),
        (
            EMBEDDER,
            "[1e-3, 0.3]",
            "[1e-3, inf]",
            "calibration",
            "point [0.001, inf]",
            "a finite score",
        ),
    ] {
        let text = refusal(card, old, new);
        assert!(text.contains(&format!("key '{key}'")), "key {key} of {new:?}: {text}");
        assert!(text.contains(found) && text.contains(right), "{new:?}: {text}");
    }
}

#[test]
fn syntax_and_contradiction_can_be_told_apart() {
    assert!(matches!(ModelCard::parse("id ="), Err(CardError::Syntax(_))));
    let contradicts = ModelCard::parse(&EMBEDDER.replacen("length = 3", "length = 4", 1));
    assert!(matches!(contradicts, Err(CardError::Inconsistent { key: "features.length", .. })));
}

#[test]
fn a_model_of_the_wrong_kind_is_sent_to_the_setting_that_names_it() {
    let remedy =
        |wanted| InferenceError::Kind { model: ModelId::new("some").unwrap(), wanted }.to_string();
    for (wanted, settings) in [
        (ModelKind::Detector, &["models.find", "models.follow"][..]),
        (ModelKind::Embedder, &["models.embedder"]),
    ] {
        let text = remedy(wanted);
        assert!(text.contains(&format!("kind = \"{wanted}\"")), "{text}");
        for setting in settings {
            assert!(text.contains(setting), "{text}");
        }
    }
    assert!(!remedy(ModelKind::Detector).contains("models.detector"));
}
