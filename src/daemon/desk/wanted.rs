//! What the desk wants of others: in, what requests ask for; out, what has not been done yet.

use crate::compare::SubjectId;
use crate::policy::Whereabouts;

/// What a request that was carried out wants of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Enrolled set and rules are to be read again.
    pub read_again: bool,
    /// The door is to forget its failed visits.
    pub reset_lockout: bool,
    /// Whose second factor has come.
    pub factors: Vec<SubjectId>,
    /// Who went in or out, by this door or by the other one.
    pub passages: Vec<(SubjectId, Whereabouts)>,
}

impl Wanted {
    pub(super) fn join(&mut self, other: Self) {
        self.read_again |= other.read_again;
        self.reset_lockout |= other.reset_lockout;
        let new: Vec<_> =
            other.factors.into_iter().filter(|one| !self.factors.contains(one)).collect();
        self.factors.extend(new);
        self.passages.extend(other.passages);
    }
}
