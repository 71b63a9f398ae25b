//! An inference thread: takes messages through their streams' pipelines, one after the other.
//!
//! A stream always lives on the same worker, so its order holds without locks. When the desk is
//! slow the worker waits on it, so its own queue fills up and the link stops taking: loss happens
//! there or nowhere.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::beat::Beat;
use super::lane::Lane;
use super::rejects::RejectSample;
use super::shadow::Shadowing;
use crate::bundle::Loaded;
use crate::clock::{Clock, Mono};
use crate::link::LinkHandle;
use crate::message::{Incoming, InputProcessed, ResultMessage};
use crate::monitor::{Bucket, Repeats};
use crate::pipeline::{FitError, Swapped};
use crate::store::windows::Windows;

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Sample(Incoming),
    /// Run another model from the next sample on.
    Swap(Swap),
    /// Run a candidate beside the model from the next sample on.
    Shadow(Shadowing),
    /// Let go of a stream's candidate, if its shadow is over.
    ShadowOver(usize),
    /// Save all partial windows and end; what is behind this in the queue stays unacknowledged.
    Stop,
}

/// A model for one stream, to be taken up between two steps.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) stream: usize,
    pub(crate) loaded: Loaded,
    pub(crate) answer: mpsc::Sender<SwapOutcome>,
}

/// What a swap kept, or everything in which stream, card and model do not fit; then the model in
/// use stays.
pub(crate) type SwapOutcome = Result<Swapped, Vec<FitError>>;

/// What a worker tells the desk.
#[derive(Debug)]
pub(crate) enum FromWorker {
    Result(ResultMessage),
    Rejected(RejectSample),
    /// Partial windows to be kept; what waits for them is released once they are safe.
    Windows(SavedWindows),
}

/// The partial windows of one stream as they were between two steps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedWindows {
    pub(crate) stream: usize,
    pub(crate) windows: Windows,
    pub(crate) waiting: Vec<InputProcessed>,
}

/// One inference thread's state.
pub(crate) struct Worker {
    pub(crate) inbox: Receiver<ToWorker>,
    /// By stream index.
    pub(crate) lanes: BTreeMap<usize, Lane>,
    pub(crate) desk: Sender<FromWorker>,
    pub(crate) link: LinkHandle,
    pub(crate) beat: Arc<Beat>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Shared by all workers: how many reject samples may leave.
    pub(crate) samples: Arc<Mutex<Bucket>>,
    pub(crate) said: Repeats,
}

/// The desk is gone: the daemon is stopping for a reason of its own.
struct DeskGone;

