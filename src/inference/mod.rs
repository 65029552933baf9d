//! Neural networks as data: a model file, its card, and an engine that runs it.
pub mod card;

pub use card::ModelId;
