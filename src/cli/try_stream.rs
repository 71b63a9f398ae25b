//! `inferd try`: payloads of a stream through its pipeline, shown step by step.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use serde_json::Value;

use super::config_file::ConfigFile;
use super::contained;
use crate::bundle::Bundle;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Environment, Stream};
use crate::message::{Captures, Incoming};
use crate::pipeline::{Pipeline, PredictionIds, Router, StepTrace, TracedTensor};
use crate::terminal::{Exit, Failure, print, print_json, table};

/// Show what a stream makes of a payload, step by step
///
/// Runs payloads through the pipeline of a configured stream and prints each step: the decoded
/// samples, how full the window is, the normalised samples, the features, the input tensors, the outputs, and
/// the prediction as it would be published. Needs neither a broker nor a running daemon, and publishes
/// nothing. Several files are messages of one device, one after the other. A window of many samples
/// fills with --repeat.
///
/// Exits with 1 if a payload is rejected.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd try motion payload.json
  inferd try motion - < payload.json
  inferd try motion payload.json --topic sensors/watch-7/imu --repeat 100 --json")]
pub(super) struct Args {
    /// The name of the stream
    stream: String,
    /// Files with one payload each; - reads standard input
    #[arg(value_name = "FILE", required = true)]
    payloads: Vec<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
    /// The topic of the messages [default: the stream's topic with its captures' names]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Take the payloads this often
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repeat: u32,
    /// Print a JSON object for each message
    #[arg(long)]
    json: bool,
}

/// One message and what became of it.
#[derive(Debug, Serialize)]
struct Tried<'a> {
    file: &'a str,
    topic: &'a str,
    bytes: usize,
    #[serde(flatten)]
    trace: StepTrace,
    /// As they would be published.
    predictions: Vec<Value>,
}

pub(super) fn try_stream(args: &Args) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let config = Config::load(&environment.config_file(args.file.config.as_deref()), &environment)?;
    let stream = find(&config, &args.stream)?;
    let mut pipeline = pipeline(&config, stream)?;
    contained::loaded();
    let topic = args.topic.clone().unwrap_or_else(|| example_topic(stream));
    let captures = captures(stream, &topic)?;
    let clock = SystemClock::start();
    let mut rejected = false;
    for round in 0..args.repeat {
        for path in &args.payloads {
            let payload = read(path, stream.max_payload)?;
            let mut out = Vec::new();
            let incoming = message(&topic, captures.clone(), payload, &clock);
            let report = pipeline.step(&incoming, &clock, &mut out);
            let parsed = |bytes: &[u8]| {
                serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(hex(bytes)))
            };
            let tried = Tried {
                file: &path.display().to_string(),
                topic: &topic,
                bytes: incoming.payload.len(),
                trace: pipeline.trace(&report),
                predictions: out.iter().map(|result| parsed(&result.message.payload)).collect(),
            };
            rejected |= !tried.trace.rejects.is_empty();
            // Of many equal messages those that show something.
            let shows = round + 1 == args.repeat || tried.trace.runs > 0 || rejected;
            if args.json {
                print_json(&tried)?;
            } else if shows {
                print(&in_words(&tried))?;
            }
        }
    }
    if rejected { Err(Failure::already_reported(Exit::Failed)) } else { Ok(()) }
}

fn find<'c>(config: &'c Config, name: &str) -> Result<&'c Stream, Failure> {
    config.streams.iter().find(|stream| stream.name.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = config.streams.iter().map(|stream| stream.name.as_str()).collect();
        let message = format!("the configuration has no stream {name:?}; it has {names:?}");
        Failure::new(Exit::Usage, message)
    })
}

fn pipeline(config: &Config, stream: &Stream) -> Result<Pipeline, Failure> {
    let bundle = Bundle::built_in(&config.models.dir, &stream.model)?;
    let (card, model) = bundle.card_and_model()?;
    let gateway = &config.gateway.id;
    let ids = PredictionIds::new(gateway, "try", Arc::new(AtomicU64::new(0)));
    let made = Pipeline::new(0, stream, gateway, card, Box::new(model.session()), ids);
    made.map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Config, problems.join("\n"))
    })
}

