use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use idnow_webhooks_conformance::{Calls, Gate};
use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::{EventRouter, HandlerError};

/// What the panic says that is part of the plan.
pub(crate) const PANIC: &str = "the handler panics, as planned";

/// What the handler does from now on.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Succeed,
    Fail,
    FailForGood,
    Panic,
    Wait(Gate),
    /// SIGKILL for the process.
    Die,
}

/// A handler that can be told at any time what to do, and how often it was started.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    calls: Calls,
    plan: Arc<Mutex<Plan>>,
    /// Where starts are noted for other processes.
    file: Option<Arc<File>>,
}

impl Handler {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { calls: Calls::new(), plan: Arc::new(Mutex::new(plan)), file: None }
    }

    /// Each start is a line with the event's id in this file.
    pub(crate) fn noting(self, file: File) -> Self {
        Self { file: Some(Arc::new(file)), ..self }
    }

    pub(crate) fn plan(&self, plan: Plan) {
        *self.plan.lock().unwrap() = plan;
    }

    /// How often it was started for this event.
    pub(crate) fn runs(&self, id: &str) -> usize {
        self.calls.ids().iter().filter(|ran| *ran == id).count()
    }

    pub(crate) fn router(&self) -> EventRouter {
        let handler = self.clone();
        EventRouter::new().on_any(move |event: RawEvent| {
            let plan = handler.begin(&event.id);
            async move {
                match plan {
                    Plan::Succeed => Ok(()),
                    Plan::Fail => Err(HandlerError::retry("the bank's database is away")),
                    Plan::FailForGood => Err(HandlerError::permanent("nobody knows this session")),
                    Plan::Panic => panic!("{PANIC}"),
                    Plan::Die => die(),
                    Plan::Wait(gate) => {
                        gate.pass().await;
                        Ok(())
                    }
                }
            }
        })
    }

    /// Notes that it was started, and says what to do.
    fn begin(&self, id: &str) -> Plan {
        if let Some(mut file) = self.file.as_deref() {
            file.write_all(format!("{id}\n").as_bytes()).unwrap();
        }
        self.calls.note(id);
        self.plan.lock().unwrap().clone()
    }
}

/// Does not return, so that no time-out of the handler or of its answer can come before the end.
fn die() -> ! {
    let process = std::process::id().to_string();
    let said = std::process::Command::new("kill").args(["-KILL", &process]).output();
    panic!("the process lives: {said:?}");
}
