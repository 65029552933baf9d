//! The head of a single-shot detector: anchors from parameters, decoding, clipping of scores.
//!
//! In: a frame's region. Out: decoded candidates, suppressed to one detection a face.
//! Arithmetic: a row of the box tensor is `x y w h` and then `x y` of each keypoint, offsets from
//! the anchor's centre, all divided by the card's `box_scale` to give fractions of the region;
//! the score is the sigmoid of the logit clipped at ± `score_clip`.
//! Source: MediaPipe's published graph parameters for BlazeFace short and full range.

use super::suppress::{Candidate, Suppression};
use super::{DetectError, Detections, Zones};
use crate::frame::{Frame, Resampler, Tile};
use crate::geometry::{Point, Rect};
use crate::inference::{
    Engine, InferenceError, KEYPOINTS_OF_TEMPLATE, ModelCard, ModelId, ModelKind, OutputPlace,
    OutputRole, SsdHead, Tensor,
};

/// Beyond this a number is no place in any frame: a network that gives it is broken, and sums of such
/// numbers would not be finite.
const FARTHEST_PX: f32 = 1e6;

/// An SSD model with the scratch memory of its runs.
pub struct SsdDetector {
    model: ModelId,
    head: SsdHead,
    engine: Box<dyn Engine>,
    side: usize,
    anchors: Vec<Point>,
    writer: InputWriter,
    boxes: OutputPlace,
    scores: OutputPlace,
    min_logit: f32,
    /// The same of the score from which the card says that there is a face.
    face_logit: f32,
    input: Tensor,
    outputs: Vec<Tensor>,
    resampler: Resampler,
    suppression: Suppression,
    zones: Zones,
}

/// Turns an RGB value into an element of the input tensor.
#[derive(Debug, Clone, Copy)]
struct InputWriter {
    scale: f32,
    offset: f32,
}

impl std::fmt::Debug for SsdDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SsdDetector").field("model", &self.model).finish_non_exhaustive()
    }
}

impl SsdDetector {
    /// A detector that `card` describes and `engine` runs. `min_score` (0 to 1) overrides the
    /// card's.
    ///
    /// # Errors
    /// [`InferenceError::Kind`] when the card is not a detector's, or its input is not square.
    pub fn new(
        card: &ModelCard,
        engine: Box<dyn Engine>,
        min_score: Option<f32>,
    ) -> Result<Self, InferenceError> {
        let not_a_detector =
            || InferenceError::Kind { model: card.id.clone(), wanted: ModelKind::Detector };
        let (height, width) = card.input_size();
        let (Some(head), Some(boxes), Some(scores), ModelKind::Detector, true) = (
            card.ssd.clone(),
            OutputPlace::of(card, OutputRole::Boxes),
            OutputPlace::of(card, OutputRole::Scores),
            card.kind,
            height == width,
        ) else {
            return Err(not_a_detector());
        };
        let (mut scale, mut offset) = (card.normalisation.scale, card.normalisation.offset);
        if let Some(q) = card.input.quantisation {
            scale /= q.scale;
            offset = offset / q.scale + f64::from(q.zero_point);
        }
        Ok(Self {
            model: card.id.clone(),
            anchors: anchors_of(&head),
            writer: InputWriter { scale: scale as f32, offset: offset as f32 },
            min_logit: logit(min_score.unwrap_or(head.min_score)),
            face_logit: logit(head.min_score),
            suppression: Suppression::new(head.suppression_overlap),
            input: Tensor::zeros(&card.input),
            outputs: card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect(),
            resampler: Resampler::default(),
            zones: Zones::default(),
            side: width,
            head,
            engine,
            boxes,
            scores,
        })
    }

    /// The model's name.
    #[must_use]
    pub const fn model(&self) -> &ModelId {
        &self.model
    }

    /// Must be sure by `min_score`, 0 to 1, from the next frame on.
    pub fn require(&mut self, min_score: f32) {
        self.min_logit = logit(min_score);
    }

    /// Sees faces within `zones` alone; everywhere unless this is said.
    pub fn set_zones(&mut self, zones: Zones) {
        self.zones = zones;
    }

    /// The square that holds the whole frame, centred, with a black margin.
    #[must_use]
    pub fn whole(frame: &Frame<'_>) -> Rect {
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        Rect::square_around(Point::new(width / 2.0, height / 2.0), width.max(height))
    }

    /// Finds the faces in the square `region` of `frame`, none smaller than `min_face` pixels wide,
    /// and none outside of its zones.
    ///
    /// # Errors
    /// [`DetectError`] when the engine fails, or gives numbers that are not finite or no places.
    pub fn detect(
        &mut self,
        frame: &Frame<'_>,
        region: Rect,
        min_face: f32,
        into: &mut Detections,
    ) -> Result<(), DetectError> {
        into.0.clear();
        let side = self.side;
        self.write(frame, region, Tile { first: 0, side, stride: side });
        self.engine.run(&self.input, &mut self.outputs)?;
        self.decode(region, min_face)?;
        self.suppression.run(&mut into.0);
        self.zones.keep_seen(into, (frame.width(), frame.height()));
        Ok(())
    }

    /// How far the logit of `score` (0 to 1) lies beyond that of the score from which the card says that
    /// there is a face.
    pub(super) fn beyond_card(&self, score: f32) -> f32 {
        logit(score) - self.face_logit
    }

    /// How sure the detector is of a face in the middle of `region` of `frame`: the logit beyond that
    /// of the score from which its card says that there is one.
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub(super) fn surest(&mut self, frame: &Frame<'_>, region: Rect) -> Result<f32, DetectError> {
        let side = self.side;
        self.write(frame, region, Tile { first: 0, side, stride: side });
        let [surest] = self.surest_in_tiles(1)?;
        Ok(surest)
    }

