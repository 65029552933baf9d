//! A mosquitto of the test's own, and a client that plays the door.
//!
//! In: nothing. Out: a broker on a free port of the loopback, ended with its value; messages as they come.
//! Without the program a test says that it skips, or fails where `DEEPID_EDGE_REQUIRE_ALL` is set.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, PublishOptions, QoS};
use serde_json::Value;

/// How long anything may take before a test gives up. No test measures time by it.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Mosquitto {
    folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
    /// Further lines of its configuration.
    more: String,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Mosquitto {
    /// Starts one; `None` where the program is missing.
    pub fn start() -> Option<Self> {
        Self::start_with(String::new())
    }

    /// The same with further lines in its configuration.
    pub fn start_with(more: String) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Self { folder, port: free_port(), child: None, more };
        broker.start_again().then_some(broker)
    }

    /// Starts it again on the same port, with nothing remembered.
    pub fn start_again(&mut self) -> bool {
        let file = self.folder.path().join("mosquitto.conf");
        let text = format!(
            "persistence false\nlog_dest stderr\nlog_type all\nuser root\nper_listener_settings true\nlistener {} 127.0.0.1\nallow_anonymous true\n{}",
            self.port, self.more
        );
        std::fs::write(&file, text).unwrap();
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
            .into_iter()
            .find(|program| Path::new(program).exists());
        let Some(program) = program else {
            let strict = std::env::var_os("DEEPID_EDGE_REQUIRE_ALL").is_some();
            assert!(!strict, "mosquitto is not installed; run 'apt-get install mosquitto'");
            eprintln!("SKIPPED: mosquitto is not installed; run 'apt-get install mosquitto'");
            return false;
        };
        let child =
            Command::new(program).arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
        // Kept first: whatever fails from here on, it is ended with this.
        let child = self.child.insert(child);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("running")), "mosquitto does not start");
        std::thread::spawn(move || lines.for_each(drop));
        true
    }

    /// Ends it as a power cut would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

pub struct Door {
    client: Client,
    messages: Receiver<(String, Vec<u8>)>,
    /// What came while another topic was waited for.
    passed_over: RefCell<Vec<(String, Vec<u8>)>>,
}

impl Door {
    /// Connects, and listens to everything.
    pub fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new(format!("door-{port}"), ("127.0.0.1", port));
        options.set_keep_alive(5);
        let (client, mut connection) = Client::builder(options).capacity(64).build();
        client.subscribe("#", QoS::AtLeastOnce).unwrap();
        let (sender, messages) = channel();
        let (ready, agreed) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                        if sender.send((topic, publish.payload.to_vec())).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        agreed.recv_timeout(PATIENCE).unwrap();
        Self { client, messages, passed_over: RefCell::default() }
    }

    pub fn publish(&self, topic: &str, retain: bool, payload: &str) {
        let options = PublishOptions::at_least_once().retain(retain);
        self.client.publish(topic, payload, options).unwrap();
    }

    /// The next message on `topic`, as JSON; none is lost while another topic is waited for.
    pub fn on(&self, topic: &str) -> Value {
        let mut passed_over = self.passed_over.borrow_mut();
        if let Some(place) = passed_over.iter().position(|(on, _)| on == topic) {
            return serde_json::from_slice(&passed_over.remove(place).1).unwrap();
        }
        loop {
            let came = self.messages.recv_timeout(PATIENCE);
            let (on, payload) = came.unwrap_or_else(|_| panic!("nothing came on {topic}"));
            if on == topic {
                return serde_json::from_slice(&payload).unwrap();
            }
            passed_over.push((on, payload));
        }
    }
}
