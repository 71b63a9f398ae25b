use proptest::prelude::*;

use super::*;

const KINDS: &[u8] = include_bytes!("../../tests/protobuf/kinds.desc");

fn types(message: &str) -> Result<MessageTypes, String> {
    MessageTypes::read(KINDS, message, &[])
}

#[test]
fn a_message_has_its_fields_and_those_of_other_files() {
    let types = types("kinds.Reading").unwrap();
    let root = types.root().unwrap();
    assert_eq!((root.fields.len(), root.find(1000), root.find(999)), (27, Some(24), None));
    let field = |name: &str| root.fields.iter().find(|field| field.name == name).unwrap();
    let presence = |name| field(name).has_presence;
    assert!(!presence("f_float") && presence("o_float") && presence("c_int") && presence("at"));
    let old = types.of(field("old").kind).unwrap();
    assert_eq!(old.name, "old.Old");
    assert!(old.fields.iter().all(|field| field.has_presence));
    assert!(types.of(field("by_name").kind).unwrap().is_map_entry);
    assert!(types.of(field("at").kind).unwrap().is_timestamp());
    assert_eq!(field("f_enum").kind, FieldKind::Enum);
    let inner = types.of(field("inner").kind).unwrap();
    assert_eq!(types.of(inner.fields[2].kind), Some(inner), "a type within itself");
}

#[test]
fn what_a_set_lacks_is_told() {
    let refused = |message| types(message).unwrap_err();
    assert_eq!(refused("Reading"), "has no message Reading; it has kinds.Reading");
    assert!(refused("kinds.Lost").contains("--include_imports"));
    assert!(refused("old.WithGroup").contains("old.WithGroup.part is a group of proto2"));
    for bad in [&b""[..], b"\x0a", b"{}", &KINDS[..KINDS.len() / 2]] {
        let reason = MessageTypes::read(bad, "kinds.Reading", &[]).unwrap_err();
        assert!(reason.contains("protoc"), "{reason}");
    }
    let embedded = |field: &str| {
        let embedded = [(field.to_owned(), "kinds.Reading".to_owned())];
        MessageTypes::read(KINDS, "kinds.Envelope", &embedded)
    };
    let types = embedded("kinds.Envelope.payload").unwrap();
    let payload = types.root().unwrap().fields[2].kind;
    assert_eq!(types.of(payload).unwrap().name, "kinds.Reading");
    assert!(embedded("kinds.Envelope.id").unwrap_err().contains("no field of bytes"));
    assert!(embedded("kinds.Envelope.lost").unwrap_err().contains("have no field"));
}

#[test]
fn paths_lead_to_fields() {
    let types = types("kinds.Reading").unwrap();
    let check =
        |path: &str| types.check_path(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
    for path in [
        "f_float",
        "inner/next/next/value",
        "inners/0/value",
        "packed/0",
        "by_name/any",
        "by_number/-1/value",
        "at",
    ] {
        assert_eq!(check(path), Ok(()), "{path}");
    }
    assert!(check("lost").unwrap_err().contains("it has f_double, f_float"));
    assert!(check("f_float/x").unwrap_err().contains("has no fields"));
    assert!(check("by_number/1/lost").unwrap_err().contains("kinds.Reading.Inner has no field"));
    assert!(check("at/seconds").unwrap_err().contains("name it without \"seconds\""));
}

/// A file with many types of two letters each.
fn many_types(count: usize) -> Vec<u8> {
    let message = [0x22, 4, 0x0a, 2, b'a', b'b'];
    let file = message.repeat(count);
    let mut set = vec![0x0a];
    let mut len = file.len();
    while len > 127 {
        set.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    set.push(u8::try_from(len).unwrap());
    [set, file].concat()
}

#[test]
fn a_set_of_too_many_types_is_refused() {
    let nested = (0..200).fold(vec![0x0a, 1, b'x'], |inner, _| {
        let len = inner.len();
        let head = if len > 127 {
            vec![0x1a, u8::try_from(len & 0x7f).unwrap() | 0x80, u8::try_from(len >> 7).unwrap()]
        } else {
            vec![0x1a, u8::try_from(len).unwrap()]
        };
        [vec![0x0a, 1, b'x'], head, inner].concat()
    });
    let file = |message: &[u8], tag: u8| {
        let len = message.len();
        let head = [tag, u8::try_from(len & 0x7f).unwrap() | 0x80, u8::try_from(len >> 7).unwrap()];
        [&head[..], message].concat()
    };
    let set = file(&file(&nested, 0x22), 0x0a);
    assert!(MessageTypes::read(&set, "x", &[]).unwrap_err().contains("nested too deeply"));
    assert!(MessageTypes::read(&many_types(1000), "ab", &[]).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_a_set_or_are_refused(
        mut set in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            Just(KINDS.to_vec()),
        ],
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        for (at, byte) in changes {
            if !set.is_empty() {
                let at = at.index(set.len());
                set[at] = byte;
            }
        }
        for message in ["kinds.Reading", "old.Old"] {
            let _types = MessageTypes::read(&set, message, &[]);
        }
    }
}
