//! Format, size and rate: chosen from what a device offers by what is wished for.
//!
//! In: an [`Offer`], which the V4L2 edge fills, and a [`Wish`]. Out: a [`Choice`], or a
//! [`NegotiationError`] that lists what there was. Pure, so that cameras nobody here owns are lines
//! of a text table (`tests/data/capture/negotiate.txt`).
//!
//! The order of preference, first difference decides:
//! 1. the wished size; else the smallest that covers it; else the largest there is;
//! 2. the wished rate (95 % of it is enough); else the fastest;
//! 3. the wish's order of formats, by default YUYV, UYVY, NV12, MJPG, GREY: raw before compressed, as decoding costs time and quality,
//!    packed before planar, as one row is one stretch of memory; grey last, as the network was
//!    trained in colour. So a raw format that is too slow over USB 2 loses to MJPG.
//!
//! Deliberately absent: raw sensor data (Bayer), which needs an image signal processor.
//! Source: the V4L2 documentation of `VIDIOC_ENUM_FMT`, `_FRAMESIZES`, `_FRAMEINTERVALS`.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt::Write as _;

use super::{Encoding, FrameRate};
use crate::frame::{Frame, PixelFormat};
use crate::remedy::Remedied;

/// The smallest side of a picture in which a face can be found, in pixels.
pub const MIN_SIDE: u32 = 96;

/// The formats that can be used, the most wanted first; the module's header says why.
pub const PREFERENCE: [Encoding; 5] = [
    Encoding::Raw(PixelFormat::Yuyv),
    Encoding::Raw(PixelFormat::Uyvy),
    Encoding::Raw(PixelFormat::Nv12),
    Encoding::Jpeg,
    Encoding::Raw(PixelFormat::Grey),
];

/// Drivers that hand out what a CSI sensor gives, which only libcamera can process.
const SENSOR_DRIVERS: [&str; 9] = [
    "unicam",
    "bcm2835-isp",
    "rp1-cfe",
    "pispbe",
    "rkisp1",
    "sun6i-csi",
    "imx7-csi",
    "qcom-camss",
    "ipu",
];

/// The driver that stands for a camera which another program feeds. With its option `exclusive_caps` a
/// device does not capture before somebody writes to it.
const LOOPBACK_DRIVER: &str = "v4l2 loopback";

/// A V4L2 format code: four characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// The encoding, where it is one that is used here.
    #[must_use]
    pub const fn encoding(self) -> Option<Encoding> {
        Some(match &self.0 {
            b"YUYV" => Encoding::Raw(PixelFormat::Yuyv),
            b"UYVY" => Encoding::Raw(PixelFormat::Uyvy),
            b"NV12" => Encoding::Raw(PixelFormat::Nv12),
            b"GREY" => Encoding::Raw(PixelFormat::Grey),
            b"MJPG" | b"JPEG" => Encoding::Jpeg,
            _ => return None,
        })
    }

    /// Whether this is undeveloped sensor data: the code names an order of red, green and blue
    /// cells, with or without packing.
    #[must_use]
    pub fn is_bayer(self) -> bool {
        const EIGHT_BIT: [&[u8; 4]; 4] = [b"BA81", b"GBRG", b"GRBG", b"RGGB"];
        let [first, second, ..] = self.0;
        let order = |pair: [u8; 2]| matches!(&pair, b"BG" | b"GB" | b"BA" | b"GR" | b"RG" | b"BY");
        EIGHT_BIT.contains(&&self.0)
            || (order([first, second]) && self.0.iter().skip(2).all(u8::is_ascii_digit))
            // MIPI-packed and compressed variants: pBAA, pgCC, aRA8, bGA8, PC1g (Raspberry Pi 5).
            || (matches!(first, b'p' | b'a' | b'b')
                && matches!(second, b'B' | b'G' | b'g' | b'R'))
            || self.0.starts_with(b"PC1")
    }
}

