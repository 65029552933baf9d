//! Find, then follow: the detector with the long range looks at the whole frame until a face is
//! there; then the cheaper one looks at a square around the last face, until it is lost.
//! Where the long range finds nobody, the cheaper one looks at the whole frame too: it sees faces
//! that are too close for the other.
//!
//! In: a frame, a [`Follower`] that remembers where the face was. Out: detections.
//! While following, the whole frame is still looked at every `refresh` frames, and in every frame
//! while there are several faces: a second person beside the followed one must be noticed before
//! enough frames agree on the first, because several faces may forbid a grant.
//! While nobody has been there for [`IDLE_AFTER`] frames, only every [`IDLE_STRIDE`]th frame is
//! looked at: an empty room is what a door sees most of the day, and a face that enters is found two
//! frames later at worst.
//! Invariant: a frame in which following finds nothing is looked at as a whole at once, so a face
//! is never missed because of where an earlier one was.

use super::{DetectError, Detections, SsdDetector};
use crate::frame::Frame;
use crate::geometry::Rect;

/// Frames without a face after which a room counts as empty: two seconds at 15 frames/s, the default.
pub const IDLE_AFTER: u32 = 30;

/// Of an empty room's frames, one in so many is looked at.
pub const IDLE_STRIDE: u32 = 3;

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
}

impl Default for FollowerSettings {
    fn default() -> Self {
        Self {
            strategy: Strategy::FindThenFollow,
            crop_in_faces: 3.5,
            refresh: 2,
            min_face_px: 40.0,
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
}

impl Follower {
    /// A follower that has seen nothing yet.
    #[must_use]
    pub const fn new(find: SsdDetector, follow: SsdDetector, settings: FollowerSettings) -> Self {
        Self { find, follow, settings, last: None, empty: 0 }
    }

    /// Forgets where the face was: the next frame comes from elsewhere.
    pub const fn forget(&mut self) {
        self.last = None;
        self.empty = 0;
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
                if self.empty > IDLE_AFTER && !self.empty.is_multiple_of(IDLE_STRIDE) {
                    self.empty = self.empty.wrapping_add(1);
                    into.0.clear();
                    return Ok(());
                }
                self.find.detect(frame, whole, min_face, into)?;
                // The long range is not made for faces that fill the picture: whoever stands
                // close, the short range still finds.
                if into.0.is_empty() && self.follow.model() != self.find.model() {
                    self.follow.detect(frame, whole, min_face, into)?;
                }
                self.empty = if into.0.is_empty() { self.empty.wrapping_add(1) } else { 0 };
                // The finder's keypoints are coarser than the follower's, and the templates of
                // references must agree with those of probes: the same network places both.
                if let Some(found) = Self::only(into) {
                    self.refine(frame, found, into)?;
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
    use crate::inference::{Engine, InferenceError, ModelCard, Tensor};

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
}
