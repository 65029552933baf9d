//! `erase`: nothing of people is left readable in the database's file, or where it is.
//!
//! In: the database and its key. Out: what was looked for and what was found; without `--verify` the file
//! is rewritten before. Invariants: no row is changed or removed ('subjects remove' does that); whatever is
//! found is named by subject and file, never by what it says.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::existing;
use crate::store::{Remains, Store};

/// Arguments of `erase`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only look: change nothing but the log, which is poured into the file
    #[arg(long)]
    verify: bool,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let store = existing(&config, Store::open)?;
        if !self.verify {
            store.rewrite()?;
        }
        let remains = store.remains()?;
        let value = json!({
            "clean": remains.is_clean(),
            "rewritten": !self.verify,
            "names": remains.names,
            "pins": remains.pins,
            "references": remains.references,
            "too_common": remains.too_common,
            "unopened": remains.unopened,
            "free_pages": remains.free_pages,
            "files": remains.files,
            "readable": remains.readable,
        });
        context.tell(in_words(&remains), &value)?;
        Ok(if remains.is_clean() { Kind::Done } else { Kind::Negative })
    }
}

fn in_words(remains: &Remains) -> String {
    let Remains { names, pins, references, too_common, unopened, free_pages, files, readable } =
        remains;
    let mut text = String::new();
    for one in readable {
        let _infallible = writeln!(text, "readable: {one}");
    }
    if readable.is_empty() {
        text.push_str("nothing can be read without the key\n");
    } else {
        text.push_str(
            "try: 'deepid-edge erase' rewrites the database; delete what lies beside it and is not needed\n",
        );
    }
    let _infallible = writeln!(
        text,
        "searched for {names} names, {references} references and the PINs of {pins} people; {free_pages} free pages are looked at"
    );
    if *too_common > 0 {
        let _infallible =
            writeln!(text, "  {too_common} references have too few numbers to be searched for");
    }
    if *unopened > 0 {
        let _infallible = writeln!(
            text,
            "  {unopened} names, references and PINs do not open: what they held is not known; 'deepid-edge doctor'"
        );
    }
    for file in files {
        let _infallible = writeln!(text, "  {}", file.display());
    }
    text.push_str(
        "not looked at: backups, and what flash keeps of blocks that were written over\n",
    );
    text
}
