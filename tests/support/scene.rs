//! Frames as a door's camera would give them: a photograph's face, about 70 pixels wide, before a
//! plain wall, 640×480.
//!
//! Single frames for the path's tests and benchmarks, in RGB and YUYV; [`Recording`]s of people who
//! come and go for the daemon's. No two frames of a recording are equal, as from a real sensor.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

use deepid_edge::geometry::Turn;
use image::imageops::{FilterType, overlay, resize, rotate90, rotate180, rotate270};
use image::{Rgb, RgbImage};

use super::models::root;

pub const WIDTH: u32 = 640;
pub const HEIGHT: u32 = 480;

/// The scene in RGB: the photograph is scaled by `scale` and put at `(x, y)`.
pub fn rgb(photograph: &str, scale: f32, (x, y): (i64, i64)) -> RgbImage {
    let mut scene = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgb([150 + (x / 40) as u8, 145 + (y / 60) as u8, 140])
    });
    let picture =
        image::open(root().join("assets/photographs").join(photograph)).unwrap().to_rgb8();
    let size = |side: u32| (side as f32 * scale) as u32;
    let small =
        resize(&picture, size(picture.width()), size(picture.height()), FilterType::Triangle);
    overlay(&mut scene, &small, x, y);
    scene
}

/// The usual scene: one face.
pub fn one_face() -> RgbImage {
    rgb("obama.jpg", 0.26, (200, 60))
}

/// Nobody.
pub fn nobody() -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| Rgb([150 + (x / 40) as u8, 145 + (y / 60) as u8, 140]))
}

/// The same picture in YUYV, BT.601 limited range.
pub fn yuyv(picture: &RgbImage) -> Vec<u8> {
    let convert = |p: &Rgb<u8>| {
        let [r, g, b] = p.0.map(f32::from);
        [
            16.0 + 0.256_8 * r + 0.504_1 * g + 0.097_9 * b,
            128.0 - 0.148_2 * r - 0.291 * g + 0.439_2 * b,
            128.0 + 0.439_2 * r - 0.367_8 * g - 0.071_4 * b,
        ]
    };
    let pixels: Vec<[f32; 3]> = picture.pixels().map(convert).collect();
    pixels
        .chunks_exact(2)
        .flat_map(|pair| {
            let mean = |channel: usize| pair[0][channel].midpoint(pair[1][channel]).round() as u8;
            [pair[0][0].round() as u8, mean(1), pair[1][0].round() as u8, mean(2)]
        })
        .collect()
}

/// A visit before the camera, frame after frame: who, for how many frames.
pub struct Recording {
    frames: Vec<RgbImage>,
}

impl Recording {
    pub fn new() -> Self {
        Self { frames: Vec::new() }
    }

    /// Nobody; the person of the other photographs in `obama3.jpg`; nobody; a stranger; nobody.
    pub fn visits() -> Self {
        Self::new()
            .nobody(5)
            .person("obama3.jpg", 0.16, 30)
            .nobody(40)
            .person("biden.jpg", 0.19, 45)
            .nobody(30)
    }

    /// Nobody, for `frames` frames.
    pub fn nobody(mut self, frames: usize) -> Self {
        for _ in 0..frames {
            let number = self.frames.len();
            self.frames.push(grained(nobody(), number));
        }
        self
    }

    /// The person of `photograph`, scaled by `scale`, walking to the right for `frames` frames.
    pub fn person(mut self, photograph: &str, scale: f32, frames: usize) -> Self {
        let small = scaled(photograph, scale);
        for step in 0..frames {
            let mut scene = nobody();
            overlay(&mut scene, &small, 150 + step as i64, 40 + (step % 7) as i64);
            let number = self.frames.len();
            self.frames.push(grained(scene, number));
        }
        self
    }

    /// A photograph that is held so near that it fills the view, swayed by a hand for `frames` frames: it
    /// is scaled by `scale` and must be 20 pixels wider and 16 higher than the frame.
    pub fn held_close(mut self, photograph: &str, scale: f32, frames: usize) -> Self {
        let picture = scaled(photograph, scale);
        for step in 0..frames {
            let (x, y) = sway(step);
            let mut scene = RgbImage::new(WIDTH, HEIGHT);
            overlay(&mut scene, &picture, x - 10, y - 8);
            let number = self.frames.len();
            self.frames.push(grained(scene, number));
        }
        self
    }

    /// The head and the shoulders of a photograph, that move as [`Self::held_close`] does, before what
    /// that shows when it is held still: as somebody who stands before a room.
    ///
    /// `head` is the middle of the head with its hair and half of its width and height, `shoulders` half
    /// of their width and where they begin, all in pixels of the photograph.
    pub fn standing(
        mut self,
        photograph: &str,
        scale: f32,
        (head, shoulders): ([f32; 4], [f32; 2]),
        frames: usize,
    ) -> Self {
        let picture = scaled(photograph, scale);
        let ([x, y, across, down], [half, top]) = (head, shoulders);
        let person = |column: u32, row: u32| {
            let (u, v) = ((column as f32 + 0.5) / scale, (row as f32 + 0.5) / scale);
            ((u - x) / across).hypot((v - y) / down) < 1.0
                || (v > y && (u - x).abs() < 0.5 * across)
                || (v > top && (u - x).abs() < half)
        };
        for step in 0..frames {
            let (by_x, by_y) = sway(step);
            // The room goes on behind the person: upside down, so that it shows nobody.
            let room = image::imageops::flip_vertical(&picture);
            let mut scene = RgbImage::new(WIDTH, HEIGHT);
            overlay(&mut scene, &room, -10, -8);
            for (column, row, pixel) in picture.enumerate_pixels() {
                let (x, y) = (i64::from(column) + by_x - 10, i64::from(row) + by_y - 8);
                let inside =
                    (0..i64::from(WIDTH)).contains(&x) && (0..i64::from(HEIGHT)).contains(&y);
                if inside && person(column, row) {
                    scene.put_pixel(x as u32, y as u32, *pixel);
                }
            }
            let number = self.frames.len();
            self.frames.push(grained(scene, number));
        }
        self
    }

