//! What the reader can do about an endpoint that cannot be read, by its cause. PURE.

use crate::model::{AnswerDoubt, Reason, command, put_token};
use crate::outcome::{Judged, Outcome};

/// Where the address is the cause.
const ADDRESS: &str = "compare [rhombus] base_url with the Rhombus console; nothing was changed";

/// Causes that the libraries below us tell apart in words alone. Real certificates and proxies in the tests show when those
/// change; what is not known any more gets the hint for every network.
const CONNECTION: [(&str, &str); 10] = [
    ("no trusted CA certificates", "install ca-certificates, or set [rhombus] ca_file"),
    (
        "proxy authorization required",
        "the proxy wants a user and a password: put them into [rhombus] proxy (http://user:password@host:port)",
    ),
    (
        "UnknownIssuer",
        "the server's certificate was issued by an unknown authority: either the server does not send its \
         intermediate certificate, or the authority is private; put the missing certificate, as PEM, into [rhombus] ca_file",
    ),
    (
        "CaUsedAsEndEntity",
        "the server uses an authority's certificate as its own; give it a certificate signed by that authority, and \
         put the authority's into [rhombus] ca_file",
    ),
    ("certificate expired", "the server's certificate has expired, or this machine's clock is wrong"),
    ("certificate not valid yet", "this machine's clock is wrong, or the server's certificate is not valid yet"),
    (
        "certificate not valid for name",
        "the server's certificate is for another name: use that name in [rhombus] base_url, or give the server another one",
    ),
    (
        "invalid peer certificate",
        "the server's certificate could not be verified; with a private authority, set [rhombus] ca_file",
    ),
    ("dns error", "the host of [rhombus] base_url (or of proxy) cannot be found: check its spelling, and DNS"),
    ("corrupt message", "the server there does not speak TLS: check scheme and port of [rhombus] base_url and proxy"),
];

/// What to do about a list that cannot be read.
pub(crate) fn of_unread_list(judged: &Judged) -> String {
    let hint = match &judged.outcome {
        Outcome::Forbidden if matches!(judged.reason, Some(Reason::Doubtful(AnswerDoubt::Markup))) => {
            of_reason(judged.reason.as_ref())
        }
        Outcome::Unauthorized | Outcome::Forbidden => {
            return put_token("the token that the Rhombus console shows");
        }
        Outcome::Throttled(_) => "Rhombus asked us to wait: try again later",
        Outcome::NotFound | Outcome::Redirected => ADDRESS,
        Outcome::NotSupported => {
            "Rhombus does not support a list of users at this address (405 or 501), and nothing works without one; nothing \
             was changed"
        }
        Outcome::Conflict | Outcome::Rejected => "Rhombus rejects the request for a list; nothing was changed",
        Outcome::Accepted | Outcome::NotSent | Outcome::Unknown(_) => of_reason(judged.reason.as_ref()),
    };
    hint.to_owned()
}

/// What a token opens that shows none of the linked accounts, and what to do about it.
pub(crate) fn of_other_organisation(accounts_count: u64) -> (String, String) {
    let start_over = command("activate --start-over");
    let put = put_token("the token of the organisation that this state belongs to");
    if accounts_count == 0 {
        let said = "the organisation of this token is empty: none of the linked accounts is there";
        return (said.to_owned(), format!("{put}; or, if that organisation was emptied: {start_over}"));
    }
    let others = if accounts_count == 1 { "1 other is".to_owned() } else { format!("{accounts_count} others are") };
    let said =
        format!("this token belongs to another organisation: none of the linked accounts is there, but {others}");
    (said, format!("{put}; nothing was sent. To drop all links for good: {start_over}"))
}

/// Linked accounts are gone, all of them, though nothing here has changed.
pub(crate) fn of_nobody_there() -> (String, String) {
    let said = "none of the linked accounts exists in Rhombus any more";
    let start_over = command("activate --start-over");
    let hint = "check the Rhombus console: token and address are those that showed them before";
    (said.to_owned(), format!("{hint}. If the organisation was emptied: {start_over}"))
}

fn of_reason(reason: Option<&Reason>) -> &'static str {
    match reason {
        Some(Reason::Doubtful(AnswerDoubt::Markup)) => {
            "the answer comes from a website or a login page, not from SCIM: base_url must be the address of the \
             SCIM service, with no portal in between"
        }
        Some(Reason::ServerError { .. }) => {
            "the server reports an error of its own: try again later; nothing was changed"
        }
        Some(Reason::UnusableAnswer { .. }) => "the answer is not a complete SCIM list; nothing was changed",
        Some(Reason::NoConnection { text } | Reason::NoAnswer { text }) => {
            CONNECTION.iter().find(|(cause, _)| text.contains(cause)).map_or(
                "check the network and any firewall between here and Rhombus; nothing was changed",
                |(_, hint)| hint,
            )
        }
        Some(_) | None => "check the network between here and Rhombus; nothing was changed",
    }
}
