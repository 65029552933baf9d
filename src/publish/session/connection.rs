//! One connection, from CONNECT to its end.
//!
//! Owns rumqttc's client and event loop and takes both with it when it ends: nothing of one
//! connection can reach the next. The event loop is polled by a future of its own that is never
//! cancelled while the connection lives, because rumqttc can lose a packet when a poll is dropped
//! halfway. Everything is handed to rumqttc without waiting: what does not fit is of the past.

use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, Packet, QoS};
use tokio::sync::mpsc;

use super::live::{Live, Step, hand};
use super::window::accepted;
use super::{BrokerFacts, Known, Outgoing, SessionEvent, SessionSettings};
use crate::clock::Clock;
use crate::publish::BrokerError;
use crate::publish::diagnosis::Attempt;
use crate::publish::topic::Message;
use crate::publish::twin::whose;

/// Requests that wait for rumqttc; far more than are ever in flight.
const CLIENT_CHANNEL: usize = 64;
/// How long a passing connection may take as a whole.
pub(super) const PASSING_MAX: Duration = Duration::from_secs(15);

/// How long a retained message may take after the last word of the broker.
const RETAINED_MAX: Duration = Duration::from_millis(500);

/// How a connection ends.
pub(super) enum End {
    /// The daemon wanted it.
    Stopped,
    /// It failed, after having been connected for `lived`.
    Failed {
        /// Why.
        why: BrokerError,
        /// Since CONNACK; zero without one.
        lived: Duration,
    },
}

/// One connection.
pub(super) struct Connection {
    pub(super) client: AsyncClient,
    pub(super) event_loop: EventLoop,
    pub(super) at: String,
    pub(super) door: String,
    user: Option<String>,
    tls: bool,
}

impl Connection {
    /// Prepares the daemon's own connection; nothing is sent before it is polled.
    pub(super) fn open(settings: &SessionSettings) -> Result<Self, BrokerError> {
        Self::open_as(settings, "", true)
    }

    /// Prepares a connection whose client id ends in `suffix`.
    pub(super) fn open_as(
        settings: &SessionSettings,
        suffix: &str,
        with_will: bool,
    ) -> Result<Self, BrokerError> {
        let will = with_will.then(|| settings.topics.status(false));
        let options = settings.options(suffix, will.as_ref())?;
        let (client, event_loop) = AsyncClient::builder(options).capacity(CLIENT_CHANNEL).build();
        Ok(Self {
            client,
            event_loop,
            at: settings.at(),
            door: settings.topics.door().to_owned(),
            user: settings.user().map(str::to_owned),
            tls: settings.tls.is_some(),
        })
    }

    /// Connects and says what the broker has told of itself.
    pub(super) async fn facts(self, info: &str) -> Result<BrokerFacts, BrokerError> {
        let at = self.at.clone();
        let late = |_| Err(BrokerError::TimedOut { at });
        tokio::time::timeout(PASSING_MAX, self.ask_facts(info)).await.unwrap_or_else(late)
    }

    /// Connects, publishes `message`, waits for its acknowledgement, and disconnects.
    pub(super) async fn deliver(self, message: &Message) -> Result<(), BrokerError> {
        let at = self.at.clone();
        let late = |_| Err(BrokerError::TimedOut { at });
        tokio::time::timeout(PASSING_MAX, self.send_one(message)).await.unwrap_or_else(late)
    }

