//! Quality measures of an aligned face, by named formulas, as reasons and as weights.
//!
//! In: an [`AlignedFace`] and the [`Detection`] it came from. Out: a [`Quality`]: the measures, the
//! first fault beyond a limit, and the weight that the face has as evidence.
//! A face with a fault is never compared: a blurred or dark crop does not look like *somebody
//! else*, it looks like everybody.
//!
//! Formulas: sharpness is the variance of the 4-neighbour Laplacian of luminance (Pech-Pacheco et
//! al. 2000), measured on the aligned crop so that it does not depend on the camera's resolution;
//! exposure is mean luminance (BT.601 weights); yaw is the nose tip's distance from the line
//! between eye middle and mouth, in eye distances, signed; roll is the angle of the alignment.
//! How a face stands is seen by the detector, and is a fault here.
//! The names follow ISO/IEC 29794-5 where it has one.

use crate::align::AlignedFace;
use crate::detect::{Detection, Orientation};
use crate::geometry::{Point, Turn};
use crate::inference::FacePart;

/// Why a face is too poor to be compared. Written as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(into = "&'static str")]
pub enum QualityFault {
    /// The eyes are nearer to each other than the minimum: come closer.
    TooSmall,
    /// Blurred: hold still, or clean the lens.
    Blurred,
    /// Under-exposed: more light on the face.
    TooDark,
    /// Over-exposed: less light, or no lamp behind the camera.
    TooBright,
    /// Turned or tilted too far: look at the camera.
    Turned,
    /// Partly outside the frame: step to the middle.
    Cropped,
    /// On its side or upside down, until the picture is turned so: turn the picture, or the camera.
    NotUpright(Turn),
    /// The detector is unsure of it in every orientation: hardly a face, or a covered one.
    Unclear,
    /// Something hides this part of it.
    Covered(FacePart),
}

impl From<QualityFault> for &'static str {
    fn from(fault: QualityFault) -> Self {
        fault.name()
    }
}

impl QualityFault {
    /// Its name for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooSmall => "too_small",
            Self::Blurred => "blurred",
            Self::TooDark => "too_dark",
            Self::TooBright => "too_bright",
            Self::Turned => "turned",
            Self::Cropped => "cropped",
            Self::NotUpright(_) => "not_upright",
            Self::Unclear => "unclear",
            Self::Covered(_) => "covered",
        }
    }

    /// What `orientation` is, where a face that stands so is not to be compared.
    #[must_use]
    pub const fn of_orientation(orientation: Orientation) -> Option<Self> {
        match orientation {
            Orientation::Upright => None,
            Orientation::Turned(turn) => Some(Self::NotUpright(turn)),
            Orientation::Unclear => Some(Self::Unclear),
        }
    }

    /// What is wrong, in words.
    #[must_use]
    pub const fn finding(self) -> &'static str {
        match self {
            Self::TooSmall => "the face is too small",
            Self::Blurred => "the face is blurred",
            Self::TooDark => "the face is too dark",
            Self::TooBright => "the face is too bright",
            Self::Turned => "the face is turned or tilted too far",
            Self::Cropped => "the face is partly outside the picture",
            Self::NotUpright(Turn::Half) => "the face is upside down",
            Self::NotUpright(_) => "the face lies on its side",
            Self::Unclear => {
                "the face is unclear: the detector is unsure of it in every orientation"
            }
            Self::Covered(FacePart::Eyes) => "the face is covered: its eyes are not seen",
            Self::Covered(FacePart::Mouth) => "the face is covered: its mouth is not seen",
            Self::Covered(FacePart::Brows) => "the face is covered: its brows are not seen",
            Self::Covered(FacePart::Cheeks) => "the face is covered: a cheek is not seen",
        }
    }

    /// What the person or the installer can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TooSmall => "come closer, or lower quality.eye_distance_min_px",
            Self::Blurred => "hold still, clean the lens, or give more light",
            Self::TooDark => "put light on it",
            Self::TooBright => "take away direct light",
            Self::Turned => "look straight at the camera",
            Self::Cropped => "step to the middle",
            Self::NotUpright(Turn::Quarter) => {
                "turn the picture by 90 degrees, clockwise; of a camera, set camera.rotate"
            }
            Self::NotUpright(Turn::None | Turn::Half) => {
                "turn the picture by 180 degrees; of a camera, set camera.rotate"
            }
            Self::NotUpright(Turn::ThreeQuarters) => {
                "turn the picture by 90 degrees, counter-clockwise; of a camera, set camera.rotate"
            }
            Self::Unclear => "show the whole face, with light on it and nothing before it",
            Self::Covered(FacePart::Eyes) => {
                "take off sunglasses, and keep hands, hair and cap away from the eyes; clear spectacles may stay"
            }
            Self::Covered(FacePart::Mouth) => {
                "take off mask or scarf, and keep hands away from the mouth"
            }
            Self::Covered(FacePart::Brows) => "push cap and hair back until the brows are free",
            Self::Covered(FacePart::Cheeks) => "take hand, telephone or scarf away from the face",
        }
    }
}

