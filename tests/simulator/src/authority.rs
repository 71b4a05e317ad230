//! The certificate authority that clients of the simulated internet trust: made anew for each simulator, its private
//! key never written down.

use std::path::Path;

use hudsucker::certificate_authority::RcgenAuthority;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::StartError;

/// How many host certificates are remembered: one for each agent of a large world.
const REMEMBERED: u64 = 20_000;

/// Makes an authority and writes its certificate to `file`.
pub(crate) fn create(file: &Path) -> Result<RcgenAuthority, StartError> {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Simulated internet");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    std::fs::write(file, certificate.pem())?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(RcgenAuthority::new(
        Issuer::new(params, key),
        REMEMBERED,
        provider,
    ))
}
