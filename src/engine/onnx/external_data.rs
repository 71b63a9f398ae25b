//! External tensor data, which is read only from files in or below the model's folder.

use crate::engine::error::LoadError;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use tract_onnx::pb::{GraphProto, TensorProto, tensor_proto::DataLocation};

/// The most external data of a model, in bytes: as much as a bundle may have. Several tensors may
/// name the same bytes.
const MAX_EXTERNAL_BYTES: u64 = 512 << 20;

/// Replaces every reference to external data with the data, in the graph and the graphs inside it.
/// Returns the number of bytes.
pub(super) fn inline(graph: &mut GraphProto, folder: Option<&Path>) -> Result<u64, LoadError> {
    let mut left = MAX_EXTERNAL_BYTES;
    inline_graph(graph, folder, &mut left)?;
    Ok(MAX_EXTERNAL_BYTES - left)
}

fn inline_graph(
    graph: &mut GraphProto,
    folder: Option<&Path>,
    left: &mut u64,
) -> Result<(), LoadError> {
    for tensor in &mut graph.initializer {
        inline_tensor(tensor, folder, left)?;
    }
    for attribute in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
        for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
            inline_tensor(tensor, folder, left)?;
        }
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            inline_graph(graph, folder, left)?;
        }
    }
    Ok(())
}

fn inline_tensor(
    tensor: &mut TensorProto,
    folder: Option<&Path>,
    left: &mut u64,
) -> Result<(), LoadError> {
    if tensor.data_location != Some(DataLocation::External as i32) {
        return Ok(());
    }
    let entry = |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| &e.value);
    let location = entry("location").map_or("", String::as_str);
    let mut read = || -> Result<Vec<u8>, String> {
        let number = |key: &str| match entry(key) {
            Some(text) => text.parse().map(Some).map_err(|_| format!("its {key} is not a number")),
            None => Ok(None),
        };
        let folder = folder.ok_or(
            "a bundle in one file has no place for it; pack the folder with `inferctl pack`, which \
             puts it into the model, or save the model in one file: python -c \
             'import onnx; onnx.save(onnx.load(\"model.onnx\"), \"model.onnx\")'",
        )?;
        let path = locate(folder, location)?;
        let bytes = read_range(&path, number("offset")?.unwrap_or(0), number("length")?, *left)?;
        *left = left.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    };
    tensor.raw_data = read().map_err(|reason| LoadError::External {
        tensor: tensor.name.clone(),
        location: location.to_owned(),
        reason,
    })?;
    tensor.data_location = None;
    tensor.external_data.clear();
    Ok(())
}

/// The path of `location`, which must be below `folder` after all links are resolved.
fn locate(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let location = Path::new(location);
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    if location.as_os_str().is_empty() || !location.components().all(plain) {
        return Err("the location must be a path inside the model's folder".into());
    }
    let folder = folder.canonicalize().map_err(|e| format!("{}: {e}", folder.display()))?;
    let path = folder.join(location).canonicalize();
    let path = path.map_err(|e| format!("{e}; put the file next to the model under this name"))?;
    if !path.starts_with(&folder) {
        return Err("the location is outside the model's folder".into());
    }
    Ok(path)
}

/// Reads a range of a file of at most `most` bytes.
fn read_range(path: &Path, offset: u64, length: Option<u64>, most: u64) -> Result<Vec<u8>, String> {
    let found = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !found.is_file() {
        return Err("the location is not a file".into());
    }
    let size = found.len();
    let length = length.unwrap_or(size.saturating_sub(offset));
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!("offset {offset} and length {length} exceed its {size} bytes"));
    }
    if length > most {
        return Err(format!("the model has more than {MAX_EXTERNAL_BYTES} bytes of it"));
    }
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    file.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 != length {
        return Err(format!("the file ended after {} of {length} bytes", bytes.len()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tract_onnx::pb::StringStringEntryProto;

    fn external(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        TensorProto {
            name: "w".into(),
            data_location: Some(DataLocation::External as i32),
            external_data: entries.iter().map(entry).collect(),
            ..TensorProto::default()
        }
    }

    fn read(folder: Option<&Path>, entries: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let mut tensor = external(entries);
        inline_tensor(&mut tensor, folder, &mut 8).map_err(|e| e.to_string())?;
        Ok(tensor.raw_data)
    }

    #[test]
    fn reads_a_range_below_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::write(dir.path().join("data/w.bin"), b"0123456789").unwrap();
        let folder = Some(dir.path());
        let location = ("location", "data/w.bin");
        let whole = read(folder, &[location]).unwrap_err();
        assert!(whole.contains("more than"), "{whole}");
        assert_eq!(read(folder, &[location, ("offset", "2")]).unwrap(), b"23456789");
        assert_eq!(read(folder, &[location, ("offset", "3"), ("length", "4")]).unwrap(), b"3456");
        assert_eq!(read(folder, &[location, ("offset", "8")]).unwrap(), b"89");
        for (offset, length) in [("8", "3"), ("11", "0"), ("1", "18446744073709551615")] {
            let reason =
                read(folder, &[location, ("offset", offset), ("length", length)]).unwrap_err();
            assert!(reason.contains("exceed its"), "{reason}");
        }
        assert!(read(folder, &[location, ("offset", "-1")]).unwrap_err().contains("not a number"));
        assert!(read(folder, &[("location", "data")]).unwrap_err().contains("not a file"));
    }

    #[test]
    #[cfg(unix)]
    fn never_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("model");
        fs::create_dir(&inside).unwrap();
        let outside = dir.path().join("secret");
        fs::write(&outside, b"secret").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink("..", inside.join("up")).unwrap();
        let absolute = outside.to_str().unwrap();
        for location in ["../secret", absolute, "link", "up/secret", "./../secret", "", "absent"] {
            let reason = read(Some(&inside), &[("location", location)]).unwrap_err();
            assert!(reason.contains("\"w\""), "{location:?}: {reason}");
        }
        let reason = read(None, &[("location", "w.bin")]).unwrap_err();
        assert!(reason.contains("save the model in one file"), "{reason}");
    }
}
