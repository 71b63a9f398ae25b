//! The decision whether an input is captured: triggers and their budgets.

use super::Trigger;
use crate::clock::{Now, Timestamp};
use crate::config::Capture;
use crate::pipeline::observation::RunOutcome;

/// A day in microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The triggers of a stream and what is left of their budgets today.
#[derive(Debug)]
pub(super) struct CaptureChoice {
    margin: Option<f32>,
    disagree: bool,
    reject: bool,
    outside: bool,
    drift: bool,
    per_day: u32,
    /// Inputs that an operator asked for.
    requested: u32,
    /// Inputs that an alarm asked for.
    after_alarm: u32,
    /// Days since 1970, UTC.
    day: i64,
    /// Captured on this day, in the order of [`Trigger::ALL`].
    taken: [u32; Trigger::ALL.len()],
    random: RandomTimes,
}

/// What is known of an input beside its outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// The distance of the two best scores.
    pub(super) margin: Option<f32>,
    /// The stream was in drift before this input.
    pub(super) is_drifting: bool,
    /// A value is outside of the range of the baseline.
    pub(super) is_outside: bool,
}

impl CaptureChoice {
    pub(super) fn new(capture: &Capture) -> Self {
        Self {
            margin: capture.margin,
            disagree: capture.disagree,
            reject: capture.reject,
            outside: capture.outside,
            drift: capture.drift,
            per_day: capture.per_day,
            requested: 0,
            after_alarm: 0,
            day: 0,
            taken: [0; Trigger::ALL.len()],
            random: RandomTimes::new(capture.random),
        }
    }

    pub(super) fn request(&mut self, count: u32) {
        self.requested = self.requested.saturating_add(count);
    }

    pub(super) fn request_after_alarm(&mut self, count: u32) {
        self.after_alarm = count;
    }

    /// Whether [`Self::choose`] may choose the prediction at hand. Whether it is outside is not
    /// known yet.
    pub(super) fn may_capture(&mut self, signs: Signs, has_shadow: bool, now: Now) -> bool {
        self.requested > 0
            || self.outside
            || (self.disagree && has_shadow)
            || self.is_close(signs.margin)
            || self.is_after_drift(signs)
            || self.random.is_due(now)
    }

    fn is_after_drift(&self, signs: Signs) -> bool {
        self.after_alarm > 0 || (self.drift && signs.is_drifting)
    }

    fn is_close(&self, margin: Option<f32>) -> bool {
        margin.zip(self.margin).is_some_and(|(margin, limit)| margin < limit)
    }

    /// The trigger that captures an input, within its budget; `None` to leave the input.
    pub(super) fn choose(
        &mut self,
        outcome: RunOutcome,
        signs: Signs,
        now: Now,
    ) -> Option<Trigger> {
        let day = now.wall.0.div_euclid(DAY);
        if day != self.day {
            self.day = day;
            self.taken = [0; Trigger::ALL.len()];
        }
        let failed = outcome == RunOutcome::Failed;
        let wants = |it: &mut Self, trigger| match trigger {
            Trigger::Command => it.requested > 0,
            Trigger::Reject => it.reject && failed,
            Trigger::Disagree => it.disagree && outcome == RunOutcome::Disagreed,
            Trigger::Outside => it.outside && signs.is_outside,
            Trigger::Margin => it.is_close(signs.margin),
            Trigger::Drift => !failed && it.is_after_drift(signs),
            Trigger::Random => !failed && it.random.is_due(now),
        };
        for (trigger, place) in Trigger::ALL.into_iter().zip(0..) {
            if !wants(self, trigger) {
                continue;
            }
            match trigger {
                Trigger::Command => self.requested = self.requested.saturating_sub(1),
                Trigger::Random => self.random.advance(now),
                Trigger::Reject
                | Trigger::Disagree
                | Trigger::Outside
                | Trigger::Margin
                | Trigger::Drift => {
                    let taken = self.taken.get_mut::<usize>(place)?;
                    let has_budget = *taken < self.per_day;
                    if trigger == Trigger::Drift {
                        // What the budget does not allow today is not made up for tomorrow.
                        let left = self.after_alarm.saturating_sub(1);
                        self.after_alarm = if has_budget { left } else { 0 };
                    }
                    if !has_budget {
                        continue;
                    }
                    *taken += 1;
                }
            }
            return Some(trigger);
        }
        None
    }
}

/// Random times at which the next input is captured: one in each of equal parts of a day. Inputs of
/// busy and of quiet hours are chosen alike (stratified sampling by time).
#[derive(Debug)]
struct RandomTimes {
    /// The length of a part in microseconds; 0 if nothing is captured at random.
    part: i64,
    next: Option<Timestamp>,
}

impl RandomTimes {
    fn new(per_day: u32) -> Self {
        let part = if per_day == 0 { 0 } else { DAY / i64::from(per_day) };
        Self { part, next: None }
    }

    fn is_due(&mut self, now: Now) -> bool {
        if self.part == 0 {
            return false;
        }
        let (part, wall) = (self.part, now.wall);
        let next = *self.next.get_or_insert_with(|| within(wall.0.div_euclid(part), part));
        // After the clock was set back, the next time is more than two parts away.
        if next.0 > wall.0.saturating_add(part.saturating_mul(2)) {
            self.next = None;
            return false;
        }
        wall >= next
    }

    /// Chooses a time in the next part. It is the current one if no input came in the rest of the last.
    fn advance(&mut self, now: Now) {
        let part_of = |time: Timestamp| time.0.div_euclid(self.part.max(1));
        let next = self.next.map_or(i64::MIN, |next| part_of(next).saturating_add(1));
        self.next = Some(within(next.max(part_of(now.wall)), self.part));
    }
}

/// A random time in this part.
fn within(part: i64, length: i64) -> Timestamp {
    let offset = fastrand::i64(0..length.max(1));
    Timestamp(part.saturating_mul(length).saturating_add(offset))
}
