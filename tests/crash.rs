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
fn a_resume_that_fails_for_good_leaves_no_target_behind() {
    Case::new(Layout::SideBySide).leaves_nothing_of_a_resume_that_fails_for_good();
}

#[test]
fn a_target_that_has_lost_a_file_is_not_taken_for_migrated() {
    Case::new(Layout::SideBySide).misses_published_files();
}

#[test]
fn an_import_survives_a_kill_at_every_change() {
    Case::new(Layout::Import).survives_every(Fault::Kill);
    Case::new(Layout::ImportToV1).survives_every(Fault::Kill);
}

#[test]
fn an_import_survives_torn_writes_full_disks_and_io_errors() {
    for fault in [Fault::Torn, Fault::DiskFull, Fault::IoError] {
        Case::new(Layout::Import).survives_every(fault);
        Case::new(Layout::ImportToV1).survives_every(fault);
    }
}

#[test]
fn restart_discards_an_import_that_was_cut_at_any_change() {
    Case::new(Layout::Import).restarts_after_every_kill();
    Case::new(Layout::ImportToV1).restarts_after_every_kill();
}

#[test]
fn an_import_resumes_only_where_it_can_begin() {
    Case::new(Layout::Import).resumes_with_other_verification();
    Case::new(Layout::Import).misses_published_files();
}
