//! Pictures as cameras and telephones make them, whole and not: what is read, and what is refused
//! with which words, alike for a camera's frame, a recording and a file.
//!
//! In: small pictures that are encoded here or drawn (`tests/data/pictures`), spoiled in known ways.
//! Real cases are looked for beside the folder that `DEEPID_EDGE_FACES` names, and skipped without it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "support/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deepid_edge::capture::picture::{MAX_PIXELS, MAX_PIXELS_KEPT, Picture};
use deepid_edge::capture::replay::{Replay, ReplaySettings};
use deepid_edge::capture::{
    CapturedFrame, Decoder, FrameSource, PictureError, Progress, RecordingProblem,
};
use deepid_edge::clock::{ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use deepid_edge::frame::Frame;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use skip::skip_here;

/// A picture with something in each block, as JPEG.
fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let rgb: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [x * 4, y * 5, (x * y) / 3 + x % 5 * 9]))
        .map(|value| (value % 256) as u8)
        .collect();
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 85)
        .encode(&rgb, width, height, ExtendedColorType::Rgb8)
        .expect("it can be encoded");
    out
}

fn drawn(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures");
    std::fs::read(folder.join(name)).expect(name)
}

/// Where a picture's first scan has its data: behind the header of the scan.
fn data_of(jpeg: &[u8]) -> usize {
    let at = marker(jpeg, 0xDA);
    at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]))
}

fn marker(jpeg: &[u8], code: u8) -> usize {
    jpeg.windows(2).position(|pair| pair == [0xFF, code]).expect("the marker is there")
}

/// `jpeg` without its segments of `code`.
fn without(jpeg: &[u8], code: u8) -> Vec<u8> {
    let (mut out, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while rest[1] != 0xDA {
        let (segment, tail) =
            rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if segment[1] != code {
            out.extend_from_slice(segment);
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out
}

/// What is to come of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// The pixels of the picture that was spoiled.
    Whole,
    /// An error with these words.
    Refused(&'static str),
}
use Expected::{Refused, Whole};

/// One case: what was done, the picture, what is to come of it, the bytes.
type Case<'a> = (&'static str, &'a [u8], Expected, Vec<u8>);

/// The table of ways in which pictures come.
fn table<'a>(good: &'a [u8], restarts: &'a [u8], progressive: &'a [u8]) -> Vec<Case<'a>> {
    let bare = &good[..good.len() - 2];
    let plain = without(good, 0xC4);
    let data = data_of(good);
    let cut = |from: usize, to: usize| [&good[..from], &good[to..]].concat();
    let (third, fourth) = (marker(restarts, 0xD2), marker(restarts, 0xD3));
    let refinement = progressive
        .windows(2)
        .rposition(|pair| pair == [0xFF, 0xC4])
        .expect("its last scan has a table before it");
    vec![
        ("as it is", good, Whole, good.to_vec()),
        ("no end marker", good, Whole, bare.to_vec()),
        ("half an end marker", good, Whole, good[..good.len() - 1].to_vec()),
        ("fill bytes behind it", good, Whole, [good, &[0xFF; 300]].concat()),
        ("zeros behind it", good, Whole, [good, &[0; 5000]].concat()),
        ("zeros for an end marker", good, Whole, [bare, &[0; 64]].concat()),
        ("one byte behind it", good, Whole, [good, &[0x5A]].concat()),
        ("anything behind it", good, Whole, [good, b"\xFF\x3Cab\xFF\0\xFF\xD9 trailer"].concat()),
        ("some bytes before the end marker", good, Whole, [bare, &[7, 9, 1, 0xFF, 0xD9]].concat()),
        (
            "fill bytes before the end marker",
            good,
            Whole,
            [bare, &[0xFF, 0xFF, 0xFF, 0xD9]].concat(),
        ),
        ("no Huffman tables", good, Whole, plain.clone()),
        ("neither tables nor end marker", good, Whole, plain[..plain.len() - 2].to_vec()),
        ("restart markers", restarts, Whole, restarts.to_vec()),
        (
            "restart markers, no end marker",
            restarts,
            Whole,
            restarts[..restarts.len() - 2].to_vec(),
        ),
        (
            "bytes before a restart marker",
            restarts,
            Whole,
            [&restarts[..third], &[1, 2, 3], &restarts[third..]].concat(),
        ),
        ("progressive", progressive, Whole, progressive.to_vec()),
        (
            "progressive, no end marker",
            progressive,
            Whole,
            progressive[..progressive.len() - 2].to_vec(),
        ),
        ("progressive, bytes behind it", progressive, Whole, [progressive, &[9; 40]].concat()),
        (
            "the last byte of data is lost",
            good,
            Refused("data were lost"),
            cut(good.len() - 3, good.len() - 2),
        ),
        (
            "the last byte of data is missing",
            good,
            Refused("cut off"),
            bare[..bare.len() - 1].to_vec(),
        ),
        ("40 bytes are lost in the middle", good, Refused("lost"), cut(data + 200, data + 240)),
        (
            "all but a quarter is missing",
            good,
            Refused("cut off"),
            good[..data + (good.len() - data) / 4].to_vec(),
        ),
        (
            "zeros for its second half",
            good,
            Refused("data were lost"),
            [&good[..good.len() / 2], &vec![0; good.len() / 2], &[0xFF, 0xD9]].concat(),
        ),
        (
            "an interval is lost",
            restarts,
            Refused("data were lost"),
            [&restarts[..third], &restarts[fourth..]].concat(),
        ),
        (
            "a restart marker is lost",
            restarts,
            Refused("lost"),
            [&restarts[..third], &restarts[third + 2..]].concat(),
        ),
        (
            "the last scan is missing",
            progressive,
            Refused("cut off"),
            progressive[..refinement].to_vec(),
        ),
        (
            "no data at all",
            good,
            Refused("data were lost"),
            [&good[..data], &[0xFF, 0xD9]].concat(),
        ),
        ("arithmetic codes", good, Refused("arithmetic"), with_code(good, 0xC9)),
        ("lossless", good, Refused("without loss"), with_code(good, 0xC3)),
    ]
}

/// `jpeg` with another code for its header.
fn with_code(jpeg: &[u8], code: u8) -> Vec<u8> {
    let mut out = jpeg.to_vec();
    out[marker(jpeg, 0xC0) + 1] = code;
    out
}

/// The bytes of a frame, in whatever format it was drawn.
fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
    frame.pixels()[..frame.format().frame_len(frame.stride(), frame.height())].to_vec()
}

