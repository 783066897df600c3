use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

/// Warnings of everything, and what `RUST_LOG` adds or takes away.
pub(super) fn filter(asked: &str) -> Result<EnvFilter, String> {
    let mut filter = EnvFilter::new("warn");
    for part in asked.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        // A word alone is a crate at every level: a misspelt `RUST_LOG=debgu` would go unnoticed.
        let has_level = part.contains('=') || part.parse::<LevelFilter>().is_ok();
        let directive = part.parse::<Directive>().ok().filter(|_| has_level);
        let wrong = || {
            format!(
                "RUST_LOG: {part:?} is no level (off, error, warn, info, debug, trace), and no crate with one, \
                 as hyper=debug"
            )
        };
        filter = filter.add_directive(directive.ok_or_else(wrong)?);
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_stay_unless_something_is_said_of_everything() {
        for (asked, expected) in [
            ("", "warn"),
            ("debug", "debug"),
            ("hyper=debug", "hyper=debug,warn"),
            (" OFF, idnow_webhooks=trace,", "idnow_webhooks=trace,off"),
        ] {
            assert_eq!(filter(asked).unwrap().to_string(), expected, "{asked:?}");
        }
    }

    #[test]
    fn what_is_misspelt_is_named() {
        for (asked, wrong) in
            [("debgu", "debgu"), ("info,hyper=debgu", "hyper=debgu"), ("hyper", "hyper"), (" é=info, [", "[")]
        {
            let error = filter(asked).unwrap_err();
            assert!(error.starts_with(&format!("RUST_LOG: {wrong:?} is no level")), "{asked:?}: {error}");
        }
    }
}
