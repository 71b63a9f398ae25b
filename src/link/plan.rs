//! From the filters that are wanted to those that are subscribed to, so that each message comes to
//! each stream once. Pure.
//!
//! Brokers differ in what they do where several subscriptions of one client match a message: most
//! send a copy for each, some one copy in all. Both are allowed (MQTT 5, 3.3.4). So as far as it
//! can be, no two of our subscriptions match the same topic:
//!
//! - A filter whose topics another wanted filter contains is not subscribed to: `t/press-7` comes
//!   with `t/+`.
//! - Two that overlap otherwise, such as `a/+` and `+/b`, are subscribed to with subscription
//!   identifiers, and [`super::copies`] tells the copies from messages. A broker without
//!   identifiers is asked for the smallest filter that contains both.
//!
//! Where subscriptions are shared so, the best quality of service of those counts.

use std::collections::BTreeSet;

use super::Subscription;
use super::filter::{contains, join, overlap};
use crate::message::Qos;

/// A filter to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// With the quality of service, the retained messages and the streams of all that it carries.
    pub(crate) subscription: Subscription,
    /// Its identifier, where another of the plan overlaps with it.
    pub(crate) id: Option<usize>,
}

/// What to subscribe to. `ids`: whether the broker has subscription identifiers. `refused`: filters
/// that it does not grant; they are asked for again, and carry no other until then.
pub(crate) fn plan(wanted: &[Subscription], ids: bool, refused: &BTreeSet<String>) -> Vec<Planned> {
    let (alone, shared): (Vec<_>, Vec<_>) = one_for_each_filter(wanted)
        .into_iter()
        .partition(|it| it.pull || refused.contains(&it.filter));
    let mut carriers: Vec<Subscription> = Vec::new();
    shared.iter().for_each(|it| absorb(&mut carriers, it.clone()));
    // A refused filter's messages come all the same where another contains it.
    let mut by_itself = Vec::new();
    for it in alone {
        match carriers.iter_mut().find(|wide| !it.pull && contains(&wide.filter, &it.filter)) {
            Some(wide) => carry(wide, &it),
            None => by_itself.push(it),
        }
    }
    if ids {
        level_out(&mut carriers);
    } else {
        carriers = joined(carriers);
    }
    let mut planned: Vec<Planned> = Vec::new();
    for it in &carriers {
        let overlaps =
            |other: &Subscription| other.filter != it.filter && overlap(&it.filter, &other.filter);
        let id = carriers.iter().any(overlaps).then(|| identifier(&it.filter, &planned));
        planned.push(Planned { subscription: it.clone(), id });
    }
    planned.extend(by_itself.into_iter().map(|subscription| Planned { subscription, id: None }));
    planned
}

/// All filters that a plan for these may subscribe to, whatever the broker has and refuses.
pub(crate) fn possible(wanted: &[Subscription]) -> BTreeSet<String> {
    let without_ids = plan(wanted, false, &BTreeSet::new());
    let planned = without_ids.into_iter().map(|planned| planned.subscription);
    wanted.iter().cloned().chain(planned).filter(|it| !it.pull).map(|it| it.filter).collect()
}

fn one_for_each_filter(wanted: &[Subscription]) -> Vec<Subscription> {
    let mut merged: Vec<Subscription> = Vec::new();
    for new in wanted {
        match merged.iter_mut().find(|have| have.filter == new.filter && have.pull == new.pull) {
            Some(have) => carry(have, new),
            None => merged.push(new.clone()),
        }
    }
    merged
}

/// Lets a filter's messages come with another's.
fn carry(carrier: &mut Subscription, carried: &Subscription) {
    carrier.qos = carrier.qos.max(carried.qos);
    carrier.retained |= carried.retained;
    carrier.streams.extend(&carried.streams);
    carrier.streams.sort_unstable();
    carrier.streams.dedup();
}

/// Adds a filter to some of which none contains another.
fn absorb(carriers: &mut Vec<Subscription>, mut new: Subscription) {
    if let Some(wider) = carriers.iter_mut().find(|it| contains(&it.filter, &new.filter)) {
        return carry(wider, &new);
    }
    carriers.retain(|it| {
        let narrower = contains(&new.filter, &it.filter);
        if narrower {
            carry(&mut new, it);
        }
        !narrower
    });
    carriers.push(new);
}

/// A message may be taken from the copy of any filter that it matches, so all that overlap have
/// the quality of service of the best.
fn level_out(carriers: &mut [Subscription]) {
    let mut best: Vec<String> = carriers
        .iter()
        .filter(|it| it.qos == Qos::AtLeastOnce)
        .map(|it| it.filter.clone())
        .collect();
    while let Some(filter) = best.pop() {
        for it in carriers.iter_mut().filter(|it| it.qos == Qos::AtMostOnce) {
            if overlap(&it.filter, &filter) {
                it.qos = Qos::AtLeastOnce;
                best.push(it.filter.clone());
            }
        }
    }
}

/// The filters with those that overlap replaced by one that contains them, until none does.
fn joined(carriers: Vec<Subscription>) -> Vec<Subscription> {
    let mut disjoint: Vec<Subscription> = Vec::new();
    for mut new in carriers {
        while let Some(at) = disjoint.iter().position(|it| overlap(&it.filter, &new.filter)) {
            let other = disjoint.remove(at);
            carry(&mut new, &other);
            new.filter = join(&new.filter, &other.filter);
        }
        disjoint.push(new);
    }
    disjoint
}

