//! `relight tasks show` of the real binary: what a person reads of a run, while it goes on and later.

use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Context, Runtime, StartTask};
use relight::journal::{Failure, Payload, Store};
use serde_json::{Value, json};

use crate::home::{Home, Ran, tasks, until};
use crate::model_server::{Answer, ModelServer, delta, finish, usage};

/// The only task's id.
async fn only(home: &Home) -> String {
    let journal = home.journal();
    let all = tasks(&journal).await;
    all.iter().find(|task| task.parent.is_none()).unwrap().id.to_string()
}

/// All of these, in this order.
#[track_caller]
fn has(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some(at) = rest.find(part) else {
            panic!("no {part:?} there, or not so late, in:\n{text}")
        };
        rest = &rest[at + part.len()..];
    }
}

#[tokio::test]
async fn a_run_is_told_turn_by_turn_with_what_it_cost() {
    let home = Home::new();
    home.run(&["run", "order", "order=A1"]).await;
    let task = only(&home).await;
    let shown = home.run(&["tasks", "show", &task[..8]]).await;
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""), "{shown:?}");
    has(
        &shown.stdout,
        &[
            &format!("order  {task}  completed\n"),
            "agent     Charges an order in parts",
            "model     order.script.yaml\n",
            "created   20",
            "order was called with: {\"order\":\"A1\"}",
            "tools: till/charge_card, till/",
            "\n\n",
            "turn 1  order.script.yaml  ",
            "300 in / 80 out tokens\n",
            "The first part.\n",
            "turn-1/tool-2: till/charge_card {\"amount_cents\":100,\"order\":\"A1-1\"}  ",
            "-> charged 100 cents for order A1-1: charge ch_",
            "turn 4  order.script.yaml",
            "A1: charged 300 cents",
            "completed\n",
            "4 turns, 11 tool calls, 2300 in / 270 out tokens\n",
            "took ",
            " of it at work\n",
        ],
    );
    assert!(!shown.stdout.contains("restarted"), "{}", shown.stdout);
    // What was said last is not said twice.
    assert_eq!(shown.stdout.matches("A1: charged 300 cents").count(), 1, "{}", shown.stdout);

    let full = home.run(&["tasks", "show", "--full", &task]).await.stdout;
    has(
        &full,
        &[
            "system prompt\n",
            "You charge an order in three parts.",
            "order was called with\n",
            "    \"order\": \"A1\"\n",
            "turn-1/tool-2: till/charge_card",
            "    \"amount_cents\": 100,\n",
            "-> charged 100 cents",
        ],
    );

    let totals = home.run(&["tasks", "show", "--json", &task]).await.json()["totals"].take();
    for (what, amount) in [
        ("turns", 4),
        ("modelCalls", 4),
        ("toolCalls", 11),
        ("inputTokens", 2_300),
        ("outputTokens", 270),
        ("microdollars", 0),
        ("restarts", 0),
    ] {
        assert_eq!(totals[what], amount, "{what} in {totals}");
    }
    assert!(totals["tookMs"].as_i64() >= totals["workedMs"].as_i64(), "{totals}");
}

#[tokio::test]
async fn a_crash_and_what_it_cost_are_part_of_the_story() {
    let home = Home::new();
    home.hold_charges();
    let mut server = home.serve_raw();
    let task = server.order("A1").await;
    until("the charge", async || home.charges() == 1).await;
    server.kill().await;

    let cut = home.run(&["tasks", "show", &task]).await;
    has(&cut.stdout, &["working", "turn-1/tool-2: under way\n", "1 turn, ", " so far, "]);
    home.let_go();
    assert_eq!(home.run(&["run", "--resume", &task]).await.code, 0);
    let shown = home.run(&["tasks", "show", &task]).await.stdout;
    has(
        &shown,
        &[
            "restarted: taken up again, ",
            " answered from the journal",
            "turn-1/tool-2: till/charge_card {",
            "in doubt: ",
            "turn-2/tool-1: till/find_charge",
            "restarted once, ",
        ],
    );
}

