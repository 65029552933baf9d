//! A real camera, through `Video4Linux`.
//!
//! In: [`CameraSettings`]. Out: frames, copied once from the driver's mapped buffers. All that can
//! be decided without a device is decided elsewhere ([`negotiate`](super::negotiate),
//! [`control`], [`stamp`](mod@super::stamp), [`device`]); this file asks,
//! tells and waits. Controls are asked for and set by `driver_controls`.
//!
//! Invariants: no wait is longer than [`PATIENCE`]; one buffer at most is out of the driver's
//! hands; a panic of the `v4l` crate (it unwraps what drivers say: names that are not UTF-8) is an
//! error here and nothing more.
//! Deliberately absent: opening again, which is [`supervise`](super::supervise)'s; multi-planar
//! devices; libcamera, whose own program is read ([`program`](super::program)).
//! Source: the V4L2 documentation, "Streaming I/O (Memory Mapping)".

mod nodes;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use v4l::buffer::{Flags as BufferFlags, Type as BufferType};
use v4l::format::FieldOrder;
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, Fraction};

use super::control;
use super::device::{self, Wanted};
use super::driver_controls::{self, Call};
use super::identity::Origin;
use super::negotiate::{Choice, FourCc, NegotiationError, Wish, choose};
use super::stamp::{DriverStamp, Stamps};
use super::{
    CaptureError, CapturedFrame, Encoding, FrameRate, FrameSource, MAX_JPEG_BYTES, PATIENCE,
    Progress, SourceDescription,
};
use crate::clock::{Clock, Monotonic};

use nodes::{DEV, guarded, inspect, pick};
pub use nodes::{Listing, list_cameras};

/// How many buffers the driver is asked for: one being read here, one being filled, two between.
const BUFFERS: u32 = 4;

/// The most buffers that a driver may insist on.
const MAX_BUFFERS: usize = 32;

/// Which camera, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraSettings {
    /// `auto`, a device node, or a stable name; see [`device`].
    pub device: String,
    /// Which camera it has to be: a text by which [`CameraIdentity::is_meant_by`](crate::capture::CameraIdentity::is_meant_by) knows it.
    pub identity: Option<String>,
    /// Size, rate and formats that are wished for.
    pub wish: Wish,
    /// Controls to set when it is opened, by name or number.
    pub controls: BTreeMap<String, i64>,
}

/// A camera that streams.
pub struct V4l2Camera {
    description: SourceDescription,
    device: Device,
    stream: Option<Stream<'static>>,
    agreed: Agreed,
    stamps: Stamps,
    clock: Arc<dyn Clock>,
}

/// What driver and we agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Agreed {
    encoding: Encoding,
    size: (u32, u32),
    stride: usize,
}

impl V4l2Camera {
    /// Finds, opens and starts a camera.
    ///
    /// # Errors
    /// [`CaptureError`] says what is wrong with which device and what to do.
    pub fn open(settings: &CameraSettings, clock: Arc<dyn Clock>) -> Result<Self, CaptureError> {
        let path = match device::resolve(Path::new(DEV), &settings.device) {
            Wanted::Any => pick(list_cameras(&settings.wish), settings.identity.as_deref())?,
            Wanted::Path(path) => path,
            Wanted::Missing => {
                return Err(CaptureError::Missing { device: settings.device.clone() });
            }
        };
        let location = path.display().to_string();
        let (device, identity, offer) = inspect(&path, &settings.wish)?;
        // Before anything is asked of a camera that is none of ours.
        identity.check(settings.identity.as_deref(), &location)?;
        let choice = choose(&offer, &settings.wish)
            .map_err(|reason| CaptureError::Unsupported { device: location.clone(), reason })?;
        let (agreed, rate) = agree(&device, &location, choice)?;
        set_controls(&device, &location, &settings.controls)?;
        let stream = start(&device, &location)?;
        let (width, height) = agreed.size;
        let encoding = agreed.encoding;
        let (name, origin) = (identity.card().to_owned(), Origin::Camera(identity));
        let description =
            SourceDescription { name, location, origin, encoding, width, height, rate };
        let stamps = Stamps::default();
        Ok(Self { description, device, stream: Some(stream), agreed, stamps, clock })
    }

