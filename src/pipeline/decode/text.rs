//! Payloads that are text.

use crate::pipeline::reject::Reject;

/// The beginning of a text, as long as an error message needs.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The text of a payload.
pub(super) fn utf8(payload: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(payload).map_err(|error| {
        let advice = match payload {
            [0x1f, 0x8b, ..] => "it is compressed with gzip, send it uncompressed",
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
                "it is compressed with zlib, send it uncompressed"
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16, send UTF-8",
            _ => "send text as UTF-8, or set payload.format to the format that is sent",
        };
        Reject::NotUtf8 { at: error.valid_up_to(), advice }
    })
}
