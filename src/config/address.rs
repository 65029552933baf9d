//! Addresses of network cameras: which are read, and what to write in place of one with a secret.
//!
//! In: the text of `camera.device`. Out: whether it is an address that ffmpeg is given; else what to
//! write into which key. Invariants: an address that is accepted holds no secret of a shape that is
//! known ([`crate::mask`]), so that it may be shown and stand in a file that gets copied about; what
//! may be a secret is not repeated in advice.
//! Deliberately absent: whether a camera is there. Source: RFC 3986.

use crate::capture::program::preset::PASSWORD;
use crate::mask;

/// The schemes that are read.
const SCHEMES: [&str; 4] = ["rtsp", "rtsps", "http", "https"];

/// Whether `text` is the address of a network camera, without any secret in it.
pub(super) fn is_camera(text: &str) -> bool {
    let Some((_, rest)) = split(text) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty() && !text.contains([' ', '\\']) && !holds_a_secret(text)
}

/// Whether `text`, of whatever kind, is an address that a program would read.
#[must_use]
pub fn is_address(text: &str) -> bool {
    split(text).is_some()
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme))
}

/// Whether something would be masked that is not a sign for the password.
fn holds_a_secret(text: &str) -> bool {
    let signs_masked = text.replace(PASSWORD, mask::MASK);
    // What is masked ends where the parameter does; a sign that is a part of it would hide the rest.
    let ends = |behind: &str| behind.is_empty() || behind.starts_with(['&', ';', '/', '?', '#']);
    text.contains('@')
        || mask::value(&signs_masked) != signs_masked
        || !text.split(PASSWORD).skip(1).all(ends)
}

/// What to write in place of an address that is refused; a sentence to stand after "must be …; ".
pub(super) fn meant(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let scheme = lower.split_once("://").map(|(scheme, _)| scheme)?;
    if !SCHEMES.contains(&scheme) {
        return None;
    }
    let bare = mask::value(text.trim());
    let bare = bare.replace(&format!("{}@", mask::MASK), "").replace(mask::MASK, PASSWORD);
    // A password may hold anything: in doubt the address is not repeated.
    let example = if bare.contains(['@', ' ']) { "rtsp://camera.lan/stream" } else { &bare };
    Some(format!(
        "write camera.device = \"{example}\", the user into camera.username, and the password, as one line, into the file that camera.password_file names"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_address_and_is_no_secret_is_let_through() {
        for right in [
            "rtsp://cam.lan/stream",
            "rtsps://192.168.1.5:322/h264Preview_01_main",
            "http://cam/cgi?channel=1&subtype=0",
            "http://cam/x?user={username}&pwd={password}",
            "rtsp://[fe80::1]:554/1",
        ] {
            assert!(is_camera(right), "{right}");
        }
        for wrong in [
            "rtsp://u:p@cam/1",
            "rtsp://u@cam/1",
            "rtsp://cam:secret",
            "http://cam/x?pwd=secret",
            "http://cam/x?pwd={password}secret",
            "rtsp:///1",
            "rtsp://",
            "RTSP://cam/1",
            "file:///etc/passwd",
            "udp://cam",
            "concat:rtsp://cam",
            "rtsp://cam/a b",
        ] {
            assert!(!is_camera(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_to_write_is_told_without_the_secret() {
        for (text, wanted) in [
            ("rtsp://ada:Zq7@cam.lan/1", "camera.device = \"rtsp://cam.lan/1\""),
            ("http://cam/x?u=a&pwd=Zq7", "camera.device = \"http://cam/x?u=a&pwd={password}\""),
            ("rtsp://ada:Zq7 x@cam.lan/1", "camera.device = \"rtsp://cam.lan/1\""),
        ] {
            let said = meant(text).unwrap();
            assert!(said.contains(wanted) && !said.contains("Zq7"), "{said}");
            assert!(said.contains("camera.username") && said.contains("camera.password_file"));
        }
        assert_eq!(meant("/dev/video0\n"), None);
        assert_eq!(meant("ftp://cam"), None);
    }
}
