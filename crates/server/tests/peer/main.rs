//! A whole server and a partner that says anything.

mod bench;
mod evil;
mod grid;
mod pools;
