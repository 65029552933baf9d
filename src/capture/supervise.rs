//! A camera that is opened again, and again, until it works.
//!
//! In: a function that opens a source. Out: a source that never fails: what goes wrong becomes its
//! [`CameraStatus`] and [`Progress::Waiting`], and after a wait that doubles up to a cap the camera
//! is opened anew: unplugged, busy, denied, stalled, frozen, all alike, because each can be cured
//! from outside while the daemon runs.
//!
//! Invariants: numbers of frames only grow, also over a reopening; a call lasts about
//! [`PATIENCE`] at most, unless opening itself hangs in the driver, or closing waits a second or two
//! for a program to end; a frame equal to the one before
//! it is a [`Progress::Repeat`], never a new frame; no frame comes of a camera that is not the wanted
//! one.
//! Deliberately absent: threads, and giving up.

use std::sync::Arc;
use std::time::Duration;

use super::doubt::{CameraDoubt, IdentityWatch};
use super::identity::Origin;
use super::watch::{Freshness, FrozenWatch, Numbers, StallWatch, fingerprint};
use super::{
    CameraStatus, CaptureError, CapturedFrame, Encoding, FrameSource, PATIENCE, Progress,
    Readability, SourceDescription,
};
use crate::backoff::Backoff;
use crate::clock::{Clock, Monotonic};

/// Opens a source; called again after each fault.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, CaptureError> + Send>;

/// Damaged or unreadable frames in a row after which the camera is opened again.
const MAX_DAMAGED_IN_A_ROW: u32 = 30;

/// How patient the supervisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperviseSettings {
    /// Without a frame for this long, the camera is opened again.
    pub stall_after: Duration,
    /// The same before its first frame.
    pub first_after: Duration,
    /// With equal frames for this long, the camera counts as frozen.
    pub frozen_after: Duration,
    /// Frozen for this long, it is opened again.
    pub reopen_frozen_after: Duration,
    /// The first wait before opening again.
    pub wait_first: Duration,
    /// The longest wait.
    pub wait_cap: Duration,
    /// Waits begin anew after a camera has worked for this long.
    pub healthy_after: Duration,
}

impl Default for SuperviseSettings {
    /// A stalled camera is noticed in 3 s, a frozen one in 2 s; waits go from 0.5 s to 15 s.
    fn default() -> Self {
        Self {
            stall_after: Duration::from_secs(3),
            first_after: Duration::from_secs(3),
            frozen_after: Duration::from_secs(2),
            reopen_frozen_after: Duration::from_secs(10),
            wait_first: Duration::from_millis(500),
            wait_cap: Duration::from_secs(15),
            healthy_after: Duration::from_secs(10),
        }
    }
}

/// What happened since the start; every count only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureCounts {
    /// Frames that arrived, repeats included.
    pub frames: u64,
    /// Frames that were equal to the one before them.
    pub repeats: u64,
    /// Frames that the source itself lost, by gaps in its numbers.
    pub lost: u64,
    /// Frames that arrived damaged.
    pub damaged: u64,
    /// How often the source was opened with success.
    pub opened: u64,
    /// How often opening or streaming failed.
    pub faults: u64,
}

/// A source that never fails; see the module.
pub struct Supervised {
    opener: Opener,
    clock: Arc<dyn Clock>,
    settings: SuperviseSettings,
    source: Option<Box<dyn FrameSource>>,
    description: SourceDescription,
    status: CameraStatus,
    counts: CaptureCounts,
    waits: Backoff,
    retry_at: Monotonic,
    opened_at: Monotonic,
    stall: StallWatch,
    frozen: FrozenWatch,
    damaged_in_a_row: u32,
    /// Too few of its last frames can be decoded: what arrives is no streaming.
    undecodable: bool,
    numbers: Numbers,
    identity: IdentityWatch,
}

impl Supervised {
    /// Supervises what `opener` opens; nothing is opened before the first frame is asked for.
    /// `device` names the camera until it is known better.
    #[must_use]
    pub fn new(
        device: &str,
        opener: Opener,
        clock: Arc<dyn Clock>,
        settings: SuperviseSettings,
    ) -> Self {
        let now = clock.now();
        let description = SourceDescription {
            name: device.to_owned(),
            location: device.to_owned(),
            origin: Origin::Unopened,
            encoding: Encoding::Jpeg,
            width: 0,
            height: 0,
            rate: None,
        };
        Self {
            opener,
            clock,
            settings,
            source: None,
            description,
            status: CameraStatus::searching(now),
            counts: CaptureCounts::default(),
            waits: Backoff::new(settings.wait_first, settings.wait_cap),
            retry_at: now,
            opened_at: now,
            stall: StallWatch::new(settings.stall_after, now),
            frozen: FrozenWatch::new(settings.frozen_after),
            damaged_in_a_row: 0,
            undecodable: false,
            numbers: Numbers::default(),
            identity: IdentityWatch::default(),
        }
    }

