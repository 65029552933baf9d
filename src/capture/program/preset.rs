//! Which program is started with which arguments, by what is configured.
//!
//! In: [`ProgramSettings`], the password. Out: [`Start`]s, of which the first that is installed is
//! taken. Pure, so that every argument is a line of a test.
//!
//! - `libcamera`: `rpicam-vid`, or `libcamera-vid` as it was called before; MJPEG, because a picture
//!   states its size and its end. Not `cam`: it writes a line for each frame to the standard output,
//!   among the frames.
//! - an address: ffmpeg, without audio, scaled into `camera.width` × `camera.height` in its own
//!   proportions, never faster than `camera.fps` and never by repeating a frame; Y4M, because each
//!   frame has a line before it and nothing is encoded anew.
//!
//! Invariants: the address of a network camera, in which user and password are, is told to ffmpeg by
//! its standard input, as a script for its concat demuxer, which any user but this one cannot read;
//! that script may open the network and nothing else. In an address [`USER`] and [`PASSWORD`] stand
//! for the two, for cameras that want them as parameters.
//! Source: the manual pages of rpicam-vid and ffmpeg; RFC 3986 for what is written as `%XX`.

use std::fmt::Write as _;

use super::{Output, Program, ProgramSettings};
use crate::capture::FrameRate;
use crate::capture::identity::ProgramKind;

/// Stands for the user in an address.
pub const USER: &str = "{username}";

/// Stands for the password in an address.
pub const PASSWORD: &str = "{password}";

/// How long ffmpeg waits for a network camera, in microseconds.
const NETWORK_TIMEOUT_US: u32 = 5_000_000;

/// How long ffmpeg looks at a stream before it begins, in microseconds.
const ANALYSIS_US: u32 = 1_000_000;

/// One program with what it is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// Its name or path.
    pub program: String,
    /// Its arguments: every user of the machine can read them.
    pub arguments: Vec<String>,
    /// What it reads from its standard input.
    pub script: Option<String>,
    /// What it writes.
    pub output: Output,
    /// What its own words must not show.
    pub hidden: Vec<String>,
    /// What it stands for.
    pub kind: ProgramKind,
}

impl std::fmt::Debug for Start {
    /// Without what is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Start {} {:?}", self.program, self.arguments)
    }
}

/// The programs that would do, the best first.
#[must_use]
pub fn starts(settings: &ProgramSettings, password: Option<&str>) -> Vec<Start> {
    let plain = |program: &str, arguments, output| Start {
        program: program.to_owned(),
        arguments,
        script: None,
        output,
        hidden: Vec::new(),
        kind: settings.program.kind(),
    };
    match &settings.program {
        Program::Command { arguments, output } => {
            let Some((program, rest)) = arguments.split_first() else { return Vec::new() };
            vec![plain(program, rest.to_vec(), *output)]
        }
        Program::Libcamera => ["rpicam-vid", "libcamera-vid"]
            .map(|program| plain(program, of_libcamera(settings), Output::Mjpeg))
            .into(),
        Program::Address(address) => {
            let user = settings.username.as_deref();
            let (encoded, shown) = (password.map(encoded), password.map(str::to_owned));
            vec![Start {
                script: Some(script(address, user, password)),
                hidden: [encoded, shown].into_iter().flatten().collect(),
                ..plain("ffmpeg", of_ffmpeg(settings), Output::Y4m)
            }]
        }
    }
}

fn of_libcamera(
    ProgramSettings { size: (width, height), rate, .. }: &ProgramSettings,
) -> Vec<String> {
    let rate = rate.hertz().to_string();
    let words = [
        "--nopreview",
        "--timeout",
        "0",
        "--width",
        &width.to_string(),
        "--height",
        &height.to_string(),
        "--framerate",
        &rate,
        "--codec",
        "mjpeg",
        "--quality",
        "90",
        "--flush",
        "--output",
        "-",
    ];
    words.map(str::to_owned).into()
}

fn of_ffmpeg(ProgramSettings { size: (width, height), rate, .. }: &ProgramSettings) -> Vec<String> {
    let filter = format!(
        "select='isnan(prev_selected_t)+gte(t-prev_selected_t\\,{:.4})',scale=w={width}:h={height}:force_original_aspect_ratio=decrease:force_divisible_by=2",
        least_gap_s(*rate)
    );
    let words = [
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "warning",
        "-f",
        "concat",
        "-safe",
        "0",
        "-protocol_whitelist",
        "pipe,rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto",
        "-fflags",
        "nobuffer",
        "-flags",
        "low_delay",
        "-i",
        "pipe:0",
        "-map",
        "0:v:0",
        "-vf",
        &filter,
        "-fps_mode",
        "passthrough",
        "-pix_fmt",
        "yuv420p",
        "-f",
        "yuv4mpegpipe",
        "-flush_packets",
        "1",
        "pipe:1",
    ];
    words.map(str::to_owned).into()
}