/// Limits beyond which a face is not compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityLimits {
    /// Least distance between the eyes, in pixels of the camera.
    pub eye_distance_min_px: f32,
    /// Least sharpness.
    pub sharpness_min: f32,
    /// Least mean luminance, 0 to 255.
    pub exposure_min: f32,
    /// Greatest mean luminance, 0 to 255.
    pub exposure_max: f32,
    /// Greatest yaw, in eye distances, either side.
    pub yaw_max: f32,
    /// Greatest roll, in degrees, either side.
    pub roll_max_degrees: f32,
    /// Greatest part of the crop outside the frame, 0 to 1.
    pub outside_max: f32,
    /// Whether a face must be seen to stand upright.
    pub upright: bool,
    /// Whether a face must be seen to be free, where a network judges that.
    pub free: bool,
}

impl QualityLimits {
    /// No limit: every face is compared.
    pub const NONE: Self = Self {
        eye_distance_min_px: 0.0,
        sharpness_min: 0.0,
        exposure_min: 0.0,
        exposure_max: f32::INFINITY,
        yaw_max: f32::INFINITY,
        roll_max_degrees: f32::INFINITY,
        outside_max: f32::INFINITY,
        upright: false,
        free: false,
    };

    /// The first limit that `quality` lies beyond, whatever fault it was found with.
    #[must_use]
    pub fn fault(&self, quality: &Quality) -> Option<QualityFault> {
        let Quality { eye_distance_px, sharpness, exposure, yaw, roll_degrees, outside, .. } =
            *quality;
        [
            (eye_distance_px < self.eye_distance_min_px, QualityFault::TooSmall),
            (outside > self.outside_max, QualityFault::Cropped),
            (
                yaw.abs() > self.yaw_max || roll_degrees.abs() > self.roll_max_degrees,
                QualityFault::Turned,
            ),
            (exposure < self.exposure_min, QualityFault::TooDark),
            (exposure > self.exposure_max, QualityFault::TooBright),
            (sharpness < self.sharpness_min, QualityFault::Blurred),
        ]
        .into_iter()
        .find_map(|(beyond, fault)| beyond.then_some(fault))
    }
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            eye_distance_min_px: 16.0,
            sharpness_min: 30.0,
            exposure_min: 35.0,
            exposure_max: 225.0,
            yaw_max: 0.35,
            roll_max_degrees: 35.0,
            outside_max: 0.1,
            upright: true,
            free: true,
        }
    }
}

