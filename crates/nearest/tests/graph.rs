//! The graph from outside: what it finds, what its bytes are, what damage does.
//!
//! In: made-up vectors. Out: rows that are found, against a look at every one of them.
//! Nothing is drawn by chance: a failure comes again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, also in what its cases share"
)]

use deepid_nearest::{Builder, Codes, Graph, NONE, Probe, Reach, Scratch};

const LENGTH: usize = 24;

/// Numbers from −1 to 1 that look random (xorshift64, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn unit(&mut self) -> Vec<f32> {
        self.unit_of(LENGTH)
    }

    fn unit_of(&mut self, numbers: usize) -> Vec<f32> {
        let values: Vec<f32> = (0..numbers).map(|_| self.next()).collect();
        let length = dot(&values, &values).sqrt();
        values.into_iter().map(|value| value / length).collect()
    }

    fn rows(&mut self, rows: usize) -> Vec<f32> {
        (0..rows).flat_map(|_| self.unit()).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn grown(graph: Graph, codes: &Codes, row_of: Vec<u32>, new: std::ops::Range<u32>) -> Graph {
    let new = new.map(|row| (row, 1_000 + u64::from(row))).collect();
    let mut builder = Builder::new(graph, codes, row_of, new);
    while builder.step() {}
    assert_eq!(builder.remaining(), 0);
    builder.finish()
}

fn nearest(rows: &[f32], probe: &[f32]) -> u32 {
    let near = rows.chunks_exact(LENGTH).map(|row| dot(row, probe)).enumerate();
    near.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0 as u32
}

#[test]
fn the_nearest_is_found_nearly_always() {
    let mut numbers = Numbers(1);
    let rows = numbers.rows(4_000);
    let codes = Codes::of(&rows, LENGTH);
    let graph = grown(Graph::default(), &codes, Vec::new(), 0..4_000);
    let row_of: Vec<u32> = (0..4_000).collect();
    let reach = Reach { codes: &codes, rows: &row_of, entry: graph.entry(&row_of) };
    let (mut probe, mut scratch, mut right) = (Probe::default(), Scratch::default(), 0);
    for _ in 0..500 {
        let wanted = numbers.unit();
        probe.set(&wanted);
        let found = graph.search(reach, &probe, 128, &mut scratch);
        assert!(found.is_sorted_by_key(|found| std::cmp::Reverse(found.product)));
        assert!(found.len() <= 128);
        right += u32::from(found.iter().any(|found| found.row == nearest(&rows, &wanted)));
    }
    assert!(right >= 490, "{right} of 500");
}

#[test]
fn vectors_of_any_length_are_found_by_themselves() {
    for length in [31, 32, 33, 64, 65, 160] {
        let mut numbers = Numbers(7);
        let rows: Vec<f32> = (0..200).flat_map(|_| numbers.unit_of(length)).collect();
        let codes = Codes::of(&rows, length);
        assert_eq!(codes.rows(), 200);
        let graph = grown(Graph::default(), &codes, Vec::new(), 0..200);
        let row_of: Vec<u32> = (0..200).collect();
        let reach = Reach { codes: &codes, rows: &row_of, entry: graph.entry(&row_of) };
        let (mut probe, mut scratch) = (Probe::default(), Scratch::default());
        for (row, wanted) in (0..).zip(rows.chunks_exact(length)) {
            probe.set(wanted);
            let found = graph.search(reach, &probe, 64, &mut scratch)[0];
            let own = wanted.iter().map(|value| (value * 254.0).round().clamp(-127.0, 127.0));
            let product = own.map(|code| (code * code) as i32).sum();
            assert_eq!((found.row, found.product), (row, product), "{length}");
        }
    }
}

#[test]
fn what_is_found_does_not_hang_on_what_was_searched_before() {
    let mut numbers = Numbers(8);
    let rows = numbers.rows(1_000);
    let codes = Codes::of(&rows, LENGTH);
    let graphs = [1_000, 70, 64, 63, 1, 500]
        .map(|nodes| grown(Graph::default(), &codes, Vec::new(), 0..nodes));
    let (mut probe, mut used) = (Probe::default(), Scratch::default());
    for graph in graphs.iter().chain(graphs.iter().rev()) {
        let row_of: Vec<u32> = (0..graph.nodes() as u32).collect();
        let reach = Reach { codes: &codes, rows: &row_of, entry: graph.entry(&row_of) };
        for breadth in [1, 40, 200] {
            probe.set(&numbers.unit());
            let fresh = graph.search(reach, &probe, breadth, &mut Scratch::default()).to_vec();
            assert_eq!(graph.search(reach, &probe, breadth, &mut used), fresh);
            assert!(!fresh.is_empty() && fresh.len() <= breadth);
            let mut seen: Vec<u32> = fresh.iter().map(|found| found.row).collect();
            seen.sort_unstable();
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "one is found twice");
        }
    }
}

