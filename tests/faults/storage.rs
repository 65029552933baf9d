//! A storage below SQLite that fails on demand and knows what a power cut would leave of it.
//!
//! In: a folder whose database is to be watched, and which call is to fail. Out: a list of all that
//! SQLite wrote, truncated, synced and deleted there, in that order, and from it the files that are
//! left when the power fails behind any of these calls. Real files are written all the same, by SQLite's
//! own code: this is a VFS that stands before it. Folders that nobody watches are not touched.
//!
//! Invariant: what was written to a file before its last sync is there; of what came later each write
//! is kept, lost or torn by itself, whatever came before it. Deliberately absent: what a drive does that
//! says it has synced and has not; [`Power::Lying`] stands for that, and promises nothing.
//! Source: sqlite.org/vfs.html, sqlite.org/atomiccommit.html (what SQLite expects of a drive).
#![expect(unsafe_code, reason = "SQLite calls a VFS through pointers; tests alone do so")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi::{
    SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};

/// Bytes that a drive writes at once.
const SECTOR: usize = 512;

/// A file of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The database itself.
    Pages,
    /// Its write-ahead log.
    Log,
}

/// What SQLite did.
#[derive(Debug, Clone)]
pub enum Done {
    /// It wrote.
    Wrote { part: Part, at: usize, bytes: Vec<u8> },
    /// It cut a file, or made it longer.
    Cut { part: Part, length: usize },
    /// It had a file made durable.
    Synced { part: Part },
    /// It deleted a file.
    Deleted { part: Part },
}

/// A kind of call that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    Cut,
    Sync,
}

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    pub call: Call,
    /// So many go well first.
    pub after: u64,
    /// So many fail then.
    pub times: u64,
    /// What SQLite is told; a write that finds no room has written its first half.
    pub code: c_int,
}

#[derive(Debug, Default)]
struct Watched {
    done: Vec<Done>,
    failing: Option<Failing>,
    failed: u64,
}

/// The database of a folder, watched while this lives.
pub struct Storage {
    folder: PathBuf,
    watched: Arc<Mutex<Watched>>,
    /// The files as they were when the watch began.
    before: Image,
}

static FOLDERS: Mutex<BTreeMap<PathBuf, Arc<Mutex<Watched>>>> = Mutex::new(BTreeMap::new());
static FILES: Mutex<Option<HashMap<usize, Opened>>> = Mutex::new(None);
static REGISTERED: Once = Once::new();

/// An open file of a watched folder.
struct Opened {
    watched: Arc<Mutex<Watched>>,
    part: Part,
    original: *const sqlite3_io_methods,
    /// What SQLite calls instead; it points here.
    _ours: Box<sqlite3_io_methods>,
}

// SAFETY: `original` points to a static table of SQLite's own.
unsafe impl Send for Opened {}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Storage {
    /// Watches the database `door.db` in `folder`, which nobody has open.
    pub fn watch(folder: &Path) -> Self {
        REGISTERED.call_once(register);
        let watched = Arc::new(Mutex::new(Watched::default()));
        locked(&FOLDERS).insert(folder.to_owned(), Arc::clone(&watched));
        Self { folder: folder.to_owned(), watched, before: Image::of(folder) }
    }

    /// From now on calls fail so.
    pub fn fail(&self, failing: Failing) {
        let mut watched = locked(&self.watched);
        (watched.failing, watched.failed) = (Some(failing), 0);
    }

    /// From now on all goes well; how many calls have failed.
    pub fn heal(&self) -> u64 {
        let mut watched = locked(&self.watched);
        watched.failing = None;
        watched.failed
    }

    /// Has `work` done while all goes well; after it calls fail as before.
    pub fn spared<T>(&self, work: impl FnOnce() -> T) -> T {
        let failing = locked(&self.watched).failing.take();
        let done = work();
        locked(&self.watched).failing = failing;
        done
    }

    /// How many things SQLite has done so far.
    pub fn done(&self) -> usize {
        locked(&self.watched).done.len()
    }

