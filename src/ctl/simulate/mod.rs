//! `inferctl simulate`

mod fleet;
mod gateway;
mod release;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::terminal::{Exit, Failure, print, print_json, table};

/// Try a rollout on a simulated fleet
///
/// Every gateway is the machine that real ones run, with real signatures, in virtual time; broker,
/// losses, power cuts and failing models are simulated. Shows how far a bad release gets, how long
/// the waves take, and what the broker must bear.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl simulate --gateways 10000
  inferctl simulate --gateways 10000 --failing 8% --abort-above 5% --json
  inferctl simulate --gateways 2000 --waves 5%,100% --soak-s 300 --loss 2% --power-cuts 10%")]
pub(super) struct Args {
    /// How many gateways
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    gateways: usize,
    /// The waves of the rollout
    #[arg(long, value_delimiter = ',', default_value = "1%,10%,50%,100%", value_parser = percent)]
    waves: Vec<f64>,
    /// How long each wave is watched, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800)]
    soak_s: u64,
    /// The share of failures that stops the rollout
    #[arg(long, default_value = "5%", value_parser = percent)]
    abort_above: f64,
    /// How many reports there must be before that share counts
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_reports: usize,
    /// Gateways on which the model fails its trial
    #[arg(long, default_value = "0%", value_parser = percent)]
    failing: f64,
    /// Chunks that never arrive
    #[arg(long, default_value = "1%", value_parser = percent)]
    loss: f64,
    /// Gateways that lose power once while they update
    #[arg(long, default_value = "1%", value_parser = percent)]
    power_cuts: f64,
    /// The size of the model in KiB
    #[arg(long, value_name = "KIB", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=16384))]
    model_kib: u32,
    /// Gateways begin at random within so many seconds of a wave; longer than a trial, or the
    /// whole wave has switched before the first failure is known
    #[arg(long, value_name = "S", default_value_t = 900)]
    spread_s: u32,
    /// Another seed is another fleet with another luck
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "not a percentage from 0% to 100%".to_owned())
}

/// What became of the fleet.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
struct Outcome {
    gateways: usize,
    /// Gateways that fetched anything of the release.
    touched: usize,
    /// Gateways that ever ran it.
    switched: usize,
    committed: usize,
    rolled_back: usize,
    aborted: bool,
    waves: Vec<Wave>,
    chunks: u64,
    peak_chunks_per_s: u64,
    /// Deployments published; the chunks are published once.
    controller_messages: u64,
    simulated_s: u64,
}

/// A wave that was begun.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
struct Wave {
    percent: f64,
    began_s: u64,
    /// When the last gateway of the fleet so far had ended.
    last_report_s: u64,
    reports: u64,
}

pub(super) fn simulate(args: &Args) -> Result<(), Failure> {
    if !args.waves.is_sorted() {
        return Err(Failure::new(Exit::Usage, "waves must rise"));
    }
    let started = Instant::now();
    let outcome = fleet::run(args)?;
    if args.json {
        return print_json(&outcome);
    }
    print(&shown(&outcome, started.elapsed()))
}

fn shown(outcome: &Outcome, took: Duration) -> String {
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
