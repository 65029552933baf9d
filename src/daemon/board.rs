//! What the board tells of itself: memory, temperature, throttling.
//!
//! In: files under `/proc` and `/sys`. Out: numbers, or nothing where a board does not tell.
//! Of several thermal zones the processor's counts, told by its type: a board may number its Wi-Fi,
//! its battery or its power supply first.
//! Sources: proc(5) for `statm`; the kernel's thermal sysfs; the Raspberry Pi firmware's
//! `get_throttled` word, of which bit 2 says "throttled now".

use std::path::Path;

/// What the type of a processor's thermal zone contains: `cpu-thermal` (Raspberry Pi, Allwinner),
/// `soc-thermal` and `package-thermal` (Rockchip), `x86_pkg_temp` (Intel), `k10temp` (AMD).
const PROCESSOR_ZONES: [&str; 6] = ["cpu", "soc", "package", "pkg", "core", "k10temp"];

/// Resident memory of this process in bytes; 0 where the kernel does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    resident_pages(Path::new("/")).unwrap_or(0).saturating_mul(page_bytes())
}

/// Temperature of the chip in °C.
#[must_use]
pub fn temperature_c() -> Option<f32> {
    temperature_under(Path::new("/"))
}

/// Whether the firmware holds the clock down now.
#[must_use]
pub fn throttled() -> Option<bool> {
    throttled_under(Path::new("/"))
}

#[expect(unsafe_code, reason = "the page size has no safe face in the standard library")]
fn page_bytes() -> u64 {
    // SAFETY: sysconf takes a number and gives a number; it touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

fn resident_pages(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/self/statm")).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

fn temperature_under(root: &Path) -> Option<f32> {
    let mut zones: Vec<(u32, String)> = std::fs::read_dir(root.join("sys/class/thermal"))
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.strip_prefix("thermal_zone")?.parse().ok()?;
            let kind = std::fs::read_to_string(entry.path().join("type")).unwrap_or_default();
            Some((number, kind.trim().to_ascii_lowercase()))
        })
        .collect();
    // The processor's in the order of the signs, then zone 0 and up; the first that tells counts.
    zones.sort_by_key(|(number, kind)| {
        let sign = PROCESSOR_ZONES.iter().position(|sign| kind.contains(sign));
        (sign.unwrap_or(PROCESSOR_ZONES.len()), *number)
    });
    zones.iter().find_map(|(number, _)| {
        let path = root.join(format!("sys/class/thermal/thermal_zone{number}/temp"));
        let millis: i32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
        Some(millis as f32 / 1000.0)
    })
}

fn throttled_under(root: &Path) -> Option<bool> {
    let path = root.join("sys/devices/platform/soc/soc:firmware/get_throttled");
    let text = std::fs::read_to_string(path).ok()?;
    let word = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
    Some(word & 0b100 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board with these files.
    fn board(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    /// The temperature of a board with zones of a number, a type and a reading.
    fn temperature(zones: &[(u32, &str, &str)]) -> Option<f32> {
        let files: Vec<(String, &str)> = zones
            .iter()
            .flat_map(|(number, kind, reading)| {
                let file = |name| format!("sys/class/thermal/thermal_zone{number}/{name}");
                [(file("type"), *kind), (file("temp"), *reading)]
            })
            .collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        temperature_under(board(&files).path())
    }

    #[test]
    fn the_processors_zone_counts_whatever_its_number() {
        for (zones, wanted, why) in [
            (&[][..], None, "a board without zones"),
            (&[(0, "cpu-thermal\n", "51540\n")], Some(51.54), "a Raspberry Pi"),
            (
                &[(0, "iwlwifi_1\n", "38000\n"), (1, "x86_pkg_temp\n", "60000\n")],
                Some(60.0),
                "a PC",
            ),
            (
                &[
                    (0, "gpu-thermal", "40000"),
                    (1, "soc-thermal", "45000"),
                    (10, "CPU0-Thermal", "47000"),
                ],
                Some(47.0),
                "the processor comes before the whole chip, in capitals or not",
            ),
            (&[(0, "acpitz", "27800"), (1, "battery", "31000")], Some(27.8), "else zone 0"),
            (
                &[(2, "battery", "31000"), (10, "board", "33000")],
                Some(31.0),
                "numbers, not texts, in order",
            ),
            (
                &[(0, "acpitz", "27800"), (1, "cpu-thermal", "")],
                Some(27.8),
                "a zone that does not tell",
            ),
            (&[(0, "cpu-thermal", "hot")], None, "a reading that is no number"),
            (&[(0, "cpu-thermal", "-5000\n")], Some(-5.0), "below freezing"),
        ] {
            assert_eq!(temperature(zones), wanted, "{why}: {zones:?}");
        }
        let untyped = board(&[
            ("sys/class/thermal/thermal_zone0/temp", "42000"),
            ("sys/class/thermal/cooling_device0/type", "cpu-fan"),
        ]);
        assert_eq!(temperature_under(untyped.path()), Some(42.0), "a zone without a type");
    }

    #[test]
    fn throttling_is_bit_2_and_not_what_once_was() {
        let path = "sys/devices/platform/soc/soc:firmware/get_throttled";
        for (text, wanted) in [
            ("0\n", Some(false)),
            ("4\n", Some(true)),
            ("0x50005\n", Some(true)),
            ("50005", Some(true)),
            // Bit 18: throttled since boot; bits 0 and 1: low voltage, a capped frequency.
            ("40000", Some(false)),
            ("3", Some(false)),
            ("", None),
            ("yes", None),
        ] {
            assert_eq!(throttled_under(board(&[(path, text)]).path()), wanted, "{text:?}");
        }
        assert_eq!(throttled_under(board(&[]).path()), None, "another make of board");
    }

    #[test]
    fn resident_memory_is_the_second_number_of_statm() {
        let pages = |text| resident_pages(board(&[("proc/self/statm", text)]).path());
        assert_eq!(pages("28123 4711 2100 512 0 9000 0\n"), Some(4711));
        for spoiled in ["", "28123", "28123 many 2100", "28123 -1 2100"] {
            assert_eq!(pages(spoiled), None, "{spoiled:?}");
        }
        assert_eq!(resident_pages(board(&[]).path()), None);
        assert!(resident_bytes() > 1 << 20, "this process has more than a megabyte");
    }
}
