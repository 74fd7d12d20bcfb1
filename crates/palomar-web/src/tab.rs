//! The one page of a browser: set up so that it can do nothing but be WhatsApp Web, looked at, and worked with.
//!
//! What always holds: the page goes nowhere but to its own address; downloads, windows, dialogs and file choosers are
//! refused; our script runs in a world of its own; whatever the page says is bounded before it is believed.

mod seen;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::cdp::{CallError, Event, Link};
use crate::page::{PageFile, When};

pub(crate) use seen::{Bubble, Opened, OwnBubble, Pressed, Row, Seen, Standing, Visit, chat_key};

/// The world of our script, and the function by which it tells.
const WORLD: &str = "palomar";
const TELL: &str = "palomarTells";
/// What a call may take that only asks.
const SHORT: Duration = Duration::from_secs(10);
/// What the page tells of itself is at most so long.
const LONGEST_TELLING: usize = 4 << 20;

/// Something of the browser that ends the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The browser has ended, or its page crashed.
    Crashed,
}

/// The page.
#[derive(Clone)]
pub(crate) struct Tab {
    link: Link,
    session: Arc<str>,
    /// The context of our script, while there is one.
    context: Arc<Mutex<Option<String>>>,
    seen: watch::Receiver<Option<Seen>>,
}

/// The part of a set-up page that runs beside it.
pub(crate) struct Watch {
    link: Link,
    session: Arc<str>,
    frame: String,
    target: String,
    origin: String,
    context: Arc<Mutex<Option<String>>>,
    context_number: Option<i64>,
    seen: watch::Sender<Option<Seen>>,
}

impl Tab {
    /// Sets up the browser's page and goes to `url`.
    pub(crate) async fn open(
        link: &Link,
        url: &str,
        page: &PageFile,
        language: &str,
    ) -> Result<(Tab, Watch), CallError> {
        let targets = link.call(None, "Target.getTargets", json!({}), SHORT).await?;
        let infos = targets["targetInfos"].as_array().cloned().unwrap_or_default();
        let first =
            infos.iter().find(|info| info["type"] == "page").and_then(|info| info["targetId"].as_str());
        let target = first.ok_or(CallError::Gone)?.to_owned();
        let attached = json!({ "targetId": target, "flatten": true });
        let attached = link.call(None, "Target.attachToTarget", attached, SHORT).await?;
        let session: Arc<str> = attached["sessionId"].as_str().ok_or(CallError::Gone)?.into();
        let (told, seen) = watch::channel(None);
        let context = Arc::default();
        let tab =
            Tab { link: link.clone(), session: Arc::clone(&session), context: Arc::clone(&context), seen };
        let watch = Watch {
            link: link.clone(),
            session,
            frame: target.clone(),
            target,
            origin: origin(url).to_owned(),
            context,
            context_number: None,
            seen: told,
        };
        tab.set_up(page, language).await?;
        Ok((tab, watch))
    }

    async fn set_up(&self, page: &PageFile, language: &str) -> Result<(), CallError> {
        let browser = |method, params| self.link.call(None, method, params, SHORT);
        browser("Browser.setDownloadBehavior", json!({ "behavior": "deny" })).await?;
        browser("Target.setDiscoverTargets", json!({ "discover": true })).await?;
        let version = browser("Browser.getVersion", json!({})).await?;
        // The page turns browsers without a window away by this word alone.
        let agent = version["userAgent"].as_str().unwrap_or_default().replace("HeadlessChrome", "Chrome");
        let steps = [
            ("Inspector.enable", json!({})),
            ("Page.enable", json!({})),
            ("Runtime.enable", json!({})),
            ("Emulation.setUserAgentOverride", json!({ "userAgent": agent, "acceptLanguage": language })),
            ("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })),
            ("Page.setInterceptFileChooserDialog", json!({ "enabled": true })),
            (
                "Fetch.enable",
                json!({ "patterns": [{ "urlPattern": "*", "resourceType": "Document", "requestStage": "Request" }] }),
            ),
            ("Runtime.addBinding", json!({ "name": TELL, "executionContextName": WORLD })),
            (
                "Page.addScriptToEvaluateOnNewDocument",
                json!({ "source": page.script(TELL), "worldName": WORLD }),
            ),
        ];
        for (method, params) in steps {
            self.call(method, params, SHORT).await?;
        }
        Ok(())
    }

    /// Makes a call to the page.
    pub(crate) async fn call(
        &self,
        method: &'static str,
        params: Value,
        deadline: Duration,
    ) -> Result<Value, CallError> {
        self.link.call(Some(&self.session), method, params, deadline).await
    }

    /// Loads an address.
    pub(crate) async fn navigate(&self, url: &str, deadline: Duration) -> Result<(), CallError> {
        self.call("Page.navigate", json!({ "url": url }), deadline).await.map(drop)
    }

    /// What was seen last.
    pub(crate) fn seen(&self) -> watch::Receiver<Option<Seen>> {
        self.seen.clone()
    }

    /// Asks our script: `palomar.<what>`. Waits for promises, `within` and a little more at most.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        within: Duration,
    ) -> Result<T, CallError> {
        let params = json!({
            "expression": format!("palomar.{what}"), "awaitPromise": true, "returnByValue": true,
        });
        let answer = self.evaluate(params, within + SHORT).await?;
        let value = answer.pointer("/result/value").cloned().unwrap_or_default();
        serde_json::from_value(value).map_err(|error| refused(&error.to_string()))
    }

