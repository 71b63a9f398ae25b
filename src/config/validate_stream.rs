//! `[[stream]]`: each alone, and all of them together.

use super::monitoring;
use super::section::Section;
use super::validate_join::{Inputs, inputs};
use super::{
    Broker, Encoding, Gateway, Guarantee, Level, Payload, Publish, RetainedInput, Stream,
    TopicPattern, TopicTemplate, When, WindowSafety,
};
use crate::ids::{ModelName, StreamName};
use crate::message::Qos;

const GUARANTEES: &[(&str, Guarantee)] =
    &[("at-least-once", Guarantee::AtLeastOnce), ("best-effort", Guarantee::BestEffort)];

const WINDOWS: &[(&str, WindowSafety)] = &[
    ("memory", WindowSafety::Memory),
    ("checkpoint", WindowSafety::Checkpoint),
    ("journal", WindowSafety::Journal),
];

const RETAINED: &[(&str, RetainedInput)] = &[
    ("ignore", RetainedInput::Ignore),
    ("take", RetainedInput::Take),
    ("mark", RetainedInput::Mark),
];

/// The name that stands for the device in topics.
const DEVICE: &str = "device";

pub(super) fn stream(section: &Section<'_>) -> Option<Stream> {
    let name = section.parsed("name", StreamName::parse);
    let model = section.parsed("model", ModelName::parse);
    let qos = qos(section);
    let guarantee = section.choice("guarantee", GUARANTEES);
    if guarantee == Some(Guarantee::AtLeastOnce) && qos == Qos::AtMostOnce {
        section.problem("guarantee", "messages with QoS 0 are delivered at most once", "qos = 1");
    }
    let guarantee = guarantee.unwrap_or(match qos {
        Qos::AtLeastOnce => Guarantee::AtLeastOnce,
        Qos::AtMostOnce => Guarantee::BestEffort,
    });
    let Inputs { topic, payload, join } = inputs(section);
    let max_age = section.duration_if("max_age");
    if max_age.is_some() && payload.as_ref().is_some_and(|payload| !payload.has_time()) {
        section.problem("max_age", "samples have no timestamp", "payload.time = \"FIELD\"");
    }
    let named = payload.as_ref().is_some_and(|payload| !payload.device.is_empty());
    if named && topic.iter().flat_map(TopicPattern::captures).any(|name| name == DEVICE) {
        let reason = "the topic captures {device}, and payload.device names it too";
        section.problem("topic", reason, "another name for the capture, such as {site}");
    }
    let apart = message_capture(section, payload.as_ref(), topic.as_ref());
    let channel = join.as_ref().and_then(|join| join.by.as_deref()).or(apart);
    let publish = publish(&section.section("publish"), topic.as_ref(), channel, guarantee, named);
    let labels = section
        .has("labels")
        .then(|| monitoring::labels(&section.section("labels"), name.as_ref(), model.as_ref()));
    let windows = section.choice("windows", WINDOWS);
    let (share, retained) = share_and_retained(section);
    let max_ahead = section.duration("max_ahead");
    let max_keys = section.int("max_keys");
    let key_ttl = section.duration("key_ttl");
    let max_payload = section.size("max_payload");
    let priority = section.int("priority");
    Some(Stream {
        name: name?,
        model: model?,
        topic: topic?,
        share,
        payload: payload?,
        join,
        publish: publish?,
        windows: windows?,
        retained: retained?,
        qos,
        guarantee,
        max_age,
        max_ahead,
        max_keys,
        key_ttl,
        max_payload,
        priority,
        labels: match labels {
            Some(labels) => Some(labels?),
            None => None,
        },
        drift: monitoring::drift(&section.section("drift")),
        infer: section.flag("infer"),
        capture: section.has("capture").then(|| monitoring::capture(&section.section("capture"))),
    })
}

/// The capture that is no part of the device's name. The type of a Sparkplug message is the third
/// level of its topic: were it a part of the name, births and data would be of different devices.
fn message_capture(
    section: &Section<'_>,
    payload: Option<&Payload>,
    topic: Option<&TopicPattern>,
) -> Option<&'static str> {
    let apart = payload?.format.message_capture()?;
    let topic = topic?;
    let names_device = topic.captures().any(|name| name == DEVICE);
    let levels = || topic.levels.iter().skip_while(|level| !is_namespace(level)).take(3);
    // Several levels have the type within them, whatever their name.
    let within = levels().find(|level| matches!(level, Level::Rest(_)));
    let kind = levels().nth(2).filter(|level| level.name() != Some(apart) && !names_device);
    if let Some(name) = within.or(kind).and_then(Level::name) {
        let reason = format!("the type of the message is captured as {{{name}}}");
        section.problem("topic", reason, format!("{{{apart}}} for the type of the message"));
    }
    Some(apart)
}

