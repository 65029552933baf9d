//! A list of photographs to be verified in pairs: Labeled Faces in the Wild's, or a table.
//!
//! In: a text file. LFW's: the first line has the number of folds and of pairs of each kind in a fold
//! (`10 300`), or that number alone for a single fold; then each fold has its mated pairs
//! (`NAME 1 4`: the photographs 1 and 4 of one person) and its non-mated ones
//! (`NAME 1 OTHER 2`). Fields are parted by tabs or spaces; a name has neither.
//! A table: CSV with a header that has `file_x`, `file_y` and `decision` (`yes` for one person, `no`
//! for two); further columns are passed over. It is one fold.
//! Out: the pairs, and the photographs that they need, each once, in the order of first mention.
//! Source of LFW's format: <http://vis-www.cs.umass.edu/lfw/README.txt>; of the table's: the unit
//! tests of <https://github.com/serengil/deepface>.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::remedy::Remedied;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PairListError {
    /// The file cannot be read.
    #[error(
        "pair list {path}: {source}; expected a text file such as LFW's pairs.txt, or a table of pairs"
    )]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A line is none of this format.
    #[error("pair list {path}, line {line}: '{found}'; expected {expected}")]
    Line {
        /// The list.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// The list ends early, or goes on.
    #[error("pair list {path}: {found} pairs; its first line promises {promised}")]
    Length {
        /// The list.
        path: PathBuf,
        /// Pairs found.
        found: usize,
        /// Pairs promised.
        promised: usize,
    },
}

impl Remedied for PairListError {}

impl PairListError {
    /// `line` is counted from 0.
    fn wrong(path: &Path, line: usize, found: &str, expected: &'static str) -> Self {
        let found = found.chars().take(80).collect();
        Self::Line { path: path.to_owned(), line: line + 1, found, expected }
    }
}

/// One pair: indices of two photographs, whether they show one person, and in which fold it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Indices into [`PairList::photographs`].
    pub photographs: [usize; 2],
    /// Whether both show the same person.
    pub mated: bool,
    /// The fold, from 0.
    pub fold: usize,
}

/// A photograph as a list names it: a path without leading parts that would leave a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Photograph(PathBuf);

impl Photograph {
    fn of_person(person: &str, number: u32) -> Self {
        Self(Path::new(person).join(format!("{person}_{number:04}.jpg")))
    }

    /// `None` where the path would leave the folder of photographs.
    fn of_file(file: &str) -> Option<Self> {
        let path = Path::new(file);
        let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
        (stays && !file.is_empty()).then(|| Self(path.to_owned()))
    }

    /// Where it lies under `folder`. A table may have been written for another place: where its whole
    /// path leads nowhere, the file's name alone counts.
    #[must_use]
    pub fn path(&self, folder: &Path) -> PathBuf {
        let whole = folder.join(&self.0);
        match self.0.file_name() {
            Some(name) if !whole.is_file() && folder.join(name).is_file() => folder.join(name),
            _ => whole,
        }
    }
}

/// A list of pairs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PairList {
    /// All photographs, each once.
    pub photographs: Vec<Photograph>,
    /// All pairs, in the order of the list.
    pub pairs: Vec<Pair>,
    /// Number of folds, at least 1.
    pub folds: usize,
}

