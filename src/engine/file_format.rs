//! Formats of files that are not ONNX models, with advice for each.

/// The format of `bytes` with advice, as a phrase to follow "it is". None for an unknown format.
#[must_use]
pub fn identify(bytes: &[u8]) -> Option<String> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if bytes.is_empty() {
        return Some("an empty file: copy or download it again".into());
    }
    if bytes.iter().all(|&b| b == 0) {
        return Some("a file of zeros: the copy or download did not finish".into());
    }
    let known = of_magic(bytes).or_else(|| {
        if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
            Some(zip(bytes))
        } else if is_pickle(bytes) {
            Some(pickle(bytes))
        } else if is_safetensors(bytes) {
            Some(SAFETENSORS)
        } else {
            protobuf(bytes)
        }
    });
    known.map(str::to_owned).or_else(|| text(bytes))
}

const TFLITE: &str = "a TensorFlow Lite model: convert it with `python -m tf2onnx.convert --tflite \
                      model.tflite --output model.onnx`";
const TORCH: &str = "a PyTorch file: export the model with torch.onnx.export(model, example, \
                     \"model.onnx\")";
const KERAS: &str = "a Keras model: load it and export it with \
                     model.export(\"model.onnx\", format=\"onnx\"), or convert it with tf2onnx";
const SAVED_MODEL: &str = "a TensorFlow model: convert its folder with `python -m tf2onnx.convert \
                           --saved-model FOLDER --output model.onnx`";
const SAFETENSORS: &str = "a safetensors file, which has weights without a graph: export the model \
                           from the program that made it (optimum-cli export onnx, \
                           torch.onnx.export)";
const XGBOOST: &str = "an XGBoost model: convert it with onnxmltools.convert_xgboost";
const LIGHTGBM: &str = "a LightGBM model: convert it with onnxmltools.convert_lightgbm(model, …, \
                        zipmap=False)";
const COMPRESSED: &str = "a compressed file: unpack it first";

/// The offset of a format's magic bytes, the bytes, and the description of the format.
const MAGICS: &[(usize, &[u8], &str)] = &[
    (4, b"TFL3", TFLITE),
    (
        4,
        b"ORTM",
        "a model in ONNX Runtime's own format (.ort): take the .onnx file that it was made of",
    ),
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS in place of the file: run `git lfs pull` and copy it again",
    ),
    (0, b"\x89HDF\r\n\x1a\n", KERAS),
    (
        0,
        b"GGUF",
        "a GGUF file of llama.cpp, which has no graph: language models of this form do not \
         run here",
    ),
    (0, b"ggml", "a GGML file, which has no graph: language models of this form do not run here"),
    (
        0,
        b"ftrt",
        "an engine of TensorRT, made for one GPU: take the .onnx file that it was built from",
    ),
    (
        0,
        b"ptrt",
        "an engine of TensorRT, made for one GPU: take the .onnx file that it was built from",
    ),
    (0, b"tree\nversion=", LIGHTGBM),
    (0, b"binf", XGBOOST),
    (
        0,
        b"CBM1",
        "a CatBoost model: save it with model.save_model(\"model.onnx\", format=\"onnx\")",
    ),
    (0, b"7767517\n", "a model of ncnn: take the ONNX file that it was converted from"),
    (0, b"\x93NUMPY", "an array of NumPy, not a model"),
    (0, b"\x1f\x8b", COMPRESSED),
    (0, b"\x28\xb5\x2f\xfd", COMPRESSED),
    (0, b"\xfd7zXZ", COMPRESSED),
    (0, b"BZh", COMPRESSED),
    (0, b"7z\xbc\xaf\x27\x1c", COMPRESSED),
    (
        0,
        b"\x78\x9c",
        "compressed data, as joblib writes it: load the model in Python and convert it with \
         skl2onnx.to_onnx",
    ),
    (
        257,
        b"ustar",
        "a tar archive: unpack it, or name it NAME.bundle if it is a bundle with a model card",
    ),
    (0, b"\x7fELF", "a program or a library, not a model"),
    (0, b"MZ", "a program or a library, not a model"),
    (0, b"\x89PNG", "a picture, not a model"),
    (0, b"\xff\xd8\xff", "a picture, not a model"),
    (0, b"%PDF", "a PDF document, not a model"),
];

/// The description of a format with magic bytes.
fn of_magic(bytes: &[u8]) -> Option<&'static str> {
    let at = |start: usize, magic: &[u8]| bytes.get(start..).is_some_and(|b| b.starts_with(magic));
    MAGICS.iter().find(|(start, magic, _)| at(*start, magic)).map(|(_, _, what)| *what)
}

/// Whether `part` occurs in `bytes`. A simple search is enough for files that are refused.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let Some(&first) = part.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| b == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(part) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

fn zip(bytes: &[u8]) -> &'static str {
    let has = |part: &[u8]| contains(bytes, part);
    if has(b"data.pkl") || has(b"constants.pkl") {
        TORCH
    } else if has(b"model.weights.h5") {
        KERAS
    } else if has(b"saved_model.pb") {
        SAVED_MODEL
    } else if has(b".npy") {
        "an archive of NumPy arrays (.npz), not a model"
    } else {
        "a ZIP archive, as PyTorch's files (.pt) are too: export a model of PyTorch with \
         torch.onnx.export(model, example, \"model.onnx\"), unpack another archive and take the \
         .onnx file in it"
    }
}

fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

