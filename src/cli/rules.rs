//! Which option means something where: one table, followed by refusals and by the environment.

use crate::options::Mode;
use crate::{Code, Error};

/// What decides whether an option means something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) mode: Mode,
    /// A TARGET_DIR is named.
    pub(super) has_target: bool,
}

/// Where one option means something.
pub(super) struct Rule {
    /// Its long name.
    pub(super) name: &'static str,
    applies: fn(Scene) -> bool,
    /// What to do instead where it means nothing.
    instead: &'static str,
}

const fn rule(name: &'static str, applies: fn(Scene) -> bool, instead: &'static str) -> Rule {
    Rule {
        name,
        applies,
        instead,
    }
}

/// Every option but those that only answer a question. A new option is one new line here.
pub(super) const RULES: &[Rule] = &[
    rule("mode", always, ""),
    rule("dry-run", may_quarantine, NO_DRY_RUN),
    rule("snapshot", reads_v1, NO_V1),
    rule("infer-types", reads_v1, NO_V1),
    rule("pages", reads_v1, NO_V1),
    rule("rename", reads_v1, NO_V1),
    rule("max-bad", may_quarantine, NO_QUARANTINE),
    rule("collection", selects, NO_SELECTION),
    rule("exclude", selects, NO_SELECTION),
    rule("backup", may_quarantine, NO_BACKUP),
    rule("backup-dir", may_quarantine, NO_BACKUP),
    rule("to", imports, NO_IMPORT),
    rule("skip-index", reads_indexes, NO_INDEXES),
    rule("force", forces, NO_FORCE),
    rule("restart", migrates, NO_RESTART),
    rule("validate", works, ONLY_LOOKS),
    rule("no-validate", verifies, NO_VERIFICATION),
    rule("sample", samples, NO_VERIFICATION),
    rule("batch-size", works, ONLY_LOOKS),
    rule("jobs", parallel, NO_JOBS),
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
const NO_RESTART: &str = "leave it out: only a migration (--mode auto) is interrupted and resumed";
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

fn reads_indexes(scene: Scene) -> bool {
    reads_v1(scene) || imports(scene)
}

fn imports(scene: Scene) -> bool {
    scene.mode == Mode::Import
}

fn may_quarantine(scene: Scene) -> bool {
    matches!(scene.mode, Mode::Auto | Mode::DryRun)
}

fn selects(scene: Scene) -> bool {
    match scene.mode {
        Mode::Auto | Mode::DryRun => scene.has_target,
        Mode::Export | Mode::Validate => true,
        Mode::Import | Mode::Rollback | Mode::Status => false,
    }
}

fn parallel(scene: Scene) -> bool {
    !matches!(scene.mode, Mode::Status | Mode::Export | Mode::Rollback)
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
    matches!(
        scene.mode,
        Mode::Auto | Mode::DryRun | Mode::Import | Mode::Validate
    )
}

fn forces(scene: Scene) -> bool {
    match scene.mode {
        Mode::Auto | Mode::DryRun | Mode::Import => scene.has_target,
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
        let missing = match !scene.has_target && self.applies(with_target) {
            true => " without a TARGET_DIR",
            false => "",
        };
        let sentence = format!(
            "--{} means nothing with --mode {}{missing}",
            self.name,
            scene.mode.name()
        );
        Error::new(Code::Usage, sentence).hint(self.instead)
    }
}
