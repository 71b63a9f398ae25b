//! Under which conditions gateways update: what of a deployment does not change with its waves.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{parse_size, parse_span};
use crate::terminal::{Exit, Failure};
use crate::update::{Source, TimeOfDay, Trial, Window};

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Terms")]
pub(in crate::ctl) struct Terms {
    /// Where gateways fetch from, in this order: mqtt, or a URL with {sha256} in it
    #[arg(long, value_name = "SOURCE", default_value = "mqtt", value_parser = source)]
    source: Vec<Source>,
    /// Gateways that have not switched by then give it up
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_span)]
    expires: Duration,
    /// Nobody begins before
    #[arg(long, value_name = "TIME", value_parser = time)]
    not_before: Option<Timestamp>,
    /// Fetching begins only then, every day, UTC: 22:00-05:30
    #[arg(long, value_name = "FROM-TO", value_parser = window)]
    window: Vec<Window>,
    /// Gateways of a wave begin at random within this span; longer than a trial in a large fleet
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = parse_span)]
    spread: Duration,
    /// Bytes a second that each gateway fetches at most
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_rate: Option<u64>,
    /// Live windows on which the new model must agree with the active one before the switch; 0 for none [default: 20,
    /// for a rollback 0]
    ///
    /// Nine predictions in ten must agree. Give 0 where the new model is meant to answer otherwise, or where the
    /// active one is wrong.
    #[arg(long, value_name = "RUNS")]
    shadow: Option<u32>,
    /// Runs after the switch that must go well
    #[arg(long, value_name = "RUNS", default_value_t = Trial::default().min_runs)]
    trial_min_runs: u32,
    /// A model that is asked less often is kept after this span
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = parse_span)]
    trial_max: Duration,
    /// The share of failed runs that ends a trial
    #[arg(long, value_name = "SHARE", default_value_t = Trial::default().max_error_rate)]
    trial_max_error_rate: f64,
    /// Times the old model's latency that ends a trial
    #[arg(long, value_name = "TIMES", default_value_t = Trial::default().max_slowdown)]
    trial_max_slowdown: f64,
}

impl Terms {
    pub(super) fn sources(&self) -> Vec<Source> {
        self.source.clone()
    }

    pub(super) fn windows(&self) -> Vec<Window> {
        self.window.clone()
    }

    pub(super) fn times(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let begin = self.not_before.unwrap_or(now);
        (begin, begin.max(now).plus(self.expires))
    }

    pub(super) fn spread_s(&self) -> Result<u32, Failure> {
        seconds("--spread", self.spread)
    }

    pub(super) fn max_rate(&self) -> u64 {
        self.max_rate.unwrap_or(0)
    }

    /// The shadow runs; as many as `usual` where the operator did not say.
    pub(super) fn shadow(&self, usual: u32) -> u32 {
        self.shadow.unwrap_or(usual)
    }

    pub(super) fn trial(&self) -> Result<Trial, Failure> {
        Ok(Trial {
            min_runs: self.trial_min_runs,
            max_s: seconds("--trial-max", self.trial_max)?,
            max_error_rate: self.trial_max_error_rate,
            max_slowdown: self.trial_max_slowdown,
        })
    }
}

fn seconds(option: &str, span: Duration) -> Result<u32, Failure> {
    u32::try_from(span.as_secs())
        .map_err(|_| Failure::new(Exit::Usage, format!("{option}: longer than a century")))
}

fn source(text: &str) -> Result<Source, String> {
    Source::try_from(text.to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "not an RFC 3339 time".to_owned())
}

fn window(text: &str) -> Result<Window, String> {
    let (from, to) = text.split_once('-').ok_or("not a span such as 22:00-05:30")?;
    let time = |text: &str| TimeOfDay::try_from(text.to_owned());
    Ok(Window { from: time(from)?, to: time(to)? })
}
