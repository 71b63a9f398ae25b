//! `inferd status`

use std::time::Duration;

use indicatif::HumanDuration;
use serde_json::Value;

use super::local::{Daemon, bytes, list, number, text};
use super::terminal::{print, print_json, table};
use super::{Exit, Failure, models};
use crate::control::Ask;

/// Show how the running daemon is; exit code 0 if it is well
///
/// Ends with 1 where something needs a person: the store cannot be used, or a model serves that was
/// not chosen. Ends with 69 where no daemon answers. A broker that is away is shown and is no
/// failure: the daemon waits for it, and no restart brings it back. So this is a container's health
/// check.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd status
  inferd status --json | jq .health.queue
  HEALTHCHECK CMD [\"inferd\", \"status\"]             in a Dockerfile")]
pub(super) struct Args {
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object: healthy, problems, health (as on the health topic), models
    #[arg(long)]
    json: bool,
}

pub(super) fn status(args: &Args) -> Result<(), Failure> {
    let answer = args.daemon.ask(Ask::Status)?;
    if args.json {
        print_json(&answer)?;
    } else {
        print(&shown(&answer))?;
    }
    let healthy = answer.get("healthy").and_then(Value::as_bool) == Some(true);
    if healthy { Ok(()) } else { Err(Failure::said(Exit::Failed)) }
}

fn shown(answer: &Value) -> String {
    let health = &answer["health"];
    let well = if answer["healthy"].as_bool() == Some(true) { "well" } else { "NOT WELL" };
    let up = HumanDuration(Duration::from_secs(number(health, "/uptime_s")));
    let mut out = format!("inferd {} is {well}, up {up}", text(health, "/version"));
    out += &format!(", {} of memory\n", bytes(health["rss_bytes"].as_u64()));
    for problem in list(answer, "/problems").filter_map(Value::as_str) {
        out += &format!("problem: {problem}\n");
    }
    let connected = health.pointer("/link/connected").and_then(Value::as_bool) == Some(true);
    let broker = if connected { "connected" } else { "away, results wait" };
    out += &format!("broker: {broker}\n");
    let queue = &health["queue"];
    out += &format!("queue:  {}\n\n", waiting(queue));
    out += &streams(health);
    out + "\n" + &models::shown(answer)
}

/// How much waits for the broker, in words.
pub(super) fn waiting(queue: &Value) -> String {
    let memory = number(queue, "/memory_records");
    let disk = match queue.get("disk").filter(|disk| !disk.is_null()) {
        Some(disk) => {
            let taken = bytes(disk["disk_bytes"].as_u64());
            let syncs = number(queue, "/syncs_per_hour");
            let records = number(disk, "/records");
            format!("{records} results on disk (the database takes {taken}, {syncs} syncs an hour)")
        }
        None => "the store is closed".to_owned(),
    };
    let lost: u64 = lost(queue).iter().map(|(_, _, count)| count).sum();
    let lost = if lost > 0 { format!(", {lost} lost since the start") } else { String::new() };
    format!("{disk}, {memory} in memory{lost}; mode {}", text(queue, "/mode"))
}

/// Results that will never arrive: stream, reason, count.
pub(super) fn lost(queue: &Value) -> Vec<(&str, &str, u64)> {
    let streams = queue["lost"].as_object().into_iter().flatten();
    let mut lost = Vec::new();
    for (stream, reasons) in streams {
        for (reason, count) in reasons.as_object().into_iter().flatten() {
            lost.push((stream.as_str(), reason.as_str(), count.as_u64().unwrap_or(0)));
        }
    }
    lost
}

fn streams(health: &Value) -> String {
    let header = ["STREAM", "MESSAGES", "PREDICTIONS", "REJECTED", "DROPPED", "P99 MS"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (name, stream) in health["streams"].as_object().into_iter().flatten() {
        let rejects = stream["rejects"].as_object().into_iter().flatten();
        let rejected: u64 = rejects.filter_map(|(_, count)| count.as_u64()).sum();
        let p99 = Duration::from_micros(number(stream, "/latency/p99_us")).as_secs_f64() * 1e3;
        let count = |field: &str| number(stream, field).to_string();
        let mut row = vec![name.clone(), count("/messages"), count("/predictions")];
        row.extend([rejected.to_string(), count("/dropped"), format!("{p99:.1}")]);
        rows.push(row);
    }
    table(&rows)
}
