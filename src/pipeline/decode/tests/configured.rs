//! Decoders of streams that are configured as an operator would.

use super::*;
use crate::config::Config;

/// A stream whose `[stream.payload]` has these lines.
#[derive(Debug)]
pub(super) struct Configured {
    payload: Payload,
    whole: Option<usize>,
}

pub(super) fn configured(payload: &str) -> Configured {
    let topic = if payload.contains("device =") { "t" } else { "t/{device}" };
    let head = format!("[[stream]]\nname = \"s\"\nmodel = \"m\"\ntopic = \"{topic}\"\n");
    let text = format!("{head}[stream.payload]\n{payload}\n");
    let mut config = Config::parse(&text).unwrap_or_else(|error| panic!("{payload}: {error}"));
    assert_eq!(config.read_descriptors(), []);
    Configured { payload: config.streams[0].payload.clone(), whole: None }
}

impl Configured {
    /// Messages are whole inputs of so many numbers.
    pub(super) fn whole(self, width: usize) -> Self {
        Self { whole: Some(width), ..self }
    }

    pub(super) fn decoder(&self) -> Box<dyn PayloadDecoder> {
        let fields = self.payload.fields.clone();
        let width = self.whole.unwrap_or(fields.len().max(1));
        let whole = self.whole.is_some();
        decoder_for(PayloadSchema::new(&self.payload, fields, width, whole, None))
    }

    pub(super) fn read(&self, payload: impl AsRef<[u8]>) -> Result<Samples, Reject> {
        let mut out = Decoded::default();
        self.decoder().decode(payload.as_ref(), &mut out)?;
        Ok(out.samples_mut().clone())
    }

    pub(super) fn values(&self, payload: impl AsRef<[u8]>) -> Vec<f64> {
        self.read(payload).unwrap().values
    }

    pub(super) fn message(&self, payload: impl AsRef<[u8]>) -> String {
        self.read(payload).unwrap_err().to_string()
    }
}

impl Samples {
    /// The name of the device of each sample.
    pub(super) fn devices(&self) -> Vec<String> {
        let name = |sample| {
            let mut name = String::new();
            self.devices.write(sample, &mut name);
            name
        };
        (0..self.times.len()).map(name).collect()
    }
}
