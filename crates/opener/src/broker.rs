//! The connection to the broker: connects, and connects again, until it is told to stop.
//!
//! In: what is to be said, over a bounded channel. Out: [`Heard`]: connected, lost, messages on `grant`.
//! Always: a clean session for every connection, with a client of its own, so that nothing that was said
//! or heard before a loss is repeated after it; messages that the broker kept are not taken; without a
//! connection what is to be said is dropped. The will says `broker_lost`, retained.
//! Deliberately absent: commands over MQTT, and the topic `keys`: keys are configured by hand.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Packet,
    PublishOptions, QoS, RetainForwardRule, SubscribeFilter, SubscribeReasonCode, TlsConfiguration,
    Transport,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::{Config, Tls};
use crate::state::{Report, State};

/// The largest packet that is accepted; the broker keeps larger ones.
const PACKET_BYTES_MAX: u32 = 4096;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After so much silence the connection is tested, in seconds: a door must notice soon.
const KEEP_ALIVE_S: u16 = 5;
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(2);
/// How long a goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
const QUEUE: usize = 32;
/// A password is a line.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// Publish this on `challenge`.
    Challenge(String),
    /// Publish this as our state, retained.
    State(String),
    /// Publish this as our state, say goodbye, and end.
    Stop(String),
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The broker has accepted us and our subscription.
    Connected,
    /// There is no connection, and why.
    Lost(String),
    /// A message on `grant`.
    Message(Vec<u8>),
}

/// How to reach the broker, and which topics are ours.
#[derive(Debug, Clone)]
pub struct Link {
    config: crate::config::Broker,
    client_id: String,
    grant: String,
    challenge: String,
    state: String,
    will: String,
}

