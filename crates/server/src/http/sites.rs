//! Which hosts a request may name, and which web sites it may come from.
//!
//! A web page can make a browser send requests to this machine. It can also point a name of its own at a loopback
//! address and then read the answers ("DNS rebinding"). Both are told by headers that a page cannot choose: `Host` is
//! the name that the browser looked up, and `Origin` is the page's own site.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, header};

/// Stands for every host.
const ANY: &str = "*";

/// Hosts and web sites that requests may name besides the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedSites {
    hosts: Vec<String>,
    any_host: bool,
    origins: Vec<String>,
    /// Those of `origins` whose pages may read answers.
    readers: Vec<String>,
    any_reader: bool,
}

/// Text that names no host or no web site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSite {
    /// It is no host.
    #[error(
        "'{text}' is no host; write a name or an address without a port, such as constellation.example.com"
    )]
    Host {
        /// The text as given.
        text: String,
    },
    /// It is no origin.
    #[error(
        "'{text}' is no origin; write a scheme, a host and, unless it is the usual one, a port, such as https://example.com"
    )]
    Origin {
        /// The text as given.
        text: String,
    },
    /// It is no origin whose pages can be trusted to read answers.
    #[error(
        "'{text}' is no origin for CORS; write https, a host and, unless it is the usual one, a port, such as \
         https://example.com, or http and localhost; or '*' for all"
    )]
    Reader {
        /// The text as given.
        text: String,
    },
}

impl AllowedSites {
    /// Lets requests name this host, such as the name that a proxy passes on; `*` stands for every host.
    ///
    /// # Errors
    ///
    /// [`InvalidSite::Host`].
    pub fn allow_host(&mut self, host: &str) -> Result<(), InvalidSite> {
        if host == ANY {
            self.any_host = true;
            return Ok(());
        }
        let invalid = || InvalidSite::Host { text: host.to_owned() };
        let authority: Authority = bracketed(host).parse().map_err(|_| invalid())?;
        let name = host_of(&authority).ok_or_else(invalid)?;
        if authority.port().is_some() || authority.as_str().ends_with(':') {
            return Err(invalid());
        }
        self.hosts.push(name.to_ascii_lowercase());
        Ok(())
    }

    /// Lets pages of this web site send requests.
    ///
    /// # Errors
    ///
    /// [`InvalidSite::Origin`].
    pub fn allow_origin(&mut self, origin: &str) -> Result<(), InvalidSite> {
        if host_of_origin(origin).is_none() {
            return Err(InvalidSite::Origin { text: origin.to_owned() });
        }
        self.origins.push(origin.to_ascii_lowercase());
        Ok(())
    }

    /// Lets pages of this web site send requests and read the answers, by what CORS asks for; `*` stands for every site.
    /// Without TLS, somebody on the way could put a page of his own in its place, so it is `https`, or `http` on this
    /// machine.
    ///
    /// # Errors
    ///
    /// [`InvalidSite::Reader`].
    pub fn allow_cors_origin(&mut self, origin: &str) -> Result<(), InvalidSite> {
        if origin == ANY {
            self.any_reader = true;
            return Ok(());
        }
        let is_safe = |host: String| {
            let is_encrypted = origin.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
            is_encrypted || is_loopback(&host)
        };
        if !host_of_origin(origin).is_some_and(is_safe) {
            return Err(InvalidSite::Reader { text: origin.to_owned() });
        }
        let origin = origin.to_ascii_lowercase();
        self.origins.push(origin.clone());
        self.readers.push(origin);
        Ok(())
    }

    /// Whether pages of every web site may send requests and read answers.
    pub(crate) fn takes_every_site(&self) -> bool {
        self.any_reader
    }

    /// The web sites whose pages may read answers, besides all if [`AllowedSites::takes_every_site`].
    pub(super) fn readers(&self) -> &[String] {
        &self.readers
    }
}

/// What a server that listens on an address takes.
#[derive(Debug)]
pub(crate) struct SiteCheck {
    sites: AllowedSites,
    /// None when it listens on all addresses: then no single one is its own.
    own: Option<IpAddr>,
    /// How nearly all requests name this server: what is among these need not be taken apart.
    usual: Vec<String>,
}

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It names no host, or several.
    NoHost,
    /// It names a host that is not one of this server.
    Host,
    /// It comes from another web site.
    Origin,
}

