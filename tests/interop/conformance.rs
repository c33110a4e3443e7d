//! MCP's official conformance suite against durable functions over HTTP, and against the same server
//! while it is killed and started again after every single request.

use std::collections::BTreeSet;

use crate::fixtures::Fixtures;
use crate::killer::Killer;
use crate::suite::Suite;

/// The scenarios of the Tasks extension, each with the number of its checks.
const TASKS: [(&str, usize); 9] = [
    ("tasks-lifecycle", 9),
    ("tasks-capability-negotiation", 5),
    ("tasks-wire-fields", 4),
    ("tasks-request-state-removal", 3),
    ("tasks-mrtr-input", 4),
    ("tasks-request-headers", 5),
    ("tasks-dispatch-and-envelope", 9),
    ("tasks-required-task-error", 3),
    ("tasks-mrtr-composition", 2),
];

/// Scenarios of extensions that are not run, and why.
const NOT_RUN: [(&str, &str); 4] = [
    ("tasks-status-notifications", "the suite itself skips it until it is written anew"),
    ("sep-2640-skills-directory", "the server has no skills"),
    ("sep-2640-skills-enumeration", "the server has no skills"),
    ("sep-2640-skills-manifest", "the server has no skills"),
];

/// Scenarios and checks that passed when the suite was pinned.
const SCENARIOS_2026_07_28: usize = 40;
const PASSED_2026_07_28: usize = 117;

const NO_PROMPTS: &str = "the server has no prompts";
const NO_RESOURCES: &str = "the server has no resources";
const TEXT_ONLY: &str = "a durable function returns text or JSON";
const FORMS_ONLY: &str = "a task asks people, and neither models nor for directories";
const NO_LISTEN: &str = "the server has no changes to tell on subscriptions/listen";

/// Checks that do not concern a server with tools, tasks and elicitation.
const WAIVED: [(&str, &str, &str); 31] = [
    ("caching", "sep-2549-prompts-list-caching-hints", NO_PROMPTS),
    ("caching", "sep-2549-resources-list-caching-hints", NO_RESOURCES),
    ("caching", "sep-2549-resources-read-caching-hints", NO_RESOURCES),
    ("caching", "sep-2549-resources-templates-list-caching-hints", NO_RESOURCES),
    ("completion-complete", "completion-complete", NO_PROMPTS),
    ("input-required-result-basic-list-roots", "sep-2322-list-roots-incomplete", FORMS_ONLY),
    ("input-required-result-basic-sampling", "sep-2322-sampling-incomplete", FORMS_ONLY),
    ("input-required-result-capability-check", "sep-2322-respect-client-capabilities", FORMS_ONLY),
    (
        "input-required-result-multiple-input-requests",
        "sep-2322-multiple-inputs-incomplete",
        FORMS_ONLY,
    ),
    ("input-required-result-non-tool-request", "sep-2322-non-tool-incomplete", NO_PROMPTS),
    ("prompts-get-embedded-resource", "prompts-get-embedded-resource", NO_PROMPTS),
    ("prompts-get-simple", "prompts-get-simple", NO_PROMPTS),
    ("prompts-get-with-args", "prompts-get-with-args", NO_PROMPTS),
    ("prompts-get-with-image", "prompts-get-with-image", NO_PROMPTS),
    ("prompts-list", "prompts-list", NO_PROMPTS),
    ("resources-list", "resources-list", NO_RESOURCES),
    ("resources-read-binary", "resources-read-binary", NO_RESOURCES),
    ("resources-read-text", "resources-read-text", NO_RESOURCES),
    ("resources-templates-read", "resources-templates-read", NO_RESOURCES),
    ("sep-2164-resource-not-found", "sep-2164-data-uri", NO_RESOURCES),
    ("sep-2164-resource-not-found", "sep-2164-error-code", NO_RESOURCES),
    ("server-stateless", "sep-2575-server-honors-notification-filter", NO_LISTEN),
    ("server-stateless", "sep-2575-server-rejects-undeclared-capability", FORMS_ONLY),
    ("server-stateless", "sep-2575-server-sends-prompts-list-changed-on-subscription", NO_LISTEN),
    ("server-stateless", "sep-2575-server-sends-subscription-ack", NO_LISTEN),
    ("server-stateless", "sep-2575-server-sends-tools-list-changed-on-subscription", NO_LISTEN),
    ("server-stateless", "sep-2575-server-tags-subscription-id", NO_LISTEN),
    ("tools-call-audio", "tools-call-audio", TEXT_ONLY),
    ("tools-call-embedded-resource", "tools-call-embedded-resource", TEXT_ONLY),
    ("tools-call-image", "tools-call-image", TEXT_ONLY),
    ("tools-call-mixed-content", "tools-call-mixed-content", TEXT_ONLY),
];

