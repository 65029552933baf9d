//! What moving pictures or a folder gave: how many faces, and why not more.
//!
//! In: what came of each frame. Out: counts by reason, the most telling reason, a sentence.

use super::SPACING;
use super::judge::Unusable;
use crate::embed::QualityFault;

/// Everything that was looked at, by what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many references were asked for.
    pub wanted: u32,
    /// Frames or pictures that were looked at.
    pub looked_at: u32,
    /// Those whose face was taken.
    pub taken: u32,
    /// Usable ones that came too soon after one that was taken.
    pub too_soon: u32,
    /// Pictures of a folder that were not looked at, because there were enough before them.
    pub left: u32,
    pub(super) is_folder: bool,
    refused: Vec<(Unusable, u32)>,
}

impl Tally {
    pub(super) fn new(wanted: u32, is_folder: bool) -> Self {
        Self { wanted, is_folder, ..Self::default() }
    }

    pub(super) fn refuse(&mut self, why: Unusable) {
        // How many the several were, and what a text says, makes no reason of its own.
        let same =
            |known: &Unusable| (known.reason(), known.fault()) == (why.reason(), why.fault());
        match self.refused.iter_mut().find(|(known, _)| same(known)) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((why, 1)),
        }
    }

    /// Each reason with its count, the most frequent first.
    #[must_use]
    pub fn reasons(&self) -> Vec<&(Unusable, u32)> {
        let mut reasons: Vec<_> = self.refused.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// Why nobody was taken: frames that cannot be decoded where they are more than half; else the
    /// most frequent reason that is no empty picture, because in between nobody may have been there. A
    /// camera that hangs otherwise is why faces are unclear, too.
    pub(super) fn main_reason(&self) -> Unusable {
        let reasons = self.reasons();
        let broken =
            |why: &Unusable| matches!(why, Unusable::Undecodable(_) | Unusable::Unreadable(_));
        let undecodable =
            reasons.iter().find(|(why, count)| broken(why) && count * 2 > self.looked_at);
        let telling = reasons.iter().find(|(why, _)| !broken(why) && *why != Unusable::NoFace);
        let unclear = Unusable::Poor(QualityFault::Unclear);
        let turned = reasons.iter().find(|(why, _)| matches!(why, Unusable::CameraTurned { .. }));
        let telling = telling.filter(|(why, _)| *why != unclear).or(turned).or(telling);
        undecodable.or(telling).or(reasons.first()).map_or(Unusable::NoFace, |(why, _)| why.clone())
    }

    pub(super) fn noun(&self) -> &'static str {
        if self.is_folder { "picture" } else { "frame" }
    }

    /// Whether fewer came than were asked for.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.taken < self.wanted
    }
}

impl std::fmt::Display for Tally {
    /// How many came of how many, and why the others did not, by reason.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wanted, looked_at, taken, too_soon, .. } = self;
        let noun = self.noun();
        let plural = |count: u32| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{taken} of {wanted} reference{} from {looked_at} {noun}{}",
            plural(*wanted),
            plural(*looked_at)
        )?;
        for (why, count) in self.reasons() {
            write!(f, "; {count}: {}", why.finding())?;
        }
        if *too_soon > 0 {
            let ms = SPACING.as_millis();
            write!(f, "; {too_soon}: within {ms} ms of one that was taken")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Undecodable;
    use crate::geometry::Turn;

    #[test]
    fn a_tally_says_how_many_came_and_why_not_more() {
        let mut tally =
            Tally { wanted: 5, looked_at: 40, taken: 3, too_soon: 7, ..Tally::default() };
        assert!(tally.is_short());
        for _ in 0..20 {
            tally.refuse(Unusable::NoFace);
        }
        for faces in [2, 3] {
            tally.refuse(Unusable::Several(faces));
        }
        for _ in 0..8 {
            tally.refuse(Unusable::Undecodable(Undecodable::CutOff));
        }
        assert_eq!(
            tally.to_string(),
            "3 of 5 references from 40 frames; 20: no face was found; 8: it cannot be decoded (cut off); \
             2: 2 faces are in the picture, one is wanted; 7: within 300 ms of one that was taken"
        );
    }

    #[test]
    fn the_reason_that_is_told_is_the_most_telling() {
        let tally = |reasons: &[(Unusable, u32)]| {
            let mut tally = Tally::default();
            for (why, count) in reasons {
                for _ in 0..*count {
                    tally.looked_at += 1;
                    tally.refuse(why.clone());
                }
            }
            tally.main_reason()
        };
        let undecodable = Unusable::Undecodable(Undecodable::Unsupported);
        let poor = Unusable::Poor(QualityFault::Blurred);
        assert_eq!(tally(&[]), Unusable::NoFace);
        assert_eq!(tally(&[(Unusable::NoFace, 9), (poor.clone(), 1)]), poor);
        assert_eq!(tally(&[(Unusable::NoFace, 3), (undecodable.clone(), 57)]), undecodable);
        assert_eq!(tally(&[(poor.clone(), 30), (undecodable, 20)]), poor);
        let unclear = Unusable::Poor(QualityFault::Unclear);
        let fault = QualityFault::NotUpright(Turn::Half);
        let turned = Unusable::CameraTurned { fault, rotate: Turn::Half };
        assert_eq!(tally(&[(unclear.clone(), 4), (turned.clone(), 3)]), turned);
        assert_eq!(tally(&[(unclear.clone(), 4), (Unusable::NoFace, 9)]), unclear);
    }
}
