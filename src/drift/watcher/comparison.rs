//! The windows of a stream beside a baseline.

use std::sync::Arc;

use super::channel::{ChannelWatch, EVENTS};
use super::labels::LabelWatch;
use super::number::{Level, NumberWatch};
use crate::drift::baseline::{Baseline, NumberBaseline};
use crate::drift::quantity::{Features, Quantities};
use crate::drift::report::{DriftState, QuantityReport};

/// One watch for each quantity that the baseline has.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    baseline: Arc<Baseline>,
    numbers: Vec<Option<PlacedNumber>>,
    channels: Vec<Option<ChannelWatch>>,
    labels: Option<LabelWatch>,
}

/// The watch of a number, and the place of that number in the baseline. The bounds of the bins stay
/// there, which streams with one model share.
#[derive(Clone, Debug)]
pub(super) struct PlacedNumber {
    watch: NumberWatch,
    place: u32,
}

/// A quantity of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowQuantity {
    Number(usize),
    /// A channel and the place of its event.
    Event(usize, usize),
    Labels,
}

/// The worst quantity so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worst<Q> {
    pub(super) state: DriftState,
    pub(super) level: Level,
    /// What comes in is the cause of what goes out.
    pub(super) is_input: bool,
    pub(super) quantity: Q,
}

impl<Q> Worst<Q> {
    /// By state, inputs before outputs, then by the statistic; of those at their bounds, the event
    /// of a channel before the largest shift.
    fn weight(&self) -> (DriftState, bool, f64) {
        let shift = self.level.shift.map_or(7.0, f64::abs).min(7.0);
        (self.state, self.is_input, self.level.share.min(1.25) + shift / 100.0)
    }

    pub(super) fn is_worse_than<P>(&self, other: &Worst<P>) -> bool {
        self.weight() > other.weight()
    }
}

impl Comparison {
    pub(super) fn new(quantities: &Quantities, baseline: Arc<Baseline>, between: f64) -> Self {
        let number = |(index, name): (usize, String)| {
            let place = baseline.numbers.iter().position(|known| known.name == name)?;
            let known = baseline.numbers.get(place)?;
            let watch = NumberWatch::new(known, quantities.resolution(index), between);
            Some(PlacedNumber { watch, place: u32::try_from(place).ok()? })
        };
        #[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53")]
        let windows = baseline.windows as f64;
        let channel = |channel: &crate::drift::quantity::Channel| {
            let known = baseline.channel(&channel.name)?;
            Some(ChannelWatch::new(channel, known, windows, between))
        };
        let inflation = inflation(quantities, &baseline);
        let labels = baseline.labels.as_ref();
        Self {
            numbers: quantities.names().enumerate().map(number).collect(),
            channels: quantities.channels.iter().map(channel).collect(),
            labels: labels.map(|labels| LabelWatch::new(labels, inflation, between)),
            baseline,
        }
    }

    pub(super) fn set_thresholds(&mut self, quantities: &Quantities, between: f64) {
        for (index, number) in self.numbers.iter_mut().enumerate() {
            if let Some(PlacedNumber { watch, place }) = number
                && let Some(known) = number_at(&self.baseline, *place)
            {
                watch.set_thresholds(known, quantities.resolution(index), between);
            }
        }
        self.channels.iter_mut().flatten().for_each(|channel| channel.set_threshold(between));
        let inflation = inflation(quantities, &self.baseline);
        if let (Some(watch), Some(known)) = (&mut self.labels, &self.baseline.labels) {
            watch.set_threshold(known, inflation, between);
        }
    }

    /// Adds a window. Returns whether a statistic changed.
    pub(super) fn window(&mut self, features: &Features, now: u32) -> bool {
        let mut changed = false;
        for (number, value) in self.numbers.iter_mut().zip(&features.numbers) {
            if let Some(PlacedNumber { watch, place }) = number
                && let Some(known) = number_at(&self.baseline, *place)
            {
                changed |= watch.add(known, *value, now);
            }
        }
        for (watch, extremes) in self.channels.iter_mut().zip(&features.extremes) {
            if let Some(watch) = watch {
                changed |= watch.add(*extremes, now);
            }
        }
        if let (Some(watch), Some(label)) = (&mut self.labels, features.label) {
            changed |= watch.add(label);
        }
        changed
    }

