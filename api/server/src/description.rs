//! The description of the API, made from what serves it.

use utoipa::OpenApi;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

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
        septum_api_types::v1::LogLine,
        septum_api_types::v1::ToProgram,
        septum_api_types::v1::FromProgram
    ))
)]
pub struct Description;

/// OpenAPI 3.1, as JSON.
///
/// # Errors
/// It cannot be written: a defect.
pub fn description() -> Result<String, serde_json::Error> {
    let (_, mut description) = crate::routes::described().split_for_parts();
    without_nulls(&mut description);
    Ok(serde_json::to_string_pretty(&description)? + "\n")
}

/// Headers and parts of a query are there or are not; `null` would be the four letters.
fn without_nulls(description: &mut utoipa::openapi::OpenApi) {
    for item in description.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        let parameters = operations.into_iter().flatten().filter_map(|it| it.parameters.as_mut()).flatten();
        for parameter in parameters {
            if let RefOr::T(parameter) = parameter
                && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
                && let SchemaType::Array(types) = &mut object.schema_type
            {
                types.retain(|it| *it != Type::Null);
                if let [only] = &types[..] {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
        }
    }
}
