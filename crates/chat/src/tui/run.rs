//! The runner: the terminal's events and the desk's go to the screen and to the model, what
//! comes of them is done, and what changed is drawn.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use crossterm::event::{Event as Happened, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use stanchion::connect::Kind;
use stanchion::connect::probe::Scope;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::Command;
use super::first::{self, First, Said, Told};
use super::screen::{Do, Input, Screen};
use super::terminal::Terminal;
use super::theme::Theme;
use super::view::view;
use crate::app::{Desk, DeskConfig, Event, Model, Order, Severity};
use crate::doctor::worst_error;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::kept::now;
use crate::server::{Details, RegistryArgs, keep, look, report};
use crate::settings::{ConnectionArgs, Missing, Settings};
use crate::terminal::print;

/// Between two frames: thirty a second.
const FRAME: Duration = Duration::from_millis(33);
/// Orders that may wait for the desk.
const WAITING: usize = 256;
/// Events that are taken before a frame is drawn.
const EVENTS: usize = 512;
/// To try an account.
const TRIAL: Duration = Duration::from_secs(30);

/// To open the store, for what was said before it was there.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the start of the desk gives.
type Started = Result<(Desk, mpsc::Receiver<Event>), Failure>;
type Starting = Pin<Box<dyn Future<Output = Started> + Send>>;
/// What a trial of an account gives: what it showed, if it cannot be used.
type Trial = Pin<Box<dyn Future<Output = Result<(), Told>> + Send>>;

pub(super) async fn run(command: Command) -> Outcome {
    let began = Instant::now();
    let mut interrupt = Interrupt::watch()?;
    let args = command.connection;
    let theme = Theme::new(std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()));
    let found = Settings::or_missing(&args).await?;
    let mut terminal = Terminal::take()?;
    let mut keys = EventStream::new();
    let settings = match found {
        Ok(settings) => settings,
        Err(missing) => {
            let asked = ask(
                &args,
                &missing,
                theme,
                &mut terminal,
                &mut keys,
                &mut interrupt,
            );
            match asked.await? {
                Some(settings) => settings,
                None => return Ok(Exit::Done),
            }
        }
    };
    let face = Face::new(settings, theme, terminal, began);
    let (ended, shown) = face
        .run(&mut keys, &mut interrupt, command.first_frame)
        .await;
    if let (Ok(()), true, Some(shown)) = (&ended, command.first_frame, shown) {
        let _ = print(&format!("{:.1} ms", shown.as_secs_f64() * 1000.0))?;
    }
    ended.map(|()| Exit::Done)
}

