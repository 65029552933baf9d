//! The chain of audit records: each is bound to the one before it, so that none can be changed, taken
//! out or moved afterwards without a trace.
//!
//! In: a row that is about to be written, or all that are there. Out: its hash, SHA-256 over the JSON
//! array of the hash before it and the row exactly as it is stored; what does not fit, by number.
//!
//! Clients' requests are a chain of their own, because they are erased apart from all other records.
//! Of either chain only the oldest are ever erased; number and hash of the last one stay, signed with
//! the door's key where it has one. Deliberately absent: who may write to the file. Who can, and has
//! the key, can make another chain; what went out on `audit` as `chain` then says otherwise.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rusqlite::{Connection, Row, params};

use super::audit_state::{AuditState, IS_REQUEST};
use super::{Error, Store};
use crate::inference::sha256_hex;
use crate::sign::{GrantKey, PublicKey};

/// What stands in the place of a hash before the first record.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Rows that are held at once.
const PAGE: i64 = 256;
/// How much that is wrong is told.
pub const BROKEN_MAX: usize = 100;
/// So that what is signed here can be taken for nothing else that the key signs.
const CHECKPOINT: &str = "deepid-edge/checkpoint/1";

/// A row as it is stored, but for its hashes.
#[derive(Debug, Clone)]
pub(super) struct StoredText {
    pub seq: i64,
    pub id: String,
    pub door: String,
    pub boot: String,
    pub monotonic_ms: i64,
    pub issued_ms: i64,
    pub clock: String,
    pub body: String,
}

/// One of the two chains, as far as it is known without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Chain {
    /// The hash of the newest record.
    pub head: Option<String>,
    /// The last record that was erased, and its hash.
    pub cut: Option<(i64, String)>,
}

/// A signature over what was erased last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub kid: String,
    pub signature: String,
}

/// How what was erased last is vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutState {
    /// Nothing was erased.
    #[default]
    Whole,
    /// By a key of this door.
    Signed,
    /// By a key that is no longer known.
    UnknownKey,
    /// Not at all.
    Unsigned,
    /// The signature is of something else.
    Forged,
}

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Broken {
    /// The record at which it shows; `None` at the end of the audit and at its beginning.
    pub record: Option<u64>,
    /// What it is.
    pub what: String,
}

/// What a walk through the audit has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Records that were looked at.
    pub records: u64,
    /// The hash of the newest record, requests left out, and of the newest request.
    pub heads: [Option<String>; 2],
    /// The last record that was erased because there were too many.
    pub cut: Option<u64>,
    /// How that is vouched for.
    pub cut_state: CutState,
    /// What does not fit; at most [`BROKEN_MAX`] of it.
    pub broken: Vec<Broken>,
}

impl StoredText {
    /// Its hash behind the record whose hash is `before`.
    pub(super) fn hash(&self, before: &str) -> String {
        let Self { seq, id, door, boot, monotonic_ms, issued_ms, clock, body } = self;
        let row = (before, seq, id, door, boot, monotonic_ms, issued_ms, clock, body);
        // A tuple of texts and numbers always serialises.
        let text = serde_json::to_string(&row).unwrap_or_default();
        sha256_hex(text.as_bytes())
    }
}

impl Chain {
    /// What the next record is bound to.
    pub(super) fn before(&self) -> &str {
        self.head.as_deref().unwrap_or(BEGINNING)
    }

    fn begins_behind(&self) -> &str {
        self.cut.as_ref().map_or(BEGINNING, |(_, hash)| hash)
    }
}

/// What is signed of what was erased.
fn checkpoint_text(records: &Chain, requests: &Chain) -> Vec<u8> {
    serde_json::to_vec(&(CHECKPOINT, &records.cut, &requests.cut)).unwrap_or_default()
}

impl Checkpoint {
    pub(super) fn sign(key: &GrantKey, records: &Chain, requests: &Chain) -> Self {
        let signature = key.sign(&checkpoint_text(records, requests));
        Self {
            kid: key.public().thumbprint().as_str().to_owned(),
            signature: Base64UrlUnpadded::encode_string(&signature),
        }
    }

    fn judge(&self, keys: &[PublicKey], records: &Chain, requests: &Chain) -> CutState {
        let Some(key) = keys.iter().find(|key| key.thumbprint().as_str() == self.kid) else {
            return CutState::UnknownKey;
        };
        let signature = Base64UrlUnpadded::decode_vec(&self.signature).unwrap_or_default();
        if key.has_signed(&checkpoint_text(records, requests), &signature) {
            CutState::Signed
        } else {
            CutState::Forged
        }
    }
}

/// A row with its hashes, and whether it is a request.
struct Link {
    text: StoredText,
    before: Option<String>,
    hash: Option<String>,
    request: bool,
}

