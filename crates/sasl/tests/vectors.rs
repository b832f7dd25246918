//! Test vectors: RFC 5802 §5, RFC 7677 §3, and for SHA-512 and a bound login
//! values from an independent computation (Python's hashlib and hmac).
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stanchion_sasl::Nonce;
use stanchion_sasl::binding::BindingType;
use stanchion_sasl::mechanism::ScramHash;
use stanchion_sasl::policy::ScramLimits;
use stanchion_sasl::scram::client::{
    ClientBinding, ExpectedOffer, Progress, ScramClient, ScramClientParameters,
};
use stanchion_sasl::scram::keys::StoredKeys;
use stanchion_sasl::scram::server::{ScramServer, ScramServerParameters};

struct Vector {
    hash: ScramHash,
    /// The type and value, for a bound login.
    binding: Option<(BindingType, &'static [u8])>,
    client_nonce: &'static str,
    server_nonce: &'static str,
    salt: &'static str,
    offer_hash: Option<&'static str>,
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

const RFC_5802: Vector = Vector {
    hash: ScramHash::Sha1,
    binding: None,
    client_nonce: "fyko+d2lbbFgONRv9qkxdawL",
    server_nonce: "3rfcNHYJY1ZVvWVs7j",
    salt: "QSXCR+Q6sek8bf92",
    offer_hash: None,
    client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
};

const RFC_7677: Vector = Vector {
    hash: ScramHash::Sha256,
    binding: None,
    client_nonce: "rOprNGfwEbeRWgbNEkqO",
    server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
    offer_hash: None,
    client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

const SHA_512: Vector = Vector {
    hash: ScramHash::Sha512,
    client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
    server_final: "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
    ..RFC_7677
};

const SHA_512_PLUS: Vector = Vector {
    hash: ScramHash::Sha512,
    binding: Some((
        BindingType::TlsExporter,
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31,
        ],
    )),
    client_first: "p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    client_final: "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=jVaGV/PIJ7hgkpxV9a1jdpzyYkHQH9gW6fn3DbAL2oEA+5w4CCSJjoq8G37bn2FsGaVEMsk4kiHRqMUoN/aiiA==",
    server_final: "v=bTvxua5nsJsvSd2bk+1WbSe84MBgjkACQPOqiN7MhTBLYxVX2QUqwET2NLcZEv2CfexR6NbAMluKltOEs5vLYw==",
    ..RFC_7677
};

/// The exchange of XEP-0474 §4.3, without the made-up extension `x` in its third message.
const XEP_0474: Vector = Vector {
    hash: ScramHash::Sha1,
    binding: Some((BindingType::TlsExporter, b"THIS IS FAKE CB DATA")),
    client_nonce: "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
    server_nonce: "a09117a6-ac50-4f2f-93f1-93799c2bddf6",
    salt: "QSXCR+Q6sek8bf92",
    offer_hash: Some("G6k/rBLDqgOhRRaCuuatSDFkJ08="),
    client_first: "p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
    server_first: "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=",
    client_final: "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,p=NWgTsQJvWgbXKxbqd3P4BNurjkU=",
    server_final: "v=EMsYR2n9LecK8qm5xR19xuvM1jw=",
};

const ALL: [Vector; 5] = [RFC_5802, RFC_7677, SHA_512, SHA_512_PLUS, XEP_0474];

fn client(vector: &Vector) -> ScramClient {
    ScramClient::new(ScramClientParameters {
        hash: vector.hash,
        username: "user".into(),
        password: "pencil".into(),
        authzid: None,
        binding: match vector.binding {
            None => ClientBinding::NotSupported,
            Some((binding, value)) => ClientBinding::Bound {
                binding,
                value: value.to_vec(),
            },
        },
        nonce: Nonce::new(vector.client_nonce).unwrap(),
        limits: ScramLimits::default(),
        keys: None,
        offer: vector.offer_hash.map(|hash| ExpectedOffer {
            hash: hash.to_owned(),
            required: true,
        }),
    })
    .unwrap()
}

#[test]
fn a_client_says_what_the_vectors_say() {
    for vector in ALL {
        let mut client = client(&vector);
        assert_eq!(text(client.first().unwrap()), vector.client_first);
        let Progress::Send(last) = client.next(vector.server_first.as_bytes()).unwrap() else {
            panic!("finished too early");
        };
        assert_eq!(text(last), vector.client_final);
        assert!(!client.is_finished());
        assert_eq!(
            client.next(vector.server_final.as_bytes()),
            Ok(Progress::Finished)
        );
        assert!(client.is_finished());
    }
}

#[test]
fn a_server_says_what_the_vectors_say() {
    for vector in ALL {
        let salt = STANDARD.decode(vector.salt).unwrap();
        let keys = StoredKeys::from_password(vector.hash, &"pencil".into(), &salt, 4096).unwrap();
        let mut server = ScramServer::new(ScramServerParameters {
            hash: vector.hash,
            plus: vector.binding.is_some(),
            plus_offered: vector.binding.is_some(),
            nonce: Nonce::new(vector.server_nonce).unwrap(),
            offer_hash: vector.offer_hash.map(str::to_owned),
        });
        let user = server.client_first(vector.client_first.as_bytes()).unwrap();
        assert_eq!(user, "user");
        assert_eq!(server.binding(), vector.binding.map(|b| b.0));
        assert_eq!(text(server.challenge(keys).unwrap()), vector.server_first);
        let accepted = server
            .client_final(vector.client_final.as_bytes(), vector.binding.map(|b| b.1))
            .unwrap();
        assert_eq!(text(accepted.server_final), vector.server_final);
    }
}

#[test]
fn the_signature_of_one_exchange_is_no_good_in_another() {
    let mut client = client(&RFC_5802);
    client.first().unwrap();
    client.next(RFC_5802.server_first.as_bytes()).unwrap();
    let other = SHA_512.server_final.as_bytes();
    assert!(client.next(other).is_err());
    assert!(!client.is_finished());
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