/// As a camera's frame.
fn by_camera(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut captured = CapturedFrame::new();
    captured.begin_jpeg(0, Monotonic::default()).extend_from_slice(bytes);
    let mut decoder = Decoder::new();
    decoder.decode(&captured).map(|frame| bytes_of(&frame)).map_err(|error| error.to_string())
}

/// As a file.
fn by_file(bytes: &[u8]) -> Result<Vec<u8>, String> {
    Picture::decode(bytes).map(|picture| picture.rgb().to_vec()).map_err(|error| error.to_string())
}

/// As the second frame of a recording, between two that are good.
fn by_recording(bytes: &[u8], good: &[u8]) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("recording");
    std::fs::write(&path, [good, bytes, good].concat()).expect("it can be written");
    let clock = Arc::new(ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS));
    let mut replay = Replay::open(ReplaySettings::once(&path), clock).expect("it can be opened");
    let (mut captured, mut decoder) = (CapturedFrame::new(), Decoder::new());
    let mut frames = Vec::new();
    while replay.next_frame(&mut captured).expect("no frame ends the recording") == Progress::Frame
    {
        let decoded = decoder.decode(&captured);
        frames.push(decoded.map(|frame| bytes_of(&frame)).map_err(|error| error.to_string()));
    }
    assert_eq!(frames.len(), 3, "a frame costs itself alone");
    assert_eq!((&frames[0], &frames[2]), (&by_camera(good), &by_camera(good)));
    frames.swap_remove(1)
}

