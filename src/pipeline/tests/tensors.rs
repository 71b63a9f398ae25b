//! What arrives at the model: channels, scaling, layout, element types.

use super::fixture::{Harness, card, spec, stream, taking};
use crate::bundle::card::{
    Card, FeatureSpec, InputSpec, Layout, Normalize, OutputKind, WindowSpec,
};
use crate::config::Format;
use crate::pipeline::check_compatibility;
use crate::tensor::{Data, Dtype, Quant, TensorSpec};

/// The model's inputs after one message, or the reject's code.
fn tensors(
    fields: &[&str],
    card: Card,
    inputs: Vec<TensorSpec>,
    payload: &str,
) -> Result<Vec<Data>, &'static str> {
    let mut config = stream();
    config.payload.fields = fields.iter().map(|f| (*f).to_owned()).collect();
    let (model, taken) = taking(inputs);
    let mut bench = Harness::new(config, card, model);
    let (outcome, _) = bench.step("sensors/x/imu", payload);
    match outcome.rejects.first() {
        Some(rejected) => Err(rejected.reject.code()),
        None => Ok(taken.lock().unwrap().clone()),
    }
}

fn window(length: usize) -> Option<WindowSpec> {
    Some(WindowSpec { length, hop: length, max_gap: None, lead: 0 })
}

fn input(name: &str, channels: &[&str], layout: Layout, normalize: Normalize) -> InputSpec {
    let channels = channels.iter().map(|c| (*c).to_owned()).collect();
    let (name, features) = (name.into(), FeatureSpec::default());
    InputSpec { name, channels, layout, normalize, features, quantize: false }
}

fn with(window: Option<WindowSpec>, inputs: Vec<InputSpec>) -> Card {
    Card { inputs, ..card(window, &[], OutputKind::Raw) }
}

fn f32s(values: &[f32]) -> Data {
    Data::F32(values.to_vec())
}

const TWO: &str = "[[1,10],[2,20],[3,30]]";

#[test]
fn a_window_is_laid_out_and_scaled_per_channel() {
    let mean_std = || Normalize::MeanStd { mean: vec![1.0, 10.0], std: vec![0.5, 10.0] };
    let min_max = || Normalize::MinMax { min: vec![1.0], max: vec![3.0] };
    let offset = || Normalize::ScaleOffset { scale: vec![2.0], offset: vec![1.0, 0.0] };
    let table = [
        (Layout::TIME_CHANNEL, Normalize::None, vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]),
        (Layout::CHANNEL_TIME, Normalize::None, vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0]),
        (Layout::TIME_CHANNEL, mean_std(), vec![0.0, 0.0, 2.0, 1.0, 4.0, 2.0]),
        (Layout::CHANNEL_TIME, mean_std(), vec![0.0, 2.0, 4.0, 0.0, 1.0, 2.0]),
        (Layout::CHANNEL_TIME, min_max(), vec![0.0, 0.5, 1.0, 4.5, 9.5, 14.5]),
    ];
    for (layout, normalize, expected) in table {
        let shape = if layout == Layout::TIME_CHANNEL { [1, 3, 2] } else { [1, 2, 3] };
        let card = with(window(3), vec![input("x", &["a", "b"], layout, normalize)]);
        let got = tensors(&["a", "b"], card, vec![spec("x", Dtype::F32, &shape)], TWO);
        assert_eq!(got, Ok(vec![f32s(&expected)]));
    }
    let card = with(window(3), vec![input("x", &[], Layout::TIME_CHANNEL, offset())]);
    let misfit = check_compatibility(
        &stream(),
        &card,
        &[spec("x", Dtype::F32, &[3, 2])],
        &[spec("y", Dtype::F32, &[1])],
    );
    assert_eq!(misfit.unwrap_err()[0].key, "card: input.normalize");
}

#[test]
fn several_inputs_take_their_channels_in_the_order_of_the_card() {
    let plain =
        |name, channels: &[&str]| input(name, channels, Layout::TIME_CHANNEL, Normalize::None);
    let card = with(window(2), vec![plain("gyro", &["gx"]), plain("acc", &["ax", "ay"])]);
    let specs = vec![spec("acc", Dtype::F32, &[1, 2, 2]), spec("gyro", Dtype::F32, &[1, 2, 1])];
    let got = tensors(&["gx", "ax", "ay"], card, specs, "[[1,2,3],[4,5,6]]");
    assert_eq!(got, Ok(vec![f32s(&[2.0, 3.0, 5.0, 6.0]), f32s(&[1.0, 4.0])]));
}

