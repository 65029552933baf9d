//! A client of the broker as anybody could write one: it subscribes, publishes, and shows every
//! message with its properties.
//!
//! Every wait is bounded and says what was waited for; nothing is retained or acknowledged on
//! anybody's behalf.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, PublishOptions, PublishProperties, QoS};
use serde_json::Value;

use super::mosquitto::PATIENCE;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    pub qos: u8,
    pub expiry_s: Option<u32>,
    pub correlation: Option<Vec<u8>>,
}

impl Received {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

pub struct Subscriber {
    client: Client,
    messages: Receiver<Received>,
}

impl Subscriber {
    /// Connects in plain and subscribes to `filter`; returns when the broker has agreed.
    pub fn connect(port: u16, filter: &str) -> Self {
        Self::connect_with(port, filter, |_| {})
    }

    pub fn connect_with(port: u16, filter: &str, adjust: impl FnOnce(&mut MqttOptions)) -> Self {
        let id = format!("subscriber-{}", uuid::Uuid::new_v4().simple());
        let mut options = MqttOptions::new(id, ("127.0.0.1", port));
        options.set_keep_alive(5);
        adjust(&mut options);
        let (client, mut connection) = Client::builder(options).capacity(64).build();
        client.subscribe(filter, QoS::AtLeastOnce).unwrap();
        let (sender, messages) = channel();
        let (ready, agreed) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let properties = publish.properties.unwrap_or_default();
                        let received = Received {
                            topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                            payload: publish.payload.to_vec(),
                            retained: publish.retain,
                            qos: publish.qos as u8,
                            expiry_s: properties.message_expiry_interval,
                            correlation: properties.correlation_data.map(|data| data.to_vec()),
                        };
                        if sender.send(received).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // The broker is gone, and with it this client.
                    Err(_) => return,
                }
            }
        });
        agreed.recv_timeout(PATIENCE).unwrap();
        Self { client, messages }
    }

    /// Publishes, to be acknowledged.
    pub fn publish(&self, topic: &str, retain: bool, payload: &str) {
        let options = PublishOptions::at_least_once().retain(retain);
        self.client.publish(topic, payload, options).unwrap();
    }

    /// Publishes a request with response topic and correlation data.
    pub fn ask(&self, topic: &str, retain: bool, payload: &str, answer_on: &str, mark: &[u8]) {
        let properties = PublishProperties {
            response_topic: Some(answer_on.to_owned()),
            correlation_data: Some(mark.to_vec().into()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_least_once().retain(retain).properties(properties);
        self.client.publish(topic, payload, options).unwrap();
    }

    /// What comes within `time`, or was there before it.
    pub fn all_within(&self, time: Duration) -> Vec<Received> {
        let first = self.messages.recv_timeout(time).ok();
        first.into_iter().chain(self.messages.try_iter()).collect()
    }

    /// The next message that `wanted` is true of; what comes before is passed over.
    pub fn next(&self, what: &str, mut wanted: impl FnMut(&Received) -> bool) -> Received {
        loop {
            match self.messages.recv_timeout(PATIENCE) {
                Ok(message) if wanted(&message) => return message,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("{what} did not come"),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the broker is gone"),
            }
        }
    }

    /// The next message that `wanted` is true of, if it comes within `patience`.
    pub fn within(
        &self,
        patience: Duration,
        mut wanted: impl FnMut(&Received) -> bool,
    ) -> Option<Received> {
        loop {
            let message = self.messages.recv_timeout(patience).ok()?;
            if wanted(&message) {
                return Some(message);
            }
        }
    }

    /// The next message on `topic`.
    pub fn on(&self, topic: &str) -> Received {
        self.next(topic, |message| message.topic == topic)
    }

    /// Everything that comes before a marker that is published now. Mosquitto keeps the order of
    /// what one client subscribes to, so nothing that was published earlier is missing.
    pub fn until_now(&self, marker: &str) -> Vec<Received> {
        let mark = uuid::Uuid::new_v4().to_string();
        self.publish(marker, false, &mark);
        let mut before = Vec::new();
        self.next("the marker", |message| {
            if message.topic == marker && message.payload == mark.as_bytes() {
                return true;
            }
            before.push(message.clone());
            false
        });
        before
    }
}
