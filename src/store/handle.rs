//! The store's own thread: jobs in through a bounded queue, events out through a function.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{OpenReport, Settings, Store, StoreError};
use crate::outbox::{Event, Record, Seq};

/// Commands that may wait. The outbox has one group and one read outstanding at most; removals
/// come once a group, so a full queue means a disk that has stopped.
const QUEUE_LEN: usize = 64;
/// Between two attempts to open a store that could not be opened.
const REOPEN_INTERVAL: Duration = Duration::from_secs(5);

/// Work for the store's thread; it gets `None` while the store is not open.
type Job = Box<dyn FnOnce(Option<&mut Store>) + Send>;

/// What the store's thread is asked to do.
enum Command {
    Append(Vec<Record>),
    Remove(Vec<Seq>),
    Load { after: Option<Seq>, limit: usize },
    Run(Job),
    Stop,
}

/// Sends commands to the store's thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    commands: SyncSender<Command>,
}

/// The store's thread. It ends, and closes the database, when it is joined, or once this and all
/// handles are dropped.
#[derive(Debug)]
pub struct StoreThread {
    handle: StoreHandle,
    thread: JoinHandle<()>,
}

/// The queue of the store's thread is full, or the thread has ended; the command was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store does not keep up: its command queue is full")]
pub struct Busy;

/// Starts the thread. `store` is the result of [`Store::open`]; with `None` the thread tries again
/// every few seconds and emits `Opened` when it succeeds. `events` receives the answers, in the
/// order of the commands, on the store's thread; it may block for as long as the daemon runs.
///
/// # Errors
/// The system could not start a thread.
pub fn spawn(
    settings: Settings,
    store: Option<Store>,
    events: impl FnMut(Event) + Send + 'static,
) -> std::io::Result<StoreThread> {
    let (commands, queue) = sync_channel(QUEUE_LEN);
    let work = Work { settings, store, events, tried: Instant::now() };
    let thread =
        std::thread::Builder::new().name("store".into()).spawn(move || work.run(&queue))?;
    Ok(StoreThread { handle: StoreHandle { commands }, thread })
}

impl StoreThread {
    /// A handle for sending commands.
    #[must_use]
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Blocks until everything that was asked for is done and the database is closed. Handles that
    /// remain are [`Busy`] from then on.
    pub fn join(self) {
        if self.handle.commands.send(Command::Stop).is_err() {
            log::debug!("the store's thread has already ended");
        }
        drop(self.handle);
        if self.thread.join().is_err() {
            log::error!("the store's thread panicked");
        }
    }
}

impl StoreHandle {
    /// Appends results in one durable write, answered by `Stored` or `StoreFailed`.
    ///
    /// # Errors
    /// [`Busy`]: pass `StoreFailed` to the outbox.
    pub fn append(&self, group: Vec<Record>) -> Result<(), Busy> {
        self.send(Command::Append(group))
    }

    /// Removes results that were sent.
    ///
    /// # Errors
    /// [`Busy`]: the results stay on disk and are sent again after the next start.
    pub fn remove(&self, seqs: Vec<Seq>) -> Result<(), Busy> {
        self.send(Command::Remove(seqs))
    }

    /// Reads the results after `after`, answered by `Loaded` or `LoadFailed`.
    ///
    /// # Errors
    /// [`Busy`]: pass `LoadFailed` to the outbox.
    pub fn load(&self, after: Option<Seq>, limit: usize) -> Result<(), Busy> {
        self.send(Command::Load { after, limit })
    }

    /// Runs `job` on the store's thread, behind the commands sent before it. The job gets `None`
    /// while the store is not open; it sends its result by a channel of the caller's choice.
    ///
    /// # Errors
    /// [`Busy`]: the job is dropped.
    pub fn run(&self, job: impl FnOnce(Option<&mut Store>) + Send + 'static) -> Result<(), Busy> {
        self.send(Command::Run(Box::new(job)))
    }

    fn send(&self, command: Command) -> Result<(), Busy> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
    }
}

struct Work<F> {
    settings: Settings,
    store: Option<Store>,
    events: F,
    /// When opening the store was last tried.
    tried: Instant,
}

impl<F: FnMut(Event)> Work<F> {
    fn run(mut self, queue: &Receiver<Command>) {
        loop {
            match queue.recv_timeout(REOPEN_INTERVAL) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.handle(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // After commands, too: a steady flow of them leaves no pause.
            if self.store.is_none() && self.tried.elapsed() >= REOPEN_INTERVAL {
                self.reopen();
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Append(group) => {
                let event = match self.store.as_mut().map(|store| store.append(&group)) {
                    Some(Ok(evicted)) => Event::Stored { evicted },
                    failed => failure("write results", failed, Event::StoreFailed),
                };
                (self.events)(event);
            }
            Command::Remove(seqs) => {
                if let Some(Err(error)) = self.store.as_mut().map(|store| store.remove(&seqs)) {
                    log::warn!("cannot remove sent results from disk: {error}");
                }
            }
            Command::Load { after, limit } => {
                let event = match self.store.as_mut().map(|store| store.load(after, limit)) {
                    Some(Ok(loaded)) => Event::Loaded {
                        records: loaded.records,
                        through: loaded.through,
                        end: loaded.end,
                    },
                    failed => failure("read results", failed, Event::LoadFailed),
                };
                (self.events)(event);
            }
            Command::Run(job) => job(self.store.as_mut()),
            // The caller has returned before.
            Command::Stop => {}
        }
    }

    fn reopen(&mut self) {
        self.tried = Instant::now();
        match Store::open(&self.settings) {
            Ok((store, OpenReport { opened, .. })) => {
                self.store = Some(store);
                (self.events)(Event::Opened(opened));
            }
            Err(error) => log::debug!("the store cannot be opened yet: {error}"),
        }
    }
}

fn failure<T>(what: &str, failed: Option<Result<T, StoreError>>, event: Event) -> Event {
    if let Some(Err(error)) = failed {
        log::warn!("cannot {what}: {error}");
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_thread_has_done_its_jobs_and_remaining_handles_are_busy() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_owned();
        let settings = Settings { dir, max_bytes: 64 << 20, max_records: 1000, reserve_bytes: 0 };
        let (store, _) = Store::open(&settings).unwrap();
        let thread = spawn(settings, Some(store), |_| {}).unwrap();
        let handle = thread.handle();
        let (done, jobs) = std::sync::mpsc::channel();
        for _ in 0..3 {
            let done = done.clone();
            handle.run(move |store| done.send(store.is_some()).unwrap()).unwrap();
        }
        drop(done);
        thread.join();
        assert_eq!(jobs.iter().collect::<Vec<_>>(), [true; 3]);
        assert_eq!(handle.run(|_| {}), Err(Busy));
    }
}
