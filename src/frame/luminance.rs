//! How light a frame is, by a grid of samples.
//!
//! In: a [`Frame`] in any format. Out: mean luminance, 0 to 255. Some microseconds, whatever the
//! frame's size: meant for telling a dark frame from a lit one, not for measuring exposure.

use super::{Frame, PixelFormat};

/// Samples across and down.
const GRID: (u32, u32) = (32, 24);

impl Frame<'_> {
    /// Mean luminance (BT.601) of a grid of 32 × 24 samples, 0 to 255 for black to white in every
    /// format.
    #[must_use]
    pub fn luminance(&self) -> f32 {
        let (across, down) = GRID;
        let (width, height) = self.stored_size();
        // The middles of equal parts, of the picture as it is stored: turning it changes no mean.
        let middle = |index: u32, parts: u32, length: u32| (2 * index + 1) * length / (2 * parts);
        let mut sum = 0.0;
        for row in 0..down {
            let y = middle(row, down, height);
            for column in 0..across {
                sum += self.luminance_at(middle(column, across, width), y);
            }
        }
        sum / (across * down) as f32
    }

    fn luminance_at(&self, x: u32, y: u32) -> f32 {
        let row = y as usize * self.stride();
        let byte =
            |offset: usize| f32::from(self.pixels().get(row + offset).copied().unwrap_or_default());
        let x = x as usize;
        match self.format() {
            PixelFormat::Yuyv => full_range(byte(x * 2)),
            PixelFormat::Uyvy => full_range(byte(x * 2 + 1)),
            PixelFormat::Nv12 => full_range(byte(x)),
            PixelFormat::Grey => byte(x),
            PixelFormat::Rgb => {
                let [red, green, blue] = [0, 1, 2].map(|channel| byte(x * 3 + channel));
                0.114_f32.mul_add(blue, 0.299_f32.mul_add(red, 0.587 * green))
            }
        }
    }
}

/// Limited-range luminance, 16 to 235, as 0 to 255.
fn full_range(limited: f32) -> f32 {
    ((limited - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;

    fn luminance(format: PixelFormat, pixels: &[u8], size: (u32, u32)) -> f32 {
        let stride = format.min_stride(size.0);
        Frame::new(pixels, format, size, stride, 0, Monotonic::default()).unwrap().luminance()
    }

    #[test]
    fn black_is_0_and_white_255_in_every_format() {
        let size = (64, 48);
        let pixels = (size.0 * size.1) as usize;
        let packed = |luma: u8, first: bool| {
            let pair = if first { [luma, 128] } else { [128, luma] };
            pair.repeat(pixels)
        };
        let planar = |luma: u8| [vec![luma; pixels], vec![128; pixels / 2]].concat();
        for (share, limited, full) in [(0.0, 16, 0), (1.0, 235, 255), (0.5, 126, 128)] {
            for (format, bytes) in [
                (PixelFormat::Yuyv, packed(limited, true)),
                (PixelFormat::Uyvy, packed(limited, false)),
                (PixelFormat::Nv12, planar(limited)),
                (PixelFormat::Grey, vec![full; pixels]),
                (PixelFormat::Rgb, vec![full; 3 * pixels]),
            ] {
                let found = luminance(format, &bytes, size);
                assert!((found - share * 255.0).abs() < 1.0, "{format:?}: {found}");
            }
        }
    }

    #[test]
    fn the_smallest_frame_is_read_too_and_halves_count_half() {
        assert!((luminance(PixelFormat::Grey, &[200], (1, 1)) - 200.0).abs() < 0.01);
        let halves: Vec<u8> = [[0; 32], [200; 32]].concat().repeat(48);
        assert!((luminance(PixelFormat::Grey, &halves, (64, 48)) - 100.0).abs() < 0.01);
    }
}
