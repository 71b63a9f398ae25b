//! Ed25519 keys and what they sign (RFC 8032).

use std::fmt;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::ids::Digest;

/// The length of a signature in bytes.
pub(super) const SIGNATURE_LEN: usize = 64;

/// A public key; base64 on the wire. Any 32 bytes are one: whether they are a point of the curve is
/// found out where a signature is checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// `None` for anything but the base64 of 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Base64::decode_vec(text).ok()?.try_into().ok().map(Self)
    }

    /// What envelopes name the key by.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// Whether the key's owner signed these bytes. Strict: a key or a signature of small order is
    /// refused, so that no signature fits two messages or two keys ("Taming the many EdDSAs",
    /// Chalkias, Garillot and Nikolaenko, 2020).
    #[must_use]
    pub(super) fn signed(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let signature = Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        let wrong = || serde::de::Error::custom("not the base64 of a 32-byte public key");
        Self::parse(&text).ok_or_else(wrong)
    }
}

/// A secret key, wiped from memory when it is dropped. It has no text form here: key files are
/// the operator's tool's.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// From 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    #[must_use]
    pub(super) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8032_test_2_is_reproduced() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let key = SecretKey::from_seed(&Digest::parse(seed).unwrap().0);
        let public = Digest(key.public().0).to_string();
        assert_eq!(public, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = key.sign(&[0x72]);
        assert_eq!(signature[..4], [0x92, 0xa0, 0x09, 0xa9]);
        assert!(key.public().signed(&[0x72], &signature));
        assert!(!key.public().signed(&[0x73], &signature));
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The identity point: with it R = identity, S = 0 is a signature of every message for a
        // verifier that is not strict.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; SIGNATURE_LEN];
        signature[0] = 1;
        assert!(!PublicKey(identity).signed(b"anything", &signature));
    }
}
