//! The index of a large gallery: read at the start, grown in the background, written for the next start.
//!
//! In: a gallery, as it was made of the database. Out: the same, with an index where the configuration
//! wants one and there are enough references. While one grows, the gallery goes on with the one before, or
//! with none.
//!
//! Invariant: an index that cannot be read or written is a line in the log and a slower search, and changes
//! nobody's decision. The thread that grows it is at the lowest priority and ends with the process.
//! Deliberately absent: how an index is searched (`compare`), and where it lies (`store`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deepid_nearest::{Builder, Graph, NONE};

use super::named;
use crate::compare::{Gallery, Rows, Search};
use crate::config::Config;
use crate::store::{IndexFile, Store};

/// When an index pays, and when it grows.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Fewer references are searched through in a few hundred microseconds.
    from: usize,
    /// So many that the index does not know are compared one by one before it grows; a fiftieth of all,
    /// where that is more. As many may be gone before it is grown anew.
    unknown: usize,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Indexes {
    limits: Limits,
    state: Arc<Mutex<State>>,
}

impl Default for Indexes {
    fn default() -> Self {
        Self { limits: Limits { from: 10_000, unknown: 1_000 }, state: Arc::default() }
    }
}

#[derive(Debug, Default)]
struct State {
    /// The newest graph, of whatever references.
    graph: Option<Arc<Graph>>,
    /// Whether the file was looked at.
    looked: bool,
    growing: bool,
    /// Whether a graph has grown since somebody last asked.
    grown: bool,
}

impl Indexes {
    /// `gallery`, with an index where `config` wants one.
    pub(super) fn index(&self, config: &Config, store: &Store, gallery: Gallery) -> Gallery {
        let wanted = config.recognise.search == Search::Approximate;
        if !wanted || gallery.references() < self.limits.from {
            let mut state = self.state();
            *state = State { growing: state.growing, ..State::default() };
            drop(state);
            return gallery;
        }
        let Some(rows) = gallery.rows() else { return gallery };
        let file = match store.index_file(gallery.comparer().key()) {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::warn!(%error, "the index of the references cannot be read or written");
                None
            }
        };
        let graph = self.graph(file.as_ref());
        let gallery = gallery.indexed(rows.clone(), graph);
        self.grow_if_due(&gallery, rows, file);
        gallery
    }

    /// Whether an index has grown since the last call, so that the gallery is to be made again.
    pub(super) fn take_grown(&self) -> bool {
        std::mem::take(&mut self.state().grown)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The graph in memory, else the one in the file, else an empty one.
    fn graph(&self, file: Option<&IndexFile>) -> Arc<Graph> {
        let mut state = self.state();
        if let Some(file) = file.filter(|_| !std::mem::replace(&mut state.looked, true)) {
            match file.read().map(|bytes| bytes.map(|bytes| Graph::from_bytes(&bytes))) {
                Ok(None) => {}
                Ok(Some(Ok(graph))) => state.graph = Some(Arc::new(graph)),
                Ok(Some(Err(error))) => {
                    tracing::warn!(%error, file = %file.path().display(), "the index is grown anew");
                }
                Err(error) => tracing::warn!(%error, "the index is grown anew"),
            }
        }
        state.graph.clone().unwrap_or_default()
    }

    fn grow_if_due(&self, gallery: &Gallery, rows: Rows, file: Option<IndexFile>) {
        let Some(index) = gallery.index() else { return };
        let most = (gallery.references() / 50).max(self.limits.unknown);
        let anew = index.gone() > most || index.graph().nodes() == 0;
        if !anew && index.unknown().len() <= most {
            return;
        }
        if std::mem::replace(&mut self.state().growing, true) {
            return;
        }
        let from = if anew {
            Beginning {
                graph: Graph::default(),
                row_of: Vec::new(),
                new: (0..gallery.references() as u32).collect(),
            }
        } else {
            let (row_of, new) = (index.row_of().to_vec(), index.unknown().to_vec());
            Beginning { graph: Graph::clone(index.graph()), row_of, new }
        };
        let state = Arc::clone(&self.state);
        let started = named("index", move || {
            // Where it is refused, the index grows as fast as everything else.
            let _nice = rustix::process::nice(19);
            let references =
                from.row_of.iter().filter(|row| **row != NONE).count() + from.new.len();
            tracing::info!(references, new = from.new.len(), "an index of the references grows");
            let graph = from.grow(&rows);
            if let Some(Err(error)) = file.map(|file| file.write(&graph.to_bytes())) {
                tracing::warn!(%error, "the index is not kept, and will be grown again after the next start");
            }
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            *state =
                State { graph: Some(Arc::new(graph)), looked: true, growing: false, grown: true };
            tracing::info!(references, "the index of the references is ready");
        });
        if let Err(error) = started {
            tracing::warn!(%error, "no index of the references grows; all are compared");
            self.state().growing = false;
        }
    }
}