#[tokio::test]
async fn retries_and_a_second_model_are_told_with_their_reasons() {
    let home = Home::empty();
    home.write(
        "prompts/a.md",
        "---\nname: a\ndescription: d\nmodel: [script:one.yaml, script:two.yaml]\ntools: []\n\
         retry: {attempts: 2, first: 10ms, max: 10ms}\n---\nGo.\n",
    );
    home.write("one.yaml", "replies: [{error: {status: 503, message: out of breath}}]");
    home.write("two.yaml", "replies: [{text: here, usage: {input_tokens: 5, output_tokens: 1}}]");
    home.run(&["run", "a", "go"]).await;
    let shown = home.run(&["tasks", "show", &only(&home).await]).await.stdout;
    has(
        &shown,
        &[
            "model     one.yaml, then two.yaml",
            "turn-1/model: attempt 1 failed: ",
            "out of breath",
            "tried again in ",
            "turn-1/model: one.yaml",
            "2 attempts\n",
            "failed: ",
            "turn 1  two.yaml",
            "5 in / 1 out tokens",
            "here\n",
            "1 turn, 5 in / 1 out tokens",
            "1 failure tried again",
        ],
    );
}

#[tokio::test]
async fn money_is_told_a_turn_at_a_time_and_in_all() {
    let said = |text: &str, tokens: Value| {
        Answer::stream(&[delta(json!({"content": text})), finish("stop"), tokens])
    };
    let server = ModelServer::start([said("", usage(1_000, 100)), said("Done.", usage(2_000, 50))]);
    let server = server.await;
    let home = Home::empty().with("OPENAI_BASE_URL", server.base_url()).with("OPENAI_API_KEY", "k");
    home.write("prompts/a.md", "---\nname: a\ndescription: d\nmodel: tiny\ntools: []\n---\nGo.\n");
    home.write("relight.yaml", "prices: {tiny: {input: 1.00, output: 2.00, cached: 0}}\n");
    assert_eq!(home.run(&["run", "a", "go"]).await.stdout, "Done.\n");
    let shown = home.run(&["tasks", "show", &only(&home).await]).await.stdout;
    has(
        &shown,
        &[
            "turn 1  tiny  ",
            "1000 in / 100 out tokens  $0.0012\n",
            "turn 2  tiny  ",
            "2000 in / 50 out tokens  $0.0021\n",
            "2 turns, 3000 in / 150 out tokens, $0.0033\n",
        ],
    );
    let totals = home.run(&["tasks", "show", "--json", &only(&home).await]).await.json();
    assert_eq!(totals["totals"]["microdollars"], 3_300);
}

#[tokio::test]
async fn questions_are_told_with_what_people_said() {
    let home = crate::cli_asking::home();
    let run = ["run", "payment", "order=A1", "amount_cents=5"];
    let running = home.command(&run).spawn().unwrap();
    let answer = async |key: &str, more: &[&str]| {
        let journal = home.journal();
        until(key, async || {
            if tasks(&journal).await.is_empty() {
                return false;
            }
            let asked = home.run(&["tasks", "answer", &only(&home).await, "--list"]).await;
            asked.stdout.starts_with(key)
        })
        .await;
        let task = only(&home).await;
        home.run(&[&["tasks", "answer", &task, "--question", key], more].concat()).await
    };
    answer("turn-1/tool-1", &["email=ada@example.org"]).await;
    let yes = r#"{"decision":"approve","arguments":"{\"order\":\"A1\",\"amount_cents\":3}"}"#;
    answer("turn-2/tool-1/approve", &["--json-input", yes]).await;
    assert_eq!(Ran::of(&run, running).await.code, 0);
    let shown = home.run(&["tasks", "show", &only(&home).await]).await.stdout;
    has(
        &shown,
        &[
            "turn-1/tool-1: asks: Where does the receipt of order A1 go?",
            "within 7 d",
            "turn-1/tool-1: a person answered {\"email\":\"ada@example.org\"}  after ",
            "turn-2/tool-1/approve: wants a yes: charge_card {\"amount_cents\":5,\"order\":\"A1\"}",
            "turn-2/tool-1/approve: a person approved it with {\"order\":\"A1\",\"amount_cents\":3}",
            "turn-2/tool-1: till/charge_card {\"amount_cents\":3,\"order\":\"A1\"}",
            " waiting",
        ],
    );
}

