//! A tool whose outcome is lost: its server dies in the middle of the call.

use super::*;

/// Charges a card at a till that is killed after the charge took effect and before it answered;
/// tells how the task ended, and how often the card was charged.
async fn lose_the_answer(policy: &str, then: Vec<Answer>) -> (Bench, String, usize) {
    let arguments = r#"{"order":"A1","amount_cents":5}"#;
    let bench = Bench::new([Answer::calls(&[("c1", "charge_card", arguments)])]).await;
    for answer in then {
        bench.server.then(answer);
    }
    // The till kills itself: a pause whose file is gone once the ledger has the charge.
    let script = bench.dir.path().join("till.sh");
    let ledger = bench.dir.path().join("ledger.jsonl");
    let program = env!("CARGO_BIN_EXE_relight");
    let text = format!(
        "#!/bin/sh\n[ -s {ledger} ] && exec {program} till --ledger {ledger}\n\
         touch {hold}\nexec 3<&0\n{program} till --ledger {ledger} --pause-after-effect charge_card={hold} <&3 &\n\
         pid=$!\nwhile [ ! -s {ledger} ]; do sleep 0.01; done\nkill -9 $pid\n",
        ledger = ledger.display(),
        hold = bench.dir.path().join("hold").display(),
    );
    std::fs::write(&script, text).unwrap();
    let front_matter = format!(
        "mcpServers: {{till: {{command: sh, args: [\"{}\"]}}}}\nin_doubt: {policy}",
        script.display()
    );
    let end = bench.run(&front_matter).await;
    let charges = bench.ledger().iter().filter(|tool| *tool == "charge_card").count();
    (bench, end, charges)
}

#[tokio::test]
async fn by_default_the_model_is_told() {
    let (bench, end, charges) = lose_the_answer("tell", vec![Answer::says("I look")]).await;
    assert_eq!((end.as_str(), charges), ("completed \"I look\"", 1));
    let told = bench.messages(1).pop().unwrap();
    assert!(told.starts_with("tool: The outcome of this call is unknown"), "{told}");
}

#[tokio::test]
async fn the_task_can_fail_instead() {
    let (_, end, charges) = lose_the_answer("fail", Vec::new()).await;
    assert!(end.starts_with("failed: the outcome of till/charge_card is unknown"), "{end}");
    assert_eq!(charges, 1);
}

#[tokio::test]
async fn a_call_that_may_be_made_again_is_under_the_same_key() {
    let (bench, end, charges) = lose_the_answer("retry", vec![Answer::says("paid")]).await;
    assert_eq!(end, "completed \"paid\"");
    assert_eq!(
        charges, 2,
        "the till does not honour keys for charges, so this is what retry means"
    );
    let entries = till::entries(&bench.dir.path().join("ledger.jsonl")).unwrap();
    assert!(entries[0].key.is_some() && entries[0].key == entries[1].key);
}
