//! Audit records and their outbox.
//!
//! Decisions and administrative events → numbered records that are on the disk when the call
//! returns. A record stands in the outbox until a broker has acknowledged it. Invariants: `seq`
//! only grows, also over erasure and restart; the outbox is read in the order of `seq`; retention
//! erases the oldest, in the same transaction that adds the newest; a row that cannot be read holds
//! no other one up, and stays. Nothing here knows of MQTT.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::audit_state::{AuditState, is_request};
use super::chain::StoredText;
use super::people::{Undone, unsigned};
use super::{Administrative, AuditRecord, Body, Error, Keeping, Signature, Store, whereabouts};
use crate::clock::{ClockTrust, Floor, Monotonic, WallClock, utc};
use crate::decide::Decision;
use crate::policy::{RuleName, Whereabouts};
use crate::sign::GrantKey;

/// Rows of the outbox that are read at once while those that cannot be read are stepped over.
const OUTBOX_PAGE: usize = 64;

const AUDIT_AFTER: &str = "SELECT seq, id, door, boot, monotonic_ms, issued_ms, clock, body, hash
    FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// Records of the outbox.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutboxPage {
    /// Those that can be read, oldest first.
    pub records: Vec<AuditRecord>,
    /// Those between them that cannot: they stay in the outbox, for a version that can read them.
    pub unreadable: Vec<UnreadableRecord>,
}

/// A record that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRecord {
    /// Its number.
    pub seq: u64,
    /// When it was made, by the wall clock, milliseconds since 1970.
    pub issued_ms: i64,
    /// What is wrong with it.
    pub what: String,
}

/// A run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its id, which changes with every start.
    pub boot: Uuid,
    /// When it last recorded that another client spoke as this door, in milliseconds since 1970.
    pub contested_ms: Option<i64>,
}

impl Store {
    /// Records a decision of `door`, made in the run `boot`, and where whoever was granted went. It is durable when this returns.
    ///
    /// # Errors
    /// What the database says; nothing was recorded then, and nothing may be announced.
    pub fn record_decision(
        &mut self,
        decision: &Decision,
        door: &str,
        boot: Uuid,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        let by = Signature { door, boot, now: decision.decided_at, wall: decision.wall };
        self.write(|connection| {
            let record = append(connection, &keeping, Body::Decision(decision.into()), by)?;
            if let (Some(side), Some(subject)) = (decision.passed, decision.verdict.subject()) {
                let at = Whereabouts { side: Some(side), since_ms: decision.wall.unix_ms };
                whereabouts::note(connection, subject, at, door, at.since_ms)?;
            }
            Ok(record)
        })
    }

    /// Records something that an administrator or a client did. It is durable when this returns.
    ///
    /// # Errors
    /// What the database says; nothing was recorded then.
    pub fn record_admin(
        &mut self,
        event: Administrative,
        door: &str,
        boot: Uuid,
        now: Monotonic,
        wall: WallClock,
    ) -> Result<AuditRecord, Error> {
        self.record(Body::Administrative(event), door, boot, now, wall)
    }

    /// Leaves a record after which no record made before it holds the wall clock: whoever calls
    /// this says that `wall` is right. `None` when no record holds the clock; nothing is recorded
    /// then.
    ///
    /// # Errors
    /// What the database says; nothing was changed then.
    pub fn settle_clock(
        &mut self,
        door: &str,
        boot: Uuid,
        now: Monotonic,
        wall: WallClock,
    ) -> Result<Option<AuditRecord>, Error> {
        let Some((mark, _)) = self.clock_floor()?.latest() else { return Ok(None) };
        let event =
            Administrative::ClockSettled { record: mark.seq, record_issued: utc(mark.unix_ms) };
        self.record_admin(event, door, boot, now, wall).map(Some)
    }

    /// Keeps so many audit records from the next one on; at least 1.
    pub const fn keep_records(&mut self, records_max: u64) {
        self.settings.records_max = records_max;
    }

    /// Vouches by `key` for what is erased from the next record on; without one, records beyond their
    /// number are left for a while to who has the door's key.
    pub fn sign_cuts_with(&mut self, key: Option<Arc<GrantKey>>) {
        self.key = key;
    }

    fn record(
        &mut self,
        body: Body,
        door: &str,
        boot: Uuid,
        now: Monotonic,
        wall: WallClock,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        let by = Signature { door, boot, now, wall };
        self.write(|connection| append(connection, &keeping, body, by))
    }

