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

/// What comes of an id, of parameters, of a body, of a limit, of a store that does not answer.
#[test]
fn every_operation_describes_the_errors_of_what_it_takes() {
    let description = serde_json::to_value(api::openapi()).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = || operation["parameters"].as_array().into_iter().flatten();
            let (input, body) = (parameters().any(|one| one["in"] != "header"), !operation["requestBody"].is_null());
            let expected = [("400", input || body), ("413", body), ("415", body), ("429", true), ("503", path != "/healthz")];
            for (status, answered) in expected {
                let response = &operation["responses"][status];
                assert_eq!(response.is_object(), answered, "{method} {path} {status}");
                let retry = answered && matches!(status, "429" | "503");
                assert_eq!(response["headers"]["Retry-After"].is_object(), retry, "{method} {path} {status}");
            }
        }
    }
}

/// What is not there, an id that is none, a page of no size, a body that breaks off, is too large or no JSON, a missing
/// If-Match: every operation that has such an example answers it, to the letter but for what is not there.
#[tokio::test]
async fn examples_of_errors_are_what_is_answered() {
    let server = Server::campus().await;
    let description = serde_json::to_value(api::openapi()).unwrap();
    let mut answered = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let takes = |name: &str| operation["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == name);
            let query = if takes("space") { "?space=nowhere" } else { "" };
            let query = if takes("reason") && method == "delete" { "?reason=miscounted" } else { query };
            let of = |id: &str, query: &str| path.replace("{id}", id).replace("{root}", id) + query;
            let (json, plain) = (("content-type", "application/json"), ("content-type", "text/plain"));
            let asked = if operation["requestBody"].is_null() {
                let several = ["/v1/counts", "/v1/history", "/v1/live"].contains(&path.as_str());
                let nothing = if several { "" } else { "?limit=0" };
                let unreadable = if path.contains('{') { of("a%20b", query) } else { of("", nothing) };
                vec![("404", of("nowhere", query), "", json, None), ("400", unreadable, "", json, None)]
            } else {
                let body = |status, text, kind, says: Option<u32>| (status, of("nowhere", ""), text, kind, says);
                let empty = if path.ends_with("installations") { r#"{"installations":[]}"# } else { "{}" };
                let large = body("413", "", json, Some(64 << 20));
                vec![body("400", "{", json, None), large, body("415", "{}", plain, None), body("428", empty, json, None)]
            };
            for (status, target, body, kind, says) in asked {
                let example = &operation["responses"][status]["content"]["application/problem+json"]["example"];
                if example.is_null() {
                    continue;
                }
                let request = Request::builder().method(method.to_uppercase().as_str()).uri(&target).header(kind.0, kind.1);
                let request = says.into_iter().fold(request, |request, bytes| request.header("content-length", bytes));
                let answer = server.call(request.body(Body::from(body)).unwrap()).await.json();
                assert_eq!((&answer["status"], &answer["type"]), (&example["status"], &example["type"]), "{method} {target}: {answer}");
                assert!(status == "404" || answer == *example, "{method} {target}: {answer} {example}");
                answered += 1;
            }
        }
    }
    assert!(answered > 40, "{answered}");
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