/// Whether a level is the first one of topics of Sparkplug B.
fn is_namespace(level: &Level) -> bool {
    matches!(level, Level::Literal(text) if text == "spBv1.0")
}

/// The group that shares the messages, and what is done with retained ones.
fn share_and_retained(section: &Section<'_>) -> (Option<String>, Option<RetainedInput>) {
    let share = section.parsed_if("share", share);
    let retained = section.choice("retained", RETAINED);
    if share.is_some() && retained.is_some_and(|it| it != RetainedInput::Ignore) {
        let reason = "a broker sends no retained messages to a group that shares a subscription";
        section.problem("retained", reason, "\"ignore\", or no share");
    }
    (share, retained)
}

/// The name of a group, which is a level of the filter.
fn share(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && !text.contains(['/', '+', '#']);
    fits.then(|| text.to_owned()).ok_or("not one level of a topic without wildcards")
}

fn qos(section: &Section<'_>) -> Qos {
    if section.int::<u8>("qos") == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce }
}

fn publish(
    section: &Section<'_>,
    pattern: Option<&TopicPattern>,
    channel: Option<&str>,
    guarantee: Guarantee,
    named_by_payload: bool,
) -> Option<Publish> {
    let device = named_by_payload.then_some(DEVICE);
    // The channel is not one name: a sample has the values of all channels.
    let captures = || pattern.into_iter().flat_map(TopicPattern::captures);
    let names = || captures().filter(|name| channel != Some(*name)).chain(device);
    let topic = if section.has("topic") {
        // The names depend on the stream's own topic.
        section.parsed("topic", |text| match pattern {
            Some(_) => TopicTemplate::parse(text, names()),
            None => TopicTemplate::with_any_names(text),
        })
    } else {
        let last = names().last();
        let as_levels =
            |name: &str| Some(name) == last && pattern.and_then(TopicPattern::rest) == Some(name);
        let level = |name: &str| if as_levels(name) { "#" } else { "" };
        let levels: String = names().map(|name| format!("/{{{name}{}}}", level(name))).collect();
        TopicTemplate::parse(&format!("predictions/{{stream}}{levels}"), names()).ok()
    };
    let qos = qos(section);
    if guarantee == Guarantee::AtLeastOnce && qos == Qos::AtMostOnce {
        let allowed = "qos = 1, or the stream's guarantee = \"best-effort\"";
        section.problem("qos", "at-least-once results need an acknowledgement", allowed);
    }
    let encoding =
        section.choice("encoding", &[("json", Encoding::Json), ("cbor", Encoding::Cbor)]);
    let when = section.choice("when", &[("every", When::Every), ("change", When::Change)]);
    let retain = section.flag("retain");
    let (min_score, leave_score) = scores(section);
    let consecutive = section.int("consecutive");
    Some(Publish {
        topic: topic?,
        encoding: encoding?,
        when: when?,
        qos,
        retain,
        min_score,
        leave_score,
        consecutive,
    })
}

/// `min_score` and `leave_score`.
#[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
fn scores(section: &Section<'_>) -> (Option<f32>, Option<f32>) {
    let enter = section.float_if("min_score");
    let leave = section.float_if("leave_score");
    if leave.is_some_and(|leave| enter.is_none_or(|enter| leave > enter)) {
        section.problem("leave_score", "higher than min_score, or alone", "at most min_score");
    }
    (enter.map(|score| score as f32), leave.map(|score| score as f32))
}

