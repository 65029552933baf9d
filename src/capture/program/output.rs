//! The thread that reads a program's output: bytes in, the newest frame out.
//!
//! In: the read end of a pipe, the [`Output`] that is expected. Out: frames into [`Newest`], damage,
//! and why it ended. The parsers are those of recordings; behind what they cannot read they look for
//! the next frame.
//!
//! Invariants: never blocks for longer than [`PATIENCE`] without looking whether it shall stop, also
//! within endless bytes that hold no frame; memory is that of one frame and the parser's bounds. A
//! frame was captured when its last byte arrived. Where that byte lay in the pipe already when it was
//! asked for, its arrival is not known, and the last moment counts at which the pipe was empty: so a
//! frame that waited because this process was slow is as old as it is.
//! Where this process was held up for [`HELD_UP_MS`] and more (stopped, no CPU), the program was
//! blocked in the middle of something, and what it has gathered meanwhile is old as well and cannot be
//! told from news: that is an end, and it is started anew.
//! Deliberately absent: knowledge of which program it is.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Output;
use super::newest::Newest;
use crate::capture::decode::first_bytes;
use crate::capture::replay::mjpeg::{MjpegError, MjpegReader};
use crate::capture::replay::y4m::{BareFormat, Y4mError, Y4mReader};
use crate::capture::{CapturedFrame, PATIENCE};
use crate::clock::{Clock, Monotonic};

/// For so long nobody may have read, in milliseconds, before what comes counts as old.
pub(super) const HELD_UP_MS: u64 = 1000;

/// Bytes that are asked of the pipe at once: what it holds.
const BUFFER_BYTES: usize = 64 << 10;

/// Of how many bytes the beginning is shown.
const SHOWN_BYTES: usize = 24;

/// Why no frame will come any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The program has closed its output.
    Closed,
    /// What it writes cannot be used.
    Unusable(String),
    /// This process did not read for so long.
    HeldUp {
        /// How long.
        ms: u64,
    },
}

/// What the thread is told.
pub(super) struct Reader {
    pub(super) newest: Arc<Newest>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) output: Output,
    pub(super) size: (u32, u32),
}

/// A pipe that is read with patience, and notes when bytes arrived.
pub(super) struct Pipe<R> {
    input: R,
    stop: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    arrived: Rc<Cell<Monotonic>>,
    held_up: Rc<Cell<Option<u64>>>,
    /// When the pipe was last seen empty.
    empty_at: Monotonic,
    /// When the last bytes were handed out.
    returned_at: Monotonic,
}

impl<R: Read + AsFd> Pipe<R> {
    pub(super) fn new(input: R, stop: Arc<AtomicBool>, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let (arrived, held_up) = (Rc::new(Cell::new(now)), Rc::new(Cell::new(None)));
        Self { input, stop, clock, arrived, held_up, empty_at: now, returned_at: now }
    }

    fn note_gap(&self, since: Monotonic, now: Monotonic) -> io::Result<()> {
        let ms = now.since(since).as_millis() as u64;
        if ms < HELD_UP_MS {
            return Ok(());
        }
        self.held_up.set(Some(ms));
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Waits until there are bytes, or the end; gives the latest moment at which they were not there
    /// yet: now, where they were waited for.
    fn wait(&mut self) -> io::Result<Monotonic> {
        let mut patience = Duration::ZERO;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(patience.subsec_nanos()) };
            let begun = self.clock.now();
            let ready = match poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let now = self.clock.now();
            self.note_gap(begun, now)?;
            if ready == 0 {
                (self.empty_at, patience) = (now, PATIENCE);
                continue;
            }
            // Woken as soon as they came, unless this thread did not run then.
            if !patience.is_zero() && now.since(begun) <= PATIENCE {
                self.empty_at = now;
            }
            return Ok(self.empty_at);
        }
    }
}

impl<R: Read + AsFd> Read for Pipe<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.note_gap(self.returned_at, self.clock.now())?;
        let arrived = self.wait()?;
        let count = self.input.read(buffer)?;
        self.arrived.set(arrived);
        self.returned_at = self.clock.now();
        if count < buffer.len() {
            // It gave all that it had.
            self.empty_at = self.returned_at;
        }
        Ok(count)
    }
}

/// The parsers.
enum Frames<R> {
    Mjpeg(MjpegReader<R>),
    Y4m(Y4mReader<R>),
}

/// What came of looking for one frame.
enum Found {
    Frame,
    Damaged,
    End,
}