    fn fetch(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        let location = self.description.location.as_str();
        let patience_ms = PATIENCE.as_millis() as i32;
        let handle = self.device.handle();
        let ready = guarded(location, "poll", || match handle.poll(libc::POLLIN, patience_ms) {
            // A signal is no fault.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            answer => answer,
        })?;
        if ready == 0 {
            return Ok(Progress::Waiting);
        }
        let Some(stream) = &mut self.stream else {
            return Err(CaptureError::Unplugged { device: location.to_owned() });
        };
        // Gives the buffer of last time back and takes the one that is ready.
        let (bytes, about) = guarded(location, "VIDIOC_DQBUF", || CaptureStream::next(stream))?;
        let is_monotonic =
            about.flags & BufferFlags::TIMESTAMP_MASK == BufferFlags::TIMESTAMP_MONOTONIC;
        let captured_at = is_monotonic.then(|| stamp_of(about.timestamp)).flatten();
        let driver = DriverStamp { sequence: about.sequence, captured_at };
        let (sequence, captured_at) = self.stamps.judge(driver, self.clock.now());
        let used = bytes.get(..about.bytesused as usize).unwrap_or(bytes);
        let damaged = about.flags.contains(BufferFlags::ERROR) || used.is_empty();
        if damaged || (self.agreed.encoding == Encoding::Jpeg && used.len() > MAX_JPEG_BYTES) {
            return Err(CaptureError::DamagedBuffer { device: location.to_owned(), sequence });
        }
        match self.agreed.encoding {
            Encoding::Jpeg => into.begin_jpeg(sequence, captured_at),
            Encoding::Raw(format) => {
                into.begin_raw(format, self.agreed.size, self.agreed.stride, sequence, captured_at)
            }
        }
        .extend_from_slice(used);
        Ok(Progress::Frame)
    }
}

impl FrameSource for V4l2Camera {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        self.fetch(into)
    }
}

impl Drop for V4l2Camera {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        stop(stream);
    }
}

/// Stops and unmaps. The crate panics when that fails, and twice where stopping already did, which
/// would end the process: so it is stopped by hand first, and leaked in the rare case that a driver
/// refuses (the node stays open then, and the next opening says that it is busy).
fn stop(mut stream: Stream<'static>) {
    match stream.stop() {
        Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
            tracing::warn!("camera: VIDIOC_STREAMOFF failed: {error}: its buffers stay mapped");
            std::mem::forget(stream);
        }
        _ => {
            if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
                tracing::warn!("camera: its buffers could not be released");
            }
        }
    }
}

/// Sets format and rate, and looks at what the driver made of them.
fn agree(
    device: &Device,
    location: &str,
    choice: Choice,
) -> Result<(Agreed, Option<FrameRate>), CaptureError> {
    let mut format = Format::new(choice.size.0, choice.size.1, v4l::FourCC::new(&choice.code.0));
    format.field_order = FieldOrder::Progressive;
    let set = guarded(location, "VIDIOC_S_FMT", || device.set_format(&format))?;
    let set = (FourCc(set.fourcc.repr), (set.width, set.height), set.stride as usize);
    let agreed = check_agreement(choice, set)
        .map_err(|reason| CaptureError::Unsupported { device: location.to_owned(), reason })?;
    let Some(rate) = choice.rate else { return Ok((agreed, None)) };
    let (frames, seconds) = rate.fraction();
    let wanted = Parameters::new(Fraction::new(seconds, frames));
    // Some drivers cannot set a rate; the frames still come.
    let set = guarded(location, "VIDIOC_S_PARM", || device.set_params(&wanted)).ok();
    let rate = set.and_then(|set| FrameRate::new(set.interval.denominator, set.interval.numerator));
    Ok((agreed, rate))
}

/// What the driver says it set: code, size, bytes of a row.
type SetFormat = (FourCc, (u32, u32), usize);

fn check_agreement(choice: Choice, set: SetFormat) -> Result<Agreed, NegotiationError> {
    let (code, size, stride) = set;
    let Encoding::Raw(format) = choice.encoding else {
        let agreed = Agreed { encoding: choice.encoding, size, stride: 0 };
        return if code == choice.code { Ok(agreed) } else { Err(disagreement(choice, set)) };
    };
    let needed = format.min_stride(size.0);
    // Old drivers leave the row's length 0, which means: no gaps.
    let stride = if stride == 0 { needed } else { stride };
    if code != choice.code || stride < needed {
        return Err(disagreement(choice, set));
    }
    Ok(Agreed { encoding: choice.encoding, size, stride })
}

fn disagreement(choice: Choice, (code, size, stride): SetFormat) -> NegotiationError {
    let set = format!("{code} {}×{} with rows of {stride} bytes", size.0, size.1);
    NegotiationError::Disagreement { asked: choice.to_string(), set }
}