    async fn evaluate(&self, mut params: Value, deadline: Duration) -> Result<Value, CallError> {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let context = context.ok_or_else(|| refused("the page is being loaded"))?;
        params["uniqueContextId"] = context.into();
        let answer = self.call("Runtime.evaluate", params, deadline).await?;
        match answer.pointer("/exceptionDetails/exception/description").and_then(Value::as_str) {
            Some(words) => Err(refused(words.lines().next().unwrap_or_default())),
            None if answer.get("exceptionDetails").is_some() => Err(refused("an exception")),
            None => Ok(answer),
        }
    }

    /// The elements that should be there now and are not.
    pub(crate) async fn missing(&self, when: When) -> Result<Vec<String>, CallError> {
        self.ask(&format!("missing({})", json!(when.as_str())), Duration::ZERO).await
    }

    /// Writes text where the cursor is, as a keyboard of any script does.
    pub(crate) async fn insert(&self, text: &str) -> Result<(), CallError> {
        self.call("Input.insertText", json!({ "text": text }), SHORT).await.map(drop)
    }

    /// Presses a key and lets it go.
    pub(crate) async fn key(&self, key: Key) -> Result<(), CallError> {
        let (name, code, number, text, modifiers) = key.parts();
        let mut down = json!({
            "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" },
            "key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers,
        });
        if !text.is_empty() {
            down["text"] = text.into();
        }
        if key == Key::SelectAll {
            down["commands"] = json!(["selectAll"]);
        }
        self.call("Input.dispatchKeyEvent", down, SHORT).await?;
        let up = json!({
            "type": "keyUp", "key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers,
        });
        self.call("Input.dispatchKeyEvent", up, SHORT).await.map(drop)
    }

    /// Puts a file into the input that our script finds as `element`; whether there is one.
    pub(crate) async fn attach(&self, element: &str, file: &str) -> Result<bool, CallError> {
        let expression = format!("palomar.file_input({})", json!(element));
        let found = self.evaluate(json!({ "expression": expression }), SHORT).await?;
        let Some(object) = found.pointer("/result/objectId").and_then(Value::as_str) else {
            return Ok(false);
        };
        let params = json!({ "files": [file], "objectId": object });
        self.call("DOM.setFileInputFiles", params, SHORT).await?;
        Ok(true)
    }

    /// A picture of the page as PNG, in base64.
    pub(crate) async fn picture(&self) -> Result<String, CallError> {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }), SHORT).await?;
        Ok(picture["data"].as_str().unwrap_or_default().to_owned())
    }
}

/// Keys that are pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A new line in a text.
    NewLine,
    SelectAll,
    Backspace,
    Escape,
}

impl Key {
    /// Name, code, number, text, modifiers.
    const fn parts(self) -> (&'static str, &'static str, u32, &'static str, u32) {
        match self {
            Key::NewLine => ("Enter", "Enter", 13, "\r", 8),
            Key::SelectAll => ("a", "KeyA", 65, "", 2),
            Key::Backspace => ("Backspace", "Backspace", 8, "", 0),
            Key::Escape => ("Escape", "Escape", 27, "", 0),
        }
    }
}

fn refused(words: &str) -> CallError {
    CallError::Refused { method: "palomar", words: words.chars().take(200).collect() }
}

/// Scheme, host and port of an address.
pub(crate) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find(['/', '?', '#']).map_or(url, |end| &url[..start + end])
}

