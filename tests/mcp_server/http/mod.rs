//! The server over Streamable HTTP.

mod experimental;
mod requests;
mod restart;
