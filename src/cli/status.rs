//! `inferd status`

use std::time::Duration;

use indicatif::HumanDuration;
use serde_json::Value;

use super::models;
use crate::cli::daemon_client::{DaemonArgs, bytes, list, number, text};
use crate::clock::Timestamp;
use crate::control::ControlRequest;
use crate::terminal::{Exit, Failure, print, print_json, table};

/// Show the state of the running daemon: healthy, degraded or failed, and why
///
/// Exits with 0 if the daemon is healthy or degraded, 1 if it has failed, and 69 if no daemon
/// answers. Failed means that somebody has to act: a stream produces nothing, results are lost, or
/// the store or a model is not the configured one. Degraded means that the daemon works with
/// limitations, or waits for something that may recover without intervention, such as the broker.
/// docs/control.md lists the reasons.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd status
  inferd status --fail-on degraded                 for monitoring: also 1 while the broker is unreachable
  inferd status --fail-on never                    for a liveness probe: 0 if the daemon answers
  inferd status --json | jq -r '.reasons[].code'
  HEALTHCHECK CMD [\"inferd\", \"status\"]             in a Dockerfile")]
pub(super) struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Exit with 1 in this state and in worse ones
    #[arg(long, value_name = "STATE", default_value = "failed")]
    fail_on: FailOn,
    /// Print one JSON object: state, reasons, healthy, problems, health (as on its topic), models
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FailOn {
    Degraded,
    Failed,
    Never,
}

impl FailOn {
    /// An unknown state comes from a newer daemon and counts as unhealthy.
    fn accepts(self, state: &str) -> bool {
        match self {
            Self::Degraded => state == "healthy",
            Self::Failed => matches!(state, "healthy" | "degraded"),
            Self::Never => true,
        }
    }
}

pub(super) fn status(args: &Args) -> Result<(), Failure> {
    let answer = args.daemon.ask(ControlRequest::Status)?;
    if args.json {
        print_json(&answer)?;
    } else {
        print(&render(&answer))?;
    }
    let is_accepted = args.fail_on.accepts(&text(&answer, "/state"));
    if is_accepted { Ok(()) } else { Err(Failure::already_reported(Exit::Failed)) }
}

fn render(answer: &Value) -> String {
    let health = &answer["health"];
    let state = text(answer, "/state");
    let up = HumanDuration(Duration::from_secs(number(health, "/uptime_s")));
    let mut out = format!("inferd {}: {state}, up {up}", text(health, "/version"));
    out += &format!(", {} of memory\n", bytes(health["rss_bytes"].as_u64()));
    for reason in list(answer, "/reasons") {
        out += &format!("{}\n", of_reason(reason));
    }
    let queue = &health["queue"];
    out += &format!("broker: {}\nqueue:  {}\n\n", broker(health), waiting(queue));
    out += &streams(health);
    out += &format!("\n{}", models::render(answer));
    out.chars().map(printable).collect()
}

/// Escapes control characters: topics and device names come from other systems.
fn printable(c: char) -> String {
    if c.is_control() && c != '\n' { c.escape_default().collect() } else { c.to_string() }
}

/// `failed: stream motion: ... [inputs-rejected since 2026-11-30T08:00:00.000Z]`
fn of_reason(reason: &Value) -> String {
    let stream = reason["stream"].as_str().map(|name| format!("stream {name}: "));
    format!(
        "{}: {}{} [{} since {}]",
        text(reason, "/state"),
        stream.unwrap_or_default(),
        text(reason, "/message"),
        text(reason, "/code"),
        text(reason, "/since"),
    )
}

fn broker(health: &Value) -> String {
    let link = &health["link"];
    let since = link["since"].as_str().map(|since| format!(" since {since}")).unwrap_or_default();
    match link["connected"].as_bool() {
        Some(true) => format!("connected{since}"),
        _ if link["fault"].is_null() && since.is_empty() => "connecting".to_owned(),
        _ => format!("disconnected{since}; results are queued"),
    }
}