    /// Up to `limit` records after `after` that no broker has acknowledged, oldest first, and what
    /// between them cannot be read.
    ///
    /// # Errors
    /// What the database says.
    pub fn outbox_page(&self, mut after: u64, limit: usize) -> Result<OutboxPage, Error> {
        let mut page = OutboxPage::default();
        while page.records.len() < limit {
            let rows = self.select(
                "SELECT a.seq, a.id, a.door, a.boot, a.monotonic_ms, a.issued_ms, a.clock, a.body, a.hash
                 FROM outbox o JOIN audit a ON a.seq = o.seq
                 WHERE o.seq > ?1 ORDER BY o.seq LIMIT ?2",
                after,
                OUTBOX_PAGE.min(limit),
            )?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                after = match &row {
                    Ok(record) => record.seq,
                    Err(unreadable) => unreadable.seq,
                };
                match row {
                    Ok(record) if page.records.len() < limit => page.records.push(record),
                    Ok(_) => break,
                    Err(unreadable) => page.unreadable.push(unreadable),
                }
            }
        }
        Ok(page)
    }

    /// The records of [`Store::outbox_page`] alone.
    ///
    /// # Errors
    /// What the database says.
    pub fn outbox(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        Ok(self.outbox_page(after, limit)?.records)
    }

    /// Up to `limit` audit records after `after`, acknowledged or not, oldest first.
    ///
    /// # Errors
    /// [`Error::BadRecord`] for a row that cannot be read, or what the database says.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        let rows = self.select(AUDIT_AFTER, after, limit)?;
        let bad = |UnreadableRecord { seq, what, .. }| Error::BadRecord {
            path: self.path.clone(),
            seq,
            what,
        };
        rows.into_iter().map(|row| row.map_err(bad)).collect()
    }

    /// How many audit records cannot be read, and the first of them. Reads all of them, a page at a
    /// time; `doctor` runs it.
    ///
    /// # Errors
    /// What the database says.
    pub fn unreadable_records(&self) -> Result<(u64, Option<UnreadableRecord>), Error> {
        let (mut after, mut count, mut first) = (0, 0, None);
        loop {
            let rows = self.select(AUDIT_AFTER, after, OUTBOX_PAGE)?;
            let Some(last) = rows.last() else { return Ok((count, first)) };
            after = match last {
                Ok(record) => record.seq,
                Err(unreadable) => unreadable.seq,
            };
            for unreadable in rows.into_iter().filter_map(Result::err) {
                count += 1;
                first.get_or_insert(unreadable);
            }
        }
    }

    /// Takes the record `seq`, and no other, from the outbox. Doing it twice changes nothing.
    ///
    /// # Errors
    /// What the database says.
    pub fn acknowledge(&mut self, seq: u64) -> Result<(), Error> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.write(|connection| {
            connection.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([seq])?;
            Ok(())
        })
    }

    /// How many records wait in the outbox.
    ///
    /// # Errors
    /// What the database says.
    pub fn outbox_depth(&self) -> Result<u64, Error> {
        self.connection
            .query_row("SELECT count(*) FROM outbox", [], |row| unsigned(row, 0))
            .map_err(|source| self.error(source))
    }

    /// Which records the wall clock may not stand behind.
    ///
    /// # Errors
    /// What the database says.
    pub fn clock_floor(&self) -> Result<Floor, Error> {
        let state = AuditState::read(&self.connection).map_err(|source| self.error(source))?;
        Ok(state.floor)
    }

    /// The newest run of the daemon, by its record of having started.
    ///
    /// # Errors
    /// What the database says.
    pub fn newest_run(&self) -> Result<Option<Run>, Error> {
        let read = |row: &Row<'_>| {
            let (boot, contested_ms): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(Uuid::try_parse(&boot).ok().map(|boot| Run { boot, contested_ms }))
        };
        self.connection
            .query_row(
                "SELECT started.boot, (
                     SELECT max(issued_ms) FROM audit WHERE seq > started.seq
                     AND json_extract(body, '$.administrative.event') = 'door_contested')
                 FROM audit started
                 WHERE json_extract(body, '$.administrative.event') = 'started'
                 ORDER BY started.seq DESC LIMIT 1",
                [],
                read,
            )
            .optional()
            .map(Option::flatten)
            .map_err(|source| self.error(source))
    }

    fn select(
        &self,
        sql: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Result<AuditRecord, UnreadableRecord>>, Error> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map([after, limit], stored)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }
}

