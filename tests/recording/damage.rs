//! What is no recording, or not a whole one, is refused with its line.

use relight::journal::Recording;
use serde_json::json;

use crate::support::{completed, payload, record, started, task_completed};

/// The text of a recording of one task with one step.
fn text() -> String {
    let created = crate::support::every_event().swap_remove(0);
    let records = [
        record(0, created),
        started(1, "a", 1),
        completed(2, "a", payload(&json!("paid"))),
        task_completed(3),
    ];
    let mut text = String::from(
        "{\"relight_recording\":1,\"tasks\":1}\n{\"task\":\"00000000000000000000000000000001\",\"events\":4}\n",
    );
    for record in records {
        let event = json!({"seq": record.seq, "at_ms": record.at_ms, "event": record.event});
        text.push_str(&format!("{event}\n"));
    }
    text
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let error = Recording::read(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// The text with its lines changed.
fn with(change: impl FnOnce(&mut Vec<String>)) -> String {
    let mut lines: Vec<_> = text().lines().map(str::to_owned).collect();
    change(&mut lines);
    lines.join("\n")
}

#[test]
fn the_sample_itself_is_read() {
    assert_eq!(Recording::read(&text()).unwrap().tasks().len(), 1);
}

#[test]
fn what_is_cut_is_named() {
    check("", "it ends after line 0, and the first line of a recording");
    check(&with(|lines| lines.truncate(1)), "it ends after line 1, and task 1 of 1 is missing");
    check(&with(|lines| lines.truncate(4)), "it ends after line 4, and event 2 of 4 of task 0000");
    check(&with(|lines| lines[3].truncate(20)), "line 4: not an event: EOF");
}

#[test]
fn what_is_out_of_order_is_named() {
    check(&with(|lines| lines.swap(3, 4)), "line 4: event 2 of task");
    check(&with(|lines| lines.swap(3, 4)), "event 1 was expected here");
    check(
        &with(|lines| lines.push(lines[5].clone())),
        "line 7: nothing was expected after 1 tasks",
    );
    check(
        &with(|lines| lines[0] = "{\"relight_recording\":1,\"tasks\":0}".to_owned()),
        "line 2: nothing was expected after 0 tasks",
    );
}

#[test]
fn what_never_happened_is_named() {
    check(
        &with(|lines| lines[4] = lines[4].replace("\"a\"", "\"b\"")),
        "step \"b\" was never started",
    );
    check(
        &with(|lines| lines[3] = lines[3].replace("step_started", "step_imagined")),
        "line 4: not an event: unknown variant `step_imagined`",
    );
    check(
        &with(|lines| {
            lines[0] = lines[0].replace(":1}", ":2}");
            lines.extend(lines[1..6].to_vec());
        }),
        // It names a parent that is not there.
        "stands before its parent 0000000000000000000000000000feed",
    );
}

#[test]
fn what_is_no_recording_is_named() {
    check("hello", "line 1: not {\"relight_recording\"");
    check("{\"relight_recording\":2,\"more\":true}", "version 2, and this relight reads up to 1");
    check(&with(|lines| lines[1] = lines[1].replace('4', "0")), "a task has at least one event");
}

#[test]
fn what_is_nested_deeply_is_carried_and_not_fallen_over() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = with(|lines| lines[4] = lines[4].replace("\"paid\"", &deep));
    match Recording::read(&text) {
        Ok(recording) => assert!(recording.write().contains(&deep)),
        Err(error) => assert!(error.to_string().contains("line 5"), "{error}"),
    }
}
