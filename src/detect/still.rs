//! Faces that have not moved for minutes: a portrait, a poster, a reflection.
//!
//! In: the faces of each frame that was looked at, and when. Out: those that stood in one place for
//! [`STILL_AFTER`], until they are gone for [`KEPT_FOR`]. Nobody stands so still: a living head
//! leaves the tolerance within seconds, and is then not seen there for most of the time.
//! Invariants: pure; time is an argument; at most [`CANDIDATES_MAX`] places are remembered; nothing
//! allocates, but where the list of still faces is asked for.
//! Deliberately absent: any consequence. A face is ignored by the configuration alone: what ignores
//! faces by itself can be taught to.

use std::time::Duration;

use super::{Detection, Detections};
use crate::clock::Monotonic;
use crate::geometry::Rect;

/// How long a face must stand in one place.
pub const STILL_AFTER: Duration = Duration::from_secs(180);

/// For how long a still face that is not seen any more is still one: somebody may stand before it.
pub const KEPT_FOR: Duration = Duration::from_secs(600);

/// The most places that are remembered; a further face takes that of the one seen least.
pub const CANDIDATES_MAX: usize = 8;

/// A place at which no face was seen for so long is forgotten, unless it is a still face's.
const GAP_MAX: Duration = Duration::from_secs(30);

/// How far a still face's centre may seem to move, in widths of its box: detectors tremble.
const MOVED_MAX: f32 = 0.15;

/// How much wider or narrower its box may seem.
const GROWN_MAX: f32 = 1.25;

/// By how much the rectangle is larger than the box on each side, in sides of the box.
const MARGIN: f32 = 0.1;

/// A face that has not moved for minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StillFace {
    bounds: Rect,
    since: Monotonic,
}

impl StillFace {
    /// A face whose box is `bounds`, in fractions of the picture, and which stands there since
    /// `since`.
    #[must_use]
    pub const fn new(bounds: Rect, since: Monotonic) -> Self {
        Self { bounds, since }
    }

    /// Since when it stands there.
    #[must_use]
    pub const fn since(&self) -> Monotonic {
        self.since
    }

    /// The rectangle to ignore, `[x, y, width, height]` in fractions of the picture: its box and a
    /// tenth more on each side, in hundredths, within the picture.
    #[must_use]
    pub fn rectangle(&self) -> [f32; 4] {
        /// A sum that should be a whole number may miss it by a rounding.
        const ROUNDING: f32 = 1e-3;
        let Rect { x, y, width, height } = self.bounds;
        let side = |from: f32, length: f32| {
            let low = ((from - MARGIN * length) * 100.0 + ROUNDING).floor().clamp(0.0, 99.0);
            let high = (from + (1.0 + MARGIN) * length) * 100.0 - ROUNDING;
            let high = high.ceil().max(low + 1.0).min(100.0);
            (low / 100.0, (high - low) / 100.0)
        };
        let ((x, width), (y, height)) = (side(x, width), side(y, height));
        [x, y, width, height]
    }
}

/// A place at which a face was seen.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The box as it was first seen, in fractions of the picture.
    first: Rect,
    /// What all its boxes covered.
    extent: Rect,
    since: Monotonic,
    seen_at: Monotonic,
    /// Frames since then, and those of them that showed it.
    frames: u32,
    seen: u32,
    still: bool,
}

/// The places at which faces are.
#[derive(Debug, Clone, Default)]
pub struct StillFaces {
    candidates: [Option<Candidate>; CANDIDATES_MAX],
    after: Option<Duration>,
}

impl StillFaces {
    /// Calls a face still after another time than [`STILL_AFTER`].
    #[must_use]
    pub fn after(after: Duration) -> Self {
        Self { after: Some(after), ..Self::default() }
    }

    /// Notes the faces of a frame of `size` pixels that was looked at. `true` when a face has become
    /// still by it, or one that was is gone.
    pub fn observe(&mut self, faces: &Detections, size: (u32, u32), now: Monotonic) -> bool {
        let mut news = self.forget_the_gone(now);
        for candidate in self.candidates.iter_mut().flatten() {
            candidate.frames = candidate.frames.saturating_add(1);
        }
        for face in faces.as_slice() {
            self.note(fractions(face, size), now);
        }
        let after = self.after.unwrap_or(STILL_AFTER);
        for candidate in self.candidates.iter_mut().flatten().filter(|one| !one.still) {
            candidate.still = candidate.stands_since(after, now);
            news |= candidate.still;
        }
        news
    }