#[tokio::test]
async fn children_are_told_in_their_place_and_drawn_below() {
    let home = Home::empty();
    home.write(
        "prompts/lead.md",
        "---\nname: lead\ndescription: d\nmodel: script:lead.yaml\ntools: []\nagents: [reader]\n---\nGo.\n",
    );
    home.write(
        "prompts/reader.md",
        "---\nname: reader\ndescription: d\nmodel: script:reader.yaml\ntools: []\n---\nGo.\n",
    );
    let call = "{calls: [{tool: reader, arguments: {task: Tagus}}]}";
    home.write("lead.yaml", &format!("replies: [{call}, {{text: done}}]"));
    let usage = "usage: {input_tokens: 30, output_tokens: 4}";
    home.write("reader.yaml", &format!("replies: [{{text: It is long., {usage}}}]"));
    home.run(&["run", "lead", "go"]).await;
    let journal = home.journal();
    let all = tasks(&journal).await;
    let child = all.iter().find(|task| task.parent.is_some()).unwrap().id.to_string();
    let shown = home.run(&["tasks", "show", &only(&home).await]).await.stdout;
    has(
        &shown,
        &[
            &format!("turn-1/tool-1: reader {{\"task\":\"Tagus\"}}  task {}\n", &child[..8]),
            "turn-1/tool-1: reader answered  ",
            "34 tokens\n",
            "-> It is long.\n",
            "1 child (34 tokens)",
            &format!("└─ reader  {}  completed", &child[..8]),
        ],
    );
    // The whole of it has the child's story in it, further in.
    let full = home.run(&["tasks", "show", "--full", &only(&home).await]).await.stdout;
    has(
        &full,
        &[
            "  turn-1/tool-1: reader  task ",
            "    reader was called with\n",
            "    turn 1  reader.yaml",
            "      It is long.\n",
            "  turn-1/tool-1: reader answered  ",
        ],
    );
    let shown = home.run(&["tasks", "show", &child]).await.stdout;
    has(&shown, &["called by task ", ", turn-1/tool-1\n", "It is long.\n", "completed\n"]);
}

#[tokio::test]
async fn a_durable_function_is_told_by_its_steps() {
    let home = Home::empty();
    let store = Arc::new(home.journal());
    let runtime = Runtime::builder(Arc::clone(&store) as Arc<dyn Store>)
        .function("checkout", |ctx: Context, order: String| async move {
            let step = ctx.once("charge").input(&json!({"order": order}));
            let charge: String = step.run(|_| async { Ok("ch_1".to_owned()) }).await?;
            ctx.sleep("settle", Duration::from_millis(5)).await?;
            let mail = ctx.idempotent("mail");
            mail.run(|_| async { Err::<(), _>(Failure::is_final("no such address")) }).await?;
            Ok(charge)
        })
        .start()
        .await
        .unwrap();
    let input = Payload::of("A1").unwrap();
    let task = runtime.start(StartTask::new("checkout", "checkout", input)).await.unwrap();
    runtime.wait(task).await.unwrap();
    runtime.shutdown().await;
    store.close().await;

    let shown = home.run(&["tasks", "show", &task.to_string()]).await.stdout;
    has(
        &shown,
        &[
            "function  checkout\n",
            "checkout was called with: A1\n",
            "charge: {\"order\":\"A1\"}  ",
            "-> ch_1\n",
            "settle: sleeps for ",
            "mail: ",
            "failed: no such address\n",
            "failed:\n",
            "no such address\n",
            "\n3 steps\n",
        ],
    );
}

#[tokio::test]
async fn a_run_is_followed_to_its_end_which_the_exit_code_tells() {
    let home = Home::new();
    home.hold_charges();
    let mut server = home.serve_raw();
    let task = server.order("A1").await;
    let (follow, json) =
        (["tasks", "show", "-f", &task], ["tasks", "show", "--follow", "--json", &task]);
    let followers = [home.command(&follow).spawn().unwrap(), home.command(&json).spawn().unwrap()];
    until("the charge", async || home.charges() == 1).await;
    home.let_go();
    let [told, events] = followers;
    let told = Ran::of(&follow, told).await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{told:?}");
    has(&told.stdout, &["order  ", "working", "turn 1  ", "turn 4  ", "completed\n", "4 turns, "]);
    let events = Ran::of(&json, events).await;
    let events: Vec<Value> =
        events.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events[0]["event"]["task_created"].is_object(), "{}", events[0]);
    let last = events.last().unwrap();
    assert_eq!(last["seq"], events.len() - 1);
    assert!(last["event"]["task_completed"].is_object(), "{last}");
    assert_eq!(server.leave().await, Some(0));

    home.write("order.script.yaml", "replies: [error: {status: 401, message: who are you}]");
    home.run(&["run", "order", "order=A2"]).await;
    let failed = only_failed(&home).await;
    let told = home.run(&["tasks", "show", "--follow", &failed]).await;
    assert_eq!(told.code, 1, "{told:?}");
    has(&told.stdout, &["failed\n", "failed: ", "who are you", "failed:\n"]);
    assert_eq!(home.run(&["tasks", "show", &failed]).await.code, 0);
}

