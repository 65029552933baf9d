//! Any bytes as a camera's JPEG frame: pixels or an error, never a panic, never too many.
//!
//! In: bytes. Out: nothing; the invariant is the bound on pixels.
#![no_main]

use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::Monotonic;
use libfuzzer_sys::fuzz_target;

const MAX_PIXELS: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut captured = CapturedFrame::new();
    captured.begin_jpeg(0, Monotonic::default()).extend_from_slice(bytes);
    let mut decoder = Decoder::with_max_pixels(MAX_PIXELS);
    if let Ok(frame) = decoder.decode(&captured) {
        assert!(frame.width() as usize * frame.height() as usize <= MAX_PIXELS);
    }
});
