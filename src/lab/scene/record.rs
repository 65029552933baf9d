//! A scene as a recording that a door can replay.
//!
//! In: a [`Scene`]. Out: Motion JPEG, the frames in their order. Frames are rendered by as many
//! threads as the machine has processors; each is a function of its number, so the bytes are the
//! same however many there are.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use super::Scene;
use crate::capture::replay::mjpeg::MjpegWriter;

/// JPEG quality of the frames: about what a USB camera gives.
const QUALITY: u8 = 88;

/// Frames that a thread renders at a time.
const RUN: u32 = 8;

/// Most threads.
const THREADS_MAX: usize = 8;

impl Scene {
    /// Renders the whole scene to `output`; `progress` hears how many frames are done.
    ///
    /// # Errors
    /// What `output` says.
    pub fn record<W: Write>(&self, mut output: W, progress: &mut dyn FnMut(u32)) -> io::Result<W> {
        let frames = self.script().frames();
        let threads =
            std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
        let mut first = 0;
        while first < frames {
            let runs: Vec<_> = (0..threads as u32)
                .map(|thread| first + thread * RUN)
                .map(|from| from.min(frames)..(from + RUN).min(frames))
                .collect();
            let recorded = std::thread::scope(|scope| {
                let working: Vec<_> =
                    runs.iter().map(|run| scope.spawn(|| self.record_run(run.clone()))).collect();
                let finished = working.into_iter().map(|run| match run.join() {
                    Ok(bytes) => bytes,
                    Err(_) => Err(io::Error::other("a thread that rendered has died")),
                });
                finished.collect::<io::Result<Vec<_>>>()
            })?;
            for bytes in recorded {
                output.write_all(&bytes)?;
            }
            first = runs.last().map_or(frames, |run| run.end);
            progress(first);
        }
        output.flush()?;
        Ok(output)
    }

    fn record_run(&self, frames: std::ops::Range<u32>) -> io::Result<Vec<u8>> {
        let mut writer = MjpegWriter::new(Vec::new(), QUALITY);
        for index in frames {
            let frame = self.render(index);
            writer.write_rgb(frame.as_raw(), frame.width(), frame.height())?;
        }
        writer.finish()
    }
}