fn set_controls(
    device: &Device,
    location: &str,
    wanted: &BTreeMap<String, i64>,
) -> Result<(), CaptureError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let wrong = |control: String, problem: String| CaptureError::Control {
        device: location.to_owned(),
        control,
        problem,
    };
    let handle = device.handle();
    let call = |call: Call<'_>| call.on(&handle);
    let known = driver_controls::known(call).ok();
    let plan = control::plan(wanted, known.as_deref())
        .map_err(|error| wrong(error.control, error.problem))?;
    for (name, id, value) in plan {
        driver_controls::set(call, id, value).map_err(|error| {
            let error = CaptureError::from_system(location, "VIDIOC_S_EXT_CTRLS", &error);
            wrong(
                name,
                format!("the driver refuses {value} ({error}): see 'v4l2-ctl --list-ctrls'"),
            )
        })?;
    }
    Ok(())
}

/// Maps the buffers and hands all but the first to the driver: `next` gives that one back when it
/// takes another, so that a wait that ends without a frame needs no bookkeeping.
fn start(device: &Device, location: &str) -> Result<Stream<'static>, CaptureError> {
    let mut stream = guarded(location, "VIDIOC_REQBUFS", || {
        Stream::with_buffers(device, BufferType::VideoCapture, BUFFERS)
    })?;
    stream.set_timeout(PATIENCE);
    let queued =
        (1..MAX_BUFFERS).take_while(|index| CaptureStream::queue(&mut stream, *index).is_ok());
    if queued.count() == 0 {
        stop(stream);
        let (device, operation) = (location.to_owned(), "VIDIOC_QBUF");
        let problem = "the driver gives fewer than two buffers".to_owned();
        return Err(CaptureError::Driver { device, operation, problem });
    }
    if let Err(error) = guarded(location, "VIDIOC_STREAMON", || stream.start()) {
        stop(stream);
        return Err(error);
    }
    Ok(stream)
}

fn stamp_of(timestamp: v4l::Timestamp) -> Option<Monotonic> {
    let seconds = u64::try_from(timestamp.sec).ok()?;
    let micros = u64::try_from(timestamp.usec).ok()?;
    Some(Monotonic::from_micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CameraState;
    use crate::clock::{ClockRequirement, Floor, SystemClock};
    use crate::frame::PixelFormat;

    fn settings(device: &str) -> CameraSettings {
        let (device, wish) = (device.to_owned(), Wish::default());
        CameraSettings { device, identity: None, wish, controls: BTreeMap::new() }
    }

    fn open(device: &str) -> CaptureError {
        let clock = Arc::new(SystemClock::new(ClockRequirement::Plausible, Floor::default()));
        match V4l2Camera::open(&settings(device), clock) {
            Ok(camera) => panic!("opened {:?}", camera.description()),
            Err(error) => error,
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_said_to_be_missing() {
        for device in ["/dev/video-of-nobody", "usb-Nobody-video-index0", "", "\0"] {
            let error = open(device);
            assert!(matches!(error, CaptureError::Missing { .. }), "{error}");
            assert_eq!(error.state(), CameraState::Searching);
        }
    }

    #[test]
    fn a_device_that_is_no_camera_is_said_to_be_none() {
        for device in ["/dev/null", "/dev/zero"] {
            let error = open(device);
            assert_eq!(error.state(), CameraState::Unsupported, "{error}");
            assert!(error.to_string().contains("not a camera"), "{error}");
        }
    }

    #[test]
    fn a_driver_may_pad_rows_but_not_change_the_format() {
        let code = FourCc(*b"YUYV");
        let encoding = Encoding::Raw(PixelFormat::Yuyv);
        let choice = Choice { code, encoding, size: (640, 480), rate: None };
        let stride = |set: SetFormat| check_agreement(choice, set).map(|agreed| agreed.stride);
        assert_eq!(stride((code, (640, 480), 1280)), Ok(1280));
        assert_eq!(stride((code, (640, 480), 1344)), Ok(1344));
        assert_eq!(stride((code, (640, 480), 0)), Ok(1280));
        // Another size is the driver's right; rows too short and another code are not.
        assert_eq!(stride((code, (320, 240), 640)), Ok(640));
        assert!(stride((code, (640, 480), 640)).is_err());
        let text = stride((FourCc(*b"NV12"), (640, 480), 640)).unwrap_err().to_string();
        assert!(text.contains("NV12 640×480 with rows of 640 bytes"), "{text}");
    }
}
