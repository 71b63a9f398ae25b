//! The recipes of `docs/inputs.md`, through the pipeline.

use super::fixture::{Harness, card, echo, prediction};
use crate::bundle::card::{OutputKind, WindowSpec};
use crate::config::{Config, Stream};

/// A recipe: its stream, the messages, and the samples that they give.
#[derive(Debug)]
struct Recipe {
    name: String,
    stream: Stream,
    messages: Vec<(String, Vec<u8>)>,
    samples: String,
}

fn recipes() -> Vec<Recipe> {
    let page = include_str!("../../../docs/inputs.md");
    let (_, page) = page.split_once("\n## Recipes\n").unwrap();
    page.split("\n### ").skip(1).map(recipe).collect()
}

fn recipe(text: &str) -> Recipe {
    let name = text.lines().next().unwrap().to_owned();
    let blocks: Vec<_> = text.split("\n```").skip(1).step_by(2).collect();
    let [config, messages, samples] = blocks.as_slice() else { panic!("{name}: {blocks:?}") };
    // Paths are relative to the folder of the configuration.
    let config = config.strip_prefix("toml\n").unwrap();
    let config = config.replace("descriptors = \"", "descriptors = \"tests/protobuf/");
    let mut config = Config::parse(&config).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(config.read_descriptors(), [], "{name}");
    let stream = config.streams.remove(0);
    let message = |line: &str| {
        let at = line.find(" {").or_else(|| line.find(" [")).or_else(|| line.find(' ')).unwrap();
        (line[..at].to_owned(), payload(&line[at + 1..]))
    };
    let messages = messages.strip_prefix("text\n").unwrap().lines().map(message).collect();
    Recipe { name, stream, messages, samples: samples.strip_prefix("text\n").unwrap().to_owned() }
}

/// A payload as the page writes it: text with `\n` for a new line, or `hex:` with its bytes.
fn payload(text: &str) -> Vec<u8> {
    let Some(digits) = text.strip_prefix("hex:") else {
        return text.replace("\\n", "\n").into_bytes();
    };
    let digits: Vec<u8> = digits.bytes().filter(|b| b.is_ascii_hexdigit()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// What the page shows of the samples that a recipe gives.
fn samples(recipe: &Recipe, window: Option<WindowSpec>) -> String {
    let fields = recipe.stream.payload.fields.len();
    let shape = if window.is_some() { vec![1, fields] } else { vec![fields] };
    let names: Vec<String> = (0..fields).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let card = card(window, &names, OutputKind::Raw);
    let mut stream = recipe.stream.clone();
    stream.max_ahead = std::time::Duration::from_secs(365 * 86_400);
    let mut bench = Harness::new(stream, card, echo(&shape));
    let mut lines = Vec::new();
    for (topic, payload) in &recipe.messages {
        let incoming = bench.incoming(topic, payload);
        let mut out = Vec::new();
        let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut out);
        assert!(outcome.rejects.is_empty(), "{}: {topic}: {:?}", recipe.name, outcome.rejects);
        for result in &out {
            let told = prediction(&result.message.payload);
            let data: Vec<f32> = serde_json::from_value(told["tensor"]["data"].clone()).unwrap();
            let data: Vec<_> = data.iter().map(f32::to_string).collect();
            lines.push(format!("{}: {}", told["device"].as_str().unwrap(), data.join(" ")));
        }
    }
    lines.join("\n")
}

#[test]
fn every_recipe_gives_the_samples_that_it_shows() {
    let recipes = recipes();
    assert!(recipes.len() > 3);
    for recipe in &recipes {
        let window = WindowSpec { length: 1, hop: 1, max_gap: None, lead: 0 };
        assert_eq!(samples(recipe, Some(window)), recipe.samples, "{}", recipe.name);
    }
}
