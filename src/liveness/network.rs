//! A network that looks at a face and at what is around it.
//!
//! In: a frame and the face in it. Out: a [`Look`]: how probably the face is live, or that too little of
//! its surroundings is in the picture. What the network is, its card says.
//!
//! Invariant: a number that is none is an error, never a probability.

use crate::detect::Detection;
use crate::frame::{Frame, Sampler};
use crate::geometry::{Point, Rect, Similarity};
use crate::inference::{
    Channels, Engine, InferenceError, LivenessHead, ModelCard, ModelId, ModelKind, OutputPlace,
    OutputRole, PixelValues, Tensor,
};

/// The square must be at least this share of what the card asks for: a face that fills the picture
/// shows no edge of a telephone or a sheet.
const VISIBLE_MIN: f32 = 0.3;
/// Samples along each side of a pixel of the crop, at most: a crop is rarely more than four times as
/// large as the network's input.
const SAMPLES_MAX: usize = 4;

/// What the network says of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// How probably the face is live, 0 to 1.
    Seen(f32),
    /// The face is too large in the picture for its surroundings to be seen.
    TooClose,
}

impl Look {
    /// How probably the face is live, 0 to 1, where that could be seen.
    #[must_use]
    pub const fn probability(self) -> Option<f32> {
        match self {
            Self::Seen(probability) => Some(probability),
            Self::TooClose => None,
        }
    }
}

/// A liveness network with the scratch memory of its runs.
pub struct LivenessNetwork {
    model: ModelId,
    head: LivenessHead,
    engine: Box<dyn Engine>,
    side: usize,
    pixel_values: PixelValues,
    output: OutputPlace,
    numbers: usize,
    pixels: Vec<[u8; 3]>,
    input: Tensor,
    outputs: Vec<Tensor>,
}

/// The networks of one door.
#[derive(Debug)]
pub struct LivenessNetworks {
    /// Looks at face and surroundings.
    pub around: LivenessNetwork,
    /// Looks closer, in turn with the first.
    pub closer: Option<LivenessNetwork>,
}

impl std::fmt::Debug for LivenessNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LivenessNetwork").field("model", &self.model).finish_non_exhaustive()
    }
}

impl LivenessNetwork {
    /// The network that `card` describes and `engine` runs.
    ///
    /// # Errors
    /// [`InferenceError::Kind`] when the card is not a liveness network's.
    pub fn new(card: &ModelCard, engine: Box<dyn Engine>) -> Result<Self, InferenceError> {
        let (Some(head), Some((_, facts)), Some(output), ModelKind::Liveness) = (
            card.liveness.clone(),
            card.output(OutputRole::Liveness),
            OutputPlace::of(card, OutputRole::Liveness),
            card.kind,
        ) else {
            let wanted = ModelKind::Liveness;
            return Err(InferenceError::Kind { model: card.id.clone(), wanted });
        };
        let (_, side) = card.input_size();
        Ok(Self {
            model: card.id.clone(),
            numbers: facts.len(),
            pixel_values: PixelValues::of(card),
            pixels: vec![[0; 3]; side * side],
            input: Tensor::zeros(&card.input),
            outputs: card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect(),
            side,
            head,
            engine,
            output,
        })
    }

    /// Looks at `face` in `frame`.
    ///
    /// # Errors
    /// [`InferenceError`] when the engine fails or gives a number that is none.
    pub fn look(&mut self, frame: &Frame<'_>, face: &Detection) -> Result<Look, InferenceError> {
        let size = (frame.width() as f32, frame.height() as f32);
        let Some(square) = square(face.bounds(), self.head.crop, size) else {
            return Ok(Look::TooClose);
        };
        let scale = square.width / self.side as f32;
        let pose = Similarity { a: scale, b: 0.0, tx: square.x, ty: square.y };
        let samples = (scale.ceil() as usize).clamp(1, SAMPLES_MAX);
        Sampler::new(*frame).fill(&mut self.pixels, self.side, pose, samples);
        if self.head.channels == Channels::Bgr {
            self.pixels.iter_mut().for_each(|pixel| pixel.reverse());
        }
        self.pixel_values.fill(&mut self.input, &self.pixels, self.side, false);
        self.engine.run(&self.input, &mut self.outputs)?;
        let number = |index| self.output.number(&self.outputs, index);
        let live = self.head.probability(number, self.numbers);
        if live.is_nan() {
            return Err(InferenceError::NotFinite {
                model: self.model.clone(),
                index: self.head.live,
            });
        }
        Ok(Look::Seen(live.clamp(0.0, 1.0)))
    }
}

