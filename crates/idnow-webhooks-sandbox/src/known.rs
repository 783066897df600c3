//! What is small and asked for all the time: flows, endpoints and keys. The database holds them, too; the writer
//! changes both together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::error::Error;
use crate::keys::{KeyEntry, SigningKey};
use crate::model::{Endpoint, Flow, KeyState};

/// How it was at one moment. Clones share what is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) flows: Table<Flow>,
    /// With the values of their headers.
    pub(crate) endpoints: Table<Endpoint>,
    /// The rows of the endpoints of a flow and an environment.
    of: HashMap<(Uuid, String), Vec<i64>>,
    /// From the oldest on.
    pub(crate) keys: Vec<KeyEntry>,
}

impl Known {
    pub(crate) fn flow(&self, id: Uuid) -> Result<(i64, &Arc<Flow>), Error> {
        self.flows.get(id).ok_or_else(|| Error::not_found("flow", id))
    }

    pub(crate) fn endpoint(&self, id: Uuid) -> Result<(i64, &Arc<Endpoint>), Error> {
        self.endpoints.get(id).ok_or_else(|| Error::not_found("endpoint", id))
    }

    pub(crate) fn put_endpoint(&mut self, row: i64, endpoint: Endpoint) {
        let rows = self.of.entry((endpoint.flow_id, endpoint.environment.clone())).or_default();
        if !rows.contains(&row) {
            rows.push(row);
        }
        self.endpoints.put(row, endpoint.id, endpoint);
    }

    pub(crate) fn remove_endpoint(&mut self, id: Uuid) {
        if let Some((row, endpoint)) = self.endpoints.remove(id) {
            let of = (endpoint.flow_id, endpoint.environment.clone());
            if let Some(rows) = self.of.get_mut(&of) {
                rows.retain(|other| *other != row);
                if rows.is_empty() {
                    self.of.remove(&of);
                }
            }
        }
    }

    /// The endpoints of a flow and an environment, enabled or not.
    pub(crate) fn endpoints_of<'a>(
        &'a self,
        flow: Uuid,
        environment: &str,
    ) -> impl Iterator<Item = (i64, &'a Arc<Endpoint>)> {
        let rows = self.of.get(&(flow, environment.to_owned())).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(|row| Some((*row, self.endpoints.at(*row)?)))
    }

    pub(crate) fn has_endpoints(&self, flow: Uuid) -> bool {
        self.of.keys().any(|(of, _)| *of == flow)
    }

    pub(crate) fn active_key(&self) -> Result<&Arc<SigningKey>, Error> {
        let active = self.keys.iter().rev().find(|entry| entry.state == KeyState::Active);
        let active = active.and_then(|entry| entry.private.as_ref());
        active.ok_or_else(|| Error::unavailable("the database has no active key"))
    }
}

/// Values by their number in the database and by their id.
#[derive(Debug, Clone)]
pub(crate) struct Table<T> {
    rows: BTreeMap<i64, Arc<T>>,
    ids: HashMap<Uuid, i64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), ids: HashMap::new() }
    }
}

impl<T> Table<T> {
    pub(crate) fn get(&self, id: Uuid) -> Option<(i64, &Arc<T>)> {
        let row = *self.ids.get(&id)?;
        Some((row, self.rows.get(&row)?))
    }

    pub(crate) fn at(&self, row: i64) -> Option<&Arc<T>> {
        self.rows.get(&row)
    }

    pub(crate) fn put(&mut self, row: i64, id: Uuid, value: T) {
        self.ids.insert(id, row);
        self.rows.insert(row, Arc::new(value));
    }

    pub(crate) fn remove(&mut self, id: Uuid) -> Option<(i64, Arc<T>)> {
        let row = self.ids.remove(&id)?;
        Some((row, self.rows.remove(&row)?))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// From the newest to the oldest of those that are older than `before`.
    pub(crate) fn newest_first(&self, before: i64) -> impl Iterator<Item = (i64, &Arc<T>)> {
        self.rows.range(..before).rev().map(|(row, value)| (*row, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        self.rows.values()
    }
}
