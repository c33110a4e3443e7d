//! The tool `http_request`: what it sends, what it refuses to, and what a lost answer means.

use super::*;

/// A bench whose model makes these requests one after another and then says that it is done, and a
/// server for them.
async fn bench(
    requests: &[&str],
    answers: impl IntoIterator<Item = Answer>,
) -> (Bench, ModelServer) {
    let calls = requests.iter().map(|arguments| Answer::calls(&[("c", "http_request", arguments)]));
    let target = ModelServer::start(answers).await;
    (Bench::new(calls.chain([Answer::says("done")])).await, target)
}

fn port(server: &ModelServer) -> String {
    let url = server.base_url().trim_start_matches("http://");
    let authority = url.split('/').next().unwrap();
    authority.rsplit(':').next().unwrap().to_owned()
}

/// Runs one request against a server that gives these answers, under these rules beside its address
/// and a leave for it. `URL` stands for the server's. Tells what the model was told.
async fn told(request: &str, rules: &str, answers: Vec<Answer>) -> (String, ModelServer) {
    let target = ModelServer::start(answers).await;
    let port = port(&target);
    let request = request.replace("URL", &format!("http://127.0.0.1:{port}"));
    let call = Answer::calls(&[("c", "http_request", &request)]);
    let bench = Bench::new([call, Answer::says("done")]).await;
    let front_matter =
        format!("in_doubt: tell\nhttp: {{hosts: ['127.0.0.1:{port}'], private: true, {rules}}}");
    assert_eq!(bench.run(&front_matter).await, "completed \"done\"");
    (bench.messages(1).pop().unwrap(), target)
}

