//! Archives, sent and received piece by piece.

use std::io;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header;
use septum_api_types::v1::problem::TRAILER;
use septum_api_types::v1::{Operation, Problem};
use tokio::sync::mpsc;

use crate::partitions::{encoded, read};
use crate::{Client, Payload, no_answer};

/// What is sent: pieces from whoever has the other end. An error breaks the request off, so that nobody takes a part for the whole.
pub type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// An archive that comes.
#[derive(Debug)]
pub struct Archive(Incoming);

impl Archive {
    /// The next piece; `None` when it is whole.
    ///
    /// # Errors
    /// It is not, and will not be.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(frame) = self.0.frame().await {
            let frame = match frame.map_err(no_answer)?.into_data() {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(frame) => frame,
            };
            let trailer = frame.into_trailers().ok().and_then(|trailers| trailers.get(TRAILER).cloned());
            if let Some(text) = trailer {
                return Err(serde_json::from_slice(text.as_bytes()).unwrap_or_else(no_answer));
            }
        }
        Ok(None)
    }
}

fn payload(pieces: Pieces) -> Payload {
    let frames = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece.map(Frame::data), pieces))
    });
    StreamBody::new(frames).boxed_unsync()
}

const TAR: (&str, &str) = ("content-type", "application/x-tar");

impl Client {
    /// A file or a directory of a partition that runs, as a tar whose entries begin with its name.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn pack(&self, wanted: &str, path: &str) -> Result<Archive, Problem> {
        let path = format!("/v1/partitions/{}/files?path={}", encoded(wanted), encoded(path));
        let headers = [(header::TE.as_str(), "trailers")];
        Ok(Archive(self.send_with("GET", &path, &headers, None).await?.into_body()))
    }

    /// Unpacks a tar into a directory of a partition that runs.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn unpack(&self, wanted: &str, path: &str, archive: Pieces) -> Result<(), Problem> {
        let path = format!("/v1/partitions/{}/files?path={}", encoded(wanted), encoded(path));
        self.send_body("PUT", &path, &[TAR], payload(archive)).await.map(drop)
    }

    /// Sends an archive of which an image is made: an operation.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn build_image(&self, name: Option<&str>, archive: Pieces) -> Result<Operation, Problem> {
        let name = name.map(|name| format!("?name={}", encoded(name))).unwrap_or_default();
        let path = format!("/v1/images{name}");
        read(self.send_body("POST", &path, &[TAR], payload(archive)).await?).await
    }
}
