//! What the board tells of itself: memory, temperature, throttling.
//!
//! In: files under `/proc` and `/sys`. Out: numbers, or nothing where a board does not tell.
//! Sources: proc(5) for `statm`; the kernel's thermal sysfs; the Raspberry Pi firmware's
//! `get_throttled` word, of which bit 2 says "throttled now".

/// Resident memory of this process in bytes; 0 where the kernel does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_bytes()
}

#[expect(unsafe_code, reason = "the page size has no safe face in the standard library")]
fn page_bytes() -> u64 {
    // SAFETY: sysconf takes a number and gives a number; it touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// Temperature of the chip in °C.
#[must_use]
pub fn temperature_c() -> Option<f32> {
    let text = std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").ok()?;
    let millis: f32 = text.trim().parse().ok()?;
    Some(millis / 1000.0)
}

/// Whether the firmware holds the clock down now.
#[must_use]
pub fn throttled() -> Option<bool> {
    let text =
        std::fs::read_to_string("/sys/devices/platform/soc/soc:firmware/get_throttled").ok()?;
    let word = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
    Some(word & 0b100 != 0)
}
