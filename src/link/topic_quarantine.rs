//! Quarantine for topics on which the broker closes the connection. AWS IoT Core and others close it
//! at a forbidden publish, so that every connection would end at the same message. Pure.
//!
//! A topic is quarantined, and its results are lost, only on evidence that restarts of the broker and
//! a bad network do not give:
//!
//! 1. It becomes *suspected* if it was in flight at the end of two connections in a row that the
//!    broker closed, and no publish on it was answered in between.
//! 2. While there are suspects, publishes are sent one at a time. A suspect is deferred until the
//!    connection has lasted for [`MIN_TRIAL_AGE`] and no other publish is in flight; other topics
//!    overtake it.
//! 3. A suspect gets a strike if the broker closes the connection within [`MAX_REACTION_TIME`] of the
//!    publish, it alone was in flight, and the broker had answered another publish on the same
//!    connection. The last is the control: if the broker answers nothing, the topic is not the
//!    reason. Of several suspects the one with the fewest trials goes first, so that an allowed one
//!    becomes the control of the others.
//! 4. Any answer of the broker to a publish on the topic clears it. At [`MAX_STRIKES`] the topic is
//!    quarantined.
//!
//! Publishes on a quarantined topic are refused. When the quarantine ends one publish is tried again,
//! and one more strike quarantines the topic for twice as long.
//!
//! Publishes of QoS 0 are not answered, so they are never suspected and nothing waits for them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Strikes after which a topic is quarantined.
pub(crate) const MAX_STRIKES: u8 = 3;
/// The age of a connection before a suspect is sent on it.
pub(crate) const MIN_TRIAL_AGE: Duration = Duration::from_secs(2);
/// A close later than this after a publish has another reason.
pub(crate) const MAX_REACTION_TIME: Duration = Duration::from_secs(5);
/// The first quarantine of a topic.
const MIN_QUARANTINE: Duration = Duration::from_secs(60);
/// The longest quarantine of a topic.
const MAX_QUARANTINE: Duration = Duration::from_secs(3600);
/// A suspicion that no close has confirmed for this long is forgotten: the topic may be out of use.
const SUSPICION_TTL: Duration = Duration::from_secs(900);
/// Topics that are suspected, and that are quarantined, at a time.
const MAX_TOPICS: usize = 256;

/// A topic was quarantined for this long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quarantined {
    pub(crate) topic: String,
    pub(crate) duration: Duration,
}

/// Whether the only publish in flight was a trial by rules 2 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    None,
    /// The broker had answered no publish on the connection.
    WithoutControl,
    WithControl,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    strikes: u8,
    /// Trials at which the connection was closed, with and without a control.
    trials: u32,
    /// The last close with the topic in flight.
    at: Instant,
}

/// The suspected and quarantined topics.
#[derive(Debug, Default)]
pub(crate) struct TopicQuarantine {
    /// In flight when the broker last closed a connection, and not answered since.
    in_flight_at_close: HashSet<String>,
    suspected: HashMap<String, Suspicion>,
    /// The end and the length of each quarantine.
    quarantined: HashMap<String, (Instant, Duration)>,
}

impl TopicQuarantine {
    /// The broker accepted or refused a publish on this topic. True if the topic was quarantined.
    pub(crate) fn on_answer(&mut self, topic: &str) -> bool {
        self.in_flight_at_close.remove(topic);
        self.suspected.remove(topic);
        self.quarantined.remove(topic).is_some()
    }

    /// The broker closed a connection with publishes on these topics in flight.
    pub(crate) fn on_close(
        &mut self,
        in_flight: HashSet<String>,
        trial: Trial,
        now: Instant,
    ) -> Option<Quarantined> {
        let mut quarantined = None;
        if let (false, Some(topic)) = (trial == Trial::None, in_flight.iter().next()) {
            quarantined = self.strike(topic, trial == Trial::WithControl, now);
        }
        for topic in &in_flight {
            if let Some(suspicion) = self.suspected.get_mut(topic) {
                suspicion.at = now;
            } else if self.in_flight_at_close.contains(topic)
                && !self.quarantined.contains_key(topic)
            {
                self.suspect(topic, 0, now);
            }
        }
        self.in_flight_at_close = in_flight;
        quarantined
    }

    fn suspect(&mut self, topic: &str, strikes: u8, now: Instant) {
        if self.suspected.len() < MAX_TOPICS {
            self.suspected.insert(topic.to_owned(), Suspicion { strikes, trials: 0, at: now });
        }
    }

    fn strike(&mut self, topic: &str, has_control: bool, now: Instant) -> Option<Quarantined> {
        let suspicion = self.suspected.get_mut(topic)?;
        suspicion.trials = suspicion.trials.saturating_add(1);
        if !has_control {
            return None;
        }
        suspicion.strikes = suspicion.strikes.saturating_add(1);
        let former = self.quarantined.get(topic).map(|(_, span)| *span);
        if suspicion.strikes < MAX_STRIKES
            || (former.is_none() && self.quarantined.len() >= MAX_TOPICS)
        {
            return None;
        }
        self.suspected.remove(topic);
        let span = former.map_or(MIN_QUARANTINE, |span| (span * 2).min(MAX_QUARANTINE));
        self.quarantined.insert(topic.to_owned(), (now + span, span));
        Some(Quarantined { topic: topic.to_owned(), duration: span })
    }

