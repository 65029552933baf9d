//! The path in one screen: a frame becomes an observation.
//!
//! ```text
//! Frame ─detect→ Detections ─principal→ Detection ─align→ AlignedFace ─measure→ Quality
//!                                           └─look→ Orientation   └─embed→ FeatureVector ─search→ Match
//!                                                                                            └─see→ Liveness
//! ```
//!
//! How a face stands, and whether something covers it, is looked at before it is compared, and believed
//! while the face is followed; a match that is accepted counts only of a frame in which the face itself
//! was seen to stand upright and free.
//!
//! Whether a face is live is looked at only of frames in which somebody is recognised, and only as
//! long as it is the same one: nobody's own face speaks for a picture of somebody else.
//!
//! Where a second embedder confirms, its crop of the same face is kept until the visit has said
//! whether anything hangs on it.
//!
//! Of a stranger's visit a few vectors are kept until it ends, where somebody may wish to enrol that one
//! ([`Recalled`]).
//!
//! In: a [`Frame`] and a clock. Out: an [`Observation`] for the visit. Owns the scratch memory of
//! every stage; nothing here allocates after the first frames.
//!
//! Invariants: a stage that fails becomes a [`Fault`], which can never contribute to a grant; poor
//! quality becomes a face without a match; so does a face that does not stand upright, or is covered.

mod confirm;
mod galleries;
mod recall;

use std::time::Duration;

pub use confirm::{Confirmer, Confirming, Fusion};
pub use galleries::Galleries;
pub use recall::{FACE_SPACING, Recalled, RecalledFace};

use crate::align::Cutter;
use crate::clock::{Clock, Monotonic};
use crate::compare::{CompareError, Gallery, Match, SearchScratch, SubjectId};
use crate::decide::{
    AmbiguousReason, Answer, FaceSeen, Fault, Gate, Observation, Question, Refusal, Seen,
};
use crate::detect::{
    Belief, Detection, Detections, Follower, FollowerSettings, Orientation, Zones,
};
use crate::embed::{CoverJudge, Embedder, FeatureVector, Quality, QualityFault, QualityLimits};
use crate::frame::{Frame, Glimpse};
use crate::inference::InferenceError;
use crate::liveness::{Lacking, Liveness, LivenessEvidence, LivenessVerdict};
use recall::Recall;

/// How long each stage of the last frame took; zero for stages that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Letterbox, network, decoding, suppression; how the face stands, where that was looked at.
    pub detect: Duration,
    /// Fit, resampling, quality; whether something covers the face, where that was looked at.
    pub align: Duration,
    /// Network, twice when mirrored.
    pub embed: Duration,
    /// Search of the gallery.
    pub compare: Duration,
    /// Cues of a live face.
    pub liveness: Duration,
}

/// What may change of the path while it runs: whatever needs no other network and no other
/// reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// What faces must be like to be compared.
    pub limits: QualityLimits,
    /// The middle part of the frame in which the principal face is looked for first, 0 to 1.
    pub central: f32,
    /// How faces are found and followed.
    pub follower: FollowerSettings,
    /// How sure the detectors must be, 0 to 1.
    pub min_score: f32,
    /// Where faces are seen.
    pub zones: Zones,
    /// Whether a few vectors of a stranger's visit are kept until it ends.
    pub recall: bool,
}

