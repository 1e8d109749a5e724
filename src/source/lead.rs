//! The advice after an export was refused: what it looks like, and how to get one that can be read. It looks at the beginning of
//! the file again, and shows names of columns at most.

use super::failed;
use super::shapes::{SHAPES, Shape};
use super::sight::Sight;
use super::strange::{Strange, other_format};
use std::fmt::Write;

/// What an export was refused for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It cannot be read as what it seems to be, or lacks a column.
    Shape,
    /// It says nothing of anybody's state, or in other words.
    State,
    /// No record can be used, for its username.
    Username,
    /// No user has groups, or none as they should be written.
    Groups,
    /// No record can be used, for another reason.
    Records,
}

impl Sight {
    /// What to do about it, if anything is known.
    pub(super) fn lead(&self, flaw: Flaw, read_as_wrapper: bool) -> Option<String> {
        let strange = Strange { start: &self.start, text: &self.text, json: self.json, utf8: self.utf8 };
        if let Some(what) = other_format(&strange) {
            return Some(what);
        }
        if let Some(what) = failed::request(self) {
            return Some(what);
        }
        if self.single_object && self.names.iter().any(|name| name.ends_with(".0")) {
            return Some("this looks like pandas: write it with `to_json(orient=\"records\")`".to_owned());
        }
        if let (Some(name), true) = (&self.inner, self.single_object) {
            return Some(format!(
                "the users seem to be in `{name}`: have the job write only that array (jq '.{name}')"
            ));
        }
        let mut lines = self.text.trim_end().lines();
        if let (Some(first), Some(_), true) = (lines.next(), lines.next(), self.single_object)
            && first.trim_end().ends_with("},")
        {
            return Some("a comma follows each object: write an array, or an object a line without commas".to_owned());
        }
        // The first line of NDJSON is a whole object.
        let mut lines = self.text.trim_end().lines();
        let over_lines = lines.next().is_some_and(|line| !line.trim_end().ends_with('}')) && lines.next().is_some();
        if self.single_object && over_lines && flaw == Flaw::Shape && (self.has("_id") || self.has("id")) {
            let what = "this looks like one user over several lines, as `ConvertTo-Json` writes a single user; use \
                        `ConvertTo-Json -InputObject @($users)`, or set [directory] records if a member holds the array";
            return Some(what.to_owned());
        }
        // An array begins as it should: which members its first record has is not what is wrong.
        if self.is_array() && flaw == Flaw::Shape {
            return None;
        }
        if flaw == Flaw::Groups {
            return self.other_groups();
        }
        let shape = SHAPES.iter().find(|shape| shape.fits(self));
        if flaw == Flaw::Records
            && let Some(what) = self.odd_ids(shape)
        {
            return Some(what);
        }
        let wrapper = self.wrapper.as_deref().filter(|name| !read_as_wrapper && !name.eq_ignore_ascii_case("results"));
        let mut text = String::new();
        if let Some(shape) = shape {
            let _ = write!(text, "this looks like {}", shape.name);
        } else if let Some(name) = wrapper {
            let _ = write!(text, "this looks like an object that holds the users in `{name}`");
        } else if self.table().columns().iter().any(|(column, name)| column.as_str() != *name && column.key() != *name)
        {
            text.push_str("some columns have other names than ours");
        } else {
            return None;
        }
        self.write_lines(&mut text, shape, wrapper);
        Some(text)
    }
}

