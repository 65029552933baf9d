//! The real binary, run as a service would run it, in a folder of its own.
//!
//! A [`Home`] has configuration, database and log; [`Home::run`] starts the daemon on a recording
//! and listens to what it says to the service manager. Waiting is bounded by [`PATIENCE`], which
//! guards against hanging and measures nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deepid_edge::clock::{Clock, ClockRequirement, Floor, SystemClock};
use deepid_edge::store::{AuditRecord, Store, StoreSettings};
use serde_json::Value;

use super::answer::Answer;
use super::ended::Ended;
use super::models::root;

/// How long anything may take before the test gives up; no measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn clock() -> SystemClock {
    SystemClock::new(ClockRequirement::Plausible, Floor::default())
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let clock = clock();
    let start = clock.now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(clock.now().since(start) < PATIENCE, "waited in vain for {what}");
        clock.sleep(Duration::from_millis(20));
    }
}

/// A folder with configuration and database, and what runs in it.
pub struct Home {
    folder: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
    /// The configuration file; below it everything that is set by a flag.
    file: PathBuf,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = vec![
            ("store.path", folder.path().join("door.db").display().to_string()),
            ("mqtt.enabled", "false".to_owned()),
            ("camera.replay.pace", "fast".to_owned()),
            // What the tests show is rendered from photographs: pictures, and no living people.
            ("live.mode", "off".to_owned()),
            ("policy.required_liveness", "false".to_owned()),
        ];
        Self { folder, settings, file: "/dev/null".into() }
    }

    /// One with a database in which nobody is enrolled.
    pub fn with_database() -> Self {
        let home = Self::new();
        drop(home.store());
        home
    }

    /// Its database, which is made where it is not there.
    pub fn store(&self) -> Store {
        Store::open(&self.path("door.db"), StoreSettings::default()).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn set(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        self.settings.push((key, value.to_string()));
        self
    }

    /// What the configuration file says, from now on and from the next reload on.
    pub fn write(&mut self, text: &str) {
        self.file = self.path("config.toml");
        // As an administrator's editor does: at no moment is there half a file.
        let new = self.path("config.toml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    /// Speaks to a broker on `port` of this machine.
    pub fn broker(self, port: u16) -> Self {
        self.set("mqtt.enabled", true).set("mqtt.host", "127.0.0.1").set("mqtt.port", port)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepid-edge"));
        command
            .current_dir(root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg("--config").arg(&self.file);
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.args(arguments);
        command
    }

    /// Runs a verb to its end.
    pub fn ask(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    /// What a verb that succeeds tells a machine.
    pub fn told(&self, arguments: &[&str]) -> Value {
        let answer = self.ask(&[arguments, &["--json"]].concat());
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
        answer.json()
    }

    /// Enrols the person of the demo's photographs.
    pub fn enrol_obama(self) -> Self {
        let photograph =
            |name: &str| root().join("assets/photographs").join(name).display().to_string();
        let (one, two) = (photograph("obama.jpg"), photograph("obama2.jpg"));
        let output =
            self.command(&["enroll", "obama", "--image", &one, "--image", &two]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self
    }

    /// Starts `run` on a recording.
    pub fn run(&self, recording: &Path) -> Daemon {
        self.start(&["run", "--replay", recording.to_str().unwrap()])
    }

    /// Starts `run` on whatever camera is configured.
    pub fn run_on_camera(&self) -> Daemon {
        self.start(&["run"])
    }

    fn start(&self, arguments: &[&str]) -> Daemon {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let notify = self.path("notify");
        std::fs::remove_file(&notify).ok();
        let notified = Arc::new(Mutex::new(String::new()));
        listen(UnixDatagram::bind(&notify).unwrap(), Arc::clone(&notified));
        let child = self
            .command(arguments)
            .env("NOTIFY_SOCKET", &notify)
            .stderr(Stdio::from(log))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let child = Ended::with(child);
        Daemon { child, notified, log: self.path("log") }
    }

    pub fn records(&self) -> Vec<AuditRecord> {
        let path = self.path("door.db");
        let store = Store::open_read_only(&path, StoreSettings::default()).unwrap();
        store.audit(0, 10_000).unwrap()
    }
}

/// Reads all that is said to the service manager, as systemd does: a daemon whose words nobody
/// reads would wait.
fn listen(socket: UnixDatagram, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            let mut said = into.lock().unwrap();
            let _infallible = writeln!(said, "{}", String::from_utf8_lossy(&buffer[..length]));
        }
    });
}

/// Killed when it is dropped.
pub struct Daemon {
    child: Ended,
    notified: Arc<Mutex<String>>,
    log: PathBuf,
}

impl Daemon {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said `wanted` (such as `READY=1`) to the service manager.
    pub fn until_notified(&self, wanted: &str) {
        until(wanted, || self.notified.lock().unwrap().contains(wanted).then_some(()));
    }

    /// All that was said to the service manager.
    pub fn notified(&self) -> String {
        self.notified.lock().unwrap().clone()
    }

    pub fn signal(&self, name: &str) {
        super::signal(self.child.id(), name);
    }

    pub fn until_ended(&mut self) -> ExitStatus {
        until("the daemon's end", || self.child.try_wait().unwrap())
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}
