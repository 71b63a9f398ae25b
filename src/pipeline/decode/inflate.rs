//! Payloads that are compressed.

use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::decoder::{Decoded, PayloadDecoder};
use super::sparkplug::MetricNames;
use crate::clock::Timestamp;
use crate::config::Compression;
use crate::pipeline::reject::Reject;

/// Decompresses payloads for another decoder.
#[derive(Debug)]
pub(super) struct InflateDecoder {
    decoder: Box<dyn PayloadDecoder>,
    compression: Compression,
    /// The most bytes after decompression.
    max: usize,
    inflated: Vec<u8>,
}

impl InflateDecoder {
    pub(super) fn new(
        decoder: Box<dyn PayloadDecoder>,
        compression: Compression,
        max: usize,
    ) -> Self {
        Self { decoder, compression, max, inflated: Vec::new() }
    }

    /// Replaces the buffer's contents by those of a stream, up to one byte more than are allowed.
    fn inflate(&mut self, stream: impl Read) -> io::Result<()> {
        self.inflated.clear();
        let limit = u64::try_from(self.max).unwrap_or(u64::MAX).saturating_add(1);
        stream.take(limit).read_to_end(&mut self.inflated)?;
        Ok(())
    }
}

impl PayloadDecoder for InflateDecoder {
    fn begin(&mut self, topic: &str, received: Timestamp) {
        self.decoder.begin(topic, received);
    }

    fn take_names(&mut self) -> Option<MetricNames> {
        self.decoder.take_names()
    }

    fn set_names(&mut self, names: MetricNames) {
        self.decoder.set_names(names);
    }

    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let is_gzip = payload.starts_with(&[0x1f, 0x8b]);
        let is_zlib = is_zlib(payload);
        let (format, inflated) = match self.compression {
            Compression::Auto if is_gzip => ("gzip", self.inflate(MultiGzDecoder::new(payload))),
            Compression::Auto if is_zlib => ("zlib", self.inflate(ZlibDecoder::new(payload))),
            Compression::None | Compression::Auto => return self.decoder.decode(payload, out),
            Compression::Gzip => ("gzip", self.inflate(MultiGzDecoder::new(payload))),
            Compression::Zlib => ("zlib", self.inflate(ZlibDecoder::new(payload))),
        };
        inflated.map_err(|error| {
            let problem = format!("{error}; does payload.compression name what is sent?");
            Reject::Syntax { format, problem }
        })?;
        if self.inflated.len() > self.max {
            return Err(Reject::InflatedTooLarge { max: self.max });
        }
        self.decoder.decode(&self.inflated, out)
    }
}

/// The most bytes of a payload that is looked at.
const MAX_SNIFFED: u64 = 1 << 20;

/// The compression of a payload and what it was, where its first bytes say so.
pub(in crate::pipeline) fn sniff(payload: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let (name, stream): (_, Box<dyn Read>) = if payload.starts_with(&[0x1f, 0x8b]) {
        ("gzip", Box::new(MultiGzDecoder::new(payload)))
    } else if is_zlib(payload) {
        ("zlib", Box::new(ZlibDecoder::new(payload)))
    } else {
        return None;
    };
    let mut inflated = Vec::new();
    stream.take(MAX_SNIFFED).read_to_end(&mut inflated).ok()?;
    Some((name, inflated))
}

/// Whether the header is one of zlib (RFC 1950): deflate, and divisible by 31.
fn is_zlib(payload: &[u8]) -> bool {
    let [first, second, ..] = payload else { return false };
    first & 0x0f == 8 && (u16::from(*first) * 256 + u16::from(*second)).is_multiple_of(31)
}
