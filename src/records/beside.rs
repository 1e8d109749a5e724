//! What the members beside a page's records say of other pages. One page of several must never be read as the whole: whoever
//! stands on another one would look absent.
//!
//! Only names that mean nothing else are known here; a page that says less is not recognized.

use serde_json::Value;

/// Names of what leads to another page, folded.
const NEXT: [&str; 18] = [
    "next",
    "nextlink",
    "nextpage",
    "nextpagetoken",
    "nextpageurl",
    "nextpagelink",
    "nexturl",
    "nexthref",
    "nextcursor",
    "nexttoken",
    "nextoffset",
    "nextmarker",
    "nextrecordsurl",
    "aftercursor",
    "continuationtoken",
    "skiptoken",
    "paginationtoken",
    "lastevaluatedkey",
];
/// Names of a place in a list. Some programs write it on the last page too, and say beside it that it is the last one.
const PLACE: [&str; 10] = [
    "cursor",
    "marker",
    "after",
    "endcursor",
    "pagetoken",
    "scrollid",
    "bookmark",
    "continuation",
    "resumetoken",
    "synctoken",
];
/// Names of flags that are true while there is more.
const MORE: [&str; 19] = [
    "hasmore",
    "hasnext",
    "hasnextpage",
    "hasmoreitems",
    "hasmoreresults",
    "hasmorerecords",
    "hasmorepages",
    "more",
    "moreavailable",
    "moreresults",
    "moreitems",
    "morerecords",
    "istruncated",
    "truncated",
    "partial",
    "ispartial",
    "incomplete",
    "incompleteresults",
    "limitexceeded",
];
/// Names of flags that are false while there is more.
const LAST: [&str; 14] = [
    "last",
    "islast",
    "islastpage",
    "lastpage",
    "done",
    "isdone",
    "complete",
    "iscomplete",
    "completed",
    "finished",
    "isfinished",
    "eof",
    "endofresults",
    "endoflist",
];
/// Names of the number of all records.
const TOTAL: [&str; 25] = [
    "total",
    "totalcount",
    "totalresults",
    "totalelements",
    "totalrecords",
    "totalrecordcount",
    "totalitems",
    "totalhits",
    "totalmatches",
    "totalobjects",
    "totalusers",
    "totalmembers",
    "totalentries",
    "totalrows",
    "totalsize",
    "totalnumber",
    "totalavailable",
    "recordstotal",
    "recordcount",
    "usercount",
    "rowcount",
    "numfound",
    "nbhits",
    "count",
    "odatacount",
];
/// Names of the number of pages.
const PAGES: [&str; 7] = ["totalpages", "pagecount", "pagescount", "numpages", "nbpages", "lastpage", "pages"];
/// Names of objects in which all these stand.
const INWARDS: [&str; 17] = [
    "links",
    "link",
    "page",
    "paging",
    "paginginfo",
    "pagination",
    "paginationinfo",
    "pageinfo",
    "pagingmetadata",
    "meta",
    "metadata",
    "responsemetadata",
    "resultinfo",
    "searchinfo",
    "response",
    "cursors",
    "shards",
];
/// Names of what an answer that is not complete carries, as GraphQL does beside its data.
const ERRORS: [&str; 16] = [
    "error",
    "errors",
    "errormessage",
    "errordescription",
    "errorcode",
    "errorsummary",
    "exception",
    "exceptions",
    "fault",
    "faults",
    "failure",
    "failures",
    "failed",
    "timedout",
    "warning",
    "warnings",
];
/// Names of flags that are false where something went wrong.
const SUCCESS: [&str; 6] = ["success", "issuccess", "succeeded", "successful", "issuccessful", "ok"];
/// Names of a word or an HTTP status that says how it went.
const RESULT: [&str; 7] = ["status", "statuscode", "httpstatus", "code", "result", "outcome", "state"];
/// Words for an answer that is not complete, folded.
const BAD_RESULTS: [&str; 23] = [
    "partial",
    "partialsuccess",
    "partialcontent",
    "incomplete",
    "truncated",
    "error",
    "errors",
    "fail",
    "failed",
    "failure",
    "fault",
    "timeout",
    "timedout",
    "aborted",
    "cancelled",
    "canceled",
    "throttled",
    "ratelimited",
    "running",
    "inprogress",
    "processing",
    "pending",
    "unavailable",
];
/// What an error's member holds where there was none, folded.
const NO_ERRORS: [&str; 8] = ["ok", "none", "noerror", "success", "false", "no", "null", "0"];
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
        let lists = [&NEXT[..], &PLACE, &MORE, &LAST, &TOTAL, &PAGES, &INWARDS, &ERRORS, &SUCCESS, &RESULT];
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
        let failed = (is(&ERRORS) && says(value) && !is_word(value, &NO_ERRORS))
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
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// What a list of changes ends with: it may hold only what changed.
const DELTA: &str = "deltalink";

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

/// Letters and digits, without letter case: `@odata.nextLink` and `next_link` are the same.
fn folded(key: &str) -> String {
    let name: String = key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    name.strip_prefix("odata").filter(|rest| rest.ends_with("link")).map(str::to_owned).unwrap_or(name)
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
