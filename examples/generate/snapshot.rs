//! `snapshot.json`, as LauraDB's backup writes it: compact, one line.

use super::shape::Id;
use super::sink::{JsonSink, json_string};
use super::{Options, Out, pages};
use std::io::{self, Write};

/// Writes the snapshot; with pages, returns the sum of the hashes of the documents that it stands
/// for.
pub(crate) fn write(options: &Options, indexes: &[&str], out: &mut Out) -> io::Result<u128> {
    let mut digest = 0_u128;
    let mut bson = Vec::new();
    out.buffer
        .extend_from_slice(br#"{"version":"1.0","timestamp":"#);
    json_string(&mut out.buffer, &options.timestamp);
    out.buffer.extend_from_slice(br#","database_name":"#);
    json_string(&mut out.buffer, &options.database);
    out.buffer.extend_from_slice(br#","collections":["#);
    for collection in 0..options.collections {
        if collection > 0 {
            out.buffer.push(b',');
        }
        let name = options.collection_name(collection);
        write!(out.buffer, r#"{{"name":"{name}","documents":["#)?;
        let first = options.first_of(collection);
        let count = options.first_of(collection + 1) - first;
        let (plain, on_pages) = if options.pages {
            (0, count)
        } else {
            (count, 0)
        };
        for at in 0..plain {
            if at > 0 {
                out.buffer.push(b',');
            }
            document(options, first + at, &mut out.buffer)?;
            out.relieve()?;
        }
        for (position, at) in pages::shuffled(on_pages).enumerate() {
            if position > 0 {
                out.buffer.push(b',');
            }
            let hash = pages::text(options, first + at, &mut bson, &mut out.buffer);
            digest = digest.wrapping_add(hash);
            out.relieve()?;
        }
        write!(out.buffer, r#"],"indexes":[{}]}}"#, indexes.join(","))?;
    }
    out.buffer.extend_from_slice(b"]}\n");
    Ok(digest)
}

fn document(options: &Options, number: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    match options.shape.id(options.seed, number) {
        Id::Text(id) => write!(buffer, r#"{{"_id":"{id}","fields":{{"#)?,
        Id::Object(id) => write!(buffer, r#"{{"_id":"{id}","fields":{{"#)?,
    }
    let mut sink = JsonSink::inside(buffer);
    options.shape.fields(options.seed, number, 0, &mut sink);
    buffer.extend_from_slice(b"}}");
    Ok(())
}
