//! The running daemon: wires the queues, starts and watches the workers, stops in order.
//!
//! One current-thread runtime for the link, the delivery loop and the watchdog; named threads for
//! inference and for the store, because models and sled block and neither may stall the poll loop.
//!
//! | module | what it does |
//! |---|---|
//! | `systemd` | notifications to the service manager |
//! | `windows` | partial windows that survive a restart |
//! | `baselines` | learned baselines that survive a restart |
//! | `labels` | remembered predictions that survive a restart |
//! | `live` | what a page shows while somebody looks |
//! | `inference` | the worker threads and the streams on them |
//! | `captures` | requests for captured inputs |
//! | `context` | configuration, clock and shared counters |
//! | `models` | which version of each model is active |
//! | `candidate` | the checks before a version becomes active |
//! | `telemetry` | topics, status and health messages |
//! | `updates` | models over the air |
//! | `ingest` `subscriptions` | from the link to the workers and updates |
//! | `delivery` | from the workers to outbox, store and link |
//! | `control` | local commands |
//! | `http` | metrics, health and the status page |
//! | `startup` `shutdown` | wires all of it, and stops it in order |

mod baselines;
mod candidate;
mod captures;
mod context;
mod control;
mod delivery;
mod error;
mod http;
mod inference;
mod ingest;
mod labels;
mod live;
mod models;
mod shutdown;
mod startup;
mod state_lock;
mod store_access;
mod subscriptions;
mod systemd;
mod telemetry;
mod updates;
mod windows;

pub use candidate::probe;
pub use delivery::requests::HealthSource;
pub use error::RunError;
pub use models::update_status::UpdateCounters;
pub use subscriptions::{not_granted, subscriptions, too_many_subscriptions};
pub use telemetry::lost_results::LostResults;
pub use telemetry::snapshot::{HealthSnapshot, LinkReport, QueueReport};
pub(crate) use windows::recent_inputs::seen_bytes;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::bundle::VerifiedModel;
use crate::clock::Clock;
use crate::config::Config;
use crate::link::LinkTask;
use shutdown::{Running, stop};
use startup::Startup;

/// What is wrong with the keyset that the configuration names, if anything.
#[must_use]
pub fn keyset_problem(config: &Config) -> Option<String> {
    updates::restore::provisioned(config.updates.keyset.as_ref()?).err()
}

/// Runs until `shutdown` is ready, then drains and saves. `built_in` holds one loaded bundle for
/// every model that a stream names; an active version in the store takes its place. Blocks the
/// calling thread.
///
/// # Errors
/// What prevented the start, a worker that panicked, or a stop that took too long.
pub fn run(
    config: Config,
    built_in: Vec<VerifiedModel>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let startup = startup::start(config, built_in, clock)?;
        serve(startup, shutdown).await
    });
    // A store that hangs in a system call must not hold the process past its deadline.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn serve(startup: Startup, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let Startup { delivery: mut parts, link_task, pool, control, http, lock, updates } = startup;
    let control = control.map(|(server, commands)| {
        let handler = move |ask, body| commands.clone().handle(ask, body);
        tokio::spawn(server.serve(handler))
    });
    let updates = updates.start();
    let link_task = tokio::spawn(LinkTask::run(link_task));
    let watchdog = tokio::spawn(pool.watch());
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        () = pool.panicked() => Err(RunError::WorkerDied),
        () = parts.delivery.run(&mut parts.sources) => Err(RunError::WorkerDied),
    };
    drop(http);
    let running = Running { delivery: parts, link_task, pool, control, watchdog, updates };
    let stopped = stop(running, ended).await;
    drop(lock);
    stopped
}