impl SiteCheck {
    pub(crate) fn new(sites: AllowedSites, listens_on: SocketAddr) -> Self {
        let ip = listens_on.ip().to_canonical();
        let own = (!ip.is_unspecified()).then_some(ip);
        let address = own.map(|own| SocketAddr::new(own, listens_on.port()).to_string());
        let hosts = sites.hosts.iter().map(String::as_str).chain(["localhost", "127.0.0.1"]);
        let hosts = hosts.flat_map(|host| [host.to_owned(), format!("{host}:{}", listens_on.port())]);
        let usual = hosts.chain(address).collect();
        Self { sites, own, usual }
    }

    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(named), None) = (hosts.next(), hosts.next()) else { return Err(Foreign::NoHost) };
        let says_no_more = uri.authority().is_none() && !headers.contains_key(header::ORIGIN);
        if says_no_more && self.usual.iter().any(|usual| usual.as_bytes() == named.as_bytes()) {
            return Ok(());
        }
        let host: Authority = named.as_bytes().try_into().map_err(|_| Foreign::Host)?;
        // A request target with a host in it says the same a second time.
        if ![Some(&host), uri.authority()].into_iter().flatten().all(|host| self.is_own(host)) {
            return Err(Foreign::Host);
        }
        let is_foreign = |origin: &[u8]| !self.is_own_origin(origin, &host);
        if headers.get_all(header::ORIGIN).iter().any(|origin| is_foreign(origin.as_bytes())) {
            return Err(Foreign::Origin);
        }
        Ok(())
    }

    /// Whatever the port: it may be mapped to another one on the way.
    fn is_own(&self, authority: &Authority) -> bool {
        let Some(host) = host_of(authority) else { return false };
        let is = |own: &String| host.eq_ignore_ascii_case(own);
        let is_own = |address| self.own == Some(address);
        self.sites.any_host
            || is_loopback(host)
            || self.sites.hosts.iter().any(is)
            || address_of(host).is_some_and(is_own)
    }

    /// Pages of the host that was asked, which came from this server or the proxy before it, and those allowed.
    fn is_own_origin(&self, origin: &[u8], host: &Authority) -> bool {
        if self.sites.any_reader {
            return true;
        }
        let Ok(origin) = std::str::from_utf8(origin) else { return false };
        let origin = origin.to_ascii_lowercase();
        let same_site =
            split_origin(&origin).is_some_and(|(_, site)| host.as_str().eq_ignore_ascii_case(site));
        same_site || self.sites.origins.contains(&origin)
    }
}

/// The host, in upper or lower case; none where somebody is to be logged in.
fn host_of(authority: &Authority) -> Option<&str> {
    let host = authority.host();
    (!host.is_empty() && !authority.as_str().contains('@')).then_some(host)
}

/// The address that a host is written as.
fn address_of(host: &str) -> Option<IpAddr> {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.ok().map(|address| address.to_canonical())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || address_of(host).is_some_and(|address| address.is_loopback())
}

/// The host of an origin; none when it is no origin.
fn host_of_origin(origin: &str) -> Option<String> {
    let authority: Authority = split_origin(origin)?.1.parse().ok()?;
    // A pattern would fit no page, and nobody would tell.
    host_of(&authority).filter(|host| !host.contains('*')).map(str::to_owned)
}

