//! The certificates of authorities that are trusted beside those of the machine.

use std::fmt;
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::Error;

/// Where certificates are, in PEM.
#[derive(Debug, Clone)]
pub(super) enum Authority {
    Text(Vec<u8>),
    File(PathBuf),
}

impl Authority {
    /// The builder's method that it came by.
    fn setting(&self) -> &'static str {
        match self {
            Self::Text(_) => "root_certificates_pem",
            Self::File(_) => "root_certificates_file",
        }
    }
}

/// All certificates of all documents, each one such that TLS can be set up with it: it would otherwise fail with the first
/// delivery, long after whoever has written the setting has looked away.
pub(super) fn read(authorities: &[Authority]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut all = Vec::new();
    for (index, authority) in authorities.iter().enumerate() {
        let refused = |reason: &dyn fmt::Display| {
            let place = match authority {
                Authority::Text(_) if authorities.len() == 1 => "the PEM text".to_owned(),
                Authority::Text(_) => format!("document {} of {}", index + 1, authorities.len()),
                Authority::File(path) => path.display().to_string(),
            };
            Error::invalid(authority.setting(), format!("{place}: {reason}"))
        };
        let found = match authority {
            Authority::Text(pem) => certificates(pem),
            Authority::File(path) => {
                let pem = std::fs::read(path)
                    .map_err(|error| refused(&format_args!("it cannot be read: {error}")))?;
                certificates(&pem)
            }
        };
        all.extend(found.map_err(|reason| refused(&reason))?);
    }
    Ok(all)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let number = found.len() + 1;
        let certificate =
            certificate.map_err(|error| format!("certificate {number} is not in PEM format: {error}"))?;
        // The store that is thrown away says whether the real one will take it.
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| format!("certificate {number} is none that can be trusted: {error}"))?;
        found.push(certificate);
    }
    if found.is_empty() {
        return Err("it contains no certificate in PEM format (`-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem()
    }

    fn refusal(authorities: &[Authority]) -> String {
        read(authorities).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_its_place_and_the_reason() {
        let good = certificate();
        let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (pem, expected) in [
            (String::new(), "it contains no certificate"),
            ("hello".to_owned(), "it contains no certificate"),
            (key, "it contains no certificate"),
            (garbage.to_owned(), "certificate 1 is none that can be trusted"),
            (format!("{good}{garbage}"), "certificate 2 is none that can be trusted"),
            (format!("{good}{}", good.replace("MII", "M!!")), "certificate 2 is not in PEM format"),
        ] {
            let only = refusal(&[Authority::Text(pem.clone().into())]);
            assert!(
                only.starts_with("root_certificates_pem: the PEM text: ") && only.contains(expected),
                "{only}"
            );
            let second = [Authority::Text(good.clone().into()), Authority::Text(pem.clone().into())];
            assert!(
                refusal(&second).starts_with("root_certificates_pem: document 2 of 2: "),
                "{}",
                refusal(&second)
            );
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), pem).unwrap();
            let in_file = refusal(&[Authority::File(file.path().to_owned())]);
            assert!(
                in_file.starts_with(&format!("root_certificates_file: {}: ", file.path().display())),
                "{in_file}"
            );
            assert!(in_file.contains(expected), "{in_file}");
        }
        let missing = refusal(&[Authority::File("/nowhere/ca.pem".into())]);
        assert!(
            missing.starts_with("root_certificates_file: /nowhere/ca.pem: it cannot be read: "),
            "{missing}"
        );
    }

    #[test]
    fn all_certificates_of_all_documents_are_taken() {
        let bundle = format!("# Root\n{}{}", certificate(), certificate());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate()).unwrap();
        let authorities = [Authority::Text(bundle.into()), Authority::File(file.path().to_owned())];
        assert_eq!(read(&authorities).unwrap().len(), 3);
    }
}