    /// The faces that have not moved, in the order in which they were first seen.
    #[must_use]
    pub fn list(&self) -> Vec<StillFace> {
        let still = self.candidates.iter().flatten().filter(|candidate| candidate.still);
        let mut faces: Vec<_> =
            still.map(|candidate| StillFace::new(candidate.extent, candidate.since)).collect();
        faces.sort_by_key(StillFace::since);
        faces
    }

    /// `true` when a still face is among the forgotten.
    fn forget_the_gone(&mut self, now: Monotonic) -> bool {
        let mut news = false;
        for place in &mut self.candidates {
            let Some(candidate) = place else { continue };
            let patience = if candidate.still { KEPT_FOR } else { GAP_MAX };
            if now.since(candidate.seen_at) > patience {
                news |= candidate.still;
                *place = None;
            }
        }
        news
    }

    fn note(&mut self, face: Rect, now: Monotonic) {
        let known = self.candidates.iter_mut().flatten().find(|one| one.is_at(face));
        if let Some(candidate) = known {
            candidate.see(face, now);
            return;
        }
        // The place that was seen least goes, a still face's never: neither a crowd nor somebody who
        // sways before a portrait pushes out what stands there.
        let place = self
            .candidates
            .iter_mut()
            .min_by_key(|place| place.as_ref().map(|candidate| (candidate.still, candidate.seen)));
        if let Some(place) = place.filter(|place| place.is_none_or(|one| !one.still)) {
            *place = Some(Candidate::new(face, now));
        }
    }
}

impl Candidate {
    const fn new(face: Rect, now: Monotonic) -> Self {
        Self {
            first: face,
            extent: face,
            since: now,
            seen_at: now,
            frames: 1,
            seen: 1,
            still: false,
        }
    }

    /// Whether `face` is at this place and as large as what was first seen there.
    fn is_at(&self, face: Rect) -> bool {
        let (here, there) = (self.first.centre(), face.centre());
        let moved = |from: f32, to: f32, side: f32| (from - to).abs() <= MOVED_MAX * side;
        let like = |a: f32, b: f32| a <= b * GROWN_MAX && b <= a * GROWN_MAX;
        moved(here.x, there.x, self.first.width)
            && moved(here.y, there.y, self.first.height)
            && like(self.first.width, face.width)
            && like(self.first.height, face.height)
    }

    fn see(&mut self, face: Rect, now: Monotonic) {
        self.seen_at = now;
        self.seen = self.seen.saturating_add(1);
        // What was said of a still face stays as it was said.
        if !self.still {
            self.extent = self.extent.union(face);
        }
    }

    /// Whether a face was here for `after`, and in most frames.
    fn stands_since(&self, after: Duration, now: Monotonic) -> bool {
        self.seen_at == now && now.since(self.since) >= after && self.seen > self.frames / 2
    }
}

