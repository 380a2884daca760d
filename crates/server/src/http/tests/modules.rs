//! What programs can call.

use serde_json::{Value, json};

use super::keys;
use crate::test_support::{get, server};

#[tokio::test]
async fn modules_and_namespaces_are_told_in_the_shape_of_the_reference() {
    let server = server().await;
    let router = server.router();
    let body = get(&router, "/modules").await.json();
    assert_eq!(keys(&body), ["modules"]);
    let modules = body["modules"].as_array().unwrap();
    assert_eq!(modules.len(), server.service().registry().len());
    let shout = modules.iter().find(|module| module["name"] == "Uppercase").unwrap();
    assert_eq!(keys(shout), ["name", "description", "version", "inputs", "outputs"]);
    assert_eq!(shout["inputs"], json!({ "text": "CString" }));

    let body = get(&router, "/namespaces").await.json();
    let namespaces: Vec<&str> =
        body["namespaces"].as_array().unwrap().iter().map(|namespace| namespace.as_str().unwrap()).collect();
    assert!(namespaces.is_sorted() && namespaces.contains(&"stdlib.math"), "{namespaces:?}");

    let body = get(&router, "/namespaces/stdlib.math").await.json();
    assert_eq!(keys(&body), ["namespace", "functions"]);
    assert_eq!(body["namespace"], "stdlib.math");
    let functions = body["functions"].as_array().unwrap();
    let add = functions.iter().find(|function| function["name"] == "add").unwrap();
    assert_eq!(
        *add,
        json!({
            "name": "add",
            "qualifiedName": "stdlib.math.add",
            "params": ["a: Int", "b: Int"],
            "returns": "Int"
        })
    );
    // A namespace has what is within it.
    let all = get(&router, "/namespaces/stdlib").await.json();
    let names: Vec<&Value> =
        all["functions"].as_array().unwrap().iter().map(|f| &f["qualifiedName"]).collect();
    assert!(names.contains(&&json!("stdlib.math.add")) && names.len() > functions.len());

    for path in ["/namespaces/stdlib.mat", "/namespaces/nope", "/namespaces/Std%20lib"] {
        let answer = get(&router, path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (404, &json!("NamespaceNotFound")),
            "{path}"
        );
    }
    assert_eq!(get(&router, "/namespaces/%ff").await.status, 400);
}
