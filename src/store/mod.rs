//! Subjects, references and audit records in SQLite.
