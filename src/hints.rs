//! What the reader can do about an endpoint that cannot be read, by its cause. PURE.

use crate::model::{AnswerDoubt, Reason};
use crate::outcome::{Judged, Outcome};

/// Where the address is the cause.
const ADDRESS: &str = "compare [rhombus] base_url with the Rhombus console; nothing was changed";

/// Causes that the libraries below us tell apart in words alone. Real certificates and proxies in the tests show when those
/// change; what is not known any more gets the hint for every network.
const CONNECTION: [(&str, &str); 9] = [
    (
        "proxy authorization required",
        "the proxy wants a user and a password: put them into [rhombus] proxy (http://user:password@host:port)",
    ),
    (
        "UnknownIssuer",
        "the server's certificate leads to no authority that is known here: either the server leaves out its intermediate \
         certificate, or it has a private authority; put the one that is missing, as PEM, into [rhombus] ca_file",
    ),
    (
        "CaUsedAsEndEntity",
        "the server shows the certificate of an authority as its own; give it a certificate that the authority signed for it, \
         and put the authority's into [rhombus] ca_file",
    ),
    ("certificate expired", "the server's certificate has expired, or the clock of this machine is wrong"),
    ("certificate not valid yet", "the clock of this machine is wrong, or the server's certificate is not valid yet"),
    (
        "certificate not valid for name",
        "the server's certificate is for another name: use that name in [rhombus] base_url, or give the server another one",
    ),
    (
        "invalid peer certificate",
        "the server's certificate cannot be proven; with a private authority, set [rhombus] ca_file",
    ),
    ("dns error", "the host of [rhombus] base_url (or of proxy) cannot be found: look at its spelling, and at DNS"),
    (
        "corrupt message",
        "what answers there does not speak TLS: look at scheme and port of [rhombus] base_url and proxy",
    ),
];

/// What to do about a list that cannot be read.
pub(crate) fn of_unread_list(judged: &Judged) -> String {
    let hint = match &judged.outcome {
        Outcome::Unauthorized | Outcome::Forbidden => {
            "put the token that the Rhombus console shows into the token file"
        }
        Outcome::Throttled(_) => "Rhombus wants to be left alone for a while: try again later",
        Outcome::NotFound | Outcome::Redirected | Outcome::NotSupported => ADDRESS,
        Outcome::Conflict | Outcome::Rejected => "Rhombus rejects the request for a list; nothing was changed",
        Outcome::Accepted | Outcome::NotSent | Outcome::Unknown(_) => of_reason(judged.reason.as_ref()),
    };
    hint.to_owned()
}

fn of_reason(reason: Option<&Reason>) -> &'static str {
    match reason {
        Some(Reason::Doubtful(AnswerDoubt::Markup)) => {
            "what answers is a website or a login page, not SCIM: base_url must be the address of the SCIM service, and no \
             portal may stand in between"
        }
        Some(Reason::ServerError { .. }) => {
            "the server says that it fails itself: try again later; nothing was changed"
        }
        Some(Reason::UnusableAnswer { .. }) => "what answers there is not a whole SCIM list; nothing was changed",
        Some(Reason::NoConnection { said } | Reason::NoAnswer { said }) => {
            CONNECTION.iter().find(|(cause, _)| said.contains(cause)).map_or(
                "look at the network between here and Rhombus, and at a firewall; nothing was changed",
                |(_, hint)| hint,
            )
        }
        Some(_) | None => "look at the network between here and Rhombus; nothing was changed",
    }
}
