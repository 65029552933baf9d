//! Feature vectors of a folder of photographs, for what is measured or made outside of the program.
//!
//! In: a folder with photographs at any depth, the configuration, which embedders. Out: for each
//! embedder two [`VectorTable`]s, averaged with the mirror image and not. One is written as safetensors:
//! `features` (F32, faces × length), `usable` (U8, one each: whether a door would compare that face),
//! and in the metadata the model, its procedure and the files, as JSON.
//! Each photograph goes once through the path of the daemon, by itself, as in `pairs`; every embedder
//! sees the face that the path judged.
//!
//! Invariant: a vector is never beside another file's name. Deliberately absent: pictures.

use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::Stage;
use super::end_to_end::EvaluateError;
use super::folder::FolderError;
use super::stills::{Stills, meant_central};
use crate::align::Cutter;
use crate::config::Config;
use crate::decide::Seen;
use crate::detect::Detection;
use crate::embed::{Embedder, FeatureVector};
use crate::equip::{EquipError, Networks};
use crate::frame::Frame;
use crate::inference::ModelKey;

/// Endings of photographs, in small letters.
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// The faces of a folder's photographs.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorTable {
    /// What made the vectors.
    pub key: ModelKey,
    /// SHA-256 of the embedder's file.
    pub sha256: String,
    /// Whether each face is averaged with its mirror image.
    pub mirrored: bool,
    /// Numbers of a vector.
    pub length: usize,
    /// The photographs with a face, relative to the folder, in the order of the vectors.
    pub files: Vec<String>,
    /// The photographs without one.
    pub without_face: Vec<String>,
    /// Whether a door would compare that face.
    pub usable: Vec<u8>,
    /// `files × length`.
    pub features: Vec<f32>,
}

/// An embedder with what cuts its crops, and what became of the faces.
struct Column {
    cutter: Cutter,
    embedder: Embedder,
    features: FeatureVector,
    table: VectorTable,
}

impl Column {
    fn new(config: &Config, networks: &Networks) -> Result<Self, EvaluateError> {
        let model = &config.models.embedder;
        let (card, embedder) = (networks.card(model)?, networks.embedder(config)?);
        Ok(Self {
            cutter: networks.cutter(config)?,
            features: embedder.blank(),
            embedder,
            table: VectorTable {
                key: networks.cards().key(config, model)?,
                sha256: card.sha256.clone(),
                mirrored: config.recognise.mirrored,
                length: card.features.as_ref().map_or(0, |facts| facts.length),
                files: Vec::new(),
                without_face: Vec::new(),
                usable: Vec::new(),
                features: Vec::new(),
            },
        })
    }

    fn add(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        (name, usable): (&str, bool),
    ) -> Result<(), EvaluateError> {
        let aligned = self.cutter.align(frame, face).map_err(EquipError::from)?;
        let Some(aligned) = aligned else {
            self.table.without_face.push(name.to_owned());
            return Ok(());
        };
        self.embedder.embed(aligned, &mut self.features).map_err(EquipError::from)?;
        self.table.usable.push(u8::from(usable));
        self.table.files.push(name.to_owned());
        self.table.features.extend(self.features.values());
        Ok(())
    }
}