/// The square around `face` whose side is `crop` times the longer side of its box, moved into a
/// picture of `size`, and shrunk to its shorter side; `None` where too little is left of it.
fn square(face: Rect, crop: f32, (width, height): (f32, f32)) -> Option<Rect> {
    let wanted = crop * face.width.max(face.height);
    let side = wanted.min(width).min(height);
    let Point { x, y } = face.centre();
    let visible = side >= VISIBLE_MIN * wanted && side > 0.0 && x.is_finite() && y.is_finite();
    visible.then(|| {
        let left = (x - side / 2.0).clamp(0.0, width - side);
        let top = (y - side / 2.0).clamp(0.0, height - side);
        Rect::new(left, top, side, side)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;

    const CARD: &str = r#"
id = "reads"
kind = "liveness"
file = "reads.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "Gives the first number of its input"
provenance = { licence = "MIT", source = "made up" }
input = { name = "crop", shape = [1, 8, 8, 3], element_type = "float32" }
normalisation = { scale = 0.00392156862745098, offset = 0.0 }
output = [{ role = "liveness", name = "live", shape = [1, 1], element_type = "float32" }]
[liveness]
crop = 2.0
channels = "rgb"
live = 0
activation = "none"
threshold = [{ bpcer = 0.01, apcer = 0.1, median = 0.5 }]
"#;

    /// Gives a number of its input.
    struct Reads(usize);

    impl Engine for Reads {
        fn run(&mut self, input: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            let (Tensor::Float32(input), [Tensor::Float32(output)]) = (input, outputs) else {
                unreachable!("the card says float32")
            };
            output.copy_from_slice(&input[self.0..=self.0]);
            Ok(())
        }
    }

    pub(in crate::liveness) fn face(x: f32, y: f32, side: f32) -> Detection {
        Detection::made_up(Rect::new(x, y, side, side), [Point::default(); 4])
    }

    /// What the network gives that reads `number` of its input, of a frame of 100 × 100 whose red rises
    /// to the right.
    fn look(text: &str, number: usize, face: &Detection) -> Look {
        let bytes = picture();
        let frame = Frame::new(&bytes, PixelFormat::Rgb, (100, 100), 300, 0, Monotonic::default());
        network(text, number).look(&frame.unwrap(), face).unwrap()
    }

    fn network(text: &str, number: usize) -> LivenessNetwork {
        LivenessNetwork::new(&ModelCard::parse(text).unwrap(), Box::new(Reads(number))).unwrap()
    }

    /// A network that takes everything in [`picture`] for a picture: 0.
    pub(in crate::liveness) fn doubter() -> LivenessNetwork {
        network(CARD, 1)
    }

    /// A network that takes everything in [`picture`] for live: 200 / 255.
    pub(in crate::liveness) fn believer() -> LivenessNetwork {
        network(CARD, 2)
    }

    /// 100 × 100 pixels of red, green and blue; the red rises to the right.
    pub(in crate::liveness) fn picture() -> Vec<u8> {
        (0..100 * 100).flat_map(|i| [(2 * (i % 100)) as u8, 0, 200]).collect()
    }

    #[test]
    fn the_crop_is_the_square_around_the_face() {
        // A face from 40 to 60: the square is from 30 to 70, its first pixel 5 wide from 30 on.
        let Look::Seen(red) = look(CARD, 0, &face(40.0, 40.0, 20.0)) else { panic!() };
        let wanted = 2.0 * (30.0 + 2.0) / 255.0;
        assert!((red - wanted).abs() < 0.01, "{red} and {wanted}");
        let Look::Seen(blue) = look(CARD, 2, &face(40.0, 40.0, 20.0)) else { panic!() };
        assert!((blue - 200.0 / 255.0).abs() < 0.01);
        let bgr = CARD.replace("rgb", "bgr");
        let Look::Seen(first) = look(&bgr, 0, &face(40.0, 40.0, 20.0)) else { panic!() };
        assert!((first - 200.0 / 255.0).abs() < 0.01, "blue first");
    }

    #[test]
    fn a_square_beyond_the_edge_is_moved_and_one_too_large_is_none() {
        let size = (640.0, 480.0);
        assert_eq!(
            square(Rect::new(0.0, 0.0, 50.0, 60.0), 4.0, size),
            Some(Rect::new(0.0, 0.0, 240.0, 240.0))
        );
        let shrunk = square(Rect::new(300.0, 200.0, 150.0, 150.0), 4.0, size).unwrap();
        assert!((shrunk.width - 480.0).abs() < 1e-3 && shrunk.x <= 160.0, "{shrunk:?}");
        assert_eq!(square(Rect::new(100.0, 20.0, 440.0, 440.0), 4.0, size), None, "step back");
        assert_eq!(square(Rect::new(f32::NAN, 0.0, 50.0, 50.0), 4.0, size), None);
        assert_eq!(
            look(&CARD.replace("crop = 2.0", "crop = 4.0"), 0, &face(5.0, 5.0, 90.0)),
            Look::TooClose
        );
    }
}
