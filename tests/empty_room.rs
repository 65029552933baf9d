//! An empty room that is searched seldom: whoever comes is found as soon as in one that is searched all the
//! time, and judged alike.
//!
//! Needs what `make assets` fetches, ffmpeg, and a folder of clips: `DEEPID_EDGE_FACES`, or
//! `../shared/faces` beside the checkout. Says aloud what it skips. Each clip is shown at 15 frames a second
//! behind an empty room: its own frames, of which the person was painted over with the wall to the left
//! and right. `cargo test --test empty_room -- --include-ignored --nocapture` prints the table of every clip.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::{Clock, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use deepid_edge::decide::{Effect, Seen, Verdict, VisitPolicy};
use deepid_edge::detect::FollowerSettings;
use deepid_edge::door::{Door, Event, Time};
use deepid_edge::embed::FeatureVector;
use deepid_edge::frame::PixelFormat;
use deepid_edge::inference::Runtime;
use image::RgbImage;
use support::models::runtime;
use support::path;
use support::scene::{HEIGHT, WIDTH, nobody, rgb, yuyv};

const FRAME: Duration = Duration::from_micros(66_667);
/// More than until a room counts as empty; and up to two more, so that each phase of its looks is tried.
const EMPTY: usize = 48;
/// The part of a frame's width in which the person stands.
const PERSON: (f32, f32) = (0.20, 0.76);

/// How a visitor appears: within so many frames, out of the empty room.
#[derive(Debug, Clone, Copy)]
struct Appearing {
    name: &'static str,
    frames: usize,
    jpeg: bool,
}

const AT_ONCE: Appearing = Appearing { name: "at once", frames: 0, jpeg: false };
const OTHERS: [Appearing; 3] = [
    Appearing { name: "at once, MJPG", frames: 0, jpeg: true },
    Appearing { name: "within a second", frames: 15, jpeg: false },
    Appearing { name: "within five seconds", frames: 75, jpeg: false },
];

/// What came of a clip.
#[derive(Debug, Default)]
struct Came {
    /// The first frame with a face, counted from the visitor's first one.
    found: Option<usize>,
    decided: Option<usize>,
    verdicts: Vec<String>,
    /// How many frames of the empty room were searched, of those after it counts as empty.
    searched: usize,
}

struct Clip {
    name: String,
    frames: Vec<RgbImage>,
    empty: Vec<RgbImage>,
}

fn clips() -> Option<Vec<PathBuf>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/faces");
    let folder = std::env::var_os("DEEPID_EDGE_FACES").map_or(beside, PathBuf::from);
    let Ok(listed) = std::fs::read_dir(folder.join("e2e/visits")) else {
        support::skip_here(format_args!(
            "{} has no clips; DEEPID_EDGE_FACES names their folder",
            folder.display()
        ));
        return None;
    };
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    Some(paths)
}

