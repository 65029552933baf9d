//! The rule book in the database: groups, schedules, holidays, validity, whether the door is armed.
//!
//! Rows → [`RuleBook`]; a [`RuleChange`] and a [`Signature`] → the change and its record are on the
//! disk, or neither is. Invariants: what is read is of one moment, and a row that cannot be read is an
//! error, never a rule left out; nothing is removed that somebody's hours hang on, because that would
//! let them pass at any time. What the rules mean is in `policy`.

use std::borrow::Cow;

use jiff::civil::{Date, DateTime};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::administer::known;
use super::people::Undone;
use super::references::subject_id;
use super::{Administrative, AuditRecord, Body, Error, Signature, Store, ledger};
use crate::clock::{ClockTrust, utc};
use crate::compare::SubjectId;
use crate::policy::{Arming, Demand, RuleBook, RuleName, Schedule, Terms};
use crate::remedy::Remedied;

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
pub enum RuleChange<'a> {
    /// There is another group.
    AddGroup {
        /// Its name.
        group: &'a RuleName,
        /// The schedule that it follows; `None`: any time.
        schedule: Option<&'a RuleName>,
    },
    /// A group follows another schedule.
    Follow {
        /// The group.
        group: &'a RuleName,
        /// The schedule; `None`: any time.
        schedule: Option<&'a RuleName>,
    },
    /// A group needs something else beside a face.
    Demand {
        /// The group.
        group: &'a RuleName,
        /// What.
        demand: &'a Demand,
    },
    /// A group without members is no more.
    RemoveGroup {
        /// The group.
        group: &'a RuleName,
    },
    /// A subject is in another group.
    Assign {
        /// Who.
        subject: &'a SubjectId,
        /// The group; `None`: in none.
        group: Option<&'a RuleName>,
    },
    /// A subject is valid for another time.
    Validity {
        /// Who.
        subject: &'a SubjectId,
        /// From when on; `None`: ever since.
        from: Option<DateTime>,
        /// Until when; `None`: without end.
        until: Option<DateTime>,
    },
    /// What is decided about a subject is told as made under duress, or no longer.
    Mark {
        /// Who.
        subject: &'a SubjectId,
        /// Whether it is.
        duress: bool,
    },
    /// A schedule has these hours, whether or not it was there.
    SetSchedule {
        /// Its name.
        schedule: &'a RuleName,
        /// The hours.
        hours: &'a Schedule,
    },
    /// A schedule that no group follows is no more.
    RemoveSchedule {
        /// The schedule.
        schedule: &'a RuleName,
    },
    /// These days are holidays, too, or no longer.
    Holidays {
        /// The days.
        dates: &'a [Date],
        /// Whether they are.
        are: bool,
    },
    /// The door is armed, or not.
    Arm(Arming),
    /// The door is armed only while this schedule is open; `None`: whatever the hour is.
    ArmBy(Option<&'a RuleName>),
}

/// Why rules cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// There is no such group.
    #[error("group '{0}': there is none; {advice}", advice = self.advice())]
    NoSuchGroup(RuleName),
    /// There is no such schedule.
    #[error("schedule '{0}': there is none; {advice}", advice = self.advice())]
    NoSuchSchedule(RuleName),
    /// There is such a group.
    #[error("group '{0}': it is there already; {advice}", advice = self.advice())]
    GroupThere(RuleName),
    /// The group has members.
    #[error(
        "group '{group}': {members} people are in it, who could pass at any time without it; {advice}",
        advice = self.advice()
    )]
    GroupInUse {
        /// Which.
        group: RuleName,
        /// How many.
        members: u64,
    },
    /// Other groups need the group's company.
    #[error(
        "group '{group}': {groups} groups need somebody of it beside their own people; {advice}",
        advice = self.advice()
    )]
    CompanyInUse {
        /// Which.
        group: RuleName,
        /// How many.
        groups: u64,
    },
    /// The door's arming follows the schedule.
    #[error(
        "schedule '{0}': the door's arming follows it, and without it the door would be armed at any time; {advice}",
        advice = self.advice()
    )]
    ScheduleArms(RuleName),
    /// Groups follow the schedule.
    #[error(
        "schedule '{schedule}': {groups} groups follow it, or need something while it is open, and without it that would be at any time; {advice}",
        advice = self.advice()
    )]
    ScheduleInUse {
        /// Which.
        schedule: RuleName,
        /// How many.
        groups: u64,
    },
    /// A subject has no such PIN.
    #[error("subject {0}: it has no such PIN; {advice}", advice = self.advice())]
    NoPin(SubjectId),
    /// A validity that ends before it begins.
    #[error("the validity ends before it begins; {advice}", advice = self.advice())]
    NeverValid,
}