    /// Forgets suspicions that were not confirmed for [`SUSPICION_TTL`].
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.suspected.retain(|_, suspicion| now < suspicion.at + SUSPICION_TTL);
    }

    /// True while publishes must be sent one at a time.
    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspected.is_empty()
    }

    pub(crate) fn is_suspect(&self, topic: &str) -> bool {
        self.suspected.contains_key(topic)
    }

    /// How often a trial of this topic ended the connection.
    pub(crate) fn trials(&self, topic: &str) -> u32 {
        self.suspected.get(topic).map_or(0, |suspicion| suspicion.trials)
    }

    /// True if publishes on this topic must be refused. When its quarantine ends a topic becomes a
    /// suspect with one strike to go.
    pub(crate) fn is_quarantined(&mut self, topic: &str, now: Instant) -> bool {
        let Some((until, _)) = self.quarantined.get(topic) else { return false };
        if now < *until {
            return true;
        }
        if !self.suspected.contains_key(topic) {
            self.suspect(topic, MAX_STRIKES - 1, now);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(topics: &[&str]) -> HashSet<String> {
        topics.iter().map(|topic| (*topic).to_owned()).collect()
    }

    /// Topics that two closes have made suspects.
    fn suspected(topics: &[&str], now: Instant) -> TopicQuarantine {
        let mut quarantine = TopicQuarantine::default();
        assert_eq!(quarantine.on_close(set(topics), Trial::None, now), None);
        assert!(!quarantine.has_suspects(), "one close proves nothing");
        assert_eq!(quarantine.on_close(set(topics), Trial::None, now), None);
        assert!(topics.iter().all(|topic| quarantine.is_suspect(topic)));
        quarantine
    }

    #[test]
    fn a_topic_that_ends_every_connection_is_quarantined_and_tried_again_later() {
        let now = Instant::now();
        let mut quarantine = suspected(&["bad", "good"], now);
        quarantine.on_answer("good");
        assert!(!quarantine.is_suspect("good"));
        for _ in 1..MAX_STRIKES {
            assert_eq!(quarantine.on_close(set(&["bad"]), Trial::WithControl, now), None);
        }
        let quarantined = quarantine.on_close(set(&["bad"]), Trial::WithControl, now).unwrap();
        assert_eq!(quarantined, Quarantined { topic: "bad".into(), duration: MIN_QUARANTINE });
        assert!(quarantine.is_quarantined("bad", now) && !quarantine.has_suspects());
        let later = now + MIN_QUARANTINE;
        assert!(!quarantine.is_quarantined("bad", later) && quarantine.is_suspect("bad"));
        let quarantined = quarantine.on_close(set(&["bad"]), Trial::WithControl, later).unwrap();
        assert_eq!(quarantined.duration, MIN_QUARANTINE * 2);
        assert!(!quarantine.is_quarantined("bad", later + MIN_QUARANTINE * 2));
        assert!(quarantine.on_answer("bad"));
        assert!(!quarantine.is_quarantined("bad", later), "it works again");
    }

    #[test]
    fn a_broker_that_answers_nothing_causes_no_quarantine() {
        let now = Instant::now();
        let mut quarantine = suspected(&["a", "b"], now);
        for trials in 1..100 {
            assert_eq!(quarantine.on_close(set(&["a"]), Trial::WithoutControl, now), None);
            assert_eq!(quarantine.trials("a"), trials);
            assert_eq!(quarantine.on_close(set(&["a", "b"]), Trial::None, now), None);
        }
        assert_eq!(quarantine.trials("b"), 0, "the next to be tried");
    }

    #[test]
    fn a_bad_network_causes_no_quarantine() {
        let now = Instant::now();
        let mut quarantine = TopicQuarantine::default();
        for _ in 0..100 {
            // Several in flight, or one that is answered in the end.
            assert_eq!(quarantine.on_close(set(&["a", "b"]), Trial::None, now), None);
            assert_eq!(quarantine.on_close(set(&["a"]), Trial::WithControl, now), None);
            assert_eq!(quarantine.on_close(set(&["a"]), Trial::WithControl, now), None);
            quarantine.on_answer("a");
        }
        quarantine.on_close(set(&["a"]), Trial::WithControl, now);
        quarantine.on_close(HashSet::new(), Trial::None, now);
        quarantine.on_close(set(&["a"]), Trial::WithControl, now);
        assert!(!quarantine.is_suspect("a"), "not in a row");
    }

    #[test]
    fn a_suspicion_about_a_topic_that_is_not_used_any_more_is_forgotten() {
        let now = Instant::now();
        let mut quarantine = suspected(&["gone"], now);
        quarantine.forget_old(now + SUSPICION_TTL / 2);
        assert!(quarantine.has_suspects());
        quarantine.forget_old(now + SUSPICION_TTL);
        assert!(!quarantine.has_suspects());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let now = Instant::now();
        let mut quarantine = TopicQuarantine::default();
        for number in 0..2 * MAX_TOPICS {
            let topic = format!("t/{number}");
            for trial in [Trial::None, Trial::None].into_iter().chain([Trial::WithControl; 3]) {
                quarantine.on_close(set(&[&topic]), trial, now);
            }
        }
        assert_eq!(
            (quarantine.quarantined.len(), quarantine.suspected.len()),
            (MAX_TOPICS, MAX_TOPICS)
        );
        let topic = "t/0";
        let later = now + MIN_QUARANTINE;
        assert!(
            !quarantine.is_quarantined(topic, later),
            "no room for a trial does not keep it refused"
        );
    }
}