impl Worker {
    /// Runs until it is told to stop, then hands over all partial windows.
    pub(crate) fn run(mut self) {
        let mut finished = Vec::new();
        let outcome = loop {
            let next = match self.due() {
                Some(wait) => self.inbox.recv_timeout(wait),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let done = match next {
                Ok(ToWorker::Sample(incoming)) => self.step(&incoming, &mut finished),
                Ok(ToWorker::Swap(swap)) => self.swap(swap),
                Ok(ToWorker::Shadow(shadowing)) => self.shadow(shadowing),
                Ok(ToWorker::ShadowOver(stream)) => self.shadow_over(stream),
                Ok(ToWorker::Stop) | Err(RecvTimeoutError::Disconnected) => break self.save_all(),
                Err(RecvTimeoutError::Timeout) => self.save_due(),
            };
            if let Err(gone) = done {
                break Err(gone);
            }
        };
        if outcome.is_err() {
            log::debug!("a worker ends because nobody takes its results");
        }
    }

    fn step(
        &mut self,
        incoming: &Incoming,
        finished: &mut Vec<ResultMessage>,
    ) -> Result<(), DeskGone> {
        self.beat.start();
        self.link.room();
        let Some(lane) = self.lanes.get_mut(&incoming.stream) else {
            log::error!("a message for stream {} reached a worker without it", incoming.stream);
            self.beat.done();
            return Ok(());
        };
        let outcome = lane.step(incoming, self.clock.as_ref(), finished);
        let report = outcome.taken(incoming).and_then(|taken| lane.hold(taken));
        for done in finished.drain(..) {
            send(&self.desk, FromWorker::Result(done))?;
        }
        let name = lane.name();
        for (loss, _) in outcome.losses.iter() {
            let now = self.clock.now().mono;
            if let Some(held) = self.said.say(now, &format!("{name}/{}", loss.cause.code())) {
                log::warn!("stream {name}: {loss}{}", also(held));
            }
        }
        let samples = outcome.rejects.into_iter().map(|r| RejectSample::new(name, incoming, r));
        let samples: Vec<_> = samples.collect();
        samples.iter().for_each(|sample| lane.note_reject(sample));
        if let Some(taken) = report {
            self.link.taken(taken);
        }
        for sample in samples {
            self.tell(sample)?;
        }
        self.beat.done();
        self.save_due()
    }

    /// Samples in the queue before the swap went through the old model, those behind it go through
    /// the new one; none is lost and no window starts anew unless its shape changed.
    fn swap(&mut self, swap: Swap) -> Result<(), DeskGone> {
        self.beat.start();
        self.link.room();
        if let Some(lane) = self.lanes.get_mut(&swap.stream) {
            // Inputs that wait for a save are let go first: the new model may save none.
            if lane.save_at().is_some() {
                send(&self.desk, FromWorker::Windows(lane.save(self.clock.now())))?;
            }
            // Whoever asked may have gone; the model serves all the same.
            if swap.answer.send(lane.swap(swap.loaded)).is_err() {
                log::debug!("nobody waits for the swap of stream {}", swap.stream);
            }
        }
        self.beat.done();
        Ok(())
    }

    fn shadow(&mut self, shadowing: Shadowing) -> Result<(), DeskGone> {
        self.beat.start();
        if let Some(lane) = self.lanes.get_mut(&shadowing.stream) {
            lane.shadow(shadowing.loaded, shadowing.part);
        }
        self.beat.done();
        self.save_due()
    }

    fn shadow_over(&mut self, stream: usize) -> Result<(), DeskGone> {
        if let Some(lane) = self.lanes.get_mut(&stream) {
            lane.end_shadow_if_over();
        }
        self.save_due()
    }

    fn tell(&mut self, sample: RejectSample) -> Result<(), DeskGone> {
        let now = self.clock.now().mono;
        if let Some(held) = self.said.say(now, &sample.key()) {
            log::warn!("{sample}{}", also(held));
        }
        let allowed = self.samples.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if allowed { send(&self.desk, FromWorker::Rejected(sample)) } else { Ok(()) }
    }

    /// How long until the next save is due; `None` while nothing is to be saved.
    fn due(&self) -> Option<Duration> {
        let at = self.next_save()?;
        Some(at.since(self.clock.now().mono))
    }

    fn next_save(&self) -> Option<Mono> {
        self.lanes.values().filter_map(Lane::save_at).min()
    }

    fn save_due(&mut self) -> Result<(), DeskGone> {
        // Most streams never save: the clock is read only where one does.
        if self.next_save().is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        for lane in self.lanes.values_mut() {
            if lane.save_at().is_some_and(|at| at <= now.mono) {
                send(&self.desk, FromWorker::Windows(lane.save(now)))?;
            }
        }
        Ok(())
    }

    fn save_all(&mut self) -> Result<(), DeskGone> {
        let now = self.clock.now();
        for lane in self.lanes.values_mut().filter(|lane| lane.windowed()) {
            send(&self.desk, FromWorker::Windows(lane.save_whole(now)))?;
        }
        Ok(())
    }
}

fn send(desk: &Sender<FromWorker>, message: FromWorker) -> Result<(), DeskGone> {
    desk.blocking_send(message).map_err(|_| DeskGone)
}

/// What a log line says of the same lines held back before it.
pub(crate) fn also(held: u64) -> String {
    if held == 0 { String::new() } else { format!(" ({held} more like this since the last)") }
}
