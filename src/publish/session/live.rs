//! A connection's state while it lives: what is handed over, what is heard, what is due.
//!
//! In: what the daemon wants said, what rumqttc has heard, a tick each second. Out: messages for
//! rumqttc, events for the daemon, and whether to go on. It never waits: what does not fit is told.
//! Nothing of it reaches the next connection.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, Packet, PubAckReason, PublishNotice, PublishNoticeError, PublishOptions,
    PublishProperties, QoS, RetainForwardRule, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::mpsc;

use super::in_flight::{InFlight, Sent};
use super::options::IN_FLIGHT_MAX;
use super::window::{AuditWindow, accepted};
use super::{
    AUDIT_WINDOW, Answered, DeskRequest, Known, Outgoing, Reply, SessionEvent, SessionSettings,
    discovery,
};
use crate::clock::{Clock, Monotonic};
use crate::decide::Outcome;
use crate::publish::message::{Access, Audit};
use crate::publish::topic::{ACCESS_EXPIRY_MS, Delivery, Message, Topic, json};
use crate::sign::{SignedGrant, Thumbprint};
use crate::store::AuditRecord;

/// Events that wait for the daemon.
const EVENTS_MAX: usize = 64;
/// Silence after which the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// Seconds that an answer may live.
pub(super) const ANSWER_EXPIRY_S: u32 = 10;
/// How long the outbox may take to answer before it is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long an empty outbox is believed to be empty.
const OUTBOX_REMINDER: Duration = Duration::from_secs(30);
/// How long after the announcement Home Assistant listens to what was announced.
const MOMENT_AFTER: Duration = Duration::from_secs(2);
/// Decisions that were not announced and whose records have not come from the outbox yet. More
/// cannot be younger than an `access` lives, and those that are older are late by their age.
const UNANNOUNCED_MAX: usize = 64;

/// Our own topics that are listened to, for another board that speaks as this door.
pub(super) const OWN: [Topic; 2] = [Topic::Info, Topic::Access];
/// How long our `info` is not said again after another's.
pub(super) const INFO_AGAIN: Duration = Duration::from_secs(30);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Go,
    End,
    Silent(Duration),
}

/// A connection's state while it lives.
pub(super) struct Live<'a> {
    client: AsyncClient,
    pub(super) settings: &'a SessionSettings,
    pub(super) clock: &'a dyn Clock,
    pub(super) known: &'a mut Known,
    /// When the broker accepted us.
    pub(super) accepted_at: Option<Monotonic>,
    /// When it had heard what we listen to, and our first words could follow.
    connected_at: Option<Monotonic>,
    pub(super) leaving_since: Option<Monotonic>,
    in_flight: InFlight,
    in_flight_max: usize,
    window: AuditWindow,
    /// Records of decisions that could not be announced: late, however young.
    unannounced: BTreeSet<u64>,
    /// When the outbox was asked, while it has not answered.
    outbox_asked_at: Option<Monotonic>,
    /// Whether there may be more in the outbox than was handed over.
    outbox_more: bool,
    /// When the outbox last answered that it is empty.
    outbox_empty_at: Monotonic,
    /// When the discovery message is due.
    pub(super) discovery_at: Option<Monotonic>,
    /// When what the broker keeps for nobody is to be said again, to a Home Assistant that listens now.
    moment_at: Option<Monotonic>,
    /// When `info` was said again because of another's.
    pub(super) info_at: Option<Monotonic>,
    /// Whether a challenge was refused.
    pub(super) challenge_refused: bool,
    /// Whether a message on the other door's topic was passed over.
    pub(super) elsewhere_refused: bool,
    pub(super) events: VecDeque<SessionEvent>,
}

impl<'a> Live<'a> {
    pub(super) fn new(
        client: AsyncClient,
        settings: &'a SessionSettings,
        clock: &'a dyn Clock,
        known: &'a mut Known,
    ) -> Self {
        Self {
            client,
            settings,
            clock,
            known,
            accepted_at: None,
            connected_at: None,
            leaving_since: None,
            in_flight: InFlight::default(),
            in_flight_max: IN_FLIGHT_MAX.into(),
            window: AuditWindow::new(clock.now()),
            unannounced: BTreeSet::new(),
            outbox_asked_at: None,
            outbox_more: true,
            outbox_empty_at: Monotonic::default(),
            discovery_at: None,
            moment_at: None,
            info_at: None,
            challenge_refused: false,
            elsewhere_refused: false,
            events: VecDeque::new(),
        }
    }

