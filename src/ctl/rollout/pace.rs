//! The pace of a rollout: its waves, and when the next one starts.

use std::time::Duration;

use super::waves::{Wave, parse_wave};
use crate::config::parse_duration;
use crate::ctl::simulate::parse_percent;

/// The options of `rollout start`, `rollout resume` and `rollback` that set the pace.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::ctl) struct PaceArgs {
    /// Shares of the fleet or numbers of gateways, in increasing order [default: 1%,10%,50%,100%; for a
    /// rollback 100%; for a resumed rollout as reported by its controller]
    #[arg(long, value_delimiter = ',', value_parser = parse_wave)]
    waves: Vec<Wave>,
    /// Soak time: how long each wave is observed at least [default: 10m; for a rollback 0s]
    #[arg(long, value_name = "SPAN", value_parser = parse_duration)]
    soak: Option<Duration>,
    /// Share of failures above which the rollout is aborted [default: 5%; for a rollback 50%]
    #[arg(long, value_parser = parse_percent)]
    abort_above: Option<f64>,
    /// Number of reports from which on that share is evaluated (all of a smaller wave) [default: 10]
    #[arg(long, value_name = "N")]
    min_reports: Option<usize>,
    /// Do not wait for gateways that have been offline longer than this [default: wait for all]
    ///
    /// They update when they return, until the deployment expires.
    #[arg(long, value_name = "SPAN", value_parser = parse_duration)]
    pub(super) skip_offline: Option<Duration>,
}

/// The pace of a rollout.
#[derive(Clone, Debug)]
pub(in crate::ctl) struct Pace {
    pub(in crate::ctl) waves: Vec<Wave>,
    pub(in crate::ctl) soak: Duration,
    /// 0 to 1.
    pub(in crate::ctl) abort_above: f64,
    pub(in crate::ctl) min_reports: usize,
    pub(in crate::ctl) skip_offline: Option<Duration>,
}

impl Pace {
    /// The default of `rollout start`.
    pub(in crate::ctl) fn of_release() -> Self {
        let waves = [1.0, 10.0, 50.0, 100.0].map(Wave::Percent).to_vec();
        Self {
            waves,
            soak: Duration::from_mins(10),
            abort_above: 0.05,
            min_reports: 10,
            skip_offline: None,
        }
    }

    /// The default of `rollback`: the whole fleet at once.
    pub(in crate::ctl) fn of_rollback() -> Self {
        let waves = vec![Wave::Percent(100.0)];
        Self { waves, soak: Duration::ZERO, abort_above: 0.5, min_reports: 10, skip_offline: None }
    }
}

impl PaceArgs {
    /// The options that were given and are a part of every record file.
    pub(super) fn recorded(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            (!self.waves.is_empty(), "--waves"),
            (self.soak.is_some(), "--soak"),
            (self.abort_above.is_some(), "--abort-above"),
            (self.min_reports.is_some(), "--min-reports"),
        ];
        given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, option)| option)
    }

    /// The pace that was asked for; `default` for what was not.
    pub(in crate::ctl) fn or(&self, default: Pace) -> Pace {
        Pace {
            waves: if self.waves.is_empty() { default.waves } else { self.waves.clone() },
            soak: self.soak.unwrap_or(default.soak),
            abort_above: self.abort_above.map_or(default.abort_above, |percent| percent / 100.0),
            min_reports: self.min_reports.unwrap_or(default.min_reports),
            skip_offline: self.skip_offline.or(default.skip_offline),
        }
    }
}
