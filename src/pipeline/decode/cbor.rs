//! CBOR payloads (RFC 8949): item headers read by `ciborium-ll`, given to serde's data model so that
//! the one walk serves JSON and CBOR. Tags are passed over: a tagged time is read like a bare one.

use std::fmt;

use ciborium_ll::{Decoder, Header, simple};
use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::decoder::{Decoded, PayloadDecoder};
use super::payload_visitor::PayloadVisitor;
use super::sample_builder::SampleBuilder;
use super::schema::PayloadSchema;
use crate::pipeline::reject::Reject;

/// Decodes CBOR.
#[derive(Debug)]
pub(super) struct CborDecoder {
    schema: PayloadSchema,
}

impl CborDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        Self { schema }
    }
}

impl PayloadDecoder for CborDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        read(payload, &mut builder)?;
        builder.finish()
    }
}

/// Reads a payload by a visitor of one's own.
pub(super) fn visit<'p, S: DeserializeSeed<'p>>(
    payload: &'p [u8],
    seed: S,
) -> Result<S::Value, impl std::error::Error + use<S>> {
    let mut items = Items { decoder: Decoder::from(payload), text: String::new(), tag: None };
    seed.deserialize(&mut items)
}

fn read(payload: &[u8], builder: &mut SampleBuilder<'_>) -> Result<(), Reject> {
    let mut items = Items { decoder: Decoder::from(payload), text: String::new(), tag: None };
    let read = PayloadVisitor::new(builder).deserialize(&mut items);
    let end = items.decoder.offset();
    let read = read.and_then(|()| {
        let left = payload.len().saturating_sub(end);
        if left == 0 { Ok(()) } else { Err(CborError(format!("{left} bytes follow it"))) }
    });
    read.map_err(|error| {
        let problem = || format!("{} (at byte {end} of {})", error.0, payload.len());
        let syntax = || Reject::Syntax { format: "CBOR", problem: problem() };
        builder.reject.take().unwrap_or_else(syntax)
    })
}

/// Items one after the other.
struct Items<'p> {
    decoder: Decoder<&'p [u8]>,
    text: String,
    /// The last tag before the item at hand.
    tag: Option<u64>,
}

#[derive(Debug)]
struct CborError(String);

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CborError {}

impl serde::de::Error for CborError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl<E: fmt::Debug> From<ciborium_ll::Error<E>> for CborError {
    fn from(error: ciborium_ll::Error<E>) -> Self {
        Self(match error {
            ciborium_ll::Error::Io(_) => "it ends too early".to_owned(),
            ciborium_ll::Error::Syntax(at) => format!("malformed item at byte {at}"),
        })
    }
}

impl Items<'_> {
    fn header(&mut self) -> Result<Header, CborError> {
        self.tag = None;
        loop {
            match self.decoder.pull()? {
                Header::Tag(tag) => self.tag = Some(tag),
                header => return Ok(header),
            }
        }
    }

    /// Reads the segments of a text into the one buffer.
    fn read_text(&mut self, len: Option<usize>) -> Result<(), CborError> {
        self.text.clear();
        let mut chunk = [0_u8; 256];
        let mut segments = self.decoder.text(len);
        while let Some(mut segment) = segments.pull()? {
            while let Some(text) = segment.pull(&mut chunk)? {
                self.text.push_str(text);
            }
        }
        Ok(())
    }

    /// Reads past a byte string, and says how long it is.
    fn skip_bytes(&mut self, len: Option<usize>) -> Result<u64, CborError> {
        let (mut chunk, mut count) = ([0_u8; 256], 0_u64);
        let mut segments = self.decoder.bytes(len);
        while let Some(mut segment) = segments.pull()? {
            while let Some(bytes) = segment.pull(&mut chunk)? {
                count = count.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            }
        }
        Ok(count)
    }
}

impl<'de> Deserializer<'de> for &mut Items<'_> {
    type Error = CborError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        match self.header()? {
            Header::Positive(value) => visitor.visit_u64(value),
            // RFC 8949, 3.1: the value is -1 - n.
            Header::Negative(n) => match i64::try_from(n) {
                Ok(n) => visitor.visit_i64(-1 - n),
                #[expect(clippy::cast_precision_loss, reason = "beyond any reading")]
                Err(_) => visitor.visit_f64(-1.0 - n as f64),
            },
            Header::Float(value) => visitor.visit_f64(value),
            Header::Simple(simple::FALSE) => visitor.visit_bool(false),
            Header::Simple(simple::TRUE) => visitor.visit_bool(true),
            Header::Simple(_) => visitor.visit_unit(),
            Header::Text(len) => {
                self.read_text(len)?;
                visitor.visit_str(&self.text)
            }
            Header::Bytes(len) => {
                // Serde's data model has no tags: the walk takes a newtype as length and tag, where
                // 0 is none.
                let tag = self.tag.map_or(0, |tag| tag.saturating_add(1));
                let shown = [self.skip_bytes(len)?, tag];
                visitor.visit_newtype_struct(SeqDeserializer::new(shown.into_iter()))
            }
            Header::Array(len) => visitor.visit_seq(Within { items: self, left: len }),
            Header::Map(len) => visitor.visit_map(Within { items: self, left: len }),
            Header::Tag(_) | Header::Break => Err(CborError("a break outside of an array".into())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// The rest of an array or map; without a length it ends with a break.
struct Within<'i, 'p> {
    items: &'i mut Items<'p>,
    left: Option<usize>,
}

impl Within<'_, '_> {
    /// Whether another element follows.
    fn more(&mut self) -> Result<bool, CborError> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => match self.items.decoder.pull()? {
                Header::Break => {
                    self.left = Some(0);
                    Ok(false)
                }
                header => {
                    self.items.decoder.push(header);
                    Ok(true)
                }
            },
        }
    }
}

impl<'de> SeqAccess<'de> for Within<'_, '_> {
    type Error = CborError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CborError> {
        if self.more()? { seed.deserialize(&mut *self.items).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Within<'_, '_> {
    type Error = CborError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CborError> {
        if self.more()? { seed.deserialize(&mut *self.items).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CborError> {
        seed.deserialize(&mut *self.items)
    }
}
