//! Puts the parts together: store, outbox, link, workers, and the queues between them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::{Semaphore, mpsc};

use super::claim::Claim;
use super::control::{Asked, Door};
use super::crew::Crew;
use super::desk::{Desk, FromStore, Sources};
use super::filters;
use super::inference::messages::ToWorker;
use super::inference::queues::WorkerQueues;
use super::inference::stats::SharedStats;
use super::intake::Intake;
use super::journal::{self, SharedJournal};
use super::lane::{Lane, SaveIntervals};
use super::seen::Seen;
use super::serving::{self, Serving};
use super::shared::Shared;
use super::switch::Switch;
use super::updates::{self, Post, Updates};
use super::{RunError, laps, report, windows_key};
use crate::bundle::Loaded;
use crate::clock::{Clock, Now};
use crate::config::{Config, Stream, WindowSafety};
use crate::link::{Link, LinkHandle, LinkOptions, LinkTask};
use crate::outbox::{self, Event, Outbox};
use crate::pipeline::{Ids, Pipeline};
use crate::store::handle::StoreThread;
use crate::store::models::ModelStore;
use crate::store::{self, Store, StoreError};

/// Results between the workers and the desk.
const RESULTS: usize = 256;
/// Questions between the control socket and the desk.
const ASKED: usize = 8;

/// Everything that runs, wired and not yet serving.
pub(crate) struct Assembly {
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Desk,
    pub(crate) store: StoreThread,
    pub(crate) sources: Sources,
    pub(crate) link: LinkHandle,
    pub(crate) task: LinkTask,
    pub(crate) crew: Crew,
    /// `None` where the control socket cannot be.
    pub(crate) door: Option<(Door, mpsc::Sender<Asked>)>,
    pub(crate) claim: Claim,
    pub(crate) updates: Updates,
}

pub(crate) fn assemble(
    config: Config,
    shipped: Vec<Loaded>,
    clock: Arc<dyn Clock>,
) -> Result<Assembly, RunError> {
    let started = clock.now();
    let claim = Claim::of(&config.store.dir)?;
    let (mut database, boot) = open_store(&config, started)?;
    let epoch = laps::last(database.as_mut().map(|(store, _)| store));
    if let Some(warning) = filters::too_many_subscriptions(&config) {
        log::warn!("{warning}");
    }
    let former = filters::announce(&config, database.as_mut().map(|(store, _)| store));
    let store = database.as_mut().map(|(store, _)| store);
    let names = shipped.iter().map(|loaded| loaded.card.name.clone());
    // Before a version on trial is loaded: one that takes the daemon down then is counted, too.
    let drafts = updates::wake(&config, names, store, started);
    let (serving, versions) = models(&config, shipped, database.as_mut());
    let lanes = lanes(&config, &serving, &boot, started, database.as_mut())?;
    let stats: Vec<SharedStats> = lanes.iter().map(Lane::stats).collect();
    let journals: Vec<SharedJournal> = lanes.iter().map(Lane::journal).collect();
    let threads = worker_count(&config);
    let (queues, inboxes): (Vec<_>, Vec<_>) =
        (0..threads).map(|_| sync_channel::<ToWorker>(config.workers.queue)).unzip();
    let shared = Arc::new(Shared { config, clock, started, stats, journals });
    let by_stream = by_stream(&shared.config, &queues);
    let names = shared.config.streams.iter().map(|stream| stream.model.clone());
    let worker_queues = WorkerQueues::new(names.zip(by_stream.iter().cloned()));
    let post = Post::new(&shared.config, filters::of_streams(&shared.config), &drafts);
    let link = start_link(&shared, by_stream, (epoch, former), &post);
    for serving in &serving {
        let topic = format!("model/{}", serving.name());
        let topic = report::topic(&shared.config.gateway, &topic);
        link.handle.set_retained(topic, report::model(serving, started.wall));
    }
    let (results, from_workers) = mpsc::channel(RESULTS);
    let (store_says, from_store) = mpsc::unbounded_channel();
    let store = start_store(&shared.config, database, store_says.clone())?;
    let crew = Crew::start(&shared, queues, inboxes, lanes, &link.handle, &results)?;
    let outbox = Outbox::new(outbox::Settings::from(&shared.config));
    let switch = Switch {
        shared: shared.clone(),
        versions,
        queues: worker_queues,
        desk: store_says.clone(),
        turn: Arc::new(Semaphore::new(1)),
    };
    let updates = Updates::new(drafts, &post, &link.handle, &switch, &serving);
    let desk = Desk::new(
        shared.clone(),
        outbox,
        link.handle.clone(),
        store.handle(),
        store_says,
        serving,
        switch,
        updates.orders(),
    );
    let (door, asked) = open_door(&shared.config);
    let sources = Sources { link: link.events, store: from_store, results: from_workers, asked };
    let (link, task) = (link.handle, link.task);
    Ok(Assembly { shared, desk, store, sources, link, task, crew, door, claim, updates })
}

