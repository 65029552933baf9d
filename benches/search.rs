//! One probe against 10,000 references of 160 numbers, by each metric, on one core.
//!
//! In: random references, seeded. Out: the time of a search, which is to stay under 1 ms; once with
//! five references for each of 2,000 subjects, once with one for each of 10,000.
//! Run: `cargo bench --bench search`
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic, criterion makes main")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use deepid_edge::compare::{
    Comparer, Gallery, GalleryEntry, Metric, Operating, SearchScratch, SubjectId,
};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::{ModelId, ModelKey, ProcedureHash};

const REFERENCES: usize = 10_000;
const LENGTH: usize = 160;

fn vector(random: &mut fastrand::Rng, key: &ModelKey) -> FeatureVector {
    // DeepID2's features are never negative.
    let values = (0..LENGTH).map(|_| random.f32() * 6.0).collect();
    FeatureVector::new(key.clone(), values).unwrap()
}

fn search(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    for metric in [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2] {
        for each in [5, 1] {
            let mut random = fastrand::Rng::with_seed(7);
            let key = ModelKey {
                id: ModelId::new("deepid2-bench").unwrap(),
                procedure: ProcedureHash::of_bytes([1; 32]),
            };
            let mean = [3.0; LENGTH];
            let entries = (0..REFERENCES)
                .map(|index| GalleryEntry {
                    subject: SubjectId::new(&format!("s-{:06x}", index / each)).unwrap(),
                    enabled: true,
                    feature: vector(&mut random, &key),
                })
                .collect();
            let comparer = Comparer::new(key.clone(), LENGTH, &mean, metric);
            let operating = Operating {
                threshold: 0.5,
                claimed_fmr: None,
                claimed_fpir: None,
                falls_short: false,
                other_averaging: false,
                beyond_accepted: false,
            };
            let gallery = Gallery::build(comparer, entries, |_| operating).unwrap();
            let probe = vector(&mut random, &key);
            let mut scratch = SearchScratch::default();
            let name = format!("{metric}/{}x{each}", REFERENCES / each);
            group.bench_function(name, |bencher| {
                bencher.iter(|| gallery.search(black_box(&probe), &mut scratch).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
