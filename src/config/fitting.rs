//! Checks across keys: values that are right alone and wrong together.
//!
//! In: typed sections and where each value came from. Out: every contradiction, with both keys and
//! what would be right. Invariant: pure; whether named files exist is for their readers to say.

use std::net::SocketAddr;

use super::address::DeviceKind;
use super::keys::Camera;
use super::layers::Setting;
use super::problem::{Origin, Problem};
use super::sections::{Encryption, Sections};
use crate::capture::program::Output;
use crate::capture::program::preset::{PASSWORD, USER};
use crate::compare::{Metric, Search};
use crate::detect::Strategy;
use crate::policy::{Direction, PassbackMode};

/// Where the value of `key` came from.
pub(super) fn origin(settings: &[Setting], key: &str) -> Origin {
    settings
        .iter()
        .find(|setting| setting.key == key)
        .map_or(Origin::Default, |setting| setting.origin.clone())
}

/// A `target_fpir` of a higher layer undoes a `threshold` of a lower one: the later word counts.
pub(super) fn resolve(mut settings: Vec<Setting>) -> Vec<Setting> {
    let (target, threshold) =
        (origin(&settings, "recognise.target_fpir"), origin(&settings, "recognise.threshold"));
    if layer(&target) > layer(&threshold)
        && let Some(setting) = settings.iter_mut().find(|s| s.key == "recognise.threshold")
    {
        setting.value = None;
        setting.origin = target;
    }
    settings
}

const fn layer(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::File(_) => 1,
        Origin::Environment(_) => 2,
        Origin::Flag(_) => 3,
    }
}

/// Everything that does not fit.
pub(super) fn contradictions(sections: &Sections, settings: &[Setting]) -> Vec<Problem> {
    let mut found = Contradictions { settings, problems: Vec::new() };
    found.of_the_camera(sections);
    found.of_seeing(sections);
    found.of_deciding(sections);
    found.of_recognising(sections);
    found.of_telling(sections);
    found.of_passback(sections);
    found.of_the_page(sections);
    found.problems
}

struct Contradictions<'a> {
    settings: &'a [Setting],
    problems: Vec<Problem>,
}

