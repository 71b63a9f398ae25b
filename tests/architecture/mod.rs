//! The architecture, checked on the sources: which module may import which, import rings, sizes and
//! places of files.

mod daemon;
mod layers;
mod layout;
mod modules;
mod rings;
mod source;
mod widths;
