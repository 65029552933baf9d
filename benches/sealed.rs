//! What sealing costs: at a start, where all references are opened, and at an enrolment.
//!
//! In: a database of 200 people with five references of 160 numbers each. Out: the time to read all of
//! them, with and without sealing; and of one enrolment with five references, most of which is the disk.
//! Run: `cargo bench --bench sealed`
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic, criterion makes main")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::{ModelId, ModelKey, ProcedureHash};
use deepid_edge::store::{
    Change, Enrolee, NewReference, ReferenceSource, Signature, Store, StoreSettings,
};
use rusqlite::Connection;

const PEOPLE: usize = 200;
const EACH: usize = 5;
const LENGTH: usize = 160;

fn enrol(store: &mut Store, name: &str, vectors: &[FeatureVector], model: &ModelId) {
    let references: Vec<_> =
        vectors.iter().map(|vector| NewReference { vector, quality: 1.0 }).collect();
    let wall = WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false };
    let by = Signature { door: "front", boot: uuid::Uuid::nil(), now: Monotonic::default(), wall };
    let (who, source) = (Enrolee::New(name), ReferenceSource::Image);
    store.administer(Change::Enrol { who, references: &references, source, model }, by).unwrap();
}

fn sealed(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("door.db");
    let mut store = Store::open(&path, StoreSettings::default()).unwrap();
    let key = ModelKey {
        id: ModelId::new("deepid2-bench").unwrap(),
        procedure: ProcedureHash::of_bytes([1; 32]),
    };
    let mut random = fastrand::Rng::with_seed(7);
    let vectors: Vec<FeatureVector> = (0..EACH)
        .map(|_| {
            let values = (0..LENGTH).map(|_| random.f32() * 6.0).collect();
            FeatureVector::new(key.clone(), values).unwrap()
        })
        .collect();
    for number in 0..PEOPLE {
        enrol(&mut store, &format!("number {number}"), &vectors, &key.id);
    }
    let mut group = criterion.benchmark_group("sealed");
    group.sample_size(20);
    group.bench_function("open 1000 references of 200 people", |bencher| {
        bencher.iter(|| black_box(store.references(&key).unwrap()));
    });
    // What SQLite needs for the same rows.
    let other = Connection::open(&path).unwrap();
    let sql = "SELECT r.id, r.subject, s.enabled, r.vector, r.quality, r.model, r.procedure,
             r.source, r.created_ms, s.data_key
         FROM subject_references r JOIN subjects s ON s.id = r.subject ORDER BY r.id";
    group.bench_function("read the same rows without opening them", |bencher| {
        let mut statement = other.prepare(sql).unwrap();
        bencher.iter(|| {
            let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(3)).unwrap();
            black_box(rows.map(Result::unwrap).map(|bytes| bytes.len()).sum::<usize>())
        });
    });
    group.bench_function("open 200 names", |bencher| {
        bencher.iter(|| black_box(store.subjects().unwrap()));
    });
    let mut number = PEOPLE;
    group.bench_function("enrol somebody with 5 references", |bencher| {
        bencher.iter(|| {
            number += 1;
            enrol(&mut store, &format!("number {number}"), &vectors, &key.id);
        });
    });
    group.finish();
}

criterion_group!(benches, sealed);
criterion_main!(benches);
