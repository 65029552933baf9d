//! The three comparison metrics of the DeepID work, and which way each of them points.

/// How two feature vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Cosine of the angle, −1 to 1, of vectors centred by the card's mean when it has one.
    /// Larger is more alike.
    Cosine,
    /// Euclidean distance, ≥ 0. Smaller is more alike.
    Euclidean,
    /// Euclidean distance of L2-normalised vectors, 0 to 2. Smaller is more alike.
    EuclideanL2,
}

impl Metric {
    /// Whether `score` is at least as alike as `threshold` asks. NaN and infinity never are, on
    /// either side: no comparison gives such a score, and no such threshold was meant.
    #[must_use]
    pub fn accepts(self, score: f32, threshold: f32) -> bool {
        let reached = match self {
            Self::Cosine => score >= threshold,
            Self::Euclidean | Self::EuclideanL2 => score <= threshold,
        };
        reached && score.is_finite() && threshold.is_finite()
    }

    /// How much more alike `score` is than `other`; negative when less alike.
    #[must_use]
    pub fn advantage(self, score: f32, other: f32) -> f32 {
        match self {
            Self::Cosine => score - other,
            Self::Euclidean | Self::EuclideanL2 => other - score,
        }
    }
}

/// How a gallery is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Search {
    /// Each reference is compared.
    Exact,
    /// An index says with which references a probe is compared, where there are many.
    Approximate,
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::EuclideanL2 => "euclidean-l2",
        })
    }
}
