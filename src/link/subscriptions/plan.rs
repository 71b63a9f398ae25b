//! Plans the subscriptions for the wanted filters, so that each message is delivered to each stream
//! once. Pure.
//!
//! If several subscriptions of one client match a message, most brokers send a copy for each, some
//! one copy in all. Both are allowed (MQTT 5, 3.3.4). So as far as possible no two subscriptions match
//! the same topic:
//!
//! - A filter that another wanted filter contains is not subscribed to: `t/press-7` is delivered with
//!   `t/+`.
//! - Filters that overlap otherwise, such as `a/+` and `+/b`, are subscribed to with subscription
//!   identifiers, and [`super::duplicates`] recognises copies. For a broker without identifiers the
//!   smallest filter that contains both is subscribed to.
//!
//! A shared subscription has the highest quality of service of its filters.

use std::collections::BTreeSet;

use super::filter::{contains, join, overlap};
use crate::link::types::Subscription;
use crate::message::Qos;

/// A filter to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedSubscription {
    /// With the quality of service, the retained messages and the streams of all filters that it
    /// covers.
    pub(crate) subscription: Subscription,
    /// Its identifier, if another subscription of the plan overlaps with it.
    pub(crate) id: Option<usize>,
}

/// The subscriptions to make. `ids`: whether the broker has subscription identifiers. `refused`:
/// filters that it does not grant; they are requested again, and cover no other until then.
pub(crate) fn plan(
    wanted: &[Subscription],
    ids: bool,
    refused: &BTreeSet<String>,
) -> Vec<PlannedSubscription> {
    let (alone, shared): (Vec<_>, Vec<_>) =
        merge_equal(wanted).into_iter().partition(|it| it.pull || refused.contains(&it.filter));
    let mut covers: Vec<Subscription> = Vec::new();
    shared.iter().for_each(|it| add(&mut covers, it.clone()));
    // The messages of a refused filter are delivered if another filter contains it.
    let mut by_itself = Vec::new();
    for it in alone {
        match covers.iter_mut().find(|wide| !it.pull && contains(&wide.filter, &it.filter)) {
            Some(wide) => merge(wide, &it),
            None => by_itself.push(it),
        }
    }
    if ids {
        raise_qos(&mut covers);
    } else {
        covers = join_overlapping(covers);
    }
    let mut planned: Vec<PlannedSubscription> = Vec::new();
    for it in &covers {
        let overlaps =
            |other: &Subscription| other.filter != it.filter && overlap(&it.filter, &other.filter);
        let id = covers.iter().any(overlaps).then(|| identifier(&it.filter, &planned));
        planned.push(PlannedSubscription { subscription: it.clone(), id });
    }
    planned.extend(
        by_itself.into_iter().map(|subscription| PlannedSubscription { subscription, id: None }),
    );
    planned
}

/// All filters that a plan for these may subscribe to, whatever the broker supports and refuses.
pub(crate) fn possible_filters(wanted: &[Subscription]) -> BTreeSet<String> {
    let without_ids = plan(wanted, false, &BTreeSet::new());
    let planned = without_ids.into_iter().map(|planned| planned.subscription);
    wanted.iter().cloned().chain(planned).filter(|it| !it.pull).map(|it| it.filter).collect()
}

fn merge_equal(wanted: &[Subscription]) -> Vec<Subscription> {
    let mut merged: Vec<Subscription> = Vec::new();
    for new in wanted {
        match merged.iter_mut().find(|have| have.filter == new.filter && have.pull == new.pull) {
            Some(have) => merge(have, new),
            None => merged.push(new.clone()),
        }
    }
    merged
}

/// Delivers a filter's messages by another subscription.
fn merge(cover: &mut Subscription, carried: &Subscription) {
    cover.qos = cover.qos.max(carried.qos);
    cover.retained |= carried.retained;
    cover.streams.extend(&carried.streams);
    cover.streams.sort_unstable();
    cover.streams.dedup();
}

/// Adds a filter to a set in which none contains another.
fn add(covers: &mut Vec<Subscription>, mut new: Subscription) {
    if let Some(wider) = covers.iter_mut().find(|it| contains(&it.filter, &new.filter)) {
        return merge(wider, &new);
    }
    covers.retain(|it| {
        let narrower = contains(&new.filter, &it.filter);
        if narrower {
            merge(&mut new, it);
        }
        !narrower
    });
    covers.push(new);
}

/// A message may be accepted from the copy of any filter that it matches, so all filters that overlap
/// get the highest quality of service among them.
fn raise_qos(covers: &mut [Subscription]) {
    let mut best: Vec<String> =
        covers.iter().filter(|it| it.qos == Qos::AtLeastOnce).map(|it| it.filter.clone()).collect();
    while let Some(filter) = best.pop() {
        for it in covers.iter_mut().filter(|it| it.qos == Qos::AtMostOnce) {
            if overlap(&it.filter, &filter) {
                it.qos = Qos::AtLeastOnce;
                best.push(it.filter.clone());
            }
        }
    }
}

/// Replaces filters that overlap by one that contains them, until none overlap.
fn join_overlapping(covers: Vec<Subscription>) -> Vec<Subscription> {
    let mut disjoint: Vec<Subscription> = Vec::new();
    for mut new in covers {
        while let Some(at) = disjoint.iter().position(|it| overlap(&it.filter, &new.filter)) {
            let other = disjoint.remove(at);
            merge(&mut new, &other);
            new.filter = join(&new.filter, &other.filter);
        }
        disjoint.push(new);
    }
    disjoint
}

/// The identifier of a filter. It is the same in each process, because messages wait in the session
/// with it. It has four bytes on the wire: rumqttc 0.25 counts one byte too many for an identifier of
/// a PUBLISH, and takes a third one of one byte for payload.
fn identifier(filter: &str, taken: &[PlannedSubscription]) -> usize {
    let hash = usize::try_from(crc32fast::hash(filter.as_bytes())).unwrap_or(0);
    let ids = (0..).map(|step| MIN_ID | (hash.wrapping_add(step) & (MIN_ID - 1)));
    let is_free = |id: &usize| taken.iter().all(|planned| planned.id != Some(*id));
    ids.into_iter().find(is_free).unwrap_or(MIN_ID)
}

/// The lowest identifier. They reach to twice this, the upper half of those that MQTT allows.
const MIN_ID: usize = 1 << 27;

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
    fn shape(planned: &[PlannedSubscription]) -> Vec<(&str, &[usize], bool)> {
        let shape = |it: &'_ PlannedSubscription| it.id.is_some();
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
        let cover = &planned[0].subscription;
        assert_eq!((cover.qos, cover.retained), (Qos::AtLeastOnce, true));
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
        assert_eq!(planned[1], PlannedSubscription { subscription: pulled, id: None });
        assert_eq!(possible_filters(&[one(0, "a/+"), one(1, "+/b")]).len(), 3);
    }
}