async fn only_failed(home: &Home) -> String {
    let list = home.run(&["tasks", "list", "--json"]).await.json();
    let failed = list.as_array().unwrap().iter().find(|task| task["status"] == "failed");
    failed.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Nothing in it that a terminal acts on, but for the styles that relight has itself.
#[track_caller]
fn harmless(what: &str, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\n' && c != '\t') {
        rest = &rest[at..];
        let styles = ["0", "1", "2", "31", "32", "33", "34", "39"];
        let style = rest.strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m'));
        let ours = style.filter(|(style, _)| {
            styles.contains(style) || style.strip_prefix("38;5;").is_some_and(|n| n.len() == 1)
        });
        rest = ours.unwrap_or_else(|| panic!("{what}: {:?}", &rest[..rest.len().min(60)])).1;
    }
}

#[tokio::test]
async fn what_models_and_tools_say_cannot_rewrite_the_screen() {
    let home = Home::empty().with("CLICOLOR_FORCE", "1");
    home.write(
        "prompts/a.md",
        "---\nname: a\ndescription: d\nmodel: script:a.yaml\ntools: [till/*, ask_user]\n\
         mcpServers: {till: {command: \"${RELIGHT_PROGRAM}\", args: [till, --ledger, ledger.jsonl]}}\n\
         ---\nGo.\n",
    );
    // It clears the screen, moves up, hides what follows, sets the title, rings, goes back, in both
    // forms that terminals know; and has what follows shown backwards.
    let evil = r"x\e[2J\e[1A\e[8m\e]0;owned\x07\rok\b\x9b2J\u202ey";
    home.write(
        "a.yaml",
        &format!(
            "replies:\n\
             - text: \"{evil}\"\n  calls: [{{tool: charge_card, arguments: {{order: \"{evil}\", amount_cents: 1}}}}]\n\
             - text: \"{evil}\"\n  calls: [{{tool: ask_user, arguments: {{message: \"{evil}\\n{evil}\", \
               fields: {{f: {{type: string, title: \"{evil}\", default: \"{evil}\"}}}}}}}}]\n\
             - text: \"{evil}\"\n"
        ),
    );
    let run = ["run", "a", "go"];
    let running = home.command(&run).spawn().unwrap();
    let journal = home.journal();
    until("the question", async || {
        tasks(&journal).await.first().is_some_and(|task| task.status.as_str() == "input_required")
    })
    .await;
    let task = only(&home).await;
    let asked = home.run(&["tasks", "answer", &task, "--list"]).await;
    home.run(&["tasks", "answer", &task, "f=yes"]).await;
    let ran = Ran::of(&run, running).await;
    let mut said = vec![("answer --list", asked.stdout), ("run", ran.stderr)];
    for command in [
        &["tasks", "show", &task][..],
        &["tasks", "show", "--full", &task],
        &["tasks", "show", "--json", &task],
        &["tasks", "watch", &task],
        &["tasks", "list"],
        &["tasks", "fork", &task, "--at", "turn-1"],
    ] {
        let ran = home.run(command).await;
        // The answer itself is for a program where it is no terminal that reads it.
        let stdout = if command[1] == "watch" { String::new() } else { ran.stdout };
        said.push((command[1], stdout + &ran.stderr));
    }
    home.write(
        "prompts/b.md",
        &std::fs::read_to_string(home.path("prompts/a.md"))
            .unwrap()
            .replace("Go.", "Go \u{1b}[2J."),
    );
    let file = home.path("a.jsonl").display().to_string();
    home.run(&["export", &task, "-o", &file]).await;
    let replayed = home.run(&["replay", &file, "--agent", "prompts/b.md"]).await;
    assert_eq!(replayed.code, 1, "{replayed:?}");
    said.push(("replay", replayed.stdout + &replayed.stderr));
    for (what, text) in said {
        assert!(!text.is_empty(), "{what}");
        harmless(what, &text);
        assert!(!text.contains('\u{202e}'), "{what}");
    }
}
