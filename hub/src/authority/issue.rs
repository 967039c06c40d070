//! Makes the CA once and certificates under it, and tells whether one is still good.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;

use super::{AuthorityError, CERT_FILE};
use crate::clock::Clock;
use crate::data_dir::{DATABASE_FILE, DataDir, read_private, read_public, write_private};

/// How long the CA is good: every runner pins it, so changing it means joining all of them again.
const CA_DAYS: u32 = 3650;

/// How long a certificate is good: short enough that a stolen key dies by itself.
const LEAF_DAYS: u32 = 90;

/// A certificate with less than this left is replaced, so that a hub may be down for a month.
const LEAF_DAYS_LEFT_MIN: i64 = 30;

const DAY: Duration = Duration::from_hours(24);
const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";

/// The hub's own CA.
#[derive(Debug)]
pub(super) struct Ca {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(super) struct Issued {
    /// The leaf, then the CA, in PEM.
    pub(super) chain_pem: String,
    /// The key, in PEM.
    pub(super) key_pem: String,
}

impl Ca {
    /// The CA of the data directory, made if there is none.
    pub(super) fn open(data: &DataDir, clock: &dyn Clock) -> Result<Self, AuthorityError> {
        let (cert_path, key_path) = (data.join(CA_FILE), data.join(CA_KEY_FILE));
        let bad = |why: &str| AuthorityError::BadFile {
            name: cert_path.display().to_string(),
            why: why.to_owned(),
        };
        let key = read_private(&key_path)?;
        match (read_public(&cert_path)?, key) {
            (Some(cert), Some(key)) => {
                let der = CertificateDer::from_pem_slice(&cert)
                    .map_err(|_| bad("it is not a certificate in PEM"))?;
                let key = str::from_utf8(&key)
                    .ok()
                    .and_then(|key| KeyPair::from_pem(key).ok())
                    .ok_or_else(|| bad("its key in ca.key is not a private key in PEM"))?;
                if !is_certificate_of(&der, &key) {
                    return Err(bad("the key in ca.key is another one's"));
                }
                let issuer = Issuer::from_ca_cert_der(&der, key)
                    .map_err(|_| bad("it is not a certificate of a CA"))?;
                Ok(Self { der, issuer })
            }
            // A certificate alone was pinned by somebody: a new key must not slip in under it.
            (Some(_), None) => Err(bad("its key, ca.key, is missing")),
            (None, _) if is_known_to_somebody(data) => Err(AuthorityError::LostCa {
                path: cert_path.clone(),
            }),
            // The key is written first, so this is a start that was killed in between.
            (None, _) => Self::make(data, clock.now()),
        }
    }

    /// A new CA in the place of any that was there: whoever pinned that one must join again.
    pub(super) fn begin_anew(data: &DataDir, clock: &dyn Clock) -> Result<Self, AuthorityError> {
        if read_public(&data.join(CA_FILE))?.is_some() {
            return Self::open(data, clock);
        }
        tracing::warn!(target: "audit", "made a new CA; runners and hook files of the old one must be made again");
        Self::make(data, clock.now())
    }

    fn make(data: &DataDir, now: Timestamp) -> Result<Self, AuthorityError> {
        let failed = |source| AuthorityError::Make {
            what: "the hub's CA",
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        // No host's name: the CA outlives names, and its certificate is shown to everybody.
        params.distinguished_name = common_name("Cofferdam hub CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, CA_DAYS);
        let certificate = params.self_signed(&key).map_err(failed)?;
        write_private(&data.join(CA_KEY_FILE), key.serialize_pem().as_bytes())?;
        write_private(&data.join(CA_FILE), certificate.pem().as_bytes())?;
        Ok(Self {
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// A new certificate with a new key, for a server of these names.
    pub(super) fn issue(&self, names: &[String], now: Timestamp) -> Result<Issued, AuthorityError> {
        let failed = |source| AuthorityError::Make {
            what: "the hub's certificate",
            source,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = common_name("Cofferdam hub");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LEAF_DAYS);
        let leaf = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued {
            chain_pem: format!("{}{}", leaf.pem(), to_pem(&self.der)),
            key_pem: key.serialize_pem(),
        })
    }
}

/// Whether this directory has served: a certificate was issued, or a database filled, so runners and git servers may
/// have pinned a CA.
fn is_known_to_somebody(data: &DataDir) -> bool {
    let has = |name| data.join(name).exists();
    has(CERT_FILE) || has(DATABASE_FILE)
}

/// Whether whoever pins this certificate trusts what it issued: it is a CA's, or vouches for itself.
pub(super) fn can_be_pinned(certificate: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, certificate)| {
        certificate.is_ca() || certificate.subject() == certificate.issuer()
    })
}

impl Issued {
    /// Whether it was issued by `ca` for exactly these names, and is not due to be replaced.
    pub(super) fn is_good(&self, ca: &Ca, names: &[String], now: Timestamp) -> bool {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>();
        let Ok([leaf, issuer]) = chain.as_deref() else {
            return false;
        };
        let Ok((_, leaf)) = x509_parser::parse_x509_certificate(leaf) else {
            return false;
        };
        let wanted: BTreeSet<String> = names.iter().cloned().collect();
        let left = SignedDuration::from_hours(24 * LEAF_DAYS_LEFT_MIN);
        let is_fresh = leaf.validity().not_after.timestamp() > (now + left).as_second();
        let is_begun = leaf.validity().not_before.timestamp() <= now.as_second();
        issuer == &ca.der && names_of(&leaf) == wanted && is_fresh && is_begun
    }
}

/// The names in a certificate, as they are written in a configuration.
fn names_of(certificate: &x509_parser::certificate::X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
                v4.or(v6).ok().map(|address| address.to_string())
            }
            _ => None,
        })
        .collect()
}

fn is_certificate_of(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, certificate)| {
        certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
    })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Sets from when to when a certificate is good: from the beginning of yesterday, so that a runner whose
/// clock is some hours behind may join.
fn set_validity(params: &mut CertificateParams, now: Timestamp, days: u32) {
    let date = TimeZone::UTC.to_datetime(now).date();
    let month = date.month().unsigned_abs();
    let today = rcgen::date_time_ymd(date.year().into(), month, date.day().unsigned_abs());
    params.not_before = today - DAY;
    params.not_after = today + DAY * days;
}

/// A certificate in PEM.
pub(super) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let body = data_encoding::BASE64.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
