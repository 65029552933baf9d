//! The daemon as a process: how soon it is ready, how soon it ends, what memory it holds.
//!
//! `cargo bench --bench process`. The optimised binary is started on a recording of one visit after
//! another, as a service manager would start it. Out: a table, each line with the aim that the
//! project has for it; times are read every 20 ms. Needs the files that `make assets` fetches.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use deepid_edge::clock::Clock;
use support::daemon::{Home, clock, until};
use support::models::library;
use support::scene::Recording;

const STARTS: usize = 7;
/// Records until the daemon has seen a dozen visits.
const RECORDS: usize = 24;

fn middle(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

fn main() {
    if !library().exists() {
        println!("process: skipped, {} is absent: run 'make assets'", library().display());
        return;
    }
    let clock = clock();
    let home = Home::new().enrol_obama().set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let (mut ready, mut ended, mut memory) = (Vec::new(), Vec::new(), 0);
    for start in 0..STARTS {
        let before = home.records().len();
        let began = clock.now();
        let mut daemon = home.run(&recording);
        daemon.until_notified("READY=1");
        ready.push(clock.now().since(began));
        if start == 0 {
            until("some visits", || (home.records().len() >= before + RECORDS).then_some(()));
            memory = daemon.resident();
        }
        let began = clock.now();
        daemon.signal("-TERM");
        assert!(daemon.until_ended().success());
        ended.push(clock.now().since(began));
    }
    let line = |name: &str, (median, most): (Duration, Duration), aim: &str| {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("{name:32} {:6.0} ms, at most {:6.0} ms   {aim}", ms(median), ms(most));
    };
    println!("{STARTS} starts of the optimised daemon on a recording");
    line("start to READY", middle(ready), "aim: 1 s");
    line("SIGTERM to its end", middle(ended), "aim: 3 s");
    let megabytes = memory as f64 / 1e6;
    println!(
        "{:32} {megabytes:6.1} MB                     aim: 40 MB",
        "resident after a dozen visits"
    );
}
