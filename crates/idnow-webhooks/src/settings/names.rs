//! Names that are no variable of ours: a misspelt one stops the start, others are reported or let alone.

use super::error::SettingsError;
use super::variables::{GUARDS, VARIABLES, is_known};

const PREFIX: &str = "IDNOW_";
/// Up to so many typing errors, anywhere in the name, a variable that protects is taken for misspelt; in a short word only
/// one: `IDNOW_STAGE` and `IDNOW_STATE` are names of their own.
const ERRORS_IN_GUARD: usize = 2;
/// Elsewhere one typing error is allowed for so many letters of the part that differs: `IDNOW_JWKS_TTL` has two for
/// three letters, and so is another name than `IDNOW_JWKS_URL`.
const LETTERS_PER_ERROR: usize = 3;
const MAX_ERRORS: usize = 3;

/// A misspelt variable must not silently leave a door open. Other unknown names with our prefix are only reported, and
/// those that Kubernetes sets are not even that.
pub(super) fn check(name: &str, value: &str) -> Result<(), SettingsError> {
    if is_known(name) {
        return Ok(());
    }
    let service = ServiceName::find(name);
    if service.is_none()
        && let Some(meant) = meant(name)
    {
        return Err(SettingsError::misspelt(name, meant));
    }
    let injected = service.is_some_and(|service| service.fits(value));
    if has_prefix(name) && !injected {
        tracing::warn!(target: "idnow_webhooks::settings", name, "this variable is unknown and has no effect");
    }
    Ok(())
}

fn has_prefix(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The variable that was meant, if this name is so near to it that it must be a mistake.
fn meant(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    let near = VARIABLES.iter().filter_map(|known| {
        let guards = GUARDS.iter().any(|(guard, _)| *guard == known.name);
        let letters = differing_letters(known.name, &upper);
        let in_guard = match guards {
            true if is_short(letters) => 1,
            true => ERRORS_IN_GUARD,
            false => 0,
        };
        let elsewhere = if has_prefix(name) { (letters / LETTERS_PER_ERROR).min(MAX_ERRORS) } else { 0 };
        let most = in_guard.max(elsewhere);
        // The names of the whole environment come by here: most are too long or too short to be looked at.
        if most == 0 || known.name.len().abs_diff(upper.len()) > most {
            return None;
        }
        let errors = strsim::damerau_levenshtein(known.name, &upper);
        (errors <= most).then_some((errors, known.name))
    });
    near.min().map(|(_, known)| known)
}

/// Whether two errors in a part of so many letters make another word of it.
pub(super) fn is_short(letters: usize) -> bool {
    (1..ERRORS_IN_GUARD * LETTERS_PER_ERROR).contains(&letters)
}

/// How many letters the words of `known` have that differ from those of `name`: those in between the words that both
/// begin with and those that both end with.
pub(super) fn differing_letters(known: &str, name: &str) -> usize {
    let known: Vec<_> = known.split('_').collect();
    let name: Vec<_> = name.split('_').collect();
    let same = |(one, other): &(&&str, &&str)| one == other;
    let first = known.iter().zip(&name).take_while(same).count();
    let last = known.iter().rev().zip(name.iter().rev()).take_while(same).count();
    known.iter().skip(first).rev().skip(last).map(|word| word.len()).sum()
}

/// The name of a variable that Kubernetes sets in every pod for each Service of its namespace. One called `idnow` gives
/// `IDNOW_PORT=tcp://10.0.0.1:80`, `IDNOW_SERVICE_HOST` and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceName {
    /// `NAME_PORT`, which somebody may also have set by hand.
    Port,
    /// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT`, `NAME_SERVICE_PORT_HTTP`, `NAME_PORT_80_TCP`, `NAME_PORT_80_TCP_ADDR` ...
    Other,
}

impl ServiceName {
    pub(super) fn find(name: &str) -> Option<Self> {
        let numbered = |(_, rest): (&str, &str)| {
            let mut parts = rest.split('_');
            let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
            number && parts.next().is_some_and(|part| ["TCP", "UDP", "SCTP"].contains(&part))
        };
        let other = name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
            || name.rsplit_once("_PORT_").is_some_and(numbered);
        if other { Some(Self::Other) } else { name.ends_with("_PORT").then_some(Self::Port) }
    }

    /// Whether the value is one that Kubernetes sets, as far as the name leaves that open.
    fn fits(self, value: &str) -> bool {
        self == Self::Other || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
    }
}
