//! What the video nodes of a machine are, and which of them is the camera that is wanted.
//!
//! In: a node, or all of them. Out: which camera it is, what it offers, what would be chosen, or why it
//! cannot be used; of several the first that can, else the error that a person can do most about.
//! Invariant: a node is asked and never set; a panic of the `v4l` crate below is an error here.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use v4l::capability::Flags as Capability;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture as _;
use v4l::{Device, Fraction};

use crate::capture::device;
use crate::capture::identity::{CameraIdentity, Hardware};
use crate::capture::negotiate::{
    Choice, FormatOffer, FourCc, NegotiationError, Offer, Rates, SizeOffer, Sizes, Wish, choose,
    list,
};
use crate::capture::{CaptureError, FrameRate};

/// Where device nodes are.
pub(super) const DEV: &str = "/dev";

/// Where the kernel tells what is behind them.
const SYS: &str = "/sys";

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
pub(super) fn pick(listings: Vec<Listing>, wanted: Option<&str>) -> Result<PathBuf, CaptureError> {
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
pub(super) fn guarded<T>(
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
pub(super) fn inspect(
    path: &Path,
    wish: &Wish,
) -> Result<(Device, CameraIdentity, Offer), CaptureError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Encoding;
    use crate::capture::identity::made_up;

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
    fn a_panic_below_is_an_error_here() {
        let result = guarded::<()>("/dev/video0", "VIDIOC_QUERYCAP", || panic!("not UTF-8"));
        let text = result.unwrap_err().to_string();
        assert!(text.contains("VIDIOC_QUERYCAP") && text.contains("/dev/video0"), "{text}");
    }
}