impl Contradictions<'_> {
    fn add(
        &mut self,
        key: &'static str,
        found: &impl ToString,
        other: impl Into<String>,
        remedy: &'static str,
    ) {
        self.problems.push(Problem::Contradiction {
            origin: origin(self.settings, key),
            key,
            found: crate::mask::value(&found.to_string()).into_owned(),
            other: other.into(),
            remedy,
        });
    }

    fn of_the_camera(&mut self, Sections { camera, .. }: &Sections) {
        if let (Some(identity), Some(path)) = (&camera.identity, &camera.replay.path) {
            self.add(
                "camera.replay.path",
                &path.display(),
                format!("camera.identity = \"{identity}\""),
                "a recording is not that camera; unset one of the two",
            );
        }
        self.of_the_program(camera);
    }

    /// What belongs to some kinds of cameras alone.
    fn of_the_program(&mut self, camera: &Camera) {
        let device = in_words(&camera.device);
        let kind = DeviceKind::of(&camera.device);
        let is_command = kind == DeviceKind::Command;
        if is_command && camera.command.is_none() {
            let remedy = "name the program in camera.command";
            self.add("camera.device", &"\"command\"", "an unset camera.command", remedy);
        }
        if !is_command && camera.command.is_some() {
            let remedy = "set camera.device to \"command\", or unset it";
            self.add("camera.command", &"a command", device.clone(), remedy);
        }
        match kind {
            DeviceKind::Node | DeviceKind::Libcamera => self.of_no_address(camera),
            DeviceKind::Command => {
                self.of_the_command(camera);
                self.of_no_address(camera);
            }
            DeviceKind::Address => self.of_the_address(camera),
        }
        if kind == DeviceKind::Node {
            return;
        }
        if let Some(identity) = &camera.identity {
            let remedy = "only V4L2 devices have an identity; unset it";
            self.add("camera.identity", &format!("\"{identity}\""), device.clone(), remedy);
        }
        if !camera.controls.is_empty() {
            let remedy = "only V4L2 devices have controls that are set by it; unset it";
            self.add("camera.controls", &"set", device, remedy);
        }
    }

    fn of_the_command(&mut self, camera: &Camera) {
        let is_raw = matches!(camera.command_format, Output::Yuv420 | Output::Nv12);
        if is_raw && (camera.width % 2 == 1 || camera.height % 2 == 1) {
            let size =
                format!("camera.width = {} and camera.height = {}", camera.width, camera.height);
            let format = format!("\"{}\"", camera.command_format.name().to_lowercase());
            self.add("camera.command_format", &format, size, "both sides of such frames are even");
        }
    }

    /// A camera that asks nobody who they are.
    fn of_no_address(&mut self, camera: &Camera) {
        let device = in_words(&camera.device);
        if let Some(user) = &camera.username {
            let remedy = "only a network camera is asked as somebody; unset it";
            self.add("camera.username", &format!("\"{user}\""), device.clone(), remedy);
        }
        if let Some(path) = &camera.password_file {
            let remedy = "only a network camera is told a password; unset it";
            self.add("camera.password_file", &quoted(Some(path)), device, remedy);
        }
    }

    /// User and password stand before the host, unless there is a sign for one of them.
    fn of_the_address(&mut self, camera: &Camera) {
        let device = format!("\"{}\"", camera.device);
        let (names_user, names_password) =
            (camera.device.contains(USER), camera.device.contains(PASSWORD));
        if names_user && camera.username.is_none() {
            let remedy = "set the name that '{username}' stands for";
            self.add("camera.device", &device, "an unset camera.username", remedy);
        }
        if names_password && camera.password_file.is_none() {
            let remedy = "name the file with the password that '{password}' stands for";
            self.add("camera.device", &device, "an unset camera.password_file", remedy);
        }
        let Some(path) = &camera.password_file else { return };
        if names_user && !names_password {
            let remedy = "it would never be told; write '{password}' where the camera wants it, or unset the file";
            let device = in_words(&camera.device);
            self.add("camera.password_file", &quoted(Some(path)), device, remedy);
        }
        if !names_user && !names_password && camera.username.is_none() {
            let remedy = "set the user name too";
            let other = "an unset camera.username";
            self.add("camera.password_file", &quoted(Some(path)), other, remedy);
        }
    }

    fn of_seeing(&mut self, Sections { detect, quality, visit, .. }: &Sections) {
        if detect.strategy == Strategy::FindThenFollow && detect.refresh_frames >= visit.agreeing {
            self.add(
                "detect.refresh_frames",
                &detect.refresh_frames,
                format!("visit.agreeing = {}", visit.agreeing),
                "a second person could stand outside every frame that agrees; make it smaller, or let more frames agree, or set detect.strategy to \"find\"",
            );
        }
        if quality.exposure_min >= quality.exposure_max {
            self.add(
                "quality.exposure_min",
                &quality.exposure_min,
                format!("quality.exposure_max = {}", quality.exposure_max),
                "no face could lie between; make it smaller",
            );
        }
    }

    /// Where people are is kept by the grants of two doors, of which each knows where it leads.
    fn of_passback(&mut self, Sections { door, passback, mqtt, .. }: &Sections) {
        if passback.mode == PassbackMode::Off {
            return;
        }
        let mode = "another passback.mode than 'off'";
        let named = passback.door.as_deref().unwrap_or("unset");
        if door.direction == Direction::None {
            let remedy = "say where this door leads: 'in' or 'out'";
            self.add("door.direction", &"none", mode, remedy);
        }
        if passback.door.is_none() || passback.keys.is_none() {
            let remedy = "name the door that leads the other way, and its key (passback.keys)";
            self.add("passback.door", &named, mode, remedy);
        }
        if passback.door.as_ref() == Some(&door.id) {
            let other = "the same door.id";
            let remedy = "name the other door: this one's own grants count by themselves";
            self.add("passback.door", &named, other, remedy);
        }
        if !mqtt.enabled {
            let remedy = "enable it: the other door's grants come by the broker";
            self.add("mqtt.enabled", &mqtt.enabled, mode, remedy);
        }
    }

    fn of_deciding(&mut self, Sections { visit, .. }: &Sections) {
        if visit.agreeing > visit.window {
            self.add(
                "visit.agreeing",
                &visit.agreeing,
                format!("visit.window = {}", visit.window),
                "so many frames can never agree; make the window at least as large",
            );
        }
        if visit.weight_min > visit.agreeing as f32 {
            self.add(
                "visit.weight_min",
                &visit.weight_min,
                format!("visit.agreeing = {}", visit.agreeing),
                "a frame weighs at most 1, so that many cannot reach it; make it smaller",
            );
        }
        let agreed_ms = u64::from(visit.agreeing.saturating_sub(1)) * visit.spacing_ms;
        if agreed_ms >= visit.timeout_ms {
            self.add(
                "visit.spacing_ms",
                &visit.spacing_ms,
                format!(
                    "visit.agreeing = {} and visit.timeout_ms = {}",
                    visit.agreeing, visit.timeout_ms
                ),
                "so many frames that far apart take longer than a visit may; make it smaller",
            );
        }
        if visit.stale_ms > visit.timeout_ms {
            self.add(
                "visit.stale_ms",
                &visit.stale_ms,
                format!("visit.timeout_ms = {}", visit.timeout_ms),
                "a frame must not count for longer than a visit lasts; make it smaller",
            );
        }
    }

    fn of_recognising(&mut self, Sections { recognise, policy, .. }: &Sections) {
        if let Some(required) = policy.required_fpir.filter(|rate| *rate > recognise.accept_fpir) {
            self.add(
                "policy.required_fpir",
                &required,
                format!("recognise.accept_fpir = {}", recognise.accept_fpir),
                "beyond that nobody is granted, second factor or not; make it at most as large",
            );
        }
        if recognise.search == Search::Approximate && recognise.metric == Metric::Euclidean {
            self.add(
                "recognise.search",
                &"approximate",
                "recognise.metric = \"euclidean\"",
                "no index compares by that metric; choose 'cosine' or 'euclidean-l2', or search exactly",
            );
        }
        let Some(threshold) = recognise.threshold else {
            if recognise.accept_fpir < recognise.target_fpir {
                self.add(
                    "recognise.accept_fpir",
                    &recognise.accept_fpir,
                    format!("recognise.target_fpir = {}", recognise.target_fpir),
                    "nobody would be granted; make it at least as large, or ask for less",
                );
            }
            return;
        };
        let (fits, remedy) = match recognise.metric {
            Metric::Cosine => {
                ((-1.0..=1.0).contains(&threshold), "for cosine it lies from -1 to 1")
            }
            Metric::Euclidean => (threshold >= 0.0, "for euclidean it is 0 or more"),
            Metric::EuclideanL2 => {
                ((0.0..=2.0).contains(&threshold), "for euclidean-l2 it lies from 0 to 2")
            }
        };
        if !fits {
            let metric = format!("recognise.metric = \"{}\"", recognise.metric);
            self.add("recognise.threshold", &threshold, metric, remedy);
        }
        let layer_of = |key| layer(&origin(self.settings, key));
        if layer_of("recognise.threshold") == layer_of("recognise.target_fpir") {
            self.add(
                "recognise.threshold",
                &threshold,
                format!("recognise.target_fpir = {}", recognise.target_fpir),
                "one of them decides; remove the other",
            );
        }
    }

    fn of_telling(&mut self, Sections { mqtt, .. }: &Sections) {
        if mqtt.password_file.is_some() && mqtt.username.is_none() {
            self.add(
                "mqtt.password_file",
                &quoted(mqtt.password_file.as_deref()),
                "an unset mqtt.username",
                "set the user name too",
            );
        }
        if !mqtt.tls.enabled && mqtt.tls.ca.is_some() {
            self.add(
                "mqtt.tls.ca",
                &quoted(mqtt.tls.ca.as_deref()),
                "mqtt.tls.enabled = false",
                "enable TLS, or remove the certificate authority: nothing would be encrypted",
            );
        }
        match (&mqtt.tls.cert, &mqtt.tls.key) {
            (Some(cert), None) => self.add(
                "mqtt.tls.cert",
                &quoted(Some(cert)),
                "an unset mqtt.tls.key",
                "a certificate needs its private key; set both or neither",
            ),
            (None, Some(key)) => self.add(
                "mqtt.tls.key",
                &quoted(Some(key)),
                "an unset mqtt.tls.cert",
                "a private key needs its certificate; set both or neither",
            ),
            _ => {}
        }
    }

    fn of_the_page(&mut self, Sections { serve, .. }: &Sections) {
        let address = serve.listen.as_deref().and_then(|text| text.parse::<SocketAddr>().ok());
        if let Some(address) = address
            && serve.tls == Encryption::Off
            && !address.ip().is_loopback()
        {
            self.add(
                "serve.listen",
                &format!("\"{address}\""),
                "serve.tls = \"off\"",
                "passwords would cross the network in the clear: set serve.tls = \"self-signed\", or listen on 127.0.0.1",
            );
        }
        let by_files = serve.tls == Encryption::Certificate;
        for (key, file) in [("serve.certificate", &serve.certificate), ("serve.key", &serve.key)] {
            match file {
                None if by_files => {
                    let remedy = "name both files, or set serve.tls = \"self-signed\"";
                    self.add("serve.tls", &"\"certificate\"", format!("an unset {key}"), remedy);
                }
                Some(path) if !by_files => {
                    let remedy = "set serve.tls = \"certificate\", or unset it";
                    self.add(key, &quoted(Some(path)), "another serve.tls", remedy);
                }
                _ => {}
            }
        }
    }
}

