//! An MQTT broker inside the demo, on a loopback port that was free.
//!
//! In: nothing. Out: an address at which any MQTT 5 client may connect until the process ends.
//! Deliberately absent: TLS, passwords, persistence, and an end; the demo's broker is for showing,
//! and it goes with the process. An installation uses a broker of its own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

use crate::clock::Clock;
use crate::remedy::Remedied;

/// Ports tried before giving up: between choosing one and listening on it another program may
/// take it.
const ATTEMPTS: u32 = 5;

/// How long a broker may take until it listens.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether it listens.
const POLL: Duration = Duration::from_millis(20);

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port, or no thread.
    #[error("demo broker: {0}; it needs a free TCP port on 127.0.0.1 and leave to start a thread")]
    System(#[from] std::io::Error),
    /// It never answered.
    #[error("demo broker: no answer on {0} within {patience} s; is a firewall closing 127.0.0.1?", patience = PATIENCE.as_secs())]
    Silent(SocketAddr),
}

impl Remedied for BrokerError {}

/// Starts a broker and waits until it accepts connections.
///
/// # Errors
/// [`BrokerError`] when no port could be listened on.
pub fn start(clock: &dyn Clock) -> Result<SocketAddr, BrokerError> {
    let mut address = free_port()?;
    for _ in 0..ATTEMPTS {
        serve(address)?;
        let begun = clock.now();
        while clock.now().since(begun) < PATIENCE {
            if TcpStream::connect_timeout(&address, PATIENCE).is_ok() {
                return Ok(address);
            }
            clock.sleep(POLL);
        }
        address = free_port()?;
    }
    Err(BrokerError::Silent(address))
}

/// A port of this machine that was free a moment ago.
pub(super) fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn serve(address: SocketAddr) -> std::io::Result<()> {
    let connections = ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 64 << 10,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings {
        name: "demo".to_owned(),
        listen: address,
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let config = Config {
        router: RouterConfig {
            max_connections: 32,
            max_outgoing_packet_count: 200,
            max_segment_size: 1 << 20,
            max_segment_count: 4,
            ..RouterConfig::default()
        },
        v5: Some(HashMap::from([("demo".to_owned(), server)])),
        ..Config::default()
    };
    let mut broker = Broker::new(config);
    std::thread::Builder::new().name("demo-broker".to_owned()).spawn(move || {
        if let Err(error) = broker.start() {
            tracing::warn!(%error, "the demo's broker stopped");
        }
    })?;
    Ok(())
}
