//! What comes of cameras and networks: pictures, streams, raw pixels, and the numbers of a detector.
//!
//! In: bytes as a camera, a recording or a network would give them. Out: nothing. What must hold: sides
//! and bytes fit each other, no bound is passed, and a face has finite places and a score from 0 to 1.

use std::sync::LazyLock;

use deepid_edge::capture::picture::Picture;
use deepid_edge::capture::replay::{mjpeg::MjpegReader, y4m::Y4mReader};
use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::Monotonic;
use deepid_edge::detect::{Detections, SsdDetector};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::inference::{Engine, InferenceError, ModelCard, Tensor};

const MAX_PIXELS: usize = 1 << 20;
/// The shipped detector of near faces.
static DETECTOR: LazyLock<ModelCard> = LazyLock::new(|| {
    ModelCard::parse(include_str!("../../models/blazeface-short-range.toml"))
        .expect("the shipped card")
});

/// A network whose outputs are these bytes, again and again.
struct Bytes(Vec<u8>);

impl Engine for Bytes {
    fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
        let mut numbers = self.0.iter().copied().cycle();
        for byte in outputs.iter_mut().flat_map(Tensor::as_bytes_mut) {
            *byte = numbers.next().unwrap_or_default();
        }
        Ok(())
    }
}

/// Any bytes as a camera's JPEG frame.
pub fn decode(bytes: &[u8]) {
    let mut captured = CapturedFrame::new();
    captured.begin_jpeg(0, Monotonic::default()).extend_from_slice(bytes);
    let mut decoder = Decoder::with_max_pixels(MAX_PIXELS);
    let size = decoder.decode(&captured).map(|frame| (frame.width(), frame.height()));
    if let Ok((width, height)) = size {
        assert!(width as usize * height as usize <= MAX_PIXELS);
    }
    match (decoder.glimpse(&captured), size) {
        (Ok(glimpse), Ok((width, height))) => {
            let seen = (glimpse.frame.width(), glimpse.frame.height());
            assert_eq!(seen, (width.div_ceil(glimpse.scale), height.div_ceil(glimpse.scale)));
        }
        // The library alone refuses it.
        (Ok(_), Err(_)) => {}
        (Err(fault), decoded) => assert!(decoded.is_err(), "decoded, and not glimpsed: {fault}"),
    }
}

/// Any bytes as an MJPEG stream, whose pictures are no longer than the stream.
pub fn mjpeg(bytes: &[u8]) {
    let mut reader = MjpegReader::new(bytes);
    let (mut picture, mut total) = (Vec::new(), 0);
    while let Ok(true) = reader.next_picture(&mut picture) {
        total += picture.len();
        assert!(total <= bytes.len());
    }
}

/// Any bytes as a picture file.
pub fn picture(bytes: &[u8]) {
    if let Ok(picture) = Picture::decode(bytes) {
        let needed = picture.width() as usize * picture.height() as usize * 3;
        assert_eq!(picture.rgb().len(), needed);
    }
}

/// Any bytes as a Y4M stream.
pub fn y4m(bytes: &[u8]) {
    let Ok(mut reader) = Y4mReader::new(bytes) else { return };
    let (format, (width, height)) = (reader.format(), reader.size());
    let mut frame = Vec::new();
    while let Ok(true) = reader.next_frame(&mut frame) {
        assert_eq!(frame.len(), format.frame_len(format.min_stride(width), height));
    }
}

/// Any bytes as a frame of raw pixels: its format in the first byte, then width, height and bytes of a
/// line in two bytes each. What is accepted is looked at to its last pixel.
pub fn raw(bytes: &[u8]) {
    let Some((&[format, w, x, h, i, s, t], pixels)) = bytes.split_first_chunk::<7>() else {
        return;
    };
    let formats = [
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
        PixelFormat::Grey,
        PixelFormat::Rgb,
    ];
    let format = formats[usize::from(format) % formats.len()];
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]));
    let (size, stride) = ((side(w, x), side(h, i)), side(s, t) as usize);
    let mut captured = CapturedFrame::new();
    captured.begin_raw(format, size, stride, 0, Monotonic::default()).extend_from_slice(pixels);
    let mut decoder = Decoder::with_max_pixels(MAX_PIXELS);
    if let Ok(frame) = decoder.decode(&captured) {
        assert_eq!((frame.width(), frame.height()), size);
        faces(&frame, &[0]);
    }
}

/// Any bytes as what a detector gives for a frame.
pub fn ssd(bytes: &[u8]) {
    let pixels = [128; 64 * 48 * 3];
    let frame = Frame::new(&pixels, PixelFormat::Rgb, (64, 48), 64 * 3, 0, Monotonic::default());
    faces(&frame.expect("a frame"), bytes);
}

/// Looks for faces in `frame` with a detector that gives `numbers`.
fn faces(frame: &Frame<'_>, numbers: &[u8]) {
    let engine = Box::new(Bytes(numbers.to_vec()));
    let mut detector = SsdDetector::new(&DETECTOR, engine, None).expect("a detector");
    let mut found = Detections::default();
    if detector.detect(frame, SsdDetector::whole(frame), 4.0, &mut found).is_err() {
        assert!(found.as_slice().is_empty(), "nothing of a failure is kept");
    }
    for face in found.as_slice() {
        assert!((0.0..=1.0).contains(&face.score()), "{face:?}");
        assert!(face.bounds().area().is_finite(), "{face:?}");
        assert!(face.keypoints().iter().all(|p| p.x.is_finite() && p.y.is_finite()), "{face:?}");
    }
}
