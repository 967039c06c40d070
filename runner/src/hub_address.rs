//! Where the hub is, as the operator wrote it: `https://host[:port]`, and nothing else.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::ServerName;

/// An address that was checked. Its text is the *origin* that both sides sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    host: String,
    port: u16,
}

/// Why a text is no hub address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHubAddress {
    /// Another scheme, or none. There is no switch for plain HTTP.
    #[error("the hub's address starts with https://, there is no other way to reach it")]
    NotHttps,
    /// Something follows the host and port, or they are malformed.
    #[error("the hub's address is https://HOST or https://HOST:PORT, without a path or a user")]
    Malformed,
}

const HTTPS_PORT: u16 = 443;

impl HubAddress {
    /// The host to dial, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that the hub's certificate must carry.
    pub fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.host.clone())
            .expect("the host was parsed as a server name when the address was made")
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]", self.host)?;
        } else {
            write!(f, "https://{}", self.host)?;
        }
        if self.port != HTTPS_PORT {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl FromStr for HubAddress {
    type Err = BadHubAddress;

    fn from_str(text: &str) -> Result<Self, BadHubAddress> {
        let uri: http::Uri = text.parse().map_err(|_| BadHubAddress::Malformed)?;
        if uri.scheme_str() != Some("https") {
            return Err(BadHubAddress::NotHttps);
        }
        let authority = uri.authority().ok_or(BadHubAddress::Malformed)?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !is_bare || authority.as_str().contains('@') {
            return Err(BadHubAddress::Malformed);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let host = host.to_ascii_lowercase();
        ServerName::try_from(host.as_str()).map_err(|_| BadHubAddress::Malformed)?;
        let is_port_missing = authority.port().is_none();
        let has_colon = authority
            .as_str()
            .rsplit(']')
            .next()
            .is_some_and(|rest| rest.contains(':'));
        if is_port_missing && has_colon {
            return Err(BadHubAddress::Malformed);
        }
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(HTTPS_PORT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_and_a_host_and_nothing_else() {
        for (text, expected) in [
            ("https://hub.example", Ok("https://hub.example")),
            ("https://Hub.Example:443/", Ok("https://hub.example")),
            ("https://127.0.0.1:7878", Ok("https://127.0.0.1:7878")),
            ("https://[::1]:7878", Ok("https://[::1]:7878")),
            ("http://hub.example", Err(BadHubAddress::NotHttps)),
            ("hub.example", Err(BadHubAddress::NotHttps)),
            ("https://user@hub.example", Err(BadHubAddress::Malformed)),
            ("https://hub.example/path", Err(BadHubAddress::Malformed)),
            ("https://hub.example:99999", Err(BadHubAddress::Malformed)),
            ("https://hub.example:", Err(BadHubAddress::Malformed)),
            ("https://", Err(BadHubAddress::Malformed)),
            ("https://-bad-.example?x", Err(BadHubAddress::Malformed)),
            ("", Err(BadHubAddress::Malformed)),
        ] {
            let parsed = text
                .parse::<HubAddress>()
                .map(|address| address.to_string());
            assert_eq!(parsed, expected.map(str::to_owned), "{text:?}");
        }
    }
}
