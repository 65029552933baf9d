//! Decisions out over MQTT: message.rs is the contract, session.rs the broker.
