//! Certificates and keys as people make them: each that cannot be used earns a sentence of its own,
//! and the command in that sentence mends it.
//!
//! Needs the program `openssl`; what a broker shows needs mosquitto, and says aloud that it skips
//! without it. In: files made here. Out: what `config check` and `doctor` say of them, and a
//! connection.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::{Path, PathBuf};

use deepid_edge::clock::{Clock as _, ClockRequirement, Floor, SystemClock};
use deepid_edge::publish::tls::ClientCertificate;
use deepid_edge::publish::{BrokerError, CertificateTrouble, SessionSettings, TlsSettings, probe};
use support::certificates::{Authority, shell};
use support::door::settings;
use support::mosquitto::{Broker, Mosquitto, ServerTls};

/// The time by which openssl issues what is made here.
fn now_s() -> u64 {
    let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
    u64::try_from(clock.wall().unix_ms / 1000).unwrap()
}

fn probed(settings: &SessionSettings) -> Result<(), BrokerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(probe(settings)).map(drop)
}

/// Settings whose port nobody listens on: files are read before anything is connected.
fn with_files(ca: Option<PathBuf>, certificate: PathBuf, key: PathBuf) -> SessionSettings {
    let client = Some(ClientCertificate { certificate_file: certificate, key_file: key });
    let tls = Some(TlsSettings { ca_file: ca, client });
    SessionSettings { tls, ..settings(1) }
}

/// The sentences about the files, as `config check` and `doctor` show them.
fn said(settings: &SessionSettings) -> Vec<String> {
    settings.troubles(now_s()).iter().map(ToString::to_string).collect()
}

/// The last command between quotation marks, with the passphrase that a person types.
fn command(sentence: &str) -> Option<String> {
    let programs = ["'openssl ", "'iconv ", "'printf "];
    let start = programs.iter().filter_map(|program| sentence.rfind(program)).max()? + 1;
    let rest = &sentence[start..];
    let command = &rest[..rest.find('\'')?];
    let asks = command.starts_with("openssl pkcs12") || command.starts_with("openssl pkey -in");
    Some(if asks { format!("{command} -passin pass:secret") } else { command.to_owned() })
}

/// An authority, a certificate `door.pem` of it with `door.key`, and `door.csr`.
fn folder() -> (tempfile::TempDir, Authority, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::make(directory.path(), "house");
    authority.issue_valid("door", "DNS:door");
    let folder = authority.ca_file().parent().unwrap().to_owned();
    (directory, authority, folder)
}

const KEYS: &str = "
openssl pkey -in door.key -outform DER -out der.key
openssl pkey -in door.key -aes256 -passout pass:secret -out encrypted.key
openssl ec -in door.key -aes256 -passout pass:secret -out encrypted-sec1.key
openssl pkcs12 -export -in door.pem -inkey door.key -passout pass:secret -out door.p12
openssl pkey -in door.key -pubout -out public.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key
openssl ecparam -name secp521r1 -genkey -noout -out p521.key
openssl pkey -in p521.key -out p521-pkcs8.key
openssl ecparam -name secp256k1 -genkey -noout -out bitcoin.key
openssl genrsa -traditional -out rsa1024.key 1024
openssl genpkey -algorithm ED448 -out ed448.key
cp door.pem swapped.key
iconv -f UTF-8 -t UTF-16 door.key > utf16.key
head -c 150 door.key > cut.key
: > empty.key
echo hello > text.key
printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\\nAAAA\\n-----END OPENSSH PRIVATE KEY-----\\n' > ssh.key
openssl pkey -in door.key -traditional -out sec1.key
{ openssl ecparam -name prime256v1; cat sec1.key; } > parameters.key
printf '\\357\\273\\277' > mark.key; cat door.key >> mark.key
sed 's/$/\\r/' door.key > windows.key
cat door.pem door.key > both.key
";

