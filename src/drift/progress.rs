//! The state of a learner as bytes, so that a restart does not begin it again.
//!
//! Numbers are little-endian, lists have their length before them. The whole has a digest: what does
//! not read back is not used.

use crate::codec::{Reader, put_varint};

/// What can be saved and read again.
pub(super) trait Saved: Sized {
    fn put(&self, to: &mut Vec<u8>);

    /// `None` if the bytes do not hold it.
    fn take(from: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! saved_numbers {
    ($($number:ty),*) => {$(
        impl Saved for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Option<Self> {
                Some(Self::from_le_bytes(from.array()?))
            }
        }
    )*};
}
saved_numbers!(u8, u16, u32, u64, f64);

impl Saved for usize {
    fn put(&self, to: &mut Vec<u8>) {
        u64::try_from(*self).unwrap_or(u64::MAX).put(to);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(u64::take(from)?).ok()
    }
}

impl<T: Saved, const N: usize> Saved for [T; N] {
    fn put(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|item| item.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let items = (0..N).map(|_| T::take(from)).collect::<Option<Vec<T>>>()?;
        items.try_into().ok()
    }
}

impl<T: Saved> Saved for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        put_varint(to, u64::try_from(self.len()).unwrap_or(u64::MAX));
        self.iter().for_each(|item| item.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        let mut items = Self::new();
        // A length that is not true ends with the bytes.
        for _ in 0..from.number()? {
            items.push(T::take(from)?);
        }
        Some(items)
    }
}

impl<T: Saved> Saved for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        u8::from(self.is_some()).put(to);
        if let Some(item) = self {
            item.put(to);
        }
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        match from.byte()? {
            0 => Some(None),
            _ => T::take(from).map(Some),
        }
    }
}

impl<T: Saved> Saved for Box<T> {
    fn put(&self, to: &mut Vec<u8>) {
        T::put(self, to);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        T::take(from).map(Self::new)
    }
}

impl<A: Saved, B: Saved> Saved for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

/// A struct is saved as its fields, in this order.
macro_rules! saved_fields {
    ($name:ident { $($field:ident),* }) => {
        impl $crate::drift::progress::Saved for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::drift::progress::Saved::put(&self.$field, to);)*
            }

            fn take(from: &mut $crate::codec::Reader<'_>) -> Option<Self> {
                $(let $field = $crate::drift::progress::Saved::take(from)?;)*
                Some(Self { $($field),* })
            }
        }
    };
}
pub(super) use saved_fields;
