//! `groups`: who passes by the same hours.
//!
//! In: the database, names of groups, schedules and subjects. Out: the list, or what was changed; every
//! change is one transaction with its record. Invariant: nobody comes to pass at any time by a removal:
//! a group that has members stays. Deliberately absent: the hours; they are the schedules'.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::subjects::{Who, change_rules, existing};
use crate::policy::{Demand, RuleBook, RuleName};
use crate::store::{RuleChange, Store, Subject};

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all groups: the schedule that each follows, what it needs, and who is in it
    List,
    /// Make a group
    Add {
        /// Its name, such as cleaners
        #[arg(value_name = "GROUP", value_parser = RuleName::new)]
        group: RuleName,
        /// The schedule that it follows; without one its members pass at any time
        #[arg(long, value_name = "SCHEDULE", value_parser = RuleName::new)]
        schedule: Option<RuleName>,
    },
    /// Let a group follow another schedule
    Follow {
        /// The group
        #[arg(value_name = "GROUP", value_parser = RuleName::new)]
        group: RuleName,
        /// The schedule
        #[arg(value_name = "SCHEDULE", value_parser = RuleName::new, required_unless_present = "any_time")]
        schedule: Option<RuleName>,
        /// No schedule: its members pass at any time
        #[arg(long, conflicts_with = "schedule")]
        any_time: bool,
    },
    /// Say what a group needs beside a face; what is not named is not needed
    Demand {
        /// The group
        #[arg(value_name = "GROUP", value_parser = RuleName::new)]
        group: RuleName,
        /// A second factor of the same person: a tag or a code, of which 'ask factor' tells
        #[arg(long)]
        factor: bool,
        /// Another person, of group OTHER, who could pass and came shortly before
        #[arg(long, value_name = "OTHER", value_parser = RuleName::new)]
        company: Option<RuleName>,
        /// Only while this schedule is open, such as at night; without it at any time
        #[arg(long, value_name = "SCHEDULE", value_parser = RuleName::new, conflicts_with = "nothing")]
        during: Option<RuleName>,
        /// Nothing: a face is enough
        #[arg(long, conflicts_with_all = ["factor", "company"], required_unless_present_any = ["factor", "company"])]
        nothing: bool,
    },
    /// Remove a group that nobody is in
    Remove {
        /// The group
        #[arg(value_name = "GROUP", value_parser = RuleName::new)]
        group: RuleName,
    },
    /// Put a subject into a group, out of the one that it is in
    Assign {
        #[command(flatten)]
        who: Who,
        /// The group
        #[arg(value_name = "GROUP", value_parser = RuleName::new, required_unless_present = "none")]
        group: Option<RuleName>,
        /// Into none: the subject passes at any time
        #[arg(long, conflicts_with = "group")]
        none: bool,
    },
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        if matches!(self, Self::List) {
            let store = existing(&config, Store::open_read_only)?;
            return list(context, &store.rule_book()?, &store.subjects()?);
        }
        let mut store = existing(&config, Store::open)?;
        let (text, done) = match self {
            Self::List => return Ok(Kind::Done),
            Self::Add { group, schedule } => {
                let change = RuleChange::AddGroup { group: &group, schedule: schedule.as_ref() };
                change_rules(&mut store, &config, change)?;
                let text = format!("group {group} made; {}", follows(schedule.as_ref()));
                (text, json!({ "done": "added", "group": group, "schedule": schedule }))
            }
            Self::Follow { group, schedule, .. } => {
                let change = RuleChange::Follow { group: &group, schedule: schedule.as_ref() };
                change_rules(&mut store, &config, change)?;
                let text = format!("group {group}: {}", follows(schedule.as_ref()));
                (text, json!({ "done": "changed", "group": group, "schedule": schedule }))
            }
            Self::Demand { group, factor, company, during, .. } => {
                let demand = Demand { factor, company, during };
                let change = RuleChange::Demand { group: &group, demand: &demand };
                change_rules(&mut store, &config, change)?;
                let text = format!("group {group}: {}", needs(Some(&demand)));
                let Demand { factor, company, during } = demand;
                let value = json!({
                    "done": "changed",
                    "group": group,
                    "factor": factor,
                    "company": company,
                    "during": during,
                });
                (text, value)
            }
            Self::Remove { group } => {
                change_rules(&mut store, &config, RuleChange::RemoveGroup { group: &group })?;
                let text = format!("group {group} removed");
                (text, json!({ "done": "removed", "group": group }))
            }
            Self::Assign { who, group, .. } => {
                let subject = store.subject(who.asked())?;
                let change = RuleChange::Assign { subject: &subject.id, group: group.as_ref() };
                change_rules(&mut store, &config, change)?;
                let into = group.as_ref().map_or_else(
                    || "in no group: hours do not keep it out".to_owned(),
                    |group| format!("in group {group}"),
                );
                let text = format!("{} ({}): {into}", subject.id, subject.name);
                (text, json!({ "done": "assigned", "subject": subject.id, "group": group }))
            }
        };
        context.tell(text, &done)?;
        Ok(Kind::Done)
    }
}

fn follows(schedule: Option<&RuleName>) -> String {
    schedule.map_or_else(
        || "follows no schedule: hours keep no member out".to_owned(),
        |schedule| format!("follows schedule {schedule}"),
    )
}

fn needs(demand: Option<&Demand>) -> String {
    let Some(Demand { factor, company, during }) = demand else {
        return "a face is enough".to_owned();
    };
    let needs = match (factor, company) {
        (true, None) => "needs a second factor".to_owned(),
        (true, Some(company)) => {
            format!("needs a second factor, and somebody of group {company} shortly before")
        }
        (false, Some(company)) => {
            format!("needs somebody else, of group {company}, shortly before")
        }
        (false, None) => return "a face is enough".to_owned(),
    };
    match during {
        Some(schedule) => format!("{needs}, while schedule {schedule} is open"),
        None => needs,
    }
}

fn write_people(text: &mut String, people: &[&Subject]) {
    for Subject { id, name, .. } in people {
        let _infallible = writeln!(text, "  {:<18} {name}", id.to_string());
    }
}

fn list(context: &Context, book: &RuleBook, subjects: &[Subject]) -> Result<Kind, Failure> {
    let group_of = |subject: &Subject| book.subjects.get(&subject.id)?.group.as_ref();
    let mut text = String::new();
    let mut values = Vec::new();
    for (group, schedule) in &book.groups {
        let members: Vec<&Subject> =
            subjects.iter().filter(|subject| group_of(subject) == Some(group)).collect();
        let demand = book.demands.get(group);
        let _infallible =
            writeln!(text, "{group}: {}; {}", follows(schedule.as_ref()), needs(demand));
        write_people(&mut text, &members);
        let members: Vec<_> = members.iter().map(|subject| &subject.id).collect();
        values.push(json!({
            "group": group,
            "schedule": schedule,
            "factor": demand.is_some_and(|demand| demand.factor),
            "company": demand.and_then(|demand| demand.company.as_ref()),
            "during": demand.and_then(|demand| demand.during.as_ref()),
            "members": members,
        }));
    }
    let others: Vec<&Subject> =
        subjects.iter().filter(|subject| group_of(subject).is_none()).collect();
    if book.groups.is_empty() {
        text.push_str("there is no group; hours keep nobody out\n");
    } else if !others.is_empty() {
        text.push_str("in no group, kept out by no hours:\n");
        write_people(&mut text, &others);
    }
    let others: Vec<_> = others.iter().map(|subject| &subject.id).collect();
    context.tell(text, &json!({ "groups": values, "in_no_group": others }))?;
    Ok(Kind::Done)
}
