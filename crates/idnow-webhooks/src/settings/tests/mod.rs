mod files;
mod names;
mod setup;
mod values;

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
#[cfg(feature = "jwks")]
use idnow_webhooks_core::EventRouter;

use super::*;

/// All that was logged. Tests run at once, so each looks for a text of its own.
static LOG: idnow_webhooks_watch::Kept = Mutex::new(Vec::new());

fn logged() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    // Without the feature there is no default.
    let needed = !cfg!(feature = "sqlite") && variables.iter().all(|(name, _)| *name != "IDNOW_STORE_FILE");
    let store = needed.then(|| ("IDNOW_STORE".to_owned(), "memory".to_owned()));
    read_only(store.into_iter().chain(owned(variables)))
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read_only(given: impl IntoIterator<Item = (String, String)>) -> Result<Settings, SettingsError> {
    idnow_webhooks_watch::watch_into(&LOG);
    let base = [("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", "https://bank.example/hook")];
    Settings::from_variables(owned(&base).into_iter().chain(given))
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.issuer, "https://auth.eu.platform.idnow.sx/oidc");
    assert_eq!(settings.audiences, ["https://bank.example/hook"]);
    assert!(matches!(&settings.keys, Keys::Url(url) if url == Preset::Sandbox.jwks_url()));
    assert_eq!(settings.algorithms, [Algorithm::Rs256]);
    assert_eq!(settings.leeway, Duration::from_mins(1));
    assert_eq!((settings.max_lifetime, settings.max_age), (Duration::from_hours(24), None));
    assert_eq!(settings.max_body_bytes, 262_144);
    assert_eq!(settings.answer_deadline, Duration::from_secs(8));
    assert_eq!(settings.jwks_min_refresh, Duration::from_secs(10));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.path, "/webhooks/idnow");
    assert!(settings.allowed_ips.is_empty() && settings.required_headers.is_empty());
    assert!(!settings.monitor_allowed_ips);
    assert_eq!(settings.expected_environment, None);
    assert_eq!(settings.retention, Retention::default());
    assert_eq!((settings.worker_concurrency, settings.worker_max_runs), (16, 15));
    assert_eq!((settings.lease, settings.handler_limit), (Duration::from_mins(1), None));
    assert_eq!((settings.drain_limit, settings.store_pool), (Duration::from_secs(30), 16));
    assert_eq!(settings.session_grace, Duration::ZERO);
    assert!(settings.expected_flows.is_empty());
    assert_eq!(settings.environment, Some(Preset::Sandbox));
    assert!(!settings.keep_evidence);
    #[cfg(feature = "sqlite")]
    assert!(matches!(&settings.store, Store::Sqlite(path) if path.as_os_str() == "idnow-webhooks.db"));
}

/// Not even memory: events would be answered 200 and lost.
#[cfg(not(feature = "sqlite"))]
#[test]
fn without_the_feature_sqlite_a_store_must_be_named() {
    for variables in [&[][..], &[("IDNOW_STORE", " ")]] {
        assert_eq!(
            read_only(owned(variables)).unwrap_err().to_string(),
            "IDNOW_STORE is not set: expected sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or memory (this \
             program was built without the feature sqlite)"
        );
    }
}

