//! Which topic makes the broker close the connection. AWS IoT Core and others close it when a
//! publish is forbidden, and without more every attempt would end at the same result. Pure.
//!
//! A topic is set aside, and its results are lost, only on evidence that restarts of the broker and
//! a bad network do not give:
//!
//! 1. It becomes *suspected* when it was under way at the end of two connections in a row that the
//!    broker closed, and no publish on it was answered in between.
//! 2. While there are suspects, publishes are sent one at a time. A suspect is held back until the
//!    connection has lived for [`PROOF`] and nothing else waits for an answer; other topics overtake.
//! 3. A suspect has a strike when the broker closes the connection within [`REACTION`] after it was
//!    sent, it was alone under way, and the broker had answered another publish on the same
//!    connection. The last is the control: a broker that answers nothing is ill, and no topic is the
//!    reason. Of several suspects the one with the fewest trials goes first, so that one which is
//!    allowed becomes the control of the others.
//! 4. Any answer of the broker to a publish on the topic clears it. At [`STRIKES`] it is set aside.
//!
//! What is published on a topic that is set aside is refused. After a while one publish is tried
//! again, and one more strike sets the topic aside for twice as long.
//!
//! Publishes of QoS 0 are not answered and therefore never suspected; nothing waits for them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Strikes after which a topic is set aside.
pub(crate) const STRIKES: u8 = 3;
/// How long a connection must have lived before a suspect is sent on it.
pub(crate) const PROOF: Duration = Duration::from_secs(2);
/// A close that comes later than this after a publish has other reasons.
pub(crate) const REACTION: Duration = Duration::from_secs(5);
/// How long a topic is set aside at first, and at most.
const ASIDE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// A suspicion is forgotten that no close has confirmed for so long: the topic may not be used any
/// more.
const SUSPICION: Duration = Duration::from_secs(900);
/// Topics that are suspected, and that are set aside, at a time.
const TOPICS: usize = 256;

/// A topic was set aside for this long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetAside {
    pub(crate) topic: String,
    pub(crate) span: Duration,
}

/// Whether the only publish under way was sent by rules 2 and 3.
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
    /// The last close with the topic under way.
    at: Instant,
}

/// What is known of topics on which publishes ended connections.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    /// Under way when the broker last closed a connection, and not answered since.
    before: HashSet<String>,
    suspected: HashMap<String, Suspicion>,
    /// Until when, and for how long in all.
    aside: HashMap<String, (Instant, Duration)>,
}

impl Suspects {
    /// The broker answered to a publish on this topic, whatever it said. True where the topic had
    /// been set aside.
    pub(crate) fn answered(&mut self, topic: &str) -> bool {
        self.before.remove(topic);
        self.suspected.remove(topic);
        self.aside.remove(topic).is_some()
    }

    /// The broker closed a connection on which publishes on these topics were under way.
    pub(crate) fn closed(
        &mut self,
        under_way: HashSet<String>,
        trial: Trial,
        now: Instant,
    ) -> Option<SetAside> {
        let mut verdict = None;
        if let (false, Some(topic)) = (trial == Trial::None, under_way.iter().next()) {
            verdict = self.strike(topic, trial == Trial::WithControl, now);
        }
        for topic in &under_way {
            if let Some(suspicion) = self.suspected.get_mut(topic) {
                suspicion.at = now;
            } else if self.before.contains(topic) && !self.aside.contains_key(topic) {
                self.suspect(topic, 0, now);
            }
        }
        self.before = under_way;
        verdict
    }

    fn suspect(&mut self, topic: &str, strikes: u8, now: Instant) {
        if self.suspected.len() < TOPICS {
            self.suspected.insert(topic.to_owned(), Suspicion { strikes, trials: 0, at: now });
        }
    }

    fn strike(&mut self, topic: &str, has_control: bool, now: Instant) -> Option<SetAside> {
        let suspicion = self.suspected.get_mut(topic)?;
        suspicion.trials = suspicion.trials.saturating_add(1);
        if !has_control {
            return None;
        }
        suspicion.strikes = suspicion.strikes.saturating_add(1);
        let former = self.aside.get(topic).map(|(_, span)| *span);
        if suspicion.strikes < STRIKES || (former.is_none() && self.aside.len() >= TOPICS) {
            return None;
        }
        self.suspected.remove(topic);
        let span = former.map_or(ASIDE.0, |span| (span * 2).min(ASIDE.1));
        self.aside.insert(topic.to_owned(), (now + span, span));
        Some(SetAside { topic: topic.to_owned(), span })
    }

