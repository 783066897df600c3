//! Lists of addresses and ranges, as an operator writes them, against a reading of them in whole numbers.
//!
//! The first line is the list, for the allow list and for the trusted proxies alike; each further line is an address
//! that knocks. Beside those, the ends of every range knock, and their neighbours.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use idnow_webhooks::settings::SettingsError;
use idnow_webhooks::{Admission, Settings};
use libfuzzer_sys::fuzz_target;

/// What a proxy tells.
const TOLD: &str = "203.0.113.77";

/// A range of one family, both ends included. IPv4 mapped into IPv6 is IPv4.
struct Range {
    bits: u32,
    first: u128,
    last: u128,
}

impl Range {
    /// `None` for what is no range, and for what a strict reader could read in two ways.
    fn read(item: &str) -> Option<Self> {
        let (address, length) = match item.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (item, None),
        };
        let (mut bits, mut value) = number(address.parse().ok()?);
        let mut length = match length {
            None => bits,
            Some(text)
                if text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())) =>
            {
                text.parse().ok().filter(|length| *length <= bits)?
            }
            Some(_) => return None,
        };
        if bits == 128 && length >= 96 && value >> 32 == 0xffff {
            (bits, value, length) = (32, value & 0xffff_ffff, length - 96);
        }
        let free = 1_u128.checked_shl(bits - length).map_or(u128::MAX, |size| size - 1);
        Some(Self { bits, first: value & !free, last: value | free })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (bits, value) = number(address.to_canonical());
        bits == self.bits && (self.first..=self.last).contains(&value)
    }

    fn is_everyone(&self) -> bool {
        self.first == 0 && self.last == if self.bits == 32 { u128::from(u32::MAX) } else { u128::MAX }
    }

    /// Both ends, and what is next to them.
    fn edges(&self) -> impl Iterator<Item = IpAddr> {
        let bits = self.bits;
        [self.first.wrapping_sub(1), self.first, self.last, self.last.wrapping_add(1)]
            .into_iter()
            .map(move |value| address(bits, value))
    }
}

fn number(address: IpAddr) -> (u32, u128) {
    match address {
        IpAddr::V4(address) => (32, u32::from(address).into()),
        IpAddr::V6(address) => (128, address.into()),
    }
}

fn address(bits: u32, value: u128) -> IpAddr {
    if bits == 32 {
        #[expect(clippy::cast_possible_truncation, reason = "it wraps at the ends of the family")]
        return Ipv4Addr::from(value as u32).into();
    }
    Ipv6Addr::from(value).into()
}

fn read(name: &str, list: &str) -> Result<Settings, SettingsError> {
    let variables = [("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", "https://a.example"), (name, list)];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::from_variables(variables.into_iter().chain([("IDNOW_STORE".to_owned(), "memory".to_owned())]))
}

/// `None` if an item is no range.
fn reference(list: &str) -> Option<Vec<Range>> {
    list.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()).map(Range::read).collect()
}

fn admits(admission: &Admission, peer: IpAddr) -> bool {
    admission.admit(&HeaderMap::new(), Some(peer)).is_ok()
}

/// Whether the address that a proxy at `peer` tells is believed.
fn is_believed(admission: &Admission, peer: IpAddr) -> bool {
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-forwarded-for"),
        HeaderValue::from_static(TOLD),
    )]);
    let admitted = admission.admit(&headers, Some(peer)).expect("nothing is demanded");
    let source = admitted.source.expect("there is a source");
    assert!(source == peer.to_canonical() || source.to_string() == TOLD, "{source} for {peer}");
    source != peer.to_canonical()
}

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let list = lines.next().unwrap_or_default();
    let (allowed, trusted) = (read("IDNOW_ALLOWED_IPS", list), read("IDNOW_TRUSTED_PROXIES", list));
    let reference = reference(list);

    let Some(ranges) = reference.filter(|ranges| !ranges.is_empty()) else {
        // What is empty, and what is unreadable, must not come to mean everyone.
        let error = allowed.expect_err(list).to_string();
        assert!(error.starts_with("IDNOW_ALLOWED_IPS") && !error.chars().any(char::is_control), "{error}");
        assert!(trusted.is_err(), "{list:?}");
        return;
    };
    let allowed = allowed.expect(list).allowed_ips;
    assert_eq!(allowed.len(), ranges.len());
    let allow = allowed.into_iter().fold(Admission::new(), Admission::allow);
    let everyone = ranges.iter().any(Range::is_everyone);
    assert_eq!(trusted.is_err(), everyone, "{list:?}");
    let trust = trusted
        .map(|settings| settings.trusted_proxies.into_iter().fold(Admission::new(), Admission::trust_proxy));

    let told = lines.filter_map(|line| line.trim().parse().ok());
    for peer in ranges.iter().flat_map(Range::edges).chain(told).take(64) {
        let mapped = match peer {
            IpAddr::V4(address) => address.to_ipv6_mapped().into(),
            IpAddr::V6(_) => peer,
        };
        for peer in [peer, mapped] {
            let expected = ranges.iter().any(|range| range.contains(peer));
            assert_eq!(admits(&allow, peer), expected, "{peer} in {list:?}");
            // Where the told address is a proxy, too, the left-most counts, which is the same one.
            if let Ok(trust) = &trust
                && peer.to_canonical().to_string() != TOLD
            {
                assert_eq!(is_believed(trust, peer), expected, "{peer} in {list:?}");
            }
        }
    }
});