impl Remedied for RuleProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::NoSuchGroup(_) => {
                "'deepid-edge groups list' shows all, 'deepid-edge groups add' makes one"
            }
            Self::NoSuchSchedule(_) => {
                "'deepid-edge schedules show' shows all, 'deepid-edge schedules set' makes one"
            }
            Self::GroupThere(_) => "'deepid-edge groups follow' gives it another schedule",
            Self::GroupInUse { .. } => {
                "put them into another one with 'deepid-edge groups assign' first"
            }
            Self::CompanyInUse { .. } => {
                "change what they need with 'deepid-edge groups demand' first"
            }
            Self::ScheduleArms(_) => {
                "let it follow another one with 'deepid-edge arm follow' first, or none with 'deepid-edge arm follow --none'"
            }
            Self::ScheduleInUse { .. } => {
                "give them another one with 'deepid-edge groups follow' or 'groups demand --during' first"
            }
            Self::NoPin(_) => {
                "'deepid-edge pins list' shows who has one, 'deepid-edge pins set' sets one"
            }
            Self::NeverValid => "'deepid-edge subjects disable' keeps somebody out",
        }))
    }
}

impl RuleProblem {
    /// Whether something that was named is not there.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchGroup(_) | Self::NoSuchSchedule(_) | Self::NoPin(_))
    }
}

impl From<RuleProblem> for Undone {
    fn from(problem: RuleProblem) -> Self {
        Self::Refused(problem.into())
    }
}

impl Store {
    /// All rules, as they are at one moment.
    ///
    /// # Errors
    /// [`Error::BadRules`] for a row that cannot be read, or what the database says.
    pub fn rule_book(&self) -> Result<RuleBook, Error> {
        self.read_rules().map_err(|undone| self.refusal(undone))
    }