    /// The same for a camera that has to be the one that `identity` means; every other one is refused.
    #[must_use]
    pub fn wanting(self, identity: Option<String>) -> Self {
        Self { identity: IdentityWatch::wanting(identity), ..self }
    }

    /// What happened since the start.
    #[must_use]
    pub const fn counts(&self) -> CaptureCounts {
        self.counts
    }

    fn open(&mut self) -> Progress {
        let now = self.clock.now();
        if now < self.retry_at {
            self.clock.sleep(self.retry_at.since(now).min(PATIENCE));
            return Progress::Waiting;
        }
        let opened = (self.opener)();
        let now = self.clock.now();
        let admitted = opened.and_then(|source| {
            self.identity.admit(source.description(), now)?;
            Ok(source)
        });
        match admitted {
            Ok(source) => {
                self.description.clone_from(source.description());
                self.source = Some(source);
                self.counts.opened += 1;
                self.opened_at = now;
                self.stall = StallWatch::new(self.settings.first_after, now);
                self.damaged_in_a_row = 0;
                self.numbers.reopened();
            }
            Err(error) => self.fail(&error),
        }
        Progress::Waiting
    }

    /// Closes the source and waits before the next try.
    fn fail(&mut self, error: &CaptureError) {
        let now = self.clock.now();
        self.identity.failed(error, now);
        let worked = self.source.take().is_some();
        if worked && now.since(self.opened_at) >= self.settings.healthy_after {
            self.waits.reset();
        }
        let wait = self.waits.delay();
        self.retry_at = now.plus(wait);
        self.counts.faults += 1;
        if self.status.failed(error, now) {
            tracing::warn!(state = self.status.state.name(), "{error}");
        } else {
            tracing::debug!(state = self.status.state.name(), retry_in = ?wait, "{error}");
        }
    }

    fn receive(&mut self, frame: &mut CapturedFrame) -> Progress {
        let now = self.clock.now();
        let is_first = self.numbers.is_first();
        let (number, lost) = self.numbers.of(frame.sequence());
        frame.restamp(number, frame.captured_at());
        self.stall.feed(now);
        if let (true, Some(source)) = (is_first, &self.source) {
            self.stall = StallWatch::new(self.settings.stall_after, now);
            // Some sources know their frames only by the first of them.
            self.description.clone_from(source.description());
        }
        self.damaged_in_a_row = 0;
        self.counts.frames += 1;
        self.counts.lost += lost;
        match self.frozen.observe(fingerprint(frame), now) {
            Freshness::Fresh => {
                if !self.undecodable && self.status.streaming(now) {
                    let SourceDescription { location, encoding, width, height, rate, .. } =
                        &self.description;
                    let rate = rate.as_ref().map(tracing::field::display);
                    tracing::info!(camera = %location, %encoding, width, height, rate, "camera is streaming");
                }
                Progress::Frame
            }
            Freshness::Repeat => {
                self.counts.repeats += 1;
                Progress::Repeat
            }
            Freshness::Frozen { since } => {
                self.counts.repeats += 1;
                if self.status.frozen(now) {
                    tracing::warn!(camera = %self.description.location, "{}", self.status.detail);
                }
                let opened_long_ago =
                    now.since(self.opened_at) >= self.settings.reopen_frozen_after;
                if opened_long_ago && now.since(since) >= self.settings.reopen_frozen_after {
                    let frozen_ms = now.since(since).as_millis() as u64;
                    let device = self.description.location.clone();
                    self.fail(&CaptureError::Frozen { device, frozen_ms });
                }
                Progress::Repeat
            }
        }
    }

    fn wait_longer(&mut self) {
        if let Some(waited) = self.stall.stalled(self.clock.now()) {
            let waited_ms = waited.as_millis() as u64;
            let error = self.source.as_ref().map(|source| source.silence(waited_ms));
            let device = || self.description.location.clone();
            let stalled = || CaptureError::Stalled { device: device(), waited_ms };
            self.fail(&error.unwrap_or_else(stalled));
        }
    }
}

