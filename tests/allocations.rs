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
#[path = "support/visitor.rs"]
mod visitor;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use deepid_edge::align::Cutter;
use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::{Clock, ClockTrust, ManualClock, Monotonic, WallClock};
use deepid_edge::compare::{Comparer, Gallery, GalleryEntry, Metric, Operating, SearchScratch};
use deepid_edge::config::{Config, Sources};
use deepid_edge::decide::{
    Answer, FaceSeen, Gate, Observation, Question, Seen, Visit, VisitPolicy,
};
use deepid_edge::detect::{FollowerSettings, Strategy};
use deepid_edge::door::{Door, Event, Time};
use deepid_edge::embed::FeatureVector;
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::recognise::{Confirmer, Confirming, Fusion};
use deepid_edge::serve::Feed;

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
fn neither_searching_nor_deciding_allocates_where_people_are_enrolled() {
    let model = support::people::key("deepid2-test");
    let vector = |hot: usize| {
        let values = (0..160).map(|index| if index == hot { 9.0 } else { 1.0 }).collect();
        FeatureVector::new(model.clone(), values).unwrap()
    };
    let operating = Operating {
        threshold: 0.5,
        claimed_fmr: Some(1e-3),
        claimed_fpir: None,
        falls_short: false,
        other_averaging: false,
        beyond_accepted: false,
    };
    for metric in [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2] {
        let entries = (0..50)
            .map(|index| GalleryEntry {
                subject: visitor::subject(index),
                enabled: true,
                feature: vector(index),
            })
            .collect();
        let comparer = Comparer::new(model.clone(), 160, &[0.5; 160], metric);
        let gallery = Gallery::build(comparer, entries, |_| operating).unwrap();
        let mut scratch = SearchScratch::default();
        // Two who take turns are accepted and never agree: the window is always full of matches.
        let policy =
            VisitPolicy { timeout: std::time::Duration::from_secs(3600), ..visitor::policy() };
        let mut visit = Visit::new(policy);
        let mut actions = Vec::with_capacity(8);
        for number in 0..100_u64 {
            let now = Monotonic::from_millis(1000 + 33 * number);
            let probe = vector(number as usize % 2);
            let count = allocations(|| {
                let found = gallery.search(&probe, &mut scratch).unwrap();
                assert!(found.accepted().is_some() && found.margin.is_some(), "{metric}");
                let principal =
                    FaceSeen { quality: visitor::quality(1.0, None), found: Some(found) };
                let observation = Observation {
                    sequence: number,
                    captured_at: now,
                    wall: WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false },
                    luminance: None,
                    seen: Seen::Faces { count: 1, principal },
                };
                visit.step(&observation, now, &mut actions);
            });
            assert!(number == 0 || count == 0, "{metric}: frame {number} allocated {count} times");
        }
        assert_eq!(actions.len(), 1, "{metric}: only presence, {actions:?}");
    }
}

