//! Which verdicts are published: all, changes, or those that are sure enough for long enough.
//!
//! In this order, per device:
//! 1. `consecutive`: a verdict counts once it was given that many times in a row;
//! 2. `min_score` / `leave_score`: from `min_score` on a label is in, until its score falls under
//!    `leave_score` (which is `min_score` where it is not set) or another label comes up;
//! 3. `when = "change"`: what counts and is in goes out if it differs from what went out last. A
//!    label that fell out and comes back is a change.

use super::interpret::Gist;
use crate::config::{Publish, When};

/// A stream's publish rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    when: When,
    /// Enter and leave.
    scores: Option<(f32, f32)>,
    consecutive: u32,
}

/// What the rules remember of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// The verdict given last, and how many times in a row.
    pub(super) mark: u64,
    pub(super) run: u32,
    /// The subject whose score is in.
    pub(super) inside: Option<u64>,
    /// The verdict published last.
    pub(super) last: Option<u64>,
}

impl Policy {
    pub(super) fn new(publish: &Publish) -> Self {
        let scores = publish.min_score.map(|min| (min, publish.leave_score.unwrap_or(min)));
        Self { when: publish.when, scores, consecutive: publish.consecutive.max(1) }
    }

    /// Whether the rules remember anything between two verdicts.
    pub(super) fn remembers(&self) -> bool {
        let hysteresis = self.scores.is_some_and(|(enter, leave)| leave < enter);
        self.when == When::Change || self.consecutive > 1 || hysteresis
    }

    /// Whether a verdict is to be published.
    pub(super) fn publishes(&self, memory: &mut Memory, gist: Gist) -> bool {
        memory.run = if memory.mark == gist.mark { memory.run.saturating_add(1) } else { 1 };
        memory.mark = gist.mark;
        if memory.run < self.consecutive {
            return false;
        }
        if !self.is_in(memory, gist) {
            memory.inside = None;
            memory.last = None;
            return false;
        }
        memory.inside = Some(gist.subject);
        let changed = memory.last != Some(gist.mark);
        memory.last = Some(gist.mark);
        match self.when {
            When::Every => true,
            When::Change => changed,
        }
    }

    fn is_in(&self, memory: &Memory, gist: Gist) -> bool {
        let (Some((enter, leave)), Some(score)) = (self.scores, gist.score) else { return true };
        let bound = if memory.inside == Some(gist.subject) { leave } else { enter };
        score >= bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(when: When, scores: Option<(f32, f32)>, consecutive: u32) -> Policy {
        Policy { when, scores, consecutive }
    }

    /// Which of the verdicts (label, score) are published.
    fn published(policy: Policy, verdicts: &[(u64, f32)]) -> Vec<bool> {
        let mut memory = Memory::default();
        let gist = |&(label, score): &(u64, f32)| Gist {
            mark: label + 1,
            subject: label,
            score: Some(score),
        };
        verdicts.iter().map(|v| policy.publishes(&mut memory, gist(v))).collect()
    }

    const YES: bool = true;
    const NO: bool = false;

    #[test]
    fn every_publishes_everything() {
        let policy = policy(When::Every, None, 1);
        assert_eq!(published(policy, &[(1, 0.1), (1, 0.9), (2, 0.5)]), [YES, YES, YES]);
        assert!(!policy.remembers());
    }

    #[test]
    fn change_publishes_the_first_of_a_row() {
        let policy = policy(When::Change, None, 1);
        assert_eq!(
            published(policy, &[(1, 0.9), (1, 0.8), (2, 0.9), (1, 0.9)]),
            [YES, NO, YES, YES]
        );
        assert!(policy.remembers());
    }

    #[test]
    fn a_score_enters_high_and_leaves_low() {
        let policy = policy(When::Every, Some((0.8, 0.5)), 1);
        let scores = [(1, 0.7), (1, 0.8), (1, 0.6), (1, 0.5), (1, 0.4), (1, 0.7), (1, 0.9)];
        assert_eq!(published(policy, &scores), [NO, YES, YES, YES, NO, NO, YES]);
    }

    #[test]
    fn another_label_has_to_enter_by_itself() {
        let policy = policy(When::Every, Some((0.8, 0.5)), 1);
        assert_eq!(published(policy, &[(1, 0.9), (2, 0.6), (1, 0.6)]), [YES, NO, NO]);
    }

    #[test]
    fn a_label_counts_after_so_many_in_a_row() {
        let policy = policy(When::Every, None, 3);
        let labels = [(1, 1.0), (1, 1.0), (1, 1.0), (1, 1.0), (2, 1.0), (1, 1.0)];
        assert_eq!(published(policy, &labels), [NO, NO, YES, YES, NO, NO]);
    }

    #[test]
    fn a_flicker_that_never_counts_is_no_change() {
        let policy = policy(When::Change, None, 2);
        let labels = [(1, 1.0), (1, 1.0), (2, 1.0), (1, 1.0), (1, 1.0), (2, 1.0), (2, 1.0)];
        assert_eq!(published(policy, &labels), [NO, YES, NO, NO, NO, NO, YES]);
    }

    #[test]
    fn a_label_that_fell_out_and_comes_back_is_a_change() {
        let policy = policy(When::Change, Some((0.8, 0.5)), 1);
        let scores = [(1, 0.9), (1, 0.6), (1, 0.3), (1, 0.9)];
        assert_eq!(published(policy, &scores), [YES, NO, NO, YES]);
    }
}
