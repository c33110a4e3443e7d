//! The `relight` binary: a thin shell around [`relight::cli`].
fn main() {}