    /// The same of four pictures at once, each shown whole in a quarter of the input.
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub(super) fn surest_of_four(
        &mut self,
        pictures: [Frame<'_>; 4],
    ) -> Result<[f32; 4], DetectError> {
        let side = self.side / 2;
        for (index, picture) in pictures.iter().enumerate() {
            let first = index / 2 * side * self.side + index % 2 * side;
            self.write(picture, Self::whole(picture), Tile { first, side, stride: self.side });
        }
        self.surest_in_tiles(2)
    }

    /// Writes `region` of `frame` into a tile of the input.
    fn write(&mut self, frame: &Frame<'_>, region: Rect, tile: Tile) {
        let InputWriter { scale, offset } = self.writer;
        let resampler = &mut self.resampler;
        match &mut self.input {
            Tensor::Float32(values) => {
                let (pixels, _) = values.as_chunks_mut();
                resampler.tile(frame, region, tile, pixels, |v| v * scale + offset);
            }
            Tensor::Int8(values) => {
                let (pixels, _) = values.as_chunks_mut();
                let convert = |v: f32| (v * scale + offset).round() as i8;
                resampler.tile(frame, region, tile, pixels, convert);
            }
        }
    }

    /// Runs the network on an input of `across × across` tiles, and says of each how sure it is of a
    /// face in its middle half.
    fn surest_in_tiles<const TILES: usize>(
        &mut self,
        across: usize,
    ) -> Result<[f32; TILES], DetectError> {
        self.engine.run(&self.input, &mut self.outputs)?;
        let mut surest = [-self.head.score_clip; TILES];
        let width = 4 + 2 * self.head.keypoints;
        let unit = 1.0 / self.head.box_scale;
        // The tile that a place of 0 to 1 lies in, and how far from its middle, in tiles.
        let tile = |place: f32| {
            let tile = (place * across as f32).floor();
            (tile as usize, (place * across as f32 - tile - 0.5).abs())
        };
        for (index, anchor) in self.anchors.iter().enumerate() {
            let logit = self.scores.number(&self.outputs, index);
            let number = |column: usize| self.boxes.number(&self.outputs, index * width + column);
            let (x, y) = (anchor.x + number(0) * unit, anchor.y + number(1) * unit);
            if logit.is_nan() || !(x.is_finite() && y.is_finite()) {
                return Err(InferenceError::NotFinite { model: self.model.clone(), index }.into());
            }
            let ((column, off_x), (row, off_y)) = (tile(x), tile(y));
            let is_central = column < across && off_x.max(off_y) < 0.25;
            if let (true, Some(surest)) = (is_central, surest.get_mut(row * across + column)) {
                *surest = surest.max(logit);
            }
        }
        Ok(surest.map(|logit| logit - self.face_logit))
    }

    fn decode(&mut self, region: Rect, min_face: f32) -> Result<(), DetectError> {
        let candidates = self.suppression.candidates();
        candidates.clear();
        let width = 4 + 2 * self.head.keypoints;
        let unit = 1.0 / self.head.box_scale;
        let not_finite = |index| InferenceError::NotFinite { model: self.model.clone(), index };
        for (index, anchor) in self.anchors.iter().enumerate() {
            let logit = self.scores.number(&self.outputs, index);
            if logit.is_nan() {
                return Err(not_finite(index).into());
            }
            if logit < self.min_logit {
                continue;
            }
            let row = index * width;
            let number = |column: usize| self.boxes.number(&self.outputs, row + column) * unit;
            let place = |column: usize| {
                Point::new(
                    (anchor.x + number(column)) * region.width + region.x,
                    (anchor.y + number(column + 1)) * region.height + region.y,
                )
            };
            let mut keypoints = [Point::default(); KEYPOINTS_OF_TEMPLATE];
            for (point, column) in keypoints.iter_mut().zip((4..).step_by(2)) {
                *point = place(column);
            }
            let (centre, face_width, face_height) =
                (place(0), number(2) * region.width, number(3) * region.height);
            let is_place = |length: f32| length.abs() <= FARTHEST_PX;
            let places = [centre.x, centre.y, face_width, face_height];
            let all_are = places.into_iter().all(is_place)
                && keypoints.iter().all(|p| is_place(p.x) && is_place(p.y));
            if !all_are {
                return Err(not_finite(row).into());
            }
            if face_width < min_face || face_height <= 0.0 {
                continue;
            }
            let clipped = logit.clamp(-self.head.score_clip, self.head.score_clip);
            candidates.push(Candidate {
                bounds: Rect::new(
                    centre.x - face_width / 2.0,
                    centre.y - face_height / 2.0,
                    face_width,
                    face_height,
                ),
                keypoints,
                score: 1.0 / (1.0 + (-clipped).exp()),
            });
        }
        Ok(())
    }
}

/// The logit whose sigmoid is `score`, 0 to 1; never infinite.
fn logit(score: f32) -> f32 {
    let score = score.clamp(1e-6, 1.0 - 1e-6);
    (score / (1.0 - score)).ln()
}

/// Centres of all anchors, in fractions of the input's side.
fn anchors_of(head: &SsdHead) -> Vec<Point> {
    let mut centres = Vec::new();
    for anchors in &head.anchors {
        for row in 0..anchors.grid {
            for column in 0..anchors.grid {
                let middle = |cell: usize| (cell as f32 + 0.5) / anchors.grid as f32;
                let centre = Point::new(middle(column), middle(row));
                centres.extend(std::iter::repeat_n(centre, anchors.per_cell));
            }
        }
    }
    centres
}
