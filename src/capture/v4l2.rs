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

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use v4l::buffer::{Flags as BufferFlags, Type as BufferType};
use v4l::capability::Flags as Capability;
use v4l::format::FieldOrder;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, Fraction};

use super::control;
use super::device::{self, Wanted};
use super::driver_controls::{self, Call};
use super::identity::{CameraIdentity, Hardware, Origin};
use super::negotiate::{
    Choice, FormatOffer, FourCc, NegotiationError, Offer, Rates, SizeOffer, Sizes, Wish, choose,
    list,
};
use super::stamp::{DriverStamp, Stamps};
use super::{
    CaptureError, CapturedFrame, Encoding, FrameRate, FrameSource, MAX_JPEG_BYTES, PATIENCE,
    Progress, SourceDescription,
};
use crate::clock::{Clock, Monotonic};

/// Where device nodes are.
const DEV: &str = "/dev";

/// Where the kernel tells what is behind them.
const SYS: &str = "/sys";

/// How many buffers the driver is asked for: one being read here, one being filled, two between.
const BUFFERS: u32 = 4;

/// The most buffers that a driver may insist on.
const MAX_BUFFERS: usize = 32;

/// Which camera, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraSettings {
    /// `auto`, a device node, or a stable name; see [`device`].
    pub device: String,
    /// Which camera it has to be: a text by which [`CameraIdentity::is_meant_by`] knows it.
    pub identity: Option<String>,
    /// Size, rate and formats that are wished for.
    pub wish: Wish,
    /// Controls to set when it is opened, by name or number.
    pub controls: BTreeMap<String, i64>,
}