impl std::fmt::Display for FourCc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.trim_ascii_end().escape_ascii())
    }
}

/// Which sizes a format comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Exactly one.
    Discrete(u32, u32),
    /// All from `min` to `max` in steps: width, height.
    Stepwise {
        /// The smallest.
        min: (u32, u32),
        /// The largest.
        max: (u32, u32),
        /// The distance of one from the next; 0 counts as 1.
        step: (u32, u32),
    },
}

impl Sizes {
    /// The size nearest to `wish`, and not smaller where that is possible.
    #[must_use]
    pub fn nearest(self, wish: (u32, u32)) -> (u32, u32) {
        match self {
            Self::Discrete(width, height) => (width, height),
            Self::Stepwise { min, max, step } => {
                (on_grid(wish.0, min.0, max.0, step.0), on_grid(wish.1, min.1, max.1, step.1))
            }
        }
    }
}

fn on_grid(wish: u32, min: u32, max: u32, step: u32) -> u32 {
    let step = step.max(1);
    let last = min + max.saturating_sub(min) / step * step;
    let steps = wish.saturating_sub(min).div_ceil(step);
    min.saturating_add(steps.saturating_mul(step)).min(last)
}

/// Which rates a size comes at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rates {
    /// Exactly one.
    Discrete(FrameRate),
    /// All between two.
    Between {
        /// The lowest.
        slowest: FrameRate,
        /// The highest.
        fastest: FrameRate,
    },
}

impl Rates {
    /// The rate nearest to `wish`.
    #[must_use]
    pub fn nearest(self, wish: FrameRate) -> FrameRate {
        match self {
            Self::Discrete(rate) => rate,
            Self::Between { fastest, .. } if wish.hertz() > fastest.hertz() => fastest,
            Self::Between { slowest, .. } if wish.hertz() < slowest.hertz() => slowest,
            Self::Between { .. } => wish,
        }
    }
}

/// Sizes, and the rates they come at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeOffer {
    /// The sizes.
    pub sizes: Sizes,
    /// The rates, for stepwise sizes those at [`Sizes::nearest`] of the wish; empty where the
    /// driver does not tell.
    pub rates: Vec<Rates>,
}

/// A format, and what it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatOffer {
    /// The format.
    pub code: FourCc,
    /// Its sizes; empty where the driver does not tell.
    pub sizes: Vec<SizeOffer>,
}

/// What a device offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// The driver's name: `uvcvideo`, `unicam`…
    pub driver: String,
    /// Whether the node captures video; metadata nodes and encoders do not.
    pub captures: bool,
    /// Whether it does so only through the multi-planar interface.
    pub multi_planar_only: bool,
    /// Its formats.
    pub formats: Vec<FormatOffer>,
}

/// What is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Pixels across and down.
    pub size: (u32, u32),
    /// Frames a second.
    pub rate: FrameRate,
    /// The formats that may be used, the most wanted first.
    pub formats: Vec<Encoding>,
}

impl Default for Wish {
    /// 640 × 480 at 30 frames a second: every UVC camera has it, and a face a metre away is large
    /// enough in it.
    fn default() -> Self {
        Self { size: (640, 480), rate: FrameRate::per_second(30), formats: PREFERENCE.to_vec() }
    }
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The code to ask the driver for.
    pub code: FourCc,
    /// How its bytes are read.
    pub encoding: Encoding,
    /// Pixels across and down.
    pub size: (u32, u32),
    /// Frames a second; `None` where the driver does not tell.
    pub rate: Option<FrameRate>,
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}×{}", self.code, self.size.0, self.size.1)?;
        match self.rate {
            Some(rate) => write!(f, " {rate}"),
            None => f.write_str(" at an unknown rate"),
        }
    }
}

