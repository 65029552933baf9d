//! A cohort: feature vectors of strangers that come with a model, without a picture or a name.
//!
//! In: `ID.cohort.safetensors` beside the model's card (format: `models/README.md`). Out: vectors of
//! that model, ready to be compared, and how many people they show.
//!
//! Invariant: a cohort of another file than the card's, or of the other averaging, is refused: its
//! numbers would be compared with those of a procedure that never made them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use crate::embed::FeatureVector;
use crate::inference::Procedure;
use crate::remedy::Remedied;

/// Strangers to every gallery.
#[derive(Debug, Clone)]
pub struct Cohort {
    /// Their vectors, several of each person.
    pub vectors: Vec<FeatureVector>,
    /// How many people they show.
    pub people: usize,
    /// Whom they show, and when they were made.
    pub source: String,
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
            Self::Unreadable { .. } => {
                "a model's cohort is made by models/training/cohort.py and lies beside its card"
                    .into()
            }
            Self::Wrong { .. } => "make it again with models/training/cohort.py".into(),
        })
    }
}

/// What the header says in words.
struct Header {
    scale: f32,
    zero_point: i32,
    people: usize,
    source: String,
}

impl Cohort {
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
        let features =
            tensors.tensor("features").map_err(|error| format!("has no 'features' ({error})"))?;
        let length = procedure.embedder.features.as_ref().map_or(0, |facts| facts.length);
        let (Dtype::I8, &[faces, found]) = (features.dtype(), features.shape()) else {
            return Err(format!(
                "'features' is {:?} {:?}; I8 with two dimensions is right",
                features.dtype(),
                features.shape()
            ));
        };
        if found != length || faces == 0 {
            return Err(format!(
                "'features' has {faces} vectors of {found} numbers; some of {length} are right"
            ));
        }
        let number = |&byte: &u8| {
            let steps = i32::from(byte.cast_signed()) - header.zero_point;
            steps as f32 * header.scale
        };
        let key = procedure.key();
        let vectors = features
            .data()
            .chunks_exact(length)
            .map(|row| FeatureVector::new(key.clone(), row.iter().map(number).collect()))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let Header { people, source, .. } = header;
        Ok(Self { vectors, people, source })
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
        for (key, right) in [("model", card.id.as_str()), ("sha256", card.sha256.as_str())] {
            let found = of(key)?;
            if found != right {
                return Err(wrong(key, found, &format!("'{right}', the card's,")));
            }
        }
        let scale = of("scale")?;
        let scale = scale
            .parse::<f32>()
            .ok()
            .filter(|number| number.is_finite() && *number > 0.0)
            .ok_or_else(|| wrong("scale", scale, "a number above 0"))?;
        let zero_point = of("zero_point")?;
        let zero_point = zero_point
            .parse::<i8>()
            .map_err(|_| wrong("zero_point", zero_point, "a number of -128 to 127"))?;
        let people = of("people")?;
        let people =
            people.parse().map_err(|_| wrong("people", people, "how many people it shows"))?;
        let mirrored = of("mirrored")?;
        let averaged: bool =
            mirrored.parse().map_err(|_| wrong("mirrored", mirrored, "'true' or 'false'"))?;
        if averaged != procedure.mirrored {
            let right = format!("'{}', as recognise.mirrored is,", procedure.mirrored);
            return Err(wrong("mirrored", mirrored, &right));
        }
        // Older cohorts do not say the rest of the procedure: template, normalisation, landmarker.
        let own = procedure.hash().to_string();
        if let Some(found) = word("procedure").filter(|found| *found != own) {
            return Err(wrong("procedure", found, &format!("'{own}', that of card and settings,")));
        }
        let source = of("source")?.to_owned();
        Ok(Self { scale, zero_point: zero_point.into(), people, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    use safetensors::tensor::TensorView;

    use crate::inference::ModelCard;

    fn card() -> ModelCard {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/deepid2.toml");
        ModelCard::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn parse(bytes: &[u8], mirrored: bool) -> Result<Cohort, String> {
        Cohort::parse(bytes, &Procedure { embedder: &card(), landmarker: None, mirrored })
    }

    fn file(change: (&str, &str), dtype: Dtype, shape: Vec<usize>) -> Vec<u8> {
        let card = card();
        let mut words: HashMap<String, String> = [
            ("model", card.id.as_str()),
            ("sha256", card.sha256.as_str()),
            ("scale", "0.5"),
            ("zero_point", "-128"),
            ("people", "2"),
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
        let data: Vec<u8> = (0..shape.iter().product::<usize>()).map(|i| i as u8).collect();
        let view = TensorView::new(dtype, shape, &data).unwrap();
        safetensors::serialize([("features", view)], Some(words.into_iter().collect())).unwrap()
    }

    #[test]
    fn numbers_come_back() {
        let cohort = parse(&file(("", ""), Dtype::I8, vec![3, 160]), true).unwrap();
        assert_eq!((cohort.vectors.len(), cohort.people), (3, 2));
        let first = cohort.vectors[0].values();
        let numbers = [0, 1, 2, 128].map(|index: usize| (first[index] * 2.0) as i32);
        assert_eq!(numbers, [128, 129, 130, 0], "each byte less −128, halved");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let good = (Dtype::I8, vec![3, 160]);
        let cases = [
            (("model", "deepid3"), good.clone(), "model 'deepid3'; 'deepid2', the card's,"),
            (("sha256", "00"), good.clone(), "sha256 '00'"),
            (("scale", ""), good.clone(), "lacks 'scale'"),
            (("scale", "0"), good.clone(), "a number above 0"),
            (("scale", "NaN"), good.clone(), "a number above 0"),
            (("zero_point", "300"), good.clone(), "-128 to 127"),
            (("mirrored", "yes"), good.clone(), "'true' or 'false'"),
            (("mirrored", "false"), good.clone(), "'true', as recognise.mirrored is"),
            (("procedure", "00"), good.clone(), "procedure '00'"),
            (("", ""), (Dtype::U8, vec![3, 160]), "I8 with two dimensions"),
            (("", ""), (Dtype::I8, vec![3, 80]), "some of 160 are right"),
            (("", ""), (Dtype::I8, vec![0, 160]), "0 vectors"),
        ];
        for (change, (dtype, shape), says) in cases {
            let problem = parse(&file(change, dtype, shape), true).unwrap_err();
            assert!(problem.contains(says), "{change:?}: {problem}");
        }
        let cut = &file(("", ""), good.0, good.1)[..300];
        assert!(parse(cut, true).unwrap_err().contains("not a safetensors file"));
    }
}
