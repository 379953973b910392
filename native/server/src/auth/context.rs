//! Owns what authenticators share with their server: the limit on log lines, and metrics of their own.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mist_net::lock::Mutex;

use crate::log_limit::LogLimit;

/// Passed to each built-in authenticator.
#[derive(Clone, Default)]
pub(crate) struct Context {
    pub(crate) log: Arc<LogLimit>,
    figures: Arc<Mutex<Vec<Figure>>>,
}

/// A metric; those of several authenticators are added up.
#[derive(Clone)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// Whether it is a counter, else a gauge.
    pub(crate) is_counter: bool,
    pub(crate) value: Arc<AtomicU64>,
}

#[cfg(any(feature = "http", feature = "jwt"))]
impl Context {
    pub(super) fn counter(&self, name: &'static str, help: &'static str) -> Arc<AtomicU64> {
        self.figure(name, help, true)
    }

    pub(super) fn gauge(&self, name: &'static str, help: &'static str) -> Arc<AtomicU64> {
        self.figure(name, help, false)
    }

    fn figure(&self, name: &'static str, help: &'static str, is_counter: bool) -> Arc<AtomicU64> {
        let mut figures = self.figures.lock();
        if let Some(figure) = figures.iter().find(|figure| figure.name == name) {
            return Arc::clone(&figure.value);
        }
        let value = Arc::<AtomicU64>::default();
        figures.push(Figure {
            name,
            help,
            is_counter,
            value: Arc::clone(&value),
        });
        value
    }
}

impl Context {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        self.figures.lock().clone()
    }
}
