//! The functions that a page calls. Texts are written to where [`room`] says, and given by how many bytes they are; several
//! stand each behind its length. Knows nothing of what a broker is.

#![expect(
    unsafe_code,
    reason = "the names of exports, and a state that is shared with no other thread"
)]

use alloc::vec::Vec;
use core::cell::RefCell;
use core::str;

use mist_core::Limits;

use crate::broker::Broker;
use crate::effects::Effects;

/// What a module's one instance holds.
struct State {
    input: Vec<u8>,
    effects: Effects,
    /// What the broker is to keep, until there is one.
    limits: Option<Limits>,
    broker: Option<Broker>,
}

struct Local(RefCell<State>);

// SAFETY: a page's module has no threads.
unsafe impl Sync for Local {}

static STATE: Local = Local(RefCell::new(State {
    input: Vec::new(),
    effects: Effects::new(),
    limits: None,
    broker: None,
}));

/// What a long text may take for longer than it is needed.
const KEPT: usize = 64 << 10;

/// Makes room for so many bytes, and returns where it is. What earlier calls wanted done is forgotten.
#[unsafe(no_mangle)]
extern "C" fn room(bytes: usize) -> *mut u8 {
    let State { input, effects, .. } = &mut *STATE.0.borrow_mut();
    effects.clear();
    input.clear();
    input.shrink_to(bytes.max(KEPT));
    input.resize(bytes, 0);
    input.as_mut_ptr()
}

/// Where the list is of what is to be done.
#[unsafe(no_mangle)]
extern "C" fn effects() -> *const u8 {
    STATE.0.borrow().effects.bytes().as_ptr()
}

/// How many bytes it has.
#[unsafe(no_mangle)]
extern "C" fn effects_len() -> usize {
    STATE.0.borrow().effects.bytes().len()
}

/// Sets a limit of the broker that is to be. Returns whether it can be so; the list says why not.
#[unsafe(no_mangle)]
extern "C" fn limit(value: f64) -> bool {
    let State {
        input,
        effects,
        limits,
        ..
    } = &mut *STATE.0.borrow_mut();
    let limits = limits.get_or_insert_default();
    match limits.set_one_of(Limits::OF_BROKER, text(input), value as u64) {
        Ok(()) => true,
        Err(wrong) => {
            effects.refuse(&wrong);
            false
        }
    }
}

/// Makes the broker; its token stands in the room, if it has one.
#[unsafe(no_mangle)]
extern "C" fn start(seed: u64, has_token: bool, is_scoped: bool) {
    let state = &mut *STATE.0.borrow_mut();
    let limits = state.limits.take().unwrap_or_default();
    let token = has_token.then(|| text(&state.input));
    state.broker = Some(Broker::new(seed, limits, token, is_scoped));
}

/// Opens a session, and returns its number.
#[unsafe(no_mangle)]
extern "C" fn connect(is_page: bool) -> usize {
    with(0, |broker, _, _| broker.connect(is_page))
}

/// Closes a session.
#[unsafe(no_mangle)]
extern "C" fn disconnect(session: usize) {
    with((), |broker, _, effects| broker.disconnect(session, effects));
}

/// Takes a message of a session, at a time in seconds since 1970.
#[unsafe(no_mangle)]
extern "C" fn receive(session: usize, now: f64) {
    with((), |broker, input, effects| {
        broker.receive(session, input, now as u64, effects);
    });
}

/// Ends what is due by now.
#[unsafe(no_mangle)]
extern "C" fn expire(now: f64) {
    with((), |broker, _, effects| broker.expire(now as u64, effects));
}

/// Adds a custom command; `false` when the broker has one of that name.
#[unsafe(no_mangle)]
extern "C" fn add_command() -> bool {
    with(false, |broker, input, _| broker.add_command(text(input)))
}

/// Answers a custom command: with an error, with data and tags, or without anything.
#[unsafe(no_mangle)]
extern "C" fn answer(session: usize, is_error: bool) {
    with((), |broker, input, effects| {
        broker.answer(session, is_error, texts(input), effects);
    });
}

/// Whether a session may publish the message in the room, which has no data; then the list says to whom it goes.
#[unsafe(no_mangle)]
extern "C" fn reach(session: usize) -> bool {
    with(false, |broker, input, effects| {
        broker.reach(session, input, effects)
    })
}

/// Sessions that hold a subscription now.
#[unsafe(no_mangle)]
extern "C" fn subscribers() -> usize {
    with(0, |broker, _, _| broker.stats().subscribers)
}

/// Subscriptions held now.
#[unsafe(no_mangle)]
extern "C" fn subscriptions() -> usize {
    with(0, |broker, _, _| broker.stats().subscriptions)
}

fn with<T>(otherwise: T, call: impl FnOnce(&mut Broker, &[u8], &mut Effects) -> T) -> T {
    let State {
        input,
        effects,
        broker,
        ..
    } = &mut *STATE.0.borrow_mut();
    match broker {
        Some(broker) => call(broker, input, effects),
        None => otherwise,
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

/// Texts that stand one behind the other, each behind its length.
fn texts(mut bytes: &[u8]) -> impl Iterator<Item = &str> {
    core::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (next, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Some(text(next))
    })
}