    pub(super) fn is_outside(&self, features: &Features) -> bool {
        let channels = self.channels.iter().zip(&features.extremes);
        channels
            .flat_map(|(watch, extremes)| Some((watch.as_ref()?, *extremes)))
            .any(|(watch, extremes)| watch.is_outside(extremes))
    }

    /// The worst quantity.
    pub(super) fn judge(&mut self) -> Worst<WindowQuantity> {
        let quantity = WindowQuantity::Labels;
        let (state, level) = (DriftState::Ok, Level::default());
        let mut worst = Worst { state, level, is_input: false, quantity };
        let inputs = self.channels.len() * 2;
        let mut see = |(state, level): (DriftState, Level), quantity| {
            let is_input = match quantity {
                WindowQuantity::Number(index) => index < inputs,
                WindowQuantity::Event(..) => true,
                WindowQuantity::Labels => false,
            };
            let seen = Worst { state, level, is_input, quantity };
            if seen.is_worse_than(&worst) {
                worst = seen;
            }
        };
        for (index, number) in self.numbers.iter_mut().enumerate() {
            if let Some(number) = number {
                see(number.watch.judge(), WindowQuantity::Number(index));
            }
        }
        for (channel, watch) in self.channels.iter_mut().enumerate() {
            let events = watch.iter_mut().flat_map(ChannelWatch::events_mut);
            for (name, event) in events {
                let place = EVENTS.iter().position(|known| *known == name).unwrap_or_default();
                see(event.judge(), WindowQuantity::Event(channel, place));
            }
        }
        if let Some(watch) = &mut self.labels {
            see(watch.judge(), WindowQuantity::Labels);
        }
        worst
    }

    pub(super) fn reports(&self, quantities: &Quantities) -> Vec<QuantityReport> {
        let numbers = self.numbers.iter().flatten().filter_map(|number| {
            Some(number.watch.report(number_at(&self.baseline, number.place)?))
        });
        let channels = quantities.channels.iter().zip(&self.channels);
        let channels = channels.filter_map(|(channel, watch)| Some((channel, watch.as_ref()?)));
        let events = channels.flat_map(|(channel, watch)| {
            let named = |(event, watch): (&'static str, &super::rate::RateWatch)| {
                watch.report(format!("{}.{event}", channel.name))
            };
            watch.events().map(named).collect::<Vec<_>>()
        });
        let labels = self.labels.iter().map(LabelWatch::report);
        numbers.chain(events).chain(labels).collect()
    }
}

fn number_at(baseline: &Baseline, place: u32) -> Option<&NumberBaseline> {
    baseline.numbers.get(usize::try_from(place).ok()?)
}

impl WindowQuantity {
    pub(super) fn name(self, quantities: &Quantities) -> String {
        match self {
            Self::Number(index) => quantities.name(index),
            Self::Event(channel, event) => {
                let channel = quantities.channels.get(channel).map_or("", |c| c.name.as_str());
                format!("{channel}.{}", EVENTS.get(event).copied().unwrap_or_default())
            }
            Self::Labels => "labels".to_owned(),
        }
    }
}

/// How many dependent windows say as much as an independent one: the largest of all numbers.
fn inflation(quantities: &Quantities, baseline: &Baseline) -> f64 {
    let names = quantities.names().enumerate();
    let known = names.filter_map(|(index, name)| Some((index, baseline.number(&name)?)));
    let inflation = known.map(|(index, number)| {
        let blocks = number.blocks.choose(quantities.resolution(index));
        f64::from(blocks.length) * (blocks.sd / blocks.window_sd).powi(2)
    });
    inflation.fold(1.0, f64::max)
}
