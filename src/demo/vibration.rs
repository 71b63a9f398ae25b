//! `inferd demo vibration`: two simulated pumps send batches of raw acceleration; spectral features and
//! an autoencoder find that the bearing of one is damaged. `models/vibration/make.py` simulates them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::sandbox::{Sandbox, Scenario};
use super::terminal_view::TerminalView;
use super::{ARRIVAL_TIMEOUT, DemoOptions, connect};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::link::{ClientMessage, SimpleClient};
use crate::message::Qos;

pub(crate) const SCENARIO: Scenario = Scenario {
    model: "vibration",
    files: &[
        ("card.toml", include_bytes!("../../models/vibration/card.toml")),
        ("model.onnx", include_bytes!("../../models/vibration/model.onnx")),
        ("golden.npz", include_bytes!("../../models/vibration/golden.npz")),
        ("golden_samples.json", include_bytes!("../../models/vibration/golden_samples.json")),
    ],
    topic: "pumps/{device}/acceleration",
    payload: r#"{ format = "json", samples = "mg", fields = ["x", "y", "z"], time = "ts" }"#,
    title: ["synthetic vibration of 2 pumps", "spectral features, autoencoder"],
};

const RECORDINGS: &str = include_str!("../../models/recordings/vibration-synthetic.csv");

/// Samples in a message: 50 ms at 1 kHz.
const BATCH: usize = 50;
const BATCH_INTERVAL: Duration = Duration::from_millis(50);

/// The samples of a pump.
#[derive(Debug, Default, PartialEq)]
struct Pump {
    /// Acceleration in thousandths of g.
    samples: Vec<[i32; 3]>,
    /// The first sample with the fault.
    fault: Option<usize>,
}

/// Parses `recording,label,x,y,z` lines under one header line.
fn parse(text: &str) -> anyhow::Result<BTreeMap<String, Pump>> {
    let mut pumps: BTreeMap<String, Pump> = BTreeMap::new();
    for (line, row) in text.lines().enumerate().skip(1) {
        let bad = || format!("line {} of the recordings", line + 1);
        let cells: Vec<&str> = row.split(',').collect();
        let [name, label, axes @ ..] = cells.as_slice() else { bail!(bad()) };
        let axes: Result<Vec<i32>, _> = axes.iter().map(|axis| axis.parse()).collect();
        let sample = axes.with_context(bad)?.try_into();
        let pump = pumps.entry((*name).to_owned()).or_default();
        if *label == "fault" {
            pump.fault.get_or_insert(pump.samples.len());
        }
        pump.samples.push(sample.map_err(|_| anyhow::anyhow!(bad()))?);
    }
    Ok(pumps)
}

/// The part of a prediction that is shown.
#[derive(Debug, Deserialize)]
struct Prediction {
    device: String,
    score: f64,
    anomaly: bool,
}

/// What came of one pump.
#[derive(Debug, Default, Serialize)]
struct PumpReport {
    windows: usize,
    anomalies: usize,
    /// Anomalies in windows without the fault.
    false_alarms: usize,
    /// Windows with nothing but the fault that were taken for healthy.
    missed: usize,
    /// Samples from the beginning of the fault to the end of the first window that was an anomaly.
    found_after: Option<usize>,
    #[serde(skip)]
    fault: Option<usize>,
}

impl PumpReport {
    /// Counts a prediction; `window` are the first sample of its window and the first after it.
    fn count(&mut self, (begin, end): (usize, usize), anomaly: bool) {
        let has_fault = self.fault.is_some_and(|fault| end > fault);
        let is_fault = self.fault.is_some_and(|fault| begin >= fault);
        self.windows += 1;
        self.anomalies += usize::from(anomaly);
        self.false_alarms += usize::from(anomaly && !has_fault);
        self.missed += usize::from(!anomaly && is_fault);
        if anomaly && has_fault && self.found_after.is_none() {
            self.found_after = self.fault.map(|fault| end - fault);
        }
    }
}

/// What came of a replay.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// The pumps are simulated.
    synthetic: bool,
    samples: usize,
    pumps: BTreeMap<String, PumpReport>,
}

pub(super) async fn play(
    options: &DemoOptions,
    sandbox: &Sandbox,
    view: &TerminalView,
) -> anyhow::Result<Outcome> {
    let (client, mut inbox) = connect(sandbox, "predictions/vibration/+").await?;
    let pumps = parse(RECORDINGS)?;
    let publishing = publish(&client, &pumps, options.speed);
    let receiving = receive(&mut inbox, &pumps, sandbox.window(), view);
    let (published, received) = tokio::join!(publishing, receiving);
    published?;
    let samples = pumps.values().map(|pump| pump.samples.len()).sum();
    Ok(Outcome { synthetic: true, samples, pumps: received? })
}

