//! Error rates within groups of people, at the threshold that a door would use.
//!
//! In: a table of photographs (CSV with a header), in which columns name the group, the person, and
//! what two people must agree in to be compared; the folder of the photographs. Out: a [`Groups`]
//! report: for each group how many pairs of two people match, and how many pairs of one person do not,
//! at the threshold of the configuration for one reference.
//! Each photograph goes once through the path of the daemon, by itself, as in `pairs`.
//!
//! Invariant: nothing is tuned to the data. Two people of one group, and of the same sex and age where
//! the table says these, are the zero-effort impostors of NIST's FRVT part 3 (Grother et al. 2019).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Stage;
use super::end_to_end::EvaluateError;
use super::stills::Stills;
use crate::calibrate::Tally;
use crate::compare::{Metric, Operating};
use crate::config::Config;
use crate::decide::Seen;
use crate::embed::FeatureVector;
use crate::equip::Networks;
use crate::inference::ModelId;
use crate::remedy::Remedied;

/// How the table is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Where a row's photographs lie below the folder; `{column}` stands for a column's text.
    pub files: Vec<String>,
    /// The column with the group.
    pub by: String,
    /// Columns in which two people must agree to be compared.
    pub alike: Vec<String>,
    /// The column with the person; without it each row is another one.
    pub person: Option<String>,
    /// Columns of which only some texts count.
    pub only: Vec<(String, Vec<String>)>,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("table {path}: {problem}; expected CSV with a header")]
    Unreadable {
        /// The table.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It has no such column.
    #[error("table {path}: has no column '{column}'; its columns are {available:?}")]
    Column {
        /// The table.
        path: PathBuf,
        /// The one that was asked for.
        column: String,
        /// Those that it has.
        available: Vec<String>,
    },
    /// Nothing of it counts.
    #[error("table {path}: no row is left; correct --only, or take a table with rows")]
    Empty {
        /// The table.
        path: PathBuf,
    },
}

impl Remedied for TableError {}

/// Error rates of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRow {
    /// The group, as the table says it.
    pub group: String,
    /// Photographs of it with a face.
    pub faces: usize,
    /// Pairs of two people that match.
    pub falsely_matched: Tally,
    /// Pairs of one person that do not.
    pub missed: Tally,
}

/// Error rates within groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Groups {
    /// Names this format.
    pub schema: &'static str,
    /// Detector.
    pub find: ModelId,
    /// Embedder.
    pub embedder: ModelId,
    /// How vectors are compared.
    pub metric: Metric,
    /// Whether each face is averaged with its mirror image.
    pub mirrored: bool,
    /// Threshold and claim for one reference.
    pub operating: Operating,
    /// What two people must agree in, beside the group.
    pub alike: Vec<String>,
    /// Photographs in which no face was found, of all; they are in no pair.
    pub failures_to_acquire: Tally,
    /// Any two people of the table, of whatever groups.
    pub everybody: GroupRow,
    /// Each group, in the order of their names.
    pub groups: Vec<GroupRow>,
    /// The group with the highest rate of false matches; `None` where no two people are compared.
    pub worst: Option<String>,
}

/// A photograph of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Portrait {
    file: String,
    group: String,
    alike: Vec<String>,
    person: String,
}

/// Measures the photographs of `table`, which lie under `images`; `progress` hears how far it is.
///
/// # Errors
/// [`EvaluateError`]: the table, a photograph or a model cannot be used.
pub fn groups(
    config: &Config,
    networks: &Networks,
    (table, grouping): (&Path, &Grouping),
    images: &Path,
    progress: &mut dyn FnMut(Stage),
) -> Result<Groups, EvaluateError> {
    let portraits = portraits(table, grouping)?;
    let place = |portrait: &Portrait| images.join(&portrait.file);
    // Before minutes of work.
    if let Some(missing) = portraits.iter().map(place).find(|path| !path.is_file()) {
        return Err(EvaluateError::Photograph(missing));
    }
    let metric = config.recognise.metric;
    let operating = networks.cards().operating(config, metric, 1)?;
    let comparer = networks.comparer(config, metric)?;
    let mut stills = Stills::of_whom_is_meant(config, networks)?;
    let mut faces: Vec<(&Portrait, FeatureVector)> = Vec::with_capacity(portraits.len());
    for (index, portrait) in portraits.iter().enumerate() {
        progress(Stage { name: "photographs", done: index, of: portraits.len() });
        let path = place(portrait);
        match stills.observe(&path)?.seen {
            Seen::Fault(_) => return Err(EvaluateError::Judged(path)),
            Seen::Faces { principal, .. } if principal.found.is_some() => {
                faces.push((portrait, stills.recogniser.features().clone()));
            }
            Seen::NoFace | Seen::Faces { .. } => {}
        }
    }
    let mut everybody = GroupRow::empty("everybody");
    let mut groups: BTreeMap<&str, GroupRow> = BTreeMap::new();
    for (index, (portrait, vector)) in faces.iter().enumerate() {
        progress(Stage { name: "comparisons", done: index, of: faces.len() });
        let of = || GroupRow::empty(&portrait.group);
        everybody.faces += 1;
        groups.entry(&portrait.group).or_insert_with(of).faces += 1;
        for (other, against) in faces.iter().skip(index + 1) {
            let matched = metric.accepts(comparer.score(vector, against)?, operating.threshold);
            let pair = Pair::of(portrait, other);
            everybody.add(pair.mated, matched);
            if pair.counts {
                groups.entry(&portrait.group).or_insert_with(of).add(pair.mated, matched);
            }
        }
    }
    let groups: Vec<_> = groups.into_values().collect();
    let without = portraits.len() - faces.len();
    Ok(Groups {
        schema: "deepid-edge/evaluate-groups/1",
        find: config.models.find.clone(),
        embedder: config.models.embedder.clone(),
        metric,
        mirrored: config.recognise.mirrored,
        operating,
        alike: grouping.alike.clone(),
        failures_to_acquire: Tally { count: without as u64, of: portraits.len() as u64 },
        everybody,
        worst: worst(&groups),
        groups,
    })
}

