//! What must hold for every plan, judged from the generated case alone; it shares no code with the plan.

use super::*;

/// What the rules say of each record, written a second time.
pub(super) struct Oracle<'c> {
    pub(super) case: &'c Case,
}

impl Oracle<'_> {
    fn in_scope(&self, record: &Record, groups: &[&str]) -> Option<bool> {
        match record.says {
            _ if groups.is_empty() => Some(true),
            Says::NoGroups => None,
            Says::Out => Some(groups.contains(&"Everyone")),
            Says::Active | Says::Suspended | Says::Staged | Says::BadState => Some(groups.contains(&"R")),
        }
    }

    fn groups(&self) -> &'static [&'static str] {
        if self.case.by_groups { &["R"] } else { &[] }
    }

    /// Unusable by itself, or because of another record.
    fn unusable(&self, record: &Record) -> bool {
        let twin = |other: &&Record| {
            other.id != record.id
                && other.id != 6
                && caseless_key(NAMES[other.name]) == caseless_key(NAMES[record.name])
        };
        record.id == 6
            || NAMES[record.name] == "none"
            || record.says == Says::BadState
            || self.in_scope(record, self.groups()).is_none()
            || self.case.records.iter().filter(|other| other.id == record.id).count() > 1
            || self.case.records.iter().find(twin).is_some()
    }

    fn wanted(&self, record: &Record) -> bool {
        !self.unusable(record)
            && self.in_scope(record, self.groups()) == Some(true)
            && !matches!(record.says, Says::Suspended | Says::Staged)
    }

    /// A record that names nobody and could be in scope.
    fn nobody(&self) -> bool {
        self.case.records.iter().any(|record| {
            record.id == 6
                && self.in_scope(record, self.groups()) != Some(false)
                && !self.case.rows.iter().any(|row| folded(NAMES[row.name]) == folded(NAMES[record.name]))
        })
    }

    /// The record of the user of a link whose id no record has, under another id.
    fn moved(&self, row: &Row) -> Option<&Record> {
        let absent = !self.case.records.iter().any(|record| record.id == row.id);
        self.case.records.iter().find(|record| {
            absent
                && !self.unusable(record)
                && !self.case.rows.iter().any(|row| row.id == record.id)
                && folded(NAMES[record.name]) == folded(NAMES[row.name])
                && (GIVEN[record.given].is_none_or(|given| given == GIVEN[row.given].unwrap_or_default())
                    || (row.given == 3 && record.given > 3)
                    || [(1, 2), (2, 1), (4, 5), (5, 4)].contains(&(record.id, row.id)))
        })
    }

    pub(super) fn judge(&self, plan: &ApprovedPlan) -> Result<(), String> {
        let changes: Vec<_> = plan.changes().collect();
        let changes: Vec<&Change> = changes.iter().map(|change| &**change).collect();
        let mut seen = BTreeSet::new();
        for change in &changes {
            let id = change.directory_id().as_str();
            seen.insert(id.to_owned()).then_some(()).ok_or(format!("{id} is changed twice"))?;
            let row = self.case.rows.iter().find(|row| IDS[row.id] == id);
            let records: Vec<_> = self.case.records.iter().filter(|record| IDS[record.id] == id).collect();
            let names = row.iter().map(|row| NAMES[row.name]).chain(records.iter().map(|record| NAMES[record.name]));
            if row.is_none() || records.len() == 1 || change.action().removes() {
                names
                    .clone()
                    .all(|name| name != "root@x.example")
                    .then_some(())
                    .ok_or(format!("P9: {id} is protected"))?;
            }
            match change {
                Change::Create { user, after_removal_of, .. } => {
                    row.is_none().then_some(()).ok_or(format!("{id} is linked and created"))?;
                    records
                        .iter()
                        .any(|record| self.wanted(record))
                        .then_some(())
                        .ok_or(format!("{id} is not wanted"))?;
                    let known = |row: &&Row| self.moved(row).is_some_and(|record| IDS[record.id] == id);
                    match self.case.rows.iter().find(known) {
                        None => {}
                        Some(row) => return Err(format!("{id} is {} under another id, and created", IDS[row.id])),
                    }
                    let holder = self.case.rows.iter().find(|row| folded(NAMES[row.name]) == user.user_name.folded());
                    let freed = holder.is_none_or(|holder| {
                        after_removal_of.as_ref().is_some_and(|after| after.as_str() == IDS[holder.id])
                            && changes
                                .iter()
                                .any(|c| c.action().removes() && c.directory_id().as_str() == IDS[holder.id])
                    });
                    freed.then_some(()).ok_or(format!("{id} takes a username that an account still carries"))?;
                }
                Change::Update { user_name, .. } => {
                    let row = row.ok_or(format!("{id} is not ours"))?;
                    let lost = |field: &rhombus_sync::model::Field| {
                        field.from.as_deref() == GIVEN[3] && [GIVEN[4], GIVEN[5]].contains(&field.to.as_deref())
                    };
                    let approved = self.case.approves(&change.key());
                    if !approved && change.fields().iter().any(lost) {
                        return Err(format!("{id} loses letters"));
                    }
                    let named = change.fields().iter().any(|field| field.name == FieldName::UserName);
                    (!named && user_name.as_str() == NAMES[row.name]).then_some(()).ok_or(format!("P5: {id}"))?;
                    records
                        .iter()
                        .any(|record| self.wanted(record))
                        .then_some(())
                        .ok_or(format!("{id} is not wanted"))?;
                }
                Change::Relink { .. } => return Err(format!("{id} is moved without a person's word")),
                Change::Remove { cause, .. } => {
                    let row = row.ok_or(format!("{id} is not ours"))?;
                    self.removal(row, &records, *cause, self.case.approves(&change.key()))?;
                }
            }
        }
        self.limits(&changes)
    }

    fn removal(&self, row: &Row, records: &[&Record], cause: Cause, approved: bool) -> Result<(), String> {
        let id = IDS[row.id];
        let moved = self.moved(row).map(|record| [record]);
        let records = moved.as_ref().map_or(records, |moved| &moved[..]);
        if self.case.clock_is_wrong {
            return Err(format!("{id} is removed while the clock is wrong"));
        }
        if records.iter().any(|record| self.unusable(record)) {
            return Err(format!("P2: {id} has an unusable record and is removed"));
        }
        if records.iter().any(|record| self.wanted(record)) {
            return Err(format!("P3: {id} is wanted and removed"));
        }
        // A record whose id nobody of ours has stands for the user with its username.
        let by_name = |record: &&Record| {
            folded(NAMES[record.name]) == folded(NAMES[row.name])
                && !self.case.rows.iter().any(|row| row.id == record.id)
                && self.unusable(record)
        };
        if let (true, Some(_)) = (records.is_empty(), self.case.records.iter().find(by_name)) {
            return Err(format!("P2: an unusable record stands for {id} by its username"));
        }
        if records.is_empty() {
            if self.nobody() {
                return Err(format!("P2: a record names nobody, and {id} is removed as absent"));
            }
            if !self.case.proof && !set(self.case.absent_before, row.id) {
                return Err(format!("P2: {id} is removed after one unproven sighting"));
            }
        }
        let asked_by_us = row.earlier
            && match records.first() {
                None => self.case.earlier_source || (self.case.earlier_scope == 3 && NAMES[row.name] == "a@x.example"),
                Some(record) => {
                    let groups: &[&str] = match self.case.earlier_scope {
                        0 | 3 => &["R"],
                        1 => &["Other"],
                        _ => &[],
                    };
                    let stated = matches!(record.says, Says::Suspended | Says::Staged);
                    let unprotected = self.case.earlier_scope != 3
                        || (folded(NAMES[row.name]) != "a@x.example" && folded(NAMES[record.name]) != "a@x.example");
                    let scope = self.in_scope(record, groups);
                    let asked = scope == Some(false) || (stated && scope.is_some());
                    !(asked && (unprotected && (self.case.earlier_scope == 3 || !root(row, record))))
                }
            };
        if asked_by_us && !approved {
            return Err(format!("the configuration removes {id} ({cause:?}) without approval"));
        }
        Ok(())
    }

    fn limits(&self, changes: &[&Change]) -> Result<(), String> {
        for (place, kind) in GuardKind::ALL.into_iter().enumerate() {
            let count = changes
                .iter()
                .filter(|change| change.guard_kind() == Some(kind) && !self.case.approves(&change.key()))
                .count() as u64;
            let (free, percent, most) = self.case.limits[place];
            let share = self.case.rows.len() as u64 * u64::from(percent) / 100;
            let limit = share.max(u64::from(free)).min(u64::from(most));
            let exempt = kind == GuardKind::Create && self.case.first_load;
            if !exempt && count > 0 && count + u64::from(self.case.spent[place]) > limit {
                return Err(format!("{count} of {kind:?} pass a limit of {limit}"));
            }
        }
        let removed = changes.iter().filter(|change| change.action().removes()).collect::<Vec<_>>();
        let all_approved = removed.iter().all(|change| self.case.approves(&change.key()));
        if !removed.is_empty() && removed.len() >= self.case.rows.len() && !all_approved {
            return Err("everybody is removed".to_owned());
        }
        Ok(())
    }
}

fn root(row: &Row, record: &Record) -> bool {
    NAMES[row.name] == "root@x.example" || NAMES[record.name] == "root@x.example"
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// NFKC case folding of the names in use.
fn caseless_key(name: &str) -> String {
    name.to_lowercase().replace('\u{df}', "ss")
}
