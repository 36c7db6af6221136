//! A backup that a stranger made: its container, its manifest, and the lines of its
//! payload. Refused or read, never a panic, and never more in memory than one line.
#![no_main]

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Cursor, Write as _};
use strongroom_core::backup::{Container, Manifest, Payload as Encrypted, RootKeyName, Table};
use strongroom_store::backup::{Payload, schema, tables};

/// The manifest of whatever is in these lines.
fn manifest() -> Manifest {
    Manifest {
        instance_id: "00000000-0000-0000-0000-000000000000".parse().unwrap(),
        made_at: String::new(),
        program: String::new(),
        schema: schema(),
        tables: tables().map(|name| Table { name: name.to_owned(), rows: 1 }).collect(),
        payload: Encrypted::default(),
        root_key: RootKeyName { provider: String::new(), id: Default::default() },
        recovery_recipient: String::new(),
        checkpoint: None,
        verifier_key: String::new(),
    }
}

/// The lines behind a header that is one, so that the search gets past it.
fn lines(lines: &[u8]) {
    let header = format!(
        "{{\"format\":\"strongroom-backup-v1\",\"instance_id\":\"00000000-0000-0000-0000-000000000000\",\"schema\":{}}}\n",
        schema()
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(header.as_bytes()).and_then(|()| packed.write_all(lines)).unwrap();
    unpacked(packed.finish().unwrap());
}

fn unpacked(packed: Vec<u8>) {
    let open = move || Ok(Box::new(Cursor::new(packed.clone())) as Box<dyn io::Read + Send>);
    let payload = Payload::new(Box::new(open), manifest()).unwrap();
    let _ = payload.start();
    let _ = payload.walk(drop);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let opened = Container::open(&mut Cursor::new(bytes), None);
    if let Ok(container) = opened {
        let _ = container.check_payload(Cursor::new(bytes), |_| {});
    }
    strongroom_core::backup::fuzzing::manifest(bytes);
    lines(bytes);
    unpacked(bytes.to_vec());
});
