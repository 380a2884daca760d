//! A server whose pipelines can call `AskCarrier`, on a store in the directory `orders-store`.

use constellation_server::ConstellationServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ConstellationServer::builder(order_server::registry()?)
        .with_persistent_pipeline_store("orders-store")
        .run()
        .await?;
    Ok(())
}
