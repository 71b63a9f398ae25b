//! The state of the link as plain data for reports: whether it is connected and since when, the last
//! fault, what the broker refuses, and what it does not acknowledge.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::types::NotGranted;
use super::{Fault, FaultKind};
use crate::clock::{Mono, Now};

/// The time that [`LinkState::recent_connects`] covers.
pub const RECENT: Duration = Duration::from_secs(600);

/// The highest count of [`LinkState::recent_connects`].
const MAX_RECENT_CONNECTS: usize = 1024;

/// The most topics in [`LinkState::refused_topics`]. Refusals on others are counted in
/// [`LinkState::refused_elsewhere`].
const MAX_REFUSED_TOPICS: usize = 32;

/// The link at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    pub connected: bool,
    /// When the current connection was made, or the last one ended; the start of the link if there
    /// was none.
    pub since: Now,
    /// The last error, with what to do about it. It stays here after a successful connect, so look
    /// at `connected` first.
    pub last_fault: Option<LastFault>,
    /// Connections made in the last [`RECENT`]. More than a few show that they do not last.
    pub recent_connects: usize,
    /// Features that inferd would use and the connected broker lacks: a sentence each on what does not
    /// work because of it.
    pub limits: Vec<String>,
    /// Topic filters that the broker refuses, with its reason.
    pub refused_filters: BTreeMap<String, String>,
    /// For each refused filter, the indices of the streams that receive nothing because of it. Empty
    /// for a filter of model updates.
    pub refused_streams: BTreeMap<String, Vec<usize>>,
    /// Topics on which the last publish was refused.
    pub refused_topics: BTreeMap<String, RefusedTopic>,
    /// Publishes refused on topics without a place in `refused_topics`.
    pub refused_elsewhere: u64,
    /// Publishes that the broker has not acknowledged for a keep-alive or longer.
    pub unanswered: Option<Unanswered>,
}

/// Why the last attempt to connect failed, or the last connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFault {
    pub kind: FaultKind,
    /// What is wrong and what to do about it, in one line.
    pub text: String,
    pub at: Now,
}

/// A topic on which the broker refuses publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTopic {
    /// The reason, as in the counts of lost results: `not-authorized` and so on.
    pub reason: &'static str,
    pub count: u64,
    pub last: Now,
}

/// Publishes without an acknowledgement on a connection that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    pub publishes: usize,
    /// When the oldest of them was sent.
    pub since: Now,
    /// What is wrong and what to do about it, in one line.
    pub text: String,
}

/// Maintains a [`LinkState`].
#[derive(Debug)]
pub(super) struct StateTracker {
    state: LinkState,
    connects: VecDeque<Mono>,
}

impl StateTracker {
    pub(super) fn new(now: Now) -> Self {
        let state = LinkState {
            connected: false,
            since: now,
            last_fault: None,
            recent_connects: 0,
            limits: Vec::new(),
            refused_filters: BTreeMap::new(),
            refused_streams: BTreeMap::new(),
            refused_topics: BTreeMap::new(),
            refused_elsewhere: 0,
            unanswered: None,
        };
        Self { state, connects: VecDeque::new() }
    }

    pub(super) fn at(&self, now: Mono) -> LinkState {
        let recent = self.connects.iter().filter(|at| now.since(**at) < RECENT);
        LinkState { recent_connects: recent.count(), ..self.state.clone() }
    }

    pub(super) fn connected(&mut self, now: Now, limits: Vec<String>) {
        self.state.connected = true;
        self.state.since = now;
        self.state.limits = limits;
        if self.connects.len() == MAX_RECENT_CONNECTS {
            self.connects.pop_front();
        }
        self.connects.push_back(now.mono);
    }

    pub(super) fn failed(&mut self, now: Now, fault: &Fault) {
        if self.state.connected {
            self.state.connected = false;
            self.state.since = now;
        }
        self.state.unanswered = None;
        let text = fault.to_string();
        self.state.last_fault = Some(LastFault { kind: fault.kind(), text, at: now });
    }

    pub(super) fn filter_refused(&mut self, what: &NotGranted) {
        self.state.refused_filters.insert(what.filter.clone(), what.reason.clone());
        self.state.refused_streams.insert(what.filter.clone(), what.streams.clone());
    }

    /// Forgets the refused filters for which `is_refused` is false.
    pub(super) fn retain_filters(&mut self, is_refused: impl Fn(&str) -> bool) {
        self.state.refused_filters.retain(|filter, _| is_refused(filter));
        self.state.refused_streams.retain(|filter, _| is_refused(filter));
    }

    pub(super) fn refused(&mut self, now: Now, topic: &str, reason: &'static str) {
        let topics = &mut self.state.refused_topics;
        if !topics.contains_key(topic) && topics.len() == MAX_REFUSED_TOPICS {
            self.state.refused_elsewhere += 1;
            return;
        }
        let new = RefusedTopic { reason, count: 0, last: now };
        let entry = topics.entry(topic.to_owned()).or_insert(new);
        *entry = RefusedTopic { reason, count: entry.count + 1, last: now };
    }

    pub(super) fn accepted(&mut self, topic: &str) {
        if !self.state.refused_topics.is_empty() {
            self.state.refused_topics.remove(topic);
        }
    }

    /// True if there were no unanswered publishes before.
    pub(super) fn set_unanswered(&mut self, unanswered: Option<Unanswered>) -> bool {
        let is_new = self.state.unanswered.is_none();
        self.state.unanswered = unanswered;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn at(seconds: u64) -> Now {
        let micros = seconds * 1_000_000;
        Now { wall: Timestamp(i64::try_from(micros).unwrap()), mono: Mono(micros) }
    }

    fn banned() -> Fault {
        Fault::Banned { said: String::new() }
    }

    #[test]
    fn the_state_says_since_when_and_why() {
        let mut tracker = StateTracker::new(at(1));
        tracker.failed(at(2), &banned());
        let state = tracker.at(at(3).mono);
        assert_eq!((state.connected, state.since), (false, at(1)), "it never was connected");
        let fault = state.last_fault.unwrap();
        assert_eq!((fault.kind, fault.at), (FaultKind::Refused, at(2)));
        assert!(fault.text.contains("banned"), "{}", fault.text);
        tracker.connected(at(4), Vec::new());
        tracker.failed(at(9), &banned());
        tracker.failed(at(10), &banned());
        assert_eq!(tracker.at(at(11).mono).since, at(9), "the end of the connection");
    }

    #[test]
    fn connects_are_counted_over_the_last_minutes() {
        let mut tracker = StateTracker::new(at(0));
        for second in [0, 300, 400] {
            tracker.connected(at(second), Vec::new());
        }
        assert_eq!(tracker.at(at(500).mono).recent_connects, 3);
        assert_eq!(tracker.at(at(950).mono).recent_connects, 1);
    }

    #[test]
    fn refused_topics_are_bounded_and_forgotten_once_accepted() {
        let mut tracker = StateTracker::new(at(0));
        for number in 0..MAX_REFUSED_TOPICS + 2 {
            tracker.refused(at(1), &format!("t/{number}"), "not-authorized");
        }
        tracker.refused(at(2), "t/0", "not-authorized");
        let state = tracker.at(at(3).mono);
        assert_eq!((state.refused_topics.len(), state.refused_elsewhere), (MAX_REFUSED_TOPICS, 2));
        assert_eq!(
            (state.refused_topics["t/0"].count, state.refused_topics["t/0"].last),
            (2, at(2))
        );
        tracker.accepted("t/0");
        assert!(!tracker.at(at(3).mono).refused_topics.contains_key("t/0"));
    }
}
