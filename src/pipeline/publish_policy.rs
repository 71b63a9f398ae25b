//! Selects the predictions that are published: all, changes, or those with a sufficient score for long
//! enough.
//!
//! In this order, per device:
//! 1. `consecutive`: a prediction counts after it was given that many times in a row;
//! 2. `min_score` / `leave_score`: a label is active from `min_score` on, until its score falls below
//!    `leave_score` (by default `min_score`) or another label is predicted;
//! 3. `when = "change"`: an active prediction is published if it differs from the last published one.
//!    A label that became inactive and active again is a change.

use super::interpret::PublishKey;
use super::publish_state::PublishState;
use crate::config::{Publish, When};

/// A stream's publish rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublishPolicy {
    when: When,
    /// The scores from which a label becomes active, and below which it becomes inactive.
    scores: Option<(f32, f32)>,
    consecutive: u32,
}

impl PublishPolicy {
    pub(super) fn new(publish: &Publish) -> Self {
        let scores = publish.min_score.map(|min| (min, publish.leave_score.unwrap_or(min)));
        Self { when: publish.when, scores, consecutive: publish.consecutive.max(1) }
    }

    /// Whether the rules have state.
    pub(super) fn remembers(&self) -> bool {
        let hysteresis = self.scores.is_some_and(|(enter, leave)| leave < enter);
        self.when == When::Change || self.consecutive > 1 || hysteresis
    }

    /// Whether a prediction is to be published.
    pub(super) fn publishes(&self, state: &mut PublishState, key: PublishKey) -> bool {
        state.run = if state.mark == key.mark { state.run.saturating_add(1) } else { 1 };
        state.mark = key.mark;
        if state.run < self.consecutive {
            return false;
        }
        if !self.is_in(state, key) {
            state.inside = None;
            state.last = None;
            return false;
        }
        state.inside = Some(key.subject);
        let changed = state.last != Some(key.mark);
        state.last = Some(key.mark);
        match self.when {
            When::Every => true,
            When::Change => changed,
        }
    }

    fn is_in(&self, state: &PublishState, key: PublishKey) -> bool {
        let (Some((enter, leave)), Some(score)) = (self.scores, key.score) else { return true };
        let bound = if state.inside == Some(key.subject) { leave } else { enter };
        score >= bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(when: When, scores: Option<(f32, f32)>, consecutive: u32) -> PublishPolicy {
        PublishPolicy { when, scores, consecutive }
    }

    /// Which of the predictions (label, score) are published.
    fn published(policy: PublishPolicy, predictions: &[(u64, f32)]) -> Vec<bool> {
        let mut state = PublishState::default();
        let key = |&(label, score): &(u64, f32)| PublishKey {
            mark: label + 1,
            subject: label,
            score: Some(score),
        };
        predictions.iter().map(|v| policy.publishes(&mut state, key(v))).collect()
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
