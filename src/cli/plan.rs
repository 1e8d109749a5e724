//! `plan`: what a cycle would do. It writes nothing, and makes no call unless `--refresh` asks for it, so a create in it may
//! become a link.

use super::progress::Progress;
use super::{Arguments, Output};
use crate::cycle::{Compared, Refreshed};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, Exit, HoldId, UnnamedGroup};
use crate::preview::{look_at_rhombus, plan_of};
use crate::process::SystemClock;
use crate::report::{Against, Approvable, Extent, PlanStory, plan_document, plan_text};
use crate::store::{self, Access};
use rusqlite::Connection;

pub(super) fn run(arguments: &Arguments, expect_no_changes: bool, extent: Extent) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, installation) = deployment.state(Access::Read)?;
    let mut export = deployment.open_current_export(&installation)?;
    let refreshed = if arguments.refresh {
        let _asking = Progress::asking(arguments.json);
        look_at_rhombus(&deployment)?
    } else {
        Refreshed::default()
    };
    let (compared, outstanding) = plan_of(&deployment, &reader, &mut export, &arguments.only, refreshed)?;
    let changes = compared.plan.changes_count() + compared.plan.held().len();
    let text = if arguments.json {
        format!("{}\n", plan_document(&compared.plan, &outstanding))
    } else {
        let hold = store::current_hold(&reader)?;
        let (groups_unnamed, unmanaged) = (unnamed(&reader, &compared)?, store::unmanaged(&reader)?);
        let everybody = arguments.only.is_empty();
        plan_text(&PlanStory {
            plan: &compared.plan,
            outstanding: &outstanding,
            groups_unnamed: &groups_unnamed,
            unmanaged: if everybody { &unmanaged } else { &[] },
            active: installation.active,
            usability: &compared.usability,
            written_at: compared.export.written_at,
            against: if arguments.refresh { Against::Rhombus } else { Against::Record },
            everybody,
            approvable: approvable(compared.plan.hold(), hold.as_ref()),
            window: deployment.config.settings.window,
            // Who was named is few.
            extent: if everybody { extent } else { Extent::All },
            now: SystemClock.now(),
        })
    };
    let exit = if expect_no_changes && changes > 0 { Exit::Unexpected } else { Exit::Done };
    Ok(Output { exit, text })
}

/// Groups of `[scope]` that no record of this export names, and when the state last knew one that did.
fn unnamed(reader: &Connection, compared: &Compared) -> rusqlite::Result<Vec<UnnamedGroup>> {
    let named_at = store::groups_named_at(reader)?;
    let unnamed = compared.groups.named.iter().filter(|(_, is_named)| !**is_named);
    Ok(unnamed.map(|(name, _)| UnnamedGroup { name: name.clone(), named_at: named_at.get(name).copied() }).collect())
}

/// What is planned can be approved once a cycle has held the same.
fn approvable<'h>(planned: Option<&HoldId>, stored: Option<&'h HoldId>) -> Approvable<'h> {
    match (planned, stored) {
        (None, _) => Approvable::Never,
        (Some(planned), Some(stored)) if planned == stored => Approvable::By(stored.as_str()),
        (Some(_), _) => Approvable::NotYet,
    }
}
