//! `enroll` from folders and films: how many references come, and what is said when fewer come than
//! were asked for.
//!
//! Needs what `make assets` fetches; says what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::PathBuf;

use deepid_edge::capture::replay::mjpeg::MjpegWriter;
use support::answer::Answer;
use support::daemon::Home;
use support::models::{assets, root};

fn photograph() -> Option<image::RgbImage> {
    let path = root().join("assets/photographs/obama.jpg");
    if !assets() {
        return None;
    }
    Some(image::open(path).expect("a photograph").into_rgb8())
}

/// The photograph, a little brighter for each number.
fn variant(photograph: &image::RgbImage, number: u8) -> image::RgbImage {
    let mut one = photograph.clone();
    one.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value.saturating_add(number)));
    one
}

fn folder(home: &Home, photograph: &image::RgbImage, count: u8) -> PathBuf {
    let folder = home.path("folder");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..count {
        variant(photograph, number).save(folder.join(format!("{number:02}.png"))).unwrap();
    }
    folder
}

fn enroll(home: &Home, from: &std::path::Path, count: &str) -> Answer {
    let arguments = ["enroll", "Ada", "--count", count, "--replay", from.to_str().unwrap()];
    Answer::of(home.command(&arguments).output().unwrap())
}

#[test]
fn each_picture_of_a_folder_is_a_picture() {
    let Some(photograph) = photograph() else { return };
    let home = Home::new();
    let all = folder(&home, &photograph, 4);
    let answer = enroll(&home, &all, "4");
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("4 references enrolled"), "{}", answer.out);
    assert!(!answer.err.contains("fewer"), "{}", answer.err);
    let home = Home::new();
    let all = folder(&home, &photograph, 4);
    let answer = enroll(&home, &all, "2");
    assert!(answer.out.contains("2 references enrolled"), "{}", answer.out);
    assert!(
        answer.err.contains("2 of the folder's 4 pictures were not looked at"),
        "{}",
        answer.err
    );
    assert!(answer.err.contains("--count 4"), "{}", answer.err);
}

#[test]
fn fewer_than_asked_for_is_said_with_reasons_and_counts() {
    let Some(photograph) = photograph() else { return };
    let home = Home::new();
    let all = folder(&home, &photograph, 2);
    image::RgbImage::new(320, 240).save(all.join("empty.png")).unwrap();
    std::fs::write(all.join("later.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    let answer = enroll(&home, &all, "9");
    assert_eq!(answer.code, 0, "{}", answer.err);
    let said = &answer.err;
    assert!(said.contains("2 of 9 references from 4 pictures"), "{said}");
    assert!(
        said.contains("1: no face was found") && said.contains("1: a picture in the format HEIC"),
        "{said}"
    );
}

#[test]
fn frames_of_a_film_that_come_too_soon_are_counted() {
    let Some(photograph) = photograph() else { return };
    let home = Home::new();
    let film = home.path("film.mjpeg");
    let mut writer = MjpegWriter::new(std::fs::File::create(&film).unwrap(), 90);
    for number in 0..8 {
        let frame = variant(&photograph, number);
        writer.write_rgb(&frame, frame.width(), frame.height()).unwrap();
    }
    writer.finish().unwrap();
    let answer = enroll(&home, &film, "5");
    assert_eq!(answer.code, 0, "{}", answer.err);
    // At fifteen frames a second, each fifth is 300 ms after the last that was taken.
    assert!(answer.err.contains("2 of 5 references from 8 frames"), "{}", answer.err);
    assert!(answer.err.contains("6: within 300 ms"), "{}", answer.err);
}

#[test]
fn what_cannot_be_read_is_skipped_where_that_was_asked_for() {
    let Some(photograph) = photograph() else { return };
    let home = Home::new();
    let (good, bad) = (home.path("good.png"), home.path("bad.jpg"));
    photograph.save(&good).unwrap();
    std::fs::write(&bad, b"no picture at all").unwrap();
    let [good, bad] = [&good, &bad].map(|path| path.to_str().unwrap());
    let absent = home.path("absent.jpg").display().to_string();
    let arguments = ["enroll", "Ada", "--image", good, bad, &absent];
    let refused = Answer::of(home.command(&arguments).output().unwrap());
    assert_eq!(refused.code, 4, "{}", refused.err);
    let skipping = [&arguments[..], &["--skip-poor"]].concat();
    let answer = Answer::of(home.command(&skipping).output().unwrap());
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("1 reference enrolled"), "{}", answer.out);
    for name in ["bad.jpg", "absent.jpg"] {
        let said =
            answer.err.lines().any(|line| line.starts_with("left out: ") && line.contains(name));
        assert!(said, "{}", answer.err);
    }
}