impl<R: io::BufRead> Frames<R> {
    fn new(output: Output, size: (u32, u32), input: R) -> Result<Option<Self>, Y4mError> {
        Ok(match output {
            Output::Mjpeg => {
                let mut reader = MjpegReader::new(input);
                reader.resynchronise();
                Some(Self::Mjpeg(reader))
            }
            Output::Y4m => Y4mReader::find(input)?.map(Self::Y4m),
            Output::Yuv420 => Some(Self::Y4m(Y4mReader::bare(input, size, BareFormat::Yuv420)?)),
            Output::Nv12 => Some(Self::Y4m(Y4mReader::bare(input, size, BareFormat::Nv12)?)),
        })
    }

    fn next(&mut self, frame: &mut CapturedFrame, sequence: u64) -> Found {
        let now = Monotonic::default();
        match self {
            Self::Mjpeg(reader) => match reader.next_picture(frame.begin_jpeg(sequence, now)) {
                Ok(true) => Found::Frame,
                Ok(false) | Err(MjpegError::Io { .. } | MjpegError::Truncated { .. }) => Found::End,
                Err(MjpegError::Malformed { .. } | MjpegError::TooLong { .. }) => {
                    reader.resynchronise();
                    Found::Damaged
                }
            },
            Self::Y4m(reader) => {
                let (format, size) = (reader.format(), reader.size());
                let stride = format.min_stride(size.0);
                let buffer = frame.begin_raw(format, size, stride, sequence, now);
                match reader.next_frame(buffer) {
                    Ok(true) if reader.is_mixed() => Found::Damaged,
                    Ok(true) => Found::Frame,
                    Ok(false) | Err(Y4mError::Io { .. } | Y4mError::Truncated { .. }) => Found::End,
                    Err(Y4mError::Frame { .. } | Y4mError::Header { .. }) => {
                        match reader.resynchronise() {
                            Ok(true) => Found::Damaged,
                            Ok(false) | Err(_) => Found::End,
                        }
                    }
                }
            }
        }
    }
}

/// Shows the beginning of what is read through it.
struct Shown<R> {
    input: R,
    newest: Arc<Newest>,
    beginning: Vec<u8>,
}

impl<R: Read> Read for Shown<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if self.beginning.len() < SHOWN_BYTES && count > 0 {
            let left = SHOWN_BYTES - self.beginning.len();
            self.beginning.extend(buffer.iter().take(count.min(left)));
            self.newest.begins(first_bytes(&self.beginning));
        }
        Ok(count)
    }
}

impl Reader {
    /// Reads until the end, and says why that is one.
    pub(super) fn run<R: Read + AsFd>(self, pipe: R) {
        let pipe = Pipe::new(pipe, Arc::clone(&self.stop), Arc::clone(&self.clock));
        let (arrived, held_up) = (Rc::clone(&pipe.arrived), Rc::clone(&pipe.held_up));
        let shown = Shown { input: pipe, newest: Arc::clone(&self.newest), beginning: Vec::new() };
        let input = BufReader::with_capacity(BUFFER_BYTES, shown);
        let ended = match Frames::new(self.output, self.size, input) {
            Ok(Some(frames)) => self.read(frames, &arrived),
            Ok(None) | Err(Y4mError::Io { .. }) => Ended::Closed,
            Err(error) => Ended::Unusable(error.to_string()),
        };
        self.newest.end(held_up.get().map_or(ended, |ms| Ended::HeldUp { ms }));
    }

