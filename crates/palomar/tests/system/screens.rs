//! Live screens in a real terminal (tmux): dead letters decided by keys, a server that goes away and comes back, a terminal
//! that is given back as it was.

use std::process::Command;

use palomar_sim::cloud_api::{Fault, FaultKind};
use serde_json::json;

use crate::harness::{Server, quick, simulator, until};

/// A text that would clear the screen, name the window and turn the line round, if a terminal were to obey it.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}evil\nsecond line";

/// A terminal of its own server, so that no other test or person shares it.
struct Terminal {
    dir: tempfile::TempDir,
}

impl Terminal {
    /// Runs a command in a terminal of 80×24, and behind it a line that says how it ended and whether typing is echoed.
    fn run(command: &Command) -> Terminal {
        let terminal = Terminal { dir: tempfile::tempdir().expect("a directory") };
        let quoted =
            |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("text").replace('\'', "'\\''"));
        let words: Vec<String> =
            std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
        let line = format!(
            "{}; echo \"ended with $?\"; stty -a | grep -o -- '-\\?echo '; exec sleep 600",
            words.join(" ")
        );
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", &line]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let socket = self.dir.path().join("tmux");
        let done = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .args(args)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .output()
            .expect("tmux runs");
        assert!(done.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn picture(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, keys: &[&str]) {
        let mut args = vec!["send-keys"];
        args.extend(keys);
        self.tmux(&args);
    }

    /// Types text as it is.
    fn type_in(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Waits until the picture has all of these.
    async fn shows(&self, wanted: &[&str]) -> String {
        until(&format!("the screen shows {wanted:?}"), || {
            let picture = self.picture();
            let all = wanted.iter().all(|words| picture.contains(words));
            std::future::ready(if all { Ok(picture) } else { Err(format!("\n{picture}")) })
        })
        .await
    }

    /// Waits until a key has led to words: pressed while a picture is under way it may come too soon.
    async fn leads_to(&self, key: &str, wanted: &str) {
        self.press(&[key]);
        self.shows(&[wanted]).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.dir.path().join("tmux");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_decided_by_keys() {
    let sim = simulator(quick()).await;
    let mut server = Server::start().await;
    server.channel("shop", &sim, json!({ "profile": "unlimited" })).await;
    let refused = || {
        let no_such_number = Fault { code: Some(131_026), ..Fault::always(FaultKind::Code) };
        sim.set_faults(vec![no_such_number]).expect("faults");
    };
    let healed = || sim.set_faults(Vec::new()).expect("no faults");
    refused();
    let mut ids = Vec::new();
    for (n, text) in ["first", HOSTILE, "third", "fourth"].iter().enumerate() {
        ids.push(server.send("shop", &format!("+3460011122{n}"), text).await);
    }
    for id in &ids {
        server.until_status(id, "failed").await;
    }
    healed();
    let terminal = Terminal::run(&server.command(&["queue", "dlq", "--every", "1s"]));
    let picture = terminal.shows(&["4 dead, 0 uncertain", "+34600111220", "retry all", "? help"]).await;
    assert_eq!(picture.lines().count(), 24, "{picture}");

    // The whole of one, its text as harmless as any other.
    terminal.leads_to("Down", &ids[1]).await;
    terminal.press(&["Enter"]);
    let letter = terminal.shows(&["what happened", "accepted", "\\u{1b}[2J", "evil⏎second line"]).await;
    assert!(letter.contains(&ids[1]) && letter.contains(" palomar queue dlq"), "{letter}");
    terminal.leads_to("Escape", "4 dead").await;

    // One: it goes out, once; the others stay.
    terminal.leads_to("r", "again? y").await;
    terminal.press(&["y"]);
    terminal.shows(&["3 dead, 0 uncertain"]).await;
    server.until_status(&ids[1], "read").await;

    // One, changed: a new message in its place.
    terminal.leads_to("Home", &ids[0]).await;
    terminal.leads_to("e", "Edit; Enter sends").await;
    terminal.type_in(" mended");
    terminal.leads_to("Enter", "2 dead, 0 uncertain").await;
    let replaced = until("the edited message is read", || async {
        let found = server.get("/api/messages?channel=shop&q=mended").await["items"][0].clone();
        if found["status"] == "read" { Ok(found) } else { Err(found.to_string()) }
    })
    .await;
    assert_eq!(replaced["content"]["text"], "first mended");
    assert_eq!(replaced["metadata"]["replaces"], ids[0].as_str());
    assert_eq!(server.get(&format!("/api/messages/{}", ids[0])).await["status"], "failed");

    // The server goes away and comes back while the screen stays.
    server.kill();
    terminal.shows(&["no connection since", "NO CONNECTION", "2 dead"]).await;
    server.run().await;
    terminal.shows(&["the server is back", "2 dead, 0 uncertain"]).await;

    // All.
    terminal.leads_to("a", "EVERY dead letter again? y").await;
    terminal.press(&["y"]);
    terminal.shows(&["0 dead, 0 uncertain", "Nothing waits for a person"]).await;
    for id in &ids[1..] {
        server.until_status(id, "read").await;
    }
    assert_eq!(sim.accepted(), 4, "each went out once");

    // What is not worth it is forgotten, by the word alone; what does not fit the filter stays.
    refused();
    for n in 0..3 {
        let id = server.send("shop", &format!("+3460011123{n}"), "again").await;
        server.until_status(&id, "failed").await;
    }
    terminal.shows(&["3 dead, 0 uncertain"]).await;
    terminal.leads_to("/", "dead letters with:").await;
    terminal.type_in("no such words");
    terminal.leads_to("Enter", "None fits").await;
    terminal.leads_to("X", "Type \"purge\"").await;
    terminal.type_in("purge");
    terminal.leads_to("Enter", "forgotten: 0").await;
    terminal.leads_to("/", "dead letters with: no such words").await;
    terminal.tmux(&["send-keys", "-N", "20", "BSpace"]);
    terminal.leads_to("Enter", "3 dead, 0 uncertain").await;
    terminal.leads_to("X", "EVERY dead letter").await;
    terminal.type_in("yes");
    terminal.leads_to("Enter", "nothing was forgotten").await;
    terminal.leads_to("X", "EVERY dead letter").await;
    terminal.type_in("purge");
    terminal.leads_to("Enter", "0 dead, 0 uncertain").await;
    assert_eq!(server.get("/api/dead-letters").await["items"], json!([]));

    // Another size, and the end.
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    let picture = terminal.shows(&["Nothing waits for a person"]).await;
    assert_eq!(picture.lines().count(), 40, "{picture}");
    terminal.press(&["q"]);
    let after = terminal.shows(&["ended with 0"]).await;
    let after = if after.contains("echo") { after } else { terminal.shows(&["echo"]).await };
    assert!(after.lines().any(|line| line.trim() == "echo"), "typing is echoed again: {after}");
    assert!(!after.contains("palomar queue dlq"), "the screen is as it was before: {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_screen_opens_and_gives_the_terminal_back() {
    let server = Server::start().await;
    let id = server.send("demo", "+34600111222", "Hola").await;
    server.until_status(&id, "read").await;
    for (args, shown) in [
        (&["queue", "metrics"][..], &["outbound/demo", "last messages", "read"][..]),
        (&["analytics", "dashboard"], &["week:", "conversations", "delivered"]),
        (&["top"], &["demo", "campaigns under way", "what is wrong"]),
    ] {
        let terminal = Terminal::run(&server.command(args));
        let name = format!(" palomar {}", args.join(" "));
        terminal.shows(&[&name]).await;
        terminal.shows(shown).await;
        terminal.leads_to("?", "hold the picture").await;
        // Ctrl-C is the end from anywhere.
        terminal.leads_to("C-c", "ended with 0").await;
        terminal.shows(&["\necho"]).await;
        // The same without a screen.
        let once = server.output(&[args, &["--once"]].concat()).await;
        assert!(once.status.success() && !once.stdout.contains(&0x1b), "{args:?}");
        let json = server.output(&[args, &["--json"]].concat()).await;
        serde_json::from_slice::<serde_json::Value>(&json.stdout).expect("one document");
    }
    // Where there is no server there is no screen either, and a word about why.
    let dir = tempfile::tempdir().expect("a directory");
    let mut nobody = Command::new(env!("CARGO_BIN_EXE_palomar"));
    nobody.args(["top", "--server", "http://127.0.0.1:9", "--data"]).arg(dir.path());
    Terminal::run(&nobody).shows(&["can't reach the server", "ended with 3"]).await;
}
