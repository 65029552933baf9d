//! The rules that a model card must keep, so that what relies on it need not ask again.
//!
//! In: a parsed [`ModelCard`]. Out: nothing, or the first key at fault with what was found and what
//! would be right. Held: shapes with a batch of one, a template inside the crop where faces are
//! embedded, anchors that cover exactly the boxes that the network gives, calibrations that get
//! stricter. Deliberately absent: what only the model file can tell; `tflite.rs` compares the two.

use super::card::{
    AlignmentTemplate, Calibration, CardError, ElementType, FeatureFacts, KEYPOINTS_OF_TEMPLATE,
    ModelCard, ModelKind, OutputRole, SsdHead, TensorFacts,
};

/// The most elements of a tensor.
const MAX_ELEMENTS: usize = 1 << 26;

fn wrong(key: &'static str, problem: String) -> Result<(), CardError> {
    Err(CardError::Inconsistent { key, problem })
}

impl ModelCard {
    /// Holds the card against every rule.
    pub(super) fn check(&self) -> Result<(), CardError> {
        if self.file.contains('/') || !self.file.ends_with(".tflite") {
            return wrong(
                "file",
                format!("'{}' must be a file name ending in .tflite, without a folder", self.file),
            );
        }
        check_hash("sha256", &self.sha256)?;
        if !matches!(self.input.shape.as_slice(), [1, 1..=4096, 1..=4096, 3]) {
            return wrong(
                "input.shape",
                format!(
                    "is {:?}; must be [1, height, width, 3] with sides up to 4096: export the model with a fixed batch of 1",
                    self.input.shape
                ),
            );
        }
        let (scale, offset) = (self.normalisation.scale, self.normalisation.offset);
        if !(scale.is_finite() && offset.is_finite()) {
            return wrong(
                "normalisation",
                format!("scale {scale} and offset {offset} must be finite numbers"),
            );
        }
        check_tensor("input", &self.input)?;
        for output in &self.outputs {
            check_tensor("output", &output.tensor)?;
        }
        match self.kind {
            ModelKind::Detector => self.check_detector(),
            ModelKind::Landmarker => self.check_landmarker(),
            ModelKind::Embedder => self.check_embedder(),
            ModelKind::Liveness => self.check_liveness(),
            ModelKind::Quality => self.check_quality(),
        }
    }

    fn check_quality(&self) -> Result<(), CardError> {
        self.without_those_of_others(&["quality", "alignment"])?;
        let Some(head) = &self.quality else {
            return wrong("quality", "is missing; a judge of covered faces needs it".into());
        };
        let Some(alignment) = &self.alignment else {
            return wrong("alignment", "is missing; a judge of covered faces needs it".into());
        };
        self.check_template(alignment)?;
        match self.output(OutputRole::Covered) {
            Some((_, output)) => head.check(output),
            None => self.without(OutputRole::Covered),
        }
    }

    fn check_liveness(&self) -> Result<(), CardError> {
        self.without_those_of_others(&["liveness"])?;
        let Some(head) = &self.liveness else {
            return wrong("liveness", "is missing; a liveness network needs it".into());
        };
        let (height, width) = self.input_size();
        if height != width {
            return wrong(
                "input.shape",
                format!("is {:?}; a liveness network's input must be square", self.input.shape),
            );
        }
        match self.output(OutputRole::Liveness) {
            Some((_, output)) => head.check(output),
            None => self.without(OutputRole::Liveness),
        }
    }

