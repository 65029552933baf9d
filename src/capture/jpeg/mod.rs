//! Walks a JPEG picture to its end without making pixels of it.
//!
//! In: bytes that begin with a start marker. Out: an [`Outline`]: how large the picture is, where it
//! ends, where its EXIF data are; or why it is not whole. Whoever wants coefficients too gives a
//! [`Sink`]: [`planes`] draws a camera's picture, [`small`] a reduced one, [`averages`] one of a pixel for
//! each block.
//!
//! The decoder of pixels cannot tell a picture whose data were lost: it reads on behind the last bit
//! and fills what is missing with a flat colour. So each code of each scan is read here, and a
//! picture counts as whole when every block of every component had its own bits.
//! What stands behind the last scan does not matter: an end marker, none, padding, remarks.
//!
//! Invariants: nothing is allocated for sequential pictures, which is what cameras send, and eight
//! bytes for each block of a progressive one; the size is bounded first; nothing panics.
//! Source: ITU-T T.81; libjpeg for what is accepted beyond it.
//! Deliberately absent: arithmetic coding, lossless and hierarchical pictures, 12 bits.

pub(super) mod averages;
mod bits;
pub(super) mod planes;
mod scan;
pub(super) mod small;
mod standard;

use bits::Table;

/// Why a picture is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JpegFault {
    /// The bytes end inside the picture, of which so much can be decoded, in percent.
    CutOff { percent: u8 },
    /// A marker comes before the data do, of which so much can be decoded, in percent.
    Lost { percent: u8 },
    /// Something that no picture says.
    Damaged(&'static str),
    /// A kind of JPEG that is not read.
    Unsupported(&'static str),
    /// More pixels than were asked for.
    TooLarge { width: u32, height: u32 },
}

/// What a picture's markers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outline {
    /// Where the last scan's data end: an end marker stands there, or belongs there.
    pub(super) end: usize,
    /// Whether the picture brings Huffman tables of its own before its first scan.
    pub(super) has_tables: bool,
    /// Where its EXIF data begin, behind their name, and end.
    pub(super) exif: Option<(usize, usize)>,
    /// The Adobe segment's word on colours: 0 none, 1 `YCbCr`, 2 `YCCK`.
    pub(super) adobe: Option<u8>,
}

/// Column and row of coefficient `k` within its block.
#[rustfmt::skip]
const ZIGZAG: [(u8, u8); 64] = [
    (0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (2, 0), (3, 0), (2, 1), (1, 2), (0, 3), (0, 4), (1, 3),
    (2, 2), (3, 1), (4, 0), (5, 0), (4, 1), (3, 2), (2, 3), (1, 4), (0, 5), (0, 6), (1, 5), (2, 4),
    (3, 3), (4, 2), (5, 1), (6, 0), (7, 0), (6, 1), (5, 2), (4, 3), (3, 4), (2, 5), (1, 6), (0, 7),
    (1, 7), (2, 6), (3, 5), (4, 4), (5, 3), (6, 2), (7, 1), (7, 2), (6, 3), (5, 4), (4, 5), (3, 6),
    (2, 7), (3, 7), (4, 6), (5, 5), (6, 4), (7, 3), (7, 4), (6, 5), (5, 6), (4, 7), (5, 7), (6, 6),
    (7, 5), (7, 6), (6, 7), (7, 7),
];

/// One component of the picture: luminance, or a colour difference.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component {
    pub(super) id: u8,
    /// How many blocks of it each unit has, across and down.
    pub(super) across: u32,
    pub(super) down: u32,
    /// Blocks in a row and rows of blocks, with those that only fill up units.
    pub(super) blocks_wide: u32,
    pub(super) blocks_high: u32,
    /// The same without them: what a scan of this component alone has.
    own_wide: u32,
    own_high: u32,
    quantization: usize,
    /// What one step of each coefficient is worth, in zigzag order.
    pub(super) steps: [u16; 64],
    /// Whether a scan brought it, or for progressive pictures its averages.
    covered: bool,
    /// Which of its coefficients are known to the last bit.
    settled: u64,
    /// Where its blocks begin among those of all components.
    first_block: usize,
    dc_table: usize,
    ac_table: usize,
    last_dc: i32,
}

