//! Pixels become the numbers that a network was trained on.
//!
//! In: RGB bytes of a crop of the network's own size. Out: its input tensor, filled. What each of the
//! 256 byte values becomes is worked out once, from the card's normalisation and quantisation.
//! Invariant: two different pixel values stay different numbers.

use super::{ModelCard, Tensor};

/// What each of the 256 pixel values is to a network: worked out once.
#[derive(Debug)]
pub enum PixelValues {
    /// For an input of 32-bit floats.
    Float32(Box<[f32; 256]>),
    /// For a quantised input.
    Int8(Box<[i8; 256]>),
}

impl PixelValues {
    /// The values that `card` asks for.
    #[must_use]
    pub fn of(card: &ModelCard) -> Self {
        let real =
            |pixel: usize| pixel as f64 * card.normalisation.scale + card.normalisation.offset;
        match card.input.quantisation {
            None => Self::Float32(Box::new(std::array::from_fn(|pixel| real(pixel) as f32))),
            // With the usual scale of 2/255 every pixel value falls on a tie, give or take the
            // scale's own rounding; all ties go up, so that neighbouring values stay distinct.
            Some(q) => Self::Int8(Box::new(std::array::from_fn(|pixel| {
                let steps = (real(pixel) / q.scale + 0.501).floor() + f64::from(q.zero_point);
                steps.clamp(-128.0, 127.0) as i8
            }))),
        }
    }

    /// Fills `input` with `pixels`, rows of `width`, or with their mirror image.
    pub fn fill(&self, input: &mut Tensor, pixels: &[[u8; 3]], width: usize, mirrored: bool) {
        match (input, self) {
            (Tensor::Float32(input), Self::Float32(values)) => {
                fill(input, values, pixels, width, mirrored);
            }
            (Tensor::Int8(input), Self::Int8(values)) => {
                fill(input, values, pixels, width, mirrored);
            }
            _ => {}
        }
    }
}

fn fill<T: Copy>(
    input: &mut [T],
    values: &[T; 256],
    pixels: &[[u8; 3]],
    width: usize,
    mirrored: bool,
) {
    let (cells, _) = input.as_chunks_mut::<3>();
    #[expect(clippy::indexing_slicing, reason = "invariant: a byte is below 256")]
    let look_up = |pixel: [u8; 3]| pixel.map(|v| values[usize::from(v)]);
    for (row, source) in cells.chunks_exact_mut(width).zip(pixels.chunks_exact(width)) {
        if mirrored {
            row.iter_mut()
                .zip(source.iter().rev())
                .for_each(|(cell, &pixel)| *cell = look_up(pixel));
        } else {
            row.iter_mut().zip(source).for_each(|(cell, &pixel)| *cell = look_up(pixel));
        }
    }
}
