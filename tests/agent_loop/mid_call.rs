//! A tool server that asks in the middle of a call (`elicitation/create`, protocols before
//! 2026-07-28): what it asks is a question of our task for as long as the call lives.

use relight::journal::StepState;

use super::*;
use crate::shell_server::shell_server;

/// Reads one line after another. A call of `book` asks twice, where a file says so even at once, and
/// tells what it was answered. It is called again only where its annotations say that this is safe.
const BRANCHES: &str = r#"
    *'"method":"tools/list"'*) result='{"tools":[{"name":"book","annotations":HINTS,"inputSchema":{"type":"object"}}]}';;
    *'"method":"tools/call"'*)
      echo call >> calls
      call=$id
      printf '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"Window or aisle?","requestedSchema":{"type":"object","properties":{"seat":{"type":"string"}},"required":["seat"]}}}\n'
      continue;;
    *'"id":"q1"'*)
      printf '%s\n' "$line" >> answers
      printf '{"jsonrpc":"2.0","id":"q2","method":"elicitation/create","params":{"message":"Sure?","requestedSchema":{"type":"object","properties":{}}}}\n'
      continue;;
    *'"id":"q2"'*)
      printf '%s\n' "$line" >> answers
      id=$call
      result='{"content":[{"type":"text","text":"booked"}]}';;"#;

/// An agent that books a seat.
async fn book(hints: &str, front_matter: &str, then: Vec<Answer>) -> (Bench, TaskId) {
    let bench = Bench::new([Answer::calls(&[("c1", "book", "{}")])]).await;
    for answer in then {
        bench.server.then(answer);
    }
    let dir = bench.dir.path().display().to_string();
    let script = bench.dir.path().join("server.sh");
    let server = shell_server(":", &BRANCHES.replace("HINTS", hints));
    std::fs::write(&script, format!("cd {dir}\necho $$ >> pids\n{server}")).unwrap();
    let server =
        format!("mcpServers: {{seats: {{command: sh, args: [\"{}\"]}}}}", script.display());
    let task = bench.call(&format!("{server}\n{front_matter}"), "hello").await;
    (bench, task)
}

impl Bench {
    /// The only open question.
    async fn one_asked(&self, task: TaskId) -> (String, String) {
        let mut asked = self.asked(task).await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        let (key, question) = asked.remove(0);
        (key, question.message)
    }

    /// Waits until the task asks something else than this.
    async fn next_asked(&self, task: TaskId, before: &str) -> (String, String) {
        let next = async {
            loop {
                let asked = self.one_asked(task).await;
                if asked.0 != before {
                    return asked;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.unwrap()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn what_it_asks_is_a_question_of_the_task() {
    let (bench, task) = book("{}", "", vec![Answer::says("done")]).await;
    let (key, message) = bench.one_asked(task).await;
    assert!(key.starts_with("turn-1/tool-1#asks/"), "{key}");
    assert_eq!(message, "seats/book asks: Window or aisle?");
    bench.say(task, &key, json!({"seat": "aisle"})).await;
    let (key, message) = bench.next_asked(task, &key).await;
    assert_eq!(message, "seats/book asks: Sure?");
    bench.reply(task, &key, json!({"action": "decline"})).await;
    assert_eq!(bench.told(task).await, "completed \"done\"");
    assert_eq!(bench.messages(1).pop().unwrap(), "tool: booked");
    let answers = bench.lines("answers");
    assert!(answers[0].contains(r#""content":{"seat":"aisle"}"#), "{answers:?}");
    assert!(answers[1].contains(r#""action":"decline""#), "{answers:?}");
    assert_eq!(bench.lines("calls").len(), 1);
}

#[tokio::test]
async fn after_a_restart_the_call_is_in_doubt_and_its_question_is_gone() {
    let (mut bench, task) = book("{}", "in_doubt: tell", vec![Answer::says("I look")]).await;
    let (key, _) = bench.one_asked(task).await;
    bench.restart().await;
    assert_eq!(bench.told(task).await, "completed \"I look\"");
    let told = bench.messages(1).pop().unwrap();
    assert!(told.starts_with("tool: The outcome of this call is unknown"), "{told}");
    let history = bench.history(task).await;
    assert!(matches!(history.step(&key).unwrap().state, StepState::Failed(_)));
    assert_eq!(bench.lines("calls").len(), 1);
    assert_eq!(bench.try_reply(task, &key, json!({"action": "decline"})).await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_that_is_safe_to_repeat_has_the_answers_that_were_given() {
    let hints = r#"{"idempotentHint":true}"#;
    let (mut bench, task) = book(hints, "", vec![Answer::says("done")]).await;
    let (first, _) = bench.one_asked(task).await;
    bench.say(task, &first, json!({"seat": "aisle"})).await;
    let (second, _) = bench.next_asked(task, &first).await;
    bench.restart().await;
    // It is asked still, and what was answered before is not asked again.
    assert_eq!(bench.one_asked(task).await.0, second);
    bench.reply(task, &second, json!({"action": "accept", "content": {}})).await;
    assert_eq!(bench.told(task).await, "completed \"done\"");
    assert_eq!(bench.lines("calls").len(), 2);
    let answers = bench.lines("answers");
    assert_eq!(answers.iter().filter(|answer| answer.contains("aisle")).count(), 2, "{answers:?}");
    assert!(answers.last().unwrap().contains(r#""action":"accept""#), "{answers:?}");
}

#[tokio::test]
async fn one_that_nobody_answers_in_time_is_put_away_or_ends_the_task() {
    let (bench, task) = book("{}", "questions: {expire: 1s}", vec![Answer::says("done")]).await;
    assert_eq!(bench.told(task).await, "completed \"done\"");
    let answers = bench.lines("answers");
    assert!(answers.iter().all(|answer| answer.contains(r#""action":"cancel""#)), "{answers:?}");

    let (bench, task) = book("{}", "questions: {expire: 1s, then: fail}", Vec::new()).await;
    let end = bench.told(task).await;
    assert!(end.starts_with("failed: nobody answered in time: seats/book asks: Window"), "{end}");
}

#[tokio::test]
async fn questions_of_two_tasks_do_not_get_mixed_up() {
    let (bench, first) = book("{}", "", Vec::new()).await;
    bench.one_asked(first).await;
    let front_matter = format!(
        "mcpServers: {{seats: {{command: sh, args: [\"{}\"]}}}}",
        bench.dir.path().join("server.sh").display()
    );
    bench.server.then(Answer::calls(&[("c1", "book", "{}")]));
    // The server's second question may be of either call, so nobody is asked.
    let second = bench.call(&front_matter, "hello").await;
    let called = async {
        while bench.lines("calls").len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), called).await.unwrap();
    assert_eq!(bench.history(second).await.questions().count(), 0);
    bench.runtime.cancel(second, None).await.unwrap();
    assert!(matches!(bench.end(second).await, End::Cancelled(_)));
    assert_eq!(bench.one_asked(first).await.1, "seats/book asks: Window or aisle?");
}
