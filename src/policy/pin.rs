//! A PIN: digits that somebody types at the door beside showing a face.
//!
//! In: text. Out: a [`Pin`], or why it is none. Rules: [`DIGITS_MIN`] to [`DIGITS_MAX`] decimal digits;
//! a new one must be none of those that are tried first: one digit again and again, a run up or down,
//! one pair again and again, a year, the middle of the keypad. Invariants: no error and no `Debug` shows
//! a digit; the digits are wiped from memory when they are dropped. Deliberately absent: hashes, which
//! are made and compared where passwords are.

use std::fmt;

use zeroize::Zeroizing;

/// The least number of digits.
pub const DIGITS_MIN: usize = 4;
/// The greatest.
pub const DIGITS_MAX: usize = 10;

/// Columns of a keypad.
const COLUMNS: [&str; 2] = ["2580", "0852"];

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

/// Why a text is no PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinProblem {
    /// Not digits, or too few or too many of them.
    #[error("a PIN has {DIGITS_MIN} to {DIGITS_MAX} digits and nothing else")]
    Form,
    /// Among the first that anybody tries.
    #[error("this PIN is among the first that anybody tries")]
    Trivial,
}

/// What came of a PIN that was typed at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinResult {
    /// It is the subject's.
    Right,
    /// It is the subject's other one, for duress.
    Duress,
    /// It is neither.
    Wrong,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

impl Pin {
    /// The PIN that was typed.
    ///
    /// # Errors
    /// [`PinProblem::Form`].
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Self, PinProblem> {
        let text = text.into();
        let right = (DIGITS_MIN..=DIGITS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit());
        if right { Ok(Self(text)) } else { Err(PinProblem::Form) }
    }

    /// The same, chosen as a new one.
    ///
    /// # Errors
    /// [`PinProblem`].
    pub fn chosen(text: impl Into<Zeroizing<String>>) -> Result<Self, PinProblem> {
        let pin = Self::new(text)?;
        if pin.is_trivial() { Err(PinProblem::Trivial) } else { Ok(pin) }
    }

    /// Its digits, for whoever hashes or compares them.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    fn is_trivial(&self) -> bool {
        let digits = self.0.as_bytes();
        let apart = |step: u8| {
            digits.windows(2).all(|pair| matches!(pair, [a, b] if (*b + 10 - *a) % 10 == step))
        };
        let pairs = digits.windows(3).all(|three| three.first() == three.last());
        let year = digits.len() == 4 && (digits.starts_with(b"19") || digits.starts_with(b"20"));
        // Up and down by one; from 9 the next is 0.
        [0, 1, 9].into_iter().any(apart) || pairs || year || COLUMNS.contains(&self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Result<Pin, PinProblem> {
        Pin::chosen(text.to_owned())
    }

    #[test]
    fn four_to_ten_digits_are_a_pin_and_nothing_is_shown_of_it() {
        for right in ["4711", "80317", "3141592653"] {
            let pin = chosen(right).unwrap();
            assert_eq!(pin.digits(), right);
            assert_eq!(format!("{pin:?}"), "Pin(…)");
        }
        for wrong in ["", "471", "31415926535", "47 1", "47a1", "-471", "４７１１", "4711\n"] {
            assert_eq!(chosen(wrong), Err(PinProblem::Form), "{wrong:?}");
        }
    }

    #[test]
    fn what_everybody_tries_first_is_chosen_by_nobody_and_compared_all_the_same() {
        for trivial in [
            "0000",
            "7777777",
            "1234",
            "6789",
            "7890",
            "8901",
            "4321",
            "9876543210",
            "3210",
            "1212",
            "696969",
            "1987",
            "2024",
            "2580",
            "0852",
        ] {
            assert_eq!(chosen(trivial), Err(PinProblem::Trivial), "{trivial}");
            assert!(Pin::new(trivial.to_owned()).is_ok(), "{trivial}");
        }
        for fair in ["1357", "1243", "12125", "19871", "2589", "1221", "112233"] {
            assert!(chosen(fair).is_ok(), "{fair}");
        }
    }
}
