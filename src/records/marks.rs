//! The names of members beside a page's records that say that there are more of them, or that something went wrong. Data only;
//! `beside` looks them up. Only names that mean nothing else are known; a page that says less is not recognized.

/// What a list of changes ends with: it may hold only what changed.
pub(super) const DELTA: &str = "deltalink";
/// Names of what leads to another page, folded.
pub(super) const NEXT: [&str; 23] = [
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
    "nexturi",
    "nextpageuri",
    "nextpagenumber",
    "nextstart",
    "nextstartindex",
    "aftercursor",
    "continuationtoken",
    "skiptoken",
    "paginationtoken",
    "lastevaluatedkey",
];
/// Names of a place in a list. Some programs write it on the last page too, and say beside it that it is the last one.
pub(super) const PLACE: [&str; 10] = [
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
pub(super) const MORE: [&str; 14] = [
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
];
/// Names of flags that are true where a page itself is not complete, whatever follows it.
pub(super) const CUT: [&str; 5] = ["partial", "ispartial", "incomplete", "incompleteresults", "limitexceeded"];
/// Names of the number of records that are still to come.
pub(super) const LEFT: [&str; 5] =
    ["remainingcount", "remainingresults", "remainingitems", "remainingrecords", "remainingrows"];
/// Names of flags that are false while there is more.
pub(super) const LAST: [&str; 14] = [
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
pub(super) const TOTAL: [&str; 25] = [
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
pub(super) const PAGES: [&str; 7] =
    ["totalpages", "pagecount", "pagescount", "numpages", "nbpages", "lastpage", "pages"];
/// Names of objects in which all these stand.
pub(super) const INWARDS: [&str; 17] = [
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
pub(super) const ERRORS: [&str; 16] = [
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
pub(super) const SUCCESS: [&str; 6] = ["success", "issuccess", "succeeded", "successful", "issuccessful", "ok"];
/// Names of a word or an HTTP status that says how it went.
pub(super) const RESULT: [&str; 7] = ["status", "statuscode", "httpstatus", "code", "result", "outcome", "state"];
/// Words for an answer that is not complete, folded.
pub(super) const BAD_RESULTS: [&str; 23] = [
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
pub(super) const NO_ERRORS: [&str; 8] = ["ok", "none", "noerror", "success", "false", "no", "null", "0"];
