//! What is asked of partitions.

use hyper::body::Incoming;
use hyper::{Response, header};
use septum_api_types::v1::{
    CreatePartition, ExecRequest, Partition, PartitionList, Problem, ProblemCode, StopRequest,
};
use serde::de::DeserializeOwned;

use crate::session::{Listener, Speaker};
use crate::{Client, no_answer, whole};

/// A part of a path or of a query: what is not plain is written by its number.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The answer, which has to be one of these.
pub(crate) async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Problem> {
    let bytes = whole(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| no_answer(format!("its answer is strange: {error}")))
}

impl Client {
    /// All partitions that have these labels (`KEY` or `KEY=VALUE`), oldest first.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn partitions(&self, labels: &[String]) -> Result<Vec<Partition>, Problem> {
        let labels = encoded(&labels.join(","));
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/partitions?limit=1000&label={labels}{cursor}");
            let page: PartitionList = self.ask("GET", &path, None::<&()>).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => cursor = format!("&cursor={}", encoded(&next)),
                None => return Ok(all),
            }
        }
    }

    /// A partition, if there is one.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn partition(&self, wanted: &str) -> Result<Option<Partition>, Problem> {
        let found = self.ask("GET", &format!("/v1/partitions/{}", encoded(wanted)), None::<&()>).await;
        match found {
            Ok(partition) => Ok(Some(partition)),
            Err(problem) if problem.code == ProblemCode::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// What makes a partition.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn spec(&self, wanted: &str) -> Result<CreatePartition, Problem> {
        self.ask("GET", &format!("/v1/partitions/{}/spec", encoded(wanted)), None::<&()>).await
    }

    /// Makes a partition, once however often it is asked for with the same key.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn create(&self, create: &CreatePartition, key: &str) -> Result<Partition, Problem> {
        let body = serde_json::to_vec(create).map_err(no_answer)?;
        let headers = [("idempotency-key", key)];
        read(self.send_with("POST", "/v1/partitions", &headers, Some(body)).await?).await
    }

    /// Has something else make a partition, and starts it if it does not run and that is wanted.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn set_spec(
        &self,
        seen: &Partition,
        create: &CreatePartition,
        start: bool,
    ) -> Result<Partition, Problem> {
        let body = serde_json::to_vec(create).map_err(no_answer)?;
        let path = format!("/v1/partitions/{}/spec?start={start}", encoded(&seen.id));
        read(self.send_seen("PUT", &path, seen, Some(body)).await?).await
    }

    /// Starts a partition.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn start(&self, seen: &Partition) -> Result<Partition, Problem> {
        let path = format!("/v1/partitions/{}/start", encoded(&seen.id));
        read(self.send_seen("POST", &path, seen, None).await?).await
    }

    /// Has a partition end, and waits until it has.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn stop(&self, seen: &Partition, request: &StopRequest) -> Result<Partition, Problem> {
        let body = serde_json::to_vec(request).map_err(no_answer)?;
        let path = format!("/v1/partitions/{}/stop", encoded(&seen.id));
        read(self.send_seen("POST", &path, seen, Some(body)).await?).await
    }

    /// Removes a partition that does not run.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn remove(&self, seen: &Partition) -> Result<(), Problem> {
        let path = format!("/v1/partitions/{}", encoded(&seen.id));
        self.send_seen("DELETE", &path, seen, None).await.map(|_| ())
    }

    /// Starts another program in a partition, whose streams are the caller's. That it cannot be started is told there.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn exec(&self, wanted: &str, request: &ExecRequest) -> Result<(Speaker, Listener), Problem> {
        let path = format!("/v1/partitions/{}/exec", encoded(wanted));
        let (speaker, listener) = self.upgrade(&path).await?;
        speaker.say(request).await?;
        Ok((speaker, listener))
    }

    /// Starts another program in a partition, for which nobody waits.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn exec_detached(&self, wanted: &str, request: &ExecRequest) -> Result<(), Problem> {
        let body = serde_json::to_vec(request).map_err(no_answer)?;
        self.send("POST", &format!("/v1/partitions/{}/exec", encoded(wanted)), Some(body)).await.map(drop)
    }

    /// Becomes part of the streams of a partition's first program.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn attach(&self, wanted: &str) -> Result<(Speaker, Listener), Problem> {
        self.upgrade(&format!("/v1/partitions/{}/attach", encoded(wanted))).await
    }

    /// Fails if the partition is not what the caller has seen any more.
    async fn send_seen(
        &self,
        method: &str,
        path: &str,
        seen: &Partition,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Problem> {
        let tag = format!("\"{}\"", seen.revision);
        self.send_with(method, path, &[(header::IF_MATCH.as_str(), &tag)], body).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_paths() {
        assert_eq!(encoded("web-1.x_y"), "web-1.x_y");
        assert_eq!(encoded("../a?b=c&d é"), "..%2Fa%3Fb%3Dc%26d%20%C3%A9");
    }
}
