//! The policy as commented text tables: `tests/data/decide/*.txt`, each case a timed trace.
//!
//! In: what the frames show, when. Out: every action that the visit asks for, compared word for
//! word; a case that expects nothing and gets something fails as well. Through the public API only.
//! The syntax stands in `tests/data/decide/README.md`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic, also in what cases share")]

#[path = "support/sight.rs"]
mod sight;
#[path = "support/visitor.rs"]
mod visitor;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deepid_edge::clock::{ClockTrust, ManualClock, Monotonic, WallClock};
use deepid_edge::compare::{Candidate, Match, Metric, SubjectId};
use deepid_edge::decide::{
    AmbiguousReason, Answer, Decision, DeniedReason, Effect, FaceSeen, Fault, Gate, Observation,
    Refusal, Seen, SeveralFaces, VisitPolicy,
};
use deepid_edge::door::{Event, Time};
use deepid_edge::embed::QualityFault;
use deepid_edge::policy::{
    Arming, Demand, Direction, FaceAlone, PassbackMode, PassbackPolicy, PinResult, RuleBook,
    RuleName, Rules, SAME_PASSAGE, Side, Terms, Whereabouts,
};
use jiff::tz::TimeZone;
use sight::{Script, ScriptedDoor};
use visitor::NAMES;

/// Time 0 of every case, so that captures may lie before it.
const START_MS: u64 = 3_600_000;

const CASES_MIN: usize = 25;

#[test]
fn every_case_runs_as_its_table_says() {
    let mut cases = 0;
    let mut wrong = String::new();
    for path in tables() {
        let text = std::fs::read_to_string(&path).unwrap();
        for case in split(&text) {
            cases += 1;
            if let Err(problem) = case.run() {
                let file = path.file_name().unwrap().to_str().unwrap();
                writeln!(wrong, "\n{file}:{}: {}\n{problem}", case.line, case.name).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases >= CASES_MIN, "only {cases} cases were found");
}

#[test]
fn a_table_that_is_wrong_is_noticed() {
    let right = "case x\nat 0 face alice 0.8\n-> presence 1\n";
    assert_eq!(split(right).len(), 1);
    assert_eq!(split(right).first().unwrap().run(), Ok(()));
    for wrong in [
        "case x\nat 0 face alice 0.8\n",
        "case x\nat 0 face alice 0.8\n-> presence 2\n",
        "case x\nat 0 none\n-> presence 1\n",
        "case x\nat 0 face alice 0.8\n-> presence 1\npoll never\n",
        "case x\nat 0 face mallory 0.8\n-> presence 1\n",
        "case x\nat 0 face alice 0.8 upside down\n-> presence 1\n",
        "case x\npolicy agreeing 1 kindness 9\n",
        "case x\nand 0 none\n",
    ] {
        assert!(split(wrong).first().unwrap().run().is_err(), "{wrong}");
    }
}

fn tables() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decide");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths
}

struct Case<'a> {
    name: &'a str,
    line: usize,
    /// Line number and text, without comments and empty lines.
    lines: Vec<(usize, &'a str)>,
}

fn split(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if let Some(name) = text.strip_prefix("case ") {
            cases.push(Case { name, line, lines: Vec::new() });
        } else if !text.is_empty() {
            let case = cases.last_mut().unwrap_or_else(|| panic!("line {line}: before any case"));
            case.lines.push((line, text));
        }
    }
    cases
}

/// What happens in a case, line by line.
struct Run {
    door: ScriptedDoor,
    clock: ManualClock,
    sequence: u64,
    trust: ClockTrust,
    /// What was asked for and not yet named by the table.
    pending: Vec<Effect>,
    /// A decision that is to be announced, after the table has named it.
    announced: bool,
    /// The last one, announced or not.
    decided: Option<Decision>,
    /// How many gates were asked before the line at hand.
    asked: usize,
}