impl PairList {
    /// Reads the list at `path`.
    ///
    /// # Errors
    /// [`PairListError`].
    pub fn read(path: &Path) -> Result<Self, PairListError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PairListError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, PairListError> {
        let header = text.lines().next().unwrap_or_default();
        if header.split(',').any(|column| column.trim() == "file_x") {
            return Self::parse_table(path, text);
        }
        let wrong = |line, found: &str, expected| PairListError::wrong(path, line, found, expected);
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let expected = "the number of folds and of pairs in each, such as '10 300'";
        let (number, first) = lines.next().ok_or_else(|| wrong(0, "", expected))?;
        let header: Option<Vec<usize>> =
            first.split_whitespace().map(|field| field.parse().ok().filter(|n| *n > 0)).collect();
        let (folds, each) = match header.as_deref() {
            Some([each]) => (1, *each),
            Some([folds, each]) => (*folds, *each),
            _ => return Err(wrong(number, first, expected)),
        };
        let mut list = Self { folds, ..Self::default() };
        let mut known = HashMap::new();
        for (number, line) in lines {
            let fold = list.pairs.len() / each.saturating_mul(2);
            let mated = (list.pairs.len() / each).is_multiple_of(2);
            let expected = if mated {
                "a mated pair, such as 'Some_Person 1 4'"
            } else {
                "a non-mated pair, such as 'Some_Person 1 Other_Person 2'"
            };
            let fields: Vec<&str> = line.split_whitespace().collect();
            let two = match (mated, fields.as_slice()) {
                (true, [person, one, other]) => [(person, one), (person, other)],
                (false, [person, one, other, two]) => [(person, one), (other, two)],
                _ => return Err(wrong(number, line, expected)),
            };
            let mut photographs = [0; 2];
            for (place, (person, index)) in photographs.iter_mut().zip(two) {
                // A path must not leave the folder of photographs.
                if person.contains(['/', '\\']) || person.starts_with('.') {
                    return Err(wrong(number, line, "names without a path"));
                }
                let index = index.parse().map_err(|_| wrong(number, line, expected))?;
                *place = list.place(&mut known, Photograph::of_person(person, index));
            }
            list.pairs.push(Pair { photographs, mated, fold });
        }
        let promised = folds.saturating_mul(each).saturating_mul(2);
        if list.pairs.len() != promised {
            let found = list.pairs.len();
            return Err(PairListError::Length { path: path.to_owned(), found, promised });
        }
        Ok(list)
    }

    fn parse_table(path: &Path, text: &str) -> Result<Self, PairListError> {
        let wrong = |line, found: &str, expected| PairListError::wrong(path, line, found, expected);
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = rows.headers().cloned().unwrap_or_default();
        let mut columns = [0; 3];
        for (column, name) in columns.iter_mut().zip(["file_x", "file_y", "decision"]) {
            let found = header.iter().position(|field| field == name);
            let expected = "a header with the columns file_x, file_y and decision";
            *column =
                found.ok_or_else(|| wrong(0, text.lines().next().unwrap_or_default(), expected))?;
        }
        let mut list = Self { folds: 1, ..Self::default() };
        let mut known = HashMap::new();
        for (number, row) in rows.records().enumerate() {
            let number = number + 1;
            let row = row.map_err(|error| {
                wrong(number, &error.to_string(), "as many fields as the header has")
            })?;
            let [one, other, decision] = columns.map(|column| row.get(column).unwrap_or_default());
            let mated = match decision.to_lowercase().as_str() {
                "yes" => true,
                "no" => false,
                _ => return Err(wrong(number, decision, "a decision of 'yes' or 'no'")),
            };
            let mut photographs = [0; 2];
            for (place, file) in photographs.iter_mut().zip([one, other]) {
                let photograph = Photograph::of_file(file)
                    .ok_or_else(|| wrong(number, file, "a file below the folder of photographs"))?;
                *place = list.place(&mut known, photograph);
            }
            list.pairs.push(Pair { photographs, mated, fold: 0 });
        }
        if list.pairs.is_empty() {
            return Err(wrong(1, "", "a row for each pair"));
        }
        Ok(list)
    }

