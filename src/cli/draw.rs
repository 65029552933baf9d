//! Boxes, keypoints and labels on a picture that a person will look at.
//!
//! In: an RGB picture and shapes in its pixel coordinates. Out: the same picture with the shapes
//! on it. Lines and text are clipped at the border, so that any coordinates may be given, also
//! those that are not finite: they draw nothing.
//!
//! Deliberately absent: anything that decides what is worth drawing, and drawing on the frame's
//! way. This serves `detect --out`, the demo's contact sheet and plots; the daemon never draws.

use std::borrow::Cow;
use std::convert::Infallible;
use std::path::Path;

use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{
    Dimensions, DrawTarget, Drawable, OriginDimensions, Pixel, Point as Cell, Primitive, RgbColor,
    Size,
};
use embedded_graphics::primitives::{Circle, Line, PointsIter, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::geometry::{Point, Rect};
use crate::remedy::Remedied;

/// A colour with a meaning, so that every picture of ours reads alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ink {
    /// Granted.
    Green,
    /// Denied.
    Red,
    /// Unknown.
    Orange,
    /// Ambiguous, and whatever has no verdict yet.
    Yellow,
    /// Keypoints and second series of a plot.
    Blue,
    /// Text and frames.
    White,
    /// Axes and secondary text.
    Grey,
    /// Text on a light ground.
    Black,
}

impl Ink {
    const fn rgb(self) -> Rgb888 {
        match self {
            Self::Green => Rgb888::new(46, 204, 113),
            Self::Red => Rgb888::new(231, 60, 60),
            Self::Orange => Rgb888::new(243, 146, 18),
            Self::Yellow => Rgb888::new(241, 224, 60),
            Self::Blue => Rgb888::new(64, 170, 255),
            Self::White => Rgb888::new(255, 255, 255),
            Self::Grey => Rgb888::new(150, 150, 150),
            Self::Black => Rgb888::new(0, 0, 0),
        }
    }
}

/// How large a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lettering {
    /// 6×10 pixels a character.
    Small,
    /// 9×15 pixels a character, bold.
    Large,
}

impl Lettering {
    const fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Small => &FONT_6X10,
            Self::Large => &FONT_9X15_BOLD,
        }
    }

    /// Pixels across and down that `characters` characters take on one line.
    #[must_use]
    pub const fn extent(self, characters: u32) -> (u32, u32) {
        let size = self.font().character_size;
        (size.width * characters, size.height)
    }
}

/// Letters are magnified at most so many times: the longest side of a frame needs no more.
const ZOOM_MAX: u32 = 32;

/// What went wrong with a picture that was to be written.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The file could not be written.
    #[error("picture {path}: cannot be written: {source}; {advice}", advice = self.advice())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// What the encoder or the file system said.
        source: image::ImageError,
    },
}

impl Remedied for DrawError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Write { .. } => {
                "name a file ending in .png or .jpg in a folder that exists and that you may write to".into()
            }
        })
    }
}

/// A picture that is being drawn on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    picture: RgbImage,
}

impl Canvas {
    /// A canvas over `picture`.
    #[must_use]
    pub const fn new(picture: RgbImage) -> Self {
        Self { picture }
    }

    /// A canvas of one colour, `width` × `height` pixels.
    #[must_use]
    pub fn blank(width: u32, height: u32, ground: Ink) -> Self {
        let rgb = ground.rgb();
        let pixel = image::Rgb([rgb.r(), rgb.g(), rgb.b()]);
        Self { picture: RgbImage::from_pixel(width, height, pixel) }
    }

    /// The picture, drawn on.
    #[must_use]
    pub fn into_picture(self) -> RgbImage {
        self.picture
    }

    /// The picture so far.
    #[must_use]
    pub const fn picture(&self) -> &RgbImage {
        &self.picture
    }