#[test]
fn the_cards_channels_stand_in_for_fields_that_are_not_named() {
    let card =
        with(window(1), vec![input("x", &["ax", "ay"], Layout::TIME_CHANNEL, Normalize::None)]);
    let specs = vec![spec("x", Dtype::F32, &[1, 2])];
    assert_eq!(tensors(&[], card, specs, r#"{"ay":2,"ax":1}"#), Ok(vec![f32s(&[1.0, 2.0])]));
}

#[test]
fn a_whole_input_is_taken_flat_by_field_or_in_rows() {
    let make = |layout| with(None, vec![input("x", &["a", "b"], layout, Normalize::None)]);
    let time = || (make(Layout::TIME_CHANNEL), vec![spec("x", Dtype::F32, &[1, 3, 2])]);
    let channel = || (make(Layout::CHANNEL_TIME), vec![spec("x", Dtype::F32, &[1, 2, 3])]);
    let get = |(card, specs), payload| tensors(&["a", "b"], card, specs, payload);
    let by_time = Ok(vec![f32s(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0])]);
    let by_channel = Ok(vec![f32s(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0])]);
    let rows = r#"[{"a":1,"b":10},{"a":2,"b":20},{"a":3,"b":30}]"#;
    let columns = r#"{"b":[10,20,30],"a":[1,2,3]}"#;
    assert_eq!(get(time(), rows), by_time);
    assert_eq!(get(channel(), rows), by_channel);
    assert_eq!(get(time(), columns), by_time);
    assert_eq!(get(channel(), columns), by_channel);
    // Bare numbers are in the tensor's own order already.
    assert_eq!(get(time(), "[1,10,2,20,3,30]"), by_time);
    assert_eq!(get(channel(), "[[1,2,3],[10,20,30]]"), by_channel);
    for bad in [r#"{"a":[1,2,3,4],"b":[1,2]}"#, r#"[{"a":1,"b":2}]"#, "[1,2,3,4,5,6,7]"] {
        assert_eq!(get(time(), bad), Err("wrong-length"), "{bad}");
    }
}

#[test]
fn whole_inputs_of_several_tensors_are_fields_by_group_or_one_row_of_numbers() {
    let plain = |name| input(name, &[], Layout::TIME_CHANNEL, Normalize::None);
    let make = || with(None, vec![plain("image"), plain("age")]);
    let specs = || vec![spec("image", Dtype::F32, &[1, 2, 2]), spec("age", Dtype::I64, &[1])];
    let expected = Ok(vec![f32s(&[1.0, 2.0, 3.0, 4.0]), Data::I64(vec![7])]);
    let named = r#"{"years":7,"pixels":[[1,2],[3,4]]}"#;
    assert_eq!(tensors(&["pixels", "years"], make(), specs(), named), expected);
    assert_eq!(tensors(&[], make(), specs(), "[1,2,3,4,7]"), expected);
    let short = r#"{"years":7,"pixels":[1,2,3]}"#;
    assert_eq!(tensors(&["pixels", "years"], make(), specs(), short), Err("wrong-length"));
}

