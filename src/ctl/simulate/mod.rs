//! `inferctl simulate`

mod fleet;
mod gateway;
mod release;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::terminal::{Exit, Failure, print, print_json, table};

/// Simulate a rollout to a fleet
///
/// Every gateway runs the update state machine of real gateways with real signatures, in virtual
/// time; the broker, lost chunks, power cuts and failing models are simulated. Shows how many
/// gateways a bad release reaches, how long the waves take, and the load on the broker.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl simulate --gateways 10000
  inferctl simulate --gateways 10000 --failing 8% --abort-above 5% --json
  inferctl simulate --gateways 2000 --waves 5%,100% --soak-s 300 --loss 2% --power-cuts 10%")]
pub(super) struct Args {
    /// Number of gateways
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    gateways: usize,
    /// The waves of the rollout
    #[arg(long, value_delimiter = ',', default_value = "1%,10%,50%,100%")]
    #[arg(value_parser = parse_percent)]
    waves: Vec<f64>,
    /// Soak time: how long each wave is observed, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800)]
    soak_s: u64,
    /// Share of failures above which the rollout is aborted
    #[arg(long, default_value = "5%", value_parser = parse_percent)]
    abort_above: f64,
    /// Number of reports from which on that share is evaluated
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_reports: usize,
    /// Share of gateways on which the model fails its trial
    #[arg(long, default_value = "0%", value_parser = parse_percent)]
    failing: f64,
    /// Share of chunks that are lost
    #[arg(long, default_value = "1%", value_parser = parse_percent)]
    loss: f64,
    /// Share of gateways that lose power once during the update
    #[arg(long, default_value = "1%", value_parser = parse_percent)]
    power_cuts: f64,
    /// Size of the model in KiB
    #[arg(long, value_name = "KIB", default_value_t = 12)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16384))]
    model_kib: u32,
    /// Gateways start at a random time within this many seconds; choose more than a trial takes, or
    /// all gateways of a wave switch before the first failure is reported
    #[arg(long, value_name = "S", default_value_t = 900)]
    spread_s: u32,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "not a percentage from 0% to 100%".to_owned())
}

/// The outcome of the simulation.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
struct Outcome {
    gateways: usize,
    /// Gateways that downloaded any part of the release.
    touched: usize,
    /// Gateways that activated it at any time.
    switched: usize,
    committed: usize,
    rolled_back: usize,
    aborted: bool,
    waves: Vec<Wave>,
    chunks: u64,
    peak_chunks_per_s: u64,
    /// Published deployments; chunks are published once.
    controller_messages: u64,
    simulated_s: u64,
}

/// A wave that was started.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
struct Wave {
    percent: f64,
    began_s: u64,
    /// When the update had ended on the last gateway of this and earlier waves.
    last_report_s: u64,
    reports: u64,
}

pub(super) fn simulate(args: &Args) -> Result<(), Failure> {
    if !args.waves.is_sorted() {
        return Err(Failure::new(Exit::Usage, "the waves must be in increasing order"));
    }
    let started = Instant::now();
    let outcome = fleet::run(args)?;
    if args.json {
        return print_json(&outcome);
    }
    print(&render(&outcome, started.elapsed()))
}

fn render(outcome: &Outcome, took: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of gateways")]
    let share = |count: usize| 100.0 * count as f64 / outcome.gateways.max(1) as f64;
    let mut rows = vec![["WAVE", "BEGAN", "LAST REPORT", "REPORTS"].map(str::to_owned).to_vec()];
    rows.extend(outcome.waves.iter().map(|wave| {
        let after = wave.last_report_s.saturating_sub(wave.began_s);
        vec![
            format!("{} %", wave.percent),
            format!("{} s", wave.began_s),
            format!("+{after} s"),
            wave.reports.to_string(),
        ]
    }));
    let end = if outcome.aborted { "aborted" } else { "done" };
    format!(
        "{}\n{end} after {} simulated seconds ({:.1} s here)\n\
         touched {} of {} gateways ({:.2} %), {} ran it, {} committed, {} rolled back\n\
         {} chunks fetched, at most {} in a second; {} messages by the controller\n",
        table(&rows),
        outcome.simulated_s,
        took.as_secs_f64(),
        outcome.touched,
        outcome.gateways,
        share(outcome.touched),
        outcome.switched,
        outcome.committed,
        outcome.rolled_back,
        outcome.chunks,
        outcome.peak_chunks_per_s,
        outcome.controller_messages,
    )
}
