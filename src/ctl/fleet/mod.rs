//! `inferctl fleet`

mod forget;
mod rows;
mod summary;
pub(super) mod view;

use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime};

use super::broker::{BrokerArgs, Session, block_on};
use crate::terminal::{Exit, Failure, print, print_json};
use view::View;

/// The screen is drawn at most this often.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// Show every gateway: versions, updates, health, when it was last heard
///
/// All of it is what the gateways themselves have retained on the broker, so it is there at once. Below
/// the table stand what the reasons in it mean, how many gateways run which version, and which of them
/// are behind the newest.
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
    verb: Option<Verb>,
    /// Only the gateways of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Stay, and show what changes
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON array; with --watch one a line for every change
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Forget(forget::Forget),
}

pub(super) fn fleet(args: &Args) -> Result<(), Failure> {
    if let Some(Verb::Forget(args)) = &args.verb {
        return forget::forget(args);
    }
    let rest = view::filters(None).into_iter().chain(["+/health".to_owned()]);
    let filters: Vec<_> = rest.map(|rest| args.broker.topic(&rest)).collect();
    block_on(async {
        let mut session = Session::open(&args.broker).await?;
        let mut view = View::default();
        let prefix = args.broker.topic("");
        let prefix = prefix.trim_end_matches('/');
        for message in session.retained(&filters).await? {
            view.hear(prefix, &message, SystemTime::now().into());
        }
        show(args, &view)?;
        if args.watch { watch(args, session, view, prefix).await } else { Ok(()) }
    })
}

async fn watch(
    args: &Args,
    mut session: Session,
    mut view: View,
    prefix: &str,
) -> Result<(), Failure> {
    let mut tick = tokio::time::interval(DRAW_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut changed = false;
    loop {
        tokio::select! {
            message = session.next() => {
                let Some(message) = message else { return Ok(()) };
                changed |= view.hear(prefix, &message, SystemTime::now().into()).is_some();
            }
            _ = tick.tick() => {
                // On a terminal the ages change even if nothing is said.
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

fn show(args: &Args, view: &View) -> Result<(), Failure> {
    let group = args.group.as_deref();
    if args.json {
        return print_json(&rows::objects(view, group));
    }
    let text = rows::table_of(view, group, SystemTime::now().into());
    // From the top left corner, over what was there.
    let begin = if is_screen(args) { "\u{1b}[H\u{1b}[2J" } else { "" };
    print(&format!("{begin}{text}"))
}
