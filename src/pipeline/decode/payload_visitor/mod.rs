//! One walk for JSON and CBOR: a serde visitor that goes down the tree of configured fields, puts
//! the numbers it meets into the [`SampleBuilder`], and builds nothing in between.

mod no_sample;
mod roles;
mod typed_array;

pub(super) use roles::{Role, Within};

use serde::de::{Error, MapAccess, SeqAccess};

use super::field_tree::{Node, Slot};
use super::key::Key;
use super::sample_builder::{SampleBuilder, wrong_shape};
use super::text::clip;
use crate::config::Missing;
use crate::pipeline::reject::{Got, Reject};

/// Levels of arrays and objects in a payload; the walk recurses once per level.
pub(super) const MAX_NESTING: usize = 32;

/// A value about to be read.
pub(super) struct PayloadVisitor<'s, 'a> {
    builder: &'s mut SampleBuilder<'a>,
    role: Role<'a>,
    depth: usize,
}

impl<'s, 'a> PayloadVisitor<'s, 'a> {
    pub(super) fn new(builder: &'s mut SampleBuilder<'a>) -> Self {
        Self::in_role(builder, Role::Top)
    }

    pub(super) fn in_role(builder: &'s mut SampleBuilder<'a>, role: Role<'a>) -> Self {
        Self { builder, role, depth: 0 }
    }

    /// Keeps the reason in the builder, and stops the reader with an error of its own kind.
    pub(super) fn stop<E: Error>(self, result: Result<(), Reject>) -> Result<(), E> {
        result.map_err(|reject| {
            self.builder.reject = Some(reject);
            E::custom("rejected")
        })
    }

