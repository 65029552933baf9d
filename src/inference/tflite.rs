//! TFLite models through LiteRT's C library, opened by explicit path.
//!
//! In: a library path, cards, model files. Out: [`TfliteEngine`]s that run on the CPU by XNNPACK,
//! with as many threads as they are told. The library, its environment and every loaded model live as long
//! as the process: models are loaded at start only, LiteRT's objects borrow from each other in that
//! order, and a leak that is bounded by the number of models buys code without self-references.
//! Decision record: `docs/decisions/0001-litert-through-edgefirst-tflite.md`.

use std::io::Read;
use std::path::Path;

use edgefirst_tflite_sys::litert::RankedTensorType;

use super::card::{ElementType, ModelCard, ModelId, TensorFacts};
use super::chatter;
use super::compiled::{CompileError, Compiled, Compiler, Library, Model};
use super::error::InferenceError;
use super::files::ModelDirectory;
use super::{Engine, Tensor};

/// `LiteRtElementType` values of `litert_model_types.h` that a card can name.
const ELEMENT_FLOAT32: u32 = 1;
const ELEMENT_INT8: u32 = 9;

/// `kLiteRtStatusErrorInvalidFlatbuffer` of `litert_common.h`: tables that lead out of the file.
const INVALID_FLATBUFFER: u32 = 501;

/// The opened TFLite library.
#[derive(Debug)]
pub struct Runtime {
    compiler: Compiler,
    threads: u8,
}

impl Runtime {
    /// Opens the library at `path`.
    ///
    /// # Errors
    /// Missing, of another architecture, or not a LiteRT library: each its own [`InferenceError`].
    pub fn open(path: &Path) -> Result<Self, InferenceError> {
        check_architecture(path)?;
        let unusable =
            |problem: String| InferenceError::LibraryUnusable { path: path.to_owned(), problem };
        let (opened, _said) = chatter::to_log(|| {
            let library = Library::open(path).map_err(|e| unusable(e.to_string()))?;
            let library: &'static Library = Box::leak(Box::new(library));
            let compiler = Compiler::new(library).map_err(|e| unusable(e.to_string()))?;
            Ok(Self { compiler, threads: 1 })
        });
        opened
    }

    /// Lets each network that is loaded from now on run by `threads`; 0 counts as 1.
    #[must_use]
    pub fn with_threads(self, threads: u8) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// Loads the model that `card` describes from `models` and checks it against the card.
    ///
    /// # Errors
    /// A file that is missing, damaged, no model or not to be compiled, an operator that the library
    /// lacks, a batch other than 1, or tensors that contradict the card: each its own
    /// [`InferenceError`].
    pub fn load(
        &self,
        card: &ModelCard,
        models: &ModelDirectory,
    ) -> Result<TfliteEngine, InferenceError> {
        let (path, bytes) = models.model_bytes(card)?;
        let magic = bytes.get(4..8).unwrap_or_default();
        if magic != b"TFL3" {
            let (model, found) = (card.id.clone(), format!("'{}'", magic.escape_ascii()));
            return Err(InferenceError::NoModel { model, path, found });
        }
        let (loaded, said) = chatter::to_log(|| self.compile(card, &path, bytes));
        loaded.map_err(|error| match (error, missing_operator(&said)) {
            (InferenceError::ModelUnusable { model, path, .. }, Some(problem)) => {
                InferenceError::OperatorMissing { model, path, problem }
            }
            (error, _) => error,
        })
    }

    fn compile(
        &self,
        card: &ModelCard,
        path: &Path,
        bytes: Vec<u8>,
    ) -> Result<TfliteEngine, InferenceError> {
        let unusable = |problem: String| InferenceError::ModelUnusable {
            model: card.id.clone(),
            path: path.to_owned(),
            problem,
        };
        let length = bytes.len();
        let read = self.compiler.read(bytes.leak()).map_err(|e| match e {
            CompileError::Status { status: INVALID_FLATBUFFER, .. } => {
                let (model, path) = (card.id.clone(), path.to_owned());
                InferenceError::ModelDamaged { model, path, length }
            }
            other => unusable(other.to_string()),
        })?;
        check_tensors(card, &read)?;
        let compiled =
            self.compiler.compile(&read, self.threads).map_err(|e| unusable(e.to_string()))?;
        Ok(TfliteEngine { model: card.id.clone(), compiled })
    }
}