impl Clip {
    fn read(path: &Path) -> Self {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(path)
            .args(["-r", "15", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
            .output()
            .expect("ffmpeg, which 'make setup' installs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let length = (WIDTH * HEIGHT * 3) as usize;
        let frames: Vec<RgbImage> = output
            .stdout
            .chunks_exact(length)
            .map(|bytes| RgbImage::from_raw(WIDTH, HEIGHT, bytes.to_vec()).unwrap())
            .collect();
        let empty = frames.iter().take(3).enumerate().map(painted_over).collect();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, frames, empty }
    }

    fn person(&self) -> char {
        self.name.chars().next().unwrap()
    }

    /// Frame `index` of the visit, which goes to and fro.
    fn at(&self, index: usize) -> &RgbImage {
        let (last, turn) = (self.frames.len() - 1, index % (2 * self.frames.len() - 2));
        &self.frames[if turn <= last { turn } else { 2 * last - turn }]
    }
}

/// `picture` without the person, with another grain for each number.
fn painted_over((number, picture): (usize, &RgbImage)) -> RgbImage {
    let mut empty = picture.clone();
    let (from, to) = ((PERSON.0 * WIDTH as f32) as u32, (PERSON.1 * WIDTH as f32) as u32);
    for y in 0..HEIGHT {
        let (left, right) = (*picture.get_pixel(from, y), *picture.get_pixel(to, y));
        for x in from..to {
            let share = (x - from) as f32 / (to - from) as f32;
            let grain = ((x as usize * 7919 + y as usize * 31 + number * 104_729) % 5) as f32 - 2.0;
            for (channel, value) in empty.get_pixel_mut(x, y).0.iter_mut().enumerate() {
                let (left, right) = (f32::from(left.0[channel]), f32::from(right.0[channel]));
                *value = (left + (right - left) * share + grain).clamp(0.0, 255.0) as u8;
            }
        }
    }
    empty
}

fn mixed(of: &RgbImage, with: &RgbImage, share: f32) -> RgbImage {
    let parts = of.as_raw().iter().zip(with.as_raw());
    let mix = |(a, b): (&u8, &u8)| (f32::from(*a) + (f32::from(*b) - f32::from(*a)) * share) as u8;
    RgbImage::from_raw(WIDTH, HEIGHT, parts.map(mix).collect()).unwrap()
}

fn captured(picture: &RgbImage, jpeg: bool, number: u64, at: Monotonic) -> CapturedFrame {
    let mut captured = CapturedFrame::default();
    if jpeg {
        let bytes = captured.begin_jpeg(number, at);
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(bytes, 85);
        picture.write_with_encoder(encoder).unwrap();
    } else {
        captured
            .begin_raw(PixelFormat::Yuyv, (WIDTH, HEIGHT), WIDTH as usize * 2, number, at)
            .extend_from_slice(&yuyv(picture));
    }
    captured
}

/// Plays frames before a door that is asked as the daemon's thread asks it; the visitor comes at frame
/// `comes`.
fn play(
    runtime: &Runtime,
    references: &[FeatureVector],
    search_every: Duration,
    frames: impl Iterator<Item = CapturedFrame>,
    comes: usize,
) -> Came {
    let settings = FollowerSettings { search_every, ..FollowerSettings::default() };
    let gallery = path::gallery(references.to_vec());
    let mut door =
        Door::new(path::recogniser(runtime, settings, true, gallery), VisitPolicy::default());
    let clock = ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS);
    let (mut decoder, mut effects, mut came) = (Decoder::new(), Vec::new(), Came::default());
    let note = |effects: &mut Vec<Effect>, number: usize, came: &mut Came| {
        for effect in effects.drain(..) {
            if let Effect::Decided { decision, .. } = effect {
                came.decided = came.decided.or(number.checked_sub(comes));
                came.verdicts.push(match &decision.verdict {
                    Verdict::Granted { subject } => format!("granted {subject}"),
                    verdict => verdict.reason().to_owned(),
                });
            }
        }
    };
    for (number, captured) in frames.enumerate() {
        let captured_at = captured.captured_at();
        clock.advance_to(captured_at);
        let sequence = captured.sequence();
        let passed_over = !door.needs_frame()
            || door.glances() && door.is_unchanged(&decoder.glimpse(&captured).unwrap());
        if passed_over {
            door.step(Event::Skipped { sequence, captured_at }, Time::of(&clock), &mut effects);
        } else {
            let frame = decoder.decode(&captured).unwrap();
            door.step(Event::Frame(&frame), Time::of(&clock), &mut effects);
            came.searched += usize::from(number > 30 && number < comes);
        }
        if matches!(door.observed().unwrap().seen, Seen::Faces { .. }) {
            came.found = came.found.or(number.checked_sub(comes));
        }
        note(&mut effects, number, &mut came);
    }
    while let Some(due) = door.poll_at() {
        clock.advance_to(due);
        door.step(Event::Tick, Time::of(&clock), &mut effects);
    }
    note(&mut effects, usize::MAX, &mut came);
    came
}

/// The vector of the person of `clip`, in the middle of it.
fn reference(runtime: &Runtime, clip: &Clip) -> FeatureVector {
    let clock = ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS);
    let settings = FollowerSettings::default();
    let mut recogniser = path::recogniser(runtime, settings, true, path::gallery(vec![]));
    let frame = captured(clip.at(clip.frames.len() / 2), false, 1, clock.now());
    recogniser.observe(&Decoder::new().decode(&frame).unwrap(), &clock);
    recogniser.features().clone()
}