/// The same for a filter in each process, because messages wait in the session with it. Four bytes
/// long on the wire: rumqttc 0.25 counts an identifier of a PUBLISH as one byte more than it has,
/// and takes a third one of one byte for payload.
fn identifier(filter: &str, taken: &[Planned]) -> usize {
    let hash = usize::try_from(crc32fast::hash(filter.as_bytes())).unwrap_or(0);
    let ids = (0..).map(|step| IDS | (hash.wrapping_add(step) & (IDS - 1)));
    let is_free = |id: &usize| taken.iter().all(|planned| planned.id != Some(*id));
    ids.into_iter().find(is_free).unwrap_or(IDS)
}

/// Identifiers are from here to twice this, the upper half of those that MQTT allows.
const IDS: usize = 1 << 27;

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stream: usize, filter: &str) -> Subscription {
        Subscription::of_stream(stream, filter, Qos::AtLeastOnce)
    }

    fn set(filters: &[&str]) -> Vec<Subscription> {
        filters.iter().enumerate().map(|(stream, filter)| one(stream, filter)).collect()
    }

    /// Filter, streams, and whether it has an identifier.
    fn shape(planned: &[Planned]) -> Vec<(&str, &[usize], bool)> {
        let shape = |it: &'_ Planned| it.id.is_some();
        planned
            .iter()
            .map(|it| (it.subscription.filter.as_str(), &it.subscription.streams[..], shape(it)))
            .collect()
    }

    fn nothing() -> BTreeSet<String> {
        BTreeSet::new()
    }

    #[test]
    fn a_filter_comes_with_one_that_contains_it() {
        for ids in [true, false] {
            for filters in [["t/+", "t/press-7"], ["t/press-7", "t/+"], ["t/+", "t/+"]] {
                let planned = plan(&set(&filters), ids, &nothing());
                assert_eq!(shape(&planned), [("t/+", &[0, 1][..], false)], "{filters:?}");
            }
        }
    }

    #[test]
    fn filters_that_overlap_otherwise_have_identifiers_or_are_joined() {
        let wanted = set(&["a/+", "+/b", "c", "a/b"]);
        let planned = plan(&wanted, true, &nothing());
        let expected = [("a/+", &[0, 3][..], true), ("+/b", &[1], true), ("c", &[2], false)];
        assert_eq!(shape(&planned), expected);
        let ids: Vec<usize> = planned.iter().filter_map(|planned| planned.id).collect();
        assert!(ids[0] != ids[1] && ids.iter().all(|id| (1 << 21..1 << 28).contains(id)));
        let planned = plan(&wanted, false, &nothing());
        assert_eq!(shape(&planned), [("+/+", &[0, 1, 3][..], false), ("c", &[2], false)]);
    }

    #[test]
    fn a_join_that_overlaps_with_a_third_takes_it_in() {
        let planned = plan(&set(&["x/y/+", "a/b/+", "+/b/c", "x/+/+"]), false, &nothing());
        assert_eq!(shape(&planned), [("+/+/+", &[0, 1, 2, 3][..], false)]);
    }

    #[test]
    fn a_refused_filter_carries_no_other() {
        let refused = BTreeSet::from(["t/+".to_owned()]);
        let planned = plan(&set(&["t/+", "t/press-7"]), true, &refused);
        assert_eq!(shape(&planned), [("t/press-7", &[1][..], false), ("t/+", &[0], false)]);
        let refused = BTreeSet::from(["t/press-7".to_owned()]);
        let planned = plan(&set(&["t/+", "t/press-7"]), true, &refused);
        assert_eq!(shape(&planned), [("t/+", &[0, 1][..], false)]);
    }

    #[test]
    fn what_is_shared_has_the_best_quality_and_the_retained_messages() {
        let cheap = |stream, filter| Subscription { qos: Qos::AtMostOnce, ..one(stream, filter) };
        let retained = Subscription { retained: true, ..cheap(1, "t/press-7") };
        let planned = plan(&[cheap(0, "t/+"), retained, one(2, "t/x")], true, &nothing());
        let carrier = &planned[0].subscription;
        assert_eq!((carrier.qos, carrier.retained), (Qos::AtLeastOnce, true));
        let wanted = [cheap(0, "a/+/+"), cheap(1, "+/b/+"), one(2, "+/+/c"), cheap(3, "z")];
        let planned = plan(&wanted, true, &nothing());
        let qualities: Vec<Qos> = planned.iter().map(|it| it.subscription.qos).collect();
        use Qos::{AtLeastOnce, AtMostOnce};
        assert_eq!(qualities, [AtLeastOnce, AtLeastOnce, AtLeastOnce, AtMostOnce]);
    }

    #[test]
    fn what_is_pulled_is_asked_for_by_itself() {
        let pulled = Subscription::pulled("p/deploy/x");
        let planned = plan(&[one(0, "p/+/+"), pulled.clone()], true, &nothing());
        assert_eq!(planned[1], Planned { subscription: pulled, id: None });
        assert_eq!(possible(&[one(0, "a/+"), one(1, "+/b")]).len(), 3);
    }
}
