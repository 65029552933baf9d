//! Any bytes as a Y4M stream: frames or an error, never a panic.
//!
//! In: bytes. Out: nothing; the invariant is that each frame is as long as its format says.
#![no_main]

use deepid_edge::capture::replay::y4m::Y4mReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Y4mReader::new(bytes) else { return };
    let (format, (width, height)) = (reader.format(), reader.size());
    let mut frame = Vec::new();
    while let Ok(true) = reader.next_frame(&mut frame) {
        assert_eq!(frame.len(), format.frame_len(format.min_stride(width), height));
    }
});