    fn read_rules(&self) -> Result<RuleBook, Undone> {
        let moment = self.connection.unchecked_transaction()?;
        let bad = |what: String| Undone::Refused(Error::BadRules { path: self.path.clone(), what });
        let mut book = self.read_hours(&moment)?;
        let group = |row: &Row<'_>| {
            let texts: [Option<String>; 3] = [row.get(1)?, row.get(3)?, row.get(4)?];
            Ok((row.get::<_, String>(0)?, row.get::<_, bool>(2)?, texts))
        };
        let sql = "SELECT name, schedule, factor, company, during FROM subject_groups";
        for (group, factor, [schedule, company, during]) in rows(&moment, sql, group)? {
            let group = name(group).map_err(bad)?;
            let schedule = schedule.map(name).transpose().map_err(bad)?;
            let company = company.map(name).transpose().map_err(bad)?;
            let during = during.map(name).transpose().map_err(bad)?;
            if factor || company.is_some() {
                book.demands.insert(group.clone(), Demand { factor, company, during });
            }
            book.groups.insert(group, schedule);
        }
        let terms = |row: &Row<'_>| {
            let texts: [Option<String>; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((subject_id(row, 0)?, row.get::<_, bool>(4)?, texts))
        };
        let sql = "SELECT subject, group_name, valid_from, valid_until, duress FROM subject_terms";
        for (subject, duress, [group, from, until]) in rows(&moment, sql, terms)? {
            let time = |text: Option<String>| text.as_deref().map(read).transpose();
            let terms = Terms {
                group: group.map(name).transpose().map_err(bad)?,
                from: time(from).map_err(bad)?,
                until: time(until).map_err(bad)?,
                duress,
            };
            book.subjects.insert(subject, terms);
        }
        book.whereabouts = super::whereabouts::read(&moment)?;
        Ok(book)
    }

    /// All that whether the door is armed hangs on: what was said last, schedules, holidays. The rest of
    /// the book is empty.
    ///
    /// # Errors
    /// As [`Self::rule_book`].
    pub fn arming_book(&self) -> Result<RuleBook, Error> {
        let moment = self.connection.unchecked_transaction();
        let moment = moment.map_err(|source| self.error(source))?;
        self.read_hours(&moment).map_err(|undone| self.refusal(undone))
    }

    fn read_hours(&self, moment: &Connection) -> Result<RuleBook, Undone> {
        let bad = |what: String| Undone::Refused(Error::BadRules { path: self.path.clone(), what });
        let arming_follows = arming_follows(moment)?.map(name).transpose().map_err(bad)?;
        let mut book = RuleBook { arming: arming(moment)?, arming_follows, ..RuleBook::default() };
        for date in rows(moment, "SELECT date FROM holidays", |row| row.get::<_, String>(0))? {
            book.holidays.insert(read(&date).map_err(bad)?);
        }
        let pair = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        for (schedule, hours) in rows(moment, "SELECT name, hours FROM schedules", pair)? {
            let hours = Schedule::read(&hours)
                .map_err(|problem| bad(format!("schedule '{schedule}': {problem}")))?;
            book.schedules.insert(name(schedule).map_err(bad)?, hours);
        }
        Ok(book)
    }

    /// Whether the door is armed, as it was said last.
    ///
    /// # Errors
    /// What the database says.
    pub fn arming(&self) -> Result<Arming, Error> {
        arming(&self.connection).map_err(|source| self.error(source))
    }

    /// Carries out a change, with its record, in one transaction.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], [`Error::Rules`], or what the database says: nothing was changed then,
    /// and nothing recorded.
    pub fn change_rules(
        &mut self,
        change: RuleChange<'_>,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let event = apply(connection, change)?;
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }

    /// Notes that the time is over for which the door was armed, where it is by a clock that is
    /// trusted: a clock that goes back later does not arm it again.
    ///
    /// # Errors
    /// What the database says; nothing was changed then.
    pub fn end_arming(&mut self, by: Signature<'_>) -> Result<Option<AuditRecord>, Error> {
        let over = |arming: Arming| {
            by.wall.trust == ClockTrust::Trusted
                && arming.until_ms().is_some()
                && !arming.is_armed(by.wall.unix_ms)
        };
        if !over(self.arming()?) {
            return Ok(None);
        }
        let keeping = self.keeping();
        self.write(|connection| {
            // Somebody may have armed it again since.
            if !over(arming(connection)?) {
                return Ok(None);
            }
            let event = apply(connection, RuleChange::Arm(Arming::Off))?;
            ledger::append(connection, &keeping, Body::Administrative(event), by).map(Some)
        })
    }
}

fn apply(connection: &Connection, change: RuleChange<'_>) -> Result<Administrative, Undone> {
    match change {
        RuleChange::AddGroup { group, schedule } => add_group(connection, group, schedule),
        RuleChange::Follow { group, schedule } => follow(connection, group, schedule),
        RuleChange::Demand { group, demand } => set_demand(connection, group, demand),
        RuleChange::RemoveGroup { group } => remove_group(connection, group),
        RuleChange::Assign { subject, group } => assign(connection, subject, group),
        RuleChange::Validity { subject, from, until } => limit(connection, subject, from, until),
        RuleChange::Mark { subject, duress } => {
            known(connection, subject)?;
            connection.execute(
                "INSERT INTO subject_terms (subject, duress) VALUES (?1, ?2)
                 ON CONFLICT (subject) DO UPDATE SET duress = excluded.duress",
                params![subject.as_str(), duress],
            )?;
            Ok(Administrative::SubjectMarked { subject: subject.clone(), duress })
        }
        RuleChange::SetSchedule { schedule, hours } => {
            connection.execute(
                "INSERT INTO schedules (name, hours) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET hours = excluded.hours",
                params![schedule.as_str(), hours.to_string()],
            )?;
            Ok(Administrative::ScheduleSet { schedule: schedule.clone() })
        }
        RuleChange::RemoveSchedule { schedule } => remove_schedule(connection, schedule),
        RuleChange::Holidays { dates, are } => Ok(set_holidays(connection, dates, are)?),
        RuleChange::Arm(arming) => {
            connection.execute(
                "INSERT INTO arming (id, armed, until_ms) VALUES (1, ?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET
                     armed = excluded.armed, until_ms = excluded.until_ms",
                params![arming != Arming::Off, arming.until_ms()],
            )?;
            let until = arming.until_ms().map(utc);
            Ok(Administrative::ArmingChanged { armed: arming != Arming::Off, until })
        }
        RuleChange::ArmBy(schedule) => {
            needs_schedule(connection, schedule)?;
            connection.execute(
                "INSERT INTO arming (id, armed, schedule) VALUES (1, 1, ?1)
                 ON CONFLICT (id) DO UPDATE SET schedule = excluded.schedule",
                [schedule.map(RuleName::as_str)],
            )?;
            Ok(Administrative::ArmingScheduled { schedule: schedule.cloned() })
        }
    }
}

