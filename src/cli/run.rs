//! `run`: the daemon.
//!
//! In: the configuration. Out: nothing but the daemon's own doings; returns when it was asked to
//! stop. Everything that the daemon is stands in [`crate::daemon`]; this is the door to it.

use clap::Args;

use super::exit::Kind;
use super::failure::Failure;
use super::logging;
use super::session::{Session, direct_flag};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the door, above door.id
    #[arg(long, value_name = "ID")]
    door: Option<String>,
    /// Camera, above camera.device
    #[arg(long, value_name = "PATH", conflicts_with = "replay")]
    device: Option<String>,
    /// Folder, MJPEG or Y4M file in place of the camera, above camera.replay.path
    #[arg(long, value_name = "PATH")]
    replay: Option<String>,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        let flags = [
            ("--door", "door.id", self.door),
            ("--device", "camera.device", self.device),
            ("--replay", "camera.replay.path", self.replay),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some(direct_flag(flag, key, &value?)))
            .collect();
        let config = session.config_with(flags)?;
        logging::for_the_daemon(&config);
        crate::daemon::run(&config, &crate::daemon::Stop::default())?;
        Ok(Kind::Done)
    }
}
