//! `status --watch`: looks at the queue again and again, and at the keyboard. A queue that goes away is waited for.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::Glance;
use super::screen::{View, draw};
use crate::agent::Failure;
use crate::cli::output::Screen;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue::{self, Queue, QueueError};
use crate::shutdown;

/// Looking may take this part of the time: a look at millions of waiting rows costs a good deal of a second.
const REST_PER_LOOK: u32 = 4;
/// The clock on the screen goes on between two looks.
const TICK: Duration = Duration::from_secs(1);

/// What is to be looked at.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// How many mailboxes are named.
    pub mailboxes: u32,
    /// See [`super::Options`].
    pub since: Option<DateTime<Utc>>,
}

/// What one look brought, and what it cost.
struct Seen {
    found: Result<Glance, String>,
    cost: Duration,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    Sort,
    /// The window has another size, or some key means nothing: the screen is drawn again.
    Draw,
}

pub(super) async fn run(every: Duration, look: Look, settings: LocalSettings) -> Result<Exit, Failure> {
    let no_terminal = || {
        let cure = "--watch needs a terminal; 'event-sender status --json' is for programs";
        Failure::new(Exit::Usage, cure)
    };
    if !std::io::stdin().is_terminal() {
        return Err(no_terminal());
    }
    let stop = shutdown::on_signals(shutdown::Hangup::Stops)?;
    let mut screen = Screen::open()?.ok_or_else(no_terminal)?;
    let (mut looks, mut wishes) = (looks(settings, look, every), wishes()?);
    let mut view = View::new(every);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Exit::Done),
            wish = wishes.recv() => match wish {
                Some(Wish::Quit) => return Ok(Exit::Done),
                Some(Wish::Sort) => view.sort(),
                Some(Wish::Draw) => {}
                None => return Err(Failure::failed("the keyboard cannot be read any more")),
            },
            Some(seen) = looks.recv() => view.take(seen.found, seen.cost),
            _ = tick.tick() => {}
        }
        screen.draw(|frame| draw(frame, &view))?;
    }
}

/// Looks for as long as somebody wants to know.
fn looks(settings: LocalSettings, at: Look, every: Duration) -> mpsc::Receiver<Seen> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut queue = None;
        loop {
            let begin = Instant::now();
            let found = look(&mut queue, &settings, at).await;
            let cost = begin.elapsed();
            if found.is_err() {
                // Opened anew next time: it may be another one then.
                queue = None;
            }
            if sender.send(Seen { found, cost }).await.is_err() {
                return;
            }
            tokio::time::sleep(every.max(cost * REST_PER_LOOK)).await;
        }
    });
    receiver
}

async fn look(queue: &mut Option<Arc<dyn Queue>>, settings: &LocalSettings, at: Look) -> Result<Glance, String> {
    let open = match queue.take() {
        Some(open) => open,
        None => queue::open_existing(&settings.queue).await.map_err(|error| error.to_string())?,
    };
    let open = queue.insert(open);
    Glance::take(&**open, settings, at.mailboxes, at.since).await.map_err(|error| match error {
        QueueError::Gone { path, fate } => format!("{} was {fate}", path.display()),
        error => error.to_string(),
    })
}

/// Reads the keyboard on a thread of its own, for reading it waits.
fn wishes() -> std::io::Result<mpsc::Receiver<Wish>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new().name("keyboard".into()).spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(wish(&event)).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// A terminal without line discipline sends Ctrl-C as a key.
fn wish(event: &Event) -> Wish {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return Wish::Draw };
    match code {
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('s') => Wish::Sort,
        _ => Wish::Draw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_ctrl_c_end_it_and_s_sorts() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        for (event, expected) in [
            (key(KeyCode::Char('q'), KeyModifiers::NONE), Wish::Quit),
            (key(KeyCode::Esc, KeyModifiers::NONE), Wish::Quit),
            (key(KeyCode::Char('c'), KeyModifiers::CONTROL), Wish::Quit),
            (key(KeyCode::Char('c'), KeyModifiers::NONE), Wish::Draw),
            (key(KeyCode::Char('s'), KeyModifiers::NONE), Wish::Sort),
            (Event::Resize(80, 24), Wish::Draw),
        ] {
            assert_eq!(wish(&event), expected, "{event:?}");
        }
    }
}
