//! `relight tasks fork` and `relight tasks resume` of the real binary: what runs again and what does
//! not, counted at a model server and in the till's ledger.

use relight::journal::{Event, Hash, NewTask, Status, Store, Task, TaskId};
use serde_json::{Value, json};

use crate::home::{Home, Ran, tasks, until};
use crate::model_server::{Answer, ModelServer};

const SELLER: &str = "---
name: seller
description: Sells one thing.
model: tiny
tools: till/*
mcpServers: {till: {command: \"${RELIGHT_PROGRAM}\", args: [till, --ledger, \"${RELIGHT_LEDGER}\"]}}
---
Be brief.";

fn charge(id: &str) -> Answer {
    Answer::calls(&[(id, "charge_card", r#"{"order":"A1","amount_cents":500}"#)])
}

fn mail(id: &str) -> Answer {
    Answer::calls(&[(id, "mail_receipt", r#"{"order":"A1","to":"ada@example.org"}"#)])
}

/// A home with the seller, whose model gives these answers.
async fn shop(answers: Vec<Answer>) -> (Home, ModelServer) {
    let server = ModelServer::start(answers).await;
    let home = Home::empty().with("OPENAI_BASE_URL", server.base_url()).with("OPENAI_API_KEY", "k");
    home.write("prompts/seller.md", SELLER);
    (home, server)
}

/// The newest task that nobody called.
async fn newest(home: &Home) -> Task {
    let all = tasks(&home.journal()).await;
    all.into_iter().find(|task| task.parent.is_none()).unwrap()
}

/// Runs an agent and returns its task's id.
async fn ran(home: &Home, arguments: &[&str]) -> String {
    let ran = home.run(&[&["run"], arguments].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    newest(home).await.id.to_string()
}

/// Forks a task; returns what was printed.
async fn forked(home: &Home, task: &str, more: &[&str]) -> Value {
    home.run(&[&["tasks", "fork", task, "--json"], more].concat()).await.json()
}

/// Runs a fork to its end.
async fn resumed(home: &Home, fork: &Value) -> Ran {
    home.run(&["run", "--resume", fork["id"].as_str().unwrap()]).await
}

fn counted(home: &Home, tool: &str) -> usize {
    home.ledger().iter().filter(|entry| entry.tool == tool).count()
}

#[tokio::test]
async fn what_is_before_a_fork_is_neither_asked_nor_called_again() {
    let answers =
        vec![charge("c1"), mail("c2"), Answer::says("Sold."), Answer::says("Sold, again.")];
    let (home, server) = shop(answers).await;
    let task = ran(&home, &["seller", "sell"]).await;
    assert_eq!((server.asked().len(), home.charges(), counted(&home, "mail_receipt")), (3, 1, 1));

    let told = home.run(&["tasks", "fork", &task, "--at", "turn-2"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let new = told.stdout.trim_end().to_owned();
    for part in [
        &format!("It begins with 3 finished steps of {}.", &task[..8]),
        &format!("`relight run --resume {}`", &new[..8]),
        "Not undone: turn-2/tool-1 {",
        "mail_receipt",
    ] {
        assert!(told.stderr.contains(part), "{part:?} in:\n{}", told.stderr);
    }
    assert!(!told.stderr.contains("charge_card"), "it is taken over:\n{}", told.stderr);
    // To fork runs nothing.
    assert_eq!((server.asked().len(), newest(&home).await.status), (3, Status::Working));

    let end = home.run(&["run", "--resume", &new]).await;
    assert_eq!((end.code, end.stdout.as_str()), (0, "Sold, again.\n"), "{end:?}");
    let asked = server.asked();
    assert_eq!((asked.len(), home.charges(), counted(&home, "mail_receipt")), (4, 1, 1));
    let messages = asked[3].body["messages"].to_string();
    assert!(
        messages.contains("charged 500 cents") && !messages.contains("mail_receipt"),
        "{messages}"
    );

    let shown = home.run(&["tasks", "show", &new]).await.stdout;
    for part in [
        &format!("fork of   task {task}, at turn-2\n"),
        &format!("what follows was done by task {task} before turn-2\n"),
        "turn-1/tool-1: till/charge_card {\"amount_cents\":500,\"order\":\"A1\"}\n",
        "from here on it ran by itself\n",
        "Sold, again.\n",
    ] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }
    // The old task is as it was, and what was forked can be forked.
    assert!(home.run(&["tasks", "show", &task]).await.stdout.contains("Sold.\n"));
    let again = forked(&home, &new, &["--at", "turn-2"]).await;
    assert_eq!(again["of"], new);
    assert_eq!(again["kept"], json!(["tools", "turn-1/model", "turn-1/tool-1"]));
    assert_eq!(again["notUndone"], json!([]));
}

#[tokio::test]
async fn a_fork_may_have_another_model_another_agent_and_another_past() {
    let (home, server) = shop(vec![charge("c1"), Answer::says("Sold.")]).await;
    let task = ran(&home, &["seller", "sell"]).await;
    let asked = server.asked().len();

    home.write("two.yaml", "replies: [{text: unused}, {text: 'script says {{last}}'}]");
    let fork = forked(&home, &task, &["--at", "turn-2", "--model", "script:two.yaml"]).await;
    let end = resumed(&home, &fork).await;
    assert!(end.stdout.starts_with("script says charged 500 cents"), "{end:?}");

    let edit = "turn-1/tool-1=the card was refused";
    let fork =
        forked(&home, &task, &["--at", "turn-2", "--model", "script:two.yaml", "--edit", edit])
            .await;
    assert_eq!(resumed(&home, &fork).await.stdout, "script says the card was refused\n");
    // What looks like the recorded form is taken for it, and other JSON for what the tool answered.
    for (edit, answer) in [
        (r#"{"text":"no","is_error":true}"#, "script says The tool reports an error: no\n"),
        (r#"{"ok":false}"#, "script says {\"ok\":false}\n"),
    ] {
        let edit = format!("turn-1/tool-1={edit}");
        let more = ["--at", "turn-2", "--model", "script:two.yaml", "--edit", &edit];
        let fork = forked(&home, &task, &more).await;
        assert_eq!(resumed(&home, &fork).await.stdout, answer, "{edit}");
    }

    // Another agent without the tool that the first one has called, and with another one.
    let other = SELLER
        .replace("name: seller", "name: other")
        .replace("model: tiny", "model: script:two.yaml")
        .replace("till/*", "till/read_ledger");
    home.write("prompts/other.md", &other);
    let fork = forked(&home, &task, &["--at", "turn-2", "--agent", "other"]).await;
    assert_eq!(fork["kept"], json!(["turn-1/model", "turn-1/tool-1"]));
    let end = resumed(&home, &fork).await;
    assert!(end.stdout.starts_with("script says charged 500 cents"), "{end:?}");
    assert_eq!(newest(&home).await.name, "other");
    assert_eq!((server.asked().len(), home.charges()), (asked, 1));
}

#[tokio::test]
async fn a_fork_that_cannot_be_is_refused_and_nothing_is_made() {
    let (home, _server) = shop(vec![charge("c1"), Answer::says("Sold.")]).await;
    let task = ran(&home, &["seller", "sell"]).await;
    let fork = async |more: &[&str]| home.run(&[&["tasks", "fork", &task], more].concat()).await;
    fork(&[]).await.refused(2, &["--at"]);
    fork(&["--at", "turn-7"])
        .await
        .refused(2, &["no step \"turn-7\"", "turn-1/tool-1, turn-2/model"]);
    fork(&["--at", "turn-1", "--edit", "turn-1/tool-1=x"])
        .await
        .refused(2, &["\"turn-1/tool-1\" is not among the finished steps"]);
    fork(&["--at", "turn-2", "--edit", "x"]).await.refused(2, &["write STEP=VALUE"]);
    fork(&["--at", "turn-2", "--agent", "nobody"]).await.refused(3, &["nobody"]);
    home.run(&["tasks", "fork", "0123abcd", "--at", "turn-1"]).await.refused(3, &["no task"]);
    assert_eq!(tasks(&home.journal()).await.len(), 1);
}

/// Answers what the task asks under this key, once it does.
async fn answer(home: &Home, task: &str, key: &str, more: &[&str]) {
    until(key, async || {
        let asked = home.run(&["tasks", "answer", task, "--list"]).await;
        asked.stdout.lines().next() == Some(key)
    })
    .await;
    let command = [&["tasks", "answer", task, "--question", key], more].concat();
    assert_eq!(home.run(&command).await.code, 0, "{command:?}");
}

#[tokio::test]
async fn what_people_answered_before_a_fork_is_not_asked_again() {
    let home = crate::cli_asking::home();
    let run = ["run", "payment", "order=A1", "amount_cents=5"];
    let running = home.command(&run).spawn().unwrap();
    until("the task", async || !tasks(&home.journal()).await.is_empty()).await;
    let task = newest(&home).await.id.to_string();
    answer(&home, &task, "turn-1/tool-1", &["email=ada@example.org"]).await;
    answer(&home, &task, "turn-2/tool-1/approve", &["decision=approve"]).await;
    assert_eq!(Ran::of(&run, running).await.code, 0);
    assert_eq!((home.charges(), counted(&home, "mail_receipt")), (1, 1));

    // After both answers: nobody is asked, and only the mail is sent anew.
    let fork = forked(&home, &task, &["--at", "turn-3"]).await;
    assert_eq!(fork["notUndone"][0]["step"], "turn-3/tool-1");
    assert_eq!(fork["notUndone"][0]["asked"]["tool"], "till/mail_receipt");
    assert_eq!(resumed(&home, &fork).await.code, 0);
    assert_eq!((home.charges(), counted(&home, "mail_receipt")), (1, 2));

    // With another answer: it goes where that says.
    let edit = "turn-1/tool-1=bob@example.org";
    let fork = forked(&home, &task, &["--at", "turn-3", "--edit", edit]).await;
    let end = resumed(&home, &fork).await;
    assert!(end.stdout.contains("to bob@example.org"), "{end:?}");
    assert_eq!(home.charges(), 1);

    // Before the second: it is asked for again, and what was charged is named.
    let fork = forked(&home, &task, &["--at", "turn-2/tool-1"]).await;
    let keys: Vec<_> =
        fork["notUndone"].as_array().unwrap().iter().map(|it| it["step"].clone()).collect();
    assert_eq!(keys, ["turn-2/tool-1", "turn-3/tool-1"]);
    let id = fork["id"].as_str().unwrap().to_owned();
    let resume = ["run", "--resume", &id];
    let running = home.command(&resume).spawn().unwrap();
    answer(&home, &id, "turn-2/tool-1/approve", &["decision=refuse", "reason=once is enough"])
        .await;
    let end = Ran::of(&resume, running).await;
    assert!(end.stdout.contains("once is enough"), "{end:?}");
    assert_eq!(home.charges(), 1);
}

/// A lead that has two agents charge a card each, and a third that looks.
fn team() -> Home {
    let home = Home::empty();
    let agent = |name: &str, more: &str| {
        let text = format!(
            "---\nname: {name}\ndescription: d\nmodel: script:{name}.yaml\n{more}\n---\nGo.\n"
        );
        home.write(&format!("prompts/{name}.md"), &text);
    };
    agent(
        "lead",
        "tools: []\nagents: [clerk, critic]\nmaxTurns: 2\nbudget: {tokens: 20000, atLimit: ask}",
    );
    agent(
        "clerk",
        "tools: [till/charge_card]\n\
         mcpServers: {till: {command: \"${RELIGHT_PROGRAM}\", args: [till, --ledger, \"${RELIGHT_LEDGER}\"]}}",
    );
    agent("critic", "tools: []\nmaxTurns: 1\nbudget: {atLimit: ask}");
    let usage = "usage: {input_tokens: 100, output_tokens: 10}";
    let clerk = |order: &str| format!("{{tool: clerk, arguments: {{task: {order}}}}}");
    home.write(
        "lead.yaml",
        &format!(
            "replies:\n- {{calls: [{}, {}], {usage}}}\n\
             - {{calls: [{{tool: critic, arguments: {{task: look}}}}], {usage}}}\n\
             - {{text: 'clerk: {{{{results.clerk}}}}; critic: {{{{results.critic}}}}', {usage}}}\n",
            clerk("A1"),
            clerk("A2")
        ),
    );
    home.write(
        "clerk.yaml",
        &format!(
            "replies:\n\
             - {{calls: [{{tool: charge_card, arguments: {{order: '{{{{input}}}}', amount_cents: 7}}}}], {usage}}}\n\
             - {{text: 'charged {{{{input}}}}', {usage}}}\n"
        ),
    );
    // Its first turn comes to nothing, and it has to ask for a second one.
    let critic =
        format!("replies:\n- {{calls: [{{tool: none}}], {usage}}}\n- {{text: fine, {usage}}}\n");
    home.write("critic.yaml", &critic);
    home
}

const OF_CRITIC: &str = "turn-2/tool-1#child/turn-2/raise-turns";

#[tokio::test]
async fn what_children_did_before_a_fork_stands_and_what_they_did_after_it_is_named() {
    let home = team();
    let run = ["run", "lead", "go"];
    let running = home.command(&run).spawn().unwrap();
    until("the task", async || !tasks(&home.journal()).await.is_empty()).await;
    let lead = async || {
        let all = tasks(&home.journal()).await;
        all.iter().rfind(|task| task.parent.is_none()).unwrap().id.to_string()
    };
    let task = lead().await;
    answer(&home, &task, OF_CRITIC, &["turns=1"]).await;
    answer(&home, &task, "turn-3/raise-turns", &["turns=2"]).await;
    let whole = Ran::of(&run, running).await;
    assert_eq!(whole.stdout, "clerk: charged A2; critic: fine\n", "{whole:?}");
    assert_eq!((home.charges(), tasks(&home.journal()).await.len()), (2, 4));

    // After all of it: no child runs, nobody is asked.
    let fork = forked(&home, &task, &["--at", "turn-3/model"]).await;
    assert_eq!(fork["notUndone"], json!([]));
    let kept = fork["kept"].as_array().unwrap();
    assert!(
        kept.contains(&json!(OF_CRITIC)) && kept.contains(&json!("turn-3/raise-turns")),
        "{fork}"
    );
    let end = resumed(&home, &fork).await;
    assert_eq!((end.code, &end.stdout), (0, &whole.stdout), "{end:?}");
    assert_eq!((home.charges(), tasks(&home.journal()).await.len()), (2, 5));
    let shown = home.run(&["tasks", "show", fork["id"].as_str().unwrap()]).await.stdout;
    assert!(shown.contains("turn-1/tool-2: clerk answered  220 tokens\n"), "{shown}");
    assert!(!shown.contains("└─"), "its children are the other task's:\n{shown}");

    // Before the critic: it runs anew, as a task of its own, and asks as it did.
    let fork = forked(&home, &task, &["--at", "turn-2"]).await;
    let id = fork["id"].as_str().unwrap().to_owned();
    let resume = ["run", "--resume", &id];
    let running = home.command(&resume).spawn().unwrap();
    answer(&home, &id, OF_CRITIC, &["turns=1"]).await;
    answer(&home, &id, "turn-3/raise-turns", &["turns=2"]).await;
    let end = Ran::of(&resume, running).await;
    assert_eq!((end.code, &end.stdout), (0, &whole.stdout), "{end:?}");
    assert_eq!((home.charges(), tasks(&home.journal()).await.len()), (2, 7));

    // Another answer of a clerk, who stays paid for.
    let edit = "turn-1/tool-2=A2 was refused";
    let fork = forked(&home, &task, &["--at", "turn-3/model", "--edit", edit]).await;
    assert_eq!(resumed(&home, &fork).await.stdout, "clerk: A2 was refused; critic: fine\n");

    // Before the clerks: their charges are named, each with the task that made it.
    let fork = forked(&home, &task, &["--at", "turn-1/tool-1"]).await;
    let not_undone = fork["notUndone"].as_array().unwrap();
    assert_eq!(not_undone.len(), 2, "{fork}");
    for landed in not_undone {
        assert_eq!(landed["asked"]["tool"], "till/charge_card");
        assert_ne!(landed["task"], json!(task));
    }
    let told = home.run(&["tasks", "fork", &task, "--at", "turn-1"]).await.stderr;
    assert_eq!(told.matches("Not undone: turn-1/tool-1 of task ").count(), 2, "{told}");

    // A fork is a recording as any other, with edits and without the children that it took over.
    let replayed = home.run(&["replay", "--all"]).await;
    assert_eq!(
        (replayed.code, replayed.stderr.as_str()),
        (0, "4 the same, 0 different\n"),
        "{replayed:?}"
    );
}

#[tokio::test]
async fn a_fork_of_a_child_is_a_task_of_its_own() {
    let home = team();
    let run = ["run", "lead", "go"];
    let mut running = home.command(&run).spawn().unwrap();
    let clerk = async || {
        let all = tasks(&home.journal()).await;
        all.into_iter().find(|task| task.name == "clerk" && task.status == Status::Completed)
    };
    until("a clerk's end", async || clerk().await.is_some()).await;
    let clerk = clerk().await.unwrap().id.to_string();
    running.kill().await.unwrap();
    let charges = home.charges();
    let fork = forked(&home, &clerk, &["--at", "turn-2"]).await;
    let end = resumed(&home, &fork).await;
    assert_eq!(end.code, 0, "{end:?}");
    assert!(end.stdout.starts_with("charged A"), "{end:?}");
    assert_eq!(home.charges(), charges);
}

#[tokio::test]
async fn a_task_that_stopped_goes_on_by_hand_and_with_its_drift_once_that_is_accepted() {
    let (home, server) = shop(vec![
        charge("c1"),
        Answer::says("Sold."),
        Answer::says("Done."),
        Answer::says("Again."),
    ])
    .await;
    let task = ran(&home, &["seller", "sell"]).await;
    let id = drifted(&home, &task).await;
    let asked = server.asked().len();

    home.run(&["tasks", "resume", &task]).await.refused(2, &["is completed", "only a stopped one"]);
    let stopped = home.run(&["run", "--resume", &id]).await;
    stopped.refused(1, &["stopped:\n", "step \"turn-1/model\" does not match"]);
    assert_eq!(stopped.stderr.matches("does not match").count(), 1, "{stopped:?}");
    let shown = home.run(&["tasks", "show", &id]).await.stdout;
    for part in ["  stopped\n", "stopped:\n", "- input hash: ", "+ input hash: "] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }

    // Nothing has changed back: it stops again.
    let resume = home.run(&["tasks", "resume", &id]).await;
    assert_eq!(resume.code, 0, "{resume:?}");
    assert!(resume.stdout.contains("is due again"), "{resume:?}");
    home.run(&["run", "--resume", &id]).await.refused(1, &["does not match"]);

    let resume = home.run(&["tasks", "resume", &id, "--accept-drift", "--json"]).await.json();
    assert_eq!(resume, json!({"id": id, "acceptDrift": true}));
    let end = home.run(&["run", "--resume", &id]).await;
    assert_eq!((end.code, end.stdout.as_str()), (0, "Done.\n"), "{end:?}");
    assert_eq!((server.asked().len(), home.charges()), (asked + 1, 1));
    let shown = home.run(&["tasks", "show", &id]).await.stdout;
    for part in ["set going again by hand\n", "what was recorded so far stands", "completed"] {
        assert!(shown.contains(part), "{part:?} in:\n{shown}");
    }

    // It goes on standing in what is forked from it.
    let fork = forked(&home, &id, &["--at", "turn-2"]).await;
    let id = fork["id"].as_str().unwrap();
    let end = home.run(&["run", "--resume", id]).await;
    assert!(!end.stderr.contains("does not match"), "{end:?}");
}

/// A task that has done the first turn of this one, by code that asked its model in other words.
async fn drifted(home: &Home, task: &str) -> String {
    let journal = home.journal();
    let task: TaskId = task.parse().unwrap();
    let mut events: Vec<Event> =
        journal.history(task, 0).await.unwrap().into_iter().map(|record| record.event).collect();
    let Event::TaskCreated { function, name, input, definition, seed, .. } = events.remove(0)
    else {
        panic!("no first event")
    };
    let end = events.iter().position(|event| event.step() == Some("turn-2/model")).unwrap();
    let past = events.drain(..end).filter(|event| event.step().is_some());
    let past = past.map(|mut event| {
        if let Event::StepStarted { key, input, .. } = &mut event
            && key == "turn-1/model"
        {
            *input = Hash::of(b"other words");
        }
        event
    });
    let id = TaskId::from_bits(7);
    let new = NewTask {
        id,
        function,
        name,
        input,
        definition,
        seed,
        parent: None,
        owner: None,
        owner_tasks_max: None,
        idempotency_key: None,
        ttl_ms: None,
        deadline: None,
        past: past.collect(),
        created_at_ms: 1_700_000_000_000,
        runner: None,
    };
    journal.create(new).await.unwrap();
    journal.close().await;
    id.to_string()
}
