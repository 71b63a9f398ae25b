//! Bytes written as text: base64 and hexadecimal.

use crate::config::BytesEncoding;

/// Puts the bytes that a text stands for into `out`. Spaces and line breaks are passed over.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn decode(
    encoding: BytesEncoding,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.clear();
    match encoding {
        BytesEncoding::Base64 => base64(text, out),
        BytesEncoding::Hex => hex(text, out),
    }
}

/// Base64 (RFC 4648) of both alphabets, with or without padding.
fn base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut padding = 0_usize;
    for (place, letter) in text.iter().enumerate() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                padding = padding.saturating_add(1);
                continue;
            }
            letter if letter.is_ascii_whitespace() => continue,
            _ => return Err(format!("character {place} is not base64")),
        };
        if padding > 0 {
            return Err(format!("base64 goes on after its padding, at character {place}"));
        }
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            #[expect(clippy::cast_possible_truncation, reason = "the next eight bits")]
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // Six bits that are left are a letter alone, which is no byte.
    if count >= 6 || padding > 2 {
        return Err("base64 is cut off".to_owned());
    }
    Ok(())
}

/// Hexadecimal digits, also with `0x` before them and with `:` or `-` between bytes.
fn hex(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let start = text.len().saturating_sub(text.trim_ascii_start().len());
    let digits = text.get(start..).unwrap_or_default();
    let digits = digits.strip_prefix(b"0x").or(digits.strip_prefix(b"0X")).unwrap_or(digits);
    let before = text.len().saturating_sub(digits.len());
    let mut high = None;
    for (place, digit) in digits.iter().enumerate() {
        let four = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            b':' | b'-' if high.is_none() => continue,
            digit if digit.is_ascii_whitespace() => continue,
            _ => {
                return Err(format!(
                    "character {} is not hexadecimal",
                    place.saturating_add(before)
                ));
            }
        };
        match high.take() {
            None => high = Some(four),
            Some(high) => out.push((high << 4) | four),
        }
    }
    if high.is_some() { Err("a hexadecimal digit is missing".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(encoding: BytesEncoding, text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        decode(encoding, text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn texts_of_devices_are_taken() {
        let table: &[(BytesEncoding, &str, &[u8])] = &[
            (BytesEncoding::Base64, "gkHe", &[0x82, 0x41, 0xde]),
            (BytesEncoding::Base64, "ANcBkA==", &[0, 0xd7, 1, 0x90]),
            (BytesEncoding::Base64, "ANcBkA\n", &[0, 0xd7, 1, 0x90]),
            (BytesEncoding::Base64, "-_8", &[0xfb, 0xff]),
            // RFC 4648, section 10.
            (BytesEncoding::Base64, "Zg==", b"f"),
            (BytesEncoding::Base64, "Zm9vYmE=", b"fooba"),
            (BytesEncoding::Base64, "Zm9vYmFy", b"foobar"),
            (BytesEncoding::Base64, "", &[]),
            (BytesEncoding::Hex, "00d70190", &[0, 0xd7, 1, 0x90]),
            (BytesEncoding::Hex, " 0x00D70190\n", &[0, 0xd7, 1, 0x90]),
            (BytesEncoding::Hex, "00:d7-01 90", &[0, 0xd7, 1, 0x90]),
        ];
        for (encoding, text, bytes) in table {
            assert_eq!(read(*encoding, text).as_deref(), Ok(*bytes), "{text:?}");
        }
        let bad = [
            (BytesEncoding::Base64, "A", "cut off"),
            (BytesEncoding::Base64, "AN=A", "after its padding"),
            (BytesEncoding::Base64, "AN===", "cut off"),
            (BytesEncoding::Base64, "A*==", "character 1"),
            (BytesEncoding::Hex, "0", "is missing"),
            (BytesEncoding::Hex, "0:0", "character 1"),
            (BytesEncoding::Hex, "0x0g", "character 3"),
        ];
        for (encoding, text, why) in bad {
            let reason = read(encoding, text).unwrap_err();
            assert!(reason.contains(why), "{text}: {reason}");
        }
    }

    /// Base64 without padding.
    fn written(bytes: &[u8]) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: Vec<u8> =
            bytes.iter().flat_map(|b| (0..8).rev().map(move |bit| (b >> bit) & 1)).collect();
        let six = |bits: &[u8]| (0..6).fold(0, |n, at| n * 2 + bits.get(at).copied().unwrap_or(0));
        bits.chunks(6).map(|bits| char::from(LETTERS[usize::from(six(bits))])).collect()
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            prop_assert_eq!(read(BytesEncoding::Hex, &hex), Ok(bytes.clone()));
            let bare = written(&bytes);
            let padded = format!("{bare}{}", "=".repeat((4 - bare.len() % 4) % 4));
            for text in [bare, padded] {
                prop_assert_eq!(read(BytesEncoding::Base64, &text), Ok(bytes.clone()));
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            for encoding in [BytesEncoding::Base64, BytesEncoding::Hex] {
                let _read = decode(encoding, &text, &mut out);
                prop_assert!(out.len() <= text.len());
            }
        }
    }
}
