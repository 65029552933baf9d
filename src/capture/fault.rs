//! Any source, broken on purpose.
//!
//! In: a source, a list of faults, each with the frames it befalls (a range of their numbers, or
//! some in a thousand, drawn from a seed), and a clock for delays. Out: the same source, with frames
//! dropped, late, spoiled, frozen or short, or with errors in between.
//!
//! Invariant: same source, same plan, same seed: same faults. Deliberately absent: any use outside
//! tests and the simulation; nothing in the configuration leads here.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{
    CameraStatus, CaptureError, CapturedFrame, FrameSource, PATIENCE, Progress, SourceDescription,
};
use crate::clock::{Clock, Monotonic};

/// What can befall a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives; its number is missing.
    Drop,
    /// It arrives so much later, with its own capture time.
    Delay(Duration),
    /// Some of its bytes are others.
    Corrupt,
    /// Its number and time are new, its pixels those of the last frame before the fault.
    Freeze,
    /// Bytes are missing at its end.
    Shorten,
    /// The camera is unplugged in its place.
    Unplug,
    /// The driver marks it as damaged.
    Damage,
}

/// Which frames a fault befalls.
#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Frames(Range<u64>),
    PerMille(u32),
}

/// Faults and the frames they befall; the first that applies to a frame wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultPlan {
    entries: Vec<(When, Fault)>,
}

impl FaultPlan {
    /// No faults.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds `fault` for the frames that the source gives as its `frames`-th, from 0.
    #[must_use]
    pub fn at(mut self, frames: Range<u64>, fault: Fault) -> Self {
        self.entries.push((When::Frames(frames), fault));
        self
    }

    /// Adds `fault` for about `per_mille` in a thousand frames.
    #[must_use]
    pub fn sometimes(mut self, per_mille: u32, fault: Fault) -> Self {
        self.entries.push((When::PerMille(per_mille), fault));
        self
    }

    /// One draw for each entry that draws, whether it is needed or not: so an added entry does not
    /// move the draws of others in time.
    fn choose(&self, index: u64, draws: &mut fastrand::Rng) -> Option<Fault> {
        let mut chosen = None;
        for (when, fault) in &self.entries {
            let applies = match when {
                When::Frames(frames) => frames.contains(&index),
                When::PerMille(per_mille) => draws.u32(0..1000) < *per_mille,
            };
            if applies && chosen.is_none() {
                chosen = Some(*fault);
            }
        }
        chosen
    }
}

/// A source with faults.
pub struct FaultySource<S> {
    inner: S,
    plan: FaultPlan,
    draws: fastrand::Rng,
    clock: Arc<dyn Clock>,
    index: u64,
    last: CapturedFrame,
    held: Option<(CapturedFrame, Monotonic)>,
}

impl<S: FrameSource> FaultySource<S> {
    /// Breaks `inner` by `plan`; whatever is random comes from `seed`.
    pub fn new(inner: S, plan: FaultPlan, seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            plan,
            draws: fastrand::Rng::with_seed(seed),
            clock,
            index: 0,
            last: CapturedFrame::new(),
            held: None,
        }
    }

    /// Hands out a frame that is late, once its time has come.
    fn wait_for_held(&mut self, due: Monotonic, into: &mut CapturedFrame) -> Progress {
        let now = self.clock.now();
        if now < due {
            self.clock.sleep(due.since(now).min(PATIENCE));
            return Progress::Waiting;
        }
        if let Some((frame, _)) = self.held.take() {
            into.clone_from(&frame);
        }
        Progress::Frame
    }

    fn befall(
        &mut self,
        fault: Fault,
        frame: &mut CapturedFrame,
    ) -> Result<Progress, CaptureError> {
        let device = || self.inner.description().location.clone();
        match fault {
            Fault::Drop => return Ok(Progress::Waiting),
            Fault::Delay(delay) => {
                self.held = Some((frame.clone(), self.clock.now().plus(delay)));
                return Ok(Progress::Waiting);
            }
            Fault::Unplug => return Err(CaptureError::Unplugged { device: device() }),
            Fault::Damage => {
                let sequence = frame.sequence();
                return Err(CaptureError::DamagedBuffer { device: device(), sequence });
            }
            Fault::Freeze => {
                let (sequence, captured_at) = (frame.sequence(), frame.captured_at());
                // Before the first frame there is nothing to freeze.
                if !self.last.bytes().is_empty() {
                    frame.clone_from(&self.last);
                    frame.restamp(sequence, captured_at);
                }
            }
            Fault::Shorten => {
                let kept = self.draws.usize(0..frame.bytes().len().max(1));
                frame.bytes_mut().truncate(kept);
            }
            Fault::Corrupt => {
                let length = frame.bytes().len();
                for _ in 0..length.div_ceil(64) {
                    let (at, flip) = (self.draws.usize(0..length), self.draws.u8(1..=255));
                    if let Some(byte) = frame.bytes_mut().get_mut(at) {
                        *byte ^= flip;
                    }
                }
            }
        }
        Ok(Progress::Frame)
    }
}