    pub(super) fn lived(&self) -> Duration {
        self.accepted_at.map_or(Duration::ZERO, |at| self.clock.now().since(at))
    }

    /// Takes what the daemon hands over.
    pub(super) fn on_outgoing(&mut self, item: Outgoing) -> Step {
        let Some(connected_at) = self.connected_at else {
            let ends = matches!(item, Outgoing::Stop | Outgoing::Settings(_));
            if let Some(missed) = self.known.keep(item) {
                self.notify(missed);
            }
            return if ends { Step::End } else { Step::Go };
        };
        match item {
            Outgoing::Access { record, grant, name } => {
                self.announce(&record, grant.as_ref(), name);
                self.outbox_more = true;
                self.want_outbox();
            }
            Outgoing::Strangers(strangers) => {
                self.publish(&self.settings.topics.message(&strangers));
                self.outbox_more = true;
                self.want_outbox();
            }
            Outgoing::Duress(duress) => self.publish(&self.settings.topics.message(&duress)),
            Outgoing::Recorded => {
                self.outbox_more = true;
                self.want_outbox();
            }
            Outgoing::Audit(records) => self.audit(&records, connected_at),
            Outgoing::Presence(presence) => {
                self.publish(&self.settings.topics.message(&presence));
                self.known.presence = presence;
            }
            Outgoing::Camera(camera) => {
                self.publish(&self.settings.topics.message(&camera));
                self.known.camera = Some(camera);
            }
            Outgoing::Keys(keys) => {
                self.publish(&self.settings.topics.keys(&keys));
                self.known.keys = Some(keys);
            }
            Outgoing::Armed(armed) => {
                self.publish(&self.settings.topics.message(&armed));
                self.known.armed = Some(armed);
            }
            Outgoing::Info(info) => {
                self.publish(&self.settings.topics.message(&info));
                if info.grant_key != self.known.info.grant_key {
                    self.discovery_at = Some(self.clock.now());
                }
                self.known.info = info;
            }
            Outgoing::Health(health) => self.publish(&self.settings.topics.message(&health)),
            Outgoing::Guidance(guidance) => {
                self.publish(&self.settings.topics.message(&guidance));
                self.known.guidance = guidance;
            }
            Outgoing::Answer { reply, answer } => {
                let payload = match answer {
                    Answered::Health(health) => json(&health),
                    Answered::Nonce(nonce) => json(&nonce),
                    Answered::Request(answer) => json(&answer),
                };
                self.answer(&reply, payload);
            }
            other @ (Outgoing::Settings(_) | Outgoing::Stop) => {
                self.known.keep(other);
                return self.leave();
            }
        }
        Step::Go
    }

    /// Says goodbye.
    fn leave(&mut self) -> Step {
        self.leaving_since = Some(self.clock.now());
        let goodbye = self.settings.topics.status(false);
        if self.send(&goodbye, None, Sent::Goodbye) { Step::Go } else { Step::End }
    }

    /// Announces a decision, if that can be done now, and a grant for those who trust the door alone.
    fn announce(
        &mut self,
        record: &AuditRecord,
        grant: Option<&SignedGrant>,
        name: Option<String>,
    ) {
        let Some(access) = Access::of(record) else { return };
        let access = Access { name, ..access };
        let now = self.clock.now();
        let age_ms = now.as_millis().saturating_sub(record.monotonic_ms);
        let left_ms = u64::from(ACCESS_EXPIRY_MS).saturating_sub(age_ms);
        let fresh = record.boot == self.known.boot && left_ms > 0;
        let contested =
            access.statement.outcome == Outcome::Granted && self.known.twin.is_contested(now);
        let flowing = self.in_flight.len() < self.in_flight_max
            && self.in_flight.silence(now) < Duration::from_millis(ACCESS_EXPIRY_MS.into());
        let mut message = self.settings.topics.message(&access);
        message.delivery.expiry_s = Some(u32::try_from(left_ms.div_ceil(1000)).unwrap_or(1));
        let sent = fresh && flowing && !contested && {
            let kind = Sent::Other(message.topic.clone());
            self.send(&message, None, kind)
        };
        if let Some(grant) = grant.filter(|_| sent) {
            let grant = self.settings.topics.grant(grant);
            self.publish(&Message { delivery: message.delivery, ..grant });
        }
        if !sent {
            self.unannounced.insert(record.seq);
            if self.unannounced.len() > UNANNOUNCED_MAX {
                self.unannounced.pop_first();
            }
            self.notify(SessionEvent::NotAnnounced { seq: record.seq });
        }
    }

