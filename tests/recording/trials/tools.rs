//! The recorded results of the tools for a model that goes another way.

use std::sync::Arc;

use async_trait::async_trait;
use relight::agent::{Model, Models, OpenModel, Outcome, Price, Prices, Request};
use relight::journal::Failure;
use relight::replay::{Difference, Record, Replay};
use tokio::sync::watch;

use super::{Scene, agent, kinds, missed, parsed, replays_strictly};

const SCRIPT: &str = "replies:
  - calls: [{tool: charge_card, arguments: {order: A-1, amount_cents: 500}}]
    usage: {input_tokens: 100, output_tokens: 10}
  - calls: [{tool: mail_receipt, arguments: {order: A-1, to: ann@example.org}}]
    usage: {input_tokens: 200, output_tokens: 10}
  - text: 'Sold: {{results.charge_card}}'
    usage: {input_tokens: 300, output_tokens: 10}
";

/// The same calls, the other way round and in one turn.
const OTHER_ORDER: &str = "replies:
  - calls:
      - {tool: mail_receipt, arguments: {to: ann@example.org, order: A-1}}
      - {tool: charge_card, arguments: {amount_cents: 500.0, order: A-1}}
    usage: {input_tokens: 50, output_tokens: 10}
  - text: 'Sold: {{results.charge_card}}'
    usage: {input_tokens: 60, output_tokens: 10}
";

/// The agent with another prompt, and a server that cannot be started.
fn changed() -> String {
    let text = agent("tools: till/*").replace("Be brief.", "Be quick.");
    text.replace("${RELIGHT}", "/nowhere/to/be/found").replace("${LEDGER}", "${NOT_SET_ANYWHERE}")
}

#[tokio::test]
async fn a_call_is_answered_wherever_it_is_made() {
    let scene = Scene::new(SCRIPT);
    let replay = scene.record(&agent("tools: till/*")).await;
    scene.script(OTHER_ORDER);
    let run = replay.tools(Arc::clone(&scene.models) as _);
    let run = run.definition(parsed(&changed())).await.unwrap();

    assert_eq!((kinds(&run), run.same_calls()), (vec!["order"], 2), "{run}");
    assert_eq!(run.answer(), run.recorded().answer());
    assert_eq!(run.calls_to("till/charge_card")[0].key, "turn-1/tool-2");
    assert_eq!(scene.ledger(), ["charge_card", "mail_receipt"], "no tool was called again");
    let (then, now) = run.spent();
    assert_eq!((then.input_tokens, now.input_tokens), (600, 110));
    replays_strictly(&scene, &run).await;
    scene.close().await;
}

