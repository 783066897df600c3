//! The address of a server.

use std::str::FromStr;

use idnow_webhooks_core::telemetry::quietly;
use sqlx::postgres::PgConnectOptions;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::error::ConnectError;

/// The parameters that sqlx reads, by their own names and by those that it also takes for them.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

pub(crate) fn connect_options(url: &str) -> Result<PgConnectOptions, ConnectError> {
    // sqlx logs parameters that it does not know with their values, and one may be a password under a misspelt name.
    let options = with_default(NoSubscriber::new(), || PgConnectOptions::from_str(url));
    let options = options.map_err(|error| match error {
        sqlx::Error::Configuration(source) => ConnectError::Address(source.to_string()),
        error => ConnectError::Address(error.to_string()),
    })?;
    let ignored = ignored(url);
    if ignored > 0 {
        quietly(|| {
            tracing::warn!(
                ignored,
                "the address of PostgreSQL has parameters that have no effect; those that have one: {}, options",
                PARAMETERS.join(", ")
            );
        });
    }
    Ok(options)
}

/// How many parameters of an address sqlx does not know.
fn ignored(url: &str) -> usize {
    let address = url.split('#').next().unwrap_or_default();
    let Some((_, parameters)) = address.split_once('?') else { return 0 };
    let names = parameters.split('&').filter(|parameter| !parameter.is_empty());
    let names = names.map(|parameter| parameter.split('=').next().unwrap_or_default());
    let is_option =
        |name: &str| name == "options" || name.starts_with("options[") || name.starts_with("options%5");
    names.filter(|name| !PARAMETERS.contains(name) && !is_option(name)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_has_no_effect() {
        for (parameters, expected) in [
            ("", 0),
            ("?", 0),
            ("?sslmode=require&application_name=x&options[search_path]=y&options=-c%20a=b", 0),
            ("?options%5Bsearch_path%5D=y", 0),
            ("?pasword=s3cret", 1),
            ("?sslmod=require&sslmode=require&channel_binding", 2),
        ] {
            assert_eq!(ignored(&format!("postgres://a@b/c{parameters}")), expected, "{parameters}");
        }
    }
}
