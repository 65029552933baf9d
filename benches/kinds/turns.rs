//! Several kinds of work in turns, so that what else the machine does falls on each alike.

use std::time::Duration;

use deepid_edge::clock::{Clock, ClockRequirement, Floor, SystemClock};

/// Does a piece of work, and says how long it took.
pub type Turn<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// Rounds that are not counted.
pub const WARM_UP: usize = 20;
/// Pieces in one reading: the clock counts whole microseconds.
const PIECES: u32 = 4;

/// `work` as a turn that is timed here.
pub fn timed<'a>(mut work: impl FnMut() + 'a) -> Turn<'a> {
    let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
    Box::new(move || {
        let start = clock.now();
        for _ in 0..PIECES {
            work();
        }
        clock.now().since(start) / PIECES
    })
}

/// Median time of each of `works` over `rounds`.
pub fn medians(works: &mut [Turn<'_>], rounds: usize) -> Vec<Duration> {
    medians_after(works, WARM_UP, rounds)
}

/// The same after `warm_up` rounds that are not counted.
pub fn medians_after(works: &mut [Turn<'_>], warm_up: usize, rounds: usize) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(rounds); works.len()];
    for round in 0..warm_up + rounds {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let time = work();
            if round >= warm_up {
                times.push(time);
            }
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times.get(times.len() / 2).copied().unwrap_or_default()
        })
        .collect()
}

/// A line of a table of ratios.
pub fn ratio(name: &str, time: Duration, beside: Duration) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let (time, beside) = (milliseconds(time), milliseconds(beside));
    format!("{name:66} {time:7.3} ms / {beside:7.3} ms = {:5.2}", time / beside)
}
