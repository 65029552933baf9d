//! One scan: a picture's blocks, code by code.
//!
//! In: the bytes, the scan's header, what was read before it. Out: where the scan's data end, or how
//! far they go. Invariant: a scan is read to its last block or is a [`JpegFault`].
//! Source: ITU-T T.81, annexes F (sequential) and G (progressive).

use super::bits::{Bits, ScanFault, Table};
use super::{Component, JpegFault, Layout, Segment, Sink, Walker, part};

/// What a scan's header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    /// Which components it has, in their order.
    components: [usize; 4],
    count: usize,
    /// The first and the last coefficient of a progressive scan.
    first: u32,
    last: u32,
    /// The bit that it brings, and whether it is the first one.
    low: u32,
    refines: bool,
}

/// Where reading a block takes its codes from and what it is to remember.
struct Progressive<'a> {
    header: Header,
    table: &'a Table,
    /// How many blocks more have no further coefficient in this band.
    run: u32,
}

impl Walker {
    /// Reads the scan whose header is `segment`. Out: where its data end.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        segment: Segment,
        layout: &mut Layout,
        sink: &mut impl Sink,
    ) -> Result<usize, JpegFault> {
        let header = scan_header(part(bytes, segment), layout)?;
        for component in header.components.iter().take(header.count) {
            let Some(component) = layout.components.get_mut(*component) else { continue };
            if !component.covered {
                component.steps =
                    self.steps.get(component.quantization).copied().unwrap_or([1; 64]);
            }
        }
        sink.scan(layout);
        let mut bits = Bits::new(bytes, segment.1);
        self.blocks(&mut bits, &header, layout, sink)?;
        for component in header.components.iter().take(header.count) {
            let Some(component) = layout.components.get_mut(*component) else { continue };
            component.covered |= !layout.progressive || header.first == 0;
            if header.low == 0 {
                let through = u64::MAX >> (63 - header.last.min(63));
                component.settled |= through & (u64::MAX << header.first.min(63));
            }
        }
        ended(bytes, segment.1, &mut bits)
    }

    /// Reads all units of a scan.
    fn blocks(
        &mut self,
        bits: &mut Bits<'_>,
        header: &Header,
        layout: &mut Layout,
        sink: &mut impl Sink,
    ) -> Result<(), JpegFault> {
        let alone = (header.count == 1).then(|| header.components.first()).flatten();
        let own = alone.and_then(|index| layout.components.get(*index));
        let (wide, high) = own.map_or((layout.units_wide, layout.units_high), |component| {
            (component.own_wide, component.own_high)
        });
        let total = u64::from(wide) * u64::from(high);
        let mut until_restart = self.restart_interval;
        let mut restarts = 0_u8;
        let mut run = 0;
        for component in layout.components_mut() {
            component.last_dc = 0;
        }
        let mut done = 0_u64;
        for row in 0..high {
            for column in 0..wide {
                if self.restart_interval > 0 && until_restart == 0 {
                    if !restart(bits, &mut restarts) {
                        return Err(stopped(ScanFault::Short, bits, done, total));
                    }
                    (until_restart, run) = (self.restart_interval, 0);
                    for component in layout.components_mut() {
                        component.last_dc = 0;
                    }
                }
                until_restart = until_restart.saturating_sub(1);
                let unit = (column, row);
                let read = if layout.progressive {
                    self.progressive_unit(bits, header, layout, unit, &mut run, sink)
                } else {
                    self.sequential_unit(bits, header, layout, unit, sink)
                };
                read.map_err(|fault| stopped(fault, bits, done, total))?;
                done += 1;
            }
        }
        Ok(())
    }

    fn sequential_unit(
        &self,
        bits: &mut Bits<'_>,
        header: &Header,
        layout: &mut Layout,
        unit: (u32, u32),
        sink: &mut impl Sink,
    ) -> Result<(), ScanFault> {
        for &index in header.components.iter().take(header.count) {
            let Some(component) = layout.components.get_mut(index) else { continue };
            let (dc, ac) = (self.dc.get(component.dc_table), self.ac.get(component.ac_table));
            let (Some(dc), Some(ac)) = (dc, ac) else { return Err(ScanFault::Code) };
            let (across, down) = component.blocks_of_unit(header.count);
            for y in 0..down {
                for x in 0..across {
                    let place = (unit.0 * across + x, unit.1 * down + y);
                    let block = component.block(place.0, place.1);
                    sequential_block(bits, (dc, ac), &mut component.last_dc, (index, block), sink)?;
                    sink.block(index, place);
                }
            }
        }
        Ok(())
    }

    fn progressive_unit(
        &mut self,
        bits: &mut Bits<'_>,
        header: &Header,
        layout: &mut Layout,
        unit: (u32, u32),
        run: &mut u32,
        sink: &mut impl Sink,
    ) -> Result<(), ScanFault> {
        for &index in header.components.iter().take(header.count) {
            let Some(component) = layout.components.get_mut(index) else { continue };
            let (across, down) = component.blocks_of_unit(header.count);
            for y in 0..down {
                for x in 0..across {
                    let block = component.block(unit.0 * across + x, unit.1 * down + y);
                    if header.first == 0 {
                        let dc = self.dc.get(component.dc_table).ok_or(ScanFault::Code)?;
                        averages(bits, header, dc, &mut component.last_dc, |value| {
                            if header.refines {
                                sink.refine(index, block, 0, value);
                            } else {
                                sink.set(index, block, 0, value);
                            }
                        })?;
                        continue;
                    }
                    let table = self.ac.get(component.ac_table).ok_or(ScanFault::Code)?;
                    let nonzero = self.nonzero.get_mut(component.first_block + block);
                    let nonzero = nonzero.ok_or(ScanFault::Code)?;
                    let mut band = Progressive { header: *header, table, run: *run };
                    if header.refines {
                        band.refine(bits, nonzero, &mut |k, value, is_new| {
                            if is_new {
                                sink.set(index, block, k, value);
                            } else {
                                sink.refine(index, block, k, value);
                            }
                        })?;
                    } else {
                        band.begin(bits, nonzero, &mut |k, value| {
                            sink.set(index, block, k, value);
                        })?;
                    }
                    *run = band.run;
                }
            }
        }
        Ok(())
    }
}

