//! The rules as commented text tables: `tests/data/policy/*.txt`, each line a question and its answer.
//!
//! In: a rule book, somebody, a time. Out: the ruling, compared word for word. Through the public API
//! only. The syntax stands in `tests/data/policy/README.md`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, also in what cases share")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::decide::{DeniedReason, Verdict};
use deepid_edge::policy::{
    Arming, Asked, Demand, Direction, Doubt, FaceAlone, PassbackMode, PassbackPolicy, Proof, Rule,
    RuleBook, RuleName, Rules, SAME_PASSAGE, Schedule, Side, Terms, UntrustedClock, Whereabouts,
};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const ANSWERS_MIN: usize = 80;

#[test]
fn every_question_is_answered_as_its_table_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/policy");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let (mut answers, mut wrong) = (0, String::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        answers += run(&text, |line, problem| {
            writeln!(wrong, "{file}:{line}: {problem}").unwrap();
        });
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(answers >= ANSWERS_MIN, "only {answers} questions were found");
}

#[test]
fn a_table_that_is_wrong_is_noticed() {
    let problems = |text: &str| {
        let mut found = 0;
        run(text, |_, _| found += 1);
        found
    };
    let right = "case x\nbob disabled\n2026-01-01T00:00 bob -> subject_disabled by enabled\n";
    assert_eq!(problems(right), 0);
    for wrong in [
        "case x\n2026-01-01T00:00 bob -> subject_disabled by enabled\n",
        "case x\n2026-01-01T00:00 bob -> allowed by any_time\n",
        "case x\n2026-01-01T00:00 mallory -> allowed by no_group\n",
        "case x\nschedule a mon 8-12\n",
        "case x\nlocked down\n",
        "case x\narmed follows\n",
        "case x\nliveness perhaps\n",
        "bob disabled\n",
    ] {
        assert_eq!(problems(wrong), 1, "{wrong}");
    }
}

/// Runs all cases of a table; gives how many questions they ask.
fn run(text: &str, mut wrong: impl FnMut(usize, String)) -> usize {
    let (mut case, mut answers) = (None, 0);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with("case ") {
            case = Some(Case::default());
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let result = case.as_mut().ok_or_else(|| "before any case".to_owned()).and_then(|case| {
            match line.split_once("->") {
                Some((question, answer)) => {
                    answers += 1;
                    case.ask(question, answer.trim())
                }
                None => case.set(line),
            }
        });
        if let Err(problem) = result {
            wrong(number, format!("{line}\n    {problem}"));
        }
    }
    answers
}

struct Case {
    book: RuleBook,
    zone: TimeZone,
    trust: Option<ClockTrust>,
    locked_out: bool,
    disabled: Vec<SubjectId>,
    factors: Vec<SubjectId>,
    before: Vec<Proof>,
    passback: PassbackPolicy,
    face: FaceAlone,
    untrusted: UntrustedClock,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            book: RuleBook::default(),
            zone: TimeZone::UTC,
            trust: Some(ClockTrust::Trusted),
            locked_out: false,
            disabled: Vec::new(),
            factors: Vec::new(),
            before: Vec::new(),
            passback: PassbackPolicy::default(),
            face: FaceAlone::ENOUGH,
            untrusted: UntrustedClock::Deny,
        }
    }
}

fn subject(name: &str) -> Result<SubjectId, String> {
    let place = NAMES.iter().position(|known| *known == name);
    let number = place.ok_or_else(|| format!("nobody is called '{name}'"))? + 1;
    Ok(SubjectId::new(&format!("s-{number:06x}")).unwrap())
}

fn name(text: &str) -> Result<RuleName, String> {
    RuleName::new(text).map_err(|problem| problem.to_string())
}

