//! Connects to a URL's host: resolves its name, refuses addresses that no
//! script may reach, and connects to one of the others.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::address::may_be_reached;

/// Why a host is not connected to although its name is allowed. The host's
/// name goes before it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("leads to an address that is not public, which no script may reach")]
    NotPublic,
    #[error("is this server itself; use app::invoke to call another script of the app")]
    Own,
}

#[derive(Clone)]
pub(crate) struct Connector {
    private: Arc<[IpNet]>,
    own_port: Option<u16>,
}

impl Connector {
    pub(crate) fn new(private: Vec<IpNet>, own_port: Option<u16>) -> Self {
        Self { private: private.into(), own_port }
    }

    async fn connect(self, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((host, port)).await?.collect(),
        };
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            if let Err(refused) = self.check(address) {
                error = io::Error::other(refused);
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    fn check(&self, address: SocketAddr) -> Result<(), Refused> {
        if !may_be_reached(address.ip(), &self.private) {
            return Err(Refused::NotPublic);
        }
        if self.own_port == Some(address.port()) && is_of_this_machine(address.ip()) {
            return Err(Refused::Own);
        }
        Ok(())
    }
}

fn is_of_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().any(|interface| interface.ip() == address),
        // Not knowing our own addresses, we take every one for ours.
        Err(_) => true,
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
