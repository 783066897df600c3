use super::*;
use crate::error::Error;

fn check(builder: SandboxBuilder) -> Result<Settings, Error> {
    let listen = builder.listen;
    builder.check(listen)
}

fn refusal(builder: SandboxBuilder) -> String {
    check(builder).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_those_of_the_provider() {
    let settings = check(SandboxBuilder::default().listen(([127, 0, 0, 1], 8080).into())).unwrap();
    assert_eq!(settings.base_url, "http://127.0.0.1:8080");
    assert_eq!(settings.issuer, "http://127.0.0.1:8080/oidc");
    assert_eq!(settings.jwks_url, "http://127.0.0.1:8080/oidc/.well-known/jwks.json");
    assert_eq!((settings.max_retries, settings.answer_deadline), (10, Duration::from_secs(10)));
    assert_eq!(settings.scaled(Duration::from_secs(512)), Duration::from_secs(512));
}

#[test]
fn what_others_use_instead_of_the_address_is_used_everywhere() {
    let token = "0123456789abcdef";
    let builder = SandboxBuilder::default().base_url("http://sandbox:8080/").access_token(token);
    let settings = check(builder.clone()).unwrap();
    assert_eq!(settings.issuer, "http://sandbox:8080/oidc");
    let settings = check(builder.issuer("https://issuer.example/oidc")).unwrap();
    assert_eq!(settings.issuer, "https://issuer.example/oidc");
    assert_eq!(settings.jwks_url, "http://sandbox:8080/oidc/.well-known/jwks.json");
    let open = SandboxBuilder::default().listen(([0, 0, 0, 0], 80).into()).access_token(token);
    assert_eq!(check(open).unwrap().base_url, "http://127.0.0.1:80");
    let open = SandboxBuilder::default().listen("[::]:80".parse().unwrap()).access_token(token);
    assert_eq!(check(open).unwrap().base_url, "http://[::1]:80");
}

#[test]
fn a_wrong_setting_is_named() {
    let new = SandboxBuilder::default;
    for scale in [0.0, 0.99, -1.0, f64::NAN, f64::INFINITY, 1_000_001.0] {
        assert!(refusal(new().time_scale(scale)).starts_with("time_scale: "), "{scale}");
    }
    for deadline in [Duration::ZERO, Duration::from_secs(601)] {
        assert!(refusal(new().answer_deadline(deadline)).starts_with("answer_deadline: "));
    }
    assert!(refusal(new().max_retries(101)).starts_with("max_retries: "));
    for time in [Duration::from_millis(999), Duration::from_hours(36_500 * 24 + 1), Duration::MAX] {
        assert!(refusal(new().keep_history(time)).starts_with("keep_history: "), "{time:?}");
    }
    assert!(refusal(new().public_only(true).allow_private(true)).starts_with("allow_private: "));
    for url in ["", "sandbox:8080", "ftp://x/", "http://x/?y", "http://x/#y", "http://u:p@x/"] {
        assert!(refusal(new().base_url(url)).starts_with("base_url: "), "{url}");
        assert!(refusal(new().issuer(url)).starts_with("issuer: "), "{url}");
    }
    let open = new().listen(([0, 0, 0, 0], 80).into());
    assert!(refusal(open.clone()).contains("access_token: it is needed to listen on 0.0.0.0:80"));
    let reached = refusal(new().base_url("http://sandbox:8080"));
    assert!(
        reached.contains("access_token: it is needed with the base URL http://sandbox:8080/"),
        "{reached}"
    );
    assert!(check(new().base_url("http://localhost:8080")).is_ok());
    for token in ["", "fifteen_letters", "with a space in it", "umläute_umläute_", &"x".repeat(1025)] {
        let error = refusal(open.clone().access_token(token));
        assert!(
            error.starts_with("access_token: it must have") && (token.is_empty() || !error.contains(token))
        );
    }
    assert!(refusal(new().client(Client::new("", "secret"))).starts_with("client: "));
    let error = refusal(new().client(Client::new("me", "hush\n")));
    assert!(error.contains("\"me\"") && !error.contains("hush"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    let builder =
        SandboxBuilder::default().access_token("hush-hush-hush-hush").client(Client::new("me", "hush"));
    assert!(!format!("{builder:?}").contains("hush"));
    assert!(!format!("{:?}", check(builder).unwrap()).contains("hush"));
}
