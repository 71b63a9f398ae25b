//! Wires the daemon: opens the store, selects the active models, and connects the parts by queues.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc;

use super::baselines;
use super::captures::CaptureRequests;
use super::context::DaemonContext;
use super::control::commands::Commands;
use super::control::server::ControlServer;
use super::delivery::requests::{DeliveryHandle, HealthSource};
use super::delivery::{DeliveryEvent, DeliveryLoop, Sources};
use super::error::RunError;
use super::http::{self, HttpThread};
use super::inference::pool::WorkerPool;
use super::inference::queues::{SampleQueue, WorkerQueues};
use super::inference::stream::{SaveIntervals, StreamRunner};
use super::ingest::SampleRouter;
use super::labels::restore_labels;
use super::models::active::{self, ActiveModel};
use super::models::registry::ModelRegistry;
use super::models::switcher::ModelSwitcher;
use super::state_lock::StateDirLock;
use super::subscriptions;
use super::telemetry::health::HealthReporter;
use super::telemetry::messages;
use super::updates::Updates;
use super::updates::mailbox::UpdateMailbox;
use super::updates::restore::{RestoredMachine, restore};
use super::windows::input_epoch;
use super::windows::recent_inputs::RecentInputs;
use super::windows::restore::restore_windows;
use crate::bundle::VerifiedModel;
use crate::capture::{self, CaptureThread};
use crate::clock::{Clock, Now};
use crate::config::{Config, Stream};
use crate::link::{Link, LinkHandle, LinkOptions, LinkTask, Started};
use crate::outbox::{self, Event, Outbox};
use crate::pipeline::{Pipeline, PredictionIds};
use crate::store::handle::StoreThread;
use crate::store::models::ModelStore;
use crate::store::{self, OpenReport, Store, StoreError};

/// Results between the workers and the delivery loop.
const RESULT_QUEUE_LEN: usize = 256;

/// All parts of the daemon, wired and not running yet.
pub(super) struct Startup {
    pub(super) delivery: DeliveryParts,
    pub(super) link_task: LinkTask,
    pub(super) pool: WorkerPool,
    /// `None` if the control socket cannot be opened.
    pub(super) control: Option<(ControlServer, Commands)>,
    /// `None` if it is off or cannot be opened.
    pub(super) http: Option<HttpThread>,
    pub(super) lock: StateDirLock,
    pub(super) updates: Updates,
}

/// The delivery loop and what it works with.
pub(super) struct DeliveryParts {
    pub(super) context: Arc<DaemonContext>,
    pub(super) delivery: DeliveryLoop,
    pub(super) store: StoreThread,
    pub(super) sources: Sources,
    pub(super) link: LinkHandle,
    /// `None` if no stream captures inputs.
    pub(super) capture: Option<CaptureThread>,
}

/// The store as a start finds it.
type Database = Option<(Store, OpenReport)>;

/// What the start reads from disk.
struct State {
    database: Database,
    /// Names this start in the ids of predictions.
    boot: String,
    input_epoch: u64,
    /// Topic filters of earlier starts.
    former_filters: Vec<String>,
    updates: Vec<RestoredMachine>,
    models: Vec<ActiveModel>,
    versions: Option<ModelStore>,
    capture: Option<CaptureThread>,
}

/// Reads the state and wires the parts.
///
/// # Errors
/// Another daemon uses the folder, the store has another format, a model does not fit a stream, or
/// a thread cannot be started.
pub(super) fn start(
    config: Config,
    built_in: Vec<VerifiedModel>,
    clock: Arc<dyn Clock>,
) -> Result<Startup, RunError> {
    let started = clock.now();
    let lock = StateDirLock::acquire(&config.store.dir)?;
    let mut state = read_state(&config, built_in, &clock)?;
    let streams = streams(&config, &mut state, started)?;
    wire(config, clock, started, state, streams, lock)
}

fn read_state(
    config: &Config,
    built_in: Vec<VerifiedModel>,
    clock: &Arc<dyn Clock>,
) -> Result<State, RunError> {
    let started = clock.now();
    let (mut database, boot) = open_store(config, started)?;
    let input_epoch = input_epoch::load(store_of(&mut database));
    if let Some(warning) = subscriptions::too_many_subscriptions(config) {
        log::warn!("{warning}");
    }
    let former_filters = subscriptions::announce(config, store_of(&mut database));
    let names = built_in.iter().map(|loaded| loaded.card.name.clone());
    // Before a version on trial is loaded: a start that it crashes is counted, too.
    let updates = restore(config, names, store_of(&mut database), started);
    let (models, versions) = select_models(config, built_in, &mut database);
    let capture = capture::Settings::of(config);
    let capture = capture.map(|it| CaptureThread::start(it, clock.clone())).transpose()?;
    Ok(State { database, boot, input_epoch, former_filters, updates, models, versions, capture })
}

fn store_of(database: &mut Database) -> Option<&mut Store> {
    database.as_mut().map(|(store, _)| store)
}

