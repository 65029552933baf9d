//! `detect`: the faces in a picture, listed and drawn.
//!
//! In: a picture. Out: boxes, keypoints, scores and quality of every face, the best score first, and how
//! probably each is live (`models.liveness`, one look), and what covers it (`models.quality`);
//! with `--out`, the picture with all that drawn on it, and with the rectangles of `detect.ignore` and
//! `detect.only`; with `--as-camera`, both of the picture turned as the camera's are. A face that the
//! daemon would not see for the rectangles is listed, marked as such. Uses the detectors and the alignment that
//! the daemon uses; nobody is recognised here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use image::{RgbImage, imageops};
use serde_json::{Value as Json, json};

use super::context::Context;
use super::draw::{Canvas, Ink, Lettering};
use super::exit::Kind;
use super::failure::Failure;
use crate::capture::picture::Picture;
use crate::clock::Monotonic;
use crate::detect::{DetectError, Detection, Detections, Zones};
use crate::embed::{Cover, Quality, QualityFault};
use crate::equip::{EquipError, Networks};
use crate::geometry::{Rect, Turn, View};
use crate::liveness::{LivenessNetworks, Look};

/// Arguments of `detect`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A JPEG, PNG or WebP file
    image: PathBuf,
    /// Write the picture with boxes and keypoints drawn; the name's ending says whether as PNG (.png)
    /// or JPEG (.jpg)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file is a still of the camera: turn and mirror it as camera.rotate and camera.mirror say
    #[arg(long)]
    as_camera: bool,
}

/// Up to this length of the longer side, letters of their plain size can be read when the whole
/// picture fills a screen.
const LEGIBLE_PX: u32 = 1000;

const KEYPOINT_NAMES: [&str; 4] = ["right_eye", "left_eye", "nose_tip", "mouth_centre"];

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let picture = Picture::read(&self.image)?;
        let networks = Networks::open(&config)?;
        let mut follower = networks.follower(&config)?;
        let mut cutter = networks.cutter(&config)?;
        let mut liveness = networks.liveness_networks(&config)?;
        let mut covers = networks.cover_judge(&config)?;
        let limits = config.quality_limits();
        let zones = config.zones();

        let view = if self.as_camera { config.camera_view() } else { View::default() };
        let frame = picture.frame(0, Monotonic::default()).seen_by(view);
        let mut detections = Detections::default();
        follower
            .detect(&frame, &mut detections)
            .map_err(|DetectError::Inference(error)| Failure::from(EquipError::Inference(error)))?;
        let faces = detections
            .as_slice()
            .iter()
            .map(|face| {
                let hidden_by = zones.hidden_by(face.bounds(), (frame.width(), frame.height()));
                let Some(aligned) = cutter.align(&frame, face)? else {
                    let (quality, cover, look) = (None, None, None);
                    return Ok(Listed { face: *face, quality, cover, look, hidden_by });
                };
                let quality = Quality::measure(aligned, face, &limits);
                let fault = if quality.wants_orientation() {
                    QualityFault::of_orientation(follower.orientation(&frame, face)?)
                } else {
                    None
                };
                let quality = fault.map_or(quality, |fault| quality.with_fault(fault));
                let cover = match &mut covers {
                    Some(covers) if quality.fault.is_none() => covers.look(&frame, face)?,
                    _ => None,
                };
                let fault = cover.filter(|cover| cover.refused);
                let fault = fault.map(|cover| QualityFault::Covered(cover.part));
                let quality = fault.map_or(quality, |fault| quality.with_fault(fault));
                let look = match &mut liveness {
                    Some(LivenessNetworks { around, closer }) if quality.fault.is_none() => {
                        let closer = closer.as_mut().map(|closer| closer.look(&frame, face));
                        Some((around.look(&frame, face)?, closer.transpose()?))
                    }
                    _ => None,
                };
                Ok(Listed { face: *face, quality: Some(quality), cover, look, hidden_by })
            })
            .collect::<Result<Vec<_>, DetectError>>()
            .map_err(|DetectError::Inference(error)| Failure::from(EquipError::Inference(error)))?;

        if let Some(out) = &self.out {
            draw(&picture, view, &faces, &zones, out)?;
        }
        let values: Vec<Json> = faces.iter().map(as_json).collect();
        context.tell(
            as_text(&self.image, (frame.width(), frame.height()), &faces),
            &json!({
                "picture": self.image,
                "width": frame.width(),
                "height": frame.height(),
                "faces": values,
                "out": self.out,
            }),
        )?;
        let seen = faces.iter().any(|listed| listed.hidden_by.is_none());
        Ok(if seen { Kind::Done } else { Kind::Negative })
    }
}

/// One face, and what is to be said of it.
struct Listed {
    face: Detection,
    /// `None` where it cannot be aligned.
    quality: Option<Quality>,
    /// What is covered of one that is good otherwise, and how probably.
    cover: Option<Cover>,
    /// What the networks that tell faces from pictures say of one that can be compared: of face and
    /// surroundings, and of a closer look.
    look: Option<(Look, Option<Look>)>,
    /// The key for which the daemon would not see it.
    hidden_by: Option<&'static str>,
}

