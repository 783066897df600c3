//! Values that contradict each other, or that are something else than they seem.

use super::{Preset, Store, VARIABLES, owned, read};
use crate::Settings;

#[test]
fn an_address_of_another_environment_is_refused() {
    let production = Preset::Production;
    for (name, value) in [
        ("IDNOW_ISSUER", production.issuer()),
        ("IDNOW_ISSUER", "https://AUTH.eu.platform.idnow.io./oidc/"),
        ("IDNOW_JWKS_URL", production.jwks_url()),
        ("IDNOW_JWKS_URL", "https://auth.eu.platform.idnow.io:443/keys"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.variable(), name);
        let expected = "belongs to production, and IDNOW_ENVIRONMENT to sandbox";
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Without a name for it, too.
    let apart = [
        ("IDNOW_ISSUER", Preset::Sandbox.issuer()),
        ("IDNOW_JWKS_URL", production.jwks_url()),
        ("IDNOW_AUDIENCE", "https://bank.example/hook"),
        ("IDNOW_STORE", "memory"),
    ];
    let error = Settings::from_variables(owned(&apart)).unwrap_err();
    assert!(error.to_string().contains("belongs to production, and IDNOW_ISSUER to sandbox"), "{error}");
    for (name, value) in [
        ("IDNOW_ISSUER", Preset::Sandbox.issuer()),
        ("IDNOW_JWKS_URL", Preset::Sandbox.jwks_url()),
        ("IDNOW_ISSUER", "https://auth.dev1.platform.idnow.dev/oidc"),
        ("IDNOW_JWKS_URL", "https://mirror.example/?of=https://auth.eu.platform.idnow.io/"),
        ("IDNOW_JWKS_URL", "https://auth.eu.platform.idnow.io@mirror.example/"),
    ] {
        assert!(read(&[(name, value)]).is_ok(), "{name}={value}");
    }
}

#[test]
fn the_key_urls_of_the_presets_are_those_of_their_issuers() {
    for preset in [Preset::Sandbox, Preset::Production] {
        assert_eq!(preset.jwks_url(), format!("{}/.well-known/jwks.json", preset.issuer()));
    }
    #[cfg(feature = "jwks")]
    {
        assert_eq!(Preset::Sandbox.jwks_url(), idnow_webhooks_jwks::SANDBOX_JWKS_URL);
        assert_eq!(Preset::Production.jwks_url(), idnow_webhooks_jwks::PRODUCTION_JWKS_URL);
    }
}

#[test]
fn a_value_in_quotation_marks_is_refused_whatever_it_is() {
    let valid = [
        ("IDNOW_AUDIENCE", "https://bank.example/hook"),
        ("IDNOW_REQUIRED_HEADERS", "X-Auth: hush-hush"),
        ("IDNOW_WEBHOOK_SECRET", "hush-hush-0123456789-0123456789-0123456789"),
        ("IDNOW_STORE", "postgres://me:hush@db.example/bank"),
        ("LISTEN", "127.0.0.1:3000"),
    ];
    let names = VARIABLES.iter().map(|variable| (variable.name, "1"));
    for (name, value) in names.chain(valid) {
        for quoted in
            [format!("\"{value}\""), format!("'{value}'"), format!(" '{value}'\n"), "\"\"".to_owned()]
        {
            let error = read(&[(name, &quoted)]).unwrap_err();
            assert_eq!(error.variable(), name);
            let text = error.to_string();
            assert!(text.contains("is in quotation marks") && text.contains("--env-file"), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }
    // Marks that are no pair, and those of variables that are not ours.
    for (name, value) in [
        ("IDNOW_REQUIRED_HEADERS", "X-Auth: \"quoted\""),
        ("IDNOW_EXPECTED_ENVIRONMENT", "\"live"),
        ("IDNOW_EXPECTED_ENVIRONMENT", "'"),
        ("PS1", "\"$ \""),
        ("IDNOW_OTHER", "'x'"),
    ] {
        assert!(read(&[(name, value)]).is_ok(), "{name}={value}");
    }
}

/// SQLite, and sqlx, take more than a path. Here each of these would be a file of a strange name.
#[test]
fn what_sqlite_takes_for_more_than_a_path_is_refused_with_a_hint() {
    for (value, hint) in [
        ("sqlite::memory:", "set it to memory"),
        ("sqlite://:memory:", "set it to memory"),
        ("sqlite:file::memory:?cache=shared", "set it to memory"),
        ("sqlite://events.db?mode=memory", "set it to memory"),
        ("sqlite:events.db?mode=rwc", "without parameters"),
        ("sqlite:///var/lib/idnow/events.db?mode=rwc", "without parameters"),
        ("sqlite:file:events.db", "leave out file:"),
    ] {
        let error = read(&[("IDNOW_STORE", value)]).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_STORE");
        let text = error.to_string();
        assert!(text.contains("expected sqlite:PATH") && text.contains(hint), "{value}: {text}");
    }
    let plain = read(&[("IDNOW_STORE", "sqlite:memory.db")]).unwrap();
    assert!(matches!(&plain.store, Store::Sqlite(path) if path.as_os_str() == "memory.db"));
}

/// What stands around a value in the list is no part of it; what no request can carry is refused.
#[test]
fn a_required_header_can_be_sent() {
    let lines = "X-Auth:  hush-a \r\n X-Auth :hush-b\t\n\n";
    let settings = read(&[("IDNOW_REQUIRED_HEADERS", lines)]).unwrap();
    for (value, admitted) in [("hush-a", true), ("hush-b", true), ("hush-a ", false)] {
        let headers = [("x-auth".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
        assert_eq!(settings.admission().admit(&headers, None).is_ok(), admitted, "{value:?}");
    }
    for wrong in ["X-Auth: hush\0hush", "X-Auth: hush\u{a0}", "X-Auth: \u{2003}hush", "X-Auth: hush\u{b}"] {
        let error = read(&[("IDNOW_REQUIRED_HEADERS", wrong)]).unwrap_err();
        assert!(error.to_string().starts_with("IDNOW_REQUIRED_HEADERS (value not shown)"), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[test]
fn a_handler_may_run_at_least_as_long_as_its_answer_may_take() {
    let error = read(&[("IDNOW_HANDLER_LIMIT_SECONDS", "7")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "IDNOW_HANDLER_LIMIT_SECONDS is \"7\": expected at least the 8000 ms of IDNOW_ANSWER_DEADLINE_MS"
    );
    let both = [("IDNOW_HANDLER_LIMIT_SECONDS", "7"), ("IDNOW_ANSWER_DEADLINE_MS", "7000")];
    assert_eq!(read(&both).unwrap().handler_limit.map(|limit| limit.as_secs()), Some(7));
}

#[test]
fn a_pool_is_for_postgresql_only() {
    for store in [&[][..], &[("IDNOW_STORE", "memory")], &[("IDNOW_STORE", "sqlite:a.db")]] {
        let error = read(&[store, &[("IDNOW_STORE_POOL", "5")]].concat()).unwrap_err();
        assert_eq!(error.variable(), "IDNOW_STORE_POOL");
        assert!(error.to_string().contains("without a PostgreSQL database in IDNOW_STORE"), "{error}");
    }
    let postgres = ("IDNOW_STORE", "postgres://db.example/bank");
    assert_eq!(read(&[postgres, ("IDNOW_STORE_POOL", "5")]).unwrap().store_pool, 5);
    assert!(read(&[postgres, ("IDNOW_STORE_POOL", "0")]).is_err());
}