/// The models that serve, from the store where it has better ones than were shipped.
fn models(
    config: &Config,
    shipped: Vec<Loaded>,
    database: Option<&mut (Store, store::OpenReport)>,
) -> (Vec<Serving>, Option<ModelStore>) {
    let versions = match ModelStore::open(&store::Settings::from(&config.store)) {
        Ok(versions) => Some(versions),
        Err(error) => {
            log::error!("the shipped models serve, there is no place for others: {error}");
            None
        }
    };
    let (store, set_aside) = match database {
        Some((store, found)) => (Some(store), found.quarantined.is_some()),
        None => (None, true),
    };
    match (store, &versions) {
        (Some(store), Some(open)) => {
            let serving = serving::choose(config, shipped, Some(store), Some(open));
            if !set_aside {
                serving::sweep(serving.iter().map(Serving::name), store, open);
            }
            (serving, versions)
        }
        _ => (serving::choose(config, shipped, None, None), versions),
    }
}

/// The control socket. Without one the daemon works all the same.
fn open_door(config: &Config) -> (Option<(Door, mpsc::Sender<Asked>)>, mpsc::Receiver<Asked>) {
    let (ask, asked) = mpsc::channel(ASKED);
    match Door::open(&config.control.dir) {
        Ok(door) => (Some((door, ask)), asked),
        Err(error) => {
            let dir = config.control.dir.display();
            log::warn!("no control socket in {dir}, local commands will not work: {error}");
            (None, asked)
        }
    }
}

/// Opens the store and gives this start its name. Without a store the daemon still works: live
/// results go through, and the thread tries again.
fn open_store(
    config: &Config,
    started: Now,
) -> Result<(Option<(Store, store::OpenReport)>, String), RunError> {
    let settings = store::Settings::from(&config.store);
    if let Some(shortage) = store::shortage(&settings) {
        log::warn!("{shortage}");
    }
    match Store::open(&settings) {
        Ok((database, found)) => {
            if let Some(why) = &found.quarantined {
                log::error!("the database was damaged and has been set aside: {why}");
            }
            let boot = format!("{:x}", found.boot);
            Ok((Some((database, found)), boot))
        }
        Err(other @ (StoreError::Newer { .. } | StoreError::Older { .. })) => Err(other.into()),
        Err(error) => {
            log::error!("working without a store, results are kept in memory only: {error}");
            // No counter to rely on: the wall clock in microseconds has not been used before
            // unless the clock went back, and starts with a letter no counter starts with.
            Ok((None, format!("t{:x}", started.wall.0)))
        }
    }
}

/// One lane per stream, windows restored.
fn lanes(
    config: &Config,
    serving: &[Serving],
    boot: &str,
    now: Now,
    mut database: Option<&mut (Store, store::OpenReport)>,
) -> Result<Vec<Lane>, RunError> {
    let sequence = Arc::new(AtomicU64::new(0));
    let ids = Ids::new(&config.gateway.id, boot, sequence);
    let saves = SaveIntervals {
        checkpoint: config.store.checkpoint_interval,
        journal: config.store.group_delay,
    };
    let lane = |(index, stream): (usize, &Stream)| {
        let serving = serving
            .iter()
            .find(|serving| *serving.name() == stream.model)
            .ok_or_else(|| RunError::NoModel(stream.model.to_string()))?;
        let loaded = &serving.loaded;
        let session = Box::new(loaded.model.session());
        let card = loaded.card.clone();
        let mut pipeline =
            Pipeline::new(index, stream, &config.gateway.id, card, session, ids.clone())
                .map_err(|problems| misfit(stream, &problems))?;
        // A broker may send more than it was allowed to.
        let mut seen = Seen::new(2 * usize::from(config.broker.receive_maximum));
        if let Some((database, _)) = database.as_mut() {
            restore(&mut pipeline, &mut seen, stream, database, now);
        }
        Ok(Lane::new(index, stream, pipeline, saves, seen))
    };
    config.streams.iter().enumerate().map(lane).collect()
}