#[test]
fn fields_of_unequal_length_make_up_a_tensor_one_after_the_other() {
    let card = with(None, vec![input("x", &[], Layout::TIME_CHANNEL, Normalize::None)]);
    let specs = vec![spec("x", Dtype::F32, &[1, 3])];
    let got = tensors(&["mfcc", "age"], card, specs, r#"{"age":9,"mfcc":[1,2]}"#);
    assert_eq!(got, Ok(vec![f32s(&[1.0, 2.0, 9.0])]));
}

#[test]
fn a_pixel_is_scaled_by_its_colour() {
    let normalize = || Normalize::MeanStd { mean: vec![1.0, 2.0, 3.0], std: vec![1.0, 2.0, 4.0] };
    let card = with(None, vec![input("x", &[], Layout::TIME_CHANNEL, normalize())]);
    let specs = || vec![spec("x", Dtype::F32, &[1, 1, 2, 3])];
    let expected = Ok(vec![f32s(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0])]);
    assert_eq!(tensors(&["px"], card, specs(), r#"{"px":[1,2,3,2,4,7]}"#), expected);
}

#[test]
fn integer_inputs_are_taken_as_they_are_when_they_are_whole_and_in_range() {
    let get = |dtype, payload: &str| {
        let card = with(None, vec![input("x", &[], Layout::TIME_CHANNEL, Normalize::None)]);
        tensors(&[], card, vec![spec("x", dtype, &[2])], payload)
    };
    assert_eq!(get(Dtype::I8, "[-128,127]"), Ok(vec![Data::I8(vec![-128, 127])]));
    assert_eq!(get(Dtype::U8, "[0,255.0]"), Ok(vec![Data::U8(vec![0, 255])]));
    assert_eq!(get(Dtype::I32, "[16777217,-1]"), Ok(vec![Data::I32(vec![16_777_217, -1])]));
    assert_eq!(get(Dtype::I64, "[9007199254740992,0]"), Ok(vec![Data::I64(vec![1 << 53, 0])]));
    assert_eq!(get(Dtype::Bool, "[true,0]"), Ok(vec![Data::Bool(vec![true, false])]));
    assert_eq!(get(Dtype::F64, "[0.1,0]"), Ok(vec![Data::F64(vec![0.1, 0.0])]));
    let table = [
        (Dtype::I8, "[0,128]"),
        (Dtype::I8, "[0,0.5]"),
        (Dtype::U8, "[-1,0]"),
        (Dtype::U16, "[65536,0]"),
        (Dtype::I64, "[9223372036854775808,0]"),
        (Dtype::Bool, "[2,0]"),
    ];
    for (dtype, payload) in table {
        assert_eq!(get(dtype, payload), Err("out-of-range"), "{payload} as {dtype}");
    }
}

#[test]
fn real_values_are_quantized_half_to_even_and_saturate() {
    let card = || {
        let input = input("x", &[], Layout::TIME_CHANNEL, Normalize::None);
        with(None, vec![InputSpec { quantize: true, ..input }])
    };
    let quant = Some(Quant { scale: 0.5, zero: 3 });
    let specs = |dtype| vec![TensorSpec { quant, ..spec("x", dtype, &[6]) }];
    let payload = "[0.25,0.75,-0.25,1000,-1000,1]";
    let got = tensors(&[], card(), specs(Dtype::I8), payload);
    assert_eq!(got, Ok(vec![Data::I8(vec![3, 5, 3, 127, -128, 5])]));
    let got = tensors(&[], card(), specs(Dtype::U8), payload);
    assert_eq!(got, Ok(vec![Data::U8(vec![3, 5, 3, 255, 0, 5])]));
}

#[test]
fn a_scaling_that_overflows_is_not_finite() {
    let normalize = Normalize::ScaleOffset { scale: vec![1e30], offset: vec![0.0] };
    let card = with(None, vec![input("x", &[], Layout::TIME_CHANNEL, normalize)]);
    let specs = vec![spec("x", Dtype::F32, &[1])];
    assert_eq!(tensors(&[], card, specs, "[1e30]"), Err("not-finite"));
}

#[test]
fn a_raw_int8_window_reaches_an_int8_model_untouched() {
    let mut config = stream();
    config.payload.format = Format::Raw(Dtype::I8);
    config.payload.fields.clear();
    let card =
        with(window(2), vec![input("x", &["a", "b"], Layout::TIME_CHANNEL, Normalize::None)]);
    let (model, taken) = taking(vec![spec("x", Dtype::I8, &[1, 2, 2])]);
    let mut bench = Harness::new(config, card, model);
    let incoming = bench.incoming("sensors/x/imu", &[1, 255, 128, 127]);
    let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut Vec::new());
    assert_eq!((outcome.samples, outcome.runs), (2, 1));
    assert_eq!(*taken.lock().unwrap(), [Data::I8(vec![1, -1, -128, 127])]);
}

#[test]
fn a_raw_payload_that_is_the_tensor_is_copied_and_checked() {
    let mut config = stream();
    config.payload.fields.clear();
    config.max_payload = 100;
    let mut codes = |dtype, payload: &[u8]| {
        config.payload.format = Format::Raw(dtype);
        let card = with(None, vec![input("x", &[], Layout::TIME_CHANNEL, Normalize::None)]);
        let (model, taken) = taking(vec![spec("x", dtype, &[1, 2])]);
        let mut bench = Harness::new(config.clone(), card, model);
        let incoming = bench.incoming("sensors/x/imu", payload);
        let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut Vec::new());
        let codes = outcome.rejects.iter().map(|r| r.reject.code()).collect::<Vec<_>>();
        (codes, taken.lock().unwrap().clone())
    };
    assert_eq!(codes(Dtype::U8, &[0, 255]), (vec![], vec![Data::U8(vec![0, 255])]));
    assert_eq!(codes(Dtype::I16, &[1, 0, 255, 255]), (vec![], vec![Data::I16(vec![1, -1])]));
    assert_eq!(codes(Dtype::Bool, &[0, 7]), (vec![], vec![Data::Bool(vec![false, true])]));
    let floats = |values: [f32; 2]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    assert_eq!(codes(Dtype::F32, &floats([0.5, -1.0])), (vec![], vec![f32s(&[0.5, -1.0])]));
    assert_eq!(codes(Dtype::F32, &floats([0.5, f32::NAN])).0, ["not-finite"]);
    assert_eq!(codes(Dtype::I8, &[1]).0, ["wrong-length"]);
    assert_eq!(codes(Dtype::I8, &[1, 2, 3]).0, ["wrong-length"]);
    assert_eq!(codes(Dtype::I8, &[0; 101]).0, ["too-large"]);
}
