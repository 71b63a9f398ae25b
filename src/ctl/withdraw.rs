//! `inferctl withdraw`

use super::broker::{BrokerArgs, Session, TargetArgs, block_on, model};
use super::preview::{DryRun, Planned, Preview};
use crate::ids::ModelName;
use crate::terminal::{Failure, print, print_json};

/// Withdraw a deployment: empty its topic
///
/// Gateways that have not switched yet cancel the update; those that have keep the new model. A
/// gateway that comes online later does nothing. `inferctl rollout abort` does the same by a
/// signed message, which nobody on the broker can take back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl withdraw --model motion --group line-a
  inferctl withdraw --model motion --gateway gw-17")]
pub(super) struct Args {
    /// The model
    #[arg(long, value_name = "NAME", value_parser = model)]
    model: ModelName,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    dry_run: DryRun,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn withdraw(args: &Args) -> Result<(), Failure> {
    let target = args.target.target()?;
    let topic = args.broker.deploy_topic(&target, &args.model);
    let status = args.broker.rollout_topic(&target, &args.model);
    let there = block_on(async {
        let mut session = Session::open(&args.broker).await?;
        let there = !session.look(std::slice::from_ref(&topic)).await?.is_empty();
        if there && !args.dry_run.dry_run {
            session.inform(&status, Vec::new()).await?;
            session.publish(&topic, Vec::new()).await?;
        }
        Ok(there)
    })?;
    if args.dry_run.dry_run {
        let mut preview = Preview::default();
        if there {
            preview.add(Planned::one(&status, 0, "empties the state of the rollout"));
            preview.add(Planned::one(&topic, 0, "empties the topic: withdraws the deployment"));
        }
        return preview.print(args.json);
    }
    if args.json {
        return print_json(&serde_json::json!({ "topic": topic, "withdrawn": there }));
    }
    let said = if there { "withdrawn" } else { "nothing was deployed there" };
    print(&format!("{topic}: {said}\n"))
}
