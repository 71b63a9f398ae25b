//! What the streams listen to, and where the filters are kept that the broker's session may have:
//! among the small state of the store.

use std::collections::BTreeSet;

use crate::config::{Config, RetainedInput, Stream};
use crate::daemon::updates;
use crate::link::{Link, NotGranted, Subscription};
use crate::store::Store;

const KEY: &str = "filters";

/// Subscriptions of one connection that brokers of the cloud take: AWS IoT Core has this bound.
const CUSTOMARY: usize = 50;

/// One for each stream; their filters may overlap.
pub(crate) fn of_streams(config: &Config) -> Vec<Subscription> {
    let of_stream = |(index, stream): (usize, &Stream)| Subscription {
        retained: stream.retained != RetainedInput::Ignore,
        ..Subscription::of_stream(index, stream.topic.filter(), stream.qos)
    };
    config.streams.iter().enumerate().map(of_stream).collect()
}

/// Gives the filters that earlier processes kept, and keeps those of this one beside them before
/// the first is subscribed to.
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

/// All subscriptions are there, and those of earlier processes are gone.
pub(crate) fn settle(wanted: &[Subscription], store: Option<&mut Store>) {
    let Some(store) = store else { return };
    let all = Link::filters(wanted);
    if store.get(KEY).ok().flatten().is_none_or(|kept| lines(&kept) != all) {
        write(store, &all);
    }
}

fn write(store: &mut Store, filters: &[String]) {
    if let Err(error) = store.put(KEY, filters.join("\n").as_bytes()) {
        log::warn!("cannot save {KEY}: {error}; subscriptions of a former configuration may stay");
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

/// All that a daemon with this configuration subscribes to: the topics of the streams, and those of
/// updates as they are before the first one.
#[must_use]
pub fn subscriptions(config: &Config) -> Vec<Subscription> {
    let updates = updates::mailbox::all_topics(config).into_iter().map(Subscription::pulled);
    of_streams(config).into_iter().chain(updates).collect()
}

/// What is to be said of a refused filter.
#[must_use]
pub fn not_granted(what: &NotGranted, config: &Config) -> String {
    let name = |stream: &usize| config.streams.get(*stream).map(|it| it.name.as_str());
    let names: Vec<&str> = what.streams.iter().filter_map(name).collect();
    let without = match names[..] {
        [] => "updates do not come".into(),
        [stream] => format!("stream {stream} gets nothing"),
        _ => format!("streams {} get nothing by it", names.join(", ")),
    };
    let NotGranted { filter, reason, .. } = what;
    format!(
        "the broker refuses the subscription {filter}: {reason}; {without}. Allow it in the \
         broker's access list"
    )
}

/// The warning for more subscriptions than many brokers take on one connection.
#[must_use]
pub fn too_many_subscriptions(config: &Config) -> Option<String> {
    let streams = Link::filters(&of_streams(config)).len();
    let models: BTreeSet<_> = config.streams.iter().map(|s| &s.model).collect();
    // Deployments for each group and for the gateway, one keyset, and four chunks at a time.
    let of_a_model = config.gateway.groups.len() + 6;
    let updates = config.updates.keyset.as_ref().map_or(0, |_| models.len() * of_a_model);
    let all = streams + updates;
    (all > CUSTOMARY).then(|| {
        format!(
            "{all} subscriptions on one connection ({streams} of streams, up to {updates} of \
             updates): some brokers take no more than {CUSTOMARY} (AWS IoT Core). Give streams with \
             the same model one topic with a capture, or ask for a higher limit"
        )
    })
}