    fn check_detector(&self) -> Result<(), CardError> {
        let Some(ssd) = &self.ssd else {
            return wrong("ssd", "is missing; a detector needs it".into());
        };
        self.without_those_of_others(&["ssd"])?;
        let (height, width) = self.input_size();
        if height != width {
            return wrong(
                "input.shape",
                format!("is {:?}; a detector's input must be square", self.input.shape),
            );
        }
        check_head(ssd)?;
        let (anchors, values) = (anchors_of(ssd)?, 4 + 2 * ssd.keypoints);
        for (role, width) in [(OutputRole::Boxes, values), (OutputRole::Scores, 1)] {
            match self.output(role) {
                Some((_, t)) if t.shape == [1, anchors, width] => {}
                Some((_, t)) => {
                    return wrong(
                        "output",
                        format!(
                            "'{}' has shape {:?}; ssd.anchors and ssd.keypoints make it [1, {anchors}, {width}]",
                            t.name, t.shape
                        ),
                    );
                }
                None => return self.without(role),
            }
        }
        Ok(())
    }

    fn check_embedder(&self) -> Result<(), CardError> {
        self.without_those_of_others(&["alignment", "keypoints_by", "features", "calibration"])?;
        let Some(alignment) = &self.alignment else {
            return wrong("alignment", "is missing; an embedder needs it".into());
        };
        let Some(features) = &self.features else {
            return wrong("features", "is missing; an embedder needs it".into());
        };
        self.check_template(alignment)?;
        match self.output(OutputRole::Features) {
            Some((_, t)) if t.len() == features.length => {}
            Some((_, t)) => {
                return wrong(
                    "features.length",
                    format!(
                        "is {}, but output '{}' has {} numbers",
                        features.length,
                        t.name,
                        t.len()
                    ),
                );
            }
            None => return self.without(OutputRole::Features),
        }
        check_mean(features)?;
        check_calibrations(&self.calibrations)
    }

    fn check_landmarker(&self) -> Result<(), CardError> {
        self.without_those_of_others(&["landmarks", "alignment"])?;
        let Some(head) = &self.landmarks else {
            return wrong("landmarks", "is missing; a landmarker needs it".into());
        };
        let Some(alignment) = &self.alignment else {
            return wrong("alignment", "is missing; a landmarker needs it".into());
        };
        self.check_template(alignment)?;
        if !(0.0..=1.0).contains(&head.min_presence) {
            return wrong(
                "landmarks.min_presence",
                format!("is {}; must be 0 to 1", head.min_presence),
            );
        }
        match self.output(OutputRole::Presence) {
            Some((_, t)) if t.len() == 1 => {}
            Some((_, t)) => {
                return wrong(
                    "output",
                    format!("'{}' has {} numbers; a presence is one", t.name, t.len()),
                );
            }
            None => return self.without(OutputRole::Presence),
        }
        let Some((_, landmarks)) = self.output(OutputRole::Landmarks) else {
            return self.without(OutputRole::Landmarks);
        };
        if head.values < 2 || !landmarks.len().is_multiple_of(head.values) {
            return wrong(
                "landmarks.values",
                format!(
                    "is {}; must be at least 2, and divide the {} numbers of output '{}'",
                    head.values,
                    landmarks.len(),
                    landmarks.name
                ),
            );
        }
        let count = landmarks.len() / head.values;
        for (name, chosen) in head.keypoints() {
            if chosen.is_empty() || chosen.iter().any(|&landmark| landmark >= count) {
                return wrong(
                    "landmarks",
                    format!(
                        "{name} is {chosen:?}; must name one or more of the {count} landmarks, counted from 0"
                    ),
                );
            }
        }
        Ok(())
    }

    /// Refuses a section that this kind of card does not have: `own` are the kind's.
    fn without_those_of_others(&self, own: &[&str]) -> Result<(), CardError> {
        let sections = [
            ("ssd", self.ssd.is_some(), "detectors"),
            ("landmarks", self.landmarks.is_some(), "landmarkers"),
            (
                "alignment",
                self.alignment.is_some(),
                "embedders, landmarkers and judges of covered faces",
            ),
            ("keypoints_by", self.keypoints_by.is_some(), "embedders"),
            ("features", self.features.is_some(), "embedders"),
            ("calibration", !self.calibrations.is_empty(), "embedders"),
            ("liveness", self.liveness.is_some(), "liveness networks"),
            ("quality", self.quality.is_some(), "judges of covered faces"),
        ];
        match sections.into_iter().find(|(key, there, _)| *there && !own.contains(key)) {
            None => Ok(()),
            Some((key, _, owners)) => wrong(
                "kind",
                format!(
                    "is '{}', but the card has '{key}', which belongs to {owners}: correct the kind, or take it out",
                    self.kind
                ),
            ),
        }
    }

