//! What is asked of operations.

use septum_api_types::v1::{Operation, OperationList, Problem};

use crate::Client;
use crate::partitions::encoded;

impl Client {
    /// The last thousand, oldest first.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn operations(&self) -> Result<Vec<Operation>, Problem> {
        let list: OperationList = self.ask("GET", "/v1/operations", None::<&()>).await?;
        Ok(list.items)
    }

    /// An operation.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn operation(&self, id: &str) -> Result<Operation, Problem> {
        self.ask("GET", &format!("/v1/operations/{}", encoded(id)), None::<&()>).await
    }

    /// Ends an operation.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn cancel(&self, id: &str) -> Result<Operation, Problem> {
        self.ask("POST", &format!("/v1/operations/{}/cancel", encoded(id)), None::<&()>).await
    }
}
