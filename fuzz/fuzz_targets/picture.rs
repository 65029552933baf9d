//! Any bytes as a picture file: upright pixels or an error, never a panic.
//!
//! In: bytes. Out: nothing; the invariant is that sides and bytes fit each other.
#![no_main]

use deepid_edge::capture::picture::Picture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = Picture::decode(bytes) {
        let needed = picture.width() as usize * picture.height() as usize * 3;
        assert_eq!(picture.rgb().len(), needed);
    }
});
