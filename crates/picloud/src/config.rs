//! The server's configuration: flags over environment over `picloud-server.toml`
//! over defaults.
//!
//! To add a setting, add a field to [`Settings`], which is its flag, its
//! variable and its key in the file; then [`Settings::or`] and
//! [`ServerConfig::new`] do not compile until they know it.

mod otlp_endpoint;
mod public_url;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use ipnet::IpNet;
use picloud_shared::HostPattern;
use picloud_shared::vault::KEY_BYTES;
use serde::Deserialize;

pub use otlp_endpoint::OtlpEndpoint;
pub use public_url::PublicUrl;

/// The configuration file that is read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "picloud-server.toml";
/// Where a server keeps its state when it is not told.
pub const DEFAULT_DATA_DIR: &str = "picloud-data";
/// A shorter admin token could be guessed.
const MIN_TOKEN_CHARS: usize = 16;

/// Everything that a server is told at its start.
///
/// It has no `Debug`: three of its fields are secret.
#[derive(Clone)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    /// A PostgreSQL; `None` for SQLite in the data directory.
    pub database_url: Option<String>,
    /// Hosts of the control plane beside `localhost`.
    pub control_hosts: Vec<String>,
    /// Domains whose subdomains are apps, beside `localhost`.
    pub apps_domains: Vec<String>,
    /// Where clients reach the control plane; `None` for where it listens.
    pub public_url: Option<PublicUrl>,
    /// Servers of the domain name system; empty for the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Invocations at one time, of all apps together; at least 1.
    pub max_concurrent_executions: usize,
    /// `None` has one made and written to `admin-token` in the data directory.
    pub admin_token: Option<String>,
    /// `None` has one made and written to `master.key` in the data directory.
    pub master_key: Option<[u8; KEY_BYTES]>,
    /// Peers whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Hosts that apps may call if their manifests say so; empty for any.
    pub egress_allow: Vec<HostPattern>,
    /// Networks that apps may reach though they are not public.
    pub egress_private: Vec<IpNet>,
    /// Days for which executions and logs are kept.
    pub retention_days: u64,
    /// The collector of traces; `None` for no traces.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    pub log_format: LogFormat,
    /// Where the sandbox's compiled code is kept; `None` for `cache` in the
    /// data directory. Whoever can write there can run code in this process.
    pub code_cache_dir: Option<PathBuf>,
    /// A built dashboard; `None` for the one in the binary.
    pub dashboard_dir: Option<PathBuf>,
    /// Error details in answers, and no token for clients on loopback.
    pub dev: bool,
}

impl ServerConfig {
    /// The configuration that the settings amount to with the defaults.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let Settings {
            listen,
            data_dir,
            database_url,
            control_host,
            apps_domain,
            public_url,
            dns_server,
            max_concurrent_executions,
            admin_token,
            master_key,
            trusted_proxy,
            egress_allow,
            egress_private,
            retention_days,
            otlp_endpoint,
            log_format,
            code_cache_dir,
            dashboard_dir,
        } = settings;
        Self {
            listen: listen.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080)),
            data_dir: data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            database_url,
            control_hosts: control_host,
            apps_domains: apps_domain,
            public_url,
            dns_servers: dns_server,
            max_concurrent_executions: max_concurrent_executions.map_or(64, NonZeroUsize::get),
            admin_token: admin_token.map(|token| token.0),
            master_key: master_key.map(|key| key.0),
            trusted_proxies: trusted_proxy.into_iter().map(|network| network.0).collect(),
            egress_allow,
            egress_private: egress_private.into_iter().map(|network| network.0).collect(),
            retention_days: retention_days.map_or(7, |days| days.get().into()),
            otlp_endpoint,
            log_format: log_format.unwrap_or_default(),
            code_cache_dir,
            dashboard_dir,
            dev: false,
        }
    }

    /// Puts the flags over the configuration file: over `path`, which must
    /// exist, or over [`DEFAULT_FILE`], which may.
    pub fn load(flags: Settings, path: Option<&Path>) -> anyhow::Result<Self> {
        let shown = path.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(shown) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", shown.display()));
            }
        };
        let file = Settings::parse(&text, &shown.display().to_string())?;
        Ok(Self::new(flags.or(file)))
    }
}

