//! Audit records by what they are about, a page at a time.
//!
//! In: a [`Selection`] and a place in the audit. Out: up to a page of records, those that cannot be
//! read among them. Invariants: what is held is one page, however long the audit is; a page is one
//! short read, so that a daemon that writes is never held up by whoever looks.

use rusqlite::{OptionalExtension, Row, params};

use super::ledger::stored;
use super::{AuditRecord, Error, Store, UnreadableRecord};
use crate::compare::SubjectId;

/// Which records; the default is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Made at or after this, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Made before this, milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Of these outcomes, by name; `administrative` stands for what is no decision. Empty for all.
    pub outcomes: Vec<&'static str>,
    /// About this subject.
    pub subject: Option<SubjectId>,
    /// Of these administrative events, by name. Empty for all.
    pub events: Vec<&'static str>,
    /// Of none of these administrative events.
    pub events_left_out: Vec<&'static str>,
}

/// A record as it lies in the audit.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// The record, where this version can read it.
    pub record: Result<AuditRecord, UnreadableRecord>,
    /// Whether no broker has acknowledged it.
    pub waiting: bool,
}

impl StoredRecord {
    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        match &self.record {
            Ok(record) => record.seq,
            Err(unreadable) => unreadable.seq,
        }
    }
}

/// What [`Selection`] asks, of the parameters 2 to 5, 7 and 8.
const SELECTED: &str = "(?2 IS NULL OR issued_ms >= ?2) AND (?3 IS NULL OR issued_ms < ?3)
    AND (?4 IS NULL OR instr(?4, ' ' || coalesce(json_extract(body, '$.decision.outcome'), 'administrative') || ' ') > 0)
    AND (?5 IS NULL OR ?5 IN (json_extract(body, '$.decision.subject'), json_extract(body, '$.administrative.subject')))
    AND (?7 IS NULL OR instr(?7, ' ' || coalesce(json_extract(body, '$.administrative.event'), '') || ' ') > 0)
    AND (?8 IS NULL OR instr(?8, ' ' || coalesce(json_extract(body, '$.administrative.event'), '') || ' ') = 0)";

const COLUMNS: &str = "seq, id, door, boot, monotonic_ms, issued_ms, clock, body, hash,
    EXISTS (SELECT 1 FROM outbox WHERE outbox.seq = audit.seq)";

impl Store {
    /// Up to `limit` records of `selection` after `after`, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn records(
        &self,
        selection: &Selection,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredRecord>, Error> {
        self.select_records("seq > ?1 AND", "ORDER BY seq", selection, after, limit)
    }

    /// Up to `limit` records of `selection` before `before`, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn records_before(
        &self,
        selection: &Selection,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredRecord>, Error> {
        self.select_records("seq < ?1 AND", "ORDER BY seq DESC", selection, before, limit)
    }

    /// Up to `limit` records of `selection` on one side of the record `place`, in `order`.
    fn select_records(
        &self,
        side: &'static str,
        order: &'static str,
        selection: &Selection,
        place: u64,
        limit: u32,
    ) -> Result<Vec<StoredRecord>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE {side} {SELECTED} {order} LIMIT ?6");
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let Selection { since_ms, until_ms, .. } = selection;
        let (outcomes, subject) = (between_blanks(&selection.outcomes), selection.subject_id());
        let events = between_blanks(&selection.events);
        let left_out = between_blanks(&selection.events_left_out);
        let read = || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let parameters =
                params![place, since_ms, until_ms, outcomes, subject, limit, events, left_out];
            statement.query_map(parameters, with_outbox)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// The number of the newest record; 0 where there is none.
    ///
    /// # Errors
    /// What the database says.
    pub fn newest_record(&self) -> Result<u64, Error> {
        self.connection
            .query_row("SELECT coalesce(max(seq), 0) FROM audit", [], |row| {
                row.get(0).map(i64::unsigned_abs)
            })
            .map_err(|source| self.error(source))
    }

    /// After which record the newest `count` records of `selection` begin.
    ///
    /// # Errors
    /// What the database says.
    pub fn before_newest(&self, selection: &Selection, count: u32) -> Result<u64, Error> {
        let sql = format!(
            "SELECT min(seq) FROM
             (SELECT seq FROM audit WHERE seq > ?1 AND {SELECTED} ORDER BY seq DESC LIMIT ?6)"
        );
        let Selection { since_ms, until_ms, .. } = selection;
        let (outcomes, subject) = (between_blanks(&selection.outcomes), selection.subject_id());
        let events = between_blanks(&selection.events);
        let left_out = between_blanks(&selection.events_left_out);
        let parameters = params![0, since_ms, until_ms, outcomes, subject, count, events, left_out];
        let first: Option<i64> = self
            .connection
            .query_row(&sql, parameters, |row| row.get(0))
            .map_err(|source| self.error(source))?;
        Ok(first.map_or(0, |seq| seq.unsigned_abs().saturating_sub(1)))
    }

    /// The record `seq`, if it is kept.
    ///
    /// # Errors
    /// What the database says.
    pub fn stored_record(&self, seq: u64) -> Result<Option<StoredRecord>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq = ?1");
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.connection
            .query_row(&sql, [seq], with_outbox)
            .optional()
            .map_err(|source| self.error(source))
    }
}

impl Selection {
    fn subject_id(&self) -> Option<&str> {
        self.subject.as_ref().map(SubjectId::as_str)
    }
}

/// The words between blanks, as the query looks for them; nothing for none.
fn between_blanks(words: &[&'static str]) -> Option<String> {
    (!words.is_empty()).then(|| format!(" {} ", words.join(" ")))
}

fn with_outbox(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord { record: stored(row)?, waiting: row.get(9)? })
}
