//! `inside`: who went in and has not come out, and how to forget it.
//!
//! In: the database. Out: the list, or what was forgotten, with its record. It is kept only where
//! `passback.mode` is not 'off'. Deliberately absent: putting somebody inside; grants alone do that.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{existing, signature};
use crate::clock::utc;
use crate::policy::Side;
use crate::store::Store;

/// What to do with where people are.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List where everybody went last, as far as it is known
    List,
    /// Forget where a subject is, or where everybody is: nobody is refused for it then
    Reset(Reset),
}

/// Arguments of `inside reset`.
#[derive(Debug, Args)]
pub struct Reset {
    /// Id, such as s-4f9a1c, or name
    #[arg(value_name = "SUBJECT", required_unless_present = "all")]
    who: Option<String>,
    /// Everybody
    #[arg(long, conflicts_with = "who")]
    all: bool,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        match self {
            Self::List => list(context, &existing(&config, Store::open_read_only)?),
            Self::Reset(Reset { who, .. }) => {
                let mut store = existing(&config, Store::open)?;
                let subject = who.as_deref().map(|who| store.subject(who)).transpose()?;
                let id = subject.as_ref().map(|subject| &subject.id);
                store.forget_whereabouts(id, signature(&store, &config)?)?;
                let whom = subject.as_ref().map_or_else(
                    || "everybody".to_owned(),
                    |subject| format!("{} ({})", subject.id, subject.name),
                );
                let value = json!({ "done": "forgotten", "subject": id });
                context.tell(format!("{whom}: where they are is not known any more"), &value)?;
                Ok(Kind::Done)
            }
        }
    }
}

fn list(context: &Context, store: &Store) -> Result<Kind, Failure> {
    let book = store.rule_book()?;
    let known = book.whereabouts.iter().filter_map(|(subject, at)| Some((subject, at.side?, at)));
    let (mut text, mut values) = (String::new(), Vec::new());
    for (subject, side, at) in known {
        let name = store.subject(subject.as_str())?.name;
        let (word, since) =
            (if side == Side::Inside { "inside" } else { "outside" }, utc(at.since_ms));
        let _infallible =
            writeln!(text, "{:<18} {word:<8} {since:<24} {name}", subject.to_string());
        values.push(json!({ "subject": subject, "name": name, "side": side, "since": since }));
    }
    if values.is_empty() {
        text.push_str("of nobody it is known where they are (passback.mode)");
    }
    context.tell(text, &json!({ "people": values }))?;
    Ok(Kind::Done)
}
