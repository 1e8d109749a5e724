//! What the members beside a page's records say of other pages. One page of several must never be read as the whole: whoever
//! stands on another one would look absent. The names stand in `marks`.

use super::marks::{
    BAD_RESULTS, CUT, DELTA, ERRORS, INWARDS, LAST, LEFT, MORE, NEXT, NO_ERRORS, PAGES, PLACE, RESULT, SUCCESS, TOTAL,
};
use serde_json::Value;

/// The lowest HTTP status that is a failure, and the highest there is.
const FAILED_STATUSES: std::ops::RangeInclusive<u64> = 400..=599;
/// How deep is looked for them.
const DEPTH_MAX: usize = 3;

/// What was said beside the records of the page that is read, or was read last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Beside {
    /// The member that says that there is more.
    more: Option<String>,
    /// The member that names a place from which to go on.
    place: Option<String>,
    /// Whether a flag says that this is the last page.
    ended: bool,
    /// The highest number of all records.
    total: Option<u64>,
    /// The member that says that something went wrong.
    error: Option<String>,
}

impl Beside {
    /// Looks at a member and its value as it is written; `None`: it is too long for any of these.
    pub(super) fn note(&mut self, key: &str, value: Option<&str>) {
        let name = folded(key);
        let lists =
            [&NEXT[..], &PLACE, &MORE, &CUT, &LEFT, &LAST, &TOTAL, &PAGES, &INWARDS, &ERRORS, &SUCCESS, &RESULT];
        if name != DELTA && !lists.iter().any(|names| names.contains(&&*name)) {
            return;
        }
        match value.map(serde_json::from_str) {
            Some(Ok(value)) => self.look(key, &name, &value, 0),
            Some(Err(_)) => {}
            None if ERRORS.contains(&&*name) => self.error = Some(key.to_owned()),
            None if NEXT.contains(&&*name) || PLACE.contains(&&*name) => self.more = Some(key.to_owned()),
            None => {}
        }
    }

    /// What was said beside the records of the next page: an error of this one stays one.
    pub(super) fn next_page(&mut self) {
        let error = self.error.take();
        *self = Self { error, ..Self::default() };
    }

    /// The member that says that there is more than so many records.
    pub(super) fn more_than(self, records_count: u64) -> Option<More> {
        let announced = self.total.filter(|total| *total > records_count);
        let ended = self.ended || self.total == Some(records_count);
        let more = self.more.or(self.place.filter(|_| !ended));
        self.error.map(More::Error).or(more.map(More::Page)).or(announced.map(More::Total))
    }

    fn look(&mut self, key: &str, name: &str, value: &Value, depth: usize) {
        let is = |names: &[&str]| names.contains(&name);
        let flag = value.as_bool();
        let more = (is(&NEXT) && says(value))
            || (is(&MORE) && flag == Some(true))
            || (is(&LAST) && flag == Some(false))
            || (is(&PAGES) && value.as_u64().is_some_and(|count| count > 1))
            || (is(&LEFT) && value.as_u64().is_some_and(|count| count > 0))
            || (name == DELTA && says(value));
        if more {
            self.more.get_or_insert_with(|| key.to_owned());
        }
        if is(&PLACE) && says(value) && !(value.is_object() && is(&INWARDS)) {
            self.place.get_or_insert_with(|| key.to_owned());
        }
        self.ended |= (is(&MORE) && flag == Some(false))
            || (is(&LAST) && flag == Some(true))
            || (matches!(name, "next" | "nextpage" | "nextcursor") && !says(value));
        if is(&TOTAL) {
            self.total = self.total.max(value.as_u64());
        }
        let failed = (is(&CUT) && flag == Some(true))
            || (is(&ERRORS) && says(value) && !is_word(value, &NO_ERRORS))
            || (is(&SUCCESS) && flag == Some(false))
            || (is(&RESULT) && (is_word(value, &BAD_RESULTS) || is_failed_status(value)));
        if failed {
            self.error.get_or_insert_with(|| key.to_owned());
        }
        if is(&INWARDS) && depth < DEPTH_MAX {
            self.look_inwards(key, value, depth + 1);
        }
    }