impl Case<'_> {
    fn run(&self) -> Result<(), String> {
        let mut run = Run {
            door: ScriptedDoor::new(Script::default(), visitor::policy()),
            clock: ManualClock::new(Monotonic::default(), unix_ms(Monotonic::default())),
            sequence: 0,
            trust: ClockTrust::Trusted,
            pending: Vec::new(),
            announced: false,
            decided: None,
            asked: 0,
        };
        for &(line, text) in &self.lines {
            let mut words = text.split_whitespace();
            let result = match words.next() {
                Some("policy") => policy(words).map(|policy| run.begin_anew(policy)),
                Some("gate") => run.gate(words),
                Some("asked") => run.asked(words),
                Some("forgotten") => run.forgotten(words.next()),
                Some("clock") => run.clock(words.next()),
                Some("door") => run.door(words.next()),
                Some("at") => run.nothing_pending().and_then(|()| run.at(words)),
                Some("->") => run.expect(text.trim_start_matches("->").trim()),
                Some("poll") => run.poll(words.next()),
                Some("latency") => run.latency(words),
                Some("wall") => run.wall(words.next()),
                other => Err(format!("'{}' begins no line", other.unwrap_or_default())),
            };
            result.map_err(|problem| format!("  line {line}: {text}\n    {problem}"))?;
        }
        run.nothing_pending().map_err(|problem| format!("  at the end: {problem}"))
    }
}

fn policy<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<VisitPolicy, String> {
    let mut policy = visitor::policy();
    while let Some(key) = words.next() {
        let value = words.next();
        let millis = || number::<u64>(value).map(Duration::from_millis);
        match key {
            "gate" => policy.gates = policy.gates.with(gate(value)?, true),
            "agreeing" => policy.agreeing = number(value)?,
            "window" => policy.window = number(value)?,
            "spacing" => policy.spacing = millis()?,
            "weight" => policy.weight_min = number(value)?,
            "margin" => policy.margin_min = number(value)?,
            "absence" => policy.absence = millis()?,
            "cooldown" => policy.cooldown = millis()?,
            "stale" => policy.stale = millis()?,
            "timeout" => policy.timeout = millis()?,
            "second" => policy.second = millis()?,
            "lockout" => policy.lockout.visits = number(value)?,
            "lockout_window" => policy.lockout.window = millis()?,
            "lockout_max" => policy.lockout.longest = millis()?,
            "several" => {
                policy.several_faces = match value {
                    Some("refuse") => SeveralFaces::Refuse,
                    Some("principal") => SeveralFaces::Principal,
                    _ => return Err("several is refuse or principal".into()),
                }
            }
            other => return Err(format!("no policy has '{other}'")),
        }
    }
    Ok(policy)
}

/// Rules that say nothing but whether the door is armed.
fn ruled(arming: Arming) -> Event<'static, Observation> {
    let book = RuleBook { arming, ..RuleBook::default() };
    Event::Ruled(Box::new(Rules::new(book, TimeZone::UTC)))
}

fn vault() -> RuleName {
    RuleName::new("vault").unwrap()
}

/// Rules by which alice and bob are in a group that needs something beside a face.
fn demanding(demand: Demand) -> Event<'static, Observation> {
    let mut book = RuleBook::default();
    book.groups.insert(vault(), None);
    book.demands.insert(vault(), demand);
    for who in [1, 2] {
        let terms = Terms { group: Some(vault()), ..Terms::default() };
        book.subjects.insert(visitor::subject(who), terms);
    }
    Event::Ruled(Box::new(Rules::new(book, TimeZone::UTC)))
}

/// Rules that say nothing but that a face alone is not enough at this door.
fn doubted() -> Event<'static, Observation> {
    let face = FaceAlone { required_liveness: true, ..FaceAlone::ENOUGH };
    let rules = Rules::new(RuleBook::default(), TimeZone::UTC).with_face_alone(face);
    Event::Ruled(Box::new(rules))
}

/// Rules of a door that leads one way, and asks where people went last.
fn one_way(direction: Direction, mode: PassbackMode) -> Event<'static, Observation> {
    let forget = Duration::from_secs(3600);
    let policy = PassbackPolicy { mode, direction, forget, same: SAME_PASSAGE, refuse_out: false };
    let rules = Rules::new(RuleBook::default(), TimeZone::UTC).with_passback(policy);
    Event::Ruled(Box::new(rules))
}

/// Rules by which what is decided about alice is told as made under duress.
fn marked() -> Event<'static, Observation> {
    let mut book = RuleBook::default();
    book.subjects.insert(visitor::subject(1), Terms { duress: true, ..Terms::default() });
    Event::Ruled(Box::new(Rules::new(book, TimeZone::UTC)))
}

