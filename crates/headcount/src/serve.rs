//! `serve`: the API, and the way in for crossings.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use api::{App, HttpMetrics};
use occupancy::time::UnixMs;
use prometheus::Registry;
use query::Query;
use store::Store;

use crate::args::{Keep, Serve, Times};
use crate::feeding::Feeding;
use crate::run::told_to_stop;
use crate::server::{Answering, listen};
use crate::store_url::StoreUrl;
use crate::{clock, consume, live, opened};

/// How long a request may take: longer than the way in waits for the store.
const REQUEST_TIMEOUT_MS: u64 = 30_000;

/// Serves until it is told to stop, or its way in fails for good.
pub(crate) async fn serve(args: Serve) -> Result<ExitCode> {
    #[cfg(feature = "cql")]
    if let (StoreUrl::Cql(_), None) = (&args.keep.store, &args.kafka) {
        // Its commits are not atomic: one cut short is completed when the log delivers the same records again.
        anyhow::bail!("a cql: store takes crossings from Kafka only: name the cluster with --kafka, or choose --store fjall:FOLDER");
    }
    if !args.consume && args.kafka.is_none() {
        anyhow::bail!("--consume false needs --kafka: crossings that come over HTTP have to go somewhere");
    }
    // Ports first: a server that cannot listen touches no store.
    let listener = listen(args.listen, "--listen").await?;
    let metrics_listener = listen(args.metrics_listen, "--metrics-listen").await?;
    let store = opened::to_serve(&args.keep).await?;
    let registry = Registry::new();
    let feeding = match &args.kafka {
        None => Feeding::embedded(store.clone(), args.times, args.lanes, &registry).await?,
        Some(brokers) if !args.consume => Feeding::Gateway(consume::gateway(brokers, &args.topic).await?),
        Some(brokers) => Feeding::Kafka(consume::start(store.clone(), &args.keep, brokers, &args.topic, args.times, &registry).await?),
    };
    // Until here, with nothing under way, a signal ends the process at once, however long the store takes to answer.
    let stop = told_to_stop()?;
    let viewed = live::view(store, &args, &registry)?;
    let app = app(&viewed.store, &feeding, args.times, &registry)?;
    let query = app.query.clone();
    let metrics = Answering::on(metrics_listener, api::metrics_app(registry))?;
    let answering = Answering::on(listener, api::app(app))?;
    greet(&answering, &metrics, &args.keep, &query).await?;
    let failed = tokio::select! {
        () = stop => None,
        error = feeding.failed() => Some(error),
        never = query.topology().follow(), if viewed.has_others() => match never {},
    };
    // In this order nothing acknowledged is lost: no new requests, the last ones answered, then the lanes drained.
    answering.stop().await;
    viewed.stop().await;
    feeding.stop().await?;
    metrics.stop().await;
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// What the routes need.
pub(crate) fn app(store: &Arc<dyn Store>, feeding: &Feeding, times: Times, registry: &Registry) -> Result<App> {
    let settings = query::Settings { max_clock_ahead_ms: times.max_clock_ahead_ms, silent_after_ms: times.silent_after_ms };
    Ok(App {
        query: Arc::new(Query::new(store.clone(), clock::system(), settings)),
        intake: feeding.intake(),
        feed: feeding.feed(),
        metrics: HttpMetrics::new(registry)?,
        version: env!("CARGO_PKG_VERSION"),
        started_at: clock::now(),
        timeout_ms: REQUEST_TIMEOUT_MS,
    })
}

/// Says where it answers, and what to do first when there is nothing yet.
async fn greet(answering: &Answering, metrics: &Answering, keep: &Keep, query: &Query) -> Result<()> {
    let url = format!("http://{}", answering.address);
    println!("Headcount {} answers at {url} (every route: {url}/docs)", env!("CARGO_PKG_VERSION"));
    println!("metrics for Prometheus: http://{}/metrics", metrics.address);
    match &keep.store {
        StoreUrl::Memory => println!("store: in memory, gone when this ends"),
        StoreUrl::Fjall(folder) => println!("store: {}", folder.display()),
        #[cfg(feature = "cql")]
        StoreUrl::Cql(url) => println!("store: {url}"),
    }
    let snapshot = query.topology().current().await?;
    let spaces = snapshot.world.spaces().count();
    if spaces > 0 {
        println!("{spaces} spaces, {} DPUs placed", snapshot.world.placed().count());
        return Ok(());
    }
    let server = if answering.address.port() == 8080 { String::new() } else { format!(" --server {url}") };
    println!();
    println!("There are no spaces yet. Say which spaces, doorways and DPUs there are:");
    println!("  headcount topology apply{server} examples/topology.toml");
    println!("then report a crossing:");
    let now: UnixMs = clock::now();
    println!("  curl {url}/v1/crossings -H 'content-type: application/json' \\");
    println!("    -d '{{\"dpu_id\":\"283\",\"crossings\":[{{\"at\":\"{now}\",\"direction\":1}}]}}'");
    println!("and ask:");
    println!("  curl {url}/v1/spaces/hall/count");
    Ok(())
}
