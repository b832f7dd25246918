//! The seeds of the fuzz targets: inputs written by hand, each named for what it shows.
#![allow(dead_code, reason = "no test uses all of them")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fs;
use std::path::Path;

use stanchion_stanza::Element;

use super::examples::element;

/// Name and content of every seed of a target, by name.
pub(crate) fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut seeds: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

/// The elements that the target `payload` begins with.
pub(crate) fn payloads() -> Vec<Element> {
    let read = |(_, xml): (_, Vec<u8>)| element(std::str::from_utf8(&xml).unwrap());
    of("payload").into_iter().map(read).collect()
}