    fn look_inwards(&mut self, key: &str, value: &Value, depth: usize) {
        match value {
            Value::Object(members) => {
                for (inner, value) in members {
                    self.look(&format!("{key}.{inner}"), &folded(inner), value, depth);
                }
            }
            // `[{"rel": "next", "href": "…"}]`
            Value::Array(links) => {
                let next = |link: &Value| {
                    let relation = link.get("rel").or_else(|| link.get("relation"));
                    relation.and_then(Value::as_str).is_some_and(|relation| relation.eq_ignore_ascii_case("next"))
                };
                if links.iter().any(next) {
                    self.more.get_or_insert_with(|| format!("{key}.next"));
                }
            }
            // `<https://…>; rel="next"`, as in the header of this name
            Value::String(text) if folded(text).contains("relnext") => {
                self.more.get_or_insert_with(|| format!("{key}.next"));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// What says that there is more than was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum More {
    /// This member leads to another page.
    Page(String),
    /// A total of all records, higher than what is there.
    Total(u64),
    /// This member says that something went wrong: who stands in the part that failed would look absent.
    Error(String),
}

/// Whether a value leads anywhere.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(values) => values.iter().any(says),
        Value::Object(members) => members.values().any(says),
    }
}

/// Whether a value is one of these words.
fn is_word(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|text| words.contains(&&*folded(text)))
}

fn is_failed_status(value: &Value) -> bool {
    let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    number.is_some_and(|number| FAILED_STATUSES.contains(&number))
}

