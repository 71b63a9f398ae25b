//! The subscriptions and the broker's replies to them. Pure: time is passed in as `now`.

mod duplicates;
mod filter;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use self::duplicates::{DuplicateFilter, Recipients};
pub(super) use self::filter::SHARED;
use self::filter::{contains, overlap, unsupported};
pub(super) use self::plan::possible_filters;
use self::plan::{PlannedSubscription, plan};
use super::capabilities::Features;
use super::fault::reason_codes;
use super::protocol::SubscribeReply;
use super::types::{NotGranted, ReceivedMessage, Subscription};
use crate::backoff;
use crate::message::{Delivery, Qos};

/// The limit of AWS IoT Core.
const MAX_FILTERS_PER_SUBSCRIBE: usize = 8;

/// A filter that the broker did not grant as requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) filter: NotGranted,
    /// `None` if the filter was granted with a lower quality of service.
    pub(crate) retry_in: Option<Duration>,
}

/// The wanted filters and the state of each at the broker.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    wanted: Vec<Subscription>,
    /// The subscriptions that are made for them.
    planned: Vec<(PlannedSubscription, FilterState)>,
    /// Filters of an earlier set or an earlier process.
    unwanted: BTreeSet<String>,
    /// Whether the broker has subscription identifiers.
    ids: bool,
    /// The broker refused a subscription because of its identifier, whatever it announces.
    ids_refused: bool,
    /// Filters that the broker does not grant.
    refused: BTreeSet<String>,
    duplicates: DuplicateFilter,
    /// The broker kept the session: it may have subscriptions that it has not granted again.
    resumed: bool,
    /// The filters of each SUBSCRIBE that has no packet id yet, and of those that have one.
    requested: VecDeque<Vec<String>>,
    in_flight: HashMap<u16, Vec<String>>,
    retry: (Duration, Duration),
}

#[derive(Clone, Copy, Debug)]
enum FilterState {
    Due {
        attempt: u32,
    },
    Requested {
        attempt: u32,
    },
    Granted,
    Later {
        attempt: u32,
        at: Instant,
    },
    /// The broker announced that it cannot grant it.
    Withheld,
}

impl Subscriptions {
    /// Refused filters are requested again after an exponential backoff between these two.
    /// `previous`: filters that the broker's session may have from earlier processes.
    pub(crate) fn new(
        wanted: Vec<Subscription>,
        previous: Vec<String>,
        retry: (Duration, Duration),
    ) -> Self {
        let mut new = Self {
            wanted,
            planned: Vec::new(),
            unwanted: previous.into_iter().collect(),
            ids: true,
            ids_refused: false,
            refused: BTreeSet::new(),
            duplicates: DuplicateFilter::default(),
            resumed: false,
            requested: VecDeque::new(),
            in_flight: HashMap::new(),
            retry,
        };
        // An earlier process may have subscribed to each filter separately.
        new.unwanted.extend(possible_filters(&new.wanted));
        new.replan();
        new
    }

    /// Replaces the wanted set. What is in both sets is not requested again.
    pub(crate) fn replace(&mut self, wanted: Vec<Subscription>) {
        self.wanted = wanted;
        self.replan();
    }

