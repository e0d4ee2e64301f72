//! Which option means something where: one table, followed by refusals and by the environment.

use crate::options::{ImportFormat, Mode};
use crate::{Code, Error};

/// What decides whether an option means something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) mode: Mode,
    /// A TARGET_DIR is named.
    pub(super) has_target: bool,
    /// What an import writes.
    pub(super) to: ImportFormat,
}

/// Where one option means something.
pub(super) struct Rule {
    /// Its long name.
    pub(super) name: &'static str,
    applies: fn(Scene) -> bool,
    /// What to do instead where it means nothing.
    instead: &'static str,
    /// What to do instead with an import, if that is something else.
    instead_of_importing: Option<&'static str>,
}

const fn rule(name: &'static str, applies: fn(Scene) -> bool, instead: &'static str) -> Rule {
    Rule {
        name,
        applies,
        instead,
        instead_of_importing: None,
    }
}

impl Rule {
    const fn with_import(self, instead: &'static str) -> Self {
        Self {
            instead_of_importing: Some(instead),
            ..self
        }
    }
}

/// Every option but those that only answer a question. A new option is one new line here.
pub(super) const RULES: &[Rule] = &[
    rule("mode", always, ""),
    rule("dry-run", may_quarantine, NO_DRY_RUN),
    rule("snapshot", reads_v1, NO_V1).with_import(NAME_THE_FILE),
    rule("infer-types", infers, NO_V1).with_import(HAS_TYPES),
    rule("pages", reads_v1, NO_V1),
    rule("rename", renames, NO_RENAME),
    rule("max-bad", may_quarantine, NO_QUARANTINE),
    rule("collection", selects, NO_SELECTION).with_import(TAKES_ALL),
    rule("exclude", selects, NO_SELECTION).with_import(TAKES_ALL),
    rule("backup", may_quarantine, NO_BACKUP),
    rule("backup-dir", may_quarantine, NO_BACKUP),
    rule("to", imports, NO_IMPORT),
    rule("skip-index", renames, NO_INDEXES),
    rule("force", forces, NO_FORCE).with_import(NO_ROOM),
    rule("restart", resumes, NO_RESTART),
    rule("validate", works, ONLY_LOOKS),
    rule("no-validate", verifies, NO_VERIFICATION),
    rule("sample", samples, NO_VERIFICATION).with_import(ALL_READ_BACK),
    rule("batch-size", works, ONLY_LOOKS),
    rule("jobs", parallel, NO_JOBS).with_import(ONE_FILE),
    rule("memory", works, ONLY_LOOKS),
    rule("temp-dir", sorts_elsewhere, NO_TEMP_DIR),
    rule("max-time", works, ONLY_LOOKS),
    rule("lock-timeout", works, ONLY_LOOKS),
    rule("no-lock", works, ONLY_LOOKS),
    rule("progress", works, ONLY_LOOKS),
    rule("report", works, ONLY_LOOKS),
    rule("metrics-file", works, ONLY_LOOKS),
    rule("log-file", always, ""),
    rule("log-format", always, ""),
    rule("verbose", always, ""),
    rule("quiet", always, ""),
];

const ONLY_LOOKS: &str = "leave it out: status only looks at the directory";
const NO_DRY_RUN: &str = "leave it out: only a migration can be rehearsed";
const NO_V1: &str = "leave it out: how v1 is read is the business of a migration, dry run, export \
                     or validation";
const NO_RENAME: &str = "leave it out: collections get other names in what is written from them";
const NAME_THE_FILE: &str = "leave it out: to import a LauraDB backup file, name it as the source";
const HAS_TYPES: &str = "leave it out: the documents of a backup have their types";
const TAKES_ALL: &str = "leave it out: an import takes all collections of a backup";
const NO_ROOM: &str = "leave it out, and name an empty or new directory";
const ALL_READ_BACK: &str = "leave it out: everything is read back in one pass";
const ONE_FILE: &str = "leave it out: the snapshot is written front to back";
const NO_INDEXES: &str = "leave it out: indexes are built by a migration or an import";
const NO_QUARANTINE: &str = "leave it out: only a migration puts records into quarantine";
const NO_SELECTION: &str = "leave it out, or name a TARGET_DIR: a migration in place takes all \
                            collections";
