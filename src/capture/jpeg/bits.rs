//! Entropy-coded JPEG data, bit by bit, and the Huffman codes in it.
//!
//! In: the bytes of a scan. Out: symbols and numbers, until the data end or a marker comes.
//! Invariants: no bit is invented: a code that needs more bits than are there is
//! [`ScanFault::Short`]; no table reads outside of itself whatever the file says; nothing is
//! allocated. Source: ITU-T T.81, annexes C and F.

/// How many bits of a code are looked up at once; longer ones are rare.
const LOOKUP_BITS: u32 = 9;

/// Why a scan cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanFault {
    /// There are fewer bits than the picture needs.
    Short,
    /// The bits are none of the picture's codes.
    Code,
}

/// One Huffman table.
#[derive(Clone)]
pub(super) struct Table {
    /// By the next nine bits: length of the code · 256 + symbol; 0 where the code is longer.
    lookup: [u16; 1 << LOOKUP_BITS],
    values: [u8; 256],
    /// By length: one more than the largest code, aligned to 16 bits; 0 where there is none.
    limits: [u32; 17],
    /// By length: what to add to a code, in 32 bits and without carry, to get its symbol's index.
    offsets: [u32; 17],
}

impl Table {
    pub(super) const fn empty() -> Self {
        Self { lookup: [0; 1 << LOOKUP_BITS], values: [0; 256], limits: [0; 17], offsets: [0; 17] }
    }

    /// Builds the table of `counts[l - 1]` codes of length `l` and their `values`; `false` where
    /// there are more codes than their lengths allow, or not a value for each.
    pub(super) fn build(&mut self, counts: &[u8; 16], values: &[u8]) -> bool {
        let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
        let (true, Some(own)) = (total <= values.len(), self.values.get_mut(..total)) else {
            return false;
        };
        own.copy_from_slice(values.get(..total).unwrap_or_default());
        self.lookup.fill(0);
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = u32::from(counts.get(length as usize - 1).copied().unwrap_or(0));
            if code + count > 1 << length {
                return false;
            }
            let at = length as usize;
            if let (Some(limit), Some(offset)) = (self.limits.get_mut(at), self.offsets.get_mut(at))
            {
                *limit = if count == 0 { 0 } else { (code + count) << (16 - length) };
                *offset = (index as u32).wrapping_sub(code);
            }
            if length <= LOOKUP_BITS {
                let first = (code << (LOOKUP_BITS - length)) as usize;
                let each = 1_usize << (LOOKUP_BITS - length);
                let codes = values.get(index..index + count as usize).unwrap_or_default();
                let slots = self.lookup.get_mut(first..).unwrap_or_default().chunks_mut(each);
                for (slots, value) in slots.zip(codes) {
                    slots.fill((length as u16) << 8 | u16::from(*value));
                }
            }
            index += count as usize;
            code = (code + count) << 1;
        }
        true
    }
}

