//! The subscriptions of the streams, and the record of the filters that the broker's session may
//! hold.

use std::collections::BTreeSet;

use super::telemetry::topics;
use super::{captures, updates};
use crate::config::{Config, RetainedInput, Stream, TopicPattern};
use crate::link::{Link, NotGranted, Subscription};
use crate::store::Store;

const KEY: &str = "filters";

/// Subscriptions per connection that cloud brokers allow: the limit of AWS IoT Core.
const CUSTOMARY_LIMIT: usize = 50;

/// The index of a stream's labels in the link: the indices behind those of the streams.
pub(crate) fn labels_of(stream: usize, streams: usize) -> usize {
    streams.saturating_add(stream)
}

/// The subscriptions of all topics of the inputs and of the labels of the streams, whose filters may overlap, and of
/// requests for captured inputs.
pub(crate) fn of_streams(config: &Config) -> Vec<Subscription> {
    let of_stream = |(index, stream): (usize, &'_ Stream)| {
        let of_topic = move |topic: &TopicPattern| Subscription {
            retained: stream.retained != RetainedInput::Ignore,
            ..Subscription::of_stream(index, filter(topic, stream.share.as_deref()), stream.qos)
        };
        stream.topics().map(of_topic).collect::<Vec<_>>()
    };
    let count = config.streams.len();
    let of_labels = |(index, stream): (usize, &Stream)| {
        let filter = stream.labels.as_ref()?.topic.filter();
        Some(Subscription::of_stream(labels_of(index, count), filter, stream.qos))
    };
    let streams = || config.streams.iter().enumerate();
    let of_inputs = streams().flat_map(of_stream).chain(streams().filter_map(of_labels));
    of_inputs.chain(captures::subscription(config)).collect()
}

/// The filter of a topic, for a group of gateways if there is one (MQTT 5, 4.8.2).
fn filter(topic: &TopicPattern, share: Option<&str>) -> String {
    let filter = topic.filter();
    match share {
        Some(group) => format!("$share/{group}/{filter}"),
        None => filter,
    }
}

/// Returns the filters that earlier processes recorded, and records those of this process beside
/// them, before the first subscription.
pub(crate) fn announce(config: &Config, store: Option<&mut Store>) -> Vec<String> {
    let Some(store) = store else { return Vec::new() };
    let kept = store.get(KEY).unwrap_or_else(|error| {
        log::warn!("cannot read {KEY}: {error}");
        None
    });
    let former = kept.map(|bytes| lines(&bytes)).unwrap_or_default();
    let mut all = Link::filters(&of_streams(config));
    all.extend(former.iter().cloned());
    all.sort_unstable();
    all.dedup();
    if all != former {
        write(store, &all);
    }
    former
}

/// Records the filters of this process only: all are subscribed to, and those of earlier processes
/// are unsubscribed.
pub(crate) fn settle(wanted: &[Subscription], store: Option<&mut Store>) {
    let Some(store) = store else { return };
    let all = Link::filters(wanted);
    if store.get(KEY).ok().flatten().is_none_or(|kept| lines(&kept) != all) {
        write(store, &all);
    }
}

fn write(store: &mut Store, filters: &[String]) {
    if let Err(error) = store.put(KEY, filters.join("\n").as_bytes()) {
        log::warn!(
            "cannot save {KEY}: {error}; the broker may keep subscriptions of earlier starts"
        );
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

/// Everything that a daemon with this configuration subscribes to: the topics of the streams, and
/// those of updates before the first update.
#[must_use]
pub fn subscriptions(config: &Config) -> Vec<Subscription> {
    let updates = updates::mailbox::all_topics(config).into_iter().map(Subscription::pulled);
    of_streams(config).into_iter().chain(updates).collect()
}

/// The error message for a refused subscription.
#[must_use]
pub fn not_granted(what: &NotGranted, config: &Config) -> String {
    let name = |stream: &usize| config.streams.get(*stream).map(|it| it.name.as_str());
    let names: Vec<&str> = what.streams.iter().filter_map(name).collect();
    let labels = |index: &usize| name(&index.checked_sub(config.streams.len())?);
    let without = match names[..] {
        [] if !what.streams.is_empty() => {
            let names: Vec<&str> = what.streams.iter().filter_map(labels).collect();
            format!("no labels are received for {}", names.join(", "))
        }
        [] if what.filter == topics::capture_requests(&config.gateway) => {
            "inferctl capture pull gets no answer".into()
        }
        [] => "no updates are received".into(),
        [stream] => format!("stream {stream} receives nothing"),
        _ => format!("streams {} receive nothing through it", names.join(", ")),
    };
    let NotGranted { filter, reason, .. } = what;
    format!(
        "the broker refuses the subscription {filter}: {reason}; {without}. Allow it in the \
         broker's access list"
    )
}

/// A warning if there are more subscriptions than many brokers allow per connection.
#[must_use]
pub fn too_many_subscriptions(config: &Config) -> Option<String> {
    let streams = Link::filters(&of_streams(config)).len();
    let models: BTreeSet<_> = config.streams.iter().map(|s| &s.model).collect();
    // Deployments for each group and for the gateway, one keyset, and four chunks at a time.
    let of_a_model = config.gateway.groups.len() + 6;
    let updates = config.updates.keyset.as_ref().map_or(0, |_| models.len() * of_a_model);
    let all = streams + updates;
    (all > CUSTOMARY_LIMIT).then(|| {
        format!(
            "{all} subscriptions on one connection ({streams} of streams, up to {updates} of \
             updates): some brokers allow no more than {CUSTOMARY_LIMIT} (AWS IoT Core). Give \
             streams with the same model one topic with a capture, or ask for a higher limit"
        )
    })
}
