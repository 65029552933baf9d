//! What Home Assistant is told about this door, so that it makes the entities by itself.
//!
//! The door's topics → one device-based discovery message; pure. Invariants: no `lock`, and nothing
//! that takes a command but, where the owner lets the broker arm, the switch for that: the daemon says
//! who stands at the door, and the automation that opens it belongs to its owner; every entity depends on `status`, and what depends on the camera on
//! `camera` too. Source: Home Assistant's documentation of MQTT discovery (device discovery,
//! `event`, `binary_sensor`, `sensor`).

use serde_json::{Map, Value, json};

use super::topic::{Delivery, Message, Topic, Topics};
use crate::decide::Outcome;
use crate::door::Guidance;

/// Where Home Assistant listens, unless its owner has changed it.
pub const PREFIX: &str = "homeassistant";

/// Seconds without `health` after which its figures are shown as unavailable.
const HEALTH_EXPIRES_S: u32 = 90;
/// Seconds without `presence` after which nobody is there: no state can get stuck.
const PRESENCE_OFF_S: u32 = 10;

/// The topic of the discovery message.
#[must_use]
pub fn topic(prefix: &str, topics: &Topics) -> String {
    format!("{prefix}/device/deepid-edge-{}/config", topics.door())
}

/// Where Home Assistant says that it has started.
#[must_use]
pub fn birth_topic(prefix: &str) -> String {
    format!("{prefix}/status")
}

/// What is announced, and how.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a> {
    /// Where Home Assistant listens.
    pub prefix: &'a str,
    /// The fingerprint of the key that signs grants, where they are signed.
    pub grant_key: Option<&'a str>,
    /// Whether the broker keeps the message.
    pub retained: bool,
    /// Whether the broker's word is enough to arm and disarm: then there is a switch for it.
    pub may_arm: bool,
}

/// The message that makes the device, with the fingerprint of the key by which its grants are signed,
/// so that a person can read it where the door is set up. `retained` is its owner's choice; it can open nothing.
#[must_use]
pub fn announce(announced: Announced<'_>, topics: &Topics, version: &str) -> Message {
    Message {
        topic: topic(announced.prefix, topics),
        payload: super::topic::json(&device(topics, version, announced)),
        delivery: Delivery { retained: announced.retained, qos: 1, expiry_s: None },
    }
}

/// The message that removes the device. It is marked as retained because that also erases one
/// that was; an empty message is never kept.
#[must_use]
pub fn forget(prefix: &str, topics: &Topics) -> Message {
    Message {
        topic: topic(prefix, topics),
        payload: Vec::new(),
        delivery: Delivery { retained: true, qos: 1, expiry_s: None },
    }
}

/// The device with its components.
fn device(topics: &Topics, version: &str, announced: Announced<'_>) -> Value {
    let Announced { grant_key, may_arm, .. } = announced;
    let door = topics.door();
    let mut components = Map::new();
    let arming = arming(topics, may_arm);
    let all = visible(topics).into_iter().chain(arming).chain(diagnostic(topics));
    for (key, mut component) in all {
        if let Value::Object(fields) = &mut component
            && fields.len() > 1
        {
            let platform = fields.get("platform").and_then(Value::as_str).unwrap_or_default();
            let entity = format!("{platform}.deepid_edge_{}_{key}", door.replace('-', "_"));
            fields.insert("unique_id".to_owned(), json!(format!("deepid-edge-{door}-{key}")));
            fields.insert("default_entity_id".to_owned(), json!(entity));
        }
        components.insert(key.to_owned(), component);
    }
    let mut about = json!({
        "identifiers": [format!("deepid-edge-{door}")],
        "name": format!("Door {door}"),
        "manufacturer": "deepid-edge",
        "model": "Face recognition at a door",
        "sw_version": version,
    });
    if let Some(key) = grant_key {
        about = with(about, json!({ "serial_number": key }));
    }
    json!({
        "device": about,
        "origin": {"name": "deepid-edge", "sw_version": version},
        "availability": [{"topic": topics.of(Topic::Status)}],
        "qos": 1,
        "components": components,
    })
}

