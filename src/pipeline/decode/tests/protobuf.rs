//! Protocol Buffers, as a stream reads them.

use super::configured::{Configured, configured};
use super::*;

const KINDS: &str = "format = \"protobuf\"\ndescriptors = \"tests/protobuf/kinds.desc\"\n";

fn reading(more: &str) -> Configured {
    configured(&format!("{KINDS}message = \"kinds.Reading\"\n{more}"))
}

/// `f_float = 21.5`, `inner { value = 40 }`, and `at`, 2026-11-22T10:00:00Z.
fn message() -> Vec<u8> {
    let mut message = vec![0x15];
    message.extend(21.5_f32.to_le_bytes());
    message.extend([0xc2, 0x3e, 5, 0x0d]);
    message.extend(40_f32.to_le_bytes());
    message.extend([0xca, 0x3e, 6, 0x08]);
    let mut seconds = 1_795_341_600_u64;
    while seconds > 127 {
        message.push(u8::try_from(seconds & 0x7f).unwrap() | 0x80);
        seconds >>= 7;
    }
    message.push(u8::try_from(seconds).unwrap());
    message
}

#[test]
fn fields_times_and_missing_values_are_as_in_json() {
    let fields = "fields = [\"f_float\", \"/inner/value\"]";
    let stream = reading(&format!("{fields}\ntime = \"at\""));
    let samples = stream.read(message()).unwrap();
    assert_eq!(samples.values, [21.5, 40.0]);
    assert_eq!(samples.times, [Some(SECOND)]);
    // An absent message has no value, and an absent number without presence is 0.
    let told = reading(fields).message(&message()[..5]);
    assert!(told.starts_with("/inner/value is missing"), "{told}");
    let skipping = reading(&format!("{fields}\nmissing = {{ \"/inner/value\" = 7 }}"));
    let samples = skipping.read(&message()[..5]).unwrap();
    assert!(samples.has_holes && samples.values[1].is_nan() && samples.values[0] == 21.5);
    assert_eq!(skipping.values(&message()[5..13]), [0.0, 40.0]);
}

#[test]
fn repeated_fields_are_samples() {
    // packed = [1, 2, 3]
    let mut packed = vec![0xa2, 0x01, 12];
    [1_f32, 2.0, 3.0].iter().for_each(|value| packed.extend(value.to_le_bytes()));
    let series = reading("fields = [\"packed\"]");
    assert_eq!(series.values(&packed), [1.0, 2.0, 3.0]);
    let inners = reading("fields = [\"value\"]\nsamples = \"inners\"");
    let mut two = Vec::new();
    for value in [5_f32, 6.0] {
        two.extend([0xb2, 0x01, 5, 0x0d]);
        two.extend(value.to_le_bytes());
    }
    assert_eq!(inners.values(&two), [5.0, 6.0]);
}

#[test]
fn a_message_in_a_field_of_bytes_is_read_where_the_condition_is_met() {
    let stream = configured(&format!(
        "{KINDS}message = \"kinds.Envelope\"\ndevice = \"id\"\nwhere = {{ kind = 1 }}\n\
         embedded = {{ \"kinds.Envelope.payload\" = \"kinds.Reading\" }}\n\
         fields = [\"/payload/f_float\", \"/payload/inner/value\"]"
    ));
    let envelope = |kind: u8, payload: &[u8]| {
        let len = u8::try_from(payload.len()).unwrap();
        [&[0x0a, 2, b's', b'1', 0x10, kind, 0x1a, len], payload].concat()
    };
    let samples = stream.read(envelope(1, &message())).unwrap();
    assert_eq!(
        (samples.values.as_slice(), samples.devices()),
        (&[21.5, 40.0][..], vec!["s1".into()])
    );
    let skipped = stream.read(envelope(2, b"no message")).unwrap();
    assert_eq!((skipped.skipped, skipped.values.len()), (1, 0));
    assert!(stream.message(envelope(1, b"\x08")).contains("Protocol Buffers"));
}

#[test]
fn the_bytes_of_a_field_have_a_layout() {
    let stream = configured(&format!(
        "{KINDS}message = \"kinds.Envelope\"\nfields = [\"t\"]\n\
         bytes = {{ at = \"payload\", layout = [\"i16be t / 10\"] }}"
    ));
    assert_eq!(stream.values([0x1a, 2, 0, 215]), [21.5]);
}