fn somebody(word: Option<&str>) -> Result<SubjectId, String> {
    let place = word.and_then(|who| NAMES.iter().position(|name| *name == who));
    place.map(|who| visitor::subject(who + 1)).ok_or_else(|| "whose?".to_owned())
}

/// Somebody went in or out, by this door or the other one, and it is recorded.
fn passed<'a>(
    mut words: impl Iterator<Item = &'a str>,
    since_ms: i64,
) -> Result<Event<'static, Observation>, String> {
    let subject = somebody(words.next())?;
    let side = match words.next() {
        Some("in") => Side::Inside,
        Some("out") => Side::Outside,
        other => return Err(format!("nobody goes {other:?}")),
    };
    Ok(Event::Passed { subject, at: Whereabouts { side: Some(side), since_ms } })
}

/// A PIN that was typed for somebody.
fn pin<'a>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Event<'static, Observation>, String> {
    let subject = somebody(words.next())?;
    let result = match words.next() {
        Some("right") => PinResult::Right,
        Some("duress") => PinResult::Duress,
        Some("wrong") => PinResult::Wrong,
        other => return Err(format!("no PIN is {other:?}")),
    };
    Ok(Event::Pin { subject, result })
}

fn gate(word: Option<&str>) -> Result<Gate, String> {
    let word = word.ok_or("which gate?")?;
    let known = Gate::ALL.into_iter().find(|gate| gate.name() == word);
    known.ok_or_else(|| format!("no gate is called {word}"))
}

fn number<T: std::str::FromStr>(word: Option<&str>) -> Result<T, String> {
    let word = word.ok_or("a number is missing")?;
    word.parse().map_err(|_| format!("'{word}' is no such number"))
}

fn instant(word: Option<&str>) -> Result<Monotonic, String> {
    let relative: i64 = number(word)?;
    let absolute = START_MS.checked_add_signed(relative).ok_or("that is before the machine")?;
    Ok(Monotonic::from_millis(absolute))
}

impl Run {
    fn door(&mut self, word: Option<&str>) -> Result<(), String> {
        let event = match word {
            Some("contested") => Event::Contested(true),
            Some("ours") => Event::Contested(false),
            Some("armed") => ruled(Arming::On),
            Some("disarmed") => ruled(Arming::Off),
            Some("factor") => demanding(Demand { factor: true, ..Demand::default() }),
            Some("marked") => marked(),
            Some("doubted") => doubted(),
            Some("in") => one_way(Direction::In, PassbackMode::Hard),
            Some("out") => one_way(Direction::Out, PassbackMode::Hard),
            Some("softly") => one_way(Direction::In, PassbackMode::Soft),
            Some("company") => demanding(Demand { company: Some(vault()), ..Demand::default() }),
            _ => {
                let right = "contested or ours, armed or disarmed, marked, doubted, in, out or softly, or needs a factor or company";
                return Err(format!("a door is {right}"));
            }
        };
        self.step(event);
        Ok(())
    }

    fn step(&mut self, event: Event<'_, Observation>) {
        self.door.step(event, Time::of(&self.clock), &mut self.pending);
    }

