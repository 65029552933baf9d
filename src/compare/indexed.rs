//! A gallery with an index: most probes are compared with few references, and what is accepted with all.
//!
//! In: prepared rows, a [`Graph`] that was grown of most of them. Out: the nearest subject. The graph leads
//! to a shortlist; rows that it does not know, which were enrolled since, are on it, too. What is on it is
//! compared exactly. Where that accepts somebody, every row is looked at: by codes whose error has a bound,
//! and exactly wherever the bound leaves a doubt.
//!
//! Invariant: a match that is accepted, and its margin, are what the exact search finds, bit for bit: an
//! index can overlook somebody, and never let anybody in. A graph of other rows, or a damaged one, only
//! finds less. Rows must be unit vectors.

use std::sync::Arc;

use deepid_nearest::{Codes, Graph, NONE, Probe, Reach, Scratch};

/// How far the graph is searched. Of a million references drawn around real ones it finds 99 % of the
/// nearest (`docs/scale.md`).
const BREADTH: usize = 96;
/// So many of what the graph finds are compared exactly.
const SHORTLIST: usize = 32;

/// What an index is grown of: rows as codes, and what each was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Their codes.
    pub codes: Arc<Codes>,
    /// A hash of each; it tells rows apart, and nobody can make a face of it.
    pub fingerprints: Arc<Vec<u64>>,
}

/// A graph, and which rows of a gallery its nodes are.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    rows: Rows,
    graph: Arc<Graph>,
    /// The row of each node.
    row_of: Vec<u32>,
    entry: u32,
    /// Rows that the graph does not know.
    unknown: Vec<u32>,
    /// The subject of each row, as an index into the gallery's.
    subject_of: Vec<u32>,
}

/// Reused memory of a search.
#[derive(Debug, Clone, Default)]
pub(super) struct IndexScratch {
    probe: Probe,
    graph: Scratch,
    /// Of each subject: at least so near, at most so near.
    bounds: Vec<(f32, f32)>,
}

impl Rows {
    /// Of `block`: unit vectors of `length` numbers, one after the other.
    pub(super) fn of(block: &[f32], length: usize) -> Self {
        let fingerprints = block.chunks_exact(length.max(1)).map(fingerprint).collect();
        Self { codes: Arc::new(Codes::of(block, length)), fingerprints: Arc::new(fingerprints) }
    }
}

/// FNV-1a over the numbers' bits (Fowler, Noll and Vo), a word at a time.
fn fingerprint(row: &[f32]) -> u64 {
    let hash = row.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, value| {
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    });
    hash ^ (hash >> 32)
}

impl Indexed {
    /// Finds the rows of `graph`'s nodes among `rows`, of which `subject_of` names the subjects.
    pub(super) fn new(rows: Rows, graph: Arc<Graph>, subject_of: Vec<u32>) -> Self {
        let sorted = |of: &[u64]| {
            let mut sorted: Vec<(u64, u32)> = of.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            sorted
        };
        let (nodes, mut there) =
            (sorted(graph.fingerprints()), sorted(&rows.fingerprints).into_iter().peekable());
        let (mut row_of, mut unknown) = (vec![NONE; graph.nodes()], Vec::new());
        for (fingerprint, node) in nodes {
            while let Some((_, row)) = there.next_if(|(of, _)| *of < fingerprint) {
                unknown.push(row);
            }
            if let Some((_, row)) = there.next_if(|(of, _)| *of == fingerprint)
                && let Some(place) = row_of.get_mut(node as usize)
            {
                *place = row;
            }
        }
        unknown.extend(there.map(|(_, row)| row));
        unknown.sort_unstable();
        let entry = graph.entry(&row_of);
        Self { rows, graph, row_of, entry, unknown, subject_of }
    }

    /// The graph.
    #[must_use]
    pub const fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The row of each of its nodes; [`NONE`] for one that is gone.
    #[must_use]
    pub fn row_of(&self) -> &[u32] {
        &self.row_of
    }

    /// Rows that it does not know, in ascending order.
    #[must_use]
    pub fn unknown(&self) -> &[u32] {
        &self.unknown
    }

    /// How many of its nodes are rows no more.
    #[must_use]
    pub fn gone(&self) -> usize {
        self.graph.nodes() + self.unknown.len() - self.rows.codes.rows()
    }

    /// Subject and row of whatever is likely to be near to `probe`.
    pub(super) fn shortlist<'s>(
        &'s self,
        probe: &[f32],
        scratch: &'s mut IndexScratch,
    ) -> impl Iterator<Item = (usize, usize)> + 's {
        scratch.probe.set(probe);
        let reach = Reach { codes: &self.rows.codes, rows: &self.row_of, entry: self.entry };
        let found = self.graph.search(reach, &scratch.probe, BREADTH, &mut scratch.graph);
        let rows =
            found.iter().take(SHORTLIST).map(|found| found.row).chain(self.unknown.iter().copied());
        rows.filter_map(|row| Some((*self.subject_of.get(row as usize)? as usize, row as usize)))
    }

    /// The subjects of which one may be the nearest to `probe`, or the second one. `probe` is what the
    /// shortlist was last made for.
    pub(super) fn contenders<'s>(
        &self,
        subjects: usize,
        scratch: &'s mut IndexScratch,
    ) -> impl Iterator<Item = usize> + 's {
        let IndexScratch { probe, bounds, .. } = scratch;
        bounds.clear();
        bounds.resize(subjects, (f32::NEG_INFINITY, f32::NEG_INFINITY));
        for (subject, (least, most)) in self.subject_of.iter().zip(self.rows.codes.bounds(probe)) {
            if let Some(bound) = bounds.get_mut(*subject as usize) {
                *bound = (bound.0.max(least), bound.1.max(most));
            }
        }
        let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (least, _) in bounds.iter() {
            (first, second) = (first.max(*least), second.max(first.min(*least)));
        }
        let near =
            move |(subject, (_, most)): (usize, &(f32, f32))| (*most >= second).then_some(subject);
        bounds.iter().enumerate().filter_map(near)
    }
}
