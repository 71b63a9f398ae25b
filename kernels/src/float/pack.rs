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
    /// Packs `columns` columns of `k` weights; `at(column, k)` returns one.
    pub(super) fn new(
        [columns, k]: [usize; 2],
        bias: Option<&[f32]>,
        at: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let padded = columns.next_multiple_of(PANEL);
        let mut values = vec![PanelRow([0.0; PANEL]); columns.div_ceil(PANEL) * k];
        for (p, panel) in values.chunks_exact_mut(k.max(1)).enumerate() {
            let rows = panel.iter_mut().map(|row| &mut row.0);
            pack_panel(rows, p * PANEL, columns, &at);
        }
        let mut start = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        start.resize(padded, 0.0);
        Self { columns, k, values, start }
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

/// Fills a panel of the columns from `first` on; columns beyond the last become zero.
#[inline(always)]
pub(super) fn pack_panel<'a>(
    panel: impl Iterator<Item = &'a mut [f32; PANEL]>,
    first: usize,
    columns: usize,
    at: impl Fn(usize, usize) -> f32,
) {
    let real = PANEL.min(columns - first);
    for (k, row) in panel.enumerate() {
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