#[test]
fn stores_are_named_by_kind_and_passwords_are_not_shown() {
    let store = |value| read(&[("IDNOW_STORE", value)]).map(|settings| format!("{:?}", settings.store));
    for (value, expected) in [
        ("memory", "Memory"),
        ("sqlite:events.db", r#"Sqlite("events.db")"#),
        ("sqlite:///var/lib/bank/events.db", r#"Sqlite("/var/lib/bank/events.db")"#),
        ("postgres://bank:hunter2@db.example/bank", "Postgres(..)"),
        ("postgresql://db.example/bank?password=hunter2", "Postgres(..)"),
    ] {
        assert_eq!(store(value).unwrap(), expected);
    }
    for wrong in ["", "disk", "sqlite:", "postgres:bank", "mysql://bank:hunter2@db.example/bank", "Memory"] {
        let error = store(wrong).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_STORE", "{wrong}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    for (name, wrong) in [
        ("IDNOW_RETENTION_DAYS", "0"),
        ("IDNOW_KEEP_EVIDENCE", "true"),
        ("IDNOW_WORKER_CONCURRENCY", "0"),
        ("IDNOW_WORKER_MAX_RUNS", "-1"),
        ("IDNOW_SESSION_GRACE_SECONDS", "100000"),
        ("IDNOW_LEASE_SECONDS", "4"),
        ("IDNOW_HANDLER_LIMIT_SECONDS", "0"),
        ("IDNOW_DRAIN_LIMIT_SECONDS", "3601"),
        ("IDNOW_MAX_LIFETIME_SECONDS", "0"),
        ("IDNOW_MAX_AGE_SECONDS", "0"),
    ] {
        assert_eq!(read(&[(name, wrong)]).unwrap_err().variable(), name);
    }
}

#[test]
fn keys_come_from_one_place() {
    let own_issuer = read(&[("IDNOW_ISSUER", "https://auth.example/oidc")]).unwrap();
    assert!(matches!(own_issuer.keys, Keys::Discovery));
    let url = read(&[("IDNOW_JWKS_URL", "https://keys.example/jwks")]).unwrap();
    assert!(matches!(&url.keys, Keys::Url(url) if url == "https://keys.example/jwks"));
    let file = read(&[("IDNOW_JWKS_FILE", "/keys.json")]).unwrap();
    assert!(matches!(&file.keys, Keys::File(path) if path.as_os_str() == "/keys.json"));
    let error =
        read(&[("IDNOW_JWKS_URL", "https://keys.example/jwks"), ("IDNOW_JWKS_FILE", "/k")]).unwrap_err();
    assert!(error.to_string().contains("cannot be set together"), "{error}");
}

#[test]
fn a_secret_allows_hmac_and_nothing_else() {
    let secret = "0123456789abcdef0123456789abcdef";
    idnow_webhooks_watch::plant(secret);
    let settings = read(&[("IDNOW_WEBHOOK_SECRET", secret)]).unwrap();
    assert_eq!(settings.algorithms, [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]);
    let two = format!("{secret}\n{secret}2");
    let settings = read(&[("IDNOW_WEBHOOK_SECRET", &two), ("IDNOW_ALGORITHMS", "HS512")]).unwrap();
    assert!(matches!(&settings.keys, Keys::Secrets(secrets) if secrets.len() == 2));
    assert!(!format!("{settings:?}").contains("abcdef"));

    for algorithms in ["RS256", "HS256,RS256", "none"] {
        let error = read(&[("IDNOW_WEBHOOK_SECRET", secret), ("IDNOW_ALGORITHMS", algorithms)]).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_ALGORITHMS");
    }
    assert_eq!(read(&[("IDNOW_ALGORITHMS", "HS256")]).unwrap_err().variable(), "IDNOW_ALGORITHMS");
    let short = format!("{secret}\nhunter2");
    let error = read(&[("IDNOW_WEBHOOK_SECRET", &short)]).unwrap_err();
    assert_eq!(error.variable(), "IDNOW_WEBHOOK_SECRET");
    let error = error.to_string();
    assert!(
        error.contains("7 bytes") && error.contains("at least 32") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn lists_may_use_commas_or_lines() {
    let settings = read(&[
        ("IDNOW_AUDIENCE", "https://a.example/hook, https://b.example/hook"),
        ("IDNOW_ALGORITHMS", "RS256,ES256"),
        ("IDNOW_ALLOWED_IPS", "192.0.2.0/24,\n2001:db8::1"),
        ("IDNOW_ALLOWED_IPS_MODE", "monitor"),
        ("IDNOW_TRUSTED_PROXIES", "10.0.0.1"),
        ("IDNOW_EXPECTED_FLOWS", "flow-1, flow-2\nflow-3"),
    ])
    .unwrap();
    assert_eq!(settings.expected_flows, ["flow-1", "flow-2", "flow-3"]);
    assert_eq!(settings.audiences.len(), 2);
    assert_eq!(settings.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert_eq!(
        settings.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.0/24", "2001:db8::1/128"]
    );
    assert_eq!(settings.trusted_proxies[0].to_string(), "10.0.0.1/32");
    assert!(settings.monitor_allowed_ips);
}

#[test]
fn required_headers_collect_the_values_of_one_name() {
    let settings =
        read(&[("IDNOW_REQUIRED_HEADERS", "X-Auth: old, x-auth: new, Authorization: Basic YTpi")]).unwrap();
    let names: Vec<_> = settings.required_headers.iter().map(|header| header.name().as_str()).collect();
    assert_eq!(names, ["x-auth", "authorization"]);
    let lines = read(&[("IDNOW_REQUIRED_HEADERS", "X-Auth: a, b\nX-Other: c")]).unwrap();
    assert_eq!(lines.required_headers.len(), 2);
    // A line break at the end is enough to say that the commas belong to the value.
    let comma = read(&[("IDNOW_REQUIRED_HEADERS", "X-Auth: a, X-Other: c\n")]).unwrap();
    let headers: HeaderMap =
        [("x-auth".parse().unwrap(), "a, X-Other: c".parse().unwrap())].into_iter().collect();
    assert!(comma.admission().admit(&headers, None).is_ok());
    for wrong in ["hush-hush", "X-Auth:", "X Auth: hush-hush", "X-Auth: a\nhush-hush"] {
        let error = read(&[("IDNOW_REQUIRED_HEADERS", wrong)]).unwrap_err().to_string();
        assert!(error.starts_with("IDNOW_REQUIRED_HEADERS") && !error.contains("hush"), "{error}");
    }
}

#[test]
fn each_wrong_value_is_named_with_what_is_expected() {
    for (name, value, expected) in [
        ("IDNOW_ENVIRONMENT", "live", "sandbox or production"),
        ("IDNOW_ALGORITHMS", "rs256", "RS256"),
        ("IDNOW_LEEWAY_SECONDS", "601", "from 0 to 600"),
        ("IDNOW_ALLOWED_IPS", "192.0.2.0/33", "CIDR"),
        // Others would read this as octal, 8.0.0.0/8: found by fuzzing.
        ("IDNOW_ALLOWED_IPS", "010.0.0.0/8", "CIDR"),
        ("IDNOW_TRUSTED_PROXIES", "10.0.0.0/08", "CIDR"),
        ("IDNOW_ALLOWED_IPS_MODE", "off", "enforce or monitor"),
        ("IDNOW_TRUSTED_PROXIES", "proxy.example", "CIDR"),
        ("IDNOW_MAX_BODY_BYTES", "64KiB", "whole number of bytes"),
        ("IDNOW_ANSWER_DEADLINE_MS", "0", "from 100 to 60000"),
        ("IDNOW_JWKS_MIN_REFRESH_SECONDS", "-1", "from 1 to 3600"),
        ("LISTEN", "3000", "127.0.0.1:3000"),
        ("WEBHOOK_PATH", "webhooks", "begins with /"),
        ("WEBHOOK_PATH", "/webhooks/{id}", "begins with /"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.variable(), name);
        let text = error.to_string();
        assert!(text.contains(&format!("{value:?}")) && text.contains(expected), "{text}");
    }
}

#[test]
fn what_is_required_is_asked_for() {
    let told = |variables: &[(&str, &str)]| {
        let error = Settings::from_variables(owned(variables)).unwrap_err();
        assert!(error.to_string().starts_with(error.variable()), "{error}");
        error.to_string()
    };
    let issuer = "IDNOW_ISSUER is not set: expected the issuer's URL, or IDNOW_ENVIRONMENT set to sandbox or production";
    let audience = "IDNOW_AUDIENCE is not set: expected the URL of the endpoint as it is configured at the provider, \
                    such as https://bank.example/webhooks/idnow";
    assert_eq!(told(&[]), issuer);
    assert_eq!(told(&[("IDNOW_ENVIRONMENT", "sandbox")]), audience);
    assert_eq!(told(&[("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", " ")]), audience);
}

#[test]
fn an_audience_that_no_token_can_name_is_refused() {
    for wrong in
        ["bank.example", "/webhooks/idnow", "bank.example:443/hook", "ftp://bank.example/", "https:///hook"]
    {
        let error = read(&[("IDNOW_AUDIENCE", &format!("https://bank.example/hook,{wrong}"))]).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_AUDIENCE");
        let told = error.to_string();
        assert!(told.contains(&format!("is {wrong:?}: expected the URL of the endpoint")), "{told}");
    }
    for url in ["http://127.0.0.1:3000/webhooks/idnow", "HTTPS://bank.example"] {
        assert_eq!(read(&[("IDNOW_AUDIENCE", url)]).unwrap().audiences, [url]);
    }
}

#[test]
fn what_protects_is_never_switched_off_by_a_blank_value() {
    for (name, unset_to) in [
        ("IDNOW_ALLOWED_IPS", "every source address"),
        ("IDNOW_REQUIRED_HEADERS", "no header"),
        ("IDNOW_EXPECTED_ENVIRONMENT", "every environment"),
        ("IDNOW_WEBHOOK_SECRET", "public keys"),
        ("IDNOW_TRUSTED_PROXIES", "no proxy"),
        ("IDNOW_EXPECTED_FLOWS", "every flow"),
        ("IDNOW_MAX_AGE_SECONDS", "not expired"),
        ("IDNOW_WEBHOOK_SECRET_FILE", "public keys"),
        ("IDNOW_REQUIRED_HEADERS_FILE", "no header"),
        ("IDNOW_STORE_FILE", "take IDNOW_STORE"),
    ] {
        for blank in ["", " ", "\n"] {
            let error = read(&[(name, blank)]).unwrap_err();
            assert_eq!(error.variable(), name);
            let text = error.to_string();
            assert!(text.contains("is set but empty: give a value, or unset it to"), "{text}");
            assert!(text.contains(unset_to), "{text}");
        }
    }
    for name in VARIABLES.iter().map(|variable| variable.name) {
        let error = read(&[(name, " ")]).err();
        let explained = error.as_ref().is_some_and(|error| error.to_string().contains("is set but empty"));
        // The base settings lack what these would bring.
        let required = ["IDNOW_ENVIRONMENT", "IDNOW_AUDIENCE"].contains(&name)
            || (!cfg!(feature = "sqlite") && name == "IDNOW_STORE");
        assert!(explained || required || error.is_none(), "{error:?}");
    }
}

#[test]
fn a_list_without_an_item_is_an_error() {
    for name in [
        "IDNOW_AUDIENCE",
        "IDNOW_ALGORITHMS",
        "IDNOW_ALLOWED_IPS",
        "IDNOW_TRUSTED_PROXIES",
        "IDNOW_REQUIRED_HEADERS",
        "IDNOW_EXPECTED_FLOWS",
    ] {
        for empty in [",", " , ,", ",\n,"] {
            let error = read(&[(name, empty)]).unwrap_err();
            assert_eq!(error.variable(), name, "{error}");
        }
    }
}

#[test]
fn a_mode_without_a_list_is_an_error() {
    for mode in ["enforce", "monitor"] {
        let error = read(&[("IDNOW_ALLOWED_IPS_MODE", mode)]).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_ALLOWED_IPS_MODE");
        assert!(error.to_string().contains("without IDNOW_ALLOWED_IPS"), "{error}");
    }
}

#[test]
fn not_every_source_can_be_a_trusted_proxy() {
    for everyone in ["0.0.0.0/0", "::/0", "10.0.0.1, 0.0.0.0/0", "::ffff:0:0/96", "192.0.2.1/0"] {
        let error = read(&[("IDNOW_TRUSTED_PROXIES", everyone)]).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_TRUSTED_PROXIES");
        assert!(error.to_string().contains("its own address"), "{error}");
    }
    assert!(read(&[("IDNOW_ALLOWED_IPS", "0.0.0.0/0, ::/0")]).is_ok());
}

#[cfg(feature = "jwks")]
#[test]
fn a_key_url_or_issuer_that_cannot_be_used_is_named() {
    for (name, value, shown) in [
        ("IDNOW_JWKS_URL", "keys.example/jwks.json", "\"keys.example/jwks.json\""),
        ("IDNOW_JWKS_URL", "http://keys.example/jwks.json", "http://keys.example/jwks.json"),
        (
            "IDNOW_JWKS_URL",
            "http://me:hunter2@keys.example/jwks.json?key=hunter2",
            "http://keys.example/jwks.json",
        ),
        ("IDNOW_JWKS_URL", "me:hunter2@keys.example", ""),
        ("IDNOW_JWKS_URL", "/jwks?key=hunter2", "(value not shown)"),
        ("IDNOW_ISSUER", "http://auth.example/oidc", "http://auth.example/oidc"),
        ("IDNOW_ISSUER", "auth.example", "\"auth.example\""),
        ("IDNOW_ISSUER", "https://auth.example/oidc?key=hunter2", "https://auth.example/oidc"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.variable(), name, "{error}");
        let text = error.to_string();
        assert!(text.starts_with(name) && text.contains(shown) && !text.contains("hunter2"), "{text}");
    }
    // Without discovery, an issuer is only compared.
    let pinned = [("IDNOW_ISSUER", "auth.example"), ("IDNOW_JWKS_FILE", "/keys.json")];
    assert!(read(&pinned).is_ok());
}

#[cfg(feature = "jwks")]
#[test]
fn debug_output_hides_what_urls_may_hold() {
    let url = "https://me:hunter2@keys.example/jwks?key=hunter2";
    let settings = read(&[("IDNOW_JWKS_URL", url)]).unwrap();
    let text = format!("{settings:?}");
    assert!(text.contains("keys.example/jwks") && !text.contains("hunter2"), "{text}");
    let issuer = format!("{:?}", read(&[("IDNOW_ISSUER", "https://auth.example/oidc")]).unwrap());
    assert!(issuer.contains("Discovery"), "{issuer}");
}

#[cfg(feature = "jwks")]
#[tokio::test]
async fn a_receiver_is_set_up_from_a_key_file_and_a_missing_file_stops_the_start() {
    let provider = idnow_webhooks_testkit::Provider::new();
    let path = std::env::temp_dir().join(format!("idnow-webhooks-settings-{}.json", std::process::id()));
    std::fs::write(&path, provider.key().jwks().to_string()).unwrap();
    let file = path.to_str().unwrap();
    let variables = [
        ("IDNOW_ISSUER", provider.issuer()),
        ("IDNOW_AUDIENCE", provider.audience()),
        ("IDNOW_JWKS_FILE", file),
        ("IDNOW_STORE", "memory"),
    ];
    let settings = read(&variables).unwrap();
    let receiver = settings.inline(EventRouter::new()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let event = idnow_webhooks_testkit::SampleEvent::completed();
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");

    let error = settings.inline(EventRouter::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("IDNOW_JWKS_FILE") && error.contains(file), "{error}");
    std::fs::write(&path, "not a key set").unwrap();
    let error = settings.inline(EventRouter::new()).await.unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(error.starts_with("IDNOW_JWKS_FILE") && error.contains(file), "{error}");
}

#[cfg(feature = "jwks")]
#[tokio::test]
#[ignore = "run by the test below, in a process with the variable"]
async fn a_proxy_of_the_environment() {
    let settings = read(&[("IDNOW_STORE", "memory")]).unwrap();
    println!("refused: {}", settings.inline(EventRouter::new()).await.unwrap_err());
}

#[cfg(feature = "jwks")]
#[test]
fn a_proxy_that_is_no_url_stops_the_start_and_is_named_and_not_shown() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "settings::tests::a_proxy_of_the_environment", "--ignored", "--nocapture"]);
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        let output = command.env(variable, "http://user:hunter2 @proxy:3128").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains(&format!("refused: key source: {variable} (value not shown) is not a URL")),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}
