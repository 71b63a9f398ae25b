//! Descriptor sets (`FileDescriptorSet` of `descriptor.proto`), as far as the types of fields need
//! them.

use std::collections::HashMap;

use super::message_types::{FieldKind, FieldType, MessageType};
use super::wire::{Fields, Malformed, Value};

/// The largest set that is read, in bytes.
pub const MAX_SET_BYTES: u64 = 4 << 20;
/// Types in a set, and those that a message uses.
const MAX_TYPES: usize = 65_536;
const MAX_USED_TYPES: usize = 4096;
/// Types within types.
const MAX_NESTING: usize = 32;

/// `TYPE_GROUP` and `TYPE_MESSAGE`.
const GROUP: u64 = 10;
const MESSAGE: u64 = 11;

/// The messages of a set by their full names.
pub(super) struct DescriptorSet<'s> {
    messages: HashMap<String, Message<'s>>,
}

#[derive(Clone, Copy)]
struct Message<'s> {
    descriptor: &'s [u8],
    rules: FileRules,
}

/// What a file says of its fields.
#[derive(Clone, Copy, Debug)]
struct FileRules {
    /// Absent fields have no value unless they say otherwise.
    is_explicit: bool,
    /// Messages are written as groups.
    is_delimited: bool,
}

impl<'s> DescriptorSet<'s> {
    /// # Errors
    /// Bytes that are no set, or have more types than a message may use.
    pub(super) fn index(set: &'s [u8]) -> Result<Self, String> {
        let mut index = Self { messages: HashMap::new() };
        each(set, |number, value| match (number, value) {
            (1, Value::Bytes(file)) => index.add_file(file),
            _ => Ok(()),
        })?;
        if index.messages.is_empty() {
            return Err("has no message types: is it the output of protoc \
                        --descriptor_set_out?"
                .to_owned());
        }
        Ok(index)
    }

    fn add_file(&mut self, file: &'s [u8]) -> Result<(), String> {
        let (mut package, mut messages) = ("", Vec::new());
        let (mut syntax, mut features) = ("proto2", Features::default());
        each(file, |number, value| {
            match (number, value) {
                (2, Value::Bytes(name)) => package = text(name)?,
                (4, Value::Bytes(message)) => messages.push(message),
                (8, Value::Bytes(options)) => features = Features::of(options, FILE_FEATURES)?,
                (12, Value::Bytes(name)) => syntax = text(name)?,
                _ => {}
            }
            Ok(())
        })?;
        let is_explicit = match syntax {
            "proto3" => false,
            "editions" => features.is_explicit.unwrap_or(true),
            _ => true,
        };
        let is_delimited = features.is_delimited.unwrap_or(false);
        let rules = FileRules { is_explicit, is_delimited };
        messages.into_iter().try_for_each(|it| self.add_message(package, it, rules, 0))
    }

    fn add_message(
        &mut self,
        within: &str,
        descriptor: &'s [u8],
        rules: FileRules,
        depth: usize,
    ) -> Result<(), String> {
        if depth > MAX_NESTING || self.messages.len() >= MAX_TYPES {
            return Err(format!("has more than {MAX_TYPES} types, or types nested too deeply"));
        }
        let (mut name, mut nested) = ("", Vec::new());
        each(descriptor, |number, value| {
            match (number, value) {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (3, Value::Bytes(message)) => nested.push(message),
                _ => {}
            }
            Ok(())
        })?;
        let full = if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
        let depth = depth.saturating_add(1);
        nested.into_iter().try_for_each(|it| self.add_message(&full, it, rules, depth))?;
        _ = self.messages.insert(full, Message { descriptor, rules });
        Ok(())
    }

    /// The type of a message and of all messages within it, the message first.
    pub(super) fn types_of(
        &self,
        message: &str,
        embedded: &[(String, String)],
    ) -> Result<Vec<MessageType>, String> {
        let mut used = Used { names: Vec::new(), places: HashMap::new() };
        _ = used.place(message);
        let mut types = Vec::new();
        let mut found = vec![false; embedded.len()];
        while let Some(name) = used.names.get(types.len()).cloned() {
            let mut of = self.message_type(&name, &mut used)?;
            for (at, (field, message)) in embedded.iter().enumerate() {
                let field = field.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'));
                let is_it = |it: &&mut FieldType| Some(it.name.as_str()) == field;
                let Some(field) = of.fields.iter_mut().find(is_it) else { continue };
                if field.kind != FieldKind::Bytes {
                    return Err(format!("{name}.{} is no field of bytes", field.name));
                }
                (field.kind, field.has_presence) = (FieldKind::Message(used.place(message)), true);
                if let Some(found) = found.get_mut(at) {
                    *found = true;
                }
            }
            types.push(of);
            if used.names.len() > MAX_USED_TYPES {
                return Err(format!("{message} uses more than {MAX_USED_TYPES} types"));
            }
        }
        match embedded.iter().zip(&found).find(|(_, found)| !**found) {
            Some(((field, _), _)) => {
                Err(format!("{message} and the messages within it have no field {field}"))
            }
            None => Ok(types),
        }
    }