fn wire(
    config: Config,
    clock: Arc<dyn Clock>,
    started: Now,
    state: State,
    streams: Vec<StreamRunner>,
    lock: StateDirLock,
) -> Result<Startup, RunError> {
    let stats = streams.iter().map(StreamRunner::stats).collect();
    let live = streams.iter().map(StreamRunner::live).collect();
    let journals = streams.iter().map(StreamRunner::journal).collect();
    let (queues, inboxes): (Vec<_>, Vec<_>) =
        (0..worker_count(&config)).map(|_| sync_channel(config.workers.queue)).unzip();
    let capture = state.capture.as_ref().map(CaptureThread::handle);
    let context = DaemonContext { config, clock, started, stats, live, journals, capture };
    let context = Arc::new(context);
    let sample_queues: Vec<_> = queues.iter().cloned().map(SampleQueue::new).collect();
    let names = context.config.streams.iter().map(|stream| stream.model.clone());
    let worker_queues = WorkerQueues::new(names.zip(by_stream(&context.config, &queues)));
    let of_streams = subscriptions::of_streams(&context.config);
    let mailbox = UpdateMailbox::new(&context.config, of_streams, &state.updates);
    let before = (state.input_epoch, state.former_filters);
    let Started { handle: link, task: link_task, events: link_events } =
        start_link(&context, &sample_queues, before, &mailbox);
    let registry = ModelRegistry::new(context.clone(), link.clone(), state.models);
    let (result_sender, results) = mpsc::channel(RESULT_QUEUE_LEN);
    let (event_sender, events) = mpsc::unbounded_channel();
    let store = start_store(&context.config, state.database, event_sender.clone())?;
    let rejects = context.config.report.rejects_per_minute;
    let inboxes = (queues, inboxes);
    let pool = WorkerPool::start(&context.clock, rejects, inboxes, streams, &link, &result_sender)?;
    let switcher = ModelSwitcher::new(
        context.clone(),
        state.versions,
        worker_queues,
        registry.clone(),
        store.handle(),
    );
    let updates = Updates::new(state.updates, &mailbox, &link, &switcher);
    let (reporter, latest) = HealthReporter::new(context.clone(), registry.clone(), link.clone());
    let (delivery_handle, requests) = DeliveryHandle::new();
    let commands = Commands {
        store: store.handle(),
        models: registry,
        health: HealthSource::new(delivery_handle.clone(), latest),
        delivery: delivery_handle,
        switcher,
        updates: updates.queues(),
        context: context.clone(),
    };
    let outbox = Outbox::new(outbox::Settings::from(&context.config));
    let delivery = DeliveryLoop::new(
        context.clone(),
        outbox,
        link.clone(),
        store.handle(),
        event_sender,
        (reporter, updates.queues()),
    );
    let http = http::start(&context, &commands);
    let control = open_control(&context.config).map(|server| (server, commands));
    let sources = Sources { link: link_events, events, results, requests };
    let capture = state.capture;
    let delivery = DeliveryParts { context, delivery, store, sources, link, capture };
    Ok(Startup { delivery, link_task, pool, control, http, lock, updates })
}

/// Selects the active versions: from the store if it has any, else the built-in ones.
fn select_models(
    config: &Config,
    built_in: Vec<VerifiedModel>,
    database: &mut Database,
) -> (Vec<ActiveModel>, Option<ModelStore>) {
    let versions = match ModelStore::open(&store::Settings::from(&config.store)) {
        Ok(versions) => Some(versions),
        Err(error) => {
            log::error!("cannot open the model store, the built-in models are used: {error}");
            None
        }
    };
    let (Some((store, report)), Some(open)) = (database, &versions) else {
        return (active::select(config, built_in, None, None), versions);
    };
    let models = active::select(config, built_in, Some(store), Some(open));
    if report.quarantined.is_none() {
        active::sweep(models.iter().map(ActiveModel::name), store, open);
    }
    (models, versions)
}

/// Opens the control socket. The daemon works without one, too.
fn open_control(config: &Config) -> Option<ControlServer> {
    let dir = &config.control.dir;
    ControlServer::open(dir)
        .inspect_err(|error| {
            let dir = dir.display();
            log::warn!("no control socket in {dir}, local commands will not work: {error}");
        })
        .ok()
}

/// Opens the store and names this start. Without a store the daemon still works: live results pass
/// through, and the store's thread tries again.
fn open_store(config: &Config, started: Now) -> Result<(Database, String), RunError> {
    let settings = store::Settings::from(&config.store);
    if let Some(shortage) = store::shortage(&settings) {
        log::warn!("{shortage}");
    }
    match Store::open(&settings) {
        Ok((store, report)) => {
            if let Some(why) = &report.quarantined {
                log::error!("the database is damaged and was quarantined: {why}");
            }
            let boot = format!("{:x}", report.boot);
            Ok((Some((store, report)), boot))
        }
        Err(other @ (StoreError::Newer { .. } | StoreError::Older { .. })) => Err(other.into()),
        Err(error) => {
            log::error!("working without a store, results are kept in memory only: {error}");
            // There is no counter to rely on. The wall clock in microseconds was not used before
            // unless the clock went back, and the letter distinguishes it from a counter.
            Ok((None, format!("t{:x}", started.wall.0)))
        }
    }
}

