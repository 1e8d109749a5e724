//! `import`: the users whom Rhombus has, and whether the directory has them. With `--create` it hands new ones over to
//! JumpCloud; how is `create`'s.

mod create;

use super::progress::Progress;
use super::{Arguments, Output};
use crate::config::SourceConfig;
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{DirectoryUser, Exit, RawValue, folded};
use crate::report::{ImportRow, ImportStatus, import_csv, import_document, import_text};
use crate::store::{self, Access};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whom `--create` is about.
pub(super) enum Whom {
    All,
    /// These: usernames or account ids.
    These(Vec<String>),
}

impl Whom {
    pub(super) fn of(users: &[String], all: bool) -> Result<Self, Failure> {
        match (users, all) {
            ([], true) => Ok(Self::All),
            ([], false) => Err(Failure::usage("--create needs users, or --all")),
            (users, false) => Ok(Self::These(users.to_vec())),
            (_, true) => Err(Failure::usage("--create takes users or --all, not both")),
        }
    }
}

/// What `import` found.
struct Accounts {
    /// New first, each part by username.
    rows: Vec<ImportRow>,
    /// Accounts without a userName.
    nameless_count: u64,
}

impl Accounts {
    fn count(&self, status: ImportStatus) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

pub(super) fn run(
    arguments: &Arguments,
    new_only: bool,
    csv: Option<&Path>,
    whom: Option<&Whom>,
) -> Result<Output, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    if let Some(whom) = whom {
        let SourceConfig::JumpCloud(from) = &deployment.config.settings.source else {
            return Err(Failure::usage(
                "--create needs [directory] source = \"jumpcloud\"; --csv writes a file to import",
            ));
        };
        return create::run(arguments, &deployment, from, whom);
    }
    let found = find(&deployment, arguments.json)?;
    if let Some(path) = csv {
        write(path, &import_csv(&found.rows))?;
    }
    Ok(Output::done(shown(arguments, &found, new_only, csv)))
}

fn shown(arguments: &Arguments, found: &Accounts, new_only: bool, csv: Option<&Path>) -> String {
    let (new_count, imported_count) = (found.count(ImportStatus::New), found.count(ImportStatus::Imported));
    let rows = if new_only { &found.rows[..new_count] } else { &found.rows[..] };
    if arguments.json {
        return format!("{}\n", import_document(rows));
    }
    let mut text = import_text(rows, new_count, imported_count, found.nameless_count);
    if let Some(path) = csv {
        text.push_str(&format!("{}: {new_count} users to import\n", path.display()));
    }
    text
}

/// Compares the accounts at Rhombus with the whole directory.
fn find(deployment: &Deployment, quiet: bool) -> Result<Accounts, Failure> {
    let _asking = Progress::asking(quiet);
    let target = deployment.target()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let known = Directory::read(deployment)?;
    let state = store::open(&deployment.state_path, Access::Read).ok();
    let (mut rows, mut nameless_count, mut fault) = (Vec::new(), 0, None);
    let mut each = |account: crate::scim::Account| {
        let (Some(user_name), Some(scim_id)) = (account.user_name, account.id) else {
            nameless_count += 1;
            return;
        };
        let link = state.as_ref().map(|state| store::link_by_scim_id(state, &scim_id)).transpose();
        let linked = link.unwrap_or_else(|error| {
            fault = Some(error);
            None
        });
        let imported = linked.flatten().is_some() || known.has(user_name.as_str());
        let status = if imported { ImportStatus::Imported } else { ImportStatus::New };
        rows.push(ImportRow { status, user_name, scim_id, names: account.names });
    };
    runtime.block_on(crate::probe::each_account(&target, &mut each))?;
    if let Some(error) = fault {
        return Err(error.into());
    }
    rows.sort_by(|a, b| {
        (a.status, a.user_name.folded(), a.scim_id.as_str()).cmp(&(b.status, b.user_name.folded(), b.scim_id.as_str()))
    });
    Ok(Accounts { rows, nameless_count })
}

/// Every username and e-mail address of the directory, folded.
struct Directory(HashSet<String>);

impl Directory {
    fn read(deployment: &Deployment) -> Result<Self, Failure> {
        let mut names = HashSet::new();
        let mut note = |user: &DirectoryUser<'_>| {
            for value in [&user.username, &user.email] {
                if let RawValue::Text(text) = value {
                    names.insert(folded(text.trim()));
                }
            }
        };
        deployment.open_export()?.read(&mut note)?;
        Ok(Self(names))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&folded(name))
    }
}

/// A new file, which only we may read: it holds names and addresses.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let hint = "name a file that does not exist yet, in a folder that you can write to";
        Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()), Some(hint))
    })
}
