//! Filters (RFC 7644, section 3.4.2.2): parsing, and matching accounts.

use super::answer::Refusal;
use super::path::Path;
use super::schemas::{Attribute, Kind};
use crate::model::folded;
use serde_json::{Map, Value};
use std::iter::Peekable;
use std::str::Chars;

/// Most nested brackets; each level is a call on the stack.
const DEPTH_MAX: usize = 32;

/// A parsed filter.
#[derive(Debug)]
pub(super) enum Filter {
    /// An attribute compared with a value.
    Compare(Path, Operator, Value),
    /// `pr`: an attribute has a value.
    Present(Path),
    /// One value of a list matches the inner filter.
    Within(Path, Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// A comparison operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Parses a filter over users.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        Parser::new(text, None).whole()
    }

    /// Parses a filter over the values of a list, as between brackets.
    pub(super) fn of_values(list: &'static Attribute, text: &str) -> Result<Self, Refusal> {
        Parser::new(text, Some(list)).whole()
    }

    /// The userName, if the filter is exactly `userName eq "…"`: there is an index for that.
    pub(super) fn user_name(&self) -> Option<&str> {
        match self {
            Self::Compare(path, Operator::Equal, Value::String(name)) if path.top.name == "userName" => Some(name),
            Self::Compare(..) | Self::Present(_) | Self::Within(..) => None,
            Self::And(..) | Self::Or(..) | Self::Not(_) => None,
        }
    }

    /// Whether a user, or a value of a list, matches.
    pub(super) fn fits(&self, members: &Map<String, Value>) -> bool {
        match self {
            Self::Compare(path, Operator::NotEqual, wanted) => !compares(path, Operator::Equal, wanted, members),
            Self::Compare(path, operator, wanted) => compares(path, *operator, wanted, members),
            Self::Present(path) => path.values(members).iter().any(|value| value.as_str() != Some("")),
            Self::Within(path, filter) => {
                path.values(members).iter().filter_map(|value| value.as_object()).any(|value| filter.fits(value))
            }
            Self::And(left, right) => left.fits(members) && right.fits(members),
            Self::Or(left, right) => left.fits(members) || right.fits(members),
            Self::Not(filter) => !filter.fits(members),
        }
    }

    /// The values that the filter requires, if it consists only of `eq` joined by `and`. An `add` to a value that does
    /// not exist creates it from these.
    pub(super) fn demanded(&self) -> Option<Map<String, Value>> {
        match self {
            Self::Compare(path, Operator::Equal, value) if path.part.is_none() => {
                Some(Map::from_iter([(path.top.name.to_owned(), value.clone())]))
            }
            Self::And(left, right) => {
                let mut both = left.demanded()?;
                both.extend(right.demanded()?);
                Some(both)
            }
            Self::Compare(..) | Self::Present(_) | Self::Within(..) | Self::Or(..) | Self::Not(_) => None,
        }
    }
}

