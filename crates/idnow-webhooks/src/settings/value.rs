//! Reads single values, each with an error that says what is expected.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_core::store::Retention;
use idnow_webhooks_core::{RequiredHeader, Secret};
use ipnet::IpNet;

use super::error::SettingsError;
use super::files::{self, FILES};
#[cfg(not(feature = "sqlite"))]
use super::store::EXPECTED;
use super::store::Store;
use super::{names, variables};

/// What is set to something, of the variables that are known.
pub(super) struct Variables {
    values: BTreeMap<String, String>,
    /// What was read from a file: the variable that named it, and its path as errors show it.
    files: BTreeMap<&'static str, (&'static str, String)>,
}

impl Variables {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        let mut values: BTreeMap<_, _> = variables.into_iter().collect();
        for (name, value) in &values {
            names::check(name, value)?;
        }
        for (name, otherwise) in variables::GUARDS {
            if values.get(*name).is_some_and(|value| value.trim().is_empty()) {
                return Err(SettingsError::empty(name, otherwise));
            }
        }
        values.retain(|name, value| variables::is_known(name) && !value.trim().is_empty());
        if let Some((name, _)) = values.iter().find(|(_, value)| is_quoted(value)) {
            return Err(SettingsError::quoted(name));
        }
        let mut read = Self { values, files: BTreeMap::new() };
        for (name, file) in FILES {
            read.read_file(name, file)?;
        }
        Ok(read)
    }

    fn read_file(&mut self, name: &'static str, file: &'static str) -> Result<(), SettingsError> {
        let Some(path) = self.values.remove(file) else { return Ok(()) };
        if self.values.contains_key(name) {
            return Err(SettingsError::two_forms(file, name));
        }
        let path = path.trim();
        let (value, shown) = (files::read(name, file, path)?, files::shown(path));
        if is_quoted(&value) {
            return Err(SettingsError::quoted(name).in_file(file, &shown));
        }
        self.values.insert(name.to_owned(), value);
        self.files.insert(name, (file, shown));
        Ok(())
    }

    /// The variable that this one's value is from: itself, or the one that names a file.
    pub(super) fn set_by(&self, name: &'static str) -> &'static str {
        self.files.get(name).map_or(name, |(file, _)| file)
    }

    /// The error with the name of the variable that was really set.
    pub(super) fn name_source(&self, error: SettingsError) -> SettingsError {
        match self.files.get(error.variable()) {
            Some((file, shown)) => error.in_file(file, shown),
            None => error,
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn items(&self, name: &str) -> Result<Vec<&str>, SettingsError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items: Vec<_> = value.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()).collect();
        if items.is_empty() {
            return Err(SettingsError::wrong(name, value, "at least one value between the commas"));
        }
        Ok(items)
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, SettingsError> {
        Ok(self.items(name)?.into_iter().map(str::to_owned).collect())
    }

    /// What is no URL can never be the `aud` of a token: every delivery would be refused, and none would come again.
    pub(super) fn audiences(&self, name: &str) -> Result<Vec<String>, SettingsError> {
        const EXPECTED: &str = "the URL of the endpoint as it is configured at the provider, such as \
                                https://bank.example/webhooks/idnow";
        let is_url = |text: &str| {
            let (scheme, rest) = text.split_once("://").unwrap_or_default();
            ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
                && !rest.is_empty()
                && !rest.starts_with(['/', '?', '#'])
        };
        let audiences = self.items(name)?;
        if audiences.is_empty() {
            return Err(SettingsError::missing(name, EXPECTED));
        }
        match audiences.iter().find(|audience| !is_url(audience)) {
            Some(wrong) => Err(SettingsError::wrong(name, wrong, EXPECTED)),
            None => Ok(audiences.into_iter().map(str::to_owned).collect()),
        }
    }

    /// One of these choices, which has an effect only together with another variable.
    pub(super) fn one_of_with<T: Copy>(
        &self,
        name: &str,
        needed: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, SettingsError> {
        let chosen = self.one_of(name, choices)?;
        if chosen.is_some() && self.get(needed).is_none() {
            return Err(SettingsError::without(name, needed));
        }
        Ok(chosen)
    }

    pub(super) fn one_of<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let chosen = choices.iter().find(|(choice, _)| *choice == value);
        chosen.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            SettingsError::wrong(name, value, names.join(" or "))
        })
    }

    pub(super) fn number(
        &self,
        name: &str,
        unit: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Result<u64, SettingsError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let expected = format!("a whole number of {unit} from {} to {}", range.start(), range.end());
            SettingsError::wrong(name, value, expected)
        })
    }

    /// A number that fits its type: the range sees to that.
    pub(super) fn count<T: TryFrom<u64>>(
        &self,
        name: &str,
        unit: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Result<T, SettingsError> {
        let end = *range.end();
        let number = self.number(name, unit, range, default)?;
        T::try_from(number)
            .map_err(|_| SettingsError::wrong(name, &number.to_string(), format!("at most {end}")))
    }

    /// A duration in whole seconds, or none.
    pub(super) fn seconds(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<Duration>, SettingsError> {
        let set = self.get(name).is_some();
        let seconds = self.number(name, "seconds", range, 0)?;
        Ok(set.then(|| Duration::from_secs(seconds)))
    }

    /// How long a handler may run: at least as long as its answer may take.
    pub(super) fn handler_limit(
        &self,
        name: &str,
        deadline: Duration,
    ) -> Result<Option<Duration>, SettingsError> {
        let limit = self.seconds(name, 1..=86_400)?;
        match limit {
            Some(limit) if limit < deadline => {
                let seconds = limit.as_secs().to_string();
                let expected =
                    format!("at least the {} ms of IDNOW_ANSWER_DEADLINE_MS", deadline.as_millis());
                Err(SettingsError::wrong(name, &seconds, expected))
            }
            limit => Ok(limit),
        }
    }

    /// How many connections the pool of a store in PostgreSQL has.
    pub(super) fn pool(&self, name: &str, store: &Store) -> Result<u32, SettingsError> {
        if self.get(name).is_some() && !matches!(store, Store::Postgres(_)) {
            return Err(SettingsError::without(name, "a PostgreSQL database in IDNOW_STORE"));
        }
        self.count(name, "connections", 1..=1000, 16)
    }

    pub(super) fn given_store(&self, name: &str) -> Result<Option<Store>, SettingsError> {
        let store = self.get(name).map(str::parse).transpose();
        store.map_err(|error| SettingsError::wrong_secret(name, error))
    }

    pub(super) fn store(&self, name: &str) -> Result<Store, SettingsError> {
        if let Some(store) = self.given_store(name)? {
            return Ok(store);
        }
        #[cfg(feature = "sqlite")]
        return Ok(Store::default());
        #[cfg(not(feature = "sqlite"))]
        return Err(SettingsError::missing(
            name,
            &format!("{EXPECTED} (this program was built without the feature sqlite)"),
        ));
    }

    pub(super) fn retention(&self, name: &str) -> Result<Retention, SettingsError> {
        let days = self.number(name, "days", 1..=3650, 30)?;
        let keep = Duration::from_secs(days * 24 * 3600);
        Retention::new(keep).map_err(|error| SettingsError::wrong(name, &days.to_string(), error))
    }

    pub(super) fn ranges(&self, name: &str) -> Result<Vec<IpNet>, SettingsError> {
        self.items(name)?
            .into_iter()
            .map(|item| {
                range(item).ok_or_else(|| {
                    let expected = "addresses or CIDR ranges, such as 192.0.2.0/24, 2001:db8::1";
                    SettingsError::wrong(name, item, expected)
                })
            })
            .collect()
    }

    pub(super) fn proxies(&self, name: &str) -> Result<Vec<IpNet>, SettingsError> {
        let ranges = self.ranges(name)?;
        if let Some(everyone) = ranges.iter().find(|range| is_everyone(range)) {
            let expected =
                "only the addresses of your own proxies: whoever is trusted here can write its own address";
            return Err(SettingsError::wrong(name, &everyone.to_string(), expected));
        }
        Ok(ranges)
    }

    pub(super) fn algorithms(
        &self,
        name: &str,
        shared_secret: bool,
    ) -> Result<Vec<Algorithm>, SettingsError> {
        let usable: Vec<_> =
            Algorithm::ALL.into_iter().filter(|known| known.is_hmac() == shared_secret).collect();
        let chosen = self.items(name)?.into_iter().map(|item| {
            item.parse().ok().filter(|algorithm| usable.contains(algorithm)).ok_or_else(|| {
                let names: Vec<_> = usable.iter().map(|algorithm| algorithm.name()).collect();
                let with = if shared_secret { "with" } else { "without" };
                let expected = format!("{}, {with} IDNOW_WEBHOOK_SECRET", names.join(", "));
                SettingsError::wrong(name, item, expected)
            })
        });
        let chosen: Vec<_> = chosen.collect::<Result<_, _>>()?;
        Ok(match (chosen.is_empty(), shared_secret) {
            (false, _) => chosen,
            (true, true) => usable,
            (true, false) => vec![Algorithm::Rs256],
        })
    }

    /// One secret a line; several for a change without a gap.
    pub(super) fn secrets(&self, name: &str) -> Result<Option<Vec<Secret>>, SettingsError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.map(Secret::from).collect();
        // What the receiver would refuse later is refused here, where the variable's name is known.
        KeySet::from_secrets(&secrets).map_err(|error| SettingsError::wrong_secret(name, error))?;
        Ok(Some(secrets))
    }

    /// `Name: value` in lines, or separated by commas; several values of one name are alternatives.
    ///
    /// A line break anywhere, even at the end, makes commas a part of the values.
    pub(super) fn headers(&self, name: &str) -> Result<Vec<RequiredHeader>, SettingsError> {
        let Some(value) = self.values.get(name) else { return Ok(Vec::new()) };
        let separator = if value.contains('\n') { '\n' } else { ',' };
        let entries = value.split(separator).map(trim_plain).filter(|entry| !entry.is_empty());
        let mut accepted: Vec<(&str, Vec<&str>)> = Vec::new();
        for (index, entry) in entries.enumerate() {
            let Some((header, value)) = entry.split_once(':') else {
                let problem = format!(
                    "no colon in entry {}: expected `Name: value`, one a line or separated by commas",
                    index + 1
                );
                return Err(SettingsError::wrong_secret(name, problem));
            };
            let (header, value) = (header.trim(), trim_plain(value));
            if value.trim() != value {
                let problem = format!(
                    "white space other than a plain space stands at an end of the value in entry {}: remove it",
                    index + 1
                );
                return Err(SettingsError::wrong_secret(name, problem));
            }
            match accepted.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(header)) {
                Some((_, values)) => values.push(value),
                None => accepted.push((header, vec![value])),
            }
        }
        if accepted.is_empty() {
            let problem = "no entry: expected `Name: value`, one a line or separated by commas";
            return Err(SettingsError::wrong_secret(name, problem));
        }
        let headers = accepted.into_iter().map(|(header, values)| {
            RequiredHeader::new(header, values).map_err(|error| SettingsError::wrong_secret(name, error))
        });
        headers.collect()
    }

    pub(super) fn listen(&self, name: &str, default: SocketAddr) -> Result<SocketAddr, SettingsError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .parse()
            .map_err(|_| SettingsError::wrong(name, value, "an address and a port, such as 127.0.0.1:3000"))
    }

    pub(super) fn path(&self, name: &str, default: &str) -> Result<String, SettingsError> {
        let value = self.get(name).unwrap_or(default);
        let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
        if !value.starts_with('/') || !plain {
            let expected = "a path that begins with / and has only letters, digits and /-._~";
            return Err(SettingsError::wrong(name, value, expected));
        }
        Ok(value.to_owned())
    }
}

/// Strictly, as addresses alone are read: `ipnet` takes the zero in front of `010.0.0.0/8` for nothing, others for octal.
fn range(item: &str) -> Option<IpNet> {
    let Some((address, length)) = item.split_once('/') else {
        return item.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let usual = length == "0" || !length.starts_with(['0', '+']);
    usual.then(|| IpNet::new(address.parse().ok()?, length.parse().ok()?).ok())?
}

/// Without the white space that is how a list is written, and that HTTP carries at no end of a value.
fn trim_plain(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// A shell takes quotation marks away. Where nobody does, they would become part of the value.
fn is_quoted(value: &str) -> bool {
    let value = value.trim();
    value.len() > 1 && ['"', '\''].iter().any(|mark| value.starts_with(*mark) && value.ends_with(*mark))
}

/// Also as IPv4 mapped into IPv6, which is compared as IPv4.
fn is_everyone(range: &IpNet) -> bool {
    let mapped = matches!(range.network(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    range.prefix_len() == if mapped { 96 } else { 0 }
}