/// As it stands in a file, without what is secret.
fn in_words(device: &str) -> String {
    format!("camera.device = \"{}\"", crate::mask::value(device))
}

fn quoted(path: Option<&std::path::Path>) -> String {
    path.map(|path| format!("\"{}\"", path.display())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Flag, Sources};

    /// What is wrong with these values, or nothing.
    fn wrong(flags: &[(&str, &str)]) -> String {
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        let loaded = Config::load(&Sources { flags, ..Sources::default() });
        loaded.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_page_is_never_served_in_the_clear_beyond_this_machine() {
        for inside in ["127.0.0.1:8480", "[::1]:8480"] {
            assert_eq!(wrong(&[("serve.listen", inside)]), "");
        }
        for outside in ["0.0.0.0:8480", "192.168.1.5:8480", "[::]:8480"] {
            let said = wrong(&[("serve.listen", outside)]);
            assert!(said.contains("set serve.tls = \"self-signed\""), "{said}");
            assert_eq!(wrong(&[("serve.listen", outside), ("serve.tls", "self-signed")]), "");
        }
        let by_files = ("serve.tls", "certificate");
        let files = [by_files, ("serve.certificate", "/tmp/a.crt"), ("serve.key", "/tmp/a.key")];
        assert_eq!(wrong(&files), "");
        assert!(wrong(&files[..2]).contains("an unset serve.key"));
        assert!(wrong(&files[1..]).contains("set serve.tls = \"certificate\""));
    }

    #[test]
    fn what_belongs_to_another_kind_of_camera_is_told() {
        const COMMAND: (&str, &str) = ("camera.command", "[\"prog\"]");
        for device in ["auto", "libcamera", "rtsp://cam/1"] {
            let device = ("camera.device", device);
            assert_eq!(wrong(&[device]), "");
            assert!(wrong(&[device, COMMAND]).contains("set camera.device to \"command\""));
        }
        let command = ("camera.device", "command");
        assert_eq!(wrong(&[command, COMMAND]), "");
        assert!(wrong(&[command]).contains("name the program in camera.command"));
        let odd = [("camera.command_format", "nv12"), ("camera.width", "641")];
        assert!(wrong(&[command, COMMAND, odd[0], odd[1]]).contains("even"));
        assert_eq!(wrong(&odd), "", "it is no command's");
        for (device, is_asked, is_node) in
            [("auto", false, true), ("libcamera", false, false), ("rtsp://cam/1", true, false)]
        {
            let device = ("camera.device", device);
            let user = wrong(&[device, ("camera.username", "door")]);
            assert_eq!(user.contains("only a network camera is asked"), !is_asked, "{user}");
            let file = wrong(&[device, ("camera.password_file", "/a")]);
            assert_eq!(file.contains("only a network camera is told"), !is_asked, "{file}");
            let identity = wrong(&[device, ("camera.identity", "usb:046d:0825")]);
            assert_eq!(identity.contains("only V4L2 devices"), !is_node, "{identity}");
        }
    }

    #[test]
    fn user_and_password_of_an_address_are_told_where_it_has_signs_for_them() {
        const USER: (&str, &str) = ("camera.username", "door");
        const FILE: (&str, &str) = ("camera.password_file", "/a");
        let told = |address, others: &[(&'static str, &'static str)]| {
            let mut flags = vec![("camera.device", address)];
            flags.extend_from_slice(others);
            wrong(&flags)
        };
        for (address, others) in [
            ("rtsp://cam/1", &[][..]),
            ("rtsp://cam/1", &[USER]),
            ("rtsp://cam/1", &[USER, FILE]),
            ("rtsp://cam/1?u={username}", &[USER]),
            ("rtsp://cam/1?pwd={password}", &[FILE]),
            ("rtsp://cam/1?u={username}&pwd={password}", &[USER, FILE]),
        ] {
            assert_eq!(told(address, others), "", "{address}");
        }
        for (address, others, what) in [
            ("rtsp://cam/1", &[FILE][..], "set the user name too"),
            ("rtsp://cam/1?pwd={password}", &[], "an unset camera.password_file"),
            ("rtsp://cam/1?u={username}", &[], "an unset camera.username"),
            ("rtsp://cam/1?u={username}&pwd={password}", &[FILE], "'{username}' stands for"),
            ("rtsp://cam/1?u={username}", &[USER, FILE], "it would never be told"),
        ] {
            let found = told(address, others);
            assert!(found.contains(what), "{address}: {found}");
            assert_eq!(found.matches("does not fit").count(), 1, "{found}");
        }
    }
}
