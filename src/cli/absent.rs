//! What this build lacks, and which feature brings it.
//!
//! In: why clap did not understand the arguments. Out: one sentence where they name a part of the
//! program that another build has; nothing where they are wrong for every build.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::Kind;
use super::failure::Failure;

/// A verb or a flag of a verb that only some builds have.
struct Part {
    /// The verb before it, for a flag.
    verb: Option<&'static str>,
    name: &'static str,
    feature: &'static str,
    built: bool,
}

const PARTS: [Part; 3] = [
    Part { verb: None, name: "evaluate", feature: "lab", built: cfg!(feature = "lab") },
    Part { verb: None, name: "demo", feature: "demo", built: cfg!(feature = "demo") },
    Part { verb: Some("calibrate"), name: "--plot", feature: "lab", built: cfg!(feature = "lab") },
];

/// The failure that names the missing part, if it is one.
pub(super) fn told(error: &clap::Error, arguments: &[OsString]) -> Option<Failure> {
    let what = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(name)) = error.get(what) else { return None };
    let verbs = super::command();
    let mut before = arguments.iter().skip(1).take_while(|argument| *argument != name.as_str());
    let verb = before.find(|argument| verbs.find_subcommand(argument).is_some());
    let verb = verb.and_then(|verb| verb.to_str());
    PARTS.iter().find(|part| !part.built && part.name == name && part.verb == verb).map(|part| {
        let whole = part.verb.map_or_else(|| name.clone(), |verb| format!("{verb} {name}"));
        Failure::new(
            Kind::Usage,
            format!("this program was built without '{whole}'"),
            format!("build it with 'cargo build --release --features {}'", part.feature),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::CommandLine;
    use clap::Parser as _;

    fn told_of(line: &str) -> Option<String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = CommandLine::try_parse_from(&arguments).err()?;
        told(&error, &arguments).map(|failure| failure.to_string())
    }

    #[test]
    fn a_part_that_is_not_built_is_named_with_its_feature_and_nothing_else_is() {
        let cases = [
            ("deepid-edge evaluate e2e faces", "lab", cfg!(feature = "lab")),
            ("deepid-edge --log-level info evaluate", "lab", cfg!(feature = "lab")),
            ("deepid-edge calibrate --plot=a.svg", "lab", cfg!(feature = "lab")),
            ("deepid-edge demo", "demo", cfg!(feature = "demo")),
        ];
        for (line, feature, built) in cases {
            let told = told_of(line);
            assert_eq!(told.is_none(), built, "{line}: {told:?}");
            let named = |told: &String| told.contains(&format!("--features {feature}"));
            assert!(built || told.as_ref().is_some_and(named), "{line}: {told:?}");
        }
        for line in
            ["deepid-edge evaluat", "deepid-edge subjects evaluate", "deepid-edge detect --plot a"]
        {
            assert_eq!(told_of(line), None, "{line}");
        }
    }
}
