//! `inferd demo`: the whole pipeline on real recordings. Smart watches publish to a broker, the daemon
//! windows their samples per device, runs the built-in int8 model and publishes predictions; the demo
//! compares them with the labels of the recordings.

mod broker;
mod nodelay;
mod recordings;
mod replay;
mod sandbox;
mod score;
mod terminal_view;
mod vibration;

pub use broker::{EmbeddedBroker, StartError};

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{mpsc, oneshot};

use crate::bundle::VerifiedModel;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Config;
use crate::daemon;
use crate::link::{ClientMessage, SimpleClient};
use crate::message::Qos;
use replay::{SAMPLE_INTERVAL, SamplePosition, Watch};
use sandbox::{Sandbox, Scenario};
use score::{Prediction, Score};
use terminal_view::TerminalView;

/// The recordings that are replayed.
const RECORDINGS: &str = include_str!("../../models/recordings/basic-motions-test.csv");

const MOTION: Scenario = Scenario {
    model: "motion",
    files: &[
        ("card.toml", include_bytes!("../../models/motion/card.toml")),
        ("model.onnx", include_bytes!("../../models/motion/model.onnx")),
        ("golden.npz", include_bytes!("../../models/motion/golden.npz")),
        ("golden_samples.json", include_bytes!("../../models/motion/golden_samples.json")),
    ],
    topic: "sensors/{device}/imu",
    payload: r#"{ format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"], time = "ts" }"#,
    title: ["40 recordings of smart watches", "int8 model"],
};

/// What is demonstrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demonstration {
    /// Watches and the activity of their wearers.
    Motion,
    /// Simulated pumps, one of which is damaged.
    Vibration,
}

/// Options of the demo.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    pub demonstration: Demonstration,
    /// An external broker's URL instead of the embedded one.
    pub broker: Option<String>,
    /// Playback speed as a multiple of the recorded one; 0 is as fast as possible.
    pub speed: f64,
    pub watches: usize,
    /// The figures as one JSON object on standard output instead of the screen.
    pub json: bool,
}

/// The longest time until a prediction arrives.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// A sample with the time at which it is published.
struct ScheduledSample {
    after: Duration,
    watch: usize,
    place: SamplePosition,
    sample: [f32; 6],
}

/// Runs the demonstration to its end.
///
/// # Errors
/// No broker, a daemon that does not start, or predictions that do not arrive.
pub fn run(options: &DemoOptions) -> anyhow::Result<()> {
    let view = TerminalView::new(options.json);
    match options.demonstration {
        Demonstration::Motion => {
            let sandbox = Sandbox::prepare(options.broker.as_deref(), &MOTION)?;
            view.title(&sandbox);
            with_daemon(&sandbox, play(options, &sandbox, &view))?.finish(&view)
        }
        Demonstration::Vibration => {
            let sandbox = Sandbox::prepare(options.broker.as_deref(), &vibration::SCENARIO)?;
            view.title(&sandbox);
            with_daemon(&sandbox, vibration::play(options, &sandbox, &view))?.finish(options.json)
        }
    }
}

/// Runs a replay beside the daemon.
fn with_daemon<T>(
    sandbox: &Sandbox,
    replay: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = start_daemon(sandbox.config(), sandbox.bundle(), stopped)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(replay);
    // The daemon stops as in production: queues drained, state saved, status `stopped`.
    if stop.send(()).is_err() {
        log::debug!("the daemon has ended before the demonstration");
    }
    let ended = daemon.join().map_err(|_| anyhow::anyhow!("the daemon panicked"))?;
    let outcome = outcome?;
    ended.context("the daemon failed")?;
    Ok(outcome)
}

/// The demo's own connection, subscribed to the predictions of a model; the daemon is online.
async fn connect(
    sandbox: &Sandbox,
    predictions: &str,
) -> anyhow::Result<(SimpleClient, mpsc::Receiver<ClientMessage>)> {
    let (client, mut inbox) = SimpleClient::start(&sandbox.client())?;
    client.connected(ARRIVAL_TIMEOUT).await.context("the demo's own connection")?;
    client.subscribe(&sandbox.status_topic(), Qos::AtLeastOnce).await?;
    client.subscribe(predictions, Qos::AtLeastOnce).await?;
    await_online(&mut inbox, &sandbox.status_topic()).await?;
    Ok((client, inbox))
}

