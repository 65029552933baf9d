//! One compiled network of LiteRT, run by a stated number of threads.
//!
//! In: a model file's bytes, how many threads. Out: the types of its tensors; [`Compiled`], which
//! copies bytes in, runs, and copies bytes out. `edgefirst-tflite-sys` knows the types of LiteRT's
//! functions and finds them in the library; they are called here, because the options of the safe crate
//! above it cannot carry a number of threads, and its handles are its own.
//!
//! Invariants: handles are made once and live as long as the process, so none is used after its end;
//! a buffer is only touched between lock and unlock, within the size that LiteRT states for it.
//! Source of the functions' contracts: `litert/c/*.h` of LiteRT 2.1.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::{fmt, ptr};

use edgefirst_tflite_sys::litert::{
    self as sys, CompiledModel, Environment, LiteRtFunctions, ParamIndex, RankedTensorType, Status,
    TensorBuffer, TensorBufferRequirements,
};
use edgefirst_tflite_sys::{discovery, tensorflowlite_c};

/// The identifier under which LiteRT's CPU accelerator looks for its options; their payload is TOML.
const CPU_OPTIONS: &CStr = c"xnnpack";

/// Why LiteRT would not: the function and its status, or what it lacks.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// A function failed.
    #[error("{function}: LiteRT's status {status}")]
    Status {
        /// Its name.
        function: &'static str,
        /// `LiteRtStatus` of `litert_common.h`.
        status: Status,
    },
    /// It is no library that can be opened here.
    #[error("{0}")]
    Unopened(String),
    /// A function is not in the library.
    #[error("it lacks LiteRT's function {0}")]
    Lacks(&'static str),
    /// More bytes than a buffer has.
    #[error("{wanted} bytes for a buffer of {holds}")]
    Length {
        /// How many were given.
        wanted: usize,
        /// How many there are.
        holds: usize,
    },
}

type Result<T> = std::result::Result<T, CompileError>;

type CreateOpaqueOptions = unsafe extern "C" fn(
    *const c_char,
    *mut c_void,
    Option<unsafe extern "C" fn(*mut c_void)>,
    *mut *mut c_void,
) -> Status;
type AddOpaqueOptions = unsafe extern "C" fn(sys::Options, *mut c_void) -> Status;

/// LiteRT's library, opened, with the functions that were found in it.
pub(super) struct Library {
    opened: tensorflowlite_c,
    functions: LiteRtFunctions,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

impl Library {
    /// Opens the library at `path`.
    ///
    /// # Errors
    /// [`CompileError::Unopened`], [`CompileError::Lacks`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn open(path: &Path) -> Result<Self> {
        let opened =
            discovery::load(path).map_err(|error| CompileError::Unopened(error.to_string()))?;
        // SAFETY: the functions stand beside the library that they belong to, and leave it never.
        let functions = unsafe { LiteRtFunctions::try_load(opened.library()) }
            .map_err(|missing| CompileError::Lacks(missing.name()))?;
        Ok(Self { opened, functions })
    }
}

/// The library, ready to compile.
#[derive(Debug)]
pub(super) struct Compiler {
    library: &'static Library,
    functions: &'static LiteRtFunctions,
    environment: Environment,
}

// SAFETY: LiteRT's handles belong to no thread; an environment is not changed once it is made.
#[expect(unsafe_code, reason = "raw handles are not Send by themselves")]
unsafe impl Send for Compiler {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "raw handles are not Sync by themselves")]
unsafe impl Sync for Compiler {}

/// A model as it was read.
#[derive(Debug)]
pub(super) struct Model {
    handle: sys::Model,
    /// The types of its inputs, in its order.
    pub(super) inputs: Vec<RankedTensorType>,
    /// The types of its outputs, in its order.
    pub(super) outputs: Vec<RankedTensorType>,
}

/// A network that is ready to run.
#[derive(Debug)]
pub(super) struct Compiled {
    functions: &'static LiteRtFunctions,
    model: CompiledModel,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    input_handles: Vec<TensorBuffer>,
    output_handles: Vec<TensorBuffer>,
}

// SAFETY: LiteRT's handles belong to no thread, and all that uses them takes `&mut self`.
#[expect(unsafe_code, reason = "raw handles are not Send by themselves")]
unsafe impl Send for Compiled {}

#[derive(Debug)]
struct Buffer {
    handle: TensorBuffer,
    size: usize,
}

fn checked(function: &'static str, status: Status) -> Result<()> {
    if status == sys::kLiteRtStatusOk {
        Ok(())
    } else {
        Err(CompileError::Status { function, status })
    }
}

