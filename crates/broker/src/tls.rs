//! What TLS is made of on both sides of the broker.

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{CipherSuite, NamedGroup};

/// For hosts. AES-128 with SHA-256 first, as browsers ask for it: the hash is what a handshake spends
/// its time in besides its curves, and processors have instructions for that one.
pub(crate) fn to_hosts() -> CryptoProvider {
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// For a run's process. A tunnel is on this machine's loopback or inside TLS of the server's own, so there is
/// nothing of it to be recorded now and opened by a quantum computer later.
pub(crate) fn to_runs() -> CryptoProvider {
    let mut provider = to_hosts();
    provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    provider
}
