//! Find, then follow: the detector with the long range looks at the whole frame until a face is
//! there; then the cheaper one looks at a square around the last face, until it is lost.
//! Where the long range finds nobody, the cheaper one looks at the whole frame too: it sees faces
//! that are too close for the other.
//! What is found is looked at once more by the cheaper one, close by: its keypoints are finer.
//!
//! In: a frame, a [`Follower`] that remembers where the face was. Out: detections.
//! While following, the whole frame is still looked at every `refresh` frames, and in every frame
//! while there are several faces: a second person beside the followed one must be noticed before
//! enough frames agree on the first, because several faces may forbid a grant.
//! While nobody has been there for [`IDLE_AFTER`] frames, only every [`IDLE_STRIDE`]th frame is
//! looked at, and searched only where something has changed ([`Changed`]) or `search_every` is over: an
//! empty room is what a door sees most of the day, and a face that enters is found two frames later at
//! worst.
//! A face outside of the [`Zones`] is none: neither detector finds it, in a frame or in a crop.
//! Invariant: a frame in which following finds nothing is looked at as a whole at once, so a face
//! is never missed because of where an earlier one was.

use std::time::Duration;

use super::changed::Changed;
use super::orientation::Orienter;
use super::{DetectError, Detection, Detections, Orientation, SsdDetector, Zones};
use crate::frame::{Frame, Glimpse};
use crate::geometry::Rect;

/// Frames without a face after which a room counts as empty: two seconds at 15 frames/s, the default.
pub const IDLE_AFTER: u32 = 30;

/// Of an empty room's frames, one in so many is looked at.
pub const IDLE_STRIDE: u32 = 3;

/// Of several faces, so many of the largest are refined: the one to be judged is nearly always among
/// them, and a crowd must not make a frame late.
const REFINED_OF_SEVERAL: usize = 2;

/// Two boxes of one face, by the two detectors, overlap at least so much (intersection over union).
const SAME_FACE: f32 = 0.4;

/// Which detector looks where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The finding detector on every whole frame.
    Find,
    /// The following detector on every whole frame.
    FollowOnWhole,
    /// Find on the whole frame, follow on a crop.
    FindThenFollow,
}

/// How to follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FollowerSettings {
    /// Which detector looks where.
    pub strategy: Strategy,
    /// Side of the crop, in widths of the last face's box, > 1.
    pub crop_in_faces: f32,
    /// The whole frame is looked at after this many followed frames, ≥ 1. Less than the number of
    /// frames that must agree, or a grant could rest on crops alone.
    pub refresh: u32,
    /// Faces narrower than this are ignored, in pixels of the frame.
    pub min_face_px: f32,
    /// While nobody is there the whole frame is searched at least so often, and where something has
    /// changed; zero: each frame that is looked at is searched.
    pub search_every: Duration,
}

impl Default for FollowerSettings {
    fn default() -> Self {
        Self {
            strategy: Strategy::FindThenFollow,
            crop_in_faces: 3.5,
            refresh: 2,
            min_face_px: 40.0,
            search_every: Duration::from_secs(1),
        }
    }
}

/// Two detectors and the memory of where the face was.
#[derive(Debug)]
pub struct Follower {
    find: SsdDetector,
    follow: SsdDetector,
    settings: FollowerSettings,
    /// Where the face was, and how many frames it has been followed; nothing when it must be found.
    last: Option<(Rect, u32)>,
    /// Frames in a row that showed nobody.
    empty: u32,
    changed: Changed,
    /// What the follower sees around one of several faces.
    close: Detections,
    orienter: Orienter,
}

impl Follower {
    /// A follower that has seen nothing yet.
    #[must_use]
    pub fn new(find: SsdDetector, follow: SsdDetector, settings: FollowerSettings) -> Self {
        Self {
            find,
            follow,
            settings,
            last: None,
            empty: 0,
            changed: Changed::default(),
            close: Detections::default(),
            orienter: Orienter::default(),
        }
    }

    /// How `face` stands in `frame`, as the following detector sees it.
    ///
    /// # Errors
    /// [`DetectError`] when the engine fails or gives numbers that are not finite.
    pub fn orientation(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
    ) -> Result<Orientation, DetectError> {
        self.orienter.look(&mut self.follow, frame, face)
    }

    /// Sees faces within `zones` alone, in frames and in crops of them; everywhere unless this is
    /// said. Forgets where the face was: it may have been outside.
    pub fn set_zones(&mut self, zones: &Zones) {
        self.find.set_zones(zones.clone());
        self.follow.set_zones(zones.clone());
        self.forget();
    }