impl Link {
    /// That of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.broker.clone(),
            client_id: format!("deepid-opener-{}-{}", config.door, config.listener),
            grant: config.topic("grant"),
            challenge: config.topic("challenge"),
            state: config.state_topic(),
            will: Report::only(State::BrokerLost).to_json(&config.listener),
        }
    }

    /// Reads the files and makes the options.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn options(&self) -> Result<MqttOptions, String> {
        let mut options =
            MqttOptions::new(&self.client_id, (self.config.host.clone(), self.config.port));
        options.set_keep_alive(KEEP_ALIVE_S);
        options.set_clean_start(true);
        options.set_connect_timeout(CONNECT_TIMEOUT);
        options.set_max_packet_size(Some(PACKET_BYTES_MAX));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (topic, will) = (self.state.clone(), self.will.clone());
        options.set_last_will(LastWill::new(topic, will, QoS::AtLeastOnce, true, None));
        if let Some(tls) = &self.config.tls {
            let tls = TlsConfiguration::Rustls(tls_config(tls)?);
            options.set_transport(Transport::tls_with_config(tls));
        }
        if let Some(user) = &self.config.username {
            let file = self.config.password_file.as_deref();
            let password = file.map_or_else(|| Ok(String::new()), password)?;
            options.set_credentials(user.clone(), password);
        }
        Ok(options)
    }

    /// Lives until [`Say::Stop`], or until nobody listens.
    pub async fn run(self, mut say: Receiver<Say>, heard: Sender<Heard>) {
        loop {
            let why = match self.options() {
                Ok(options) => match self.live(options, &mut say, &heard).await {
                    Some(why) => why,
                    None => return,
                },
                Err(why) => why,
            };
            if heard.send(Heard::Lost(why)).await.is_err() || !idle(&mut say).await {
                return;
            }
        }
    }

    /// One connection: why it ended, or `None` where it was told to.
    async fn live(
        &self,
        options: MqttOptions,
        say: &mut Receiver<Say>,
        heard: &Sender<Heard>,
    ) -> Option<String> {
        let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
        let (events, mut came) = channel(QUEUE);
        // Polled by a future of its own: a poll that is dropped halfway can lose a packet.
        let pump = pump(event_loop, events);
        tokio::pin!(pump);
        let goodbye = tokio::time::sleep(Duration::MAX);
        tokio::pin!(goodbye);
        let mut connected = false;
        let mut leaving = false;
        loop {
            tokio::select! {
                error = &mut pump => return (!leaving).then(|| format!("the connection failed: {error}")),
                () = &mut goodbye => return None,
                event = came.recv() => {
                    let next = self.hear(&client, event?, &mut connected);
                    match next {
                        Ok(Some(next)) => heard.send(next).await.ok()?,
                        Ok(None) => {}
                        Err(why) => return Some(why),
                    }
                }
                word = say.recv(), if !leaving => match word {
                    Some(Say::Stop(state)) if connected => {
                        leaving = true;
                        self.publish(&client, &self.state, state, true);
                        drop(client.try_disconnect());
                        goodbye.as_mut().reset(tokio::time::Instant::now() + GOODBYE_MAX);
                    }
                    Some(Say::Challenge(text)) if connected => {
                        self.publish(&client, &self.challenge, text, false);
                    }
                    Some(Say::State(text)) if connected => {
                        self.publish(&client, &self.state, text, true);
                    }
                    None | Some(Say::Stop(_)) => return None,
                    Some(_) => {}
                },
            }
        }
    }

    fn hear(
        &self,
        client: &AsyncClient,
        event: Event,
        connected: &mut bool,
    ) -> Result<Option<Heard>, String> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                // What the broker kept was never a grant: the door retains none.
                let filter = SubscribeFilter {
                    preserve_retain: true,
                    retain_forward_rule: RetainForwardRule::Never,
                    ..SubscribeFilter::new(self.grant.clone(), QoS::AtLeastOnce)
                };
                let handed = client.try_subscribe_many([filter]);
                handed.map(|()| None).map_err(|error| format!("cannot subscribe: {error}"))
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                if ack
                    .return_codes
                    .iter()
                    .any(|code| !matches!(code, SubscribeReasonCode::Success(_)))
                {
                    return Err(format!("the broker does not let us read {}", self.grant));
                }
                *connected = true;
                Ok(Some(Heard::Connected))
            }
            Event::Incoming(Packet::Publish(publish)) if !publish.retain && *connected => {
                Ok(Some(Heard::Message(publish.payload.to_vec())))
            }
            _ => Ok(None),
        }
    }

    fn publish(&self, client: &AsyncClient, topic: &str, text: String, retain: bool) {
        let options = PublishOptions::new(QoS::AtLeastOnce).retain(retain);
        if let Err(error) = client.try_publish(topic, text, options) {
            // It is of the moment; the next one comes within seconds.
            tracing::warn!(%error, host = self.config.host, topic, "not handed over");
        }
    }
}

async fn pump(mut event_loop: EventLoop, events: Sender<Event>) -> ConnectionError {
    loop {
        match event_loop.poll().await {
            Ok(event) => {
                if events.send(event).await.is_err() {
                    return ConnectionError::RequestsDone;
                }
            }
            Err(error) => return error,
        }
    }
}

/// Waits before the next attempt; `false` when it is time to end.
async fn idle(say: &mut Receiver<Say>) -> bool {
    let over = tokio::time::sleep(RETRY);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return true,
            word = say.recv() => if matches!(word, None | Some(Say::Stop(_))) {
                return false;
            },
        }
    }
}

fn password(file: &Path) -> Result<String, String> {
    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let opened = File::open(file).map_err(|error| failed(&error))?;
    let mut line = String::new();
    let mut reader = BufReader::new(opened.take(PASSWORD_BYTES_MAX));
    reader.read_line(&mut line).map_err(|error| failed(&error))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(failed(&"it is empty; write the password into it, as one line"));
    }
    Ok(password.to_owned())
}

fn tls_config(tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&tls.ca)?);
    if roots.is_empty() {
        return Err(format!("{}: it holds no certificate of an authority (PEM)", tls.ca.display()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", key.display());
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(&error))?;
            let chain = certificates(cert)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| failed(&error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error| format!("{}: {error}", file.display());
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error: rustls::pki_types::pem::Error| failed(error))
}
