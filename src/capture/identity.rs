//! Which camera it is, and whether it is the one that was meant.
//!
//! In: what a driver says of itself, what sysfs says of the device behind it. Out: a
//! [`CameraIdentity`], a text for it (`usb:046d:0825:1A2B3C4D`), and a refusal
//! where it is not the camera that is wanted.
//!
//! Invariants: of USB cameras with a serial number the number tells, whatever the port; of those
//! without, the port belongs to it. What a device says of itself is cleaned before it is shown or
//! compared: a serial number may hold anything. Comparing is pure; [`Hardware::of`] alone reads.
//! Deliberately absent: proof. A device states its own vendor, product and serial number, and one
//! that is built to deceive states others.
//! Source: the V4L2 documentation of `VIDIOC_QUERYCAP`; the kernel's `sysfs-bus-usb`.

use std::path::Path;

use super::CaptureError;

/// Drivers of cameras without a lens: another program gives them their pictures, or nobody does.
const VIRTUAL_DRIVERS: [&str; 5] = ["v4l2 loopback", "v4l2loopback", "vivid", "vimc", "akvcam"];
/// Beginnings of bus names that mean the same. The last two are USB without a plug: over the
/// network, and made by a program on this machine.
const VIRTUAL_BUSES: [&str; 5] =
    ["platform:v4l2loopback", "platform:vivid", "platform:vimc", "usb-vhci_hcd", "usb-dummy_hcd"];

/// Where the kernel keeps devices that stand for no hardware, below sysfs.
const WITHOUT_HARDWARE: &str = "devices/virtual";

/// The most characters of a name or a number that are kept.
const PART_MAX: usize = 64;

/// What a device on USB says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbIdentity {
    vendor: u16,
    product: u16,
    serial: Option<String>,
}

impl UsbIdentity {
    /// A device of `vendor` and `product`; a serial number without anything in it is none.
    #[must_use]
    pub fn new(vendor: u16, product: u16, serial: Option<&str>) -> Self {
        let serial = serial.map(cleaned).filter(|serial| !serial.is_empty());
        Self { vendor, product, serial }
    }

    fn model(&self) -> String {
        format!("usb:{:04x}:{:04x}", self.vendor, self.product)
    }
}

/// What the kernel knows of the hardware behind a video node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardware {
    /// The device on USB that it is, if it is one.
    pub usb: Option<UsbIdentity>,
    /// There is none: a program made the node.
    pub absent: bool,
}

impl Hardware {
    /// What sysfs, mounted at `sys`, says of the character device with these numbers; nothing where it
    /// says nothing.
    #[must_use]
    pub fn of(sys: &Path, (major, minor): (u32, u32)) -> Self {
        let node = sys.join(format!("dev/char/{major}:{minor}"));
        let (Ok(node), Ok(sys)) = (node.canonicalize(), sys.canonicalize()) else {
            return Self::default();
        };
        let absent = node.starts_with(sys.join(WITHOUT_HARDWARE));
        // The node's device is an interface of the device on USB, and lies in its folder.
        let device = node.join("device").canonicalize().ok();
        let usb = device.as_deref().and_then(|device| {
            [Some(device), device.parent()].into_iter().flatten().find_map(usb_device)
        });
        Self { usb, absent }
    }
}

fn usb_device(folder: &Path) -> Option<UsbIdentity> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| u16::from_str_radix(read(name)?.trim(), 16).ok();
    let (vendor, product) = (number("idVendor")?, number("idProduct")?);
    Some(UsbIdentity::new(vendor, product, read("serial").as_deref()))
}

/// Which camera it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraIdentity {
    driver: String,
    card: String,
    bus: String,
    hardware: Hardware,
}

