//! What we subscribe to, and what the broker said to it. Pure: time comes in as `now`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Subscription;
use crate::backoff;
use crate::message::Qos;

/// Filters in one SUBSCRIBE, so that the packet stays small whatever the configuration.
const BATCH: usize = 16;

/// What the broker answered to one filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(Qos),
    Refused(String),
}

/// A filter the broker did not grant as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) filter: String,
    pub(crate) reason: String,
    /// `None` where the filter is subscribed, but with less than was asked for.
    pub(crate) retry_in: Option<Duration>,
}

/// The filters wanted and how each stands with the broker.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    wanted: Vec<(Subscription, State)>,
    /// Filters a former set held.
    unwanted: Vec<String>,
    /// Asked for without a packet id yet; then with one.
    asked: VecDeque<Vec<String>>,
    asked_as: HashMap<u16, Vec<String>>,
    retry: (Duration, Duration),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Due { attempt: u32 },
    Asked { attempt: u32 },
    Granted,
    Later { attempt: u32, at: Instant },
}

impl Subscriptions {
    /// Refused filters are asked for again after an exponential wait between these two.
    pub(crate) fn new(wanted: Vec<Subscription>, retry: (Duration, Duration)) -> Self {
        let mut new = Self {
            wanted: Vec::new(),
            unwanted: Vec::new(),
            asked: VecDeque::new(),
            asked_as: HashMap::new(),
            retry,
        };
        new.replace(wanted);
        new
    }

    /// A new set. What both hold stays as it is; of two with one filter the better quality counts.
    pub(crate) fn replace(&mut self, wanted: Vec<Subscription>) {
        let old = std::mem::take(&mut self.wanted);
        for new in wanted {
            let twin = self.wanted.iter_mut().find(|(have, _)| have.filter == new.filter);
            match twin {
                Some((have, _)) if new.qos == Qos::AtLeastOnce => have.qos = new.qos,
                Some(_) => {}
                None => self.wanted.push((new, State::Due { attempt: 0 })),
            }
        }
        for (have, state) in old {
            match self.wanted.iter_mut().find(|(new, _)| new.filter == have.filter) {
                Some((new, now)) if *new == have => *now = state,
                Some(_) => {}
                None => self.unwanted.push(have.filter),
            }
        }
    }

    /// A connection is up. Without the session the broker knows none of the filters. What an
    /// earlier process left in the session is not known here, so the first connection asks for all.
    pub(crate) fn connected(&mut self, session_present: bool) {
        self.asked.clear();
        self.asked_as.clear();
        for (_, state) in &mut self.wanted {
            if !(session_present && matches!(state, State::Granted)) {
                *state = State::Due { attempt: 0 };
            }
        }
    }

    /// The filters to subscribe to now, in one packet; nothing where all is asked or granted.
    pub(crate) fn next_due(&mut self, now: Instant) -> Vec<Subscription> {
        let mut batch = Vec::new();
        for (subscription, state) in &mut self.wanted {
            let attempt = match *state {
                State::Due { attempt } => attempt,
                State::Later { attempt, at } if at <= now => attempt,
                State::Later { .. } | State::Asked { .. } | State::Granted => continue,
            };
            if batch.len() < BATCH {
                *state = State::Asked { attempt };
                batch.push(subscription.clone());
            }
        }
        if !batch.is_empty() {
            self.asked.push_back(batch.iter().map(|asked| asked.filter.clone()).collect());
        }
        batch
    }

    /// Packets that asking for, or leaving, every filter takes.
    pub(crate) fn packets(&self) -> usize {
        self.wanted.len() + self.unwanted.len()
    }

    /// True where the broker has granted every filter that messages are waited for on.
    pub(crate) fn is_complete(&self) -> bool {
        self.wanted.iter().all(|(asked, state)| asked.pull || matches!(state, State::Granted))
    }

    /// True where the broker's last answer for this filter was a refusal.
    pub(crate) fn is_refused(&self, filter: &str) -> bool {
        let state = self.wanted.iter().find(|(asked, _)| asked.filter == filter);
        let attempts = state.map_or(0, |(_, state)| match *state {
            State::Granted => 0,
            State::Due { attempt } | State::Asked { attempt } | State::Later { attempt, .. } => {
                attempt
            }
        });
        attempts > 0
    }

    /// A filter to unsubscribe from.
    pub(crate) fn next_unwanted(&mut self) -> Option<String> {
        self.unwanted.pop()
    }

