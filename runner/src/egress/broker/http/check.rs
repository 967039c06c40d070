//! Whether a request may leave, decided before anything of it does. Pure.
//!
//! What could be read one way here and another way by the server is refused and never repaired: two lengths,
//! a host header, a path that is a URL of its own, headers that belong to the connection.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

use crate::egress::policy::{NetGrant, Policy};
use crate::egress::record::Refusal;
use crate::egress::wire::{HEAD_BYTES_MAX, RequestHead, Word, is_brokers_own};

/// A request that may leave.
#[derive(Debug)]
pub(super) struct Checked {
    /// Where to.
    pub(super) origin: NetGrant,
    /// As it will be sent, without its body.
    pub(super) request: Request<()>,
    /// How long its body is, if its head says so.
    pub(super) body_bytes: Option<u64>,
}

/// Checks a request against the grants and the rules of HTTP.
pub(super) fn request(policy: &Policy, head: &RequestHead) -> Result<Checked, Refusal> {
    let RequestHead {
        method,
        scheme,
        authority,
        path_and_query,
        headers,
        has_body,
    } = head;
    let written = format!("{scheme}://{authority}");
    let origin = NetGrant::of_request(scheme, authority)
        .map_err(|error| Refusal::new(Word::NotGranted, format!("`{written}` {error}")))?;
    if !policy.has(&origin) {
        let why = policy.not_granted(&origin.to_string());
        return Err(Refusal::new(Word::NotGranted, why));
    }
    let bad = |what: &str| Refusal::new(Word::BadRequest, format!("{origin}: {what}"));
    let method = check_method(method).ok_or_else(|| {
        Refusal::new(
            Word::BadMethod,
            format!("{origin}: the method `{method}` is not let through"),
        )
    })?;
    let uri = check_path(path_and_query).ok_or_else(|| bad("its path is none"))?;
    let headers = headers
        .to_map()
        .ok_or_else(|| bad("its headers are malformed, too many or too long"))?;
    let body_bytes = check_headers(&headers, *has_body).map_err(|what| bad(&what))?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let host = HeaderValue::from_str(&origin.authority()).map_err(|_| bad("its host is none"))?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().extend(headers);
    Ok(Checked {
        origin,
        request,
        body_bytes,
    })
}

/// Any method but those that ask for a tunnel or for an echo of what a proxy added.
fn check_method(method: &str) -> Option<Method> {
    let is_let_through = !["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|refused| method.eq_ignore_ascii_case(refused));
    Method::from_bytes(method.as_bytes())
        .ok()
        .filter(|_| is_let_through)
}

/// A path from its `/`, in visible characters: a request line has nothing else to separate it.
fn check_path(path: &str) -> Option<Uri> {
    let is_visible = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !path.starts_with('/') || !is_visible || path.len() > HEAD_BYTES_MAX {
        return None;
    }
    let uri = Uri::builder().path_and_query(path).build().ok()?;
    // Nothing of it may have been taken for a host.
    (uri.authority().is_none() && uri.path_and_query()?.as_str() == path).then_some(uri)
}

/// The length that they give for the body.
fn check_headers(headers: &HeaderMap, has_body: bool) -> Result<Option<u64>, String> {
    if let Some(name) = headers.keys().find(|name| is_brokers_own(name)) {
        return Err(format!("the header `{name}` is the broker's own"));
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(None);
    };
    if lengths.next().is_some() {
        return Err("it has more than one content-length".to_owned());
    }
    let is_number = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    let length: Option<u64> = length.to_str().ok().and_then(|text| text.parse().ok());
    match length.filter(|_| is_number) {
        None => Err("its content-length is no number".to_owned()),
        Some(length) if length > 0 && !has_body => {
            Err("it has a content-length and no body".to_owned())
        }
        Some(length) => Ok(Some(length)),
    }
}