impl CameraIdentity {
    /// The camera that `driver` calls `card`, at `bus`, as `VIDIOC_QUERYCAP` tells.
    #[must_use]
    pub fn new(driver: &str, card: &str, bus: &str, hardware: Hardware) -> Self {
        let shown = |text: &str| -> String {
            let visible = |c: char| if c.is_control() { '_' } else { c };
            text.trim().chars().take(PART_MAX).map(visible).collect()
        };
        Self { driver: shown(driver), card: shown(card), bus: cleaned(bus), hardware }
    }

    /// What the camera calls itself.
    #[must_use]
    pub fn card(&self) -> &str {
        &self.card
    }

    /// The text that means this camera and, as far as can be told, no other: for `camera.identity`.
    #[must_use]
    pub fn text(&self) -> String {
        match self.usb() {
            Some(usb) => match &usb.serial {
                Some(serial) => format!("{}:{serial}", usb.model()),
                None => format!("{}/{}", usb.model(), self.bus),
            },
            None if self.bus.is_empty() => format!("driver:{}", cleaned(&self.driver)),
            None => self.bus.clone(),
        }
    }

    /// Whether `text` means this camera: as [`Self::text`], or less exactly by its model or its bus.
    #[must_use]
    pub fn is_meant_by(&self, text: &str) -> bool {
        text == self.text()
            || (!self.bus.is_empty() && text == self.bus)
            || self.usb().is_some_and(|usb| text == usb.model())
    }

    /// The device on USB, where it has a plug: what a program makes of one is only where it is.
    fn usb(&self) -> Option<&UsbIdentity> {
        self.hardware.usb.as_ref().filter(|_| !self.is_virtual())
    }

    /// Whether another program, and no lens, makes its pictures, as far as can be told.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.hardware.absent
            || VIRTUAL_DRIVERS.contains(&self.driver.as_str())
            || VIRTUAL_BUSES.iter().any(|bus| self.bus.starts_with(bus))
    }

    /// Whether both are the same camera, as far as can be told.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let numbered = |one: &Self| one.hardware.usb.as_ref().is_some_and(|u| u.serial.is_some());
        let place = |one: &Self| (!numbered(one)).then(|| one.bus.clone());
        self.driver == other.driver
            && self.card == other.card
            && self.hardware == other.hardware
            && place(self) == place(other)
    }

    /// Refuses every camera that `wanted` does not mean; `device` names the node in the error.
    ///
    /// # Errors
    /// [`CaptureError::Foreign`].
    pub fn check(&self, wanted: Option<&str>, device: &str) -> Result<(), CaptureError> {
        match wanted {
            Some(wanted) if !self.is_meant_by(wanted) => Err(CaptureError::Foreign {
                device: device.to_owned(),
                wanted: wanted.to_owned(),
                found: self.to_string(),
                line: self.line(),
            }),
            _ => Ok(()),
        }
    }

    /// The line of the configuration that wants this camera and no other.
    #[must_use]
    pub fn line(&self) -> String {
        format!("camera.identity = \"{}\"", self.text())
    }
}

impl std::fmt::Display for CameraIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { driver, card, bus, .. } = self;
        write!(f, "{} ({card}, {driver}, {bus})", self.text())
    }
}

/// Without what could be taken for anything else in a line of a log or of a configuration.
fn cleaned(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '_' };
    text.trim().chars().take(PART_MAX).map(kept).collect()
}

/// What delivers the frames: whose word they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing yet.
    Unopened,
    /// A recording in place of a camera.
    Recording,
    /// A camera.
    Camera(CameraIdentity),
    /// A program that reads one, as the administrator has configured it.
    Program(ProgramKind),
}

/// What a program stands for that reads a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProgramKind {
    /// A camera of libcamera.
    Libcamera,
    /// A camera on the network.
    Network,
    /// Whatever a command gives.
    Command,
}

impl Origin {
    /// The camera, where it is one.
    #[must_use]
    pub const fn camera(&self) -> Option<&CameraIdentity> {
        match self {
            Self::Camera(identity) => Some(identity),
            Self::Unopened | Self::Recording | Self::Program(_) => None,
        }
    }

