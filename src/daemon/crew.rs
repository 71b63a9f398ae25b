//! The inference threads: started, watched, stopped in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::beat::{Beat, Pulse};
use super::inference::messages::{FromWorker, ToWorker};
use super::lane::Lane;
use super::shared::Shared;
use super::worker::Worker;
use super::{RunError, notify};
use crate::link::LinkHandle;
use crate::monitor::{Bucket, Repeats};

/// The inference threads.
pub(crate) struct Crew {
    queues: Vec<SyncSender<ToWorker>>,
    threads: Vec<JoinHandle<()>>,
    beats: Vec<Arc<Beat>>,
    death: Arc<Death>,
}

/// Set by a worker that panicked.
#[derive(Default)]
struct Death {
    happened: AtomicBool,
    told: Notify,
}

impl Crew {
    pub(super) fn start(
        shared: &Arc<Shared>,
        queues: Vec<SyncSender<ToWorker>>,
        inboxes: Vec<std::sync::mpsc::Receiver<ToWorker>>,
        lanes: Vec<Lane>,
        link: &LinkHandle,
        desk: &mpsc::Sender<FromWorker>,
    ) -> Result<Self, RunError> {
        let mut shares: Vec<BTreeMap<usize, Lane>> =
            inboxes.iter().map(|_| BTreeMap::new()).collect();
        let count = shares.len().max(1);
        for (index, lane) in lanes.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(index % count) {
                share.insert(index, lane);
            }
        }
        let per_minute = shared.config.report.rejects_per_minute;
        let samples = Arc::new(Mutex::new(Bucket::new(per_minute, shared.started.mono)));
        let mut crew =
            Self { queues, threads: Vec::new(), beats: Vec::new(), death: Arc::default() };
        for (inbox, lanes) in inboxes.into_iter().zip(shares) {
            let worker = Worker {
                inbox,
                lanes,
                desk: desk.clone(),
                link: link.clone(),
                beat: Arc::default(),
                clock: shared.clock.clone(),
                samples: samples.clone(),
                said: Repeats::new(Duration::from_secs(60)),
            };
            crew.hire(worker)?;
        }
        Ok(crew)
    }

    fn hire(&mut self, worker: Worker) -> Result<(), RunError> {
        self.beats.push(worker.beat.clone());
        let death = self.death.clone();
        let name = format!("infer-{}", self.threads.len());
        let life = move || {
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                death.happened.store(true, Ordering::Release);
                death.told.notify_one();
            }
        };
        self.threads.push(std::thread::Builder::new().name(name).spawn(life)?);
        Ok(())
    }

    /// Ready once a worker has panicked.
    pub(crate) fn died(&self) -> impl Future<Output = ()> + use<> {
        let death = self.death.clone();
        async move {
            while !death.happened.load(Ordering::Acquire) {
                death.told.notified().await;
            }
        }
    }

    /// Feeds systemd's watchdog while every worker makes progress or has nothing to do.
    pub(crate) fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let beats = self.beats.clone();
        async move {
            let Some(period) = notify::watchdog_period() else { return };
            let mut pulses = vec![Pulse::default(); beats.len()];
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
                log::debug!("a worker has ended before it was told to");
            }
        }
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a worker panicked while it stopped");
            }
        }
    }
}
