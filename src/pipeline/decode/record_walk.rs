//! A walk for messages whose objects are records of scalars rather than samples: a name and a
//! value, or a text that holds bytes. Goes down the tree of wanted members as
//! [`PayloadVisitor`](super::payload_visitor::PayloadVisitor) does, and gives each record at once,
//! because its members may come in any order.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::cbor::ByteString;
use super::field_tree::{Node, Slot};
use super::key::Key;
use super::payload_visitor::MAX_NESTING;
use super::record::{Record, Scalar};
use super::schema::PayloadSchema;
use crate::pipeline::reject::{Got, Reject};

/// The members of a record that are wanted.
#[derive(Clone, Debug)]
pub(super) struct RecordTree {
    pub(super) record: Node,
    /// The records and what goes for all of them within the object around them, where
    /// `payload.samples` is set.
    pub(super) envelope: Option<Node>,
}

impl RecordTree {
    /// The tree of records whose fields, in order, have these names. The time and the parts of the
    /// device's name for which `is_elsewhere` holds are not looked for.
    pub(super) fn new(
        schema: &PayloadSchema,
        fields: &[&String],
        is_elsewhere: impl Fn(&str) -> bool,
    ) -> Self {
        let around = |node: &mut Node| {
            if let Some(time) = schema.time.as_ref().filter(|name| !is_elsewhere(name)) {
                node.add_time(time);
            }
            if let Some(time) = &schema.time_of_day {
                node.add(time, Slot::TimeOfDay);
            }
            for (part, name) in schema.device.iter().enumerate() {
                if !is_elsewhere(name) {
                    node.add(name, Slot::Device(part));
                }
            }
        };
        let mut record = Node::default();
        for (place, name) in fields.iter().enumerate() {
            record.add(name, Slot::Field(place));
        }
        around(&mut record);
        let envelope = schema.samples.as_ref().map(|samples| {
            let mut node = Node::default();
            node.add(samples, Slot::Samples);
            around(&mut node);
            node
        });
        Self { record, envelope }
    }

    /// The same, with another place for the time of a record.
    pub(super) fn with_time(mut self, time: Option<&str>) -> Self {
        if let Some(time) = time {
            self.record.add_time(time);
        }
        self
    }
}

/// Takes the records of a message, each when it ends.
pub(super) trait RecordSink {
    /// # Errors
    /// Why the message is refused.
    fn record(&mut self, record: &mut Record) -> Result<(), Reject>;
}

/// The state of a walk.
pub(super) struct RecordWalk<'t, K> {
    tree: &'t RecordTree,
    pub(super) sink: K,
    record: Record,
    /// What the object around the records says.
    pub(super) around: Record,
    /// Why the walk was stopped.
    pub(super) reject: Option<Reject>,
}

impl<'t, K: RecordSink> RecordWalk<'t, K> {
    pub(super) fn new(tree: &'t RecordTree, sink: K) -> Self {
        let (record, around) = (Record::default(), Record::default());
        Self { tree, sink, record, around, reject: None }
    }

    pub(super) fn visitor(&mut self) -> RecordVisitor<'_, 't, K> {
        RecordVisitor { walk: self, place: Place::Top, depth: 0 }
    }

    fn end_record(&mut self) -> Result<(), Reject> {
        let ended = self.sink.record(&mut self.record);
        self.record.clear();
        ended
    }
}

static NOTHING: Node = Node::EMPTY;

/// What the value at hand is.
#[derive(Clone, Copy)]
enum Place<'t> {
    Top,
    /// An element of the array of records.
    Record,
    /// A wanted member of a record, or of the object around the records.
    Member {
        node: &'t Node,
        around: bool,
    },
    Other,
}

/// A value about to be read.
pub(super) struct RecordVisitor<'w, 't, K> {
    walk: &'w mut RecordWalk<'t, K>,
    place: Place<'t>,
    depth: usize,
}