    /// Forgets suspicions that were not confirmed for long.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.suspected.retain(|_, suspicion| now < suspicion.at + SUSPICION);
    }

    /// True while publishes are to be sent one at a time.
    pub(crate) fn is_careful(&self) -> bool {
        !self.suspected.is_empty()
    }

    pub(crate) fn is_suspect(&self, topic: &str) -> bool {
        self.suspected.contains_key(topic)
    }

    /// How often a trial of this topic ended the connection.
    pub(crate) fn trials(&self, topic: &str) -> u32 {
        self.suspected.get(topic).map_or(0, |suspicion| suspicion.trials)
    }

    /// True where a publish on this topic is to be refused. A topic that was set aside for long
    /// enough becomes a suspect again, with one strike to go.
    pub(crate) fn is_aside(&mut self, topic: &str, now: Instant) -> bool {
        let Some((until, _)) = self.aside.get(topic) else { return false };
        if now < *until {
            return true;
        }
        if !self.suspected.contains_key(topic) {
            self.suspect(topic, STRIKES - 1, now);
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
    fn suspected(topics: &[&str], now: Instant) -> Suspects {
        let mut suspects = Suspects::default();
        assert_eq!(suspects.closed(set(topics), Trial::None, now), None);
        assert!(!suspects.is_careful(), "one close proves nothing");
        assert_eq!(suspects.closed(set(topics), Trial::None, now), None);
        assert!(topics.iter().all(|topic| suspects.is_suspect(topic)));
        suspects
    }

    #[test]
    fn a_topic_that_ends_every_connection_is_set_aside_and_tried_again_later() {
        let now = Instant::now();
        let mut suspects = suspected(&["bad", "good"], now);
        suspects.answered("good");
        assert!(!suspects.is_suspect("good"));
        for _ in 1..STRIKES {
            assert_eq!(suspects.closed(set(&["bad"]), Trial::WithControl, now), None);
        }
        let verdict = suspects.closed(set(&["bad"]), Trial::WithControl, now).unwrap();
        assert_eq!(verdict, SetAside { topic: "bad".into(), span: ASIDE.0 });
        assert!(suspects.is_aside("bad", now) && !suspects.is_careful());
        let later = now + ASIDE.0;
        assert!(!suspects.is_aside("bad", later) && suspects.is_suspect("bad"));
        let verdict = suspects.closed(set(&["bad"]), Trial::WithControl, later).unwrap();
        assert_eq!(verdict.span, ASIDE.0 * 2);
        assert!(!suspects.is_aside("bad", later + ASIDE.0 * 2));
        assert!(suspects.answered("bad"));
        assert!(!suspects.is_aside("bad", later), "it works again");
    }

    #[test]
    fn a_broker_that_answers_nothing_sets_nothing_aside() {
        let now = Instant::now();
        let mut suspects = suspected(&["a", "b"], now);
        for trials in 1..100 {
            assert_eq!(suspects.closed(set(&["a"]), Trial::WithoutControl, now), None);
            assert_eq!(suspects.trials("a"), trials);
            assert_eq!(suspects.closed(set(&["a", "b"]), Trial::None, now), None);
        }
        assert_eq!(suspects.trials("b"), 0, "the next to be tried");
    }

    #[test]
    fn a_bad_network_sets_nothing_aside() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for _ in 0..100 {
            // Several under way, or one that is answered in the end.
            assert_eq!(suspects.closed(set(&["a", "b"]), Trial::None, now), None);
            assert_eq!(suspects.closed(set(&["a"]), Trial::WithControl, now), None);
            assert_eq!(suspects.closed(set(&["a"]), Trial::WithControl, now), None);
            suspects.answered("a");
        }
        suspects.closed(set(&["a"]), Trial::WithControl, now);
        suspects.closed(HashSet::new(), Trial::None, now);
        suspects.closed(set(&["a"]), Trial::WithControl, now);
        assert!(!suspects.is_suspect("a"), "not in a row");
    }

    #[test]
    fn a_suspicion_about_a_topic_that_is_not_used_any_more_is_forgotten() {
        let now = Instant::now();
        let mut suspects = suspected(&["gone"], now);
        suspects.forget_old(now + SUSPICION / 2);
        assert!(suspects.is_careful());
        suspects.forget_old(now + SUSPICION);
        assert!(!suspects.is_careful());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for number in 0..2 * TOPICS {
            let topic = format!("t/{number}");
            for trial in [Trial::None, Trial::None].into_iter().chain([Trial::WithControl; 3]) {
                suspects.closed(set(&[&topic]), trial, now);
            }
        }
        assert_eq!((suspects.aside.len(), suspects.suspected.len()), (TOPICS, TOPICS));
        let topic = "t/0";
        let later = now + ASIDE.0;
        assert!(!suspects.is_aside(topic, later), "no room for a trial does not keep it refused");
    }
}
