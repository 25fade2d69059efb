//! What the SDK's functions share: the host, the templates, and the invocation
//! being run.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::regex::Patterns;
use super::template::Templates;
use super::{Host, Result, throw};
use crate::invoke::Handlers;
use crate::model::Invocation;

/// The SDK's functions hold it by reference count: a guest has one thread.
pub type Shared = Rc<Context>;

/// The host, the templates, and the invocation being run.
pub struct Context {
    host: Box<dyn Host>,
    /// `None` if the program has none.
    templates: Option<Templates>,
    /// `None` while the program is being loaded.
    running: RefCell<Option<Running>>,
    patterns: Patterns,
    /// Empty until the program is loaded.
    handlers: OnceCell<Handlers>,
}

struct Running {
    invocation: Rc<Invocation>,
    /// Made when the first random number is asked for.
    random: Option<Box<ChaCha20Rng>>,
}

impl Context {
    pub(crate) fn new(host: Box<dyn Host>, templates: Option<Templates>) -> Shared {
        Rc::new(Self {
            host,
            templates,
            running: RefCell::new(None),
            patterns: Patterns::default(),
            handlers: OnceCell::new(),
        })
    }

    /// What the program can invoke, once it is loaded.
    pub(crate) fn provide(&self, handlers: Handlers) {
        // Programs are loaded once; there is nothing to replace.
        let _ = self.handlers.set(handlers);
    }

    /// From here on the program answers an event.
    pub(crate) fn start(&self, invocation: Invocation) {
        let invocation = Rc::new(invocation);
        *self.running.borrow_mut() = Some(Running { invocation, random: None });
    }

    /// The host, for `service`.
    pub(crate) fn host(&self, service: &'static str) -> Result<&dyn Host> {
        if self.running.borrow().is_none() {
            return Err(not_available(service));
        }
        Ok(self.host.as_ref())
    }

    /// The host, or nothing while the program is being loaded.
    pub(crate) fn host_if_running(&self) -> Option<&dyn Host> {
        self.running.borrow().is_some().then_some(self.host.as_ref())
    }

    /// The program's templates; they do not wait for an invocation.
    pub(crate) fn templates(&self) -> Option<&Templates> {
        self.templates.as_ref()
    }

    /// The invocation, for `service`.
    pub(crate) fn invocation(&self, service: &'static str) -> Result<Rc<Invocation>> {
        match &*self.running.borrow() {
            Some(running) => Ok(Rc::clone(&running.invocation)),
            None => Err(not_available(service)),
        }
    }

    /// Has the invocation go on at another time, which only a test can.
    pub(crate) fn set_time(&self, now_ms: u64) {
        if let Some(running) = &mut *self.running.borrow_mut() {
            Rc::make_mut(&mut running.invocation).now_ms = now_ms;
        }
    }

    /// The regular expressions that have been compiled. They are the same
    /// whoever asks, so those of the program's loading stay.
    pub(super) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// What the program can invoke, for `service`.
    pub(super) fn handlers(&self, service: &'static str) -> Result<&Handlers> {
        match self.handlers.get() {
            Some(handlers) if self.running.borrow().is_some() => Ok(handlers),
            _ => Err(not_available(service)),
        }
    }

    /// Uses the invocation's random numbers, which its seed determines.
    pub(crate) fn with_random<T>(
        &self,
        service: &'static str,
        use_it: impl FnOnce(&mut ChaCha20Rng) -> Result<T>,
    ) -> Result<T> {
        let mut running = self.running.borrow_mut();
        let Some(Running { invocation, random }) = running.as_mut() else {
            return Err(not_available(service));
        };
        use_it(random.get_or_insert_with(|| {
            let mut seed = [0; 32];
            for (bytes, word) in seed.chunks_exact_mut(8).zip(invocation.seed) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            Box::new(ChaCha20Rng::from_seed(seed))
        }))
    }
}

fn not_available(service: &'static str) -> Box<rhai::EvalAltResult> {
    throw(
        service,
        "not_available",
        format!("{service} cannot be used while the program is being loaded; use it in a function"),
    )
}
