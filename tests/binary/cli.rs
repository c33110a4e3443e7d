//! The commands as a person and a script see them: what is said on stdout, what on stderr, and
//! the exit codes.

use std::time::{Duration, Instant};

use relight::journal::{Event, Status, Store};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::home::{Home, Ran, has, signal, tasks, until};
use crate::promises;

/// How the answer for order A1 begins. The charge's number follows.
const ANSWER: &str = "A1: charged 300 cents for order A1-3: charge ch_";

/// Whether this is the answer for order A1 and nothing else.
fn is_answer(text: &str) -> bool {
    text.strip_prefix(ANSWER).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Ended well, with the answer for order A1 alone on stdout.
#[track_caller]
fn answered(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.strip_suffix('\n').is_some_and(is_answer), "{ran:?}");
}

#[tokio::test]
async fn the_demo_tells_the_story_and_leaves_nothing_behind() {
    let home = Home::empty();
    let ran = home.run(&["demo"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    for (times, line) in [
        (2, "kill -9"),
        (1, "the journal holds the charge as done; the ledger holds 1 charge"),
        (1, "the journal holds the charge as begun, and no outcome; the ledger holds 1 charge"),
        (2, "paid before the kill: 1 model call, 653 tokens; after it:"),
        (2, "    mail_receipt {"),
        (1, "Two kills, and each order was charged exactly once."),
    ] {
        assert_eq!(ran.stdout.matches(line).count(), times, "{line:?} in:\n{}", ran.stdout);
    }
    let left: Vec<_> = std::fs::read_dir(home.path("")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn run_puts_the_answer_on_stdout_and_progress_on_stderr() {
    let home = Home::new();
    let ran = home.run(&["run", "order", "order=A1"]).await;
    answered(&ran);
    for part in ["turn-1/tool-2: till/charge_card", "turn 4  order.script", "relight tasks show "] {
        assert!(ran.stderr.contains(part), "{part:?} in:\n{}", ran.stderr);
    }

    let ran = home.run(&["run", "order", "--json", "--json-input", r#"{"order": "A2"}"#]).await;
    assert_eq!(ran.stderr, "");
    let end = ran.json();
    assert_eq!(end["status"], "completed");
    assert!(end["output"].as_str().unwrap().starts_with("A2: charged"), "{end}");
}

#[tokio::test]
async fn run_says_by_its_exit_code_what_went_wrong() {
    let home = Home::new();
    home.run(&["run", "order"])
        .await
        .refused(2, &["\"order\" is a required property", "order=..."]);
    home.run(&["run", "order", "A1"]).await.refused(2, &["expected KEY=VALUE", "\"A1\""]);
    home.run(&["run", "order", "--json-input", "{"])
        .await
        .refused(2, &["--json-input is not JSON"]);
    home.run(&["run"]).await.refused(2, &["AGENT"]);
    home.write("prompts/plain.md", "---\nname: plain\ndescription: Does it.\n---\nYou do it.\n");
    home.run(&["run", "plain"])
        .await
        .refused(2, &["\"task\" is a required property", "one text, which says what to do"]);
    home.run(&["run", "oder", "order=A1"]).await.refused(3, &["did you mean \"order\"?"]);
    home.run(&["run", "--resume", "abc"]).await.refused(3, &["no task \"abc\"", "tasks list"]);

    home.write("order.script.yaml", "replies: [error: {status: 401, message: who are you}]");
    home.run(&["run", "order", "order=A1"])
        .await
        .refused(1, &["who are you", "relight tasks show "]);
    let failed = home.run(&["run", "order", "order=A1", "--json"]).await;
    assert_eq!((failed.code, failed.stderr.as_str()), (1, ""), "{failed:?}");
    let end: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((&end["status"], &end["failure"]["kind"]), (&json!("failed"), &json!("final")));
}

#[tokio::test]
async fn a_task_that_fails_says_so_once_and_how_to_look_at_it() {
    let home = Home::new();
    home.write("order.script.yaml", "replies: [error: {status: 401, message: who are you}]");
    let journal = home.path("elsewhere.db");
    let journal = journal.to_str().unwrap();
    let ran = home.run(&["run", "order", "order=A1", "--journal", journal]).await;
    ran.refused(1, &["failed:"]);
    let ends = ran.stderr.lines().skip_while(|line| *line != "  failed:");
    let ends = ends.collect::<Vec<_>>().join("\n");
    assert_eq!(ends.matches("who are you").count(), 1, "{}", ran.stderr);

    let said = ran.stderr.lines().last().unwrap();
    let command: Vec<&str> = said.split_whitespace().skip(1).collect();
    let shown = home.run(&command).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("who are you"), "{shown:?}");
}

#[tokio::test]
async fn an_agent_without_a_model_is_not_begun() {
    let home = Home::new().with("RELIGHT_MODEL", "");
    let what_to_do = "order cannot be run: no model is configured: set `model` in";
    for arguments in [&["run", "order", "order=A1"][..], &["run", "order", "order=A1", "--json"]] {
        let ran = home.run(arguments).await;
        ran.refused(2, &[what_to_do, "--model", "RELIGHT_MODEL", "relight.yaml"]);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
    assert!(!home.path("journal.db").exists(), "a journal was made");

    let ran = home.run(&["validate"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("no model"), "{}", ran.stdout);
    assert!(ran.stderr.contains(what_to_do), "{}", ran.stderr);
    assert!(!ran.stderr.contains("All is well"), "{}", ran.stderr);
}

#[tokio::test]
async fn an_agent_whose_script_cannot_be_used_is_not_begun() {
    let home = Home::new();
    let run = async || home.run(&["run", "order", "order=A1"]).await;
    home.write("order.script.yaml", "replies:\n  - txt: Hi\n");
    run().await.refused(2, &["order cannot be run: script:", "line 2: unknown key `txt`"]);
    std::fs::remove_file(home.path("order.script.yaml")).unwrap();
    run().await.refused(2, &["order cannot be run: script:", "the script cannot be read: No such"]);
    let checked = home.run(&["validate"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stderr.starts_with("warning: order cannot be run: script:"), "{checked:?}");
    assert!(!home.path("journal.db").exists(), "a journal was made");
}

#[tokio::test]
async fn an_interrupted_run_says_how_to_go_on_and_goes_on() {
    let home = Home::new().slow_model(400);
    let journal = home.journal();
    let arguments = ["run", "order", "order=A1"];
    let child = home.command(&arguments).spawn().unwrap();
    until("the second model call", async || {
        let Some(task) = tasks(&journal).await.pop() else { return false };
        let records = journal.history(task.id, 0).await.unwrap();
        records.iter().any(|record| {
            matches!(&record.event, Event::StepStarted { key, .. } if key == "turn-2/model")
        })
    })
    .await;
    signal(&child, Signal::INT);
    let ran = Ran::of(&arguments, child).await;
    ran.refused(130, &["The task is kept and goes on where it was", "relight serve"]);
    assert_eq!(home.charges(), 1);

    let said = ran.stderr.lines().find(|line| line.contains("run --resume")).unwrap();
    let command: Vec<&str> = said.split_whitespace().skip(1).collect();
    let ran = home.run(&command).await;
    answered(&ran);
    assert!(ran.stderr.contains("taken up again"), "{}", ran.stderr);
    promises::check(&home, &journal).await;

    // Once more: it has ended, and says what it ended with.
    let again = home.run(&command).await;
    answered(&again);
    assert_eq!(home.charges(), promises::CHARGES);
}

#[tokio::test]
async fn a_run_that_is_interrupted_twice_does_not_wait_for_what_is_under_way() {
    let home = Home::new().slow_model(60_000);
    let journal = home.journal();
    let mut child = home.command(&["run", "order", "order=A1"]).spawn().unwrap();
    until("a model call", async || {
        let Some(task) = tasks(&journal).await.pop() else { return false };
        let records = journal.history(task.id, 0).await.unwrap();
        records.iter().any(|record| {
            matches!(&record.event, Event::StepStarted { key, .. } if key == "turn-1/model")
        })
    })
    .await;
    signal(&child, Signal::INT);
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    while !said.next_line().await.unwrap().unwrap().contains("goes on where it was") {}
    let since = Instant::now();
    signal(&child, Signal::INT);
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    let grace = Duration::from_millis(relight::limits::SHUTDOWN_GRACE_MS);
    assert!(since.elapsed() < grace / 2, "{:?}", since.elapsed());
    let mut rest = String::new();
    while let Some(line) = said.next_line().await.unwrap() {
        rest.push_str(&line);
    }
    let task = tasks(&journal).await.remove(0);
    let id: String = task.id.to_string().chars().take(8).collect();
    has(&rest, &["Stopped at once", &format!("relight run --resume {id}")]);

    let home = home.slow_model(20);
    answered(&home.run(&["run", "--resume", &id]).await);
}

#[tokio::test]
async fn tasks_are_listed_and_shown() {
    let home = Home::new();
    let none = home.run(&["tasks", "list"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("relight run AGENT"), "{}", none.stderr);
    assert_eq!(home.run(&["tasks", "list", "--json"]).await.json(), json!([]));

    home.run(&["run", "order", "order=A1"]).await;
    home.run(&["run", "order", "order=A2"]).await;
    let list = home.run(&["tasks", "list", "--json"]).await.json();
    let ids: Vec<&str> =
        list.as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    let newest = &list[0];
    assert_eq!(newest["name"], "order");
    assert_eq!((&newest["status"], &newest["running"]), (&json!("completed"), &json!(false)));
    assert!(newest["message"].as_str().unwrap().contains("tokens"), "{newest}");
    assert_eq!(home.run(&["tasks", "list", "--active", "--json"]).await.json(), json!([]));
    let one = home.run(&["tasks", "list", "--limit", "1"]).await.stdout;
    assert!(one.contains(&ids[0][..8]) && !one.contains(&ids[1][..8]), "{one}");

    let shown = home.run(&["tasks", "show", &ids[1][..8], "--json"]).await.json();
    assert_eq!(&shown["task"], &list[1]);
    let events = shown["events"].as_array().unwrap();
    assert_eq!(json!(events.len()), list[1]["events"]);
    for (seq, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], seq);
        assert!(event["atMs"].is_i64() && event["event"].is_object(), "{event}");
    }
    let shown = home.run(&["tasks", "show", ids[1]]).await;
    for part in ["order", ids[1], "turn-2/tool-1: till/charge_card", ANSWER] {
        assert!(shown.stdout.contains(part), "{part:?} in:\n{}", shown.stdout);
    }

    for what in ["show", "watch", "answer", "cancel"] {
        home.run(&["tasks", what, "0123abcd"]).await.refused(3, &["no task \"0123abcd\""]);
        home.run(&["tasks", what, "not-an-id"]).await.refused(3, &["no task \"not-an-id\""]);
    }
}

#[tokio::test]
async fn children_stand_below_the_task_that_started_them() {
    let home = Home::empty();
    let agent = |name: &str, more: &str| {
        let text = format!(
            "---\nname: {name}\ndescription: d\nmodel: script:{name}.yaml\ntools: []\n{more}---\nGo.\n"
        );
        home.write(&format!("prompts/{name}.md"), &text);
    };
    agent("lead", "agents: [reader]\n");
    agent("reader", "agents: [clerk]\n");
    agent("clerk", "");
    let call = |tool: &str| format!("{{tool: {tool}, arguments: {{task: x}}}}");
    let (reader, clerk) = (call("reader"), call("clerk"));
    home.write(
        "lead.yaml",
        &format!("replies: [{{calls: [{reader}, {reader}]}}, {{text: 'all of {{{{last}}}}'}}]"),
    );
    home.write(
        "reader.yaml",
        &format!("replies: [{{calls: [{clerk}]}}, {{text: '{{{{last}}}}'}}]"),
    );
    home.write("clerk.yaml", "replies: [{text: it}]");
    let ran = home.run(&["run", "lead", "go"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "all of it\n"), "{}", ran.stderr);

    let list = home.run(&["tasks", "list"]).await.stdout;
    let names: Vec<_> = list.lines().skip(1).map(|line| line.split_at(11).1).collect();
    let starts = ["lead ", "├─ reader ", "│  └─ clerk ", "└─ reader ", "   └─ clerk "];
    for (name, start) in names.iter().zip(starts) {
        assert!(name.starts_with(start), "{list}");
    }
    assert_eq!(names.len(), 5, "{list}");

    let id = list.lines().nth(1).unwrap().trim().split(' ').next().unwrap();
    let shown = home.run(&["tasks", "show", id]).await.stdout;
    assert!(shown.contains("turn-1/tool-2: reader"), "{shown}");
    assert!(shown.contains("\n│  └─ clerk  "), "{shown}");
    let shown = home.run(&["tasks", "show", id, "--json"]).await.json();
    assert_eq!(shown["children"][1]["children"][0]["name"], "clerk");
}

#[tokio::test]
async fn a_cancel_ends_a_whole_tree_that_nobody_runs() {
    let home = Home::empty();
    let nap = "{calls: [{tool: sleep, arguments: {duration: 21d}}]}";
    for (name, more, calls) in [
        (
            "lead",
            "tools: []\nagents: [reader]\n",
            "{calls: [{tool: reader, arguments: {task: x}}]}",
        ),
        (
            "reader",
            "tools: []\nagents: [clerk]\n",
            "{calls: [{tool: clerk, arguments: {task: x}}]}",
        ),
        ("clerk", "tools: [sleep]\n", nap),
    ] {
        let text = format!(
            "---\nname: {name}\ndescription: d\nmodel: script:{name}.yaml\n{more}---\nGo.\n"
        );
        home.write(&format!("prompts/{name}.md"), &text);
        home.write(&format!("{name}.yaml"), &format!("replies: [{calls}]"));
    }
    let journal = home.journal();
    let mut child = home.command(&["run", "lead", "go"]).spawn().unwrap();
    until("the clerk's sleep", async || {
        let all = tasks(&journal).await;
        let Some(clerk) = all.iter().find(|task| task.name == "clerk") else { return false };
        let records = journal.history(clerk.id, 0).await.unwrap();
        records.iter().any(|record| record.event.step() == Some("turn-1/tool-1"))
    })
    .await;
    child.kill().await.unwrap();
    child.wait().await.unwrap();
    let lead = tasks(&journal).await.into_iter().find(|task| task.name == "lead").unwrap();
    let cancel = home.run(&["tasks", "cancel", &lead.id.to_string()]).await;
    assert_eq!(cancel.code, 0, "{cancel:?}");
    let ends: Vec<_> = tasks(&journal).await.iter().map(|task| task.status).collect();
    assert_eq!(ends, [Status::Cancelled; 3]);
}

#[tokio::test]
async fn a_task_of_a_server_is_watched_to_its_end() {
    let home = Home::new();
    home.hold_charges();
    let mut server = home.serve_raw();
    let task = server.order("A1").await;
    let active = home.run(&["tasks", "list", "--active", "--json"]).await.json();
    assert_eq!((&active[0]["id"], &active[0]["status"]), (&json!(task), &json!("working")));

    let (watch, watch_json) = (["tasks", "watch", &task], ["tasks", "watch", &task, "--json"]);
    let followers =
        [home.command(&watch).spawn().unwrap(), home.command(&watch_json).spawn().unwrap()];
    until("the charge", async || home.charges() == 1).await;
    home.let_go();
    let [told, parsed] = followers;
    let told = Ran::of(&watch, told).await;
    answered(&told);
    assert!(told.stderr.contains("turn-3/tool-2: till/charge_card"), "{}", told.stderr);
    let end = Ran::of(&watch_json, parsed).await.json();
    assert_eq!((&end["id"], &end["status"]), (&json!(task), &json!("completed")));
    assert!(end["output"].as_str().is_some_and(is_answer), "{end}");

    let cancel = home.run(&["tasks", "cancel", &task]).await;
    assert_eq!((cancel.code, cancel.stdout.as_str()), (0, "The task had already completed.\n"));
    let cancel = home.run(&["tasks", "cancel", &task, "--json"]).await.json();
    assert_eq!(cancel["status"], "completed");
    assert_eq!(server.leave().await, Some(0));
}

#[tokio::test]
async fn a_cancelled_task_is_told_to_whoever_watches() {
    let home = Home::new().slow_model(600_000);
    let mut server = home.serve_raw();
    let task = server.order("A1").await;
    let watch = ["tasks", "watch", &task[..12]];
    let watching = home.command(&watch).spawn().unwrap();
    let cancel = home.run(&["tasks", "cancel", &task, "--reason", "out of stock", "--json"]).await;
    let end = cancel.json();
    assert_eq!((&end["id"], &end["status"]), (&json!(task), &json!("cancelled")));
    assert!(end["message"].as_str().unwrap().contains("out of stock"), "{end}");
    Ran::of(&watch, watching).await.refused(1, &["cancelled: out of stock"]);
    assert_eq!(server.leave().await, Some(0));
}

#[tokio::test]
async fn validate_names_each_agent_or_each_mistake() {
    let home = Home::new();
    let ran = home.run(&["validate"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("order") && ran.stdout.contains("till"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "All is well.\n");
    home.write("prompts/other.md", "---\nname: task_status\ndescription: x\n---\nYou do.\n");
    home.run(&["validate"]).await.refused(1, &["task_status", "clients without MCP Tasks"]);
    home.write("prompts/other.md", "---\nname: other\nmaxTurn: 3\n---\nYou do.\n");
    home.run(&["validate"]).await.refused(1, &["other.md", "maxTurns", "description"]);
}

#[tokio::test]
async fn every_command_has_help() {
    let home = Home::empty();
    let top = home.run(&["--help"]).await;
    assert_eq!((top.code, top.stderr.as_str()), (0, ""));
    for code in ["0 all is well", "130 interrupted"] {
        assert!(top.stdout.contains(code), "{code:?} in:\n{}", top.stdout);
    }
    for command in [
        &["demo"][..],
        &["serve"],
        &["run"],
        &["tasks"],
        &["tasks", "list"],
        &["tasks", "show"],
        &["tasks", "watch"],
        &["tasks", "answer"],
        &["tasks", "cancel"],
        &["validate"],
        &["completions"],
    ] {
        let name = command.join(" ");
        assert!(command.len() > 1 || top.stdout.contains(&format!("\n  {name} ")), "{name}");
        let ran = home.run(&[command, &["--help"]].concat()).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        assert!(ran.stdout.contains(&format!("Usage: relight {name}")), "{}", ran.stdout);
        assert!(ran.stdout.contains("--journal <FILE>"), "{}", ran.stdout);
    }
    home.run(&["tusks"]).await.refused(2, &["tasks"]);
    let version = home.run(&["--version"]).await.stdout;
    assert_eq!(version, format!("relight {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn completions_are_written_for_every_shell() {
    let home = Home::empty();
    for (shell, part) in [
        ("bash", "complete -F _relight"),
        ("zsh", "#compdef relight"),
        ("fish", "complete -c relight"),
        ("elvish", "relight"),
        ("powershell", "relight"),
    ] {
        let ran = home.run(&["completions", shell]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains(part) && ran.stdout.contains("cancel"), "{shell}");
    }
    home.run(&["completions", "tcsh"]).await.refused(2, &["tcsh", "bash"]);
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them() {
    const ESCAPE: char = '\u{1b}';
    let home = Home::new().with("CLICOLOR_FORCE", "1");
    let coloured = home.run(&["run", "order", "order=A1"]).await;
    assert!(coloured.stderr.contains(ESCAPE));
    assert!(!coloured.stdout.contains(ESCAPE), "an answer is nobody's to colour");
    let home = home.with("NO_COLOR", "1");
    let plain = home.run(&["run", "order", "order=A2"]).await;
    assert!(!plain.stderr.contains(ESCAPE), "{}", plain.stderr);
    let error = home.run(&["tasks", "show", "0"]).await;
    assert!(!error.stderr.contains(ESCAPE), "{}", error.stderr);
}
