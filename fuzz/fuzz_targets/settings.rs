//! The variables of the environment: whatever they hold, a protection is either in force or the start stops, and no
//! secret is told.
//!
//! Entries are separated by the byte 0x1e. The first byte of an entry names a variable (`A` is the first one of
//! `VARIABLES`) and the rest is its value; after `=` the rest is `NAME=value`. The value of a variable that names a file is
//! what the file holds.

#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;

use idnow_webhooks::Settings;
use idnow_webhooks::settings::{Keys, Store, VARIABLES};
use libfuzzer_sys::fuzz_target;
use url::{Host, Url};

/// Planted where secrets are.
const MARK: &str = "S3cretMark";

fn entry(text: &str) -> Option<(String, String)> {
    let first = text.chars().next()?;
    if first == '=' {
        let (name, value) = text.get(1..)?.split_once('=')?;
        return Some((name.to_owned(), value.to_owned()));
    }
    let index = u32::from(first).checked_sub(u32::from('A'))?;
    let variable = VARIABLES.get(usize::try_from(index).ok()?)?;
    Some((variable.name.to_owned(), text[first.len_utf8()..].to_owned()))
}

const FILES: [&str; 3] = ["IDNOW_WEBHOOK_SECRET_FILE", "IDNOW_REQUIRED_HEADERS_FILE", "IDNOW_STORE_FILE"];

/// In the one place of this process for it, so that nothing is left but three files.
fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("idnow-webhooks-fuzz-{}-{name}", std::process::id()))
}

/// Puts the mark where the secret of this variable would be. `None` if there is no place for one.
fn marked(name: &str, value: &str) -> Option<String> {
    match name {
        "IDNOW_WEBHOOK_SECRET"
        | "IDNOW_WEBHOOK_SECRET_FILE"
        | "IDNOW_REQUIRED_HEADERS"
        | "IDNOW_REQUIRED_HEADERS_FILE" => Some(format!("{value}{MARK}")),
        "IDNOW_STORE" | "IDNOW_STORE_FILE" if value.trim().starts_with("postgres") => {
            Some(format!("{value}{MARK}"))
        }
        "IDNOW_JWKS_URL" | "IDNOW_ISSUER" => {
            let place = value.find(['@', '?', '#'])?;
            let place = if value[place..].starts_with('@') { place } else { place + 1 };
            let text = format!("{}{MARK}{}", &value[..place], &value[place..]);
            // Host and path are told; a text that is no URL is not, as nobody knows where its secrets are.
            let told = Url::parse(text.trim()).is_ok_and(|url| {
                !url.cannot_be_a_base()
                    && (url.path().contains(MARK)
                        || url
                            .host_str()
                            .is_some_and(|host| host.contains(&MARK.to_lowercase()) || host.contains(MARK)))
            });
            (!told).then_some(text)
        }
        _ => None,
    }
}

fn is_safe(text: &str) -> bool {
    let url = Url::parse(text).expect("what was accepted is a URL");
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

fn check(settings: &Settings, variables: &BTreeMap<String, String>) {
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.trim().is_empty());
    assert_eq!(is_set("IDNOW_ALLOWED_IPS"), !settings.allowed_ips.is_empty());
    assert_eq!(is_set("IDNOW_TRUSTED_PROXIES"), !settings.trusted_proxies.is_empty());
    let in_either = |name: &str| is_set(name) || is_set(&format!("{name}_FILE"));
    assert_eq!(in_either("IDNOW_REQUIRED_HEADERS"), !settings.required_headers.is_empty());
    assert_eq!(is_set("IDNOW_EXPECTED_FLOWS"), !settings.expected_flows.is_empty());
    assert_eq!(is_set("IDNOW_MAX_AGE_SECONDS"), settings.max_age.is_some());
    assert_eq!(is_set("IDNOW_EXPECTED_ENVIRONMENT"), settings.expected_environment.is_some());
    assert!(!settings.monitor_allowed_ips || is_set("IDNOW_ALLOWED_IPS"));
    assert!(!settings.audiences.is_empty() && settings.audiences.iter().all(|audience| !audience.is_empty()));
    assert!(!settings.issuer.is_empty());
    assert!(settings.trusted_proxies.iter().all(|range| range.prefix_len() > 0));
    assert!(settings.leeway.as_secs() <= 600 && settings.answer_deadline.as_secs() <= 60);
    assert!(settings.handler_limit.is_none_or(|limit| limit >= settings.answer_deadline));
    assert!(!settings.lease.is_zero() && settings.store_pool > 0 && !settings.max_lifetime.is_zero());
    assert!((1024..=16 * 1024 * 1024).contains(&settings.max_body_bytes));
    assert!(settings.path.starts_with('/') && settings.path.is_ascii());
    assert!(!settings.algorithms.is_empty());
    let shared = matches!(settings.keys, Keys::Secrets(_));
    assert!(settings.algorithms.iter().all(|algorithm| algorithm.is_hmac() == shared), "never both kinds");
    assert_eq!(in_either("IDNOW_WEBHOOK_SECRET"), shared);
    match &settings.keys {
        Keys::Url(url) => assert!(is_safe(url), "{url}"),
        Keys::Discovery => assert!(is_safe(&settings.issuer), "{}", settings.issuer),
        Keys::Secrets(secrets) => {
            assert!(!secrets.is_empty() && secrets.iter().all(|secret| secret.expose().len() >= 32));
            // What was accepted can be put to work. Other keys would need the network.
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let built = runtime.block_on(settings.receiver_builder());
            assert!(built.is_ok(), "{:?}", built.err());
        }
        Keys::File(path) => assert!(!path.as_os_str().is_empty()),
        Keys::InsecureUrl(url) => panic!("no variable may say this: {url}"),
        _ => {}
    }
}

fuzz_target!(|text: &str| {
    if text.to_lowercase().contains(&MARK.to_lowercase()) {
        return;
    }
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in text.split('\u{1e}').filter_map(entry) {
        variables.insert(name, value);
    }
    for (name, value) in [
        ("IDNOW_ENVIRONMENT", "sandbox"),
        ("IDNOW_AUDIENCE", "https://a.example/"),
        ("IDNOW_STORE", "memory"),
    ] {
        // The one that names a file would contradict it.
        if !variables.contains_key(&format!("{name}_FILE")) {
            variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    let mut planted = false;
    for (name, value) in &mut variables {
        // An emptied protection must stay empty.
        if !value.trim().is_empty()
            && let Some(marked) = marked(name, value)
        {
            planted = true;
            *value = marked;
        }
    }
    let mut given = variables.clone();
    for (name, content) in &mut given {
        if FILES.contains(&name.as_str()) && !content.trim().is_empty() {
            let path = file(name);
            std::fs::write(&path, &*content).expect("a file");
            *content = path.to_str().expect("a path in UTF-8").to_owned();
        }
    }
    let told = match Settings::from_variables(given) {
        Ok(settings) => {
            check(&settings, &variables);
            assert!(
                !matches!(settings.store, Store::Postgres(_))
                    || !format!("{:?}", settings.store).contains("//")
            );
            // The audience and the issuer are told as they are.
            format!("{:?} {:?} {:?}", settings.keys, settings.required_headers, settings.store)
        }
        Err(error) => {
            let name = error.variable();
            let known = VARIABLES.iter().any(|variable| variable.name == name);
            assert!(known || variables.contains_key(name), "{name}");
            assert_eq!(error.to_string(), format!("{error:?}"));
            error.to_string()
        }
    };
    // Hosts are told in lower case.
    assert!(!planted || !told.to_lowercase().contains(&MARK.to_lowercase()), "{told}");
});
