//! Identifiers, parsed once so that every later use in a topic, a key or a path is valid.

use std::fmt;

use sha2::Digest as _;

/// The error for a text that is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a name: 1 to 64 of a-z A-Z 0-9 . _ - and not starting with a dot")]
pub struct BadName {
    text: String,
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// Anything that is not 1 to 64 of `a-z A-Z 0-9 . _ -`, or starts with a dot.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                if is_name(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadName { text: text.to_owned() })
                }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A gateway of the fleet; one topic level.
    GatewayId
}
name! {
    /// A configured stream; one topic level.
    StreamName
}
name! {
    /// A model, in any version; one topic level and one folder.
    ModelName
}

/// A device within a stream, as captured from the topic; the key of its windows.
///
/// The text is shared, because it is in the device's window, samples and predictions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey(std::sync::Arc<str>);

/// The longest device key, in bytes. A key is stored per device, and any publisher may choose it.
pub const MAX_DEVICE_KEY_BYTES: usize = 128;

impl DeviceKey {
    /// Parses a device key; `None` if the text is empty, longer than [`MAX_DEVICE_KEY_BYTES`], or
    /// contains a control character or an MQTT wildcard.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_DEVICE_KEY_BYTES).contains(&text.len());
        let clean = !text.chars().any(|c| c.is_control() || matches!(c, '+' | '#'));
        (fits && clean).then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lets a map keyed by devices be searched with a borrowed topic level.
impl std::borrow::Borrow<str> for DeviceKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SHA-256 digest, the name of stored bytes, signed documents and public keys. Its text form is
/// 64 lowercase hex digits.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Computes the digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Parses a digest; `None` for anything but 64 lowercase hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let bytes = text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
        bytes.try_into().ok().map(Self)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not 64 lowercase hex digits")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_valid_in_a_topic_and_a_path() {
        assert!(GatewayId::parse("gw-17.site_A").is_ok());
        for bad in ["", ".", "..", ".hidden", "a/b", "a+b", "a#", "a b", "é", &"x".repeat(65)] {
            assert!(GatewayId::parse(bad).is_err(), "{bad:?} was taken for a name");
        }
    }

    #[test]
    fn a_device_key_may_be_any_printable_topic_level() {
        assert!(DeviceKey::parse("watch 7 é").is_some());
        for bad in ["", "a+b", "#", "a\u{0}", &"x".repeat(129)] {
            assert!(DeviceKey::parse(bad).is_none(), "{bad:?} was taken for a device key");
        }
    }
    #[test]
    fn a_digest_reads_back_from_its_text_and_from_no_other() {
        let digest = Digest(std::array::from_fn(|i| u8::try_from(i * 8).unwrap()));
        let text = digest.to_string();
        assert_eq!(Digest::parse(&text), Some(digest));
        for bad in ["", "0", &text[1..], &format!("{text}00"), &text.to_uppercase(), "é"] {
            assert_eq!(Digest::parse(bad), None, "{bad:?} was taken for a digest");
        }
    }
}
