//! Drawn rooms: what disturbs one costs few searches, and whoever is as large as a face is noticed.
//!
//! In: luminance as a function of place and time, and a sensor's noise; looks five times a second, as of a
//! camera with fifteen frames a second. Out: how many looks are searched. Deliberately absent: detectors,
//! so that nobody is ever found and a search only makes a new background.

use proptest::prelude::*;

use super::*;
use crate::frame::Frame;

const SIZE: (u32, u32) = (320, 240);
const FACE: f32 = 40.0;
/// Between two looks, at 15 frames a second of which one in three is looked at.
const BETWEEN_MS: u64 = 200;
/// Longer than any of these rooms is watched: what is searched is searched for a change.
const NEVER: Duration = Duration::from_secs(36_000);
const SECOND: Duration = Duration::from_secs(1);

/// Luminance at `(x, y)`, 0 to 255, before noise.
type Scene<'a> = &'a mut dyn FnMut(usize, usize) -> f32;

/// A room that is looked at five times a second and searched when that is due; nobody is ever found.
struct Room {
    changed: Changed,
    random: fastrand::Rng,
    /// Of each pixel, in levels.
    noise: f32,
    looks: u64,
    patience: Duration,
    pixels: Vec<u8>,
}

impl Room {
    fn new(noise: f32) -> Self {
        let (changed, random) = (Changed::default(), fastrand::Rng::with_seed(11));
        Self { changed, random, noise, looks: 0, patience: NEVER, pixels: Vec::new() }
    }

    /// Looks once; whether that is searched.
    fn look(&mut self, scene: Scene<'_>) -> bool {
        let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
        self.pixels.clear();
        for index in 0..width * height {
            // Nearly normal, of variance 1.
            let grain = (0..4).map(|_| self.random.f32() - 0.5).sum::<f32>() * 1.73;
            let level = scene(index % width, index / width) + grain * self.noise;
            self.pixels.push(level.round().clamp(0.0, 255.0) as u8);
        }
        self.looks += 1;
        let at = Monotonic::from_millis(BETWEEN_MS * self.looks);
        let format = PixelFormat::Grey;
        let frame = Frame::new(&self.pixels, format, SIZE, width, self.looks, at).unwrap();
        let due = self.changed.is_due(&Glimpse::from(frame), FACE, self.patience);
        if due {
            self.changed.searched(self.looks, false);
        }
        due
    }

    /// How many of `looks` are searched, of a scene that knows the time in seconds.
    fn searches(&mut self, looks: u64, mut scene: impl FnMut(f32, usize, usize) -> f32) -> u64 {
        let of = |looks: u64| looks as f32 * BETWEEN_MS as f32 / 1000.0;
        (0..looks).map(|look| u64::from(self.look(&mut |x, y| scene(of(look), x, y)))).sum()
    }
}

/// A wall with a window, a door frame and a dark corner.
fn wall(x: usize, y: usize) -> f32 {
    match (x, y) {
        (220..280, 20..110) => 230.0,
        (60..70, _) => 60.0,
        (_, 200..) if x < 60 => 6.0,
        _ => 110.0 + x as f32 / 8.0,
    }
}

#[test]
fn noise_is_no_change() {
    for noise in [0.0, 2.0, 6.0, 12.0] {
        let mut room = Room::new(noise);
        assert!(room.look(&mut wall), "at first there is no background");
        let searches = room.searches(300, |_, x, y| wall(x, y));
        assert!(searches <= 3, "noise of {noise}: {searches} of 300");
    }
}

#[test]
fn light_that_is_switched_on_and_off_is_looked_at_once_each_time() {
    let mut room = Room::new(2.0);
    let searches = room.searches(600, |seconds, x, y| {
        // On for ten seconds, off for ten.
        let light = if ((seconds / 10.0) as u32).is_multiple_of(2) { 1.0 } else { 0.15 };
        wall(x, y) * light
    });
    assert!((12..=26).contains(&searches), "twelve times in two minutes: {searches}");
}

