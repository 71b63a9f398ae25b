//! `payload.join`, `payload.align` and `[[stream.source]]`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::section::Section;
use super::units;
use super::validate_payload;
use super::{AlignMethod, Format, Grid, Join, JoinEvery, Payload, Source, TopicPattern};

/// Points of a grid that one value may be held for.
const MAX_HELD_POINTS: u128 = 10_000;
/// Points of a grid that may wait for late values; their values are in memory.
const MAX_WAITING_POINTS: u128 = 1_000;

const METHODS: &[(&str, AlignMethod)] =
    &[("previous", AlignMethod::Previous), ("linear", AlignMethod::Linear)];

/// The topic and payload of a stream, and how its values are joined if they are.
pub(super) struct Inputs {
    pub(super) topic: Option<TopicPattern>,
    pub(super) payload: Option<Payload>,
    pub(super) join: Option<Join>,
}

/// Reads where the samples of a stream come from.
pub(super) fn inputs(section: &Section<'_>) -> Inputs {
    let (sources, options) = (section.sections("source"), section.section("payload"));
    let payload = validate_payload::payload(&options);
    if !sources.is_empty() {
        return of_sources(section, &sources, &options, payload);
    }
    let topic = section.parsed("topic", TopicPattern::parse);
    if !options.has("join") && !options.has("align") {
        return Inputs { topic, payload, join: None };
    }
    let source = topic.clone().zip(payload.clone());
    let names_channel = options.section("join").has("by");
    let source = source.map(|(topic, payload)| {
        // Without a channel in the topic, messages are samples that are put on a grid.
        let fields = if names_channel { Vec::new() } else { payload.fields.clone() };
        let payload = Payload { fields, ..payload };
        Source { topic, payload, offset: 0 }
    });
    let join = join(&options, source.into_iter().collect(), true);
    Inputs { topic, payload, join }
}

fn of_sources(
    section: &Section<'_>,
    sections: &[Section<'_>],
    options: &Section<'_>,
    payload: Option<Payload>,
) -> Inputs {
    if section.has("topic") {
        let reason = "the sources have topics of their own";
        section.problem("topic", reason, "a topic in each [[stream.source]] only");
    }
    if options.has("samples") {
        let reason = "the sources have payloads of their own";
        options.problem("samples", reason, "samples in each [[stream.source]] only");
    }
    let read = |source| payload.as_ref().and_then(|shared| self::source(source, shared));
    let sources: Vec<Source> = sections.iter().filter_map(read).collect();
    check_sources(sections, &sources, options.section("join").text_if("by").as_deref());
    let topic = sources.first().map(|first| first.topic.clone());
    let time = sources.iter().find_map(|source| source.payload.time.clone());
    let payload = payload.map(|payload| Payload { time, ..payload });
    let join = join(options, sources, false);
    Inputs { topic, payload, join }
}

/// What a source does not say of its payload holds for all of them.
fn source(section: &Section<'_>, shared: &Payload) -> Option<Source> {
    let topic = section.parsed("topic", TopicPattern::parse);
    let own = section.has("format").then(|| section.parsed("format", validate_payload::format));
    let format = own.flatten().unwrap_or(shared.format);
    if format == Format::Bytes && shared.bytes.is_none() {
        let allowed = "payload.bytes of the stream, or another format";
        section.problem("format", "the layout of the bytes is missing", allowed);
    }
    if format == Format::Protobuf && shared.protobuf.is_none() {
        let allowed = "payload.format = \"protobuf\" with the type of the messages, or another";
        section.problem("format", "the type of the messages is missing", allowed);
    }
    let (fields, samples) = (section.strings("fields"), section.text_if("samples"));
    let own_time = section.text_if("time");
    let raw = format.is_raw();
    if raw && own_time.is_some() {
        section.problem("time", "such a payload has none", "nothing for this format");
    }
    if samples.is_some() && !format.has_members() {
        section.problem("samples", "such a payload has none", "nothing for this format");
    }
    let time = own_time.or_else(|| shared.time.clone().filter(|_| !raw));
    let offset = if section.has("offset") { section.parsed("offset", offset)? } else { 0 };
    let payload = Payload { format, fields, time, samples, ..shared.clone() };
    Some(Source { topic: topic?, payload, offset })
}

/// A duration, or one after a minus sign, in microseconds.
fn offset(text: &str) -> Result<i64, &'static str> {
    let (sign, span) = text.strip_prefix('-').map_or((1, text), |span| (-1, span));
    let span = units::duration(span).filter(|span| *span <= Duration::from_secs(86_400));
    let micros = span.and_then(|span| i64::try_from(span.as_micros()).ok());
    micros.map(|micros| sign * micros).ok_or("not a duration of at most a day")
}