    /// The outline of `rect`, `thickness_px` wide, centred on its edge.
    pub fn outline(&mut self, rect: Rect, ink: Ink, thickness_px: u32) {
        let (Some(from), Some(to)) = (
            cell(Point::new(rect.x, rect.y)),
            cell(Point::new(rect.x + rect.width, rect.y + rect.height)),
        ) else {
            return;
        };
        let style = PrimitiveStyle::with_stroke(ink.rgb(), thickness_px);
        let Ok(()) = Rectangle::with_corners(from, to).into_styled(style).draw(self);
    }

    /// The inside of `rect`.
    pub fn fill(&mut self, rect: Rect, ink: Ink) {
        let Some(from) = cell(Point::new(rect.x, rect.y)) else { return };
        let size = Size::new(rect.width.round() as u32, rect.height.round() as u32);
        let style = PrimitiveStyle::with_fill(ink.rgb());
        let Ok(()) = Rectangle::new(from, size).into_styled(style).draw(self);
    }

    /// A dot of `radius_px` around `centre`, such as a keypoint.
    pub fn dot(&mut self, centre: Point, ink: Ink, radius_px: u32) {
        let Some(centre) = cell(centre) else { return };
        let circle = Circle::with_center(centre, radius_px * 2 + 1);
        let Ok(()) = circle.into_styled(PrimitiveStyle::with_fill(ink.rgb())).draw(self);
    }

    /// A straight line, `thickness_px` wide.
    pub fn line(&mut self, from: Point, to: Point, ink: Ink, thickness_px: u32) {
        let (Some(from), Some(to)) = (cell(from), cell(to)) else { return };
        let style = PrimitiveStyle::with_stroke(ink.rgb(), thickness_px);
        let Ok(()) = Line::new(from, to).into_styled(style).draw(self);
    }

    /// One or more lines of text whose top left corner is `at`. Characters beyond Latin-1 show as
    /// `?`.
    pub fn text(&mut self, at: Point, text: &str, ink: Ink, lettering: Lettering) {
        let Some(at) = cell(at) else { return };
        let style = MonoTextStyle::new(lettering.font(), ink.rgb());
        let Ok(_) = Text::with_baseline(text, at, style, Baseline::Top).draw(self);
    }

    /// Text on a plate of `ink`, its letters `zoom` times their size, that stands on `above`'s top
    /// edge, or inside it when there is no room; moved sideways as far as needed to be readable.
    pub fn label(&mut self, above: Rect, text: &str, ink: Ink, lettering: Lettering, zoom: u32) {
        if !(above.x.is_finite() && above.y.is_finite()) {
            return;
        }
        let zoom = zoom.clamp(1, ZOOM_MAX);
        let (width, height) = lettering.extent(text.chars().count() as u32);
        let mut plate = Self::blank(width + 6, height + 4, ink);
        plate.text(Point::new(3.0, 2.0), text, ink_on(ink), lettering);
        let (width, height) = ((width + 6) * zoom, (height + 4) * zoom);
        let plate = resize(&plate.picture, width, height, FilterType::Nearest);
        let rightmost = self.picture.width().saturating_sub(width) as f32;
        let lowest = self.picture.height().saturating_sub(height) as f32;
        let x = above.x.clamp(0.0, rightmost);
        let y = if above.y >= height as f32 { above.y - height as f32 } else { above.y };
        self.paste(&plate, x as u32, y.clamp(0.0, lowest) as u32);
    }

    /// Copies `picture` so that its top left corner is at `(x, y)`; what does not fit is cut off.
    pub fn paste(&mut self, picture: &RgbImage, x: u32, y: u32) {
        image::imageops::replace(&mut self.picture, picture, i64::from(x), i64::from(y));
    }

    /// Writes the picture; the file's ending says the format.
    ///
    /// # Errors
    /// [`DrawError::Write`] when the ending is unknown or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DrawError> {
        self.picture.save(path).map_err(|source| DrawError::Write { path: path.to_owned(), source })
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.picture.width(), self.picture.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) else { continue };
            if let Some(pixel) = self.picture.get_pixel_mut_checked(x, y) {
                *pixel = image::Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        // A shape far outside must not cost a walk over its own area.
        let visible = area.intersection(&self.bounding_box());
        self.draw_iter(visible.points().map(|at| Pixel(at, colour)))
    }
}

