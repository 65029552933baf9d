//! A cohort: feature vectors of strangers that come with a model, without a picture or a name.
//!
//! In: `ID.cohort.safetensors` beside the model's card (format: `models/README.md`). Out: vectors of
//! that model, ready to be compared, and of which group of people each one is.
//!
//! The vectors are transform-coded: numbers along principal axes, each in a few bits, so that
//! thousands of each group fit into a megabyte.
//!
//! Invariants: a cohort of another file than the card's, or of the other averaging, is refused: its
//! numbers would be compared with those of a procedure that never made them. So is one of the first
//! format, which tells no groups apart.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::config::Config;
use crate::embed::FeatureVector;
use crate::equip::{Cards, EquipError};
use crate::inference::Procedure;
use crate::remedy::Remedied;

/// The format that is read.
const SCHEMA: &str = "2";
/// The most bits of one number.
const BITS_MAX: u8 = 8;

/// Strangers to every gallery.
#[derive(Debug, Clone)]
pub struct Cohort {
    /// One vector of each.
    pub strangers: Vec<Stranger>,
    /// The groups of people that they are of, by number.
    pub groups: Vec<String>,
    /// How many people they show.
    pub people: usize,
    /// Whom they show, and when they were made.
    pub source: String,
}

/// Somebody who is enrolled nowhere.
#[derive(Debug, Clone)]
pub struct Stranger {
    /// The face.
    pub vector: FeatureVector,
    /// The group of people: an index into [`Cohort::groups`].
    pub group: u8,
}

/// Why there is no cohort.
#[derive(Debug, thiserror::Error)]
pub enum CohortError {
    /// The file cannot be read.
    #[error("cohort {path}: {source}; {advice}", advice = self.advice())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The model's card, or its landmarker's, cannot be used.
    #[error(transparent)]
    Equip(#[from] EquipError),
    /// The file is none, or not this model's.
    #[error("cohort {path}: {problem}; {advice}", advice = self.advice())]
    Wrong {
        /// Where it is.
        path: PathBuf,
        /// What was found and what would be right.
        problem: String,
    },
}

impl Remedied for CohortError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Equip(inner) => return inner.remedy(),
            Self::Unreadable { .. } => {
                "a model's cohort is made by models/training/balanced.py and lies beside its card"
                    .into()
            }
            Self::Wrong { .. } => {
                "take the one that comes with the model, or make it again with models/training/balanced.py".into()
            }
        })
    }
}

/// What the header says in words.
#[derive(Debug)]
struct Header {
    people: usize,
    groups: Vec<String>,
    source: String,
}

impl Cohort {
    /// Reads the cohort of the configured embedder: the one beside its card, or the one at `path`.
    ///
    /// # Errors
    /// [`CohortError`].
    pub fn of(config: &Config, cards: &Cards, path: Option<&Path>) -> Result<Self, CohortError> {
        let card = cards.card(&config.models.embedder)?;
        let (landmarker, mirrored) = (cards.landmarker_of(&card)?, config.recognise.mirrored);
        let procedure = Procedure { embedder: &card, landmarker: landmarker.as_deref(), mirrored };
        let beside = || cards.beside(&format!("{}.cohort.safetensors", card.id));
        Self::read(&path.map_or_else(beside, Path::to_owned), &procedure)
    }

    /// Reads the cohort at `path`, which must have been made by `procedure`.
    ///
    /// # Errors
    /// [`CohortError`].
    pub fn read(path: &Path, procedure: &Procedure<'_>) -> Result<Self, CohortError> {
        let bytes = std::fs::read(path)
            .map_err(|source| CohortError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&bytes, procedure)
            .map_err(|problem| CohortError::Wrong { path: path.to_owned(), problem })
    }

