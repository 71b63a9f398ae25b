//! The times of a device's values: which are late, and which say that its clock was set back.

use super::plan::JoinPlan;
use super::rows::ChannelValues;

/// Stands for no time.
pub(super) const NEVER: i64 = i64::MIN;

/// The times of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeOrder {
    /// The latest time of any channel, or [`NEVER`].
    pub(super) newest: i64,
    /// Channels whose last value was refused because it was too late, with its time. Empty once a
    /// value is in order.
    pub(super) behind: Vec<(usize, i64)>,
}

/// What a time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts as this time.
    InOrder(i64),
    Late,
    /// The clock was set back by this much.
    SetBack(i64),
}

impl Default for TimeOrder {
    fn default() -> Self {
        Self { newest: NEVER, behind: Vec::new() }
    }
}

impl TimeOrder {
    /// Judges the time of values; `is_late` if its place is decided already, `last` is the latest
    /// time of each channel.
    ///
    /// Values further back than [`JoinPlan::reach`] are refused, but noted: once all channels that
    /// are held are that far back, and one of them goes on from there, the device's clock was set
    /// back. Old values of one channel among new ones of another change nothing. Times of arrival
    /// never go back; the wall clock may.
    pub(super) fn judge(
        &mut self,
        given: &ChannelValues<'_>,
        is_late: bool,
        last: impl Iterator<Item = i64>,
        plan: &JoinPlan,
    ) -> Verdict {
        let time = given.time;
        let back = if self.newest == NEVER { 0 } else { self.newest.saturating_sub(time) };
        let is_far = back > plan.reach();
        if given.by_arrival {
            return match is_far {
                true => Verdict::SetBack(back),
                false => Verdict::InOrder(time.max(self.newest)),
            };
        }
        if !is_late {
            self.behind.clear();
            return Verdict::InOrder(time);
        }
        if !is_far {
            return Verdict::Late;
        }
        let behind = |channel: usize| self.behind.iter().find(|(of, _)| *of == channel);
        let is_held = |last: i64| last != NEVER && self.newest.saturating_sub(last) <= plan.hold;
        let all =
            last.enumerate().all(|(channel, last)| !is_held(last) || behind(channel).is_some());
        let on =
            |(channel, _): &(usize, f64)| behind(*channel).is_some_and(|(_, then)| *then < time);
        if all && given.values.iter().any(on) {
            return Verdict::SetBack(back);
        }
        for (channel, _) in given.values {
            match self.behind.iter_mut().find(|(of, _)| of == channel) {
                Some((_, then)) => *then = time,
                None => self.behind.push((*channel, time)),
            }
        }
        Verdict::Late
    }
}
