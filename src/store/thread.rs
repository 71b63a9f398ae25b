//! The store's own thread: commands in through a bounded queue, events out through a function.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Found, Settings, Store, StoreError};
use crate::outbox::{Event, Record, Seq};

/// Commands that may wait. The outbox has one group and one read outstanding at most; removals
/// come once a group, so a full queue means a disk that has stopped.
const QUEUE: usize = 64;
/// How often a store that could not be opened is tried again.
const REOPEN: Duration = Duration::from_secs(5);

/// What somebody wants to know or to have done on the store's thread.
type Question = Box<dyn FnOnce(Option<&mut Store>) + Send>;

enum Command {
    Append(Vec<Record>),
    Remove(Vec<Seq>),
    Load { after: Option<Seq>, limit: usize },
    Ask(Question),
}

/// The way to the store's thread. The thread ends, and closes the database, when this is joined.
#[derive(Debug)]
pub struct Thread {
    commands: SyncSender<Command>,
    thread: JoinHandle<()>,
}

/// The queue to the store is full or its thread is gone; the command did not get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store does not keep up: its queue of commands is full")]
pub struct Busy;

/// Starts the thread. `store` is what [`Store::open`] gave; where that failed, the thread tries
/// again every few seconds, and says `Opened` when it succeeds. `events` gets the answers, in the
/// order of the commands, on the store's thread; it may block for as long as the daemon does.
///
/// # Errors
/// The system would not start a thread.
pub fn spawn(
    settings: Settings,
    store: Option<Store>,
    events: impl FnMut(Event) + Send + 'static,
) -> std::io::Result<Thread> {
    let (commands, queue) = sync_channel(QUEUE);
    let work = Work { settings, store, events, tried: Instant::now() };
    let thread =
        std::thread::Builder::new().name("store".into()).spawn(move || work.run(&queue))?;
    Ok(Thread { commands, thread })
}

impl Thread {
    /// # Errors
    /// [`Busy`]: tell the outbox `StoreFailed`.
    pub fn append(&self, group: Vec<Record>) -> Result<(), Busy> {
        self.send(Command::Append(group))
    }

    /// # Errors
    /// [`Busy`]: the results stay on disk and will be sent again after the next start.
    pub fn remove(&self, seqs: Vec<Seq>) -> Result<(), Busy> {
        self.send(Command::Remove(seqs))
    }

    /// # Errors
    /// [`Busy`]: tell the outbox `LoadFailed`.
    pub fn load(&self, after: Option<Seq>, limit: usize) -> Result<(), Busy> {
        self.send(Command::Load { after, limit })
    }

    /// Runs `question` on the store's thread; it gets `None` while the store is not open. It sends
    /// its answer to whoever asked, by a channel of the asker's choice.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn ask(
        &self,
        question: impl FnOnce(Option<&mut Store>) + Send + 'static,
    ) -> Result<(), Busy> {
        self.send(Command::Ask(Box::new(question)))
    }

    /// Waits until everything asked for is done and the database is closed.
    pub fn join(self) {
        drop(self.commands);
        if self.thread.join().is_err() {
            log::error!("the store's thread panicked");
        }
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
    /// When the store was opened in vain, or not at all, the last time.
    tried: Instant,
}

impl<F: FnMut(Event)> Work<F> {
    fn run(mut self, queue: &Receiver<Command>) {
        loop {
            match queue.recv_timeout(REOPEN) {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // After commands, too: where they keep coming there is no pause.
            if self.store.is_none() && self.tried.elapsed() >= REOPEN {
                self.reopen();
            }
        }
    }

    fn obey(&mut self, command: Command) {
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
            Command::Ask(question) => question(self.store.as_mut()),
        }
    }

    fn reopen(&mut self) {
        self.tried = Instant::now();
        match Store::open(&self.settings) {
            Ok((store, Found { opened, .. })) => {
                self.store = Some(store);
                (self.events)(Event::Opened(opened));
            }
            Err(error) => log::debug!("the store is still closed: {error}"),
        }
    }
}

fn failure<T>(what: &str, failed: Option<Result<T, StoreError>>, event: Event) -> Event {
    if let Some(Err(error)) = failed {
        log::warn!("cannot {what}: {error}");
    }
    event
}