impl Component {
    /// A scan of one component has one block in each unit.
    const fn blocks_of_unit(&self, components: usize) -> (u32, u32) {
        if components == 1 { (1, 1) } else { (self.across, self.down) }
    }

    const fn block(&self, x: u32, y: u32) -> usize {
        y as usize * self.blocks_wide as usize + x as usize
    }
}

/// How far a scan went, and why no further.
fn stopped(fault: ScanFault, bits: &Bits<'_>, done: u64, total: u64) -> JpegFault {
    let percent = (done * 100 / total.max(1)).min(99) as u8;
    match fault {
        ScanFault::Short if !bits.met_marker() => JpegFault::CutOff { percent },
        ScanFault::Short => JpegFault::Lost { percent },
        ScanFault::Code => JpegFault::Damaged("its codes make no sense"),
    }
}

/// How many bytes without meaning a camera may leave before the marker that ends a scan; libjpeg
/// warns of them, and several are common.
const MAX_EXTRA_BYTES: usize = 32;

/// How many zeros at the end of a scan may be data; more of them are what a driver fills up with
/// where data were lost.
const MAX_ZEROS: usize = 8;

/// Where a scan that begins at `start` ends, whose last block was read; a fault where its data go on, or where what was read
/// is no data.
fn ended(bytes: &[u8], start: usize, bits: &mut Bits<'_>) -> Result<usize, JpegFault> {
    let position = bits.position();
    let marker = bits.seek_marker();
    let end = marker.map_or(bytes.len(), |(_, at)| at);
    let used = bytes.get(..end).unwrap_or(bytes);
    let data = used.len() - used.iter().rev().take_while(|byte| **byte == 0).count();
    if position > data + MAX_ZEROS {
        let there = data.saturating_sub(start) * 100 / (position - start.min(position)).max(1);
        return Err(JpegFault::Lost { percent: there.min(99) as u8 });
    }
    // Without a marker nobody says that what follows is of this picture.
    if marker.is_some() && data > position + MAX_EXTRA_BYTES {
        return Err(JpegFault::Damaged("it has more data than pixels, as when some were lost"));
    }
    Ok(end)
}

/// Goes on behind the restart marker that must come now; `false` where another one comes, or none.
fn restart(bits: &mut Bits<'_>, restarts: &mut u8) -> bool {
    let expected = 0xD0 + *restarts % 8;
    *restarts = (*restarts + 1) % 8;
    if bits.seek_marker().is_none_or(|(code, _)| code != expected) {
        return false;
    }
    bits.pass_marker();
    true
}

