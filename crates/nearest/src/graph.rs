//! The graph, and the search in it.
//!
//! In: a probe, the codes of the rows, where each node's row is now. Out: the nearest rows that links lead to.
//! Invariants: links only ever lead to the nodes that are there; each node is looked at once in a search.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::NONE;
use crate::codes::{Codes, Piece, Probe, product};

/// Links of a node in each layer above the ground.
pub(crate) const LINKS: usize = 32;
/// Links of a node in the ground layer.
pub(crate) const GROUND: usize = 2 * LINKS;
/// A node is in layer `l` with the probability `LINKS⁻ˡ`; so many layers hold 32⁵ nodes and more.
pub(crate) const LAYERS_MAX: usize = 6;

/// Nodes that are linked with their nearest, in layers of which each has a thirty-second of the one below.
/// Of the vectors themselves it has nothing: whoever searches brings their codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// What each node was made of, so that it is found again among other rows.
    pub(crate) fingerprints: Vec<u64>,
    /// Of each node.
    pub(crate) ground: Vec<Places>,
    /// Where a node's upper layers begin, in `LINKS` places of `upper`; one more than there are nodes.
    pub(crate) upper_from: Vec<u32>,
    /// `LINKS` places for each upper layer of a node.
    pub(crate) upper: Vec<u32>,
}

/// A node's links in the ground layer: four whole cache lines. Empty places, which are [`NONE`], come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Places(pub(crate) [u32; GROUND]);

/// Where the rows of a graph's nodes lie now.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// The codes of all rows.
    pub codes: &'a Codes,
    /// The row of each node; [`NONE`] for one that is gone.
    pub rows: &'a [u32],
    /// The node to begin with, as [`Graph::entry`] gives it.
    pub entry: u32,
}

/// A node that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its row.
    pub row: u32,
    /// The product of the codes.
    pub product: i32,
}

/// A node, ordered by how near it is.
pub(crate) type Near = (i32, u32);

/// Reused memory of a search.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// Which nodes were seen, one bit of each: of a million they stay in the nearest caches.
    seen: Vec<u64>,
    /// In a box: whoever holds this in a future wants it small.
    pub(crate) batch: Box<Batch>,
    frontier: BinaryHeap<Near>,
    pub(crate) nearest: BinaryHeap<Reverse<Near>>,
    found: Vec<Found>,
}

/// Nodes that are compared with a probe together, so that their codes come from memory together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    nodes: [u32; GROUND],
    rows: [u32; GROUND],
    len: usize,
}

impl Reach<'_> {
    /// The code of a node; empty for one that is gone.
    pub(crate) fn code(&self, node: u32) -> &[Piece] {
        self.codes.row(self.row(node))
    }

    fn row(&self, node: u32) -> u32 {
        self.rows.get(node as usize).copied().unwrap_or(NONE)
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { nodes: [NONE; GROUND], rows: [NONE; GROUND], len: 0 }
    }
}

impl Batch {
    /// Takes the nodes of `places`, of which there are at most [`GROUND`].
    pub(crate) fn take(&mut self, places: &[u32]) {
        self.len = 0;
        for (to, node) in self.nodes.iter_mut().zip(places).take_while(|(_, node)| **node != NONE) {
            *to = *node;
            self.len += 1;
        }
    }

    /// Takes those that `seen` does not have yet, and marks them. Whether one is taken moves an end and
    /// no more: as a branch it would be guessed wrong for one in three.
    fn take_unseen(&mut self, places: &[u32], seen: &mut [u64]) {
        self.len = 0;
        for &node in places.iter().take_while(|node| **node != NONE) {
            let Some(word) = seen.get_mut(node as usize / 64) else { continue };
            let Some(place) = self.nodes.get_mut(self.len) else { break };
            *place = node;
            self.len += usize::from(*word >> (node % 64) & 1 == 0);
            *word |= 1 << (node % 64);
        }
    }

    /// How near each of them is to `probe`; those that are gone are left out.
    pub(crate) fn compare<'a>(
        &'a mut self,
        reach: Reach<'a>,
        probe: &'a [Piece],
    ) -> impl Iterator<Item = Near> + 'a {
        let Self { nodes, rows, len } = self;
        let nodes = nodes.get(..*len).unwrap_or_default();
        for (row, node) in rows.iter_mut().zip(nodes) {
            *row = reach.row(*node);
        }
        let rows = rows.get(..*len).unwrap_or_default();
        reach.codes.touch(rows);
        nodes.iter().zip(rows).filter_map(move |(node, row)| {
            let code = reach.codes.row(*row);
            (!code.is_empty()).then(|| (product(probe, code), *node))
        })
    }
}

