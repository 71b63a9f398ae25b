//! JSON payloads.

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::decoder::{Decoded, PayloadDecoder};
use super::json_mistakes;
use super::payload_visitor::{PayloadVisitor, Role};
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use super::text::utf8;
use crate::config::Format;
use crate::pipeline::reject::Reject;

/// Decodes JSON.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    schema: PayloadSchema,
}

impl JsonDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        Self { schema }
    }
}

impl PayloadDecoder for JsonDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let text = utf8(payload)?;
        match self.decode_text(text, out) {
            // Common writers print NaN and infinities, which JSON does not have.
            Err(Reject::NotFinite { .. } | Reject::Syntax { .. })
                if self.schema.missing.is_some() =>
            {
                self.decode_text(&json_mistakes::without_nan(text), out)
            }
            decoded => decoded,
        }
    }
}

impl JsonDecoder {
    fn decode_text(&self, text: &str, out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        if self.schema.format != Format::JsonLines {
            read_sample(text, Role::Top, &mut builder)?;
            return builder.finish();
        }
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (sample, (number, line)) in lines.enumerate() {
            read_sample(line, Role::Element(sample), &mut builder).map_err(
                |reject| match reject {
                    Reject::Syntax { format, problem } => {
                        let problem = format!("line {}: {problem}", number.saturating_add(1));
                        Reject::Syntax { format, problem }
                    }
                    reject => reject,
                },
            )?;
        }
        builder.end_array()?;
        builder.finish()
    }
}

/// A payload that is one number or word and need not be JSON.
fn bare_word(text: &str) -> Option<&str> {
    let word = text.trim();
    (!word.starts_with(['{', '[', '"'])).then_some(word)
}

fn read_sample<'a>(
    text: &str,
    role: Role<'a>,
    builder: &mut SampleBuilder<'a>,
) -> Result<(), Reject> {
    if builder.schema.reads_texts()
        && let Some(word) = bare_word(text)
    {
        return PayloadVisitor::in_role(builder, role).text(word);
    }
    let read = read_text(text, PayloadVisitor::in_role(builder, role));
    read.map_err(|error| builder.reject.take().unwrap_or_else(|| explain(&error, text)))
}

/// Reads a payload with any seed.
///
/// # Errors
/// What the reader stumbled over; a seed that stops it keeps its own reason.
pub(super) fn read<'p, S: DeserializeSeed<'p, Value = ()>>(
    payload: &'p [u8],
    seed: S,
) -> Result<(), Reject> {
    let text = utf8(payload)?;
    read_text(text, seed).map_err(|error| explain(&error, text))
}

fn read_text<'p, S: DeserializeSeed<'p, Value = ()>>(
    text: &'p str,
    seed: S,
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    seed.deserialize(&mut json).and_then(|()| json.end())
}

/// JSON has no NaN and no infinities, but common writers print them: say so, rather than "expected
/// value".
fn explain(error: &serde_json::Error, text: &str) -> Reject {
    let at = offset(error, text);
    if let Some(problem) = json_mistakes::mistake(text)
        && !is_non_finite(error, text, at)
    {
        return Reject::Syntax { format: "JSON", problem };
    }
    let problem = match error.classify() {
        Category::Eof => format!("it ends too early, after {} bytes", text.len()),
        Category::Syntax if is_non_finite(error, text, at) => {
            return Reject::NotFinite { field: format!("the number at byte {at}") };
        }
        Category::Syntax | Category::Data | Category::Io => error.to_string(),
    };
    Reject::Syntax { format: "JSON", problem }
}

fn offset(error: &serde_json::Error, text: &str) -> usize {
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line: usize = before.map(str::len).sum();
    line.saturating_add(error.column().saturating_sub(1)).min(text.len())
}

fn is_non_finite(error: &serde_json::Error, text: &str, at: usize) -> bool {
    let is_letter = |b: &u8| b.is_ascii_alphabetic();
    let bytes = text.as_bytes();
    let before = bytes.get(..at).unwrap_or_default();
    let start = at.saturating_sub(before.iter().rev().take_while(|b| is_letter(b)).count());
    let word: Vec<u8> =
        bytes.iter().skip(start).take_while(|b| is_letter(b)).map(u8::to_ascii_lowercase).collect();
    matches!(word.as_slice(), b"nan" | b"infinity" | b"inf")
        || error.to_string().starts_with("number out of range")
}