    /// The role of a value that makes the array around it a sample.
    fn within_sample(&mut self, index: usize) -> Result<Role<'a>, Reject> {
        self.builder.begin_array()?;
        let root = &self.builder.schema.sample;
        if !root.is_indexed() {
            return Ok(Role::Position);
        }
        let child = root.find_index(index).and_then(|place| root.child(place));
        Ok(child.map_or(Role::Other, Role::Member))
    }

    pub(super) fn number(&mut self, value: f64) -> Result<(), Reject> {
        let single = self.builder.schema.is_single();
        if let Role::Element(index) = self.role
            && !single
        {
            self.role = self.within_sample(index)?;
        }
        let builder = &mut *self.builder;
        match self.role {
            Role::Top | Role::Element(_) if single => {
                builder.begin()?;
                builder.push(value)?;
                builder.end_positions()
            }
            Role::Top if builder.schema.sample.is_indexed() => {
                Err(wrong_shape("it is a number, but payload.fields names places of an array"))
            }
            Role::Top if builder.schema.whole => {
                builder.begin()?;
                builder.push(value)?;
                builder.end_positions()
            }
            Role::Top | Role::Element(_) => Err(builder.wrong_length("1".to_owned())),
            Role::Position => builder.push(value),
            Role::Samples => Err(wrong_shape("payload.samples is a number, not an array")),
            Role::Column(field) => builder.push_column(field, value),
            Role::Series(field) => builder.push_series(field, value),
            Role::TimeSeries => {
                let at = builder.schema.times.of_number(value);
                builder.push_time(at, || value.to_string())
            }
            Role::Member(node) => match node.slot {
                Some(Slot::Field(field)) => builder.set(field, value),
                Some(Slot::Time) if builder.schema.time_of_day.is_none() => {
                    let at = builder.schema.times.of_number(value);
                    builder.take_time(at, || value.to_string())
                }
                Some(Slot::Time | Slot::TimeOfDay) => Err(builder.bad_time(value.to_string())),
                Some(Slot::Samples) => Err(wrong_shape("payload.samples is a number")),
                Some(Slot::Device(_) | Slot::Condition(_)) | None => Ok(()),
            },
            Role::Other => Ok(()),
        }
    }

    /// Booleans count as 0 and 1, but are no times.
    pub(super) fn boolean(&mut self, value: bool) -> Result<(), Reject> {
        if let Some(part) = self.device() {
            return self.device_name(part, if value { "true" } else { "false" });
        }
        if self.time_slot().is_some() || matches!(self.role, Role::TimeSeries) {
            return Err(self.builder.bad_time(value.to_string()));
        }
        self.number(f64::from(u8::from(value)))
    }

    /// The part of a device's name that the value at hand is.
    pub(super) fn device(&self) -> Option<usize> {
        match self.role {
            Role::Member(Node { slot: Some(Slot::Device(part)), .. }) => Some(*part),
            _ => None,
        }
    }

    /// What of a time the value at hand is.
    fn time_slot(&self) -> Option<Slot> {
        match self.role {
            Role::Member(Node { slot: Some(slot @ (Slot::Time | Slot::TimeOfDay)), .. }) => {
                Some(*slot)
            }
            _ => None,
        }
    }

    pub(super) fn device_name(&mut self, part: usize, name: &str) -> Result<(), Reject> {
        self.builder.set_device(part, name)
    }

    /// A number with a decimal point: some languages write whole ones so.
    pub(super) fn device_number(&mut self, part: usize, value: f64) -> Result<(), Reject> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() < EXACT {
            return self.device_name(part, &format!("{value:.0}"));
        }
        let problem = "send a text, a whole number below 2^53, true or false";
        let field = self.builder.slot_name(Slot::Device(part));
        Err(Reject::BadDevice { field, got: value.to_string(), problem })
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Reject> {
        if let Some(part) = self.device() {
            return self.device_name(part, text);
        }
        let timed = self.builder.schema.time.is_some();
        let reads = self.builder.schema.reads_texts();
        if let Role::Element(index) = self.role
            && (timed || reads)
            && !self.builder.schema.is_single()
        {
            self.role = self.within_sample(index)?;
        }
        if let Some(slot) = self.time_slot() {
            return self.builder.take_text_time(slot, text);
        }
        match self.role {
            Role::Position if timed && self.builder.at_row_start() => {
                self.builder.take_text_time(Slot::Time, text)
            }
            Role::TimeSeries => {
                let at = self.builder.schema.times.of_text(text);
                self.builder.push_time(at, || Got::Text(clip(text)).to_string())
            }
            _ if reads && self.field().is_some() => self.text_number(text),
            Role::Top if self.is_no_sample(text) => self.no_fields(),
            _ => self.not_a_number(Got::Text(clip(text))),
        }
    }

    /// A text that may stand for a number, or for none.
    fn text_number(&mut self, text: &str) -> Result<(), Reject> {
        let schema = self.builder.schema;
        match schema.texts.read(text, schema.missing.as_ref()) {
            Some(value) if value.is_nan() => self.hole(Got::Text(clip(text))),
            Some(value) => self.number(value),
            None => self.not_a_number(Got::Text(clip(text))),
        }
    }

    /// The field that the value at hand is wanted for.
    fn field(&self) -> Option<usize> {
        match self.role {
            Role::Member(Node { slot: Some(Slot::Field(field)), .. }) => Some(*field),
            Role::Column(field) | Role::Series(field) => Some(field),
            Role::Position => Some(self.builder.position()),
            Role::Top if self.builder.schema.width == 1 => Some(0),
            Role::Element(_) if self.builder.schema.is_single() => Some(0),
            _ => None,
        }
    }

    /// A value that stands for no number: refused where the field must have one.
    pub(super) fn hole(&mut self, got: Got) -> Result<(), Reject> {
        let schema = self.builder.schema;
        let Some(missing) = &schema.missing else { return self.not_a_number(got) };
        if let Role::Element(index) = self.role
            && !schema.is_single()
        {
            self.role = self.within_sample(index)?;
        }
        let rule = self.field().map(|field| missing.of(self.builder.field_of(field)));
        match rule {
            None | Some(Missing::Reject) => self.not_a_number(got),
            Some(_) => self.number(f64::NAN),
        }
    }

    /// A value that is not a number: refused where one is wanted.
    pub(super) fn not_a_number(&mut self, got: Got) -> Result<(), Reject> {
        let field = match self.role {
            Role::Member(Node { slot: Some(Slot::Time | Slot::TimeOfDay), .. })
            | Role::TimeSeries => return Err(self.builder.bad_time(got.to_string())),
            Role::Member(Node { slot: Some(slot @ Slot::Device(_)), .. }) => {
                let problem = "send a text, a whole number, true or false";
                let field = self.builder.slot_name(*slot);
                return Err(Reject::BadDevice { field, got: got.to_string(), problem });
            }
            Role::Member(Node { slot: Some(slot), .. }) => self.builder.slot_name(*slot),
            Role::Member(_) | Role::Other => return Ok(()),
            Role::Column(field) | Role::Series(field) => self.builder.field_name(field),
            Role::Position => self.builder.position_name(),
            Role::Top => "the payload".to_owned(),
            Role::Element(_) | Role::Samples => "a sample".to_owned(),
        };
        Err(Reject::NotANumber { field, got })
    }

    /// Goes one level down.
    fn deeper(&self) -> Result<usize, Reject> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_NESTING { Err(Reject::Nesting { max: MAX_NESTING }) } else { Ok(depth) }
    }

    /// Reads the members of an object that `node` describes.
    pub(super) fn members<'de, A: MapAccess<'de>>(
        &mut self,
        node: &'a Node,
        depth: usize,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(found) = map.next_key_seed(Key { node, next })? {
            let role = match found.and_then(|place| node.child(place)) {
                Some(child) => Role::Member(child),
                None => Role::Other,
            };
            next = found.map_or(next, |place| place.saturating_add(1));
            map.next_value_seed(PayloadVisitor { builder: self.builder, role, depth })?;
        }
        Ok(())
    }

    pub(super) fn elements<'de, A: SeqAccess<'de>>(
        &mut self,
        within: Within<'a>,
        depth: usize,
        seq: &mut A,
    ) -> Result<(), A::Error> {
        for index in 0.. {
            let role = match within {
                Within::Array => Role::Element(index),
                Within::Places(node) => {
                    let child = node.find_index(index).and_then(|place| node.child(place));
                    child.map_or(Role::Other, Role::Member)
                }
                Within::All(role) => role,
            };
            if seq
                .next_element_seed(PayloadVisitor { builder: self.builder, role, depth })?
                .is_none()
            {
                break;
            }
        }
        Ok(())
    }

    /// Decides what an object is: the node that describes its members, and the level they are on.
    pub(super) fn enter_map(&mut self) -> Result<(&'a Node, usize), Reject> {
        static NOTHING: Node = Node::EMPTY;
        let depth = self.deeper()?;
        let schema = self.builder.schema;
        let node = match self.role {
            Role::Top if schema.envelope.is_some() => schema.envelope.as_ref(),
            Role::Top => {
                if schema.whole {
                    self.builder.begin_columns()?
                } else {
                    self.builder.begin_named()?
                }
                Some(&schema.sample)
            }
            Role::Element(_) => {
                self.builder.of_samples()?;
                self.builder.begin_named()?;
                if schema.whole {
                    self.builder.in_rows();
                }
                Some(&schema.sample)
            }
            Role::Member(node) if !node.is_leaf() => Some(node),
            Role::Other => None,
            Role::Member(_)
            | Role::Position
            | Role::Column(_)
            | Role::Series(_)
            | Role::TimeSeries
            | Role::Samples => {
                self.not_a_number(Got::Object)?;
                None
            }
        };
        Ok((node.unwrap_or(&NOTHING), depth))
    }

    pub(super) fn leave_map(&mut self) -> Result<(), Reject> {
        match self.role {
            Role::Top if self.builder.schema.envelope.is_some() => {
                if self.builder.is_empty() {
                    Err(self.builder.missing_samples())
                } else {
                    Ok(())
                }
            }
            Role::Top if self.builder.schema.whole => self.builder.end_columns(),
            Role::Top | Role::Element(_) => self.builder.end_named(),
            _ => Ok(()),
        }
    }

    /// Decides what an array is: what its elements are, and the level they are on.
    pub(super) fn enter_seq(&mut self) -> Result<(Within<'a>, usize), Reject> {
        let depth = self.deeper()?;
        let schema = self.builder.schema;
        if let Role::Element(index) = self.role
            && schema.whole
        {
            self.role = self.within_sample(index)?;
        }
        let within = match self.role {
            Role::Top | Role::Samples => Within::Array,
            Role::Member(Node { slot: Some(Slot::Samples), .. }) => {
                self.role = Role::Samples;
                Within::Array
            }
            Role::Element(index) if schema.in_columns => {
                self.builder.of_samples()?;
                self.builder.begin_arrays()?;
                self.builder.open_series(index)?;
                Within::All(Role::Series(index))
            }
            Role::Element(_) => {
                self.builder.of_samples()?;
                if schema.sample.is_indexed() {
                    self.builder.begin_named()?;
                    Within::Places(&schema.sample)
                } else {
                    self.builder.begin()?;
                    Within::All(Role::Position)
                }
            }
            Role::Position if schema.whole => Within::All(Role::Position),
            Role::Column(field) => Within::All(Role::Column(field)),
            Role::Member(Node { slot: Some(Slot::Field(field)), .. }) if schema.whole => {
                self.builder.open_column(*field);
                Within::All(Role::Column(*field))
            }
            Role::Member(Node { slot: Some(Slot::Field(field)), .. }) => {
                self.builder.open_series(*field)?;
                Within::All(Role::Series(*field))
            }
            Role::Member(Node { slot: Some(Slot::Time), .. }) if !schema.whole => {
                self.builder.open_time_series();
                Within::All(Role::TimeSeries)
            }
            Role::Member(node) if node.slot.is_none() && !node.is_leaf() => Within::Places(node),
            Role::Other => Within::All(Role::Other),
            Role::Member(_) | Role::Position | Role::Series(_) | Role::TimeSeries => {
                self.not_a_number(Got::Array)?;
                Within::All(Role::Other)
            }
        };
        Ok((within, depth))
    }

    pub(super) fn leave_seq(&mut self) -> Result<(), Reject> {
        match self.role {
            Role::Top | Role::Samples => self.builder.end_array(),
            Role::Element(_) if self.builder.schema.in_columns => Ok(()),
            Role::Element(_) if self.builder.schema.sample.is_indexed() => self.builder.end_named(),
            Role::Element(_) => self.builder.end_positions(),
            _ => Ok(()),
        }
    }
}
