//! Payloads that are text.

use crate::pipeline::reject::Reject;

/// The beginning of a text, as long as an error message needs.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The text of a payload, without what some devices put around it: a byte order mark, and the NUL
/// that ends texts in C.
pub(super) fn utf8(payload: &[u8]) -> Result<&str, Reject> {
    let mut payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    while let Some(shorter) = payload.strip_suffix(b"\0") {
        payload = shorter;
    }
    std::str::from_utf8(payload).map_err(|error| {
        let advice = match payload {
            [0x1f, 0x8b, ..] => "it is compressed with gzip, set payload.compression",
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
                "it is compressed with zlib, set payload.compression"
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16, send UTF-8",
            _ => "send text as UTF-8, or set payload.format to the format that is sent",
        };
        Reject::NotUtf8 { at: error.valid_up_to(), advice }
    })
}
