//! Predictions as bytes.

use bytes::Bytes;

const JSON_FALSE: &[u8] = br#""replayed":false}"#;
const JSON_TRUE: &[u8] = br#""replayed":true}"#;
/// A CBOR text of eight bytes, then false; true is the next code.
const CBOR_FALSE: &[u8] = b"\x68replayed\xf4";
const CBOR_TRUE: &[u8] = b"\x68replayed\xf5";

/// Turns an encoded prediction's `replayed` to true, without decoding it: it is the last field of
/// the message in both encodings. `None` where the bytes are no such message, or are marked already.
#[must_use]
pub fn mark_replayed(payload: &[u8]) -> Option<Bytes> {
    let swap = |from: &[u8], to: &[u8]| {
        let body = payload.strip_suffix(from)?;
        Some(Bytes::from([body, to].concat()))
    };
    swap(JSON_FALSE, JSON_TRUE).or_else(|| swap(CBOR_FALSE, CBOR_TRUE))
}
