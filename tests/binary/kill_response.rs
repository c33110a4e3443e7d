//! `kill -9` on the real binary while a model works in the background: what was paid for is fetched.

use relight::journal::{End, Payload, Store};

use crate::home::{Home, order, tasks, until};
use crate::model_server::{Answer, ModelServer, said};

#[tokio::test]
async fn a_response_that_is_pending_at_a_kill_is_fetched_and_not_made_again() {
    let model = ModelServer::start([Answer::response("resp_1", "queued", &[])]).await;
    model.always(Answer::response("resp_1", "in_progress", &[]));
    let home = Home::empty()
        .with("OPENAI_BASE_URL", model.base_url())
        .with("RELIGHT_MODEL", "openai-responses:big");
    let input = "{type: object, properties: {order: {type: string}}}";
    let agent = format!("---\nname: ask\ndescription: d\ninput: {input}\n---\nBe brief.");
    home.write("prompts/ask.md", &agent);

    let looks = || model.asked().iter().filter(|asked| asked.method == "GET").count();
    let server = home.serve().await;
    server.call("ask", order("A1")).await.unwrap();
    until("a look at the response", async || looks() > 0).await;
    server.kill().await.unwrap();

    let looked = looks();
    let server = home.serve().await;
    until("another look at it", async || looks() > looked).await;
    model.always(Answer::response("resp_1", "completed", &[said("It is paid.")]));
    let journal = home.journal();
    let task = tasks(&journal).await[0].id;
    until("the task's end", async || journal.end(task).await.unwrap().is_some()).await;
    let end = journal.end(task).await.unwrap().unwrap();
    assert_eq!(end, End::Completed(Payload::of("It is paid.").unwrap()));
    let asked = model.asked();
    assert_eq!(asked.iter().filter(|asked| asked.method == "POST").count(), 1, "{asked:?}");
    server.close().await.unwrap();
}
