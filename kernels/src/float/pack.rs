//! Packed weights: panels of columns, packed once.
use super::super::pack::WeightsError;
use super::operands::{PANEL, PackedView};

/// Packed columns with their bias.
#[derive(Clone, Debug)]
pub(super) struct Panels {
    pub(super) columns: usize,
    pub(super) k: usize,
    values: Vec<f32>,
    start: Vec<f32>,
}

impl Panels {
    /// Packs `columns` columns of `k` weights; `at(column, k)` returns one.
    pub(super) fn new(
        [columns, k]: [usize; 2],
        bias: Option<&[f32]>,
        at: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let padded = columns.next_multiple_of(PANEL);
        let mut values = vec![0.0; padded * k];
        for (p, panel) in values.chunks_exact_mut(PANEL * k.max(1)).enumerate() {
            pack_panel(panel, p * PANEL, columns, &at);
        }
        let mut start = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        start.resize(padded, 0.0);
        Self { columns, k, values, start }
    }

    pub(super) fn view(&self) -> PackedView<'_> {
        let Self { columns, k, ref values, ref start } = *self;
        PackedView { columns, k, values, start }
    }
}

/// Fills a panel of the columns from `first` on; columns beyond the last become zero.
#[inline(always)]
pub(super) fn pack_panel(
    panel: &mut [f32],
    first: usize,
    columns: usize,
    at: impl Fn(usize, usize) -> f32,
) {
    let real = PANEL.min(columns - first);
    for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
        let (row, rest) = row.split_at_mut(real);
        for (c, w) in row.iter_mut().enumerate() {
            *w = at(first + c, k);
        }
        rest.fill(0.0);
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
