//! `inferd demo`

use crate::config::ConfigError;
use crate::demo::{self, DemoOptions, Demonstration};
use crate::link::Fault;
use crate::terminal::{Exit, Failure};

/// Run the whole pipeline on recordings: sensors, broker, model, predictions
///
/// Starts a broker and the daemon in this process, replays recordings over MQTT, and prints each
/// prediction as it arrives. `motion` has forty recordings of smart watches, and ends with the
/// accuracy, the throughput and the latencies. `vibration` has the vibration of two pumps, which is
/// simulated: raw samples become spectral features (docs/features.md), and a damaged bearing is found.
/// Needs no configuration and leaves no files behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  inferd demo                                   at ten times the recorded speed
  inferd demo vibration                         simulated pumps, one with a damaged bearing
  inferd demo --speed 1 --watches 4             at the recorded speed, on four watches
  inferd demo --speed 0 --json                  as fast as possible, with JSON output
  inferd demo --broker mqtt://localhost:1883    over your own broker")]
pub(super) struct Args {
    /// What is demonstrated
    #[arg(value_name = "DEMO", default_value = "motion", value_parser = ["motion", "vibration"])]
    demonstration: String,
    /// Use this broker instead of the embedded one
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Playback speed as a multiple of the recorded one; 0 is as fast as possible
    #[arg(long, default_value_t = 10.0, value_parser = speed)]
    speed: f64,
    /// Number of simulated watches that share the recordings of `motion`
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=40))]
    watches: u8,
    /// Print one JSON object with the results
    #[arg(long)]
    json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1000.0).contains(&speed) { Ok(speed) } else { Err("0 to 1000 is allowed".into()) }
}

pub(super) fn demo(args: &Args) -> Result<(), Failure> {
    let demonstration = match args.demonstration.as_str() {
        "vibration" => Demonstration::Vibration,
        _ => Demonstration::Motion,
    };
    let options = DemoOptions {
        demonstration,
        broker: args.broker.clone(),
        speed: args.speed,
        watches: usize::from(args.watches),
        json: args.json,
    };
    demo::run(&options).map_err(|error| Failure::new(exit(&error), format!("{error:#}")))
}

fn exit(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<Fault>().is_some() {
        Exit::Unavailable
    } else if error.downcast_ref::<ConfigError>().is_some() {
        Exit::Config
    } else {
        Exit::Failed
    }
}