/// The file, what is said of it, and whether the command in that sentence mends it.
#[test]
fn every_key_that_cannot_be_used_has_its_own_sentence_and_its_command_mends_it() {
    let (_directory, authority, folder) = folder();
    shell(&folder, KEYS);
    let of = |name: &str| {
        let at = |name: &str| folder.join(name);
        with_files(Some(authority.ca_file()), at("door.pem"), at(name))
    };
    let mut sentences = Vec::new();
    for (name, words, mends) in [
        ("missing.key", "No such file", false),
        ("empty.key", "it is empty", false),
        ("text.key", "it is no private key", false),
        ("cut.key", "the private key in it is damaged", false),
        ("swapped.key", "a certificate where the private key should be", false),
        ("public.key", "a public key", false),
        ("other.key", "the key of another certificate", false),
        ("ssh.key", "a key of SSH", false),
        ("der.key", "a key in DER form", true),
        ("door.p12", "PKCS#12", true),
        ("utf16.key", "UTF-16", true),
        ("encrypted.key", "the key is encrypted", true),
        ("encrypted-sec1.key", "the key is encrypted", true),
        ("p521.key", "secp521r1, which is not supported", false),
        ("p521-pkcs8.key", "secp521r1, which is not supported", false),
        ("bitcoin.key", "secp256k1, which is not supported", false),
        ("rsa1024.key", "RSA with 1024 bits, which is not supported", false),
        ("ed448.key", "Ed448, which is not supported", false),
    ] {
        let found = said(&of(name));
        let [sentence] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(sentence.contains(words), "{name}: {sentence}");
        assert!(sentence.contains(name) && sentence.contains("mqtt.tls.key"), "{sentence}");
        let refused = probed(&of(name)).unwrap_err().to_string();
        assert_eq!(&refused, sentence, "a connection says the same");
        if mends {
            shell(&folder, &command(sentence).unwrap_or_else(|| panic!("{sentence}")));
            let plain = name.replace('.', ".plain.");
            assert_eq!(said(&of(&plain)), [""; 0], "{name} is mended");
        }
        let (stem, _) = name.split_once('.').unwrap();
        sentences.push(sentence.replace(&format!("/{stem}."), "/"));
    }
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), 16, "two are of secp521r1, two encrypted: {sentences:#?}");
    for name in ["door.key", "sec1.key", "parameters.key", "mark.key", "windows.key", "both.key"] {
        assert_eq!(said(&of(name)), [""; 0], "{name} is right");
        let refused = probed(&of(name)).unwrap_err();
        assert!(matches!(refused, BrokerError::Refused { .. }), "{name}: {refused}");
    }
}

#[test]
fn every_certificate_of_ours_that_cannot_be_used_has_its_own_sentence() {
    let (_directory, authority, folder) = folder();
    for (name, from, until) in [
        ("expired", "20200101000000Z", "20210101000000Z"),
        ("future", "20480101000000Z", "20490101000000Z"),
    ] {
        authority.issue(name, "DNS:door", from, until);
    }
    shell(
        &folder,
        "
openssl x509 -in door.pem -outform DER -out der.pem
openssl x509 -in door.pem -trustout -out trusted.pem
openssl pkcs12 -export -in door.pem -inkey door.key -passout pass:secret -out door.p12
openssl x509 -req -in door.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30000 -out v1.pem
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -subj /CN=door -keyout p521.key -out p521.csr
openssl x509 -req -in p521.csr -CA ca.pem -CAkey ca.key -days 30000 -copy_extensions copy -extfile /dev/null -out p521-v1.pem
printf basicConstraints=CA:FALSE | openssl x509 -req -in p521.csr -CA ca.pem -CAkey ca.key -days 30000 -extfile /dev/stdin -out p521.pem
cat ca.pem door.pem > backwards.pem
cp door.key swapped.pem
cp door.csr request.pem
sed '3,5d' door.pem > damaged.pem
: > empty.pem
",
    );
    let of = |name: &str, key: &str| {
        let at = |name: &str| folder.join(name);
        with_files(Some(authority.ca_file()), at(name), at(key))
    };
    for (name, key, words, mends) in [
        ("empty.pem", "door.key", "it is empty", false),
        ("swapped.pem", "door.key", "a private key where a certificate should be", false),
        ("request.pem", "door.key", "a request for a certificate", true),
        ("trusted.pem", "door.key", "OpenSSL's own form", true),
        ("der.pem", "door.key", "a certificate in DER form", true),
        ("door.p12", "door.key", "PKCS#12", true),
        ("v1.pem", "door.key", "X.509 version 1", true),
        ("p521.pem", "p521.key", "its key is secp521r1", false),
        ("backwards.pem", "door.key", "belongs to certificate 2 of", false),
        ("expired.pem", "expired.key", "it expired on 2021-01-01", false),
        ("future.pem", "future.key", "not valid before 2048-01-01", false),
    ] {
        let found = said(&of(name, key));
        let [sentence] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(sentence.contains(words), "{name}: {sentence}");
        if mends {
            shell(&folder, &command(sentence).unwrap_or_else(|| panic!("{sentence}")));
            let plain = name.replace('.', ".plain.");
            assert_eq!(said(&of(&plain, key)), [""; 0], "{name} is mended");
        }
    }
    // Its time is the broker's to judge: a board without a battery starts in 1970.
    let refused = probed(&of("expired.pem", "expired.key")).unwrap_err();
    assert!(matches!(refused, BrokerError::Refused { .. }), "{refused}");
    let both = said(&of("empty.pem", "missing.key"));
    assert_eq!(both.len(), 2, "each file has its sentence: {both:?}");
}

