//! Colour conversion from the camera's YCbCr to RGB.
//!
//! Source: ITU-R BT.601-7, limited range (Y 16 to 235, Cb and Cr 16 to 240 around 128), the default
//! that V4L2 states for SDTV-encoded capture formats.

/// `[Y, Cb, Cr]`, each 0 to 255, to `[R, G, B]`, each clamped to 0 to 255.
#[inline]
#[must_use]
pub(crate) fn bt601_to_rgb([y, cb, cr]: [f32; 3]) -> [f32; 3] {
    let y = (y - 16.0) * 1.164_383_6;
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    [
        (y + 1.596_026_8 * cr).clamp(0.0, 255.0),
        (y - 0.391_762_3 * cb - 0.812_967_65 * cr).clamp(0.0, 255.0),
        (y + 2.017_232_1 * cb).clamp(0.0, 255.0),
    ]
}

/// `value`, 0 to 2²², to the nearest whole number, halves up. By additions alone, which compilers do
/// for many numbers at once; a cast, which looks for numbers out of range, is made one by one.
#[inline]
#[must_use]
pub(super) fn rounded(value: f32) -> u32 {
    /// Added to a number below 2²², this leaves the nearest whole one in the lowest bits.
    const WHOLE: f32 = 8_388_608.0;
    let half_up = value + 0.5;
    let nearest = half_up + WHOLE;
    let beyond = u32::from(nearest - WHOLE > half_up);
    nearest.to_bits().wrapping_sub(WHOLE.to_bits()).wrapping_sub(beyond)
}