/// Publishes the batches of all pumps, at their times.
async fn publish(
    client: &SimpleClient,
    pumps: &BTreeMap<String, Pump>,
    speed: f64,
) -> anyhow::Result<()> {
    let longest = pumps.values().map(|pump| pump.samples.len()).max().unwrap_or_default();
    let batches = u32::try_from(longest.div_ceil(BATCH))?;
    // As if the last batch were sent now, so that no time is in the future.
    let span = i64::try_from((BATCH_INTERVAL * batches).as_micros())?;
    let first = Timestamp((SystemClock::start().now().wall.0 - span) / 1000 * 1000);
    let mut due = tokio::time::Instant::now();
    for batch in 0..batches {
        if speed > 0.0 {
            due += BATCH_INTERVAL.div_f64(speed);
            tokio::time::sleep_until(due).await;
        }
        let time = first.plus(BATCH_INTERVAL * batch);
        for (name, pump) in pumps {
            let begin = BATCH * usize::try_from(batch)?;
            let samples: Vec<_> = pump.samples.iter().skip(begin).take(BATCH).collect();
            if samples.is_empty() {
                continue;
            }
            let payload = serde_json::json!({"ts": time.to_string(), "mg": samples});
            let topic = format!("pumps/{name}/acceleration");
            client.publish(&topic, payload.to_string(), Qos::AtLeastOnce, false).await?;
        }
    }
    Ok(())
}

/// Takes the predictions of all windows. Those of a pump come in the order of its windows.
async fn receive(
    inbox: &mut mpsc::Receiver<ClientMessage>,
    pumps: &BTreeMap<String, Pump>,
    (length, hop): (usize, usize),
    view: &TerminalView,
) -> anyhow::Result<BTreeMap<String, PumpReport>> {
    let windows = |pump: &Pump| pump.samples.len().checked_sub(length).map_or(0, |n| n / hop + 1);
    let expected: usize = pumps.values().map(windows).sum();
    let report = |(name, pump): (&String, &Pump)| {
        (name.clone(), PumpReport { fault: pump.fault, ..PumpReport::default() })
    };
    let mut reports: BTreeMap<String, PumpReport> = pumps.iter().map(report).collect();
    for got in 0..expected {
        let prediction: Prediction = loop {
            let next = tokio::time::timeout(ARRIVAL_TIMEOUT, inbox.recv()).await;
            let Ok(Some(message)) = next else {
                bail!("only {got} of {expected} predictions arrived");
            };
            if message.topic.starts_with("predictions/") {
                let parsed = serde_json::from_slice(&message.payload);
                break parsed.with_context(|| format!("a prediction on {}", message.topic))?;
            }
        };
        let report = reports.get_mut(&prediction.device);
        let report = report.with_context(|| format!("no pump {}", prediction.device))?;
        let begin = report.windows * hop;
        report.count((begin, begin + length), prediction.anomaly);
        let word = if prediction.anomaly { "anomaly" } else { "normal" };
        view.line(&format!("  {:8} {word:8} {:>8.3}", prediction.device, prediction.score));
    }
    Ok(reports)
}

impl Outcome {
    /// Prints what was found.
    ///
    /// # Errors
    /// The fault was not found, or something else was taken for one.
    pub(super) fn finish(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
        } else {
            println!("\n  The vibration is synthetic: models/vibration/make.py.");
            for (name, pump) in &self.pumps {
                println!("  {name:8} {}", pump.in_words());
            }
        }
        for (name, pump) in &self.pumps {
            if pump.false_alarms > 0 || pump.missed > 0 {
                bail!("{name}: {} false alarms, {} missed", pump.false_alarms, pump.missed);
            }
            if pump.fault.is_some() && pump.found_after.is_none() {
                bail!("{name}: the damaged bearing was not found");
            }
        }
        Ok(())
    }
}

impl PumpReport {
    fn in_words(&self) -> String {
        let Self { windows, anomalies, .. } = self;
        match self.found_after {
            Some(samples) => format!(
                "{anomalies} of {windows} windows are anomalies: the damaged bearing was found \
                 {samples} ms after its first strike"
            ),
            None => format!("{anomalies} of {windows} windows are anomalies"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_those_of_two_pumps_one_of_them_damaged() {
        let pumps = parse(RECORDINGS).unwrap();
        let faults: Vec<_> = pumps.values().map(|it| (it.samples.len(), it.fault)).collect();
        assert_eq!(faults, [(4000, None), (4000, Some(2000))]);
        for row in ["x", "p,ok,1,2", "p,ok,1,2,x"] {
            let error = parse(&format!("recording,label,x,y,z\n{row}\n")).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }

    #[test]
    fn predictions_are_counted_by_what_was_in_their_window() {
        let mut pump = PumpReport { fault: Some(300), ..PumpReport::default() };
        for (window, anomaly) in
            [((0, 256), true), ((128, 384), true), ((256, 512), false), ((384, 640), false)]
        {
            pump.count(window, anomaly);
        }
        assert_eq!((pump.windows, pump.anomalies), (4, 2));
        assert_eq!((pump.false_alarms, pump.missed, pump.found_after), (1, 1, Some(84)));
    }
}