#[test]
fn exposure_that_settles_and_dusk_are_no_change() {
    let mut room = Room::new(2.0);
    room.look(&mut wall);
    let searches = room.searches(50, |seconds, x, y| {
        // By a tenth within a second, back again, and so on.
        wall(x, y) * (0.95 + 0.05 * (3.0 * seconds).cos())
    });
    // The bright window is clipped by nothing here; where it was, it would be searched.
    assert_eq!(searches, 0, "exposure");
    room.patience = SECOND;
    let searches = room.searches(600, |seconds, x, y| wall(x, y) * 0.99_f32.powf(seconds));
    assert!(searches <= 122, "dusk costs what the clock asks for: {searches}");
}

#[test]
fn a_lamp_that_flickers_in_bands_is_no_change() {
    let mut room = Room::new(2.0);
    let searches = room.searches(300, |seconds, x, y| {
        let phase = y as f32 / 40.0 + 17.3 * seconds;
        wall(x, y) * 0.06_f32.mul_add(phase.sin(), 0.94)
    });
    assert!(searches <= 6, "{searches} of 300");
}

#[test]
fn neither_rain_nor_a_curtain_is_a_change_once_it_is_known() {
    let mut room = Room::new(2.0);
    let mut drops = fastrand::Rng::with_seed(5);
    let mut rained = 0;
    for look in 0..500 {
        let streaks: Vec<(usize, usize)> =
            (0..25).map(|_| (drops.usize(0..320), drops.usize(0..240))).collect();
        let searched = room.look(&mut |x, y| {
            let wet =
                |(left, top): &(usize, usize)| x / 2 == left / 2 && (*top..top + 14).contains(&y);
            wall(x, y) + if streaks.iter().any(wet) { 70.0 } else { 0.0 }
        });
        rained += u64::from(searched && look >= 200);
    }
    assert!(rained <= 30, "rain: {rained} of 300");
    let mut room = Room::new(2.0);
    let mut curtain = |looks: u64| {
        room.searches(looks, |seconds, x, y| {
            // Folds that sway by four pixels, lit from behind.
            let sway = 4.0 * (2.1 * seconds).sin() + 2.0 * (3.7 * seconds).cos();
            let fold = ((x as f32 + sway) / 9.0).sin();
            if (200..290).contains(&x) { 120.0 + 22.0 * fold } else { wall(x, y) }
        })
    };
    curtain(200);
    let known = curtain(300);
    assert!(known <= 30, "a curtain: {known} of 300");
}

#[test]
fn whoever_fades_in_slowly_is_noticed_again_and_again() {
    let mut room = Room::new(2.0);
    room.searches(100, |_, x, y| wall(x, y));
    // Sixty levels within twenty seconds, over the smallest face.
    let face = |x: usize, y: usize| (120..160).contains(&x) && (90..130).contains(&y);
    let searches = room
        .searches(100, |seconds, x, y| wall(x, y) - if face(x, y) { 3.0 * seconds } else { 0.0 });
    assert!((3..=30).contains(&searches), "{searches} in twenty seconds");
}

#[test]
fn whoever_is_not_found_becomes_background_and_is_noticed_on_moving() {
    let mut room = Room::new(2.0);
    let person = |at: usize, x: usize, y: usize| {
        let inside = (at..at + 60).contains(&x) && y > 60;
        if inside { 70.0 + ((x - at) / 7 % 2 * 40) as f32 } else { wall(x, y) }
    };
    room.searches(20, |_, x, y| wall(x, y));
    assert!(room.look(&mut |x, y| person(100, x, y)), "whoever comes");
    assert_eq!(room.searches(20, |_, x, y| person(100, x, y)), 0, "whoever stands still");
    assert!(room.look(&mut |x, y| person(112, x, y)), "whoever moves");
}

#[test]
fn without_a_change_a_search_comes_within_the_time() {
    for between in [66, 200, 210, 333, 499, 501, 999, 1001, 5000] {
        let mut changed = Changed::default();
        let pixels = [90; 64 * 48];
        let (mut last, mut searches) = (0, 0);
        for look in 1..200_u64 {
            let at = look * between;
            let frame = Frame::new(
                &pixels,
                PixelFormat::Grey,
                (64, 48),
                64,
                look,
                Monotonic::from_millis(at),
            );
            if changed.is_due(&Glimpse::from(frame.unwrap()), FACE, SECOND) {
                let longest = between.max(1000 + between / 8);
                assert!(last == 0 || at - last <= longest, "{between}: {last}, {at}");
                (last, searches) = (at, searches + 1);
                changed.searched(look, false);
            }
        }
        let looks = (1000 / between).max(1);
        assert!(searches <= 199 / looks + 1, "every {between} ms: {searches}");
    }
}