    /// Forgets where the face was: the next frame comes from elsewhere.
    pub const fn forget(&mut self) {
        self.last = None;
        self.empty = 0;
        self.changed.forget();
    }

    /// Whether nobody has been there for a while.
    const fn is_empty(&self) -> bool {
        matches!(self.settings.strategy, Strategy::FindThenFollow)
            && self.last.is_none()
            && self.empty > IDLE_AFTER
    }

    /// Whether the next frame need not be looked at, because nobody has been there for a while.
    #[must_use]
    pub const fn rests(&self) -> bool {
        self.is_empty() && !self.empty.is_multiple_of(IDLE_STRIDE)
    }

    /// Whether a glimpse of the next frame may be enough.
    #[must_use]
    pub const fn glances(&self) -> bool {
        self.is_empty() && !self.settings.search_every.is_zero()
    }

    /// Whether the frame of `glimpse` need not be searched: nobody has been there for a while, and nothing
    /// has changed. To be asked of each frame at most once, and before [`Self::detect`], which asks by
    /// itself where nobody has.
    pub fn is_unchanged(&mut self, glimpse: &Glimpse<'_>) -> bool {
        let FollowerSettings { min_face_px, search_every, .. } = self.settings;
        self.glances() && !self.changed.is_due(glimpse, min_face_px, search_every)
    }

    /// Passes over a frame that need not be looked at.
    pub const fn rest(&mut self) {
        self.empty = self.empty.wrapping_add(1);
    }

    /// Looks by other settings from the next frame on, as if it were the first one; both detectors
    /// must be sure by `min_score`, 0 to 1.
    pub fn tune(&mut self, settings: FollowerSettings, min_score: f32) {
        self.settings = settings;
        self.find.require(min_score);
        self.follow.require(min_score);
        self.forget();
    }

    /// Finds the faces of `frame`.
    ///
    /// # Errors
    /// [`DetectError`] when an engine fails or gives numbers that are not finite.
    pub fn detect(&mut self, frame: &Frame<'_>, into: &mut Detections) -> Result<(), DetectError> {
        let whole = SsdDetector::whole(frame);
        let min_face = self.settings.min_face_px;
        match self.settings.strategy {
            Strategy::Find => self.find.detect(frame, whole, min_face, into),
            Strategy::FollowOnWhole => self.follow.detect(frame, whole, min_face, into),
            Strategy::FindThenFollow => {
                if let Some((face, followed)) = self.last
                    && followed < self.settings.refresh
                {
                    let crop = self.crop_around(face);
                    self.follow.detect(frame, crop, min_face, into)?;
                    self.last = Self::only(into).map(|next| (next, followed + 1));
                    if !into.as_slice().is_empty() {
                        return Ok(());
                    }
                }
                if self.rests() || self.is_unchanged(&Glimpse::from(*frame)) {
                    self.rest();
                    into.clear();
                    return Ok(());
                }
                self.find.detect(frame, whole, min_face, into)?;
                // The long range is not made for faces that fill the picture: whoever stands
                // close, the short range still finds.
                if into.0.is_empty() && self.follow.model() != self.find.model() {
                    self.follow.detect(frame, whole, min_face, into)?;
                }
                self.empty = if into.0.is_empty() { self.empty.wrapping_add(1) } else { 0 };
                self.changed.searched(frame.sequence(), !into.0.is_empty());
                // The finder's keypoints are coarser than the follower's, and the templates of
                // references must agree with those of probes: the same network places both.
                match Self::only(into) {
                    Some(found) => self.refine(frame, found, into)?,
                    None => self.refine_largest(frame, into)?,
                }
                self.last = Self::only(into).map(|face| (face, 0));
                Ok(())
            }
        }
    }

    /// Replaces a single found face by what the follower sees of it, if it sees it too.
    fn refine(
        &mut self,
        frame: &Frame<'_>,
        face: Rect,
        into: &mut Detections,
    ) -> Result<(), DetectError> {
        let found = into.0.first().copied();
        let crop = self.crop_around(face);
        self.follow.detect(frame, crop, self.settings.min_face_px, into)?;
        if into.0.is_empty() {
            into.0.extend(found);
        }
        Ok(())
    }