/// What the stream captures of a topic.
fn captures(stream: &Stream, topic: &str) -> Result<Captures, Failure> {
    let router = Router::new(std::slice::from_ref(stream));
    let captures = router.route(topic).next().map(|delivery| delivery.captures);
    captures.ok_or_else(|| {
        let topics = stream.topics().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("topic {topic:?} is none of stream {}: {topics}", stream.name);
        Failure::new(Exit::Usage, message)
    })
}

/// The stream's topic with the name of each capture in its place.
fn example_topic(stream: &Stream) -> String {
    stream.topic.example(|name| name)
}

/// Reads a payload, as far as it is needed to see that it is too long.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut payload = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut payload)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut payload))
    };
    let failed = |error: io::Error| Failure::new(Exit::Io, format!("{}: {error}", path.display()));
    read.map(|_| payload).map_err(failed)
}

fn message(topic: &str, captures: Captures, payload: Vec<u8>, clock: &SystemClock) -> Incoming {
    Incoming {
        stream: 0,
        topic: topic.to_owned(),
        captures,
        payload: payload.into(),
        received: clock.now(),
        token: None,
        input_id: None,
        reply: None,
        retained: false,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn in_words(tried: &Tried<'_>) -> String {
    let trace = &tried.trace;
    let mut text = format!("{} on {}: {} bytes\n", tried.file, tried.topic, tried.bytes);
    for reject in &trace.rejects {
        text += &format!(
            "  rejected    {} ({}, {} times)\n",
            reject.message, reject.code, reject.count
        );
    }
    if trace.skipped > 0 {
        text += &format!("  passed over {}\n", trace.skipped);
    }
    if trace.rejects.is_empty() && trace.sample_count > 0 {
        text += &format!("  device      {}\n  decoded     {}\n", trace.device, samples_of(trace));
        text += &indented(&samples(trace));
    }
    if let Some((filled, length)) = trace.window {
        text += &format!("  window      {filled} of {length} samples\n");
    }
    for input in &trace.inputs {
        text += &format!("  normalized  {}: {}\n", input.name, numbers(&input.normalized));
        if !input.features.is_empty() {
            text += &format!("  features    {}: {}\n", input.name, numbers(&input.features));
        }
        text += &format!("  input       {}\n", tensor(input));
    }
    for output in &trace.outputs {
        text += &format!("  output      {}\n", tensor(output));
    }
    for prediction in &tried.predictions {
        text += &format!("  prediction  {prediction}\n");
    }
    text
}

fn samples_of(trace: &StepTrace) -> String {
    let s = if trace.sample_count == 1 { "" } else { "s" };
    format!("{} sample{s}", trace.sample_count)
}

fn samples(trace: &StepTrace) -> String {
    let timed = trace.samples.iter().any(|sample| sample.time.is_some());
    let width = trace.samples.iter().map(|sample| sample.values.len()).max().unwrap_or_default();
    let name = |place: usize| {
        let name = trace.fields.get(place).filter(|_| trace.fields.len() >= width);
        name.map_or_else(|| format!("[{place}]"), Clone::clone)
    };
    let mut rows = vec![Vec::new()];
    if let Some(head) = rows.first_mut() {
        head.extend(timed.then(|| "TIME".to_owned()));
        head.extend((0..width).map(name));
    }
    for sample in &trace.samples {
        let time = sample.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let number = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
        let time = timed.then_some(time);
        rows.push(time.into_iter().chain(sample.values.iter().map(number)).collect());
    }
    table(&rows)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("              {line}\n")).collect()
}

fn tensor(tensor: &TracedTensor) -> String {
    let TracedTensor { name, dtype, shape, elements, .. } = tensor;
    format!("{name} {dtype} {shape:?}: {}", numbers(elements))
}

fn numbers(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(12).map(|v| format!("{v:.6}")).collect();
    let trim = |text: &String| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    let more = if values.len() > shown.len() { ", …" } else { "" };
    shown.iter().map(trim).collect::<Vec<_>>().join(", ") + more
}
