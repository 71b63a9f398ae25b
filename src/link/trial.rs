//! Publishes on suspected topics: held back, tried one at a time, and judged by the end of the
//! connection. See [`super::suspects`].

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::Fault;
use super::connection::Connection;
use super::goodbye::Goodbye;
use super::outbound::What;
use super::suspects::{PROOF, REACTION, STRIKES, SetAside, Trial};
use crate::message::Outgoing;

/// Between two looks at whether a suspect may be sent.
const LOOK: Duration = Duration::from_millis(100);

/// A broker that has not answered a SUBSCRIBE by then does not keep suspects from being sent.
const SUBSCRIBED: Duration = Duration::from_secs(10);

/// Publishes that wait until their connection has proved good; they end with it. Those of one topic
/// stay in their order, and other topics overtake them.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    queue: VecDeque<(Outgoing, What)>,
    /// The broker has acknowledged a publish on this connection.
    broker_answers: bool,
}

impl HeldBack {
    pub(super) fn push(&mut self, message: Outgoing, what: What) {
        if what == What::State {
            // Only the newest state counts.
            self.queue.retain(|(held, what)| *what != What::State || held.topic != message.topic);
        }
        self.queue.push_back((message, what));
    }

    /// Those that take a place of the window, which state does not.
    pub(super) fn len(&self) -> usize {
        self.queue.iter().filter(|(_, what)| *what != What::State).count()
    }
}

impl Connection<'_> {
    /// True while a publish may still be the reason for a close.
    pub(super) fn waits_for_an_answer(&self) -> bool {
        let now = Instant::now();
        self.flight.all().any(|sent| now <= sent.at + REACTION)
    }

    /// The broker answered to a publish on this topic.
    pub(super) fn answered(&mut self, topic: &str) {
        self.held_back.broker_answers = true;
        if self.task.suspects.answered(topic) {
            log::info!("the broker takes publishes on {topic} again");
        }
    }

    /// Sends what is not suspected any more, and one suspect once the connection has proved good.
    pub(super) fn try_suspects(&mut self) {
        let is_leaving = !matches!(self.goodbye, Goodbye::NotYet | Goodbye::Asked { .. });
        if self.held_back.queue.is_empty() || is_leaving {
            return;
        }
        self.task.suspects.forget_old(Instant::now().into_std());
        for (message, what) in std::mem::take(&mut self.held_back.queue) {
            if self.task.suspects.is_suspect(&message.topic) {
                self.held_back.queue.push_back((message, what));
            } else {
                self.submit(message, what);
            }
        }
        if !self.is_proven() {
            return;
        }
        let suspects = &self.task.suspects;
        let held = self.held_back.queue.iter().enumerate();
        let next = held.min_by_key(|(_, (message, _))| suspects.trials(&message.topic));
        let next = next.map(|(place, _)| place);
        if let Some((message, what)) = next.and_then(|place| self.held_back.queue.remove(place)) {
            self.submit(message, what);
        }
    }

    /// True once a close of the connection would be due to what is sent next.
    fn is_proven(&self) -> bool {
        let Some(bounds) = self.bounds else { return false };
        let age = bounds.since.elapsed();
        age >= PROOF
            && matches!(self.goodbye, Goodbye::NotYet)
            && self.flight.len() < bounds.window
            && !self.waits_for_an_answer()
            && (!self.task.subscriptions.is_asking() || age >= SUBSCRIBED)
    }

    /// When [`Self::try_suspects`] is due.
    pub(super) fn next_trial(&self) -> Option<Instant> {
        if self.held_back.queue.is_empty() {
            return None;
        }
        let soon = Instant::now() + LOOK;
        Some(self.bounds.map_or(soon, |bounds| soon.max(bounds.since + PROOF)))
    }

    /// After the end of the connection: true where a publish on a suspected topic was the reason.
    pub(super) fn judge(&mut self, fault: &Fault) -> bool {
        let Some(bounds) = self.bounds.filter(|_| fault.is_objection()) else { return false };
        let now = Instant::now();
        let is_trial = self.flight.len() == 1
            && !self.task.subscriptions.is_asking()
            && self.waits_for_an_answer()
            && self.flight.all().all(|sent| sent.at >= bounds.since + PROOF);
        let trial = match (is_trial, self.held_back.broker_answers) {
            (false, _) => Trial::None,
            (true, false) => Trial::WithoutControl,
            (true, true) => Trial::WithControl,
        };
        let topics: HashSet<String> = self.flight.all().map(|sent| sent.topic.clone()).collect();
        let is_suspect = topics.iter().any(|topic| self.task.suspects.is_suspect(topic));
        if let Some(aside) = self.task.suspects.closed(topics, trial, now.into_std()) {
            say(&aside);
        }
        is_suspect && trial == Trial::WithControl
    }
}

fn say(aside: &SetAside) {
    log::error!(
        "the broker closes the connection whenever something is published on {} ({STRIKES} times in \
         a row): what is published there is discarded and counted as lost (closes-connection) for \
         {}s, and then tried again. Allow the topic in the broker's access list (AWS IoT Core: \
         iot:Publish in the policy, and iot:RetainPublish for retained messages), or publish on \
         another topic",
        aside.topic,
        aside.span.as_secs()
    );
}