    /// Puts what the follower sees in the place of the largest of several faces.
    fn refine_largest(
        &mut self,
        frame: &Frame<'_>,
        into: &mut Detections,
    ) -> Result<(), DetectError> {
        let area = |d: &Detection| d.bounds.area();
        into.0.sort_unstable_by(|a, b| area(b).total_cmp(&area(a)));
        for face in into.0.iter_mut().take(REFINED_OF_SEVERAL) {
            let crop = self.crop_around(face.bounds);
            self.follow.detect(frame, crop, self.settings.min_face_px, &mut self.close)?;
            let overlap = |seen: &Detection| seen.bounds.intersection_over_union(face.bounds);
            let seen = self.close.0.iter().max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            if let Some(same) = seen.filter(|seen| overlap(seen) >= SAME_FACE) {
                *face = *same;
            }
        }
        into.0.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        Ok(())
    }

    fn crop_around(&self, face: Rect) -> Rect {
        Rect::square_around(
            face.centre(),
            face.width.max(face.height) * self.settings.crop_in_faces,
        )
    }

    /// The face to follow; with several, none is followed.
    const fn only(faces: &Detections) -> Option<Rect> {
        match faces.0.as_slice() {
            [face] => Some(face.bounds),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;
    use crate::geometry::Point;
    use crate::inference::{Engine, InferenceError, KEYPOINTS_OF_TEMPLATE, ModelCard, Tensor};

    /// Sees a face in the middle while `there` is set, and counts how often it looks.
    #[derive(Clone, Default)]
    struct Scripted {
        there: Arc<AtomicBool>,
        looks: Arc<AtomicU32>,
    }

    impl Engine for Scripted {
        fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            self.looks.fetch_add(1, Ordering::Relaxed);
            let [Tensor::Float32(boxes), Tensor::Float32(scores)] = outputs else { return Ok(()) };
            scores.fill(-9.0);
            boxes.fill(40.0);
            if self.there.load(Ordering::Relaxed) {
                let middle = scores.len() / 2;
                scores[middle] = 9.0;
            }
            Ok(())
        }
    }

    fn detector(card: &str, script: &Scripted) -> SsdDetector {
        let card = ModelCard::parse(card).unwrap();
        SsdDetector::new(&card, Box::new(script.clone()), None).unwrap()
    }

    const PIXELS: [u8; 64 * 48] = [90; 64 * 48];

    fn frame(pixels: &[u8]) -> Frame<'_> {
        Frame::new(pixels, PixelFormat::Grey, (64, 48), 64, 0, Monotonic::default()).unwrap()
    }

    fn follower(find: &Scripted, follow: &Scripted) -> Follower {
        let find = detector(include_str!("../../models/blazeface-full-range.toml"), find);
        let follow = detector(include_str!("../../models/blazeface-short-range.toml"), follow);
        let settings = FollowerSettings { min_face_px: 1.0, ..FollowerSettings::default() };
        Follower::new(find, follow, settings)
    }

    #[test]
    fn a_face_that_only_the_short_range_sees_is_found_and_followed() {
        let (blind, sees) = (Scripted::default(), Scripted::default());
        sees.there.store(true, Ordering::Relaxed);
        let mut follower = follower(&blind, &sees);
        let frame = frame(&PIXELS);
        let mut faces = Detections::default();
        let looks = |script: &Scripted| script.looks.swap(0, Ordering::Relaxed);
        // Found on the whole, refined on the crop.
        follower.detect(&frame, &mut faces).unwrap();
        assert_eq!((faces.as_slice().len(), looks(&blind), looks(&sees)), (1, 1, 2));
        // Followed on the crop alone.
        follower.detect(&frame, &mut faces).unwrap();
        assert_eq!((faces.as_slice().len(), looks(&blind), looks(&sees)), (1, 0, 1));
    }

    /// Sees a face in the middle of whatever it is shown, two sevenths as wide, looking ahead.
    #[derive(Clone, Default)]
    struct Central(Arc<AtomicU32>);

