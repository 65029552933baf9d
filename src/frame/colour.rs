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
