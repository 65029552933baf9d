//! Neural networks as data: a model file, its card, and an engine that runs it.
//!
//! In: one tensor. Out: the tensors that the card names, in the card's order. Loading reads files;
//! running is pure but for the engine's own memory.
//!
//! Invariants: an [`Engine`] runs exactly the file whose SHA-256 its card states; shapes and types
//! were checked against what the runtime reports before the first run.
//! Deliberately absent: any knowledge of faces; a detector or an embedder is a card to this room.

mod card;
mod chatter;
mod check;
mod compiled;
mod error;
mod files;
mod fusion;
mod install;
mod liveness_head;
mod pixels;
mod procedure;
mod quality_head;
mod tflite;

pub use card::{
    AlignmentTemplate, Anchors, Calibration, CardError, ElementType, FeatureFacts, InvalidModelId,
    KEYPOINTS_OF_TEMPLATE, LandmarksHead, ModelCard, ModelId, ModelKind, Normalisation,
    OutputFacts, OutputRole, Provenance, Quantisation, SsdHead, TensorFacts,
};
pub use error::InferenceError;
pub(crate) use files::sha256_hex;
pub use files::{FUSION_ENDING, ModelDirectory};
pub use fusion::{FusionCard, Part};
pub use install::{InstallError, Staged, StagedFusion};
pub use liveness_head::{Activation, Channels, LivenessHead, LivenessThreshold};
pub use pixels::PixelValues;
pub use procedure::{InvalidProcedureHash, ModelKey, Procedure, ProcedureHash};
pub use quality_head::{CoveredThreshold, FacePart, QualityHead};
pub use tflite::{Runtime, TfliteEngine};

/// The numbers of one tensor, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// 32-bit floats.
    Float32(Vec<f32>),
    /// Quantised 8-bit integers.
    Int8(Vec<i8>),
}

impl Tensor {
    /// A tensor of zeros with the type and the element count that `facts` states.
    #[must_use]
    pub fn zeros(facts: &TensorFacts) -> Self {
        match facts.element_type {
            ElementType::Float32 => Self::Float32(vec![0.0; facts.len()]),
            ElementType::Int8 => Self::Int8(vec![0; facts.len()]),
        }
    }

    /// The number at `index` as a real one; `None` beyond the end, or of integers without
    /// `quantisation`.
    fn number(&self, index: usize, quantisation: Option<Quantisation>) -> Option<f32> {
        match (self, quantisation) {
            (Self::Float32(values), _) => values.get(index).copied(),
            (Self::Int8(values), Some(q)) => values
                .get(index)
                .map(|&value| ((f64::from(value) - f64::from(q.zero_point)) * q.scale) as f32),
            (Self::Int8(_), None) => None,
        }
    }

    /// The memory as bytes, in the machine's byte order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Float32(values) => bytemuck::cast_slice(values),
            Self::Int8(values) => bytemuck::cast_slice(values),
        }
    }

    /// The memory as bytes to be filled.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Float32(values) => bytemuck::cast_slice_mut(values),
            Self::Int8(values) => bytemuck::cast_slice_mut(values),
        }
    }
}

/// Where a network gives one of its outputs, and how its numbers become real ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputPlace {
    at: usize,
    quantisation: Option<Quantisation>,
}

impl OutputPlace {
    /// The output of `card` with `role`; `None` where it has none.
    #[must_use]
    pub fn of(card: &ModelCard, role: OutputRole) -> Option<Self> {
        card.output(role).map(|(at, facts)| Self { at, quantisation: facts.quantisation })
    }

    /// The tensor among all that the network gave.
    #[must_use]
    pub fn tensor(self, outputs: &[Tensor]) -> Option<&Tensor> {
        outputs.get(self.at)
    }

    /// Its number at `index`; not a number where there is none.
    #[must_use]
    pub fn number(self, outputs: &[Tensor], index: usize) -> f32 {
        self.tensor(outputs)
            .and_then(|tensor| tensor.number(index, self.quantisation))
            .unwrap_or(f32::NAN)
    }
}

/// Something that runs one network. Implementations own their memory and do not allocate per run.
pub trait Engine: Send {
    /// Runs the network once on `input` and fills `outputs`, both laid out as the card states.
    ///
    /// # Errors
    /// [`InferenceError::Run`] when the runtime fails or a buffer has the wrong length.
    fn run(&mut self, input: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError>;
}
