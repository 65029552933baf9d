//! What comes in over a connection: requests, nonces, words about arming, Home Assistant's birth, and
//! what others say on our own topics.
//!
//! In: a message as rumqttc gives it. Out: an answer at once, a request to the desk, an event for the
//! daemon, or nothing but a record. Each kind is judged by a part of its own (`publish::request`,
//! `publish::challenge`, `publish::twin`).

use std::time::Duration;

use rumqttc::Publish;

use super::live::{INFO_AGAIN, Live, OWN};
use super::{DeskRequest, Reply, SessionEvent, discovery};
use crate::clock::Monotonic;
use crate::publish::request::{ARMING, Asked, Judgement, Record, RequestKind};
use crate::publish::topic::json;
use crate::sign::has_form_of_grant;
use crate::store::RequestVerdict;

impl Live<'_> {
    /// A request, or Home Assistant's birth.
    pub(super) fn incoming(&mut self, publish: &Publish) {
        let Ok(topic) = std::str::from_utf8(&publish.topic) else { return };
        let now = self.clock.now();
        let prefix = self.settings.home_assistant.as_ref().map(|h| h.prefix.as_str());
        if prefix.is_some_and(|prefix| topic == discovery::birth_topic(prefix)) {
            if publish.payload.as_ref() == b"online" {
                // Spread out, so that many doors do not answer at once.
                let delay = Duration::from_millis(fastrand::u64(0..=3000));
                self.discovery_at = Some(now.plus(delay));
            }
            return;
        }
        if OWN.iter().any(|own| topic == self.settings.topics.of(*own)) {
            return self.overheard(publish, now);
        }
        if topic == self.settings.topics.challenge() {
            return self.challenged(publish, now);
        }
        let follows = self.settings.follows.as_deref();
        if follows.is_some_and(|door| topic == self.settings.topics.grant_of(door)) {
            return self.granted_elsewhere(publish, now);
        }
        if self.settings.broker_may_arm && topic == self.settings.topics.arming() {
            return self.told_to_arm(publish, now);
        }
        let Some(name) = topic.strip_prefix(&self.settings.topics.request_prefix()) else { return };
        let properties = publish.properties.as_ref();
        let response_topic = properties.and_then(|p| p.response_topic.as_deref());
        let correlation = properties.and_then(|p| p.correlation_data.as_ref());
        let asked = Asked {
            name,
            retained: publish.retain,
            payload_bytes: publish.payload.len(),
            correlation_bytes: correlation.map_or(0, |data| data.as_ref().len()),
            response_topic,
        };
        let verdict = match self.known.gate.judge(asked, &self.settings.topics, prefix, now) {
            Judgement::Refuse(verdict) => verdict,
            Judgement::Answer(kind) => {
                let reply = Reply {
                    topic: response_topic.unwrap_or_default().to_owned(),
                    correlation: correlation.map(|data| data.to_vec()),
                };
                match kind {
                    RequestKind::Ping => self.answer(&reply, json(&self.known.info)),
                    RequestKind::SnapshotHealth => {
                        self.notify(SessionEvent::HealthWanted { reply });
                    }
                    RequestKind::Nonce => self.known.desk.ask(DeskRequest::Nonce { reply }),
                    RequestKind::Signed => {
                        let message = publish.payload.to_vec();
                        // The desk records what becomes of it.
                        return self.known.desk.ask(DeskRequest::Signed { reply, message });
                    }
                }
                RequestVerdict::Answered
            }
        };
        let record = self.known.gate.note(name, verdict, now);
        self.record_requests(record);
    }

    /// A listener's nonce goes to the desk, which signs. What is refused is in the log once.
    fn challenged(&mut self, publish: &Publish, now: Monotonic) {
        match self.known.challenges.judge(publish.retain, &publish.payload, now) {
            Ok(challenge) => self.known.desk.ask(DeskRequest::Challenge(challenge)),
            Err(why) if self.challenge_refused => tracing::debug!(%why, "a challenge was refused"),
            Err(why) => {
                self.challenge_refused = true;
                tracing::warn!(%why, "a challenge was refused; more of this connection are not logged");
            }
        }
    }

    /// Another door's grant goes to the desk, which verifies it. What is retained, has not the form of a
    /// grant, or comes too soon after others is none; only what has the form counts among the others.
    fn granted_elsewhere(&mut self, publish: &Publish, now: Monotonic) {
        let fits = !publish.retain && has_form_of_grant(&publish.payload);
        if fits && self.known.elsewhere.take(now) {
            let message = publish.payload.to_vec();
            self.known.desk.ask(DeskRequest::GrantedElsewhere { message });
        } else if std::mem::replace(&mut self.elsewhere_refused, true) {
            tracing::debug!(fits, "a message on the other door's topic was passed over");
        } else {
            tracing::warn!(
                fits,
                "a message on the other door's topic was passed over; more of this connection are not logged"
            );
        }
    }

    /// Arms or disarms by the broker's word, where the owner lets it.
    fn told_to_arm(&mut self, publish: &Publish, now: Monotonic) {
        let armed = match self.known.gate.judge_arming(publish.retain, &publish.payload, now) {
            Ok(armed) => armed,
            Err(verdict) => {
                let record = self.known.gate.note(ARMING, verdict, now);
                return self.record_requests(record);
            }
        };
        self.known.desk.ask(DeskRequest::Arm { armed });
    }

    /// Has requests recorded.
    pub(super) fn record_requests(&mut self, records: impl IntoIterator<Item = Record>) {
        for Record { request, verdict, count } in records {
            self.known.desk.ask(DeskRequest::Requested { request, verdict, count });
        }
    }

    /// Somebody's `info` or `access` of this door.
    fn overheard(&mut self, publish: &Publish, now: Monotonic) {
        let Some(contest) = self.known.twin.on_message(publish.retain, &publish.payload, now)
        else {
            return;
        };
        // Ours must be what lies there for those who come later.
        if !publish.retain && self.info_at.is_none_or(|at| now.since(at) >= INFO_AGAIN) {
            self.info_at = Some(now);
            self.publish(&self.settings.topics.message(&self.known.info));
        }
        self.notify(SessionEvent::Contested(contest));
    }
}