/// Measures of one aligned face and the weight that they give its evidence.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Quality {
    /// Eye distance in camera pixels.
    pub eye_distance_px: f32,
    /// Sharpness: variance of the Laplacian over the crop's luminance, ≥ 0.
    pub sharpness: f32,
    /// Mean luminance, 0 to 255.
    pub exposure: f32,
    /// Yaw from keypoints, in eye distances: 0 is frontal, positive is turned to the picture's right.
    pub yaw: f32,
    /// Roll: the angle of the alignment in degrees; 0 is upright, positive is tilted clockwise in
    /// the picture.
    pub roll_degrees: f32,
    /// Part of the crop that lies outside the frame, 0 to 1.
    pub outside: f32,
    /// Weight of the face as evidence, 0 to 1.
    pub weight: f32,
    /// The first fault found, if any: such a face is never compared.
    pub fault: Option<QualityFault>,
}

impl Quality {
    /// That of a good face that nobody measured, or of one with a `fault`, for the tests of other rooms.
    #[cfg(test)]
    pub(crate) const fn made_up(weight: f32, fault: Option<QualityFault>) -> Self {
        Self {
            eye_distance_px: 60.0,
            sharpness: 200.0,
            exposure: 120.0,
            yaw: 0.0,
            roll_degrees: 0.0,
            outside: 0.0,
            weight,
            fault,
        }
    }

    /// Measures `face`, cut out for `detection`.
    #[must_use]
    pub fn measure(face: &AlignedFace, detection: &Detection, limits: &QualityLimits) -> Self {
        let eye_distance_px = detection.eye_distance();
        let (sharpness, exposure) = sharpness_and_exposure(face);
        let yaw = yaw(detection.keypoints());
        let (roll_degrees, outside) = (face.pose().angle().to_degrees(), face.outside());
        let measured = Self {
            eye_distance_px,
            sharpness,
            exposure,
            yaw,
            roll_degrees,
            outside,
            weight: 0.0,
            fault: None,
        };
        let fault = limits.fault(&measured);
        // Full weight from twice the minimum upwards, and from half the maximum downwards; a face
        // at a limit counts half.
        let above = |value: f32, minimum: f32| (value / (2.0 * minimum)).clamp(0.5, 1.0);
        let below = |value: f32, maximum: f32| (1.5 - value.abs() / maximum).clamp(0.5, 1.0);
        let weight = if fault.is_some() {
            0.0
        } else {
            above(eye_distance_px, limits.eye_distance_min_px)
                .min(above(sharpness, limits.sharpness_min))
                .min(above(exposure, limits.exposure_min))
                .min(below(yaw, limits.yaw_max))
        };
        Self { weight, fault, ..measured }
    }

    /// The same with a fault that was found otherwise.
    #[must_use]
    pub const fn with_fault(self, fault: QualityFault) -> Self {
        Self { weight: 0.0, fault: Some(fault), ..self }
    }

    /// Whether it is worth a look how the face stands: nothing else is wrong with it, or it seems
    /// tilted, as a face on its side does.
    #[must_use]
    pub const fn wants_orientation(&self) -> bool {
        matches!(self.fault, None | Some(QualityFault::Turned))
    }
}

/// How far the nose tip lies from the line between the eyes' middle and the mouth, in eye distances.
fn yaw([right_eye, left_eye, nose, mouth]: &[Point; 4]) -> f32 {
    let eyes = Point::new(right_eye.x.midpoint(left_eye.x), right_eye.y.midpoint(left_eye.y));
    let (down_x, down_y) = (mouth.x - eyes.x, mouth.y - eyes.y);
    let length = down_x.hypot(down_y);
    let distance = right_eye.distance(*left_eye);
    if length < f32::EPSILON || distance < f32::EPSILON {
        return f32::MAX;
    }
    let (nose_x, nose_y) = (nose.x - eyes.x, nose.y - eyes.y);
    (nose_x * down_y - nose_y * down_x) / length / distance
}

