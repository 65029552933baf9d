//! What lies in a database or a backup that somebody else has written to.
//!
//! In: bytes. For `rows` the first byte chooses a table and the rest are the row's columns, parted by
//! the byte 0x1F; for `backup` what lies inside its encryption. Out: nothing. What must hold: every row
//! that SQLite takes is read back or refused by name, and one that cannot be read holds no other up.
//! Always: the same database, emptied before each input.

use std::cell::RefCell;
use std::path::PathBuf;

use deepid_edge::inference::{ModelId, ModelKey, ProcedureHash};
use deepid_edge::store::{Selection, Store, StoreSettings, backup::look_into};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Tables, and what a good row of them holds.
const TABLES: [(&str, usize); 17] = [
    ("audit", 10),
    ("subjects", 5),
    ("subject_references", 8),
    ("schedules", 2),
    ("subject_groups", 5),
    ("subject_terms", 5),
    ("holidays", 1),
    ("arming", 4),
    ("grant_keys", 5),
    ("audit_state", 14),
    ("accounts", 4),
    ("account_tokens", 3),
    ("administrators", 5),
    ("retired_subjects", 1),
    ("store_key", 4),
    ("pins", 3),
    ("whereabouts", 4),
];
const BETWEEN: u8 = 0x1F;

/// Any bytes as what lies inside a backup's encryption.
pub fn backup(bytes: &[u8]) {
    let mut database = Vec::new();
    if let Ok(manifest) = look_into(bytes, &mut database) {
        assert_eq!(database.len() as u64, manifest.database.bytes);
    }
}

/// A database, open for whoever spoils it and for the program.
struct Bench {
    _folder: tempfile::TempDir,
    spoiler: Connection,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
                .expect("a folder");
        let path = folder.path().join("door.db");
        let store = Store::open(&path, StoreSettings::default()).expect("a database");
        let spoiler = Connection::open(&path).expect("the same");
        spoiler
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;")
            .expect("a quick one");
        hold_to_the_schema(&spoiler);
        Self { _folder: folder, spoiler, store }
    }
}

/// A table that is not in [`TABLES`], or a row with too few columns, would never be looked at.
fn hold_to_the_schema(database: &Connection) {
    let sql = "SELECT name, (SELECT count(*) FROM pragma_table_info(t.name)) FROM sqlite_schema t \
               WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'outbox' ORDER BY name";
    let mut statement = database.prepare(sql).expect("the schema can be read");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, u32>(1)? as usize));
    let rows = statement.query_map([], row).expect("it has tables");
    let schema: Vec<(String, usize)> = rows.map(|row| row.expect("a name and a number")).collect();
    let mut known = TABLES.map(|(table, columns)| (table.to_owned(), columns));
    known.sort();
    assert_eq!(known.as_slice(), schema, "TABLES and the schema");
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

/// Any bytes as a row of a table.
pub fn rows(bytes: &[u8]) {
    let Some((&table, rest)) = bytes.split_first() else { return };
    let (table, columns) = TABLES[usize::from(table) % TABLES.len()];
    BENCH.with_borrow_mut(|bench| {
        for other in TABLES.map(|(table, _)| table).into_iter().chain(["outbox"]) {
            bench.spoiler.execute(&format!("DELETE FROM {other}"), []).expect("it is emptied");
        }
        let values: Vec<Value> =
            rest.split(|&byte| byte == BETWEEN).take(columns).map(value).collect();
        if values.len() < columns {
            return;
        }
        let places = vec!["?"; columns].join(", ");
        let sql = format!("INSERT INTO {table} VALUES ({places})");
        // What SQLite itself refuses is in no database.
        if bench.spoiler.execute(&sql, params_from_iter(values)).is_err() {
            return;
        }
        if table == "audit" {
            bench
                .spoiler
                .execute("INSERT INTO outbox SELECT seq FROM audit", [])
                .expect("it waits for a broker");
        }
        read(&bench.store);
    });
}

/// A column: hexadecimal bytes behind `x`, nothing for `-`, a number, or text.
fn value(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    if text == "-" {
        return Value::Null;
    }
    if let Some(digits) = text.strip_prefix('x') {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        return Value::Blob(digits.as_bytes().chunks(2).map_while(byte).collect());
    }
    if let Ok(number) = text.parse() {
        return Value::Integer(number);
    }
    Value::Text(text.into_owned())
}

/// Reads all that the program reads of a database.
fn read(store: &Store) {
    let key = ModelKey {
        id: ModelId::new("deepid2").expect("a model"),
        procedure: ProcedureHash::of_bytes([0; 32]),
    };
    if let Ok(references) = store.references(&key) {
        for reference in references {
            assert!(reference.vector.values().iter().all(|value| value.is_finite()));
        }
    }
    drop(store.check_references(&key.id));
    drop(store.unreadable_references());
    drop(store.sealed());
    drop(store.store_key_recorded());
    drop(store.subjects());
    drop(store.held());
    drop(store.rule_book());
    for holder in store.pin_holders().unwrap_or_default() {
        drop(store.pins(&holder.subject));
    }
    drop(store.arming());
    drop(store.arming_book());
    if let Ok(accounts) = store.accounts() {
        for account in accounts {
            assert_eq!(store.account(account.name.as_str()).ok().flatten(), Some(account));
        }
    }
    drop(store.account_of_token(&"a".repeat(64)));
    drop(store.administrators());
    drop(store.grant_keys());
    drop(store.clock_floor());
    drop(store.newest_run());
    drop(store.verify_records());
    drop(store.look_alikes("somebody"));
    if let Ok(page) = store.outbox_page(0, 8) {
        assert!(page.records.len() <= 8);
    }
    drop(store.audit(0, 8));
    drop(store.unreadable_records());
    let selection = Selection { since_ms: Some(0), ..Selection::default() };
    drop(store.records(&selection, 0, 8));
    drop(store.before_newest(&selection, 8));
    drop(store.check());
}
