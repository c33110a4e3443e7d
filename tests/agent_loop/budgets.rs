//! Budgets hold: what a call may write is bounded by what is left, and no call begins without room.

use super::*;

fn bound(bench: &Bench, request: usize) -> Option<u64> {
    bench.server.asked()[request].body["max_tokens"].as_u64()
}

#[tokio::test]
async fn tokens_bound_what_the_next_call_may_write() {
    let turn = || Answer::calls(&[("c1", "read_ledger", "{}")]);
    let bench = Bench::new([turn(), turn(), turn(), turn(), turn()]).await;
    let end = bench.run(&format!("{TILL}\nbudget: {{tokens: 2000}}")).await;
    assert!(
        end.starts_with("failed: the budget is used up: ") && end.contains("budget.tokens"),
        "{end}"
    );
    let bounds: Vec<_> =
        (0..bench.server.asked().len()).map(|n| bound(&bench, n).unwrap()).collect();
    assert!(bounds.len() > 1 && bounds.iter().all(|bound| *bound <= 2000), "{bounds:?}");
    assert!(bounds.is_sorted_by(|a, b| a > b), "{bounds:?}");
}

#[tokio::test]
async fn dollars_bound_what_the_next_call_may_write() {
    let bench = Bench::new([Answer::says("hi")]).await;
    assert_eq!(bench.run("tools: []\nbudget: {dollars: 0.001}").await, "completed \"hi\"");
    // A thousand millionths of a dollar at two each, less what is read.
    let bound = bound(&bench, 0).unwrap();
    assert!((400..500).contains(&bound), "{bound}");
}

#[tokio::test]
async fn turns_are_counted() {
    let turn = || Answer::calls(&[("c1", "read_ledger", "{}")]);
    let bench = Bench::new([turn(), turn(), turn()]).await;
    let end = bench.run(&format!("{TILL}\nmaxTurns: 2")).await;
    assert!(end.starts_with("failed: no answer after 2 turns; raise `maxTurns`"), "{end}");
    assert_eq!(bench.server.asked().len(), 2);
}