    /// The index of `photograph`, which is added when it is mentioned for the first time.
    fn place(&mut self, known: &mut HashMap<Photograph, usize>, photograph: Photograph) -> usize {
        *known.entry(photograph.clone()).or_insert_with(|| {
            self.photographs.push(photograph);
            self.photographs.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PairList, PairListError> {
        PairList::parse(Path::new("pairs.txt"), text)
    }

    #[test]
    fn folds_of_mated_and_non_mated_pairs_are_told_apart() {
        let list = parse("2\t1\nAda\t1\t2\nAda\t1\tBob\t3\n\nBob\t3\t4\nAda\t2\tEve\t1\n").unwrap();
        let told: Vec<_> =
            list.pairs.iter().map(|pair| (pair.photographs, pair.mated, pair.fold)).collect();
        let expected =
            [([0, 1], true, 0), ([0, 2], false, 0), ([2, 3], true, 1), ([1, 4], false, 1)];
        assert_eq!(told, expected);
        assert_eq!(list.folds, 2);
        let third = list.photographs.get(2).unwrap();
        assert_eq!(third.path(Path::new("lfw")), Path::new("lfw/Bob/Bob_0003.jpg"));
    }

    #[test]
    fn a_number_alone_is_one_fold() {
        let list = parse("2\nAda 1 2\nBob 3 4\nAda 1 Bob 3\nAda 2 Eve 1\n").unwrap();
        assert_eq!((list.folds, list.pairs.len()), (1, 4));
        assert!(list.pairs.iter().all(|pair| pair.fold == 0));
    }

    #[test]
    fn a_table_is_one_fold_and_its_files_are_found_by_name() {
        let text = "file_x,file_y,decision,score\na/1.jpg,a/2.jpg,Yes,0.1\na/1.jpg, a/3.jpg ,no,\n";
        let list = parse(text).unwrap();
        let told: Vec<_> =
            list.pairs.iter().map(|pair| (pair.photographs, pair.mated, pair.fold)).collect();
        assert_eq!(told, [([0, 1], true, 0), ([0, 2], false, 0)]);
        assert_eq!(list.folds, 1);
        let folder = tempfile::tempdir().unwrap();
        let third = list.photographs.get(2).unwrap();
        assert_eq!(third.path(folder.path()), folder.path().join("a/3.jpg"));
        std::fs::write(folder.path().join("3.jpg"), "").unwrap();
        assert_eq!(third.path(folder.path()), folder.path().join("3.jpg"));
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/3.jpg"), "").unwrap();
        assert_eq!(third.path(folder.path()), folder.path().join("a/3.jpg"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, said) in [
            ("", "line 1: ''; expected the number of folds"),
            ("ten 300\n", "line 1: 'ten 300'; expected the number of folds"),
            ("0\n", "line 1: '0'; expected the number of folds"),
            ("1\nAda 1 Bob 2\n", "line 2: 'Ada 1 Bob 2'; expected a mated pair"),
            ("1\nAda 1 2\nAda 1 2\n", "line 3: 'Ada 1 2'; expected a non-mated pair"),
            ("1\nAda one 2\nAda 1 Bob 2\n", "line 2: 'Ada one 2'; expected a mated pair"),
            ("1\n../Ada 1 2\nAda 1 Bob 2\n", "expected names without a path"),
            ("1\nAda 1 2\n", "1 pairs; its first line promises 2"),
            ("1\nAda 1 2\nAda 1 Bob 1\nAda 1 3\n", "3 pairs; its first line promises 2"),
            ("file_x,file_y\n1,2\n", "line 1: 'file_x,file_y'; expected a header"),
            ("file_x,file_y,decision\n", "line 2: ''; expected a row for each pair"),
            ("file_x,file_y,decision\n1,2,maybe\n", "line 2: 'maybe'; expected a decision"),
            ("file_x,file_y,decision\n1,2\n", "expected as many fields as the header"),
            ("file_x,file_y,decision\n../1,2,no\n", "line 2: '../1'; expected a file below"),
            ("file_x,file_y,decision\n/etc/1,2,no\n", "expected a file below the folder"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text:?}: {error}");
            assert!(error.contains("pairs.txt"), "{error}");
        }
    }
}
