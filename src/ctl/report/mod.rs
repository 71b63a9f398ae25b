//! `inferctl report`: the state of a fleet as one HTML file, from the messages that the broker
//! retains.

mod attention;
mod distributions;
mod groups;
mod html;
mod page;
mod streams;

use std::path::PathBuf;

use super::broker::{BrokerArgs, block_on};
use super::fleet::retained::{RetainedFleet, read_fleet};
use super::fleet::view;
use super::wall_clock::now;
use crate::terminal::{Failure, print, print_json, write_atomic};

/// Write the state of the fleet to an HTML file
///
/// The file needs nothing else: no network, no scripts. It shows what needs attention, each group,
/// the versions of each model, and each gateway with its streams: predictions by label, rejects,
/// accuracy and drift.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl report --out fleet.html
  inferctl report --group line-a --out line-a.html --json")]
pub(super) struct Args {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only the gateways of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn report(args: &Args) -> Result<(), Failure> {
    let filters = view::filters(None).into_iter().chain(["+/health".to_owned()]);
    let view = block_on(async {
        let RetainedFleet { view, .. } = read_fleet(&args.broker, filters).await?;
        Ok(view)
    })?;
    let page = page::render(&view, args.group.as_deref(), now());
    write_atomic(&args.out, page.html.as_bytes())?;
    if args.json {
        let (file, gateways) = (&args.out, page.gateways);
        return print_json(&serde_json::json!({ "file": file, "gateways": gateways }));
    }
    print(&format!("{} gateways in {}\n", page.gateways, args.out.display()))
}
