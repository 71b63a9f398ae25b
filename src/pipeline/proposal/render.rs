//! A proposal as a table of the configuration.

use super::channels::ChannelGuess;
use super::fields::FieldGuess;
use super::payload_kind::{Form, PayloadKind};

/// The table `[[stream]]`.
pub(super) fn table(
    topic: &str,
    kind: &PayloadKind,
    guess: &FieldGuess,
    join: Option<&ChannelGuess>,
) -> String {
    let name = stream_name(topic);
    let mut lines = vec![
        "[[stream]]".to_owned(),
        format!("name = {}", quoted(&name)),
        format!("model = {}", quoted(&name)),
        format!("topic = {}", quoted(topic)),
        "[stream.payload]".to_owned(),
    ];
    lines.extend(format_lines(kind));
    let fields = join.map_or(&guess.fields, |join| &join.channels);
    if !fields.is_empty() {
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        lines.push(format!("fields = [{}]", fields.join(", ")));
    }
    let named = [("samples", &guess.samples), ("time", &guess.time), ("device", &guess.device)];
    for (option, field) in named {
        lines.extend(field.as_ref().map(|field| format!("{option} = {}", quoted(field))));
    }
    if guess.is_local {
        lines.push("zone = \"local\"".to_owned());
    }
    if guess.is_lenient || matches!(kind.form, Form::Csv(_, ';' | '\t' | '|')) {
        lines.push("numbers = \"lenient\"".to_owned());
    }
    if guess.has_holes {
        lines.push("missing = \"skip\"".to_owned());
    }
    if let Some(join) = join {
        let value = join.value.as_ref();
        let value = value.map_or_else(String::new, |name| format!(", value = {}", quoted(name)));
        lines.push(format!("join = {{ by = \"channel\", every = \"all\"{value} }}"));
    }
    lines.join("\n") + "\n"
}

fn format_lines(kind: &PayloadKind) -> Vec<String> {
    let mut lines = match kind.form {
        Form::Json => vec!["format = \"json\"".to_owned()],
        Form::JsonLines => vec!["format = \"ndjson\"".to_owned()],
        Form::Cbor => vec!["format = \"cbor\"".to_owned()],
        Form::Sparkplug => vec!["format = \"sparkplug\"".to_owned()],
        Form::Senml => vec!["format = \"senml\"".to_owned()],
        Form::Influx => vec!["format = \"influx\"".to_owned()],
        Form::Msgpack => vec!["format = \"msgpack\"".to_owned()],
        Form::Number => vec!["format = \"json\"".to_owned(), "numbers = \"lenient\"".to_owned()],
        Form::Csv(_, delimiter) => {
            let name = if delimiter == '\t' { "tab".to_owned() } else { delimiter.to_string() };
            vec!["format = \"csv\"".to_owned(), format!("delimiter = {}", quoted(&name))]
        }
        Form::Text => vec!["format = \"csv\"   # a text of no known form".to_owned()],
        Form::Bytes(len) => {
            vec![format!(
                "format = \"u8\"   # {len} bytes of no known form: i16le, bytes, protobuf, …?"
            )]
        }
    };
    let compression = kind.compression.map(|name| format!("compression = {}", quoted(name)));
    lines.extend(compression);
    lines
}

/// A name made of the last level that is one.
fn stream_name(topic: &str) -> String {
    let is_literal = |level: &&str| !level.starts_with('{') && !level.is_empty();
    let level = topic.split('/').rfind(is_literal).unwrap_or("stream");
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = level.chars().map(letter).take(64).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "stream".to_owned() } else { name }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}