#[test]
fn what_decodes_completely_is_accepted_and_what_lacks_data_is_not() {
    let (good, restarts, progressive) =
        (jpeg(64, 48), drawn("restarts.jpg"), drawn("progressive.jpg"));
    for (name, original, expected, bytes) in table(&good, &restarts, &progressive) {
        // A camera's frame is NV12 where it can be, a file RGB.
        let frame = by_camera(original).expect("the picture that was spoiled is whole");
        let file = by_file(original).expect("as a file, too");
        let ways = [
            ("camera", &frame, by_camera(&bytes)),
            ("file", &file, by_file(&bytes)),
            ("recording", &frame, by_recording(&bytes, &good)),
        ];
        for (way, whole, found) in ways {
            match (expected, found) {
                (Whole, Ok(found)) => assert!(found == *whole, "{name}, {way}: other pixels"),
                (Refused(words), Err(said)) => {
                    assert!(said.contains(words), "{name}, {way}: {said}");
                }
                (expected, found) => {
                    panic!(
                        "{name}, {way}: {expected:?}, found {:?}",
                        found.map(|found| found.len())
                    );
                }
            }
        }
    }
}

#[test]
fn bytes_that_are_lost_anywhere_in_the_data_are_noticed() {
    let good = jpeg(256, 192);
    // What one packet of a USB camera carries.
    let lost = 512;
    let places = (data_of(&good)..good.len() - 2 - lost).step_by(37);
    let all = places.len();
    let noticed = places
        .filter(|at| by_camera(&[&good[..*at], &good[at + lost..]].concat()).is_err())
        .count();
    // What follows may by chance read as just as many blocks.
    assert!(noticed * 100 >= all * 95, "{noticed} of {all}");
}

/// Real frames, where they are.
fn cases() -> Option<PathBuf> {
    let faces = std::env::var_os("DEEPID_EDGE_FACES").map(PathBuf::from);
    let folder =
        faces.and_then(|faces| Some(faces.parent()?.join("cases"))).filter(|at| at.is_dir());
    if folder.is_none() {
        skip_here("no folder 'cases' beside the one that DEEPID_EDGE_FACES names");
    }
    folder
}

#[test]
fn frames_of_real_cameras_are_judged_as_they_deserve() {
    let Some(folder) = cases() else { return };
    let read = |name: &str| std::fs::read(folder.join("uvc").join(name)).expect(name);
    let good = read("01-good.jpg");
    let (frame, file) = (by_camera(&good), by_file(&good));
    assert!(frame.is_ok() && file.is_ok(), "a good frame");
    for name in ["02-no-eoi.jpg", "04-ff-after-eoi.jpg", "06-one-byte-after-eoi.jpg"] {
        for (good, found) in [(&frame, by_camera(&read(name))), (&file, by_file(&read(name)))] {
            assert!(found == *good, "{name}: {:?}", found.map(|found| found.len()));
        }
    }
    for found in [by_camera(&read("13-lost-512.jpg")), by_file(&read("13-lost-512.jpg"))] {
        assert!(found.as_ref().is_err_and(|said| said.contains("lost")), "{found:?}");
    }
    let formats = [
        ("arithmetic.jpg", "arithmetic"),
        ("phone.heic", "heif-convert"),
        ("phone.avif", "avifdec"),
    ];
    for (name, words) in formats {
        let said = Picture::read(&folder.join("formats").join(name)).expect_err(name).to_string();
        assert!(said.contains(words), "{said}");
    }
    let webp = Picture::read(&folder.join("formats/phone.webp")).expect("WebP is read");
    assert!(webp.width() > 100 && webp.height() > 100);
}

/// The mean difference of two pictures' bytes.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn every_kind_of_file_shows_the_same_drawing() {
    let drawing = Picture::decode(&drawn("drawn.png")).expect("a PNG file");
    let table = [
        ("interlaced.png", 0.0),
        ("subsampled.jpg", 8.0),
        ("restarts.jpg", 8.0),
        ("progressive.jpg", 8.0),
        ("inks.jpg", 8.0),
        ("lossy.webp", 8.0),
    ];
    for (name, allowed) in table {
        let picture = Picture::decode(&drawn(name)).expect(name);
        assert_eq!((picture.width(), picture.height()), (90, 61), "{name}");
        let found = difference(picture.rgb(), drawing.rgb());
        assert!(found <= allowed, "{name}: {found:.1}");
    }
    let lying = Picture::decode(&drawn("lying.webp")).expect("a WebP file");
    assert_eq!((lying.width(), lying.height()), (61, 90), "EXIF holds for WebP too");
}

