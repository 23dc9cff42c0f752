//! `sgl serve`: answers over HTTP.
//!
//! One process listens. Supervised, it hands requests to another, which has the models: see `sgl::server::supervisor`.

pub mod config;
mod signals;
#[cfg(unix)]
mod supervised;

use super::args::{LimitArgs, PictureArgs, ServeArgs, ServerArgs};
use super::error::{Exit, Failure};
use super::output::{Console, print};
use super::resolve::{Pair, settings};
use sgl::engine::{Engine, EngineOptions};
use sgl::media::Limits;
use sgl::pipeline::Request;
use sgl::server::edge::{EdgeOptions, Hosts, Listener};
use sgl::server::{self, ApiKeys, Defaults, PictureOptions, RemoteLimits, RequestLimits, ServerOptions};
use std::fs;
use std::future::Future;
use std::path::Path;
use tokio::runtime::Runtime;

pub fn run(args: &ServeArgs, console: &Console) -> Result<(), Failure> {
    if args.server.print_config {
        return print(&args.printed);
    }
    let runtime = Runtime::new().map_err(|error| Failure::new(Exit::Output, format!("no threads: {error}")))?;
    #[cfg(unix)]
    if args.server.worker.is_none() && (args.server.supervise || !args.server.no_supervise) {
        // What can be told without touching a device is told before anybody is let in.
        keys(&args.server)?;
        picture_options(&args.pictures, &args.limits)?;
        return runtime.block_on(supervised::run(args, console));
    }
    let (request, mut pair) = settings(&args.common, console)?;
    pair.warm(&args.warmth);
    let options = options(args, request, pair.guide.is_some())?;
    runtime.block_on(work(args, options, pair, console))
}

/// The process that has the models.
async fn work(args: &ServeArgs, options: ServerOptions, pair: Pair, console: &Console) -> Result<(), Failure> {
    let ServerArgs { shutdown_timeout, parallel, .. } = args.server;
    let listener = listen(&args.server).await?;
    let is_worker = args.server.worker.is_some();
    if !is_worker {
        print(&format!("listening on {}\n", listener.url()))?;
    }
    let progress = console.progress();
    let engine = EngineOptions { n_parallel: parallel, max_queued: args.limits.max_queued };
    let load = {
        let progress = progress.clone();
        move || {
            let shown = progress.clone();
            let engine = Engine::load(pair.guide, pair.target, engine, move |role, share| shown.loading(role, share));
            progress.clear();
            let engine = engine?;
            if is_worker {
                print("ready\n")?;
            }
            Ok::<Engine, Failure>(engine)
        }
    };
    let edge = edge_options(args)?;
    let serving = server::serve(listener, options, edge, load, shutdown(&args.server), shutdown_timeout);
    serving.await.inspect_err(|_| progress.clear())
}

/// A worker ends when the process that started it lets go of it.
fn shutdown(args: &ServerArgs) -> impl Future<Output = ()> + use<> {
    let is_worker = args.worker.is_some();
    async move {
        tokio::select! {
            () = signals::told_to_end() => {}
            () = signals::let_go(), if is_worker => {}
        }
    }
}

async fn listen(args: &ServerArgs) -> Result<Listener, Failure> {
    match args.worker.as_ref().or(args.unix.as_ref()) {
        Some(path) => unix(path),
        None => {
            let ServerArgs { host, port, .. } = args;
            Listener::tcp(host, *port).await.map_err(|error| {
                let message = format!("cannot listen on {host}:{port}: {error}; choose another with --port or --host");
                Failure::new(Exit::Output, message)
            })
        }
    }
}

#[cfg(unix)]
fn unix(path: &Path) -> Result<Listener, Failure> {
    let failed = |error| {
        Failure::new(Exit::Output, format!("cannot listen at {}: {error}; choose another path", path.display()))
    };
    Listener::unix(path).map_err(failed)
}

#[cfg(not(unix))]
fn unix(_: &Path) -> Result<Listener, Failure> {
    Err(super::resolve::usage("this system has no Unix sockets; leave --unix out"))
}

fn options(args: &ServeArgs, request: Request, has_guide: bool) -> Result<ServerOptions, Failure> {
    let ServerArgs { parallel, .. } = args.server;
    Ok(ServerOptions {
        defaults: Defaults { request, has_guide },
        alias: args.server.alias.clone(),
        n_parallel: parallel,
        keys: keys(&args.server)?,
        cors_origins: args.server.cors_origin.clone(),
        limits: request_limits(&args.limits, parallel),
        pictures: picture_options(&args.pictures, &args.limits)?,
        ping_interval: args.limits.sse_ping_interval,
    })
}

fn request_limits(args: &LimitArgs, parallel: usize) -> RequestLimits {
    RequestLimits {
        max_requests: parallel + args.max_queued,
        max_body_bytes: args.max_body << 20,
        body_timeout: args.body_timeout,
        max_tokens: args.max_tokens as usize,
        timeout: args.timeout,
    }
}

fn edge_options(args: &ServeArgs) -> Result<EdgeOptions, Failure> {
    let ServeArgs { server, limits, .. } = args;
    let names = server.allowed_host.iter().chain([&server.host]).map(String::as_str);
    // A page that has no key gets nothing by another name either.
    let hosts = if keys(server)?.is_empty() { Hosts::named(names) } else { Hosts::all() };
    Ok(EdgeOptions {
        hosts,
        max_connections: limits.max_connections,
        header_timeout: limits.header_timeout,
        write_timeout: limits.write_timeout,
        max_body_bytes: limits.max_body << 20,
    })
}

fn picture_options(args: &PictureArgs, limits: &LimitArgs) -> Result<PictureOptions, Failure> {
    if let Some(path) = args.media_path.as_ref().filter(|path| !path.is_dir()) {
        let message = format!("{} is no folder; name one with --media-path", path.display());
        return Err(Failure::new(Exit::Input, message));
    }
    let remote = RemoteLimits { timeout: args.remote_timeout, max_redirects: args.remote_redirects };
    Ok(PictureOptions {
        max_pictures: limits.max_pictures,
        limits: Limits { max_bytes: (limits.max_body as u64) << 20, max_pixels: limits.max_megapixels * 1_000_000 },
        media_path: args.media_path.clone(),
        remote: args.allow_remote_media.then_some(remote),
    })
}

fn keys(args: &ServerArgs) -> Result<ApiKeys, Failure> {
    let read = |path: &std::path::PathBuf| {
        fs::read_to_string(path).map_err(|error| {
            Failure::new(
                Exit::Input,
                format!("cannot read the keys in {}: {error}; check --api-key-file", path.display()),
            )
        })
    };
    let file = args.api_key_file.as_ref().map(read).transpose()?;
    let of_file = file.iter().flat_map(|text| text.lines());
    let keys: Vec<&str> = args.api_key.iter().map(String::as_str).chain(of_file).map(str::trim).collect();
    let is_asked_for = !args.api_key.is_empty() || file.is_some();
    if is_asked_for && keys.iter().all(|key| key.is_empty()) {
        return Err(Failure::new(
            Exit::Input,
            "there is no key among the API keys; leave --api-key and --api-key-file out",
        ));
    }
    Ok(ApiKeys::new(keys))
}