    /// The cohort that a file of these `bytes` holds, which must have been made by `procedure`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the file's name.
    pub fn parse(bytes: &[u8], procedure: &Procedure<'_>) -> Result<Self, String> {
        let not_that_format = |error| format!("is not a safetensors file ({error})");
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(not_that_format)?;
        let words = metadata.metadata().clone().unwrap_or_default();
        let header = Header::read(|key| words.get(key).map(String::as_str), procedure)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(not_that_format)?;
        let Header { people, groups, source } = header;
        let coding = Coding::read(&tensors, procedure)?;
        let numbers = tensor(&tensors, "groups", Dtype::U8)?;
        let faces = numbers.data().len();
        if faces == 0 || coding.codes.shape() != [faces, coding.bytes] {
            return Err(format!(
                "'codes' is {:?}; {faces} vectors of {} bytes are right, and at least one",
                coding.codes.shape(),
                coding.bytes
            ));
        }
        if let Some(other) =
            numbers.data().iter().find(|&&group| usize::from(group) >= groups.len())
        {
            return Err(format!("'groups' has a {other}; there are {} groups", groups.len()));
        }
        let key = procedure.key();
        let rows = coding.codes.data().chunks_exact(coding.bytes.max(1));
        let strangers = rows
            .zip(numbers.data())
            .map(|(codes, &group)| {
                let vector = FeatureVector::new(key.clone(), coding.vector(codes))?;
                Ok(Stranger { vector, group })
            })
            .collect::<Result<_, crate::embed::NotFinite>>()
            .map_err(|error| error.to_string())?;
        Ok(Self { strangers, groups, people, source })
    }
}

fn tensor<'data>(
    tensors: &SafeTensors<'data>,
    name: &str,
    wanted: Dtype,
) -> Result<TensorView<'data>, String> {
    let found = tensors.tensor(name).map_err(|error| format!("has no '{name}' ({error})"))?;
    if found.dtype() != wanted {
        return Err(format!("'{name}' is {:?}; {wanted:?} is right", found.dtype()));
    }
    Ok(found)
}

/// How numbers stand in a few bits.
struct Coding<'data> {
    /// What is added to each vector: the card's mean.
    mean: Vec<f32>,
    /// `axes × length`.
    basis: TensorView<'data>,
    /// Of each axis: the difference of two neighbouring codes.
    steps: Vec<f32>,
    /// Of each axis: bits of its codes, 1 to 8.
    bits: &'data [u8],
    /// Faces × bytes: the bits of one axis after the other, the lowest first.
    codes: TensorView<'data>,
    /// Bytes of a vector.
    bytes: usize,
}

impl<'data> Coding<'data> {
    fn read(tensors: &SafeTensors<'data>, procedure: &Procedure<'_>) -> Result<Self, String> {
        let facts = procedure.embedder.features.as_ref();
        let (length, mean) = facts.map_or((0, &[][..]), |facts| (facts.length, &facts.mean));
        let bits = tensor(tensors, "bits", Dtype::U8)?.data();
        let axes = bits.len();
        if axes == 0 || !bits.iter().all(|bits| (1..=BITS_MAX).contains(bits)) {
            return Err(format!("'bits' are {bits:?}; some of 1 to {BITS_MAX} are right"));
        }
        let basis = tensor(tensors, "basis", Dtype::I8)?;
        let steps = tensor(tensors, "steps", Dtype::F32)?;
        if basis.shape() != [axes, length] || steps.shape() != [axes] {
            return Err(format!(
                "'basis' is {:?} and 'steps' {:?}; [{axes}, {length}] and [{axes}] are right",
                basis.shape(),
                steps.shape()
            ));
        }
        let steps =
            steps.data().as_chunks().0.iter().map(|&step| f32::from_le_bytes(step)).collect();
        let total: usize = bits.iter().map(|&bits| usize::from(bits)).sum();
        let mean = if mean.is_empty() { vec![0.0; length] } else { mean.to_vec() };
        let codes = tensor(tensors, "codes", Dtype::U8)?;
        Ok(Self { mean, basis, steps, bits, codes, bytes: total.div_ceil(8) })
    }

