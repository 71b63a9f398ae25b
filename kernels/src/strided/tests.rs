//! Copies of every shape against index arithmetic.
use super::*;

/// The strides of a dense tensor, outermost axis first.
fn dense(shape: &[usize]) -> Vec<isize> {
    (0..shape.len()).map(|a| shape[a + 1..].iter().product::<usize>() as isize).collect()
}

fn from_start(strides: Vec<isize>) -> StridedView {
    StridedView { start: 0, strides }
}

/// Channels last, into channels first: every number of channels and of pixels about a tile.
#[test]
fn transposes() {
    for (channels, pixels) in (1..10).flat_map(|c| (1..10).map(move |p| (c, p))) {
        let shape = [2, channels, pixels];
        let last = dense(&[2, pixels, channels]);
        let last = from_start(vec![last[0], last[2], last[1]]);
        let copy = Strided::new(&shape, &last, &from_start(dense(&shape)));
        let x: Vec<i8> = (0..2 * channels * pixels).map(|i| i as i8).collect();
        let mut y = vec![0; x.len()];
        copy.bytes(&x, &mut y);
        for (at, &y) in y.iter().enumerate() {
            let (n, c, p) = (at / (channels * pixels), at / pixels % channels, at % pixels);
            assert_eq!(y, x[(n * pixels + p) * channels + c], "{shape:?} at {at}");
        }
    }
}

/// Four axes turned round: the innermost two make no transposition by themselves.
#[test]
fn turns_any_axes() {
    let shape = [2, 3, 5, 6];
    let back = from_start(vec![1, 2, 6, 30]);
    let copy = Strided::new(&shape, &back, &from_start(dense(&shape)));
    let x: Vec<f32> = (0..180u8).map(f32::from).collect();
    let mut y = vec![0.0; 180];
    copy.floats(&x, &mut y);
    let expected = (0..180).map(|i| x[i / 90 + i / 30 % 3 * 2 + i / 6 % 5 * 6 + i % 6 * 30]);
    assert!(y.iter().copied().eq(expected));
}

#[test]
fn joins_axes_that_stay_together() {
    let plain = from_start(dense(&[4, 5, 6]));
    let copy = Strided::new(&[4, 5, 6], &plain, &plain);
    assert_eq!(copy.axes, [Axis { size: 120, from: 1, to: 1 }]);
}

#[test]
fn slices_backwards_and_repeats() {
    let x: Vec<i8> = (0..6).collect();
    let mut y = vec![0; 6];
    let back = StridedView { start: 5, strides: vec![-2] };
    let double = Table::new(|x| x.wrapping_mul(2));
    Strided::new(&[3], &back, &StridedView { start: 1, strides: vec![1] })
        .look_up(&double, &x, &mut y);
    assert_eq!(y, [0, 10, 6, 2, 0, 0]);
    let row = StridedView { start: 4, strides: vec![0, 1] };
    Strided::new(&[3, 2], &row, &from_start(vec![2, 1])).bytes(&x, &mut y);
    assert_eq!(y, [4, 5, 4, 5, 4, 5]);
}

/// A part of a picture, channels last, into the middle of a larger one, channels first.
#[test]
fn transposes_a_part_into_a_part() {
    let from = StridedView { start: 9, strides: vec![1, 9] };
    let copy = Strided::new(&[7, 3], &from, &StridedView { start: 2, strides: vec![5, 1] });
    let x: Vec<i8> = (0..45).collect();
    let mut y = [-1; 40];
    copy.bytes(&x, &mut y);
    for (at, y) in y.into_iter().enumerate() {
        let (channel, pixel) = (at / 5, at % 5);
        let copied = channel < 7 && (2..5).contains(&pixel);
        assert_eq!(y, if copied { x[9 * (pixel - 1) + channel] } else { -1 }, "{at}");
    }
}

#[test]
fn nothing_is_copied_out_of_nothing() {
    let beyond = StridedView { start: 1, strides: vec![0, 1] };
    Strided::new(&[5, 0], &from_start(vec![1, 5]), &beyond).bytes(&[], &mut []);
}

/// A buffer that is too small must panic, not end early.
#[test]
#[should_panic(expected = "range")]
fn a_short_buffer_is_a_mistake() {
    let shape = [4, 6];
    let copy = Strided::new(&shape, &from_start(vec![1, 4]), &from_start(dense(&shape)));
    copy.bytes(&[0; 23], &mut [0; 24]);
}
