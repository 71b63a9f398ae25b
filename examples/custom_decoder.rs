//! Decodes a payload format of its own, `x=0.1;y=-9.8;…`, and runs a bundle on the samples:
//! `cargo run --example custom_decoder`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use inferd::bundle::Bundle;
use inferd::clock::{Clock, SystemClock};
use inferd::config::Config;
use inferd::message::Incoming;
use inferd::pipeline::{
    Decoded, PayloadDecoder, PayloadSchema, Pipeline, PredictionIds, Reject, Router, SampleBuilder,
    load,
};

/// Decodes one sample of `name=number` pairs, separated by semicolons.
#[derive(Debug)]
struct PairDecoder {
    schema: PayloadSchema,
    /// The numbers of a sample, kept so that no payload allocates.
    values: Vec<f64>,
}

impl PayloadDecoder for PairDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let wrong = |problem: String| Reject::Syntax { format: "name=number pairs", problem };
        let text = std::str::from_utf8(payload).map_err(|error| wrong(error.to_string()))?;
        self.values.clear();
        for field in self.schema.fields() {
            let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(name, _)| name == field).map(|(_, number)| number.parse());
            match found {
                Some(Ok(value)) => self.values.push(value),
                _ => return Err(wrong(format!("{field} is missing or not a number"))),
            }
        }
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        builder.add_sample(&self.values, None)?;
        builder.finish()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = load(&Bundle::open(Path::new("models/motion"))?)?;
    let config = Config::parse(
        "[gateway]\nid = \"example\"\n[[stream]]\nname = \"motion\"\nmodel = \"motion\"\n\
         topic = \"watch/{device}\"\npayload = { format = \"json\" }\n",
    )?;
    let (gateway, stream) = (&config.gateway.id, config.streams.first().ok_or("no stream")?);
    let ids = PredictionIds::new(gateway, "example", Arc::new(AtomicU64::new(0)));
    let session = Box::new(model.model.session());
    let pipeline = Pipeline::new(0, stream, gateway, model.card.clone(), session, ids);
    let mut pipeline = pipeline
        .map_err(|problems| format!("{problems:?}"))?
        .with_decoder(|schema| Box::new(PairDecoder { schema, values: Vec::new() }));

    let clock = SystemClock::start();
    let fields: Vec<&str> =
        model.card.inputs.iter().flat_map(|input| &input.channels).map(String::as_str).collect();
    let payload: Vec<String> = fields.iter().map(|field| format!("{field}=0.1")).collect();
    let topic = "watch/left";
    let router = Router::new(&config.streams);
    let delivery = router.route(topic).next().ok_or("the topic belongs to no stream")?;
    let mut results = Vec::new();
    for _ in 0..model.card.window.as_ref().map_or(1, |window| window.length) {
        let message = Incoming {
            stream: 0,
            topic: topic.to_owned(),
            captures: delivery.captures.clone(),
            payload: payload.join(";").into(),
            received: clock.now(),
            token: None,
            input_id: None,
            reply: None,
            retained: false,
        };
        let report = pipeline.step(&message, &clock, &mut results);
        if let Some(rejected) = report.rejects.first() {
            return Err(rejected.reject.to_string().into());
        }
    }
    for result in &results {
        println!("{}", String::from_utf8_lossy(&result.message.payload));
    }
    Ok(())
}
