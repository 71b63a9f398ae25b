//! `inferctl withdraw`

use super::broker::{BrokerArgs, Session, TargetArgs, block_on, parse_model};
use crate::ctl::dry_run::{DryRun, PlannedMessages, Preview};
use crate::ids::ModelName;
use crate::terminal::{Failure, print, print_json};

/// Withdraw a deployment
///
/// Clears the deployment's topic. Gateways that have not switched yet cancel the update; those that
/// have switched keep the new model. A gateway that comes online later does nothing. `inferctl
/// rollout abort` has the same effect by a signed message, which no other client can revert.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl withdraw --model motion --group line-a
  inferctl withdraw --model motion --gateway gw-17")]
pub(super) struct Args {
    /// The model
    #[arg(long, value_name = "NAME", value_parser = parse_model)]
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
        let there = !session.read_retained(std::slice::from_ref(&topic)).await?.is_empty();
        if there && !args.dry_run.dry_run {
            session.publish_unconfirmed(&status, Vec::new()).await?;
            session.publish(&topic, Vec::new()).await?;
        }
        Ok(there)
    })?;
    if args.dry_run.dry_run {
        let mut preview = Preview::default();
        if there {
            preview.add(PlannedMessages::one(&status, 0, "clears the state of the rollout"));
            preview.add(PlannedMessages::one(
                &topic,
                0,
                "clears the topic: withdraws the deployment",
            ));
        }
        return preview.print(args.json);
    }
    if args.json {
        return print_json(&serde_json::json!({ "topic": topic, "withdrawn": there }));
    }
    let said = if there { "withdrawn" } else { "nothing was deployed there" };
    print(&format!("{topic}: {said}\n"))
}
