//! Packed weights: panels of columns, packed once.
use super::super::pack::WeightsError;
use super::operands::{PANEL, PackedView};

/// The weights of one k and all columns of a panel: a cache line, so that no vector crosses one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct PanelRow([f32; PANEL]);

/// Packed columns with their bias.
#[derive(Clone, Debug)]
pub(super) struct Panels {
    pub(super) columns: usize,
    pub(super) k: usize,
    values: Vec<PanelRow>,
    start: Vec<f32>,
}

impl Panels {
    /// Packs `columns` columns of `k` weights. That of a column and a row is
    /// `values[column(c) + row(i)]`.
    pub(super) fn new(
        [columns, k]: [usize; 2],
        bias: Option<&[f32]>,
        values: &[f32],
        column: impl Fn(usize) -> usize,
        row: impl Fn(usize) -> usize,
    ) -> Self {
        let padded = columns.next_multiple_of(PANEL);
        let mut packed = vec![PanelRow([0.0; PANEL]); columns.div_ceil(PANEL) * k];
        for (p, panel) in packed.chunks_exact_mut(k.max(1)).enumerate() {
            let first = p * PANEL;
            let real = PANEL.min(columns - first);
            let mut starts = [0; PANEL];
            for (c, start) in starts.iter_mut().enumerate().take(real) {
                *start = column(first + c);
            }
            for (i, to) in panel.iter_mut().enumerate() {
                let row = row(i);
                for (w, start) in to.0.iter_mut().zip(starts).take(real) {
                    *w = values[start + row];
                }
            }
        }
        let mut start = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        start.resize(padded, 0.0);
        Self { columns, k, values: packed, start }
    }

    pub(super) fn view(&self) -> PackedView<'_> {
        let Self { columns, k, ref values, ref start } = *self;
        // SAFETY: a row is `PANEL` floats without padding.
        let values = unsafe {
            std::slice::from_raw_parts(values.as_ptr().cast::<f32>(), values.len() * PANEL)
        };
        PackedView { columns, k, values, start }
    }
}

/// Compares a length with the expected one.
pub(super) fn expect_len(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), WeightsError> {
    if expected == found { Ok(()) } else { Err(WeightsError::Shape { what, expected, found }) }
}
