//! The luminance of a JPEG picture at an eighth of its size, without pixels being made of it.
//!
//! In: what a [`Walker`](super::Walker) reads. Out: the average of each block of the first component,
//! which is luminance in every picture of a camera. A block's first coefficient is its average, so
//! this costs the walk alone, which each frame takes that is decoded.
//!
//! Invariant: nothing is allocated after the largest picture was seen once.
//! Deliberately absent: a first component with fewer samples than another one.

use super::{JpegFault, Layout, Sink};

/// Averages of blocks; the memory is kept from picture to picture.
#[derive(Default)]
pub(in crate::capture) struct Averages {
    /// In steps, as the file has them.
    coefficients: Vec<i16>,
    grey: Vec<u8>,
}

impl Averages {
    /// Pixels along a side of a block.
    pub(in crate::capture) const SCALE: u32 = 8;

    /// Whether the first component of a picture has as many samples as any other one.
    pub(in crate::capture) fn suits(layout: &Layout) -> bool {
        let most = (layout.most_across, layout.most_down);
        layout.components().first().is_some_and(|first| (first.across, first.down) == most)
    }

    /// The picture that was walked, one byte for each block: bytes, columns and rows of blocks that show
    /// something of it, and bytes from one row to the next.
    pub(in crate::capture) fn picture(&mut self, layout: &Layout) -> (&[u8], (u32, u32), usize) {
        let first = layout.components().first();
        let step = first.and_then(|first| first.steps.first()).map_or(1, |step| i32::from(*step));
        self.grey.clear();
        self.grey.extend(self.coefficients.iter().map(|value| {
            // Of an orthonormal transform of 8 × 8 the first coefficient is eight times the mean.
            (i32::from(*value) * step / 8 + 128).clamp(0, 255) as u8
        }));
        let size = (layout.width.div_ceil(Self::SCALE), layout.height.div_ceil(Self::SCALE));
        (&self.grey, size, first.map_or(0, |first| first.blocks_wide as usize))
    }
}

impl Sink for Averages {
    fn begin(&mut self, layout: &Layout) -> Result<(), JpegFault> {
        let blocks = |one: &super::Component| one.blocks_wide as usize * one.blocks_high as usize;
        self.coefficients.clear();
        self.coefficients.resize(layout.components().first().map_or(0, blocks), 0);
        Ok(())
    }

    #[inline]
    fn set(&mut self, component: usize, block: usize, k: u32, value: i32) {
        if component == 0
            && k == 0
            && let Some(place) = self.coefficients.get_mut(block)
        {
            *place = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }

    #[inline]
    fn refine(&mut self, component: usize, block: usize, k: u32, bit: i32) {
        if component == 0
            && k == 0
            && let Some(place) = self.coefficients.get_mut(block)
        {
            // In two's complement.
            *place |= bit as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::{CapturedFrame, Decoder};
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;

    const DRAWN: [(&str, &[u8]); 4] = [
        ("subsampled", include_bytes!("../../../tests/data/pictures/subsampled.jpg")),
        ("restarts", include_bytes!("../../../tests/data/pictures/restarts.jpg")),
        ("progressive", include_bytes!("../../../tests/data/pictures/progressive.jpg")),
        ("grey", include_bytes!("../../../tests/data/pictures/grey-progressive.jpg")),
    ];

    #[test]
    fn a_glimpse_has_the_mean_luminance_of_each_block() {
        for (name, bytes) in DRAWN {
            let mut captured = CapturedFrame::default();
            captured.begin_jpeg(7, Monotonic::from_millis(9)).extend_from_slice(bytes);
            let (mut decoder, mut glimpsing) = (Decoder::default(), Decoder::default());
            let whole = decoder.decode(&captured).unwrap();
            let glimpse = glimpsing.glimpse(&captured).unwrap();
            let small = glimpse.frame;
            assert_eq!((small.sequence(), small.captured_at()), (7, Monotonic::from_millis(9)));
            assert_eq!((small.format(), glimpse.scale), (PixelFormat::Grey, 8), "{name}");
            let size = (whole.width().div_ceil(8), whole.height().div_ceil(8));
            assert_eq!((small.width(), small.height()), size, "{name}");
            let channels = whole.format().min_stride(1);
            let luminance =
                |x: usize, y: usize| match &whole.pixels()[y * whole.stride() + x * channels..] {
                    [r, g, b, ..] if channels == 3 => {
                        0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b)
                    }
                    [grey, ..] => f32::from(*grey),
                    [] => unreachable!("within the picture"),
                };
            for y in 0..whole.height() as usize / 8 {
                for x in 0..whole.width() as usize / 8 {
                    let block = (0..64).map(|i| luminance(8 * x + i % 8, 8 * y + i / 8));
                    let mean = block.sum::<f32>() / 64.0;
                    let found = f32::from(small.pixels()[y * small.stride() + x]);
                    assert!((found - mean).abs() < 6.0, "{name} {x}, {y}: {found}, {mean}");
                }
            }
        }
    }
}
