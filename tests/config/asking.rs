//! The keys of an agent file that say what a person is asked: `in_doubt`, `approve`, `questions`.

use relight::agent::{Asking, Definition, InDoubt, Tool, Unanswered};
use relight::journal::{Effect, Payload};

/// An agent with these lines in its front matter, from line 5.
fn read(lines: &str) -> Result<Definition, String> {
    let servers = "mcpServers: {web: {command: web}}";
    let text = format!("---\nname: a\ndescription: d\n{servers}\n{lines}\n---\nBe brief.\n");
    Definition::parse("a.md", &text).map_err(|error| error.to_string())
}

#[track_caller]
fn check(lines: &str, expected: &str) {
    match read(lines) {
        Ok(agent) => panic!("taken: {agent:?}"),
        Err(error) => assert_eq!(error, expected),
    }
}

fn tool(server: &str, name: &str, effect: Effect, destructive_hint: Option<bool>) -> Tool {
    Tool { destructive_hint, ..crate::tool(server, name, effect) }
}

#[test]
fn a_person_is_asked_about_doubts_unless_the_file_says_otherwise() {
    let agent = read("").unwrap();
    assert_eq!(agent.in_doubt_of("web", "post"), InDoubt::Ask);
    assert_eq!(agent.check_of("web", "post"), None);
    assert_eq!(agent.checks().count(), 0);
}

#[test]
fn a_tool_may_settle_doubts() {
    let agent = read(
        "in_doubt: {default: fail, web/*: {check: web/find}, web/put: {check: web/get, else: ask}, web/cut: tell}",
    )
    .unwrap();
    let found = |name| {
        let check = agent.check_of("web", name).map(ToString::to_string);
        (check.unwrap_or_default(), agent.in_doubt_of("web", name))
    };
    assert_eq!(found("post"), ("web/find".to_owned(), InDoubt::Fail));
    assert_eq!(found("put"), ("web/get".to_owned(), InDoubt::Ask));
    assert_eq!(found("cut"), (String::new(), InDoubt::Tell));
    assert_eq!(agent.in_doubt_of("other", "tool"), InDoubt::Fail);

    let agent = read("in_doubt: {check: web/find}").unwrap();
    assert_eq!(agent.check_of("any", "tool").unwrap().to_string(), "web/find");
    assert_eq!(agent.in_doubt_of("any", "tool"), InDoubt::Ask);
    let stored = Payload::of(&agent).unwrap();
    assert_eq!(stored.read::<Definition>().unwrap(), agent);
}

#[test]
fn a_check_is_one_tool_of_a_server() {
    check(
        "in_doubt:\n  web/a: {check: web/*}",
        r#"a.md:6: "in_doubt.web/a.check" must be one tool of a server, not "web/*""#,
    );
    check(
        "in_doubt: {web/a: {check: sleep}}",
        r#"a.md:5: "in_doubt.web/a.check" must be one tool of a server, not "sleep""#,
    );
    check(
        "in_doubt: {web/a: {else: ask}}",
        r#"a.md:5: "in_doubt.web/a" has no "check": a tool that knows"#,
    );
    check(
        "in_doubt: {check: web/a, else: guess}",
        r#"a.md:5: "in_doubt.else" must be one of ask, retry, tell, fail, not the text "guess""#,
    );
    check(
        "in_doubt: {default: {check: wob/a}}",
        r#"a.md:5: no server "wob" is configured; did you mean "web"?"#,
    );
}

#[test]
fn tools_that_want_a_yes_are_named_or_are_destructive() {
    let agent = read("approve: [web/post, sleep]").unwrap();
    let wants = |agent: &Definition, server, name, effect, hint| {
        agent.wants_approval(&tool(server, name, effect, hint))
    };
    assert!(wants(&agent, "web", "post", Effect::Once, Some(false)));
    assert!(wants(&agent, "relight", "sleep", Effect::Pure, None));
    assert!(!wants(&agent, "web", "delete", Effect::Once, Some(true)));

    let agent = read("approve: destructive\neffects: {web/get: pure}").unwrap();
    assert!(wants(&agent, "web", "delete", Effect::Idempotent, Some(true)));
    assert!(wants(&agent, "web", "silent", Effect::Once, None));
    assert!(!wants(&agent, "web", "post", Effect::Once, Some(false)));
    assert!(!wants(&agent, "web", "look", Effect::Pure, Some(true)));
    assert!(!wants(&agent, "web", "get", Effect::Once, None));
    assert!(!read("").unwrap().wants_approval(&tool("web", "x", Effect::Once, None)));
}

#[test]
fn mistakes_in_approvals_are_told() {
    check(
        "approve: [web/a, destructiv]",
        r#"a.md:5: "approve" cannot have "destructiv"; write "destructive""#,
    );
    check("approve: [slep]", r#"a.md:5: "slep" names no tool; write "sleep""#);
    check(
        "approve: {web/a: true}",
        r#"a.md:5: "approve" must be a list of "server/tool" and the word destructive, not a map"#,
    );
    check("approve: [wob/a]", r#"a.md:5: no server "wob" is configured; did you mean "web"?"#);
}

#[test]
fn questions_may_expire() {
    assert_eq!(read("").unwrap().questions(), Asking::default());
    let expire_ms = Some(7 * 24 * 60 * 60 * 1000);
    let asking = |lines: &str| read(lines).unwrap().questions();
    assert_eq!(asking("questions: {expire: 7d}"), Asking { expire_ms, then: Unanswered::Tell });
    assert_eq!(
        asking("questions: {expire: 7d, then: fail}"),
        Asking { expire_ms, then: Unanswered::Fail }
    );
    check(
        "questions: {expire: soon}",
        r#"a.md:5: "questions.expire" must be a duration such as 30s, 10m, 2h or 7d, not the text "soon""#,
    );
    check(
        "questions: {then: nothing}",
        r#"a.md:5: "questions.then" must be one of tell, fail, not the text "nothing""#,
    );
}
