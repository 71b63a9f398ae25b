//! `inferctl fleet`

mod forget;
pub(super) mod retained;
mod summary;
mod table;
pub(super) mod view;

use std::io::IsTerminal as _;
use std::time::Duration;

use super::broker::{BrokerArgs, Session, block_on};
use super::wall_clock::now;
use crate::terminal::{Exit, Failure, print, print_json};
use retained::{RetainedFleet, read_fleet};
use view::FleetView;

/// The screen is drawn at most this often.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// Show every gateway: versions, updates, health, last message
///
/// Shows the messages that the gateways retain on the broker. Below the table are explanations of the
/// reasons in it, the number of gateways on each version, and the gateways that are behind the
/// newest.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  inferctl fleet
  inferctl fleet forget gw-17
  inferctl fleet --group line-a --watch
  inferctl fleet --json | jq '.[] | select(.status.state != \"online\") | .gateway'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the gateways of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Keep running and show changes
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON array; with --watch, one per line for every change
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Forget(forget::Forget),
}

pub(super) fn fleet(args: &Args) -> Result<(), Failure> {
    if let Some(Command::Forget(args)) = &args.command {
        return forget::forget(args);
    }
    let filters = view::filters(None).into_iter().chain(["+/health".to_owned()]);
    block_on(async {
        let RetainedFleet { session, view, .. } = read_fleet(&args.broker, filters).await?;
        show(args, &view)?;
        if args.watch { watch(args, session, view).await } else { Ok(()) }
    })
}

async fn watch(args: &Args, mut session: Session, mut view: FleetView) -> Result<(), Failure> {
    let mut tick = tokio::time::interval(DRAW_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut changed = false;
    loop {
        tokio::select! {
            message = session.next() => {
                let Some(message) = message else { return Ok(()) };
                changed |= view.apply(args.broker.prefix(), &message, now()).is_some();
            }
            _ = tick.tick() => {
                // On a terminal the ages change without new messages.
                if changed || (is_screen(args) && session.is_connected()) {
                    show(args, &view)?;
                    changed = false;
                }
            }
            stopped = tokio::signal::ctrl_c() => {
                return stopped.map_err(|error| Failure::new(Exit::Internal, error.to_string()));
            }
        }
    }
}

/// A terminal on which the table is drawn again and again in one place.
fn is_screen(args: &Args) -> bool {
    args.watch && !args.json && std::io::stdout().is_terminal()
}

fn show(args: &Args, view: &FleetView) -> Result<(), Failure> {
    let group = args.group.as_deref();
    if args.json {
        return print_json(&table::objects(view, group));
    }
    let text = table::table_of(view, group, now());
    // From the top left corner, over what was there.
    let begin = if is_screen(args) { "\u{1b}[H\u{1b}[2J" } else { "" };
    print(&format!("{begin}{text}"))
}
