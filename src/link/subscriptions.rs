//! What we subscribe to, and what the broker said to it. Pure: time comes in as `now`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::copies::{Copies, For};
use super::filter::{contains, overlap};
use super::plan::{Planned, plan, possible};
use super::{NotGranted, Received, Subscription};
use crate::backoff;
use crate::message::Qos;

/// Filters in one SUBSCRIBE: AWS IoT Core takes no more.
const BATCH: usize = 8;

/// What the broker answered to one filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted(Qos),
    Refused(String),
    /// Refused because of its subscription identifier.
    NoIds,
}

/// A filter the broker did not grant as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) what: NotGranted,
    /// `None` where the filter is subscribed, but with less than was asked for.
    pub(crate) retry_in: Option<Duration>,
}

/// The filters wanted and how each stands with the broker.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    wanted: Vec<Subscription>,
    /// What is subscribed to for them.
    planned: Vec<(Planned, State)>,
    /// Filters that a former set held, or an earlier process.
    unwanted: BTreeSet<String>,
    /// Whether the broker has subscription identifiers.
    ids: bool,
    /// It has refused a subscription because of one, whatever it announces.
    ids_refused: bool,
    /// Filters that the broker does not grant.
    refused: BTreeSet<String>,
    copies: Copies,
    /// The broker kept the session: it may have subscriptions that it has not granted again.
    resumed: bool,
    /// Asked for without a packet id yet; then with one.
    asked: VecDeque<Vec<String>>,
    asked_as: HashMap<u16, Vec<String>>,
    retry: (Duration, Duration),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Due {
        attempt: u32,
    },
    Asked {
        attempt: u32,
    },
    Granted,
    Later {
        attempt: u32,
        at: Instant,
    },
    /// The broker has said that it cannot do it.
    Withheld,
}

impl Subscriptions {
    /// Refused filters are asked for again after an exponential wait between these two. `former`:
    /// filters that the broker's session may have from earlier processes.
    pub(crate) fn new(
        wanted: Vec<Subscription>,
        former: Vec<String>,
        retry: (Duration, Duration),
    ) -> Self {
        let mut new = Self {
            wanted,
            planned: Vec::new(),
            unwanted: former.into_iter().collect(),
            ids: true,
            ids_refused: false,
            refused: BTreeSet::new(),
            copies: Copies::default(),
            resumed: false,
            asked: VecDeque::new(),
            asked_as: HashMap::new(),
            retry,
        };
        // An earlier process may have subscribed to each filter by itself.
        new.unwanted.extend(possible(&new.wanted));
        new.plan_again();
        new
    }

    /// A new set. What both hold stays as it is.
    pub(crate) fn replace(&mut self, wanted: Vec<Subscription>) {
        self.wanted = wanted;
        self.plan_again();
    }

    fn plan_again(&mut self) {
        let old = std::mem::take(&mut self.planned);
        let new = plan(&self.wanted, self.ids, &self.refused);
        self.planned = new.into_iter().map(|new| (new, State::Due { attempt: 0 })).collect();
        for (have, state) in old {
            let filter = &have.subscription.filter;
            match self.planned.iter_mut().find(|(new, _)| new.subscription.filter == *filter) {
                Some((new, now)) if is_same(new, &have) => *now = state,
                // Asked again with the same count of refusals, and not at once.
                Some((_, now)) if matches!(state, State::Later { .. }) => *now = state,
                Some(_) => {}
                None => {
                    self.unwanted.insert(have.subscription.filter);
                }
            }
        }
        for (planned, _) in &self.planned {
            self.unwanted.remove(&planned.subscription.filter);
        }
    }

    /// A connection is up, `ids`: to a broker that has subscription identifiers. Without the session
    /// the broker knows none of the filters. What an earlier process left in the session is not
    /// known here, so the first connection asks for all.
    pub(crate) fn connected(&mut self, session_present: bool, ids: bool) {
        self.asked.clear();
        self.asked_as.clear();
        for (_, state) in &mut self.planned {
            if !(session_present && matches!(state, State::Granted)) {
                *state = State::Due { attempt: 0 };
            }
        }
        self.resumed = session_present;
        self.refused.clear();
        self.ids = ids && !self.ids_refused;
        self.plan_again();
        if !session_present {
            self.unwanted.clear();
            self.copies = Copies::default();
        }
    }

