//! Binding processes to processors.

/// A processor for the server, while this process is bound to another one.
pub struct Apart {
    pub here: usize,
    pub server: usize,
    #[cfg(target_os = "linux")]
    before: rustix::thread::CpuSet,
}

#[cfg(target_os = "linux")]
impl Apart {
    /// `None` if this process may run on one processor only.
    pub fn new() -> Option<Self> {
        let before = rustix::thread::sched_getaffinity(None).unwrap();
        let mut allowed = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu));
        let (here, server) = (allowed.next()?, allowed.next()?);
        bind(here);
        Some(Self { here, server, before })
    }
}

#[cfg(target_os = "linux")]
impl Drop for Apart {
    fn drop(&mut self) {
        rustix::thread::sched_setaffinity(None, &self.before).unwrap();
    }
}

/// This thread, and those that it starts from now on.
#[cfg(target_os = "linux")]
pub fn bind(processor: usize) {
    let mut one = rustix::thread::CpuSet::new();
    one.set(processor);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

#[cfg(not(target_os = "linux"))]
impl Apart {
    pub fn new() -> Option<Self> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
pub fn bind(_: usize) {}
