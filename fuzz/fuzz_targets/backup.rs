//! Any bytes as what lies inside a backup's encryption: a manifest or an error, never a panic.
//!
//! In: bytes. Out: nothing; the invariant is that a database is as long as its manifest says.
#![no_main]

use deepid_edge::store::backup::look_into;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut database = Vec::new();
    if let Ok(manifest) = look_into(bytes, &mut database) {
        assert_eq!(database.len() as u64, manifest.database.bytes);
    }
});
