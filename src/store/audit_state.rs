//! What is known of the audit without reading it through: one row, changed with each record.
//!
//! In: a record that was just added. Out: the row after it: how many records are kept and which of
//! them hold the wall clock, where the two chains end; and the oldest records erased where there are
//! too many. Everything here runs inside the transaction that adds the record.
//!
//! Invariant: clients' requests are counted and erased apart from all other records, so that nobody
//! who may only ask can push a decision out; what is erased stays as number and hash. The rule of the
//! floor is [`Floor::after`] alone.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::chain::{Chain, Checkpoint};
use super::{Administrative, Body};
use crate::clock::{Floor, Mark, WallClock};
use crate::sign::GrantKey;

/// Whether an audit row is a client's request; the same words as in the schema's partial index,
/// without which SQLite would not use it.
pub(super) const IS_REQUEST: &str = "json_extract(body, '$.administrative.event') = 'requested'";
const IS_NO_REQUEST: &str = "json_extract(body, '$.administrative.event') IS NOT 'requested'";

/// Records beyond their number that who cannot sign leaves to who can.
const LEFT_MAX: u64 = 256;

/// The row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AuditState {
    /// Records that are kept, requests left out.
    kept: u64,
    /// Which records the wall clock may not stand behind.
    pub floor: Floor,
    records: Chain,
    requests: Chain,
    /// Who vouches for what was erased of both.
    pub checkpoint: Option<Checkpoint>,
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
                "SELECT kept, vouched_seq, vouched_ms, unvouched_seq, unvouched_ms,
                     head, cut_seq, cut_hash, requests_head, requests_cut_seq, requests_cut_hash,
                     cut_kid, cut_signature
                 FROM audit_state WHERE id = 1",
            )?
            .query_row([], |row| {
                let (kid, signature): (Option<String>, Option<String>) =
                    (row.get(11)?, row.get(12)?);
                Ok(Self {
                    kept: super::people::unsigned(row, 0)?,
                    floor: Floor { vouched: mark(row, 1)?, unvouched: mark(row, 3)? },
                    records: chain(row, 5)?,
                    requests: chain(row, 8)?,
                    checkpoint: kid
                        .zip(signature)
                        .map(|(kid, signature)| Checkpoint { kid, signature }),
                })
            })
            .optional()?;
        Ok(stored.unwrap_or_default())
    }

    /// The chain of clients' requests, or that of all other records.
    pub(super) const fn chain(&mut self, requests: bool) -> &mut Chain {
        if requests { &mut self.requests } else { &mut self.records }
    }

    /// The row after record `seq`, which is `body` made at `wall`. A record that settles the clock
    /// leaves nothing before it that holds the clock.
    pub(super) fn after(self, seq: u64, body: &Body, wall: WallClock) -> Self {
        let settles = matches!(body, Body::Administrative(Administrative::ClockSettled { .. }));
        let before = if settles { Floor::default() } else { self.floor };
        Self {
            kept: self.kept.saturating_add(u64::from(!is_request(body))),
            floor: before.after(seq, wall),
            ..self
        }
    }

    /// Erases the oldest records beyond `records_max`, or, after a request, the oldest requests
    /// beyond their own number. Requests older than every other record go with those. What is erased
    /// is vouched for by `key`. Without it records are left for a while to the door's own daemon, which
    /// has it; requests are erased all the same, and then no end is signed until it erases again.
    pub(super) fn retain(
        &mut self,
        connection: &Connection,
        records_max: u64,
        after_request: bool,
        key: Option<&GrantKey>,
    ) -> rusqlite::Result<()> {
        let erased = if after_request {
            self.retain_requests(connection, records_max)?
        } else {
            self.retain_records(connection, records_max, key.is_some())?
        };
        if erased {
            self.checkpoint = key.map(|key| Checkpoint::sign(key, &self.records, &self.requests));
        }
        Ok(())
    }

    fn retain_requests(
        &mut self,
        connection: &Connection,
        records_max: u64,
    ) -> rusqlite::Result<bool> {
        let most = i64::try_from(requests_max(records_max)).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT seq, hash FROM audit WHERE {IS_REQUEST} ORDER BY seq DESC LIMIT 1 OFFSET ?1"
        );
        let Some(last) = link(connection, &sql, most)? else { return Ok(false) };
        let sql = format!("DELETE FROM audit WHERE {IS_REQUEST} AND seq <= ?1");
        connection.prepare_cached(&sql)?.execute([last.0])?;
        self.requests.cut = Some(last);
        Ok(true)
    }

    fn retain_records(
        &mut self,
        connection: &Connection,
        records_max: u64,
        can_sign: bool,
    ) -> rusqlite::Result<bool> {
        let Some(excess) = self.kept.checked_sub(records_max).filter(|excess| *excess > 0) else {
            return Ok(false);
        };
        if !can_sign && excess <= LEFT_MAX && has_key(connection)? {
            return Ok(false);
        }
        let sql = format!(
            "SELECT seq, hash FROM audit WHERE {IS_NO_REQUEST} ORDER BY seq LIMIT 1 OFFSET ?1"
        );
        let nth = i64::try_from(excess - 1).unwrap_or(i64::MAX);
        self.kept = records_max;
        let Some(last) = link(connection, &sql, nth)? else { return Ok(false) };
        let sql = format!(
            "SELECT seq, hash FROM audit WHERE {IS_REQUEST} AND seq < ?1 ORDER BY seq DESC LIMIT 1"
        );
        if let Some(request) = link(connection, &sql, last.0)? {
            self.requests.cut = Some(request);
        }
        connection.prepare_cached("DELETE FROM audit WHERE seq <= ?1")?.execute([last.0])?;
        self.records.cut = Some(last);
        Ok(true)
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { kept, floor: Floor { vouched, unvouched }, records, requests, checkpoint } =
            self;
        let seq = |chain: &Chain| chain.cut.as_ref().map(|(seq, _)| *seq);
        let hash = |chain: &Chain| chain.cut.as_ref().map(|(_, hash)| hash.clone());
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO audit_state
                 (id, kept, vouched_seq, vouched_ms, unvouched_seq, unvouched_ms,
                  head, cut_seq, cut_hash, requests_head, requests_cut_seq, requests_cut_hash,
                  cut_kid, cut_signature)
                 VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                i64::try_from(*kept).unwrap_or(i64::MAX),
                vouched.map(seq_of),
                vouched.map(|mark| mark.unix_ms),
                unvouched.map(seq_of),
                unvouched.map(|mark| mark.unix_ms),
                records.head,
                seq(records),
                hash(records),
                requests.head,
                seq(requests),
                hash(requests),
                checkpoint.as_ref().map(|checkpoint| &checkpoint.kid),
                checkpoint.as_ref().map(|checkpoint| &checkpoint.signature),
            ])?;
        Ok(())
    }
}

/// Whether the door has a key, with which its daemon can vouch for what is erased.
fn has_key(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM grant_keys WHERE listed_until_ms IS NULL)")?
        .query_row([], |row| row.get(0))
}

/// A record and its hash.
fn link(
    connection: &Connection,
    sql: &str,
    parameter: i64,
) -> rusqlite::Result<Option<(i64, String)>> {
    let read =
        |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()));
    connection.prepare_cached(sql)?.query_row([parameter], read).optional()
}

fn chain(row: &Row<'_>, at: usize) -> rusqlite::Result<Chain> {
    let (seq, hash): (Option<i64>, Option<String>) = (row.get(at + 1)?, row.get(at + 2)?);
    Ok(Chain { head: row.get(at)?, cut: seq.zip(hash) })
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
