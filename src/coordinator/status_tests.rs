//! States are staged with the functions that make them in a real run.

use super::*;
use crate::coordinator::Migration;
use crate::coordinator::journal::Journal;
use crate::coordinator::work::WorkDir;
use crate::files::{Access, Gate};
use crate::layout::MARKER_FILE;
use crate::options::Options;
use crate::progress::Unwatched;
use crate::version::Marker;

const SNAPSHOT: &str = r#"{"version":"1.0","database_name":"d","collections":[{"name":"c","documents":[{"_id":"a","fields":{"x":1}}]}]}"#;

fn v1_directory() -> (tempfile::TempDir, Dir) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("snapshot.json"), SNAPSHOT).unwrap();
    let dir = Dir::open(directory.path(), Gate::open()).unwrap();
    (directory, dir)
}

fn status(dir: &Dir) -> StatusReport {
    let report = StatusReport::of(dir, |_| {
        Ok(Reached {
            phase: Some(Phase::Collections),
            documents: 7,
            bytes: 50,
            bytes_total: 200,
        })
    });
    assert!(!report.render().is_empty());
    serde_json::to_string(&report).unwrap();
    report
}

fn write_run(work: &WorkDir, change: impl FnOnce(&mut RunInfo)) {
    let mut run = RunInfo::of_this_process();
    run.command = vec!["laura-migrate".to_owned(), "the dir".to_owned()];
    change(&mut run);
    run.write(&work.dir).unwrap();
}

fn dead(run: &mut RunInfo) {
    run.process.pid = i32::MAX as u32;
    run.working_directory = Some(PathBuf::from("/srv/it's"));
}

#[test]
fn a_v1_directory_has_no_migration() {
    let (_keep, dir) = v1_directory();
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::Absent);
    assert_eq!(report.version.as_deref(), Some("1.0"));
    assert!(!report.can_resume() && report.problems.is_empty());
    let next = report.next_command.unwrap();
    assert!(
        next.starts_with("laura-migrate ") && !next.contains("--"),
        "{next}"
    );
}

#[test]
fn a_run_at_work_shows_who_it_is_and_how_far() {
    let (_keep, dir) = v1_directory();
    let work = WorkDir::create(&dir, Access::default()).unwrap();
    write_run(&work, |run| {
        run.phase = Phase::Verify;
        (run.bytes_done, run.bytes_total) = (30, 120);
        run.seconds_left = Some(90);
    });
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::Running);
    let text = report.render();
    let pid = format!("pid {}", std::process::id());
    for part in [pid.as_str(), "verify, 25 %", "about 90 s left"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(report.next_command, None);
}

#[test]
fn an_interrupted_run_names_the_command_that_goes_on() {
    let (_keep, dir) = v1_directory();
    let work = WorkDir::create(&dir, Access::default()).unwrap();
    write_run(&work, dead);
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::Interrupted);
    assert!(!report.can_resume());
    let command = r"cd '/srv/it'\''s' && laura-migrate 'the dir'";
    assert_eq!(report.next_command.as_deref(), Some(command));
    assert!(report.render().contains("begins anew"));

    work.dir
        .replace(CHECKPOINT, b"{}", Access::default())
        .unwrap();
    let report = status(&dir);
    assert!(report.can_resume());
    assert!(report.render().contains("collections, 25 %, 7 documents"));
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_told() {
    let (_keep, dir) = v1_directory();
    let work = WorkDir::create(&dir, Access::default()).unwrap();
    work.dir
        .replace(CHECKPOINT, b"{", Access::default())
        .unwrap();
    let report = StatusReport::of(&dir, |_| {
        Err(crate::Error::new(crate::Code::CheckpointDamaged, "is cut"))
    });
    assert_eq!(report.state, MigrationState::Interrupted);
    assert_eq!(report.problems, ["is cut"]);
    assert!(!report.can_resume() && report.render().contains("is cut"));
    assert!(report.next_command.is_some(), "even without run.json");
}

#[test]
fn a_silent_run_is_neither_running_nor_dead() {
    let (_keep, dir) = v1_directory();
    let work = WorkDir::create(&dir, Access::default()).unwrap();
    write_run(&work, |run| {
        run.heartbeat = "2024-01-01T00:00:00Z".to_owned();
    });
    assert_eq!(status(&dir).state, MigrationState::Silent);
}

#[test]
fn publishing_is_told_by_its_journal_and_by_its_marker() {
    let (_keep, dir) = v1_directory();
    let work = WorkDir::create(&dir, Access::default()).unwrap();
    let access = Access::default();
    let published = Marker::migrated(crate::version::FormatVersion::V2_0, "1.0", "");
    Journal::new(Marker::publishing().encode(), published.encode(), access)
        .write(&work.dir)
        .unwrap();
    write_run(&work, dead);
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::HalfPublished);
    assert!(report.can_resume());
    work.dir.rename(JOURNAL, &work.dir, UNDO).unwrap();
    assert_eq!(status(&dir).state, MigrationState::HalfPublished);
    let marker = Marker::publishing().encode();
    dir.replace(MARKER_FILE, marker.as_bytes(), access).unwrap();
    WorkDir::remove(&dir).unwrap();
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::HalfPublished);
    assert!(report.next_command.unwrap().contains("again"));
}

#[test]
fn a_finished_migration_says_where_the_originals_are() {
    let (keep, dir) = v1_directory();
    Migration::new(Options::new(keep.path()))
        .run(&mut Unwatched)
        .unwrap();
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::Finished);
    assert_eq!(report.version.as_deref(), Some("2.0"));
    assert_eq!(report.originals, Some(keep.path().join(V1_DIR)));
    assert!(!report.leftovers);
    WorkDir::create(&dir, Access::default()).unwrap();
    assert!(status(&dir).leftovers);
}

#[test]
fn what_cannot_be_read_is_no_failure() {
    let (keep, dir) = v1_directory();
    std::fs::write(keep.path().join(MARKER_FILE), "{").unwrap();
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::Unknown);
    assert_eq!((report.version, report.problems.len()), (None, 1));

    let (keep, dir) = v1_directory();
    std::os::unix::fs::symlink("/nowhere", keep.path().join(WORK_DIR)).unwrap();
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::Unknown);
    assert!(!report.problems.is_empty());
}

#[test]
fn an_import_that_is_half_in_place_is_told_with_its_command() {
    let (_keep, dir) = v1_directory();
    let work = WorkDir::create(&dir, Access::default()).unwrap();
    work.dir.replace(IMPORT, b"{}", Access::default()).unwrap();
    write_run(&work, dead);
    let report = status(&dir);
    assert_eq!(report.state, MigrationState::HalfPublished);
    assert!(report.can_resume() && !report.render().contains("begins anew"));
    let command = report.next_command.unwrap();
    assert!(command.ends_with("laura-migrate 'the dir'"), "{command}");
}
