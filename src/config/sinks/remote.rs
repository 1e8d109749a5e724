//! The keys of sinks that send events elsewhere: syslog receivers, and receivers that are posted to.

use super::Problem;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// The longest message if nothing else is said: what rsyslog takes whole by default, with something to spare.
const LENGTH_MAX: u32 = 8_000;
/// Every event fits into this once its longest values are cut.
const LENGTH_MIN: u32 = 2_048;
/// More than this is no syslog message anywhere.
const LENGTH_LIMIT: u32 = 1 << 20;
/// The largest UDP datagram.
const DATAGRAM_LIMIT: u32 = 65_507;

/// Where syslog messages go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyslogAddress {
    /// `tcp://host:port`.
    Tcp(String, u16),
    /// `tcp+tls://host:port`.
    Tls(String, u16),
    /// `udp://host:port`.
    Udp(String, u16),
    /// `unix:///path`.
    Local(PathBuf),
}

impl SyslogAddress {
    fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            Problem::plain(
                "[[sinks]] address is not tcp+tls://host:port, tcp://host:port, udp://host:port or unix:///path",
            )
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Local(PathBuf::from(path))) } else { Err(wrong()) };
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(address) if address.parse::<IpAddr>().is_ok() => address,
            Some(_) => return Err(wrong()),
            None => host,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || (bare.is_none() && !host.chars().all(is_name)) {
            return Err(wrong());
        }
        match scheme {
            "tcp" => Ok(Self::Tcp(host.to_owned(), port)),
            "tcp+tls" => Ok(Self::Tls(host.to_owned(), port)),
            "udp" => Ok(Self::Udp(host.to_owned(), port)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Local(path) => return write!(f, "unix://{}", path.display()),
            Self::Tcp(host, port) => ("tcp", host, port),
            Self::Tls(host, port) => ("tcp+tls", host, port),
            Self::Udp(host, port) => ("udp", host, port),
        };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// A syslog facility, by its name (RFC 5424, section 6.2.1). Its place in the list is its number.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of RFC 5424")]
pub enum Facility {
    Kern,
    User,
    Mail,
    Daemon,
    Auth,
    Syslog,
    Lpr,
    News,
    Uucp,
    Cron,
    #[default]
    Authpriv,
    Ftp,
    Ntp,
    Audit,
    Alert,
    Clock,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

impl Facility {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The files of a TLS connection, in PEM.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFiles {
    /// A private certificate authority, in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, for receivers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// `kind = "syslog"`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogSink {
    /// Where messages go.
    pub address: SyslogAddress,
    /// For `tcp+tls`.
    pub tls: TlsFiles,
    /// Their facility.
    pub facility: Facility,
    /// The longest message, header included, in bytes.
    pub length_max: usize,
}

impl SyslogSink {
    pub(super) fn of(
        address: &str,
        tls: TlsFiles,
        facility: Option<Facility>,
        length_max: Option<u32>,
    ) -> Result<Self, Problem> {
        let address = SyslogAddress::parse(address)?;
        let is_tls = matches!(address, SyslogAddress::Tls(..));
        if !is_tls && tls != TlsFiles::default() {
            return Err(Problem::plain("[[sinks]] ca_file, cert_file and key_file go with tcp+tls://"));
        }
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            return Err(Problem::plain("[[sinks]] cert_file and key_file go together"));
        }
        let length_max = length_max.unwrap_or(LENGTH_MAX);
        let limit = if matches!(address, SyslogAddress::Udp(..)) { DATAGRAM_LIMIT } else { LENGTH_LIMIT };
        if !(LENGTH_MIN..=limit).contains(&length_max) {
            return Err(Problem::owned(format!("[[sinks]] length_max is not between {LENGTH_MIN} and {limit}")));
        }
        Ok(Self { address, tls, facility: facility.unwrap_or_default(), length_max: length_max as usize })
    }
}

/// What a receiver wants to be sent.
#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum HttpStyle {
    /// A line an event.
    Ndjson,
    /// Splunk's HTTP Event Collector.
    SplunkHec,
    /// The bulk API of Elasticsearch and OpenSearch.
    ElasticBulk,
    /// OTLP logs as JSON.
    Otlp,
}

/// `kind = "http"`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSink {
    /// As written; nothing is appended.
    pub url: String,
    /// What is sent.
    pub style: HttpStyle,
    /// The file that holds the token.
    pub token_file: Option<PathBuf>,
    /// A private certificate authority, in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The index, of `elastic-bulk`.
    pub index: Option<String>,
}

impl HttpSink {
    pub(super) fn of(
        text: &str,
        style: HttpStyle,
        token_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
        index: Option<&str>,
    ) -> Result<Self, Problem> {
        let url = reqwest::Url::parse(text).ok().filter(reqwest::Url::has_host);
        let url = url.ok_or_else(|| Problem::plain("[[sinks]] url is not a valid URL"))?;
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_loopback || token_file.is_none() => {}
            "http" => {
                return Err(Problem::plain("[[sinks]] url must be https (http only on loopback) with a token_file"));
            }
            _ => return Err(Problem::plain("[[sinks]] url is not https:// or http://")),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(Problem::plain("[[sinks]] url must not carry a user or a fragment"));
        }
        if let Some(index) = index {
            check_index(index, style)?;
        }
        Ok(Self { url: text.to_owned(), style, token_file, ca_file, index: index.map(str::to_owned) })
    }
}

/// Elasticsearch refuses each event of an index whose name it does not take, for ever.
fn check_index(index: &str, style: HttpStyle) -> Result<(), Problem> {
    if style != HttpStyle::ElasticBulk {
        return Err(Problem::plain("[[sinks]] index goes with style = \"elastic-bulk\""));
    }
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let begins_well = !index.starts_with(['-', '_', '.']) || index.starts_with(".ds-");
    if index.is_empty() || index.len() > 255 || !begins_well || !index.chars().all(is_good) {
        return Err(Problem::plain(
            "[[sinks]] index is not a name that Elasticsearch takes: lower case letters, digits, `-`, `_`, `.`",
        ));
    }
    Ok(())
}
