//! `relight export` and `relight replay` of the real binary.

use serde_json::{Value, json};

use crate::home::{Home, Ran, tasks};

/// Runs `order` and exports it; returns the file's path.
async fn exported(home: &Home, order: &str) -> String {
    assert_eq!(home.run(&["run", "order", &format!("order={order}")]).await.code, 0);
    let task = tasks(&home.journal()).await[0].id.to_string();
    let file = home.path(&format!("{order}.jsonl")).display().to_string();
    let ran = home.run(&["export", &task[..8], "-o", &file]).await;
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    // On stdout it is the same.
    assert_eq!(home.run(&["export", &task]).await.stdout, std::fs::read_to_string(&file).unwrap());
    file
}

/// One JSON object a line.
fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Changes a file below the home.
fn change(home: &Home, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(home.path(file)).unwrap();
    assert!(text.contains(from), "{text}");
    home.write(file, &text.replace(from, to));
}

#[tokio::test]
async fn a_recording_replays_with_no_model_no_tools_and_no_journal() {
    let home = Home::new();
    let file = exported(&home, "A1").await;
    let charges = home.charges();
    std::fs::remove_file(home.path("order.script.yaml")).unwrap();
    std::fs::remove_file(home.path("journal.db")).unwrap();
    for more in [&[][..], &["--as-recorded"], &["--agent", "prompts/order.md"]] {
        let ran = home.run(&[&["replay", &file], more].concat()).await;
        assert_eq!(ran.code, 0, "{more:?}: {ran:?}");
        assert_eq!(ran.stdout, format!("{file}  same\n"));
        assert_eq!(ran.stderr, "1 the same, 0 different\n");
    }
    let parsed = home.run(&["replay", &file, "--json"]).await;
    assert_eq!(parsed.stderr, "");
    assert_eq!(parsed.json(), json!({"recording": file, "same": true, "drifts": []}));
    assert_eq!(home.charges(), charges, "a replay charges nobody");
    assert!(!home.path("journal.db").exists(), "a replay of files needs no journal");
}

#[tokio::test]
async fn a_changed_prompt_is_told_with_its_place_and_its_reason() {
    let home = Home::new();
    let (one, two) = (exported(&home, "A1").await, exported(&home, "A2").await);
    change(&home, "prompts/order.md", "in three parts", "in FOUR parts");
    let ran = home.run(&["replay", &one, &two]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in [
        &format!("{one}  different\n"),
        &format!("{two}  different\n"),
        "turn 1: step \"turn-1/model\" asks the model something else\n",
        "likely because the system prompt changed\n",
        "    -You charge an order in three parts.",
        "    +You charge an order in FOUR parts.",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} in:\n{}", ran.stdout);
    }
    assert_eq!(ran.stderr, "0 the same, 2 different\n");
    // What it was pinned to is still the same.
    assert_eq!(home.run(&["replay", &one, &two, "--as-recorded"]).await.code, 0);

    let parsed = home.run(&["replay", &one, &two, "--json"]).await;
    assert_eq!((parsed.code, parsed.stderr.as_str()), (1, ""), "{parsed:?}");
    let parsed = lines(&parsed);
    assert_eq!(parsed.len(), 2);
    for (line, file) in parsed.iter().zip([&one, &two]) {
        assert_eq!((&line["recording"], &line["same"]), (&json!(file), &json!(false)));
        let drift = &line["drifts"][0];
        assert_eq!((&drift["step"], &drift["turn"]), (&json!("turn-1/model"), &json!(1)));
        assert_eq!(drift["reasons"][0], "the system prompt changed");
        assert!(
            drift["diff"].as_str().unwrap().contains("+You charge an order in FOUR"),
            "{drift}"
        );
    }
}

#[tokio::test]
async fn every_ended_task_of_a_journal_is_replayed() {
    let home = Home::new();
    home.run(&["run", "order", "order=A1"]).await;
    home.run(&["run", "order", "order=A2"]).await;
    let ran = home.run(&["replay", "--all"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "2 the same, 0 different\n"), "{ran:?}");
    change(&home, "prompts/order.md", "in three parts", "in FOUR parts");
    let ran = home.run(&["replay", "--all", "--json"]).await;
    assert_eq!(ran.code, 1);
    let ids: Vec<_> = lines(&ran).iter().map(|line| line["recording"].clone()).collect();
    let expected: Vec<_> =
        tasks(&home.journal()).await.iter().map(|task| json!(task.id.to_string())).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_file_that_is_no_recording_is_refused_with_its_line() {
    let home = Home::new();
    let file = exported(&home, "A1").await;
    let text = std::fs::read_to_string(&file).unwrap();
    let whole: Vec<&str> = text.lines().collect();
    let forged = text.replacen("\"turn-1/model\"", "\"turn-9/model\"", 1);
    let deep = format!("{}\n{}", whole[0], "[".repeat(100_000));
    for (name, text, said) in [
        ("empty.jsonl", String::new(), "it ends after line 0"),
        ("prose.jsonl", "hello\n".to_owned(), "line 1: not {"),
        ("newer.jsonl", text.replacen(":1,", ":9,", 1), "version 9"),
        ("cut.jsonl", whole[..whole.len() - 3].join("\n"), "the file was cut"),
        ("deep.jsonl", deep, "line 2: not {"),
        ("forged.jsonl", forged, "cannot follow: "),
        ("escape.jsonl", "\u{1b}[2J".to_owned(), "line 1: not {"),
    ] {
        home.write(name, &text);
        let path = home.path(name).display().to_string();
        let ran = home.run(&["replay", &path]).await;
        ran.refused(1, &[name, "is not a readable recording", said]);
        assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    }
    let gone = home.path("gone.jsonl").display().to_string();
    home.run(&["replay", &gone]).await.refused(1, &["gone.jsonl"]);
    home.run(&["replay"]).await.refused(2, &["RECORDINGS"]);
    home.run(&["replay", &file, "--agent", "prompts/gone.md"]).await.refused(1, &["gone.md"]);
    home.run(&["export", "0123abcd"]).await.refused(3, &["no task \"0123abcd\""]);
    // Where the agent is gone it says so.
    std::fs::remove_file(home.path("prompts/order.md")).unwrap();
    home.run(&["replay", &file]).await.refused(1, &["no agents"]);
}

#[tokio::test]
async fn a_recording_that_cannot_be_replayed_is_no_end_of_the_others() {
    let home = Home::new();
    let file = exported(&home, "A1").await;
    home.write("prose.jsonl", "hello\n");
    let prose = home.path("prose.jsonl").display().to_string();
    let ran = home.run(&["replay", &prose, &file]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.starts_with(&format!("{prose}  not replayed\n")), "{}", ran.stdout);
    assert!(ran.stdout.ends_with(&format!("{file}  same\n")), "{}", ran.stdout);
    assert_eq!(ran.stderr, "1 the same, 0 different, 1 not replayed\n");

    // Of a journal it is a task whose agent is gone.
    let order = std::fs::read_to_string(home.path("prompts/order.md")).unwrap();
    home.write("prompts/other.md", &order.replace("name: order", "name: other"));
    assert_eq!(home.run(&["run", "other", "order=A2"]).await.code, 0);
    std::fs::remove_file(home.path("prompts/other.md")).unwrap();
    let ran = home.run(&["replay", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{ran:?}");
    let lines = lines(&ran);
    assert!(lines[0]["error"].as_str().unwrap().contains("no agent \"other\""), "{lines:?}");
    assert_eq!((lines.len(), &lines[1]["same"]), (2, &json!(true)));
}