fn compares(path: &Path, operator: Operator, wanted: &Value, members: &Map<String, Value>) -> bool {
    let found = path.values(members);
    if wanted.is_null() {
        return found.is_empty();
    }
    found.into_iter().any(|value| match value {
        Value::Object(parts) => parts.get("value").is_some_and(|value| compare(path.last(), value, operator, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            compare(path.last(), value, operator, wanted)
        }
    })
}

fn compare(attribute: &Attribute, value: &Value, operator: Operator, wanted: &Value) -> bool {
    let (Value::String(value), Value::String(wanted)) = (value, wanted) else {
        return operator == Operator::Equal && value == wanted;
    };
    if attribute.kind == Kind::DateTime
        && let (Ok(value), Ok(wanted)) = (value.parse::<jiff::Timestamp>(), wanted.parse::<jiff::Timestamp>())
    {
        return ordered(value.cmp(&wanted), operator);
    }
    let fold = |text: &str| if attribute.is_case_exact { text.to_owned() } else { folded(text) };
    let (value, wanted) = (fold(value), fold(wanted));
    match operator {
        Operator::Contains => value.contains(&wanted),
        Operator::StartsWith => value.starts_with(&wanted),
        Operator::EndsWith => value.ends_with(&wanted),
        Operator::Equal
        | Operator::NotEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::Less
        | Operator::LessOrEqual => ordered(value.cmp(&wanted), operator),
    }
}

fn ordered(order: std::cmp::Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => false,
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    /// The list whose values are filtered; `None`: users are.
    list: Option<&'static Attribute>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, list: Option<&'static Attribute>) -> Self {
        Self { rest: text.chars().peekable(), list, depth: 0 }
    }

    fn whole(mut self) -> Result<Filter, Refusal> {
        let filter = self.either()?;
        self.blanks();
        match self.rest.next() {
            None => Ok(filter),
            Some(odd) => Err(Refusal::filter(format!("unexpected `{odd}` after the filter"))),
        }
    }

    /// `or` binds weaker than `and`.
    fn either(&mut self) -> Result<Filter, Refusal> {
        let mut filter = self.both()?;
        while self.accepts_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        Ok(filter)
    }

    fn both(&mut self) -> Result<Filter, Refusal> {
        let mut filter = self.one()?;
        while self.accepts_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, Refusal> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Refusal::filter(format!("the filter is nested more than {DEPTH_MAX} brackets deep")));
        }
        let filter = self.one_unbounded();
        self.depth -= 1;
        filter
    }

    fn one_unbounded(&mut self) -> Result<Filter, Refusal> {
        if self.accepts('(') {
            let filter = self.either()?;
            return self.requires(')').map(|()| filter);
        }
        if self.accepts_word("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        let name = self.word();
        let path = match self.list {
            None => Path::parse(&name),
            Some(list) => Path::of_part(list, &name),
        };
        let path = path.ok_or_else(|| Refusal::filter(format!("there is no attribute `{name}`")))?;
        if self.list.is_none() && path.top.is_list && path.part.is_none() && self.accepts('[') {
            self.list = Some(path.top);
            let filter = self.either();
            self.list = None;
            let filter = Filter::Within(path, Box::new(filter?));
            return self.requires(']').map(|()| filter);
        }
        self.comparison(path)
    }

    fn comparison(&mut self, path: Path) -> Result<Filter, Refusal> {
        let operator = self.word().to_ascii_lowercase();
        let operator = match operator.as_str() {
            "pr" => return Ok(Filter::Present(path)),
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "co" => Operator::Contains,
            "sw" => Operator::StartsWith,
            "ew" => Operator::EndsWith,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            _ => return Err(Refusal::filter(format!("there is no operator `{operator}`"))),
        };
        let value = self.value()?;
        let is_equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !is_equality && !value.is_string() {
            return Err(Refusal::filter("only eq and ne can compare with a value that is not a string"));
        }
        Ok(Filter::Compare(path, operator, value))
    }

    /// A JSON string, `true`, `false`, `null` or a number.
    fn value(&mut self) -> Result<Value, Refusal> {
        self.blanks();
        let mut text = String::new();
        if self.rest.peek() == Some(&'"') {
            text.extend(self.rest.next());
            let mut is_escaped = false;
            for next in self.rest.by_ref() {
                text.push(next);
                if next == '"' && !is_escaped {
                    break;
                }
                is_escaped = next == '\\' && !is_escaped;
            }
        } else {
            text = self.word();
            text = if text.parse::<f64>().is_ok() { text } else { text.to_ascii_lowercase() };
        }
        serde_json::from_str(&text).map_err(|_| Refusal::filter(format!("`{text}` is not a value; strings are quoted")))
    }

    fn word(&mut self) -> String {
        self.blanks();
        let mut word = String::new();
        while let Some(next) = self.rest.next_if(|next| !next.is_whitespace() && !"()[]\"".contains(*next)) {
            word.push(next);
        }
        word
    }

    /// Consumes a word if it comes next, in any letter case.
    fn accepts_word(&mut self, word: &str) -> bool {
        let mut ahead = self.rest.clone();
        while ahead.next_if(|next| next.is_whitespace()).is_some() {}
        let follows = word.chars().all(|wanted| ahead.next().is_some_and(|next| next.eq_ignore_ascii_case(&wanted)));
        let ends = ahead.peek().is_none_or(|next| next.is_whitespace() || *next == '(');
        if follows && ends {
            self.rest = ahead;
        }
        follows && ends
    }

    fn accepts(&mut self, sign: char) -> bool {
        self.blanks();
        self.rest.next_if_eq(&sign).is_some()
    }

    fn requires(&mut self, sign: char) -> Result<(), Refusal> {
        if self.accepts(sign) { Ok(()) } else { Err(Refusal::filter(format!("a `{sign}` is missing"))) }
    }

    fn blanks(&mut self) {
        while self.rest.next_if(|next| next.is_whitespace()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let Value::Object(user) = json!({"userName": "Ann@x.example", "id": "aB", "externalId": "7", "active": true,
            "name": {"givenName": "Ann"}, "title": "",
            "emails": [{"value": "a@x", "type": "work"}, {"value": "b@y", "type": "home"}],
            "meta": {"created": "2026-01-02T03:04:05.000Z"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Doors"}})
        else {
            panic!("a user is an object");
        };
        assert_eq!(Filter::parse(text).map(|filter| filter.fits(&user)), Ok(expected), "{text}");
    }

    #[test]
    fn a_filter_fits_who_it_says() {
        for fits in [
            r#"userName eq "ANN@x.example""#,
            r#"USERNAME Eq "ann@X.example""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ann""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "doors""#,
            r#"externalId eq "7" and active eq true"#,
            r#"name.givenName co "NN" and not (userName ew "y.example")"#,
            r#"userName eq "x" or userName eq "y" and userName eq "z" or id eq "aB""#,
            r#"emails[type eq "work" and value eq "A@x"]"#,
            r#"emails eq "b@y" and emails.type eq "home""#,
            r#"meta.created gt "2026-01-02T04:04:04+01:00" and meta.created le "2026-01-02T03:04:05Z""#,
            "emails pr and not(title pr)and nickName eq null",
            r#"userName ne "o\"neil""#,
        ] {
            check(fits, true);
        }
        for not in [
            r#"id eq "Ab""#,
            r#"emails[type eq "work" and value eq "b@y"]"#,
            r#"userName eq "x" and (userName eq "y" or id eq "aB")"#,
            r#"name.familyName eq """#,
            "active eq false",
        ] {
            check(not, false);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_taken_for_nobody() {
        let deep = format!("{}userName pr{}", "(".repeat(100), ")".repeat(100));
        for wrong in [
            "",
            "userName",
            "userName eq",
            "userName eq ann",
            r#"userName eq "ann"#,
            r#"userName is "ann""#,
            r#"colour eq "red""#,
            r#"(userName eq "a""#,
            r#"userName eq "a" nor id pr"#,
            r#"emails[value eq "a""#,
            r#"emails[userName eq "a"]"#,
            r#"emails[type eq "work"].value eq "a""#,
            "active gt true",
            &deep,
        ] {
            let scim_type = Filter::parse(wrong).err().and_then(|refusal| refusal.scim_type);
            assert_eq!(scim_type, Some("invalidFilter"), "{wrong}");
        }
    }
}