impl Compiler {
    /// Makes LiteRT's environment.
    ///
    /// # Errors
    /// [`CompileError::Status`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn new(library: &'static Library) -> Result<Self> {
        let functions = &library.functions;
        let mut environment = ptr::null_mut();
        // SAFETY: no options are given, and the out-parameter is a live local.
        let status =
            unsafe { (functions.create_environment)(0, ptr::null(), &raw mut environment) };
        checked("LiteRtCreateEnvironment", status)?;
        Ok(Self { library, functions, environment })
    }

    /// Reads the model in `bytes`.
    ///
    /// # Errors
    /// [`CompileError::Status`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn read(&self, bytes: &'static [u8]) -> Result<Model> {
        let functions = self.functions;
        let mut handle = ptr::null_mut();
        let mut signature = ptr::null_mut();
        let (mut inputs, mut outputs) = (0, 0);
        // SAFETY: out-parameters are live locals; `bytes` live as long as the process, as the model
        // that is read from them does; the signature belongs to the model.
        unsafe {
            let read = functions.create_model_from_buffer;
            let start = bytes.as_ptr().cast();
            let status = read(self.environment, start, bytes.len(), &raw mut handle);
            checked("LiteRtCreateModelFromBuffer", status)?;
            let status = (functions.get_model_signature)(handle, 0, &raw mut signature);
            checked("LiteRtGetModelSignature", status)?;
            let status = (functions.get_num_signature_inputs)(signature, &raw mut inputs);
            checked("LiteRtGetNumSignatureInputs", status)?;
            let status = (functions.get_num_signature_outputs)(signature, &raw mut outputs);
            checked("LiteRtGetNumSignatureOutputs", status)?;
        }
        let types = |function, tensor_at: TensorAt, count: ParamIndex| {
            let tensor_type = |index| {
                let mut tensor = ptr::null_mut();
                // SAFETY: the structure is numbers alone; the rest as above.
                unsafe {
                    let mut found = std::mem::zeroed::<RankedTensorType>();
                    checked(function, tensor_at(signature, index, &raw mut tensor))?;
                    let status = (functions.get_ranked_tensor_type)(tensor, &raw mut found);
                    checked("LiteRtGetRankedTensorType", status)?;
                    Ok(found)
                }
            };
            (0..count).map(tensor_type).collect::<Result<Vec<_>>>()
        };
        let (of_input, of_output) = (
            functions.get_signature_input_tensor_by_index,
            functions.get_signature_output_tensor_by_index,
        );
        let inputs = types("LiteRtGetSignatureInputTensorByIndex", of_input, inputs)?;
        let outputs = types("LiteRtGetSignatureOutputTensorByIndex", of_output, outputs)?;
        Ok(Model { handle, inputs, outputs })
    }

    /// Compiles `model`, which has one input, for `threads` of the processor.
    ///
    /// # Errors
    /// [`CompileError::Status`], [`CompileError::Lacks`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn compile(&self, model: &Model, threads: u8) -> Result<Compiled> {
        let Self { library, functions, environment } = *self;
        let mut compiled = ptr::null_mut();
        let options = options(library, functions, threads)?;
        // SAFETY: the out-parameter is a live local; compiling copies the options.
        let status = unsafe {
            let create = functions.create_compiled_model;
            let status = create(environment, model.handle, options, &raw mut compiled);
            (functions.destroy_options)(options);
            status
        };
        checked("LiteRtCreateCompiledModel", status)?;

        let buffer = |function, requirements: Requirements, index, tensor: &RankedTensorType| {
            let mut needs: TensorBufferRequirements = ptr::null_mut();
            let mut made = Buffer { handle: ptr::null_mut(), size: 0 };
            // SAFETY: the compiled model and the environment live on; `needs` belongs to the model.
            unsafe {
                checked(function, requirements(compiled, 0, index, &raw mut needs))?;
                let create = functions.create_managed_tensor_buffer_from_requirements;
                let status = create(environment, tensor, needs, &raw mut made.handle);
                checked("LiteRtCreateManagedTensorBufferFromRequirements", status)?;
                let status = (functions.get_tensor_buffer_size)(made.handle, &raw mut made.size);
                checked("LiteRtGetTensorBufferSize", status)?;
            }
            Ok(made)
        };
        let of_input = functions.get_compiled_model_input_buffer_requirements;
        let of_output = functions.get_compiled_model_output_buffer_requirements;
        let buffers = |function, requirements: Requirements, tensors: &[RankedTensorType]| {
            let each = tensors.iter().enumerate();
            each.map(|(index, tensor)| buffer(function, requirements, index, tensor)).collect()
        };
        let inputs: Result<Vec<_>> =
            buffers("LiteRtGetCompiledModelInputBufferRequirements", of_input, &model.inputs);
        let outputs: Result<Vec<_>> =
            buffers("LiteRtGetCompiledModelOutputBufferRequirements", of_output, &model.outputs);
        let (inputs, outputs) = (inputs?, outputs?);
        let input_handles = inputs.iter().map(|input| input.handle).collect();
        let output_handles = outputs.iter().map(|output| output.handle).collect();
        Ok(Compiled { functions, model: compiled, inputs, outputs, input_handles, output_handles })
    }
}