    /// Shows `look` what would be left behind each thing that was done, from the first on.
    pub fn cuts(&self, power: Power, mut look: impl FnMut(usize, &dyn Fn(u64) -> Image)) {
        let done = locked(&self.watched).done.clone();
        let (mut durable, mut pending) = (self.before.clone(), Vec::new());
        for (number, one) in (1..).zip(&done) {
            match one {
                Done::Synced { .. } if power == Power::Lying => {}
                Done::Synced { part } => {
                    let (now, later): (Vec<_>, Vec<_>) =
                        pending.into_iter().partition(|done: &&Done| done.part() == *part);
                    for done in now {
                        durable.apply(done);
                    }
                    pending = later;
                }
                other => pending.push(other),
            }
            look(number, &|seed| power.left(&durable, &pending, seed));
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        locked(&FOLDERS).remove(&self.folder);
    }
}

impl Done {
    const fn part(&self) -> Part {
        match self {
            Self::Wrote { part, .. }
            | Self::Cut { part, .. }
            | Self::Synced { part }
            | Self::Deleted { part } => *part,
        }
    }
}

/// What becomes of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// All of it is there: the process was killed, the machine goes on.
    Killed,
    /// Nothing of it is there.
    Lost,
    /// Each write is there or not, by chance: the drive wrote in an order of its own.
    Reordered,
    /// Each sector of each write is there, is not, or holds something else.
    Torn,
    /// As [`Power::Reordered`], by a drive that has synced nothing, whatever it said.
    Lying,
}

impl Power {
    fn left(self, durable: &Image, pending: &[&Done], seed: u64) -> Image {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut image = durable.clone();
        for done in pending {
            match (self, done) {
                (Self::Lost, _) => {}
                (Self::Killed, _) => image.apply(done),
                (Self::Torn, Done::Wrote { part, at, bytes }) => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        let mut bytes = sector.to_vec();
                        match random.u8(0..4) {
                            0 => continue,
                            1 => random.fill(&mut bytes),
                            _ => {}
                        }
                        image.apply(&Done::Wrote { part: *part, at: at + index * SECTOR, bytes });
                    }
                }
                (Self::Reordered | Self::Lying | Self::Torn, _) => {
                    if random.bool() {
                        image.apply(done);
                    }
                }
            }
        }
        image
    }
}

/// The files of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    pages: Vec<u8>,
    log: Vec<u8>,
}

impl Image {
    fn of(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
        Self { pages: read("door.db"), log: read("door.db-wal") }
    }

    fn apply(&mut self, done: &Done) {
        let file = match done.part() {
            Part::Pages => &mut self.pages,
            Part::Log => &mut self.log,
        };
        match done {
            Done::Wrote { at, bytes, .. } => {
                let end = at + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*at..end].copy_from_slice(bytes);
            }
            Done::Cut { length, .. } => file.resize(*length, 0),
            Done::Deleted { .. } => file.clear(),
            Done::Synced { .. } => {}
        }
    }

    /// Writes it into `folder`, where no database is open.
    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("door.db"), &self.pages).unwrap();
        std::fs::write(folder.join("door.db-wal"), &self.log).unwrap();
        drop(std::fs::remove_file(folder.join("door.db-shm")));
    }
}

fn parent() -> *mut sqlite3_vfs {
    // SAFETY: a name that ends in zero; SQLite's own VFS lives for ever.
    unsafe { sqlite3_vfs_find(c"unix".as_ptr()) }
}

fn register() {
    let parent = parent();
    assert!(!parent.is_null(), "SQLite has a VFS for this system");
    // SAFETY: it is SQLite's own, and was just found.
    let mut ours = unsafe { *parent };
    ours.zName = c"watched".as_ptr();
    ours.xOpen = Some(open);
    ours.xDelete = Some(delete);
    // SAFETY: it is leaked, so that it lives as long as SQLite may call it.
    let registered = unsafe { sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1) };
    assert_eq!(registered, SQLITE_OK);
}

