//! `[stream.payload]`

use super::binary::{BinaryNumber, Bytes, BytesEncoding, LayoutItem};
use super::section::Section;
use super::value::Scalar;
use super::{Format, Payload, Protobuf, Records, validate_reading};
use crate::clock::Timestamp;

/// Options whose subject not all formats have.
const OF_SOME_FORMATS: [&str; 10] = [
    "fields",
    "time",
    "samples",
    "device",
    "header",
    "bytes",
    "records",
    "descriptors",
    "message",
    "embedded",
];

/// Those that Protocol Buffers alone have.
const OF_PROTOBUF: [&str; 3] = ["descriptors", "message", "embedded"];

const BYTES_ENCODINGS: &[(&str, BytesEncoding)] =
    &[("base64", BytesEncoding::Base64), ("hex", BytesEncoding::Hex)];

/// The format of this name. The reference has the list of all.
pub(super) fn format(name: &str) -> Result<Format, &'static str> {
    let number = |number: BinaryNumber| number.dtype().map_or(Format::Numbers(number), Format::Raw);
    match name {
        "json" => Ok(Format::Json),
        "ndjson" => Ok(Format::JsonLines),
        "cbor" => Ok(Format::Cbor),
        "csv" => Ok(Format::Csv),
        "msgpack" => Ok(Format::Msgpack),
        "protobuf" => Ok(Format::Protobuf),
        "senml" => Ok(Format::Senml),
        "influx" => Ok(Format::Influx),
        "sparkplug" => Ok(Format::Sparkplug),
        "bytes" => Ok(Format::Bytes),
        name => BinaryNumber::parse(name).map(number).ok_or("not a format"),
    }
}

pub(super) fn payload(section: &Section<'_>) -> Option<Payload> {
    let format = section.parsed("format", format)?;
    let fields = section.strings("fields");
    let (time, time_of_day) = time_fields(section);
    let samples = section.text_if("samples");
    let device = section.strings("device");
    let earliest = section.parsed("earliest", earliest);
    for key in OF_SOME_FORMATS {
        if section.has(key) && !fits(format, key) {
            section.problem(key, "such a payload has none", "nothing for this format");
        }
    }
    for (key, names) in [("fields", &fields), ("device", &device)] {
        if let Some(twice) = names.iter().enumerate().find_map(|(place, name)| {
            names.get(..place).is_some_and(|before| before.contains(name)).then_some(name)
        }) {
            section.problem(key, format!("{twice:?} is there twice"), "each field once");
        }
    }
    let times = [&time, &time_of_day];
    if let Some(both) = device.iter().find(|name| times.contains(&&Some((*name).clone()))) {
        section.problem("device", format!("{both:?} is payload.time too"), "another field");
    }
    if format == Format::Senml && device.iter().any(|name| name != "bn") {
        section.problem("device", "SenML has one name of the device", "\"bn\", the base name");
    }
    let header = section.int("header");
    let bytes = bytes(section, format)?;
    if header > 0 && format.has_members() && bytes.is_none() {
        section.problem("header", "no bytes are read", "payload.bytes, or a binary format");
    }
    let records = records(section, time_of_day.is_some());
    if records.is_some() && bytes.is_some() {
        section.problem("records", "payload.bytes is set as well", "one of them");
    }
    let time = time.or_else(|| records.as_ref()?.time.clone());
    let protobuf = protobuf(section, format)?;
    let reading = validate_reading::reading(section, format, time_of_day);
    Some(Payload {
        format,
        fields,
        time,
        earliest: earliest?,
        samples,
        device,
        header,
        bytes,
        records,
        protobuf,
        reading,
    })
}

/// The field of the time, or those of the date and of the time of day.
fn time_fields(section: &Section<'_>) -> (Option<String>, Option<String>) {
    let mut names = section.strings("time").into_iter();
    (names.next(), names.next())
}

/// Whether an option applies to payloads of a format.
fn fits(format: Format, key: &str) -> bool {
    match format {
        Format::Protobuf => true,
        _ if OF_PROTOBUF.contains(&key) => false,
        Format::Raw(_) | Format::Numbers(_) => key == "header",
        Format::Bytes => !matches!(key, "samples" | "records"),
        Format::Csv | Format::JsonLines => {
            !matches!(key, "samples" | "header" | "bytes" | "records")
        }
        Format::Senml | Format::Influx => matches!(key, "fields" | "device"),
        Format::Sparkplug => key == "fields",
        Format::Json | Format::Cbor | Format::Msgpack => true,
    }
}

