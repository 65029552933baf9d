//! Where people went last, by the grants of this door and of the one that is named beside it.
//!
//! In: a passage, or that an administrator wants one forgotten. Out: the rows, as part of the rule book.
//! Invariants: of two passages the newer one stays, in whatever order they are written; what is forgotten
//! stays as a row without a side, so that a running door hears of it; whoever is removed has none.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::administer::known;
use super::people::Undone;
use super::references::subject_id;
use super::{Administrative, AuditRecord, Body, Error, Signature, Store, ledger};
use crate::compare::SubjectId;
use crate::policy::{AHEAD_MAX_MS, Side, Whereabouts};

impl Store {
    /// Keeps where somebody went, unless something newer is known at `now_ms`, as
    /// [`crate::policy::note_whereabouts`] says. Nobody is kept who is not enrolled.
    ///
    /// # Errors
    /// What the database says.
    pub fn note_passage(
        &mut self,
        subject: &SubjectId,
        at: Whereabouts,
        door: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.write(|connection| Ok(note(connection, subject, at, door, now_ms)?))
    }

    /// Forgets where `subject` is, or where everybody is, with the record of it.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], or what the database says; nothing was changed then.
    pub fn forget_whereabouts(
        &mut self,
        subject: Option<&SubjectId>,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            if let Some(subject) = subject {
                known(connection, subject)?;
            }
            connection.execute(
                // Also for whom there is no row: the running door may know more than is written.
                "INSERT INTO whereabouts (subject, inside, since_ms, door)
                 SELECT id, NULL, ?2, ?3 FROM subjects WHERE ?1 IS NULL OR id = ?1
                 ON CONFLICT (subject) DO UPDATE SET
                     inside = NULL, since_ms = max(since_ms, excluded.since_ms), door = excluded.door",
                params![subject.map(SubjectId::as_str), by.wall.unix_ms, by.door],
            )?;
            let event = Administrative::WhereaboutsForgotten { subject: subject.cloned() };
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }
}

pub(super) fn note(
    connection: &Connection,
    subject: &SubjectId,
    at: Whereabouts,
    door: &str,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let latest = now_ms.saturating_add(AHEAD_MAX_MS);
    let inside = at.side.map(|side| side == Side::Inside);
    connection
        .prepare_cached(
            "INSERT INTO whereabouts (subject, inside, since_ms, door)
             SELECT id, ?2, ?3, ?4 FROM subjects WHERE id = ?1
             ON CONFLICT (subject) DO UPDATE SET
                 inside = excluded.inside, since_ms = excluded.since_ms, door = excluded.door
             WHERE (excluded.since_ms <= ?5, excluded.since_ms, excluded.inside IS NULL)
                >= (whereabouts.since_ms <= ?5, whereabouts.since_ms, whereabouts.inside IS NULL)",
        )?
        .execute(params![subject.as_str(), inside, at.since_ms, door, latest])?;
    Ok(())
}

