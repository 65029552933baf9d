//! Any bytes as an MJPEG stream: pictures or an error, never a panic, never more than there is.
//!
//! In: bytes. Out: nothing; the invariant is that the pictures are no longer than the stream.
#![no_main]

use deepid_edge::capture::replay::mjpeg::MjpegReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = MjpegReader::new(bytes);
    let (mut picture, mut total) = (Vec::new(), 0);
    while let Ok(true) = reader.next_picture(&mut picture) {
        total += picture.len();
        assert!(total <= bytes.len());
    }
});
