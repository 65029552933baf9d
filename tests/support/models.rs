//! The real library, models and photographs that `make assets` fetches.
//!
//! In: nothing; what is not there is said aloud, and the test that asked skips. Out: paths, cards,
//! pictures, the opened runtime.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

use std::path::{Path, PathBuf};

use deepid_edge::clock::Monotonic;
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::inference::{ModelCard, ModelDirectory, ModelId, Runtime};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn library() -> PathBuf {
    root().join("assets/lib").join(std::env::consts::ARCH).join("libLiteRt.so")
}

pub fn models() -> ModelDirectory {
    ModelDirectory::new(vec![root().join("models"), root().join("assets/models")])
}

/// Whether the library, the detectors and the photographs are there; says aloud which are not.
pub fn assets() -> bool {
    let fetched = |name: &str| root().join("assets").join(name);
    let wanted = [library(), fetched("models"), fetched("photographs/obama.jpg")];
    let absent = wanted.iter().find(|path| !path.exists());
    if let Some(path) = absent {
        super::skip(format_args!("{} is absent; run 'make assets'", path.display()));
    }
    absent.is_none()
}

/// The opened runtime, or nothing, said aloud, where the assets were not fetched.
pub fn runtime() -> Option<Runtime> {
    if !assets() {
        return None;
    }
    Some(Runtime::open(&library()).expect("the fetched library opens"))
}

pub fn card(name: &str) -> ModelCard {
    models().card(&ModelId::new(name).unwrap()).expect("the card is valid")
}

/// The RGB bytes and the size of one of the demo's photographs.
pub fn photograph(name: &str) -> (Vec<u8>, (u32, u32)) {
    let picture = image::open(root().join("assets/photographs").join(name)).unwrap().to_rgb8();
    let size = picture.dimensions();
    (picture.into_raw(), size)
}

pub fn rgb_frame(pixels: &[u8], size: (u32, u32)) -> Frame<'_> {
    let stride = size.0 as usize * 3;
    Frame::new(pixels, PixelFormat::Rgb, size, stride, 0, Monotonic::default()).unwrap()
}
