//! The terminal, taken for a screen and given back as it was.
//!
//! What always holds: however a screen ends (a key, a signal, an error, a panic), the terminal shows again what it showed
//! before, with its cursor, and echoes what is typed.

use std::io::{self, Write as _};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use tokio::sync::mpsc;

use super::Key;
use crate::failure::Failure;

/// What a terminal tells.
#[derive(Debug)]
pub(super) enum Heard {
    Key(Key),
    Paste(String),
    /// Its size is another.
    Resized,
    /// The person asks for a clean picture.
    Redraw,
    /// It is gone.
    Closed,
}

/// The terminal while a screen has it.
pub(super) struct Taken {
    pub(super) terminal: Terminal<CrosstermBackend<io::Stdout>>,
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(format!("can't use this terminal: {error}"))
        .help("`--once` prints the same without a screen, `--json` for programs.")
}

fn give_back() {
    let _ = disable_raw_mode();
    let mut stdout = io::stdout();
    let _ = execute!(stdout, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = stdout.flush();
}

impl Taken {
    /// Takes the terminal.
    pub(super) fn take() -> Result<Taken, Failure> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        enable_raw_mode().map_err(|error| failed(&error))?;
        // From here on it is given back, whatever fails.
        let guard = GiveBack;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
            .map_err(|error| failed(&error))?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(|error| failed(&error))?;
        std::mem::forget(guard);
        Ok(Taken { terminal })
    }
}

/// Gives the terminal back where taking it failed half way.
struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        give_back();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Listens to the terminal, on a thread of its own since reading it blocks; the thread ends with the process.
pub(super) fn listen() -> mpsc::UnboundedReceiver<Heard> {
    let (tell, heard) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        loop {
            let event = match event::read() {
                Ok(event) => event,
                Err(_) => {
                    let _ = tell.send(Heard::Closed);
                    return;
                }
            };
            if let Some(event) = known(event)
                && tell.send(event).is_err()
            {
                return;
            }
        }
    });
    heard
}

fn known(event: Event) -> Option<Heard> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key),
        Event::Paste(text) => Some(Heard::Paste(text)),
        Event::Resize(..) => Some(Heard::Resized),
        _ => None,
    }
}

fn key_of(key: KeyEvent) -> Option<Heard> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Heard::Key(Key::Interrupt)),
            KeyCode::Char('l') => Some(Heard::Redraw),
            _ => None,
        };
    }
    Some(Heard::Key(match key.code {
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known() {
        let key = |code, modifiers| known(Event::Key(KeyEvent::new(code, modifiers)));
        assert!(matches!(key(KeyCode::Char('Q'), KeyModifiers::SHIFT), Some(Heard::Key(Key::Char('Q')))));
        assert!(matches!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Heard::Key(Key::Interrupt))));
        assert!(key(KeyCode::Char('d'), KeyModifiers::CONTROL).is_none());
        assert!(key(KeyCode::F(1), KeyModifiers::NONE).is_none());
    }
}