/// A picture's size and components.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    progressive: bool,
    components: [Component; 4],
    count: usize,
    /// Units in a row, and rows of them.
    units_wide: u32,
    pub(super) units_high: u32,
    pub(super) most_across: u32,
    pub(super) most_down: u32,
}

impl Layout {
    pub(super) fn components(&self) -> &[Component] {
        self.components.get(..self.count).unwrap_or_default()
    }

    fn components_mut(&mut self) -> &mut [Component] {
        self.components.get_mut(..self.count).unwrap_or_default()
    }

    fn blocks(&self) -> usize {
        let of = |one: &Component| one.blocks_wide as usize * one.blocks_high as usize;
        self.components().last().map_or(0, |last| last.first_block + of(last))
    }

    /// How much of a progressive picture's coefficients is known to the last bit, in percent.
    fn settled_percent(&self) -> u8 {
        let known: u32 = self.components().iter().map(|one| one.settled.count_ones()).sum();
        (known * 100 / (64 * self.count as u32)) as u8
    }

    fn is_covered(&self) -> bool {
        self.components().iter().all(|component| component.covered)
    }

    /// Whether nothing can come that would make it better.
    fn is_settled(&self) -> bool {
        self.is_covered()
            && (!self.progressive || self.components().iter().all(|c| c.settled == u64::MAX))
    }
}

/// Who wants a picture's coefficients. Blocks are numbered from the left, then from the top, with
/// [`Component::blocks_wide`] in a row.
pub(super) trait Sink {
    /// Hears the size before the first coefficient.
    fn begin(&mut self, _: &Layout) -> Result<(), JpegFault> {
        Ok(())
    }
    /// Hears before a scan what the steps of its components are worth.
    fn scan(&mut self, _: &Layout) {}
    /// Coefficient `k`, in zigzag order, of a block, in steps.
    fn set(&mut self, _component: usize, _block: usize, _k: u32, _value: i32) {}
    /// A block of a sequential picture is complete, in this column and row of its component's blocks.
    fn block(&mut self, _component: usize, _at: (u32, u32)) {}
    /// One more bit, `bit`, of a coefficient that was set.
    fn refine(&mut self, _component: usize, _block: usize, _k: u32, _bit: i32) {}
}

/// Nobody.
impl Sink for () {}

/// What walking needs; kept from picture to picture.
pub(super) struct Walker {
    dc: [Table; 4],
    ac: [Table; 4],
    steps: [[u16; 64]; 4],
    /// Which coefficients of each block are not zero, for progressive pictures.
    nonzero: Vec<u64>,
    restart_interval: u32,
}

/// A segment: where its contents begin and end.
type Segment = (usize, usize);

impl Walker {
    pub(super) const fn new() -> Self {
        Self {
            dc: [const { Table::empty() }; 4],
            ac: [const { Table::empty() }; 4],
            steps: [[1; 64]; 4],
            nonzero: Vec::new(),
            restart_interval: 0,
        }
    }

