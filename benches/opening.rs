//! How long it takes from a decision to the hub that hears `access`, and to the strike.
//!
//! `make opening`; `GRANTS=200` says how many. A decision goes to the daemon's own desk, which records it on
//! the disk and signs it, and by the daemon's own session to a real mosquitto on loopback. A hub listens to
//! `access`. The real `deepid-opener`, as a process of its own, verifies the grant with its nonce and starts its
//! unlocking program: this one, which says when it runs. Out: a table. Not part of it: camera and networks
//! (`cargo bench --bench frame`), a network, a relay; a GPIO line is set sooner than a program is started.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use deepid_edge::clock::{Clock, Monotonic};
use deepid_edge::publish::DeskRequest;
use deepid_edge::sign::GrantKey;
use support::Ended;
use support::door::{Door, grant, settings};
use support::mosquitto::{Broker, Mosquitto};
use support::subscriber::Subscriber;

/// The argument by which this program is the one that unlocks.
const UNLOCK: &str = "--unlock";
/// The shortest pulse that an opener takes, and a little more until the next grant.
const PULSE: Duration = Duration::from_millis(100);
const BETWEEN: Duration = Duration::from_millis(150);

/// Says to `socket` when this process runs.
fn unlock(socket: &str) {
    let now_us = support::daemon::clock().now().as_micros();
    UnixDatagram::unbound().unwrap().send_to(&now_us.to_le_bytes(), socket).unwrap();
}

/// The opener, built with the same profile.
fn opener() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let built = program.parent().and_then(Path::parent).unwrap().join("deepid-opener");
    built.exists().then_some(built)
}

/// Starts an opener that trusts the door's key and unlocks by this program.
fn start(opener: &Path, door: &Door, port: u16, socket: &Path) -> Ended {
    let key = GrantKey::from_pem(&std::fs::read(door.path("grant.key")).unwrap()).unwrap();
    let (this, folder) = (std::env::current_exe().unwrap(), door.path("opener"));
    std::fs::create_dir(&folder).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (this, folder_text, socket) = (text(&this), text(&folder), text(socket));
    let config = format!(
        "listener = \"inside\"\nstate_directory = {folder_text:?}\n[door]\nid = \"front\"\n[[door.keys]]\nx = \"{}\"\n[grant]\nnonce = true\nclock = \"never\"\n[broker]\nhost = \"127.0.0.1\"\nport = {port}\n[output]\npulse_ms = {}\n[output.command]\nunlock = [{this:?}, \"{UNLOCK}\", {socket:?}]\nlock = [\"/bin/true\"]\n",
        key.public().x(),
        PULSE.as_millis(),
    );
    let file = folder.join("opener.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(opener);
    Ended::with(command.arg("run").arg(file).stderr(Stdio::null()).spawn().unwrap())
}

fn row(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what:34} {:8.2} {:8.2} {:8.2} {:8.2}", ms(0.5), ms(0.95), ms(0.99), ms(1.0));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, socket] = arguments.as_slice()
        && word == UNLOCK
    {
        return unlock(socket);
    }
    let grants: usize = std::env::var("GRANTS").map_or(200, |grants| grants.parse().unwrap());
    let Some(opener) = opener() else {
        println!("opening: deepid-opener is not built beside this benchmark; run 'make opening'");
        return;
    };
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let hub = Subscriber::connect(broker.port(), "deepid-edge/front/access");
    let mut door = Door::open_signing(settings(broker.port()));
    door.until_connected();
    let socket = door.path("unlocked");
    let unlocked = UnixDatagram::bind(&socket).unwrap();
    unlocked.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let _opener = start(&opener, &door, broker.port(), &socket);

    let clock = support::daemon::clock();
    let [mut recorded, mut heard, mut opened] = [(); 3].map(|()| Vec::with_capacity(grants));
    for _ in 0..grants {
        let asked = |request: &DeskRequest| matches!(request, DeskRequest::Challenge(_));
        door.until_asked("the opener's nonce", asked);
        door.clock.advance(Duration::from_secs(1));
        let decision = grant(&door.clock);
        let decided = clock.now();
        door.decide(&decision);
        recorded.push(clock.now().since(decided));
        hub.next("access", |_| true);
        heard.push(clock.now().since(decided));
        let mut at = [0; 8];
        assert_eq!(unlocked.recv(&mut at).unwrap(), at.len());
        opened.push(Monotonic::from_micros(u64::from_le_bytes(at)).since(decided));
        clock.sleep(BETWEEN);
    }
    println!("{grants} grants, all on this machine; milliseconds since the decision\n");
    println!("{:34} {:>8} {:>8} {:>8} {:>8}", "", "median", "p95", "p99", "most");
    row("recorded on the disk, and signed", recorded);
    row("heard as 'access' by a hub", heard);
    row("the opener's unlocking program runs", opened);
}
