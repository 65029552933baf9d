//! A contact sheet of the visit: what the camera saw, what the path saw in it, what came of it.
//!
//! In: the recording, the enrolled set, the decisions. Out: one picture of tiles in the order of
//! time, each with boxes, keypoints and the nearest subject's score, as the same path finds them
//! again. Deliberately absent: writing it anywhere but where a person asked for it.

use std::path::Path;

use image::RgbImage;

use super::closing::{Closing, cut, told};
use super::story::{PartResult, outcome_name};
use crate::cli::draw::{Canvas, Ink, Lettering};
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::decide::{Observation, Outcome, Seen};
use crate::detect::Detection;
use crate::equip::Networks;
use crate::frame::{Frame, Sampler};
use crate::geometry::{Point, Rect, Similarity};
use crate::lab::scene::Script;
use crate::lab::{replay, still_clock};
use crate::recognise::Recogniser;
use crate::store::Store;

/// Tiles in a row: of these the number that leaves the fewest places of the last row empty.
const COLUMNS: std::ops::RangeInclusive<u32> = 4..=6;
const TILE_WIDTH: u32 = 320;
const TILE_HEIGHT: u32 = 240;
/// Samples along each side of a tile's pixel: frames are twice as large.
const SAMPLES: usize = 2;
const CAPTION_HEIGHT: u32 = 32;
const HEADER_HEIGHT: u32 = 64;
const GAP: u32 = 6;

/// At which shares of its length a part is shown.
const POPULATED: [f32; 3] = [0.3, 0.5, 0.72];
const EMPTY: [f32; 1] = [0.5];
/// How long before its decision a part's first tile is at the latest, in seconds.
const BEFORE_DECISION_S: f64 = 0.2;

/// What the colours of boxes and dots mean.
const LEGEND: [(Ink, &str); 4] = [
    (Ink::Green, "the face that is judged, alike enough in this frame"),
    (Ink::Orange, "the face that is judged, not alike enough or too poor"),
    (Ink::Yellow, "another face"),
    (Ink::Blue, "keypoints"),
];

/// Draws the sheet.
pub(super) fn draw(
    config: &Config,
    recording: &Path,
    script: &Script,
    closing: &Closing,
) -> Result<Canvas, Failure> {
    let networks = Networks::open(config)?;
    let store = Store::open_read_only(&config.store.path, config.store_settings())?;
    let references = store.references(&networks.cards().key(config, &config.models.embedder)?)?;
    let gallery = networks.gallery(config, references)?;
    let mut recogniser = networks.recogniser(config, gallery)?;

    let shown = shown(script, closing);
    let tiles = u32::try_from(shown.len()).unwrap_or(0);
    let columns = columns(tiles);
    let rows = tiles.div_ceil(columns);
    let (across, down) = (TILE_WIDTH + GAP, TILE_HEIGHT + CAPTION_HEIGHT + GAP);
    let mut sheet =
        Canvas::blank(columns * across + GAP, HEADER_HEIGHT + rows * down + GAP, Ink::Black);
    head(&mut sheet, closing);
    let mut index = 0;
    replay(recording, script.picture.rate, &still_clock(), |frame, clock| {
        let observation = recogniser.observe(frame, clock);
        if let Some(place) = shown.iter().position(|wanted| *wanted == index) {
            let place = u32::try_from(place).unwrap_or(0);
            let tile = tile(config, script, closing, frame, index, &recogniser, &observation);
            let (x, y) = (GAP + place % columns * across, HEADER_HEIGHT + place / columns * down);
            sheet.paste(&tile.into_picture(), x, y);
        }
        index += 1;
        Ok(())
    })
    .map_err(|error| Failure::of(crate::cli::exit::Kind::Input, &error))?;
    Ok(sheet)
}

/// How many tiles stand in a row.
fn columns(tiles: u32) -> u32 {
    COLUMNS.min_by_key(|columns| tiles.div_ceil(*columns) * columns - tiles).unwrap_or(1)
}

/// The numbers of the frames that are shown, rising. Where a part was decided early, its first tile
/// moves to before the decision, so that the sheet shows what led to it.
fn shown(script: &Script, closing: &Closing) -> Vec<u32> {
    let rate = script.picture.rate;
    let mut first = 0;
    let mut shown = Vec::new();
    for (number, part) in script.parts.iter().enumerate() {
        let frames = part.frames(rate);
        let shares: &[f32] = if part.walks.is_empty() { &EMPTY } else { &POPULATED };
        let decided = closing.parts.get(number).and_then(|part| part.decisions.first());
        let before = decided.map_or(u32::MAX, |decision| {
            let at = (decision.seconds - BEFORE_DECISION_S) * f64::from(rate);
            (at.max(0.0) as u32).max(first)
        });
        let places = shares.iter().map(|share| first + (share * frames as f32) as u32);
        shown.extend(places.enumerate().map(|(n, at)| if n == 0 { at.min(before) } else { at }));
        first += frames;
    }
    shown
}

