//! `backup`: everything that a door needs to come back on another board, in one encrypted file.
//!
//! In: the database, which the daemon may go on using, and the configuration file. Out: a new file,
//! and what is in it and what is not. Invariants: an existing file is never touched; broker
//! passwords, keys and certificates stay on this board, and are named.
//! The format is in [`crate::store::backup`].

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::{passphrase, progress, subjects};
use crate::clock::{Clock as _, utc};
use crate::config::{Config, KEYS, KeyKind, Setting, read_file};
use crate::store::Store;
use crate::store::backup::{ConfigFile, Manifest, Occasion, WORK_FACTOR};

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The new file, best on another medium
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    passphrase: passphrase::From,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let store = subjects::existing(&config, Store::open_read_only)?;
        let text =
            config.file().map(|path| Ok::<_, Failure>((path, read_file(path)?))).transpose()?;
        let wall = subjects::clock(&store, &config)?.wall();
        let occasion = Occasion {
            software: env!("CARGO_PKG_VERSION").to_owned(),
            made: utc(wall.unix_ms),
            door: config.door.id.clone(),
            // A device such as /dev/null stands for "no file".
            config: text
                .filter(|(path, _)| path.is_file())
                .map(|(path, text)| ConfigFile { path: path.to_owned(), text }),
        };
        let passphrase = self.passphrase.new_one(context)?;
        context.mention("copying the database, then encrypting it …");
        let bar = progress::bytes(context);
        let manifest =
            store.back_up(occasion, &passphrase, WORK_FACTOR, &self.file, &mut |done, all| {
                bar.set_length(all);
                bar.set_position(done);
            });
        bar.finish_and_clear();
        let manifest = manifest?;
        tell(context, &self.file, &manifest, &named_files(&config))
    }
}

fn tell(
    context: &Context,
    file: &Path,
    manifest: &Manifest,
    left_out: &[(&'static str, PathBuf)],
) -> Result<Kind, Failure> {
    let bytes = std::fs::metadata(file).map_or(0, |about| about.len());
    let mut text =
        format!("{} written, {bytes} bytes, encrypted\n{}", file.display(), contents(manifest));
    if manifest.config.is_none() {
        text.push_str("  no configuration: this door has no file\n");
    }
    for (key, path) in left_out {
        let _infallible = writeln!(text, "  not in it: {} ({key})", path.display());
    }
    if !left_out.is_empty() {
        text.push_str(
            "  give the next board its own, and a lost board can be shut out at the broker\n",
        );
    }
    let _infallible = writeln!(text, "try it: 'deepid-edge restore --check {}'", file.display());
    let left_out: Vec<_> =
        left_out.iter().map(|(key, path)| json!({ "key": key, "path": path })).collect();
    context.tell(
        text,
        &json!({ "written": file, "bytes": bytes, "manifest": manifest, "not_included": left_out }),
    )?;
    Ok(Kind::Done)
}

/// What a manifest says, line by line.
pub(super) fn contents(manifest: &Manifest) -> String {
    let database = &manifest.database;
    let mut text = format!(
        "  door '{}', made {} by deepid-edge {}\n  {} subjects; database of {} bytes, schema version {}\n",
        manifest.door,
        manifest.made,
        manifest.software,
        database.subjects,
        database.bytes,
        database.schema
    );
    for entry in &database.references {
        let how = entry.procedure.map_or_else(
            || "unknown file".to_owned(),
            |procedure| format!("procedure {}", procedure.shown()),
        );
        let _infallible =
            writeln!(text, "  {} references of {} ({how})", entry.references, entry.model);
    }
    if let Some(path) = &manifest.config {
        let _infallible = writeln!(text, "  configuration of {}", path.display());
    }
    text
}

/// Keys of paths at which there is nothing that only this door has: the database is in the backup,
/// networks and library come with the package, and a recording is for tests.
const OF_NO_DOOR: [&str; 4] =
    ["store.path", "models.directory", "models.library", "camera.replay.path"];

/// The files that a configuration names and that no backup carries, by key.
pub(super) fn named_files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let left_out = |setting: &&Setting| {
        let path = KEYS.iter().any(|key| key.name == setting.key && key.kind == KeyKind::Path);
        path && !OF_NO_DOOR.contains(&setting.key)
    };
    let named = config.settings().iter().filter(left_out);
    named
        .filter_map(|setting| Some((setting.key, setting.value.as_ref()?.as_str()?.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};

    #[test]
    fn every_file_that_only_this_door_has_is_named() {
        // What a file needs beside it.
        let others = [
            ("camera.device", "rtsp://camera/door"),
            ("camera.username", "door"),
            ("mqtt.username", "door"),
            ("mqtt.tls.enabled", "true"),
            ("serve.tls", "certificate"),
        ];
        let paths = KEYS.iter().filter(|key| key.kind == KeyKind::Path);
        let files = paths.map(|key| Flag::set(key.name, &format!("/canary/{}", key.name)));
        let flags = others.map(|(key, value)| Flag::set(key, value)).into_iter().chain(files);
        let flags = flags.collect();
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let named: Vec<_> = named_files(&config).into_iter().map(|(key, _)| key).collect();
        let expected = [
            "camera.password_file",
            "passback.keys",
            "store.key_file",
            "sign.key_file",
            "mqtt.password_file",
            "mqtt.tls.ca",
            "mqtt.tls.cert",
            "mqtt.tls.key",
            "serve.certificate",
            "serve.key",
        ];
        assert_eq!(named, expected);
    }
}