/// The bits of a scan.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte to take; where a marker was met, its first byte.
    at: usize,
    /// Bits that were taken, the next one on top; zeros below them.
    buffer: u64,
    left: u32,
    marker: Option<u8>,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, buffer: 0, left: 0, marker: None }
    }

    /// Takes as many bytes as fit, up to a marker or the end.
    #[expect(clippy::inline_always, reason = "measured: calls are 7 % of the walk")]
    #[inline(always)]
    fn fill(&mut self) {
        if self.left <= 32
            && let Some(four) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk)
        {
            let four = u32::from_be_bytes(*four);
            let holds_ff = (!four).wrapping_sub(0x0101_0101) & four & 0x8080_8080 != 0;
            if !holds_ff {
                self.buffer |= u64::from(four) << (32 - self.left);
                self.left += 32;
                self.at += 4;
                return;
            }
        }
        self.fill_slowly();
    }

    /// The same byte by byte.
    #[cold]
    #[inline(never)]
    fn fill_slowly(&mut self) {
        while self.left <= 56 && self.marker.is_none() {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            let mut next = self.at + 1;
            if byte == 0xFF {
                while self.bytes.get(next) == Some(&0xFF) {
                    next += 1;
                }
                match self.bytes.get(next) {
                    None => return,
                    Some(0) => next += 1,
                    Some(&code) => {
                        self.marker = Some(code);
                        return;
                    }
                }
            }
            self.buffer |= u64::from(byte) << (56 - self.left);
            self.left += 8;
            self.at = next;
        }
    }

    /// The next `count` bits, 1 to 16, with zeros behind the last that there is.
    const fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (64 - count)) as u32
    }

    #[inline]
    const fn drop_bits(&mut self, count: u32) -> Result<(), ScanFault> {
        if count > self.left {
            return Err(ScanFault::Short);
        }
        self.buffer <<= count;
        self.left -= count;
        Ok(())
    }

    /// The next symbol of `table`.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, ScanFault> {
        if self.left < 16 {
            self.fill();
        }
        let entry = table.lookup.get(self.peek(LOOKUP_BITS) as usize).copied().unwrap_or(0);
        if entry != 0 {
            self.drop_bits(u32::from(entry >> 8))?;
            return Ok(entry as u8);
        }
        let next = self.peek(16);
        for length in LOOKUP_BITS + 1..=16 {
            let at = length as usize;
            if next < table.limits.get(at).copied().unwrap_or(0) {
                let offset = table.offsets.get(at).copied().unwrap_or(0);
                let index = (next >> (16 - length)).wrapping_add(offset);
                self.drop_bits(length)?;
                return table.values.get(index as usize).copied().ok_or(ScanFault::Code);
            }
        }
        // Behind the last bit there are zeros, which may be no code: what is missing comes first.
        Err(if self.left < 16 { ScanFault::Short } else { ScanFault::Code })
    }

    /// The next `count` bits, 0 to 16, as a number.
    #[inline]
    pub(super) fn number(&mut self, count: u8) -> Result<u32, ScanFault> {
        let count = u32::from(count.min(16));
        if count == 0 {
            return Ok(0);
        }
        if self.left < count {
            self.fill();
        }
        let number = self.peek(count);
        self.drop_bits(count)?;
        Ok(number)
    }

    /// One bit.
    #[inline]
    pub(super) fn bit(&mut self) -> Result<bool, ScanFault> {
        Ok(self.number(1)? == 1)
    }

    /// The next `size` bits as a signed value: T.81's RECEIVE and EXTEND.
    #[inline]
    pub(super) fn signed(&mut self, size: u8) -> Result<i32, ScanFault> {
        let value = self.number(size)?.cast_signed();
        if size == 0 || value >> (size.min(16) - 1) != 0 {
            return Ok(value);
        }
        Ok(value - (1 << size.min(16)) + 1)
    }

    /// The next symbol of `table`, and the signed value whose size its lower four bits are.
    #[expect(clippy::inline_always, reason = "measured: calls are 7 % of the walk")]
    #[inline(always)]
    pub(super) fn value(&mut self, table: &Table) -> Result<(u8, i32), ScanFault> {
        if self.left < 32 {
            self.fill();
        }
        let entry = table.lookup.get(self.peek(LOOKUP_BITS) as usize).copied().unwrap_or(0);
        if entry == 0 {
            return self.long_value(table);
        }
        let (length, size) = (u32::from(entry >> 8), u32::from(entry & 15));
        let rest = self.buffer << length;
        self.drop_bits(length + size)?;
        if size == 0 {
            return Ok((entry as u8, 0));
        }
        let bits = (rest >> (64 - size)) as i32;
        // A leading zero means a negative value.
        let below = if rest >> 63 == 0 { (1 << size) - 1 } else { 0 };
        Ok((entry as u8, bits - below))
    }

    /// The same of a code that is longer than what is looked up at once.
    #[cold]
    #[inline(never)]
    fn long_value(&mut self, table: &Table) -> Result<(u8, i32), ScanFault> {
        let symbol = self.symbol(table)?;
        Ok((symbol, self.signed(symbol & 15)?))
    }

    /// Drops what is left before the next marker. Out: its code and where it begins; `None` where
    /// the bytes end before one comes.
    pub(super) fn seek_marker(&mut self) -> Option<(u8, usize)> {
        (self.buffer, self.left) = (0, 0);
        if let Some(code) = self.marker {
            return Some((code, self.at));
        }
        loop {
            let from = self.bytes.get(self.at..)?;
            self.at += from.iter().position(|byte| *byte == 0xFF)?;
            let rest = self.bytes.get(self.at + 1..)?;
            let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
            match rest.get(fill)? {
                0 => self.at += fill + 2,
                code => {
                    self.marker = Some(*code);
                    return Some((*code, self.at));
                }
            }
        }
    }

    /// Where the next bit is taken from, to within the bytes that stuffing adds.
    pub(super) const fn position(&self) -> usize {
        self.at.saturating_sub(self.left as usize / 8)
    }

    /// Whether the data ended at a marker, which is not the end of the file.
    pub(super) const fn met_marker(&self) -> bool {
        self.marker.is_some()
    }

    /// Goes on behind the marker that was met.
    pub(super) fn pass_marker(&mut self) {
        if self.marker.take().is_some() {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += rest.iter().take_while(|byte| **byte == 0xFF).count() + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Codes 0, 10, 110 and one of eleven bits, 11100000000.
    fn table() -> Table {
        let mut table = Table::empty();
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2], counts[10]) = (1, 1, 1, 1);
        assert!(table.build(&counts, &[7, 8, 9, 10]));
        table
    }

    #[test]
    fn symbols_numbers_and_markers_are_read_in_turn() {
        // 0 | 10 | 110 | 11100000000 | 101 as a signed value of three bits, then a marker.
        let bytes = [0b0101_1011, 0b1000_0000, 0b0101_0000, 0xFF, 0xFF, 0xD3, 0b1100_0000];
        let mut bits = Bits::new(&bytes, 0);
        let table = table();
        let found: Vec<u8> = (0..4).map(|_| bits.symbol(&table).unwrap()).collect();
        assert_eq!(found, [7, 8, 9, 10]);
        assert_eq!(bits.signed(3), Ok(5));
        assert_eq!(bits.seek_marker(), Some((0xD3, 3)));
        bits.pass_marker();
        assert_eq!(bits.symbol(&table), Ok(9));
        assert_eq!(bits.number(6), Err(ScanFault::Short));
    }

    #[test]
    fn stuffed_bytes_are_data_and_negative_values_are_extended() {
        let bytes = [0xFF, 0x00, 0b0111_1111];
        let mut bits = Bits::new(&bytes, 0);
        assert_eq!(bits.number(8), Ok(255));
        assert_eq!(bits.signed(2), Ok(-2));
        assert_eq!(bits.seek_marker(), None);
    }

    #[test]
    fn a_table_with_more_codes_than_fit_is_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(!Table::empty().build(&counts, &[1, 2, 3]));
        counts[0] = 2;
        assert!(!Table::empty().build(&counts, &[1]));
        assert!(Table::empty().build(&counts, &[1, 2]));
    }

    proptest! {
        #[test]
        fn the_fast_and_the_slow_way_take_the_same_bytes(
            bytes in proptest::collection::vec(prop_oneof![Just(0xFF_u8), Just(0), any::<u8>()], 0..60)
        ) {
            let mut bits = Bits::new(&bytes, 0);
            let mut taken = Vec::new();
            while let Ok(number) = bits.number(8) {
                taken.push(number as u8);
            }
            let mut expected = Vec::new();
            let mut rest = bytes.as_slice();
            while let [first, tail @ ..] = rest {
                rest = tail;
                if *first == 0xFF {
                    while let [0xFF, tail @ ..] = rest {
                        rest = tail;
                    }
                    match rest {
                        [0, tail @ ..] => rest = tail,
                        _ => break,
                    }
                }
                expected.push(*first);
            }
            prop_assert_eq!(taken, expected);
        }
    }
}
