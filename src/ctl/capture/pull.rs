//! `inferctl capture pull`

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::local::{self, LocalFile};
use super::remote::{Answer, Listed, Refused, Remote};
use crate::capture::{Ask, SegmentName};
use crate::ctl::broker::{BrokerArgs, Session, block_on, parse_gateway};
use crate::ctl::fleet::retained::{RetainedFleet, read_fleet};
use crate::ctl::fleet::view;
use crate::ids::GatewayId;
use crate::terminal::{Exit, Failure, print, print_json, progress};

/// With --follow, gateways are asked for new segments after this time.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);

/// Fetch captured inputs from gateways into a folder
///
/// Fetches the files of captured inputs over MQTT, from gateways whose configuration has capture.mqtt =
/// true, into DIR/GATEWAY/STREAM. Every file is checked by its SHA-256 digest. Files that are there
/// already are not fetched again, and a file that was cut off is continued.
///
/// Exits with 1 if a gateway did not give everything.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("whose").required(true),
    after_help = "\
Examples:
  inferctl capture pull --gateway gw-17 --out captures
  inferctl capture pull --group line-a --out captures --trigger drift --delete
  inferctl capture pull --all --out captures --delete --follow"
)]
pub(in crate::ctl) struct Args {
    /// A gateway; may be given several times
    #[arg(long = "gateway", value_name = "ID", value_parser = parse_gateway, group = "whose")]
    gateways: Vec<GatewayId>,
    /// The gateways of this group that are online
    #[arg(long, value_name = "GROUP", group = "whose")]
    group: Option<String>,
    /// All gateways that are online
    #[arg(long, group = "whose")]
    all: bool,
    /// The folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only those of this stream
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Only those of this trigger, such as drift
    #[arg(long, value_name = "NAME")]
    trigger: Option<String>,
    /// Fetch at most this many MiB, and leave the rest
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    max_mib: u64,
    /// Delete on the gateway what is here and complete
    #[arg(long)]
    delete: bool,
    /// Keep running, and fetch what is captured later
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object for each gateway
    #[arg(long)]
    json: bool,
}

/// What was fetched of a gateway.
#[derive(Debug, Serialize)]
struct Pulled {
    gateway: GatewayId,
    segments: u64,
    inputs: u64,
    bytes: u64,
    /// Segments that were complete before.
    present: u64,
    deleted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn pull(args: &Args) -> Result<(), Failure> {
    block_on(async {
        let (session, gateways) = gateways(args).await?;
        let remote = Remote::new(session, &args.broker).await?;
        let left = args.max_mib.saturating_mul(1 << 20);
        let mut puller = Puller { args, remote, left };
        loop {
            let mut failed = 0_usize;
            for gateway in &gateways {
                let pulled = puller.pull(gateway).await;
                failed += usize::from(pulled.error.is_some());
                show(args, &pulled)?;
            }
            if !args.follow {
                let failure = Failure::new(Exit::Failed, format!("{failed} gateways failed"));
                return if failed == 0 { Ok(()) } else { Err(failure) };
            }
            tokio::select! {
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
                stopped = tokio::signal::ctrl_c() => {
                    return stopped.map_err(|error| Failure::new(Exit::Internal, error.to_string()));
                }
            }
        }
    })
}

async fn gateways(args: &Args) -> Result<(Session, Vec<GatewayId>), Failure> {
    if !args.gateways.is_empty() {
        return Ok((Session::open(&args.broker).await?, args.gateways.clone()));
    }
    let RetainedFleet { session, view, .. } = read_fleet(&args.broker, view::filters(None)).await?;
    let group = args.group.as_ref();
    let meant = view.gateways.iter().filter(|(_, state)| {
        state.is_online() && group.is_none_or(|group| state.status.groups.contains(group))
    });
    let found: Vec<GatewayId> = meant.map(|(id, _)| id.clone()).collect();
    if found.is_empty() {
        return Err(Failure::new(Exit::Failed, "no such gateway is online"));
    }
    Ok((session, found))
}

fn show(args: &Args, pulled: &Pulled) -> Result<(), Failure> {
    if args.json {
        return print_json(pulled);
    }
    let Pulled { gateway, segments, inputs, bytes, present, deleted, error } = pulled;
    let quiet = args.follow && *segments == 0 && *deleted == 0 && error.is_none();
    if quiet {
        return Ok(());
    }
    let error = error.as_ref().map_or_else(String::new, |why| format!("; failed: {why}"));
    print(&format!(
        "{gateway}: {segments} segments with {inputs} inputs fetched ({bytes} bytes), {present} \
         were here, {deleted} deleted{error}\n"
    ))
}

struct Puller<'a> {
    args: &'a Args,
    remote: Remote,
    /// Bytes that may still be fetched.
    left: u64,
}

