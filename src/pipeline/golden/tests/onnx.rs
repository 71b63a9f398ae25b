//! Fields of protocol buffers, as many as an ONNX file of one product takes.

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn number(field: u64, value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value as u64, &mut out);
    out
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(value.len() as u64, &mut out);
    out.extend_from_slice(value);
    out
}

fn declared(field: u64, name: &str, len: usize) -> Vec<u8> {
    let dims: Vec<u8> = [1, len].iter().flat_map(|&d| bytes(1, &number(1, d))).collect();
    let tensor = [number(1, 1), bytes(2, &dims)].concat();
    bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat())
}

/// `y = x W`, x of 1 x `inputs`.
pub(super) fn product(inputs: usize, outputs: usize, weights: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let weights =
        [number(1, inputs), number(1, outputs), number(2, 1), bytes(8, b"w"), bytes(9, &raw)];
    let node = [bytes(1, b"x"), bytes(1, b"w"), bytes(2, b"y"), bytes(4, b"MatMul")].concat();
    let graph = [
        bytes(1, &node),
        bytes(2, b"g"),
        bytes(5, &weights.concat()),
        declared(11, "x", inputs),
        declared(12, "y", outputs),
    ];
    [number(1, 8), bytes(7, &graph.concat()), bytes(8, &number(2, 13))].concat()
}