    /// What a gate says from here on.
    fn gate<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let gate = gate(words.next())?;
        let answer = match words.next() {
            Some("pass") => Answer::Pass(fused(&mut words)?),
            Some("no") => Answer::No(fused(&mut words)?),
            Some("fault") => Answer::Fault,
            Some("undecided") => Answer::NotYet(AmbiguousReason::LivenessUndecided),
            Some("not_live") => Answer::Never(Refusal::Ambiguous(AmbiguousReason::NotLive)),
            Some("locked_out") => Answer::Never(Refusal::Denied(DeniedReason::LockedOut)),
            other => return Err(format!("no gate says {other:?}")),
        };
        self.door.sight_mut().tell(gate, answer);
        Ok(())
    }

    /// Which gates the line before this one has asked, in this order.
    fn asked<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let asked = &self.door.sight().asked;
        let found: Vec<&str> =
            asked.iter().skip(self.asked).map(|question| question.gate.name()).collect();
        let expected: Vec<&str> = words.collect();
        if found == expected { Ok(()) } else { Err(format!("asked: {found:?}")) }
    }

    fn begin_anew(&mut self, policy: VisitPolicy) {
        self.door.begin_anew(policy);
        self.door.sight_mut().ended = 0;
    }

    /// Of how many visitors what was gathered counts for no other.
    fn forgotten(&self, count: Option<&str>) -> Result<(), String> {
        let (found, expected) = (self.door.sight().ended, number::<u32>(count)?);
        if found == expected { Ok(()) } else { Err(format!("forgotten: {found}")) }
    }

    fn clock(&mut self, trust: Option<&str>) -> Result<(), String> {
        self.trust = match trust {
            Some("trusted") => ClockTrust::Trusted,
            Some("untrusted") => ClockTrust::Untrusted,
            _ => return Err("a clock is trusted or untrusted".into()),
        };
        Ok(())
    }

    fn at<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let now = instant(words.next())?;
        self.clock.advance_to(now);
        self.asked = self.door.sight().asked.len();
        self.sequence += 1;
        let mut observation = Observation {
            sequence: self.sequence,
            captured_at: now,
            wall: WallClock { unix_ms: unix_ms(now), trust: self.trust, synchronised: false },
            luminance: None,
            seen: Seen::NoFace,
        };
        let mut count = 1;
        observation.seen = match words.next() {
            Some("tick") => {
                self.step(Event::Tick);
                return words.next().map_or(Ok(()), |word| Err(format!("'{word}' after tick")));
            }
            Some("factor") => {
                self.step(Event::Factor(somebody(words.next())?));
                return Ok(());
            }
            Some(word @ ("passed" | "pin")) => {
                let since = unix_ms(now);
                self.step(if word == "pin" { pin(words) } else { passed(words, since) }?);
                return Ok(());
            }
            Some("reopened") => {
                self.step(Event::Reopened);
                return Ok(());
            }
            Some("enrolling") => {
                let (sequence, captured_at) = (self.sequence, now);
                self.step(Event::Enrolling { sequence, captured_at });
                return Ok(());
            }
            Some("reload") => {
                let settings = (sight::tuning(), policy(words)?);
                self.step(Event::Tuned(Box::new(settings)));
                return Ok(());
            }
            Some("none") => Seen::NoFace,
            Some("poor") => Seen::Faces {
                count,
                principal: FaceSeen {
                    quality: visitor::quality(0.0, Some(QualityFault::Blurred)),
                    found: None,
                },
            },
            Some("fault") => Seen::Fault(match words.next() {
                Some("stale") => Fault::Stale,
                Some("unreadable") => Fault::Unreadable,
                Some("engine") => Fault::Engine,
                Some("store") => Fault::Store,
                other => return Err(format!("no fault is {other:?}")),
            }),
            Some("face") => Seen::Faces { count, principal: face(&mut words)? },
            other => return Err(format!("nothing like {other:?} is ever seen")),
        };
        while let Some(word) = words.next() {
            match (word, &mut observation.seen) {
                ("captured", _) => observation.captured_at = instant(words.next())?,
                ("sequence", _) => {
                    observation.sequence = number(words.next())?;
                    self.sequence = self.sequence.max(observation.sequence);
                }
                ("light", _) => observation.luminance = Some(number(words.next())?),
                ("of", Seen::Faces { count: faces, .. }) => {
                    count = number(words.next())?;
                    *faces = count;
                }
                ("q", Seen::Faces { principal, .. }) => {
                    principal.quality.weight = number(words.next())?;
                }
                ("blurred", Seen::Faces { principal, .. }) => {
                    principal.quality.fault = Some(QualityFault::Blurred);
                }
                (word, Seen::Faces { principal: FaceSeen { found: Some(found), .. }, .. }) => {
                    match word {
                        "margin" => {
                            found.margin = match words.next() {
                                Some("none") => None,
                                word => Some(number(word)?),
                            }
                        }
                        "threshold" => found.threshold = number(words.next())?,
                        "metric" => found.metric = metric(words.next())?,
                        "beyond" => found.beyond_accepted = true,
                        "disabled" => {
                            found.best.as_mut().ok_or("nobody is disabled")?.enabled = false;
                        }
                        _ => return Err(format!("'{word}' says nothing of a face")),
                    }
                }
                (word, _) => return Err(format!("'{word}' says nothing here")),
            }
        }
        self.step(Event::Frame(&observation));
        Ok(())
    }

    fn expect(&mut self, expected: &str) -> Result<(), String> {
        if std::mem::take(&mut self.announced) {
            return if expected == "publish" { Ok(()) } else { Err("found: publish".into()) };
        }
        if self.pending.is_empty() {
            return Err("nothing more was asked for".into());
        }
        let found = self.describe();
        if found == expected { Ok(()) } else { Err(format!("found: {found}")) }
    }

    /// Takes the next effect and says it in the words of the tables.
    fn describe(&mut self) -> String {
        match self.pending.remove(0) {
            Effect::Presence { faces } => format!("presence {faces}"),
            Effect::Decided { decision, announce } => {
                let text = format!("record {}", say(&decision));
                self.announced = announce;
                self.decided = Some(decision);
                text
            }
        }
    }

    fn nothing_pending(&mut self) -> Result<(), String> {
        if self.announced {
            return Err("before this, also: publish".into());
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(format!("before this, also: {}", self.describe()))
    }

    fn latency<'a>(&self, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let (first, last): (u64, u64) = (number(words.next())?, number(words.next())?);
        let found = self.decided.as_ref().ok_or("nothing was decided")?.latency;
        if (found.first_frame_us, found.last_frame_us) == (first * 1000, last * 1000) {
            return Ok(());
        }
        Err(format!("found: {found:?}"))
    }

    fn wall(&self, expected: Option<&str>) -> Result<(), String> {
        let expected = unix_ms(instant(expected)?);
        let found = self.decided.as_ref().ok_or("nothing was decided")?.wall.unix_ms;
        if found == expected { Ok(()) } else { Err(format!("off by {}", found - expected)) }
    }

    fn poll(&self, expected: Option<&str>) -> Result<(), String> {
        let expected = match expected {
            Some("never") => None,
            word => Some(instant(word)?),
        };
        let found = self.door.poll_at();
        if found == expected {
            return Ok(());
        }
        let found = found.map(|at| i128::from(at.as_millis()) - i128::from(START_MS));
        Err(format!("wants to be asked at {found:?}"))
    }
}

