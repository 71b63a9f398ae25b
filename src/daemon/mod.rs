//! The running daemon: wires the queues, starts and watches the workers, stops in order.
//!
//! One current-thread runtime for the link, the desk and the watchdog; named threads for inference
//! and for the store, because models and sled block and neither may ever stall the poll loop.

mod answers;
mod assembly;
mod beat;
mod claim;
mod control;
mod crew;
mod desk;
mod filters;
mod inference;
mod intake;
mod journal;
#[cfg(test)]
mod journal_tests;
mod keeping;
mod lane;
mod laps;
mod latest;
mod losses;
mod models;
mod notify;
mod opening;
pub mod probe;
mod rejects;
mod report;
mod saves;
mod saying;
mod seen;
mod serving;
mod shadow;
#[cfg(test)]
mod shadow_tests;
mod shared;
#[cfg(test)]
mod swap_tests;
mod switch;
mod updates;
mod watch;
mod wear;
mod windows;
mod worker;

pub use filters::{not_granted, subscriptions, too_many_subscriptions};
pub(crate) use seen::seen_bytes;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bundle::Loaded;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::StreamName;
use crate::link::{LinkHandle, LinkTask};
use assembly::Assembly;

/// Why the daemon could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("stream {stream} does not fit model {model}: {}", problems.join("; "))]
    Fit { stream: StreamName, model: String, problems: Vec<String> },
    #[error(
        "another inferd works in {dir}: stop it, or give this one a `store.dir` of its own",
        dir = .0.display()
    )]
    Claimed(PathBuf),
    #[error("no bundle was loaded for model {0}")]
    NoModel(String),
    #[error("cannot start a thread or the runtime: {0}")]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error(
        "a worker ended by itself; its log line above says why. The service is to be restarted"
    )]
    WorkerDied,
    #[error("the connection's task ended by itself; this is a defect of inferd, please report it")]
    LinkDied,
    #[error(
        "stopping took longer than workers.stop_deadline ({0:?}); inputs not acknowledged come again"
    )]
    Overtime(Duration),
}

/// Under which name a stream's partial windows are kept in the store.
pub(crate) fn windows_key(stream: &StreamName) -> String {
    format!("windows/{stream}")
}

/// What is wrong with the keyset that the configuration names, if anything.
#[must_use]
pub fn keyset_problem(config: &Config) -> Option<String> {
    updates::provisioned(config.updates.keyset.as_ref()?).err()
}

/// Runs until `shutdown` is ready, then drains and saves. `shipped` holds one loaded bundle for
/// every model that a stream names; where the store has an active version of one, that serves in
/// its place. Blocks the calling thread.
///
/// # Errors
/// What kept the daemon from starting, a worker that died, or a stop that took too long.
pub fn run(
    config: Config,
    shipped: Vec<Loaded>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let assembly = assembly::assemble(config, shipped, clock)?;
        serve(assembly, shutdown).await
    });
    // A store that hangs in a system call must not hold the process past its deadline.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

/// For the note of every update that the gateway stops in order: one durable write.
const UPDATES_STOP: Duration = Duration::from_secs(1);

async fn serve(assembly: Assembly, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let Assembly { shared, mut desk, store, mut sources, link, task, crew, door, claim, updates } =
        assembly;
    let serving_door = door.map(|(door, asked)| tokio::spawn(door.serve(asked)));
    let allowed = shared.config.workers.stop_deadline;
    let updating = updates.start();
    let link_task = tokio::spawn(LinkTask::run(task));
    let feeding = tokio::spawn(crew.watch());
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        () = crew.died() => Err(RunError::WorkerDied),
        () = desk.run(&mut sources) => Err(RunError::WorkerDied),
    };
    log::info!("stopping: finishing what was received, saving what is not sent");
    notify::stopping();
    feeding.abort();
    if let Some(door) = serving_door {
        door.abort();
    }
    let deadline = Instant::now() + allowed;
    // Whatever it was doing goes on at the next start. A worker that died may have been a candidate's.
    if ended.is_ok() {
        updating.stop(deadline.min(Instant::now() + UPDATES_STOP)).await;
    } else {
        drop(updating);
    }
    link.stop_receiving();
    let workers = tokio::task::spawn_blocking(move || crew.stop());
    let drained = tokio::time::timeout_at(deadline, desk.run(&mut sources)).await.is_ok();
    let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    let left = desk.settle(&mut sources, patience, deadline).await;
    drop(desk);
    let closed = tokio::task::spawn_blocking(move || store.join());
    say_goodbye(&link, link_task, deadline).await?;
    let in_time = drained && tokio::time::timeout_at(deadline, closed).await.is_ok();
    if left > 0 {
        log::error!("{left} results were neither sent nor saved before the deadline");
    }
    drop(workers);
    drop(claim);
    ended.and(if in_time && left == 0 { Ok(()) } else { Err(RunError::Overtime(allowed)) })
}

/// Publishes `stopped` and closes the connection; a broker that does not answer is left alone.
async fn say_goodbye(
    link: &LinkHandle,
    task: tokio::task::JoinHandle<()>,
    deadline: Instant,
) -> Result<(), RunError> {
    // A moment even where the deadline has passed: the last will is worse than a goodbye.
    let least = Duration::from_millis(200);
    let within = deadline.saturating_duration_since(Instant::now()).max(least);
    link.stop(within.min(Duration::from_secs(2)));
    match tokio::time::timeout(within, task).await {
        Ok(Ok(())) | Err(_) => Ok(()),
        Ok(Err(_)) => Err(RunError::LinkDied),
    }
}