    fn check_template(&self, alignment: &AlignmentTemplate) -> Result<(), CardError> {
        let (height, width) = self.input_size();
        let names = ["right_eye", "left_eye", "nose_tip", "mouth_centre"];
        for (name, p) in names.into_iter().zip(alignment.points()) {
            let inside = p.x > 0.0 && p.y > 0.0 && p.x < width as f32 && p.y < height as f32;
            if !inside {
                return wrong(
                    "alignment",
                    format!(
                        "{name} is [{}, {}]; every point must lie inside the {width}×{height} input",
                        p.x, p.y
                    ),
                );
            }
        }
        Ok(())
    }

    fn without(&self, role: OutputRole) -> Result<(), CardError> {
        let found: Vec<String> = self.outputs.iter().map(|o| o.role.to_string()).collect();
        wrong(
            "output",
            format!(
                "none has the role '{role}', which {kinds} need; the roles are {found:?}",
                kinds = self.kind.plural()
            ),
        )
    }
}

/// Whether `hash` can be a SHA-256.
pub(super) fn check_hash(key: &'static str, hash: &str) -> Result<(), CardError> {
    let is_hash =
        hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_hash {
        return Ok(());
    }
    wrong(
        key,
        format!("'{hash}' must be 64 lower-case hexadecimal digits, as 'sha256sum FILE' prints"),
    )
}

/// Every table of `calibrations`.
pub(super) fn check_calibrations(calibrations: &[Calibration]) -> Result<(), CardError> {
    calibrations.iter().try_for_each(check_calibration)
}

fn check_tensor(key: &'static str, tensor: &TensorFacts) -> Result<(), CardError> {
    let wrong = |problem: String| wrong(key, problem);
    let elements = tensor.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    let fits = elements.is_some_and(|elements| (1..=MAX_ELEMENTS).contains(&elements));
    if tensor.shape.first() != Some(&1) || !fits {
        return wrong(format!(
            "tensor '{}' has shape {:?}; the first number (batch) must be 1, none may be 0, and all multiplied at most {MAX_ELEMENTS}",
            tensor.name, tensor.shape
        ));
    }
    match (tensor.element_type, tensor.quantisation) {
        (ElementType::Int8, Some(q)) if q.scale.is_finite() && q.scale > 0.0 => Ok(()),
        (ElementType::Int8, _) => wrong(format!(
            "tensor '{}' is int8 and needs 'quantisation' with a scale above 0",
            tensor.name
        )),
        (ElementType::Float32, None) => Ok(()),
        (ElementType::Float32, Some(_)) => {
            wrong(format!("tensor '{}' is float32 and must have no 'quantisation'", tensor.name))
        }
    }
}

fn check_head(ssd: &SsdHead) -> Result<(), CardError> {
    if !(KEYPOINTS_OF_TEMPLATE..=MAX_ELEMENTS).contains(&ssd.keypoints) {
        return wrong(
            "ssd.keypoints",
            format!(
                "is {}; must be at least {KEYPOINTS_OF_TEMPLATE}, for alignment, and fit the boxes",
                ssd.keypoints
            ),
        );
    }
    let above_zero = |v: f32| v.is_finite() && v > 0.0;
    let in_unit = |v: f32| (0.0..=1.0).contains(&v);
    for (key, value, fits, right) in [
        ("ssd.box_scale", ssd.box_scale, above_zero(ssd.box_scale), "above 0"),
        ("ssd.score_clip", ssd.score_clip, above_zero(ssd.score_clip), "above 0"),
        ("ssd.min_score", ssd.min_score, in_unit(ssd.min_score), "0 to 1"),
        (
            "ssd.suppression_overlap",
            ssd.suppression_overlap,
            in_unit(ssd.suppression_overlap),
            "0 to 1",
        ),
    ] {
        if !fits {
            return wrong(key, format!("is {value}; must be {right}"));
        }
    }
    Ok(())
}

