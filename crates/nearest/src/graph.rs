//! The graph, and the search in it.
//!
//! In: a probe, the codes of the rows, where each node's row is now. Out: the nearest rows that links lead to.
//! Invariants: links only ever lead to the nodes that are there; each node is looked at once in a search.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::NONE;
use crate::codes::{Codes, Probe, product};

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
    /// `GROUND` places for each node; empty ones, which are [`NONE`], come last.
    pub(crate) ground: Vec<u32>,
    /// Where a node's upper layers begin, in `LINKS` places of `upper`; one more than there are nodes.
    pub(crate) upper_from: Vec<u32>,
    /// `LINKS` places for each upper layer of a node.
    pub(crate) upper: Vec<u32>,
}

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
    /// When each node was last seen, by `turn`.
    seen: Vec<u32>,
    turn: u32,
    frontier: BinaryHeap<Near>,
    pub(crate) nearest: BinaryHeap<Reverse<Near>>,
    found: Vec<Found>,
}

impl Reach<'_> {
    /// The code of a node; empty for one that is gone.
    pub(crate) fn code(&self, node: u32) -> &[i8] {
        match self.rows.get(node as usize) {
            Some(&row) if row != NONE => self.codes.row(row),
            _ => &[],
        }
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

    fn places(&self, node: u32, layer: usize) -> &[u32] {
        let node = node as usize;
        if layer == 0 {
            return self.ground.get(node * GROUND..(node + 1) * GROUND).unwrap_or_default();
        }
        let Some(from) = self.upper_from.get(node) else { return &[] };
        let from = (*from as usize + layer - 1) * LINKS;
        self.upper.get(from..from + LINKS).unwrap_or_default()
    }

    /// The nodes that `node` is linked with in `layer`.
    pub(crate) fn links(&self, node: u32, layer: usize) -> impl Iterator<Item = u32> {
        self.places(node, layer).iter().copied().take_while(|link| *link != NONE)
    }

    pub(crate) fn places_mut(&mut self, node: u32, layer: usize) -> &mut [u32] {
        let node = node as usize;
        if layer == 0 {
            return self.ground.get_mut(node * GROUND..(node + 1) * GROUND).unwrap_or_default();
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
            let begin = self.descend(reach, probe.code(), reach.entry, 0);
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
    pub(crate) fn descend(&self, reach: Reach<'_>, probe: &[i8], entry: u32, layer: usize) -> Near {
        let mut here: Near = (product(probe, reach.code(entry)), entry);
        for layer in (layer + 1..self.layers(entry)).rev() {
            loop {
                let nearer = self
                    .links(here.1, layer)
                    .filter_map(|node| {
                        let code = reach.code(node);
                        (!code.is_empty()).then(|| (product(probe, code), node))
                    })
                    .max();
                match nearer {
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
        probe: &[i8],
        begin: &[Near],
        breadth: usize,
        layer: usize,
        scratch: &mut Scratch,
    ) {
        scratch.begin(self.nodes());
        for near in begin {
            if scratch.is_new(near.1) {
                scratch.frontier.push(*near);
                scratch.nearest.push(Reverse(*near));
            }
        }
        while let Some(here) = scratch.frontier.pop() {
            let full = scratch.nearest.len() >= breadth;
            let farthest = scratch.nearest.peek().map_or(i32::MIN, |Reverse(near)| near.0);
            if full && here.0 < farthest {
                break;
            }
            for node in self.links(here.1, layer) {
                if !scratch.is_new(node) {
                    continue;
                }
                let code = reach.code(node);
                if code.is_empty() {
                    continue;
                }
                let near = (product(probe, code), node);
                let farthest = scratch.nearest.peek().map_or(i32::MIN, |Reverse(near)| near.0);
                if scratch.nearest.len() < breadth || near.0 > farthest {
                    scratch.frontier.push(near);
                    scratch.nearest.push(Reverse(near));
                    if scratch.nearest.len() > breadth {
                        scratch.nearest.pop();
                    }
                }
            }
        }
    }
}

impl Scratch {
    /// Forgets what was seen.
    fn begin(&mut self, nodes: usize) {
        self.seen.resize(nodes, 0);
        self.turn = self.turn.wrapping_add(1);
        if self.turn == 0 {
            self.seen.fill(0);
            self.turn = 1;
        }
        self.frontier.clear();
        self.nearest.clear();
    }

    /// Whether `node` exists and is seen for the first time in this turn.
    fn is_new(&mut self, node: u32) -> bool {
        match self.seen.get_mut(node as usize) {
            Some(seen) if *seen != self.turn => {
                *seen = self.turn;
                true
            }
            _ => false,
        }
    }
}