/// What flags and environment, or a file, say: every setting may be absent,
/// and a list is absent when it is empty.
#[derive(Clone, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; with port 0 a free one is chosen and printed [default: 127.0.0.1:8080]
    #[arg(long, env = "PICLOUD_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Directory of all state, made if missing [default: ./picloud-data]
    #[arg(long, env = "PICLOUD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// A PostgreSQL database's URL [default: SQLite in the data directory]
    #[arg(long, env = "PICLOUD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// A host of the control plane beside localhost; may be repeated
    #[arg(long, env = "PICLOUD_CONTROL_HOST", value_delimiter = ',', value_name = "HOST")]
    pub control_host: Vec<String>,

    /// A domain whose subdomains are apps, beside localhost; may be repeated
    #[arg(long, env = "PICLOUD_APPS_DOMAIN", value_delimiter = ',', value_name = "DOMAIN")]
    pub apps_domain: Vec<String>,

    /// Where clients reach the control plane if a proxy is in front, such as <https://picloud.example.org>; apps' URLs get its scheme and port [default: http and the port that is listened on]
    #[arg(long, env = "PICLOUD_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,

    /// A DNS server to ask who owns a domain; may be repeated [default: the system's]
    #[arg(long, env = "PICLOUD_DNS_SERVER", value_delimiter = ',', value_name = "ADDRESS:PORT")]
    pub dns_server: Vec<SocketAddr>,

    /// Executions at one time, of all apps together [default: 64]
    #[arg(long, env = "PICLOUD_MAX_CONCURRENT_EXECUTIONS", value_name = "N")]
    pub max_concurrent_executions: Option<NonZeroUsize>,

    /// The admin's token [default: made at the first start and written to DATA_DIR/admin-token]
    #[arg(long, env = "PICLOUD_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub admin_token: Option<AdminToken>,

    /// The key that secrets are sealed with, 64 hexadecimal digits [default: made at the first start and kept in the data directory]
    #[arg(long, env = "PICLOUD_MASTER_KEY", hide_env_values = true, value_name = "KEY")]
    pub master_key: Option<MasterKey>,

    /// A reverse proxy, as an address or a network, whose X-Forwarded-* headers are believed; may be repeated
    #[arg(long, env = "PICLOUD_TRUSTED_PROXY", value_delimiter = ',', value_name = "IP[/BITS]")]
    pub trusted_proxy: Vec<Network>,

    /// A host that apps may call if their manifests say so, such as *.example.org; may be repeated [default: any public host]
    #[arg(long, env = "PICLOUD_EGRESS_ALLOW", value_delimiter = ',', value_name = "HOST")]
    pub egress_allow: Vec<HostPattern>,

    /// A network that apps may reach though it is not public, for a service of your own; may be repeated
    #[arg(long, env = "PICLOUD_EGRESS_PRIVATE", value_delimiter = ',', value_name = "IP[/BITS]")]
    pub egress_private: Vec<Network>,

    /// Days for which executions and logs are kept [default: 7]
    #[arg(long, env = "PICLOUD_RETENTION_DAYS", value_name = "DAYS")]
    pub retention_days: Option<NonZeroU32>,

    /// An OpenTelemetry collector to send traces to, such as <http://localhost:4318> [default: no traces]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    pub otlp_endpoint: Option<OtlpEndpoint>,

    /// How the server writes its log [default: text]
    #[arg(long, env = "PICLOUD_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    #[arg(long, env = "PICLOUD_CODE_CACHE_DIR", hide = true)]
    pub code_cache_dir: Option<PathBuf>,

    /// A built dashboard to serve [default: the one in this program]
    #[arg(long, env = "PICLOUD_DASHBOARD_DIR", value_name = "DIR")]
    pub dashboard_dir: Option<PathBuf>,
}