/// What streams must not do to each other, to the link and to themselves; as far as they, and what
/// they are held against, could be built.
pub(super) fn together(
    built: &[(&Section<'_>, &Stream)],
    gateway: Option<&Gateway>,
    broker: Option<&Broker>,
) {
    let streams: Vec<&Stream> = built.iter().map(|(_, stream)| *stream).collect();
    for (place, (section, stream)) in built.iter().enumerate() {
        if streams.iter().take(place).any(|other| other.name == stream.name) {
            section.problem("name", "another stream has this name", "a unique name");
        }
        let packet = broker.map_or(u64::MAX, |broker| u64::from(broker.max_packet));
        if stream.max_payload > usize::try_from(packet).unwrap_or(usize::MAX) {
            section.problem(
                "max_payload",
                "larger than the maximum packet",
                "at most broker.max_packet",
            );
        }
        check_share(section, stream, &streams);
        check_labels(section, stream, &streams, gateway);
        let Some(gateway) = gateway else { continue };
        if stream.topics().any(|topic| hears_the_daemon(topic, gateway)) {
            let reason = format!("matches the daemon's own topics below {}", gateway.prefix);
            section.problem("topic", reason, "a topic to which only sensors publish");
        }
        if let Some(way) = feeds_itself(place, &streams, gateway) {
            let way: Vec<_> = way.iter().map(|stream| stream.name.as_str()).collect();
            let reason =
                format!("its predictions are published to its own input ({})", way.join(" -> "));
            section.section("publish").problem(
                "topic",
                reason,
                "a topic that none of these streams subscribes to",
            );
        }
    }
}

/// Messages of a shared subscription are for one gateway of the group, and those of another
/// subscription for each: copies cannot be told apart.
fn check_share(section: &Section<'_>, stream: &Stream, streams: &[&Stream]) {
    if stream.share.is_none() {
        return;
    }
    let all = || {
        streams.iter().flat_map(|other| {
            let labels = other.labels.iter().map(|labels| (None, &labels.topic));
            other.topics().map(|topic| (other.share.as_ref(), topic)).chain(labels)
        })
    };
    for own in stream.topics() {
        let is_same = |share: Option<&String>, topic: &TopicPattern| {
            share == stream.share.as_ref() && topic.filter() == own.filter()
        };
        let is_met = |(share, topic): &(Option<&String>, &TopicPattern)| {
            !is_same(*share, topic) && own.filters_overlap(topic)
        };
        if let Some((_, other)) = all().find(is_met) {
            let reason = format!(
                "the messages are shared with other gateways, and some of them are subscribed to \
                 as {other} too"
            );
            let allowed = "topics that no other subscription matches, or the same topic and share";
            return section.problem("share", reason, allowed);
        }
    }
}

/// Topics of the daemon below its prefix and id, with `{name}` for any level.
const OWN_TOPICS: [&str; 5] = ["status", "health", "rejects", "model/{name}", "drift/{name}"];

fn hears_the_daemon(pattern: &TopicPattern, gateway: &Gateway) -> bool {
    OWN_TOPICS.iter().any(|topic| {
        let topic = format!("{}/{}/{topic}", gateway.prefix, gateway.id);
        TopicTemplate::with_any_names(&topic).is_ok_and(|topic| pattern.may_match(&topic, &[]))
    })
}

/// Labels arrive on topics of their own: no sample and no prediction is taken for a label.
fn check_labels(
    section: &Section<'_>,
    stream: &Stream,
    streams: &[&Stream],
    gateway: Option<&Gateway>,
) {
    let Some(labels) = &stream.labels else { return };
    let problem = |reason: String| {
        section.section("labels").problem("topic", reason, "a topic on which only labels arrive");
    };
    let as_template = TopicTemplate { levels: labels.topic.levels.clone() };
    for other in streams {
        if other.topics().any(|topic| topic.may_match(&as_template, &[])) {
            return problem(format!("also matches the inputs of stream {}", other.name));
        }
        if labels.topic.may_match(&other.publish.topic, &known_names(other, gateway)) {
            return problem(format!("also matches the predictions of stream {}", other.name));
        }
    }
    if let Some(gateway) = gateway.filter(|gateway| hears_the_daemon(&labels.topic, gateway)) {
        problem(format!("matches the daemon's own topics below {}", gateway.prefix));
    }
}

/// The names of a template of `publish.topic` that have a fixed value.
fn known_names<'a>(
    stream: &'a Stream,
    gateway: Option<&'a Gateway>,
) -> Vec<(&'static str, &'a str)> {
    let gateway = gateway.map(|gateway| ("gateway", gateway.id.as_str()));
    let own = [("stream", stream.name.as_str()), ("model", stream.model.as_str())];
    own.into_iter().chain(gateway).collect()
}

/// The way from a stream's predictions through other streams back to its own input.
fn feeds_itself<'a>(
    start: usize,
    streams: &[&'a Stream],
    gateway: &Gateway,
) -> Option<Vec<&'a Stream>> {
    let next = |from: &Stream| {
        let known = known_names(from, Some(gateway));
        let template = &from.publish.topic;
        let heard = |(_, to): &(usize, &&Stream)| {
            to.topics().any(|topic| topic.may_match(template, &known))
        };
        streams.iter().enumerate().filter(heard).map(|(place, _)| place).collect::<Vec<_>>()
    };
    // Breadth first, so the shortest way is shown; every stream is visited once.
    let mut ways: Vec<Vec<usize>> = vec![vec![start]];
    let mut visited = vec![false; streams.len()];
    let mut at = 0;
    while let Some(way) = ways.get(at).cloned() {
        at += 1;
        let Some(last) = way.last().and_then(|&place| streams.get(place)) else { continue };
        for to in next(last) {
            let longer = [&*way, &[to]].concat();
            if to == start {
                return Some(
                    longer.iter().filter_map(|&place| streams.get(place).copied()).collect(),
                );
            }
            if let Some(seen) = visited.get_mut(to)
                && !std::mem::replace(seen, true)
            {
                ways.push(longer);
            }
        }
    }
    None
}
