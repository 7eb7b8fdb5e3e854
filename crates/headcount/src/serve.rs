//! `serve`: the API, and the way in for crossings.

use std::process::ExitCode;

use anyhow::Result;
use api::{App, HttpMetrics, Manners};
use occupancy::time::UnixMs;
use prometheus::Registry;
use query::Query;

use crate::args::{Keep, Serve};
use crate::feeding::Feeding;
use crate::live::Answers;
use crate::run::told_to_stop;
use crate::say::say;
use crate::server::{Answering, listen, raise_file_limit};
use crate::store_url::StoreUrl;
use crate::{clock, consume, opened};

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
    raise_file_limit();
    // Ports first: a server that cannot listen touches no store.
    let listener = listen(args.listen, "--listen").await?;
    let metrics_listener = listen(args.metrics_listen, "--metrics-listen").await?;
    let store = opened::to_serve(&args.keep).await?;
    let registry = Registry::new();
    let shared = args.keep.store.is_shared();
    let answers = Answers::over(store.clone(), shared, args.times, args.clients.live_clients, &registry)?;
    let feeding = match &args.kafka {
        None => Feeding::embedded(store, answers.feed(), args.times, args.lanes, &registry).await?,
        Some(brokers) if !args.consume => Feeding::Gateway(consume::gateway(brokers, &args.topic).await?),
        Some(brokers) => {
            let feed = if shared { consume::changelog(brokers, &args.topic.names)? } else { answers.feed() };
            Feeding::Kafka(consume::start(store, Some(feed), brokers, &args.topic, args.times, &registry).await?)
        }
    };
    // Until here, with nothing under way, a signal ends the process at once, however long the store takes to answer.
    let stop = told_to_stop()?;
    let follower = answers.follow(args.kafka.as_ref(), &args.topic)?;
    let app = app(&answers, &feeding, args.clients.manners(), &registry)?;
    let metrics = Answering::on(metrics_listener, api::metrics_app(registry))?;
    let answering = Answering::on(listener, api::app(app))?;
    let Answers { query, watch, .. } = answers;
    greet(&answering, &metrics, &args.keep, &query).await?;
    let failed = tokio::select! {
        () = stop => None,
        error = feeding.failed() => Some(error),
        never = query.topology().follow(), if follower.is_some() => match never {},
        never = watch.run() => match never {},
    };
    // Who watches would do so without end.
    watch.close();
    // In this order nothing acknowledged is lost: no new requests, the last ones answered, then the lanes drained.
    answering.stop().await;
    if let Some(follower) = follower {
        follower.stop().await;
    }
    feeding.stop().await?;
    metrics.stop().await;
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// What the routes need.
pub(crate) fn app(answers: &Answers, feeding: &Feeding, manners: Manners, registry: &Registry) -> Result<App> {
    Ok(App {
        query: answers.query.clone(),
        watch: answers.watch.clone(),
        intake: feeding.intake(),
        feed: feeding.feed(),
        metrics: HttpMetrics::new(registry)?,
        version: env!("CARGO_PKG_VERSION"),
        started_at: clock::now(),
        timeout_ms: REQUEST_TIMEOUT_MS,
        manners,
    })
}

/// Says where it answers, and what to do first when there is nothing yet.
async fn greet(answering: &Answering, metrics: &Answering, keep: &Keep, query: &Query) -> Result<()> {
    let url = format!("http://{}", answering.address);
    say!("Headcount {} answers at {url} (every route: {url}/docs)", env!("CARGO_PKG_VERSION"));
    say!("metrics for Prometheus: http://{}/metrics", metrics.address);
    match &keep.store {
        StoreUrl::Memory => say!("store: in memory, gone when this ends"),
        StoreUrl::Fjall(folder) => say!("store: {}", folder.display()),
        #[cfg(feature = "cql")]
        StoreUrl::Cql(url) => say!("store: {url}"),
    }
    let snapshot = query.topology().current().await?;
    let spaces = snapshot.world.spaces().count();
    if spaces > 0 {
        say!("{spaces} spaces, {} DPUs placed", snapshot.world.placed().count());
        return Ok(());
    }
    let server = if answering.address.port() == 8080 { String::new() } else { format!(" --server {url}") };
    say!();
    say!("There are no spaces yet. Say which spaces, doorways and DPUs there are:");
    say!("  headcount topology apply{server} examples/topology.toml");
    say!("then report a crossing:");
    let now: UnixMs = clock::now();
    say!("  curl {url}/v1/crossings -H 'content-type: application/json' \\");
    say!("    -d '{{\"dpu_id\":\"283\",\"crossings\":[{{\"at\":\"{now}\",\"direction\":1}}]}}'");
    say!("and ask:");
    say!("  curl {url}/v1/spaces/hall/count");
    Ok(())
}
