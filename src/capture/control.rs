//! A camera's controls, by the names that people know.
//!
//! In: names or numbers with values, as configured, and the controls that a driver describes. Out:
//! numbers with values to set, in an order that works, or what is wrong with which. Names are those
//! of `v4l2-ctl --list-ctrls`: the driver's own in lower case, with `_` for all else.
//!
//! Invariant: a name that the device does not know is an error that lists those it does.
//! Pure. Source: the V4L2 documentation of controls, `linux/v4l2-controls.h`.

use std::collections::BTreeMap;

/// Numbers of the usual controls, for drivers whose own list cannot be read.
const USUAL: [(&str, u32); 22] = [
    ("brightness", 0x0098_0900),
    ("contrast", 0x0098_0901),
    ("saturation", 0x0098_0902),
    ("hue", 0x0098_0903),
    ("white_balance_automatic", 0x0098_090C),
    ("gamma", 0x0098_0910),
    ("exposure", 0x0098_0911),
    ("gain_automatic", 0x0098_0912),
    ("gain", 0x0098_0913),
    ("horizontal_flip", 0x0098_0914),
    ("vertical_flip", 0x0098_0915),
    ("power_line_frequency", 0x0098_0918),
    ("white_balance_temperature", 0x0098_091A),
    ("sharpness", 0x0098_091B),
    ("backlight_compensation", 0x0098_091C),
    ("rotate", 0x0098_0922),
    ("auto_exposure", 0x009A_0901),
    ("exposure_time_absolute", 0x009A_0902),
    ("exposure_dynamic_framerate", 0x009A_0903),
    ("focus_absolute", 0x009A_090A),
    ("focus_automatic_continuous", 0x009A_090C),
    ("zoom_absolute", 0x009A_090D),
];

/// A control as a driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownControl {
    /// Its number.
    pub id: u32,
    /// Its name in the driver's words.
    pub name: String,
    /// The smallest value.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

/// What is wrong with a configured control.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("camera control '{control}': {problem}")]
pub struct ControlError {
    /// As configured.
    pub control: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// A driver's name of a control as `v4l2-ctl` writes it.
#[must_use]
pub fn plain_name(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            plain.push(letter.to_ascii_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
    }
    plain.truncate(plain.trim_end_matches('_').len());
    plain
}

/// The controls to set, with what switches an automatism first: `exposure_time_absolute` cannot be
/// set before `auto_exposure` is off. `known` is `None` where the driver's list cannot be read.
///
/// # Errors
/// [`ControlError`] for the first that does not exist or is out of range.
pub fn plan(
    wanted: &BTreeMap<String, i64>,
    known: Option<&[KnownControl]>,
) -> Result<Vec<(String, u32, i64)>, ControlError> {
    let mut planned = Vec::with_capacity(wanted.len());
    for (name, value) in wanted {
        let wrong = |problem| ControlError { control: name.clone(), problem };
        let id = match (number(name), known) {
            (Some(id), _) => id,
            (None, Some(known)) => {
                let found = known.iter().find(|control| plain_name(&control.name) == *name);
                let found = found.ok_or_else(|| wrong(unknown(known)))?;
                if !(found.min..=found.max).contains(value) {
                    let (min, max) = (found.min, found.max);
                    return Err(wrong(format!("{value} is out of range: {min} to {max}")));
                }
                found.id
            }
            (None, None) => USUAL.iter().find(|usual| usual.0 == name).map(|usual| usual.1).ok_or_else(
                || wrong("the driver's list cannot be read, and this is no usual name: give its number, such as \"0x00980900\"".to_owned()),
            )?,
        };
        planned.push((name.clone(), id, *value));
    }
    planned.sort_by_key(|(name, ..)| !name.contains("auto"));
    Ok(planned)
}

fn unknown(known: &[KnownControl]) -> String {
    if known.is_empty() {
        return "this camera has no controls: remove it".to_owned();
    }
    let mut names: Vec<String> = known.iter().map(|control| plain_name(&control.name)).collect();
    names.sort();
    names.dedup();
    format!("this camera has no such control; it has: {}", names.join(", "))
}

fn number(name: &str) -> Option<u32> {
    match name.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn known() -> Vec<KnownControl> {
        [(1, "Auto Exposure", 0, 3), (2, "Exposure Time, Absolute", 3, 2047), (3, "Gain", 0, 255)]
            .map(|(id, name, min, max)| KnownControl { id, name: name.to_owned(), min, max })
            .to_vec()
    }

    #[test]
    fn names_are_those_of_v4l2_ctl() {
        assert_eq!(plain_name("White Balance, Automatic"), "white_balance_automatic");
        assert_eq!(plain_name("Exposure Time, Absolute"), "exposure_time_absolute");
        assert_eq!(plain_name(" LED1 Mode! "), "led1_mode");
        assert_eq!(plain_name("…"), "");
    }

    #[test]
    fn automatisms_are_switched_before_what_they_hold() {
        let wanted =
            wanted(&[("exposure_time_absolute", 150), ("auto_exposure", 1), ("0x00980900", -7)]);
        let plan = plan(&wanted, Some(&known())).unwrap();
        let ids: Vec<(u32, i64)> = plan.iter().map(|(_, id, value)| (*id, *value)).collect();
        assert_eq!(ids, [(1, 1), (0x0098_0900, -7), (2, 150)]);
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_told() {
        let table = known();
        let cases: [(&str, i64, Option<&[KnownControl]>, &str); 4] = [
            ("focus", 1, Some(&table), "it has: auto_exposure, exposure_time_absolute, gain"),
            ("gain", 256, Some(&table), "0 to 255"),
            ("gain", 1, Some(&[]), "no controls"),
            ("led1_mode", 1, None, "0x00980900"),
        ];
        for (name, value, known, expected) in cases {
            let text = plan(&wanted(&[(name, value)]), known).unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains(name), "{text}");
        }
        let usual = plan(&wanted(&[("brightness", 5)]), None).unwrap();
        assert_eq!(usual, [("brightness".to_owned(), 0x0098_0900, 5)]);
    }
}
