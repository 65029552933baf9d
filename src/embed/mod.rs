//! An aligned face becomes a feature vector.
mod feature;
pub mod quality;

pub use feature::FeatureVector;
pub use quality::Quality;