/// Why nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// Not a V4L2 capture device at all.
    #[error(
        "not a camera: this device does not capture video (metadata node, encoder, or another kind of device): {advice}",
        advice = self.advice()
    )]
    NotACamera,
    /// A virtual camera that nobody feeds.
    #[error(
        "a virtual camera (v4l2loopback) that no program feeds: {advice}",
        advice = self.advice()
    )]
    NotFed,
    /// A CSI sensor's raw data.
    #[error(
        "driver '{driver}' gives raw sensor data (CSI camera), which needs libcamera: {advice}",
        advice = self.advice()
    )]
    NeedsLibcamera {
        /// The driver.
        driver: String,
        /// Its formats.
        offered: String,
    },
    /// Only the interface for several buffers a frame.
    #[error(
        "driver '{driver}' captures only through the multi-planar interface, as codecs and image processors do: {advice}",
        advice = self.advice()
    )]
    MultiPlanar {
        /// The driver.
        driver: String,
        /// Its formats.
        offered: String,
    },
    /// A list without entries.
    #[error("driver '{driver}' offers no format: {advice}", advice = self.advice())]
    NothingOffered {
        /// The driver.
        driver: String,
    },
    /// A list without a usable entry.
    #[error(
        "no usable format: wanted {wanted} of at least {MIN_SIDE}×{MIN_SIDE}; {advice}",
        advice = self.advice()
    )]
    NothingFits {
        /// The formats that would do.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// The driver agreed to something else than it offered.
    #[error("asked for {asked}, the driver set {set}: {advice}", advice = self.advice())]
    Disagreement {
        /// What was asked for.
        asked: String,
        /// What it said then.
        set: String,
    },
    /// The system gave a description that cannot be understood.
    #[error("its description cannot be read: {0}: {advice}", advice = self.advice())]
    Unreadable(String),
}

impl Remedied for NegotiationError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::NotACamera => "'deepid-edge doctor' lists the cameras".into(),
            Self::NotFed => {
                "start the program that writes to it (ffmpeg, rpicam-vid …); if that one fails, unload and load the module v4l2loopback first".into()
            }
            Self::NeedsLibcamera { offered, .. } => {
                format!("set camera.device = \"libcamera\" (docs/install.md), or use a USB camera; what it offers: {offered}").into()
            }
            Self::MultiPlanar { offered, .. } => {
                format!("use a USB camera; what it offers: {offered}").into()
            }
            Self::NothingOffered { .. } => {
                "a v4l2loopback device has none until a program writes to it; otherwise replug the camera".into()
            }
            Self::NothingFits { offered, .. } => format!("offered: {offered}").into(),
            Self::Disagreement { .. } => "try another camera.width and camera.height, or another of camera.formats".into(),
            Self::Unreadable(_) => "try another camera or a newer kernel".into(),
        })
    }
}

/// Chooses by the module's order of preference.
///
/// # Errors
/// [`NegotiationError`] says why nothing fits.
pub fn choose(offer: &Offer, wish: &Wish) -> Result<Choice, NegotiationError> {
    let driver = || offer.driver.clone();
    if !offer.captures {
        let is_loopback = offer.driver == LOOPBACK_DRIVER;
        return Err(if is_loopback {
            NegotiationError::NotFed
        } else {
            NegotiationError::NotACamera
        });
    }
    let best = offer
        .formats
        .iter()
        .flat_map(|format| candidates(format, wish))
        .filter(is_usable)
        // The first of equals: the driver's own order is a hint too.
        .min_by_key(|choice| rank(choice, wish));
    if let (Some(choice), false) = (best, offer.multi_planar_only) {
        return Ok(choice);
    }
    let offered = list(offer);
    let is_sensor = SENSOR_DRIVERS.iter().any(|known| offer.driver.starts_with(known));
    let only_bayer =
        !offer.formats.is_empty() && offer.formats.iter().all(|format| format.code.is_bayer());
    Err(if is_sensor || only_bayer {
        NegotiationError::NeedsLibcamera { driver: driver(), offered }
    } else if offer.multi_planar_only {
        NegotiationError::MultiPlanar { driver: driver(), offered }
    } else if offer.formats.is_empty() {
        NegotiationError::NothingOffered { driver: driver() }
    } else {
        let wanted: Vec<String> = wish.formats.iter().map(ToString::to_string).collect();
        let wanted = wanted.join(" or ");
        NegotiationError::NothingFits { wanted, offered }
    })
}

