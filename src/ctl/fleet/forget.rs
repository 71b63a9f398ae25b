//! `inferctl fleet forget`

use super::view::View;
use crate::ctl::broker::{BrokerArgs, Session, block_on, gateway};
use crate::ids::GatewayId;
use crate::terminal::{Exit, Failure, print, print_json};

/// What a gateway retains below its own topic.
const RETAINED: [&str; 4] = ["status", "health", "model/+", "drift/+"];

/// Remove what a retired gateway has retained on the broker
///
/// Empties its status, health, model and drift topics, so that `inferctl fleet` and rollouts count it
/// no more. A gateway that comes online again reports itself again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl fleet forget gw-17 --dry-run
  inferctl fleet forget gw-17")]
pub(in crate::ctl) struct Forget {
    /// The gateway
    #[arg(value_name = "ID", value_parser = gateway)]
    gateway: GatewayId,
    /// Also where it is online
    #[arg(long)]
    force: bool,
    /// Print the topics, and empty none
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
        let mut session = Session::open(&args.broker).await?;
        let filters = RETAINED.map(|rest| args.broker.topic(&format!("{id}/{rest}")));
        let found = session.retained(&filters).await?;
        let mut view = View::default();
        let prefix = args.broker.topic("");
        let now = std::time::SystemTime::now().into();
        for message in &found {
            view.hear(prefix.trim_end_matches('/'), message, now);
        }
        let is_online = view.gateways.get(id).is_some_and(|gateway| gateway.is_online());
        if is_online && !args.force && !args.dry_run {
            let message = format!(
                "{id} is online and would report itself again; stop it first, or give --force"
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
    let done = if args.dry_run { "would be emptied" } else { "emptied" };
    print(&topics.iter().map(|topic| format!("{topic}: {done}\n")).collect::<String>())
}