#[test]
fn every_authority_that_cannot_vouch_has_its_own_sentence() {
    let (_directory, authority, folder) = folder();
    shell(
        &folder,
        "
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -days 30000 -subj /CN=other -keyout p521.key -out p521.pem
openssl x509 -in ca.pem -outform DER -out der.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30000 -subj /CN=own -addext basicConstraints=critical,CA:FALSE -keyout own.key -out own.pem
cat p521.pem ca.pem > two.pem
",
    );
    let of = |name: &str| {
        let at = |name: &str| folder.join(name);
        with_files(Some(at(name)), at("door.pem"), at("door.key"))
    };
    for (name, words) in [
        ("missing.pem", "No such file"),
        ("door.key", "a private key where a certificate should be"),
        ("der.pem", "a certificate in DER form"),
        (
            "door.pem",
            "'CN=door', which is no authority; name the certificate of its issuer, 'CN=house'",
        ),
        ("p521.pem", "its key is secp521r1"),
    ] {
        let found = said(&of(name));
        let [sentence] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(sentence.contains(words) && sentence.contains("mqtt.tls.ca"), "{sentence}");
    }
    for name in ["ca.pem", "own.pem", "two.pem"] {
        assert_eq!(said(&of(name)), [""; 0], "{name} is right");
    }
    drop(authority);
}

/// What a broker with `certificate` and `key` is told to be, by a door that believes `ca`.
fn shown(folder: &Path, certificate: &str, key: &str, ca: &str) -> Option<Result<(), BrokerError>> {
    let tls = ServerTls {
        ca: folder.join("ca.pem"),
        certificate: folder.join(certificate),
        key: folder.join(key),
        require_client: false,
    };
    let broker = Mosquitto::start(&Broker { tls: Some(tls), ..Broker::default() })?;
    let tls = Some(TlsSettings { ca_file: Some(folder.join(ca)), client: None });
    let host = "localhost".to_owned();
    Some(probed(&SessionSettings { host, tls, ..settings(broker.port()) }))
}

