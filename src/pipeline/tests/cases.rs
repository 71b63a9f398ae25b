//! Payloads that users of other programs report, in `tests/cases/payloads.json`: each case as it was
//! reported, and with the options that take it. `INFERD_WRITE_CASES=1` writes what comes of them.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fixture::{Harness, card, echo, prediction};
use crate::bundle::card::{OutputKind, WindowSpec};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::message::Incoming;
use crate::pipeline::Router;

const FILE: &str = "tests/cases/payloads.json";

/// Shortly after the messages were written.
const NOW: Timestamp = Timestamp(1_796_021_560_000_000);

#[derive(Debug, Deserialize, Serialize)]
struct Case {
    id: String,
    title: String,
    channels: Vec<String>,
    /// Of the window; 0 for a model that takes each message.
    length: usize,
    hop: usize,
    /// Topics and payloads.
    messages: Vec<(String, String)>,
    variants: Vec<Variant>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Variant {
    /// The table `[[stream]]`.
    stream: String,
    /// A line for each message, or why the stream is refused.
    outcome: Vec<String>,
}

fn payload(text: &str) -> Vec<u8> {
    let Some(digits) = text.strip_prefix("hex:") else { return text.as_bytes().to_vec() };
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn harness(case: &Case, stream: &str) -> Result<Harness, String> {
    let config = Config::parse(stream).map_err(|error| error.to_string())?;
    let stream = config.streams.into_iter().next().unwrap();
    let hop = if case.hop == 0 { case.length } else { case.hop };
    let window = (case.length > 0).then_some(WindowSpec {
        length: case.length,
        hop,
        max_gap: None,
        lead: 0,
    });
    let width = case.channels.len();
    let shape = if case.length > 0 { vec![case.length, width] } else { vec![width] };
    let channels: Vec<&str> = case.channels.iter().map(String::as_str).collect();
    let made = Harness::try_new(stream, card(window, &channels, OutputKind::Raw), echo(&shape));
    let harness = made.map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    })?;
    harness.clock.set(NOW);
    Ok(harness)
}

/// What comes of one message.
fn outcome(harness: &mut Harness, topic: &str, payload: &[u8]) -> String {
    let router = Router::new(std::slice::from_ref(&harness.pipeline.stream));
    let Some(captures) = router.route(topic).next().map(|it| it.captures) else {
        return "not of the stream".to_owned();
    };
    let incoming = Incoming { captures, ..harness.incoming(topic, payload) };
    let mut out = Vec::new();
    let report = harness.pipeline.step(&incoming, &harness.clock, &mut out);
    let mut told = Vec::new();
    for result in &out {
        let prediction = prediction(&result.message.payload);
        let data: Vec<f32> = serde_json::from_value(prediction["tensor"]["data"].clone()).unwrap();
        let mut line = prediction["device"].as_str().unwrap().to_owned() + ":";
        data.iter().for_each(|value| write!(line, " {value}").unwrap());
        told.push(line);
    }
    told.extend(report.rejects.iter().map(|it| format!("rejected: {}", it.reject)));
    match (told.is_empty(), report.skipped) {
        (false, _) => told.join("; "),
        (true, 0) => "in its window".to_owned(),
        (true, _) => "passed over".to_owned(),
    }
}

fn outcomes(case: &Case, stream: &str) -> Vec<String> {
    match harness(case, stream) {
        Err(problem) => vec![format!("refused: {problem}")],
        Ok(mut harness) => {
            let each = |(topic, text): &(String, String)| {
                let told = outcome(&mut harness, topic, &payload(text));
                harness.clock.pass(Duration::from_millis(1));
                told
            };
            case.messages.iter().map(each).collect()
        }
    }
}

#[test]
fn each_reported_payload_is_taken_or_refused_as_written_down() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let mut cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 40);
    let writes = std::env::var_os("INFERD_WRITE_CASES").is_some();
    for case in &mut cases {
        for at in 0..case.variants.len() {
            let got = outcomes(case, &case.variants[at].stream);
            let variant = &mut case.variants[at];
            if writes {
                variant.outcome = got;
            } else {
                assert_eq!(got, variant.outcome, "{} with {}", case.id, variant.stream);
            }
        }
    }
    if writes {
        let text = serde_json::to_string_pretty(&cases).unwrap();
        std::fs::write(FILE, text + "\n").unwrap();
    }
}
