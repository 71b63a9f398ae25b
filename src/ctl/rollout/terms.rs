//! The terms of a deployment, which do not change with its waves.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{parse_duration, parse_size};
use crate::terminal::{Exit, Failure};
use crate::update::{MaintenanceWindow, Source, TimeOfDay, Trial};

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Terms")]
pub(in crate::ctl) struct Terms {
    /// Download sources in order of preference: mqtt, or a URL with {sha256} in it
    #[arg(long, value_name = "SOURCE", default_value = "mqtt", value_parser = parse_source)]
    source: Vec<Source>,
    /// Gateways that have not switched after this time cancel the update
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_duration)]
    expires: Duration,
    /// Earliest start time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    not_before: Option<Timestamp>,
    /// Daily period (UTC) in which downloads may start: 22:00-05:30
    #[arg(long, value_name = "FROM-TO", value_parser = parse_window)]
    window: Vec<MaintenanceWindow>,
    /// Gateways of a wave start at a random time within this span; choose more than a trial takes in a
    /// large fleet
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = parse_duration)]
    spread: Duration,
    /// Download limit of each gateway in bytes per second
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_rate: Option<u64>,
    /// Live windows on which the new model is compared with the active one before the switch; 0 for none
    /// [default: 20, for a rollback 0]
    ///
    /// Nine predictions in ten must agree, or the share of --shadow-min-agreement. Give 0 if the new
    /// model is meant to predict differently.
    #[arg(long, value_name = "RUNS")]
    shadow: Option<u32>,
    /// Share of the shadow runs in which both models must agree, for instance less if the active model
    /// is often wrong [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    shadow_min_agreement: Option<f64>,
    /// Runs of the trial after the switch
    #[arg(long, value_name = "RUNS", default_value_t = Trial::default().min_runs)]
    trial_min_runs: u32,
    /// Longest trial; a model with fewer runs is committed after this time
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = parse_duration)]
    trial_max: Duration,
    /// Share of failed runs above which a trial fails
    #[arg(long, value_name = "SHARE", default_value_t = Trial::default().max_error_rate)]
    trial_max_error_rate: f64,
    /// Slowdown against the previous model above which a trial fails
    #[arg(long, value_name = "TIMES", default_value_t = Trial::default().max_slowdown)]
    trial_max_slowdown: f64,
    /// Accuracy below which a trial fails, by the labels that arrive on `labels.topic` [default: not judged]
    #[arg(long, value_name = "SHARE")]
    trial_min_accuracy: Option<f64>,
    /// Labels from which the accuracy is judged; with fewer, the trial goes on until --trial-max
    #[arg(long, value_name = "N", default_value_t = Trial::default().min_labels)]
    trial_min_labels: u32,
}

impl Terms {
    pub(super) fn sources(&self) -> Vec<Source> {
        self.source.clone()
    }

    pub(super) fn windows(&self) -> Vec<MaintenanceWindow> {
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

    /// The shadow runs; as many as `default` where the operator did not say.
    pub(super) fn shadow(&self, default: u32) -> u32 {
        self.shadow.unwrap_or(default)
    }

    pub(super) fn trial(&self) -> Result<Trial, Failure> {
        Ok(Trial {
            min_runs: self.trial_min_runs,
            max_s: seconds("--trial-max", self.trial_max)?,
            max_error_rate: self.trial_max_error_rate,
            max_slowdown: self.trial_max_slowdown,
            min_agreement: self.shadow_min_agreement,
            min_accuracy: self.trial_min_accuracy,
            min_labels: self.trial_min_labels,
        })
    }
}

fn seconds(option: &str, span: Duration) -> Result<u32, Failure> {
    u32::try_from(span.as_secs())
        .map_err(|_| Failure::new(Exit::Usage, format!("{option}: more than 136 years")))
}

fn parse_source(text: &str) -> Result<Source, String> {
    Source::try_from(text.to_owned())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "not an RFC 3339 time".to_owned())
}

fn parse_window(text: &str) -> Result<MaintenanceWindow, String> {
    let (from, to) = text.split_once('-').ok_or("not a span such as 22:00-05:30")?;
    let time = |text: &str| TimeOfDay::try_from(text.to_owned());
    Ok(MaintenanceWindow { from: time(from)?, to: time(to)? })
}
