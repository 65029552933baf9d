//! A graph as bytes.
//!
//! ```text
//! magic 8 │ nodes u32 │ fingerprints 8 each │ ground 64 × u32 each │ upper_from u32, one more │ upper
//! ```
//! All numbers little-endian. Whether the bytes are the ones that were written is for others to say.

use crate::NONE;
use crate::graph::{GROUND, Graph, LAYERS_MAX, LINKS, Places};

const MAGIC: &[u8; 8] = b"nearest1";

/// Bytes that are no graph of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAGraph;

impl std::fmt::Display for NotAGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("these bytes are no graph of this version")
    }
}

impl std::error::Error for NotAGraph {}

impl Graph {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.ground.len() * GROUND + self.upper_from.len() + self.upper.len();
        let mut bytes = Vec::with_capacity(12 + 8 * self.nodes() + 4 * numbers);
        bytes.extend(MAGIC);
        bytes.extend((self.nodes() as u32).to_le_bytes());
        bytes.extend(self.fingerprints.iter().flat_map(|number| number.to_le_bytes()));
        let ground = self.ground.iter().flat_map(|places| &places.0);
        for number in ground.chain(&self.upper_from).chain(&self.upper) {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// The graph of such bytes.
    ///
    /// # Errors
    /// [`NotAGraph`] when they have another form, or links that lead nowhere.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAGraph> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(NotAGraph)?;
        let (nodes, rest) = rest.split_first_chunk::<4>().ok_or(NotAGraph)?;
        let nodes = u32::from_le_bytes(*nodes) as usize;
        let (fingerprints, rest) = rest.split_at_checked(nodes * 8).ok_or(NotAGraph)?;
        let (ground, rest) = rest.split_at_checked(nodes * GROUND * 4).ok_or(NotAGraph)?;
        let (upper_from, upper) = rest.split_at_checked((nodes + 1) * 4).ok_or(NotAGraph)?;
        if upper.len() % 4 != 0 {
            return Err(NotAGraph);
        }
        let numbers = |bytes: &[u8]| -> Vec<u32> {
            bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
        };
        let graph = Self {
            fingerprints: fingerprints
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| u64::from_le_bytes(*b))
                .collect(),
            ground: ground
                .as_chunks::<{ GROUND * 4 }>()
                .0
                .iter()
                .map(|bytes| {
                    let mut places = Places([NONE; GROUND]);
                    for (place, bytes) in places.0.iter_mut().zip(bytes.as_chunks::<4>().0) {
                        *place = u32::from_le_bytes(*bytes);
                    }
                    places
                })
                .collect(),
            upper_from: numbers(upper_from),
            upper: numbers(upper),
        };
        if graph.is_sound() { Ok(graph) } else { Err(NotAGraph) }
    }

    fn is_sound(&self) -> bool {
        let nodes = self.nodes() as u32;
        let leads_somewhere = |link: &u32| *link == NONE || *link < nodes;
        let ground = self.ground.iter().all(|places| places.0.iter().all(leads_somewhere));
        let layers = self.upper_from.windows(2).all(|pair| match pair {
            [from, to] => from <= to && ((to - from) as usize) < LAYERS_MAX,
            _ => false,
        });
        let ends =
            self.upper_from.last().is_some_and(|end| *end as usize * LINKS == self.upper.len());
        let begins = self.upper_from.first() == Some(&0);
        begins && layers && ends && ground && self.upper.iter().all(leads_somewhere)
    }
}
