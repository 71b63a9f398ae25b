use proptest::prelude::*;

use super::*;
use crate::tensor::{Data, Dtype};

const LIMIT: u64 = 1 << 20;

/// As numpy 2.3 writes `numpy.save(f, numpy.array([[1, 2, 3], [4, 5, 6]], '<i2', order=order))`.
fn numpy_file(fortran: &str, body: [u8; 12]) -> Vec<u8> {
    let header = format!("{{'descr': '<i2', 'fortran_order': {fortran}, 'shape': (2, 3), }}");
    let mut out = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    out.extend(format!("{header:<117}\n").as_bytes());
    out.extend(body);
    out
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The message for one array that holds `header` and no elements.
fn refusal(header: &str) -> String {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let array = [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes()].concat();
    read(&archive(&[("x.npy", &array)]), LIMIT).unwrap_err().to_string()
}

#[test]
fn numpys_files_are_read_in_both_orders() {
    let wanted = Tensor { shape: vec![2, 3], data: Data::I16(vec![1, 2, 3, 4, 5, 6]) };
    let rows = numpy_file("False", [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]);
    let columns = numpy_file("True", [1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6, 0]);
    let read = read(&archive(&[("rows.npy", &rows), ("columns.npy", &columns)]), LIMIT).unwrap();
    assert_eq!(read["rows"], wanted);
    assert_eq!(read["columns"], wanted);
}

#[test]
fn an_array_is_written_as_numpy_writes_it() {
    let tensor = Tensor { shape: vec![2, 3], data: Data::I16(vec![1, 2, 3, 4, 5, 6]) };
    assert_eq!(npy::write(&tensor), numpy_file("False", [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]));
}

#[test]
fn what_an_archive_unpacks_to_is_bounded() {
    let zeros = Tensor::zeros(Dtype::F64, &[4, 100_000]);
    let bytes = write([("a", &zeros), ("b", &zeros)]).unwrap();
    assert!(bytes.len() < 50_000, "zeros deflate well");
    assert!(matches!(
        read(&bytes, 5_000_000).unwrap_err(),
        NpzError::TooLarge { name, limit: 5_000_000 } if name == "b.npy"
    ));
    assert_eq!(read(&bytes, 7_000_000).unwrap().len(), 2);
}

#[test]
fn a_header_that_lies_is_an_error() {
    let with_shape = |s: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {s}}}");
    let huge = with_shape(&format!("({}, 65537)", usize::MAX));
    assert!(refusal(&huge).contains("does not fit its 0 bytes"));
    // As many elements as a 32-bit count of them takes for none.
    assert!(refusal(&with_shape("(65536, 65536)")).contains("does not fit its 0 bytes"));
    assert!(refusal(&with_shape("(99999999999999999999,)")).contains("is not an axis"));
    assert!(refusal(&with_shape("(-1,)")).contains("is not an axis"));
    assert!(refusal(&with_shape("(((((((((")).contains("is not a tuple"));
    assert!(refusal(&with_shape(&format!("({})", "1,".repeat(17)))).contains("16 axes"));
    assert!(refusal("{'descr': '>f4', 'fortran_order': False, 'shape': ()}").contains(">f4"));
    assert!(refusal("{'descr': '|O', 'fortran_order': False, 'shape': ()}").contains("|O"));
    assert!(refusal("{'descr': [('a', '<f4')], 'shape': ()}").contains("records"));
    assert!(refusal("").contains("descr"));
}

#[test]
fn floats_of_16_bits_are_read_as_floats_of_32() {
    let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2,)}";
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let bytes = [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), &[0, 0x3c, 0, 0xc0]];
    let arrays = read(&archive(&[("x.npy", &bytes.concat())]), LIMIT).unwrap();
    assert_eq!(arrays["x"].data, Data::F32(vec![1.0, -2.0]));
}

#[test]
fn entries_that_are_no_arrays_are_named() {
    let text = read(&archive(&[("readme.txt", b"hello")]), LIMIT).unwrap_err().to_string();
    assert_eq!(text, "array \"readme.txt\": not an .npy array");
    let long = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes()].concat();
    let text = read(&archive(&[("x.npy", &long)]), LIMIT).unwrap_err().to_string();
    assert!(text.contains("4294967295 bytes"), "{text}");
    assert!(matches!(read(b"", LIMIT), Err(NpzError::Archive(_))));
}

/// The lowest bytes.
fn low<const N: usize>(x: i64) -> [u8; N] {
    *x.to_le_bytes().first_chunk().unwrap()
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop::collection::vec(0usize..4, 0..4);
    (shape, prop::collection::vec(any::<i64>(), 27), 0usize..9).prop_map(|(shape, raw, kind)| {
        let n = shape.iter().product();
        let raw = raw.iter().take(n);
        let data = match kind {
            0 => Data::F32(raw.map(|&x| x as f32).collect()),
            1 => Data::F64(raw.map(|&x| x as f64).collect()),
            2 => Data::I8(raw.map(|&x| i8::from_le_bytes(low(x))).collect()),
            3 => Data::U8(raw.map(|&x| u8::from_le_bytes(low(x))).collect()),
            4 => Data::I16(raw.map(|&x| i16::from_le_bytes(low(x))).collect()),
            5 => Data::U16(raw.map(|&x| u16::from_le_bytes(low(x))).collect()),
            6 => Data::I32(raw.map(|&x| i32::from_le_bytes(low(x))).collect()),
            7 => Data::I64(raw.copied().collect()),
            _ => Data::Bool(raw.map(|&x| x > 0).collect()),
        };
        Tensor { shape, data }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(a in any_tensor(), b in any_tensor()) {
        let read = read(&write([("a", &a), ("b", &b)]).unwrap(), LIMIT).unwrap();
        prop_assert_eq!(&read["a"], &a);
        prop_assert_eq!(&read["b"], &b);
    }

    #[test]
    fn damaged_bytes_never_panic_nor_grow(
        tensor in any_tensor(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = write([("a", &tensor)]).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let unpacked = read(bytes, LIMIT).unwrap_or_default();
            let fits = |t: &Tensor| t.shape.iter().product::<usize>() == t.data.len();
            prop_assert!(unpacked.values().all(fits));
        }
    }

    #[test]
    fn a_header_of_any_text_is_read_or_refused(text in "[{}'a-z_:<f4 ,()0-9TrueFals]{0,120}") {
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        let array = [b"\x93NUMPY\x01\x00".as_slice(), &length, text.as_bytes()].concat();
        let empty = npy::read(&array).map_or(true, |tensor| tensor.data.is_empty());
        prop_assert!(empty, "there are no elements");
    }
}
