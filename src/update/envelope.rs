//! DSSE envelopes: the raw bytes of a document, its type and signatures over both, so nothing
//! depends on how JSON is written. (Dead Simple Signing Envelope, v1.0:
//! <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>.)

use base64ct::{Base64, Encoding as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::VerifyError;
use super::keys::{PublicKey, SIGNATURE_LEN, SecretKey};
use crate::ids::Digest;

/// The most signatures an envelope may carry: more are an attack on the processor.
const MAX_SIGNATURES: usize = 16;

/// A kind of signed document.
pub trait Document: Serialize + DeserializeOwned {
    /// The payload type its envelope carries; a document that means something else gets another.
    const TYPE: &'static str;
    /// What it is called in messages.
    const NAME: &'static str;
    /// The largest envelope that is parsed, in bytes.
    const MAX_SIZE: usize;

    /// What the types alone do not hold.
    ///
    /// # Errors
    /// What is wrong with the document.
    fn check(&self) -> Result<(), String>;
}

/// Signed bytes of which nothing is known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signed {
    key: Digest,
    signature: [u8; SIGNATURE_LEN],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: Digest,
    sig: String,
}

impl Envelope {
    /// A document without signatures.
    ///
    /// # Errors
    /// A document that is not as it must be.
    pub fn of<D: Document>(document: &D) -> Result<Self, VerifyError> {
        document.check().map_err(|why| VerifyError::Malformed { what: D::NAME, why })?;
        let payload = serde_json::to_vec_pretty(document);
        let payload = payload.map_err(|error| malformed::<D>(&error))?;
        Ok(Self { payload_type: D::TYPE.to_owned(), payload, signatures: Vec::new() })
    }

    /// Reads an envelope; its size is judged before anything of it is parsed.
    ///
    /// # Errors
    /// Bytes that are no envelope.
    pub fn read<D: Document>(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > D::MAX_SIZE {
            return Err(VerifyError::TooLarge { what: D::NAME, max: D::MAX_SIZE });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(|error| malformed::<D>(&error))?;
        let wrong = |why: &str| VerifyError::Malformed { what: D::NAME, why: why.to_owned() };
        if wire.signatures.len() > MAX_SIGNATURES {
            return Err(wrong("more than 16 signatures"));
        }
        let signatures = wire.signatures.iter().map(|signed| {
            let bytes = Base64::decode_vec(&signed.sig).ok();
            let signature = bytes.and_then(|bytes| bytes.try_into().ok());
            let signature = signature.ok_or_else(|| wrong("a signature is not 64 bytes"))?;
            Ok(Signed { key: signed.keyid, signature })
        });
        Ok(Self {
            payload: Base64::decode_vec(&wire.payload).map_err(|_| wrong("payload not base64"))?,
            signatures: signatures.collect::<Result<_, _>>()?,
            payload_type: wire.payload_type,
        })
    }

    /// The envelope as it is published. Signatures are in the order of their keys, so the order of
    /// signing changes nothing.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|signed| WireSignature {
            keyid: signed.key,
            sig: Base64::encode_string(&signed.signature),
        });
        let wire = Wire {
            payload_type: self.payload_type.clone(),
            payload: Base64::encode_string(&self.payload),
            signatures: signatures.collect(),
        };
        // Texts and digests: there is no value that JSON lacks.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Adds the signature of `key`; a second one of the same key replaces the first.
    pub fn sign(&mut self, key: &SecretKey) {
        let signature = key.sign(&self.signed_bytes());
        let key = key.public().id();
        self.signatures.retain(|signed| signed.key != key);
        self.signatures.push(Signed { key, signature });
        self.signatures.sort_by_key(|signed| signed.key);
    }

    /// How many of `keys` signed, each counted once however often it is there.
    pub(super) fn signers(&self, keys: &[PublicKey]) -> usize {
        let message = self.signed_bytes();
        let signed = |key: &&PublicKey| {
            let of_key = self.signatures.iter().filter(|signed| signed.key == key.id());
            of_key.take(1).any(|signed| key.signed(&message, &signed.signature))
        };
        let mut distinct: Vec<&PublicKey> = keys.iter().collect();
        distinct.sort();
        distinct.dedup();
        distinct.into_iter().filter(signed).count()
    }

    /// The keys that claim to have signed.
    pub fn claimed(&self) -> impl Iterator<Item = Digest> {
        self.signatures.iter().map(|signed| signed.key)
    }

    /// The document. Only `super::trust` asks, after the signatures; or a tool that shows what
    /// it has not verified, and reports that.
    ///
    /// # Errors
    /// Another type of document, or one that is not as it must be.
    pub fn unverified<D: Document>(&self) -> Result<D, VerifyError> {
        if self.payload_type != D::TYPE {
            let found = self.payload_type.clone();
            return Err(VerifyError::OtherType { what: D::NAME, wanted: D::TYPE, found });
        }
        let document: D =
            serde_json::from_slice(&self.payload).map_err(|error| malformed::<D>(&error))?;
        document.check().map_err(|why| VerifyError::Malformed { what: D::NAME, why })?;
        Ok(document)
    }

    /// The pre-authentication encoding: what is signed.
    fn signed_bytes(&self) -> Vec<u8> {
        let kind = &self.payload_type;
        let head = format!("DSSEv1 {} {kind} {} ", kind.len(), self.payload.len());
        [head.as_bytes(), &self.payload].concat()
    }
}

fn malformed<D: Document>(error: &serde_json::Error) -> VerifyError {
    VerifyError::Malformed { what: D::NAME, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_encoding_of_the_standard() {
        let envelope = Envelope {
            payload_type: "http://example.com/HelloWorld".into(),
            payload: b"hello world".to_vec(),
            signatures: Vec::new(),
        };
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(envelope.signed_bytes(), expected);
    }
}