/// Takes every photograph under `folder` through the path of the first of `configs`, which differ in
/// embedder and averaging alone; `progress` hears how far it is. Gives a table for each.
///
/// # Errors
/// [`EvaluateError`]: the folder, a photograph or a model cannot be used.
pub fn vectors(
    configs: &[Config],
    networks: &Networks,
    folder: &Path,
    progress: &mut dyn FnMut(Stage),
) -> Result<Vec<VectorTable>, EvaluateError> {
    let Some(config) = configs.first() else { return Ok(Vec::new()) };
    let mut paths = Vec::new();
    photographs(folder, &mut paths)?;
    if paths.is_empty() {
        let expected = "photographs (.jpg, .jpeg, .png, .webp), at any depth";
        return Err(FolderError::Empty { path: folder.to_owned(), expected }.into());
    }
    paths.sort();
    let (central, limits) = (meant_central(config), config.quality_limits());
    let mut stills = Stills::of_whom_is_meant(config, networks)?;
    let columns = configs.iter().map(|config| Column::new(config, networks));
    let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
    for (index, path) in paths.iter().enumerate() {
        progress(Stage { name: "photographs", done: index, of: paths.len() });
        let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
        stills.observe_and(path, |recogniser, frame, observation| {
            let size = (frame.width(), frame.height());
            let face = recogniser.detections().principal(size, central).copied();
            let usable = match (observation.seen, face) {
                (Seen::Fault(_), _) => return Err(EvaluateError::Judged(path.clone())),
                (Seen::Faces { principal, .. }, Some(face)) if principal.found.is_some() => {
                    Some((face, limits.fault(&principal.quality).is_none()))
                }
                _ => None,
            };
            for column in &mut columns {
                match &usable {
                    Some((face, usable)) => column.add(frame, face, (&name, *usable))?,
                    None => column.table.without_face.push(name.clone()),
                }
            }
            Ok(())
        })?;
    }
    Ok(columns.into_iter().map(|column| column.table).collect())
}

/// Adds the photographs under `folder` to `found`.
fn photographs(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), FolderError> {
    let unreadable = |source| FolderError::Unreadable {
        path: folder.to_owned(),
        expected: "photographs at any depth",
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        // A link to a folder could lead in a circle.
        if path.is_dir() && !path.is_symlink() {
            photographs(&path, found)?;
        } else if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&&*ending)) {
            found.push(path);
        }
    }
    Ok(())
}

impl VectorTable {
    /// What its file is called.
    #[must_use]
    pub fn file_name(&self) -> String {
        let averaged = if self.mirrored { "mirrored" } else { "one-crop" };
        format!("{}.{averaged}.safetensors", self.key.id)
    }

    /// The table in the safetensors format.
    ///
    /// # Errors
    /// The format's own words, when the parts do not fit together.
    pub fn bytes(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let features: Vec<u8> =
            self.features.iter().flat_map(|value| value.to_le_bytes()).collect();
        let count = self.files.len();
        let list = |files: &[String]| serde_json::Value::from(files).to_string();
        let words = [
            ("model", self.key.id.to_string()),
            ("procedure", self.key.procedure.to_string()),
            ("sha256", self.sha256.clone()),
            ("mirrored", self.mirrored.to_string()),
            ("files", list(&self.files)),
            ("without_face", list(&self.without_face)),
        ];
        let words = words.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let tensors = [
            ("features", TensorView::new(Dtype::F32, vec![count, self.length], &features)?),
            ("usable", TensorView::new(Dtype::U8, vec![count], &self.usable)?),
        ];
        safetensors::serialize(tensors, Some(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{ModelId, ProcedureHash};
    use safetensors::SafeTensors;

    #[test]
    fn each_vector_stands_with_its_file() {
        let table = VectorTable {
            key: ModelKey {
                id: ModelId::new("m").unwrap(),
                procedure: ProcedureHash::of_bytes([7; 32]),
            },
            sha256: "00".into(),
            mirrored: true,
            length: 2,
            files: vec!["a/1.jpg".into(), "b \"2\".jpg".into()],
            without_face: vec!["c.jpg".into()],
            usable: vec![1, 0],
            features: vec![1.0, 2.0, 3.0, 4.5],
        };
        let bytes = table.bytes().unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("features").unwrap().shape(), [2, 2]);
        let last = &read.tensor("features").unwrap().data()[12..];
        assert_eq!(last, 4.5_f32.to_le_bytes());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let words = metadata.metadata().clone().unwrap();
        let files: Vec<String> = serde_json::from_str(&words["files"]).unwrap();
        assert_eq!(files, table.files);
        assert_eq!(words["without_face"], "[\"c.jpg\"]");
    }

    #[test]
    fn photographs_are_found_at_any_depth_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for name in ["deep/b.JPG", "a.png", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut found = Vec::new();
        photographs(folder.path(), &mut found).unwrap();
        found.sort();
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.png"), Path::new("deep/b.JPG")]);
        assert!(photographs(&folder.path().join("absent"), &mut found).is_err());
    }
}
