//! Compressed clips as recordings that a door can replay.
//!
//! In: any video that ffmpeg reads. Out: a Motion JPEG file in a temporary folder that goes with
//! the [`Transcoder`]. Deliberately absent: a video decoder of our own; on a board there is none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Frames a second of the recordings that are made.
pub const RATE: u32 = 30;

/// ffmpeg's quality for Motion JPEG: 2 is best, 31 is worst.
const QUALITY: &str = "2";

/// Why a clip could not be transcoded.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// There is no ffmpeg.
    #[error("ffmpeg: {0}; clips are transcoded by it: install it ('apt-get install ffmpeg')")]
    Absent(std::io::Error),
    /// ffmpeg refuses the clip.
    #[error("clip {path}: ffmpeg cannot read it: {said}; is the file whole?")]
    Refused {
        /// The clip.
        path: PathBuf,
        /// The last line that ffmpeg said.
        said: String,
    },
    /// No place for the recording.
    #[error("temporary folder {path}: {source}; set TMPDIR to a folder with room")]
    Folder {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// A temporary folder of recordings.
#[derive(Debug)]
pub struct Transcoder {
    folder: PathBuf,
}

impl Transcoder {
    /// Makes the folder.
    ///
    /// # Errors
    /// [`TranscodeError::Folder`].
    pub fn new() -> Result<Self, TranscodeError> {
        let folder = std::env::temp_dir().join(format!("deepid-edge-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder)
            .map_err(|source| TranscodeError::Folder { path: folder.clone(), source })?;
        Ok(Self { folder })
    }

    /// Transcodes `clip`; one that is Motion JPEG already is used as it is.
    ///
    /// # Errors
    /// [`TranscodeError`] when there is no ffmpeg or it refuses the clip.
    pub fn recording(&self, clip: &Path) -> Result<PathBuf, TranscodeError> {
        if clip.extension().is_some_and(|ending| ending == "mjpeg") {
            return Ok(clip.to_owned());
        }
        let name = clip.file_stem().unwrap_or(clip.as_os_str());
        let recording = self.folder.join(name).with_extension("mjpeg");
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-v", "error", "-y", "-i"])
            .arg(clip)
            .args(["-an", "-r", &RATE.to_string(), "-c:v", "mjpeg", "-q:v", QUALITY])
            .args(["-f", "mjpeg"])
            .arg(&recording)
            .stdin(Stdio::null())
            .output()
            .map_err(TranscodeError::Absent)?;
        if output.status.success() {
            return Ok(recording);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or("no reason given").to_owned();
        Err(TranscodeError::Refused { path: clip.to_owned(), said })
    }
}

impl Drop for Transcoder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "temporary folder stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_its_owner() {
        let transcoder = Transcoder::new().expect("a temporary folder");
        let folder = transcoder.folder.clone();
        assert!(folder.is_dir());
        drop(transcoder);
        assert!(!folder.exists());
    }

    #[test]
    fn a_recording_that_needs_nothing_is_used_as_it_is() {
        let transcoder = Transcoder::new().expect("a temporary folder");
        let clip = Path::new("somewhere/A-book.mjpeg");
        assert_eq!(transcoder.recording(clip).expect("as it is"), clip);
    }
}