impl FrameSource for Supervised {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
        let Some(source) = &mut self.source else { return Ok(self.open()) };
        Ok(match source.next_frame(into) {
            Ok(Progress::Frame | Progress::Repeat) => self.receive(into),
            Ok(Progress::Waiting) => {
                self.wait_longer();
                Progress::Waiting
            }
            Ok(Progress::End) => Progress::End,
            Err(error) => {
                self.damaged_in_a_row += 1;
                if error.needs_reopening() || self.damaged_in_a_row > MAX_DAMAGED_IN_A_ROW {
                    self.fail(&error);
                } else {
                    self.counts.damaged += 1;
                    tracing::debug!("{error}");
                    self.wait_longer();
                }
                Progress::Waiting
            }
        })
    }

    fn status(&self) -> Option<&CameraStatus> {
        Some(&self.status)
    }

    fn doubt(&self) -> Option<&CameraDoubt> {
        self.identity.doubt()
    }

    fn note_readability(&mut self, readability: Readability) -> bool {
        self.undecodable = readability.is_poor(self.undecodable);
        if !self.undecodable || self.source.is_none() {
            return false;
        }
        let place = format!("camera {}", self.description.location);
        let error = CaptureError::undecodable(place, readability);
        // Where some can be decoded, opening the camera again would cost those too.
        if readability.in_a_row > MAX_DAMAGED_IN_A_ROW {
            self.fail(&error);
            return true;
        }
        if self.status.failed(&error, self.clock.now()) {
            tracing::warn!(state = self.status.state.name(), "{error}");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::CameraState::{
        self, Busy, Denied, Foreign, Searching, Stalled, Streaming, Undecodable,
    };
    use crate::capture::DoubtKind;
    use crate::capture::identity::{CameraIdentity, made_up};
    use crate::capture::watch::Decoded;
    use crate::clock::{ManualClock, PLAUSIBLE_FROM_UNIX_MS};
    use crate::frame::PixelFormat;

    /// A camera that does what a script says, one letter a call, each 100 ms:
    /// a picture `a` to `z`, `.` nothing, `!` unplugged, `?` damaged.
    struct Scripted {
        description: SourceDescription,
        script: Vec<char>,
        next: usize,
        clock: Arc<ManualClock>,
    }

    impl FrameSource for Scripted {
        fn description(&self) -> &SourceDescription {
            &self.description
        }

        fn next_frame(&mut self, into: &mut CapturedFrame) -> Result<Progress, CaptureError> {
            let device = || "/dev/video0".to_owned();
            self.clock.advance(Duration::from_millis(100));
            let sequence = self.next as u64;
            let letter = self.script.get(self.next).copied().unwrap_or('.');
            self.next += 1;
            match letter {
                '.' => Ok(Progress::Waiting),
                '!' => Err(CaptureError::Unplugged { device: device() }),
                '?' => Err(CaptureError::DamagedBuffer { device: device(), sequence }),
                picture => {
                    let size = (2, 2);
                    into.begin_raw(PixelFormat::Grey, size, 2, sequence, self.clock.now())
                        .extend_from_slice(&[picture as u8; 4]);
                    Ok(Progress::Frame)
                }
            }
        }
    }

    /// Which camera a script is of: its first word, before a blank, names it.
    fn identity(script: &str) -> CameraIdentity {
        match script.split_once(' ').map(|(name, _)| name) {
            None => made_up::usb(0x0825, Some("1"), "1.2"),
            Some("loopback") => {
                made_up::other("v4l2 loopback", "HD Webcam", "platform:v4l2loopback-000")
            }
            Some(serial) => made_up::usb(0x0825, Some(serial), "1.2"),
        }
    }

    /// Each text is one opening: a script, or `-` busy, `_` missing, `x` denied.
    fn supervised(openings: &[&str]) -> (Supervised, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS));
        let mut openings: Vec<String> =
            openings.iter().rev().map(|text| (*text).to_owned()).collect();
        let for_sources = Arc::clone(&clock);
        let opener: Opener = Box::new(move || {
            let device = "/dev/video0".to_owned();
            let script = openings.pop().unwrap_or_else(|| "_".to_owned());
            match script.as_str() {
                "-" => Err(CaptureError::Busy { device }),
                "_" => Err(CaptureError::Missing { device }),
                "x" => Err(CaptureError::Denied { device }),
                script => Ok(Box::new(Scripted {
                    description: SourceDescription {
                        name: "scripted".into(),
                        location: device,
                        origin: Origin::Camera(identity(script)),
                        encoding: Encoding::Raw(PixelFormat::Grey),
                        width: 2,
                        height: 2,
                        rate: None,
                    },
                    script: script.rsplit(' ').next().unwrap_or(script).chars().collect(),
                    next: 0,
                    clock: Arc::clone(&for_sources),
                }) as Box<dyn FrameSource>),
            }
        });
        let settings = SuperviseSettings::default();
        let shared = Arc::clone(&clock) as Arc<dyn Clock>;
        (Supervised::new("auto", opener, shared, settings), clock)
    }

    /// Runs for so many calls and gives the changes of state with their times, in milliseconds.
    fn states(source: &mut Supervised, calls: usize) -> Vec<(CameraState, u64)> {
        let mut frame = CapturedFrame::new();
        let mut found = Vec::new();
        for _ in 0..calls {
            let _ = source.next_frame(&mut frame).expect("a supervised source never fails");
            let status = source.status().expect("it has a status");
            let entry = (status.state, status.since.as_millis());
            if found.last() != Some(&entry) {
                found.push(entry);
            }
        }
        found
    }

    #[test]
    fn every_fault_is_a_state_and_waits_grow() {
        let (mut source, _) = supervised(&["_", "-", "x", "abcd!", "ef"]);
        let expected = [
            (Searching, 0),
            // Waits of 0.5, 1 and 2 s, then the first frame after 0.1 s.
            (Busy, 500),
            (Denied, 1500),
            (Streaming, 3600),
            (Searching, 4000),
            (Streaming, 8100),
        ];
        assert_eq!(states(&mut source, 50), expected);
        let counts = source.counts();
        assert_eq!((counts.frames, counts.opened, counts.faults), (6, 2, 4));
        assert_eq!(source.description().name, "scripted");
    }

    #[test]
    fn numbers_grow_over_reopenings_and_losses_are_counted() {
        let (mut source, _) = supervised(&["a.b!", "cd"]);
        let mut frame = CapturedFrame::new();
        let mut numbers = Vec::new();
        for _ in 0..20 {
            if source.next_frame(&mut frame).unwrap() == Progress::Frame {
                numbers.push(frame.sequence());
            }
        }
        assert_eq!(numbers, [0, 2, 3, 4]);
        assert_eq!(source.counts().lost, 1);
    }

    #[test]
    fn silence_is_a_stall_and_the_camera_is_opened_again() {
        let (mut source, _) = supervised(&["ab", "cd"]);
        let found = states(&mut source, 42);
        let expected = [(Searching, 0), (Streaming, 100), (Stalled, 3200), (Streaming, 3800)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_frozen_camera_is_noticed_although_frames_arrive() {
        let frozen = format!("ab{}", "c".repeat(120));
        let (mut source, clock) = supervised(&[&frozen, "cccde"]);
        let mut frame = CapturedFrame::new();
        let mut trace = String::new();
        while clock.now() < Monotonic::from_millis(11_500) {
            trace.push(match source.next_frame(&mut frame).unwrap() {
                Progress::Frame => 'F',
                Progress::Repeat => 'r',
                Progress::Waiting => '.',
                Progress::End => 'E',
            });
        }
        // Three frames that differ, repeats from then on; after 10 s it is opened again, and the
        // same picture once more is still no new frame.
        let expected = format!(".FFF{}....rrrFF", "r".repeat(100));
        assert!(trace.starts_with(&expected), "{trace}");
        let (mut source, _) = supervised(&[&frozen, "cccde"]);
        let expected = [(Searching, 0), (Streaming, 100), (Stalled, 2300), (Streaming, 11_200)];
        assert_eq!(states(&mut source, 120)[..4], expected);
    }

    /// What is said of the frames of `text`, one letter each: `+` was decoded, `-` was not.
    fn heard(text: &str) -> Readability {
        let cause = |letter| (letter == '-').then_some(crate::capture::Undecodable::Lost);
        let decoded =
            text.chars().fold(Decoded::default(), |decoded, letter| decoded.with(cause(letter)));
        decoded.readability()
    }

    #[test]
    fn a_camera_whose_frames_nobody_can_read_is_opened_again_and_does_not_stream() {
        let (mut source, _) = supervised(&["abcd", "efghijkl"]);
        let _ = states(&mut source, 3);
        let at_limit = "-".repeat(MAX_DAMAGED_IN_A_ROW as usize);
        assert!(!source.note_readability(heard(&at_limit)), "not yet");
        assert!(source.note_readability(heard(&(at_limit.clone() + "-"))));
        assert!(!source.note_readability(heard(&at_limit.repeat(2))), "it is closed already");
        let status = source.status().cloned().unwrap();
        assert_eq!(status.state, Undecodable);
        assert!(status.detail.contains("31 of its last 31 frames"), "{}", status.detail);
        assert!(!source.note_readability(heard("")), "counted anew");
        let found = states(&mut source, 6);
        assert_eq!(found.last().unwrap().0, Undecodable, "frames alone are no streaming");
        let mut frame = CapturedFrame::new();
        assert_eq!(source.next_frame(&mut frame).unwrap(), Progress::Frame);
        assert!(!source.note_readability(heard(&"+".repeat(15))));
        assert_eq!(states(&mut source, 1)[0].0, Streaming);
    }

    #[test]
    fn a_camera_of_whose_frames_few_can_be_read_says_so_and_stays_open() {
        let (mut source, _) = supervised(&["abcdefghijklmnop"]);
        let _ = states(&mut source, 3);
        // One in thirty: no run is longer than 29.
        let rarely = ("+".to_owned() + &"-".repeat(29)).repeat(2);
        assert!(!source.note_readability(heard(&rarely)), "it stays open");
        let status = source.status().cloned().unwrap();
        assert_eq!(status.state, Undecodable);
        assert!(status.detail.contains("47 of its last 48 frames"), "{}", status.detail);
        assert!(status.detail.contains("data were lost"), "{}", status.detail);
        assert_eq!(states(&mut source, 2).last().unwrap().0, Undecodable);
        assert!(!source.note_readability(heard(&(rarely + &"+".repeat(40)))));
        assert_eq!(states(&mut source, 1)[0].0, Streaming, "it has recovered");
        assert_eq!(source.counts().opened, 1);
    }

    /// The doubts of so many calls, each as it changes, and how many frames came.
    fn doubts(source: &mut Supervised, calls: usize) -> (Vec<Option<DoubtKind>>, usize) {
        let mut frame = CapturedFrame::new();
        let (mut found, mut frames) = (Vec::new(), 0);
        for _ in 0..calls {
            frames += usize::from(source.next_frame(&mut frame).unwrap() == Progress::Frame);
            let kind = source.doubt().map(|doubt| doubt.kind);
            if found.last() != Some(&kind) {
                found.push(kind);
            }
        }
        (found, frames)
    }

    #[test]
    fn another_camera_than_at_first_and_a_virtual_one_are_noticed_and_told() {
        let (mut source, _) = supervised(&["A ab!", "B cd!", "_", "A ef!", "loopback gh!", "A ij"]);
        let (found, frames) = doubts(&mut source, 200);
        let (changed, virtual_one) = (Some(DoubtKind::Changed), Some(DoubtKind::Virtual));
        assert_eq!(found, [None, changed, None, virtual_one, None]);
        assert_eq!(frames, 10, "they are told, not refused");
        let (mut source, _) = supervised(&["loopback ab"]);
        assert_eq!(doubts(&mut source, 4).0, [virtual_one], "from its first opening on");
        let doubt = source.doubt().unwrap();
        assert_eq!((doubt.before.as_ref(), doubt.since), (None, Monotonic::default()));
    }

    #[test]
    fn a_camera_that_is_not_the_wanted_one_gives_no_frame() {
        let openings = ["B ab", "B ab", "loopback cd", "A ef!", "B gh"];
        let (source, _) = supervised(&openings);
        let mut source = source.wanting(Some("usb:046d:0825:A".to_owned()));
        let (found, frames) = doubts(&mut source, 3);
        assert_eq!((found, frames), (vec![Some(DoubtKind::Foreign)], 0));
        let status = source.status().cloned().unwrap();
        assert_eq!(status.state, Foreign);
        for part in ["usb:046d:0825:B", "usb:046d:0825:A", "camera.identity = "] {
            assert!(status.detail.contains(part), "{}", status.detail);
        }
        let (source, _) = supervised(&openings);
        let mut source = source.wanting(Some("usb:046d:0825:A".to_owned()));
        let states: Vec<_> = states(&mut source, 80).into_iter().map(|(state, _)| state).collect();
        assert_eq!(states, [Foreign, Streaming, Searching, Foreign]);
        assert_eq!(source.counts().frames, 2, "of the wanted one alone");
    }

    #[test]
    fn damaged_frames_are_counted_until_they_are_all_there_is() {
        let all_damaged = "?".repeat(60);
        let (mut source, _) = supervised(&["a?b", &all_damaged]);
        let _ = states(&mut source, 4);
        assert_eq!((source.counts().damaged, source.counts().faults), (1, 0));
        let (mut source, _) = supervised(&[&all_damaged]);
        let _ = states(&mut source, 40);
        assert!(source.counts().faults >= 1);
    }
}