fn add_group(
    connection: &Connection,
    group: &RuleName,
    schedule: Option<&RuleName>,
) -> Result<Administrative, Undone> {
    if group_is_there(connection, group)? {
        return Err(RuleProblem::GroupThere(group.clone()).into());
    }
    needs_schedule(connection, schedule)?;
    let sql = "INSERT INTO subject_groups (name, schedule) VALUES (?1, ?2)";
    connection.execute(sql, params![group.as_str(), schedule.map(RuleName::as_str)])?;
    Ok(Administrative::GroupAdded { group: group.clone(), schedule: schedule.cloned() })
}

fn follow(
    connection: &Connection,
    group: &RuleName,
    schedule: Option<&RuleName>,
) -> Result<Administrative, Undone> {
    needs_group(connection, Some(group))?;
    needs_schedule(connection, schedule)?;
    let sql = "UPDATE subject_groups SET schedule = ?2 WHERE name = ?1";
    connection.execute(sql, params![group.as_str(), schedule.map(RuleName::as_str)])?;
    Ok(Administrative::GroupScheduled { group: group.clone(), schedule: schedule.cloned() })
}

fn remove_group(connection: &Connection, group: &RuleName) -> Result<Administrative, Undone> {
    needs_group(connection, Some(group))?;
    let sql = "SELECT count(*) FROM subject_terms WHERE group_name = ?1";
    let members = count(connection, sql, group.as_str())?;
    if members > 0 {
        return Err(RuleProblem::GroupInUse { group: group.clone(), members }.into());
    }
    let sql = "SELECT count(*) FROM subject_groups WHERE company = ?1 AND name <> ?1";
    let groups = count(connection, sql, group.as_str())?;
    if groups > 0 {
        return Err(RuleProblem::CompanyInUse { group: group.clone(), groups }.into());
    }
    connection.execute("DELETE FROM subject_groups WHERE name = ?1", [group.as_str()])?;
    Ok(Administrative::GroupRemoved { group: group.clone() })
}

fn set_demand(
    connection: &Connection,
    group: &RuleName,
    Demand { factor, company, during }: &Demand,
) -> Result<Administrative, Undone> {
    needs_group(connection, Some(group))?;
    needs_group(connection, company.as_ref())?;
    needs_schedule(connection, during.as_ref())?;
    let sql = "UPDATE subject_groups SET factor = ?2, company = ?3, during = ?4 WHERE name = ?1";
    let [company_name, while_open] =
        [company, during].map(|name| name.as_ref().map(RuleName::as_str));
    connection.execute(sql, params![group.as_str(), factor, company_name, while_open])?;
    Ok(Administrative::GroupDemands {
        group: group.clone(),
        factor: *factor,
        company: company.clone(),
        during: during.clone(),
    })
}

fn assign(
    connection: &Connection,
    subject: &SubjectId,
    group: Option<&RuleName>,
) -> Result<Administrative, Undone> {
    known(connection, subject)?;
    needs_group(connection, group)?;
    connection.execute(
        "INSERT INTO subject_terms (subject, group_name) VALUES (?1, ?2)
         ON CONFLICT (subject) DO UPDATE SET group_name = excluded.group_name",
        params![subject.as_str(), group.map(RuleName::as_str)],
    )?;
    Ok(Administrative::SubjectAssigned { subject: subject.clone(), group: group.cloned() })
}