    /// Sends the outbox's next records.
    fn audit(&mut self, records: &[AuditRecord], connected_at: Monotonic) {
        self.outbox_asked_at = None;
        if records.is_empty() {
            self.outbox_more = false;
            self.outbox_empty_at = self.clock.now();
            return;
        }
        for record in records.iter().take(AUDIT_WINDOW) {
            if record.seq <= self.window.handed_up_to {
                continue;
            }
            let late = self.known.is_late(record, connected_at, self.clock.now())
                || self.unannounced.contains(&record.seq);
            let message = self.settings.topics.message(&Audit::of(record, late));
            if !self.send(&message, None, Sent::Audit(record.seq)) {
                break;
            }
            self.window.hand(record.seq);
        }
        // A record that is given once more is late by its age.
        let handed_up_to = self.window.handed_up_to;
        self.unannounced.retain(|seq| *seq > handed_up_to);
    }

    /// Asks for more of the outbox when all that was handed over is acknowledged.
    fn want_outbox(&mut self) {
        let now = self.clock.now();
        let idle = self.outbox_asked_at.is_none() && self.window.is_free(now);
        if self.connected_at.is_none() || !self.outbox_more || !idle {
            return;
        }
        self.outbox_asked_at = Some(now);
        let limit = self.window.limit(AUDIT_WINDOW.min((self.in_flight_max / 2).max(1)));
        self.known.desk.ask(DeskRequest::Outbox { after: self.window.handed_up_to, limit });
    }

    /// A message between us and the daemon can be lost when one of the channels is full; then the
    /// outbox is asked again after a while.
    fn remind_outbox(&mut self, now: Monotonic) {
        if self.outbox_asked_at.is_some_and(|at| now.since(at) > ANSWER_MAX) {
            self.outbox_asked_at = None;
        }
        let anew = self.outbox_asked_at.is_none() && self.window.begin_anew(now);
        if anew || (!self.outbox_more && now.since(self.outbox_empty_at) > OUTBOX_REMINDER) {
            self.outbox_more = true;
        }
        self.want_outbox();
    }

    /// Hears what rumqttc reports.
    pub(super) fn on_packet(&mut self, event: Event) {
        match event {
            Event::Incoming(Packet::ConnAck(ack)) => {
                let receive_max = ack.properties.and_then(|p| p.receive_max);
                self.in_flight_max = receive_max.unwrap_or(IN_FLIGHT_MAX).min(IN_FLIGHT_MAX).into();
                self.listen();
            }
            Event::Incoming(Packet::PubAck(ack)) => self.acknowledged(ack.pkid, ack.reason),
            Event::Incoming(Packet::SubAck(ack)) => {
                self.greet();
                self.subscribed(&ack.return_codes);
            }
            Event::Incoming(Packet::Publish(publish)) => self.incoming(&publish),
            _ => {}
        }
    }

    /// What the broker says to each subscription, in the order in which they were asked for: first
    /// our own topics, which not every broker lets us read.
    fn subscribed(&mut self, codes: &[SubscribeReasonCode]) {
        for (place, code) in codes.iter().enumerate() {
            if matches!(code, SubscribeReasonCode::Success(_)) {
                continue;
            }
            if place < OWN.len() {
                tracing::debug!(?code, "another board with this door.id would not be heard");
                continue;
            }
            let topic = self.others().into_iter().nth(place - OWN.len()).unwrap_or_default();
            self.notify(SessionEvent::NotAllowed { topic, what: format!("{code:?}") });
        }
    }

    /// What we listen to beside our own topics, in the order in which it is asked for.
    fn others(&self) -> Vec<String> {
        let topics = &self.settings.topics;
        let arming = self.settings.broker_may_arm.then(|| topics.arming());
        let elsewhere = self.settings.follows.as_deref().map(|door| topics.grant_of(door));
        let assistant = self.settings.home_assistant.as_ref();
        let birth = assistant.map(|assistant| discovery::birth_topic(&assistant.prefix));
        let always = [topics.request_prefix(), topics.challenge()];
        always.into_iter().chain(arming).chain(elsewhere).chain(birth).collect()
    }