/// The host of an address.
pub(crate) fn host(url: &str) -> &str {
    let origin = origin(url);
    let host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host.rsplit_once(':').filter(|(_, last)| port(last)).map_or(host, |(host, _)| host)
}

impl Watch {
    /// Takes what the browser tells until the page ends.
    pub(crate) async fn run(mut self, events: &mut mpsc::Receiver<Event>) -> End {
        while let Some(event) = events.recv().await {
            if self.take(&event) {
                return End::Crashed;
            }
        }
        End::Crashed
    }

    /// Takes one event; whether it ends the page.
    fn take(&mut self, event: &Event) -> bool {
        let params = &event.params;
        match event.method.as_str() {
            "Inspector.targetCrashed" => return true,
            "Inspector.detached" | "Target.detachedFromTarget" => {
                return params["sessionId"].as_str().is_none_or(|session| session == &*self.session);
            }
            "Target.targetCrashed" => return params["targetId"] == self.target.as_str(),
            "Runtime.executionContextCreated" => self.context_made(&params["context"]),
            "Runtime.executionContextsCleared" => self.context_gone(),
            "Runtime.executionContextDestroyed"
                if params["executionContextId"].as_i64() == self.context_number =>
            {
                self.context_gone();
            }
            "Runtime.bindingCalled" => self.told(params),
            "Fetch.requestPaused" => self.going(params),
            "Page.javascriptDialogOpening" => {
                // Leaving is allowed, nothing else is answered.
                let accept = params["type"] == "beforeunload";
                self.order(Some(&self.session), "Page.handleJavaScriptDialog", json!({ "accept": accept }));
            }
            "Target.targetCreated" => {
                let info = &params["targetInfo"];
                if info["type"] == "page" && info["targetId"] != self.target.as_str() {
                    let target = json!({ "targetId": info["targetId"] });
                    self.order(None, "Target.closeTarget", target);
                }
            }
            _ => {}
        }
        false
    }

    fn context_made(&mut self, context: &Value) {
        let ours =
            context["name"] == WORLD && context.pointer("/auxData/frameId") == Some(&json!(self.frame));
        if ours {
            self.context_number = context["id"].as_i64();
            let id = context["uniqueId"].as_str().map(str::to_owned);
            *self.context.lock().unwrap_or_else(PoisonError::into_inner) = id;
        }
    }

    fn context_gone(&mut self) {
        self.context_number = None;
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn told(&self, params: &Value) {
        let ours = params["name"] == TELL && params["executionContextId"].as_i64() == self.context_number;
        let told = params["payload"].as_str().unwrap_or_default();
        if ours
            && told.len() <= LONGEST_TELLING
            && let Ok(seen) = serde_json::from_str(told)
        {
            self.seen.send_replace(Some(seen));
        }
    }

    /// The page wants to go somewhere: it may within its own address.
    fn going(&self, params: &Value) {
        let url = params.pointer("/request/url").and_then(Value::as_str).unwrap_or_default();
        let id = &params["requestId"];
        if origin(url) == self.origin {
            self.order(Some(&self.session), "Fetch.continueRequest", json!({ "requestId": id }));
        } else {
            tracing::warn!(origin = origin(url), "a page wanted to go elsewhere: refused");
            let refusal = json!({ "requestId": id, "errorReason": "Aborted" });
            self.order(Some(&self.session), "Fetch.failRequest", refusal);
        }
    }

    /// Makes a call whose answer does not matter.
    fn order(&self, session: Option<&Arc<str>>, method: &'static str, params: Value) {
        let (link, session) = (self.link.clone(), session.cloned());
        tokio::spawn(async move {
            let _ = link.call(session.as_deref(), method, params, SHORT).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_hosts() {
        for (url, origin_, host_) in [
            ("https://web.whatsapp.com/", "https://web.whatsapp.com", "web.whatsapp.com"),
            ("http://127.0.0.1:9103/send?phone=1", "http://127.0.0.1:9103", "127.0.0.1"),
            (
                "https://web.whatsapp.com.evil.example/x",
                "https://web.whatsapp.com.evil.example",
                "web.whatsapp.com.evil.example",
            ),
            (
                "https://web.whatsapp.com@evil.example/",
                "https://web.whatsapp.com@evil.example",
                "web.whatsapp.com@evil.example",
            ),
            ("file:///etc/passwd", "file://", ""),
        ] {
            assert_eq!((origin(url), host(url)), (origin_, host_), "{url}");
        }
    }
}