/// Adds a record, bound to the one before it, and erases the oldest beyond their number, within the
/// caller's transaction.
pub(super) fn append(
    connection: &Connection,
    keeping: &Keeping,
    body: Body,
    by: Signature<'_>,
) -> Result<AuditRecord, Undone> {
    let Signature { door, boot, now, wall } = by;
    let id = record_id(wall);
    let text = written(&body, keeping.acting.as_ref())
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let stored = StoredText {
        seq: next_seq(connection)?,
        id: id.to_string(),
        door: door.to_owned(),
        boot: boot.to_string(),
        monotonic_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        issued_ms: wall.unix_ms,
        clock: trust_name(wall.trust).to_owned(),
        body: text,
    };
    let mut state = AuditState::read(connection)?;
    let chain = state.chain(is_request(&body));
    let before = chain.before().to_owned();
    let hash = stored.hash(&before);
    chain.head = Some(hash.clone());
    let StoredText { seq, id: id_text, door: door_text, boot: boot_text, .. } = &stored;
    let seq = *seq;
    connection
        .prepare_cached(
            "INSERT INTO audit
                 (seq, id, door, boot, monotonic_ms, issued_ms, clock, body, prev_hash, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            seq,
            id_text,
            door_text,
            boot_text,
            stored.monotonic_ms,
            stored.issued_ms,
            stored.clock,
            stored.body,
            before,
            hash
        ])?;
    connection.prepare_cached("INSERT INTO outbox (seq) VALUES (?1)")?.execute([seq])?;
    let mut state = state.after(seq.unsigned_abs(), &body, wall);
    let Keeping { records_max, key, acting } = keeping;
    state.retain(connection, (*records_max).max(1), is_request(&body), key.as_deref())?;
    state.write(connection)?;
    Ok(AuditRecord {
        seq: seq.unsigned_abs(),
        id,
        door: door.to_owned(),
        boot,
        monotonic_ms: now.as_millis(),
        issued_ms: wall.unix_ms,
        clock: wall.trust,
        chain: Some(hash),
        by: acting.clone(),
        body,
    })
}

/// A body as it is stored: beside what happened, the account that did it where one did.
fn written(body: &Body, by: Option<&RuleName>) -> serde_json::Result<String> {
    let Some(by) = by else { return serde_json::to_string(body) };
    let mut value = serde_json::to_value(body)?;
    if let serde_json::Value::Object(fields) = &mut value {
        fields.insert("by".to_owned(), by.as_str().into());
    }
    serde_json::to_string(&value)
}

/// What [`written`] has made.
fn read_body(text: &str) -> serde_json::Result<(Body, Option<RuleName>)> {
    let whole = match serde_json::from_str(text) {
        Ok(body) => return Ok((body, None)),
        Err(error) => error,
    };
    let mut value: serde_json::Value = serde_json::from_str(text)?;
    let by = value.as_object_mut().and_then(|fields| fields.remove("by"));
    let Some(by) = by.and_then(|by| RuleName::new(by.as_str()?).ok()) else { return Err(whole) };
    Ok((serde_json::from_value(value)?, Some(by)))
}

/// The number of the next record: one that was never given.
fn next_seq(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'audit'";
    let last: Option<i64> =
        connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0).saturating_add(1))
}

/// A row as a record, or what is wrong with it.
pub(super) fn stored(row: &Row<'_>) -> rusqlite::Result<Result<AuditRecord, UnreadableRecord>> {
    let seq = unsigned(row, 0)?;
    let (id, door, boot): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (monotonic_ms, issued_ms): (i64, i64) = (row.get(4)?, row.get(5)?);
    let (clock, body): (String, String) = (row.get(6)?, row.get(7)?);
    let chain: Option<String> = row.get(8)?;
    let read = || {
        let (body, by) = read_body(&body).map_err(|error| format!("body: {error}"))?;
        Ok(AuditRecord {
            seq,
            id: Uuid::try_parse(&id).map_err(|error| format!("id: {error}"))?,
            door,
            boot: Uuid::try_parse(&boot).map_err(|error| format!("boot: {error}"))?,
            monotonic_ms: u64::try_from(monotonic_ms)
                .map_err(|_| "monotonic_ms: below zero".to_owned())?,
            issued_ms,
            clock: if clock == trust_name(ClockTrust::Trusted) {
                ClockTrust::Trusted
            } else {
                ClockTrust::Untrusted
            },
            chain,
            by,
            body,
        })
    };
    Ok(read().map_err(|what| UnreadableRecord { seq, issued_ms, what }))
}

const fn trust_name(trust: ClockTrust) -> &'static str {
    match trust {
        ClockTrust::Trusted => "trusted",
        ClockTrust::Untrusted => "untrusted",
    }
}

/// A `UUIDv7` of that moment; a clock before 1970 counts as 1970.
fn record_id(wall: WallClock) -> Uuid {
    let random = Uuid::new_v4().into_bytes();
    // Bytes 6 and 8 of a version 4 carry its fixed bits; the others are random.
    let [a, b, c, d, e, f, _, _, _, g, h, i, j, ..] = random;
    let tail = [a, b, c, d, e, f, g, h, i, j];
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(wall.unix_ms).unwrap_or(0), &tail)
        .into_uuid()
}
