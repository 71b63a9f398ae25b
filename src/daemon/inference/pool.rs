//! The inference threads: starts, watches and stops them.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::heartbeat::{Heartbeat, HeartbeatMonitor};
use super::messages::{FromWorker, ToWorker};
use super::stream::StreamRunner;
use super::worker::Worker;
use crate::clock::Clock;
use crate::daemon::systemd::notify;
use crate::link::LinkHandle;
use crate::monitor::{LogLimiter, TokenBucket};

/// The inference threads.
pub(crate) struct WorkerPool {
    queues: Vec<SyncSender<ToWorker>>,
    threads: Vec<JoinHandle<()>>,
    heartbeats: Vec<Arc<Heartbeat>>,
    panic: Arc<WorkerPanic>,
}

/// Set by a worker that panicked.
#[derive(Default)]
struct WorkerPanic {
    happened: AtomicBool,
    notify: Notify,
}

impl WorkerPool {
    /// Starts the threads, and distributes the streams over them.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(
        clock: &Arc<dyn Clock>,
        rejects_per_minute: u32,
        (queues, inboxes): (Vec<SyncSender<ToWorker>>, Vec<Receiver<ToWorker>>),
        streams: Vec<StreamRunner>,
        link: &LinkHandle,
        results: &mpsc::Sender<FromWorker>,
    ) -> io::Result<Self> {
        let mut shares: Vec<BTreeMap<usize, StreamRunner>> =
            inboxes.iter().map(|_| BTreeMap::new()).collect();
        let count = shares.len().max(1);
        for (index, runner) in streams.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(index % count) {
                share.insert(index, runner);
            }
        }
        let reject_budget = TokenBucket::new(rejects_per_minute, clock.now().mono);
        let reject_budget = Arc::new(Mutex::new(reject_budget));
        let mut pool =
            Self { queues, threads: Vec::new(), heartbeats: Vec::new(), panic: Arc::default() };
        for (inbox, streams) in inboxes.into_iter().zip(shares) {
            let worker = Worker {
                inbox,
                streams,
                results: results.clone(),
                link: link.clone(),
                heartbeat: Arc::default(),
                clock: clock.clone(),
                reject_budget: reject_budget.clone(),
                log_limit: LogLimiter::new(Duration::from_secs(60)),
            };
            pool.spawn(worker)?;
        }
        Ok(pool)
    }

    fn spawn(&mut self, worker: Worker) -> io::Result<()> {
        self.heartbeats.push(worker.heartbeat.clone());
        let panic = self.panic.clone();
        let name = format!("infer-{}", self.threads.len());
        let life = move || {
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                panic.happened.store(true, Ordering::Release);
                panic.notify.notify_one();
            }
        };
        self.threads.push(std::thread::Builder::new().name(name).spawn(life)?);
        Ok(())
    }

    /// Ready once a worker has panicked.
    pub(crate) fn panicked(&self) -> impl Future<Output = ()> + use<> {
        let panic = self.panic.clone();
        async move {
            while !panic.happened.load(Ordering::Acquire) {
                panic.notify.notified().await;
            }
        }
    }

    /// Notifies systemd's watchdog while every worker makes progress or has nothing to do.
    pub(crate) fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let beats = self.heartbeats.clone();
        async move {
            let Some(period) = notify::watchdog_period() else { return };
            let mut pulses = vec![HeartbeatMonitor::default(); beats.len()];
            loop {
                let looks =
                    beats.iter().zip(&mut pulses).map(|(beat, last)| beat.alive_since(last));
                let stuck = looks.filter(|alive| !alive).count();
                if stuck == 0 {
                    notify::watchdog();
                } else {
                    log::error!("{stuck} workers have been in one step for {period:?}");
                }
                tokio::time::sleep(period).await;
            }
        }
    }

    /// Lets every worker finish its queue and save its windows. Blocks until all have ended.
    pub(crate) fn stop(self) {
        for queue in &self.queues {
            if queue.send(ToWorker::Stop).is_err() {
                log::debug!("a worker has ended before the stop");
            }
        }
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a worker panicked while it stopped");
            }
        }
    }
}
