//! Unit vectors as eight-bit numbers, and how far off their products can be.
//!
//! In: vectors of the length 1. Out: whole numbers, and two bounds of each exact product.
//! Invariant: the exact product lies between the bounds, also of values that a code cannot say.

use std::hint::black_box;

/// Steps in a number of 1: values beyond ±0.5 are cut, which the error counts. Of DeepID2's features the
/// spread of a number is about 0.08, some twenty steps.
const STEPS: f32 = 254.0;
/// What a product of two unit vectors in `f32` may be off by its own rounding.
const ROUNDING: f32 = 1e-5;

/// Numbers that lie side by side in memory; two of them are a cache line.
const LANES: usize = 32;

/// A piece of a code, so placed that no code begins within half a cache line: one of 160 numbers then lies in
/// three lines, and in three or four otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(32))]
pub(crate) struct Piece([i8; LANES]);

/// Rows of unit vectors, one signed byte for each number.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Codes {
    length: usize,
    /// Of each row [`pieces`], the last one filled up with zeros.
    values: Vec<Piece>,
    /// How long the difference is between each row and what its code stands for.
    offs: Vec<f32>,
}

/// One vector that is looked for, as [`Codes`] see it. Its memory is reused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probe {
    values: Vec<Piece>,
    off: f32,
}

/// Of how many pieces the code of `length` numbers is.
const fn pieces(length: usize) -> usize {
    length.div_ceil(LANES)
}

impl Codes {
    /// The codes of `rows`: whole vectors of `length` numbers, one after the other, each of the length 1.
    #[must_use]
    pub fn of(rows: &[f32], length: usize) -> Self {
        let rows = rows.chunks_exact(length.max(1));
        let mut values = Vec::with_capacity(rows.len() * pieces(length));
        let offs = rows.map(|row| encode(row, &mut values)).collect();
        Self { length, values, offs }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.offs.len()
    }

    /// One row's code; empty where there is none, as of [`crate::NONE`].
    pub(crate) fn row(&self, row: u32) -> &[Piece] {
        let pieces = pieces(self.length);
        let from = (row as usize).saturating_mul(pieces);
        self.values.get(from..from.saturating_add(pieces)).unwrap_or_default()
    }

    /// Reads a number of each cache line of the codes of `rows`. None of these reads waits for another, so
    /// that memory brings all the lines at once; the products, which come next, would ask for a few at a time.
    pub(crate) fn touch(&self, rows: &[u32]) {
        let lines = rows.iter().flat_map(|row| self.row(*row).iter().step_by(2));
        black_box(lines.fold(0, |all, Piece([first, ..])| all ^ first));
    }

    /// Between which two numbers the exact product of `probe` with each row lies, in their order. With `x`,
    /// `q` the vectors and `x'`, `q'` what their codes stand for:
    /// |q·x − q'·x'| ≤ |q·(x − x')| + |(q − q')·x'| ≤ |x − x'| + |q − q'| (1 + |x − x'|).
    pub fn bounds(&self, probe: &Probe) -> impl Iterator<Item = (f32, f32)> {
        let codes = self.values.chunks_exact(pieces(self.length).max(1));
        codes.zip(&self.offs).map(|(code, off)| {
            let value = product(&probe.values, code) as f32 / (STEPS * STEPS);
            let off = off + probe.off * (1.0 + off) + ROUNDING;
            (value - off, value + off)
        })
    }
}

impl Probe {
    /// Takes `vector`, of the length 1.
    pub fn set(&mut self, vector: &[f32]) {
        self.values.clear();
        self.off = encode(vector, &mut self.values);
    }

    pub(crate) fn code(&self) -> &[Piece] {
        &self.values
    }
}

/// Appends the code of `row`; how long the difference is.
fn encode(row: &[f32], into: &mut Vec<Piece>) -> f32 {
    let mut square = 0.0_f32;
    for numbers in row.chunks(LANES) {
        let mut piece = Piece([0; LANES]);
        for (place, value) in piece.0.iter_mut().zip(numbers) {
            let code = (value * STEPS).round().clamp(-127.0, 127.0);
            *place = code as i8;
            let off = value - code / STEPS;
            square += off * off;
        }
        into.push(piece);
    }
    square.sqrt()
}

/// The product of two codes, in steps squared; at most 16,129 for each number. Products of bytes fit into 16
/// bits, and pairs of them are what a processor multiplies and adds at once.
pub(crate) fn product(a: &[Piece], b: &[Piece]) -> i32 {
    let one = |(a, b): (&i8, &i8)| i32::from(i16::from(*a)) * i32::from(i16::from(*b));
    a.iter().zip(b).map(|(a, b)| a.0.iter().zip(&b.0).map(one).sum::<i32>()).sum()
}
