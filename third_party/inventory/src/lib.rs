//! Values that crates register before `main`, by type: the part of inventory's interface that tract uses.
//!
//! What is registered is linked, and everything it refers to, whether or not somebody asks for it. Of a type in [`UNREAD`]
//! nothing is registered, and its iterator is empty.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// What tract registers and inferd never looks up: the model transforms that tract's own command line applies by
/// name. They lead to its reader of NNEF, a parser and a second set of operators.
pub const UNREAD: &[&str] = &["ModelTransformFactory"];

/// The values of one type.
#[derive(Debug)]
pub struct Registry<T: 'static>(Mutex<Vec<&'static T>>);

impl<T> Registry<T> {
    #[doc(hidden)]
    pub const fn new() -> Registry<T> {
        Registry(Mutex::new(Vec::new()))
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Registry<T> {
        Registry::new()
    }
}

/// What [`collect`] implements.
pub trait Collect: Sync + Sized + 'static {
    #[doc(hidden)]
    const READ: bool;
    #[doc(hidden)]
    fn registry() -> &'static Registry<Self>;
}

/// A value whose type is forgotten until it is registered.
#[doc(hidden)]
pub trait Submit: Sync {
    fn submit(&'static self);
}

impl<T: Collect> Submit for T {
    fn submit(&'static self) {
        T::registry().0.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

mod both {
    use super::{Infallible, PhantomData};

    /// `iter::<T>` and `iter::<T>()`: every registered `&'static T`, in no order that can be relied on.
    #[expect(non_camel_case_types, reason = "it is written like a function")]
    #[derive(Debug)]
    pub enum iter<T> {
        iter,
        #[doc(hidden)]
        Never(Infallible, PhantomData<T>),
    }

    // The variant is a value of the name whose type is the enum.
    pub use self::iter::*;
}
#[doc(hidden)]
pub use both::*;

/// What is registered, as it was when it was asked for.
pub type Iter<T> = std::vec::IntoIter<&'static T>;

fn registered<T: Collect>() -> Iter<T> {
    T::registry().0.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter()
}

impl<T: Collect> IntoIterator for iter<T> {
    type Item = &'static T;
    type IntoIter = Iter<T>;

    fn into_iter(self) -> Iter<T> {
        registered()
    }
}

impl<T: Collect> std::ops::Deref for iter<T> {
    type Target = fn() -> Iter<T>;

    fn deref(&self) -> &Self::Target {
        const { &(registered::<T> as fn() -> Iter<T>) }
    }
}

/// What runs before `main` for a value: `register`, or nothing, so that nothing refers to the value.
#[doc(hidden)]
pub const fn constructor<T: Collect>(_: &T, register: extern "C" fn()) -> extern "C" fn() {
    extern "C" fn nothing() {}
    if T::READ { register } else { nothing }
}

/// Whether values of the type, by its name, are to be registered.
#[doc(hidden)]
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
pub const fn is_read(name: &str) -> bool {
    let mut i = 0;
    while i < UNREAD.len() {
        if equal(UNREAD[i].as_bytes(), name.as_bytes()) {
            return false;
        }
        i += 1;
    }
    true
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Says that values of a type are registered. In the crate of the type.
#[macro_export]
macro_rules! collect {
    ($type:ty) => {
        impl $crate::Collect for $type {
            const READ: bool = $crate::is_read(stringify!($type));

            fn registry() -> &'static $crate::Registry<Self> {
                static REGISTRY: $crate::Registry<$type> = $crate::Registry::new();
                &REGISTRY
            }
        }
    };
}

/// Registers a value, outside of any function.
#[macro_export]
macro_rules! submit {
    ($($value:tt)*) => {
        const _: () = {
            static VALUE: &dyn $crate::Submit = &{ $($value)* };

            extern "C" fn register() {
                VALUE.submit();
            }

            // The program's start calls what is in this section (System V ABI, "Initialization and
            // Termination Functions").
            #[used]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func,mod_init_funcs"))]
            static REGISTER: extern "C" fn() = $crate::constructor(&{ $($value)* }, register);
        };
    };
}

#[cfg(test)]
#[expect(unsafe_code, reason = "registering names a section of the program")]
mod tests {
    use super::iter;

    struct Wanted(u32);
    crate::collect!(Wanted);
    crate::submit! { Wanted(1) }
    crate::submit! { Wanted(2) }

    struct ModelTransformFactory {
        #[expect(dead_code, reason = "nothing reads it")]
        build: fn() -> u32,
    }
    crate::collect!(ModelTransformFactory);
    crate::submit! { ModelTransformFactory { build: || 3 } }

    #[test]
    fn what_is_read_is_registered_before_main() {
        let mut values: Vec<u32> = iter::<Wanted>().map(|w| w.0).collect();
        values.sort_unstable();
        assert_eq!(values, [1, 2]);
        assert_eq!(iter::<Wanted>.into_iter().count(), 2);
    }

    #[test]
    fn what_nothing_reads_is_not() {
        assert_eq!(iter::<ModelTransformFactory>().count(), 0);
        assert!(
            super::is_read("Model")
                && super::is_read("ModelTransformFactoryOf")
                && super::is_read("")
        );
    }
}