/// `alone`: there are no other sources, so the topic must name the channel, or samples are put on a
/// grid.
fn join(payload: &Section<'_>, sources: Vec<Source>, alone: bool) -> Option<Join> {
    let section = payload.section("join");
    let by = section.text_if("by");
    if alone && by.is_none() && !payload.has("align") {
        let allowed =
            "the name of a capture of the topic, such as \"channel\", or [[stream.source]]";
        section.problem("by", "missing", allowed);
    }
    if let Some(by) = &by {
        if by == "device" {
            section.problem("by", "{device} names the device", "a capture such as \"channel\"");
        }
        let has = |source: &Source| source.topic.captures().any(|name| name == by);
        if !sources.is_empty() && !sources.iter().any(has) {
            let reason = format!("the topic does not capture {{{by}}}");
            section.problem("by", reason, "the name of a capture of the topic");
        }
    }
    if sources.iter().any(|source| source.payload.format == Format::Sparkplug) {
        let reason = "metrics of Sparkplug are not joined";
        payload.problem("join", reason, "missing = \"hold\" for metrics that are not reported");
    }
    let hold = section.duration("hold");
    let every = every(payload, &section, hold)?;
    Some(Join { by, value: section.text("value"), hold, every, sources })
}

fn every(payload: &Section<'_>, section: &Section<'_>, hold: Duration) -> Option<JoinEvery> {
    let aligned = payload.has("align");
    if aligned && section.has("every") {
        section.problem("every", "given with payload.align", "one of the two");
    }
    let grid = if aligned {
        let align = payload.section("align");
        let (step, max_lag) = (align.duration("grid"), align.duration("max_lag"));
        let method = align.choice("method", METHODS)?;
        check_ratio(&align, "max_lag", max_lag, step, MAX_WAITING_POINTS);
        Grid { step, method, max_lag }
    } else {
        match section.parsed("every", every_word)? {
            JoinEvery::Grid(grid) => grid,
            every => return Some(every),
        }
    };
    check_ratio(section, "hold", hold, grid.step, MAX_HELD_POINTS);
    Some(JoinEvery::Grid(grid))
}

fn every_word(text: &str) -> Result<JoinEvery, &'static str> {
    match text {
        "any" => return Ok(JoinEvery::Any),
        "all" => return Ok(JoinEvery::All),
        _ => {}
    }
    let step = units::duration(text).filter(|step| !step.is_zero());
    let step = step.ok_or("not any, all or a duration of at least 1ms")?;
    let (method, max_lag) = (AlignMethod::Previous, Duration::ZERO);
    Ok(JoinEvery::Grid(Grid { step, method, max_lag }))
}

fn check_ratio(section: &Section<'_>, key: &str, span: Duration, step: Duration, most: u128) {
    let points = span.as_micros().checked_div(step.as_micros()).unwrap_or(0);
    if points > most {
        let step = units::print_duration(step);
        let reason = format!("{points} points of a grid of {step}");
        section.problem(key, reason, format!("at most {most} points"));
    }
}

/// Sources must not share a topic, and must agree on the names that make up the device's.
fn check_sources(sections: &[Section<'_>], sources: &[Source], by: Option<&str>) {
    let names = |source: &Source| {
        let names = source.topic.captures().filter(|name| Some(*name) != by);
        names.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    if sections.len() != sources.len() {
        return;
    }
    for (place, (section, source)) in sections.iter().zip(sources).enumerate() {
        let before = sources.get(..place).unwrap_or_default();
        if before.iter().any(|other| other.topic.overlaps(&source.topic)) {
            let reason = "some topics belong to another source of the stream too";
            section.problem("topic", reason, "topics of one source only");
        }
        let in_levels = source.topic.rest().filter(|name| Some(*name) != by);
        let last = sources
            .first()
            .and_then(|first| first.topic.captures().filter(|name| Some(*name) != by).last());
        if in_levels.is_some() && in_levels != last {
            let reason = "a capture of several levels is the last part of the device's name";
            section.problem("topic", reason, "the captures in the order of the first source");
        }
        if sources.first().is_some_and(|first| names(first) != names(source)) {
            let reason = "captures other names than the first source";
            section.problem(
                "topic",
                reason,
                "the same names in each source, which name the device",
            );
        }
        let is_named = source.topic.captures().any(|name| by == Some(name));
        match (is_named, source.payload.fields.is_empty()) {
            (true, false) => {
                let reason = "the topic names the channel";
                section.problem("fields", reason, "not set; payload.join.value names the number");
            }
            (false, true) => {
                section.problem("fields", "missing", "the channels that the messages have");
            }
            (true, true) | (false, false) => {}
        }
    }
}
