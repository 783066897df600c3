//! Which client asks for an access token.

use http::HeaderMap;
use subtle::Choice;

use super::refusal::{TokenError, TokenErrorCode, invalid_request};
use crate::builder::Client;
use crate::http::authorization::basic;
use crate::secret::same;

/// By `client_secret_basic` in the headers, or `client_secret_post`: the id and the secret of the form.
pub(super) fn authenticate(
    clients: &[Client],
    headers: &HeaderMap,
    id: Option<&str>,
    secret: Option<&str>,
) -> Result<(), TokenError> {
    let refused = |why: &str| Err(TokenError::new(TokenErrorCode::InvalidClient, why));
    let Ok(basic) = basic(headers) else {
        return refused("`Authorization` is not `Basic`, with id and secret form-urlencoded, then base64");
    };
    let known = match (&basic, id, secret) {
        (Some(_), _, Some(_)) => {
            return Err(invalid_request("the client's secret is in the header and in the body: choose one"));
        }
        (Some((id, _)), Some(other), None) if id != other.as_bytes() => {
            return Err(invalid_request("the header and the body name two clients"));
        }
        (Some((id, secret)), ..) => is_known(clients, id, secret),
        (None, Some(id), Some(secret)) => is_known(clients, id.as_bytes(), secret.as_bytes()),
        (None, ..) => return refused("send the client's id and secret, in the header or in the body"),
    };
    if known { Ok(()) } else { refused("there is no such client, or its secret is another one") }
}

fn is_known(clients: &[Client], id: &[u8], secret: &[u8]) -> bool {
    // All are looked at, whichever it is.
    let known = clients.iter().fold(Choice::from(0), |known, client| {
        known | (same(client.id.as_bytes(), id) & same(client.secret.as_bytes(), secret))
    });
    known.into()
}
