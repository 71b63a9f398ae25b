//! The last value of each channel, and a sample with each of them or with all.

use super::order::NEVER;
use super::plan::JoinPlan;
use super::rows::JoinedRows;

/// The last value of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LastValue {
    /// [`NEVER`] if there is none.
    pub(super) time: i64,
    pub(super) value: f64,
    /// It is in no sample yet.
    pub(super) is_new: bool,
}

impl LastValue {
    pub(super) const NONE: Self = Self { time: NEVER, value: 0.0, is_new: false };

    fn is_held(&self, now: i64, hold: i64) -> bool {
        self.time != NEVER && now.saturating_sub(self.time) <= hold
    }
}

/// Whether a value at this time is older than what is there of its channel.
pub(super) fn is_late(last: &[LastValue], values: &[(usize, f64)], time: i64) -> bool {
    let of = |channel: &usize| last.get(*channel).is_some_and(|last| last.time > time);
    values.iter().any(|(channel, _)| of(channel))
}

/// Takes values, and makes a sample if it is due: with `all`, once each channel has a new value.
pub(super) fn add(
    last: &mut [LastValue],
    values: &[(usize, f64)],
    (time, newest): (i64, i64),
    all: bool,
    plan: &JoinPlan,
    rows: &mut JoinedRows,
) {
    let is_second = |(channel, _): &(usize, f64)| last.get(*channel).is_some_and(|it| it.is_new);
    if all && values.iter().any(is_second) {
        // The sample that the value before was for is given up.
        let lacking = last.iter().enumerate().filter(|(_, last)| !last.is_new);
        lacking.for_each(|(channel, _)| rows.miss(channel, 1));
    }
    for (channel, value) in values {
        if let Some(last) = last.get_mut(*channel) {
            *last = LastValue { time, value: *value, is_new: true };
        }
    }
    if all && !last.iter().all(|last| last.is_new) {
        return;
    }
    let mut is_whole = true;
    for (channel, last) in last.iter_mut().enumerate() {
        if !last.is_held(newest, plan.hold) {
            (is_whole, last.is_new) = (false, false);
            rows.miss(channel, 1);
        }
    }
    if is_whole {
        rows.values.extend(last.iter().map(|last| last.value));
        rows.times.push(newest);
        last.iter_mut().for_each(|last| last.is_new = false);
    }
}