    /// The filters to subscribe to now, in one packet; nothing where all is asked or granted. One
    /// with an identifier has a packet to itself, because the identifier is the packet's.
    pub(crate) fn next_due(&mut self, now: Instant) -> Vec<Planned> {
        let mut batch: Vec<Planned> = Vec::new();
        for (planned, state) in &mut self.planned {
            let attempt = match *state {
                State::Due { attempt } => attempt,
                State::Later { attempt, at } if at <= now => attempt,
                State::Later { .. } | State::Asked { .. } | State::Granted | State::Withheld => {
                    continue;
                }
            };
            let alone = planned.id.is_some() && !batch.is_empty();
            if alone || batch.len() == BATCH || batch.iter().any(|first| first.id.is_some()) {
                continue;
            }
            *state = State::Asked { attempt };
            batch.push(planned.clone());
        }
        if !batch.is_empty() {
            let filters = batch.iter().map(|asked| asked.subscription.filter.clone());
            self.asked.push_back(filters.collect());
        }
        batch
    }

    /// Packets that asking for, or leaving, every filter takes.
    pub(crate) fn packets(&self) -> usize {
        2 * (self.wanted.len() + self.planned.len() + self.unwanted.len())
    }

    /// True where the broker has granted every filter that messages are waited for on.
    pub(crate) fn is_complete(&self) -> bool {
        let is_there = |(planned, state): &(Planned, State)| {
            planned.subscription.pull || matches!(state, State::Granted)
        };
        self.planned.iter().all(is_there)
    }

    /// True while the broker owes an answer to a SUBSCRIBE.
    pub(crate) fn is_asking(&self) -> bool {
        self.planned.iter().any(|(_, state)| matches!(state, State::Asked { .. }))
    }

    /// Does not ask for filters of which `is_impossible` holds on this connection; returns them with the
    /// streams that get nothing because of it.
    pub(crate) fn withhold(
        &mut self,
        is_impossible: impl Fn(&str) -> bool,
    ) -> Vec<(String, Vec<usize>)> {
        let is_asked =
            |(asked, _): &&mut (Planned, State)| is_impossible(&asked.subscription.filter);
        let withhold = |(asked, state): &mut (Planned, State)| {
            *state = State::Withheld;
            (asked.subscription.filter.clone(), asked.subscription.streams.clone())
        };
        self.planned.iter_mut().filter(is_asked).map(withhold).collect()
    }

    /// True where the broker's last answer for this filter was a refusal.
    pub(crate) fn is_refused(&self, filter: &str) -> bool {
        let state = self.planned.iter().find(|(asked, _)| asked.subscription.filter == filter);
        let attempts = state.map_or(0, |(_, state)| match *state {
            State::Granted => 0,
            State::Withheld => 1,
            State::Due { attempt } | State::Asked { attempt } | State::Later { attempt, .. } => {
                attempt
            }
        });
        attempts > 0
    }

    /// The filters that the broker has granted.
    pub(crate) fn granted(&self) -> Vec<String> {
        let is_granted = |(_, state): &&(Planned, State)| matches!(state, State::Granted);
        let granted = self.planned.iter().filter(is_granted);
        granted.map(|(planned, _)| planned.subscription.filter.clone()).collect()
    }

    /// The filters that the broker has not answered, with their streams.
    pub(crate) fn open(&self) -> Vec<(String, Vec<usize>)> {
        let is_open = |(_, state): &&(Planned, State)| {
            matches!(state, State::Due { .. } | State::Asked { .. })
        };
        let open = self.planned.iter().filter(is_open).map(|(planned, _)| &planned.subscription);
        open.map(|it| (it.filter.clone(), it.streams.clone())).collect()
    }

    /// A filter to unsubscribe from. Its messages may be wanted by another subscription, so that one
    /// has to be there first.
    pub(crate) fn next_unwanted(&mut self) -> Option<String> {
        let is_open = |filter: &&String| {
            self.planned.iter().any(|(planned, state)| {
                matches!(state, State::Due { .. } | State::Asked { .. })
                    && overlap(filter, &planned.subscription.filter)
            })
        };
        let filter = self.unwanted.iter().find(|filter| !is_open(filter)).cloned()?;
        self.unwanted.take(&filter)
    }

