//! What has to be there before the demonstration's visit is replayed: a folder, somebody who is
//! enrolled, a recording.
//!
//! In: the script, the photographs. Out: a folder that goes with its owner, the subject's id, the
//! threshold that is in force for this gallery, the rendered visit.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::process::Settings;
use super::{BASE, DOOR, say, system};
use crate::cli::context::Context;
use crate::cli::evaluate::progress_bar;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::compare::Operating;
use crate::equip::Networks;
use crate::lab::scene::{Scene, Script};
use crate::store::Store;

/// The account of the page.
pub(super) const ACCOUNT: &str = "demo";

/// A temporary folder that goes with its owner.
pub(super) struct Workplace(PathBuf);

impl Workplace {
    pub(super) fn new() -> Result<Self, Failure> {
        let folder =
            std::env::temp_dir().join(format!("deepid-edge-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).map_err(|error| {
            Failure::new(Kind::Input, error.to_string(), "set TMPDIR to a folder with room")
                .at(folder.display().to_string())
        })?;
        Ok(Self(folder))
    }

    pub(super) fn recording(&self) -> PathBuf {
        self.0.join("visit.mjpeg")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("daemon.log")
    }

    /// Writes the demonstration's configuration.
    pub(super) fn configure(
        &self,
        fast: bool,
        keep: bool,
        broker: SocketAddr,
        page: Option<SocketAddr>,
    ) -> Result<PathBuf, Failure> {
        let file = self.0.join("config.toml");
        let pace = if fast { "fast" } else { "real-time" };
        let mut keys = json!({
            "door": { "id": DOOR },
            "camera": { "replay": { "path": self.recording(), "repeat": keep, "pace": pace } },
            "store": { "path": self.0.join("demo.db") },
            "mqtt": { "host": broker.ip(), "port": broker.port(), "base": BASE },
        });
        if let (Some(page), Some(keys)) = (page, keys.as_object_mut()) {
            keys.insert("serve".to_owned(), json!({ "listen": page.to_string() }));
        }
        let written = toml::to_string(&keys)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&file, text));
        written.map_err(|error| {
            Failure::new(Kind::Input, error.to_string(), "set TMPDIR to a folder with room")
                .at(file.display().to_string())
        })?;
        Ok(file)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder stays");
        }
    }
}

/// Enrols whom the script says, as a person would; the subjects' ids, in that order.
pub(super) fn enroll(
    settings: &Settings,
    script: &Script,
    photographs: &Path,
) -> Result<Vec<String>, Failure> {
    let mut subjects = Vec::with_capacity(script.enrolments.len());
    for enrolment in &script.enrolments {
        let pictures: Vec<_> =
            enrolment.photographs.iter().map(|name| photographs.join(name)).collect();
        let mut arguments: Vec<&OsStr> =
            vec!["enroll".as_ref(), enrolment.name.as_ref(), "--image".as_ref()];
        arguments.extend(pictures.iter().map(|picture| picture.as_os_str()));
        let answer = settings.typed(Kind::Input, &arguments)?;
        let id = answer.pointer("/subject/id").and_then(Json::as_str);
        subjects.push(id.map(str::to_owned).ok_or_else(|| {
            Failure::new(Kind::Fault, "the enrolment names nobody", "please report it")
        })?);
    }
    Ok(subjects)
}

/// Makes an account of the page, which goes with the demonstration; its password.
pub(super) fn account(settings: &Settings, place: &Workplace) -> Result<String, Failure> {
    let password = uuid::Uuid::new_v4().simple().to_string().split_off(16);
    let file = place.0.join("password");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&file).and_then(|mut file| file.write_all(password.as_bytes()));
    written.map_err(|error| system("a file in the demo's folder", &error))?;
    let mut arguments: Vec<&OsStr> =
        ["accounts", "add", ACCOUNT, "--role", "administrator"].map(AsRef::as_ref).to_vec();
    arguments.extend(["--password-file".as_ref(), file.as_os_str()]);
    settings.typed(Kind::Fault, &arguments)?;
    Ok(password)
}

/// Has the door make its key, and reads the public part at the door itself: its `x`.
pub(super) fn grant_key(settings: &Settings) -> Result<String, Failure> {
    let failed = |error| system("the process of 'keys'", &error);
    for verb in [&["keys", "rotate", "--yes"][..], &["keys", "show", "--jwk"]] {
        let arguments: Vec<&OsStr> = verb.iter().map(AsRef::as_ref).collect();
        let output = settings.output(&arguments).map_err(failed)?;
        let key: Json = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if let Some(x) = key.get("x").and_then(Json::as_str) {
            return Ok(x.to_owned());
        }
    }
    Err(Failure::new(Kind::Fault, "the door shows no grant key", "please report it"))
}

/// The model, and the threshold in force for those who are enrolled.
pub(super) fn operating(settings: &Settings) -> Result<(String, Operating), Failure> {
    let config = settings.config()?;
    let networks = Networks::open(&config)?;
    let store = Store::open_read_only(&config.store.path, config.store_settings())?;
    let key = networks.cards().key(&config, &config.models.embedder)?;
    let gallery = networks.gallery(&config, store.references(&key)?)?;
    Ok((config.models.embedder.to_string(), gallery.operating()))
}

pub(super) fn introduce(
    context: &Context,
    script: &Script,
    subjects: &[String],
    model: &str,
    operating: &Operating,
) -> Result<(), Failure> {
    for (number, (subject, enrolment)) in subjects.iter().zip(&script.enrolments).enumerate() {
        let label = if number == 0 { "enrolled" } else { "" };
        let (who, pictures) = (&enrolment.name, enrolment.photographs.join(" and "));
        say(context, &format!("{label:<10} {subject} ({who}) from {pictures}"))?;
    }
    let claim = match (operating.claimed_fmr, operating.claimed_fpir) {
        (Some(fmr), Some(fpir)) => format!("claimed FMR {fmr:.1e}, FPIR {fpir:.1e}"),
        _ => "no claim: the calibration does not cover it".to_owned(),
    };
    say(
        context,
        &format!("threshold  {:.3} by {model} for this gallery; {claim}", operating.threshold),
    )?;
    say(context, "           one visit proves little of a network: see docs/limitations.md")
}

/// Renders the visit.
pub(super) fn record(
    context: &Context,
    script: Script,
    photographs: &Path,
    recording: &Path,
) -> Result<(), Failure> {
    let (frames, rate) = (script.frames(), script.picture.rate);
    let scene =
        Scene::load(script, photographs).map_err(|error| Failure::of(Kind::Input, &error))?;
    if !context.draws_progress() {
        context
            .mention(format!("rendering {frames} frames of the visit, which takes some seconds"));
    }
    let bar = progress_bar(context);
    bar.set_length(u64::from(frames));
    bar.set_message("rendering the visit");
    let file = std::fs::File::create(recording).map(std::io::BufWriter::new);
    let written =
        file.and_then(|file| scene.record(file, &mut |done| bar.set_position(done.into())));
    bar.finish_and_clear();
    written.map_err(|error| {
        Failure::new(
            Kind::Input,
            error.to_string(),
            "make room, or set TMPDIR to a folder with room",
        )
        .at(recording.display().to_string())
    })?;
    let seconds = f64::from(frames) / f64::from(rate);
    say(context, &format!("visit      {frames} frames, {seconds:.0} s, rendered from photographs"))
}
