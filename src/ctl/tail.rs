//! `inferctl tail`

use serde_json::Value;

use super::broker::{BrokerArgs, Session, block_on};
use crate::link::ClientMessage;
use crate::terminal::{Failure, print, print_json};

/// Topics of the daemons' own messages, below the prefix.
const DAEMON: [&str; 5] = ["+/status", "+/health", "+/model/+", "+/rejects", "+/drift/+"];

/// Print messages as they arrive: predictions, or the daemons' own reports
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl tail
  inferctl tail 'predictions/motion/+' --json
  inferctl tail --daemons
  inferctl tail --count 10 --json | jq .payload.label")]
pub(super) struct Args {
    /// Topic filters
    #[arg(value_name = "FILTER", default_value = "predictions/#")]
    filters: Vec<String>,
    /// Print status, health, models, rejects and drift of every gateway instead
    #[arg(long)]
    daemons: bool,
    /// Exit after this many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn tail(args: &Args) -> Result<(), Failure> {
    let filters = if args.daemons {
        DAEMON.map(|rest| args.broker.topic(rest)).to_vec()
    } else {
        args.filters.clone()
    };
    block_on(async {
        let mut session = Session::open(&args.broker).await?;
        let mut left = args.count.unwrap_or(u64::MAX);
        for message in session.subscribe_retained(&filters).await? {
            show(&message, args.json, &mut left)?;
        }
        while left > 0 {
            let Some(message) = session.next().await else { break };
            show(&message, args.json, &mut left)?;
        }
        Ok(())
    })
}

fn show(message: &ClientMessage, json: bool, left: &mut u64) -> Result<(), Failure> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    let text = String::from_utf8_lossy(&message.payload);
    if !json {
        return print(&format!("{} {text}\n", message.topic));
    }
    let payload = serde_json::from_slice(&message.payload).unwrap_or(Value::String(text.into()));
    let (topic, retained) = (&message.topic, message.retain);
    print_json(&serde_json::json!({ "topic": topic, "retained": retained, "payload": payload }))
}