#[tokio::test]
async fn an_answer_is_status_headers_and_body() {
    let answer = Answer::status(200, r#"{"temperature": 7}"#)
        .header("content-type", "application/json")
        .header("set-cookie", "session=secret");
    let (told, target) =
        told(r#"{"method": "GET", "url": "URL/weather?city=Oslo"}"#, "", vec![answer]).await;
    assert_eq!(told, "tool: HTTP 200 OK\ncontent-type: application/json\n\n{\"temperature\": 7}");
    let asked = &target.asked()[0];
    assert_eq!(asked.path, "/weather?city=Oslo");
    assert!(!asked.headers.contains_key("idempotency-key"), "{:?}", asked.headers);
}

#[tokio::test]
async fn a_change_carries_its_key_and_the_hosts_secret_which_is_not_journalled() {
    let target = ModelServer::start([Answer::status(201, "made")]).await;
    let port = port(&target);
    let request = format!(
        r#"{{"method": "POST", "url": "http://127.0.0.1:{port}/charges", "body": "{{\"cents\": 5}}"}}"#
    );
    let call = Answer::calls(&[("c", "http_request", &request)]);
    let bench = Bench::new([call, Answer::says("done")]).await;
    let front_matter = format!(
        "http: {{hosts: ['127.0.0.1:{port}'], private: true, methods: [POST], \
         headers: {{'127.0.0.1:{port}': {{Authorization: 'Bearer ${{TOKEN}}'}}}}}}"
    );
    let task = bench.call(&front_matter, "hello").await;
    bench.end(task).await;
    let asked = &target.asked()[0];
    assert_eq!(asked.headers["authorization"], "Bearer hunter2");
    assert_eq!(asked.headers["content-type"], "application/json");
    assert_eq!(asked.headers["idempotency-key"], format!("{task}/turn-1/tool-1"));
    assert_eq!(asked.body, json!({"cents": 5}));
    let history = bench.runtime.store().history(task, 0).await.unwrap();
    let history = format!("{history:?}");
    assert!(history.contains("${TOKEN}") && !history.contains("hunter2"), "{history}");
}

#[tokio::test]
async fn what_is_not_allowed_is_not_sent() {
    let get = |url: &str| format!(r#"{{"method": "GET", "url": "{url}"}}"#);
    let requests = [
        (get("http://example.org/"), "example.org is not allowed. The hosts are: 127.0.0.1"),
        (get("http://127.0.0.1:1/"), "127.0.0.1:1 is not allowed."),
        (get("ftp://127.0.0.1/"), "is neither http nor https"),
        (get("http://ann:pw@127.0.0.1/"), "a user or a password"),
        (get("127.0.0.1"), "is no URL"),
        (get("http://127.0.0.1/"), "is at 127.0.0.1, which is this machine (loopback)"),
        (get("http://2130706433/"), "is at 127.0.0.1, which is this machine (loopback)"),
        (get("http://[::ffff:7f00:1]/"), "which is this machine (loopback)"),
        (get("http://localhost/"), "which is this machine (loopback)"),
        (
            r#"{"method": "POST", "url": "http://127.0.0.1/"}"#.to_owned(),
            "POST is not allowed. The methods are: GET, HEAD.",
        ),
        (
            r#"{"method": "GET", "url": "http://127.0.0.1/", "headers": {"Host": "evil"}}"#
                .to_owned(),
            "The header host cannot be set.",
        ),
    ];
    let calls: Vec<&str> = requests.iter().map(|(request, _)| request.as_str()).collect();
    let (bench, target) = bench(&calls, []).await;
    let hosts = "http: {hosts: [127.0.0.1, localhost, '[::ffff:127.0.0.1]']}";
    assert_eq!(bench.run(hosts).await, "completed \"done\"");
    for (n, (request, words)) in requests.iter().enumerate() {
        let told = bench.messages(n + 1).pop().unwrap();
        assert!(told.starts_with("tool: The tool reports an error: "), "{request}: {told}");
        assert!(told.contains(words), "{request}: {told}");
    }
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn a_redirect_goes_where_a_request_may_go_and_takes_no_secret_along() {
    let other = ModelServer::start([Answer::status(200, "there")]).await;
    let to = format!("http://127.0.0.1:{}/there", port(&other));
    let target = ModelServer::start([Answer::status(302, "").header("location", &to)]).await;
    let (from, to) = (port(&target), port(&other));
    let request = format!(
        r#"{{"method": "GET", "url": "http://127.0.0.1:{from}/", "headers": {{"x-mine": "1"}}}}"#
    );
    let call = Answer::calls(&[("c", "http_request", &request)]);
    let bench = Bench::new([call, Answer::says("done")]).await;
    let headers =
        format!("headers: {{'127.0.0.1:{from}': {{Authorization: 'Bearer ${{TOKEN}}'}}}}");
    let hosts = format!("hosts: ['127.0.0.1:{from}', '127.0.0.1:{to}']");
    bench.run(&format!("http: {{{hosts}, private: true, {headers}}}")).await;
    let told = bench.messages(1).pop().unwrap();
    assert!(told.ends_with("\n\nthere"), "{told}");
    assert!(target.asked()[0].headers.contains_key("authorization"));
    let there = &other.asked()[0].headers;
    assert!(!there.contains_key("authorization") && !there.contains_key("x-mine"), "{there:?}");
}

#[tokio::test]
async fn a_redirect_elsewhere_is_refused() {
    for (to, words) in [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not allowed"),
        ("file:///etc/passwd", "is neither http nor https"),
    ] {
        let answer = Answer::status(302, "").header("location", to);
        let (told, _) = told(r#"{"method": "GET", "url": "URL/"}"#, "", vec![answer]).await;
        assert!(told.contains(words), "{told}");
    }
    let answers = (0..6).map(|_| Answer::status(302, "").header("location", "/again"));
    let (told, _) = told(r#"{"method": "GET", "url": "URL/"}"#, "", answers.collect()).await;
    assert!(told.contains("redirects more than 5 times"), "{told}");
}

const POST: &str = r#"{"method": "POST", "url": "URL/charges"}"#;
const GET: &str = r#"{"method": "GET", "url": "URL/"}"#;
const UNKNOWN: &str = "tool: The outcome of this call is unknown";

#[tokio::test]
async fn a_change_without_an_answer_is_in_doubt_and_not_made_again() {
    let post = "methods: [POST], timeout: 300ms";
    // A body that breaks off has a status, which tells what happened.
    for (answer, is_known) in [
        (Answer::status(200, "x").cut(), true),
        (Answer::silence(), false),
        (Answer::status(502, ""), false),
    ] {
        let (told, target) = told(POST, post, vec![answer]).await;
        assert_eq!(told.starts_with(UNKNOWN), !is_known, "{told}");
        assert_eq!(target.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_changes_nothing_is_tried_again() {
    let ok = || Answer::status(200, "at last");
    for answer in [Answer::silence(), Answer::status(503, ""), Answer::status(200, "at l").cut()] {
        let (told, target) = told(GET, "timeout: 300ms", vec![answer, ok()]).await;
        assert!(told.ends_with("at last"), "{told}");
        assert_eq!(target.asked().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_is_busy_or_not_there_has_done_nothing() {
    let busy = || Answer::status(429, "").header("retry-after-ms", "1");
    let (told, target) =
        told(POST, "methods: [POST]", vec![busy(), Answer::status(201, "made")]).await;
    assert!(told.ends_with("made"), "{told}");
    let keys: Vec<_> =
        target.asked().iter().map(|asked| asked.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys[0], keys[1]);

    let request = r#"{"method": "POST", "url": "http://127.0.0.1:1/"}"#;
    let (bench, _target) = bench(&[request], []).await;
    bench.run("http: {hosts: ['127.0.0.1:1'], private: true, methods: [POST]}").await;
    let told = bench.messages(1).pop().unwrap();
    assert!(told.starts_with("tool: The call failed: cannot connect to 127.0.0.1: "), "{told}");
}

#[tokio::test]
async fn a_body_is_cut_and_only_text_is_shown() {
    let long = Answer::status(200, "0123456789abcdef");
    let (cut, _) = told(GET, "maxBytes: 10", vec![long]).await;
    assert!(cut.ends_with("\n\n0123456789\n[cut: the first 10 bytes]"), "{cut}");
    let binary = Answer::status(200, "a\0b").header("content-type", "image/png");
    let (shown, _) = told(GET, "", vec![binary]).await;
    assert!(
        shown.ends_with("content-type: image/png\n\n[3 bytes that are no text in UTF-8]"),
        "{shown}"
    );
    let missing = Answer::status(404, "no such page");
    let (error, _) = told(GET, "", vec![missing]).await;
    assert!(error.starts_with("tool: The tool reports an error: HTTP 404 Not Found"), "{error}");
}

#[tokio::test]
async fn without_leave_there_is_no_such_tool() {
    let (bench, _target) = bench(&[], []).await;
    bench.run("").await;
    let tools = bench.server.asked()[0].body["tools"].to_string();
    assert!(!tools.contains("http_request"), "{tools}");
}

#[test]
fn what_is_wrong_with_the_rules_is_said_with_its_line() {
    for (front_matter, words) in [
        ("tools: [http_request]", "4: http_request needs to know where it may go"),
        ("tools: []\nhttp: {hosts: [x.org]}", "5: \"http\" says where http_request may go"),
        ("http: {}", "\"http\" has no \"hosts\""),
        ("http: {hosts: ['https://x.org']}", "\"http.hosts\" must be a host such as"),
        ("http: {hosts: [x.org], methods: [get]}", "did you mean \"GET\"?"),
        ("http: {hosts: [x.org], private: maybe}", "\"http.private\" must be true or false"),
        ("http: {hosts: [x.org], timeout: 2h}", "\"http.timeout\" may be 3600s at most"),
        ("http: {hosts: [x.org], maxBytes: 0}", "\"http.maxBytes\" must be a whole number"),
        ("http: {hosts: [x.org], headers: {y.org: {a: b}}}", "the host is not among"),
        ("http: {hosts: ['*.x.org'], headers: {'*.x.org': {a: b}}}", "one host's headers"),
        ("http: {hosts: [x.org], redirects: true}", "unknown key \"redirects\""),
    ] {
        let text = format!("---\nname: a\ndescription: d\n{front_matter}\n---\nBe brief.");
        let error = Definition::parse("a.md", &text).unwrap_err().to_string();
        assert!(error.contains(words), "{front_matter}: {error}");
    }
    let rules = "http: {hosts: ['*.x.org'], headers: {a.x.org: {a: b}}, methods: [GET, POST]}";
    let text = format!("---\nname: a\ndescription: d\n{rules}\n---\nBe brief.");
    let agent = Definition::parse("a.md", &text).unwrap();
    let stored = serde_json::to_string(&agent).unwrap();
    assert_eq!(serde_json::from_str::<Definition>(&stored).unwrap(), agent);
}