pub(super) fn read(connection: &Connection) -> Result<BTreeMap<SubjectId, Whereabouts>, Undone> {
    let mut statement =
        connection.prepare_cached("SELECT subject, inside, since_ms FROM whereabouts")?;
    let rows = statement.query_map([], |row| {
        let inside: Option<bool> = row.get(1)?;
        let side = inside.map(|inside| if inside { Side::Inside } else { Side::Outside });
        Ok((subject_id(row, 0)?, Whereabouts { side, since_ms: row.get(2)? }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::inference::ModelKey;
    use crate::store::{Change, Enrolee, ReferenceSource, StoreSettings};

    fn by(unix_ms: i64) -> Signature<'static> {
        let wall = WallClock { unix_ms, trust: ClockTrust::Trusted, synchronised: false };
        Signature { door: "front", boot: uuid::Uuid::nil(), now: Monotonic::default(), wall }
    }

    /// A database in which Maria is enrolled.
    fn store() -> (tempfile::TempDir, Store, SubjectId) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        let change = Change::Enrol {
            who: Enrolee::New("Maria"),
            references: &[],
            source: ReferenceSource::Image,
            model: &ModelKey::made_up().id,
        };
        let maria = store.administer(change, by(1)).unwrap().subject.unwrap();
        (folder, store, maria)
    }

    #[test]
    fn the_newer_passage_stays_and_nobody_is_kept_who_is_not_enrolled() {
        let (folder, mut store, maria) = store();
        let nobody = SubjectId::new("s-ffffff").unwrap();
        let went = |side, since_ms| Whereabouts { side: Some(side), since_ms };
        for (who, at) in [
            (&maria, went(Side::Inside, 100)),
            (&maria, went(Side::Outside, 300)),
            (&maria, went(Side::Inside, 200)),
            (&nobody, went(Side::Inside, 100)),
        ] {
            store.note_passage(who, at, "back", 400).unwrap();
        }
        let known = |store: &Store| store.rule_book().unwrap().whereabouts;
        let only = |at| BTreeMap::from([(maria.clone(), at)]);
        assert_eq!(known(&store), only(went(Side::Outside, 300)));
        let path = folder.path().join("door.db");
        let again = Store::open(&path, StoreSettings::default()).unwrap();
        assert_eq!(known(&again), only(went(Side::Outside, 300)), "over a restart");
        store.forget_whereabouts(Some(&maria), by(400)).unwrap();
        let forgotten = Whereabouts { side: None, since_ms: 400 };
        assert_eq!(known(&store), only(forgotten));
        store.note_passage(&maria, went(Side::Inside, 350), "back", 400).unwrap();
        assert_eq!(known(&store), only(forgotten), "it was before");
        store.note_passage(&maria, went(Side::Inside, 500), "back", 500).unwrap();
        let record = store.forget_whereabouts(None, by(450)).unwrap();
        assert_eq!(known(&store), only(Whereabouts { side: None, since_ms: 500 }));
        let event = Administrative::WhereaboutsForgotten { subject: None };
        assert_eq!(record.body, Body::Administrative(event));
        assert!(store.forget_whereabouts(Some(&nobody), by(600)).is_err());
        store.administer(Change::Remove { subject: &maria }, by(700)).unwrap();
        assert!(known(&store).is_empty());
    }

    #[test]
    fn what_is_dated_in_the_future_gives_way_and_a_reset_is_written_for_whom_nothing_is_known() {
        const HOUR: i64 = 3_600_000;
        let (_folder, mut store, maria) = store();
        let known = |store: &Store| store.rule_book().unwrap().whereabouts[&maria];
        store.forget_whereabouts(Some(&maria), by(100)).unwrap();
        assert_eq!(known(&store), Whereabouts { side: None, since_ms: 100 }, "there was no row");
        let inside = |since_ms| Whereabouts { side: Some(Side::Inside), since_ms };
        let outside = Whereabouts { side: Some(Side::Outside), since_ms: HOUR };
        store.note_passage(&maria, inside(5 * HOUR), "front", 5 * HOUR).unwrap();
        store.note_passage(&maria, outside, "back", HOUR).unwrap();
        assert_eq!(known(&store), outside, "the clock was put back");
        store.note_passage(&maria, inside(5 * HOUR), "front", HOUR).unwrap();
        assert_eq!(known(&store), outside);
        store.note_passage(&maria, inside(5 * HOUR), "front", 5 * HOUR).unwrap();
        store.forget_whereabouts(None, by(HOUR)).unwrap();
        let reset = Whereabouts { side: None, since_ms: 5 * HOUR };
        assert_eq!(known(&store), reset);
        store.note_passage(&maria, inside(5 * HOUR), "front", 5 * HOUR).unwrap();
        assert_eq!(known(&store), reset, "of two a reset counts");
        store.note_passage(&maria, inside(2 * HOUR), "front", 2 * HOUR).unwrap();
        assert_eq!(known(&store), inside(2 * HOUR));
    }
}