#[test]
fn every_certificate_of_a_broker_that_is_not_believed_has_its_own_sentence() {
    let (_directory, authority, folder) = folder();
    authority.issue_valid("broker", "DNS:localhost");
    authority.issue_valid("elsewhere", "DNS:broker.lan,IP:192.168.1.7");
    authority.issue("expired", "DNS:localhost", "20200101000000Z", "20210101000000Z");
    authority.issue("future", "DNS:localhost", "20480101000000Z", "20490101000000Z");
    shell(
        &folder,
        "
openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30000 -out v1.pem
printf basicConstraints=CA:FALSE | openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -days 30000 -extfile /dev/stdin -out nameless.pem
openssl req -x509 -key broker.key -days 30000 -subj /CN=localhost -addext subjectAltName=DNS:localhost -out self-ca.pem
openssl req -x509 -key broker.key -days 30000 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -out self.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30000 -subj /CN=house -keyout new.key -out new.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30000 -subj /CN=stranger -keyout stranger.key -out stranger.pem
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -days 30000 -subj /CN=521 -keyout p521-ca.key -out p521-ca.pem
openssl x509 -req -in broker.csr -CA p521-ca.pem -CAkey p521-ca.key -days 30000 -copy_extensions copy -extfile /dev/null -CAcreateserial -out by-p521.pem
openssl ecparam -name secp521r1 -genkey -noout -out p521.key
openssl req -new -key p521.key -subj /CN=localhost -out p521.csr
printf subjectAltName=DNS:localhost | openssl x509 -req -in p521.csr -CA ca.pem -CAkey ca.key -days 30000 -extfile /dev/stdin -out p521.pem
",
    );
    for (certificate, key, ca, words) in [
        ("v1.pem", "broker.key", "ca.pem", "X.509 version 1"),
        ("nameless.pem", "broker.key", "ca.pem", "a common name alone does not count"),
        ("elsewhere.pem", "elsewhere.key", "ca.pem", "it carries broker.lan, 192.168.1.7"),
        ("expired.pem", "expired.key", "ca.pem", "expired on 2021-01-01"),
        ("future.pem", "future.key", "ca.pem", "from 2048-01-01"),
        ("self.pem", "broker.key", "ca.pem", "signed itself"),
        ("self-ca.pem", "broker.key", "ca.pem", "an authority's (CA:TRUE"),
        ("self-ca.pem", "broker.key", "self-ca.pem", "an authority's (CA:TRUE"),
        (
            "broker.pem",
            "broker.key",
            "stranger.pem",
            "not known here (it was issued by 'CN=house')",
        ),
        ("broker.pem", "broker.key", "new.pem", "not signed by the key of 'CN=house'"),
        ("by-p521.pem", "broker.key", "p521-ca.pem", "the signature of 'CN=521'"),
        ("p521.pem", "p521.key", "ca.pem", "of a curve that is not supported"),
    ] {
        let Some(found) = shown(&folder, certificate, key, ca) else { return };
        let sentence = found.expect_err(certificate).to_string();
        assert!(sentence.contains(words), "{certificate}: {sentence}");
        assert!(sentence.starts_with("broker localhost:"), "{sentence}");
    }
    for (certificate, ca) in [("broker.pem", "ca.pem"), ("self.pem", "self.pem")] {
        shown(&folder, certificate, "broker.key", ca).unwrap().expect(certificate);
    }
}

/// The commands that are recommended make certificates that are believed.
#[test]
fn what_is_recommended_to_a_brokers_owner_is_believed() {
    let (_directory, authority, folder) = folder();
    authority.issue_valid("broker", "DNS:elsewhere");
    shell(
        &folder,
        "
openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30000 -out v1.pem
openssl req -x509 -key broker.key -days 30000 -subj /CN=localhost -addext subjectAltName=DNS:localhost -out self-ca.pem
",
    );
    for (certificate, ca, afterwards) in [
        ("broker.pem", "ca.pem", "ca.pem"),
        ("v1.pem", "ca.pem", "ca.pem"),
        ("self-ca.pem", "self-ca.pem", "broker.pem"),
    ] {
        let Some(found) = shown(&folder, certificate, "broker.key", ca) else { return };
        let sentence = found.expect_err(certificate).to_string();
        shell(&folder, &command(&sentence).unwrap_or_else(|| panic!("{sentence}")));
        shown(&folder, "broker.pem", "broker.key", afterwards).unwrap().expect(&sentence);
    }
}

#[test]
fn an_explained_refusal_is_still_a_refusal_of_rustls() {
    let (_directory, authority, folder) = folder();
    authority.issue_valid("broker", "DNS:broker.lan");
    let Some(found) = shown(&folder, "broker.pem", "broker.key", "ca.pem") else { return };
    let refused = found.expect_err("another name");
    let BrokerError::Certificate { trouble, .. } = refused else { panic!("{refused}") };
    assert_eq!(
        trouble,
        CertificateTrouble::WrongName {
            host: "localhost".to_owned(),
            name: "DNS:localhost".to_owned(),
            names: vec!["broker.lan".to_owned()],
        }
    );
}
