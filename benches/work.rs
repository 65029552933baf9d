//! One kind of work, again and again: what an instruction counter or a profiler looks at.
//!
//! In: a kind and a number, `cargo bench --bench work -- frame/following 12`. Out: that much work
//! after the same warm-up for every number, so that what two numbers cost differs by the work
//! alone; nothing is timed here. Without a kind it lists them.
//! One thread; needs the files that `make assets` fetches.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark stops at the first surprise"
)]

mod kinds;
#[path = "../tests/support/mod.rs"]
mod support;

use kinds::KINDS;
use support::models::runtime;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let asked = arguments.first().and_then(|name| KINDS.iter().find(|kind| kind.0 == name));
    let number = arguments.get(1).and_then(|number| number.parse::<usize>().ok());
    let (Some((_, cycle, prepare)), Some(number)) = (asked, number) else {
        println!("KIND NUMBER, the number in multiples of the cycle. Kinds and their cycles:");
        for (name, cycle, _) in KINDS {
            println!("{name}\t{cycle}");
        }
        return;
    };
    assert!(number.is_multiple_of(*cycle), "a number that {cycle} divides");
    let Some(runtime) = runtime() else { return };
    let mut work = prepare(&runtime);
    for _ in 0..cycle + number {
        work();
    }
}