/// Makes one runner per stream, with the saved windows restored.
fn streams(config: &Config, state: &mut State, now: Now) -> Result<Vec<StreamRunner>, RunError> {
    let sequence = Arc::new(AtomicU64::new(0));
    let ids = PredictionIds::new(&config.gateway.id, &state.boot, sequence);
    let saves = SaveIntervals {
        checkpoint: config.store.checkpoint_interval,
        journal: config.store.group_delay,
    };
    let runner = |(index, stream): (usize, &Stream)| {
        let model = state.models.iter().find(|model| *model.name() == stream.model);
        let model = model.ok_or_else(|| RunError::NoModel(stream.model.to_string()))?;
        let session = Box::new(model.loaded.model.session());
        let card = model.loaded.card.clone();
        let mut pipeline =
            Pipeline::new(index, stream, &config.gateway.id, card, session, ids.clone())
                .map_err(|problems| misfit(stream, &problems))?;
        // A broker may send more than it was allowed to.
        let mut recent = RecentInputs::new(2 * usize::from(config.broker.receive_maximum));
        if let Some(store) = store_of(&mut state.database) {
            restore_windows(&mut pipeline, &mut recent, stream, store, now);
            restore_labels(&mut pipeline, stream, store);
        }
        let (gateway, digest) = (&config.gateway, model.loaded.digest);
        let (learned, learning) = store_of(&mut state.database)
            .map(|store| {
                let name = &stream.name;
                let learned = baselines::load(store, name, digest);
                (learned, baselines::load_progress(store, name, digest))
            })
            .unwrap_or_default();
        if let Err(why) = pipeline.watch_drift(model.loaded.baseline.clone(), learned) {
            log::warn!("stream {}: the baseline of its model is not used: {why}", stream.name);
        }
        if let Some(learning) = learning
            && pipeline.resume_learning(&learning)
        {
            log::info!("stream {}: goes on learning its baseline", stream.name);
        }
        let runner = StreamRunner::new(index, stream, pipeline, saves, recent);
        let runner = runner.with_drift(gateway, &stream.drift, digest);
        let capture = state.capture.as_ref().filter(|_| stream.capture.is_some());
        Ok(runner.with_capture(capture.map(CaptureThread::handle)).with_label_stats())
    };
    config.streams.iter().enumerate().map(runner).collect()
}

fn misfit(stream: &Stream, problems: &[crate::pipeline::CompatibilityError]) -> RunError {
    RunError::Fit {
        stream: stream.name.clone(),
        model: stream.model.to_string(),
        problems: problems.iter().map(ToString::to_string).collect(),
    }
}

/// As many threads as configured or as there are cores, and no more than there are streams.
fn worker_count(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = if config.workers.threads == 0 { cores() } else { config.workers.threads };
    wanted.min(config.streams.len()).max(1)
}

/// What belongs to the worker of each stream.
fn by_stream<T: Clone>(config: &Config, by_worker: &[T]) -> Vec<T> {
    let of_stream = |index: usize| by_worker.get(index % by_worker.len().max(1)).cloned();
    (0..config.streams.len()).filter_map(of_stream).collect()
}

fn start_link(
    context: &DaemonContext,
    by_worker: &[SampleQueue],
    (epoch, former): (u64, Vec<String>),
    mailbox: &Arc<UpdateMailbox>,
) -> Started {
    let config = &context.config;
    let stats = context.stats.clone();
    let queues = by_stream(config, by_worker);
    let captures = CaptureRequests::new(config, context.capture.as_ref(), &context.clock);
    let router =
        SampleRouter::new(&config.streams, queues, stats, mailbox.clone(), captures.clone());
    let started = Link::start(LinkOptions {
        broker: config.broker.clone(),
        status: messages::status(&config.gateway, context.started.wall),
        subscriptions: mailbox.subscriptions(),
        previous_filters: former,
        ingest: Box::new(router),
        epoch,
        clock: context.clock.clone(),
    });
    captures.iter().for_each(|captures| captures.attach(started.handle.clone()));
    started
}

fn start_store(
    config: &Config,
    database: Database,
    events: mpsc::UnboundedSender<DeliveryEvent>,
) -> Result<StoreThread, RunError> {
    let (store, first) = match database {
        Some((store, report)) => (Some(store), Event::Opened(report.opened)),
        None => (None, Event::StoreUnavailable),
    };
    // At most one group and one read are in progress at a time, so this queue stays short.
    let answer = move |event| drop(events.send(DeliveryEvent::Outbox(event)));
    answer(first);
    Ok(store::handle::spawn(store::Settings::from(&config.store), store, answer)?)
}
