//! actix-web 4 is built on http 0.2, the core on http 1: this is the border between the two.

use actix_web::error::ErrorInternalServerError;
use actix_web::http::{self as old, header as old_header};
use actix_web::{Error, HttpResponse};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
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
    let mut response = HttpResponse::with_body(status, body);
    for (name, value) in &parts.headers {
        // actix-web writes the length by itself.
        if name != CONTENT_LENGTH {
            let name = old_header::HeaderName::from_bytes(name.as_str().as_bytes());
            let value = old_header::HeaderValue::from_bytes(value.as_bytes());
            let (name, value) =
                (name.map_err(ErrorInternalServerError)?, value.map_err(ErrorInternalServerError)?);
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}
