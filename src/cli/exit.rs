//! Exit codes: one table, from the kind of an outcome to the number that a shell sees.
//!
//! In: [`Kind`]. Out: the code, and the lines of the manual that explain it. Invariant: codes never
//! change their meaning; new kinds get new codes. 2 is what `clap` uses for a wrong command line,
//! 70 what sysexits.h calls a software fault.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It did what it was asked.
    Done,
    /// It answered, and the answer is no.
    Negative,
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong.
    Configuration,
    /// A picture, recording or other input cannot be used.
    Input,
    /// The picture is readable, and its faces cannot be used.
    Face,
    /// A model, its card or the library cannot be used.
    Model,
    /// The camera cannot be used.
    Camera,
    /// The database cannot be used.
    Store,
    /// What was named does not exist.
    Absent,
    /// The broker cannot be used.
    Broker,
    /// A question was not answered with yes.
    Declined,
    /// The passphrase does not fit.
    Passphrase,
    /// The database is whole as far as is known, and cannot be used at the moment.
    StoreUnavailable,
    /// The database is of an older version, and this command may not change it.
    Older,
    /// The program or the machine failed in a way that nobody foresaw.
    Fault,
}

/// Kind, code, and what it means.
pub const TABLE: &[(Kind, u8, &str)] = &[
    (Kind::Done, 0, "Done; for a question: yes."),
    (
        Kind::Negative,
        1,
        "Answered, and the answer is no: no face (detect), two different people (verify), nobody recognised (identify), a target that is not kept (calibrate), a check that failed (doctor), a clock that is not trusted (clock show, arm for, schedules holidays import) or cannot be right (clock settle), a key that cannot sign (keys show), records that were changed (records verify), somebody who may not pass (policy explain), a request that the door refused (ask), a decision that did not come (demo).",
    ),
    (Kind::Usage, 2, "The command line is wrong."),
    (Kind::Configuration, 3, "The configuration is wrong, or its file cannot be read."),
    (
        Kind::Input,
        4,
        "A picture, recording, backup or other input is missing, empty, cut short, too large or of an unknown format; or output cannot be written.",
    ),
    (Kind::Face, 5, "A picture shows no face, several faces, or one that is too poor."),
    (Kind::Model, 6, "A model, its card or the TFLite library is missing or cannot be used."),
    (Kind::Camera, 7, "The camera is missing, busy, not permitted or not supported."),
    (
        Kind::Store,
        8,
        "The database is missing, damaged, newer than this program, or sealed by a key that is not there.",
    ),
    (Kind::Absent, 9, "No such subject, record, key, group, schedule, administrator or account."),
    (Kind::Broker, 10, "The broker cannot be reached, or refuses this door."),
    (Kind::Declined, 11, "A question was not answered with yes, or could not be asked."),
    (Kind::Passphrase, 12, "The passphrase of a backup is wrong."),
    (
        Kind::StoreUnavailable,
        13,
        "The database cannot be used at the moment: the disk is full or fails, the file may not be written, or another process holds it; trying again helps as soon as that has passed.",
    ),
    (
        Kind::Older,
        14,
        "The database is of an older version, and a command that only reads may not bring it up to date.",
    ),
    (Kind::Fault, 70, "A fault of the program or the machine; please report it."),
];

impl Kind {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        TABLE.iter().find(|(kind, ..)| *kind == self).map_or(70, |(_, code, _)| *code)
    }
}

/// The table as roff, for the manual page.
#[must_use]
pub fn manual_section() -> String {
    let rows = TABLE.iter().map(|(_, code, meaning)| {
        format!(".TP\n\\fB{code}\\fR\n{}\n", meaning.replace('-', "\\-"))
    });
    std::iter::once(".SH \"EXIT STATUS\"\n".to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_every_kind_has_one() {
        let codes: std::collections::BTreeSet<u8> =
            TABLE.iter().map(|(_, code, _)| *code).collect();
        assert_eq!(codes.len(), TABLE.len());
        for (kind, code, _) in TABLE {
            assert_eq!(kind.code(), *code);
        }
        assert_eq!(TABLE.len(), Kind::Fault as usize + 1, "a kind without a row");
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let documents = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/exit-codes.md");
        let text = std::fs::read_to_string(documents).unwrap_or_default();
        for (_, code, meaning) in TABLE {
            let row = format!("| {code} | {meaning} |");
            assert!(text.contains(&row), "docs/exit-codes.md lacks this row:\n{row}");
        }
    }
}
