//! Every change that a migration makes to a file is cut or failed in turn; afterwards the source is
//! whole, or the same command finishes, and the result is the same to the byte.

mod crash_support;

use crash_support::{Case, Fault, Layout};

#[test]
fn a_side_by_side_migration_survives_a_kill_at_every_change() {
    Case::new(Layout::SideBySide).survives_every(Fault::Kill);
}

#[test]
fn an_in_place_migration_survives_a_kill_at_every_change() {
    Case::new(Layout::InPlace).survives_every(Fault::Kill);
}

#[test]
fn a_torn_write_at_every_change_is_survived() {
    Case::new(Layout::InPlace).survives_every(Fault::Torn);
}

#[test]
fn the_quarantine_survives_a_kill_at_every_change() {
    Case::damaged(Layout::SideBySide).survives_every(Fault::Kill);
}

#[test]
fn the_quarantine_survives_a_torn_write_at_every_change() {
    Case::damaged(Layout::InPlace).survives_every(Fault::Torn);
}

#[test]
fn a_disk_that_is_full_at_any_change_keeps_the_work() {
    Case::new(Layout::SideBySide).survives_every(Fault::DiskFull);
    Case::new(Layout::InPlace).survives_every(Fault::DiskFull);
}

#[test]
fn an_io_error_at_any_change_leaves_the_source_or_a_publish_that_goes_on() {
    Case::new(Layout::SideBySide).survives_every(Fault::IoError);
    Case::new(Layout::InPlace).survives_every(Fault::IoError);
}

#[test]
fn restart_undoes_a_publish_that_was_cut_at_any_change() {
    Case::new(Layout::InPlace).restarts_after_every_kill();
}

#[test]
fn an_undo_that_is_killed_itself_goes_on() {
    Case::new(Layout::InPlace).restarts_that_are_killed_go_on();
}

#[test]
fn a_resume_with_another_sample_verifies_all_the_same() {
    Case::new(Layout::SideBySide).resumes_with_other_verification();
}

#[test]
fn a_resume_that_cannot_begin_keeps_the_work() {
    Case::new(Layout::SideBySide).resumes_after_a_failed_resume();
}

#[test]
fn a_target_that_has_lost_a_file_is_not_taken_for_migrated() {
    Case::new(Layout::SideBySide).misses_published_files();
}
