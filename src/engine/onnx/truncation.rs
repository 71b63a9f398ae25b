//! Detection of truncated protocol buffers.

/// The least number of bytes that are missing from a protocol buffer that ends within a field. None
/// for other files.
pub(super) fn missing_bytes(bytes: &[u8]) -> Option<u64> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((key, after)) = varint(rest) else { return Some(1) };
        let need = match key & 7 {
            0 => {
                let Some((_, after)) = varint(after) else { return Some(1) };
                rest = after;
                continue;
            }
            1 => (8, after),
            2 => match varint(after) {
                Some((length, after)) => (length, after),
                None => return Some(1),
            },
            5 => (4, after),
            _ => return None,
        };
        let (length, after) = need;
        if key >> 3 == 0 || key >> 3 > 64 {
            return None;
        }
        let have = u64::try_from(after.len()).unwrap_or(u64::MAX);
        if length > have {
            return Some(length - have);
        }
        rest = after.get(usize::try_from(length).ok()?..)?;
    }
    None
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i).min(63);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_truncated_model_misses_bytes() {
        let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/motion/model.onnx"));
        let model = model.unwrap();
        assert_eq!(missing_bytes(&model), None);
        for length in [model.len() - 1, model.len() / 2, 2000] {
            assert!(missing_bytes(&model[..length]).is_some(), "cut to {length}");
        }
    }
}
