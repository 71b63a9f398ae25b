//! `inferd demo`: the whole path on real recordings. Several smart watches publish to a broker, the
//! daemon windows their samples per device, runs the shipped int8 model and publishes what the
//! wearers do; the demonstration reads that back and holds it against the truth.

mod broker;
mod nodelay;
mod recordings;
mod replay;
mod score;
mod screen;
mod setting;

pub use broker::{EmbeddedBroker, StartError};

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{mpsc, oneshot};

use crate::bundle::Loaded;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Config;
use crate::daemon;
use crate::link::{ClientMessage, SimpleClient};
use crate::message::Qos;
use replay::{Place, STEP, Watch};
use score::{Prediction, Score};
use screen::Screen;
use setting::Setting;

/// How the demonstration is to be run.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// An external broker's URL instead of the embedded one.
    pub broker: Option<String>,
    /// Times the recorded speed; 0 = as fast as the broker takes it.
    pub speed: f64,
    pub watches: usize,
    /// The figures as one JSON object on standard output instead of the screen.
    pub json: bool,
}

/// How long the last predictions may take after the last sample.
const PATIENCE: Duration = Duration::from_secs(20);

/// One sample on its way: when, whose, which.
struct Cue {
    after: Duration,
    watch: usize,
    place: Place,
    sample: [f32; 6],
}

/// Runs the demonstration to its end.
///
/// # Errors
/// No broker, a daemon that does not start, or predictions that do not arrive.
pub fn run(options: &DemoOptions) -> anyhow::Result<()> {
    let setting = Setting::prepare(options.broker.as_deref())?;
    let screen = Screen::new(options.json);
    screen.title(&setting);
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = start_daemon(setting.config(), setting.bundle(), stopped)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(play(options, &setting, &screen));
    // The daemon ends as it does in service: drained, saved, its status `stopped`.
    if stop.send(()).is_err() {
        log::debug!("the daemon has ended before the demonstration");
    }
    let ended = daemon.join().map_err(|_| anyhow::anyhow!("the daemon panicked"))?;
    let score = outcome?;
    ended.context("the daemon did not end well")?;
    drop(setting);
    score.finish(&screen)
}

fn start_daemon(
    config: Config,
    bundle: Loaded,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<std::thread::JoinHandle<Result<(), daemon::RunError>>> {
    let shutdown = async { drop(stopped.await) };
    let life = move || daemon::run(config, vec![bundle], Arc::new(SystemClock::start()), shutdown);
    Ok(std::thread::Builder::new().name("inferd".into()).spawn(life)?)
}

/// What a replay ends with.
struct Outcome {
    score: Score,
    expected: u64,
    samples: u64,
    took: Duration,
}

async fn play(
    options: &DemoOptions,
    setting: &Setting,
    screen: &Screen,
) -> anyhow::Result<Outcome> {
    let (client, mut inbox) = SimpleClient::start(&setting.client())?;
    client.connected(PATIENCE).await.context("the demonstration's own client")?;
    client.subscribe(&setting.status_topic(), Qos::AtLeastOnce).await?;
    client.subscribe("predictions/motion/+", Qos::AtLeastOnce).await?;
    await_online(&mut inbox, &setting.status_topic()).await?;

    let recordings = recordings::parse(setting::RECORDINGS)?;
    let watches = replay::deal(recordings, options.watches);
    let expected = watches.iter().map(|watch| setting.windows(watch)).sum();
    let cues = cues(&watches);
    let samples = u64::try_from(cues.len())?;
    screen.begin(&watches, expected);
    let first = first_moment(&watches);
    let score = RefCell::new(Score::new(watches, first)?);
    let begun = Instant::now();
    let publishing = publish(&client, &cues, first, options.speed, &score);
    let receiving = receive(&mut inbox, expected, &score, screen);
    let (published, received) = tokio::join!(publishing, receiving);
    published?;
    received?;
    Ok(Outcome { score: score.into_inner(), expected, samples, took: begun.elapsed() })
}

/// The recordings are replayed as if the last sample were taken now, so no clock is ahead.
fn first_moment(watches: &[Watch]) -> Timestamp {
    let longest = watches.iter().map(Watch::worn).max().unwrap_or_default();
    let now = SystemClock::start().now().wall;
    // To the millisecond, as the payload carries it.
    Timestamp((now.0 - i64::try_from(longest.as_micros()).unwrap_or(0)) / 1000 * 1000)
}

/// All watches' samples in the order of their moments.
fn cues(watches: &[Watch]) -> Vec<Cue> {
    let mut cues: Vec<Cue> = watches
        .iter()
        .enumerate()
        .flat_map(|(watch, of)| {
            of.samples().map(move |(after, place, sample)| Cue { after, watch, place, sample })
        })
        .collect();
    cues.sort_by_key(|cue| cue.after);
    cues
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
    tokio::time::timeout(PATIENCE, online).await.context("the daemon did not come online")?
}

/// Publishes every sample at its moment; pauses between recordings are passed over.
async fn publish(
    client: &SimpleClient,
    cues: &[Cue],
    first: Timestamp,
    speed: f64,
    score: &RefCell<Score>,
) -> anyhow::Result<()> {
    let mut due = tokio::time::Instant::now();
    let mut last = Duration::ZERO;
    for cue in cues {
        if speed > 0.0 && cue.after > last {
            due += (cue.after - last).min(STEP).div_f64(speed);
            tokio::time::sleep_until(due).await;
        }
        last = cue.after;
        let topic = {
            let mut score = score.borrow_mut();
            score.sent(cue.watch, cue.place);
            let name = score.watches().get(cue.watch).map_or("", |watch| &watch.name);
            format!("sensors/{name}/imu")
        };
        let payload = replay::payload(first.plus(cue.after), cue.sample);
        client.publish(&topic, payload, Qos::AtLeastOnce, false).await?;
    }
    Ok(())
}

async fn receive(
    inbox: &mut mpsc::Receiver<ClientMessage>,
    expected: u64,
    score: &RefCell<Score>,
    screen: &Screen,
) -> anyhow::Result<()> {
    while score.borrow().windows < expected {
        let next = tokio::time::timeout(PATIENCE, inbox.recv()).await;
        let Ok(Some(message)) = next else {
            let got = score.borrow().windows;
            bail!("only {got} of {expected} predictions arrived; `RUST_LOG=debug` shows more");
        };
        if !message.topic.starts_with("predictions/") {
            continue;
        }
        let prediction: Prediction = serde_json::from_slice(&message.payload)
            .with_context(|| format!("a prediction on {} does not read", message.topic))?;
        if let Some(scored) = score.borrow_mut().received(&prediction) {
            screen.prediction(&prediction, &scored);
        }
    }
    Ok(())
}

impl Outcome {
    fn finish(&self, screen: &Screen) -> anyhow::Result<()> {
        let figures = self.score.figures();
        screen.finish(&figures, self.samples, self.took)?;
        if self.score.unplaced > 0 {
            bail!("{} predictions belong to no recording", self.score.unplaced);
        }
        if figures.windows != self.expected {
            bail!("{} predictions for {} windows", figures.windows, self.expected);
        }
        Ok(())
    }
}