    fn message_type(&self, name: &str, used: &mut Used) -> Result<MessageType, String> {
        let Some(message) = self.messages.get(name) else {
            return Err(self.has_no(name));
        };
        let (mut fields, mut is_map_entry) = (Vec::new(), false);
        each(message.descriptor, |number, value| {
            match (number, value) {
                (2, Value::Bytes(field)) => {
                    fields.push(field_type(field, name, message.rules, used)?)
                }
                (7, Value::Bytes(options)) => is_map_entry = flag(options, 7)?,
                _ => {}
            }
            Ok(())
        })?;
        if is_map_entry {
            // Both have a value in each entry, whatever the file says.
            fields.iter_mut().for_each(|field: &mut FieldType| field.has_presence = false);
        }
        fields.sort_by_key(|field| field.number);
        Ok(MessageType { name: name.to_owned(), fields, is_map_entry })
    }

    fn has_no(&self, name: &str) -> String {
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_like = |known: &&String| known.rsplit('.').next() == Some(last);
        let mut like: Vec<&str> =
            self.messages.keys().filter(is_like).map(String::as_str).take(8).collect();
        like.sort_unstable();
        let advice = match like.as_slice() {
            [] => "was it written with protoc --include_imports?".to_owned(),
            like => format!("it has {}", like.join(", ")),
        };
        format!("has no message {name}; {advice}")
    }
}

/// The messages that are used, in the order in which they were met.
struct Used {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Used {
    fn place(&mut self, name: &str) -> usize {
        let next = self.names.len();
        *self.places.entry(name.to_owned()).or_insert_with(|| {
            self.names.push(name.to_owned());
            next
        })
    }
}

/// A `FieldDescriptorProto`.
fn field_type(
    field: &[u8],
    message: &str,
    rules: FileRules,
    used: &mut Used,
) -> Result<FieldType, String> {
    let (mut name, mut number, mut kind, mut type_name) = ("", 0, 0, "");
    let (mut is_repeated, mut oneof, mut is_optional) = (false, None, false);
    let mut features = Features::default();
    each(field, |at, value| {
        match (at, value) {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (3, Value::Varint(value)) => number = value,
            (4, Value::Varint(label)) => is_repeated = label == 3,
            (5, Value::Varint(value)) => kind = value,
            (6, Value::Bytes(bytes)) => type_name = text(bytes)?,
            (8, Value::Bytes(options)) => features = Features::of(options, FIELD_FEATURES)?,
            (9, Value::Varint(index)) => oneof = Some(index),
            (17, Value::Varint(value)) => is_optional = value != 0,
            _ => {}
        }
        Ok(())
    })?;
    let is_delimited = features.is_delimited.unwrap_or(rules.is_delimited);
    if kind == GROUP || (kind == MESSAGE && is_delimited) {
        return Err(format!("{message}.{name} is a group of proto2, which is not read"));
    }
    let kind = match kind {
        MESSAGE => FieldKind::Message(used.place(type_name.trim_start_matches('.'))),
        kind => scalar(kind).ok_or_else(|| format!("{message}.{name} has an unknown type"))?,
    };
    let is_message = matches!(kind, FieldKind::Message(_));
    let is_explicit = features.is_explicit.unwrap_or(rules.is_explicit);
    let has_presence = is_message || oneof.is_some() || is_optional || is_explicit;
    Ok(FieldType { number, name: name.to_owned(), kind, is_repeated, oneof, has_presence })
}

fn scalar(kind: u64) -> Option<FieldKind> {
    Some(match kind {
        1 => FieldKind::Double,
        2 => FieldKind::Float,
        3 => FieldKind::Int64,
        4 => FieldKind::Uint64,
        5 => FieldKind::Int32,
        6 => FieldKind::Fixed64,
        7 => FieldKind::Fixed32,
        8 => FieldKind::Bool,
        9 => FieldKind::String,
        12 => FieldKind::Bytes,
        13 => FieldKind::Uint32,
        14 => FieldKind::Enum,
        15 => FieldKind::Sfixed32,
        16 => FieldKind::Sfixed64,
        17 => FieldKind::Sint32,
        18 => FieldKind::Sint64,
        _ => return None,
    })
}

/// The field of `FileOptions` and of `FieldOptions` with the features of an edition.
const FILE_FEATURES: u64 = 50;
const FIELD_FEATURES: u64 = 21;

/// A `FeatureSet`, where it sets something.
#[derive(Clone, Copy, Debug, Default)]
struct Features {
    is_explicit: Option<bool>,
    is_delimited: Option<bool>,
}

impl Features {
    fn of(options: &[u8], at: u64) -> Result<Self, String> {
        let mut features = Self::default();
        each(options, |number, value| match value {
            Value::Bytes(set) if number == at => each(set, |number, value| {
                match (number, value) {
                    // IMPLICIT is 2, DELIMITED is 2.
                    (1, Value::Varint(value)) => features.is_explicit = Some(value != 2),
                    (5, Value::Varint(value)) => features.is_delimited = Some(value == 2),
                    _ => {}
                }
                Ok(())
            }),
            _ => Ok(()),
        })?;
        Ok(features)
    }
}

/// A flag of options.
fn flag(options: &[u8], at: u64) -> Result<bool, String> {
    let mut flag = false;
    each(options, |number, value| {
        if let (true, Value::Varint(value)) = (number == at, value) {
            flag = value != 0;
        }
        Ok(())
    })?;
    Ok(flag)
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| malformed("a name is not UTF-8"))
}

fn malformed(problem: Malformed) -> String {
    format!("is no descriptor set of protoc: {problem}")
}

/// Calls `take` with each field of a message.
fn each<'s>(
    message: &'s [u8],
    mut take: impl FnMut(u64, Value<'s>) -> Result<(), String>,
) -> Result<(), String> {
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        take(number, value)?;
    }
    Ok(())
}