/// What stands between a face and a match.
#[derive(Debug, thiserror::Error)]
enum PathError {
    #[error(transparent)]
    Detect(#[from] crate::detect::DetectError),
    #[error(transparent)]
    Embed(#[from] InferenceError),
    #[error(transparent)]
    Compare(#[from] CompareError),
}

/// The stages with their scratch memory.
#[derive(Debug)]
pub struct Recogniser {
    detector: Follower,
    cutter: Cutter,
    embedder: Embedder,
    limits: QualityLimits,
    central: f32,
    gallery: Gallery,
    confirmer: Option<Confirmer>,
    liveness: Option<Liveness>,
    /// Whom the cues are of.
    shown: Option<SubjectId>,
    uprightness: Belief,
    orientation: Option<Orientation>,
    covers: Option<CoverJudge>,
    freedom: Belief,
    /// Whether the judged face of the last frame is free, where it was looked at.
    free: Option<bool>,
    /// Faces of a stranger, where they are kept until the visit ends.
    recall: Option<Recall>,
    detections: Detections,
    features: FeatureVector,
    scratch: SearchScratch,
    times: StageTimes,
}

impl Recogniser {
    /// Puts the stages in a row. `central` (0 to 1) is the middle part of the frame in which the
    /// principal face is looked for first.
    #[must_use]
    pub fn new(
        detector: Follower,
        cutter: impl Into<Cutter>,
        embedder: Embedder,
        gallery: Gallery,
        limits: QualityLimits,
        central: f32,
    ) -> Self {
        Self {
            features: embedder.blank(),
            scratch: SearchScratch::default(),
            detections: Detections::default(),
            times: StageTimes::default(),
            detector,
            cutter: cutter.into(),
            embedder,
            limits,
            central,
            gallery,
            confirmer: None,
            liveness: None,
            shown: None,
            uprightness: Belief::default(),
            orientation: None,
            covers: None,
            freedom: Belief::default(),
            free: None,
            recall: None,
        }
    }

    /// The same with a second embedder that confirms.
    #[must_use]
    pub fn confirmed_by(mut self, confirmer: Option<Confirmer>) -> Self {
        self.confirmer = confirmer;
        self
    }

    /// The same with a network that judges covered faces.
    #[must_use]
    pub fn judging_covers(mut self, covers: Option<CoverJudge>) -> Self {
        self.covers = covers;
        self
    }

    /// The same with cues of a live face.
    #[must_use]
    pub fn telling_liveness(mut self, liveness: Option<Liveness>) -> Self {
        self.liveness = liveness;
        self
    }

    /// Sees one frame.
    pub fn observe(&mut self, frame: &Frame<'_>, clock: &dyn Clock) -> Observation {
        let seen = self.see(frame, clock).unwrap_or_else(|error| {
            tracing::warn!(sequence = frame.sequence(), %error, "frame could not be judged");
            self.forget();
            Seen::Fault(Fault::Engine)
        });
        Observation {
            sequence: frame.sequence(),
            captured_at: frame.captured_at(),
            wall: clock.wall(),
            luminance: Some(frame.luminance()),
            seen,
        }
    }

    /// Whether the next frame need not be looked at, because nobody has been there for a while. To be
    /// asked before a frame is decoded.
    #[must_use]
    pub const fn rests(&self) -> bool {
        self.detector.rests()
    }

    /// Whether a glimpse of the next frame may be enough. To be asked before a frame is decoded.
    #[must_use]
    pub const fn glances(&self) -> bool {
        self.detector.glances()
    }

    /// Whether the frame of `glimpse` need not be looked at, because nobody has been there for a while
    /// and nothing has changed since.
    pub fn is_unchanged(&mut self, glimpse: &Glimpse<'_>) -> bool {
        self.detector.is_unchanged(glimpse)
    }

    /// Passes over a frame that need not be looked at.
    pub fn pass_over(
        &mut self,
        sequence: u64,
        captured_at: Monotonic,
        clock: &dyn Clock,
    ) -> Observation {
        self.detector.rest();
        self.detections.clear();
        self.forget_beliefs();
        self.orientation = None;
        self.free = None;
        self.times = StageTimes::default();
        if let Some(confirmer) = &mut self.confirmer {
            confirmer.forget();
        }
        Observation {
            sequence,
            captured_at,
            wall: clock.wall(),
            luminance: None,
            seen: Seen::NoFace,
        }
    }

    fn see(&mut self, frame: &Frame<'_>, clock: &dyn Clock) -> Result<Seen, PathError> {
        self.times = StageTimes::default();
        self.orientation = None;
        self.free = None;
        if let Some(confirmer) = &mut self.confirmer {
            confirmer.forget();
        }
        let start = clock.now();
        self.detector.detect(frame, &mut self.detections)?;
        self.times.detect = clock.now().since(start);
        let size = (frame.width(), frame.height());
        let Some(&face) = self.detections.principal(size, self.central) else {
            self.forget_beliefs();
            return Ok(Seen::NoFace);
        };
        let Some(principal) = self.judge(frame, &face, clock)? else {
            return Ok(Seen::NoFace);
        };
        let count = u32::try_from(self.detections.as_slice().len()).unwrap_or(u32::MAX);
        if let (Some(liveness), Some(shown)) = (&mut self.liveness, &self.shown) {
            let shows = |found: &Match| found.accepted().is_some_and(|best| best.subject == *shown);
            let (at, yaw) = (frame.captured_at(), principal.quality.yaw);
            liveness.follow(at, &face, yaw, principal.found.as_ref().map(shows), count == 1);
        }
        Ok(Seen::Faces { count, principal })
    }

    fn judge(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        clock: &dyn Clock,
    ) -> Result<Option<FaceSeen>, PathError> {
        let start = clock.now();
        let Some(aligned) = self.cutter.align(frame, face)? else {
            return Ok(None);
        };
        let quality = Quality::measure(aligned, face, &self.limits);
        self.times.align = clock.now().since(start);
        let due = self.uprightness.is_due(face.bounds(), frame.captured_at());
        let mut fault = quality.fault;
        if due && quality.wants_orientation() {
            fault = self.stands_otherwise(frame, face, clock)?.or(fault);
        }
        if self.limits.free
            && self.freedom.is_due(face.bounds(), frame.captured_at())
            && fault.is_none()
        {
            fault = self.is_covered(frame, face, clock)?;
        }
        if let Some(fault) = fault {
            return Ok(Some(FaceSeen { quality: quality.with_fault(fault), found: None }));
        }
        let start = clock.now();
        self.embedder.embed(self.cutter.face(), &mut self.features)?;
        self.times.embed = clock.now().since(start);
        let start = clock.now();
        let found: Match = self.gallery.search(&self.features, &mut self.scratch)?;
        self.times.compare = clock.now().since(start);
        let accepted = found.accepted().is_some();
        if accepted && let Some(fault) = self.look_closely(frame, face, clock)? {
            return Ok(Some(FaceSeen { quality: quality.with_fault(fault), found: None }));
        }
        let kept = !accepted && self.wants_to_recall(frame, face, clock)?;
        if let Some(confirmer) = &mut self.confirmer {
            confirmer.keep(frame, face, accepted || kept);
        }
        if kept {
            self.keep_for_recall(quality, frame.captured_at());
        }
        if let (Some(liveness), Some(best)) = (&mut self.liveness, found.accepted()) {
            let start = clock.now();
            if self.shown.as_ref() != Some(&best.subject) {
                self.shown = Some(best.subject.clone());
                liveness.begin_anew();
            }
            liveness.see(frame, face, quality.yaw, &self.features)?;
            self.times.liveness = clock.now().since(start);
        }
        Ok(Some(FaceSeen { quality, found: Some(found) }))
    }

    /// Looks how `face` stands; a fault unless it stands upright. Where no limit is set nobody looks.
    fn stands_otherwise(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        clock: &dyn Clock,
    ) -> Result<Option<QualityFault>, PathError> {
        if !self.limits.upright {
            return Ok(None);
        }
        let start = clock.now();
        let orientation = self.detector.orientation(frame, face)?;
        self.times.detect += clock.now().since(start);
        let upright = orientation == Orientation::Upright;
        self.uprightness.note(upright, face.bounds(), frame.captured_at());
        self.orientation = Some(orientation);
        Ok(QualityFault::of_orientation(orientation))
    }

    /// Whether `face`, which is nobody's who is enrolled, is to be kept until its visit ends: it is alone and
    /// was itself seen to stand upright.
    fn wants_to_recall(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        clock: &dyn Clock,
    ) -> Result<bool, PathError> {
        let due = self.recall.as_ref().is_some_and(|recall| recall.is_due(frame.captured_at()));
        if !due || self.detections.as_slice().len() != 1 {
            return Ok(false);
        }
        Ok(self.look_closely(frame, face, clock)?.is_none())
    }

    /// What is wrong with a face on which something hangs: it is looked at now, unless it was of this
    /// very frame.
    fn look_closely(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        clock: &dyn Clock,
    ) -> Result<Option<QualityFault>, PathError> {
        if self.orientation.is_none()
            && let Some(fault) = self.stands_otherwise(frame, face, clock)?
        {
            return Ok(Some(fault));
        }
        if self.free.is_some() { Ok(None) } else { self.is_covered(frame, face, clock) }
    }

    /// Looks whether something covers `face`; a fault if so. Where no network judges it, or no
    /// limit is set, nobody looks.
    fn is_covered(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        clock: &dyn Clock,
    ) -> Result<Option<QualityFault>, PathError> {
        let Some(covers) = self.covers.as_mut().filter(|_| self.limits.free) else {
            return Ok(None);
        };
        let start = clock.now();
        let cover = covers.look(frame, face)?.filter(|cover| cover.refused);
        self.times.align += clock.now().since(start);
        self.freedom.note(cover.is_none(), face.bounds(), frame.captured_at());
        self.free = Some(cover.is_none());
        Ok(cover.map(|cover| QualityFault::Covered(cover.part)))
    }

    const fn forget_beliefs(&mut self) {
        self.uprightness.forget();
        self.freedom.forget();
    }

    /// Keeps what was just embedded. What fails here keeps nobody from anything else.
    fn keep_for_recall(&mut self, quality: Quality, at: Monotonic) {
        let Some(recall) = &mut self.recall else { return };
        match self.confirmer.as_mut().and_then(Confirmer::features) {
            None => recall.keep(quality, &self.features, None, at),
            Some(Ok(confirming)) => recall.keep(quality, &self.features, Some(confirming), at),
            Some(Err(error)) => {
                tracing::warn!(%error, "a stranger's face is not remembered: the confirming embedder failed");
            }
        }
    }

    /// What was kept of the visit so far, whose faces were nobody's who is enrolled; it is forgotten here.
    pub fn take_recalled(&mut self) -> Option<Recalled> {
        self.recall.as_mut()?.take()
    }

    /// The same where a few vectors of a stranger's visit are kept until it ends, if `wanted`.
    #[must_use]
    pub fn recalling(mut self, wanted: bool) -> Self {
        self.recall_if(wanted);
        self
    }

    fn recall_if(&mut self, wanted: bool) {
        if wanted != self.recall.is_some() {
            let confirming = self.confirmer.as_ref().map(Confirmer::blank);
            self.recall = wanted.then(|| Recall::new(&self.features, confirming.as_ref()));
        }
    }

    /// How the judged face of the last frame stands, where it was looked at.
    #[must_use]
    pub const fn orientation(&self) -> Option<Orientation> {
        self.orientation
    }

    /// The faces of the last frame.
    #[must_use]
    pub const fn detections(&self) -> &Detections {
        &self.detections
    }

    /// The face of the last frame, of `size` as it is seen, that is judged; `None` where there is none.
    #[must_use]
    pub fn principal(&self, size: (u32, u32)) -> Option<&Detection> {
        self.detections.principal(size, self.central)
    }

    /// The feature vector of the last face that was embedded.
    #[must_use]
    pub const fn features(&self) -> &FeatureVector {
        &self.features
    }

    /// How long the stages of the last frame took.
    #[must_use]
    pub const fn times(&self) -> StageTimes {
        self.times
    }

    /// Looks for the principal face in another middle part of the frame, 0 to 1 of its width and
    /// height, than it was made to.
    #[must_use]
    pub const fn looking_first_within(mut self, central: f32) -> Self {
        self.central = central;
        self
    }

    /// Looks at each face how it stands and whether it is covered, also at one that is followed.
    #[must_use]
    pub const fn looking_at_every_face(mut self) -> Self {
        self.uprightness.doubt_all();
        self.freedom.doubt_all();
        self
    }

    /// Makes [`Self::confirming_features`] available for every usable face.
    #[must_use]
    pub fn confirming_every_face(mut self) -> Self {
        if let Some(confirmer) = &mut self.confirmer {
            confirmer.keep_every_face();
        }
        self
    }

    /// What a gate says of whom `question` names, by the last frame; a fault where there is no such
    /// gate.
    pub fn answer(&mut self, question: &Question) -> Answer {
        match (question.gate, &mut self.confirmer) {
            (Gate::Confirm, Some(one)) => one.judge(&question.subject, question.score),
            (Gate::Confirm, None) => Answer::Fault,
            (Gate::Liveness, _) => self.liveness_of(&question.subject),
        }
    }

    /// Whether `subject` was seen to be live in this visit.
    fn liveness_of(&self, subject: &SubjectId) -> Answer {
        let shown = self.shown.as_ref() == Some(subject);
        let Some(liveness) = self.liveness.as_ref().filter(|_| shown) else { return Answer::Fault };
        match liveness.verdict() {
            LivenessVerdict::Live => Answer::Pass(None),
            LivenessVerdict::Attack(_) => {
                Answer::Never(Refusal::Ambiguous(AmbiguousReason::NotLive))
            }
            LivenessVerdict::Undecided(Lacking::Median) => Answer::NotYet(AmbiguousReason::NotLive),
            LivenessVerdict::Undecided(_) => Answer::NotYet(AmbiguousReason::LivenessUndecided),
        }
    }

    /// What was seen of the visit's liveness; `None` where nobody looks at it.
    #[must_use]
    pub fn liveness_evidence(&self) -> Option<LivenessEvidence> {
        self.liveness.as_ref().map(Liveness::told)
    }

    /// What is lacking before the last face, which somebody is recognised by, counts as live.
    #[must_use]
    pub fn lacks(&self) -> Option<Lacking> {
        self.shown.as_ref()?;
        match self.liveness.as_ref()?.verdict() {
            LivenessVerdict::Undecided(lacking) => Some(lacking),
            LivenessVerdict::Live | LivenessVerdict::Attack(_) => None,
        }
    }

    /// The cues of a live face, where somebody looks at them.
    #[must_use]
    pub const fn liveness(&self) -> Option<&Liveness> {
        self.liveness.as_ref()
    }

    /// The next face is of another visit.
    pub fn end_visit(&mut self) {
        self.shown = None;
        if let Some(recall) = &mut self.recall {
            recall.forget();
        }
        if let Some(liveness) = &mut self.liveness {
            liveness.begin_anew();
        }
    }

    /// The confirming embedder's vector of the face that the last frame's match is of; `None` where
    /// nobody confirms, or the match was not accepted (but see [`Self::confirming_every_face`]).
    ///
    /// # Errors
    /// [`InferenceError`] when the engine fails.
    pub fn confirming_features(&mut self) -> Result<Option<FeatureVector>, InferenceError> {
        let Some(confirmer) = &mut self.confirmer else { return Ok(None) };
        confirmer.features().transpose().map(Option::<&FeatureVector>::cloned)
    }

    /// Whether a second embedder confirms.
    #[must_use]
    pub const fn confirms(&self) -> bool {
        self.confirmer.is_some()
    }

    /// Replaces the enrolled set.
    pub fn set_galleries(&mut self, galleries: Galleries) {
        let Galleries { gallery, confirming } = galleries;
        self.gallery = gallery;
        if let (Some(confirmer), Some(confirming)) = (&mut self.confirmer, confirming) {
            confirmer.replace(confirming);
        }
    }

    /// Compares with nobody, until there is another enrolled set.
    pub fn forget_everybody(&mut self) {
        self.gallery.clear();
        if let Some(confirmer) = &mut self.confirmer {
            confirmer.clear();
        }
    }

    /// Sees the next frame by other settings, as if it were the first one.
    pub fn tune(&mut self, tuning: &Tuning) {
        let Tuning { limits, central, follower, min_score, zones, recall } = tuning;
        self.recall_if(*recall);
        self.limits = *limits;
        self.central = *central;
        self.detector.tune(*follower, *min_score);
        self.set_zones(zones);
    }

    /// Sees faces within `zones` alone; everywhere unless this is said. Forgets where the last face
    /// was, and how it stood.
    pub fn set_zones(&mut self, zones: &Zones) {
        self.detector.set_zones(zones);
        self.forget_beliefs();
    }

    /// Forgets where the last face was: the next frame comes from elsewhere.
    pub const fn forget(&mut self) {
        self.detector.forget();
        self.forget_beliefs();
    }
}
