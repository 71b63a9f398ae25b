//! An inference thread: runs messages through the pipelines of their streams, one after the other.
//!
//! A stream always runs on the same worker, so its order holds without locks. If the delivery loop
//! is slow the worker waits for it; its queue fills up and the link stops reading from the broker.
//! Only there can messages be dropped.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::heartbeat::Heartbeat;
use super::messages::{FromWorker, Swap, ToWorker};
use super::rejects::RejectSample;
use super::reports::Report;
use super::shadow_share::ShadowStart;
use super::stream::StreamRunner;
use crate::clock::{Clock, Mono};
use crate::link::LinkHandle;
use crate::log_fields;
use crate::message::{Incoming, InputProcessed, ResultMessage};
use crate::monitor::{LogLimiter, TokenBucket};

/// The state of one inference thread.
pub(crate) struct Worker {
    pub(crate) inbox: Receiver<ToWorker>,
    /// By stream index.
    pub(crate) streams: BTreeMap<usize, StreamRunner>,
    pub(crate) results: Sender<FromWorker>,
    pub(crate) link: LinkHandle,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Shared by all workers: how many reject samples may be published.
    pub(crate) reject_budget: Arc<Mutex<TokenBucket>>,
    pub(crate) log_limit: LogLimiter,
}

/// The delivery loop has ended: the daemon is stopping.
struct DeliveryGone;