#[test]
fn the_cut_off_of_every_kind_are_refused() {
    for name in ["drawn.png", "interlaced.png", "lossy.webp", "progressive.jpg", "inks.jpg"] {
        let bytes = drawn(name);
        for quarter in 1..4 {
            let found = Picture::decode(&bytes[..bytes.len() * quarter / 4]);
            assert!(found.is_err(), "{name}, {quarter} of 4 quarters");
        }
    }
}

/// A PNG of one colour, as large as asked for; quick to make, because its rows are all alike.
fn large_png(width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().expect("a header");
    let mut stream = writer.stream_writer().expect("a stream");
    let row = vec![0xF0; (width as usize).div_ceil(8)];
    for _ in 0..height {
        std::io::Write::write_all(&mut stream, &row).expect("a row");
    }
    stream.finish().expect("an end");
    drop(writer);
    out
}

#[test]
fn photographs_of_many_pixels_are_read_smaller_and_beyond_the_limit_refused() {
    let (width, height) = (11_648, 8_584);
    assert!(width as usize * height as usize <= MAX_PIXELS);
    let picture = Picture::decode(&large_png(width, height)).expect("100 megapixels");
    assert_eq!((picture.width(), picture.height()), (width / 4, height / 4));
    assert!(picture.width() as usize * picture.height() as usize <= MAX_PIXELS_KEPT);
    // Four white pixels, four black ones.
    assert_eq!(picture.rgb()[..6], [255, 255, 255, 0, 0, 0]);
    let error = Picture::decode(&large_png(11_648, 8_600)).expect_err("more than that");
    assert!(matches!(error, PictureError::TooLarge { height: 8_600, .. }), "{error}");
}

#[test]
fn what_is_no_picture_is_named_without_a_library_s_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let table: [(&str, &[u8], &str); 7] = [
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif-convert FILE OUT.jpg"),
        ("called.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("b.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "avifdec FILE OUT.png"),
        ("c.gif", b"GIF89a\x01\0\x01\0", "GIF"),
        ("d.tif", b"II*\0\x08\0\0\0", "TIFF"),
        ("e.bmp", b"BM\x46\0\0\0\0\0\0\0", "BMP"),
        ("f.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "damaged"),
    ];
    for (name, bytes, words) in table {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("it can be written");
        let said = Picture::read(&path).expect_err(name).to_string();
        assert!(said.contains(words) && said.contains(name), "{said}");
        assert!(!said.contains("Error") && !said.contains("eof"), "{said}");
    }
    // A wrong name is no matter.
    for (name, kind) in [("photo.png", "progressive.jpg"), ("photo.jpg", "lossy.webp")] {
        let path = folder.path().join(name);
        std::fs::write(&path, drawn(kind)).expect("it can be written");
        assert!(Picture::read(&path).is_ok(), "{kind} called {name}");
    }
}

#[test]
fn a_folder_plays_pictures_of_all_formats_and_tells_which_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let save = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("it can be written");
    };
    save("a.webp", &drawn("lossy.webp"));
    save("b.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    save("c", &drawn("drawn.png"));
    save("notes.txt", b"left alone");
    save(".hidden.jpg", &drawn("inks.jpg"));
    let clock = Arc::new(ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS));
    let settings = ReplaySettings::once(folder.path());
    let mut replay = Replay::open(settings, clock).expect("it can be opened");
    let mut captured = CapturedFrame::new();
    assert_eq!(replay.next_frame(&mut captured).expect("a WebP picture"), Progress::Frame);
    let error = replay.next_frame(&mut captured).expect_err("HEIC is not read");
    let problem = match error {
        deepid_edge::capture::CaptureError::Recording { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert!(matches!(&problem, RecordingProblem::Picture { name, .. } if name == "b.heic"));
    assert_eq!(replay.next_frame(&mut captured).expect("a PNG picture"), Progress::Frame);
    assert_eq!(replay.next_frame(&mut captured).expect("no more"), Progress::End);
}
