//! The fusion card: how two embedders judge together.
//!
//! In: the text of `ID.fusion.toml`. Out: a [`FusionCard`] that names both networks by id and hash,
//! the gate, the weights and the thresholds of the fused score, all checked. Format:
//! `models/README.md`. It has no network of its own, and nothing here runs one.

use serde::{Deserialize, Serialize};

use super::card::{Calibration, CardError, ModelCard, ModelId, Provenance};
use super::check::{check_calibrations, check_hash};

/// How far the sum of the weights may be from 1: they are written in decimals.
const SUM_TOLERANCE: f64 = 1e-6;

/// Two embedders and what their scores are worth together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionCard {
    /// Its name; also the card's file name without `.fusion.toml`.
    pub id: ModelId,
    /// One line for people.
    pub title: String,
    /// The embedder that looks at every frame.
    pub first: Part,
    /// The embedder that is asked before a grant.
    pub second: Part,
    /// Cosine score of the first below which nothing is confirmed, −1 to 1.
    pub gate: f64,
    /// What the cosine scores of the first and the second weigh, each 0 to 1, together 1.
    pub weights: [f64; 2],
    /// Whether both average each crop with its mirror image.
    pub mirrored: bool,
    /// Where it comes from and under which terms.
    pub provenance: Provenance,
    /// Which threshold of the fused score supports which false match rate.
    #[serde(default, rename = "calibration", skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<Calibration>,
}

/// One of the two networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its id.
    pub id: ModelId,
    /// SHA-256 of its file: gate, weights and thresholds are of that very network.
    pub sha256: String,
}

impl FusionCard {
    /// Parses and checks a card.
    ///
    /// # Errors
    /// [`CardError`] with the key, what was found and what would be right.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let card: Self = toml::from_str(text).map_err(|e| CardError::Syntax(e.to_string()))?;
        card.check()?;
        Ok(card)
    }

    /// Whether `card` is the network that this part names.
    ///
    /// # Errors
    /// [`CardError`] when it has another file than the one that the fusion was learnt with.
    pub fn belongs(part: &Part, key: &'static str, card: &ModelCard) -> Result<(), CardError> {
        if part.sha256 == card.sha256 {
            return Ok(());
        }
        wrong(
            key,
            format!(
                "was learnt with the file {}… of '{}', whose card now says {}…: learn the fusion anew, or bring that file back",
                part.sha256.get(..12).unwrap_or_default(),
                part.id,
                card.sha256.get(..12).unwrap_or_default()
            ),
        )
    }

    fn check(&self) -> Result<(), CardError> {
        check_hash("first.sha256", &self.first.sha256)?;
        check_hash("second.sha256", &self.second.sha256)?;
        if self.first.id == self.second.id {
            return wrong(
                "second.id",
                format!("is '{}' like first.id; another network must confirm", self.second.id),
            );
        }
        if !(-1.0..=1.0).contains(&self.gate) {
            return wrong("gate", format!("is {}; must be a cosine score, −1 to 1", self.gate));
        }
        let [first, second] = self.weights;
        let within = |weight| (0.0..=1.0).contains(&weight);
        if !(within(first) && within(second) && (first + second - 1.0).abs() <= SUM_TOLERANCE) {
            return wrong(
                "weights",
                format!("are {:?}; must each be 0 to 1, and together 1", self.weights),
            );
        }
        if let Some(other) = self.calibrations.iter().find(|table| table.metric != "cosine") {
            return wrong(
                "calibration.metric",
                format!("is '{}'; fused scores are of cosines", other.metric),
            );
        }
        check_calibrations(&self.calibrations)
    }
}

fn wrong(key: &'static str, problem: String) -> Result<(), CardError> {
    Err(CardError::Inconsistent { key, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"
        id = "two"
        title = "one, confirmed by another"
        first = { id = "one", sha256 = "0000000000000000000000000000000000000000000000000000000000000001" }
        second = { id = "other", sha256 = "0000000000000000000000000000000000000000000000000000000000000002" }
        gate = 0.1
        weights = [0.25, 0.75]
        mirrored = true
        [provenance]
        licence = "MIT"
        source = "a test"
        [[calibration]]
        metric = "cosine"
        mirrored = true
        source = "nobody"
        points = [[1e-2, 0.3], [1e-3, 0.4]]
    "#;

    #[test]
    fn a_card_is_read() {
        let card = FusionCard::parse(CARD).unwrap();
        assert_eq!((card.gate, card.weights), (0.1, [0.25, 0.75]));
        assert_eq!(card.calibrations[0].points.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        let cases = [
            ("gate = 0.1", "gate = 1.5", "key 'gate'"),
            ("gate = 0.1", "gate = nan", "key 'gate'"),
            ("[0.25, 0.75]", "[0.5, 0.6]", "key 'weights'"),
            ("[0.25, 0.75]", "[-0.5, 1.5]", "key 'weights'"),
            ("[0.25, 0.75]", "[nan, 0.5]", "key 'weights'"),
            (r#"id = "other""#, r#"id = "one""#, "key 'second.id'"),
            ("0000000002\"", "0000000002X\"", "key 'second.sha256'"),
            (r#"metric = "cosine""#, r#"metric = "euclidean""#, "key 'calibration.metric'"),
            ("[1e-3, 0.4]", "[1e-3, 0.2]", "calibration"),
            (
                "mirrored = true\n        [prov",
                "mirrored = true\nfile = \"x\"\n        [prov",
                "file",
            ),
        ];
        for (from, to, says) in cases {
            let text = CARD.replacen(from, to, 1);
            assert_ne!(text, CARD, "{from}");
            let error = FusionCard::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
