//! What a file is, by its first bytes.
//!
//! In: the first bytes of a file, never its name. Out: a format that is read here, or another one
//! with its name and the command that makes a readable picture of it.
//! Sources: the formats' own specifications; ISO/IEC 14496-12 for the brands of HEIC and AVIF.

/// How many bytes tell a format.
pub(super) const HEAD_BYTES: usize = 32;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    /// A picture that is not read here.
    Other(OtherFormat),
}

/// A picture's format that is not read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherFormat {
    /// Its name.
    pub name: &'static str,
    /// What makes a readable picture of it.
    pub remedy: &'static str,
}

impl std::fmt::Display for OtherFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, remedy } = self;
        write!(f, "a picture in the format {name}, where JPEG, PNG and WebP are read: {remedy}")
    }
}

const fn other(name: &'static str, remedy: &'static str) -> Format {
    Format::Other(OtherFormat { name, remedy })
}

const HEIC: Format = other(
    "HEIC",
    "convert it with 'heif-convert FILE OUT.jpg' (Debian package libheif-examples), or let the telephone save JPEG ('Most Compatible')",
);
const AVIF: Format =
    other("AVIF", "convert it with 'avifdec FILE OUT.png' (Debian package libavif-bin)");
const TIFF: Format = other(
    "TIFF (or a camera's raw format)",
    "convert it with 'ffmpeg -i FILE OUT.png', or save a raw picture as JPEG with the camera or its program",
);
const GIF: Format = other("GIF", "convert it with 'ffmpeg -i FILE -frames:v 1 OUT.png'");
const BMP: Format = other("BMP", "convert it with 'ffmpeg -i FILE OUT.png'");
const RAW: Format =
    other("of a camera's raw pictures", "save it as JPEG with the camera or its program");
const JPEG_XL: Format =
    other("JPEG XL", "convert it with 'djxl FILE OUT.png' (Debian package libjxl-tools)");
const JPEG_2000: Format = other("JPEG 2000", "convert it with 'ffmpeg -i FILE OUT.png'");

/// What begins with `head`, as far as it is a picture.
pub(super) fn of(head: &[u8]) -> Option<Format> {
    Some(match head {
        [0xFF, 0xD8, ..] => Format::Jpeg,
        [0x89, b'P', b'N', b'G', ..] => Format::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Format::WebP,
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => return of_brand(brand),
        [b'G', b'I', b'F', b'8', ..] => GIF,
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => BMP,
        [b'I', b'I', b'U', 0, ..]
        | [b'I', b'I' | b'M', b'R', b'O' | b'S', ..]
        | [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', ..] => RAW,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => TIFF,
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => JPEG_XL,
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => JPEG_2000,
        _ => return None,
    })
}

/// HEIC, AVIF and one kind of raw picture share a container with films.
fn of_brand(brands: &[u8]) -> Option<Format> {
    // The major brand, a version, and those it can be read as.
    let (brands, _) = brands.as_chunks::<4>();
    let any = |known: &[&[u8; 4]]| brands.iter().any(|brand| known.contains(&brand));
    if any(&[b"avif", b"avis"]) {
        Some(AVIF)
    } else if any(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) {
        Some(HEIC)
    } else if any(&[b"crx "]) {
        Some(RAW)
    } else {
        None
    }
}

/// Whether a file of this name is meant to be a picture, whatever it holds.
pub(super) fn is_picture_name(path: &std::path::Path) -> bool {
    const KNOWN: [&str; 14] = [
        "png", "jpg", "jpeg", "jpe", "jfif", "webp", "heic", "heif", "avif", "tif", "tiff", "gif",
        "bmp", "dng",
    ];
    path.extension()
        .is_some_and(|extension| KNOWN.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_first_bytes() {
        let table: [(&[u8], Option<&str>); 16] = [
            (b"\xFF\xD8\xFF\xE0", Some("Jpeg")),
            (b"\x89PNG\r\n\x1A\n", Some("Png")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("WebP")),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Some("HEIC")),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Some("HEIC")),
            (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", Some("AVIF")),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", Some("AVIF")),
            (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", None),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", Some("raw")),
            (b"GIF89a", Some("GIF")),
            (b"BM\x36\0\x0C\0\0\0\0\0", Some("BMP")),
            (b"II*\0\x10\0\0\0CR", Some("TIFF")),
            (b"MM\0*\0\0\0\x08", Some("TIFF")),
            (b"\xFF\x0A\xFA\x7F", Some("JPEG XL")),
            (b"RIFF\0\0\0\0AVI LIST", None),
            (b"", None),
        ];
        for (head, expected) in table {
            let found = of(head).map(|format| format!("{format:?}"));
            match (found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{head:02x?}: {found:?}, not {expected:?}"),
            }
        }
    }
}
