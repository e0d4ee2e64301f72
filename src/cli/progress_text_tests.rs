use super::*;
use crate::progress::Phase;
use jiff::Timestamp;

fn progress(phase: Phase) -> MigrationProgress {
    MigrationProgress {
        phase,
        step: None,
        bytes_done: 0,
        bytes_total: 0,
        documents_done: 0,
        documents_total: 0,
        collections_done: 0,
        collections_total: 0,
        indexes_done: 0,
        indexes_total: 0,
        elapsed: Duration::from_secs(9),
        phase_elapsed: Duration::from_millis(8040),
        phase_left: None,
        started: Timestamp::UNIX_EPOCH,
        estimated_completion: None,
        rate: None,
        errors: 0,
    }
}

fn collections() -> MigrationProgress {
    MigrationProgress {
        bytes_done: 7_864_320,
        bytes_total: 100_453_580,
        documents_done: 64_098,
        documents_total: 800_000,
        rate: Some(25_585_254),
        phase_left: Some(Duration::from_secs(4)),
        ..progress(Phase::Collections)
    }
}

fn indexes() -> MigrationProgress {
    MigrationProgress {
        bytes_done: 1_200_000,
        bytes_total: 2_412_234,
        indexes_done: 4,
        indexes_total: 9,
        rate: Some(1_402_100),
        phase_left: Some(Duration::from_secs(75)),
        ..progress(Phase::Indexes)
    }
}

#[test]
fn eighty_columns_hold_share_documents_rate_and_time_left() {
    assert_eq!(
        running(&collections(), 79),
        "collections [>         ]   7 %   7.5/95.8 MiB,  64k docs, 24 MiB/s, 4 s left"
    );
    assert_eq!(
        running(&indexes(), 79),
        "    indexes [====>     ]  49 %  1.2M/2.4M entries, 4/9 indexes, 1 min 15 s left"
    );
}

#[test]
fn a_narrow_terminal_keeps_the_share_and_then_the_time_left() {
    for progress in [collections(), indexes()] {
        for width in 0..200 {
            assert!(running(&progress, width).chars().count() <= width);
            assert!(ended(&progress, true, width).chars().count() <= width);
        }
        assert!(running(&progress, 66).ends_with(" s left"));
        assert!(running(&progress, 34).contains(" %"));
    }
}

#[test]
fn a_phase_that_is_done_ends_at_100_percent_and_one_that_was_cut_short_does_not() {
    assert_eq!(
        ended(&collections(), true, 79),
        "collections [==========] 100 %  8.0 s, 7.5 MiB, 64098 documents, 24.4 MiB/s"
    );
    let publish = progress(Phase::Publish);
    assert_eq!(
        ended(&publish, true, 79),
        "    publish [==========] 100 %  8.0 s"
    );
    assert!(ended(&collections(), false, 79).contains("   7 %"));
}

#[test]
fn lines_without_a_terminal_are_sentences() {
    assert_eq!(
        describe(&collections()),
        "collections: 7 %, 7.5 MiB of 95.8 MiB, 24.4 MiB/s, 64098 of 800000 documents, 4 seconds \
         left"
    );
    let warned = MigrationProgress {
        errors: 1,
        ..indexes()
    };
    assert_eq!(
        describe(&warned),
        "indexes: 49 %, 1200000 of 2412234 entries, 4 of 9 indexes, 1402100/s, 75 seconds left, \
         1 warning"
    );
    assert_eq!(describe(&progress(Phase::Publish)), "publish: under way");
    assert_eq!(
        describe_end(&collections()),
        "collections: done in 8.0 s, 7.5 MiB, 64098 documents, 24.4 MiB/s"
    );
    let step = MigrationProgress {
        step: Some("read back"),
        ..progress(Phase::Backup)
    };
    assert_eq!(describe(&step), "read back: under way");
}
