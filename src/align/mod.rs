//! A detection becomes an upright face of fixed size, straight from the camera's own pixel format.
//!
//! In: a [`Frame`], the keypoints of a [`Detection`]. Out: an [`AlignedFace`]: RGB bytes of the
//! size and pose that the embedder's card states. One least-squares similarity (rotation, uniform
//! scale, translation) maps keypoints to the template; one resampling reads only the pixels that
//! the crop covers, averaged over each output pixel's area when the face shrinks.
//!
//! Invariant: only this room makes an [`AlignedFace`], so whatever is embedded was aligned.
//! Deliberately absent: shear and perspective; they would hide a turned head from the quality gate.
//! Source of the fit: Umeyama 1991, in its closed form for two dimensions.

mod cutter;
mod fit;
mod landmarks;

pub use cutter::Cutter;
pub use fit::fit_similarity;
pub use landmarks::Landmarker;

use crate::detect::Detection;
use crate::frame::{Frame, Sampler};
use crate::geometry::{Point, Similarity};
use crate::inference::{AlignmentTemplate, ModelCard};

/// Most samples along each side of an output pixel; beyond twice this shrinkage some pixels of the
/// camera are skipped.
const MAX_SAMPLES: f32 = 4.0;

/// An upright face: `height × width × 3` RGB bytes, the size that its embedder wants.
///
/// Anybody may read one:
/// ```no_run
/// use deepid_edge::{align::AlignedFace, geometry::Similarity};
/// fn read(face: &AlignedFace) -> (usize, usize, &[[u8; 3]], Similarity, f32) {
///     (face.width(), face.height(), face.pixels(), face.pose(), face.outside())
/// }
/// ```
/// Only this room makes one, so that what was never aligned cannot be embedded:
/// ```compile_fail,E0451
/// use deepid_edge::{align::AlignedFace, geometry::Similarity};
/// fn make(pixels: Vec<[u8; 3]>, pose: Similarity) -> AlignedFace {
///     AlignedFace { width: 47, height: 55, pixels, pose, outside: 0.0 }
/// }
/// ```
/// And nobody changes one:
/// ```compile_fail,E0616
/// use deepid_edge::align::AlignedFace;
/// fn change(face: &mut AlignedFace, pixels: Vec<[u8; 3]>) {
///     face.pixels = pixels;
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedFace {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
    pose: Similarity,
    outside: f32,
}

impl AlignedFace {
    /// Pixels across.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// RGB pixels, row after row.
    #[must_use]
    pub fn pixels(&self) -> &[[u8; 3]] {
        &self.pixels
    }

    /// The transform from the crop's pixels to the frame's.
    #[must_use]
    pub const fn pose(&self) -> Similarity {
        self.pose
    }

    /// Where the crop stands in a frame of `width × height` pixels.
    fn stand(&mut self, pose: Similarity, (width, height): (u32, u32)) {
        let lies_outside = |x: usize, y: usize| {
            let centre = pose.apply(Point::new(x as f32 + 0.5, y as f32 + 0.5));
            !((0.0..width as f32).contains(&centre.x) && (0.0..height as f32).contains(&centre.y))
        };
        // A crop whose corners lie inside does so with all of its pixels.
        let (last_x, last_y) = (self.width.saturating_sub(1), self.height.saturating_sub(1));
        let corners = [(0, 0), (last_x, 0), (0, last_y), (last_x, last_y)];
        let mut outside = 0_usize;
        if corners.into_iter().any(|(x, y)| lies_outside(x, y)) {
            for y in 0..self.height {
                outside += (0..self.width).filter(|x| lies_outside(*x, y)).count();
            }
        }
        self.pose = pose;
        self.outside = outside as f32 / self.pixels.len().max(1) as f32;
    }

    /// Which part of the crop lies outside the frame, 0 to 1.
    #[must_use]
    pub const fn outside(&self) -> f32 {
        self.outside
    }
}

/// Aligns faces for one network; holds the crop's memory, reused from face to face.
#[derive(Debug, Clone)]
pub struct Aligner {
    template: [Point; 4],
    face: AlignedFace,
}

impl Aligner {
    /// An aligner for the network that `card` describes; `None` when the card has no template.
    #[must_use]
    pub fn new(card: &ModelCard) -> Option<Self> {
        let (height, width) = card.input_size();
        card.alignment.as_ref().map(|template| Self::with_template(template, (width, height)))
    }

