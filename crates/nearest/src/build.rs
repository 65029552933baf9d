//! How a graph grows: node by node, each linked with the nearest in several directions.
//!
//! In: codes, the rows that are to come, perhaps a graph to go on from. Out: the graph, the same for the same
//! rows on every machine. Invariant: the order of the rows is that of the nodes.

use std::cmp::Reverse;

use crate::NONE;
use crate::codes::{Codes, product};
use crate::graph::{GROUND, Graph, LAYERS_MAX, LINKS, Near, Places, Reach, Scratch};

/// Among how many of the nearest a new node's links are chosen.
const BREADTH: usize = 160;

/// Grows a [`Graph`] row by row, so that whoever has it grow can stop, wait or tell how far it is.
#[derive(Debug)]
pub struct Builder<'a> {
    graph: Graph,
    codes: &'a Codes,
    rows: Vec<u32>,
    /// The rows that are to come, with their fingerprints.
    coming: std::vec::IntoIter<(u32, u64)>,
    entry: u32,
    scratch: Scratch,
    chosen: Vec<Near>,
    candidates: Vec<Near>,
}

impl<'a> Builder<'a> {
    /// Goes on from `graph`, whose nodes have their codes in `rows` of `codes` ([`NONE`] for those that are
    /// gone), with the rows `new`. An empty graph is the beginning.
    #[must_use]
    pub fn new(graph: Graph, codes: &'a Codes, rows: Vec<u32>, new: Vec<(u32, u64)>) -> Self {
        let mut graph = graph;
        if graph.upper_from.is_empty() {
            graph.upper_from.push(0);
        }
        let entry = graph.entry(&rows);
        Self {
            graph,
            codes,
            rows,
            coming: new.into_iter(),
            entry,
            scratch: Scratch::default(),
            chosen: Vec::with_capacity(GROUND + 1),
            candidates: Vec::with_capacity(BREADTH),
        }
    }

    /// How many rows are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.coming.len()
    }

    /// Takes one more row; `false` when there was none.
    pub fn step(&mut self) -> bool {
        let Some((row, fingerprint)) = self.coming.next() else { return false };
        self.insert(row, fingerprint);
        true
    }

    /// The graph of the rows that were taken.
    #[must_use]
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn insert(&mut self, row: u32, fingerprint: u64) {
        let node = self.graph.nodes() as u32;
        let layers = layers_of(node);
        self.graph.fingerprints.push(fingerprint);
        self.graph.ground.push(Places([NONE; GROUND]));
        self.graph.upper.extend(std::iter::repeat_n(NONE, (layers - 1) * LINKS));
        self.graph.upper_from.push((self.graph.upper.len() / LINKS) as u32);
        self.rows.push(row);
        if self.entry == NONE {
            self.entry = node;
            return;
        }
        let probe = self.codes.row(row);
        let highest = self.graph.layers(self.entry);
        let begin = {
            let reach = Reach { codes: self.codes, rows: &self.rows, entry: self.entry };
            self.graph.descend(reach, probe, self.entry, layers - 1, &mut self.scratch.batch)
        };
        let mut begin = vec![begin];
        for layer in (0..layers.min(highest)).rev() {
            let reach = Reach { codes: self.codes, rows: &self.rows, entry: self.entry };
            self.graph.spread(reach, probe, &begin, BREADTH, layer, &mut self.scratch);
            begin.clear();
            begin.extend(self.scratch.nearest.drain().map(|Reverse(near)| near));
            begin.sort_unstable_by_key(|near| Reverse(*near));
            self.candidates.clear();
            self.candidates.extend(&begin);
            self.choose(LINKS);
            self.link(node, layer);
            for index in 0..self.chosen.len() {
                let Some(&(nearness, other)) = self.chosen.get(index) else { break };
                self.link_back(other, (nearness, node), layer);
            }
        }
        if layers > highest {
            self.entry = node;
        }
    }

    /// Keeps in `chosen` at most `max` of `candidates` (the nearest first): those that are nearer to the
    /// node than to any that is kept already, so that links lead in several directions (algorithm 4).
    fn choose(&mut self, max: usize) {
        let reach = Reach { codes: self.codes, rows: &self.rows, entry: self.entry };
        self.chosen.clear();
        for near in &self.candidates {
            if self.chosen.len() >= max {
                break;
            }
            let code = reach.code(near.1);
            let apart = self.chosen.iter().all(|kept| product(reach.code(kept.1), code) < near.0);
            if apart {
                self.chosen.push(*near);
            }
        }
    }

    /// Writes `chosen` as the links of `node`.
    fn link(&mut self, node: u32, layer: usize) {
        let links = self.chosen.iter().map(|near| near.1).chain(std::iter::repeat(NONE));
        for (place, link) in self.graph.places_mut(node, layer).iter_mut().zip(links) {
            *place = link;
        }
    }

    /// Links `node` with `new`, if need be in place of another.
    fn link_back(&mut self, node: u32, new: Near, layer: usize) {
        if let Some(place) = self.graph.places_mut(node, layer).iter_mut().find(|p| **p == NONE) {
            *place = new.1;
            return;
        }
        let reach = Reach { codes: self.codes, rows: &self.rows, entry: self.entry };
        let code = reach.code(node);
        self.candidates.clear();
        self.candidates.push(new);
        self.scratch.batch.take(self.graph.places(node, layer));
        self.candidates.extend(self.scratch.batch.compare(reach, code));
        self.candidates.sort_unstable_by_key(|near| Reverse(*near));
        let chosen = std::mem::take(&mut self.chosen);
        self.choose(if layer == 0 { GROUND } else { LINKS });
        self.link(node, layer);
        self.chosen = chosen;
    }
}

/// In how many layers a node is: from its number alone, so that the same rows give the same graph.
fn layers_of(node: u32) -> usize {
    // SplitMix64's finaliser (Steele, Lea and Flood 2014).
    let mut bits = u64::from(node).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (1 + bits.trailing_zeros() as usize / LINKS.trailing_zeros() as usize).min(LAYERS_MAX)
}
