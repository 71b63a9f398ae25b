//! Rows of features.

/// The shape of an input: rows of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub rows: usize,
    pub columns: usize,
}

impl Rows {
    /// The rows of an input of one or two axes.
    ///
    /// # Errors
    /// Another number of axes, or no features.
    pub(super) fn of(shape: &[usize]) -> Result<Self, String> {
        let (rows, columns) = match *shape {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => {
                return Err(format!(
                    "its input has shape {shape:?}; it takes rows of features: [rows, features]"
                ));
            }
        };
        if rows == 0 || columns == 0 {
            return Err(format!("its input has shape {shape:?}, which is empty"));
        }
        Ok(Self { rows, columns })
    }
}
