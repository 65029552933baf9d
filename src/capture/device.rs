//! Which device node a name means.
//!
//! In: what the configuration says, and the folder that holds device nodes (`/dev`; another one in
//! tests). Out: a path to open. A camera may be named by its node (`/dev/video0`, or `video0`), by a
//! stable name (`/dev/v4l/by-id/…`, `/dev/v4l/by-path/…`, or the last part alone), or left to be
//! found (`auto`).
//!
//! Invariant: a stable name stays a stable name, so that a camera that was replugged and got
//! another number is found again. Deliberately absent: opening anything.
//! Source: systemd's `60-persistent-v4l.rules`, which makes the stable names.

use std::path::{Path, PathBuf};

/// The folders of stable names, the better first: a serial number beats a socket.
const STABLE_FOLDERS: [&str; 2] = ["v4l/by-id", "v4l/by-path"];

/// The most nodes that are looked at.
const MAX_NODES: usize = 64;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The first camera that can be used.
    Any,
    /// This path, which exists.
    Path(PathBuf),
    /// Nothing: there is no such node now.
    Missing,
}

/// What `name` means among the device nodes under `dev`.
#[must_use]
pub fn resolve(dev: &Path, name: &str) -> Wanted {
    if name == "auto" {
        return Wanted::Any;
    }
    if name.is_empty() || name.contains('\0') {
        return Wanted::Missing;
    }
    let given = Path::new(name);
    let places = if given.is_absolute() {
        vec![given.to_owned()]
    } else {
        std::iter::once(dev.join(given))
            .chain(STABLE_FOLDERS.iter().map(|folder| dev.join(folder).join(given)))
            .collect()
    };
    let found = places.into_iter().find(|path| path.exists());
    found.map_or(Wanted::Missing, Wanted::Path)
}

/// The video nodes under `dev`, by number.
#[must_use]
pub fn nodes(dev: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dev) else { return Vec::new() };
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    numbered.sort();
    numbered.into_iter().map(|(_, path)| path).take(MAX_NODES).collect()
}

/// The stable name of `node`, where there is one.
#[must_use]
pub fn stable_name(dev: &Path, node: &Path) -> Option<PathBuf> {
    let node = node.canonicalize().ok()?;
    STABLE_FOLDERS.iter().find_map(|folder| {
        let mut links: Vec<PathBuf> =
            std::fs::read_dir(dev.join(folder)).ok()?.flatten().map(|entry| entry.path()).collect();
        links.sort();
        links.into_iter().find(|link| link.canonicalize().is_ok_and(|target| target == node))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    /// A folder like `/dev` with two cameras, of which the second has a serial number.
    fn dev() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let dev = folder.path();
        for node in ["video0", "video2", "video10", "video", "videodev", "vcs1"] {
            write(dev.join(node), b"").unwrap();
        }
        for stable in STABLE_FOLDERS {
            create_dir_all(dev.join(stable)).unwrap();
        }
        symlink("../../video2", dev.join("v4l/by-id/usb-Maker_Cam_1234-video-index0")).unwrap();
        symlink("../../video2", dev.join("v4l/by-path/pci-0-usb-0:1-video-index0")).unwrap();
        symlink("../../video0", dev.join("v4l/by-path/pci-0-usb-0:2-video-index0")).unwrap();
        symlink("../../video9", dev.join("v4l/by-id/usb-Gone-video-index0")).unwrap();
        folder
    }

    #[test]
    fn nodes_are_those_with_a_number_in_its_order() {
        let dev = dev();
        let names: Vec<_> =
            nodes(dev.path()).iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["video0", "video2", "video10"]);
        assert!(nodes(&dev.path().join("absent")).is_empty());
    }

    #[test]
    fn names_of_all_kinds_are_understood() {
        let dev = dev();
        let stable = dev.path().join("v4l/by-id/usb-Maker_Cam_1234-video-index0");
        let node = dev.path().join("video2");
        let cases = [
            ("auto", Wanted::Any),
            ("video2", Wanted::Path(node.clone())),
            (node.to_str().unwrap(), Wanted::Path(node.clone())),
            ("usb-Maker_Cam_1234-video-index0", Wanted::Path(stable.clone())),
            (stable.to_str().unwrap(), Wanted::Path(stable.clone())),
            ("usb-Gone-video-index0", Wanted::Missing),
            ("/dev/video-absent", Wanted::Missing),
            ("", Wanted::Missing),
            ("video\0", Wanted::Missing),
        ];
        for (name, expected) in cases {
            assert_eq!(resolve(dev.path(), name), expected, "{name}");
        }
    }

    #[test]
    fn a_serial_number_is_a_better_name_than_a_socket() {
        let dev = dev();
        let name = |node: &str| {
            let link = stable_name(dev.path(), &dev.path().join(node))?;
            Some(link.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(name("video2").unwrap(), "usb-Maker_Cam_1234-video-index0");
        assert_eq!(name("video0").unwrap(), "pci-0-usb-0:2-video-index0");
        assert_eq!(name("video10"), None);
    }
}
