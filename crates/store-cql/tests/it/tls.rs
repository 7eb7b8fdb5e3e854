//! A cluster that speaks TLS alone.

use std::path::Path;

use engines::{Cassandra, CassandraOptions};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use store::Edits;
use store_cql::{CqlOptions, CqlStore, OpenError, migrate};

use crate::cluster;

/// A certificate and its key.
struct Signed(X509, PKey<Private>);

fn name(common: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, common).unwrap();
    name.build()
}

/// Signs for an address, or makes an authority.
fn sign(common: &str, address: Option<&str>, by: Option<&Signed>) -> Signed {
    let key = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
    let key = PKey::from_ec_key(key).unwrap();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    made.set_serial_number(&BigNum::from_u32(common.len() as u32).unwrap().to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(&name(common)).unwrap();
    made.set_issuer_name(by.map_or(name(common).as_ref(), |by| by.0.subject_name())).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    made.set_pubkey(&key).unwrap();
    match address {
        Some(address) => {
            let names = SubjectAlternativeName::new().ip(address).build(&made.x509v3_context(None, None)).unwrap();
            made.append_extension(names).unwrap();
        }
        None => made.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap(),
    }
    made.sign(by.map_or(&key, |by| &by.1), MessageDigest::sha256()).unwrap();
    Signed(made.build(), key)
}

/// A node that shows a certificate.
fn cassandra(folder: &Path, node: &Signed) -> Option<Cassandra> {
    let keystore = folder.join("node.p12");
    let packed = Pkcs12::builder().name("node").pkey(&node.1).cert(&node.0).build2("keep out").unwrap();
    std::fs::write(&keystore, packed.to_der().unwrap()).unwrap();
    let encrypted = format!(
        "{{enabled: true, optional: false, keystore: \"{}\", keystore_password: \"keep out\", store_type: PKCS12, \
         require_client_auth: false}}",
        keystore.display()
    );
    let settings = [("client_encryption_options".to_owned(), encrypted)].into();
    engines::or_skip(Cassandra::start(&CassandraOptions { nodes: 1, settings })).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_speaks_tls_alone_is_spoken_to_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (sign("authority", None, None), sign("stranger", None, None));
    let write = |name: &str, pem: &[u8]| {
        std::fs::write(folder.path().join(name), pem).unwrap();
        Some(folder.path().join(name))
    };
    let [ours, theirs] = [("ours.pem", &authority), ("theirs.pem", &stranger)].map(|(name, one)| write(name, &one.0.to_pem().unwrap()));
    let Some(cassandra) = cassandra(folder.path(), &sign("node", Some("127.0.0.1"), Some(&authority))) else { return };
    let plain = CqlOptions::new(format!("cql://{}/private", cassandra.contact_points()[0]).parse().unwrap());
    let trusting = |ca_file| CqlOptions { ca_file, ..plain.clone() };
    for options in [&plain, &trusting(theirs)] {
        let refused = migrate(options, &cluster::plan()).await.unwrap_err();
        assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
    }
    for (ca_file, why) in [(write("none.pem", b""), "holds no certificate"), (Some(folder.path().join("nowhere")), "No such file")] {
        let refused = migrate(&trusting(ca_file), &cluster::plan()).await.unwrap_err();
        assert!(matches!(&refused, OpenError::Authorities { .. }) && refused.to_string().contains(why), "{refused}");
    }
    let options = trusting(ours);
    migrate(&options, &cluster::plan()).await.unwrap();
    assert_eq!(CqlStore::connect(&options).await.unwrap().since(0).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_certificate_of_another_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = sign("authority", None, None);
    let ca_file = folder.path().join("ours.pem");
    std::fs::write(&ca_file, authority.0.to_pem().unwrap()).unwrap();
    let Some(cassandra) = cassandra(folder.path(), &sign("node", Some("127.0.0.9"), Some(&authority))) else { return };
    let url = format!("cql://{}/private", cassandra.contact_points()[0]).parse().unwrap();
    let refused = migrate(&CqlOptions { ca_file: Some(ca_file), ..CqlOptions::new(url) }, &cluster::plan()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
}