fn page(connection: &Connection, after: i64) -> rusqlite::Result<Vec<Link>> {
    let sql = format!(
        "SELECT seq, id, door, boot, monotonic_ms, issued_ms, clock, body, prev_hash, hash, {IS_REQUEST}
         FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    );
    let link = |row: &Row<'_>| {
        Ok(Link {
            text: StoredText {
                seq: row.get(0)?,
                id: row.get(1)?,
                door: row.get(2)?,
                boot: row.get(3)?,
                monotonic_ms: row.get(4)?,
                issued_ms: row.get(5)?,
                clock: row.get(6)?,
                body: row.get(7)?,
            },
            before: row.get(8)?,
            hash: row.get(9)?,
            request: row.get::<_, Option<bool>>(10)?.unwrap_or(false),
        })
    };
    connection.prepare_cached(&sql)?.query_map(params![after, PAGE], link)?.collect()
}

/// Binds the records that are there, which no version before has bound.
pub(super) fn bind_existing(connection: &Connection) -> rusqlite::Result<()> {
    let mut state = AuditState::read(connection)?;
    let mut after = 0;
    loop {
        let rows = page(connection, after)?;
        let Some(last) = rows.last() else { break };
        after = last.text.seq;
        for Link { text, request, .. } in rows {
            let chain = state.chain(request);
            let before = chain.before().to_owned();
            let hash = text.hash(&before);
            connection
                .prepare_cached("UPDATE audit SET prev_hash = ?2, hash = ?3 WHERE seq = ?1")?
                .execute(params![text.seq, before, hash])?;
            chain.head = Some(hash);
        }
    }
    state.write(connection)
}

/// The place in one chain to which a walk has come.
struct Walk {
    expected: String,
    seq: i64,
}

impl Store {
    /// Walks through the whole audit, a page at a time, and tells what was changed, taken out or moved.
    ///
    /// # Errors
    /// What the database says.
    pub fn verify_records(&self) -> Result<Verified, Error> {
        let keys = self.grant_keys()?.into_iter().map(|known| known.public).collect::<Vec<_>>();
        // One moment, also where a daemon goes on writing.
        let read = || {
            let transaction = self.connection.unchecked_transaction()?;
            verify(&transaction, &keys)
        };
        read().map_err(|source| self.error(source))
    }
}

fn verify(connection: &Connection, keys: &[PublicKey]) -> rusqlite::Result<Verified> {
    let mut state = AuditState::read(connection)?;
    let checkpoint = state.checkpoint.clone();
    let (records, requests) = (state.chain(false).clone(), state.chain(true).clone());
    let mut found = Verified {
        heads: [records.head.clone(), requests.head.clone()],
        cut: records.cut.as_ref().map(|(seq, _)| seq.unsigned_abs()),
        ..Verified::default()
    };
    found.cut_state = match (&records.cut, &requests.cut, checkpoint) {
        (None, None, _) => CutState::Whole,
        (.., None) => CutState::Unsigned,
        (.., Some(checkpoint)) => checkpoint.judge(keys, &records, &requests),
    };
    if found.cut_state == CutState::Forged {
        found.tell(None, "what is said of the erased records is not what the door has signed");
    }
    let mut walks = [&records, &requests].map(|chain| Walk {
        expected: chain.begins_behind().to_owned(),
        seq: chain.cut.as_ref().map_or(0, |(seq, _)| *seq),
    });
    let mut after = 0;
    loop {
        let rows = page(connection, after)?;
        let Some(last) = rows.last() else { break };
        after = last.text.seq;
        for link in rows {
            found.records += 1;
            let [records, requests] = &mut walks;
            found.step(if link.request { requests } else { records }, &link);
        }
    }
    for (walk, chain) in walks.iter().zip([&records, &requests]) {
        if walk.expected != chain.before() {
            let what = format!("the records behind {} were taken out", walk.seq);
            found.tell(None, what);
        }
    }
    Ok(found)
}

