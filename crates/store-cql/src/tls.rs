//! TLS to the cluster, by the OpenSSL that the Kafka client brings.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use scylla::client::session::OpenSsl010Config;

use crate::error::OpenError;

/// Trusts the authorities of a PEM file and no others. The driver holds each node's certificate to the node's address.
pub(crate) fn context(ca_file: &Path) -> Result<OpenSsl010Config, OpenError> {
    let unusable = |why: String| OpenError::Authorities { path: ca_file.to_owned(), why };
    let pem = std::fs::read(ca_file).map_err(|error| unusable(error.to_string()))?;
    let authorities = X509::stack_from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
    if authorities.is_empty() {
        return Err(unusable("it holds no certificate in PEM form".to_owned()));
    }
    trusting(authorities).map_err(|error| unusable(error.to_string()))
}

fn trusting(authorities: Vec<X509>) -> Result<OpenSsl010Config, ErrorStack> {
    let mut trusted = X509StoreBuilder::new()?;
    for authority in authorities {
        trusted.add_cert(authority)?;
    }
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_cert_store(trusted.build());
    Ok(OpenSsl010Config::new(builder))
}
