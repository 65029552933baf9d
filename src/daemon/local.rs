//! What the command line on this machine asks of the running daemon: what is in its memory alone.
//!
//! ```text
//! client ── one line of JSON: a Question ──> a socket beside the database ──> the desk
//!        <── one line of JSON: a Reply ──────────────────────────────────────────┘
//! ```
//!
//! Whoever may use the socket may use the database: it belongs to the service's user and nobody else may
//! connect (mode 600). One question at a time; each side gives up after a while. Invariants: what keeps the
//! socket from being made keeps no door from deciding; nobody waits for who does not speak; names go from one
//! end to the other and nowhere else. Deliberately absent: whatever the database can carry.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::desk::Task;
use super::desk_thread::Order;
pub use super::recall::VisitName;
use super::recall::{Enrolled, NotEnrolled};
use crate::clock::{Clock as _, SystemClock};
use crate::compare::SubjectId;
use crate::enrol::{Warning, Wish};
use crate::store::Error;

/// A question's longest line.
const QUESTION_BYTES_MAX: u64 = 4096;
/// A reply's.
const REPLY_BYTES_MAX: u64 = 256 * 1024;
/// For so long the daemon waits for a question that has begun.
const SPOKEN_WITHIN: Duration = Duration::from_secs(2);
/// For so long the desk may take, and the client waits a little longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Enrol a stranger who was just there.
    Enroll {
        /// Which visit.
        visit: VisitName,
        /// The name, or the id where references are added or replaced.
        name: String,
        /// What is wished under that name.
        wish: Wish,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Somebody was enrolled.
    Enrolled {
        /// Who.
        subject: SubjectId,
        /// The name, for the administrator's eyes only.
        name: String,
        /// How many references were added.
        references: u64,
        /// What somebody should look at again.
        warnings: Vec<Warning>,
    },
    /// It was not done.
    Refused {
        /// A word of the answers to signed requests.
        reason: String,
        /// The same for a person, with what helps.
        what: String,
    },
}

impl Reply {
    fn refused(reason: &str, what: impl Into<String>) -> Self {
        Self::Refused { reason: reason.to_owned(), what: what.into() }
    }
}

/// A question on its way to the desk.
#[derive(Debug)]
pub struct Local {
    pub(super) question: Question,
    reply: SyncSender<Reply>,
}

impl Local {
    /// `question`, and where the reply will come.
    #[must_use]
    pub fn new(question: Question) -> (Self, Receiver<Reply>) {
        let (reply, replied) = sync_channel(1);
        (Self { question, reply }, replied)
    }

    /// Gives the answer; what the database said, where that is why nobody was enrolled.
    pub(super) fn answer(&self, result: Result<Enrolled, NotEnrolled>) -> Option<Error> {
        let (reply, failed) = match result {
            Ok(Enrolled { subject, references, warnings }) => {
                let (subject, name) = (subject.id, subject.name);
                (Reply::Enrolled { subject, name, references, warnings }, None)
            }
            Err(refused) => {
                (Reply::refused(refused.reason(), refused.what()), refused.into_failed())
            }
        };
        // Whoever asked may have gone.
        drop(self.reply.try_send(reply));
        failed
    }
}

/// Where the daemon of the database at `store` listens.
#[must_use]
pub fn socket_of(store: &Path) -> PathBuf {
    let mut path = store.as_os_str().to_owned();
    path.push(".sock");
    path.into()
}