#[test]
fn doubt_is_a_search() {
    let pixels = vec![90; 320 * 240 * 2];
    let frame = |format: PixelFormat, size: (u32, u32), number: u64, at: u64| {
        let (stride, at) = (format.min_stride(size.0), Monotonic::from_millis(at));
        Glimpse::from(Frame::new(&pixels, format, size, stride, number, at).unwrap())
    };
    let grey = PixelFormat::Grey;
    let mut changed = Changed::default();
    let mut is_due = |glimpse: Glimpse<'_>, face: f32, somebody: bool| {
        let due = changed.is_due(&glimpse, face, NEVER);
        if due {
            changed.searched(glimpse.frame.sequence(), somebody);
        }
        due
    };
    assert!(is_due(frame(grey, SIZE, 1, 100), FACE, false), "no background");
    assert!(!is_due(frame(grey, SIZE, 2, 300), FACE, false));
    assert!(is_due(frame(grey, SIZE, 3, 300), FACE, false), "no time has passed");
    assert!(is_due(frame(grey, SIZE, 4, 200), FACE, false), "time goes back");
    assert!(!is_due(frame(grey, SIZE, 5, 400), FACE, false));
    assert!(is_due(frame(grey, (240, 320), 6, 600), FACE, false), "another size");
    assert!(!is_due(frame(grey, (240, 320), 7, 800), FACE, false));
    assert!(is_due(frame(PixelFormat::Yuyv, (240, 320), 8, 1000), FACE, false), "another format");
    assert!(is_due(frame(PixelFormat::Yuyv, (240, 320), 9, 1200), 20.0, false), "smaller faces");
    assert!(!is_due(frame(PixelFormat::Yuyv, (240, 320), 10, 1400), 20.0, false));
    assert!(is_due(frame(grey, SIZE, 11, 1600), FACE, true), "another format again");
    assert!(is_due(frame(grey, SIZE, 12, 1800), FACE, false), "somebody was there");
    assert!(!is_due(frame(grey, SIZE, 13, 2000), FACE, false));
    for number in 14..20 {
        let tiny = frame(grey, (4, 3), number, 200 * number);
        assert!(is_due(tiny, FACE, false), "smaller than a square");
    }
}

#[test]
fn a_frame_that_is_about_to_be_searched_is_not_compared_again() {
    let mut changed = Changed::default();
    let pixels = [90; 64 * 48];
    let frame = |number, at| {
        let at = Monotonic::from_millis(at);
        Glimpse::from(Frame::new(&pixels, PixelFormat::Grey, (64, 48), 64, number, at).unwrap())
    };
    assert!(changed.is_due(&frame(1, 100), FACE, NEVER));
    assert!(changed.is_due(&frame(1, 100), FACE, NEVER), "asked twice, searched once");
    changed.searched(1, false);
    assert!(
        !changed.is_due(&frame(2, 300), FACE, NEVER),
        "it was compared when it was asked first"
    );
    // One that was searched unasked says nothing of the background.
    changed.searched(3, false);
    assert!(!changed.is_due(&frame(4, 500), FACE, NEVER));
}

/// The pixels of a grey picture in `format`: luminance alone.
fn in_format(format: PixelFormat, grey: &[u8]) -> Vec<u8> {
    let limited = |level: &u8| (f32::from(*level) * 219.0 / 255.0 + 16.0).round() as u8;
    match format {
        PixelFormat::Grey => grey.to_vec(),
        PixelFormat::Rgb => grey.iter().flat_map(|level| [*level; 3]).collect(),
        PixelFormat::Yuyv => grey.iter().flat_map(|level| [limited(level), 128]).collect(),
        PixelFormat::Uyvy => grey.iter().flat_map(|level| [128, limited(level)]).collect(),
        PixelFormat::Nv12 => {
            let luma = grey.iter().map(limited);
            luma.chain(std::iter::repeat_n(128, grey.len() / 2)).collect()
        }
    }
}