/// How two photographs are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    mated: bool,
    /// Whether it is a pair of one group, of people who are alike.
    counts: bool,
}

impl Pair {
    fn of(one: &Portrait, other: &Portrait) -> Self {
        let mated = one.person == other.person;
        let counts = one.group == other.group && (mated || one.alike == other.alike);
        Self { mated, counts }
    }
}

impl GroupRow {
    fn empty(group: &str) -> Self {
        let (falsely_matched, missed) = (Tally::default(), Tally::default());
        Self { group: group.to_owned(), faces: 0, falsely_matched, missed }
    }

    fn add(&mut self, mated: bool, matched: bool) {
        if mated {
            self.missed.add(!matched);
        } else {
            self.falsely_matched.add(matched);
        }
    }
}

/// The group whose rate of false matches is highest.
fn worst(groups: &[GroupRow]) -> Option<String> {
    let rated = groups.iter().filter_map(|row| Some((row, row.falsely_matched.rate()?)));
    rated.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(row, _)| row.group.clone())
}

fn portraits(path: &Path, grouping: &Grouping) -> Result<Vec<Portrait>, TableError> {
    let unreadable = |error: csv::Error| TableError::Unreadable {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(unreadable)?;
    let header = reader.headers().map_err(unreadable)?.clone();
    let column = |name: &str| {
        header.iter().position(|field| field == name).ok_or_else(|| TableError::Column {
            path: path.to_owned(),
            column: name.to_owned(),
            available: header.iter().map(ToOwned::to_owned).collect(),
        })
    };
    let by = column(&grouping.by)?;
    let alike = grouping.alike.iter().map(|name| column(name)).collect::<Result<Vec<_>, _>>()?;
    let person = grouping.person.as_deref().map(column).transpose()?;
    let only = grouping.only.iter().map(|(name, texts)| Ok((column(name)?, texts)));
    let only = only.collect::<Result<Vec<_>, TableError>>()?;
    // Every column that a file's place names.
    for name in grouping.files.iter().flat_map(|place| place.split('{').skip(1)) {
        column(name.split('}').next().unwrap_or(name))?;
    }
    let mut portraits = Vec::new();
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(unreadable)?;
        let text = |column: usize| row.get(column).unwrap_or_default().to_owned();
        if !only.iter().all(|(column, texts)| texts.contains(&text(*column))) {
            continue;
        }
        for place in &grouping.files {
            let named = header.iter().zip(row.iter());
            let file = named.fold(place.clone(), |file, (name, text)| {
                file.replace(&format!("{{{name}}}"), text)
            });
            portraits.push(Portrait {
                file,
                group: text(by),
                alike: alike.iter().map(|column| text(*column)).collect(),
                person: person.map_or_else(|| number.to_string(), text),
            });
        }
    }
    if portraits.is_empty() {
        return Err(TableError::Empty { path: path.to_owned() });
    }
    Ok(portraits)
}

