//! actix-web 4 is built on http 0.2, the core on http 1: this is the border between the two.

use actix_web::error::ErrorInternalServerError;
use actix_web::http::{self as old, header as old_header};
use actix_web::{Error, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

pub(crate) fn method(method: &old::Method) -> Result<Method, Error> {
    Method::from_bytes(method.as_str().as_bytes()).map_err(ErrorInternalServerError)
}

/// Keeps repeated header lines apart.
pub(crate) fn headers(headers: &old_header::HeaderMap) -> Result<HeaderMap, Error> {
    let mut converted = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).map_err(ErrorInternalServerError)?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(ErrorInternalServerError)?;
        converted.append(name, value);
    }
    Ok(converted)
}

pub(crate) fn response(response: Response<Bytes>) -> Result<HttpResponse<Bytes>, Error> {
    let (parts, body) = response.into_parts();
    let status = old::StatusCode::from_u16(parts.status.as_u16()).map_err(ErrorInternalServerError)?;
    let mut builder = HttpResponseBuilder::new(status);
    for (name, value) in &parts.headers {
        builder.append_header((name.as_str(), value.as_bytes()));
    }
    builder.message_body(body)
}
