//! What is known of the audit without reading it through: one row, changed with each record.
//!
//! In: a record that was just added. Out: the row after it: how many records are kept and which of
//! them hold the wall clock; and the oldest records erased where there are too many. Everything
//! here runs inside the transaction that adds the record.
//!
//! Invariant: clients' requests are counted and erased apart from all other records, so that nobody
//! who may only ask can push a decision out. The rule of the floor is [`Floor::after`] alone.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Administrative, Body};
use crate::clock::{Floor, Mark, WallClock};

/// Whether an audit row is a client's request; the same words as in the schema's partial index,
/// without which SQLite would not use it.
const IS_REQUEST: &str = "json_extract(body, '$.administrative.event') = 'requested'";
const IS_NO_REQUEST: &str = "json_extract(body, '$.administrative.event') IS NOT 'requested'";

/// The row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AuditState {
    /// Records that are kept, requests left out.
    kept: u64,
    /// Which records the wall clock may not stand behind.
    pub floor: Floor,
}

/// How many requests are kept beside `records_max` other records.
pub(super) const fn requests_max(records_max: u64) -> u64 {
    let tenth = records_max / 10;
    if tenth == 0 { 1 } else { tenth }
}

impl AuditState {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let stored = connection
            .prepare_cached(
                "SELECT kept, vouched_seq, vouched_ms, unvouched_seq, unvouched_ms
                 FROM audit_state WHERE id = 1",
            )?
            .query_row([], |row| {
                let floor = Floor { vouched: mark(row, 1)?, unvouched: mark(row, 3)? };
                Ok(Self { kept: super::people::unsigned(row, 0)?, floor })
            })
            .optional()?;
        Ok(stored.unwrap_or_default())
    }

    /// The row after record `seq`, which is `body` made at `wall`. A record that settles the clock
    /// leaves nothing before it that holds the clock.
    pub(super) fn after(self, seq: u64, body: &Body, wall: WallClock) -> Self {
        let settles = matches!(body, Body::Administrative(Administrative::ClockSettled { .. }));
        let before = if settles { Floor::default() } else { self.floor };
        Self {
            kept: self.kept.saturating_add(u64::from(!is_request(body))),
            floor: before.after(seq, wall),
        }
    }

    /// Erases the oldest records beyond `records_max`, or, after a request, the oldest requests
    /// beyond their own number. Requests older than every other record go with those.
    pub(super) fn retain(
        &mut self,
        connection: &Connection,
        records_max: u64,
        after_request: bool,
    ) -> rusqlite::Result<()> {
        if after_request {
            let sql = format!(
                "DELETE FROM audit WHERE seq IN
                 (SELECT seq FROM audit WHERE {IS_REQUEST} ORDER BY seq DESC LIMIT -1 OFFSET ?1)"
            );
            let most = i64::try_from(requests_max(records_max)).unwrap_or(i64::MAX);
            connection.prepare_cached(&sql)?.execute([most])?;
            return Ok(());
        }
        let Some(excess) = self.kept.checked_sub(records_max).filter(|excess| *excess > 0) else {
            return Ok(());
        };
        let sql = format!(
            "DELETE FROM audit WHERE seq <=
             (SELECT seq FROM audit WHERE {IS_NO_REQUEST} ORDER BY seq LIMIT 1 OFFSET ?1)"
        );
        let last = i64::try_from(excess - 1).unwrap_or(i64::MAX);
        connection.prepare_cached(&sql)?.execute([last])?;
        self.kept = records_max;
        Ok(())
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Floor { vouched, unvouched } = self.floor;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO audit_state
                 (id, kept, vouched_seq, vouched_ms, unvouched_seq, unvouched_ms)
                 VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                i64::try_from(self.kept).unwrap_or(i64::MAX),
                vouched.map(seq_of),
                vouched.map(|mark| mark.unix_ms),
                unvouched.map(seq_of),
                unvouched.map(|mark| mark.unix_ms),
            ])?;
        Ok(())
    }
}

/// Whether a record is of a client's request.
pub(super) const fn is_request(body: &Body) -> bool {
    matches!(body, Body::Administrative(Administrative::Requested { .. }))
}

fn seq_of(mark: Mark) -> i64 {
    i64::try_from(mark.seq).unwrap_or(i64::MAX)
}

fn mark(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Mark>> {
    let (seq, unix_ms): (Option<i64>, Option<i64>) = (row.get(at)?, row.get(at + 1)?);
    Ok(seq.zip(unix_ms).map(|(seq, unix_ms)| Mark { seq: seq.unsigned_abs(), unix_ms }))
}
