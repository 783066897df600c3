//! Bounds how fast the access token can be guessed.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many wrong tokens are looked at in a row.
pub(super) const AT_ONCE: u32 = 60;
/// Then one more after each of these.
const PAUSE: Duration = Duration::from_secs(1);
/// Clients that are known apart.
const MOST: usize = 1024;

/// Counts wrong tokens, apart for each client: who guesses keeps nobody else out. Behind a proxy all are one.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    clients: Mutex<HashMap<IpAddr, Client>>,
    salt: RandomState,
}

#[derive(Debug)]
struct Client {
    /// When all its wrong tokens will be forgotten.
    forgotten: Instant,
    /// Salted hashes of the last ones, the latest first. To send one of them again is no guess: a program that goes on with
    /// an old token keeps nobody out who has the right one, and may come from the same address.
    last: [Option<u64>; 4],
}

impl Throttle {
    /// Whether a token of this client is looked at now; if not, how long it has to wait.
    pub(super) fn check(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.get(&key(client)).or_else(|| clients.get(&REST));
        match known
            .map_or(now, |known| known.forgotten)
            .saturating_duration_since(now)
            .checked_sub(PAUSE * (AT_ONCE - 1))
        {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// The client has sent this, which is wrong.
    pub(super) fn wrong(&self, client: IpAddr, token: &[u8], now: Instant) {
        let token = self.salt.hash_one(token);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = key(client);
        if !clients.contains_key(&client) && clients.len() >= MOST {
            clients.retain(|_, known| known.forgotten > now);
            if clients.len() >= MOST {
                client = REST;
            }
        }
        let known = clients.entry(client).or_insert(Client { forgotten: now, last: [None; 4] });
        if known.last.contains(&Some(token)) {
            return;
        }
        known.last.rotate_right(1);
        if let Some(latest) = known.last.first_mut() {
            *latest = Some(token);
        }
        known.forgotten = known.forgotten.max(now) + PAUSE;
    }
}

/// All clients together for which there is no room.
const REST: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Who has an IPv6 address has 2^64 of them.
fn key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many wrong tokens are looked at now.
    fn guesses(throttle: &Throttle, client: &str, now: Instant) -> u32 {
        let mut guesses = 0;
        while throttle.check(address(client), now).is_ok() {
            let token = Uuid::new_v4();
            throttle.wrong(address(client), token.as_bytes(), now);
            guesses += 1;
            assert!(guesses < 10 * AT_ONCE, "there is no end");
        }
        guesses
    }

    #[test]
    fn after_some_wrong_tokens_there_is_one_a_second() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(guesses(&throttle, "10.0.0.1", now), AT_ONCE);
        assert_eq!(throttle.check(address("10.0.0.1"), now), Err(PAUSE));
        assert_eq!(guesses(&throttle, "10.0.0.1", now + PAUSE / 2), 0);
        assert_eq!(guesses(&throttle, "10.0.0.1", now + PAUSE), 1);
        assert_eq!(guesses(&throttle, "10.0.0.1", now + 10 * PAUSE), 9);
        assert_eq!(guesses(&throttle, "10.0.0.1", now + 1000 * PAUSE), AT_ONCE);
    }

    #[test]
    fn the_same_wrong_token_again_is_no_guess() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let client = address("127.0.0.1");
        for _ in 0..10 * AT_ONCE {
            for token in ["of yesterday", "of the day before"] {
                throttle.wrong(client, token.as_bytes(), now);
            }
        }
        assert_eq!(guesses(&throttle, "127.0.0.1", now), AT_ONCE - 2);
        // What was sent long before may be counted again.
        throttle.wrong(client, b"of yesterday", now);
        assert_eq!(throttle.check(client, now), Err(2 * PAUSE));
    }

    #[test]
    fn nobody_is_kept_out_by_somebody_else() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        guesses(&throttle, "10.0.0.1", now);
        guesses(&throttle, "2001:db8::1", now);
        for other in ["10.0.0.2", "2001:db8:0:1::1", "127.0.0.1", "::1"] {
            assert_eq!(throttle.check(address(other), now), Ok(()), "{other}");
        }
        for same in ["::ffff:10.0.0.1", "2001:db8::2", "2001:db8::ffff:0:0:1"] {
            assert!(throttle.check(address(same), now).is_err(), "{same}");
        }
    }

    #[test]
    fn however_many_there_are_nothing_grows() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..5000_u32 {
            throttle.wrong(IpAddr::V4((0x0a00_0000 + number).into()), &number.to_be_bytes(), now);
        }
        assert!(throttle.clients.lock().unwrap().len() <= MOST + 1);
        assert!(throttle.check(address("10.200.0.1"), now).is_err(), "the rest is counted together");
        // Room is made for new ones when old ones are forgotten.
        let later = now + 10_000 * PAUSE;
        assert_eq!(guesses(&throttle, "10.200.0.1", later), AT_ONCE);
        assert!(throttle.clients.lock().unwrap().len() <= 2);
    }
}