fn misfit(stream: &Stream, problems: &[crate::pipeline::FitError]) -> RunError {
    RunError::Fit {
        stream: stream.name.clone(),
        model: stream.model.to_string(),
        problems: problems.iter().map(ToString::to_string).collect(),
    }
}

/// Takes up the windows that the last stop, or the last checkpoint, saved.
fn restore(
    pipeline: &mut Pipeline,
    seen: &mut Seen,
    stream: &Stream,
    database: &mut Store,
    now: Now,
) {
    let key = windows_key(&stream.name);
    let kept = match journal::kept(database, &key) {
        Ok(Some(saved)) => saved,
        Ok(None) => return,
        Err(error) => return log::warn!("cannot read {key}: {error}"),
    };
    let (mut input_ids, additions) = (Vec::new(), kept.entries.iter().map(Vec::as_slice));
    match pipeline.replay(seen.restore(&kept.base), additions, now, &mut input_ids) {
        Ok(restored) => {
            log::info!(
                "stream {}: windows of {} devices restored, {} left out",
                stream.name,
                restored.devices,
                restored.dropped
            );
            if restored.left_out > 0 {
                log::warn!(
                    "stream {}: {} groups of samples that came after the saved windows do not read \
                     back and are left out",
                    stream.name,
                    restored.left_out
                );
            }
        }
        Err(error) => log::warn!("stream {}: {error}", stream.name),
    }
    input_ids.into_iter().for_each(|input_id| seen.note(Some(input_id)));
    // Saved at a clean stop only: after a crash they would be older than what came since.
    if stream.windows == WindowSafety::Memory
        && let Err(error) = database.clear_windows(&key)
    {
        log::warn!("cannot clear {key}: {error}");
    }
}

/// As many threads as asked for or as there are cores, and no more than there are streams.
fn worker_count(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = if config.workers.threads == 0 { cores() } else { config.workers.threads };
    wanted.min(config.streams.len()).max(1)
}

/// Each stream's worker's queue.
fn by_stream(config: &Config, queues: &[SyncSender<ToWorker>]) -> Vec<SyncSender<ToWorker>> {
    let of_stream = |index: usize| queues.get(index % queues.len().max(1)).cloned();
    (0..config.streams.len()).filter_map(of_stream).collect()
}

fn start_link(
    shared: &Shared,
    by_stream: Vec<SyncSender<ToWorker>>,
    (epoch, former): (u64, Vec<String>),
    post: &Arc<Post>,
) -> crate::link::Started {
    let config = &shared.config;
    let stats = shared.stats.clone();
    let intake = Intake::new(&config.streams, by_stream, stats, post.clone());
    Link::start(LinkOptions {
        broker: config.broker.clone(),
        status: report::status(&config.gateway, shared.started.wall),
        subscriptions: post.subscriptions(),
        previous_filters: former,
        ingest: Box::new(intake),
        epoch,
        clock: shared.clock.clone(),
    })
}

fn start_store(
    config: &Config,
    database: Option<(Store, store::OpenReport)>,
    says: mpsc::UnboundedSender<FromStore>,
) -> Result<StoreThread, RunError> {
    let (database, first) = match database {
        Some((database, found)) => (Some(database), Event::Opened(found.opened)),
        None => (None, Event::NoStore),
    };
    // At most one group and one read are asked for at a time, so this queue stays short.
    let answer = move |event| drop(says.send(FromStore::Event(event)));
    answer(first);
    Ok(store::handle::spawn(store::Settings::from(&config.store), database, answer)?)
}
