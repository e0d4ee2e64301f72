complete -c laura-migrate -l mode -d 'What to do' -r -f -a "auto\t'Migrate, or go on with a migration that was interrupted'
export\t'Write a backup directory'
import\t'Make a data directory from a backup'
validate\t'Check one directory, or compare two'
dry-run\t'Tell what a migration would do, and write nothing'
rollback\t'Take an in-place migration back to v1'
status\t'Tell where a migration stands, without taking a lock'"
complete -c laura-migrate -l snapshot -d 'The snapshot to read, instead of looking for one in SOURCE_DIR' -r -F
complete -c laura-migrate -l infer-types -d 'Types that strings become: none, or a comma list of objectid, timestamp [default: objectid]' -r
complete -c laura-migrate -l pages -d 'Documents in SOURCE_DIR\'s data.db, which LauraDB no longer finds [default: auto]' -r -f -a "auto\t'Give the snapshot\'s documents back what its backup lost; leave out others, and say so'
recover\t'The same, and also take live documents that the snapshot does not have'
ignore\t'Read the snapshot only'"
complete -c laura-migrate -l rename -d 'Give a collection another name; may be repeated, all at once (a swap works)' -r
complete -c laura-migrate -l max-bad -d 'Put up to N unusable log records, documents or pages into quarantine instead of failing' -r
complete -c laura-migrate -l collection -d 'Take only this collection; may be repeated; with a TARGET_DIR or --mode export' -r
complete -c laura-migrate -l exclude -d 'Leave this collection out; may be repeated; with a TARGET_DIR or --mode export' -r
complete -c laura-migrate -l backup-dir -d 'Back up to this directory; with a TARGET_DIR it must be named' -r -F
complete -c laura-migrate -l to -d 'What to import into: 2.0, or 1.0 for LauraDB up to 0.9 [default: 2.0]' -r -f -a "1.0\t'A snapshot that LauraDB 0.9 can restore, and a fresh write-ahead log'
2.0\t'Slotted pages'"
complete -c laura-migrate -l skip-index -d 'Do not build this index: NAME, COLLECTION/NAME or all; may be repeated' -r
complete -c laura-migrate -l sample -d 'Verify the content of only this share of the documents (0 < RATE <= 1)' -r
complete -c laura-migrate -l batch-size -d 'Documents that are handed from stage to stage at once' -r
complete -c laura-migrate -l jobs -d 'Threads that parse and verify [default: the number of cores]' -r
complete -c laura-migrate -l memory -d 'Memory for sorting, for the write-ahead log\'s overlay and for buffers; at least 8MiB' -r
complete -c laura-migrate -l temp-dir -d 'Where validate and dry-run put what they sort, in unlinked files [default: $TMPDIR, else /tmp]' -r -F
complete -c laura-migrate -l max-time -d 'Stop after this time, with the work kept: 90s, 2h, 1h30m [default: 24h]' -r
complete -c laura-migrate -l lock-timeout -d 'Wait this long for another run that has a directory locked [default: 10s]' -r
complete -c laura-migrate -l report -d 'Write a report as JSON, on failure too; - is stdout' -r -F
complete -c laura-migrate -l metrics-file -d 'Write the figures of the run as Prometheus metrics, on failure too' -r -F
complete -c laura-migrate -l log-file -d 'Append the log to a file, besides stderr' -r -F
complete -c laura-migrate -l log-format -d 'How log lines are written' -r -f -a "text\t'For people'
json\t'One JSON object per line'"
complete -c laura-migrate -l explain -d 'Tell what an error id such as LM0301 means and what to do about it' -r
complete -c laura-migrate -l completions -d 'Print a script that completes options in a shell' -r -f -a "bash\t''
zsh\t''
fish\t''"
complete -c laura-migrate -l dry-run -d 'Tell what the migration would do, and write nothing: the same as --mode dry-run'
complete -c laura-migrate -l backup -d 'Back up before migrating, to SOURCE_DIR/backups, and read the backup back'
complete -c laura-migrate -l force -d 'Allow a TARGET_DIR with LauraDB files in it; they move to .lauradb-replaced-<UTC>/'
complete -c laura-migrate -l restart -d 'Discard an interrupted migration instead of going on with it'
complete -c laura-migrate -l validate -d 'Read everything back before publishing; this is the default'
complete -c laura-migrate -l no-validate -d 'Publish without reading anything back'
complete -c laura-migrate -l no-lock -d 'Do not lock the directories, where the file system cannot'
complete -c laura-migrate -l progress -d 'Show progress: a bar on a terminal, else a line every few seconds'
complete -c laura-migrate -s v -l verbose -d 'Say more; may be repeated'
complete -c laura-migrate -s q -l quiet -d 'Say nothing but errors'
complete -c laura-migrate -l report-schema -d 'Print the JSON schema of --report'
complete -c laura-migrate -s h -l help -d 'Print help (see more with \'--help\')'
complete -c laura-migrate -s V -l version -d 'Print version'
