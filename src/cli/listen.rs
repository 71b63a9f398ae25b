//! `inferd listen`: messages of a topic, and a stream that would take them.

use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::Receiver;

use super::config_file::ConfigFile;
use crate::config::{Broker, Config, Environment, parse_duration};
use crate::link::{ClientMessage, Fault, SimpleClient};
use crate::message::Qos;
use crate::pipeline::{HeardMessage, ProposedStream, propose};
use crate::terminal::{Exit, Failure, print, print_json};

/// The most bytes of payloads that are kept.
const MAX_HEARD: usize = 16 << 20;

/// Listen to a topic and propose the configuration of a stream for it
///
/// Subscribes, waits for messages, and prints a `[[stream]]` for each kind of them: format, fields, time,
/// device, and the rate of messages. Retained messages are looked at as well. The connection has a
/// client id of its own, so a running daemon keeps its connection; nothing is published.
///
/// The fields are all numbers of the messages by name: keep those that the model takes, in its order.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd listen 'sensors/+/imu' --for 5s
  inferd listen '#' --broker mqtt://localhost:1883 --messages 1 --json")]
pub(super) struct Args {
    /// The topic, with the wildcards of MQTT
    topic: String,
    #[command(flatten)]
    file: ConfigFile,
    /// Use this broker instead of the configured one
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    broker: Option<String>,
    /// How long to listen
    #[arg(long = "for", value_name = "SPAN", default_value = "30s", value_parser = parse_duration)]
    span: Duration,
    /// End after this many messages
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    messages: u32,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn listen(args: &Args) -> Result<(), Failure> {
    let broker = broker(args)?;
    let internal =
        |error| Failure::new(Exit::Internal, format!("cannot start the runtime: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(internal)?;
    let heard = runtime.block_on(heard(args, &broker));
    // An unresponsive name server must not block the command.
    runtime.shutdown_background();
    let heard = heard.map_err(|fault| Failure::new(Exit::Unavailable, fault.to_string()))?;
    if heard.is_empty() {
        let message = format!(
            "no message on {} in {:?}: is the topic right, and may this client read it?",
            args.topic, args.span
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let proposed = propose(&heard);
    if args.json {
        return print_json(&proposed);
    }
    print(&proposed.iter().map(in_words).collect::<Vec<_>>().join("\n"))
}

/// The broker, with a client id and a session of the command's own.
fn broker(args: &Args) -> Result<Broker, Failure> {
    let config = match &args.broker {
        Some(url) => {
            let text = format!("[gateway]\nid = \"listen\"\n[broker]\nurl = {url:?}\n");
            Config::parse(&text).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?
        }
        None => {
            let environment = Environment::of_process();
            Config::load(&environment.config_file(args.file.config.as_deref()), &environment)?
        }
    };
    let mut broker = config.broker;
    broker.client_id = format!("{}-listen-{}", broker.client_id, std::process::id());
    broker.session_expiry = Duration::ZERO;
    Ok(broker)
}

async fn heard(args: &Args, broker: &Broker) -> Result<Vec<HeardMessage>, Fault> {
    let (client, mut inbox) = SimpleClient::start(broker)?;
    client.connected(broker.connect_timeout).await?;
    client.subscribe(&args.topic, Qos::AtMostOnce).await.map_err(|_| Fault::Stopped)?;
    let mut heard = Vec::new();
    let end = tokio::time::sleep(args.span);
    tokio::pin!(end);
    tokio::select! {
        () = &mut end => {}
        () = collect(&mut inbox, args.messages, &mut heard) => {}
    }
    Ok(heard)
}

/// Takes messages until there are enough of them.
async fn collect(inbox: &mut Receiver<ClientMessage>, most: u32, heard: &mut Vec<HeardMessage>) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut bytes = 0_usize;
    while heard.len() < most && bytes < MAX_HEARD {
        let Some(message) = inbox.recv().await else { return };
        bytes = bytes.saturating_add(message.payload.len()).saturating_add(message.topic.len());
        heard.push(HeardMessage {
            topic: message.topic,
            payload: message.payload.to_vec(),
            at: SystemTime::now().into(),
        });
    }
}

fn in_words(stream: &ProposedStream) -> String {
    let ProposedStream { messages, topics, per_second, taken, problem, toml, .. } = stream;
    let rate = match per_second {
        Some(rate) if *rate >= 1.0 => format!(", {rate:.1} a second on each"),
        Some(rate) if *rate > 0.0 => format!(", one every {:.0} s on each", 1.0 / rate),
        _ => String::new(),
    };
    let mut text = format!("# {messages} messages on {topics} topics{rate}\n");
    if taken < messages {
        let problem = problem.as_deref().unwrap_or_default().replace('\n', " ");
        text += &format!("# takes {taken} of them; the first other one: {problem}\n");
    }
    text + toml
}
