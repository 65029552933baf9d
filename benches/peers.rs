//! Ours beside the same work done by `OpenCV` and the TFLite interpreter in Python, and beside what people
//! would take instead, in turns.
//!
//! `make peers`, or `cargo bench --bench peers -- python`: it installs the packages that
//! `benches/peers/*.txt` pin. Out: for YUYV and MJPG the time of a frame of both, with
//! the full range on every frame and 1,000 references, and how much each has around its networks; then
//! for each of `OTHERS` the time of its frame beside a whole frame of ours: one that follows a face, one that
//! is searched as a whole, and the average over a visit. What could not be had is said and left out.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark stops at the first surprise"
)]

mod kinds;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use deepid_edge::inference::Runtime;
use kinds::prepared;
use kinds::turns::{Turn, WARM_UP, medians, medians_after, ratio, timed};
use support::models::{root, runtime};

const ROUNDS: usize = 100;

/// Peers of `others.py`, the packages that each needs, and how often it takes its turn.
const OTHERS: [(&str, &str, usize); 10] = [
    ("haar", "others", 25),
    ("dlib-hog", "others", 25),
    ("dlib-mmod", "others", 3),
    ("ssd", "others", 25),
    ("yunet-320", "others", 50),
    ("yunet", "others", 25),
    ("mtcnn", "tensorflow", 15),
    ("face_recognition", "others", 15),
    ("yunet-320+mobilefacenet", "others", 50),
    ("ssd+deepid", "tensorflow", 25),
];

/// Frames of a visit after which what is done in them comes again: every third is searched as a whole.
const OF_A_VISIT: u32 = 3;

/// A script as it waits for its turn.
struct Peer {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(script: &[&str]) -> Self {
        let mut child = Command::new(root().join("tools/in_venv.sh"))
            .args(script)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let asked = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, asked, answers }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("the peer answers");
        assert!(read > 0, "the peer has ended: see above");
        line.trim().to_owned()
    }

    /// What it took of a frame, and whatever else it tells.
    fn turn<const NUMBERS: usize>(&mut self) -> [Duration; NUMBERS] {
        writeln!(self.asked, "go").expect("the peer listens");
        let line = self.line();
        let mut numbers = line.split(' ').map(|number| number.parse::<f64>().expect("a number"));
        std::array::from_fn(|_| {
            Duration::from_secs_f64(numbers.next().expect("so many numbers") / 1000.0)
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _it_may_have_ended = self.child.kill();
        let _it_may_have_ended = self.child.wait();
    }
}

fn main() {
    if !std::env::args().any(|argument| argument == "python") {
        println!("peers: 'make peers' runs this; it installs OpenCV for Python first");
        return;
    }
    let Some(runtime) = runtime() else { return };
    for (kind, frame) in [
        ("yuyv", "frame/full range alone, one crop"),
        ("mjpg", "frame/full range alone MJPG, one crop"),
    ] {
        let mut peer = Peer::start(&[
            "benches/peers/requirements.txt",
            "benches/peers/opencv_python.py",
            "--in-turns",
            kind,
        ]);
        println!("{}", peer.line());
        let mut networks = Vec::with_capacity(ROUNDS);
        let theirs: Turn<'_> = Box::new(|| {
            let [frame, bare] = peer.turn();
            networks.push(bare);
            frame
        });
        let ours = ["bare/full-range", "bare/deepid2", frame];
        let ours = ours.map(|name| timed(prepared(&runtime, name)));
        let mut turns: Vec<Turn<'_>> = std::iter::once(theirs).chain(ours).collect();
        let times = medians(&mut turns, ROUNDS);
        drop(turns);
        networks.sort_unstable();
        let bare_of_theirs = *networks.get(networks.len() / 2).expect("turns were taken");
        let [theirs, finder, embedder, ours] = times[..] else { return };
        println!("{kind}, full range on every frame, medians of {ROUNDS} turns");
        println!(
            "{}",
            ratio("  OpenCV and Python: frame / its two networks", theirs, bare_of_theirs)
        );
        println!("{}", ratio("  deepid-edge: frame / its two networks", ours, finder + embedder));
        println!("{}", ratio("  OpenCV and Python / deepid-edge", theirs, ours));
    }
    for (name, packages, rounds) in OTHERS {
        beside(&runtime, name, packages, rounds);
    }
}

/// Prints what a frame of the peer `name` takes beside one of ours.
fn beside(runtime: &Runtime, name: &str, packages: &str, rounds: usize) {
    let packages = format!("benches/peers/{packages}.txt");
    let mut peer = Peer::start(&[&packages, "benches/peers/others.py", name]);
    let about = peer.line();
    println!("{name}: {about}");
    if about.starts_with("skipped") {
        return;
    }
    let theirs: Turn<'_> = Box::new(|| peer.turn::<1>()[0]);
    let ours = ["frame/following", "frame/full range alone, one crop"];
    let ours = ours.map(|name| timed(prepared(runtime, name)));
    let mut turns: Vec<Turn<'_>> = std::iter::once(theirs).chain(ours).collect();
    let mut frame = prepared(runtime, "frame/somebody");
    turns.push(timed(move || (0..OF_A_VISIT).for_each(|_| frame())));
    let times = medians_after(&mut turns, rounds.min(WARM_UP), rounds);
    let [theirs, following, whole, visit] = times[..] else { return };
    for (ours, time) in [
        ("following", following),
        ("full range", whole),
        ("a frame of a visit", visit / OF_A_VISIT),
    ] {
        println!("{}", ratio(&format!("  {name} / deepid-edge, {ours}"), theirs, time));
    }
}
