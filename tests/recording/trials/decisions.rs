//! The recorded replies of the model on tools as they are now.

use std::sync::Arc;

use relight::replay::{Difference, Record};

use super::{Scene, agent, kinds, missed, parsed, replays_strictly};

const SCRIPT: &str = "replies:
  - calls: [{tool: read_ledger}]
    usage: {input_tokens: 100, output_tokens: 10}
  - calls: [{tool: charge_card, arguments: {order: A-1, amount_cents: 500}}]
    usage: {input_tokens: 200, output_tokens: 10}
  - text: Sold.
    usage: {input_tokens: 300, output_tokens: 10}
";

#[tokio::test]
async fn the_same_decisions_meet_what_the_tools_say_now() {
    let scene = Scene::new(SCRIPT);
    let replay = scene.record(&agent("tools: till/*")).await;
    scene.no_model();
    let run = replay.decisions(Arc::clone(&scene.tools) as _).as_recorded().await.unwrap();

    // The ledger is not empty any more, and the card was charged a second time.
    assert_eq!(kinds(&run), ["result", "result"], "{run}");
    let [Difference::Result { then, now }, _] = run.differences() else { panic!("{run}") };
    assert_eq!((then.tool.as_str(), now.key.as_str()), ("till/read_ledger", "turn-1/tool-1"));
    assert!(run.differences()[1].diff().contains("+charged 500"), "{run}");
    assert_eq!(run.answer().unwrap().json(), "\"Sold.\"");
    assert_eq!(scene.ledger(), ["charge_card", "charge_card"], "the tools are real");
    let (then, now) = run.spent();
    assert_eq!((then, now.model_calls, now.input_tokens), (now, 3, 600));
    replays_strictly(&scene, &run).await;
    scene.close().await;
}

#[tokio::test]
async fn a_reply_that_is_not_recorded_ends_the_run_or_is_asked_for() {
    let scene = Scene::new(SCRIPT);
    let replay = scene.record(&agent("tools: till/*")).await;
    // A run that was cut off: its last reply is missing.
    let text = replay.recording().write();
    let cut: Vec<&str> = text.lines().take_while(|line| !line.contains("turn-3/model")).collect();
    let (head, events) = (cut[1].replace("\"events\":", "\"was\":"), cut.len() - 2);
    let head =
        head.split(",\"was\"").next().unwrap().to_owned() + &format!(",\"events\":{events}}}");
    let cut = [&[cut[0], head.as_str()], &cut[2..]].concat().join("\n");
    let cut = relight::replay::Replay::of(relight::journal::Recording::read(&cut).unwrap());

    let trial = cut.decisions(Arc::clone(&scene.tools) as _);
    let miss = missed(trial.as_recorded().await);
    assert_eq!((miss.agent.as_str(), miss.key.as_str()), ("seller", "turn-3/model"));
    assert!(miss.to_string().contains("2 model calls of this agent are recorded"), "{miss}");

    let alone = trial.clone().record(Record::NewEpisodes);
    let miss = missed(alone.as_recorded().await);
    assert!(miss.why.ends_with("and no model is there to be asked"), "{miss}");

    let trial = scene.world(trial.record(Record::NewEpisodes));
    let run = trial.as_recorded().await.unwrap();
    assert_eq!(run.answer().unwrap().json(), "\"Sold.\"");
    replays_strictly(&scene, &run).await;
    scene.close().await;
}

#[tokio::test]
async fn no_timer_is_waited_for_and_time_goes_on_all_the_same() {
    let script = "replies:
  - calls: [{tool: sleep, arguments: {duration: 1s}}]
  - text: '{{last}}'
";
    let scene = Scene::new(script);
    let text = agent("tools: [sleep]");
    let replay = scene.record(&text).await;
    scene.script(&script.replace("1s", "3d"));
    let run = replay.tools(Arc::clone(&scene.models) as _).definition(parsed(&text)).await.unwrap();
    let day = |answer: &str| -> jiff::Timestamp {
        let time = answer.split("It is ").nth(1).unwrap().split(" now").next().unwrap();
        time.parse().unwrap()
    };
    let (then, now) = (run.recorded().answer().unwrap(), run.answer().unwrap());
    let hours = (day(now.json()) - day(then.json())).total(jiff::Unit::Hour).unwrap();
    assert!((71.0..73.0).contains(&hours), "{then:?} {now:?}");
    scene.close().await;
}
