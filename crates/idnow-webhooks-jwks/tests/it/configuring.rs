use std::time::Duration;

use idnow_webhooks_core::Backoff;
use idnow_webhooks_jwks::{
    ConfigError, JwksError, JwksSource, Location, PRODUCTION_JWKS_URL, SANDBOX_JWKS_URL,
};

use crate::support::builder;

#[test]
fn outside_a_runtime_there_is_an_error_and_no_panic() {
    let builder = JwksSource::builder(Location::url("http://localhost:1/"));
    assert!(matches!(builder.start(), Err(ConfigError::NoRuntime)));
}

#[test]
fn a_runtime_without_drivers_is_named() {
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = bare.block_on(builder(Location::url("http://localhost:1/")).connect()).unwrap_err();
    assert!(matches!(error, JwksError::TaskEnded), "{error}");
    assert!(error.to_string().contains("with time and I/O enabled"), "{error}");

    let timed = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = timed.block_on(builder(Location::url("http://localhost:1/")).connect()).unwrap_err();
    assert!(error.to_string().contains("with I/O enabled"), "{error}");
}

#[tokio::test]
async fn plain_http_to_other_machines_is_refused() {
    for location in [Location::url("http://keys.example/jwks"), Location::issuer("http://auth.example/oidc")]
    {
        let error = builder(location.clone()).start().unwrap_err();
        assert!(matches!(error, ConfigError::InsecureUrl { .. }), "{error}");
        let error = builder(location).connect().await.unwrap_err();
        assert!(matches!(error, JwksError::Config(ConfigError::InsecureUrl { .. })), "{error}");
        assert!(error.to_string().contains(".example") && error.to_string().contains("use https"), "{error}");
    }
}

#[test]
fn a_location_can_be_checked_early() {
    for location in [
        Location::url(SANDBOX_JWKS_URL),
        Location::issuer("http://127.0.0.1:8080/oidc"),
        Location::file("/does/not/exist"),
    ] {
        assert!(location.validate().is_ok(), "{location:?}");
    }
    for (location, expected) in [
        (
            Location::url("keys"),
            "the key URL is not an absolute URL (relative URL without a base): give one such as https://keys.example.com/jwks.json",
        ),
        (
            Location::issuer("auth"),
            "the issuer is not an absolute URL (relative URL without a base): give one such as https://auth.example.com/oidc",
        ),
        (
            Location::url("http://a.example/k?secret"),
            "the key URL http://a.example/k is not safe: use https (plain http is only allowed to localhost or a loopback address)",
        ),
        (
            Location::issuer("http://a.example"),
            "the issuer http://a.example/ is not safe: use https (plain http is only allowed to localhost or a loopback address)",
        ),
        (
            Location::issuer("https://a.example/?secret"),
            "the issuer https://a.example/ must have no user info, query or fragment: give it exactly as tokens carry it in `iss`",
        ),
    ] {
        assert_eq!(location.validate().unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let local = || builder(Location::url("http://localhost:1/"));
    let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(9), jitter: 0.5 };
    for (builder, expected) in [
        (local().timeout(Duration::ZERO), "timeout is zero"),
        (local().timeout(Duration::MAX), "timeout is longer than 366 days"),
        (local().connect_timeout(Duration::ZERO), "connect_timeout is zero"),
        (local().max_response_bytes(0), "max_response_bytes is 0"),
        (local().max_lifetime(Duration::from_secs(1)), "max_lifetime is 1s"),
        (local().backoff(Backoff { first: Duration::ZERO, ..backoff }), "backoff.first is zero"),
        (local().backoff(Backoff { most: Duration::from_millis(1), ..backoff }), "backoff.most is 1ms"),
        (local().root_certificates_pem("nonsense"), "root_certificates_pem"),
        (
            local().root_certificates_pem("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"),
            "root_certificates_pem",
        ),
    ] {
        let error = builder.start().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn presets_are_accepted() {
    for url in [SANDBOX_JWKS_URL, PRODUCTION_JWKS_URL] {
        let location = Location::url(url);
        assert!(format!("{location:?}").contains(url));
        // `start` connects to nothing before this task yields, and the source is dropped before that.
        drop(builder(location).start());
    }
}