#[tokio::test]
async fn a_call_that_is_not_recorded_is_named_with_the_nearest() {
    let scene = Scene::new(SCRIPT);
    let text = agent("tools: till/*");
    let replay = scene.record(&text).await;
    scene.script(&SCRIPT.replace("500", "600"));
    for record in [Record::None, Record::Once] {
        let trial = replay.tools(Arc::clone(&scene.models) as _).record(record);
        let miss = missed(trial.definition(parsed(&changed())).await);
        assert_eq!(miss.key, "turn-1/tool-1");
        let said = miss.to_string();
        for part in [
            "calls till/charge_card {\"amount_cents\":600,\"order\":\"A-1\"}",
            "recorded: till/charge_card {\"amount_cents\":500,\"order\":\"A-1\"}",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    // A tool that was never called has no near call: those that were are named.
    scene.script("replies: [{calls: [{tool: read_ledger}]}, {text: Done.}]");
    let miss = missed(replay.tools(Arc::clone(&scene.models) as _).definition(parsed(&text)).await);
    assert!(miss.why.contains("those are of till/charge_card, till/mail_receipt"), "{miss}");
    // An answer is given as often as it was recorded.
    scene.script(&SCRIPT.replace(
        "mail_receipt, arguments: {order: A-1, to: ann@example.org}",
        "charge_card, arguments: {order: A-1, amount_cents: 500}",
    ));
    let miss = missed(replay.tools(Arc::clone(&scene.models) as _).definition(parsed(&text)).await);
    assert_eq!(miss.key, "turn-2/tool-1");
    assert!(miss.why.contains("recorded once, and that answer is used up"), "{miss}");
    assert_eq!(scene.ledger().len(), 2, "nothing was called");
    scene.close().await;
}

#[tokio::test]
async fn what_is_not_recorded_may_be_called_for_real() {
    let scene = Scene::new(SCRIPT);
    let text = agent("tools: till/*");
    let replay = scene.record(&text).await;
    scene.script(&SCRIPT.replace("500", "600"));
    let trial = replay.tools(Arc::clone(&scene.models) as _).record(Record::NewEpisodes);
    let miss = missed(trial.definition(parsed(&text)).await);
    assert!(miss.why.ends_with("and no tool server is there to be asked"), "{miss}");

    let run = scene.world(trial).definition(parsed(&text)).await.unwrap();
    assert_eq!(scene.ledger(), ["charge_card", "mail_receipt", "charge_card"], "one call more");
    assert_eq!((kinds(&run), run.same_calls()), (vec!["arguments", "end"], 1), "{run}");
    let [Difference::Arguments { then, now }, _] = run.differences() else { panic!("{run}") };
    assert_eq!(
        (&then.arguments["amount_cents"], &now.arguments["amount_cents"]),
        (&500.into(), &600.into())
    );
    // The new recording holds what was called: it answers by itself now.
    run.save(scene.path("new.jsonl")).await.unwrap();
    let again = Replay::open(scene.path("new.jsonl")).unwrap();
    again
        .tools(Arc::clone(&scene.models) as _)
        .definition(parsed(&text))
        .await
        .unwrap()
        .assert_same();
    assert_eq!(scene.ledger().len(), 3);

    let run = scene.world(replay.tools(Arc::clone(&scene.models) as _)).record(Record::All);
    run.definition(parsed(&text)).await.unwrap();
    assert_eq!(scene.ledger().len(), 5, "all is done for real");
    scene.close().await;
}

#[tokio::test]
async fn a_server_that_was_not_recorded_is_not_listed() {
    let scene = Scene::new(SCRIPT);
    let text = agent("tools: till/*");
    let replay = scene.record(&text).await;
    let other = text.replace("till: {", "shop: {").replace("till/*", "shop/*");
    let miss =
        missed(replay.tools(Arc::clone(&scene.models) as _).definition(parsed(&other)).await);
    assert_eq!(miss.key, "tools");
    assert!(miss.asked.contains("(shop)"), "{miss}");
    scene.close().await;
}

/// The script under a name that has a price.
struct Sold(Arc<dyn Models>);

impl Models for Sold {
    fn open(&self, model: &str) -> Result<OpenModel, Failure> {
        assert_eq!(model, "gpt-5-mini");
        self.0.open("script:replies.yaml")
    }
}

#[tokio::test]
async fn another_model_is_held_against_the_recorded_one_in_tokens_and_money() {
    let scene = Scene::new(SCRIPT);
    let text = agent("tools: till/*");
    let replay = scene.record(&text).await;
    let models = Arc::new(Sold(Arc::clone(&scene.models) as _));
    let trial = replay.tools(models).model("gpt-5-mini");
    let run = trial.definition(parsed(&text)).await.unwrap();
    run.assert_same();
    assert_eq!(run.spent().1.unpriced, 3);
    assert!(
        run.to_string().contains("now:      3 model calls, 600 tokens in, 30 out, price unknown")
    );

    let price = Price { input: 1_000_000, output: 10_000_000, cached: 0 };
    let prices = Prices::from_iter([("gpt-5-mini".to_owned(), price)]);
    let run = trial.prices(prices).definition(parsed(&text)).await.unwrap();
    let (then, now) = run.spent();
    assert_eq!((then.microdollars, now.microdollars, now.unpriced), (0, 900, 0));
    assert!(run.to_string().contains("600 tokens in, 30 out, $0.0009"), "{run}");
    scene.close().await;
}

/// A model that never answers, and tells how many calls of it are under way.
#[derive(Clone)]
struct Silent(watch::Sender<u32>);

struct UnderWay(watch::Sender<u32>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

#[async_trait]
impl Model for Silent {
    async fn call(&self, _request: &Request) -> Result<Outcome, Failure> {
        self.0.send_modify(|calls| *calls += 1);
        let _under_way = UnderWay(self.0.clone());
        std::future::pending().await
    }
}

impl Models for Silent {
    fn open(&self, name: &str) -> Result<OpenModel, Failure> {
        Ok(OpenModel { provider: Arc::new(self.clone()), name: name.to_owned() })
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_calls_nothing_any_more() {
    let scene = Scene::new(SCRIPT);
    let replay = scene.record(&agent("tools: till/*")).await;
    let calls = watch::Sender::new(0);
    let trial = replay.tools(Arc::new(Silent(calls.clone())));
    let mut news = calls.subscribe();
    tokio::select! {
        run = trial.as_recorded() => panic!("{run:?}"),
        under_way = news.wait_for(|calls| *calls == 1) => drop(under_way.unwrap()),
    }
    news.wait_for(|calls| *calls == 0).await.unwrap();
    scene.close().await;
}
