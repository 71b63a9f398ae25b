//! `[stream.payload]`: the options of how values are read.

use super::Format;
use super::reading::{
    ArrayOrder, Compression, CsvDialect, DeviceClock, Missing, MissingRules, NumberForm, Reading,
    SampleInterval, TimeReading, TimeUnit,
};
use super::section::Section;
use super::value::Scalar;
use crate::clock::Zone;

const NUMBERS: &[(&str, NumberForm)] =
    &[("strict", NumberForm::Strict), ("lenient", NumberForm::Lenient)];

const COMPRESSION: &[(&str, Compression)] = &[
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("zlib", Compression::Zlib),
    ("auto", Compression::Auto),
];

const CLOCKS: &[(&str, DeviceClock)] = &[("wall", DeviceClock::Wall), ("device", DeviceClock::Own)];

const UNITS: &[(&str, TimeUnit)] = &[
    ("s", TimeUnit::Seconds),
    ("ms", TimeUnit::Millis),
    ("us", TimeUnit::Micros),
    ("ns", TimeUnit::Nanos),
];

const DELIMITERS: &[(&str, u8)] =
    &[(",", b','), (";", b';'), ("|", b'|'), ("tab", b'\t'), ("space", b' ')];

const ARRAYS: &[(&str, ArrayOrder)] =
    &[("rows", ArrayOrder::Rows), ("columns", ArrayOrder::Columns)];

/// Reads the options; what does not fit the format is reported.
pub(super) fn reading(
    section: &Section<'_>,
    format: Format,
    time_of_day: Option<String>,
) -> Reading {
    let reading = Reading {
        missing: missing(section),
        numbers: section.choice("numbers", NUMBERS).unwrap_or_default(),
        words: words(section),
        times: times(section, format, time_of_day),
        compression: section.choice("compression", COMPRESSION).unwrap_or_default(),
        csv: dialect(section),
        arrays: section.choice("arrays", ARRAYS).unwrap_or_default(),
        filter: section.scalars("where"),
        interval: interval(section),
    };
    check_format(section, format, &reading);
    check_interval(section, &reading);
    reading
}

fn interval(section: &Section<'_>) -> Option<SampleInterval> {
    let from_first = section.text("interval_from") == "first";
    if from_first && !section.has("interval") {
        section.problem("interval_from", "there is no interval", "interval with it");
    }
    let nanos = section.parsed_if("interval", nanos)?;
    Some(SampleInterval { nanos, from_first })
}

/// `"10ms"`, `"62.5us"`, `"16kHz"` in nanoseconds.
fn nanos(text: &str) -> Result<u64, &'static str> {
    const DAY: f64 = 86_400e9;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or_default();
    let number: f64 = number.parse().map_err(|_| "not a duration or a rate")?;
    let nanos = match unit.trim() {
        "us" => number * 1e3,
        "ms" => number * 1e6,
        "s" => number * 1e9,
        "m" => number * 60e9,
        "h" => number * 3600e9,
        "Hz" => 1e9 / number,
        "kHz" => 1e6 / number,
        _ => return Err("not a duration (us, ms, s, m, h) or a rate (Hz, kHz)"),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds")]
    let whole = (1e3..=DAY).contains(&nanos).then(|| nanos.round() as u64);
    whole.ok_or("not from 1us to a day")
}

/// The place of a sample in its message is needed, so that none may have been left out.
fn check_interval(section: &Section<'_>, reading: &Reading) {
    if reading.interval.is_none() {
        return;
    }
    if !section.has("time") {
        let allowed = "time = \"FIELD\" with it; samples without a timestamp have that of arrival";
        section.problem("interval", "messages have no timestamp", allowed);
    }
    if !reading.missing.is_strict() || section.has("device") || !reading.filter.is_empty() {
        let reason = "samples of a message may be left out or be of several devices, and their \
                      times come from their places";
        section.problem("interval", reason, "interval without missing, device and where");
    }
}

