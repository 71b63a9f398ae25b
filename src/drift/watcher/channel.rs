//! A channel that stands still, leaves the range of the training data, or is clipped.

use super::number::single;
use super::rate::RateWatch;
use crate::drift::baseline::ChannelBaseline;
use crate::drift::quantity::Channel;

/// Shares that are usual whatever the baseline shows: it is finite.
const CONSTANT_LEAST: f64 = 0.002;
const OUTSIDE_LEAST: f64 = 0.01;
const CLIPPED_LEAST: f64 = 0.01;
/// The share of windows that is to be found soonest.
const RAISED: f64 = 0.25;
/// Values are outside from this share of the range beyond it.
const BEYOND: f64 = 0.05;

#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelWatch {
    range: [f64; 2],
    /// Infinite where the input takes any number.
    limits: [f32; 2],
    /// Constant, outside, clipped.
    events: [Option<RateWatch>; 3],
}

/// The names of the events, in their order.
pub(super) const EVENTS: [&str; 3] = ["constant", "outside", "clipped"];

impl ChannelWatch {
    pub(super) fn new(
        channel: &Channel,
        baseline: &ChannelBaseline,
        windows: f64,
        between: f64,
    ) -> Self {
        let [low, high] = baseline.range;
        let beyond = (high - low).max(0.0) * BEYOND;
        // The extremes of the baseline are passed by some of the same source.
        let outside = OUTSIDE_LEAST.max(4.0 / windows.max(1.0));
        let rate = |usual: f64| RateWatch::new(usual, RAISED, between);
        let clipped = channel.limits.and(rate(CLIPPED_LEAST + 1.5 * baseline.clipped));
        Self {
            range: [low - beyond, high + beyond],
            limits: channel.limits.map_or([f32::NEG_INFINITY, f32::INFINITY], |it| it.map(single)),
            events: [rate(CONSTANT_LEAST + 1.5 * baseline.constant), rate(outside), clipped],
        }
    }

    pub(super) fn set_threshold(&mut self, between: f64) {
        self.events.iter_mut().flatten().for_each(|event| event.set_threshold(between));
    }

    /// Returns whether a state may have changed.
    pub(super) fn add(&mut self, [low, high]: [f64; 2], now: u32) -> bool {
        if low.is_nan() {
            return false;
        }
        let extremes = [low, high];
        let is_clipped = is_beyond(extremes, self.limits.map(f64::from));
        let found = [low == high, self.is_outside(extremes), is_clipped];
        let mut changed = false;
        for (event, happened) in self.events.iter_mut().zip(found) {
            if let Some(event) = event {
                changed |= event.add(happened, now);
            }
        }
        changed
    }

    /// Whether a window with these extremes has values outside of the range of the baseline.
    pub(super) fn is_outside(&self, extremes: [f64; 2]) -> bool {
        is_beyond(extremes, self.range)
    }

    /// The events that are watched, with their names.
    pub(super) fn events(&self) -> impl Iterator<Item = (&'static str, &RateWatch)> {
        EVENTS.into_iter().zip(&self.events).filter_map(|(name, of)| Some((name, of.as_ref()?)))
    }

    pub(super) fn events_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut RateWatch)> {
        EVENTS.into_iter().zip(&mut self.events).filter_map(|(name, of)| Some((name, of.as_mut()?)))
    }
}

fn is_beyond([low, high]: [f64; 2], [least, most]: [f64; 2]) -> bool {
    low < least || high > most
}
