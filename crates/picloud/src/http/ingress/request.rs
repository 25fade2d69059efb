//! From an HTTP request to the one that a script sees.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use ipnet::IpNet;

use crate::node::Node;

/// Who asks, and how: what a proxy in front says of it only if it is trusted.
pub(in crate::http) struct Client {
    pub(in crate::http) ip: IpAddr,
    pub(in crate::http) scheme: &'static str,
}

impl Client {
    pub(in crate::http) fn of(node: &Node, peer: SocketAddr, headers: &HeaderMap) -> Self {
        let peer = peer.ip().to_canonical();
        let is_proxy = |ip: IpAddr| is_within(&node.trusted_proxies, ip);
        if !is_proxy(peer) {
            return Self { ip: peer, scheme: "http" };
        }
        let is_https = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        // Each proxy adds to the end the one it heard from: the last that is
        // not itself a proxy of ours is the client.
        let forwarded = headers.get_all("x-forwarded-for");
        let hops = forwarded.iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<IpAddr> = hops
            .flat_map(|value| value.split(','))
            .map_while(|hop| hop.trim().parse().ok())
            .collect();
        let client = hops.iter().rev().find(|hop| !is_proxy(**hop)).copied();
        Self { ip: client.unwrap_or(peer), scheme: if is_https { "https" } else { "http" } }
    }
}

/// Whether one of the networks has the address.
pub(in crate::http) fn is_within(networks: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}

/// The request as a script sees it.
pub(super) fn for_script(
    parts: &Parts,
    params: Vec<(String, String)>,
    body: Bytes,
    client: &Client,
) -> picloud_shared::Request {
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let target = parts.uri.path_and_query().map_or(path, http::uri::PathAndQuery::as_str);
    let headers = parts.headers.iter();
    picloud_shared::Request {
        method: parts.method.as_str().to_owned(),
        url: format!("{}://{host}{target}", client.scheme),
        path: path.to_owned(),
        query: query.to_owned(),
        params,
        headers: headers
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
        host: host.to_owned(),
        ip: client.ip.to_string(),
        body,
    }
}