/// The watched folder and the part that a file name means.
fn place(name: *const c_char) -> Option<(Arc<Mutex<Watched>>, Part)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite's names end in zero.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    let path = Path::new(name);
    let part = match path.file_name()?.to_str()? {
        "door.db" => Part::Pages,
        "door.db-wal" => Part::Log,
        _ => return None,
    };
    Some((Arc::clone(locked(&FOLDERS).get(path.parent()?)?), part))
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let parent = parent();
    // SAFETY: the arguments are SQLite's own, for a VFS whose files are of the same size.
    let opened = unsafe { (*parent).xOpen.unwrap()(parent, name, file, flags, out) };
    let Some((watched, part)) = place(name).filter(|_| opened == SQLITE_OK) else { return opened };
    // SAFETY: the file was opened and has methods, a table that is never written.
    let original = unsafe { (*file).pMethods };
    // SAFETY: as above.
    let mut ours = Box::new(unsafe { *original });
    // Version 3 would map the file into memory, past all this.
    ours.iVersion = ours.iVersion.min(2);
    ours.xClose = Some(close);
    ours.xRead = Some(read);
    ours.xWrite = Some(write);
    ours.xTruncate = Some(cut);
    ours.xSync = Some(sync);
    // SAFETY: SQLite's; the table lives in FILES until the file is closed.
    unsafe { (*file).pMethods = &raw const *ours };
    let opened_file = Opened { watched, part, original, _ours: ours };
    locked(&FILES).get_or_insert_default().insert(file as usize, opened_file);
    opened
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if let Some((watched, part)) = place(name) {
        locked(&watched).done.push(Done::Deleted { part });
    }
    let parent = parent();
    // SAFETY: the arguments are SQLite's own.
    unsafe { (*parent).xDelete.unwrap()(parent, name, sync) }
}

/// The original methods of an open file, its part and whom to tell.
fn known(file: *mut sqlite3_file) -> (*const sqlite3_io_methods, Part, Arc<Mutex<Watched>>) {
    let files = locked(&FILES);
    let opened = files.as_ref().unwrap().get(&(file as usize)).unwrap();
    (opened.original, opened.part, Arc::clone(&opened.watched))
}

impl Watched {
    /// What a call is to fail with, if it is to.
    fn fails(&mut self, call: Call) -> Option<c_int> {
        let failing = self.failing.as_mut().filter(|failing| failing.call == call)?;
        if failing.after > 0 {
            failing.after -= 1;
            return None;
        }
        failing.times = failing.times.checked_sub(1)?;
        self.failed += 1;
        Some(failing.code)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let opened = locked(&FILES).as_mut().unwrap().remove(&(file as usize)).unwrap();
    // SAFETY: the file is open, and these are the methods that it was opened with.
    unsafe {
        (*file).pMethods = opened.original;
        (*opened.original).xClose.unwrap()(file)
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    into: *mut c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    let (original, _, watched) = known(file);
    if let Some(code) = locked(&watched).fails(Call::Read) {
        return code;
    }
    // SAFETY: the arguments are SQLite's own.
    unsafe { (*original).xRead.unwrap()(file, into, length, at) }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: sqlite3_int64,
) -> c_int {
    let (original, part, watched) = known(file);
    let mut watched = locked(&watched);
    let failing = watched.fails(Call::Write);
    let length = if failing.is_some() { length / 2 } else { length };
    // SAFETY: SQLite hands over so many bytes, or twice as many.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length as usize) }.to_vec();
    watched.done.push(Done::Wrote { part, at: at as usize, bytes });
    // SAFETY: the arguments are SQLite's own.
    let wrote = unsafe { (*original).xWrite.unwrap()(file, from, length, at) };
    failing.unwrap_or(wrote)
}

unsafe extern "C" fn cut(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    let (original, part, watched) = known(file);
    let mut watched = locked(&watched);
    if let Some(code) = watched.fails(Call::Cut) {
        return code;
    }
    watched.done.push(Done::Cut { part, length: length as usize });
    // SAFETY: the arguments are SQLite's own.
    unsafe { (*original).xTruncate.unwrap()(file, length) }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let (original, part, watched) = known(file);
    let mut watched = locked(&watched);
    if let Some(code) = watched.fails(Call::Sync) {
        return code;
    }
    watched.done.push(Done::Synced { part });
    // SAFETY: the arguments are SQLite's own.
    unsafe { (*original).xSync.unwrap()(file, flags) }
}