/// How many anchors the grids have together.
fn anchors_of(ssd: &SsdHead) -> Result<usize, CardError> {
    let of_grid = |a: &super::card::Anchors| a.grid.checked_mul(a.grid)?.checked_mul(a.per_cell);
    ssd.anchors
        .iter()
        .try_fold(0_usize, |sum, grid| sum.checked_add(of_grid(grid)?))
        .filter(|anchors| *anchors <= MAX_ELEMENTS)
        .ok_or_else(|| CardError::Inconsistent {
            key: "ssd.anchors",
            problem: format!(
                "{:?} are more than {MAX_ELEMENTS} anchors; there must be one for each box",
                ssd.anchors
            ),
        })
}

fn check_mean(features: &FeatureFacts) -> Result<(), CardError> {
    if !(features.mean.is_empty() || features.mean.len() == features.length) {
        return wrong(
            "features.mean",
            format!("has {} numbers, must have none or {}", features.mean.len(), features.length),
        );
    }
    match features.mean.iter().position(|v| !v.is_finite()) {
        Some(index) => {
            wrong("features.mean", format!("number {index} is not finite; every one must be"))
        }
        None => Ok(()),
    }
}

/// The thresholds of a similarity must rise while the rate falls, those of a distance must fall.
fn check_calibration(calibration: &Calibration) -> Result<(), CardError> {
    let wrong = |problem: String| wrong("calibration", problem);
    let metric = calibration.metric.as_str();
    let rises = match metric {
        "cosine" => true,
        "euclidean" | "euclidean-l2" => false,
        _ => {
            return wrong(format!(
                "has the metric '{metric}'; must be cosine, euclidean or euclidean-l2"
            ));
        }
    };
    if calibration.points.is_empty() {
        return wrong(format!("for {metric} has no points; it needs one or more"));
    }
    for points in [&calibration.points, &calibration.average] {
        if let Some(problem) = disorder(points, rises) {
            return wrong(format!("for {metric}: {problem}"));
        }
    }
    if calibration.average.is_empty() != calibration.worst_group.is_none() {
        return wrong(format!(
            "for {metric} has one of 'worst_group' and 'average'; where groups are told apart it needs both"
        ));
    }
    // A claim for the group that fares worst is never the more lenient one.
    let lenient = calibration.average.iter().find_map(|&[rate, average]| {
        let of_rate = |point: &&[f64; 2]| point[0].to_bits() == rate.to_bits();
        let [_, worst] = calibration.points.iter().find(of_rate)?;
        let stricter = if rises { *worst >= average } else { *worst <= average };
        (!stricter).then_some((rate, *worst, average))
    });
    match lenient {
        Some((rate, worst, average)) => wrong(format!(
            "for {metric}: at {rate} the worst group has {worst}, more lenient than the average's {average}; it must be as strict or stricter"
        )),
        None => Ok(()),
    }
}

/// The first of `points` that is no rate with a score, or in the wrong order.
fn disorder(points: &[[f64; 2]], rises: bool) -> Option<String> {
    for &[rate, threshold] in points {
        if !(rate > 0.0 && rate < 1.0 && threshold.is_finite()) {
            return Some(format!(
                "point [{rate}, {threshold}] must be a rate above 0 and below 1 and a finite score"
            ));
        }
    }
    for (&[rate, threshold], &[next_rate, next]) in points.iter().zip(points.iter().skip(1)) {
        let stricter = if rises { next > threshold } else { next < threshold };
        if !(next_rate < rate && stricter) {
            return Some(format!(
                "point [{next_rate}, {next}] must have a lower rate and a stricter score than [{rate}, {threshold}]"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests;
