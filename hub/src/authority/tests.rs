use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::{FakeClock, SystemEntropy};
use crate::config::TlsFiles;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::at(
        Timestamp::from_second(1_800_000_000).unwrap(),
    ))
}

fn open(data: &DataDir, of: &[&str], clock: &Arc<FakeClock>) -> Authority {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Authority::open(data, names(of), &TlsSource::Own, clock, &SystemEntropy).unwrap()
}

#[test]
fn a_second_start_finds_the_first_ones_ca_certificate_and_identity() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(&dir.path().join("data")).unwrap();
    let clock = clock();
    let first = open(&data, &["localhost", "127.0.0.1", "::1"], &clock);
    let leaf = read_public(&data.join(CERT_FILE)).unwrap();
    let second = open(&data, &["localhost", "127.0.0.1", "::1"], &clock);
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.identity(), second.identity());
    assert_eq!(leaf, read_public(&data.join(CERT_FILE)).unwrap());
    assert_eq!(first.fingerprint().len(), "sha256:".len() + 64);
}

#[test]
fn a_certificate_is_renewed_when_it_is_due_and_when_its_names_change() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(&dir.path().join("data")).unwrap();
    let clock = clock();
    let authority = open(&data, &["localhost"], &clock);
    assert!(!authority.renew_if_due(&data).unwrap());
    clock.advance(SignedDuration::from_hours(24 * 59));
    assert!(!authority.renew_if_due(&data).unwrap());
    clock.advance(SignedDuration::from_hours(24 * 2));
    assert!(authority.renew_if_due(&data).unwrap());
    assert!(!authority.renew_if_due(&data).unwrap());

    let renewed = read_public(&data.join(CERT_FILE)).unwrap();
    let other = open(&data, &["localhost", "hub.example"], &clock);
    assert_ne!(renewed, read_public(&data.join(CERT_FILE)).unwrap());
    assert_eq!(authority.fingerprint(), other.fingerprint());
}

#[test]
fn files_that_do_not_fit_each_other_are_refused_by_name() {
    let clock = clock();
    let check = |spoil: &dyn Fn(&DataDir)| {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        drop(open(&data, &["localhost"], &clock));
        spoil(&data);
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let refused = Authority::open(
            &data,
            names(&["localhost"]),
            &TlsSource::Own,
            clock,
            &SystemEntropy,
        );
        let text = refused.unwrap_err().to_string();
        text.replace(&data.path().display().to_string(), "DATA")
    };
    let remove =
        |name: &'static str| move |data: &DataDir| std::fs::remove_file(data.join(name)).unwrap();
    let write = |name: &'static str| {
        move |data: &DataDir| write_private(&data.join(name), b"nonsense").unwrap()
    };
    assert_eq!(
        check(&remove("ca.key")),
        "DATA/ca.pem cannot be used: its key, ca.key, is missing"
    );
    assert_eq!(
        check(&write("ca.pem")),
        "DATA/ca.pem cannot be used: it is not a certificate in PEM"
    );
    assert_eq!(
        check(&write("ca.key")),
        "DATA/ca.pem cannot be used: its key in ca.key is not a private key in PEM"
    );
    assert_eq!(
        check(&write("hub.key")),
        "DATA/hub.key cannot be used: it is not 64 hexadecimal digits"
    );
    let other_key = |data: &DataDir| {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        write_private(&data.join("ca.key"), key.as_bytes()).unwrap();
    };
    assert_eq!(
        check(&other_key),
        "DATA/ca.pem cannot be used: the key in ca.key is another one's"
    );
}

#[test]
fn a_ca_that_somebody_knows_is_not_replaced_unasked() {
    let clock = clock();
    let attempt = |data: &DataDir, tls: &TlsSource| {
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        Authority::open(data, names(&["localhost"]), tls, clock, &SystemEntropy)
    };
    for left in ["tls.pem", "hub.db"] {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(&dir.path().join("data")).unwrap();
        let first = attempt(&data, &TlsSource::Own).unwrap();
        for name in ["ca.pem", "ca.key", "tls.pem", "tls.key"] {
            std::fs::remove_file(data.join(name)).unwrap();
        }
        std::fs::write(data.join(left), "").unwrap();
        let refused = attempt(&data, &TlsSource::Own).unwrap_err().to_string();
        assert!(refused.contains("ca.pem is missing"), "{refused}");
        assert!(refused.contains("--new-ca"), "{refused}");
        assert!(!data.join("ca.key").exists(), "something was made");
        let anew = attempt(&data, &TlsSource::NewCa).unwrap();
        assert_ne!(first.fingerprint(), anew.fingerprint());
        let again = attempt(&data, &TlsSource::NewCa).unwrap();
        assert_eq!(
            anew.fingerprint(),
            again.fingerprint(),
            "only what is missing"
        );
    }
}

#[test]
fn an_operators_chain_ends_with_what_can_be_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(&dir.path().join("data")).unwrap();
    let ca_of_hub = Ca::open(&data, clock().as_ref()).unwrap();
    let served = ca_of_hub
        .issue(&names(&["localhost"]), clock().now())
        .unwrap();
    let (leaf, ca) = served.chain_pem.split_at(
        served
            .chain_pem
            .find("-----END CERTIFICATE-----\n")
            .unwrap()
            + "-----END CERTIFICATE-----\n".len(),
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(names(&["localhost"])).unwrap();
    let own = own.self_signed(&key).unwrap().pem();
    let open = |chain: &str, key: &str| {
        let files = TlsFiles {
            cert: dir.path().join("theirs.pem"),
            key: dir.path().join("theirs.key"),
        };
        std::fs::write(&files.cert, chain).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let tls = TlsSource::Files(files);
        let clock = clock() as Arc<dyn Clock>;
        let opened = Authority::open(&data, names(&["localhost"]), &tls, clock, &SystemEntropy);
        opened.map(|authority| authority.fingerprint().to_owned())
    };
    let whole = open(&format!("{leaf}{ca}"), &served.key_pem).unwrap();
    assert_eq!(whole, fingerprint(ca_of_hub.der()));
    assert!(open(&own, &key.serialize_pem()).is_ok());
    let refused = open(leaf, &served.key_pem).unwrap_err().to_string();
    assert!(
        refused.contains("neither a CA's nor self-signed"),
        "{refused}"
    );
}

#[test]
fn a_spoilt_certificate_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(&dir.path().join("data")).unwrap();
    let clock = clock();
    drop(open(&data, &["localhost"], &clock));
    write_private(&data.join(CERT_FILE), b"nonsense").unwrap();
    let authority = open(&data, &["localhost"], &clock);
    assert!(authority.server_config().is_ok());
    assert_ne!(
        read_public(&data.join(CERT_FILE)).unwrap().unwrap(),
        b"nonsense"
    );
}