#[test]
fn no_frame_allocates_after_warm_up() {
    let Some(runtime) = runtime() else { return };
    let busy = scene::yuyv(&scene::one_face());
    let idle = scene::yuyv(&scene::nobody());
    // A page at which nobody looks.
    let page = Feed::unheard(Config::load(&Sources::default()).unwrap());
    for strategy in [Strategy::FindThenFollow, Strategy::Find] {
        let settings = FollowerSettings { strategy, ..FollowerSettings::default() };
        let recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
        let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
        let mut door = Door::new(recogniser, VisitPolicy::default());
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
                door.step(Event::Frame(&frame), Time::of(&clock), &mut actions);
                let observed = door.observed().map(|observation| &observation.seen);
                faces += usize::from(matches!(observed, Some(Seen::Faces { .. })));
                if let Some(observation) = door.observed() {
                    let sight = door.sight();
                    page.judged(&frame, sight, observation, sight.lacks(), clock.now());
                }
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

#[test]
fn neither_a_glimpse_nor_a_search_of_an_empty_room_allocates_after_warm_up() {
    let Some(runtime) = runtime() else { return };
    let picture = scene::nobody();
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 85);
    picture.write_with_encoder(encoder).unwrap();
    let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
    for (bytes, raw) in [(scene::yuyv(&picture), true), (jpeg, false)] {
        let settings = FollowerSettings::default();
        let recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
        let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
        let mut door = Door::new(recogniser, VisitPolicy::default());
        let (mut captured, mut decoder) = (CapturedFrame::default(), Decoder::default());
        let (mut effects, mut passed_over, mut searched) = (Vec::new(), 0, 0);
        for number in 0..150_u64 {
            clock.advance(std::time::Duration::from_millis(67));
            let captured_at = clock.now();
            let into = if raw {
                captured.begin_raw(PixelFormat::Yuyv, size, stride, number, captured_at)
            } else {
                captured.begin_jpeg(number, captured_at)
            };
            into.extend_from_slice(&bytes);
            let mut search = false;
            let count = allocations(|| {
                let sequence = number;
                let skips = !door.needs_frame()
                    || door.glances() && door.is_unchanged(&decoder.glimpse(&captured).unwrap());
                search = !skips;
                if skips {
                    let event = Event::Skipped { sequence, captured_at };
                    door.step(event, Time::of(&clock), &mut effects);
                }
            });
            let mut decoded = None;
            let decoding = allocations(|| {
                decoded = search.then(|| decoder.decode(&captured).unwrap());
            });
            let searching = allocations(|| {
                if let Some(frame) = &decoded {
                    door.step(Event::Frame(frame), Time::of(&clock), &mut effects);
                }
            });
            if number >= 60 {
                let counts = (count, decoding, searching);
                assert_eq!(counts, (0, 0, 0), "frame {number}, raw: {raw}");
                passed_over += usize::from(!search);
                searched += usize::from(search);
            }
        }
        assert!(passed_over >= 80 && searched >= 5, "{passed_over} and {searched}, raw: {raw}");
    }
}

#[test]
fn asking_the_confirming_embedder_allocates_nothing_after_warm_up() {
    let Some(runtime) = runtime() else { return };
    let picture = scene::yuyv(&scene::one_face());
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    let frame = |number| {
        let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
        Frame::new(&picture, PixelFormat::Yuyv, size, stride, number, clock.now()).unwrap()
    };
    let settings = FollowerSettings::default();
    let mut stranger = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
    stranger.observe(&frame(0), &clock);
    let enrolled = stranger.features().clone();
    // The same network twice: what is counted is what stands around it.
    let fusion = Fusion {
        id: deepid_edge::inference::ModelId::new("twice").unwrap(),
        gate: 0.0,
        weights: [0.5, 0.5],
    };
    let confirming = Confirming { fusion, gallery: path::gallery(vec![enrolled.clone()]) };
    let cutter = Cutter::by_landmarks(path::aligner(), path::landmarker(&runtime));
    let confirmer = Confirmer::new(confirming, cutter, path::embedder(&runtime, true));
    let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![enrolled]))
        .confirmed_by(Some(confirmer));
    let question = Question { gate: Gate::Confirm, subject: visitor::subject(0), score: 1.0 };
    let mut confirmed = 0;
    for number in 1..60_u64 {
        clock.advance(std::time::Duration::from_millis(33));
        let frame = frame(number);
        let count = allocations(|| {
            recogniser.observe(&frame, &clock);
            let answer = recogniser.answer(&question);
            confirmed += usize::from(matches!(answer, Answer::Pass(Some(_))));
        });
        assert!(number < 20 || count == 0, "frame {number} allocated {count} times");
    }
    assert!(confirmed >= 50, "{confirmed} of 59 frames were confirmed");
}

#[test]
fn looking_whether_a_face_is_covered_allocates_nothing_after_warm_up() {
    let Some(runtime) = runtime() else { return };
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    let picture = scene::yuyv(&scene::one_face());
    let frame = |number: u64| {
        let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
        Frame::new(&picture, PixelFormat::Yuyv, size, stride, number, clock.now()).unwrap()
    };
    let settings = FollowerSettings::default();
    let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![]))
        .judging_covers(Some(path::cover_judge(&runtime)))
        .looking_at_every_face();
    let mut compared = 0;
    for number in 0..60_u64 {
        clock.advance(std::time::Duration::from_millis(33));
        let frame = frame(number);
        let count = allocations(|| {
            let seen = recogniser.observe(&frame, &clock).seen;
            compared += usize::from(matches!(
                seen,
                Seen::Faces { principal: FaceSeen { found: Some(_), .. }, .. }
            ));
        });
        assert!(number < 20 || count == 0, "frame {number} allocated {count} times");
    }
    assert!(compared >= 50, "{compared} of 60 frames were compared");
}

#[test]
fn looking_whether_a_face_is_live_allocates_nothing_after_warm_up() {
    let Some(runtime) = runtime() else { return };
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    // The picture goes from side to side, so that the surroundings are compared as well.
    let pictures: Vec<_> = (0..8)
        .map(|step| scene::yuyv(&scene::rgb("obama.jpg", 0.26, (200 + 12 * (step % 4), 60))))
        .collect();
    let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
    let frame = |number: u64| {
        let picture = &pictures[number as usize / 3 % pictures.len()];
        Frame::new(picture, PixelFormat::Yuyv, size, stride, number, clock.now()).unwrap()
    };
    let settings = FollowerSettings::default();
    let mut stranger = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
    stranger.observe(&frame(0), &clock);
    let enrolled = stranger.features().clone();
    let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![enrolled]))
        .telling_liveness(Some(path::liveness(&runtime)));
    for number in 1..90_u64 {
        clock.advance(std::time::Duration::from_millis(33));
        let frame = frame(number);
        let count = allocations(|| {
            recogniser.observe(&frame, &clock);
        });
        assert!(number < 20 || count == 0, "frame {number} allocated {count} times");
    }
    let evidence = recogniser.liveness_evidence().unwrap();
    assert!(evidence.looks >= 8, "{evidence:?}");
}
