//! Publishes on suspected topics: deferred, tried one at a time, and judged by the end of the
//! connection. See [`crate::link::topic_quarantine`].

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Connection;
use super::outbound::PublishKind;
use super::shutdown::ShutdownPhase;
use crate::link::Fault;
use crate::link::topic_quarantine::{
    MAX_REACTION_TIME, MAX_STRIKES, MIN_TRIAL_AGE, Quarantined, Trial,
};
use crate::message::Outgoing;

/// How often it is checked whether a suspect may be sent.
const TRIAL_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// After this time a missing reply to a SUBSCRIBE no longer delays trials.
const MAX_SUBSCRIBE_WAIT: Duration = Duration::from_secs(10);

/// Publishes that wait until a trial of their topic is possible; they end with the connection. Those
/// of one topic stay in order, and other topics overtake them.
#[derive(Debug, Default)]
pub(super) struct DeferredPublishes {
    queue: VecDeque<(Outgoing, PublishKind)>,
    /// The broker has acknowledged a publish on this connection.
    broker_answers: bool,
}

impl DeferredPublishes {
    pub(super) fn push(&mut self, message: Outgoing, kind: PublishKind) {
        if kind == PublishKind::Retained {
            // Only the newest retained message of a topic counts.
            self.queue.retain(|(deferred, kind)| {
                *kind != PublishKind::Retained || deferred.topic != message.topic
            });
        }
        self.queue.push_back((message, kind));
    }

    /// Those that count for the window; retained messages do not.
    pub(super) fn len(&self) -> usize {
        self.queue.iter().filter(|(_, kind)| *kind != PublishKind::Retained).count()
    }
}

impl Connection<'_> {
    /// True while a publish may still be the reason for a close.
    pub(super) fn awaits_reaction(&self) -> bool {
        let now = Instant::now();
        self.in_flight.all().any(|sent| now <= sent.at + MAX_REACTION_TIME)
    }

    /// The broker answered a publish on this topic.
    pub(super) fn on_answered_topic(&mut self, topic: &str) {
        self.deferred.broker_answers = true;
        if self.session.quarantine.on_answer(topic) {
            log::info!("the broker accepts publishes on {topic} again");
        }
    }

    /// Sends what is no longer suspected, and one suspect if a trial is possible.
    pub(super) fn send_deferred(&mut self) {
        let is_open =
            matches!(self.shutdown, ShutdownPhase::Running | ShutdownPhase::Draining { .. });
        if self.deferred.queue.is_empty() || !is_open {
            return;
        }
        self.session.quarantine.forget_old(Instant::now().into_std());
        for (message, kind) in std::mem::take(&mut self.deferred.queue) {
            if self.session.quarantine.is_suspect(&message.topic) {
                self.deferred.queue.push_back((message, kind));
            } else {
                self.submit(message, kind);
            }
        }
        if !self.is_trial_possible() {
            return;
        }
        let quarantine = &self.session.quarantine;
        let deferred = self.deferred.queue.iter().enumerate();
        let next = deferred.min_by_key(|(_, (message, _))| quarantine.trials(&message.topic));
        let next = next.map(|(index, _)| index);
        if let Some((message, kind)) = next.and_then(|index| self.deferred.queue.remove(index)) {
            self.submit(message, kind);
        }
    }

    /// True once a close of the connection would be due to the next publish.
    fn is_trial_possible(&self) -> bool {
        let Some(limits) = self.limits else { return false };
        let age = limits.connected_at.elapsed();
        age >= MIN_TRIAL_AGE
            && matches!(self.shutdown, ShutdownPhase::Running)
            && self.in_flight.len() < limits.window
            && !self.awaits_reaction()
            && (!self.session.subscriptions.awaits_reply() || age >= MAX_SUBSCRIBE_WAIT)
    }

    /// When [`Self::send_deferred`] is due.
    pub(super) fn next_trial(&self) -> Option<Instant> {
        if self.deferred.queue.is_empty() {
            return None;
        }
        let soon = Instant::now() + TRIAL_POLL_INTERVAL;
        Some(self.limits.map_or(soon, |limits| soon.max(limits.connected_at + MIN_TRIAL_AGE)))
    }

    /// After the end of the connection: true if a publish on a suspected topic was the reason.
    pub(super) fn assess_close(&mut self, fault: &Fault) -> bool {
        let Some(limits) = self.limits.filter(|_| fault.is_objection()) else { return false };
        let now = Instant::now();
        let is_trial = self.in_flight.len() == 1
            && !self.session.subscriptions.awaits_reply()
            && self.awaits_reaction()
            && self.in_flight.all().all(|sent| sent.at >= limits.connected_at + MIN_TRIAL_AGE);
        let trial = match (is_trial, self.deferred.broker_answers) {
            (false, _) => Trial::None,
            (true, false) => Trial::WithoutControl,
            (true, true) => Trial::WithControl,
        };
        let topics: HashSet<String> = self.in_flight.all().map(|sent| sent.topic.clone()).collect();
        let quarantine = &mut self.session.quarantine;
        let is_suspect = topics.iter().any(|topic| quarantine.is_suspect(topic));
        if let Some(quarantined) = quarantine.on_close(topics, trial, now.into_std()) {
            log_quarantine(&quarantined);
        }
        is_suspect && trial == Trial::WithControl
    }
}

fn log_quarantine(quarantined: &Quarantined) {
    log::error!(
        "the broker closes the connection at every publish on {} ({MAX_STRIKES} times in a row): \
         the topic is quarantined for {}s, and results for it are discarded and counted as lost \
         (closes-connection). Allow the topic in the broker's access list (AWS IoT Core: \
         iot:Publish in the policy, and iot:RetainPublish for retained messages), or publish on \
         another topic",
        quarantined.topic,
        quarantined.duration.as_secs()
    );
}
