//! The asking side: one signed request over a passing connection.
//!
//! In: how to reach the broker, whose door, what signs for a nonce. Out: the door's answer. The nonce
//! is asked for and the request sent over the same connection, so that no nonce waits. Deliberately
//! absent: keys, and what is asked, which are the caller's.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, Packet, Publish, PublishOptions, PublishProperties, QoS};
use uuid::Uuid;

use super::connection::{Connection, PASSING_MAX};
use super::{SessionSettings, live};
use crate::publish::BrokerError;
use crate::publish::ask::{Answer, NonceAnswer};
use crate::publish::topic::Topics;
use crate::remedy::Remedied;

/// How long the door may take to answer each of the two messages.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Below which topics of the broker answers go.
const ANSWERS: &str = "deepid-edge-answers";
/// The two requests, which also tell their answers apart.
const NONCE: &str = "nonce";
const SIGNED: &str = "signed";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Nobody answers.
    #[error("door '{door}' does not answer; {advice}", advice = self.advice())]
    NoAnswer {
        /// Which door.
        door: String,
    },
    /// What came is no answer of a door.
    #[error("door '{door}': its answer cannot be read ({what}); {advice}", advice = self.advice())]
    Unreadable {
        /// Which door.
        door: String,
        /// What is wrong.
        what: String,
    },
    /// The request has no room in a message.
    #[error("the request is too long to be signed; {advice}", advice = self.advice())]
    TooLong,
}

impl Remedied for AskError {
    fn remedy(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(match self {
            Self::Broker(error) => return error.remedy(),
            Self::NoAnswer { .. } => "check that it is running ('status'), that 'door.id' and 'mqtt.base' name it, and that the broker lets this user write to its 'request/' and read below 'deepid-edge-answers/' (deploy/mosquitto-acl.example)".into(),
            Self::Unreadable { .. } => "the door may be of another version: compare 'info'".into(),
            Self::TooLong => "ask for one thing at a time".into(),
        })
    }
}

/// Asks once: `sign` makes a request of the door's nonce.
///
/// # Errors
/// [`AskError`]: there is no answer. An answer that refuses is none of them.
pub async fn ask(
    settings: &SessionSettings,
    sign: impl FnOnce(&str) -> Option<String>,
) -> Result<Answer, AskError> {
    // A name of its own: two people may ask at once.
    let id = Uuid::new_v4().simple().to_string();
    let suffix = format!("ASK-{}", id.get(..8).unwrap_or_default());
    let connection = Connection::open_as(settings, &suffix, false)?;
    let topics = &settings.topics;
    let answers = format!("{ANSWERS}/{id}");
    let mut asking = Asking { topics, answers: &answers, sign: Some(sign) };
    let at = connection.at.clone();
    let answer = connection.ask(
        &answers,
        |client, publish| asking.hear(client, publish),
        |client| {
            request(client, topics, NONCE, &answers, Vec::new());
        },
    );
    // However much else the broker has to say.
    let late = |_| Err(BrokerError::TimedOut { at }.into());
    tokio::time::timeout(PASSING_MAX, answer).await.unwrap_or_else(late)
}

/// How far it has come.
struct Asking<'a, S> {
    topics: &'a Topics,
    answers: &'a str,
    /// Taken by the nonce.
    sign: Option<S>,
}

impl<S: FnOnce(&str) -> Option<String>> Asking<'_, S> {
    /// The answer, once it is there.
    fn hear(
        &mut self,
        client: &AsyncClient,
        publish: &Publish,
    ) -> Result<Option<Answer>, AskError> {
        let door = self.topics.door().to_owned();
        let to = publish.properties.as_ref().and_then(|found| found.correlation_data.as_ref());
        // A nonce that comes twice is no answer to the signed request.
        let asked = if self.sign.is_some() { NONCE } else { SIGNED };
        if to.is_none_or(|to| to.as_ref() != asked.as_bytes()) {
            return Ok(None);
        }
        let Some(sign) = self.sign.take() else {
            let read = serde_json::from_slice(&publish.payload);
            return read
                .map(Some)
                .map_err(|error| AskError::Unreadable { door, what: error.to_string() });
        };
        let NonceAnswer { nonce, .. } = serde_json::from_slice(&publish.payload)
            .map_err(|error| AskError::Unreadable { door, what: error.to_string() })?;
        let message = sign(&nonce).ok_or(AskError::TooLong)?;
        request(client, self.topics, SIGNED, self.answers, message.into_bytes());
        Ok(None)
    }
}

fn request(client: &AsyncClient, topics: &Topics, name: &str, answers: &str, payload: Vec<u8>) {
    let properties = PublishProperties {
        response_topic: Some(answers.to_owned()),
        correlation_data: Some(name.as_bytes().to_vec().into()),
        message_expiry_interval: Some(live::ANSWER_EXPIRY_S),
        ..PublishProperties::default()
    };
    let topic = format!("{}{name}", topics.request_prefix());
    let options = PublishOptions::new(QoS::AtLeastOnce).properties(properties);
    // The channel of a connection that has said nothing yet has room.
    drop(client.try_publish_tracked(topic, payload, options));
}

impl Connection {
    /// Connects, listens to `answers`, begins, and gives each message to `hear` until that has an
    /// answer.
    async fn ask(
        mut self,
        answers: &str,
        mut hear: impl FnMut(&AsyncClient, &Publish) -> Result<Option<Answer>, AskError>,
        begin: impl Fn(&AsyncClient),
    ) -> Result<Answer, AskError> {
        let mut begun = false;
        loop {
            let event = tokio::time::timeout(ANSWER_MAX, self.event_loop.poll()).await;
            match event {
                Err(_) if begun => return Err(AskError::NoAnswer { door: self.door }),
                Err(_) => return Err(BrokerError::TimedOut { at: self.at }.into()),
                Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                    drop(self.client.try_subscribe(answers, QoS::AtLeastOnce));
                }
                Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => {
                    begun = true;
                    begin(&self.client);
                }
                Ok(Ok(Event::Incoming(Packet::PubAck(ack)))) => {
                    if !super::window::accepted(ack.reason) {
                        let what = format!("{:?} for the request", ack.reason);
                        return Err(BrokerError::Rejected { at: self.at, what }.into());
                    }
                }
                Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => {
                    if let Some(answer) = hear(&self.client, &publish)? {
                        drop(self.client.try_disconnect_now());
                        return Ok(answer);
                    }
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.diagnose(&error, begun).into()),
            }
        }
    }
}