fn head(sheet: &mut Canvas, closing: &Closing) {
    let verdict = if closing.as_expected { "as expected" } else { "NOT AS EXPECTED" };
    let ink = if closing.as_expected { Ink::Green } else { Ink::Red };
    let title = format!("deepid-edge demo: {} decisions, {verdict}", closing.decisions);
    sheet.text(Point::new(8.0, 6.0), &title, ink, Lettering::Large);
    let operating = &closing.operating;
    let claim = operating
        .claimed_fpir
        .map_or_else(|| "no claim".to_owned(), |fpir| format!("claimed FPIR {fpir:.1e}"));
    let facts = format!(
        "model {}, threshold {:.3}, {claim}. Numbers are scores of the nearest enrolled subject. Rendered from photographs.",
        closing.model, operating.threshold
    );
    sheet.text(Point::new(8.0, 26.0), &facts, Ink::Grey, Lettering::Small);
    let mut x = 8.0;
    for (ink, meaning) in LEGEND {
        sheet.fill(Rect::new(x, 44.0, 10.0, 10.0), ink);
        sheet.text(Point::new(x + 16.0, 44.0), meaning, Ink::Grey, Lettering::Small);
        x += 16.0 + Lettering::Small.extent(meaning.len() as u32 + 3).0 as f32;
    }
}

fn tile(
    config: &Config,
    script: &Script,
    closing: &Closing,
    frame: &Frame<'_>,
    index: u32,
    recogniser: &Recogniser,
    observation: &Observation,
) -> Canvas {
    let mut tile = Canvas::blank(TILE_WIDTH, TILE_HEIGHT + CAPTION_HEIGHT, Ink::Black);
    tile.paste(&reduced(frame), 0, 0);
    let scale = TILE_WIDTH as f32 / frame.width() as f32;
    let size = (frame.width(), frame.height());
    let detections = recogniser.detections();
    let principal = detections.principal(size, config.detect.central);
    for face in detections.as_slice() {
        if principal != Some(face) {
            outline(&mut tile, face, scale, Ink::Yellow, "");
        }
    }
    if let (Some(face), Seen::Faces { principal: seen, .. }) = (principal, &observation.seen) {
        let nearest = seen.found.as_ref().and_then(|found| found.best.as_ref());
        let accepted = seen.found.as_ref().is_some_and(|found| found.accepted().is_some());
        let ink = if accepted { Ink::Green } else { Ink::Orange };
        let text = match (nearest, seen.quality.fault) {
            (Some(nearest), _) => format!("{:.2}", nearest.score),
            (None, Some(fault)) => fault.name().replace('_', " "),
            (None, None) => String::new(),
        };
        outline(&mut tile, face, scale, ink, &text);
    }
    let Some((number, part, _)) = script.part_at(index) else { return tile };
    let seconds = f64::from(index) / f64::from(script.picture.rate);
    let caption = format!("{seconds:5.1} s  {}", cut(&part.name, 42));
    let top = TILE_HEIGHT as f32;
    tile.text(Point::new(2.0, top + 2.0), &caption, Ink::White, Lettering::Small);
    let (words, ink) = status(closing.parts.get(number), seconds);
    tile.text(Point::new(2.0, top + 14.0), &words, ink, Lettering::Large);
    tile
}

/// What had been decided by then.
fn status(part: Option<&PartResult>, seconds: f64) -> (String, Ink) {
    let Some(part) = part else { return (String::new(), Ink::Grey) };
    match part.decisions.iter().rfind(|decision| decision.seconds <= seconds) {
        Some(decision) => (told(decision), ink(decision.access.outcome)),
        None => match (&part.expected, part.decisions.last()) {
            (Some(_), Some(later)) => {
                let outcome = outcome_name(later.access.outcome);
                (format!("watching ({outcome} at {:.1} s)", later.seconds), Ink::Grey)
            }
            (Some(_), None) => ("never decided".to_owned(), Ink::Red),
            (None, _) => ("nobody".to_owned(), Ink::Grey),
        },
    }
}

const fn ink(outcome: Outcome) -> Ink {
    match outcome {
        Outcome::Granted => Ink::Green,
        Outcome::Denied => Ink::Red,
        Outcome::Unknown => Ink::Orange,
        Outcome::Ambiguous => Ink::Yellow,
    }
}

fn outline(tile: &mut Canvas, face: &Detection, scale: f32, ink: Ink, text: &str) {
    let bounds = face.bounds();
    let bounds =
        Rect::new(bounds.x * scale, bounds.y * scale, bounds.width * scale, bounds.height * scale);
    tile.outline(bounds, ink, 2);
    for keypoint in face.keypoints() {
        tile.dot(Point::new(keypoint.x * scale, keypoint.y * scale), Ink::Blue, 1);
    }
    if !text.is_empty() {
        tile.label(bounds, text, ink, Lettering::Small, 1);
    }
}

/// The frame at the size of a tile.
fn reduced(frame: &Frame<'_>) -> RgbImage {
    let scale = frame.width() as f32 / TILE_WIDTH as f32;
    let mut pixels = vec![[0; 3]; TILE_WIDTH as usize * TILE_HEIGHT as usize];
    let pose = Similarity { a: scale, b: 0.0, tx: 0.0, ty: 0.0 };
    Sampler::new(*frame).fill(&mut pixels, TILE_WIDTH as usize, pose, SAMPLES);
    RgbImage::from_raw(TILE_WIDTH, TILE_HEIGHT, pixels.into_flattened()).unwrap_or_default()
}
