//! What is asked of images and volumes.

use septum_api_types::v1::{CreateVolume, Image, ImageDetails, ImageList, Problem, Volume, VolumeList};

use crate::Client;
use crate::partitions::encoded;

impl Client {
    /// All volumes, by name.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn volumes(&self) -> Result<Vec<Volume>, Problem> {
        self.ask("GET", "/v1/volumes", None::<&()>).await.map(|list: VolumeList| list.items)
    }

    /// A volume.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn volume(&self, name: &str) -> Result<Volume, Problem> {
        self.ask("GET", &format!("/v1/volumes/{}", encoded(name)), None::<&()>).await
    }

    /// Makes a volume; one of that name is as good.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn create_volume(&self, create: &CreateVolume) -> Result<Volume, Problem> {
        self.ask("POST", "/v1/volumes", Some(create)).await
    }

    /// Removes a volume that no partition has.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn remove_volume(&self, name: &str) -> Result<(), Problem> {
        self.send("DELETE", &format!("/v1/volumes/{}", encoded(name)), None).await.map(drop)
    }

    /// All images, by name.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn images(&self) -> Result<Vec<Image>, Problem> {
        self.ask("GET", "/v1/images", None::<&()>).await.map(|list: ImageList| list.items)
    }

    /// An image, by name or digest.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn image(&self, wanted: &str) -> Result<ImageDetails, Problem> {
        self.ask("GET", &format!("/v1/images/{}", encoded(wanted)), None::<&()>).await
    }

    /// Removes a name of an image, and the image with its last one.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn remove_image(&self, wanted: &str) -> Result<(), Problem> {
        self.send("DELETE", &format!("/v1/images/{}", encoded(wanted)), None).await.map(drop)
    }
}
