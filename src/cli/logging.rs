//! The log: to standard error, as the configuration says.
//!
//! In: `log.level` and `log.format`. Out: `tracing`'s subscriber for this process; for the daemon a switch
//! for its level. Verbs that
//! answer a question log warnings alone unless a level was asked for, so that an answer is not
//! drowned; the daemon logs at the configured level. Where standard error is the journal, a line
//! carries its priority and no time of its own, so that `journalctl -p warning` finds warnings.
//! Invariant: no line leaves without having gone through [`crate::mask`].
//! Deliberately absent: files and rotation, which the journal does better.
//! Source: sd-daemon(3) for the priorities, systemd.exec(5) for `JOURNAL_STREAM`.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{self, FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, LogFormat, LogLevel, Origin};
use crate::mask;

/// Starts the log of a verb that answers and ends.
pub(super) fn for_a_verb(config: &Config) {
    let asked = config
        .settings()
        .iter()
        .any(|setting| setting.key == "log.level" && setting.origin != Origin::Default);
    let level = if asked { config.log.level.as_tracing() } else { Level::WARN };
    start(config, level);
}

/// Starts the log of the daemon, whose level can change while it runs.
pub(super) fn for_the_daemon(config: &Config) -> LevelSwitch {
    start(config, config.log.level.as_tracing())
}

/// Changes how much is logged.
pub(super) struct LevelSwitch(reload::Handle<LevelFilter, Registry>);

impl LevelSwitch {
    /// Logs by `level` from the next line on.
    pub(super) fn set(&self, level: LogLevel) {
        let wanted = LevelFilter::from_level(level.as_tracing());
        // Refused only where another log was first in this process: tests do that.
        drop(self.0.modify(|filter| *filter = wanted));
    }
}

fn start(config: &Config, level: Level) -> LevelSwitch {
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
    let is_json = config.log.format == LogFormat::Json;
    let layer = fmt::layer()
        .with_writer(move || Masked { into: io::stderr(), is_json })
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let layer = match (config.log.format, is_journal()) {
        (LogFormat::Text, false) => layer.boxed(),
        (LogFormat::Json, false) => layer.json().flatten_event(true).boxed(),
        (LogFormat::Text, true) => {
            let plain = format().with_target(false).with_level(false).without_time();
            layer.event_format(ForJournal(plain)).boxed()
        }
        (LogFormat::Json, true) => {
            layer.json().flatten_event(true).map_event_format(ForJournal).boxed()
        }
    };
    // A second log in one process (tests do that) keeps the first.
    let _kept = tracing_subscriber::registry().with(filter).with(layer).try_init();
    LevelSwitch(handle)
}

/// A writer of lines that secrets are taken out of; `tracing` hands a line over whole.
struct Masked<W> {
    into: W,
    is_json: bool,
}

impl<W: Write> Write for Masked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let masked = if self.is_json { mask::json(&line) } else { mask::text(&line) };
        self.into.write_all(masked.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// Whether standard error is what systemd connected to the journal: a program that was started by a
/// service and writes elsewhere has the variable too.
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    stderr.and_then(|file| file.metadata()).is_ok_and(|file| is_stream(&stream, &file))
}

/// Whether `stream`, a device and an inode, is `file`.
fn is_stream(stream: &str, file: &Metadata) -> bool {
    let numbers = stream.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    numbers == Some((Ok(file.dev()), Ok(file.ino())))
}

/// Another format with the priority before it, as the journal reads it.
struct ForJournal<F>(F);

impl<S, N, F> FormatEvent<S, N> for ForJournal<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// The syslog priority of a level.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let about = file.metadata().unwrap();
        assert!(is_stream(&format!("{}:{}", about.dev(), about.ino()), &about));
        for other in [format!("{}:{}", about.dev(), about.ino() + 1), String::new(), "7".into()] {
            assert!(!is_stream(&other, &about), "{other}");
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_for_the_journal_begins_with_its_priority() {
        let kept = Kept::default();
        let writer = kept.clone();
        let plain = format().with_target(false).with_level(false).without_time();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(ForJournal(plain))
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!(state = "stalled", "no frame");
            tracing::info!("ready");
        });
        let told = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told, "<4>no frame state=\"stalled\"\n<6>ready\n");
    }

    #[test]
    fn a_line_leaves_without_secrets_as_text_and_as_json() {
        let detail = "camera rtsp://user:se\"cret@cam: there is no such device";
        let kept = Kept::default();
        let text = kept.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || Masked { into: text.clone(), is_json: false })
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(log, || tracing::warn!(%detail, "camera"));
        let json = kept.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || Masked { into: json.clone(), is_json: true })
            .json()
            .flatten_event(true)
            .without_time()
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(log, || tracing::warn!(%detail, "camera"));
        let told = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let masked = "camera rtsp://***@cam: there is no such device";
        let wanted = [
            format!(" WARN camera detail={masked}"),
            format!("{{\"level\":\"WARN\",\"message\":\"camera\",\"detail\":\"{masked}\"}}"),
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
    }
}
