//! A worker with one stream and without a broker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bundle::{Bundle, VerifiedModel};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Config;
use crate::daemon::inference::messages::{FromWorker, ToWorker};
use crate::daemon::inference::queues::WorkerQueues;
use crate::daemon::inference::stream::{SaveIntervals, StreamRunner};
use crate::daemon::inference::worker::Worker;
use crate::daemon::telemetry::messages;
use crate::daemon::windows::recent_inputs::RecentInputs;
use crate::link::{Ingest, Link, LinkHandle, LinkOptions, Route};
use crate::message::{Captures, Delivery, Incoming};
use crate::monitor::{LogLimiter, TokenBucket};
use crate::pipeline::{self, Pipeline, PredictionIds};

pub(crate) const LENGTH: usize = 40;
pub(crate) const HOP: usize = 10;

fn config(windows: &str) -> Config {
    Config::parse(&format!(
        "[[stream]]\nname = \"motion\"\nmodel = \"motion\"\ntopic = \"sensors/{{device}}/imu\"\n\
         windows = \"{windows}\"\npayload = {{ format = \"csv\" }}\n"
    ))
    .unwrap()
}

pub(crate) fn loaded(version: &str) -> VerifiedModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let mut loaded = pipeline::load(&Bundle::open(&folder).unwrap()).unwrap();
    let card = Arc::make_mut(&mut loaded.card);
    card.version = version.to_owned();
    // The test may pause for as long as the machine does.
    card.window.as_mut().unwrap().max_gap = None;
    loaded
}

/// Takes nothing: the tests have no broker.
struct Closed;

impl Ingest for Closed {
    fn route(&mut self, _: &str, _: &[u8], _: &mut Vec<Delivery>) -> Route {
        Route::Streams
    }

    fn offer(&mut self, sample: Incoming) -> Result<(), Incoming> {
        Err(sample)
    }

    fn dropped(&mut self, _: Incoming) {}
}

fn link(config: &Config, clock: Arc<dyn Clock>) -> LinkHandle {
    let options = LinkOptions {
        previous_filters: Vec::new(),
        broker: config.broker.clone(),
        status: messages::status(&config.gateway, Timestamp(0)),
        subscriptions: Vec::new(),
        epoch: 0,
        ingest: Box::new(Closed),
        clock,
    };
    Link::start(options).handle
}

/// A running worker, and the ends of its queues.
pub(crate) struct WorkerRig {
    pub(crate) samples: SyncSender<ToWorker>,
    pub(crate) results: tokio::sync::mpsc::Receiver<FromWorker>,
    pub(crate) queues: WorkerQueues,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) worker: std::thread::JoinHandle<()>,
}

impl WorkerRig {
    pub(crate) fn start(windows: &str, first: &VerifiedModel) -> Self {
        let config = config(windows);
        let clock = Arc::new(SystemClock::start());
        let (samples, inbox): (_, Receiver<ToWorker>) = sync_channel(8);
        let (sender, results) = tokio::sync::mpsc::channel(4);
        let stream = &config.streams[0];
        let ids = PredictionIds::new(&config.gateway.id, "1", Arc::new(AtomicU64::new(0)));
        let (card, session) = (first.card.clone(), Box::new(first.model.session()));
        let pipeline = Pipeline::new(0, stream, &config.gateway.id, card, session, ids).unwrap();
        let hour = Duration::from_secs(3600);
        let saves = SaveIntervals { checkpoint: hour, journal: hour };
        let worker = Worker {
            inbox,
            streams: BTreeMap::from([(
                0,
                StreamRunner::new(0, stream, pipeline, saves, RecentInputs::new(256)),
            )]),
            results: sender,
            link: link(&config, clock.clone()),
            heartbeat: Arc::default(),
            clock: clock.clone(),
            reject_budget: Arc::new(Mutex::new(TokenBucket::new(0, clock.now().mono))),
            log_limit: LogLimiter::new(hour),
        };
        let queues = WorkerQueues::new([(stream.model.clone(), samples.clone())]);
        let worker = std::thread::spawn(|| worker.run());
        Self { samples, results, queues, clock, worker }
    }
}

/// What `sensors/{device}/imu` captures.
pub(crate) fn captures(topic: &str) -> Captures {
    let mut captures = Captures::default();
    captures.push("sensors/".len()..topic.len() - "/imu".len());
    captures
}

pub(crate) fn sample(clock: &SystemClock, device: usize, n: usize) -> ToWorker {
    let payload = format!("{n},{},1,2,3,4\n", n % 7);
    let topic = format!("sensors/{device}/imu");
    let incoming = Incoming {
        stream: 0,
        captures: captures(&topic),
        topic,
        payload: payload.into(),
        received: clock.now(),
        token: None,
        input_id: None,
        reply: None,
        retained: false,
    };
    ToWorker::Sample(incoming.into())
}
