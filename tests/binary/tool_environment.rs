//! What a tool server that is a program is given of relight's environment.

use std::collections::BTreeMap;

use crate::home::Home;

const AGENT: &str = "---\nname: order\ndescription: Orders.\nretry: {attempts: 1}\nmcpServers:\n  \
     shop: {command: sh, args: [-c, 'env >environment; exit 3'], env: {TOKEN: '${SHOP_TOKEN}', TZ: UTC}}\n\
     ---\nYou order.\n";

#[tokio::test]
async fn a_program_sees_what_is_named_for_it_and_no_other_secret() {
    let home = Home::new()
        .with("SHOP_TOKEN", "s3cret")
        .with("OPENAI_API_KEY", "hunter2")
        .with("RELIGHT_AUTH_TOKENS", "tokens.txt")
        .with("LANG", "C.UTF-8")
        .with("TZ", "Europe/Lisbon");
    home.write("prompts/order.md", AGENT);
    assert_eq!(home.run(&["run", "order", "A-1"]).await.code, 1);

    let text = std::fs::read_to_string(home.path("environment")).unwrap();
    let mut given: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    // The shell's own.
    for name in ["PWD", "OLDPWD", "SHLVL", "_"] {
        given.remove(name);
    }
    let names: Vec<&str> = given.keys().copied().collect();
    assert_eq!(names, ["HOME", "LANG", "PATH", "TMPDIR", "TOKEN", "TZ"]);
    assert_eq!((given["TOKEN"], given["TZ"]), ("s3cret", "UTC"), "what is named wins");
}
