//! How a face becomes a feature vector, as one value by which two ways are told apart.
//!
//! In: the card of an embedder, the card of its landmarker if it has one, and whether a crop and its
//! mirror image are averaged. Out: a [`ModelKey`]: the model's id and a SHA-256 over everything that
//! shapes a vector. Two vectors may be compared only if their keys are equal.
//!
//! In the hash: the SHA-256 of the model file, what a card says of the numbers that go in and come out
//! (normalisation, quantisation, which output), the alignment template, the mirrored averaging, and
//! the same of the landmarker with its choice of landmarks. Not in it: what is applied to vectors
//! later (mean, calibration), whether there is a face at all, titles and tensor names, and the detector. A door uses two detectors by
//! turns within one visit; the kind of their four keypoints is fixed by [`PREFIX`].
//! `docs/decisions/0010-the-procedure-of-a-reference.md` says why.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::card::{ModelCard, ModelId, OutputRole, Quantisation};

/// Begins every hash. It stands for what this program does itself: four keypoints (right eye, left
/// eye, nose tip, mouth centre), a least-squares similarity, one resampling. A change there that gives
/// other vectors needs another number here.
const PREFIX: &str = "deepid-edge/procedure/1";

/// How many hexadecimal digits of a hash people are shown.
const SHOWN_DIGITS: usize = 12;

/// Everything that shapes the vectors of one embedder.
#[derive(Debug, Clone, Copy)]
pub struct Procedure<'a> {
    /// The embedder.
    pub embedder: &'a ModelCard,
    /// What places its keypoints; `None` where the detector does.
    pub landmarker: Option<&'a ModelCard>,
    /// Whether the vectors of a crop and of its mirror image are averaged.
    pub mirrored: bool,
}

/// SHA-256 over everything that shapes a vector; 64 lower-case hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcedureHash([u8; 32]);

/// Which model made a vector, and how. Cloning never allocates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelKey {
    /// The model's name.
    pub id: ModelId,
    /// Everything else that shapes its vectors.
    pub procedure: ProcedureHash,
}

#[cfg(test)]
impl ModelKey {
    /// That of a model which is nowhere, for the tests of other rooms.
    pub(crate) fn made_up() -> Self {
        let id = ModelId::new("tested").unwrap();
        Self { id, procedure: ProcedureHash::of_bytes([7; 32]) }
    }
}

/// A text that is no hash of a procedure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("procedure '{0}': must be 64 hexadecimal digits in lower case")]
pub struct InvalidProcedureHash(pub String);

impl Procedure<'_> {
    /// The model's name with the hash over the procedure.
    #[must_use]
    pub fn key(&self) -> ModelKey {
        ModelKey { id: self.embedder.id.clone(), procedure: self.hash() }
    }

    /// The hash over the procedure.
    #[must_use]
    pub fn hash(&self) -> ProcedureHash {
        let mut fields = Fields(Sha256::new());
        fields.text("format", PREFIX);
        fields.network("embedder", self.embedder, &[OutputRole::Features]);
        fields.numbers("mirrored", [f64::from(u8::from(self.mirrored))]);
        if let Some(landmarker) = self.landmarker {
            fields.network("landmarker", landmarker, &[OutputRole::Landmarks]);
            if let Some(head) = &landmarker.landmarks {
                fields.numbers("values", [head.values as f64]);
                for (name, chosen) in head.keypoints() {
                    fields.numbers(name, chosen.iter().map(|&landmark| landmark as f64));
                }
            }
        }
        ProcedureHash(fields.0.finalize().into())
    }
}

/// What is hashed, field by field: a name and a value, each with its length before it, so that no two
/// lists of fields give the same bytes.
struct Fields(Sha256);

