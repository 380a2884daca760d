//! The server as a client sees it, before and after it was started again on the same directory.

use std::path::Path;

use constellation_server::ConstellationServer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const SOURCE: &str = "
in weight: Float
in country: String
offer = AskCarrier(weight, country)
price = offer.cents
note = \"${offer.carrier} takes it\"
out price
out note
";

/// Serves the store of `directory` while `client` talks to it.
async fn serve(directory: &Path, client: impl FnOnce(&str) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = ConstellationServer::builder(order_server::registry().unwrap())
        .with_persistent_pipeline_store(directory)
        .serve(listener, async {
            let _ = stopped.await;
        });
    let client = async {
        tokio::task::spawn_blocking(move || client(&url)).await.unwrap();
        drop(stop);
    };
    let (served, ()) = tokio::join!(server, client);
    served.unwrap();
}

fn post(url: &str, path: &str, body: &Value) -> Value {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.post(format!("{url}{path}")).send_json(body).unwrap().body_mut().read_json().unwrap()
}

#[tokio::test]
async fn a_module_of_ones_own_is_called_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    serve(directory.path(), |url| {
        let compiled = post(url, "/compile", &json!({ "source": SOURCE, "name": "carrier" }));
        assert_eq!(compiled["success"], true, "{compiled}");
    })
    .await;
    serve(directory.path(), |url| {
        let run = |weight: f64| {
            let inputs = json!({ "weight": weight, "country": "DE" });
            post(url, "/execute", &json!({ "ref": "carrier", "inputs": inputs }))
        };
        let answer = run(2.5);
        assert_eq!(answer["outputs"], json!({ "price": 490, "note": "Post takes it" }), "{answer}");
        let failed = run(31.0);
        assert_eq!(failed["status"], "failed");
        assert!(failed["error"].as_str().unwrap().contains("no carrier takes 31 kg to DE"), "{failed}");
    })
    .await;
}