    /// In one word what it is, for `info`; nothing before it is known.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unopened => return None,
            Self::Recording => "recording",
            Self::Camera(_) => "device",
            Self::Program(ProgramKind::Libcamera) => "libcamera",
            Self::Program(ProgramKind::Network) => "network",
            Self::Program(ProgramKind::Command) => "command",
        })
    }
}

/// Cameras that nobody owns, for tests.
#[cfg(test)]
pub(super) mod made_up {
    use super::{CameraIdentity, Hardware, UsbIdentity};

    /// A USB camera at the port `port`.
    pub fn usb(product: u16, serial: Option<&str>, port: &str) -> CameraIdentity {
        let usb = Some(UsbIdentity::new(0x046d, product, serial));
        let bus = format!("usb-0000:01:00.0-{port}");
        CameraIdentity::new("uvcvideo", "HD Webcam", &bus, Hardware { usb, absent: false })
    }

    /// A camera without a device on USB.
    pub fn other(driver: &str, card: &str, bus: &str) -> CameraIdentity {
        CameraIdentity::new(driver, card, bus, Hardware::default())
    }
}

#[cfg(test)]
mod tests {
    use super::made_up::{other, usb};
    use super::*;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_camera_is_called_by_its_serial_number_else_by_model_and_port() {
        let table = [
            (usb(0x0825, Some("1A2B3C4D"), "1.2"), "usb:046d:0825:1A2B3C4D"),
            (usb(0x0825, None, "1.2"), "usb:046d:0825/usb-0000:01:00.0-1.2"),
            (usb(0x0825, Some(" \n"), "1.2"), "usb:046d:0825/usb-0000:01:00.0-1.2"),
            (other("unicam", "unicam", "platform:fe801000.csi"), "platform:fe801000.csi"),
            (other("old driver", "x", ""), "driver:old_driver"),
        ];
        for (identity, text) in table {
            assert_eq!(identity.text(), text);
            assert!(identity.is_meant_by(text), "{text}");
            assert_eq!(identity.line(), format!("camera.identity = \"{text}\""));
        }
    }

    #[test]
    fn a_camera_is_meant_by_number_model_or_port_and_by_nothing_else() {
        let camera = usb(0x0825, Some("1A2B"), "1.2");
        for text in ["usb:046d:0825:1A2B", "usb:046d:0825", "usb-0000:01:00.0-1.2"] {
            assert!(camera.is_meant_by(text), "{text}");
            assert!(camera.check(Some(text), "/dev/video0").is_ok());
        }
        assert!(camera.check(None, "/dev/video0").is_ok());
        let wrong = ["", "usb:046d:0825:1A2", "usb:046d:082", "usb:046d:0825:1a2b", "HD Webcam"];
        for text in wrong {
            assert!(!camera.is_meant_by(text), "{text}");
            let error = camera.check(Some(text), "/dev/video0").unwrap_err().to_string();
            for part in ["/dev/video0", "usb:046d:0825:1A2B", "camera.identity = \"usb:046d:"] {
                assert!(error.contains(part), "{error}");
            }
        }
        // USB over the network says the same of itself, and has no plug.
        let hardware = usb(0x0825, Some("1A2B"), "1.2").hardware;
        let copy = CameraIdentity::new("uvcvideo", "HD Webcam", "usb-vhci_hcd.0-1", hardware);
        assert_eq!(copy.text(), "usb-vhci_hcd.0-1");
        assert!(!copy.is_meant_by("usb:046d:0825:1A2B") && !copy.is_meant_by("usb:046d:0825"));
        assert!(copy.is_meant_by("usb-vhci_hcd.0-1"));
        // A camera that says nothing of its bus is not meant by saying nothing.
        assert!(!other("old", "x", "").is_meant_by(""));
    }