/// Runs every Tasks scenario, all of whose checks must be there and pass.
#[expect(clippy::print_stdout, reason = "the count is for people to see")]
fn check_tasks(suite: &Suite, url: &str) {
    let mut passed = 0;
    for (scenario, expected) in TASKS {
        let checks = suite.check(url, &["--scenario", scenario]).remove(scenario).unwrap();
        for check in &checks {
            assert_eq!(check.status, "SUCCESS", "{scenario}: {check}");
        }
        assert_eq!(checks.len(), expected, "{scenario}");
        passed += checks.len();
    }
    println!("conformance: {passed} checks of {} Tasks scenarios passed", TASKS.len());
}

#[test]
#[ignore = "needs npm: make conformance"]
fn no_scenario_of_an_extension_is_overlooked() {
    let listed: BTreeSet<_> = Suite::install().extension_scenarios().into_iter().collect();
    let run = TASKS.iter().map(|(scenario, _)| *scenario);
    let known = run.chain(NOT_RUN.iter().map(|(scenario, _)| *scenario));
    assert_eq!(listed, known.map(str::to_owned).collect());
}

#[test]
#[ignore = "needs npm: make conformance"]
fn the_tasks_extension_conforms() {
    let suite = Suite::install();
    let directory = tempfile::tempdir().unwrap();
    let server = Fixtures::start(&directory.path().join("journal.db"));
    check_tasks(&suite, &format!("{}/mcp", server.origin));
}

#[test]
#[ignore = "needs npm: make conformance"]
fn the_tasks_extension_conforms_with_a_kill_after_every_request() {
    let suite = Suite::install();
    let directory = tempfile::tempdir().unwrap();
    let killer = Killer::start(directory.path().join("journal.db"));
    check_tasks(&suite, &killer.url());
    let kills = killer.kills();
    println!("conformance: the server was killed and started again {kills} times meanwhile");
    assert!(kills > 50, "only {kills} kills");
}

#[test]
#[ignore = "needs npm: make conformance"]
fn the_protocol_of_2026_07_28_conforms() {
    let suite = Suite::install();
    let directory = tempfile::tempdir().unwrap();
    let server = Fixtures::start(&directory.path().join("journal.db"));
    let scenarios = suite.check(
        &format!("{}/mcp", server.origin),
        &["--suite", "all", "--spec-version", "2026-07-28"],
    );
    assert_eq!(scenarios.len(), SCENARIOS_2026_07_28, "{:?}", scenarios.keys());
    let mut unused: BTreeSet<_> = WAIVED.iter().map(|(of, id, _)| (*of, *id)).collect();
    let mut passed = 0;
    let mut wrong = Vec::new();
    for (scenario, checks) in &scenarios {
        for check in checks {
            match check.status.as_str() {
                "SUCCESS" => passed += 1,
                "INFO" => {}
                _ if unused.remove(&(scenario.as_str(), check.id.as_str())) => {}
                _ => wrong.push(format!("{scenario}: {check}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.is_empty(), "waived, and yet passed: {unused:?}");
    println!("conformance: {passed} checks of {} scenarios passed", scenarios.len());
    assert_eq!(passed, PASSED_2026_07_28);
}