    /// When a refused filter is due again.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.planned
            .iter()
            .filter_map(|(_, state)| match state {
                State::Later { at, .. } => Some(*at),
                State::Due { .. } | State::Asked { .. } | State::Granted | State::Withheld => None,
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
        let (had_ids, refused) = (self.ids, self.refused.clone());
        let pairs = filters.iter().zip(answers);
        let trouble =
            pairs.filter_map(|(filter, answer)| self.settle(filter, answer, now, random)).collect();
        if self.ids != had_ids || self.refused != refused {
            self.plan_again();
        }
        trouble
    }

    fn settle(
        &mut self,
        filter: &str,
        answer: &Answer,
        now: Instant,
        random: u64,
    ) -> Option<Trouble> {
        let is_it = |(have, _): &&mut (Planned, State)| have.subscription.filter == filter;
        let (asked, state) = self.planned.iter_mut().find(is_it)?;
        let asked = &asked.subscription;
        let trouble = |reason: String, retry_in| {
            let (filter, streams) = (filter.to_owned(), asked.streams.clone());
            Some(Trouble { what: NotGranted { filter, streams, reason }, retry_in })
        };
        match answer {
            Answer::NoIds => {
                *state = State::Due { attempt: 0 };
                (self.ids, self.ids_refused) = (false, true);
                None
            }
            Answer::Granted(qos) => {
                *state = State::Granted;
                self.refused.remove(filter);
                if asked.qos == Qos::AtLeastOnce && *qos == Qos::AtMostOnce {
                    return trouble("granted with QoS 0 only: samples may be lost".into(), None);
                }
                None
            }
            Answer::Refused(reason) => {
                let State::Asked { attempt } = *state else { return None };
                let wait = backoff::delay(attempt, self.retry.0, self.retry.1, random);
                *state = State::Later { attempt: attempt.saturating_add(1), at: now + wait };
                if !asked.pull {
                    self.refused.insert(filter.to_owned());
                }
                let is_ours = !self.wanted.iter().any(|wanted| wanted.filter == filter);
                let why = if is_ours {
                    "; it is subscribed to because the streams' topics overlap and the broker has \
                     no subscription identifiers: give them topics that do not overlap"
                } else {
                    ""
                };
                trouble(format!("{reason}{why}"), Some(wait))
            }
        }
    }

    /// Takes out of the streams that a message's topic is for those that have it, or will have it,
    /// from another copy. True where it was only a copy.
    pub(crate) fn leave_one_copy(
        &mut self,
        message: Received<'_>,
        named: &[usize],
        streams: &mut Vec<usize>,
    ) -> bool {
        if named.is_empty() || streams.is_empty() {
            return false;
        }
        let matches = |(planned, state): &&(Planned, State)| {
            let is_there = match state {
                State::Granted => true,
                State::Due { .. } | State::Asked { .. } => self.resumed,
                State::Later { .. } | State::Withheld => false,
            };
            is_there && contains(&planned.subscription.filter, message.topic)
        };
        let matching: Vec<usize> =
            self.planned.iter().filter(matches).filter_map(|(planned, _)| planned.id).collect();
        // Of a retained message every new subscription gets one, whatever the broker does else.
        let whose = match (message.retained, matching.iter().any(|id| named.contains(id))) {
            (true, true) => For::Named,
            (true, false) => For::All,
            (false, _) => self.copies.take(named, &matching, message.topic, message.payload),
        };
        let is_named = |stream: &usize| {
            self.planned.iter().any(|(planned, _)| {
                planned.id.is_some_and(|id| named.contains(&id))
                    && planned.subscription.streams.contains(stream)
            })
        };
        match whose {
            For::All => {}
            For::Named => streams.retain(is_named),
            For::None => streams.clear(),
        }
        streams.is_empty()
    }
}

/// Whether a filter need not be asked for again because of a change.
fn is_same(new: &Planned, old: &Planned) -> bool {
    let (a, b) = (&new.subscription, &old.subscription);
    new.id == old.id && (a.qos, a.pull, a.retained) == (b.qos, b.pull, b.retained)
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
