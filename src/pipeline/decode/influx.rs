//! InfluxDB line protocol: `measurement,tag=value field=value,field=value timestamp`.
//! <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>

use super::decoder::{Decoded, PayloadDecoder};
use super::field_tree::{Node, Slot};
use super::record::Scalar;
use super::records::{RecordCollector, number};
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use super::text::utf8;
use crate::pipeline::reject::Reject;

/// Decodes line protocol.
#[derive(Debug)]
pub(super) struct InfluxDecoder {
    schema: PayloadSchema,
    collector: RecordCollector,
}

impl InfluxDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        Self { schema, collector: RecordCollector::default() }
    }
}

impl PayloadDecoder for InfluxDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        self.collector.clear();
        let mut lines = Lines { rest: utf8(payload)?, line: 1 };
        while lines.skip_to_point() {
            read_point(&mut lines, &builder, &mut self.collector)?;
        }
        self.collector.finish(&mut builder)?;
        builder.finish()
    }
}

/// Reads a point and collects the values that are asked for.
fn read_point(
    lines: &mut Lines<'_>,
    builder: &SampleBuilder<'_>,
    collector: &mut RecordCollector,
) -> Result<(), Reject> {
    let root = &builder.schema.sample;
    let measurement = lines.token(&[',', ' '])?;
    let mut device = vec![String::new(); builder.schema.device.len()];
    while lines.take(',') {
        let name = lines.token(&['='])?;
        lines.expect('=')?;
        let value = lines.token(&[',', ' '])?;
        if let Some(Slot::Device(part)) = slot(root, &name)
            && let Some(place) = device.get_mut(part)
        {
            *place = value;
        }
    }
    lines.spaces()?;
    let own = root.find(&measurement, 0).and_then(|place| root.child(place));
    let mut values: Vec<(usize, Scalar)> = Vec::new();
    loop {
        let name = lines.token(&['='])?;
        lines.expect('=')?;
        let value = lines.value()?;
        let found = own.and_then(|node| slot(node, &name)).or_else(|| slot(root, &name));
        if let Some(Slot::Field(field)) = found {
            values.push((field, value));
        }
        if !lines.take(',') {
            break;
        }
    }
    let time = match lines.timestamp()? {
        Some(number) => Scalar::Whole(number).moment(builder)?,
        None => None,
    };
    for (field, value) in values {
        if let Some(value) = number(&value, field, builder)? {
            collector.add(&device, field, time, value)?;
        }
    }
    Ok(())
}

/// What a name in a node is wanted for.
fn slot(node: &Node, name: &str) -> Option<Slot> {
    node.find(name, 0).and_then(|place| node.child(place)).and_then(|child| child.slot)
}

/// The rest of a payload.
struct Lines<'p> {
    rest: &'p str,
    /// The number of the line.
    line: usize,
}

impl Lines<'_> {
    fn error(&self, problem: &str) -> Reject {
        let problem = format!("{problem} in line {}", self.line);
        Reject::Syntax { format: "InfluxDB line protocol", problem }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Goes to the next line that is neither empty nor a comment.
    fn skip_to_point(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
            if self.rest.starts_with('#') {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with('\n') {
                self.advance(1);
                self.line = self.line.saturating_add(1);
            } else {
                return !self.rest.is_empty();
            }
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.starts_with(wanted);
        if found {
            self.advance(wanted.len_utf8());
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), Reject> {
        if self.take(wanted) { Ok(()) } else { Err(self.error(&format!("{wanted} is missing"))) }
    }

    fn spaces(&mut self) -> Result<(), Reject> {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(' ');
        if self.rest.len() < before { Ok(()) } else { Err(self.error("the fields are missing")) }
    }

    /// A name or the value of a tag, up to one of `ends`. A backslash takes a comma, an equals sign,
    /// a space or itself literally.
    fn token(&mut self, ends: &[char]) -> Result<String, Reject> {
        let mut token = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.clone().next() {
                    Some((_, next @ (',' | '=' | ' ' | '\\'))) => {
                        let _escaped = letters.next();
                        token.push(next);
                    }
                    _ => token.push('\\'),
                },
                '\n' => break,
                end if ends.contains(&end) => {
                    if token.is_empty() {
                        break;
                    }
                    self.advance(at);
                    return Ok(token);
                }
                letter => token.push(letter),
            }
        }
        Err(self.error("a name or a value is missing"))
    }

    /// The value of a field.
    fn value(&mut self) -> Result<Scalar, Reject> {
        if self.take('"') {
            return self.text();
        }
        let end = self.rest.find([',', ' ', '\n', '\r']).unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        let value = match word {
            "t" | "T" | "true" | "True" | "TRUE" => Some(Scalar::Bool(true)),
            "f" | "F" | "false" | "False" | "FALSE" => Some(Scalar::Bool(false)),
            word => match word.strip_suffix(['i', 'u']) {
                Some(digits) => digits.parse().ok().map(Scalar::Whole),
                None => word.parse().ok().map(Scalar::Real),
            },
        };
        let value = value.ok_or_else(|| self.error("the value of a field is none"))?;
        self.advance(end);
        Ok(value)
    }

    /// The rest of a value in quotes. A backslash takes a quote or itself literally.
    fn text(&mut self) -> Result<Scalar, Reject> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.advance(at.saturating_add(1));
                    return Ok(Scalar::Text(text));
                }
                '\\' => match letters.clone().next() {
                    Some((_, next @ ('"' | '\\'))) => {
                        let _escaped = letters.next();
                        text.push(next);
                    }
                    _ => text.push('\\'),
                },
                letter => {
                    self.line = self.line.saturating_add(usize::from(letter == '\n'));
                    text.push(letter);
                }
            }
        }
        Err(self.error("a quote is missing"))
    }

    /// The timestamp at the end of a line, where there is one.
    fn timestamp(&mut self) -> Result<Option<i128>, Reject> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        if !word.is_empty() && !word.starts_with([' ', '\r']) {
            return Err(self.error("a comma or a space is missing"));
        }
        let word = word.trim();
        let number = match word {
            "" => None,
            word => match word.parse() {
                Ok(number) => Some(number),
                Err(_) => return Err(self.error("the timestamp is no whole number")),
            },
        };
        self.advance(end);
        Ok(number)
    }
}
