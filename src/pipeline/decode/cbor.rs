//! CBOR payloads (RFC 8949): item headers read by `ciborium-ll`, given to serde's data model so that
//! the one walk serves JSON and CBOR. Tags are passed over: a tagged time is read like a bare one.

use std::fmt;

use ciborium_ll::{Decoder, Header, simple};
use serde::de::value::BytesDeserializer;
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
        read(payload, PayloadVisitor::new(&mut builder))
            .map_err(|malformed| builder.reject.take().unwrap_or(malformed))?;
        builder.finish()
    }
}

/// Reads a payload with any seed.
///
/// # Errors
/// What the reader stumbled over; a seed that stops it keeps its own reason.
pub(super) fn read<'p, S: DeserializeSeed<'p, Value = ()>>(
    payload: &'p [u8],
    seed: S,
) -> Result<(), Reject> {
    let (text, bytes) = (String::new(), Vec::new());
    let mut items = Items { decoder: Decoder::from(payload), text, bytes, tag: None };
    let read = seed.deserialize(&mut items);
    let end = items.decoder.offset();
    let read = read.and_then(|()| {
        let left = payload.len().saturating_sub(end);
        if left == 0 { Ok(()) } else { Err(CborError(format!("{left} bytes follow it"))) }
    });
    read.map_err(|error| {
        let problem = format!("{} (at byte {end} of {})", error.0, payload.len());
        Reject::Syntax { format: "CBOR", problem }
    })
}

/// Items one after the other.
struct Items<'p> {
    decoder: Decoder<&'p [u8]>,
    text: String,
    bytes: Vec<u8>,
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

    /// The exponent and the mantissa of a decimal fraction, as the number they stand for.
    fn decimal_fraction(&mut self) -> Result<f64, CborError> {
        let mut whole = || match self.header()? {
            Header::Positive(value) => Ok(i128::from(value)),
            Header::Negative(n) => Ok(-1 - i128::from(n)),
            _ => Err(CborError("a decimal fraction of something else than integers".to_owned())),
        };
        let (exponent, mantissa) = (whole()?, whole()?);
        let power = i32::try_from(exponent.clamp(-400, 400)).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "mantissas above 2^53 are no readings")]
        let mantissa = mantissa as f64;
        // A power of ten up to 22 is exact, so that the quotient is rounded once.
        let power = (power < 0, 10_f64.powi(power.abs()));
        Ok(if power.0 { mantissa / power.1 } else { mantissa * power.1 })
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

    /// Reads the segments of a byte string into the one buffer, behind its tag.
    fn read_bytes(&mut self, len: Option<usize>) -> Result<(), CborError> {
        self.bytes.clear();
        self.bytes.extend(self.tag.unwrap_or(NO_TAG).to_le_bytes());
        let mut chunk = [0_u8; 256];
        let mut segments = self.decoder.bytes(len);
        while let Some(mut segment) = segments.pull()? {
            while let Some(bytes) = segment.pull(&mut chunk)? {
                self.bytes.extend_from_slice(bytes);
            }
        }
        Ok(())
    }
}

/// The tag of a decimal fraction (RFC 8949, 3.4.4).
const DECIMAL_FRACTION: u64 = 4;

/// Stands for no tag; no tag is this number (RFC 8949, 9.2).
const NO_TAG: u64 = u64::MAX;

/// A byte string of CBOR with the tag before it. Serde's data model has no tags: the reader gives
/// a newtype of bytes, of which the first eight are the tag.
#[derive(Debug)]
pub(super) struct ByteString {
    pub(super) tag: Option<u64>,
    pub(super) bytes: Vec<u8>,
}

impl ByteString {
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(newtype: D) -> Result<Self, D::Error> {
        newtype.deserialize_bytes(TaggedBytes)
    }
}

struct TaggedBytes;

impl Visitor<'_> for TaggedBytes {
    type Value = ByteString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag and bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, tagged: &[u8]) -> Result<ByteString, E> {
        let (tag, bytes) = tagged.split_first_chunk().ok_or_else(|| E::custom("no tag"))?;
        let tag = Some(u64::from_le_bytes(*tag)).filter(|tag| *tag != NO_TAG);
        Ok(ByteString { tag, bytes: bytes.to_vec() })
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
                self.read_bytes(len)?;
                visitor.visit_newtype_struct(BytesDeserializer::new(&self.bytes))
            }
            Header::Array(Some(2)) if self.tag == Some(DECIMAL_FRACTION) => {
                visitor.visit_f64(self.decimal_fraction()?)
            }
            Header::Array(_) if matches!(self.tag, Some(5 | 40 | 1040)) => Err(CborError(
                "it has a bigfloat or a multi-dimensional array (tags 5, 40, 1040): send floats, \
                 and an array of arrays"
                    .to_owned(),
            )),
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