impl Fields {
    fn text(&mut self, name: &str, value: &str) {
        for part in [name.as_bytes(), value.as_bytes()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// Numbers as IEEE 754 bits: no decimal spelling can change the hash.
    fn numbers(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        let digits: Vec<String> =
            values.into_iter().map(|value| format!("{:016x}", value.to_bits())).collect();
        self.text(name, &digits.join(" "));
    }

    fn network(&mut self, role: &str, card: &ModelCard, outputs: &[OutputRole]) {
        self.text("network", role);
        self.text("sha256", &card.sha256);
        self.numbers("normalisation", [card.normalisation.scale, card.normalisation.offset]);
        self.quantisation(card.input.quantisation);
        for role in outputs {
            if let Some((index, facts)) = card.output(*role) {
                self.numbers("output", [index as f64]);
                self.quantisation(facts.quantisation);
            }
        }
        if let Some(template) = &card.alignment {
            let points = template.points();
            let places = points.iter().flat_map(|point| [point.x, point.y]).map(f64::from);
            self.numbers("alignment", places);
        }
    }

    fn quantisation(&mut self, facts: Option<Quantisation>) {
        let numbers = facts.map(|facts| [facts.scale, f64::from(facts.zero_point)]);
        self.numbers("quantisation", numbers.into_iter().flatten());
    }
}

impl ProcedureHash {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// The offending text.
    pub fn new(text: &str) -> Result<Self, InvalidProcedureHash> {
        let invalid = || InvalidProcedureHash(text.to_owned());
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != 32 || !rest.is_empty() {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
            *byte = 16 * digit(*high).ok_or_else(invalid)? + digit(*low).ok_or_else(invalid)?;
        }
        Ok(Self(bytes))
    }

    /// A hash of these bytes.
    #[must_use]
    pub const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first digits, for people.
    #[must_use]
    pub fn shown(self) -> String {
        let mut text = self.to_string();
        text.truncate(SHOWN_DIGITS);
        text
    }
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl std::fmt::Display for ProcedureHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for ProcedureHash {
    type Error = InvalidProcedureHash;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ProcedureHash> for String {
    fn from(hash: ProcedureHash) -> Self {
        hash.to_string()
    }
}

/// The id with the first digits of the procedure, for people.
impl std::fmt::Display for ModelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (procedure {})", self.id, self.procedure.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str) -> ModelCard {
        let path = format!("{}/models/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        ModelCard::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn hash(embedder: &ModelCard, landmarker: Option<&ModelCard>, mirrored: bool) -> ProcedureHash {
        Procedure { embedder, landmarker, mirrored }.hash()
    }

    type Change = fn(&mut ModelCard);

    #[test]
    fn whatever_shapes_a_vector_gives_another_hash() {
        let (embedder, landmarker) = (card("deepid2"), card("face-mesh"));
        let plain = hash(&embedder, None, true);
        let with = hash(&embedder, Some(&landmarker), true);
        let changes: [(&str, Change); 7] = [
            ("file", |card| card.sha256.replace_range(..1, "f")),
            ("scale", |card| card.normalisation.scale *= 1.01),
            ("offset", |card| card.normalisation.offset += 0.01),
            ("template", |card| card.alignment.as_mut().unwrap().nose_tip[1] += 0.5),
            ("input", |card| {
                card.input.quantisation = Some(Quantisation { scale: 0.5, zero_point: 3 });
            }),
            ("output", |card| {
                let facts = &mut card.outputs[0].tensor;
                facts.quantisation = Some(Quantisation { scale: 0.25, zero_point: 1 });
            }),
            ("order", |card| {
                let mut other = card.outputs[0].clone();
                other.role = OutputRole::Boxes;
                card.outputs.insert(0, other);
            }),
        ];
        let mut found = vec![plain, with, hash(&embedder, None, false)];
        for (_, change) in changes {
            let mut other = embedder.clone();
            change(&mut other);
            found.push(hash(&other, None, true));
            let mut other = landmarker.clone();
            change(&mut other);
            found.push(hash(&embedder, Some(&other), true));
        }
        let heads: [Change; 3] = [
            |card| card.landmarks.as_mut().unwrap().values += 1,
            |card| card.landmarks.as_mut().unwrap().nose_tip.push(2),
            |card| {
                // The same numbers in the same order, read as other keypoints.
                let head = card.landmarks.as_mut().unwrap();
                let moved = head.left_eye.pop().unwrap();
                head.nose_tip.insert(0, moved);
            },
        ];
        for change in heads {
            let mut other = landmarker.clone();
            change(&mut other);
            found.push(hash(&embedder, Some(&other), true));
        }
        let count = found.len();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), count, "two procedures with one hash");
    }

    #[test]
    fn what_shapes_no_vector_gives_the_same_hash() {
        let embedder = card("deepid2");
        let mut other = embedder.clone();
        other.title = "Another title".to_owned();
        other.file = "elsewhere.tflite".to_owned();
        other.input.name = "renamed".to_owned();
        other.features.as_mut().unwrap().mean.clear();
        other.calibrations.clear();
        assert_eq!(hash(&embedder, None, true), hash(&other, None, true));
        let landmarker = card("face-mesh");
        let mut other = landmarker.clone();
        other.landmarks.as_mut().unwrap().min_presence = 0.25;
        let with = |landmarker| hash(&embedder, Some(landmarker), true);
        assert_eq!(with(&landmarker), with(&other), "it only says whether there is a face");
    }

    /// References in the field carry these: what changes them locks people out, so it must be meant.
    #[test]
    fn the_shipped_procedures_keep_their_hashes() {
        let shipped = ["deepid2", "deepid2-ensemble", "deepid2-plus"]
            .map(|name| hash(&card(name), None, true).to_string());
        let wanted = [
            "994eaff51584e3ee2eff793e22afcd6c379174842378d7c5c036153748c2d065",
            "5b5b021785aefa8d722f60f28f8b5d257e140db21a3462190a51631e58cc1cd6",
            "08d23e785d384d8f559e44664dbbcddd01d2533364e3ae5b35c7df6f1107f26f",
        ];
        assert_eq!(shipped, wanted);
    }

    #[test]
    fn a_hash_is_written_and_read() {
        let hash = ProcedureHash::of_bytes(std::array::from_fn(|i| i as u8 * 7));
        let text = hash.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(ProcedureHash::new(&text), Ok(hash));
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{text}\""));
        for bad in
            ["", &text[1..], &text.to_uppercase(), &text.replace('0', "g"), "é".repeat(32).as_str()]
        {
            assert!(ProcedureHash::new(bad).is_err(), "{bad}");
        }
    }
}