    /// Walks `bytes`, which may have at most `max_pixels`, and tells `sink` the coefficients.
    /// Out: the outline, and the layout with what each component's steps are worth.
    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        max_pixels: usize,
        sink: &mut impl Sink,
    ) -> Result<(Outline, Layout), JpegFault> {
        self.restart_interval = 0;
        let mut outline = Outline { end: 0, has_tables: false, exif: None, adobe: None };
        let mut layout: Option<Layout> = None;
        let mut at = 2;
        loop {
            let Some((code, behind)) = next_marker(bytes, at) else {
                return finish(outline, layout.as_ref(), false);
            };
            let segment = match code {
                0xD9 => return finish(outline, layout.as_ref(), true),
                // These stand alone.
                0x01 | 0xD0..=0xD7 => {
                    at = behind;
                    continue;
                }
                0xD8 => return finish(outline, layout.as_ref(), false),
                _ => segment(bytes, behind),
            };
            // Behind a picture that is whole there may be anything.
            let Some(segment) = segment else { return finish(outline, layout.as_ref(), false) };
            at = segment.1;
            match code {
                0xC0..=0xC2 => {
                    if layout.is_some() {
                        return Err(JpegFault::Damaged("it has two headers"));
                    }
                    let found = start_of_frame(code, part(bytes, segment), max_pixels)?;
                    self.nonzero.clear();
                    if found.progressive {
                        self.nonzero.resize(found.blocks(), 0);
                    }
                    sink.begin(&found)?;
                    layout = Some(found);
                }
                0xC4 => {
                    self.huffman_tables(part(bytes, segment))?;
                    outline.has_tables |= outline.end == 0;
                }
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                    return Err(JpegFault::Unsupported(kind_of(code)));
                }
                0xDB => self.quantization(part(bytes, segment))?,
                0xDD => {
                    if let [high, low, ..] = part(bytes, segment) {
                        self.restart_interval = u32::from(u16::from_be_bytes([*high, *low]));
                    }
                }
                0xE1 if outline.exif.is_none() && part(bytes, segment).starts_with(b"Exif\0\0") => {
                    outline.exif = Some((segment.0 + 6, segment.1));
                }
                0xEE if part(bytes, segment).starts_with(b"Adobe") => {
                    outline.adobe = part(bytes, segment).get(11).copied();
                }
                0xDA => {
                    let Some(layout) = &mut layout else {
                        return Err(JpegFault::Damaged("its data come before its header"));
                    };
                    if !outline.has_tables && outline.end == 0 {
                        self.standard_tables();
                    }
                    at = self.scan(bytes, segment, layout, sink)?;
                    outline.end = at;
                    if layout.is_settled() {
                        return Ok((outline, *layout));
                    }
                }
                _ => {}
            }
        }
    }

    fn quantization(&mut self, mut rest: &[u8]) -> Result<(), JpegFault> {
        while let [head, tail @ ..] = rest {
            let wide = head >> 4 != 0;
            let length = if wide { 128 } else { 64 };
            let (Some(values), Some(table)) =
                (tail.get(..length), self.steps.get_mut(usize::from(head & 3)))
            else {
                return Err(JpegFault::Damaged("a table of steps is too short"));
            };
            if wide {
                for (step, value) in table.iter_mut().zip(values.as_chunks::<2>().0) {
                    *step = u16::from_be_bytes(*value);
                }
            } else {
                for (step, value) in table.iter_mut().zip(values) {
                    *step = u16::from(*value);
                }
            }
            rest = tail.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn huffman_tables(&mut self, mut rest: &[u8]) -> Result<(), JpegFault> {
        while let [head, tail @ ..] = rest {
            let Some(counts) = tail.first_chunk::<16>() else {
                return Err(JpegFault::Damaged("a code table is too short"));
            };
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let values = tail.get(16..16 + total);
            if !values.is_some_and(|values| self.set_table(*head, counts, values)) {
                return Err(JpegFault::Damaged("a code table contradicts itself"));
            }
            rest = tail.get(16 + total..).unwrap_or_default();
        }
        Ok(())
    }

    fn set_table(&mut self, head: u8, counts: &[u8; 16], values: &[u8]) -> bool {
        let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
        tables.get_mut(usize::from(head & 15)).is_some_and(|table| table.build(counts, values))
    }

    fn standard_tables(&mut self) {
        for (head, counts, values) in &standard::TABLES {
            let built = self.set_table(*head, counts, values);
            debug_assert!(built, "the standard's tables are tables");
        }
    }
}

/// Columns and rows that the picture's header says, where it is found.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let (code, behind) = next_marker(bytes, at)?;
        at = match code {
            0x01 | 0xD0..=0xD7 => behind,
            0xD8..=0xDA => return None,
            _ => {
                let segment = segment(bytes, behind)?;
                if let (0xC0..=0xC2, [_, h1, h0, w1, w0, ..]) = (code, part(bytes, segment)) {
                    let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                    return Some((side(*w1, *w0), side(*h1, *h0)));
                }
                segment.1
            }
        };
    }
}

impl Component {
    const NONE: Self = Self {
        id: 0,
        across: 1,
        down: 1,
        blocks_wide: 0,
        blocks_high: 0,
        own_wide: 0,
        own_high: 0,
        quantization: 0,
        steps: [1; 64],
        covered: false,
        settled: 0,
        first_block: 0,
        dc_table: 0,
        ac_table: 0,
        last_dc: 0,
    };
}

