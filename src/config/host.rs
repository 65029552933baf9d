//! What somebody meant who wrote more, or other, than a host into `mqtt.host`.
//!
//! In: the text. Out: nothing where it is a host name or an address alone, else what to write into
//! which key. Invariant: what may be a secret (what stands before an `@`) is not repeated.
//! Deliberately absent: whether the host exists, which only the network knows. Sources: RFC 952 and
//! 1123 for names, RFC 4007 for the zone of a link-local address, RFC 3986 for what a URL is made of.

use std::net::{Ipv4Addr, Ipv6Addr};

const NAME_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;

/// Whether `text` is a host name or an address, and nothing more.
pub(super) fn is_host(text: &str) -> bool {
    is_name(text) || is_ipv6(text)
}

/// What to write where `text` is no host; a sentence to stand after "must be …; ".
pub(super) fn meant(text: &str) -> String {
    let mut advice = Advice::default();
    let host = advice.take_apart(text.trim());
    match host {
        Some(host) => advice.put(&host),
        None => {
            "write the name or the address alone, such as mqtt.host = \"broker.lan\"".to_owned()
        }
    }
}

/// What a text holds beside the host.
#[derive(Debug, Default)]
struct Advice {
    port: Option<String>,
    /// Whether its scheme asks for TLS; `None` without a scheme.
    tls: Option<bool>,
    user: bool,
    path: bool,
    web: bool,
}

impl Advice {
    /// The host in `text`, if there is one; notes what stands around it.
    fn take_apart(&mut self, text: &str) -> Option<String> {
        let mut rest = text;
        if let Some((scheme, after)) = text.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            self.tls = match scheme.as_str() {
                "mqtts" | "ssl" | "tls" | "https" | "wss" => Some(true),
                "mqtt" | "tcp" | "http" | "ws" => Some(false),
                _ => None,
            };
            self.web = matches!(scheme.as_str(), "ws" | "wss" | "http" | "https");
            rest = after;
        }
        if let Some(at) = rest.find(['/', '?', '#']) {
            // A slash alone is no path that anybody meant.
            self.path = rest.get(at..).is_some_and(|path| path.len() > 1);
            rest = rest.get(..at)?;
        }
        if let Some((_, after)) = rest.rsplit_once('@') {
            self.user = true;
            rest = after;
        }
        let host = self.without_port(rest.trim())?;
        let host = host.strip_suffix('.').unwrap_or(host);
        is_host(host).then(|| host.to_owned())
    }

    /// `text` without its port and the brackets of an IPv6 address.
    fn without_port<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(inner) = text.strip_prefix('[') {
            let (address, rest) = inner.split_once(']')?;
            self.port = rest.strip_prefix(':').map(str::to_owned);
            return (rest.is_empty() || self.port.is_some()).then_some(address);
        }
        if is_ipv6(text) {
            return Some(text);
        }
        match text.split_once(':') {
            Some((host, port)) => {
                self.port = Some(port.trim().to_owned());
                Some(host.trim())
            }
            None => Some(text),
        }
    }

    /// The keys to write.
    fn put(&self, host: &str) -> String {
        let mut keys = vec![format!("mqtt.host = \"{host}\"")];
        if self.web {
            return format!(
                "write {}; MQTT over WebSocket is not spoken: use the broker's TCP port in mqtt.port, usually 1883 or with TLS 8883",
                listed(&keys)
            );
        }
        let port = self.port.as_deref().filter(|port| !port.is_empty());
        let right = port.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
        match (right, self.tls) {
            (Some(port), _) => keys.push(format!("mqtt.port = {port}")),
            (None, Some(true)) if port.is_none() => keys.push("mqtt.port = 8883".to_owned()),
            _ => {}
        }
        if self.tls == Some(true) {
            keys.push("mqtt.tls.enabled = true".to_owned());
        }
        let mut said = format!("write {}", listed(&keys));
        if port.is_some() && right.is_none() {
            said.push_str(", and a port from 1 to 65535 into mqtt.port");
        }
        if self.user {
            said.push_str(
                ", the user into mqtt.username, and the password into the file that mqtt.password_file names",
            );
        }
        if self.path {
            said.push_str("; MQTT over TCP has no path: topics begin with mqtt.base");
        }
        said
    }
}

