//! The domain name system, asked for what proves who owns a domain.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::rdata::TXT;
use picloud_shared::domain::{Resolver, ResolverError};

/// How long a question takes at most, however many servers are asked.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long one server has for its answer.
const TIMEOUT_OF_SERVER: Duration = Duration::from_secs(2);

/// Asks the operator's servers, or else those that the system is set up with.
///
/// Questions are rare, so everything is set up anew for each: nothing is kept,
/// no record that has just been published is missed, and the system's servers
/// are those of now.
pub struct Dns {
    servers: Vec<SocketAddr>,
}

impl Dns {
    /// No `servers` are the system's.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = TIMEOUT_OF_SERVER;
        builder.build()
    }

    async fn lookup(&self, name: &str) -> Result<Vec<String>, NetError> {
        // With a dot at its end no search domain is tried below it.
        match self.resolver()?.txt_lookup(format!("{name}.")).await {
            Ok(found) => {
                Ok(found.answers().iter().filter_map(|record| text(&record.data)).collect())
            }
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolverError> {
        match tokio::time::timeout(TIMEOUT, self.lookup(name)).await {
            Ok(found) => found.map_err(|error| ResolverError(error.into())),
            Err(elapsed) => Err(ResolverError(elapsed.into())),
        }
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

/// A TXT record's text, which comes in strings of up to 255 bytes.
fn text(data: &RData) -> Option<String> {
    let RData::TXT(TXT { txt_data, .. }) = data else { return None };
    Some(String::from_utf8_lossy(&txt_data.concat()).into_owned())
}