/// The means of squares of eight pixels, as the averages of a JPEG picture's blocks.
fn blocks(grey: &[u8], (width, height): (usize, usize)) -> Vec<u8> {
    let mean = |left: usize, top: usize| {
        let rows = top..(top + 8).min(height);
        let all = rows.flat_map(|y| (left..(left + 8).min(width)).map(move |x| (x, y)));
        let levels: Vec<f32> = all.map(|(x, y)| f32::from(grey[y * width + x])).collect();
        (levels.iter().sum::<f32>() / levels.len() as f32).round() as u8
    };
    let tops = (0..height).step_by(8);
    tops.flat_map(|top| (0..width).step_by(8).map(move |left| mean(left, top))).collect()
}

const FORMATS: [PixelFormat; 5] =
    [PixelFormat::Grey, PixelFormat::Rgb, PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Nv12];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever has become usual, wherever the smallest face comes, in every format.
    #[test]
    fn a_large_change_over_the_smallest_face_is_always_noticed(
        (half_width, half_height) in (80_u32..200, 60_u32..150),
        face_share in 0.0_f32..1.0,
        (across, down) in (0.0_f32..1.0, 0.0_f32..1.0),
        lighter in any::<bool>(),
        wild in any::<bool>(),
        kind in 0_usize..6,
    ) {
        let (width, height) = (2 * half_width as usize, 2 * half_height as usize);
        let size = (width as u32, height as u32);
        // Up to a quarter of the width.
        let face = 24 + (face_share * (width as f32 / 4.0 - 24.0)) as u32;
        let mut changed = Changed::default();
        let mut is_due = |number: u64, grey: &[u8], patience: Duration| {
            let at = Monotonic::from_millis(BETWEEN_MS * number);
            let (small, bytes, format, stride, scale);
            if let Some(known) = FORMATS.get(kind) {
                (format, small, scale) = (*known, size, 1);
                bytes = in_format(format, grey);
            } else {
                (format, scale) = (PixelFormat::Grey, 8);
                small = (size.0.div_ceil(8), size.1.div_ceil(8));
                bytes = blocks(grey, (width, height));
            }
            stride = format.min_stride(small.0);
            let frame = Frame::new(&bytes, format, small, stride, number, at).unwrap();
            let due = changed.is_due(&Glimpse { frame, scale }, face as f32, patience);
            if due {
                changed.searched(number, false);
            }
            due
        };
        // A calm room, or one in which everything changes all the time; then a calm moment, which is
        // searched: by chance nothing in it may differ from the wild one.
        let mut random = fastrand::Rng::with_seed(3);
        for number in 1..40 {
            let level = |random: &mut fastrand::Rng| if wild { random.u8(60..180) } else { 120 };
            let coarse: Vec<u8> = (0..width.div_ceil(16) * height.div_ceil(16)).map(|_| level(&mut random)).collect();
            let grey: Vec<u8> = (0..width * height)
                .map(|i| coarse[i / width / 16 * width.div_ceil(16) + i % width / 16])
                .collect();
            is_due(number, &grey, NEVER);
        }
        let mut grey = vec![120; width * height];
        prop_assert!(is_due(40, &grey, Duration::ZERO));
        is_due(41, &grey, NEVER);
        let (left, top) = (
            (across * (width - face as usize) as f32) as usize,
            (down * (height - face as usize) as f32) as usize,
        );
        // One level more than the limit, and two for rounding.
        let level = if lighter { 120 + 27 } else { 120 - 27 };
        for row in grey.chunks_exact_mut(width).skip(top).take(face as usize) {
            row[left..left + face as usize].fill(level);
        }
        prop_assert!(is_due(42, &grey, NEVER), "{size:?}, a face of {face} at {left}, {top}");
    }

    /// Nothing that a frame holds makes it panic.
    #[test]
    fn any_size_and_any_face_are_looked_at(
        (width, height) in (1_u32..90, 1_u32..70), face in prop_oneof![Just(0.0_f32), Just(f32::NAN), 0.1_f32..9000.0],
        scale in 0_u32..10, bytes in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let pixels: Vec<u8> = bytes.iter().cycle().take(90 * 70).copied().collect();
        let mut changed = Changed::default();
        for number in 1..5 {
            let at = Monotonic::from_millis(200 * number);
            let rest = &pixels[number as usize % 3..];
            let Ok(frame) = Frame::new(rest, PixelFormat::Grey, (width, height), width as usize, number, at) else {
                continue;
            };
            if changed.is_due(&Glimpse { frame, scale }, face, SECOND) {
                changed.searched(number, false);
            }
        }
    }
}
