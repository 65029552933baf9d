//! Reads the colour at any point of a frame, in the camera's own format.
//!
//! In: a [`Frame`] and a continuous point. Out: RGB, 0 to 255, interpolated linearly between the
//! four nearest pixel centres; beyond the frame the nearest edge pixel continues. Colour that
//! neighbouring pixels share (4:2:2, 4:2:0) is taken from the nearest sample.

use super::{Frame, PixelFormat, colour};
use crate::geometry::Point;

/// Reads pixels of one frame.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    frame: Frame<'a>,
    last_x: f32,
    last_y: f32,
}

impl<'a> Sampler<'a> {
    /// A reader of `frame`.
    #[must_use]
    pub fn new(frame: Frame<'a>) -> Self {
        Self { last_x: (frame.width() - 1) as f32, last_y: (frame.height() - 1) as f32, frame }
    }

    /// Sum over `points` of the colours there, in the frame's own colour space; hand the mean of
    /// it to [`Self::to_rgb`].
    #[inline]
    pub fn add(&self, point: Point, sum: &mut [f32; 3]) {
        // In this order a NaN becomes 0.
        let x = (point.x - 0.5).max(0.0).min(self.last_x);
        let y = (point.y - 0.5).max(0.0).min(self.last_y);
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) =
            ((left + 1).min(self.last_x as usize), (top + 1).min(self.last_y as usize));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        let stride = self.frame.stride();
        let (upper, lower) = (top * stride, bottom * stride);
        let mix = |step: usize, offset: usize| {
            let at = |row: usize, column: usize| f32::from(self.byte(row + column * step + offset));
            weights[0] * at(upper, left)
                + weights[1] * at(upper, right)
                + weights[2] * at(lower, left)
                + weights[3] * at(lower, right)
        };
        match self.frame.format() {
            PixelFormat::Rgb => {
                for (channel, sum) in sum.iter_mut().enumerate() {
                    *sum += mix(3, channel);
                }
            }
            PixelFormat::Grey => sum[0] += mix(1, 0),
            PixelFormat::Yuyv => {
                let shared = upper + (left / 2) * 4;
                sum[0] += mix(2, 0);
                sum[1] += f32::from(self.byte(shared + 1));
                sum[2] += f32::from(self.byte(shared + 3));
            }
            PixelFormat::Uyvy => {
                let shared = upper + (left / 2) * 4;
                sum[0] += mix(2, 1);
                sum[1] += f32::from(self.byte(shared));
                sum[2] += f32::from(self.byte(shared + 2));
            }
            PixelFormat::Nv12 => {
                let plane = stride * self.frame.height() as usize;
                let shared = plane + (top / 2) * stride + (left / 2) * 2;
                sum[0] += mix(1, 0);
                sum[1] += f32::from(self.byte(shared));
                sum[2] += f32::from(self.byte(shared + 1));
            }
        }
    }

    /// Converts a colour of the frame's own colour space to RGB, 0 to 255.
    #[inline]
    #[must_use]
    pub fn to_rgb(&self, colour: [f32; 3]) -> [f32; 3] {
        match self.frame.format() {
            PixelFormat::Rgb => colour,
            PixelFormat::Grey => [colour[0]; 3],
            PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 => {
                colour::bt601_to_rgb(colour)
            }
        }
    }

    #[inline]
    fn byte(&self, index: usize) -> u8 {
        self.frame.pixels().get(index).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;

    #[test]
    fn centres_are_exact_and_between_is_between() {
        let pixels = [10, 20, 30, 40];
        let frame =
            Frame::new(&pixels, PixelFormat::Grey, (2, 2), 2, 0, Monotonic::default()).unwrap();
        let sampler = Sampler::new(frame);
        let read = |x, y| {
            let mut sum = [0.0; 3];
            sampler.add(Point::new(x, y), &mut sum);
            sampler.to_rgb(sum)[0]
        };
        assert_eq!(read(0.5, 0.5), 10.0);
        assert_eq!(read(1.5, 1.5), 40.0);
        assert_eq!(read(1.0, 1.0), 25.0);
        assert_eq!(read(-9.0, 0.5), 10.0, "the edge continues");
        assert_eq!(read(f32::NAN, 0.5), 10.0, "no point is out of bounds");
    }
}
