//! Which addresses may be connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::builder::Settings;

/// Decides about the address that a connection is really made to, never about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Guard {
    /// Nothing but what is globally routable. Stronger than `allow_private`.
    pub(crate) public_only: bool,
    /// Private networks too.
    pub(crate) allow_private: bool,
    /// Without TLS to other machines than this, too.
    pub(crate) allow_plain_http: bool,
}

/// An address, or a URL, that nothing is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Global,
    Loopback,
    /// RFC 1918, unique local, and the shared space of carriers, which some VPNs use.
    Private,
    /// It stands for this IPv4 address.
    Inside(Ipv4Addr),
    /// A translator (NAT64) leads to this IPv4 address.
    Translated(Ipv4Addr),
    /// There is no reason to send a webhook there.
    Never(&'static str),
}

impl Guard {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            public_only: settings.public_only,
            allow_private: settings.allow_private,
            allow_plain_http: settings.allow_plain_http,
        }
    }

    /// Everything that can be said before a name is resolved: the scheme, and an address that the URL spells out.
    /// The URL's parser has brought decimal, octal and hexadecimal forms into the usual one.
    pub(crate) fn check_url(self, url: &Url) -> Result<(), Refused> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(Refused(format!("`{other}` is no scheme to deliver by: use https"))),
        };
        match url.host() {
            None => Err(Refused("the URL has no host".into())),
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) => self.check(address.into(), tls),
            Some(Host::Ipv6(address)) => self.check(address.into(), tls),
        }
    }

    /// Whether a connection to this address is allowed; without TLS only loopback is, unless an option allows more.
    pub(crate) fn check(self, address: IpAddr, tls: bool) -> Result<(), Refused> {
        let refused = |why: &str| Err(Refused(format!("{address} is not allowed: {why}")));
        match self.judge(scope(address)) {
            Ok(Scope::Loopback) => Ok(()),
            Ok(_) if tls || self.allow_plain_http => Ok(()),
            Ok(_) => refused("plain http is only for loopback addresses; use https"),
            Err(why) => refused(why),
        }
    }

    /// The scope that counts in the end.
    fn judge(self, scope: Scope) -> Result<Scope, &'static str> {
        match scope {
            Scope::Loopback if self.public_only => Err("loopback, and only public addresses are allowed"),
            Scope::Global | Scope::Loopback => Ok(scope),
            Scope::Private if self.public_only => {
                Err("a private network, and only public addresses are allowed")
            }
            Scope::Private if self.allow_private => Ok(scope),
            Scope::Private => Err("a private network, which only an option allows"),
            Scope::Inside(_) | Scope::Translated(_) if self.public_only => {
                Err("it stands for an IPv4 address, and only public addresses are allowed")
            }
            Scope::Inside(address) => self.judge(scope_v4(address)),
            Scope::Translated(address) => match self.judge(scope_v4(address))? {
                Scope::Loopback => Err("a translator's own loopback"),
                other => Ok(other),
            },
            Scope::Never(what) => Err(what),
        }
    }
}

fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

const METADATA: Scope = Scope::Never("a cloud's metadata service");
const LINK_LOCAL: Scope = Scope::Never("link-local");
const DOCUMENTATION: Scope = Scope::Never("reserved for documentation");
const RESERVED: Scope = Scope::Never("reserved");
const MULTICAST: Scope = Scope::Never("multicast");
const TUNNEL: Scope = Scope::Never("a tunnel to an IPv4 address");

/// The first prefix that fits counts. From IANA's registry of special-purpose addresses, and the metadata services that
/// stand among ordinary and private addresses: whoever asks them is given credentials, so that no option allows them.
const PREFIXES_V4: [([u8; 4], u32, Scope); 22] = [
    ([169, 254, 169, 254], 32, METADATA),
    ([100, 100, 100, 200], 32, METADATA),
    ([168, 63, 129, 16], 32, METADATA),
    ([192, 0, 0, 192], 32, METADATA),
    ([127, 0, 0, 0], 8, Scope::Loopback),
    ([10, 0, 0, 0], 8, Scope::Private),
    ([172, 16, 0, 0], 12, Scope::Private),
    ([192, 168, 0, 0], 16, Scope::Private),
    ([100, 64, 0, 0], 10, Scope::Private),
    ([169, 254, 0, 0], 16, LINK_LOCAL),
    ([0, 0, 0, 0], 8, Scope::Never("no address of a host")),
    ([192, 0, 0, 0], 24, RESERVED),
    ([192, 0, 2, 0], 24, DOCUMENTATION),
    ([198, 51, 100, 0], 24, DOCUMENTATION),
    ([203, 0, 113, 0], 24, DOCUMENTATION),
    ([192, 88, 99, 0], 24, TUNNEL),
    ([198, 18, 0, 0], 15, Scope::Never("reserved for benchmarks")),
    ([224, 0, 0, 0], 4, MULTICAST),
    ([255, 255, 255, 255], 32, Scope::Never("broadcast")),
    ([240, 0, 0, 0], 4, RESERVED),
    ([192, 31, 196, 0], 24, RESERVED),
    ([192, 175, 48, 0], 24, RESERVED),
];

const PREFIXES_V6: [([u16; 8], u32, Scope); 20] = [
    // Amazon (all that its machines are served with), Google, Oracle, Scaleway.
    ([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0], 32, METADATA),
    ([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0], 32, METADATA),
    ([0xfd00, 0x00c1, 0, 0, 0, 0, 0, 0], 32, METADATA),
    ([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x42], 128, METADATA),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Scope::Loopback),
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Scope::Never("no address of a host")),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Scope::Never("a discarded spelling of an IPv4 address")),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Scope::Never("a local translator")),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Scope::Private),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, LINK_LOCAL),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Scope::Never("site-local")),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, MULTICAST),
    // Teredo, which carries an IPv4 address, and other things that no server is at.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, TUNNEL),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, RESERVED),
    ([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32, DOCUMENTATION),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, TUNNEL),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, DOCUMENTATION),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, RESERVED),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Scope::Global),
    ([0, 0, 0, 0, 0, 0, 0, 0], 0, RESERVED),
];

fn scope_v4(address: Ipv4Addr) -> Scope {
    let bits = address.to_bits();
    let fits = |prefix: [u8; 4], length: u32| {
        let differing = bits ^ u32::from_be_bytes(prefix);
        differing.leading_zeros() >= length
    };
    let found = PREFIXES_V4.iter().find(|(prefix, length, _)| fits(*prefix, *length));
    found.map_or(Scope::Global, |(_, _, scope)| *scope)
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    if let Some(inside) = address.to_ipv4_mapped() {
        return Scope::Inside(inside);
    }
    let bits = address.to_bits();
    let fits = |prefix: [u16; 8], length: u32| {
        let differing = bits ^ Ipv6Addr::from(prefix).to_bits();
        differing.leading_zeros() >= length
    };
    if fits([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96) {
        let [.., a, b, c, d] = address.octets();
        return Scope::Translated(Ipv4Addr::new(a, b, c, d));
    }
    let found = PREFIXES_V6.iter().find(|(prefix, length, _)| fits(*prefix, *length));
    found.map_or(RESERVED, |(_, _, scope)| *scope)
}

#[cfg(test)]
mod tests;
