//! The types of a message and of the messages within it.

use super::descriptor_set::DescriptorSet;

/// The type of a message, and those of all messages that it may have within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTypes {
    /// The first one is the message itself.
    pub(super) types: Vec<MessageType>,
}

/// The fields of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// With its package: `meshtastic.Telemetry`.
    pub name: String,
    /// In the order of their numbers.
    pub fields: Vec<FieldType>,
    /// An entry of a map: field 1 is its key, field 2 its value.
    pub is_map_entry: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldType {
    pub number: u64,
    pub name: String,
    pub kind: FieldKind,
    pub is_repeated: bool,
    /// The `oneof` that the field is in, by its number in the message.
    pub oneof: Option<u64>,
    /// Where the field is not in a message, it has no value, rather than 0 or an empty one.
    pub has_presence: bool,
}

/// What a field holds. The numbers in `descriptor.proto` are those of these kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    /// A message: the place of its type in [`MessageTypes`].
    Message(usize),
    Bytes,
    Uint32,
    Enum,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

/// The well-known type of a time.
const TIMESTAMP: &str = "google.protobuf.Timestamp";

impl MessageTypes {
    /// Reads the types of a message from a descriptor set, as `protoc --include_imports
    /// --descriptor_set_out` writes it. `embedded` names fields of bytes that hold another message:
    /// `("meshtastic.Data.payload", "meshtastic.Telemetry")`.
    ///
    /// # Errors
    /// A set that is malformed or lacks one of the types, a group of proto2, and a name in `embedded`
    /// that is no field of bytes; in words.
    pub fn read(set: &[u8], message: &str, embedded: &[(String, String)]) -> Result<Self, String> {
        let set = DescriptorSet::index(set)?;
        let types = set.types_of(message, embedded)?;
        Ok(Self { types })
    }

    /// The message itself.
    #[must_use]
    pub fn root(&self) -> Option<&MessageType> {
        self.types.first()
    }

    /// The type of a field that is a message.
    #[must_use]
    pub fn of(&self, kind: FieldKind) -> Option<&MessageType> {
        match kind {
            FieldKind::Message(place) => self.types.get(place),
            _ => None,
        }
    }

    /// Checks that a path leads to a field.
    ///
    /// # Errors
    /// What it leads to instead, in words.
    pub fn check_path(&self, path: &[String]) -> Result<(), String> {
        let mut of = self.root();
        let mut names = path.iter();
        while let Some(name) = names.next() {
            let Some(message) = of else {
                return Err(format!("has no fields, so that {name:?} is none of them"));
            };
            if message.is_timestamp() {
                return Err(format!("is a {TIMESTAMP}: name it without {name:?}"));
            }
            let Some(field) = message.fields.iter().find(|field| field.name == *name) else {
                return Err(message.has_no(name));
            };
            of = self.of(field.kind);
            if let Some(entry) = of.filter(|it| it.is_map_entry) {
                _ = names.next();
                of = entry.fields.get(1).and_then(|value| self.of(value.kind));
            } else if field.is_repeated {
                _ = names.next();
            }
        }
        Ok(())
    }
}

impl MessageType {
    /// The place of the field of this number.
    #[must_use]
    pub fn find(&self, number: u64) -> Option<usize> {
        // Most messages number their fields from 1 on.
        let guess = usize::try_from(number).ok()?.checked_sub(1)?;
        if self.fields.get(guess).is_some_and(|field| field.number == number) {
            return Some(guess);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }

    /// Whether this is the well-known type of a time.
    #[must_use]
    pub fn is_timestamp(&self) -> bool {
        self.name == TIMESTAMP
    }

    fn has_no(&self, name: &str) -> String {
        let names: Vec<&str> = self.fields.iter().take(32).map(|it| it.name.as_str()).collect();
        format!("{} has no field {name:?}; it has {}", self.name, names.join(", "))
    }
}

impl FieldKind {
    /// Whether repeated values of the kind may be packed into one field.
    #[must_use]
    pub fn is_packable(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message(_))
    }
}