impl Shape {
    fn fits(&self, sight: &Sight) -> bool {
        self.has.iter().all(|name| sight.has(name)) && !self.lacks.iter().any(|name| sight.has(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that are printed for a file.
    #[track_caller]
    fn check(text: &str, flaw: Flaw, expected: &str) {
        let lead = Sight::of(text.as_bytes()).lead(flaw, false).unwrap_or_default();
        let lines = lead.split_once("add to the configuration:").map_or("", |(_, lines)| lines);
        let lines = lines.trim().replace("\n[", " [").replace('\n', " ").replace(" = ", "=").replace('"', "'");
        assert_eq!(lines, expected, "{text}: {lead}");
    }

    #[test]
    fn the_lines_are_those_that_this_file_needs() {
        let of_state =
            |name: &str, yes: &str, no: &str| format!("id,username,{name}\na,a@x.example,{yes}\nb,b@x.example,{no}\n");
        check(
            &of_state("enabled", "1", "0"),
            Flaw::State,
            "[directory.columns] id='id' state='enabled' [directory.states] activated=['1'] suspended=['0']",
        );
        check(
            &of_state("disabled", "False", "True"),
            Flaw::State,
            "[directory.columns] state='disabled' [directory.states] activated=['False'] suspended=['True']",
        );
        check(
            &of_state("employment status", "Active", "Leaver"),
            Flaw::State,
            "[directory.columns] state='employment status' [directory.states] activated=['Active'] suspended=['Leaver']",
        );
        check(
            "[{\"id\":\"a\",\"username\":\"ann\",\"email\":\"ann@x.example\",\"enabled\":true}]",
            Flaw::State,
            "[directory.columns] id='id' username='email' state='enabled' [directory.states] activated=['True'] \
             suspended=['False']",
        );
        check(
            "ObjectId,UserPrincipalName,AccountEnabled\na,a@x.example,True\nb,b@x.example,False\n",
            Flaw::Shape,
            "[directory.columns] id='ObjectId' username='UserPrincipalName' state='AccountEnabled' [directory.states] \
             activated=['True'] suspended=['False']",
        );
        check(
            "{\"fields\":[{\"id\":\"id\",\"name\":\"x\"}],\"employees\":[{\"id\":\"a\",\"workEmail\":\"a@x.example\"}]}",
            Flaw::Shape,
            "[directory] records='employees' [directory.columns] username='workEmail'",
        );
    }

    #[test]
    fn an_id_that_is_not_text_is_named() {
        let lead = |text: &str| Sight::of(text.as_bytes()).lead(Flaw::Records, false).unwrap_or_default();
        let user =
            |id: &str| format!("[{{\"ObjectGUID\":{id},\"UserPrincipalName\":\"a@x.example\",\"Enabled\":true}}]");
        for bytes in ["[1,2,3]", "{\"type\":\"Buffer\",\"data\":[1,2]}", "\"System.Byte[]\"", "\"b'\\\\x01'\""] {
            let said = lead(&user(bytes));
            assert!(said.contains("`ObjectGUID` is bytes or an object there"), "{bytes}: {said}");
        }
        assert!(lead("ObjectGUID,UserPrincipalName,Enabled\nSystem.Byte[],a@x.example,True\n").contains("is bytes"));
        assert!(lead(&user("{\"Guid\":\"a\"}")).ends_with("id = \"ObjectGUID.Guid\""));
        assert!(!lead(&user("\"6f9619ff-8b86-d011-b42d-00c04fc964ff\"")).contains("bytes"));
    }

    #[test]
    fn groups_are_looked_for_where_they_may_stand() {
        check("_id,groups\na,\"R,Staff\"\n", Flaw::Groups, "[directory] group_separator=','");
        check("_id,User Groups\na,R\n", Flaw::Groups, "[directory.columns] groups='User Groups'");
        check("_id,MemberOf\na,R\n", Flaw::Groups, "[directory.columns] groups='MemberOf'");
        check("_id,groups\na,R;Staff\n", Flaw::Groups, "");
    }

    #[test]
    fn what_is_no_export_is_named() {
        let lead = |text: &str| Sight::of(text.as_bytes()).lead(Flaw::Shape, false).unwrap_or_default();
        assert!(lead("curl: (6) Could not resolve host: x\n").contains("a command that failed"));
        assert!(lead("DisplayName       : Ann\nUserPrincipalName : a@x.example\n").contains("PowerShell list"));
        assert!(lead("#TYPE x\nid;username\na;a@x.example\n").contains("separated by `;`"));
        assert!(
            !lead("Employee #,\"Last name, First name\",Work Email\n7,\"X, Ann\",a@x.example\n").contains("spaces")
        );
        assert!(
            !lead("username,email,status,billing-active,userid,fullname\na,a@x.example,Member,1,U1,A\n")
                .contains("Okta")
        );
    }
}
