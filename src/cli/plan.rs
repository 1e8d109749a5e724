//! `plan`: what a cycle would do. It writes nothing, and makes no call unless `--refresh` asks for it, so a create in it may
//! become a link.

use super::{Arguments, Output};
use crate::cycle::Refreshed;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, Exit};
use crate::preview::{look_at_rhombus, plan_of};
use crate::process::SystemClock;
use crate::report::{plan_document, plan_text};
use crate::store::Access;

pub(super) fn run(arguments: &Arguments, expect_no_changes: bool) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    let (reader, installation) = deployment.state(Access::Read)?;
    let mut export = deployment.open_current_export(&installation)?;
    let refreshed = if arguments.refresh { look_at_rhombus(&deployment)? } else { Refreshed::default() };
    let (compared, outstanding) = plan_of(&deployment, &reader, &mut export, &arguments.only, refreshed)?;
    let changes = compared.plan.changes().count() + compared.plan.held().len();
    let text = if arguments.json {
        format!("{}\n", plan_document(&compared.plan, &outstanding))
    } else {
        plan_text(&compared.plan, &outstanding, SystemClock.now())
    };
    let exit = if expect_no_changes && changes > 0 { Exit::Unexpected } else { Exit::Done };
    Ok(Output { exit, text })
}