/// A camera that streams.
pub struct Camera {
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

/// One device node, for `doctor` and for `auto`.
#[derive(Debug)]
pub struct Listing {
    /// The node: `/dev/video0`.
    pub node: PathBuf,
    /// The name that stays the same when cameras are plugged in another order.
    pub stable_name: Option<PathBuf>,
    /// Which camera it is; `None` where it could not be asked.
    pub identity: Option<CameraIdentity>,
    /// What it offers, in one line.
    pub offered: String,
    /// What would be chosen, or why it cannot be used.
    pub verdict: Result<Choice, CaptureError>,
}

/// Looks at all video nodes of the machine.
#[must_use]
pub fn list_cameras(wish: &Wish) -> Vec<Listing> {
    list_cameras_under(Path::new(DEV), wish)
}

fn list_cameras_under(dev: &Path, wish: &Wish) -> Vec<Listing> {
    let look_at = |node: PathBuf| {
        let name = node.display().to_string();
        let (identity, offer, verdict) = match inspect(&node, wish) {
            Ok((_, identity, offer)) => {
                let verdict = choose(&offer, wish)
                    .map_err(|reason| CaptureError::Unsupported { device: name, reason });
                (Some(identity), offer, verdict)
            }
            Err(error) => (None, Offer::default(), Err(error)),
        };
        let stable_name = device::stable_name(dev, &node);
        let offered = list(&offer);
        Listing { node, stable_name, identity, offered, verdict }
    };
    device::nodes(dev).into_iter().map(look_at).collect()
}

/// The first camera that can be used and is the `wanted` one; else the error that a person can do
/// most about.
fn pick(listings: Vec<Listing>, wanted: Option<&str>) -> Result<PathBuf, CaptureError> {
    let mut failure = CaptureError::Missing { device: "auto".to_owned() };
    for listing in listings {
        let node = listing.node.display().to_string();
        let meant = listing.identity.map_or(Ok(()), |identity| identity.check(wanted, &node));
        match listing.verdict.and_then(|choice| meant.map(|()| choice)) {
            Ok(_) => return Ok(listing.stable_name.unwrap_or(listing.node)),
            Err(error) if usefulness(&error) > usefulness(&failure) => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

const fn usefulness(error: &CaptureError) -> u8 {
    match error {
        CaptureError::Foreign { .. } => 5,
        CaptureError::Denied { .. } | CaptureError::Busy { .. } => 4,
        CaptureError::Unsupported { reason: NegotiationError::NeedsLibcamera { .. }, .. } => 3,
        CaptureError::Unsupported { reason: NegotiationError::NotACamera, .. } => 0,
        CaptureError::Missing { .. } => 1,
        _ => 2,
    }
}

/// Calls into the `v4l` crate: system errors and panics become ours.
fn guarded<T>(
    device: &str,
    operation: &'static str,
    call: impl FnOnce() -> io::Result<T>,
) -> Result<T, CaptureError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(CaptureError::from_system(device, operation, &error)),
        Err(_) => Err(CaptureError::Unsupported {
            device: device.to_owned(),
            reason: NegotiationError::Unreadable(operation.to_owned()),
        }),
    }
}

/// What the kernel knows of the hardware behind the node that `device` has open. By the number of
/// what is open, which cannot come to mean another camera meanwhile, as a path can.
fn hardware(device: &Device) -> Hardware {
    let open = format!("/proc/self/fd/{}", device.handle().fd());
    let Ok(about) = std::fs::metadata(open) else { return Hardware::default() };
    let number = about.rdev();
    Hardware::of(Path::new(SYS), (libc::major(number), libc::minor(number)))
}

/// Opens a node and asks what it is.
fn inspect(path: &Path, wish: &Wish) -> Result<(Device, CameraIdentity, Offer), CaptureError> {
    let name = path.display().to_string();
    let device = guarded(&name, "open", || Device::with_path(path))?;
    let about = guarded(&name, "VIDIOC_QUERYCAP", || device.query_caps())?;
    let can = |flag| {
        about.capabilities.contains(flag) && about.capabilities.contains(Capability::STREAMING)
    };
    let identity = CameraIdentity::new(&about.driver, &about.card, &about.bus, hardware(&device));
    let (single, multi) = (can(Capability::VIDEO_CAPTURE), can(Capability::VIDEO_CAPTURE_MPLANE));
    let mut offer = Offer {
        driver: about.driver,
        captures: single || multi,
        multi_planar_only: multi && !single,
        formats: Vec::new(),
    };
    if single {
        offer.formats = guarded(&name, "VIDIOC_ENUM_FMT", || read_formats(&device, wish))?;
    }
    Ok((device, identity, offer))
}

fn read_formats(device: &Device, wish: &Wish) -> io::Result<Vec<FormatOffer>> {
    let formats = device.enum_formats()?;
    Ok(formats
        .into_iter()
        .map(|format| {
            // A driver that does not enumerate sizes says so by an error, which is an answer.
            let sizes = device.enum_framesizes(format.fourcc).unwrap_or_default();
            let sizes = sizes.into_iter().map(|size| {
                let sizes = match size.size {
                    FrameSizeEnum::Discrete(one) => Sizes::Discrete(one.width, one.height),
                    FrameSizeEnum::Stepwise(all) => Sizes::Stepwise {
                        min: (all.min_width, all.min_height),
                        max: (all.max_width, all.max_height),
                        step: (all.step_width, all.step_height),
                    },
                };
                let (width, height) = sizes.nearest(wish.size);
                let intervals = device.enum_frameintervals(format.fourcc, width, height);
                let intervals = intervals.unwrap_or_default().into_iter();
                let rates = intervals.filter_map(|interval| read_rates(interval.interval));
                SizeOffer { sizes, rates: rates.collect() }
            });
            FormatOffer { code: FourCc(format.fourcc.repr), sizes: sizes.collect() }
        })
        .collect())
}

/// V4L2 tells intervals, the inverse of rates: its shortest is our fastest.
fn read_rates(interval: FrameIntervalEnum) -> Option<Rates> {
    let rate = |interval: Fraction| FrameRate::new(interval.denominator, interval.numerator);
    Some(match interval {
        FrameIntervalEnum::Discrete(one) => Rates::Discrete(rate(one)?),
        FrameIntervalEnum::Stepwise(all) => {
            Rates::Between { slowest: rate(all.max)?, fastest: rate(all.min)? }
        }
    })
}

impl Camera {
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

impl FrameSource for Camera {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        self.fetch(into)
    }
}

impl Drop for Camera {
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
    use crate::capture::identity::made_up;
    use crate::clock::{ClockRequirement, Floor, SystemClock};
    use crate::frame::PixelFormat;

    fn settings(device: &str) -> CameraSettings {
        let (device, wish) = (device.to_owned(), Wish::default());
        CameraSettings { device, identity: None, wish, controls: BTreeMap::new() }
    }

    fn open(device: &str) -> CaptureError {
        let clock = Arc::new(SystemClock::new(ClockRequirement::Plausible, Floor::default()));
        match Camera::open(&settings(device), clock) {
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
    fn what_looks_like_a_camera_and_is_none_is_listed_with_its_fault() {
        let dev = tempfile::tempdir().unwrap();
        std::fs::write(dev.path().join("video3"), b"").unwrap();
        let found = list_cameras_under(dev.path(), &Wish::default());
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert!(only.node.ends_with("video3") && only.verdict.is_err());
        assert!(matches!(pick(found, None), Err(CaptureError::Missing { .. })));
    }

    #[test]
    fn the_most_useful_error_is_told() {
        let device = || "/dev/video0".to_owned();
        let listing = |verdict| Listing {
            node: PathBuf::from("/dev/video0"),
            stable_name: Some(PathBuf::from("/dev/v4l/by-id/x")),
            identity: None,
            offered: String::new(),
            verdict,
        };
        let metadata = || {
            let reason = NegotiationError::NotACamera;
            listing(Err(CaptureError::Unsupported { device: device(), reason }))
        };
        let sensor = || {
            let (driver, offered) = ("unicam".to_owned(), "pBAA".to_owned());
            let reason = NegotiationError::NeedsLibcamera { driver, offered };
            listing(Err(CaptureError::Unsupported { device: device(), reason }))
        };
        let denied = || listing(Err(CaptureError::Denied { device: device() }));
        let usable = || {
            let (code, encoding) = (FourCc(*b"MJPG"), Encoding::Jpeg);
            listing(Ok(Choice { code, encoding, size: (640, 480), rate: None }))
        };
        let told_of = |listings, wanted| match pick(listings, wanted) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.state().name().to_owned(),
        };
        let told = |listings| told_of(listings, None);
        assert_eq!(told(vec![]), "searching");
        assert_eq!(told(vec![metadata()]), "searching");
        assert_eq!(told(vec![metadata(), sensor()]), "unsupported");
        assert_eq!(told(vec![sensor(), denied(), sensor()]), "denied");
        assert_eq!(told(vec![sensor(), denied(), usable()]), "/dev/v4l/by-id/x");
        let one = |serial, stable_name: &str| Listing {
            identity: Some(made_up::usb(0x0825, Some(serial), "1.2")),
            stable_name: Some(PathBuf::from(stable_name)),
            ..usable()
        };
        let two = || vec![one("A", "/dev/a"), one("B", "/dev/b")];
        assert_eq!(told(two()), "/dev/a");
        assert_eq!(told_of(two(), Some("usb:046d:0825:B")), "/dev/b", "the one that is wanted");
        assert_eq!(told_of(two(), Some("usb:046d:0825:C")), "foreign");
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

    #[test]
    fn a_panic_below_is_an_error_here() {
        let result = guarded::<()>("/dev/video0", "VIDIOC_QUERYCAP", || panic!("not UTF-8"));
        let text = result.unwrap_err().to_string();
        assert!(text.contains("VIDIOC_QUERYCAP") && text.contains("/dev/video0"), "{text}");
    }
}
