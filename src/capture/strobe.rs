//! Notices a lamp that strobes: frames that are dark and bright in turns.
//!
//! In: the luminance of frames and when they were captured. Out: whether the light strobes. An
//! infrared or pulsed lamp out of step with the camera leaves some exposures without light; a lamp
//! that somebody switches, a cloud or a hand before the lens darkens for longer or not again and
//! again, and is none.
//!
//! Invariant: no clock is read here. Deliberately absent: what a dark frame is worth as evidence,
//! which is `decide`'s, and what a person is told.

use std::time::Duration;

use crate::clock::Monotonic;

/// A frame below this share of the light is dark…
const DARK: f32 = 0.5;
/// …and one from this share on is lit; between the two it stays what it was.
const LIT: f32 = 0.7;
/// Light that has not come back for so long has gone: the light is now what is seen.
const GONE_AFTER: Duration = Duration::from_secs(1);
/// So many times within [`WITHIN`] must the light come back.
const RETURNS: usize = 4;
/// See [`RETURNS`].
const WITHIN: Duration = Duration::from_secs(3);
/// Without a return for so long the light is steady.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct StrobeWatch {
    /// Luminance of the last lit frame, and its capture.
    light: Option<(f32, Monotonic)>,
    dark: bool,
    /// The last returns of the light, oldest first.
    returns: [Option<Monotonic>; RETURNS],
    strobing: bool,
}

impl StrobeWatch {
    /// Takes in a frame's mean luminance, 0 to 255. Returns whether the light strobes.
    pub fn observe(&mut self, luminance: f32, captured: Monotonic) -> bool {
        let light = self.light.filter(|(_, at)| captured.since(*at) < GONE_AFTER);
        match light {
            Some((light, _)) if luminance < DARK * light => self.dark = true,
            Some((light, _)) if luminance < LIT * light => {}
            Some(_) if self.dark => {
                self.dark = false;
                self.light = Some((luminance, captured));
                self.returned(captured);
            }
            _ => (self.dark, self.light) = (false, Some((luminance, captured))),
        }
        let last = self.returns.last().copied().flatten();
        if last.is_none_or(|at| captured.since(at) >= STEADY_AFTER) {
            self.strobing = false;
        }
        self.strobing
    }

    fn returned(&mut self, at: Monotonic) {
        self.returns.rotate_left(1);
        if let Some(last) = self.returns.last_mut() {
            *last = Some(at);
        }
        let first = self.returns.first().copied().flatten();
        self.strobing |= first.is_some_and(|first| at.since(first) <= WITHIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts on frames of `luminances`, 67 ms apart from `start_ms` on.
    fn watched(watch: &mut StrobeWatch, start_ms: u64, luminances: &[f32]) -> Vec<bool> {
        let captured = |index: u64| Monotonic::from_millis(start_ms + index * 67);
        let observe = |(index, luminance): (u64, &f32)| watch.observe(*luminance, captured(index));
        (0..).zip(luminances).map(observe).collect()
    }

    #[test]
    fn a_lamp_that_strobes_is_noticed_within_a_second_and_until_it_is_steady() {
        let mut watch = StrobeWatch::default();
        let pattern = [110.0, 4.0, 3.0].repeat(10);
        let verdicts = watched(&mut watch, 0, &pattern);
        let noticed = verdicts.iter().position(|strobing| *strobing);
        assert_eq!(noticed, Some(12), "with the fourth return of the light");
        assert!(verdicts.iter().skip(12).all(|strobing| *strobing), "and without a pause");
        let steady = watched(&mut watch, 2000, &[110.0; 1000]);
        assert!(steady.iter().take(800).all(|strobing| *strobing), "nobody is told too often");
        assert_eq!(steady.last(), Some(&false), "a minute later it is over");
    }

    #[test]
    fn other_changes_of_light_are_no_strobe() {
        let day = vec![110.0; 200];
        let switched = [vec![110.0; 30], vec![20.0; 30], vec![110.0; 30], vec![20.0; 30]].concat();
        let flickering: Vec<f32> = (0..200).map(|n| 100.0 + f32::from(n % 3_u8) * 12.0).collect();
        let hands = [vec![110.0; 20], vec![5.0; 8]].concat().repeat(3);
        let night = [0.0, 0.0, 0.0].repeat(60);
        for light in [day, switched, flickering, hands, night] {
            let verdicts = watched(&mut StrobeWatch::default(), 0, &light);
            assert!(verdicts.iter().all(|strobing| !strobing), "{light:?}");
        }
    }

    #[test]
    fn nonsense_is_no_strobe() {
        let pattern = [f32::NAN, 3.0, f32::INFINITY, -1.0].repeat(9);
        watched(&mut StrobeWatch::default(), 0, &pattern);
        let mut watch = StrobeWatch::default();
        assert!(!watched(&mut watch, 0, &[f32::NAN; 40]).contains(&true));
    }
}
