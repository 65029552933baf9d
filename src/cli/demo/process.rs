//! The daemon as a process of its own, as an installation runs it.
//!
//! In: a configuration and arguments of `deepid-edge`. Out: what one command said, or a daemon that
//! runs until it ends by itself or is asked to. Invariants: a daemon that was started here does not
//! outlive its [`Daemon`]; settings of the environment are kept from it, but for those of the
//! models, so that a demonstration never speaks to somebody's real broker.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value as Json;

use super::system;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Flag, Sources};

/// How long a daemon may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(50);

/// Lines of its log that are shown when it fails.
const LOG_LINES: usize = 8;

/// Variables of the environment that the demonstration's processes may see: where models lie.
const MODELS: &str = "DEEPID_EDGE__MODELS__";

/// Where the demonstration's processes take their settings from.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The demonstration's own file.
    pub file: PathBuf,
    /// What the person who started it set above that.
    pub overrides: Vec<Flag>,
}

impl Settings {
    /// The same configuration, for this process.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let environment = std::env::vars().filter(|(name, _)| name.starts_with(MODELS)).collect();
        let (file, flags) = (Some(self.file.clone()), self.overrides.clone());
        Config::load(&Sources { file, environment, flags })
    }

    /// Runs one command to its end.
    pub(super) fn output(&self, arguments: &[&OsStr]) -> std::io::Result<Output> {
        self.command()?.args(arguments).output()
    }

    /// Runs one verb to its end, as a person would type it; its answer as JSON.
    ///
    /// # Errors
    /// What the verb said, as one of `kind`.
    pub(super) fn typed<T: AsRef<OsStr>>(
        &self,
        kind: Kind,
        arguments: &[T],
    ) -> Result<Json, Failure> {
        let arguments: Vec<&OsStr> =
            arguments.iter().map(AsRef::as_ref).chain(["--json".as_ref()]).collect();
        let verb = arguments.first().map_or_else(String::new, |verb| verb.display().to_string());
        let output = self
            .output(&arguments)
            .map_err(|error| system(&format!("the process of '{verb}'"), &error))?;
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap_or_default());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let error: Json = serde_json::from_str(&said).unwrap_or_default();
        let text = |key| error.pointer(key).and_then(Json::as_str).map(str::to_owned);
        let what = text("/error/what").unwrap_or_else(|| said.trim().to_owned());
        let remedy = text("/error/remedy").unwrap_or_else(|| "please report it".to_owned());
        Err(Failure::new(kind, what, remedy).at(text("/error/where").unwrap_or(verb)))
    }

    fn command(&self) -> std::io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("DEEPID_EDGE_") && !text.starts_with(MODELS) {
                command.env_remove(&name);
            }
        }
        command.arg("--config").arg(&self.file).env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        for flag in &self.overrides {
            command.arg("--set").arg(format!("{}={}", flag.key, flag.value));
        }
        Ok(command)
    }
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(super) struct Memory {
    /// Now, in bytes.
    pub resident_bytes: u64,
    /// The most so far, in bytes.
    pub peak_bytes: u64,
}

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `deepid-edge run`; its log goes to the file `log`.
    pub(super) fn start(settings: &Settings, log: &Path) -> std::io::Result<Self> {
        let child = settings
            .command()?
            .arg("run")
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Its memory; `None` when it has ended.
    pub(super) fn memory(&self) -> Option<Memory> {
        parse_memory(&std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?)
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
    }

    /// Asks it to end as a service manager would, and makes it end when it does not.
    pub(super) fn stop(&mut self, clock: &dyn Clock) {
        if !matches!(self.ended(), Ok(None)) {
            return;
        }
        // The shell's own kill: a minimal system has no program of that name.
        let asked = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.child.id().to_string()])
            .stdin(Stdio::null())
            .status();
        if asked.is_ok_and(|status| status.success()) {
            let begun = clock.now();
            while clock.now().since(begun) < PATIENCE {
                if !matches!(self.ended(), Ok(None)) {
                    return;
                }
                clock.sleep(POLL);
            }
        }
        tracing::warn!("the demo's daemon did not end when asked; it is killed");
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

fn parse_memory(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS")?, peak_bytes: bytes("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_own_words() {
        let status = "Name:\tx\nVmPeak:\t  90000 kB\nVmHWM:\t   31000 kB\nVmRSS:\t   30000 kB\n";
        let memory = Memory { resident_bytes: 30_000 * 1024, peak_bytes: 31_000 * 1024 };
        assert_eq!(parse_memory(status), Some(memory));
        assert_eq!(parse_memory("Name:\tx\n"), None);
    }
}