/// The socket, which is taken away when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// Makes the socket beside the database at `store`. One that a daemon which was killed has left there is
/// replaced; one at which somebody listens is not.
fn bind(store: &Path) -> std::io::Result<(Socket, UnixListener)> {
    let path = socket_of(store);
    if std::fs::symlink_metadata(&path).is_ok_and(|it| it.file_type().is_socket()) {
        if UnixStream::connect(&path).is_ok() {
            return Err(ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    let socket = Socket { path };
    std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(0o600))?;
    Ok((socket, listener))
}

/// Listens on a thread of its own, which ends with the process. `None` where that cannot be, which is in the
/// log.
pub(super) fn listen(
    store: &Path,
    desk: SyncSender<Order>,
    clock: Arc<SystemClock>,
) -> Option<Socket> {
    let begun = bind(store).and_then(|(socket, listener)| {
        let thread = std::thread::Builder::new().name("local".to_owned());
        thread.spawn(move || serve(&listener, &desk, &clock))?;
        Ok(socket)
    });
    begun
        .inspect_err(|error| {
            tracing::warn!(
                %error,
                "no socket beside the database: 'deepid-edge enroll --from-visit' cannot reach this daemon; the door goes on"
            );
        })
        .ok()
}

fn serve(listener: &UnixListener, desk: &SyncSender<Order>, clock: &SystemClock) {
    for client in listener.incoming() {
        match client {
            Ok(client) => {
                if let Err(error) = attend(client, desk) {
                    tracing::debug!(%error, "somebody at the local socket was not answered");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can ask at the local socket; it is tried again");
                // Without file descriptors it would be asked again at once.
                clock.sleep(SPOKEN_WITHIN);
            }
        }
    }
}

fn attend(mut client: UnixStream, desk: &SyncSender<Order>) -> std::io::Result<()> {
    client.set_read_timeout(Some(SPOKEN_WITHIN))?;
    client.set_write_timeout(Some(SPOKEN_WITHIN))?;
    let mut line = Vec::new();
    BufReader::new((&client).take(QUESTION_BYTES_MAX)).read_until(b'\n', &mut line)?;
    let reply = match serde_json::from_slice(&line) {
        Ok(question) => put(question, desk),
        Err(error) => Reply::refused("malformed", format!("this is no question: {error}")),
    };
    let mut text = serde_json::to_vec(&reply).unwrap_or_default();
    text.push(b'\n');
    client.write_all(&text)
}

/// Puts a question to the desk, and waits.
fn put(question: Question, desk: &SyncSender<Order>) -> Reply {
    let (local, replied) = Local::new(question);
    if desk.try_send(Order::Do(Task::Local(local))).is_err() {
        return Reply::refused("fault", "the daemon is busy, or ends; try again");
    }
    replied.recv_timeout(ANSWERED_WITHIN).unwrap_or_else(|_| {
        Reply::refused("fault", "the daemon did not answer in time; 'deepid-edge subjects list' says whether it was done")
    })
}

/// Why nobody answered.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Nobody listens.
    #[error("no daemon of this database is running ({0})")]
    NotRunning(std::io::Error),
    /// The socket is not this user's.
    #[error("this user may not ask the daemon ({0})")]
    Denied(std::io::Error),
    /// The daemon gave no answer that can be read.
    #[error("the daemon did not answer ({0})")]
    Silent(std::io::Error),
}

/// Asks the daemon of the database at `store`.
///
/// # Errors
/// [`LocalError`].
pub fn ask(store: &Path, question: &Question) -> Result<Reply, LocalError> {
    let mut daemon = UnixStream::connect(socket_of(store)).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => LocalError::Denied(error),
        _ => LocalError::NotRunning(error),
    })?;
    let mut asked = || -> std::io::Result<Reply> {
        daemon.set_read_timeout(Some(ANSWERED_WITHIN + SPOKEN_WITHIN))?;
        daemon.set_write_timeout(Some(SPOKEN_WITHIN))?;
        let mut text = serde_json::to_vec(question)?;
        text.push(b'\n');
        daemon.write_all(&text)?;
        let mut line = Vec::new();
        BufReader::new((&daemon).take(REPLY_BYTES_MAX)).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    };
    asked().map_err(LocalError::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockRequirement, Floor};

    fn question() -> Question {
        Question::Enroll { visit: VisitName::Seq(7), name: "Ada".to_owned(), wish: Wish::New }
    }

    #[test]
    fn a_question_goes_to_the_desk_and_its_answer_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("door.db");
        assert!(matches!(ask(&store, &question()), Err(LocalError::NotRunning(_))));
        let (desk, orders) = sync_channel(4);
        let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
        let socket = listen(&store, desk, Arc::new(clock)).unwrap();
        let mode = std::fs::metadata(socket_of(&store)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else may ask");
        let desk = std::thread::spawn(move || {
            let Ok(Order::Do(Task::Local(local))) = orders.recv() else { panic!("a question") };
            assert_eq!(local.question, question());
            let refused = NotEnrolled::Refused { reason: "not_possible", what: "no".to_owned() };
            assert!(local.answer(Err(refused)).is_none());
            // Nobody is at the desk any more.
        });
        let refused = Reply::refused("not_possible", "no");
        assert_eq!(ask(&store, &question()).unwrap(), refused);
        desk.join().unwrap();
        let Reply::Refused { reason, .. } = ask(&store, &question()).unwrap() else { panic!() };
        assert_eq!(reason, "fault");
        // Garbage is answered, and ends nothing.
        let mut client = UnixStream::connect(socket_of(&store)).unwrap();
        client.write_all(b"{\"enroll\":{\"visit\":7}}\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("malformed"), "{answer}");
        drop(socket);
        assert!(!socket_of(&store).exists(), "it is taken away");
    }

    #[test]
    fn what_a_killed_daemon_left_is_replaced_and_what_somebody_uses_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("door.db");
        drop(UnixListener::bind(socket_of(&store)).unwrap());
        assert!(socket_of(&store).exists(), "as a kill leaves it");
        let (first, _listener) = bind(&store).unwrap();
        assert_eq!(bind(&store).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(first);
        std::fs::write(socket_of(&store), "somebody's file").unwrap();
        assert!(bind(&store).is_err());
        assert!(socket_of(&store).exists(), "what is no socket is left alone");
    }
}
