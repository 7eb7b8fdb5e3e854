//! The description of the API, kept in the repository so that every change of it is seen.

use std::path::Path;

use axum::body::Body;
use axum::http::Request;

use crate::support::Server;

/// Set `UPDATE_GOLDEN=1` to write the file anew, and read the difference before committing it.
#[tokio::test]
async fn the_description_is_the_one_in_the_repository() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/openapi.json");
    let description = api::openapi();
    let text = serde_json::to_string_pretty(&description).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == text, "the API differs from {}: if that is meant, run this test with UPDATE_GOLDEN=1", path.display());

    let served = Server::new().await.get("/openapi.json").await.json();
    assert_eq!(served, serde_json::to_value(&description).unwrap());
}

#[test]
fn every_operation_is_described_in_words() {
    let description = serde_json::to_value(api::openapi()).unwrap();
    let mut operations = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}");
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{method} {path}");
            operations += 1;
        }
    }
    assert_eq!(operations, 25);
}

#[test]
fn every_error_that_is_described_has_an_example_of_its_status_and_of_a_type_there_is() {
    let kinds = include_str!("../../src/problem.rs");
    let description = serde_json::to_value(api::openapi()).unwrap();
    let mut examples = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let responses = operation["responses"].as_object().unwrap();
            for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                let example = &response["content"]["application/problem+json"]["example"];
                assert_eq!(example["status"].to_string(), *status, "{path} {status}");
                let kind = example["type"].as_str().unwrap().strip_prefix("/problems/").unwrap();
                let row = format!("\"{kind}\", {})", example["title"]);
                assert!(kinds.contains(&row), "{path} {status}: {row} is not in the table of problems");
                assert!(!example["detail"].as_str().unwrap().is_empty());
                examples += 1;
            }
        }
    }
    assert!(examples > 30, "{examples}");
}

/// What is not there, and a body that breaks off: every operation that has such an example answers it, to the type.
#[tokio::test]
async fn examples_of_errors_are_what_is_answered() {
    let server = Server::campus().await;
    let description = serde_json::to_value(api::openapi()).unwrap();
    let mut answered = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let (status, body) = if operation["requestBody"].is_null() { ("404", "") } else { ("400", "{") };
            let example = &operation["responses"][status]["content"]["application/problem+json"]["example"];
            if example.is_null() {
                continue;
            }
            let takes = |name: &str| operation["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == name);
            let query = if takes("space") { "?space=nowhere" } else { "" };
            let query = if takes("reason") { "?reason=miscounted" } else { query };
            let target = path.replace("{id}", "nowhere").replace("{root}", "nowhere") + query;
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&target).header("content-type", "application/json");
            let answer = server.call(request.body(Body::from(body)).unwrap()).await.json();
            assert_eq!((&answer["status"], &answer["type"]), (&example["status"], &example["type"]), "{method} {target}: {answer}");
            answered += 1;
        }
    }
    assert!(answered > 15, "{answered}");
}

/// A schema goes by the name of its type, wherever that stands: of two alike one would describe the other's answers.
#[test]
fn no_two_schemas_have_the_same_name() {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut names = std::collections::BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for described in text.split("ToSchema)]").skip(1) {
            let declared = |line: &str| {
                let line = line.trim_start_matches("pub(crate) ");
                let rest = line.strip_prefix("struct ").or_else(|| line.strip_prefix("enum "))?;
                rest.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned)
            };
            let name = described.lines().find_map(declared).unwrap();
            assert!(names.insert(name.clone()), "{name} in {} is not the only one", path.display());
        }
    }
    assert!(names.len() > 30, "{names:?}");
}