const NO_BACKUP: &str = "leave it out: backups are taken before a migration, or by --mode export";
const NO_IMPORT: &str = "add --mode import, or leave --to out: it says what an import writes";
const NO_TEMP_DIR: &str = "leave it out: a migration sorts in its work directory, on the target's \
                           file system";
const NO_JOBS: &str = "leave it out: this mode reads and writes front to back";
const NO_FORCE: &str = "leave out --force: an in-place migration keeps the v1 files in \
                        .lauradb-v1/, and only a TARGET_DIR may hold LauraDB files that make room";
const NO_RESTART: &str = "leave it out: only a migration or an import is interrupted and resumed";
const NO_VERIFICATION: &str =
    "leave it out: it is about reading back what a migration or an import has written";

fn always(_: Scene) -> bool {
    true
}

fn works(scene: Scene) -> bool {
    scene.mode != Mode::Status
}

fn migrates(scene: Scene) -> bool {
    scene.mode == Mode::Auto
}

fn reads_v1(scene: Scene) -> bool {
    matches!(
        scene.mode,
        Mode::Auto | Mode::DryRun | Mode::Export | Mode::Validate
    )
}

fn renames(scene: Scene) -> bool {
    reads_v1(scene) || imports(scene)
}

fn infers(scene: Scene) -> bool {
    reads_v1(scene) || imports_v2(scene)
}

fn resumes(scene: Scene) -> bool {
    migrates(scene) || imports(scene)
}

fn imports(scene: Scene) -> bool {
    scene.mode == Mode::Import
}

fn may_quarantine(scene: Scene) -> bool {
    matches!(scene.mode, Mode::Auto | Mode::DryRun)
}

/// An import to format 1.0 writes one file and reads it back whole.
fn imports_v2(scene: Scene) -> bool {
    imports(scene) && scene.to == ImportFormat::V2
}

fn selects(scene: Scene) -> bool {
    match scene.mode {
        Mode::Auto | Mode::DryRun => scene.has_target,
        Mode::Export | Mode::Validate => true,
        Mode::Import | Mode::Rollback | Mode::Status => false,
    }
}

fn parallel(scene: Scene) -> bool {
    match scene.mode {
        Mode::Auto | Mode::DryRun | Mode::Validate => true,
        Mode::Import => imports_v2(scene),
        Mode::Status | Mode::Export | Mode::Rollback => false,
    }
}

fn sorts_elsewhere(scene: Scene) -> bool {
    matches!(scene.mode, Mode::Validate | Mode::DryRun | Mode::Export)
}

fn verifies(scene: Scene) -> bool {
    matches!(
        scene.mode,
        Mode::Auto | Mode::DryRun | Mode::Import | Mode::Export
    )
}

fn samples(scene: Scene) -> bool {
    let reads_back = matches!(scene.mode, Mode::Auto | Mode::DryRun | Mode::Validate);
    reads_back || imports_v2(scene)
}

fn forces(scene: Scene) -> bool {
    match scene.mode {
        Mode::Auto | Mode::DryRun => scene.has_target,
        Mode::Import => imports_v2(scene),
        Mode::Rollback => true,
        Mode::Export | Mode::Validate | Mode::Status => false,
    }
}

impl Rule {
    /// True where the option means something.
    pub(super) fn applies(&self, scene: Scene) -> bool {
        (self.applies)(scene)
    }

    /// The refusal of an option that was typed where it means nothing.
    pub(super) fn refusal(&self, scene: Scene) -> Error {
        let with_target = Scene {
            has_target: true,
            ..scene
        };
        let to_v2 = Scene {
            to: ImportFormat::V2,
            ..scene
        };
        let missing = if !scene.has_target && self.applies(with_target) {
            " without a TARGET_DIR"
        } else if scene.to != ImportFormat::V2 && self.applies(to_v2) {
            " --to 1.0"
        } else {
            ""
        };
        let sentence = format!(
            "--{} means nothing with --mode {}{missing}",
            self.name,
            scene.mode.name()
        );
        let instead = self.instead_of_importing.filter(|_| imports(scene));
        Error::new(Code::Usage, sentence).hint(instead.unwrap_or(self.instead))
    }
}