    /// The vector of one row of codes.
    fn vector(&self, codes: &[u8]) -> Vec<f32> {
        let mut vector = self.mean.clone();
        let mut stored = codes.iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit) & 1));
        let axes = self.basis.data().chunks_exact(vector.len().max(1));
        for ((&bits, &step), axis) in self.bits.iter().zip(&self.steps).zip(axes) {
            let ones = (0..bits).zip(&mut stored);
            let code: u16 = ones.map(|(place, bit)| u16::from(bit) << place).sum();
            let middle = f32::from((1_u16 << bits) - 1) / 2.0;
            let value = (f32::from(code) - middle) * step;
            for (number, part) in vector.iter_mut().zip(axis) {
                *number += value * f32::from(part.cast_signed());
            }
        }
        vector
    }
}

impl Header {
    fn read<'a>(
        word: impl Fn(&str) -> Option<&'a str>,
        procedure: &Procedure<'_>,
    ) -> Result<Self, String> {
        let card = procedure.embedder;
        let of = |key: &str| word(key).ok_or_else(|| format!("its metadata lacks '{key}'"));
        let wrong = |key: &str, found: &str, right: &str| {
            format!("its metadata says {key} '{found}'; {right} is right")
        };
        match word("schema") {
            Some(SCHEMA) => {}
            Some(found) => return Err(wrong("schema", found, &format!("'{SCHEMA}'"))),
            None => {
                return Err(format!(
                    "is of the first format, which tells no groups of people apart; format {SCHEMA} is right"
                ));
            }
        }
        for (key, right) in [("model", card.id.as_str()), ("sha256", card.sha256.as_str())] {
            let found = of(key)?;
            if found != right {
                return Err(wrong(key, found, &format!("'{right}', the card's,")));
            }
        }
        let mirrored = of("mirrored")?;
        let averaged: bool =
            mirrored.parse().map_err(|_| wrong("mirrored", mirrored, "'true' or 'false'"))?;
        if averaged != procedure.mirrored {
            let right = format!("'{}', as recognise.mirrored is,", procedure.mirrored);
            return Err(wrong("mirrored", mirrored, &right));
        }
        let (found, own) = (of("procedure")?, procedure.hash().to_string());
        if found != own {
            let right = format!("'{own}', that of card and settings,");
            return Err(wrong("procedure", found, &right));
        }
        let people = of("people")?;
        let people =
            people.parse().map_err(|_| wrong("people", people, "how many people it shows"))?;
        let groups = of("groups")?;
        let groups: Vec<String> = serde_json::from_str(groups)
            .ok()
            .filter(|groups: &Vec<_>| !groups.is_empty())
            .ok_or_else(|| wrong("groups", groups, "a JSON list of their names"))?;
        let source = of("source")?.to_owned();
        Ok(Self { people, groups, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    use crate::inference::ModelCard;

    fn card() -> ModelCard {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/deepid2.toml");
        ModelCard::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn parse(bytes: &[u8], mirrored: bool) -> Result<Cohort, String> {
        Cohort::parse(bytes, &Procedure { embedder: &card(), landmarker: None, mirrored })
    }

    /// What a file is made of, for one part to be changed.
    struct Parts {
        bits: Vec<u8>,
        groups: Vec<u8>,
        codes: (Dtype, Vec<usize>, Vec<u8>),
        steps: usize,
    }

    /// Two axes of 3 and 7 bits, two faces.
    fn parts() -> Parts {
        // Codes 5 and 100, then 2 and 1: 101, 1100100 in bits from the lowest.
        let rows = [5_u16 | (100 << 3), 2 | (1 << 3)];
        let codes = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
        Parts {
            bits: vec![3, 7],
            groups: vec![1, 0],
            codes: (Dtype::U8, vec![2, 2], codes),
            steps: 2,
        }
    }

    fn file(change: (&str, &str), parts: &Parts) -> Vec<u8> {
        let card = card();
        let hash =
            Procedure { embedder: &card, landmarker: None, mirrored: true }.hash().to_string();
        let mut words: HashMap<String, String> = [
            ("schema", "2"),
            ("model", card.id.as_str()),
            ("sha256", card.sha256.as_str()),
            ("procedure", hash.as_str()),
            ("people", "2"),
            ("groups", "[\"a\", \"b\"]"),
            ("mirrored", "true"),
            ("source", "nobody"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        match change {
            ("", _) => {}
            (key, "") => drop(words.remove(key)),
            (key, value) => drop(words.insert(key.to_owned(), value.to_owned())),
        }
        let axes = parts.bits.len();
        let basis: Vec<u8> = (0..axes * 160).map(|i| u8::from(i % 160 == i / 160)).collect();
        let steps: Vec<u8> = [0.5_f32; 4].iter().flat_map(|step| step.to_le_bytes()).collect();
        let (dtype, shape, codes) = &parts.codes;
        let view = |dtype, shape, data| TensorView::new(dtype, shape, data).unwrap();
        let tensors = [
            ("basis", view(Dtype::I8, vec![axes, 160], basis.as_slice())),
            ("steps", view(Dtype::F32, vec![parts.steps], &steps[..parts.steps * 4])),
            ("bits", view(Dtype::U8, vec![axes], parts.bits.as_slice())),
            ("codes", view(*dtype, shape.clone(), codes.as_slice())),
            ("groups", view(Dtype::U8, vec![parts.groups.len()], parts.groups.as_slice())),
        ];
        safetensors::serialize(tensors, Some(words.into_iter().collect())).unwrap()
    }

    #[test]
    fn numbers_come_back() {
        let cohort = parse(&file(("", ""), &parts()), true).unwrap();
        assert_eq!((cohort.strangers.len(), cohort.people), (2, 2));
        let mean = card().features.unwrap().mean;
        let moved = |face: usize| {
            let values = cohort.strangers[face].vector.values();
            [0, 1, 2].map(|index: usize| ((values[index] - mean[index]) * 100.0).round() as i32)
        };
        // Half a step each: (5 − 3.5) · 0.5 and (100 − 63.5) · 0.5.
        assert_eq!(moved(0), [75, 1825, 0]);
        assert_eq!(moved(1), [-75, -3125, 0]);
        let groups: Vec<_> = cohort.strangers.iter().map(|one| one.group).collect();
        assert_eq!(groups, [1, 0]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (change, says) in [
            (("schema", ""), "is of the first format"),
            (("schema", "3"), "schema '3'; '2' is right"),
            (("model", "deepid3"), "model 'deepid3'; 'deepid2', the card's,"),
            (("sha256", "00"), "sha256 '00'"),
            (("people", "many"), "how many people"),
            (("groups", ""), "lacks 'groups'"),
            (("groups", "[]"), "a JSON list"),
            (("groups", "[\"a\"]"), "'groups' has a 1; there are 1 groups"),
            (("mirrored", "yes"), "'true' or 'false'"),
            (("mirrored", "false"), "'true', as recognise.mirrored is"),
            (("procedure", "00"), "procedure '00'"),
            (("procedure", ""), "lacks 'procedure'"),
        ] {
            let problem = parse(&file(change, &parts()), true).unwrap_err();
            assert!(problem.contains(says), "{change:?}: {problem}");
        }
        let signed = (Dtype::I8, vec![2, 2], vec![0; 4]);
        let short = (Dtype::U8, vec![2, 1], vec![0; 2]);
        for (changed, says) in [
            (Parts { codes: signed, ..parts() }, "'codes' is I8; U8 is right"),
            (Parts { codes: short, ..parts() }, "2 vectors of 2 bytes are right"),
            (Parts { bits: vec![3, 9], ..parts() }, "some of 1 to 8"),
            (Parts { bits: vec![], ..parts() }, "some of 1 to 8"),
            (Parts { steps: 1, ..parts() }, "[2, 160] and [2] are right"),
            (Parts { groups: vec![1], ..parts() }, "1 vectors of 2 bytes are right"),
        ] {
            let problem = parse(&file(("", ""), &changed), true).unwrap_err();
            assert!(problem.contains(says), "{says}: {problem}");
        }
        let cut = &file(("", ""), &parts())[..300];
        assert!(parse(cut, true).unwrap_err().contains("not a safetensors file"));
    }
}