fn start_daemon(
    config: Config,
    bundle: VerifiedModel,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<std::thread::JoinHandle<Result<(), daemon::RunError>>> {
    let shutdown = async { drop(stopped.await) };
    let life = move || daemon::run(config, vec![bundle], Arc::new(SystemClock::start()), shutdown);
    Ok(std::thread::Builder::new().name("inferd".into()).spawn(life)?)
}

/// The result of a replay.
struct ReplayOutcome {
    score: Score,
    expected: u64,
    samples: u64,
    took: Duration,
}

async fn play(
    options: &DemoOptions,
    sandbox: &Sandbox,
    view: &TerminalView,
) -> anyhow::Result<ReplayOutcome> {
    let (client, mut inbox) = connect(sandbox, "predictions/motion/+").await?;
    let recordings = recordings::parse(RECORDINGS)?;
    let watches = replay::deal(recordings, options.watches);
    let expected = watches.iter().map(|watch| sandbox.windows(watch)).sum();
    let schedule = schedule(&watches);
    let samples = u64::try_from(schedule.len())?;
    view.begin(&watches, expected);
    let first = first_moment(&watches);
    let score = RefCell::new(Score::new(watches, first)?);
    let started = Instant::now();
    let publishing = publish(&client, &schedule, first, options.speed, &score);
    let receiving = receive(&mut inbox, expected, &score, view);
    let (published, received) = tokio::join!(publishing, receiving);
    published?;
    received?;
    Ok(ReplayOutcome { score: score.into_inner(), expected, samples, took: started.elapsed() })
}

/// The recordings are replayed as if the last sample were taken now, so no time stamp is in the future.
fn first_moment(watches: &[Watch]) -> Timestamp {
    let longest = watches.iter().map(Watch::duration).max().unwrap_or_default();
    let now = SystemClock::start().now().wall;
    // To the millisecond, as the payload carries it.
    Timestamp((now.0 - i64::try_from(longest.as_micros()).unwrap_or(0)) / 1000 * 1000)
}

/// The samples of all watches in the order of their times.
fn schedule(watches: &[Watch]) -> Vec<ScheduledSample> {
    let mut schedule: Vec<ScheduledSample> = watches
        .iter()
        .enumerate()
        .flat_map(|(watch, of)| {
            of.samples().map(move |(after, place, sample)| ScheduledSample {
                after,
                watch,
                place,
                sample,
            })
        })
        .collect();
    schedule.sort_by_key(|scheduled| scheduled.after);
    schedule
}

async fn await_online(
    inbox: &mut mpsc::Receiver<ClientMessage>,
    topic: &str,
) -> anyhow::Result<()> {
    let online = async {
        while let Some(message) = inbox.recv().await {
            let status = serde_json::from_slice::<serde_json::Value>(&message.payload);
            let online = |s: serde_json::Value| s.get("state").is_some_and(|s| s == "online");
            if message.topic == topic && status.is_ok_and(online) {
                return Ok(());
            }
        }
        bail!("the broker closed the connection")
    };
    tokio::time::timeout(ARRIVAL_TIMEOUT, online).await.context("the daemon did not come online")?
}

/// Publishes every sample at its time; pauses between recordings are skipped.
async fn publish(
    client: &SimpleClient,
    schedule: &[ScheduledSample],
    first: Timestamp,
    speed: f64,
    score: &RefCell<Score>,
) -> anyhow::Result<()> {
    let mut due = tokio::time::Instant::now();
    let mut last = Duration::ZERO;
    for scheduled in schedule {
        if speed > 0.0 && scheduled.after > last {
            due += (scheduled.after - last).min(SAMPLE_INTERVAL).div_f64(speed);
            tokio::time::sleep_until(due).await;
        }
        last = scheduled.after;
        let topic = {
            let mut score = score.borrow_mut();
            score.sent(scheduled.watch, scheduled.place);
            let name = score.watches().get(scheduled.watch).map_or("", |watch| &watch.name);
            format!("sensors/{name}/imu")
        };
        let payload = replay::payload(first.plus(scheduled.after), scheduled.sample);
        client.publish(&topic, payload, Qos::AtLeastOnce, false).await?;
    }
    Ok(())
}

async fn receive(
    inbox: &mut mpsc::Receiver<ClientMessage>,
    expected: u64,
    score: &RefCell<Score>,
    view: &TerminalView,
) -> anyhow::Result<()> {
    while score.borrow().windows < expected {
        let next = tokio::time::timeout(ARRIVAL_TIMEOUT, inbox.recv()).await;
        let Ok(Some(message)) = next else {
            let got = score.borrow().windows;
            bail!(
                "only {got} of {expected} predictions arrived; run with `RUST_LOG=debug` for \
                 details"
            );
        };
        if !message.topic.starts_with("predictions/") {
            continue;
        }
        let prediction: Prediction = serde_json::from_slice(&message.payload)
            .with_context(|| format!("cannot parse a prediction on {}", message.topic))?;
        if let Some(scored) = score.borrow_mut().received(&prediction) {
            view.prediction(&prediction, &scored);
        }
    }
    Ok(())
}

impl ReplayOutcome {
    fn finish(&self, view: &TerminalView) -> anyhow::Result<()> {
        let figures = self.score.figures();
        view.finish(&figures, self.samples, self.took)?;
        if self.score.unplaced > 0 {
            bail!("{} predictions do not belong to any recording", self.score.unplaced);
        }
        if figures.windows != self.expected {
            bail!("{} predictions for {} windows", figures.windows, self.expected);
        }
        Ok(())
    }
}