    /// An aligner for crops of `width × height` pixels.
    #[must_use]
    pub fn with_template(template: &AlignmentTemplate, (width, height): (usize, usize)) -> Self {
        Self {
            template: template.points(),
            face: AlignedFace {
                width,
                height,
                pixels: vec![[0; 3]; width * height],
                pose: Similarity { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 },
                outside: 0.0,
            },
        }
    }

    /// Cuts the face of `detection` out of `frame`; `None` when its keypoints coincide.
    pub fn align(&mut self, frame: &Frame<'_>, detection: &Detection) -> Option<&AlignedFace> {
        self.align_points(frame, detection.keypoints())
    }

    /// The face that was cut out last; black before the first.
    #[must_use]
    pub const fn face(&self) -> &AlignedFace {
        &self.face
    }

    /// Cuts out the face whose right eye, left eye, nose tip and mouth centre are `keypoints`, in
    /// pixels of `frame`; `None` when they coincide.
    pub fn align_points(
        &mut self,
        frame: &Frame<'_>,
        keypoints: &[Point; 4],
    ) -> Option<&AlignedFace> {
        let pose = fit_similarity(&self.template, keypoints)?;
        // Linear interpolation reaches a pixel either way, so half a pixel of spacing is to spare.
        let samples = pose.scale().round().clamp(1.0, MAX_SAMPLES) as usize;
        let width = self.face.width;
        Sampler::new(*frame).fill(&mut self.face.pixels, width, pose, samples);
        self.face.stand(pose, (frame.width(), frame.height()));
        Some(&self.face)
    }