fn scan_header(segment: &[u8], layout: &mut Layout) -> Result<Header, JpegFault> {
    const SHORT: JpegFault = JpegFault::Damaged("the header of a scan is too short");
    let [count, rest @ ..] = segment else { return Err(SHORT) };
    let count = usize::from(*count);
    let (entries, tail) = rest.split_at_checked(count * 2).ok_or(SHORT)?;
    let [first, last, bits, ..] = tail else { return Err(SHORT) };
    if !(1..=layout.count).contains(&count) {
        return Err(JpegFault::Damaged("a scan has more components than the picture"));
    }
    let mut header =
        Header { components: [0; 4], count, first: 0, last: 63, low: 0, refines: false };
    for (slot, [id, tables]) in header.components.iter_mut().zip(entries.as_chunks::<2>().0) {
        let found = layout.components_mut().iter_mut().enumerate().find(|(_, one)| one.id == *id);
        let Some((index, component)) = found else {
            return Err(JpegFault::Damaged("a scan is of a component that is not there"));
        };
        component.dc_table = usize::from(tables >> 4 & 3);
        component.ac_table = usize::from(tables & 3);
        *slot = index;
    }
    if layout.progressive {
        (header.first, header.last) = (u32::from(*first), u32::from(*last));
        (header.low, header.refines) = (u32::from(bits & 15), bits >> 4 != 0);
        let band = if header.first == 0 {
            header.last == 0
        } else {
            header.first <= header.last && header.last <= 63 && count == 1
        };
        if !band || header.low > 13 {
            return Err(JpegFault::Damaged("a scan is of coefficients that are not there"));
        }
    }
    Ok(header)
}

#[inline]
fn sequential_block(
    bits: &mut Bits<'_>,
    (dc, ac): (&Table, &Table),
    last_dc: &mut i32,
    (component, block): (usize, usize),
    sink: &mut impl Sink,
) -> Result<(), ScanFault> {
    let (size, difference) = bits.value(dc)?;
    if size > 15 {
        return Err(ScanFault::Code);
    }
    *last_dc = last_dc.wrapping_add(difference);
    sink.set(component, block, 0, *last_dc);
    let mut k = 1;
    while k < 64 {
        let (symbol, value) = bits.value(ac)?;
        let (zeros, size) = (u32::from(symbol >> 4), symbol & 15);
        if size == 0 {
            if zeros < 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += zeros;
        if k > 63 {
            return Err(ScanFault::Code);
        }
        sink.set(component, block, k, value);
        k += 1;
    }
    Ok(())
}

/// The first coefficient of a block, or one more bit of it.
fn averages(
    bits: &mut Bits<'_>,
    header: &Header,
    table: &Table,
    last_dc: &mut i32,
    mut tell: impl FnMut(i32),
) -> Result<(), ScanFault> {
    if header.refines {
        if bits.bit()? {
            tell(1 << header.low);
        }
        return Ok(());
    }
    let size = bits.symbol(table)?;
    if size > 15 {
        return Err(ScanFault::Code);
    }
    *last_dc = last_dc.wrapping_add(bits.signed(size)?);
    tell(last_dc.wrapping_shl(header.low));
    Ok(())
}

impl Progressive<'_> {
    /// The first bits of a band of coefficients.
    fn begin(
        &mut self,
        bits: &mut Bits<'_>,
        nonzero: &mut u64,
        tell: &mut impl FnMut(u32, i32),
    ) -> Result<(), ScanFault> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let mut k = self.header.first;
        while k <= self.header.last {
            let symbol = bits.symbol(self.table)?;
            let (zeros, size) = (symbol >> 4, symbol & 15);
            if size == 0 {
                if zeros < 15 {
                    self.run = (1 << zeros) - 1 + bits.number(zeros)?;
                    break;
                }
                k += 16;
                continue;
            }
            k += u32::from(zeros);
            let value = bits.signed(size)?;
            if k > self.header.last {
                return Err(ScanFault::Code);
            }
            *nonzero |= 1 << k;
            tell(k, value << self.header.low);
            k += 1;
        }
        Ok(())
    }

    /// One more bit of a band of coefficients, and those that appear with it.
    fn refine(
        &mut self,
        bits: &mut Bits<'_>,
        nonzero: &mut u64,
        tell: &mut impl FnMut(u32, i32, bool),
    ) -> Result<(), ScanFault> {
        let bit = 1 << self.header.low;
        let mut k = self.header.first;
        while self.run == 0 && k <= self.header.last {
            let symbol = bits.symbol(self.table)?;
            let (mut zeros, size) = (u32::from(symbol >> 4), symbol & 15);
            let mut appears = None;
            match size {
                0 if zeros < 15 => {
                    self.run = (1 << zeros) + bits.number(zeros as u8)?;
                    break;
                }
                0 => {}
                1 => appears = Some(if bits.bit()? { bit } else { -bit }),
                _ => return Err(ScanFault::Code),
            }
            while k <= self.header.last {
                if *nonzero >> k & 1 == 1 {
                    if bits.bit()? {
                        tell(k, bit, false);
                    }
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if let Some(value) = appears {
                if k > self.header.last {
                    return Err(ScanFault::Code);
                }
                *nonzero |= 1 << k;
                tell(k, value, true);
            }
            k += 1;
        }
        if self.run > 0 {
            for k in k..=self.header.last {
                if *nonzero >> k & 1 == 1 && bits.bit()? {
                    tell(k, bit, false);
                }
            }
            self.run -= 1;
        }
        Ok(())
    }
}
