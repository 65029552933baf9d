//! `man`: the manual pages, made from the command line's definition, the table of keys and the
//! table of exit codes.
//!
//! In: those three. Out: deepid-edge(1) on standard output, or it and one page for each verb in a
//! folder. A page has no form in JSON, so that `--json` without a folder is refused.
//! Deliberately absent: any text of its own about a key or a code.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;
use serde_json::json;

use super::context::{Context, write_out};
use super::exit::Kind;
use super::failure::Failure;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write all pages into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let Some(folder) = self.out else {
            context.no_json("man", "a manual page")?;
            let page =
                main_page().map_err(|error| unwritable(&error, Path::new("standard output")))?;
            write_out(&page)?;
            return Ok(Kind::Done);
        };
        let written = write_pages(&folder).map_err(|error| unwritable(&error, &folder))?;
        context.tell(
            format!("{} manual pages written to {}", written.len(), folder.display()),
            &json!({ "written": written }),
        )?;
        Ok(Kind::Done)
    }
}

fn unwritable(error: &std::io::Error, place: &Path) -> Failure {
    Failure::new(Kind::Input, error.to_string(), "name a folder that you may write to")
        .at(place.display().to_string())
}

fn main_page() -> std::io::Result<String> {
    let mut page = Vec::new();
    Man::new(super::command()).render(&mut page)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    page.push_str(&crate::config::manual_section());
    page.push_str(&super::exit::manual_section());
    Ok(page)
}

fn write_pages(folder: &Path) -> std::io::Result<Vec<String>> {
    std::fs::create_dir_all(folder)?;
    let mut written = vec!["deepid-edge.1".to_owned()];
    std::fs::write(folder.join("deepid-edge.1"), main_page()?)?;
    let mut command = super::command();
    command.build();
    let mut open: Vec<(String, clap::Command)> = below("deepid-edge", &command);
    while let Some((name, command)) = open.pop() {
        open.extend(below(&name, &command));
        let file = format!("{name}.1");
        let mut page = Vec::new();
        Man::new(command.display_name(name).version(env!("CARGO_PKG_VERSION")))
            .render(&mut page)?;
        std::fs::write(folder.join(&file), page)?;
        written.push(file);
    }
    written.sort();
    Ok(written)
}

fn below(name: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
        .map(|verb| (format!("{name}-{}", verb.get_name()), verb.clone()))
        .collect()
}