/// Plays the clips at `paths` as each of `ways` says, with and without searching all the time.
fn compare(runtime: &Runtime, paths: &[PathBuf], ways: &[Appearing]) {
    let mut people: Vec<char> = Vec::new();
    let mut references = Vec::new();
    println!(
        "| clip | the visitor appears | found, before | now | decided, before | now | verdict | searched before | now |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (index, path) in paths.iter().enumerate() {
        let clip = Clip::read(path);
        if !people.contains(&clip.person()) && clip.person() != 'D' {
            people.push(clip.person());
            references.push(reference(runtime, &clip));
        }
        for way in ways {
            let comes = EMPTY + index % 3;
            let frames = || {
                (0..comes + way.frames + 45).map(|number| {
                    let at = Monotonic::from_micros(66_667 * (1 + number as u64));
                    let empty = &clip.empty[number % clip.empty.len()];
                    let picture = match number.checked_sub(comes) {
                        None => empty.clone(),
                        Some(shown) if shown < way.frames => {
                            mixed(empty, clip.at(shown), (1 + shown) as f32 / way.frames as f32)
                        }
                        Some(shown) => clip.at(shown).clone(),
                    };
                    captured(&picture, way.jpeg, number as u64, at)
                })
            };
            let before = play(runtime, &references, Duration::ZERO, frames(), comes);
            let now = play(runtime, &references, Duration::from_secs(1), frames(), comes);
            let told =
                |frame: Option<usize>| frame.map_or("-".to_owned(), |frame| frame.to_string());
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                clip.name,
                way.name,
                told(before.found),
                told(now.found),
                told(before.decided),
                told(now.decided),
                before.verdicts.join(", "),
                before.searched,
                now.searched
            );
            assert_eq!(before.verdicts, now.verdicts, "{}", clip.name);
            let (before, now) = (before.found.expect("found"), now.found.expect("found"));
            // Whoever appears more slowly than anybody walks is found by the search of each second.
            let later = if way.frames == 0 { 1 } else { 16 };
            assert!(now <= before + later, "{}, {}: {now}, {before}", clip.name, way.name);
        }
    }
}

#[test]
fn whoever_comes_into_an_empty_room_is_found_at_once() {
    let (Some(runtime), Some(paths)) = (runtime(), clips()) else { return };
    // One clip of each person.
    let mut firsts = paths;
    firsts.dedup_by_key(|path| path.file_name().unwrap().as_encoded_bytes()[0]);
    compare(&runtime, &firsts, &[AT_ONCE]);
}

#[test]
#[ignore = "takes minutes: make test-nightly"]
fn whoever_comes_in_any_clip_and_in_any_way_is_found_and_judged_alike() {
    let (Some(runtime), Some(paths)) = (runtime(), clips()) else { return };
    compare(&runtime, &paths, &[&[AT_ONCE][..], &OTHERS].concat());
}

/// What a door sees of a visitor who stands still from its first frame on, or who comes after twenty seconds.
#[test]
fn whoever_stands_still_is_found_at_the_start_and_after_a_quiet_while() {
    let Some(runtime) = runtime() else { return };
    let (room, visitor) = (nobody(), rgb("obama.jpg", 0.26, (200, 60)));
    for comes in [0, 300] {
        let frames = || {
            (0..comes + 30).map(|number| {
                let picture = if number < comes { &room } else { &visitor };
                let at = FRAME * (1 + u32::try_from(number).unwrap());
                let at = Monotonic::from_micros(u64::try_from(at.as_micros()).unwrap());
                captured(picture, false, number as u64, at)
            })
        };
        let before = play(&runtime, &[], Duration::ZERO, frames(), comes);
        let now = play(&runtime, &[], Duration::from_secs(1), frames(), comes);
        assert_eq!((before.found, before.verdicts), (now.found, now.verdicts), "at frame {comes}");
        if comes > 0 {
            let seconds = (comes - 30) / 15;
            assert!(before.searched >= 5 * seconds - 5, "before: {}", before.searched);
            assert!(now.searched <= seconds + 2, "once a second: {}", now.searched);
        }
    }
}
