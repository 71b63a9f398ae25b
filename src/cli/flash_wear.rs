//! Estimates how much saved windows write to flash in a day.

use std::time::Duration;

use serde::Serialize;

use crate::bundle::VerifiedModel;
use crate::bundle::card::Card;
use crate::cli::daemon_client::bytes;
use crate::config::{Config, Stream, WindowSafety};
use crate::terminal::table;
use crate::{daemon, pipeline};

/// Device bytes for each save, for each byte of a checkpoint, and for each byte added to a journal
/// (including its periodic rewrites): upper bounds of the figures that `comparisons/store/run`
/// measured on ext4.
const A_SAVE: f64 = 24_000.0;
const A_BYTE: f64 = 1.3;
const AN_ADDED_BYTE: f64 = 1.25;
const DAY: f64 = 86_400.0;

/// The assumed input rate.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Rate {
    /// Samples per second from each device, for the estimate of what saved windows write
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = positive)]
    rate: f64,
    /// Devices per stream, for the same estimate
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
}

impl Rate {
    /// Warnings about settings that do not fit this rate and number of devices.
    pub(super) fn advice(self, stream: &Stream, card: &Card) -> Vec<String> {
        let mut advice = Vec::new();
        let interval = Duration::from_secs_f64(1.0 / self.rate);
        let name = &stream.name;
        if let Some(join) = stream.join.as_ref().filter(|join| interval > join.hold) {
            advice.push(format!(
                "stream {name}: with --rate {} the values of a channel are {interval:?} apart and \
                 join.hold is {:?}: a value is missing before the next one arrives",
                self.rate, join.hold
            ));
        }
        let Some(window) = &card.window else { return advice };
        if let Some(max_gap) = window.max_gap.filter(|&gap| interval > gap) {
            advice.push(format!(
                "stream {name}: with --rate {} samples are {interval:?} apart and the card's \
                 window.max_gap is {max_gap:?}: no window can fill",
                self.rate
            ));
        }
        if interval > stream.key_ttl {
            advice.push(format!(
                "stream {name}: with --rate {} samples are {interval:?} apart and a device is \
                 evicted after key_ttl = {:?}: no window can fill",
                self.rate, stream.key_ttl
            ));
        }
        if usize::try_from(self.devices).is_ok_and(|devices| devices > stream.max_keys) {
            advice.push(format!(
                "stream {name}: --devices {} is more than max_keys = {}: devices that send in turn \
                 evict each other's windows",
                self.devices, stream.max_keys
            ));
        }
        advice
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| "not a number above 0 and at most 1000000".to_owned())
}

/// Estimated device bytes a day for the saved windows of one stream, without queued results.
#[derive(Debug, Serialize)]
pub(super) struct FlashWear {
    stream: String,
    windows: &'static str,
    bytes_per_day: u64,
    /// The same for the other settings.
    with_checkpoint: u64,
    with_journal: u64,
}

impl FlashWear {
    /// `None` for a stream without windows.
    pub(super) fn of(
        config: &Config,
        stream: &Stream,
        loaded: &VerifiedModel,
        rate: Rate,
    ) -> Option<Self> {
        let (card, model) = (&loaded.card, &loaded.model);
        let windows = pipeline::saved_windows_size(
            stream,
            card,
            model.inputs(),
            model.outputs(),
            rate.devices,
        )?;
        let size = windows + daemon::seen_bytes(config.broker.receive_maximum);
        let sample = pipeline::journal_sample_size(stream, card, model.inputs(), model.outputs())?;
        let samples = rate.rate * f64::from(rate.devices);
        let with_checkpoint = checkpoint(size, config.store.checkpoint_interval, samples);
        let with_journal = journal(sample, config.store.group_delay, samples);
        let (windows, bytes_per_day) = match stream.windows {
            WindowSafety::Memory => ("memory", 0),
            WindowSafety::Checkpoint => ("checkpoint", with_checkpoint),
            WindowSafety::Journal => ("journal", with_journal),
        };
        let stream = stream.name.to_string();
        Some(Self { stream, windows, bytes_per_day, with_checkpoint, with_journal })
    }
}

fn checkpoint(size: u64, interval: Duration, samples_a_second: f64) -> u64 {
    whole(saves(interval, samples_a_second) * (A_SAVE + A_BYTE * real(size)))
}

fn journal(sample: u64, interval: Duration, samples_a_second: f64) -> u64 {
    let added = samples_a_second * DAY * real(sample);
    whole(saves(interval, samples_a_second) * A_SAVE + AN_ADDED_BYTE * added)
}

/// A save comes one interval after the first sample that the one before does not have.
fn saves(interval: Duration, samples_a_second: f64) -> f64 {
    DAY / (interval.as_secs_f64() + 1.0 / samples_a_second)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn real(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, and positive"
)]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

pub(super) fn render(rows: &[FlashWear], rate: Rate) -> String {
    let Rate { rate, devices } = rate;
    let header = ["STREAM", "WINDOWS", "WRITES A DAY", "AS CHECKPOINT", "AS JOURNAL"];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|row| {
        let day = [row.bytes_per_day, row.with_checkpoint, row.with_journal];
        let mut cells = vec![row.stream.clone(), row.windows.to_owned()];
        cells.extend(day.map(|day| bytes(Some(day))));
        cells
    }));
    format!(
        "Estimated writes of saved windows at {rate} samples a second from each of {devices} \
         devices (--rate, --devices):\n{}\n",
        table(&cells)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_save_for_every_interval_or_for_every_sample() {
        let interval = Duration::from_millis(500);
        let busy = checkpoint(10_000, interval, 1e6);
        let saves = 2.0 * DAY * (A_SAVE + A_BYTE * 10_000.0);
        assert!((busy as f64 / saves - 1.0).abs() < 1e-3, "{busy}");
        let quiet = checkpoint(10_000, interval, 1.0 / 3_600.0);
        assert!(quiet < busy / 6_000, "{quiet}");
    }

    /// Figures of `comparisons/store/run`: devices of ten samples a second with six channels, GB a day.
    #[test]
    fn a_journal_is_estimated_a_little_above_what_was_measured() {
        for (devices, measured) in [(1.0, 3.2), (10.0, 4.4), (100.0, 8.0), (1_000.0, 49.6)] {
            let estimate = journal(46, Duration::from_millis(500), 10.0 * devices) as f64 / 1e9;
            assert!((measured..1.35 * measured).contains(&estimate), "{devices}: {estimate}");
        }
    }
}
