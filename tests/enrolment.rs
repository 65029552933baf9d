//! Enrolment as a daemon would do it: by the library, with its own boot and clock, without a
//! terminal.
//!
//! Needs what `make assets` fetches; says what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use deepid_edge::clock::{ClockTrust, ManualClock, Monotonic, WallClock};
use deepid_edge::config::{Config, Flag, Sources};
use deepid_edge::enrol::{
    Draft, EnrolError, Gathered, Judge, Pictures, Step, Unusable, Warning, Whom, Wish, gather,
};
use deepid_edge::equip::Networks;
use deepid_edge::store::{Administrative, Body, Error, Signature, Store, StoreSettings};
use support::models::{assets, root};

const WALL: WallClock =
    WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };

/// A door's configuration, networks and database.
struct Door {
    config: Config,
    networks: Networks,
    store: Store,
    _folder: tempfile::TempDir,
}

impl Door {
    fn new() -> Option<Self> {
        if !assets() {
            return None;
        }
        let flags = vec![Flag::set("door.id", "back")];
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let networks = Networks::open(&config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap();
        Some(Self { config, networks, store, _folder: folder })
    }

    fn gather(&self, pictures: Pictures<'_>, tell: &mut dyn FnMut(Step<'_>)) -> Gathered {
        let Self { config, networks, store, .. } = self;
        let key = networks.cards().key(config, &config.models.embedder).unwrap();
        let known = store.references(&key).unwrap();
        let mut judge = Judge::for_enrolment(config, networks, known).unwrap();
        let clock = Arc::new(ManualClock::new(Monotonic::default(), WALL.unix_ms));
        gather(pictures, config, &mut judge, clock, tell).unwrap()
    }

    fn draft(&self, name: &str, wish: Wish, names: &[&str]) -> Result<Draft, EnrolError> {
        let whom = Whom::find(Some(&self.store), name, wish)?;
        let files: Vec<PathBuf> = names.iter().map(|name| photograph(name)).collect();
        let mut steps = 0;
        let pictures = Pictures::Files { files: &files, skip_unreadable: false };
        let gathered = self.gather(pictures, &mut |step| {
            assert!(matches!(step, Step::Done));
            steps += 1;
        });
        assert_eq!(steps, pictures.steps(), "each picture is told of");
        Draft::new(whom, gathered, false, &self.config, &self.networks, Some(&self.store))
    }
}

fn photograph(name: &str) -> PathBuf {
    root().join("assets/photographs").join(name)
}

#[test]
fn references_and_their_record_are_signed_by_whoever_enrols() {
    let Some(mut door) = Door::new() else { return };
    let draft = door.draft("Ada", Wish::New, &["obama.jpg", "obama.jpg"]).unwrap();
    assert!(draft.warnings().is_empty(), "{:?}", draft.warnings());
    let boot = uuid::Uuid::new_v4();
    let now = Monotonic::from_millis(7);
    let by = Signature { door: &door.config.door.id, boot, now, wall: WALL };
    let embedder = &door.config.models.embedder;
    let (subject, done) = draft.write(&mut door.store, embedder, by).unwrap();
    assert_eq!((subject.name.as_str(), subject.references), ("Ada", 2));
    assert_eq!((done.record.boot, done.record.door.as_str()), (boot, "back"));
    let enrolled = Administrative::SubjectEnrolled {
        subject: subject.id.clone(),
        model: embedder.clone(),
        references: 2,
        replaced: None,
    };
    assert_eq!(done.record.body, Body::Administrative(enrolled));

    // The same face under another name, and one of somebody else among them.
    let draft = door.draft("Grace", Wish::New, &["obama.jpg", "biden.jpg"]).unwrap();
    let alike = |warning: &Warning| matches!(warning, Warning::Alike { subject: other, .. } if *other == subject.id);
    assert!(draft.warnings().iter().any(alike), "{:?}", draft.warnings());
    let out_of_line = |warning: &&Warning| matches!(warning, Warning::OutOfLine { .. });
    assert_eq!(draft.warnings().iter().filter(out_of_line).count(), 2, "{:?}", draft.warnings());
}

#[test]
fn what_cannot_be_is_told_before_anybody_poses() {
    let Some(mut door) = Door::new() else { return };
    let by =
        Signature { door: "back", boot: uuid::Uuid::nil(), now: Monotonic::default(), wall: WALL };
    let draft = door.draft("Ada", Wish::New, &["obama.jpg"]).unwrap();
    let (ada, _) = draft.write(&mut door.store, &door.config.models.embedder, by).unwrap();
    let find = |name, wish| Whom::find(Some(&door.store), name, wish);
    assert_eq!(find("Ada", Wish::Add).unwrap(), Whom::Also(ada.id.clone()));
    assert_eq!(find(ada.id.as_str(), Wish::Replace).unwrap(), Whom::Instead(ada.id.clone()));
    assert!(matches!(find("Ada", Wish::New), Err(Error::NameTaken { by }) if by == ada.id));
    assert!(matches!(find("Bob", Wish::Add), Err(Error::NoSuchSubject { .. })));
    assert!(matches!(find("a\nb", Wish::New), Err(Error::BadName { .. })));
    assert!(matches!(Whom::find(None, "Ada", Wish::Replace), Err(Error::NoSuchSubject { .. })));
}

#[test]
fn a_picture_without_a_usable_face_refuses_the_enrolment_with_its_remedy() {
    let Some(door) = Door::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("wall.png");
    image::RgbImage::from_pixel(320, 240, image::Rgb([90, 90, 90])).save(&empty).unwrap();
    let files = [photograph("obama.jpg"), empty];
    let pictures = Pictures::Files { files: &files, skip_unreadable: false };
    let draft = |skip_poor| {
        let gathered = door.gather(pictures, &mut |_| ());
        let whom = Whom::New("Ada".to_owned());
        Draft::new(whom, gathered, skip_poor, &door.config, &door.networks, Some(&door.store))
    };
    let error = draft(false).unwrap_err();
    let EnrolError::Refused(gathered) = &error else { panic!("{error}") };
    assert_eq!(gathered.refused[0].1, Unusable::NoFace);
    assert!(error.to_string().ends_with("wall.png: no face was found"), "{error}");
    assert_eq!(error.remedy(), Some(Unusable::NoFace.remedy()));
    assert_eq!(draft(true).unwrap().gathered().faces.len(), 1, "unless the poor are left out");
    assert!(door.store.subjects().unwrap().is_empty(), "nothing was written");
}
