//! Ours beside the same work done by `OpenCV` and the TFLite interpreter in Python, in turns.
//!
//! `make peers`, or `cargo bench --bench peers -- python`: it installs the packages that
//! `benches/peers/requirements.txt` pins. Out: for YUYV and MJPG the time of a frame of both, with
//! the full range on every frame and 1,000 references, and how much each has around its networks.
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

use kinds::prepared;
use kinds::turns::{Turn, medians, ratio, timed};
use support::models::{root, runtime};

const ROUNDS: usize = 100;

/// `opencv_python.py` as it waits for its turn.
struct Peer {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(kind: &str) -> Self {
        let mut child = Command::new(root().join("tools/in_venv.sh"))
            .args(["benches/peers/requirements.txt", "benches/peers/opencv_python.py"])
            .args(["--in-turns", kind])
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let asked = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Self { child, asked, answers };
        println!("{}", peer.line());
        peer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("the peer answers");
        assert!(read > 0, "the peer has ended: see above");
        line.trim().to_owned()
    }

    /// Milliseconds of a frame, and of its two networks alone.
    fn turn(&mut self) -> (Duration, Duration) {
        writeln!(self.asked, "go").expect("the peer listens");
        let line = self.line();
        let mut numbers = line.split(' ').map(|number| number.parse::<f64>().expect("a number"));
        let mut next = || Duration::from_secs_f64(numbers.next().expect("two numbers") / 1000.0);
        (next(), next())
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
        let mut peer = Peer::start(kind);
        let mut networks = Vec::with_capacity(ROUNDS);
        let theirs: Turn<'_> = Box::new(|| {
            let (frame, bare) = peer.turn();
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
}
