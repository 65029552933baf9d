//! Addresses of network cameras: which are read, and what to write in place of one with a secret.
//!
//! In: the text of `camera.device`. Out: which kind of camera it means; whether it is an address that
//! ffmpeg is given; else what to write into which key. Invariants: an address that is accepted holds
//! no secret of a shape that is known ([`crate::mask`]), so that it may be shown and stand in a file
//! that gets copied about; advice repeats nothing that may be a secret, and would be accepted.
//! Deliberately absent: whether a camera is there. Source: RFC 3986.

use crate::capture::program::preset::PASSWORD;
use crate::mask;

/// Which kind of camera the text of `camera.device` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A device of V4L2, or whichever of them is there.
    Node,
    /// A camera of libcamera.
    Libcamera,
    /// What `camera.command` gives.
    Command,
    /// A camera on the network.
    Address,
}

impl DeviceKind {
    /// The one that `device` means.
    #[must_use]
    pub fn of(device: &str) -> Self {
        match device {
            "libcamera" => Self::Libcamera,
            "command" => Self::Command,
            address if split(address).is_some() => Self::Address,
            _ => Self::Node,
        }
    }
}

/// Stands in advice where an address cannot be repeated.
const EXAMPLE: &str = "rtsp://camera.lan/stream";

/// The schemes that are read.
const SCHEMES: [&str; 4] = ["rtsp", "rtsps", "http", "https"];

/// Whether `text` is the address of a network camera, without any secret in it.
pub(super) fn is_camera(text: &str) -> bool {
    let Some((_, rest)) = split(text) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_strange = |c: char| matches!(c, ' ' | '\\') || c.is_control();
    // No sign stands for a host.
    !host.is_empty() && !host.contains('{') && !text.contains(is_strange) && !holds_a_secret(text)
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme))
}

/// Whether `text` begins as an address whose signs are not all there: `rtsp:/cam`, `http//cam`.
pub(super) fn begins_like_one(text: &str) -> bool {
    let begin = text.split_once('/').map(|(begin, _)| begin.trim_end_matches(':'));
    begin.is_some_and(|begin| SCHEMES.iter().any(|scheme| begin.eq_ignore_ascii_case(scheme)))
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
    let rest = bare.split_once("://").map_or("", |(_, rest)| rest);
    let bare = format!("{scheme}://{rest}");
    // A password may hold anything: what is not accepted is not repeated.
    let example = if is_camera(&bare) { bare.as_str() } else { EXAMPLE };
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
            "rtsp://cam\\b",
            "rtsp://cam/\u{7}",
            "rtsp://{password}",
            "rtsp://{username}/1",
        ] {
            assert!(!is_camera(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_device_means_one_kind_of_camera() {
        for (device, kind) in [
            ("auto", DeviceKind::Node),
            ("/dev/video0", DeviceKind::Node),
            ("libcamera", DeviceKind::Libcamera),
            ("command", DeviceKind::Command),
            ("commands", DeviceKind::Node),
            ("rtsp://cam/1", DeviceKind::Address),
            ("ftp://cam/1", DeviceKind::Node),
        ] {
            assert_eq!(DeviceKind::of(device), kind, "{device}");
        }
    }

    #[test]
    fn what_to_write_is_told_without_the_secret() {
        for (text, wanted) in [
            ("rtsp://ada:Zq7@cam.lan/1", "camera.device = \"rtsp://cam.lan/1\""),
            ("http://cam/x?u=a&pwd=Zq7", "camera.device = \"http://cam/x?u=a&pwd={password}\""),
            ("rtsp://ada:Zq7 x@cam.lan/1", "camera.device = \"rtsp://cam.lan/1\""),
            ("RTSP://cam.lan/1", "camera.device = \"rtsp://cam.lan/1\""),
            (" Http://ada:Zq7@cam.lan/1\n", "camera.device = \"http://cam.lan/1\""),
            ("rtsp:///1", EXAMPLE),
            ("rtsp://", EXAMPLE),
            ("rtsp://cam\\b", EXAMPLE),
            ("rtsp://cam/\u{7}", EXAMPLE),
            ("rtsp://cam:Zq7", EXAMPLE),
            ("rtsp://{password}", EXAMPLE),
        ] {
            let said = meant(text).unwrap();
            assert!(said.contains(wanted) && !said.contains("Zq7"), "{said}");
            let advised = said.split('"').nth(1).unwrap();
            assert!(is_camera(advised) && advised != text, "{said}");
            assert!(said.contains("camera.username") && said.contains("camera.password_file"));
        }
        assert_eq!(meant("/dev/video0\n"), None);
        assert_eq!(meant("ftp://cam"), None);
    }
}