    /// As a camera gives it that needs its pictures turned by `turn`.
    pub fn by_a_camera_to_turn(mut self, turn: Turn) -> Self {
        for frame in &mut self.frames {
            match turn {
                Turn::None => {}
                Turn::Quarter => *frame = rotate270(frame),
                Turn::Half => *frame = rotate180(frame),
                Turn::ThreeQuarters => *frame = rotate90(frame),
            }
        }
        self
    }

    /// The same before a lamp that strobes: of three frames two are dark.
    pub fn strobing(mut self) -> Self {
        for (number, frame) in self.frames.iter_mut().enumerate() {
            if number % 3 > 0 {
                for pixel in frame.pixels_mut() {
                    pixel.0 = pixel.0.map(|channel| channel / 40);
                }
            }
        }
        self
    }

    /// A portrait on the wall of every frame so far: `photograph`, scaled by `scale`, its upper left
    /// corner at `(x, y)`.
    pub fn before_portrait(mut self, photograph: &str, scale: f32, (x, y): (i64, i64)) -> Self {
        let picture =
            image::open(root().join("assets/photographs").join(photograph)).unwrap().to_rgb8();
        let size = |side: u32| (side as f32 * scale) as u32;
        let small =
            resize(&picture, size(picture.width()), size(picture.height()), FilterType::Triangle);
        for (number, frame) in self.frames.iter_mut().enumerate() {
            overlay(frame, &small, x, y);
            *frame = grained(std::mem::take(frame), number);
        }
        self
    }

    /// The frames.
    pub fn frames(&self) -> &[RgbImage] {
        &self.frames
    }

    /// Writes it as an MJPEG file, every side divided by `shrink`.
    pub fn write(self, path: &std::path::Path, shrink: u32) {
        let file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        let mut writer = deepid_edge::capture::replay::mjpeg::MjpegWriter::new(file, 85);
        for frame in self.frames {
            let (width, height) = (frame.width() / shrink, frame.height() / shrink);
            let frame = if shrink == 1 {
                frame
            } else {
                resize(&frame, width, height, FilterType::Triangle)
            };
            writer.write_rgb(frame.as_raw(), width, height).unwrap();
        }
        writer.finish().unwrap();
    }

    /// Writes it as a folder of pictures, whose names are in order.
    pub fn write_folder(self, path: &std::path::Path) {
        std::fs::create_dir(path).unwrap();
        for (number, frame) in self.frames.into_iter().enumerate() {
            frame.save(path.join(format!("{number:05}.png"))).unwrap();
        }
    }

    /// Writes it as uncompressed video, 15 frames/s, 4:2:2.
    pub fn write_y4m(self, path: &std::path::Path) {
        self.write_y4m_of(path, 15);
    }

    /// Writes it as uncompressed video of `rate` frames/s, 4:2:2.
    pub fn write_y4m_of(self, path: &std::path::Path, rate: u32) {
        use std::io::Write as _;
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        writeln!(file, "YUV4MPEG2 W{WIDTH} H{HEIGHT} F{rate}:1 Ip C422").unwrap();
        for frame in self.frames {
            let packed = yuyv(&frame);
            file.write_all(b"FRAME\n").unwrap();
            for (first, step) in [(0, 2), (1, 4), (3, 4)] {
                let plane: Vec<u8> = packed.iter().skip(first).step_by(step).copied().collect();
                file.write_all(&plane).unwrap();
            }
        }
        file.flush().unwrap();
    }
}

/// A photograph in its size.
fn scaled(photograph: &str, scale: f32) -> RgbImage {
    let picture =
        image::open(root().join("assets/photographs").join(photograph)).unwrap().to_rgb8();
    let size = |side: u32| (side as f32 * scale) as u32;
    resize(&picture, size(picture.width()), size(picture.height()), FilterType::Triangle)
}

/// How far a hand has swayed at frame `step` of fifteen a second, within 10 pixels across and 8 down.
fn sway(step: usize) -> (i64, i64) {
    let seconds = step as f32 / 15.0;
    let (x, y) = (10.0 * (2.0 * seconds).sin(), 8.0 * (3.0 * seconds).cos());
    (x.round() as i64, y.round() as i64)
}

/// A little brightness that differs from frame to frame, as no two frames of a camera are equal.
fn grained(mut picture: RgbImage, number: usize) -> RgbImage {
    for (index, pixel) in picture.pixels_mut().enumerate() {
        let grain = ((index * 7919 + number * 104_729) % 5) as u8;
        for channel in &mut pixel.0 {
            *channel = channel.saturating_add(grain);
        }
    }
    picture
}