    /// When a refused filter is due again.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.wanted
            .iter()
            .filter_map(|(_, state)| match state {
                State::Later { at, .. } => Some(*at),
                State::Due { .. } | State::Asked { .. } | State::Granted => None,
            })
            .min()
    }

    /// The client wrote its next SUBSCRIBE under this packet id.
    pub(crate) fn written(&mut self, pkid: u16) {
        if let Some(filters) = self.asked.pop_front() {
            self.asked_as.insert(pkid, filters);
        }
    }

    /// The broker answered. A filter it left out counts as refused.
    pub(crate) fn answered(
        &mut self,
        pkid: u16,
        answers: &[Answer],
        now: Instant,
        random: u64,
    ) -> Vec<Trouble> {
        let filters = self.asked_as.remove(&pkid).unwrap_or_default();
        let silence = Answer::Refused("no answer to this filter in the broker's SUBACK".into());
        let answers = answers.iter().chain(std::iter::repeat(&silence));
        let pairs = filters.iter().zip(answers);
        pairs.filter_map(|(filter, answer)| self.settle(filter, answer, now, random)).collect()
    }

    fn settle(
        &mut self,
        filter: &str,
        answer: &Answer,
        now: Instant,
        random: u64,
    ) -> Option<Trouble> {
        let (asked, state) = self.wanted.iter_mut().find(|(have, _)| have.filter == filter)?;
        match answer {
            Answer::Granted(qos) => {
                *state = State::Granted;
                (asked.qos == Qos::AtLeastOnce && *qos == Qos::AtMostOnce).then(|| Trouble {
                    filter: filter.to_owned(),
                    reason: "granted with QoS 0 only: samples may be lost".into(),
                    retry_in: None,
                })
            }
            Answer::Refused(reason) => {
                let State::Asked { attempt } = *state else { return None };
                let wait = backoff::delay(attempt, self.retry.0, self.retry.1, random);
                *state = State::Later { attempt: attempt.saturating_add(1), at: now + wait };
                let (filter, reason) = (filter.to_owned(), reason.clone());
                Some(Trouble { filter, reason, retry_in: Some(wait) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(filter: &str) -> Subscription {
        Subscription { filter: filter.into(), qos: Qos::AtLeastOnce, pull: false }
    }

    fn set(filters: &[&str]) -> Subscriptions {
        let wanted = filters.iter().map(|filter| one(filter)).collect();
        Subscriptions::new(wanted, (Duration::from_secs(1), Duration::from_secs(60)))
    }

    fn due(set: &mut Subscriptions, now: Instant) -> Vec<String> {
        set.next_due(now).into_iter().map(|asked| asked.filter).collect()
    }

    const YES: Answer = Answer::Granted(Qos::AtLeastOnce);

    #[test]
    fn a_session_keeps_what_was_granted_and_nothing_else() {
        let now = Instant::now();
        let mut set = set(&["a", "b"]);
        set.connected(true);
        assert_eq!(due(&mut set, now), ["a", "b"], "an earlier process may have asked for others");
        assert!(!set.is_complete());
        assert!(set.next_due(now).is_empty(), "asked once");
        set.written(1);
        assert!(set.answered(1, &[YES, YES], now, 0).is_empty());
        assert!(set.is_complete());
        set.connected(true);
        assert!(set.next_due(now).is_empty());
        set.connected(false);
        assert_eq!(due(&mut set, now), ["a", "b"]);
        set.connected(true);
        assert_eq!(due(&mut set, now), ["a", "b"], "not answered before the connection ended");
    }

    #[test]
    fn a_refused_filter_is_reported_and_asked_for_again_ever_later() {
        let mut now = Instant::now();
        let mut set = set(&["a", "b"]);
        for wait in [1, 2, 4] {
            assert!(due(&mut set, now).contains(&"b".to_owned()));
            set.written(5);
            let answers = [YES, Answer::Refused("not authorized".into())];
            let answers = if wait == 1 { &answers[..] } else { &answers[1..] };
            let trouble = set.answered(5, answers, now, u64::MAX);
            let retry_in = Some(Duration::from_secs(wait));
            let (filter, reason) = ("b".into(), "not authorized".into());
            assert_eq!(trouble, [Trouble { filter, reason, retry_in }]);
            assert!(set.next_due(now).is_empty());
            now = set.next_retry().unwrap();
        }
    }

    #[test]
    fn a_short_answer_and_a_lesser_grant_are_trouble() {
        let now = Instant::now();
        let mut set = set(&["a", "b"]);
        set.next_due(now);
        set.written(5);
        let trouble = set.answered(5, &[Answer::Granted(Qos::AtMostOnce)], now, 0);
        assert_eq!((trouble[0].filter.as_str(), trouble[0].retry_in), ("a", None));
        assert_eq!((trouble[1].filter.as_str(), trouble[1].retry_in), ("b", Some(Duration::ZERO)));
        assert!(set.answered(99, &[YES], now, 0).is_empty(), "nobody asked for 99");
    }

    #[test]
    fn a_new_set_asks_for_what_is_new_and_leaves_what_is_gone() {
        let now = Instant::now();
        let mut set = set(&["a", "b", "b"]);
        set.next_due(now);
        set.written(1);
        set.answered(1, &[YES, YES], now, 0);
        set.replace(vec![one("b"), one("c")]);
        assert_eq!(due(&mut set, now), ["c"]);
        assert_eq!((set.next_unwanted(), set.next_unwanted()), (Some("a".into()), None));
    }

    #[test]
    fn what_is_pulled_is_not_waited_for_and_asked_for_anew_when_it_was_left() {
        let now = Instant::now();
        let mut set = set(&["a"]);
        let pull = |filter: &str| Subscription { pull: true, ..one(filter) };
        set.replace(vec![one("a"), pull("chunk")]);
        set.next_due(now);
        set.written(1);
        set.answered(1, &[YES, Answer::Refused("not authorized".into())], now, 0);
        assert!(set.is_complete());
        set.replace(vec![one("a")]);
        assert_eq!(set.next_unwanted().as_deref(), Some("chunk"));
        set.replace(vec![one("a"), pull("chunk")]);
        assert_eq!(due(&mut set, now), ["chunk"]);
    }

    #[test]
    fn many_filters_go_in_packets_of_bounded_size() {
        let names: Vec<String> = (0..BATCH + 1).map(|i| i.to_string()).collect();
        let mut set = set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(set.next_due(Instant::now()).len(), BATCH);
        assert_eq!(set.next_due(Instant::now()).len(), 1);
    }
}