fn records(payload: &Section<'_>, has_time_of_day: bool) -> Option<Records> {
    let section = payload.section("records");
    if !["name", "value", "time"].iter().any(|key| section.has(key)) {
        return None;
    }
    let (name, values) = (section.text_if("name"), section.strings("value"));
    let time = section.text_if("time");
    if name.is_none() {
        section.problem("name", "missing", "the field with the name");
    }
    if values.is_empty() {
        section.problem("value", "missing", "the field with the value");
    }
    if has_time_of_day {
        payload.problem("time", "a record has one time", "one field");
    }
    Some(Records { name: name?, values, time })
}

/// The type of messages of Protocol Buffers; the outer `None` where it is wrong.
fn protobuf(section: &Section<'_>, format: Format) -> Option<Option<Protobuf>> {
    if format != Format::Protobuf {
        return Some(None);
    }
    let (descriptors, message) = (section.path_if("descriptors"), section.text_if("message"));
    if descriptors.is_none() {
        let allowed = "the file that protoc --include_imports --descriptor_set_out writes";
        section.problem("descriptors", "missing", allowed);
    }
    if message.is_none() {
        section.problem("message", "missing", "the type of the messages, such as \"pkg.Reading\"");
    }
    let mut embedded = Vec::new();
    for (field, values) in section.scalars("embedded") {
        match values.as_slice() {
            [Scalar::Text(message)] => embedded.push((field, message.clone())),
            _ => {
                let reason = format!("{field:?} is given no type");
                section.problem("embedded", reason, "\"pkg.Message.field\" = \"pkg.Type\"");
            }
        }
    }
    Some(Some(Protobuf { descriptors: descriptors?, message: message?, embedded, types: None }))
}

/// A day, which begins at midnight UTC, or a moment.
fn earliest(text: &str) -> Result<Timestamp, &'static str> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(day).ok_or("not a date")
}

/// `payload.bytes`; the outer `None` where it is wrong.
fn bytes(payload: &Section<'_>, format: Format) -> Option<Option<Bytes>> {
    let section = payload.section("bytes");
    if !["at", "encoding", "layout"].iter().any(|key| section.has(key)) {
        if format == Format::Bytes {
            let allowed = "bytes = { layout = [\"i16be t / 10\", \"u16be h\"] }";
            payload.problem("bytes", "the layout of the bytes is missing", allowed);
            return None;
        }
        return Some(None);
    }
    let at = section.text_if("at");
    let encoding = section.choice("encoding", BYTES_ENCODINGS);
    match (format, &at, encoding) {
        (Format::Bytes, Some(_), _) => {
            section.problem(
                "at",
                "the whole payload is the bytes",
                "nothing for format = \"bytes\"",
            );
        }
        (format, None, _) if format.has_members() => {
            section.problem("at", "missing", "the field with the bytes");
        }
        (Format::Json, _, None) => {
            section.problem("encoding", "JSON has no bytes", "\"base64\" or \"hex\"");
        }
        _ => {}
    }
    let layout = layout(&section)?;
    Some(Some(Bytes { at, encoding, layout }))
}

fn layout(section: &Section<'_>) -> Option<Vec<LayoutItem>> {
    let texts = section.strings("layout");
    let mut items: Vec<LayoutItem> = Vec::with_capacity(texts.len());
    let allowed = "TYPE NAME, as in \"i16be t / 10\" or \"u8 skip\"";
    for text in &texts {
        match LayoutItem::parse(text) {
            Ok(item) if item.name.is_some() && items.iter().any(|it| it.name == item.name) => {
                section.problem("layout", format!("{text:?}: the name is there twice"), allowed);
            }
            Ok(item) => items.push(item),
            Err(why) => section.problem("layout", format!("{text:?}: {why}"), allowed),
        }
    }
    if texts.len() == items.len() && !items.iter().any(|item| item.name.is_some()) {
        section.problem("layout", "names no number", allowed);
        return None;
    }
    (texts.len() == items.len()).then_some(items)
}
