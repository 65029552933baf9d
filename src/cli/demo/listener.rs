//! A subscriber like any other: it knows the topics' contract and nothing of the daemon.
//!
//! In: the broker's address and a base topic. Out: messages as they arrive, with the instant of
//! their arrival. It reconnects by itself until nobody takes its messages any more.
//!
//! Deliberately absent: the daemon's own message types. What the demo shows was read from the
//! wire, so that a change of the contract shows here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, PublishOptions, PublishProperties, QoS};

use crate::clock::{Clock, Monotonic};

/// Requests that may wait for the connection.
const REQUESTS_MAX: usize = 16;

/// Where the daemon's answers go: below no topic of the door, which answers on none of its own.
pub(super) const ANSWERS: &str = "deepid-edge-demo/answers";

/// How long to wait before connecting again.
const RETRY: Duration = Duration::from_millis(200);

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Its topic, without base and door; [`ANSWERS`] for an answer to this listener.
    pub topic: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it.
    pub retained: bool,
    /// With an answer: the mark of the request.
    pub correlation: Option<Vec<u8>>,
    /// When it arrived.
    pub arrived_at: Monotonic,
}

/// A subscription that is listened to by a thread of its own.
pub(super) struct Listener {
    messages: Receiver<Message>,
    client: Client,
    prefix: String,
}

impl Listener {
    /// Subscribes to everything below `prefix` (`<base>/<door>/`) at `broker`.
    pub(super) fn start(
        broker: SocketAddr,
        prefix: String,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let id = format!("demo-listener-{}", std::process::id());
        let mut options = MqttOptions::new(id, (broker.ip().to_string(), broker.port()));
        options.set_keep_alive(30);
        let (client, mut connection) = Client::builder(options).capacity(REQUESTS_MAX).build();
        let (sender, messages) = channel();
        let (subscriber, below) = (client.clone(), prefix.clone());
        std::thread::Builder::new().name("demo-listener".to_owned()).spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        // A failure shows as a lost connection, which the next round mends.
                        let _ = subscriber.try_subscribe(format!("{below}#"), QoS::AtLeastOnce);
                        let _ = subscriber.try_subscribe(ANSWERS, QoS::AtLeastOnce);
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8_lossy(&publish.topic);
                        let message = Message {
                            topic: topic.strip_prefix(&below).unwrap_or(&topic).to_owned(),
                            payload: publish.payload.to_vec(),
                            retained: publish.retain,
                            correlation: publish
                                .properties
                                .and_then(|properties| properties.correlation_data)
                                .map(|mark| mark.to_vec()),
                            arrived_at: clock.now(),
                        };
                        if sender.send(message).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the demo's subscriber lost its connection");
                        clock.sleep(RETRY);
                    }
                }
            }
        })?;
        Ok(Self { messages, client, prefix })
    }

    /// The next message; `None` when none arrives within `patience`.
    pub(super) fn next(&self, patience: Duration) -> Option<Message> {
        self.messages.recv_timeout(patience).ok()
    }

    /// Sends `payload` below the door's own topics, as whoever may publish at this broker can.
    pub(super) fn pretend(&self, topic: &str, payload: Vec<u8>) {
        let topic = format!("{}{topic}", self.prefix);
        let sent = self.client.try_publish(topic, payload, PublishOptions::at_least_once());
        if let Err(error) = sent {
            tracing::debug!(%error, "a message of the demo was not sent");
        }
    }

    /// Sends a request to the daemon; its answer comes on [`ANSWERS`] with `mark`.
    pub(super) fn request(&self, name: &str, mark: &[u8]) {
        let topic = format!("{}request/{name}", self.prefix);
        let properties = PublishProperties {
            response_topic: Some(ANSWERS.to_owned()),
            correlation_data: Some(mark.to_vec().into()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_least_once().properties(properties);
        let sent = self.client.try_publish(topic, Vec::new(), options);
        if let Err(error) = sent {
            tracing::debug!(%error, "a request of the demo was not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockRequirement, Floor, SystemClock};

    #[test]
    fn what_is_published_at_the_embedded_broker_arrives() {
        let clock: Arc<dyn Clock> =
            Arc::new(SystemClock::new(ClockRequirement::Plausible, Floor::default()));
        let broker = super::super::broker::start(clock.as_ref()).expect("a free loopback port");
        let prefix = "deepid-edge/demo/".to_owned();
        let listener = Listener::start(broker, prefix, clock.clone()).expect("a thread");
        let arrived = (0..50).find_map(|_| {
            // Until the subscription stands, what is published goes to nobody.
            listener.request("ping", b"7");
            listener.next(Duration::from_millis(200))
        });
        let message = arrived.expect("a message within 10 seconds");
        assert_eq!((message.topic.as_str(), message.retained), ("request/ping", false));
        assert_eq!(message.correlation.as_deref(), Some(&b"7"[..]));
    }
}