fn candidates(format: &FormatOffer, wish: &Wish) -> Vec<Choice> {
    let code = format.code;
    let wanted = |encoding: &Encoding| wish.formats.contains(encoding);
    let Some(encoding) = code.encoding().filter(wanted) else { return Vec::new() };
    if format.sizes.is_empty() {
        return vec![Choice { code, encoding, size: wish.size, rate: None }];
    }
    let choice = |offer: &SizeOffer| {
        let rates = offer.rates.iter().map(|rates| rates.nearest(wish.rate));
        let rate = rates.min_by(|a, b| rate_rank(*a, wish).total_cmp(&rate_rank(*b, wish)));
        Choice { code, encoding, size: offer.sizes.nearest(wish.size), rate }
    };
    format.sizes.iter().map(choice).collect()
}

fn is_usable(choice: &Choice) -> bool {
    let (width, height) = choice.size;
    let even = match choice.encoding {
        Encoding::Raw(PixelFormat::Yuyv | PixelFormat::Uyvy) => width % 2 == 0,
        Encoding::Raw(PixelFormat::Nv12) => width % 2 == 0 && height % 2 == 0,
        Encoding::Raw(PixelFormat::Grey | PixelFormat::Rgb) | Encoding::Jpeg => true,
    };
    even && width.min(height) >= MIN_SIDE && width.max(height) <= Frame::MAX_SIDE
}

/// Lower is better: a fast enough rate by its distance from the wish, then slower ones.
fn rate_rank(rate: FrameRate, wish: &Wish) -> f64 {
    let (rate, wish) = (rate.hertz(), wish.rate.hertz());
    if rate >= 0.95 * wish { (rate - wish).abs() } else { 1e9 - rate }
}

type Rank = (u8, u64, u64, usize);

/// Lower is better; the module's header says why.
fn rank(choice: &Choice, wish: &Wish) -> Rank {
    let ((width, height), (wished_width, wished_height)) = (choice.size, wish.size);
    let area = u64::from(width) * u64::from(height);
    let (class, size) = if choice.size == wish.size {
        (0, 0)
    } else if width >= wished_width && height >= wished_height {
        (1, area)
    } else {
        (2, Reverse(area).0.wrapping_neg())
    };
    // In tenths, as a driver may write one rate as 29.97 and the next as 30.
    let missing = choice.rate.map_or(0, |rate| {
        let slow = rate.hertz() < 0.95 * wish.rate.hertz();
        if slow { ((wish.rate.hertz() - rate.hertz()) * 10.0) as u64 + 1 } else { 0 }
    });
    let preference = wish.formats.iter().position(|wanted| *wanted == choice.encoding);
    (class, size, missing, preference.unwrap_or(usize::MAX))
}