impl<'t, K: RecordSink> RecordVisitor<'_, 't, K> {
    fn stop<E: Error>(self, result: Result<(), Reject>) -> Result<(), E> {
        result.map_err(|reject| {
            self.walk.reject = Some(reject);
            E::custom("rejected")
        })
    }

    fn scalar<E: Error>(self, value: Scalar) -> Result<(), E> {
        let result = match self.place {
            Place::Member { node: Node { slot: Some(slot), .. }, around } => {
                let record = if around { &mut self.walk.around } else { &mut self.walk.record };
                record.put(*slot, value);
                Ok(())
            }
            Place::Member { .. } | Place::Other => Ok(()),
            Place::Top | Place::Record => {
                let problem = "its records are no objects".to_owned();
                Err(Reject::Syntax { format: "of the configured shape", problem })
            }
        };
        self.stop(result)
    }

    fn deeper(&self) -> Result<usize, Reject> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_NESTING { Err(Reject::Nesting { max: MAX_NESTING }) } else { Ok(depth) }
    }

    /// The node of the members of the array or object at hand, and whether these are around the
    /// records; `None` where they are of no use.
    fn node(&self) -> Option<(&'t Node, bool)> {
        match self.place {
            Place::Top => match &self.walk.tree.envelope {
                Some(envelope) => Some((envelope, true)),
                None => Some((&self.walk.tree.record, false)),
            },
            Place::Member { node, around } if !node.is_leaf() => Some((node, around)),
            Place::Member { node: Node { slot: Some(Slot::Samples), .. }, .. } | Place::Record => {
                Some((&self.walk.tree.record, false))
            }
            Place::Member { .. } | Place::Other => None,
        }
    }

    /// Whether the object or array at hand is a record by itself.
    fn is_record(&self) -> bool {
        match self.place {
            Place::Top => self.walk.tree.envelope.is_none(),
            Place::Record => true,
            Place::Member { node, .. } => node.slot == Some(Slot::Samples),
            Place::Other => false,
        }
    }

    fn no_scalar(&mut self, got: Got) {
        if let Place::Member { node, around } = self.place
            && let Some(slot) = node.slot.filter(|slot| *slot != Slot::Samples && node.is_leaf())
        {
            let record = if around { &mut self.walk.around } else { &mut self.walk.record };
            record.put(slot, Scalar::Other(got));
        }
    }
}

impl<'de, K: RecordSink> DeserializeSeed<'de> for RecordVisitor<'_, '_, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, K: RecordSink> Visitor<'de> for RecordVisitor<'_, '_, K> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Scalar::Real(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(Scalar::Whole(i128::from(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Scalar::Whole(i128::from(value)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Scalar::Other(Got::Null))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        self.scalar(Scalar::Bytes(bytes.to_vec()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        let ByteString { bytes, .. } = ByteString::deserialize(value)?;
        self.scalar(Scalar::Bytes(bytes))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.no_scalar(Got::Object);
        let depth = match self.deeper() {
            Ok(depth) => depth,
            Err(reject) => return self.stop(Err(reject)),
        };
        let (node, around) = self.node().unwrap_or((&NOTHING, false));
        let mut next = 0;
        while let Some(found) = map.next_key_seed(Key { node, next })? {
            let place = match found.and_then(|place| node.child(place)) {
                Some(node) => Place::Member { node, around },
                None => Place::Other,
            };
            next = found.map_or(next, |place| place.saturating_add(1));
            map.next_value_seed(RecordVisitor { walk: self.walk, place, depth })?;
        }
        let ended = if self.is_record() { self.walk.end_record() } else { Ok(()) };
        self.stop(ended)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.no_scalar(Got::Array);
        let depth = match self.deeper() {
            Ok(depth) => depth,
            Err(reject) => return self.stop(Err(reject)),
        };
        let of_records = match self.place {
            Place::Top => true,
            Place::Member { node, .. } => node.slot == Some(Slot::Samples),
            Place::Record | Place::Other => false,
        };
        for index in 0.. {
            let place = if of_records {
                Place::Record
            } else {
                let found = self.node().and_then(|(node, around)| {
                    let node = node.child(node.find_index(index)?)?;
                    Some(Place::Member { node, around })
                });
                found.unwrap_or(Place::Other)
            };
            let visitor = RecordVisitor { walk: self.walk, place, depth };
            if seq.next_element_seed(visitor)?.is_none() {
                break;
            }
        }
        let ended = if !of_records && self.is_record() { self.walk.end_record() } else { Ok(()) };
        self.stop(ended)
    }
}
