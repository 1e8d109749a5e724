//! The answer to a request that failed, saved as an export: whose it is, and what to do about it. For messages only.

use super::shapes::ERRORS;
use super::sight::Sight;

/// Who answers in this form: the names that it has, folded.
const ANSWERS: [(&str, &[&str]); 8] = [
    ("Microsoft Graph", &["error.code", "error.innererror"]),
    ("a Google API", &["error.code", "error.status"]),
    ("a Google API", &["error.code", "error.errors"]),
    ("Okta", &["errorcode", "errorsummary"]),
    ("a SCIM service", &["schemas", "detail", "status"]),
    ("a token endpoint", &["error", "error_description"]),
    ("a GraphQL API", &["errors"]),
    ("JumpCloud, or a service like it", &["message", "error"]),
];

/// What a failed request was refused for: words that name it, the HTTP statuses, and the way out.
const CAUSES: [(&[&str], &[u16], &str); 5] = [
    (
        &["ratelimit", "too many requests", "throttl", "quota", "e0000047"],
        &[429],
        "it asked too often: have the job wait, or run it less often",
    ),
    (
        &["forbidden", "permission", "insufficient", "denied", "not authorized", "e0000006"],
        &[403],
        "its key or token may not read this: grant it the permission",
    ),
    (
        &[
            "unauthorized",
            "unauthenticated",
            "not authenticated",
            "authentication",
            "invalidtoken",
            "invalid token",
            "invalid_token",
            "invalid_client",
            "invalid_grant",
            "invalid_auth",
            "expired",
            "credential",
            "e0000011",
        ],
        &[401],
        "its key or token was not accepted: renew it",
    ),
    (&["not found", "notfound", "no such"], &[404, 410], "its address is wrong, or what it asks for is not there"),
    (
        &["internal", "unavailable", "timeout", "timed out", "bad gateway"],
        &[408, 500, 502, 503, 504],
        "the service had a fault: have the job try again",
    ),
];

/// So much of the text is searched for words, in bytes.
const SEARCHED_BYTES: usize = 4096;

/// How a web page begins, somewhere near its beginning.
const PAGES: [&str; 5] = ["<!doctype html", "<html", "<head", "<body", "<title"];
/// Words of a page that asks who one is.
const SIGN_IN: [&str; 8] =
    ["password", "sign in", "sign-in", "signin", "log in", "login", "samlrequest", "session expired"];
/// What XML answers carry where something went wrong.
const XML_ERRORS: [&str; 4] = ["<error", "fault>", "faultstring", "<message>"];

/// Whether a JSON text is the answer to a failed request: what to do about it.
pub(super) fn request(sight: &Sight) -> Option<String> {
    let is_user = ["username", "id", "_id", "userprincipalname"].iter().any(|name| sight.has(name));
    let is_error = ERRORS.iter().any(|name| sight.has(name)) || (sight.has("title") && sight.has("status"));
    if !sight.json || !is_error || is_user || sight.wrapper.is_some() {
        return None;
    }
    let whose = ANSWERS.iter().find(|(_, names)| names.iter().all(|name| sight.has(name)));
    let whose = whose.map(|(whose, _)| format!(" of {whose}")).unwrap_or_default();
    Some(format!("this looks like the answer to a failed request{whose}: {}", cause(sight)))
}

/// Whether a text that begins with a bracket is a web page, or an answer in XML that says what went wrong.
pub(super) fn markup(text: &str) -> Option<String> {
    let text = beginning(text);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&PAGES) {
        let kind = if has(&SIGN_IN) { "a sign-in page" } else { "a web page" };
        let how =
            "have the job fetch the export itself: its session or token was not accepted, or its address is wrong";
        return Some(format!("this looks like {kind} (HTML): {how}; {ONLY_THEN}"));
    }
    has(&XML_ERRORS).then(|| format!("this looks like the answer to a failed request: {}", of_words(&text)))
}

/// What every job should do.
const ONLY_THEN: &str = "and have it replace the export only if the request succeeded (`curl -f … &&`)";

fn cause(sight: &Sight) -> String {
    let table = sight.table();
    let numbers = ["status", "statuscode", "status_code", "code", "error.code", "errorcode", "http_status"];
    let names = sight.names.iter().filter(|name| numbers.contains(&&*name.to_lowercase()));
    let status = names.flat_map(|name| table.values(name)).find_map(|value| value.parse::<u16>().ok());
    let of_status = status.and_then(|status| CAUSES.iter().find(|(_, statuses, _)| statuses.contains(&status)));
    match of_status {
        Some((.., how)) => format!("{how}; {ONLY_THEN}"),
        None => of_words(&beginning(&sight.text)),
    }
}

fn of_words(text: &str) -> String {
    let found = CAUSES.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)));
    found.map_or_else(|| format!("fix the export job, {ONLY_THEN}"), |(.., how)| format!("{how}; {ONLY_THEN}"))
}

/// The beginning of a text, in lower case.
fn beginning(text: &str) -> String {
    let mut end = text.len().min(SEARCHED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let lead = request(&Sight::of(text.as_bytes())).or_else(|| markup(text)).unwrap_or_default();
        for words in expected {
            assert!(lead.contains(words), "{text}: {words:?} is not in {lead:?}");
        }
    }

    #[test]
    fn the_answer_to_a_failed_request_says_whose_it_is_and_what_to_do() {
        check(
            r#"{"error":{"code":"InvalidAuthenticationToken","message":"Access token has expired.","innerError":{"date":"x","request-id":"y"}}}"#,
            &["of Microsoft Graph", "renew it"],
        );
        check(
            r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges","innerError":{}}}"#,
            &["of Microsoft Graph", "grant it the permission"],
        );
        check(
            r#"{"error":{"code":403,"message":"Not Authorized to access this resource/api","errors":[{"domain":"global"}],"status":"PERMISSION_DENIED"}}"#,
            &["of a Google API", "grant it the permission"],
        );
        check(
            r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided","errorLink":"E0000011","errorId":"oae","errorCauses":[]}"#,
            &["of Okta", "renew it"],
        );
        check(r#"{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit"}"#, &["of Okta", "too often"]);
        check(
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"x","status":"401"}"#,
            &["of a SCIM service", "renew it"],
        );
        check(
            r#"{"message":"Unauthorized","error":"Unauthorized: api key user not found"}"#,
            &["JumpCloud", "renew it"],
        );
        check(r#"{"error":"invalid_client","error_description":"x"}"#, &["of a token endpoint", "renew it"]);
        check(r#"{"data":null,"errors":[{"message":"Something timed out"}]}"#, &["of a GraphQL API", "try again"]);
        check(r#"{"type":"about:blank","title":"Forbidden","status":403}"#, &["grant it the permission"]);
        check(r#"{"message":"Too Many Requests"}"#, &["too often"]);
        check(r#"{"ok":false,"error":"invalid_auth"}"#, &["renew it"]);
        check(r#"{"message":"x"}"#, &["fix the export job", "only if the request succeeded"]);
    }

    #[test]
    fn a_page_and_an_answer_in_xml_are_named() {
        check("<!DOCTYPE html><html><form>Password</form></html>", &["a sign-in page (HTML)"]);
        check("<!-- x -->\n<HTML><title>Bad</title>", &["a web page (HTML)"]);
        check("<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"x\"><html>", &["a web page (HTML)"]);
        check("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", &["failed request", "grant"]);
        check("<soap:Envelope><soap:Fault><faultstring>x</faultstring></soap:Fault>", &["failed request"]);
        assert_eq!(markup("<?xml version=\"1.0\"?><users><user/></users>"), None);
    }
}