fn start_of_frame(code: u8, header: &[u8], max_pixels: usize) -> Result<Layout, JpegFault> {
    const SHORT: JpegFault = JpegFault::Damaged("its header is too short");
    let [precision, h1, h0, w1, w0, count, rest @ ..] = header else { return Err(SHORT) };
    let (width, height) = (u16::from_be_bytes([*w1, *w0]), u16::from_be_bytes([*h1, *h0]));
    let (width, height) = (u32::from(width), u32::from(height));
    let count = usize::from(*count);
    if *precision != 8 {
        return Err(JpegFault::Unsupported("it has more than 8 bits a sample"));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(JpegFault::Unsupported("it has neither one, three nor four components"));
    }
    if width == 0 || height == 0 {
        return Err(JpegFault::Damaged("its header says that it has no pixels"));
    }
    if width as usize * height as usize > max_pixels {
        return Err(JpegFault::TooLarge { width, height });
    }
    let (entries, _) = rest.as_chunks::<3>();
    let entries = entries.get(..count).ok_or(SHORT)?;
    let of = |entry: &[u8; 3]| (u32::from(entry[1] >> 4), u32::from(entry[1] & 15));
    let sides = || entries.iter().map(of);
    let most_across = sides().map(|(across, _)| across).max().unwrap_or(1);
    let most_down = sides().map(|(_, down)| down).max().unwrap_or(1);
    let fits = |side: u32| (1..=4).contains(&side);
    if !sides().all(|(across, down)| fits(across) && fits(down)) {
        return Err(JpegFault::Damaged("its components have no size"));
    }
    let units_wide = width.div_ceil(8 * most_across);
    let units_high = height.div_ceil(8 * most_down);
    let mut first_block = 0;
    let mut layout = Layout {
        width,
        height,
        progressive: code == 0xC2,
        components: [Component::NONE; 4],
        count,
        units_wide,
        units_high,
        most_across,
        most_down,
    };
    for (component, entry) in layout.components_mut().iter_mut().zip(entries) {
        let (across, down) = of(entry);
        *component = Component {
            id: entry[0],
            across,
            down,
            blocks_wide: units_wide * across,
            blocks_high: units_high * down,
            own_wide: (width * across).div_ceil(8 * most_across),
            own_high: (height * down).div_ceil(8 * most_down),
            quantization: usize::from(entry[2] & 3),
            first_block,
            ..Component::NONE
        };
        first_block += component.blocks_wide as usize * component.blocks_high as usize;
    }
    Ok(layout)
}

/// What the end of the bytes, or an end marker, makes of what was walked before it.
fn finish(
    outline: Outline,
    layout: Option<&Layout>,
    marked: bool,
) -> Result<(Outline, Layout), JpegFault> {
    match layout {
        // An encoder may leave bits of a progressive picture out, and says with its marker that it did.
        Some(layout) if layout.is_covered() && (marked || !layout.progressive) => {
            Ok((outline, *layout))
        }
        Some(layout) if layout.is_covered() => {
            Err(JpegFault::CutOff { percent: layout.settled_percent() })
        }
        _ if marked => Err(JpegFault::Lost { percent: 0 }),
        _ => Err(JpegFault::CutOff { percent: 0 }),
    }
}

/// The code of the next marker, and where what follows it begins.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(at..)?;
    let start = rest.iter().position(|byte| *byte == 0xFF)?;
    let fill = rest.get(start..)?.iter().take_while(|byte| **byte == 0xFF).count();
    let code = rest.get(start + fill)?;
    Some((*code, at + start + fill + 1))
}

fn segment(bytes: &[u8], at: usize) -> Option<Segment> {
    let length = usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let end = at.checked_add(length)?;
    (length >= 2 && end <= bytes.len()).then_some((at + 2, end))
}

fn part(bytes: &[u8], segment: Segment) -> &[u8] {
    bytes.get(segment.0..segment.1).unwrap_or_default()
}

const fn kind_of(code: u8) -> &'static str {
    match code {
        0xC3 | 0xC7 | 0xCB | 0xCF => "it is coded without loss",
        0xC9 | 0xCA => "its codes are arithmetic",
        _ => "it is hierarchical",
    }
}