fn as_json(Listed { face, quality, cover, look, hidden_by }: &Listed) -> Json {
    let bounds = face.bounds();
    let points: serde_json::Map<_, _> = KEYPOINT_NAMES
        .iter()
        .zip(face.keypoints())
        .map(|(name, point)| ((*name).to_owned(), json!([point.x, point.y])))
        .collect();
    json!({
        "score": face.score(),
        "box": { "x": bounds.x, "y": bounds.y, "width": bounds.width, "height": bounds.height },
        "keypoints": points,
        "quality": quality,
        "covered": cover.map(|cover| json!({ "part": cover.part, "probability": cover.probability })),
        "live": look.and_then(|(around, _)| around.probability()),
        "live_closer": look.and_then(|(_, closer)| closer?.probability()),
        "not_seen_for": hidden_by,
    })
}

fn as_text(path: &Path, (width, height): (u32, u32), faces: &[Listed]) -> String {
    let mut text = format!("{}: {width}×{height}, faces: {}", path.display(), faces.len());
    for (number, Listed { face, quality, look, hidden_by, .. }) in faces.iter().enumerate() {
        let b = face.bounds();
        let remark = match quality {
            _ if hidden_by.is_some() => {
                format!("not seen, for {}", hidden_by.unwrap_or_default())
            }
            None => "cannot be aligned".to_owned(),
            Some(Quality { fault: Some(fault), .. }) => {
                format!("{}: {}", fault.finding(), fault.remedy())
            }
            Some(_) => match look {
                None => "good enough to compare".to_owned(),
                Some((Look::Seen(live), closer)) => {
                    let closer = closer.and_then(Look::probability);
                    let closer =
                        closer.map_or_else(String::new, |live| format!(", closer {live:.2}"));
                    format!("good enough to compare, live {live:.2}{closer}")
                }
                Some((Look::TooClose, _)) => {
                    "good enough to compare, too close to tell whether it is live".to_owned()
                }
            },
        };
        let _infallible = write!(
            text,
            "\n{:>3}  score {:.3}  box {:.0}×{:.0} at ({:.0}, {:.0})  eyes {:.0} px apart  {remark}",
            number + 1,
            face.score(),
            b.width,
            b.height,
            b.x,
            b.y,
            face.eye_distance(),
        );
    }
    text
}

/// The picture as it is looked at: drawn on, its pixels have to move after all.
fn as_seen(picture: RgbImage, view: View) -> RgbImage {
    let turned = match view.turn {
        Turn::None => picture,
        Turn::Quarter => imageops::rotate90(&picture),
        Turn::Half => imageops::rotate180(&picture),
        Turn::ThreeQuarters => imageops::rotate270(&picture),
    };
    if view.mirrored { imageops::flip_horizontal(&turned) } else { turned }
}

fn draw(
    picture: &Picture,
    view: View,
    faces: &[Listed],
    zones: &Zones,
    out: &Path,
) -> Result<(), Failure> {
    let Some(ground) =
        RgbImage::from_raw(picture.width(), picture.height(), picture.rgb().to_vec())
    else {
        return Err(Failure::new(Kind::Fault, "a picture has too few bytes", "please report it"));
    };
    let mut canvas = Canvas::new(as_seen(ground, view));
    let longest = picture.width().max(picture.height());
    let (thick, zoom) = (longest.div_ceil(600), longest.div_ceil(LEGIBLE_PX));
    let (width, height) = canvas.picture().dimensions();
    let (width, height) = (width as f32, height as f32);
    for (rects, name, ink) in
        [(zones.only(), "only", Ink::White), (zones.ignore(), "ignore", Ink::Grey)]
    {
        for rect in rects {
            let (x, y) = (rect.x * width, rect.y * height);
            let place = Rect::new(x, y, rect.width * width, rect.height * height);
            canvas.outline(place, ink, 2 * thick);
            canvas.label(place, name, ink, Lettering::Large, zoom);
        }
    }
    for Listed { face, quality, hidden_by, .. } in faces {
        let usable = quality.is_some_and(|quality| quality.fault.is_none());
        let ink = match hidden_by {
            Some(_) => Ink::Grey,
            None if usable => Ink::Yellow,
            None => Ink::Orange,
        };
        canvas.outline(face.bounds(), ink, thick);
        for point in face.keypoints() {
            canvas.dot(*point, Ink::Blue, thick + 1);
        }
        canvas.label(face.bounds(), &format!("{:.2}", face.score()), ink, Lettering::Large, zoom);
    }
    canvas.save(out).map_err(|error| Failure::of(Kind::Input, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, PixelFormat};

    #[test]
    fn what_is_drawn_on_is_what_the_path_sees() {
        let ground = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 40, y as u8 * 60, 9]));
        let frame = |bytes: &[u8], size: (u32, u32), view: View| {
            let stride = size.0 as usize * 3;
            let frame =
                Frame::new(bytes, PixelFormat::Rgb, size, stride, 0, Monotonic::default()).unwrap();
            let frame = frame.seen_by(view);
            let (width, height) = (frame.width(), frame.height());
            let mut pixels = vec![[0; 3]; (width * height) as usize];
            let pose = crate::geometry::Similarity { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };
            crate::frame::Sampler::new(frame).fill(&mut pixels, width as usize, pose, 1);
            (width, height, pixels)
        };
        for (turn, mirrored) in
            Turn::ALL.map(|turn| [(turn, false), (turn, true)]).as_flattened().iter().copied()
        {
            let view = View { turn, mirrored };
            let drawn = as_seen(ground.clone(), view);
            let (size, plain) = (drawn.dimensions(), View::default());
            assert_eq!(frame(&ground, (5, 3), view), frame(&drawn, size, plain), "{view:?}");
        }
    }
}
