//! What helps against an error, told apart from what happened.
//!
//! In: an error whose text ends in what to do. Out: that end by itself, and the text without it, for
//! whoever shows the two in different places: `--json`, `doctor`. Invariant: the remedy is written in
//! one place, [`Remedied::remedy`], and the text is made with it; nobody looks for it in a sentence.
//! Deliberately absent: which exit code follows, which the command line knows.

use std::borrow::Cow;
use std::fmt;

/// An error that may know what helps.
pub trait Remedied: std::error::Error {
    /// What to do, as the text ends in it; nothing where the text says all there is.
    fn remedy(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The same for the text itself.
    fn advice(&self) -> Cow<'_, str> {
        self.remedy().unwrap_or_default()
    }

    /// The text without its remedy.
    fn finding(&self) -> String {
        let mut text = self.to_string();
        let end = self.advice();
        if !end.is_empty()
            && let Some(what) = text.strip_suffix(&*end)
        {
            text.truncate(what.trim_end_matches([' ', ';', ':']).len());
        }
        text
    }
}

impl Remedied for std::io::Error {}

/// What is wrong and what helps, for what is no error of its own; as text one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advised {
    /// What is wrong.
    pub what: Cow<'static, str>,
    /// What to do.
    pub remedy: Cow<'static, str>,
}

impl Advised {
    /// Both.
    #[must_use]
    pub fn new(what: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Sample {
        #[error("file {path}: gone: {advice}", advice = self.advice())]
        Gone { path: &'static str },
        #[error("outer: {0}")]
        Outer(Box<Sample>),
        #[error("no; nothing helps: really")]
        Lost,
    }

    impl Remedied for Sample {
        fn remedy(&self) -> Option<Cow<'_, str>> {
            match self {
                Self::Gone { path } => Some(format!("make {path}; or not: it is yours").into()),
                Self::Outer(inner) => inner.remedy(),
                Self::Lost => None,
            }
        }
    }

    #[test]
    fn a_remedy_is_told_apart_however_the_sentence_is_made() {
        let gone = Sample::Gone { path: "a" };
        assert_eq!(gone.to_string(), "file a: gone: make a; or not: it is yours");
        assert_eq!(gone.finding(), "file a: gone");
        let outer = Sample::Outer(Box::new(gone));
        assert_eq!(outer.finding(), "outer: file a: gone");
        assert_eq!(outer.remedy().as_deref(), Some("make a; or not: it is yours"));
        assert_eq!(Sample::Lost.finding(), "no; nothing helps: really");
        assert_eq!(Advised::new("it is empty", "copy it").to_string(), "it is empty; copy it");
    }
}