impl Verified {
    fn tell(&mut self, seq: Option<i64>, what: impl Into<String>) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(Broken { record: seq.map(i64::unsigned_abs), what: what.into() });
        }
    }

    fn step(&mut self, walk: &mut Walk, link: &Link) {
        let seq = link.text.seq;
        let (before, hash) = (link.before.clone().unwrap_or_default(), link.hash.clone());
        if hash.as_ref() != Some(&link.text.hash(&before)) {
            self.tell(Some(seq), "it was changed, or moved here");
        } else if before != walk.expected {
            let what = match walk.seq {
                0 => "what stood before it was taken out, changed or moved".to_owned(),
                last => format!("between {last} and it a record was taken out, changed or moved"),
            };
            self.tell(Some(seq), what);
        }
        *walk = Walk { expected: hash.unwrap_or_default(), seq };
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::store::{Administrative, RequestVerdict, StoreSettings};

    struct Bench {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Bench {
        fn new(records_max: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = StoreSettings { records_max, ..StoreSettings::default() };
            let store = Store::open(&folder.path().join("door.db"), settings).unwrap();
            Self { folder, store }
        }

        fn record(&mut self, number: u32) {
            let event = if number.is_multiple_of(4) {
                let (request, verdict) = ("ping".to_owned(), RequestVerdict::Answered);
                Administrative::Requested { request, verdict, count: number }
            } else {
                Administrative::Stopped
            };
            let unix_ms = 1_800_000_000_000 + i64::from(number);
            let wall = WallClock { unix_ms, trust: ClockTrust::Trusted, synchronised: true };
            let now = Monotonic::default();
            self.store.record_admin(event, "front", Uuid::nil(), now, wall).unwrap();
        }

        fn beside(&self, sql: &str) {
            let beside = Connection::open(self.folder.path().join("door.db")).unwrap();
            beside.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
            assert!(beside.execute(sql, []).unwrap() > 0, "{sql}");
        }

        fn broken(&self) -> Vec<Option<u64>> {
            let verified = self.store.verify_records().unwrap();
            verified.broken.into_iter().map(|broken| broken.record).collect()
        }
    }

    fn twelve() -> Bench {
        let mut bench = Bench::new(1000);
        (1..=12).for_each(|number| bench.record(number));
        assert_eq!(bench.broken(), []);
        bench
    }

    #[test]
    fn whatever_is_changed_in_a_record_is_named() {
        for change in [
            "body = '{\"administrative\":{\"event\":\"stopped\",\"by\":1}}'",
            "door = 'back'",
            "boot = '7c0d2f6a-0000-4000-8000-000000000001'",
            "issued_ms = issued_ms + 1",
            "monotonic_ms = 7",
            "clock = 'untrusted'",
            "hash = prev_hash",
            "hash = NULL",
        ] {
            let bench = twelve();
            bench.beside(&format!("UPDATE audit SET {change} WHERE seq = 6"));
            assert!(bench.broken().contains(&Some(6)), "{change}: {:?}", bench.broken());
        }
    }

    #[test]
    fn what_is_taken_out_or_moved_is_noticed_where_it_was() {
        let bench = twelve();
        bench.beside("DELETE FROM audit WHERE seq = 6");
        assert_eq!(bench.broken(), [Some(7)]);
        let bench = twelve();
        bench.beside("DELETE FROM audit WHERE seq = 8");
        assert_eq!(bench.broken(), [Some(12)], "a request, by the next one");
        let bench = twelve();
        bench.beside("DELETE FROM audit WHERE seq <= 3");
        assert_eq!(bench.broken(), [Some(5)], "the first ones");
        let bench = twelve();
        bench.beside("DELETE FROM audit WHERE seq >= 11");
        assert_eq!(bench.broken(), [None, None], "the newest ones, of both chains");
        let bench = twelve();
        bench.beside("UPDATE audit SET seq = -seq WHERE seq IN (5, 6)");
        bench.beside("UPDATE audit SET seq = 11 + seq WHERE seq IN (-5, -6)");
        assert_eq!(bench.broken(), [Some(5), Some(6), Some(7)], "two that changed places");
    }

    #[test]
    fn what_is_erased_because_there_is_too_much_leaves_a_signed_end() {
        let key = std::sync::Arc::new(GrantKey::generate().unwrap());
        let mut bench = Bench::new(10);
        let place = crate::sign::PlaceKind::File;
        bench.store.note_grant_key(key.public(), place, 0).unwrap();
        bench.store.sign_cuts_with(Some(key));
        (1..=60).for_each(|number| bench.record(number));
        let verified = bench.store.verify_records().unwrap();
        assert_eq!((verified.broken.as_slice(), verified.cut_state), (&[][..], CutState::Signed));
        assert!(verified.cut.is_some_and(|cut| cut > 40), "{verified:?}");
        let cut = verified.cut.unwrap();
        bench.beside(&format!(
            "UPDATE audit_state SET cut_seq = {0}, cut_hash = (SELECT hash FROM audit WHERE seq = {0})",
            cut + 1
        ));
        bench.beside(&format!("DELETE FROM audit WHERE seq = {}", cut + 1));
        let verified = bench.store.verify_records().unwrap();
        assert_eq!(verified.cut_state, CutState::Forged, "one more, as if it had been too old");
        assert_eq!(verified.broken.len(), 1, "{verified:?}");
    }

    #[test]
    fn who_cannot_sign_leaves_old_records_to_who_can_within_a_bound() {
        let mut bench = Bench::new(10);
        (1..=20).for_each(|number| bench.record(number));
        assert_eq!(bench.store.verify_records().unwrap().cut_state, CutState::Unsigned, "no key");
        let key = std::sync::Arc::new(GrantKey::generate().unwrap());
        let place = crate::sign::PlaceKind::File;
        bench.store.note_grant_key(key.public(), place, 0).unwrap();
        let before = bench.store.verify_records().unwrap().cut;
        (21..=60).for_each(|number| bench.record(number));
        assert_eq!(bench.store.verify_records().unwrap().cut, before);
        bench.store.sign_cuts_with(Some(key));
        bench.record(61);
        let verified = bench.store.verify_records().unwrap();
        assert_eq!((verified.broken.as_slice(), verified.cut_state), (&[][..], CutState::Signed));
        assert!(verified.records < 20, "{verified:?}");
        bench.store.sign_cuts_with(None);
        (62..=1000).for_each(|number| bench.record(number));
        let verified = bench.store.verify_records().unwrap();
        assert!(verified.records < 400, "{verified:?}");
        assert_eq!(verified.cut_state, CutState::Unsigned);
    }
}
