//! What `approve` does with a link that is held because its user seems to have another directory id: it moves, in the command's
//! own transaction; or the two are two users, and the next cycles remove the one and make the other, the guard willing.

use crate::failure::Failure;
use crate::model::{Action, Approval, Exit, HeldChange, Moment, UserName, clean};
use crate::store::{self, Relink};
use rusqlite::Transaction;

/// Whether the user of a link and the newcomer with its username are one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SameUser {
    /// As the hold says.
    Yes,
    /// `--as-new`.
    No,
}

impl SameUser {
    /// The changes to which it applies: that two users are two says nothing of anything else.
    pub(super) fn fit(self, chosen: Vec<HeldChange>) -> Result<Vec<HeldChange>, Failure> {
        if self == Self::Yes || chosen.is_empty() {
            return Ok(chosen);
        }
        let relinks: Vec<_> = chosen.into_iter().filter(|held| held.exact.key.action == Action::Relink).collect();
        if relinks.is_empty() {
            let hint = "without --as-new, approve releases what is held";
            return Err(Failure::new(Exit::Failed, "nobody in this hold is held for their identity", Some(hint)));
        }
        Ok(relinks)
    }

    /// Settles those of a hold, and answers how many there were.
    pub(super) fn settle(
        self,
        transaction: &Transaction<'_>,
        chosen: &[HeldChange],
        approval: &Approval,
        now: Moment,
    ) -> Result<usize, Failure> {
        let mut settled_count = 0;
        for HeldChange { exact, user_name: name, .. } in chosen {
            let key = &exact.key;
            if key.action != Action::Relink {
                continue;
            }
            let Some(scim_id) = &key.scim_id else { continue };
            let outcome = match self {
                Self::Yes => store::relink(transaction, &key.directory_id, scim_id, approval, now)?,
                Self::No if store::tell_apart(transaction, &key.directory_id, scim_id)? => Relink::Moved,
                Self::No => Relink::NotHeld,
            };
            match outcome {
                Relink::Moved => settled_count += 1,
                Relink::NotHeld => return Err(refused(name, "is no longer linked as it was when it was held")),
                Relink::UnderWay => return Err(refused(name, "has a request that is not answered yet")),
            }
        }
        Ok(settled_count)
    }

    /// What the event of the approval adds.
    pub(super) fn details(self) -> &'static str {
        match self {
            Self::Yes => "",
            Self::No => " as_new",
        }
    }

    /// What was done, for people.
    pub(super) fn text(self, count: usize) -> String {
        match (self, count) {
            (_, 0) => String::new(),
            (Self::Yes, 1) => "1 account moved to its user's new id; nothing is sent for it\n".to_owned(),
            (Self::Yes, count) => format!("{count} accounts moved to their users' new ids; nothing is sent for it\n"),
            (Self::No, 1) => "1 newcomer is another user; the next cycles remove the old one first\n".to_owned(),
            (Self::No, count) => {
                format!("{count} newcomers are other users; the next cycles remove the old ones first\n")
            }
        }
    }
}

fn refused(name: &UserName, what: &str) -> Failure {
    let approve = crate::model::command("approve");
    let hint = &format!("nothing was approved; run a cycle, then run `{approve}` again");
    Failure::new(Exit::Failed, format!("{} {what}", clean(name.as_str())), Some(hint))
}