/// Whether the door is armed; and where the broker's word arms it, a switch. Where it does not, the
/// message names the platform alone: otherwise a switch that was there before would stay.
fn arming(topics: &Topics, may_arm: bool) -> Vec<(&'static str, Value)> {
    let state = |platform: &str, name: &str| {
        json!({
            "platform": platform,
            "name": name,
            "icon": "mdi:shield-key",
            "state_topic": topics.of(Topic::Armed),
            "value_template": "{{ 'on' if value_json.armed else 'off' }}",
            "payload_on": "on",
            "payload_off": "off",
            // Why it is not, until when, by which schedule.
            "json_attributes_topic": topics.of(Topic::Armed),
        })
    };
    let switch = if may_arm {
        let command = json!({"command_topic": topics.arming(), "retain": false});
        with(state("switch", "Arming"), command)
    } else {
        json!({"platform": "switch"})
    };
    vec![("armed", state("binary_sensor", "Armed")), ("arming", switch)]
}

/// What the household looks at.
fn visible(topics: &Topics) -> Vec<(&'static str, Value)> {
    let outcomes = [Outcome::Granted, Outcome::Denied, Outcome::Unknown, Outcome::Ambiguous];
    let access = json!({
        "platform": "event",
        "name": "Access",
        "icon": "mdi:face-recognition",
        "state_topic": topics.of(Topic::Access),
        "event_types": outcomes,
    });
    let presence = json!({
        "platform": "binary_sensor",
        "name": "Presence",
        "device_class": "occupancy",
        "state_topic": topics.of(Topic::Presence),
        "value_template": "{{ 'ON' if value_json.present else 'OFF' }}",
        "off_delay": PRESENCE_OFF_S,
    });
    let last = json!({
        "platform": "sensor",
        "name": "Last subject",
        "icon": "mdi:account-check",
        "state_topic": topics.of(Topic::Access),
        "value_template":
            "{{ value_json.name | default(value_json.subject | default('unknown')) }}",
    });
    let options: Vec<&str> =
        std::iter::once("none").chain(Guidance::ALL.map(Guidance::name)).collect();
    let guidance = json!({
        "platform": "sensor",
        "name": "Guidance",
        "icon": "mdi:account-voice",
        "device_class": "enum",
        "options": options,
        "state_topic": topics.of(Topic::Guidance),
        "value_template": "{{ value_json.guidance }}",
    });
    let camera_problem = json!({
        "platform": "binary_sensor",
        "name": "Camera problem",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "state_topic": topics.of(Topic::Camera),
        "value_template":
            "{{ 'OFF' if value_json.state == 'streaming' and value_json.remedy is not defined else 'ON' }}",
        "json_attributes_topic": topics.of(Topic::Camera),
    });
    let database_problem = json!({
        "platform": "binary_sensor",
        "name": "Database problem",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "state_topic": topics.of(Topic::Health),
        "expire_after": HEALTH_EXPIRES_S,
        "value_template":
            "{{ 'OFF' if value_json.database == 'ok' and value_json.gallery == 'ok' else 'ON' }}",
    });
    let calibration_problem = json!({
        "platform": "binary_sensor",
        "name": "Calibration problem",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "state_topic": topics.of(Topic::Info),
        "value_template": "{{ 'ON' if value_json.beyond_calibration else 'OFF' }}",
    });
    let id_problem = json!({
        "platform": "binary_sensor",
        "name": "Door id problem",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "state_topic": topics.of(Topic::Health),
        "expire_after": HEALTH_EXPIRES_S,
        "value_template": "{{ 'ON' if value_json.contested else 'OFF' }}",
    });
    let lockout = json!({
        "platform": "binary_sensor",
        "name": "Lockout",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "state_topic": topics.of(Topic::Health),
        "expire_after": HEALTH_EXPIRES_S,
        "value_template": "{{ 'ON' if value_json.locked_out_s > 0 else 'OFF' }}",
    });
    vec![
        ("access", access),
        ("last_subject", last),
        ("strangers", alarm(topics, Topic::Strangers, "Strangers", "mdi:account-question")),
        ("duress", alarm(topics, Topic::Duress, "Duress", "mdi:alert-octagon")),
        ("presence", with(presence, needs_camera(topics))),
        // No expiry: it would be unavailable whenever nobody is there. Its end is said, and without
        // us or the camera it is unavailable.
        ("guidance", with(guidance, needs_camera(topics))),
        ("camera_problem", camera_problem),
        ("database_problem", database_problem),
        ("calibration_problem", calibration_problem),
        ("id_problem", id_problem),
        ("lockout", lockout),
    ]
}