/// An IPv6 address as it is written before a port.
fn bracketed(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

fn split_origin(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some((scheme, authority))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(check: &SiteCheck, hosts: &[&str], origin: Option<&str>) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        check.check(&Uri::from_static("/pipelines"), &headers)
    }

    fn sites(hosts: &[&str], origins: &[&str]) -> AllowedSites {
        let mut sites = AllowedSites::default();
        for host in hosts {
            sites.allow_host(host).unwrap();
        }
        for origin in origins {
            sites.allow_origin(origin).unwrap();
        }
        sites
    }

    #[test]
    fn only_hosts_of_the_server_are_taken() {
        let own = SiteCheck::new(sites(&["api.example.com", "fd00::7"], &[]), "10.1.2.3:80".parse().unwrap());
        for host in [
            "localhost",
            "LOCALHOST:9000",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "10.1.2.3:1",
            "Api.Example.com:443",
            "[fd00::7]:80",
        ] {
            assert_eq!(check(&own, &[host], None), Ok(()), "{host}");
        }
        for host in [
            "evil.com",
            "evil.com:8080",
            "localhost.",
            "localhost.evil.com",
            "evil.api.example.com",
            "api.example.com.",
            "10.1.2.4",
            "0.0.0.0",
            "[::]",
            "[fd00::8]",
            "evil@localhost",
            "localhost@evil.com",
            "",
            "local host",
            "localhost/",
            "2130706433",
            "127.1",
        ] {
            assert_eq!(check(&own, &[host], None), Err(Foreign::Host), "{host}");
        }
        assert_eq!(check(&own, &[], None), Err(Foreign::NoHost));
        assert_eq!(check(&own, &["localhost", "localhost"], None), Err(Foreign::NoHost));
    }

    #[test]
    fn what_need_not_be_taken_apart_would_be_taken() {
        for listens_on in ["10.1.2.3:80", "[fd00::8]:8080", "0.0.0.0:80", "[::ffff:10.1.2.3]:1"] {
            let own =
                SiteCheck::new(sites(&["api.example.com", "fd00::7"], &[]), listens_on.parse().unwrap());
            assert!(own.usual.len() >= 8);
            for host in &own.usual {
                let authority: Authority = host.parse().unwrap();
                assert!(own.is_own(&authority), "{host}");
            }
        }
    }

    #[test]
    fn a_host_in_the_request_target_counts_too() {
        let own = SiteCheck::new(AllowedSites::default(), "127.0.0.1:80".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        assert_eq!(own.check(&Uri::from_static("http://localhost/pipelines"), &headers), Ok(()));
        let foreign = Uri::from_static("http://evil.com/pipelines");
        assert_eq!(own.check(&foreign, &headers), Err(Foreign::Host));
    }

    #[test]
    fn a_server_on_all_addresses_takes_no_address_but_loopback_unless_told() {
        let all = SiteCheck::new(AllowedSites::default(), "0.0.0.0:80".parse().unwrap());
        assert_eq!(check(&all, &["10.1.2.3"], None), Err(Foreign::Host));
        assert_eq!(check(&all, &["0.0.0.0"], None), Err(Foreign::Host));
        assert_eq!(check(&all, &["localhost"], None), Ok(()));
        let any = SiteCheck::new(sites(&["*"], &[]), "0.0.0.0:80".parse().unwrap());
        assert_eq!(check(&any, &["10.1.2.3"], None), Ok(()));
        assert_eq!(check(&any, &["user@10.1.2.3"], None), Err(Foreign::Host));
    }

    #[test]
    fn only_pages_of_the_server_and_those_allowed_may_ask() {
        let own = SiteCheck::new(sites(&[], &["https://app.example.com"]), "127.0.0.1:80".parse().unwrap());
        let host = "localhost:8080";
        for origin in ["http://localhost:8080", "https://LOCALHOST:8080", "https://app.example.com"] {
            assert_eq!(check(&own, &[host], Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "http://evil.com",
            "null",
            "",
            "http://localhost:3000",
            "http://localhost",
            "http://127.0.0.1:8080",
            "file://localhost:8080",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.com",
        ] {
            assert_eq!(check(&own, &[host], Some(origin)), Err(Foreign::Origin), "{origin}");
        }
    }

    #[test]
    fn what_is_no_host_or_origin_is_refused() {
        let mut sites = AllowedSites::default();
        for host in ["", "a:80", "a:", "http://a", "a/b", "u@a", "a b"] {
            assert!(sites.allow_host(host).is_err(), "{host}");
        }
        for origin in [
            "",
            "*",
            "https://*.a",
            "a",
            "https://",
            "https://a/",
            "https://a/b",
            "ftp://a",
            "null",
            "https://u@a",
        ] {
            assert!(sites.allow_origin(origin).is_err(), "{origin}");
        }
        for origin in [
            "",
            "a",
            "null",
            "https://",
            "https://a/",
            "ftp://localhost",
            "http://example.com",
            "http://localhost.example.com",
            "http://10.1.2.3",
            "https://u@a",
            "https://*.example.com",
            "https://\u{e9}.example.com",
        ] {
            assert!(sites.allow_cors_origin(origin).is_err(), "{origin}");
        }
        assert_eq!(sites, AllowedSites::default());
        for origin in
            ["https://example.com", "HTTPS://example.com:8443", "http://LOCALHOST:3000", "http://[::1]", "*"]
        {
            sites.allow_cors_origin(origin).unwrap();
        }
    }

    #[test]
    fn pages_that_may_read_answers_may_ask() {
        let mut allowed = AllowedSites::default();
        allowed.allow_cors_origin("https://app.example.com").unwrap();
        let address = "127.0.0.1:80".parse().unwrap();
        let own = SiteCheck::new(allowed.clone(), address);
        assert_eq!(check(&own, &["localhost"], Some("https://app.example.com")), Ok(()));
        assert_eq!(check(&own, &["localhost"], Some("https://evil.com")), Err(Foreign::Origin));
        allowed.allow_cors_origin("*").unwrap();
        let own = SiteCheck::new(allowed, address);
        for origin in ["https://evil.com", "http://evil.com", "null"] {
            assert_eq!(check(&own, &["localhost"], Some(origin)), Ok(()));
            assert_eq!(
                check(&own, &["evil.com"], Some(origin)),
                Err(Foreign::Host),
                "names are looked at all the same"
            );
        }
    }
}
