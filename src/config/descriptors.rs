//! Reads the descriptor sets that streams name.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::problem::Problem;
use super::{Config, Payload, Protobuf, Stream};
use crate::protobuf::{MAX_SET_BYTES, MessageTypes};

impl Config {
    /// Reads the descriptor sets of all streams. What is wrong with them is returned.
    pub(crate) fn read_descriptors(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (place, stream) in self.streams.iter_mut().enumerate() {
            let Some(protobuf) = &stream.payload.protobuf else { continue };
            match types(protobuf) {
                Ok(Some(types)) => set_types(stream, &Arc::new(types)),
                // A file that cannot be read is a problem of its option.
                Ok(None) => {}
                Err(reason) => problems.push(Problem {
                    origin: None,
                    path: format!("stream[{place}].payload.descriptors"),
                    value: None,
                    reason: format!("{} {reason}", protobuf.descriptors.display()),
                    allowed: "a descriptor set with the types of payload.message".to_owned(),
                }),
            }
        }
        problems
    }
}

fn set_types(stream: &mut Stream, types: &Arc<MessageTypes>) {
    let set = |payload: &mut Payload| {
        if let Some(protobuf) = &mut payload.protobuf {
            protobuf.types = Some(Arc::clone(types));
        }
    };
    set(&mut stream.payload);
    let sources = stream.join.iter_mut().flat_map(|join| &mut join.sources);
    sources.for_each(|source| set(&mut source.payload));
}

fn types(protobuf: &Protobuf) -> Result<Option<MessageTypes>, String> {
    let Some(set) = read(&protobuf.descriptors)? else { return Ok(None) };
    MessageTypes::read(&set, &protobuf.message, &protobuf.embedded).map(Some)
}

/// Reads a file, as far as it is needed to see that it is too long.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut set = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(MAX_SET_BYTES.saturating_add(1)).read_to_end(&mut set));
    match read {
        Err(_) => Ok(None),
        Ok(len) if u64::try_from(len).is_ok_and(|len| len <= MAX_SET_BYTES) => Ok(Some(set)),
        Ok(_) => Err(format!(
            "has more than {MAX_SET_BYTES} bytes: leave --include_source_info out, and other files"
        )),
    }
}
