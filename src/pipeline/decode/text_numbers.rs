//! Numbers in texts: words that stand for one, units, decimal commas.

use super::missing::MissingPlan;
use crate::config::{NumberForm, Reading};

/// How texts are read where a number is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TextNumbers {
    words: Vec<(String, f64)>,
    is_lenient: bool,
}

/// Units are no longer than this, in characters.
const MAX_UNIT: usize = 16;

impl TextNumbers {
    pub(super) fn new(reading: &Reading) -> Self {
        let is_lenient = reading.numbers == NumberForm::Lenient;
        Self { words: reading.words.clone(), is_lenient }
    }

    /// Whether no text is a number.
    pub(super) fn is_strict(&self) -> bool {
        !self.is_lenient && self.words.is_empty()
    }

    /// The number of a text; NaN where it stands for none.
    pub(super) fn read(&self, text: &str, missing: Option<&MissingPlan>) -> Option<f64> {
        let word = self.words.iter().find(|(word, _)| word == text.trim());
        if let Some((_, value)) = word {
            return Some(*value);
        }
        if missing.is_some_and(|missing| missing.is_text_of_none(text)) {
            return Some(f64::NAN);
        }
        self.is_lenient.then(|| lenient(text)).flatten()
    }
}

/// Whether a text is a number as people write it.
pub(in crate::pipeline) fn is_number_text(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    text.contains(is_digit) && lenient(text).is_some_and(f64::is_finite)
}

/// A number as people write it.
fn lenient(text: &str) -> Option<f64> {
    let text = text.trim().replace('\u{2212}', "-");
    if let Ok(value) = text.parse() {
        return Some(value);
    }
    match text.to_lowercase().as_str() {
        "on" | "yes" | "true" => return Some(1.0),
        "off" | "no" | "false" => return Some(0.0),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        #[expect(clippy::cast_precision_loss, reason = "readings above 2^53 are none")]
        return u64::from_str_radix(digits, 16).ok().map(|value| value as f64);
    }
    let (number, unit) = text.split_at_checked(number_end(&text))?;
    if !is_unit(unit.trim_start()) {
        return None;
    }
    with_point(number)?.parse().ok()
}

/// Where the number that a text begins with ends.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = usize::from(text.starts_with(['-', '+']));
    while digit(at) || (matches!(bytes.get(at), Some(b'.' | b',')) && digit(at + 1)) {
        at += 1;
    }
    let exponent = matches!(bytes.get(at), Some(b'e' | b'E'));
    let signed = matches!(bytes.get(at + 1), Some(b'-' | b'+'));
    if exponent && digit(at + 1 + usize::from(signed)) {
        at += 1 + usize::from(signed);
        while digit(at) {
            at += 1;
        }
    }
    at
}

/// The number with a decimal point. A single comma is one; of commas and points, the last kind is
/// decimal, and the others stand between thousands.
fn with_point(number: &str) -> Option<String> {
    let comma = number.rfind(',');
    let point = number.rfind('.');
    let decimal = match (comma, point) {
        (Some(comma), Some(point)) => comma.max(point),
        (Some(comma), None) if number.matches(',').count() == 1 => comma,
        (None, Some(_)) | (None, None) => return Some(number.to_owned()),
        (Some(_), None) => return None,
    };
    let (whole, part) = number.split_at_checked(decimal)?;
    let part = part.get(1..)?;
    let between = if number.get(decimal..)?.starts_with(',') { '.' } else { ',' };
    let mut groups = whole.split(between);
    let first = groups.next()?;
    if !groups.clone().all(|group| group.len() == 3) {
        return None;
    }
    let rest: String = groups.collect();
    // A separator that is left over makes this no number.
    Some(format!("{first}{rest}.{part}"))
}

/// Whether what follows a number can be its unit: letters and signs, and digits as in `m/s2`.
fn is_unit(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return true };
    let sign = |c: char| "%°µ²³/^·*_-".contains(c);
    let starts = first.is_alphabetic() || "%°µ".contains(first);
    // What multiplies a number is no unit, and neither is an exponent that was cut off.
    let scales = ["k", "M", "G", "e", "E"].contains(&text);
    let mut before = first;
    starts
        && !scales
        && text.chars().count() <= MAX_UNIT
        && text.chars().all(|c| {
            // A digit is an exponent, as in m3/h: more of them are another number, as in 1h30m.
            let fits = match before {
                ' ' => c.is_alphabetic() || sign(c) || c == ' ',
                '0'..='9' => sign(c) || c == ' ',
                _ => c.is_alphabetic() || sign(c) || c == ' ' || c.is_ascii_digit(),
            };
            before = c;
            fits
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_as_people_write_them() {
        let table = [
            ("21.5", 21.5),
            (" 21.5 ", 21.5),
            ("+21.5", 21.5),
            ("021.5", 21.5),
            (".5", 0.5),
            ("1.", 1.0),
            ("21.5 °C", 21.5),
            ("21.5°C", 21.5),
            ("40%", 40.0),
            ("-67 dBm", -67.0),
            ("9.81 m/s2", 9.81),
            ("21,5", 21.5),
            ("-21,5 °C", -21.5),
            ("1.234,5", 1234.5),
            ("1,234.5 kWh", 1234.5),
            ("1e3", 1000.0),
            ("5e-3 A", 0.005),
            ("3 eggs", 3.0),
            ("\u{2212}4 C", -4.0),
            ("0x1F", 31.0),
            ("ON", 1.0),
            ("off", 0.0),
            ("Yes", 1.0),
            ("true", 1.0),
            ("2 m 3", f64::NAN),
            ("12 m3/h", 12.0),
            ("400 ppm CO2", 400.0),
            ("1h30m", f64::NAN),
            ("21h30", f64::NAN),
            ("0b101", f64::NAN),
            ("2.5k", f64::NAN),
            ("1.5E", f64::NAN),
        ];
        for (text, value) in table {
            let read = lenient(text);
            if value.is_nan() {
                assert_eq!(read, None, "{text}");
            } else {
                assert_eq!(read, Some(value), "{text}");
            }
        }
        for bad in [
            "",
            "x",
            "21.5 22.5",
            "1,2,3",
            "12:30",
            "2026-11-30",
            "1.2.3",
            "°C",
            "0xZZ",
            "21.5 °C und noch viel mehr",
            "1,23.4,5",
            "12.34,567.8",
            "--1",
        ] {
            assert_eq!(lenient(bad), None, "{bad}");
        }
    }

    #[test]
    fn words_have_the_numbers_they_are_given() {
        let words = vec![("OPEN".to_owned(), 1.0), ("40".to_owned(), 4.0)];
        let strict = TextNumbers { words, is_lenient: false };
        assert_eq!(strict.read("OPEN", None), Some(1.0));
        assert_eq!(strict.read("open", None), None);
        assert_eq!(strict.read("21.5", None), None);
        let lenient = TextNumbers { is_lenient: true, ..strict };
        assert_eq!(lenient.read("40", None), Some(4.0));
        assert_eq!(lenient.read("41", None), Some(41.0));
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_none(text in ".{0,40}") {
            let _read = lenient(&text);
        }

        #[test]
        fn a_number_keeps_its_value_with_a_unit_and_a_comma(value in -1e6_f64..1e6) {
            let text = format!("{value:.3}");
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(lenient(&format!("{text} kWh")), Some(expected));
            prop_assert_eq!(lenient(&text.replace('.', ",")), Some(expected));
        }
    }
}