fn limit(
    connection: &Connection,
    subject: &SubjectId,
    from: Option<DateTime>,
    until: Option<DateTime>,
) -> Result<Administrative, Undone> {
    known(connection, subject)?;
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(RuleProblem::NeverValid.into());
    }
    let [from, until] = [from, until].map(|time| time.map(|time| time.to_string()));
    connection.execute(
        "INSERT INTO subject_terms (subject, valid_from, valid_until) VALUES (?1, ?2, ?3)
         ON CONFLICT (subject) DO UPDATE SET
             valid_from = excluded.valid_from, valid_until = excluded.valid_until",
        params![subject.as_str(), from, until],
    )?;
    Ok(Administrative::ValiditySet { subject: subject.clone(), from, until })
}

fn remove_schedule(connection: &Connection, schedule: &RuleName) -> Result<Administrative, Undone> {
    needs_schedule(connection, Some(schedule))?;
    let sql = "SELECT count(*) FROM subject_groups WHERE schedule = ?1 OR during = ?1";
    let groups = count(connection, sql, schedule.as_str())?;
    if groups > 0 {
        return Err(RuleProblem::ScheduleInUse { schedule: schedule.clone(), groups }.into());
    }
    if arming_follows(connection)?.as_deref() == Some(schedule.as_str()) {
        return Err(RuleProblem::ScheduleArms(schedule.clone()).into());
    }
    connection.execute("DELETE FROM schedules WHERE name = ?1", [schedule.as_str()])?;
    Ok(Administrative::ScheduleRemoved { schedule: schedule.clone() })
}

fn set_holidays(
    connection: &Connection,
    dates: &[Date],
    are: bool,
) -> rusqlite::Result<Administrative> {
    let sql = if are {
        "INSERT OR IGNORE INTO holidays (date) VALUES (?1)"
    } else {
        "DELETE FROM holidays WHERE date = ?1"
    };
    let mut statement = connection.prepare(sql)?;
    let mut changed = 0_u32;
    for date in dates {
        changed += u32::from(statement.execute([date.to_string()])? > 0);
    }
    let (added, removed) = if are { (changed, 0) } else { (0, changed) };
    Ok(Administrative::HolidaysChanged { added, removed })
}

fn arming(connection: &Connection) -> rusqlite::Result<Arming> {
    let read = |row: &Row<'_>| {
        let (armed, until): (bool, Option<i64>) = (row.get(0)?, row.get(1)?);
        Ok(match (armed, until) {
            (false, _) => Arming::Off,
            (true, None) => Arming::On,
            (true, Some(end)) => Arming::Until(end),
        })
    };
    let mut statement =
        connection.prepare_cached("SELECT armed, until_ms FROM arming WHERE id = 1")?;
    Ok(statement.query_row([], read).optional()?.unwrap_or_default())
}

/// The schedule that the door's arming follows.
fn arming_follows(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT schedule FROM arming WHERE id = 1")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.flatten())
}

fn group_is_there(connection: &Connection, group: &RuleName) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM subject_groups WHERE name = ?1";
    Ok(count(connection, sql, group.as_str())? > 0)
}

fn needs_group(connection: &Connection, group: Option<&RuleName>) -> Result<(), Undone> {
    match group {
        Some(group) if !group_is_there(connection, group)? => {
            Err(RuleProblem::NoSuchGroup(group.clone()).into())
        }
        _ => Ok(()),
    }
}

fn needs_schedule(connection: &Connection, schedule: Option<&RuleName>) -> Result<(), Undone> {
    let Some(schedule) = schedule else { return Ok(()) };
    let sql = "SELECT count(*) FROM schedules WHERE name = ?1";
    if count(connection, sql, schedule.as_str())? > 0 {
        return Ok(());
    }
    Err(RuleProblem::NoSuchSchedule(schedule.clone()).into())
}

fn count(connection: &Connection, sql: &str, of: &str) -> rusqlite::Result<u64> {
    connection.query_row(sql, [of], |row| super::people::unsigned(row, 0))
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map([], read)?.collect()
}

fn name(text: String) -> Result<RuleName, String> {
    RuleName::try_from(text).map_err(|problem| problem.to_string())
}

fn read<T: std::str::FromStr<Err = jiff::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("'{text}': {error}"))
}