impl Settings {
    /// Reads a configuration file's text; `name` is what errors call it.
    fn parse(text: &str, name: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.get(..start).unwrap_or(text).matches('\n').count() + 1;
            let message = error.message().trim_end();
            anyhow::anyhow!("{name}:{line}: {message}")
        })
    }

    /// These settings, with the other ones where these are silent.
    fn or(self, other: Self) -> Self {
        fn list<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
            if first.is_empty() { second } else { first }
        }
        Self {
            listen: self.listen.or(other.listen),
            data_dir: self.data_dir.or(other.data_dir),
            database_url: self.database_url.or(other.database_url),
            control_host: list(self.control_host, other.control_host),
            apps_domain: list(self.apps_domain, other.apps_domain),
            public_url: self.public_url.or(other.public_url),
            dns_server: list(self.dns_server, other.dns_server),
            max_concurrent_executions: self
                .max_concurrent_executions
                .or(other.max_concurrent_executions),
            admin_token: self.admin_token.or(other.admin_token),
            master_key: self.master_key.or(other.master_key),
            trusted_proxy: list(self.trusted_proxy, other.trusted_proxy),
            egress_allow: list(self.egress_allow, other.egress_allow),
            egress_private: list(self.egress_private, other.egress_private),
            retention_days: self.retention_days.or(other.retention_days),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            log_format: self.log_format.or(other.log_format),
            code_cache_dir: self.code_cache_dir.or(other.code_cache_dir),
            dashboard_dir: self.dashboard_dir.or(other.dashboard_dir),
        }
    }
}

/// How the server writes its own log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A token that fits into a header and is not easily guessed.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct AdminToken(String);

impl FromStr for AdminToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() >= MIN_TOKEN_CHARS && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("an admin token has at least {MIN_TOKEN_CHARS} visible ASCII characters"))
    }
}

impl TryFrom<String> for AdminToken {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A key as it is written: two hexadecimal digits for each byte.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct MasterKey(pub [u8; KEY_BYTES]);

impl FromStr for MasterKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut key = [0; KEY_BYTES];
        match hex::decode_to_slice(text, &mut key) {
            Ok(()) => Ok(Self(key)),
            Err(_) => Err(format!("a master key has {} hexadecimal digits", 2 * KEY_BYTES)),
        }
    }
}

impl TryFrom<String> for MasterKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(pub IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse()).map(Self).map_err(|_| {
            "a network is written as an address or with its length, 10.0.0.7 or 10.0.0.0/8"
                .to_owned()
        })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