    /// The crop was cut from a picture that is itself a part of a frame: `pose` leads from that
    /// picture to the frame, which is `size` large.
    fn place_in(&mut self, pose: Similarity, size: (u32, u32)) {
        self.face.stand(pose.after(self.face.pose), size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;
    use proptest::prelude::*;

    const TEMPLATE: AlignmentTemplate = AlignmentTemplate {
        right_eye: [15.5, 22.0],
        left_eye: [31.5, 22.0],
        nose_tip: [23.5, 31.1],
        mouth_centre: [23.5, 40.5],
    };

    /// A picture whose red rises to the right and whose green rises downwards, 1 each pixel.
    fn ramp(width: usize, height: usize) -> Vec<u8> {
        (0..width * height).flat_map(|i| [(i % width) as u8, (i / width) as u8, 7]).collect()
    }

    fn frame(pixels: &[u8], width: u32, height: u32) -> Frame<'_> {
        let size = (width, height);
        Frame::new(pixels, PixelFormat::Rgb, size, width as usize * 3, 0, Monotonic::default())
            .unwrap()
    }

    #[test]
    fn a_face_at_the_template_is_copied() {
        let bytes = ramp(47, 55);
        let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
        let face = aligner.align_points(&frame(&bytes, 47, 55), &TEMPLATE.points()).unwrap();
        assert_eq!(face.pixels()[0], [0, 0, 7]);
        assert_eq!(face.pixels()[10 * 47 + 30], [30, 10, 7]);
        assert!(face.outside() <= 0.0);
    }

    #[test]
    fn the_edge_of_the_frame_continues_and_is_counted() {
        let bytes = ramp(47, 55);
        let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
        let shifted = TEMPLATE.points().map(|p| Point::new(p.x - 23.5, p.y));
        let face = aligner.align_points(&frame(&bytes, 47, 55), &shifted).unwrap();
        assert_eq!(face.pixels()[0], [0, 0, 7]);
        assert!((face.outside() - 0.5).abs() < 0.02, "{}", face.outside());
    }

    #[test]
    fn coinciding_keypoints_are_no_face() {
        let bytes = ramp(47, 55);
        let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
        assert!(aligner.align_points(&frame(&bytes, 47, 55), &[Point::new(9.0, 9.0); 4]).is_none());
    }

    proptest! {
        #[test]
        fn mirrored_keypoints_give_the_mirrored_crop(scale in 0.7f32..3.0, tx in 20.0f32..40.0, ty in 20.0f32..40.0) {
            // Mirroring the picture and the points (eyes change sides) must mirror the crop.
            let (width, height) = (220_usize, 220_usize);
            let bytes = ramp(width, height);
            let mirrored: Vec<u8> = bytes.chunks(width * 3)
                .flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<_>>()).collect();
            let points = TEMPLATE.points().map(|p| Point::new(scale * p.x + tx, scale * p.y + ty));
            let [r, l, n, m] = points.map(|p| Point::new(width as f32 - p.x, p.y));
            let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
            let plain = aligner.align_points(&frame(&bytes, 220, 220), &points).unwrap().pixels().to_vec();
            let flipped = aligner.align_points(&frame(&mirrored, 220, 220), &[l, r, n, m]).unwrap();
            for (row, flipped_row) in plain.chunks(47).zip(flipped.pixels().chunks(47)) {
                for (a, b) in row.iter().zip(flipped_row.iter().rev()) {
                    prop_assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1), "{a:?} {b:?}");
                }
            }
        }
    }

    const FORMATS: [PixelFormat; 5] = [
        PixelFormat::Rgb,
        PixelFormat::Grey,
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
    ];

    /// BT.601: full-range luminance for grey; limited range `[Y, Cb, Cr]` for the others.
    fn grey([r, g, b]: [f32; 3]) -> f32 {
        0.299 * r + 0.587 * g + 0.114 * b
    }

    fn ycbcr([r, g, b]: [f32; 3]) -> [f32; 3] {
        [
            16.0 + 0.256_8 * r + 0.504_1 * g + 0.097_9 * b,
            128.0 - 0.148_2 * r - 0.291 * g + 0.439_2 * b,
            128.0 + 0.439_2 * r - 0.367_8 * g - 0.071_4 * b,
        ]
    }

    /// A picture in `format` whose pixel `(x, y)` has the colour that `rgb` gives, and its stride.
    /// Rows are followed by bytes that belong to no pixel.
    fn picture(
        format: PixelFormat,
        (width, height): (usize, usize),
        rgb: impl Fn(usize, usize) -> [f32; 3],
    ) -> (Vec<u8>, usize) {
        let stride = format.min_stride(width as u32) + 6;
        let mut bytes = vec![137; format.frame_len(stride, height as u32)];
        let mean = |channel: usize, places: &[(usize, usize)]| {
            let sum: f32 = places.iter().map(|&(x, y)| ycbcr(rgb(x, y))[channel]).sum();
            (sum / places.len() as f32).round() as u8
        };
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let (row, luma) = (y * stride, ycbcr(rgb(x, y))[0].round() as u8);
            let pair = [(x & !1, y), (x | 1, y)];
            match format {
                PixelFormat::Rgb => {
                    for (channel, value) in rgb(x, y).into_iter().enumerate() {
                        bytes[row + 3 * x + channel] = value.round() as u8;
                    }
                }
                PixelFormat::Grey => bytes[row + x] = grey(rgb(x, y)).round() as u8,
                PixelFormat::Yuyv => {
                    bytes[row + 2 * x] = luma;
                    bytes[row + 2 * x + 1] = mean(1 + x % 2, &pair);
                }
                PixelFormat::Uyvy => {
                    bytes[row + 2 * x + 1] = luma;
                    bytes[row + 2 * x] = mean(1 + x % 2, &pair);
                }
                PixelFormat::Nv12 => {
                    bytes[row + x] = luma;
                    let block =
                        [(x & !1, y & !1), (x | 1, y & !1), (x & !1, y | 1), (x | 1, y | 1)];
                    bytes[(height + y / 2) * stride + x] = mean(1 + x % 2, &block);
                }
            }
        }
        (bytes, stride)
    }

    fn frame_of(format: PixelFormat, bytes: &[u8], side: u32, stride: usize) -> Frame<'_> {
        Frame::new(bytes, format, (side, side), stride, 0, Monotonic::default()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_known_pose_shows_the_expected_colours_in_every_format(
            scale in 0.6f32..1.5, angle in -0.7f32..0.7, dx in -4.0f32..4.0, dy in -4.0f32..4.0,
        ) {
            // Red rises to the right and green downwards, 1 each pixel; pixel 0's centre is at 0.5.
            let colour = |x: f32, y: f32| [x + 39.5, y + 59.5, 128.0];
            let (a, b) = (scale * angle.cos(), scale * angle.sin());
            let tx = 60.0 + dx - (a * 23.5 - b * 27.5);
            let ty = 60.0 + dy - (b * 23.5 + a * 27.5);
            let pose = Similarity { a, b, tx, ty };
            let keypoints = TEMPLATE.points().map(|p| pose.apply(p));
            for format in FORMATS {
                let (bytes, stride) =
                    picture(format, (120, 120), |x, y| colour(x as f32 + 0.5, y as f32 + 0.5));
                let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
                let frame = frame_of(format, &bytes, 120, stride);
                let face = aligner.align_points(&frame, &keypoints).unwrap();
                prop_assert!((face.pose().angle() - angle).abs() < 0.01);
                prop_assert!((face.pose().scale() - scale).abs() < 0.01);
                prop_assert!(face.outside() <= 0.0, "{}", face.outside());
                // Colour shared by neighbours lies up to 1.5 pixels away, and values are rounded.
                let tolerance = match format {
                    PixelFormat::Rgb | PixelFormat::Grey => 1.1,
                    PixelFormat::Yuyv | PixelFormat::Uyvy | PixelFormat::Nv12 => 5.0,
                };
                for (i, found) in face.pixels().iter().enumerate() {
                    let place = pose.apply(Point::new((i % 47) as f32 + 0.5, (i / 47) as f32 + 0.5));
                    let mut wanted = colour(place.x, place.y);
                    if format == PixelFormat::Grey {
                        wanted = [grey(wanted); 3];
                    }
                    for (found, wanted) in found.iter().zip(wanted) {
                        prop_assert!((f32::from(*found) - wanted).abs() <= tolerance,
                            "{format:?} at {place:?}: {found} is not {wanted}");
                    }
                }
            }
        }

        #[test]
        fn beyond_an_edge_the_same_edge_continues_and_never_the_other_side(
            scale in 0.5f32..4.0, angle in -3.1f32..3.1, x in -150.0f32..210.0, y in -150.0f32..210.0,
        ) {
            let (a, b) = (scale * angle.cos(), scale * angle.sin());
            let (tx, ty) = (x - (a * 23.5 - b * 27.5), y - (b * 23.5 + a * 27.5));
            let pose = Similarity { a, b, tx, ty };
            let keypoints = TEMPLATE.points().map(|p| pose.apply(p));
            for format in FORMATS {
                // The left half is black and the right half is white.
                let (bytes, stride) =
                    picture(format, (64, 64), |x, _| [if x < 32 { 0.0 } else { 255.0 }; 3]);
                let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
                let frame = frame_of(format, &bytes, 64, stride);
                let face = aligner.align_points(&frame, &keypoints).unwrap();
                let mut outside = 0;
                for (i, found) in face.pixels().iter().enumerate() {
                    let place = pose.apply(Point::new((i % 47) as f32 + 0.5, (i / 47) as f32 + 0.5));
                    let inside = place.x >= 0.0 && place.x < 64.0 && place.y >= 0.0 && place.y < 64.0;
                    outside += usize::from(!inside);
                    // An output pixel reaches at most 4 · √½ pixels from its centre.
                    if place.x < 28.0 {
                        prop_assert!(found.iter().all(|v| *v <= 3), "{format:?} {place:?}: {found:?}");
                    } else if place.x > 36.0 {
                        prop_assert!(found.iter().all(|v| *v >= 252), "{format:?} {place:?}: {found:?}");
                    }
                }
                let share = outside as f32 / (47.0 * 55.0);
                prop_assert!((0.0..=1.0).contains(&face.outside()));
                // Rounding may put a pixel on the edge to either side.
                prop_assert!((face.outside() - share).abs() < 0.03, "{} {share}", face.outside());
            }
        }

        #[test]
        fn no_keypoints_make_it_panic(values in proptest::array::uniform8(any::<f32>()), near in any::<bool>()) {
            let value = |v: f32| if near { v % 200.0 } else { v };
            let [a, b, c, d, e, f, g, h] = values.map(value);
            let keypoints = [Point::new(a, b), Point::new(c, d), Point::new(e, f), Point::new(g, h)];
            for format in FORMATS {
                let (bytes, stride) = picture(format, (8, 8), |x, y| [x as f32, y as f32, 0.0]);
                let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
                if let Some(face) = aligner.align_points(&frame_of(format, &bytes, 8, stride), &keypoints) {
                    prop_assert!((0.0..=1.0).contains(&face.outside()), "{}", face.outside());
                }
            }
        }
    }
}