fn listed(keys: &[String]) -> String {
    match keys {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => keys.concat(),
    }
}

fn is_ipv6(text: &str) -> bool {
    let (address, zone) =
        text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let is_zone = |zone: &str| {
        (1..=15).contains(&zone.len())
            && zone.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone)
}

/// A name of letters, digits, `-` and (as Windows and mDNS have it) `_`; or an IPv4 address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if text.len() > NAME_LENGTH_MAX || !text.split('.').all(label) {
        return false;
    }
    // What ends in a number is an address, and old resolvers read "192.168.1" as 192.168.0.1.
    let last = text.rsplit('.').next().unwrap_or_default();
    !last.bytes().all(|b| b.is_ascii_digit()) || text.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_alone_are_hosts() {
        for host in [
            "localhost",
            "broker",
            "broker.lan",
            "BROKER-2.Home",
            "my_broker.local",
            "192.168.1.7",
            "2001:db8::1",
            "::1",
            "fe80::1%eth0",
            "3com.example",
            "a.b.c.d.example",
        ] {
            assert!(is_host(host), "{host}");
        }
        let long = format!("{}.lan", "x".repeat(64));
        for text in [
            "",
            " broker",
            "broker ",
            "broker.",
            ".lan",
            "a..b",
            "-a.lan",
            "a-.lan",
            "broker:1883",
            "[::1]",
            "192.168.1",
            "192.168.1.256",
            "1883",
            "fe80::1%",
            "fe80::1%eth 0",
            "türe.lan",
            "mqtt://broker",
            "door@broker",
            "broker/path",
            "a,b",
            "a b",
            "a\tb",
            &long,
        ] {
            assert!(!is_host(text), "{text:?}");
        }
    }

    /// What was written, and what to write.
    #[test]
    fn what_was_meant_is_told() {
        for (text, wanted) in [
            ("broker.lan:1884", r#"write mqtt.host = "broker.lan" and mqtt.port = 1884"#),
            (" broker.lan ", r#"write mqtt.host = "broker.lan""#),
            ("broker.lan.", r#"write mqtt.host = "broker.lan""#),
            ("broker.lan : 1884", r#"write mqtt.host = "broker.lan" and mqtt.port = 1884"#),
            ("[::1]", r#"write mqtt.host = "::1""#),
            ("[fe80::1%eth0]:1884", r#"write mqtt.host = "fe80::1%eth0" and mqtt.port = 1884"#),
            ("mqtt://broker", r#"write mqtt.host = "broker""#),
            ("MQTT://broker:1884/", r#"write mqtt.host = "broker" and mqtt.port = 1884"#),
            ("tcp://192.168.1.7:1883", r#"write mqtt.host = "192.168.1.7" and mqtt.port = 1883"#),
            (
                "mqtts://broker.lan",
                r#"write mqtt.host = "broker.lan", mqtt.port = 8883 and mqtt.tls.enabled = true"#,
            ),
            (
                "ssl://broker.lan:8884",
                r#"write mqtt.host = "broker.lan", mqtt.port = 8884 and mqtt.tls.enabled = true"#,
            ),
            (
                "broker:99999",
                r#"write mqtt.host = "broker", and a port from 1 to 65535 into mqtt.port"#,
            ),
            ("broker:", r#"write mqtt.host = "broker""#),
            (
                "broker.lan/doors",
                r#"write mqtt.host = "broker.lan"; MQTT over TCP has no path: topics begin with mqtt.base"#,
            ),
            (
                "door@broker.lan",
                r#"write mqtt.host = "broker.lan", the user into mqtt.username, and the password into the file that mqtt.password_file names"#,
            ),
            (
                "ws://broker:9001/mqtt",
                r#"write mqtt.host = "broker"; MQTT over WebSocket is not spoken: use the broker's TCP port in mqtt.port, usually 1883 or with TLS 8883"#,
            ),
            (
                "192.168.1",
                r#"write the name or the address alone, such as mqtt.host = "broker.lan""#,
            ),
            ("", r#"write the name or the address alone, such as mqtt.host = "broker.lan""#),
        ] {
            assert_eq!(meant(text), wanted, "{text:?}");
        }
        let said = meant("mqtts://door:geheim@broker:8883");
        assert!(!said.contains("geheim") && said.contains("mqtt.port = 8883"), "{said}");
    }
}