listen = "0.0.0.0:80"
data_dir = "/srv/picloud"
database_url = "postgres://db/picloud"
control_host = ["admin.example.org"]
apps_domain = ["apps.example.org"]
public_url = "https://picloud.example.org"
dns_server = ["192.0.2.53:53"]
max_concurrent_executions = 8
admin_token = "0123456789abcdef"
master_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
trusted_proxy = ["10.0.0.7", "fd00::/8"]
egress_allow = ["*.example.org"]
egress_private = ["127.0.0.0/8"]
retention_days = 30
otlp_endpoint = "http://localhost:4318"
log_format = "json"
code_cache_dir = "/var/cache/picloud"
dashboard_dir = "/usr/share/picloud/dashboard"
"#;

    #[test]
    fn nothing_said_is_the_defaults() {
        let config = ServerConfig::new(Settings::default());
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data_dir, Path::new("picloud-data"));
        assert_eq!(config.max_concurrent_executions, 64);
        assert_eq!((config.retention_days, config.log_format), (7, LogFormat::Text));
        assert!(config.database_url.is_none() && config.admin_token.is_none() && !config.dev);
    }

    #[test]
    fn the_file_has_a_key_for_every_flag() {
        let config = ServerConfig::new(Settings::parse(FILE, "f").unwrap());
        assert_eq!(config.listen.to_string(), "0.0.0.0:80");
        assert_eq!(config.data_dir, Path::new("/srv/picloud"));
        assert_eq!(config.database_url.as_deref(), Some("postgres://db/picloud"));
        assert_eq!(config.control_hosts, ["admin.example.org"]);
        assert_eq!(config.apps_domains, ["apps.example.org"]);
        assert_eq!(config.public_url.unwrap().host(), "picloud.example.org");
        assert_eq!(config.dns_servers, ["192.0.2.53:53".parse().unwrap()]);
        assert_eq!(config.max_concurrent_executions, 8);
        assert_eq!(config.admin_token.as_deref(), Some("0123456789abcdef"));
        let proxies: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.7/32", "fd00::/8"]);
        assert_eq!(config.master_key.unwrap()[31], 31);
        assert_eq!(config.egress_allow, ["*.example.org".parse().unwrap()]);
        assert_eq!(config.egress_private, ["127.0.0.0/8".parse().unwrap()]);
        assert_eq!(config.retention_days, 30);
        let endpoint = config.otlp_endpoint.unwrap();
        assert_eq!(endpoint.of_traces(), "http://localhost:4318/v1/traces");
        assert_eq!(config.log_format, LogFormat::Json);
        assert_eq!(config.code_cache_dir.as_deref(), Some(Path::new("/var/cache/picloud")));
        let dashboard_dir = Path::new("/usr/share/picloud/dashboard");
        assert_eq!(config.dashboard_dir.as_deref(), Some(dashboard_dir));

        let command = <Settings as clap::Args>::augment_args(clap::Command::new("serve"));
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(FILE.contains(&format!("\n{} = ", flag.replace('-', "_"))), "{flag}");
        }
    }

    #[test]
    fn every_flag_has_its_variable() {
        let command = <Settings as clap::Args>::augment_args(clap::Command::new("serve"));
        for flag in command.get_arguments().filter(|flag| flag.get_long().is_some()) {
            let name = flag.get_long().unwrap().replace('-', "_").to_uppercase();
            let variable = match &*name {
                // As all programs have it that send traces.
                "OTLP_ENDPOINT" => "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
                name => format!("PICLOUD_{name}"),
            };
            assert_eq!(flag.get_env().unwrap().to_str(), Some(&*variable));
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_leaves_the_rest_of_it() {
        let flags = Settings {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            apps_domain: vec!["my.example".to_owned()],
            ..Settings::default()
        };
        let config = ServerConfig::new(flags.or(Settings::parse(FILE, "f").unwrap()));
        assert_eq!(config.listen.to_string(), "127.0.0.1:0");
        assert_eq!(config.apps_domains, ["my.example"]);
        assert_eq!(config.control_hosts, ["admin.example.org"]);
        assert_eq!(config.max_concurrent_executions, 8);
    }

    #[test]
    fn a_mistake_in_the_file_is_told_with_its_line() {
        let cases = [
            ("\nlisen = 1", "f:2: unknown field `lisen`"),
            ("listen = \"localhost\"", "f:1: invalid socket address"),
            ("# …\n\nmax_concurrent_executions = 0", "f:3: "),
            ("admin_token = \"short\"", "f:1: an admin token has at least 16"),
            ("trusted_proxy = [\"10.0.0.0/33\"]", "f:1: a network is"),
            ("master_key = \"abc\"", "f:1: a master key has 64"),
            ("egress_allow = [\"https://a.b\"]", "f:1: a host is written"),
            ("public_url = \"picloud.example\"", "f:1: a public URL has"),
            ("dns_server = [\"localhost\"]", "f:1: invalid socket address"),
            ("log_format = \"xml\"", "f:1: unknown variant `xml`"),
            ("listen =", "f:1: "),
        ];
        for (text, expected) in cases {
            let error = Settings::parse(text, "f").err().expect(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_named_must_exist() {
        let missing = tempfile::tempdir().unwrap().path().join("missing.toml");
        let error = ServerConfig::load(Settings::default(), Some(&missing)).err().unwrap();
        assert!(error.to_string().contains("missing.toml"), "{error}");
    }
}
