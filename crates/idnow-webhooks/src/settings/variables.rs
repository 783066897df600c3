/// A variable that [`Settings`](super::Settings) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is not set.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// Every variable, in the order of the documentation.
pub const VARIABLES: &[Variable] = &[
    variable("IDNOW_ENVIRONMENT", "", "`sandbox` or `production`: presets for issuer and keys"),
    variable("IDNOW_ISSUER", "of the preset", "accepted `iss`, exactly"),
    variable(
        "IDNOW_AUDIENCE",
        "(required)",
        "accepted `aud`: the endpoint's URL as configured at the provider; several separated by commas",
    ),
    variable(
        "IDNOW_JWKS_URL",
        "of the preset, else OIDC discovery from the issuer",
        "where the keys are; HTTPS, or plain HTTP to this machine",
    ),
    variable(
        "IDNOW_JWKS_FILE",
        "",
        "keys from a JWKS file instead, without network; read again about once a minute, and when a token names an unknown key",
    ),
    variable(
        "IDNOW_WEBHOOK_SECRET",
        "",
        "HMAC with this shared secret instead of keys, at least 32 bytes; several on lines of their own",
    ),
    variable("IDNOW_WEBHOOK_SECRET_FILE", "", "the same, from this file"),
    variable(
        "IDNOW_ALGORITHMS",
        "RS256; with a secret HS256, HS384, HS512",
        "accepted algorithms, separated by commas",
    ),
    variable("IDNOW_LEEWAY_SECONDS", "60", "how far the two clocks may be apart"),
    variable(
        "IDNOW_MAX_LIFETIME_SECONDS",
        "86400",
        "the longest accepted time between a token's `iat` and its `exp`",
    ),
    variable(
        "IDNOW_MAX_AGE_SECONDS",
        "no limit",
        "how long ago a token may have been issued, whatever its `exp`",
    ),
    variable("IDNOW_ALLOWED_IPS", "everyone", "source addresses or CIDR ranges, separated by commas"),
    variable("IDNOW_ALLOWED_IPS_MODE", "enforce", "`enforce`, or `monitor` to only report other addresses"),
    variable("IDNOW_TRUSTED_PROXIES", "none", "proxies whose `X-Forwarded-For` or `Forwarded` is believed"),
    variable(
        "IDNOW_REQUIRED_HEADERS",
        "none",
        "`Name: value`, one a line, or, without a line break, separated by commas; several values of one name are \
         alternatives",
    ),
    variable("IDNOW_REQUIRED_HEADERS_FILE", "", "the same, from this file"),
    variable(
        "IDNOW_EXPECTED_ENVIRONMENT",
        "any",
        "the only accepted `environment` of events, such as `live`",
    ),
    variable(
        "IDNOW_EXPECTED_FLOWS",
        "any",
        "the only accepted flow ids, separated by commas: other customers of the provider have flows of their own",
    ),
    variable("IDNOW_MAX_BODY_BYTES", "262144", "the longest accepted body"),
    variable("IDNOW_ANSWER_DEADLINE_MS", "8000", "when to answer at the latest; the provider waits for 10 s"),
    variable(
        "IDNOW_JWKS_MIN_REFRESH_SECONDS",
        "10",
        "the least time between two fetches that tokens cause: unknown key ids, false signatures",
    ),
    variable(
        "IDNOW_STORE",
        "sqlite:idnow-webhooks.db",
        "where events are remembered: `sqlite:PATH`, `postgres://USER:PASSWORD@HOST/DATABASE` or `memory`",
    ),
    variable("IDNOW_STORE_FILE", "", "the same, from this file"),
    variable(
        "IDNOW_STORE_POOL",
        "16",
        "connections for the transactions of handlers, beside the store's own 7; PostgreSQL only",
    ),
    variable(
        "IDNOW_RETENTION_DAYS",
        "30",
        "how long completed events are kept, so that late duplicates are recognised",
    ),
    variable(
        "IDNOW_KEEP_EVIDENCE",
        "no",
        "`yes` to store each token and the public key that verified it beside its event",
    ),
    variable("IDNOW_WORKER_CONCURRENCY", "16", "how many events are handled at once"),
    variable("IDNOW_WORKER_MAX_RUNS", "15", "how often an event is handled before it becomes a dead letter"),
    variable(
        "IDNOW_LEASE_SECONDS",
        "60",
        "how long a worker holds an event; extended while the handler runs, and waited for after a crash",
    ),
    variable(
        "IDNOW_HANDLER_LIMIT_SECONDS",
        "300; inline 60",
        "how long a handler may run before it is stopped, and the event handled again",
    ),
    variable("IDNOW_DRAIN_LIMIT_SECONDS", "30", "how long a worker that stops waits for running handlers"),
    variable(
        "IDNOW_SESSION_GRACE_SECONDS",
        "0",
        "how long an event waits for a missing one before it in its session",
    ),
    variable("LISTEN", "127.0.0.1:3000", "where the server listens"),
    variable("WEBHOOK_PATH", "/webhooks/idnow", "where the webhook is mounted"),
];

/// Variables that protect, with what it means not to set them. A blank one is likelier a template that was
/// filled with nothing than a wish to be without.
pub(super) const GUARDS: &[(&str, &str)] = &[
    ("IDNOW_ALLOWED_IPS", "allow every source address"),
    ("IDNOW_JWKS_FILE", "take the keys from the network"),
    ("IDNOW_EXPECTED_ENVIRONMENT", "accept events of every environment"),
    ("IDNOW_EXPECTED_FLOWS", "accept events of every flow"),
    ("IDNOW_MAX_AGE_SECONDS", "accept every token that has not expired"),
    ("IDNOW_REQUIRED_HEADERS", "require no header"),
    ("IDNOW_REQUIRED_HEADERS_FILE", "require no header"),
    // Without the feature, a blank one is refused as one that is not set.
    #[cfg(feature = "sqlite")]
    ("IDNOW_STORE", "use the file idnow-webhooks.db"),
    ("IDNOW_STORE_FILE", "take IDNOW_STORE"),
    ("IDNOW_TRUSTED_PROXIES", "trust no proxy"),
    ("IDNOW_WEBHOOK_SECRET", "verify with public keys"),
    ("IDNOW_WEBHOOK_SECRET_FILE", "verify with public keys"),
];

pub(super) fn is_known(name: &str) -> bool {
    VARIABLES.iter().any(|variable| variable.name == name)
}