#[test]
fn the_exact_product_lies_between_the_bounds() {
    let mut numbers = Numbers(2);
    let mut rows = numbers.rows(500);
    // A vector that points along one axis is beyond what a code can say.
    rows.extend((0..LENGTH).map(|index| f32::from(u8::from(index == 3))));
    let codes = Codes::of(&rows, LENGTH);
    let mut probe = Probe::default();
    for wanted in (0..50).map(|_| numbers.unit()).chain([rows[500 * LENGTH..].to_vec()]) {
        probe.set(&wanted);
        let mut bounds = codes.bounds(&probe);
        for exact in rows.chunks_exact(LENGTH).map(|row| dot(row, &wanted)) {
            let (least, most) = bounds.next().unwrap();
            assert!(least <= exact && exact <= most, "{exact} not in {least} to {most}");
        }
        assert!(bounds.next().is_none());
    }
}

#[test]
fn what_grows_in_two_steps_is_what_grows_in_one() {
    let rows = Numbers(3).rows(1_500);
    let codes = Codes::of(&rows, LENGTH);
    let once = grown(Graph::default(), &codes, Vec::new(), 0..1_500);
    let half = grown(Graph::default(), &codes, Vec::new(), 0..700);
    assert_eq!(grown(half, &codes, (0..700).collect(), 700..1_500), once);
}

#[test]
fn rows_that_are_gone_are_never_found_and_hide_few() {
    let mut numbers = Numbers(4);
    let rows = numbers.rows(2_000);
    let codes = Codes::of(&rows, LENGTH);
    let graph = grown(Graph::default(), &codes, Vec::new(), 0..2_000);
    let gone = |row: u32| row.is_multiple_of(20);
    let row_of: Vec<u32> = (0..2_000).map(|row| if gone(row) { NONE } else { row }).collect();
    let reach = Reach { codes: &codes, rows: &row_of, entry: graph.entry(&row_of) };
    let (mut probe, mut scratch, mut right, mut of) = (Probe::default(), Scratch::default(), 0, 0);
    for _ in 0..300 {
        let wanted = numbers.unit();
        probe.set(&wanted);
        let found = graph.search(reach, &probe, 128, &mut scratch);
        assert!(found.iter().all(|found| !gone(found.row)));
        let nearest = nearest(&rows, &wanted);
        if !gone(nearest) {
            of += 1;
            right += u32::from(found.iter().any(|found| found.row == nearest));
        }
    }
    assert!(right * 100 >= of * 97, "{right} of {of}");
    let none = vec![NONE; 2_000];
    assert_eq!(graph.entry(&none), NONE);
    let reach = Reach { codes: &codes, rows: &none, entry: NONE };
    assert!(graph.search(reach, &probe, 128, &mut scratch).is_empty());
}

#[test]
fn bytes_come_back_as_the_same_graph_and_others_as_none() {
    let rows = Numbers(5).rows(300);
    let codes = Codes::of(&rows, LENGTH);
    let graph = grown(Graph::default(), &codes, Vec::new(), 0..300);
    let bytes = graph.to_bytes();
    assert_eq!(Graph::from_bytes(&bytes).unwrap(), graph);
    for cut in [0, 7, 8, 11, 12, 100, bytes.len() - 1] {
        assert!(Graph::from_bytes(&bytes[..cut]).is_err(), "{cut}");
    }
    let mut long = bytes.clone();
    long.extend([0; 4]);
    assert!(Graph::from_bytes(&long).is_err());
    let mut many = bytes;
    many[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Graph::from_bytes(&many).is_err());
}

#[test]
fn no_damage_makes_a_search_panic_or_run_for_ever() {
    let mut numbers = Numbers(6);
    let rows = numbers.rows(300);
    let codes = Codes::of(&rows, LENGTH);
    let bytes = grown(Graph::default(), &codes, Vec::new(), 0..300).to_bytes();
    let row_of: Vec<u32> = (0..300).collect();
    let (mut probe, mut scratch, mut sound) = (Probe::default(), Scratch::default(), 0);
    for turn in 0..2_000_usize {
        let mut damaged = bytes.clone();
        let at = 12 + (turn * 7_919) % (bytes.len() - 12);
        // A link that leads somewhere else is still a graph.
        damaged[at] = damaged[at].wrapping_add(1);
        let Ok(graph) = Graph::from_bytes(&damaged) else { continue };
        sound += 1;
        let reach = Reach { codes: &codes, rows: &row_of, entry: graph.entry(&row_of) };
        probe.set(&numbers.unit());
        assert!(graph.search(reach, &probe, 64, &mut scratch).len() <= 64);
        // Rows that are not there, either.
        let beyond = vec![4_000_000; 300];
        let reach = Reach { codes: &codes, rows: &beyond, entry: graph.entry(&beyond) };
        assert!(graph.search(reach, &probe, 64, &mut scratch).len() <= 1);
    }
    assert!(sound > 100, "{sound}");
}