impl Graph {
    /// How many nodes it has.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.fingerprints.len()
    }

    /// What each node was made of, in their order.
    #[must_use]
    pub fn fingerprints(&self) -> &[u64] {
        &self.fingerprints
    }

    /// How many layers `node` is in.
    pub(crate) fn layers(&self, node: u32) -> usize {
        let at = |node: usize| self.upper_from.get(node).copied().unwrap_or(0);
        1 + at(node as usize + 1).saturating_sub(at(node as usize)) as usize
    }

    /// The nodes that `node` is linked with in `layer`, then [`NONE`].
    pub(crate) fn places(&self, node: u32, layer: usize) -> &[u32] {
        let node = node as usize;
        if layer == 0 {
            return self.ground.get(node).map(|places| places.0.as_slice()).unwrap_or_default();
        }
        let Some(from) = self.upper_from.get(node) else { return &[] };
        let from = (*from as usize + layer - 1) * LINKS;
        self.upper.get(from..from + LINKS).unwrap_or_default()
    }

    pub(crate) fn places_mut(&mut self, node: u32, layer: usize) -> &mut [u32] {
        let node = node as usize;
        if layer == 0 {
            return self.ground.get_mut(node).map(|to| to.0.as_mut_slice()).unwrap_or_default();
        }
        let Some(from) = self.upper_from.get(node) else { return &mut [] };
        let from = (*from as usize + layer - 1) * LINKS;
        self.upper.get_mut(from..from + LINKS).unwrap_or_default()
    }

    /// The node that a search begins with: one in the most layers among those that `rows` still has;
    /// [`NONE`] when there is none.
    #[must_use]
    pub fn entry(&self, rows: &[u32]) -> u32 {
        let there = (0_u32..).zip(rows).filter(|(_, row)| **row != NONE).map(|(node, _)| node);
        let highest = there.reduce(|a, b| if self.layers(b) > self.layers(a) { b } else { a });
        highest.unwrap_or(NONE)
    }

    /// The rows nearest to `probe`, the nearest first, as far as `breadth` of them lead to each other: more
    /// breadth finds more surely and takes longer.
    pub fn search<'s>(
        &self,
        reach: Reach<'_>,
        probe: &Probe,
        breadth: usize,
        scratch: &'s mut Scratch,
    ) -> &'s [Found] {
        scratch.found.clear();
        if reach.entry != NONE {
            let begin = self.descend(reach, probe.code(), reach.entry, 0, &mut scratch.batch);
            self.spread(reach, probe.code(), &[begin], breadth, 0, scratch);
            let rows = scratch.nearest.drain().filter_map(|Reverse((product, node))| {
                Some(Found { row: *reach.rows.get(node as usize)?, product })
            });
            scratch.found.extend(rows);
            scratch.found.sort_unstable_by_key(|found| (Reverse(found.product), found.row));
        }
        &scratch.found
    }

    /// Goes from `entry` down to the layer above `layer`, always to the nearest; where that leads.
    pub(crate) fn descend(
        &self,
        reach: Reach<'_>,
        probe: &[Piece],
        entry: u32,
        layer: usize,
        batch: &mut Batch,
    ) -> Near {
        let mut here: Near = (product(probe, reach.code(entry)), entry);
        for layer in (layer + 1..self.layers(entry)).rev() {
            loop {
                batch.take(self.places(here.1, layer));
                match batch.compare(reach, probe).max() {
                    Some(near) if near.0 > here.0 => here = near,
                    _ => break,
                }
            }
        }
        here
    }

    /// Collects in `scratch.nearest` the `breadth` nearest nodes of `layer` that `begin` leads to.
    pub(crate) fn spread(
        &self,
        reach: Reach<'_>,
        probe: &[Piece],
        begin: &[Near],
        breadth: usize,
        layer: usize,
        scratch: &mut Scratch,
    ) {
        let Scratch { seen, batch, frontier, nearest, .. } = scratch;
        seen.clear();
        seen.resize(self.nodes().div_ceil(64), 0);
        frontier.clear();
        nearest.clear();
        for near in begin {
            batch.take_unseen(&[near.1], seen);
            if batch.len == 1 {
                frontier.push(*near);
                nearest.push(Reverse(*near));
            }
        }
        while let Some(here) = frontier.pop() {
            let mut full = nearest.len() >= breadth;
            let mut farthest = nearest.peek().map_or(i32::MIN, |Reverse(near)| near.0);
            if full && here.0 < farthest {
                break;
            }
            batch.take_unseen(self.places(here.1, layer), seen);
            for near in batch.compare(reach, probe) {
                if full && near.0 <= farthest {
                    continue;
                }
                frontier.push(near);
                nearest.push(Reverse(near));
                if nearest.len() > breadth {
                    nearest.pop();
                }
                full = nearest.len() >= breadth;
                farthest = nearest.peek().map_or(i32::MIN, |Reverse(near)| near.0);
            }
        }
    }
}
