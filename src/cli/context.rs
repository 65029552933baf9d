//! What every verb is handed: where settings come from, and how results are told.
//!
//! In: the flags that all verbs share. Out: the loaded configuration when a verb asks for it, and
//! results on standard output, as text or as one JSON value.
//! Invariant: a reader that goes away (a closed pipe) ends the output, not the program with a
//! panic; nothing but results goes to standard output; secrets in them are masked.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::exit::Kind;
use super::failure::Failure;
use super::logging;
use crate::config::{Config, ConfigError, Flag, STANDARD_FILE, Sources};
use crate::mask;

/// The flags that all verbs share.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Shared {
    /// Read this file in place of /etc/deepid-edge/config.toml
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DEEPID_EDGE_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Set a key above file and environment; may be repeated
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", value_parser = assignment)]
    pub set: Vec<Flag>,
    /// The database, above store.path
    #[arg(long, global = true, value_name = "FILE")]
    pub database: Option<String>,
    /// The folder of model cards and models, above models.directory
    #[arg(long, global = true, value_name = "DIR")]
    pub models: Option<String>,
    /// How much is logged to standard error, above log.level
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

fn assignment(text: &str) -> Result<Flag, String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok(Flag::set(key.trim(), value)),
        _ => Err("must be section.key=value, such as camera.width=1280".to_owned()),
    }
}

/// One run of one verb.
#[derive(Debug)]
pub struct Context {
    shared: Shared,
}

impl Context {
    /// A context with the flags that all verbs share.
    #[must_use]
    pub const fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// Whether results are to be JSON.
    #[must_use]
    pub const fn json(&self) -> bool {
        self.shared.json
    }

    /// Refuses `--json` for `verb`, whose result is `what` and nothing else.
    ///
    /// # Errors
    /// [`Kind::Usage`] with `--json`.
    pub fn no_json(&self, verb: &str, what: &str) -> Result<(), Failure> {
        if !self.json() {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Usage,
            format!("'{verb}' prints {what}, which has no form in JSON"),
            "leave --json out",
        ))
    }

    /// What the flags set above file and environment, but for file and database: a verb that has
    /// its own of these keeps the rest.
    #[must_use]
    pub fn overrides(&self) -> Vec<Flag> {
        let shared = &self.shared;
        let direct = [
            ("--models", "models.directory", &shared.models),
            ("--log-level", "log.level", &shared.log_level),
        ];
        let direct = direct
            .into_iter()
            .filter_map(|(flag, key, value)| Some(direct_flag(flag, key, value.as_ref()?)));
        shared.set.iter().cloned().chain(direct).collect()
    }

    /// The configuration, with `verb_flags` above everything else.
    ///
    /// # Errors
    /// [`Kind::Configuration`].
    pub fn config_with(&self, verb_flags: Vec<Flag>) -> Result<Config, Failure> {
        Ok(self.read_config(verb_flags)?)
    }

    /// As [`Self::config_with`], as files and environment are now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_config(&self, verb_flags: Vec<Flag>) -> Result<Config, ConfigError> {
        Config::load(&self.sources(self.shared.config.clone(), verb_flags))
    }

    /// The configuration as it would be if its file were `path` and said `text`.
    ///
    /// # Errors
    /// [`Kind::Configuration`].
    pub fn config_as_if(&self, path: PathBuf, text: &str) -> Result<Config, Failure> {
        Ok(Config::judge(&self.sources(Some(path), Vec::new()), text)?)
    }

    fn sources(&self, file: Option<PathBuf>, verb_flags: Vec<Flag>) -> Sources {
        let database = self.shared.database.as_ref();
        let database = database.map(|path| direct_flag("--database", "store.path", path));
        let flags = self.overrides().into_iter().chain(database).chain(verb_flags).collect();
        Sources::of_process(file, flags)
    }

    /// What can be read of a configuration that is refused, for a diagnosis alone.
    #[must_use]
    pub fn salvaged_config(&self) -> Option<Config> {
        Config::salvage(&self.sources(self.shared.config.clone(), Vec::new()))
    }

    /// Where the configuration file is, or would be.
    #[must_use]
    pub fn config_place(&self) -> PathBuf {
        self.shared.config.clone().unwrap_or_else(|| STANDARD_FILE.into())
    }

    /// The configuration of a verb that answers and ends; its log is started too.
    ///
    /// # Errors
    /// [`Kind::Configuration`].
    pub fn config(&self) -> Result<Config, Failure> {
        let config = self.config_with(Vec::new())?;
        logging::for_a_verb(&config);
        Ok(config)
    }

    /// Tells a result: `text` to a person, `value` with `--json`.
    ///
    /// # Errors
    /// [`Kind::Input`] when standard output takes no more for another reason than a closed pipe.
    pub fn tell(
        &self,
        text: impl std::fmt::Display,
        value: &impl serde::Serialize,
    ) -> Result<(), Failure> {
        if self.json() {
            let line = serde_json::to_string(value).map_err(|error| {
                Failure::new(Kind::Fault, format!("result is no JSON: {error}"), "please report it")
            })?;
            write_out(&mask::json(&line))
        } else {
            write_out(&mask::text(&text.to_string()))
        }
    }

    /// Tells a person something on the way, on standard error; silent with `--json`.
    pub fn mention(&self, text: impl std::fmt::Display) {
        if !self.json() {
            let _closed = writeln!(std::io::stderr(), "{}", mask::text(&text.to_string()));
        }
    }

    /// Whether progress may be drawn: a person is looking and did not ask for JSON.
    #[must_use]
    pub fn draws_progress(&self) -> bool {
        !self.json() && std::io::stderr().is_terminal()
    }

    /// Asks `question` on the terminal, unless `assume_yes`.
    ///
    /// # Errors
    /// [`Kind::Declined`] for any other answer than yes, and without a terminal.
    pub fn confirm(&self, question: &str, assume_yes: bool) -> Result<(), Failure> {
        if assume_yes {
            return Ok(());
        }
        if self.json() || !std::io::stdin().is_terminal() {
            return Err(Failure::new(
                Kind::Declined,
                format!("'{question}' cannot be asked: there is no terminal"),
                "say --yes if that is what you want",
            ));
        }
        let mut terminal = std::io::stderr();
        let _closed =
            write!(terminal, "{} [y/N] ", mask::text(question)).and_then(|()| terminal.flush());
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        match (read, answer.trim().to_lowercase().as_str()) {
            (Ok(_), "y" | "yes") => Ok(()),
            _ => Err(Failure::new(Kind::Declined, "nothing was changed", "answer y, or say --yes")),
        }
    }
}

/// A flag of a verb that stands for a key.
#[must_use]
pub fn direct_flag(given_as: &str, key: &str, value: &str) -> Flag {
    Flag { given_as: given_as.to_owned(), key: key.to_owned(), value: value.to_owned() }
}

/// Writes `text` and a line's end to standard output.
///
/// # Errors
/// [`Kind::Input`], but not for a closed pipe: whoever closed it has read enough.
pub fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let text = text.trim_end_matches('\n');
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Input, error.to_string(), "make room, or write elsewhere")
                .at("standard output"))
        }
        _ => Ok(()),
    }
}