impl std::fmt::Display for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mirrored = if self.mirrored { ", averaged with the mirror image" } else { "" };
        writeln!(f, "{} finds, {}{mirrored}; {}", self.find, self.embedder, self.metric)?;
        let claim = self.operating.claimed_fmr;
        let claim =
            claim.map_or("claims nothing".to_owned(), |fmr| format!("claims FMR {fmr:.1e}"));
        writeln!(
            f,
            "threshold {:.3}, which {claim}; intervals are 95 %",
            self.operating.threshold
        )?;
        writeln!(f, "photographs without a face  {}", self.failures_to_acquire)?;
        let alike = self.alike.join(", ");
        let alike = if alike.is_empty() { alike } else { format!(" and the same {alike}") };
        writeln!(f, "pairs of two people: of the same group{alike}; of everybody any two\n")?;
        let widest =
            self.groups.iter().map(|row| row.group.chars().count()).max().unwrap_or(0).max(9);
        for row in std::iter::once(&self.everybody).chain(&self.groups) {
            let GroupRow { group, faces, falsely_matched, missed } = row;
            let matched = in_thousandths(*falsely_matched);
            write!(f, "{group:<widest$}  {faces:>5} faces  falsely matched {matched}")?;
            if missed.of > 0 {
                write!(f, "; missed {missed}")?;
            }
            writeln!(f)?;
        }
        match &self.worst {
            Some(worst) => writeln!(f, "\n{worst}: the group that fares worst"),
            None => Ok(()),
        }
    }
}

/// A rate with its counts and interval, in thousandths of a percent: those asked for are small.
fn in_thousandths(tally: Tally) -> String {
    let Some((rate, interval)) = tally.rate().zip(tally.interval()) else {
        return tally.to_string();
    };
    let [rate, low, high] = [rate, interval.low, interval.high].map(|share| share * 100.0);
    format!("{rate:.3} % ({} of {}; {low:.3} to {high:.3} %)", tally.count, tally.of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "id,race,sex\n1,a,m\n2,a,f\n3,b,m\n4,b,m\n";

    fn grouping() -> Grouping {
        Grouping {
            files: vec!["{id}.jpg".into()],
            by: "race".into(),
            alike: vec!["sex".into()],
            person: None,
            only: vec![],
        }
    }

    fn read(grouping: &Grouping) -> Result<Vec<Portrait>, TableError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TABLE).unwrap();
        portraits(file.path(), grouping)
    }

    #[test]
    fn two_of_a_group_count_where_they_are_alike() {
        let all = read(&grouping()).unwrap();
        let files: Vec<_> = all.iter().map(|portrait| portrait.file.as_str()).collect();
        assert_eq!(files, ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
        let counts = |a: usize, b: usize| Pair::of(&all[a], &all[b]);
        assert_eq!(counts(0, 1), Pair { mated: false, counts: false }, "another sex");
        assert_eq!(counts(0, 2), Pair { mated: false, counts: false }, "another group");
        assert_eq!(counts(2, 3), Pair { mated: false, counts: true });
    }

    #[test]
    fn photographs_of_one_row_or_of_one_name_are_of_one_person() {
        let two = vec!["{id}/a.jpg".to_owned(), "{id}/{sex}.jpg".to_owned()];
        let all = read(&Grouping { files: two, ..grouping() }).unwrap();
        assert_eq!((all.len(), all[1].file.as_str()), (8, "1/m.jpg"));
        assert_eq!(Pair::of(&all[0], &all[1]), Pair { mated: true, counts: true });
        let named = read(&Grouping { person: Some("sex".into()), ..grouping() }).unwrap();
        assert!(Pair::of(&named[0], &named[3]).mated);
    }

    #[test]
    fn what_is_not_asked_for_is_left_out_and_what_is_wrong_is_told() {
        let only = vec![("race".to_owned(), vec!["b".to_owned(), "c".to_owned()])];
        assert_eq!(read(&Grouping { only, ..grouping() }).unwrap().len(), 2);
        let nobody = vec![("race".to_owned(), vec!["c".to_owned()])];
        let error = read(&Grouping { only: nobody, ..grouping() }).unwrap_err().to_string();
        assert!(error.contains("no row is left"), "{error}");
        let files = vec!["{file}".to_owned()];
        let error = read(&Grouping { files, ..grouping() }).unwrap_err().to_string();
        assert!(error.contains("no column 'file'") && error.contains("\"race\""), "{error}");
        let error = portraits(Path::new("no/such.csv"), &grouping()).unwrap_err().to_string();
        assert!(error.contains("no/such.csv"), "{error}");
    }

    #[test]
    fn a_small_rate_is_told_with_digits_enough() {
        let told = in_thousandths(Tally { count: 2, of: 9384 });
        assert_eq!(told, "0.021 % (2 of 9384; 0.006 to 0.078 %)");
        assert_eq!(in_thousandths(Tally::default()), Tally::default().to_string());
    }

    #[test]
    fn the_worst_is_the_highest_rate() {
        let row = |group: &str, count, of| GroupRow {
            falsely_matched: Tally { count, of },
            ..GroupRow::empty(group)
        };
        let rows = [row("a", 3, 100), row("b", 2, 10), row("c", 0, 0)];
        assert_eq!(worst(&rows).as_deref(), Some("b"));
        assert_eq!(worst(&rows[2..]), None);
    }
}