/// Text that can be read on a plate of `ink`.
const fn ink_on(ink: Ink) -> Ink {
    match ink {
        Ink::Black | Ink::Red | Ink::Grey => Ink::White,
        _ => Ink::Black,
    }
}

/// The pixel that `point` lies in, or `None` where it lies too far outside to matter.
fn cell(point: Point) -> Option<Cell> {
    /// Twice the longest side of a frame: whatever lies beyond is never visible.
    const FAR_PX: f32 = 2.0 * crate::frame::Frame::MAX_SIDE as f32;
    let near = |v: f32| v.is_finite().then(|| v.clamp(-FAR_PX, FAR_PX).floor() as i32);
    Some(Cell::new(near(point.x)?, near(point.y)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEN: image::Rgb<u8> = image::Rgb([46, 204, 113]);

    fn count(canvas: &Canvas, colour: image::Rgb<u8>) -> usize {
        canvas.picture().pixels().filter(|p| **p == colour).count()
    }

    #[test]
    fn an_outline_lies_on_the_edge_and_leaves_the_inside() {
        let mut canvas = Canvas::blank(40, 30, Ink::Black);
        canvas.outline(Rect::new(10.0, 5.0, 20.0, 15.0), Ink::Green, 1);
        assert_eq!(canvas.picture().get_pixel(10, 5), &GREEN);
        assert_eq!(canvas.picture().get_pixel(30, 20), &GREEN);
        assert_eq!(canvas.picture().get_pixel(20, 12), &image::Rgb([0, 0, 0]));
        assert_eq!(count(&canvas, GREEN), 2 * 21 + 2 * 14);
    }

    #[test]
    fn shapes_outside_or_not_finite_draw_nothing() {
        let mut canvas = Canvas::blank(20, 20, Ink::Black);
        let before = canvas.clone();
        canvas.outline(Rect::new(f32::NAN, 0.0, 5.0, 5.0), Ink::Green, 1);
        canvas.dot(Point::new(f32::INFINITY, 3.0), Ink::Green, 2);
        canvas.fill(Rect::new(1e9, 1e9, 1e9, 1e9), Ink::Green);
        canvas.text(Point::new(-500.0, -500.0), "nobody", Ink::Green, Lettering::Small);
        canvas.outline(Rect::new(-1e6, -1e6, 10.0, 10.0), Ink::Green, 3);
        assert_eq!(canvas, before);
    }

    #[test]
    fn a_shape_that_covers_everything_is_clipped() {
        let mut canvas = Canvas::blank(20, 10, Ink::Black);
        canvas.fill(Rect::new(-1e4, -1e4, 3e4, 3e4), Ink::Green);
        assert_eq!(count(&canvas, GREEN), 200);
    }

    #[test]
    fn a_label_stays_inside_the_picture() {
        for above in [Rect::new(0.0, 0.0, 10.0, 10.0), Rect::new(95.0, 30.0, 10.0, 10.0)] {
            for zoom in [1, 2] {
                let mut canvas = Canvas::blank(100, 60, Ink::White);
                canvas.label(above, "0.731", Ink::Green, Lettering::Small, zoom);
                let (width, height) = Lettering::Small.extent(5);
                let plate = ((width + 6) * (height + 4) * zoom * zoom) as usize;
                let letters = count(&canvas, image::Rgb([0, 0, 0]));
                assert!(letters > 20 * (zoom * zoom) as usize, "text is visible");
                assert_eq!(count(&canvas, GREEN) + letters, plate, "the whole plate is visible");
            }
        }
    }

    #[test]
    fn saving_to_an_unknown_ending_says_what_would_be_right() {
        let canvas = Canvas::blank(2, 2, Ink::Black);
        let error = canvas.save(Path::new("picture.unknown")).expect_err("no such format");
        assert!(error.to_string().contains(".png or .jpg"), "{error}");
    }
}
