//! `completions`: a shell's completion script.
//!
//! In: the command line's own definition. Out: the script, on standard output. A script has no form
//! in JSON, so that `--json` is refused.

use clap::Args;
use clap_complete::Shell;

use super::context::{Context, write_out};
use super::exit::Kind;
use super::failure::Failure;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        context.no_json("completions", "a shell's script")?;
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "deepid-edge", &mut script);
        write_out(&String::from_utf8_lossy(&script))?;
        Ok(Kind::Done)
    }
}