impl Case {
    fn set(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let time = |text: &str| text.parse::<DateTime>().map_err(|error| error.to_string());
        match words.as_slice() {
            ["zone", zone] => {
                self.zone = TimeZone::get(zone).map_err(|error| error.to_string())?;
            }
            ["schedule", schedule, ..] => {
                let (_, hours) = line.split_once(schedule).unwrap();
                let hours = Schedule::read(hours).map_err(|problem| problem.to_string())?;
                self.book.schedules.insert(name(schedule)?, hours);
            }
            ["holidays", dates @ ..] => {
                for date in dates {
                    self.book.holidays.insert(date.parse().map_err(|_| "no date".to_owned())?);
                }
            }
            ["group", group] => drop(self.book.groups.insert(name(group)?, None)),
            ["group", group, schedule] => {
                self.book.groups.insert(name(group)?, Some(name(schedule)?));
            }
            ["group", group, "needs", "factor"] => self.demand(group)?.factor = true,
            ["group", group, "needs", "it", "during", schedule] => {
                self.demand(group)?.during = Some(name(schedule)?);
            }
            ["group", group, "needs", "company", company] => {
                self.demand(group)?.company = Some(name(company)?);
            }
            [who, "factor"] => self.factors.push(subject(who)?),
            [who, "before"] => {
                self.before.push(Proof { subject: subject(who)?, at: Monotonic::default() });
            }
            ["alone"] => self.before.clear(),
            ["claim" | "requires" | "liveness", word] => self.face(line, word)?,
            ["passback", mode, direction, hours, more @ ..] => {
                self.passback = PassbackPolicy {
                    mode: match *mode {
                        "off" => PassbackMode::Off,
                        "soft" => PassbackMode::Soft,
                        "hard" => PassbackMode::Hard,
                        _ => return Err("off, soft or hard".to_owned()),
                    },
                    direction: match *direction {
                        "in" => Direction::In,
                        "out" => Direction::Out,
                        "none" => Direction::None,
                        _ => return Err("in, out or none".to_owned()),
                    },
                    forget: hours
                        .parse()
                        .map(|hours: u64| Duration::from_secs(3600 * hours))
                        .map_err(|_| "hours".to_owned())?,
                    same: SAME_PASSAGE,
                    refuse_out: more == ["refuse_out"],
                };
            }
            [who, "went", whither, at, heard @ ..] => {
                let side = match *whither {
                    "in" => Some(Side::Inside),
                    "out" => Some(Side::Outside),
                    "nowhere" => None,
                    _ => return Err("in, out or nowhere".to_owned()),
                };
                let at = Whereabouts { side, since_ms: self.instant(at)? };
                let now_ms = match heard {
                    [] => i64::MAX,
                    ["heard", now] => self.instant(now)?,
                    _ => return Err("heard, and when".to_owned()),
                };
                deepid_edge::policy::note_whereabouts(
                    &mut self.book.whereabouts,
                    &subject(who)?,
                    at,
                    now_ms,
                );
            }
            ["armed", "on"] => self.book.arming = Arming::On,
            ["armed", "off"] => self.book.arming = Arming::Off,
            ["armed", "until", end] => self.book.arming = Arming::Until(self.instant(end)?),
            ["clock", "trusted"] => self.trust = Some(ClockTrust::Trusted),
            ["clock", "untrusted"] => self.trust = Some(ClockTrust::Untrusted),
            ["clock", "none"] => self.trust = None,
            ["timeless"] => self.untrusted = UntrustedClock::Timeless,
            ["armed", "follows", schedule] => self.book.arming_follows = Some(name(schedule)?),
            ["locked"] => self.locked_out = true,
            ["unlocked"] => self.locked_out = false,
            [who, "disabled"] => self.disabled.push(subject(who)?),
            [who, "enabled"] => {
                let who = subject(who)?;
                self.disabled.retain(|other| *other != who);
            }
            [who, "in", group] => self.terms(who)?.group = Some(name(group)?),
            [who, "duress"] => self.terms(who)?.duress = true,
            [who, "from", from] => self.terms(who)?.from = Some(time(from)?),
            [who, "until", until] => self.terms(who)?.until = Some(time(until)?),
            _ => return Err("nothing like this is ever written".to_owned()),
        }
        Ok(())
    }

