//! Backups that were changed after they were written.

use super::*;

type Alter = fn(&Path);

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn lines(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    change(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

/// What was done to the backup, what it is refused as, and what the error names.
const ALTERED: &[(&str, Alter, Code, &str)] = &[
    (
        "a digit of a value",
        |dir| {
            edit(&dir.join("users.jsonl"), |bytes| {
                let at = bytes.iter().rposition(|byte| *byte == b'5').unwrap();
                bytes[at] = b'7';
            })
        },
        Code::BackupAltered,
        "users.jsonl",
    ),
    (
        "a byte of the syntax",
        |dir| edit(&dir.join("users.jsonl"), |bytes| bytes[0] ^= 1),
        Code::BackupAltered,
        "line 1",
    ),
    (
        "no UTF-8",
        |dir| edit(&dir.join("users.jsonl"), |bytes| bytes[2] = 0xFF),
        Code::BackupAltered,
        "not UTF-8",
    ),
    (
        "a line dropped",
        |dir| lines(&dir.join("users.jsonl"), |lines| drop(lines.remove(1))),
        Code::BackupAltered,
        "bytes",
    ),
    (
        "two lines exchanged",
        |dir| lines(&dir.join("users.jsonl"), |lines| lines.swap(0, 1)),
        Code::BackupAltered,
        "SHA-256",
    ),
    (
        "a line twice for another",
        |dir| {
            lines(&dir.join("users.jsonl"), |lines| {
                lines[1] = lines[0].clone()
            })
        },
        Code::BackupAltered,
        "SHA-256",
    ),
    (
        "a line break lost",
        |dir| {
            edit(&dir.join("users.jsonl"), |bytes| {
                *bytes.last_mut().unwrap() = b' '
            })
        },
        Code::BackupAltered,
        "line break",
    ),
    (
        "an empty line",
        |dir| {
            edit(&dir.join("users.jsonl"), |bytes| {
                bytes.pop();
                bytes.pop();
                bytes.extend(b"\n\n");
            })
        },
        Code::BackupAltered,
        "line 3",
    ),
    (
        "the file cut",
        |dir| edit(&dir.join("users.jsonl"), |bytes| bytes.truncate(70)),
        Code::BackupAltered,
        "70 bytes",
    ),
    (
        "the file emptied",
        |dir| fs::write(dir.join("users.jsonl"), "").unwrap(),
        Code::BackupAltered,
        "0 bytes",
    ),
    (
        "a file missing",
        |dir| fs::remove_file(dir.join("empty.jsonl")).unwrap(),
        Code::BackupIncomplete,
        "empty.jsonl",
    ),
    (
        "a file too many",
        |dir| fs::write(dir.join("more.jsonl"), "").unwrap(),
        Code::BackupAltered,
        "more.jsonl",
    ),
    (
        "a hidden file too many",
        |dir| fs::write(dir.join(".x"), "").unwrap(),
        Code::BackupAltered,
        ".x",
    ),
    (
        "a directory too many",
        |dir| fs::create_dir(dir.join("d")).unwrap(),
        Code::BackupAltered,
        "/d",
    ),
    (
        "a symlink for a file",
        |dir| {
            fs::rename(dir.join("users.jsonl"), dir.parent().unwrap().join("u")).unwrap();
            std::os::unix::fs::symlink("../u", dir.join("users.jsonl")).unwrap();
        },
        Code::NotAFile,
        "users.jsonl",
    ),
    (
        "no manifest",
        |dir| fs::remove_file(dir.join("manifest.json")).unwrap(),
        Code::BackupIncomplete,
        "manifest.json",
    ),
    (
        "the manifest cut",
        |dir| edit(&dir.join("manifest.json"), |bytes| bytes.truncate(200)),
        Code::BackupManifest,
        "no JSON object",
    ),
    (
        "the manifest emptied",
        |dir| fs::write(dir.join("manifest.json"), "").unwrap(),
        Code::BackupManifest,
        "manifest.json",
    ),
    (
        "the manifest no UTF-8",
        |dir| edit(&dir.join("manifest.json"), |bytes| bytes[9] = 0xFF),
        Code::BackupManifest,
        "byte 9",
    ),
];

#[test]
fn altered_backups_are_refused_by_name() {
    for (what, alter, code, named) in ALTERED {
        let (_guard, path) = staged();
        alter(&path);
        let error = read(&path).map(drop).expect_err(what);
        assert_eq!(error.code(), *code, "{what}: {error:?}");
        assert!(error.to_string().contains(named), "{what}: {error}");
        assert!(error.place().file.is_some(), "{what}");
        assert!(
            error.hint_text().is_some() || *code == Code::NotAFile,
            "{what}"
        );
    }
}

/// A replacement in the manifest, what it is refused as, and what the error says.
const MANIFESTS: &[(&str, &str, Code, &str)] = &[
    (
        "laura-backup/1",
        "laura-backup/2",
        Code::BackupVersion,
        "known is laura-backup/1",
    ),
    (
        "laura-backup/1",
        "other/1",
        Code::BackupManifest,
        "none of a backup",
    ),
    (
        "\"format\":",
        "\"Format\":",
        Code::BackupManifest,
        "no \"format\"",
    ),
    (
        "\"tool\":",
        "\"createdAt\":\"x\",\"tool\":",
        Code::BackupManifest,
        "twice",
    ),
    (
        "\"tool\":",
        "\"other\":1,\"tool\":",
        Code::BackupManifest,
        "unknown key \"other\"",
    ),
    (
        "10:30:00.5Z",
        "10:30:00.5",
        Code::BackupManifest,
        "createdAt",
    ),
    (
        "\"sourceVersion\":\"1.0\"",
        "\"sourceVersion\":\"7\"",
        Code::BackupManifest,
        "1.0, 2.0, 2.1",
    ),
    ("\"default\"", "\"\"", Code::BackupManifest, "databaseName"),
    (
        "\"metadata\":{",
        "\"metadata\":[{",
        Code::BackupManifest,
        "no JSON object",
    ),
    (
        "\"name\":\"users\"",
        "\"name\":\"empty\"",
        Code::BackupManifest,
        "twice",
    ),
    (
        "\"name\":\"users\"",
        "\"name\":\"a\"",
        Code::BackupManifest,
        "order",
    ),
    (
        "\"name\":\"users\"",
        "\"name\":\"users2\"",
        Code::BackupManifest,
        "users2.jsonl",
    ),
    (
        "\"file\":\"users.jsonl\"",
        "\"file\":\"../users.jsonl\"",
        Code::BackupManifest,
        "users.jsonl",
    ),
    (
        "\"documents\":3",
        "\"documents\":4",
        Code::BackupAltered,
        "4 in the manifest",
    ),
    (
        "\"documents\":3",
        "\"documents\":-3",
        Code::BackupManifest,
        "documents",
    ),
    (
        "\"documents\":3",
        "\"documents\":3.0",
        Code::BackupManifest,
        "documents",
    ),
    (
        "\"documents\":3",
        "\"documents\":18446744073709551615",
        Code::BackupManifest,
        "impossible",
    ),
    (
        "\"documents\":0",
        "\"documents\":1",
        Code::BackupManifest,
        "impossible",
    ),
    (
        "\"dataBytes\":87",
        "\"dataBytes\":88",
        Code::BackupAltered,
        "bytes of BSON",
    ),
    (
        "\"fileBytes\":0",
        "\"fileBytes\":1",
        Code::BackupManifest,
        "impossible",
    ),
    (
        "\"sha256\":\"e3",
        "\"sha256\":\"E3",
        Code::BackupManifest,
        "sha256",
    ),
    (
        "\"sha256\":\"e3",
        "\"sha256\":\"e4",
        Code::BackupAltered,
        "SHA-256",
    ),
    (
        "xxh3-128:0000000000000000",
        "xxh3-128:0000000000000001",
        Code::BackupAltered,
        "digest",
    ),
    (
        "xxh3-128:",
        "xxh3-64:",
        Code::BackupManifest,
        "contentDigest",
    ),
    (
        "\"name\":\"p\"",
        "\"name\":\"_id_\"",
        Code::BackupManifest,
        "_id_",
    ),
    (
        "\"name\":\"p\"",
        "\"name\":\"t\"",
        Code::IndexDefinition,
        "another index",
    ),
    (
        "\"ttl_duration\":5",
        "\"ttl_duration\":-5",
        Code::IndexDefinition,
        "ttl_duration",
    ),
    (
        "\"ttl_duration\":5",
        "\"x\":1,\"ttl_duration\":5",
        Code::BackupManifest,
        "t: x",
    ),
    (
        ",\"inferTypes\":[\"timestamp\"]",
        "",
        Code::BackupManifest,
        "inferTypes",
    ),
    (
        "\"inferTypes\":[\"timestamp\"]",
        "\"inferTypes\":[\"x\"]",
        Code::IndexDefinition,
        "inferTypes",
    ),
];

#[test]
fn manifests_are_read_strictly() {
    for (from, to, code, said) in MANIFESTS {
        let (_guard, path) = staged();
        let manifest = path.join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        fs::write(&manifest, text.replacen(from, to, 1)).unwrap();
        // The first collection may hold what the case means; then the figures are another's.
        let error = read(&path).map(drop).expect_err(to);
        assert_eq!(error.code(), *code, "{to}: {error:?}");
        let shown = format!("{error:?}");
        assert!(shown.contains(said), "{to}: {shown}");
    }
}

#[test]
fn a_missing_database_name_is_none() {
    let (_guard, path) = staged();
    let manifest = path.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for to in ["", "\"databaseName\":null,"] {
        fs::write(&manifest, text.replace("\"databaseName\":\"default\",", to)).unwrap();
        assert_eq!(open(&path).unwrap().manifest().database_name, None);
    }
}
