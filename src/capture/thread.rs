//! The thread that writes captured inputs: file systems block, and workers must not.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::writer::CaptureWriter;
use super::{CaptureStats, Settings, upload};
use crate::clock::Clock;
use crate::pipeline::CapturedInput;

/// Jobs that may wait. Beyond that, captured inputs are dropped and counted.
const QUEUE_LEN: usize = 32;
/// The thread wakes up at least this often, for the age of segments.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// Work for the thread.
enum Job {
    Captured { stream: usize, inputs: Vec<CapturedInput> },
    Run(Box<dyn FnOnce(&mut CaptureWriter) + Send>),
    Stop,
}

/// What the thread shares with its handles.
#[derive(Debug)]
struct Shared {
    stats: Mutex<CaptureStats>,
    /// By stream: inputs that an operator asked for and that no worker has received yet.
    requested: Vec<AtomicU32>,
    /// Inputs dropped because the queue was full.
    dropped: AtomicU64,
    /// Results wait for the broker: they go before uploads.
    holds_uploads: AtomicBool,
}

/// Hands captured inputs and commands to the thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CaptureHandle {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

/// The thread, to be stopped with [`Self::join`].
#[derive(Debug)]
pub struct CaptureThread {
    handle: CaptureHandle,
    thread: JoinHandle<()>,
}

/// The queue is full, or the thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread that writes captured inputs does not keep up")]
pub struct CaptureBusy;

impl CaptureThread {
    /// Starts the thread, which opens the folder.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_LEN);
        let shared = Arc::new(Shared {
            stats: Mutex::default(),
            requested: settings.streams.iter().map(|_| AtomicU32::new(0)).collect(),
            dropped: AtomicU64::new(0),
            holds_uploads: AtomicBool::new(false),
        });
        let handle = CaptureHandle { jobs, shared: shared.clone() };
        let (written, segments) = sync_channel(1);
        if let Some(upload) = settings.upload.clone() {
            upload::start(upload, handle.clone(), segments)?;
        }
        let run = move || {
            let writer = CaptureWriter::open(settings);
            run(writer, &queue, &shared, clock.as_ref(), &written);
        };
        let thread = std::thread::Builder::new().name("capture".into()).spawn(run)?;
        Ok(Self { handle, thread })
    }

    #[must_use]
    pub fn handle(&self) -> CaptureHandle {
        self.handle.clone()
    }

    /// Writes everything that was captured, and ends the thread. Blocks.
    pub fn join(self) {
        if self.handle.jobs.send(Job::Stop).is_err() {
            log::debug!("the thread of captured inputs has already ended");
        }
        if self.thread.join().is_err() {
            log::error!("the thread of captured inputs panicked");
        }
    }
}

fn run(
    mut writer: CaptureWriter,
    queue: &Receiver<Job>,
    shared: &Shared,
    clock: &dyn Clock,
    written: &SyncSender<()>,
) {
    let mut segments = 0;
    loop {
        let count = writer.stats().segments;
        if count > segments {
            // If it is full, the uploader looks for segments anyway.
            written.try_send(()).ok();
        }
        segments = count;
        writer.count_dropped("busy", shared.dropped.swap(0, Ordering::Relaxed));
        writer.stats().clone_into(&mut shared.stats.lock().unwrap_or_else(PoisonError::into_inner));
        let wait = writer.next_tick(clock.now()).unwrap_or(MAX_WAIT).min(MAX_WAIT);
        match queue.recv_timeout(wait) {
            Ok(Job::Captured { stream, inputs }) => {
                let now = clock.now();
                inputs.iter().for_each(|input| writer.add(stream, input, now));
            }
            Ok(Job::Run(job)) => job(&mut writer),
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return writer.flush(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        writer.tick(clock.now());
    }
}

impl CaptureHandle {
    /// Hands over captured inputs; `dropped` more were lost before. Does not wait.
    pub fn offer(&self, stream: usize, inputs: Vec<CapturedInput>, dropped: u64) {
        let count = u64::try_from(inputs.len()).unwrap_or(u64::MAX);
        let refused =
            !inputs.is_empty() && self.jobs.try_send(Job::Captured { stream, inputs }).is_err();
        let lost = dropped.saturating_add(if refused { count } else { 0 });
        self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
    }

    /// Asks for the next `count` inputs of a stream.
    pub fn request(&self, stream: usize, count: u32) {
        if let Some(requested) = self.shared.requested.get(stream) {
            requested.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The inputs that were asked for since this was called last.
    #[must_use]
    pub fn take_request(&self, stream: usize) -> u32 {
        let requested = self.shared.requested.get(stream);
        requested.map_or(0, |requested| match requested.load(Ordering::Relaxed) {
            0 => 0,
            _ => requested.swap(0, Ordering::Relaxed),
        })
    }

    /// Runs a job on the thread.
    ///
    /// # Errors
    /// The queue is full, or the thread has ended; the job is dropped.
    pub fn run(
        &self,
        job: impl FnOnce(&mut CaptureWriter) + Send + 'static,
    ) -> Result<(), CaptureBusy> {
        self.jobs.try_send(Job::Run(Box::new(job))).map_err(|_| CaptureBusy)
    }

    /// Has uploads wait while results wait for the broker.
    pub fn hold_uploads(&self, hold: bool) {
        self.shared.holds_uploads.store(hold, Ordering::Relaxed);
    }

    /// Whether results wait for the broker.
    #[must_use]
    pub fn uploads_are_held(&self) -> bool {
        self.shared.holds_uploads.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
