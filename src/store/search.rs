//! The events of the log that somebody asks for: by user, type and outcome.

use super::log::head_of;
use crate::event::{EventType, Sealed};
use crate::model::DirectoryId;
use rusqlite::{Connection, Row};

/// `:user` also means what the user's former ids did.
const MATCHES: &str = "(:user IS NULL OR directory_id = :user
        OR directory_id IN (SELECT former_id FROM former_ids WHERE directory_id = :user))
    AND (:types IS NULL OR line ->> '$.event_type' IN (SELECT value FROM json_each(:types)))
    AND (:success IS NULL OR line ->> '$.success' = :success)";

/// Which events are asked for; at first all of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// Only what is about this user.
    pub user: Option<DirectoryId>,
    /// Only events of these types; none: of any.
    pub types: Vec<EventType>,
    /// Only what was accepted, or only what was not.
    pub success: Option<bool>,
}

impl EventFilter {
    fn user(&self) -> Option<&str> {
        self.user.as_ref().map(DirectoryId::as_str)
    }

    fn types(&self) -> Option<String> {
        let names: Vec<_> = self.types.iter().map(|kind| kind.as_str()).collect();
        (!names.is_empty()).then(|| serde_json::Value::from(names).to_string())
    }
}

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    Ok(Sealed { sequence: row.get(0)?, line: row.get(1)? })
}

/// The newest of these events, oldest first.
///
/// # Errors
/// The state cannot be read.
pub fn last_events(connection: &Connection, filter: &EventFilter, count: u32) -> rusqlite::Result<Vec<Sealed>> {
    let newest = format!("SELECT sequence, line FROM events WHERE {MATCHES} ORDER BY sequence DESC LIMIT :count");
    connection
        .prepare(&format!("SELECT sequence, line FROM ({newest}) ORDER BY sequence"))?
        .query_map(
            rusqlite::named_params! {
                ":user": filter.user(), ":types": filter.types(), ":success": filter.success, ":count": count,
            },
            sealed,
        )?
        .collect()
}

/// The next of these events behind `after`, at most `count`, and where to go on behind them.
///
/// # Errors
/// The state cannot be read.
pub fn next_events(
    connection: &Connection,
    filter: &EventFilter,
    after: i64,
    count: u32,
) -> rusqlite::Result<(Vec<Sealed>, i64)> {
    let head = head_of(connection)?.sequence;
    let sql = format!(
        "SELECT sequence, line FROM events WHERE sequence > :after AND sequence <= :head AND {MATCHES}
         ORDER BY sequence LIMIT :count"
    );
    let events = connection
        .prepare_cached(&sql)?
        .query_map(
            rusqlite::named_params! {
                ":user": filter.user(), ":types": filter.types(), ":success": filter.success, ":count": count,
                ":after": after, ":head": head,
            },
            sealed,
        )?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    // Where it stopped early there may be more of them below the head.
    let is_full = events.len() >= count as usize;
    let reached = events.last().filter(|_| is_full).map_or(head, |event| event.sequence);
    Ok((events, reached.max(after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Draft, Resource, Source};
    use crate::model::Moment;
    use crate::store;

    fn draft(user: Option<&str>, kind: EventType, success: bool) -> Draft {
        let resource = user.map(|id| Resource { id: DirectoryId::new(id), username: None, target_id: None });
        Draft { resource, ..Draft::new(kind, success, Source::Schedule) }
    }

    #[test]
    fn events_are_found_by_user_type_and_outcome_and_none_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        let mut writer = store::create(&path, "https://x.example", Moment(1_000), [7; 16]).expect("a state");
        let (made, gone, held) =
            (EventType::UserCreateProvision, EventType::UserDeleteProvision, EventType::ReconcileHeld);
        let drafts = [
            draft(Some("d1"), made, true),
            draft(Some("old"), made, true),
            draft(None, held, true),
            draft(Some("d1"), gone, false),
            draft(Some("d2"), gone, true),
        ];
        let transaction = writer.transaction().expect("a transaction");
        store::append(&transaction, &drafts, Moment(1_000)).expect("events");
        transaction
            .execute("INSERT INTO former_ids (former_id, directory_id) VALUES ('old', 'd1')", [])
            .expect("a row");
        transaction.commit().expect("a commit");

        let user = |id: &str| EventFilter { user: Some(DirectoryId::new(id)), ..EventFilter::default() };
        let types = |types: &[EventType]| EventFilter { types: types.to_vec(), ..EventFilter::default() };
        let outcome = |success| EventFilter { success: Some(success), ..EventFilter::default() };
        for (filter, expected) in [
            (EventFilter::default(), &[1, 2, 3, 4, 5][..]),
            (user("d1"), &[1, 2, 4]),
            (user("nobody"), &[]),
            (types(&[held, gone]), &[3, 4, 5]),
            (outcome(false), &[4]),
            (EventFilter { success: Some(true), types: vec![gone], ..user("d2") }, &[5]),
        ] {
            let numbers = |events: Vec<Sealed>| events.into_iter().map(|event| event.sequence).collect::<Vec<_>>();
            assert_eq!(numbers(last_events(&writer, &filter, 10).expect("events")), expected, "{filter:?}");
            let newest = &expected[expected.len().saturating_sub(2)..];
            assert_eq!(numbers(last_events(&writer, &filter, 2).expect("events")), newest, "{filter:?}");
            let (mut all, mut after) = (Vec::new(), 0);
            while after < 5 {
                let (events, reached) = next_events(&writer, &filter, after, 1).expect("events");
                assert!(reached > after, "{filter:?}");
                after = reached;
                all.extend(numbers(events));
            }
            assert_eq!(all, expected, "{filter:?}");
        }
    }
}
