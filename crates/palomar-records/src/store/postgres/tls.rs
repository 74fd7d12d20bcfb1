//! TLS to PostgreSQL: rustls, with as much trust as the address asks for.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{PostgresUrl, Trust};
use crate::error::{RecordsError, Result};

/// What makes connections encrypted.
pub(super) fn connector(url: &PostgresUrl) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let unfit = |why: String| RecordsError::unfit(url.place(), why);
    let authorities = match &url.trust {
        Trust::Any => Authorities::None,
        Trust::Signed { by: None, .. } => {
            let verifier = Verifier::new(Arc::clone(&provider));
            Authorities::OfTheSystem(verifier.map_err(|error| unfit(error.to_string()))?)
        }
        Trust::Signed { by: Some(file), .. } => {
            let read = read(file, &provider);
            read.map_err(|why| unfit(format!("sslrootcert {}: {why}", file.display())))?
        }
    };
    let names_host = matches!(url.trust, Trust::Signed { names_host: true, .. });
    let believed = Arc::new(Believed { authorities, names_host, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unfit(error.to_string()))?;
    let config = builder.dangerous().with_custom_certificate_verifier(believed).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Reads a file of authorities.
fn read(file: &Path, provider: &Arc<CryptoProvider>) -> std::result::Result<Authorities, String> {
    let certificates =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = builder.build().map_err(|_| "no certificate in it".to_owned())?;
    Ok(Authorities::Named { verifier, certificates })
}

/// Who vouches for a server.
#[derive(Debug)]
enum Authorities {
    /// Nobody has to.
    None,
    OfTheSystem(Verifier),
    Named {
        verifier: Arc<WebPkiServerVerifier>,
        certificates: Vec<CertificateDer<'static>>,
    },
}

/// Which servers are believed. That the other end holds the key of its certificate is checked in any case.
#[derive(Debug)]
struct Believed {
    authorities: Authorities,
    /// Whether the certificate must name the host.
    names_host: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Believed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let verifier: &dyn ServerCertVerifier = match &self.authorities {
            Authorities::None => return Ok(ServerCertVerified::assertion()),
            Authorities::OfTheSystem(verifier) => verifier,
            // A server that vouches for itself, and is believed by name. Such certificates often say that they are an
            // authority's, which no server's may be to the verifier.
            Authorities::Named { certificates, .. } if certificates.contains(end_entity) => {
                if self.names_host {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                return Ok(ServerCertVerified::assertion());
            }
            Authorities::Named { verifier, .. } => &**verifier,
        };
        match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names_host => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