    fn replan(&mut self) {
        let old = std::mem::take(&mut self.planned);
        let new = plan(&self.wanted, self.ids, &self.refused);
        self.planned = new.into_iter().map(|new| (new, FilterState::Due { attempt: 0 })).collect();
        for (have, state) in old {
            let filter = &have.subscription.filter;
            match self.planned.iter_mut().find(|(new, _)| new.subscription.filter == *filter) {
                Some((new, now)) if is_same(new, &have) => *now = state,
                // Requested again with the same backoff, and not at once.
                Some((_, now)) if matches!(state, FilterState::Later { .. }) => *now = state,
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

    /// A connection is up. `ids`: the broker has subscription identifiers. Without the session the
    /// broker has none of the filters. What an earlier process left in the session is not known, so
    /// the first connection requests all.
    pub(crate) fn connected(&mut self, session_present: bool, ids: bool) {
        self.requested.clear();
        self.in_flight.clear();
        for (_, state) in &mut self.planned {
            if !(session_present && matches!(state, FilterState::Granted)) {
                *state = FilterState::Due { attempt: 0 };
            }
        }
        self.resumed = session_present;
        self.refused.clear();
        self.ids = ids && !self.ids_refused;
        self.replan();
        if !session_present {
            self.unwanted.clear();
            self.duplicates = DuplicateFilter::default();
        }
    }

    /// The filters of the next SUBSCRIBE; empty if all are requested or granted. A filter with an
    /// identifier has a packet to itself, because the identifier belongs to the packet.
    pub(crate) fn next_due(&mut self, now: Instant) -> Vec<PlannedSubscription> {
        let mut batch: Vec<PlannedSubscription> = Vec::new();
        for (planned, state) in &mut self.planned {
            let attempt = match *state {
                FilterState::Due { attempt } => attempt,
                FilterState::Later { attempt, at } if at <= now => attempt,
                FilterState::Later { .. }
                | FilterState::Requested { .. }
                | FilterState::Granted
                | FilterState::Withheld => {
                    continue;
                }
            };
            let alone = planned.id.is_some() && !batch.is_empty();
            if alone
                || batch.len() == MAX_FILTERS_PER_SUBSCRIBE
                || batch.iter().any(|first| first.id.is_some())
            {
                continue;
            }
            *state = FilterState::Requested { attempt };
            batch.push(planned.clone());
        }
        if !batch.is_empty() {
            let filters = batch.iter().map(|requested| requested.subscription.filter.clone());
            self.requested.push_back(filters.collect());
        }
        batch
    }

    /// The packets that it takes to request, or to unsubscribe from, every filter.
    pub(crate) fn packets(&self) -> usize {
        2 * (self.wanted.len() + self.planned.len() + self.unwanted.len())
    }

    /// True if the broker has granted every filter that is not pulled.
    pub(crate) fn is_complete(&self) -> bool {
        let is_there = |(planned, state): &(PlannedSubscription, FilterState)| {
            planned.subscription.pull || matches!(state, FilterState::Granted)
        };
        self.planned.iter().all(is_there)
    }

    /// True while a SUBSCRIBE has no reply.
    pub(crate) fn awaits_reply(&self) -> bool {
        self.planned.iter().any(|(_, state)| matches!(state, FilterState::Requested { .. }))
    }

    /// Does not request on this connection what the broker does not support. Returns the filters
    /// and the streams that receive nothing because of it.
    pub(crate) fn withhold(&mut self, features: Features) -> Vec<NotGranted> {
        let withhold = |(planned, state): &mut (PlannedSubscription, FilterState)| {
            let filter = &planned.subscription.filter;
            let code = unsupported(filter, features)?;
            *state = FilterState::Withheld;
            let (filter, streams) = (filter.clone(), planned.subscription.streams.clone());
            Some(NotGranted { filter, streams, reason: reason_codes::name(code) })
        };
        self.planned.iter_mut().filter_map(withhold).collect()
    }

    /// True if the broker's last reply for this filter was a refusal.
    pub(crate) fn is_refused(&self, filter: &str) -> bool {
        let state =
            self.planned.iter().find(|(requested, _)| requested.subscription.filter == filter);
        let attempts = state.map_or(0, |(_, state)| match *state {
            FilterState::Granted => 0,
            FilterState::Withheld => 1,
            FilterState::Due { attempt }
            | FilterState::Requested { attempt }
            | FilterState::Later { attempt, .. } => attempt,
        });
        attempts > 0
    }

    /// The filters that the broker has granted.
    pub(crate) fn granted(&self) -> Vec<String> {
        let is_granted = |(_, state): &&(PlannedSubscription, FilterState)| {
            matches!(state, FilterState::Granted)
        };
        let granted = self.planned.iter().filter(is_granted);
        granted.map(|(planned, _)| planned.subscription.filter.clone()).collect()
    }

    /// The filters without a reply, with their streams.
    pub(crate) fn unanswered(&self) -> Vec<(String, Vec<usize>)> {
        let is_open = |(_, state): &&(PlannedSubscription, FilterState)| {
            matches!(state, FilterState::Due { .. } | FilterState::Requested { .. })
        };
        let unanswered =
            self.planned.iter().filter(is_open).map(|(planned, _)| &planned.subscription);
        unanswered.map(|it| (it.filter.clone(), it.streams.clone())).collect()
    }

    /// A filter to unsubscribe from. Other subscriptions that match its messages are made first.
    pub(crate) fn next_unwanted(&mut self) -> Option<String> {
        let is_open = |filter: &&String| {
            self.planned.iter().any(|(planned, state)| {
                matches!(state, FilterState::Due { .. } | FilterState::Requested { .. })
                    && overlap(filter, &planned.subscription.filter)
            })
        };
        let filter = self.unwanted.iter().find(|filter| !is_open(filter)).cloned()?;
        self.unwanted.take(&filter)
    }

    /// When the next refused filter is due.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.planned
            .iter()
            .filter_map(|(_, state)| match state {
                FilterState::Later { at, .. } => Some(*at),
                FilterState::Due { .. }
                | FilterState::Requested { .. }
                | FilterState::Granted
                | FilterState::Withheld => None,
            })
            .min()
    }

    /// The client wrote its next SUBSCRIBE under this packet id.
    pub(crate) fn written(&mut self, pkid: u16) {
        if let Some(filters) = self.requested.pop_front() {
            self.in_flight.insert(pkid, filters);
        }
    }

    /// The broker replied to a SUBSCRIBE. A filter without a reply counts as refused.
    pub(crate) fn on_replies(
        &mut self,
        pkid: u16,
        replies: &[SubscribeReply],
        now: Instant,
        random: u64,
    ) -> Vec<Problem> {
        let filters = self.in_flight.remove(&pkid).unwrap_or_default();
        let silence =
            SubscribeReply::Refused("no reply to this filter in the broker's SUBACK".into());
        let replies = replies.iter().chain(std::iter::repeat(&silence));
        let (had_ids, refused) = (self.ids, self.refused.clone());
        let pairs = filters.iter().zip(replies);
        let problem =
            pairs.filter_map(|(filter, reply)| self.settle(filter, reply, now, random)).collect();
        if self.ids != had_ids || self.refused != refused {
            self.replan();
        }
        problem
    }

    fn settle(
        &mut self,
        filter: &str,
        reply: &SubscribeReply,
        now: Instant,
        random: u64,
    ) -> Option<Problem> {
        let is_it = |(have, _): &&mut (PlannedSubscription, FilterState)| {
            have.subscription.filter == filter
        };
        let (requested, state) = self.planned.iter_mut().find(is_it)?;
        let requested = &requested.subscription;
        let problem = |reason: String, retry_in| {
            let (filter, streams) = (filter.to_owned(), requested.streams.clone());
            Some(Problem { filter: NotGranted { filter, streams, reason }, retry_in })
        };
        match reply {
            SubscribeReply::IdRefused => {
                *state = FilterState::Due { attempt: 0 };
                (self.ids, self.ids_refused) = (false, true);
                None
            }
            SubscribeReply::Granted(qos) => {
                *state = FilterState::Granted;
                self.refused.remove(filter);
                if requested.qos == Qos::AtLeastOnce && *qos == Qos::AtMostOnce {
                    return problem("granted with QoS 0 only: samples may be lost".into(), None);
                }
                None
            }
            SubscribeReply::Refused(reason) => {
                let FilterState::Requested { attempt } = *state else { return None };
                let wait = backoff::delay(attempt, self.retry.0, self.retry.1, random);
                *state = FilterState::Later { attempt: attempt.saturating_add(1), at: now + wait };
                if !requested.pull {
                    self.refused.insert(filter.to_owned());
                }
                let is_ours = !self.wanted.iter().any(|wanted| wanted.filter == filter);
                let why = if is_ours {
                    "; it is subscribed to because the streams' topics overlap and the broker has \
                     no subscription identifiers: give them topics that do not overlap"
                } else {
                    ""
                };
                problem(format!("{reason}{why}"), Some(wait))
            }
        }
    }

    /// Removes the streams that receive this message by another copy. True if none is left.
    pub(crate) fn remove_duplicates(
        &mut self,
        message: ReceivedMessage<'_>,
        named: &[usize],
        deliveries: &mut Vec<Delivery>,
    ) -> bool {
        if named.is_empty() || deliveries.is_empty() {
            return false;
        }
        let matches = |(planned, state): &&(PlannedSubscription, FilterState)| {
            let is_there = match state {
                FilterState::Granted => true,
                FilterState::Due { .. } | FilterState::Requested { .. } => self.resumed,
                FilterState::Later { .. } | FilterState::Withheld => false,
            };
            is_there && contains(&planned.subscription.filter, message.topic)
        };
        let matching: Vec<usize> =
            self.planned.iter().filter(matches).filter_map(|(planned, _)| planned.id).collect();
        // Every new subscription gets its own copy of a retained message.
        let whose = match (message.retained, matching.iter().any(|id| named.contains(id))) {
            (true, true) => Recipients::Named,
            (true, false) => Recipients::All,
            (false, _) => {
                self.duplicates.recipients(named, &matching, message.topic, message.payload)
            }
        };
        let is_named = |delivery: &Delivery| {
            self.planned.iter().any(|(planned, _)| {
                planned.id.is_some_and(|id| named.contains(&id))
                    && planned.subscription.streams.contains(&delivery.stream)
            })
        };
        match whose {
            Recipients::All => {}
            Recipients::Named => deliveries.retain(is_named),
            Recipients::None => deliveries.clear(),
        }
        deliveries.is_empty()
    }
}

/// Whether a changed plan leaves a subscription as it is.
fn is_same(new: &PlannedSubscription, old: &PlannedSubscription) -> bool {
    let (a, b) = (&new.subscription, &old.subscription);
    new.id == old.id && (a.qos, a.pull, a.retained) == (b.qos, b.pull, b.retained)
}