/// An event of which somebody is to be told at once; its type is the topic's name.
fn alarm(topics: &Topics, topic: Topic, name: &str, icon: &str) -> Value {
    json!({
        "platform": "event",
        "name": name,
        "icon": icon,
        "state_topic": topics.of(topic),
        "event_types": [topic.name()],
    })
}

/// What a person looks at who asks why something does not work.
fn diagnostic(topics: &Topics) -> Vec<(&'static str, Value)> {
    let health = |name: &str, template: &str, more: Value| {
        let figure = json!({
            "state_topic": topics.of(Topic::Health),
            "expire_after": HEALTH_EXPIRES_S,
            "state_class": "measurement",
        });
        with(with(sensor(name, template), figure), more)
    };
    let info = |name: &str, template: &str| {
        with(sensor(name, template), json!({"state_topic": topics.of(Topic::Info)}))
    };
    let frame_rate = health(
        "Frame rate",
        "{{ value_json.frames.per_s | round(1) }}",
        json!({"unit_of_measurement": "fps"}),
    );
    let second_factor = json!({
        "platform": "binary_sensor",
        "name": "Second factor needed",
        "icon": "mdi:two-factor-authentication",
        "entity_category": "diagnostic",
        "state_topic": topics.of(Topic::Info),
        "value_template": "{{ 'OFF' if (value_json.face_alone | default({})).enough else 'ON' }}",
        "json_attributes_topic": topics.of(Topic::Info),
        "json_attributes_template": "{{ value_json.face_alone | default({}) | tojson }}",
    });
    vec![
        ("second_factor_needed", second_factor),
        ("frame_rate", with(frame_rate, needs_camera(topics))),
        (
            "decision_latency",
            health(
                "Decision latency p95",
                "{{ (value_json.stages.get('decision') or {}).get('p95') }}",
                json!({"unit_of_measurement": "ms", "device_class": "duration"}),
            ),
        ),
        (
            "temperature",
            health(
                "Temperature",
                "{{ value_json.get('temperature_c') }}",
                json!({"unit_of_measurement": "°C", "device_class": "temperature"}),
            ),
        ),
        (
            "memory",
            health(
                "Memory",
                "{{ value_json.rss_bytes }}",
                json!({"unit_of_measurement": "B", "device_class": "data_size"}),
            ),
        ),
        ("subjects", info("Subjects", "{{ value_json.subjects }}")),
        ("version", info("Software version", "{{ value_json.version }}")),
    ]
}

fn sensor(name: &str, template: &str) -> Value {
    json!({
        "platform": "sensor",
        "name": name,
        "entity_category": "diagnostic",
        "value_template": template,
    })
}

/// Available only while we are there and the camera streams, however it hangs.
fn needs_camera(topics: &Topics) -> Value {
    json!({
        "availability": [
            {"topic": topics.of(Topic::Status)},
            {
                "topic": topics.of(Topic::Camera),
                "value_template":
                    "{{ 'online' if value_json.state in ['streaming', 'misoriented'] else 'offline' }}",
            },
        ],
        "availability_mode": "all",
    })
}

