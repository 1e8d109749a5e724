//! What a page looks like: the member with its records, the member with its total, and the documents that a stream may
//! contain. Names compare without letter case and without blanks at their ends.

use super::parts::{key_and_value, prefix};
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// The member names of a page.
#[derive(Clone, Debug)]
pub struct PageShape {
    /// The member with the records.
    pub records: Cow<'static, str>,
    /// The member with the total.
    pub total: &'static str,
    /// The documents that are allowed.
    pub documents: Shape,
}

/// The documents that a stream may contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// An array of records, or pages: one page, an array of pages, or pages one after another.
    ArrayOrPages,
    /// One page, whose records may be absent if the total is 0.
    OnePage,
    /// One object of any kind that contains the records.
    Wrapper,
}

/// A page of JumpCloud's API: `{"totalCount": N, "results": […]}`.
pub const JUMPCLOUD_PAGE: PageShape =
    PageShape { records: Cow::Borrowed("results"), total: "totalCount", documents: Shape::ArrayOrPages };
/// A SCIM ListResponse (RFC 7644, section 3.4.2).
pub const SCIM_LIST: PageShape =
    PageShape { records: Cow::Borrowed("Resources"), total: "totalResults", documents: Shape::OnePage };

/// What an array's elements are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Elements {
    Unknown,
    Records,
    Pages,
}

impl PageShape {
    /// An object with its records in a member of this name.
    #[must_use]
    pub fn wrapper(records: &str) -> Self {
        Self { records: records.trim().to_owned().into(), total: "totalCount", documents: Shape::Wrapper }
    }

    /// Whether a member of this name holds the records.
    pub(super) fn holds_records(&self, key: &str) -> bool {
        same(&self.records, key)
    }

    /// Whether a member of this name holds the total.
    pub(super) fn holds_total(&self, key: &str) -> bool {
        same(self.total, key)
    }

    /// Whether a text begins with a page.
    pub(super) fn opens(&self, text: &str) -> bool {
        matches!(looks_like(text, self), Ok(Some(Elements::Pages)))
    }
}

fn same(name: &str, key: &str) -> bool {
    let key = key.trim();
    name.eq_ignore_ascii_case(key) || (!name.is_ascii() && name.to_lowercase() == key.to_lowercase())
}

/// Whether the object that begins here is a page: whether one of its members has a page's name and comes before any
/// member that is not a plain value.
pub(super) fn looks_like(rest: &str, shape: &PageShape) -> Result<Option<Elements>, Cow<'static, str>> {
    if !rest.starts_with('{') {
        return Ok(Some(Elements::Records));
    }
    let mut rest = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
    loop {
        if rest.is_empty() {
            return Ok(None);
        }
        if rest.starts_with('}') {
            return Ok(Some(Elements::Records));
        }
        let Some((key, value)) = key_and_value(rest)? else { return Ok(None) };
        if shape.holds_records(&key) || shape.holds_total(&key) {
            return Ok(Some(Elements::Pages));
        }
        if value.starts_with('{') {
            return Ok(Some(Elements::Records));
        }
        let Some((_, count)) = prefix::<IgnoredAny>(value, false, "not valid JSON")? else { return Ok(None) };
        rest = value[count..].trim_start_matches([' ', '\t', '\r', '\n', ',']);
    }
}
