//! `inferd queue stat|peek|drain|purge`

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::status::{lost, waiting};
use crate::cli::daemon_client::{DaemonArgs, list, number, text};
use crate::control::ControlRequest;
use crate::terminal::{Exit, Failure, print, print_json, progress, table};

/// How often a drain reads its progress.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a drain may make no progress before it is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Characters of a prediction in a table.
const MAX_PREDICTION_CHARS: usize = 100;

/// Show, send or remove the results that are queued for the broker
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  inferd queue stat
  inferd queue peek --limit 5 --json | jq '.records[].prediction'
  inferd queue drain
  inferd queue purge --yes")]
pub(super) enum Queue {
    /// Show how much is queued, and what was lost
    #[command(after_help = "Example:\n  inferd queue stat --json | jq .disk.records")]
    Stat(QueueArgs),
    /// Show the oldest results on disk
    #[command(after_help = "Example:\n  inferd queue peek --limit 3")]
    Peek(Peek),
    /// Send queued results as fast as the broker accepts them, and wait until the queue is empty
    ///
    /// Suspends `outbox.drain_rate` until the queue is empty or the connection ends.
    #[command(after_help = "Example:\n  inferd queue drain")]
    Drain(QueueArgs),
    /// Remove the results on disk; they count as lost, with the reason "purged"
    ///
    /// Results that are in flight to the broker are still sent.
    #[command(after_help = "Example:\n  inferd queue purge --yes")]
    Purge(Purge),
}

#[derive(Debug, clap::Args)]
pub(super) struct QueueArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Peek {
    #[command(flatten)]
    plain: QueueArgs,
    /// Number of results, at most 1000
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    #[command(flatten)]
    plain: QueueArgs,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub(super) fn queue(queue: &Queue) -> Result<(), Failure> {
    match queue {
        Queue::Stat(args) => {
            let answer = args.daemon.ask(ControlRequest::QueueStat)?;
            if args.json { print_json(&answer) } else { print(&stat(&answer)) }
        }
        Queue::Peek(args) => {
            let answer = args.plain.daemon.ask(ControlRequest::QueuePeek { limit: args.limit })?;
            if args.plain.json { print_json(&answer) } else { print(&peeked(&answer)) }
        }
        Queue::Drain(args) => drain(args),
        Queue::Purge(args) => purge(args),
    }
}

fn stat(queue: &Value) -> String {
    let mut out = format!("{}\n", waiting(queue));
    let mut rows = vec![["STREAM", "LOST", "REASON"].map(str::to_owned).to_vec()];
    let row = |(stream, reason, count): (&str, &str, u64)| {
        vec![stream.to_owned(), count.to_string(), reason.to_owned()]
    };
    rows.extend(lost(queue).into_iter().map(row));
    if rows.len() > 1 {
        out += &format!("\n{}", table(&rows));
    }
    out
}

fn peeked(answer: &Value) -> String {
    let mut rows = vec![["SEQ", "STREAM", "TOPIC", "PREDICTION"].map(str::to_owned).to_vec()];
    rows.extend(list(answer, "/records").map(|record| {
        let prediction = match &record["prediction"] {
            Value::Null => format!("{} bytes that are not JSON", number(record, "/bytes")),
            prediction => prediction.to_string(),
        };
        let shown: String = prediction.chars().take(MAX_PREDICTION_CHARS).collect();
        let cut = if shown.len() < prediction.len() { "…" } else { "" };
        let seq = number(record, "/seq").to_string();
        vec![seq, text(record, "/stream"), text(record, "/topic"), shown + cut]
    }));
    if rows.len() == 1 {
        return "no results on disk\n".to_owned();
    }
    table(&rows)
}

/// The results in the queue, on disk and in memory.
fn left(queue: &Value) -> u64 {
    number(queue, "/disk/records").saturating_add(number(queue, "/memory_records"))
}

/// Whether new results are sent without queueing.
fn is_drained(queue: &Value) -> bool {
    number(queue, "/disk/records") == 0 && text(queue, "/mode") == "live"
}

fn drain(args: &QueueArgs) -> Result<(), Failure> {
    let mut answer = args.daemon.ask(ControlRequest::QueueDrain)?;
    let total = left(&answer);
    let bar = progress(total, "sending");
    let (mut least, mut moved) = (total, Instant::now());
    while !is_drained(&answer) {
        std::thread::park_timeout(POLL_INTERVAL);
        // Repeated because a reconnect restores the rate limit.
        answer = args.daemon.ask(ControlRequest::QueueDrain)?;
        if left(&answer) < least {
            (least, moved) = (left(&answer), Instant::now());
        }
        bar.set_position(total.saturating_sub(least));
        if moved.elapsed() > STALL_TIMEOUT {
            bar.finish_and_clear();
            let message = format!(
                "no progress for a minute, with {} results in the queue: the broker accepts \
                 nothing, or results arrive as fast as it accepts them",
                left(&answer)
            );
            return Err(Failure::new(Exit::Unavailable, message));
        }
    }
    bar.finish_and_clear();
    if args.json {
        return print_json(&answer);
    }
    print(&format!("the queue is empty; {total} results were queued\n"))
}

fn purge(args: &Purge) -> Result<(), Failure> {
    let daemon = &args.plain.daemon;
    if !args.yes {
        let waiting = number(&daemon.ask(ControlRequest::QueueStat)?, "/disk/records");
        confirm(waiting)?;
    }
    let answer = daemon.ask(ControlRequest::QueuePurge)?;
    if args.plain.json {
        return print_json(&answer);
    }
    let purged = answer.get("purged").and_then(Value::as_object);
    let counts = purged.into_iter().flatten();
    let purged: u64 = counts.filter_map(|(_, count)| count.as_u64()).sum();
    print(&format!("{purged} results removed\n"))
}

fn confirm(waiting: u64) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let message = "a purge removes results permanently: confirm with --yes (there is no \
                       terminal to ask on)";
        return Err(Failure::new(Exit::Usage, message));
    }
    eprint!("Permanently remove {waiting} results that have not reached the broker? [y/N] ");
    let mut line = String::new();
    let read = io::stderr().flush().and_then(|()| io::stdin().lock().read_line(&mut line));
    match read {
        Ok(_) if matches!(line.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(Exit::Failed, "nothing was removed")),
    }
}
