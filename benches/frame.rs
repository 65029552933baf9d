//! What a frame costs: each stage, the whole path, and both beside the bare networks.
//!
//! `cargo bench --bench frame`. Absolute times are Criterion's; the table at the end holds ratios,
//! measured in turns within one run, because machines are shared and drift. Needs the files that
//! `make assets` fetches.
#![allow(missing_docs, reason = "Criterion's macros make items without any")]

mod kinds;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use criterion::{Criterion, criterion_group};
use kinds::turns::{Turn, medians, ratio, timed};
use kinds::{KINDS, ROOM, prepared};
use support::models::runtime;

const ROUNDS: usize = 400;
/// The same of an empty room, of which a turn is a second.
const ROUNDS_OF_ROOMS: usize = 60;

fn every_kind(criterion: &mut Criterion) {
    let Some(runtime) = runtime() else { return };
    for (name, _, prepare) in KINDS {
        let mut work = prepare(&runtime);
        criterion.bench_function(name, |bencher| bencher.iter(&mut work));
    }
}

/// A network, and how often it runs in a frame.
type Runs = (&'static str, u32);

/// The whole frame, the networks that run in it, and what the line is called.
const BESIDE_NETWORKS: [(&str, &[Runs], &str); 5] = [
    (
        "frame/full range alone, one crop",
        &[("bare/full-range", 1), ("bare/deepid2", 1)],
        "YUYV, full range alone: whole frame / (full range + DeepID2)",
    ),
    (
        "frame/following, one crop",
        &[("bare/short-range", 1), ("bare/deepid2", 1)],
        "YUYV, following: whole frame / (short range + DeepID2)",
    ),
    (
        "frame/finding",
        &[("bare/full-range", 1), ("bare/short-range", 1), ("bare/deepid2", 2)],
        "YUYV, finding, mirrored: whole frame / (both ranges + 2 DeepID2)",
    ),
    (
        "frame/following",
        &[("bare/short-range", 1), ("bare/deepid2", 2)],
        "YUYV, following, mirrored: whole frame / (short range + 2 DeepID2)",
    ),
    (
        "frame/following MJPG, one crop",
        &[("bare/short-range", 1), ("bare/deepid2", 1)],
        "MJPG, following: whole frame / (short range + DeepID2)",
    ),
];

/// The same frames beside their networks one after the other, as they run in a frame.
const BESIDE_NETWORKS_IN_TURN: [(&str, &str, &str); 5] = [
    ("frame/following, one crop", "bare/followed, one crop", "YUYV, following"),
    ("frame/finding", "bare/found", "YUYV, finding, mirrored"),
    ("frame/following", "bare/followed", "YUYV, following, mirrored"),
    ("frame/following MJPG, one crop", "bare/followed, one crop", "MJPG, following"),
    ("frame/following MJPG", "bare/followed", "MJPG, following, mirrored"),
];

/// A frame of a camera on its side, the same upright, and what the line is called.
const TURNED: [(&str, &str, &str); 2] = [
    (
        "frame/following turned, one crop",
        "frame/following, one crop",
        "YUYV, following: camera.rotate = 90 / 0",
    ),
    (
        "frame/full range alone turned, one crop",
        "frame/full range alone, one crop",
        "YUYV, full range alone: camera.rotate = 90 / 0",
    ),
];

/// An empty room, and what the line is called; each stands beside the first one.
const ROOMS: [(&str, &str); 6] = [
    ("frame/nobody, one in three searched", "an empty room, YUYV, detect.search_ms = 0"),
    ("frame/nobody", "the same, detect.search_ms = 1000"),
    ("frame/nobody, glimpses", "the same, never searched: glimpses alone"),
    ("frame/nobody MJPG, one in three searched", "MJPG, detect.search_ms = 0"),
    ("frame/nobody MJPG", "MJPG, detect.search_ms = 1000"),
    ("frame/nobody MJPG, glimpses", "MJPG, never searched: glimpses alone"),
];

fn ratios() {
    let Some(runtime) = runtime() else { return };
    let two_threads = support::models::runtime().map(|runtime| runtime.with_threads(2));
    let Some(two_threads) = two_threads else { return };
    let bare = ["bare/full-range", "bare/short-range", "bare/deepid2"];
    let in_turn = ["bare/followed, one crop", "bare/found", "bare/followed"];
    let scenes = ["stage/orientation"];
    let live = ["frame/recognised, liveness", "frame/recognised"];
    let turned = TURNED.map(|(turned, _, _)| turned);
    let names: Vec<&str> = bare
        .into_iter()
        .chain(in_turn)
        .chain(BESIDE_NETWORKS.map(|(frame, _, _)| frame))
        .chain(["frame/following MJPG"])
        .chain(scenes)
        .chain(live)
        .chain(turned)
        .collect();
    let mut turns: Vec<Turn<'_>> =
        names.iter().map(|name| timed(prepared(&runtime, name))).collect();
    turns.extend(bare.map(|name| timed(prepared(&two_threads, name))));
    let times = medians(&mut turns, ROUNDS);
    let (once, twice) = times.split_at(names.len());
    let time = |name: &str| {
        let found = names.iter().zip(once).find(|(known, _)| **known == name);
        found.map_or(Duration::ZERO, |(_, time)| *time)
    };
    println!("\nmedians of {ROUNDS} turns, ratios within this run");
    for (frame, networks, line) in BESIDE_NETWORKS {
        let sum = networks.iter().map(|(name, runs)| time(name) * *runs).sum();
        println!("{}", ratio(line, time(frame), sum));
    }
    for (frame, networks, line) in BESIDE_NETWORKS_IN_TURN {
        let line = format!("{line}: whole frame / its networks one after the other");
        println!("{}", ratio(&line, time(frame), time(networks)));
    }
    let line = "YUYV: how a face stands / short range";
    println!("{}", ratio(line, time("stage/orientation"), time("bare/short-range")));
    for (turned, upright, line) in TURNED {
        println!("{}", ratio(line, time(turned), time(upright)));
    }
    let line = "YUYV, recognised, 15 frames a second: live.mode deny / off";
    println!("{}", ratio(line, time(live[0]), time(live[1])));
    for (name, two) in bare.iter().zip(twice) {
        println!("{}", ratio(&format!("{name}: two threads / one"), *two, time(name)));
    }
}

/// What an empty room costs: a second of it in each turn, because its frames differ.
fn rooms() {
    let Some(runtime) = runtime() else { return };
    let second = |name: &str| {
        let mut work = prepared(&runtime, name);
        timed(move || (0..ROOM).for_each(|_| work()))
    };
    let mut turns: Vec<Turn<'_>> = ROOMS.map(|(name, _)| second(name)).into();
    turns.push(second("frame/somebody"));
    let times = medians(&mut turns, ROUNDS_OF_ROOMS);
    println!("\nmedians of {ROUNDS_OF_ROOMS} turns of {ROOM} frames, ratios within this run");
    let time = |index: usize| times.get(index).copied().unwrap_or_default();
    for (index, (_, line)) in ROOMS.iter().enumerate() {
        println!("{}", ratio(line, time(index), time(0)));
    }
    println!("{}", ratio("somebody who is followed, YUYV", time(ROOMS.len()), time(0)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40).measurement_time(Duration::from_secs(2));
    targets = every_kind
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    ratios();
    rooms();
}
