//! A picture as the camera gave it: bytes, pixel format, size, stride, sequence and capture time.
//!
//! In: bytes that a source filled. Out: a [`Frame`] that borrows them, checked once so that every
//! later access is in bounds. Nothing is converted here; later rooms read the camera's own format.
//! A frame may be looked at turned and mirrored ([`View`]): its width, its height and all points and
//! boxes in it are then those that are seen, and no byte moves; [`Sampler`] and [`Resampler`] read
//! where they are stored.
//! Deliberately absent: compressed formats. A JPEG frame is decoded by `capture` first.

mod colour;
mod luminance;
mod resample;
mod sample;
mod shrink;
mod taps;

pub use resample::{Resampler, Tile};
pub use sample::Sampler;
pub use shrink::Window;

use crate::geometry::{Turn, View};

/// How the bytes of a frame are laid out.
///
/// YCbCr formats carry ITU-R BT.601 limited range, which V4L2 states as the default for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelFormat {
    /// Packed 4:2:2, two pixels in four bytes `Y0 Cb Y1 Cr`.
    Yuyv,
    /// Packed 4:2:2, two pixels in four bytes `Cb Y0 Cr Y1`.
    Uyvy,
    /// 4:2:0, a plane of Y followed by a half-size plane of `Cb Cr` pairs.
    Nv12,
    /// One byte of luminance a pixel, full range.
    Grey,
    /// Three bytes a pixel, `R G B`, full range.
    Rgb,
}

impl PixelFormat {
    /// The shortest possible row, in bytes, for `width` pixels.
    #[must_use]
    pub const fn min_stride(self, width: u32) -> usize {
        match self {
            Self::Yuyv | Self::Uyvy => width as usize * 2,
            Self::Nv12 | Self::Grey => width as usize,
            Self::Rgb => width as usize * 3,
        }
    }

    /// Bytes of a whole frame with rows of `stride` bytes.
    #[must_use]
    pub const fn frame_len(self, stride: usize, height: u32) -> usize {
        match self {
            Self::Nv12 => stride * height as usize + stride * (height as usize / 2),
            Self::Yuyv | Self::Uyvy | Self::Grey | Self::Rgb => stride * height as usize,
        }
    }
}

/// What makes bytes not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A side is zero, odd where the format needs it even, or above [`Frame::MAX_SIDE`].
    #[error("frame of {width}×{height} {format:?}: sides must be 1 to {max} pixels, and even where the format shares colour between pixels", max = Frame::MAX_SIDE)]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The format claimed.
        format: PixelFormat,
    },
    /// Rows are shorter than their pixels need.
    #[error("stride of {found} bytes is too short: {needed} are needed for one row")]
    Stride {
        /// Bytes a row claimed.
        found: usize,
        /// Bytes a row needs.
        needed: usize,
    },
    /// Fewer bytes arrived than the size says.
    #[error("short frame: {found} of {needed} bytes arrived")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes that the size and stride need.
        needed: usize,
    },
}

/// One uncompressed picture, borrowed from whoever holds its bytes.
///
/// Invariant: `pixels` holds at least `format.frame_len(stride, height)` bytes of the stored height.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pixels: &'a [u8],
    format: PixelFormat,
    /// As stored.
    width: u32,
    height: u32,
    view: View,
    stride: usize,
    sequence: u64,
    captured_at: crate::clock::Monotonic,
}

/// What can be seen of a frame before it is decoded: itself, or a smaller picture of its luminance.
#[derive(Debug, Clone, Copy)]
pub struct Glimpse<'a> {
    /// The picture, with the frame's number and time.
    pub frame: Frame<'a>,
    /// Pixels of the frame along a side of one of the picture's, 1 for the frame itself.
    pub scale: u32,
}

impl<'a> From<Frame<'a>> for Glimpse<'a> {
    fn from(frame: Frame<'a>) -> Self {
        Self { frame, scale: 1 }
    }
}

impl std::fmt::Debug for Frame<'_> {
    /// Never shows pixels: what is debugged may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("format", &self.format)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("view", &self.view)
            .field("sequence", &self.sequence)
            .field("captured_at", &self.captured_at)
            .finish_non_exhaustive()
    }
}

impl<'a> Frame<'a> {
    /// The longest side that is accepted, in pixels.
    pub const MAX_SIDE: u32 = 8192;

    /// Checks sizes once and borrows `pixels`.
    ///
    /// # Errors
    /// [`FrameError`] when size, stride and byte count do not fit each other.
    pub fn new(
        pixels: &'a [u8],
        format: PixelFormat,
        (width, height): (u32, u32),
        stride: usize,
        sequence: u64,
        captured_at: crate::clock::Monotonic,
    ) -> Result<Self, FrameError> {
        let even = match format {
            PixelFormat::Yuyv | PixelFormat::Uyvy => width % 2 == 0,
            PixelFormat::Nv12 => width % 2 == 0 && height % 2 == 0,
            PixelFormat::Grey | PixelFormat::Rgb => true,
        };
        let in_range =
            (1..=Self::MAX_SIDE).contains(&width) && (1..=Self::MAX_SIDE).contains(&height);
        if !even || !in_range {
            return Err(FrameError::Size { width, height, format });
        }
        let needed = format.min_stride(width);
        if stride < needed {
            return Err(FrameError::Stride { found: stride, needed });
        }
        let needed = format.frame_len(stride, height);
        if pixels.len() < needed {
            return Err(FrameError::Short { found: pixels.len(), needed });
        }
        let view = View::default();
        Ok(Self { pixels, format, width, height, view, stride, sequence, captured_at })
    }

    /// The same bytes, looked at through `view`.
    #[must_use]
    pub const fn seen_by(self, view: View) -> Self {
        Self { view, ..self }
    }

    /// The same, turned further.
    #[must_use]
    pub const fn turned(self, turn: Turn) -> Self {
        Self { view: self.view.turned(turn), ..self }
    }

    /// How the bytes are looked at.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// Pixels across and down as the bytes lie: rows of [`Self::stride`] bytes, from the top.
    #[must_use]
    pub const fn stored_size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The bytes, row after row, as they are stored.
    #[must_use]
    pub const fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// The layout of the bytes.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Pixels across as seen, 1 to [`Self::MAX_SIDE`].
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.view.size((self.width, self.height)).0
    }

    /// Pixels down as seen, 1 to [`Self::MAX_SIDE`].
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.view.size((self.width, self.height)).1
    }

    /// Bytes from one stored row to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The source's running number of this frame.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When the frame was captured.
    #[must_use]
    pub const fn captured_at(&self) -> crate::clock::Monotonic {
        self.captured_at
    }
}
