//! Tools whose output is longer than a model is shown: it is cut, kept whole, and read on.

use relight::agent::Sizes;

use super::*;

/// Half of this window, 8,000 bytes, is what the results of one reply may take.
const SMALL: &str = "contextTokens: 4000";

/// A bench whose ledger takes more than that, and what the tool says of it.
async fn bench(answers: impl IntoIterator<Item = Answer>) -> (Bench, String) {
    let bench = Bench::new(answers).await;
    let order: String = (0..2_000).map(|n| format!("{n:04} ")).collect();
    let entry = json!({"tool": "charge_card", "key": null, "args": {"order": order}, "at": "now"});
    std::fs::write(bench.dir.path().join("ledger.jsonl"), format!("{entry}\n")).unwrap();
    let whole = Bench::new([look(), Answer::says("seen")]).await;
    std::fs::write(whole.dir.path().join("ledger.jsonl"), format!("{entry}\n")).unwrap();
    whole.run(TILL).await;
    let text = whole.messages(1).pop().unwrap().strip_prefix("tool: ").unwrap().to_owned();
    assert!(text.len() > 10_000 && text.ends_with("}]"), "shown whole where there is room");
    (bench, text)
}

fn small_till() -> String {
    format!("{TILL}\n{SMALL}")
}

fn look() -> Answer {
    Answer::calls(&[("c1", "read_ledger", "{}")])
}

fn read_more(output: &str, offset: usize) -> Answer {
    let arguments = json!({"output": output, "offset": offset}).to_string();
    Answer::calls(&[("c2", "read_more", &arguments)])
}

/// The last message of a request: what a tool has said, and the note below it.
fn last(bench: &Bench, request: usize) -> (String, String) {
    let message = bench.messages(request).pop().unwrap();
    let (said, note) = message.strip_prefix("tool: ").unwrap().rsplit_once("\n[").unwrap();
    (said.to_owned(), note.to_owned())
}

fn offers_read_more(bench: &Bench, request: usize) -> bool {
    let tools = bench.server.asked()[request].body["tools"].clone();
    tools.as_array().unwrap().iter().any(|tool| tool["function"]["name"] == "read_more")
}

#[tokio::test]
async fn a_task_keeps_the_sizes_that_it_began_with() {
    let (mut bench, _) = bench([look()]).await;
    let sizes = Sizes { tool_text_shown_bytes: 2_000, ..Sizes::default() };
    let task = bench.call_pinned(&Pinned { sizes, ..Bench::pinned(TILL) }, "hello").await;
    bench.server.until_asked(1).await;
    bench.restart().await;
    bench.server.then(read_more("output-1", 1_744));
    bench.server.then(Answer::says("seen"));
    assert_eq!(bench.end(task).await, End::Completed(Payload::of("seen").unwrap()));
    let whole = |request| bench.messages(request).pop().unwrap().len() - "tool: ".len();
    assert!(whole(1) <= 2_000 && whole(2) <= 2_000, "{} {}", whole(1), whole(2));

    // A task that names none has those that there were before they had names.
    let mut pinned = serde_json::to_value(Bench::pinned(TILL)).unwrap();
    pinned.as_object_mut().unwrap().remove("sizes");
    let Pinned { sizes, .. } = serde_json::from_value(pinned).unwrap();
    assert_eq!((sizes.compact_at_percent, sizes.tool_text_shown_bytes), (80, 100_000));
}

#[tokio::test]
async fn an_output_is_shown_cut_and_read_on_to_its_end() {
    let (bench, whole) = bench([look()]).await;
    let task = bench.call(&small_till(), "hello").await;
    bench.server.until_asked(1).await;
    bench.server.then(read_more("output-1", 7_744));
    bench.server.then(Answer::says("seen"));
    assert_eq!(bench.end(task).await, End::Completed(Payload::of("seen").unwrap()));

    let ((first, note), (rest, end)) = (last(&bench, 1), last(&bench, 2));
    assert_eq!(first.len(), 7_744);
    assert!(
        note.contains("read_more with {\"offset\":7744,\"output\":\"output-1\"} to read on"),
        "{note}"
    );
    assert!(end.ends_with(&format!("to {}: the end of output-1]", whole.len())), "{end}");
    assert_eq!(first + &rest, whole);
    let offered: Vec<_> = (0..3).map(|request| offers_read_more(&bench, request)).collect();
    assert_eq!(offered, [false, true, true]);
}

#[tokio::test]
async fn a_wrong_place_is_told() {
    for (call, told) in [
        (
            read_more("output-2", 0),
            "There is no \"output-2\". The last one that was cut is output-1.",
        ),
        (read_more("ledger", 0), "There is no \"ledger\"."),
        (read_more("output-1", 1_000_000), "There is nothing at 1000000: output-1 has "),
        (Answer::calls(&[("c2", "read_more", "{}")]), "The arguments do not fit the tool's schema"),
    ] {
        let (bench, _) = bench([look(), call, Answer::says("seen")]).await;
        assert_eq!(bench.run(&small_till()).await, "completed \"seen\"");
        let last = bench.messages(2).pop().unwrap();
        assert!(last.starts_with(&format!("tool: {told}")), "{last}");
    }
    let (bench, _) = bench([read_more("output-1", 0), Answer::says("seen")]).await;
    assert_eq!(bench.run(&small_till()).await, "completed \"seen\"");
    let last = bench.messages(1).pop().unwrap();
    assert!(last.starts_with("tool: There is no tool \"read_more\"."), "{last}");
}

#[tokio::test]
async fn after_a_restart_it_is_read_on_from_the_journal() {
    let (mut bench, whole) = bench([look(), Answer::silence()]).await;
    let task = bench.call(&small_till(), "hello").await;
    bench.server.until_asked(2).await;
    // What the tool would say now is something else.
    std::fs::write(bench.dir.path().join("ledger.jsonl"), "").unwrap();
    bench.server.then(read_more("output-1", 7_744));
    bench.server.then(Answer::silence());
    bench.restart().await;
    bench.server.until_asked(4).await;
    bench.server.then(Answer::says("seen"));
    bench.restart().await;
    assert_eq!(bench.end(task).await, End::Completed(Payload::of("seen").unwrap()));
    assert_eq!(bench.messages(1), bench.messages(2));
    assert_eq!(bench.messages(3), bench.messages(4));
    assert_eq!(last(&bench, 4).0, whole[7_744..]);
}

#[tokio::test]
async fn the_results_of_one_reply_share_the_room() {
    let calls: Vec<_> = ["c1", "c2", "c3"].map(|id| (id, "read_ledger", "{}")).into();
    let (bench, _) = bench([Answer::calls(&calls), Answer::says("seen")]).await;
    assert_eq!(bench.run(&small_till()).await, "completed \"seen\"");
    let messages = bench.messages(1);
    for (n, message) in messages[3..].iter().enumerate() {
        assert!(message.len() < 8_000 / 3 + 100, "{}", message.len());
        assert!(message.contains(&format!("output-{}", n + 1)), "{message}");
    }
}
