//! The daemon among all that goes wrong at once, watched by a client written by others.

mod kills;
mod witness;
