//! What a wasm step asks to touch. Each grant keeps its line, so that a refusal can name it.
//!
//! Only the form is checked here: whether a path exists and whether the host allows a grant is found out where the step
//! runs.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use super::super::super::shape::{self, Lacking};
use super::super::super::values;
use super::{refuse, value};
use crate::diagnostic::{Report, quote};
use crate::plan::{
    Clock, GrantRequest, NetGrant, NetScheme, PathGrant, Random, SecretDelivery, SecretGrant,
};
use crate::tree::{Entry, Map, Node, Value};

/// Grants of one kind in one step. A step that needs more wants a directory, or is several steps.
const GRANTS_MAX: usize = 100;

/// Longest host name (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Reads the value of a `grants` key.
pub(super) fn read(entry: &Entry, lacking: &mut Lacking, report: &mut Report) -> GrantRequest {
    let mut request = GrantRequest::default();
    let Some(map) = shape::map(&entry.value, "`grants`", report) else {
        return request;
    };
    shape::keys(map, "grants", lacking, report);
    let mut granted = BTreeSet::new();
    for (key, grants) in [("read", &mut request.read), ("write", &mut request.write)] {
        for node in nodes(map, key, report) {
            let Some(grant) = path(node, key, lacking, report) else {
                continue;
            };
            if granted.insert(grant.path.clone()) {
                grants.push(grant);
            } else {
                let message = format!("{} is granted twice", quote(&grant.path));
                report.error("duplicate-grant", node.span, message);
            }
        }
    }
    for node in nodes(map, "net", report) {
        let Some(text) = shape::text(node, "a grant", report) else {
            continue;
        };
        match net(text) {
            Ok((scheme, host, port)) => {
                request.net.push(NetGrant {
                    scheme,
                    host,
                    port,
                    line: node.span.line,
                });
            }
            Err(why) => refuse("net", text, why, node.span, report),
        }
    }
    request.secrets = nodes(map, "secrets", report)
        .iter()
        .filter_map(|node| secret(node, report))
        .collect();
    let clocks = [("real", Clock::Real), ("fixed", Clock::Fixed)];
    request.clock = choice(map, "clock", clocks, report);
    let randoms = [("real", Random::Real), ("seeded", Random::Seeded)];
    request.random = choice(map, "random", randoms, report);
    request
}

fn nodes<'n>(map: &'n Map, key: &str, report: &mut Report) -> &'n [std::rc::Rc<Node>] {
    let Some(entry) = map.get(key) else {
        return &[];
    };
    let nodes = shape::list(&entry.value, &quote(key), report).unwrap_or_default();
    if let Some(surplus) = nodes.get(GRANTS_MAX) {
        let message = format!("`{key}` has more than {GRANTS_MAX} grants");
        report.error("too-many-grants", surplus.span, message);
        return &[];
    }
    nodes
}

fn path(node: &Node, key: &str, lacking: &mut Lacking, report: &mut Report) -> Option<PathGrant> {
    let text = value(node, "a grant", lacking, report)?;
    let checked = values::workspace_path(text).and_then(|path| {
        if path.contains('*') {
            return Err("is a pattern; grant the directory, which includes all below it");
        }
        let is_git = |component: &str| component.eq_ignore_ascii_case(".git");
        if key == "write" && path.split('/').any(is_git) {
            return Err("is git's own; it can be read at most");
        }
        Ok(path)
    });
    match checked {
        Ok(path) => Some(PathGrant {
            path,
            line: node.span.line,
        }),
        Err(why) => {
            refuse(key, text, why, node.span, report);
            None
        }
    }
}

fn net(text: &str) -> Result<(NetScheme, String, u16), &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("has no scheme; write `https://HOST`, `http://HOST` or `tcp://HOST:PORT`")?;
    let (scheme, default_port) = match scheme {
        "https" => (NetScheme::Https, Some(443)),
        "http" => (NetScheme::Http, Some(80)),
        "tcp" => (NetScheme::Tcp, None),
        _ => return Err("has another scheme than `https://`, `http://` or `tcp://`"),
    };
    let rest = match scheme {
        NetScheme::Https | NetScheme::Http => rest.strip_suffix('/').unwrap_or(rest),
        NetScheme::Tcp => rest,
    };
    if rest.contains('/') {
        return Err("has a path; a grant is for a whole host");
    }
    if rest.contains('*') {
        return Err("is a pattern; hosts are granted by their exact names");
    }
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').ok_or("has a `[` without a `]`")?;
        let address: Ipv6Addr = host
            .parse()
            .map_err(|_| "is not an IPv6 address in brackets")?;
        let port = match port {
            "" => None,
            port => Some(
                port.strip_prefix(':')
                    .ok_or("has something other than a port behind `]`")?,
            ),
        };
        (address.to_string(), port)
    } else {
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        (host_name(host)?, port)
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
        Some(_) => None,
        None => default_port,
    };
    let port = port
        .filter(|&port| port > 0)
        .ok_or("needs a port between 1 and 65535")?;
    Ok((scheme, host, port))
}

fn host_name(host: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(is_label) {
        return Err("does not name a host exactly");
    }
    Ok(host.to_ascii_lowercase())
}

fn secret(node: &Node, report: &mut Report) -> Option<SecretGrant> {
    let (named, delivery) = match &node.value {
        Value::Map(map) => {
            shape::keys(map, "secret", &mut Lacking::default(), report);
            let Some(file) = map.get("file") else {
                report
                    .error("bad-value", node.span, "a secret in a mapping has `file`")
                    .help("write `NAME`, or `{file: NAME}`");
                return None;
            };
            (&*file.value, SecretDelivery::File)
        }
        Value::Scalar(_) | Value::List(_) => (node, SecretDelivery::Environment),
    };
    let text = shape::text(named, "a secret's name", report)?;
    match values::variable_name(text) {
        Ok(name) => Some(SecretGrant {
            name,
            delivery,
            line: node.span.line,
        }),
        Err(why) => {
            refuse("secrets", text, why, named.span, report);
            None
        }
    }
}

fn choice<T: Copy + Default>(
    map: &Map,
    key: &str,
    choices: [(&str, T); 2],
    report: &mut Report,
) -> T {
    let Some(entry) = map.get(key) else {
        return T::default();
    };
    let text = entry.value.as_text();
    if let Some((_, choice)) = choices.iter().find(|(name, _)| text == Some(name)) {
        return *choice;
    }
    let message = format!("`{key}` is `{}` or `{}`", choices[0].0, choices[1].0);
    report.error("bad-value", entry.value.span, message);
    T::default()
}