    fn read<R: io::BufRead>(&self, mut frames: Frames<R>, arrived: &Cell<Monotonic>) -> Ended {
        let (mut frame, mut sequence) = (CapturedFrame::new(), 0);
        let mut last = Monotonic::default();
        loop {
            match frames.next(&mut frame, sequence) {
                Found::Frame => {
                    // Of two that came at once the second is the later one all the same.
                    last = arrived.get().max(last.plus(Duration::from_micros(1)));
                    frame.restamp(sequence, last);
                    self.newest.put(&mut frame);
                }
                Found::Damaged => self.newest.damaged(sequence),
                Found::End => return Ended::Closed,
            }
            sequence += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::program::newest::Taken;
    use crate::clock::{ManualClock, PLAUSIBLE_FROM_UNIX_MS};
    use std::io::Write as _;

    struct Bench {
        newest: Arc<Newest>,
        clock: Arc<ManualClock>,
        writer: io::PipeWriter,
        thread: std::thread::JoinHandle<()>,
        stop: Arc<AtomicBool>,
    }

    fn bench(output: Output) -> Bench {
        let (pipe, writer) = io::pipe().unwrap();
        let clock = ManualClock::new(Monotonic::from_millis(1000), PLAUSIBLE_FROM_UNIX_MS);
        let (clock, newest) = (Arc::new(clock), Arc::new(Newest::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            newest: Arc::clone(&newest),
            stop: Arc::clone(&stop),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            output,
            size: (2, 2),
        };
        let thread = std::thread::spawn(move || reader.run(pipe));
        Bench { newest, clock, writer, thread, stop }
    }

    /// Asks until something else than nothing comes.
    fn taken(newest: &Newest, frame: &mut CapturedFrame) -> Taken {
        for _ in 0..100 {
            match newest.take(frame, Duration::from_millis(200)) {
                Taken::Nothing => {}
                other => return other,
            }
        }
        Taken::Nothing
    }

    #[test]
    fn a_frame_is_as_old_as_its_last_byte_and_one_that_waited_as_the_last_empty_pipe() {
        let (pipe, mut writer) = io::pipe().unwrap();
        let clock =
            Arc::new(ManualClock::new(Monotonic::from_millis(1000), PLAUSIBLE_FROM_UNIX_MS));
        let stop = Arc::new(AtomicBool::new(false));
        let mut pipe = Pipe::new(pipe, stop, Arc::clone(&clock) as Arc<dyn Clock>);
        let mut byte = [0];
        // It lay there when it was asked for: it is no newer than the beginning.
        writer.write_all(b"a").unwrap();
        clock.advance(Duration::from_millis(700));
        pipe.read_exact(&mut byte).unwrap();
        assert_eq!(pipe.arrived.get(), Monotonic::from_millis(1000));
        // It is waited for.
        clock.advance(Duration::from_millis(50));
        let late = std::thread::spawn(move || {
            std::thread::yield_now();
            // Not before the other side waits, in most runs; either answer is honest.
            writer.write_all(b"b").unwrap();
            writer
        });
        pipe.read_exact(&mut byte).unwrap();
        let arrived = pipe.arrived.get();
        assert!(arrived >= Monotonic::from_millis(1700) && arrived <= Monotonic::from_millis(1750));
        let mut writer = late.join().unwrap();
        // Nobody read for longer than that: what there is now is of no use.
        writer.write_all(b"c").unwrap();
        clock.advance(Duration::from_millis(HELD_UP_MS));
        assert!(pipe.read_exact(&mut byte).is_err());
        assert_eq!(pipe.held_up.get(), Some(HELD_UP_MS));
    }

    #[test]
    fn frames_are_found_in_every_format_and_the_end_is_told() {
        let y4m = b"noise\nYUV4MPEG2 W2 H2 C420\nFRAME\nABCDur".as_slice();
        for (output, bytes, wanted) in [
            (Output::Y4m, y4m, b"ABCDur".as_slice()),
            (Output::Yuv420, b"ABCDur", b"ABCDur"),
            (Output::Nv12, b"ABCDur", b"ABCDur"),
        ] {
            let mut bench = bench(output);
            let mut frame = CapturedFrame::new();
            bench.writer.write_all(bytes).unwrap();
            assert_eq!(taken(&bench.newest, &mut frame), Taken::Frame, "{output:?}");
            assert_eq!((frame.bytes(), frame.width()), (wanted, 2));
            assert_eq!(frame.captured_at(), Monotonic::from_millis(1000));
            drop(bench.writer);
            assert_eq!(taken(&bench.newest, &mut frame), Taken::Ended(Ended::Closed));
            bench.thread.join().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_and_shown() {
        let mut bench = bench(Output::Y4m);
        bench.writer.write_all(b"YUV4MPEG2 W2 H2 C444\n").unwrap();
        let mut frame = CapturedFrame::new();
        match taken(&bench.newest, &mut frame) {
            Taken::Ended(Ended::Unusable(found)) => assert!(found.contains("yuv420p"), "{found}"),
            other => panic!("{other:?}"),
        }
        assert!(bench.newest.other_bytes().is_some());
        bench.thread.join().unwrap();
    }

    #[test]
    fn endless_bytes_without_a_frame_do_not_keep_it_from_stopping() {
        let mut bench = bench(Output::Mjpeg);
        let writing =
            std::thread::spawn(move || while bench.writer.write_all(&[7; 4096]).is_ok() {});
        while bench.newest.other_bytes().is_none() {
            std::thread::yield_now();
        }
        bench.stop.store(true, Ordering::Relaxed);
        bench.thread.join().unwrap();
        writing.join().unwrap();
        assert!(bench.clock.now() >= Monotonic::default());
    }
}
