//! Unit vectors as eight-bit numbers, and how far off their products can be.
//!
//! In: vectors of the length 1. Out: whole numbers, and two bounds of each exact product.
//! Invariant: the exact product lies between the bounds, also of values that a code cannot say.

/// Steps in a number of 1: values beyond ±0.5 are cut, which the error counts. Of DeepID2's features the
/// spread of a number is about 0.08, some twenty steps.
const STEPS: f32 = 254.0;
/// What a product of two unit vectors in `f32` may be off by its own rounding.
const ROUNDING: f32 = 1e-5;

/// Rows of unit vectors, one signed byte for each number.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Codes {
    length: usize,
    values: Vec<i8>,
    /// How long the difference is between each row and what its code stands for.
    offs: Vec<f32>,
}

/// One vector that is looked for, as [`Codes`] see it. Its memory is reused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probe {
    values: Vec<i8>,
    off: f32,
}

impl Codes {
    /// The codes of `rows`: whole vectors of `length` numbers, one after the other, each of the length 1.
    #[must_use]
    pub fn of(rows: &[f32], length: usize) -> Self {
        let mut values = Vec::with_capacity(rows.len());
        let offs = rows.chunks_exact(length.max(1)).map(|row| encode(row, &mut values)).collect();
        Self { length, values, offs }
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.offs.len()
    }

    /// One row's code; empty where there is none.
    #[must_use]
    pub fn row(&self, row: u32) -> &[i8] {
        let from = row as usize * self.length;
        self.values.get(from..from + self.length).unwrap_or_default()
    }

    /// Between which two numbers the exact product of `probe` with each row lies, in their order. With `x`,
    /// `q` the vectors and `x'`, `q'` what their codes stand for:
    /// |q·x − q'·x'| ≤ |q·(x − x')| + |(q − q')·x'| ≤ |x − x'| + |q − q'| (1 + |x − x'|).
    pub fn bounds(&self, probe: &Probe) -> impl Iterator<Item = (f32, f32)> {
        let codes = self.values.chunks_exact(self.length.max(1));
        codes.zip(&self.offs).map(|(code, off)| {
            let value = probe.product(code) as f32 / (STEPS * STEPS);
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

    /// The product with a row's code, in steps squared; at most 16,129 for each number.
    #[must_use]
    pub fn product(&self, code: &[i8]) -> i32 {
        product(&self.values, code)
    }

    pub(crate) fn code(&self) -> &[i8] {
        &self.values
    }
}

/// Appends the code of `row`; how long the difference is.
fn encode(row: &[f32], into: &mut Vec<i8>) -> f32 {
    let mut square = 0.0_f32;
    for value in row {
        let code = (value * STEPS).round().clamp(-127.0, 127.0);
        into.push(code as i8);
        let off = value - code / STEPS;
        square += off * off;
    }
    square.sqrt()
}

const LANES: usize = 32;

/// Products of bytes fit into 16 bits, and pairs of them are what a processor multiplies and adds at once.
pub(crate) fn product(a: &[i8], b: &[i8]) -> i32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let one = |(a, b): (&i8, &i8)| i32::from(i16::from(*a)) * i32::from(i16::from(*b));
    let whole: i32 =
        a_chunks.iter().zip(b_chunks).map(|(a, b)| a.iter().zip(b).map(one).sum::<i32>()).sum();
    whole + a_rest.iter().zip(b_rest).map(one).sum::<i32>()
}
