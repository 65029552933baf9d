//! Audit records and their outbox.
//!
//! Decisions and administrative events → numbered records that are on the disk when the call
//! returns. A record stands in the outbox until a broker has acknowledged it. Invariants: `seq`
//! only grows, also over erasure and restart; the outbox is read in the order of `seq`; retention
//! erases the oldest, in the same transaction that adds the newest. Nothing here knows of MQTT.

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::people::unsigned;
use super::{Administrative, AuditRecord, Body, Error, Store};
use crate::clock::{ClockTrust, Monotonic, WallClock};
use crate::decide::Decision;

impl Store {
    /// Records a decision of `door`, made in the run `boot`. It is durable when this returns.
    ///
    /// # Errors
    /// What the database says; nothing was recorded then, and nothing may be announced.
    pub fn record_decision(
        &mut self,
        decision: &Decision,
        door: &str,
        boot: Uuid,
    ) -> Result<AuditRecord, Error> {
        let body = Body::Decision(decision.into());
        self.record(body, door, boot, decision.decided_at, decision.wall)
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

    fn record(
        &mut self,
        body: Body,
        door: &str,
        boot: Uuid,
        now: Monotonic,
        wall: WallClock,
    ) -> Result<AuditRecord, Error> {
        let id = record_id(wall);
        let records_max = self.settings.records_max.max(1);
        let text = serde_json::to_string(&body).map_err(|error| {
            self.error(rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
        })?;
        let seq = self.write(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO audit (id, door, boot, monotonic_ms, issued_ms, clock, body)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    id.to_string(),
                    door,
                    boot.to_string(),
                    i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
                    wall.unix_ms,
                    trust_name(wall.trust),
                    text
                ])?;
            let seq = connection.last_insert_rowid();
            connection.prepare_cached("INSERT INTO outbox (seq) VALUES (?1)")?.execute([seq])?;
            let oldest_kept = seq.saturating_sub(i64::try_from(records_max).unwrap_or(i64::MAX));
            connection
                .prepare_cached("DELETE FROM audit WHERE seq <= ?1")?
                .execute([oldest_kept])?;
            Ok(Ok(seq))
        })?;
        Ok(AuditRecord {
            seq: seq.unsigned_abs(),
            id,
            door: door.to_owned(),
            boot,
            monotonic_ms: now.as_millis(),
            issued_ms: wall.unix_ms,
            clock: wall.trust,
            body,
        })
    }

    /// Up to `limit` records after `after` that no broker has acknowledged, oldest first.
    ///
    /// # Errors
    /// [`Error::BadRecord`] for a row that cannot be read, or what the database says.
    pub fn outbox(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        self.select(
            "SELECT a.seq, a.id, a.door, a.boot, a.monotonic_ms, a.issued_ms, a.clock, a.body
             FROM outbox o JOIN audit a ON a.seq = o.seq
             WHERE o.seq > ?1 ORDER BY o.seq LIMIT ?2",
            after,
            limit,
        )
    }

    /// Up to `limit` audit records after `after`, acknowledged or not, oldest first.
    ///
    /// # Errors
    /// As [`Store::outbox`].
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        self.select(
            "SELECT seq, id, door, boot, monotonic_ms, issued_ms, clock, body
             FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            after,
            limit,
        )
    }

    /// Takes every record up to and with `seq` from the outbox. Doing it twice changes nothing.
    ///
    /// # Errors
    /// What the database says.
    pub fn acknowledge(&mut self, seq: u64) -> Result<(), Error> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.write(|connection| {
            connection.prepare_cached("DELETE FROM outbox WHERE seq <= ?1")?.execute([seq])?;
            Ok(Ok(()))
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

    /// The latest wall-clock time, in milliseconds since 1970, that was recorded while the clock
    /// was trusted: a clock behind it has been set back.
    ///
    /// # Errors
    /// What the database says.
    pub fn newest_record_time(&self) -> Result<Option<i64>, Error> {
        self.connection
            .query_row("SELECT max(issued_ms) FROM audit WHERE clock = 'trusted'", [], |row| {
                row.get(0)
            })
            .optional()
            .map(Option::flatten)
            .map_err(|source| self.error(source))
    }

    fn select(&self, sql: &str, after: u64, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement =
            self.connection.prepare_cached(sql).map_err(|source| self.error(source))?;
        let rows =
            statement.query_map([after, limit], stored).map_err(|source| self.error(source))?;
        let mut records = Vec::new();
        for row in rows {
            let (seq, record) = row.map_err(|source| self.error(source))?;
            let record =
                record.map_err(|what| Error::BadRecord { path: self.path.clone(), seq, what })?;
            records.push(record);
        }
        Ok(records)
    }
}

/// A row as a record, or what is wrong with it.
fn stored(row: &Row<'_>) -> rusqlite::Result<(u64, Result<AuditRecord, String>)> {
    let seq = unsigned(row, 0)?;
    let (id, door, boot): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (monotonic_ms, issued_ms): (u64, i64) = (unsigned(row, 4)?, row.get(5)?);
    let (clock, body): (String, String) = (row.get(6)?, row.get(7)?);
    let read = || {
        Ok(AuditRecord {
            seq,
            id: Uuid::try_parse(&id).map_err(|error| format!("id: {error}"))?,
            door,
            boot: Uuid::try_parse(&boot).map_err(|error| format!("boot: {error}"))?,
            monotonic_ms,
            issued_ms,
            clock: if clock == trust_name(ClockTrust::Trusted) {
                ClockTrust::Trusted
            } else {
                ClockTrust::Untrusted
            },
            body: serde_json::from_str(&body).map_err(|error| format!("body: {error}"))?,
        })
    };
    Ok((seq, read()))
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