impl Worker {
    /// Runs until [`ToWorker::Stop`], then hands over all partial windows.
    pub(crate) fn run(mut self) {
        let mut finished = Vec::new();
        let outcome = loop {
            let next = match self.due() {
                Some(wait) => self.inbox.recv_timeout(wait),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let done = match next {
                Ok(ToWorker::Sample(queued)) => self.step(&queued.take(), &mut finished),
                Ok(ToWorker::Labels(queued)) => self.labels(&queued.take()),
                Ok(ToWorker::Swap(swap)) => self.swap(swap),
                Ok(ToWorker::Shadow(start)) => self.shadow(start),
                Ok(ToWorker::ShadowEnded(stream)) => self.shadow_ended(stream),
                Ok(ToWorker::Stop) | Err(RecvTimeoutError::Disconnected) => break self.save_all(),
                Err(RecvTimeoutError::Timeout) => {
                    let lines = self.log_limit.overdue_lines(self.clock.now().mono);
                    lines.for_each(|line| log::warn!("{line}"));
                    self.save_due()
                }
            };
            if let Err(gone) = done {
                break Err(gone);
            }
        };
        if outcome.is_err() {
            log::debug!("a worker ends because the delivery loop has ended");
        }
    }

    fn step(
        &mut self,
        incoming: &Incoming,
        finished: &mut Vec<ResultMessage>,
    ) -> Result<(), DeliveryGone> {
        self.heartbeat.start();
        self.link.queue_has_room();
        let Some(runner) = self.streams.get_mut(&incoming.stream) else {
            log::error!("a message for stream {} was sent to the wrong worker", incoming.stream);
            self.heartbeat.done();
            return Ok(());
        };
        let outcome = runner.step(incoming, self.clock.as_ref(), finished);
        let report = outcome.taken(incoming).and_then(|taken| runner.hold(taken));
        for done in finished.drain(..) {
            send(&self.results, FromWorker::Result(done))?;
        }
        if let Some(learned) = runner.take_baseline() {
            send(&self.results, FromWorker::Baseline(learned))?;
        }
        if runner.take_rollback() {
            send(&self.results, FromWorker::Drifted(incoming.stream))?;
        }
        let name = runner.name();
        for (loss, _) in outcome.losses.iter() {
            let now = self.clock.now().mono;
            if let Some(suppressed) =
                self.log_limit.allow(now, &format!("{name}/{}", loss.cause.code()))
            {
                log_fields::with(&[("stream", name), ("device", &loss.device)], || {
                    log::warn!("stream {name}: {loss}{suppressed}");
                });
            }
        }
        let samples = outcome.rejects.into_iter().map(|r| RejectSample::new(name, incoming, r));
        let samples: Vec<_> = samples.collect();
        samples.iter().for_each(|sample| runner.note_reject(sample));
        if let Some(taken) = report {
            self.link.input_processed(taken);
        }
        for sample in samples {
            self.report_reject(sample)?;
        }
        self.heartbeat.done();
        self.save_due()
    }

    /// Joins labels with predictions. Their message is acknowledged once they are counted.
    fn labels(&mut self, incoming: &Incoming) -> Result<(), DeliveryGone> {
        self.heartbeat.start();
        self.link.queue_has_room();
        let now = self.clock.now().mono;
        if let Some(runner) = self.streams.get_mut(&incoming.stream) {
            let report = runner.take_labels(incoming, now);
            if let Some((reason, message)) = report.first_refusal {
                let (name, refused) = (runner.name(), report.refused);
                let topic = &incoming.topic;
                if let Some(suppressed) = self.log_limit.allow(now, &format!("{name}/{reason}")) {
                    let id = report.first_id.as_deref().unwrap_or_default();
                    let all: [(&'static str, &dyn Display); 4] =
                        [("stream", name), ("topic", topic), ("reason", &reason), ("id", &id)];
                    // Not every label names a prediction.
                    let count = if id.is_empty() { 3 } else { all.len() };
                    let known = all.get(..count).unwrap_or_default();
                    log_fields::with(known, || {
                        log::warn!(
                            "stream {name}: {refused} labels on {topic:?} were not counted \
                             ({reason}): {message}{suppressed}"
                        );
                    });
                }
            }
        }
        if let Some(input) = incoming.token {
            self.link.input_processed(InputProcessed { input, results: 0 });
        }
        self.heartbeat.done();
        self.save_due()
    }

    /// Swaps the model of a stream. Samples queued before the swap ran through the former model,
    /// those behind it run through the new one; none is lost, and windows are kept if their shape
    /// is the same.
    fn swap(&mut self, swap: Swap) -> Result<(), DeliveryGone> {
        self.heartbeat.start();
        self.link.queue_has_room();
        if let Some(runner) = self.streams.get_mut(&swap.stream) {
            // Inputs that wait for a save are released first: the new model may have no windows.
            if runner.save_at().is_some() {
                send(&self.results, FromWorker::Windows(runner.save(self.clock.now())))?;
            }
            // The caller may have gone; the model is active all the same.
            if swap.answer.send(runner.swap(swap.loaded)).is_err() {
                log::debug!("the swap of stream {} is no longer awaited", swap.stream);
            }
        }
        self.heartbeat.done();
        Ok(())
    }

    fn shadow(&mut self, start: ShadowStart) -> Result<(), DeliveryGone> {
        self.heartbeat.start();
        if let Some(runner) = self.streams.get_mut(&start.stream) {
            runner.shadow(start.candidate, start.share);
        }
        self.heartbeat.done();
        self.save_due()
    }

    fn shadow_ended(&mut self, stream: usize) -> Result<(), DeliveryGone> {
        if let Some(runner) = self.streams.get_mut(&stream) {
            runner.end_shadow_if_over();
        }
        self.save_due()
    }

    fn report_reject(&mut self, sample: RejectSample) -> Result<(), DeliveryGone> {
        let now = self.clock.now().mono;
        if let Some(suppressed) = self.log_limit.allow(now, &sample.key()) {
            sample.log(suppressed);
        }
        let allowed = self.reject_budget.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if allowed {
            send(&self.results, FromWorker::Report(Report::Reject(sample)))
        } else {
            Ok(())
        }
    }

    /// How long until the next save, or the next report of suppressed log lines, is due; `None` if
    /// there is none.
    fn due(&self) -> Option<Duration> {
        let at = self.next_save().into_iter().chain(self.log_limit.overdue_at()).min()?;
        Some(at.since(self.clock.now().mono))
    }

    fn next_save(&self) -> Option<Mono> {
        let saves = |it: &StreamRunner| {
            [it.save_at(), it.save_labels_at(), it.save_progress_at()].into_iter().flatten().min()
        };
        self.streams.values().filter_map(saves).min()
    }

    fn save_due(&mut self) -> Result<(), DeliveryGone> {
        // Most streams never save: the clock is read only if one does.
        if self.next_save().is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        for runner in self.streams.values_mut() {
            if runner.save_at().is_some_and(|at| at <= now.mono) {
                send(&self.results, FromWorker::Windows(runner.save(now)))?;
            }
            if runner.save_labels_at().is_some_and(|at| at <= now.mono)
                && let Some(saved) = runner.save_labels()
            {
                send(&self.results, FromWorker::Labels(saved))?;
            }
            if runner.save_progress_at().is_some_and(|at| at <= now.mono)
                && let Some(progress) = runner.save_progress(now.mono)
            {
                send(&self.results, FromWorker::Learning(progress))?;
            }
        }
        Ok(())
    }

    fn save_all(&mut self) -> Result<(), DeliveryGone> {
        let now = self.clock.now();
        for runner in self.streams.values_mut().filter(|runner| runner.keeps_samples()) {
            send(&self.results, FromWorker::Windows(runner.save_whole(now)))?;
        }
        for saved in self.streams.values_mut().filter_map(StreamRunner::save_labels) {
            send(&self.results, FromWorker::Labels(saved))?;
        }
        let learning = self.streams.values_mut().filter_map(|it| it.save_progress(now.mono));
        for progress in learning {
            send(&self.results, FromWorker::Learning(progress))?;
        }
        Ok(())
    }
}

fn send(results: &Sender<FromWorker>, message: FromWorker) -> Result<(), DeliveryGone> {
    results.blocking_send(message).map_err(|_| DeliveryGone)
}
