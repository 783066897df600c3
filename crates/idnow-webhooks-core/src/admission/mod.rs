//! Who may send at all: source addresses and required headers, checked before a byte of the body is read.
//!
//! # Behind a proxy
//!
//! The address that counts is that of the connection, unless the connection comes from a proxy that is
//! configured as trusted. Then the right-most address of `X-Forwarded-For` (or `Forwarded`, RFC 7239) that is
//! not itself a trusted proxy counts: everything to its left was written by strangers. Trust only proxies
//! that append to, or replace, one of the two headers. When both are present and disagree, the request is
//! refused: one of them was passed through from outside.

mod forwarded;
mod header;

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

pub use forwarded::ForwardedError;
pub use header::{HeaderError, RequiredHeader, RequiredHeaderError};

/// What is demanded of a request before it is looked at. The default demands nothing.
///
/// ```
/// use idnow_webhooks_core::{Admission, RequiredHeader};
///
/// let admission = Admission::new()
///     .allow("192.0.2.0/24".parse()?)
///     .trust_proxy("10.0.0.0/8".parse()?)
///     .require(RequiredHeader::new("X-Auth-Token", ["the-current-token", "the-next-token"])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Admission {
    allowed: Vec<IpNet>,
    monitor: bool,
    trusted_proxies: Vec<IpNet>,
    required: Vec<RequiredHeader>,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// The source address is on no allowed range.
    #[error("source address {0} is in none of the allowed ranges")]
    NotAllowed(IpAddr),
    /// There is an allow list, but the server did not tell the address of the connection.
    #[error(
        "an allow list is set, but the server passed on no peer address: see the adapter's documentation"
    )]
    NoPeerAddress,
    /// The trusted proxy's header cannot be read, so the source is unknown.
    #[error("the source address behind the trusted proxy {proxy} is unknown: {error}")]
    Forwarded {
        /// The proxy that the connection came from.
        proxy: IpAddr,
        /// What is wrong with its header.
        error: ForwardedError,
    },
    /// A required header is missing, repeated or has another value.
    #[error("required header: {0}")]
    Header(HeaderError),
}

/// An admitted request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// Where the request came from, as far as it is known.
    pub source: Option<IpAddr>,
    /// In monitor mode: what the allow list would have refused.
    pub would_refuse: Option<AdmissionError>,
}

impl Admission {
    /// Demands nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows a range of source addresses. Without any, all are allowed.
    ///
    /// A range of IPv4 addresses mapped into IPv6 (`::ffff:192.0.2.0/120`) is the range of IPv4 addresses.
    pub fn allow(mut self, range: IpNet) -> Self {
        self.allowed.push(canonical(range));
        self
    }

    /// Only reports, and does not refuse, what the allow list does not cover: for trying a new list.
    pub fn monitor(mut self) -> Self {
        self.monitor = true;
        self
    }

    /// Believes the forwarding header of proxies in this range, which may be mapped as in [`allow`](Self::allow).
    pub fn trust_proxy(mut self, range: IpNet) -> Self {
        self.trusted_proxies.push(canonical(range));
        self
    }

    /// Requires a header. Several are all required.
    pub fn require(mut self, header: RequiredHeader) -> Self {
        self.required.push(header);
        self
    }

    /// Checks a request.
    pub fn admit(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Admitted, AdmissionError> {
        let source = self.source(headers, peer);
        let known = source.as_ref().ok().copied().flatten();
        Ok(Admitted { source: known, would_refuse: self.classify(source, headers)? })
    }

    /// Checks a request from this source. Gives what the allow list would have refused in enforcing mode.
    pub(crate) fn classify(
        &self,
        source: Result<Option<IpAddr>, AdmissionError>,
        headers: &HeaderMap,
    ) -> Result<Option<AdmissionError>, AdmissionError> {
        let would_refuse = match self.check_source(source) {
            Ok(()) => None,
            Err(error) if self.monitor => Some(error),
            Err(error) => return Err(error),
        };
        for header in &self.required {
            header.check(headers).map_err(AdmissionError::Header)?;
        }
        Ok(would_refuse)
    }

    fn check_source(&self, source: Result<Option<IpAddr>, AdmissionError>) -> Result<(), AdmissionError> {
        if self.allowed.is_empty() {
            return Ok(());
        }
        let source = source?.ok_or(AdmissionError::NoPeerAddress)?;
        if contains(&self.allowed, source) { Ok(()) } else { Err(AdmissionError::NotAllowed(source)) }
    }

    /// Where a request comes from, as far as that is known.
    pub(crate) fn source(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<IpAddr>, AdmissionError> {
        let Some(peer) = peer.map(|address| address.to_canonical()) else {
            return Ok(None);
        };
        if !contains(&self.trusted_proxies, peer) {
            return Ok(Some(peer));
        }
        forwarded::source(headers, |address| contains(&self.trusted_proxies, address))
            .map(|source| Some(source.unwrap_or(peer)))
            .map_err(|error| AdmissionError::Forwarded { proxy: peer, error })
    }
}

/// Addresses are compared as IPv4 where they can be, so a range that was mapped into IPv6 would cover none.
fn canonical(range: IpNet) -> IpNet {
    /// The bits in front of a mapped address.
    const MAPPED: u8 = 96;
    let (IpAddr::V6(address), Some(length)) = (range.addr(), range.prefix_len().checked_sub(MAPPED)) else {
        return range;
    };
    let mapped = address.to_ipv4_mapped().and_then(|address| IpNet::new(address.into(), length).ok());
    mapped.unwrap_or(range)
}

/// Addresses are canonical here: an IPv4 address that came mapped into IPv6 is compared as IPv4.
fn contains(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

#[cfg(test)]
mod tests;