/// The wall clock of the tables: it runs along with the case.
fn unix_ms(at: Monotonic) -> i64 {
    1_800_000_000_000 + i64::try_from(at.as_millis()).unwrap()
}

fn face<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<FaceSeen, String> {
    let best = match words.next() {
        Some("nobody") => None,
        Some(name) => {
            let index = NAMES.iter().position(|known| *known == name);
            let number_of = index.ok_or_else(|| format!("nobody is called {name}"))? + 1;
            let score = number(words.next())?;
            Some(Candidate { subject: visitor::subject(number_of), enabled: true, score })
        }
        None => return Err("whose face?".into()),
    };
    let margin = best.as_ref().map(|_| 0.3);
    let found = Some(visitor::found(best, margin));
    Ok(FaceSeen { quality: visitor::quality(1.0, None), found })
}

/// The second embedder's fused match, where one is given: whom, with which score.
fn fused<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Option<Match>, String> {
    let mut words = words.peekable();
    if words.peek().is_none() {
        return Ok(None);
    }
    Ok(face(&mut words)?.found)
}

fn metric(word: Option<&str>) -> Result<Metric, String> {
    [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2]
        .into_iter()
        .find(|metric| Some(metric.to_string().as_str()) == word)
        .ok_or_else(|| format!("no metric is {word:?}"))
}

/// A decision as the tables write it.
fn say(decision: &Decision) -> String {
    let outcome = format!("{:?}", decision.verdict.outcome()).to_lowercase();
    let mut text = format!("{outcome} {}", decision.verdict.reason());
    if let Some(subject) = decision.verdict.subject() {
        write!(text, " {}", name(subject)).unwrap();
    }
    let frames = decision.frames;
    write!(text, " {}/{}", frames.agreeing, frames.considered).unwrap();
    match decision.evidence.as_ref().map(|evidence| evidence.score) {
        Some(Some(score)) => write!(text, " score {score}").unwrap(),
        Some(None) => text.push_str(" score none"),
        None => {}
    }
    if decision.faces > 1 {
        write!(text, " faces {}", decision.faces).unwrap();
    }
    if decision.passback {
        text.push_str(" again");
    }
    match decision.passed {
        Some(Side::Inside) => text.push_str(" inside"),
        Some(Side::Outside) => text.push_str(" outside"),
        None => {}
    }
    if decision.duress {
        text.push_str(" duress");
    }
    text
}

fn name(subject: &SubjectId) -> &'static str {
    (1..).zip(NAMES).find(|(number, _)| visitor::subject(*number) == *subject).unwrap().1
}