/// Reports options whose subject payloads of a format do not have.
fn check_format(section: &Section<'_>, format: Format, reading: &Reading) {
    let is_raw = format.is_raw() || format == Format::Bytes;
    let is_tree = format.has_members() || format == Format::JsonLines;
    let has_fields = format.has_members() || format == Format::Csv;
    let dialect = CsvDialect::default();
    let set = [
        ("numbers", is_raw && reading.numbers != NumberForm::Strict),
        ("words", is_raw && !reading.words.is_empty()),
        ("delimiter", format != Format::Csv && reading.csv.delimiter != dialect.delimiter),
        ("comment", format != Format::Csv && reading.csv.comment.is_some()),
        ("arrays", !is_tree && reading.arrays != ArrayOrder::Rows),
        ("where", !has_fields && !reading.filter.is_empty()),
        ("interval", format.has_own_time() && reading.interval.is_some()),
    ];
    for (key, _) in set.iter().filter(|(_, is_wrong)| *is_wrong) {
        section.problem(key, "payloads of this format have none", "nothing for this format");
    }
}

fn missing(section: &Section<'_>) -> MissingRules {
    let mut rules = MissingRules {
        hold: section.duration("hold"),
        values: section.strings("missing_values"),
        ..MissingRules::default()
    };
    for (field, values) in section.scalars("missing") {
        let rule = match values.as_slice() {
            [Scalar::Text(word)] => match word.as_str() {
                "reject" => Some(Missing::Reject),
                "skip" => Some(Missing::Skip),
                "hold" => Some(Missing::Hold),
                "nan" => Some(Missing::Nan),
                _ => None,
            },
            [Scalar::Number(number)] if number.abs() <= f64::from(f32::MAX) => {
                Some(Missing::Value(*number))
            }
            _ => None,
        };
        match rule {
            None => {
                let allowed = "\"reject\", \"skip\", \"hold\", \"nan\" or a number";
                section.problem("missing", "not what a missing number can become", allowed);
            }
            Some(rule) if field.is_empty() => rules.default = rule,
            Some(rule) => rules.fields.push((field, rule)),
        }
    }
    if rules.holds() != section.has("hold") {
        let (reason, allowed) = if rules.holds() {
            ("missing = \"hold\" needs the longest time to hold a number", "hold = \"10m\"")
        } else {
            ("nothing is held", "hold together with missing = \"hold\"")
        };
        section.problem("hold", reason, allowed);
    }
    if rules.is_strict() && !rules.values.is_empty() {
        let reason = "missing numbers are rejected, so that no value has to be named";
        section.problem("missing_values", reason, "missing_values together with missing");
    }
    rules
}

fn words(section: &Section<'_>) -> Vec<(String, f64)> {
    let mut words = Vec::new();
    for (word, values) in section.scalars("words") {
        match values.as_slice() {
            [Scalar::Number(number)] if number.abs() <= f64::from(f32::MAX) => {
                words.push((word, *number));
            }
            _ => section.problem("words", format!("{word:?} is given no number"), "WORD = NUMBER"),
        }
    }
    words
}

fn times(section: &Section<'_>, format: Format, time_of_day: Option<String>) -> TimeReading {
    let zone = section.has("zone").then(|| section.parsed("zone", Zone::parse)).flatten();
    let unit = section.has("time_unit").then(|| section.choice("time_unit", UNITS)).flatten();
    let clock = section.choice("clock", CLOCKS).unwrap_or_default();
    let has_time = section.has("time") || section.section("records").has("time");
    let is_set = [
        ("zone", zone.is_some()),
        ("clock", clock != DeviceClock::Wall),
        ("time_unit", unit.is_some()),
    ];
    for (key, is_set) in is_set {
        let has_unit = key == "time_unit" && format == Format::Influx;
        if is_set && !has_time && !has_unit {
            section.problem(key, "samples have no timestamp", "time = \"FIELD\" with it");
        }
    }
    if clock == DeviceClock::Own {
        if unit.is_none() {
            let reason = "nothing tells the unit of such a clock";
            section.problem("clock", reason, "time_unit = \"s\", \"ms\", \"us\" or \"ns\" with it");
        }
        if zone.is_some() || time_of_day.is_some() {
            let reason = "a clock of the device's own has no date";
            section.problem("clock", reason, "one field of time, and no zone");
        }
    }
    TimeReading { zone, clock, unit, time_of_day }
}

fn dialect(section: &Section<'_>) -> CsvDialect {
    let delimiter = section.choice("delimiter", DELIMITERS).unwrap_or(b',');
    let comment = section.parsed("comment", |text| match text.as_bytes() {
        [byte] if byte.is_ascii_punctuation() && *byte != b'"' && *byte != delimiter => Ok(*byte),
        _ => Err("not one character that starts a comment"),
    });
    CsvDialect { delimiter, comment }
}