/// `component` with the fields of `more`.
fn with(mut component: Value, more: Value) -> Value {
    if let (Value::Object(component), Value::Object(more)) = (&mut component, more) {
        component.extend(more);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn announced() -> (Message, Value) {
        announced_where(false)
    }

    fn announced_where(may_arm: bool) -> (Message, Value) {
        let topics = Topics::new("deepid-edge", "front-1").unwrap();
        let announced =
            Announced { prefix: PREFIX, grant_key: Some(KEY), retained: false, may_arm };
        let message = announce(announced, &topics, "0.1.0");
        let payload = serde_json::from_slice(&message.payload).unwrap();
        (message, payload)
    }

    #[test]
    fn the_message_is_as_agreed() {
        let (message, payload) = announced();
        assert_eq!(message.topic, "homeassistant/device/deepid-edge-front-1/config");
        assert!(!message.delivery.retained);
        insta::assert_json_snapshot!(payload);
    }

    /// The rules that Home Assistant's own check of a device discovery message applies, and those
    /// of the platforms that are used here.
    #[test]
    fn home_assistant_would_take_it() {
        let (_, payload) = announced();
        assert!(!payload["device"]["identifiers"].as_array().unwrap().is_empty());
        assert!(payload["origin"]["name"].is_string());
        assert_eq!(payload["device"]["serial_number"], KEY);
        let components = payload["components"].as_object().unwrap();
        let mut unique = std::collections::BTreeSet::new();
        let mut entities = std::collections::BTreeSet::new();
        for (key, component) in components {
            let platform = component["platform"].as_str().unwrap();
            let fields = component.as_object().unwrap();
            if key == "arming" {
                assert_eq!(
                    component,
                    &json!({"platform": "switch"}),
                    "a removal names nothing else"
                );
                continue;
            }
            assert!(fields.len() > 1, "{key}: a component with a platform only is a removal");
            assert!(unique.insert(component["unique_id"].as_str().unwrap()), "{key}");
            assert!(!fields.contains_key("object_id"), "{key}: gone from Home Assistant");
            let entity = component["default_entity_id"].as_str().unwrap();
            let (domain, name) = entity.split_once('.').unwrap();
            assert_eq!(domain, platform, "{key}");
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(!name.is_empty() && name.chars().all(plain), "{entity}");
            assert!(entities.insert(entity));
            assert!(component["state_topic"].is_string(), "{key}");
            assert!(
                matches!(platform, "event" | "binary_sensor" | "sensor"),
                "{key}: {platform} takes commands, or is none that the contract names"
            );
            assert!(!fields.keys().any(|k| k.contains("command")), "{key} takes commands");
            let category = fields.get("entity_category").map(|c| c.as_str().unwrap());
            assert!(matches!(category, None | Some("diagnostic")));
            // An expiring value whose messages come no oftener would flicker.
            if let Some(expiry) = fields.get("expire_after") {
                assert!(platform != "event", "{key}: an event has no value that could expire");
                let topic = component["state_topic"].as_str().unwrap();
                assert!(expiry.as_u64().unwrap() >= 90 && topic.ends_with("/health"));
            }
        }
        let event = &components["access"];
        let types = ["granted", "denied", "unknown", "ambiguous"];
        assert_eq!(event["event_types"], json!(types));
        assert!(event.get("value_template").is_none(), "the payload is taken as it is");
    }

    #[test]
    fn only_where_the_owner_lets_the_broker_arm_there_is_a_switch() {
        let (_, payload) = announced();
        assert_eq!(payload["components"]["arming"], json!({"platform": "switch"}));
        let (_, payload) = announced_where(true);
        let switch = &payload["components"]["arming"];
        assert_eq!(switch["platform"], "switch");
        assert_eq!(switch["command_topic"], "deepid-edge/front-1/armed/set");
        assert_eq!(switch["retain"], false, "a request is made now or not at all");
        let commands = payload["components"].as_object().unwrap().values();
        let commands = commands.filter(|one| one.get("command_topic").is_some());
        assert_eq!(commands.count(), 1, "and nothing else takes a command");
    }

    #[test]
    fn everything_goes_unavailable_with_us_and_some_with_the_camera() {
        let (_, payload) = announced();
        assert_eq!(payload["availability"][0]["topic"], "deepid-edge/front-1/status");
        for key in ["presence", "guidance", "frame_rate"] {
            let component = &payload["components"][key];
            assert_eq!(component["availability_mode"], "all", "{key}");
            assert_eq!(component["availability"][0]["topic"], "deepid-edge/front-1/status");
            assert_eq!(component["availability"][1]["topic"], "deepid-edge/front-1/camera");
            let template = component["availability"][1]["value_template"].as_str().unwrap();
            assert!(template.contains("['streaming', 'misoriented']"), "both give frames");
        }
        let problem = &payload["components"]["camera_problem"];
        assert!(problem.get("availability").is_none(), "it must speak when the camera does not");
    }

    #[test]
    fn forgetting_is_an_empty_message_on_the_same_topic() {
        let topics = Topics::new("deepid-edge", "front-1").unwrap();
        let message = forget(PREFIX, &topics);
        assert_eq!(message.topic, announced().0.topic);
        assert!(message.payload.is_empty());
    }
}
