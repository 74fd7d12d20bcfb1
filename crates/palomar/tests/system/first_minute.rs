//! What a stranger does first: start it, type the line that it prints, send a message and watch it travel; then a file.

use crate::harness::{Server, instant, quick, simulator, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_line_sends_and_a_message_travels() {
    let server = Server::start().await;
    let printed = server.printed();
    assert!(printed.contains(&format!("http://{}", server.address)), "the address: {printed}");
    assert!(printed.contains("/login?token="), "a link to sign in: {printed}");
    let line = printed.lines().find(|line| line.starts_with("curl ")).expect("a curl line").to_owned();
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &format!("{line} -s -w ' %{{http_code}}'")])
        .current_dir(server.dir.parent().expect("a home"));
    let typed = tokio::task::spawn_blocking(move || shell.output().expect("it runs")).await.expect("waited");
    let answer = String::from_utf8_lossy(&typed.stdout).into_owned();
    assert!(answer.ends_with(" 202"), "{line}\n{answer}\n{}", String::from_utf8_lossy(&typed.stderr));

    let sent = server
        .output(&["send", "--channel", "demo", "--to", "+34600111222", "--text", "Hola", "--wait"])
        .await;
    let shown = String::from_utf8_lossy(&sent.stdout).into_owned() + &String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success(), "{shown}");
    let mut rest = shown.as_str();
    for state in ["queued", "sent", "delivered", "read"] {
        rest = rest.split_once(state).unwrap_or_else(|| panic!("{state} in its order: {shown}")).1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_bad_rows_is_answered_row_by_row_and_the_rest_arrives_once() {
    let rows = 2_000;
    let bad = [7, 501, 502, 1_200, 1_999];
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    let mut csv = String::from("to,text\n");
    for row in 1..=rows {
        let to = if bad.contains(&row) { "not-a-number".to_owned() } else { format!("+34600{row:06}") };
        csv.push_str(&format!("{to},Hola {row}\n"));
    }
    let file = server.dir.join("contacts.csv");
    std::fs::write(&file, csv).expect("written");
    let begun = instant();
    let sent = server.output(&["send", "--channel", "line", "--file", file.to_str().expect("a path")]).await;
    let shown = String::from_utf8_lossy(&sent.stdout).into_owned() + &String::from_utf8_lossy(&sent.stderr);
    eprintln!("{rows} rows were answered in {:?}", begun.elapsed());
    let good = rows - bad.len();
    let counted = format!("{good} accepted, {} refused", bad.len());
    assert!(shown.contains(&counted), "{counted}: {shown}");
    for row in bad {
        let line = format!("line {}: /to: ", row + 1);
        assert!(shown.contains(&line), "{line} is named: {shown}");
    }
    until("all are read", || async {
        let read = server.count("line", "read").await;
        if read == good { Ok(()) } else { Err(format!("{read} are read, {} were taken", sim.accepted())) }
    })
    .await;
    assert_eq!(sim.accepted(), good, "each was taken once");
    assert!(sim.duplicates().is_empty());
}