/// A frame that comes a little early is not passed over.
fn least_gap_s(rate: FrameRate) -> f64 {
    0.9 / rate.hertz()
}

/// What ffmpeg's concat demuxer reads.
fn script(address: &str, user: Option<&str>, password: Option<&str>) -> String {
    let address = with_credentials(address, user, password);
    // A quotation mark ends the text, stands alone, and begins it again.
    let quoted = address.replace('\'', "'\\''");
    let options = if address.starts_with("rtsp") {
        format!("option rtsp_transport tcp\noption timeout {NETWORK_TIMEOUT_US}\n")
    } else {
        format!("option rw_timeout {NETWORK_TIMEOUT_US}\n")
    };
    format!(
        "ffconcat version 1.0\nfile '{quoted}'\n{options}option analyzeduration {ANALYSIS_US}\n"
    )
}

/// The address with user and password: where their signs stand, else before the host.
fn with_credentials(address: &str, user: Option<&str>, password: Option<&str>) -> String {
    let (user, password) = (user.map(encoded), password.map(encoded));
    if address.contains(USER) || address.contains(PASSWORD) {
        return address
            .replace(USER, user.as_deref().unwrap_or_default())
            .replace(PASSWORD, password.as_deref().unwrap_or_default());
    }
    match (address.split_once("://"), user) {
        (Some((scheme, rest)), Some(user)) => {
            let password = password.map(|password| format!(":{password}")).unwrap_or_default();
            format!("{scheme}://{user}{password}@{rest}")
        }
        _ => address.to_owned(),
    }
}

/// `text` as it may stand anywhere in an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(program: Program) -> ProgramSettings {
        ProgramSettings {
            program,
            size: (640, 480),
            rate: FrameRate::per_second(15),
            username: Some("us er".to_owned()),
            password_file: None,
        }
    }

    #[test]
    fn an_address_and_its_password_are_in_no_argument() {
        let settings = settings(Program::Address("rtsp://cam.lan/1".to_owned()));
        let starts = starts(&settings, Some("p@ss:/w'rd"));
        let [start] = starts.as_slice() else { panic!("{starts:?}") };
        let arguments = start.arguments.join(" ");
        assert!(!arguments.contains("cam.lan") && !arguments.contains("p@ss"), "{arguments}");
        assert!(!format!("{start:?}").contains("p@ss"));
        let script = start.script.as_deref().unwrap();
        assert!(
            script.contains("file 'rtsp://us%20er:p%40ss%3A%2Fw%27rd@cam.lan/1'\n"),
            "{script}"
        );
        assert!(script.contains("rtsp_transport tcp"));
        assert_eq!(start.hidden, ["p%40ss%3A%2Fw%27rd", "p@ss:/w'rd"]);
        assert!(arguments.contains("gte(t-prev_selected_t\\,0.0600)"), "{arguments}");
    }

    #[test]
    fn credentials_stand_where_the_address_says() {
        let table = [
            ("http://cam/x?u={username}&pwd={password}", "http://cam/x?u=a%26b&pwd=%C3%BC"),
            ("http://cam/x", "http://a%26b:%C3%BC@cam/x"),
        ];
        for (address, wanted) in table {
            assert_eq!(with_credentials(address, Some("a&b"), Some("ü")), wanted);
        }
        assert_eq!(with_credentials("http://cam", None, Some("x")), "http://cam");
        assert_eq!(with_credentials("http://cam", Some("u"), None), "http://u@cam");
        assert!(script("http://cam/it's", None, None).contains("file 'http://cam/it'\\''s'\n"));
    }

    #[test]
    fn the_sensor_is_asked_by_either_name_and_a_command_is_taken_as_it_is() {
        let starts_of = |program| starts(&settings(program), None);
        let libcamera = starts_of(Program::Libcamera);
        let names: Vec<_> = libcamera.iter().map(|start| start.program.as_str()).collect();
        assert_eq!(names, ["rpicam-vid", "libcamera-vid"]);
        let wanted = "--nopreview --timeout 0 --width 640 --height 480 --framerate 15 --codec mjpeg --quality 90 --flush --output -";
        assert_eq!(libcamera[0].arguments.join(" "), wanted);
        let arguments = vec!["prog".to_owned(), "a b".to_owned(), "$HOME".to_owned()];
        let command = starts_of(Program::Command { arguments, output: Output::Nv12 });
        assert_eq!((command[0].program.as_str(), command[0].output), ("prog", Output::Nv12));
        assert_eq!(command[0].arguments, ["a b", "$HOME"]);
        assert!(starts_of(Program::Command { arguments: vec![], output: Output::Y4m }).is_empty());
    }
}