/// What a graph grows from.
struct Beginning {
    graph: Graph,
    row_of: Vec<u32>,
    new: Vec<u32>,
}

impl Beginning {
    fn grow(self, rows: &Rows) -> Graph {
        let new = self
            .new
            .into_iter()
            .filter_map(|row| Some((row, *rows.fingerprints.get(row as usize)?)));
        let mut builder = Builder::new(self.graph, &rows.codes, self.row_of, new.collect());
        while builder.step() {}
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::compare::{Comparer, GalleryEntry, Metric, Operating, SearchScratch, SubjectId};
    use crate::config::{Flag, Sources};
    use crate::embed::FeatureVector;
    use crate::inference::ModelKey;
    use crate::store::{self, StoreSettings};

    fn small() -> Indexes {
        Indexes { limits: Limits { from: 30, unknown: 5 }, ..Indexes::default() }
    }

    /// A database that has a store key, because somebody is enrolled in it.
    fn opened(folder: &tempfile::TempDir) -> Store {
        let path = folder.path().join("door.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        let wall = WallClock { unix_ms: 1, trust: ClockTrust::Trusted, synchronised: false };
        let (boot, now) = (uuid::Uuid::nil(), Monotonic::default());
        let by = store::Signature { door: "front", boot, now, wall };
        if store.subjects().unwrap().is_empty() {
            let enrolled = store::Change::Enrol {
                who: store::Enrolee::New("somebody"),
                references: &[],
                source: store::ReferenceSource::Image,
                model: &ModelKey::made_up().id,
            };
            store.administer(enrolled, by).unwrap();
        }
        store
    }

    fn vector(number: usize) -> FeatureVector {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let values = (0..16).map(|_| random.f32() - 0.5).collect();
        FeatureVector::new(ModelKey::made_up(), values).unwrap()
    }

    fn gallery(numbers: std::ops::Range<usize>) -> Gallery {
        let entry = |number: usize| GalleryEntry {
            subject: SubjectId::new(&format!("s-{number:06x}")).unwrap(),
            enabled: true,
            feature: vector(number),
        };
        let operating = Operating {
            threshold: 0.9,
            claimed_fmr: None,
            claimed_fpir: None,
            falls_short: false,
            other_averaging: false,
            beyond_accepted: false,
        };
        let comparer = Comparer::new(ModelKey::made_up(), 16, &[], Metric::Cosine);
        Gallery::build(comparer, numbers.map(entry).collect(), |_| operating).unwrap()
    }

    fn config(search: &str) -> Config {
        let flags = vec![Flag::set("recognise.search", search)];
        Config::load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    /// Waits until an index that is due has grown; `false` where none is.
    fn grown(indexes: &Indexes) -> bool {
        while indexes.state().growing {
            std::thread::yield_now();
        }
        indexes.take_grown()
    }

    fn known(gallery: &Gallery) -> usize {
        gallery.references() - gallery.index().unwrap().unknown().len()
    }

    #[test]
    fn an_index_grows_beside_the_door_and_is_there_after_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let (store, approximate) = (opened(&folder), config("approximate"));
        let indexes = small();
        let first = indexes.index(&approximate, &store, gallery(0..40));
        assert_eq!(known(&first), 0, "all are compared meanwhile");
        assert!(grown(&indexes));
        assert!(!indexes.take_grown(), "said once");
        assert_eq!(known(&indexes.index(&approximate, &store, gallery(0..40))), 40);
        assert!(!grown(&indexes), "nothing is due");

        // A few who are new are compared; with more it grows.
        assert_eq!(known(&indexes.index(&approximate, &store, gallery(0..44))), 40);
        assert!(!grown(&indexes));
        assert_eq!(known(&indexes.index(&approximate, &store, gallery(0..50))), 40);
        assert!(grown(&indexes));

        let next = small();
        let again = next.index(&approximate, &opened(&folder), gallery(0..50));
        assert_eq!(known(&again), 50, "read from the file");
        assert!(!grown(&next));
        let found = again.search(&vector(33), &mut SearchScratch::default()).unwrap();
        assert_eq!(found.accepted().unwrap().subject.as_str(), "s-000021");
        // With many gone it is grown anew, without them.
        let fewer = next.index(&approximate, &store, gallery(10..50));
        assert_eq!(fewer.index().unwrap().gone(), 10);
        assert!(grown(&next));
        let fewer = next.index(&approximate, &store, gallery(10..50));
        assert_eq!(fewer.index().unwrap().gone(), 0);
    }

    #[test]
    fn there_is_none_where_none_is_wanted_or_worth_it() {
        let folder = tempfile::tempdir().unwrap();
        let (store, indexes) = (opened(&folder), small());
        assert!(indexes.index(&config("exact"), &store, gallery(0..40)).index().is_none());
        assert!(indexes.index(&config("approximate"), &store, gallery(0..29)).index().is_none());
        assert!(!grown(&indexes));
        assert!(!folder.path().join("door.db.index").exists());
    }

    #[test]
    fn a_place_that_can_be_neither_read_nor_written_costs_the_next_start_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (store, approximate) = (opened(&folder), config("approximate"));
        // A folder in its place: nobody can read or replace it as a file, whoever runs this.
        std::fs::create_dir(folder.path().join("door.db.index")).unwrap();
        let indexes = small();
        assert_eq!(known(&indexes.index(&approximate, &store, gallery(0..40))), 0);
        assert!(grown(&indexes));
        assert_eq!(known(&indexes.index(&approximate, &store, gallery(0..40))), 40, "in memory");
        let next = small();
        assert_eq!(known(&next.index(&approximate, &store, gallery(0..40))), 0, "not kept");
        assert!(grown(&next));
    }

    #[test]
    fn a_file_that_was_altered_or_is_of_another_key_is_grown_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (store, approximate) = (opened(&folder), config("approximate"));
        let indexes = small();
        drop(indexes.index(&approximate, &store, gallery(0..40)));
        assert!(grown(&indexes));
        let path = folder.path().join("door.db.index");
        let right = std::fs::read(&path).unwrap();
        let mut altered = right.clone();
        altered[right.len() / 2] ^= 1;
        for wrong in [altered, right[..right.len() - 1].to_vec(), Vec::new(), vec![0; 4096]] {
            std::fs::write(&path, &wrong).unwrap();
            let next = small();
            let gallery = next.index(&approximate, &store, gallery(0..40));
            assert_eq!(known(&gallery), 0);
            assert!(grown(&next));
            assert_ne!(std::fs::read(&path).unwrap(), wrong, "written anew");
        }
        // Nothing of what was enrolled can be read in it.
        let rows = gallery(0..40).rows().unwrap();
        let sealed = std::fs::read(&path).unwrap();
        for fingerprint in rows.fingerprints.iter() {
            let bytes = fingerprint.to_le_bytes();
            assert!(!sealed.windows(8).any(|window| window == bytes));
        }
    }
}
