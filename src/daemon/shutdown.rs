//! Stops the daemon in order: intake, workers, outbox, store, connection.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::RunError;
use super::inference::pool::WorkerPool;
use super::startup::DeliveryParts;
use super::systemd::notify;
use super::updates::Running as RunningUpdates;
use crate::capture::CaptureThread;
use crate::link::LinkHandle;

/// For the record of every update that the gateway stops in order: one durable write.
const MAX_UPDATES_STOP: Duration = Duration::from_secs(1);
/// For the status `stopped`, also after the deadline: the last will would be worse.
const MIN_FAREWELL: Duration = Duration::from_millis(200);
const MAX_FAREWELL: Duration = Duration::from_secs(2);

/// Everything that runs.
pub(super) struct Running {
    pub(super) delivery: DeliveryParts,
    pub(super) link_task: JoinHandle<()>,
    pub(super) pool: WorkerPool,
    pub(super) control: Option<JoinHandle<()>>,
    pub(super) watchdog: JoinHandle<()>,
    pub(super) updates: RunningUpdates,
}

/// Drains, saves and disconnects within `workers.stop_deadline`. `ended`: why the daemon stops.
///
/// # Errors
/// The connection task panicked, the error of `ended`, or a stop that took too long.
pub(super) async fn stop(running: Running, ended: Result<(), RunError>) -> Result<(), RunError> {
    let Running { delivery: parts, link_task, pool, control, watchdog, updates } = running;
    let DeliveryParts { context, mut delivery, store, mut sources, link, capture } = parts;
    log::info!("stopping: processing the received inputs, saving what is not sent");
    notify::stopping();
    watchdog.abort();
    if let Some(control) = control {
        control.abort();
    }
    let allowed = context.config.workers.stop_deadline;
    let deadline = Instant::now() + allowed;
    // An update in progress resumes at the next start. A worker that died may have run a candidate.
    if ended.is_ok() {
        updates.stop(deadline.min(Instant::now() + MAX_UPDATES_STOP)).await;
    } else {
        drop(updates);
    }
    link.stop_receiving();
    let workers = tokio::task::spawn_blocking(move || pool.stop());
    let drained = timeout_at(deadline, delivery.run(&mut sources)).await.is_ok();
    let captured = tokio::task::spawn_blocking(move || capture.map(CaptureThread::join));
    let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    let left = delivery.drain(&mut sources, patience, deadline).await;
    drop(delivery);
    let closed = tokio::task::spawn_blocking(move || store.join());
    disconnect(&link, link_task, deadline).await?;
    if timeout_at(deadline, captured).await.is_err() {
        log::warn!("the captured inputs were not written before the deadline");
    }
    let in_time = drained && timeout_at(deadline, closed).await.is_ok();
    if left > 0 {
        log::error!("{left} results were neither sent nor saved before the deadline");
    }
    drop(workers);
    ended.and(if in_time && left == 0 { Ok(()) } else { Err(RunError::Overtime(allowed)) })
}

/// Publishes `stopped` and closes the connection. Does not wait for a broker that does not answer.
async fn disconnect(
    link: &LinkHandle,
    task: JoinHandle<()>,
    deadline: Instant,
) -> Result<(), RunError> {
    let within = deadline.saturating_duration_since(Instant::now()).max(MIN_FAREWELL);
    link.stop(within.min(MAX_FAREWELL));
    match timeout(within, task).await {
        Ok(Ok(())) | Err(_) => Ok(()),
        Ok(Err(_)) => Err(RunError::LinkDied),
    }
}