/// Letters and digits, without letter case: `@odata.nextLink`, `$nextLink` and `next_link` are the same.
fn folded(key: &str) -> String {
    let name: String = key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // Whose link it is stands before it.
    match ["nextlink", DELTA].into_iter().find(|link| name.ends_with(link)) {
        Some(link) => link.to_owned(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, value: &str, records_count: u64, expected: Option<&str>) {
        let mut beside = Beside::default();
        beside.note(key, Some(value));
        let said = beside.more_than(records_count).map(|more| match more {
            More::Page(name) | More::Error(name) => name,
            More::Total(total) => total.to_string(),
        });
        assert_eq!(said.as_deref(), expected, "{key}: {value}");
    }

    #[test]
    fn a_page_that_leads_to_another_one_is_known() {
        check("@odata.nextLink", "\"https://x\"", 2, Some("@odata.nextLink"));
        check("odata.nextLink", "\"x\"", 2, Some("odata.nextLink"));
        check("@microsoft.graph.nextLink", "\"x\"", 2, Some("@microsoft.graph.nextLink"));
        check("$nextLink", "\"x\"", 2, Some("$nextLink"));
        check("nextPageToken", "\"x\"", 2, Some("nextPageToken"));
        check("link", "\"<https://x?a=1>; rel=\\\"next\\\"\"", 2, Some("link.next"));
        check("@odata.deltaLink", "\"x\"", 2, Some("@odata.deltaLink"));
        check("next_page", "\"https://x?page=2\"", 2, Some("next_page"));
        check("Next", "3", 2, Some("Next"));
        check("has_more", "true", 2, Some("has_more"));
        check("last", "false", 2, Some("last"));
        check("_links", "{\"self\":{\"href\":\"x\"},\"next\":{\"href\":\"y\"}}", 2, Some("_links.next"));
        check("links", "[{\"rel\":\"self\"},{\"rel\":\"next\",\"href\":\"y\"}]", 2, Some("links.next"));
        check("response_metadata", "{\"next_cursor\":\"dXNlcg==\"}", 2, Some("response_metadata.next_cursor"));
        check("page", "{\"size\":2,\"totalElements\":5,\"totalPages\":3,\"number\":0}", 2, Some("page.totalPages"));
        check("meta", "{\"pagination\":{\"total\":5}}", 2, Some("5"));
        check("pageInfo", "{\"hasNextPage\":true}", 2, Some("pageInfo.hasNextPage"));
        check("count", "3", 2, Some("3"));
        check("@odata.count", "3", 2, Some("3"));
        check("totalResults", "3", 2, Some("3"));
        check("errors", "[{\"message\":\"time-out\"}]", 2, Some("errors"));
        check("error", "\"partial\"", 2, Some("error"));
        for (key, value) in [
            ("PaginationToken", "\"x\""),
            ("LastEvaluatedKey", "{\"id\":{\"S\":\"a\"}}"),
            ("cursor", "\"dXNlcg\""),
            ("marker", "\"7\""),
            ("after", "\"x\""),
            ("endCursor", "\"x\""),
            ("more", "true"),
            ("next_uri", "\"x\""),
            ("nextStartIndex", "3"),
            ("remainingCount", "7"),
            ("partial", "true"),
            ("incomplete_results", "true"),
            ("done", "false"),
            ("complete", "false"),
            ("success", "false"),
            ("ok", "false"),
            ("exception", "\"time-out\""),
            ("warnings", "[\"2 users could not be read\"]"),
            ("status", "\"partial\""),
            ("status", "429"),
            ("statusCode", "\"503\""),
            ("errorCode", "\"E0000047\""),
        ] {
            check(key, value, 2, Some(key));
        }
        check("paging", "{\"cursors\":{\"after\":\"x\"}}", 2, Some("paging.cursors.after"));
        check("meta", "{\"success\":false}", 2, Some("meta.success"));
        check("_shards", "{\"total\":2,\"failed\":1}", 2, Some("_shards.failed"));
        check("total_entries", "3", 2, Some("3"));
        check("total_rows", "3", 2, Some("3"));
        check("errors", "[]", 2, None);
        check("error", "null", 2, None);
    }

    #[test]
    fn an_error_beside_an_earlier_page_stays_one() {
        for (key, value) in [("errors", "[1]"), ("incomplete_results", "true"), ("partial", "true")] {
            let mut beside = Beside::default();
            beside.note(key, Some(value));
            beside.note("next", Some("2"));
            beside.next_page();
            beside.note("next", Some("null"));
            assert_eq!(beside.more_than(2), Some(More::Error(key.to_owned())));
        }
        let mut beside = Beside::default();
        beside.note("next", Some("2"));
        beside.next_page();
        assert_eq!(beside.more_than(2), None, "the next page is there");
    }

    #[test]
    fn a_page_that_says_it_is_the_last_one_is_whole() {
        for (key, value) in [
            ("@odata.nextLink", "null"),
            ("next_page", "\"\""),
            ("has_more", "false"),
            ("last", "true"),
            ("_links", "{\"self\":{\"href\":\"x\"},\"next\":null}"),
            ("links", "[{\"rel\":\"self\"},{\"rel\":\"last\"}]"),
            ("response_metadata", "{\"next_cursor\":\"\"}"),
            ("Count", "2"),
            ("count", "\"3\""),
            ("page", "1"),
            ("total_pages", "1"),
            ("nextSteps", "\"call them\""),
            ("roles", "[{\"next\":\"x\"}]"),
            ("link", "\"<https://x>; rel=\\\"self\\\"\""),
            ("remainingCount", "0"),
            ("pageInfo", "{\"endCursor\":\"x\",\"hasNextPage\":false}"),
            ("paging", "{\"cursors\":{\"after\":\"x\"},\"next\":null}"),
            ("page", "{\"total\":2,\"cursor\":\"x\"}"),
            ("success", "true"),
            ("done", "true"),
            ("completed", "\"2026-01-01\""),
            ("status", "\"OK\""),
            ("status", "200"),
            ("code", "0"),
            ("errorCode", "0"),
            ("error", "\"none\""),
            ("warnings", "[]"),
            ("partial", "false"),
            ("message", "\"done\""),
        ] {
            check(key, value, 2, None);
        }
    }
}
