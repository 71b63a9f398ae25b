//! Access to slices whose indices come from a model.

/// The value of a channel in a slice with one value for all channels, or one per channel.
pub(super) fn per_channel<T: Copy>(values: &[T], channel: usize) -> Option<T> {
    values.get(if values.len() == 1 { 0 } else { channel }).copied()
}

/// Sets the element at `index`, if there is one.
pub(super) fn set_at<T>(values: &mut [T], index: usize, value: T) {
    if let Some(element) = values.get_mut(index) {
        *element = value;
    }
}