impl Compiled {
    /// Copies `bytes` into the first input.
    ///
    /// # Errors
    /// [`CompileError`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(input) = self.inputs.first() else { return Ok(()) };
        let mode = sys::kLiteRtTensorBufferLockModeWrite;
        input.locked(self.functions, mode, bytes.len(), |memory| {
            // SAFETY: `locked` gives as many bytes as `bytes` has, and they are LiteRT's own.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len()) }
        })
    }

    /// Runs the network on what was written.
    ///
    /// # Errors
    /// [`CompileError::Status`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn run(&mut self) -> Result<()> {
        let (inputs, outputs) = (&mut self.input_handles, &mut self.output_handles);
        // SAFETY: the handles were made for this model, and nobody else has them.
        let status = unsafe {
            let run = self.functions.run_compiled_model;
            let (from, to) = (inputs.as_mut_ptr(), outputs.as_mut_ptr());
            run(self.model, 0, inputs.len(), from, outputs.len(), to)
        };
        checked("LiteRtRunCompiledModel", status)
    }

    /// How many outputs there are.
    pub(super) fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Copies as much of output `index` as `bytes` takes; nothing when there is none.
    ///
    /// # Errors
    /// [`CompileError`].
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    pub(super) fn read(&mut self, index: usize, bytes: &mut [u8]) -> Result<()> {
        let Some(output) = self.outputs.get(index) else { return Ok(()) };
        let mode = sys::kLiteRtTensorBufferLockModeRead;
        let length = bytes.len();
        output.locked(self.functions, mode, length, |memory| {
            // SAFETY: `locked` gives as many bytes as `bytes` takes, and they are LiteRT's own.
            unsafe { ptr::copy_nonoverlapping(memory, bytes.as_mut_ptr(), length) }
        })
    }
}

type TensorAt = unsafe extern "C" fn(sys::Signature, ParamIndex, *mut sys::Tensor) -> Status;
type Requirements = unsafe extern "C" fn(
    CompiledModel,
    ParamIndex,
    ParamIndex,
    *mut TensorBufferRequirements,
) -> Status;

impl Buffer {
    /// Does `work` on the buffer's memory, of which it may touch `length` bytes.
    #[expect(unsafe_code, reason = "LiteRT is a C library")]
    fn locked(
        &self,
        functions: &LiteRtFunctions,
        mode: sys::TensorBufferLockMode,
        length: usize,
        work: impl FnOnce(*mut u8),
    ) -> Result<()> {
        if length > self.size {
            return Err(CompileError::Length { wanted: length, holds: self.size });
        }
        let mut memory = ptr::null_mut();
        // SAFETY: the handle is live, and `memory` is a local that takes the address.
        let status = unsafe { (functions.lock_tensor_buffer)(self.handle, &raw mut memory, mode) };
        checked("LiteRtLockTensorBuffer", status)?;
        if !memory.is_null() {
            work(memory.cast());
        }
        // SAFETY: it was locked above.
        checked("LiteRtUnlockTensorBuffer", unsafe {
            (functions.unlock_tensor_buffer)(self.handle)
        })?;
        let nowhere = CompileError::Length { wanted: length, holds: 0 };
        if memory.is_null() { Err(nowhere) } else { Ok(()) }
    }
}

/// Options for the CPU with `threads`; to be destroyed by who asked.
#[expect(unsafe_code, reason = "LiteRT is a C library")]
fn options(library: &Library, functions: &LiteRtFunctions, threads: u8) -> Result<sys::Options> {
    let create = function::<CreateOpaqueOptions>(library, "LiteRtCreateOpaqueOptions")?;
    let add = function::<AddOpaqueOptions>(library, "LiteRtAddOpaqueOptions")?;
    let payload = CString::new(format!("num_threads = {threads}\n")).unwrap_or_default();
    let mut options = ptr::null_mut();
    let mut for_cpu = ptr::null_mut();
    // SAFETY: out-parameters are live locals; the payload is handed over together with what frees
    // it; adding hands the second options over to the first.
    unsafe {
        checked("LiteRtCreateOptions", (functions.create_options)(&raw mut options))?;
        let set = functions.set_options_hardware_accelerators;
        let status = set(options, sys::kLiteRtHwAcceleratorCpu);
        checked("LiteRtSetOptionsHardwareAccelerators", status)?;
        let text = payload.into_raw().cast();
        let status = create(CPU_OPTIONS.as_ptr(), text, Some(free_text), &raw mut for_cpu);
        checked("LiteRtCreateOpaqueOptions", status)?;
        checked("LiteRtAddOpaqueOptions", add(options, for_cpu))?;
    }
    Ok(options)
}

/// The function called `name`, of type `F`.
#[expect(unsafe_code, reason = "only the caller knows a C function's type")]
fn function<F: Copy>(library: &Library, name: &'static str) -> Result<F> {
    // SAFETY: the types above are those of `litert_opaque_options.h` and `litert_options.h`.
    let found = unsafe { library.opened.library().get::<F>(name.as_bytes()) };
    found.map(|symbol| *symbol).map_err(|_| CompileError::Lacks(name))
}

/// Frees a text that [`CString::into_raw`] gave away.
#[expect(unsafe_code, reason = "LiteRT gives back what it was given")]
unsafe extern "C" fn free_text(text: *mut c_void) {
    // SAFETY: LiteRT calls this once, with the payload that `options` gave it.
    drop(unsafe { CString::from_raw(text.cast()) });
}