/// A face's box in fractions of the picture.
fn fractions(face: &Detection, (width, height): (u32, u32)) -> Rect {
    let (width, height) = (width.max(1) as f32, height.max(1) as f32);
    let Rect { x, y, width: wide, height: high } = face.bounds();
    Rect::new(x / width, y / height, wide / width, high / height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Point;

    const SIZE: (u32, u32) = (640, 480);

    /// Faces by centre and width, in pixels.
    fn faces(list: &[(f32, f32, f32)]) -> Detections {
        let face = |&(x, y, side): &(f32, f32, f32)| {
            Detection::made_up(Rect::square_around(Point::new(x, y), side), [Point::default(); 4])
        };
        Detections(list.iter().map(face).collect())
    }

    /// Feeds ten frames a second from `from` to `to` seconds; the seconds at which there was news.
    fn feed(
        still: &mut StillFaces,
        (from, to): (u64, u64),
        mut seen: impl FnMut(u64) -> Vec<(f32, f32, f32)>,
    ) -> Vec<u64> {
        let frames = from * 10..to * 10;
        frames
            .filter(|&frame| {
                let now = Monotonic::from_millis(100 * frame);
                still.observe(&faces(&seen(frame)), SIZE, now)
            })
            .map(|frame| frame / 10)
            .collect()
    }

    /// A portrait whose box trembles as a detector's does.
    fn portrait(frame: u64) -> (f32, f32, f32) {
        let tremble = |step: u64| (frame * step % 7) as f32 - 3.0;
        (100.0 + tremble(3), 90.0 + tremble(5), 80.0 + tremble(2))
    }

    /// Somebody who waits: sways by a third of the face's width, and comes nearer and goes.
    fn waiting(frame: u64) -> (f32, f32, f32) {
        let phase = frame as f32 / 10.0;
        (
            400.0 + 30.0 * phase.sin(),
            240.0 + 12.0 * (phase * 0.7).sin(),
            90.0 + 15.0 * (phase * 0.3).cos(),
        )
    }

    #[test]
    fn a_portrait_is_named_after_minutes_and_a_person_who_waits_is_not() {
        let mut still = StillFaces::default();
        let both = |frame| vec![portrait(frame), waiting(frame)];
        assert_eq!(feed(&mut still, (0, 600), both), [180]);
        let found = still.list();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].since(), Monotonic::from_millis(0));
        let [x, y, width, height] = found[0].rectangle();
        assert!(x * 640.0 < 58.0 && (x + width) * 640.0 > 142.0, "{found:?}");
        assert!(y * 480.0 < 48.0 && (y + height) * 480.0 > 132.0, "{found:?}");
        assert!(width < 0.19 && height < 0.25, "no larger than needed: {found:?}");
    }

    #[test]
    fn visitors_who_stand_before_it_for_a_while_do_not_hide_it() {
        let mut still = StillFaces::default();
        // A third of the time somebody covers it, never for longer than 20 s.
        let seen = |frame: u64| {
            if frame / 10 % 60 < 20 { vec![waiting(frame)] } else { vec![portrait(frame)] }
        };
        let news = feed(&mut still, (0, 400), seen);
        assert_eq!(news.len(), 1, "{news:?}");
    }

    #[test]
    fn one_who_comes_back_to_about_the_same_place_is_no_picture() {
        let mut still = StillFaces::default();
        // In the same place for 5 s of every 20.
        let seen = |frame: u64| if frame / 10 % 20 < 5 { vec![portrait(frame)] } else { vec![] };
        assert_eq!(feed(&mut still, (0, 900), seen), [0; 0]);
    }

    #[test]
    fn what_is_taken_down_is_forgotten_and_said_so_once() {
        let mut still = StillFaces::default();
        assert_eq!(feed(&mut still, (0, 200), |frame| vec![portrait(frame)]), [180]);
        let first = still.list();
        assert_eq!(feed(&mut still, (200, 900), |_| vec![]), [799 + 1]);
        assert_eq!(still.list(), []);
        assert_eq!(feed(&mut still, (900, 1100), |frame| vec![portrait(frame)]), [1080]);
        let rectangle = |faces: &[StillFace]| format!("{:?}", faces[0].rectangle());
        assert_eq!(rectangle(&still.list()), rectangle(&first));
    }

    #[test]
    fn what_was_said_of_a_face_does_not_change() {
        let mut still = StillFaces::default();
        feed(&mut still, (0, 181), |frame| vec![portrait(frame)]);
        let said = still.list();
        feed(&mut still, (181, 300), |frame| vec![(103.0 + (frame % 9) as f32, 90.0, 84.0)]);
        assert_eq!(still.list(), said);
    }

    #[test]
    fn a_crowd_takes_no_more_places_than_there_are_and_pushes_out_no_still_face() {
        let mut still = StillFaces::default();
        feed(&mut still, (0, 181), |frame| vec![portrait(frame)]);
        let crowd = |frame: u64| {
            (0..40)
                .map(|one| (200.0 + 10.0 * one as f32, 200.0 + (frame * 37 % 200) as f32, 40.0))
                .collect()
        };
        feed(&mut still, (181, 200), crowd);
        assert_eq!(still.list().len(), 1);
        // As many still faces as places: a further one is not remembered, and nothing is lost.
        let mut still = StillFaces::default();
        let many = |_| (0..12).map(|one| (20.0 + 50.0 * one as f32, 100.0, 40.0)).collect();
        feed(&mut still, (0, 200), many);
        assert!(still.list().len() <= CANDIDATES_MAX);
    }

    #[test]
    fn another_patience_is_possible() {
        let mut still = StillFaces::after(Duration::from_secs(2));
        assert_eq!(feed(&mut still, (0, 5), |frame| vec![portrait(frame)]), [2]);
    }
}
