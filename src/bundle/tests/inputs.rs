//! Constant inputs, open dimensions, and external data.

use std::time::Duration;

use super::*;
use crate::bundle::card::StateSpec;

fn with_inputs(inputs: &str) -> Result<Card, Vec<Problem>> {
    card(&format!(
        "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n{inputs}\n[output]\nkind = \"raw\""
    ))
}

#[test]
fn an_input_with_a_value_is_a_constant() {
    let card = with_inputs("[[input]]\nname = \"x\"\n[[input]]\nname = \"sr\"\nvalue = 16000");
    let card = card.unwrap();
    assert_eq!(card.inputs.len(), 1);
    assert_eq!(card.constants["sr"], [16000.0]);
    let of_channels = with_inputs(
        "[[input]]\nname = \"x\"\n[[input]]\nname = \"sr\"\nvalue = 1\nchannels = [\"a\"]",
    );
    assert!(of_channels.unwrap_err()[0].to_string().contains("means nothing"));
    assert!(with_inputs("[[input]]\nname = \"sr\"\nvalue = 1").is_err());
}

#[test]
fn a_dimension_that_the_model_does_not_have_is_refused() {
    let message = refusal("format = 1", "format = 1\ndims = { batch = 2 }");
    assert!(
        message.contains("dims names \"batch\"") && message.contains("open are: none"),
        "{message}"
    );
}

/// The fields of a protocol buffer: only what this test writes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    bytes.extend(content);
    bytes
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// `y = x + w` for two floats, with `w` in the file `w.data`.
fn model() -> Vec<u8> {
    let info = |name: &str| {
        let size = field(1, &varint(1, 2));
        let tensor = [varint(1, 1), field(2, &size)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    };
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Add")].concat();
    let location = [field(1, b"location"), field(2, b"w.data")].concat();
    let weights =
        [varint(1, 2), varint(2, 1), field(8, b"w"), field(13, &location), varint(14, 1)].concat();
    let graph = [
        field(1, &node),
        field(2, b"g"),
        field(5, &weights),
        field(11, &info("x")),
        field(12, &info("y")),
    ];
    [varint(1, 8), field(7, &graph.concat()), field(8, &varint(2, 13))].concat()
}

#[test]
fn external_data_becomes_part_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("model.onnx", &model());
    let weights = |first: f32| [first.to_le_bytes(), 2f32.to_le_bytes()].concat();
    write("w.data", &weights(1.0));
    let text = "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n[[input]]\nname = \"x\"\n\
                [output]\nkind = \"raw\"";
    write("card.toml", text.as_bytes());
    let bundle = Bundle::open(folder.path()).unwrap();
    assert_eq!(bundle.embedded_bytes(), 8);
    // Written as one file, it needs no folder.
    let mut packed = Vec::new();
    bundle.write(&mut packed).unwrap();
    let packed = Bundle::read(&packed).unwrap();
    assert_eq!(packed.digest(), bundle.digest());
    let model = packed.model().unwrap();
    let input = Tensor { shape: vec![2], data: Data::F32(vec![0.5, 0.5]) };
    let mut output = [input.clone()];
    model.session().run(&[input], &mut output).unwrap();
    assert_eq!(output[0].data, Data::F32(vec![1.5, 2.5]));
    // Other data are another model.
    write("w.data", &weights(3.0));
    assert_ne!(Bundle::open(folder.path()).unwrap().digest(), bundle.digest());
    fs::remove_file(folder.path().join("w.data")).unwrap();
    let missing = Bundle::open(folder.path()).and_then(|bundle| load(&bundle)).unwrap_err();
    assert!(missing.to_string().contains("w.data"), "{missing}");
}

#[test]
fn states_are_read_and_their_mistakes_are_named() {
    let of = |states: &str| {
        with_inputs(&format!(
            "[window]\nlength = 4\nmax_gap = \"2s\"\n[[input]]\nname = \"x\"\n{states}"
        ))
    };
    let one = "[[state]]\ninput = \"h\"\noutput = \"hn\"\n";
    let card = of(one).unwrap();
    let expected = StateSpec {
        input: "h".into(),
        output: "hn".into(),
        value: vec![0.0],
        max_gap: Some(Duration::from_secs(2)),
    };
    assert_eq!(card.states, [expected]);
    let other = "[[state]]\ninput = \"c\"\noutput = \"cn\"\n";
    for (states, problem) in [
        (one.replace("\"h\"", "\"x\""), "an [[input]] has this name"),
        (format!("{one}{one}"), "another state has this input"),
        (format!("{one}{}", other.replace("cn", "hn")), "another state has this output"),
        (format!("{one}{other}max_gap = \"3s\""), "the same for all"),
        (format!("{one}value = []"), "0 numbers"),
        (format!("{one}reset = \"never\""), "reset"),
    ] {
        let problems = of(&states).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.join("\n").contains(problem), "{states}: {told:?}");
    }
    let lead = with_inputs("[window]\nlength = 4\nlead = 4\n[[input]]\nname = \"x\"");
    assert!(lead.unwrap_err()[0].to_string().contains("not shorter than the window"));
}