fn sharpness_and_exposure(face: &AlignedFace) -> (f32, f32) {
    let width = face.width();
    let luminance = |[r, g, b]: &[u8; 3]| {
        (77 * i32::from(*r) + 150 * i32::from(*g) + 29 * i32::from(*b)) as f32 / 256.0
    };
    let pixels = face.pixels();
    let exposure = pixels.iter().map(luminance).sum::<f32>() / pixels.len().max(1) as f32;
    let (mut count, mut sum, mut squares) = (0.0_f32, 0.0_f32, 0.0_f32);
    let rows = || pixels.chunks_exact(width);
    for ((above, row), below) in rows().zip(rows().skip(1)).zip(rows().skip(2)) {
        for ((three, up), down) in
            row.windows(3).zip(above.iter().skip(1)).zip(below.iter().skip(1))
        {
            if let [left, centre, right] = three {
                let laplacian =
                    luminance(left) + luminance(right) + luminance(up) + luminance(down)
                        - 4.0 * luminance(centre);
                count += 1.0;
                sum += laplacian;
                squares += laplacian * laplacian;
            }
        }
    }
    let mean = sum / f32::max(count, 1.0);
    ((squares / f32::max(count, 1.0) - mean * mean).max(0.0), exposure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::Aligner;
    use crate::clock::Monotonic;
    use crate::frame::{Frame, PixelFormat};
    use crate::geometry::{Rect, Similarity};
    use crate::inference::AlignmentTemplate;
    use proptest::prelude::*;

    const TEMPLATE: AlignmentTemplate = AlignmentTemplate {
        right_eye: [15.5, 22.0],
        left_eye: [31.5, 22.0],
        nose_tip: [23.5, 32.0],
        mouth_centre: [23.5, 40.0],
    };
    const SIDE: u32 = 200;

    /// A frontal face twice the template's size: 32 pixels from eye to eye.
    fn frontal() -> [Point; 4] {
        TEMPLATE.points().map(|p| Point::new(2.0 * p.x + 52.0, 2.0 * p.y + 40.0))
    }

    /// What is measured of a face with `keypoints` in a grey picture of upright stripes, two pixels
    /// wide, which [`frontal`] shows one pixel wide.
    fn measured([even, odd]: [u8; 2], keypoints: [Point; 4], limits: &QualityLimits) -> Quality {
        let row = (0..SIDE).map(|x| if x % 4 < 2 { even } else { odd });
        let pixels: Vec<u8> = row.collect::<Vec<_>>().repeat(SIDE as usize);
        let size = (SIDE, SIDE);
        let frame =
            Frame::new(&pixels, PixelFormat::Grey, size, SIDE as usize, 0, Monotonic::default())
                .unwrap();
        let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
        let face = aligner.align_points(&frame, &keypoints).unwrap();
        Quality::measure(face, &Detection::made_up(Rect::default(), keypoints), limits)
    }

    fn fault(stripes: [u8; 2], keypoints: [Point; 4]) -> Option<QualityFault> {
        let quality = measured(stripes, keypoints, &QualityLimits::default());
        assert_eq!(quality.weight <= 0.0, quality.fault.is_some(), "{quality:?}");
        quality.fault
    }

    fn near(found: f32, wanted: f32) -> bool {
        (found - wanted).abs() < 0.001 * wanted.abs().max(1.0)
    }

    #[test]
    fn stripes_have_the_sharpness_and_exposure_worked_out_by_hand() {
        let quality = measured([100, 110], frontal(), &QualityLimits::default());
        // Of 47 columns 24 are 100 and 23 are 110.
        assert!(near(quality.exposure, (24.0 * 100.0 + 23.0 * 110.0) / 47.0), "{quality:?}");
        // Left and right differ by 10, above and below do not: the Laplacian is +20 in the 22 inner
        // columns of 100 and −20 in the 23 of 110; its mean is −20/45.
        let mean = -20.0_f32 / 45.0;
        assert!(near(quality.sharpness, 400.0 - mean * mean), "{quality:?}");
        assert!(near(quality.eye_distance_px, 32.0), "{quality:?}");
        let flat = measured([124, 124], frontal(), &QualityLimits::default());
        assert!(flat.sharpness <= 0.0 && near(flat.exposure, 124.0), "{flat:?}");
    }

    #[test]
    fn exposure_weighs_the_colours_as_bt_601_does() {
        let pixels = [200, 100, 50].repeat(47 * 55);
        let frame =
            Frame::new(&pixels, PixelFormat::Rgb, (47, 55), 141, 0, Monotonic::default()).unwrap();
        let mut aligner = Aligner::with_template(&TEMPLATE, (47, 55));
        let face = aligner.align_points(&frame, &TEMPLATE.points()).unwrap();
        let (sharpness, exposure) = sharpness_and_exposure(face);
        // 0.299 · 200 + 0.587 · 100 + 0.114 · 50 = 124.2, with weights rounded to 1/256.
        assert!((exposure - 124.2).abs() < 0.3 && sharpness <= 0.0, "{exposure} {sharpness}");
    }

    #[test]
    fn yaw_is_the_way_of_the_nose_in_eye_distances_whatever_the_roll() {
        let face = |nose_x| {
            [
                Point::new(10.0, 20.0),
                Point::new(30.0, 20.0),
                Point::new(nose_x, 30.0),
                Point::new(20.0, 40.0),
            ]
        };
        for (nose_x, wanted) in [(20.0, 0.0), (24.0, 0.2), (16.0, -0.2), (30.0, 0.5)] {
            for degrees in [0.0_f32, 30.0, 90.0, -135.0] {
                let angle = degrees.to_radians();
                let roll =
                    Similarity { a: 3.0 * angle.cos(), b: 3.0 * angle.sin(), tx: 7.0, ty: 9.0 };
                let found = yaw(&face(nose_x).map(|p| roll.apply(p)));
                assert!(near(found, wanted), "nose at {nose_x}, {degrees}°: {found}");
            }
        }
        let one_eye = [
            Point::new(10.0, 20.0),
            Point::new(10.0, 20.0),
            Point::new(10.0, 30.0),
            Point::new(10.0, 40.0),
        ];
        assert!(yaw(&one_eye) >= f32::MAX, "eyes that coincide are no frontal face");
    }

    #[test]
    fn each_fault_is_found_and_a_good_face_has_none() {
        let good = [100, 110];
        assert_eq!(fault(good, frontal()), None);
        let small = TEMPLATE.points().map(|p| Point::new(0.9 * p.x + 50.0, 0.9 * p.y + 40.0));
        assert_eq!(fault(good, small), Some(QualityFault::TooSmall));
        let at_the_edge = frontal().map(|p| Point::new(p.x - 70.0, p.y));
        assert_eq!(fault(good, at_the_edge), Some(QualityFault::Cropped));
        for side in [-1.0, 1.0] {
            let mut turned = frontal();
            turned[2].x += side * 0.4 * 32.0;
            assert_eq!(fault(good, turned), Some(QualityFault::Turned), "{side}");
            assert!(measured(good, turned, &QualityLimits::default()).yaw * side > 0.35);
            let (sin, cos) = (side * 40.0_f32).to_radians().sin_cos();
            let roll = Similarity { a: cos, b: sin, tx: 100.0, ty: 100.0 };
            let tilted = frontal().map(|p| roll.apply(Point::new(p.x - 99.0, p.y - 95.0)));
            assert_eq!(fault(good, tilted), Some(QualityFault::Turned), "tilted {side}");
        }
        assert_eq!(fault([10, 30], frontal()), Some(QualityFault::TooDark));
        assert_eq!(fault([230, 250], frontal()), Some(QualityFault::TooBright));
        assert_eq!(fault([100, 102], frontal()), Some(QualityFault::Blurred));
        assert_eq!(fault([0, 0], small), Some(QualityFault::TooSmall), "the first fault counts");
        for fault in [
            QualityFault::TooSmall,
            QualityFault::Blurred,
            QualityFault::TooDark,
            QualityFault::TooBright,
            QualityFault::Turned,
            QualityFault::Cropped,
            QualityFault::NotUpright(Turn::Quarter),
            QualityFault::NotUpright(Turn::Half),
            QualityFault::NotUpright(Turn::ThreeQuarters),
            QualityFault::Unclear,
            QualityFault::Covered(FacePart::Eyes),
            QualityFault::Covered(FacePart::Mouth),
            QualityFault::Covered(FacePart::Brows),
            QualityFault::Covered(FacePart::Cheeks),
        ] {
            assert!(fault.finding().starts_with("the face "), "what it is");
            assert!(!fault.remedy().contains(fault.finding()), "what to do, and that alone");
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
    }

    #[test]
    fn a_measure_at_its_limit_counts_half_and_twice_as_good_in_full() {
        let lenient = QualityLimits {
            eye_distance_min_px: 1.0,
            sharpness_min: 0.0,
            exposure_min: 0.0,
            exposure_max: 255.0,
            yaw_max: 2.0,
            roll_max_degrees: 180.0,
            outside_max: 1.0,
            upright: true,
            free: true,
        };
        let weight = |limits: &QualityLimits| measured([100, 110], frontal(), limits).weight;
        assert!(near(weight(&lenient), 1.0), "a limit of nothing costs no weight");
        for (limit, wanted) in [(16.0, 1.0), (20.0, 0.8), (25.0, 0.64), (31.9, 0.5)] {
            let found = weight(&QualityLimits { eye_distance_min_px: limit, ..lenient });
            assert!((found - wanted).abs() < 0.002, "32 px over {limit}: {found}");
        }
        for (limit, wanted) in [(199.9, 1.0), (300.0, 0.6663), (399.7, 0.5)] {
            let found = weight(&QualityLimits { sharpness_min: limit, ..lenient });
            assert!((found - wanted).abs() < 0.002, "sharpness 399.8 over {limit}: {found}");
        }
        for (limit, wanted) in [(52.4, 1.0), (75.0, 0.6993), (104.8, 0.5)] {
            let found = weight(&QualityLimits { exposure_min: limit, ..lenient });
            assert!((found - wanted).abs() < 0.002, "exposure 104.9 over {limit}: {found}");
        }
        let mut before = 2.0;
        for (nose, wanted) in [(0.0, 1.0), (3.2, 1.0), (6.4, 0.8333), (9.5, 0.5104)] {
            for side in [-1.0, 1.0] {
                let mut points = frontal();
                points[2].x += side * nose;
                let found =
                    measured([100, 110], points, &QualityLimits { yaw_max: 0.3, ..lenient }).weight;
                assert!((found - wanted).abs() < 0.01, "nose {nose} px aside: {found}");
                assert!(found <= before + 1e-4, "the more turned, the lighter");
                before = found;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_weight_is_0_with_a_fault_and_half_to_1_without(
            stripes in any::<[u8; 2]>(), x in proptest::array::uniform4(-50.0f32..250.0),
            y in proptest::array::uniform4(-50.0f32..250.0), limit in 0.0f32..300.0,
        ) {
            let points = std::array::from_fn(|i| Point::new(x[i], y[i]));
            prop_assume!(crate::align::fit_similarity(&TEMPLATE.points(), &points).is_some());
            for limits in [
                QualityLimits::default(),
                QualityLimits { sharpness_min: limit, roll_max_degrees: 180.0, yaw_max: 2.0, ..QualityLimits::default() },
                QualityLimits { sharpness_min: 0.0, exposure_min: 0.0, exposure_max: 255.0, outside_max: 1.0,
                    roll_max_degrees: 180.0, yaw_max: 2.0, eye_distance_min_px: 4.0, upright: true, free: true },
            ] {
                let quality = measured(stripes, points, &limits);
                let fits = if quality.fault.is_some() { quality.weight.abs() < f32::EPSILON }
                    else { (0.5..=1.0).contains(&quality.weight) };
                prop_assert!(fits, "{quality:?}");
            }
        }
    }
}