    /// Says what we listen to on a new connection.
    fn listen(&mut self) {
        self.accepted_at = Some(self.clock.now());
        let topics = &self.settings.topics;
        let own = OWN.map(|topic| SubscribeFilter {
            // Our own echo says nothing.
            nolocal: topic == Topic::Access,
            ..SubscribeFilter::new(topics.of(topic), QoS::AtMostOnce)
        });
        let mut filters = Vec::from(own);
        filters.push(SubscribeFilter {
            // A request that was published as retained must be seen as such, to be refused.
            preserve_retain: true,
            ..SubscribeFilter::new(format!("{}+", topics.request_prefix()), QoS::AtLeastOnce)
        });
        filters.push(SubscribeFilter {
            preserve_retain: true,
            ..SubscribeFilter::new(topics.challenge(), QoS::AtLeastOnce)
        });
        if self.settings.broker_may_arm {
            filters.push(SubscribeFilter {
                preserve_retain: true,
                ..SubscribeFilter::new(topics.arming(), QoS::AtLeastOnce)
            });
        }
        if let Some(door) = self.settings.follows.as_deref() {
            filters.push(SubscribeFilter {
                preserve_retain: true,
                retain_forward_rule: RetainForwardRule::Never,
                ..SubscribeFilter::new(topics.grant_of(door), QoS::AtLeastOnce)
            });
        }
        if let Some(home_assistant) = &self.settings.home_assistant {
            filters.push(SubscribeFilter {
                retain_forward_rule: RetainForwardRule::Never,
                ..SubscribeFilter::new(
                    discovery::birth_topic(&home_assistant.prefix),
                    QoS::AtMostOnce,
                )
            });
        }
        if self.client.try_subscribe_many(filters).is_err() {
            tracing::warn!("the subscription to requests could not be handed over");
        }
    }

    /// The first words on a new connection, once the broker knows what we listen to: rumqttc writes
    /// subscriptions after whatever is to be published, and `info` that was retained there may be
    /// another board's, which our own would hide from us.
    fn greet(&mut self) {
        let now = self.clock.now();
        self.connected_at = Some(now);
        self.notify(SessionEvent::Connected);
        tracing::info!("connected to the broker");
        let topics = &self.settings.topics;
        self.discovery_at = self.settings.home_assistant.as_ref().map(|_| now);
        self.publish(&topics.status(true));
        let first = [
            Some(topics.message(&self.known.info)),
            self.known.keys.as_ref().map(|keys| topics.keys(keys)),
            self.known.armed.as_ref().map(|armed| topics.message(armed)),
            self.known.camera.as_ref().map(|camera| topics.message(camera)),
        ];
        for message in first.into_iter().flatten() {
            self.publish(&message);
        }
        self.tell_moment();
        self.discover(now);
        self.want_outbox();
    }

    fn acknowledged(&mut self, packet: u16, reason: PubAckReason) {
        let Some(sent) = self.in_flight.acknowledged(packet) else { return };
        match sent {
            Sent::Goodbye => drop(self.client.try_disconnect_now()),
            Sent::Audit(seq) => {
                let outcome = self.window.settle(seq, reason, self.clock.now());
                for seq in outcome.delivered {
                    self.known.desk.ask(DeskRequest::Acknowledged { seq });
                }
                if !accepted(reason) {
                    self.outbox_more = true;
                    if outcome.news {
                        let topic = self.settings.topics.of(Topic::Audit);
                        let what = format!(
                            "{reason:?} for record {seq}, which stays in the outbox and is sent again"
                        );
                        self.notify(SessionEvent::NotAllowed { topic, what });
                    }
                }
                self.want_outbox();
            }
            Sent::Other(topic) if !accepted(reason) => {
                self.notify(SessionEvent::NotAllowed { topic, what: format!("{reason:?}") });
            }
            Sent::Other(topic) => {
                if topic == self.settings.topics.of(Topic::Info) {
                    self.known.twin.note_published();
                }
            }
        }
    }

