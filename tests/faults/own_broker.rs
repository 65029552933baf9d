//! A broker of the test's own, which does what no broker should.
//!
//! In: how it behaves. Out: what the door has published to it, and how often it was connected to. It
//! speaks as much MQTT 5 as a door needs: CONNACK, SUBACK, PUBACK, PINGRESP, and messages to the door.
//! Deliberately absent: everything else; `mosquitto` is the broker of the other tests.
//! Source: OASIS MQTT 5.0, chapters 2 and 3.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use deepid_edge::clock::Clock as _;

/// What the broker does.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// As it should, and delivers nothing to anybody.
    Right,
    /// It accepts the connection and never says a word.
    Mute,
    /// It accepts what is published and acknowledges nothing of it.
    NeverAcknowledges,
    /// It takes so long for each answer.
    Slow(Duration),
    /// It answers the greeting with these bytes, and hangs up.
    Says(Vec<u8>),
    /// It hangs up as soon as it has been greeted.
    HangsUp,
    /// It accepts, and hangs up at once when something is published.
    HangsUpOnPublish,
    /// Once it has agreed to the subscription it sends these packets.
    Sends(Arc<Vec<u8>>),
    /// It sends back all that was published to it, on the same topic, again and again.
    Echoes(u32),
}

/// A message that the door has published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

#[derive(Default)]
struct State {
    published: Mutex<Vec<Published>>,
    /// Connections that were accepted, each as long as this broker runs.
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    ended: AtomicBool,
    behaviour: Mutex<Option<Behaviour>>,
}

/// The broker, until it is dropped.
pub struct OwnBroker {
    state: Arc<State>,
    port: u16,
    listening: Option<JoinHandle<()>>,
}

impl OwnBroker {
    /// Starts one on a free port.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        *state.behaviour.lock().unwrap() = Some(behaviour);
        let listening = Some(listen(listener, Arc::clone(&state)));
        Self { state, port, listening }
    }

    /// Goes away: connections end, and nobody listens on its port.
    pub fn stop(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        listening.join().ok();
        for stream in self.streams().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Is there again on the same port, and knows what was published to it before.
    pub fn start_again(&mut self) {
        assert!(self.listening.is_none(), "it still runs");
        self.state.ended.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        self.listening = Some(listen(listener, Arc::clone(&self.state)));
    }

    /// Says this to whoever is connected.
    pub fn says(&self, packets: &[u8]) {
        for stream in self.streams().iter_mut() {
            // One that is gone hears nothing.
            drop(stream.write_all(packets));
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.state.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Does this from the next packet on.
    pub fn becomes(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = Some(behaviour);
    }

    /// How often it was connected to.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// All that the door has published, in order.
    pub fn published(&self) -> Vec<Published> {
        self.state.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The payloads on the topics that end in `topic`.
    pub fn on(&self, topic: &str) -> Vec<Published> {
        self.published().into_iter().filter(|message| message.topic.ends_with(topic)).collect()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves whoever connects, each in a thread of its own, until the broker is ended.
fn listen(listener: TcpListener, shared: Arc<State>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if shared.ended.load(Ordering::SeqCst) {
                return;
            }
            let known = stream.try_clone().unwrap();
            shared.streams.lock().unwrap_or_else(PoisonError::into_inner).push(known);
            shared.connections.fetch_add(1, Ordering::SeqCst);
            let state = Arc::clone(&shared);
            std::thread::spawn(move || {
                // The door may hang up at any time.
                drop(serve(&state, &stream));
                // Another handle of it is kept: dropped, it would stay open.
                drop(stream.shutdown(Shutdown::Both));
            });
        }
    })
}

/// One packet: its first byte and its body.
fn packet(stream: &mut &TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let [kind] = byte;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

fn number(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// The bytes of a number of variable length, as MQTT writes it.
pub fn variable(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        bytes.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return bytes;
        }
    }
}

/// A PUBLISH to the door; with `answer_on` it is a request.
pub fn publish(topic: &str, payload: &[u8], retained: bool, answer_on: Option<&str>) -> Vec<u8> {
    let text = |text: &str| {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    };
    let properties = answer_on.map_or_else(Vec::new, |topic| [vec![0x08], text(topic)].concat());
    let body = [text(topic), variable(properties.len()), properties, payload.to_vec()].concat();
    [vec![0x30 | u8::from(retained)], variable(body.len()), body].concat()
}

/// Length and value of the properties that `body` begins with, as the place behind them.
fn behind_properties(body: &[u8]) -> usize {
    let (mut length, mut shift, mut place) = (0_usize, 0, 0);
    loop {
        length |= usize::from(body[place] & 0x7F) << shift;
        shift += 7;
        place += 1;
        if body[place - 1] & 0x80 == 0 {
            return place + length;
        }
    }
}

fn serve(state: &State, mut stream: &TcpStream) -> std::io::Result<()> {
    let clock = crate::support::daemon::clock();
    loop {
        let (kind, body) = packet(&mut stream)?;
        let behaviour = state.behaviour.lock().unwrap().clone().unwrap();
        if matches!(behaviour, Behaviour::Mute) {
            continue;
        }
        if let Behaviour::Slow(wait) = behaviour {
            clock.sleep(wait);
        }
        match kind >> 4 {
            1 => match &behaviour {
                Behaviour::Says(bytes) => {
                    stream.write_all(bytes)?;
                    return stream.shutdown(Shutdown::Write);
                }
                _ => stream.write_all(&[0x20, 3, 0, 0, 0])?,
            },
            3 => {
                let qos = kind >> 1 & 3;
                let length = number(&body);
                let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
                let rest = &body[2 + length..];
                let (id, rest) = if qos > 0 { rest.split_at(2) } else { rest.split_at(0) };
                let payload = rest[behind_properties(rest)..].to_vec();
                let retained = kind & 1 == 1;
                let message = Published { topic, payload, retained };
                state
                    .published
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(message.clone());
                match &behaviour {
                    Behaviour::NeverAcknowledges => continue,
                    Behaviour::HangsUpOnPublish => return stream.shutdown(Shutdown::Both),
                    Behaviour::Echoes(times) => {
                        let again = publish(&message.topic, &message.payload, retained, None);
                        for _ in 0..*times {
                            stream.write_all(&again)?;
                        }
                    }
                    _ => {}
                }
                if qos > 0 {
                    stream.write_all(&[0x40, 2, id[0], id[1]])?;
                }
            }
            8 => {
                if matches!(behaviour, Behaviour::HangsUp) {
                    return stream.shutdown(Shutdown::Both);
                }
                let mut rest = &body[2..];
                rest = &rest[behind_properties(rest)..];
                let mut filters = 0;
                while !rest.is_empty() {
                    rest = &rest[2 + number(rest) + 1..];
                    filters += 1;
                }
                let codes = vec![1; filters];
                let body = [&body[..2], &[0], &codes].concat();
                stream.write_all(&[vec![0x90], variable(body.len()), body].concat())?;
                if let Behaviour::Sends(packets) = &behaviour {
                    stream.write_all(packets)?;
                }
            }
            12 => stream.write_all(&[0xD0, 0])?,
            14 => return Ok(()),
            _ => {}
        }
    }
}
