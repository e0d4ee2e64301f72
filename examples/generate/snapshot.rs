//! `snapshot.json`, as LauraDB's backup writes it: compact, one line.

use super::shape::Id;
use super::sink::{JsonSink, json_string};
use super::{Options, Out};
use std::io::{self, Write};

/// Writes the snapshot.
pub(crate) fn write(options: &Options, indexes: &[&str], out: &mut Out) -> io::Result<()> {
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
        for number in first..options.first_of(collection + 1) {
            if number > first {
                out.buffer.push(b',');
            }
            document(options, number, &mut out.buffer)?;
            out.relieve()?;
        }
        write!(out.buffer, r#"],"indexes":[{}]}}"#, indexes.join(","))?;
    }
    out.buffer.extend_from_slice(b"]}\n");
    Ok(())
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