/// What the library said of an operator that it does not have, if it did. Its status for that is
/// the one of any failure at run time; only its words tell.
fn missing_operator(said: &str) -> Option<String> {
    const SIGNS: [&str; 4] =
        ["Didn't find op", "builtin_code out of range", "unresolved custom op", "no custom_code"];
    said.lines()
        .find(|line| SIGNS.iter().any(|sign| line.contains(sign)))
        .map(|line| line.trim().trim_start_matches("ERROR: ").to_owned())
}

/// One compiled model with its buffers.
#[derive(Debug)]
pub struct TfliteEngine {
    model: ModelId,
    compiled: Compiled,
}

impl Engine for TfliteEngine {
    fn run(&mut self, input: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
        let Self { model, compiled } = self;
        let failed = |problem: String| InferenceError::Run { model: model.clone(), problem };
        if outputs.len() != compiled.output_count() {
            return Err(failed(format!(
                "{} output tensors given, {} needed",
                outputs.len(),
                compiled.output_count()
            )));
        }
        compiled.write(input.as_bytes()).map_err(|e| failed(e.to_string()))?;
        compiled.run().map_err(|e| failed(e.to_string()))?;
        for (index, output) in outputs.iter_mut().enumerate() {
            compiled.read(index, output.as_bytes_mut()).map_err(|e| failed(e.to_string()))?;
        }
        Ok(())
    }
}

fn check_tensors(card: &ModelCard, model: &Model) -> Result<(), InferenceError> {
    let count = |direction, found: usize, wanted| {
        if found == wanted {
            Ok(())
        } else {
            Err(InferenceError::TensorCount { model: card.id.clone(), direction, found, wanted })
        }
    };
    count("input", model.inputs.len(), 1)?;
    count("output", model.outputs.len(), card.outputs.len())?;
    for found in &model.inputs {
        check_tensor(card, "input", &card.input, found)?;
    }
    for (output, found) in card.outputs.iter().zip(&model.outputs) {
        check_tensor(card, "output", &output.tensor, found)?;
    }
    Ok(())
}

fn check_tensor(
    card: &ModelCard,
    direction: &'static str,
    wanted: &TensorFacts,
    found: &RankedTensorType,
) -> Result<(), InferenceError> {
    let rank = (found.layout.rank() as usize).min(found.layout.dimensions.len());
    let shape = found.layout.dimensions.get(..rank).unwrap_or_default();
    let element = match wanted.element_type {
        ElementType::Float32 => ELEMENT_FLOAT32,
        ElementType::Int8 => ELEMENT_INT8,
    };
    let same_shape = shape.len() == wanted.shape.len()
        && shape.iter().zip(&wanted.shape).all(|(&a, &b)| usize::try_from(a).is_ok_and(|a| a == b));
    if same_shape && found.element_type == element {
        return Ok(());
    }
    let other_batch = shape.first().is_some_and(|&batch| batch != 1);
    if other_batch && shape.len() == wanted.shape.len() {
        return Err(InferenceError::Batch {
            model: card.id.clone(),
            direction,
            name: wanted.name.clone(),
            found: shape.to_vec(),
        });
    }
    let name = match found.element_type {
        ELEMENT_FLOAT32 => "Float32".to_owned(),
        ELEMENT_INT8 => "Int8".to_owned(),
        other => format!("element type {other}"),
    };
    Err(InferenceError::TensorMismatch {
        model: card.id.clone(),
        direction,
        name: wanted.name.clone(),
        found: format!("{shape:?} {name}"),
        wanted_shape: wanted.shape.clone(),
        wanted_type: wanted.element_type,
    })
}

/// Reads the ELF header first: the dynamic linker's own message for a library of another processor
/// does not say which one.
fn check_architecture(path: &Path) -> Result<(), InferenceError> {
    let mut header = [0_u8; 20];
    let mut file = std::fs::File::open(path)
        .map_err(|_| InferenceError::LibraryMissing { path: path.to_owned() })?;
    let read = file.read_exact(&mut header);
    let [0x7f, b'E', b'L', b'F', .., machine_low, machine_high] = header else {
        return Err(InferenceError::LibraryUnusable {
            path: path.to_owned(),
            problem: read
                .map_or_else(|_| "it is cut short".into(), |()| "it is no ELF library".into()),
        });
    };
    // e_machine values of the ELF specification.
    let found = match u16::from_le_bytes([machine_low, machine_high]) {
        62 => "x86_64".to_owned(),
        183 => "aarch64".to_owned(),
        40 => "arm".to_owned(),
        other => format!("ELF machine {other}"),
    };
    if found == std::env::consts::ARCH {
        return Ok(());
    }
    Err(InferenceError::LibraryArchitecture {
        path: path.to_owned(),
        found,
        wanted: std::env::consts::ARCH,
    })
}
