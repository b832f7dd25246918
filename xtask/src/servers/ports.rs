//! Free ports on loopback, also when several programs choose at once.
//!
//! Binding to port 0 and closing again would let two programs get the same
//! port: a counter in a locked file in the temporary folder keeps them apart.

use crate::failure::{Context, Failure, Outcome};
use std::fs::OpenOptions;
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

/// Below the kernel's usual range for outgoing connections (from 32768).
const RANGE: Range<u16> = 20_000..32_000;

/// Whether something could listen on this port now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Takes `N` ports that nothing listens on and that no other call gets soon.
pub(crate) fn take<const N: usize>() -> Outcome<[u16; N]> {
    let uid = std::fs::metadata("/proc/self").map_or(0, |m| m.uid());
    let path = std::env::temp_dir().join(format!("stanchion-ports.{uid}"));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .doing("open", &path)?;
    file.lock().doing("lock", &path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).doing("read", &path)?;
    let mut port = text.trim().parse().unwrap_or(RANGE.start);
    let mut taken = [0; N];
    for slot in &mut taken {
        *slot = (0..RANGE.len())
            .find_map(|_| {
                port = if RANGE.contains(&(port + 1)) {
                    port + 1
                } else {
                    RANGE.start
                };
                is_free(port).then_some(port)
            })
            .ok_or_else(|| Failure::Misuse("no free port from 20000 to 31999".to_owned()))?;
    }
    file.rewind().doing("write", &path)?;
    file.set_len(0).doing("write", &path)?;
    write!(file, "{port}").doing("write", &path)?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ports_taken_at_the_same_time_differ() {
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(take::<3>)).collect();
        let ports: BTreeSet<u16> = threads
            .into_iter()
            .flat_map(|t| t.join().unwrap().unwrap())
            .collect();
        assert_eq!(ports.len(), 12);
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
    }
}