fn pickle(bytes: &[u8]) -> &'static str {
    let has = |part: &[u8]| contains(bytes, part);
    // Files of PyTorch before version 1.6 begin with this number.
    if bytes.starts_with(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9") || has(b"torch") {
        TORCH
    } else if has(b"xgboost") {
        XGBOOST
    } else if has(b"lightgbm") {
        LIGHTGBM
    } else {
        "a pickle of Python (joblib writes these too): load it in Python, and convert a model of \
         scikit-learn with skl2onnx.to_onnx(model, example, options={'zipmap': False})"
    }
}

/// Whether the file has eight bytes of length, then JSON.
fn is_safetensors(bytes: &[u8]) -> bool {
    let header = bytes.get(8..).unwrap_or_default();
    header.starts_with(b"{") && contains(header.get(..1024).unwrap_or(header), b"\"dtype\"")
}

/// Formats that are protocol buffers, as ONNX is, recognised by names in them.
fn protobuf(bytes: &[u8]) -> Option<&'static str> {
    let head = bytes.get(..1 << 20).unwrap_or(bytes);
    if !matches!(bytes.first(), Some(0x08 | 0x0a)) {
        return None;
    }
    if contains(head, b"com.github.apple.coremltools") || contains(head, b"coremltools") {
        Some("a Core ML model: take the model that it was converted from, and export that to ONNX")
    } else if contains(head, b"saved_model_main_op")
        || contains(head, b"serving_default")
        || contains(head, b"Placeholder")
    {
        Some(SAVED_MODEL)
    } else {
        None
    }
}

/// Text formats, recognised by their beginning.
fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head = bytes.get(..512).unwrap_or(bytes);
    let head = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The first 512 bytes may end within a character.
        Err(error) if error.valid_up_to() + 4 > head.len() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return xgboost_in_binary_json(bytes),
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if !head.chars().all(printable) {
        return xgboost_in_binary_json(bytes);
    }
    let lower = head.trim_start().to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return Some(
            "a web page in place of the file: the address leads to a page about the model, or asks \
             for a password; take the address of the file itself (on GitHub: raw)"
                .into(),
        );
    }
    if lower.starts_with('<') {
        return Some(match lower.contains("<net ") {
            true => "a model of OpenVINO: take the ONNX file that it was converted from".into(),
            false => "an XML document, perhaps a server's error message: inspect it".into(),
        });
    }
    if lower.starts_with('{') || lower.starts_with('[') {
        return Some(if contains(bytes, b"\"learner\"") {
            XGBOOST.into()
        } else if contains(bytes, b"\"tree_info\"") {
            LIGHTGBM.into()
        } else if contains(bytes, b"modelTopology") {
            "a TensorFlow.js model: convert the model that it was made from with tf2onnx".into()
        } else {
            "JSON, perhaps a server's error message: inspect it".into()
        });
    }
    let line: String = head.lines().next().unwrap_or_default().chars().take(60).collect();
    Some(format!("text that begins with {line:?}: inspect it, the download may have failed"))
}

fn xgboost_in_binary_json(bytes: &[u8]) -> Option<String> {
    (bytes.starts_with(b"{") && contains(bytes, b"learner")).then(|| XGBOOST.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        identify(bytes).unwrap_or_default()
    }

    #[test]
    fn common_mishaps_have_a_name_and_a_way_out() {
        let tar: Vec<u8> = [&[b'm'; 257][..], b"ustar\x0000"].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"", "an empty file"),
            (&[0; 64], "a file of zeros"),
            (b"\x1c\0\0\0TFL3\x14\0\x20\0", "tf2onnx.convert --tflite"),
            (b"\x1c\0\0\0ORTM\0\0", ".ort"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
            (b"\n <!DOCTYPE HTML><html>", "a web page"),
            (b"<?xml version=\"1.0\"?><Error/>", "an XML document"),
            (b"<?xml version=\"1.0\"?>\n<net name=\"m\">", "OpenVINO"),
            (b"{\"message\": \"Not Found\"}", "JSON"),
            (b"{\"learner\": {}}", "convert_xgboost"),
            (b"{L\0\0\0\0\0\0\0\x07learner{", "convert_xgboost"),
            (b"{\"tree_info\": []}", "convert_lightgbm"),
            (b"tree\nversion=v4\n", "convert_lightgbm"),
            (b"Access denied", "begins with \"Access denied\""),
            (b"PK\x03\x04....archive/data.pkl", "torch.onnx.export"),
            (b"PK\x03\x04....model.weights.h5", "Keras"),
            (b"PK\x03\x04....arr_0.npy", "NumPy"),
            (b"PK\x03\x04....a.txt", "ZIP"),
            (b"\x80\x04\x95....sklearn.ensemble", "skl2onnx"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j", "torch.onnx.export"),
            (b"\x89HDF\r\n\x1a\n\0", "Keras"),
            (b"GGUF\x03\0\0\0", "llama.cpp"),
            (b"\x40\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\"", "safetensors"),
            (b"ftrt\0\0", "TensorRT"),
            (b"\x1f\x8b\x08\0", "compressed"),
            (b"\x08\x08\x12\x10coremltools 7.0 ", "Core ML"),
            (b"\x08\x01\x12\x20....saved_model_main_op", "--saved-model"),
            (&tar, "NAME.bundle"),
        ];
        for (bytes, part) in cases {
            let told = told(bytes);
            assert!(told.contains(part), "{:?}: {told}", String::from_utf8_lossy(bytes));
            assert!(!told.chars().any(char::is_control), "{told:?}");
        }
    }

    #[test]
    fn an_onnx_model_and_noise_have_no_name() {
        let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/motion/model.onnx"));
        let model = model.unwrap();
        assert_eq!(identify(&model), None);
        assert_eq!(identify(b"\x9f\x83\xfe\x01\x02"), None);
    }
}
