//! A provider that speaks TLS alone.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};
use pull::{PullError, Trouble};

use crate::provider::{Ledger, QUICK, at, puller};

/// A certificate for this machine that vouches for itself.
fn certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "provider").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    made.set_pubkey(&key).unwrap();
    let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(names).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    (made.build(), key)
}

/// Answers every request over TLS with one crossing; where it listens.
fn secured((certificate, key): &(X509, PKey<Private>)) -> String {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    acceptor.set_private_key(key).unwrap();
    let (acceptor, listener) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Who does not trust it hangs up.
            let Ok(mut stream) = acceptor.accept(stream) else { continue };
            let asked = BufReader::new(&mut stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            let body = r#"[{"t": "2026-01-01T00:00:00Z", "w": 1}]"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = write!(stream, "{head}{body}").and_then(|()| stream.flush());
            assert!(asked > 0);
        }
    });
    url
}

#[tokio::test]
async fn a_provider_that_speaks_tls_alone_is_spoken_to_and_checked() {
    let (ours, theirs) = (certificate(), certificate());
    let url = secured(&ours);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ours.pem"), ours.0.to_pem().unwrap()).unwrap();
    std::fs::write(folder.path().join("theirs.pem"), theirs.0.to_pem().unwrap()).unwrap();
    let config = |url: &str, more: &str| {
        let table = "[page]\nitems = \"\"\n[crossings]\ndpu = \"d\"\nat = \"/t\"\ndirection = \"/w\"\n";
        format!("name = \"a\"\nurl = \"{url}\"\n{more}{table}{}", QUICK.replace("once_attempts = 200", "once_attempts = 2"))
    };
    let plain = url.replace("https", "http");
    for config in [config(&url, ""), config(&url, "ca_file = \"theirs.pem\"\n"), config(&plain, "")] {
        let error = puller(&config, folder.path(), &Ledger::default(), &at("2026-01-01T01:00:00Z")).round(true).await.unwrap_err();
        assert!(matches!(&error, PullError::NoPage { trouble: Trouble::Unreachable(_), .. }), "{error}");
    }
    let ledger = Ledger::default();
    let config = config(&url, "ca_file = \"ours.pem\"\n");
    puller(&config, folder.path(), &ledger, &at("2026-01-01T01:00:00Z")).round(true).await.unwrap();
    assert_eq!(ledger.arrived.lock().unwrap().crossings.len(), 1);
}
