//! What is asked of partitions.

use hyper::body::Incoming;
use hyper::{Response, header};
use septum_api_types::v1::{
    CreatePartition, ExecRequest, KillRequest, LogLine, Partition, PartitionList, Problem, ProblemCode,
    Stats, StatsList, StopRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::feed::Feed;
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

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPart {
    /// Go on until the partition ends.
    pub follow: bool,
    /// Only so many lines from the end of what is there.
    pub tail: Option<usize>,
    /// Only what was said since then (RFC 3339).
    pub since: Option<String>,
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

    /// A partition; that there is none is a problem.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn look(&self, wanted: &str) -> Result<Partition, Problem> {
        self.ask("GET", &format!("/v1/partitions/{}", encoded(wanted)), None::<&()>).await
    }

    /// A partition, if there is one.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn partition(&self, wanted: &str) -> Result<Option<Partition>, Problem> {
        match self.look(wanted).await {
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

    /// An order for a partition, whatever its client has seen of it.
    async fn order(
        &self,
        wanted: &str,
        what: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<Partition, Problem> {
        self.ask("POST", &format!("/v1/partitions/{}/{what}", encoded(wanted)), Some(body)).await
    }

    /// Starts a partition, whatever it was when somebody looked.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn start_now(&self, wanted: &str) -> Result<Partition, Problem> {
        self.ask("POST", &format!("/v1/partitions/{}/start", encoded(wanted)), None::<&()>).await
    }

    /// Has a partition end, whatever it was when somebody looked, and waits until it has.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn stop_now(&self, wanted: &str, request: &StopRequest) -> Result<Partition, Problem> {
        self.order(wanted, "stop", request).await
    }

    /// Sends a partition's program a signal, or ends it.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn kill(&self, wanted: &str, request: &KillRequest) -> Result<Partition, Problem> {
        self.order(wanted, "kill", request).await
    }

    /// Holds a partition's processors.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn pause(&self, wanted: &str) -> Result<Partition, Problem> {
        self.order(wanted, "pause", &()).await
    }

    /// Lets a partition's processors go on.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn resume(&self, wanted: &str) -> Result<Partition, Problem> {
        self.order(wanted, "resume", &()).await
    }

    /// Waits until a partition does not run.
    ///
    /// # Errors
    /// See [`Problem`]; there is none any more is one.
    pub async fn wait(&self, wanted: &str) -> Result<Partition, Problem> {
        self.order(wanted, "wait", &()).await
    }

    /// Removes a partition; with `force` one that runs, too.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn remove_now(&self, wanted: &str, force: bool) -> Result<(), Problem> {
        self.send("DELETE", &format!("/v1/partitions/{}?force={force}", encoded(wanted)), None)
            .await
            .map(drop)
    }

    /// What a partition has said, piece by piece.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn logs(&self, wanted: &str, part: &LogPart) -> Result<Feed<LogLine>, Problem> {
        let mut path = format!("/v1/partitions/{}/logs?follow={}", encoded(wanted), part.follow);
        if let Some(lines) = part.tail {
            path += &format!("&tail={lines}");
        }
        if let Some(since) = &part.since {
            path += &format!("&since={}", encoded(since));
        }
        Ok(Feed::new(self.send("GET", &path, None).await?.into_body()))
    }

    /// A reading of what a partition uses; with `threads` of each thread, too.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn stats(&self, wanted: &str, threads: bool) -> Result<Stats, Problem> {
        let path = format!("/v1/partitions/{}/stats?threads={threads}", encoded(wanted));
        self.ask("GET", &path, None::<&()>).await
    }

    /// A reading of what all partitions use that run.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn all_stats(&self) -> Result<Vec<Stats>, Problem> {
        self.ask("GET", "/v1/stats", None::<&()>).await.map(|list: StatsList| list.items)
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
