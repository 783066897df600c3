use uuid::Uuid;

use super::Sandbox;
use super::pages::{Cut, cut};
use crate::database::endpoints::{ChangeEndpoint, CreateEndpoint, CreateFlow, DeleteEndpoint, DeleteFlow};
use crate::error::Error;
use crate::model::{Endpoint, EndpointChange, Flow, Header, MASK, NewEndpoint, NewFlow, Page, PageRequest};
use crate::rules::{headers, names, url};

/// # Flows and endpoints
#[expect(clippy::unused_async, reason = "calls are alike, wherever they find the answer")]
impl Sandbox {
    /// Makes a flow.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] says which value is wrong.
    pub async fn create_flow(&self, new: NewFlow) -> Result<Flow, Error> {
        names::flow(&new.name)?;
        names::ttl("sessionTtlSeconds", new.session_ttl_seconds)?;
        self.database().write(CreateFlow(new)).await
    }

    /// A flow.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub async fn flow(&self, id: Uuid) -> Result<Flow, Error> {
        self.database().now_known().flow(id).map(|(_, flow)| Flow::clone(flow))
    }

    /// All flows, the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the page is none.
    pub async fn flows(&self, page: PageRequest) -> Result<Page<Flow>, Error> {
        let Cut { before, limit } = cut(&page)?;
        let known = self.database().now_known();
        let flows = known.flows.newest_first(before).map(|(row, flow)| (row, Flow::clone(flow)));
        Ok(Cut { before, limit }.page(flows.take(limit + 1)))
    }

    /// Deletes a flow. Its sessions stay.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] while it has endpoints.
    pub async fn delete_flow(&self, id: Uuid) -> Result<(), Error> {
        self.database().write(DeleteFlow(id)).await
    }

    /// Makes an endpoint, which gets every event from now on. Here and wherever an endpoint is shown, the values of its
    /// headers are masked.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] says which value is wrong, [`Error::NotFound`] that there is no such flow.
    pub async fn create_endpoint(&self, new: NewEndpoint) -> Result<Endpoint, Error> {
        names::environment(&new.environment)?;
        url::check(&new.url, self.state().settings().allow_plain_http)?;
        names::description(&new.description)?;
        headers::check(&new.headers)?;
        names::events(&new.events)?;
        names::concurrency(new.concurrency)?;
        self.database().write(CreateEndpoint(new)).await.map(masked)
    }

    /// An endpoint.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub async fn endpoint(&self, id: Uuid) -> Result<Endpoint, Error> {
        self.database().now_known().endpoint(id).map(|(_, endpoint)| masked(Endpoint::clone(endpoint)))
    }

    /// The endpoints of a flow, of an environment, of both, or all; the newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the page is none.
    pub async fn endpoints(
        &self,
        flow: Option<Uuid>,
        environment: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Endpoint>, Error> {
        let Cut { before, limit } = cut(&page)?;
        let known = self.database().now_known();
        let wanted = known.endpoints.newest_first(before).filter(|(_, endpoint)| {
            flow.is_none_or(|flow| endpoint.flow_id == flow)
                && environment.is_none_or(|environment| endpoint.environment == environment)
        });
        let endpoints = wanted.map(|(row, endpoint)| (row, masked(Endpoint::clone(endpoint))));
        Ok(Cut { before, limit }.page(endpoints.take(limit + 1)))
    }

    /// Changes an endpoint. The next attempt goes by it, also of deliveries that wait already.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] says which value is wrong.
    pub async fn change_endpoint(&self, id: Uuid, change: EndpointChange) -> Result<Endpoint, Error> {
        if let Some(url) = &change.url {
            url::check(url, self.state().settings().allow_plain_http)?;
        }
        self.database().write(ChangeEndpoint(id, change)).await.map(masked)
    }

    /// Deletes an endpoint. Its deliveries that have not ended do so now; their history stays. Attempts that are under way
    /// are not called back.
    ///
    /// If the caller goes away, or the database fails once the endpoint is deleted, the deliveries end a little later.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is none.
    pub async fn delete_endpoint(&self, id: Uuid) -> Result<(), Error> {
        self.database().write(DeleteEndpoint(id)).await?;
        // The endpoint is gone, whatever comes of this: its lane sees to it as well, and nobody can drop that.
        if let Err(error) = self.database().sweep().await {
            tracing::warn!(endpoint = %id, %error, "what waits for an endpoint that was deleted ends later");
        }
        Ok(())
    }
}

fn masked(mut endpoint: Endpoint) -> Endpoint {
    for Header { value, .. } in &mut endpoint.headers {
        MASK.clone_into(value);
    }
    endpoint
}