    /// What a face alone is worth, and what it has to be worth.
    fn face(&mut self, line: &str, word: &str) -> Result<(), String> {
        let rate = || word.parse::<f64>().map_err(|_| "no rate".to_owned());
        let face = &mut self.face;
        match line.split_whitespace().next() {
            Some("claim") if word == "none" => face.claimed_fpir = None,
            Some("claim") => face.claimed_fpir = Some(rate()?),
            Some("requires") => face.required_fpir = rate()?,
            _ => {
                (face.liveness, face.required_liveness) = match word {
                    "on" => (true, true),
                    "off" => (false, true),
                    "not_required" => (false, false),
                    _ => return Err("on, off or not_required".to_owned()),
                }
            }
        }
        Ok(())
    }

    fn demand(&mut self, group: &str) -> Result<&mut Demand, String> {
        Ok(self.book.demands.entry(name(group)?).or_default())
    }

    fn terms(&mut self, who: &str) -> Result<&mut Terms, String> {
        Ok(self.book.subjects.entry(subject(who)?).or_default())
    }

    /// Milliseconds since 1970.
    fn instant(&self, text: &str) -> Result<i64, String> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(moment.as_millisecond());
        }
        let time: DateTime = text.parse().map_err(|_| format!("'{text}' is no time"))?;
        Ok(self.zone.to_timestamp(time).map_err(|error| error.to_string())?.as_millisecond())
    }

    fn ask(&self, question: &str, expected: &str) -> Result<(), String> {
        let words: Vec<&str> = question.split_whitespace().collect();
        let [at, who] = words.as_slice() else { return Err("a time and a name".to_owned()) };
        let (unix_ms, subject) = (self.instant(at)?, subject(who)?);
        let rules = Rules::new(self.book.clone(), self.zone.clone())
            .with_passback(self.passback)
            .with_face_alone(self.face)
            .with_untrusted_clock(self.untrusted);
        let ruling = rules.judge(&Asked {
            subject: &subject,
            enabled: !self.disabled.contains(&subject),
            wall: self.trust.map(|trust| WallClock { unix_ms, trust, synchronised: false }),
            locked_out: self.locked_out,
            factor: self.factors.contains(&subject),
            before: &self.before,
        });
        let reason = ruling.refusal.map_or("allowed", |refusal| {
            Verdict::Denied { reason: DeniedReason::from(refusal), subject: None }.reason()
        });
        let again = if ruling.passback { " again" } else { "" };
        let found = format!("{reason} by {}{again}", say(ruling.rule));
        if found == expected { Ok(()) } else { Err(format!("found: {found}")) }
    }
}

fn say(rule: Rule<'_>) -> String {
    match rule {
        Rule::Enabled => "enabled".to_owned(),
        Rule::Clock => "clock".to_owned(),
        Rule::Armed(_) => "armed".to_owned(),
        Rule::ArmedHours { day: Some(day), .. } => format!("armed {day}"),
        Rule::ArmedHours { day: None, .. } => "armed missing".to_owned(),
        Rule::From(_) => "from".to_owned(),
        Rule::Until(_) => "until".to_owned(),
        Rule::Hours { day, .. } => day.to_string(),
        Rule::Missing { .. } => "missing".to_owned(),
        Rule::AnyTime { .. } => "any_time".to_owned(),
        Rule::NoGroup => "no_group".to_owned(),
        Rule::LockedOut => "locked".to_owned(),
        Rule::Passback(_) => "passback".to_owned(),
        Rule::Factor { .. } => "factor".to_owned(),
        Rule::Company { .. } => "company".to_owned(),
        Rule::FaceAlone(Doubt::NoClaim) => "no_claim".to_owned(),
        Rule::FaceAlone(Doubt::WeakClaim) => "weak_claim".to_owned(),
        Rule::FaceAlone(Doubt::NoLiveness) => "no_liveness".to_owned(),
    }
}
