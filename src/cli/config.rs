//! `config show` and `config check`.
//!
//! In: all layers of settings. Out: what is in force and which layer said so, as valid TOML or
//! JSON; or that all is right. Invariant: no secret is shown: no key is made for one, and what stands
//! in another key as an address with a password is masked.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::context::{Context, write_out};
use super::exit::Kind;
use super::failure::Failure;
use crate::clock::{Clock as _, Floor, SystemClock};
use crate::config::{Config, KEYS, SECTIONS, Setting, default_file};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show every key that is in force, and which layer set it
    Show(Show),
    /// Say whether the configuration is right, and everything that is wrong
    Check,
}

/// Arguments of `config show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Print the commented default file instead, with every key
    #[arg(long)]
    default: bool,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        match self {
            Self::Show(Show { default: true }) if context.json() => {
                context.tell("", &key_table())?;
            }
            Self::Show(Show { default: true }) => write_out(&default_file())?,
            Self::Show(Show { default: false }) => {
                let config = context.config()?;
                context.tell(
                    in_force(&config),
                    &json!({
                        "file": config.file(),
                        "settings": config.settings().iter().map(|setting| json!({
                            "key": setting.key,
                            "value": setting.shown(),
                            "origin": setting.origin,
                        })).collect::<Vec<_>>(),
                    }),
                )?;
            }
            Self::Check => check(context)?,
        }
        Ok(Kind::Done)
    }
}

/// Checks the keys, and looks at the files that they name for the broker. What is wrong with those
/// is a warning: without a broker the door still decides and records, and the service, which asks
/// this before it starts, must not stay away for it.
fn check(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let place = config
        .file()
        .map_or_else(|| "no file, defaults".to_owned(), |path| path.display().to_string());
    let clock = SystemClock::new(config.clock.require, Floor::default());
    let now_s = u64::try_from(clock.wall().unix_ms / 1000).unwrap_or_default();
    let troubles = config.session_settings().map(|settings| settings.troubles(now_s));
    let warnings: Vec<_> = troubles.iter().flatten().map(ToString::to_string).collect();
    for warning in &warnings {
        context.mention(format_args!("warning: {warning}"));
    }
    context.tell(
        format!("configuration is right ({place})"),
        &json!({ "ok": true, "file": config.file(), "warnings": warnings }),
    )
}

fn key_table() -> Vec<Json> {
    KEYS.iter()
        .map(|key| {
            json!({
                "key": key.name,
                "default": key.default,
                "must_be": key.kind.to_string(),
                "environment": crate::config::environment_name(key.name),
                "help": key.help,
                "change": key.change,
            })
        })
        .collect()
}

/// Valid TOML with the layer of each key behind it.
fn in_force(config: &Config) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let _infallible = writeln!(text, "[{}]", section.name);
        for setting in config.settings() {
            let Some((place, name)) = setting.key.rsplit_once('.') else { continue };
            if place == section.name {
                let _infallible = writeln!(text, "{}", line(name, setting));
            }
        }
        text.push('\n');
    }
    text
}

fn line(name: &str, setting: &Setting) -> String {
    match setting.shown() {
        Some(value) => {
            format!("{:<39} # {}", format!("{name} = {}", as_toml(&value)), setting.origin)
        }
        None => format!("{:<39} # {}", format!("# {name} is unset"), setting.origin),
    }
}

fn as_toml(value: &Json) -> String {
    match value {
        Json::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Json::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name} = {}", as_toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Json::Array(list) => {
            format!("[{}]", list.iter().map(as_toml).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
