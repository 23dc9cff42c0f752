//! A server from its first connection to its last answer.

use super::app::{App, ServerOptions};
use super::edge::{self, EdgeOptions, Listener};
use super::router::router;
use crate::engine::Engine;
use std::future::Future;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// Serves `listener` until `shutdown`, the models being loaded by `load` meanwhile: before they are there, requests get a 503.
/// Running answers have until `deadline` to end.
///
/// # Errors
/// Those of `load`, after which nothing is served.
pub async fn serve<E: Send + 'static>(
    listener: Listener,
    options: ServerOptions,
    edge: EdgeOptions,
    load: impl FnOnce() -> Result<Engine, E> + Send + 'static,
    shutdown: impl Future<Output = ()>,
    deadline: Duration,
) -> Result<(), E> {
    let app = App::new(options);
    let (sender, mut loaded) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let loader = {
        let app = app.clone();
        thread::spawn(move || {
            let result = load().map(|engine| app.ready(engine));
            // A server that has ended meanwhile does not mind.
            sender.send(result).ok();
        })
    };
    let ending = async {
        tokio::select! {
            () = shutdown => {}
            _ = stopped => {}
        }
    };
    let closing = || close(app.clone(), deadline);
    let serving = edge::serve(listener, router(app.clone()), edge, ending, closing, deadline + edge::LAST_WORDS);
    tokio::pin!(serving);
    let result = tokio::select! {
        () = &mut serving => None,
        result = &mut loaded => Some(result),
    };
    match result {
        Some(Ok(Ok(()))) => serving.await,
        Some(Ok(Err(error))) => {
            stop.send(()).ok();
            serving.await;
            return Err(error);
        }
        // Loading panicked, or goes on, since it cannot be broken off.
        Some(Err(_)) | None => {
            if let Err(panic) = loader.join() {
                resume_unwind(panic);
            }
        }
    }
    Ok(())
}

/// Running answers end by themselves or are stopped.
async fn close(app: App, deadline: Duration) {
    let close = move || {
        if let Some(engine) = app.loaded() {
            engine.close(deadline);
        }
    };
    tokio::task::spawn_blocking(close).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;
    use crate::media::Limits;
    use crate::pipeline::Request;
    use crate::server::{ApiKeys, Defaults, PictureOptions, RequestLimits};
    use crate::vlm::VlmOptions;
    use std::sync::mpsc;

    const MINUTE: Duration = Duration::from_secs(60);

    fn options() -> ServerOptions {
        ServerOptions {
            defaults: Defaults { request: Request::new(Vec::new(), Vec::new()), has_guide: false },
            alias: None,
            n_parallel: 1,
            keys: ApiKeys::default(),
            cors_origins: Vec::new(),
            limits: RequestLimits {
                max_requests: 1,
                max_body_bytes: 1000,
                body_timeout: MINUTE,
                max_tokens: 9,
                timeout: MINUTE,
            },
            pictures: PictureOptions { max_pictures: 1, limits: Limits::default(), media_path: None, remote: None },
            ping_interval: MINUTE,
        }
    }

    fn edge() -> EdgeOptions {
        let hosts = edge::Hosts::all();
        EdgeOptions { hosts, max_connections: 9, header_timeout: MINUTE, write_timeout: MINUTE, max_body_bytes: 1000 }
    }

    /// Status and body.
    fn get(url: &str) -> (u16, String) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let mut reply = ureq::Agent::new_with_config(config).get(url).call().unwrap();
        (reply.status().as_u16(), reply.body_mut().read_to_string().unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_server_answers_while_models_are_loaded_and_ends_when_they_cannot_be() {
        let listener = Listener::tcp("127.0.0.1", 0).await.unwrap();
        let url = listener.url();
        let (go_on, wait) = mpsc::channel::<()>();
        let load = move || {
            wait.recv().unwrap();
            let nowhere = VlmOptions { model: "none.gguf".into(), mmproj: "none.gguf".into(), ..VlmOptions::default() };
            Engine::load(None, nowhere, EngineOptions::default(), |_, _| {})
        };
        let ask = tokio::task::spawn_blocking(move || {
            for path in ["/health", "/v1/models", "/props"] {
                let (status, body) = get(&format!("{url}{path}"));
                assert_eq!((status, body.contains("Loading model")), (503, true), "{path}");
            }
            assert_eq!(get(&format!("{url}/openapi.json")).0, 200);
            assert_eq!(get(&format!("{url}/none")).0, 404);
            go_on.send(()).unwrap();
        });
        let served = serve(listener, options(), edge(), load, std::future::pending(), MINUTE).await;
        assert!(served.unwrap_err().to_string().contains("none.gguf"));
        ask.await.unwrap();
    }
}