impl Puller<'_> {
    async fn pull(&mut self, gateway: &GatewayId) -> Pulled {
        let mut pulled = Pulled {
            gateway: gateway.clone(),
            segments: 0,
            inputs: 0,
            bytes: 0,
            present: 0,
            deleted: 0,
            error: None,
        };
        if let Err(refused) = self.pull_all(&mut pulled).await {
            pulled.error = Some(match refused {
                Refused::ByGateway(why) => why,
                Refused::Gone(failure) => failure.message(),
            });
        }
        pulled
    }

    async fn pull_all(&mut self, pulled: &mut Pulled) -> Result<(), Refused> {
        let mut after = None;
        loop {
            let (stream, trigger) = (self.args.stream.clone(), self.args.trigger.clone());
            let ask = Ask::List { stream, trigger, after };
            let Answer { segments, more, .. } = self.remote.ask(&pulled.gateway, ask).await?;
            let inputs = segments.iter().map(|segment| segment.inputs).sum();
            let bar = progress(inputs, "captured inputs");
            for segment in &segments {
                self.segment(segment, pulled).await?;
                bar.inc(segment.inputs);
            }
            bar.finish_and_clear();
            after = segments.last().map(|segment| segment.name.clone());
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn segment(&mut self, segment: &Listed, pulled: &mut Pulled) -> Result<(), Refused> {
        let answer = self.remote.ask(&pulled.gateway, Ask::Files(segment.name.clone())).await;
        let infos = match answer {
            Ok(answer) => answer.files,
            // Deleted since it was listed: its age, or its space, or somebody else.
            Err(Refused::ByGateway(_)) => return Ok(()),
            Err(gone) => return Err(gone),
        };
        let files = local::files(&self.args.out, &pulled.gateway, &segment.name, &infos);
        let files = files.ok_or_else(|| {
            let most = local::MAX_FILE_BYTES >> 20;
            let why = format!("a segment has an invalid name, or a file of more than {most} MiB");
            Refused::ByGateway(why)
        })?;
        let missing: Vec<&LocalFile> = files.iter().filter(|file| !file.is_complete()).collect();
        if missing.is_empty() {
            pulled.present += 1;
        } else {
            for file in missing {
                self.file(&segment.name, file, pulled).await?;
            }
            pulled.segments += 1;
            pulled.inputs += segment.inputs;
        }
        if self.args.delete {
            let sha256 = infos.into_iter().map(|info| info.sha256).collect();
            let ask = Ask::Delete { segment: segment.name.clone(), sha256 };
            self.remote.ask(&pulled.gateway, ask).await?;
            pulled.deleted += 1;
        }
        Ok(())
    }

    /// Fetches what is missing of a file, once more from its beginning if the digest is wrong.
    async fn file(
        &mut self,
        segment: &SegmentName,
        file: &LocalFile,
        pulled: &mut Pulled,
    ) -> Result<(), Refused> {
        let io = |error: std::io::Error| {
            Refused::Gone(Failure::new(Exit::Io, format!("cannot write: {error}")))
        };
        for _ in 0..2 {
            let mut at = file.fetched();
            while at < file.info().bytes || at == 0 {
                let ask = Ask::Chunk {
                    segment: segment.clone(),
                    extension: file.info().extension.clone(),
                    offset: at,
                };
                let bytes = self.remote.ask(&pulled.gateway, ask).await?.bytes;
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                if len > self.left {
                    let why = format!("more than --max-mib {}", self.args.max_mib);
                    return Err(Refused::ByGateway(why));
                }
                file.add(at, &bytes).map_err(io)?;
                self.left -= len;
                pulled.bytes += len;
                at += len;
                if len == 0 {
                    break;
                }
            }
            if file.finish().map_err(io)? {
                return Ok(());
            }
        }
        Err(Refused::ByGateway("a file has not the digest that the gateway told".to_owned()))
    }
}
