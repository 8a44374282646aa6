//! The description of the API, made from what serves it.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Septum",
        description = "Partitions of a host: programs, each in a virtual machine of its own.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        septum_api_types::v1::Problem,
        septum_api_types::v1::Event,
        septum_api_types::v1::LogLine
    ))
)]
pub struct Description;

/// OpenAPI 3.1, as JSON.
///
/// # Errors
/// It cannot be written: a defect.
pub fn description() -> Result<String, serde_json::Error> {
    let (_, description) = crate::routes::described().split_for_parts();
    Ok(serde_json::to_string_pretty(&description)? + "\n")
}