/// The queue of results, in words.
pub(super) fn waiting(queue: &Value) -> String {
    let memory = number(queue, "/memory_records");
    let disk = match queue.get("disk").filter(|disk| !disk.is_null()) {
        Some(disk) => {
            let taken = bytes(disk["disk_bytes"].as_u64());
            let syncs = number(queue, "/syncs_per_hour");
            let records = number(disk, "/records");
            format!("{records} results on disk (database size {taken}, {syncs} syncs an hour)")
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
    let header =
        ["STREAM", "MESSAGES", "PREDICTIONS", "REJECTED", "DROPPED", "P99 MS", "LAST MESSAGE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (name, stream) in health["streams"].as_object().into_iter().flatten() {
        let rejects = stream["rejects"].as_object().into_iter().flatten();
        let rejected: u64 = rejects.filter_map(|(_, count)| count.as_u64()).sum();
        let p99 = Duration::from_micros(number(stream, "/latency/p99_us")).as_secs_f64() * 1e3;
        let count = |field: &str| number(stream, field).to_string();
        let mut row = vec![name.clone(), count("/messages"), count("/predictions")];
        row.extend([rejected.to_string(), count("/dropped"), format!("{p99:.1}")]);
        row.push(age(health, &stream["last_message"]));
        rows.push(row);
    }
    table(&rows) + &windows(health) + &accuracies(health)
}

/// How full the windows are, for streams that have discarded windows since their last prediction or
/// have not predicted yet.
fn windows(health: &Value) -> String {
    let mut out = String::new();
    for (name, stream) in health["streams"].as_object().into_iter().flatten() {
        let window = &stream["window"];
        let lost = number(window, "/lost_since_prediction");
        if window.is_null() || (lost == 0 && number(stream, "/predictions") > 0) {
            continue;
        }
        let [devices, length] = ["/devices", "/length"].map(|field| number(window, field));
        let [fullest, missing] = ["/fullest", "/missing"].map(|field| number(window, field));
        let device = text(window, "/device");
        out += &format!(
            "windows of {name}: {devices} devices, the fullest window has {fullest} of {length} \
             samples; {device} sent last and needs {missing} more"
        );
        if lost > 0 {
            let message = text(window, "/last_lost/message");
            out += &format!(
                "; {lost} partial windows discarded since the last prediction ({message})"
            );
        }
        out += "\n";
    }
    out
}

/// The accuracy of the version in use, for streams with labels.
fn accuracies(health: &Value) -> String {
    let mut out = String::new();
    for (name, stream) in health["streams"].as_object().into_iter().flatten() {
        let Some(version) = list(stream, "/labels/versions").last() else { continue };
        let (labels, called) = (number(version, "/labels"), text(version, "/version"));
        let percent = |pointer: &str| version.pointer(pointer)?.as_f64().map(|it| it * 100.0);
        let interval = (percent("/interval/0"), percent("/interval/1"));
        out += &match (percent("/accuracy"), interval, version["mae"].as_f64()) {
            (Some(accuracy), (Some(low), Some(high)), _) => format!(
                "accuracy of {name} {called}: {accuracy:.1} % of {labels} labels \
                 (95 % interval {low:.1} to {high:.1} %)\n"
            ),
            (_, _, Some(mae)) => {
                format!("error of {name} {called}: {mae:.4} in the mean of {labels} labels\n")
            }
            _ => format!("accuracy of {name} {called}: no labels yet\n"),
        };
    }
    out
}

/// How long before the health report something happened.
fn age(health: &Value, then: &Value) -> String {
    let time = |value: &Value| value.as_str().and_then(Timestamp::parse);
    match (time(&health["time"]), time(then)) {
        (Some(now), Some(then)) => format!("{} ago", HumanDuration(now.since(then))),
        _ => "never".to_owned(),
    }
}
