//! No frame allocates after warm-up: a counting allocator watches the path from frame to decision.
//!
//! Needs the files that `make assets` fetches; says so and skips without them. What the TFLite
//! library allocates inside itself is not counted; what this project's own code does is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use deepid_edge::clock::{Clock, ManualClock, Monotonic};
use deepid_edge::decide::{Seen, Visit, VisitPolicy};
use deepid_edge::detect::{FollowerSettings, Strategy};
use deepid_edge::frame::{Frame, PixelFormat};
use support::models::runtime;
use support::{path, scene};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[expect(unsafe_code, reason = "a global allocator is unsafe by its nature")]
// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
}

#[test]
fn no_frame_allocates_after_warm_up() {
    let Some(runtime) = runtime() else { return };
    let busy = scene::yuyv(&scene::one_face());
    let idle = scene::yuyv(&scene::nobody());
    for strategy in [Strategy::FindThenFollow, Strategy::Find] {
        let settings = FollowerSettings { strategy, ..FollowerSettings::default() };
        let mut recognizer = path::recognizer(&runtime, settings, true, path::gallery(vec![]));
        let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
        let mut visit = Visit::new(VisitPolicy::default());
        let mut actions = Vec::with_capacity(8);
        let (mut faces, mut counted) = (0, 0);
        for number in 0..120_u64 {
            clock.advance(std::time::Duration::from_millis(33));
            // Forty frames with a face, twenty without, over again: finding, following, losing.
            let pixels = if number % 60 < 40 { &busy } else { &idle };
            let stride = scene::WIDTH as usize * 2;
            let size = (scene::WIDTH, scene::HEIGHT);
            let frame =
                Frame::new(pixels, PixelFormat::Yuyv, size, stride, number, clock.now()).unwrap();
            let count = allocations(|| {
                let observation = recognizer.observe(&frame, &clock);
                faces += usize::from(matches!(observation.seen, Seen::Faces { .. }));
                visit.step(&observation, clock.now(), &mut actions);
            });
            // A visit's beginning and its decision allocate once a visit, not once a frame.
            let eventful = !actions.is_empty();
            actions.clear();
            if number >= 60 && !eventful {
                counted += 1;
                assert_eq!(count, 0, "{strategy:?}: frame {number} allocated");
            }
        }
        assert!(faces >= 70, "{strategy:?}: the scene's face was seen in {faces} of 80 frames");
        assert!(counted >= 50);
    }
}