    /// Once a second: what is due, and whether the broker still answers.
    pub(super) fn tick(&mut self) -> Step {
        let now = self.clock.now();
        self.known.desk.retry();
        if let Some(since) = self.leaving_since {
            return if now.since(since) > GOODBYE_MAX { Step::End } else { Step::Go };
        }
        let due = self.known.gate.due(now);
        self.record_requests(due);
        self.discover(now);
        if self.moment_at.is_some_and(|at| now >= at) {
            self.moment_at = None;
            self.tell_moment();
        }
        self.remind_outbox(now);
        self.give_up();
        let unheard = self.accepted_at.filter(|_| self.connected_at.is_none());
        let unheard = unheard.map_or(Duration::ZERO, |at| now.since(at));
        let silence = self.in_flight.silence(now).max(unheard);
        if silence > SILENCE_MAX { Step::Silent(silence) } else { Step::Go }
    }

    /// Tells of what rumqttc did not even send: what is retained, to a broker that retains nothing.
    fn give_up(&mut self) {
        for (sent, error) in self.in_flight.given_up() {
            if let (Sent::Other(topic), PublishNoticeError::RetainNotSupported) = (sent, error) {
                let what = "the broker retains nothing".to_owned();
                self.notify(SessionEvent::NotAllowed { topic, what });
            }
        }
    }

    /// Sends the discovery message if it is due.
    fn discover(&mut self, now: Monotonic) {
        let Some(home_assistant) = &self.settings.home_assistant else { return };
        if self.discovery_at.is_none_or(|at| now < at) {
            return;
        }
        self.discovery_at = None;
        self.moment_at = Some(now.plus(MOMENT_AFTER));
        let announced = discovery::Announced {
            prefix: &home_assistant.prefix,
            grant_key: self.known.info.grant_key.as_ref().map(Thumbprint::as_str),
            retained: home_assistant.retain,
            may_arm: self.settings.broker_may_arm,
        };
        let version = env!("CARGO_PKG_VERSION");
        self.publish(&discovery::announce(announced, &self.settings.topics, version));
    }

    /// Says whether somebody is there, and what they should do: of the moment, and so never retained.
    fn tell_moment(&mut self) {
        let topics = &self.settings.topics;
        let moment = [topics.message(&self.known.presence), topics.message(&self.known.guidance)];
        for message in moment {
            self.publish(&message);
        }
    }

    pub(super) fn answer(&mut self, reply: &Reply, payload: Vec<u8>) {
        let delivery = Delivery { retained: false, qos: 1, expiry_s: Some(ANSWER_EXPIRY_S) };
        let message = Message { topic: reply.topic.clone(), payload, delivery };
        let kind = Sent::Other(message.topic.clone());
        self.send(&message, reply.correlation.as_deref(), kind);
    }

    pub(super) fn publish(&mut self, message: &Message) {
        let kind = Sent::Other(message.topic.clone());
        self.send(message, None, kind);
    }

    /// Hands a message to rumqttc, or drops it when too much waits there already.
    fn send(&mut self, message: &Message, correlation: Option<&[u8]>, sent: Sent) -> bool {
        let Some(notice) = hand(&self.client, message, correlation) else {
            tracing::warn!(topic = message.topic, "not published: too much waits already");
            return false;
        };
        self.in_flight.hand(sent, self.clock.now(), notice);
        true
    }

    /// Queues an event for the daemon.
    pub(super) fn notify(&mut self, event: SessionEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
            tracing::warn!("the daemon does not read the broker's events");
        }
        self.events.push_back(event);
    }

    /// Gives the daemon what it can take now, before this connection is gone.
    pub(super) fn flush(&mut self, events: &mpsc::Sender<SessionEvent>) {
        while let Some(event) = self.events.pop_front() {
            if events.try_send(event).is_err() {
                return;
            }
        }
    }
}

/// Hands a message to rumqttc; `None` when its channel is full. The notice says what became of it.
pub(super) fn hand(
    client: &AsyncClient,
    message: &Message,
    correlation: Option<&[u8]>,
) -> Option<PublishNotice> {
    let qos = if message.delivery.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let json = !message.payload.is_empty();
    let properties = PublishProperties {
        // 1 says that the payload is UTF-8.
        payload_format_indicator: json.then_some(1),
        message_expiry_interval: message.delivery.expiry_s,
        correlation_data: correlation.map(|data| data.to_vec().into()),
        ..PublishProperties::default()
    };
    let (topic, payload) = (message.topic.clone(), message.payload.clone());
    let options = PublishOptions::new(qos).retain(message.delivery.retained).properties(properties);
    client.try_publish_tracked(topic, payload, options).ok()
}