    impl Engine for Central {
        fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let [Tensor::Float32(boxes), Tensor::Float32(scores)] = outputs else { return Ok(()) };
            scores.fill(-9.0);
            // Of the short range's 896 anchors this one lies 60 pixels left of the middle of its
            // 128 × 128, and 52 below.
            scores[448] = 9.0;
            let (right, down) = (60.0, -52.0);
            let face = [right, down, 36.6, 36.6, right - 8.0, down - 6.0, right + 8.0, down - 6.0];
            let length = boxes.len() / scores.len();
            boxes[448 * length..][..face.len()].copy_from_slice(&face);
            Ok(())
        }
    }

    #[test]
    fn of_several_faces_the_largest_are_seen_as_the_follower_sees_them() {
        let central = Central::default();
        let card =
            ModelCard::parse(include_str!("../../models/blazeface-short-range.toml")).unwrap();
        let mut follower = follower(&Scripted::default(), &Scripted::default());
        follower.follow = SsdDetector::new(&card, Box::new(central.clone()), None).unwrap();
        let frame = frame(&PIXELS);
        let coarse = |x: f32, width: f32, score: f32| {
            let bounds = Rect::square_around(Point::new(x, 24.0), width);
            Detection { bounds, keypoints: [bounds.centre(); KEYPOINTS_OF_TEMPLATE], score }
        };
        let small = coarse(32.0, 6.0, 0.99);
        let mut faces = Detections(vec![small, coarse(16.0, 12.0, 0.9), coarse(48.0, 12.0, 0.8)]);
        let mut crowd = Detections(vec![small; 9]);
        follower.refine_largest(&frame, &mut faces).unwrap();
        let eyes = |faces: &Detections| faces.0.iter().filter(|d| d.eye_distance() > 1.0).count();
        assert_eq!(eyes(&faces), 2, "the two large ones: {faces:?}");
        assert!(faces.0.contains(&small), "the smallest stays as it was found: {faces:?}");
        assert!(faces.0.is_sorted_by(|a, b| a.score >= b.score), "best score first: {faces:?}");
        let place = |x: f32| faces.0.iter().any(|d| (d.bounds.centre().x - x).abs() < 1.5);
        assert!(place(16.0) && place(48.0), "each in its own place: {faces:?}");
        central.0.store(0, Ordering::Relaxed);
        follower.refine_largest(&frame, &mut crowd).unwrap();
        assert_eq!(central.0.load(Ordering::Relaxed), 2, "a crowd costs no more than two looks");
    }

    #[test]
    fn other_settings_count_from_the_next_frame_on() {
        let script = Scripted::default();
        script.there.store(true, Ordering::Relaxed);
        let mut follower = follower(&script, &script);
        let settings = follower.settings;
        let frame = frame(&PIXELS);
        let mut faces = Detections::default();
        let mut seen = |settings, min_score| {
            follower.tune(settings, min_score);
            follower.detect(&frame, &mut faces).unwrap();
            (faces.as_slice().len(), script.looks.swap(0, Ordering::Relaxed))
        };
        let whole = FollowerSettings { strategy: Strategy::Find, ..settings };
        // The script's face has a score of 0.99988.
        assert_eq!(seen(whole, 0.5), (1, 1));
        assert_eq!(seen(whole, 0.9999), (0, 1), "not sure enough");
        assert_eq!(seen(whole, 0.9998), (1, 1));
        assert_eq!(seen(FollowerSettings { min_face_px: 60.0, ..whole }, 0.5), (0, 1));
        assert_eq!(seen(settings, 0.5), (1, 2), "found, and refined on the crop");
        assert_eq!(seen(settings, 0.5), (1, 2), "found anew, not followed");
    }

    #[test]
    fn a_face_outside_of_the_zones_is_neither_found_nor_followed_and_the_room_counts_as_empty() {
        let central = Central::default();
        let card =
            ModelCard::parse(include_str!("../../models/blazeface-short-range.toml")).unwrap();
        let sees = || SsdDetector::new(&card, Box::new(central.clone()), None).unwrap();
        let settings = FollowerSettings { min_face_px: 1.0, ..FollowerSettings::default() };
        let mut follower = Follower::new(sees(), sees(), settings);
        let frame = frame(&PIXELS);
        let mut faces = Detections::default();
        follower.detect(&frame, &mut faces).unwrap();
        let found = faces.as_slice()[0].bounds();
        // On the whole frame this detector's face is larger than on a crop.
        let (wide, high) = (found.width * 3.0 / 64.0, found.height * 3.0 / 48.0);
        let (x, y) = (found.centre().x / 64.0 - wide / 2.0, found.centre().y / 48.0 - high / 2.0);
        let around = [x, y, wide, high];
        follower.set_zones(&Zones::new(&[around], &[]));
        central.0.store(0, Ordering::Relaxed);
        for _ in 0..IDLE_AFTER + 30 * IDLE_STRIDE {
            follower.detect(&frame, &mut faces).unwrap();
            assert_eq!(faces.as_slice(), [], "it is not seen");
        }
        let looks = central.0.load(Ordering::Relaxed);
        assert!((60..=62).contains(&looks), "an empty room is looked at less often: {looks}");
        follower.set_zones(&Zones::new(&[], &[around]));
        follower.detect(&frame, &mut faces).unwrap();
        assert_eq!(faces.as_slice().len(), 1, "where alone faces are seen it is");
        follower.set_zones(&Zones::default());
        follower.detect(&frame, &mut faces).unwrap();
        assert_eq!(faces.as_slice().len(), 1, "and without zones");
    }

    #[test]
    fn an_empty_room_is_looked_at_less_often_until_somebody_enters() {
        let script = Scripted::default();
        let mut follower = follower(&script, &script);
        let frame = frame(&PIXELS);
        let mut faces = Detections::default();
        for _ in 0..IDLE_AFTER {
            follower.detect(&frame, &mut faces).unwrap();
        }
        // Both detectors look.
        assert_eq!(script.looks.swap(0, Ordering::Relaxed), 2 * IDLE_AFTER, "at first every frame");
        for _ in 0..30 * IDLE_STRIDE {
            follower.detect(&frame, &mut faces).unwrap();
        }
        let looks = script.looks.swap(0, Ordering::Relaxed) / 2;
        assert!((30..=32).contains(&looks), "then one in three: {looks}");
        script.there.store(true, Ordering::Relaxed);
        let found = (0..IDLE_STRIDE).any(|_| {
            follower.detect(&frame, &mut faces).unwrap();
            !faces.as_slice().is_empty()
        });
        assert!(found, "who enters is found within three frames");
        for _ in 0..10 {
            follower.detect(&frame, &mut faces).unwrap();
            assert_eq!(faces.as_slice().len(), 1, "and seen in every frame from then on");
        }
    }

    #[test]
    fn an_empty_room_in_which_nothing_changes_is_searched_once_a_second() {
        let script = Scripted::default();
        let mut follower = follower(&script, &script);
        let mut faces = Detections::default();
        let mut number = 0;
        // Of fifteen frames a second.
        let mut look = |follower: &mut Follower, pixels: &[u8], asks: bool| {
            number += 1;
            let (at, size) = (Monotonic::from_millis(number * 67), (64, 48));
            let frame = Frame::new(pixels, PixelFormat::Grey, size, 64, number, at).unwrap();
            // Whoever asks before does not decode what nobody needs.
            if asks && follower.rests()
                || asks && follower.glances() && follower.is_unchanged(&Glimpse::from(frame))
            {
                follower.rest();
                return false;
            }
            follower.detect(&frame, &mut faces).unwrap();
            !faces.as_slice().is_empty()
        };
        for _ in 0..IDLE_AFTER {
            assert!(!follower.glances(), "at first every frame is searched");
            look(&mut follower, &PIXELS, true);
        }
        for asks in [true, false] {
            script.looks.store(0, Ordering::Relaxed);
            for _ in 0..150 {
                assert!(!look(&mut follower, &PIXELS, asks));
            }
            let searches = script.looks.load(Ordering::Relaxed) / 2;
            assert!((10..=12).contains(&searches), "in ten seconds: {searches}");
        }
        // Whoever comes is found by the next look, whoever cannot be told from the wall by the next search.
        let mut pixels = PIXELS;
        pixels.iter_mut().step_by(2).for_each(|pixel| *pixel = 30);
        for (comes, within) in [(&pixels, IDLE_STRIDE), (&PIXELS, 16)] {
            script.there.store(true, Ordering::Relaxed);
            let found = (0..within).any(|_| look(&mut follower, comes, true));
            assert!(found && !follower.glances(), "within {within} frames");
            script.there.store(false, Ordering::Relaxed);
            assert!((0..=IDLE_AFTER + 30).all(|_| !look(&mut follower, &PIXELS, true)), "gone");
        }
        let settings = FollowerSettings { search_every: Duration::ZERO, ..follower.settings };
        follower.tune(settings, 0.5);
        assert!((0..=IDLE_AFTER).all(|_| !look(&mut follower, &PIXELS, true)));
        script.looks.store(0, Ordering::Relaxed);
        assert!((0..150).all(|_| !look(&mut follower, &PIXELS, true)));
        let searches = script.looks.load(Ordering::Relaxed) / 2;
        assert_eq!(searches, 50, "one frame in three, whatever it shows");
    }
}
