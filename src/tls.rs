//! Who does the cryptography of TLS. rustls wants to be told once in a process, before its first use.

/// Lets rustls use `ring`, for all clients of this process. A program that uses relight as a library
/// may have chosen another provider before: then that one is used.
pub(crate) fn use_ring() {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
}
