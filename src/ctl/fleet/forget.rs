//! `inferctl fleet forget`

use super::retained::{RetainedFleet, read_fleet};
use crate::ctl::broker::{BrokerArgs, block_on, parse_gateway};
use crate::ids::GatewayId;
use crate::terminal::{Exit, Failure, print, print_json};

/// The topics that a gateway retains, below its own.
const RETAINED: [&str; 4] = ["status", "health", "model/+", "drift/+"];

/// Remove what a retired gateway has retained on the broker
///
/// Clears its status, health, model and drift topics, so that `inferctl fleet` and rollouts no longer
/// count it. A gateway that comes online again reports itself again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl fleet forget gw-17 --dry-run
  inferctl fleet forget gw-17")]
pub(in crate::ctl) struct Forget {
    /// The gateway
    #[arg(value_name = "ID", value_parser = parse_gateway)]
    gateway: GatewayId,
    /// Also if the gateway is online
    #[arg(long)]
    force: bool,
    /// Print the topics; clear none
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn forget(args: &Forget) -> Result<(), Failure> {
    let id = &args.gateway;
    let topics = block_on(async {
        let filters = RETAINED.map(|rest| format!("{id}/{rest}"));
        let RetainedFleet { mut session, view, messages: found } =
            read_fleet(&args.broker, filters).await?;
        let is_online = view.gateways.get(id).is_some_and(|gateway| gateway.is_online());
        if is_online && !args.force && !args.dry_run {
            let message = format!(
                "{id} is online and would report itself again: stop it first, or give --force"
            );
            return Err(Failure::new(Exit::Failed, message));
        }
        let retained = found.iter().filter(|message| !message.payload.is_empty());
        let topics: Vec<_> = retained.map(|message| message.topic.clone()).collect();
        if !args.dry_run {
            for topic in &topics {
                session.publish(topic, Vec::new()).await?;
            }
        }
        Ok(topics)
    })?;
    if args.json {
        return print_json(&serde_json::json!({ "gateway": id, "topics": topics,
            "emptied": !args.dry_run }));
    }
    if topics.is_empty() {
        return print(&format!("{id}: nothing is retained\n"));
    }
    let done = if args.dry_run { "would be cleared" } else { "cleared" };
    print(&topics.iter().map(|topic| format!("{topic}: {done}\n")).collect::<String>())
}
