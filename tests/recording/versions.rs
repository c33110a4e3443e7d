//! Recordings as earlier builds wrote them: `tests/recordings/vN/` holds those of version N, and no file
//! there is ever written again. Each is read to the letter, and replays.
//!
//! `v1/mixed.jsonl` is of the first build that wrote recordings: its rule for doubts is a plain word, and
//! it has none of the fields and events that came later. Only the hashes of its model calls are those
//! of the loop since then: what they are made of was settled later, and before any release.

use std::path::Path;

use relight::journal::{Recording, Redaction};
use relight::replay::{Replay, redacted};

/// The newest version that is written.
const NEWEST: u32 = 1;

#[tokio::test]
async fn every_version_is_read_and_replays() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    for version in 1..=NEWEST {
        let mut files = 0;
        for file in std::fs::read_dir(root.join(format!("v{version}"))).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let head = format!("{{\"relight_recording\":{version},");
            assert!(text.starts_with(&head), "{} is not of version {version}", path.display());
            let recording = Recording::read(&text).unwrap();
            if version == NEWEST {
                assert_eq!(recording.write(), text, "{} changed", path.display());
            }
            let run = Replay::of(recording.clone()).as_recorded().await.unwrap();
            assert!(run.is_same(), "{}\n{:?}", path.display(), run.drifts());
            assert!(run.answer().is_some() && !run.calls().is_empty(), "{}", path.display());
            let clean = redacted(recording, &Redaction::usual()).await.unwrap();
            assert_eq!(clean.write(), text, "{} holds no secret", path.display());
            files += 1;
        }
        assert!(files > 0, "version {version} has no fixture");
    }
}

#[test]
fn what_is_written_has_a_fixture_of_its_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let text = std::fs::read_to_string(root.join("checkout.jsonl")).unwrap();
    let written = Recording::read(&text).unwrap().write();
    assert!(written.starts_with(&format!("{{\"relight_recording\":{NEWEST},")), "add a fixture");
}