/// What a device offers, in one line: `YUYV 640×480 30/s 15/s, 1280×720 10/s; MJPG …`.
#[must_use]
pub fn list(offer: &Offer) -> String {
    if offer.formats.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = String::new();
    for (index, format) in offer.formats.iter().enumerate() {
        if index > 0 {
            text.push_str("; ");
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", format.code);
        for (index, size) in format.sizes.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { " " });
            let _ = match size.sizes {
                Sizes::Discrete(width, height) => write!(text, "{width}×{height}"),
                Sizes::Stepwise { min, max, .. } => {
                    write!(text, "{}×{} to {}×{}", min.0, min.1, max.0, max.1)
                }
            };
            for rates in &size.rates {
                let _ = match rates {
                    Rates::Discrete(rate) => write!(text, " {rate}"),
                    Rates::Between { slowest, fastest } => write!(text, " {slowest} to {fastest}"),
                };
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/capture/negotiate.txt"));

    fn code(text: &str) -> FourCc {
        let mut bytes = [b' '; 4];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        FourCc(bytes)
    }

    fn pair(text: &str) -> (u32, u32) {
        let (width, height) = text.split_once('x').expect("WxH");
        (width.parse().unwrap(), height.parse().unwrap())
    }

    fn rate(text: &str) -> FrameRate {
        let (frames, seconds) = text.split_once('/').unwrap_or((text, "1"));
        FrameRate::new(frames.parse().unwrap(), seconds.parse().unwrap()).unwrap()
    }

    /// `WxH rate…`, `WxH..WxH+SxS rate..rate`
    fn size_offer(text: &str) -> SizeOffer {
        let mut words = text.split_whitespace();
        let size = words.next().expect("a size");
        let sizes = match size.split_once("..") {
            None => Sizes::Discrete(pair(size).0, pair(size).1),
            Some((min, rest)) => {
                let (max, step) = rest.split_once('+').expect("..max+step");
                Sizes::Stepwise { min: pair(min), max: pair(max), step: pair(step) }
            }
        };
        let rates = words
            .map(|word| match word.split_once("..") {
                None => Rates::Discrete(rate(word)),
                Some((slowest, fastest)) => {
                    Rates::Between { slowest: rate(slowest), fastest: rate(fastest) }
                }
            })
            .collect();
        SizeOffer { sizes, rates }
    }

    #[test]
    fn table() {
        let mut cases = 0;
        let (mut offer, mut wish) = (Offer::default(), Wish::default());
        for (number, line) in TABLE.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            match verb {
                "" => {}
                "camera" => {
                    let mut words = rest.split_whitespace();
                    wish = Wish::default();
                    offer = Offer {
                        driver: words.next().expect("a driver").replace('_', " "),
                        captures: true,
                        multi_planar_only: false,
                        formats: Vec::new(),
                    };
                    for word in words {
                        match word {
                            "metadata" => offer.captures = false,
                            "multi-planar" => offer.multi_planar_only = true,
                            other => panic!("line {}: {other}", number + 1),
                        }
                    }
                }
                "wish" => {
                    for word in rest.split_whitespace() {
                        if let Some(value) = word.strip_prefix('@') {
                            wish.rate = rate(value);
                        } else if word.contains('x') {
                            wish.size = pair(word);
                        } else {
                            let codes = word.split(',').map(code);
                            wish.formats = codes.map(|code| code.encoding().unwrap()).collect();
                        }
                    }
                }
                "=>" => {
                    cases += 1;
                    let found = match choose(&offer, &wish) {
                        Ok(choice) => choice.to_string(),
                        Err(error) => format!("error: {error}"),
                    };
                    let fits = match rest.strip_prefix("error: ") {
                        None => found == rest,
                        Some(part) => found.starts_with("error: ") && found.contains(part),
                    };
                    assert!(fits, "line {}: expected '{rest}', found '{found}'", number + 1);
                }
                format => {
                    let sizes = rest.split('|').map(str::trim).filter(|text| !text.is_empty());
                    let sizes = sizes.map(size_offer).collect();
                    offer.formats.push(FormatOffer { code: code(format), sizes });
                }
            }
        }
        assert!(cases >= 15, "only {cases} cases: is the table whole?");
    }

    proptest! {
        #[test]
        fn a_step_size_is_on_its_grid(
            min in 1u32..200, extent in 0u32..2000, step in 0u32..64, wish in 0u32..5000,
        ) {
            let sizes = Sizes::Stepwise {
                min: (min, min), max: (min + extent, min + extent), step: (step, step),
            };
            let (width, _) = sizes.nearest((wish, wish));
            prop_assert!(width >= min && width <= min + extent);
            prop_assert_eq!((width - min) % step.max(1), 0);
            // Smaller than wished only where nothing larger is on the grid.
            prop_assert!(width >= wish || width + step.max(1) > min + extent);
        }
    }
}
