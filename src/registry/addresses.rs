//! Which addresses a registry may have.
//!
//! What holds: a name that anybody may write leads to no address inside: not of this machine, of a private network, of the
//! cluster's services, or of a cloud's metadata. Where the installation lists its registries, only those are asked, and
//! theirs may be private.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Finds the addresses of registries that nobody has listed.
#[derive(Debug)]
pub struct PublicOnly {
    /// Hosts of the process's own proxies, which are asked for by name as well.
    proxies: Vec<String>,
}

impl PublicOnly {
    /// `proxies` are the addresses of the process's own proxies, which may be inside.
    pub fn beside(proxies: impl IntoIterator<Item = String>) -> Arc<PublicOnly> {
        let host = |proxy: String| {
            let url = match proxy.contains("://") {
                true => proxy,
                false => format!("http://{proxy}"),
            };
            reqwest::Url::parse(&url)
                .ok()?
                .host_str()
                .map(str::to_owned)
        };
        Arc::new(PublicOnly {
            proxies: proxies.into_iter().filter_map(host).collect(),
        })
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let any = self.proxies.iter().any(|proxy| proxy == name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found
                .filter(|address| any || is_public(address.ip()))
                .collect();
            if found.is_empty() {
                return Err(io::Error::other("no public address").into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let inside = address.is_private() || address.is_loopback() || address.is_link_local();
    // "This network", carriers' own, protocol assignments, benchmarks; from 224 on multicast and what is reserved.
    let special = a == 0
        || a == 100 && b & 0xc0 == 64
        || (a, b, c) == (192, 0, 0)
        || a == 198 && b & 0xfe == 18
        || a >= 224;
    !inside && !special
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let part = address.segments();
    // One of IPv4 in other words (RFC 4291, 2.5.5; RFC 6052): that is what is reached.
    let [.., high, low] = part;
    let inner = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match part {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_4(inner),
        // What is global today: no unique-local, link-local or multicast address, and no tunnel to one of IPv4.
        [first, ..] => first & 0xe000 == 0x2000 && first != 0x2002,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_no_registrys_address() {
        for inside in [
            "127.0.0.1",
            "10.96.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::808:808",
            "2002:a00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for public in [
            "140.82.121.34",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:50c0:8000::154",
            "64:ff9b::140.82.121.34",
            "::ffff:140.82.121.34",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed_unless_it_is_a_proxys() {
        let asked = async |proxies: &[&str]| {
            let proxies = proxies.iter().map(|proxy| (*proxy).to_owned());
            let found = PublicOnly::beside(proxies).resolve("localhost".parse().unwrap());
            found.await.map(|all| all.count() > 0).ok()
        };
        assert_eq!(asked(&[]).await, None);
        assert_eq!(asked(&["http://proxy.example:3128"]).await, None);
        assert_eq!(
            asked(&["http://user:word@localhost:3128"]).await,
            Some(true)
        );
        assert_eq!(asked(&["localhost:3128"]).await, Some(true));
    }
}