/// Waits for what may not be there.
async fn ready<T>(of: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match of {
        Some(of) => of.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn next(of: &mut Option<mpsc::Receiver<Event>>) -> Option<Event> {
    match of {
        Some(of) => of.recv().await,
        None => std::future::pending().await,
    }
}

/// What a terminal says, in the words of the screen.
fn input(happened: Happened) -> Option<Input> {
    Some(match happened {
        Happened::Key(key) if key.kind != KeyEventKind::Release => Input::Key(key),
        Happened::Key(_) => return None,
        Happened::Mouse(mouse) => Input::Mouse(mouse),
        Happened::Paste(text) => Input::Paste(text),
        Happened::FocusGained => Input::Focus(true),
        Happened::FocusLost => Input::Focus(false),
        Happened::Resize(columns, rows) => Input::Size(columns, rows),
    })
}

// ---- the first start ----------------------------------------------------------------

/// Asks for an account until one works; none if the person leaves.
async fn ask(
    args: &ConnectionArgs,
    missing: &Missing,
    theme: Theme,
    terminal: &mut Terminal,
    keys: &mut EventStream,
    interrupt: &mut Interrupt,
) -> Result<Option<Settings>, Failure> {
    let account = match missing {
        Missing::Account => None,
        Missing::Password(account) => Some(account),
    };
    let place =
        args.connect
            .as_deref()
            .map(|place| match args.direct_tls && !place.contains("://") {
                true => format!("xmpps://{place}"),
                false => place.to_owned(),
            });
    let pin = args.pin.map(|pin| pin.to_string());
    let known = [account.map(|jid| jid.to_string()), None, place, pin];
    let mut form = First::new(theme, known);
    let mut trial: Option<Trial> = None;
    loop {
        if terminal.draw(|frame| form.view(frame)).is_err() {
            return Ok(None);
        }
        tokio::select! {
            () = interrupt.seen() => return Ok(None),
            happened = keys.next() => {
                let Some(Ok(happened)) = happened else {
                    return Ok(None);
                };
                let done = input(happened).and_then(|input| form.update(&input));
                match done {
                    Some(first::Do::Try(said)) => {
                        let registry = RegistryArgs::of(args);
                        trial = Some(Box::pin(try_it(*said, registry)));
                    }
                    Some(first::Do::Stop) => trial = None,
                    Some(first::Do::Quit) => return Ok(None),
                    None => {}
                }
            }
            tried = ready(&mut trial) => {
                trial = None;
                match tried {
                    Ok(()) => return Settings::load(args).await.map(Some),
                    Err(told) => form.failed(told),
                }
            }
        }
    }
}

/// Tries an account as `server test` does, and registers it as `server add` does.
pub(super) async fn try_it(said: Said, registry: RegistryArgs) -> Result<(), Told> {
    let failed = |failure: Failure| Told {
        lines: vec![failure.message],
        wrong_password: false,
    };
    let details = Details::place(said.place, said.pin);
    let server = details.server(said.jid, said.password).map_err(failed)?;
    let looked = look(&server, Vec::new(), TRIAL, Scope::UntilEstablished).await;
    match looked {
        Ok(mut looked) if looked.inspection.is_established() => {
            let kept = keep(&registry, server, Some(&mut looked)).await;
            kept.map(|_| ()).map_err(failed)
        }
        looked => {
            let told = report(&server, &looked, usize::from(u16::MAX));
            let error = looked
                .as_ref()
                .ok()
                .and_then(|l| worst_error(&l.inspection));
            Err(Told {
                lines: told.lines().skip(1).map(str::to_owned).collect(),
                wrong_password: error.is_some_and(|e| e.kind() == Kind::Authentication),
            })
        }
    }
}

// ---- the client ---------------------------------------------------------------------

/// Opens the store and starts to connect.
async fn start(settings: Settings) -> Started {
    let account = settings.account().clone();
    let store = settings.store_file()?;
    let describe = |client: stanchion::ClientBuilder| client.conversations().carbons();
    let (client, incoming) = Box::pin(settings.start_as(None, describe)).await?;
    Desk::start(client, incoming, DeskConfig::new(account, store)).await
}

struct Face {
    terminal: Terminal,
    model: Model,
    screen: Screen,
    starting: Option<Starting>,
    desk: Option<Desk>,
    events: Option<mpsc::Receiver<Event>>,
    orders: Option<mpsc::Sender<Order>>,
    waiting: VecDeque<Order>,
    /// Something is to be drawn.
    changed: bool,
    began: Instant,
    /// Whether the list is there as the store has it.
    listed: bool,
}

impl Face {
    fn new(settings: Settings, theme: Theme, terminal: Terminal, began: Instant) -> Self {
        let model = Model::new(settings.account().clone());
        let screen = Screen::new(
            theme,
            TimeZone::system(),
            terminal.size(),
            now().as_unix_ms(),
        );
        Self {
            terminal,
            model,
            screen,
            starting: Some(Box::pin(start(settings))),
            desk: None,
            events: None,
            orders: None,
            waiting: VecDeque::new(),
            changed: true,
            began,
            listed: false,
        }
    }

    /// Until the person leaves; and when the first frame with the list was drawn.
    async fn run(
        mut self,
        keys: &mut EventStream,
        interrupt: &mut Interrupt,
        first_frame: bool,
    ) -> (Result<(), Failure>, Option<Duration>) {
        let mut shown = None;
        let ended = self.watch(keys, interrupt, first_frame, &mut shown).await;
        self.say_the_rest().await;
        let Self {
            terminal,
            desk,
            events,
            ..
        } = self;
        // What follows may take a moment, and is for nobody to see.
        drop((terminal, events));
        let closed = match desk {
            Some(desk) => desk.close().await,
            None => Ok(()),
        };
        (ended.and(closed), shown)
    }

    /// What was said is handed to the desk, also if that is not there yet.
    async fn say_the_rest(&mut self) {
        self.waiting
            .retain(|order| matches!(order, Order::Say { .. }));
        if !self.waiting.is_empty()
            && let Some(starting) = self.starting.take()
            && let Ok(Ok((desk, _))) = timeout(FAREWELL, starting).await
        {
            self.orders = Some(desk.orders());
            self.desk = Some(desk);
        }
        self.hand_on();
    }

    async fn watch(
        &mut self,
        keys: &mut EventStream,
        interrupt: &mut Interrupt,
        first_frame: bool,
        shown: &mut Option<Duration>,
    ) -> Result<(), Failure> {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_frame = Instant::now();
        loop {
            if self.changed && Instant::now() >= next_frame {
                self.draw()?;
                next_frame = Instant::now() + FRAME;
                if self.listed && shown.is_none() {
                    *shown = Some(self.began.elapsed());
                    if first_frame {
                        return Ok(());
                    }
                }
            }
            self.hand_on();
            tokio::select! {
                () = interrupt.seen() => return Ok(()),
                happened = keys.next() => {
                    // The terminal is gone.
                    let Some(Ok(happened)) = happened else {
                        return Ok(());
                    };
                    if let Some(input) = input(happened)
                        && self.update(input)
                    {
                        return Ok(());
                    }
                }
                started = ready(&mut self.starting) => {
                    self.starting = None;
                    let (desk, events) = started?;
                    self.orders = Some(desk.orders());
                    self.events = Some(events);
                    self.desk = Some(desk);
                }
                event = next(&mut self.events) => {
                    match event {
                        Some(event) => self.happened(event),
                        None => {
                            self.events = None;
                            let text = "the client has ended: leave and start again";
                            self.screen.tell(Severity::Warning, text.to_owned());
                            self.changed = true;
                        }
                    }
                }
                () = sleep_until(next_frame), if self.changed => {}
                _ = ticks.tick() => {
                    self.update(Input::Tick);
                }
            }
        }
    }

    /// This event, and others that are there already.
    fn happened(&mut self, event: Event) {
        let at = now().as_unix_ms();
        let mut event = Some(event);
        for _ in 0..EVENTS {
            let Some(one) = event.take() else { break };
            self.listed |= matches!(one, Event::Contacts(_));
            self.model.apply(at, one);
            event = self
                .events
                .as_mut()
                .and_then(|events| events.try_recv().ok());
        }
        if let Some(one) = event {
            self.model.apply(at, one);
        }
        self.update(Input::Changed);
    }

    /// Whether the person leaves.
    fn update(&mut self, input: Input) -> bool {
        self.changed = true;
        let deeds = self.screen.update(&self.model, now().as_unix_ms(), input);
        for deed in deeds {
            match deed {
                Do::Quit => return true,
                Do::Bell => self.terminal.bell(),
                Do::Redraw => self.terminal.forget(),
                Do::Order(order) if self.waiting.len() < WAITING => self.waiting.push_back(order),
                Do::Order(order) => {
                    let text = "too much at once: that was not done";
                    let text = match order {
                        Order::Say { text: said, .. } => format!("{text}: {said}"),
                        _ => text.to_owned(),
                    };
                    self.screen.tell(Severity::Failure, text);
                }
            }
        }
        false
    }

    /// Gives the desk what waits for it.
    fn hand_on(&mut self) {
        let Some(orders) = &self.orders else { return };
        while let Some(order) = self.waiting.pop_front() {
            match orders.try_send(order) {
                Ok(()) => {}
                // It is tried again with the next event, a second from now at the latest.
                Err(mpsc::error::TrySendError::Full(order)) => {
                    self.waiting.push_front(order);
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let Self {
            terminal,
            screen,
            model,
            ..
        } = self;
        let unread = model.unread();
        terminal.name(&match unread {
            0 => format!("stanchion: {}", model.account),
            n => format!("({n}) stanchion: {}", model.account),
        });
        let drawn = terminal.draw(|frame| view(screen, model, frame));
        drawn.map_err(|e| Failure::failed(format!("the terminal: {e}")))?;
        self.changed = false;
        Ok(())
    }
}