    async fn ask_facts(mut self, info: &str) -> Result<BrokerFacts, BrokerError> {
        let mut facts = None;
        loop {
            // What is retained follows the subscription at once, and nothing says that none is.
            let event = if facts.is_some() {
                tokio::time::timeout(RETAINED_MAX, self.event_loop.poll()).await
            } else {
                Ok(self.event_loop.poll().await)
            };
            let Ok(event) = event else {
                drop(self.client.try_disconnect_now());
                return facts.ok_or(BrokerError::TimedOut { at: self.at });
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    let properties = ack.properties;
                    let found = properties.as_ref();
                    facts = Some(BrokerFacts {
                        tls: self.tls,
                        retains: found.and_then(|p| p.retain_available).unwrap_or(1) == 1,
                        in_flight_max: found.and_then(|p| p.receive_max).unwrap_or(u16::MAX),
                        speaks: None,
                    });
                    drop(self.client.try_subscribe(info, QoS::AtMostOnce));
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if let Some(facts) = &mut facts {
                        facts.speaks = whose(&publish.payload);
                    }
                    drop(self.client.try_disconnect_now());
                }
                Ok(_) => {}
                Err(error) => return facts.ok_or_else(|| self.diagnose(&error, false)),
            }
        }
    }

    async fn send_one(mut self, message: &Message) -> Result<(), BrokerError> {
        let mut acknowledged = false;
        loop {
            match self.event_loop.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    // Its acknowledgement is the only one to come.
                    drop(hand(&self.client, message, None));
                }
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    if !accepted(ack.reason) {
                        let what = format!("{:?} for {}", ack.reason, message.topic);
                        return Err(BrokerError::Rejected { at: self.at, what });
                    }
                    acknowledged = true;
                    drop(self.client.try_disconnect_now());
                }
                Ok(_) => {}
                Err(_) if acknowledged => return Ok(()),
                Err(error) => return Err(self.diagnose(&error, false)),
            }
        }
    }

    pub(super) fn diagnose(&self, error: &ConnectionError, connected: bool) -> BrokerError {
        let user = self.user.as_deref();
        Attempt { at: &self.at, user, tls: self.tls, connected }.diagnose(error)
    }

    /// Lives until it fails or the daemon says stop.
    pub(super) async fn live(
        self,
        settings: &SessionSettings,
        clock: &dyn Clock,
        known: &mut Known,
        outgoing: &mut mpsc::Receiver<Outgoing>,
        events: &mpsc::Sender<SessionEvent>,
    ) -> End {
        let Self { client, mut event_loop, at, user, tls, .. } = self;
        let (heard_tx, mut heard) = mpsc::channel(CLIENT_CHANNEL);
        let pump = async move {
            loop {
                match event_loop.poll().await {
                    Ok(event) => {
                        if heard_tx.send(event).await.is_err() {
                            return ConnectionError::RequestsDone;
                        }
                    }
                    Err(error) => return error,
                }
            }
        };
        tokio::pin!(pump);
        let mut live = Live::new(client, settings, clock, known);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                error = &mut pump => {
                    while let Ok(event) = heard.try_recv() {
                        live.on_packet(event);
                    }
                    live.flush(events);
                    if live.leaving_since.is_some() {
                        return End::Stopped;
                    }
                    let connected = live.accepted_at.is_some();
                    let attempt = Attempt { at: &at, user: user.as_deref(), tls, connected };
                    return End::Failed { why: attempt.diagnose(&error), lived: live.lived() };
                }
                event = heard.recv() => match event {
                    Some(event) => live.on_packet(event),
                    None => return End::Stopped,
                },
                item = outgoing.recv(), if live.leaving_since.is_none() => {
                    if live.on_outgoing(item.unwrap_or(Outgoing::Stop)) == Step::End {
                        return End::Stopped;
                    }
                }
                permit = events.reserve(), if !live.events.is_empty() => {
                    if let Ok(permit) = permit {
                        if let Some(event) = live.events.pop_front() {
                            permit.send(event);
                        }
                    } else {
                        // The daemon is gone; so are we.
                        live.events.clear();
                        if live.on_outgoing(Outgoing::Stop) == Step::End {
                            return End::Stopped;
                        }
                    }
                }
                _ = tick.tick() => match live.tick() {
                    Step::Go => {}
                    Step::End => return End::Stopped,
                    Step::Silent(waited) => {
                        live.flush(events);
                        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                        let why = BrokerError::Silent { at, waited_ms };
                        return End::Failed { why, lived: live.lived() };
                    }
                },
            }
        }
    }
}
