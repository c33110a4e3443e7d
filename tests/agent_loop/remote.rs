//! Questions of tool servers' tasks while somebody else has to do with those tasks too. The server is
//! `examples/conformance.rs`, which keeps its tasks in a journal of its own.

use relight::journal::{Filter, Signal, Status, StepState, Store, Task};

use super::examples::example;
use super::fixtures::Fixtures;
use super::*;

/// A bench, its task that has a file deleted, and the server where it is no program of the task's.
struct Place {
    bench: Bench,
    task: TaskId,
    _server: Option<Fixtures>,
}

const QUESTION: &str = "turn-1/tool-1/question";

impl Place {
    /// Over stdio, in the experimental dialect.
    async fn stdio(front_matter: &str) -> Self {
        let bench = Self::bench().await;
        let args = json!(["--stdio", bench.dir.path().join("jobs.db")]);
        let config = json!({"command": example("conformance"), "args": args});
        Self::with(bench, &config, front_matter, None).await
    }

    /// Over HTTP, in the extension.
    async fn http(front_matter: &str) -> Self {
        let bench = Self::bench().await;
        let server = Fixtures::start(&bench.dir.path().join("jobs.db"));
        let config = json!({"type": "http", "url": format!("{}/mcp", server.origin)});
        Self::with(bench, &config, front_matter, Some(server)).await
    }

    async fn bench() -> Bench {
        let delete = Answer::calls(&[("c1", "confirm_delete", r#"{"filename":"all.txt"}"#)]);
        Bench::new([delete, Answer::says("done")]).await
    }

    async fn with(
        bench: Bench,
        config: &Value,
        front_matter: &str,
        server: Option<Fixtures>,
    ) -> Self {
        let task = bench.call(&format!("mcpServers: {{jobs: {config}}}\n{front_matter}"), "").await;
        bench.asked(task).await;
        Self { bench, task, _server: server }
    }

    fn journal(&self) -> Sqlite {
        Sqlite::open(&self.bench.dir.path().join("jobs.db")).unwrap()
    }

    /// The server's own record of its only task.
    async fn job(&self) -> Task {
        let jobs = self.journal().tasks(Filter { limit: 9, ..Filter::default() }).await.unwrap();
        assert_eq!(jobs.len(), 1, "the tool was called once");
        jobs.into_iter().next().unwrap()
    }

    /// Somebody else answers what the server's task asks.
    async fn answer_elsewhere(&self) {
        let (journal, job) = (self.journal(), self.job().await);
        let open = OpenQuestions::of(&journal, job.id).await.unwrap();
        let (key, _) = open.iter().next().unwrap();
        let yes = json!({"action": "accept", "content": {"confirm": true}});
        let now_ms = self.bench.runtime.clock().now_ms();
        let answers = [(key.to_owned(), yes)];
        assert_eq!(open.answer(&journal, now_ms, answers).await.unwrap(), 1);
    }

    /// Checks that our question was taken back, and what the model was told.
    async fn taken_back(&self, told: &str) {
        assert_eq!(self.bench.told(self.task).await, "completed \"done\"");
        assert_eq!(self.bench.messages(1).pop().unwrap(), told);
        let history = self.bench.history(self.task).await;
        assert!(matches!(history.step(QUESTION).unwrap().state, StepState::Failed(_)));
    }

    async fn until_parked(&self) {
        let store = self.bench.runtime.store();
        let mut changes = store.changes();
        let parked = async {
            loop {
                changes.mark_unchanged();
                if store.task(self.task).await.unwrap().unwrap().runner.is_none() {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), parked).await.unwrap();
    }
}

#[tokio::test]
async fn a_question_that_is_answered_elsewhere_is_taken_back() {
    let place = Place::http("").await;
    place.answer_elsewhere().await;
    place.taken_back("tool: all.txt is deleted").await;

    let place = Place::stdio("").await;
    place.answer_elsewhere().await;
    place.taken_back("tool: all.txt is deleted").await;
}

#[tokio::test]
async fn a_task_that_ends_elsewhere_is_noticed_while_ours_is_parked() {
    let place = Place::http("").await;
    place.until_parked().await;
    let job = place.job().await;
    place.journal().signal(job.id, Signal::Cancel { reason: None }, 0).await.unwrap();
    let told = "tool: The call failed: the task of jobs/confirm_delete failed: it was cancelled at \
                the server";
    place.taken_back(told).await;
}

#[tokio::test]
async fn a_question_that_stays_open_is_still_answered_after_many_looks() {
    let mut place = Place::stdio("").await;
    place.until_parked().await;
    place.bench.restart().await;
    place.until_parked().await;
    place.bench.say(place.task, QUESTION, json!({"confirm": true})).await;
    assert_eq!(place.bench.told(place.task).await, "completed \"done\"");
    assert_eq!(place.bench.messages(1).pop().unwrap(), "tool: all.txt is deleted");
}

#[tokio::test]
async fn one_that_nobody_answers_in_time_ends_both_tasks_where_the_agent_says_so() {
    let place = Place::http("questions: {expire: 1s, then: fail}").await;
    let end = place.bench.told(place.task).await;
    let words = "failed: nobody answered in time: jobs/confirm_delete asks: Delete all.txt?";
    assert!(end.starts_with(words), "{end}");
    assert!(end.contains("may have taken effect before that: turn-1/tool-1 (jobs/"), "{end}");
    let mut changes = place.bench.runtime.store().changes();
    while place.job().await.status != Status::Cancelled {
        let tick = Duration::from_millis(20);
        let _ = tokio::time::timeout(tick, changes.changed()).await;
    }
}
