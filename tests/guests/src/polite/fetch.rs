//! `fetch METHOD URL [NAME:VALUE]…`: sends one request with standard input as its body, and shows the
//! response: its status, its headers in sorted order, an empty line, and its body as it comes.
//!
//! The authority is taken as it stands between `://` and the next `/`, so that a host that reads URLs in
//! another way is found out. Exit status 1 says that there was no response, and standard error why.
//! Deliberately absent: redirects are shown, not followed.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [method, url, headers @ ..] = &arguments[..] else {
        eprintln!("usage: fetch METHOD URL [NAME:VALUE]…");
        return ExitCode::from(2);
    };
    match fetch(method, url, headers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("no response: {why}");
            ExitCode::FAILURE
        }
    }
}

fn fetch(method: &str, url: &str, headers: &[String]) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").ok_or("a URL has a scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let fields = Fields::new();
    for header in headers {
        let (name, value) = header.split_once(':').ok_or("a header is NAME:VALUE")?;
        fields
            .append(name, value.as_bytes())
            .map_err(|error| format!("header {name}: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let refused = |what: &'static str| move |()| format!("the host refuses the {what}");
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request
        .set_method(&Method::Other(method.to_owned()))
        .map_err(refused("method"))?;
    request
        .set_scheme(Some(&scheme))
        .map_err(refused("scheme"))?;
    request
        .set_authority(Some(authority))
        .map_err(refused("authority"))?;
    request
        .set_path_with_query(Some(path))
        .map_err(refused("path"))?;
    let mut input = Vec::new();
    io::stdin()
        .read_to_end(&mut input)
        .map_err(|error| error.to_string())?;
    let body = request.body().map_err(refused("body"))?;
    let code = |error: ErrorCode| format!("{error:?}");
    let pending = handle(request, None).map_err(code)?;
    // A host that has refused the request does not take its body.
    let sent = send(&body, &input);
    let finished = OutgoingBody::finish(body, None);
    pending.subscribe().block();
    let response = pending.get().ok_or("it is ready and not there")?;
    let response = response
        .map_err(|()| "it was taken before")?
        .map_err(code)?;
    sent?;
    finished.map_err(code)?;
    show(&response)
}

fn send(body: &OutgoingBody, bytes: &[u8]) -> Result<(), String> {
    let stream = body.write().map_err(|()| "the body has no stream")?;
    for piece in bytes.chunks(4096) {
        stream
            .blocking_write_and_flush(piece)
            .map_err(|error| format!("the body is not taken: {error:?}"))?;
    }
    Ok(())
}

fn show(response: &IncomingResponse) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let wrote = |error: io::Error| error.to_string();
    writeln!(out, "{}", response.status()).map_err(wrote)?;
    let mut headers = response.headers().entries();
    headers.sort();
    for (name, value) in headers {
        writeln!(out, "{name}: {}", String::from_utf8_lossy(&value)).map_err(wrote)?;
    }
    writeln!(out).map_err(wrote)?;
    let body = response
        .consume()
        .map_err(|()| "the body was taken before")?;
    let stream = body.stream().map_err(|()| "the body has no stream")?;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => out.write_all(&bytes).map_err(wrote)?,
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(format!("it breaks off: {}", error.to_debug_string()));
            }
        }
    }
    out.flush().map_err(wrote)
}
