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
use crate::policy::{Side, Whereabouts};

impl Store {
    /// Keeps where somebody went, unless something newer is known. Nobody is kept who is not enrolled.
    ///
    /// # Errors
    /// What the database says.
    pub fn note_passage(
        &mut self,
        subject: &SubjectId,
        at: Whereabouts,
        door: &str,
    ) -> Result<(), Error> {
        self.write(|connection| Ok(note(connection, subject, at, door)?))
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
                "UPDATE whereabouts SET inside = NULL, since_ms = max(since_ms, ?2), door = ?3
                 WHERE ?1 IS NULL OR subject = ?1",
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
) -> rusqlite::Result<()> {
    let inside = at.side.map(|side| side == Side::Inside);
    connection
        .prepare_cached(
            "INSERT INTO whereabouts (subject, inside, since_ms, door)
             SELECT id, ?2, ?3, ?4 FROM subjects WHERE id = ?1
             ON CONFLICT (subject) DO UPDATE SET
                 inside = excluded.inside, since_ms = excluded.since_ms, door = excluded.door
             WHERE excluded.since_ms >= whereabouts.since_ms",
        )?
        .execute(params![subject.as_str(), inside, at.since_ms, door])?;
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

    #[test]
    fn the_newer_passage_stays_and_nobody_is_kept_who_is_not_enrolled() {
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
        let nobody = SubjectId::new("s-ffffff").unwrap();
        let went = |side, since_ms| Whereabouts { side: Some(side), since_ms };
        for (who, at) in [
            (&maria, went(Side::Inside, 100)),
            (&maria, went(Side::Outside, 300)),
            (&maria, went(Side::Inside, 200)),
            (&nobody, went(Side::Inside, 100)),
        ] {
            store.note_passage(who, at, "back").unwrap();
        }
        let known = |store: &Store| store.rule_book().unwrap().whereabouts;
        let only = |at| BTreeMap::from([(maria.clone(), at)]);
        assert_eq!(known(&store), only(went(Side::Outside, 300)));
        let again = Store::open(&path, StoreSettings::default()).unwrap();
        assert_eq!(known(&again), only(went(Side::Outside, 300)), "over a restart");
        store.forget_whereabouts(Some(&maria), by(400)).unwrap();
        let forgotten = Whereabouts { side: None, since_ms: 400 };
        assert_eq!(known(&store), only(forgotten));
        store.note_passage(&maria, went(Side::Inside, 350), "back").unwrap();
        assert_eq!(known(&store), only(forgotten), "it was before");
        store.note_passage(&maria, went(Side::Inside, 500), "back").unwrap();
        let record = store.forget_whereabouts(None, by(450)).unwrap();
        assert_eq!(known(&store), only(Whereabouts { side: None, since_ms: 500 }));
        let event = Administrative::WhereaboutsForgotten { subject: None };
        assert_eq!(record.body, Body::Administrative(event));
        assert!(store.forget_whereabouts(Some(&nobody), by(600)).is_err());
        store.administer(Change::Remove { subject: &maria }, by(700)).unwrap();
        assert!(known(&store).is_empty());
    }
}