    #[test]
    fn the_same_camera_is_told_from_another_as_far_as_it_can_be() {
        let camera = usb(0x0825, Some("1A2B"), "1.2");
        assert!(
            camera.is_same_as(&usb(0x0825, Some("1A2B"), "1.3")),
            "the number tells, not the port"
        );
        let loopback = other("v4l2 loopback", "HD Webcam", "platform:v4l2loopback-000");
        for another in [
            usb(0x0825, Some("1A2C"), "1.2"),
            usb(0x0826, Some("1A2B"), "1.2"),
            usb(0x0825, None, "1.2"),
            loopback,
        ] {
            assert!(!camera.is_same_as(&another), "{another}");
        }
        let nameless = usb(0x0825, None, "1.2");
        assert!(nameless.is_same_as(&nameless));
        assert!(!nameless.is_same_as(&usb(0x0825, None, "1.3")), "nothing else tells them apart");
    }

    #[test]
    fn virtual_cameras_are_recognised_whatever_they_call_themselves() {
        for (driver, bus) in [
            ("v4l2 loopback", "platform:v4l2loopback-010"),
            ("v4l2loopback", "x"),
            ("renamed", "platform:v4l2loopback-000"),
            ("vivid", "platform:vivid-000"),
            ("vimc", "platform:vimc.0"),
            ("uvcvideo", "usb-vhci_hcd.0-1"),
            ("uvcvideo", "usb-dummy_hcd.0-1"),
        ] {
            assert!(other(driver, "HD Webcam", bus).is_virtual(), "{driver} {bus}");
        }
        let made = Hardware { usb: None, absent: true };
        assert!(
            CameraIdentity::new("uvcvideo", "HD Webcam", "usb-0000:01:00.0-1", made).is_virtual()
        );
        assert!(!usb(0x0825, None, "1.2").is_virtual());
        assert!(!other("unicam", "unicam", "platform:fe801000.csi").is_virtual());
    }

    #[test]
    fn what_a_device_says_of_itself_cannot_write_lines() {
        let camera = usb(0x0825, Some("1\"\nERROR granted @x"), "1.2");
        assert_eq!(camera.text(), "usb:046d:0825:1__ERROR_granted__x");
        let endless = usb(0x0825, Some(&"7".repeat(5000)), "1.2");
        assert_eq!(endless.text().len(), "usb:046d:0825:".len() + PART_MAX);
        let shown = other("a\nb", "c\r\nd\u{1b}[31m", "e\nf").to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }

    #[test]
    fn sysfs_tells_the_device_behind_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let sys = folder.path();
        let usb = sys.join("devices/pci0/usb1/1-1");
        let interface = usb.join("1-1:1.0");
        let real = interface.join("video4linux/video0");
        let made = sys.join("devices/virtual/video4linux/video10");
        for place in [&real, &made, &sys.join("dev/char")] {
            create_dir_all(place).unwrap();
        }
        symlink("../../../1-1:1.0", real.join("device")).unwrap();
        symlink(&real, sys.join("dev/char/81:0")).unwrap();
        symlink(&made, sys.join("dev/char/81:10")).unwrap();
        for (name, value) in [("idVendor", "046d\n"), ("idProduct", "0825\n"), ("serial", "1A2B\n")]
        {
            write(usb.join(name), value).unwrap();
        }
        let expected = Some(UsbIdentity::new(0x046d, 0x0825, Some("1A2B")));
        let found = |minor| Hardware::of(sys, (81, minor));
        assert_eq!(found(0), Hardware { usb: expected, absent: false });
        assert_eq!(found(10), Hardware { usb: None, absent: true });
        assert_eq!(found(5), Hardware::default());
        std::fs::remove_file(usb.join("serial")).unwrap();
        assert_eq!(found(0).usb, Some(UsbIdentity::new(0x046d, 0x0825, None)));
        write(usb.join("idVendor"), "none").unwrap();
        assert_eq!(found(0), Hardware::default());
    }
}
