//! How an export is read, for people and programs: how many records ask for what, and why others cannot be used.

use crate::plan::Usability;
use serde_json::{Value, json};
use std::fmt::Write;

/// "6 records: 4 wanted, …", and a line for each reason for which records cannot be used.
#[must_use]
pub fn export_lines(usability: &Usability, indent: &str) -> String {
    let Usability {
        wanted_count,
        suspended_count,
        staged_count,
        out_of_scope_count,
        unlisted_count,
        unusable_in_scope_count: _,
        withheld_out_of_scope_count: _,
        unusable,
    } = usability;
    let out_of_scope_count = out_of_scope_count + unlisted_count;
    let (usable, refused) = (usability.usable_count(), usability.unusable_count());
    let mut text = format!(
        "{indent}{usable} of {} records usable: {wanted_count} wanted, {suspended_count} suspended, {staged_count} staged, \
         {out_of_scope_count} out of scope\n",
        usable + refused
    );
    for (fault, count) in unusable {
        let _ = writeln!(text, "{indent}{count} refused: {fault}");
    }
    text
}

/// The same as JSON; reasons by their codes.
#[must_use]
pub fn export_document(usability: &Usability) -> Value {
    let Usability {
        wanted_count,
        suspended_count,
        staged_count,
        out_of_scope_count,
        unlisted_count,
        unusable_in_scope_count: _,
        withheld_out_of_scope_count: _,
        unusable,
    } = usability;
    let refused: serde_json::Map<_, _> =
        unusable.iter().map(|(fault, count)| (fault.code().to_owned(), json!(count))).collect();
    json!({
        "usable": usability.usable_count(), "wanted": wanted_count, "suspended": suspended_count, "staged": staged_count,
        "out_of_scope": out_of_scope_count + unlisted_count, "refused": refused,
    })
}