impl<S: FrameSource> FrameSource for FaultySource<S> {
    fn description(&self) -> &SourceDescription {
        self.inner.description()
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        if let Some(due) = self.held.as_ref().map(|(_, due)| *due) {
            return Ok(self.wait_for_held(due, into));
        }
        let progress = self.inner.next_frame(into)?;
        if !matches!(progress, Progress::Frame | Progress::Repeat) {
            return Ok(progress);
        }
        let fault = self.plan.choose(self.index, &mut self.draws);
        self.index += 1;
        if let Some(fault) = fault {
            return self.befall(fault, into);
        }
        self.last.clone_from(into);
        Ok(progress)
    }

    fn status(&self) -> Option<&CameraStatus> {
        self.inner.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Encoding, Origin};
    use crate::clock::{ManualClock, PLAUSIBLE_FROM_UNIX_MS};
    use crate::frame::PixelFormat;

    /// Gives frame `i` of 64 bytes, all `i`, at `i` × 100 ms, twenty times.
    struct Counting {
        description: SourceDescription,
        next: u8,
        clock: Arc<ManualClock>,
    }

    impl FrameSource for Counting {
        fn description(&self) -> &SourceDescription {
            &self.description
        }

        fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
            if self.next == 20 {
                return Ok(Progress::End);
            }
            let at = Monotonic::from_millis(u64::from(self.next) * 100);
            self.clock.advance_to(at);
            into.begin_raw(PixelFormat::Grey, (8, 8), 8, u64::from(self.next), at)
                .extend_from_slice(&[self.next; 64]);
            self.next += 1;
            Ok(Progress::Frame)
        }
    }

    /// What comes of a plan: for each frame its number, first byte, length, and what was odd.
    fn trace(plan: FaultPlan, seed: u64) -> Vec<String> {
        let clock = Arc::new(ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS));
        let description = SourceDescription {
            name: "counting".into(),
            location: "/dev/counting".into(),
            origin: Origin::Unopened,
            encoding: Encoding::Raw(PixelFormat::Grey),
            width: 8,
            height: 8,
            rate: None,
        };
        let inner = Counting { description, next: 0, clock: Arc::clone(&clock) };
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        let mut source = FaultySource::new(inner, plan, seed, shared);
        let (mut frame, mut lines) = (CapturedFrame::new(), Vec::new());
        for _ in 0..60 {
            match source.next_frame(&mut frame) {
                Ok(Progress::Frame) => {
                    let spoiled =
                        frame.bytes().windows(2).filter(|pair| pair[0] != pair[1]).count();
                    lines.push(format!(
                        "{} shows {} at {}{}{}",
                        frame.sequence(),
                        frame.bytes().first().copied().unwrap_or(255),
                        clock.now().as_millis(),
                        if frame.bytes().len() < 64 { " short" } else { "" },
                        if spoiled > 0 { " spoiled" } else { "" },
                    ));
                }
                Ok(Progress::End) => break,
                Ok(Progress::Repeat | Progress::Waiting) => {}
                Err(error) => lines.push(error.state().name().to_owned()),
            }
        }
        lines
    }

    #[test]
    fn without_a_plan_nothing_changes() {
        let lines = trace(FaultPlan::new(), 1);
        assert_eq!(lines.len(), 20);
        assert_eq!(lines[19], "19 shows 19 at 1900");
    }

    #[test]
    fn every_fault_befalls_its_frames_and_no_other() {
        let plan = FaultPlan::new()
            .at(1..2, Fault::Drop)
            .at(3..4, Fault::Delay(Duration::from_millis(50)))
            .at(5..7, Fault::Freeze)
            .at(8..9, Fault::Unplug)
            .at(9..10, Fault::Damage)
            .at(11..12, Fault::Shorten)
            .at(13..14, Fault::Corrupt);
        let lines = trace(plan, 7);
        let expected = [
            "0 shows 0 at 0",
            "2 shows 2 at 200",
            "3 shows 3 at 350",
            "4 shows 4 at 400",
            "5 shows 4 at 500",
            "6 shows 4 at 600",
            "7 shows 7 at 700",
            "searching",
            "stalled",
            "10 shows 10 at 1000",
        ];
        assert_eq!(lines[..10], expected);
        assert!(lines[10].contains("at 1100 short"), "{}", lines[10]);
        assert_eq!(lines[11], "12 shows 12 at 1200");
        assert!(lines[12].ends_with("at 1300 spoiled"), "{}", lines[12]);
        assert_eq!(lines[13], "14 shows 14 at 1400");
    }

    #[test]
    fn the_seed_decides() {
        let plan = || FaultPlan::new().sometimes(400, Fault::Drop).sometimes(300, Fault::Corrupt);
        assert_eq!(trace(plan(), 3), trace(plan(), 3));
        assert_ne!(trace(plan(), 3), trace(plan(), 4));
        assert!(trace(plan(), 3).len() < 20);
    }
}
